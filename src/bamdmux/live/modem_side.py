"""The modem's half of a live link: the Modem, the network behind it, and what it asks to be done."""

import logging
from collections.abc import Mapping
from typing import Final

from bamdmux.actions import Action, Line, Log, RingDoorbell, SetLine
from bamdmux.bam.lines import LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipePeer
from bamdmux.live.host_side import FarSide
from bamdmux.live.loop import Loop
from bamdmux.live.tun import Tun
from bamdmux.modem.modem import Modem
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Instant

LOG: Final = logging.getLogger("bamdmux.modem")

RECEIVE_BUDGET: Final = 128


class ModemSide:
    """Modem and its way out.

    Args:
        network: the TUN of the packet data network.
    """

    def __init__(
        self, memory: memoryview, layout: LinkLayout, profile: Profile, network: Tun, loop: Loop
    ) -> None:
        self.modem = Modem(profile, PipePeer(memory, layout.tx), PipePeer(memory, layout.rx), network)
        self.far: FarSide  # set by whoever joins the two halves
        self._network = network
        self._loop = loop
        self._network_is_readable = False
        self._writers: Mapping[Line, LineWriter] = {
            line: LineWriter(memory, layout, line) for line in (Line.MODEM_POWER, Line.MODEM_ACK)
        }

    def start(self, now: Instant) -> None:
        """Switch the modem on."""
        self.modem.boot(now)

    def _network_readable(self, now: Instant) -> None:
        self._network_is_readable = True

    def receive(self, now: Instant) -> None:
        """Give the modem what the network sends."""
        if self._network_is_readable:
            self._network_is_readable = False
            self.modem.receive_from_network(now, RECEIVE_BUDGET)

    def carry_out_actions(self, now: Instant) -> bool:
        """Do what the modem asks for; whether there was anything."""
        actions = self.modem.take_actions()
        for action in actions:
            self._carry_out(action, now)
        return bool(actions)

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

    def close(self) -> None:
        self._loop.forget(self._network.fileno())
