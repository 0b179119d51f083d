"""Whole messages, so many and no more."""

import pytest

from bamdmux.live.ports.output import MAX_BYTES, MAX_MESSAGES, OutputQueue


class Reader:
    """Takes so many bytes at once, and then no more until it is told to."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.read = b""

    def __call__(self, data: memoryview) -> int:
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.read += taken
        return len(taken)


def contents(queue: OutputQueue) -> bytes:
    reader = Reader(1 << 30)
    queue.write_out(reader)
    return reader.read


def test_messages_come_out_in_order_however_they_are_cut() -> None:
    queue = OutputQueue()
    for data in (b"one ", b"two ", b"three"):
        queue.put(data)
    reader = Reader(0)
    finished = []
    while queue:
        reader.room = 3
        finished.append(queue.write_out(reader))
    assert reader.read == b"one two three"
    assert finished == [0, 1, 1, 0, 1]


def test_the_oldest_indication_goes_first() -> None:
    queue = OutputQueue(max_messages=4)
    queue.put(b"a")
    queue.put(b"i", is_indication=True)
    queue.put(b"j", is_indication=True)
    for data in (b"b", b"c"):
        queue.put(data)
    assert contents(queue) == b"ajbc"
    assert (queue.dropped_indications, queue.dropped_messages) == (1, 0)


def test_without_indications_the_oldest_message_goes() -> None:
    queue = OutputQueue(max_messages=2)
    for data in (b"a", b"b", b"c"):
        queue.put(data)
    assert contents(queue) == b"bc"
    assert (queue.dropped_indications, queue.dropped_messages) == (0, 1)


def test_bytes_count_as_well() -> None:
    queue = OutputQueue(max_bytes=10)
    queue.put(b"12345")
    queue.put(b"67890")
    assert (queue.dropped_messages, queue.has_room) == (0, False)
    queue.put(b"x")
    assert contents(queue) == b"67890x"


@pytest.mark.parametrize("is_indication", [True, False])
def test_what_is_begun_is_finished(is_indication: bool) -> None:
    queue = OutputQueue(max_messages=1)
    queue.put(b"begun", is_indication=is_indication)
    reader = Reader(2)
    queue.write_out(reader)
    queue.put(b"later")
    queue.put(b"last")
    reader.room = 100
    queue.write_out(reader)
    assert reader.read == b"begun"
    assert queue.dropped_messages == 2


def test_what_must_stay_stays() -> None:
    queue = OutputQueue(max_messages=2)
    queue.put(b"a", must_stay=True)
    queue.put(b"b")
    queue.put(b"c", must_stay=True)
    queue.put(b"d", must_stay=True)
    assert contents(queue) == b"acd"


def test_there_is_room_while_less_than_half_is_used() -> None:
    queue = OutputQueue()
    for _ in range(MAX_MESSAGES // 2 - 1):
        queue.put(b"x")
    assert queue.has_room
    queue.put(b"x")
    assert not queue.has_room
    queue.clear()
    assert queue.has_room
    queue.put(bytes(MAX_BYTES // 2))
    assert not queue.has_room


def test_what_is_cleared_is_gone_with_what_was_begun() -> None:
    queue = OutputQueue()
    queue.put(b"begun")
    queue.write_out(Reader(2))
    queue.clear()
    assert not queue
    queue.put(b"new")
    assert contents(queue) == b"new"
