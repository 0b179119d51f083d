"""The processes between bamdmux and its command; the code here runs on the far side of a fork.

    bamdmux --fork--> launcher --fork--> init --fork--> command
                      enters the network  pid 1 of the   argv
                      namespace, makes    PID namespace
                      the others, exits

unshare(CLONE_NEWPID) puts the *next* child into the new PID namespace, and would do so with every later
child of the caller: hence the launcher. init reports to bamdmux over one socket, and is told over it which
signals to pass on. Since nobody but bamdmux holds the other end, end of file says that bamdmux is gone,
however it died; init then exits, and the kernel kills all that is left in the namespace.

With `Plan.ports`, init makes /dev and /sys the command's own as well, with control ports in them; bamdmux
gets the masters of their PTYs, and tells when there shall be new ones, or none.

init stays after the command has ended, until bamdmux is gone or kills it: its end is the end of all that the
command left. It installs no network, opens no TUN, and knows nothing of terminals but to hand one over once.
"""

import array
import gc
import os
import select
import signal
import socket
import struct
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from errno import ENOENT, EPERM
from pathlib import Path
from typing import NoReturn

from bamdmux.live.namespaces import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    mount,
    set_process_name,
    setns,
    unshare,
)
from bamdmux.live.ports.mounts import PrivateDevices
from bamdmux.live.ports.sysfs import Layout
from bamdmux.live.signals import SIGNALED
from bamdmux.live.terminal import Terminal

NOT_FOUND = 127  # the shell's exit codes for a command that could not be started
NOT_EXECUTABLE = 126

MESSAGE = struct.Struct("=ii")  # Kind, number


class Kind(IntEnum):
    """What a message on the socket says; the number that goes with it is in parentheses."""

    REFUSED = 0  # the launcher could not make the namespaces (errno)
    READY = 1  # init lives (0)
    STARTED = 2  # sent by the command's process itself, just before it becomes the command (0)
    EXEC_FAILED = 3  # it could not become the command (errno)
    STOPPED = 4  # (signal)
    EXITED = 5  # (exit code, as a shell would give it)
    SIGNAL = 6  # from bamdmux: pass this signal on (signal)
    PORTS = 7  # nodes have been made (their count), with the masters of their PTYs
    NO_PORTS = 8  # they could not be made (errno)
    MAKE_PORTS = 9  # from bamdmux: make new nodes (0)
    REMOVE_PORTS = 10  # from bamdmux: take the nodes away (0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, and where."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    namespace_descriptor: int
    takes_terminal: bool
    binds: Mapping[Path, Path] = field(default_factory=dict)  # what to show where: path, file
    ports: Layout | None = None  # what is to be made in /dev and /sys


