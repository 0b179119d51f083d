"""ModemManager beside the command: how it is started, and what it is told of devices.

There is no udev in the command's namespaces, so ModemManager is told by name what has appeared: at its start
by a file of kernel events, later by its method ReportKernelEvent. It looks into sysfs and applies Debian's
own udev rules by itself: that is how it takes the modem for a Qualcomm SoC.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from bamdmux.live.clients.bus import find_program

PROGRAM: Final = "ModemManager"
PACKAGE: Final = "modemmanager"
NAME: Final = "org.freedesktop.ModemManager1"
PATH: Final = "/org/freedesktop/ModemManager1"
MODEM_INTERFACE: Final = "org.freedesktop.ModemManager1.Modem"
OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"

PHYSICAL_DEVICE: Final = "qcom-soc"  # what Debian's rules call all ports of such a modem


def start(
    folder: Path, devices: Iterable[tuple[str, str]], environment: Mapping[str, str], log: int
) -> subprocess.Popen[bytes]:
    """Start ModemManager, and tell it of devices, each a subsystem and a name.

    Raises:
        MachineError: it is not installed.
    """
    program = find_program(PROGRAM, PACKAGE)
    events = folder / "kernel-events"
    events.write_text("".join(f"{_event_line('add', *device)}\n" for device in devices))
    return subprocess.Popen(
        [
            program,
            "--no-auto-scan",
            "--test-no-udev",
            "--test-no-suspend-resume",
            "--test-no-qrtr",
            f"--initial-kernel-events={events}",
            "--log-level=DEBUG",
        ],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )


def _event_line(action: str, subsystem: str, name: str) -> str:
    return f"action={action},subsystem={subsystem},name={name},uid={PHYSICAL_DEVICE}"


async def report_event(bus: MessageBus, action: str, subsystem: str, name: str) -> None:
    """Tell it of a device that came or went: ``action`` is add or remove."""
    properties = {"action": action, "subsystem": subsystem, "name": name, "uid": PHYSICAL_DEVICE}
    await bus.call(
        Message(
            destination=NAME,
            path=PATH,
            interface=NAME,
            member="ReportKernelEvent",
            signature="a{sv}",
            body=[{key: Variant("s", value) for key, value in properties.items()}],
        )
    )


async def watch_for_removals(bus: MessageBus) -> asyncio.Event:
    """An event that is set whenever it has given up a modem."""
    went = asyncio.Event()

    def look(message: Message) -> None:
        if message.member == "InterfacesRemoved" and MODEM_INTERFACE in message.body[1]:
            went.set()

    bus.add_message_handler(look)
    rule = f"type='signal',sender='{NAME}',interface='{OBJECT_MANAGER}',member='InterfacesRemoved'"
    await bus.call(
        Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="AddMatch",
            signature="s",
            body=[rule],
        )
    )
    return went


async def find_modems(bus: MessageBus) -> list[str]:
    """The object paths of the modems that it has made so far; none while it is not on the bus."""
    reply = await bus.call(
        Message(destination=NAME, path=PATH, interface=OBJECT_MANAGER, member="GetManagedObjects")
    )
    if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
        return []
    return sorted(path for path, interfaces in reply.body[0].items() if MODEM_INTERFACE in interfaces)
