"""Linux namespaces, with or without root.

`enter_user_namespace` makes this process uid 0 of a user namespace of its own when it is not privileged
already; from then on it may make the others. A `NetworkNamespace` is a file descriptor: the namespace lives
as long as the descriptor, or a process inside, does. Network namespaces belong to threads, not to processes,
so work inside one is done by a short-lived thread: the rest of the process never leaves the network of its
caller, and a socket or TUN that was opened in there goes on belonging there.

Python 3.11 has neither unshare nor setns: the system calls at the end are thin wrappers of libc, and the
only place that knows ctypes.

It does not fork, makes no PID or mount namespace (that is init.py), and configures no interface.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from bamdmux.errors import MachineError

# include/uapi/linux/{sched,mount,prctl,capability}.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID = 1 << 1
MS_NODEV = 1 << 2
MS_NOEXEC = 1 << 3
MS_BIND = 1 << 12
MS_MOVE = 1 << 13
MS_REC = 1 << 14
MS_SLAVE = 1 << 19
MNT_DETACH = 1 << 1
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
CAP_NET_ADMIN = 12
CAP_SYS_ADMIN = 21

# What an administrator may have switched off: setting, value that forbids, what it means, value that mends.
SWITCHES = (
    ("user.max_user_namespaces", "0", "user namespaces are switched off", "15000"),
    ("kernel.unprivileged_userns_clone", "0", "user namespaces are only for root", "1"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor takes the privileges out of user namespaces",
        "0",
    ),
    ("user.max_net_namespaces", "0", "network namespaces are switched off", "15000"),
    ("user.max_pid_namespaces", "0", "PID namespaces are switched off", "15000"),
    ("user.max_mnt_namespaces", "0", "mount namespaces are switched off", "15000"),
)

Result = TypeVar("Result")


def enter_user_namespace() -> None:
    """Become uid 0 of a new user namespace, unless this process may make namespaces as it is.

    Call it first: the kernel refuses a process that has more than one thread. Our own uid stays what it was
    for files and for other processes; only inside does it read as 0.

    Raises:
        MachineError: this machine forbids it. The process may by then be half inside, and had better end.
    """
    # Real root stays where it is. A user namespace made here maps one uid: files of all others would turn
    # into nobody's, and a daemon of the command (dbus, ModemManager) could not drop its privileges to its
    # own user.
    if _has_capability(CAP_SYS_ADMIN) and _has_capability(CAP_NET_ADMIN):
        return
    user, group = os.geteuid(), os.getegid()
    assert len(os.listdir("/proc/self/task")) == 1, "unshare(CLONE_NEWUSER) needs a single-threaded process"
    try:
        unshare(CLONE_NEWUSER)
        # Without privileges the group can be mapped only once setgroups() has been given up:
        # user_namespaces(7).
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise explain_refusal(error) from error


class NetworkNamespace:
    """A network namespace, held by a file descriptor. Close it, or use it in a `with` block."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> Self:
        """Make an empty namespace: nothing in it but a loopback interface that is down.

        Raises:
            MachineError: this machine forbids it.
        """
        try:
            return cls(_in_own_thread(_open_new_namespace))
        except OSError as error:
            raise explain_refusal(error) from error

    @classmethod
    def current(cls) -> Self:
        """The namespace that the calling thread is in."""
        return cls(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    def run(self, function: Callable[[], Result]) -> Result:
        """Call `function` in a short-lived thread inside the namespace; its result or exception is ours."""

        def inside() -> Result:
            setns(self._descriptor, CLONE_NEWNET)
            return function()

        return _in_own_thread(inside)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Let go of the namespace. It ends here if nothing lives in it any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def explain_refusal(error: OSError, settings: Path = Path("/proc/sys")) -> MachineError:
    """Say in one line why the kernel refused a namespace, and what mends it."""
    for name, forbidding, meaning, mending in SWITCHES:
        if _read_setting(settings / name.replace(".", "/")) == forbidding:
            return MachineError(
                f"{meaning} ({name} = {forbidding}); "
                f"run as root, or allow them: sudo sysctl -w {name}={mending}"
            )
    match error.errno:
        case errno.ENOSPC | errno.EUSERS:
            return MachineError(
                "too many namespaces exist already; end some, or raise the limits: "
                "sudo sysctl -w user.max_user_namespaces=15000 user.max_net_namespaces=15000"
            )
        case errno.EINVAL | errno.ENOSYS:
            return MachineError(
                "this kernel lacks namespaces; use one with CONFIG_USER_NS, CONFIG_NET_NS and CONFIG_PID_NS"
            )
    return MachineError(
        f"the kernel refuses new namespaces ({error.strerror}), as it does in a chroot or a container with a "
        "seccomp profile; run as root on the host, or start the container with --privileged"
    )


def _open_new_namespace() -> int:
    unshare(CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _in_own_thread(function: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(function).result()


def _has_capability(capability: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def _read_setting(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None  # other kernels and distributions do not have it


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def unshare(flags: int) -> None:
    _raise_errno_if(_libc.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    _raise_errno_if(_libc.setns(descriptor, kind))


def mount(source: str, target: str, filesystem: str, flags: int, data: str = "") -> None:
    arguments = os.fsencode(source), os.fsencode(target), filesystem.encode(), flags, data.encode() or None
    _raise_errno_if(_libc.mount(*arguments))


def unmount(target: str) -> None:
    """Take away what is mounted there, at once for who looks for it; who has it open keeps it."""
    _raise_errno_if(_libc.umount2(os.fsencode(target), MNT_DETACH))


def set_child_subreaper(wanted: bool) -> None:
    """Orphaned descendants become children of this process, instead of the machine's first one."""
    _raise_errno_if(_libc.prctl(PR_SET_CHILD_SUBREAPER, wanted, 0, 0, 0))


def set_parent_death_signal(signum: int) -> None:
    """Get `signum` when the *thread* that forked this process ends, however it does; prctl(2).

    If it has ended by now, nothing comes: afterwards compare os.getppid() with the parent's pid.
    """
    _raise_errno_if(_libc.prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0))


def set_process_name(name: str) -> None:
    """What ps and top show; the kernel keeps 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode())
    _raise_errno_if(_libc.prctl(PR_SET_NAME, ctypes.addressof(buffer), 0, 0, 0))


def _raise_errno_if(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
