"""Every order of a few events: the real machines break no rule, and machines that lack something do."""

import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Final

import pytest

from bamdmux.errors import UsageError
from bamdmux.host import power as host_power
from bamdmux.host.power import HostVote, VoteState
from bamdmux.modem import power as modem_power
from bamdmux.modem.power import ModemPower
from bamdmux.sim.explore.catalog import LINKS, ExploredLink, Start, lead_to
from bamdmux.sim.explore.recovery import next_choice
from bamdmux.sim.explore.rules import check_state
from bamdmux.sim.explore.search import Bounds, Exploration, Finding, replay
from bamdmux.sim.explore.snapshot import Snapshot
from bamdmux.sim.explore.state import StateReader
from bamdmux.sim.explore.world import ExploredWorld, Scope
from bamdmux.sim.packets import Direction
from tests.sim import explored_mutants, mutants
from tests.sim.mutants import Mutant, Patch


def find(link: ExploredLink, depth: int | None = None) -> Finding | None:
    return Exploration(link).run(Bounds(depth=link.short_depth if depth is None else depth)).finding


@pytest.mark.parametrize("name", LINKS)
def test_no_order_of_a_few_events_breaks_a_rule(name: str) -> None:
    link = LINKS[name]
    result = Exploration(link).run(Bounds(depth=link.short_depth))
    assert result.finding is None
    assert result.tally.depth == link.short_depth
    assert result.tally.state_count > 300


# What is taken out, on which link that shows, and after how many events at most.
BITES: Final[dict[str, tuple[Mutant, str, int]]] = {
    "edges of the power that are heard of as one": (mutants.edge_count_of_the_power, "traffic", 2),
    "a power cycle between two looks": (explored_mutants.hidden_cycle, "traffic", 6),
    "a completion just before the fall": (explored_mutants.completion_before_the_fall, "crash", 3),
    "the order of what waited for power": (explored_mutants.order_of_what_waited, "traffic", 2),
    "a removal during a wake-up": (explored_mutants.removal_while_waking, "removal", 1),
    "a removal whose wake-up fails": (explored_mutants.failed_resume_of_a_removal, "removal", 2),
    "a crash with frames under way": (explored_mutants.crash_amid_transmission, "crash", 2),
    "the fall of the power while we vote": (mutants.fall_while_voted, "crash", 2),
    "a modem that has restarted": (mutants.restart_of_the_modem, "crash", 1),
    "the phase of the ack on a new driver": (mutants.phase_of("ack_level"), "kill", 1),
    "a vote that an earlier driver left": (mutants.phase_of("vote_level"), "kill", 1),
    "queues that a full ring has stopped": (mutants.waking_of_queues, "interfaces", 2),
    "a doorbell that got lost": (mutants.look_again, "lost", 3),
    "an ack that the modem waits for": (mutants.time_outs_of_the_modem, "lost", 5),
}


@pytest.mark.parametrize("what", BITES)
def test_a_machine_that_does_not_handle_it_is_found_with_a_short_list_of_events(
    what: str, monkeypatch: Patch
) -> None:
    mutant, name, longest = BITES[what]
    mutant(monkeypatch)
    finding = find(LINKS[name])
    assert finding is not None
    assert len(finding.events) <= longest
    again = replay(LINKS[name], finding.events, None)
    assert again is not None
    assert (again.what, again.events) == (finding.what, finding.events)


def test_a_replay_prints_each_event_and_action_and_the_rule(monkeypatch: Patch) -> None:
    mutants.fall_while_voted(monkeypatch)
    lines: list[str] = []
    finding = replay(LINKS["crash"], ("up-0", "crash"), lines.append)
    assert finding is not None
    assert lines[-1].endswith(f"VIOLATION {finding.what}")
    begin = next(number for number, line in enumerate(lines) if line.endswith("here the events begin"))
    assert [line.split(" ", 2)[2] for line in lines[begin + 1 :] if "  " not in line][:2] == ["up-0", "crash"]


def test_a_replay_refuses_what_cannot_happen() -> None:
    with pytest.raises(UsageError, match="'kill' cannot happen then; what can: "):
        replay(LINKS["traffic"], ("kill",), None)


def test_a_search_that_reaches_all_states_says_so() -> None:
    link = ExploredLink(
        name="none",
        description="nothing can happen",
        scope=Scope(packets=False),
        start=Start.ASLEEP,
        depth=3,
        short_depth=3,
    )
    tally = Exploration(link).run(Bounds(depth=3)).tally
    assert tally.is_exhausted
    assert tally.state_count == 1


def test_a_search_ends_at_the_number_of_states_that_it_is_given() -> None:
    tally = Exploration(LINKS["traffic"]).run(Bounds(depth=20, states=50)).tally
    assert 50 <= tally.state_count < 60  # the state that it is at is finished
    assert not tally.is_exhausted


# The modem rises to announce its channels, and nobody hears of it; a late ack of an earlier rise passes for
# that of this one. Without an interface the host never votes: no failed wait makes it look at the line.
NOBODY_HEARS_OF_THE_RISE: Final = (
    *("boot", "modem-time", "bind", "modem-time", "modem-power", "modem-time", "modem-time"),
    "lose-modem-power",
)


