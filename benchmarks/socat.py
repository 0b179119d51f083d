"""How fast is bamdmux? Measured against two socats that do the same job, in the same run.

    run     iperf3 | wwan0 -> host driver == modem -> pdn0 | iperf3 -s           one process, ring 32
    split   iperf3 | wwan0 -> host driver -> shared memory -> modem -> pdn0 | iperf3 -s     two processes
    socats  iperf3 | tun0 -> socat -> Unix socket -> socat -> tun0 | iperf3 -s   two, packet by packet

bamdmux is pure Python. No machine is quiet, so absolute numbers mean little. The links take turns, and what
counts is the ratio of two measurements of one round: its median over all rounds, and the interval of order
statistics that holds the true median whatever the noise looks like.

Everything lives in namespaces of its own, made as root or as anybody, and ends with this process.
"""

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bamdmux.errors import MachineError
from bamdmux.live.control import request
from bamdmux.live.namespaces import (
    CLONE_NEWNET,
    NetworkNamespace,
    enter_user_namespace,
    set_parent_death_signal,
    setns,
)

PROGRAMS = {"iperf3": "iperf3", "socat": "socat", "ping": "iputils-ping"}  # and their Debian packages
BAMDMUX = (sys.executable, "-m", "bamdmux")
RUN = (*BAMDMUX, "run")
SOCAT_ADDRESSES = ("192.0.2.1", "192.0.2.2")
PING_COUNT = 300
PING_INTERVAL_SECONDS = 0.002
START_COUNT = 5
SETUP_SECONDS = 5
COVERAGE = 0.9  # of the interval, at least
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

# The command of `bamdmux run`: it sends the path of the control socket and its namespace to whoever is at its
# stdin, and stays until that one is gone.
LEND_NAMESPACE = """
import os, socket
lender = socket.socket(fileno=0)
namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
socket.send_fds(lender, [os.environ["BAMDMUX_CTL"].encode()], [namespace])
lender.recv(1)
"""


@dataclass(frozen=True, slots=True)
class Link:
    """Two namespaces, and the processes that carry packets from one to the other."""

    name: str
    near: NetworkNamespace
    far: NetworkNamespace
    far_address: str
    pids: Sequence[int]

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self.pids)


@dataclass(frozen=True, slots=True)
class Job:
    """What all links have to do. ``measure`` returns the result, and how much work its CPU time was for."""

    name: str
    unit: str
    measure: Callable[[Link], tuple[float, float]]
    more_is_better: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One job and one link of bamdmux after all rounds. A ``ratio`` above 1: it is the better one."""

    job: str
    unit: str
    link: str
    bamdmux: float
    bamdmux_spread: float
    bamdmux_cpu_ms: float  # for each Gbit, or 1000 pings
    socats: float
    socats_spread: float
    socats_cpu_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """What no socat has, and how much of it there may be."""

    name: str
    unit: str
    value: float
    limit: float


# The links


@contextmanager
def bamdmux_link() -> Iterator[Link]:
    """`bamdmux run` as anybody starts it; its command does nothing, and lends us its namespace."""
    ours, theirs = socket.socketpair()
    with ours, process([*RUN, "--", sys.executable, "-c", LEND_NAMESPACE], stdin=theirs) as runner:
        theirs.close()
        ours.settimeout(SETUP_SECONDS)
        path, descriptors, _, _ = socket.recv_fds(ours, 4096, 1)
        if not descriptors:
            raise MachineError("`bamdmux run` did not start; see why: bamdmux doctor")
        status = request(Path(path.decode()), "status")
        bearer = status["modem"]["channels"][0]["bearer"]
        with (
            NetworkNamespace(descriptors[0]) as near,
            NetworkNamespace(os.open(f"/proc/{status['network']['pid']}/ns/net", os.O_RDONLY)) as far,
        ):
            yield Link("run", near, far, bearer["gateway4"], [status["pid"]])
        ours.close()  # the end of the command, and so of the run
        runner.wait(SETUP_SECONDS)


@contextmanager
def split_link() -> Iterator[Link]:
    """`bamdmux modem`, and `bamdmux host` in a namespace of ours, where wwan0 is set up by hand."""
    with ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        near = resources.enter_context(NetworkNamespace.create())
        listen = ["modem", f"--listen={folder / 'link'}", f"--ctl={folder / 'modem'}"]
        connect = ["host", f"--connect={folder / 'link'}", f"--ctl={folder / 'host'}"]
        modem, host = (
            resources.enter_context(process([*BAMDMUX, *argv], space, stderr=subprocess.DEVNULL))
            for argv, space in ((listen, None), (connect, near))
        )
        status = wait_until(lambda: modem_status(folder / "modem"), "the host to connect")
        wait_until(lambda: "0" in request(folder / "host", "status")["host"]["channels"], "wwan0")
        bearer = status["modem"]["channels"][0]["bearer"]
        for line in (
            f"address add {bearer['address4']} dev wwan0",
            "link set wwan0 up",
            f"route add default via {bearer['gateway4']}",
        ):
            output_of(["ip", *line.split()], near)
        far = os.open(f"/proc/{status['network']['pid']}/ns/net", os.O_RDONLY)
        space = resources.enter_context(NetworkNamespace(far))
        yield Link("split", near, space, bearer["gateway4"], [host.pid, modem.pid])


def modem_status(path: Path) -> dict[str, Any] | None:
    """What a modem says that may not listen yet; None while it has no host."""
    with suppress(MachineError):
        status: dict[str, Any] = request(path, "status")
        return status if status["modem"] is not None else None
    return None


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + SETUP_SECONDS
    while not (value := condition()):
        if time.monotonic() > end:
            raise MachineError(f"waited {SETUP_SECONDS} s for {what}; see why: bamdmux doctor")
        time.sleep(0.01)
    return value


@contextmanager
def socat_link() -> Iterator[Link]:
    """Two TUNs, two socats, and a socket between them that keeps packets apart and loses none."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ExitStack() as resources:
        spaces = [resources.enter_context(NetworkNamespace.create()) for _ in ends]
        pids = []
        for end, space, address in zip(ends, spaces, SOCAT_ADDRESSES, strict=True):
            tun = f"TUN:{address}/30,tun-name=tun0,iff-no-pi,iff-up"
            argv = ["socat", tun, f"FD:{end.fileno()}"]
            pids.append(resources.enter_context(process(argv, space, pass_fds=[end.fileno()])).pid)
            end.close()
        yield Link("socats", spaces[0], spaces[1], SOCAT_ADDRESSES[1], pids)


