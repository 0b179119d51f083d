"""The network behind the modem, kind ``tun:NAME``: a TUN in the caller's own network namespace.

    wwan0 ... modem  <- packets ->  NAME | the caller's kernel: its routes, its firewall, its forwarding

For who has a network to bring: a test bed, a virtual router, a capture on the far side of the modem. With
privileges we make NAME, a raw IP interface that is gone when we are, and give it the gateways' addresses and
the routes to the bearers. Without them NAME must exist already, as a persistent TUN that belongs to the user;
what it then lacks is said in one line, with the commands that mend it.

Nothing is forwarded or translated unless the caller's kernel is told so: docs/networks.md says how.
"""

import errno
import fcntl
import getpass
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_interface, ip_network
from typing import Final, Self

from bamdmux.errors import MachineError
from bamdmux.live.addresses import IFF_UP, IN6_ADDR_GEN_MODE_NONE, SETTINGS, Netlink
from bamdmux.live.tun import DEVICE, IFF_TUN, INTERFACE_REQUEST, TUNSETIFF, Tun
from bamdmux.modem.network import Bearer

LOG: Final = logging.getLogger("bamdmux.network")

TUNSETOFFLOAD: Final = 0x400454D0


class CallerTunNetwork:
    """The TUN; made or taken by `CallerTunNetwork.create`. Close it.

    Attributes:
        device: the modem's end.
        is_made: NAME was made by us, and goes with us.
    """

    http_url: Final[str | None] = None
    server_pid: Final[int | None] = None
    resolv_conf: Final[str | None] = None
    host_settings: Final[Mapping[str, str]] = {}

    def __init__(self, device: Tun, *, is_made: bool) -> None:
        self.kind = f"tun:{device.name}"
        self.device = device
        self.is_made = is_made

    @classmethod
    def create(cls, name: str, bearers: Sequence[Bearer]) -> Self:
        """Make the TUN, or take the one that is there; see `open_network`."""
        is_made = not _exists(name)
        device = _make(name, bearers[0].mtu) if is_made else _attach(name)
        try:
            if is_made:
                with suppress(OSError):  # no IPv6; fe80::1 is the modem's own affair
                    path = SETTINGS / f"ipv6/conf/{name}/addr_gen_mode"
                    path.write_text(str(IN6_ADDR_GEN_MODE_NONE))
            try:
                configure(device.index, bearers)
            except MachineError:
                if not is_configured(device.index, bearers[0]):
                    LOG.error("%s is not set up, and we may not do so: %s", name, commands(name, bearers))
            return cls(device, is_made=is_made)
        except BaseException:
            device.close()
            raise

    def close(self) -> None:
        """Let go of the TUN."""
        self.device.close()


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: a name that no interface can have, which `_make` refuses
        return False
    return True


def _make(name: str, mtu: int) -> Tun:
    try:
        return Tun.create(name, mtu=mtu)
    except MachineError as error:
        if isinstance(error.__cause__, PermissionError) and error.__cause__.errno == errno.EPERM:
            raise MachineError(
                f"there is no interface {name}, and only root can make it: "
                f"sudo ip tuntap add dev {name} mode tun user {_user()}"
            ) from error
        raise


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody by that number
        return str(os.getuid())


def _attach(name: str) -> Tun:
    """Take an interface that exists already, if it is a TUN and free, and ours to take."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(
            f"cannot open {DEVICE}: {error.strerror}; `bamdmux doctor` says what mends it"
        ) from error
    statistics = -1
    try:
        # Without IFF_NO_PI: whether there is packet information is for each that attaches to say.
        fcntl.ioctl(descriptor, TUNSETIFF, INTERFACE_REQUEST.pack(name.encode(), IFF_TUN))
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, 0)  # an earlier owner's
        statistics = os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)
        index = socket.if_nametoindex(name)
        tun = Tun(descriptor, name=name, index=index, statistics=statistics, permanent_address=None)
    except BaseException as error:
        os.close(descriptor)
        if statistics >= 0:
            os.close(statistics)
        if isinstance(error, OSError):
            raise _explain_attach(error, name) from error
        raise
    tun.drain()  # what was sent before there was a modem
    return tun


def _explain_attach(error: OSError, name: str) -> MachineError:
    match error.errno:
        case errno.EBUSY:
            return MachineError(
                f"interface {name} is in use by another program; end that, or take another name"
            )
        case errno.EPERM:
            return MachineError(
                f"interface {name} exists, and is not {_user()}'s; take another name, or make one: "
                f"sudo ip tuntap add dev NAME mode tun user {_user()}"
            )
        case errno.EINVAL:
            return MachineError(
                f"interface {name} exists, and is no TUN of one queue; take another name, as in tun:pdn0"
            )
    return MachineError(f"cannot take interface {name}: {error.strerror}; take another name")


def configure(index: int, bearers: Sequence[Bearer]) -> None:
    """Give the gateways their addresses, and route to the bearers.

    Raises:
        MachineError: we may not do so.
    """
    with Netlink() as netlink:
        netlink.set_up(index)
        for bearer in bearers:
            netlink.add_address(index, ip_interface(bearer.gateway4))
            network4 = ip_network((bearer.address4, bearer.prefix4_length), strict=False)
            netlink.add_route(index, network4)
            try:
                netlink.add_address(index, ip_interface(bearer.gateway6))
                netlink.add_route(index, bearer.prefix6)
            except MachineError:
                continue  # this kernel has no IPv6, or it is switched off


def is_configured(index: int, bearer: Bearer) -> bool:
    """Whether somebody has set the interface up already, as far as this bearer goes."""
    from pyroute2 import IPRoute, NetlinkError

    with IPRoute() as requests:
        try:
            (link,) = requests.link("get", index=index)
            (route,) = requests.route("get", dst=str(bearer.address4))
        except NetlinkError:
            return False  # no way there
        return bool(link["flags"] & IFF_UP) and route.get("oif") == index


def commands(name: str, bearers: Sequence[Bearer]) -> str:
    """One line for a shell that does what `configure` does."""
    numbers = " ".join(str(bearer.channel) for bearer in bearers)
    return (
        f"sudo sh -c 'ip link set {name} up; for n in {numbers}; do ip address add 10.64.$n.1/30 dev {name}; "
        f"ip address add 2001:db8:64:$n::1/64 dev {name}; done'"
    )
