"""Shrinking, with a run that fails as it is told; then with a machine that is really broken."""

from dataclasses import replace

import pytest

from bamdmux.sim.conditions import Conditions
from bamdmux.sim.shrink import SHORTEST, shrink
from bamdmux.sim.simulation import Failure, Report, simulate
from bamdmux.timing import SECOND
from tests.sim import mutants

NAMES = tuple(f"fault-{number}" for number in range(9))


def report_of(conditions: Conditions, failed_at: int | None) -> Report:
    failure = None if failed_at is None else Failure(conditions, failed_at, 1, "broken")
    return Report(
        conditions=conditions,
        simulated_ns=0,
        event_count=0,
        sent=0,
        refused=0,
        arrived=0,
        wakeups=0,
        failure=failure,
    )


@pytest.mark.parametrize(
    "guilty", [(), NAMES[:1], NAMES[8:], NAMES[2:4], (NAMES[0], NAMES[4], NAMES[8]), NAMES]
)
def test_the_guilty_faults_are_what_is_left(guilty: tuple[str, ...]) -> None:
    runs = 0

    def run(conditions: Conditions) -> Report:
        nonlocal runs
        runs += 1
        return report_of(conditions, 10 * SECOND if set(guilty) <= set(conditions.faults) else None)

    smallest = shrink(run(Conditions(seed=1, faults=NAMES)), run)
    assert smallest.conditions.faults == guilty
    assert runs < 100


def test_the_weather_is_cut_as_long_as_it_still_fails() -> None:
    def run(conditions: Conditions) -> Report:
        return report_of(conditions, 3 * SECOND if conditions.duration_ns >= SECOND else None)

    smallest = shrink(run(Conditions(seed=1, duration_ns=60 * SECOND)), run)
    assert SECOND <= smallest.conditions.duration_ns < 2 * SECOND


def test_there_is_a_shortest_weather() -> None:
    smallest = shrink(report_of(Conditions(seed=1), SECOND), lambda conditions: report_of(conditions, 0))
    assert SHORTEST <= smallest.conditions.duration_ns < 2 * SHORTEST


def test_what_is_left_fails_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    mutants.forgiveness(monkeypatch)
    faults = ("bad-magic", "lost-host-vote", "tun-full", "late-frame")
    report = simulate(Conditions(seed=2, faults=faults, rates={"lost-host-vote": 0.5}, disturbances=None))
    smallest = shrink(report, simulate)
    assert smallest.conditions.faults == ("lost-host-vote",)
    assert simulate(smallest.conditions) == smallest
    assert simulate(replace(smallest.conditions, faults=())).failure is None
