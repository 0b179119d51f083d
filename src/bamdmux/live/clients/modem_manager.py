"""ModemManager beside the command: how it is started, what it is told of devices, and what it says.

There is no udev in the command's namespaces, so ModemManager is told by name what has appeared: at its start
by a file of kernel events, later by its method ReportKernelEvent. It looks into sysfs and applies Debian's
own udev rules by itself: that is how it takes the modem for a Qualcomm SoC.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from bamdmux.errors import BamDmuxError
from bamdmux.live.clients.devices import Device, DeviceWatch, list_devices
from bamdmux.live.clients.keeper import Keeper
from bamdmux.live.clients.managers import MANAGERS, MODEM_MANAGER, log_path
from bamdmux.live.clients.programs import find_program
from bamdmux.live.control import request

NAME: Final = "org.freedesktop.ModemManager1"
PATH: Final = "/org/freedesktop/ModemManager1"
MODEM_INTERFACE: Final = "org.freedesktop.ModemManager1.Modem"
OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"

PHYSICAL_DEVICE: Final = "qcom-soc"  # what Debian's rules call all ports of such a modem

FIND_TIMEOUT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
STATUS_TIMEOUT_SECONDS: Final = 1.0


async def tend(keeper: Keeper) -> None:
    """Start ModemManager, let the command start once it has found the modem, and tell it of devices.

    Raises:
        MachineError: it does not run.
    """
    began = time.monotonic()
    with DeviceWatch() as watch:
        devices = list_devices()
        ended = keeper.start(_line(keeper, devices))
        following = asyncio.create_task(_follow(keeper.bus, watch, devices))
        finding = asyncio.create_task(_wait_for_modem(keeper.bus))
        await asyncio.wait(
            {ended, finding}, timeout=FIND_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if not ended.done():
            keeper.ready(_describe_search(keeper, time.monotonic() - began, is_found=finding.done()))
        finding.cancel()
        code = await ended
        following.cancel()
        raise keeper.explain_end("ModemManager", code)


def _line(keeper: Keeper, devices: Iterable[Device]) -> list[str]:
    """How it is started, and told of the devices that are there.

    It logs to a file, and each detail, for whoever has to find out what a modem has done to it. Without a
    file that would be the machine's log, or its console.
    """
    _, program, package = MANAGERS[MODEM_MANAGER]
    events = keeper.folder / "kernel-events"
    events.write_text("".join(_event_line("add", device) for device in devices))
    return [
        find_program(program, package),
        "--no-auto-scan",
        "--test-no-udev",
        "--test-no-suspend-resume",
        "--test-no-qrtr",
        f"--initial-kernel-events={events}",
        f"--log-file={_log(keeper)}",
        "--log-level=DEBUG",
        "--log-timestamps",
    ]


def _event_line(action: str, device: Device) -> str:
    return ",".join(f"{key}={value}" for key, value in _event(action, device).items()) + "\n"


def _event(action: str, device: Device) -> dict[str, str]:
    return {
        "action": action,
        "subsystem": device.subsystem,
        "name": device.name,
        "uid": PHYSICAL_DEVICE,
    }


def _describe_search(keeper: Keeper, seconds: float, *, is_found: bool) -> str:
    if not is_found:
        return f"ModemManager has found no modem within {seconds:.0f} s; its log is {_log(keeper)}"
    text = f"ModemManager found the modem after {seconds:.1f} s"
    with suppress(BamDmuxError, KeyError, TypeError):
        answers = request(keeper.folder / "control", "status", timeout_seconds=STATUS_TIMEOUT_SECONDS)[
            "answers"
        ]
        text += (
            f"; {answers['ms'] / 1000:.2f} s of that it waited for {answers['count']} answers of the modem"
        )
    return text


def _log(keeper: Keeper) -> Path:
    return log_path(keeper.kind, keeper.folder)


async def _wait_for_modem(bus: MessageBus) -> None:
    while True:
        with suppress(EOFError, OSError):  # the bus has ended, and ModemManager will with it
            if await find_modems(bus):
                return
        await asyncio.sleep(POLL_SECONDS)


async def _follow(bus: MessageBus, watch: DeviceWatch, devices: list[Device]) -> None:
    """Report what comes and goes."""
    while True:
        if await watch.have_gone():
            for device in devices:
                await report_event(bus, "remove", device)
            devices = []
        if not devices:
            devices = await watch.wait_for_ports()
            for device in devices:
                await report_event(bus, "add", device)


async def report_event(bus: MessageBus, action: str, device: Device) -> None:
    """Tell it of a device that came or went: ``action`` is add or remove."""
    properties = {key: Variant("s", value) for key, value in _event(action, device).items()}
    await bus.call(
        Message(
            destination=NAME,
            path=PATH,
            interface=NAME,
            member="ReportKernelEvent",
            signature="a{sv}",
            body=[properties],
        )
    )


async def find_modems(bus: MessageBus) -> Mapping[str, Mapping[str, Any]]:
    """The modems that it has made so far, by their object paths, each with the properties of a modem.

    There are none while it is not on the bus.
    """
    reply = await bus.call(
        Message(destination=NAME, path=PATH, interface=OBJECT_MANAGER, member="GetManagedObjects")
    )
    if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
        return {}
    return {
        path: {name: variant.value for name, variant in interfaces[MODEM_INTERFACE].items()}
        for path, interfaces in sorted(reply.body[0].items())
        if MODEM_INTERFACE in interfaces
    }
