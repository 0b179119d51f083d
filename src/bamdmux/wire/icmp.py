"""The ICMP that a gateway says: echo replies, and for IPv6 that a destination cannot be reached.

Whole IP packets in, whole IP packets out. What gets no answer gets None: nothing of what a host sends raises.
Sources: RFC 792, RFC 4443 sections 2.4, 3.1 and 4, RFC 1071 (checksum), RFC 8200 section 8.1 (pseudo-header).
"""

import struct
from ipaddress import IPv6Address
from typing import Final

ICMP: Final = 1
ICMPV6: Final = 58
IPV6_HEADER: Final = struct.Struct(">IHBB16s16s")
IPV4_HEADER: Final = struct.Struct(">BBHHHBBH4s4s")
VERSION6: Final = 6 << 28

ECHO_HEADER_BYTES: Final = 8  # type, code, checksum, identifier, sequence
_HOP_LIMIT: Final = 64
_FRAGMENT_MASK: Final = 0x3FFF  # more fragments, and the offset
_ECHO4, _ECHO_REPLY4 = 8, 0
_ECHO6, _ECHO_REPLY6 = 128, 129
_UNREACHABLE6: Final = 1
_FIRST_QUERY6: Final = 128  # types below are errors, which are never answered with an error
_MULTICAST6: Final = 0xFF
# RFC 4443 section 3.1: as much of the packet as fits into the smallest MTU of IPv6.
_QUOTE_BYTES: Final = 1280 - IPV6_HEADER.size - 8


def checksum(data: bytes) -> int:
    """The Internet checksum: 0 if the one in `data` is right; if that is 0, the one to put there."""
    # Adding 16-bit words with the carry brought round is arithmetic modulo 0xffff, but that only zeros add up
    # to zero.
    value = int.from_bytes(data + bytes(len(data) % 2), "big")
    return -value % 0xFFFF if value else 0xFFFF


def checksum6(source: bytes, destination: bytes, next_header: int, payload: bytes) -> int:
    """The checksum of what an IPv6 packet carries, over the pseudo-header as well."""
    return checksum(source + destination + struct.pack(">II", len(payload), next_header) + payload)


def encode_icmpv6(source: bytes, destination: bytes, hop_limit: int, message: bytes) -> bytes:
    """An IPv6 packet with an ICMPv6 message, whose checksum is filled in."""
    header = IPV6_HEADER.pack(VERSION6, len(message), ICMPV6, hop_limit, source, destination)
    value = checksum6(source, destination, ICMPV6, message[:2] + b"\0\0" + message[4:])
    return header + message[:2] + value.to_bytes(2, "big") + message[4:]


def decode_icmpv6(packet: bytes) -> tuple[bytes, bytes, int, bytes] | None:
    """Source, destination, hop limit and message of an ICMPv6 packet whose lengths and checksum are right.

    One behind an extension header is none for us.
    """
    if len(packet) < IPV6_HEADER.size + 4:
        return None
    word, length, next_header, hop_limit, source, destination = IPV6_HEADER.unpack_from(packet)
    message = packet[IPV6_HEADER.size :]
    if word >> 28 != 6 or next_header != ICMPV6 or length != len(message):
        return None
    if checksum6(source, destination, ICMPV6, message) != 0:
        return None
    return source, destination, hop_limit, message


def answer_echo(packet: bytes) -> bytes | None:
    """The reply to an ICMP or ICMPv6 echo request, from the address that it was sent to."""
    match packet[0] >> 4 if packet else 0:
        case 4:
            return _answer_echo4(packet)
        case 6:
            return _answer_echo6(packet)
    return None


def _answer_echo4(packet: bytes) -> bytes | None:
    if len(packet) < IPV4_HEADER.size:
        return None
    _, service, length, number, fragment, _, protocol, _, source, destination = IPV4_HEADER.unpack_from(
        packet
    )
    header_bytes = (packet[0] & 0x0F) * 4
    message = packet[header_bytes:]
    if header_bytes < IPV4_HEADER.size or length != len(packet) or len(message) < ECHO_HEADER_BYTES:
        return None
    if protocol != ICMP or fragment & _FRAGMENT_MASK or message[0] != _ECHO4 or checksum(message) != 0:
        return None
    header = IPV4_HEADER.pack(
        *(0x45, service, IPV4_HEADER.size + len(message), number, 0, _HOP_LIMIT, ICMP, 0, destination, source)
    )
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    reply = bytes((_ECHO_REPLY4, 0, 0, 0)) + message[4:]
    return header + reply[:2] + checksum(reply).to_bytes(2, "big") + reply[4:]


def _answer_echo6(packet: bytes) -> bytes | None:
    decoded = decode_icmpv6(packet)
    if decoded is None:
        return None
    source, destination, _, message = decoded
    if message[0] != _ECHO6 or len(message) < ECHO_HEADER_BYTES:
        return None
    return encode_icmpv6(destination, source, _HOP_LIMIT, bytes((_ECHO_REPLY6, 0, 0, 0)) + message[4:])


def unreachable6(packet: bytes, gateway: IPv6Address) -> bytes | None:
    """What a gateway without a route sends back for an IPv6 packet; None for what never gets an answer."""
    if len(packet) < IPV6_HEADER.size:
        return None
    word, _, next_header, _, source, destination = IPV6_HEADER.unpack_from(packet)
    is_error = next_header == ICMPV6 and packet[IPV6_HEADER.size :][:1] < bytes((_FIRST_QUERY6,))
    if word >> 28 != 6 or is_error or _MULTICAST6 in (source[0], destination[0]) or source == bytes(16):
        return None
    message = bytes((_UNREACHABLE6, 0, 0, 0, 0, 0, 0, 0)) + packet[:_QUOTE_BYTES]
    return encode_icmpv6(gateway.packed, source, _HOP_LIMIT, message)
