"""UIM: the card as clients see it, and what they may do with it."""

import struct
from functools import reduce
from operator import xor
from typing import Any

import pytest

from bamdmux.actions import SendToPort
from bamdmux.modem.control.card import USIM_IDENTIFIER, SimCard
from bamdmux.modem.control.services.uim import ATR, SUPPORTED_EVENTS
from bamdmux.modem.control.sim import Sim, SimState
from bamdmux.wire.qmi.values import (
    NO_APPLICATION_INDEX,
    ApplicationState,
    ApplicationType,
    CardProtocol,
    CardState,
    PersonalizationState,
    PhysicalCardState,
    PinState,
    QmiError,
    SessionType,
    SlotState,
    UimConfiguration,
    UimEvents,
    application_index,
)
from bamdmux.wire.qmux import Service
from tests.modem.control.host import Host, booted_plane

UIM = Service.UIM
PIN, NEW_PIN, WRONG = "1234", "4321", "9999"
PUK, WRONG_PUK = "12345678", "00000000"
PROVISIONING = {"session_type": SessionType.PRIMARY_GW_PROVISIONING, "application_identifier": b""}
PIN1, PIN2, UPIN = 1, 2, 3
MF, USIM = 0x3F00, 0x7FFF
ICCID, IMSI, MSISDN, DIR = 0x2FE2, 0x6F07, 0x6F40, 0x2F00


def locked() -> Host:
    return Host(booted_plane(sim=Sim(pin_is_enabled=True)))


def absent() -> Host:
    return Host(booted_plane(sim=Sim(is_present=False)))


def card_of(host: Host) -> dict[str, Any]:
    (card,) = host.ask(UIM, "get_card_status")["card_status"]["cards"]
    return dict(card)


def application(host: Host) -> dict[str, Any]:
    (application,) = card_of(host)["applications"]
    return dict(application)


def pin_values(session: dict[str, Any] | None = None, **info: Any) -> dict[str, Any]:
    return {"session": session or PROVISIONING, "info": info}


def verify(pin: str, pin_id: int = PIN1) -> dict[str, Any]:
    return pin_values(pin_id=pin_id, pin_value=pin)


def protect(pin: str, is_enabled: bool, pin_id: int = PIN1) -> dict[str, Any]:
    return pin_values(pin_id=pin_id, pin_enabled=is_enabled, pin_value=pin)


def unblock(puk: str, pin: str = NEW_PIN, pin_id: int = PIN1) -> dict[str, Any]:
    return pin_values(pin_id=pin_id, puk=puk, new_pin=pin)


def change(old: str, new: str, pin_id: int = PIN1) -> dict[str, Any]:
    return pin_values(pin_id=pin_id, old_pin=old, new_pin=new)


def retries(values: dict[str, Any]) -> tuple[int, int]:
    left = values["retries_remaining"]
    return left["verify_retries_left"], left["unblock_retries_left"]


def word(values: dict[str, Any]) -> int:
    result = values["card_result"]
    return int(result["sw1"] << 8 | result["sw2"])


def file_values(*path: int, session: dict[str, Any] | None = None) -> dict[str, Any]:
    *folders, file_id = path
    return {
        "session": session or PROVISIONING,
        "file": {"file_id": file_id, "file_path": struct.pack(f"<{len(folders)}H", *folders)},
    }


def transparent(*path: int, offset: int = 0, length: int = 0) -> dict[str, Any]:
    return file_values(*path) | {"read_information": {"offset": offset, "length": length}}


def record(*path: int, number: int = 1, length: int = 0) -> dict[str, Any]:
    return file_values(*path) | {"record": {"record_number": number, "record_length": length}}


# Card status


def test_a_card_that_is_ready_has_one_application_that_is_in_use() -> None:
    host = Host()
    status = host.ask(UIM, "get_card_status")["card_status"]
    assert status["index_gw_primary"] == application_index(0, 0)
    assert {status[f"index_{name}"] for name in ("1x_primary", "gw_secondary", "1x_secondary")} == {
        NO_APPLICATION_INDEX
    }
    assert card_of(host)["card_state"] == CardState.PRESENT
    assert application(host) == {
        "type": ApplicationType.USIM,
        "state": ApplicationState.READY,
        "personalization_state": PersonalizationState.READY,
        "personalization_feature": 0,
        "personalization_retries": 0,
        "personalization_unblock_retries": 0,
        "application_identifier_value": USIM_IDENTIFIER,
        "upin_replaces_pin1": 0,
        "pin1_state": PinState.DISABLED,
        "pin1_retries": 3,
        "puk1_retries": 10,
        "pin2_state": PinState.ENABLED_NOT_VERIFIED,
        "pin2_retries": 3,
        "puk2_retries": 10,
    }


