"""A process that removes a folder when we are gone, for `kill -9` leaves us no time to.

It is forked early and does nothing but wait for the end of a pipe whose other end only we hold.
"""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from bamdmux.live.init import forget_parent
from bamdmux.live.namespaces import set_process_name


class Janitor:
    """Watches over ``folder`` from the moment that it exists; leaving the `with` block sends it home."""

    def __init__(self, folder: Path) -> None:
        readable, self._ours = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            _be_janitor(folder.absolute(), readable)
        with suppress(OSError):  # in its own group before anybody signals ours, whoever of us runs first
            os.setpgid(self._pid, self._pid)
        os.close(readable)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._ours)  # it removes what is left, if anything
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _be_janitor(folder: Path, readable: int) -> NoReturn:
    try:
        os.setpgid(0, 0)  # Ctrl-C and Ctrl-Z are not for us
        forget_parent(keep={readable})
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN)
        set_process_name("bamdmux-janitor")
        for standard in (0, 1, 2):  # whoever waits for the end of our output does not wait for this
            with suppress(OSError):
                os.close(standard)
        while os.read(readable, 1):
            pass
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)
