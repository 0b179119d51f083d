"""The network behind the modem, kind ``passt``: the caller's own network, without root.

    wwan0 ... modem  <- packets ->  PasstDevice  <- frames ->  passt(1) | sockets in the caller's namespace

passt (Debian's program, used as it is) turns packets into sockets of an ordinary process and back: what the
host sends leaves this machine as if a program of the caller had sent it. It serves one guest, so it gets one
bearer, the first; packets of others are refused, and counted by the modem.

It is started with one end of a socket pair, with the addresses that the bearer has, and must confirm them by
DHCP; the way to it is found by ARP and neighbour discovery. Its gateway is the bearer's, and stands for the
caller's loopback: a server on 127.0.0.1:8000 is http://10.64.0.1:8000/ for the host. Names are asked for at
NAME_SERVER, which passt maps to the caller's resolver; `resolv_conf` says so to the host, and the bearer does
to clients of the modem.

passt ends when its end of the pair is closed, so nothing of it outlives us, however we end. It does not
survive us; that we survive it is passt_device.py's.
"""

import logging
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from errno import ENOEXEC
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, NoReturn, Self

from bamdmux.errors import MachineError
from bamdmux.live.addresses import link_local
from bamdmux.live.init import NOT_EXECUTABLE, forget_parent
from bamdmux.live.namespaces import set_parent_death_signal
from bamdmux.live.networks.frame_stream import FrameStream
from bamdmux.live.networks.passt_device import PasstDevice
from bamdmux.modem.network import Bearer
from bamdmux.netdevice import ETH_P_IP, ETH_P_IPV6
from bamdmux.wire.dhcp import Kind, decode_reply, encode_request
from bamdmux.wire.ethernet import (
    BROADCAST,
    ETH_P_ARP,
    ETHERNET_HEADER,
    Advertisement,
    Arp,
    ArpOperation,
    Solicitation,
    decode_arp,
    decode_neighbour,
    encode_arp,
    encode_frame,
    encode_solicitation,
    multicast_mac,
    solicited_node,
)

LOG: Final = logging.getLogger("bamdmux.network")

PROGRAM: Final = "passt"
MAX_MTU: Final = 1500  # what a frame of ours holds
NAME_SERVER: Final = IPv4Address("10.64.255.53")  # in nobody's bearer
MAC: Final = bytes.fromhex("020000640002")  # ours; local, as all addresses with 02
PASST_MAC: Final = bytes.fromhex("020000640001")
TRANSACTION: Final = 0x8916

# Room in the socket; root gets it, others as much as net.core.wmem_max allows (Debian: 212992).
SOCKET_BYTES: Final = 1 << 22

ANSWER_SECONDS: Final = 10.0  # for the first answer; milliseconds, unless the machine is busy
IPV6_SECONDS: Final = 0.2  # after the others, for the answer that shows that it serves IPv6
MESSAGE_BYTES: Final = 1 << 12  # read of what it has to say of its end

RTF_REJECT: Final = 0x0200  # include/uapi/linux/ipv6_route.h
SO_SNDBUFFORCE: Final = 32  # include/uapi/asm-generic/socket.h
LOOPBACK: Final = "lo"


class PasstNetwork:
    """passt and the way to it; made by `PasstNetwork.create`. Close it.

    Attributes:
        device: the modem's end.
        server_pid: of passt; 0 once it is closed.
        resolv_conf: the address at which names are asked for; None if the caller has no resolver for IPv4.
    """

    kind: Final = "passt"
    http_url: Final[str | None] = None
    # The passt of Debian 12 (March 2023) loses what the socket does not take at once, and then sends whole
    # windows again and again. What connections have under way must therefore fit, also of some that run side
    # by side: the host's receive buffers limit that.
    host_settings: Final[Mapping[str, str]] = {"net/ipv4/tcp_rmem": "4096 65536 65536"}

    def __init__(
        self, process: "Process", device: PasstDevice, resolv_conf: str | None, resources: ExitStack
    ) -> None:
        self.device = device
        self.resolv_conf = resolv_conf
        self._process = process
        self._resources = resources

    @property
    def server_pid(self) -> int:
        return self._process.pid

    @classmethod
    def create(cls, bearers: Sequence[Bearer], program: str = PROGRAM) -> Self:
        """Start passt for the first bearer, and find the way to it; see `open_network`."""
        path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/bin:/usr/local/bin")
        if path is None:
            raise MachineError("passt is not installed; sudo apt-get install passt")
        bearer = bearers[0]
        with ExitStack() as resources:
            near_end, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (near_end, far_end):
                _enlarge(end)
            stream = FrameStream(near_end)
            resources.callback(stream.close)
            plan = Plan.for_caller()
            with far_end:
                process = Process.start(path, plan.arguments(bearer, far_end.fileno()), far_end.fileno())
            resources.callback(process.stop)
            answers = _find_way(stream, bearer, process)
            assert answers.gateway_mac4 is not None
            device = PasstDevice(
                stream,
                bearer,
                mac=MAC,
                gateway_mac4=answers.gateway_mac4,
                gateway_mac6=answers.gateway_mac6,
            )
            if plan.resolver is not None:
                bearer.name_servers4 = (NAME_SERVER,)
            _tell(plan, bearers, has_ipv6=answers.gateway_mac6 is not None)
            return cls(process, device, plan.resolv_conf(), resources.pop_all())

    def close(self) -> None:
        """End passt."""
        self._resources.close()


