"""What keeps sides going, with sides made by hand."""

import socket
from collections.abc import Iterator

import pytest

from bamdmux.live.loop import Loop, Words, read_clock
from bamdmux.live.runner import DEADLINE_SLACK, SETTLE_ROUNDS, SPIN, Runner
from bamdmux.timing import MILLISECOND, SECOND, Duration, Instant


class Side:
    """Notes what it is asked, and has something to do so many times."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary
        self.deadline: Instant | None = None
        self.work = 0
        self.other: Side | None = None

    def feed(self, now: Instant) -> None:
        self.diary.append(f"{self.name} feed")

    def handle_timeout(self, now: Instant) -> None:
        self.diary.append(f"{self.name} time-out")
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None

    def carry_out_actions(self, now: Instant) -> bool:
        if not self.work:
            return False
        self.work -= 1
        self.diary.append(f"{self.name} acts")
        if self.other is not None:
            self.other.work += 1
        return True

    def arm(self) -> None:
        self.diary.append(f"{self.name} arms")


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def sides(diary: list[str]) -> tuple[Side, Side]:
    return Side("host", diary), Side("modem", diary)


def test_all_settle_before_any_arms(loop: Loop, sides: tuple[Side, Side], diary: list[str]) -> None:
    host, modem = sides
    host.work, modem.work = 2, 1
    Runner(loop, sides).settle()
    assert diary == ["host acts", "modem acts", "host acts", "host arms", "modem arms"]


def test_one_answers_the_other_until_both_are_quiet(
    loop: Loop, sides: tuple[Side, Side], diary: list[str]
) -> None:
    host, modem = sides
    modem.work, modem.other = 1, host
    Runner(loop, sides).settle()
    assert diary == ["modem acts", "host acts", "host arms", "modem arms"]


def test_sides_that_go_round_in_circles_are_a_bug(loop: Loop, sides: tuple[Side, Side]) -> None:
    host, modem = sides
    host.other, modem.other, host.work = modem, host, 1
    with pytest.raises(AssertionError, match=f"did not settle within {SETTLE_ROUNDS} rounds"):
        Runner(loop, sides).settle()


def test_a_step_feeds_fires_settles_and_arms(loop: Loop, sides: tuple[Side, Side], diary: list[str]) -> None:
    runner = Runner(loop, sides)
    sides[0].work, sides[1].deadline = 1, read_clock()
    runner.step()
    names = [
        "host feed",
        "modem feed",
        "host time-out",
        "modem time-out",
        "host acts",
        "host arms",
        "modem arms",
    ]
    assert diary == names
    assert sides[1].deadline is None


def test_nothing_is_fired_before_its_time(loop: Loop, sides: tuple[Side, Side], diary: list[str]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.watch(ours.fileno(), lambda now: diary.append("news"))
        theirs.send(b"x")
        sides[0].deadline = read_clock() + 100 * SECOND
        Runner(loop, sides).step()
    assert diary == ["news", "host feed", "modem feed", "host arms", "modem arms"]


def test_it_runs_until_something_is_so(loop: Loop, sides: tuple[Side, Side], diary: list[str]) -> None:
    host, _ = sides
    host.deadline = read_clock() + MILLISECOND
    assert Runner(loop, sides).run_until(lambda: host.deadline is None)
    assert "host time-out" in diary


def test_what_is_so_already_needs_no_step_but_is_settled(
    loop: Loop, sides: tuple[Side, Side], diary: list[str]
) -> None:
    sides[0].work = 1
    assert Runner(loop, sides).run_until(lambda: True)
    assert diary == ["host acts", "host arms", "modem arms"]


def test_what_does_not_come_is_given_up(loop: Loop, sides: tuple[Side, Side]) -> None:
    runner = Runner(loop, sides)
    begin = read_clock()
    assert not runner.run_until(lambda: False, 20 * MILLISECOND)
    assert runner.now >= begin + 20 * MILLISECOND


def test_a_runner_may_have_no_sides(loop: Loop) -> None:
    assert not Runner(loop, []).run_until(lambda: False, MILLISECOND)


# Asleep and awake


class WatchedLoop(Loop):
    """Writes down when it sleeps, and when it stays awake."""

    def __init__(self, diary: list[str]) -> None:
        super().__init__()
        self.diary = diary
        self.seen_words: Words = ()

    def wait(self, deadline: Instant | None, now: Instant) -> Instant:
        self.diary.append("sleeps")
        return super().wait(deadline, now)

    def spin(self, duration: Duration, words: Words = ()) -> Instant | None:
        assert duration == SPIN
        self.seen_words = words
        found = super().spin(duration, words)
        self.diary.append("awake, news" if found is not None else "awake, in vain")
        return found


class Sleeper:
    """Shares one word with another process."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.word = memoryview(bytearray(4)).cast("I")

    def words(self) -> Words:
        return ((self.word, 0),)

    def fall_asleep(self) -> None:
        self.diary.append("falls asleep")


@pytest.fixture
def watched(diary: list[str]) -> Iterator[WatchedLoop]:
    loop = WatchedLoop(diary)
    yield loop
    loop.close()


def test_it_falls_asleep_before_it_sleeps_and_only_then(watched: WatchedLoop, diary: list[str]) -> None:
    sleeper = Sleeper(diary)
    runner = Runner(watched, [], sleeper)
    runner.step(read_clock() + MILLISECOND)
    assert diary == ["awake, in vain", "falls asleep", "sleeps"]
    assert watched.seen_words == sleeper.words()


def test_awake_with_news_it_does_not_fall_asleep(watched: WatchedLoop, diary: list[str]) -> None:
    sleeper = Sleeper(diary)
    runner = Runner(watched, [], sleeper)
    sleeper.word[0] = 1
    runner.step(read_clock() + SECOND)
    assert diary == ["awake, news"]


def test_who_never_runs_out_of_news_looks_at_the_deadlines_once_in_a_while(
    watched: WatchedLoop, sides: tuple[Side, Side], diary: list[str]
) -> None:
    runner = Runner(watched, sides, Sleeper(diary))

    def again(now: Instant) -> None:
        watched.call_soon(again)

    watched.call_soon(again)
    due = sides[1].deadline = read_clock() + 5 * MILLISECOND
    fired_at = 0
    longest = before = 0
    while not fired_at:
        runner.step()
        longest, before = max(longest, runner.now - (before or runner.now)), runner.now
        if sides[1].deadline is None:
            fired_at = runner.now
        assert runner.now < due + 5 * SECOND, "the deadline never fired"
    assert due <= fired_at <= due + DEADLINE_SLACK + 2 * longest
    assert "awake, in vain" not in diary
    # It sleeps, which with news is no sleep, not more often than that.
    assert diary.count("sleeps") <= (fired_at - runner.started_at) / DEADLINE_SLACK + 1
    assert diary.count("falls asleep") == diary.count("sleeps")
