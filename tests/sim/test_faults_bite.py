"""For each named fault: a machine without the handling of it fails, with the fault and only with it.

Three worlds for each: the real machines under the fault (nothing is broken), the mutant in fine weather (nor
here: so it is the fault that finds it), the mutant under the fault (a rule is broken, within a few seeds).
"""

from dataclasses import dataclass, replace
from typing import Final

import pytest

from bamdmux.counters import DropReason
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import Licence
from bamdmux.middleware.pipes import HoldingPeer
from bamdmux.sim import simulation
from bamdmux.sim.conditions import HOUR, MINUTE, Conditions, Disturbances
from bamdmux.sim.simulation import simulate
from bamdmux.sim.world import World
from bamdmux.timing import SECOND
from tests.sim import mutants
from tests.sim.mutants import Mutant, Patch

SEEDS: Final = range(6)  # the first that breaks a rule is enough

_NEVER: Final = (10 * HOUR, 10 * HOUR)
INTERFACES_ONLY: Final = Disturbances(
    interface_down_every_ns=(SECOND, 4 * SECOND), modem_restart_every_ns=_NEVER, host_removal_every_ns=_NEVER
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is taken out, and what the world needs for the fault to have a chance."""

    mutant: Mutant
    rate: float | None = None
    disturbances: Disturbances | None = None
    lives_without_fault: bool = True


# Faults that no machine can notice: here it is the checkers that are blinded.


def licence(which: Licence) -> Mutant:
    """The weather permits it, but the ledger is not told."""

    def mutant(patch: Patch) -> None:
        init = World.__init__

        def strict(self: World, *arguments: object) -> None:
            init(self, *arguments)  # type: ignore[arg-type]
            name = {Licence.REORDERING: "_may_reorder", Licence.DUPLICATES: "_may_duplicate"}[which]
            setattr(self.ledger, name, False)

        patch.setattr(World, "__init__", strict)

    return mutant


def tally_of_the_vanished(patch: Patch) -> None:
    audit = simulation._audit

    def blind(world: World) -> None:
        world.middleware.tally.vanished = 0
        audit(world)

    patch.setattr(simulation, "_audit", blind)


def order_of_what_was_held(patch: Patch) -> None:
    """What waited goes out behind what came later."""
    publish = HoldingPeer.publish

    def last_first(self: HoldingPeer) -> int:
        self._held.reverse()
        return publish(self)

    patch.setattr(HoldingPeer, "publish", last_first)


def _lines(kind: str, vote: Mutant, ack: Mutant, power: Mutant, modem_ack: Mutant) -> dict[str, Case]:
    lines = {"host-vote": vote, "host-ack": ack, "modem-power": power, "modem-ack": modem_ack}
    rate = 1.0 if kind == "spurious" else 0.5
    return {f"{kind}-{line}": Case(mutant, rate=rate) for line, mutant in lines.items()}


CASES: Final[dict[str, Case]] = {
    "bad-magic": Case(mutants.host_check(DropReason.BAD_MAGIC)),
    "bad-channel": Case(mutants.host_check(DropReason.UNSUPPORTED_CHANNEL)),
    "bad-command": Case(mutants.host_check(DropReason.UNSUPPORTED_COMMAND)),
    "length-beyond-transfer": Case(mutants.host_check(DropReason.TRUNCATED)),
    "length-beyond-buffer": Case(mutants.host_check(DropReason.TOO_LONG)),
    "zero-length": Case(mutants.host_check(DropReason.EMPTY)),
    "truncated-transfer": Case(mutants.transferred_length),
    "short-of-a-header": Case(mutants.transferred_length),
    "overrun-write-back": Case(mutants.transferred_length),
    "length-from-transfer": Case(mutants.length_ffff),
    "uplink-bad-magic": Case(mutants.modem_check(DropReason.BAD_MAGIC)),
    "uplink-bad-channel": Case(mutants.modem_check(DropReason.UNSUPPORTED_CHANNEL)),
    "uplink-length-beyond-buffer": Case(mutants.modem_check(DropReason.TOO_LONG)),
    "uplink-zero-length": Case(mutants.modem_check(DropReason.EMPTY)),
    "uplink-truncated": Case(mutants.modem_check(DropReason.TRUNCATED)),
    "uplink-short-of-a-header": Case(mutants.modem_check(DropReason.TRUNCATED)),
    "uplink-bad-descriptor": Case(mutants.descriptor_bounds),
    "duplicate-open": Case(mutants.duplicate_open),
    "close-not-open": Case(mutants.close_of_a_closed_channel),
    "open-no-a2-pc": Case(mutants.open_no_a2_pc),
    "lost-doorbell": Case(mutants.look_again, rate=0.1),
    "late-doorbell": Case(mutants.arrived_before_the_fall, rate=0.5),
    "duplicate-doorbell": Case(mutants.doorbells_for_nothing),
    "reordered-signals": Case(mutants.a_rise_before_the_ack, rate=0.3),
    "lost-frame": Case(tally_of_the_vanished),
    "duplicate-frame": Case(licence(Licence.DUPLICATES)),
    "reordered-frame": Case(licence(Licence.REORDERING)),
    "late-frame": Case(order_of_what_was_held),
    **_lines(
        "lost",
        mutants.forgiveness,
        mutants.time_outs_of_the_modem,
        mutants.edge_count_of_the_power,
        mutants.forgiveness,
    ),
    **_lines(
        "late",
        mutants.forgiveness,
        mutants.late_acks_of_the_host,
        mutants.forgiveness,
        mutants.forgiveness,
    ),
    **_lines(
        "merged",
        mutants.forgiveness,
        mutants.late_acks_of_the_host,
        mutants.edge_count_of_the_power,
        mutants.forgiveness,
    ),
    **_lines(
        "spurious",
        mutants.edge_count_of_the_vote,
        mutants.acks_that_nobody_owes,
        mutants.edge_count_of_the_power,
        mutants.wake_ups_without_an_edge,
    ),
    "early-modem-ack": Case(mutants.waiting_for_power, lives_without_fault=False),
    "power-falls-while-voted": Case(mutants.fall_while_voted),
    "power-falls-after-rise": Case(mutants.fall_while_voted, rate=1.0),
    "hidden-power-cycle": Case(mutants.edge_count_of_the_power),
    "tx-ring-full": Case(mutants.waking_of_queues, rate=0.2),
    "rx-ring-full": Case(mutants.buffer_count, rate=0.2),
    "no-rx-buffers": Case(mutants.buffer_count),
    "tun-full": Case(mutants.counting(DropReason.DEVICE_REFUSED)),
    "network-full": Case(mutants.counting(DropReason.DEVICE_REFUSED)),
    "modem-dies-after-vote": Case(mutants.restart_of_the_modem),
    "modem-dies-after-ack": Case(mutants.forgiveness, rate=0.5),
    "modem-dies-after-rise": Case(mutants.restart_of_the_modem),
    "modem-dies-after-host-ack": Case(mutants.restart_of_the_modem),
    "modem-dies-amid-uplink": Case(mutants.fall_while_voted),
    "modem-dies-amid-downlink": Case(mutants.restart_of_the_modem),
    "modem-dies-after-vote-off": Case(mutants.restart_of_the_modem),
    "modem-dies-after-fall": Case(mutants.restart_of_the_modem),
    "host-dies-after-vote": Case(mutants.phase_of("vote_level")),
    "host-dies-after-ack": Case(mutants.phase_of("vote_level")),
    "host-dies-after-rise": Case(mutants.phase_of("ack_level")),
    "host-dies-after-host-ack": Case(mutants.phase_of("ack_level")),
    "host-dies-amid-uplink": Case(mutants.phase_of("vote_level")),
    "host-dies-amid-downlink": Case(mutants.phase_of("ack_level")),
    "host-dies-after-vote-off": Case(mutants.phase_of("ack_level"), rate=0.6),
    "host-dies-after-fall": Case(mutants.phase_of("ack_level"), rate=0.6),
    "data-before-open": Case(mutants.inactive_channels, rate=0.9),
    "data-after-close": Case(mutants.open_after_close),
    "data-for-nobody": Case(mutants.host_check(DropReason.UNSUPPORTED_CHANNEL)),
    "flapping-channel": Case(mutants.open_after_close),
    "close-while-open": Case(mutants.open_after_close),
    "open-while-closing": Case(mutants.duplicate_open, disturbances=INTERFACES_ONLY),
    "wrong-source": Case(mutants.source_check),
}


def conditions_of(name: str, case: Case, seed: int) -> Conditions:
    rates = {} if case.rate is None else {name: case.rate}
    return Conditions(
        seed=seed, duration_ns=MINUTE, faults=(name,), rates=rates, disturbances=case.disturbances
    )


def test_every_fault_has_a_case() -> None:
    assert sorted(CASES) == sorted(FAULTS)


@pytest.mark.parametrize("name", CASES)
def test_a_fault_finds_the_machine_that_does_not_handle_it(name: str, monkeypatch: Patch) -> None:
    case = CASES[name]
    world = conditions_of(name, case, seed=0)
    report = simulate(world)
    assert report.failure is None
    assert report.strikes[name]
    case.mutant(monkeypatch)
    if case.lives_without_fault:
        assert simulate(replace(world, faults=())).failure is None
    worlds = (conditions_of(name, case, seed) for seed in SEEDS)
    assert any(simulate(world).failure is not None for world in worlds)
