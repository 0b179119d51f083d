"""What cannot be is an error in Python, and nothing that is read or written out of place.

Numbers and arrays come from bam/pipe.py, and are right there; the pump looks at them once for each call.
"""

from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.bam.memory import LinkLayout
from bamdmux.pump import Tally
from bamdmux.wire.offload import NO_OFFLOAD
from tests.pump.frames import downlink_packet
from tests.pump.kernel import Kernel, pump
from tests.pump.rings import numbers

WORDS = st.one_of(st.integers(0, 5000), st.sampled_from([0x7FFF_FFFF, 0x8000_0001, 0xFFFF_FFF8, 0xFFFF_FFFF]))
CALLS = range(6)
BEARERS = bytes(8 * 24)


def pipe_of(place: tuple[int, ...], memory: memoryview, entries: int = 4095) -> Any:
    return pump.Pipe(memory, place, array("H", bytes(2 * entries)), array("H", bytes(2 * entries)))


def calls(
    pipe: Any, interface: Any, bearers: bytes = BEARERS, slots: int = 32
) -> list[Callable[..., object]]:
    """The six functions, each with three numbers that are open; the arrays are right for a LinkLayout."""
    array_of_slots, tally, devices = numbers(slots), Tally().numbers, (interface,) * 8
    return [
        lambda a, b, c: interface.fill_slots(pipe, a, b, b, c, 1500, array_of_slots, array_of_slots),
        lambda a, b, c: interface.take_frames(pipe, a, b, 1, c, bearers, tally),
        lambda a, b, c: interface.fill_buffers(pipe, a, b, c, 1, bearers, tally),
        lambda a, b, c: pipe.submit(a, b, c, array_of_slots),
        lambda a, b, c: pipe.drain_slots(devices, (a, b, c, 1), c, tally),
        lambda a, b, c: interface.send_slots(
            pipe, (a, b, c, 1), a, b, c, c, 1500, array_of_slots, array_of_slots
        ),
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 7), WORDS), max_size=2),
    st.tuples(WORDS, WORDS, WORDS),
    st.sampled_from(CALLS),
)
def test_numbers_that_cannot_be_are_an_error_or_do_nothing_out_of_place(
    changes: list[tuple[int, int]], numbers: tuple[int, int, int], function: int
) -> None:
    layout = LinkLayout()
    memory, place = layout.allocate(), list(layout.tx.place)
    for index, value in changes:
        place[index] = value
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 1000))
        with suppress(ValueError):
            calls(pipe_of(tuple(place), memory), kernel.interface)[function](*numbers)


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        *((0, (32, 0, 0)), (0, (0, 33, 0)), (0, (0, 0, 8))),
        *((1, (4095, 0, 0)), (1, (0, 4095, 0)), (2, (4095, 0, 0)), (2, (0, 4095, 0))),
        *((3, (4095, 0, 0)), (3, (0, 32, 0)), (3, (0, 0, 33))),
        *((4, (4095, 0, 0)), (4, (0, 4095, 0)), (4, (0, 0, 33))),
        *((5, (4095, 0, 0)), (5, (0, 4095, 0)), (5, (0, 0, 33)), (5, (32, 0, 0))),
        *((5, (0, 33, 0)), (5, (0, 32, 1)), (5, (0, 0, 8))),
    ],
)
def test_numbers_beyond_the_pipe_are_an_error(function: int, numbers: tuple[int, int, int]) -> None:
    layout = LinkLayout()
    with Kernel() as kernel:
        call = calls(pipe_of(layout.tx.place, layout.allocate()), kernel.interface)[function]
        with pytest.raises(ValueError, match="fit the pipe"):
            call(*numbers)


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("value", [0xFFFF_FFFF, 0x8000_0001, 0x2000_0000])
def test_a_pipe_that_does_not_lie_in_its_memory_is_an_error(index: int, value: int) -> None:
    layout = LinkLayout()
    place = list(layout.tx.place)
    place[index] = value
    with pytest.raises(ValueError, match="lie in its memory"):
        pipe_of(tuple(place), layout.allocate())


