"""Our vote and the modem's power, each fed by hand. Times are nanoseconds since the start."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Action, Line, Log, LogEvent, SetLine, Severity
from bamdmux.bam.lines import COUNT_MASK
from bamdmux.host.power import (
    LEGAL,
    HostOptions,
    HostVote,
    ModemPowerLine,
    PowerChange,
    VoteEvent,
    VoteState,
)
from bamdmux.timing import MILLISECOND, SECOND

VOTE = SetLine(Line.HOST_VOTE, True)
DROP = SetLine(Line.HOST_VOTE, False)


class Rig:
    """A vote, its outbox, and the modem's ack line."""

    def __init__(self, *, modem_is_up: bool = False, options: HostOptions | None = None) -> None:
        self.outbox: list[Action] = []
        self.vote = HostVote(self.outbox, options or HostOptions())
        self.ack_edges = 7
        self.vote.probe(self.ack_edges, modem_is_up, now=0)

    def lines(self) -> list[Action]:
        """What was asked of our lines since the last call."""
        changes: list[Action] = [action for action in self.outbox if isinstance(action, SetLine)]
        self.outbox.clear()
        return changes

    def logs(self) -> list[Action]:
        logged: list[Action] = [action for action in self.outbox if isinstance(action, Log)]
        self.outbox.clear()
        return logged

    def ack(self, now: int) -> VoteEvent:
        self.ack_edges += 1
        return self.vote.ack_changed(self.ack_edges, now)


def awaiting_up_ack(*, modem_is_up: bool = False) -> Rig:
    rig = Rig(modem_is_up=modem_is_up)
    assert not rig.vote.request(now=0)
    rig.outbox.clear()
    return rig


def awaiting_modem() -> Rig:
    rig = awaiting_up_ack()
    rig.ack(now=0)
    assert rig.vote.state is VoteState.AWAITING_MODEM
    rig.outbox.clear()
    return rig


def active() -> Rig:
    """ACTIVE since 0 by our vote."""
    rig = awaiting_modem()
    assert rig.vote.modem_rose(now=0) is VoteEvent.WOKE
    return rig


def awaiting_down_ack() -> Rig:
    """The vote was dropped for idleness at one second and not acked; wanted again at once."""
    rig = active()
    rig.vote.handle_timeout(now=SECOND)
    assert not rig.vote.request(now=SECOND)
    assert rig.vote.state is VoteState.AWAITING_DOWN_ACK
    rig.outbox.clear()
    return rig


def given_up() -> Rig:
    """The first vote was not acked for two seconds."""
    rig = awaiting_up_ack()
    assert rig.vote.handle_timeout(now=2 * SECOND) is VoteEvent.FAILED
    return rig


def uncontrolled() -> Rig:
    """SUSPENDED, the modem up, and it has said OPEN_NO_A2_PC."""
    rig = Rig(modem_is_up=True)
    assert rig.vote.power_control_ended(now=0) is VoteEvent.NOTHING
    return rig


# -- waking


def test_after_a_probe_nothing_is_voted_and_nothing_is_to_come() -> None:
    rig = Rig()
    assert rig.vote.state is VoteState.SUSPENDED
    assert rig.vote.deadline is None
    assert rig.outbox == []


def test_the_first_request_votes_at_once() -> None:
    rig = Rig()
    assert not rig.vote.request(now=5)
    assert rig.outbox == [Log(Severity.DEBUG, LogEvent.RESUMING), VOTE]
    assert rig.vote.state is VoteState.AWAITING_UP_ACK
    assert rig.vote.deadline == 5 + 2 * SECOND


def test_a_second_request_while_waiting_changes_nothing() -> None:
    rig = awaiting_up_ack()
    assert not rig.vote.request(now=SECOND)
    assert rig.outbox == []
    assert rig.vote.deadline == 2 * SECOND


def test_an_ack_and_a_modem_that_is_up_wake_us() -> None:
    rig = awaiting_up_ack(modem_is_up=True)
    assert rig.ack(now=SECOND) is VoteEvent.WOKE
    assert rig.vote.state is VoteState.ACTIVE
    assert rig.vote.request(now=SECOND)


def test_an_ack_before_the_power_begins_a_wait_of_its_own() -> None:
    rig = awaiting_up_ack()
    assert rig.ack(now=SECOND) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.AWAITING_MODEM
    assert rig.vote.deadline == 3 * SECOND


