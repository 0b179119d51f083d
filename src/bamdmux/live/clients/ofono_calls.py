"""A data call by oFono's D-Bus: power, PIN, online, attached, and the context for the Internet.

    Modem.Powered -> SimManager.EnterPin -> Modem.Online
        -> ConnectionManager.Attached -> ConnectionContext.Active

Each step makes the objects of the next one appear, some time later; what cannot be done yet is tried again.
In an LTE network oFono brings the context up by itself once it is attached, with the network's own APN: if
that is the wanted one, nothing is left to do.
"""

import asyncio
import time
from collections.abc import Mapping
from ipaddress import IPv6Interface, ip_address, ip_interface
from pathlib import Path
from typing import Any, Final

from dbus_fast import Variant
from dbus_fast.aio import MessageBus

from bamdmux.errors import MachineError, UsageError
from bamdmux.live.clients.calls import Callee, Refusal
from bamdmux.live.clients.connection import MODEM_WAIT_SECONDS, Connection, IpConfiguration
from bamdmux.live.clients.ofono import NAME, find_modems

TITLE: Final = "oFono"
MODEM: Final = "org.ofono.Modem"
SIM: Final = "org.ofono.SimManager"
REGISTRATION: Final = "org.ofono.NetworkRegistration"
MANAGER: Final = "org.ofono.ConnectionManager"
CONTEXT: Final = "org.ofono.ConnectionContext"

STEP_SECONDS: Final = 30.0  # for each step; oFono itself gives a modem 20 s
SIM_SECONDS: Final = 3.0  # until a SIM is there
ROUTER_SECONDS: Final = 10.0  # until a router has advertised itself
GIVE_UP_SECONDS: Final = 0.5  # until it shows whether a call failed because the modem has crashed
POLL_SECONDS: Final = 0.05

# Errors of oFono that pass by themselves.
_PASSING: Final = frozenset(
    f"org.ofono.Error.{name}"
    for name in ("InProgress", "NotAvailable", "InUse", "AttachInProgress", "NotAttached")
)
_GONE: Final = "org.freedesktop.DBus.Error.UnknownMethod"  # an object, or an interface of it, is not there

# By the number of MMBearerIpFamily. Its QMI driver knows no "dual".
_PROTOCOLS: Final = {1 << 0: "ip", 1 << 1: "ipv6"}


async def connect(bus: MessageBus, settings: Mapping[str, str | int], *, is_another: bool) -> Connection:
    """Bring the context for the Internet up; see `connect.connect`."""
    if is_another:
        raise UsageError("oFono has one data call at a time, and so no other; try --modem-manager")
    ofono = Callee(bus, NAME, TITLE)
    wanted = _wanted_context(settings)
    began = time.monotonic()
    while True:
        modem, owner = await _find_modem(ofono, began + MODEM_WAIT_SECONDS)
        try:
            context = await _bring_up(ofono, modem, wanted, settings.get("pin"))
            break
        except MachineError:
            if not await _has_restarted(ofono, owner):
                raise
    seconds = time.monotonic() - began
    return await _read_connection(ofono, modem, context, seconds)


async def disconnect(bus: MessageBus) -> list[str]:
    """Take all contexts of the modem down; the interfaces that they had."""
    ofono = Callee(bus, NAME, TITLE)
    modem, _ = await _find_modem(ofono, time.monotonic() + MODEM_WAIT_SECONDS)
    interfaces = []
    for path, properties in (await _contexts(ofono, modem)).items():
        if properties["Active"]:
            interfaces.append(_interface(properties))
            await _set(ofono, path, CONTEXT, "Active", Variant("b", False))
    return interfaces


def _wanted_context(settings: Mapping[str, str | int]) -> dict[str, str]:
    """The properties that the context shall have."""
    protocol = _PROTOCOLS.get(int(settings.get("ip-type", 1 << 0)))
    if protocol is None:
        raise UsageError("oFono's driver for QMI connects one version of IP: --ip-type ipv4 or ipv6")
    return {
        "AccessPointName": str(settings.get("apn", "")),
        "Username": str(settings.get("user", "")),
        "Password": str(settings.get("password", "")),
        "Protocol": protocol,
    }


