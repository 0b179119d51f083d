"""One run from a seed: the weather, then a while of fine weather, and what must be true in the end.

    weather and workload | recovery: time-outs pass | revival: one packet each way on each channel | audit

A lost doorbell leaves a frame where it is until the next one: the packets of the revival are that next one.
Within a bound after them everything is where it belongs, both sides sleep, and each loss is explained.
"""

import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.counters import DropReason
from bamdmux.host.driver import HostDriver
from bamdmux.middleware.faults import Licence
from bamdmux.modem.modem import Modem
from bamdmux.modem.power import PowerState
from bamdmux.sim.checkers import (
    DISTURBANCE_DROPS,
    START_DROPS,
    check_equal,
    check_reasons,
    drops_of,
    modem_drops,
)
from bamdmux.sim.conditions import Conditions
from bamdmux.sim.packets import Direction
from bamdmux.sim.violation import Violation
from bamdmux.sim.workload import Workload
from bamdmux.sim.world import Event, Trace, World
from bamdmux.timing import SECOND, Duration, Instant

RECOVERY: Final[Duration] = 15 * SECOND  # the longest chain of time-outs, 2 s each, several times over
REVIVAL: Final[Duration] = 10 * SECOND  # from the last packets until all is asleep


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that was broken, and how to see that again."""

    conditions: Conditions
    now: Instant
    event_number: int
    what: str

    @property
    def replay(self) -> str:
        """The command that shows it again."""
        return replay_line(self.conditions)

    def __str__(self) -> str:
        time = f"{self.now // SECOND}.{self.now % SECOND:09d}"
        return f"seed {self.conditions.seed} at {time} s, event {self.event_number}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    conditions: Conditions
    simulated_ns: Duration
    event_count: int
    sent: int
    refused: int  # by interfaces and the network, before anybody had them
    arrived: int
    wakeups: int
    strikes: dict[str, int] = field(default_factory=dict)  # of each fault
    drops: dict[str, int] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def goodput(self) -> float:
        """Of the packets that somebody wanted to send, how many arrived."""
        return self.arrived / (self.sent + self.refused) if self.sent else 1.0


def replay_line(conditions: Conditions) -> str:
    hours = conditions.duration_ns / (3600 * SECOND)
    faults = ",".join(conditions.faults) or "none"
    return f"bamdmux sim --seed {conditions.seed} --hours {hours:.12g} --faults {faults} --trace"


def simulate(
    conditions: Conditions,
    trace: Trace | None = None,
    host_class: type[HostDriver] = HostDriver,
    modem_class: type[Modem] = Modem,
) -> Report:
    """Run a world to its end, or to the first rule that is broken."""
    world = World(conditions, trace, host_class, modem_class)
    failure = None
    try:
        Workload(world, conditions).start()
        world.run_until(conditions.duration_ns)
        _recover(world)
        _revive(world)
        _audit(world)
    except Exception as error:  # whatever comes out of a machine is a failure of it
        what = str(error) if isinstance(error, Violation) else where(error)
        failure = Failure(conditions, world.now, world.event_count, what)
        world.note(f"VIOLATION {what}")
    return _report(world, failure)


def where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = frame.filename.rpartition("bamdmux/")[2]
    return f"{type(error).__name__} at {place}:{frame.lineno} in {frame.name}: {error}"


def _recover(world: World) -> None:
    """Fine weather: everybody is there, and all interfaces are up."""
    world.note("the weather ends")
    world.middleware.stop()
    world.run_until(world.now + RECOVERY // 2)
    for channel in list(world.interfaces):
        world.plan(0, world.set_up(channel), f"wwan{channel} goes up")
    world.run_until(world.now + RECOVERY // 2)
    if world.host is None or world.host.is_leaving or not world.modem.is_booted:
        raise Violation("somebody has not come back")


def _revive(world: World) -> None:
    """One packet each way on each channel: they arrive, and so does what waited for them."""
    channels = range(world.conditions.channel_count)

    def send(direction: Direction, channel: int) -> Event:
        def act(_: Instant) -> None:
            if not world.send(direction, channel, 100, is_ipv6=False):
                raise Violation(f"no packet can be sent {direction.name.lower()} channel {channel}")

        return act

    for round_number in range(2):  # the first may be what shows a machine that it was left behind
        for channel in channels:
            for direction in Direction:
                world.plan(
                    channel * SECOND // 100,
                    send(direction, channel),
                    f"a last packet {direction.name.lower()} channel {channel}",
                )
        world.run_until(world.now + (REVIVAL if round_number else 3 * SECOND))
    for direction in Direction:
        for channel in channels:
            if not world.ledger.last_arrived(direction, channel):
                raise Violation(f"the last packet {direction.name.lower()} channel {channel} did not arrive")


def _audit(world: World) -> None:
    """All is empty and asleep, and what was lost is explained."""
    host, modem, ledger, tally = world.host, world.modem, world.ledger, world.middleware.tally
    assert host is not None
    power = host.status(world.now)["power"]
    assert isinstance(power, dict)
    for channel, interface in world.interfaces.items():
        check_equal(f"packets left at wwan{channel}", len(interface.outgoing), 0)
        if not host.wants_packets(channel):
            raise Violation(f"the queue of wwan{channel} has stopped for ever")
    check_equal("packets left in the network", len(world.network.outgoing), 0)
    check_equal("frames left in TX", world.pipes[Pipe.TX].in_flight, 0)
    check_equal("frames kept back by a fault", tally.held, 0)
    if Licence.NO_POWER_CONTROL not in world.licences:
        if power["vote"] != "suspended" or world.lines[Line.HOST_VOTE].level:
            raise Violation(f"the host does not suspend, it is {power['vote']}")
        if modem.power_state is not PowerState.DOWN:
            raise Violation(f"the modem does not sleep, it is {modem.power_state.value}")
    _audit_downlink(world, host)
    _audit_uplink(world, host)
    check_equal("duplicates beyond those of faults", int(ledger.duplicates > tally.injected), 0)


def _explained(world: World) -> frozenset[DropReason]:
    disturbances = frozenset() if world.conditions.disturbances is None else DISTURBANCE_DROPS
    return world.explained | START_DROPS | disturbances


def _audit_downlink(world: World, host: HostDriver) -> None:
    """Three hops: network to modem, modem to host, host to interface. Each is exact."""
    ledger, tally = world.ledger, world.middleware.tally
    explained = _explained(world)
    status = world.modem.status(world.now)
    bearers = [bearer for bearer in world.modem.packet_data_network.bearers if bearer is not None]
    passed = sum(bearer.downlink.packet_count for bearer in bearers)
    dropped = modem_drops(world.modem, "downlink", world.now)
    check_reasons(dropped, explained)
    check_equal("downlink packets read by the modem", passed + dropped.total(), ledger.sent(Direction.DOWN))

    receive = world.pipes[Pipe.RX]
    came = world.reaped + receive.reaped + world.lost_at_reset + receive.lost_at_reset + receive.completed()
    thrown_away = world.lost_at_reset + receive.lost_at_reset
    if thrown_away and not world.host_death_count:
        raise Violation(f"{thrown_away} frames that had arrived were thrown away")
    frames_sent = status["frames_sent"]
    assert isinstance(frames_sent, int)
    check_equal("frames sent to the host", frames_sent + tally.injected - tally.vanished, came)

    received = world.books.received(host)
    dropped = drops_of(received)
    check_reasons(dropped, explained)
    delivered = sum(counters.packet_count for counters in received)
    counted = delivered + dropped.total() + world.commands_received
    check_equal("frames received by the host", counted, world.reaped + receive.reaped)
    arrived = ledger.arrived(Direction.DOWN) + ledger.duplicates + ledger.strays
    check_equal("downlink packets delivered", delivered, arrived)


def _audit_uplink(world: World, host: HostDriver) -> None:
    """Exact, unless a driver died with packets in its ring: those nobody counts any more."""
    ledger = world.ledger
    explained = _explained(world)
    transmitted = world.books.transmitted(host)
    host_dropped, modem_dropped = drops_of(transmitted), modem_drops(world.modem, "uplink", world.now)
    check_reasons(host_dropped, explained)
    check_reasons(modem_dropped, explained)
    read = world.taken + sum(interface.taken for interface in world.interfaces.values())
    check_equal("uplink packets read by drivers", read + world.dropped_by_stack, ledger.sent(Direction.UP))
    passed = sum(counters.packet_count for counters in transmitted)
    check_equal("uplink packets counted by drivers", passed + host_dropped.total(), read)
    arrived = ledger.arrived(Direction.UP)
    bearers = [bearer for bearer in world.modem.packet_data_network.bearers if bearer is not None]
    check_equal("uplink packets passed", sum(bearer.uplink.packet_count for bearer in bearers), arrived)
    vanished = passed - arrived - modem_dropped.total()
    if not 0 <= vanished <= world.host_death_count * world.conditions.slot_count:
        raise Violation(f"{vanished} uplink packets vanished, and nobody has counted them")


def _report(world: World, failure: Failure | None) -> Report:
    drops: Counter[DropReason] = Counter()
    drops.update(drops_of(world.books.transmitted(world.host)))
    drops.update(drops_of(world.books.received(world.host)))
    drops.update(modem_drops(world.modem, "uplink", world.now))
    drops.update(modem_drops(world.modem, "downlink", world.now))
    status = world.modem.status(world.now)["power"]
    assert isinstance(status, dict)
    return Report(
        conditions=world.conditions,
        simulated_ns=world.now,
        event_count=world.event_count,
        sent=sum(world.ledger.sent(direction) for direction in Direction),
        refused=world.refused,
        arrived=sum(world.ledger.arrived(direction) for direction in Direction),
        wakeups=status["rises"],
        strikes={name: strikes.count for name, strikes in world.middleware.strikes.items()},
        drops={reason.name.lower(): count for reason, count in sorted(drops.items()) if count},
        failure=failure,
    )