def test_the_modem_rising_after_its_ack_wakes_us() -> None:
    rig = awaiting_modem()
    assert rig.vote.modem_rose(now=SECOND) is VoteEvent.WOKE
    assert rig.vote.request(now=SECOND)


def test_the_modem_rising_before_its_ack_does_not_wake_us_yet() -> None:
    rig = awaiting_up_ack()
    assert rig.vote.modem_rose(now=1) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.AWAITING_UP_ACK
    assert rig.ack(now=2) is VoteEvent.WOKE


def test_a_spurious_look_at_the_ack_line_is_no_ack() -> None:
    rig = awaiting_up_ack(modem_is_up=True)
    assert rig.vote.ack_changed(rig.ack_edges, now=1) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.AWAITING_UP_ACK
    assert rig.outbox == []


def test_an_ack_that_was_seen_is_not_seen_again() -> None:
    rig = awaiting_down_ack()
    rig.ack(now=SECOND)
    assert rig.vote.state is VoteState.AWAITING_UP_ACK
    rig.vote.ack_changed(rig.ack_edges, now=SECOND)
    assert rig.vote.state is VoteState.AWAITING_UP_ACK


def test_acks_that_merged_into_one_wake_up_count_as_an_ack() -> None:
    rig = awaiting_up_ack(modem_is_up=True)
    rig.ack_edges += 1
    assert rig.ack(now=1) is VoteEvent.WOKE


def test_an_ack_that_is_late_after_all_is_only_noted() -> None:
    rig = active()
    rig.outbox.clear()
    assert rig.ack(now=1) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.ACTIVE
    assert rig.outbox == [Log(Severity.DEBUG, LogEvent.ACK_ARRIVED)]


def test_the_ack_count_wraps() -> None:
    rig = Rig(modem_is_up=True)
    rig.vote.probe(COUNT_MASK, modem_is_up=True, now=0)
    rig.vote.request(now=0)
    assert rig.vote.ack_changed(0, now=1) is VoteEvent.WOKE


# -- suspending


def test_an_idle_link_drops_its_vote_after_a_second() -> None:
    rig = active()
    rig.vote.busy()
    assert rig.vote.deadline is None
    rig.vote.idle(now=5 * SECOND)
    assert rig.vote.deadline == 6 * SECOND
    assert rig.vote.handle_timeout(now=6 * SECOND - 1) is VoteEvent.NOTHING
    assert rig.lines() == []
    assert rig.vote.handle_timeout(now=6 * SECOND) is VoteEvent.NOTHING
    assert rig.outbox == [Log(Severity.DEBUG, LogEvent.SUSPENDING), DROP]
    assert rig.vote.state is VoteState.SUSPENDED
    assert rig.vote.deadline is None


def test_waking_for_nothing_is_idleness_too() -> None:
    rig = active()
    assert rig.vote.deadline == SECOND


def test_a_busy_link_is_never_suspended() -> None:
    rig = active()
    rig.vote.busy()
    assert rig.vote.handle_timeout(now=3600 * SECOND) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.ACTIVE


def test_delays_are_options() -> None:
    options = HostOptions(autosuspend_delay_ns=3, remote_timeout_ns=5, retry_delay_ns=7)
    rig = Rig(modem_is_up=True, options=options)
    rig.vote.request(now=0)
    assert rig.vote.deadline == 5
    rig.ack(now=1)
    assert rig.vote.deadline == 1 + 3
    rig.vote.handle_timeout(now=4)
    rig.vote.retry_later(now=10)
    assert rig.vote.deadline == 17


def test_the_delays_are_the_kernels_and_ours_are_one_and_two_seconds() -> None:
    options = HostOptions()
    assert (options.autosuspend_delay_ns, options.remote_timeout_ns) == (SECOND, 2 * SECOND)
    assert (options.look_again_ns, options.retry_delay_ns) == (SECOND, 2 * SECOND)


def test_the_ack_of_the_dropped_vote_is_awaited_before_the_next_vote() -> None:
    rig = awaiting_down_ack()
    assert rig.lines() == []
    assert rig.vote.deadline == 3 * SECOND
    assert rig.ack(now=2 * SECOND) is VoteEvent.NOTHING
    assert rig.lines() == [VOTE]
    assert rig.vote.state is VoteState.AWAITING_UP_ACK
    assert rig.vote.deadline == 4 * SECOND


def test_an_ack_that_came_while_suspended_is_not_awaited_again() -> None:
    rig = active()
    rig.vote.handle_timeout(now=SECOND)
    rig.ack(now=SECOND + 1)
    rig.lines()
    rig.vote.request(now=2 * SECOND)
    assert rig.lines() == [VOTE]


