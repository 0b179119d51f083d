"""A doorbell: an eventfd that one process rings and the other waits for.

It says only that something has changed; what, is in shared memory: lines and pipes. Rings that come together
are one. Both processes hold the same open file, so the other one can do anything to it: fill its counter, or
switch it back to blocking. Hence never a read or a write that could wait.
"""

import os
import select
from contextlib import suppress
from typing import Final, Self

from bamdmux.errors import ProtocolError
from bamdmux.live.split.handover import Refusal

_EVENTFD: Final = "anon_inode:[eventfd]"
_EIGHT_BYTES: Final = 8


class Doorbell:
    """One direction; made by `create` or `adopt`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._readable = select.poll()
        self._readable.register(descriptor, select.POLLIN)

    @classmethod
    def create(cls) -> Self:
        return cls(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))

    @classmethod
    def adopt(cls, descriptor: int) -> Self:
        """Take what the other process passed to us; the descriptor is ours from now on, unless this raises.

        Raises:
            ProtocolError: it is no eventfd.
        """
        kind = os.readlink(f"/proc/self/fd/{descriptor}")
        if kind != _EVENTFD:
            raise ProtocolError(Refusal.NO_EVENTFD, f"the doorbell passed is no eventfd but {kind}")
        return cls(descriptor)

    def fileno(self) -> int:
        """Readable when it was rung."""
        return self._descriptor

    def ring(self) -> None:
        """Wake the other side. If the counter is full, it was rung often enough."""
        if self._writable.poll(0):
            with suppress(BlockingIOError):
                os.eventfd_write(self._descriptor, 1)

    def answer(self) -> None:
        """Forget the rings so far. Look at shared memory after this, not before."""
        if self._readable.poll(0):
            with suppress(BlockingIOError):
                os.read(self._descriptor, _EIGHT_BYTES)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
