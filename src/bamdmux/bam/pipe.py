"""One BAM pipe: a FIFO of descriptors, a tail that its owner writes, a position that its peer writes.

    descriptor: u32 address | u16 size | u16 flags, little-endian, 8 bytes
    tail:       generation << 16 | byte offset of the first entry that is not queued yet   (P_EVNT_REG)
    position:   generation << 16 | byte offset of the next entry that the peer will use    (P_SW_OFSTS)

The owner (the host, on both pipes) queues buffers: full ones on TX, empty ones on RX. An entry belongs to the
peer from the moment the tail passes it until the position does. On RX the peer has by then written the number
of bytes and EOT into the descriptor; on TX it leaves the descriptor alone, as the hardware does.

Resetting a pipe is one register of the hardware. Here it is a new generation in the tail: a position of
another generation counts for nothing, so that neither side can take the other's old news for new.

A reset can come while the peer is in the middle of a batch. So the peer looks at the generation again after
it has read a descriptor, and before it says that it is done: what it copied from a buffer counts only if
`complete` returns True.

Neither end trusts the other: words and descriptors are copied once, checked, and only the copy is used. The
owner remembers what it queued and never reads it back; the peer checks that a buffer lies where buffers lie.

Where the other side is another process (`pump_in_turns`), the native pump goes on while it is awake, and the
two take turns at the ring; what a call of it did may be more than a ring holds, and is published but for the
end.

A pipe end wakes nobody: `publish` is memory, the doorbell is an action of its machine. Python has no fences:
where stores may overtake one another (not on x86), the doorbell's system call is what orders them.

Sources: drivers/dma/qcom/bam_dma.c of Linux 6.1, protocol.md section 5.
"""

import struct
from array import array
from typing import Any, Final

from bamdmux.bam.memory import DESCRIPTOR_BYTES, PipeLayout
from bamdmux.pump import Interface, Tally, is_native, make_pipe

DESCRIPTOR: Final = struct.Struct("<IHH")
_WRITE_BACK: Final = struct.Struct("<HH")  # size and flags
_SIZE_OFFSET: Final = 4
FLAG_EOT: Final = 0x4000  # end of transfer

# Who works on a long batch, entry by entry, gives back those that are done: the other side works meanwhile.
PUBLISH_AFTER: Final = 8

_OFFSET_MASK: Final = 0xFFFF
_GENERATION_SHIFT: Final = 16


