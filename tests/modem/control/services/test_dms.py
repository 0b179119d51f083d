"""DMS: what the device says of itself, and that it says what is so."""

from dataclasses import replace

import pytest

from bamdmux.actions import RestartModem
from bamdmux.modem.control.card import SimCard
from bamdmux.modem.control.equipment import Mode
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.control.preferences import SUPPORTED_LTE_BANDS
from bamdmux.modem.control.sim import PinName, Sim
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.wire.qmi.values import (
    DevicePinState,
    DeviceRadioInterface,
    OperatingMode,
    QmiError,
    UimState,
)
from bamdmux.wire.qmux import Service
from tests.modem.control.host import PROFILE, Host, booted_plane

DMS = Service.DMS


def test_the_identity_is_that_of_the_profile() -> None:
    identity = replace(
        PROFILE.identity,
        manufacturer="M",
        model="mod",
        revision="rev",
        hardware_revision="hard",
        imei="123456789012345",
    )
    profile = replace(PROFILE, identity=identity)
    plane = ControlPlane(profile, PacketDataNetwork(profile.channels))
    plane.boot(now=0)
    host = Host(plane)
    assert host.ask(DMS, "get_manufacturer") == {"manufacturer": "M"}
    assert host.ask(DMS, "get_model") == {"model": "mod"}
    assert host.ask(DMS, "get_revision") == {"revision": "rev"}
    assert host.ask(DMS, "get_hardware_revision") == {"revision": "hard"}
    assert host.ask(DMS, "get_ids")["imei"] == "123456789012345"


def test_it_can_do_three_generations_of_3gpp() -> None:
    info = Host().ask(DMS, "get_capabilities")["info"]
    radios = DeviceRadioInterface.GSM, DeviceRadioInterface.UMTS, DeviceRadioInterface.LTE
    assert info["radio_interface_list"] == bytes(radios)


def test_its_lte_bands_are_those_that_can_be_preferred() -> None:
    host = Host()
    bits = host.ask(DMS, "get_band_capabilities")["lte_band_capability"]
    assert {bit + 1 for bit in range(64) if bits >> bit & 1} == SUPPORTED_LTE_BANDS
    preferred = host.ask(Service.NAS, "get_system_selection_preference")["lte_band_preference"]
    assert preferred == bits


def test_the_number_is_that_of_the_card() -> None:
    host = Host(booted_plane(sim=Sim(SimCard(msisdn="+4915550001"))))
    assert host.ask(DMS, "get_msisdn") == {"msisdn": "+4915550001"}


def test_without_the_card_there_is_no_number() -> None:
    host = Host()
    host.equipment.remove_sim(now=0)
    assert host.refused(DMS, "get_msisdn") is QmiError.NOT_PROVISIONED


# Operating mode


def test_the_mode_that_was_set_is_the_one_that_is_told() -> None:
    host = Host()
    host.ask(DMS, "set_operating_mode", mode=OperatingMode.LOW_POWER)
    assert host.ask(DMS, "get_operating_mode") == {"mode": OperatingMode.LOW_POWER}
    assert host.plane.status(0)["mode"] == "low_power"


def test_low_power_ends_registration_for_other_services() -> None:
    host = Host()
    host.ask(DMS, "set_operating_mode", mode=OperatingMode.LOW_POWER)
    assert host.ask(Service.NAS, "get_serving_system")["serving_system"]["registration_state"] == 0


def test_a_mode_that_is_none_is_refused() -> None:
    assert Host().refused(DMS, "set_operating_mode", mode=77) is QmiError.INVALID_ARGUMENT


def test_a_mode_that_nobody_can_set_is_refused() -> None:
    host = Host()
    assert host.refused(DMS, "set_operating_mode", mode=OperatingMode.FACTORY_TEST) is (
        QmiError.INVALID_TRANSITION
    )
    assert host.ask(DMS, "get_operating_mode") == {"mode": OperatingMode.ONLINE}


