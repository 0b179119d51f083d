"""Super-packets, held against scapy; and what was merged comes apart into what it was."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from bamdmux.errors import MalformedPacket
from bamdmux.wire.offload import (
    GSO_ECN,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    MAX_FLOWS,
    MAX_UDP_SEGMENTS,
    NEEDS_CSUM,
    NO_OFFLOAD,
    VNET_HEADER,
    Lie,
    VnetHeader,
    coalesce,
    segment,
)
from tests.super_packets import (
    Segment,
    bare_checksum,
    pattern,
    payload_of,
    put_partial,
    rechecksummed,
    super_packets,
    traffic,
    udp_of_length,
)

TCP4, TCP6 = Segment(payload=pattern(250)), Segment(payload=pattern(250), version=6)
UDP4, UDP6 = replace(TCP4, protocol="UDP"), replace(TCP6, protocol="UDP")


def coalesced(*packets: Segment | bytes, merges_udp: bool = True) -> list[tuple[bytes, bytes]]:
    raw = [packet.packet() if isinstance(packet, Segment) else packet for packet in packets]
    return coalesce([(0, packet) for packet in raw], merges_udp)


def taken_apart(written: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [packet for vnet_header, super_packet in written for packet in segment(vnet_header, super_packet)]


def by_flow(packets: list[bytes]) -> dict[bytes, list[bytes]]:
    """Packets by what a flow is told by: addresses, protocol, ports."""
    flows: dict[bytes, list[bytes]] = {}
    for packet in packets:
        key = packet[9:10] + packet[12:24] if packet[0] >> 4 == 4 else packet[6:7] + packet[8:44]
        flows.setdefault(key, []).append(packet)
    return flows


def test_the_numbers_are_those_of_the_kernel() -> None:
    """include/uapi/linux/virtio_net.h; a header is little-endian, as TUNs of such machines have it."""
    assert (NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, GSO_ECN) == (1, 1, 4, 5, 0x80)
    assert VNET_HEADER.pack(1, 2, 0x0403, 0x0605, 0x0807, 0x0A09) == bytes(range(1, 11))
    assert (MAX_FLOWS, MAX_UDP_SEGMENTS) == (8, 64)


# -- Segments --


@settings(deadline=None)
@given(super_packets())
def test_segments_are_what_scapy_would_have_sent(big: tuple[Segment, int]) -> None:
    whole, segment_bytes = big
    segments = segment(*whole.super_packet(segment_bytes))
    assert b"".join(payload_of(each) for each in segments) == whole.payload
    assert all(len(payload_of(each)) == segment_bytes for each in segments[:-1])
    for each in segments[:3] + segments[-2:]:
        assert each == rechecksummed(each)


@pytest.mark.parametrize("whole", [TCP4, TCP6])
def test_sequence_numbers_go_on_from_segment_to_segment(whole: Segment) -> None:
    segments = segment(*whole.super_packet(100))
    layers = [IP(each) if whole.version == 4 else IPv6(each) for each in segments]
    assert [each[TCP].seq for each in layers] == [7, 107, 207]


def test_sequence_number_and_identification_wrap() -> None:
    whole = replace(TCP4, sequence=0xFFFF_FFFF, identification=0xFFFF)
    layers = [IP(each) for each in segment(*whole.super_packet(100))]
    assert [(each[TCP].seq, each.id) for each in layers] == [(0xFFFF_FFFF, 0xFFFF), (99, 0), (199, 1)]


def test_fin_and_psh_are_of_the_last_segment_and_cwr_of_the_first() -> None:
    segments = segment(*replace(TCP4, flags="FPACE").super_packet(100))
    assert [set(str(IP(each)[TCP].flags)) for each in segments] == [set("AEC"), set("AE"), set("FPAE")]


def with_a_sum_of_all_ones(whole: Segment) -> Segment:
    """The same over IPv4, with two bytes of payload that make the checksum 0, or what UDP has for that."""
    zeros = replace(whole, payload=bytes(2))
    missing = IP(zeros.packet())[whole.protocol].chksum
    return replace(zeros, payload=missing.to_bytes(2, "big"))


@pytest.mark.parametrize(("whole", "expected"), [(TCP4, 0), (UDP4, 0xFFFF)])
def test_a_checksum_of_zero_is_none_in_udp_and_one_like_others_in_tcp(whole: Segment, expected: int) -> None:
    (single,) = segment(*with_a_sum_of_all_ones(whole).super_packet(100))
    assert IP(single)[whole.protocol].chksum == expected
    assert single == rechecksummed(single)


def test_a_packet_without_offloads_is_passed_on_as_it_is() -> None:
    assert segment(NO_OFFLOAD, b"anything") == [b"anything"]


@pytest.mark.parametrize("whole", [TCP4, TCP6, UDP4, UDP6])
def test_a_partial_checksum_is_completed(whole: Segment) -> None:
    vnet_header, packet = whole.super_packet(100)
    vnet = VnetHeader(*VNET_HEADER.unpack(vnet_header))._replace(gso_type=0, gso_size=0)
    assert segment(VNET_HEADER.pack(*vnet), packet) == [whole.packet()]


def test_a_partial_checksum_of_anything_is_completed() -> None:
    vnet_header = VNET_HEADER.pack(NEEDS_CSUM, 0, 0, 0, 3, 2)
    assert segment(vnet_header, bytes(3) + b"\x12\x34\x00\x01") == [bytes(3) + b"\x12\x34\xed\xca"]
    assert segment(vnet_header, bytes(7)) == [bytes(5) + b"\xff\xff"]
    assert segment(vnet_header, bytes(3) + b"\xff\xff\x00\x00") == [bytes(3) + b"\xff\xff\xff\xff"]


def test_behind_extension_headers_the_partial_checksum_knows_the_destination() -> None:
    # As with a routing header: the pseudo-header has an address that the IPv6 header has not.
    vnet_header, packet = replace(TCP6, extensions="two").super_packet(100)
    there = packet[:39] + b"\x77" + packet[40:]
    at = VnetHeader(*VNET_HEADER.unpack(vnet_header)).csum_start + 16
    partial = bytearray(there)
    put_partial(partial, at - 16, 6, at)
    routed = packet[:at] + partial[at : at + 2] + packet[at + 2 :]
    expected = [each[:39] + b"\x01" + each[40:] for each in segment(vnet_header, bytes(partial))]
    assert segment(vnet_header, routed) == expected


# -- Lies --

OVER_TCP4 = VnetHeader(NEEDS_CSUM, GSO_TCPV4, 40, 100, 20, 16)
OVER_TCP6 = VnetHeader(NEEDS_CSUM, GSO_TCPV6, 60, 100, 40, 16)
OVER_UDP4 = VnetHeader(NEEDS_CSUM, GSO_UDP_L4, 28, 100, 20, 6)


def patched(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes((value,)) + packet[at + 1 :]


P4, P6, U4 = TCP4.packet(), TCP6.packet(), UDP4.packet()
BARE_TCP4, BARE_UDP4 = replace(TCP4, payload=b"").packet(), replace(UDP4, payload=b"").packet()
# What extension headers could be, 260 bytes, and no TCP behind them.
LONG6 = bytes(IPv6(nh=0, plen=260) / Raw(bytes(260)))


def tcp_behind(length: int) -> bytes:
    """TCP over IPv6, behind so many bytes that may be extension headers."""
    return bytes(IPv6(nh=0, plen=length + 70) / Raw(bytes(length)) / TCP() / Raw(pattern(50)))


LIES = [
    (VnetHeader(0, 0, 0, 0, 0, 0), b"", Lie.NO_PACKET),
    (VnetHeader(NEEDS_CSUM, 0, 0, 0, 0, 9), bytes(10), Lie.CHECKSUM_OUTSIDE),
    (VnetHeader(NEEDS_CSUM, 0, 0, 0, 0xFFFF, 0xFFFF), bytes(10), Lie.CHECKSUM_OUTSIDE),
    (OVER_TCP4._replace(gso_size=0), P4, Lie.NO_SEGMENT_SIZE),
    (OVER_TCP4._replace(flags=0), P4, Lie.NO_CHECKSUM),
    (OVER_TCP4._replace(gso_type=GSO_TCPV6), P4, Lie.WRONG_TYPE),
    (
        OVER_TCP4._replace(gso_type=3),
        P4,
        Lie.WRONG_TYPE,
    ),  # VIRTIO_NET_HDR_GSO_UDP: fragments, never asked for
    (OVER_TCP4._replace(csum_offset=6), P4, Lie.WRONG_TYPE),
    (OVER_UDP4._replace(csum_offset=16), U4, Lie.WRONG_TYPE),
    (OVER_TCP6, P4, Lie.WRONG_TYPE),
    (OVER_TCP4, patched(P4, 0, 0x75), Lie.WRONG_TYPE),
    (OVER_TCP4._replace(csum_start=24), P4, Lie.WRONG_HEADERS),
    (OVER_TCP4._replace(csum_start=16), P4, Lie.WRONG_HEADERS),
    (OVER_TCP4._replace(csum_start=0xFFFF), P4, Lie.WRONG_HEADERS),
    (OVER_TCP4, patched(P4, 9, 17), Lie.WRONG_HEADERS),
    (OVER_TCP4, patched(P4, 6, 0x20), Lie.WRONG_HEADERS),  # a fragment
    (OVER_TCP4, patched(P4, 7, 1), Lie.WRONG_HEADERS),
    (OVER_TCP4, patched(P4, 32, 0x40), Lie.WRONG_HEADERS),  # a TCP header of 16 bytes
    (OVER_TCP6, patched(P6, 6, 17), Lie.WRONG_HEADERS),
    (OVER_TCP6._replace(csum_start=39), P6, Lie.WRONG_HEADERS),
    (
        OVER_TCP6._replace(csum_start=39),
        patched(P6, 51, 0x50),
        Lie.WRONG_HEADERS,
    ),  # what looks like TCP there
    (OVER_TCP6._replace(csum_start=240), tcp_behind(200), Lie.WRONG_HEADERS),  # headers of 260 bytes
    (OVER_TCP6._replace(csum_start=240), LONG6, Lie.WRONG_HEADERS),
    (OVER_TCP6._replace(csum_start=290), LONG6, Lie.WRONG_HEADERS),
    (OVER_TCP4, P4 + b"x", Lie.WRONG_LENGTH),
    (OVER_TCP6, P6[:-1], Lie.WRONG_LENGTH),
    (OVER_TCP4, BARE_TCP4, Lie.NO_PAYLOAD),
    (OVER_UDP4, BARE_UDP4, Lie.NO_PAYLOAD),
    (OVER_UDP4, bytes(IP(proto=17)), Lie.NO_PAYLOAD),  # not even a header
]


@pytest.mark.parametrize(("vnet", "packet", "reason"), LIES)
def test_headers_that_cannot_be_true_are_refused(vnet: VnetHeader, packet: bytes, reason: Lie) -> None:
    with pytest.raises(MalformedPacket) as caught:
        segment(VNET_HEADER.pack(*vnet), packet)
    assert caught.value.reason is reason


def test_headers_may_have_256_bytes() -> None:
    vnet_header = VNET_HEADER.pack(*OVER_TCP6._replace(csum_start=236, gso_size=30))
    assert [len(each) for each in segment(vnet_header, tcp_behind(196))] == [286, 276]


@given(st.binary(min_size=10, max_size=10), st.binary(max_size=200))
def test_any_bytes_are_segments_or_malformed(vnet_header: bytes, packet: bytes) -> None:
    try:
        segments = segment(vnet_header, packet)
    except MalformedPacket:
        return
    assert segments


# -- What is merged --


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (TCP4, VnetHeader(NEEDS_CSUM, GSO_TCPV4, 40, 250, 20, 16)),
        (TCP6, VnetHeader(NEEDS_CSUM, GSO_TCPV6, 60, 250, 40, 16)),
        (replace(TCP4, options="timestamps"), VnetHeader(NEEDS_CSUM, GSO_TCPV4, 52, 250, 20, 16)),
        (UDP4, VnetHeader(NEEDS_CSUM, GSO_UDP_L4, 28, 250, 20, 6)),
        (UDP6, VnetHeader(NEEDS_CSUM, GSO_UDP_L4, 48, 250, 40, 6)),
    ],
)
def test_segments_that_follow_one_another_become_one(first: Segment, expected: VnetHeader) -> None:
    second = first.next(payload=pattern(250, 1))
    third = second.next(payload=b"shorter")
    ((vnet_header, packet),) = coalesced(first, second, third)
    whole = replace(first, payload=first.payload + second.payload + third.payload)
    assert VnetHeader(*VNET_HEADER.unpack(vnet_header)) == expected
    assert packet == whole.super_packet(250)[1]


@settings(deadline=None)
@given(traffic(), st.booleans())
def test_what_was_merged_comes_apart_into_what_it_was(
    packets: list[tuple[int, bytes]], merges_udp: bool
) -> None:
    written = coalesce(packets, merges_udp)
    assert by_flow(taken_apart(written)) == by_flow([packet for _, packet in packets])


@settings(deadline=None)
@given(super_packets(), st.booleans())
def test_segments_of_a_super_packet_become_it_again(big: tuple[Segment, int], merges_udp: bool) -> None:
    whole, segment_bytes = big
    segments = segment(*whole.super_packet(segment_bytes))
    written = coalesced(*segments, merges_udp=merges_udp)
    assert taken_apart(written) == segments
    if (
        whole.protocol == "TCP"
        and whole.extensions == "none"
        and not whole.ip_options
        and "C" not in whole.flags
    ):
        assert len(written) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"acknowledgment": 10},
        {"acknowledgment": 9 + (1 << 24)},
        {"window": 4097},
        {"window": 4096 + 256},
        {"urgent": 1},
        {"urgent": 256},
        {"options": "timestamps"},
        {"service": 1},
        {"limit": 63},
        {"ip_flags": ""},
        {"identification": 100},
        {"sequence": 8},
        {"sequence": 7},
        {"port": 1001},
        {"host": 3},
        {"flags": "EA"},
        {"flags": "CA"},
        {"flags": "SA"},
        {"flags": "RA"},
        {"flags": "UA"},
        {"flags": ""},
        {"reserved": 1},
        {"payload": pattern(251)},
        {"payload": b""},
        {"ip_options": b"\x01\x01\x01\x00"},
        {"ip_flags": "MF+DF"},
    ],
    ids=str,
)
def test_tcp_over_ipv4_that_differs_is_not_merged(change: dict[str, Any]) -> None:
    packets = [TCP4.packet(), TCP4.next(**change).packet()]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


@pytest.mark.parametrize(
    "change", [{"service": 1}, {"label": 1}, {"limit": 63}, {"extensions": "hop-by-hop"}], ids=str
)
def test_tcp_over_ipv6_that_differs_is_not_merged(change: dict[str, Any]) -> None:
    packets = [TCP6.packet(), TCP6.next(**change).packet()]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


@pytest.mark.parametrize(
    "change", [{"payload": pattern(251)}, {"payload": b""}, {"identification": 1}], ids=str
)
def test_udp_that_differs_is_not_merged(change: dict[str, Any]) -> None:
    packets = [UDP4.packet(), UDP4.next(**change).packet()]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


def test_tcp_over_ipv6_with_a_wrong_length_is_not_merged() -> None:
    packets = [TCP6.packet(), patched(TCP6.next().packet(), 5, 0)]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


def test_protocols_are_not_mixed() -> None:
    packets = [TCP4.packet(), UDP4.next().packet()]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


@pytest.mark.parametrize(
    "wrong",
    [
        patched(TCP4.next().packet(), 60, 0),  # the payload: the checksum of TCP
        patched(TCP4.next().packet(), 10, 0),  # the checksum of IP
        TCP4.next().packet() + b"behind",
        patched(TCP4.next().packet(), 32, 0x10),  # a header of 4 bytes
        patched(TCP4.next().packet(), 32, 0xF0)[:70],  # a header longer than what is there
        TCP4.next().packet()[:39],
        TCP4.next().packet()[:19],
        TCP4.next().packet()[:1],
        bytes(IP(src="10.64.0.2", dst="10.64.0.1") / ICMP()),
    ],
)
def test_what_is_wrong_or_something_else_is_not_merged(wrong: bytes) -> None:
    third = TCP4.next().next().packet()
    assert coalesced(TCP4, wrong, third) == [(NO_OFFLOAD, each) for each in (TCP4.packet(), wrong, third)]


@pytest.mark.parametrize(
    "wrong",
    [
        patched(patched(UDP4.next().packet(), 26, 0), 27, 0),  # no checksum
        patched(UDP4.next().packet(), 25, 0),  # the length
        UDP4.next().packet()[:27],
        TCP6.packet()[:39],
        b"\x00",
    ],
)
def test_udp_and_others_that_are_wrong_are_not_merged(wrong: bytes) -> None:
    assert coalesced(UDP4, wrong) == [(NO_OFFLOAD, UDP4.packet()), (NO_OFFLOAD, wrong)]


def test_udp_without_a_checksum_is_not_merged_even_where_none_would_be_right() -> None:
    ones = bare_checksum(UDP4.next())
    assert IP(ones)[UDP].chksum == 0
    assert coalesced(UDP4, ones) == [(NO_OFFLOAD, UDP4.packet()), (NO_OFFLOAD, ones)]


def test_udp_whose_length_is_not_that_of_the_packet_is_not_merged() -> None:
    short = udp_of_length(UDP4.next(), 100)
    assert coalesced(UDP4, short) == [(NO_OFFLOAD, UDP4.packet()), (NO_OFFLOAD, short)]


def test_udp_is_merged_only_where_the_kernel_takes_it() -> None:
    assert len(coalesced(UDP4, UDP4.next(), merges_udp=False)) == 2


@pytest.mark.parametrize("flags", ["PA", "FA"])
def test_psh_and_fin_end_a_super_packet_and_are_in_it(flags: str) -> None:
    second = TCP4.next(flags=flags)
    written = coalesced(TCP4, second, second.next(flags="A"))
    assert [str(IP(packet)[TCP].flags) for _, packet in written] == [flags, "A"]


def test_a_segment_that_is_pushed_alone_is_not_held() -> None:
    pushed = replace(TCP4, flags="PA")
    assert len(coalesced(pushed, pushed.next())) == 2


def test_a_shorter_segment_is_the_last_one() -> None:
    second = TCP4.next(payload=b"short")
    assert len(coalesced(TCP4, second, second.next(payload=b"short"))) == 2


def test_channels_are_not_mixed() -> None:
    first, second = TCP4.packet(), TCP4.next().packet()
    assert coalesce([(0, first), (1, second)], True) == [(NO_OFFLOAD, first), (NO_OFFLOAD, second)]


def test_a_super_packet_ends_at_64_kib() -> None:
    segments = [replace(TCP4, payload=pattern(1400))]
    for _ in range(60):
        segments.append(segments[-1].next())
    written = coalesced(*segments)
    assert [len(packet) for _, packet in written] == [40 + 46 * 1400, 40 + 15 * 1400]


def test_a_super_packet_of_udp_has_no_more_segments_than_a_tun_takes() -> None:
    segments = [replace(UDP4, payload=b"x")]
    for _ in range(MAX_UDP_SEGMENTS):
        segments.append(segments[-1].next())
    assert [len(packet) for _, packet in coalesced(*segments)] == [28 + MAX_UDP_SEGMENTS, 29]


def test_flows_that_alternate_are_merged_each_for_itself() -> None:
    other = replace(TCP4, port=1)
    written = coalesced(TCP4, other, TCP4.next(), other.next())
    assert [payload_of(packet) for _, packet in written] == [TCP4.payload * 2, other.payload * 2]


def test_one_flow_more_than_are_merged_at_a_time_writes_the_oldest() -> None:
    flows = [replace(TCP4, port=port) for port in range(1, MAX_FLOWS + 2)]
    written = coalesced(*flows, flows[0].next(), flows[-1].next())
    ports = [IP(packet)[TCP].sport for _, packet in written]
    assert ports == [1, 2, *range(3, MAX_FLOWS + 1), MAX_FLOWS + 1, 1]


def test_a_fragment_ends_every_flow() -> None:
    fragment = bytes(IP(src="10.64.0.9", dst="10.64.0.1", flags="MF", proto=6) / Raw(bytes(64)))
    other = replace(TCP4, port=1)
    written = coalesced(TCP4, other, fragment, TCP4.next(), other.next())
    assert [packet for _, packet in written] == [
        *(TCP4.packet(), other.packet(), fragment, TCP4.next().packet(), other.next().packet())
    ]


@pytest.mark.parametrize("bytes_in_all", [65535, 65536])
def test_a_super_packet_may_be_just_as_long_as_an_ip_packet(bytes_in_all: int) -> None:
    count = {65535: 5, 65536: 8}[bytes_in_all]
    segments = [replace(TCP4, payload=pattern((bytes_in_all - 40) // count))]
    while len(segments) < count:
        segments.append(segments[-1].next())
    assert len(coalesced(*segments)) == (1 if bytes_in_all == 65535 else 2)


@pytest.mark.parametrize("flags", ["SA", "RA", "UA", "CA", "S", ""])
def test_segments_with_flags_that_must_stay_are_not_merged_even_if_all_have_them(flags: str) -> None:
    packets = [replace(TCP4, flags=flags).packet(), TCP4.next(flags=flags).packet()]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


@pytest.mark.parametrize("whole", [TCP4, TCP6])
def test_flows_are_told_apart_by_the_whole_address(whole: Segment) -> None:
    at = 12 if whole.version == 4 else 8
    packets = [whole.packet(), rechecksummed(patched(whole.next().packet(), at, 0x0B))]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


def test_a_traffic_class_is_no_length_of_a_header() -> None:
    first = replace(TCP6, service=0x50)  # its first byte is 0x65
    assert len(coalesced(first, first.next())) == 1


def test_what_looks_like_tcp_in_a_datagram_is_payload() -> None:
    first = replace(UDP4, payload=b"1234\x50678901234567890")
    assert len(coalesced(first, first.next())) == 1


def test_versions_that_nobody_knows_are_not_merged() -> None:
    packets = [patched(each.packet(), 0, 0x70) for each in (TCP6, TCP6.next())]
    assert coalesced(*packets) == [(NO_OFFLOAD, packet) for packet in packets]


@pytest.mark.parametrize("whole", [TCP4, UDP4])
def test_a_packet_shorter_than_it_says_is_not_merged_though_its_checksums_are_right(whole: Segment) -> None:
    wrong = bytearray(whole.next().packet())
    wrong[2:4], wrong[10:12] = (len(wrong) - 4).to_bytes(2, "big"), b"\0\0"
    del (header := IP(bytes(wrong[:20]))).chksum
    wrong[:20] = bytes(header)[:20]
    assert coalesced(whole, bytes(wrong)) == [(NO_OFFLOAD, whole.packet()), (NO_OFFLOAD, bytes(wrong))]


def test_a_datagram_whose_ip_checksum_is_wrong_is_not_merged() -> None:
    wrong = patched(UDP4.next().packet(), 10, 0)
    assert coalesced(UDP4, wrong) == [(NO_OFFLOAD, UDP4.packet()), (NO_OFFLOAD, wrong)]


# What may belong to any flow ends them all; what belongs to one leaves the others alone.

OTHER = replace(TCP4, port=1)


@pytest.mark.parametrize(
    "stranger",
    [
        replace(OTHER, ip_options=b"\x01\x01\x01\x00").packet(),
        # With what looks like TCP where it would be without the options.
        replace(OTHER, ip_options=b"\x01\x01\x01\x00", acknowledgment=0x5000_0000).packet(),
        patched(replace(TCP6, port=1).packet(), 0, 0x70),  # of a version that nobody knows
        patched(OTHER.packet(), 32, 0x10),  # a TCP header of 4 bytes
        patched(OTHER.packet(), 32, 0xF0)[:70],  # one longer than what is there
        replace(UDP4, port=1).packet()[:27],
    ],
)
def test_what_is_of_no_flow_that_could_be_told_ends_them_all(stranger: bytes) -> None:
    written = [packet for _, packet in coalesced(TCP4, stranger, TCP4.next())]
    assert written == [TCP4.packet(), stranger, TCP4.next().packet()]


@pytest.mark.parametrize(
    "aside",
    [
        replace(OTHER, payload=b""),
        replace(OTHER, payload=b"", options="timestamps"),
        replace(UDP4, payload=b"", port=1),
        replace(UDP4, payload=b"", port=TCP4.port),
        replace(UDP4, port=TCP4.port),
        replace(OTHER, flags="SA"),
    ],
)
def test_what_is_of_another_flow_leaves_this_one_alone(aside: Segment) -> None:
    written = [packet for _, packet in coalesced(TCP4, aside, TCP4.next())]
    assert sorted(map(len, written)) == sorted([len(aside.packet()), len(TCP4.packet()) + len(TCP4.payload)])


@pytest.mark.parametrize("flags", ["PA", "FA"])
@pytest.mark.parametrize("is_alone", [True, False])
def test_what_is_pushed_is_written_at_once(flags: str, is_alone: bool) -> None:
    last = replace(TCP4, flags=flags) if is_alone else TCP4.next(flags=flags)
    behind = replace(OTHER, flags="SA").packet()
    written = [packet for _, packet in coalesced(*([] if is_alone else [TCP4]), last, behind)]
    assert [IP(packet)[TCP].sport for packet in written] == [TCP4.port, OTHER.port]


def test_a_type_with_the_flag_for_ecn_is_the_type_without() -> None:
    vnet_header, packet = TCP4.super_packet(100)
    vnet = VnetHeader(*VNET_HEADER.unpack(vnet_header))._replace(gso_type=GSO_TCPV4 | GSO_ECN)
    assert segment(VNET_HEADER.pack(*vnet), packet) == segment(vnet_header, packet)
