"""The links that have to carry bytes unchanged, and without growing: for `make soak`, in small for tests.

Configuration   what `bamdmux run` is told
carry           so many bytes down and up at once on some bearers, with their SHA-256
watch_memory    some links under load for a while, and how much their processes grew
"""

import functools
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bamdmux.live.networks.demo_server import digest
from tests.live.identities import Link, scratch, wait_for
from tests.live.test_command import status_field

# What a process may grow by under load, once it is warm: buffers of Python's and of the kernel's.
GROWTH_LIMIT_KB: Final = 1024
WARM_UP: Final = 1 / 3  # of the time; after it nothing may grow any more
SAMPLES: Final = 20
SECONDS_PER_GIBIBYTE: Final = 600  # patience
LEAST_RATE: Final = 1_000_000  # bytes in a second, of each link and either way
PORT: Final = 5300  # of iperf3, on bearer 0; others count on

# Writes as many bytes as the server does, and the same ones.
SEND: Final = """
import sys
from bamdmux.live.networks.demo_server import pieces
for piece in pieces({}):
    sys.stdout.buffer.write(piece)
"""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A link: where its halves are, its ring, its pump, and the bearers that carry at once."""

    name: str
    options: tuple[str, ...] = ()
    pump: str = ""
    channels: tuple[int, ...] = (0,)

    @contextmanager
    def link(self, identity: str) -> Iterator[Link]:
        with Link(identity, *self.options, pump=self.pump) as link:
            yield link


CONFIGURATIONS: Final = [
    Configuration(name="fused, ring 32"),
    Configuration(name="fused, ring 32, MTU 2040", options=("--mtu=2040",)),
    Configuration(name="fused, ring 512", options=("--ring=512",)),
    Configuration(name="split, ring 32", options=("--split",)),
    Configuration(name="split, ring 512", options=("--split", "--ring=512")),
    Configuration(name="fused, ring 32, Python's pump", pump="python"),
    Configuration(name="split, ring 32, Python's pump", options=("--split",), pump="python"),
    Configuration(name="fused, ring 32, four bearers", channels=(0, 2, 5, 7)),
    Configuration(
        name="split, ring 512, four bearers", options=("--split", "--ring=512"), channels=(0, 2, 5, 7)
    ),
]
# Whose memory is watched, all at once.
WATCHED: Final = [each for each in CONFIGURATIONS if "ring 512" in each.name or "Python" in each.name]


# Bytes


def carry(configuration: Configuration, count: int, identity: str) -> float:
    """Carry so many bytes down and as many up, at once on each of its bearers.

    Returns:
        Bits per second, of all together.

    Raises:
        AssertionError: some did not arrive, or arrived as others.
    """
    timeout = 30 + SECONDS_PER_GIBIBYTE * count * len(configuration.channels) / (1 << 30)
    folder, send = scratch(), SEND.format(count)
    with configuration.link(identity) as link:
        (folder / "send.py").write_text(send)
        lines = []
        for channel in configuration.channels:
            request = f"curl -s -S -f --interface wwan{channel}"
            url = f"http://10.64.{channel}.1"
            lines += [
                f"{request} {url}/bytes/{count} | sha256sum >{folder}/down{channel} &",
                f"{link.python} {folder}/send.py | {request} -T - {url}/ >{folder}/up{channel} &",
            ]
        begin = time.monotonic()
        link.shell("\n".join([*lines, "wait"]), timeout)
        seconds = time.monotonic() - begin
    expected = expected_digest(count)
    for channel in configuration.channels:
        down = (folder / f"down{channel}").read_text().split()[0]
        up = json.loads((folder / f"up{channel}").read_text())
        assert down == expected, (
            f"{configuration.name}, bearer {channel}, down: SHA-256 {down} is not {expected}"
        )
        assert up == {"bytes": count, "sha256": expected}, f"{configuration.name}, bearer {channel}, up: {up}"
    return 2 * len(configuration.channels) * 8 * count / seconds


@functools.cache
def expected_digest(count: int) -> str:
    return digest(count).hex()


# Memory


@dataclass
class Growth:
    """One process, and the memory that it had each time."""

    name: str  # of the configuration
    link: Link
    pid: int
    kilobytes: list[int] = field(default_factory=list)

    def sample(self) -> None:
        try:
            kilobytes = int(status_field(self.pid, "VmRSS").split()[0])
        except (OSError, KeyError):  # it is gone, or about to be
            log = "\n".join(self.link.log()[-20:])
            raise AssertionError(f"{self.name}: process {self.pid} ended under load:\n{log}") from None
        self.kilobytes.append(kilobytes)

    @property
    def grown(self) -> int:
        """Since it was warm, in KiB."""
        warm = self.kilobytes[int(len(self.kilobytes) * WARM_UP) :]
        return max(warm) - warm[0]


def watch_memory(configurations: Sequence[Configuration], seconds: float, identity: str) -> list[Growth]:
    """Put these links under load at once, both ways, for so long; what became of each of our processes.

    Raises:
        AssertionError: there was no load.
    """
    with ExitStack() as stack:
        growths: list[Growth] = []
        links: list[Link] = []
        for configuration in configurations:
            link = stack.enter_context(configuration.link(identity))
            stack.enter_context(load(link, seconds))
            links.append(link)
            growths += [Growth(configuration.name, link, pid) for pid in processes_of(link)]
        for _ in range(SAMPLES):
            time.sleep(seconds / SAMPLES)
            for growth in growths:
                growth.sample()
        for link in links:
            channel = link.status()["host"]["channels"]["0"]
            least = min(channel["transmitted"]["bytes"], channel["received"]["bytes"])
            assert least > seconds * LEAST_RATE, f"{least} bytes in {seconds} s are no load"
    return growths


@contextmanager
def load(link: Link, seconds: float) -> Iterator[None]:
    """Long segments on bearer 0 and small packets on bearer 5, both ways."""
    clients = []
    with ExitStack() as stack:
        for channel, options in ((0, ""), (5, "-u -l 64 -b 2M")):
            port = PORT + channel
            server = link.in_network("iperf3", "-s", "-p", str(port), "-B", f"10.64.{channel}.1")
            process = stack.enter_context(subprocess.Popen(server, stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
            listening = link.in_network("ss", "-H", "-t", "-l", "-n", "sport", "=", f":{port}")
            wait_for(lambda line=listening: subprocess.check_output(line), "the server of iperf3")  # type: ignore[misc]
            clients.append(
                f"iperf3 -c 10.64.{channel}.1 -p {port} --bidir -t {int(seconds) + 1} {options} >/dev/null &"
            )
        link.start("\n".join([*clients, "wait"]))
        yield
        link.finish(timeout=60)


def processes_of(link: Link) -> list[int]:
    """bamdmux itself, and all of its processes that outlive the moment."""
    found = [link.process.pid]
    for parent in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return [pid for pid in found if b"bamdmux" in command_line(pid)]


def command_line(pid: int) -> bytes:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"python" in os.path.basename(words[0]):
            return b" ".join(words)
    return b""