async def _find_modem(ofono: Callee, limit: float) -> tuple[str, str]:
    """The modem, which may be on its way, and whose it is: each oFono has another name of its own."""
    while True:
        owner = await ofono.owner()
        modems = await find_modems(ofono.bus)
        if owner is not None and modems:
            return next(iter(modems)), owner
        if time.monotonic() >= limit:
            raise MachineError("oFono has no modem; what does it say? /usr/share/ofono/scripts/list-modems")
        await asyncio.sleep(POLL_SECONDS)


async def _has_restarted(ofono: Callee, owner: str) -> bool:
    """Whether oFono was killed in the middle of it, because the modem has crashed."""
    limit = time.monotonic() + GIVE_UP_SECONDS
    while await ofono.owner() == owner:
        if time.monotonic() >= limit:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


# The way up


async def _bring_up(ofono: Callee, modem: str, wanted: Mapping[str, str], pin: str | int | None) -> str:
    """All the steps; the context that is up then."""
    await _switch_on(ofono, modem, "Powered")
    await _ready_sim(ofono, modem, pin)
    await _switch_on(ofono, modem, "Online")
    await _wait_until_attached(ofono, modem)
    context = await _find_context(ofono, modem)
    await _activate(ofono, context, wanted)
    return context


async def _switch_on(ofono: Callee, modem: str, what: str) -> None:
    """Power it, or let it go online: which it may not be ready for."""
    limit = time.monotonic() + STEP_SECONDS
    while not (await _get(ofono, modem, MODEM)).get(what):
        try:
            await _set(ofono, modem, MODEM, what, Variant("b", True))
        except Refusal as refusal:
            if refusal.name not in _PASSING or time.monotonic() >= limit:
                raise
            await asyncio.sleep(POLL_SECONDS)


async def _ready_sim(ofono: Callee, modem: str, pin: str | int | None) -> None:
    """Wait until the SIM has told who it is; before, it may want its PIN.

    Raises:
        MachineError: there is no SIM, or it wants what we do not have.
    """
    began, is_entered = time.monotonic(), False
    while "SubscriberIdentity" not in (sim := await _get(ofono, modem, SIM)):
        wants = sim.get("PinRequired", "none")
        if wants != "none" and not is_entered:
            if wants != "pin" or pin is None:
                raise MachineError(
                    f"the SIM wants its {wants.upper()}" + (": --pin" if wants == "pin" else "")
                )
            await ofono.call(modem, SIM, "EnterPin", "ss", "pin", str(pin))
            is_entered = True
        if time.monotonic() - began >= (STEP_SECONDS if sim.get("Present") else SIM_SECONDS):
            raise MachineError(
                "oFono does not get the SIM ready" if sim.get("Present") else "there is no SIM"
            )
        await asyncio.sleep(POLL_SECONDS)


async def _wait_until_attached(ofono: Callee, modem: str) -> None:
    limit = time.monotonic() + STEP_SECONDS
    while not (await _get(ofono, modem, MANAGER)).get("Attached"):
        if time.monotonic() >= limit:
            status = (await _get(ofono, modem, REGISTRATION)).get("Status", "unknown")
            raise MachineError(f"not attached after {STEP_SECONDS:.0f} s; registration: {status}")
        await asyncio.sleep(POLL_SECONDS)


async def _find_context(ofono: Callee, modem: str) -> str:
    for path, properties in (await _contexts(ofono, modem)).items():
        if properties["Type"] == "internet":
            return path
    (path,) = await ofono.call(modem, MANAGER, "AddContext", "s", "internet")
    return str(path)


