"""The rules of an explored world: what is true in every state, and what a link at rest is like.

The audit of a seeded run waits until all is empty; here every state is looked at, so each sum has a term for
what is still under way. Each is an invariant: it holds before and after every event, so what an event adds to
its two sides must be the same. That is why counters need not be part of a state: two states that differ in
nothing but counters go on alike, and keep the same balance.
"""

from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.modem.power import PowerState
from bamdmux.sim.checkers import (
    DISTURBANCE_DROPS,
    START_DROPS,
    WatchedOwner,
    check_equal,
    check_reasons,
    drops_of,
)
from bamdmux.sim.explore.world import ExploredWorld
from bamdmux.sim.packets import Direction
from bamdmux.sim.violation import Violation

_EXPLAINED: Final = START_DROPS | DISTURBANCE_DROPS


def check_state(world: ExploredWorld) -> None:
    """What holds at every moment, beside what pipes, ledger and `World` watch by themselves.

    Raises:
        Violation: it does not.
    """
    _check_downlink(world)
    _check_uplink(world)


def _check_downlink(world: ExploredWorld) -> None:
    ledger, receive = world.ledger, world.pipes.get(Pipe.RX)
    bearers = [bearer for bearer in world.modem.packet_data_network.bearers if bearer is not None]
    passed = world.gone_passed_down + sum(bearer.downlink.packet_count for bearer in bearers)
    dropped = world.drops_of_modems("downlink")
    check_reasons(dropped, _EXPLAINED)
    waiting = len(world.network.outgoing)
    check_equal(
        "downlink packets read by the modem", passed + dropped.total() + waiting, ledger.sent(Direction.DOWN)
    )
    received = world.books.received(world.host)
    dropped = drops_of(received)
    check_reasons(dropped, _EXPLAINED)
    delivered = sum(counters.packet_count for counters in received)
    reaped, thrown_away = world.reaped, world.lost_at_reset
    came = 0
    if receive is not None:
        reaped += receive.reaped
        thrown_away += receive.lost_at_reset
        came = _last_opened(receive).completed()
    if thrown_away and not world.host_death_count:
        raise Violation(f"{thrown_away} frames that had arrived were thrown away")
    frames_sent = world.gone_frames_sent + world.modem._downlink.frame_count
    check_equal("frames sent to the host", frames_sent, reaped + thrown_away + came)
    counted = delivered + dropped.total() + world.commands_received
    check_equal("frames received by the host", counted, reaped)
    check_equal("downlink packets delivered", delivered, ledger.arrived(Direction.DOWN))


def _last_opened(receive: WatchedOwner) -> WatchedOwner:
    """The pipe end that the modem knows: a new driver has none before the modem's power is up."""
    while receive._predecessor is not None:
        receive = receive._predecessor
    return receive


def _check_uplink(world: ExploredWorld) -> None:
    ledger = world.ledger
    transmitted = world.books.transmitted(world.host)
    host_dropped, modem_dropped = drops_of(transmitted), world.drops_of_modems("uplink")
    check_reasons(host_dropped, _EXPLAINED)
    check_reasons(modem_dropped, _EXPLAINED)
    interfaces = world.interfaces.values()
    read = world.taken + sum(interface.taken for interface in interfaces)
    waiting = sum(len(interface.outgoing) for interface in interfaces)
    sent = ledger.sent(Direction.UP)
    check_equal("uplink packets read by drivers", read + world.dropped_by_stack + waiting, sent)
    passed = sum(counters.packet_count for counters in transmitted)
    check_equal("uplink packets counted by drivers", passed + host_dropped.total(), read)
    arrived = ledger.arrived(Direction.UP)
    bearers = [bearer for bearer in world.modem.packet_data_network.bearers if bearer is not None]
    passed_on = world.gone_arrived + sum(bearer.uplink.packet_count for bearer in bearers)
    check_equal("uplink packets passed", passed_on, arrived)
    in_ring = world.packets_in_ring() if world.host is not None else 0
    missing = passed - arrived - modem_dropped.total() - in_ring
    if not 0 <= missing <= world.may_be_missing:
        raise Violation(
            f"{missing} uplink packets are missing; drivers took {world.may_be_missing} with them"
        )


def check_rest(world: ExploredWorld) -> None:
    """No news, no deadline, everybody there: nothing is under way, and both sides sleep.

    Raises:
        Violation: something is stuck.
    """
    host = world.host
    assert host is not None
    if host.is_leaving:
        raise Violation("the driver was asked to leave, and never does")
    vote = host._vote.state.name.lower()
    if vote != "suspended":
        raise Violation(f"the host does not suspend, it is {vote}")
    if world.lines[Line.HOST_VOTE].level:
        raise Violation("the host is suspended, and its vote is still set")
    if world.modem.power_state is not PowerState.DOWN:
        raise Violation(f"the modem does not sleep, it is {world.modem.power_state.value}")
    check_equal("frames left in TX", world.pipes[Pipe.TX].in_flight, 0)
    check_equal("frames that wait for power", host._transmit_ring.pending, 0)
    check_equal("packets left in the network", len(world.network.outgoing), 0)


def check_queues(world: ExploredWorld) -> None:
    """With all interfaces up: none has stopped for ever, and none has packets left.

    Raises:
        Violation: one has.
    """
    host = world.host
    assert host is not None
    for channel, interface in sorted(world.interfaces.items()):
        check_equal(f"packets left at wwan{channel}", len(interface.outgoing), 0)
        if not host.wants_packets(channel):
            raise Violation(f"the queue of wwan{channel} has stopped for ever")
