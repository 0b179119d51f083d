"""Time is an argument: integer nanoseconds on a clock that only moves forward."""

Instant = int  # nanoseconds since a start that only the world knows
Duration = int  # nanoseconds

MICROSECOND: Duration = 1_000
MILLISECOND: Duration = 1_000_000
SECOND: Duration = 1_000_000_000


def earliest(*instants: Instant | None) -> Instant | None:
    """The first of several deadlines; None if there is none."""
    return min((instant for instant in instants if instant is not None), default=None)