@pytest.mark.parametrize("missing", [1, 2])
def test_a_pipe_ends_where_its_memory_ends(missing: int) -> None:
    layout = LinkLayout().rx
    memory = memoryview(bytearray(layout.end - missing + 1))
    if missing == 1:
        pipe_of(layout.place, memory)
    else:
        with pytest.raises(ValueError, match="lie in its memory"):
            pipe_of(layout.place, memory)


@pytest.mark.parametrize(("slots", "sizes"), [(4094, 4095), (4095, 4094), (0, 0)])
def test_arrays_of_a_pipe_have_a_number_for_each_entry(slots: int, sizes: int) -> None:
    layout = LinkLayout()
    with pytest.raises(ValueError, match="one number for each entry"):
        pump.Pipe(
            layout.allocate(), layout.tx.place, array("H", bytes(2 * slots)), array("H", bytes(2 * sizes))
        )


def test_one_array_without_the_other_is_an_error() -> None:
    layout = LinkLayout()
    with pytest.raises(ValueError, match="one number for each entry"):
        pump.Pipe(layout.allocate(), layout.tx.place, array("H", bytes(2 * 4095)))


@pytest.mark.parametrize("function", [3, 4, 5])
def test_the_end_of_the_peer_queues_nothing(function: int) -> None:
    layout = LinkLayout()
    pipe = pump.Pipe(layout.allocate(), layout.tx.place)
    with Kernel() as kernel, pytest.raises(ValueError, match="fit the pipe"):
        calls(pipe, kernel.interface)[function](0, 0, 0)


@pytest.mark.parametrize(
    ("function", "slots", "bearers"), [(0, 31, 192), (1, 32, 191), (2, 32, 191), (3, 31, 192), (5, 31, 192)]
)
def test_arrays_that_are_too_short_are_an_error(function: int, slots: int, bearers: int) -> None:
    layout = LinkLayout()
    pipe = pipe_of(layout.tx.place, layout.allocate())
    with Kernel() as kernel, pytest.raises(ValueError, match="fit the pipe"):
        calls(pipe, kernel.interface, bytes(bearers), slots)[function](0, 0, 0)


@pytest.mark.parametrize("count", [24, 0])
def test_a_tally_that_is_too_short_is_an_error(count: int) -> None:
    layout = LinkLayout()
    pipe, tally = pipe_of(layout.tx.place, layout.allocate()), array("Q", bytes(8 * count))
    with Kernel() as kernel:
        for call in (
            lambda: kernel.interface.take_frames(pipe, 0, 0, 1, 100, memoryview(BEARERS), tally),
            lambda: kernel.interface.fill_buffers(pipe, 0, 0, 0, 1, memoryview(BEARERS), tally),
            lambda: pipe.drain_slots((None,) * 8, (0, 0, 0, 1), 0, tally),
        ):
            with pytest.raises(ValueError, match="fit the pipe"):
                call()


@pytest.mark.parametrize("count", [0, 7, 9])
def test_there_are_eight_interfaces(count: int) -> None:
    layout = LinkLayout()
    pipe = pipe_of(layout.tx.place, layout.allocate())
    with pytest.raises(ValueError, match="fit the pipe"):
        pipe.drain_slots((None,) * count, (0, 0, 0, 1), 0, Tally().numbers)


@pytest.mark.parametrize("function", [0, 1, 2, 5])
@pytest.mark.parametrize("pipe", [None, b"bytes", object()])
def test_a_pipe_of_a_wrong_kind_is_an_error(function: int, pipe: object) -> None:
    with Kernel() as kernel, pytest.raises(TypeError):
        calls(pipe, kernel.interface)[function](0, 0, 0)


@pytest.mark.parametrize("index", [6, 7])
@pytest.mark.parametrize(("missing", "is_inside"), [(4, True), (3, False), (5, False), (0, False)])
def test_the_words_of_a_pipe_are_aligned_and_end_where_its_memory_ends(
    index: int, missing: int, is_inside: bool
) -> None:
    layout = LinkLayout()
    memory, place = layout.allocate(), list(layout.tx.place)
    place[index] = len(memory) - missing
    if is_inside:
        pipe_of(tuple(place), memory)
    else:
        with pytest.raises(ValueError, match="lie in its memory"):
            pipe_of(tuple(place), memory)


