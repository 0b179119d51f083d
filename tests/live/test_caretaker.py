"""Who restarts a driver, and looks after what it lacks then."""

from collections.abc import Callable
from typing import Any, cast

from bamdmux.live.caretaker import ANNOUNCEMENT_LIMIT, LOOK_EVERY, Caretaker
from bamdmux.live.host_side import HostSide
from bamdmux.timing import SECOND, Instant
from tests.middleware.far_side import Agenda


class Host:
    """A driver's side, as far as a caretaker looks at it."""

    def __init__(self) -> None:
        self.is_bound = True
        self.tuns: dict[int, Any] = {0: None, 1: None}


class Rig:
    """A host with two channels, whose modem announces them when it is woken, or at once."""

    def __init__(self, *, announces: Callable[[int], bool]) -> None:
        self.host = Host()
        self.agenda = Agenda()
        self.done: list[tuple[Instant, str]] = []
        self.announces = announces  # after so many wakings
        self.wakings = 0
        self.caretaker = Caretaker(
            cast(HostSide, self.host),
            2,
            self.agenda.later,
            leave=self.leave,
            come=self.come,
            wake_modem=self.wake,
        )
        self.caretaker.set_up = lambda: self.done.append((self.agenda.now, "set up"))

    def leave(self) -> None:
        self.done.append((self.agenda.now, "leave"))
        self.host.is_bound = False
        self.host.tuns.clear()

    def come(self, now: Instant) -> None:
        self.done.append((now, "come"))
        self.host.is_bound = True
        self.announce()

    def wake(self, now: Instant) -> None:
        self.done.append((now, "wake"))
        self.wakings += 1
        self.announce()

    def announce(self) -> None:
        if self.announces(self.wakings):
            self.host.tuns.update({0: None, 1: None})


def test_a_driver_comes_back_and_its_interfaces_are_set_up() -> None:
    rig = Rig(announces=lambda wakings: True)
    rig.caretaker.restart_host(3 * SECOND)
    rig.agenda.run()
    assert rig.done == [(0, "leave"), (3 * SECOND, "come"), (3 * SECOND, "set up")]


def test_a_modem_that_has_said_all_is_woken() -> None:
    rig = Rig(announces=lambda wakings: wakings == 2)
    rig.caretaker.restart_host(0)
    rig.agenda.run()
    woken = [now for now, what in rig.done if what == "wake"]
    assert woken == [ANNOUNCEMENT_LIMIT, 2 * ANNOUNCEMENT_LIMIT]
    assert rig.done[-1] == (2 * ANNOUNCEMENT_LIMIT + LOOK_EVERY, "set up")


def test_a_driver_that_dies_again_is_not_set_up_for_its_earlier_life() -> None:
    rig = Rig(announces=lambda wakings: wakings == 1)
    rig.caretaker.restart_host(0)
    rig.agenda.later(SECOND // 2, lambda now: rig.caretaker.restart_host(0))
    rig.agenda.run()
    assert [what for _, what in rig.done] == ["leave", "come", "leave", "come", "wake", "set up"]


def test_two_deaths_at_once_are_one() -> None:
    rig = Rig(announces=lambda wakings: True)
    rig.caretaker.restart_host(0)
    rig.caretaker.restart_host(SECOND)
    rig.agenda.run()
    assert [what for _, what in rig.done] == ["leave", "come", "set up"]


def test_a_link_that_ends_has_no_deaths_and_no_returns() -> None:
    rig = Rig(announces=lambda wakings: False)
    rig.caretaker.restart_host(0)
    rig.caretaker.retire()
    rig.agenda.run()
    rig.caretaker.restart_host(0)
    assert [what for _, what in rig.done] == ["leave"]


def test_who_watches_for_interfaces_stops_when_the_link_ends() -> None:
    rig = Rig(announces=lambda wakings: False)
    rig.caretaker.restart_host(0)
    rig.agenda.later(SECOND // 2, lambda now: rig.caretaker.retire())
    rig.agenda.run()
    assert [what for _, what in rig.done] == ["leave", "come"]