def send_message(link: socket.socket, kind: Kind, number: int = 0, descriptors: Sequence[int] = ()) -> None:
    """Send one message; that the other end is gone is no error, for reading will tell."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    with suppress(ConnectionError):
        link.sendmsg([MESSAGE.pack(kind, number)], rights, socket.MSG_NOSIGNAL)


def launch(plan: Plan, link: socket.socket) -> NoReturn:
    """Be the launcher. Called in the child of bamdmux's fork, and never returns into bamdmux's own code."""
    try:
        forget_parent(keep={plan.namespace_descriptor, link.fileno()})
        setns(plan.namespace_descriptor, CLONE_NEWNET)
        os.close(plan.namespace_descriptor)
        unshare(CLONE_NEWNS | CLONE_NEWPID)
        is_init = os.fork() == 0
    except OSError as error:
        send_message(link, Kind.REFUSED, error.errno or 0)
        os._exit(1)
    if is_init:
        _be_init(plan, link)
    os._exit(0)


def forget_parent(keep: set[int]) -> None:
    """Let go of all that fork copied: signal handlers, the signal mask, and descriptors other than stdio."""
    gc.disable()  # a collection could close descriptors of bamdmux's objects, whose numbers are ours by then
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with suppress(OSError):  # the descriptor of this very listing
                os.close(int(name))


def _be_init(plan: Plan, link: socket.socket) -> NoReturn:
    """Be pid 1: start the command, relay, and take everything along when bamdmux is gone."""
    try:
        # In bamdmux's group, Ctrl-Z of that group would stop us too. In its session, the command's group
        # counts as one that somebody can continue, so that the command can be stopped at all (setpgid(2)).
        os.setpgid(0, 0)
        set_process_name("bamdmux-init")
        may_mount = _mount_proc_and_sys()
        _bind_files(plan.binds, may_mount=may_mount)
        child_changed = _wake_on_child_change()
        send_message(link, Kind.READY)
        devices = _make_devices(plan.ports, link, may_mount=may_mount) if plan.ports else None
        command = _fork_command(plan, link)
        _relay(link, child_changed, command, devices)
        _kill_others()
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _mount_proc_and_sys() -> bool:
    """Show the command its own processes and interfaces, as far as this machine (a container?) allows.

    Mounts become slaves, not private: what the host mounts or unmounts later still happens in here, so we
    never keep a disk busy that the host has let go. Ours do not reach the host.

    Returns:
        Whether that is so; if not, nothing may be mounted.
    """
    plain = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        mount("none", "/", "none", MS_REC | MS_SLAVE)
    except OSError:
        return False  # in a chroot / is no mount point, and mounts made now might show up outside: make none
    with suppress(OSError):
        mount("proc", "/proc", "proc", plain)
    with suppress(OSError):
        # sysfs shows the interfaces of the namespace that mounted it. The new one hides the control groups,
        # which many programs look for: bring them along.
        groups = os.open("/sys/fs/cgroup", os.O_PATH)
        mount("sysfs", "/sys", "sysfs", plain)
        mount(f"/proc/self/fd/{groups}", "/sys/fs/cgroup", "none", MS_BIND | MS_REC)
    return True


def _bind_files(binds: Mapping[Path, Path], *, may_mount: bool) -> None:
    """Show the command our files in the places of others; where that cannot be, say so and go on."""
    for path, file in binds.items():
        try:
            if not may_mount:
                raise OSError(EPERM, os.strerror(EPERM))
            _bind_file(path, file)
        except OSError as error:
            # The command's stderr, which is bamdmux's as well: whoever starts a command reads it.
            message = f"bamdmux: {path} stays what it is for the command: {error.strerror}\n"
            with suppress(OSError):
                os.write(2, message.encode())


def _bind_file(path: Path, file: Path) -> None:
    # A link is followed to the file that everybody reads in the end. If it leads nowhere, the link itself is
    # what can be covered: by a descriptor, since a path would be followed.
    if path.exists():
        mount(str(file), str(path), "none", MS_BIND)
        return
    link = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        mount(str(file), f"/proc/self/fd/{link}", "none", MS_BIND)
    finally:
        os.close(link)


def _make_devices(layout: Layout, link: socket.socket, *, may_mount: bool) -> PrivateDevices | None:
    """Make /dev and /sys the command's own, and the nodes; None where that cannot be, which is told."""
    try:
        if not may_mount:
            raise OSError(EPERM, os.strerror(EPERM))
        devices = PrivateDevices(layout)
    except OSError as error:
        send_message(link, Kind.NO_PORTS, error.errno or 0)
        return None
    _make_ports(devices, link)
    return devices


def _make_ports(devices: PrivateDevices, link: socket.socket) -> None:
    try:
        masters = devices.make_nodes()
    except OSError as error:
        send_message(link, Kind.NO_PORTS, error.errno or 0)
        return
    send_message(link, Kind.PORTS, len(masters), masters)
    for master in masters:  # bamdmux has them, and with it alone they end
        os.close(master)


