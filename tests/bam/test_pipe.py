"""Both ends of a pipe over one bytearray: honest ones held against a model, and each against a liar.

`PipeMachine` is the model: either end acts at any moment, stops at any moment, and begins anew.
"""

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bamdmux.actions import Pipe
from bamdmux.bam.memory import ENTRY_COUNT, LinkLayout, PipeLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer

GUARD_BYTES = 64
SMALL = PipeLayout(start=GUARD_BYTES, entry_count=5, slot_count=4, slot_bytes=64)
SMALLEST = PipeLayout(start=GUARD_BYTES, entry_count=2, slot_count=1, slot_bytes=64)

WORDS = st.integers(0, 0xFFFF_FFFF)
# Words that are nearly right are rare among all words: a test joins the right generation to one of these.
OFFSETS = st.one_of(st.integers(0, 48), st.integers(0, 0xFFFF))


def new_memory(layout: PipeLayout) -> memoryview:
    return memoryview(bytearray(layout.end + GUARD_BYTES))


def new_owner(memory: memoryview, layout: PipeLayout = SMALL) -> PipeOwner:
    owner = PipeOwner(memory, layout)
    owner.open()
    return owner


def new_pipe() -> tuple[memoryview, PipeOwner, PipePeer]:
    """An open pipe of four slots, its peer, and the memory between them."""
    memory = new_memory(SMALL)
    return memory, new_owner(memory), PipePeer(memory, SMALL)


def word_at(memory: memoryview, offset: int) -> int:
    return int.from_bytes(memory[offset : offset + 4], "little")


def put_word(memory: memoryview, offset: int, word: int) -> None:
    memory[offset : offset + 4] = word.to_bytes(4, "little")


def entry_bytes(memory: memoryview, entry: int, layout: PipeLayout = SMALL) -> bytes:
    offset = layout.fifo_offset + 8 * entry
    return bytes(memory[offset : offset + 8])


def put_entry(memory: memoryview, entry: int, octets: bytes, layout: PipeLayout = SMALL) -> None:
    offset = layout.fifo_offset + 8 * entry
    memory[offset : offset + 8] = octets


def send(owner: PipeOwner, *frames: bytes) -> None:
    """Queue and publish frames, in the slots 0, 1, 2 and so on."""
    for slot_index, frame in enumerate(frames):
        owner.slot(slot_index)[: len(frame)] = frame
        owner.submit(slot_index, len(frame))
    owner.publish()


def receive(peer: PipePeer) -> list[bytes]:
    """All that the owner sent, given back."""
    frames = []
    for _ in range(peer.available()):
        frames.append(bytes(peer.take()))
        peer.complete()
    peer.publish()
    return frames


def offer(owner: PipeOwner, *slots: int) -> None:
    """Queue and publish empty buffers."""
    for slot_index in slots:
        owner.submit(slot_index, owner.layout.slot_bytes)
    owner.publish()


def fill(peer: PipePeer, *frames: bytes) -> None:
    """Write a frame into each of the next buffers, and give them back."""
    for frame in frames:
        peer.take()[: len(frame)] = frame
        peer.complete(len(frame))
    peer.publish()


def collect(owner: PipeOwner) -> list[bytes]:
    """What the peer wrote into the buffers that it gave back."""
    reaped = [owner.reap() for _ in range(owner.completed())]
    return [bytes(owner.slot(slot_index)[:written]) for slot_index, written in reaped]


def reset(owner: PipeOwner) -> None:
    owner.terminate()
    owner.close()
    owner.open()


# --- from the owner to the peer --------------------------------------------------------------------


def test_a_fresh_pipe_has_nothing_for_its_peer() -> None:
    memory = new_memory(SMALL)
    assert PipePeer(memory, SMALL).available() == 0


def test_an_opened_pipe_has_nothing_for_its_peer() -> None:
    memory = new_memory(SMALL)
    new_owner(memory)
    assert PipePeer(memory, SMALL).available() == 0


def test_a_buffer_that_was_queued_is_not_the_peers_before_it_is_published() -> None:
    _, owner, peer = new_pipe()
    owner.submit(0, 10)
    assert peer.available() == 0
    owner.publish()
    assert peer.available() == 1


def test_publishing_says_how_many_buffers_were_handed_over() -> None:
    owner = new_owner(new_memory(SMALL))
    owner.submit(0, 10)
    owner.submit(1, 10)
    assert [owner.publish(), owner.publish()] == [2, 0]


def test_the_peer_reads_the_frames_in_their_order() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two", b"three")
    assert receive(peer) == [b"one", b"two", b"three"]


def test_slots_may_be_queued_in_any_order() -> None:
    _, owner, peer = new_pipe()
    owner.slot(3)[:3] = b"one"
    owner.slot(1)[:3] = b"two"
    owner.submit(3, 3)
    owner.submit(1, 3)
    owner.publish()
    assert receive(peer) == [b"one", b"two"]


