"""The host receives: `drain_slots`, held equal to `ReceiveRing.drain_to` in memory and counters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.bam.memory import DESCRIPTOR_BYTES
from bamdmux.bam.pipe import DESCRIPTOR, FLAG_EOT
from bamdmux.counters import Counters
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.offload import coalesce
from tests.pump.frames import CLAIMS, FRAMES, ODD_FRAMES, data_frame
from tests.pump.kernel import Kernel
from tests.pump.rings import LoggingDevice, Receiver, counted, tallied
from tests.super_packets import Segment, pattern


@settings(max_examples=200, deadline=None)
@given(FRAMES, st.lists(CLAIMS, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8), st.booleans())
def test_the_host_receives_as_in_python(
    frames: list[bytes], claims: list[int | None], is_up: list[bool], merges_udp: bool
) -> None:
    receive_as_in_python(frames, claims, is_up, merges_udp)


def receive_as_in_python(
    frames: list[bytes], claims: list[int | None], is_up: list[bool], merges_udp: bool
) -> None:
    """The pump goes as far as it can, Python as far; and what comes next is nothing that it passes on."""
    by_pump, by_python = Receiver(frames, claims), Receiver(frames, claims, pumps=False)
    log = list[tuple[int, bytes]]()
    with Kernel(merges_udp) as lower, Kernel(merges_udp) as upper:  # of four channels each
        kernels = (lower,) * 4 + (upper,) * 4
        devices = tuple(kernels[channel].interface if is_up[channel] else None for channel in range(8))
        done = by_pump.pump(devices, len(frames))
        written = [list(lower.written()), list(upper.written())]
    counters, unassigned = [Counters() for _ in range(8)], Counters()
    python_devices = [LoggingDevice(channel, log) if is_up[channel] else None for channel in range(8)]
    by_python.arrived(done)
    assert list(by_python.ring.drain_to(python_devices, counters, unassigned)) == []
    by_python.owner.publish()
    by_python.arrived(0)
    by_pump.arrived(0)
    assert by_pump.memory == by_python.memory
    assert tallied(by_pump.tally) == [counted(each) for each in counters]
    assert written == [
        coalesce([each for each in log if each[0] // 4 == side], merges_udp) for side in (0, 1)
    ]
    if done < len(frames):
        by_python.arrived(done + 1)
        assert list(by_python.ring.drain_to(python_devices, counters, unassigned))
        assert len(log) == done


@pytest.mark.parametrize("odd", ODD_FRAMES, ids=repr)
def test_the_host_receives_each_odd_frame_as_in_python(odd: bytes) -> None:
    plain = data_frame(0, Segment().packet())
    receive_as_in_python([plain, odd, plain], [], [True] * 7 + [False], True)


def test_a_buffer_is_queued_again_where_the_tail_is() -> None:
    receiver = Receiver([data_frame(0, b"Ebytes")])
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 1) == 1
    tail = receiver.layout.slot_count
    at = receiver.layout.fifo_offset + tail * DESCRIPTOR_BYTES
    assert DESCRIPTOR.unpack_from(receiver.memory, at) == (receiver.layout.slot_address(0), 2048, FLAG_EOT)
    assert (receiver.owner._slots_of[tail], receiver.owner._sizes_of[tail]) == (0, 2048)


def test_a_buffer_is_queued_again_with_its_whole_size() -> None:
    receiver = Receiver([data_frame(0, b"Ebytes")])
    receiver.owner._sizes_of[0] = 1000
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 1) == 1
    assert receiver.owner._sizes_of[receiver.layout.slot_count] == 2048


def test_what_the_kernel_refuses_is_counted_each_packet_of_a_super_packet() -> None:
    first = Segment(payload=pattern(100))
    receiver = Receiver([data_frame(3, first.packet()), data_frame(3, first.next().packet())])
    with Kernel() as kernel:
        interface = kernel.interface
    assert receiver.pump((interface,) * 8, 2) == 2
    assert tallied(receiver.tally)[3] == (0, 0, 2)


def test_an_interface_that_is_none_of_the_pumps_is_for_python() -> None:
    receiver = Receiver([data_frame(0, b"Ebytes")])
    assert receiver.pump((QueueDevice(),) * 8, 1) == 0  # type: ignore[arg-type]


def test_an_interface_that_is_covered_is_for_python() -> None:
    receiver = Receiver([data_frame(0, b"Ebytes"), data_frame(1, b"Ebytes")])
    with Kernel() as plain, Kernel() as covered:
        covered.interface.is_covered = True
        assert receiver.pump((plain.interface, *(covered.interface,) * 7), 2) == 1
        assert list(covered.written()) == []


@pytest.mark.parametrize(
    ("slot", "size", "claim"), [(30_000, 2048, None), (0, 2049, 2049), (0, 0xFFFF, 0xFFFF), (0, 4, None)]
)
def test_what_python_remembers_wrongly_is_not_followed(slot: int, size: int, claim: int | None) -> None:
    receiver = Receiver([data_frame(0, b"Ebytes")], [claim])
    receiver.owner._slots_of[0], receiver.owner._sizes_of[0] = slot, size
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 1) == 0
