"""The one place that waits."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from bamdmux.live import loop as loop_module
from bamdmux.live.loop import MAX_EVENTS, Loop, read_clock
from bamdmux.pump import native
from bamdmux.timing import MILLISECOND, SECOND, Duration, Instant


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def wait(loop: Loop, within_ns: int = 5 * SECOND) -> Instant:
    now = read_clock()
    return loop.wait(now + within_ns, now)


def test_a_deadline_ends_the_wait_and_never_early(loop: Loop) -> None:
    begin = read_clock()
    assert loop.wait(begin + 20 * MILLISECOND, begin) >= begin + 20 * MILLISECOND


@pytest.mark.parametrize("ago", [0, 1, 10 * SECOND])
def test_a_deadline_that_has_passed_is_not_waited_for(loop: Loop, ago: int) -> None:
    now = read_clock()
    assert loop.wait(now - ago, now) - now < SECOND


def test_news_end_a_wait_without_a_deadline(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    calls: list[Instant] = []
    loop.watch(ours.fileno(), calls.append)
    theirs.send(b"x")
    now = loop.wait(None, read_clock())
    assert calls == [now]


def test_what_is_not_read_is_told_again(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    calls: list[Instant] = []
    loop.watch(ours.fileno(), calls.append)
    theirs.send(b"x")
    wait(loop)
    wait(loop)
    assert len(calls) == 2


def test_the_other_end_s_end_is_news(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    calls: list[Instant] = []
    loop.watch(ours.fileno(), calls.append)
    theirs.close()
    wait(loop)
    assert calls


def test_what_is_watched_already_keeps_its_callback(
    loop: Loop, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    first: list[Instant] = []
    loop.watch(ours.fileno(), first.append)
    loop.watch(ours.fileno(), lambda now: pytest.fail("replaced"))
    theirs.send(b"x")
    wait(loop)
    assert first


def test_what_is_forgotten_is_no_news(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    loop.watch(ours.fileno(), lambda now: pytest.fail("called"))
    assert loop.is_watching(ours.fileno())
    loop.forget(ours.fileno())
    assert not loop.is_watching(ours.fileno())
    theirs.send(b"x")
    wait(loop, 0)
    loop.forget(ours.fileno())  # once more does no harm
    loop.forget(12345)


def test_what_is_closed_can_be_forgotten(loop: Loop) -> None:
    """TUNs vanish; epoll has forgotten them by itself."""
    reading, writing = os.pipe()
    loop.watch(reading, lambda now: None)
    other = select.epoll()
    os.dup2(other.fileno(), reading)  # another file at the same number
    loop.forget(reading)
    os.close(reading)
    os.close(writing)
    other.close()


def test_one_callback_may_take_the_others_out(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    calls = []

    def called(now: Instant) -> None:
        calls.append(now)
        for ours, _ in pairs:
            loop.forget(ours.fileno())

    for ours, theirs in pairs:
        loop.watch(ours.fileno(), called)
        theirs.send(b"x")
    wait(loop)
    assert len(calls) == 1
    for pair in pairs:
        for end in pair:
            end.close()


def test_more_news_than_one_wait_reports_come_with_the_next(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(MAX_EVENTS + 1)]
    called: set[int] = set()
    for index, (ours, theirs) in enumerate(pairs):
        loop.watch(ours.fileno(), partial(lambda index, now: called.add(index), index))
        theirs.send(b"x")
    wait(loop)
    assert len(called) == MAX_EVENTS
    wait(loop)
    assert len(called) == MAX_EVENTS + 1
    for pair in pairs:
        for end in pair:
            end.close()


def test_what_is_to_be_done_soon_is_done_once_and_without_waiting(loop: Loop) -> None:
    calls: list[Instant] = []
    loop.call_soon(calls.append)
    now = loop.wait(None, read_clock())
    assert calls == [now]
    wait(loop, 0)
    assert calls == [now]


def test_what_is_asked_for_meanwhile_comes_with_the_next_wait(loop: Loop) -> None:
    calls: list[str] = []

    def again(now: Instant) -> None:
        calls.append("first")
        loop.call_soon(lambda now: calls.append("second"))

    loop.call_soon(again)
    loop.wait(None, read_clock())
    assert calls == ["first"]
    loop.wait(None, read_clock())
    assert calls == ["first", "second"]


def test_descriptors_come_before_what_is_to_be_done_soon(
    loop: Loop, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    calls: list[str] = []
    loop.call_soon(lambda now: calls.append("soon"))
    loop.watch(ours.fileno(), lambda now: calls.append("news"))
    theirs.send(b"x")
    wait(loop)
    assert calls == ["news", "soon"]


# News


def test_news_come_once(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    calls: list[Instant] = []
    loop.watch_news(ours.fileno(), calls.append)
    theirs.send(b"x")
    wait(loop)
    wait(loop, 0)
    assert len(calls) == 1
    theirs.send(b"y")
    wait(loop)
    assert len(calls) == 2


def test_an_end_is_news_once_and_keeps_nobody_awake(
    loop: Loop, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    calls: list[Instant] = []
    loop.watch_news(ours.fileno(), calls.append)
    theirs.close()
    wait(loop)
    for _ in range(3):
        wait(loop, 0)
    assert len(calls) == 1


def test_space_is_news_only_while_it_is_wanted(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.setblocking(False)
    calls: list[Instant] = []
    loop.watch_news(ours.fileno(), calls.append)
    wait(loop, 0)
    assert calls == []
    loop.watch_news(ours.fileno(), calls.append, writable=True)
    wait(loop)
    assert len(calls) == 1
    with suppress(BlockingIOError):
        while True:
            ours.send(bytes(4096))
    wait(loop, 0)
    while theirs.recv(1 << 20, socket.MSG_DONTWAIT):
        wait(loop, 0)
        if len(calls) > 1:
            break
    assert len(calls) > 1
    loop.watch_news(ours.fileno(), calls.append)
    before = len(calls)
    wait(loop, 0)
    assert len(calls) == before


def test_news_can_be_forgotten(loop: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    loop.watch_news(ours.fileno(), lambda now: pytest.fail("called"), writable=True)
    loop.forget(ours.fileno())
    theirs.send(b"x")
    wait(loop, 0)


# Awake

WAYS = [
    pytest.param(True, marks=pytest.mark.skipif(native is None, reason="the native pump was not built")),
    False,
]
LONG = 5 * SECOND  # what is found, is found at once
SHORT = 3 * MILLISECOND


@pytest.fixture(params=WAYS, ids=["native", "python"])
def spinner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    if not request.param:
        monkeypatch.setattr(loop_module, "native", None)
    loop = Loop()
    yield loop
    loop.close()


def word(value: int) -> memoryview:
    return memoryview(bytearray(value.to_bytes(4, "little"))).cast("I")


def test_awake_it_finds_what_is_readable(spinner: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    calls: list[Instant] = []
    spinner.watch(ours.fileno(), calls.append)
    theirs.send(b"x")
    now = spinner.spin(LONG)
    assert calls == [now]


def test_awake_it_finds_a_word_that_is_another(spinner: Loop) -> None:
    begin = read_clock()
    now = spinner.spin(LONG, ((word(7), 7), (word(8), 7)))
    assert now is not None
    assert now - begin < LONG


def test_awake_it_sees_a_word_change(spinner: Loop) -> None:
    memory = word(7)
    begin = read_clock()

    def write() -> None:
        while read_clock() < begin + 20 * MILLISECOND:
            pass
        memory[0] = 8

    writer = threading.Thread(target=write)
    writer.start()
    now = None
    while now is None and read_clock() < begin + LONG:  # where processors are crowded it gives up soon
        now = spinner.spin(LONG, ((memory, 7),))
    writer.join()
    assert now is not None
    assert begin + 20 * MILLISECOND <= now < begin + LONG


def test_awake_it_does_at_once_what_is_to_be_done_soon(spinner: Loop) -> None:
    calls: list[Instant] = []
    spinner.call_soon(calls.append)
    assert calls == [spinner.spin(LONG, ((word(7), 7),))]


def test_awake_without_news_it_gives_up_when_the_time_is_over(
    spinner: Loop, ends: tuple[socket.socket, socket.socket]
) -> None:
    spinner.watch(ends[0].fileno(), lambda now: pytest.fail("called"))

    def time_awake() -> Duration:
        begin = read_clock()
        assert spinner.spin(SHORT, ((word(7), 7),)) is None
        return read_clock() - begin

    begin = read_clock()
    while time_awake() < SHORT:  # where processors are crowded it gives up sooner, for a while
        assert read_clock() < begin + LONG


def test_awake_for_no_time_it_has_one_look(spinner: Loop, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    spinner.watch(ours.fileno(), lambda now: None)
    assert spinner.spin(0) is None
    theirs.send(b"x")
    assert spinner.spin(0) is not None
