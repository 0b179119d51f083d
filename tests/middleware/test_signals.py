"""Doorbells and edges under each fault; one that was stopped passes everything on."""

import pytest

from bamdmux.actions import Line, Pipe
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import Family
from bamdmux.timing import MILLISECOND
from tests.middleware.far_side import Rig

SIGNALS = [
    fault.name
    for fault in FAULTS.values()
    if fault.family in (Family.POWER, Family.CRASH) or "doorbell" in fault.name or "signals" in fault.name
]


@pytest.mark.parametrize("name", SIGNALS)
def test_a_fault_that_does_not_strike_passes_everything_on(name: str) -> None:
    rig = Rig(name)
    rig.middleware.stop()
    for count in range(1, 4):
        rig.to_modem.line_changed(Line.HOST_VOTE, count, now=count)
        rig.to_modem.line_changed(Line.HOST_ACK, count, now=count)
        rig.to_modem.doorbell_rang(Pipe.TX, now=count)
        rig.to_host.line_changed(Line.MODEM_POWER, count, now=count)
        rig.to_host.line_changed(Line.MODEM_ACK, count, now=count)
        rig.to_host.doorbell_rang(Pipe.RX, now=count)
    rounds = ([(n, Line.HOST_VOTE, n), (n, Line.HOST_ACK, n), (n, Pipe.TX, 0)] for n in range(1, 4))
    assert rig.at_modem.heard == [news for each in rounds for news in each]
    assert len(rig.at_host.heard) == 9
    rig.agenda.run()
    assert len(rig.at_host.heard) == 9
    assert rig.restarts == []


def test_a_lost_doorbell_is_not_heard() -> None:
    rig = Rig("lost-doorbell")
    rig.to_host.doorbell_rang(Pipe.RX, now=0)
    rig.to_modem.doorbell_rang(Pipe.TX, now=0)
    rig.agenda.run()
    assert rig.at_host.heard == rig.at_modem.heard == []
    assert rig.strikes.count == 2


def test_a_late_doorbell_comes_within_its_bounds() -> None:
    rig = Rig("late-doorbell")
    rig.to_host.doorbell_rang(Pipe.RX, now=0)
    assert rig.at_host.heard == []
    rig.agenda.run()
    ((when, what, _),) = rig.at_host.heard
    assert what is Pipe.RX
    assert MILLISECOND <= when <= 250 * MILLISECOND


def test_a_duplicate_doorbell_comes_now_and_later() -> None:
    rig = Rig("duplicate-doorbell")
    rig.to_host.doorbell_rang(Pipe.RX, now=0)
    rig.agenda.run()
    first, second = rig.at_host.heard
    assert first == (0, Pipe.RX, 0)
    assert second[1] is Pipe.RX


def test_what_is_swapped_comes_behind_the_next() -> None:
    rig = Rig("reordered-signals")
    rig.to_host.doorbell_rang(Pipe.RX, now=0)
    rig.to_host.line_changed(Line.MODEM_POWER, 1, now=5)
    assert rig.at_host.heard == [(5, Line.MODEM_POWER, 1), (5, Pipe.RX, 0)]
    rig.agenda.run()
    assert len(rig.at_host.heard) == 2


def test_what_is_swapped_with_its_like_is_one_and_counts_never_go_back() -> None:
    rig = Rig("reordered-signals")
    rig.to_host.line_changed(Line.MODEM_ACK, 1, now=0)
    rig.to_host.line_changed(Line.MODEM_ACK, 2, now=5)
    rig.agenda.run()
    assert rig.at_host.heard == [(5, Line.MODEM_ACK, 2)]


def test_what_is_swapped_waits_no_longer_than_its_bound() -> None:
    rig = Rig("reordered-signals")
    rig.to_host.doorbell_rang(Pipe.RX, now=0)
    rig.agenda.run()
    assert len(rig.at_host.heard) == 1


