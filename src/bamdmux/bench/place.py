"""Where a link is built: its network namespaces, interfaces, processes and files, which all end together.

A `Link` is what comes of it: two namespaces, and processes that carry packets from the near one to the far
one. Jobs know links and nothing else; how a link is built, only the function that builds it.
"""

import array
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, Final, TypeVar

from bamdmux.errors import MachineError
from bamdmux.live.addresses import LOOPBACK_INDEX, Netlink
from bamdmux.live.namespaces import CLONE_NEWNET, NetworkNamespace, set_parent_death_signal, setns
from bamdmux.live.tun import IFF_TUN, IFF_TUN_EXCL, INTERFACE_REQUEST, TUNSETIFF

NEAR: Final = IPv4Interface("192.0.2.1/30")
FAR: Final = IPv4Interface("192.0.2.2/30")

READY_SECONDS: Final = 10.0  # for a link to carry its first packet; milliseconds, but for some
CONNECT_SECONDS: Final = 0.1  # for one attempt
LOOK_SECONDS: Final = 0.002  # between two looks
LONGEST_LOOK_SECONDS: Final = 1.0  # if it took longer, the machine was paused, and nobody had that time
DOOR: Final = 5202  # of a socket that only listens, to see whether a link works

# include/uapi/linux/{if_tun,ethtool,sockios}.h
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
TUNSETOFFLOAD: Final = 0x400454D0
SUPER_PACKETS: Final = 0x01 | 0x02 | 0x04 | 0x08  # TUN_F_CSUM, TSO4, TSO6, TSO_ECN
SIOCETHTOOL: Final = 0x8946
# ETHTOOL_STXCSUM, SSG, STSO, SGSO, SGRO: in this order, for some need those before them.
OFFLOADS: Final = (0x17, 0x19, 0x1F, 0x24, 0x2C)
ETHTOOL_REQUEST: Final = struct.Struct("16sP16x")  # struct ifreq with a pointer

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A way from one namespace to another, that stands and carries packets.

    Attributes:
        pids: the processes that move packets; what they cost is the link's.
        control: where a link of bamdmux answers questions; None for all others.
    """

    near: NetworkNamespace
    far: NetworkNamespace
    far_address: str
    pids: Sequence[int] = ()
    control: Path | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A program of a link, which stays as long as the link."""

    name: str
    popen: subprocess.Popen[bytes]
    log_path: Path

    def reason_of_death(self) -> str:
        """How it ended, and what it said last; empty if it lives."""
        code = self.popen.poll()
        if code is None:
            return ""
        how = f"exit code {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
        return f"{self.name} has ended ({how}): {self.last_words()}"

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class Place:
    """Where one link is built. Close it, and nothing is left.

    Args:
        folder: for files and sockets of this link alone.
        compiled: where the programs are that we have compiled.
    """

    def __init__(self, folder: Path, compiled: Path) -> None:
        self.folder = folder
        self._compiled = compiled
        self._resources = ExitStack()
        self._processes: list[Process] = []

    def namespace(self) -> NetworkNamespace:
        """Make a network namespace with a loopback interface and no IPv6, which would speak unasked."""
        namespace = self._resources.enter_context(NetworkNamespace.create())
        namespace.run(_prepare)
        return namespace

    def keep(self, resource: Any) -> Any:
        """Hold a context manager open as long as the link."""
        return self._resources.enter_context(resource)

    def compiled(self, name: str) -> str:
        """The path of a program of ours."""
        return str(self._compiled / name)

    def make_tun(
        self, namespace: NetworkNamespace, address: IPv4Interface, *, super_packets: bool = False
    ) -> int:
        """Make a TUN with an address, up; its descriptor, which is ours and non-blocking."""

        def inside() -> int:
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._resources.callback(os.close, descriptor)
            flags = IFF_TUN | IFF_TUN_EXCL | IFF_NO_PI | (IFF_VNET_HDR if super_packets else 0)
            fcntl.ioctl(descriptor, TUNSETIFF, INTERFACE_REQUEST.pack(b"tun0", flags))
            if super_packets:
                fcntl.ioctl(descriptor, TUNSETOFFLOAD, SUPER_PACKETS)
            set_up("tun0", address)
            return descriptor

        return namespace.run(inside)

    def make_veth(self, near: NetworkNamespace, far: NetworkNamespace, *, mtu: int = 1500) -> None:
        """Join two namespaces by a pair of interfaces eth0, which are down and have no address yet."""

        def inside() -> None:
            from pyroute2 import IPRoute

            with IPRoute() as netlink:
                peer = {"ifname": "eth0", "net_ns_fd": far.fileno(), "mtu": mtu}
                netlink.link("add", ifname="eth0", kind="veth", mtu=mtu, peer=peer)

        near.run(inside)

    def start(
        self,
        *argv: str,
        inside: NetworkNamespace | None = None,
        keep: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
        stdin: Any = subprocess.DEVNULL,
        name: str = "",
    ) -> int:
        """Start a program that stays; its pid. What it says goes to a log.

        Args:
            inside: the network namespace that it runs in.
            keep: descriptors that it inherits.
            prepare: called in the new process before it becomes the program.
            name: what people call it; the program's by default.
        """
        log_path = self.folder / f"log-{len(self._processes)}"
        with log_path.open("wb") as log:
            popen = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=log,
                stderr=log,
                pass_fds=keep,
                env=None if environment is None else {**os.environ, **environment},
                preexec_fn=entering(inside, prepare),
            )
        process = Process(name or Path(argv[0]).name, popen, log_path)
        self._resources.callback(process.end)
        self._processes.append(process)
        return popen.pid

    def wait_until(
        self, condition: Callable[[], Result], what: str, look_seconds: float = LOOK_SECONDS
    ) -> Result:
        """Ask again and again until it is so.

        Raises:
            MachineError: it takes too long, or a process has ended.
        """
        waited, before = 0.0, time.monotonic()
        while not (value := condition()):
            if reason := self.reason_of_death():
                raise MachineError(reason)
            now = time.monotonic()
            waited, before = waited + min(now - before, LONGEST_LOOK_SECONDS), now
            if waited > READY_SECONDS:
                said = "; ".join(f"{each.name}: {each.last_words()}" for each in self._processes)
                raise MachineError(f"waited {READY_SECONDS:g} s for {what}; {said}")
            time.sleep(look_seconds)
        return value

    def wait_for_interface(self, namespace: NetworkNamespace, name: str) -> None:
        """Wait until a process has made it."""

        def is_there() -> bool:
            return any(name == found for _, found in socket.if_nameindex())

        self.wait_until(lambda: namespace.run(is_there), name)

    def reason_of_death(self) -> str:
        """Which process of the link has ended, if one has, how, and what it said last."""
        return next((reason for process in self._processes if (reason := process.reason_of_death())), "")

    def close(self) -> None:
        self._resources.close()


