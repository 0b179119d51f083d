"""A control port as this process has it: one descriptor, bytes in, whole messages out.

    descriptor --news--> read, once a turn --> board --> control plane
    descriptor <-------- OutputQueue <------- send  <--- control plane

News come once (see `Loop.watch_news`), so whatever is left unread or unwritten is remembered here: more to
read is read in the next turn, after the others; a port whose reader does not read is not listened to until it
does.
"""

import logging
import os
from collections.abc import Mapping
from typing import Final, Protocol

from bamdmux.actions import PortKind
from bamdmux.live.loop import Loop
from bamdmux.live.ports.output import OutputQueue
from bamdmux.live.ports.raw import forget_unread, is_open
from bamdmux.timing import Instant

LOG: Final = logging.getLogger("bamdmux.ports")

# Read in one turn, before packets and the other ports get theirs. The shortest request, AT, has three bytes
# and two messages for an answer, its echo being one: all of them find room in a queue of which half is free.
READ_BYTES: Final = 256


class Board(Protocol):
    """What a port knows of the others' owner."""

    loop: Loop

    @property
    def takes_bytes(self) -> bool:
        """Whether the modem wants more at all."""

    def received(self, port: "Port", data: bytes, now: Instant) -> None: ...

    def users_left(self, port: "Port", now: Instant) -> None:
        """Nobody has a node open any more."""

    def ended(self, port: "Port", now: Instant) -> None:
        """The other end of a connection is gone."""


class Port:
    """What nodes and connections have in common.

    Args:
        descriptor: it is the port's from now on, and does not wait.
    """

    def __init__(self, number: int, kind: PortKind, name: str, descriptor: int, board: Board) -> None:
        self.number = number
        self.kind = kind
        self.name = name
        self.output = OutputQueue()
        self.bytes_in = 0
        self.bytes_out = 0
        self.messages_out = 0
        self._board = board
        self._descriptor = descriptor
        self._is_paused = False  # something may be there to read, and we do not want it
        self._is_scheduled = False
        self._last_turn: Instant | None = None
        self._wants_space = False
        board.loop.watch_news(descriptor, self._news_came)

    @property
    def is_open(self) -> bool:
        """Whether somebody is at the other end."""
        return True

    @property
    def is_closed(self) -> bool:
        return self._descriptor < 0

    # In

    def _news_came(self, now: Instant) -> None:
        self._is_scheduled = False
        if self.is_closed:
            return
        self._write()
        if now == self._last_turn:  # news, and our own reminder
            self._look_again()
        else:
            self._last_turn = now
            self._read(now)

    def _read(self, now: Instant) -> None:
        self._is_paused = not self._may_take
        if self._is_paused:
            return
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(now)
            return
        self.bytes_in += len(data)
        self._take(data, now)
        self._look_again()

    @property
    def _may_take(self) -> bool:
        return self.output.has_room and self._board.takes_bytes

    def _take(self, data: bytes, now: Instant) -> None:
        self._board.received(self, data, now)

    def _end(self, now: Instant) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        """The modem takes bytes again."""
        if self._is_paused:
            self._look_again()

    def _look_again(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._board.loop.call_soon(self._news_came)

    # Out

    def send(self, data: bytes, *, is_indication: bool = False) -> None:
        """Write one message, or keep it for when it can be."""
        self.output.put(data, is_indication=is_indication)
        self._write()

    def _write(self) -> None:
        if self.output:
            try:
                self.messages_out += self.output.write_out(self._write_some)
            except OSError:
                self.output.clear()  # nobody is there; reading tells as well
            if self._is_paused and self.output.has_room:
                self._look_again()
        self._ask_for_space(bool(self.output))

    def _write_some(self, data: memoryview) -> int:
        count = os.write(self._descriptor, data)
        self.bytes_out += count
        return count

    def _ask_for_space(self, wanted: bool) -> None:
        if wanted != self._wants_space:
            self._wants_space = wanted
            self._board.loop.watch_news(self._descriptor, self._news_came, writable=wanted)

    def close(self) -> None:
        """Hang up."""
        if not self.is_closed:
            self._board.loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def status(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "port": self.number,
            "name": self.name,
            "kind": self.kind.value,
            "open": self.is_open,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "messages_out": self.messages_out,
            "dropped_indications": self.output.dropped_indications,
            "dropped_messages": self.output.dropped_messages,
        }


class NodePort(Port):
    """A node in /dev: a PTY's master, for as long as the modem runs, whoever opens the other end.

    While nobody has it open the master is hung up, and reads EIO once everything is read: so no client's last
    words are lost, and the end of one and the beginning of the next are told apart. If the next one opens the
    node before we have looked, we do not see the end of the first; it may then find an answer that it did not
    ask for.

    Args:
        descriptor: the master of a PTY whose other end was open already, once.
    """

    def __init__(self, number: int, kind: PortKind, name: str, descriptor: int, board: Board) -> None:
        super().__init__(number, kind, name, descriptor, board)
        self.unheard = 0  # messages for nobody
        self._is_used = False

    @property
    def is_open(self) -> bool:
        return is_open(self._descriptor)

    def _take(self, data: bytes, now: Instant) -> None:
        self._is_used = True
        super()._take(data, now)

    def send(self, data: bytes, *, is_indication: bool = False) -> None:
        if self.output or self.is_open:
            self._is_used = True
            super().send(data, is_indication=is_indication)
        else:  # the PTY would keep it for whoever comes next
            self.unheard += 1

    def _end(self, now: Instant) -> None:
        if not self._is_used:
            return
        self._is_used = False
        self.output.clear()
        self._ask_for_space(False)
        forget_unread(self._descriptor)
        self._board.users_left(self, now)

    def status(self) -> Mapping[str, object]:
        return {**super().status(), "unheard": self.unheard}
