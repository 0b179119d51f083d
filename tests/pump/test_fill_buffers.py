"""The modem fills: `fill_buffers`, held equal to `Downlink.fill_from`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.bam.memory import LinkLayout
from bamdmux.counters import DropReason
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.dmux import HEADER_BYTES
from bamdmux.wire.offload import NO_OFFLOAD
from tests.pump.frames import DOWNLINK_PACKETS, RX_DESCRIPTORS, downlink_packet
from tests.pump.kernel import Kernel, pump
from tests.pump.rings import GENERATION, Filler, counted, put_word, tallied
from tests.super_packets import Segment, pattern


@settings(max_examples=200, deadline=None)
@given(st.lists(DOWNLINK_PACKETS, max_size=8), st.lists(RX_DESCRIPTORS, max_size=6), st.integers(0, 8))
def test_the_modem_fills_as_in_python(
    packets: list[bytes], descriptors: list[tuple[int, int] | None], budget: int
) -> None:
    by_pump, by_python = Filler(6, descriptors), Filler(6, descriptors, pumps=False)
    with Kernel() as kernel:
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        done = by_pump.pump(kernel.interface, budget)
        left = kernel.read_all()
    assert left == packets[done:]
    by_pump.peer.publish()
    host_open = by_python.network.host_open
    device = QueueDevice(packets[:done])
    assert by_python.downlink.fill_from(device, host_open, done) == (done, done)
    assert by_pump.memory == by_python.memory
    counters = by_python.network.downlink()
    assert tallied(by_pump.tally) == [counted(each) for each in counters]
    if done < min(len(packets), budget, 6):
        # Of this packet and this buffer, Python drops the one or gives back the other.
        device = QueueDevice(packets[done : done + 1])
        _, sent = by_python.downlink.fill_from(device, host_open, 1)
        assert not sent or by_python.downlink.strays.drops[DropReason.BAD_DESCRIPTOR]


@pytest.mark.parametrize("missing", [0, 1, HEADER_BYTES])
def test_a_buffer_is_filled_if_header_and_packet_fit(missing: int) -> None:
    packet = downlink_packet(0, 4, 100)
    address = LinkLayout(slot_count=2).rx.slot_address(1)
    filler = Filler(2, [(address, HEADER_BYTES + len(packet) - missing)])
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert filler.pump(kernel.interface, 1) == (not missing)


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_buffer_to_fill_ends_where_buffers_end(beyond: int) -> None:
    packet = downlink_packet(0, 4, 100)
    size = HEADER_BYTES + len(packet)
    filler = Filler(2, [(LinkLayout(slot_count=2).rx.end - size + beyond, size)])
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert filler.pump(kernel.interface, 1) == 1 - beyond


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_packet_may_be_as_long_as_the_mtu_of_the_bearer(version: int, beyond: int) -> None:
    filler = Filler(2)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, downlink_packet(0, version, 1500 - {4: 20, 6: 40}[version] + beyond))
        assert filler.pump(kernel.interface, 1) == 1 - beyond


def test_buffers_of_a_pipe_that_was_reset_are_not_filled() -> None:
    filler = Filler(2)
    tail = filler.layout.tail_offset
    packet = downlink_packet(0, 4, 100)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        put_word(filler.memory, tail, 2, GENERATION + 1)
        before = bytes(filler.memory)
        assert filler.pump(kernel.interface, 2) == 0
        assert filler.memory == before
        assert kernel.interface.has_packet
        put_word(filler.memory, tail, 2)
        assert filler.pump(kernel.interface, 2) == 1


def test_a_packet_during_which_the_pipe_is_reset_is_lost_in_flight() -> None:
    filler = Filler(2)
    packet = downlink_packet(0, 4, 100)
    # The word with the generation lies where the packet comes to lie: it changes while the pump is at it.
    tail_word = filler.layout.slot_address(0) + HEADER_BYTES + 40
    put_word(filler.memory, tail_word, 0)
    before = bytes(filler.memory[: filler.layout.buffers_offset])
    filler.peer.pump = pump.Pipe(
        filler.memory, (*filler.layout.place[:-2], tail_word, filler.layout.position_offset)
    )
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert filler.pump(kernel.interface, 2) == 0
        assert not kernel.interface.has_packet
    assert tallied(filler.tally)[0] == (0, 0, 1)
    assert filler.memory[: filler.layout.buffers_offset] == before


def test_malformed_packets_of_the_network_cost_budget() -> None:
    filler = Filler(2)
    with Kernel() as kernel:
        kernel.give_message(bytes(3))
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 100))
        assert filler.pump(kernel.interface, 1) == 0
        assert filler.pump(kernel.interface, 1) == 1
        assert kernel.interface.take_malformed() == 1


# -- Super-packets --


def to_the_host(segments: int) -> tuple[bytes, bytes]:
    """A super-packet of the network for channel 0."""
    return Segment(payload=pattern(100 * segments), is_to_host=True).super_packet(100)


@pytest.mark.parametrize("budget", [1, 3, 10])
def test_a_super_packet_that_was_begun_is_finished_whatever_the_budget(budget: int) -> None:
    filler = Filler(12)
    with Kernel() as kernel:
        kernel.give(*to_the_host(10))
        assert filler.pump(kernel.interface, budget) == 10
        assert tallied(filler.tally)[0] == (10, 1400, 0)


def test_a_super_packet_that_is_not_begun_waits_for_budget() -> None:
    filler = Filler(12)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 100))
        kernel.give(*to_the_host(10))
        assert filler.pump(kernel.interface, 1) == 1
        assert filler.pump(kernel.interface, 0) == 0
        assert filler.pump(kernel.interface, 1, space=11) == 10


@pytest.mark.parametrize("space", [10, 11])
def test_a_super_packet_that_finds_too_few_buffers_waits_for_more(space: int) -> None:
    filler = Filler(12)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 100))
        kernel.give(*to_the_host(10))
        assert filler.pump(kernel.interface, 32, space=space) == (11 if space == 11 else 1)
        assert kernel.interface.has_packet == (space < 11)


def test_a_super_packet_of_more_segments_than_there_are_buffers_goes_in_parts() -> None:
    filler = Filler(4)
    with Kernel() as kernel:
        kernel.give(*to_the_host(6))
        assert filler.pump(kernel.interface, 32) == 4
        filler.take_back()
        assert filler.pump(kernel.interface, 32) == 2
        assert not kernel.interface.has_packet
