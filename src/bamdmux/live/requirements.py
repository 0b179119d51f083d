"""What bamdmux needs of a machine, each tried for real: what works, and the command that mends what does not.

Everything is tried in a child process, because one that has entered a user namespace does not come back.
"""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bamdmux.errors import MachineError
from bamdmux.live.addresses import prepare_namespace
from bamdmux.live.clients.programs import DBUS_DAEMON, check_dbus_package, find_program
from bamdmux.live.namespaces import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    NetworkNamespace,
    enter_user_namespace,
    explain_refusal,
    unshare,
)
from bamdmux.live.tun import Tun

# Programs that people use on the link; bamdmux itself needs none of them. With their Debian packages.
PROGRAMS: Final = (
    ("ping", "iputils-ping"),
    ("curl", "curl"),
    ("iperf3", "iperf3"),
    ("ip", "iproute2"),
    ("qmicli", "libqmi-utils"),
    ("ModemManager", "modemmanager"),
    ("ofonod", "ofono"),
    DBUS_DAEMON,
)

MAX_MESSAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty if it works; ``is_needed``: nothing runs without."""

    name: str
    works: bool
    remedy: str = ""
    is_needed: bool = True


def examine() -> list[Finding]:
    """Try everything, in the order in which `bamdmux run` needs it."""
    checks: tuple[tuple[str, Callable[[], None]], ...] = (
        ("user namespaces, or root", enter_user_namespace),
        ("mount and PID namespaces", _try_command_namespaces),
        ("network namespaces", _try_network),
        ("TUN devices", _try_tun),
    )
    findings = [_examine_in_child(name, check) for name, check in checks]
    return [*findings, *(_look_for(name, package) for name, package in PROGRAMS), _look_for_dbus()]


def _try_command_namespaces() -> None:
    enter_user_namespace()
    try:
        unshare(CLONE_NEWNS | CLONE_NEWPID)
    except OSError as error:
        raise explain_refusal(error) from error


def _try_network() -> None:
    enter_user_namespace()
    NetworkNamespace.create().close()


def _try_tun() -> None:
    enter_user_namespace()
    with NetworkNamespace.create() as namespace:
        namespace.run(prepare_namespace)
        tun = namespace.run(lambda: Tun.create("wwan0"))
        tun.set_carrier(False)
        tun.close()


def _examine_in_child(name: str, check: Callable[[], None]) -> Finding:
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        _be_child(check, writable)
    os.close(writable)
    with open(readable, "rb") as messages:
        remedy = messages.read(MAX_MESSAGE_BYTES).decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    if status and not remedy:
        remedy = "the check died; run it again with -v, and report what you see"
    return Finding(name, works=not remedy, remedy=remedy)


def _be_child(check: Callable[[], None], messages: int) -> None:
    try:
        check()
    except MachineError as error:
        os.write(messages, str(error).encode())
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _look_for(program: str, package: str) -> Finding:
    try:
        find_program(program, package)
    except MachineError:
        return Finding(program, works=False, remedy=f"sudo apt-get install {package}", is_needed=False)
    return Finding(program, works=True, is_needed=False)


def _look_for_dbus() -> Finding:
    """For `bamdmux connect`, and whatever it connects by."""
    try:
        check_dbus_package()
    except MachineError:
        return Finding("dbus-fast", works=False, remedy="pip install 'bamdmux[clients]'", is_needed=False)
    return Finding("dbus-fast", works=True, is_needed=False)


def python_version() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])
