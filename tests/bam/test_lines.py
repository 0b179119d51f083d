"""A power line as an edge counter: what a reader learns from a word that it looks at now and then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Line
from bamdmux.bam.lines import COUNT_MASK, LineReader, LineWriter, edges_between, level_of
from bamdmux.bam.memory import LinkLayout

LAYOUT = LinkLayout(slot_count=1)
COUNTS = st.integers(0, COUNT_MASK)


def put_count(memory: memoryview, line: Line, edge_count: int) -> None:
    offset = LAYOUT.line_offset(line)
    memory[offset : offset + 4] = edge_count.to_bytes(4, "little")


def test_a_fresh_line_is_low_and_has_no_edges() -> None:
    memory = LAYOUT.allocate()
    writer = LineWriter(memory, LAYOUT, Line.HOST_VOTE)
    assert (writer.level, writer.edge_count) == (False, 0)
    assert LineReader(memory, LAYOUT, Line.HOST_VOTE).edge_count == 0


def test_raising_a_line_is_one_edge() -> None:
    memory = LAYOUT.allocate()
    writer = LineWriter(memory, LAYOUT, Line.HOST_VOTE)
    assert writer.set(True)
    assert (writer.level, writer.edge_count) == (True, 1)


@pytest.mark.parametrize("level", [False, True])
def test_driving_a_line_to_the_level_that_it_has_is_no_edge(level: bool) -> None:
    memory = LAYOUT.allocate()
    writer = LineWriter(memory, LAYOUT, Line.HOST_VOTE)
    writer.set(level)
    before = bytes(memory)
    assert not writer.set(level)
    assert bytes(memory) == before


def test_the_reader_sees_an_edge_at_once() -> None:
    memory = LAYOUT.allocate()
    reader = LineReader(memory, LAYOUT, Line.MODEM_POWER)
    LineWriter(memory, LAYOUT, Line.MODEM_POWER).set(True)
    assert reader.edge_count == 1
    assert level_of(reader.edge_count)


def test_a_power_cycle_between_two_looks_shows_as_two_edges_at_an_unchanged_level() -> None:
    memory = LAYOUT.allocate()
    writer = LineWriter(memory, LAYOUT, Line.MODEM_POWER)
    reader = LineReader(memory, LAYOUT, Line.MODEM_POWER)
    writer.set(True)
    seen = reader.edge_count
    writer.set(False)
    writer.set(True)
    assert level_of(reader.edge_count) == level_of(seen)
    assert edges_between(seen, reader.edge_count) == 2


def test_a_line_wraps_after_four_billion_edges_and_keeps_its_level() -> None:
    memory = LAYOUT.allocate()
    put_count(memory, Line.HOST_ACK, COUNT_MASK)
    writer = LineWriter(memory, LAYOUT, Line.HOST_ACK)
    assert writer.level
    assert writer.set(False)
    assert (writer.level, writer.edge_count) == (False, 0)
    assert LineReader(memory, LAYOUT, Line.HOST_ACK).edge_count == 0


def test_edges_are_counted_across_the_wrap() -> None:
    assert edges_between(COUNT_MASK - 1, 2) == 4


@given(COUNTS, st.integers(0, COUNT_MASK))
def test_edges_between_two_counts_are_how_often_the_line_changed(earlier: int, edges: int) -> None:
    assert edges_between(earlier, earlier + edges & COUNT_MASK) == edges


@given(COUNTS, COUNTS)
def test_an_odd_number_of_edges_is_another_level(earlier: int, later: int) -> None:
    assert (level_of(earlier) != level_of(later)) == (edges_between(earlier, later) % 2 == 1)


@given(start=COUNTS, levels=st.lists(st.booleans(), max_size=12))
def test_a_line_counts_exactly_the_changes_of_its_level(start: int, levels: list[bool]) -> None:
    memory = LAYOUT.allocate()
    put_count(memory, Line.HOST_VOTE, start)
    writer = LineWriter(memory, LAYOUT, Line.HOST_VOTE)
    reader = LineReader(memory, LAYOUT, Line.HOST_VOTE)
    edges = [writer.set(level) for level in levels]
    assert edges_between(start, reader.edge_count) == sum(edges)
    assert writer.level == level_of(reader.edge_count) == ([level_of(start), *levels][-1])


def test_a_new_writer_on_old_memory_goes_on_from_the_old_count() -> None:
    memory = LAYOUT.allocate()
    LineWriter(memory, LAYOUT, Line.HOST_VOTE).set(True)
    successor = LineWriter(memory, LAYOUT, Line.HOST_VOTE)
    assert successor.level
    assert successor.set(False)
    assert successor.edge_count == 2


def test_a_line_that_the_other_side_scribbled_on_is_right_again_after_the_next_edge() -> None:
    memory = LAYOUT.allocate()
    writer = LineWriter(memory, LAYOUT, Line.HOST_VOTE)
    put_count(memory, Line.HOST_VOTE, 0xDEAD_BEEF)
    assert not writer.level
    writer.set(True)
    assert LineReader(memory, LAYOUT, Line.HOST_VOTE).edge_count == 1


@pytest.mark.parametrize("line", Line)
def test_a_line_writes_its_own_word_and_nothing_else(line: Line) -> None:
    memory = LAYOUT.allocate()
    memory[:] = b"\xa4" * len(memory)  # every count even: all lines low
    LineWriter(memory, LAYOUT, line).set(True)
    offset = LAYOUT.line_offset(line)
    assert [index for index, byte in enumerate(memory) if byte != 0xA4] == [offset]


def test_a_count_is_a_little_endian_word() -> None:
    memory = LAYOUT.allocate()
    put_count(memory, Line.MODEM_ACK, 0x0102_0304)
    LineWriter(memory, LAYOUT, Line.MODEM_ACK).set(True)
    offset = LAYOUT.line_offset(Line.MODEM_ACK)
    assert bytes(memory[offset : offset + 4]) == b"\x05\x03\x02\x01"


def test_a_reader_needs_no_writable_memory() -> None:
    memory = LAYOUT.allocate()
    put_count(memory, Line.MODEM_ACK, 3)
    assert LineReader(memory.toreadonly(), LAYOUT, Line.MODEM_ACK).edge_count == 3


@given(COUNTS)
def test_any_word_of_the_other_side_is_a_count(word: int) -> None:
    memory = LAYOUT.allocate()
    put_count(memory, Line.MODEM_POWER, word)
    assert LineReader(memory, LAYOUT, Line.MODEM_POWER).edge_count == word
