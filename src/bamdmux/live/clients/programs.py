"""What clients need that may not be installed: looked for, and if it is missing, said how to get it."""

import os
import shutil
from importlib.util import find_spec
from typing import Final

from bamdmux.errors import MachineError

DBUS_DAEMON: Final = ("dbus-daemon", "dbus-daemon")  # a program and its package in Debian


def find_program(name: str, package: str) -> str:
    """The path of a program, looked for where those of administrators are, too.

    Raises:
        MachineError: it is not installed; the message names Debian's package.
    """
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/libexec")
    if path is None:
        raise MachineError(f"{name} is not installed; on Debian: sudo apt-get install {package}")
    return path


def check_dbus_package() -> None:
    """See whether we can speak D-Bus.

    Raises:
        MachineError: the package for it is missing.
    """
    if find_spec("dbus_fast") is None:
        raise MachineError("D-Bus needs the package dbus-fast; pip install 'bamdmux[clients]'")
