"""NAS: where we are registered, and who hears of it."""

from typing import Any

import pytest

from bamdmux.modem.control.card import SimCard
from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.equipment import Mode, Signal
from bamdmux.modem.control.sim import Sim
from bamdmux.wire.qmi.values import (
    AttachState,
    DataCapability,
    NetworkType,
    OperatingMode,
    QmiError,
    RadioInterface,
    RegistrationState,
    RoamingIndicator,
    RoamingStatus,
    ServiceDomain,
    ServiceDomainPreference,
    ServiceStatus,
)
from bamdmux.wire.qmux import Service
from tests.modem.control.host import Host, booted_plane

DMS, NAS, UIM = Service.DMS, Service.NAS, Service.UIM
HOME = Cell()
SERVING_SYSTEM, SYSTEM_INFO = "get_serving_system", "system_info"


def abroad(cell: Cell = VISITED) -> Host:
    host = Host()
    host.equipment.set_weather(cell, True, now=0)
    host.wait()
    return host


def denied(cause: int = 11) -> Host:
    host = Host()
    host.equipment.set_weather(HOME, False, now=0, refusal=cause)
    host.wait()
    return host


def serving_system(host: Host) -> dict[str, Any]:
    system: dict[str, Any] = host.ask(NAS, "get_serving_system")["serving_system"]
    return system


def lte_info(host: Host) -> dict[str, Any]:
    info: dict[str, Any] = host.ask(NAS, "get_system_info")["lte_system_info_v2"]
    return info


def service_status(host: Host) -> int:
    status = host.ask(NAS, "get_system_info")["lte_service_status"]
    assert status["service_status"] == status["true_service_status"]
    number: int = status["service_status"]
    return number


# Serving system


def test_at_home_all_of_it_is_there() -> None:
    assert Host().ask(NAS, "get_serving_system") == {
        "serving_system": {
            "registration_state": RegistrationState.REGISTERED,
            "cs_attach_state": AttachState.ATTACHED,
            "ps_attach_state": AttachState.ATTACHED,
            "selected_network": NetworkType.THREE_GPP,
            "radio_interfaces": [RadioInterface.LTE],
        },
        "roaming_indicator": RoamingIndicator.OFF,
        "data_service_capability": bytes((DataCapability.LTE,)),
        "current_plmn": {"mcc": 1, "mnc": 1, "description": HOME.name},
        "roaming_indicator_list": [
            {"radio_interface": RadioInterface.LTE, "roaming_indicator": RoamingIndicator.OFF}
        ],
        "lac_3gpp": HOME.location_area,
        "cid_3gpp": HOME.cell_id,
        "mnc_pcs_digit_include_status": {"mcc": 1, "mnc": 1, "includes_pcs_digit": 0},
    }


def test_abroad_it_is_the_other_network_and_roaming() -> None:
    values = abroad().ask(NAS, "get_serving_system")
    assert values["roaming_indicator"] == RoamingIndicator.ON
    assert values["roaming_indicator_list"][0]["roaming_indicator"] == RoamingIndicator.ON
    assert values["current_plmn"] == {"mcc": 1, "mnc": 2, "description": VISITED.name}
    assert values["cid_3gpp"] == VISITED.cell_id


def test_a_network_code_of_three_digits_says_so() -> None:
    values = abroad(Cell(mcc="310", mnc="041")).ask(NAS, "get_serving_system")
    assert values["mnc_pcs_digit_include_status"] == {"mcc": 310, "mnc": 41, "includes_pcs_digit": 1}


def test_while_it_searches_the_cell_is_heard_but_not_named() -> None:
    host = Host(booted_plane(is_always_on=False))
    values = host.ask(NAS, "get_serving_system")
    assert values == {
        "serving_system": {
            "registration_state": RegistrationState.NOT_REGISTERED_SEARCHING,
            "cs_attach_state": AttachState.DETACHED,
            "ps_attach_state": AttachState.DETACHED,
            "selected_network": NetworkType.THREE_GPP,
            "radio_interfaces": [RadioInterface.LTE],
        }
    }
    host.wait()
    assert serving_system(host)["registration_state"] == RegistrationState.REGISTERED


def test_without_a_network_there_is_no_radio() -> None:
    host = Host()
    host.equipment.set_weather(None, True, now=0)
    system = serving_system(host)
    assert system["registration_state"] == RegistrationState.NOT_REGISTERED_SEARCHING
    assert system["selected_network"] == NetworkType.UNKNOWN
    assert system["radio_interfaces"] == [RadioInterface.NONE]


def test_a_refusal_is_a_state_of_registration() -> None:
    assert serving_system(denied())["registration_state"] == RegistrationState.REGISTRATION_DENIED


def test_low_power_by_dms_ends_registration() -> None:
    host = Host()
    host.ask(DMS, "set_operating_mode", mode=OperatingMode.LOW_POWER)
    assert serving_system(host)["registration_state"] == RegistrationState.NOT_REGISTERED


