"""What a fault is, when it strikes, and where a link can be wrapped.

    Fault       a row of the table in catalog.py: data
    Dice        chance, from a generator of its own; it can be stopped while the link runs
    Middleware  the seams of a link: for each of them the wraps that faults have put there

Whoever builds a link, the simulation or a live one, sends each part through `wrapped` on its way to the
machine, and gives the three things that a fault may ask for: to be called later, a restart of either side.
A fault knows neither heap nor loop. A part that is made anew, as the interfaces and the pipe ends of a new
driver, is wrapped anew; the dice are shared. A part that is in use already is wrapped by overlay.py.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Protocol, TypeVar

from bamdmux.actions import Line, Pipe
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.counters import DropReason
from bamdmux.netdevice import NetDevice
from bamdmux.timing import Duration, Instant

Later = Callable[[Duration, Callable[[Instant], None]], None]
Restart = Callable[[Duration], None]  # fall dead now, and come back after that time

_Part = TypeVar("_Part")
Wrap = Callable[[_Part], _Part]


class FarSide(Protocol):
    """The other half of a link, as far as its news can reach it."""

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None: ...

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None: ...


@unique
class Family(Enum):
    FRAMING = "framing"  # what a frame says is wrong
    DELIVERY = "delivery"  # doorbells and frames are lost, doubled, late, or overtake each other
    POWER = "power"  # the handshake on the four lines
    EXHAUSTION = "exhaustion"  # no space somewhere
    CRASH = "crash"  # one side dies in the middle of something, and comes back
    DISAGREEMENT = "disagreement"  # control says one thing, data another


@unique
class Half(Enum):
    """One side of a link, where each is a process."""

    HOST = "host"  # its pipe ends and interfaces, and what it tells the modem
    MODEM = "modem"  # its pipe ends and network, and what it tells the host


@unique
class Licence(Enum):
    """What a link under a fault may do although a healthy one never does. All else is held against it."""

    DUPLICATES = "a packet may be delivered twice"
    REORDERING = "packets of a channel may change places"
    STRAYS = "packets that nobody sent may be delivered"
    NO_POWER_CONTROL = "the host may transmit without a vote, and need not suspend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of the table.

    Args:
        rate: how likely it strikes when it could.
        delay_ns: for faults that take or wait some time, the least and the most of it.
        explains: what the machines may count as dropped because of it. Not empty: packets get lost.
        licences: what the link may do under it.
        halves: which sides can do it for themselves, where each is a process. None: it needs both in one.
        install: puts its wraps where they belong.
    """

    name: str
    family: Family
    description: str
    rate: float
    install: "Callable[[Middleware, Strikes], None]" = field(repr=False)
    delay_ns: tuple[Duration, Duration] = (0, 0)
    explains: frozenset[DropReason] = frozenset()
    licences: frozenset[Licence] = frozenset()
    halves: frozenset[Half] = frozenset()
    is_lossy: bool = False


class Strikes:
    """When a fault strikes, and with what parameters."""

    def __init__(self, generator: random.Random, rate: float, delay_ns: tuple[Duration, Duration]) -> None:
        self.random = generator
        self.rate = rate
        self._delay_ns = delay_ns
        self.count = 0

    def now(self) -> bool:
        """Whether it strikes this time."""
        if self.random.random() >= self.rate:
            return False
        self.count += 1
        return True

    def missed(self) -> None:
        """It would have, but there was nothing to strike at."""
        self.count -= 1

    def delay(self) -> Duration:
        least, most = self._delay_ns
        return least + int(self.random.random() * (most - least))

    def number(self, least: int, most: int) -> int:
        """From `least` to `most`, both included."""
        return least + int(self.random.random() * (most - least + 1))

    def stop(self) -> None:
        """No more; what is under way ends as it would have."""
        self.rate = 0.0


@dataclass(slots=True)
class Tally:
    """What faults did to frames behind the machines' backs: no counter of theirs can know."""

    injected: int = 0  # frames that the modem did not send
    vanished: int = 0  # frames that it believes it has sent
    held: int = 0  # frames that are kept back and will come


@dataclass(slots=True, kw_only=True)
class Middleware:
    """The seams of one link.

    Args:
        later: calls a function once that time has passed.
        restart_modem, restart_host: let a side die, and come back.
        nudge_modem: lets the modem look at its rings although no doorbell rang; None where nobody can.
        announced: channels that the modem has opened before the wraps are put on.
        edge_count: what a line's word says when the wraps are put on.
    """

    later: Later
    restart_modem: Restart
    restart_host: Restart
    nudge_modem: Callable[[Instant], None] | None = None
    announced: Sequence[int] = ()
    edge_count: Callable[[Line], int] = lambda line: 0
    host_tx: list[Wrap[PipeOwner]] = field(default_factory=list)
    host_rx: list[Wrap[PipeOwner]] = field(default_factory=list)
    modem_tx: list[Wrap[PipePeer]] = field(default_factory=list)
    modem_rx: list[Wrap[PipePeer]] = field(default_factory=list)
    to_modem: list[Wrap[FarSide]] = field(default_factory=list)
    to_host: list[Wrap[FarSide]] = field(default_factory=list)
    interfaces: list[Wrap[NetDevice]] = field(default_factory=list)
    network: list[Wrap[NetDevice]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    strikes: dict[str, Strikes] = field(default_factory=dict)  # of each fault, by its name

    def install(self, fault: Fault, generator: random.Random, rate: float | None = None) -> None:
        """Put a fault in its place. Before the parts are wrapped."""
        strikes = Strikes(generator, fault.rate if rate is None else rate, fault.delay_ns)
        self.strikes[fault.name] = strikes
        fault.install(self, strikes)

    def stop(self) -> None:
        """From now on the weather is fine."""
        for strikes in self.strikes.values():
            strikes.stop()


def wrapped(part: _Part, wraps: Iterable[Wrap[_Part]]) -> _Part:
    """The part inside of its wraps, the last one outermost."""
    for wrap in wraps:
        part = wrap(part)
    return part
