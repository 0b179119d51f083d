"""The rules that hold at every moment, and those that hold in the end.

At every moment: no buffer is queued twice or gets lost; nothing is submitted without vote, ack and power;
no drop has a reason that neither workload nor weather explains. (Order, doubles, alterations and delivery to
an interface that is down are found by the ledger, in packets.py, as they happen.)

In the end, when faults have stopped and everything had time to settle: all rings and queues are empty, both
sides sleep, no queue is stopped, and each packet that was lost is one that somebody has counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from bamdmux.actions import Line
from bamdmux.bam.lines import edges_between, level_of
from bamdmux.bam.memory import DESCRIPTOR_BYTES, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR, PipeOwner, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.driver import HostDriver
from bamdmux.modem.modem import Modem
from bamdmux.sim.violation import Violation
from bamdmux.timing import Instant

# A channel may be addressed before its OPEN has arrived.
START_DROPS: Final = frozenset({DropReason.INACTIVE_CHANNEL})
# What happens without any fault: somebody pulls an interface down, the modem restarts, the driver is removed.
DISTURBANCE_DROPS: Final = frozenset(
    {DropReason.INTERFACE_DOWN, DropReason.LOST_IN_FLIGHT, DropReason.RESUME_FAILED}
)


class PowerWatch:
    """What the host has been told of the lines, and what it told: whether it may transmit."""

    def __init__(self) -> None:
        self._is_voted = False
        self._is_acked = False
        self._is_powered = False
        self._ack_edges = 0

    def probed(self, power_edges: int, ack_edges: int) -> None:
        self._is_voted = self._is_acked = False
        self._is_powered = level_of(power_edges)
        self._ack_edges = ack_edges

    def voted(self, level: bool) -> None:
        self._is_voted, self._is_acked = level, False

    def told(self, line: Line, edge_count: int) -> None:
        if line is Line.MODEM_POWER:
            self._is_powered = level_of(edge_count)
        elif edges_between(self._ack_edges, edge_count):
            self._ack_edges = edge_count
            self._is_acked = True

    def check(self) -> None:
        if not (self._is_voted and self._is_acked and self._is_powered):
            vote, ack, power = int(self._is_voted), int(self._is_acked), int(self._is_powered)
            raise Violation(f"submitted to TX with vote {vote}, ack {ack}, modem power {power}")


class WatchedOwner(PipeOwner):
    """The host's end of a pipe, inside of all faults. It checks what is queued and counts what comes back.

    Args:
        may_submit: raises if nothing may be queued now.
        predecessor: the end of an earlier driver on the same memory.
    """

    def __init__(
        self,
        memory: memoryview,
        layout: PipeLayout,
        may_submit: Callable[[], None] | None,
        predecessor: "WatchedOwner | None",
    ) -> None:
        super().__init__(memory, layout)
        self._may_submit = may_submit
        self._predecessor = predecessor
        self._is_queued = bytearray(layout.slot_count)
        self.reaped = 0  # entries that the host looked at
        self.lost_at_reset = 0  # entries that the modem was done with, and nobody looked at

    def open(self) -> None:
        last = self._predecessor
        while last is not None and last._predecessor is not None:  # never opened: the modem knows it not
            last = last._predecessor
        if last is not None and last.is_open:
            self.lost_at_reset += last.completed()
        self._predecessor = None
        super().open()

    def submit(self, slot_index: int, size: int) -> None:
        if self._may_submit is not None:
            self._may_submit()
        if not self.is_open:
            raise Violation("submitted to a pipe that is closed")
        if self._is_queued[slot_index]:
            raise Violation(f"slot {slot_index} was queued twice")
        self._is_queued[slot_index] = 1
        super().submit(slot_index, size)

    def retire(self, count: int) -> None:
        for offset in range(count):
            self._is_queued[self._slots_of[(self._head + offset) % self.layout.entry_count]] = 0
        super().retire(count)

    def reap(self) -> tuple[int, int]:
        result = super().reap()
        self._is_queued[result[0]] = 0
        self.reaped += 1
        return result

    def terminate(self) -> int:
        self.lost_at_reset += self.completed()
        self._is_queued = bytearray(self.layout.slot_count)
        return super().terminate()

    def check(self, *, is_receiving: bool) -> None:
        """Descriptors are conserved."""
        if is_receiving and self.is_open and self.in_flight != self.layout.slot_count:
            raise Violation(f"{self.in_flight} of {self.layout.slot_count} RX buffers are queued")
        if self.bad_position_count:
            raise Violation("the modem's position cannot be")


class WatchedPeer(PipePeer):
    """The modem's end of a pipe, inside of all faults: no memory is touched but that of the buffers."""

    def take(self) -> memoryview:
        buffer = super().take()
        if buffer:
            offset = self._fifo_offset + self._position * DESCRIPTOR_BYTES
            address, _, _ = DESCRIPTOR.unpack_from(self._memory, offset)
            if address < self._buffers_offset or address + len(buffer) > self._buffers_end:
                raise Violation(
                    f"the modem was given {len(buffer)} bytes at {address}, outside of all buffers"
                )
        return buffer


def drops_of(counters: Iterable[Counters]) -> Counter[DropReason]:
    total: Counter[DropReason] = Counter()
    for each in counters:
        total.update(each.drops)
    return total


class Books:
    """The counters of all machines that there were."""

    def __init__(self) -> None:
        self._dead_transmitted = Counters()
        self._dead_received = Counters()

    def close_host(self, host: HostDriver) -> None:
        """A driver is gone; what it counted stays."""
        for total, parts in (
            (self._dead_transmitted, [channel.transmitted for channel in host.channels]),
            (self._dead_received, [channel.received for channel in host.channels] + [host.unassigned]),
        ):
            for part in parts:
                total.packet_count += part.packet_count
                total.drops.update(part.drops)

    def transmitted(self, host: HostDriver | None) -> list[Counters]:
        living = [channel.transmitted for channel in host.channels] if host is not None else []
        return [self._dead_transmitted, *living]

    def received(self, host: HostDriver | None) -> list[Counters]:
        living = [channel.received for channel in host.channels] if host is not None else []
        return [self._dead_received, *living, *([host.unassigned] if host is not None else [])]


def modem_drops(modem: Modem, direction: str, now: Instant) -> Counter[DropReason]:
    """What the modem has dropped: "uplink" or "downlink"."""
    bearers = [bearer for bearer in modem.packet_data_network.bearers if bearer is not None]
    drops = drops_of([getattr(bearer, direction) for bearer in bearers])
    strays = modem.status(now)[f"{direction}_strays"]
    assert isinstance(strays, dict)
    drops.update({DropReason[name.upper()]: count for name, count in strays["drops"].items()})
    return drops


def check_reasons(drops: Counter[DropReason], explained: frozenset[DropReason]) -> None:
    for reason, count in sorted(drops.items()):
        if count < 0:
            raise Violation(f"{count} packets dropped as {reason.name}")
        if count and reason not in explained:
            raise Violation(f"{count} packets dropped as {reason.name}, which nothing explains")


def check_equal(what: str, left: int, right: int) -> None:
    if left != right:
        raise Violation(f"{what}: {left} is not {right}")
