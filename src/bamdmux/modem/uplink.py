"""From the host: frames in TX buffers become packets in the network, or a change of a channel.

For each frame: copy it, give the buffer back, and only then look, at the copy. The buffer lies in memory that
the host can write at any time, and a length that was checked must stay what it was. The copy is made with
room for what the interface wants before a packet, so that there is no second one:

    magic | signal | command | packet information | packet | padding
    '-------- the header, 8 bytes ------------'

Whatever a frame is, it is counted, and the first of each kind of wrong one gets a log line. Sources:
protocol.md sections 1 and 2.
"""

import struct
from typing import Final

from bamdmux.actions import Action, Log, LogEvent, Pipe, RingDoorbell, Severity
from bamdmux.bam.pipe import PUBLISH_AFTER, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.modem.network import (
    PASSES,
    SOLICITATION,
    Bearer,
    PacketDataNetwork,
    check_uplink,
    source6,
)
from bamdmux.netdevice import PACKET_INFORMATION_BYTES, NetDevice, packet_information
from bamdmux.pump import Interface, Tally, interface_of
from bamdmux.wire.dmux import (
    CHANNEL_COUNT,
    CHANNEL_SHIFT,
    HEADER_BYTES,
    HEADER_WORD,
    NOT_DATA,
    WORD_BYTES,
    Command,
    classify,
    decode_frame,
)

_INFORMATION: Final = struct.Struct("<I")
_INFORMATION_OFFSET: Final = HEADER_BYTES - PACKET_INFORMATION_BYTES
_LARGEST_TRANSFER: Final = 0xFFFF  # the size in a descriptor has 16 bits
_RING_DOORBELL: Final = RingDoorbell(Pipe.TX)

Solicitation = tuple[Bearer, bytes]  # on which bearer, from which address


