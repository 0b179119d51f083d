"""Cells: what one can be."""

import pytest

from bamdmux.modem.control.cell import MAX_NAME_LENGTH, VISITED, Cell


def test_a_network_is_known_by_its_country_and_itself() -> None:
    assert Cell(mcc="310", mnc="410").plmn == ("310", "410")


def test_the_visited_network_is_another_one_in_all_that_can_be_seen_of_it() -> None:
    home = Cell()
    assert VISITED.plmn != home.plmn
    assert VISITED.name != home.name
    assert VISITED.cell_id != home.cell_id
    assert VISITED.tracking_area != home.tracking_area
    assert (VISITED.band, VISITED.channel) != (home.band, home.channel)


@pytest.mark.parametrize(
    "wrong", [{"mcc": "1"}, {"mcc": "²²²"}, {"mnc": "1"}, {"mnc": "0x1"}, {"mnc": "1234"}]
)
def test_a_code_that_no_network_has_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="digits"):
        Cell(**wrong)  # type: ignore[arg-type]


def test_a_name_that_no_message_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        Cell(name="x" * (MAX_NAME_LENGTH + 1))