class PipeOwner:
    """The end that queues buffers. Slots are named by their index; entries complete in order."""

    def __init__(self, memory: memoryview, layout: PipeLayout) -> None:
        self.layout = layout
        self._memory = memory
        self._fifo_offset = layout.fifo_offset  # copied: a layout computes it anew each time
        self._entry_count = layout.entry_count
        self._tail_word = memory[layout.tail_offset : layout.tail_offset + 4].cast("I")
        self._position_word = (
            memory[layout.position_offset : layout.position_offset + 4].toreadonly().cast("I")
        )
        self._addresses = [layout.slot_address(index) for index in range(layout.slot_count)]
        self._generation = 0
        self._head = 0  # oldest entry that is not retired
        self._tail = 0  # next entry to fill
        self._unpublished = 0
        # What we know of each entry, not what is there: its slot and the size that it was queued with.
        self._slots_of = array("H", bytes(2 * layout.entry_count))
        self._sizes_of = array("H", bytes(2 * layout.entry_count))
        self._in_flight = 0
        self.pumps = is_native()  # whether the native pump may do its work: nothing is laid over us
        self.is_covered = False  # something is laid over us that wants to see whole batches
        self.pump: Any = make_pipe(memory, layout.place, self._slots_of, self._sizes_of)
        self.is_open = False
        self.bad_position_count = 0  # positions that cannot be: the peer lies, or is out of its mind

    def slot(self, slot_index: int) -> memoryview:
        """The memory of a slot; ours while the slot is not queued."""
        address = self._addresses[slot_index]
        return self._memory[address : address + self.layout.slot_bytes]

    @property
    def in_flight(self) -> int:
        """Entries that were queued and not retired."""
        return self._in_flight

    def open(self) -> None:
        """Take the pipe into use, empty, whatever was in it before."""
        assert not self.is_open, "the pipe is open already"
        self.is_open = True
        self._reset()

    def submit(self, slot_index: int, size: int) -> None:
        """Queue a slot: ``size`` bytes to send, or to be filled. The peer sees it after `publish`."""
        DESCRIPTOR.pack_into(
            self._memory,
            self._fifo_offset + self._tail * DESCRIPTOR_BYTES,
            self._addresses[slot_index],
            size,
            FLAG_EOT,
        )
        self._slots_of[self._tail] = slot_index
        self._sizes_of[self._tail] = size
        self._in_flight += 1
        self._tail += 1
        if self._tail == self._entry_count:
            self._tail = 0
        self._unpublished += 1

    def pump_in_turns(self, awake_word: memoryview | None) -> None:
        """The other side is another process, and awake while its word says so; None: it is not, or left."""
        if self.pump is not None:
            self.pump.attend(awake_word)

    def pump_through(
        self,
        interface: Interface,
        first_slot: int,
        space: int,
        budget: int,
        channel: int,
        mtu: int,
        packet_bytes: "array[int]",
        frame_bytes: "array[int]",
    ) -> tuple[int, int, int, int]:
        """Read an interface's packets into slots in turn with the native pump, and hand them to the peer.

        Args:
            space: how many slots from the first on are free, and no other.
            packet_bytes, frame_bytes: for each slot; filled in.

        Returns:
            How many packets; their bytes; how many were longer than the MTU; how many slots were retired.
        """
        owned = self._head, self._tail, self._in_flight, self._generation
        sent = interface.send_slots(
            self.pump, owned, first_slot, space, budget, channel, mtu, packet_bytes, frame_bytes
        )
        packet_count, _, _, retired = sent
        self._in_flight += packet_count - retired
        self._head = (self._head + retired) % self._entry_count
        self._tail = (self._tail + packet_count) % self._entry_count
        return sent

    def pump_out(self, first_slot: int, count: int, sizes: "array[int]") -> None:
        """Queue so many slots in turn with the native pump; see `submit`.

        Args:
            sizes: for each slot, in bytes.
        """
        self.pump.submit(self._tail, first_slot, count, sizes)
        self._in_flight += count
        self._unpublished += count
        self._tail = (self._tail + count) % self._entry_count

    def pump_in(self, interfaces: tuple[Interface | None, ...], count: int, tally: Tally) -> int:
        """Deliver frames with the native pump, and queue their slots again; see `reap` and `submit`.

        Args:
            interfaces: of each channel; None: what comes for it stops us.
            count: how many entries are completed.
            tally: what passed and what was refused is added to it.

        Returns:
            How many entries that were: up to the first that is no plain data; perhaps more than `count`.
        """
        owned = self._head, self._tail, self._in_flight, self._generation
        done: int = self.pump.drain_slots(interfaces, owned, count, tally.numbers)
        self._unpublished += done
        self._head = (self._head + done) % self._entry_count
        self._tail = (self._tail + done) % self._entry_count
        return done

    def publish(self) -> int:
        """Hand what was queued to the peer; how many entries that were. Ring the doorbell if any."""
        published = self._unpublished
        if published:
            self._unpublished = 0
            self._publish_tail()
        return published

    def completed(self) -> int:
        """How many entries, oldest first, the peer is done with."""
        word = self._position_word[0]
        if word >> _GENERATION_SHIFT != self._generation:
            return 0  # the peer has yet to see that this pipe was reset
        offset = word & _OFFSET_MASK
        entry = offset // DESCRIPTOR_BYTES
        count = (entry - self._head) % self._entry_count
        if offset % DESCRIPTOR_BYTES or entry >= self._entry_count or count > self._published():
            self.bad_position_count += 1
            return 0
        return count

    def retire(self, count: int) -> None:
        """Take back the ``count`` oldest slots without looking at their descriptors (TX)."""
        self._in_flight -= count
        self._head = (self._head + count) % self._entry_count

    def reap(self) -> tuple[int, int]:
        """Take back the oldest slot and learn how many bytes were written to it (RX).

        Returns:
            Slot index and number of bytes; -1 bytes if more were claimed than the slot was queued with.
        """
        head = self._head
        offset = self._fifo_offset + head * DESCRIPTOR_BYTES
        _, written, _ = DESCRIPTOR.unpack_from(self._memory, offset)
        slot_index, size = self._slots_of[head], self._sizes_of[head]
        self._in_flight -= 1
        self._head += 1
        if self._head == self._entry_count:
            self._head = 0
        return slot_index, written if written <= size else -1

    def terminate(self) -> int:
        """Drop everything that is in flight; how many entries that were. The slots are ours again.

        The pipe is reset at once, as by bam_dma_terminate_all(): the peer must not find there what was
        dropped.
        """
        dropped = self._in_flight
        if dropped:
            self._in_flight = 0
            self._reset()
        return dropped

    def close(self) -> None:
        """Let go of the pipe. Terminate it first."""
        assert self.is_open, "the pipe is not open"
        assert not self._in_flight, "terminate the pipe before closing it"
        self.is_open = False

    def _reset(self) -> None:
        # Continue from what lies in memory, for an earlier owner may have left the peer in any generation.
        self._generation = (self._tail_word[0] >> _GENERATION_SHIFT) + 1 & 0xFFFF
        self._head = self._tail = self._unpublished = 0
        self._publish_tail()

    def _published(self) -> int:
        return self._in_flight - self._unpublished

    def _publish_tail(self) -> None:
        self._tail_word[0] = self._generation << _GENERATION_SHIFT | self._tail * DESCRIPTOR_BYTES


