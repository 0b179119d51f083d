"""Faults on a running link: set and cleared at any time, from the command line or over the control socket.

    set    the fault's wraps are laid over the parts that live, and over those that are made later
    clear  it strikes no more; what it has under way ends as it would have
    bare   when nothing is under way any more, and no fault is set: all wraps are taken off

A link that has no faults has nothing of this on the way of its packets, nor a side more in its runner. What a
fault does is said in bamdmux.middleware; here is where its wraps go, and the agenda of what it has put off.

Faults of the control plane are listed with them, and done elsewhere: by its `HostilePlane`, which is always
there, since it has to know the ports, and without a fault gives their bytes on as they are.
"""

import heapq
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final, Protocol

from bamdmux.actions import Line, Pipe
from bamdmux.errors import UsageError
from bamdmux.live.loop import read_clock
from bamdmux.live.runner import Runner
from bamdmux.middleware.catalog import FAULTS, check_rate
from bamdmux.middleware.control import HostilePlane
from bamdmux.middleware.control_faults import AnyFault, ChosenFault, find_any_fault
from bamdmux.middleware.faults import FarSide, Half, Middleware, Restart, Strikes, Tally
from bamdmux.middleware.overlay import Overlay
from bamdmux.timing import Duration, Instant

LOG: Final = logging.getLogger("bamdmux.faults")

BOTH: Final = frozenset(Half)

Event = Callable[[Instant], None]
RatedFaults = Sequence[tuple[AnyFault, float]]


def draw_seed() -> int:
    """A seed, where nobody has asked for one."""
    return random.randrange(1 << 32)


class Relay:
    """Whoever is at the other end at the moment; what is said to nobody stays in memory.

    It is the innermost end of the wraps around what a side tells the other. Without wraps nobody uses it.
    """

    def __init__(self) -> None:
        self.far: FarSide | None = None

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        if self.far is not None:
            self.far.line_changed(line, edge_count, now)

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        if self.far is not None:
            self.far.doorbell_rang(pipe, now)


class Wrappable(Protocol):
    """One half of a link, as far as faults can be put on it.

    Attributes:
        far: what it tells its news to.
        relay: where they go in the end.
        part_made: to be told of each part that is made later, with its seam.
    """

    far: FarSide
    relay: Relay
    part_made: Callable[[str, Any], None]

    @property
    def half(self) -> Half:
        """Which one it is."""

    def parts(self) -> Iterable[tuple[str, Any]]:
        """What it is made of, each with the name of its seam in `Middleware`."""

    def edge_count(self, line: Line) -> int:
        """What the word of a line says."""

    @property
    def announced(self) -> Sequence[int]:
        """Channels that the modem has opened, as far as this half can know."""