def test_a_taken_buffer_is_the_memory_of_the_slot() -> None:
    _, owner, peer = new_pipe()
    offer(owner, 2)
    peer.available()
    peer.take()[:5] = b"hello"
    assert bytes(owner.slot(2)[:5]) == b"hello"


def test_taking_twice_without_completing_is_the_same_buffer() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    peer.available()
    assert [bytes(peer.take()), bytes(peer.take())] == [b"one", b"one"]


def test_the_slots_of_a_pipe_do_not_overlap() -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    for index in range(SMALL.slot_count):
        owner.slot(index)[:] = bytes([index]) * SMALL.slot_bytes
    assert [set(owner.slot(index)) for index in range(SMALL.slot_count)] == [{0}, {1}, {2}, {3}]


# --- and back --------------------------------------------------------------------------------------


def test_a_buffer_that_was_completed_is_not_the_owners_before_the_peer_publishes() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one")
    peer.available()
    peer.complete()
    assert owner.completed() == 0
    peer.publish()
    assert owner.completed() == 1


def test_the_peer_publishes_how_many_buffers_it_gave_back() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    peer.available()
    peer.complete()
    peer.complete()
    assert [peer.publish(), peer.publish()] == [2, 0]


def test_looking_does_not_retire() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    receive(peer)
    assert [owner.completed(), owner.completed(), owner.in_flight] == [2, 2, 2]


def test_retired_entries_are_no_longer_in_flight() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two", b"three")
    receive(peer)
    owner.retire(2)
    assert (owner.in_flight, owner.completed()) == (1, 1)


def test_reaping_gives_slots_and_byte_counts_oldest_first() -> None:
    _, owner, peer = new_pipe()
    offer(owner, 2, 0, 1)
    peer.available()
    fill(peer, b"four", b"", b"seven..")
    assert [owner.reap() for _ in range(owner.completed())] == [(2, 4), (0, 0), (1, 7)]


def test_a_full_buffer_may_be_written() -> None:
    _, owner, peer = new_pipe()
    offer(owner, 0)
    peer.available()
    fill(peer, b"x" * SMALL.slot_bytes)
    assert owner.reap() == (0, SMALL.slot_bytes)


def test_more_bytes_than_the_buffer_was_queued_with_are_minus_one() -> None:
    _, owner, peer = new_pipe()
    owner.submit(0, 10)
    owner.publish()
    peer.available()
    peer.complete(11)
    peer.publish()
    assert [owner.reap() for _ in range(owner.completed())] == [(0, -1)]


def test_what_was_completed_counts() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"frame")
    peer.available()
    peer.take()
    assert peer.complete()


def test_a_pipe_goes_on_after_a_buffer_that_was_overrun() -> None:
    _, owner, peer = new_pipe()
    offer(owner, 0, 1)
    peer.available()
    peer.complete(0xFFFF)
    peer.complete(3)
    peer.publish()
    assert [owner.reap() for _ in range(owner.completed())] == [(0, -1), (1, 3)]


# --- what lies in memory ---------------------------------------------------------------------------


def test_a_descriptor_is_address_size_and_end_of_transfer() -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    owner.submit(1, 0x0021)
    address = SMALL.slot_address(1)
    assert entry_bytes(memory, 0) == bytes([address & 0xFF, address >> 8, 0, 0, 0x21, 0x00, 0x00, 0x40])


def test_the_tail_is_a_generation_and_the_offset_behind_the_last_descriptor() -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    send(owner, b"one", b"two")
    assert word_at(memory, SMALL.tail_offset) == 1 << 16 | 16


def test_the_position_is_a_generation_and_the_offset_of_the_next_descriptor() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two", b"three")
    receive(peer)
    assert word_at(memory, SMALL.position_offset) == 1 << 16 | 24


def test_the_peer_writes_byte_count_and_end_of_transfer_back() -> None:
    memory, owner, peer = new_pipe()
    offer(owner, 1)
    put_entry(memory, 0, entry_bytes(memory, 0)[:6] + b"\0\0")  # as downstream's driver queues it
    peer.available()
    fill(peer, b"E" * 0x21)
    assert entry_bytes(memory, 0) == SMALL.slot_address(1).to_bytes(4, "little") + b"\x21\x00\x00\x40"


def test_the_peer_leaves_the_descriptors_of_what_it_read_alone() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one")
    before = entry_bytes(memory, 0)
    receive(peer)
    assert entry_bytes(memory, 0) == before


def test_the_peer_leaves_the_address_in_a_descriptor_alone_whatever_it_is() -> None:
    memory, owner, peer = new_pipe()
    offer(owner, 0)
    put_entry(memory, 0, b"\xde\xad\xbe\xef\x40\x00\x00\x40")
    peer.available()
    peer.complete(7)
    assert entry_bytes(memory, 0)[:4] == b"\xde\xad\xbe\xef"


