"""What bamdmux is to reach beside whom: one entry in MUSTS each, and the verdict of a run.

The ratio of two links is the median of those of all rounds. A must is missed when the whole interval of that
median lies on the wrong side of it: then chance does not explain it. Fewer than ROUNDS rounds say little, and
are told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bamdmux.bench.results import Results
from bamdmux.bench.statistics import Summary, paired_ratios

ROUNDS: Final = 7  # of a run whose verdict counts


class Verdict(Enum):
    """What became of a must."""

    MET = "met"
    MISSED = "missed"
    UNKNOWN = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Must:
    """A ratio to another link in a job, that must be reached, and one that is aimed at.

    Attributes:
        more_is_better: else the ratio must not be above.
    """

    job: str
    metric: str
    ours: str
    other: str
    must: float
    aim: float
    more_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """A must beside what was measured; None if it was not."""

    must: Must
    ratio: Summary | None

    @property
    def verdict(self) -> Verdict:
        if self.ratio is None:
            return Verdict.UNKNOWN
        if self.must.more_is_better:
            is_missed = self.ratio.high < self.must.must
        else:
            is_missed = self.ratio.low > self.must.must
        return Verdict.MISSED if is_missed else Verdict.MET

    @property
    def reaches_must(self) -> bool:
        """Whether the median is on the right side, and not only a part of its interval."""
        return self._reaches(self.must.must)

    @property
    def reaches_aim(self) -> bool:
        return self._reaches(self.must.aim)

    def _reaches(self, limit: float) -> bool:
        if self.ratio is None:
            return False
        return self.ratio.median >= limit if self.must.more_is_better else self.ratio.median <= limit


def judge(results: Results) -> list[Judgement]:
    """Judge all musts, also those that were not measured."""
    return [Judgement(must, _ratio(results, must)) for must in MUSTS]


def _ratio(results: Results, must: Must) -> Summary | None:
    ours, other = (results.values(must.job, must.metric, link) for link in (must.ours, must.other))
    return Summary.of(paired_ratios(ours, other))


def _tcp(ours: str, other: str, must: float, aim: float) -> tuple[Must, ...]:
    """For both directions, each by itself."""
    return tuple(
        Must(job=job, metric="throughput", ours=ours, other=other, must=must, aim=aim)
        for job in ("tcp-up", "tcp-down")
    )


MUSTS: Final[Sequence[Must]] = (
    *_tcp("split-512", "straight", 0.80, 0.90),
    *_tcp("fused-32-mtu2040", "straight", 0.80, 0.90),
    *_tcp("split-32", "straight", 0.40, 0.60),
    *_tcp("split-512", "two-socats", 7, 9),
    *_tcp("split-512", "vde2", 7, 9),
    *_tcp("split-512", "openvpn", 5.5, 7.5),
    *_tcp("split-512", "slirp4netns-1500", 6, 7.5),
    Must(job="udp-1400", metric="rate", ours="split-512", other="forward-packets", must=0.9, aim=1.1),
    *_tcp("python-split-32", "two-socats", 1.5, 2),
    *(
        Must(
            job="round-trip",
            metric="p50",
            ours=ours,
            other="one-socat",
            must=1.2,
            aim=1.0,
            more_is_better=False,
        )
        for ours in ("fused-32", "split-32")
    ),
)