def test_a_reset_asks_for_a_restart_after_its_answer() -> None:
    host = Host()
    host.ask(DMS, "set_operating_mode", mode=OperatingMode.RESET)
    assert host.actions == [RestartModem()]


def test_who_wants_to_know_is_told_of_a_new_mode() -> None:
    host = Host()
    host.ask(DMS, "set_event_report", operating_mode_reporting=1)
    host.ask(DMS, "set_operating_mode", mode=OperatingMode.LOW_POWER)
    (told,) = host.heard("set_event_report")
    assert told.values == {"operating_mode": OperatingMode.LOW_POWER}
    assert told.client == host.client(DMS)


@pytest.mark.parametrize("report", [{}, {"operating_mode_reporting": 0}])
def test_who_does_not_is_not(report: dict[str, int]) -> None:
    host = Host()
    host.ask(DMS, "set_event_report", operating_mode_reporting=1)
    host.ask(DMS, "set_event_report", **{"operating_mode_reporting": 0} | report)
    host.equipment.set_mode(Mode.LOW_POWER, now=0)
    assert host.heard("set_event_report") == []


# PINs


def pin_states(host: Host) -> tuple[int, int]:
    values = host.ask(DMS, "uim_get_pin_status")
    return values["pin1_status"]["current_status"], values["pin2_status"]["current_status"]


def test_the_pin_status_follows_the_card() -> None:
    host = Host(booted_plane(sim=Sim(pin_is_enabled=True)))
    assert pin_states(host)[0] == DevicePinState.ENABLED_NOT_VERIFIED
    host.equipment.verify_pin("1234", now=0)
    assert pin_states(host)[0] == DevicePinState.ENABLED_VERIFIED
    host.equipment.set_pin_enabled("1234", False, now=0)
    assert pin_states(host)[0] == DevicePinState.DISABLED
    host.equipment.verify_pin("5678", now=0, name=PinName.PIN2)
    assert pin_states(host)[1] == DevicePinState.ENABLED_VERIFIED


def test_the_tries_that_are_left_are_told() -> None:
    host = Host(booted_plane(sim=Sim(pin_is_enabled=True)))
    host.equipment.verify_pin("9999", now=0)
    host.equipment.unblock_pin("00000000", "1111", now=0)
    status = host.ask(DMS, "uim_get_pin_status")["pin1_status"]
    assert (status["verify_retries_left"], status["unblock_retries_left"]) == (2, 9)


def test_without_a_card_there_is_no_pin() -> None:
    host = Host(booted_plane(sim=Sim(is_present=False)))
    assert host.refused(DMS, "uim_get_pin_status") is QmiError.UIM_UNINITIALIZED


def test_who_wants_to_know_of_the_card_is_told() -> None:
    host = Host()
    host.ask(DMS, "set_event_report", uim_state_reporting=1)
    host.equipment.lock_sim(now=0)
    assert [each.values for each in host.heard("set_event_report")] == [
        {"uim_state": UimState.LOCKED_OR_FAILED}
    ]
    host.equipment.remove_sim(now=0)
    assert [each.values for each in host.heard("set_event_report")] == [{"uim_state": UimState.NOT_PRESENT}]
    host.equipment.insert_sim(now=0)
    host.equipment.verify_pin("1234", now=0)
    assert host.heard("set_event_report")[-1].values == {"uim_state": UimState.INITIALIZATION_COMPLETED}


def test_who_wants_to_know_of_the_pins_is_told_while_there_are_any() -> None:
    host = Host()
    host.ask(DMS, "set_event_report", pin_state_reporting=1)
    host.equipment.lock_sim(now=0)
    (told,) = host.heard("set_event_report")
    assert told.values["pin1_status"]["current_status"] == DevicePinState.ENABLED_NOT_VERIFIED
    assert told.values["pin2_status"]["current_status"] == DevicePinState.ENABLED_NOT_VERIFIED
    host.equipment.remove_sim(now=0)
    assert host.heard("set_event_report") == []
