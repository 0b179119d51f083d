"""Addresses and routes: what makes interfaces in a namespace usable.

All of it is called in a thread of the namespace (`NetworkNamespace.run`):

1. `prepare_namespace()`, before the first TUN is made.
2. `with Netlink() as netlink:` one session for all that is to be set, loopback first.
3. `netlink.bring_up(...)` for each interface, so that it speaks IPv6 as the real driver's would.

**Identity.** A bam_dmux interface has a random permanent address of 6 bytes, and the kernel makes of it the
lower half of all IPv6 addresses (addrconf_ifid_rawip() in net/ipv6/addrconf.c). A TUN's permanent address is
zero and cannot be set, so all of them would have fe80::200:ff:fe00:0, and the same lower half from router
advertisements. Instead we take over: the kernel makes no link-local address (addr_gen_mode "none"), we add
the right one, and tell the kernel the lower half as a *token* (ip-token(8)), which addrconf_prefix_rcv()
prefers to its own. The token survives ifdown; the link-local address does not: `restore_link_local`.

netlink is pyroute2's, imported on first use: that takes some 50 ms, each request 0.15 ms.
"""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bamdmux.errors import MachineError

LOOPBACK_INDEX: Final = 1  # the first interface of every namespace
SETTINGS: Final = Path("/proc/sys/net")  # of the calling thread's network namespace

# include/uapi/linux/{if,if_link,if_addr}.h
IFF_UP: Final = 0x01
IFF_NOARP: Final = 0x80
IN6_ADDR_GEN_MODE_NONE: Final = 1
IFA_F_NODAD: Final = 0x02

Address = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network
Gateway = IPv4Address | IPv6Address


def prepare_namespace() -> None:
    """Set what interfaces made later in this namespace shall start with."""
    # A container may have /proc/sys read-only, and a kernel no IPv6. `set_identity` sets the first once more;
    # reverse path filtering is the host's setting, and with our routes it passes what it should.
    _write_setting("ipv6/conf/default/addr_gen_mode", IN6_ADDR_GEN_MODE_NONE)
    _write_setting("ipv6/conf/default/router_solicitation_delay", 0)  # nobody else asks on this link
    for name in ("all", "default"):
        _write_setting(f"ipv4/conf/{name}/rp_filter", 0)


def ignore_default_routers(name: str) -> None:
    """Take an address from router advertisements on this interface, but no default route."""
    _write_setting(f"ipv6/conf/{name}/accept_ra_defrtr", 0)


def form_no_link_local(name: str) -> None:
    """The kernel is not to form a link-local address: ours comes later, see `restore_link_local`."""
    _write_setting(f"ipv6/conf/{name}/addr_gen_mode", IN6_ADDR_GEN_MODE_NONE)


def _write_setting(name: str, value: int) -> None:
    with suppress(OSError):
        (SETTINGS / name).write_text(str(value))


def interface_identifier(permanent_address: bytes) -> bytes:
    """The lower half of an IPv6 address, from 6 bytes: modified EUI-64, RFC 4291 appendix A."""
    first = permanent_address[0] ^ 0x02
    return bytes((first, *permanent_address[1:3], 0xFF, 0xFE, *permanent_address[3:]))


def link_local(permanent_address: bytes) -> IPv6Interface:
    """The link-local address that the kernel gives to a raw IP interface with this permanent address."""
    return IPv6Interface((b"\xfe\x80" + bytes(6) + interface_identifier(permanent_address), 64))


def restore_link_local(index: int, permanent_address: bytes) -> bool:
    """Give an interface that has come up again its identity back; call it in a thread of the namespace.

    ifdown takes the link-local address, an MTU below 1280 also the token. What is there stays as it is.

    Returns:
        False if the interface has no IPv6 now: MTU below 1280, switched off, or no interface any more.
    """
    with Netlink() as netlink:
        return netlink.restore_identity(index, permanent_address)


