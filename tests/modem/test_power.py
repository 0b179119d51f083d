"""Times are those of msm8916: ack 0.5 ms, rise 1.5 ms after it, fall 2.5 ms after it.

That is the pace of the modem in the conformance trace s20_autosuspend, in microseconds: vote 1010500, ack
1011000, power 1012500; vote gone 1000500, ack 1001000, power gone 1003500.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Action, Line, Log, LogEvent, SetLine, Severity
from bamdmux.modem.power import ACK_TIMEOUT, HostVote, ModemPower, PowerState
from bamdmux.modem.profiles import load_profile
from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND
from tests.modem.near_end import without_logs

ACK_HIGH = SetLine(Line.MODEM_ACK, True)
ACK_LOW = SetLine(Line.MODEM_ACK, False)
POWER_HIGH = SetLine(Line.MODEM_POWER, True)
POWER_LOW = SetLine(Line.MODEM_POWER, False)


class Rig:
    """A ModemPower, its outbox, and a clock that goes from deadline to deadline."""

    def __init__(self, *, is_booted: bool = True) -> None:
        self.outbox: list[Action] = []
        self.power = ModemPower(load_profile("msm8916"), self.outbox)
        if is_booted:
            self.power.boot(now=0)

    def taken(self) -> list[Action]:
        actions = without_logs(self.outbox)
        self.outbox.clear()
        return actions

    def run_until(self, now: int) -> list[tuple[int, Action]]:
        """Handle every deadline up to ``now``; what was done when."""
        done: list[tuple[int, Action]] = []
        for _ in range(20):  # no test has more deadlines
            deadline = self.power.deadline
            if deadline is None or deadline > now:
                return done
            self.power.handle_timeout(deadline)
            done += [(deadline, action) for action in self.taken()]
        raise AssertionError("it does not come to rest")


def voted_up() -> Rig:
    """UP at 3 ms by the host's vote, its edge count 1, and its ack, likewise 1."""
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    rig.run_until(2 * MILLISECOND)
    assert rig.power.host_acked(1, now=3 * MILLISECOND)
    return rig


def falling() -> Rig:
    """FALLING since 1003 ms, the vote gone (edge count 2) and acked; the fall not."""
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.run_until(SECOND + 3 * MILLISECOND)
    assert rig.power.state is PowerState.FALLING
    return rig


# -- the vote


def test_a_vote_is_acked_then_the_power_rises() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    assert rig.run_until(SECOND) == [(500 * MICROSECOND, ACK_HIGH), (2000 * MICROSECOND, POWER_HIGH)]


def test_the_end_of_a_vote_is_acked_with_an_edge_too() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    assert rig.run_until(SECOND + MILLISECOND) == [(SECOND + 500 * MICROSECOND, ACK_LOW)]


def test_a_wake_up_without_an_edge_is_not_acked() -> None:
    rig = voted_up()
    rig.power.vote_changed(1, now=SECOND)
    assert rig.power.deadline is None


def test_a_whole_vote_cycle_that_one_wake_up_stood_for_is_acked_twice() -> None:
    rig = voted_up()
    rig.power.vote_changed(3, now=SECOND)
    assert rig.run_until(2 * SECOND) == [
        (SECOND + 500 * MICROSECOND, ACK_LOW),
        (SECOND + 1000 * MICROSECOND, ACK_HIGH),
    ]


def test_a_second_change_before_the_ack_of_the_first_gets_its_own() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.power.vote_changed(3, now=SECOND + 400 * MICROSECOND)
    assert rig.run_until(2 * SECOND) == [
        (SECOND + 500 * MICROSECOND, ACK_LOW),
        (SECOND + 1000 * MICROSECOND, ACK_HIGH),
    ]


@pytest.mark.parametrize(("edge_count", "ack_count"), [(3, 1), (1_000_001, 1), (1_000_002, 2)])
def test_a_million_edges_cost_two_acks_at_most(edge_count: int, ack_count: int) -> None:
    rig = Rig()
    rig.power.vote_changed(edge_count, now=0)
    rig.run_until(MILLISECOND)
    assert rig.power.vote.ack_count == ack_count


