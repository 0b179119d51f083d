"""docs/faults.md says what the catalog says."""

import pytest

from bamdmux.middleware.catalog import FAULTS
from tests.middleware.fault_tables import PAGE, tables, with_tables

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not there")


def test_the_page_has_the_tables_of_the_catalog() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "run: python -m tests.middleware.fault_tables"


def test_each_fault_has_a_row() -> None:
    rows = [line for line in tables().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(FAULTS)
