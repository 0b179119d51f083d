"""Super-packets: many segments of one flow in one packet, as a TUN with offloads gives and takes them.

    virtio_net_hdr: u8 flags | u8 gso_type | u16 hdr_len, gso_size, csum_start, csum_offset, little-endian

`segment` makes of such a packet the packets that it stands for, each with its own lengths, numbers and
checksums. `coalesce` goes the other way, and merges only what `segment` would make the same packets of again.
Packets of a flow never change their order; one that must stay as it is ends what it might have joined.

A sender that leaves a checksum to us writes the sum of the pseudo-header where it will be. That sum is
believed: with IPv6 extension headers it may speak of another destination than the header does.

This is the reference for the native pump (_pump.c), which tests hold equal to it byte for byte; nothing else
uses it, for without the pump no TUN offers offloads. It knows no frames and no rings.

Sources: VIRTIO 1.2 section 5.1.6 (the header; packets of both directions), RFC 1071 (checksum), RFC 1624 (one
of which a field changes), RFC 9293 section 3.1 (TCP), RFC 768 (UDP), RFC 8200 section 8.1 (pseudo-header).
What may be merged is what the kernel's GRO merges: inet_gro_receive(), ipv6_gro_receive(), tcp_gro_receive()
and udp_gro_receive_segment() of Linux 6.1.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from bamdmux.errors import MalformedPacket
from bamdmux.wire.icmp import checksum

VNET_HEADER: Final = struct.Struct("<BBHHHH")
NO_OFFLOAD: Final = bytes(VNET_HEADER.size)  # before a packet that is just a packet

# include/uapi/linux/virtio_net.h
NEEDS_CSUM: Final = 1
GSO_NONE: Final = 0
GSO_TCPV4: Final = 1
GSO_TCPV6: Final = 4
GSO_UDP_L4: Final = 5
GSO_ECN: Final = 0x80

MAX_PACKET_BYTES: Final = 0xFFFF
MAX_HEADER_BYTES: Final = 256  # of IP and TCP in a super-packet; all but IPv6 extensions need 120 at most
MAX_FLOWS: Final = 8  # that are merged at a time: one more writes the oldest
MAX_UDP_SEGMENTS: Final = 64  # UDP_GRO_CNT_MAX; a TUN refuses more (UDP_MAX_SEGMENTS, 64 or 128)

TCP: Final = 6
UDP: Final = 17
_IPV4_BYTES: Final = 20
_IPV6_BYTES: Final = 40
_TCP_BYTES: Final = 20
_UDP_BYTES: Final = 8
_FRAGMENT_MASK: Final = 0x3FFF  # more fragments, and the offset

# Offsets in the header of TCP or UDP.
_SEQUENCE: Final = 4
_UDP_LENGTH: Final = 4
_UDP_CHECKSUM: Final = 6
_ACKNOWLEDGMENT: Final = 8
_DATA_OFFSET: Final = 12
_FLAGS: Final = 13
_WINDOW: Final = 14
_TCP_CHECKSUM: Final = 16
_URGENT: Final = 18

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16
URG: Final = 32
CWR: Final = 128

_CHECKSUM_OFFSET: Final = {TCP: _TCP_CHECKSUM, UDP: _UDP_CHECKSUM}
_TYPES: Final = {(4, TCP): GSO_TCPV4, (6, TCP): GSO_TCPV6, (4, UDP): GSO_UDP_L4, (6, UDP): GSO_UDP_L4}
_PROTOCOLS: Final = {(version, gso_type): protocol for (version, protocol), gso_type in _TYPES.items()}


class VnetHeader(NamedTuple):
    """The fields of struct virtio_net_hdr."""

    flags: int
    gso_type: int
    hdr_len: int  # a hint, which nobody follows here
    gso_size: int
    csum_start: int
    csum_offset: int


class Lie(Enum):
    """What cannot be true of a packet and its virtio_net_hdr."""

    NO_PACKET = "there is no packet"
    CHECKSUM_OUTSIDE = "the checksum lies outside of the packet"
    NO_SEGMENT_SIZE = "segments of no bytes"
    NO_CHECKSUM = "a super-packet whose checksum is not left to us"
    WRONG_TYPE = "its type is not that of its headers"
    WRONG_LENGTH = "the packet is not as long as its IP header says"
    WRONG_HEADERS = "headers that are no headers"
    NO_PAYLOAD = "nothing behind the headers"


# -- From the kernel --


def segment(vnet_header: bytes, packet: bytes) -> list[bytes]:
    """The packets that a packet of a TUN stands for, in order: often just itself.

    Raises:
        MalformedPacket: the headers lie; its ``reason`` is a `Lie`.
    """
    vnet = VnetHeader(*VNET_HEADER.unpack(vnet_header))
    if not packet:
        raise _lie(Lie.NO_PACKET)
    if vnet.gso_type & ~GSO_ECN != GSO_NONE:
        plan = _plan(vnet, packet)
        return [plan.segment(at) for at in range(plan.header_bytes, len(packet), plan.segment_bytes)]
    if vnet.flags & NEEDS_CSUM:
        return [_complete_checksum(packet, vnet.csum_start, vnet.csum_start + vnet.csum_offset)]
    return [packet]


def _complete_checksum(packet: bytes, start: int, at: int) -> bytes:
    """Put the checksum of everything from `start` on where the sum of the pseudo-header is."""
    if at + 2 > len(packet):
        raise _lie(Lie.CHECKSUM_OUTSIDE)
    # 0 is written as what means the same, for in UDP it means none; as skb_checksum_help() does.
    return packet[:at] + (checksum(packet[start:]) or 0xFFFF).to_bytes(2, "big") + packet[at + 2 :]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a super-packet is taken apart."""

    packet: bytes
    protocol: int
    ip_bytes: int
    header_bytes: int
    segment_bytes: int

    def segment(self, at: int) -> bytes:
        """The packet whose payload begins at `at`."""
        index = (at - self.header_bytes) // self.segment_bytes
        payload = self.packet[at : at + self.segment_bytes]
        ip = bytearray(self.packet[: self.ip_bytes])
        transport = bytearray(self.packet[self.ip_bytes : self.header_bytes])
        if ip[0] >> 4 == 4:
            _put16(ip, 4, _get16(ip, 4) + index)  # identification
        _put_ip_length(ip, len(transport) + len(payload))
        if self.protocol == UDP:
            _put16(transport, _UDP_LENGTH, len(transport) + len(payload))
        else:
            _put32(transport, _SEQUENCE, _get32(transport, _SEQUENCE) + index * self.segment_bytes)
            if at + len(payload) < len(self.packet):
                transport[_FLAGS] &= ~(FIN | PSH)  # of the last segment
            if index:
                transport[_FLAGS] &= ~CWR  # of the first one: RFC 3168 section 6.1.2
        # The sum of the pseudo-header, corrected by what is different there: the length.
        checksum_at = _CHECKSUM_OFFSET[self.protocol]
        partial = _get16(transport, checksum_at) - len(self.packet) + self.header_bytes + len(payload)
        _put16(transport, checksum_at, partial % 0xFFFF)
        value = checksum(bytes(transport + payload))
        _put16(transport, checksum_at, value or (0xFFFF if self.protocol == UDP else 0))
        return bytes(ip + transport + payload)


