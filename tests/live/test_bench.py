"""`bamdmux bench`: real links, real programs, few rounds. Nothing here says how fast anything has to be."""

import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bamdmux.bench.configurations import CONFIGURATIONS
from bamdmux.bench.jobs import JOBS
from bamdmux.bench.peers import PEERS
from tests.live.identities import (
    as_identity,
    as_identity_after,
    environment,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_line,
    scratch,
    wait_for,
)
from tests.live.test_doctor import CLOSED_TUN
from tests.live.test_run import forbidding

PROGRAMS = ("cc", "iperf3", "socat")
LIMIT_SECONDS = 120

pytestmark = [
    pytest.mark.live,
    needs_tun,
    *(
        pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program}")
        for program in PROGRAMS
    ),
]


class Bench:
    """`bamdmux bench` with an environment by which all that it starts is recognized, wherever it has gone."""

    def __init__(self, identity: str, *arguments: str) -> None:
        self.mark = f"BAMDMUX_BENCH_TEST={uuid.uuid4()}"
        self.folder = scratch()
        name, _, value = self.mark.partition("=")
        self.line = as_identity(identity, "-m", "bamdmux", "bench", *arguments)
        self.environment = {**environment(), name: value, "TMPDIR": str(self.folder)}

    def run(self) -> subprocess.CompletedProcess[str]:
        return run_line(self.line, env=self.environment, timeout=LIMIT_SECONDS)

    def start(self) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(self.line, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def processes(self) -> Iterator[tuple[int, str]]:
        """All that have the mark, and what they are called."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name), (folder / "comm").read_text().strip()

    def assert_nothing_is_left(self) -> None:
        """No process, and with it no namespace; and no file."""
        wait_for(lambda: not list(self.processes()), "the last process to end")
        assert list(self.folder.iterdir()) == []
        names = {"forward", "probe", *(each.name for each in (*PEERS, *CONFIGURATIONS))}
        assert not names & set(os.listdir("/dev/shm"))


def failures(document: dict[str, Any]) -> list[str]:
    """What went wrong, but for measurements in the middle of which the machine was paused."""
    return [line for line in document["failures"] if not line.endswith("; done again")]


def wait_for_rounds(process: "subprocess.Popen[str]") -> None:
    """Until the first job of the first round is done."""
    assert process.stderr is not None
    line = next(line for line in process.stderr if "; done again" not in line)
    assert line.startswith("round 1 of ")


def measured(document: dict[str, Any], job: str) -> dict[str, list[dict[str, float]]]:
    """For each link the values of each round."""
    links = document["samples"][job].items()
    return {name: [sample["values"] for sample in samples] for name, samples in links}


@for_each_identity
def test_a_quick_run_measures_and_leaves_nothing(identity: str) -> None:
    options = ("--quick", "--peers", "one-socat", "--configurations", "fused-32", "--rounds", "1")
    bench = Bench(identity, *options, "--json")
    done = bench.run()
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["left_out"], failures(document)) == ({}, [])
    assert set(document["samples"]) == {"tcp-up", "tcp-down", "round-trip"}
    for job in document["samples"]:
        values = measured(document, job)
        assert set(values) == {"one-socat", "fused-32"}
        for (sample,) in document["samples"][job].values():
            (metric, *_) = next(each for each in JOBS if each.name == job).metrics
            assert sample["values"][metric.name] > 0
            assert sample["work"] > 0
            assert sample["cpu_seconds"] > 0
    assert "round 1 of 1, tcp-up: one-socat " in done.stderr
    bench.assert_nothing_is_left()


def test_the_other_jobs_measure_too() -> None:
    jobs = "udp-64,udp-1400,tcp4-up,idle,wake-up,start-up,set-up,memory"
    bench = Bench("caller", "--jobs", jobs, "--peers", "straight", "--rounds", "1", "--json")
    bench.line += ["--configurations", "fused-32"]
    done = bench.run()
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert failures(document) == []
    for job in ("udp-64", "udp-1400"):
        for (values,) in measured(document, job).values():
            assert values["sent"] > 0
            assert values["rate"] > 0
    assert set(measured(document, "wake-up")) == set(measured(document, "start-up")) == {"fused-32"}
    for job, metric in (("wake-up", "first"), ("start-up", "time")):
        assert all(each[metric] > 0 for each in measured(document, job)["fused-32"])
    assert all(len(each) == 1 for each in measured(document, "idle").values())
    for (values,) in measured(document, "set-up").values():
        assert values["time"] > 0
    for (values,) in measured(document, "memory").values():
        assert values["peak"] >= values["pss"] > 0


def test_every_peer_that_is_installed_carries_packets() -> None:
    done = Bench(
        "caller", "--jobs", "round-trip,set-up", "--configurations", "none", "--rounds", "1", "--json"
    ).run()
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert failures(document) == []
    taken_part = {each["name"] for each in document["participants"]}
    assert taken_part | set(document["left_out"]) == {each.name for each in PEERS}
    for reason in document["left_out"].values():
        assert "is not installed; on Debian: sudo apt-get install " in reason
    for ((values,),) in zip(measured(document, "round-trip").values(), strict=True):
        assert values["p99"] >= values["p50"] > 0
        assert values["lost"] == 0


def test_tables_are_printed_for_people() -> None:
    options = ("--jobs", "set-up", "--peers", "veth", "--configurations", "none", "--rounds", "1")
    done = Bench("caller", *options).run()
    assert done.returncode == 0, done.stderr
    assert "from the first process to the first packet: ms" in done.stdout
    assert any(line.startswith("veth ") for line in done.stdout.splitlines())


def test_who_is_not_installed_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    bench = Bench("caller", "--jobs", "set-up,udp", "--configurations", "none", "--rounds", "1", "--json")
    bench.environment["PATH"] = str(tmp_path)
    done = bench.run()
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    socat = "socat is not installed; on Debian: sudo apt-get install socat"
    compiler = "cc is not installed; on Debian: sudo apt-get install gcc libc6-dev"
    assert document["left_out"]["two-socats"] == socat
    assert document["left_out"]["straight"] == document["left_out"]["udp-64"] == compiler
    assert f"without two-socats: {socat}\n" in done.stderr
    assert "veth" in measured(document, "set-up")


def test_where_nothing_can_be_measured_the_reason_is_said(tmp_path: Path) -> None:
    bench = Bench("caller", "--jobs", "tcp", "--peers", "veth", "--configurations", "none")
    bench.environment["PATH"] = str(tmp_path)
    done = bench.run()
    assert done.returncode == 1
    assert "bamdmux: iperf3 is not installed; on Debian: sudo apt-get install iperf3" in done.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@for_the_weakest
def test_whatever_ends_it_nothing_is_left(identity: str, signum: signal.Signals) -> None:
    options = ("--jobs", "round-trip,tcp", "--peers", "straight,two-socats", "--configurations", "split-32")
    bench = Bench(identity, *options)
    with bench.start() as process:
        wait_for_rounds(process)
        assert len(list(bench.processes())) > 5
        process.send_signal(signum)
        process.wait(LIMIT_SECONDS)
    assert process.returncode == (-signum if signum == signal.SIGKILL else _code_of(signum))
    bench.assert_nothing_is_left()


def _code_of(signum: int) -> int:
    return 128 + signum


def test_a_link_that_breaks_down_is_noted_and_takes_no_part_any_more() -> None:
    options = (
        "--jobs",
        "round-trip",
        "--peers",
        "veth,one-socat",
        "--configurations",
        "none",
        "--rounds",
        "4",
    )
    bench = Bench("caller", *options, "--json")
    with bench.start() as process:
        wait_for_rounds(process)
        (socat,) = [pid for pid, name in bench.processes() if name == "socat"]
        os.kill(socat, signal.SIGKILL)
        output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0
    document = json.loads(output)
    (failure,) = failures(document)
    assert "one-socat: socat has ended" in failure
    samples = document["samples"]["round-trip"]
    assert len(samples["one-socat"]) == len(samples["veth"]) == 4
    assert samples["one-socat"][0] is not None
    assert samples["one-socat"][-1] is None
    assert None not in samples["veth"]


def test_without_permission_for_the_tun_driver_it_says_what_mends_it() -> None:
    done = run_line(as_identity_after("nobody", CLOSED_TUN, "-m", "bamdmux", "bench", "--quick"))
    assert done.returncode == 1
    assert done.stderr.startswith("bamdmux: /dev/net/tun (mode 0600) is not for this user; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["user", "net", "pid", "mnt"])
def test_where_namespaces_are_forbidden_it_says_so(kind: str) -> None:
    done = run_line(forbidding(kind, "bench", "--quick"))
    assert done.returncode == 1
    assert f"user.max_{kind}_namespaces" in done.stderr
    assert done.stderr.count("\n") == 1
