"""What a simulated world is like: data, drawn from the seed or given.

Chance is never shared: each purpose has a generator of its own, seeded by a text, so that a fault more or
less changes nothing but that fault. Only `random()` is used of it, and only to multiply: no logarithm, whose
last bit might differ from machine to machine.
"""

import random
from dataclasses import dataclass, field
from typing import Final

from bamdmux.middleware.catalog import FAULTS
from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND, Duration
from bamdmux.wire.dmux import CHANNEL_COUNT

MINUTE: Final[Duration] = 60 * SECOND
HOUR: Final[Duration] = 60 * MINUTE

DEFAULT_DURATION: Final[Duration] = MINUTE
SLOT_COUNTS: Final = (32, 32, 32, 16, 8, 4, 2)  # the driver's number, and ones that fill up soon
MOST_FAULTS: Final = 6  # at once, when the seed chooses them

# Without weather, still: a doorbell or an edge takes a moment, and not always the same.
Span = tuple[Duration, Duration]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Packets come in trains, in talks with silence between them that is long enough to suspend.

    The defaults make 200 packets a second over all, both directions together.
    """

    talk_ns: Span = (3 * SECOND, 9 * SECOND)
    silence_ns: Span = (SECOND, 6 * SECOND)
    train_gap_ns: Span = (0, 32 * MILLISECOND)
    train_packets: tuple[int, int] = (1, 9)
    uplink_share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbances:
    """What people and machines do besides; a span is the time from one to the next."""

    interface_down_every_ns: Span = (5 * SECOND, 30 * SECOND)
    interface_down_for_ns: Span = (50 * MILLISECOND, 4 * SECOND)
    modem_restart_every_ns: Span = (20 * SECOND, 120 * SECOND)
    modem_down_for_ns: Span = (10 * MILLISECOND, 5 * SECOND)
    host_removal_every_ns: Span = (40 * SECOND, 200 * SECOND)
    host_away_for_ns: Span = (10 * MILLISECOND, 4 * SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """One world.

    Args:
        duration_ns: how long the weather lasts; a while to recover follows.
        faults: names of what goes wrong, with the rate if it is not that of the table.
        disturbances: None: nobody touches anything.
    """

    seed: int
    duration_ns: Duration = DEFAULT_DURATION
    faults: tuple[str, ...] = ()
    rates: dict[str, float] = field(default_factory=dict)
    slot_count: int = 32
    channel_count: int = CHANNEL_COUNT
    latency_ns: Span = (20 * MICROSECOND, 250 * MICROSECOND)
    load: Load = Load()
    disturbances: Disturbances | None = Disturbances()


def generator(seed: int, purpose: str) -> random.Random:
    """The chance for one purpose."""
    return random.Random(f"{seed}/{purpose}")  # by text: the hash of a text is not used


def draw_conditions(
    seed: int, duration_ns: Duration = DEFAULT_DURATION, faults: tuple[str, ...] | None = None
) -> Conditions:
    """The world of a seed. Which faults are given changes nothing else of it."""
    chance = generator(seed, "conditions").random
    slot_count = SLOT_COUNTS[int(chance() * len(SLOT_COUNTS))]
    if faults is None:
        names = list(FAULTS)
        count = int(chance() * (MOST_FAULTS + 1))
        drawn = {names[int(chance() * len(names))] for _ in range(count)}
        faults = tuple(name for name in names if name in drawn)
    return Conditions(seed=seed, duration_ns=duration_ns, faults=faults, slot_count=slot_count)