def _plan(vnet: VnetHeader, packet: bytes) -> _Plan:
    if not vnet.gso_size:
        raise _lie(Lie.NO_SEGMENT_SIZE)
    if not vnet.flags & NEEDS_CSUM:
        raise _lie(Lie.NO_CHECKSUM)
    version, ip_bytes = packet[0] >> 4, vnet.csum_start
    protocol = _PROTOCOLS.get((version, vnet.gso_type & ~GSO_ECN), 0)
    if vnet.csum_offset != _CHECKSUM_OFFSET.get(protocol):
        raise _lie(Lie.WRONG_TYPE)
    _check_ip(packet, version, ip_bytes, protocol)
    transport_bytes = _UDP_BYTES
    if protocol == TCP:
        if ip_bytes + _TCP_BYTES > len(packet):
            raise _lie(Lie.WRONG_HEADERS)
        transport_bytes = _tcp_bytes(packet, ip_bytes)
        if transport_bytes < _TCP_BYTES:
            raise _lie(Lie.WRONG_HEADERS)
    header_bytes = ip_bytes + transport_bytes
    if header_bytes > MAX_HEADER_BYTES:
        raise _lie(Lie.WRONG_HEADERS)
    if header_bytes >= len(packet):
        raise _lie(Lie.NO_PAYLOAD)
    return _Plan(packet, protocol, ip_bytes, header_bytes, vnet.gso_size)


