"""One of two processes that exchange frames over a link's memory, and sleep whenever there is nothing to do.

    python -m tests.live.split.bell_ringer host 5 6 '{"exchanges": 1000}'

Pipes, wakefulness, doorbell, loop and runner are the real ones; the two machines are a few lines each, and
no deadline of theirs wakes anybody in the end. Whoever sleeps through a doorbell sleeps until the patience
is over, and says so. The host sends a number of frames, at times more than there are slots, and waits until
all of them are answered. Either side stops at random for a while, at its fences above all, and so is found
awake, asleep and falling asleep.

On stdout: what it did, as JSON.
"""

import json
import os
import random
import sys
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bamdmux.actions import Pipe
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.bam.wakefulness import ASLEEP, Wakefulness
from bamdmux.live.loop import Loop, Words, read_clock
from bamdmux.live.runner import SPIN, Runner
from bamdmux.live.split.doorbell import Doorbell
from bamdmux.live.split.far_side import RemoteSide
from bamdmux.live.split.memory import SharedMemory
from bamdmux.pump import native
from bamdmux.timing import MICROSECOND, MILLISECOND, Instant

LAYOUT: Final = LinkLayout(slot_count=4, receive_bytes=64, transmit_bytes=64)
FRAME_BYTES: Final = 8
SHORT_PAUSE: Final = 10 * MICROSECOND
LONG_PAUSE: Final = 3 * SPIN
NO_BELL: Final = 3  # the exit code of who was patient for nothing


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much, and how."""

    exchanges: int
    seed: int = 0
    patience_ms: int = 10_000
    looks_once_more: bool = True  # False: the bug that all this is to find


@dataclass
class Diary:
    """What it did."""

    frames: int = 0  # taken from the other one
    batches: int = 0  # that published something
    rings: int = 0
    naps: int = 0  # how often it said that it sleeps
    wrong: list[int] = field(default_factory=list)


class CountedBell(Doorbell):
    """A doorbell that is counted when it is rung."""

    diary: Diary

    def ring(self) -> None:
        self.diary.rings += 1
        super().ring()


class HastyWakefulness(Wakefulness):
    """One that falls asleep without another look."""

    def may_sleep(self, *, dozes: bool) -> bool:
        assert self.pump is not None
        self.pump.fence()  # takes a while
        self._own[0] = ASLEEP
        return True


class SlowPump:
    """The native pump's fence, in the middle of a pause: what happens before it and after it is far apart."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def fence(self) -> None:
        pause(self._dice)
        native.fence()
        pause(self._dice)


class Ringer:
    """What both have in common: a side of the runner that shares the rings with another process."""

    is_host: bool

    def __init__(self, shared: SharedMemory, end: int, options: Options) -> None:
        self.options = options
        self.diary = Diary()
        self.dice = random.Random(f"{options.seed} {self.is_host}")
        kind = Wakefulness if options.looks_once_more else HastyWakefulness
        self.wakefulness = kind(shared.memory, LAYOUT, is_host=self.is_host)
        if self.wakefulness.pump is not None:
            self.wakefulness.pump = SlowPump(self.dice)
        self.bell = CountedBell(end)
        self.bell.diary = self.diary
        self.far = RemoteSide(self.bell, self.wakefulness)
        self.loop = Loop()
        self.loop.watch(self.bell.fileno(), self._rang)
        self.is_over = self.has_published = False
        self.deadline: Instant = read_clock() + options.patience_ms * MILLISECOND

    # A side

    def feed(self, now: Instant) -> None:
        if now >= self.deadline:  # whatever there is to be seen now: nobody woke us for it
            print(json.dumps(asdict(self.diary)), flush=True)
            os._exit(NO_BELL)
        self.wakefulness.wake_up()
        if self.wakefulness.has_news(dozes=self.dozes):
            self._look(now)

    def handle_timeout(self, now: Instant) -> None:
        """See `feed`."""

    def carry_out_actions(self, now: Instant) -> bool:
        return False

    def arm(self) -> None:
        self.diary.batches += self.has_published
        self.has_published = False
        self.far.flush()

    # A sleeper

    def words(self) -> Words:
        return self.wakefulness.words(dozes=self.dozes)

    def fall_asleep(self) -> None:
        self.diary.naps += 1
        if not self.wakefulness.may_sleep(dozes=self.dozes):
            self.loop.call_soon(self._look)

    @property
    def dozes(self) -> bool:
        """Whether what is given back is no reason to wake up."""
        raise NotImplementedError

    def look(self, now: Instant) -> None:
        raise NotImplementedError

    def publish(self, now: Instant, *pipes: tuple[Pipe, int]) -> None:
        """Say so, if there was anything to publish on these pipes."""
        for pipe, count in pipes:
            if count:
                self.has_published = True
                self.far.doorbell_rang(pipe, now)

    def _rang(self, now: Instant) -> None:
        if self.bell.answer():
            self._look(now)
        else:
            self.is_over = True

    def _look(self, now: Instant) -> None:
        self.wakefulness.look()
        before = self.diary.frames
        self.look(now)
        if self.diary.frames != before:
            self.deadline = now + self.options.patience_ms * MILLISECOND
        pause(self.dice)

    def run(self) -> None:
        Runner(self.loop, [self], sleeper=self).run_until(lambda: self.is_over)
        print(json.dumps(asdict(self.diary)), flush=True)

    def check(self, frame: memoryview, number: int) -> None:
        if bytes(frame) != number.to_bytes(FRAME_BYTES, "little"):
            self.diary.wrong.append(number)


