"""Both ends of one pipe against each other, and the lines: resets, deaths and scribbles at any moment.

The owner submits, publishes, takes back, terminates, is replaced; the peer looks, uses buffers, publishes, is
replaced, all in any order and in the middle of one another's batches. As long as the script leaves the memory
alone, what comes back is held against a model: the same slots in the same order, with the bytes and the
counts of the peer, and nothing of before a reset. From the first scribble on, each end can only be asked to
keep its own bookkeeping: no exception, no count out of range, no view outside of the pipe's buffers, no write
outside of what is its own.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from bamdmux.actions import Line
from bamdmux.bam.lines import COUNT_MASK, LineReader, LineWriter, edges_between, level_of
from bamdmux.bam.memory import LinkLayout, PipeLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from fuzz.script import Script

MAX_STEPS: Final = 128
SLOT_BYTES: Final = 12
GUARD_BYTES: Final = 64  # before and behind the pipe: nobody's


@dataclass(slots=True)
class Entry:
    """What is in flight, in the model."""

    slot_index: int
    size: int  # that the owner queued
    described: int  # the size that its descriptor says now
    written: int | None = None  # by the peer, if it is done with it
    is_given_back: bool = False


class Pipe:
    """One pipe, its two ends, and the model. ``entries`` is what is in flight, oldest first."""

    def __init__(self, script: Script) -> None:
        self._script = script
        slots = 1 + script.below(4)
        self.layout = PipeLayout(
            start=GUARD_BYTES,
            entry_count=slots + 1 + script.below(3),
            slot_count=slots,
            slot_bytes=SLOT_BYTES,
        )
        self.memory = memoryview(bytearray(self.layout.end + GUARD_BYTES))
        generation = script.choice((0, 0xFFFE, 0xFFFF, script.number(2)))
        for offset in (self.layout.tail_offset, self.layout.position_offset):
            self.word(offset)[0] = generation << 16
        self.owner = PipeOwner(self.memory, self.layout)
        self.peer = PipePeer(self.memory, self.layout)
        self.is_scribbled = False
        self.entries: deque[Entry] = deque()
        self.published = 0  # of the entries
        self.batch: deque[Entry] = deque()  # what the peer has seen and not used
        self.used: list[Entry] = []  # what it has used and not published
        self.is_stale = True  # the peer has not looked since the last reset
        self.open_owner()

    def word(self, offset: int) -> memoryview:
        return self.memory[offset : offset + 4].cast("I")

    # The owner

    def open_owner(self) -> None:
        self.owner.open()
        self._forget()

    def _forget(self) -> None:
        self.entries.clear()
        self.published = 0
        self.is_stale = True

    def submit(self, size: int) -> None:
        busy = {entry.slot_index for entry in self.entries}
        free = [index for index in range(self.layout.slot_count) if index not in busy]
        if free:
            self.owner.submit(free[0], size)
            self.entries.append(Entry(free[0], size, size))

    def publish(self) -> None:
        assert self.owner.publish() == len(self.entries) - self.published
        self.published = len(self.entries)

    def take_back(self, is_rx: bool) -> None:
        count = self.owner.completed()
        assert 0 <= count <= self.published, "more than was handed over"
        if not self.is_scribbled:
            assert count == sum(entry.is_given_back for entry in self.entries)
            assert self.owner.bad_position_count == 0
        entries = [self.entries.popleft() for _ in range(count)]
        self.published -= count
        if not is_rx:
            self.owner.retire(count)
            return
        for entry in entries:
            slot_index, written = self.owner.reap()
            assert slot_index == entry.slot_index, "not the oldest"
            assert -1 <= written <= entry.size
            if not self.is_scribbled and entry.written is not None:
                assert written == (entry.written if entry.written <= entry.size else -1)

    def terminate(self) -> None:
        assert self.owner.terminate() == len(self.entries)
        if self.entries:
            self._forget()

    def replace_owner(self) -> None:
        """Its process ends, and another one opens the pipe."""
        self.owner = PipeOwner(self.memory, self.layout)
        self.open_owner()

    # The peer

    def look(self) -> None:
        count = self.peer.available()
        assert 0 <= count < self.layout.entry_count
        if self.is_scribbled:
            self.batch = deque([Entry(0, SLOT_BYTES, SLOT_BYTES)] * count)
            return
        if self.is_stale:
            self.is_stale = False
            self.used.clear()
        done = len(self.used) + sum(entry.is_given_back for entry in self.entries)
        self.batch = deque(list(self.entries)[done : self.published])
        assert count == len(self.batch), "the peer does not see what was published"
        assert self.peer.bad_tail_count == 0

    def use(self, written: int | None) -> None:
        if not self.batch:
            return
        entry = self.batch.popleft()
        buffer = self.peer.take()
        assert len(buffer) <= self.layout.end - self.layout.buffers_offset
        if not self.is_scribbled:
            assert len(buffer) == (0 if self.is_stale else self._visible_bytes(entry))
        buffer[:] = bytes([self._script.number()]) * len(buffer)
        is_done = self.peer.complete(written)
        if not self.is_scribbled:
            assert is_done is not self.is_stale, "done with what was taken away"
        if is_done:
            if written is not None:  # and a successor that sees the entry again sees that as its size
                entry.written = entry.described = written
            self.used.append(entry)

    def _visible_bytes(self, entry: Entry) -> int:
        """Of a buffer, by its descriptor: none of it, if that goes beyond all buffers."""
        room = self.layout.end - self.layout.slot_address(entry.slot_index)
        return entry.described if entry.described <= room else 0

    def give_back(self) -> None:
        count = self.peer.publish()
        if not self.is_scribbled and not self.is_stale:
            assert count == len(self.used)
            for entry in self.used:
                entry.is_given_back = True
        self.used.clear()

    def replace_peer(self) -> None:
        """Its process ends; the next one goes on behind what was given back, if nobody has reset the pipe."""
        self.used.clear()
        self.batch.clear()
        self.peer = PipePeer(self.memory, self.layout)

    # Whoever writes what is not his

    def scribble(self) -> None:
        self.is_scribbled = True
        layout, script = self.layout, self._script
        if script.chance():
            self.word(script.choice((layout.tail_offset, layout.position_offset)))[0] = script.number(4)
            return
        offset = layout.start + script.number() % (layout.end - layout.start)
        octets = script.octets(8)[: layout.end - offset]
        self.memory[offset : offset + len(octets)] = octets


def check_pipe(script: Script) -> None:
    pipe = Pipe(script)
    is_rx = script.chance()
    for _ in range(MAX_STEPS):
        if script.is_over:
            break
        step(pipe, script, is_rx)
        assert pipe.owner.in_flight == len(pipe.entries), "an entry was lost"
    guards = bytes(pipe.memory[:GUARD_BYTES]) + bytes(pipe.memory[pipe.layout.end :])
    assert guards == bytes(2 * GUARD_BYTES), "somebody wrote outside of the pipe"


def step(pipe: Pipe, script: Script, is_rx: bool) -> None:
    match script.below(16):
        case 0 | 1 | 2:
            pipe.submit(1 + script.below(SLOT_BYTES))
        case 3 | 4:
            pipe.publish()
        case 5 | 6:
            pipe.take_back(is_rx)
        case 7:
            pipe.terminate()
        case 8:
            pipe.replace_owner()
        case 9 | 10:
            pipe.look()
        case 11 | 12:
            pipe.use(script.number(script.choice((1, 2))) if is_rx else None)
        case 13:
            pipe.give_back()
        case 14:
            pipe.replace_peer()
        case 15:
            if script.below(4) == 0:
                pipe.scribble()


def check_lines(script: Script) -> None:
    """Any count may stand in a line's word, before its writer begins and whenever a reader looks."""
    layout = LinkLayout(slot_count=1)
    memory = layout.allocate()
    line = script.choice(tuple(Line))
    word = memory[layout.line_offset(line) : layout.line_offset(line) + 4].cast("I")
    word[0] = script.number(4)
    writer, reader = LineWriter(memory, layout, line), LineReader(memory, layout, line)
    assert writer.edge_count == reader.edge_count == word[0]
    while not script.is_over:
        before = writer.edge_count
        if script.below(4) == 0:
            word[0] = script.number(4)  # somebody else writes the word: its writer goes by what it knows
            assert writer.edge_count == before
            assert 0 <= edges_between(before, reader.edge_count) <= COUNT_MASK
            continue
        level = script.chance()
        is_edge = writer.set(level)
        assert is_edge is (level_of(before) is not level)
        assert writer.level is level
        assert edges_between(before, writer.edge_count) == int(is_edge)
        assert not is_edge or reader.edge_count == writer.edge_count


def check(data: bytes) -> None:
    """Play one script."""
    script = Script(data)
    if script.below(8):
        check_pipe(script)
    else:
        check_lines(script)
