"""One run: what it reports, that it replays, and what it says of a machine that is broken."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from bamdmux.host.driver import HostDriver
from bamdmux.middleware.catalog import FAULTS
from bamdmux.sim.conditions import MINUTE, Conditions, draw_conditions
from bamdmux.sim.simulation import replay_line, simulate
from bamdmux.timing import SECOND


def trace_of(conditions: Conditions) -> list[str]:
    lines: list[str] = []
    simulate(conditions, lines.append)
    return lines


def test_in_fine_weather_every_packet_arrives() -> None:
    report = simulate(Conditions(seed=1, disturbances=None))
    assert report.failure is None
    assert report.drops == {}
    assert report.sent == report.arrived > 1000
    assert report.wakeups > 5
    assert report.goodput == 1.0


def test_the_default_load_is_200_packets_a_second() -> None:
    duration = 10 * MINUTE
    sent = simulate(draw_conditions(1, duration, ())).sent
    assert 0.85 < sent / (duration / SECOND) / 200 < 1.15


def test_a_seed_gives_the_same_trace_and_another_one_another() -> None:
    conditions = draw_conditions(7, 5 * SECOND)
    assert trace_of(conditions) == trace_of(conditions)
    assert trace_of(conditions) != trace_of(replace(conditions, seed=8))


def test_watching_changes_nothing() -> None:
    conditions = draw_conditions(12, 5 * SECOND)
    assert simulate(conditions, lambda line: None) == simulate(conditions)


def test_a_trace_does_not_depend_on_the_hash_of_texts() -> None:
    hashes = set()
    for hash_seed in ("1", "2", "random"):
        line = [
            sys.executable,
            "-m",
            "bamdmux",
            "sim",
            "--seed",
            "11",
            "--hours",
            "0.003",
            "--faults",
            "all",
            "--trace",
        ]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        output = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=True).stdout
        assert output.count(b"\n") > 1000
        hashes.add(hashlib.sha256(output).hexdigest())
    assert len(hashes) == 1


def test_a_fault_more_leaves_the_rest_of_the_weather_alone() -> None:
    one = simulate(Conditions(seed=3, faults=("bad-magic",), disturbances=None))
    two = simulate(Conditions(seed=3, faults=("bad-magic", "uplink-bad-magic"), disturbances=None))
    assert one.sent == two.sent
    assert one.strikes["bad-magic"] == two.strikes["bad-magic"]


def test_the_world_of_a_seed_does_not_depend_on_the_faults_that_are_given() -> None:
    drawn = draw_conditions(5)
    assert draw_conditions(5, faults=drawn.faults) == drawn
    assert draw_conditions(5, faults=()).slot_count == drawn.slot_count
    assert set(drawn.faults) <= set(FAULTS)


class Deaf(HostDriver):
    """Hears no doorbell, and does not look by itself either."""

    def doorbell_rang(self, pipe: object, now: int) -> None:
        pass

    def _receive_what_is_there(self, now: int) -> None:
        pass


class Raising(HostDriver):
    def doorbell_rang(self, pipe: object, now: int) -> None:
        raise RuntimeError("out of my mind")


class Restless(HostDriver):
    @property
    def deadline(self) -> int | None:
        return 5


def test_a_failure_says_seed_time_event_rule_and_how_to_see_it_again() -> None:
    conditions = Conditions(seed=21, duration_ns=3 * SECOND, faults=("bad-magic", "zero-length"))
    failure = simulate(conditions, host_class=Deaf).failure
    assert failure is not None
    assert str(failure).startswith("seed 21 at ")
    assert f"event {failure.event_number}: {failure.what}" in str(failure)
    assert failure.replay.startswith(
        "bamdmux sim --seed 21 --hours 0.000833333333333 --faults bad-magic,zero-length"
    )


def test_whatever_comes_out_of_a_machine_is_a_failure_of_it() -> None:
    lines: list[str] = []
    failure = simulate(Conditions(seed=1), lines.append, host_class=Raising).failure
    assert failure is not None
    assert "RuntimeError at" in failure.what
    assert "out of my mind" in failure.what
    assert lines[-1].endswith(f"VIOLATION {failure.what}")


def test_a_machine_that_is_never_done_is_a_failure() -> None:
    failure = simulate(Conditions(seed=1), host_class=Restless).failure
    assert failure is not None
    assert failure.what == "a machine asks to be called for ever"


@pytest.mark.parametrize("duration", [MINUTE, 1_234_567_891, 100_000_007])
def test_the_line_that_replays_gives_the_same_duration_to_the_nanosecond(duration: int) -> None:
    line = replay_line(Conditions(seed=1, duration_ns=duration)).split()
    assert round(float(line[line.index("--hours") + 1]) * 3600 * SECOND) == duration
    assert line[line.index("--faults") + 1] == "none"
