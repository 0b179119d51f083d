"""oFono beside the command: how it is started, and started again when the modem has crashed.

oFono looks into sysfs once, at its start, and finds a modem on USB there: see `live/ports/usb`. Of modems
that come and go it would hear from udev, and there is none in the command's namespaces.

oFono 1.31 does not survive a modem that hangs up: it computes for ever, answers nobody, and does not even end
on SIGTERM. So it is killed when the modem's port goes, and started anew when there is one again. Then, as
after its first start, somebody has to tell it to power the modem on.

What it would write to the machine's disk and syslog stays here: it has a mount namespace of its own, where
/var/lib/ofono is a tmpfs, empty at each start. So no run depends on one before it.
"""

import asyncio
import os
import time
from contextlib import suppress
from typing import Any, Final

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from bamdmux.errors import MachineError
from bamdmux.live.clients.devices import DeviceWatch
from bamdmux.live.clients.keeper import Keeper
from bamdmux.live.clients.managers import MANAGERS, OFONO, log_path
from bamdmux.live.clients.programs import find_program
from bamdmux.live.namespaces import (
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    mount,
    unshare,
)

NAME: Final = "org.ofono"
MANAGER_INTERFACE: Final = "org.ofono.Manager"

SUBSYSTEM: Final = "usbmisc"  # where the modem's port is
STORAGE: Final = "/var/lib/ofono"
SYSLOG: Final = "/dev/log"

FIND_TIMEOUT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05


async def tend(keeper: Keeper) -> None:
    """Start oFono, let the command start once it has found the modem, and start it again after crashes.

    Raises:
        MachineError: it does not run.
    """
    began = time.monotonic()
    os.environ["OFONO_QMI_DEBUG"] = "1"  # its log has every message then
    with _watch_ports() as watch:
        ended = _start(keeper)
        finding = asyncio.create_task(_wait_for_modem(keeper.bus))
        await asyncio.wait(
            {ended, finding}, timeout=FIND_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        finding.cancel()
        if not ended.done():
            keeper.ready(_describe_search(keeper, time.monotonic() - began, is_found=finding.done()))
        while True:
            going = asyncio.create_task(watch.have_gone())
            await asyncio.wait({ended, going}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                going.cancel()
                raise keeper.explain_end("oFono", ended.result())
            if going.result():
                await _kill(ended)
                await watch.wait_for_ports()
                ended = _start(keeper)


def _watch_ports() -> DeviceWatch:
    try:
        return DeviceWatch(SUBSYSTEM)
    except OSError as error:
        raise MachineError(f"oFono needs a control port, and there is none: {error.strerror}") from error


def _start(keeper: Keeper) -> "asyncio.Task[int]":
    _, program, package = MANAGERS[OFONO]
    return keeper.start([find_program(program, package), "--nodetach", "--debug"], prepare=_keep_to_itself)


def _keep_to_itself() -> None:
    """Let nothing of what it writes reach the machine; runs in its process, before it is oFono."""
    unshare(CLONE_NEWNS)
    mount("none", "/", "none", MS_SLAVE | MS_REC)
    with suppress(OSError):  # without that folder it cannot store anything, and says so
        mount("tmpfs", STORAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    with suppress(OSError):  # without a syslog there is nothing to hide
        mount(os.devnull, os.path.realpath(SYSLOG), "none", MS_BIND)


async def _kill(ended: "asyncio.Task[int]") -> None:
    ended.cancel()
    with suppress(asyncio.CancelledError):
        await ended


async def _wait_for_modem(bus: MessageBus) -> None:
    while True:
        if await find_modems(bus):
            return
        await asyncio.sleep(POLL_SECONDS)


async def find_modems(bus: MessageBus) -> dict[str, dict[str, Any]]:
    """The modems that it has made so far, by their object paths, each with its properties.

    There are none while it is not on the bus.
    """
    reply = await bus.call(
        Message(destination=NAME, path="/", interface=MANAGER_INTERFACE, member="GetModems")
    )
    if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
        return {}
    return {
        path: {name: variant.value for name, variant in properties.items()}
        for path, properties in reply.body[0]
    }


def _describe_search(keeper: Keeper, seconds: float, *, is_found: bool) -> str:
    if is_found:
        return f"oFono found the modem after {seconds:.1f} s"
    return f"oFono has found no modem within {seconds:.0f} s; its log is {log_path(OFONO, keeper.folder)}"
