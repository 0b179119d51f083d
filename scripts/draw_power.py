"""Write what is drawn in docs/power.md: the power machines from the code's tables, and time-lines from runs.

    python scripts/draw_power.py            write it into the page
    python scripts/draw_power.py --check    only say whether the page is up to date

Nobody writes down what causes a transition: each machine is put into every state that it can be in, alone,
and every input is tried in each. A row of a table that no input takes is shown as such. The time-lines are
the real machines in the simulation's world, with a fixed latency. What stands between the marks in the page
is written here; the rest is prose, and is left as it is.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bamdmux.actions import Action, Line, Log, LogEvent, SetLine
from bamdmux.host import power as host_power
from bamdmux.host.power import HostOptions, HostVote, ModemPowerLine, VoteState
from bamdmux.modem import power as modem_power
from bamdmux.modem.power import ModemPower, PowerState
from bamdmux.modem.profiles import load_profile
from bamdmux.sim.conditions import Conditions
from bamdmux.sim.packets import Direction
from bamdmux.sim.world import World
from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND, Instant

PAGE: Final = Path(__file__).parent.parent / "docs" / "power.md"
_SECTION: Final = re.compile(r"(<!-- drawn: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# Each machine alone

Input = Callable[[Any], object]


class WatchedVote(HostVote):
    """Says which states it enters."""

    entered: list[VoteState]

    def _enter(self, state: VoteState, now: Instant) -> None:
        super()._enter(state, now)
        self.entered.append(state)


class WatchedPower(ModemPower):
    entered: list[PowerState]

    def _enter(self, state: PowerState, now: Instant) -> None:
        super()._enter(state, now)
        self.entered.append(state)


def _host_time_passes(vote: WatchedVote) -> None:
    assert vote.deadline is not None
    vote.handle_timeout(vote.deadline)


def _modem_time_passes(power: WatchedPower) -> None:
    assert power.deadline is not None
    power.handle_timeout(power.deadline)


def _crash(power: WatchedPower) -> None:
    assert power.is_booted
    power.crash(0)


HOST_INPUTS: Final[Mapping[str, Input]] = {
    "something to send": lambda vote: vote.request(0),
    "ack": lambda vote: vote.ack_changed(vote._ack_edges + 1, 0),
    "modem power rises": lambda vote: vote.modem_rose(0),
    "modem power falls": lambda vote: vote.modem_fell(0),
    "time": _host_time_passes,
    "driver leaves": lambda vote: vote.drop(0),
    "modem vanishes": lambda vote: vote.modem_vanished(0),
    "OPEN_NO_A2_PC": lambda vote: vote.power_control_ended(0),
    "commands wait": lambda vote: vote.retry_later(0),
}
MODEM_INPUTS: Final[Mapping[str, Input]] = {
    "vote changes": lambda power: power.vote_changed(power.vote.edge_count + 1, 0),
    "host acks": lambda power: power.host_acked(power._host_ack_edges + 1, 0),
    "packet for the host": lambda power: power.wish(0),
    "frames wait": lambda power: power.hold(True, 0),
    "frames are sent": lambda power: power.hold(False, 0),
    "time": _modem_time_passes,
    "boot": lambda power: power.boot(0),
    "crash": _crash,
}
# What has passed when time does.
TIMES: Final[Mapping[Enum, str]] = {
    VoteState.SUSPENDED: "2 s after a failure, commands wait",
    VoteState.AWAITING_DOWN_ACK: "2 s without ack",
    VoteState.AWAITING_UP_ACK: "2 s without ack",
    VoteState.AWAITING_MODEM: "2 s without power",
    VoteState.ACTIVE: "1 s idle",
    PowerState.DOWN: "power is wanted, rise delay",
    PowerState.RISING: "2 s without ack",
    PowerState.UP: "nobody wants power, collapse delay",
    PowerState.FALLING: "2 s without ack",
}

# What the machine knows besides its state, if that is true and if it is not.
FACTS: Final[Mapping[str, tuple[str, str]]] = {
    "_ack_is_owed": ("an ack is owed", "no ack is owed"),
    "_modem_is_up": ("the modem is up", "the modem is down"),
    "_is_controlled": ("votes count", "the modem has ended power control"),
}

Facts = tuple[bool, ...]
# For each transition its causes, and for each of them what was known when it was one.
Transitions = dict[tuple[Enum, Enum], dict[str, set[Facts]]]


def transitions(machines: list[Any], inputs: Mapping[str, Input]) -> Transitions:
    """Try every input in every state that a machine can be in."""
    taken: Transitions = {}
    seen: set[str] = set()
    waiting = list(machines)
    while waiting:
        machine = waiting.pop()
        for cause, apply in inputs.items():
            after = deepcopy(machine)
            after.entered = []
            try:
                apply(after)
            except AssertionError:  # cannot happen to it now
                continue
            said = TIMES[machine.state] if cause == "time" else cause
            for step in pairwise([machine.state, *after.entered]):
                facts = tuple(bool(getattr(machine, fact, False)) for fact in FACTS)
                taken.setdefault(step, {}).setdefault(said, set()).add(facts)
            if (knowledge := _knowledge(after)) not in seen:
                seen.add(knowledge)
                waiting.append(after)
    return taken


_INSTANT: Final = re.compile(r"deadline$|_at$|_since$|_until$")
_IRRELEVANT: Final = re.compile(r"statistics|_options|_profile|_outbox|_total$|_count$|entered|_ack_edges$")


def _knowledge(machine: Any) -> str:
    """All that decides how a machine goes on, but for when."""
    known = []
    for name, value in vars(machine).items():
        if name == "vote":
            known += [_knowledge(value), value.is_on]
        elif _INSTANT.search(name):
            known.append(value is None)
        elif not _IRRELEVANT.search(name):
            known.append(value)
    return repr(known)


def _causes(step: tuple[Enum, Enum], taken: Transitions) -> list[str]:
    """In words; where one cause leads to several states, with what has to be known for this one."""
    words = []
    for cause, facts in taken.get(step, {}).items():
        elsewhere = {
            each
            for other, causes in taken.items()
            if other[0] is step[0] and other != step
            for each in causes.get(cause, ())
        }
        conditions = []
        for index, (if_true, if_false) in enumerate(FACTS.values()):
            values = {each[index] for each in facts}
            if elsewhere and len(values) == 1 and {each[index] for each in elsewhere} != values:
                conditions.append(if_true if values == {True} else if_false)
        words.append(f"{cause} ({', '.join(conditions)})" if conditions else cause)
    return words


def draw_host() -> Iterator[str]:
    vote = WatchedVote([], HostOptions())
    vote.entered = []
    yield from _draw_machine(host_power.LEGAL, transitions([vote], HOST_INPUTS), VoteState.SUSPENDED)


def draw_modem() -> Iterator[str]:
    fresh = WatchedPower(load_profile(), [])
    fresh.entered = []
    adopted = deepcopy(fresh)
    adopted.adopt(power_level=True, ack_level=False, vote_edges=0, host_ack_edges=0)
    taken = transitions([fresh, adopted], MODEM_INPUTS)
    yield from _draw_machine(modem_power.LEGAL, taken, PowerState.DOWN)


def _draw_machine(legal: Mapping[Any, set[Any]], taken: Transitions, first: Enum) -> Iterator[str]:
    rows = [(before, after) for before in legal for after in sorted(legal[before], key=list(legal).index)]
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {first.name}"
    for before, after in rows:
        causes = _causes((before, after), taken) or ["never"]
        yield f"    {before.name} --> {after.name}: {'<br>'.join(causes)}"
    yield "```"
    yield ""
    yield "| from | to | when |"
    yield "|---|---|---|"
    for before, after in rows:
        causes = _causes((before, after), taken) or ["never: no input takes it"]
        yield f"| `{before.name}` | `{after.name}` | {'; '.join(causes)} |"


def draw_line() -> Iterator[str]:
    """What the host makes of the power line's count, whatever it has missed."""
    yield "| it was | edges since | it is | the host says |"
    yield "|---|---|---|---|"
    for was in (0, 1):
        for edges in range(4):
            line = ModemPowerLine([], False)
            line.probe(was)
            change = line.changed(was + edges)
            yield f"| {_level(was)} | {edges} | {_level(was + edges)} | `{change.name}` |"


