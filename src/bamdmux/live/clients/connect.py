"""`bamdmux connect`: what a connection manager does with ModemManager, and no more.

    Simple.Connect over D-Bus  ->  a bearer: interface, addresses, gateways, DNS, MTU
    netlink                    ->  MTU, interface up, addresses, a default route
    resolv.conf                ->  the name servers

ModemManager never configures an interface by itself. It runs where ModemManager's bus and the interface are:
in the command of `bamdmux run --modem-manager`.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from pathlib import Path
from typing import Any, Final

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError, InvalidAddressError

from bamdmux.errors import MachineError, UsageError
from bamdmux.live.addresses import Netlink
from bamdmux.live.clients.modem_manager import NAME, find_modems

SIMPLE_INTERFACE: Final = "org.freedesktop.ModemManager1.Modem.Simple"
BEARER_INTERFACE: Final = "org.freedesktop.ModemManager1.Bearer"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
BUS_VARIABLE: Final = "DBUS_SYSTEM_BUS_ADDRESS"

RESOLV_CONF: Final = Path("/etc/resolv.conf")
MODEM_WAIT_SECONDS: Final = 10.0  # for the modem to be there: after a crash it is found anew
POLL_SECONDS: Final = 0.1

# MMBearerIpFamily, and MMBearerIpMethod: only a static configuration is in the bearer itself.
IP_FAMILIES: Final = {"ipv4": 1 << 0, "ipv6": 1 << 1, "ipv4v6": 1 << 2}


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
            "addresses": [str(each.address) for each in self.configurations],
            "gateways": [str(each.gateway) for each in self.configurations if each.gateway is not None],
            "dns": [server for each in self.configurations for server in each.name_servers],
            "mtu": self.mtu,
        }


def connect(settings: Mapping[str, str | int]) -> Connection:
    """Connect by ModemManager, and configure the interface; what it has then.

    Args:
        settings: of Simple.Connect: apn, ip-type, user, password, pin.

    Raises:
        MachineError: there is no ModemManager, no modem, or the modem or the network refuses.
    """
    connection = asyncio.run(_connect(settings))
    _configure(connection)
    return connection


def disconnect() -> None:
    """Disconnect all bearers of the modem, and take their interfaces down.

    Raises:
        MachineError: there is no ModemManager, or no modem.
    """
    for interface in asyncio.run(_disconnect()):
        with suppress(OSError), Netlink() as netlink:
            netlink.set_down(socket.if_nametoindex(interface))


async def _connect(settings: Mapping[str, str | int]) -> Connection:
    bus = await _open_bus()
    modem = await _find_modem(bus)
    properties = {
        key: Variant("u" if isinstance(value, int) else "s", value) for key, value in settings.items()
    }
    (bearer,) = await _call(bus, modem, SIMPLE_INTERFACE, "Connect", "a{sv}", [properties])
    (values,) = await _call(bus, bearer, PROPERTIES, "GetAll", "s", [BEARER_INTERFACE])
    configurations = [_read_configuration(values[key].value) for key in ("Ip4Config", "Ip6Config")]
    return Connection(
        modem, bearer, values["Interface"].value, [each for each in configurations if each is not None]
    )


async def _disconnect() -> list[str]:
    bus = await _open_bus()
    modem = await _find_modem(bus)
    (value,) = await _call(
        bus, modem, PROPERTIES, "Get", "ss", ["org.freedesktop.ModemManager1.Modem", "Bearers"]
    )
    interfaces = []
    for bearer in value.value:
        (interface,) = await _call(bus, bearer, PROPERTIES, "Get", "ss", [BEARER_INTERFACE, "Interface"])
        if interface.value:
            interfaces.append(interface.value)
    await _call(bus, modem, SIMPLE_INTERFACE, "Disconnect", "o", ["/"])
    return interfaces


async def _open_bus() -> MessageBus:
    address = os.environ.get(BUS_VARIABLE)
    if address is None:
        raise UsageError(f"{BUS_VARIABLE} is not set; run this inside `bamdmux run --modem-manager`")
    try:
        return await MessageBus(bus_address=address).connect()
    except (OSError, InvalidAddressError, EOFError) as error:
        raise MachineError(
            f"no bus answers at {address}; is `bamdmux run --modem-manager` still running?"
        ) from error


async def _find_modem(bus: MessageBus) -> str:
    """The modem; it may be on its way."""
    deadline = asyncio.get_running_loop().time() + MODEM_WAIT_SECONDS
    while not (modems := await find_modems(bus)):
        if asyncio.get_running_loop().time() >= deadline:
            raise MachineError("ModemManager has no modem; what does it say? mmcli -L")
        await asyncio.sleep(POLL_SECONDS)
    return modems[0]


async def _call(
    bus: MessageBus, path: str, interface: str, member: str, signature: str, body: list[Any]
) -> list[Any]:
    """Call a method of ModemManager.

    Raises:
        MachineError: it refuses; its words.
    """
    try:
        reply = await bus.call(
            Message(
                destination=NAME,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
    except (DBusError, EOFError, OSError) as error:
        raise MachineError(f"ModemManager has gone: {error}") from error
    assert reply is not None
    if reply.message_type is MessageType.ERROR:
        text = str(reply.body[0]) if reply.body else str(reply.error_name)
        raise MachineError(f"ModemManager refuses: {text}")
    return reply.body


def _read_configuration(values: Mapping[str, Variant]) -> IpConfiguration | None:
    """What ModemManager says of one version of IP; None: it is not connected for it."""
    if "address" not in values:
        return None
    gateway = values["gateway"].value if "gateway" in values else None
    return IpConfiguration(
        address=ip_interface(f"{values['address'].value}/{values['prefix'].value}"),
        gateway=ip_address(gateway) if gateway else None,
        name_servers=tuple(values[key].value for key in ("dns1", "dns2", "dns3") if key in values),
        mtu=values["mtu"].value if "mtu" in values else None,
    )


def _configure(connection: Connection) -> None:
    try:
        index = socket.if_nametoindex(connection.interface)
    except OSError as error:
        raise MachineError(
            f"there is no interface {connection.interface}; are we in the command's network?"
        ) from error
    with Netlink() as netlink:
        if connection.mtu is not None:
            netlink.set_mtu(index, connection.mtu)
        netlink.set_up(index)
        for each in connection.configurations:
            netlink.add_address(index, each.address)
            netlink.add_default_route(
                index, each.address.version, each.gateway if each.address.version == 4 else None
            )
    name_servers = [server for each in connection.configurations for server in each.name_servers]
    if name_servers:
        RESOLV_CONF.write_text("".join(f"nameserver {server}\n" for server in name_servers))
