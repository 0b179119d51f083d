"""Keep sides going: feed what waits, fire what is due, do what they ask for, arm what to wait for.

    wait -> feed -> time-outs -> settle -> arm -> wait

A side is one half of a link, or what finds the other half. In one process a doorbell or a line of one
machine is an input of the other, at once; *settle* goes on until all are quiet. What is armed (descriptors,
deadlines) follows from the machines' state after that, in one place.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from bamdmux.live.loop import Loop, read_clock
from bamdmux.timing import MILLISECOND, Duration, Instant, earliest

# Each machine answers the other a few times for one event. More rounds than this mean that they go round in
# circles: a bug, better seen than looped.
SETTLE_ROUNDS: Final = 10_000

# Asking all sides for their deadlines costs more than some batches. Late is only late; this is how late.
DEADLINE_SLACK: Final[Duration] = MILLISECOND
STEPS_PER_TRIAL: Final = 8  # of steps that wait, one looks first whether it has to


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


class Runner:
    """The loop around some sides."""

    def __init__(self, loop: Loop, sides: Sequence[Side]) -> None:
        self.loop = loop
        self._sides = sides
        self.now = self.started_at = self._deadlines_seen_at = read_clock()
        self._is_busy = False  # the last news was there before we waited
        self._step_count = 0

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
        now = self._news_at_once()
        is_due = False
        if now is None:
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

    def _news_at_once(self) -> Instant | None:
        """When news follows upon news, nobody's deadline is asked for in between, but for once in a while."""
        self._step_count += 1
        if not self._is_busy and self._step_count % STEPS_PER_TRIAL:
            return None
        now = self.loop.poll() if self.now - self._deadlines_seen_at < DEADLINE_SLACK else None
        self._is_busy = now is not None
        return now

    def settle(self) -> None:
        """Let the sides answer one another until all are quiet, and arm what to wait for."""
        sides, now = self._sides, self.now
        quiet_count = 0
        for _ in range(SETTLE_ROUNDS):
            for side in sides:
                quiet_count = 0 if side.carry_out_actions(now) else quiet_count + 1
                if quiet_count == len(sides):
                    break
            if quiet_count >= len(sides):
                break
        else:
            raise AssertionError(f"the machines did not settle within {SETTLE_ROUNDS} rounds")
        for side in sides:
            side.arm()
