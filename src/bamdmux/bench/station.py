"""A station: a link that stands, and programs that are run over it.

Servers on its far side wait and cost nothing; programs on its near side come and go, and what they print is
what was measured. How much processor time passes meanwhile is the station's to say.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bamdmux.bench import usage
from bamdmux.bench.peers import Contender
from bamdmux.bench.place import Link, Place, entering
from bamdmux.errors import MachineError
from bamdmux.live.namespaces import NetworkNamespace

TIMEOUT_SECONDS: Final = 10.0  # for any program to end; more than the longest takes


class ProgramHangs(MachineError):
    """A program has not ended in time, and was killed."""


@dataclass(frozen=True, slots=True)
class Station:
    """A link that stands.

    Attributes:
        seconds: how long it took from its first process to its first packet.
    """

    contender: Contender
    place: Place
    link: Link
    seconds: float

    def run(self, *argv: str) -> str:
        """Run a program on the near side to its end; what it printed.

        Raises:
            MachineError: it failed; ProgramHangs: it does not end.
        """
        return finish(start(self.link.near, *argv))

    def cost_of(self, work: Callable[[], Any]) -> tuple[Any, float, float]:
        """Do some work: what it returns, and the processor time of the link and of the machine meanwhile."""
        own, machine = usage.cpu_seconds(self.link.pids), usage.machine_cpu_seconds()
        result = work()
        return (
            result,
            usage.cpu_seconds(self.link.pids) - own,
            usage.machine_cpu_seconds() - machine,
        )


def start(
    namespace: NetworkNamespace | None, *argv: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a program that ends by itself; see `finish`."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=None if environment is None else {**os.environ, **environment},
        preexec_fn=entering(namespace),
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a program; what it printed.

    Raises:
        MachineError: it failed; ProgramHangs: it does not end.
    """
    try:
        output, said = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise ProgramHangs(f"{_name(process)} does not end") from error
    if process.returncode:
        raise MachineError(f"{_name(process)} failed: {_reason_in(said) or _reason_in(output)}")
    return output


def _reason_in(text: str) -> str:
    """The line that says why, as far as one can tell: iperf3 says it in the midst of JSON."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[-1] if lines else "")


def _name(process: subprocess.Popen[str]) -> str:
    assert isinstance(process.args, Sequence)
    return str(process.args[0]).rpartition("/")[2]
