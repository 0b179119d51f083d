"""NAS: the network: registration, what is known of the operator, and who wants to hear when that changes.

Two parts have modules of their own: nas_signal.py (how well it is received) and nas_selection.py (which
networks clients prefer).
"""

from typing import Any, Final

from bamdmux.modem.control.cell import Cell
from bamdmux.modem.control.equipment import Change, Changed, Equipment
from bamdmux.modem.control.preferences import Domain
from bamdmux.modem.control.registration import RegistrationState as ModelState
from bamdmux.modem.control.services import (
    NOTHING,
    Answer,
    Client,
    Failure,
    Handler,
    Indication,
    Indicator,
    Request,
    nas_selection,
    nas_signal,
)
from bamdmux.wire.qmi.values import (
    AttachState,
    DataCapability,
    NameEncoding,
    NetworkType,
    QmiError,
    RadioInterface,
    RegistrationState,
    RoamingIndicator,
    RoamingStatus,
    ServiceDomain,
    ServiceStatus,
)

REGISTRATION_STATES: Final = {
    ModelState.NOT_REGISTERED: RegistrationState.NOT_REGISTERED,
    ModelState.SEARCHING: RegistrationState.NOT_REGISTERED_SEARCHING,
    ModelState.REGISTERED: RegistrationState.REGISTERED,
    ModelState.DENIED: RegistrationState.REGISTRATION_DENIED,
}
# Where a name is from, in Get Home Network and Get PLMN Name.
NAME_FROM_NETWORK: Final = 3  # NITZ
NAME_FROM_CARD: Final = 6  # service provider name
# For a client that has said nothing; all other indications are off at first.
_SERVING_SYSTEM_IS_INDICATED: Final = True


def register_indications(request: Request) -> Answer:
    reports = request.client.reports
    if request.values.get("signal_info") and not reports.get("signal_info"):
        nas_signal.begin(request.client, request.equipment)
    reports.update(request.values)
    return NOTHING


# Where we are registered


def get_serving_system(request: Request) -> Answer:
    values = _serving_system(request.equipment)
    cell = request.equipment.registration.cell
    if request.equipment.registration.is_registered and cell is not None:
        values["mnc_pcs_digit_include_status"] = nas_selection.plmn_code(cell.plmn)
    return values


