"""bamdmux as users start it: one entry in CONFIGURATIONS for each way.

    python -m bamdmux run [options] -- a command that lends us its namespace, and does nothing

Nothing is switched off and nothing is added: the link has its eight channels, its control ports, and the
network `internal` behind the modem. Only the options differ.
"""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bamdmux.bench.peers import Contender
from bamdmux.bench.place import READY_SECONDS, Link, Place
from bamdmux.errors import MachineError
from bamdmux.live.control import request
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.pump import VARIABLE

RUN: Final = (sys.executable, "-m", "bamdmux", "run")
# Of who starts us it means nothing: each configuration has its own.
PUMP_VARIABLE: Final = VARIABLE
PYTHON_PUMP: Final = {PUMP_VARIABLE: "python"}

# What the command of `bamdmux run` does: it sends the path of the control socket and its namespace to
# whoever is at its stdin, and stays until that one is gone.
LEND_NAMESPACE: Final = """
import os, socket
lender = socket.socket(fileno=0)
namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
socket.send_fds(lender, [os.environ["BAMDMUX_CTL"].encode()], [namespace])
lender.recv(1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to start `bamdmux run`."""

    name: str
    summary: str
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def open(self, place: Place) -> Link:
        """Start it; the link is ready when its first packet can pass."""
        ours, theirs = socket.socketpair()
        place.keep(ours)
        with theirs:
            argv = (*self.run, "--", sys.executable, "-c", LEND_NAMESPACE)
            place.start(*argv, environment=self.environment, stdin=theirs, name="bamdmux run")
        ours.settimeout(READY_SECONDS)
        path, descriptors, _, _ = socket.recv_fds(ours, 4096, 1)
        if not descriptors:
            raise MachineError(place.wait_until(place.reason_of_death, "bamdmux run to end"))
        near = place.keep(NetworkNamespace(descriptors[0]))
        control = Path(path.decode())
        status = request(control, "status")
        network = os.open(f"/proc/{status['network']['pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return Link(
            near=near,
            far=place.keep(NetworkNamespace(network)),
            far_address=status["modem"]["channels"][0]["bearer"]["gateway4"],
            pids=_pids(status),
            control=control,
        )

    @property
    def run(self) -> tuple[str, ...]:
        return (*RUN, *self.options)

    def contender(self) -> Contender:
        return Contender(
            name=self.name,
            summary=self.summary,
            open=self.open,
            run=self.run,
            environment=self.environment,
        )


def is_suspended(link: Link) -> bool:
    """Whether a link of bamdmux sleeps: no vote of the host, and the modem down."""
    assert link.control is not None
    status = request(link.control, "status")
    return bool(
        status["host"]["power"]["vote"] == "suspended" and status["modem"]["power"]["state"] == "down"
    )


def _pids(status: Mapping[str, Any]) -> list[int]:
    """Of the processes that move packets: the one that answers, and that of the modem if it is another."""
    server = Path(f"/proc/{status['network']['pid']}/status").read_text()
    modem = next(int(line.split()[1]) for line in server.splitlines() if line.startswith("PPid:"))
    return sorted({status["pid"], modem})


CONFIGURATIONS: Final = (
    Configuration(name="fused-32", summary="one process, ring 32: the default"),
    Configuration(name="fused-32-mtu2040", summary="the same, MTU 2040", options=("--mtu", "2040")),
    Configuration(name="fused-512", summary="one process, ring 512", options=("--ring", "512")),
    Configuration(name="split-32", summary="two processes, ring 32", options=("--split",)),
    Configuration(name="split-512", summary="two processes, ring 512", options=("--split", "--ring", "512")),
    Configuration(
        name="python-fused-32",
        summary="one process, ring 32, without the native pump",
        environment=PYTHON_PUMP,
    ),
    Configuration(
        name="python-split-32",
        summary="two processes, ring 32, without the native pump",
        options=("--split",),
        environment=PYTHON_PUMP,
    ),
)
