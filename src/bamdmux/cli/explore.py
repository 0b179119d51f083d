"""``bamdmux explore``: every order of up to so many events, on small links.

A command of its own and no option of ``bamdmux sim``: there a seed is a world and chance decides, here
nothing is left to chance, and of sim's options none would mean anything.
"""

import multiprocessing
import time
from collections.abc import Callable
from typing import Final

import click

from bamdmux.errors import UsageError
from bamdmux.sim.explore.catalog import LINKS, ExploredLink
from bamdmux.sim.explore.search import Bounds, Exploration, Finding, Result, Tally, replay

FAILED: Final = 1
_SECONDS_BETWEEN: Final = 10.0  # lines of progress


@click.command("explore", short_help="Every order of a few events, with checkers.")
@click.argument("names", nargs=-1, metavar="[LINK]...")
@click.option("--depth", type=click.IntRange(min=0), help="So many events. Default: what each link says.")
@click.option("--states", type=click.IntRange(min=1), default=10_000_000, help="No more states of one link.")
@click.option("--short", "is_short", is_flag=True, help="As deep as the tests look, some seconds in all.")
@click.option("--list", "is_list", is_flag=True, help="List the links.")
@click.option("--events", metavar="LIST", help="Let these happen, with commas between, and print the trace.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. Default: one a core.")
def command(
    names: tuple[str, ...],
    depth: int | None,
    states: int,
    is_short: bool,
    is_list: bool,
    events: str | None,
    jobs: int | None,
) -> int:
    """Let both machines meet every order of events, up to a depth.

    Without names all links, one after the other on each core. Exit code 1: a rule was broken; the shortest
    list of events that breaks it is printed, and the line that shows it again.
    """
    if is_list:
        _print_list()
        return 0
    for name in names:
        if name not in LINKS:
            raise UsageError(f"link {name!r} is unknown; there is {', '.join(LINKS)}")
    if events is not None:
        if len(names) != 1:
            raise UsageError("--events happen on one link; name it")
        return _replay(LINKS[names[0]], [event for event in events.split(",") if event])
    chosen = [LINKS[name] for name in names or LINKS]
    tasks = [(link.name, _depth_of(link, depth, is_short), states) for link in chosen]
    started = time.perf_counter()
    results = []
    # A fresh interpreter for each, as campaign.py does it.
    with multiprocessing.get_context("spawn").Pool(
        min(jobs or multiprocessing.cpu_count(), len(tasks))
    ) as pool:
        for name, seconds, result in pool.imap_unordered(_explore, tasks, 1):
            _print_result(LINKS[name], result, seconds)
            results.append(result)
    state_count = sum(result.tally.state_count for result in results)
    transition_count = sum(result.tally.transition_count for result in results)
    seconds = time.perf_counter() - started
    failed = sum(result.finding is not None for result in results)
    click.echo(f"{len(results)} links, {state_count} states, {transition_count} transitions: {failed} failed")
    click.echo(f"{seconds:.0f} s of real time: {state_count / seconds:.0f} states a second", err=True)
    return FAILED if failed else 0


def _depth_of(link: ExploredLink, depth: int | None, is_short: bool) -> int:
    if depth is not None:
        return depth
    return link.short_depth if is_short else link.depth


def _print_list() -> None:
    for link in LINKS.values():
        scope = link.scope
        size = f"{scope.channel_count} ch, ring {scope.slot_count}"
        click.echo(
            f"{link.name:<14} depth {link.depth:>2} from {link.start.value:<7} {size:<13} {link.description}"
        )


def _explore(task: tuple[str, int, int]) -> tuple[str, float, Result]:
    name, depth, states = task
    started = time.perf_counter()
    result = Exploration(LINKS[name]).run(Bounds(depth=depth, states=states), _reporter(name))
    return name, time.perf_counter() - started, result


def _reporter(name: str) -> Callable[[Tally], None]:
    last = time.perf_counter()

    def report(tally: Tally) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= _SECONDS_BETWEEN:
            last = now
            click.echo(
                f"  {name}: {tally.state_count} states, beyond depth {tally.depth}, "
                f"whose {tally.frontier} new states are looked at",
                err=True,
            )

    return report


def _print_result(link: ExploredLink, result: Result, seconds: float) -> None:
    tally = result.tally
    end = "exhausted" if tally.is_exhausted else f"{tally.frontier} in the frontier"
    click.echo(
        f"{link.name}: depth {tally.depth}, {tally.state_count} states, "
        f"{tally.transition_count} transitions, {end}"
    )
    click.echo(f"  {seconds:.1f} s: {tally.state_count / max(seconds, 1e-9):.0f} states a second", err=True)
    if result.finding is not None:
        _print_finding(link, result.finding)


def _print_finding(link: ExploredLink, finding: Finding) -> None:
    click.echo(f"VIOLATION {finding.what}")
    click.echo(f"events:   {', '.join(finding.events) or 'none'}")
    if finding.recovery:
        click.echo(f"then:     {', '.join(finding.recovery)}")
    click.echo(f"replay:   {replay_line(link, finding)}")


def replay_line(link: ExploredLink, finding: Finding) -> str:
    return f"bamdmux explore {link.name} --events {','.join(finding.events) or ','}"


def _replay(link: ExploredLink, events: list[str]) -> int:
    finding = replay(link, events, click.echo)
    if finding is None:
        click.echo("no rule is broken")
        return 0
    _print_finding(link, finding)
    return FAILED
