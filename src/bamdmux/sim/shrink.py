"""The smallest world that still fails: fewest faults first, then the shortest weather.

Faults by delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002):
halves, quarters and so on are left out as long as it still fails; in the end no fault can be left out alone.
The weather is cut just behind the failure, then halved while that helps. Any failure counts, not only the
first one: what is looked for is a small world in which a rule breaks.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bamdmux.sim.conditions import Conditions
from bamdmux.sim.simulation import Report
from bamdmux.timing import MILLISECOND, Duration

Run = Callable[[Conditions], Report]

SHORTEST: Final[Duration] = 100 * MILLISECOND
_MARGIN: Final[Duration] = 100 * MILLISECOND


def shrink(report: Report, run: Run) -> Report:
    """The report of the smallest failing world that was found.

    Args:
        report: of a world that failed.
        run: runs a world.
    """
    assert report.failure is not None, "there is nothing to shrink"
    return _shorten(_fewer_faults(report, run), run)


def _fewer_faults(report: Report, run: Run) -> Report:
    pieces = 2
    while (faults := report.conditions.faults) and pieces <= 2 * len(faults):
        size = -(-len(faults) // pieces)
        for start in range(0, len(faults), size):
            fewer = faults[:start] + faults[start + size :]
            smaller = run(replace(report.conditions, faults=fewer))
            if smaller.failure is not None:
                report = smaller
                pieces = max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces *= 2
    return report


def _shorten(report: Report, run: Run) -> Report:
    assert report.failure is not None
    duration = min(report.conditions.duration_ns, report.failure.now + _MARGIN)
    while duration >= SHORTEST:
        if duration < report.conditions.duration_ns:
            shorter = run(replace(report.conditions, duration_ns=duration))
            if shorter.failure is None:
                break
            report = shorter
        duration //= 2
    return report
