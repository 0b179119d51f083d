"""The transmit ring: packets wait in slots for power, are handed to the BAM in order, and come back.

    oldest                                                   next
      | submitted: the modem's until it has passed them | pending: wait for power | free ...

A packet is read from its interface straight into a slot, behind the place of the header. Slots are used in
turn, so the order of the ring is the order of the packets, across its end and across a wake-up.

Sources: bam_dmux_tx_queue(), bam_dmux_tx_prepare_skb(), bam_dmux_tx_wakeup_work() and bam_dmux_tx_done() of
drivers/net/wwan/qcom_bam_dmux.c in Linux 6.1.

It decides neither who may transmit nor when there is power; it rings no doorbell.
"""

import struct
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from bamdmux.bam.pipe import PUBLISH_AFTER, PipeOwner
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.netdevice import PACKET_INFORMATION_BYTES, TRUNCATED_FLAG, NetDevice
from bamdmux.pump import Interface, interface_of
from bamdmux.wire.dmux import (
    CHANNEL_SHIFT,
    HEADER_BYTES,
    HEADER_WORD,
    LENGTH_SHIFT,
    MAGIC,
    MAX_PACKET_BYTES,
    PAD_SHIFT,
    WORD_BYTES,
    Command,
    Frame,
    encode_frame,
)

_PADDING: Final = struct.Struct("<I")
# Where packet information goes, so that the packet itself comes to lie behind the header.
_READ_OFFSET: Final = HEADER_BYTES - PACKET_INFORMATION_BYTES

# More than any interface queues; at this bound we would be discarding new packets, not old ones.
DISCARD_LIMIT: Final = 4096


@dataclass(slots=True)
class Leftovers:
    """What was in the ring when it was emptied."""

    commands: list[Frame] = field(default_factory=list)
    packets: list[tuple[int, int]] = field(default_factory=list)  # channel and length of each


