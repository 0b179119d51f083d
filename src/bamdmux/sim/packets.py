"""Packets that can be told apart, and the ledger of where each of them went.

    IPv4 or IPv6 header | sequence u32 | direction u8 | channel u8 | length u16 | checksum u32 | filling

Whoever delivers one says so to the ledger, which finds at once whether it was altered, came twice, came out
of order or came to the wrong place. What it never saw arrive is lost, and has to be explained by counters.
"""

import struct
import zlib
from collections import deque
from enum import IntEnum
from typing import Final

from bamdmux.middleware.frames import is_stray
from bamdmux.netdevice import PACKET_INFORMATION_BYTES
from bamdmux.sim.violation import Violation
from bamdmux.wire.dmux import CHANNEL_COUNT

MARKS: Final = struct.Struct(">IBBHI")
_IPV4_HEADER_BYTES: Final = 20
_IPV6_HEADER_BYTES: Final = 40
_WORLD4: Final = bytes((192, 0, 2, 1))
_WORLD6: Final = bytes.fromhex("20010db8ffff00000000000000000001")
_NO_INFORMATION: Final = bytes(PACKET_INFORMATION_BYTES)
_FILLING: Final = zlib.compress(bytes(range(256)) * 8) + bytes(range(256)) * 8

MIN_FILLING: Final = 0
MAX_FILLING: Final = 1400


class Direction(IntEnum):
    UP = 0  # from the host's interface to the network
    DOWN = 1


def _headers4(channel: int) -> tuple[bytes, bytes]:
    host = bytes((10, 64, channel, 2))
    start = bytes.fromhex("450000000000000040110000")
    return start + host + _WORLD4, start + _WORLD4 + host


def _headers6(channel: int) -> tuple[bytes, bytes]:
    host = bytes.fromhex(f"20010db80064{channel:04x}") + bytes(7) + b"\2"
    start = bytes.fromhex("6000000000001140")
    return start + host + _WORLD6, start + _WORLD6 + host


_HEADERS: Final = [(*_headers4(channel), *_headers6(channel)) for channel in range(CHANNEL_COUNT)]


class _Flow:
    """One direction of one channel."""

    __slots__ = ("delivered", "expected", "missing", "next")

    def __init__(self) -> None:
        self.next = 0  # sequence of the next packet sent
        self.expected = 0  # sequence that would be delivered next if none were lost
        self.missing: set[int] = set()  # earlier ones that have not been delivered
        self.delivered = 0


