"""The table of faults."""

import pytest

from bamdmux.errors import UsageError
from bamdmux.middleware.catalog import FAULTS, find_faults, parse_fault
from bamdmux.middleware.faults import Family


def test_there_are_six_families_and_more_than_thirty_faults() -> None:
    assert {fault.family for fault in FAULTS.values()} == set(Family)
    assert len(FAULTS) >= 30


def test_each_row_is_complete() -> None:
    for name, fault in FAULTS.items():
        assert name == fault.name == name.lower()
        assert fault.description
        assert 0 < fault.rate <= 1
        assert fault.delay_ns[0] <= fault.delay_ns[1]
        assert len({each.description for each in FAULTS.values()}) == len(FAULTS)


def test_faults_are_found_in_the_order_of_the_table() -> None:
    assert [fault.name for fault in find_faults(["zero-length", "bad-magic"])] == ["bad-magic", "zero-length"]
    assert find_faults([]) == []


def test_a_fault_that_is_unknown_is_named() -> None:
    with pytest.raises(UsageError, match="fault 'wind' is unknown"):
        find_faults(["bad-magic", "wind"])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bad-magick", "bad-magic or uplink-bad-magic"),
        ("doorbell", "lost-doorbell or late-doorbell or duplicate-doorbell"),
        (
            "modem-dies-after-votes",
            "modem-dies-after-vote or modem-dies-after-vote-off or modem-dies-after-rise",
        ),
    ],
)
def test_what_was_meant_is_suggested(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean {meant}\\?"):
        find_faults([name])


def test_a_fault_may_have_a_rate() -> None:
    assert parse_fault("lost-frame") == (FAULTS["lost-frame"], FAULTS["lost-frame"].rate)
    assert parse_fault("lost-frame=0.25") == (FAULTS["lost-frame"], 0.25)
    assert parse_fault("lost-frame=1") == (FAULTS["lost-frame"], 1.0)


@pytest.mark.parametrize("rate", ["0", "-1", "1.1", "nan", "often", ""])
def test_a_rate_is_a_probability(rate: str) -> None:
    with pytest.raises(UsageError, match="not above 0 and at most 1"):
        parse_fault(f"lost-frame={rate}")


def test_a_half_can_do_what_lies_on_it() -> None:
    halves = {name: {half.value for half in FAULTS[name].halves} for name in FAULTS}
    assert halves["uplink-bad-magic"] == halves["lost-host-vote"] == halves["tun-full"] == {"host"}
    assert halves["bad-magic"] == halves["lost-modem-ack"] == halves["network-full"] == {"modem"}
    assert halves["lost-doorbell"] == {"host", "modem"}
    # Who dies must be who has said it; and what invents counts of lines needs calls, not memory.
    assert halves["host-dies-after-vote"] == {"host"}
    assert halves["host-dies-after-ack"] == halves["early-modem-ack"] == halves["open-while-closing"] == set()