def test_the_owner_writes_its_tail_and_its_descriptors_and_nothing_else() -> None:
    memory = new_memory(SMALL)
    memory[:] = b"\xa5" * len(memory)
    owner = new_owner(memory)
    for _ in range(3):
        offer(owner, 0, 1, 2)
        owner.completed()
        owner.reap()
        owner.retire(1)
        reset(owner)
    owner.terminate()
    owner.close()
    owners = {
        *range(SMALL.tail_offset, SMALL.tail_offset + 4),
        *range(SMALL.fifo_offset, SMALL.fifo_offset + 40),
    }
    assert {index for index, byte in enumerate(memory) if byte != 0xA5} <= owners


def test_the_peer_writes_its_position_and_write_backs_and_nothing_else() -> None:
    memory, owner, peer = new_pipe()
    for _ in range(4):
        offer(owner, 0, 1, 2, 3)
        before = bytearray(memory)
        for _ in range(peer.available()):
            peer.take()
            peer.complete(0x0102)
        peer.publish()
        for entry in range(SMALL.entry_count):
            offset = SMALL.fifo_offset + 8 * entry
            before[offset + 4 : offset + 8] = memory[offset + 4 : offset + 8]
        before[SMALL.position_offset : SMALL.position_offset + 4] = memory[
            SMALL.position_offset : SMALL.position_offset + 4
        ]
        assert bytes(before) == bytes(memory)
        owner.retire(4)


def test_the_owner_writes_nothing_when_it_looks_and_takes_back() -> None:
    memory, owner, peer = new_pipe()
    offer(owner, 0, 1)
    peer.available()
    fill(peer, b"one", b"two")
    before = bytes(memory)
    owner.completed()
    owner.reap()
    owner.retire(1)
    owner.publish()
    assert bytes(memory) == before


def test_the_peer_writes_nothing_while_it_looks_and_takes() -> None:
    memory, owner, peer = new_pipe()
    peer.available()
    send(owner, b"one")
    before = bytes(memory)
    peer.available()
    peer.take()
    peer.publish()
    assert bytes(memory) == before


def test_a_peer_alone_writes_nothing_before_it_is_asked() -> None:
    memory = new_memory(SMALL)
    put_word(memory, SMALL.tail_offset, 7 << 16 | 8)
    put_word(memory, SMALL.position_offset, 3 << 16 | 13)
    before = bytes(memory)
    PipePeer(memory, SMALL)
    assert bytes(memory) == before


# --- around the end of the FIFO --------------------------------------------------------------------


def test_linuxs_fifo_wraps_behind_entry_4094() -> None:
    layout = LinkLayout().pipe(Pipe.TX)
    assert layout.entry_count == ENTRY_COUNT == 4095
    memory = memoryview(bytearray(layout.end))
    owner, peer = new_owner(memory, layout), PipePeer(memory, layout)
    for number in range(4095 + 40):
        send(owner, number.to_bytes(2, "little"))
        assert receive(peer) == [number.to_bytes(2, "little")]
        assert owner.completed() == 1
        owner.retire(1)
        assert word_at(memory, layout.tail_offset) & 0xFFFF == (number + 1) % 4095 * 8
    assert (owner.bad_position_count, peer.bad_tail_count) == (0, 0)


