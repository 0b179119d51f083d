"""A link with a ModemManager beside the shell, and what tests ask of it."""

import json
import re
from typing import Any

from bamdmux.live.control import request
from tests.live.identities import Link, wait_for

PIN = "1234"
CONNECT_SECONDS = 60.0  # the modem may have to be found anew first


class ManagedLink(Link):
    """`bamdmux run --modem-manager` with a shell inside."""

    def __init__(self, identity: str, *options: str) -> None:
        super().__init__(identity, "--modem-manager", *options)

    def bamdmux(self, line: str) -> str:
        """Run bamdmux behind the modem; what it printed."""
        return self.shell(f"{self.python} -m bamdmux {line}", CONNECT_SECONDS)

    def refused(self, line: str) -> str:
        """Run bamdmux behind the modem, which must say no with exit code 1; what it said."""
        return self.shell(f"{self.python} -m bamdmux {line}; test $? = 1", CONNECT_SECONDS)

    def connect(self, *options: str) -> dict[str, Any]:
        """`bamdmux connect`; what it has then."""
        said = self.bamdmux(f"connect --json {' '.join(options)}")
        connection: dict[str, Any] = json.loads(said.splitlines()[-1])
        return connection

    def ask(self, command: str, **arguments: object) -> Any:
        """As `bamdmux ctl` asks."""
        return request(self.control_path, command, **arguments)  # type: ignore[arg-type]

    def answers(self, address: str, options: str = "") -> bool:
        """Whether an echo comes back."""
        return self.shell(f"ping -q -c 1 -W 1 {options} {address} >/dev/null 2>&1; echo $?") == "0"

    # What ModemManager says

    def modem(self) -> dict[str, str]:
        """What `mmcli -m any` says of the modem; empty while there is none."""
        return _pairs(self.shell("mmcli -m any -K 2>/dev/null || true"))

    def state(self) -> str | None:
        return self.modem().get("modem.generic.state")

    def wait_for_state(self, *states: str) -> None:
        wait_for(lambda: self.state() in states, f"{' or '.join(states)} instead of {self.state()}")

    def bearers(self) -> dict[str, dict[str, str]]:
        """Those that are connected, by their interfaces."""
        paths = [
            value for name, value in self.modem().items() if name.startswith("modem.generic.bearers.value")
        ]
        found = [_pairs(self.shell(f"mmcli -b {path} -K")) for path in paths]
        return {
            each["bearer.status.interface"]: each
            for each in found
            if each["bearer.status.connected"] == "yes"
        }

    def mmcli(self, line: str) -> str:
        return self.shell(f"mmcli {line}")

    def manager_pid(self) -> str:
        return self.shell("pgrep -x ModemManager")

    # Where a test begins

    def be_connected(self) -> None:
        if self.state() != "connected":
            self.connect()

    def be_registered(self) -> None:
        """Enabled, and nothing connected."""
        self.ask("register", roaming=False)
        self.be_connected()
        self.bamdmux("disconnect")
        self.wait_for_state("registered")


def _pairs(text: str) -> dict[str, str]:
    return dict(re.split(r"\s*: ", line, maxsplit=1) for line in text.splitlines() if " : " in line)