class HostRinger(Ringer):
    """Asks, and waits for the answers."""

    is_host = True

    def __init__(self, shared: SharedMemory, end: int, options: Options) -> None:
        super().__init__(shared, end, options)
        self.tx, self.rx = PipeOwner(shared.memory, LAYOUT.tx), PipeOwner(shared.memory, LAYOUT.rx)
        self.tx.open()
        self.rx.open()
        for slot in range(LAYOUT.slot_count):
            self.rx.submit(slot, FRAME_BYTES)
        self.free = LAYOUT.slot_count
        self.asked = self.wanted = 0  # numbers of frames since the beginning
        self.may_doze = False
        self.loop.call_soon(self._look)

    @property
    def dozes(self) -> bool:
        return self.may_doze and self.asked == self.wanted

    def look(self, now: Instant) -> None:
        completed = self.tx.completed()
        self.tx.retire(completed)
        self.free += completed
        for _ in range(self.rx.completed()):
            slot, written = self.rx.reap()
            self.check(self.rx.slot(slot)[:written], self.diary.frames)
            self.diary.frames += 1
            self.rx.submit(slot, FRAME_BYTES)
        if self.diary.frames == self.wanted:
            if self.wanted >= self.options.exchanges:
                self.is_over = True
                return
            self.wanted += self.dice.randint(1, 2 * LAYOUT.slot_count)
            self.may_doze = self.dice.random() < 0.5
            pause(self.dice)
        while self.free and self.asked < self.wanted:
            slot = self.asked % LAYOUT.slot_count
            self.tx.slot(slot)[:FRAME_BYTES] = self.asked.to_bytes(FRAME_BYTES, "little")
            self.tx.submit(slot, FRAME_BYTES)
            self.asked += 1
            self.free -= 1
        self.publish(now, (Pipe.TX, self.tx.publish()), (Pipe.RX, self.rx.publish()))


class ModemRinger(Ringer):
    """Answers each frame with its number."""

    is_host = False

    def __init__(self, shared: SharedMemory, end: int, options: Options) -> None:
        super().__init__(shared, end, options)
        self.tx, self.rx = PipePeer(shared.memory, LAYOUT.tx), PipePeer(shared.memory, LAYOUT.rx)
        self.answered = 0
        self.loop.call_soon(self._look)

    @property
    def dozes(self) -> bool:
        return self.answered == self.diary.frames

    def look(self, now: Instant) -> None:
        for _ in range(self.tx.available()):
            self.check(self.tx.take(), self.diary.frames)
            self.tx.complete()
            self.diary.frames += 1
        for _ in range(min(self.rx.available(), self.diary.frames - self.answered)):
            self.rx.take()[:] = self.answered.to_bytes(FRAME_BYTES, "little")
            self.rx.complete(FRAME_BYTES)
            self.answered += 1
        self.publish(now, (Pipe.TX, self.tx.publish()), (Pipe.RX, self.rx.publish()))


def pause(dice: random.Random) -> None:
    """Be busy with something else: mostly not, or for as long as a batch takes, or longer than a spin."""
    kind = dice.randrange(4)
    if kind < 2:
        until = read_clock() + dice.randrange((SHORT_PAUSE, LONG_PAUSE)[kind])
        while read_clock() < until:
            os.sched_yield()


def main(role: str, memory: str, end: str, options: str) -> None:
    """Take part until the host has its answers, or has gone."""
    values: dict[str, Any] = json.loads(options)
    shared = SharedMemory.adopt(int(memory), LAYOUT)
    kind = HostRinger if role == "host" else ModemRinger
    kind(shared, int(end), Options(**values)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
