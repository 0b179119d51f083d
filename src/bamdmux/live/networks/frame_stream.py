"""Frames over a stream socket, each behind its length: how passt(1) and qemu speak Ethernet.

    u32 length, big-endian | frame | u32 length | frame ...

It never waits and never raises. The stream is read in large pieces into memory of our own, and `next_frame`
gives one frame after the other out of it. The kernel knows nothing of frames that wait there, so `fileno` is
an epoll set of the stream and of an eventfd that says "there is more".

A full stream takes no frame. Should it take a part of one, the rest is kept and goes first: half a frame
would shift all that follow. A length that no frame has means that just this has happened at the far end; it
ends the stream as the far end's end does, and then `end` says why and nothing wakes anybody any more.
"""

import os
import select
import socket
import struct
from contextlib import suppress
from typing import Final

PREFIX: Final = struct.Struct(">I")
MAX_FRAME_BYTES: Final = 14 + 0xFFFF  # the longest IP packet, and the header
READ_BYTES: Final = 1 << 18  # at once, and kept; more than the longest frame

Buffer = bytes | memoryview


class FrameStream:
    """The near end of a stream of frames, which it takes over; close it.

    Attributes:
        end: why it is over; empty as long as it is not.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._stream = stream
        self.end = ""
        self._memory = memoryview(bytearray(READ_BYTES))
        self._start = self._end = 0  # of what was read, and not given yet
        self._unsent = b""  # the rest of a frame of which the stream has taken a part
        self._more = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._says_more = False
        self._ready = select.epoll()
        self._ready.register(self._more, select.EPOLLIN)
        self._ready.register(stream, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable while `next_frame` is worth calling; also for the sake of what waits to be sent."""
        return self._ready.fileno()

    def close(self) -> None:
        if not self._ready.closed:
            self.end = self.end or "closed"
            self._ready.close()
            os.close(self._more)
            self._stream.close()

    def next_frame(self) -> memoryview | None:
        """The next whole frame, valid until the next call; None if there is none now."""
        if self._unsent:
            self._send_rest()
        while not self.end:
            start, have = self._start + PREFIX.size, self._end - self._start - PREFIX.size
            if have >= 0:
                (length,) = PREFIX.unpack_from(self._memory, self._start)
                if length > MAX_FRAME_BYTES:
                    self._end_it(f"a frame of {length} bytes was announced; {MAX_FRAME_BYTES} are possible")
                    break
                if length <= have:
                    self._start = start + length
                    return self._memory[start : self._start]
            if not self._read():
                break
        return None

    def _read(self) -> bool:
        """Read what the stream has; whether that was anything."""
        rest = self._end - self._start
        if self._start:
            self._memory[:rest] = self._memory[self._start : self._end]
            self._start, self._end = 0, rest
        try:
            count = self._stream.recv_into(self._memory[rest:])
        except BlockingIOError:
            self._say_more(False)
            return False
        except OSError:  # ECONNRESET
            count = 0
        if count == 0:
            self._end_it("the far end has ended")
            return False
        self._end += count
        self._say_more(True)  # until the stream is found empty: the caller may stop in between
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

    def send(self, header: bytes, payload: Buffer = b"") -> bool:
        """Send a frame made of two parts; False if the stream does not take it."""
        if self.end or (self._unsent and not self._send_rest()):
            return False
        length = len(header) + len(payload)
        parts = (PREFIX.pack(length), header, payload)
        try:
            count = self._stream.sendmsg(parts)
        except OSError:  # EAGAIN: full; EPIPE: `next_frame` will find the end
            return False
        if count < PREFIX.size + length:
            self._unsent = b"".join(parts)[count:]
            self._ready.modify(self._stream, select.EPOLLIN | select.EPOLLOUT)
        return True

    def _send_rest(self) -> bool:
        """Go on with a frame of which the stream has taken a part; whether all of it is there now."""
        with suppress(OSError):
            self._unsent = self._unsent[self._stream.send(self._unsent) :]
        if not self._unsent:
            self._ready.modify(self._stream, select.EPOLLIN)
        return not self._unsent

    def _end_it(self, why: str) -> None:
        self._say_more(False)
        self._ready.unregister(self._stream)  # the end of a stream is readable for ever
        self._unsent = b""
        self.end = why
