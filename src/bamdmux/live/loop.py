"""The one place that waits: file descriptors with their callbacks, and a deadline.

    loop.watch(tun.fileno(), packets_wait)
    now = loop.wait(deadline)        # callbacks have run; now is one reading of the clock for all of them

Machines never wait; whoever runs them asks each for its deadline, waits here, and feeds them. Nothing is
polled: without a deadline and without news the process sleeps.
"""

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bamdmux.pump import native
from bamdmux.timing import SECOND, Duration, Instant

Callback = Callable[[Instant], None]
Words = tuple[tuple[memoryview, int], ...]

# How many descriptors one wait reports; the others come with the next.
MAX_EVENTS: Final = 64


def read_clock() -> Instant:
    """Now, on the clock that all machines of this process share."""
    return time.monotonic_ns()


class Loop:
    """Descriptors and what to call when they are readable."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._soon: list[Callback] = []

    def watch(self, descriptor: int, callback: Callback) -> None:
        """Call `callback` whenever the descriptor is readable, hung up, or in error."""
        if descriptor in self._callbacks:
            return
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def watch_news(self, descriptor: int, callback: Callback, *, writable: bool = False) -> None:
        """Call `callback` once for whatever happens to the descriptor, and not again until more has happened.

        So one that stays hung up does not keep us awake; and whoever leaves something unread must come back
        by itself. Call it again, with the same callback, to change what is news.

        Args:
            writable: that there is space to write is news as well.
        """
        events = select.EPOLLET | select.EPOLLIN | (select.EPOLLOUT if writable else 0)
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, events)  # and if there is any, it is news once more
        else:
            self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching; call it before the descriptor is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            with suppress(FileNotFoundError):
                self._epoll.unregister(descriptor)

    def is_watching(self, descriptor: int) -> bool:
        return descriptor in self._callbacks

    def call_soon(self, callback: Callback) -> None:
        """Call `callback` once, in the next `wait`, which then does not wait: for work done in pieces."""
        self._soon.append(callback)

    def wait(self, deadline: Instant | None, now: Instant) -> Instant:
        """Wait until the deadline at most, run the callbacks that are due, and return the time.

        Args:
            now: the caller's last reading of the clock.
        """
        # epoll counts milliseconds, and Python rounds up: late is only late.
        timeout = -1.0 if deadline is None else max(0.0, (deadline - now) / SECOND)
        events = self._epoll.poll(0.0 if self._soon else timeout, MAX_EVENTS)
        return self._call_back(events)

    def spin(self, duration: Duration, words: Words = ()) -> Instant | None:
        """As `wait`, for so long, awake: whoever is at work will soon have news, and to wake us costs both.

        Args:
            words: of shared memory, each with what is no news of it. Only the native pump looks at them.

        Returns:
            The time; None if there was no news. The native pump gives up sooner where processors are crowded.
        """
        if not self._soon and not self._has_news_within(duration, words):
            return None
        return self._call_back(self._epoll.poll(0.0, MAX_EVENTS))

    def _has_news_within(self, duration: Duration, words: Words) -> bool:
        descriptor = self._epoll.fileno()
        if native is not None:
            return bool(native.spin(descriptor, duration, words))
        until = read_clock() + duration
        while not select.select((descriptor,), (), (), 0)[0]:
            if any(word[0] != seen for word, seen in words):
                break
            os.sched_yield()
            if read_clock() >= until:
                return False
        return True

    def _call_back(self, events: list[tuple[int, int]]) -> Instant:
        now = read_clock()
        soon, self._soon = self._soon, []
        for descriptor, _ in events:
            callback = self._callbacks.get(descriptor)
            if callback is not None:  # one before it may have taken it out
                callback(now)
        for callback in soon:
            callback(now)
        return now

    def close(self) -> None:
        self._epoll.close()