def test_without_a_card_there_is_no_application() -> None:
    host = absent()
    assert card_of(host)["card_state"] == CardState.ABSENT
    assert card_of(host)["applications"] == []
    assert host.ask(UIM, "get_card_status")["card_status"]["index_gw_primary"] == NO_APPLICATION_INDEX


def test_the_application_follows_the_card() -> None:
    host = locked()
    assert application(host)["state"] == ApplicationState.PIN1_OR_UPIN_PIN_REQUIRED
    for _ in range(3):
        host.equipment.verify_pin(WRONG, now=0)
    assert application(host)["state"] == ApplicationState.PUK1_OR_UPIN_PUK_REQUIRED
    assert application(host)["pin1_state"] == PinState.BLOCKED
    for _ in range(10):
        host.equipment.unblock_pin(WRONG_PUK, NEW_PIN, now=0)
    assert application(host)["state"] == ApplicationState.PIN1_BLOCKED
    assert application(host)["pin1_state"] == PinState.PERMANENTLY_BLOCKED


def test_personalization_is_not_known_before_the_pin() -> None:
    assert application(locked())["personalization_state"] == PersonalizationState.UNKNOWN


# Events


def test_only_events_that_will_come_are_promised() -> None:
    values = Host().ask(UIM, "register_events", event_registration_mask=0xFFFF_FFFF)
    assert values == {"event_registration_mask": SUPPORTED_EVENTS}


def test_a_change_of_the_card_is_told_to_who_registered() -> None:
    host = Host()
    host.ask(UIM, "register_events", event_registration_mask=UimEvents.CARD_STATUS)
    host.equipment.remove_sim(now=0)
    (told,) = host.heard("card_status")
    assert told.values == host.ask(UIM, "get_card_status")
    assert told.client == host.client(UIM)


def test_a_try_of_another_client_is_told() -> None:
    host = locked()
    other = Host(host.plane, port=2)
    host.ask(UIM, "register_events", event_registration_mask=UimEvents.CARD_STATUS)
    other.refused(UIM, "verify_pin", **verify(WRONG))
    (told,) = [action for action in other.actions if isinstance(action, SendToPort)]
    assert (told.port, told.is_indication) == (host.port, True)


@pytest.mark.parametrize("mask", [0, UimEvents.PHYSICAL_SLOT_STATUS])
def test_who_has_not_registered_is_not_told(mask: int) -> None:
    host = Host()
    host.ask(UIM, "register_events", event_registration_mask=mask)
    host.equipment.remove_sim(now=0)
    assert host.heard("card_status") == []


def test_what_is_not_of_the_card_is_not_told() -> None:
    host = Host()
    host.ask(UIM, "register_events", event_registration_mask=UimEvents.CARD_STATUS)
    host.equipment.set_weather(None, True, now=0)
    assert host.heard("card_status") == []


# Slot and configuration


def test_the_slot_shows_its_card() -> None:
    host = Host(booted_plane(sim=Sim(SimCard(iccid="89001011234567890123"))))
    values = host.ask(UIM, "get_slot_status")
    (slot,) = values["physical_slot_status"]
    assert slot["physical_card_status"] == PhysicalCardState.PRESENT
    assert (slot["physical_slot_status"], slot["logical_slot"]) == (SlotState.ACTIVE, 1)
    assert slot["iccid"] == host.ask(UIM, "read_transparent", **transparent(MF, ICCID))["read_result"]
    (information,) = values["physical_slot_information"]
    assert (information["card_protocol"], information["valid_applications"]) == (CardProtocol.UICC, 1)
    assert information["atr_value"][0] == 0x3B


def test_an_empty_slot_is_empty() -> None:
    values = absent().ask(UIM, "get_slot_status")
    (slot,), (information,) = values["physical_slot_status"], values["physical_slot_information"]
    assert (slot["physical_card_status"], slot["iccid"]) == (PhysicalCardState.ABSENT, b"")
    assert (information["valid_applications"], information["atr_value"]) == (0, b"")


def test_the_configuration_is_all_of_it_unless_something_is_asked_for() -> None:
    everything = {"automatic_selection": 1, "personalization_status": [], "halt_subscription": 0}
    assert Host().ask(UIM, "get_configuration") == everything


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (UimConfiguration.AUTOMATIC_SELECTION, "automatic_selection"),
        (UimConfiguration.PERSONALIZATION_STATUS, "personalization_status"),
        (UimConfiguration.HALT_SUBSCRIPTION, "halt_subscription"),
    ],
)
def test_of_the_configuration_only_what_is_asked_for(mask: int, name: str) -> None:
    assert Host().ask(UIM, "get_configuration", configuration_mask=mask).keys() == {name}


