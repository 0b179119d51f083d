"""The four power lines as edge counters.

A line is a 32-bit word in shared memory with one writer, who adds one for each change; the level is bit 0. A
reader that compares the count with the one it saw last cannot be fooled: an edge that came without a wake-up,
two edges that one wake-up stood for, a wake-up without an edge all show. It stands in for a bit of Qualcomm's
SMSM, where a write that changes nothing raises no interrupt either.

It wakes nobody: changing the word is memory, telling the other side is the world's part.
"""

from typing import Final

from bamdmux.actions import Line
from bamdmux.bam.memory import LinkLayout

COUNT_MASK: Final = 0xFFFF_FFFF


class LineWriter:
    """Our end of a line that we drive."""

    def __init__(self, memory: memoryview, layout: LinkLayout, line: Line) -> None:
        offset = layout.line_offset(line)
        # A cast view writes the word in one go; struct would write it byte by byte.
        self._word = memory[offset : offset + 4].cast("I")
        self._edge_count = self._word[0]  # nobody else writes it: never read back

    @property
    def edge_count(self) -> int:
        return self._edge_count

    @property
    def level(self) -> bool:
        return level_of(self._edge_count)

    def set(self, level: bool) -> bool:
        """Drive the line; whether that was an edge."""
        if level == self.level:
            return False
        self._edge_count = self._edge_count + 1 & COUNT_MASK
        self._word[0] = self._edge_count
        return True


class LineReader:
    """A line that the other side drives."""

    def __init__(self, memory: memoryview, layout: LinkLayout, line: Line) -> None:
        offset = layout.line_offset(line)
        self._word = memory[offset : offset + 4].toreadonly().cast("I")

    @property
    def edge_count(self) -> int:
        return self._word[0]


def level_of(edge_count: int) -> bool:
    return bool(edge_count & 1)


def edges_between(earlier: int, later: int) -> int:
    """How many edges lie between two counts; counters wrap."""
    return later - earlier & COUNT_MASK