def test_power_that_comes_while_the_old_vote_is_not_acked_clears_the_debt() -> None:
    rig = awaiting_down_ack()
    rig.vote.modem_fell(now=SECOND)
    assert rig.vote.modem_rose(now=2 * SECOND) is VoteEvent.NOTHING
    assert rig.lines() == [VOTE]
    assert rig.vote.deadline == 4 * SECOND


def test_power_that_comes_while_suspended_clears_the_debt_too() -> None:
    rig = active()
    rig.vote.handle_timeout(now=SECOND)
    rig.vote.modem_fell(now=SECOND)
    rig.vote.modem_rose(now=SECOND)
    rig.lines()
    rig.vote.request(now=2 * SECOND)
    assert rig.lines() == [VOTE]


# -- waiting in vain


def test_a_time_out_is_not_early() -> None:
    rig = awaiting_up_ack()
    assert rig.vote.handle_timeout(now=2 * SECOND - 1) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.AWAITING_UP_ACK


def test_a_vote_that_is_not_acked_is_dropped_after_two_seconds() -> None:
    rig = awaiting_up_ack()
    assert rig.vote.handle_timeout(now=2 * SECOND) is VoteEvent.FAILED
    assert rig.lines() == [DROP]
    assert rig.vote.state is VoteState.SUSPENDED
    assert rig.vote.deadline is None


def test_a_vote_that_brings_no_power_is_dropped_after_two_more_seconds() -> None:
    rig = awaiting_up_ack()
    rig.ack(now=SECOND)
    rig.outbox.clear()
    assert rig.vote.handle_timeout(now=3 * SECOND) is VoteEvent.FAILED
    assert rig.lines() == [DROP]


def test_an_old_vote_that_is_not_acked_fails_without_a_new_one() -> None:
    rig = awaiting_down_ack()
    assert rig.vote.handle_timeout(now=3 * SECOND) is VoteEvent.FAILED
    assert rig.lines() == []
    assert rig.vote.state is VoteState.SUSPENDED


@pytest.mark.parametrize("waiting", [awaiting_up_ack, awaiting_down_ack, awaiting_modem])
def test_after_a_time_out_the_next_request_votes_without_waiting_for_any_ack(
    waiting: Callable[[], Rig],
) -> None:
    rig = waiting()
    assert rig.vote.handle_timeout(now=10 * SECOND) is VoteEvent.FAILED
    rig.lines()
    rig.vote.request(now=10 * SECOND)
    assert rig.lines() == [VOTE]
    assert rig.vote.state is VoteState.AWAITING_UP_ACK


def test_it_can_fail_any_number_of_times_and_wake_after_that() -> None:
    rig = Rig()
    for attempt in range(5):
        rig.vote.request(now=10 * attempt * SECOND)
        assert rig.vote.handle_timeout(now=(10 * attempt + 2) * SECOND) is VoteEvent.FAILED
        assert rig.lines() == [VOTE, DROP]
    rig.vote.request(now=60 * SECOND)
    rig.ack(now=60 * SECOND)
    assert rig.vote.modem_rose(now=60 * SECOND) is VoteEvent.WOKE
    assert rig.vote.statistics.failed_resume_count == 5


def test_commands_that_still_wait_try_again_after_two_seconds() -> None:
    rig = given_up()
    rig.vote.retry_later(now=2 * SECOND)
    assert rig.vote.deadline == 4 * SECOND
    assert rig.vote.handle_timeout(now=4 * SECOND) is VoteEvent.RETRY
    assert rig.vote.deadline is None


def test_a_request_before_that_makes_the_retry_needless() -> None:
    rig = given_up()
    rig.vote.retry_later(now=2 * SECOND)
    rig.vote.request(now=3 * SECOND)
    assert rig.vote.handle_timeout(now=4 * SECOND) is VoteEvent.NOTHING
    assert rig.vote.deadline == 5 * SECOND


def test_a_retry_that_a_request_forestalled_does_not_come_after_its_failure() -> None:
    rig = given_up()
    rig.vote.retry_later(now=2 * SECOND)
    rig.vote.request(now=3 * SECOND)
    assert rig.vote.handle_timeout(now=5 * SECOND) is VoteEvent.FAILED
    assert rig.vote.deadline is None