class Faults:
    """The faults of a link, or of the half that this process has. A side of the runner while there are any.

    Args:
        halves: what this process has.
        seed: for all that is left to chance; None draws one.
        restart_modem, restart_host: let that side die and come back; for the halves that are here.
        nudge_modem: lets the modem look at its rings, if it is here.
        control: the modem's control plane, if it is here.
    """

    def __init__(
        self,
        runner: Runner,
        halves: frozenset[Half],
        *,
        seed: int | None = None,
        restart_modem: Restart | None = None,
        restart_host: Restart | None = None,
        nudge_modem: Event | None = None,
        control: HostilePlane | None = None,
    ) -> None:
        self.seed = draw_seed() if seed is None else seed
        self._runner = runner
        self._halves = halves
        self._restart_modem = restart_modem or _nobody_restarts
        self._restart_host = restart_host or _nobody_restarts
        self._nudge_modem = nudge_modem
        self._control = control
        self._sides: list[Wrappable] = []
        self._set: dict[str, Middleware] = {}  # of each fault that was ever set, until the link is bare again
        self._overlays: dict[int, Overlay[Any]] = {}  # of parts that live, by their identity
        self._signals: list[tuple[Wrappable, Any]] = []  # the wraps around what a side tells the other
        self._tally = Tally()
        self._agenda: list[tuple[Instant, int, Event]] = []
        self._number = count()  # so that what is due at the same time keeps its order

    # Setting and clearing

    def check(self, fault: AnyFault) -> None:
        """See whether this process can do it.

        Raises:
            UsageError: it lies on the other half, or on both of them.
        """
        if self._halves != BOTH and not self._halves & fault.halves:
            raise UsageError(why_not_here(fault))

    def set(self, fault: AnyFault, rate: float) -> None:
        """Let a fault strike from now on; if it does already, at this rate.

        Raises:
            UsageError: see `check`.
        """
        self.check(fault)
        LOG.info("= fault %s set at %g", fault.name, rate)
        if isinstance(fault, ChosenFault):
            assert self._control is not None, "it is with the modem"
            self._control.set(replace(fault, rate=rate))
            return
        if fault.name in self._set:
            strikes = self._strikes(fault.name)
            strikes.count = strikes.count if strikes.rate else 0
            strikes.rate = rate
            return
        link = Middleware(
            later=self.later,
            restart_modem=self._restart_modem,
            restart_host=self._restart_host,
            nudge_modem=self._nudge_modem,
            tally=self._tally,
        )
        link.install(fault, random.Random(f"{self.seed}/fault {fault.name}"), rate)
        self._set[fault.name] = link
        for side in self._sides:
            self._wrap_side(side, link, is_running=True)
        self._runner.add(self)

    def clear(self, name: str | None = None) -> None:
        """Let a fault, or all of them, strike no more.

        Raises:
            UsageError: it is not set.
        """
        if name is not None:
            find_any_fault(name)
            if not self.has(name):
                raise UsageError(f"fault {name!r} is not set; {', '.join(self._names()) or 'none'} is")
        for each in [each for each in self._names() if name in (None, each)]:
            if each in self._set:
                self._set[each].stop()
            elif self._control is not None:
                self._control.clear(each)
            LOG.info("= fault %s cleared", each)

    def status(self) -> dict[str, object]:
        """For JSON: what is set, and how often each has struck since."""
        active = [(name, self._strikes(name)) for name in self._set if self._strikes(name).rate]
        return {
            "seed": self.seed,
            "active": [
                {
                    "name": name,
                    "family": FAULTS[name].family.value,
                    "description": FAULTS[name].description,
                    "rate": strikes.rate,
                    "strikes": strikes.count,
                }
                for name, strikes in active
            ]
            + (self._control.fault_status() if self._control is not None else []),
        }

    def answer(self, request: Mapping[str, Any], now: Instant) -> dict[str, object]:
        """For the control socket: `action` is list, set or clear; what is set after that.

        Raises:
            UsageError: there is no such action or fault, or it is none of this process's.
        """
        fault, rate = read_request(request)
        match request.get("action"):
            case "set":
                assert fault is not None
                self.set(fault, rate)
            case "clear":
                self.clear(fault.name if fault is not None else None)
        return self.status()

    def has(self, name: str) -> bool:
        """Whether that fault is set."""
        return name in self._names()

    def _strikes(self, name: str) -> Strikes:
        return self._set[name].strikes[name]

    def _names(self) -> list[str]:
        """Of those that are set."""
        names = [name for name in self._set if self._strikes(name).rate]
        return names + (self._control.fault_names if self._control is not None else [])

    # Where the wraps go

    def join(self, side: Wrappable) -> None:
        """A half that was made: from now on faults are put on it too."""
        self._sides.append(side)
        side.part_made = self._part_made
        for link in self._set.values():
            self._wrap_side(side, link, is_running=False)

    def leave(self, side: Wrappable) -> None:
        """It is over; whatever is put off for it finds nobody."""
        self._sides.remove(side)
        side.relay.far = None
        self._signals = [(each, wrap) for each, wrap in self._signals if each is not side]
        self._forget_dead_parts()

    def _wrap_side(self, side: Wrappable, link: Middleware, *, is_running: bool) -> None:
        """Put one fault on one half, which may be in the middle of something."""
        if is_running:
            link.announced = side.announced
        link.edge_count = side.edge_count
        for seam, part in side.parts():
            self._wrap_part(seam, part, link)
        for wrap in link.to_modem if side.half is Half.HOST else link.to_host:
            side.far = wrap(side.far if self._is_wrapped(side) else side.relay)
            self._signals.append((side, side.far))
        link.announced = ()

    def _wrap_part(self, seam: str, part: Any, link: Middleware) -> None:
        for wrap in getattr(link, seam):
            overlay = self._overlays.get(id(part))
            if overlay is None:
                overlay = self._overlays[id(part)] = Overlay(part, seam)
            overlay.lay(wrap)

    def _part_made(self, seam: str, part: Any) -> None:
        if self._set:
            self._forget_dead_parts()
        for link in self._set.values():
            self._wrap_part(seam, part, link)

    def _forget_dead_parts(self) -> None:
        alive = {id(part) for side in self._sides for _, part in side.parts()}
        self._overlays = {key: overlay for key, overlay in self._overlays.items() if key in alive}

    def _is_wrapped(self, side: Wrappable) -> bool:
        return any(side.far is wrap for _, wrap in self._signals)

    # A side of the runner

    def later(self, delay: Duration, event: Event) -> None:
        """Call a function when that time has passed."""
        heapq.heappush(self._agenda, (read_clock() + delay, next(self._number), event))
        self._runner.add(self)

    @property
    def deadline(self) -> Instant | None:
        return self._agenda[0][0] if self._agenda else None

    def handle_timeout(self, now: Instant) -> None:
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2](now)

    def feed(self, now: Instant) -> None:
        """Nothing comes from outside."""

    def carry_out_actions(self, now: Instant) -> bool:
        """We are no machine."""
        return False

    def arm(self) -> None:
        """The batch is over: perhaps all wraps can be taken off."""
        if self._agenda or any(self._strikes(name).rate for name in self._set):
            return
        wraps = [wrap for _, wrap in self._signals]
        wraps += [wrap for overlay in self._overlays.values() for wrap in overlay.wraps]
        if all(wrap.is_at_rest for wrap in wraps):
            self._take_off()

    def _take_off(self) -> None:
        for overlay in self._overlays.values():
            overlay.take_off()
        for side in self._sides:
            side.far = side.relay.far or side.relay
        self._overlays.clear()
        self._signals.clear()
        self._set.clear()
        self._runner.remove(self)


