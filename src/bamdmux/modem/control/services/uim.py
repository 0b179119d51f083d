"""UIM: the SIM card: its state, its files, its PINs.

There is one slot, and one application on its card, a USIM; requests for others are refused. How the card
itself answers is in card.py and sim.py. Every answer about a file or a code carries the card's status word.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

from bamdmux.errors import InvalidTlv
from bamdmux.modem.control.card import EF_ICCID, MF, USIM_IDENTIFIER, CardAnswer, Path, StatusWord
from bamdmux.modem.control.equipment import Change, Changed, Equipment
from bamdmux.modem.control.services import (
    Answer,
    Client,
    Failure,
    Handler,
    Indication,
    Indicator,
    Request,
)
from bamdmux.modem.control.services.pins import pin_state
from bamdmux.modem.control.sim import CodeResult, Pin, PinName, Sim, SimState
from bamdmux.wire.qmi.values import (
    NO_APPLICATION_INDEX,
    ApplicationState,
    ApplicationType,
    CardError,
    CardProtocol,
    CardState,
    PersonalizationState,
    PhysicalCardState,
    PinId,
    PinState,
    QmiError,
    SessionType,
    SlotState,
    UimConfiguration,
    UimEvents,
    application_index,
)

SUPPORTED_EVENTS: Final = UimEvents.CARD_STATUS
APPLICATION_STATES: Final = {
    SimState.PIN_REQUIRED: ApplicationState.PIN1_OR_UPIN_PIN_REQUIRED,
    SimState.PUK_REQUIRED: ApplicationState.PUK1_OR_UPIN_PUK_REQUIRED,
    SimState.BLOCKED: ApplicationState.PIN1_BLOCKED,
    SimState.READY: ApplicationState.READY,
}
_SLOT: Final = 1
# Direct convention, T=0, historical bytes of a card of TS 102 221 section 6.3.1, and their check byte.
ATR: Final = bytes.fromhex("3b9f96801fc78031e073fe21116340827183078f0066")

# For the application that is in use, and for the card as a whole. One more calls the application by its name.
SESSIONS: Final = (SessionType.PRIMARY_GW_PROVISIONING, SessionType.CARD_SLOT_1)


# State


def get_card_status(request: Request) -> Answer:
    return {"card_status": _card_status(request.equipment.sim)}


def register_events(request: Request) -> Answer:
    events = request.values["event_registration_mask"] & SUPPORTED_EVENTS
    request.client.reports["events"] = events
    return {"event_registration_mask": events}


def indicate_card_status(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if change is not Changed.SIM or not client.reports.get("events", 0) & UimEvents.CARD_STATUS:
        return None
    return "card_status", {"card_status": _card_status(equipment.sim)}


def _card_status(sim: Sim) -> dict[str, Any]:
    return {
        "index_gw_primary": application_index(0, 0) if sim.is_present else NO_APPLICATION_INDEX,
        "index_1x_primary": NO_APPLICATION_INDEX,
        "index_gw_secondary": NO_APPLICATION_INDEX,
        "index_1x_secondary": NO_APPLICATION_INDEX,
        "cards": [
            {
                "card_state": CardState.PRESENT if sim.is_present else CardState.ABSENT,
                "upin_state": PinState.NOT_INITIALIZED,
                "upin_retries": 0,
                "upuk_retries": 0,
                "error_code": CardError.UNKNOWN,
                "applications": [_application(sim)] if sim.is_present else [],
            }
        ],
    }


def _application(sim: Sim) -> dict[str, Any]:
    pin1, pin2 = sim.pins[PinName.PIN1], sim.pins[PinName.PIN2]
    return {
        "type": ApplicationType.USIM,
        "state": APPLICATION_STATES[sim.state],
        "personalization_state": PersonalizationState.READY if sim.is_ready else PersonalizationState.UNKNOWN,
        "personalization_feature": 0,
        "personalization_retries": 0,
        "personalization_unblock_retries": 0,
        "application_identifier_value": USIM_IDENTIFIER,
        "upin_replaces_pin1": False,
        "pin1_state": pin_state(pin1),
        "pin1_retries": pin1.retries,
        "puk1_retries": pin1.puk_retries,
        "pin2_state": pin_state(pin2),
        "pin2_retries": pin2.retries,
        "puk2_retries": pin2.puk_retries,
    }


def get_slot_status(request: Request) -> Answer:
    sim = request.equipment.sim
    iccid = sim.read_transparent((MF, EF_ICCID))
    return {
        "physical_slot_status": [
            {
                "physical_card_status": PhysicalCardState.PRESENT
                if sim.is_present
                else PhysicalCardState.ABSENT,
                "physical_slot_status": SlotState.ACTIVE,
                "logical_slot": _SLOT,
                "iccid": iccid.data,
            }
        ],
        "physical_slot_information": [
            {
                "card_protocol": CardProtocol.UICC if sim.is_present else CardProtocol.UNKNOWN,
                "valid_applications": int(sim.is_present),
                "atr_value": ATR if sim.is_present else b"",
                "is_euicc": False,
            }
        ],
    }


def get_configuration(request: Request) -> Answer:
    """What was asked for, or all of it. No card here is bound to a network."""
    mask = request.values.get("configuration_mask") or sum(UimConfiguration)
    values: dict[str, Any] = {}
    if mask & UimConfiguration.AUTOMATIC_SELECTION:
        values["automatic_selection"] = True
    if mask & UimConfiguration.PERSONALIZATION_STATUS:
        values["personalization_status"] = []
    if mask & UimConfiguration.HALT_SUBSCRIPTION:
        values["halt_subscription"] = False
    return values


# Files


def read_transparent(request: Request) -> Answer:
    sim, values = request.equipment.sim, request.values
    _check_session(values["session"])
    path = _path(values["file"])
    if not sim.is_present:
        return Failure(QmiError.UIM_UNINITIALIZED)
    wanted = values["read_information"]
    answer = sim.read_transparent(path, wanted["offset"], wanted["length"])
    return _file_answer(answer, {"read_result": answer.data})


def read_record(request: Request) -> Answer:
    """One record; or with `last_record` all up to that one, the others behind the first."""
    sim, values = request.equipment.sim, request.values
    _check_session(values["session"])
    path = _path(values["file"])
    if not sim.is_present:
        return Failure(QmiError.UIM_UNINITIALIZED)
    number, length = values["record"]["record_number"], values["record"]["record_length"]
    answer = sim.read_record(path, number, length)
    result = {"read_result": answer.data}
    others = []
    for other in range(number + 1, values.get("last_record", number) + 1):
        if not answer.has_data:  # at the first one that is not there
            break
        answer = sim.read_record(path, other, length)
        others.append(answer.data)
    if others:
        result["additional_read_result"] = b"".join(others)
    return _file_answer(answer, result)


def _file_answer(answer: CardAnswer, result: dict[str, Any]) -> Answer:
    word = {"card_result": _card_result(answer.status)}
    if not answer.has_data:
        return Failure(_FILE_ERRORS[StatusWord(answer.status)], word)
    return word | result


_FILE_ERRORS: Final = {
    StatusWord.FILE_NOT_FOUND: QmiError.SIM_FILE_NOT_FOUND,
    StatusWord.SECURITY_NOT_SATISFIED: QmiError.ACCESS_DENIED,
    StatusWord.WRONG_STRUCTURE: QmiError.INCOMPATIBLE_STATE,
    StatusWord.RECORD_NOT_FOUND: QmiError.INVALID_ARGUMENT,
    StatusWord.WRONG_PARAMETERS: QmiError.INVALID_ARGUMENT,
    StatusWord.WRONG_LENGTH: QmiError.INVALID_ARGUMENT,
}


def _path(file: Mapping[str, Any]) -> Path:
    """From the MF to the file. The folders come as numbers of 16 bits, the lower byte first."""
    folders: bytes = file["file_path"]
    if len(folders) % 2:
        raise InvalidTlv(QmiError.INVALID_ARGUMENT, "file", f"a path of {len(folders)} bytes is cut")
    return (*(number for (number,) in struct.iter_unpack("<H", folders)), file["file_id"])


# PINs


def verify_pin(request: Request) -> Answer:
    name, info = _pin_request(request)
    result = request.equipment.verify_pin(info["pin_value"], request.now, name)
    return _code_answer(request.equipment.sim, name, result)


def unblock_pin(request: Request) -> Answer:
    name, info = _pin_request(request)
    result = request.equipment.unblock_pin(info["puk"], info["new_pin"], request.now, name)
    return _code_answer(request.equipment.sim, name, result, is_puk=True)


def change_pin(request: Request) -> Answer:
    name, info = _pin_request(request)
    result = request.equipment.change_pin(info["old_pin"], info["new_pin"], request.now, name)
    return _code_answer(request.equipment.sim, name, result)


def set_pin_protection(request: Request) -> Answer:
    """Switch PIN1 on or off; PIN2 is always on."""
    name, info = _pin_request(request)
    if name is PinName.PIN2:
        return Failure(QmiError.INVALID_PIN_ID)
    is_enabled = bool(info["pin_enabled"])
    result = request.equipment.set_pin_enabled(info["pin_value"], is_enabled, request.now)
    answer = _code_answer(request.equipment.sim, name, result)
    values = answer.values if isinstance(answer, Failure) else answer
    retries = {key: value for key, value in values.items() if key == "retries_remaining"}
    return Failure(answer.error, retries) if isinstance(answer, Failure) else retries


def _pin_request(request: Request) -> tuple[PinName, Mapping[str, Any]]:
    _check_session(request.values["session"])
    info = request.values["info"]
    name = _PIN_NAMES.get(info["pin_id"])
    if name is None:
        raise InvalidTlv(QmiError.INVALID_PIN_ID, "info", f"PIN {info['pin_id']} is not on this card")
    if not request.equipment.sim.is_present:
        raise InvalidTlv(QmiError.UIM_UNINITIALIZED, "info", "there is no card")
    return name, info


_PIN_NAMES: Final[dict[int, PinName]] = {PinId.PIN1: PinName.PIN1, PinId.PIN2: PinName.PIN2}


def _code_answer(sim: Sim, name: PinName, result: CodeResult, *, is_puk: bool = False) -> Answer:
    pin = sim.pins[name]
    retries = {"verify_retries_left": pin.retries, "unblock_retries_left": pin.puk_retries}
    word = _status_word(result, pin.puk_retries if is_puk else pin.retries)
    values = {"retries_remaining": retries, "card_result": _card_result(word)}
    if result is CodeResult.ACCEPTED:
        return values
    return Failure(_code_error(pin, result), values if word else {"retries_remaining": retries})


def _code_error(pin: Pin, result: CodeResult) -> QmiError:
    match result:
        case CodeResult.WRONG:
            return QmiError.INCORRECT_PIN
        case CodeResult.BLOCKED:
            return QmiError.PIN_ALWAYS_BLOCKED if pin.is_dead else QmiError.PIN_BLOCKED
        case CodeResult.NOT_WANTED:
            return QmiError.NO_EFFECT
    return QmiError.INVALID_ARGUMENT


def _status_word(result: CodeResult, retries: int) -> int:
    """What the card said; 0: it was not asked."""
    match result:
        case CodeResult.ACCEPTED:
            return StatusWord.OK
        case CodeResult.WRONG:
            return StatusWord.WRONG_CODE + retries
        case CodeResult.BLOCKED:
            return StatusWord.BLOCKED
    return 0


# All of them


def _check_session(session: Mapping[str, Any]) -> None:
    """Let only those pass that are for our card, or for its application."""
    kind, identifier = session["session_type"], session["application_identifier"]
    if kind in SESSIONS:
        return
    if kind != SessionType.NONPROVISIONING_SLOT_1:
        raise InvalidTlv(QmiError.INVALID_SESSION_TYPE, "session", f"there is no session {kind}")
    if not identifier or not USIM_IDENTIFIER.startswith(identifier):
        raise InvalidTlv(QmiError.INVALID_ARGUMENT, "session", "the card has no such application")


def _card_result(status: int) -> dict[str, int]:
    return {"sw1": status >> 8, "sw2": status & 0xFF}


HANDLERS: Final[dict[str, Handler]] = {
    "get_card_status": get_card_status,
    "register_events": register_events,
    "get_slot_status": get_slot_status,
    "get_configuration": get_configuration,
    "read_transparent": read_transparent,
    "read_record": read_record,
    "verify_pin": verify_pin,
    "unblock_pin": unblock_pin,
    "change_pin": change_pin,
    "set_pin_protection": set_pin_protection,
}
INDICATIONS: Final[tuple[Indicator, ...]] = (indicate_card_status,)
