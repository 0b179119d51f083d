"""A D-Bus of our own: a daemon that takes everybody, on a socket in the folder of this run."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bamdmux.errors import MachineError

PROGRAM: Final = "dbus-daemon"

# It calls itself the system bus, for ModemManager and polkit's clients. Who reaches the socket is one user.
_CONFIGURATION: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"""


def find_program(name: str, package: str) -> str:
    """The path of a program, looked for where those of administrators are, too.

    Raises:
        MachineError: it is not installed; the message names Debian's package.
    """
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/libexec")
    if path is None:
        raise MachineError(f"{name} is not installed; on Debian: sudo apt-get install {package}")
    return path


class Bus:
    """The daemon, from the moment when it answers.

    Args:
        folder: gets its socket and its configuration.
    """

    def __init__(self, folder: Path, log: int) -> None:
        program = find_program(PROGRAM, "dbus-daemon")
        socket, configuration = folder / "bus", folder / "bus.conf"
        configuration.write_text(_CONFIGURATION.format(socket=socket))
        self.address = f"unix:path={socket}"
        self.process = subprocess.Popen(
            [program, f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():  # it prints its address once it listens
            raise MachineError(
                f"{PROGRAM} does not start (exit code {self.process.wait()}); its words are in the log"
            )

    def environment(self) -> Mapping[str, str]:
        """What a program needs to find this bus instead of the machine's."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address}
