"""The jobs: what every link has to do, and what is measured of it. One entry in JOBS each.

TCP is iperf3's affair; UDP, round trips and wake-ups are those of probe.c. All of them begin on the near
side, so that links which lead one way only can take part.

A job works on *stations*: links that stand, with servers on their far side which wait and cost nothing. Most
jobs have the stations one after the other; what can be watched on all at once is.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bamdmux.bench import usage
from bamdmux.bench.configurations import is_suspended
from bamdmux.bench.peers import COMPILER, Program
from bamdmux.bench.place import Link, Place
from bamdmux.bench.results import Sample
from bamdmux.bench.station import Station, finish, start
from bamdmux.errors import MachineError

IPERF3: Final[Program] = ("iperf3", "iperf3")
TCP_SECONDS: Final = 1
UDP_SECONDS: Final = 0.4
IDLE_SECONDS: Final = 3.0
SUSPEND_LOOK_SECONDS: Final = 0.05
EXCHANGES: Final = 900
SERIES: Final = 5  # of exchanges, each by a new process
PING_BYTES: Final = 64
PROBE_PORT: Final = 5203
ECHO_PORT: Final = 5204
MEGABYTE: Final = 1024  # kilobytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that a job yields for each link."""

    name: str
    title: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do, and to measure.

    Attributes:
        measure: for one station after the other; or
        measure_all: for all at once.
        is_ours: for links of bamdmux alone.
        is_once: after the last round only.
        cost: what the processor time is divided by, and in which unit it is told; empty: it is not told.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Station], Sample] | None = None
    measure_all: Callable[[Sequence[Station]], Mapping[str, Sample]] | None = None
    programs: tuple[Program, ...] = ()
    is_ours: bool = False
    is_once: bool = False
    cost: str = ""
    cost_scale: float = 1.0


def serve(place: Place, link: Link, *, iperf3: bool, echo: bool) -> None:
    """Start the servers on the far side that jobs want to find."""
    if iperf3:
        place.start("iperf3", "-s", inside=link.far)
    if echo:
        place.start(place.compiled("probe"), "echo", str(ECHO_PORT), inside=link.far)


def warm_up(station: Station, *, iperf3: bool, echo: bool) -> None:
    """Let it do some of everything once before anything counts: caches, buffers, neighbours."""
    if iperf3:
        for direction in ((), ("--reverse",)):
            station.run(*_iperf3(station), "-n", "20M", *direction)
    if echo:
        _ping(station, 200)


# TCP


def tcp(*options: str) -> Callable[[Station], Sample]:
    """A measurement of what arrives over TCP in a second, by iperf3."""

    def measure(station: Station) -> Sample:
        argv = (*_iperf3(station), "-t", str(TCP_SECONDS), *options)
        output, own, machine = station.cost_of(lambda: station.run(*argv))
        document = json.loads(output)
        end = document["end"]
        received = end.get("sum_received")
        if received is None:
            raise MachineError(f"iperf3 has no result: {document.get('error', output[-200:])}")
        return Sample(
            values={
                "throughput": received["bits_per_second"] / 1e6,
                "retransmits": end["sum_sent"].get("retransmits", 0),
            },
            work=received["bytes"] * 8 / 1e9,
            cpu_seconds=own,
            machine_cpu_seconds=machine,
        )

    return measure


def _iperf3(station: Station) -> tuple[str, ...]:
    return ("iperf3", "-c", station.link.far_address, "--json")


# UDP


def udp(size: int) -> Callable[[Station], Sample]:
    """A measurement of how many datagrams arrive in a second, when somebody sends as fast as it can."""

    def measure(station: Station) -> Sample:
        (sent, received, seconds, room), own, machine = station.cost_of(lambda: _blast(station, size))
        return Sample(
            values={
                "rate": received / seconds / 1000,
                "sent": sent / UDP_SECONDS / 1000,
                "receive_buffer": room,
            },
            work=received * size * 8 / 1e9,
            cpu_seconds=own,
            machine_cpu_seconds=machine,
        )

    return measure


def _blast(station: Station, size: int) -> tuple[int, int, float, int]:
    """Datagrams that were sent, that arrived, the seconds in which they did, and the receiver's room."""
    probe = station.place.compiled("probe")
    with start(station.link.far, probe, "sink", str(PROBE_PORT)) as sink:
        assert sink.stdout is not None
        ready = sink.stdout.readline()
        milliseconds = str(round(UDP_SECONDS * 1000))
        said = station.run(probe, "blast", station.link.far_address, str(PROBE_PORT), str(size), milliseconds)
        _, received, nanoseconds = finish(sink).split()
    if int(received) == 0:
        raise MachineError("no datagram arrived")
    return int(said.split()[1]), int(received), int(nanoseconds) / 1e9, int(ready.split()[1])


# Round trips


def round_trip(station: Station) -> Sample:
    """Of some series, the one in the middle: on which processor who runs makes twice the time, or half."""
    series, own, machine = station.cost_of(lambda: [_ping(station, EXCHANGES) for _ in range(SERIES)])
    answers = sum(each.answers for each in series)
    return Sample(
        values={
            "p50": median(each.p50_us for each in series),
            "p99": median(each.p99_us for each in series),
            "lost": SERIES * EXCHANGES - answers,
        },
        work=answers,
        cpu_seconds=own,
        machine_cpu_seconds=machine,
    )


