"""What sysfs shows of the modem, and that its control ports have come or gone: what udev would tell.

    /sys/class/wwan, or usbmisc -- inotify --> DeviceWatch.have_gone(), wait_for_ports()

There is no udev in the command's namespaces. Interfaces stay when a modem crashes; its control ports go and
come, and a manager is told of all of them then, as of a modem that is new.
"""

import asyncio
import ctypes
import os
import re
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

CLASS_FOLDER: Final = Path("/sys/class")
INTERFACES_FOLDER: Final = Path("/sys/class/net")
NODE_FOLDER: Final = Path("/dev")
SETTLE_SECONDS: Final = 0.02  # a port's link in sysfs is there shortly before the rest

# The subsystems in which control ports may be, as a phone's and on USB: names of ports there.
_PORT_NAMES: Final = {
    "wwan": re.compile(
        r"wwan\d+(at|qmi)\d+"
    ),  # the class has the modem itself, too, which has no node: wwan0
    "usbmisc": re.compile(r"cdc-wdm\d+"),
}

# include/uapi/linux/inotify.h
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_EVENT: Final = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_READ_BYTES: Final = 4096


class Device(NamedTuple):
    """As the kernel names it."""

    subsystem: str
    name: str


def list_devices(subsystem: str = "wwan") -> list[Device]:
    """All that a manager may want to know: interfaces, and control ports whose nodes are there."""
    interfaces = [Device("net", name) for name in _names(INTERFACES_FOLDER) if name.startswith("wwan")]
    return interfaces + [Device(subsystem, name) for name in _port_names(subsystem)]


def has_ports(subsystem: str = "wwan") -> bool:
    """Whether the modem has all its control ports, as far as we can know."""
    return bool(_port_names(subsystem))


def _port_names(subsystem: str) -> list[str]:
    names = _names(CLASS_FOLDER / subsystem)
    return [name for name in names if _PORT_NAMES[subsystem].fullmatch(name) and _is_node(name)]


def _is_node(name: str) -> bool:
    with suppress(OSError):
        return (NODE_FOLDER / name).is_char_device()
    return False


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
    return []


class DeviceWatch:
    """Tells when control ports have come or gone since it was made, none of it missed."""

    def __init__(self, subsystem: str = "wwan") -> None:
        self._subsystem = subsystem
        folder = CLASS_FOLDER / subsystem
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        path = os.fsencode(folder)
        if (
            self._descriptor < 0
            or libc.inotify_add_watch(self._descriptor, path, _IN_CREATE | _IN_DELETE) < 0
        ):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))

    async def wait_for_ports(self) -> list[Device]:
        """Once the modem has its control ports: all devices."""
        while not has_ports(self._subsystem):
            await self.have_gone()
        await asyncio.sleep(SETTLE_SECONDS)
        return list_devices(self._subsystem)

    async def have_gone(self) -> bool:
        """Wait until ports have come or gone; whether any have gone, even if others have come since."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                port_name = _PORT_NAMES[self._subsystem]
                changes = [mask for mask, name in self._read() if port_name.fullmatch(name)]
                if changes:
                    return any(mask & _IN_DELETE for mask in changes)
        finally:
            loop.remove_reader(self._descriptor)

    def _read(self) -> list[tuple[int, str]]:
        events = []
        with suppress(BlockingIOError):
            while data := os.read(self._descriptor, _READ_BYTES):
                while data:
                    _, mask, _, length = _EVENT.unpack_from(data)
                    name = data[_EVENT.size : _EVENT.size + length].rstrip(b"\0")
                    events.append((mask, os.fsdecode(name)))
                    data = data[_EVENT.size + length :]
        return events

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
