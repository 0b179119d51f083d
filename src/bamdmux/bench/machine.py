"""What this machine has for a run: programs, a compiler for ours, and what to know of it afterwards."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bamdmux.bench import usage
from bamdmux.bench.peers import COMPILER, Program
from bamdmux.errors import MachineError
from bamdmux.live.clients.programs import find_program
from bamdmux.live.tun import Tun
from bamdmux.version import VERSION

SOURCES: Final = ("forward", "probe")
COMPILER_SECONDS: Final = 60.0
VERSION_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 1.0


def try_tun() -> None:
    """See that we may make TUNs, without which nobody has to do anything.

    Raises:
        MachineError: we may not; the message says what mends it.
    """
    Tun.create("tun0").close()


def find_programs(programs: Sequence[Program]) -> None:
    """See that all of them are installed.

    Raises:
        MachineError: one is not; the message names Debian's package.
    """
    for name, package in programs:
        find_program(name, package)


def compile_programs(folder: Path) -> None:
    """Make our C programs in `folder`.

    Raises:
        MachineError: there is no compiler, or it has no C library.
    """
    find_programs([COMPILER])
    for name in SOURCES:
        source = Path(__file__).with_name(f"{name}.c")
        done = subprocess.run(
            [COMPILER[0], "-O2", "-o", str(folder / name), str(source)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMPILER_SECONDS,
        )
        if done.returncode:
            words = next(
                (line for line in done.stderr.splitlines() if "error" in line), "it does not say why"
            )
            raise MachineError(
                f"cc cannot compile: {words.strip()}; on Debian: sudo apt-get install {COMPILER[1]}"
            )


def describe() -> dict[str, str]:
    """What a reader of results wants to know of the machine. It is watched for a second."""
    busy, begin = usage.machine_cpu_seconds(), time.monotonic()
    time.sleep(LOOK_SECONDS)
    share = (usage.machine_cpu_seconds() - busy) / (time.monotonic() - begin) / (os.cpu_count() or 1)
    return {
        "bamdmux": VERSION,
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "kernel": platform.release(),
        "system": _system(),
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "python": platform.python_version(),
        "pump": "native" if find_spec("bamdmux._pump") is not None else "Python alone",
        "busy_before": f"{share:.0%}",
        "user": "root" if _is_root() else "not root",
    }


def version_of(argv: Sequence[str]) -> str:
    """What a program says of its version: the first number with a dot; empty if it says none."""
    if not argv:
        return ""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=VERSION_SECONDS
        )
        for line in (done.stdout + done.stderr).splitlines():
            if (match := re.search(r"\bv?(\d+(\.\d+)+)", line)) and "://" not in line:
                return match[1]
    return ""


def _is_root() -> bool:
    """Whether we are the machine's root, and not that of a user namespace of ours."""
    mapped = Path("/proc/self/uid_map").read_text().split()
    return os.geteuid() == 0 and mapped[:2] == ["0", "0"]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return platform.system()