@contextmanager
def process(
    argv: Sequence[str], namespace: NetworkNamespace | None = None, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a program, in a namespace if one is given; it does not outlive the block, nor us."""

    def enter() -> None:
        set_parent_death_signal(signal.SIGKILL)
        if namespace is not None:
            setns(namespace.fileno(), CLONE_NEWNET)

    with subprocess.Popen(argv, preexec_fn=enter, text=True, **options) as started:
        try:
            yield started
        finally:
            started.kill()


def output_of(argv: Sequence[str], namespace: NetworkNamespace) -> str:
    with process(argv, namespace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
        output, _ = started.communicate()
    if started.returncode:
        raise MachineError(f"{' '.join(argv)} failed: {output.strip()[-200:]}; try once more")
    return output


@contextmanager
def iperf3_server(link: Link) -> Iterator[None]:
    """A server on the far side; the link works when the block begins."""
    with process(["iperf3", "-s"], link.far, stdout=subprocess.DEVNULL):
        output_of(["ping", "-q", "-c1", f"-w{SETUP_SECONDS}", link.far_address], link.near)
        yield


# The jobs


def throughput(link: Link, seconds: int, *options: str) -> tuple[float, float]:
    """Megabits that arrived in a second; gigabits that arrived."""
    argv = ["iperf3", "-c", link.far_address, "-t", str(seconds), "--json", *options]
    received = json.loads(output_of(argv, link.near))["end"]["sum_received"]
    return received["bits_per_second"] / 1e6, received["bytes"] * 8 / 1e9


def round_trip(link: Link) -> tuple[float, float]:
    """Microseconds, the median of many pings one after another; thousands of pings."""
    argv = ["ping", "-n", f"-c{PING_COUNT}", f"-i{PING_INTERVAL_SECONDS}", link.far_address]
    times = re.findall(r"time=([0-9.]+) ms", output_of(argv, link.near))
    return median(float(time) for time in times) * 1000, len(times) / 1000


def compare(job: Job, links: Sequence[Link], rounds: int) -> list[Comparison]:
    """Let the links take turns, and say how each of bamdmux did against the last one, the two socats."""
    results: list[list[float]] = [[] for _ in links]
    costs: list[list[float]] = [[] for _ in links]
    for number in range(1, rounds + 1):
        for link, link_results, link_costs in zip(links, results, costs, strict=True):
            before = link.cpu_seconds()
            result, work = job.measure(link)
            link_results.append(result)
            link_costs.append((link.cpu_seconds() - before) * 1000 / work)
        numbers = ", ".join(f"{link.name} {done[-1]:.0f}" for link, done in zip(links, results, strict=True))
        print(f"{job.name}, round {number} of {rounds}: {numbers} {job.unit}", file=sys.stderr, flush=True)
    return [
        compared(job, link, (ours, results[-1]), (cost, costs[-1]))
        for link, ours, cost in zip(links[:-1], results, costs, strict=False)
    ]


def compared(
    job: Job, link: Link, results: tuple[list[float], list[float]], costs: tuple[list[float], list[float]]
) -> Comparison:
    """What one link of bamdmux and the socats did, round by round, in numbers."""
    better, worse = results if job.more_is_better else results[::-1]
    ratios = [above / below for above, below in zip(better, worse, strict=True)]
    low, high = interval_of_median(ratios)
    return Comparison(
        job=job.name,
        unit=job.unit,
        link=link.name,
        bamdmux=median(results[0]),
        bamdmux_spread=spread(results[0]),
        bamdmux_cpu_ms=median(costs[0]),
        socats=median(results[1]),
        socats_spread=spread(results[1]),
        socats_cpu_ms=median(costs[1]),
        ratio=median(ratios),
        ratio_low=low,
        ratio_high=high,
    )


def start_up() -> list[Figure]:
    """How long `bamdmux run` takes to do nothing, and to answer its first ping."""
    first_ping = ["sh", "-c", 'exec ping -c1 "$BAMDMUX_GATEWAY4"']  # line 1: what it does; line 2: the answer
    to_exit, to_answer = [], []
    for number in range(1, START_COUNT + 1):
        to_exit.append(seconds_until(lambda runner: runner.wait(), ["true"]))
        to_answer.append(seconds_until(lambda runner: list(islice(runner.stdout or (), 2)), first_ping))
        print(f"start-up, round {number} of {START_COUNT}: {to_exit[-1]:.2f} s", file=sys.stderr, flush=True)
    return [
        Figure("run -- true", "s", median(to_exit), 0.6),
        Figure("first ping answered after", "s", median(to_answer), 1.0),
    ]


def seconds_until(wait: Callable[[subprocess.Popen[str]], object], argv: Sequence[str]) -> float:
    begin = time.monotonic()
    with process([*RUN, "--", *argv], stdout=subprocess.PIPE) as runner:
        wait(runner)
        elapsed = time.monotonic() - begin
        runner.communicate()
    return elapsed


# Numbers


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the true median with at least COVERAGE.

    Each value lies above it with probability 1/2, whatever the distribution.
    """
    ordered, count = sorted(values), len(values)
    left_out, outside = 0, 2 * 0.5**count
    while (further := outside + 2 * math.comb(count, left_out + 1) * 0.5**count) <= 1 - COVERAGE:
        left_out, outside = left_out + 1, further
    return ordered[left_out], ordered[-1 - left_out]


def spread(values: Sequence[float]) -> float:
    """Half of the range, in parts of the median."""
    return (max(values) - min(values)) / 2 / median(values)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS  # utime, stime


def _peak_megabytes(pid: int) -> float:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


# Saying


def show(comparisons: Sequence[Comparison], figures: Sequence[Figure]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job")
    table.add_column("link")
    for heading in ("bamdmux", "two socats", "ratio", "interval", "CPU, ms"):
        table.add_column(heading, justify="right")
    for result in comparisons:
        table.add_row(
            f"{result.job}, {result.unit}",
            result.link,
            f"{result.bamdmux:.0f} ±{result.bamdmux_spread:.0%}",
            f"{result.socats:.0f} ±{result.socats_spread:.0%}",
            f"{result.ratio:.2f}",
            f"{result.ratio_low:.2f} to {result.ratio_high:.2f}",
            f"{result.bamdmux_cpu_ms:.0f} : {result.socats_cpu_ms:.0f}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print("ratio above 1: bamdmux is faster; ±: half of the range; CPU: a Gbit, 1000 pings")
    for figure in figures:
        console.print(f"{figure.name}: {figure.value:.3g} {figure.unit} (at most {figure.limit:g})")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(min=5), default=7, show_default=True, help="Of each job.")
@click.option("--seconds", type=click.IntRange(min=1), default=1, show_default=True, help="Of each iperf3.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def main(rounds: int, seconds: int, as_json: bool) -> None:
    """Compare `bamdmux run`, and `bamdmux host` with `bamdmux modem`, with two socats."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise click.ClickException(f"{program} is missing; on Debian: sudo apt-get install {package}")
    jobs = (
        Job("TCP up", "Mbit/s", lambda link: throughput(link, seconds)),
        Job("TCP down", "Mbit/s", lambda link: throughput(link, seconds, "--reverse")),
        Job("round trip", "us", round_trip, more_is_better=False),
    )
    try:
        enter_user_namespace()
        with ExitStack() as resources:
            makers = (bamdmux_link, split_link, socat_link)
            links = [resources.enter_context(make()) for make in makers]
            for link in links:
                resources.enter_context(iperf3_server(link))
            comparisons = [result for job in jobs for result in compare(job, links, rounds)]
            memory = Figure("memory at its peak", "MB", _peak_megabytes(links[0].pids[0]), 60)
        figures = [*start_up(), memory]
    except (MachineError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print(
            json.dumps(
                {
                    "comparisons": [asdict(comparison) for comparison in comparisons],
                    "figures": [asdict(figure) for figure in figures],
                },
                indent=2,
            )
        )
    else:
        show(comparisons, figures)


if __name__ == "__main__":
    main()
