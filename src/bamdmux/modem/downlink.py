"""To the host: packets of the network, and what the modem itself has to say, become frames in RX buffers.

A packet is read straight into the buffer that the host has queued, behind the header; where the interface
puts its packet information, the second half of the header comes:

    magic | signal | command | packet information | packet
    '-------- the header, 8 bytes ------------'

Commands and router advertisements wait in a short queue until there are buffers, and go before packets. A
packet that nobody is to get leaves its buffer to the next one. Frames carry no padding, as those of real
firmware do not; protocol.md section 1.
"""

from collections import deque
from typing import Final

from bamdmux.actions import Action, Pipe, RingDoorbell
from bamdmux.bam.pipe import PUBLISH_AFTER, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.modem.network import (
    ADDRESS4,
    DESTINATION4_OFFSET,
    DESTINATION6_OFFSET,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    PREFIX6,
    Bearer,
    PacketDataNetwork,
)
from bamdmux.netdevice import PACKET_INFORMATION_BYTES, TRUNCATED_FLAG, NetDevice
from bamdmux.pump import Source, Tally, source_of
from bamdmux.wire.dmux import (
    CHANNEL_SHIFT,
    HEADER,
    HEADER_BYTES,
    HEADER_WORD,
    LENGTH_SHIFT,
    MAGIC,
    Command,
    Frame,
    encode_frame,
)

PENDING_FRAMES: Final = 32  # full: an advertisement is dropped, its solicitor asks again. OPENs always fit.

_CHANNEL_OFFSET: Final = 5
_INFORMATION_OFFSET: Final = HEADER_BYTES - PACKET_INFORMATION_BYTES
_ADDRESS4_OFFSET: Final = HEADER_BYTES + DESTINATION4_OFFSET
_PREFIX6_OFFSET: Final = HEADER_BYTES + DESTINATION6_OFFSET
_RING_DOORBELL: Final = RingDoorbell(Pipe.RX)