def entering(
    namespace: NetworkNamespace | None, prepare: Callable[[], None] | None = None
) -> Callable[[], None]:
    """What a new process does before it becomes a program: end with us, and enter a namespace."""

    def enter() -> None:
        set_parent_death_signal(signal.SIGKILL)
        if namespace is not None:
            setns(namespace.fileno(), CLONE_NEWNET)
        if prepare is not None:
            prepare()

    return enter


def set_up(name: str, address: IPv4Interface) -> None:
    """Give an interface an address and set it up; in a thread of its namespace."""
    index = socket.if_nametoindex(name)
    with Netlink() as netlink:
        netlink.add_address(index, address)
        netlink.set_up(index)


def switch_offloads_off(name: str) -> None:
    """Let an interface take and give packets as they are on a wire; in a thread of its namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in OFFLOADS:
            value = array.array("I", (command, 0))  # struct ethtool_value
            request = ETHTOOL_REQUEST.pack(name.encode(), value.buffer_info()[0])
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def listen_at_door(namespace: NetworkNamespace) -> socket.socket:
    """A socket in the namespace that others can connect to; the kernel answers, nobody has to accept."""

    def inside() -> socket.socket:
        door = socket.create_server(("", DOOR), backlog=64)
        door.setblocking(False)
        return door

    return namespace.run(inside)


def carries_packets(link: Link) -> bool:
    """Whether somebody on the near side can connect to the far side now."""

    def inside() -> bool:
        with suppress(OSError):
            socket.create_connection((link.far_address, DOOR), CONNECT_SECONDS).close()
            return True
        return False

    return link.near.run(inside)


def _prepare() -> None:
    with suppress(OSError):  # a kernel without IPv6
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    with Netlink() as netlink:
        netlink.set_up(LOOPBACK_INDEX)
