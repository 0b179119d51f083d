"""Bounded model checking: every order of up to so many events, over the real machines.

    frontier of states -> each choice of each -> rules -> seen before? -> next frontier
                                                       -> does it come to rest, and to life again?

Breadth first, so the first failure has the shortest list of events. A state is kept as its digest, its parent
and the choice that led to it; to go on from there the list is played again from a snapshot of an ancestor,
and a snapshot of its own serves all its choices. Two orders that lead to the same state go on as one
(state.py).

Liveness: from each new state all that is under way is delivered, whoever is away comes back, time passes. The
link must come to rest within a bound, and then carry a packet each way on each channel (recovery.py).

It follows no state beyond the bounds given, and it says so: a frontier that is exhausted is a proof for that
scope, one that is not is a search to that depth.
"""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from bamdmux.errors import UsageError
from bamdmux.host.driver import HostDriver
from bamdmux.modem.modem import Modem
from bamdmux.sim.explore.catalog import ExploredLink, lead_to
from bamdmux.sim.explore.recovery import Recovery
from bamdmux.sim.explore.rules import check_state
from bamdmux.sim.explore.snapshot import Snapshot
from bamdmux.sim.explore.state import StateReader
from bamdmux.sim.explore.world import ExploredWorld
from bamdmux.sim.simulation import where
from bamdmux.sim.violation import Violation
from bamdmux.sim.world import Trace
from bamdmux.timing import Duration

STRIDE: Final = 6  # a snapshot of every so many ancestors: neighbours in the frontier share most of them

Progress = Callable[["Tally"], None]


@dataclass(slots=True)
class Tally:
    """How far a search has come."""

    depth: int = 0  # every order of so many events was looked at
    state_count: int = 1
    transition_count: int = 0
    frontier: int = 1  # states of that depth whose successors are not known yet
    is_exhausted: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken, and the shortest list of events that does it."""

    events: tuple[str, ...]
    recovery: tuple[str, ...]  # what happened after them while all was delivered; empty: they were enough
    what: str


@dataclass(slots=True)
class Result:
    tally: Tally
    finding: Finding | None = None
    by_depth: list[int] = field(default_factory=list)  # new states


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where a search ends if nothing else ends it."""

    depth: int
    states: int = 10_000_000