@given(edge_counts=st.lists(st.integers(0, 0xFFFF_FFFF), max_size=20))
def test_our_acks_keep_step_with_any_edges(edge_counts: list[int]) -> None:
    outbox: list[Action] = []
    vote = HostVote(0, outbox)
    vote.start(now=0)
    for edge_count in edge_counts:
        vote.changed(edge_count, now=0)
        assert vote.acks_owed <= 2
    vote.handle_timeout(now=0)
    vote.handle_timeout(now=0)
    assert vote.is_settled
    assert vote.ack_count % 2 == vote.edge_count % 2


def test_a_vote_that_is_gone_before_the_power_rose_raises_nothing() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    rig.power.handle_timeout(500 * MICROSECOND)
    rig.power.vote_changed(2, now=1000 * MICROSECOND)
    rig.taken()
    assert rig.run_until(SECOND) == [(1500 * MICROSECOND, ACK_LOW)]
    assert rig.power.is_asleep


def test_an_ack_does_not_come_before_its_time() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    rig.power.handle_timeout(now=499 * MICROSECOND)
    assert rig.taken() == []


def test_a_modem_that_is_off_acks_nothing() -> None:
    rig = Rig(is_booted=False)
    rig.power.vote_changed(1, now=0)
    assert rig.power.deadline is None


def test_a_vote_from_before_the_boot_is_acked_after_it() -> None:
    rig = Rig(is_booted=False)
    rig.power.vote_changed(1, now=0)
    rig.power.boot(now=SECOND)
    assert rig.run_until(2 * SECOND) == [
        (SECOND + 500 * MICROSECOND, ACK_HIGH),
        (SECOND + 2000 * MICROSECOND, POWER_HIGH),
    ]


# -- rising


def test_it_is_up_once_the_host_has_acked() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    rig.run_until(2 * MILLISECOND)
    assert rig.power.state is PowerState.RISING
    assert not rig.power.is_up
    assert rig.power.host_acked(1, now=3 * MILLISECOND)
    assert rig.power.is_up


def test_an_ack_line_that_did_not_change_is_no_ack() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    rig.run_until(2 * MILLISECOND)
    assert not rig.power.host_acked(0, now=3 * MILLISECOND)
    assert rig.power.state is PowerState.RISING


def test_an_ack_that_nobody_asked_for_is_counted_and_no_more() -> None:
    rig = voted_up()
    assert not rig.power.host_acked(4, now=SECOND)
    assert rig.power.is_up
    assert rig.power.host_ack_count == 4


def test_a_packet_in_the_network_raises_the_power_without_a_vote() -> None:
    rig = Rig()
    assert rig.power.is_asleep
    rig.power.wish(now=0)
    assert not rig.power.is_asleep
    assert rig.run_until(SECOND) == [(1500 * MICROSECOND, POWER_HIGH)]


def test_a_wish_while_it_is_up_changes_nothing() -> None:
    rig = voted_up()
    rig.power.wish(now=SECOND)
    assert rig.power.deadline is None
    assert rig.power.is_up


def test_frames_that_wait_raise_the_power_without_a_vote() -> None:
    rig = Rig()
    rig.power.hold(True, now=0)
    assert rig.run_until(SECOND) == [(1500 * MICROSECOND, POWER_HIGH)]


def test_it_is_not_asleep_while_it_is_up() -> None:
    assert not voted_up().power.is_asleep


def test_each_rise_is_counted() -> None:
    rig = falling()
    assert rig.power.rise_count == 1
    rig.power.host_acked(2, now=2 * SECOND)
    rig.power.wish(now=2 * SECOND)
    rig.run_until(3 * SECOND)
    assert rig.power.rise_count == 2


def test_a_host_that_never_acks_costs_time_outs() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    assert rig.run_until(2 * MILLISECOND + 2 * ACK_TIMEOUT + 2 * MILLISECOND) == [
        (500 * MICROSECOND, ACK_HIGH),
        (2000 * MICROSECOND, POWER_HIGH),
        (2000 * MICROSECOND + ACK_TIMEOUT, POWER_LOW),
        (3500 * MICROSECOND + 2 * ACK_TIMEOUT, POWER_HIGH),
    ]
    assert rig.power.ack_timeout_count == 2


