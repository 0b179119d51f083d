"""The command of `bamdmux run`: a program in fresh namespaces, driven from the event loop of this process.

It runs in the given network namespace, in a mount and a PID namespace of its own, and in a process group of
its own. init.py says how it gets there and what watches over it: nothing of it survives this process, even
one killed by SIGKILL. The keyboard is the command's: while it has the terminal, Ctrl-C and Ctrl-Z reach it
and not us. When it is stopped we take the terminal back and stop as well, so that the shell that started us
sees one job, as sudo does.

What the owner of the event loop does:

1. `enter_user_namespace()`, `NetworkNamespace.create()`, `Command.start(...)`, with 0, 1 and 2 open and one
   thread.
2. Arrange that `signal_arrived(signum)` is called, from the loop, for SIGINT, SIGTERM, SIGHUP, SIGQUIT,
   SIGTSTP and SIGCONT. Ignore SIGTTOU, lest a line of log stops us under `stty tostop`; the command gets the
   default back.
3. When `fileno()` is readable, `read_event()`: at `Stopped` call `suspend`, at `Exited` take `fileno()` out
   of the loop.
4. Always `close()`: when it returns, no process of the namespace is left.
5. Never wait for "any child" while the command runs: its exit status belongs to `close()`.

It installs no signal handlers, and configures nothing inside the namespaces.
"""

import array
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bamdmux.errors import MachineError
from bamdmux.live.init import MESSAGE, Kind, Plan, launch, send_message
from bamdmux.live.namespaces import NetworkNamespace, explain_refusal, set_child_subreaper
from bamdmux.live.ports.sysfs import Layout
from bamdmux.live.signals import SIGNALED
from bamdmux.live.terminal import Terminal, is_in_pipeline, stop_own_group

CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
MAX_PORTS = 8  # masters that one message brings


@dataclass(frozen=True, slots=True)
class Started:
    """The command's process exists and is about to become the command; ``pid`` is how *we* see it."""

    pid: int


@dataclass(frozen=True, slots=True)
class ExecFailed:
    """The program could not be run. `Exited` follows, with 127 or 126."""

    name: str
    errno: int

    @property
    def message(self) -> str:
        """One line for the user."""
        if not isinstance(self.reason, FileNotFoundError | NotADirectoryError):
            return f"cannot run {self.name}: {self.reason.strerror}"
        if "/" in self.name and os.path.exists(self.name):
            return f"cannot run {self.name}: the interpreter that it names does not exist"
        return f"command not found: {self.name}"

    @property
    def reason(self) -> OSError:
        return OSError(self.errno, os.strerror(self.errno))


@dataclass(frozen=True, slots=True)
class PortsMade:
    """The command has control ports now; the masters of their PTYs are whoever's takes them."""

    masters: Sequence[int]


@dataclass(frozen=True, slots=True)
class PortsRefused:
    """This machine does not let us make them."""

    errno: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The command was stopped, by Ctrl-Z or because it needs the terminal; call `Command.suspend`."""

    signum: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The command has ended, its background with it; ``exit_code`` is what a shell would have in ``$?``."""

    exit_code: int


Event = Started | ExecFailed | PortsMade | PortsRefused | Stopped | Exited


