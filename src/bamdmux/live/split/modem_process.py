"""The modem as a child of ours: `bamdmux modem`, started again when it dies, as on a phone."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bamdmux.errors import BamDmuxError, MachineError
from bamdmux.live.control import request
from bamdmux.live.loop import Loop
from bamdmux.live.namespaces import set_parent_death_signal
from bamdmux.timing import MILLISECOND, Duration, Instant

LOG: Final = logging.getLogger("bamdmux.run")

RESTART_DELAY_NS: Final[Duration] = 100 * MILLISECOND
END_TIMEOUT_SECONDS: Final = 2.0  # from SIGTERM to SIGKILL
STATUS_TIMEOUT_SECONDS: Final = 0.2  # packets wait meanwhile


class ModemProcess:
    """A side of the runner that keeps a modem process alive.

    Args:
        path: where it shall listen.
        control_path: where it shall have its control socket.
        arguments: what else `bamdmux modem` is told.
        faults: and the faults that it begins with, each with its rate; `faults` may be changed later.
    """

    def __init__(
        self,
        loop: Loop,
        path: Path,
        control_path: Path,
        arguments: Sequence[str],
        faults: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        verbosity = (
            "-vv" if LOG.isEnabledFor(logging.DEBUG) else "-v" if LOG.isEnabledFor(logging.INFO) else "-q"
        )
        self._line = [sys.executable, "-m", "bamdmux", verbosity, "modem"]
        self._line += ["--listen", os.fspath(path), "--ctl", os.fspath(control_path), *arguments]
        self.faults = dict(faults)
        self._loop = loop
        self.control_path = control_path
        self.start_count = 0
        self.deadline: Instant | None = None
        self._start()

    def _start(self) -> None:
        parent = os.getpid()

        def die_with_parent() -> None:
            set_parent_death_signal(signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked to be told
                os._exit(1)

        # A group of its own: Ctrl-C is for the command, and then we tell.
        self._process = subprocess.Popen(
            self._line + [f"--fault={name}={rate!r}" for name, rate in self.faults.items()],
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=die_with_parent,
        )
        self.start_count += 1
        self.deadline = None
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.watch(self._pidfd, self._has_died)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask_status(self) -> dict[str, Any]:
        """What it says of the modem and of the network; nothing if it does not answer at once."""
        try:
            status = request(self.control_path, "status", timeout_seconds=STATUS_TIMEOUT_SECONDS)
        except BamDmuxError:
            return {}
        return {name: status[name] for name in ("modem", "network", "control")}

    def pass_on(self, message: Mapping[str, Any], now: Instant) -> object:
        """Have it do what its control socket was not asked for, but ours was.

        Raises:
            MachineError: it does not answer.
            UsageError: it does not take these arguments.
        """
        arguments = {name: value for name, value in message.items() if name != "command"}
        return request(
            self.control_path, message["command"], timeout_seconds=STATUS_TIMEOUT_SECONDS, **arguments
        )

    def _has_died(self, now: Instant) -> None:
        code = self._reap()
        if not self.control_path.exists():
            raise MachineError(f"the modem process ended (exit code {code}) before it could listen")
        LOG.warning("= the modem process has ended (%d), starting it again", code)
        self.deadline = now + RESTART_DELAY_NS

    def handle_timeout(self, now: Instant) -> None:
        if self.deadline is not None and now >= self.deadline:
            self._start()

    def feed(self, now: Instant) -> None:
        """Everything comes by a callback of the loop."""

    def carry_out_actions(self, now: Instant) -> bool:
        """We are no machine."""
        return False

    def arm(self) -> None:
        """Nothing to wake."""

    def _reap(self) -> int:
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        return self._process.wait()

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self.deadline = None
        if self._process.returncode is not None:
            return  # dead already
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()
