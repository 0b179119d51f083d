"""``bamdmux sim``: the simulation, one seed or many."""

import sys
import time
from collections.abc import Iterable
from itertools import islice
from typing import Final

import click

from bamdmux.cli.faults import print_faults
from bamdmux.errors import UsageError
from bamdmux.middleware.catalog import FAULTS, find_faults
from bamdmux.sim.campaign import simulate_seeds
from bamdmux.sim.conditions import HOUR, draw_conditions
from bamdmux.sim.shrink import shrink
from bamdmux.sim.simulation import Report, replay_line, simulate
from bamdmux.timing import SECOND

FAILED: Final = 1
_MOST_HOURS: Final = 10_000.0


@click.command("sim", short_help="Both machines under a virtual clock, with weather.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The first seed.")
@click.option("--seeds", "count", type=click.IntRange(min=1), default=1, help="So many, over all cores.")
@click.option(
    "--hours", type=float, default=1 / 60, show_default="one minute", help="Simulated time under the weather."
)
@click.option(
    "--faults",
    "fault_names",
    metavar="LIST",
    help="Names with commas between; all, none, or list to see them. Default: the seed chooses.",
)
@click.option("--trace", is_flag=True, help="Print each event and each action, one a line.")
@click.option(
    "--shrink", "is_shrinking", is_flag=True, help="Of a failure find the fewest faults that do it."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes for --seeds. Default: one a core.")
def command(
    seed: int,
    count: int,
    hours: float,
    fault_names: str | None,
    trace: bool,
    is_shrinking: bool,
    jobs: int | None,
) -> int:
    """Run both machines under one virtual clock, with weather.

    One seed is one world: the same trace to the byte, on any machine. Exit code 1: a rule was broken, and the
    line that shows it again is printed.
    """
    if fault_names == "list":
        print_faults()
        return 0
    if not 0 < hours <= _MOST_HOURS:
        raise UsageError(f"hours {hours:g} is not within 0 to {_MOST_HOURS:g}")
    faults = _parse_faults(fault_names)
    duration_ns = round(hours * HOUR)
    if count > 1:
        if trace or is_shrinking:
            raise UsageError("--trace and --shrink take one seed; leave out --seeds")
        reports = simulate_seeds(range(seed, seed + count), duration_ns, faults, jobs)
        return _run_many(reports, seed, count)
    conditions = draw_conditions(seed, duration_ns, faults)
    started = time.perf_counter()
    report = simulate(conditions, print if trace else None)
    _print_report(report, time.perf_counter() - started)
    if report.failure is None:
        return 0
    if is_shrinking:
        print("shrinking", file=sys.stderr)
        smallest = shrink(report, simulate)
        print(f"smallest: {smallest.failure}")
        print(f"replay:   {replay_line(smallest.conditions)}")
    return FAILED


def _parse_faults(names: str | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if names in ("none", ""):
        return ()
    if names == "all":
        return tuple(FAULTS)
    return tuple(fault.name for fault in find_faults(names.split(",")))


def _print_report(report: Report, seconds: float) -> None:
    simulated = report.simulated_ns / SECOND
    faults = ", ".join(f"{name} x{count}" for name, count in report.strikes.items()) or "none"
    drops = ", ".join(f"{name} {count}" for name, count in report.drops.items()) or "none"
    click.echo(f"seed {report.conditions.seed}, ring of {report.conditions.slot_count}, faults: {faults}")
    click.echo(
        f"{simulated:.1f} s simulated, {report.event_count} events, {report.wakeups} wake-ups; "
        f"{report.sent} packets ({report.sent / max(simulated, 1):.0f}/s), "
        f"{report.arrived / max(report.sent, 1):.2%} arrived; "
        f"drops: {drops}"
    )
    # The one line that differs from run to run.
    click.echo(f"{seconds:.2f} s of real time: {simulated / max(seconds, 1e-9):.0f} times faster", err=True)
    _print_failure(report)


def _print_failure(report: Report) -> None:
    if report.failure is not None:
        click.echo(f"VIOLATION {report.failure}")
        click.echo(f"replay:   {report.failure.replay}")


def _run_many(reports: Iterable[Report], first: int, count: int) -> int:
    from rich.console import Console
    from rich.progress import track

    started, simulated, failed = time.perf_counter(), 0, 0
    done = first
    progress = track(
        islice(reports, count), f"{count} seeds", count, console=Console(stderr=True), transient=True
    )
    try:
        for report in progress:
            done = report.conditions.seed + 1
            simulated += report.simulated_ns
            failed += report.failure is not None
            _print_failure(report)
    except KeyboardInterrupt:
        left = first + count - done
        click.echo(
            f"stopped; go on with: bamdmux sim --seed {done} --seeds {left}"
            f" (make sim SIM_START={done} SIM_SEEDS={left})",
            err=True,
        )
        raise
    seconds = time.perf_counter() - started
    click.echo(f"{count} seeds from {first}, {simulated / HOUR:.1f} hours simulated: {failed} failed")
    click.echo(f"{seconds:.0f} s of real time: {simulated / SECOND / seconds:.0f} times faster", err=True)
    return FAILED if failed else 0
