"""What a manager of modems says of a data call that is up, and an interface that is set up as it says.

Neither ModemManager nor oFono gives an interface its addresses; who asked them for the call does.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any, Final

from bamdmux.errors import MachineError
from bamdmux.live.addresses import Netlink, ignore_default_routers

RESOLV_CONF: Final = Path("/etc/resolv.conf")
MODEM_WAIT_SECONDS: Final = 30.0  # for the modem to be there: after a crash it is found anew


@dataclass(frozen=True, slots=True)
class IpConfiguration:
    """Of one version of IP, as the bearer has it."""

    address: IPv4Interface | IPv6Interface
    gateway: IPv4Address | IPv6Address | None
    name_servers: tuple[str, ...]
    mtu: int | None


@dataclass(frozen=True, slots=True)
class Connection:
    """A bearer that is connected."""

    modem: str
    bearer: str
    interface: str
    seconds: float  # from the wish until the bearer was there
    configurations: list[IpConfiguration] = field(default_factory=list)

    @property
    def mtu(self) -> int | None:
        return min((each.mtu for each in self.configurations if each.mtu), default=None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "modem": self.modem,
            "bearer": self.bearer,
            "interface": self.interface,
            "seconds": round(self.seconds, 3),
            "addresses": [str(each.address) for each in self.configurations],
            "gateways": [str(each.gateway) for each in self.configurations if each.gateway is not None],
            "dns": [server for each in self.configurations for server in each.name_servers],
            "mtu": self.mtu,
        }


def configure(connection: Connection, *, is_way_out: bool) -> None:
    """Set its interface up, with addresses, and make it the way out if it shall be that; in its namespace.

    Raises:
        MachineError: the interface is not here, or does not take that.
    """
    try:
        index = socket.if_nametoindex(connection.interface)
    except OSError as error:
        raise MachineError(
            f"there is no interface {connection.interface}; are we in the command's network?"
        ) from error
    if not is_way_out:
        ignore_default_routers(connection.interface)
    with Netlink() as netlink:
        if connection.mtu is not None:
            netlink.set_mtu(index, connection.mtu)
        netlink.set_up(index)
        for each in connection.configurations:
            netlink.add_address(index, each.address)
            if is_way_out:
                netlink.add_default_route(
                    index, each.address.version, each.gateway if each.address.version == 4 else None
                )
    name_servers = [server for each in connection.configurations for server in each.name_servers]
    if is_way_out:
        _write_name_servers(name_servers)


def _write_name_servers(name_servers: Sequence[str]) -> None:
    """Into this run's own file; where nothing could be mounted it is the machine's that we see."""
    ours = Path(os.environ.get("BAMDMUX_CTL", "/nobody/control")).with_name(RESOLV_CONF.name)
    if name_servers and ours.exists() and RESOLV_CONF.samefile(ours):
        RESOLV_CONF.write_text("".join(f"nameserver {server}\n" for server in name_servers))
