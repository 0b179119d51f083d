"""The controlling terminal: whose keyboard it is.

A terminal has one foreground process group. What is typed is read by that group, Ctrl-C and Ctrl-Z are
signals to it, and others that read are stopped. bamdmux and its command are two groups of one session, so
handing the terminal over is all it takes for the keyboard to belong to the command; see credentials(7) and
tcsetpgrp(3).

It does not decide when (that is command.py), and touches neither the modes nor the size of the terminal.
"""

import os
import signal
import stat
from contextlib import suppress
from typing import Self


class Terminal:
    """This process's controlling terminal, by a descriptor of its own: stdin may well be something else."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def controlling(cls) -> Self | None:
        """Open the controlling terminal; None where there is none, as in CI or under a service manager."""
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return None

    def foreground_group(self) -> int:
        """The group that has the terminal; 0 when it is out of our sight, or the terminal has hung up."""
        try:
            return os.tcgetpgrp(self._descriptor)
        except OSError:
            return 0

    def is_ours(self) -> bool:
        return self.foreground_group() == os.getpgrp()

    def give_to(self, group: int) -> None:
        """Make `group` the foreground; that it has just ended, or the terminal hung up, is no error."""
        # tcsetpgrp() from the background stops the caller by SIGTTOU, unless that is blocked.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            with suppress(OSError):
                os.tcsetpgrp(self._descriptor, group)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def reclaim(self) -> None:
        """Take the terminal if the group that had it is gone; never from one that is alive, as a shell's."""
        group = self.foreground_group()
        if group == 0:
            return
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            self.give_to(os.getpgrp())
        except PermissionError:
            return  # alive, and another user's

    def close(self) -> None:
        os.close(self._descriptor)


def is_in_pipeline() -> bool:
    """Whether a neighbour in our process group may want the terminal: `bamdmux run ... | less`."""
    return not os.isatty(0) or stat.S_ISFIFO(os.fstat(1).st_mode)


def stop_own_group() -> bool:
    """Stop our process group as Ctrl-Z does, and return when continued.

    Returns:
        False if we were not stopped: the kernel spares a group that no shell would ever continue (setpgid(2),
        "orphaned process group").
    """
    # A blocked SIGCONT still continues us, and stays pending: proof that we were stopped, and taken here, so
    # that the caller's own handler does not see it as news.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        os.killpg(0, signal.SIGTSTP)  # on return we have been stopped and continued
        return signal.sigtimedwait({signal.SIGCONT}, 0) is not None
    finally:
        signal.signal(signal.SIGTSTP, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
