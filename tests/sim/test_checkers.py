"""The rules of every moment, each broken on purpose."""

from collections import Counter

import pytest

from bamdmux.actions import Line
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipePeer
from bamdmux.counters import DropReason
from bamdmux.sim.checkers import PowerWatch, WatchedOwner, check_equal, check_reasons
from bamdmux.sim.violation import Violation


def owner(predecessor: WatchedOwner | None = None) -> tuple[WatchedOwner, PipePeer]:
    layout = LinkLayout(slot_count=4)
    memory = predecessor._memory if predecessor is not None else layout.allocate()
    return WatchedOwner(memory, layout.rx, None, predecessor), PipePeer(memory, layout.rx)


def test_a_slot_that_is_queued_twice_is_a_violation() -> None:
    pipe, _ = owner()
    pipe.open()
    pipe.submit(2, 100)
    with pytest.raises(Violation, match="slot 2 was queued twice"):
        pipe.submit(2, 100)
    pipe.terminate()
    pipe.submit(2, 100)


def test_a_slot_may_be_queued_again_once_it_has_come_back() -> None:
    pipe, peer = owner()
    pipe.open()
    for give_back in (lambda: pipe.reap(), lambda: pipe.retire(1)):
        pipe.submit(1, 100)
        pipe.publish()
        peer.available()
        peer.take()
        peer.complete(10)
        peer.publish()
        give_back()
    pipe.submit(1, 100)


def test_a_closed_pipe_takes_nothing() -> None:
    pipe, _ = owner()
    with pytest.raises(Violation, match="closed"):
        pipe.submit(0, 100)


def test_a_receive_buffer_that_is_missing_is_a_violation() -> None:
    pipe, _ = owner()
    pipe.check(is_receiving=True)  # closed: nobody has any
    pipe.open()
    for slot in range(3):
        pipe.submit(slot, 100)
    pipe.check(is_receiving=False)
    with pytest.raises(Violation, match="3 of 4"):
        pipe.check(is_receiving=True)


def test_what_the_modem_had_written_when_a_driver_died_is_found_by_the_next_one() -> None:
    dead, peer = owner()
    dead.open()
    dead.submit(0, 100)
    dead.publish()
    never_opened, _ = owner(dead)
    peer.available()
    peer.take()
    peer.complete(8)
    peer.publish()
    heir, _ = owner(never_opened)
    heir.open()
    assert heir.lost_at_reset == 1


def test_submitting_takes_vote_then_ack_then_power() -> None:
    watch = PowerWatch()
    watch.probed(power_edges=0, ack_edges=7)
    steps = (
        lambda: watch.told(Line.MODEM_POWER, 1),
        lambda: watch.voted(True),
        lambda: watch.told(Line.MODEM_ACK, 7),  # no edge, no ack
    )
    for step in steps:
        step()
        with pytest.raises(Violation, match="submitted to TX"):
            watch.check()
    watch.told(Line.MODEM_ACK, 8)
    watch.check()
    watch.told(Line.MODEM_POWER, 2)
    with pytest.raises(Violation, match="vote 1, ack 1, modem power 0"):
        watch.check()


def test_a_drop_needs_a_reason_that_is_explained() -> None:
    explained = frozenset({DropReason.EMPTY})
    check_reasons(Counter({DropReason.EMPTY: 3, DropReason.OVERRUN: 0}), explained)
    with pytest.raises(Violation, match="1 packets dropped as OVERRUN"):
        check_reasons(Counter({DropReason.OVERRUN: 1}), explained)
    with pytest.raises(Violation, match="-1 packets"):
        check_reasons(Counter({DropReason.EMPTY: -1}), explained)


def test_numbers_that_should_be_equal() -> None:
    check_equal("frames", 3, 3)
    with pytest.raises(Violation, match="frames: 3 is not 4"):
        check_equal("frames", 3, 4)