def test_a_pin_by_uim_begins_registration() -> None:
    host = Host(booted_plane(sim=Sim(pin_is_enabled=True)))
    assert serving_system(host)["registration_state"] == RegistrationState.NOT_REGISTERED
    session = {"session_type": 0, "application_identifier": b""}
    host.ask(UIM, "verify_pin", session=session, info={"pin_id": 1, "pin_value": "1234"})
    host.wait()
    assert serving_system(host)["registration_state"] == RegistrationState.REGISTERED


def test_who_prefers_packets_is_not_attached_for_circuits() -> None:
    host = Host()
    preference = {"service_domain_preference": ServiceDomainPreference.PS_ONLY}
    host.ask(NAS, "set_system_selection_preference", **preference)
    system = serving_system(host)
    assert (system["cs_attach_state"], system["ps_attach_state"]) == (
        AttachState.DETACHED,
        AttachState.ATTACHED,
    )


# System info


def test_system_info_says_where_we_are() -> None:
    info = lte_info(Host())
    assert info["domain"] == ServiceDomain.CS_PS
    assert (info["roaming_status_valid"], info["roaming_status"]) == (1, RoamingStatus.OFF)
    assert (info["forbidden"], info["registration_reject_info_valid"]) == (0, 0)
    assert (info["mcc"], info["mnc"]) == ("001", "01")
    assert (info["tac"], info["lac"], info["cid"]) == (
        HOME.tracking_area,
        HOME.location_area,
        HOME.cell_id,
    )


def test_system_info_abroad_is_that_of_the_other_network() -> None:
    info = lte_info(abroad())
    assert info["roaming_status"] == RoamingStatus.ON
    assert (info["mcc"], info["mnc"], info["tac"]) == ("001", "02", VISITED.tracking_area)


def test_service_is_available_limited_or_none() -> None:
    host = Host()
    assert service_status(host) == ServiceStatus.AVAILABLE
    host.equipment.remove_sim(now=0)
    assert service_status(host) == ServiceStatus.LIMITED
    host.equipment.set_weather(None, True, now=0)
    assert service_status(host) == ServiceStatus.NONE
    assert "lte_system_info_v2" not in host.ask(NAS, "get_system_info")


def test_limited_service_has_no_domain_and_roams_nowhere() -> None:
    host = Host()
    host.equipment.remove_sim(now=0)
    info = lte_info(host)
    assert info["domain"] == ServiceDomain.NONE
    assert (info["roaming_status_valid"], info["lac_valid"], info["lac"]) == (0, 0, 0xFFFF)


def test_packets_alone_have_no_location_area() -> None:
    host = Host()
    preference = {"service_domain_preference": ServiceDomainPreference.PS_ONLY}
    host.ask(NAS, "set_system_selection_preference", **preference)
    info = lte_info(host)
    assert info["domain"] == ServiceDomain.PS
    assert info["lac_valid"] == 0


@pytest.mark.parametrize(("cause", "is_forbidden"), [(11, 1), (15, 0)])
def test_a_refusal_says_why_and_whether_it_is_for_good(cause: int, is_forbidden: int) -> None:
    info = lte_info(denied(cause))
    assert info["registration_reject_info_valid"] == 1
    assert info["registration_reject_domain"] == ServiceDomain.PS
    assert info["registration_reject_cause"] == cause
    assert info["forbidden"] == is_forbidden


# Indications


def test_the_serving_system_is_told_unless_it_is_switched_off() -> None:
    host = Host()
    host.client(NAS)
    host.equipment.set_weather(None, True, now=0)
    (told,) = host.heard(SERVING_SYSTEM)
    assert told.values == host.ask(NAS, "get_serving_system")
    host.ask(NAS, "register_indications", serving_system_events=0)
    host.equipment.set_weather(HOME, True, now=0)
    host.wait()
    assert host.heard() == []


def test_system_info_is_told_once_it_is_switched_on() -> None:
    host = Host()
    host.ask(NAS, "register_indications", serving_system_events=0, system_info=1)
    host.equipment.set_weather(None, True, now=0)
    (told,) = host.heard()
    assert (told.name, told.client) == (SYSTEM_INFO, host.client(NAS))
    assert told.values == host.ask(NAS, "get_system_info")


def test_registration_later_is_told_with_its_cell() -> None:
    host = Host(booted_plane(is_always_on=False))
    host.ask(NAS, "register_indications", serving_system_events=1, system_info=1)
    host.wait()
    serving, info = host.heard()
    assert serving.values["serving_system"]["registration_state"] == RegistrationState.REGISTERED
    assert serving.values["lte_tac"] == HOME.tracking_area
    assert info.values["lte_service_status"]["service_status"] == ServiceStatus.AVAILABLE


