"""What a bearer has carried during a call: the data path's own counters, from the beginning of the call on.

The words are those of the modem, as WDS and AT have them: it transmits (tx) what goes up, and receives (rx)
what comes down. A packet that did not pass is counted once: as an error (something was wrong with it), as an
overflow (there was no place for it) or as dropped (nobody was to get it).
"""

from dataclasses import dataclass
from typing import Final

from bamdmux.counters import Counters, DropReason
from bamdmux.modem.network import Bearer

ERRORS: Final = frozenset(
    (
        DropReason.TRUNCATED,
        DropReason.TRUNCATED_BY_DEVICE,
        DropReason.TOO_LONG,
        DropReason.LONGER_THAN_MTU,
        DropReason.WRONG_SOURCE,
    )
)
OVERFLOWS: Final = frozenset((DropReason.QUEUE_FULL, DropReason.DEVICE_REFUSED, DropReason.LOST_IN_FLIGHT))


@dataclass(frozen=True, slots=True)
class Direction:
    """What went one way."""

    packets: int = 0
    bytes: int = 0
    errors: int = 0
    overflows: int = 0
    dropped: int = 0

    @staticmethod
    def of(counters: Counters) -> "Direction":
        errors = sum(counters.drops[reason] for reason in ERRORS)
        overflows = sum(counters.drops[reason] for reason in OVERFLOWS)
        dropped = counters.drops.total() - errors - overflows
        return Direction(counters.packet_count, counters.byte_count, errors, overflows, dropped)

    def since(self, earlier: "Direction") -> "Direction":
        return Direction(
            self.packets - earlier.packets,
            self.bytes - earlier.bytes,
            self.errors - earlier.errors,
            self.overflows - earlier.overflows,
            self.dropped - earlier.dropped,
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Both ways."""

    tx: Direction = Direction()
    rx: Direction = Direction()


class Meter:
    """What a bearer carries in this call, and carried in the last one.

    Both versions of IP of a channel are one call here, as they are one bearer: it begins with the first and
    ends with the last.
    """

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer
        self._at_begin = Traffic()
        self.last = Traffic()

    def begin(self) -> None:
        self._at_begin = self._now()

    def end(self) -> None:
        self.last = self.current()

    def current(self) -> Traffic:
        """Since the call began."""
        now = self._now()
        return Traffic(now.tx.since(self._at_begin.tx), now.rx.since(self._at_begin.rx))

    def _now(self) -> Traffic:
        return Traffic(Direction.of(self._bearer.uplink), Direction.of(self._bearer.downlink))
