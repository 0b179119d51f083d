"""NAS system selection preference: which networks clients prefer. They are one for all clients, and stay.

What decides about registration is in preferences.py in the model's words; the rest is kept as it was set.
What is for radios that this modem has not (CDMA, TD-SCDMA, 5G) is ignored.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum, unique
from typing import Any, Final, TypeVar

from bamdmux.errors import InvalidTlv
from bamdmux.modem.control.cell import Plmn
from bamdmux.modem.control.preferences import (
    SUPPORTED_LTE_BANDS,
    Domain,
    Preferences,
    Radio,
    Restriction,
    Roaming,
)
from bamdmux.modem.control.services import NOTHING, Answer, Handler, Request
from bamdmux.modem.control.services.bands import BANDS, lte_band_bits, lte_bands_of
from bamdmux.wire.qmi.values import (
    AcquisitionOrder,
    NetworkSelection,
    QmiError,
    RadioInterface,
    RatModePreference,
    RoamingPreference,
    ServiceDomainPreference,
    UsagePreference,
    VoiceDomainPreference,
)

MODE_BITS: Final = {
    Radio.GSM: RatModePreference.GSM,
    Radio.UMTS: RatModePreference.UMTS,
    Radio.LTE: RatModePreference.LTE,
}
ROAMING: Final = {
    Roaming.HOME_ONLY: RoamingPreference.OFF,
    Roaming.ABROAD_ONLY: RoamingPreference.NOT_OFF,
    Roaming.NOT_FLASHING: RoamingPreference.NOT_FLASHING,
    Roaming.ANY: RoamingPreference.ANY,
}
DOMAINS: Final = {
    Domain.CIRCUITS: ServiceDomainPreference.CS_ONLY,
    Domain.PACKETS: ServiceDomainPreference.PS_ONLY,
    Domain.BOTH: ServiceDomainPreference.CS_PS,
}
RESTRICTIONS: Final = {Restriction.NONE: 0, Restriction.CAMP_ONLY: 1, Restriction.LIMITED: 2}
MAX_PLMN_PART: Final = 999


@unique
class ChangeDuration(IntEnum):
    POWER_CYCLE = 0
    PERMANENT = 1


# What is kept and not acted on, with what it is at first.
KEPT: Final[Mapping[str, Any]] = {
    "band_preference": BANDS,
    "gsm_wcdma_acquisition_order_preference": AcquisitionOrder.AUTOMATIC,
    "acquisition_order_preference": [RadioInterface.LTE, RadioInterface.UMTS, RadioInterface.GSM],
    "usage_preference": UsagePreference.DATA_CENTRIC,
    "voice_domain_preference": VoiceDomainPreference.CS_PREFERRED,
}


def get_system_selection_preference(request: Request) -> Answer:
    preferences = request.equipment.registration.preferences
    bands = lte_band_bits(preferences.lte_bands)
    values: dict[str, Any] = {
        **KEPT,
        **preferences.others,
        "emergency_mode": preferences.is_emergency_only,
        "mode_preference": sum(MODE_BITS[radio] for radio in preferences.radios),
        "roaming_preference": ROAMING[preferences.roaming],
        "lte_band_preference": bands,
        "extended_lte_band_preference": _masks(bands),
        "service_domain_preference": DOMAINS[preferences.domain],
        "network_selection_registration_restriction": RESTRICTIONS[preferences.restriction],
        "network_selection_preference": NetworkSelection.AUTOMATIC,
    }
    if preferences.plmn is not None:
        values["network_selection_preference"] = NetworkSelection.MANUAL
        values["manual_network_selection"] = plmn_code(preferences.plmn)
    return values


def set_system_selection_preference(request: Request) -> Answer:
    """All of a request or nothing: the first value that is wrong refuses it."""
    values = request.values
    duration = _member(ChangeDuration, values.get("change_duration", ChangeDuration.PERMANENT), "duration")
    preferences = request.equipment.registration.preferences
    changes: dict[str, Any] = {"others": _kept(values)}
    for name, read in READERS.items():
        if name in values:
            changes |= read(values, preferences)
    request.equipment.prefer(request.now, is_stored=duration is ChangeDuration.PERMANENT, **changes)
    return NOTHING


# What decides: each reader turns one value into a change of `Preferences`

Values = Mapping[str, Any]
Reader = Callable[[Values, Preferences], dict[str, Any]]


def _read_emergency_mode(values: Values, preferences: Preferences) -> dict[str, Any]:
    return {"is_emergency_only": bool(values["emergency_mode"])}


def _read_mode(values: Values, preferences: Preferences) -> dict[str, Any]:
    bits = values["mode_preference"]
    radios = frozenset(radio for radio, bit in MODE_BITS.items() if bits & bit)
    return {"radios": _some(radios, "mode_preference")}


def _read_roaming(values: Values, preferences: Preferences) -> dict[str, Any]:
    return {"roaming": _word(ROAMING, values["roaming_preference"], "roaming_preference")}


def _read_lte_bands(values: Values, preferences: Preferences) -> dict[str, Any]:
    bands = lte_bands_of(values["lte_band_preference"]) & SUPPORTED_LTE_BANDS
    return {"lte_bands": _some(bands, "lte_band_preference")}


def _read_extended_lte_bands(values: Values, preferences: Preferences) -> dict[str, Any]:
    masks = values["extended_lte_band_preference"].values()
    bits = sum(mask << 64 * index for index, mask in enumerate(masks))
    return {"lte_bands": _some(lte_bands_of(bits) & SUPPORTED_LTE_BANDS, "extended_lte_band_preference")}


def _read_selection(values: Values, preferences: Preferences) -> dict[str, Any]:
    selection = values["network_selection_preference"]
    if (
        _member(NetworkSelection, selection["mode"], "network_selection_preference")
        is NetworkSelection.AUTOMATIC
    ):
        return {"plmn": None}
    has_three_digits = bool(values.get("mnc_pcs_digit_include_status"))
    return {"plmn": decode_plmn(selection, has_three_digits=has_three_digits)}


def _read_domain(values: Values, preferences: Preferences) -> dict[str, Any]:
    """Attach and detach change what there is; the others say what there is to be."""
    number = values["service_domain_preference"]
    if number == ServiceDomainPreference.PS_DETACH:
        return {"domain": Domain.CIRCUITS}
    if number == ServiceDomainPreference.PS_ATTACH:
        return {"domain": Domain.BOTH if preferences.domain is Domain.CIRCUITS else preferences.domain}
    return {"domain": _word(DOMAINS, number, "service_domain_preference")}


def _read_restriction(values: Values, preferences: Preferences) -> dict[str, Any]:
    name = "network_selection_registration_restriction"
    return {"restriction": _word(RESTRICTIONS, values[name], name)}


READERS: Final[Mapping[str, Reader]] = {
    "emergency_mode": _read_emergency_mode,
    "mode_preference": _read_mode,
    "roaming_preference": _read_roaming,
    "lte_band_preference": _read_lte_bands,
    "extended_lte_band_preference": _read_extended_lte_bands,  # says more, and so counts if both are there
    "network_selection_preference": _read_selection,
    "service_domain_preference": _read_domain,
    "network_selection_registration_restriction": _read_restriction,
}


# What is kept


def _kept(values: Values) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if "band_preference" in values:
        kept["band_preference"] = _some(values["band_preference"] & BANDS, "band_preference")
    if "acquisition_order_preference" in values:
        ours = KEPT["acquisition_order_preference"]
        order = [radio for radio in dict.fromkeys(values["acquisition_order_preference"]) if radio in ours]
        kept["acquisition_order_preference"] = _some(order, "acquisition_order_preference")
    for name, kind in (
        ("gsm_wcdma_acquisition_order_preference", AcquisitionOrder),
        ("usage_preference", UsagePreference),
        ("voice_domain_preference", VoiceDomainPreference),
    ):
        if name in values:
            kept[name] = _member(kind, values[name], name)
    return kept


# Numbers and words

_Member = TypeVar("_Member", bound=IntEnum)
_Word = TypeVar("_Word")


def decode_plmn(code: Mapping[str, int], *, has_three_digits: bool) -> Plmn:
    """MCC and MNC as digits. A small MNC has two, unless the client says that it has three."""
    mcc, mnc = code["mcc"], code["mnc"]
    if max(mcc, mnc) > MAX_PLMN_PART:
        raise InvalidTlv(QmiError.INVALID_ARGUMENT, "plmn", f"{mcc}, {mnc} exceeds {MAX_PLMN_PART}")
    return f"{mcc:03}", f"{mnc:03}" if has_three_digits else f"{mnc:02}"


def plmn_code(plmn: Plmn) -> dict[str, int]:
    mcc, mnc = plmn
    return {"mcc": int(mcc), "mnc": int(mnc), "includes_pcs_digit": len(mnc) == 3}


def _masks(bits: int) -> dict[str, int]:
    names = ("mask_low", "mask_mid_low", "mask_mid_high", "mask_high")
    return {name: bits >> 64 * index & (1 << 64) - 1 for index, name in enumerate(names)}


def _member(kind: type[_Member], number: int, name: str) -> _Member:
    try:
        return kind(number)
    except ValueError as error:
        raise InvalidTlv(QmiError.INVALID_ARGUMENT, name, str(error)) from error


def _word(numbers: Mapping[_Word, int], number: int, name: str) -> _Word:
    for word, its_number in numbers.items():
        if number == its_number:
            return word
    raise InvalidTlv(QmiError.INVALID_ARGUMENT, name, f"{number} means nothing")


def _some(value: _Word, name: str) -> _Word:
    if not value:
        raise InvalidTlv(QmiError.INVALID_ARGUMENT, name, "there is nothing in it that this modem has")
    return value


HANDLERS: Final[dict[str, Handler]] = {
    "get_system_selection_preference": get_system_selection_preference,
    "set_system_selection_preference": set_system_selection_preference,
}