def test_a_rise_that_got_lost_before_there_is_an_interface_is_noticed_in_the_end() -> None:
    assert replay(LINKS["lost-at-start"], NOBODY_HEARS_OF_THE_RISE, None) is None


# What a state is


def walk(world: ExploredWorld, chance: random.Random, length: int) -> None:
    for _ in range(length):
        choices = world.choices()
        world.choose(choices[int(chance.random() * len(choices))])


@pytest.mark.parametrize("name", ["everything", "vanish", "two-channels", "kill", "lost"])
def test_equal_states_go_on_alike(name: str) -> None:
    """Random walks come by the same states with other times, counters, generations and packets."""
    world = ExploredWorld(LINKS[name].scope)
    reader = StateReader(world)
    lead_to(world, LINKS[name].start)
    start, chance = Snapshot(world), random.Random(7)
    successors: dict[int, tuple[tuple[str, int], ...]] = {}
    met_again = 0
    for _ in range(60):
        start.restore()
        for _ in range(12):
            walk(world, chance, 1)
            digest, here, after = reader.digest(), Snapshot(world), []
            for choice in world.choices():
                world.choose(choice)
                check_state(world)
                after.append((choice, reader.digest()))
                here.restore()
            met_again += digest in successors
            assert successors.setdefault(digest, tuple(after)) == tuple(after)
    assert met_again > 100


def test_a_link_that_has_slept_for_long_is_in_the_state_that_it_was_in() -> None:
    world = ExploredWorld(Scope())
    reader = StateReader(world)
    lead_to(world, Start.ASLEEP)
    digests = set()
    for _ in range(4):  # the levels of the acks differ after an odd number of edges
        for direction in Direction:
            world.choose(f"{direction.name.lower()}-0")
            while (choice := next_choice(world)) is not None:
                world.choose(choice)
        world.now += 12345
        digests.add(reader.digest())
    assert len(digests) == 1


def test_states_that_differ_in_one_deadline_are_two() -> None:
    world = ExploredWorld(Scope())
    reader = StateReader(world)
    lead_to(world, Start.AWAKE)
    before = reader.digest()
    world.now += 1
    assert reader.digest() != before


# Snapshots


def test_a_snapshot_brings_everything_back_drivers_and_interfaces_too() -> None:
    lines: list[str] = []
    world = ExploredWorld(LINKS["everything"].scope, lines.append)
    lead_to(world, Start.AWAKE)
    reader = StateReader(world)
    before, snapshot = reader.digest(), Snapshot(world)
    traces = []
    for _ in range(2):
        lines.clear()
        for choice in (
            "up-0",
            "remove",
            "tx-to-modem",
            "host-vote",
            "modem-time",
            "crash",
            "host-time",
            "bind",
        ):
            if choice in world.choices():
                world.choose(choice)
        traces.append(list(lines))
        snapshot.restore()
        assert reader.digest() == before
    assert traces[0] == traces[1]
    assert len(traces[0]) > 10


def test_a_search_does_not_depend_on_the_hash_of_texts() -> None:
    code = (
        "from bamdmux.sim.explore.search import *; from bamdmux.sim.explore.catalog import LINKS;"
        "e = Exploration(LINKS['everything']); print(e.run(Bounds(depth=3)).tally, sorted(e._seen))"
    )
    outputs = set()
    for hash_seed in ("1", "2", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        line = [sys.executable, "-c", code]
        run = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=True)
        outputs.add(run.stdout)
    assert len(outputs) == 1


# Tables


def watch(machine: type, monkeypatch: Patch) -> set[tuple[object, object]]:
    """The transitions that machines of this class take from now on."""
    taken: set[tuple[object, object]] = set()
    enter = machine._enter  # type: ignore[attr-defined]

    def watched(self: object, state: object, now: int) -> None:
        taken.add((self._state, state))  # type: ignore[attr-defined]
        enter(self, state, now)

    monkeypatch.setattr(machine, "_enter", watched)
    return taken


def rows(legal: Mapping[object, Iterable[object]]) -> set[tuple[object, object]]:
    return {(before, after) for before, states in legal.items() for after in states}


# Only a firmware that ends power control leads there; ours does not say OPEN_NO_A2_PC.
WITHOUT_POWER_CONTROL: Final = {
    (VoteState.SUSPENDED, VoteState.ACTIVE),
    (VoteState.AWAITING_DOWN_ACK, VoteState.ACTIVE),
}


def test_no_row_of_the_power_tables_is_dead(monkeypatch: Patch) -> None:
    votes, powers = watch(HostVote, monkeypatch), watch(ModemPower, monkeypatch)
    for name, depth in (("start", 10), ("removal", 6), ("vanish", 4)):
        assert find(LINKS[name], depth) is None
    assert rows(host_power.LEGAL) - votes == WITHOUT_POWER_CONTROL
    assert powers == rows(modem_power.LEGAL)
