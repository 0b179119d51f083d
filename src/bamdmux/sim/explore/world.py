"""A world in which nothing happens by itself: it offers what could happen next, and one thing is chosen.

    news under way (a line has moved, a pipe has moved) | a deadline of either machine | a packet |
    an interface comes, goes up or down | the modem dies or boots | the driver leaves or is bound

Its machines, memory and checkers are those of `World`. Instead of a clock that lets news arrive after some
microseconds, any of them may arrive next, or wait while anything else happens: no order of the two sides is
left out. News of a line that moves again is still one piece of news: so edges merge. Time stands still, but
for a deadline: it jumps there, and only that machine is told. The other one may be late, as a process can be.

The pipes are as small as they can be, so that they wrap at once. The modem's small delays are zero: what a
delay is good for, that something else comes first, is a choice here anyway.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.bam.memory import CACHE_LINE_BYTES, LinkLayout, PipeLayout
from bamdmux.counters import DropReason
from bamdmux.host.driver import HostDriver
from bamdmux.modem.modem import Modem
from bamdmux.modem.profiles import Profile
from bamdmux.sim.checkers import drops_of
from bamdmux.sim.conditions import Conditions
from bamdmux.sim.packets import Direction
from bamdmux.sim.violation import Violation
from bamdmux.sim.world import Event, Trace, Wire, World
from bamdmux.timing import Duration, Instant

SLOT_BYTES: Final = 64  # a packet of the ledger makes a frame of 44 bytes
QUEUE_LENGTH: Final = 1  # of an interface, and of the network; more packets wait in the rings

# News by the name that World gives it, and by ours: what moved, and for pipes who hears of it.
_NEWS: Final = {
    f"{what.value} arrives at the {side}": (
        what.value if isinstance(what, Line) else f"{what.value}-to-{side}"
    )
    for side, lines in (
        ("modem", (Line.HOST_VOTE, Line.HOST_ACK)),
        ("host", (Line.MODEM_POWER, Line.MODEM_ACK)),
    )
    for what in (*lines, *Pipe)
}
NEWS: Final = tuple(_NEWS.values())
_TO_MODEM: Final = NEWS[: len(NEWS) // 2]
_SUBJECTS: Final[dict[str, Line | Pipe]] = {
    choice: Line(choice) if choice in {line.value for line in Line} else Pipe(choice.partition("-")[0])
    for choice in NEWS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What may happen in an explored world, beyond news and deadlines.

    Args:
        packets: somebody sends, up or down, one more when the last one has been read.
        interfaces: they are set down and up.
        crash: the modem falls dead, its power lines with it, and boots.
        vanish: the modem is gone and leaves its lines as they are; another one takes its place, as when the
            two are processes.
        removal: the driver is removed in order, and bound anew.
        kill: the driver vanishes, and is bound anew.
        lateness: a machine may miss its deadline while time passes for the other one.
        losses: so many pieces of news get lost.
    """

    channel_count: int = 1
    slot_count: int = 2
    packets: bool = True
    interfaces: bool = False
    crash: bool = False
    vanish: bool = False
    removal: bool = False
    kill: bool = False
    lateness: bool = False
    losses: int = 0


@dataclass(frozen=True, kw_only=True)
class SmallLayout(LinkLayout):
    """A link whose FIFOs hold no more than there are slots."""

    def __post_init__(self) -> None:
        start = len(Line) * CACHE_LINE_BYTES
        for name, slot_bytes in (("tx", self.transmit_bytes), ("rx", self.receive_bytes)):
            layout = PipeLayout(
                start=start,
                entry_count=self.slot_count + 1,
                slot_count=self.slot_count,
                slot_bytes=slot_bytes,
            )
            object.__setattr__(self, name, layout)
            start = layout.end

    @property
    def size_bytes(self) -> int:
        return self.rx.end


