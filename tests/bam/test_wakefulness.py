"""Who is awake: no wake-up is lost in any order that processors allow; and the class that keeps the words.

The first part explores a model of both sides: all interleavings of what they do with the words, where a store
may reach the memory late, and in another order than those to other words, but never later than a fence. The
second part holds the class to the model's order of stores, fences and loads.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Pipe
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner
from bamdmux.bam.wakefulness import ASLEEP, AWAKE, DOZING, Wakefulness
from bamdmux.pump import native

LAYOUT = LinkLayout(slot_count=1)
WORDS = st.integers(0, 0xFFFF_FFFF)

# The model
#
# A side that is free publishes or goes to sleep. What it does then takes steps, and either side can take many
# between two of the other's. FRAMES and GIVEN_BACK are counters that it publishes, MOOD is its wakefulness.

FRAMES, GIVEN_BACK, MOOD = range(3)
# How often either side publishes, frames or what it gives back.
THREE_TIMES: Final = (2, 1)
ONCE: Final = (1, 0)

# What happens between a store and the load behind it.
BOTH_FENCE, ONLY_WHO_PUBLISHES, ONLY_WHO_SLEEPS, NOBODY_FENCES = "both", "publisher", "sleeper", "nobody"


class Step(Enum):
    """What a side has done last."""

    FREE = auto()
    PUBLISHED = auto()
    FENCED = auto()
    LYING_DOWN = auto()  # said that it sleeps
    LAST_LOOK = auto()
    SLEEPING = auto()
    WOKEN = auto()  # about to look


@dataclass(frozen=True)
class Actor:
    """One side, and what it has written that the other may not see yet: for each word, oldest first."""

    left: int  # times to publish
    step: Step = Step.FREE
    published: tuple[int, int] = (0, 0)
    last: int = FRAMES  # what it published last
    dozes: bool = False
    seen: tuple[int, int] = (0, 0)  # of the other's counters
    late: tuple[tuple[int, ...], ...] = ((), (), ())

    def write(self, word: int, value: int, **changes: Any) -> "Actor":
        late = list(self.late)
        late[word] += (value,)
        return replace(self, late=tuple(late), **changes)

    @property
    def has_written_all(self) -> bool:
        return not any(self.late)


@dataclass(frozen=True)
class World:
    """Both sides, the memory between them (three words of each), and the bells that ring at them."""

    actors: tuple[Actor, Actor]
    memory: tuple[tuple[int, int, int], ...] = ((0, 0, AWAKE), (0, 0, AWAKE))
    bells: tuple[bool, bool] = (False, False)

    def with_actor(self, me: int, actor: Actor) -> "World":
        actors = list(self.actors)
        actors[me] = actor
        return replace(self, actors=tuple(actors))

    def with_bell(self, me: int, rings: bool) -> "World":
        bells = list(self.bells)
        bells[me] = rings
        return replace(self, bells=tuple(bells))

    def with_word(self, me: int, word: int, value: int) -> "World":
        memory = [list(words) for words in self.memory]
        memory[me][word] = value
        return replace(self, memory=tuple(tuple(words) for words in memory))


def arrivals(world: World, me: int) -> Iterator[World]:
    """A store of mine reaches the memory."""
    actor = world.actors[me]
    for word, values in enumerate(actor.late):
        if values:
            late = list(actor.late)
            late[word] = values[1:]
            yield world.with_word(me, word, values[0]).with_actor(me, replace(actor, late=tuple(late)))


def moves(world: World, me: int, fences: str) -> Iterator[World]:
    """What I may do next."""
    actor, other = world.actors[me], 1 - me
    frames, given_back, mood = world.memory[other]
    match actor.step:
        case Step.FREE:
            for kind in (FRAMES, GIVEN_BACK) if actor.left else ():
                published = list(actor.published)
                published[kind] += 1
                changes = {"published": tuple(published), "last": kind, "left": actor.left - 1}
                yield world.with_actor(me, actor.write(kind, published[kind], step=Step.PUBLISHED, **changes))
            for dozes in (False, True):
                mine = DOZING if dozes else ASLEEP
                yield world.with_actor(me, actor.write(MOOD, mine, step=Step.LYING_DOWN, dozes=dozes))
        case Step.PUBLISHED:
            if actor.has_written_all or fences in (ONLY_WHO_SLEEPS, NOBODY_FENCES):
                yield world.with_actor(me, replace(actor, step=Step.FENCED))
        case Step.FENCED:
            rings = mood != AWAKE and (mood != DOZING or actor.last == FRAMES)
            world = world.with_bell(other, True) if rings else world
            yield world.with_actor(me, replace(actor, step=Step.FREE))
        case Step.LYING_DOWN:
            if actor.has_written_all or fences in (ONLY_WHO_PUBLISHES, NOBODY_FENCES):
                yield world.with_actor(me, replace(actor, step=Step.LAST_LOOK))
        case Step.LAST_LOOK:
            if frames != actor.seen[0] or not (actor.dozes or given_back == actor.seen[1]):
                yield world.with_actor(me, actor.write(MOOD, AWAKE, step=Step.WOKEN))
            else:
                yield world.with_actor(me, replace(actor, step=Step.SLEEPING))
        case Step.SLEEPING:
            if world.bells[me]:
                yield world.with_bell(me, False).with_actor(me, actor.write(MOOD, AWAKE, step=Step.WOKEN))
        case Step.WOKEN:
            yield world.with_actor(me, replace(actor, step=Step.FREE, seen=(frames, given_back)))


@cache
def explore(fences: str, publications: tuple[int, int]) -> list[World]:
    """All that can become of two sides: the worlds in which nothing happens any more."""
    begin = World(actors=(Actor(publications[0]), Actor(publications[1])))
    seen, waiting, ends = {begin}, [begin], []
    while waiting:
        world = waiting.pop()
        nexts = [after for me in (0, 1) for after in (*arrivals(world, me), *moves(world, me, fences))]
        if not nexts:
            ends.append(world)
        fresh = set(nexts) - seen
        seen |= fresh
        waiting += fresh
    return ends


def sleeps_through(world: World, me: int) -> bool:
    """Whether the other has published something that I want to know of, and nobody will tell me."""
    actor, (frames, given_back) = world.actors[me], world.actors[1 - me].published
    return frames != actor.seen[0] or not (actor.dozes or given_back == actor.seen[1])


def test_with_fences_on_both_sides_nobody_sleeps_through_anything() -> None:
    ends = explore(BOTH_FENCE, THREE_TIMES)
    for world in ends:
        assert [actor.step for actor in world.actors] == [Step.SLEEPING, Step.SLEEPING]
        assert not sleeps_through(world, 0)
        assert not sleeps_through(world, 1)
    assert {world.actors[0].published for world in ends} == {(2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0)}


def test_who_dozes_may_sleep_through_what_is_given_back_and_nothing_else() -> None:
    sleepers = [
        (actor.dozes, world.actors[1 - me].published[GIVEN_BACK] != actor.seen[GIVEN_BACK])
        for world in explore(BOTH_FENCE, THREE_TIMES)
        for me, actor in enumerate(world.actors)
    ]
    assert (True, True) in sleepers
    assert (False, True) not in sleepers


@pytest.mark.parametrize("fences", [ONLY_WHO_PUBLISHES, ONLY_WHO_SLEEPS, NOBODY_FENCES])
def test_without_a_fence_on_either_side_somebody_sleeps_through_a_frame(fences: str) -> None:
    ends = explore(fences, ONCE)
    assert any(world.actors[0].published[FRAMES] != world.actors[1].seen[FRAMES] for world in ends)


# The class, held to the model


class WatchedWord:
    """A word of memory that writes down what is done with it."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary
        self.value = 0

    def cast(self, kind: str) -> "WatchedWord":
        assert kind == "I"
        return self

    def toreadonly(self) -> "WatchedWord":
        return self

    def __getitem__(self, index: int) -> int:
        self.diary.append(f"load {self.name}")
        return self.value

    def __setitem__(self, index: int, value: int) -> None:
        self.diary.append(f"store {self.name} {value}")
        self.value = value


