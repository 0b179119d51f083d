"""Run a piece of bamdmux as somebody: as who runs the tests, and as a user without any privilege.

Root's tests would never notice that something needs root. So what works as *caller* must work as *nobody* as
well: uid 65534, no capabilities, and none to be had. Such a user may not be able to read the source tree nor
the interpreter of the tests, so bamdmux is copied to where everybody may read, and Debian's Python runs it.
Where /dev/net/tun is for root only, which is not what systemd makes of it, nobody sees one with mode 0666.
"""

import atexit
import functools
import os
import shutil
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import bamdmux

DEADLINE_SECONDS = 20  # for anything to happen; far longer than it takes, even on a busy machine
NOBODY = 65534
TUN = Path("/dev/net/tun")

# Run what follows, as the same process, in a mount namespace where everybody may open a TUN; $1 is a folder.
WITH_OPEN_TUN = """
mount -t tmpfs -o dev,mode=0755 tmpfs "$1" && mknod -m 0666 "$1/tun" c 10 200 &&
mount --bind "$1/tun" /dev/net/tun || exit
shift
exec "$@"
"""

# Tests marked so take an `identity`, which they hand on to `as_identity`.
for_each_identity = pytest.mark.parametrize("identity", ["caller", "nobody"])

# What all tests of interfaces begin with: a namespace, and a shell in it.
NETWORK_PRELUDE = """
import os, select, socket, subprocess, sys
from bamdmux.errors import MachineError
from bamdmux.live.namespaces import NetworkNamespace, enter_user_namespace
enter_user_namespace()
namespace = NetworkNamespace.create()
def shell(command):
    run = lambda: subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True)
    return namespace.run(run).stdout.strip()
def refused(function):
    try:
        namespace.run(function)
    except MachineError as error:
        return str(error)
"""

needs_tun = pytest.mark.skipif(not TUN.exists(), reason="there is no /dev/net/tun; sudo modprobe tun")

Value = TypeVar("Value")


def as_identity(identity: str, *arguments: str) -> list[str]:
    """The command line that runs Python with `arguments` as `identity`; where that cannot work, skip."""
    reason = _reason_to_skip(identity)
    if reason:
        pytest.skip(reason)
    return _command_line(identity, *arguments)


def run_python(identity: str, program: str) -> str:
    """Run a program as `identity`; what it printed. It fails if the program does."""
    line = as_identity(identity, "-c", program)
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def environment() -> dict[str, str]:
    packages = [str(stage()), *site.getsitepackages()]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1"}


@functools.cache
def stage() -> Path:
    """A folder that everybody may read, with bamdmux and the drivers of the tests in it."""
    folder = Path(tempfile.mkdtemp(prefix="bamdmux-stage-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    shutil.copytree(
        Path(bamdmux.__file__).parent, folder / "bamdmux", ignore=shutil.ignore_patterns("__pycache__")
    )
    for driver in Path(__file__).parent.glob("*_driver.py"):
        shutil.copy(driver, folder)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return folder


def scratch() -> Path:
    """A new folder in which everybody may write."""
    folder = Path(tempfile.mkdtemp(dir=stage()))
    folder.chmod(0o777)
    return folder


def wait_for(condition: Callable[[], Value], what: str) -> Value:
    """Poll until `condition` gives something true, and return that."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {DEADLINE_SECONDS} s for {what}"
        time.sleep(0.01)
    return value


@functools.cache
def _reason_to_skip(identity: str) -> str:
    if identity == "nobody" and os.geteuid() != 0:
        return "only root can become another user"
    probe = (
        "from bamdmux.errors import MachineError\n"
        "from bamdmux.live.namespaces import *\n"
        "try: enter_user_namespace(); NetworkNamespace.create().close()\n"
        "except MachineError as error: print(error)\n"
    )
    line = _command_line(identity, "-c", probe)
    done = subprocess.run(line, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _command_line(identity: str, *arguments: str) -> list[str]:
    if identity == "caller":
        return [sys.executable, *arguments]
    privileged = _with_open_tun() if _is_tun_closed() else []
    without = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all"]
    return [*privileged, "setpriv", *without, _python_for_everybody(), *arguments]


def _is_tun_closed() -> bool:
    return TUN.exists() and TUN.stat().st_mode & 0o006 != 0o006


@functools.cache
def _with_open_tun() -> list[str]:
    folder = stage() / "dev"
    folder.mkdir()
    return ["unshare", "--mount", "sh", "-c", WITH_OPEN_TUN, "sh", str(folder)]


def _python_for_everybody() -> str:
    path = Path(sys.executable).resolve()
    readable = all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))
    return sys.executable if readable else "/usr/bin/python3"
