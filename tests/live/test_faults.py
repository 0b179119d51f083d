"""Faults that are put on parts in use, and taken off: without processes, with real pipe ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from bamdmux.actions import Line, Pipe
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.errors import UsageError
from bamdmux.live.faults import BOTH, Faults, Relay, check_halves
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.runner import Runner
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import FarSide, Half
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import SECOND
from tests.middleware.far_side import Listener

ALWAYS = 1.0


class Side:
    """One half of a link that does nothing by itself."""

    def __init__(self, half: Half) -> None:
        layout = LinkLayout()
        memory = layout.allocate()
        self.half = half
        self.listener = Listener()
        self.relay = Relay()
        self.relay.far = self.listener
        self.far: FarSide = self.listener
        self.part_made: Callable[[str, Any], None] = lambda seam, part: None
        self.announced: Sequence[int] = (0,)
        self.devices = [QueueDevice()]
        self.pipes: Mapping[str, Any] = (
            {"host_tx": PipeOwner(memory, layout.tx), "host_rx": PipeOwner(memory, layout.rx)}
            if half is Half.HOST
            else {"modem_tx": PipePeer(memory, layout.tx), "modem_rx": PipePeer(memory, layout.rx)}
        )

    def parts(self) -> Iterator[tuple[str, Any]]:
        yield from self.pipes.items()
        for device in self.devices:
            yield "interfaces" if self.half is Half.HOST else "network", device

    def edge_count(self, line: Line) -> int:
        return 6

    def is_bare(self) -> bool:
        parts = [part for _, part in self.parts()]
        return self.far is self.listener and not any(
            "write" in vars(p) or "publish" in vars(p) for p in parts
        )


class Rig:
    """A runner with both halves, and the faults of the process that has them."""

    def __init__(self, loop: Loop, halves: frozenset[Half] = BOTH) -> None:
        self.runner = Runner(loop, [])
        self.restarts: list[tuple[str, int]] = []
        self.faults = Faults(
            self.runner,
            halves,
            seed=1,
            restart_modem=lambda duration: self.restarts.append(("modem", duration)),
            restart_host=lambda duration: self.restarts.append(("host", duration)),
        )
        self.host, self.modem = Side(Half.HOST), Side(Half.MODEM)
        for side in (self.host, self.modem):
            if side.half in halves:
                self.faults.join(side)

    def set(self, name: str, rate: float = ALWAYS) -> None:
        self.faults.set(FAULTS[name], rate)

    def active(self) -> list[object]:
        active = self.faults.status()["active"]
        assert isinstance(active, list)
        return [each["name"] for each in active]


@pytest.fixture
def loop() -> Iterator[Loop]:
    with closing(Loop()) as loop:
        yield loop


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_laid_over_something_and_taken_off_again(loop: Loop, name: str) -> None:
    rig = Rig(loop)
    rig.set(name)
    assert not (rig.host.is_bare() and rig.modem.is_bare())
    rig.faults.clear(name)
    rig.runner.settle()
    assert rig.host.is_bare()
    assert rig.modem.is_bare()
    assert rig.faults not in rig.runner._sides


def test_what_is_under_way_ends_before_the_wraps_are_taken_off(loop: Loop) -> None:
    rig = Rig(loop)
    rig.set("late-doorbell")
    rig.host.far.doorbell_rang(Pipe.TX, 0)
    rig.faults.clear()
    rig.runner.settle()
    assert not rig.host.is_bare()
    assert rig.runner.run_until(lambda: bool(rig.host.listener.heard), 2 * SECOND)
    assert [what for _, what, _ in rig.host.listener.heard] == [Pipe.TX]
    assert rig.host.is_bare()


def test_a_fault_that_is_cleared_strikes_no_more_although_others_do(loop: Loop) -> None:
    rig = Rig(loop)
    rig.set("tun-full")
    rig.set("lost-doorbell")
    rig.faults.clear("tun-full")
    rig.runner.settle()
    assert rig.active() == ["lost-doorbell"]
    assert rig.host.devices[0].write(memoryview(bytes(24)))
    rig.host.far.doorbell_rang(Pipe.TX, 0)
    assert rig.host.listener.heard == []


def test_a_fault_that_is_set_again_has_the_new_rate_and_one_wrap(loop: Loop) -> None:
    rig = Rig(loop)
    rig.set("lost-doorbell", 0.1)
    wrap = rig.host.far
    rig.set("lost-doorbell")
    assert rig.host.far is wrap
    rig.host.far.doorbell_rang(Pipe.TX, 0)
    assert rig.faults.status()["active"][0]["strikes"] == 1  # type: ignore[index]
    rig.faults.clear()
    rig.set("lost-doorbell")
    assert rig.faults.status()["active"][0]["strikes"] == 0  # type: ignore[index]


def test_a_part_that_is_made_later_is_wrapped_too(loop: Loop) -> None:
    rig = Rig(loop)
    rig.set("tun-full")
    device = QueueDevice()
    rig.host.devices = [device]  # the old one is gone
    rig.host.part_made("interfaces", device)
    assert not device.write(memoryview(bytes(24)))
    rig.faults.clear()
    rig.runner.settle()
    assert rig.host.is_bare()


def test_a_half_that_comes_later_is_wrapped_until_it_leaves(loop: Loop) -> None:
    rig = Rig(loop, frozenset({Half.MODEM}))
    rig.set("late-doorbell")
    late = Side(Half.MODEM)
    rig.faults.join(late)
    late.far.doorbell_rang(Pipe.RX, 0)
    late.far.line_changed(Line.MODEM_ACK, 1, 5)
    rig.faults.leave(late)
    rig.faults.clear()
    assert rig.runner.run_until(lambda: rig.faults not in rig.runner._sides, 2 * SECOND)
    late.far.line_changed(Line.MODEM_ACK, 2, 6)
    assert late.listener.heard == [(5, Line.MODEM_ACK, 1)]


def test_a_wrap_begins_with_the_count_of_its_line(loop: Loop) -> None:
    rig = Rig(loop)
    rig.set("hidden-power-cycle")
    rig.modem.far.doorbell_rang(Pipe.TX, 0)
    assert [count for _, what, count in rig.modem.listener.heard if what is Line.MODEM_POWER] == [8]


def test_who_shall_die_is_restarted_a_moment_later(loop: Loop) -> None:
    rig = Rig(loop)
    rig.set("modem-dies-amid-uplink")
    rig.host.far.doorbell_rang(Pipe.TX, 0)
    assert rig.restarts == []
    assert rig.runner.run_until(lambda: bool(rig.restarts), 2 * SECOND)
    assert [who for who, _ in rig.restarts] == ["modem"]


def test_what_was_put_off_comes_in_its_order(loop: Loop) -> None:
    rig = Rig(loop)
    done: list[str] = []
    rig.faults.later(2_000_000, lambda now: done.append("last"))
    rig.faults.later(0, lambda now: done.append("first"))
    rig.faults.later(0, lambda now: done.append("second"))
    deadline = rig.faults.deadline
    assert deadline is not None
    assert deadline <= read_clock()
    assert rig.runner.run_until(lambda: len(done) == 3, 2 * SECOND)
    assert done == ["first", "second", "last"]
    assert rig.faults not in rig.runner._sides


def test_the_other_half_is_told_of(loop: Loop) -> None:
    rig = Rig(loop, frozenset({Half.HOST}))
    with pytest.raises(UsageError, match=r"'bad-magic' lies on the other half; .* bamdmux modem --fault"):
        rig.set("bad-magic")
    with pytest.raises(UsageError, match="needs both halves in one process"):
        rig.set("early-modem-ack")
    rig.set("lost-doorbell")
    assert rig.active() == ["lost-doorbell"]


def test_two_processes_that_are_both_ours_can_do_what_one_of_them_can() -> None:
    check_halves([(FAULTS["bad-magic"], 1.0), (FAULTS["tun-full"], 1.0)], BOTH)
    with pytest.raises(UsageError, match="needs both halves in one process"):
        check_halves([(FAULTS["open-while-closing"], 1.0)], BOTH)


# Over the control socket


def test_a_request_sets_and_clears(loop: Loop) -> None:
    rig = Rig(loop)
    answer = rig.faults.answer({"action": "set", "name": "lost-frame", "rate": 0.5}, 0)
    assert [(each["name"], each["rate"]) for each in answer["active"]] == [("lost-frame", 0.5)]  # type: ignore[attr-defined]
    assert rig.faults.answer({"action": "list"}, 0) == answer
    rig.faults.answer({"action": "set", "name": "tun-full"}, 0)
    assert rig.active() == ["lost-frame", "tun-full"]
    rig.faults.answer({"action": "clear", "name": "lost-frame"}, 0)
    assert rig.active() == ["tun-full"]
    assert rig.faults.answer({"action": "clear"}, 0) == {"seed": 1, "active": []}


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({}, "unknown action None of fault; known: clear, list, set"),
        ({"action": "sett"}, "unknown action 'sett' of fault"),
        ({"action": "set"}, "the name of a fault is a text"),
        ({"action": "set", "name": ["lost-frame"]}, "the name of a fault is a text"),
        ({"action": "set", "name": "wind"}, "fault 'wind' is unknown"),
        ({"action": "set", "name": "lost-frame", "rate": 0}, "rate 0 is not above 0"),
        ({"action": "set", "name": "lost-frame", "rate": {}}, "rate {} is not above 0"),
        ({"action": "clear", "name": "lost-frame"}, "fault 'lost-frame' is not set; tun-full is"),
    ],
)
def test_a_request_that_cannot_be_is_told_so(loop: Loop, request_: dict[str, object], complaint: str) -> None:
    rig = Rig(loop)
    rig.set("tun-full")
    with pytest.raises(UsageError, match=complaint):
        rig.faults.answer(request_, 0)
    assert rig.active() == ["tun-full"]
