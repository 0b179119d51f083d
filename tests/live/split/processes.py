"""Host and modem as processes of their own, for the tests of what passes between them.

Place          a network namespace that stays, whatever dies in it
ModemProgram   `bamdmux modem`
HostProgram    `bamdmux host`, in a place
"""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bamdmux.bam.memory import SLOT_COUNT
from bamdmux.errors import MachineError
from bamdmux.live.control import request
from bamdmux.pump import VARIABLE
from tests.live.identities import DEADLINE_SECONDS, as_identity, environment, scratch, wait_for
from tests.live.test_command import status_field

ADDRESS, GATEWAY = "10.64.0.2", "10.64.0.1"
PORT = 5201  # of iperf3


def as_root_of_itself(identity: str) -> list[str]:
    """What makes the rest of a command line run with a network namespace of its own, as `identity`."""
    kinds = [] if identity == "caller" and os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [*as_identity(identity)[:-1], "unshare", *kinds, "--net"]


class Place:
    """A network namespace, held by a process that does nothing; what is done in it is done as `identity`."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self._prefix = as_identity(identity)[:-1]
        self._is_root = identity == "caller" and os.geteuid() == 0
        line = [*as_root_of_itself(identity), "sh", "-c", "echo here; exec cat"]
        pipe = subprocess.PIPE
        self._holder = subprocess.Popen(line, env=environment(), stdin=pipe, stdout=pipe)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"here\n"

    def line(self, *arguments: str) -> list[str]:
        """The command line that runs something in here."""
        user = [] if self._is_root else ["--user", "--preserve-credentials"]
        return [*self._prefix, "nsenter", f"--target={self._holder.pid}", *user, "--net", *arguments]

    def python(self, *arguments: str) -> list[str]:
        return self.line(as_identity(self.identity)[-1], *arguments)

    def shell(self, script: str, timeout: float = DEADLINE_SECONDS) -> str:
        """Run a script in here; what it printed. It must succeed."""
        done = self.attempt(script, timeout)
        assert done.returncode == 0, f"exit code {done.returncode} after {done.stdout}"
        return done.stdout.strip()

    def attempt(self, script: str, timeout: float = DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.line("sh", "-c", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            text=True,
            timeout=timeout,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a program in here, its output for nobody."""
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            self.line(*arguments), env=environment(), stdin=nothing, stdout=nothing, stderr=nothing
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._holder.kill()
        self._holder.communicate()


