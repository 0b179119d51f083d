"""Integer nanoseconds, and the first of several deadlines."""

import pytest

from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND, Instant, earliest


def test_units_are_whole_nanoseconds() -> None:
    assert (MICROSECOND, MILLISECOND, SECOND) == (10**3, 10**6, 10**9)
    assert all(type(unit) is int for unit in (MICROSECOND, MILLISECOND, SECOND))


@pytest.mark.parametrize(
    ("instants", "first"),
    [
        ((), None),
        ((None,), None),
        ((None, None), None),
        ((5,), 5),
        ((None, 5, None), 5),
        ((7, 5, 6), 5),
        ((5, 5), 5),
        ((0, None, 3), 0),  # the start of time is an instant, not the lack of one
        ((-2, 0), -2),
    ],
)
def test_the_earliest_deadline_is_the_first_that_there_is(
    instants: tuple[Instant | None, ...], first: Instant | None
) -> None:
    assert earliest(*instants) == first