class Uplink:
    """The modem's end of the TX pipe.

    `host_open` says which channels the host has open. It is the host's word, and survives our sleep.
    """

    def __init__(self, pipe: PipePeer, network: PacketDataNetwork, outbox: list[Action]) -> None:
        self._pipe = pipe
        self._is_bare = type(pipe) is PipePeer  # and nothing that is wrapped around one
        self._network = network
        self._bearers = network.bearers
        self._counters = [bearer.uplink if bearer is not None else None for bearer in network.bearers]
        self._outbox = outbox
        self._frame = bytearray(_LARGEST_TRANSFER)
        self._frame_view = memoryview(self._frame)
        # A slot has room for header and padding besides: of 2052 bytes 2040 are left, as the kernel has it.
        self._max_packet_bytes = pipe.layout.slot_bytes - HEADER_BYTES - WORD_BYTES
        self._logged: set[DropReason] = set()
        self._tally = Tally()
        self.host_open = [False] * CHANNEL_COUNT
        self._opened: set[int] = set()  # channels for which there was an OPEN lately
        self.frame_count = 0
        self.strays = Counters()  # what belongs to no bearer

    def reset(self) -> None:
        """Forget what the host has open: we have crashed."""
        self.host_open[:] = [False] * CHANNEL_COUNT
        self._opened.clear()
        self._logged.clear()

    def drain_to(self, device: NetDevice, *, rings: bool = True) -> list[Solicitation]:
        """Take every frame that the host has queued; the solicitations among them wait for an answer.

        Args:
            rings: the host is told that we have.
        """
        pipe, view, frame = self._pipe, self._frame_view, self._frame
        take, complete, write = pipe.take, pipe.complete, device.write
        read_word, write_information = HEADER_WORD.unpack_from, _INFORMATION.pack_into
        bearers, host_open, max_packet_bytes = self._bearers, self.host_open, self._max_packet_bytes
        solicitations: list[Solicitation] = []
        count = left = pipe.available()  # once: a host that queues as fast as we take must not keep us here
        published, is_bare = 0, self._is_bare and not pipe.is_covered
        interface = interface_of(device) if is_bare and pipe.pumps else None
        while left:
            if interface is not None and not interface.is_covered:
                pumped = self._pump_to(interface, left)
                count += max(pumped - left, 0)
                left -= pumped
                if left <= 0:
                    break
            left -= 1
            if is_bare and left % PUBLISH_AFTER == 0:
                published += pipe.publish()
            buffer = take()
            size = len(buffer)
            view[:size] = buffer
            if not complete():
                continue  # the host has reset the pipe: what we hold may be half of another frame
            (header_word,) = read_word(frame)
            length = classify(header_word, size, max_packet_bytes)
            if length <= 0:
                self._take_other(length, size)
                continue
            channel = header_word >> CHANNEL_SHIFT & 7
            bearer = bearers[channel]
            if not host_open[channel]:
                self._drop(bearer, DropReason.INACTIVE_CHANNEL)
                continue
            if bearer is None:
                self._drop(bearer, DropReason.NO_BEARER)
                continue
            verdict = check_uplink(bearer, frame, HEADER_BYTES, length)
            if verdict == PASSES:
                write_information(frame, _INFORMATION_OFFSET, packet_information(frame[HEADER_BYTES]))
                if not write(view[_INFORMATION_OFFSET : HEADER_BYTES + length]):
                    bearer.uplink.drop(DropReason.DEVICE_REFUSED)
                    continue
            elif verdict == SOLICITATION:
                solicitations.append((bearer, source6(bytes(view[HEADER_BYTES : HEADER_BYTES + length]))))
            else:
                bearer.uplink.drop(DropReason(verdict))
                continue
            counters = bearer.uplink
            counters.packet_count += 1
            counters.byte_count += length
        if pipe.publish() or published:
            self.frame_count += count
            if rings:
                self._outbox.append(_RING_DOORBELL)
        return solicitations

    @property
    def has_opened(self) -> bool:
        """Whether `take_opened` is worth calling."""
        return bool(self._opened)

    def take_opened(self) -> list[int]:
        """The channels for which OPENs have come since the last call, also of those that were open."""
        opened = sorted(self._opened)
        self._opened.clear()
        return opened

    def _pump_to(self, interface: Interface, count: int) -> int:
        """Take with the native pump what is plain data of a bearer; how many; perhaps more than `count`."""
        records = self._network.records(self.host_open)
        done = self._pipe.pump_out(interface, count, self._max_packet_bytes, records, self._tally)
        self._tally.settle(self._counters, DropReason.DEVICE_REFUSED)
        return done

    def _take_other(self, classified: int, size: int) -> None:
        """Handle what is no DATA in order: a command, or nothing that we know."""
        if size < HEADER_BYTES:
            self._frame_view[size:HEADER_BYTES] = bytes(HEADER_BYTES - size)  # was of an earlier frame
        if size == 0:
            self._drop(None, DropReason.BAD_DESCRIPTOR)
        elif classified == NOT_DATA:
            self._take_command(size)
        else:
            self._drop(None, DropReason(classified))

    def _take_command(self, size: int) -> None:
        frame = decode_frame(self._frame_view[:size])  # never raises: `classify` found it in order
        if frame.command is Command.OPEN_NO_A2_PC:
            self._drop(None, DropReason.UNSUPPORTED_COMMAND)  # for a modem to say, of its own power
            return
        channel, is_open = frame.channel, frame.command is Command.OPEN
        if is_open:
            self._opened.add(channel)
        if is_open != self.host_open[channel]:
            event = LogEvent.CHANNEL_OPENED if is_open else LogEvent.CHANNEL_CLOSED
            self.host_open[channel] = is_open
            self._outbox.append(Log(Severity.DEBUG, event, channel))

    def _drop(self, bearer: Bearer | None, reason: DropReason) -> None:
        (self.strays if bearer is None else bearer.uplink).drop(reason)
        if reason not in self._logged and reason.name in LogEvent.__members__:
            self._logged.add(reason)
            header = bytes(self._frame_view[:HEADER_BYTES]).hex()
            self._outbox.append(Log(Severity.WARNING, LogEvent[reason.name], header))
