"""The tables of a run, made of its results alone. They fit into 80 columns, and say more in 110."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bamdmux.bench.jobs import JOBS, Job, Metric
from bamdmux.bench.musts import ROUNDS, Judgement, Verdict, judge
from bamdmux.bench.results import Results, Sample
from bamdmux.bench.statistics import Summary, interval, paired_ratios

# Ratios to these are in every table of work.
YARDSTICKS: Final = ("straight", "two-socats")
NOTHING: Final = "-"
# What is told of the machine, as machine.describe() calls it.
MACHINE: Final = (
    "bamdmux {bamdmux}, {when}",
    "{system}, kernel {kernel}, Python {python}, pump: {pump}, as {user}",
    "{processors} x {processor}, {busy_before} busy before",
)
WIDE: Final = 110  # columns from which on there is room for all intervals
STYLE: Final[dict[str, Any]] = {
    "box": None,
    "pad_edge": False,
    "header_style": "dim",
}


def print_report(results: Results, console: Console) -> None:
    """Print everything: the machine, who took part, a table for each job, the musts."""
    _print_machine(results, console)
    _print_participants(results, console)
    for job in JOBS:
        if job.name in results.samples:
            _print_title(_job_title(job), console)
            console.print(_job_table(results, job, is_wide=console.width >= WIDE))
    _print_legend(results, console)
    _print_musts(judge(results), results, console)
    _print_failures(results, console)


def _print_machine(results: Results, console: Console) -> None:
    known = {
        name: results.machine.get(name, "?") for line in MACHINE for name in re.findall(r"{(\w+)}", line)
    }
    rounds = "one round" if results.rounds == 1 else f"{results.rounds} rounds"
    for line in MACHINE:
        console.print(line.format_map(known), soft_wrap=True)
    console.print(rounds)


def _print_participants(results: Results, console: Console) -> None:
    table = Table(show_header=False, **STYLE)
    for _ in range(3):
        table.add_column(no_wrap=True)
    for each in results.participants:
        table.add_row(each.name, each.summary, each.version, style="bold" if each.is_ours else None)
    console.print()
    console.print(table)
    for name, reason in results.left_out.items():
        console.print(f"without {name}: {reason}", soft_wrap=True)


# A table for a job


def _job_table(results: Results, job: Job, *, is_wide: bool) -> Table:
    yardsticks = [name for name in YARDSTICKS if job.cost and name in results.samples[job.name]]
    table = _empty_job_table(job, yardsticks, is_wide=is_wide)
    for participant in results.participants:
        samples = results.samples[job.name].get(participant.name)
        if samples is None:
            continue
        cells = [participant.name]
        for metric in job.metrics:
            is_first = metric is job.metrics[0]
            cells += _metric_cells(results, job, metric, participant.name, is_short=not (is_first or is_wide))
        for name in yardsticks:
            has_room = is_wide and len(job.metrics) == 1
            cells.append(_ratio_cell(results, job, participant.name, name, has_interval=has_room))
        if job.cost:
            cells += _cost_cells(job, samples)
        table.add_row(*cells, style="bold" if participant.is_ours else None)
    return table


def _job_title(job: Job) -> str:
    units = " and ".join(dict.fromkeys(metric.unit for metric in job.metrics))
    return f"{job.title}: {units}" + (f"; CPU in {job.cost}" if job.cost else "")


def _print_title(title: str, console: Console) -> None:
    console.print()
    console.print(title, style="bold underline", soft_wrap=True)


def _empty_job_table(job: Job, yardsticks: Sequence[str], *, is_wide: bool) -> Table:
    table = Table(padding=(0, 2 if is_wide else 1, 0, 0), **STYLE)
    table.add_column("", no_wrap=True)
    headings = []
    for metric in job.metrics:
        headings.append(metric.title or "median")
        if metric is job.metrics[0] or is_wide:
            headings += ["interval", "±"]
    headings += [f"/ {name.replace('-', chr(10))}" for name in yardsticks]
    for heading in (*headings, *(("CPU", "all") if job.cost else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _metric_cells(results: Results, job: Job, metric: Metric, link: str, *, is_short: bool) -> list[str]:
    summary = Summary.of(results.values(job.name, metric.name, link))
    if summary is None:
        return [NOTHING] if is_short else [NOTHING] * 3
    if is_short:
        return [number(summary.median)]
    return [number(summary.median), f"{number(summary.low)}..{number(summary.high)}", f"{summary.spread:.0%}"]


def _ratio_cell(results: Results, job: Job, ours: str, other: str, *, has_interval: bool) -> str:
    metric = job.metrics[0]
    ratio = Summary.of(
        paired_ratios(*(results.values(job.name, metric.name, name) for name in (ours, other)))
    )
    if ratio is None:
        return NOTHING
    text = number(ratio.median)
    return f"{number(ratio.low)}..{number(ratio.high)} {text:>5}" if has_interval and ours != other else text


def _cost_cells(job: Job, samples: Sequence[Sample | None]) -> list[str]:
    cells = []
    for name in ("cpu_seconds", "machine_cpu_seconds"):
        costs = [getattr(each, name) / each.work * job.cost_scale for each in samples if each and each.work]
        summary = Summary.of(costs)
        cells.append(NOTHING if summary is None else number(summary.median))
    return cells


def number(value: float) -> str:
    """As many digits as say something."""
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


# What it all means


def _print_legend(results: Results, console: Console) -> None:
    _, coverage = interval(results.rounds)
    console.print()
    console.print(
        f"interval: holds the true median with {coverage:.1%}, by order statistics. ±: half of the range of "
        "all rounds. / NAME: the ratio to that link, the median of those of all rounds. CPU: time of the "
        "processes that move packets; all: of the whole machine meanwhile, with what the kernel does for "
        "them, the sender and the receiver. s/Gbit: seconds for 10^9 bits of payload. In bold: bamdmux."
    )


def _print_failures(results: Results, console: Console) -> None:
    for line in results.failures:
        console.print(f"failed: {line}", soft_wrap=True)


def _print_musts(judgements: Iterable[Judgement], results: Results, console: Console) -> None:
    wanted = {each.name for each in results.participants} | set(results.left_out)
    shown = [
        each
        for each in judgements
        if {each.must.ours, each.must.other} <= wanted and _was_done(each, results)
    ]
    if not shown:
        return
    _print_title("What bamdmux is to reach", console)
    table = Table(padding=(0, 1, 0, 0), **STYLE)
    for heading in ("job", "link", "beside"):
        table.add_column(heading, no_wrap=True)
    for heading in ("must", "aim", "ratio", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in shown:
        table.add_row(*_must_cells(each))
    console.print(table)
    console.print(
        "met: the median reaches the must; in doubt: its interval does, which is no miss; missed: neither."
        + (f" Verdicts count from {ROUNDS} rounds on." if results.rounds < ROUNDS else "")
    )


def _was_done(judgement: Judgement, results: Results) -> bool:
    return judgement.must.job in results.samples or judgement.must.job in results.left_out


def _must_cells(judgement: Judgement) -> list[str]:
    must, ratio = judgement.must, judgement.ratio
    sign = "≥" if must.more_is_better else "≤"
    numbers = [NOTHING, NOTHING]
    if ratio is not None:
        numbers = [number(ratio.median), f"{number(ratio.low)}..{number(ratio.high)}"]
    return [
        must.job,
        must.ours,
        must.other,
        f"{sign}{must.must:g}",
        f"{must.aim:g}",
        *numbers,
        _say(judgement),
    ]


def _say(judgement: Judgement) -> str:
    if judgement.verdict is not Verdict.MET:
        return str(judgement.verdict.value)
    if judgement.reaches_aim:
        return "aim met"
    return "met" if judgement.reaches_must else "in doubt"
