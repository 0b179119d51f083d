"""Namespaces, as root and as nobody; and what is said where they are forbidden."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from bamdmux.live.namespaces import explain_refusal
from tests.live.identities import as_identity, environment, for_each_identity

pytestmark = pytest.mark.live

PRELUDE = """
import os, socket
from pathlib import Path
from bamdmux.errors import MachineError
from bamdmux.live.namespaces import *
network = lambda: os.readlink("/proc/thread-self/ns/net")
before = network(), os.geteuid(), os.readlink("/proc/self/ns/user")
enter_user_namespace()
"""


def python(identity: str, program: str) -> str:
    """Run a program after PRELUDE as somebody; what it printed."""
    line = as_identity(identity, "-c", PRELUDE + program)
    done = subprocess.run(line, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(folder: Path, number: int, **settings: str) -> str:
    for name, value in settings.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(value + "\n")
    return str(explain_refusal(OSError(number, os.strerror(number)), folder))


@for_each_identity
def test_we_are_uid_0_afterwards(identity: str) -> None:
    assert python(identity, "print(os.geteuid(), os.getegid())") == "0 0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_needs_no_user_namespace() -> None:
    assert python("caller", "print(os.readlink('/proc/self/ns/user') == before[2])") == "True"


def test_nobody_gets_a_user_namespace() -> None:
    assert (
        python("nobody", "print(os.readlink('/proc/self/ns/user') == before[2], before[1])") == "False 65534"
    )


@for_each_identity
def test_a_new_network_has_only_a_loopback(identity: str) -> None:
    program = "print(NetworkNamespace.create().run(lambda: socket.if_nameindex()))"
    assert python(identity, program) == "[(1, 'lo')]"


@for_each_identity
def test_we_stay_in_the_network_of_the_caller(identity: str) -> None:
    program = """
with NetworkNamespace.create() as namespace:
    inside = namespace.run(network)
    print(inside != before[0], namespace.run(network) == inside, network() == before[0])
"""
    assert python(identity, program) == "True True True"


@for_each_identity
def test_a_socket_stays_in_the_network_where_it_was_opened(identity: str) -> None:
    program = """
import fcntl, struct
with NetworkNamespace.create() as namespace:
    probe = namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(probe, 0x8913, request))[1]  # SIOCGIFFLAGS
    print(flags & 1)  # IFF_UP
"""
    assert python(identity, program) == "0"


@for_each_identity
def test_an_exception_inside_is_ours(identity: str) -> None:
    program = """
try:
    NetworkNamespace.create().run(lambda: 1 // 0)
except ZeroDivisionError as error:
    print(error, len(os.listdir("/proc/self/task")))
"""
    assert python(identity, program).startswith("integer division")


@for_each_identity
def test_a_closed_namespace_is_closed_once(identity: str) -> None:
    program = """
namespace = NetworkNamespace.create()
namespace.close()
namespace.close()
print(namespace.fileno())
"""
    assert python(identity, program) == "-1"


def test_a_limit_of_the_machine_is_said_in_one_line() -> None:
    program = """
Path("/proc/sys/user/max_net_namespaces").write_text("0")  # of the user namespace that we are in now
try:
    NetworkNamespace.create()
except MachineError as error:
    print(error)
"""
    assert python("nobody", program) == (
        "network namespaces are switched off (user.max_net_namespaces = 0); "
        "run as root, or allow them: sudo sysctl -w user.max_net_namespaces=15000"
    )


def test_forbidden_user_namespaces_are_said_in_one_line() -> None:
    program = """
Path("/proc/sys/user/max_user_namespaces").write_text("0")
import bamdmux.live.namespaces
bamdmux.live.namespaces._has_capability = lambda capability: False  # else it would have nothing to do
try:
    enter_user_namespace()
except MachineError as error:
    print(error)
"""
    assert python("nobody", program) == (
        "user namespaces are switched off (user.max_user_namespaces = 0); "
        "run as root, or allow them: sudo sysctl -w user.max_user_namespaces=15000"
    )


def test_debian_s_switch_is_named(tmp_path: Path) -> None:
    line = refused(tmp_path, errno.EPERM, kernel__unprivileged_userns_clone="0")
    assert line.endswith("sudo sysctl -w kernel.unprivileged_userns_clone=1")


def test_ubuntu_s_switch_is_named(tmp_path: Path) -> None:
    line = refused(
        tmp_path,
        errno.EACCES,
        user__max_user_namespaces="15000",
        kernel__apparmor_restrict_unprivileged_userns="1",
    )
    assert line.startswith("AppArmor takes the privileges out")
    assert line.endswith("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "start the container with --privileged"),
        (errno.ENOSPC, "too many namespaces exist already"),
        (errno.EINVAL, "this kernel lacks namespaces"),
    ],
)
def test_other_reasons_are_told_apart_by_errno(tmp_path: Path, number: int, words: str) -> None:
    line = refused(tmp_path, number)
    assert words in line
    assert "\n" not in line
