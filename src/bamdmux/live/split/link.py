"""The host's half of a link whose other half is another process."""

from pathlib import Path

from bamdmux.bam.memory import LinkLayout
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.runner import Runner, Side
from bamdmux.live.split.memory import SharedMemory
from bamdmux.live.split.modem_finder import Finding, ModemFinder
from bamdmux.live.split.modem_process import ModemProcess
from bamdmux.timing import Instant


class SplitLink:
    """The host, and the way to a modem that listens at `path`; see `FusedLink` for both in one process.

    Args:
        namespace: where the host's interfaces are made.
        modem: the modem's process, if it is ours to keep alive.
        sets_identity: see `HostSide`.
    """

    def __init__(
        self,
        loop: Loop,
        namespace: NetworkNamespace,
        path: Path,
        modem: ModemProcess | None = None,
        *,
        sets_identity: bool = False,
    ) -> None:
        self._memory = SharedMemory.create(LinkLayout())
        self.host = HostSide(
            self._memory.memory, self._memory.layout, namespace, loop, sets_identity=sets_identity
        )
        self._finder = ModemFinder(path, loop, self.host, self._memory)
        self._modem = modem
        sides: list[Side] = [self.host, self._finder]
        if modem is not None:
            sides.append(modem)
        self.runner = Runner(loop, sides)

    @property
    def is_connected(self) -> bool:
        return self._finder.state is Finding.CONNECTED

    def start(self) -> None:
        """Bind the driver, and begin to look for the modem."""
        self.host.start(self.runner.now)

    def status(self, now: Instant) -> dict[str, object]:
        """Our side, how we stand with the other, and what that says of itself if it is a child of ours."""
        return {
            "host": self.host.status(now),
            "modem": None,
            "network": None,
            **(self._modem.ask_status() if self._modem is not None else {}),
            "connection": {
                "socket": str(self._finder.path),
                "state": self._finder.state.name.lower(),
                "connected": self._finder.connected_count,
            },
        }

    def close(self) -> None:
        """Let go of everything; see `HostDriver.remove` for the orderly way."""
        self.host.close()
        self._finder.close()
        self._memory.close()
