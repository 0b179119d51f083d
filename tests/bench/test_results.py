"""Results: as JSON, and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.bench.results import Participant, Results, Sample
from bamdmux.errors import UsageError
from tests.bench.example import results_of

NUMBERS = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=8)
SAMPLES = st.builds(
    Sample,
    values=st.dictionaries(NAMES, NUMBERS, max_size=3),
    work=NUMBERS,
    cpu_seconds=NUMBERS,
    machine_cpu_seconds=NUMBERS,
)
PARTICIPANTS = st.builds(Participant, name=NAMES, summary=NAMES, is_ours=st.booleans(), version=NAMES)
RESULTS = st.builds(
    Results,
    machine=st.dictionaries(NAMES, NAMES, max_size=3),
    participants=st.lists(PARTICIPANTS, max_size=3),
    left_out=st.dictionaries(NAMES, NAMES, max_size=3),
    failures=st.lists(NAMES, max_size=3),
    rounds=st.integers(min_value=1, max_value=99),
    samples=st.dictionaries(
        NAMES,
        st.dictionaries(NAMES, st.lists(st.none() | SAMPLES, max_size=3), max_size=3),
        max_size=3,
    ),
)


@given(RESULTS)
def test_what_was_written_is_read_again(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


def test_values_are_those_of_the_rounds_in_order() -> None:
    results = results_of("tcp-up", "throughput", {"veth": [3, None, 5]})
    assert results.values("tcp-up", "throughput", "veth") == [3, None, 5]


def test_what_was_not_measured_has_no_values() -> None:
    results = results_of("tcp-up", "throughput", {"veth": [3]})
    assert results.values("tcp-up", "throughput", "straight") == []
    assert results.values("udp-64", "rate", "veth") == []
    assert results.values("tcp-up", "retransmits", "veth") == [None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{}",
        '"bench"',
        b"\xff\xfe\xfa",
        '{"format": 1}',
        '{"format": 1, "rounds": 7, "machine": {}, "participants": [{"name": 1}], "samples": {}}',
        '{"format": 1, "rounds": [], "machine": {}, "participants": [], "samples": {}}',
        '{"format": 1, "rounds": 7, "machine": {}, "participants": [], "samples": {"a": {"b": [{"c": 1}]}}}',
        '{"format": 1, "rounds": 7, "participants": [], "samples": {"a": {"b": [{"values": 3}]}}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_result_is_refused_in_one_line(text: str | bytes) -> None:
    with pytest.raises(UsageError) as caught:
        Results.from_json(text)
    assert str(caught.value) == "these are no results of `bamdmux bench --json`"


def test_results_of_another_format_are_refused() -> None:
    document = json.loads(results_of("tcp-up", "throughput", {"veth": [3]}).to_json())
    document["format"] = 2
    with pytest.raises(UsageError, match="not of format 1"):
        Results.from_json(json.dumps(document))