class Exploration:
    """One search.

    Args:
        link: what may happen, and where it starts.
        host_class, modem_class: the machines; tests put in ones that lack something.
    """

    def __init__(
        self,
        link: ExploredLink,
        host_class: type[HostDriver] = HostDriver,
        modem_class: type[Modem] = Modem,
    ) -> None:
        self._link = link
        self._world = ExploredWorld(link.scope, None, host_class, modem_class)
        self._reader = StateReader(self._world)
        self._names: list[str] = []  # of choices, by number
        self._numbers: dict[str, int] = {}
        self._checkpoints: list[tuple[int, Snapshot]] = []
        self._parents = array("l", [-1])
        self._choices = array("h", [-1])
        self._seen: set[int] = set()
        self._rests: dict[int, Duration] = {}  # states from which the link comes to rest, and how soon
        self._revived: set[int] = set()  # states of rest from which it comes to life

    def run(self, bounds: Bounds, progress: Progress | None = None) -> Result:
        """Search until a rule is broken, or a bound is reached."""
        tally = Tally()
        result = Result(tally)
        try:
            lead_to(self._world, self._link.start)
        except Exception as error:
            result.finding = Finding((), (), _what(error))
            return result
        self._checkpoints = [(0, Snapshot(self._world))]
        result.finding = self._look_at_root()
        frontier: Iterable[int] = (0,)
        while result.finding is None and tally.depth < bounds.depth and not tally.is_exhausted:
            born = array("l")
            for parent in frontier:
                result.finding = self._expand(parent, born, tally)
                if result.finding is not None or tally.state_count >= bounds.states:
                    return result
                if progress is not None:
                    progress(tally)
            tally.depth += 1
            tally.frontier = len(born)
            tally.is_exhausted = not born
            result.by_depth.append(len(born))
            frontier = born
        return result

    def _look_at_root(self) -> Finding | None:
        self._seen.add(self._reader.digest())
        return self._recover(-1, "")

    def _expand(self, parent: int, born: "array[int]", tally: Tally) -> Finding | None:
        """Try each choice of a state; those that lead to new states are added to `born`."""
        world = self._world
        self._go_to(parent)
        here = Snapshot(world)
        for choice in world.choices():
            tally.transition_count += 1
            try:
                world.choose(choice)
                check_state(world)
            except Exception as error:  # whatever comes out of a machine is a failure of it
                return Finding((*self._path(parent), choice), (), _what(error))
            digest = self._reader.digest()
            if digest not in self._seen:
                self._seen.add(digest)
                tally.state_count += 1
                born.append(len(self._parents))
                self._parents.append(parent)
                self._choices.append(self._number(choice))
                finding = self._recover(parent, choice)
                if finding is not None:
                    return finding
            here.restore()
        return None

    def _go_to(self, state: int) -> None:
        """Put the world into that state: from the last checkpoint on the way there, by its events."""
        lineage = [state]
        while lineage[-1] > 0:
            lineage.append(self._parents[lineage[-1]])
        lineage.reverse()  # from the start
        checkpoints = self._checkpoints  # of every few ancestors of the state where we were last
        while (len(checkpoints) - 1) * STRIDE >= len(lineage) or (
            lineage[(len(checkpoints) - 1) * STRIDE] != checkpoints[-1][0]
        ):
            checkpoints.pop()
        checkpoints[-1][1].restore()
        for depth in range((len(checkpoints) - 1) * STRIDE + 1, len(lineage)):
            self._world.choose(self._names[self._choices[lineage[depth]]])
            if depth % STRIDE == 0:
                checkpoints.append((lineage[depth], Snapshot(self._world)))

    def _number(self, choice: str) -> int:
        number = self._numbers.setdefault(choice, len(self._names))
        if number == len(self._names):
            self._names.append(choice)
        return number

    def _path(self, state: int) -> tuple[str, ...]:
        """The events from the start to a state."""
        backwards = []
        while state > 0:
            backwards.append(self._names[self._choices[state]])
            state = self._parents[state]
        return tuple(reversed(backwards))

    def _recover(self, parent: int, choice: str) -> Finding | None:
        recovery = Recovery(self._world, self._reader, self._rests, self._revived)
        try:
            recovery.run()
        except Exception as error:
            path = (*self._path(parent), choice) if choice else ()
            return Finding(path, tuple(recovery.events), _what(error))
        return None


def _what(error: Exception) -> str:
    return str(error) if isinstance(error, Violation) else where(error)


def replay(
    link: ExploredLink,
    events: Iterable[str],
    trace: Trace | None,
    host_class: type[HostDriver] = HostDriver,
    modem_class: type[Modem] = Modem,
) -> Finding | None:
    """Let a list of events happen where the search starts, and then let the link recover.

    Raises:
        UsageError: one of them cannot happen there.
    """
    world = ExploredWorld(link.scope, trace, host_class, modem_class)
    recovery = Recovery(world, StateReader(world), {}, set())
    happened: list[str] = []
    try:
        lead_to(world, link.start)
        world.note("here the events begin")
        for choice in events:
            if choice not in world.choices():
                raise UsageError(f"{choice!r} cannot happen then; what can: {', '.join(world.choices())}")
            happened.append(choice)
            world.choose(choice)
            check_state(world)
        world.note("all is delivered, and whoever is away comes back")
        recovery.run()
    except UsageError:
        raise
    except Exception as error:
        what = _what(error)
        world.note(f"VIOLATION {what}")
        return Finding(tuple(happened), tuple(recovery.events), what)
    return None