def test_a_batch_may_lie_across_the_end_of_linuxs_fifo() -> None:
    layout = LinkLayout().pipe(Pipe.RX)
    memory = memoryview(bytearray(layout.end))
    owner, peer = new_owner(memory, layout), PipePeer(memory, layout)
    frames = [bytes([number]) for number in range(32)]
    for _ in range(4095 // 32 + 2):  # the 128th batch begins at entry 4064 and ends at 0
        offer(owner, *range(32))
        assert peer.available() == 32
        fill(peer, *frames)
        assert collect(owner) == frames
    assert owner.bad_position_count == 0


def test_retiring_across_the_end_of_the_fifo_leaves_the_next_entry_to_reap() -> None:
    _, owner, peer = new_pipe()
    for slots in ((0, 1, 2, 3), (0, 1), (0,)):
        offer(owner, *slots)
        peer.available()
        fill(peer, *(bytes(7) for _ in slots))
        owner.retire(len(slots) - 1)
        assert owner.reap() == (slots[-1], 7)


@pytest.mark.parametrize("entry_count", [2, 3, 4, 5, 8191])
def test_a_fifo_holds_one_entry_less_than_its_size(entry_count: int) -> None:
    layout = PipeLayout(start=0, entry_count=entry_count, slot_count=entry_count - 1, slot_bytes=8)
    memory = memoryview(bytearray(layout.end))
    owner, peer = new_owner(memory, layout), PipePeer(memory, layout)
    for _ in range(3):
        offer(owner, *range(layout.slot_count))
        assert peer.available() == layout.slot_count
        receive(peer)
        assert owner.completed() == layout.slot_count
        owner.retire(layout.slot_count)


# --- opening, closing, terminating, beginning anew -------------------------------------------------


def test_a_pipe_is_closed_until_it_is_opened() -> None:
    owner = PipeOwner(new_memory(SMALL), SMALL)
    assert not owner.is_open
    owner.open()
    assert owner.is_open
    owner.close()
    assert not owner.is_open


def test_an_open_pipe_cannot_be_opened() -> None:
    owner = new_owner(new_memory(SMALL))
    with pytest.raises(AssertionError, match="open already"):
        owner.open()


def test_a_closed_pipe_cannot_be_closed() -> None:
    owner = PipeOwner(new_memory(SMALL), SMALL)
    with pytest.raises(AssertionError, match="not open"):
        owner.close()


def test_a_pipe_with_buffers_in_flight_cannot_be_closed() -> None:
    owner = new_owner(new_memory(SMALL))
    owner.submit(0, 1)
    with pytest.raises(AssertionError, match="terminate the pipe"):
        owner.close()


def test_terminating_says_how_many_entries_were_dropped_published_or_not() -> None:
    owner = new_owner(new_memory(SMALL))
    offer(owner, 0, 1)
    owner.submit(2, 1)
    assert [owner.terminate(), owner.terminate()] == [3, 0]


def test_nothing_is_in_flight_after_terminating() -> None:
    owner = new_owner(new_memory(SMALL))
    offer(owner, 0, 1)
    owner.terminate()
    assert (owner.in_flight, owner.completed(), owner.publish()) == (0, 0, 0)


# The hardware's pipe is reset at this moment (bam_dma_terminate_all()): its descriptors are gone.
def test_a_terminated_pipe_has_nothing_for_its_peer() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    owner.terminate()
    assert peer.available() == 0


def test_a_terminated_and_closed_pipe_has_nothing_for_a_peer_that_starts_then() -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    assert PipePeer(memory, SMALL).available() == 0
    send(owner, b"one", b"two")
    owner.terminate()
    owner.close()
    assert PipePeer(memory, SMALL).available() == 0


def test_a_slot_that_is_refilled_after_terminating_is_not_read_through_its_old_descriptor() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"lost")
    owner.terminate()
    owner.close()
    owner.slot(0)[:4] = b"next"
    early = receive(peer)
    owner.open()
    owner.submit(0, 4)
    owner.publish()
    assert early + receive(peer) == [b"next"]


def test_a_terminated_pipe_can_be_used_on() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    owner.terminate()
    send(owner, b"three")
    assert receive(peer) == [b"three"]
    assert owner.completed() == 1


def test_what_was_queued_but_not_published_is_not_handed_over_after_terminating() -> None:
    _, owner, peer = new_pipe()
    owner.submit(0, 1)
    owner.terminate()
    send(owner, b"next")
    assert receive(peer) == [b"next"]


def test_a_position_from_before_terminating_retires_nothing() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one")
    peer.available()
    owner.terminate()
    send(owner, b"two")
    peer.complete()
    peer.publish()
    assert owner.completed() == 0


def test_a_position_from_before_terminating_is_not_held_against_the_peer() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one")
    peer.available()
    owner.terminate()
    peer.complete()
    peer.publish()
    assert owner.completed() == 0
    assert owner.bad_position_count == 0


def test_a_pipe_opened_anew_begins_at_its_first_entry() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    receive(peer)
    reset(owner)
    send(owner, b"three")
    assert receive(peer) == [b"three"]
    assert word_at(memory, SMALL.position_offset) == word_at(memory, SMALL.tail_offset)


def test_a_pipe_may_be_closed_without_terminating_when_all_came_back() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one")
    receive(peer)
    owner.retire(1)
    owner.close()
    owner.open()
    assert peer.available() == 0


def test_an_old_position_counts_nothing_in_a_pipe_that_was_opened_anew() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    receive(peer)
    reset(owner)
    send(owner, b"three", b"four", b"five")
    assert owner.completed() == 0
    assert owner.bad_position_count == 0


def test_what_the_peer_has_not_yet_given_back_is_forgotten_when_it_sees_a_reset() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    peer.available()
    peer.complete()
    reset(owner)
    assert peer.available() == 0
    assert peer.publish() == 0
    assert word_at(memory, SMALL.position_offset) == word_at(memory, SMALL.tail_offset)


def test_generations_wrap() -> None:
    memory = new_memory(SMALL)
    put_word(memory, SMALL.tail_offset, 0xFFFE << 16)
    owner, peer = new_owner(memory), PipePeer(memory, SMALL)
    assert word_at(memory, SMALL.tail_offset) == 0xFFFF << 16
    for _ in range(3):
        send(owner, b"one")
        assert receive(peer) == [b"one"]
        assert owner.completed() == 1
        reset(owner)
    assert word_at(memory, SMALL.tail_offset) >> 16 < 8


