"""The shared memory's map: nothing overlaps, and no two writers meet on a cache line."""

import mmap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Line, Pipe
from bamdmux.bam.memory import CACHE_LINE_BYTES, DESCRIPTOR_BYTES, LinkLayout, PipeLayout

LAYOUTS = st.builds(
    LinkLayout,
    slot_count=st.integers(1, 200),
    receive_bytes=st.integers(8, 0xFFFF),
    transmit_bytes=st.integers(8, 0xFFFF),
)


def words_of(layout: LinkLayout) -> list[int]:
    """Offsets of the 32-bit words that one side writes while the other reads."""
    lines = [layout.line_offset(line) for line in Line]
    pipes = [offset for pipe in (layout.tx, layout.rx) for offset in (pipe.tail_offset, pipe.position_offset)]
    return lines + pipes


def regions_of(layout: LinkLayout) -> list[tuple[int, int]]:
    """Everything that lies in the memory, as start and end."""
    regions = [(offset, offset + 4) for offset in words_of(layout)]
    for pipe in (layout.tx, layout.rx):
        regions.append((pipe.fifo_offset, pipe.fifo_offset + pipe.entry_count * DESCRIPTOR_BYTES))
        for slot_index in range(pipe.slot_count):
            address = pipe.slot_address(slot_index)
            regions.append((address, address + pipe.slot_bytes))
    return sorted(regions)


def cache_lines(start: int, end: int) -> range:
    return range(start // CACHE_LINE_BYTES, (end - 1) // CACHE_LINE_BYTES + 1)


def test_the_driver_has_32_slots_and_4095_entries_in_each_direction() -> None:
    layout = LinkLayout()
    assert (layout.tx.slot_count, layout.rx.slot_count) == (32, 32)
    assert (layout.tx.entry_count, layout.rx.entry_count) == (4095, 4095)


def test_a_tx_slot_holds_the_longest_frame_with_its_padding_and_an_rx_slot_2_kib() -> None:
    layout = LinkLayout()
    assert (layout.tx.slot_bytes, layout.rx.slot_bytes) == (2052, 2048)


def test_a_pipe_is_found_by_its_name() -> None:
    layout = LinkLayout()
    assert layout.pipe(Pipe.TX) is layout.tx
    assert layout.pipe(Pipe.RX) is layout.rx


@given(LAYOUTS)
def test_nothing_overlaps(layout: LinkLayout) -> None:
    regions = regions_of(layout)
    assert all(end <= start for (_, end), (start, _) in pairwise(regions))


@given(LAYOUTS)
def test_everything_lies_within_the_memory(layout: LinkLayout) -> None:
    regions = regions_of(layout)
    assert regions[0][0] >= 0
    assert regions[-1][1] <= layout.size_bytes


@given(LAYOUTS)
def test_each_written_word_has_a_cache_line_of_its_own(layout: LinkLayout) -> None:
    words = set(words_of(layout))
    taken = [
        line for start, end in regions_of(layout) if start not in words for line in cache_lines(start, end)
    ]
    taken += [line for word in words for line in cache_lines(word, word + 4)]
    assert len(words) == 8
    assert all(taken.count(word // CACHE_LINE_BYTES) == 1 for word in words)


@given(LAYOUTS)
def test_each_written_word_can_be_written_in_one_go(layout: LinkLayout) -> None:
    assert all(word % 4 == 0 for word in words_of(layout))


@given(LAYOUTS)
def test_each_slot_has_cache_lines_of_its_own(layout: LinkLayout) -> None:
    for pipe in (layout.tx, layout.rx):
        slots = [pipe.slot_address(index) for index in range(pipe.slot_count)]
        lines = [line for slot in slots for line in cache_lines(slot, slot + pipe.slot_bytes)]
        assert len(lines) == len(set(lines))
        assert all(slot % CACHE_LINE_BYTES == 0 for slot in slots)


@given(LAYOUTS)
def test_the_slots_fill_the_buffers_area(layout: LinkLayout) -> None:
    for pipe in (layout.tx, layout.rx):
        assert pipe.slot_address(0) == pipe.buffers_offset
        assert pipe.slot_address(pipe.slot_count - 1) + pipe.slot_stride == pipe.end


@given(LAYOUTS)
def test_the_memory_is_whole_pages_and_not_a_page_too_many(layout: LinkLayout) -> None:
    assert layout.size_bytes % mmap.PAGESIZE == 0
    assert 0 <= layout.size_bytes - layout.rx.end < mmap.PAGESIZE


def test_fresh_memory_is_all_zeroes_and_writable() -> None:
    layout = LinkLayout(slot_count=1)
    memory = layout.allocate()
    assert bytes(memory) == bytes(layout.size_bytes)
    assert not memory.readonly


def test_two_memories_share_nothing() -> None:
    layout = LinkLayout(slot_count=1)
    first, second = layout.allocate(), layout.allocate()
    first[0] = 1
    assert second[0] == 0


@pytest.mark.parametrize("slot_count", [4094, 4095, 8190])
def test_a_fifo_always_has_one_entry_more_than_there_are_slots(slot_count: int) -> None:
    layout = LinkLayout(slot_count=slot_count)
    assert layout.tx.entry_count == layout.rx.entry_count == max(4095, slot_count + 1)


def test_the_last_entry_of_the_largest_fifo_has_a_16_bit_offset() -> None:
    layout = LinkLayout(slot_count=8190)
    assert (layout.tx.entry_count - 1) * DESCRIPTOR_BYTES <= 0xFFFF


def test_the_last_slot_of_the_largest_memory_has_a_32_bit_address() -> None:
    layout = LinkLayout(slot_count=8190, receive_bytes=0xFFFF, transmit_bytes=0xFFFF)
    assert layout.rx.end < 1 << 32


def test_the_smallest_fifo_has_two_entries_for_one_slot() -> None:
    layout = PipeLayout(start=0, entry_count=2, slot_count=1, slot_bytes=8)
    assert (layout.fifo_offset, layout.buffers_offset, layout.end) == (128, 192, 256)


@pytest.mark.parametrize(
    ("entry_count", "slot_count", "slot_bytes", "message"),
    [
        (1, 1, 64, "entry count 1 is not within 2 to 8191"),
        (8192, 1, 64, "entry count 8192 is not within 2 to 8191"),
        (5, 0, 64, "slot count 0 is not within 1 to 4"),
        (5, 5, 64, "slot count 5 is not within 1 to 4"),
        (5, 4, 7, "slot size 7 is not within 8 to 65535"),
        (5, 4, 65536, "slot size 65536 is not within 8 to 65535"),
    ],
)
def test_a_pipe_out_of_bounds_is_refused(
    entry_count: int, slot_count: int, slot_bytes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        PipeLayout(start=0, entry_count=entry_count, slot_count=slot_count, slot_bytes=slot_bytes)


@pytest.mark.parametrize("slot_count", [-1, 0, 8191])
def test_a_link_with_too_few_or_too_many_slots_is_refused(slot_count: int) -> None:
    with pytest.raises(ValueError):
        LinkLayout(slot_count=slot_count)


@pytest.mark.parametrize("size", [0, 7, 65536])
def test_a_link_with_slots_too_small_or_too_large_is_refused_in_either_direction(size: int) -> None:
    with pytest.raises(ValueError, match=f"slot size {size} "):
        LinkLayout(receive_bytes=size)
    with pytest.raises(ValueError, match=f"slot size {size} "):
        LinkLayout(transmit_bytes=size)


def test_both_sides_draw_the_same_map() -> None:
    assert LinkLayout(slot_count=40) == LinkLayout(slot_count=40)
