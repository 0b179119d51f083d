"""Wraps around what one side tells the other: doorbells and edges of lines.

A doorbell says nothing but "look"; it can be lost, doubled, late, or overtaken. News of a line carries the
line's count. A wrap that holds it back hands over the newest count that it knows, as whoever reads the word
late would: so edges merge, and no count ever goes back. A glitch adds edges that the other side has not made;
they stay in the count.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.bam.lines import COUNT_MASK, edges_between, level_of
from bamdmux.middleware.faults import FarSide, Later, Middleware, Restart, Strikes
from bamdmux.timing import MILLISECOND, Duration, Instant

Install = Callable[[Middleware, Strikes], None]

HOST_LINES: Final = (Line.HOST_VOTE, Line.HOST_ACK)
MERGE_LIMIT: Final[Duration] = 2500 * MILLISECOND  # an edge that waits for the next one waits no longer


class Signals:
    """Passes everything on; what the wraps below begin with."""

    def __init__(self, inner: FarSide) -> None:
        self._inner = inner

    @property
    def is_at_rest(self) -> bool:
        """Whether it can be taken off. What is held back comes by `later`, and needs no place here."""
        return True

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        self._inner.line_changed(line, edge_count, now)

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._inner.doorbell_rang(pipe, now)


# Doorbells


class LostDoorbells(Signals):
    def __init__(self, inner: FarSide, strikes: Strikes) -> None:
        super().__init__(inner)
        self._strikes = strikes

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        if not self._strikes.now():
            self._inner.doorbell_rang(pipe, now)


class LateDoorbells(Signals):
    """Some come late, and others overtake them.

    Args:
        rings_twice: they also come in time.
    """

    def __init__(self, inner: FarSide, strikes: Strikes, later: Later, *, rings_twice: bool) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._later = later
        self._rings_twice = rings_twice

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        is_late = self._strikes.now()
        if is_late:
            self._later(self._strikes.delay(), partial(self._inner.doorbell_rang, pipe))
        if not is_late or self._rings_twice:
            self._inner.doorbell_rang(pipe, now)


class HeldDoorbells(Signals):
    """For a while no doorbell of a pipe gets through; then one does for all: a far side that is slow."""

    def __init__(self, inner: FarSide, pipe: Pipe, strikes: Strikes, later: Later) -> None:
        super().__init__(inner)
        self._pipe = pipe
        self._strikes = strikes
        self._later = later
        self._is_holding = False

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        if pipe is not self._pipe:
            self._inner.doorbell_rang(pipe, now)
        elif not self._is_holding:
            if self._strikes.now():
                self._is_holding = True
                self._later(self._strikes.delay(), self._release)
            else:
                self._inner.doorbell_rang(pipe, now)

    def _release(self, now: Instant) -> None:
        self._is_holding = False
        self._inner.doorbell_rang(self._pipe, now)


class SwappedSignals(Signals):
    """A doorbell or an edge that the next one overtakes, whichever that is."""

    def __init__(self, inner: FarSide, strikes: Strikes, later: Later) -> None:
        super().__init__(inner)
        self._strikes = strikes
        self._later = later
        self._held: Callable[[Instant], None] | None = None

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        # No count goes back: what was held of the same line is not newer than this.
        self._pass(partial(self._inner.line_changed, line, edge_count), now, line)

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._pass(partial(self._inner.doorbell_rang, pipe), now, pipe)

    def _pass(self, signal: Callable[[Instant], None], now: Instant, what: Line | Pipe) -> None:
        if self._held is None and self._strikes.now():
            self._held, self._held_what = signal, what
            self._later(self._strikes.delay(), self._release)
            return
        signal(now)
        if self._held is not None and self._held_what is what:
            self._held = None  # the two are one
        self._release(now)

    def _release(self, now: Instant) -> None:
        held, self._held = self._held, None
        if held is not None:
            held(now)


# Edges


class LineWrap(Signals):
    """One line; what is held back hands over the newest count.

    Args:
        newest: the line's count now.
    """

    def __init__(self, inner: FarSide, line: Line, strikes: Strikes, later: Later, newest: int) -> None:
        super().__init__(inner)
        self._line = line
        self._strikes = strikes
        self._later = later
        self._newest = newest

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        if line is self._line:
            self._newest = edge_count
            self._moved(now)
        else:
            self._inner.line_changed(line, edge_count, now)

    def _moved(self, now: Instant) -> None:
        self._tell(now)

    def _tell(self, now: Instant) -> None:
        self._inner.line_changed(self._line, self._newest, now)


class LostEdges(LineWrap):
    """Nobody hears of an edge before the next one."""

    def _moved(self, now: Instant) -> None:
        if not self._strikes.now():
            self._tell(now)


class LateEdges(LineWrap):
    def _moved(self, now: Instant) -> None:
        if self._strikes.now():
            self._later(self._strikes.delay(), self._tell)
        else:
            self._tell(now)


class MergedEdges(LineWrap):
    """An edge waits for the next one, and one wake-up stands for both."""

    def __init__(self, inner: FarSide, line: Line, strikes: Strikes, later: Later, newest: int) -> None:
        super().__init__(inner, line, strikes, later, newest)
        self._is_waiting = False

    def _moved(self, now: Instant) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._tell(now)
        elif self._strikes.now():
            self._is_waiting = True
            self._later(MERGE_LIMIT, self._tell_late)
        else:
            self._tell(now)

    def _tell_late(self, now: Instant) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._tell(now)


class SpuriousEdges(LineWrap):
    """Wake-ups for a line that has not moved, after any other news."""

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        super().line_changed(line, edge_count, now)
        self._maybe()

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._inner.doorbell_rang(pipe, now)
        self._maybe()

    def _maybe(self) -> None:
        if self._strikes.now():
            self._later(self._strikes.delay(), self._tell)


class PowerGlitches(LineWrap):
    """The modem's power falls, as its line tells, and comes back; the modem's firmware knows nothing of it.

    Args:
        after_rise: strikes when the line has just risen; else when the modem completes a transmission.
        is_hidden: fall and rise show as one change.
    """

    def __init__(
        self,
        inner: FarSide,
        strikes: Strikes,
        later: Later,
        newest: int,
        *,
        after_rise: bool = False,
        is_hidden: bool = False,
    ) -> None:
        super().__init__(inner, Line.MODEM_POWER, strikes, later, newest)
        self._after_rise = after_rise
        self._is_hidden = is_hidden
        self._is_falling = False
        self._extra = 0

    @property
    def is_at_rest(self) -> bool:
        """Never again once it has struck: without its edges the count would go back."""
        return not self._extra

    def _moved(self, now: Instant) -> None:
        self._tell(now)
        if self._after_rise and level_of(self._newest) and self._may_strike():
            self._later(self._strikes.delay(), self._flip)
            self._later(2 * self._strikes.delay(), self._flip_back)

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._inner.doorbell_rang(pipe, now)
        if pipe is Pipe.TX and not self._after_rise and self._may_strike():
            self._flip(now)
            if self._is_hidden:
                self._extra += 1
                self._flip_back(now)
            else:
                self._later(self._strikes.delay(), self._flip_back)

    def _may_strike(self) -> bool:
        if self._is_falling or not self._strikes.now():
            return False
        self._is_falling = True
        return True

    def _flip(self, now: Instant) -> None:
        if not self._is_hidden:
            self._extra += 1
            self._tell(now)

    def _flip_back(self, now: Instant) -> None:
        self._is_falling = False
        self._extra += 1
        self._tell(now)

    def _tell(self, now: Instant) -> None:
        self._inner.line_changed(self._line, self._newest + self._extra & COUNT_MASK, now)


class EarlyAcks:
    """The modem's ack shows before the modem has seen the vote. Sits on both directions."""

    def __init__(self, strikes: Strikes, shown: int) -> None:
        self._strikes = strikes
        self._to_host: FarSide | None = None
        self._shown = shown

    def watch(self, inner: FarSide) -> FarSide:
        return _VoteWatch(inner, self._voted)

    def answer(self, inner: FarSide) -> FarSide:
        self._to_host = inner
        return _Acks(inner, self._count)

    def _voted(self, now: Instant) -> None:
        if self._to_host is not None and self._strikes.now():
            self._shown = self._shown + 1 & COUNT_MASK
            self._to_host.line_changed(Line.MODEM_ACK, self._shown, now)

    def _count(self, edge_count: int) -> int:
        is_newer = edges_between(self._shown, edge_count) <= COUNT_MASK // 2
        self._shown = edge_count if is_newer else self._shown
        return self._shown


