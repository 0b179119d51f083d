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
        raise UsageError(f"{VARIABLE}={choice!r} is neither native nor python")
    if choice == "native" and native is None:
        raise UsageError(f"{VARIABLE}=native, but the native pump was not built: install with a compiler")


def is_native() -> bool:
    """Whether there is a native pump, and it is wanted."""
    return native is not None


# FIFO, number of entries, buffers, stride, size and number of slots, words of tail and position; in bytes
Place = tuple[int, int, int, int, int, int, int, int]

_CHANNELS: Final = 8
_BYTES, _REFUSED, _TOUCHED = _CHANNELS, 2 * _CHANNELS, 3 * _CHANNELS  # where they begin in a tally


class Interface(Protocol):
    """A TUN with offloads, as `_pump.Interface` has it."""

    @property
    def has_packet(self) -> bool:
        """Whether segments of a super-packet wait here: no descriptor tells of them."""

    def take_malformed(self) -> int:
        """How many packets had headers that could not be true, since it was last asked."""

    def read_into(self, buffer: memoryview) -> int: ...

    def write(self, buffer: memoryview) -> bool: ...

    is_covered: bool  # whether something is laid over the TUN that wants to see all packets

    def fill_slots(
        self,
        pipe: Any,
        first: int,
        space: int,
        budget: int,
        channel: int,
        mtu: int,
        packet_bytes: "array[int]",
        frame_bytes: "array[int]",
    ) -> tuple[int, int, int]: ...

    def send_slots(
        self,
        pipe: Any,
        owned: tuple[int, int, int, int],
        first: int,
        space: int,
        budget: int,
        channel: int,
        mtu: int,
        packet_bytes: "array[int]",
        frame_bytes: "array[int]",
    ) -> tuple[int, int, int, int]: ...

    def take_frames(
        self,
        pipe: Any,
        position: int,
        count: int,
        generation: int,
        max_packet_bytes: int,
        bearers: memoryview,
        tally: "array[int]",
    ) -> int: ...

    def fill_buffers(
        self,
        pipe: Any,
        position: int,
        space: int,
        budget: int,
        generation: int,
        bearers: memoryview,
        tally: "array[int]",
    ) -> int: ...


def make_pipe(memory: memoryview, place: Place, *arrays: "array[int]") -> Any:
    """An end of a pipe as the native pump knows it, None without one.

    Args:
        arrays: of the owner alone: slots and sizes of all entries.
    """
    return native.Pipe(memory, place, *arrays) if native is not None else None


def make_interface(descriptor: int, *, merges_udp: bool) -> Interface:
    """What reads and writes a TUN with offloads; the descriptor stays its owner's."""
    interface: Interface = native.Interface(descriptor, merges_udp)
    return interface


class Source(Protocol):
    """A device whose packets the native pump may read; it may be made of several interfaces."""

    def turn(self) -> tuple[Interface | None, int]:
        """Whose packets are next, and how many of them; None: nobody has any."""

    def took(self, count: int, *, is_dry: bool) -> bool:
        """So many of them were read, and there are no more if it is dry; whether another may have some."""


class Tally:
    """What one batch did, by channel."""

    def __init__(self) -> None:
        # Packets, bytes and refused of each channel, and a bit for each that is not all zeroes.
        self.numbers = array("Q", bytes(8 * (3 * _CHANNELS + 1)))

    def settle(self, counters: Sequence[Counters | None], reason: DropReason) -> None:
        """Add it to the counters of the channels, and begin anew.

        Args:
            reason: why some did not pass.
        """
        numbers = self.numbers
        touched = numbers[_TOUCHED]
        if not touched:
            return
        numbers[_TOUCHED] = 0
        while touched:
            channel = touched.bit_length() - 1
            touched &= ~(1 << channel)
            each = counters[channel]
            assert each is not None, "the pump passes nothing on for nobody"
            each.packet_count += numbers[channel]
            each.byte_count += numbers[_BYTES + channel]
            if refused := numbers[_REFUSED + channel]:
                each.drop(reason, refused)
                numbers[_REFUSED + channel] = 0
            numbers[channel] = numbers[_BYTES + channel] = 0


def interface_of(device: object) -> Interface | None:
    """What the native pump may read and write in the place of a device; None: only the device itself.

    Of the device's own attributes: a wrap that passes on what it does not know has none.
    """
    interface: Interface | None = getattr(device, "__dict__", _NOTHING).get("interface")
    return interface


def source_of(device: object) -> Source | None:
    """As `interface_of`, to read from only."""
    source: Source | None = getattr(device, "__dict__", _NOTHING).get("source")
    return source


_NOTHING: Final[dict[str, Any]] = {}