def _check_ip(packet: bytes, version: int, ip_bytes: int, protocol: int) -> None:
    """Whether the IP header of a super-packet is one, ends at `ip_bytes`, and leads to the protocol."""
    minimum = _IPV4_BYTES if version == 4 else _IPV6_BYTES
    if not minimum <= ip_bytes <= len(packet):
        raise _lie(Lie.WRONG_HEADERS)
    if version == 4:
        is_right = (packet[0] & 0xF) * 4 == ip_bytes and packet[9] == protocol
        if not is_right or _get16(packet, 6) & _FRAGMENT_MASK:
            raise _lie(Lie.WRONG_HEADERS)
        length = _get16(packet, 2)
    else:
        # Behind extension headers there may be anything; the sender knows, and its partial checksum says it.
        if ip_bytes == _IPV6_BYTES and packet[6] != protocol:
            raise _lie(Lie.WRONG_HEADERS)
        length = _IPV6_BYTES + _get16(packet, 4)
    if length != len(packet):
        raise _lie(Lie.WRONG_LENGTH)


def _lie(reason: Lie) -> MalformedPacket:
    return MalformedPacket(reason, reason.value)


# -- To the kernel --


def coalesce(packets: Iterable[tuple[int, bytes]], merges_udp: bool) -> list[tuple[bytes, bytes]]:
    """Merge what belongs together.

    Args:
        packets: each with its channel; those of different channels are never merged.
        merges_udp: whether the kernel takes super-packets of UDP, as it does since Linux 6.2.

    Returns:
        virtio_net_hdr and packet of each one to write, in the order in which that is done.
    """
    flows: list[_Flow] = []
    written: list[tuple[bytes, bytes]] = []

    def end(*ended: _Flow) -> None:
        for flow in ended:
            flows.remove(flow)
            written.append(flow.super_packet())

    for channel, packet in packets:
        headers = _read_headers(packet, merges_udp)
        if headers is None:
            end(*flows)  # it may belong to any of them: a fragment, say
            written.append((NO_OFFLOAD, packet))
            continue
        flow = next((each for each in flows if each.is_of(packet, headers)), None)
        if flow is not None and flow.channel == channel and flow.is_continued_by(packet, headers):
            flow.append(packet, headers)
            if flow.is_last:
                end(flow)
            continue
        if flow is not None:
            end(flow)
        if not headers.may_merge or headers.is_last:
            written.append((NO_OFFLOAD, packet))
            continue
        if len(flows) == MAX_FLOWS:
            end(flows[0])
        flows.append(_Flow(channel, packet, headers))
    end(*flows)
    return written


@dataclass(frozen=True, slots=True)
class _Headers:
    """What there is to know of a packet of TCP or UDP."""

    protocol: int
    ip_bytes: int
    header_bytes: int
    may_merge: bool  # in order, with a payload, and with nothing that must stay as it is
    is_last: bool  # nothing may be merged behind it