class Command:
    """A running command; made by `Command.start`."""

    def __init__(self, name: str, link: socket.socket, init_pid: int, terminal: Terminal | None) -> None:
        self._name = name
        self._link = link
        self._init_pid = init_pid
        self._terminal = terminal
        # A pipeline's neighbour (`bamdmux run ... | less`) may need the terminal more: the command gets it
        # once it asks.
        self._wants_terminal = not is_in_pipeline()
        self._pid = 0  # until it has started
        self._is_over = False

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        namespace: NetworkNamespace,
        binds: Mapping[Path, Path] | None = None,
        ports: Layout | None = None,
    ) -> Self:
        """Start `argv`, looked up in the PATH of `environment`, inside `namespace`.

        Args:
            binds: files to show it in the places of others: /etc/resolv.conf, and our file. Where that fails
                it is told on stderr, and goes without.
            ports: the control ports that it shall find in /dev and /sys. `PortsMade` or `PortsRefused` tells.

        Raises:
            MachineError: this machine forbids the namespaces. That `argv` cannot be run is an event.
        """
        assert argv, "a command has at least a name"
        terminal = Terminal.controlling()
        plan = Plan(
            argv=argv,
            environment=environment,
            namespace_descriptor=namespace.fileno(),
            binds={path: file.absolute() for path, file in (binds or {}).items()},
            ports=ports,
            takes_terminal=terminal is not None and terminal.is_ours() and not is_in_pipeline(),
        )
        link, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            init_pid = _fork_init(plan, link, far_end)
        except BaseException:
            link.close()
            if terminal is not None:
                terminal.close()
            raise
        link.setblocking(False)
        return cls(argv[0], link, init_pid, terminal)

    def fileno(self) -> int:
        """Readable when `read_event` has something to say."""
        return self._link.fileno()

    def read_event(self) -> Event | None:
        """Take one event, without waiting; None when there is none, or after the last."""
        try:
            kind, number, sender, masters = _receive(self._link)
        except BlockingIOError:
            return None
        except ConnectionError:
            return self._init_died()
        match kind:
            case Kind.PORTS:
                return PortsMade(masters)
            case Kind.NO_PORTS:
                return PortsRefused(number)
            case Kind.STARTED:
                self._pid = sender
                return Started(sender)
            case Kind.EXEC_FAILED:
                return ExecFailed(self._name, number)
            case Kind.STOPPED:
                return Stopped(number)
            case _:
                self._is_over = True
                return Exited(number)

    def _init_died(self) -> Event | None:
        """Somebody killed init; the kernel then kills the command."""
        if self._is_over:
            return None
        self._is_over = True
        return Exited(SIGNALED + signal.SIGKILL)

    def signal_arrived(self, signum: int) -> None:
        """Tell the command of a signal that we got; we were continued, or it was meant for the command."""
        if signum == signal.SIGCONT:
            self._resume()
        else:
            self.send_signal(signum)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the command's process group; one that has ended is no error."""
        with suppress(BlockingIOError):  # somebody stopped init, and the socket is full: signals merge
            send_message(self._link, Kind.SIGNAL, signum)

    def make_ports(self) -> None:
        """Let new PTYs stand under the names of the ports; `PortsMade` follows."""
        self._tell_init(Kind.MAKE_PORTS)

    def remove_ports(self) -> None:
        """Let the names of the ports vanish from /dev and /sys."""
        self._tell_init(Kind.REMOVE_PORTS)

    def _tell_init(self, kind: Kind) -> None:
        if self._link.fileno() >= 0:  # else it is over, and what it had is gone
            with suppress(BlockingIOError):  # as above
                send_message(self._link, kind)

    def terminate(self) -> None:
        """Ask the command to end, even one that is stopped."""
        self.send_signal(signal.SIGTERM)
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the command at once; `Exited` follows."""
        self.send_signal(signal.SIGKILL)

    def suspend(self, stopped: Stopped) -> None:
        """Follow the command into its stop; return when somebody continued us, and it runs again.

        Without a terminal nobody is there to continue a job: then only the command is stopped.
        """
        if self._terminal is None:
            return
        asks_for_terminal = stopped.signum in (signal.SIGTTIN, signal.SIGTTOU)
        self._wants_terminal |= asks_for_terminal
        if asks_for_terminal and self._terminal.is_ours():  # it ran in the background, or in a pipeline
            self._resume()
            return
        if self._terminal.foreground_group() == self._pid:
            self._terminal.give_to(os.getpgrp())
        if not stop_own_group() and asks_for_terminal:
            # It would ask again at once, for ever. The kernel hangs up on a stopped group that nobody can
            # continue (kill_orphaned_pgrp() in kernel/exit.c).
            self.send_signal(signal.SIGHUP)
        self._resume()

    def _resume(self) -> None:
        # In the background (`bg`) the terminal is the shell's, and stays so.
        if self._terminal is not None and self._terminal.is_ours() and self._wants_terminal and self._pid:
            self._terminal.give_to(self._pid)
        self.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill whatever is left of the command and its namespace, and wait until it is gone."""
        if self._link.fileno() < 0:
            return
        # pid 1 becomes a zombie only after the kernel has killed and reaped its whole namespace
        # (zap_pid_ns_processes() in kernel/pid_namespace.c), so its end is the end of all.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._init_pid, signal.SIGKILL)
            os.waitpid(self._init_pid, 0)
        self._link.close()
        if self._terminal is not None:
            self._terminal.reclaim()
            self._terminal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fork_init(plan: Plan, link: socket.socket, far_end: socket.socket) -> int:
    """Fork the launcher, wait until init lives, and return init's pid; `far_end` is closed."""
    with far_end, _adopting_orphans():
        launcher = os.fork()
        if launcher == 0:
            launch(plan, far_end)
        with suppress(ChildProcessError):  # whoever started us had SIGCHLD ignored; it is gone all the same
            os.waitpid(launcher, 0)
    try:
        kind, number, sender, _ = _receive(link)
    except ConnectionError as error:
        raise MachineError("the command's first process was killed; is memory short? start again") from error
    if kind is Kind.REFUSED:
        raise explain_refusal(OSError(number, os.strerror(number)))
    return sender


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Inherit init from its launcher, for only a parent can wait for it; later orphans are not ours."""
    set_child_subreaper(True)
    try:
        yield
    finally:
        set_child_subreaper(False)


def _receive(link: socket.socket) -> tuple[Kind, int, int, Sequence[int]]:
    """One message, the pid of its sender, which the kernel translates to our PID namespace, and descriptors.

    Raises:
        ConnectionError: nobody is left to send one.
        BlockingIOError: there is none now.
    """
    space = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(MAX_PORTS * 4)
    data, ancillary, _, _ = link.recvmsg(MESSAGE.size, space, socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise ConnectionResetError("init has ended")
    kind, number = MESSAGE.unpack(data)
    sender, descriptors = 0, array.array("i")
    for _, what, content in ancillary:
        if what == socket.SCM_CREDENTIALS:
            sender, _, _ = CREDENTIALS.unpack(content)
        else:
            descriptors.frombytes(content)
    return Kind(kind), number, sender, descriptors.tolist()
