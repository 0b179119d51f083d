"""The transmit ring against a peer that is moved by hand. No clock, no power: the ring knows neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.host.transmit import DISCARD_LIMIT, Leftovers, TransmitRing
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.dmux import Command, Frame
from tests.host.far_end import PING, close_frame, numbered, open_frame, sent_frame_of

OPEN_0, CLOSE_0 = Frame(Command.OPEN, 0), Frame(Command.CLOSE, 0)
OPEN_1, CLOSE_1 = Frame(Command.OPEN, 1), Frame(Command.CLOSE, 1)


class Rig:
    """A ring of four slots, its pipe open, and the modem's end of it."""

    def __init__(self, slot_count: int = 4, transmit_bytes: int = 2052) -> None:
        layout = LinkLayout(slot_count=slot_count, transmit_bytes=transmit_bytes)
        self.memory = layout.allocate()
        self.pipe = PipeOwner(self.memory, layout.tx)
        self.pipe.open()
        self.peer = PipePeer(self.memory, layout.tx)
        self.ring = TransmitRing(self.pipe)

    def fill(self, *packets: bytes, channel: int = 0, budget: int = 32) -> Channel:
        result = channel_with(*packets, index=channel)
        self.ring.fill_from(result, budget)
        return result

    def submit(self) -> list[Frame]:
        commands = self.ring.submit_pending()
        self.pipe.publish()
        return commands

    def take(self, count: int | None = None) -> list[bytes]:
        """The modem uses frames; the ring has not looked yet."""
        frames = []
        available = self.peer.available()
        for _ in range(available if count is None else count):
            frames.append(bytes(self.peer.take()))
            self.peer.complete()
        self.peer.publish()
        return frames

    def send(self) -> list[bytes]:
        """Everything that is pending goes out, is used, and its slots come back."""
        self.submit()
        frames = self.take()
        assert self.ring.reap() == len(frames)
        return frames


class EndlessDevice(QueueDevice):
    """Always has one more packet."""

    def __init__(self, packet: bytes) -> None:
        super().__init__()
        self.packet = packet
        self.read_count = 0

    def read_into(self, buffer: memoryview) -> int:
        self.read_count += 1
        self.outgoing.append(self.packet)
        return super().read_into(buffer)


def channel_with(*packets: bytes, index: int = 0) -> Channel:
    return Channel(index, device=QueueDevice(packets))


# -- in: packets


def test_a_new_ring_is_empty() -> None:
    ring = Rig().ring
    assert (ring.free, ring.pending, ring.is_empty) == (4, 0, True)
    assert not ring.waiting_commands


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 28, 1499, 1500])
def test_a_packet_becomes_the_kernels_frame(length: int) -> None:
    rig = Rig()
    packet = numbered(7, 1500)[:length]
    rig.fill(packet, channel=5)
    assert rig.send() == [sent_frame_of(packet, channel=5)]


def test_padding_shows_nothing_of_an_earlier_frame() -> None:
    rig = Rig(slot_count=1)
    rig.fill(b"\x45" * 40)
    rig.send()
    rig.fill(b"\x60" * 21)
    assert rig.send() == [sent_frame_of(b"\x60" * 21)]


def test_a_filled_slot_is_pending_until_it_is_submitted() -> None:
    rig = Rig()
    rig.fill(PING)
    assert (rig.ring.free, rig.ring.pending, rig.ring.is_empty) == (3, 1, False)
    assert rig.peer.available() == 0
    rig.submit()
    assert (rig.ring.free, rig.ring.pending, rig.ring.is_empty) == (3, 0, False)
    assert rig.peer.available() == 1


def test_packets_and_bytes_are_counted_without_header_and_padding() -> None:
    rig = Rig()
    channel = rig.fill(PING, PING)
    assert (channel.transmitted.packet_count, channel.transmitted.byte_count) == (2, 56)


def test_no_more_is_read_than_the_budget() -> None:
    rig = Rig()
    channel = channel_with(*[PING] * 3)
    assert rig.ring.fill_from(channel, budget=2) == 2
    assert isinstance(channel.device, QueueDevice)
    assert len(channel.device.outgoing) == 1