def test_every_one_of_65536_resets_is_noticed() -> None:
    memory = new_memory(SMALLEST)
    owner, peer = new_owner(memory, SMALLEST), PipePeer(memory, SMALLEST)
    for _ in range(65536 + 2):
        owner.submit(0, 1)
        owner.publish()
        assert peer.available() == 1
        owner.terminate()
        owner.close()
        owner.open()


# --- a reset in the middle of the peer's batch: the other process does not wait --------------------


def test_a_peer_that_finishes_an_old_batch_leaves_the_new_descriptors_alone() -> None:
    memory, owner, peer = new_pipe()
    offer(owner, 0, 1)
    assert peer.available() == 2
    reset(owner)
    offer(owner, 0, 1)
    peer.take()
    peer.complete(3)
    assert peer.available() == 2
    assert [len(peer.take()), entry_bytes(memory, 0)[4:]] == [64, b"\x40\x00\x00\x40"]


def test_a_peer_that_finishes_an_old_batch_reads_no_new_frame_twice() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"old 1", b"old 2")
    assert peer.available() == 2
    seen = [bytes(peer.take())]
    peer.complete()
    reset(owner)
    send(owner, b"new 1", b"new 2")
    seen.append(bytes(peer.take()))
    peer.complete()
    peer.publish()
    seen += receive(peer)
    assert [frame for frame in seen if frame.startswith(b"new")] == [b"new 1", b"new 2"]


def test_a_frame_whose_slot_was_refilled_while_it_was_copied_is_disowned() -> None:
    _, owner, peer = new_pipe()
    send(owner, b"old frame")
    peer.available()
    buffer = peer.take()
    copied = bytes(buffer[:4])
    reset(owner)
    send(owner, b"new frame")
    copied += bytes(buffer[4:])
    assert copied == b"old frame"[:4] + b"new frame"[4:]
    assert peer.complete() is False


def test_a_peer_that_finishes_an_old_batch_gives_nothing_back() -> None:
    _, owner, peer = new_pipe()
    offer(owner, 0, 1)
    peer.available()
    reset(owner)
    offer(owner, 0, 1)
    peer.take()
    peer.complete(3)
    peer.publish()
    assert (owner.completed(), owner.bad_position_count) == (0, 0)


def test_an_old_batch_is_no_bad_descriptor() -> None:
    _, owner, peer = new_pipe()
    offer(owner, 0, 1)
    peer.available()
    reset(owner)
    peer.take()
    assert peer.bad_descriptor_count == 0


# --- another process on old memory -----------------------------------------------------------------


def test_a_new_peer_goes_on_where_the_last_one_stopped() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two", b"three")
    peer.available()
    peer.complete()
    peer.publish()
    successor = PipePeer(memory, SMALL)
    assert receive(successor) == [b"two", b"three"]
    assert owner.completed() == 3


def test_a_new_peer_begins_again_with_what_the_last_one_did_not_give_back() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    peer.available()
    peer.complete()
    assert receive(PipePeer(memory, SMALL)) == [b"one", b"two"]


def test_a_new_peer_begins_at_the_first_entry_of_a_pipe_that_was_reset() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    receive(peer)
    reset(owner)
    send(owner, b"three")
    assert receive(PipePeer(memory, SMALL)) == [b"three"]


def test_a_new_owner_resets_the_pipe_under_a_live_peer() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two", b"three")
    peer.available()
    peer.complete()
    peer.publish()
    successor = new_owner(memory)
    send(successor, b"four")
    assert receive(peer) == [b"four"]
    assert successor.completed() == 1


def test_a_new_owner_does_not_take_the_last_ones_progress_for_its_own() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    receive(peer)
    successor = new_owner(memory)
    send(successor, b"three", b"four")
    assert (successor.completed(), successor.bad_position_count) == (0, 0)


def test_a_new_owner_changes_nothing_before_it_opens_the_pipe() -> None:
    memory = new_memory(SMALL)
    send(new_owner(memory), b"one")
    before = bytes(memory)
    PipeOwner(memory, SMALL)
    assert bytes(memory) == before


# --- a peer that lies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offset",
    [
        1,  # within a descriptor
        12,
        40,  # behind the last entry
        0xFFF8,
        0xFFFF,
        24,  # behind what was published
        32,  # before what was retired
    ],
)
def test_a_position_that_cannot_be_retires_nothing_and_is_counted(offset: int) -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    send(owner, b"one", b"two")
    put_word(memory, SMALL.position_offset, 1 << 16 | offset)
    assert owner.completed() == 0
    assert owner.bad_position_count == 1


def test_a_position_may_not_pass_what_was_queued_but_not_published() -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    send(owner, b"one")
    owner.submit(1, 1)
    put_word(memory, SMALL.position_offset, 1 << 16 | 16)
    assert (owner.completed(), owner.bad_position_count) == (0, 1)


