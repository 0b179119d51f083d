"""What comes on the socket of split mode before the other side is trusted: bytes, descriptors, a memory.

Messages go through a real socket with real descriptors. Whatever comes, it is read or refused with a
`ProtocolError` whose words may stand in a log, and every descriptor is ours to close: none is lost, none is
closed twice. A layout that is taken can be mapped, and a memory that is taken is as large as it and sealed.
"""

import fcntl
import os
import socket
from contextlib import suppress

from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import ProtocolError
from bamdmux.live.split.handover import (
    ANSWER,
    DESCRIPTOR_COUNT,
    MAGIC,
    MAX_DESCRIPTORS,
    MAX_MESSAGE_BYTES,
    MAX_SLOT_BYTES,
    MAX_SLOT_COUNT,
    MEMORY,
    Message,
    Role,
    check_answer,
    check_hello,
    close_all,
    decode_memory,
    encode_answer,
    encode_hello,
    encode_memory,
    receive,
    refuse,
    send,
)
from bamdmux.live.split.memory import F_ADD_SEALS, FORBIDDEN_SEALS, SEALS, SharedMemory
from fuzz.script import Script


def check(data: bytes) -> None:
    """Play one script, and see that no descriptor stays open."""
    script = Script(data)
    before = next_descriptor()
    if script.chance():
        check_conversation(script)
    else:
        check_memory(script)
    assert next_descriptor() == before, "a descriptor was lost, or closed twice"


def next_descriptor() -> int:
    """The lowest one that is free."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def check_conversation(script: Script) -> None:
    """A few messages from somebody."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        while not script.is_over:
            octets = message_of(script)
            count = script.choice((0, DESCRIPTOR_COUNT, 1, script.below(MAX_DESCRIPTORS + 4)))
            descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
            send(theirs, octets, descriptors)
            close_all(descriptors)
            message = receive(ours)
            if message is None:
                assert not octets
                break
            assert message.data == octets[:MAX_MESSAGE_BYTES]
            assert len(message.descriptors) == min(count, MAX_DESCRIPTORS)
            is_refused = read_in_every_way(ours, message, script)
            close_all(message.descriptors)
            if is_refused:
                with suppress(ProtocolError):
                    check_answer(theirs.recv(2 * MAX_MESSAGE_BYTES))
                break


def message_of(script: Script) -> bytes:
    """Something like a message, or nothing like it."""
    match script.below(5):
        case 0:
            return encode_hello(script.choice(tuple(Role)))
        case 1:
            return MAGIC + script.octets(script.below(6))
        case 2:
            layout = script.number(2), script.number(2), script.number(2)
            with suppress(ValueError):
                slots, receive_bytes, transmit_bytes = layout
                size = LinkLayout(
                    slot_count=slots, receive_bytes=receive_bytes, transmit_bytes=transmit_bytes
                ).size_bytes
                return MEMORY.pack(*layout, size + script.choice((0, 1)))
            return MEMORY.pack(*layout, script.number(8))
        case 3:
            return ANSWER.pack(script.below(16)) + script.octets(script.number(2) % 600)
        case _:
            return script.octets(script.below(40))


def read_in_every_way(connection: socket.socket, message: Message, script: Script) -> bool:
    """Read a message as whatever it may be; whether we refused and the conversation is over."""
    errors = []
    expected = script.choice(tuple(Role))
    try:
        check_hello(message.data, expected)
        assert message.data.startswith(encode_hello(expected))
    except ProtocolError as error:
        errors.append(error)
    try:
        layout = decode_memory(message)
        assert message.data == encode_memory(layout)
        assert layout.slot_count <= MAX_SLOT_COUNT
        assert max(layout.receive_bytes, layout.transmit_bytes) <= MAX_SLOT_BYTES
        assert len(message.descriptors) == DESCRIPTOR_COUNT
    except ProtocolError as error:
        errors.append(error)
    try:
        check_answer(message.data)
    except ProtocolError as error:
        errors.append(error)
    for refusal in errors:
        assert str(refusal).isprintable(), "a terminal would obey that"
        assert len(encode_answer(refusal)) <= MAX_MESSAGE_BYTES
    if errors and script.below(8) == 0:
        refuse(connection, errors[0])
        return True
    return False


def check_memory(script: Script) -> None:
    """A descriptor for a memory, of some kind, size and seals."""
    layout = LinkLayout(
        slot_count=1 + script.below(4), receive_bytes=8 + script.number(), transmit_bytes=8 + script.number()
    )
    size = script.choice((layout.size_bytes, layout.size_bytes, layout.size_bytes - 1, 0, script.number(2)))
    seals = script.choice((SEALS, SEALS, script.number()))
    if script.below(8) == 0:
        descriptor = os.open(os.devnull, os.O_RDWR)
        seals = 0
    else:
        descriptor = os.memfd_create("fuzz", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        with suppress(OSError):  # no such seals
            fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
    try:
        memory = SharedMemory.adopt(descriptor, layout)
    except ProtocolError:
        os.close(descriptor)
        return
    assert size == layout.size_bytes == len(memory.memory)
    assert seals & SEALS == SEALS, "it may shrink under us"
    assert not seals & FORBIDDEN_SEALS
    memory.memory[-1] = memory.memory[0] = 1  # SIGBUS or EPERM, if it is not what it says
    memory.close()
