"""Control ports across two processes: the two ends of one Unix socket of packets.

    PortBoard --- HostPorts === packets === ModemPorts --- ControlSide

The host makes the pair and hands one end over with the memory, anew for each modem. Both ends write without
waiting: what does not go at once is queued. If the modem does not keep up, the host takes no more bytes of
its clients, so that they wait; if the host does not, the modem takes no more requests, and drops indications.
The host itself goes on taking packets, so that the two never wait for each other. Whatever comes in is
checked; what is wrong is counted, and changes nothing.
"""

import logging
import socket
import stat
from collections.abc import Callable
from os import fstat
from typing import Final, Self

from bamdmux.actions import PortKind
from bamdmux.errors import ProtocolError
from bamdmux.live.loop import Loop
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.ports.output import OutputQueue
from bamdmux.live.split.handover import Refusal
from bamdmux.live.split.port_packets import (
    FROM_HOST,
    FROM_MODEM,
    MAX_PACKET_BYTES,
    OPENING_MASK,
    Packet,
    PacketKind,
    decode_packet,
    encode_packet,
)
from bamdmux.timing import Instant

LOG: Final = logging.getLogger("bamdmux.ports")

HOST_PACKETS_PER_TURN: Final = 32
MODEM_PACKETS_PER_TURN: Final = 1  # as many requests as their answers find room, see `port.READ_BYTES`
# Nodes, connections of the proxy, and as many again of which the modem has not heard that they ended.
MAX_OPEN_PORTS: Final = 256
SOCKET_BYTES: Final = 256 * 1024


class PacketSocket:
    """One end: packets out of a queue, packets in with their faults counted.

    Args:
        end: ours from now on.
        allowed: what the other side may say.
        take: is called for each packet.
        packets_per_turn: at most.
        waits: take no packets while the queue is rather full.
        room_made: is called when it is so no more.
    """

    def __init__(
        self,
        end: socket.socket,
        loop: Loop,
        allowed: frozenset[PacketKind],
        take: Callable[[Packet, Instant], None],
        *,
        packets_per_turn: int,
        waits: bool = False,
        room_made: Callable[[], None] = lambda: None,
    ) -> None:
        self.malformed_count = 0
        self.queue = OutputQueue()
        self._end = end
        self._loop = loop
        self._allowed = allowed
        self._take = take
        self._packets_per_turn = packets_per_turn
        self._waits = waits
        self._room_made = room_made
        self._last_turn: Instant | None = None
        self._is_scheduled = False
        self._had_room = True
        self._wants_space = False
        end.setblocking(False)
        loop.watch_news(end.fileno(), self._news_came)

    def put(self, packet: Packet) -> None:
        """Send a packet, or queue it; never waits."""
        is_data = packet.kind is PacketKind.BYTES
        self.queue.put(encode_packet(packet), is_indication=packet.is_indication, must_stay=not is_data)
        self._write()

    def _write(self) -> None:
        if self._end.fileno() < 0:
            return
        try:
            self.queue.write_out(self._send)
        except OSError:
            self.queue.clear()  # nobody is there; the handover's socket tells as well
        if bool(self.queue) != self._wants_space:
            self._wants_space = bool(self.queue)
            self._loop.watch_news(self._end.fileno(), self._news_came, writable=self._wants_space)
        had_room, self._had_room = self._had_room, self.queue.has_room
        if self._had_room and not had_room:
            self._room_made()
            self._look_again()

    def _send(self, data: memoryview) -> int:
        return self._end.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _look_again(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._news_came)

    def _news_came(self, now: Instant) -> None:
        self._is_scheduled = False
        self._write()
        if now == self._last_turn:  # news, and our own reminder
            self._look_again()
            return
        self._last_turn = now
        for _ in range(self._packets_per_turn):
            if self._end.fileno() < 0 or (self._waits and not self.queue.has_room):
                return
            try:
                data = self._end.recv(MAX_PACKET_BYTES + 1, socket.MSG_DONTWAIT)
            except OSError:  # there are no more
                return
            if not data:
                return  # the other side is gone, or has sent nothing, which it has no reason to
            try:
                packet = decode_packet(data, self._allowed)
            except ProtocolError as error:
                self.malformed_count += 1
                LOG.debug("= not a packet: %s", error)
            else:
                self._take(packet, now)
        self._look_again()

    def close(self) -> None:
        if self._end.fileno() >= 0:
            self._loop.forget(self._end.fileno())
            self._end.close()