class ExploredWorld(World):
    """Offers `choices`, and lets one happen with `choose`. It begins with nobody there."""

    def __init__(
        self,
        scope: Scope,
        trace: Trace | None = None,
        host_class: type[HostDriver] = HostDriver,
        modem_class: type[Modem] = Modem,
    ) -> None:
        self.scope = scope
        conditions = Conditions(
            seed=0, slot_count=scope.slot_count, channel_count=scope.channel_count, disturbances=None
        )
        super().__init__(conditions, trace, host_class, modem_class)
        self.news: dict[str, Event] = {}  # under way
        self.asked: set[int] = set()  # interfaces that the driver waits for
        self.losses_left = scope.losses
        self.is_behind = False  # some news got lost, and nothing has happened yet that would show it
        # A modem in a process of its own: it is gone; the host has heard so; a new one hears of the host.
        self.is_gone = False
        self.is_mourned = False
        self.is_joined = True
        # What modems counted that are gone, and what drivers took with them.
        self.gone_frames_sent = 0
        self.gone_arrived = self.gone_passed_down = 0
        self.gone_drops: dict[str, Counter[DropReason]] = {"uplink": Counter(), "downlink": Counter()}
        self.may_be_missing = 0

        channels = range(scope.channel_count)
        self._acts: dict[str, Callable[[], None]] = {
            **{name: partial(self._arrive, name) for name in NEWS},
            "host-time": self._host_times_out,
            "modem-time": self._modem_times_out,
            **{f"register-{channel}": partial(self._registered, channel) for channel in channels},
            **{f"up-{channel}": partial(self._send, Direction.UP, channel) for channel in channels},
            **{f"down-{channel}": partial(self._send, Direction.DOWN, channel) for channel in channels},
            **{f"ifup-{channel}": partial(self.set_interface, channel, True) for channel in channels},
            **{f"ifdown-{channel}": partial(self.set_interface, channel, False) for channel in channels},
            "boot": lambda: self.boot(self.now),
            "bind": lambda: self.probe(self.now),
            "crash": lambda: self.modem.crash(self.now),
            "vanish": self._vanish,
            "mourn": self._mourn,
            "succeed": self._succeed,
            "join": self._join,
            "remove": lambda: self.remove_host(self.now),
            "kill": self._kill,
            **{f"lose-{name}": partial(self._lose, name) for name in NEWS},
        }

    # The seams of World

    def _make_layout(self) -> LinkLayout:
        slot_count = self.scope.slot_count
        return SmallLayout(slot_count=slot_count, receive_bytes=SLOT_BYTES, transmit_bytes=SLOT_BYTES)

    def _make_profile(self) -> Profile:
        profile = super()._make_profile()
        return replace(profile, ack_delay_ns=0, rise_delay_ns=0, collapse_delay_ns=0, inactivity_ns=0)

    def plan(self, delay: Duration, event: Event, name: str) -> None:
        """News may arrive from now on; of all else that World plans we offer more."""
        choice = _NEWS.get(name)
        if choice is None:
            return
        if choice in _TO_MODEM and not self.is_joined:  # nobody is told
            self._wire(choice).forget(_SUBJECTS[choice])
        else:
            self.news[choice] = event

    def latency(self) -> Duration:
        return 0

    def _register(self, channel: int) -> None:
        if channel in self.interfaces:
            raise Violation(f"wwan{channel} was asked for, and is there")
        self.asked.add(channel)  # a modem that restarts meanwhile makes the driver ask again

    def _forget_host(self) -> None:
        self.may_be_missing += self.packets_in_ring()
        self.asked.clear()
        super()._forget_host()

    # What could happen

    def choices(self) -> list[str]:
        """What may happen next, in an order that is always the same."""
        host, scope = self.host, self.scope
        offered = [name for name in NEWS if name in self.news]
        offered += self._deadlines()
        offered += [f"register-{channel}" for channel in sorted(self.asked)]
        offered += self._of_interfaces()
        if scope.packets and len(self.network.outgoing) < QUEUE_LENGTH:
            offered += [f"down-{channel}" for channel in range(scope.channel_count)]
        offered += self._of_modem()
        if host is None:
            offered.append("bind")
        elif scope.removal and not host.is_leaving:
            offered.append("remove")
        if host is not None and scope.kill:
            offered.append("kill")
        if self.losses_left:
            offered += [f"lose-{name}" for name in NEWS if name in self.news]
        return offered

    def _deadlines(self) -> list[str]:
        of_host, of_modem = self.host.deadline if self.host is not None else None, self.modem.deadline
        offered = []
        if of_host is not None and (self.scope.lateness or self._is_first(of_host, of_modem)):
            offered.append("host-time")
        if of_modem is not None and (self.scope.lateness or self._is_first(of_modem, of_host)):
            offered.append("modem-time")
        return offered

    def _is_first(self, deadline: Instant, other: Instant | None) -> bool:
        return other is None or max(deadline, self.now) <= max(other, self.now)

    def _of_interfaces(self) -> list[str]:
        offered = []
        for channel, interface in sorted(self.interfaces.items()):
            if not interface.is_up:
                offered.append(f"ifup-{channel}")
                continue
            if self.scope.packets and len(interface.outgoing) < QUEUE_LENGTH:
                offered.append(f"up-{channel}")
            if self.scope.interfaces:
                offered.append(f"ifdown-{channel}")
        return offered

    def _of_modem(self) -> list[str]:
        if self.is_gone:
            return ["succeed"] if self.is_mourned else ["mourn"]
        offered = [] if self.is_joined else ["join"]
        if not self.modem.is_booted:
            return [*offered, "boot"]
        if self.scope.crash:
            offered.append("crash")
        if self.scope.vanish:
            offered.append("vanish")
        return offered

    def choose(self, choice: str) -> None:
        """Let it happen, and whatever the machines do about it.

        Raises:
            Violation: a rule was broken.
        """
        if self._trace is not None:
            self._note(choice)
        self._acts[choice]()
        self.event_count += 1
        self._settle()
        self._check()

    # It happens

    def _wire(self, choice: str) -> Wire:
        wire = self._to_modem if choice in _TO_MODEM else self._to_host
        assert isinstance(wire, Wire), "there are no faults here"
        return wire

    def _arrive(self, choice: str) -> None:
        self.news.pop(choice)(self.now)

    def _lose(self, choice: str) -> None:
        self.losses_left -= 1
        self.is_behind = True
        self._forget_news(choice)

    def _forget_news(self, *choices: str) -> None:
        for choice in choices:
            self.news.pop(choice, None)
            self._wire(choice).forget(_SUBJECTS[choice])

    def _host_times_out(self) -> None:
        assert self.host is not None
        self.now = self._later(self.host.deadline)
        self.host.handle_timeout(self.now)

    def _modem_times_out(self) -> None:
        self.now = self._later(self.modem.deadline)
        self.modem.handle_timeout(self.now)

    def _later(self, deadline: Instant | None) -> Instant:
        assert deadline is not None
        return max(self.now, deadline)

    def _registered(self, channel: int) -> None:
        self.asked.remove(channel)
        super()._register(channel)

    def _send(self, direction: Direction, channel: int) -> None:
        self.send(direction, channel, 0, is_ipv6=False)

    # One side dies

    def _kill(self) -> None:
        for channel in list(self.interfaces):
            self._unregister(channel)
        self.host_death_count += 1
        self._forget_host()

    def _vanish(self) -> None:
        """Nobody lowers a line. The bearers' counters are a modem's own, and go with it."""
        modem = self.modem
        frames_sent = modem.status(self.now)["frames_sent"]
        assert isinstance(frames_sent, int)
        self.gone_frames_sent += frames_sent
        bearers = [bearer for bearer in modem.packet_data_network.bearers if bearer is not None]
        self.gone_arrived += sum(bearer.uplink.packet_count for bearer in bearers)
        self.gone_passed_down += sum(bearer.downlink.packet_count for bearer in bearers)
        self.gone_drops = {direction: self.drops_of_modems(direction) for direction in self.gone_drops}
        self.modem = self._make_modem()
        self.is_gone, self.is_joined = True, False
        self.is_mourned = self.host is None
        self._forget_news(*_TO_MODEM)

    def _mourn(self) -> None:
        """The host hears that the modem is gone."""
        self.is_mourned = True
        self._forget_news(*(name for name in NEWS if name not in _TO_MODEM))
        if self.host is not None:
            self.host.modem_vanished(self.now)

    def _succeed(self) -> None:
        """Another modem takes the memory as it is. Until `join` it is not told what the host does."""
        lines = self.lines
        self.is_gone = self.is_mourned = False
        self.modem = self._make_modem()
        self.modem.adopt(
            power_level=lines[Line.MODEM_POWER].level,
            ack_level=lines[Line.MODEM_ACK].level,
            vote_edges=lines[Line.HOST_VOTE].edge_count,
            host_ack_edges=lines[Line.HOST_ACK].edge_count,
        )
        self.modem.boot(self.now)

    def _join(self) -> None:
        """The host hears of it, and looks at everything."""
        self.is_joined = True
        for choice in NEWS:
            subject = _SUBJECTS[choice]
            if choice in _TO_MODEM:
                continue
            if isinstance(subject, Line):
                self._to_host.line_changed(subject, self.lines[subject].edge_count, self.now)
            else:
                self._to_host.doorbell_rang(subject, self.now)

    # What the rules need to know

    def packets_in_ring(self) -> int:
        """Packets of the driver that the modem has not taken: handed over or waiting."""
        assert self.host is not None
        ring, pipe = self.host._transmit_ring, self.pipes[Pipe.TX]
        taken = pipe.completed() if pipe.is_open else 0
        entries = range(taken, ring._submitted + ring.pending)
        return sum(ring._commands[(ring._oldest + entry) % ring._size] is None for entry in entries)

    def drops_of_modems(self, direction: str) -> Counter[DropReason]:
        modem = self.modem
        strays = (modem._uplink if direction == "uplink" else modem._downlink).strays
        bearers = [bearer for bearer in modem.packet_data_network.bearers if bearer is not None]
        drops = drops_of([strays, *(getattr(bearer, direction) for bearer in bearers)])
        drops.update(self.gone_drops[direction])
        return drops