class Downlink:
    """The modem's end of the RX pipe."""

    def __init__(self, pipe: PipePeer, network: PacketDataNetwork, outbox: list[Action]) -> None:
        self._pipe = pipe
        self._is_bare = type(pipe) is PipePeer  # and nothing that is wrapped around one
        self._network = network
        self._outbox = outbox
        self._pending: deque[tuple[bytes, Bearer | None]] = deque()  # a frame; whose packet it carries
        self._tally = Tally()
        self._counters = [bearer.downlink if bearer is not None else None for bearer in network.bearers]
        self.frame_count = 0
        self.strays = Counters()  # what belongs to no bearer
        self.ran_out = False  # the last `fill_from` ended for want of buffers

    @property
    def pending_count(self) -> int:
        return len(self._pending)

    @property
    def has_space(self) -> bool:
        """Whether `queue_command` may be called."""
        return len(self._pending) < PENDING_FRAMES

    @property
    def has_buffers_to_spare(self) -> bool:
        """Whether nothing waits for buffers, and half of them are there."""
        return not self._pending and 2 * self._pipe.available() >= self._pipe.layout.slot_count

    def has_buffer(self) -> bool:
        return self._pipe.available() > 0

    def reset(self) -> None:
        """Forget what waits: we have crashed."""
        self._pending.clear()

    def queue_command(self, command: Command, channel: int) -> None:
        """Have one sent, unless it is what was last said of this channel and waits still."""
        assert self.has_space
        frame = encode_frame(Frame(command, channel))
        waiting = (
            each
            for each, bearer in reversed(self._pending)
            if bearer is None and each[_CHANNEL_OFFSET] == channel
        )
        if next(waiting, None) != frame:
            self._pending.append((frame, None))

    def queue_packet(self, bearer: Bearer, packet: bytes) -> None:
        if not self.has_space:
            bearer.downlink.drop(DropReason.QUEUE_FULL)
            return
        header = HEADER.pack(MAGIC, 0, Command.DATA, 0, bearer.channel, len(packet))
        self._pending.append((header + packet, bearer))

    def flush(self, host_open: list[bool]) -> int:
        """Send what waits, as far as there are buffers; how many frames that were."""
        pipe, pending, sent = self._pipe, self._pending, 0
        available = pipe.available() if pending else 0
        while pending and available:
            frame, bearer = pending[0]
            slot = pipe.take()
            if len(slot) < HEADER_BYTES:
                self._return_unused()
                available -= 1
            elif bearer is not None and not (host_open[bearer.channel] and len(frame) <= len(slot)):
                is_open = host_open[bearer.channel]
                bearer.downlink.drop(DropReason.TOO_LONG if is_open else DropReason.INACTIVE_CHANNEL)
                pending.popleft()
            else:
                slot[: len(frame)] = frame
                if not pipe.complete(len(frame)):
                    break  # the host has reset the pipe: the frame waits for its next buffers
                available -= 1
                pending.popleft()
                sent += 1
                if bearer is not None:
                    bearer.downlink.packet_count += 1
                    bearer.downlink.byte_count += len(frame) - HEADER_BYTES
        self._publish(sent)
        return sent

    def fill_from(
        self, device: NetDevice, host_open: list[bool], budget: int, *, rings: bool = True
    ) -> tuple[int, int]:
        """Move packets from the network into buffers.

        Args:
            rings: the host is told that we have.

        Returns:
            How many packets were read, at most ``budget``; and how many of them were sent.
        """
        pipe = self._pipe
        take, complete, read_into = pipe.take, pipe.complete, device.read_into
        by_address4, by_prefix6 = self._network.bearer_by_address4, self._network.bearer_by_prefix6
        is_begun = False
        read = sent = 0
        available = pipe.available()
        is_bare = self._is_bare and not pipe.is_covered
        source = source_of(device) if is_bare and pipe.pumps else None
        while available and read < budget:
            if source is not None:
                pumped, has_more, is_begun = self._pump_from(source, host_open, available, budget - read)
                read, sent = read + pumped, sent + pumped
                available = pipe.available() if pumped else available
                if not has_more or (pumped and is_begun):
                    break  # they are dry; or there are not enough buffers for a super-packet
                if pumped:
                    continue
            slot = take()
            if len(slot) <= HEADER_BYTES:
                self._return_unused()
                available -= 1
                continue
            length = read_into(slot[_INFORMATION_OFFSET:]) - PACKET_INFORMATION_BYTES
            if length < 0:
                break
            read += 1
            # The host can scribble over the packet while we look at it. It gets somebody's packet then, or
            # none, but what we go by are numbers of our own: the length, and the bearer's channel.
            version = slot[HEADER_BYTES] >> 4
            bearer, limit = None, 0
            if version == 4 and length >= IPV4_HEADER_BYTES:
                bearer = by_address4.get(ADDRESS4.unpack_from(slot, _ADDRESS4_OFFSET)[0])
                limit = bearer.limit4 if bearer is not None else 0
            elif version == 6 and length >= IPV6_HEADER_BYTES:
                bearer = by_prefix6.get(PREFIX6.unpack_from(slot, _PREFIX6_OFFSET)[0])
                limit = bearer.limit6 if bearer is not None else 0
            is_cut = slot[_INFORMATION_OFFSET] & TRUNCATED_FLAG
            if bearer is None or is_cut or length > limit or not host_open[bearer.channel]:
                self._drop(bearer, version, length, limit, bool(is_cut))
                continue
            HEADER_WORD.pack_into(slot, 0, MAGIC | bearer.channel << CHANNEL_SHIFT | length << LENGTH_SHIFT)
            counters = bearer.downlink
            if not complete(HEADER_BYTES + length):
                counters.drop(DropReason.LOST_IN_FLIGHT)  # the host has reset the pipe
                break
            available -= 1
            sent += 1
            if is_bare and sent % PUBLISH_AFTER == 0:
                pipe.publish()
            counters.packet_count += 1
            counters.byte_count += length
        self.ran_out = is_begun or not available
        self._publish(sent, rings=rings)
        return read, sent

    def _pump_from(
        self, source: Source, host_open: list[bool], available: int, budget: int
    ) -> tuple[int, bool, bool]:
        """Move with the native pump what is for a bearer that takes it.

        Returns:
            How many packets; whether somebody may have more; whether one waits here, for more buffers or for
            Python.
        """
        interface, turn = source.turn()
        if interface is None or interface.is_covered:
            return 0, interface is not None, False
        records, budget = self._network.records(host_open), min(turn, budget)
        done = self._pipe.pump_in(interface, available, budget, records, self._tally)
        self._tally.settle(self._counters, DropReason.LOST_IN_FLIGHT)
        if malformed := interface.take_malformed():
            self.strays.drop(DropReason.BAD_OFFLOAD, malformed)
        is_begun = interface.has_packet
        is_dry = done < min(available, budget) and not is_begun
        return done, source.took(done, is_dry=is_dry), is_begun

    def _return_unused(self) -> None:
        """Give back a buffer that holds nothing: out of bounds, or smaller than any frame."""
        self.strays.drop(DropReason.BAD_DESCRIPTOR)
        self._pipe.complete(0)

    def _publish(self, sent: int, *, rings: bool = True) -> None:
        self.frame_count += sent
        if (self._pipe.publish() or sent) and rings:
            self._outbox.append(_RING_DOORBELL)

    def _drop(self, bearer: Bearer | None, version: int, length: int, limit: int, is_cut: bool) -> None:
        counters = self.strays if bearer is None else bearer.downlink
        minimum = {4: IPV4_HEADER_BYTES, 6: IPV6_HEADER_BYTES}.get(version, 0)
        if is_cut:
            counters.drop(DropReason.TRUNCATED_BY_DEVICE)
        elif length < max(1, minimum):
            counters.drop(DropReason.TRUNCATED)
        elif not limit:
            counters.drop(DropReason.NO_BEARER)
        elif length > limit:
            counters.drop(DropReason.LONGER_THAN_MTU)
        else:
            counters.drop(DropReason.INACTIVE_CHANNEL)
