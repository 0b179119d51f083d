"""What a run has measured: every value of every round, and on what. JSON, and back.

    samples[job][link] is a list with one entry for each round: what was measured, or None

Nothing in here is computed from other values, so that every table can be made again of it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from bamdmux.errors import UsageError

FORMAT: Final = 1  # of the JSON; another one is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one link did of one job in one round.

    Attributes:
        values: by the names of the job's metrics.
        work: how much was done for the processor time: gigabits, packets, exchanges, or seconds.
        cpu_seconds: of the link's processes.
        machine_cpu_seconds: of the whole machine meanwhile.
    """

    values: Mapping[str, float]
    work: float = 0.0
    cpu_seconds: float = 0.0
    machine_cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A link that took part."""

    name: str
    summary: str
    is_ours: bool
    version: str = ""


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything of one run.

    Attributes:
        machine: what it ran on, and when.
        left_out: what should have taken part and could not, and why.
        failures: what went wrong on the way, one line each.
        rounds: how many were asked for.
    """

    machine: dict[str, str]
    participants: list[Participant] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    rounds: int
    samples: dict[str, dict[str, list[Sample | None]]] = field(default_factory=dict)

    def add(self, job: str, link: str, sample: Sample | None) -> None:
        """Note what came of a job in the next round."""
        self.samples.setdefault(job, {}).setdefault(link, []).append(sample)

    def values(self, job: str, metric: str, link: str) -> list[float | None]:
        """What was measured, round by round."""
        samples = self.samples.get(job, {}).get(link, [])
        return [None if sample is None else sample.values.get(metric) for sample in samples]

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` has written.

        Raises:
            UsageError: it is something else.
        """
        try:
            document = json.loads(text)
            if document.pop("format") != FORMAT:
                raise UsageError(
                    f"these results are not of format {FORMAT}; measure again: bamdmux bench --json"
                )
            document["rounds"] = int(document["rounds"])
            document["participants"] = [Participant(**each) for each in document["participants"]]
            document["samples"] = {
                job: {link: [_sample(each) for each in samples] for link, samples in links.items()}
                for job, links in document["samples"].items()
            }
            return cls(**document)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError("these are no results of `bamdmux bench --json`") from error


def _sample(value: Any) -> Sample | None:
    if value is None:
        return None
    sample = Sample(**value)
    return replace(sample, values={name: float(each) for name, each in sample.values.items()})
