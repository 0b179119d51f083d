"""Debian's qmicli, unmodified, against a ControlPlane behind a PTY.

    python -m tests.modem.control.qmicli --nas-get-serving-system      # prints what qmicli makes of our modem

There is no link, no network and no clock: the plane is asked, answers, and time stands still.
"""

import os
import select
import shutil
import subprocess
import sys
import termios
import tty
from dataclasses import dataclass
from types import TracebackType

from bamdmux.actions import PortKind, SendToPort
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile

QMICLI = shutil.which("qmicli")
TIMEOUT_SECONDS = 20.0  # without a byte from qmicli: it hangs, and is ended
PORT = 0


@dataclass(frozen=True)
class Printed:
    """What qmicli left behind."""

    exit_code: int
    text: str

    def __contains__(self, words: str) -> bool:
        return words in self.text


class QmiNode:
    """The node that a host finds in /dev: a PTY whose far end is the plane. Programs open it in turn."""

    def __init__(self, plane: ControlPlane, now: int = 0) -> None:
        self.plane = plane
        self.now = now
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        plane.port_opened(PORT, PortKind.QMI, now)

    def __enter__(self) -> "QmiNode":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._ours)
        os.close(self._theirs)

    def qmicli(self, *arguments: str) -> Printed:
        """Run qmicli once, and serve it until it has ended."""
        assert QMICLI is not None
        process = subprocess.Popen(
            [QMICLI, "-d", os.ttyname(self._theirs), "--device-open-qmi", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert process.stdout is not None
        with process, process.stdout as stdout:
            text = self._serve(process, stdout.fileno())
            exit_code = process.wait()
        termios.tcflush(self._theirs, termios.TCIOFLUSH)  # as the kernel's port does on the last close
        return Printed(exit_code, text.decode())

    def _serve(self, process: subprocess.Popen[bytes], output: int) -> bytes:
        text = b""
        while True:
            readable, _, _ = select.select([self._ours, output], [], [], TIMEOUT_SECONDS)
            if self._ours in readable:
                self.plane.received(PORT, os.read(self._ours, 4096), self.now)
                self.send()
            if output in readable:
                part = os.read(output, 4096)
                if not part:
                    return text
                text += part
            if not readable:
                process.kill()
                return text + b"qmicli hangs"

    def send(self) -> None:
        """Let whoever has the node open read what the plane has to say."""
        for action in self.plane.take_actions():
            if isinstance(action, SendToPort):
                os.write(self._ours, action.data)


def booted_plane() -> ControlPlane:
    """A modem that is registered, in the home network of its SIM."""
    profile = load_profile("msm8916")
    plane = ControlPlane(profile, PacketDataNetwork(profile.channels))
    plane.boot(now=0)
    return plane


def main() -> int:
    with QmiNode(booted_plane()) as node:
        printed = node.qmicli(*sys.argv[1:])
    print(printed.text, end="")
    return printed.exit_code


if __name__ == "__main__":
    sys.exit(main())
