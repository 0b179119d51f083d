"""ControlPlane: what a modem says to clients, as a machine beside the data path.

    port_opened, received, port_closed  ->  qmi.py, at.py  ->  equipment.py  ->  the bearers of network.py
    what the world does (`equipment`)   ->  equipment.py   ->  indications

It has no clock and no I/O: ports are numbers that the world chooses, what is to be sent are actions. It
shares its bearers with the `Modem`; neither knows the other. It outlives a link to a host, and not a crash.
"""

from collections.abc import Mapping
from typing import Any

from bamdmux.actions import Action, AnnounceChannel, HangUpPort, PortKind, RestartModem, WithdrawChannel
from bamdmux.modem.control.at import AtEndpoint
from bamdmux.modem.control.commands import COMMANDS
from bamdmux.modem.control.equipment import Equipment
from bamdmux.modem.control.qmi import QmiEndpoint
from bamdmux.modem.control.sim import Sim
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Instant, earliest


class ControlPlane:
    """QMI and AT over one model of the modem.

    Args:
        packet_data_network: the bearers that calls bring up and down.
        sim: what is in the slot; a card of the test network by default.
        is_always_on: see `Equipment`.
    """

    def __init__(
        self,
        profile: Profile,
        packet_data_network: PacketDataNetwork,
        *,
        sim: Sim | None = None,
        is_always_on: bool = True,
    ) -> None:
        self._outbox: list[Action] = []
        self.equipment = Equipment(profile, packet_data_network, sim=sim, is_always_on=is_always_on)
        self._qmi = QmiEndpoint(self.equipment, self._outbox)
        self._at = AtEndpoint(self.equipment, self._outbox)
        self._endpoints: dict[PortKind, QmiEndpoint | AtEndpoint] = {
            PortKind.QMI: self._qmi,
            PortKind.AT: self._at,
        }
        self._ports: dict[int, PortKind] = {}
        self._announced: set[int] = set()  # channels that the modem was asked to announce
        self._is_booted = False

    def boot(self, now: Instant) -> None:
        """Start. Ports can be opened from now on."""
        self._is_booted = True
        self.equipment.boot(now)

    def crash(self, now: Instant) -> None:
        """Fall dead: ports hang up, clients and calls are gone."""
        self._is_booted = False
        for port in self._ports:
            self._outbox.append(HangUpPort(port))
        self._ports.clear()
        self._announced.clear()
        for endpoint in self._endpoints.values():
            endpoint.reset()
        self.equipment.crash(now)

    # Ports

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None:
        """A port can carry bytes from now on."""
        assert port not in self._ports, f"port {port} is open"
        self._ports[port] = kind
        self._endpoints[kind].open(port)

    def received(self, port: int, data: bytes, now: Instant) -> None:
        """Bytes from whoever has the port open; of one that is closed they are dropped."""
        if port in self._ports:
            self._endpoints[self._ports[port]].received(port, data, now)
            self.settle(now)

    def has_unfinished(self, port: int) -> bool:
        """Whether the last bytes of an open port were the beginning of something."""
        return self._endpoints[self._ports[port]].has_unfinished(port)

    def port_closed(self, port: int, now: Instant) -> None:
        """Nobody is there any more; to one that was never open, or hung up, it is no news."""
        if port in self._ports:
            self._endpoints[self._ports.pop(port)].close(port)

    # The world

    def command(self, name: str, arguments: Mapping[str, Any], now: Instant) -> dict[str, Any]:
        """Do what `bamdmux ctl` asks for: see commands.py.

        Raises:
            UsageError: an argument is not what the command takes.
        """
        result = COMMANDS[name](self.equipment, arguments, now)
        self.settle(now)
        return result

    # Time, and what came of all this

    @property
    def deadline(self) -> Instant | None:
        return earliest(self.equipment.deadline, self._qmi.deadline)

    def handle_timeout(self, now: Instant) -> None:
        self.equipment.handle_timeout(now)
        self._qmi.handle_timeout(now)
        self.settle(now)

    def settle(self, now: Instant) -> None:
        """Tell clients what has changed; call it after the world has done something to `equipment`."""
        changes = self.equipment.take_changes()
        for endpoint in self._endpoints.values():
            endpoint.indicate(changes)
        if self.equipment.wants_restart:
            self.equipment.wants_restart = False
            self._outbox.append(RestartModem())
        self._keep_announced(self.equipment.open_ports)

    def _keep_announced(self, channels: set[int]) -> None:
        """Let the modem announce the channels whose data ports are open, and withdraw the others."""
        self._outbox += (AnnounceChannel(channel) for channel in sorted(channels - self._announced))
        self._outbox += (WithdrawChannel(channel) for channel in sorted(self._announced - channels))
        self._announced = set(channels)

    @property
    def has_actions(self) -> bool:
        """Whether `take_actions` is worth calling."""
        return bool(self._outbox)

    def take_actions(self) -> list[Action]:
        actions = self._outbox[:]
        self._outbox.clear()
        return actions

    def status(self, now: Instant) -> dict[str, object]:
        """For JSON: the model, and who talks to it."""
        return {
            "booted": self._is_booted,
            **self.equipment.status(),
            "qmi": self._qmi.status(),
            "at": self._at.status(),
            "ports": {str(port): kind.value for port, kind in self._ports.items()},
        }