def test_an_answer_to_reset_is_as_long_as_it_says_and_its_bytes_add_up_to_nothing() -> None:
    historical_byte_count = ATR[1] & 0xF
    assert len(ATR) == len(bytes.fromhex("3b9f96801fc7")) + historical_byte_count + 1
    assert reduce(xor, ATR[1:]) == 0


# Files


def test_the_imsi_is_that_of_the_card() -> None:
    host = Host(booted_plane(sim=Sim(SimCard(imsi="310410123456789", mnc_digits=3))))
    values = host.ask(UIM, "read_transparent", **transparent(MF, USIM, IMSI))
    assert values["read_result"].hex() == "083901141032547698"
    assert word(values) == 0x9000


def test_a_part_of_a_file_is_read_by_offset_and_length() -> None:
    values = Host().ask(UIM, "read_transparent", **transparent(MF, ICCID, offset=1, length=2))
    assert values["read_result"].hex() == "0001"


def test_a_file_ends_where_it_ends() -> None:
    values = Host().ask(UIM, "read_transparent", **transparent(MF, ICCID, offset=8, length=255))
    assert (values["read_result"].hex(), word(values)) == ("10f2", 0x6282)


@pytest.mark.parametrize(
    ("values", "error", "status"),
    [
        (transparent(MF, ICCID, offset=10, length=1), QmiError.INVALID_ARGUMENT, 0x6B00),
        (transparent(MF, USIM, 0x6F08), QmiError.SIM_FILE_NOT_FOUND, 0x6A82),
        (transparent(MF, 0x7F99, IMSI), QmiError.SIM_FILE_NOT_FOUND, 0x6A82),
        (transparent(MF, USIM, MSISDN), QmiError.INCOMPATIBLE_STATE, 0x6981),
    ],
)
def test_what_cannot_be_read_says_why(values: dict[str, Any], error: QmiError, status: int) -> None:
    refused, told = Host().failure(UIM, "read_transparent", **values)
    assert (refused, word(told)) == (error, status)
    assert "read_result" not in told


def test_files_are_behind_the_pin() -> None:
    host = locked()
    error, values = host.failure(UIM, "read_transparent", **transparent(MF, USIM, IMSI))
    assert (error, word(values)) == (QmiError.ACCESS_DENIED, 0x6982)
    host.ask(UIM, "read_transparent", **transparent(MF, ICCID))
    host.ask(UIM, "verify_pin", **verify(PIN))
    host.ask(UIM, "read_transparent", **transparent(MF, USIM, IMSI))


def test_without_a_card_there_are_no_files() -> None:
    host = absent()
    assert host.refused(UIM, "read_transparent", **transparent(MF, ICCID)) is QmiError.UIM_UNINITIALIZED
    assert host.refused(UIM, "read_record", **record(MF, DIR)) is QmiError.UIM_UNINITIALIZED


@pytest.mark.parametrize("message", ["read_transparent", "read_record"])
def test_a_path_that_is_cut_is_refused(message: str) -> None:
    values = transparent(MF, ICCID) | record(MF, ICCID)
    values.pop("record" if message == "read_transparent" else "read_information")
    values["file"] = {"file_id": ICCID, "file_path": b"\x00\x3f\x00"}
    assert Host().refused(UIM, message, **values) is QmiError.INVALID_ARGUMENT


# Records


def test_the_number_is_in_a_record() -> None:
    host = Host(booted_plane(sim=Sim(SimCard(msisdn="+49155"))))
    values = host.ask(UIM, "read_record", **record(MF, USIM, MSISDN))
    assert values["read_result"][14:19].hex() == "04919451f5"
    assert word(values) == 0x9000


def test_the_directory_names_the_application_of_the_status() -> None:
    host = Host()
    directory = host.ask(UIM, "read_record", **record(MF, DIR))["read_result"]
    assert application(host)["application_identifier_value"] in directory