def test_a_vote_that_is_dropped_for_good_is_not_retried() -> None:
    rig = given_up()
    rig.vote.retry_later(now=2 * SECOND)
    rig.vote.drop(now=3 * SECOND)
    assert rig.vote.deadline is None
    assert rig.vote.handle_timeout(now=4 * SECOND) is VoteEvent.NOTHING


# -- the modem's power goes


def test_the_modem_falling_while_we_vote_drops_the_vote_with_an_edge() -> None:
    rig = active()
    rig.outbox.clear()
    assert rig.vote.modem_fell(now=1) is VoteEvent.LOST
    assert rig.lines() == [DROP]
    assert rig.vote.state is VoteState.SUSPENDED


def test_after_a_loss_the_next_vote_waits_for_the_ack_of_the_drop() -> None:
    rig = active()
    rig.vote.modem_fell(now=1)
    rig.lines()
    rig.vote.request(now=2)
    assert rig.vote.state is VoteState.AWAITING_DOWN_ACK
    assert rig.lines() == []


@pytest.mark.parametrize("waiting", [Rig, awaiting_up_ack, awaiting_down_ack, awaiting_modem])
def test_the_modem_falling_while_we_are_not_active_is_no_news(waiting: Callable[[], Rig]) -> None:
    rig = waiting()
    before = rig.vote.state, rig.vote.deadline
    assert rig.vote.modem_fell(now=SECOND) is VoteEvent.NOTHING
    assert (rig.vote.state, rig.vote.deadline) == before
    assert rig.outbox == []


def test_a_modem_that_fell_again_before_its_ack_is_waited_for() -> None:
    rig = awaiting_up_ack(modem_is_up=True)
    rig.vote.modem_fell(now=1)
    assert rig.ack(now=2) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.AWAITING_MODEM


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (Rig, []),
        (awaiting_up_ack, [DROP]),
        (awaiting_down_ack, []),
        (awaiting_modem, [DROP]),
        (active, [DROP]),
    ],
)
def test_dropping_the_vote_works_in_every_state(state: Callable[[], Rig], lines: list[Action]) -> None:
    rig = state()
    rig.outbox.clear()
    rig.vote.drop(now=SECOND)
    assert rig.lines() == lines
    assert rig.vote.state is VoteState.SUSPENDED
    assert rig.vote.deadline is None


# -- the modem is dead, or we are new


@pytest.mark.parametrize("make", [awaiting_up_ack, awaiting_modem, active])
def test_a_vote_for_a_dead_modem_is_dropped_and_owes_nothing(make: Callable[[], Rig]) -> None:
    rig = make()
    rig.outbox.clear()
    rig.vote.modem_vanished(now=5)
    assert rig.lines() == [DROP]
    assert rig.vote.state is VoteState.SUSPENDED
    assert rig.vote.deadline is None
    assert not rig.vote.request(now=6)  # its successor need not ack the drop first
    assert rig.lines() == [VOTE]


def test_a_down_ack_of_a_dead_modem_is_not_waited_for() -> None:
    rig = awaiting_down_ack()
    rig.vote.modem_vanished(now=SECOND)
    assert rig.lines() == []
    assert rig.vote.state is VoteState.SUSPENDED
    assert rig.vote.deadline is None
    rig.vote.request(now=SECOND)
    assert rig.vote.state is VoteState.AWAITING_UP_ACK


def test_nobody_tries_again_for_a_dead_modem() -> None:
    rig = given_up()
    rig.vote.retry_later(now=2 * SECOND)
    rig.vote.modem_vanished(now=3 * SECOND)
    assert rig.vote.deadline is None
    assert rig.vote.state is VoteState.SUSPENDED


def test_power_control_begins_anew_with_the_next_modem() -> None:
    rig = uncontrolled()
    assert rig.vote.request(now=0)
    rig.vote.modem_vanished(now=1)
    assert rig.lines() == []
    assert not rig.vote.request(now=2)
    assert rig.lines() == [VOTE]


def test_a_successor_that_rises_is_a_controlled_one() -> None:
    rig = uncontrolled()
    rig.vote.modem_vanished(now=1)
    rig.vote.modem_rose(now=2)
    assert not rig.vote.request(now=3)
    assert rig.lines() == [VOTE]


def test_the_power_of_a_dead_modem_is_gone() -> None:
    rig = active()
    rig.vote.modem_vanished(now=5)
    rig.vote.request(now=6)
    assert rig.ack(now=7) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.AWAITING_MODEM


