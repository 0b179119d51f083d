"""The committed tables still hold: `python -m tests.sim.snapshots` writes them anew."""

import pytest

from tests.sim.snapshots import FOLDER, TABLES, table


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_it_was(name: str) -> None:
    assert table(*TABLES[name]) == (FOLDER / name).read_text(encoding="utf-8")
