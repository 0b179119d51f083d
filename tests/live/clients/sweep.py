"""The crash sweep: for each message that ModemManager sends, a modem that spoils its answer, once.

    cases() -> some sessions side by side, each `bamdmux run --modem-manager -- sweep_driver.py`
                 a case a line ->  <- an outcome a line

A session goes on from case to case with the same ModemManager. If that dies, the outcome says so, and the
session is made anew. For the tests, and for scripts/sweep.py.
"""

import json
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, NamedTuple

from tests.live.clients.connect_messages import Phase, connect_messages
from tests.live.identities import as_identity, environment, stage

FAULTS = ("control-hang-up", "control-error", "control-never", "control-garbage")
WITHOUT_ANSWER = ("control-never", "control-garbage")
PATIENCE_SECONDS = 4.0
LONG_PATIENCE_SECONDS = 35.0  # most of ModemManager's time-outs are 5 to 30 s
RUN = ("run", "--modem-manager", "--seed", "1")  # so that noise is the same each time
NOT_THE_MODEMS = "ctl.internal_proxy_open"  # libqmi's proxy answers it, in front of the modem


class Case(NamedTuple):
    """A fault that strikes once, at the first such message of a phase."""

    phase: Phase
    message: str
    fault: str

    @property
    def selector(self) -> str:
        return f"{self.fault}@{self.message}#1"

    def for_driver(self) -> dict[str, object]:
        """As sweep_driver.py wants it."""
        patience = LONG_PATIENCE_SECONDS if self.fault in WITHOUT_ANSWER else PATIENCE_SECONDS
        return {"phase": self.phase.value, "fault": self.selector, "patience": patience}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it.

    Args:
        attempt: what the attempt ended with that was struck; `done` if it came to its end all the same.
        strikes: 0: the message was not sent.
        next: how the next one succeeded, or `failed`.
        problem: of the next attempt, where it needed a restart of the modem.
        survived: ModemManager is the same process.
    """

    attempt: str
    attempt_seconds: float = 0.0
    strikes: int = 0
    next: str
    next_seconds: float = 0.0
    problem: str = ""
    survived: bool


DIED = Outcome(attempt="ModemManager died", strikes=1, next="failed", survived=False)


def cases(*faults: str, phases: Sequence[Phase] = tuple(Phase)) -> list[Case]:
    """All messages with these faults; those that take longest come first."""
    messages = [each for each in connect_messages(*phases) if each.name != NOT_THE_MODEMS]
    return [Case(each.phase, each.name, fault) for fault in reversed(faults) for each in messages]


class Session:
    """One ModemManager, and a modem for it to be tried on."""

    def __init__(self, identity: str) -> None:
        self._process = subprocess.Popen(
            as_identity(identity, "-m", "bamdmux", "-q", *RUN, "--", *_driver(identity)),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def play(self, case: Case) -> Outcome | None:
        """One case; None: the session is over, without a word."""
        line = _say(self._process.stdin, case.for_driver())
        answer = self._process.stdout.readline() if line and self._process.stdout else ""
        return Outcome(**json.loads(answer)) if answer else None

    def close(self) -> None:
        """End it in order."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()


def _say(stream: IO[str] | None, message: object) -> bool:
    assert stream is not None
    try:
        stream.write(json.dumps(message) + "\n")
        stream.flush()
    except BrokenPipeError:
        return False
    return True


def _driver(identity: str) -> list[str]:
    return [as_identity(identity)[-1], str(stage() / "sweep_driver.py")]


def sweep(
    wanted: Iterable[Case],
    *,
    session_count: int,
    identity: str = "caller",
    told: Callable[[Case, Outcome], None] = lambda case, outcome: None,
) -> dict[Case, Outcome]:
    """Play all cases, in some sessions at a time; `told` hears of each outcome as it comes."""
    waiting, outcomes, lock = deque(wanted), dict[Case, Outcome](), threading.Lock()
    stage()  # once, before there are threads

    def work() -> None:
        session = Session(identity)
        try:
            while waiting:
                case = waiting.popleft()
                outcome = session.play(case)
                with lock:
                    outcomes[case] = outcome or DIED
                    told(case, outcomes[case])
                if outcome is None or not outcome.survived:
                    session.close()
                    session = Session(identity)
        finally:
            session.close()

    def run() -> None:
        with suppress(IndexError):  # another one has taken the last case
            work()

    workers = [threading.Thread(target=run) for _ in range(session_count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcomes
