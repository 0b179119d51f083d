"""Host and modem joined: what the one says, the other understands; whatever happens between them heals."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bamdmux.actions import Line, LogEvent, Pipe, Severity
from bamdmux.counters import DropReason
from bamdmux.modem.power import PowerState
from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND
from tests.host.far_end import close_frame, open_frame
from tests.modem.near_end import SOLICITATION
from tests.pair import Interface, Pair, downlink, linked_pair, numbers, uplink

# -- waking, sleeping


def test_the_modem_announces_itself_and_falls_asleep() -> None:
    pair = Pair()
    pair.start()
    pair.run_for(SECOND)
    assert list(pair.devices) == [0, 1]
    assert pair.modem.power_state is PowerState.DOWN
    assert pair.host_power() == "suspended"
    assert pair.host.deadline is None
    assert pair.modem.deadline is None


def test_a_host_that_comes_first_waits_for_the_modem() -> None:
    pair = Pair()
    pair.probe()
    pair.run_for(60 * SECOND)
    pair.modem.boot(pair.now)
    pair.run_for(SECOND)
    assert list(pair.devices) == [0, 1]


def test_a_modem_that_comes_first_waits_for_the_host() -> None:
    pair = Pair()
    pair.modem.boot(0)
    for now in range(0, 60 * SECOND, 10 * MILLISECOND):  # it goes up and down until somebody answers
        pair.now = now
        pair.modem.handle_timeout(now)
        for action in pair.modem.take_actions():
            pair._carry_out(action, is_for_host=True)
    pair.notices.clear()
    pair.probe()
    pair.run_for(10 * SECOND)
    assert list(pair.devices) == [0, 1]


def test_an_interface_that_comes_up_is_open_at_the_modem() -> None:
    pair = linked_pair(0)
    assert pair.open_at_modem()[:2] == [True, False]
    pair.set_up(0, is_up=False)
    pair.settle()
    assert pair.open_at_modem()[:2] == [False, False]
    assert pair.sent == [open_frame(0), close_frame(0)]


def test_an_idle_link_falls_asleep_and_one_packet_wakes_it() -> None:
    pair = linked_pair(0)
    pair.run_for(10 * SECOND)
    assert pair.modem.power_state is PowerState.DOWN
    pair.transmit(0, uplink(1))
    assert not pair.network.delivered
    pair.run_for(2 * MILLISECOND)
    assert numbers(pair.network.delivered) == [1]
    pair.run_for(10 * SECOND)
    assert pair.modem.power_state is PowerState.DOWN
    assert pair.host_power() == "suspended"


def test_a_packet_from_the_world_wakes_the_modem_and_no_vote_is_needed() -> None:
    pair = linked_pair(0)
    pair.run_for(10 * SECOND)
    votes = pair.lines[Line.HOST_VOTE].edge_count
    pair.answer(downlink(1))
    pair.run_for(10 * MILLISECOND)
    assert numbers(pair.devices[0].delivered) == [1]
    assert pair.lines[Line.HOST_VOTE].edge_count == votes


@pytest.mark.parametrize("pause", [1000, 1001, 1002, 1003, 1004, 1005, 1500, 3000])
def test_packets_at_any_time_around_falling_asleep_arrive_in_order(pause: int) -> None:
    pair = linked_pair(0)
    for number in range(20):
        pair.transmit(0, uplink(number))
        pair.run_for(pause * MILLISECOND + number * 250 * MICROSECOND)
    assert numbers(pair.network.delivered) == list(range(20))
    assert not any(log.severity >= Severity.WARNING for log in pair.logged)


def test_a_host_so_slow_that_the_modem_fell_asleep_again_still_hears_what_it_had_said() -> None:
    pair = Pair()
    pair.start()
    while pair.modem.power_state is not PowerState.UP:
        pair.run_until(pair.now + MILLISECOND, settling=False)
        while (True, Line.MODEM_POWER) in pair.notices or (False, Line.HOST_ACK) in pair.notices:
            pair.deliver(len(pair.notices) - 1)
            pair.collect()
    pair.run_for(SECOND, settling=False)
    assert pair.modem.power_state is PowerState.FALLING
    pair.notices.sort(key=lambda notice: isinstance(notice[1], Pipe))  # lines are looked at first
    pair.run_for(SECOND)
    assert list(pair.devices) == [0, 1]


# -- packets


@pytest.mark.parametrize("slot_count", [1, 2, 3, 32])
def test_many_packets_cross_in_order_in_both_directions_and_nothing_is_lost(slot_count: int) -> None:
    pair = linked_pair(0, 1, slot_count=slot_count)
    for start in range(0, 200, 20):
        for channel in (0, 1):
            pair.devices[channel].outgoing.extend(
                uplink(number, channel) for number in range(start, start + 20)
            )
            pair.network.outgoing.extend(downlink(number, channel) for number in range(start, start + 20))
        pair.run_for(MILLISECOND)
    for channel in (0, 1):
        assert numbers(pair.network.delivered, channel) == list(range(200))
        assert numbers(pair.devices[channel].delivered) == list(range(200))
        assert pair.host.channels[channel].transmitted.packet_count == 200
        assert pair.host.channels[channel].received.byte_count == 200 * 28


def test_packets_of_every_length_cross_unchanged() -> None:
    pair = linked_pair(0)
    packets = [uplink(length, length=length) for length in range(24, 1501)]
    pair.transmit(0, *packets)
    assert list(pair.network.delivered) == packets


def test_both_sides_count_the_same() -> None:
    pair = linked_pair(0)
    pair.transmit(0, *map(uplink, range(7)))
    pair.answer(*map(downlink, range(5)))
    bearer = pair.modem.packet_data_network.bearers[0]
    assert bearer is not None
    channel = pair.host.channels[0]
    assert channel.transmitted.as_dict() == bearer.uplink.as_dict()
    assert channel.received.as_dict() == bearer.downlink.as_dict()


def test_a_router_solicitation_is_answered_on_its_channel() -> None:
    pair = linked_pair(1)
    pair.transmit(1, SOLICITATION)
    (advertisement,) = pair.devices[1].delivered
    assert advertisement[40] == 134


# -- crashes


def test_packets_flow_again_after_a_crash_and_a_restart() -> None:
    pair = linked_pair(0, 1)
    pair.transmit(0, uplink(1))
    pair.modem.crash(pair.now)
    pair.run_for(5 * SECOND)
    assert pair.host_power() == "suspended"
    pair.modem.boot(pair.now)
    pair.run_for(SECOND)
    assert pair.open_at_modem()[:2] == [True, True]
    pair.transmit(0, uplink(2))
    pair.run_for(SECOND)
    assert numbers(pair.network.delivered) == [1, 2]
    assert LogEvent.REOPENED in [log.event for log in pair.logged]


def test_packets_for_a_dead_modem_are_lost_and_counted_and_later_ones_arrive() -> None:
    pair = linked_pair(0)
    pair.run_for(10 * SECOND)
    pair.modem.crash(pair.now)
    pair.transmit(0, uplink(1), uplink(2))
    pair.run_for(10 * SECOND)
    assert pair.host.channels[0].transmitted.drops == {DropReason.RESUME_FAILED: 2}
    pair.modem.boot(pair.now)
    pair.run_for(10 * SECOND)
    pair.transmit(0, uplink(3))
    pair.run_for(SECOND)
    assert numbers(pair.network.delivered) == [3]


def test_frames_in_flight_at_a_crash_are_lost_and_counted() -> None:
    pair = linked_pair(0)
    pair.devices[0].outgoing.extend(map(uplink, range(5)))
    pair.host.transmit([0], pair.now)
    pair.modem.crash(pair.now)
    pair.run_for(SECOND)
    assert pair.host.channels[0].transmitted.drops == {DropReason.LOST_IN_FLIGHT: 5}
    assert pair.host_tx.in_flight == 0


def test_an_interface_that_went_down_while_the_modem_was_dead_is_not_open_afterwards() -> None:
    pair = linked_pair(0, 1)
    pair.modem.crash(pair.now)
    pair.settle()
    pair.set_up(0, is_up=False)
    pair.run_for(20 * SECOND)
    pair.modem.boot(pair.now)
    pair.run_for(20 * SECOND)
    assert pair.open_at_modem()[:2] == [False, True]


@pytest.mark.parametrize("after", range(0, 6000, 500))
def test_a_crash_at_any_moment_of_waking_heals(after: int) -> None:
    pair = linked_pair(0)
    pair.run_for(10 * SECOND)
    pair.transmit(0, uplink(1))
    pair.run_for(after * MICROSECOND)
    pair.modem.crash(pair.now)
    pair.run_for(after * MICROSECOND)
    pair.modem.boot(pair.now)
    pair.run_for(20 * SECOND)
    pair.transmit(0, uplink(2))
    pair.run_for(SECOND)
    assert numbers(pair.network.delivered)[-1:] == [2]


# -- removal


@pytest.mark.parametrize("rest", [0, 1001, 1002, 5000])
def test_the_host_leaves_in_order_and_without_a_complaint(rest: int) -> None:
    pair = linked_pair(0, 1)
    pair.run_for(rest * MILLISECOND)
    pair.host.remove(pair.now)
    pair.run_for(SECOND)
    assert pair.is_removed
    assert not pair.devices
    assert pair.open_at_modem()[:2] == [False, False]
    assert pair.modem.power_state is PowerState.DOWN
    assert not any(log.severity >= Severity.WARNING for log in pair.logged)


def test_the_host_leaves_a_dead_modem_too() -> None:
    pair = linked_pair(0)
    pair.modem.crash(pair.now)
    pair.settle()
    pair.host.remove(pair.now)
    pair.run_for(10 * SECOND)
    assert pair.is_removed
    assert not pair.lines[Line.HOST_VOTE].level


def test_the_host_leaves_though_the_modem_crashes_and_comes_back_meanwhile() -> None:
    pair = linked_pair(0)
    pair.devices[0].outgoing.extend(map(uplink, range(40)))
    pair.host.transmit([0], pair.now)
    pair.host.remove(pair.now)
    pair.modem.crash(pair.now)
    pair.run_for(MILLISECOND)
    pair.modem.boot(pair.now)
    pair.run_for(10 * SECOND)
    assert pair.is_removed
    assert not pair.lines[Line.HOST_VOTE].level


# -- anything


class WireOrder:
    """Follows the host's frames: what was said of each channel, and the number of its last packet."""

    def __init__(self) -> None:
        self._is_open = [False] * 8
        self._last = [-1] * 8
        self._seen = 0

    def check(self, sent: list[bytes]) -> None:
        for frame in sent[self._seen :]:
            command, channel = frame[3], frame[5]
            if command == 0:
                assert self._is_open[channel], "DATA outside of OPEN and CLOSE"
                (number,) = numbers([frame[8:]])
                assert number > self._last[channel], "packets overtook one another, or were sent twice"
                self._last[channel] = number
            else:
                self._is_open[channel] = command == 1
        self._seen = len(sent)