def wake_up(station: Station) -> Sample:
    """How long the first exchange takes of a link that sleeps."""
    wait_until_suspended(station)
    return Sample(values={"first": _ping(station, 1).p50_us / 1000})


def wait_until_suspended(station: Station) -> None:
    """Its state is asked for from time to time, which wakes the process, but not the link."""
    station.place.wait_until(lambda: is_suspended(station.link), "its suspend", SUSPEND_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Series:
    """Exchanges one after the other: how many were answered, and in what time half of them and 99 % were."""

    answers: int
    p50_us: float
    p99_us: float


def _ping(station: Station, count: int) -> Series:
    argv = (station.link.far_address, str(ECHO_PORT), str(PING_BYTES), str(count))
    _, answers, _, p50, p99 = station.run(station.place.compiled("probe"), "ping", *argv).split()
    return Series(int(answers), int(p50) / 1000, int(p99) / 1000)


# What a link costs that does nothing, or has just begun


def idle(stations: Sequence[Station]) -> dict[str, Sample]:
    """What all of them do while nobody wants anything."""
    for station in stations:
        if station.link.control is not None:
            wait_until_suspended(station)
    begin = time.monotonic()
    before = [_used(station) for station in stations]
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - begin
    samples = {}
    for station, (cpu_before, wakeups_before) in zip(stations, before, strict=True):
        if station.place.reason_of_death():
            continue
        cpu, wakeups = _used(station)
        samples[station.contender.name] = Sample(
            values={
                "wakeups": (wakeups - wakeups_before) / seconds,
                "cpu": (cpu - cpu_before) / seconds * 1000,
            }
        )
    return samples


def _used(station: Station) -> tuple[float, int]:
    return usage.cpu_seconds(station.link.pids), usage.wakeups(station.link.pids)


def start_up(station: Station) -> Sample:
    """How long `bamdmux run` takes to do nothing."""
    begin = time.monotonic()
    finish(start(None, *station.contender.run, "--", "true", environment=station.contender.environment))
    return Sample(values={"time": (time.monotonic() - begin) * 1000})


def set_up(station: Station) -> Sample:
    return Sample(values={"time": station.seconds * 1000})


def memory(station: Station) -> Sample:
    pids = station.link.pids
    return Sample(
        values={
            "peak": usage.peak_memory_kilobytes(pids) / MEGABYTE,
            "pss": usage.proportional_memory_kilobytes(pids) / MEGABYTE,
        }
    )


# The table

THROUGHPUT: Final = (Metric(name="throughput", title="", unit="Mbit/s"),)
RATE: Final = (Metric(name="rate", title="", unit="kpackets/s"),)
GIGABIT: Final = "s/Gbit"

JOBS: Final = (
    Job(
        name="tcp-up",
        title="TCP, one flow, up",
        metrics=THROUGHPUT,
        measure=tcp(),
        programs=(IPERF3,),
        cost=GIGABIT,
    ),
    Job(
        name="tcp-down",
        title="TCP, one flow, down",
        metrics=THROUGHPUT,
        measure=tcp("--reverse"),
        programs=(IPERF3,),
        cost=GIGABIT,
    ),
    Job(
        name="tcp4-up",
        title="TCP, four flows, up",
        metrics=THROUGHPUT,
        measure=tcp("--parallel", "4"),
        programs=(IPERF3,),
        cost=GIGABIT,
    ),
    Job(
        name="tcp4-down",
        title="TCP, four flows, down",
        metrics=THROUGHPUT,
        measure=tcp("--parallel", "4", "--reverse"),
        programs=(IPERF3,),
        cost=GIGABIT,
    ),
    *(
        Job(
            name=f"udp-{size}",
            title=f"UDP, {size} bytes, up",
            metrics=RATE,
            measure=udp(size),
            programs=(COMPILER,),
            cost=GIGABIT,
        )
        for size in (64, 512, 1400)
    ),
    Job(
        name="round-trip",
        title="round trip, UDP, 64 bytes",
        metrics=(
            Metric(name="p50", title="half", unit="us"),
            Metric(name="p99", title="99 %", unit="us"),
        ),
        measure=round_trip,
        programs=(COMPILER,),
        cost="us for each",
        cost_scale=1e6,
    ),
    Job(
        name="idle",
        title="while idle",
        metrics=(
            Metric(name="wakeups", title="wake-ups", unit="/s"),
            Metric(name="cpu", title="CPU", unit="ms/s"),
        ),
        measure_all=idle,
    ),
    Job(
        name="wake-up",
        title="first exchange after suspend",
        metrics=(Metric(name="first", title="", unit="ms"),),
        measure=wake_up,
        programs=(COMPILER,),
        is_ours=True,
    ),
    Job(
        name="start-up",
        title="bamdmux run -- true",
        metrics=(Metric(name="time", title="", unit="ms"),),
        measure=start_up,
        is_ours=True,
    ),
    Job(
        name="set-up",
        title="from the first process to the first packet",
        metrics=(Metric(name="time", title="", unit="ms"),),
        measure=set_up,
        is_once=True,
    ),
    Job(
        name="memory",
        title="memory after all jobs",
        metrics=(
            Metric(name="peak", title="peak", unit="MB"),
            Metric(name="pss", title="PSS", unit="MB"),
        ),
        measure=memory,
        is_once=True,
    ),
)