def test_no_more_is_read_than_there_are_slots() -> None:
    rig = Rig()
    channel = channel_with(*[PING] * 6)
    assert rig.ring.fill_from(channel, budget=32) == 4
    assert rig.ring.free == 0
    assert rig.ring.fill_from(channel, budget=32) == 0
    assert isinstance(channel.device, QueueDevice)
    assert len(channel.device.outgoing) == 2


def test_a_packet_longer_than_the_mtu_is_dropped_and_counted_and_the_next_one_is_sent() -> None:
    rig = Rig()
    channel = rig.fill(bytes(1501), PING)
    assert rig.send() == [sent_frame_of(PING)]
    assert channel.transmitted.drops == {DropReason.LONGER_THAN_MTU: 1}
    assert channel.transmitted.packet_count == 1


def test_a_packet_as_long_as_the_mtu_is_sent() -> None:
    rig = Rig()
    channel = channel_with(bytes(100), bytes(101))
    channel.mtu = 100
    assert rig.ring.fill_from(channel, budget=32) == 1
    assert rig.send() == [sent_frame_of(bytes(100))]


def test_a_packet_of_the_largest_mtu_fills_a_slot() -> None:
    rig = Rig()
    channel = channel_with(bytes(2040))
    channel.mtu = 2040
    rig.ring.fill_from(channel, budget=32)
    assert rig.send() == [sent_frame_of(bytes(2040))]


def test_a_packet_that_the_interface_cut_is_dropped_and_counted() -> None:
    rig = Rig()
    channel = channel_with(bytes(2041), PING)
    channel.mtu = 65535
    assert rig.ring.fill_from(channel, budget=32) == 1
    assert channel.transmitted.drops == {DropReason.TRUNCATED_BY_DEVICE: 1}
    assert rig.send() == [sent_frame_of(PING)]


def test_a_smaller_slot_leaves_room_for_the_padding() -> None:
    rig = Rig(transmit_bytes=64)
    channel = channel_with(bytes(52), bytes(53))
    assert rig.ring.fill_from(channel, budget=32) == 1
    assert rig.send() == [sent_frame_of(bytes(52))]
    assert channel.transmitted.drops == {DropReason.TRUNCATED_BY_DEVICE: 1}


def test_an_interface_that_gives_an_empty_packet_is_dry() -> None:
    rig = Rig()
    channel = rig.fill(b"", PING)
    assert rig.ring.pending == 0
    assert channel.transmitted.drops == {}


@pytest.mark.parametrize("length", [1501, 2041])
def test_a_flood_of_packets_that_cannot_be_sent_ends_with_the_budget(length: int) -> None:
    device = EndlessDevice(bytes(length))
    channel = Channel(0, device=device)
    assert Rig().ring.fill_from(channel, budget=32) == 0
    assert device.read_count == 4  # the ring's free slots are the smaller bound
    assert channel.transmitted.drops.total() == 4


# -- in: commands


def test_a_command_is_eight_bytes_and_takes_a_slot() -> None:
    rig = Rig()
    rig.ring.queue_command(OPEN_1)
    assert rig.ring.free == 3
    assert rig.send() == [open_frame(1)]


def test_commands_and_packets_leave_in_the_order_they_came() -> None:
    rig = Rig()
    rig.ring.queue_command(OPEN_0)
    rig.fill(numbered(1))
    rig.ring.queue_command(CLOSE_0)
    assert rig.submit() == [OPEN_0, CLOSE_0]
    assert rig.take() == [open_frame(0), sent_frame_of(numbered(1)), close_frame(0)]


def test_a_command_that_finds_the_ring_full_waits_for_a_slot() -> None:
    rig = Rig()
    rig.fill(*[PING] * 4)
    rig.ring.queue_command(CLOSE_0)
    assert rig.ring.waiting_commands
    rig.submit()
    rig.take(1)
    rig.ring.reap()
    rig.ring.place_waiting_commands()
    assert not rig.ring.waiting_commands
    rig.submit()
    assert rig.take()[-1] == close_frame(0)


