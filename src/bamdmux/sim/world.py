"""The world: a HostDriver and a Modem over one memory, one clock, and a heap of what will happen.

    heap or deadline -> event -> settle: actions of both machines, until they are quiet -> checkers

An event is a function of the clock and a name. Two at the same time happen in the order in which they were
planned. A doorbell or an edge travels: it is an event some microseconds later, and while one is under way the
next of its kind joins it, as an eventfd or an interrupt would. What faults do to them is done before.

Interfaces, drivers and the two ends of the host's pipes come and go with the driver; memory, lines, the modem
and its network stay.
"""

import heapq
from collections.abc import Callable
from functools import partial
from typing import Final

from bamdmux.actions import (
    Action,
    AttachNetdev,
    DetachNetdev,
    Line,
    Log,
    LogEvent,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    RingDoorbell,
    SetLine,
    UnregisterNetdev,
)
from bamdmux.bam.lines import LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.host.driver import HostDriver
from bamdmux.middleware.catalog import find_faults
from bamdmux.middleware.faults import FarSide, Licence, Middleware, wrapped
from bamdmux.modem.modem import Modem
from bamdmux.modem.profiles import Profile, load_profile, with_channels
from bamdmux.netdevice import NetDevice
from bamdmux.sim.checkers import Books, PowerWatch, WatchedOwner, WatchedPeer
from bamdmux.sim.conditions import Conditions, generator
from bamdmux.sim.packets import Direction, Ledger, SimulatedInterface, SimulatedNetwork
from bamdmux.sim.violation import Violation
from bamdmux.timing import MILLISECOND, SECOND, Duration, Instant, earliest

# Machines that answer each other more often than this without time passing go round in circles.
SETTLE_ROUNDS: Final = 1000
DEADLINES_AT_ONCE: Final = 100
# A driver that lacks interfaces by then: whoever looks after the link restarts the modem; that takes a while.
ANNOUNCEMENT_LIMIT: Final[Duration] = 3 * SECOND
MODEM_RESTART: Final[Duration] = 200 * MILLISECOND

Event = Callable[[Instant], None]
Trace = Callable[[str], None]


class Wire:
    """News on its way to one side; at the end of all wraps.

    Args:
        arrive: what to do when it is there.
    """

    def __init__(
        self, world: "World", name: str, arrive: Callable[[Line | Pipe, int, Instant], None]
    ) -> None:
        self._world = world
        self._arrive = arrive
        self._under_way: dict[Line | Pipe, int] = {}  # with the newest count, of a line
        self._names = {what: f"{what.value} arrives at the {name}" for what in (*Line, *Pipe)}
        self._events = {what: partial(self._deliver, what) for what in (*Line, *Pipe)}

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        self._send(line, edge_count)

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._send(pipe, 0)

    def _send(self, what: Line | Pipe, edge_count: int) -> None:
        is_new = what not in self._under_way
        self._under_way[what] = edge_count
        if is_new:
            self._world.plan(self._world.latency(), self._events[what], self._names[what])

    def forget(self, what: Line | Pipe) -> None:
        """It does not arrive."""
        self._under_way.pop(what, None)

    def _deliver(self, what: Line | Pipe, now: Instant) -> None:
        self._arrive(what, self._under_way.pop(what), now)


