"""The host transmits: `fill_slots` and `submit`, held equal to `TransmitRing` in Python."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.dmux import HEADER_BYTES
from bamdmux.wire.offload import NO_OFFLOAD, segment
from tests.pump.kernel import Kernel
from tests.pump.rings import KernelDevice, Sender
from tests.super_packets import Segment, pattern, super_packets


def channel_of(kernel: Kernel, index: int = 0, mtu: int = 1500) -> Channel:
    return Channel(index, device=KernelDevice(kernel), mtu=mtu)


def filled(counters: Counters) -> tuple[int, int, int]:
    """Packets, bytes, those that were too long."""
    return counters.packet_count, counters.byte_count, counters.drops[DropReason.LONGER_THAN_MTU]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(pattern, st.one_of(st.integers(1, 100), st.integers(1, 2100)), st.integers(0, 255)),
        max_size=10,
    ),
    *(st.integers(0, 7), st.integers(0, 8), st.integers(0, 7), st.sampled_from([1, 1500, 2040, 4000])),
)
def test_the_host_transmits_as_in_python(
    packets: list[bytes], first: int, budget: int, index: int, mtu: int
) -> None:
    by_pump, by_python = Sender(first), Sender(first, pumps=False)
    with Kernel() as kernel:
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        source = channel_of(kernel, index, mtu)
        count = by_pump.ring.fill_from(source, budget)
        left = kernel.read_all()
    python_source = Channel(index, device=QueueDevice(packets), mtu=mtu)
    assert by_python.ring.fill_from(python_source, budget) == count
    # A packet that does not fit a slot is cut by a TUN, and then it is that which is counted.
    dropped = python_source.transmitted.drops
    dropped[DropReason.LONGER_THAN_MTU] += dropped.pop(DropReason.TRUNCATED_BY_DEVICE, 0)
    assert filled(source.transmitted) == filled(python_source.transmitted)
    if not source.transmitted.drops.total():  # else Python has written to a slot what it then gave up
        assert by_pump.memory == by_python.memory
    assert by_pump.send() == by_python.send()
    assert isinstance(python_source.device, QueueDevice)
    assert left == list(python_source.device.outgoing)


@settings(deadline=None)
@given(super_packets(), st.integers(0, 7), st.integers(1, 200), st.sampled_from([100, 1500]))
def test_a_super_packet_is_transmitted_as_its_segments_would_be_whatever_the_budget(
    big: tuple[Segment, int], first: int, budget: int, mtu: int
) -> None:
    vnet_header, packet = big[0].super_packet(big[1])
    packets = segment(vnet_header, packet)
    by_pump, by_python = Sender(first, slot_count=256), Sender(first, slot_count=256, pumps=False)
    python_source = Channel(2, device=QueueDevice(packets), mtu=mtu)
    with Kernel() as kernel:
        kernel.give(vnet_header, packet)
        source = channel_of(kernel, 2, mtu)
        by_pump.ring.fill_from(source, budget)
        assert not kernel.interface.has_packet
    by_python.ring.fill_from(python_source, len(packets))
    dropped = python_source.transmitted.drops
    dropped[DropReason.LONGER_THAN_MTU] += dropped.pop(DropReason.TRUNCATED_BY_DEVICE, 0)
    assert filled(source.transmitted) == filled(python_source.transmitted)
    assert by_pump.send() == by_python.send()


def super_packet(segments: int) -> tuple[bytes, bytes]:
    return Segment(payload=pattern(100 * segments)).super_packet(100)


def test_a_super_packet_that_is_not_begun_waits_for_budget() -> None:
    sender = Sender(slot_count=32)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, b"first")
        kernel.give(*super_packet(10))
        source = channel_of(kernel)
        assert sender.ring.fill_from(source, 1) == 1
        assert sender.ring.fill_from(source, 0) == 0
        assert sender.ring.fill_from(source, 1) == 10


@pytest.mark.parametrize("free", [9, 10])
def test_a_super_packet_that_finds_too_few_slots_waits_and_says_so(free: int) -> None:
    sender = Sender(slot_count=16)
    with Kernel() as kernel:
        source = channel_of(kernel)
        for _ in range(16 - free):
            kernel.give(NO_OFFLOAD, b"before")
        assert sender.ring.fill_from(source, 16) == 16 - free
        sender.ring.submit_pending()
        sender.owner.publish()
        kernel.give(*super_packet(10))
        assert sender.ring.fill_from(source, 16) == (10 if free == 10 else 0)
        assert sender.ring.is_short == (free < 10) == kernel.interface.has_packet
        assert len(sender.send()) == (16 if free == 10 else 7)
        assert not sender.ring.is_short
        assert sender.ring.fill_from(source, 16) == (0 if free == 10 else 10)


@pytest.mark.parametrize("first", [0, 5])
def test_a_super_packet_of_more_segments_than_the_ring_has_slots_goes_in_parts(first: int) -> None:
    sender, big = Sender(first), super_packet(20)
    frames = []
    with Kernel() as kernel:
        kernel.give(*big)
        source = channel_of(kernel)
        counts = []
        while filled_now := sender.ring.fill_from(source, 1):
            counts.append(filled_now)
            frames += sender.send()
    assert counts == [8, 8, 4]
    assert [frame[HEADER_BYTES : HEADER_BYTES + 140] for frame in frames] == segment(*big)


def test_packets_that_are_malformed_cost_budget_and_are_counted() -> None:
    sender = Sender()
    with Kernel() as kernel:
        for _ in range(4):
            kernel.give_message(bytes(3))
        kernel.give(NO_OFFLOAD, b"packet")
        source = channel_of(kernel)
        assert sender.ring.fill_from(source, 4) == 0
        assert source.transmitted.drops[DropReason.BAD_OFFLOAD] == 4
        assert sender.ring.fill_from(source, 4) == 1
        assert source.transmitted.drops[DropReason.BAD_OFFLOAD] == 4


@pytest.mark.parametrize("slot_bytes", [13, 16])
def test_a_slot_has_room_for_header_packet_and_padding_or_for_nothing(slot_bytes: int) -> None:
    room = slot_bytes - 12
    sender = Sender(slot_bytes=slot_bytes)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, b"E" * (room + 1))
        kernel.give(NO_OFFLOAD, b"E" * room)
        source = channel_of(kernel)
        sender.ring.fill_from(source, 8)
        assert filled(source.transmitted) == (1, room, 1)


@pytest.mark.parametrize("beyond", [0, 1])
def test_segments_are_no_longer_than_the_mtu(beyond: int) -> None:
    whole = replace(Segment(), payload=pattern(3000))
    sender = Sender()
    with Kernel() as kernel:
        kernel.give(*whole.super_packet(1000))
        source = channel_of(kernel, mtu=1040 - beyond)
        sender.ring.fill_from(source, 8)
        assert filled(source.transmitted) == ((0, 0, 3) if beyond else (3, 3120, 0))