def _level(edge_count: int) -> str:
    return "up" if edge_count & 1 else "down"


# Both machines, on a line of time

_LATENCY: Final = 100 * MICROSECOND
_SAYINGS: Final[Mapping[tuple[bool, LogEvent], str]] = {
    (True, LogEvent.RESUMING): "host: something to send",
    (True, LogEvent.SUSPENDING): "host: idle for a second",
    (True, LogEvent.CHANNEL_OPENED): "host: OPEN came, channel {}",
    (False, LogEvent.CHANNEL_OPENED): "modem: OPEN came, channel {}",
    (True, LogEvent.RESUME_TIMED_OUT): "host: gives up, {} packet lost",
    (True, LogEvent.POWER_LOST): "host: power is gone, {} packets lost",
    (False, LogEvent.MODEM_POWER_CHANGED): "modem: {}",
}
_ORDER: Final = (Line.HOST_VOTE, Line.MODEM_ACK, Line.MODEM_POWER, Line.HOST_ACK)


class TimeLine(World):
    """A world that writes down what its lines do."""

    def __init__(self) -> None:
        super().__init__(
            Conditions(seed=0, channel_count=1, latency_ns=(_LATENCY, _LATENCY), disturbances=None)
        )
        self._rows: list[tuple[Instant, dict[Line, bool], Line | None, str]] = []
        self._arrived = [0, 0]

    def _carry_out(self, action: Action, *, is_host: bool) -> None:
        super()._carry_out(action, is_host=is_host)
        match action:
            case SetLine(line):
                self._write(line, "")
            case Log(event=event, detail=detail) if (is_host, event) in _SAYINGS:
                self._write(None, _SAYINGS[is_host, event].format(detail))

    def _check(self) -> None:
        super()._check()
        for direction, name in ((Direction.UP, "the network"), (Direction.DOWN, "wwan0")):
            if self.ledger.arrived(direction) != self._arrived[direction]:
                self._arrived[direction] = self.ledger.arrived(direction)
                self._write(None, f"a packet arrives at {name}")

    def _write(self, line: Line | None, what: str) -> None:
        levels = {each: writer.level for each, writer in self.lines.items()}
        self._rows.append((self.now, levels, line, what))

    def begin(self) -> None:
        """Both sides are there, the interface is up, both sleep. The line of time starts here."""
        self.boot(self.now)
        self.probe(self.now)
        self._settle()
        self.run_until(3 * SECOND)
        self.forget()

    def forget(self) -> None:
        """Leave out what was until now."""
        self._rows.clear()

    def at(self, milliseconds: float, what: str, act: Callable[[Instant], object]) -> None:
        """Let something happen, counted from now."""

        def event(now: Instant) -> None:
            self._write(None, what)
            act(now)

        self.plan(round(milliseconds * MILLISECOND), event, what)

    def draw(self) -> Iterator[str]:
        """From the first row, whose time is 0."""
        start = self._rows[0][0]
        yield "```text"
        yield "      ms  " + "  ".join(line.value for line in _ORDER)
        for now, levels, moved, what in self._rows:
            cells = []
            for line in _ORDER:
                mark = ("/" if levels[line] else "\\") if line is moved else " "
                cells.append(f"{mark} {int(levels[line])}".center(len(line.value)))
            time = (now - start) / MILLISECOND
            yield f"{time:8.1f}  {'  '.join(cells)}  {what}".rstrip()
        yield "```"