@dataclass(frozen=True, slots=True)
class Plan:
    """What passt is to be told, from what the caller's network is like.

    Attributes:
        interface: whose addresses passt believes to be the caller's.
        reaches4, reaches6: there is a way out of this machine.
        resolver: which passt will forward to; None if there is none.
    """

    interface: str
    reaches4: bool
    reaches6: bool
    resolver: IPv4Address | None

    @classmethod
    def for_caller(cls) -> Self:
        """Look at the network namespace that we are in, and at its resolver."""
        interface4 = default_interface4(_read("/proc/net/route"))
        interface6 = default_interface6(_read("/proc/net/ipv6_route"))
        return cls(
            interface=interface4 or interface6 or LOOPBACK,
            reaches4=interface4 is not None,
            reaches6=interface6 is not None,
            resolver=first_resolver(_read("/etc/resolv.conf")),
        )

    def arguments(self, bearer: Bearer, descriptor: int) -> list[str]:
        return [
            *("--foreground", "--quiet", "--stderr", "--fd", str(descriptor)),
            *(
                "--interface",
                self.interface,
                "--mac-addr",
                PASST_MAC.hex(":"),
                "--mtu",
                str(min(bearer.mtu, MAX_MTU)),
            ),
            *("--address", str(bearer.address4), "--netmask", str(bearer.prefix4_length)),
            *("--gateway", str(bearer.gateway4)),
            *("--address", str(bearer.address6), "--gateway", str(bearer.gateway6)),
            *("--dns-forward", str(NAME_SERVER)),
            *("--no-ra", "--no-dhcpv6"),  # the modem's own affair
        ]

    def resolv_conf(self) -> str | None:
        if self.resolver is None:
            return None
        return f"# bamdmux: by way of the modem and passt to {self.resolver}\nnameserver {NAME_SERVER}\n"


def _enlarge(end: socket.socket) -> None:
    """Make room in the socket for what it is to take at once, as far as we are allowed."""
    try:
        end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)


def _tell(plan: Plan, bearers: Sequence[Bearer], *, has_ipv6: bool) -> None:
    if len(bearers) > 1:
        others = ", ".join(f"wwan{bearer.channel}" for bearer in bearers[1:])
        LOG.warning("passt serves wwan%d only; packets of %s are dropped", bearers[0].channel, others)
    if not (plan.reaches4 or plan.reaches6):
        LOG.warning("this network has no default route; passt reaches no further than its loopback")
    if not has_ipv6:
        LOG.warning("passt finds no IPv6 on %s; only IPv4 gets beyond the modem", plan.interface)
    elif not plan.reaches6:
        LOG.warning("this network has no default route for IPv6; passt reaches no further than its loopback")
    if plan.resolver is None:
        LOG.warning("/etc/resolv.conf names no server with IPv4; names cannot be resolved behind the modem")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""  # this kernel has no IPv6, this machine no resolver


def default_interface4(table: str) -> str | None:
    """The interface of the best default route, from /proc/net/route."""
    routes = [
        (int(metric), interface)
        for interface, destination, _, _, _, _, metric, mask, *_ in map(str.split, table.splitlines()[1:])
        if int(destination, 16) == int(mask, 16) == 0
    ]
    return min(routes)[1] if routes else None


def default_interface6(table: str) -> str | None:
    """The interface of the best default route, from /proc/net/ipv6_route."""
    routes = [
        (int(metric, 16), interface)
        for _, length, _, _, _, metric, _, _, flags, interface in map(str.split, table.splitlines())
        if int(length, 16) == 0 and not int(flags, 16) & RTF_REJECT
    ]
    return min(routes)[1] if routes else None


def first_resolver(resolv_conf: str) -> IPv4Address | None:
    """The first name server with an IPv4 address: the one that passt forwards to."""
    for line in resolv_conf.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                with suppress(ValueError):
                    return IPv4Address(address)
    return None


