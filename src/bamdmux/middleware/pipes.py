"""Wraps around pipe ends: frames that are tampered with, invented, lost, doubled or kept back.

Downlink faults sit on the modem's end of RX, where it says how much it has written (`complete`) and hands
over (`publish`); uplink faults on the host's end of TX (`submit`). So the machine behind the wrap believes
that all is well, and the one before it has to cope. Commands are left alone where losing one would leave the
link in a state that no later frame mends: firmware says OPEN once.

What a wrap does not change it passes on (`__getattr__`), so each has the interface of what it wraps.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.middleware.faults import Middleware, Strikes, Tally, Wrap
from bamdmux.middleware.frames import (
    CHANNEL_OFFSET,
    COMMAND_OFFSET,
    Injection,
    Tamper,
    command,
    is_intact,
)
from bamdmux.timing import MILLISECOND, Duration, Instant
from bamdmux.wire.dmux import Command

Install = Callable[[Middleware, Strikes], None]

LATE_BATCHES: Final = 8  # after so many more, frames that were kept back go out at the latest
NUDGE_DELAY: Final[Duration] = 20 * MILLISECOND  # all of them are over before a host suspends
STARVED_BUFFERS: Final = 1  # so many a starved modem keeps, else nobody would ever ring again


class _PeerWrap:
    """The modem's end of RX; remembers the buffer that it was given last."""

    def __init__(self, inner: PipePeer) -> None:
        self._inner = inner
        self._slot = memoryview(b"")

    @property
    def is_at_rest(self) -> bool:
        """Whether it holds nothing that has yet to go on."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def take(self) -> memoryview:
        self._slot = self._inner.take()
        return self._slot

    def _has_data(self) -> bool:
        return len(self._slot) > COMMAND_OFFSET and self._slot[COMMAND_OFFSET] == Command.DATA

    def _emit(self, frame: bytes | memoryview) -> None:
        """Send a frame of our own. There must be a buffer, and no `take` may be open."""
        slot = self._inner.take()
        slot[: len(frame)] = frame
        self._inner.complete(len(frame))


class TamperingPeer(_PeerWrap):
    """Spoils packets on their way to the host."""

    def __init__(self, inner: PipePeer, tamper: Tamper, strikes: Strikes) -> None:
        super().__init__(inner)
        self._tamper = tamper
        self._strikes = strikes

    def complete(self, written: int | None = None) -> bool:
        if written and is_intact(self._slot, written) and self._strikes.now():
            written = self._tamper(self._slot, written, self._strikes)
        return self._inner.complete(written)


class InjectingPeer(_PeerWrap):
    """Adds frames that the modem did not send.

    They go with batches that it did send: else the answer to one, a buffer that the host gives back, would be
    the occasion for the next.

    Args:
        announced: the channels that the modem has opened already.
        is_early: before the modem's own frames, and on channels that it has not opened yet; else behind them.
    """

    def __init__(
        self,
        inner: PipePeer,
        injection: Injection,
        strikes: Strikes,
        tally: Tally,
        announced: Iterable[int],
        *,
        is_early: bool = False,
    ) -> None:
        super().__init__(inner)
        self._injection = injection
        self._strikes = strikes
        self._tally = tally
        self._is_early = is_early
        self._open: list[int] = list(announced)
        self._published = 0  # entries that no doorbell has announced yet
        self._has_sent = False  # the modem, since the last `publish`

    @property
    def is_at_rest(self) -> bool:
        return not self._published

    def available(self) -> int:
        if self._is_early:
            self._inject()
            self._published += self._inner.publish()  # nobody else might, before the pipe is reset
        return self._inner.available()

    def complete(self, written: int | None = None) -> bool:
        if written and not self._has_data() and self._slot[COMMAND_OFFSET] == Command.OPEN:
            channel = self._slot[CHANNEL_OFFSET]
            if channel in self._open:
                self._open.clear()  # announced anew: the modem has restarted
            self._open.append(channel)
        self._has_sent = True
        return self._inner.complete(written)

    def publish(self) -> int:
        if not self._is_early and self._open and self._has_sent:
            self._inject()
        self._has_sent = False
        published, self._published = self._published + self._inner.publish(), 0
        return published

    def _inject(self) -> None:
        if not self._strikes.now():
            return
        frames = self._injection(self._open, self._strikes)
        if not frames or len(frames) > self._inner.available():
            self._strikes.missed()  # all of them or none, or what was closed might stay so
        else:
            for frame in frames:
                self._emit(frame)
            self._tally.injected += len(frames)


class LosingPeer(_PeerWrap):
    """Packets that vanish although the modem has sent them."""

    def __init__(self, inner: PipePeer, strikes: Strikes, tally: Tally) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._tally = tally

    def complete(self, written: int | None = None) -> bool:
        if written and self._has_data() and self._strikes.now():
            self._tally.vanished += 1
            return True  # its buffer is taken again for the next one
        return self._inner.complete(written)


class DoublingPeer(_PeerWrap):
    """A packet that is sent again behind its batch."""

    def __init__(self, inner: PipePeer, strikes: Strikes, tally: Tally) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._tally = tally
        self._copies: list[bytes] = []

    def complete(self, written: int | None = None) -> bool:
        if written and self._has_data() and self._strikes.now():
            self._copies.append(bytes(self._slot[:written]))
        return self._inner.complete(written)

    def publish(self) -> int:
        for copy in self._copies[: self._inner.available()]:
            self._emit(copy)
            self._tally.injected += 1
        self._copies.clear()
        return self._inner.publish()


class HoldingPeer(_PeerWrap):
    """Packets that are kept back.

    Args:
        is_overtaken: the packets behind go on, so that their order changes; else they wait too.
    """

    def __init__(self, inner: PipePeer, strikes: Strikes, tally: Tally, *, is_overtaken: bool) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._tally = tally
        self._is_overtaken = is_overtaken
        self._held: deque[bytes] = deque()
        self._batches_left = 0

    @property
    def is_at_rest(self) -> bool:
        return not self._held

    def complete(self, written: int | None = None) -> bool:
        if not written or not self._has_data():
            return self._inner.complete(written)
        waits_too = bool(self._held) and not self._is_overtaken
        if not waits_too and not self._strikes.now():
            return self._inner.complete(written)
        if not self._held:
            self._batches_left = self._strikes.number(0, LATE_BATCHES)
        self._held.append(bytes(self._slot[:written]))
        self._tally.held += 1
        return True

    def publish(self) -> int:
        if self._batches_left and self._strikes.rate:
            self._batches_left -= 1
        else:
            for _ in range(min(len(self._held), self._inner.available())):
                self._emit(self._held.popleft())
                self._tally.held -= 1
        return self._inner.publish()


class ClosingPeer(_PeerWrap):
    """A channel that is closed, and opened again with a later batch.

    Where it was the only one in use no batch might come. So the modem is nudged, if the link can do that.
    """

    def __init__(self, inner: PipePeer, strikes: Strikes, link: Middleware) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._tally = link.tally
        self._later = link.later
        self._nudge_modem = link.nudge_modem
        self._nudges_left = 0
        self._last_channel = 0
        self._closed: int | None = None
        self._batches_left = 0
        self._has_sent = False  # the modem, since the last `publish`

    @property
    def is_at_rest(self) -> bool:
        return self._closed is None

    def complete(self, written: int | None = None) -> bool:
        if written and self._has_data():
            self._last_channel = self._slot[CHANNEL_OFFSET]
            self._has_sent = True
        return self._inner.complete(written)

    def publish(self) -> int:
        if self._inner.available():
            if self._closed is not None:
                self._batches_left -= 1
                if self._batches_left <= 0 or not self._strikes.rate:
                    self._say(Command.OPEN, self._closed)
                    self._closed = None
            elif self._has_sent and self._strikes.now():
                self._closed, self._batches_left = self._last_channel, self._strikes.number(1, LATE_BATCHES)
                self._say(Command.CLOSE, self._closed)
                self._nudges_left = LATE_BATCHES
                self._nudge_later()
        self._has_sent = False
        return self._inner.publish()

    def _nudge_later(self) -> None:
        if self._nudge_modem is not None:
            self._later(NUDGE_DELAY, self._nudge)

    def _nudge(self, now: Instant) -> None:
        if self._closed is None or self._nudge_modem is None:
            return
        self._nudges_left -= 1
        self._nudge_modem(now)
        if self._nudges_left:
            self._nudge_later()

    def _say(self, what: Command, channel: int) -> None:
        self._emit(command(what, channel))
        self._tally.injected += 1


class _OwnerWrap:
    """The host's end of a pipe."""

    def __init__(self, inner: PipeOwner) -> None:
        self._inner = inner

    @property
    def is_at_rest(self) -> bool:
        """Whether it holds nothing that has yet to go on."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TamperingOwner(_OwnerWrap):
    """Spoils packets on their way to the modem."""

    def __init__(self, inner: PipeOwner, tamper: Tamper, strikes: Strikes) -> None:
        super().__init__(inner)
        self._tamper = tamper
        self._strikes = strikes

    def submit(self, slot_index: int, size: int) -> None:
        slot = self._inner.slot(slot_index)
        if is_intact(slot, size) and self._strikes.now():
            size = self._tamper(slot, size, self._strikes)
        self._inner.submit(slot_index, size)


class StarvingOwner(_OwnerWrap):
    """A host that is slow to give buffers back: for a while the modem has hardly any."""

    def __init__(self, inner: PipeOwner, strikes: Strikes) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._held_back = 0  # queued, but not shown to the modem

    @property
    def is_at_rest(self) -> bool:
        return not self._held_back

    def open(self) -> None:
        self._inner.open()
        self._held_back = 0

    def submit(self, slot_index: int, size: int) -> None:
        self._inner.submit(slot_index, size)
        self._held_back += 1

    def publish(self) -> int:
        left = self._inner.in_flight - self._held_back - self._inner.completed()
        if left >= STARVED_BUFFERS and self._strikes.now():
            return 0
        self._held_back = 0
        return self._inner.publish()

    def terminate(self) -> int:
        self._held_back = 0
        return self._inner.terminate()


class OpenWhileClosing:
    """The modem opens a channel just when the host closes it. Sits on both pipes."""

    def __init__(self, strikes: Strikes, tally: Tally) -> None:
        self._strikes = strikes
        self._tally = tally
        self._due: list[int] = []

    def watch(self, inner: PipeOwner) -> PipeOwner:
        return _as_owner(_CloseWatch(inner, self._closing))

    def _closing(self, channel: int) -> None:
        if self._strikes.now():
            self._due.append(channel)

    def answer(self, inner: PipePeer) -> PipePeer:
        return _as_peer(_Answer(inner, self._due, self._tally))


class _CloseWatch(_OwnerWrap):
    def __init__(self, inner: PipeOwner, closing: Callable[[int], None]) -> None:
        super().__init__(inner)
        self._closing = closing

    def submit(self, slot_index: int, size: int) -> None:
        slot = self._inner.slot(slot_index)
        if slot[COMMAND_OFFSET] == Command.CLOSE:
            self._closing(slot[CHANNEL_OFFSET])
        self._inner.submit(slot_index, size)


class _Answer(_PeerWrap):
    def __init__(self, inner: PipePeer, due: list[int], tally: Tally) -> None:
        super().__init__(inner)
        self._due = due
        self._tally = tally

    def publish(self) -> int:
        while self._due and self._inner.available():
            self._emit(command(Command.OPEN, self._due.pop()))
            self._tally.injected += 1
        return self._inner.publish()


def _as_peer(wrap: _PeerWrap) -> PipePeer:
    return cast(PipePeer, wrap)  # it passes on what it does not change


def _as_owner(wrap: _OwnerWrap) -> PipeOwner:
    return cast(PipeOwner, wrap)


# For the table: where each wrap goes


def on_downlink(tamper: Tamper) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        link.modem_rx.append(lambda inner: _as_peer(TamperingPeer(inner, tamper, strikes)))

    return install


def on_uplink(tamper: Tamper) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        link.host_tx.append(lambda inner: _as_owner(TamperingOwner(inner, tamper, strikes)))

    return install


def injecting(injection: Injection, *, is_early: bool = False) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        def wrap(inner: PipePeer) -> PipePeer:
            return _as_peer(
                InjectingPeer(inner, injection, strikes, link.tally, link.announced, is_early=is_early)
            )

        link.modem_rx.append(wrap)

    return install


def lose_frames(link: Middleware, strikes: Strikes) -> None:
    link.modem_rx.append(lambda inner: _as_peer(LosingPeer(inner, strikes, link.tally)))


def double_frames(link: Middleware, strikes: Strikes) -> None:
    link.modem_rx.append(lambda inner: _as_peer(DoublingPeer(inner, strikes, link.tally)))


def hold_frames(*, is_overtaken: bool) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        def wrap(inner: PipePeer) -> PipePeer:
            return _as_peer(HoldingPeer(inner, strikes, link.tally, is_overtaken=is_overtaken))

        link.modem_rx.append(wrap)

    return install


def close_for_a_while(link: Middleware, strikes: Strikes) -> None:
    link.modem_rx.append(lambda inner: _as_peer(ClosingPeer(inner, strikes, link)))


def starve(link: Middleware, strikes: Strikes) -> None:
    link.host_rx.append(lambda inner: _as_owner(StarvingOwner(inner, strikes)))


def open_while_closing(link: Middleware, strikes: Strikes) -> None:
    both = OpenWhileClosing(strikes, link.tally)
    wraps: tuple[Wrap[PipeOwner], Wrap[PipePeer]] = both.watch, both.answer
    link.host_tx.append(wraps[0])
    link.modem_rx.append(wraps[1])