def _read_headers(packet: bytes, merges_udp: bool) -> _Headers | None:
    """Read the headers of a packet; None if it belongs to no flow that we could tell."""
    version = packet[0] >> 4
    if version == 4 and len(packet) >= _IPV4_BYTES and packet[0] & 0xF == 5:
        if _get16(packet, 6) & _FRAGMENT_MASK:
            return None
        ip_bytes, protocol = _IPV4_BYTES, packet[9]
        is_right = _get16(packet, 2) == len(packet) and checksum(packet[:_IPV4_BYTES]) == 0
    elif version == 6 and len(packet) >= _IPV6_BYTES:
        ip_bytes, protocol = _IPV6_BYTES, packet[6]
        is_right = _IPV6_BYTES + _get16(packet, 4) == len(packet)
    else:
        return None
    room = len(packet) - ip_bytes
    if protocol == TCP and room >= _TCP_BYTES and _TCP_BYTES <= _tcp_bytes(packet, ip_bytes) <= room:
        transport_bytes = _tcp_bytes(packet, ip_bytes)
        flags = packet[ip_bytes + _FLAGS]
        is_right = is_right and flags & (ACK | SYN | RST | URG | CWR) == ACK
        is_last = bool(flags & (FIN | PSH))
    elif protocol == UDP and room >= _UDP_BYTES:
        transport_bytes = _UDP_BYTES
        has_checksum = _get16(packet, ip_bytes + _UDP_CHECKSUM) != 0
        is_right = is_right and merges_udp and has_checksum and _get16(packet, ip_bytes + _UDP_LENGTH) == room
        is_last = False
    else:
        return None
    # The kernel will not look at the checksum of a super-packet: a wrong one must not get in.
    may_merge = is_right and room > transport_bytes and _is_checksum_right(packet, ip_bytes, protocol)
    return _Headers(protocol, ip_bytes, ip_bytes + transport_bytes, may_merge, is_last)


def _is_checksum_right(packet: bytes, ip_bytes: int, protocol: int) -> bool:
    return checksum(_pseudo_header(packet, ip_bytes, protocol) + packet[ip_bytes:]) == 0


