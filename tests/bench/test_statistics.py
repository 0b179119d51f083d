"""Medians, their intervals and paired ratios."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.bench.statistics import COVERAGE, Summary, interval, paired_ratios

VALUES = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("count", "left_out", "coverage"),
    [(1, 0, 0.0), (2, 0, 0.5), (5, 0, 0.9375), (7, 0, 0.984375), (8, 0, 0.9921875), (9, 1, 0.9609375)],
)
def test_the_interval_of_few_values_is_that_of_the_binomial_distribution(
    count: int, left_out: int, coverage: float
) -> None:
    assert interval(count) == (left_out, pytest.approx(coverage))


@given(st.integers(min_value=6, max_value=300))
def test_from_six_values_on_the_interval_holds_the_median_with_the_promised_probability(count: int) -> None:
    left_out, coverage = interval(count)
    assert coverage >= COVERAGE
    assert left_out < count / 2


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    chance = random.Random(1)
    tries = 2000
    summaries = [Summary.of([chance.expovariate(1) for _ in range(9)]) for _ in range(tries)]
    true_median = 0.6931471805599453  # log 2
    hits = sum(each is not None and each.low <= true_median <= each.high for each in summaries)
    assert 0.945 < hits / tries < 0.975


@given(VALUES)
def test_the_median_lies_within_its_interval_and_that_within_the_values(values: list[float]) -> None:
    summary = Summary.of(values)
    assert summary is not None
    assert min(values) <= summary.low <= summary.median <= summary.high <= max(values)
    assert summary.count == len(values)


@given(VALUES, st.randoms())
def test_the_order_of_values_does_not_matter(values: list[float], chance: random.Random) -> None:
    shuffled = list(values)
    chance.shuffle(shuffled)
    assert Summary.of(shuffled) == Summary.of(values)


def test_the_spread_is_half_of_the_range_in_parts_of_the_median() -> None:
    summary = Summary.of([80, 100, 120])
    assert summary is not None
    assert summary.spread == pytest.approx(0.2)


def test_what_is_always_zero_has_no_spread() -> None:
    summary = Summary.of([0, 0, 0])
    assert summary is not None
    assert summary.spread == 0


def test_rounds_that_failed_do_not_count() -> None:
    assert Summary.of([None, 2, None, 4]) == Summary.of([2, 4])
    assert Summary.of([None, None]) is None
    assert Summary.of([]) is None


def test_ratios_are_those_of_the_same_round() -> None:
    assert paired_ratios([2, 9, 8], [1, 3, 4]) == [2, 3, 2]


def test_a_round_that_one_of_both_has_not_done_has_no_ratio() -> None:
    assert paired_ratios([2, None, 8, 5], [1, 3, None, 0]) == [2]


@given(VALUES)
def test_what_slows_both_in_a_round_does_not_change_their_ratio(noise: list[float]) -> None:
    ratios = paired_ratios([6 * each for each in noise], [2 * each for each in noise])
    assert ratios == pytest.approx([3] * len(noise))
