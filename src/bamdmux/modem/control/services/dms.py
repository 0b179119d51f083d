"""DMS: the device itself: identity, capabilities, operating mode."""

from typing import Any, Final

from bamdmux.modem.control.equipment import Change, Changed, Equipment, Mode
from bamdmux.modem.control.preferences import SUPPORTED_LTE_BANDS
from bamdmux.modem.control.services import (
    NOTHING,
    Answer,
    Client,
    Failure,
    Handler,
    Indication,
    Indicator,
    Request,
)
from bamdmux.modem.control.services.bands import BANDS, lte_band_bits
from bamdmux.modem.control.services.pins import pin_state
from bamdmux.modem.control.sim import Pin, PinName, Sim
from bamdmux.wire.qmi.values import (
    DataServiceCapability,
    DeviceRadioInterface,
    QmiError,
    SimCapability,
    UimState,
)

MAX_UPLINK_RATE: Final = 50_000_000  # bits per second: LTE category 4
MAX_DOWNLINK_RATE: Final = 150_000_000


def set_event_report(request: Request) -> Answer:
    request.client.reports.update(request.values)
    return NOTHING


def get_capabilities(request: Request) -> Answer:
    radios = (DeviceRadioInterface.GSM, DeviceRadioInterface.UMTS, DeviceRadioInterface.LTE)
    return {
        "info": {
            "max_tx_channel_rate": MAX_UPLINK_RATE,
            "max_rx_channel_rate": MAX_DOWNLINK_RATE,
            "data_service_capability": DataServiceCapability.NON_SIMULTANEOUS_CS_PS,
            "sim_capability": SimCapability.SUPPORTED,
            "radio_interface_list": bytes(radios),
        }
    }


def get_manufacturer(request: Request) -> Answer:
    return {"manufacturer": request.equipment.profile.identity.manufacturer}


def get_model(request: Request) -> Answer:
    return {"model": request.equipment.profile.identity.model}


def get_revision(request: Request) -> Answer:
    return {"revision": request.equipment.profile.identity.revision}


def get_hardware_revision(request: Request) -> Answer:
    return {"revision": request.equipment.profile.identity.hardware_revision}


def get_ids(request: Request) -> Answer:
    return {"esn": "0", "imei": request.equipment.profile.identity.imei}


def get_msisdn(request: Request) -> Answer:
    sim = request.equipment.sim
    if not sim.is_ready:
        return Failure(QmiError.NOT_PROVISIONED)
    return {"msisdn": sim.card.msisdn}


def get_band_capabilities(request: Request) -> Answer:
    return {"band_capability": BANDS, "lte_band_capability": lte_band_bits(SUPPORTED_LTE_BANDS)}


def get_operating_mode(request: Request) -> Answer:
    return {"mode": request.equipment.mode}


def set_operating_mode(request: Request) -> Answer:
    try:
        mode = Mode(request.values["mode"])
    except ValueError:
        return Failure(QmiError.INVALID_ARGUMENT)
    if not request.equipment.set_mode(mode, request.now):
        return Failure(QmiError.INVALID_TRANSITION)
    return NOTHING


def uim_get_pin_status(request: Request) -> Answer:
    sim = request.equipment.sim
    if not sim.is_present:
        return Failure(QmiError.UIM_UNINITIALIZED)
    return {
        "pin1_status": _pin_status(sim.pins[PinName.PIN1]),
        "pin2_status": _pin_status(sim.pins[PinName.PIN2]),
    }


def _pin_status(pin: Pin) -> dict[str, int]:
    return {
        "current_status": pin_state(pin),
        "verify_retries_left": pin.retries,
        "unblock_retries_left": pin.puk_retries,
    }


def indicate_mode(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if change is not Changed.MODE or not client.reports.get("operating_mode_reporting"):
        return None
    return "set_event_report", {"operating_mode": equipment.mode}


def indicate_sim(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if change is not Changed.SIM:
        return None
    sim = equipment.sim
    values: dict[str, Any] = {}
    if client.reports.get("uim_state_reporting"):
        values["uim_state"] = _uim_state(sim)
    if client.reports.get("pin_state_reporting") and sim.is_present:
        values["pin1_status"] = _pin_status(sim.pins[PinName.PIN1])
        values["pin2_status"] = _pin_status(sim.pins[PinName.PIN2])
    return ("set_event_report", values) if values else None


def _uim_state(sim: Sim) -> UimState:
    if not sim.is_present:
        return UimState.NOT_PRESENT
    return UimState.INITIALIZATION_COMPLETED if sim.is_ready else UimState.LOCKED_OR_FAILED


HANDLERS: Final[dict[str, Handler]] = {
    "set_event_report": set_event_report,
    "get_capabilities": get_capabilities,
    "get_manufacturer": get_manufacturer,
    "get_model": get_model,
    "get_revision": get_revision,
    "get_msisdn": get_msisdn,
    "get_ids": get_ids,
    "uim_get_pin_status": uim_get_pin_status,
    "get_hardware_revision": get_hardware_revision,
    "get_operating_mode": get_operating_mode,
    "set_operating_mode": set_operating_mode,
    "get_band_capabilities": get_band_capabilities,
}
INDICATIONS: Final[tuple[Indicator, ...]] = (indicate_mode, indicate_sim)
