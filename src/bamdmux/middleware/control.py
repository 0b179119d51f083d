"""A hostile control plane: requests that are answered late, never, twice, wrongly, or by a hang-up.

    ports' bytes -> control_requests.py: one at a time -> the plane -> its answer
                                                                         '-> the fault that strikes -> ports

`HostilePlane` has the interface of the plane that it wraps, and like it neither clock nor I/O. What the plane
says unasked goes through as it is. Without a fault it changes nothing, and bytes go to the plane uncut; which
faults there are, and how to say which requests they are for, is in control_faults.py.
"""

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from bamdmux.actions import Action, HangUpPort, PortKind, SendToPort
from bamdmux.errors import UsageError
from bamdmux.middleware.control_faults import FAMILY, ChosenFault, Strike
from bamdmux.middleware.control_requests import Asked, AtRequests, QmiRequests
from bamdmux.middleware.faults import Strikes
from bamdmux.modem.control.equipment import Equipment
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.timing import Duration, Instant, earliest
from bamdmux.wire.qmi.messages import encode_error
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import encode_message

MAX_HELD_ANSWERS: Final = 1024  # one more is not late

_AT_REFUSAL: Final = b"\r\nERROR\r\n"


@dataclass(slots=True)
class _Active:
    """A fault that is set."""

    chosen: ChosenFault
    strikes: Strikes

    def strikes_now(self, asked: Asked, number: int) -> bool:
        fault, selector = self.chosen.fault, self.chosen.selector
        if asked.message is None and not fault.is_for_at:
            return False
        if selector.times is not None and self.strikes.count >= selector.times:
            return False
        return selector.selects(asked, number) and self.strikes.now()


