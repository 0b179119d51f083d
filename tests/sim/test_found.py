"""What the simulation has found: the seed, and the machine as it was. Both are run, the mended one first."""

from typing import Final

import pytest

from bamdmux.actions import Action, LookAtLine
from bamdmux.host.driver import HostDriver
from bamdmux.sim.conditions import MINUTE, draw_conditions
from bamdmux.sim.simulation import simulate
from tests.sim import mutants
from tests.sim.mutants import Mutant, Patch


def power_looked_at_before_an_answer(patch: Patch) -> None:
    """What is found in RX as the power falls is answered at once."""

    def push(self: HostDriver, now: int) -> None:
        if self._removal.vote_is_over:
            return
        ring = self._transmit_ring
        ring.place_waiting_commands()
        if not ring.free:
            self.channels.stop_all()
        if ring.pending and self._vote.request(now):
            self._submit(now)

    patch.setattr(HostDriver, "_push", push)


def no_look_at_the_line(patch: Patch) -> None:
    """A wait that failed is no reason to look at the line."""

    def take_actions(self: HostDriver) -> list[Action]:
        actions = [action for action in self._outbox if not isinstance(action, LookAtLine)]
        self._outbox.clear()
        return actions

    patch.setattr(HostDriver, "take_actions", take_actions)


FOUND: Final = {
    # With the ring full, the doorbell of the last completion was the last one.
    "a lost doorbell stops transmission for good": (
        0,
        MINUTE,
        "lost-doorbell",
        mutants.look_again,
        "stopped for ever|sent up|channel 0",
    ),
    # Power that never cycles, because the modem has ended power control, heals nothing.
    "a lost doorbell leaves the modem without buffers for good": (
        0,
        MINUTE,
        "open-no-a2-pc,lost-doorbell,no-rx-buffers",
        mutants.look_again,
        "stopped for ever|sent up|channel 0",
    ),
    # The fall of the power drains RX first; an OPEN of a modem that had restarted was answered right there.
    "an OPEN is answered into a BAM without power": (
        34,
        MINUTE,
        "modem-dies-after-host-ack",
        power_looked_at_before_an_answer,
        "modem power 0",
    ),
    # The rise of the modem's power got lost, a late ack was taken for that of the rise: the modem is up, the
    # host waits for it to rise. Each time-out drops the vote and the next packet votes at once, so the modem
    # never falls, and no edge ever tells.
    "a rise that got lost is never noticed while packets wait": (
        20180,
        MINUTE,
        "merged-host-ack,lost-modem-power",
        no_look_at_the_line,
        "stopped for ever|drain|channel 0",
    ),
    "a rise that got lost is never noticed, as the modem falls for its own reasons": (
        21508,
        MINUTE // 4,
        "lost-modem-power,power-falls-while-voted",
        no_look_at_the_line,
        "stopped for ever|drain|channel 0",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str, monkeypatch: Patch) -> None:
    seed, duration, faults, mutant, what = FOUND[name]
    conditions = draw_conditions(seed, duration, tuple(faults.split(",")))
    assert simulate(conditions).failure is None
    as_it_was: Mutant = mutant
    as_it_was(monkeypatch)
    failure = simulate(conditions).failure
    assert failure is not None
    assert any(part in failure.what for part in what.split("|"))
