"""The host's half of a link whose other half is another process."""

from pathlib import Path

from bamdmux.bam.memory import LinkLayout
from bamdmux.live.caretaker import Caretaker
from bamdmux.live.control import Handler
from bamdmux.live.faults import Faults
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop
from bamdmux.live.modem_commands import MODEM_COMMANDS
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.runner import Runner, Side
from bamdmux.live.split.faults import BothHalves
from bamdmux.live.split.memory import SharedMemory
from bamdmux.live.split.modem_finder import Finding, ModemFinder
from bamdmux.live.split.modem_process import ModemProcess
from bamdmux.middleware.faults import Half
from bamdmux.timing import Instant
from bamdmux.wire.dmux import CHANNEL_COUNT


class SplitLink:
    """The host, and the way to a modem that listens at `path`; see `FusedLink` for both in one process.

    Args:
        namespace: where the host's interfaces are made.
        modem: the modem's process, if it is ours to keep alive.
        sets_identity: see `HostSide`.
        channel_count: how many channels the modem has, as far as we know.
        seed: for faults.
        layout: of the memory; as Linux has it by default.
    """

    def __init__(
        self,
        loop: Loop,
        namespace: NetworkNamespace,
        path: Path,
        modem: ModemProcess | None = None,
        *,
        sets_identity: bool = False,
        layout: LinkLayout | None = None,
        channel_count: int = CHANNEL_COUNT,
        seed: int | None = None,
    ) -> None:
        self._memory = SharedMemory.create(layout or LinkLayout())
        self.host = HostSide(
            self._memory.memory, self._memory.layout, namespace, loop, sets_identity=sets_identity
        )
        self.ports = PortBoard(loop)
        self._finder = ModemFinder(path, loop, self.host, self._memory, self.ports)
        self._modem = modem
        self.commands: dict[str, Handler] = {}
        # The finder first: slots that it finds to be free are used in the same batch.
        sides: list[Side] = [self._finder, self.host]
        if modem is not None:
            sides.append(modem)
            self.commands = dict.fromkeys(MODEM_COMMANDS, modem.pass_on)
        self.runner = Runner(loop, sides, sleeper=self._finder)
        ours = Faults(
            self.runner,
            frozenset({Half.HOST}),
            seed=seed,
            restart_host=lambda away_for: self.caretaker.restart_host(away_for),
        )
        ours.join(self.host)
        self.faults = BothHalves(ours, modem) if modem is not None else ours
        self.caretaker = Caretaker(
            self.host,
            channel_count,
            ours.later,
            leave=self._unbind,
            come=self._bind,
            wake_modem=self._knock_again,
        )

    @property
    def is_connected(self) -> bool:
        return self._finder.state is Finding.CONNECTED

    def start(self) -> None:
        """Bind the driver, and begin to look for the modem."""
        self.host.start(self.runner.now)

    # The driver dies and comes back

    def _unbind(self) -> None:
        self._finder.close()
        self.host.unbind()

    def _bind(self, now: Instant) -> None:
        self.host.start(now)
        self._finder.look_for_it(now)

    def _knock_again(self, now: Instant) -> None:
        """For each host that connects the modem announces its channels."""
        self._finder.close()
        self._finder.look_for_it(now)

    def status(self, now: Instant) -> dict[str, object]:
        """Our side, how we stand with the other, and what that says of itself if it is a child of ours."""
        return {
            "host": self.host.status(now),
            "modem": None,
            "network": None,
            "control": None,
            "ports": self.ports.status(),
            "answers": self.ports.answers(),
            **(self._modem.ask_status() if self._modem is not None else {}),
            "connection": {
                "socket": str(self._finder.path),
                "state": self._finder.state.name.lower(),
                "connected": self._finder.connected_count,
            },
        }

    def close(self) -> None:
        """Let go of everything; see `HostDriver.remove` for the orderly way."""
        self.ports.close()
        self.host.close()
        self._finder.close()
        self._memory.close()
