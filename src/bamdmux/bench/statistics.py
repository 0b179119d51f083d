"""Medians and their intervals, without any belief about how noise is distributed.

Each measured value lies above the true median with probability 1/2. So the true median lies between the
lowest and the highest of n values but with probability 2 / 2^n, and between two others of them with a
probability that the binomial distribution gives. `interval` takes the narrowest such pair that still holds
the true median with COVERAGE; with few values that is the whole range, and covers less.

Two links are compared by the ratio of what they did in the same round, minutes apart from all other rounds,
so that what is slow or fast for a while is so for both.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Self

COVERAGE: Final = 0.95  # of an interval, at least, if there are values enough: six


@dataclass(frozen=True, slots=True)
class Summary:
    """Some values: their median, and an interval that holds the true one.

    Attributes:
        coverage: the probability with which it does.
        spread: half of the range of all values, in parts of the median.
    """

    median: float
    low: float
    high: float
    coverage: float
    spread: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self | None:
        """Summarize the values that there are; None if there is none."""
        found = sorted(value for value in values if value is not None)
        if not found:
            return None
        middle = median(found)
        left_out, coverage = interval(len(found))
        spread = (found[-1] - found[0]) / 2 / abs(middle) if middle else 0.0
        return cls(middle, found[left_out], found[-1 - left_out], coverage, spread, len(found))


def interval(count: int) -> tuple[int, float]:
    """How many of `count` sorted values may be left out at each end, and the coverage of the rest."""
    assert count > 0
    left_out, outside = 0, 2 * 0.5**count
    while (further := outside + 2 * math.comb(count, left_out + 1) * 0.5**count) <= 1 - COVERAGE:
        left_out, outside = left_out + 1, further
    return left_out, max(0.0, 1 - outside)


def paired_ratios(above: Sequence[float | None], below: Sequence[float | None]) -> list[float]:
    """The ratio of each round in which both have a value, and there is something to divide by."""
    return [one / other for one, other in zip(above, below, strict=False) if one is not None and other]
