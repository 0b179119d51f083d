"""Many seeds, over all cores. The reports come in the order of the seeds, whoever was first."""

import multiprocessing
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from bamdmux.sim.conditions import draw_conditions
from bamdmux.sim.simulation import Report, simulate
from bamdmux.timing import Duration

SEEDS_AT_ONCE: Final = 4  # handed to a process in one go


def simulate_seed(seed: int, duration_ns: Duration, faults: tuple[str, ...] | None) -> Report:
    return simulate(draw_conditions(seed, duration_ns, faults))


def simulate_seeds(
    seeds: Iterable[int],
    duration_ns: Duration,
    faults: tuple[str, ...] | None = None,
    process_count: int | None = None,
) -> Iterator[Report]:
    """Run the world of each seed.

    Args:
        faults: those of each world; None: each seed chooses its own.
        process_count: None: as many as there are cores.
    """
    run = partial(simulate_seed, duration_ns=duration_ns, faults=faults)
    # A fresh interpreter, not a copy of ours: a copy would inherit whatever threads hold at that moment.
    with multiprocessing.get_context("spawn").Pool(process_count) as pool:
        yield from pool.imap(run, seeds, SEEDS_AT_ONCE)
