"""Packets and super-packets for tests of wire/offload.py and of the native pump, their checksums scapy's."""

import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.packet import Packet, Raw

from bamdmux.wire.offload import (
    GSO_ECN,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    NEEDS_CSUM,
    VNET_HEADER,
    VnetHeader,
)

OPTIONS = {
    "none": [],
    "timestamps": [("NOP", None), ("NOP", None), ("Timestamp", (7, 8))],
    "forty bytes": [
        ("SAck", (1, 2, 3, 4, 5, 6)),
        ("Timestamp", (7, 8)),
        ("NOP", None),
        ("NOP", None),
        ("EOL", None),
    ],
}
EXTENSIONS = {"none": (), "hop-by-hop": (IPv6ExtHdrHopByHop,), "two": (IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt)}


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A packet of TCP or UDP by the fields that matter; lengths and checksums are right."""

    protocol: str = "TCP"
    version: int = 4
    payload: bytes = field(default=b"payload", repr=False)
    host: int = 2
    channel: int = 0  # whose bearer's addresses the host has
    is_to_host: bool = False
    port: int = 1000
    flags: str = "A"
    sequence: int = 7
    acknowledgment: int = 9
    window: int = 4096
    urgent: int = 0
    reserved: int = 0
    options: str = "none"
    service: int = 0
    limit: int = 64  # time to live, hop limit
    identification: int = 100
    ip_flags: str = "DF"
    label: int = 0
    extensions: str = "none"
    ip_options: bytes = b""

    def layers(self) -> Packet:
        """As scapy sees it."""
        ip: Packet
        host, world = f"10.64.{self.channel}.{self.host}", f"10.64.{self.channel}.1"
        if self.version == 6:
            host, world = (f"2001:db8:64:{self.channel}::{last}" for last in (self.host, 1))
        source, destination = (world, host) if self.is_to_host else (host, world)
        if self.version == 4:
            ip = IP(
                src=source,
                dst=destination,
                id=self.identification & 0xFFFF,
                flags=self.ip_flags,
                tos=self.service,
                ttl=self.limit,
                options=[Raw(self.ip_options)] if self.ip_options else [],
            )
        else:
            ip = IPv6(
                src=source,
                dst=destination,
                tc=self.service,
                fl=self.label,
                hlim=self.limit,
            )
            for extension in EXTENSIONS[self.extensions]:
                ip = ip / extension()
        if self.protocol == "UDP":
            return ip / UDP(sport=self.port, dport=80) / Raw(self.payload)
        tcp = TCP(
            sport=self.port,
            dport=80,
            seq=self.sequence & 0xFFFF_FFFF,
            ack=self.acknowledgment,
            flags=self.flags,
            window=self.window,
            urgptr=self.urgent,
            reserved=self.reserved,
            options=OPTIONS[self.options],
        )
        return ip / tcp / Raw(self.payload)

    def packet(self) -> bytes:
        return bytes(self.layers())

    def next(self, **changes: Any) -> "Segment":
        """The segment of the flow that comes behind this one."""
        following = {
            "sequence": self.sequence + len(self.payload),
            "identification": self.identification + 1,
        }
        return replace(self, **{**following, **changes})

    @property
    def transport_at(self) -> int:
        transport = self.layers()[self.protocol]
        return len(self.packet()) - len(transport)

    def super_packet(self, segment_bytes: int) -> tuple[bytes, bytes]:
        """virtio_net_hdr and packet, as a kernel gives a super-packet whose checksum is left to us."""
        packet, at = bytearray(self.packet()), self.transport_at
        is_tcp = self.protocol == "TCP"
        checksum_at = 16 if is_tcp else 6
        gso_type = GSO_UDP_L4 if not is_tcp else GSO_TCPV4 if self.version == 4 else GSO_TCPV6
        if "C" in self.flags:
            gso_type |= GSO_ECN
        header_bytes = at + ((packet[at + 12] >> 4) * 4 if is_tcp else 8)
        put_partial(packet, at, 6 if is_tcp else 17, at + checksum_at)
        vnet = VnetHeader(NEEDS_CSUM, gso_type, header_bytes, segment_bytes, at, checksum_at)
        return VNET_HEADER.pack(*vnet), bytes(packet)


def put_partial(packet: bytearray, transport_at: int, protocol: int, checksum_at: int) -> None:
    """Put the sum of the pseudo-header where the checksum will be."""
    addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    pseudo = bytes(addresses) + struct.pack(">II", len(packet) - transport_at, protocol)
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into(">H", packet, checksum_at, total)


def bare_checksum(segment: Segment) -> bytes:
    """UDP over IPv4 whose checksum is 0, which says that there is none, though the sum comes out right."""
    packet = bytearray(replace(segment, payload=b"\0\0" + segment.payload[2:]).packet())
    packet[28:30] = packet[26:28]  # what is missing to all ones goes into the payload
    packet[26:28] = b"\0\0"
    return bytes(packet)


def udp_of_length(segment: Segment, length: int) -> bytes:
    """UDP over IPv4 with another length, and with a checksum that would be right but for that."""
    packet = bytearray(segment.packet())
    was, checksum = struct.unpack_from(">HH", packet, 24)
    struct.pack_into(">HH", packet, 24, length, (checksum + was - length) % 0xFFFF)
    return bytes(packet)


def rechecksummed(packet: bytes) -> bytes:
    """The packet with lengths and checksums anew, as scapy puts them."""
    layers = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
    if IP in layers:
        del layers[IP].chksum, layers[IP].len
    else:
        del layers[IPv6].plen
    transport = TCP if TCP in layers else UDP
    del layers[transport].chksum
    if transport is UDP:
        del layers[UDP].len
    return bytes(layers)


def payload_of(packet: bytes) -> bytes:
    layers = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
    return bytes(layers[TCP if TCP in layers else UDP].payload)


def pattern(length: int, seed: int = 0) -> bytes:
    """Bytes that are not the same everywhere."""
    return bytes((seed + 7 * i + (i >> 8)) & 0xFF for i in range(length))


FLAGS = st.sampled_from(["A", "PA", "FA", "FPA", "EA", "CA", "CEPA", "A", "A"])

# Any packet that a kernel may make a super-packet of.
BIG_SEGMENTS = st.builds(
    Segment,
    protocol=st.sampled_from(["TCP", "UDP"]),
    version=st.sampled_from([4, 6]),
    payload=st.builds(
        pattern, st.one_of(st.integers(1, 300), st.integers(1, 20_000), st.just(65_000)), st.integers(0, 255)
    ),
    flags=FLAGS,
    sequence=st.sampled_from([7, 0xFFFF_FFFF, 0xFFFF_FF00]),
    options=st.sampled_from(sorted(OPTIONS)),
    service=st.integers(0, 255),
    identification=st.sampled_from([0, 100, 0xFFFF, 0xFFF0]),
    ip_flags=st.sampled_from(["", "DF"]),
    label=st.sampled_from([0, 0xABCDE]),
    extensions=st.sampled_from(["none", "none", "hop-by-hop", "two"]),
    ip_options=st.sampled_from([b"", b"", b"\x01\x01\x01\x00"]),
)


@st.composite
def super_packets(draw: st.DrawFn) -> tuple[Segment, int]:
    """A big segment, and the size of those that it is to become: 1 to some 100, or more than there is."""
    segment = draw(BIG_SEGMENTS)
    length = len(segment.payload)
    return segment, draw(st.integers(max(1, length // 100), min(65_535, length + 10)))


# What a segment may differ in from the one that would continue a flow.
CHANGES: Final[list[dict[str, Any]]] = [
    *({"acknowledgment": 10}, {"window": 1}, {"urgent": 5}, {"service": 3}, {"limit": 63}, {"label": 5}),
    *({"flags": flags} for flags in ("PA", "FA", "SA", "RA", "UA", "CA", "EA", "", "P")),
    *({"payload": payload} for payload in (b"", b"short", bytes(1400))),
    *({"ip_flags": ""}, {"ip_flags": "MF"}, {"ip_flags": "DF+evil"}, {"ip_options": b"\x01\x01\x01\x00"}),
    *({"sequence": 1}, {"identification": 7}, {"options": "timestamps"}, {"extensions": "hop-by-hop"}),
    *({"port": 1001}, {"host": 3}, {"protocol": "UDP"}, {"protocol": "TCP"}, {"reserved": 1}),
]


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Packets of some flows, interleaved, mostly as they would follow one another; each with its channel."""
    flows = draw(
        st.lists(
            st.builds(
                Segment,
                protocol=st.sampled_from(["TCP", "TCP", "UDP"]),
                version=st.sampled_from([4, 6]),
                port=st.integers(1, 12),
                payload=st.integers(1, 60).map(pattern),
                identification=st.sampled_from([0, 0xFFFE]),
                sequence=st.sampled_from([0, 0xFFFF_FFF0]),
                options=st.sampled_from(["none", "timestamps"]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    result = []
    for _ in range(draw(st.integers(1, 40))):
        index = draw(st.integers(0, len(flows) - 1))
        kind = draw(st.integers(0, 9))
        segment = flows[index]
        if kind == 0:
            segment = replace(segment, **draw(st.sampled_from(CHANGES)))
        packet = segment.packet()
        if kind == 1:  # something is wrong somewhere
            at = draw(st.integers(0, len(packet) - 1))
            packet = packet[:at] + bytes((packet[at] ^ 1 << draw(st.integers(0, 7)),)) + packet[at + 1 :]
        elif kind == 2:
            packet = packet[: draw(st.integers(1, len(packet)))] + draw(
                st.sampled_from([b"", b"", b"behind"])
            )
        result.append((draw(st.sampled_from([0, 0, 0, 0, 1])), packet))
        flows[index] = segment.next(payload=pattern(len(flows[index].payload), seed=len(result)))
    return result