@pytest.mark.parametrize(("name", "pipe"), [("tx-ring-full", Pipe.TX), ("rx-ring-full", Pipe.RX)])
def test_held_doorbells_become_one(name: str, pipe: Pipe) -> None:
    rig = Rig(name)
    to, at = (rig.to_modem, rig.at_modem) if pipe is Pipe.TX else (rig.to_host, rig.at_host)
    for _ in range(3):
        to.doorbell_rang(pipe, now=0)
    other = Pipe.RX if pipe is Pipe.TX else Pipe.TX
    to.doorbell_rang(other, now=0)
    assert at.heard == [(0, other, 0)]
    rig.agenda.run()
    assert [what for _, what, _ in at.heard] == [other, pipe]


def test_a_lost_edge_shows_with_the_next() -> None:
    rig = Rig("lost-modem-power")
    rig.to_host.line_changed(Line.MODEM_POWER, 1, now=0)
    rig.to_host.line_changed(Line.MODEM_ACK, 1, now=0)
    rig.middleware.stop()
    rig.to_host.line_changed(Line.MODEM_POWER, 2, now=9)
    assert rig.at_host.heard == [(0, Line.MODEM_ACK, 1), (9, Line.MODEM_POWER, 2)]


def test_a_late_edge_brings_the_newest_count() -> None:
    rig = Rig("late-host-vote")
    rig.to_modem.line_changed(Line.HOST_VOTE, 1, now=0)
    rig.middleware.stop()
    rig.to_modem.line_changed(Line.HOST_VOTE, 2, now=1)
    rig.agenda.run()
    assert [count for _, _, count in rig.at_modem.heard] == [2, 2]


def test_two_edges_are_merged_into_one_wake_up() -> None:
    rig = Rig("merged-host-ack")
    rig.to_modem.line_changed(Line.HOST_ACK, 1, now=0)
    assert rig.at_modem.heard == []
    rig.to_modem.line_changed(Line.HOST_ACK, 2, now=7)
    rig.agenda.run()
    assert rig.at_modem.heard == [(7, Line.HOST_ACK, 2)]


def test_an_edge_that_has_nothing_to_merge_with_comes_after_all() -> None:
    rig = Rig("merged-host-ack")
    rig.to_modem.line_changed(Line.HOST_ACK, 1, now=0)
    rig.agenda.run()
    assert rig.at_modem.heard == [(2500 * MILLISECOND, Line.HOST_ACK, 1)]


def test_a_spurious_edge_is_a_wake_up_with_the_same_count() -> None:
    rig = Rig("spurious-modem-ack")
    rig.to_host.line_changed(Line.MODEM_ACK, 5, now=0)
    rig.to_host.doorbell_rang(Pipe.RX, now=0)
    rig.agenda.run()
    assert [count for _, what, count in rig.at_host.heard if what is Line.MODEM_ACK] == [5, 5, 5]


def test_power_that_falls_while_voted_rises_again_and_the_edges_stay() -> None:
    rig = Rig("power-falls-while-voted")
    rig.to_host.line_changed(Line.MODEM_POWER, 1, now=0)
    rig.to_host.doorbell_rang(Pipe.TX, now=3)
    rig.to_host.doorbell_rang(Pipe.TX, now=4)  # it is down already
    rig.agenda.run()
    rig.middleware.stop()
    rig.to_host.line_changed(Line.MODEM_POWER, 2, now=10**12)
    assert [count for _, what, count in rig.at_host.heard if what is Line.MODEM_POWER] == [1, 2, 3, 4]


def test_power_that_falls_after_its_rise_rises_again() -> None:
    rig = Rig("power-falls-after-rise")
    rig.to_host.line_changed(Line.MODEM_POWER, 1, now=0)
    rig.agenda.run()
    assert sorted(count for _, _, count in rig.at_host.heard) == [1, 2, 3]
    rig.to_host.line_changed(Line.MODEM_POWER, 2, now=10**9)  # it falls by itself: nothing to strike at
    assert rig.strikes.count == 1


