"""The same traffic through both machines, once by the native pump and once in Python: nothing differs.

Not memory, not what is delivered, not a counter, not a line logged. What does differ is how much goes at
once, and so how often a doorbell rings.
"""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_RS, IPv6

from bamdmux.wire.offload import NO_OFFLOAD, VNET_HEADER, VnetHeader
from tests.pump.linked import MILLISECOND, Given, KernelPair
from tests.super_packets import Segment, pattern

CHANNELS: Final = (0, 1)
KINDS: Final = [("TCP", 4), ("TCP", 6), ("UDP", 4), ("UDP", 6)]


def single(segment: Segment) -> Given:
    return NO_OFFLOAD, segment.packet()


def lying(given_packet: Given, **changes: int) -> Given:
    vnet_header, packet = given_packet
    return VNET_HEADER.pack(*VnetHeader(*VNET_HEADER.unpack(vnet_header))._replace(**changes)), packet


def traffic_of(channel: int, *, is_to_host: bool) -> list[Given]:
    """Packets of each kind that there is, for one channel."""
    result: list[Given] = []
    for protocol, version in KINDS:
        flow = Segment(protocol=protocol, version=version, channel=channel, is_to_host=is_to_host)
        first = replace(flow, payload=pattern(200))
        pushed = first.next(flags="PA")
        result += [single(each) for each in (first, first.next(), pushed, flow.next(payload=b""))]
        result += [
            replace(flow, payload=pattern(length), port=9).super_packet(100) for length in (90, 700, 1000)
        ]
        result.append(replace(flow, payload=pattern(4000), port=10).super_packet(1300))
        result.append(
            replace(flow, payload=pattern(4000), port=11).super_packet(1470)
        )  # beyond the MTU, or not
        result.append(lying(replace(flow, payload=pattern(500), port=12).super_packet(100), gso_size=0))
        result.append(lying(replace(flow, payload=pattern(500), port=13).super_packet(100), gso_type=0))
        result.append(single(replace(flow, payload=pattern(1480), port=14)))  # likewise
        result.append(single(replace(flow, host=3, port=15)))  # nobody's address, of IPv4
    result.append((NO_OFFLOAD, bytes(IP(src="198.51.100.7", dst="198.51.100.8") / ICMP())))
    return result


def other_traffic(channel: int) -> list[Given]:
    """What the pump leaves to Python, or what is no IP."""
    host, world = f"2001:db8:64:{channel}::2", "2001:db8:ffff::7"
    packets: list[Any] = [
        IPv6(src=host, dst="ff02::2", hlim=255) / ICMPv6ND_RS(),
        IPv6(src="fe80::abc", dst="ff02::2", hlim=255) / ICMPv6ND_RS(),
        IPv6(src="fe80::abc", dst=world) / ICMPv6EchoRequest(),
        IPv6(src=host, dst=world) / ICMPv6EchoRequest(),
        IPv6(src=world, dst=host) / ICMPv6EchoRequest(),
        b"\x45" + bytes(10),
        b"\x60" + bytes(30),
        b"\x12 what is this",
        b"\0",
    ]
    return [(NO_OFFLOAD, bytes(packet)) for packet in packets]


UPWARDS: Final = {each: traffic_of(each, is_to_host=False) + other_traffic(each) for each in CHANNELS}
DOWNWARDS: Final = [
    packet for each in CHANNELS for packet in traffic_of(each, is_to_host=True) + other_traffic(each)
]


def sent_by_host(channel: int, which: list[int]) -> Any:
    def happen(pair: KernelPair) -> None:
        if channel in pair.devices:
            pair.give(pair.devices[channel], *(UPWARDS[channel][index] for index in which))

    return happen


def sent_by_network(which: list[int]) -> Any:
    return lambda pair: pair.give(pair.network, *(DOWNWARDS[index] for index in which))


def bearer_changes(channel: int, version: int, is_up: bool) -> Any:
    def happen(pair: KernelPair) -> None:
        bearer = pair.modem.packet_data_network.bearers[channel]
        assert bearer is not None
        bearer.activate(version) if is_up else bearer.deactivate(version)

    return happen


