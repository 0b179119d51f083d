"""Musts: what they ask for, and the verdict."""

import pytest

from bamdmux.bench.configurations import CONFIGURATIONS
from bamdmux.bench.jobs import JOBS
from bamdmux.bench.musts import MUSTS, Judgement, Must, Verdict, judge
from bamdmux.bench.peers import PEERS
from bamdmux.bench.statistics import Summary
from tests.bench.example import results_of

AT_LEAST = Must(job="tcp-up", metric="throughput", ours="split-512", other="straight", must=0.8, aim=0.9)
AT_MOST = Must(
    job="round-trip",
    metric="p50",
    ours="fused-32",
    other="one-socat",
    must=1.2,
    aim=1.0,
    more_is_better=False,
)


def judgement(must: Must, *ratios: float) -> Judgement:
    return Judgement(must, Summary.of(ratios))


@pytest.mark.parametrize("must", MUSTS, ids=lambda must: f"{must.job}:{must.ours}:{must.other}")
def test_a_must_names_links_a_job_and_a_metric_that_there_are(must: Must) -> None:
    assert must.ours in [each.name for each in CONFIGURATIONS]
    assert must.other in [each.name for each in PEERS]
    (job,) = (job for job in JOBS if job.name == must.job)
    assert must.metric in [metric.name for metric in job.metrics]
    assert (must.aim > must.must) is must.more_is_better


def test_tcp_is_asked_for_in_both_directions() -> None:
    up = [(each.ours, each.other, each.must) for each in MUSTS if each.job == "tcp-up"]
    down = [(each.ours, each.other, each.must) for each in MUSTS if each.job == "tcp-down"]
    assert up == down
    assert len(up) == 8


def test_a_must_is_missed_when_its_whole_interval_lies_below() -> None:
    assert judgement(AT_LEAST, 0.70, 0.75, 0.79).verdict is Verdict.MISSED


def test_a_must_is_met_in_doubt_when_only_a_part_of_its_interval_reaches_it() -> None:
    judged = judgement(AT_LEAST, 0.70, 0.75, 0.81)
    assert judged.verdict is Verdict.MET
    assert not judged.reaches_must


def test_a_must_is_met_when_the_median_reaches_it() -> None:
    judged = judgement(AT_LEAST, 0.70, 0.80, 0.81)
    assert judged.verdict is Verdict.MET
    assert judged.reaches_must
    assert not judged.reaches_aim


def test_an_aim_is_reached_by_the_median() -> None:
    assert judgement(AT_LEAST, 0.70, 0.90, 0.91).reaches_aim


def test_where_less_is_better_a_must_is_missed_when_the_whole_interval_lies_above() -> None:
    assert judgement(AT_MOST, 1.21, 1.3, 1.4).verdict is Verdict.MISSED
    assert judgement(AT_MOST, 1.19, 1.3, 1.4).verdict is Verdict.MET
    assert judgement(AT_MOST, 0.9, 1.0, 1.4).reaches_aim


def test_what_was_not_measured_has_no_verdict() -> None:
    judged = Judgement(AT_LEAST, None)
    assert judged.verdict is Verdict.UNKNOWN
    assert not judged.reaches_must
    assert not judged.reaches_aim


def test_a_must_is_judged_by_the_ratios_of_the_same_rounds() -> None:
    values = {"straight": [10, 20, 40], "split-512": [9, 18, 36]}
    (judged,) = (each for each in judge(results_of("tcp-up", "throughput", values)) if each.ratio is not None)
    assert (judged.must.ours, judged.must.other) == ("split-512", "straight")
    assert judged.ratio is not None
    assert (judged.ratio.low, judged.ratio.high) == (pytest.approx(0.9), pytest.approx(0.9))
