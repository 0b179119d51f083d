"""A link with both its ends in this process: the default of `bamdmux run`."""

from bamdmux.bam.memory import LinkLayout
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop
from bamdmux.live.modem_side import ModemSide
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.networks import Network, network_status
from bamdmux.live.runner import Runner
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Instant


class FusedLink:
    """Host and modem, joined by memory and by calls.

    Args:
        namespace: where the host's interfaces are made.
        network: what lies behind the modem.
    """

    def __init__(self, loop: Loop, profile: Profile, namespace: NetworkNamespace, network: Network) -> None:
        layout = LinkLayout()
        memory = layout.allocate()
        self.host = HostSide(memory, layout, namespace, loop)
        self._modem = ModemSide(memory, layout, profile, network.device, loop)
        self._network = network
        self.host.far, self._modem.far = self._modem.modem, self.host.driver
        self.runner = Runner(loop, [self.host, self._modem])

    def start(self) -> None:
        """Bind the driver and switch the modem on."""
        self.host.start(self.runner.now)
        self._modem.start(self.runner.now)

    def status(self, now: Instant) -> dict[str, object]:
        """Both sides, and the network."""
        return {
            "host": self.host.status(now),
            "modem": self._modem.modem.status(now),
            "network": network_status(self._network),
        }

    def close(self) -> None:
        """Let go of both halves; see `HostDriver.remove` for the orderly way."""
        self.host.close()
        self._modem.close()