class World:
    """Both sides of a link and all that is around them.

    Args:
        trace: takes each event and each action as a line, if somebody wants to see them.
        host_class, modem_class: the machines; tests put in ones that lack something.
    """

    def __init__(
        self,
        conditions: Conditions,
        trace: Trace | None = None,
        host_class: type[HostDriver] = HostDriver,
        modem_class: type[Modem] = Modem,
    ) -> None:
        self.conditions = conditions
        self.now: Instant = 0
        self.event_count = 0
        self._trace = trace
        self._host_class = host_class
        self._heap: list[tuple[Instant, int, Event, str]] = []
        self._sequence = 0
        self._latency_random = generator(conditions.seed, "latency").random
        self._latency_least, most = conditions.latency_ns
        self._latency_spread = most - self._latency_least
        self._deadline: Instant | None = None
        self._deadlines_at_once = 0

        faults = find_faults(conditions.faults)
        self.explained = frozenset(reason for fault in faults for reason in fault.explains)
        self.licences = frozenset(licence for fault in faults for licence in fault.licences)
        self.middleware = Middleware(
            later=lambda delay, event: self.plan(delay, event, "a fault goes on"),
            restart_modem=self.restart_modem,
            restart_host=self.restart_host,
        )
        for fault in faults:
            rate = conditions.rates.get(fault.name)
            self.middleware.install(fault, generator(conditions.seed, f"fault {fault.name}"), rate)

        self._layout = self._make_layout()
        self._memory = self._layout.allocate()
        self.lines = {line: LineWriter(self._memory, self._layout, line) for line in Line}
        to_modem: FarSide = Wire(self, "modem", self._told_modem)
        to_host: FarSide = Wire(self, "host", self._told_host)
        self._to_modem = wrapped(to_modem, self.middleware.to_modem)
        self._to_host = wrapped(to_host, self.middleware.to_host)

        self.ledger = Ledger(
            may_reorder=Licence.REORDERING in self.licences,
            may_duplicate=Licence.DUPLICATES in self.licences,
            may_stray=Licence.STRAYS in self.licences,
        )
        self.network = SimulatedNetwork(self.ledger)
        self._modem_class = modem_class
        self.modem = self._make_modem()
        self.host: HostDriver | None = None
        self.pipes: dict[Pipe, WatchedOwner] = {}  # the newest driver's
        self.interfaces: dict[int, SimulatedInterface] = {}
        self.books = Books()
        self.power = PowerWatch()
        self.host_death_count = 0
        self.refused = 0  # packets that found no space at their interface or in the network, or no interface
        self.dropped_by_stack = 0  # packets whose interface vanished before the driver had read them
        self.commands_received = 0  # by hosts
        self.reaped = self.lost_at_reset = 0  # of RX, by drivers that are gone
        self.taken = 0  # packets read from interfaces that are gone
        self._has_packets: set[int] = set()  # channels whose interface has some

    def _make_layout(self) -> LinkLayout:
        return LinkLayout(slot_count=self.conditions.slot_count)

    def _make_profile(self) -> Profile:
        return with_channels(load_profile(), self.conditions.channel_count)

    def _make_modem(self) -> Modem:
        """One that is off, at the memory as it is."""
        network: NetDevice = self.network
        peers: list[PipePeer] = [
            WatchedPeer(self._memory, layout) for layout in (self._layout.tx, self._layout.rx)
        ]
        return self._modem_class(
            self._make_profile(),
            wrapped(peers[0], self.middleware.modem_tx),
            wrapped(peers[1], self.middleware.modem_rx),
            wrapped(network, self.middleware.network),
        )

    # Time

    def plan(self, delay: Duration, event: Event, name: str) -> None:
        """Let something happen later."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now + delay, self._sequence, event, name))

    def latency(self) -> Duration:
        return self._latency_least + int(self._latency_random() * self._latency_spread)

    def run_until(self, end: Instant) -> None:
        """Let everything happen that happens before that time.

        Raises:
            Violation: a rule was broken.
        """
        while True:
            deadline = self._deadline
            planned = self._heap[0][0] if self._heap else end
            if deadline is not None and deadline <= planned:
                if deadline >= end:
                    break
                self._time_out(max(deadline, self.now))
            else:
                if planned >= end:
                    break
                self.now, _, event, name = heapq.heappop(self._heap)
                self._deadlines_at_once = 0
                if self._trace is not None:
                    self._note(name)
                event(self.now)
            self.event_count += 1
            self._settle()
            self._check()
        self.now = end

    def _time_out(self, now: Instant) -> None:
        self._deadlines_at_once = self._deadlines_at_once + 1 if now == self.now else 0
        if self._deadlines_at_once > DEADLINES_AT_ONCE:
            raise Violation("a machine asks to be called for ever")
        self.now = now
        if self._trace is not None:
            self._note("a deadline passes")
        if self.host is not None:
            self.host.handle_timeout(now)
        self.modem.handle_timeout(now)

    def _settle(self) -> None:
        """Do what the machines ask for, and let packets move, until there is nothing more to do."""
        now, modem, network = self.now, self.modem, self.network
        for _ in range(SETTLE_ROUNDS):
            moved = False
            if self.host is not None:
                for action in self.host.take_actions():
                    moved = True
                    self._carry_out(action, is_host=True)
            for action in modem.take_actions():
                moved = True
                self._carry_out(action, is_host=False)
            if moved:
                continue
            if self._has_packets and self.host is not None and self._transmit(self.host, now):
                moved = True
            if network.outgoing and modem.wants_network_packets and modem.receive_from_network(now):
                moved = True
            if not moved:
                break
        else:
            raise Violation("the machines never come to rest")
        host_deadline = self.host.deadline if self.host is not None else None
        modem_deadline = modem.deadline
        if host_deadline is None or modem_deadline is None:
            self._deadline = earliest(host_deadline, modem_deadline)
        else:
            self._deadline = min(host_deadline, modem_deadline)

    def _transmit(self, host: HostDriver, now: Instant) -> bool:
        wanted = [channel for channel in sorted(self._has_packets) if host.wants_packets(channel)]
        if not wanted:
            return False
        read = host.transmit(wanted, now)
        self._has_packets = {channel for channel, each in self.interfaces.items() if each.outgoing}
        return read > 0

    def _check(self) -> None:
        """The rules of every moment that nobody watches already."""
        for pipe, owner in self.pipes.items():
            owner.check(is_receiving=pipe is Pipe.RX)

    # What machines ask for

    def _carry_out(self, action: Action, *, is_host: bool) -> None:
        if self._trace is not None:
            self._note(f"  {'host' if is_host else 'modem'}: {action}")
        match action:
            case RingDoorbell(pipe):
                (self._to_modem if is_host else self._to_host).doorbell_rang(pipe, self.now)
            case SetLine(line, level):
                self._set_line(line, level)
            case LookAtLine(line):
                # By the way of all news: a count that comes from the word itself would overtake older ones.
                self._to_host.line_changed(line, self.lines[line].edge_count, self.now)
            case Log(event=LogEvent.CHANNEL_OPENED | LogEvent.CHANNEL_CLOSED) if is_host:
                self.commands_received += 1
            case RegisterNetdev(channel):
                self._register(channel)
            case UnregisterNetdev(channel):
                self._unregister(channel)
            case AttachNetdev() | DetachNetdev() | Log():
                pass
            case Removed():
                self._forget_host()
            case _:
                pass  # queues are asked for by `wants_packets`

    def _set_line(self, line: Line, level: bool) -> None:
        writer = self.lines[line]
        if not writer.set(level):
            raise Violation(f"{line.value} was set to {int(level)}, which it was")
        if line is Line.HOST_VOTE:
            self.power.voted(level)
        is_for_modem = line in (Line.HOST_VOTE, Line.HOST_ACK)
        (self._to_modem if is_for_modem else self._to_host).line_changed(line, writer.edge_count, self.now)

    def _register(self, channel: int) -> None:
        if channel in self.interfaces:
            raise Violation(f"wwan{channel} was registered twice")
        assert self.host is not None
        interface = SimulatedInterface(channel, self.ledger)
        self.interfaces[channel] = interface
        device: NetDevice = interface
        self.host.netdev_registered(channel, wrapped(device, self.middleware.interfaces), self.now)
        # Whoever manages the network sets it up, a moment later.
        self.plan(self.latency(), self.set_up(channel), f"wwan{channel} goes up")

    def _unregister(self, channel: int) -> None:
        interface = self.interfaces.pop(channel)
        self.dropped_by_stack += len(interface.outgoing)
        self.taken += interface.taken
        self._has_packets.discard(channel)

    # News that arrives

    def _told_modem(self, what: Line | Pipe, edge_count: int, now: Instant) -> None:
        if isinstance(what, Pipe):
            self.modem.doorbell_rang(what, now)
        else:
            self.modem.line_changed(what, edge_count, now)

    def _told_host(self, what: Line | Pipe, edge_count: int, now: Instant) -> None:
        if self.host is None:
            return
        if isinstance(what, Pipe):
            self.host.doorbell_rang(what, now)
        else:
            self.power.told(what, edge_count)
            self.host.line_changed(what, edge_count, now)

    # The host comes and goes

    def probe(self, now: Instant) -> None:
        """Bind a driver to the memory as it is, unless there is one."""
        if self.host is not None:
            return
        guard = None if Licence.NO_POWER_CONTROL in self.licences else self.power.check
        tx = WatchedOwner(self._memory, self._layout.tx, guard, self.pipes.get(Pipe.TX))
        rx = WatchedOwner(self._memory, self._layout.rx, None, self.pipes.get(Pipe.RX))
        if self.pipes:
            self.reaped += self.pipes[Pipe.RX].reaped
            self.lost_at_reset += self.pipes[Pipe.RX].lost_at_reset
        self.pipes = {Pipe.TX: tx, Pipe.RX: rx}
        power, ack = self.lines[Line.MODEM_POWER].edge_count, self.lines[Line.MODEM_ACK].edge_count
        self.power.probed(power, ack)
        owners: list[PipeOwner] = [tx, rx]
        self.host = self._host_class(
            wrapped(owners[0], self.middleware.host_tx),
            wrapped(owners[1], self.middleware.host_rx),
            vote_level=self.lines[Line.HOST_VOTE].level,
            ack_level=self.lines[Line.HOST_ACK].level,
        )
        self.host.probe(power, ack, now)
        self.plan(ANNOUNCEMENT_LIMIT, self._check_announcement, "somebody looks for interfaces")

    def _check_announcement(self, now: Instant) -> None:
        """Firmware opens its channels once, when it starts: a driver bound later would stay without any."""
        is_missing_some = len(self.interfaces) < self.conditions.channel_count
        if self.host is not None and is_missing_some and self.modem.is_booted:
            self.restart_modem(MODEM_RESTART)

    def remove_host(self, now: Instant) -> None:
        """Ask the driver to leave in order."""
        if self.host is not None and not self.host.is_leaving:
            self.host_death_count += 1
            self.host.remove(now)

    def restart_host(self, away_for: Duration) -> None:
        """Kill the driver, and bind another after a while."""
        if self.host is not None:
            self.host_death_count += 1
            for channel in list(self.interfaces):
                self._unregister(channel)
            self._forget_host()
        self.plan(away_for, self.probe, "the host is back")

    def _forget_host(self) -> None:
        assert self.host is not None
        if self.interfaces:
            raise Violation("the driver left without its interfaces")
        self.books.close_host(self.host)
        self.host = None

    # The modem dies and boots

    def boot(self, now: Instant) -> None:
        if not self.modem.is_booted:
            self.modem.boot(now)

    def restart_modem(self, down_for: Duration) -> None:
        """Let the modem crash, and boot it after a while."""
        if self.modem.is_booted:
            self.modem.crash(self.now)
        self.plan(down_for, self.boot, "the modem boots")

    # The network stack

    def set_up(self, channel: int) -> Event:
        """The event of somebody setting an interface up."""
        return lambda _: self.set_interface(channel, True)

    def set_interface(self, channel: int, is_up: bool) -> None:
        interface = self.interfaces.get(channel)
        if interface is None or self.host is None:
            return
        if is_up:
            interface.is_up = True
        self.host.interface_changed(channel, is_up, self.now)
        if not is_up:
            interface.is_up = False
            self._has_packets.discard(channel)

    def send(self, direction: Direction, channel: int, filling_bytes: int, *, is_ipv6: bool) -> bool:
        """A packet is queued at the interface or in the network; False if there is none, or no space."""
        if direction is Direction.DOWN:
            outgoing, capacity = self.network.outgoing, self.network.capacity
        else:
            interface = self.interfaces.get(channel)
            if interface is None or not interface.is_up:
                self.refused += 1
                return False
            outgoing, capacity = interface.outgoing, interface.capacity
            self._has_packets.add(channel)
        if len(outgoing) >= capacity:
            self.refused += 1
            return False
        outgoing.append(self.ledger.make(direction, channel, filling_bytes, is_ipv6=is_ipv6))
        return True

    # Telling

    def note(self, text: str) -> None:
        """A line of the trace, if there is one."""
        if self._trace is not None:
            self._note(text)

    def _note(self, text: str) -> None:
        assert self._trace is not None
        self._trace(f"{self.now // SECOND}.{self.now % SECOND:09d} #{self.event_count} {text}")
