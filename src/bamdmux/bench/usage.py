"""What processes and the machine use: processor time, wake-ups, memory; read from the kernel.

The packets of a link also cost what no process is charged with: interrupts and their work, done in the name
of whoever is just running. That only shows in the time of the whole machine, in which everything else is as
well: the programs that send and receive, and whatever runs here besides.
"""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED: Final = (
    2  # include/linux/posix-timers_types.h: of a process, all its threads, also ended ones
)
IDLE_FIELDS: Final = (3, 4)  # of /proc/stat: idle, and waiting for disks; proc(5)
COUNTED_FIELDS: Final = 8  # user to steal; guests are in user already


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time of these processes so far, to the nanosecond."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):  # it has ended: the job says so
            total += time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    return total


def machine_cpu_seconds() -> float:
    """The processor time of everything that has run on this machine so far, in steps of a clock tick."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    busy = sum(field for index, field in enumerate(fields[:COUNTED_FIELDS]) if index not in IDLE_FIELDS)
    return busy / CLOCK_TICKS


def wakeups(pids: Sequence[int]) -> int:
    """How often threads of these processes have waited for something and gone on."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            total += _field(status, "voluntary_ctxt_switches")
    return total


def peak_memory_kilobytes(pids: Iterable[int]) -> int:
    """The most memory that each of these processes has had at once, summed; shared memory counts in each."""
    return sum(_field(Path(f"/proc/{pid}/status"), "VmHWM") for pid in pids)


def proportional_memory_kilobytes(pids: Iterable[int]) -> int:
    """The memory of these processes now; what several share counts once in all."""
    return sum(_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in pids)


def _field(path: Path, name: str) -> int:
    """One number of the form `name: number unit`; 0 where there is none, or no process any more."""
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
