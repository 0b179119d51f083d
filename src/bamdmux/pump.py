"""The native pump, where it was built: the same two functions as the rings', in C, for many packets at a time.

`native` is the extension module, or None. What it may be used for is decided packet path by packet path: on pipe
ends that nothing is wrapped around, and for devices that have an `Interface`. All else goes Python's way, which does
the same.
"""

from array import array
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, Protocol

from bamdmux.counters import Counters, DropReason

native: ModuleType | None
try:
    from bamdmux import _pump

    native = _pump
except ImportError:  # there was no compiler
    native = None

# FIFO, number of entries, buffers, stride, size and number of slots, tail word: offsets and bytes
Place = tuple[int, int, int, int, int, int, int]

_CHANNELS: Final = 8
_REFUSED: Final = 2 * _CHANNELS  # in a tally: packets, bytes, refused, each by channel


class Interface(Protocol):
    """A TUN with offloads, as `_pump.Interface` has it."""

    @property
    def has_packet(self) -> bool:
        """Whether segments of a super-packet wait here: no descriptor tells of them."""

    @property
    def malformed(self) -> int:
        """Packets whose headers could not be true."""

    def read_into(self, buffer: memoryview) -> int: ...

    def write(self, buffer: memoryview) -> bool: ...

    def fill_slots(
        self,
        memory: memoryview,
        place: Place,
        first: int,
        limit: int,
        channel: int,
        mtu: int,
        packet_bytes: "array[int]",
        frame_bytes: "array[int]",
    ) -> tuple[int, int, int]: ...

    def take_frames(
        self,
        memory: memoryview,
        place: Place,
        position: int,
        count: int,
        generation: int,
        max_packet_bytes: int,
        bearers: bytes,
        tally: "array[int]",
    ) -> int: ...

    def fill_buffers(
        self,
        memory: memoryview,
        place: Place,
        position: int,
        count: int,
        generation: int,
        bearers: bytes,
        budget: int,
        tally: "array[int]",
    ) -> int: ...


class Source(Protocol):
    """A device whose packets the native pump may read; it may be made of several interfaces."""

    def turn(self) -> tuple[Interface | None, int]:
        """Whose packets are next, and how many of them at most; None: nobody has any."""

    def took(self, count: int) -> None:
        """So many of them were read."""


class Tally:
    """What one batch did, by channel."""

    def __init__(self) -> None:
        self.numbers = array("Q", bytes(8 * 3 * _CHANNELS))
        self._nothing = self.numbers[:]

    def settle(self, counters: Sequence[Counters | None]) -> None:
        """Add it to the counters of the channels, and begin anew."""
        numbers = self.numbers
        if numbers == self._nothing:
            return
        for channel, each in enumerate(counters):
            if each is not None:
                each.packet_count += numbers[channel]
                each.byte_count += numbers[_CHANNELS + channel]
                if refused := numbers[_REFUSED + channel]:
                    each.drop(DropReason.DEVICE_REFUSED, refused)
        numbers[:] = self._nothing


def interface_of(device: object) -> Interface | None:
    """What the native pump may read and write in the place of a device; None: only the device itself.

    Of the device's own attributes: a wrap that passes on what it does not know has none, and methods that are
    laid over a device are its own.
    """
    own: dict[str, Any] = getattr(device, "__dict__", _NOTHING)
    return own.get("interface") if "read_into" not in own else None


def source_of(device: object) -> Source | None:
    """As `interface_of`, to read from only."""
    own: dict[str, Any] = getattr(device, "__dict__", _NOTHING)
    return own.get("source") if "read_into" not in own else None


_NOTHING: Final[dict[str, Any]] = {}
