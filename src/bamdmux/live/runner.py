"""Keep sides going: feed what waits, fire what is due, do what they ask for, arm what to wait for.

    wait -> feed -> time-outs -> settle -> arm -> wait

A side is one half of a link, or what finds the other half. In one process a doorbell or a line of one
machine is an input of the other, at once; *settle* goes on until all are quiet. What is armed (descriptors,
deadlines) follows from the machines' state after that, in one place.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Final, Protocol

from bamdmux.live.loop import Loop, Words, read_clock
from bamdmux.timing import MICROSECOND, MILLISECOND, Duration, Instant, earliest

# Each machine answers the other a few times for one event. More rounds than this mean that they go round in
# circles: a bug, better seen than looped.
SETTLE_ROUNDS: Final = 10_000

# Asking all sides for their deadlines costs more than some batches. Late is only late; this is how late.
DEADLINE_SLACK: Final[Duration] = MILLISECOND

# How long we stay awake when there is no news: longer than a round trip to who sits behind the link, and less
# than it would cost to wake us.
SPIN: Final[Duration] = 50 * MICROSECOND


class Side(Protocol):
    """What a runner keeps going."""

    @property
    def deadline(self) -> Instant | None:
        """When it next wants `handle_timeout`."""

    def feed(self, now: Instant) -> None:
        """Take in what the loop has found waiting."""

    def handle_timeout(self, now: Instant) -> None:
        """A deadline has passed, perhaps another side's: early calls do no harm."""

    def carry_out_actions(self, now: Instant) -> bool:
        """Do what its machine asks for; whether there was anything."""

    def arm(self) -> None:
        """The batch is over: watch what is to be waited for, and wake who is to hear of it."""


class Sleeper(Protocol):
    """Who shares rings with another process, and has more news than descriptors tell of."""

    def words(self) -> Words:
        """Where they show; see `Loop.spin`."""

    def fall_asleep(self) -> None:
        """The other process has to wake us from now on."""


class Runner:
    """The loop around some sides.

    Args:
        sleeper: the side that shares rings, if there is one.
    """

    def __init__(self, loop: Loop, sides: Sequence[Side], sleeper: Sleeper | None = None) -> None:
        self.loop = loop
        self._sides = sides
        self.now = self.started_at = self._deadlines_seen_at = read_clock()
        self._sleeper = sleeper

    def add(self, side: Side) -> None:
        """One more from the next batch on, unless it is there."""
        if side not in self._sides:
            self._sides = [*self._sides, side]

    def remove(self, side: Side) -> None:
        """One fewer; it may say so itself."""
        self._sides = [each for each in self._sides if each is not side]

    def run_until(self, is_over: Callable[[], bool], within_ns: Duration | None = None) -> bool:
        """Keep the sides going until something is so; whether it is, within the time allowed."""
        self.now = read_clock()
        limit = None if within_ns is None else self.now + within_ns
        self.settle()
        while not is_over():
            if limit is not None and self.now >= limit:
                return False
            self.step(limit)
        return True

    def step(self, limit: Instant | None = None) -> None:
        """Wait for news, at most until `limit`, and deal with it."""
        now, is_due = self._spin(), False
        if now is None:
            if self._sleeper is not None:
                self._sleeper.fall_asleep()
            deadline = earliest(limit, *[side.deadline for side in self._sides])
            now = self._deadlines_seen_at = self.loop.wait(deadline, self.now)
            is_due = deadline is not None and now >= deadline
        self.now = now
        for side in self._sides:
            side.feed(now)
        if is_due:
            for side in self._sides:
                side.handle_timeout(now)
        self.settle()

    def _spin(self) -> Instant | None:
        """News follows upon news: then we neither sleep nor ask for deadlines, but for once in a while."""
        if self.now - self._deadlines_seen_at >= DEADLINE_SLACK:
            self._deadlines_seen_at = self.now
            return None
        return self.loop.spin(SPIN, self._sleeper.words() if self._sleeper is not None else ())

    def settle(self) -> None:
        """Let the sides answer one another until all are quiet, and arm what to wait for."""
        sides, now = self._sides, self.now
        quiet_count = 0
        for side in islice(cycle(sides), SETTLE_ROUNDS * len(sides)):
            quiet_count = 0 if side.carry_out_actions(now) else quiet_count + 1
            if quiet_count == len(sides):
                break
        if quiet_count < len(sides):
            raise AssertionError(f"the machines did not settle within {SETTLE_ROUNDS} rounds")
        for side in sides:
            side.arm()