def read_request(request: Mapping[str, Any]) -> tuple[AnyFault | None, float]:
    """The fault that a request of the control socket is about, if about one, and its rate.

    Raises:
        UsageError: it says what cannot be.
    """
    action, name, rate = request.get("action"), request.get("name"), request.get("rate")
    if action not in ("list", "set", "clear"):
        raise UsageError(f"unknown action {action!r} of fault; known: clear, list, set")
    if name is None and action != "set":
        return None, 0.0
    if not isinstance(name, str):
        raise UsageError("the name of a fault is a text")
    fault = find_any_fault(name)
    return fault, fault.rate if rate is None else check_rate(rate)


def check_halves(faults: RatedFaults, halves: frozenset[Half]) -> None:
    """See whether these can be where each half is a process, before there is a link.

    Args:
        halves: those that we can tell.

    Raises:
        UsageError: one of them lies elsewhere, or needs both in one process.
    """
    for fault, _ in faults:
        if not halves & fault.halves:
            raise UsageError(why_not_here(fault))


def why_not_here(fault: AnyFault) -> str:
    """What to tell who asks for a fault where it cannot be."""
    if not fault.halves:
        return f"fault {fault.name!r} needs both halves in one process; use `bamdmux run` without --split"
    (half,) = (half.value for half in fault.halves)  # both: then it could be
    return f"fault {fault.name!r} lies on the other half; set it there: bamdmux {half} --fault {fault.name}"


def _nobody_restarts(delay: Duration) -> None:
    raise AssertionError("a fault restarts the half that it lies on")
