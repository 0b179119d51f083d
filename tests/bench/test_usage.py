"""What processes use: read from the kernel, of processes that do something known."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bamdmux.bench.usage import (
    cpu_seconds,
    machine_cpu_seconds,
    peak_memory_kilobytes,
    proportional_memory_kilobytes,
    wakeups,
)

# It says that it is there, and then does what it is told, line by line.
OBEDIENT = """
import sys, time
print(flush=True)
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""
BURN = "end = time.process_time() + 0.05\nwhile time.process_time() < end: pass"
BURN_LINE = f"exec({BURN!r})"


@contextmanager
def obedient() -> Iterator[tuple[int, "Obey"]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OBEDIENT], text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        yield process.pid, Obey(process)
        process.stdin.close()


class Obey:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self._process.stdout.readline()


def test_the_time_of_a_process_is_its_own() -> None:
    with obedient() as (pid, do), obedient() as (other, _):
        before, others_before = cpu_seconds([pid]), cpu_seconds([other])
        do(BURN_LINE)
        assert cpu_seconds([pid]) - before >= 0.05
        assert cpu_seconds([other]) - others_before < 0.05


def test_times_add_up() -> None:
    with obedient() as (pid, _), obedient() as (other, _):
        assert cpu_seconds([pid, other]) == cpu_seconds([pid]) + cpu_seconds([other])


def test_the_machine_uses_at_least_what_one_of_its_processes_does() -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    with obedient() as (_, do):
        before = machine_cpu_seconds()
        do(BURN_LINE)
        assert machine_cpu_seconds() - before >= 0.05 - 2 * tick


def test_a_process_that_waits_and_goes_on_has_woken_up() -> None:
    with obedient() as (pid, do):
        before = wakeups([pid])
        do("[time.sleep(0.001) for _ in range(20)]")
        assert wakeups([pid]) - before >= 20


def test_memory_that_was_given_back_stays_in_the_peak() -> None:
    with obedient() as (pid, do):
        peak = peak_memory_kilobytes([pid])
        do("data = bytes(b'x' * 50_000_000)")
        used = proportional_memory_kilobytes([pid])
        do("del data")
        assert peak_memory_kilobytes([pid]) - peak > 45_000
        assert used - proportional_memory_kilobytes([pid]) > 45_000


def test_a_process_that_has_ended_uses_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    pid = process.pid
    assert (cpu_seconds([pid]), wakeups([pid]), peak_memory_kilobytes([pid])) == (0, 0, 0)
