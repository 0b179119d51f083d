"""Preferences: which cells will do."""

import pytest

from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.preferences import Domain, Preferences, Radio, Restriction, Roaming

HOME = Cell()


@pytest.mark.parametrize("cell", [HOME, VISITED])
def test_at_first_any_network_will_do(cell: Cell) -> None:
    assert Preferences().allow(cell, HOME.plmn)


@pytest.mark.parametrize(
    ("roaming", "at_home", "abroad"),
    [
        (Roaming.ANY, True, True),
        (Roaming.NOT_FLASHING, True, True),
        (Roaming.HOME_ONLY, True, False),
        (Roaming.ABROAD_ONLY, False, True),
    ],
)
def test_roaming_is_a_matter_of_taste(roaming: Roaming, at_home: bool, abroad: bool) -> None:
    preferences = Preferences(roaming=roaming)
    assert preferences.allow(HOME, HOME.plmn) is at_home
    assert preferences.allow(VISITED, HOME.plmn) is abroad


def test_a_network_that_was_chosen_by_hand_is_the_only_one() -> None:
    preferences = Preferences(plmn=VISITED.plmn)
    assert preferences.allow(VISITED, HOME.plmn)
    assert not preferences.allow(HOME, HOME.plmn)


@pytest.mark.parametrize(
    "preferences",
    [
        Preferences(domain=Domain.CIRCUITS),
        Preferences(restriction=Restriction.CAMP_ONLY),
        Preferences(restriction=Restriction.LIMITED),
        Preferences(is_emergency_only=True),
    ],
)
def test_who_wants_no_service_is_not_registered_but_hears_the_cell(preferences: Preferences) -> None:
    assert not preferences.allow(HOME, HOME.plmn)
    assert preferences.can_hear(HOME)


@pytest.mark.parametrize(
    "preferences",
    [
        Preferences(radios=frozenset((Radio.GSM, Radio.UMTS))),
        Preferences(lte_bands=frozenset((7, 20))),
    ],
)
def test_without_its_radio_or_band_a_cell_is_not_heard(preferences: Preferences) -> None:
    assert not preferences.can_hear(HOME)
    assert not preferences.allow(HOME, HOME.plmn)


def test_a_change_leaves_what_it_does_not_name() -> None:
    before = Preferences(roaming=Roaming.HOME_ONLY, others={"usage": 1, "order": 2})
    after = before.changed(domain=Domain.PACKETS, others={"usage": 3})
    assert after == Preferences(
        roaming=Roaming.HOME_ONLY, domain=Domain.PACKETS, others={"usage": 3, "order": 2}
    )