class Program:
    """One of the two programs, its log, its control socket; use it in a `with` block, which kills it.

    Args:
        pump: which one it has to use, if not the one that we use.
    """

    def __init__(self, line: Sequence[str], folder: Path, name: str, pump: str = "") -> None:
        self.control_path = folder / f"{name}.ctl"
        self.log_path = folder / f"{name}.log"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*line, f"--ctl={self.control_path}"],
                env=environment() | ({VARIABLE: pump} if pump else {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = request(self.control_path, "status")
        return answer

    def status_or_none(self) -> dict[str, Any] | None:
        with suppress(MachineError):
            return self.status()
        return None

    def wait_until_it_answers(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log()
            status = self.status_or_none()
            return status is not None and status["pid"] == self.pid

        wait_for(answers, "an answer at the control socket")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def descriptors(self) -> list[str]:
        """What is open, by its kind; what is gone while we look is not."""
        folder, kinds = Path(f"/proc/{self.pid}/fd"), []
        for entry in folder.iterdir():
            with suppress(OSError):
                kinds.append(os.readlink(entry).split(":[")[0])
        return sorted(kinds)

    def maps_of_memory(self) -> int:
        """How many links' memories it has mapped."""
        return Path(f"/proc/{self.pid}/maps").read_text().count("memfd:bamdmux")

    def rss_kilobytes(self) -> int:
        return int(status_field(self.pid, "VmRSS").split()[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.communicate()
        if kind is not None:
            print(f"--- {self.log_path.name}", self.log()[-3000:], sep="\n")


class ModemProgram(Program):
    """`bamdmux modem`, listening at `folder`/link."""

    def __init__(
        self,
        identity: str,
        folder: Path,
        *options: str,
        place: Place | None = None,
        verbosity: str = "-v",
        pump: str = "",
    ) -> None:
        self.path = folder / "link"
        arguments = ["-m", "bamdmux", verbosity, "modem", f"--listen={self.path}", *options]
        line = as_identity(identity, *arguments) if place is None else place.python(*arguments)
        super().__init__(line, folder, "modem", pump)

    def wait_for_host(self) -> dict[str, Any]:
        def served() -> dict[str, Any] | None:
            status = self.status_or_none()
            return status if status is not None and status["modem"] is not None else None

        status = wait_for(served, "a host")
        assert status is not None
        return status

    def in_network(self, *arguments: str) -> list[str]:
        """The command line that runs something in the internal network behind it."""
        pid = self.status()["network"]["pid"]
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={pid}", *user, "--net", *arguments]


class HostProgram(Program):
    """`bamdmux host`, whose interfaces appear in `place`."""

    def __init__(
        self,
        place: Place,
        folder: Path,
        *options: str,
        name: str = "host",
        link: str = "link",
        ports: Path | None = None,
        pump: str = "",
    ) -> None:
        self.place = place
        arguments = ["-m", "bamdmux", "host", f"--connect={folder / link}", *options]
        arguments += [f"--ports={ports}"] if ports is not None else []
        super().__init__(place.python(*arguments), folder, name, pump)

    def is_connected(self) -> bool:
        status = self.status_or_none()
        return status is not None and status["connection"]["state"] == "connected"

    def channel(self, index: int = 0) -> dict[str, Any]:
        """What it says of a channel; nothing while that has no interface."""
        status = self.status_or_none()
        channel: dict[str, Any] = {} if status is None else status["host"]["channels"].get(str(index), {})
        return channel

    def wait_for_channel(self, index: int = 0) -> None:
        """Until the modem has opened it, and its interface is there."""
        wait_for(lambda: self.channel(index).get("attached"), f"channel {index}")

    def wait_until_open(self, index: int = 0) -> None:
        """Until our OPEN has gone out."""
        wait_for(lambda: self.channel(index).get("open"), f"channel {index} to be open")

    def configure(self) -> None:
        """Give wwan0 its address, and the way out."""
        self.wait_for_channel()
        self.place.shell(
            f"ip address add {ADDRESS}/30 dev wwan0; ip link set wwan0 up; ip route add default via {GATEWAY}"
        )
        self.wait_until_open()

    def ping(self, address: str = GATEWAY) -> None:
        said = self.place.shell(f"ping -c 3 -i 0.01 -W 5 {address}")
        assert " 0% packet loss" in said, said


class Pair:
    """A modem, a place, and a host that has configured wwan0.

    Args:
        ring: slots in each direction.
        pumps: of host and modem, where they are not to use the one that we use.
    """

    def __init__(
        self,
        identity: str,
        stack: ExitStack,
        verbosity: str = "-v",
        *,
        ring: int = SLOT_COUNT,
        pumps: tuple[str, str] = ("", ""),
    ) -> None:
        self.identity = identity
        self.stack = stack
        self.verbosity = verbosity
        self.ring = ring
        self.host_pump, self.modem_pump = pumps
        self.folder = scratch()
        self.modem = self.start_modem()
        self.place = stack.enter_context(Place(identity))
        self.host = self.start_host()
        self.host.configure()

    def start_modem(self) -> ModemProgram:
        self.modem = self.stack.enter_context(
            ModemProgram(self.identity, self.folder, verbosity=self.verbosity, pump=self.modem_pump)
        )
        return self.modem

    def start_host(self) -> HostProgram:
        self.host = self.stack.enter_context(
            HostProgram(self.place, self.folder, f"--ring={self.ring}", pump=self.host_pump)
        )
        return self.host

    def carry_down(self, count: int) -> None:
        """Fetch so many bytes from behind the modem, and see that they are the ones that were sent."""
        expected = self.place.shell(f"curl -s -f http://{GATEWAY}/sha256/{count}")
        arrived = self.place.shell(f"curl -s -f http://{GATEWAY}/bytes/{count} | sha256sum").split()[0]
        assert arrived == expected

    def interface(self, name: str = "wwan0") -> dict[str, Any]:
        """What `ip` says of an interface, with its addresses."""
        (entry,) = json.loads(self.place.shell(f"ip -j address show {name}"))
        result: dict[str, Any] = entry
        return result


class Load:
    """A modem whose network is a TUN in a place of its own, which outlives it, and iperf3 to there."""

    def __init__(self, identity: str, stack: ExitStack) -> None:
        self.identity = identity
        self.stack = stack
        self.folder = scratch()
        self.far = stack.enter_context(Place(identity))
        self.near = stack.enter_context(Place(identity))
        self.far.shell("ip link set lo up")
        self.modem: ModemProgram
        self.host: HostProgram
        self.start_modem()
        self.start_host()

    def start_modem(self) -> None:
        modem = ModemProgram(self.identity, self.folder, "--network=tun:pdn0", place=self.far)
        self.modem = self.stack.enter_context(modem)
        self.modem.wait_until_it_answers()

    def start_host(self) -> None:
        self.host = self.stack.enter_context(HostProgram(self.near, self.folder))
        self.host.configure()

    def start_iperf(self) -> None:
        processes = [self.far.start("iperf3", "-s", "-p", str(PORT))]
        wait_for(lambda: f":{PORT}" in self.far.shell("ss -ltn"), "the server")
        processes.append(self.near.start("iperf3", "-c", GATEWAY, "-p", str(PORT), "-t", "1000"))
        for process in processes:
            self.stack.callback(process.wait)
            self.stack.callback(process.kill)
        wait_for(lambda: self.acked() > 1_000_000, "the first megabyte")

    def connection(self) -> tuple[int, int]:
        """Local port and acknowledged bytes of the connection that carries the load."""
        lines = self.near.shell(f"ss -tinHO dst {GATEWAY}:{PORT}").splitlines()
        found = [
            (int(words[3].rsplit(":", 1)[1]), int(word.split(":")[1]))
            for words in (line.split() for line in lines)
            for word in words
            if word.startswith("bytes_acked:")
        ]
        return max(found, key=lambda entry: entry[1], default=(0, 0))

    def acked(self) -> int:
        return self.connection()[1]

    def wait_for_progress(self) -> None:
        before = self.acked()
        wait_for(lambda: self.acked() > before + 1_000_000, "another megabyte")
