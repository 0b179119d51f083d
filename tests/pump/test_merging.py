"""What the pump merges and what it must not, held equal to `coalesce` of wire/offload.py, which says why."""

from collections.abc import Callable

import pytest

from bamdmux.wire.offload import NO_OFFLOAD, coalesce
from tests.pump.frames import in_frames
from tests.pump.kernel import Kernel
from tests.pump.rings import Receiver
from tests.super_packets import CHANGES, Segment, bare_checksum, pattern, udp_of_length

FOUR_KINDS = pytest.mark.parametrize(
    ("protocol", "version"), [("TCP", 4), ("TCP", 6), ("UDP", 4), ("UDP", 6)]
)


def coalesced(packets: list[tuple[int, bytes]], merges_udp: bool = True) -> list[tuple[bytes, bytes]]:
    """What the pump writes to one interface that has all channels."""
    receiver = Receiver(in_frames(packets))
    with Kernel(merges_udp) as kernel:
        assert receiver.pump((kernel.interface,) * 8, len(packets)) == len(packets)
        return list(kernel.written())


@pytest.mark.parametrize("options", ["none", "timestamps"])
@FOUR_KINDS
def test_a_segment_that_differs_is_merged_or_not_as_by_the_reference(
    protocol: str, version: int, options: str
) -> None:
    first = Segment(protocol=protocol, version=version, payload=pattern(100), options=options)
    for change in CHANGES:
        changed = first.next(**change)
        after = changed.next(payload=first.payload, flags=first.flags)
        packets = [(0, each.packet()) for each in (first, changed, after)]
        assert coalesced(packets) == coalesce(packets, True), change


@FOUR_KINDS
def test_a_bit_that_differs_is_merged_or_not_as_by_the_reference(protocol: str, version: int) -> None:
    first = Segment(protocol=protocol, version=version, payload=pattern(20), options="timestamps")
    packet = first.next().packet()
    for bit in range(8 * (len(packet) - 20)):
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        packets = [(0, first.packet()), (0, bytes(flipped))]
        assert coalesced(packets) == coalesce(packets, True), bit


# Each is no continuation of the flow, and so the kernel would not merge it either.
KEPT_APART = {
    "another acknowledgment": {"acknowledgment": 10},
    "another window": {"window": 1},
    "an urgent pointer": {"urgent": 5},
    "a SYN": {"flags": "SA"},
    "a RST": {"flags": "RA"},
    "an URG": {"flags": "UA"},
    "a CWR": {"flags": "CA"},
    "an ECE": {"flags": "EA"},
    "no ACK": {"flags": ""},
    "no payload": {"payload": b""},
    "a longer payload": {"payload": pattern(101)},
    "another type of service": {"service": 4},
    "congestion experienced": {"service": 3},
    "another time to live": {"limit": 63},
    "no don't fragment": {"ip_flags": ""},
    "a first fragment": {"ip_flags": "MF"},
    "options of IP": {"ip_options": b"\x01\x01\x01\x00"},
    "a sequence number that is behind": {"sequence": 6},
    "a gap": {"sequence": 108},
    "an identification that stays": {"identification": 100},
    "an identification that leaps": {"identification": 102},
    "options of TCP": {"options": "timestamps"},
    "another port": {"port": 1001},
    "another host": {"host": 3},
    "reserved bits": {"reserved": 1},
}


@pytest.mark.parametrize("why", KEPT_APART)
def test_a_segment_is_kept_apart_for(why: str) -> None:
    first = Segment(payload=pattern(100))
    packets = [first.packet(), first.next(**KEPT_APART[why]).packet()]
    assert sorted(coalesced([(0, each) for each in packets])) == sorted(
        (NO_OFFLOAD, each) for each in packets
    )


@pytest.mark.parametrize("change", [{"label": 5}, {"service": 1}, {"limit": 1}, {"extensions": "hop-by-hop"}])
def test_a_segment_of_ipv6_is_kept_apart_for(change: dict[str, int]) -> None:
    first = Segment(version=6, payload=pattern(100))
    packets = [first.packet(), first.next(**change).packet()]
    assert coalesced([(0, each) for each in packets]) == [(NO_OFFLOAD, each) for each in packets]


@FOUR_KINDS
def test_a_segment_that_goes_on_is_merged(protocol: str, version: int) -> None:
    first = Segment(protocol=protocol, version=version, payload=pattern(100))
    ((vnet_header, _),) = coalesced([(0, first.packet()), (0, first.next().packet())])
    assert vnet_header != NO_OFFLOAD


@pytest.mark.parametrize("at", [10, 11, 36, 37, 60])
def test_a_wrong_checksum_is_passed_on_as_it_is(at: int) -> None:
    first = Segment(payload=pattern(100))
    wrong = bytearray(first.next().packet())
    wrong[at] ^= 0x10  # of the IP header's checksum, of TCP's, of the payload
    after = first.next().next().packet()
    packets = [(0, first.packet()), (0, bytes(wrong)), (0, after)]
    assert coalesced(packets) == [(NO_OFFLOAD, packet) for _, packet in packets]


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("length", [1, 1990])
def test_a_super_packet_ends_at_64_kib_or_64_segments_of_udp(protocol: str, length: int) -> None:
    segments = [Segment(protocol=protocol, payload=pattern(length))]
    for _ in range(70):
        segments.append(segments[-1].next())
    packets = [(0, each.packet()) for each in segments]
    written = coalesced(packets)
    assert written == coalesce(packets, True)
    assert len(written) == (3 if length > 1 else 2 if protocol == "UDP" else 1)


@pytest.mark.parametrize("wrong", [bare_checksum, lambda segment: udp_of_length(segment, 20)])
def test_udp_without_a_checksum_or_with_a_wrong_length_is_not_merged(
    wrong: Callable[[Segment], bytes],
) -> None:
    first = Segment(protocol="UDP", payload=pattern(100))
    packets = [(0, first.packet()), (0, wrong(first.next()))]
    assert coalesced(packets) == [(NO_OFFLOAD, packet) for _, packet in packets]


def test_what_is_pushed_alone_is_written_at_once() -> None:
    waits, pushed = Segment(port=1).packet(), Segment(port=2, flags="PA").packet()
    assert coalesced([(0, waits), (0, pushed)]) == [(NO_OFFLOAD, pushed), (NO_OFFLOAD, waits)]


@pytest.mark.parametrize("flow_count", [8, 9])
def test_eight_flows_are_merged_at_a_time(flow_count: int) -> None:
    flows = [Segment(port=port) for port in range(flow_count)]
    packets = [(0, each.packet()) for each in flows] + [(0, each.next().packet()) for each in flows]
    assert coalesced(packets) == coalesce(packets, True)
    assert len(coalesced(packets)) == (8 if flow_count == 8 else 18)


def test_channels_of_one_interface_are_not_mixed() -> None:
    packets = [(0, Segment().packet()), (1, Segment().next().packet())]
    assert coalesced(packets) == coalesce(packets, True)
    assert len(coalesced(packets)) == 2


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_udp_is_merged_only_where_the_kernel_takes_it(protocol: str) -> None:
    packets = [(0, Segment(protocol=protocol).packet()), (0, Segment(protocol=protocol).next().packet())]
    assert coalesced(packets, merges_udp=False) == coalesce(packets, False)
    assert len(coalesced(packets, merges_udp=False)) == (1 if protocol == "TCP" else 2)
