"""Frames over a socket, each behind its length: how passt(1) and qemu speak Ethernet.

    u32 length, big-endian | frame | u32 length | frame ...

The socket is a SOCK_SEQPACKET, though who is at the far end takes it for a stream: what is sent at once comes
at once, or not at all. So no frame is ever half there, neither way, and where a message begins a frame does.

It never waits and never raises. A message is read into memory of our own, and `next_frame` gives one frame
after the other out of it. The kernel knows nothing of frames that wait there, so `fileno` is an epoll set of
the socket and of an eventfd that says "there is more".

Upwards there is one message at a time: until the far end has read it, frames wait in a short queue, and all
of them are the next message. More would be lost on passt, which reads once for any number of messages that
come while it is busy (it is edge-triggered).

When the far end has ended, `end` says so, and nothing wakes anybody any more.
"""

import fcntl
import os
import select
import socket
import struct
import termios
from collections import Counter
from typing import Final

PREFIX: Final = struct.Struct(">I")
MESSAGE_BYTES: Final = 1 << 20  # of one message; passt sends 194304 at most, but for long datagrams
QUEUE_BYTES: Final = 1 << 17  # waiting to be sent; full: the next frame is refused
_NUMBER: Final = struct.Struct("=i")
_NOTHING: Final = bytes(_NUMBER.size)

Buffer = bytes | memoryview


class FrameStream:
    """The near end of a socket for frames, which it takes over; close it.

    Attributes:
        end: why it is over; empty as long as it is not.
        counts: what came and was no frame, by what it was.
    """

    def __init__(self, stream: socket.socket) -> None:
        assert stream.type == socket.SOCK_SEQPACKET
        stream.setblocking(False)
        self._stream = stream
        self.end = ""
        self.counts: Counter[str] = Counter()
        self._memory = memoryview(bytearray(MESSAGE_BYTES))
        self._start = self._end = 0  # of what was read, and not given yet
        self._queue = bytearray()  # frames to be sent
        self._more = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._says_more = False
        self._far_end = os.dup(stream.fileno())  # an epoll set has each number once
        self._watches_far_end = False
        self._ready = select.epoll()
        self._ready.register(self._more, select.EPOLLIN)
        self._ready.register(stream, select.EPOLLIN)
        self._ready.register(self._far_end, 0)

    def fileno(self) -> int:
        """Readable while `next_frame` is worth calling; also for the sake of what waits to be sent."""
        return self._ready.fileno()

    def close(self) -> None:
        if not self._ready.closed:
            self.end = self.end or "closed"
            self._ready.close()
            os.close(self._more)
            os.close(self._far_end)
            self._stream.close()

    # What comes

    def next_frame(self) -> memoryview | None:
        """The next frame, valid until the next call; None if there is none now."""
        if self._queue:
            self._send_queue()
        while not self.end:
            start = self._start + PREFIX.size
            have = self._end - start
            if have >= 0:
                (length,) = PREFIX.unpack_from(self._memory, self._start)
                if length <= have:
                    self._start = start + length
                    return self._memory[start : self._start]
            if not self._read():
                break
        return None

    def _read(self) -> bool:
        """Read one message; whether there was one."""
        # passt sends some frames in two messages: the length, then the rest.
        is_length = self._end - self._start == PREFIX.size
        if is_length:
            self._memory[: PREFIX.size] = self._memory[self._start : self._end]
        elif self._start < self._end:
            self.counts["torn"] += 1
        start = PREFIX.size if is_length else 0
        self._start = self._end = 0
        try:
            count = self._stream.recv_into(self._memory[start:], 0, socket.MSG_TRUNC)
        except BlockingIOError:
            self._end = start  # the rest is still under way
            self._say_more(False)
            return False
        except OSError:  # ECONNRESET
            count = 0
        if count == 0:
            self._end_it("the far end has ended")
            return False
        if is_length and PREFIX.unpack_from(self._memory)[0] != count:
            self.counts["torn"] += 1  # the rest found no room: what has come begins with a frame of its own
            self._start = start
        if count > MESSAGE_BYTES - start:
            self.counts["too_long"] += 1
            count = MESSAGE_BYTES - start
        self._end = start + count
        self._say_more(True)  # until nothing is found: the caller may stop in between
        return True

    def wake(self) -> None:
        """Be readable until `next_frame` is called and finds nothing."""
        if not self.end:
            self._say_more(True)

    def _say_more(self, is_more: bool) -> None:
        if is_more != self._says_more:
            self._says_more = is_more
            if is_more:
                os.eventfd_write(self._more, 1)
            else:
                os.eventfd_read(self._more)

    # What goes

    def send(self, header: bytes, payload: Buffer = b"") -> bool:
        """Send a frame made of two parts; False if it is not taken: the queue is full, or all is over."""
        length = len(header) + len(payload)
        if self.end or len(self._queue) + PREFIX.size + length > QUEUE_BYTES:
            return False
        if not self._queue and not self._is_unread():
            try:
                self._stream.sendmsg((PREFIX.pack(length), header, payload))
            except OSError:  # ENOBUFS; or EPIPE, and `next_frame` will find the end
                return False
            return True
        self._queue += PREFIX.pack(length)
        self._queue += header
        self._queue += payload
        self._watch_far_end(True)
        return True

    def _is_unread(self) -> bool:
        """Whether the far end has yet to read what was sent."""
        # 1 is nothing as well: sock_wfree() in net/core/sock.c tells of the room before it takes that off.
        (count,) = _NUMBER.unpack(fcntl.ioctl(self._stream, termios.TIOCOUTQ, _NOTHING))
        return bool(count > 1)

    def _send_queue(self) -> None:
        """Send what waits, if the far end has read what went before."""
        self._ready.poll(0)  # takes the edge: see `_watch_far_end`
        if self._is_unread():
            return
        try:
            self._stream.send(self._queue)
        except OSError:  # EPIPE; for the rest there is room, since nothing else waits
            self.counts["unsent"] += 1
        self._queue.clear()
        self._watch_far_end(False)

    def _watch_far_end(self, is_wanted: bool) -> None:
        # Each time that the far end reads is an edge; the level, "there is room", would keep us awake.
        if is_wanted != self._watches_far_end:
            self._watches_far_end = is_wanted
            self._ready.modify(self._far_end, select.EPOLLOUT | select.EPOLLET if is_wanted else 0)

    def _end_it(self, why: str) -> None:
        self._say_more(False)
        for descriptor in (self._stream, self._far_end):  # the end is readable for ever
            self._ready.unregister(descriptor)
        self._queue.clear()
        self.end = why
