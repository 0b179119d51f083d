"""Run a piece of bamdmux as somebody: as who runs the tests, and as a user without any privilege.

Root's tests would never notice that something needs root. So what works as *caller* must work as *nobody* as
well: uid 65534, no capabilities, and none to be had. Such a user may not be able to read the source tree nor
the interpreter of the tests, so bamdmux is copied to where everybody may read, and Debian's Python runs it.
Where /dev/net/tun is for root only, which is not what systemd makes of it, nobody sees one with mode 0666.
"""

import atexit
import functools
import os
import select
import shutil
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

import bamdmux
from bamdmux.live.control import request
from bamdmux.pump import VARIABLE

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
# For what can hardly work as nobody and fail as root: it is enough to be the one with the fewest privileges.
for_the_weakest = pytest.mark.parametrize("identity", ["nobody" if os.geteuid() == 0 else "caller"])

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


def as_identity_after(identity: str, script: str, *arguments: str) -> list[str]:
    """As `as_identity`, where root has run a script in a mount namespace before: say, to change /dev/net."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    line = as_identity(identity, *arguments)
    if "setpriv" in line:  # without the open TUN
        line = line[line.index("setpriv") :]
    return ["unshare", "--mount", "sh", "-c", f'{script} || exit; exec "$@"', "sh", *line]


def run_python(identity: str, program: str) -> str:
    """Run a program as `identity`; what it printed. It fails if the program does."""
    line = as_identity(identity, "-c", program)
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_line(line: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command line, as those of `as_identity`, to its end."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    defaults = {"env": environment(), "capture_output": True, "text": True, "timeout": DEADLINE_SECONDS}
    return subprocess.run(line, **{**defaults, **options})


def run_bamdmux(identity: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run bamdmux to its end, and tell what it said."""
    return run_line(as_identity(identity, "-m", "bamdmux", *arguments), **options)


class Link:
    """`bamdmux run` with a shell inside, which is told what to do; use it in a `with` block.

    Args:
        pump: which one it has to use, if not the one that we use.

    Attributes:
        process: bamdmux itself.
        variables: what the shell found in its environment.
        log_path: what bamdmux wrote to stderr, with -vv.
        python: an interpreter that the shell can run.
    """

    END = "bamdmux-test-end"

    def __init__(self, identity: str, *options: str, pump: str = "") -> None:
        self.identity = identity
        self.log_path = scratch() / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                as_identity(identity, "-m", "bamdmux", "-vv", "run", *options, "--", "sh"),
                env=environment() | ({VARIABLE: pump} if pump else {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._seen = b""
        try:
            lines = self.shell("env").splitlines()
        except BaseException:
            self.process.kill()
            self._close()
            raise
        self.python = as_identity(identity)[-1]
        self.variables = dict(line.split("=", 1) for line in lines if "=" in line)
        self.control_path = Path(self.variables["BAMDMUX_CTL"])

    def shell(self, script: str, timeout: float = DEADLINE_SECONDS) -> str:
        """Run a script behind the modem; what it printed, on stdout or stderr. It must succeed."""
        self.start(script)
        return self.finish(timeout)

    def start(self, script: str) -> None:
        """Run a script behind the modem, and do not wait for it; `finish` does."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"(\n{script}\n) </dev/null 2>&1; echo {self.END} $?\n".encode())
        self.process.stdin.flush()

    def finish(self, timeout: float = DEADLINE_SECONDS) -> str:
        """Wait for the script that was started; what it printed."""
        assert self.process.stdout is not None
        limit = time.monotonic() + timeout
        while not ((end := self._seen.rfind(self.END.encode())) >= 0 and self._seen.endswith(b"\n")):
            ready, _, _ = select.select([self.process.stdout], [], [], limit - time.monotonic())
            assert ready, f"no end within {timeout} s after {self._seen[-2000:]!r}"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"bamdmux ended; it had said {self.log()[-20:]}"
            self._seen += data
        output, code = self._seen[:end].decode(), int(self._seen[end:].split()[1])
        self._seen = b""
        assert code == 0, f"exit code {code} after {output}"
        return output.strip()

    def status(self) -> dict[str, Any]:
        """What `bamdmux ctl status` says. It wakes bamdmux, but neither half of the link."""
        answer: dict[str, Any] = request(self.control_path, "status")
        return answer

    def in_network(self, *arguments: str) -> list[str]:
        """The command line that runs something in the network behind the modem."""
        pid = self.status()["network"]["pid"]
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={pid}", *user, "--net", *arguments]

    def run_in_network(self, *arguments: str) -> str:
        """Run something in the network behind the modem; what it printed. It must succeed."""
        line = self.in_network(*arguments)
        done = subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def log(self) -> list[str]:
        """The lines of the log up to now, without their times: `host = waking`."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [line.split("bamdmux.", 1)[-1] for line in lines]

    def end(self) -> int:
        """Let the shell end, and bamdmux with it; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(DEADLINE_SECONDS)

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(DEADLINE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it in order; after a failure, or if it is stuck, by force."""
        try:
            if self.process.poll() is None and kind is None:
                self.end()
        finally:
            self.process.kill()
            self._close()


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
