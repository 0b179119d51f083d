"""The fuzzer's bytes as decisions.

A target asks for a byte, a word, a few bytes, and does what they say, until there are no more. All requests
take from the front, so that a small change of the input is a small change of what happens. At the end zeroes
are read: no input is invalid.
"""

from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


class Script:
    """Reads decisions from ``data``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def is_over(self) -> bool:
        return self._position >= len(self._data)

    def octets(self, count: int) -> bytes:
        """So many bytes; fewer at the end."""
        octets = self._data[self._position : self._position + count]
        self._position += count
        return octets

    def number(self, byte_count: int = 1) -> int:
        return int.from_bytes(self.octets(byte_count), "little")

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit`` - 1, which is at most 255."""
        return self.number() % limit

    def chance(self) -> bool:
        return bool(self.number() & 1)

    def choice(self, choices: Sequence[Choice]) -> Choice:
        return choices[self.below(len(choices))]

    def rest(self) -> bytes:
        return self.octets(len(self._data))
