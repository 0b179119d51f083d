"""A doorbell: a pair of connected sockets, one end for each process; either end rings at the other.

A ring says only that something has changed; what, is in shared memory: lines and pipes. Rings that come
together are one.

Why no eventfds: both processes hold the same open file, so the other one can switch it back to blocking, and
fill its counter between our looking and our writing. There is no eventfd write that never waits: pwritev2()
with RWF_NOWAIT is EOPNOTSUPP. A peer that tried hung us within a second. A socket has MSG_DONTWAIT, call by
call, whatever the other one does to the file; one call instead of two makes it as fast.
"""

import os
import socket
import stat
from contextlib import suppress
from typing import Final, Self

from bamdmux.errors import ProtocolError
from bamdmux.live.split.handover import Refusal

_RING: Final = b"\0"
# Of unread rings the socket keeps a few hundred, each in a packet of its own: all of them are taken at once.
_MANY_RINGS: Final = 4096


class Doorbell:
    """One end of a pair.

    Args:
        end: a descriptor that is ours from now on.
    """

    def __init__(self, end: int) -> None:
        self._end = socket.socket(fileno=end)
        self._end.setblocking(False)  # for Python, which would otherwise wait by itself

    @classmethod
    def create_pair(cls) -> tuple[Self, Self]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(ours.detach()), cls(theirs.detach())

    @staticmethod
    def check(descriptor: int) -> None:
        """See whether what the other process passed is the end of a pair; it stays the caller's.

        Raises:
            ProtocolError: it is none.
        """
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise ProtocolError(Refusal.NO_DOORBELL, "the doorbell passed is no socket")
        end = socket.socket(fileno=descriptor)
        kind = end.family, end.type
        end.detach()
        if kind != (socket.AF_UNIX, socket.SOCK_STREAM):
            raise ProtocolError(Refusal.NO_DOORBELL, "the doorbell passed is no Unix socket of bytes")

    def fileno(self) -> int:
        """Readable when it was rung, or the other end is gone."""
        return self._end.fileno()

    def ring(self) -> None:
        """Wake the other side. Never waits: if the bell is full, it was rung often enough."""
        with suppress(OSError):
            self._end.send(_RING, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def answer(self) -> bool:
        """Forget the rings so far; False if the other end is gone. Look at shared memory after this."""
        try:
            return bool(self._end.recv(_MANY_RINGS, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        self._end.close()
