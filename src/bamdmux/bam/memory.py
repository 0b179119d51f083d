"""Where everything lies in the memory that host and modem share.

    the four lines, one 32-bit word each
    who is awake: the host, the modem, one word each
    TX pipe:  tail | position | descriptor FIFO | buffers
    RX pipe:  tail | position | descriptor FIFO | buffers

Every word that somebody writes while the other side reads has a cache line of its own and one writer. The
memory is a bytearray, or an mmap of what both processes share; offsets in it serve as bus addresses.

It holds no pointers and no code: what a word means is said in lines.py, wakefulness.py and pipe.py.
"""

import mmap
from dataclasses import dataclass, field
from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.pump import Place
from bamdmux.wire.dmux import BUFFER_BYTES, MAX_FRAME_BYTES

CACHE_LINE_BYTES: Final = 64
DESCRIPTOR_BYTES: Final = 8
ENTRY_COUNT: Final = 4095  # BAM_FIFO_SIZE 32760 / 8: Linux's FIFOs, which can hold one entry less
SLOT_COUNT: Final = 32  # BAM_DMUX_NUM_SKB
_RESERVED_SLOTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeLayout:
    """Offsets of one pipe, in bytes from the start of the link's memory."""

    start: int
    entry_count: int = ENTRY_COUNT
    slot_count: int = SLOT_COUNT
    slot_bytes: int

    def __post_init__(self) -> None:
        # The offset of an entry is kept in 16 bits, as in P_SW_OFSTS.
        if not 2 <= self.entry_count <= 8191:
            raise ValueError(f"entry count {self.entry_count} is not within 2 to 8191")
        if not 1 <= self.slot_count < self.entry_count:
            raise ValueError(f"slot count {self.slot_count} is not within 1 to {self.entry_count - 1}")
        if not 8 <= self.slot_bytes <= 0xFFFF:
            raise ValueError(f"slot size {self.slot_bytes} is not within 8 to 65535")

    @property
    def tail_offset(self) -> int:
        return self.start

    @property
    def position_offset(self) -> int:
        return self.start + CACHE_LINE_BYTES

    @property
    def fifo_offset(self) -> int:
        return self.start + 2 * CACHE_LINE_BYTES

    @property
    def buffers_offset(self) -> int:
        return _round_up(self.fifo_offset + self.entry_count * DESCRIPTOR_BYTES)

    @property
    def slot_stride(self) -> int:
        return _round_up(self.slot_bytes)

    @property
    def end(self) -> int:
        return self.buffers_offset + self.slot_count * self.slot_stride

    @property
    def place(self) -> Place:
        """Where everything lies, as the native pump wants it."""
        return (
            self.fifo_offset,
            self.entry_count,
            self.buffers_offset,
            self.slot_stride,
            self.slot_bytes,
            self.slot_count,
            self.tail_offset,
            self.position_offset,
        )

    @property
    def max_segments(self) -> int:
        """Of a super-packet, so that it fits the ring, and a command besides: then it need not be cut."""
        return max(1, self.slot_count - _RESERVED_SLOTS)

    def slot_address(self, slot_index: int) -> int:
        return self.buffers_offset + slot_index * self.slot_stride


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLayout:
    """Offsets of a whole link, the same for both sides.

    Args:
        slot_count: buffers in each direction.
        receive_bytes: size of an RX buffer, and so the largest frame that the modem may send.
        transmit_bytes: size of a TX buffer: the largest packet makes a frame of 2052 bytes.
    """

    slot_count: int = SLOT_COUNT
    receive_bytes: int = BUFFER_BYTES
    transmit_bytes: int = MAX_FRAME_BYTES
    tx: PipeLayout = field(init=False)
    rx: PipeLayout = field(init=False)

    def __post_init__(self) -> None:
        entry_count = max(ENTRY_COUNT, self.slot_count + 1)
        for name, slot_bytes in (("tx", self.transmit_bytes), ("rx", self.receive_bytes)):
            start = (len(Line) + 2) * CACHE_LINE_BYTES if name == "tx" else _round_up(self.tx.end)
            layout = PipeLayout(
                start=start, entry_count=entry_count, slot_count=self.slot_count, slot_bytes=slot_bytes
            )
            object.__setattr__(self, name, layout)

    def line_offset(self, line: Line) -> int:
        return list(Line).index(line) * CACHE_LINE_BYTES

    @property
    def host_awake_offset(self) -> int:
        return len(Line) * CACHE_LINE_BYTES

    @property
    def modem_awake_offset(self) -> int:
        return self.host_awake_offset + CACHE_LINE_BYTES

    def pipe(self, pipe: Pipe) -> PipeLayout:
        return self.tx if pipe is Pipe.TX else self.rx

    @property
    def size_bytes(self) -> int:
        """Of the whole memory, in whole pages."""
        return -(-self.rx.end // mmap.PAGESIZE) * mmap.PAGESIZE

    def allocate(self) -> memoryview:
        """Fresh memory of this process alone, all zeroes."""
        return memoryview(bytearray(self.size_bytes))


def _round_up(offset: int) -> int:
    return -(-offset // CACHE_LINE_BYTES) * CACHE_LINE_BYTES
