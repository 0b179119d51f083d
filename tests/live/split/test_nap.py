"""A host with slots to spare dozes: what it learns all the same, and when. The modem is played by hand."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.wakefulness import ASLEEP, AWAKE, DOZING
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.runner import Runner
from bamdmux.live.split.memory import SharedMemory
from bamdmux.live.split.modem_finder import NAP, Finding, ModemFinder
from bamdmux.pump import native
from bamdmux.timing import MILLISECOND, SECOND, Duration, Instant
from tests.live.split.test_modem_finder import Modem

pytestmark = pytest.mark.skipif(native is None, reason="who has no fence does not doze")

PATIENCE = 10 * SECOND
LAYOUT = LinkLayout()


class Host:
    """A finder, and a host of which it is only known how many slots it has, and that it looks."""

    modem: Modem

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.has_slots_to_spare = True
        self.in_flight = False
        self.looks: list[Instant] = []
        self.far: Any = None
        loop = Loop()
        stack.callback(loop.close)
        self.shared = SharedMemory.create(LAYOUT)
        stack.callback(self.shared.close)
        self.board = PortBoard(loop)
        stack.callback(self.board.close)
        this: Any = self
        self.finder = ModemFinder(path, loop, this, self.shared, self.board)
        stack.callback(self.finder.close)
        self.runner = Runner(loop, [self.finder], sleeper=self.finder)

    # As HostSide and HostDriver

    @property
    def driver(self) -> "Host":
        return self

    @property
    def awaits_slots(self) -> bool:
        return self.in_flight

    def meet(self, far: Any, awake_word: memoryview | None = None) -> None:
        self.far = far

    def look_at_memory(self, now: Instant) -> None:
        self.looks.append(now)
        if self.position():
            self.in_flight = False

    # As the tests want it

    def until(self, condition: Callable[[], object]) -> None:
        assert self.runner.run_until(lambda: bool(condition()), PATIENCE)

    def until_state(self, state: Finding) -> None:
        self.until(lambda: self.finder.state is state)

    def run_for(self, duration: Duration) -> None:
        assert not self.runner.run_until(lambda: False, duration)

    def sleeps(self) -> int:
        """What it says of itself when it has nothing more to do."""
        self.finder.fall_asleep()
        return self.word(LAYOUT.host_awake_offset)[0]

    def word(self, offset: int) -> memoryview:
        return self.shared.memory[offset : offset + 4].cast("I")

    def position(self) -> int:
        """What the modem says of the frames that it has taken."""
        return self.word(LAYOUT.tx.position_offset)[0]

    def take(self) -> None:
        """The modem has taken the frame, and rings only at who wants to know that."""
        self.word(LAYOUT.tx.position_offset)[0] = 8


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        host = Host(tmp_path / "link", stack)
        host.modem = Modem(host.path, stack)
        host.modem.greet(host)  # type: ignore[arg-type]
        host.modem.accept(host)  # type: ignore[arg-type]
        host.run_for(5 * MILLISECOND)
        yield host


def test_it_learns_by_itself_and_soon_that_its_frame_was_taken(host: Host) -> None:
    host.in_flight = True
    host.run_for(0)
    host.looks.clear()
    begin = read_clock()
    host.finder.feed(begin)
    host.take()
    host.until(lambda: not host.in_flight)
    (looked_at,) = host.looks
    assert NAP <= looked_at - begin < NAP + 500 * MILLISECOND  # a busy machine's, and not a second


def test_with_something_in_flight_it_dozes_until_a_time(host: Host) -> None:
    host.in_flight = True
    host.run_for(0)
    assert host.sleeps() == DOZING
    assert host.finder.deadline is not None
    assert host.finder.deadline <= read_clock() + NAP


def test_with_nothing_in_flight_no_timer_runs(host: Host) -> None:
    assert host.sleeps() == DOZING
    assert host.finder.deadline is None


def test_a_nap_in_vain_is_the_last_until_it_has_looked_again(host: Host) -> None:
    host.in_flight = True
    host.looks.clear()
    host.run_for(20 * MILLISECOND)
    assert len(host.looks) == 1
    assert host.sleeps() == ASLEEP
    assert host.finder.deadline is None
    host.take()
    host.modem.bell.send(b"\0")
    host.until(lambda: not host.in_flight)
    assert host.sleeps() == DOZING


def test_without_slots_to_spare_it_is_asleep_and_wants_to_be_rung(host: Host) -> None:
    host.in_flight, host.has_slots_to_spare = True, False
    host.run_for(0)
    assert host.sleeps() == ASLEEP
    assert host.finder.deadline is None


def test_news_that_came_as_it_fell_asleep_is_looked_at_at_once(host: Host) -> None:
    host.run_for(0)
    host.looks.clear()
    host.word(LAYOUT.rx.position_offset)[0] = 8
    assert host.sleeps() == AWAKE
    host.until(lambda: host.looks)


def test_a_modem_that_is_left_leaves_no_timer_behind(host: Host) -> None:
    host.in_flight = True
    host.run_for(0)
    assert host.sleeps() == DOZING
    host.finder.close()
    assert host.finder.deadline is None
    assert host.finder.words() == ()
    assert host.far is None