class PipePeer:
    """The other end, which uses the buffers in order: the modem's, or the DMA engine's if you like.

    For each of `available()` entries: `take()` the buffer, read or fill it, `complete()` it. Then `publish()`
    once, and ring the doorbell.
    """

    def __init__(self, memory: memoryview, layout: PipeLayout) -> None:
        self.layout = layout
        self._memory = memory
        self._fifo_offset = layout.fifo_offset  # copied: a layout computes it anew each time
        self._entry_count = layout.entry_count
        self._buffers_offset = layout.buffers_offset
        self._buffers_end = layout.end
        self._tail_word = memory[layout.tail_offset : layout.tail_offset + 4].toreadonly().cast("I")
        self._position_word = memory[layout.position_offset : layout.position_offset + 4].cast("I")
        # Where an earlier peer on this memory stopped: unless the owner has reset the pipe, we go on there.
        word = self._position_word[0]
        self._generation = word >> _GENERATION_SHIFT
        self._position = (word & _OFFSET_MASK) // DESCRIPTOR_BYTES % layout.entry_count
        self._unpublished = 0
        self.pumps, self.is_covered = is_native(), False  # as of the owner
        self.pump: Any = make_pipe(memory, layout.place)
        self._empty = memory[:0]
        self.bad_tail_count = 0
        self.bad_descriptor_count = 0

    def pump_in_turns(self, awake_word: memoryview | None) -> None:
        """As of the owner."""
        if self.pump is not None:
            self.pump.attend(awake_word)

    def pump_out(
        self, interface: Interface, count: int, max_packet_bytes: int, bearers: memoryview, tally: Tally
    ) -> int:
        """Deliver frames of so many entries with the native pump; see `take` and `complete`.

        Returns:
            How many entries that were: up to the first that is no plain data of a bearer. They may be more
            than `count`.
        """
        return self._pumped(
            interface.take_frames(
                self.pump, self._position, count, self._generation, max_packet_bytes, bearers, tally.numbers
            )
        )

    def pump_in(
        self, interface: Interface, space: int, budget: int, bearers: memoryview, tally: Tally
    ) -> int:
        """Fill buffers, at most `space`, with the native pump; see `take` and `complete`.

        A super-packet that the budget would cut is finished.

        Returns:
            How many packets that were: up to the first that is for no bearer, or that finds no buffer. They
            may be more than `space`.
        """
        return self._pumped(
            interface.fill_buffers(
                self.pump, self._position, space, budget, self._generation, bearers, tally.numbers
            )
        )

    def _pumped(self, done: int) -> int:
        self._unpublished += done
        self._position = (self._position + done) % self._entry_count
        return done

    def available(self) -> int:
        """How many entries are ours to use."""
        word = self._tail_word[0]
        if word >> _GENERATION_SHIFT != self._generation:
            self._reset(word >> _GENERATION_SHIFT)
        offset = word & _OFFSET_MASK
        entry = offset // DESCRIPTOR_BYTES
        if offset % DESCRIPTOR_BYTES or entry >= self._entry_count:
            self.bad_tail_count += 1
            return 0
        return (entry - self._position) % self._entry_count

    def take(self) -> memoryview:
        """The buffer of the next entry: what to read (TX), or what may be written (RX).

        Empty if the descriptor points outside of the pipe's buffers; complete such an entry all the same.
        """
        offset = self._fifo_offset + self._position * DESCRIPTOR_BYTES
        address, size, _ = DESCRIPTOR.unpack_from(self._memory, offset)
        if self._tail_word[0] >> _GENERATION_SHIFT != self._generation:
            return self._empty  # the pipe was reset under this batch
        if address < self._buffers_offset or address + size > self._buffers_end:
            self.bad_descriptor_count += 1
            return self._empty
        return self._memory[address : address + size]

    def complete(self, written: int | None = None) -> bool:
        """Be done with the entry of the last `take`; on RX say how many bytes were written to its buffer.

        Returns:
            False if the pipe was reset meanwhile: what was read from the buffer may be torn, forget it.
        """
        if self._tail_word[0] >> _GENERATION_SHIFT != self._generation:
            return False
        if written is not None:
            # The address stays what the owner wrote; its half of the descriptor is not ours.
            offset = self._fifo_offset + self._position * DESCRIPTOR_BYTES
            _WRITE_BACK.pack_into(self._memory, offset + _SIZE_OFFSET, written, FLAG_EOT)
        self._position += 1
        if self._position == self._entry_count:
            self._position = 0
        self._unpublished += 1
        return True

    def publish(self) -> int:
        """Give the completed entries back; how many. Ring the doorbell if any."""
        published = self._unpublished
        if published:
            self._unpublished = 0
            self._publish_position()
        return published

    def _reset(self, generation: int) -> None:
        self._generation = generation
        self._position = self._unpublished = 0
        self._publish_position()

    def _publish_position(self) -> None:
        self._position_word[0] = self._generation << _GENERATION_SHIFT | self._position * DESCRIPTOR_BYTES
