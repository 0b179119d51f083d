"""``bamdmux bench``: how fast the link is beside others that do the same job."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from bamdmux.errors import UsageError

MISSED: Final = 1
ROUNDS: Final = 7
QUICK_ROUNDS: Final = 3
# What says most in a minute.
QUICK_PEERS: Final = ("straight", "forward-packets", "one-socat", "two-socats")
QUICK_CONFIGURATIONS: Final = ("fused-32", "split-32", "split-512")
QUICK_JOBS: Final = ("tcp", "round-trip")


@click.command("bench", short_help="How fast it is beside named peers, in one run.")
@click.option("--peers", metavar="NAMES", help="all, none, or names with commas between.  [default: all]")
@click.option("--configurations", metavar="NAMES", help="Of bamdmux, likewise.")
@click.option("--jobs", metavar="NAMES", help="Likewise; tcp means tcp-up and tcp-down.")
@click.option("--rounds", type=click.IntRange(min=1), help=f"Of each job.  [default: {ROUNDS}]")
@click.option("--quick", is_flag=True, help=f"{QUICK_ROUNDS} rounds of a few jobs, beside a few peers.")
@click.option("--list", "is_list", is_flag=True, help="Print the names that there are, and what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print every value of every round.")
@click.option(
    "--from",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Measure nothing: print the tables of what --json has printed.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 when a must is missed.")
def command(
    peers: str | None,
    configurations: str | None,
    jobs: str | None,
    rounds: int | None,
    quick: bool,
    is_list: bool,
    as_json: bool,
    path: Path | None,
    strict: bool,
) -> int:
    """Measure bamdmux beside other programs that do the same job.

    Everybody is set up once, in namespaces of its own, and then they take turns: what counts is the ratio
    of two of them in the same round. Nothing is left when it ends, however it does. Runs as root, and as a
    user where `bamdmux run` does.
    """
    from bamdmux.bench import enclosure, schedule
    from bamdmux.bench.configurations import CONFIGURATIONS, PUMP_VARIABLE
    from bamdmux.bench.jobs import JOBS
    from bamdmux.bench.peers import PEERS
    from bamdmux.bench.progress import progress_on
    from bamdmux.bench.results import Results

    ours = [configuration.contender() for configuration in CONFIGURATIONS]
    if is_list:
        return _list(("jobs", JOBS), ("peers", PEERS), ("configurations", ours))
    if path is not None:
        return _show(Results.from_json(_read(path)), as_json=as_json, strict=strict)
    chosen_peers = choose("peer", peers, PEERS, QUICK_PEERS if quick else None)
    chosen_ours = choose("configuration", configurations, ours, QUICK_CONFIGURATIONS if quick else None)
    plan = schedule.Plan(
        contenders=[*chosen_peers, *chosen_ours],
        jobs=choose("job", jobs, JOBS, QUICK_JOBS if quick else None),
        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
    )
    if not plan.contenders or not plan.jobs:
        raise UsageError("there is nothing to be measured; name a peer or a configuration, and a job")

    os.environ.pop(PUMP_VARIABLE, None)

    def measure(folder: Path) -> int:
        with progress_on(sys.stderr) as progress:
            results = schedule.run(plan, folder, progress)
        return _show(results, as_json=as_json, strict=strict)

    return enclosure.enclosed(measure)


def choose(kind: str, names: str | None, table: Sequence[Any], default: Sequence[str] | None) -> list[Any]:
    """The entries of a table that are meant, in its order.

    A name means itself, or all that begin with it and a dash.

    Raises:
        UsageError: there is none of that name.
    """
    if names == "none":
        return []
    wanted = None if names == "all" else default if names is None else names.split(",")
    if wanted is None:
        return list(table)
    chosen = set()
    for name in wanted:
        found = [each.name for each in table if each.name == name]
        found = found or [each.name for each in table if each.name.startswith(f"{name}-")]
        if not found:
            known = ", ".join(each.name for each in table)
            raise UsageError(f"there is no {kind} {name}; there are: {known}")
        chosen.update(found)
    return [each for each in table if each.name in chosen]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _list(*tables: tuple[str, Sequence[Any]]) -> int:
    from bamdmux.bench.machine import find_programs
    from bamdmux.errors import MachineError

    for title, table in tables:
        click.echo(title)
        for each in table:
            try:
                find_programs(each.programs)
                missing = ""
            except MachineError as error:
                missing = f"  MISSING: {error}"
            summary = each.summary if hasattr(each, "summary") else each.title
            click.echo(f"  {each.name:<18}{summary}{missing}")
    return 0


def _show(results: Any, *, as_json: bool, strict: bool) -> int:
    from rich.console import Console

    from bamdmux.bench.musts import Verdict, judge
    from bamdmux.bench.report import print_report

    if as_json:
        click.echo(results.to_json())
    else:
        print_report(results, Console(highlight=False, markup=False))
    has_missed = any(each.verdict is Verdict.MISSED for each in judge(results))
    return MISSED if strict and has_missed else 0