class WatchedMemory:
    """Stands for the link's memory and for the pump."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        offsets = {
            "host": LAYOUT.host_awake_offset,
            "modem": LAYOUT.modem_awake_offset,
            "tx tail": LAYOUT.tx.tail_offset,
            "tx position": LAYOUT.tx.position_offset,
            "rx tail": LAYOUT.rx.tail_offset,
            "rx position": LAYOUT.rx.position_offset,
        }
        self.words = {offset: WatchedWord(name, self.diary) for name, offset in offsets.items()}
        self.named = {word.name: word for word in self.words.values()}

    def __getitem__(self, place: slice) -> WatchedWord:
        assert place.stop == place.start + 4
        return self.words[place.start]

    def fence(self) -> None:
        self.diary.append("fence")

    def done(self) -> list[str]:
        """What was done since it was last asked."""
        diary = self.diary.copy()
        self.diary.clear()
        return diary


class Rig:
    """One side that has looked, or not yet, and its memory."""

    def __init__(self, *, is_host: bool, has_looked: bool = True) -> None:
        self.memory = WatchedMemory()
        memory: Any = self.memory
        self.side = Wakefulness(memory, LAYOUT, is_host=is_host)
        self.side.pump = self.memory
        names = ("host", "modem") if is_host else ("modem", "host")
        self.own, self.theirs = (self.memory.named[name] for name in names)
        # On which word frames come, and on which what is given back.
        watched = ("rx position", "tx position") if is_host else ("tx tail", "rx tail")
        self.brings, self.gives_back = (self.memory.named[name] for name in watched)
        self.frames_to_them = Pipe.TX if is_host else Pipe.RX
        self.gives_to_them = Pipe.RX if is_host else Pipe.TX
        if has_looked:
            self.side.look()
        self.memory.done()


for_each_side = pytest.mark.parametrize("is_host", [True, False], ids=["host", "modem"])
either_way = pytest.mark.parametrize("dozes", [True, False], ids=["dozing", "asleep"])


@for_each_side
def test_who_comes_begins_asleep_whatever_was_there(is_host: bool) -> None:
    memory = LAYOUT.allocate()
    own = LAYOUT.host_awake_offset if is_host else LAYOUT.modem_awake_offset
    memory[own : own + 4] = b"\1\0\0\0"
    Wakefulness(memory, LAYOUT, is_host=is_host)
    assert bytes(memory[own : own + 4]) == bytes(4)


@for_each_side
def test_each_writes_its_own_word_alone(is_host: bool) -> None:
    memory = LAYOUT.allocate()
    side = Wakefulness(memory, LAYOUT, is_host=is_host)
    side.pump = WatchedMemory()
    side.wake_up()
    own = LAYOUT.host_awake_offset if is_host else LAYOUT.modem_awake_offset
    expected = bytearray(LAYOUT.size_bytes)
    expected[own] = AWAKE
    assert memory == expected


@for_each_side
@either_way
def test_who_would_sleep_says_so_then_fences_then_looks(is_host: bool, dozes: bool) -> None:
    rig = Rig(is_host=is_host)
    assert rig.side.may_sleep(dozes=dozes)
    stored, fence, *loads = rig.memory.done()
    assert stored == f"store {rig.own.name} {DOZING if dozes else ASLEEP}"
    assert fence == "fence"
    names = [rig.brings.name] if dozes else [rig.brings.name, rig.gives_back.name]
    assert loads == [f"load {name}" for name in names]


@for_each_side
@either_way
def test_a_frame_keeps_awake_who_would_sleep(is_host: bool, dozes: bool) -> None:
    rig = Rig(is_host=is_host)
    rig.brings.value = 8
    assert not rig.side.may_sleep(dozes=dozes)
    assert rig.memory.done()[-1] == f"store {rig.own.name} {AWAKE}"


@for_each_side
@pytest.mark.parametrize(("dozes", "may_sleep"), [(True, True), (False, False)])
def test_what_is_given_back_keeps_awake_who_has_not_enough(
    is_host: bool, dozes: bool, may_sleep: bool
) -> None:
    rig = Rig(is_host=is_host)
    rig.gives_back.value = 8
    assert rig.side.may_sleep(dozes=dozes) is may_sleep
    assert rig.own.value == (DOZING if dozes else AWAKE)


@for_each_side
@either_way
def test_who_has_never_looked_may_not_sleep(is_host: bool, dozes: bool) -> None:
    rig = Rig(is_host=is_host, has_looked=False)
    assert rig.side.has_news(dozes=dozes)
    assert rig.side.words(dozes=dozes) == ()
    assert not rig.side.may_sleep(dozes=dozes)
    assert rig.own.value == AWAKE


@for_each_side
@either_way
def test_what_was_looked_at_is_no_news_any_more(is_host: bool, dozes: bool) -> None:
    rig = Rig(is_host=is_host)
    rig.brings.value = rig.gives_back.value = 8
    assert rig.side.has_news(dozes=dozes)
    rig.side.look()
    assert not rig.side.has_news(dozes=dozes)
    assert rig.side.may_sleep(dozes=dozes)


@for_each_side
def test_the_words_to_watch_are_those_that_keep_us_awake(is_host: bool) -> None:
    rig = Rig(is_host=is_host)
    rig.brings.value, rig.gives_back.value = 8, 16
    rig.side.look()
    rig.brings.value = 24
    views: Any = rig.side.words(dozes=False)
    assert views == ((rig.brings, 8), (rig.gives_back, 16))
    views = rig.side.words(dozes=True)
    assert views == ((rig.brings, 8),)


@for_each_side
@pytest.mark.parametrize(
    ("mood", "rings_for_frames", "rings_for_given_back"),
    [(ASLEEP, True, True), (AWAKE, False, False), (DOZING, True, False)],
)
def test_who_publishes_fences_then_reads_their_word_once(
    is_host: bool, mood: int, rings_for_frames: bool, rings_for_given_back: bool
) -> None:
    rig = Rig(is_host=is_host)
    rig.theirs.value = mood
    for pipe, rings in (
        (rig.frames_to_them, rings_for_frames),
        (rig.gives_to_them, rings_for_given_back),
    ):
        assert rig.side.must_ring(pipe) is rings
        assert rig.memory.done() == ["fence", f"load {rig.theirs.name}"]


@given(WORDS, st.booleans(), st.sampled_from(Pipe))
def test_a_liar_may_write_anything_and_only_hides_our_bells_from_itself(
    word: int, is_host: bool, pipe: Pipe
) -> None:
    rig = Rig(is_host=is_host)
    rig.theirs.value = word
    rings = rig.side.must_ring(pipe)
    assert rings is (word != AWAKE and not (word == DOZING and pipe is rig.gives_to_them))
    assert rig.own.value == ASLEEP


@given(WORDS, WORDS, st.booleans(), st.booleans())
def test_whatever_a_liar_publishes_is_news_once(
    brings: int, gives_back: int, is_host: bool, dozes: bool
) -> None:
    rig = Rig(is_host=is_host)
    rig.brings.value, rig.gives_back.value = brings, gives_back
    assert rig.side.has_news(dozes=dozes) is (brings != 0 or (gives_back != 0 and not dozes))
    rig.side.look()
    assert not rig.side.has_news(dozes=dozes)


# Without a fence


@for_each_side
@pytest.mark.parametrize("mood", [ASLEEP, AWAKE, DOZING])
def test_without_a_pump_it_always_rings(is_host: bool, mood: int) -> None:
    rig = Rig(is_host=is_host)
    rig.side.pump, rig.theirs.value = None, mood
    assert rig.side.must_ring(Pipe.TX)
    assert rig.side.must_ring(Pipe.RX)


@for_each_side
@either_way
def test_without_a_pump_it_never_says_that_it_is_awake(is_host: bool, dozes: bool) -> None:
    rig = Rig(is_host=is_host)
    rig.side.pump, rig.brings.value = None, 8
    rig.side.wake_up()
    assert rig.side.may_sleep(dozes=dozes)  # whatever comes is rung for
    assert [each for each in rig.memory.done() if each.startswith("store")] == []
    assert rig.own.value == ASLEEP


# Both


@pytest.mark.skipif(native is None, reason="the native pump was not built")
def test_what_one_publishes_keeps_the_other_awake_and_is_not_rung_for() -> None:
    memory = LAYOUT.allocate()
    host, modem = (Wakefulness(memory, LAYOUT, is_host=is_host) for is_host in (True, False))
    pipe = PipeOwner(memory, LAYOUT.tx)
    pipe.open()
    modem.wake_up()
    modem.look()
    pipe.submit(0, 8)
    pipe.publish()
    assert not host.must_ring(Pipe.TX)
    assert not modem.may_sleep(dozes=True)
    modem.look()
    assert modem.may_sleep(dozes=True)
    assert host.must_ring(Pipe.TX)
    assert not host.must_ring(Pipe.RX)
    assert modem.may_sleep(dozes=False)
    assert host.must_ring(Pipe.RX)
