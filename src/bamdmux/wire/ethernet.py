"""What is said on an Ethernet besides IP: the frame's header, ARP, and neighbour discovery of IPv6.

Bytes to values and back. What is not the message asked for, or breaks its rules, decodes to None, whatever
the bytes: who listens on an Ethernet hears much that is not for him.

Sources: RFC 894, RFC 826 (ARP), RFC 4861 sections 4.3, 4.4, 7.1.1 and 7.1.2 (neighbour discovery), RFC 4291
section 2.7.1 (solicited-node address), RFC 2464 section 7 (multicast).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bamdmux.wire.icmp import decode_icmpv6, encode_icmpv6

ADDRESS_BYTES: Final = 6
ETHERNET_HEADER: Final = struct.Struct(">6s6sH")  # destination, source, protocol
BROADCAST: Final = b"\xff" * ADDRESS_BYTES

ETH_P_ARP: Final = 0x0806

_ARP: Final = struct.Struct(">HHBBH6s4s6s4s")
_ARP_START: Final = (1, 0x0800, ADDRESS_BYTES, 4)  # Ethernet, IPv4, and the lengths of their addresses

FIRST_NEIGHBOUR_TYPE: Final = 133  # router solicitation
LAST_NEIGHBOUR_TYPE: Final = 137  # redirect
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE_OPTION, _TARGET_OPTION = 1, 2
_NEIGHBOUR: Final = struct.Struct(">BBHI16s")  # type, code, checksum, flags, target
_HOP_LIMIT: Final = 255  # proves that no router forwarded it
_SOLICITED: Final = 1 << 30
_OVERRIDE: Final = 1 << 29
_OPTION_UNIT: Final = 8
_SOLICITED_NODE: Final = IPv6Address("ff02::1:ff00:0").packed[:13]


class ArpOperation(IntEnum):
    """What an ARP message is."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP message for IPv4 on Ethernet, without the frame's header."""

    operation: ArpOperation
    sender_mac: bytes
    sender: IPv4Address
    target_mac: bytes
    target: IPv4Address


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A neighbour solicitation: who has ``target``? Sent to all that may have it."""

    source: IPv6Address
    target: IPv6Address
    source_mac: bytes | None  # None if it did not say


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A neighbour advertisement that answers a solicitation: ``target`` has ``target_mac``."""

    source: IPv6Address
    destination: IPv6Address
    target: IPv6Address
    target_mac: bytes | None


def encode_frame(destination: bytes, source: bytes, protocol: int, payload: bytes) -> bytes:
    """An Ethernet frame, without padding and check sequence."""
    return ETHERNET_HEADER.pack(destination, source, protocol) + payload


def encode_arp(arp: Arp) -> bytes:
    return _ARP.pack(
        *_ARP_START, arp.operation, arp.sender_mac, arp.sender.packed, arp.target_mac, arp.target.packed
    )


def decode_arp(payload: bytes) -> Arp | None:
    """Read the payload of a frame with protocol ETH_P_ARP; padding may follow."""
    if len(payload) < _ARP.size:
        return None
    *start, operation, sender_mac, sender, target_mac, target = _ARP.unpack_from(payload)
    if tuple(start) != _ARP_START or operation not in (ArpOperation.REQUEST, ArpOperation.REPLY):
        return None
    return Arp(ArpOperation(operation), sender_mac, IPv4Address(sender), target_mac, IPv4Address(target))


def multicast_mac(address: IPv6Address) -> bytes:
    """Where frames to an IPv6 multicast address go."""
    return b"\x33\x33" + address.packed[12:]


def solicited_node(address: IPv6Address) -> IPv6Address:
    """The multicast address to which who looks for `address` sends."""
    return IPv6Address(_SOLICITED_NODE + address.packed[13:])


def encode_solicitation(solicitation: Solicitation) -> bytes:
    """The IPv6 packet; it goes to ``multicast_mac(solicited_node(target))``."""
    message = _NEIGHBOUR.pack(_SOLICITATION, 0, 0, 0, solicitation.target.packed)
    message += _encode_option(_SOURCE_OPTION, solicitation.source_mac)
    destination = solicited_node(solicitation.target)
    return encode_icmpv6(solicitation.source.packed, destination.packed, _HOP_LIMIT, message)


def encode_advertisement(advertisement: Advertisement) -> bytes:
    """The IPv6 packet, as an answer."""
    flags = _SOLICITED | _OVERRIDE
    message = _NEIGHBOUR.pack(_ADVERTISEMENT, 0, 0, flags, advertisement.target.packed)
    message += _encode_option(_TARGET_OPTION, advertisement.target_mac)
    source, destination = advertisement.source.packed, advertisement.destination.packed
    return encode_icmpv6(source, destination, _HOP_LIMIT, message)


def _encode_option(kind: int, mac: bytes | None) -> bytes:
    return b"" if mac is None else bytes((kind, 1)) + mac


def decode_neighbour(packet: bytes) -> Solicitation | Advertisement | None:
    """Read an IPv6 packet as a neighbour solicitation or advertisement, if it is a valid one."""
    decoded = decode_icmpv6(packet)
    if decoded is None:
        return None
    source, destination, hop_limit, message = decoded
    if hop_limit != _HOP_LIMIT or len(message) < _NEIGHBOUR.size:
        return None
    kind, code, _, _, target = _NEIGHBOUR.unpack_from(message)
    options = _decode_options(message[_NEIGHBOUR.size :])
    if code != 0 or IPv6Address(target).is_multicast or options is None:
        return None
    if kind == _SOLICITATION:
        return Solicitation(IPv6Address(source), IPv6Address(target), options.get(_SOURCE_OPTION))
    if kind == _ADVERTISEMENT:
        mac = options.get(_TARGET_OPTION)
        return Advertisement(IPv6Address(source), IPv6Address(destination), IPv6Address(target), mac)
    return None


def _decode_options(data: bytes) -> dict[int, bytes] | None:
    """The link-layer addresses in options, by kind; None if one is empty or cut."""
    addresses: dict[int, bytes] = {}
    while data:
        length = data[1] * _OPTION_UNIT if len(data) > 1 else 0
        if not 0 < length <= len(data):
            return None
        if length == _OPTION_UNIT:
            addresses[data[0]] = data[2:_OPTION_UNIT]
        data = data[length:]
    return addresses
