"""The modem's half of a live link: the Modem, the network behind it, and what it asks to be done."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bamdmux.actions import Action, Line, Log, Pipe, RingDoorbell, SetLine
from bamdmux.bam.lines import LineReader, LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipePeer
from bamdmux.live.link_end import LinkEnd
from bamdmux.live.loop import Loop
from bamdmux.live.networks import NetworkDevice
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.middleware.faults import Half, Later
from bamdmux.modem.modem import Modem
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import MILLISECOND, Duration, Instant

LOG: Final = logging.getLogger("bamdmux.modem")

RECEIVE_BUDGET: Final = 256
# How long a modem is down that was told to start again, or has to announce its channels anew.
MODEM_RESTART: Final[Duration] = 200 * MILLISECOND


class ModemSide(LinkEnd):
    """Modem and its way out.

    Args:
        network: the device of the packet data network.
        packet_data_network: the bearers, where they outlive this link.
        control: the control plane, which starts and dies with the modem.
    """

    def __init__(
        self,
        memory: memoryview,
        layout: LinkLayout,
        profile: Profile,
        network: NetworkDevice,
        loop: Loop,
        packet_data_network: PacketDataNetwork | None = None,
        control: ControlSide | None = None,
    ) -> None:
        super().__init__()
        tx, rx = PipePeer(memory, layout.tx), PipePeer(memory, layout.rx)
        self.modem = Modem(profile, tx, rx, network, packet_data_network)
        self._pipes = {"modem_tx": tx, "modem_rx": rx}
        self._network = network
        network.limit_segments(layout.rx.max_segments)
        self._loop = loop
        self._network_is_readable = False
        self._is_closed = False
        self._control = control
        self._writers: Mapping[Line, LineWriter] = {
            line: LineWriter(memory, layout, line) for line in (Line.MODEM_POWER, Line.MODEM_ACK)
        }
        self._readers = {line: LineReader(memory, layout, line) for line in (Line.HOST_ACK, Line.HOST_VOTE)}
        self._told = dict.fromkeys(self._readers, -1)  # the counts that the modem was told of by us

    def start(self, now: Instant) -> None:
        """Switch the modem on, with the lines as they are: new, or left by an earlier modem."""
        self.modem.adopt(
            power_level=self._writers[Line.MODEM_POWER].level,
            ack_level=self._writers[Line.MODEM_ACK].level,
            vote_edges=self._readers[Line.HOST_VOTE].edge_count,
            host_ack_edges=self._readers[Line.HOST_ACK].edge_count,
        )
        self._boot(now)

    def _boot(self, now: Instant) -> None:
        self.modem.boot(now)
        if self._control is not None:
            self._control.data_path = self.modem
            self._control.boot(now)

    @property
    def deadline(self) -> Instant | None:
        return self.modem.deadline

    def handle_timeout(self, now: Instant) -> None:
        self.modem.handle_timeout(now)

    def look_at_memory(self, now: Instant) -> None:
        """The far side has done something: see for ourselves what."""
        for line, reader in self._readers.items():
            edge_count = reader.edge_count
            if edge_count != self._told[line]:
                self._told[line] = edge_count
                self.modem.line_changed(line, edge_count, now)
        self.modem.doorbell_rang(Pipe.RX, now)
        if self._network.has_packet:  # first, so that the host is at work while we are
            self._network_is_readable = True
            self.feed(now)
        self.modem.doorbell_rang(Pipe.TX, now)
        # Who gets a packet often answers while we hand it over. To look costs less than to be told.
        self._network_is_readable = self._network_is_readable or self.modem.can_send

    def _network_readable(self, now: Instant) -> None:
        self._network_is_readable = True

    def feed(self, now: Instant) -> None:
        """Give the modem what the network sends."""
        if self._network_is_readable:
            self._network_is_readable = False
            self.modem.receive_from_network(now, RECEIVE_BUDGET, self.next_door)

    def carry_out_actions(self, now: Instant) -> bool:
        """Do what the modem asks for; whether there was anything."""
        if not self.modem.has_actions:
            return False
        for action in self.modem.take_actions():
            self._carry_out(action, now)
        return True

    def _carry_out(self, action: Action, now: Instant) -> None:
        match action:
            case RingDoorbell(pipe):
                self.far.doorbell_rang(pipe, now)
            case SetLine(line, level):
                writer = self._writers[line]
                if writer.set(level):
                    self.far.line_changed(line, writer.edge_count, now)
            case Log():
                if LOG.isEnabledFor(action.severity):
                    LOG.log(action.severity, action.message)
            case _:
                raise AssertionError(f"a modem has no {action}")

    def arm(self) -> None:
        """Watch the network while the modem wants its packets."""
        descriptor = self._network.fileno()
        if not self.modem.wants_network_packets:
            self._loop.forget(descriptor)
        elif not self._loop.is_watching(descriptor):
            self._loop.watch(descriptor, self._network_readable)
        if self._network.has_packet and self.modem.wants_network_packets:
            self._loop.call_soon(self._network_readable)

    # For faults

    def restart(self, down_for: Duration, later: Later, now: Instant) -> None:
        """Let the modem crash, as a real one does, and boot it after a while."""
        if self.modem.is_booted:
            LOG.info("= the modem dies, for %d ms", down_for // MILLISECOND)
            self.modem.crash(now)
            if self._control is not None:
                self._control.crash(now)
        later(down_for, self._boot_again)

    def _boot_again(self, now: Instant) -> None:
        if not self.modem.is_booted and not self._is_closed:
            LOG.info("= the modem boots again")
            self._boot(now)

    half: Final = Half.MODEM

    def parts(self) -> Iterator[tuple[str, Any]]:
        """See `bamdmux.live.faults.Wrappable`."""
        yield from self._pipes.items()
        yield "network", self._network

    def edge_count(self, line: Line) -> int:
        return (self._readers.get(line) or self._writers[line]).edge_count

    @property
    def announced(self) -> Sequence[int]:
        return self.modem.profile.channels if self.modem.is_booted else ()

    def close(self) -> None:
        self._is_closed = True
        self._loop.forget(self._network.fileno())