def test_a_wish_that_the_host_did_not_answer_is_forgotten() -> None:
    rig = Rig()
    rig.power.wish(now=0)
    rig.run_until(10 * SECOND)
    assert rig.power.is_asleep


def test_after_a_rise_that_was_given_up_two_acks_are_awaited() -> None:
    rig = Rig()
    rig.power.vote_changed(1, now=0)
    rig.run_until(2 * MILLISECOND + ACK_TIMEOUT)
    assert not rig.power.host_acked(1, now=3 * SECOND)
    assert rig.power.state is PowerState.FALLING
    assert not rig.power.host_acked(2, now=3 * SECOND)
    assert rig.power.state is PowerState.DOWN


# -- falling


def test_the_power_falls_after_the_end_of_the_vote_was_acked() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    assert rig.run_until(2 * SECOND) == [
        (SECOND + 500 * MICROSECOND, ACK_LOW),
        (SECOND + 3000 * MICROSECOND, POWER_LOW),
    ]


def test_it_refuses_to_fall_while_the_host_votes() -> None:
    rig = voted_up()
    assert rig.power.deadline is None
    rig.power.handle_timeout(now=3600 * SECOND)
    assert rig.power.is_up


def test_it_refuses_to_fall_while_frames_wait() -> None:
    rig = voted_up()
    rig.power.hold(True, now=SECOND)
    rig.power.vote_changed(2, now=SECOND)
    rig.run_until(2 * SECOND)
    assert rig.power.deadline is None
    rig.power.hold(False, now=3 * SECOND)
    assert rig.run_until(4 * SECOND) == [(3 * SECOND + 2500 * MICROSECOND, POWER_LOW)]


def test_it_stays_up_for_a_while_after_its_own_last_frame() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.power.sent(now=SECOND + 2 * MILLISECOND)
    rig.run_until(SECOND + MILLISECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 104_500 * MICROSECOND, POWER_LOW)]


def test_a_frame_puts_off_a_fall_that_was_due() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.run_until(SECOND + MILLISECOND)
    rig.power.sent(now=SECOND + 2 * MILLISECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 104_500 * MICROSECOND, POWER_LOW)]


def test_to_be_called_too_early_does_not_put_off_a_fall() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.run_until(SECOND + MILLISECOND)
    rig.power.handle_timeout(now=SECOND + 2 * MILLISECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 3000 * MICROSECOND, POWER_LOW)]


def test_what_it_rose_for_has_time_to_arrive() -> None:
    rig = Rig()
    rig.power.wish(now=0)
    rig.run_until(2 * MILLISECOND)
    rig.power.host_acked(1, now=3 * MILLISECOND)
    assert rig.run_until(SECOND) == [(105_500 * MICROSECOND, POWER_LOW)]


def test_a_vote_stops_a_fall_that_has_not_begun() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.run_until(SECOND + 2 * MILLISECOND)
    rig.power.vote_changed(3, now=SECOND + 2 * MILLISECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 2500 * MICROSECOND, ACK_HIGH)]
    assert rig.power.is_up


def test_a_vote_at_the_last_moment_stops_a_fall_too() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.run_until(SECOND + 2 * MILLISECOND)
    rig.power.vote_changed(3, now=SECOND + 2900 * MICROSECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 3400 * MICROSECOND, ACK_HIGH)]


def test_it_is_down_once_the_host_has_acked_the_fall() -> None:
    rig = falling()
    assert not rig.power.host_acked(2, now=SECOND + 4 * MILLISECOND)
    assert rig.power.is_asleep


def test_it_does_not_wait_for_ever_for_the_ack_of_a_fall() -> None:
    rig = falling()
    rig.run_until(SECOND + 3 * MILLISECOND + ACK_TIMEOUT)
    assert rig.power.is_asleep
    assert rig.power.ack_timeout_count == 1


def test_an_ack_is_waited_for_two_seconds() -> None:
    assert falling().power.deadline == SECOND + 3 * MILLISECOND + 2 * SECOND


