"""A D-Bus of our own: a daemon that takes everybody, on a socket in the folder of this run."""

import select
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bamdmux.errors import MachineError
from bamdmux.live.clients.programs import DBUS_DAEMON, find_program

START_TIMEOUT_SECONDS: Final = 10.0

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


class Bus:
    """The daemon, from the moment when it answers.

    Args:
        folder: gets its socket and its configuration.

    Raises:
        MachineError: it is not installed, or does not start.
    """

    def __init__(self, folder: Path, log: int) -> None:
        program = find_program(*DBUS_DAEMON)
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
        # It prints its address once it listens.
        readable, _, _ = select.select([self.process.stdout], [], [], START_TIMEOUT_SECONDS)
        if not readable or not self.process.stdout.readline():
            raise MachineError("dbus-daemon does not start; try it: dbus-daemon --session --print-address")

    def environment(self) -> Mapping[str, str]:
        """What a program needs to find this bus instead of the machine's."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address}
