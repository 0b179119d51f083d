"""DHCP, as little of it as a host needs that knows its address and wants it confirmed.

`encode_request` asks "may I have this address (again)?", what RFC 2131 section 4.3.2 calls INIT-REBOOT;
`decode_reply` reads what a server says to that. Both are whole IPv4 packets.
Sources: RFC 2131 section 2 (the message), RFC 2132 (options), RFC 768.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Final

from bamdmux.wire.ethernet import ADDRESS_BYTES
from bamdmux.wire.icmp import IPV4_HEADER, checksum

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68
_UDP: Final = 17
_UDP_HEADER: Final = struct.Struct(">HHHH")
_TIME_TO_LIVE: Final = 64
_ANY: Final = bytes(4)
_ALL: Final = b"\xff" * 4
_FRAGMENT_MASK: Final = 0x3FFF

# op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, magic cookie
_MESSAGE: Final = struct.Struct(">BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE: Final = bytes.fromhex("63825363")
_BOOT_REQUEST, _BOOT_REPLY = 1, 2
_ETHERNET: Final = 1

_PAD, _MASK, _ROUTER, _REQUESTED, _KIND, _WISHES, _END = 0, 1, 3, 50, 53, 55, 255
_MINIMUM_OPTIONS: Final = 60  # a server may expect the 300 bytes of a BOOTP message


class Kind(IntEnum):
    """What a DHCP message is; those that matter here."""

    OFFER = 2
    REQUEST = 3
    ACK = 5
    NAK = 6


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server says."""

    kind: Kind
    transaction: int
    mac: bytes
    address: IPv4Address
    mask: IPv4Address | None
    router: IPv4Address | None


def encode_request(mac: bytes, address: IPv4Address, transaction: int) -> bytes:
    """Ask whether `address` is ours: a broadcast from no address."""
    options = bytes((_KIND, 1, Kind.REQUEST, _REQUESTED, 4)) + address.packed
    options += bytes((_WISHES, 2, _MASK, _ROUTER, _END))
    message = _MESSAGE.pack(
        *(_BOOT_REQUEST, _ETHERNET, ADDRESS_BYTES, 0, transaction, 0, 0),
        *(_ANY, _ANY, _ANY, _ANY, mac, b"", b"", _COOKIE),
    ) + options.ljust(_MINIMUM_OPTIONS, bytes((_PAD,)))
    length = _UDP_HEADER.size + len(message)
    datagram = _UDP_HEADER.pack(CLIENT_PORT, SERVER_PORT, length, 0) + message  # 0: no checksum
    header = IPV4_HEADER.pack(*(0x45, 0, IPV4_HEADER.size + length, 0, 0, _TIME_TO_LIVE, _UDP, 0, _ANY, _ALL))
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + datagram


def decode_reply(packet: bytes) -> Reply | None:
    """Read an IPv4 packet as a server's reply; None if it is none that makes sense."""
    message = _message_of(packet)
    if message is None:
        return None
    fields = _MESSAGE.unpack_from(message)
    operation, hardware, hardware_bytes, _, transaction = fields[:5]
    if (operation, hardware, hardware_bytes) != (_BOOT_REPLY, _ETHERNET, ADDRESS_BYTES):
        return None
    options = _decode_options(message[_MESSAGE.size :])
    kind = options.get(_KIND, b"")
    if fields[14] != _COOKIE or len(kind) != 1 or kind[0] not in (Kind.OFFER, Kind.ACK, Kind.NAK):
        return None
    return Reply(
        Kind(kind[0]),
        transaction,
        mac=fields[11][:ADDRESS_BYTES],
        address=IPv4Address(fields[8]),
        mask=_address(options.get(_MASK)),
        router=_address(options.get(_ROUTER)),
    )


def _message_of(packet: bytes) -> bytes | None:
    """The payload of a UDP packet from the server's to the client's port, long enough for a message."""
    if len(packet) < IPV4_HEADER.size or packet[0] >> 4 != 4:
        return None
    _, _, length, _, fragment, _, protocol, _, _, _ = IPV4_HEADER.unpack_from(packet)
    header_bytes = (packet[0] & 0x0F) * 4
    if (
        header_bytes < IPV4_HEADER.size
        or length > len(packet)
        or protocol != _UDP
        or fragment & _FRAGMENT_MASK
    ):
        return None
    datagram = packet[header_bytes:length]
    if len(datagram) < _UDP_HEADER.size:
        return None
    source, destination, udp_length, _ = _UDP_HEADER.unpack_from(datagram)
    if (source, destination) != (SERVER_PORT, CLIENT_PORT):
        return None
    if not _UDP_HEADER.size + _MESSAGE.size <= udp_length <= len(datagram):
        return None
    return datagram[_UDP_HEADER.size : udp_length]


def _decode_options(data: bytes) -> dict[int, bytes]:
    """The options up to their end, or to where they make no sense any more."""
    options: dict[int, bytes] = {}
    position = 0
    while position < len(data) and data[position] != _END:
        kind = data[position]
        position += 1
        if kind == _PAD:
            continue
        if position >= len(data) or position + 1 + data[position] > len(data):
            break
        options[kind] = data[position + 1 : position + 1 + data[position]]
        position += 1 + data[position]
    return options


def _address(option: bytes | None) -> IPv4Address | None:
    """The first address of an option."""
    return IPv4Address(option[:4]) if option is not None and len(option) >= 4 else None