class _Flow:
    """Packets that become one, or stay the one that they are."""

    def __init__(self, channel: int, packet: bytes, headers: _Headers) -> None:
        self.channel = channel
        self.is_last = False
        self._headers = headers
        self._merged = bytearray(packet)
        self._count = 1
        self._segment_bytes = len(packet) - headers.header_bytes

    def is_of(self, packet: bytes, headers: _Headers) -> bool:
        """Whether a packet has the addresses and ports of this flow."""
        ours = self._headers
        addresses = slice(*((12, 20) if headers.ip_bytes == _IPV4_BYTES else (8, 40)))
        ports = slice(headers.ip_bytes, headers.ip_bytes + 4)
        return (
            (ours.ip_bytes, ours.protocol) == (headers.ip_bytes, headers.protocol)
            and self._merged[addresses] == packet[addresses]
            and self._merged[ports] == packet[ports]
        )

    def is_continued_by(self, packet: bytes, headers: _Headers) -> bool:
        """Whether a packet of the flow is what `segment` would give next."""
        payload_bytes = len(packet) - headers.header_bytes
        return (
            headers.may_merge
            and headers.header_bytes == self._headers.header_bytes
            and payload_bytes <= self._segment_bytes
            and len(self._merged) + payload_bytes <= MAX_PACKET_BYTES
            and self._is_same_ip(packet)
            and (self._is_next_of_tcp(packet) if headers.protocol == TCP else self._count < MAX_UDP_SEGMENTS)
        )

    def _is_same_ip(self, packet: bytes) -> bool:
        ours = self._merged
        if packet[0] >> 4 == 6:  # traffic class, flow label; hop limit
            return ours[:4] == packet[:4] and ours[7] == packet[7]
        return (
            ours[1] == packet[1]  # type of service
            and ours[6:8] == packet[6:8]  # don't fragment
            and ours[8] == packet[8]  # time to live
            and (_get16(ours, 4) + self._count) & 0xFFFF == _get16(packet, 4)  # identification
        )

    def _is_next_of_tcp(self, packet: bytes) -> bool:
        at, end = self._headers.ip_bytes, self._headers.header_bytes
        ours, theirs = self._merged[at:end], packet[at:end]
        sequence = _get32(ours, _SEQUENCE) + len(self._merged) - end
        return (
            sequence & 0xFFFF_FFFF == _get32(theirs, _SEQUENCE)
            and ours[_ACKNOWLEDGMENT:_FLAGS] == theirs[_ACKNOWLEDGMENT:_FLAGS]
            and ours[_FLAGS] == theirs[_FLAGS] & ~(FIN | PSH)
            and ours[_WINDOW:_TCP_CHECKSUM] == theirs[_WINDOW:_TCP_CHECKSUM]
            and ours[_URGENT:] == theirs[_URGENT:]  # and options
        )

    def append(self, packet: bytes, headers: _Headers) -> None:
        """Merge a packet that continues the flow."""
        payload = packet[headers.header_bytes :]
        self._merged += payload
        self._count += 1
        if headers.protocol == TCP:
            self._merged[headers.ip_bytes + _FLAGS] |= packet[headers.ip_bytes + _FLAGS]
        self.is_last = headers.is_last or len(payload) < self._segment_bytes

    def super_packet(self) -> tuple[bytes, bytes]:
        """virtio_net_hdr and packet, with the sum of the pseudo-header where the checksum will be."""
        if self._count == 1:
            return NO_OFFLOAD, bytes(self._merged)
        ip_bytes, header_bytes = self._headers.ip_bytes, self._headers.header_bytes
        protocol, checksum_at = self._headers.protocol, _CHECKSUM_OFFSET[self._headers.protocol]
        ip, transport = self._merged[:ip_bytes], self._merged[ip_bytes:]
        _put_ip_length(ip, len(transport))
        if protocol == UDP:
            _put16(transport, _UDP_LENGTH, len(transport))
        _put16(transport, checksum_at, ~checksum(_pseudo_header(ip + transport, ip_bytes, protocol)))
        gso_type = _TYPES[ip[0] >> 4, protocol]
        vnet = VnetHeader(NEEDS_CSUM, gso_type, header_bytes, self._segment_bytes, ip_bytes, checksum_at)
        return VNET_HEADER.pack(*vnet), bytes(ip + transport)


# -- Bytes --


def _pseudo_header(packet: bytes | bytearray, ip_bytes: int, protocol: int) -> bytes:
    addresses = bytes(packet[12:20] if packet[0] >> 4 == 4 else packet[8:40])
    return addresses + struct.pack(">II", len(packet) - ip_bytes, protocol)


def _put_ip_length(ip: bytearray, payload_bytes: int) -> None:
    """Put the length of what follows into an IP header, and what else goes with it."""
    if ip[0] >> 4 == 4:
        _put16(ip, 2, len(ip) + payload_bytes)
        _put16(ip, 10, 0)
        _put16(ip, 10, checksum(bytes(ip)))
    else:
        _put16(ip, 4, len(ip) - _IPV6_BYTES + payload_bytes)


def _tcp_bytes(packet: bytes, ip_bytes: int) -> int:
    return (packet[ip_bytes + _DATA_OFFSET] >> 4) * 4


def _get16(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _get32(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _put16(data: bytearray, at: int, value: int) -> None:
    data[at : at + 2] = (value & 0xFFFF).to_bytes(2, "big")


def _put32(data: bytearray, at: int, value: int) -> None:
    data[at : at + 4] = (value & 0xFFFF_FFFF).to_bytes(4, "big")
