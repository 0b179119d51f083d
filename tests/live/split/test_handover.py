"""What passes on the socket before the link is there: bytes and descriptors, right, wrong and cut."""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import ProtocolError
from bamdmux.live.split import handover
from bamdmux.live.split.handover import (
    MAX_DESCRIPTORS,
    MAX_MESSAGE_BYTES,
    MAX_SLOT_BYTES,
    MAX_SLOT_COUNT,
    Message,
    Refusal,
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

HOST_HELLO = b"BAMDMUX\0\x03\0\x01\0"
MODEM_HELLO = b"BAMDMUX\0\x03\0\x02\0"
DEFAULT = LinkLayout()
DEFAULT_MEMORY = b"\x20\0\0\0\0\x08\0\0\x04\x08\0\0" + DEFAULT.size_bytes.to_bytes(8, "little")
THREE = [1, 2, 3]  # descriptors that nobody looks at


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def refused(function: Callable[[], object]) -> tuple[Refusal, str]:
    with pytest.raises(ProtocolError) as caught:
        function()
    assert isinstance(caught.value.reason, Refusal)
    return caught.value.reason, str(caught.value)


def descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))


# HELLO


def test_a_hello_is_these_bytes() -> None:
    assert encode_hello(Role.HOST) == HOST_HELLO
    assert encode_hello(Role.MODEM) == MODEM_HELLO
    check_hello(HOST_HELLO, Role.HOST)
    check_hello(MODEM_HELLO, Role.MODEM)


@pytest.mark.parametrize("length", range(len(HOST_HELLO)))
def test_a_hello_that_is_cut_is_none(length: int) -> None:
    reason, text = refused(lambda: check_hello(HOST_HELLO[:length], Role.HOST))
    assert (reason, text) == (Refusal.NO_HELLO, f"{length} bytes that are no hello of bamdmux")


@pytest.mark.parametrize("position", range(8))
def test_a_hello_of_another_magic_is_none(position: int) -> None:
    data = bytearray(HOST_HELLO)
    data[position] ^= 1
    assert refused(lambda: check_hello(bytes(data), Role.HOST))[0] is Refusal.NO_HELLO


def test_what_versions_to_come_add_to_a_hello_is_passed_over() -> None:
    check_hello(HOST_HELLO + b"more to say", Role.HOST)


@pytest.mark.parametrize("version", [0, 1, 2, 4, 0xFFFF])
def test_another_version_is_told_with_both_numbers(version: int) -> None:
    data = b"BAMDMUX\0" + struct.pack("<HH", version, 7)  # whatever its roles are
    reason, text = refused(lambda: check_hello(data, Role.HOST))
    assert reason is Refusal.WRONG_VERSION
    assert text == f"the other side speaks version {version}, we speak 3"


@pytest.mark.parametrize("role", [0, 2, 3, 0xFFFF])
def test_only_a_host_is_a_host(role: int) -> None:
    data = b"BAMDMUX\0\x03\0" + struct.pack("<H", role)
    assert refused(lambda: check_hello(data, Role.HOST)) == (Refusal.WRONG_ROLE, "the other side is no host")


def test_a_host_wants_a_modem() -> None:
    reason = refused(lambda: check_hello(HOST_HELLO, Role.MODEM))
    assert reason == (Refusal.WRONG_ROLE, "the other side is no modem")


# MEMORY


def test_a_layout_is_these_bytes() -> None:
    assert encode_memory(DEFAULT) == DEFAULT_MEMORY
    assert decode_memory(Message(DEFAULT_MEMORY, THREE)) == DEFAULT


@pytest.mark.parametrize(
    "layout",
    [
        LinkLayout(slot_count=1, receive_bytes=8, transmit_bytes=8),
        LinkLayout(slot_count=MAX_SLOT_COUNT, receive_bytes=MAX_SLOT_BYTES, transmit_bytes=MAX_SLOT_BYTES),
    ],
)
def test_the_smallest_and_the_largest_layout_are_taken(layout: LinkLayout) -> None:
    assert decode_memory(Message(encode_memory(layout), THREE)) == layout


@pytest.mark.parametrize("length", [*range(len(DEFAULT_MEMORY)), len(DEFAULT_MEMORY) + 1])
def test_a_layout_of_another_length_is_none(length: int) -> None:
    data = (DEFAULT_MEMORY + b"\0")[:length]
    reason, text = refused(lambda: decode_memory(Message(data, THREE)))
    assert (reason, text) == (Refusal.BAD_LAYOUT, f"{length} bytes are no layout")


@pytest.mark.parametrize(
    ("slot_count", "receive_bytes", "transmit_bytes"),
    [
        (0, 2048, 2052),
        (MAX_SLOT_COUNT + 1, 2048, 2052),
        (0xFFFFFFFF, 2048, 2052),
        (32, MAX_SLOT_BYTES + 1, 2052),
        (32, 2048, 0xFFFFFFFF),
        (32, 7, 2052),
        (32, 2048, 7),
        (32, 0, 0),
    ],
)
def test_a_layout_out_of_bounds_is_refused(slot_count: int, receive_bytes: int, transmit_bytes: int) -> None:
    data = struct.pack("<IIIQ", slot_count, receive_bytes, transmit_bytes, DEFAULT.size_bytes)
    assert refused(lambda: decode_memory(Message(data, THREE)))[0] is Refusal.BAD_LAYOUT