class Netlink:
    """A netlink session in the network namespace of the calling thread, and for this thread only.

    What is set already is set again without complaint. All methods raise MachineError when refused.
    """

    def __init__(self) -> None:
        from pyroute2 import IPRoute

        self._requests = IPRoute()

    def set_up(self, index: int) -> None:
        with _explained(f"set interface {index} up"):
            self._requests.link("set", index=index, flags=IFF_UP, change=IFF_UP)

    def set_down(self, index: int) -> None:
        with _explained(f"set interface {index} down"):
            self._requests.link("set", index=index, flags=0, change=IFF_UP)

    def set_mtu(self, index: int, mtu: int) -> None:
        with _explained(f"set the MTU of interface {index} to {mtu}"):
            self._requests.link("set", index=index, mtu=mtu)

    def add_address(self, index: int, address: Address) -> None:
        """Add an address and, for a prefix shorter than the address, the route to its network."""
        # Nobody else is on the link. A raw IP interface skips duplicate detection anyway, as long as it is
        # IFF_NOARP (addrconf_dad_begin()).
        flags = IFA_F_NODAD if address.version == 6 else 0
        with _explained(f"add {address} to interface {index}"):
            self._requests.addr(
                "replace",
                index=index,
                family=_family(address),
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
                flags=flags,
            )

    def flush_addresses(self, index: int) -> None:
        """Take all addresses off an interface, and the routes with them."""
        with _explained(f"take the addresses off interface {index}"):
            self._requests.flush_addr(index=index)

    def add_route(self, index: int, destination: Network, gateway: Gateway | None = None) -> None:
        """Route to `destination` through an interface that is up."""
        arguments: dict[str, Any] = {} if gateway is None else {"gateway": str(gateway)}
        with _explained(f"route {destination} through interface {index}"):
            self._requests.route(
                "replace", family=_family(destination), dst=str(destination), oif=index, **arguments
            )

    def add_default_route(self, index: int, version: int, gateway: Gateway | None = None) -> None:
        """Route everything of IPv4 or IPv6 through an interface; point to point needs no gateway."""
        self.add_route(index, ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0"), gateway)

    def set_identity(self, index: int, permanent_address: bytes) -> bool:
        """Form all IPv6 addresses of an interface from `permanent_address`, and add the link-local one.

        Returns:
            False if the interface has no IPv6.
        """
        return self._set_token(index, _token(permanent_address)) and self._add_link_local(
            index, permanent_address
        )

    def bring_up(self, index: int, permanent_address: bytes) -> bool:
        """Set an interface up, with its identity; False if it has no IPv6.

        In this order: a link-local address that is added before sends its router solicitation at once, into
        an interface that drops it, and the next one comes only after 4 s.
        """
        has_ipv6 = self._set_token(index, _token(permanent_address))
        self.set_up(index)
        return has_ipv6 and self._add_link_local(index, permanent_address)

    def restore_identity(self, index: int, permanent_address: bytes) -> bool:
        """As `set_identity`, but leave in peace what is there still: see `restore_link_local`."""
        from pyroute2 import NetlinkError

        token = _token(permanent_address)
        try:
            (link,) = self._requests.link("get", index=index)
        except NetlinkError:
            return False
        if link.get(("IFLA_AF_SPEC", "AF_INET6", "IFLA_INET6_TOKEN")) != token:
            return self.set_identity(index, permanent_address)
        return self._add_link_local(index, permanent_address)

    def _add_link_local(self, index: int, permanent_address: bytes) -> bool:
        try:
            self.add_address(index, link_local(permanent_address))
        except MachineError:
            return False
        return True

    def _set_token(self, index: int, token: str) -> bool:
        # inet6_set_iftoken() refuses an interface without neighbour discovery, for which it takes IFF_NOARP.
        # addrconf_prefix_rcv(), which uses the token, does not mind: so take the flag away for that moment.
        from pyroute2 import NetlinkError

        attributes = [("IFLA_INET6_TOKEN", token), ("IFLA_INET6_ADDR_GEN_MODE", IN6_ADDR_GEN_MODE_NONE)]
        specification = {"attrs": [("AF_INET6", {"attrs": attributes})]}
        has_ipv6 = True
        try:
            self._requests.link("set", index=index, flags=0, change=IFF_NOARP, IFLA_AF_SPEC=specification)
        except NetlinkError as error:
            # EINVAL: IPv6, but the host's default is not to accept router advertisements.
            has_ipv6 = error.code == errno.EINVAL
        with suppress(NetlinkError):  # no such interface any more
            self._requests.link("set", index=index, flags=IFF_NOARP, change=IFF_NOARP)
        return has_ipv6

    def close(self) -> None:
        self._requests.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _token(permanent_address: bytes) -> str:
    return str(IPv6Address(bytes(8) + interface_identifier(permanent_address)))


def _family(value: Address | Network) -> socket.AddressFamily:
    return socket.AF_INET if value.version == 4 else socket.AF_INET6


@contextmanager
def _explained(attempt: str) -> Iterator[None]:
    """Turn a refusal by the kernel into one line."""
    from pyroute2 import NetlinkError

    try:
        yield
    except NetlinkError as error:
        reason = error.args[-1]
        advice = {
            errno.EPERM: "run as root, or in a namespace of our own: bamdmux run",
            errno.EACCES: "switch IPv6 on: sysctl -w net.ipv6.conf.all.disable_ipv6=0",
            errno.ENETDOWN: "set it up first",
        }.get(error.code, "see what is there: ip address; ip route")
        raise MachineError(f"cannot {attempt}: {reason}; {advice}") from error
