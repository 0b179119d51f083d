"""A process whose end is the end of all that it has made: namespaces of its own for everything.

    bamdmux bench --fork--> first process of a PID namespace, in a mount and a network namespace of its own
                            | `bamdmux run`, peers, servers, clients ...

Some peers change their user, and so lose the signal that would end them when their parent dies; others
fork. None of that matters: the kernel kills all of a PID namespace when its first process ends, takes away
the network namespaces with the last process inside, and the files with the mount namespace, for they lie in
a file system of their own, in memory. The process outside has nothing else to do than to wait, and to take
the other along whatever ends it.

It decides nothing about what is run, and opens no network namespace but the empty one that all start in.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bamdmux.errors import MachineError
from bamdmux.live.namespaces import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    enter_user_namespace,
    explain_refusal,
    mount,
    set_parent_death_signal,
    unshare,
)
from bamdmux.live.signals import ENDING, SIGNALED, exit_as_signaled, handling

# Where the private file system is mounted: a folder that every Linux has, and that nobody misses.
FOLDER: Final = Path("/dev/shm")

ADMINISTRATORS_PATH: Final = ":/usr/sbin:/sbin"  # where some peers are; not everybody looks there

TIDY_SECONDS: Final = 2.0  # from SIGTERM to SIGKILL
LOOK_SECONDS: Final = 0.01


def enclosed(function: Callable[[Path], int]) -> int:
    """Call `function` in a process with namespaces of its own, and a folder; the exit code.

    What it raises is raised in that process. Both processes return from here; the caller treats them alike.

    Raises:
        MachineError: this machine forbids it.
    """
    enter_user_namespace()
    sys.stdout.flush()
    sys.stderr.flush()
    readable, writable = os.pipe()
    try:
        unshare(CLONE_NEWPID)  # this process stays outside; its children do not
        child = os.fork()
    except OSError as error:
        raise explain_refusal(error) from error
    if child != 0:
        os.close(readable)
        return _wait_for(child)
    os.close(writable)
    with handling(ENDING, exit_as_signaled):
        _enter(readable)
        return function(FOLDER)


def _wait_for(child: int) -> int:
    """Wait for the end of the other process, and so of all; its exit code."""
    with handling(ENDING, exit_as_signaled):
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:
            _end(child)
            raise
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else SIGNALED - code


def _end(child: int) -> None:
    """End the other process: let it tidy up its line on the terminal, but do not wait for long.

    When it has been waited for, its namespace is empty: zap_pid_ns_processes() in kernel/pid_namespace.c.
    """
    os.kill(child, signal.SIGTERM)
    end = time.monotonic() + TIDY_SECONDS
    while time.monotonic() < end:
        pid, _ = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return
        time.sleep(LOOK_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _enter(parent_lives: int) -> None:
    """Make the rest of the namespaces; from now on this process ends with its parent."""
    set_parent_death_signal(signal.SIGKILL)
    os.set_blocking(parent_lives, False)
    with suppress(BlockingIOError):
        if os.read(parent_lives, 1) == b"":  # it has ended before we asked for the signal
            os._exit(1)
    os.close(parent_lives)
    # Keys are for the process outside: no terminal of ours, and so no stop in the middle of a measurement.
    os.setsid()
    plain = MS_NOSUID | MS_NODEV
    try:
        unshare(CLONE_NEWNS | CLONE_NEWNET)
    except OSError as error:
        raise explain_refusal(error) from error
    try:
        mount("none", "/", "none", MS_REC | MS_SLAVE)
        mount("proc", "/proc", "proc", plain | MS_NOEXEC)
        mount("tmpfs", str(FOLDER), "tmpfs", plain)
    except OSError as error:
        raise MachineError(
            f"the kernel refuses mounts of our own ({error.strerror}), as it does in a chroot or in most "
            "containers; run on the host, or start the container with --privileged"
        ) from error
    os.environ["TMPDIR"] = str(FOLDER)
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ADMINISTRATORS_PATH
