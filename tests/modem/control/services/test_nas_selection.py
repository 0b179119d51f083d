"""NAS system selection preference: what is set is what is told, and what follows from it."""

from typing import Any

import pytest

from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.preferences import Radio
from bamdmux.modem.control.services.nas_selection import KEPT
from bamdmux.wire.qmi.values import (
    NetworkSelection,
    QmiError,
    RadioInterface,
    RatModePreference,
    RegistrationState,
    RoamingPreference,
    ServiceDomainPreference,
)
from bamdmux.wire.qmux import Service
from tests.modem.control.host import Host

NAS = Service.NAS
REGISTERED, SEARCHING = RegistrationState.REGISTERED, RegistrationState.NOT_REGISTERED_SEARCHING
ALL_MODES = RatModePreference.GSM | RatModePreference.UMTS | RatModePreference.LTE
BAND_3 = 1 << 2


def prefer(host: Host, **values: Any) -> None:
    host.ask(NAS, "set_system_selection_preference", **values)


def refused(host: Host, **values: Any) -> QmiError:
    return host.refused(NAS, "set_system_selection_preference", **values)


def preferences(host: Host) -> dict[str, Any]:
    return host.ask(NAS, "get_system_selection_preference")


def state(host: Host) -> int:
    host.wait()
    number: int = host.ask(NAS, "get_serving_system")["serving_system"]["registration_state"]
    return number


def by_hand(mcc: int, mnc: int) -> dict[str, int]:
    return {"mode": NetworkSelection.MANUAL, "mcc": mcc, "mnc": mnc}


AUTOMATIC = {"mode": NetworkSelection.AUTOMATIC, "mcc": 0, "mnc": 0}


def test_at_first_everything_will_do() -> None:
    assert preferences(Host()) == {
        **KEPT,
        "emergency_mode": 0,
        "mode_preference": ALL_MODES,
        "roaming_preference": RoamingPreference.ANY,
        "lte_band_preference": 0x800C5,
        "extended_lte_band_preference": {
            "mask_low": 0x800C5,
            "mask_mid_low": 0,
            "mask_mid_high": 0,
            "mask_high": 0,
        },
        "service_domain_preference": ServiceDomainPreference.CS_PS,
        "network_selection_registration_restriction": 0,
        "network_selection_preference": NetworkSelection.AUTOMATIC,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("emergency_mode", 1),
        ("mode_preference", RatModePreference.GSM | RatModePreference.LTE),
        ("band_preference", 1 << 8),
        ("roaming_preference", RoamingPreference.OFF),
        ("roaming_preference", RoamingPreference.NOT_OFF),
        ("roaming_preference", RoamingPreference.NOT_FLASHING),
        ("lte_band_preference", BAND_3),
        ("service_domain_preference", ServiceDomainPreference.CS_ONLY),
        ("service_domain_preference", ServiceDomainPreference.PS_ONLY),
        ("gsm_wcdma_acquisition_order_preference", 2),
        ("acquisition_order_preference", [RadioInterface.UMTS, RadioInterface.LTE]),
        ("network_selection_registration_restriction", 1),
        ("network_selection_registration_restriction", 2),
        ("usage_preference", 1),
        ("voice_domain_preference", 3),
    ],
)
def test_what_one_client_sets_another_one_sees(name: str, value: Any) -> None:
    host = Host()
    other = Host(host.plane, port=2)
    before = preferences(other)
    prefer(host, **{name: value})
    after = preferences(other)
    assert after.pop(name) == value
    del before[name]
    if name == "lte_band_preference":
        assert after.pop("extended_lte_band_preference")["mask_low"] == value
        del before["extended_lte_band_preference"]
    assert after == before


def test_nothing_is_a_preference_too() -> None:
    host = Host()
    before = preferences(host)
    prefer(host)
    assert preferences(host) == before


# Networks


def test_a_network_that_is_not_in_reach_ends_registration() -> None:
    host = Host()
    prefer(host, network_selection_preference=by_hand(999, 99))
    assert state(host) == SEARCHING
    told = preferences(host)
    assert told["network_selection_preference"] == NetworkSelection.MANUAL
    assert told["manual_network_selection"] == {"mcc": 999, "mnc": 99, "includes_pcs_digit": 0}


def test_automatic_selection_finds_the_network_again() -> None:
    host = Host()
    prefer(host, network_selection_preference=by_hand(999, 99))
    prefer(host, network_selection_preference=AUTOMATIC)
    assert state(host) == REGISTERED
    assert "manual_network_selection" not in preferences(host)


def test_the_network_in_reach_can_be_chosen_by_hand() -> None:
    host = Host()
    prefer(host, network_selection_preference=by_hand(1, 1))
    assert state(host) == REGISTERED


def test_a_network_code_of_three_digits_is_another_one() -> None:
    host = Host()
    prefer(host, network_selection_preference=by_hand(1, 1), mnc_pcs_digit_include_status=1)
    assert state(host) == SEARCHING
    assert host.equipment.registration.preferences.plmn == ("001", "001")
    assert preferences(host)["manual_network_selection"]["includes_pcs_digit"] == 1