def indicate_serving_system(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    wanted = client.reports.get("serving_system_events", _SERVING_SYSTEM_IS_INDICATED)
    if change is not Changed.REGISTRATION or not wanted:
        return None
    values = _serving_system(equipment)
    if equipment.registration.is_registered and equipment.registration.cell is not None:
        values["lte_tac"] = equipment.registration.cell.tracking_area
    return "get_serving_system", values


def _serving_system(equipment: Equipment) -> dict[str, Any]:
    registration, audible = equipment.registration, equipment.audible_cell
    has_circuits = registration.is_registered and registration.preferences.domain is Domain.BOTH
    values: dict[str, Any] = {
        "serving_system": {
            "registration_state": REGISTRATION_STATES[registration.state],
            "cs_attach_state": AttachState.ATTACHED if has_circuits else AttachState.DETACHED,
            "ps_attach_state": AttachState.ATTACHED if registration.is_registered else AttachState.DETACHED,
            "selected_network": NetworkType.THREE_GPP if audible else NetworkType.UNKNOWN,
            "radio_interfaces": [RadioInterface.LTE if audible else RadioInterface.NONE],
        }
    }
    cell = registration.cell
    if registration.is_registered and cell is not None:
        roaming = RoamingIndicator.ON if registration.is_roaming else RoamingIndicator.OFF
        values |= {
            "roaming_indicator": roaming,
            "data_service_capability": bytes((DataCapability.LTE,)),
            "current_plmn": _named_plmn(cell),
            "roaming_indicator_list": [{"radio_interface": RadioInterface.LTE, "roaming_indicator": roaming}],
            "lac_3gpp": cell.location_area,
            "cid_3gpp": cell.cell_id,
        }
    return values


def _named_plmn(cell: Cell) -> dict[str, Any]:
    return {"mcc": int(cell.mcc), "mnc": int(cell.mnc), "description": cell.name}


def get_system_info(request: Request) -> Answer:
    return _system_info(request.equipment)


def indicate_system_info(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if change is not Changed.REGISTRATION or not client.reports.get("system_info"):
        return None
    return "system_info", _system_info(equipment)


def _system_info(equipment: Equipment) -> dict[str, Any]:
    status = _service_status(equipment)
    values: dict[str, Any] = {
        "lte_service_status": {
            "service_status": status,
            "true_service_status": status,
            "preferred_data_path": False,
        }
    }
    if (cell := equipment.audible_cell) is not None:
        values["lte_system_info_v2"] = _lte_system_info(equipment, cell)
    return values


def _service_status(equipment: Equipment) -> ServiceStatus:
    if equipment.registration.is_registered:
        return ServiceStatus.AVAILABLE
    return ServiceStatus.NONE if equipment.audible_cell is None else ServiceStatus.LIMITED


def _lte_system_info(equipment: Equipment, cell: Cell) -> dict[str, Any]:
    registration = equipment.registration
    domain = _domain(equipment)
    # A location area is assigned by an attach for both domains: TS 24.301 section 5.5.1.3.
    has_location_area = domain is ServiceDomain.CS_PS
    cause = registration.reject_cause
    return {
        "domain_valid": True,
        "domain": domain,
        "service_capability_valid": True,
        "service_capability": domain,
        "roaming_status_valid": registration.is_registered,
        "roaming_status": RoamingStatus.ON if registration.is_roaming else RoamingStatus.OFF,
        "forbidden_valid": True,
        "forbidden": registration.is_forbidden,
        "lac_valid": has_location_area,
        "lac": cell.location_area if has_location_area else 0xFFFF,
        "cid_valid": True,
        "cid": cell.cell_id,
        "registration_reject_info_valid": cause is not None,
        "registration_reject_domain": ServiceDomain.NONE if cause is None else ServiceDomain.PS,
        "registration_reject_cause": cause or 0,
        "network_id_valid": True,
        "mcc": cell.mcc,
        "mnc": cell.mnc,
        "tac_valid": True,
        "tac": cell.tracking_area,
    }


def _domain(equipment: Equipment) -> ServiceDomain:
    if not equipment.registration.is_registered:
        return ServiceDomain.NONE
    has_circuits = equipment.registration.preferences.domain is Domain.BOTH
    return ServiceDomain.CS_PS if has_circuits else ServiceDomain.PS


# Names


def get_home_network(request: Request) -> Answer:
    sim = request.equipment.sim
    if not sim.is_ready:
        return Failure(QmiError.NOT_PROVISIONED)
    card = sim.card
    return {
        "home_network": {
            "mcc": int(card.mcc),
            "mnc": int(card.mnc),
            "description": card.service_provider,
        },
        "home_network_3gpp_mnc": {"is_3gpp": True, "includes_pcs_digit": len(card.mnc) == 3},
        "network_name_source": NAME_FROM_CARD,
    }


def get_plmn_name(request: Request) -> Answer:
    """The name of any network that is known here: that of the card, and the one in reach."""
    equipment, values = request.equipment, request.values
    if not equipment.sim.is_ready and not values.get("suppress_sim_error"):
        return Failure(QmiError.UIM_UNINITIALIZED)
    has_three_digits = bool(values.get("mnc_pcs_digit_include_status"))
    asked = nas_selection.decode_plmn(values["plmn"], has_three_digits=has_three_digits)
    card, cell = equipment.sim.card, equipment.audible_cell
    is_home = equipment.sim.is_ready and asked == (card.mcc, card.mnc)
    is_in_reach = cell is not None and asked == cell.plmn
    if not is_home and not is_in_reach:
        return Failure(QmiError.NO_NETWORK_FOUND)
    provider = card.service_provider if is_home else ""
    name = cell.name if cell is not None and is_in_reach else provider
    return {
        "3gpp_eons_plmn_name": _eons_name(provider, name),
        # EF_SPN says to show the provider alone at home, and both abroad.
        "display_bit_information": {"service_provider_name_set": is_home, "plmn_name_set": not is_home},
        "network_name_source": NAME_FROM_NETWORK if is_in_reach else NAME_FROM_CARD,
    }


def _eons_name(provider: str, name: str) -> dict[str, Any]:
    encoded = name.encode("utf-16-le")
    return {
        "service_provider_name_encoding": NameEncoding.UNICODE,
        "service_provider_name": provider.encode("utf-16-le"),
        "short_name_encoding": NameEncoding.UNICODE,
        "short_name_country_initials": False,
        "short_name_spare_bits": 0,
        "short_name": encoded,
        "long_name_encoding": NameEncoding.UNICODE,
        "long_name_country_initials": False,
        "long_name_spare_bits": 0,
        "long_name": encoded,
    }


HANDLERS: Final[dict[str, Handler]] = {
    "register_indications": register_indications,
    "get_serving_system": get_serving_system,
    "get_system_info": get_system_info,
    "get_home_network": get_home_network,
    "get_plmn_name": get_plmn_name,
    **nas_signal.HANDLERS,
    **nas_selection.HANDLERS,
}
INDICATIONS: Final[tuple[Indicator, ...]] = (
    indicate_serving_system,
    indicate_system_info,
    *nas_signal.INDICATIONS,
)
