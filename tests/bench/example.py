"""Results as a run makes them, from a few numbers."""

from collections.abc import Mapping, Sequence

from bamdmux.bench.configurations import CONFIGURATIONS
from bamdmux.bench.peers import PEERS
from bamdmux.bench.results import Participant, Results, Sample

SUMMARIES = {
    **{each.name: (each.summary, False) for each in PEERS},
    **{each.name: (each.summary, True) for each in CONFIGURATIONS},
}
MACHINE = {"bamdmux": "0.1.0", "kernel": "6.1.0", "processor": "[some] processor", "busy_before": "1%"}


def results_of(job: str, metric: str, values: Mapping[str, Sequence[float | None]]) -> Results:
    """One job, and what each link did of it in each round."""
    rounds = max(len(each) for each in values.values())
    results = Results(machine=dict(MACHINE), rounds=rounds)
    for name, numbers in values.items():
        summary, is_ours = SUMMARIES[name]
        results.participants.append(Participant(name=name, summary=summary, is_ours=is_ours))
        for number in numbers:
            results.add(job, name, None if number is None else sample_of(metric, number))
    return results


def sample_of(metric: str, number: float) -> Sample:
    return Sample(values={metric: number}, work=2.0, cpu_seconds=0.5, machine_cpu_seconds=1.5)