async def _activate(ofono: Callee, context: str, wanted: Mapping[str, str]) -> None:
    """It cannot be changed while it is up, and may come up by itself at any moment."""
    limit = time.monotonic() + STEP_SECONDS
    while True:
        properties = await _get(ofono, context, CONTEXT)
        changes = {name: value for name, value in wanted.items() if properties.get(name) != value}
        if properties["Active"] and not changes:
            return
        try:
            if properties["Active"]:
                await _set(ofono, context, CONTEXT, "Active", Variant("b", False))
            for name, value in changes.items():
                await _set(ofono, context, CONTEXT, name, Variant("s", value))
            await _set(ofono, context, CONTEXT, "Active", Variant("b", True))
        except Refusal as refusal:
            if refusal.name not in _PASSING or time.monotonic() >= limit:
                raise
            await asyncio.sleep(POLL_SECONDS)


# What it has then


async def _read_connection(ofono: Callee, modem: str, context: str, seconds: float) -> Connection:
    properties = await _get(ofono, context, CONTEXT)
    interface = _interface(properties)
    configurations = [
        configuration
        for configuration in (_read_ipv4(properties["Settings"]), _read_ipv6(properties["IPv6.Settings"]))
        if configuration is not None
    ]
    if not configurations:
        configurations = [await _wait_for_router(interface)]
    return Connection(modem, context, interface, seconds, configurations)


def _interface(properties: Mapping[str, Any]) -> str:
    settings = {**_values(properties["IPv6.Settings"]), **_values(properties["Settings"])}
    return str(settings.get("Interface", "wwan0"))


def _read_ipv4(variants: Mapping[str, Variant]) -> IpConfiguration | None:
    settings = _values(variants)
    if "Address" not in settings:
        return None
    gateway = settings.get("Gateway")
    return IpConfiguration(
        address=ip_interface(f"{settings['Address']}/{settings['Netmask']}"),
        gateway=ip_address(gateway) if gateway else None,
        name_servers=tuple(settings.get("DomainNameServers", ())),
        mtu=None,  # it does not say
    )


def _read_ipv6(variants: Mapping[str, Variant]) -> IpConfiguration | None:
    settings = _values(variants)
    if "Address" not in settings:
        return None
    gateway = settings.get("Gateway")
    return IpConfiguration(
        address=ip_interface(f"{settings['Address']}/{settings['PrefixLength']}"),
        gateway=ip_address(gateway) if gateway else None,
        name_servers=tuple(settings.get("DomainNameServers", ())),
        mtu=None,
    )


async def _wait_for_router(interface: str) -> IpConfiguration:
    """Its QMI driver tells no address of IPv6: the kernel forms one of what a router advertises.

    The interface is up by then; oFono has seen to that.
    """
    limit = time.monotonic() + ROUTER_SECONDS
    while True:
        address = _global_address(interface)
        if address is not None:
            return IpConfiguration(address, None, (), None)
        if time.monotonic() >= limit:
            raise MachineError(
                f"no router has advertised itself on {interface} within {ROUTER_SECONDS:.0f} s"
            )
        await asyncio.sleep(POLL_SECONDS)


def _global_address(interface: str) -> IPv6Interface | None:
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        address, _, length, scope, _, name = line.split()
        if name == interface and scope == "00":
            return IPv6Interface((bytes.fromhex(address), int(length, 16)))
    return None


# oFono's ways


async def _contexts(ofono: Callee, modem: str) -> dict[str, dict[str, Any]]:
    """The contexts of a modem; none while it is not powered on."""
    if MANAGER not in (await _get(ofono, modem, MODEM)).get("Interfaces", ()):
        return {}
    (contexts,) = await ofono.call(modem, MANAGER, "GetContexts")
    return {path: _values(properties) for path, properties in contexts}


async def _get(ofono: Callee, path: str, interface: str) -> dict[str, Any]:
    """All properties; none if there is no such interface yet."""
    try:
        (properties,) = await ofono.call(path, interface, "GetProperties")
    except Refusal as refusal:
        if refusal.name != _GONE:
            raise
        return {}
    return _values(properties)


async def _set(ofono: Callee, path: str, interface: str, name: str, value: Variant) -> None:
    await ofono.call(path, interface, "SetProperty", "sv", name, value)


def _values(variants: Mapping[str, Variant]) -> dict[str, Any]:
    return {name: variant.value for name, variant in variants.items()}