def test_commands_that_wait_stay_in_order() -> None:
    rig = Rig(slot_count=1)
    rig.fill(PING)
    for command in (CLOSE_0, OPEN_1, OPEN_0):
        rig.ring.queue_command(command)
    sent = rig.send()
    while rig.ring.waiting_commands:
        rig.ring.place_waiting_commands()
        sent += rig.send()
    assert sent == [sent_frame_of(PING), close_frame(0), open_frame(1), open_frame(0)]


def test_an_open_that_waits_and_the_close_that_follows_cancel_each_other() -> None:
    rig = Rig(slot_count=1)
    rig.fill(PING)
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(OPEN_1)
    rig.ring.queue_command(CLOSE_0)
    rig.send()
    rig.ring.place_waiting_commands()
    assert rig.send() == [open_frame(1)]
    assert not rig.ring.waiting_commands


def test_a_close_takes_back_the_last_open_that_waits_not_the_first() -> None:
    rig = Rig()
    rig.ring.return_commands([OPEN_0, CLOSE_0, OPEN_0])
    rig.ring.queue_command(CLOSE_0)
    rig.ring.place_waiting_commands()
    assert rig.send() == [open_frame(0), close_frame(0)]


def test_a_close_is_queued_behind_an_open_that_has_a_slot() -> None:
    rig = Rig()
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(CLOSE_0)
    assert rig.send() == [open_frame(0), close_frame(0)]


def test_an_open_that_has_not_gone_out_is_not_queued_twice() -> None:
    rig = Rig(slot_count=2)
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(OPEN_0)
    assert rig.ring.pending == 1
    rig.ring.queue_command(OPEN_1)
    rig.ring.queue_command(CLOSE_0)
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(OPEN_0)
    sent = rig.send()
    rig.ring.place_waiting_commands()
    assert sent + rig.send() == [open_frame(0), open_frame(1), close_frame(0), open_frame(0)]


def test_an_open_that_has_not_gone_out_is_found_among_packets_and_other_commands() -> None:
    rig = Rig(slot_count=8)
    rig.fill(PING)
    rig.submit()
    rig.fill(PING)
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(OPEN_1)
    rig.fill(PING)
    rig.ring.queue_command(OPEN_0)
    assert rig.ring.pending == 4


def test_an_open_that_has_not_gone_out_is_found_behind_frames_in_flight() -> None:
    rig = Rig()
    rig.fill(PING)
    rig.submit()
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(OPEN_0)
    assert rig.ring.pending == 1


def test_an_open_does_not_take_back_one_that_has_come_back_with_its_close() -> None:
    rig = Rig()
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(CLOSE_0)
    rig.ring.return_commands(rig.ring.take_pending().commands)
    rig.ring.queue_command(OPEN_0)
    assert rig.send() == [open_frame(0), close_frame(0), open_frame(0)]


def test_an_open_that_has_gone_out_can_be_repeated() -> None:
    rig = Rig()
    rig.ring.queue_command(OPEN_0)
    rig.submit()
    rig.ring.queue_command(OPEN_0)
    rig.submit()
    assert rig.take() == [open_frame(0), open_frame(0)]


def test_an_interface_that_goes_up_and_down_while_the_ring_is_full_leaves_two_commands_at_most() -> None:
    rig = Rig()
    rig.fill(*[PING] * 4)
    for _ in range(1000):
        rig.ring.queue_command(CLOSE_0)
        rig.ring.queue_command(OPEN_0)
        rig.ring.queue_command(CLOSE_0)
        rig.ring.queue_command(OPEN_0)
    rig.send()
    rig.ring.place_waiting_commands()
    assert rig.send() == [close_frame(0), open_frame(0)]


# -- out and back


