"""`bamdmux connect`: what a connection manager does with a manager of modems, and no more.

    D-Bus        ->  a data call: interface, addresses, gateways, DNS, MTU
    netlink      ->  MTU, interface up, addresses, a default route
    resolv.conf  ->  the name servers

How the managers are asked is in `modem_manager_calls` and `ofono_calls`. It runs where their bus and the
interface are: in the command of `bamdmux run --modem-manager` or `--ofono`. A modem that is on its way,
because it has just booted or is dying this very moment, is waited for.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType
from typing import Final

from dbus_fast.aio import MessageBus
from dbus_fast.errors import InvalidAddressError

from bamdmux.errors import MachineError, UsageError
from bamdmux.live.addresses import Netlink
from bamdmux.live.clients import modem_manager_calls, ofono_calls
from bamdmux.live.clients.calls import Callee
from bamdmux.live.clients.connection import Connection, configure

BUS_VARIABLE: Final = "DBUS_SYSTEM_BUS_ADDRESS"
MANAGER_WAIT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05

# Numbers of MMBearerIpFamily.
IP_FAMILIES: Final = {"ipv4": 1 << 0, "ipv6": 1 << 1, "ipv4v6": 1 << 2}


def connect(settings: Mapping[str, str | int], *, is_another: bool = False) -> Connection:
    """Connect by the manager that is there, and configure the interface; what it has then.

    Args:
        settings: as those of ModemManager's Simple.Connect: apn, ip-type, user, password, pin.
        is_another: leave alone what is connected, and have one more bearer, on the next interface; the way
            out and the name servers stay those of the first.

    Raises:
        MachineError: there is no manager, no modem, or the modem or the network refuses.
        UsageError: this manager cannot do that.
    """
    connection = asyncio.run(_connect(settings, is_another=is_another))
    configure(connection, is_way_out=not is_another)
    return connection


def disconnect() -> None:
    """Disconnect whatever the modem has connected, and take the interfaces down, without addresses.

    Raises:
        MachineError: there is no manager, or no modem.
    """
    for interface in asyncio.run(_disconnect()):
        with suppress(OSError), Netlink() as netlink:
            index = socket.if_nametoindex(interface)
            netlink.set_down(index)
            netlink.flush_addresses(index)


async def _connect(settings: Mapping[str, str | int], *, is_another: bool) -> Connection:
    bus = await _open_bus()
    calls = await _find_manager(bus)
    connection: Connection = await calls.connect(bus, settings, is_another=is_another)
    return connection


async def _disconnect() -> list[str]:
    bus = await _open_bus()
    interfaces: list[str] = await (await _find_manager(bus)).disconnect(bus)
    return interfaces


async def _open_bus() -> MessageBus:
    address = os.environ.get(BUS_VARIABLE)
    if address is None:
        raise UsageError(
            f"{BUS_VARIABLE} is not set; run this inside `bamdmux run --modem-manager` or `--ofono`"
        )
    try:
        return await MessageBus(bus_address=address).connect()
    except (OSError, InvalidAddressError, EOFError) as error:
        raise MachineError(f"no bus answers at {address}; is `bamdmux run` still running?") from error


async def _find_manager(bus: MessageBus) -> ModuleType:
    """How to call the one that is on the bus; oFono may be on its way, for it is started anew at times."""
    limit = time.monotonic() + MANAGER_WAIT_SECONDS
    while True:
        for calls in (modem_manager_calls, ofono_calls):
            if await Callee(bus, calls.NAME, calls.TITLE).owner() is not None:
                return calls
        if time.monotonic() >= limit:
            raise MachineError("neither ModemManager nor oFono is on the bus; has it died? see its log")
        await asyncio.sleep(POLL_SECONDS)