@pytest.mark.parametrize(
    ("preference", "at_home", "abroad"),
    [
        (RoamingPreference.ANY, REGISTERED, REGISTERED),
        (RoamingPreference.OFF, REGISTERED, SEARCHING),
        (RoamingPreference.NOT_OFF, SEARCHING, REGISTERED),
        (RoamingPreference.NOT_FLASHING, REGISTERED, REGISTERED),
    ],
)
def test_roaming_is_decided_by_preference(preference: int, at_home: int, abroad: int) -> None:
    host = Host()
    prefer(host, roaming_preference=preference)
    assert state(host) == at_home
    host.equipment.set_weather(VISITED, True, now=host.now)
    assert state(host) == abroad


# Radios, bands, services


def test_without_lte_nothing_is_received() -> None:
    host = Host()
    prefer(host, mode_preference=RatModePreference.GSM | RatModePreference.UMTS)
    assert state(host) == SEARCHING
    assert host.refused(NAS, "get_signal_info") is QmiError.INFORMATION_UNAVAILABLE
    prefer(host, mode_preference=RatModePreference.LTE)
    assert state(host) == REGISTERED


def test_radios_that_are_not_there_are_left_out() -> None:
    host = Host()
    prefer(host, mode_preference=RatModePreference.NR5G | RatModePreference.LTE)
    assert preferences(host)["mode_preference"] == RatModePreference.LTE
    assert host.equipment.registration.preferences.radios == {Radio.LTE}


def test_the_band_of_the_cell_must_be_wanted() -> None:
    host = Host()
    prefer(host, lte_band_preference=1 << 6)
    assert state(host) == SEARCHING
    host.equipment.set_weather(Cell(band=7), True, now=host.now)
    assert state(host) == REGISTERED


def test_the_longer_list_of_bands_counts_more() -> None:
    host = Host()
    masks = {"mask_low": BAND_3, "mask_mid_low": 1, "mask_mid_high": 0, "mask_high": 0}
    prefer(host, lte_band_preference=1 << 6, extended_lte_band_preference=masks)
    assert preferences(host)["lte_band_preference"] == BAND_3


def test_packets_can_be_detached_and_attached() -> None:
    host = Host()
    prefer(host, service_domain_preference=ServiceDomainPreference.PS_DETACH)
    assert state(host) == SEARCHING
    prefer(host, service_domain_preference=ServiceDomainPreference.PS_ATTACH)
    assert state(host) == REGISTERED
    assert preferences(host)["service_domain_preference"] == ServiceDomainPreference.CS_PS


def test_who_is_attached_for_packets_alone_stays_so() -> None:
    host = Host()
    prefer(host, service_domain_preference=ServiceDomainPreference.PS_ONLY)
    prefer(host, service_domain_preference=ServiceDomainPreference.PS_ATTACH)
    assert preferences(host)["service_domain_preference"] == ServiceDomainPreference.PS_ONLY


@pytest.mark.parametrize(
    "preference", [{"emergency_mode": 1}, {"network_selection_registration_restriction": 1}]
)
def test_who_wants_no_service_gets_none(preference: dict[str, int]) -> None:
    host = Host()
    prefer(host, **preference)
    assert state(host) == SEARCHING


# How long


def restart(host: Host) -> Host:
    host.plane.crash(host.now)
    host.plane.boot(host.now)
    host.plane.take_actions()
    return Host(host.plane)


def test_preferences_outlive_a_restart() -> None:
    host = Host()
    prefer(host, roaming_preference=RoamingPreference.OFF, usage_preference=1)
    told = preferences(host)
    assert preferences(restart(host)) == told


def test_preferences_for_this_power_cycle_do_not() -> None:
    host = Host()
    told = preferences(host)
    prefer(host, roaming_preference=RoamingPreference.OFF, usage_preference=1, change_duration=0)
    assert preferences(host) != told
    assert preferences(restart(host)) == told


# Nonsense


@pytest.mark.parametrize(
    "preference",
    [
        {"mode_preference": 0},
        {"mode_preference": int(RatModePreference.NR5G)},
        {"band_preference": 1 << 60},
        {"lte_band_preference": 1 << 40},
        {
            "extended_lte_band_preference": {
                "mask_low": 0,
                "mask_mid_low": 1,
                "mask_mid_high": 0,
                "mask_high": 0,
            }
        },
        {"acquisition_order_preference": [12]},
        {"acquisition_order_preference": []},
        {"roaming_preference": 77},
        {"service_domain_preference": 9},
        {"gsm_wcdma_acquisition_order_preference": 9},
        {"usage_preference": 9},
        {"voice_domain_preference": 9},
        {"network_selection_registration_restriction": 9},
        {"network_selection_preference": {"mode": 9, "mcc": 1, "mnc": 1}},
        {"network_selection_preference": {"mode": 1, "mcc": 1000, "mnc": 1}},
        {"change_duration": 9},
    ],
)
def test_a_request_with_nonsense_changes_nothing(preference: dict[str, Any]) -> None:
    host = Host()
    before = preferences(host)
    assert refused(host, **{"emergency_mode": 1} | preference) is QmiError.INVALID_ARGUMENT
    assert preferences(host) == before


def test_an_order_without_doubles_and_strangers_is_kept() -> None:
    host = Host()
    prefer(host, acquisition_order_preference=[12, 5, 5, 8])
    assert preferences(host)["acquisition_order_preference"] == [5, 8]