def _send(world: World, direction: Direction) -> Callable[[Instant], object]:
    return lambda now: world.send(direction, 0, 100, is_ipv6=False)


def draw_wake() -> Iterator[str]:
    world = TimeLine()
    world.begin()
    start = world.now
    world.at(0, "a program sends a packet", _send(world, Direction.UP))
    world.run_until(start + 3 * SECOND)
    yield from world.draw()


def draw_receive() -> Iterator[str]:
    world = TimeLine()
    world.begin()
    start = world.now
    world.at(0, "the network has a packet", _send(world, Direction.DOWN))
    world.run_until(start + 3 * SECOND)
    yield from world.draw()


def draw_debt() -> Iterator[str]:
    """A packet that comes just after the vote was dropped."""
    world = TimeLine()
    world.begin()
    world.at(0, "a program sends a packet", _send(world, Direction.UP))
    world.run_until(world.now + SECOND)  # awake, and just before the host is idle for a second
    world.forget()
    while world.lines[Line.HOST_VOTE].level:
        world.run_until(world.now + 100 * MICROSECOND)
    start = world.now
    world.at(0.1, "a program sends a packet", _send(world, Direction.UP))
    world.run_until(start + 10 * MILLISECOND)
    yield from world.draw()


def draw_silence() -> Iterator[str]:
    """The modem is off."""
    world = TimeLine()
    world.begin()
    start = world.now
    world.modem.crash(world.now)
    world._settle()
    world.forget()
    world.at(0, "a program sends a packet", _send(world, Direction.UP))
    world.run_until(start + 3 * SECOND)
    yield from world.draw()


def draw_crash() -> Iterator[str]:
    world = TimeLine()
    world.begin()
    start = world.now
    world.at(0, "a program sends a packet", _send(world, Direction.UP))
    world.at(100, "the modem crashes", lambda now: world.modem.crash(now))
    world.at(200, "the modem boots", world.boot)
    world.run_until(start + 3 * SECOND)
    yield from world.draw()


DRAWN: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "host": draw_host,
    "line": draw_line,
    "modem": draw_modem,
    "wake": draw_wake,
    "receive": draw_receive,
    "debt": draw_debt,
    "silence": draw_silence,
    "crash": draw_crash,
}


def drawn_page(page: str) -> str:
    """The page with everything between its marks drawn anew."""
    return _SECTION.sub(lambda match: f"{match[1]}{_text(DRAWN[match[2]])}{match[3]}", page)


def _text(draw: Callable[[], Iterator[str]]) -> str:
    return "".join(f"{line}\n" for line in draw())


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    drawn = drawn_page(page)
    if "--check" in sys.argv[1:]:
        print("up to date" if drawn == page else "out of date: run python scripts/draw_power.py")
        return int(drawn != page)
    PAGE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
