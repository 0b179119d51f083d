"""What the wraps of signals are put around: a side that writes down what it hears, and a small agenda."""

import random
from collections.abc import Callable
from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import FarSide, Middleware, Strikes, wrapped
from bamdmux.timing import Duration, Instant

ALWAYS: Final = 1.0
Event = Callable[[Instant], None]


class Listener:
    """Hears, and remembers when."""

    def __init__(self) -> None:
        self.heard: list[tuple[Instant, Line | Pipe, int]] = []

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        self.heard.append((now, line, edge_count))

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self.heard.append((now, pipe, 0))


class Agenda:
    """What was asked for later."""

    def __init__(self) -> None:
        self.now: Instant = 0
        self._events: list[tuple[Instant, Event]] = []

    def later(self, delay: Duration, event: Event) -> None:
        self._events.append((self.now + delay, event))

    def run(self) -> None:
        """Let everything happen, in order."""
        while self._events:
            time, event = self._events.pop(min(range(len(self._events)), key=lambda i: self._events[i][0]))
            self.now = max(self.now, time)
            event(self.now)


class Rig:
    """A fault with its strikes, and both far sides inside of its wraps."""

    def __init__(self, name: str, rate: float = ALWAYS, edge_count: int = 0) -> None:
        self.agenda = Agenda()
        self.restarts: list[tuple[str, Duration]] = []
        self.middleware = Middleware(
            later=self.agenda.later,
            restart_modem=lambda duration: self.restarts.append(("modem", duration)),
            restart_host=lambda duration: self.restarts.append(("host", duration)),
            edge_count=lambda line: edge_count,
        )
        self.middleware.install(FAULTS[name], random.Random(1), rate)
        self.at_modem, self.at_host = Listener(), Listener()
        modem: FarSide = self.at_modem
        host: FarSide = self.at_host
        self.to_modem = wrapped(modem, self.middleware.to_modem)
        self.to_host = wrapped(host, self.middleware.to_host)

    @property
    def strikes(self) -> Strikes:
        (strikes,) = self.middleware.strikes.values()
        return strikes