@pytest.mark.parametrize("size", [0, DEFAULT.size_bytes - 1, DEFAULT.size_bytes + 4096, (1 << 64) - 1])
def test_a_size_that_is_not_the_layout_s_is_refused(size: int) -> None:
    data = DEFAULT_MEMORY[:12] + struct.pack("<Q", size)
    reason, text = refused(lambda: decode_memory(Message(data, THREE)))
    assert reason is Refusal.WRONG_SIZE
    assert text == f"size {size} is not the {DEFAULT.size_bytes} of the layout"


@pytest.mark.parametrize("count", [0, 1, 2, 4, 16])
def test_another_number_of_descriptors_is_refused(count: int) -> None:
    reason, text = refused(lambda: decode_memory(Message(DEFAULT_MEMORY, [0] * count)))
    assert (reason, text) == (Refusal.WRONG_DESCRIPTORS, f"{count} descriptors are not 3")


# ANSWER


def test_an_answer_says_yes_or_why_not() -> None:
    assert encode_answer() == b"\0\0"
    check_answer(b"\0\0")
    error = ProtocolError(Refusal.BUSY, "another host is connected")
    assert encode_answer(error) == b"\x0a\0another host is connected"
    reason = refused(lambda: check_answer(encode_answer(error)))
    assert reason == (Refusal.BUSY, "the modem refuses: another host is connected")


@pytest.mark.parametrize("data", [b"", b"\0"])
def test_half_an_answer_is_none(data: bytes) -> None:
    assert refused(lambda: check_answer(data))[0] is Refusal.UNKNOWN


def test_a_refusal_of_a_version_to_come_is_still_one() -> None:
    assert refused(lambda: check_answer(b"\xff\xff")) == (Refusal.UNKNOWN, "the modem refuses: ")


def test_somebody_else_s_words_do_nothing_to_a_terminal() -> None:
    _, text = refused(lambda: check_answer(b"\x0a\0one\ntwo\x1b[2J\x07\xff\xc2\x9bthree \xe2\x80\xae"))
    assert text == "the modem refuses: one?two?[2J?\ufffd?three ?"


def test_a_long_reason_is_cut_to_a_message() -> None:
    assert len(encode_answer(ProtocolError(Refusal.NO_MEMFD, "x" * 10_000))) == MAX_MESSAGE_BYTES


@given(st.binary(max_size=600))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    for read in (
        lambda: check_hello(data, Role.HOST),
        lambda: decode_memory(Message(data, THREE)),
        lambda: check_answer(data),
        lambda: check_hello(HOST_HELLO[:8] + data, Role.HOST),
    ):
        with suppress(ProtocolError):
            read()


# The socket


def test_a_message_comes_with_its_descriptors(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    send(theirs, b"data", [theirs.fileno(), ours.fileno()])
    message = receive(ours)
    assert message is not None
    assert message.data == b"data"
    assert len(message.descriptors) == 2
    assert not any(os.get_inheritable(descriptor) for descriptor in message.descriptors)
    close_all(message.descriptors)


def test_nothing_yet_is_not_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    with pytest.raises(BlockingIOError):
        receive(ours)
    theirs.close()
    assert receive(ours) is None


def test_a_reset_is_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    send(ours, b"never read")
    theirs.close()
    assert receive(ours) is None


@pytest.mark.parametrize("count", [1, MAX_DESCRIPTORS, MAX_DESCRIPTORS + 1, 253])
def test_no_descriptor_is_left_however_many_come(
    ends: tuple[socket.socket, socket.socket], count: int
) -> None:
    ours, theirs = ends
    before = descriptor_count()
    send(theirs, b"data", [theirs.fileno()] * count)
    message = receive(ours)
    assert message is not None
    assert len(message.descriptors) == min(count, MAX_DESCRIPTORS)
    close_all(message.descriptors)
    assert descriptor_count() == before


def test_descriptors_with_an_empty_message_are_not_kept(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    before = descriptor_count()
    send(theirs, b"", [theirs.fileno()] * 3)
    assert receive(ours) is None
    assert descriptor_count() == before


def test_other_ancillary_data_is_no_descriptor(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    send(theirs, b"data")
    assert receive(ours) == Message(b"data", [])


def test_a_longer_message_is_cut_and_the_next_one_is_whole(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    send(theirs, bytes(100_000))
    send(theirs, b"next")
    assert receive(ours) == Message(bytes(MAX_MESSAGE_BYTES), [])
    assert receive(ours) == Message(b"next", [])


def test_a_refusal_arrives_though_something_was_not_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    before = descriptor_count()
    send(theirs, HOST_HELLO)
    send(theirs, DEFAULT_MEMORY, [theirs.fileno()] * 2)
    error = ProtocolError(Refusal.BUSY, "later")
    refuse(ours, error)
    ours.close()
    assert descriptor_count() == before - 1
    assert theirs.recv(100) == encode_answer(error)
    assert theirs.recv(100) == b""


def test_who_has_gone_need_not_be_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    refuse(ours, ProtocolError(Refusal.BUSY, "later"))


def test_who_does_not_read_is_not_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    with suppress(BlockingIOError):
        while True:
            send(ours, b"x")
    refuse(ours, ProtocolError(Refusal.BUSY, "later"))


def test_every_refusal_has_its_code() -> None:
    assert [refusal.value for refusal in Refusal] == list(range(1, len(Refusal) + 1))
    assert handover.VERSION == 3