CHANNELS = st.integers(0, 1)
QUEUE_LENGTH = 100  # more than a ring, and a ring of one slot is done with them in the rounds that there are


class LinkMachine(RuleBasedStateMachine):
    """Interfaces come and go, both sides send, notices are late, the modem crashes; then there is quiet."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.order = WireOrder()

    @initialize(slot_count=st.sampled_from([1, 2, 3, 32]), is_settled=st.booleans())
    def begin(self, slot_count: int, is_settled: bool) -> None:
        self.pair = linked_pair(0, slot_count=slot_count) if is_settled else Pair(slot_count=slot_count)
        if not is_settled:
            self.pair.start()

    @rule(channel=CHANNELS, is_up=st.booleans())
    def interface_changes(self, channel: int, is_up: bool) -> None:
        if channel in self.pair.devices:
            self.pair.set_up(channel, is_up)

    @rule(channel=CHANNELS, count=st.integers(1, 40))
    def applications_send(self, channel: int, count: int) -> None:
        if channel in self.pair.devices:
            outgoing = self.pair.devices[channel].outgoing
            for _ in range(min(count, QUEUE_LENGTH - len(outgoing))):
                outgoing.append(uplink(self.number, channel))
                self.number += 1

    @rule(budget=st.integers(0, 40))
    def host_reads(self, budget: int) -> None:
        self.pair.host.transmit(self.pair.devices, self.pair.now, budget)

    @rule(channel=CHANNELS, count=st.integers(1, 40))
    def world_sends(self, channel: int, count: int) -> None:
        outgoing = self.pair.network.outgoing
        for _ in range(min(count, QUEUE_LENGTH - len(outgoing))):
            outgoing.append(downlink(self.number, channel))
            self.number += 1

    @rule()
    def modem_reads(self) -> None:
        if self.pair.modem.is_booted:
            self.pair.modem.receive_from_network(self.pair.now)

    @precondition(lambda self: self.pair.notices)
    @rule(data=st.data())
    def a_notice_arrives(self, data: st.DataObject) -> None:
        self.pair.deliver(data.draw(st.integers(0, len(self.pair.notices) - 1)))

    @rule(is_for_host=st.booleans(), what=st.sampled_from([*Pipe, None]))
    def a_notice_arrives_for_nothing(self, is_for_host: bool, what: Pipe | None) -> None:
        line = Line.MODEM_POWER if is_for_host else Line.HOST_VOTE
        self.pair.notices.append((is_for_host, what or line))
        self.pair.deliver(-1)

    @rule(
        duration=st.sampled_from(
            [0, 500 * MICROSECOND, 3 * MILLISECOND, 100 * MILLISECOND, SECOND, 2 * SECOND]
        )
    )
    def time_passes_and_nobody_is_told(self, duration: int) -> None:
        self.pair.collect()
        self.pair.run_for(duration, settling=False)

    @rule(duration=st.sampled_from([0, MILLISECOND, SECOND, 3 * SECOND]))
    def all_settles(self, duration: int) -> None:
        self.pair.run_for(duration)

    @rule()
    def modem_crashes_or_boots(self) -> None:
        if self.pair.modem.is_booted:
            self.pair.modem.crash(self.pair.now)
        else:
            self.pair.modem.boot(self.pair.now)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        pair.collect()
        self.order.check(pair.sent)
        ring = pair.host._transmit_ring
        assert ring.free + ring.pending + pair.host_tx.in_flight == pair.slot_count
        assert pair.host_rx.in_flight == (pair.slot_count if pair.host_rx.is_open else 0)
        assert pair.host_tx.bad_position_count == pair.host_rx.bad_position_count == 0
        status = pair.modem.status(pair.now)
        assert status["bad_tails"] == {"tx": 0, "rx": 0}
        assert status["bad_descriptors"] == {"tx": 0, "rx": 0}
        assert not pair.host.unassigned.drops
        for channel in (0, 1):
            self.rises(numbers(pair.network.delivered, channel))
            if channel in pair.devices:
                self.rises(numbers(pair.devices[channel].delivered))

    @staticmethod
    def rises(numbered: list[int]) -> None:
        assert all(earlier < later for earlier, later in pairwise(numbered))

    def teardown(self) -> None:
        """Then faults stop: everything drains and falls asleep within a bound, and the link works."""
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        if not pair.modem.is_booted:
            pair.modem.boot(pair.now)
        pair.run_for(20 * SECOND)
        self.holds()
        assert sorted(pair.devices) == [0, 1]
        assert pair.open_at_modem()[:2] == [pair.devices[channel].is_up for channel in (0, 1)]
        for channel, device in pair.devices.items():
            if not device.is_up:
                pair.set_up(channel)
        pair.run_for(20 * SECOND)
        assert not pair.network.outgoing
        for channel, device in pair.devices.items():
            assert not device.outgoing
            pair.transmit(channel, uplink(self.number, channel))
        pair.run_for(20 * SECOND)
        for channel in pair.devices:
            assert numbers(pair.network.delivered, channel)[-1:] == [self.number]
        assert pair.host_power() == "suspended"
        assert pair.modem.power_state is PowerState.DOWN
        assert pair.host.deadline is None
        assert pair.host_tx.in_flight == 0


LinkMachine.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
test_whatever_happens_between_the_two_heals = LinkMachine.TestCase


def test_delivering_to_an_interface_that_is_down_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="down"):
        Interface().write(memoryview(bytes(24)))
