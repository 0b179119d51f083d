"""The links that are explored: what may happen on each, where it starts, and how deep it is looked into.

A small scope each, so that the depth is worth something: what has to come together for a failure is rarely
more than two kinds of things.
"""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from bamdmux.sim.explore.recovery import next_choice
from bamdmux.sim.explore.world import ExploredWorld, Scope


@unique
class Start(Enum):
    """Where a search starts."""

    NOBODY = "nobody"  # the modem is off, and no driver is bound
    ASLEEP = "asleep"  # the interfaces are up, both sides sleep
    AWAKE = "awake"  # a packet has just gone up, the host votes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploredLink:
    """One row.

    Args:
        depth: so many events in a long search.
        short_depth: so many in the tests.
    """

    name: str
    description: str
    scope: Scope
    start: Start
    depth: int
    short_depth: int


def lead_to(world: ExploredWorld, start: Start) -> None:
    """Let happen what leads from nobody to there, nothing being held back."""
    if start is Start.NOBODY:
        return
    while (choice := next_choice(world)) is not None:
        world.choose(choice)
    if start is Start.AWAKE:
        world.choose("up-0")
        while (choice := next_choice(world)) != "host-time":
            assert choice is not None, "a host that has sent suspends by a time-out"
            world.choose(choice)


_ROWS: Final = (
    ExploredLink(
        name="start",
        description="from nothing: boot, bind, announce, interfaces up",
        scope=Scope(),
        start=Start.NOBODY,
        depth=18,
        short_depth=11,
    ),
    ExploredLink(
        name="traffic",
        description="wake, send, suspend, both ways",
        scope=Scope(),
        start=Start.ASLEEP,
        depth=14,
        short_depth=9,
    ),
    ExploredLink(
        name="two-channels",
        description="two channels share the rings",
        scope=Scope(channel_count=2, slot_count=3, interfaces=True),
        start=Start.AWAKE,
        depth=6,
        short_depth=4,
    ),
    ExploredLink(
        name="late",
        description="either machine may miss its deadlines",
        scope=Scope(lateness=True, interfaces=True),
        start=Start.ASLEEP,
        depth=10,
        short_depth=7,
    ),
    ExploredLink(
        name="interfaces",
        description="interfaces go down and up",
        scope=Scope(interfaces=True),
        start=Start.AWAKE,
        depth=11,
        short_depth=8,
    ),
    ExploredLink(
        name="crash",
        description="the modem crashes and boots",
        scope=Scope(crash=True),
        start=Start.AWAKE,
        depth=10,
        short_depth=7,
    ),
    ExploredLink(
        name="vanish",
        description="the modem's process is gone, another takes its place",
        scope=Scope(vanish=True),
        start=Start.AWAKE,
        depth=11,
        short_depth=7,
    ),
    ExploredLink(
        name="removal",
        description="the driver is removed and bound anew",
        scope=Scope(removal=True),
        start=Start.ASLEEP,
        depth=11,
        short_depth=8,
    ),
    ExploredLink(
        name="kill",
        description="the driver dies and is bound anew",
        scope=Scope(kill=True),
        start=Start.AWAKE,
        depth=11,
        short_depth=7,
    ),
    ExploredLink(
        name="lost",
        description="one piece of news gets lost",
        scope=Scope(losses=1),
        start=Start.AWAKE,
        depth=10,
        short_depth=7,
    ),
    ExploredLink(
        name="lost-at-start",
        description="one piece of news gets lost before there is an interface",
        scope=Scope(losses=1),
        start=Start.NOBODY,
        depth=14,
        short_depth=8,
    ),
    ExploredLink(
        name="everything",
        description="crashes, removal, interfaces, lateness at once",
        scope=Scope(interfaces=True, crash=True, removal=True, lateness=True),
        start=Start.ASLEEP,
        depth=8,
        short_depth=5,
    ),
)
LINKS: Final = {link.name: link for link in _ROWS}