def test_a_position_may_not_move_back() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two", b"three")
    receive(peer)
    owner.retire(2)
    put_word(memory, SMALL.position_offset, 1 << 16 | 8)
    assert (owner.completed(), owner.bad_position_count) == (0, 1)


@pytest.mark.parametrize("generation", [0, 2, 0xFFFF])
def test_a_position_of_another_generation_is_no_lie(generation: int) -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    send(owner, b"one")
    put_word(memory, SMALL.position_offset, generation << 16 | 8)
    assert (owner.completed(), owner.bad_position_count) == (0, 0)


def test_a_peer_that_comes_to_its_senses_is_believed() -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    send(owner, b"one", b"two")
    put_word(memory, SMALL.position_offset, 1 << 16 | 3)
    assert owner.completed() == 0
    put_word(memory, SMALL.position_offset, 1 << 16 | 16)
    assert owner.completed() == 2


@given(
    queued=st.integers(0, SMALL.slot_count),
    published=st.integers(0, SMALL.slot_count),
    words=st.lists(st.one_of(WORDS, OFFSETS.map(lambda offset: 1 << 16 | offset)), max_size=20),
)
def test_no_position_retires_what_was_not_published(queued: int, published: int, words: list[int]) -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    published = min(queued, published)
    offer(owner, *range(published))
    for slot_index in range(published, queued):
        owner.submit(slot_index, 8)
    reaped = []
    for word in words:
        put_word(memory, SMALL.position_offset, word)
        reaped += [owner.reap()[0] for _ in range(owner.completed())]
    assert reaped == list(range(len(reaped)))
    assert len(reaped) <= published
    assert owner.in_flight == queued - len(reaped)


@given(st.binary(min_size=8, max_size=8))
def test_no_written_descriptor_moves_a_slot_or_makes_it_larger(descriptor: bytes) -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    owner.submit(2, 33)
    owner.publish()
    put_entry(memory, 0, descriptor)
    put_word(memory, SMALL.position_offset, 1 << 16 | 8)
    slot_index, written = owner.reap()
    size = int.from_bytes(descriptor[4:6], "little")
    assert (slot_index, written) == (2, size if size <= 33 else -1)


@given(words=st.lists(st.tuples(WORDS, st.binary(min_size=40, max_size=40), WORDS), max_size=5))
def test_an_owner_survives_anything_in_its_memory(words: list[tuple[int, bytes, int]]) -> None:
    memory = new_memory(SMALL)
    owner = new_owner(memory)
    free = deque(range(SMALL.slot_count))
    for tail_word, fifo, position_word in words:
        put_word(memory, SMALL.tail_offset, tail_word)
        memory[SMALL.fifo_offset : SMALL.fifo_offset + 40] = fifo
        put_word(memory, SMALL.position_offset, position_word)
        for _ in range(owner.completed()):
            slot_index, written = owner.reap()
            assert -1 <= written <= SMALL.slot_bytes
            free.append(slot_index)
        if free:
            offer(owner, free.popleft())
        if position_word & 1:
            reset(owner)
            free = deque(range(SMALL.slot_count))
    assert len(free) + owner.in_flight == SMALL.slot_count


# --- an owner that lies ----------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1, 12, 40, 0xFFF8, 0xFFFF])
def test_a_tail_that_cannot_be_offers_nothing_and_is_counted(offset: int) -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one")
    put_word(memory, SMALL.tail_offset, 1 << 16 | offset)
    assert peer.available() == 0
    assert peer.bad_tail_count == 1


def test_an_owner_that_comes_to_its_senses_is_believed() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one")
    put_word(memory, SMALL.tail_offset, 1 << 16 | 3)
    assert peer.available() == 0
    put_word(memory, SMALL.tail_offset, 1 << 16 | 8)
    assert receive(peer) == [b"one"]


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (0, 8),  # the guard before the pipe
        (SMALL.tail_offset, 4),
        (SMALL.fifo_offset, 8),
        (SMALL.buffers_offset - 1, 1),
        (SMALL.buffers_offset - 1, 8),
        (SMALL.end - 7, 8),
        (SMALL.end, 1),
        (SMALL.end + 1, 0),
        (SMALL.buffers_offset, SMALL.end - SMALL.buffers_offset + 1),
        (0xFFFF_FFFF, 0xFFFF),
        (0xFFFF_FFFF, 1),  # 0 in 32 bits
    ],
)
def test_a_buffer_outside_of_the_buffers_is_empty_and_counted(address: int, size: int) -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one")
    put_entry(memory, 0, address.to_bytes(4, "little") + size.to_bytes(2, "little") + b"\0\x40")
    peer.available()
    assert len(peer.take()) == 0
    assert peer.bad_descriptor_count == 1