class _VoteWatch(Signals):
    def __init__(self, inner: FarSide, voted: Callable[[Instant], None]) -> None:
        super().__init__(inner)
        self._voted = voted

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        if line is Line.HOST_VOTE and level_of(edge_count):
            self._voted(now)
        self._inner.line_changed(line, edge_count, now)


class _Acks(Signals):
    def __init__(self, inner: FarSide, count: Callable[[int], int]) -> None:
        super().__init__(inner)
        self._count = count

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        shown = self._count(edge_count) if line is Line.MODEM_ACK else edge_count
        self._inner.line_changed(line, shown, now)


# Death at a step of the protocol


class DeathAt(Signals):
    """Somebody dies just after this went on its way.

    Args:
        what: the doorbell, or the line with the level that it takes.
    """

    def __init__(
        self, inner: FarSide, what: Pipe | tuple[Line, bool], strikes: Strikes, later: Later, restart: Restart
    ) -> None:
        super().__init__(inner)
        self._what = what
        self._strikes = strikes
        self._later = later
        self._restart = restart

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        self._inner.line_changed(line, edge_count, now)
        # Acks mean nothing by their level.
        is_ack = line in (Line.HOST_ACK, Line.MODEM_ACK)
        self._passed((line, True if is_ack else level_of(edge_count)))

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._inner.doorbell_rang(pipe, now)
        self._passed(pipe)

    def _passed(self, what: Pipe | tuple[Line, bool]) -> None:
        if what == self._what and self._strikes.now():
            # Before or after the news arrives, as chance has it.
            self._later(self._strikes.number(0, 400_000), lambda _: self._restart(self._strikes.delay()))