@pytest.mark.parametrize(
    ("values", "error", "status"),
    [
        (record(MF, DIR, number=0), QmiError.INVALID_ARGUMENT, 0x6A83),
        (record(MF, DIR, number=2), QmiError.INVALID_ARGUMENT, 0x6A83),
        (record(MF, DIR, length=3), QmiError.INVALID_ARGUMENT, 0x6700),
        (record(MF, ICCID), QmiError.INCOMPATIBLE_STATE, 0x6981),
        (record(MF, DIR) | {"last_record": 0xFFFF}, QmiError.INVALID_ARGUMENT, 0x6A83),
    ],
)
def test_a_record_that_cannot_be_read_says_why(values: dict[str, Any], error: QmiError, status: int) -> None:
    refused, told = Host().failure(UIM, "read_record", **values)
    assert (refused, word(told)) == (error, status)


def test_records_up_to_the_last_one_come_behind_the_first() -> None:
    host = Host()
    first = host.ask(UIM, "read_record", **record(MF, USIM, MSISDN))["read_result"]
    second = host.ask(UIM, "read_record", **record(MF, USIM, MSISDN, number=2))["read_result"]
    values = host.ask(UIM, "read_record", **record(MF, USIM, MSISDN), last_record=2)
    assert (values["read_result"], values["additional_read_result"]) == (first, second)


def test_a_last_record_that_is_the_first_one_is_that_one() -> None:
    values = Host().ask(UIM, "read_record", **record(MF, DIR), last_record=1)
    assert "additional_read_result" not in values


# Sessions


@pytest.mark.parametrize(
    "session",
    [
        {"session_type": SessionType.CARD_SLOT_1, "application_identifier": b""},
        {"session_type": SessionType.CARD_SLOT_1, "application_identifier": b"whatever"},
        {"session_type": SessionType.NONPROVISIONING_SLOT_1, "application_identifier": USIM_IDENTIFIER},
        {"session_type": SessionType.NONPROVISIONING_SLOT_1, "application_identifier": USIM_IDENTIFIER[:7]},
    ],
)
def test_a_session_for_our_card_or_its_application_will_do(session: dict[str, Any]) -> None:
    host = locked()
    host.ask(UIM, "verify_pin", **verify(PIN) | {"session": session})
    host.ask(UIM, "read_transparent", **transparent(MF, USIM, IMSI) | {"session": session})


@pytest.mark.parametrize(
    ("kind", "identifier", "error"),
    [
        (SessionType.PRIMARY_1X_PROVISIONING, b"", QmiError.INVALID_SESSION_TYPE),
        (SessionType.SECONDARY_GW_PROVISIONING, b"", QmiError.INVALID_SESSION_TYPE),
        (SessionType.CARD_SLOT_2, b"", QmiError.INVALID_SESSION_TYPE),
        (77, b"", QmiError.INVALID_SESSION_TYPE),
        (SessionType.NONPROVISIONING_SLOT_1, b"", QmiError.INVALID_ARGUMENT),
        (SessionType.NONPROVISIONING_SLOT_1, b"other", QmiError.INVALID_ARGUMENT),
    ],
)
def test_a_session_for_anything_else_costs_no_try(kind: int, identifier: bytes, error: QmiError) -> None:
    host = locked()
    session = {"session_type": kind, "application_identifier": identifier}
    assert host.refused(UIM, "verify_pin", **verify(WRONG) | {"session": session}) is error
    assert host.equipment.sim.pin_retries == 3


# PINs


def test_the_right_pin_makes_the_card_ready() -> None:
    host = locked()
    values = host.ask(UIM, "verify_pin", **verify(PIN))
    assert (retries(values), word(values)) == ((3, 10), 0x9000)
    assert application(host)["pin1_state"] == PinState.ENABLED_VERIFIED
    assert host.equipment.sim.is_ready


def test_a_wrong_pin_says_how_many_tries_are_left() -> None:
    host = locked()
    error, values = host.failure(UIM, "verify_pin", **verify(WRONG))
    assert error is QmiError.INCORRECT_PIN
    assert (retries(values), word(values)) == ((2, 10), 0x63C2)
    assert application(host)["pin1_retries"] == 2


def test_the_third_wrong_pin_blocks_it() -> None:
    host = locked()
    for _ in range(2):
        host.refused(UIM, "verify_pin", **verify(WRONG))
    error, values = host.failure(UIM, "verify_pin", **verify(WRONG))
    assert error is QmiError.PIN_BLOCKED
    assert (retries(values), word(values)) == ((0, 10), 0x6983)
    assert host.refused(UIM, "verify_pin", **verify(PIN)) is QmiError.PIN_BLOCKED


def test_what_is_no_pin_never_reaches_the_card() -> None:
    error, values = locked().failure(UIM, "verify_pin", **verify("12"))
    assert error is QmiError.INVALID_ARGUMENT
    assert retries(values) == (3, 10)
    assert "card_result" not in values


