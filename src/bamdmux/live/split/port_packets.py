"""What passes between the host, which has the control ports, and the modem's process, which speaks on them.

    kind u8 | detail u8 | opening u16 | port u32 | data          one packet each, on a Unix socket of packets

    host -> modem    OPENED (detail: the PortKind)    BYTES data                           CLOSED
    modem -> host    BOOTED                           BYTES data (detail: 1 indication)    HANG_UP

`opening` counts how often the port has been opened: what the modem still had to say to the last user of a
node is not for the next one. Little-endian. Whoever receives believes nothing: what is not as above is an
exception, and what names a port that is not open is dropped by who receives it.
"""

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from bamdmux.actions import PortKind
from bamdmux.errors import ProtocolError

HEADER: Final = struct.Struct("<BBHI")
OPENING_MASK: Final = 0xFFFF
MAX_DATA_BYTES: Final = 0x1_0000  # a QMUX frame cannot be longer
MAX_PACKET_BYTES: Final = HEADER.size + MAX_DATA_BYTES


class PacketKind(IntEnum):
    """What a packet says."""

    OPENED = 1
    BYTES = 2
    CLOSED = 3
    HANG_UP = 4
    BOOTED = 5


FROM_HOST: Final = frozenset({PacketKind.OPENED, PacketKind.BYTES, PacketKind.CLOSED})
FROM_MODEM: Final = frozenset({PacketKind.BOOTED, PacketKind.BYTES, PacketKind.HANG_UP})

_NUMBERS: Final = {PortKind.QMI: 0, PortKind.AT: 1}
_KINDS: Final = {number: kind for kind, number in _NUMBERS.items()}


class PacketFault(Enum):
    """Why a packet is none."""

    TRUNCATED = "truncated"
    TOO_LONG = "too_long"
    UNKNOWN_KIND = "unknown_kind"
    BAD_DETAIL = "bad_detail"
    UNWANTED_DATA = "unwanted_data"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    Args:
        port_kind: of OPENED.
        data: of BYTES; whole messages if they come from the modem.
        is_indication: of BYTES from the modem.
    """

    kind: PacketKind
    port: int = 0
    opening: int = 0
    port_kind: PortKind = PortKind.QMI
    data: bytes = b""
    is_indication: bool = False


def encode_packet(packet: Packet) -> bytes:
    match packet.kind:
        case PacketKind.OPENED:
            detail = _NUMBERS[packet.port_kind]
        case PacketKind.BYTES:
            detail = int(packet.is_indication)
        case _:
            detail = 0
    return HEADER.pack(packet.kind, detail, packet.opening, packet.port) + packet.data


def decode_packet(data: bytes, allowed: frozenset[PacketKind]) -> Packet:
    """Read a packet.

    Args:
        allowed: what that side may say.

    Raises:
        ProtocolError: it is none; ``reason`` is a PacketFault.
    """
    if len(data) < HEADER.size:
        raise ProtocolError(PacketFault.TRUNCATED, f"{len(data)} bytes are less than a header")
    if len(data) > MAX_PACKET_BYTES:
        raise ProtocolError(PacketFault.TOO_LONG, f"more than {MAX_PACKET_BYTES} bytes")
    number, detail, opening, port = HEADER.unpack_from(data)
    if number not in allowed:
        raise ProtocolError(PacketFault.UNKNOWN_KIND, f"kind {number} is not for this side to send")
    kind = PacketKind(number)
    rest = data[HEADER.size :]
    if bool(rest) != (kind is PacketKind.BYTES):
        raise ProtocolError(PacketFault.UNWANTED_DATA, f"{len(rest)} bytes of data in {kind.name}")
    if detail > (1 if kind in (PacketKind.OPENED, PacketKind.BYTES) else 0):
        raise ProtocolError(PacketFault.BAD_DETAIL, f"detail {detail} in {kind.name}")
    if kind is PacketKind.OPENED:
        return Packet(kind, port, opening, port_kind=_KINDS[detail])
    return Packet(kind, port, opening, data=rest, is_indication=bool(detail))
