"""Signals as events of the loop, or as the end of the process while there is no loop yet."""

import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

SIGNALED: Final = 128  # plus the signal's number: a shell's exit code for what a signal has ended

# What asks a program to end.
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@contextmanager
def handling(signals: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    """Handle these signals so for a while."""
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, handler_before in before.items():
            signal.signal(signum, handler_before)


@contextmanager
def wakeups(signals: Iterable[signal.Signals]) -> Iterator[socket.socket]:
    """A socket from which the numbers of these signals can be read as they arrive, one byte each."""
    readable, writable = socket.socketpair()
    with readable, writable, handling(signals, _do_nothing):
        readable.setblocking(False)
        writable.setblocking(False)
        before = signal.set_wakeup_fd(writable.fileno())
        try:
            yield readable
        finally:
            signal.set_wakeup_fd(before)


def exit_as_signaled(signum: int, frame: object) -> None:
    """Handler: unwind, so that what was made is cleared up, and exit as if the signal had ended us."""
    _arrived.append(signum)
    raise SystemExit(SIGNALED + signum)


def exit_if_signaled() -> None:
    """Unwind now, if `exit_as_signaled` could not.

    A handler runs wherever Python happens to be. In a callback of its own (a lock of the import system, what
    others do at a fork) what the handler raises is printed and ignored. So whoever handles signals that way
    asks here before each wait.
    """
    if _arrived:
        raise SystemExit(SIGNALED + _arrived[0])


_arrived: Final[list[int]] = []  # those that `exit_as_signaled` was called for


def _do_nothing(signum: int, frame: object) -> None:
    """The wake-up descriptor tells of the signal; without a handler there would be none."""
