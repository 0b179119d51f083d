"""The rig of data calls with AT ports beside its QMI port: what changes at one door is read at the others."""

from typing import Any

from bamdmux.actions import PortKind, SendToPort
from tests.modem.control.call_rig import Rig

AT_PORT = 1
OTHER_AT_PORT = 2


class AtRig(Rig):
    """As `Rig`, with two AT ports; echo is off, and errors come in numbers."""

    def boot(self) -> None:
        super().boot()
        self.open_at()

    def open_at(self) -> None:
        for port in (AT_PORT, OTHER_AT_PORT):
            self.plane.port_opened(port, PortKind.AT, self.now)
            self.type("ATE0+CMEE=1\r", port)
        self.said()

    def type(self, text: str | bytes, port: int = AT_PORT) -> str:
        """Type something; all that the port says then."""
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        self.plane.received(port, data, self.now)
        self.collect()
        return self.said(port)

    def said(self, port: int = AT_PORT) -> str:
        """What a port has said since the last time."""
        mine = [each for each in self.actions if isinstance(each, SendToPort) and each.port == port]
        self.actions = [each for each in self.actions if each not in mine]
        return b"".join(each.data for each in mine).decode("latin-1")

    def at(self, command: str, port: int = AT_PORT) -> list[str]:
        """Send a line; the lines of the answer, the final result last."""
        return _lines(self.type(f"AT{command}\r", port))

    def news(self, port: int = AT_PORT) -> list[str]:
        """What a port was told unasked."""
        return _lines(self.said(port))

    def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        """What `bamdmux ctl` does."""
        result = self.plane.command(name, arguments, self.now)
        self.collect()
        return result


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\r\n") if line]
