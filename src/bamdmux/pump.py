"""The native pump, where there is one: what the rings do with plain data, in C, for many packets at a time.

`native` is the extension module, or None: there was no compiler to build it, or ``BAMDMUX_PUMP=python`` says
that it is not wanted. Whether it takes part is decided anew for each batch: on pipe ends that nothing is
wrapped around, and for devices that have an `Interface`. All else goes Python's way, which does the same.
"""

import importlib
import os
from array import array
from collections.abc import Sequence
from typing import Any, Final, Protocol

from bamdmux.counters import Counters, DropReason
from bamdmux.errors import UsageError

VARIABLE: Final = "BAMDMUX_PUMP"


def _load() -> Any:
    if os.environ.get(VARIABLE) == "python":
        return None
    try:
        return importlib.import_module("bamdmux._pump")
    except ImportError:
        return None


native: Any = _load()


def check_choice() -> None:
    """See whether the environment asks for something that there is.

    Raises:
        UsageError: it does not.
    """
    choice = os.environ.get(VARIABLE, "")
    if choice not in ("", "native", "python"):
        raise UsageError(f"{VARIABLE}={choice} is neither native nor python")
    if choice == "native" and native is None:
        raise UsageError(f"{VARIABLE}=native, but the native pump was not built: install with a compiler")


def is_native() -> bool:
    """Whether there is a native pump, and it is wanted."""
    return native is not None


# FIFO, number of entries, buffers, stride, size and number of slots, tail word: offsets and bytes
Place = tuple[int, int, int, int, int, int, int]

_CHANNELS: Final = 8
_REFUSED: Final = 2 * _CHANNELS  # in a tally: packets, bytes, refused, each by channel


class Interface(Protocol):
    """A TUN with offloads, as `_pump.Interface` has it."""

    @property
    def has_packet(self) -> bool:
        """Whether segments of a super-packet wait here: no descriptor tells of them."""

    def take_malformed(self) -> int:
        """How many packets had headers that could not be true, since it was last asked."""

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


def make_interface(descriptor: int, *, merges_udp: bool) -> Interface:
    """What reads and writes a TUN with offloads; the descriptor stays its owner's."""
    interface: Interface = native.Interface(descriptor, merges_udp)
    return interface


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

    def settle(self, counters: Sequence[Counters | None], reason: DropReason) -> None:
        """Add it to the counters of the channels, and begin anew.

        Args:
            reason: why some did not pass.
        """
        numbers = self.numbers
        if numbers == self._nothing:
            return
        for channel, each in enumerate(counters):
            if each is not None:
                each.packet_count += numbers[channel]
                each.byte_count += numbers[_CHANNELS + channel]
                if refused := numbers[_REFUSED + channel]:
                    each.drop(reason, refused)
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
