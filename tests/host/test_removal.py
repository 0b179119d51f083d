"""How far the removal has come, and until when it may last."""

import pytest

from bamdmux.host.removal import LEGAL, Removal, Stage
from bamdmux.timing import SECOND

TIMEOUT = 2 * SECOND
WAY = [Stage.WAKING, Stage.CLOSING, Stage.WAITING_FOR_MODEM, Stage.DONE]


def removal_at(stage: Stage, now: int = 0) -> Removal:
    removal = Removal(TIMEOUT)
    for step in WAY[: WAY.index(stage) + 1]:
        removal.enter(step, now)
    return removal


def test_nobody_has_asked_at_first() -> None:
    removal = Removal(TIMEOUT)
    assert removal.stage is Stage.NOT_ASKED
    assert not removal.is_asked
    assert not removal.vote_is_over
    assert not removal.is_done
    assert removal.deadline is None
    assert not removal.has_timed_out(1 << 62)


@pytest.mark.parametrize(
    ("stage", "vote_is_over", "is_done", "is_bounded"),
    [
        (Stage.WAKING, False, False, False),  # the vote has a bound of its own
        (Stage.CLOSING, False, False, True),
        (Stage.WAITING_FOR_MODEM, True, False, True),
        (Stage.DONE, True, True, False),
    ],
)
def test_each_stage_means_this(stage: Stage, vote_is_over: bool, is_done: bool, is_bounded: bool) -> None:
    removal = removal_at(stage, now=7)
    assert removal.stage is stage
    assert removal.is_asked
    assert removal.vote_is_over is vote_is_over
    assert removal.is_done is is_done
    assert removal.deadline == (7 + TIMEOUT if is_bounded else None)


@pytest.mark.parametrize("stage", [Stage.CLOSING, Stage.WAITING_FOR_MODEM])
def test_a_wait_is_over_at_its_deadline_and_not_before(stage: Stage) -> None:
    removal = removal_at(stage, now=5)
    assert not removal.has_timed_out(5 + TIMEOUT - 1)
    assert removal.has_timed_out(5 + TIMEOUT)


def test_each_wait_has_its_own_time() -> None:
    removal = removal_at(Stage.CLOSING, now=0)
    removal.enter(Stage.WAITING_FOR_MODEM, SECOND)
    assert removal.deadline == SECOND + TIMEOUT


def test_a_modem_that_does_not_wake_hears_no_close() -> None:
    removal = removal_at(Stage.WAKING)
    removal.enter(Stage.WAITING_FOR_MODEM, 0)
    assert removal.vote_is_over


@pytest.mark.parametrize("before", list(Stage))
def test_there_is_no_other_way(before: Stage) -> None:
    for after in set(Stage) - LEGAL[before]:
        removal = Removal(TIMEOUT) if before is Stage.NOT_ASKED else removal_at(before)
        with pytest.raises(AssertionError, match=f"{before.name} -> {after.name}"):
            removal.enter(after, 0)


def test_every_way_ends() -> None:
    assert LEGAL[Stage.DONE] == set()
    for stage, following in LEGAL.items():
        assert all(after.value > stage.value for after in following)
