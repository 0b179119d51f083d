"""A link with both its ends in this process: the default of `bamdmux run`."""

from bamdmux.actions import Pipe
from bamdmux.bam.memory import LinkLayout
from bamdmux.live.caretaker import Caretaker
from bamdmux.live.faults import BOTH, Faults, draw_seed
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop
from bamdmux.live.modem_commands import modem_commands
from bamdmux.live.modem_side import MODEM_RESTART, ModemSide
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.networks import Network, network_status
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.runner import Runner
from bamdmux.middleware.control import HostilePlane
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Duration, Instant


class FusedLink:
    """Host and modem, joined by memory and by calls.

    Args:
        namespace: where the host's interfaces are made.
        network: what lies behind the modem.
        seed: for faults.
        packet_data_network: the bearers that `network` knows.
        is_always_on: the bearers are up from the start, and not only when a client wants them.
        sets_identity: see `HostSide`.
        layout: of the memory; as Linux has it by default.
    """

    def __init__(
        self,
        loop: Loop,
        profile: Profile,
        namespace: NetworkNamespace,
        network: Network,
        seed: int | None = None,
        packet_data_network: PacketDataNetwork | None = None,
        *,
        is_always_on: bool = True,
        sets_identity: bool = False,
        layout: LinkLayout | None = None,
    ) -> None:
        layout = layout or LinkLayout()
        memory = layout.allocate()
        self.host = HostSide(memory, layout, namespace, loop, sets_identity=sets_identity)
        packet_data_network = packet_data_network or PacketDataNetwork(profile.channels, mtu=profile.mtu)
        seed = draw_seed() if seed is None else seed
        plane = HostilePlane(ControlPlane(profile, packet_data_network, is_always_on=is_always_on), seed)
        self._control = ControlSide(plane)
        self.commands = modem_commands(plane, self._restart_modem)
        self.ports = PortBoard(loop)
        self._control.ports, self.ports.user = self.ports, self._control
        self._control.restart_modem = lambda now: self._restart_modem(MODEM_RESTART)
        self._modem = ModemSide(
            memory, layout, profile, network.device, loop, packet_data_network, self._control
        )
        self._network = network
        self.host.meet(self._modem.modem, self._modem.modem.serve)
        self._modem.meet(self.host.driver, self.host.driver.serve)
        self.runner = Runner(loop, [self.host, self._modem, self._control])
        self.faults = Faults(
            self.runner,
            BOTH,
            seed=seed,
            restart_modem=self._restart_modem,
            restart_host=lambda away_for: self.caretaker.restart_host(away_for),
            nudge_modem=lambda now: self._modem.modem.doorbell_rang(Pipe.RX, now),
            control=plane,
        )
        # A fault may have added edges to what the host was told of a line: no news must overtake that.
        self.host.hear = lambda line, count, now: self._modem.far.line_changed(line, count, now)
        self.faults.join(self.host)
        self.faults.join(self._modem)
        self.caretaker = Caretaker(
            self.host,
            len(profile.channels),
            self.faults.later,
            leave=self._unbind,
            come=self._bind,
            wake_modem=lambda now: self._restart_modem(MODEM_RESTART),
        )

    def start(self) -> None:
        """Bind the driver and switch the modem on."""
        self.host.start(self.runner.now)
        self._modem.start(self.runner.now)

    # Death and return

    def _restart_modem(self, down_for: Duration) -> None:
        self._modem.restart(down_for, self.faults.later, self.runner.now)

    def _unbind(self) -> None:
        self._modem.meet(None)
        self.host.unbind()

    def _bind(self, now: Instant) -> None:
        self._modem.meet(self.host.driver, self.host.driver.serve)
        self.host.start(now)

    def status(self, now: Instant) -> dict[str, object]:
        """Both sides, and the network."""
        return {
            "host": self.host.status(now),
            "modem": self._modem.modem.status(now),
            "network": network_status(self._network),
            "control": self._control.plane.status(now),
            "ports": self.ports.status(),
            "answers": self.ports.answers(),
        }

    def close(self) -> None:
        """Let go of both halves; see `HostDriver.remove` for the orderly way."""
        self.ports.close()
        self.host.close()
        self._modem.close()