def test_a_hidden_cycle_is_two_edges_at_once() -> None:
    rig = Rig("hidden-power-cycle")
    rig.to_host.line_changed(Line.MODEM_POWER, 1, now=0)
    rig.to_host.doorbell_rang(Pipe.TX, now=3)
    assert rig.at_host.heard[-1] == (3, Line.MODEM_POWER, 3)


def test_an_early_ack_shows_at_once_and_the_real_one_is_no_edge_any_more() -> None:
    rig = Rig("early-modem-ack")
    rig.to_modem.line_changed(Line.HOST_VOTE, 1, now=0)
    rig.to_host.line_changed(Line.MODEM_ACK, 1, now=9)
    rig.to_modem.line_changed(Line.HOST_VOTE, 2, now=10)  # the vote's end is acked in time
    rig.to_host.line_changed(Line.MODEM_ACK, 2, now=11)
    rig.to_host.line_changed(Line.MODEM_POWER, 1, now=12)
    assert rig.at_host.heard == [
        (0, Line.MODEM_ACK, 1),
        (9, Line.MODEM_ACK, 1),
        (11, Line.MODEM_ACK, 2),
        (12, Line.MODEM_POWER, 1),
    ]
    assert [count for _, _, count in rig.at_modem.heard] == [1, 2]


@pytest.mark.parametrize("who", ["modem", "host"])
def test_somebody_dies_at_each_step_and_at_no_other(who: str) -> None:
    steps = {
        "after-vote": lambda rig: rig.to_modem.line_changed(Line.HOST_VOTE, 1, 0),
        "after-vote-off": lambda rig: rig.to_modem.line_changed(Line.HOST_VOTE, 2, 0),
        "after-host-ack": lambda rig: rig.to_modem.line_changed(Line.HOST_ACK, 2, 0),
        "amid-uplink": lambda rig: rig.to_modem.doorbell_rang(Pipe.TX, 0),
        "after-ack": lambda rig: rig.to_host.line_changed(Line.MODEM_ACK, 2, 0),
        "after-rise": lambda rig: rig.to_host.line_changed(Line.MODEM_POWER, 1, 0),
        "after-fall": lambda rig: rig.to_host.line_changed(Line.MODEM_POWER, 2, 0),
        "amid-downlink": lambda rig: rig.to_host.doorbell_rang(Pipe.RX, 0),
    }
    for name in steps:
        for other, step in steps.items():
            rig = Rig(f"{who}-dies-{name}")
            step(rig)
            assert len(rig.at_host.heard) + len(rig.at_modem.heard) == 1
            rig.agenda.run()
            assert [victim for victim, _ in rig.restarts] == ([who] if other == name else [])


# On a link that runs


@pytest.mark.parametrize("name", ["spurious-modem-power", "power-falls-while-voted", "hidden-power-cycle"])
def test_a_count_goes_on_from_where_the_line_was(name: str) -> None:
    rig = Rig(name, edge_count=41)
    rig.to_host.doorbell_rang(Pipe.TX, 0)
    rig.agenda.run()
    counts = [count for _, what, count in rig.at_host.heard if what is Line.MODEM_POWER]
    assert counts
    assert min(counts) >= 41


def test_an_early_ack_is_the_next_one() -> None:
    rig = Rig("early-modem-ack", edge_count=41)
    rig.to_modem.line_changed(Line.HOST_VOTE, 7, 0)
    assert rig.at_host.heard == [(0, Line.MODEM_ACK, 42)]


def test_a_power_that_was_made_to_fall_leaves_a_wrap_that_stays() -> None:
    rig = Rig("hidden-power-cycle")
    assert rig.to_host.is_at_rest
    rig.to_host.doorbell_rang(Pipe.TX, 0)
    assert not rig.to_host.is_at_rest