def test_a_pin_that_is_switched_off_has_no_effect() -> None:
    host = Host()
    assert host.refused(UIM, "verify_pin", **verify(PIN)) is QmiError.NO_EFFECT
    assert host.refused(UIM, "change_pin", **change(PIN, NEW_PIN)) is QmiError.NO_EFFECT


def test_the_puk_sets_a_new_pin() -> None:
    host = locked()
    for _ in range(3):
        host.refused(UIM, "verify_pin", **verify(WRONG))
    error, values = host.failure(UIM, "unblock_pin", **unblock(WRONG_PUK))
    assert (error, retries(values), word(values)) == (QmiError.INCORRECT_PIN, (0, 9), 0x63C9)
    assert retries(host.ask(UIM, "unblock_pin", **unblock(PUK))) == (3, 10)
    assert host.equipment.sim.is_ready
    host.ask(UIM, "verify_pin", **verify(NEW_PIN))


def test_the_tenth_wrong_puk_is_the_end() -> None:
    host = locked()
    for _ in range(9):
        host.refused(UIM, "unblock_pin", **unblock(WRONG_PUK))
    assert host.refused(UIM, "unblock_pin", **unblock(WRONG_PUK)) is QmiError.PIN_ALWAYS_BLOCKED
    assert host.refused(UIM, "unblock_pin", **unblock(PUK)) is QmiError.PIN_ALWAYS_BLOCKED
    assert host.refused(UIM, "verify_pin", **verify(PIN)) is QmiError.PIN_ALWAYS_BLOCKED
    assert host.equipment.sim.state is SimState.BLOCKED


def test_a_pin_is_changed() -> None:
    host = locked()
    host.ask(UIM, "change_pin", **change(PIN, NEW_PIN))
    assert host.refused(UIM, "verify_pin", **verify(PIN)) is QmiError.INCORRECT_PIN
    host.ask(UIM, "verify_pin", **verify(NEW_PIN))


def test_a_pin_is_switched_on_and_off() -> None:
    host = Host()
    assert host.ask(UIM, "set_pin_protection", **protect(PIN, True)).keys() == {"retries_remaining"}
    assert application(host)["pin1_state"] == PinState.ENABLED_VERIFIED
    assert host.plane.status(0)["sim"]["pin_enabled"] is True  # type: ignore[index]
    host.ask(UIM, "set_pin_protection", **protect(PIN, False))
    assert application(host)["pin1_state"] == PinState.DISABLED


def test_switching_wants_the_right_pin() -> None:
    host = Host()
    error, values = host.failure(UIM, "set_pin_protection", **protect(WRONG, True))
    assert (error, retries(values)) == (QmiError.INCORRECT_PIN, (2, 10))
    assert application(host)["pin1_state"] == PinState.DISABLED


def test_what_is_so_already_has_no_effect() -> None:
    assert Host().refused(UIM, "set_pin_protection", **protect(PIN, False)) is QmiError.NO_EFFECT


def test_pin2_is_another_pin() -> None:
    host = Host()
    host.refused(UIM, "verify_pin", **verify(WRONG, PIN2))
    assert (application(host)["pin1_retries"], application(host)["pin2_retries"]) == (3, 2)
    host.ask(UIM, "change_pin", **change("5678", NEW_PIN, PIN2))
    host.ask(UIM, "verify_pin", **verify(NEW_PIN, PIN2))
    assert application(host)["pin2_state"] == PinState.ENABLED_VERIFIED
    assert retries(host.ask(UIM, "unblock_pin", **unblock("87654321", PIN, PIN2))) == (3, 10)


def test_pin2_cannot_be_switched_off() -> None:
    refused = Host().refused(UIM, "set_pin_protection", **protect("5678", False, PIN2))
    assert refused is QmiError.INVALID_PIN_ID


@pytest.mark.parametrize("pin_id", [0, UPIN, 77])
def test_a_pin_that_the_card_has_not_is_refused(pin_id: int) -> None:
    assert Host().refused(UIM, "verify_pin", **verify(PIN, pin_id)) is QmiError.INVALID_PIN_ID


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("verify_pin", verify(PIN)),
        ("unblock_pin", unblock(PUK)),
        ("change_pin", change(PIN, NEW_PIN)),
        ("set_pin_protection", protect(PIN, True)),
    ],
)
def test_without_a_card_there_is_no_pin(message: str, values: dict[str, Any]) -> None:
    assert absent().refused(UIM, message, **values) is QmiError.UIM_UNINITIALIZED