def interface_changes(channel: int, is_up: bool) -> Any:
    return lambda pair: pair.set_up(channel, is_up) if channel in pair.devices else None


def channel_changes(channel: int, is_open: bool) -> Any:
    def happen(pair: KernelPair) -> None:
        (pair.modem.announce if is_open else pair.modem.withdraw)(channel, pair.now)

    return happen


def restart(pair: KernelPair) -> None:
    """The modem crashes, and boots again: each pipe is of another generation.

    Meanwhile there is nothing to send. What would be lost is what fits the ring, and of a super-packet that
    is all or nothing.
    """
    pair.modem.crash(pair.now)
    pair.settle()
    pair.modem.boot(pair.now)
    pair.run_for(5000 * MILLISECOND)


CHANNEL: Final = st.sampled_from(CHANNELS)
PACKETS: Final = st.builds(
    sent_by_host, CHANNEL, st.lists(st.integers(0, len(UPWARDS[0]) - 1), min_size=1, max_size=14)
)
ANSWERS: Final = st.builds(
    sent_by_network, st.lists(st.integers(0, len(DOWNWARDS) - 1), min_size=1, max_size=14)
)
EVENTS: Final = st.one_of(
    *(PACKETS, PACKETS, PACKETS, ANSWERS, ANSWERS, ANSWERS),
    st.builds(bearer_changes, CHANNEL, st.sampled_from([4, 6]), st.booleans()),
    st.builds(interface_changes, CHANNEL, st.booleans()),
    st.builds(channel_changes, CHANNEL, st.booleans()),
    st.builds(
        lambda channel, mtu: lambda pair: pair.host.mtu_changed(channel, mtu),
        *(CHANNEL, st.sampled_from([100, 1280, 1500, 2000])),
    ),
    st.sampled_from([1, 100, 1500]).map(lambda after: lambda pair: pair.run_for(after * MILLISECOND)),
    st.just(restart),
)


def compare(one: KernelPair, other: KernelPair) -> None:
    assert one.delivered() == other.delivered()
    assert one.counted() == other.counted()
    assert one.shared() == other.shared()
    assert one.lines_logged() == other.lines_logged()


# Whether the pump works, and whether the machines serve one another without doorbells.
WAYS: Final = pytest.mark.parametrize(
    ("pumps", "is_fused"),
    [(True, False), (True, True), (False, True)],
    ids=["pump", "fused", "python, fused"],
)


@WAYS
@settings(max_examples=100, deadline=None)
@given(events=st.lists(EVENTS, max_size=12), slot_count=st.sampled_from([3, 8, 32]))
def test_nothing_differs_from_python_and_doorbells(
    events: list[Any], slot_count: int, pumps: bool, is_fused: bool
) -> None:
    with (
        KernelPair(pumps=pumps, is_fused=is_fused, slot_count=slot_count) as pair,
        KernelPair(pumps=False, slot_count=slot_count) as plain,
    ):
        pairs = pair.start_with(*CHANNELS), plain.start_with(*CHANNELS)
        for event in events:
            for each in pairs:
                event(each)
                each.run_for(100 * MILLISECOND)  # enough to wake up for it
            compare(*pairs)
        for each in pairs:
            each.run_for(5000 * MILLISECOND)
        compare(*pairs)


@WAYS
@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.one_of(PACKETS, ANSWERS), min_size=2, max_size=4), max_size=5),
    slot_count=st.sampled_from([3, 8, 32]),
)
def test_all_is_counted_and_delivered_when_channels_and_ways_take_turns(
    batches: list[list[Any]], slot_count: int, pumps: bool, is_fused: bool
) -> None:
    """Who goes first is another question than what arrives, and memory tells who went first."""
    with (
        KernelPair(pumps=pumps, is_fused=is_fused, slot_count=slot_count) as pair,
        KernelPair(pumps=False, slot_count=slot_count) as plain,
    ):
        pairs = pair.start_with(*CHANNELS), plain.start_with(*CHANNELS)
        for batch in batches:
            for each in pairs:
                for event in batch:
                    event(each)
                each.run_for(100 * MILLISECOND)
            assert pair.delivered() == plain.delivered()
            assert pair.counted() == plain.counted()