class HostPorts:
    """The host's end: the user of a board's ports. See `PortUser`."""

    def __init__(self, end: socket.socket, loop: Loop, board: PortBoard) -> None:
        self._board = board
        self._openings: dict[int, int] = {}  # of ports that are open, the opening that counts
        self._opening = 0
        self.socket = PacketSocket(
            end,
            loop,
            FROM_MODEM,
            self._take,
            packets_per_turn=HOST_PACKETS_PER_TURN,
            room_made=board.resume,
        )

    @staticmethod
    def create_pair() -> tuple[socket.socket, socket.socket]:
        """Our end and the modem's."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        return ours, theirs

    @property
    def takes_bytes(self) -> bool:
        return self.socket.queue.has_room

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None:
        self._opening = (self._opening + 1) & OPENING_MASK
        self._openings[port] = self._opening
        self.socket.put(Packet(PacketKind.OPENED, port, self._opening, port_kind=kind))

    def received(self, port: int, data: bytes, now: Instant) -> None:
        self.socket.put(Packet(PacketKind.BYTES, port, self._openings[port], data=data))

    def port_closed(self, port: int, now: Instant) -> None:
        self.socket.put(Packet(PacketKind.CLOSED, port, self._openings.pop(port)))

    def _take(self, packet: Packet, now: Instant) -> None:
        if packet.kind is PacketKind.BOOTED:
            self._board.modem_booted()
        elif self._openings.get(packet.port) != packet.opening:
            return  # for somebody who has gone
        elif packet.kind is PacketKind.BYTES:
            self._board.send(packet.port, packet.data, is_indication=packet.is_indication)
        else:
            del self._openings[packet.port]
            self._board.hang_up(packet.port)

    def close(self) -> None:
        self.socket.close()


class ModemPorts:
    """The modem's end: who has the ports, for a `ControlSide`. See `PortHolder`."""

    def __init__(self, end: socket.socket, loop: Loop, control: ControlSide) -> None:
        self._control = control
        self._openings: dict[int, int] = {}
        self.socket = PacketSocket(
            end, loop, FROM_HOST, self._take, packets_per_turn=MODEM_PACKETS_PER_TURN, waits=True
        )

    @classmethod
    def adopt(cls, descriptor: int, loop: Loop, control: ControlSide) -> Self:
        """Use what the host passed; the descriptor is ours from now on."""
        return cls(socket.socket(fileno=descriptor), loop, control)

    @staticmethod
    def check(descriptor: int) -> None:
        """See whether what the host passed is such an end; it stays the caller's.

        Raises:
            ProtocolError: it is none.
        """
        if stat.S_ISSOCK(fstat(descriptor).st_mode):
            end = socket.socket(fileno=descriptor)
            kind = end.family, end.type
            end.detach()
            if kind == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
                return
        raise ProtocolError(Refusal.NO_PORTS, "what was passed for ports is no Unix socket of packets")

    def modem_booted(self) -> None:
        self.socket.put(Packet(PacketKind.BOOTED))

    def modem_lost(self) -> None:
        for port in list(self._openings):
            self.hang_up(port)

    def send(self, number: int, data: bytes, *, is_indication: bool = False) -> None:
        opening = self._openings.get(number)
        if opening is not None:
            self.socket.put(Packet(PacketKind.BYTES, number, opening, data=data, is_indication=is_indication))

    def hang_up(self, number: int) -> None:
        opening = self._openings.pop(number, None)
        if opening is not None:
            self.socket.put(Packet(PacketKind.HANG_UP, number, opening))

    def _take(self, packet: Packet, now: Instant) -> None:
        port = packet.port
        match packet.kind:
            case PacketKind.OPENED:
                if port in self._openings or len(self._openings) >= MAX_OPEN_PORTS:
                    self.socket.malformed_count += 1
                    return
                self._openings[port] = packet.opening
                self._control.port_opened(port, packet.port_kind, now)
            case PacketKind.BYTES if port in self._openings:
                self._control.received(port, packet.data, now)
            case PacketKind.CLOSED if port in self._openings:
                del self._openings[port]
                self._control.port_closed(port, now)

    def close(self, now: Instant) -> None:
        """The host is gone: nobody is at its ports any more."""
        for port in self._openings:
            self._control.port_closed(port, now)
        self._openings.clear()
        self.socket.close()