def test_the_pipe_goes_on_after_a_buffer_outside_of_the_buffers() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one", b"two")
    put_entry(memory, 0, bytes(8))
    assert receive(peer) == [b"", b"two"]
    assert owner.completed() == 2


def test_a_buffer_of_all_the_buffers_is_within_them() -> None:
    memory, owner, peer = new_pipe()
    send(owner, b"one")
    size = SMALL.end - SMALL.buffers_offset
    put_entry(memory, 0, SMALL.buffers_offset.to_bytes(4, "little") + size.to_bytes(2, "little") + b"\0\x40")
    peer.available()
    assert len(peer.take()) == size
    assert peer.bad_descriptor_count == 0


@given(
    descriptor=st.one_of(
        st.binary(min_size=8, max_size=8),
        st.builds(
            lambda address, size: address.to_bytes(4, "little") + size.to_bytes(2, "little") + b"\0\x40",
            st.integers(0, SMALL.end + GUARD_BYTES),
            st.integers(0, SMALL.end + GUARD_BYTES),
        ),
    )
)
def test_no_descriptor_gives_memory_outside_of_the_buffers(descriptor: bytes) -> None:
    memory, owner, peer = new_pipe()
    offer(owner, 0)
    put_entry(memory, 0, descriptor)
    peer.available()
    before = bytearray(memory)
    buffer = peer.take()
    buffer[:] = bytes(byte ^ 0xFF for byte in buffer)
    before[SMALL.buffers_offset : SMALL.end] = memory[SMALL.buffers_offset : SMALL.end]
    assert bytes(before) == bytes(memory)


@given(
    position_word=WORDS,
    looks=st.lists(
        st.tuples(
            st.one_of(WORDS, st.builds(lambda low, high: low << 16 | high, st.integers(0, 2), OFFSETS)),
            st.binary(min_size=40, max_size=40),
        ),
        max_size=6,
    ),
)
@example(position_word=0xFFFF_FFFF, looks=[(0xFFFF_0000, bytes(40)), (0xFFFF_FFFF, bytes(40))])
def test_a_peer_survives_anything_in_its_memory(position_word: int, looks: list[tuple[int, bytes]]) -> None:
    memory = new_memory(SMALL)
    put_word(memory, SMALL.position_offset, position_word)
    peer = PipePeer(memory, SMALL)
    for tail_word, fifo in looks:
        put_word(memory, SMALL.tail_offset, tail_word)
        memory[SMALL.fifo_offset : SMALL.fifo_offset + 40] = fifo
        count = peer.available()
        assert 0 <= count < SMALL.entry_count
        for _ in range(count):
            peer.complete(len(peer.take()))
        if peer.publish():
            assert word_at(memory, SMALL.position_offset) & 0xFFFF in range(0, 40, 8)
    assert memory[:GUARD_BYTES] == memory[SMALL.end :] == bytes(GUARD_BYTES)


# --- both, honest, against a model -----------------------------------------------------------------


@dataclass
class Entry:
    """What the model knows of an entry in flight."""

    slot_index: int
    number: int  # written in the first byte of the slot
    size: int  # what its descriptor says
    written: int | None = None