class HostilePlane:
    """A `ControlPlane` with faults around it.

    Args:
        seed: for all that is left to chance.
    """

    def __init__(self, plane: ControlPlane, seed: int = 0) -> None:
        self._plane = plane
        self._seed = seed
        self._faults: dict[
            str, _Active
        ] = {}  # in the order in which they were set; the first that strikes counts
        self._outbox: list[Action] = []
        self._requests: dict[int, QmiRequests | AtRequests] = {}  # of each port that is open
        self._uncut: set[int] = set()  # ports that may be in the middle of something, as far as we know
        self._request_count = 0  # since the modem's boot
        self._skipped_byte_count = 0  # of ports that are closed
        self._held: list[tuple[Instant, int, Action]] = []
        self._order = count()  # so that what is due at the same time keeps its order

    # Setting and clearing

    def set(self, chosen: ChosenFault) -> None:
        """Let a fault strike from now on; if it does already, at this rate, and it is counted anew."""
        generator = random.Random(f"{self._seed}/fault {chosen.name}")
        strikes = Strikes(generator, chosen.rate, chosen.fault.delay_ns)
        self._faults[chosen.name] = _Active(chosen, strikes)

    def clear(self, name: str | None = None) -> None:
        """Let a fault, or all of them, strike no more. What it holds comes when it would have come.

        Raises:
            UsageError: it is not set.
        """
        if name is None:
            self._faults.clear()
        elif self._faults.pop(name, None) is None:
            raise UsageError(f"fault {name!r} is not set; {', '.join(self._faults) or 'none'} is")

    @property
    def fault_names(self) -> list[str]:
        """Of those that are set."""
        return list(self._faults)

    def fault_status(self) -> list[dict[str, object]]:
        """For JSON: what is set, in the form of the data path's."""
        return [
            {
                "name": name,
                "family": FAMILY,
                "description": active.chosen.fault.description,
                "rate": active.chosen.rate,
                "strikes": active.strikes.count,
            }
            for name, active in self._faults.items()
        ]

    # Requests

    def received(self, port: int, data: bytes, now: Instant) -> None:
        self._drain()
        if port not in self._requests:
            return
        if not self._tells_apart(port):
            self._plane.received(port, data, now)
            return
        for part in self._requests[port].feed(data):
            if isinstance(part, Asked):
                self._serve(part, now)
            else:
                self._plane.received(port, part, now)
                self._drain()
            if port not in self._requests:  # hung up
                return

    def _tells_apart(self, port: int) -> bool:
        """Whether to look for requests: while there are faults, and from the beginning of one."""
        if self._faults:
            if port in self._uncut and self._plane.has_unfinished(port):
                return False
            self._uncut.discard(port)
            return True
        if self._requests[port].holds_back:
            return True
        if port not in self._uncut:
            self._uncut.add(port)
            self._skipped_byte_count += self._requests[port].skipped_byte_count
            self._requests[port] = type(self._requests[port])(port)
        return False

    def _serve(self, asked: Asked, now: Instant) -> None:
        self._request_count += 1
        active = next(
            (each for each in self._faults.values() if each.strikes_now(asked, self._request_count)), None
        )
        if active is None:
            self._plane.received(asked.port, asked.data, now)
            self._drain()
            return
        answer = self._refuse(asked, now) if active.chosen.fault.is_refusal else self._answer(asked, now)
        if answer:
            for delay, action in active.chosen.fault.act(Strike(asked.port, answer, active.strikes)):
                self._do(delay, action, now)

    def _answer(self, asked: Asked, now: Instant) -> bytes:
        """Let the plane do it; its answer. What else it says goes out, and before the answer."""
        self._plane.received(asked.port, asked.data, now)
        answer = b""
        for action in self._plane.take_actions():
            match action:
                case SendToPort(port, data, False) if port == asked.port and data != asked.data:
                    answer = data
                case _:  # an indication, or the echo of what ends a line
                    self._outbox.append(action)
        return answer

    def _refuse(self, asked: Asked, now: Instant) -> bytes:
        """Let the plane know nothing of it; what an error looks like."""
        if asked.message is not None:
            return encode_message(asked.message.answer(encode_error(QmiError.INTERNAL)))
        requests = self._requests[asked.port]
        assert isinstance(requests, AtRequests)
        self._plane.received(asked.port, requests.take_back(), now)
        if self._plane.take_actions():  # it echoes what we said; so do we
            self._outbox.append(SendToPort(asked.port, asked.data))
        return _AT_REFUSAL

    def _do(self, delay: Duration, action: Action, now: Instant) -> None:
        if delay and len(self._held) < MAX_HELD_ANSWERS:
            heapq.heappush(self._held, (now + delay, next(self._order), action))
            return
        self._outbox.append(action)
        if isinstance(action, HangUpPort):
            self.port_closed(action.port, now)

    # Otherwise as the plane

    @property
    def equipment(self) -> Equipment:
        return self._plane.equipment

    def boot(self, now: Instant) -> None:
        self._request_count = 0
        self._plane.boot(now)

    def crash(self, now: Instant) -> None:
        """What is late is lost."""
        self._requests.clear()
        self._uncut.clear()
        self._held.clear()
        self._plane.crash(now)

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None:
        self._plane.port_opened(port, kind, now)
        self._requests[port] = QmiRequests(port) if kind is PortKind.QMI else AtRequests(port)

    def port_closed(self, port: int, now: Instant) -> None:
        """Who was there hears nothing any more, and who comes next nothing of it."""
        self._uncut.discard(port)
        requests = self._requests.pop(port, None)
        if requests is not None:
            self._skipped_byte_count += requests.skipped_byte_count
        self._held = [each for each in self._held if not _is_for(each[2], port)]
        heapq.heapify(self._held)
        self._plane.port_closed(port, now)

    def command(self, name: str, arguments: Mapping[str, Any], now: Instant) -> dict[str, Any]:
        return self._plane.command(name, arguments, now)

    def settle(self, now: Instant) -> None:
        self._plane.settle(now)

    @property
    def deadline(self) -> Instant | None:
        return earliest(self._plane.deadline, self._held[0][0] if self._held else None)

    def handle_timeout(self, now: Instant) -> None:
        self._drain()
        while self._held and self._held[0][0] <= now:
            self._outbox.append(heapq.heappop(self._held)[2])
        self._plane.handle_timeout(now)

    @property
    def has_actions(self) -> bool:
        return bool(self._outbox) or self._plane.has_actions

    def take_actions(self) -> list[Action]:
        self._drain()
        actions, self._outbox = self._outbox, []
        return actions

    def _drain(self) -> None:
        self._outbox += self._plane.take_actions()

    def status(self, now: Instant) -> dict[str, Any]:
        """As the plane's, which sees no bytes that are no frames: they are counted here."""
        status: dict[str, Any] = self._plane.status(now)
        open_ports = sum(each.skipped_byte_count for each in self._requests.values())
        status["qmi"]["skipped_bytes"] += self._skipped_byte_count + open_ports
        return status


def _is_for(action: Action, port: int) -> bool:
    return isinstance(action, SendToPort) and action.port == port