def test_a_vote_that_an_earlier_driver_left_is_dropped_at_the_start() -> None:
    outbox: list[Action] = []
    vote = HostVote(outbox, HostOptions(), level=True)
    vote.probe(7, modem_is_up=True, now=0)
    assert outbox == [DROP]
    assert vote.state is VoteState.SUSPENDED
    vote.request(now=1)  # its ack comes first: so ours is an edge, and the ack of ours is its own
    assert vote.state is VoteState.AWAITING_DOWN_ACK
    vote.ack_changed(8, now=2)
    assert outbox[-2:] == [Log(Severity.DEBUG, LogEvent.ACK_ARRIVED), VOTE]


# -- OPEN_NO_A2_PC


def test_without_power_control_nothing_is_voted() -> None:
    rig = uncontrolled()
    assert rig.vote.request(now=1)
    assert rig.outbox == []
    assert rig.vote.state is VoteState.ACTIVE


def test_without_power_control_nothing_is_suspended() -> None:
    rig = uncontrolled()
    rig.vote.request(now=1)
    rig.vote.idle(now=2)
    assert rig.vote.deadline is None
    assert rig.vote.handle_timeout(now=3600 * SECOND) is VoteEvent.NOTHING
    assert rig.vote.state is VoteState.ACTIVE


@pytest.mark.parametrize("waiting", [awaiting_up_ack, awaiting_down_ack, awaiting_modem])
def test_the_end_of_power_control_ends_every_wait(waiting: Callable[[], Rig]) -> None:
    rig = waiting()
    assert rig.vote.power_control_ended(now=SECOND) is VoteEvent.WOKE
    assert rig.vote.state is VoteState.ACTIVE


def test_a_modem_that_falls_is_a_controlled_one_again() -> None:
    rig = uncontrolled()
    rig.vote.request(now=1)
    assert rig.vote.modem_fell(now=2) is VoteEvent.LOST
    assert rig.lines() == []  # nothing was voted
    assert not rig.vote.request(now=3)
    assert rig.lines() == [VOTE]


def test_a_modem_that_fell_and_rose_is_voted_for() -> None:
    rig = uncontrolled()
    rig.vote.modem_fell(now=1)
    rig.vote.modem_rose(now=2)
    assert not rig.vote.request(now=3)
    assert rig.lines() == [VOTE]


def test_without_power_a_modem_is_voted_for_though_it_does_not_want_votes() -> None:
    rig = Rig(modem_is_up=False)
    rig.vote.power_control_ended(now=0)
    assert not rig.vote.request(now=1)
    assert rig.lines() == [VOTE]


def test_an_ack_that_the_end_of_power_control_made_needless_is_not_awaited() -> None:
    rig = active()
    rig.vote.handle_timeout(now=SECOND)  # idle: the vote is dropped, its ack is owed
    rig.vote.power_control_ended(now=SECOND)
    rig.vote.modem_fell(now=SECOND)
    rig.vote.request(now=SECOND)
    assert rig.vote.state is VoteState.AWAITING_UP_ACK


def test_dropping_the_vote_without_power_control_changes_no_line() -> None:
    rig = uncontrolled()
    rig.vote.request(now=1)
    rig.vote.drop(now=2)
    assert rig.lines() == []
    assert rig.vote.state is VoteState.SUSPENDED


# -- statistics


def test_votes_acks_wakeups_and_losses_are_counted() -> None:
    rig = active()
    rig.vote.handle_timeout(now=SECOND)
    rig.ack(now=SECOND)
    rig.vote.request(now=2 * SECOND)
    rig.ack(now=2 * SECOND)
    rig.vote.modem_fell(now=3 * SECOND)
    statistics = rig.vote.statistics
    assert statistics.vote_count == 2
    assert statistics.ack_count == 3
    assert statistics.wakeup_count == 2
    assert statistics.power_loss_count == 1
    assert statistics.failed_resume_count == 0


def test_time_without_our_vote_is_measured() -> None:
    rig = Rig(modem_is_up=True)
    assert rig.vote.suspended_ns(now=3 * SECOND) == 3 * SECOND
    rig.vote.request(now=3 * SECOND)
    rig.ack(now=4 * SECOND)
    assert rig.vote.suspended_ns(now=5 * SECOND) == 4 * SECOND
    rig.vote.handle_timeout(now=5 * SECOND)
    assert rig.vote.suspended_ns(now=5 * SECOND + MILLISECOND) == 4 * SECOND + MILLISECOND


def test_time_without_our_vote_begins_with_the_probe() -> None:
    rig = Rig()
    rig.vote.probe(rig.ack_edges, modem_is_up=False, now=5 * SECOND)
    assert rig.vote.suspended_ns(now=7 * SECOND) == 2 * SECOND