class TransmitRing:
    """The slots of the TX pipe.

    Attributes:
        free: slots that hold nothing.
        pending: slots that wait for power.
        waiting_commands: those that found no slot, at most two for each channel.
        is_short: there is a super-packet that wants more slots than are free, and they will come.
        has_sent: `fill_from` has published frames, which the modem may have to be told of.
        has_retired: it has taken back slots, too.
    """

    def __init__(self, pipe: PipeOwner) -> None:
        self._pipe = pipe
        self._is_bare = type(pipe) is PipeOwner  # and nothing that is wrapped around one
        self._size = pipe.layout.slot_count
        self._slots = [pipe.slot(index) for index in range(self._size)]
        read_end = pipe.layout.slot_bytes - WORD_BYTES  # room for the padding: 2040 bytes as Linux has it
        self._read_views = [slot[_READ_OFFSET:read_end] for slot in self._slots]
        self._channels = bytearray(self._size)
        self._packet_bytes = array("I", bytes(4 * self._size))
        self._frame_bytes = array("I", bytes(4 * self._size))
        self._commands: list[Frame | None] = [None] * self._size
        self._command_count = 0  # of them, those that are there
        self._oldest = 0
        self._submitted = 0
        self.pending = 0
        self.free = self._size
        self.is_short = False
        self.has_sent = self.has_retired = False
        # How many packets are best handed over together: the modem is at work while we read on.
        self.batch = PUBLISH_AFTER if self._is_bare and not pipe.pumps else self._size
        self.waiting_commands: deque[Frame] = deque()

    @property
    def pumps(self) -> bool:
        """Whether packets may come by the native pump."""
        return self._is_bare and self._pipe.pumps

    @property
    def is_half_free(self) -> bool:
        """Whether half of the slots are free, and nothing waits for one."""
        return 2 * self.free >= self._size and not self.waiting_commands

    @property
    def is_empty(self) -> bool:
        return self._submitted == 0 == self.pending

    @property
    def pending_packets(self) -> int:
        """Pending slots that hold no command."""
        first = self._oldest + self._submitted
        return sum(self._commands[(first + i) % self._size] is None for i in range(self.pending))

    # In

    def fill_from(self, channel: Channel, budget: int, *, sends: bool = False) -> int:
        """Read packets of the channel's interface into free slots, at most `budget`; how many were filled.

        Fewer than `budget` means that the interface has run dry, or that some packets were refused.

        Args:
            sends: there is power. The native pump submits and publishes what it fills, and goes on with the
                slots that come back meanwhile: then it may fill more than there were.
        """
        assert channel.device is not None
        interface = interface_of(channel.device)
        if interface is not None and self.pumps and not interface.is_covered:
            return self._pump_from(interface, channel, budget, sends)
        counters, mtu = channel.transmitted, channel.mtu
        read_into, read_views, slots = channel.device.read_into, self._read_views, self._slots
        channels, size = self._channels, self._size
        packet_bytes, frame_bytes = self._packet_bytes, self._frame_bytes
        write_header, write_padding = HEADER_WORD.pack_into, _PADDING.pack_into
        channel_index = channel.index
        header_base = MAGIC | channel_index << CHANNEL_SHIFT
        index = (self._oldest + self._submitted + self.pending) % size
        limit = min(budget, self.free)
        filled = byte_count = 0
        while filled < limit:
            length = read_into(read_views[index]) - PACKET_INFORMATION_BYTES
            if length <= 0:
                break
            slot = slots[index]
            if slot[_READ_OFFSET] & TRUNCATED_FLAG:
                counters.drop(DropReason.TRUNCATED_BY_DEVICE)
                limit -= 1  # so that a flood of them cannot hold us
                continue
            if length > mtu:  # Differs: the kernel sends what its interface would not have let pass
                counters.drop(DropReason.LONGER_THAN_MTU)
                limit -= 1
                continue
            # bam_dmux_tx_prepare_skb(): a packet that is aligned already is padded by a whole word.
            pad = WORD_BYTES - length % WORD_BYTES
            write_header(slot, 0, header_base | pad << PAD_SHIFT | length << LENGTH_SHIFT)
            write_padding(slot, HEADER_BYTES + length, 0)
            channels[index] = channel_index
            packet_bytes[index] = length
            frame_bytes[index] = HEADER_BYTES + length + pad
            byte_count += length
            filled += 1
            index += 1
            if index == size:
                index = 0
        self.pending += filled
        self.free -= filled
        counters.packet_count += filled
        counters.byte_count += byte_count
        if interface is not None:
            _count_malformed(interface, counters)
        return filled

    def _pump_from(self, interface: Interface, channel: Channel, budget: int, sends: bool) -> int:
        """As `fill_from`, with the native pump."""
        counters, size = channel.transmitted, self._size
        first = (self._oldest + self._submitted + self.pending) % size
        sizes = self._packet_bytes, self._frame_bytes
        what = first, self.free, budget, channel.index, channel.mtu, *sizes
        if sends and not self.pending and not self._command_count:
            filled, byte_count, too_long, retired = self._pipe.pump_through(interface, *what)
            self._submitted += filled - retired
            self._oldest = (self._oldest + retired) % size
            self.free += retired
            self.has_sent |= filled > 0
            self.has_retired |= retired > 0
        else:
            filled, byte_count, too_long = interface.fill_slots(self._pipe.pump, *what)
            self.pending += filled
        self.free -= filled
        at_end = min(filled, size - first)
        self._channels[first : first + at_end] = bytes((channel.index,)) * at_end
        if over_the_end := min(filled, size) - at_end:
            self._channels[:over_the_end] = bytes((channel.index,)) * over_the_end
        counters.packet_count += filled
        counters.byte_count += byte_count
        if too_long:
            counters.drop(DropReason.LONGER_THAN_MTU, too_long)
        self.is_short = filled < budget and interface.has_packet
        _count_malformed(interface, counters)
        return filled

    def queue_command(self, frame: Frame) -> None:
        """Queue a command behind what is there already; without a free slot it waits for one.

        An OPEN that still waits and the CLOSE that follows cancel each other: the modem heard of neither. And
        what has not gone out, and is the last command for its channel, is not queued twice.
        """
        if frame == self._last_unsent(frame.channel):
            return
        opening = Frame(Command.OPEN, frame.channel)
        if frame.command is Command.CLOSE and opening in self.waiting_commands:
            del self.waiting_commands[
                max(i for i, waiting in enumerate(self.waiting_commands) if waiting == opening)
            ]
            return
        self.waiting_commands.append(frame)
        self.place_waiting_commands()

    def _last_unsent(self, channel: int) -> Frame | None:
        """The last command for a channel that was not yet handed to the pipe."""
        first = self._oldest + self._submitted
        pending = [self._commands[(first + i) % self._size] for i in range(self.pending)]
        commands = [
            frame for frame in (*pending, *self.waiting_commands) if frame and frame.channel == channel
        ]
        return commands[-1] if commands else None

    def place_waiting_commands(self) -> None:
        """Give waiting commands the slots that are free, before any packet."""
        while self.waiting_commands and self.free:
            frame = self.waiting_commands.popleft()
            encoded = encode_frame(frame)
            index = (self._oldest + self._submitted + self.pending) % self._size
            self._slots[index][: len(encoded)] = encoded
            self._channels[index] = frame.channel
            self._frame_bytes[index] = len(encoded)
            self._commands[index] = frame
            self._command_count += 1
            self.pending += 1
            self.free -= 1

    # Out

    def submit_pending(self) -> list[Frame]:
        """Hand all pending slots to the pipe, in order; the commands among them. Publish it afterwards."""
        submit, frame_bytes, commands, size = self._pipe.submit, self._frame_bytes, self._commands, self._size
        sent: list[Frame] = []
        index = (self._oldest + self._submitted) % size
        count = self.pending
        if not self._command_count and self.pumps:
            self._pipe.pump_out(index, count, frame_bytes)
            count = 0
        for _ in range(count):
            submit(index, frame_bytes[index])
            if (command := commands[index]) is not None:
                sent.append(command)
            index += 1
            if index == size:
                index = 0
        self._submitted += self.pending
        self.pending = 0
        return sent

    # Back

    def reap(self) -> int:
        """Take back the slots that the modem is done with; how many."""
        count = self._pipe.completed()
        if count:
            self._pipe.retire(count)
            if self._command_count:
                for offset in range(count):
                    self._forget_command((self._oldest + offset) % self._size)
            self._oldest = (self._oldest + count) % self._size
            self._submitted -= count
            self.free += count
            self.is_short = False
        return count

    def take_submitted(self) -> Leftovers:
        """The pipe was terminated: its slots are ours again, and what was in them did not arrive."""
        leftovers = self._take(self._submitted)
        self.free += self._submitted
        self.is_short = False
        self._submitted = 0
        return leftovers

    def take_pending(self) -> Leftovers:
        """Give up what waits for power."""
        assert self._submitted == 0, "pending slots are behind the submitted ones"
        leftovers = self._take(self.pending)
        self.free += self.pending
        self.is_short = False
        self.pending = 0
        return leftovers

    def _take(self, count: int) -> Leftovers:
        leftovers = Leftovers()
        for _ in range(count):
            index = self._oldest
            if (command := self._commands[index]) is not None:
                leftovers.commands.append(command)
                self._forget_command(index)
            else:
                leftovers.packets.append((self._channels[index], self._packet_bytes[index]))
            self._oldest = (index + 1) % self._size
        return leftovers

    def _forget_command(self, index: int) -> None:
        if self._commands[index] is not None:
            self._commands[index] = None
            self._command_count -= 1

    def return_commands(self, commands: list[Frame]) -> None:
        """Commands never get lost: these come first when there is power again."""
        self.waiting_commands.extendleft(reversed(commands))

    def forget_commands(self) -> None:
        """Whoever was to hear them is dead."""
        self.waiting_commands.clear()

    def discard_from(self, device: NetDevice, counters: Counters) -> None:
        """Throw away what an interface that went down still had queued."""
        scratch = memoryview(bytearray(PACKET_INFORMATION_BYTES + MAX_PACKET_BYTES))
        for _ in range(DISCARD_LIMIT):
            if not device.read_into(scratch):
                break
            counters.drop(DropReason.INTERFACE_DOWN)
        if (interface := interface_of(device)) is not None:
            _count_malformed(interface, counters)


def _count_malformed(interface: Interface, counters: Counters) -> None:
    """What an interface has refused by itself, super-packets whose headers lied, is counted too."""
    if malformed := interface.take_malformed():
        counters.drop(DropReason.BAD_OFFLOAD, malformed)