class Process:
    """passt; made by `Process.start`.

    Attributes:
        pid: 0 once it was stopped.
    """

    def __init__(self, pid: int, messages: int) -> None:
        self.pid = pid
        self._messages = messages

    @classmethod
    def start(cls, path: str, arguments: Sequence[str], stream: int) -> Self:
        """Start passt in a group of its own: what our terminal says to us is not for it."""
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        os.set_blocking(writable, False)  # what nobody reads must not stop it
        try:
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                _become_passt(path, arguments, stream, writable, parent)
        except OSError as error:
            os.close(readable)
            raise MachineError(f"cannot start passt: {error.strerror}; is memory short?") from error
        finally:
            os.close(writable)
        return cls(pid, readable)

    def last_words(self) -> str:
        """The last line of what it said."""
        try:
            text = os.read(self._messages, MESSAGE_BYTES).decode(errors="replace")
        except BlockingIOError:
            text = ""
        # In a container there is no syslog, and root's passt becomes nobody as it should.
        noise = ("Failed to send ", "Don't run as root")
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith(noise)]
        return lines[-1].strip() if lines else "it says nothing"

    def stop(self) -> None:
        """End it at once, and reap it."""
        if self.pid > 0:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = 0
            os.close(self._messages)


def _become_passt(path: str, arguments: Sequence[str], stream: int, messages: int, parent: int) -> NoReturn:
    """Be passt, in the child of a fork."""
    number = ENOEXEC
    try:
        forget_parent(keep={stream, messages})
        os.setpgid(0, 0)
        # The end of the stream ends it as well. This is for a passt that is stopped, or hangs; if it was
        # started by root, it loses this when it becomes nobody: commit_creds() in kernel/cred.c.
        set_parent_death_signal(signal.SIGKILL)
        if os.getppid() == parent:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor, target in ((null, 0), (null, 1), (messages, 2)):
                os.dup2(descriptor, target)
            os.set_inheritable(stream, True)
            os.execv(path, [path, *arguments])
    except OSError as error:
        number = error.errno or number
    os.write(2, f"cannot run {path}: {os.strerror(number)}\n".encode())
    os._exit(NOT_EXECUTABLE)


# The way to it


@dataclass(slots=True)
class _Answers:
    gateway_mac4: bytes | None = None
    gateway_mac6: bytes | None = None
    address: IPv4Address | None = None

    @property
    def is_reachable(self) -> bool:
        return self.gateway_mac4 is not None and self.address is not None


def _find_way(stream: FrameStream, bearer: Bearer, process: Process) -> _Answers:
    """Ask for the addresses of the gateways, and for the bearer's own to be confirmed."""
    local = link_local(MAC).ip
    assert isinstance(local, IPv6Address)
    answers = _Answers()
    for frame in _questions(bearer, local):
        stream.send(frame)
    limit = time.monotonic() + ANSWER_SECONDS
    while answers.gateway_mac6 is None or not answers.is_reachable:
        ready, _, _ = select.select([stream], [], [], max(0.0, limit - time.monotonic()))
        if not ready:
            break
        while (frame_view := stream.next_frame()) is not None:
            was_reachable = answers.is_reachable
            _note(answers, bytes(frame_view), bearer, local)
            if answers.is_reachable and not was_reachable:
                limit = time.monotonic() + IPV6_SECONDS
        if stream.end:
            raise MachineError(
                f"passt has ended: {process.last_words()}; try it by itself: passt --foreground --stderr"
            )
    if not answers.is_reachable:
        raise MachineError(
            f"passt does not answer within {ANSWER_SECONDS:.0f} s; "
            "see what it says by itself: passt --foreground --debug"
        )
    if answers.address != bearer.address4:
        raise MachineError(f"passt gives {answers.address} and not {bearer.address4}; another version may do")
    return answers


def _questions(bearer: Bearer, local: IPv6Address) -> list[bytes]:
    """Frames; what IPv6 brings is asked for first, so that its answer is not waited for in vain."""
    solicitation = Solicitation(local, bearer.gateway6, MAC)
    arp = Arp(ArpOperation.REQUEST, MAC, bearer.address4, bytes(6), bearer.gateway4)
    group = multicast_mac(solicited_node(bearer.gateway6))
    return [
        encode_frame(group, MAC, ETH_P_IPV6, encode_solicitation(solicitation)),
        encode_frame(BROADCAST, MAC, ETH_P_ARP, encode_arp(arp)),
        encode_frame(BROADCAST, MAC, ETH_P_IP, encode_request(MAC, bearer.address4, TRANSACTION)),
    ]


def _note(answers: _Answers, frame: bytes, bearer: Bearer, local: IPv6Address) -> None:
    """Take from a frame what it answers; it may be anything."""
    if len(frame) < ETHERNET_HEADER.size:
        return
    _, source, protocol = ETHERNET_HEADER.unpack_from(frame)
    payload = frame[ETHERNET_HEADER.size :]
    if protocol == ETH_P_ARP:
        arp = decode_arp(payload)
        if arp is not None and arp.operation is ArpOperation.REPLY and arp.sender == bearer.gateway4:
            answers.gateway_mac4 = arp.sender_mac
    elif protocol == ETH_P_IP:
        reply = decode_reply(payload)
        if reply is not None and reply.transaction == TRANSACTION and reply.kind is Kind.ACK:
            answers.address = reply.address
    elif protocol == ETH_P_IPV6:
        match decode_neighbour(payload):
            case Advertisement(_, destination, _, mac) if destination == local:
                answers.gateway_mac6 = source if mac is None else mac