def test_signal_info_is_told_once_it_is_switched_on() -> None:
    host = Host()
    host.client(NAS)
    host.equipment.set_signal(Signal.of_rsrp(-70))
    assert host.heard() == []
    host.ask(NAS, "register_indications", signal_info=1)
    host.equipment.set_signal(Signal.of_rsrp(-71))
    assert [each.name for each in host.heard()] == ["signal_info"]


def test_each_client_is_told_for_itself() -> None:
    host = Host()
    other = Host(host.plane, port=2)
    host.ask(NAS, "register_indications", system_info=1, serving_system_events=0)
    other.ask(NAS, "register_indications", system_info=0, serving_system_events=1)
    host.equipment.set_weather(None, True, now=0)
    host.plane.settle(0)
    actions = host.plane.take_actions()
    assert [action.port for action in actions] == [0, 2]  # type: ignore[union-attr]


def test_what_is_not_of_registration_is_not_told_as_such() -> None:
    host = Host()
    host.ask(NAS, "register_indications", system_info=1)
    host.equipment.set_pin_enabled("9999", True, now=0)
    assert host.heard() == []


# Names


def test_the_home_network_is_that_of_the_card() -> None:
    card = SimCard(imsi="310410123456789", mnc_digits=3, service_provider="Cards")
    host = Host(booted_plane(sim=Sim(card)))
    values = host.ask(NAS, "get_home_network")
    assert values["home_network"] == {"mcc": 310, "mnc": 410, "description": "Cards"}
    assert values["home_network_3gpp_mnc"] == {"is_3gpp": 1, "includes_pcs_digit": 1}


@pytest.mark.parametrize("spoil", ["remove_sim", "lock_sim"])
def test_without_a_card_that_is_ready_there_is_no_home(spoil: str) -> None:
    host = Host()
    getattr(host.equipment, spoil)(now=0)
    assert host.refused(NAS, "get_home_network") is QmiError.NOT_PROVISIONED


def names(host: Host, mcc: int, mnc: int, **values: int) -> tuple[str, str]:
    """The provider's name, and the network's."""
    name = host.ask(NAS, "get_plmn_name", plmn={"mcc": mcc, "mnc": mnc}, **values)["3gpp_eons_plmn_name"]
    assert name["short_name"] == name["long_name"]
    return name["service_provider_name"].decode("utf-16-le"), name["long_name"].decode("utf-16-le")


def test_the_network_in_reach_has_a_name() -> None:
    assert names(abroad(), 1, 2) == ("", VISITED.name)


def test_the_home_network_has_a_name_also_from_abroad() -> None:
    host = Host(booted_plane(sim=Sim(SimCard(service_provider="Cards"))))
    assert names(host, 1, 1) == ("Cards", HOME.name)
    host.equipment.set_weather(VISITED, True, now=0)
    assert names(host, 1, 1) == ("Cards", "Cards")


def test_at_home_the_provider_is_shown_and_abroad_the_network() -> None:
    host = abroad()
    here = host.ask(NAS, "get_plmn_name", plmn={"mcc": 1, "mnc": 2})
    home = host.ask(NAS, "get_plmn_name", plmn={"mcc": 1, "mnc": 1})
    assert here["display_bit_information"] == {"service_provider_name_set": 0, "plmn_name_set": 1}
    assert home["display_bit_information"] == {"service_provider_name_set": 1, "plmn_name_set": 0}


def test_a_network_that_nobody_knows_has_no_name() -> None:
    plmn = {"mcc": 262, "mnc": 1}
    assert Host().refused(NAS, "get_plmn_name", plmn=plmn) is QmiError.NO_NETWORK_FOUND


def test_two_digits_are_another_network_than_three() -> None:
    host = abroad(Cell(mcc="310", mnc="041", name="three"))
    plmn = {"mcc": 310, "mnc": 41}
    assert host.refused(NAS, "get_plmn_name", plmn=plmn) is QmiError.NO_NETWORK_FOUND
    assert names(host, 310, 41, mnc_pcs_digit_include_status=1) == ("", "three")


def test_a_number_that_is_no_network_is_invalid() -> None:
    plmn = {"mcc": 1, "mnc": 1000}
    assert Host().refused(NAS, "get_plmn_name", plmn=plmn) is QmiError.INVALID_ARGUMENT


def test_without_a_card_names_are_there_only_for_who_says_that_he_knows() -> None:
    host = Host()
    host.equipment.remove_sim(now=0)
    plmn = {"mcc": 1, "mnc": 1}
    assert host.refused(NAS, "get_plmn_name", plmn=plmn) is QmiError.UIM_UNINITIALIZED
    assert names(host, 1, 1, suppress_sim_error=1) == ("", HOME.name)


def test_a_radio_that_is_off_knows_only_its_home() -> None:
    host = Host()
    host.equipment.set_mode(Mode.LOW_POWER, now=0)
    assert names(host, 1, 1)[0] == "bamdmux"