@pytest.mark.parametrize("length", [0, 7, 9])
def test_a_place_is_eight_numbers(length: int) -> None:
    layout = LinkLayout()
    with pytest.raises(TypeError):
        pump.Pipe(layout.allocate(), (*layout.tx.place, 0)[:length])


@pytest.mark.parametrize("owned", [(), (0, 0, 0), (0, 0, 0, 1, 0), None, 0, (0, 0, 0, None)])
def test_where_an_owner_stands_is_four_numbers(owned: object) -> None:
    layout = LinkLayout()
    pipe = pipe_of(layout.tx.place, layout.allocate())
    with Kernel() as kernel:
        with pytest.raises(TypeError):
            pipe.drain_slots((None,) * 8, owned, 0, Tally().numbers)
        with pytest.raises(TypeError):
            kernel.interface.send_slots(pipe, owned, 0, 0, 0, 0, 1500, numbers(32), numbers(32))


def test_slots_that_are_in_flight_are_not_free() -> None:
    """The two together are no more than there are."""
    layout = LinkLayout()
    pipe, two = pipe_of(layout.tx.place, layout.allocate()), (numbers(32), numbers(32))
    with Kernel() as kernel:
        for in_flight in (0, 1, 31, 32):
            owned = (0, in_flight, in_flight, 1)
            sent = kernel.interface.send_slots(pipe, owned, 0, 32 - in_flight, 1, 0, 1500, *two)
            assert sent == (0, 0, 0, 0)
            with pytest.raises(ValueError, match="fit the pipe"):
                kernel.interface.send_slots(pipe, owned, 0, 33 - in_flight, 1, 0, 1500, *two)


@pytest.mark.parametrize("word", [memoryview(b""), memoryview(bytes(3)), memoryview(bytearray(8))[1:5]])
def test_a_word_to_attend_to_that_is_none_is_an_error(word: memoryview) -> None:
    layout = LinkLayout()
    pipe = pipe_of(layout.tx.place, layout.allocate())
    with pytest.raises(ValueError, match="a word has four bytes"):
        pipe.attend(word)


@pytest.mark.parametrize("word", [0, "word", object(), memoryview(bytearray(8))[::2]])
def test_what_is_no_memory_is_not_attended_to(word: object) -> None:
    layout = LinkLayout()
    pipe = pipe_of(layout.tx.place, layout.allocate())
    with pytest.raises((TypeError, BufferError)):
        pipe.attend(word)


def test_one_who_attends_keeps_the_word_and_lets_go_of_it() -> None:
    layout = LinkLayout()
    pipe = pipe_of(layout.tx.place, layout.allocate())
    first, second, third = bytearray(4), bytearray(4), bytearray(3)
    pipe.attend(first)
    pipe.attend(second)
    first.append(0)
    with pytest.raises(ValueError):
        pipe.attend(third)
    third.append(0)
    with pytest.raises(BufferError):
        second.append(0)  # it is still the one
    pipe.attend(None)
    pipe.attend(None)
    second.append(0)
    pipe.attend(third)
    del pipe
    third.append(0)


def test_memory_that_may_not_be_written_is_an_error() -> None:
    layout = LinkLayout()
    with pytest.raises((TypeError, BufferError)):
        pump.Pipe(layout.allocate().toreadonly(), layout.tx.place)


def test_a_pipe_keeps_its_memory_and_lets_go_of_it() -> None:
    layout = LinkLayout()
    memory = bytearray(layout.size_bytes)
    pipe = pump.Pipe(memory, layout.tx.place)
    with pytest.raises(BufferError):
        memory.append(0)
    del pipe
    memory.append(0)


@pytest.mark.parametrize("arguments", [(), ("0",), (2**40,), (0, True, 1)])
def test_an_interface_wants_a_descriptor(arguments: tuple[object, ...]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        pump.Interface(*arguments)
