"""The packet data network behind the modem: one bearer for each channel, with the addresses of both ends.

    channel N   10.64.N.0/30: gateway .1, host .2      2001:db8:64:N::/64: gateway ::1

A bearer is up for IPv4, for IPv6, for both or not at all, and takes no packet longer than its MTU: one number
for each version says both, `limit4` and `limit6`, so that a packet costs one comparison.

Upwards a packet must come from its bearer: `check_uplink`, as the P-GW's anti-spoofing does. Downwards
`PacketDataNetwork` finds the bearer by the destination, in dicts, so that the cost does not grow with the
bearers. A router solicitation is answered with an advertisement, as a P-GW does, and goes no further; nothing
is advertised unasked, so an idle link falls silent.

It moves no packets: the wires are uplink.py and downlink.py, the world behind is a `NetDevice`.
Sources: RFC 4861 sections 4.1, 4.2, 6.1.1 (router discovery), RFC 4862 (SLAAC), RFC 8200 section 8.1
(checksum), 3GPP TS 23.401 section 5.3.1.2.2 (the P-GW advertises the bearer's own /64).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from bamdmux.counters import Counters, DropReason
from bamdmux.wire.dmux import CHANNEL_COUNT
from bamdmux.wire.icmp import IPV6_HEADER, checksum6, encode_icmpv6

IPV4_HEADER_BYTES: Final = 20
IPV6_HEADER_BYTES: Final = 40

# Offsets in a packet, and how they are read: whole, as numbers that are dict keys.
SOURCE4_OFFSET: Final = 12
DESTINATION4_OFFSET: Final = 16
NEXT_HEADER_OFFSET: Final = 6
SOURCE6_OFFSET: Final = 8
DESTINATION6_OFFSET: Final = 24
ADDRESS4: Final = struct.Struct(">I")
PREFIX6: Final = struct.Struct(">Q")  # the first half of an IPv6 address

# What `check_uplink` says of a packet that is not dropped; drops are negative.
PASSES: Final = 0
SOLICITATION: Final = 1  # answer it with `router_advertisement`; it goes no further

DEFAULT_MTU: Final = 1500
# A bearer for the native pump: prefix and address as they are compared, limits, whether the host has it open.
_RECORD: Final = struct.Struct("=QIIII")
_IS_OPEN: Final = struct.Struct("=I")
_RECORD_OPEN_OFFSET: Final = _RECORD.size - _IS_OPEN.size

_ROUTER_LIFETIME_SECONDS: Final = 9000  # the longest there is
_FOREVER: Final = 0xFFFF_FFFF
_ON_LINK_AUTONOMOUS: Final = 0xC0

_ROUTER: Final = IPv6Address("fe80::1").packed
_ALL_NODES: Final = IPv6Address("ff02::1").packed
_UNSPECIFIED: Final = bytes(16)
_HOP_LIMIT: Final = 255  # proves that no router forwarded it
_ICMPV6: Final = 58
_ROUTER_SOLICITATION: Final = 133
_ROUTER_ADVERTISEMENT: Final = 134
_ADVERTISEMENT: Final = struct.Struct(">BBHBBHII")
_PREFIX_OPTION: Final = struct.Struct(">BBBBIIIQQ")
_MTU_OPTION: Final = struct.Struct(">BBHI")


@dataclass(slots=True)
class Bearer:
    """The PDN connection of one channel.

    Args:
        mtu: the longest packet that it takes, in either direction, in bytes.
        record: where the native pump finds what it has to know.
    """

    channel: int
    mtu: int = DEFAULT_MTU
    record: memoryview = field(
        default_factory=lambda: memoryview(bytearray(_RECORD.size)), repr=False, compare=False
    )
    uplink: Counters = field(default_factory=Counters)
    downlink: Counters = field(default_factory=Counters)
    address4: IPv4Address = field(init=False)  # the host's
    gateway4: IPv4Address = field(init=False)
    prefix4_length: int = field(init=False, default=30)
    prefix6: IPv6Network = field(init=False)
    gateway6: IPv6Address = field(init=False)
    address4_key: int = field(init=False, repr=False)
    prefix6_key: int = field(init=False, repr=False)
    limit4: int = field(init=False, default=0)  # the longest IPv4 packet that passes; 0: none, IPv4 is down
    limit6: int = field(init=False, default=0)
    # Who resolves names, best first: what the network behind has, and tells.
    name_servers4: tuple[IPv4Address, ...] = field(init=False, default=())
    name_servers6: tuple[IPv6Address, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        assert 0 <= self.channel < CHANNEL_COUNT
        self.gateway4 = IPv4Address(f"10.64.{self.channel}.1")
        self.address4 = self.gateway4 + 1
        self.prefix6 = IPv6Network(f"2001:db8:64:{self.channel}::/64")
        self.gateway6 = self.prefix6[1]
        self.address4_key = int(self.address4)
        self.prefix6_key = int(self.prefix6.network_address) >> 64
        self.activate(4, 6)

    @property
    def address6(self) -> IPv6Address:
        """What the network suggests to a host that asks; any other address of the prefix is as good."""
        return self.prefix6[2]

    @property
    def is_up(self) -> bool:
        """Whether any packet can pass."""
        return bool(self.limit4 or self.limit6)

    @property
    def versions(self) -> tuple[int, ...]:
        """Of IP, those that are up: 4, 6."""
        return tuple(version for version, limit in ((4, self.limit4), (6, self.limit6)) if limit)

    def activate(self, *versions: int) -> None:
        """Let packets of these versions of IP pass."""
        self._set_limits(versions, self.mtu)

    def deactivate(self, *versions: int) -> None:
        """Let none of these versions pass any more."""
        self._set_limits(versions, 0)

    def _set_limits(self, versions: tuple[int, ...], limit: int) -> None:
        if 4 in versions:
            self.limit4 = limit
        if 6 in versions:
            self.limit6 = limit
        numbers = (self.prefix6_key, self.address4_key, self.limit4, self.limit6)
        _RECORD.pack_into(self.record, 0, *numbers, *_IS_OPEN.unpack_from(self.record, _RECORD_OPEN_OFFSET))


class PacketDataNetwork:
    """The bearers of a modem, by channel and by address."""

    def __init__(self, channels: Iterable[int], *, mtu: int = DEFAULT_MTU) -> None:
        self._records = memoryview(bytearray(CHANNEL_COUNT * _RECORD.size))
        self._recorded_open: list[bool] = []
        self.bearers: list[Bearer | None] = [None] * CHANNEL_COUNT
        for channel in channels:
            at = channel * _RECORD.size
            self.bearers[channel] = Bearer(channel, mtu, record=self._records[at : at + _RECORD.size])
        present = [bearer for bearer in self.bearers if bearer is not None]
        self.bearer_by_address4 = {bearer.address4_key: bearer for bearer in present}
        self.bearer_by_prefix6 = {bearer.prefix6_key: bearer for bearer in present}

    def records(self, host_open: list[bool]) -> memoryview:
        """All bearers as the native pump wants them, by channel.

        Args:
            host_open: whether the host has a channel open, for each.
        """
        if host_open != self._recorded_open:
            self._recorded_open = host_open[:]
            for channel, is_open in enumerate(host_open):
                _IS_OPEN.pack_into(self._records, channel * _RECORD.size + _RECORD_OPEN_OFFSET, is_open)
        return self._records


def check_uplink(bearer: Bearer, buffer: bytearray, start: int, length: int) -> int:
    """Say whether the network takes the packet in ``buffer[start : start + length]``, at least one byte.

    Returns:
        PASSES, SOLICITATION or a DropReason.
    """
    version = buffer[start] >> 4
    if version == 4:
        if length < IPV4_HEADER_BYTES:
            return DropReason.TRUNCATED
        if length > bearer.limit4:
            return _beyond(bearer.limit4)
        is_own = ADDRESS4.unpack_from(buffer, start + SOURCE4_OFFSET)[0] == bearer.address4_key
        return PASSES if is_own else DropReason.WRONG_SOURCE
    if version == 6:
        if length < IPV6_HEADER_BYTES:
            return DropReason.TRUNCATED
        if length > bearer.limit6:
            return _beyond(bearer.limit6)
        if PREFIX6.unpack_from(buffer, start + SOURCE6_OFFSET)[0] == bearer.prefix6_key:
            if buffer[start + NEXT_HEADER_OFFSET] != _ICMPV6:
                return PASSES
            packet = bytes(buffer[start : start + length])
            return SOLICITATION if is_router_solicitation(packet) else PASSES
        return _check_local(bytes(buffer[start : start + length]))
    return DropReason.NO_BEARER  # a bearer carries IP


def _beyond(limit: int) -> DropReason:
    """Why a packet that is longer than a limit does not pass."""
    return DropReason.LONGER_THAN_MTU if limit else DropReason.NO_BEARER


def _check_local(packet: bytes) -> int:
    """What is left of IPv6: link-local sources; and none at all, which only a solicitation may have."""
    source = source6(packet)
    is_link_local = source[0] == 0xFE and source[1] & 0xC0 == 0x80
    if (is_link_local or source == _UNSPECIFIED) and is_router_solicitation(packet):
        return SOLICITATION
    return PASSES if is_link_local else DropReason.WRONG_SOURCE


def source6(packet: bytes) -> bytes:
    return packet[SOURCE6_OFFSET : SOURCE6_OFFSET + 16]


def is_router_solicitation(packet: bytes) -> bool:
    """Whether an IPv6 packet is a valid router solicitation; RFC 4861 section 6.1.1.

    One behind an extension header is none for us: no host sends it so.
    """
    _, payload_bytes, next_header, hop_limit, source, destination = IPV6_HEADER.unpack_from(packet)
    payload = packet[IPV6_HEADER_BYTES:]
    return (
        next_header == _ICMPV6
        and hop_limit == _HOP_LIMIT
        and len(payload) == payload_bytes >= 8
        and payload[:2] == bytes((_ROUTER_SOLICITATION, 0))
        and checksum6(source, destination, _ICMPV6, payload) == 0
    )


def router_advertisement(bearer: Bearer, solicitor: bytes) -> bytes:
    """The packet that answers a solicitation from the address ``solicitor``, 16 bytes."""
    destination = _ALL_NODES if solicitor == _UNSPECIFIED else solicitor
    # Current hop limit 64, no DHCPv6, reachable and retransmission time unspecified.
    body = _ADVERTISEMENT.pack(_ROUTER_ADVERTISEMENT, 0, 0, 64, 0, _ROUTER_LIFETIME_SECONDS, 0, 0)
    options = _PREFIX_OPTION.pack(3, 4, 64, _ON_LINK_AUTONOMOUS, _FOREVER, _FOREVER, 0, bearer.prefix6_key, 0)
    options += _MTU_OPTION.pack(5, 1, 0, bearer.mtu)
    return encode_icmpv6(_ROUTER, destination, _HOP_LIMIT, body + options)