def test_times_without_our_vote_add_up() -> None:
    rig = active()  # since 0
    rig.vote.handle_timeout(now=SECOND)
    rig.ack(now=SECOND)
    rig.vote.request(now=3 * SECOND)
    rig.ack(now=3 * SECOND)
    assert rig.vote.state is VoteState.ACTIVE
    assert rig.vote.suspended_ns(now=9 * SECOND) == 2 * SECOND


def test_a_failed_resume_was_time_without_power_all_along() -> None:
    rig = given_up()
    assert rig.vote.suspended_ns(now=3 * SECOND) == 3 * SECOND


# -- any order of inputs

INPUTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["request", "ack", "rose", "fell", "busy", "idle", "drop", "retry", "ended", "time-out"]
        ),
        st.sampled_from([0, 1, SECOND, 2 * SECOND]),
    ),
    max_size=40,
)


@given(INPUTS)
def test_every_vote_is_an_edge_and_every_wait_ends_whatever_happens(inputs: list[tuple[str, int]]) -> None:
    rig = Rig()
    now, level = 0, False
    for name, wait in inputs:
        now += wait
        match name:
            case "request":
                assert rig.vote.request(now) == (rig.vote.state is VoteState.ACTIVE)
            case "ack":
                rig.ack(now)
            case "rose":
                rig.vote.modem_rose(now)
            case "fell":
                rig.vote.modem_fell(now)
            case "busy":
                rig.vote.busy()
            case "idle":
                rig.vote.idle(now)
            case "drop":
                rig.vote.drop(now)
            case "retry":
                rig.vote.retry_later(now)
            case "ended":
                rig.vote.power_control_ended(now)
            case _:
                rig.vote.handle_timeout(now)
        for action in rig.lines():
            assert isinstance(action, SetLine)
            assert action.level != level
            level = action.level
        if rig.vote.state in (VoteState.SUSPENDED, VoteState.AWAITING_DOWN_ACK):
            assert not level
        elif rig.vote.state is not VoteState.ACTIVE:
            assert level
            assert rig.vote.deadline is not None


def test_there_is_a_way_from_each_state_to_each_other() -> None:
    for start in VoteState:
        reached, fringe = {start}, [start]
        while fringe:
            news = LEGAL[fringe.pop()] - reached
            reached |= news
            fringe += news
        assert reached == set(VoteState)


# -- the modem's power line


class LineRig:
    """The line, its outbox, low at the start."""

    def __init__(self, edge_count: int = 0, *, ack_level: bool = False) -> None:
        self.outbox: list[Action] = []
        self.line = ModemPowerLine(self.outbox, ack_level)
        self.is_up = self.line.probe(edge_count)


@pytest.mark.parametrize(("edge_count", "is_up"), [(0, False), (1, True), (6, False), (COUNT_MASK, True)])
def test_the_level_is_read_at_the_start(edge_count: int, is_up: bool) -> None:
    rig = LineRig(edge_count)
    assert rig.is_up is is_up
    assert rig.line.is_up is is_up


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (4, 4, PowerChange.NONE),
        (5, 5, PowerChange.NONE),
        (4, 5, PowerChange.ROSE),
        (5, 6, PowerChange.FELL),
        (5, 7, PowerChange.CYCLED),
        (4, 6, PowerChange.FLICKERED),
        (4, 7, PowerChange.ROSE),
        (5, 8, PowerChange.FELL),
        (5, 105, PowerChange.CYCLED),
        (COUNT_MASK, 0, PowerChange.FELL),
        (COUNT_MASK, 1, PowerChange.CYCLED),
        (COUNT_MASK - 1, 0, PowerChange.FLICKERED),
        (7, 6, PowerChange.FELL),  # a liar
    ],
)
def test_a_change_is_known_by_level_and_edges(before: int, now: int, change: PowerChange) -> None:
    rig = LineRig(before)
    assert rig.line.changed(now) is change
    assert rig.line.is_up == bool(now & 1)
    assert rig.line.changed(now) is PowerChange.NONE


@pytest.mark.parametrize("level", [False, True])
def test_an_ack_changes_the_level_that_the_line_has(level: bool) -> None:
    rig = LineRig(ack_level=level)
    rig.line.acknowledge()
    rig.line.acknowledge()
    assert rig.outbox == [SetLine(Line.HOST_ACK, not level), SetLine(Line.HOST_ACK, level)]
