"""NAS: how well the network is received, and when clients are told.

A client sets triggers: thresholds (it is told when a value crosses one of them) or a delta (when a value has
moved so far since it was told last). Signal info without any trigger tells every change. All is compared in
tenths of a decibel, as the newer messages have it. While nothing is received there is nothing to tell; what
comes after that is news.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from bamdmux.errors import InvalidTlv
from bamdmux.modem.control.equipment import Change, Changed, Equipment, Signal
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
from bamdmux.wire.qmi.values import QmiError, RadioInterface, ServiceDomain, SignalStrengthRequest

MAX_THRESHOLDS: Final = 16  # in a list of the older messages
MAX_THRESHOLDS_V2: Final = 32
_FIRST_LTE_BAND: Final = 119  # LTE band 1 is active band class 120


@dataclass(frozen=True, slots=True)
class Trigger:
    """When one value is worth a report; in tenths. Thresholds or a delta, not both."""

    thresholds: tuple[int, ...] = ()
    delta: int = 0

    def fires(self, told: int, now: int) -> bool:
        """Whether `now` is news to one who was told `told`."""
        if self.delta:
            return abs(now - told) >= self.delta
        return any((told < threshold) != (now < threshold) for threshold in self.thresholds)


def tenths(signal: Signal, quantity: str) -> int:
    """One of rssi, rsrp, rsrq, snr in tenths of dBm or dB."""
    value: int = getattr(signal, quantity)
    return value if quantity == "snr" else 10 * value


def get_signal_strength(request: Request) -> Answer:
    signal = request.equipment.received_signal
    if signal is None:
        return Failure(QmiError.INFORMATION_UNAVAILABLE)
    values: dict[str, Any] = {"signal_strength": _strength(signal)}
    if request.values.get("request_mask", 0) & SignalStrengthRequest.RSSI:
        values["rssi_list"] = [_rssi(signal)]
    return values


def get_signal_info(request: Request) -> Answer:
    signal = request.equipment.received_signal
    if signal is None:
        return Failure(QmiError.INFORMATION_UNAVAILABLE)
    return {"lte_signal_strength": _lte_strength(signal)}


def _strength(signal: Signal) -> dict[str, int]:
    return {"strength": signal.rssi, "radio_interface": RadioInterface.LTE}


def _rssi(signal: Signal) -> dict[str, int]:
    return {"rssi": -signal.rssi, "radio_interface": RadioInterface.LTE}  # -62 dBm is 62


def _lte_strength(signal: Signal) -> dict[str, int]:
    return {"rssi": signal.rssi, "rsrq": signal.rsrq, "rsrp": signal.rsrp, "snr": signal.snr}


# Signal info

# Names of TLVs, and for which value they are; those for radios that are not there have no effect.
_THRESHOLDS: Final = {
    "rssi_threshold": ("rssi", 10),
    "rsrq_threshold": ("rsrq", 10),
    "rsrp_threshold": ("rsrp", 10),
    "lte_snr_threshold": ("snr", 1),
}
_QUANTITIES: Final = ("rssi", "rsrq", "rsrp", "snr")


def config_signal_info(request: Request) -> Answer:
    """Set thresholds; an empty list is none for that value."""
    triggers = {}
    for name, values in request.values.items():
        if name.endswith("_threshold"):
            _check_count(values, MAX_THRESHOLDS, name)
        if name in _THRESHOLDS:
            quantity, unit = _THRESHOLDS[name]
            triggers[quantity] = Trigger(thresholds=tuple(unit * value for value in values))
    return _configure(request, triggers)


def config_signal_info_v2(request: Request) -> Answer:
    """Set thresholds or deltas; a delta of a value counts more than thresholds of it."""
    for name, value in request.values.items():
        if name.endswith("_list"):
            _check_count(value, MAX_THRESHOLDS_V2, name)
        if name.endswith("_delta") and not value:
            raise InvalidTlv(QmiError.INVALID_ARGUMENT, name, "a change by nothing is no change")
    triggers = {}
    for quantity in _QUANTITIES:
        delta = request.values.get(f"lte_{quantity}_delta", 0)
        thresholds = request.values.get(f"lte_{quantity}_threshold_list")
        if delta or thresholds is not None:
            triggers[quantity] = Trigger(tuple(thresholds or ()), delta)
    return _configure(request, triggers)


def _configure(request: Request, triggers: dict[str, Trigger]) -> Answer:
    reports = request.client.reports
    reports["signal_triggers"] = {**reports.get("signal_triggers", {}), **triggers}
    begin(request.client, request.equipment)
    return NOTHING


def begin(client: Client, equipment: Equipment) -> None:
    """Measure changes of signal info from here on."""
    client.told["signal_info"] = equipment.received_signal


def indicate_signal_info(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if change is not Changed.SIGNAL or not client.reports.get("signal_info"):
        return None
    triggers = client.reports.get("signal_triggers")
    signal = _news(client, "signal_info", equipment.received_signal, triggers)
    return None if signal is None else ("signal_info", {"lte_signal_strength": _lte_strength(signal)})


# Event report

_DELTAS: Final = {  # names of TLVs of the request: field of the delta, value, unit
    "rssi_indicator": ("rssi_delta", "rssi", 10),
    "lte_snr_delta": ("snr_delta", "snr", 1),
    "lte_rsrp_delta": ("rsrp_delta", "rsrp", 10),
}


def set_event_report(request: Request) -> Answer:
    triggers = dict(request.client.reports.get("event_triggers", {}))
    for name, setting in request.values.items():
        if name == "signal_strength_indicator" or name in _DELTAS:
            triggers[name] = _read_trigger(name, setting) if setting["report"] else None
    told = dict.fromkeys(triggers.keys() & request.values.keys(), request.equipment.received_signal)
    request.client.told.update(told)
    request.client.reports.update(request.values, event_triggers=triggers)
    return NOTHING


def _read_trigger(name: str, setting: dict[str, Any]) -> dict[str, Trigger]:
    if name == "signal_strength_indicator":
        thresholds = setting["thresholds"]
        if not thresholds:
            raise InvalidTlv(QmiError.NO_THRESHOLDS_PROVIDED, name, "a report wants thresholds")
        _check_count(thresholds, MAX_THRESHOLDS, name)
        return {"rssi": Trigger(thresholds=tuple(10 * value for value in thresholds))}
    field, quantity, unit = _DELTAS[name]
    if not setting[field]:
        raise InvalidTlv(QmiError.INVALID_ARGUMENT, name, "a change by nothing is no change")
    return {quantity: Trigger(delta=unit * setting[field])}


def indicate_strength(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if change is not Changed.SIGNAL:
        return None
    values: dict[str, Any] = {}
    for name, triggers in client.reports.get("event_triggers", {}).items():
        if triggers is None:
            continue
        signal = _news(client, name, equipment.received_signal, triggers)
        if signal is not None:
            values |= _event(name, signal)
    return ("set_event_report", values) if values else None


def _event(name: str, signal: Signal) -> dict[str, Any]:
    match name:
        case "signal_strength_indicator":
            return {"signal_strength": _strength(signal)}
        case "rssi_indicator":
            return {"rssi": _rssi(signal)}
        case "lte_snr_delta":
            return {"lte_snr": signal.snr}
    return {"lte_rsrp": signal.rsrp}


def indicate_network(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    """The other two things that an event report tells: why we were refused, and the band of a new cell."""
    if change is not Changed.REGISTRATION:
        return None
    values: dict[str, Any] = {}
    cause = equipment.registration.reject_cause
    if client.reports.get("registration_reject_reason") and cause is not None:
        values["registration_reject_reason"] = {"service_domain": ServiceDomain.PS, "reject_cause": cause}
    if client.reports.get("rf_band_information") and (cell := equipment.audible_cell) is not None:
        here = {
            "radio_interface": RadioInterface.LTE,
            "active_band_class": _FIRST_LTE_BAND + cell.band,
            "active_channel": cell.channel,
        }
        if client.told.get("rf_band_information") != here:
            client.told["rf_band_information"] = here
            values["rf_band_information"] = [here]
    return ("set_event_report", values) if values else None


def _news(
    client: Client, report: str, signal: Signal | None, triggers: dict[str, Trigger] | None
) -> Signal | None:
    """The signal, if the client is to be told of it. It is then what it was told last."""
    told = client.told.get(report)
    if signal is None or told is None or triggers is None:
        is_news = True
    else:
        is_news = any(
            trigger.fires(tenths(told, quantity), tenths(signal, quantity))
            for quantity, trigger in triggers.items()
        )
    if is_news:
        client.told[report] = signal
    return signal if is_news else None


def _check_count(thresholds: Iterable[int], bound: int, name: str) -> None:
    count = len(list(thresholds))
    if count > bound:
        raise InvalidTlv(QmiError.ARGUMENT_TOO_LONG, name, f"{count} thresholds exceed {bound}")


HANDLERS: Final[dict[str, Handler]] = {
    "set_event_report": set_event_report,
    "get_signal_strength": get_signal_strength,
    "get_signal_info": get_signal_info,
    "config_signal_info": config_signal_info,
    "config_signal_info_v2": config_signal_info_v2,
}
INDICATIONS: Final[tuple[Indicator, ...]] = (indicate_strength, indicate_network, indicate_signal_info)