def test_after_a_fall_that_was_given_up_one_ack_makes_it_up() -> None:
    rig = falling()
    rig.run_until(SECOND + 3 * MILLISECOND + ACK_TIMEOUT)
    rig.power.wish(now=4 * SECOND)
    rig.run_until(5 * SECOND)
    assert rig.power.host_acked(2, now=5 * SECOND)


def test_a_vote_while_it_falls_raises_it_again_after_the_fall_is_acked() -> None:
    rig = falling()
    rig.power.vote_changed(3, now=SECOND + 4 * MILLISECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 4500 * MICROSECOND, ACK_HIGH)]
    rig.power.host_acked(2, now=2 * SECOND)
    assert rig.run_until(3 * SECOND) == [(2 * SECOND + 1500 * MICROSECOND, POWER_HIGH)]


def test_a_packet_while_it_falls_has_to_ask_again() -> None:
    rig = falling()
    rig.power.wish(now=SECOND + 4 * MILLISECOND)
    rig.power.host_acked(2, now=SECOND + 5 * MILLISECOND)
    assert rig.power.is_asleep


# -- boot and crash


def test_a_crash_drops_the_power_at_once_and_leaves_the_ack_alone() -> None:
    rig = voted_up()
    rig.power.crash(now=SECOND)
    assert rig.taken() == [POWER_LOW]
    assert not rig.power.is_booted


def test_a_crash_while_it_is_down_is_not_to_be_seen() -> None:
    rig = Rig()
    rig.power.wish(now=0)
    rig.power.crash(now=0)
    assert rig.taken() == []
    assert rig.power.deadline is None


def test_a_modem_that_crashed_is_not_asleep() -> None:
    rig = Rig()
    rig.power.crash(now=0)
    assert not rig.power.is_asleep


def test_a_modem_that_crashed_acks_no_vote() -> None:
    rig = Rig()
    rig.power.crash(now=0)
    rig.power.vote_changed(1, now=0)
    assert rig.run_until(SECOND) == []


def test_a_modem_that_crashed_does_not_rise_for_a_vote_that_it_has_acked() -> None:
    rig = voted_up()
    rig.power.crash(now=SECOND)
    rig.taken()
    rig.power.host_acked(2, now=SECOND)
    assert rig.run_until(2 * SECOND) == []


def test_a_booting_modem_waits_for_the_ack_of_its_crash() -> None:
    rig = voted_up()
    rig.power.crash(now=SECOND)
    rig.power.boot(now=SECOND)
    rig.power.hold(True, now=SECOND)
    rig.taken()
    assert rig.run_until(2 * SECOND) == []
    assert not rig.power.host_acked(
        2, now=2 * SECOND
    )  # the fall's; taken for the rise's, the OPENs were lost
    assert rig.run_until(3 * SECOND) == [(2 * SECOND + 1500 * MICROSECOND, POWER_HIGH)]


def test_a_vote_that_the_dead_modem_had_not_acked_is_acked_by_the_next() -> None:
    rig = voted_up()
    rig.power.vote_changed(2, now=SECOND)
    rig.power.crash(now=SECOND)
    rig.taken()
    assert rig.run_until(2 * SECOND) == []
    rig.power.boot(now=2 * SECOND)
    assert rig.run_until(2 * SECOND + MILLISECOND) == [(2 * SECOND + 500 * MICROSECOND, ACK_LOW)]


def test_a_modem_that_finds_its_line_high_lowers_it_before_anything_else() -> None:
    rig = Rig(is_booted=False)
    rig.power.adopt(power_level=True, ack_level=True, vote_edges=7, host_ack_edges=5)
    assert not rig.power.is_up
    rig.power.boot(now=0)
    assert rig.taken() == [POWER_LOW]
    assert not rig.power.host_acked(5, now=MILLISECOND)
    assert rig.power.state is PowerState.FALLING
    rig.power.host_acked(6, now=MILLISECOND)
    assert rig.run_until(SECOND) == [(2500 * MICROSECOND, POWER_HIGH)]  # the vote was acked long ago


def test_a_modem_that_finds_a_vote_without_ack_acks_it_once() -> None:
    rig = Rig(is_booted=False)
    rig.power.adopt(power_level=False, ack_level=False, vote_edges=7, host_ack_edges=0)
    rig.power.boot(now=0)
    assert rig.run_until(MILLISECOND) == [(500 * MICROSECOND, ACK_HIGH)]