# For the table: where each wrap goes


def lose_doorbells(link: Middleware, strikes: Strikes) -> None:
    for seam in (link.to_modem, link.to_host):
        seam.append(lambda inner: LostDoorbells(inner, strikes))


def delay_doorbells(*, rings_twice: bool = False) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        for seam in (link.to_modem, link.to_host):
            seam.append(lambda inner: LateDoorbells(inner, strikes, link.later, rings_twice=rings_twice))

    return install


def swap_signals(link: Middleware, strikes: Strikes) -> None:
    for seam in (link.to_modem, link.to_host):
        seam.append(lambda inner: SwappedSignals(inner, strikes, link.later))


def hold_doorbells(pipe: Pipe) -> Install:
    """Of TX those to the modem, of RX those to the host: whoever has to empty the ring is slow."""

    def install(link: Middleware, strikes: Strikes) -> None:
        seam = link.to_modem if pipe is Pipe.TX else link.to_host
        seam.append(lambda inner: HeldDoorbells(inner, pipe, strikes, link.later))

    return install


def on_line(wrap: type[LineWrap], line: Line) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        seam = link.to_modem if line in HOST_LINES else link.to_host
        seam.append(lambda inner: wrap(inner, line, strikes, link.later, link.edge_count(line)))

    return install


def glitch_power(*, after_rise: bool = False, is_hidden: bool = False) -> Install:
    def install(link: Middleware, strikes: Strikes) -> None:
        def wrap(inner: FarSide) -> FarSide:
            newest = link.edge_count(Line.MODEM_POWER)
            return PowerGlitches(
                inner, strikes, link.later, newest, after_rise=after_rise, is_hidden=is_hidden
            )

        link.to_host.append(wrap)

    return install


def ack_early(link: Middleware, strikes: Strikes) -> None:
    both = EarlyAcks(strikes, link.edge_count(Line.MODEM_ACK))
    link.to_modem.append(both.watch)
    link.to_host.append(both.answer)


def die(who: str, what: Pipe | tuple[Line, bool], *, to_modem: bool) -> Install:
    """`who` is "modem" or "host"."""

    def install(link: Middleware, strikes: Strikes) -> None:
        restart = link.restart_modem if who == "modem" else link.restart_host
        seam = link.to_modem if to_modem else link.to_host
        seam.append(lambda inner: DeathAt(inner, what, strikes, link.later, restart))

    return install