def test_the_order_of_packets_is_kept_across_the_end_of_the_ring() -> None:
    rig = Rig()
    rig.fill(numbered(0), numbered(1), numbered(2))
    sent = rig.send()
    rig.fill(*[numbered(number) for number in range(3, 7)])
    assert rig.ring.free == 0
    sent += rig.send()
    assert sent == [sent_frame_of(numbered(number)) for number in range(7)]


def test_packets_that_waited_leave_before_later_ones() -> None:
    rig = Rig()
    rig.fill(numbered(0), numbered(1))
    rig.submit()
    rig.fill(numbered(2), numbered(3))
    assert rig.take(1) == [sent_frame_of(numbered(0))]
    rig.ring.reap()
    rig.fill(numbered(4))
    rig.submit()
    assert rig.take() == [sent_frame_of(numbered(number)) for number in range(1, 5)]


def test_slots_come_back_as_the_modem_is_done_with_them() -> None:
    rig = Rig()
    rig.fill(*[PING] * 4)
    rig.submit()
    assert rig.ring.reap() == 0
    rig.take(3)
    assert rig.ring.free == 0
    assert rig.ring.reap() == 3
    assert rig.ring.free == 3
    rig.take(1)
    assert rig.ring.reap() == 1
    assert rig.ring.is_empty


def test_pending_packets_are_counted_without_commands_and_submitted_ones() -> None:
    rig = Rig()
    rig.fill(PING)
    rig.submit()
    rig.ring.queue_command(OPEN_0)
    rig.fill(PING, PING)
    assert (rig.ring.pending, rig.ring.pending_packets) == (3, 2)


def test_a_command_behind_a_packet_is_no_pending_packet() -> None:
    rig = Rig()
    rig.fill(PING)
    rig.submit()
    rig.fill(PING)
    rig.ring.queue_command(OPEN_0)
    assert rig.ring.pending_packets == 1


def test_submitting_nothing_does_nothing() -> None:
    rig = Rig()
    assert rig.submit() == []
    assert rig.peer.available() == 0


# -- lost


def test_what_was_in_flight_is_named_when_the_pipe_was_terminated() -> None:
    rig = Rig()
    rig.ring.queue_command(OPEN_1)
    rig.fill(bytes(40), channel=1)
    rig.submit()
    rig.fill(bytes(50), channel=2)
    rig.pipe.terminate()
    assert rig.ring.take_submitted() == Leftovers([OPEN_1], [(1, 40)])
    assert (rig.ring.free, rig.ring.pending) == (3, 1)


def test_what_waited_is_named_when_it_is_given_up() -> None:
    rig = Rig()
    rig.fill(bytes(40), bytes(41), channel=3)
    rig.ring.queue_command(CLOSE_1)
    assert rig.ring.take_pending() == Leftovers([CLOSE_1], [(3, 40), (3, 41)])
    assert rig.ring.is_empty
    assert rig.ring.take_pending() == Leftovers()


def test_commands_that_return_come_before_those_that_wait() -> None:
    rig = Rig()
    rig.fill(*[PING] * 4)
    rig.ring.queue_command(OPEN_1)
    rig.ring.take_pending()
    rig.ring.return_commands([CLOSE_0, OPEN_0])
    rig.ring.place_waiting_commands()
    assert rig.send() == [close_frame(0), open_frame(0), open_frame(1)]


def test_a_slot_that_held_a_command_holds_a_packet_like_any_other() -> None:
    rig = Rig(slot_count=1)
    rig.ring.queue_command(OPEN_0)
    rig.send()
    rig.fill(PING)
    assert rig.submit() == []
    rig.pipe.terminate()
    assert rig.ring.take_submitted() == Leftovers([], [(0, 28)])


def test_a_slot_whose_command_was_given_up_holds_a_packet_like_any_other() -> None:
    rig = Rig(slot_count=1)
    rig.ring.queue_command(OPEN_0)
    rig.ring.take_pending()
    rig.fill(PING)
    assert rig.ring.take_pending() == Leftovers([], [(0, 28)])


