"""The tables: what is in them, and that they fit."""

import io

import pytest
from rich.console import Console

from bamdmux.bench.jobs import JOBS
from bamdmux.bench.report import number, print_report
from bamdmux.bench.results import Results, Sample
from tests.bench.example import SUMMARIES, results_of, sample_of

VALUES = {"straight": [20000, 21000, 22000], "two-socats": [1000, 1050, 1100], "fused-32": [1500, None, 1700]}


def report(results: Results, width: int = 80) -> str:
    output = io.StringIO()
    print_report(results, Console(file=output, width=width, highlight=False, markup=False))
    return output.getvalue()


def row(text: str, name: str) -> list[str]:
    """The cells of the last table's line that begins so."""
    return next(line.split() for line in reversed(text.splitlines()) if line.startswith(f"{name} "))


def everything() -> Results:
    """Every job and every link, with the longest numbers that there may be."""
    results = results_of("tcp-up", "throughput", {name: [33817.1] * 7 for name in SUMMARIES})
    for job in JOBS:
        metrics = {metric.name: 33817.1 if job.name.startswith("tcp") else 9999.5 for metric in job.metrics}
        cost = 79.9 / job.cost_scale
        sample = Sample(values=metrics, work=1, cpu_seconds=cost, machine_cpu_seconds=2 * cost)
        results.samples[job.name] = {name: [sample] * 7 for name in SUMMARIES}
    results.left_out["vde2"] = "vde_switch is not installed; on Debian: sudo apt-get install vde2"
    return results


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_whatever_is_in_them(width: int) -> None:
    text = report(everything(), width)
    for line in text.splitlines():
        assert len(line.rstrip()) <= width or line.startswith(("without", "bamdmux 0.1.0"))
    assert "…" not in text


def test_a_row_has_median_interval_spread_ratios_and_cost() -> None:
    text = report(results_of("tcp-up", "throughput", VALUES))
    assert "TCP, one flow, up: Mbit/s; CPU in s/Gbit" in text
    assert row(text, "straight") == [
        "straight",
        "21000",
        "20000..22000",
        "5%",
        "1.00",
        "20.0",
        "0.25",
        "0.75",
    ]
    assert row(text, "fused-32") == ["fused-32", "1600", "1500..1700", "6%", "0.08", "1.52", "0.25", "0.75"]


def test_a_wide_table_has_the_intervals_of_ratios() -> None:
    text = report(results_of("tcp-up", "throughput", VALUES), width=120)
    assert "0.07..0.08  0.08" in " ".join(line for line in text.splitlines() if line.startswith("fused-32"))


def test_what_failed_in_all_rounds_stays_in_the_table() -> None:
    text = report(results_of("tcp-up", "throughput", {**VALUES, "vde2": [None, None, None]}))
    assert row(text, "vde2") == ["vde2", *["-"] * 7]


def test_a_yardstick_that_did_not_take_part_has_no_column() -> None:
    text = report(results_of("tcp-up", "throughput", {"straight": [3], "fused-32": [2]}))
    assert "socats" not in text


def test_memory_is_not_compared() -> None:
    text = report(results_of("memory", "peak", {"straight": [1.5], "fused-32": [40]}))
    assert "straight\n" not in text.split("memory after all jobs")[1]


def test_who_is_missing_is_named_with_the_reason() -> None:
    results = results_of("tcp-up", "throughput", VALUES)
    results.left_out["vde2"] = "vde_switch is not installed; on Debian: sudo apt-get install vde2"
    assert "without vde2: vde_switch is not installed; on Debian: sudo apt-get install vde2\n" in report(
        results
    )


def test_what_went_wrong_is_said_at_the_end() -> None:
    results = results_of("tcp-up", "throughput", VALUES)
    results.failures.append("round 2 of 3, tcp-up: fused-32: iperf3 failed: [/refused]")
    assert report(results).splitlines()[-1] == f"failed: {results.failures[0]}"


def test_the_machine_is_said_and_what_is_not_known_of_it() -> None:
    text = report(results_of("tcp-up", "throughput", VALUES))
    assert text.startswith("bamdmux 0.1.0, ?\n")
    assert "kernel 6.1.0" in text
    assert "\n3 rounds\n" in text
    assert "[some] processor, 1% busy before" in text


def test_musts_are_judged_below() -> None:
    values = {"straight": [10.0] * 7, "two-socats": [1.0] * 7, "split-512": [8.5] * 7}
    text = report(results_of("tcp-up", "throughput", values))
    musts = text.split("What bamdmux is to reach")[1]
    assert row(musts, "tcp-up")[1:] == ["split-512", "two-socats", "≥7", "9", "8.50", "8.50..8.50", "met"]
    assert "split-512 straight   ≥0.8 0.9  0.85 0.85..0.85 met" in musts
    assert "Verdicts count from" not in musts


def test_verdicts_of_few_rounds_do_not_count() -> None:
    values = {"straight": [10, 10, 10], "split-512": [7, 7.5, 8.5]}
    text = report(results_of("tcp-up", "throughput", values))
    assert row(text, "tcp-up")[-2:] == ["in", "doubt"]
    assert "Verdicts count from 7" in text


def test_a_must_beside_one_who_is_missing_is_not_measured() -> None:
    results = results_of("tcp-up", "throughput", {"split-512": [7, 7, 7]})
    results.left_out["vde2"] = "vde_switch is not installed"
    assert row(report(results), "tcp-up")[-2:] == ["no", "data"]


def test_musts_that_nobody_wanted_to_know_are_not_shown() -> None:
    results = results_of("tcp-up", "throughput", {"split-512": [7, 7, 7]})
    assert "What bamdmux is to reach" not in report(results)


def test_an_aim_is_told() -> None:
    results = results_of("round-trip", "p50", {"one-socat": [20.0] * 7, "fused-32": [19.0] * 7})
    results.samples["round-trip"]["fused-32"][0] = sample_of("p50", 18)
    assert row(report(results), "round-trip")[-2:] == ["aim", "met"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.123, "0.12"), (9.999, "10.00"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_a_number_has_as_many_digits_as_say_something(value: float, text: str) -> None:
    assert number(value) == text
