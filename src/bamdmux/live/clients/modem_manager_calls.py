"""A data call by ModemManager's D-Bus: Simple.Connect, and what the bearer then says."""

import asyncio
import time
from collections.abc import Mapping
from ipaddress import ip_address, ip_interface
from typing import Final

from dbus_fast import Variant
from dbus_fast.aio import MessageBus

from bamdmux.errors import MachineError
from bamdmux.live.clients.calls import Callee
from bamdmux.live.clients.connection import MODEM_WAIT_SECONDS, Connection, IpConfiguration
from bamdmux.live.clients.modem_manager import MODEM_INTERFACE, NAME, find_modems

TITLE: Final = "ModemManager"
SIMPLE_INTERFACE: Final = f"{MODEM_INTERFACE}.Simple"
BEARER_INTERFACE: Final = "org.freedesktop.ModemManager1.Bearer"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"

BOTH_VERSIONS: Final = 1 << 2  # of MMBearerIpFamily: what is wanted unless something else is

# A modem that hangs up makes a call fail first, and is then given up.
GIVE_UP_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.1

# MMModemState: what passes by itself.
_PASSING: Final = {0: "unknown", 1: "initializing"}


async def connect(bus: MessageBus, settings: Mapping[str, str | int], *, is_another: bool) -> Connection:
    """Bring a bearer up; see `connect.connect`."""
    manager = Callee(bus, NAME, TITLE)
    settings = {"ip-type": BOTH_VERSIONS, **settings}
    properties = {
        key: Variant("u" if isinstance(value, int) else "s", value) for key, value in settings.items()
    }
    began = time.monotonic()
    while True:
        modem = await _find_modem(bus, began + MODEM_WAIT_SECONDS)
        try:
            bearer = await (_add_bearer if is_another else _simple_connect)(manager, modem, properties)
            break
        except MachineError:
            if not await _is_given_up(bus, modem):
                raise
    seconds = time.monotonic() - began
    (values,) = await manager.call(bearer, PROPERTIES, "GetAll", "s", BEARER_INTERFACE)
    configurations = [_read_configuration(values[key].value) for key in ("Ip4Config", "Ip6Config")]
    return Connection(
        modem,
        bearer,
        values["Interface"].value,
        seconds,
        [each for each in configurations if each is not None],
    )


async def _simple_connect(manager: Callee, modem: str, properties: Mapping[str, Variant]) -> str:
    (bearer,) = await manager.call(modem, SIMPLE_INTERFACE, "Connect", "a{sv}", properties)
    assert isinstance(bearer, str)
    return bearer


async def _add_bearer(manager: Callee, modem: str, properties: Mapping[str, Variant]) -> str:
    """Simple.Connect would end what is connected first."""
    (bearer,) = await manager.call(modem, MODEM_INTERFACE, "CreateBearer", "a{sv}", properties)
    assert isinstance(bearer, str)
    await manager.call(bearer, BEARER_INTERFACE, "Connect")
    return bearer


async def disconnect(bus: MessageBus) -> list[str]:
    """Take all bearers of the modem down; the interfaces that they had."""
    manager = Callee(bus, NAME, TITLE)
    modem = await _find_modem(bus, time.monotonic())  # what is not there has nothing connected
    (value,) = await manager.call(modem, PROPERTIES, "Get", "ss", MODEM_INTERFACE, "Bearers")
    interfaces = []
    for bearer in value.value:
        (interface,) = await manager.call(bearer, PROPERTIES, "Get", "ss", BEARER_INTERFACE, "Interface")
        if interface.value:
            interfaces.append(interface.value)
    await manager.call(modem, SIMPLE_INTERFACE, "Disconnect", "o", "/")
    return interfaces


async def _find_modem(bus: MessageBus, limit: float) -> str:
    """The modem; it may be on its way, until then."""
    while True:
        for path, properties in (await find_modems(bus)).items():
            if properties["State"] not in _PASSING:
                return path
        if time.monotonic() >= limit:
            raise MachineError("ModemManager has no modem; what does it say? mmcli -L")
        await asyncio.sleep(POLL_SECONDS)


async def _is_given_up(bus: MessageBus, modem: str) -> bool:
    """Whether the modem died in the middle of it, as ModemManager sees it."""
    limit = time.monotonic() + GIVE_UP_SECONDS
    while modem in await find_modems(bus):
        if time.monotonic() >= limit:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


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