class Ledger:
    """Where every packet is.

    Args:
        may_reorder, may_duplicate, may_stray: what the weather permits.
    """

    def __init__(self, *, may_reorder: bool, may_duplicate: bool, may_stray: bool) -> None:
        self._may_reorder = may_reorder
        self._may_duplicate = may_duplicate
        self._may_stray = may_stray
        self._flows = [[_Flow() for _ in range(CHANNEL_COUNT)] for _ in Direction]
        self.strays = 0  # delivered, of nobody's
        self.duplicates = 0

    def make(self, direction: Direction, channel: int, filling_bytes: int, *, is_ipv6: bool) -> bytes:
        """A new packet, with packet information before it; it counts as sent."""
        flow = self._flows[direction][channel]
        header = _HEADERS[channel][direction + 2 * is_ipv6]
        sequence = flow.next
        flow.next = sequence + 1
        filling = _FILLING[sequence & 0xFF : (sequence & 0xFF) + filling_bytes]
        length = len(header) + MARKS.size + filling_bytes
        marks = MARKS.pack(
            sequence, direction, channel, length, zlib.crc32(filling, zlib.crc32(header, sequence))
        )
        return _NO_INFORMATION + header + marks + filling

    def delivered(self, direction: Direction, channel: int | None, buffer: memoryview) -> None:
        """A packet, with packet information before it, arrived on a channel; None: the packet knows which.

        Raises:
            Violation: it should not have.
        """
        packet = buffer[PACKET_INFORMATION_BYTES:]
        header_bytes = _IPV4_HEADER_BYTES if packet and packet[0] >> 4 == 4 else _IPV6_HEADER_BYTES
        start = header_bytes + MARKS.size
        if len(packet) < start:
            self._unknown(packet)
            return
        sequence, marked_direction, marked_channel, length, checksum = MARKS.unpack_from(packet, header_bytes)
        if (
            zlib.crc32(packet[start:], zlib.crc32(packet[:header_bytes], sequence)) != checksum
            or length != len(packet)
            or marked_direction != direction
            or marked_channel >= CHANNEL_COUNT
        ):
            self._unknown(packet)
            return
        if channel is not None and marked_channel != channel:
            raise Violation(f"a packet of channel {marked_channel} was delivered on channel {channel}")
        flow = self._flows[direction][marked_channel]
        flow.delivered += 1
        if sequence == flow.expected:
            flow.expected = sequence + 1
        elif sequence > flow.expected:
            if sequence >= flow.next:
                raise Violation(f"{self._name(direction, marked_channel, sequence)} was never sent")
            flow.missing.update(range(flow.expected, sequence))
            flow.expected = sequence + 1
        else:
            self._came_late(flow, self._name(direction, marked_channel, sequence), sequence)

    def _came_late(self, flow: _Flow, name: str, sequence: int) -> None:
        if sequence in flow.missing:
            flow.missing.remove(sequence)
            if not self._may_reorder:
                raise Violation(f"{name} was overtaken by {flow.expected - 1}")
            return
        flow.delivered -= 1
        self.duplicates += 1
        if not self._may_duplicate:
            raise Violation(f"{name} was delivered twice")

    def _unknown(self, packet: memoryview) -> None:
        if not self._may_stray or not is_stray(packet):
            raise Violation(f"a packet was altered, or is nobody's: {bytes(packet[:48]).hex()}")
        self.strays += 1

    @staticmethod
    def _name(direction: Direction, channel: int, sequence: int) -> str:
        return f"packet {sequence} {direction.name.lower()} channel {channel}"

    def sent(self, direction: Direction) -> int:
        return sum(flow.next for flow in self._flows[direction])

    def arrived(self, direction: Direction) -> int:
        """Packets that were delivered, each counted once."""
        return sum(flow.delivered for flow in self._flows[direction])

    def lost(self, direction: Direction) -> int:
        return self.sent(direction) - self.arrived(direction)

    def fate(self, direction: int, channel: int, sequence: int) -> int:
        """Of a packet that was sent: 0 none of its successors has arrived, 1 one has, 2 itself has."""
        flow = self._flows[direction][channel]
        return 0 if sequence >= flow.expected else 1 if sequence in flow.missing else 2

    def last_arrived(self, direction: Direction, channel: int) -> bool:
        """Whether the packet that was sent last was delivered."""
        flow = self._flows[direction][channel]
        return flow.expected == flow.next


class SimulatedInterface:
    """An interface of the host: a queue of packets to send; what is delivered goes to the ledger."""

    capacity = 1000  # tx_queue_len

    def __init__(self, channel: int, ledger: Ledger) -> None:
        self.channel = channel
        self.outgoing: deque[bytes] = deque()
        self.is_up = False
        self.taken = 0  # packets that the driver has read
        self._ledger = ledger

    def read_into(self, buffer: memoryview) -> int:
        if not self.outgoing:
            return 0
        packet = self.outgoing.popleft()
        self.taken += 1
        end = len(packet)
        assert end <= len(buffer), "no packet of the workload is longer than a slot"
        buffer[:end] = packet
        return end

    def write(self, buffer: memoryview) -> bool:
        if not self.is_up:
            raise Violation(f"delivered to wwan{self.channel}, which is down")
        self._ledger.delivered(Direction.DOWN, self.channel, buffer)
        return True


class SimulatedNetwork:
    """The network behind the modem."""

    capacity = 1000

    def __init__(self, ledger: Ledger) -> None:
        self.outgoing: deque[bytes] = deque()
        self._ledger = ledger

    def read_into(self, buffer: memoryview) -> int:
        if not self.outgoing:
            return 0
        packet = self.outgoing.popleft()
        end = len(packet)
        assert end <= len(buffer), "no packet of the workload is longer than a buffer"
        buffer[:end] = packet
        return end

    def write(self, buffer: memoryview) -> bool:
        self._ledger.delivered(Direction.UP, None, buffer)
        return True