class PipeMachine(RuleBasedStateMachine):
    """Two honest ends, each acting, stopping and beginning anew at any moment.

    `queue` is what is in flight, oldest first. Of it the peer may see the first `published`, has dealt with
    the first `used`, and has given back the first `given_back`.
    """

    @initialize(
        entry_count=st.integers(2, 5),
        spare=st.integers(0, 3),
        is_rx=st.booleans(),
        generation=st.sampled_from([0, 1, 0xFFFE, 0xFFFF]),
    )
    def begin(self, entry_count: int, spare: int, is_rx: bool, generation: int) -> None:
        slot_count = max(1, entry_count - 1 - spare)
        self.layout = PipeLayout(
            start=GUARD_BYTES, entry_count=entry_count, slot_count=slot_count, slot_bytes=8
        )
        self.memory = new_memory(self.layout)
        put_word(self.memory, self.layout.tail_offset, generation << 16)
        put_word(self.memory, self.layout.position_offset, generation << 16)
        self.is_rx = is_rx
        self.number = 0
        self.owner = PipeOwner(self.memory, self.layout)
        self.peer = PipePeer(self.memory, self.layout)
        self.forget()
        self.peer_left = 0  # of the batch that the peer is in
        self.peer_is_stale = True  # has not looked since the last reset

    def forget(self) -> None:
        """Everything in flight is dropped, and all slots are the owner's."""
        self.queue: deque[Entry] = deque()
        self.free = deque(range(self.layout.slot_count))
        self.published = self.used = self.given_back = 0
        self.peer_is_stale = True

    # The owner.

    @precondition(lambda self: not self.owner.is_open)
    @rule()
    def open(self) -> None:
        self.owner.open()
        self.forget()

    @precondition(lambda self: self.owner.is_open and self.free)
    @rule(size=st.integers(1, 8))
    def submit(self, size: int) -> None:
        slot_index = self.free.popleft()
        self.number = (self.number + 1) % 256
        self.owner.slot(slot_index)[0] = self.number
        self.owner.submit(slot_index, size)
        self.queue.append(Entry(slot_index, self.number, size))

    @rule()
    def publish(self) -> None:
        assert self.owner.publish() == len(self.queue) - self.published
        self.published = len(self.queue)

    @rule(limit=st.integers(0, 4))
    def take_back(self, limit: int) -> None:
        count = self.owner.completed()
        assert count == self.given_back
        count = min(count, limit)
        entries = [self.queue.popleft() for _ in range(count)]
        if self.is_rx:
            assert [self.owner.reap() for _ in entries] == [
                (entry.slot_index, entry.written) for entry in entries
            ]
        else:
            self.owner.retire(count)
        self.free.extend(entry.slot_index for entry in entries)
        self.given_back -= count
        self.used -= count
        self.published -= count

    @precondition(lambda self: self.owner.is_open)
    @rule()
    def terminate(self) -> None:
        assert self.owner.terminate() == len(self.queue)
        if self.queue:
            self.forget()

    @precondition(lambda self: self.owner.is_open)
    @rule()
    def terminate_and_close(self) -> None:
        self.terminate()
        self.owner.close()

    @rule()
    def replace_owner(self) -> None:
        """The owner's process ends, and another one opens the pipe."""
        self.owner = PipeOwner(self.memory, self.layout)
        self.open()

    # The peer.

    @rule()
    def peer_looks(self) -> None:
        self.peer_is_stale = False
        self.peer_left = self.published - self.used
        assert self.peer.available() == self.peer_left

    @precondition(lambda self: self.peer_left)
    @rule(written=st.integers(0, 8))
    def peer_uses_one(self, written: int) -> None:
        self.peer_left -= 1
        buffer = self.peer.take()
        if self.peer_is_stale:  # the owner has reset the pipe since this batch began
            assert len(buffer) == 0
            self.peer.complete(written if self.is_rx else None)
            return
        entry = self.queue[self.used]
        assert len(buffer) == entry.size
        assert bytes(buffer[:1]) == bytes([entry.number])[: entry.size]
        if self.is_rx:
            # What a peer writes and does not publish before it dies makes the buffer that small to the next.
            entry.written = entry.size = min(written, entry.size)
            self.peer.complete(entry.written)
        else:
            self.peer.complete()
        self.used += 1

    @rule()
    def peer_publishes(self) -> None:
        count = self.peer.publish()
        if not self.peer_is_stale:
            assert count == self.used - self.given_back
            self.given_back = self.used

    @rule()
    def replace_peer(self) -> None:
        """The peer's process ends, and another one goes on."""
        self.peer = PipePeer(self.memory, self.layout)
        self.peer_left = 0
        self.used = self.given_back

    # Always.

    @invariant()
    def every_slot_is_somewhere(self) -> None:
        slots = sorted([*self.free, *(entry.slot_index for entry in self.queue)])
        assert slots == list(range(self.layout.slot_count))
        assert self.owner.in_flight == len(self.queue)

    @invariant()
    def nobody_is_accused(self) -> None:
        assert self.owner.bad_position_count == 0
        assert self.peer.bad_tail_count == self.peer.bad_descriptor_count == 0

    @invariant()
    def nothing_is_written_around_the_pipe(self) -> None:
        assert self.memory[:GUARD_BYTES] == self.memory[self.layout.end :] == bytes(GUARD_BYTES)


PipeMachine.TestCase.settings = settings(stateful_step_count=40)
TestTwoHonestEndsLoseAndDuplicateNothing = PipeMachine.TestCase


# -- The native pump


@pytest.mark.parametrize("end", [PipeOwner, PipePeer])
def test_who_is_attended_to_is_for_the_native_pump_and_without_one_nobody(
    end: type[PipeOwner] | type[PipePeer],
) -> None:
    memory, awake_word = new_memory(SMALL), bytearray(4)
    before = bytes(memory)
    pipe = end(memory, SMALL)
    has_pump = pipe.pump is not None
    pipe.pump_in_turns(memoryview(awake_word))
    pipe.pump_in_turns(None)
    pipe.pump_in_turns(memoryview(awake_word))
    assert is_held(awake_word) == has_pump
    pipe.pump_in_turns(None)
    assert not is_held(awake_word)
    pipe.pump = None
    pipe.pump_in_turns(memoryview(awake_word))
    assert not is_held(awake_word)
    assert memory == before


def is_held(word: bytearray) -> bool:
    """Whether somebody has a view of it."""
    try:
        word.append(0)
    except BufferError:
        return True
    word.pop()
    return False