def _wake_on_child_change() -> int:
    """Return a descriptor that is readable when a child has exited or stopped."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)  # a full pipe wakes us just as well
    signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    return readable


def _fork_command(plan: Plan, link: socket.socket) -> int:
    command = os.fork()
    if command == 0:
        _be_command(plan, link)
    with suppress(OSError):  # it may have done so itself, and have gone on to exec (EACCES)
        os.setpgid(command, command)
    return command


def _be_command(plan: Plan, link: socket.socket) -> NoReturn:
    exit_code = NOT_EXECUTABLE
    try:
        os.setpgid(0, 0)
        terminal = Terminal.controlling() if plan.takes_terminal else None
        if terminal is not None:
            terminal.give_to(os.getpgrp())
        send_message(link, Kind.STARTED)
        os.execvpe(plan.argv[0], list(plan.argv), plan.environment)
    except (OSError, ValueError) as error:  # the latter: an empty name, or a zero byte in it
        is_there = is_found(plan.argv[0], plan.environment)
        number = error.errno if isinstance(error, OSError) and is_there else ENOENT
        if number == ENOENT:
            exit_code = NOT_FOUND
        send_message(link, Kind.EXEC_FAILED, number or 0)
    except BaseException:
        traceback.print_exc()
    os._exit(exit_code)


def is_found(name: str, environment: Mapping[str, str]) -> bool:
    """Whether there is such a file: exec says EACCES also of a folder of PATH that we may not enter."""
    folders = [""] if "/" in name else os.get_exec_path(environment)
    return any(os.path.lexists(os.path.join(folder, name)) for folder in folders)


def _relay(link: socket.socket, child_changed: int, command: int, devices: PrivateDevices | None) -> None:
    """Report what becomes of the command and do what bamdmux asks for, until it is gone."""
    running = True
    poll = select.poll()
    poll.register(link, select.POLLIN)
    poll.register(child_changed, select.POLLIN)
    if devices is not None:
        poll.register(devices, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if child_changed in ready:
            os.read(child_changed, 4096)
            for pid, status in _changed_children():
                if pid == command:
                    running = _report(link, status)
        if devices is not None and devices.fileno() in ready:
            devices.look_at_interfaces()
        if link.fileno() in ready:
            message = _receive(link)
            if message is None:
                return
            kind, number = message
            if kind is Kind.SIGNAL and running:  # afterwards the number may be another process's
                _signal_group(command, number)
            elif kind is Kind.MAKE_PORTS and devices is not None:
                _make_ports(devices, link)
            elif kind is Kind.REMOVE_PORTS and devices is not None:
                devices.remove_nodes()


def _changed_children() -> Iterator[tuple[int, int]]:
    """Reap every child that exited (all orphans of the namespace are ours), and yield who did what."""
    with suppress(ChildProcessError):
        while (change := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0] != 0:
            yield change


def _report(link: socket.socket, status: int) -> bool:
    """Tell what happened to the command; whether it still runs."""
    if os.WIFSTOPPED(status):
        send_message(link, Kind.STOPPED, os.WSTOPSIG(status))
        return True
    _kill_others()  # what it left in the background ends with it, and before bamdmux hears that it ended
    code = os.waitstatus_to_exitcode(status)
    send_message(link, Kind.EXITED, code if code >= 0 else SIGNALED - code)
    return False


def _receive(link: socket.socket) -> tuple[Kind, int] | None:
    """What bamdmux wants; None once it is gone."""
    try:
        message = link.recv(MESSAGE.size)
    except ConnectionError:  # instead of end of file, when bamdmux died with reports of ours unread
        return None
    if not message:
        return None
    kind, number = MESSAGE.unpack(message)
    return Kind(kind), number


def _signal_group(command: int, signum: int) -> None:
    """Signal the command as a terminal would: its whole group, so that a script's children hear it too."""
    try:
        os.killpg(command, signum)
    except ProcessLookupError:
        with suppress(ProcessLookupError):  # it moved to another group
            os.kill(command, signum)


def _kill_others() -> None:
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # everything in the PID namespace but its first process
