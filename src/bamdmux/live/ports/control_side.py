"""The control plane as a side of the runner: its ports lead to it, and what it asks for is done.

In one process the ports are those of a `PortBoard`; of two, the modem's has `split.ports.ModemPorts` in its
place.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from bamdmux.actions import (
    Action,
    AnnounceChannel,
    HangUpPort,
    Log,
    PortKind,
    RestartModem,
    SendToPort,
    WithdrawChannel,
)
from bamdmux.timing import Instant

LOG: Final = logging.getLogger("bamdmux.modem")


class Plane(Protocol):
    """What speaks at the modem's end of control ports; see `bamdmux.modem.control.plane.ControlPlane`."""

    @property
    def deadline(self) -> Instant | None: ...

    def boot(self, now: Instant) -> None: ...

    def crash(self, now: Instant) -> None: ...

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None: ...

    def received(self, port: int, data: bytes, now: Instant) -> None: ...

    def port_closed(self, port: int, now: Instant) -> None: ...

    def handle_timeout(self, now: Instant) -> None: ...

    @property
    def has_actions(self) -> bool: ...

    def take_actions(self) -> list[Action]: ...

    def status(self, now: Instant) -> dict[str, object]: ...


class PortHolder(Protocol):
    """Who has the ports."""

    def modem_booted(self) -> None: ...

    def modem_lost(self) -> None: ...

    def send(self, number: int, data: bytes, *, is_indication: bool = False) -> None: ...

    def hang_up(self, number: int) -> None: ...


class DataPath(Protocol):
    """Who announces channels to the host; see `bamdmux.modem.modem.Modem`."""

    def announce(self, channel: int, now: Instant) -> None: ...

    def withdraw(self, channel: int, now: Instant) -> None: ...


class ControlSide:
    """A plane with its ports.

    Attributes:
        ports: set by who joins them; None while there is no host.
        data_path: the modem of this host, set by it; None while there is none.
        restart_modem: what to do when a client asks the modem to start again.
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.ports: PortHolder | None = None
        self.data_path: DataPath | None = None
        self._announced: set[int] = set()  # channels that a client's wish has opened
        self.restart_modem: Callable[[Instant], None] = lambda now: None
        self._is_booted = False

    # The modem

    def boot(self, now: Instant) -> None:
        """The modem has started, or there is a host for one that has: let there be ports."""
        if not self._is_booted:
            self._is_booted = True
            self.plane.boot(now)
        elif self.data_path is not None:
            for channel in sorted(self._announced):  # it is another host's: that was told nothing yet
                self.data_path.announce(channel, now)
        if self.ports is not None:
            self.ports.modem_booted()

    def crash(self, now: Instant) -> None:
        """The modem is dead, and its ports with it."""
        self._is_booted = False
        self._announced.clear()
        self.plane.crash(now)
        self.carry_out_actions(now)
        if self.ports is not None:
            self.ports.modem_lost()

    # Its ports; see `PortUser`

    takes_bytes: Final = True

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None:
        self.plane.port_opened(port, kind, now)

    def received(self, port: int, data: bytes, now: Instant) -> None:
        self.plane.received(port, data, now)

    def port_closed(self, port: int, now: Instant) -> None:
        self.plane.port_closed(port, now)

    # A side of the runner

    @property
    def deadline(self) -> Instant | None:
        return self.plane.deadline

    def feed(self, now: Instant) -> None:
        """Everything comes by callbacks of the loop."""

    def handle_timeout(self, now: Instant) -> None:
        self.plane.handle_timeout(now)

    def carry_out_actions(self, now: Instant) -> bool:
        """Do what the plane asks for; whether there was anything."""
        if not self.plane.has_actions:
            return False
        for action in self.plane.take_actions():
            self._carry_out(action, now)
        return True

    def _carry_out(self, action: Action, now: Instant) -> None:
        match action:
            case SendToPort(port, data, is_indication):
                if self.ports is not None:
                    self.ports.send(port, data, is_indication=is_indication)
            case HangUpPort(port):
                if self.ports is not None:
                    self.ports.hang_up(port)
            case RestartModem():
                self.restart_modem(now)
            case AnnounceChannel(channel):
                self._announced.add(channel)
                if self.data_path is not None:
                    self.data_path.announce(channel, now)
            case WithdrawChannel(channel):
                self._announced.discard(channel)
                if self.data_path is not None:
                    self.data_path.withdraw(channel, now)
            case Log():
                if LOG.isEnabledFor(action.severity):
                    LOG.log(action.severity, action.message)
            case _:
                raise AssertionError(f"a control plane has no {action}")

    def arm(self) -> None:
        """Ports watch themselves."""
