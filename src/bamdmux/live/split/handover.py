"""How the host gives the modem its memory and a doorbell: a few messages on a Unix socket of packets.

    host                                         modem
    HELLO version, role               ->
                                      <-         HELLO version, role
    MEMORY layout, three descriptors  ->
                                      <-         ANSWER 0, or why not
    ... and from then on nothing: the socket says that the other side lives.

    HELLO    8s "BAMDMUX\\0" | u16 version | u16 role (1 host, 2 modem)     the same in all versions to come
    MEMORY   u32 slot count | u32 RX buffer | u32 TX buffer | u64 size   with the memfd, a bell, and for the
             control ports one end of a pair of sockets (see `port_packets`)
    ANSWER   u16 code | text

Both sides say HELLO and read the other's before anything else happens, so that two versions that do not fit
can say so, on both sides. Whatever else comes is refused by name. Nothing here waits: the owner of the socket
feeds messages in, and drops a peer that takes longer than HANDOVER_TIMEOUT_NS.
"""

import array
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import ProtocolError
from bamdmux.timing import SECOND, Duration

VERSION: Final = 3  # 2: control ports; 3: words that say who is awake
MAGIC: Final = b"BAMDMUX\0"
HANDOVER_TIMEOUT_NS: Final[Duration] = 2 * SECOND

HELLO: Final = struct.Struct("<8sHH")
MEMORY: Final = struct.Struct("<IIIQ")
ANSWER: Final = struct.Struct("<H")

MAX_MESSAGE_BYTES: Final = 512
DESCRIPTOR_COUNT: Final = 3
# More than we ask for are received, so that they can be closed and not only cut off.
MAX_DESCRIPTORS: Final = 16
# A link's memory must not be what fills this machine: the largest rings and slots that make sense.
MAX_SLOT_COUNT: Final = 4096
MAX_SLOT_BYTES: Final = 32768


class Role(IntEnum):
    """Who speaks."""

    HOST = 1
    MODEM = 2


class Refusal(Enum):
    """Why a handover failed; the value is the code that ANSWER carries."""

    NO_HELLO = 1
    WRONG_VERSION = 2
    WRONG_ROLE = 3
    BAD_LAYOUT = 4
    WRONG_DESCRIPTORS = 5
    NO_MEMFD = 6
    NOT_SEALED = 7
    WRONG_SIZE = 8
    NO_DOORBELL = 9
    BUSY = 10
    UNKNOWN = 11
    NO_PORTS = 12


@dataclass(frozen=True, slots=True)
class Message:
    """What came in one packet, and the descriptors with it; they are the receiver's to close."""

    data: bytes
    descriptors: Sequence[int]


def encode_hello(role: Role) -> bytes:
    return HELLO.pack(MAGIC, VERSION, role)


def check_hello(data: bytes, expected: Role) -> None:
    """Read the other side's HELLO.

    Raises:
        ProtocolError: it is none, or of another version, or of somebody like us.
    """
    if len(data) < HELLO.size or not data.startswith(MAGIC):
        raise ProtocolError(Refusal.NO_HELLO, f"{len(data)} bytes that are no hello of bamdmux")
    _, version, role = HELLO.unpack_from(data)
    if version != VERSION:
        raise ProtocolError(
            Refusal.WRONG_VERSION, f"the other side speaks version {version}, we speak {VERSION}"
        )
    if role != expected:
        raise ProtocolError(Refusal.WRONG_ROLE, f"the other side is no {expected.name.lower()}")


def encode_memory(layout: LinkLayout) -> bytes:
    return MEMORY.pack(layout.slot_count, layout.receive_bytes, layout.transmit_bytes, layout.size_bytes)


def decode_memory(message: Message) -> LinkLayout:
    """Read the host's MEMORY.

    Raises:
        ProtocolError: it is none, or the layout is beyond what we map, or the descriptors are not three.
    """
    if len(message.data) != MEMORY.size:
        raise ProtocolError(Refusal.BAD_LAYOUT, f"{len(message.data)} bytes are no layout")
    slot_count, receive_bytes, transmit_bytes, size_bytes = MEMORY.unpack(message.data)
    if not 1 <= slot_count <= MAX_SLOT_COUNT or max(receive_bytes, transmit_bytes) > MAX_SLOT_BYTES:
        raise ProtocolError(
            Refusal.BAD_LAYOUT,
            f"{slot_count} slots of {receive_bytes} and {transmit_bytes} bytes exceed "
            f"{MAX_SLOT_COUNT} slots of {MAX_SLOT_BYTES}",
        )
    try:
        layout = LinkLayout(slot_count=slot_count, receive_bytes=receive_bytes, transmit_bytes=transmit_bytes)
    except ValueError as error:
        raise ProtocolError(Refusal.BAD_LAYOUT, str(error)) from error
    if size_bytes != layout.size_bytes:
        raise ProtocolError(
            Refusal.WRONG_SIZE, f"size {size_bytes} is not the {layout.size_bytes} of the layout"
        )
    if len(message.descriptors) != DESCRIPTOR_COUNT:
        raise ProtocolError(
            Refusal.WRONG_DESCRIPTORS, f"{len(message.descriptors)} descriptors are not {DESCRIPTOR_COUNT}"
        )
    return layout


def encode_answer(error: ProtocolError | None = None) -> bytes:
    if error is None:
        return ANSWER.pack(0)
    code = error.reason.value if isinstance(error.reason, Refusal) else Refusal.UNKNOWN.value
    return ANSWER.pack(code) + str(error).encode()[: MAX_MESSAGE_BYTES - ANSWER.size]


def check_answer(data: bytes) -> None:
    """Read the modem's ANSWER.

    Raises:
        ProtocolError: it refuses, with its own words.
    """
    if len(data) < ANSWER.size:
        raise ProtocolError(Refusal.UNKNOWN, f"{len(data)} bytes are no answer")
    (code,) = ANSWER.unpack_from(data)
    if code:
        known = {refusal.value: refusal for refusal in Refusal}
        text = _printable(data[ANSWER.size :].decode(errors="replace"))
        raise ProtocolError(known.get(code, Refusal.UNKNOWN), f"the modem refuses: {text}")


def _printable(text: str) -> str:
    """Somebody else's words, as they may stand in a log: no line feeds, nothing that a terminal obeys."""
    return "".join(char if char.isprintable() else "?" for char in text)


def send(connection: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send one message; raises what `socket.sendmsg` raises."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def receive(connection: socket.socket) -> Message | None:
    """Receive one message; None at the end.

    Raises:
        BlockingIOError: there is none yet.
    """
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    try:
        data, ancillary, _, _ = connection.recvmsg(MAX_MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if not data:
        close_all(descriptors)
        return None
    return Message(data, descriptors.tolist())


def refuse(connection: socket.socket, error: ProtocolError) -> None:
    """Say why not; close the connection after this."""
    with suppress(OSError):
        send(connection, encode_answer(error))
        # What we have not read when we close would turn our answer into a reset.
        connection.shutdown(socket.SHUT_RD)
        while (message := receive(connection)) is not None:
            close_all(message.descriptors)


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