def test_a_modem_that_finds_an_ack_too_many_takes_it_back() -> None:
    rig = Rig(is_booted=False)
    rig.power.adopt(power_level=False, ack_level=True, vote_edges=8, host_ack_edges=0)
    rig.power.boot(now=0)
    assert rig.run_until(SECOND) == [(500 * MICROSECOND, ACK_LOW)]


def test_a_modem_that_finds_a_vote_acked_and_its_line_low_rises() -> None:
    rig = Rig(is_booted=False)
    rig.power.adopt(power_level=False, ack_level=True, vote_edges=7, host_ack_edges=0)
    rig.power.boot(now=0)
    assert rig.run_until(SECOND) == [(1500 * MICROSECOND, POWER_HIGH)]


def test_a_running_modem_is_not_booted_again() -> None:
    with pytest.raises(AssertionError):
        Rig().power.boot(now=0)


def test_a_running_modem_does_not_adopt_lines() -> None:
    with pytest.raises(AssertionError):
        Rig().power.adopt(power_level=True, ack_level=True, vote_edges=0, host_ack_edges=0)


# -- what is to be seen of it


def test_each_transition_is_logged() -> None:
    rig = Rig()
    rig.power.wish(now=0)
    rig.power.handle_timeout(now=2 * MILLISECOND)
    rig.power.host_acked(1, now=3 * MILLISECOND)
    rig.power.crash(now=4 * MILLISECOND)
    rig.power.host_acked(2, now=5 * MILLISECOND)
    assert [action for action in rig.outbox if isinstance(action, Log)] == [
        Log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, "down -> rising"),
        Log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, "rising -> up"),
        Log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, "up -> falling"),
        Log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, "falling -> down"),
    ]


def test_a_transition_is_logged_before_its_line_moves() -> None:
    rig = Rig()
    rig.power.wish(now=0)
    rig.power.handle_timeout(now=2 * MILLISECOND)
    assert [type(action) for action in rig.outbox] == [Log, SetLine]


def test_the_time_up_counts_from_the_ack_to_the_fall() -> None:
    rig = voted_up()
    assert rig.power.time_up(now=5 * MILLISECOND) == 2 * MILLISECOND
    rig.power.crash(now=10 * MILLISECOND)
    assert rig.power.time_up(now=SECOND) == 7 * MILLISECOND


def test_an_illegal_transition_stops_us() -> None:
    with pytest.raises(AssertionError):
        Rig().power._enter(PowerState.UP, now=0)


@given(
    script=st.lists(
        st.tuples(
            st.sampled_from(
                ["vote", "ack", "wish", "hold", "release", "sent", "timeout", "late", "crash", "boot"]
            ),
            st.integers(0, 0xFFFF_FFFF),
        ),
        max_size=60,
    )
)
def test_no_order_of_inputs_breaks_it(script: list[tuple[str, int]]) -> None:
    rig = Rig(is_booted=False)
    power, now, level = rig.power, 0, False
    for name, number in script:
        now += number % (5 * MILLISECOND)
        match name:
            case "vote":
                power.vote_changed(number, now)
            case "ack":
                power.host_acked(number, now)
            case "wish":
                power.wish(now)
            case "hold" | "release":
                power.hold(name == "hold", now)
            case "sent":
                power.sent(now)
            case "late" | "timeout":
                now = max(now, (power.deadline or now) + (number if name == "late" else 0))
                power.handle_timeout(now)
            case "crash":
                power.crash(now)
            case "boot" if not power.is_booted:
                power.boot(now)
        for action in rig.taken():
            assert isinstance(action, SetLine)
            if action.line is Line.MODEM_POWER:
                assert action.level is not level  # never asked for when it would change nothing
                level = action.level
        assert level is (power.state in (PowerState.RISING, PowerState.UP))
    power.crash(now)
    for _ in range(4):  # a dead modem comes to rest, whatever the host does not do
        if power.deadline is not None:
            power.handle_timeout(power.deadline)
    assert power.deadline is None
    assert power.state is PowerState.DOWN