def test_commands_for_the_dead_are_forgotten() -> None:
    rig = Rig(slot_count=1)
    rig.fill(PING)
    rig.ring.queue_command(OPEN_0)
    rig.ring.queue_command(OPEN_1)
    assert rig.ring.waiting_commands
    rig.ring.forget_commands()
    assert not rig.ring.waiting_commands
    assert rig.send() == [sent_frame_of(PING)]
    assert rig.ring.pending == 0
    rig.ring.queue_command(OPEN_0)  # the next one hears it
    assert rig.send() == [open_frame(0)]


# -- discarded


def test_packets_of_an_interface_that_went_down_are_discarded_and_counted() -> None:
    counters, device = Counters(), QueueDevice([PING] * 3)
    Rig().ring.discard_from(device, counters)
    assert not device.outgoing
    assert counters.drops == {DropReason.INTERFACE_DOWN: 3}


def test_discarding_ends_even_if_there_is_always_one_more() -> None:
    counters, device = Counters(), EndlessDevice(PING)
    Rig().ring.discard_from(device, counters)
    assert device.read_count == DISCARD_LIMIT
    assert counters.drops == {DropReason.INTERFACE_DOWN: DISCARD_LIMIT}


# -- any order


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fill", "command", "submit", "take", "reap", "give-up", "lose"]), st.integers(0, 6)
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 5))
def test_frames_leave_in_the_order_they_came_whatever_happens(
    steps: list[tuple[str, int]], slot_count: int
) -> None:
    rig = Rig(slot_count)
    ring, number = rig.ring, 0
    channel = channel_with()
    device = channel.device
    assert isinstance(device, QueueDevice)
    sent: list[bytes] = []
    for step, count in steps:
        match step:
            case "fill":
                device.outgoing.extend(numbered(number + index) for index in range(count))
                number += count
                ring.place_waiting_commands()
                ring.fill_from(channel, budget=count)
            case "command":
                ring.queue_command(Frame(Command.CLOSE, count))
            case "submit":
                rig.submit()
            case "take":
                sent += rig.take(min(count, rig.peer.available()))
            case "reap":
                ring.reap()
            case "give-up" if rig.pipe.in_flight == 0:
                ring.return_commands(ring.take_pending().commands)
            case "lose":
                ring.reap()
                rig.pipe.terminate()
                ring.return_commands(ring.take_submitted().commands)
        assert ring.free + ring.pending + rig.pipe.in_flight == slot_count
        assert ring.is_empty == (ring.free == slot_count)
    numbers = [int.from_bytes(frame[9:12], "big") for frame in sent if frame[3] == 0]
    assert numbers == sorted(set(numbers))


# -- Room


@pytest.mark.parametrize(("taken", "expected"), [(0, True), (2, True), (3, False), (4, False)])
def test_half_of_the_slots_are_free_or_not(taken: int, expected: bool) -> None:
    rig = Rig(slot_count=4)
    rig.fill(*[PING] * taken)
    assert (rig.ring.free, rig.ring.pending) == (4 - taken, taken)
    assert rig.ring.is_half_free is expected
    rig.submit()
    assert (rig.ring.free, rig.ring.pending) == (4 - taken, 0)
    assert rig.ring.is_half_free is expected


def test_of_three_slots_two_are_half() -> None:
    rig = Rig(slot_count=3)
    rig.fill(PING)
    assert rig.ring.is_half_free
    rig.fill(PING)
    assert not rig.ring.is_half_free


def test_no_slot_is_to_spare_while_a_command_waits_for_one() -> None:
    rig = Rig(slot_count=1)
    rig.fill(PING)
    rig.ring.queue_command(OPEN_0)
    rig.submit()
    rig.take()
    rig.ring.reap()
    assert rig.ring.free == 1
    assert not rig.ring.is_half_free
    rig.ring.place_waiting_commands()
    rig.send()
    assert rig.ring.is_half_free


def test_packets_of_queues_are_short_of_nothing() -> None:
    rig = Rig(slot_count=2)
    rig.fill(*[PING] * 5)
    assert rig.ring.free == 0
    assert not rig.ring.is_short
