"""The table of faults."""

import pytest

from bamdmux.errors import UsageError
from bamdmux.middleware.catalog import FAULTS, find_faults
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
