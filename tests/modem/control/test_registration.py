"""Registration: what it needs, how long it takes, and what ends it."""

import pytest

from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.preferences import Preferences, Radio, Roaming
from bamdmux.modem.control.registration import PLMN_NOT_ALLOWED, Registration, RegistrationState
from bamdmux.timing import MILLISECOND

HOME = Cell()
DELAY = 300 * MILLISECOND


def searching() -> Registration:
    registration = Registration(DELAY)
    registration.set_possible(True, HOME.plmn, now=0)
    return registration


def registered() -> Registration:
    registration = searching()
    registration.handle_timeout(now=DELAY)
    return registration


def test_it_takes_time() -> None:
    registration = searching()
    assert registration.state is RegistrationState.SEARCHING
    registration.handle_timeout(now=DELAY - 1)
    assert registration.state is RegistrationState.SEARCHING
    assert registration.deadline == DELAY
    registration.handle_timeout(now=DELAY)
    assert registration.is_registered
    assert registration.deadline is None


def test_without_radio_or_sim_nothing_is_done() -> None:
    registration = Registration(DELAY)
    assert registration.state is RegistrationState.NOT_REGISTERED
    assert registration.deadline is None


def test_without_radio_or_sim_it_ends() -> None:
    registration = registered()
    registration.set_possible(False, HOME.plmn, now=DELAY)
    assert registration.state is RegistrationState.NOT_REGISTERED
    assert registration.deadline is None


def test_what_is_said_twice_changes_nothing() -> None:
    registration = registered()
    registration.set_possible(True, HOME.plmn, now=DELAY)
    registration.set_weather(HOME, True, now=DELAY)
    assert registration.is_registered


def test_a_search_without_a_network_has_no_end() -> None:
    registration = registered()
    registration.set_weather(None, True, now=DELAY)
    assert registration.state is RegistrationState.SEARCHING
    assert registration.deadline is None
    assert registration.audible_cell is None
    registration.handle_timeout(now=100 * DELAY)
    assert registration.state is RegistrationState.SEARCHING


def test_a_network_that_comes_into_reach_is_found() -> None:
    registration = registered()
    registration.set_weather(None, True, now=DELAY)
    registration.set_weather(HOME, True, now=2 * DELAY)
    registration.handle_timeout(now=3 * DELAY)
    assert registration.is_registered


def test_at_home_nobody_roams() -> None:
    assert not registered().is_roaming


def test_another_network_than_the_sims_is_roaming() -> None:
    registration = registered()
    registration.set_weather(VISITED, True, now=0)
    assert not registration.is_roaming  # not yet
    registration.handle_timeout(now=DELAY)
    assert registration.is_roaming


def test_a_network_may_refuse_us() -> None:
    registration = registered()
    registration.set_weather(HOME, False, now=0)
    assert registration.reject_cause is None
    registration.handle_timeout(now=DELAY)
    assert registration.state is RegistrationState.DENIED
    assert registration.reject_cause == PLMN_NOT_ALLOWED
    assert registration.is_forbidden


def test_a_network_says_why_it_refuses_us() -> None:
    registration = searching()
    registration.set_weather(HOME, False, now=0, refusal=15)
    registration.handle_timeout(now=DELAY)
    assert registration.reject_cause == 15
    assert not registration.is_forbidden


def test_who_was_refused_and_is_welcome_now_is_registered() -> None:
    registration = registered()
    registration.set_weather(HOME, False, now=0)
    registration.handle_timeout(now=DELAY)
    registration.set_weather(HOME, True, now=DELAY)
    registration.handle_timeout(now=2 * DELAY)
    assert registration.is_registered
    assert registration.reject_cause is None


def test_who_was_refused_lets_it_be_without_a_sim() -> None:
    registration = searching()
    registration.set_weather(HOME, False, now=0)
    registration.handle_timeout(now=DELAY)
    registration.set_possible(False, HOME.plmn, now=DELAY)
    assert registration.state is RegistrationState.NOT_REGISTERED


def test_a_network_that_was_chosen_and_is_not_in_reach_is_searched_for() -> None:
    registration = registered()
    registration.set_preferences(Preferences(plmn=("999", "99")), now=DELAY)
    assert registration.state is RegistrationState.SEARCHING
    assert registration.deadline is None
    assert registration.audible_cell == HOME


def test_automatic_selection_finds_the_network_again() -> None:
    registration = registered()
    registration.set_preferences(Preferences(plmn=("999", "99")), now=DELAY)
    registration.set_preferences(Preferences(), now=2 * DELAY)
    registration.handle_timeout(now=3 * DELAY)
    assert registration.is_registered


def test_who_chooses_the_network_that_he_is_in_stays_there() -> None:
    registration = registered()
    registration.set_preferences(Preferences(plmn=HOME.plmn), now=DELAY)
    assert registration.is_registered


def test_who_was_refused_tries_again_when_he_chooses() -> None:
    registration = searching()
    registration.set_weather(HOME, False, now=0)
    registration.handle_timeout(now=DELAY)
    registration.set_preferences(Preferences(plmn=HOME.plmn), now=DELAY)
    assert registration.state is RegistrationState.SEARCHING
    assert registration.deadline == 2 * DELAY


def test_who_does_not_want_to_roam_loses_a_visited_network() -> None:
    registration = searching()
    registration.set_weather(VISITED, True, now=0)
    registration.handle_timeout(now=DELAY)
    registration.set_preferences(Preferences(roaming=Roaming.HOME_ONLY), now=DELAY)
    assert registration.state is RegistrationState.SEARCHING


def test_preferences_without_a_network_in_reach_are_for_later() -> None:
    registration = searching()
    registration.set_weather(None, True, now=0)
    registration.set_preferences(Preferences(roaming=Roaming.HOME_ONLY), now=0)
    assert registration.deadline is None


def test_a_cell_of_a_radio_that_is_not_wanted_is_not_heard() -> None:
    registration = searching()
    registration.set_preferences(Preferences(radios=frozenset((Radio.GSM,))), now=0)
    assert registration.audible_cell is None


def test_a_cause_that_no_message_can_hold_is_our_error() -> None:
    with pytest.raises(AssertionError):
        searching().set_weather(HOME, False, now=0, refusal=256)
