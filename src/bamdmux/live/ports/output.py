"""What waits for a reader: whole messages, so many and no more.

A message that has been begun is always finished, for half a message would spoil all that follow. When there
is no room, the oldest indication goes, since nobody asked for it; if there is none, the oldest message of
all. Who fills the queue looks at `has_room` first, and takes no more requests of a reader that does not read
the answers.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_MESSAGES: Final = 512
MAX_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message."""

    data: bytes
    is_indication: bool
    must_stay: bool


class OutputQueue:
    """Messages for one reader.

    Attributes:
        dropped_indications: how many had to go, as
        dropped_messages: so many others.
    """

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self.dropped_indications = 0
        self.dropped_messages = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._begun = 0  # bytes of the first one that are written

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether more than half of it is free."""
        return len(self._waiting) < self._max_messages // 2 and self._waiting_bytes < self._max_bytes // 2

    def put(self, data: bytes, *, is_indication: bool = False, must_stay: bool = False) -> None:
        """Append one message, and let others go if there are too many.

        Args:
            must_stay: it may not be dropped, and whoever says so sees to it that there are few.
        """
        self._waiting.append(Waiting(data, is_indication, must_stay))
        self._waiting_bytes += len(data)
        while len(self._waiting) > self._max_messages or self._waiting_bytes > self._max_bytes:
            if not self._drop_one():
                return

    def _drop_one(self) -> bool:
        candidates = range(1 if self._begun else 0, len(self._waiting))
        droppable = [index for index in candidates if not self._waiting[index].must_stay]
        if not droppable:
            return False
        index = next((index for index in droppable if self._waiting[index].is_indication), droppable[0])
        message = self._waiting[index]
        del self._waiting[index]
        self._waiting_bytes -= len(message.data)
        if message.is_indication:
            self.dropped_indications += 1
        else:
            self.dropped_messages += 1
        return True

    def write_out(self, write: Callable[[memoryview], int]) -> int:
        """Write as much as is taken; how many messages that finished.

        Args:
            write: returns how many bytes it took, and raises BlockingIOError if none.
        """
        finished = 0
        while self._waiting:
            data = self._waiting[0].data
            try:
                self._begun += write(memoryview(data)[self._begun :])
            except BlockingIOError:
                break
            if self._begun == len(data):
                self._waiting.popleft()
                self._waiting_bytes -= len(data)
                self._begun = 0
                finished += 1
        return finished

    def clear(self) -> None:
        """Forget everything, what was begun too: whoever was to read it is gone."""
        self._waiting.clear()
        self._waiting_bytes = self._begun = 0
