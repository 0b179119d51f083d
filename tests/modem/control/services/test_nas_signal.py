"""NAS: the signal, and the thresholds that decide who hears of it."""

from typing import Any

import pytest

from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.equipment import Mode, Signal
from bamdmux.modem.control.services.nas_signal import MAX_THRESHOLDS, MAX_THRESHOLDS_V2, Trigger
from bamdmux.wire.qmi.values import QmiError, RadioInterface, ServiceDomain
from bamdmux.wire.qmux import Service
from tests.modem.control.host import Host

NAS = Service.NAS
SIGNAL = Signal(rssi=-70, rsrp=-100, rsrq=-12, snr=50)


def listening(**config: Any) -> Host:
    """A host that wants signal info, by thresholds of the newer or the older message."""
    host = Host()
    host.equipment.set_signal(SIGNAL)
    if config:
        is_new = any(name.startswith("lte_r") or name.endswith("_delta") for name in config)
        is_new = is_new and "lte_report" not in config
        host.ask(NAS, "config_signal_info_v2" if is_new else "config_signal_info", **config)
    host.ask(NAS, "register_indications", signal_info=1, serving_system_events=0)
    host.heard()
    return host


def told(host: Host, **change: int) -> list[dict[str, int]]:
    """What is heard when the signal is another one."""
    values = {"rssi": SIGNAL.rssi, "rsrp": SIGNAL.rsrp, "rsrq": SIGNAL.rsrq, "snr": SIGNAL.snr} | change
    host.equipment.set_signal(Signal(**values))
    return [each.values["lte_signal_strength"] for each in host.heard("signal_info")]


# Asking


def test_the_signal_is_that_which_is_received() -> None:
    host = Host()
    host.equipment.set_signal(SIGNAL)
    assert host.ask(NAS, "get_signal_info") == {
        "lte_signal_strength": {"rssi": -70, "rsrp": -100, "rsrq": -12, "snr": 50}
    }
    assert host.ask(NAS, "get_signal_strength") == {
        "signal_strength": {"strength": -70, "radio_interface": RadioInterface.LTE}
    }


def test_rssi_is_listed_for_who_asks_for_it() -> None:
    host = Host()
    host.equipment.set_signal(SIGNAL)
    values = host.ask(NAS, "get_signal_strength", request_mask=1)
    assert values["rssi_list"] == [{"rssi": 70, "radio_interface": RadioInterface.LTE}]
    assert "rssi_list" not in host.ask(NAS, "get_signal_strength", request_mask=2)


@pytest.mark.parametrize("message", ["get_signal_info", "get_signal_strength"])
def test_without_a_network_there_is_no_signal(message: str) -> None:
    host = Host()
    host.equipment.set_weather(None, True, now=0)
    assert host.refused(NAS, message) is QmiError.INFORMATION_UNAVAILABLE


@pytest.mark.parametrize("message", ["get_signal_info", "get_signal_strength"])
def test_in_low_power_there_is_no_signal(message: str) -> None:
    host = Host()
    host.equipment.set_mode(Mode.LOW_POWER, now=0)
    assert host.refused(NAS, message) is QmiError.INFORMATION_UNAVAILABLE


# Triggers


def test_a_threshold_is_crossed_in_both_directions() -> None:
    trigger = Trigger(thresholds=(-700,))
    assert trigger.fires(-710, -700)
    assert trigger.fires(-700, -710)
    assert not trigger.fires(-700, -600)


def test_a_delta_counts_from_what_was_told() -> None:
    trigger = Trigger(delta=50)
    assert trigger.fires(-700, -650)
    assert trigger.fires(-700, -750)
    assert not trigger.fires(-700, -749)


def test_a_trigger_without_anything_never_fires() -> None:
    assert not Trigger().fires(-700, 0)


# Signal info


def test_who_has_not_asked_is_not_told() -> None:
    host = Host()
    host.client(NAS)
    assert told(host, rssi=-50) == []


def test_without_thresholds_every_change_is_told() -> None:
    host = listening()
    assert told(host, snr=51) == [{"rssi": -70, "rsrp": -100, "rsrq": -12, "snr": 51}]


def test_who_asks_no_more_is_told_no_more() -> None:
    host = listening()
    host.ask(NAS, "register_indications", signal_info=0)
    assert told(host, rssi=-50) == []


def test_to_ask_twice_changes_nothing() -> None:
    host = listening(rssi_threshold=[-65])
    host.ask(NAS, "register_indications", signal_info=1)
    assert len(told(host, rssi=-60)) == 1


@pytest.mark.parametrize(
    ("config", "quiet", "loud"),
    [
        ({"rssi_threshold": [-80, -65]}, {"rssi": -66}, {"rssi": -65}),
        ({"rsrq_threshold": [-10]}, {"rsrq": -11}, {"rsrq": -10}),
        ({"rsrp_threshold": [-105, -95]}, {"rsrp": -105}, {"rsrp": -106}),
        ({"lte_snr_threshold": [100]}, {"snr": 99}, {"snr": 100}),
        ({"lte_rssi_threshold_list": [-650]}, {"rssi": -66}, {"rssi": -65}),
        ({"lte_rsrq_threshold_list": [-105]}, {"rsrq": -11}, {"rsrq": -10}),
        ({"lte_rsrp_threshold_list": [-1055]}, {"rsrp": -105}, {"rsrp": -106}),
        ({"lte_rssi_delta": 50}, {"rssi": -66}, {"rssi": -65}),
        ({"lte_rsrq_delta": 20}, {"rsrq": -13}, {"rsrq": -14}),
        ({"lte_rsrp_delta": 30}, {"rsrp": -102}, {"rsrp": -103}),
        ({"lte_snr_delta": 10}, {"snr": 41}, {"snr": 40}),
    ],
)
def test_a_threshold_decides(config: dict[str, Any], quiet: dict[str, int], loud: dict[str, int]) -> None:
    host = listening(**config)
    assert told(host, **quiet) == []
    (values,) = told(host, **loud)
    assert loud.items() <= values.items()


def test_the_newer_list_for_snr_decides_too() -> None:
    host = listening()
    host.ask(NAS, "config_signal_info_v2", lte_snr_threshold_list=[60])
    assert told(host, snr=59) == []
    assert len(told(host, snr=60)) == 1


def test_what_was_told_is_where_the_next_change_counts_from() -> None:
    host = listening(lte_rssi_delta=50)
    assert len(told(host, rssi=-65)) == 1
    assert told(host, rssi=-61) == []
    assert len(told(host, rssi=-60)) == 1


def test_small_steps_add_up() -> None:
    host = listening(lte_rssi_delta=50)
    assert [len(told(host, rssi=rssi)) for rssi in range(-69, -64)] == [0, 0, 0, 0, 1]


def test_thresholds_of_one_value_leave_those_of_others() -> None:
    host = listening(rssi_threshold=[-65])
    host.ask(NAS, "config_signal_info", rsrp_threshold=[-95])
    assert len(told(host, rssi=-65)) == 1
    assert len(told(host, rssi=-65, rsrp=-95)) == 1


def test_no_thresholds_are_none() -> None:
    host = listening(rssi_threshold=[-65])
    host.ask(NAS, "config_signal_info", rssi_threshold=[])
    assert told(host, rssi=-50) == []


def test_a_delta_counts_more_than_thresholds() -> None:
    host = Host()
    host.equipment.set_signal(SIGNAL)
    host.ask(NAS, "config_signal_info_v2", lte_rssi_threshold_list=[-695], lte_rssi_delta=50)
    host.ask(NAS, "register_indications", signal_info=1)
    assert told(host, rssi=-69) == []
    assert len(told(host, rssi=-65)) == 1


def test_thresholds_of_radios_that_are_not_there_have_no_effect() -> None:
    host = listening(ecio_threshold=[-10], sinr_threshold=b"\3", io_threshold=[-100], rscp_threshold=[-90])
    assert told(host, rssi=-50) == []


def test_how_often_is_accepted_and_every_change_is_looked_at() -> None:
    host = listening(rssi_threshold=[-65], lte_report={"rate": 5, "average_period": 1})
    assert len(told(host, rssi=-65)) == 1


def test_a_signal_that_comes_back_is_news() -> None:
    host = listening(rssi_threshold=[-20])
    host.equipment.set_weather(None, True, now=0)
    assert host.heard("signal_info") == []
    host.equipment.set_weather(Cell(), True, now=0)
    assert len(host.heard("signal_info")) == 1


def test_each_client_has_thresholds_of_its_own() -> None:
    host = listening(rssi_threshold=[-65])
    other = Host(host.plane, port=2)
    other.ask(NAS, "config_signal_info", rssi_threshold=[-60])
    other.ask(NAS, "register_indications", signal_info=1, serving_system_events=0)
    host.equipment.set_signal(Signal(rssi=-64))
    host.plane.settle(0)
    assert [action.port for action in host.plane.take_actions()] == [0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("message", "name", "count"),
    [
        ("config_signal_info", "rssi_threshold", MAX_THRESHOLDS),
        ("config_signal_info", "ecio_threshold", MAX_THRESHOLDS),
        ("config_signal_info_v2", "lte_rssi_threshold_list", MAX_THRESHOLDS_V2),
        ("config_signal_info_v2", "gsm_rssi_threshold_list", MAX_THRESHOLDS_V2),
    ],
)
def test_there_is_a_bound_on_thresholds(message: str, name: str, count: int) -> None:
    host = Host()
    host.ask(NAS, message, **{name: list(range(count))})
    assert host.refused(NAS, message, **{name: list(range(count + 1))}) is QmiError.ARGUMENT_TOO_LONG


def test_a_delta_of_nothing_is_refused_and_changes_nothing() -> None:
    host = listening(rssi_threshold=[-65])
    refused = host.refused(NAS, "config_signal_info_v2", lte_rssi_threshold_list=[], gsm_rssi_delta=0)
    assert refused is QmiError.INVALID_ARGUMENT
    assert len(told(host, rssi=-65)) == 1


# Event report


def reports(host: Host) -> list[dict[str, Any]]:
    return [each.values for each in host.heard("set_event_report")]


def reporting(**indicators: Any) -> Host:
    host = Host()
    host.equipment.set_signal(SIGNAL)
    host.ask(NAS, "set_event_report", **indicators)
    return host


@pytest.mark.parametrize(
    ("indicator", "quiet", "loud", "event"),
    [
        (
            {"signal_strength_indicator": {"report": 1, "thresholds": [-60]}},
            {"rssi": -61},
            {"rssi": -60},
            {"signal_strength": {"strength": -60, "radio_interface": 8}},
        ),
        (
            {"rssi_indicator": {"report": 1, "rssi_delta": 5}},
            {"rssi": -66},
            {"rssi": -65},
            {"rssi": {"rssi": 65, "radio_interface": 8}},
        ),
        ({"lte_snr_delta": {"report": 1, "snr_delta": 9}}, {"snr": 58}, {"snr": 59}, {"lte_snr": 59}),
        (
            {"lte_rsrp_delta": {"report": 1, "rsrp_delta": 3}},
            {"rsrp": -98},
            {"rsrp": -97},
            {"lte_rsrp": -97},
        ),
    ],
)
def test_an_indicator_decides(
    indicator: dict[str, Any], quiet: dict[str, int], loud: dict[str, int], event: dict[str, Any]
) -> None:
    host = reporting(**indicator)
    values = {"rssi": -70, "rsrp": -100, "rsrq": -12, "snr": 50}
    host.equipment.set_signal(Signal(**values | quiet))
    assert reports(host) == []
    host.equipment.set_signal(Signal(**values | loud))
    assert reports(host) == [event]


def test_two_indicators_are_one_report() -> None:
    host = reporting(
        rssi_indicator={"report": 1, "rssi_delta": 1}, lte_rsrp_delta={"report": 1, "rsrp_delta": 1}
    )
    host.equipment.set_signal(Signal(rssi=-60, rsrp=-90, rsrq=-12, snr=50))
    (report,) = reports(host)
    assert report.keys() == {"rssi", "lte_rsrp"}


def test_an_indicator_can_be_switched_off() -> None:
    host = reporting(rssi_indicator={"report": 1, "rssi_delta": 1})
    host.ask(NAS, "set_event_report", rssi_indicator={"report": 0, "rssi_delta": 0})
    host.equipment.set_signal(Signal(rssi=-50))
    assert reports(host) == []


def test_a_report_of_strength_wants_thresholds() -> None:
    indicator = {"report": 1, "thresholds": []}
    refused = Host().refused(NAS, "set_event_report", signal_strength_indicator=indicator)
    assert refused is QmiError.NO_THRESHOLDS_PROVIDED


def test_a_report_of_strength_has_a_bound_on_thresholds() -> None:
    indicator = {"report": 1, "thresholds": list(range(-40, -40 + MAX_THRESHOLDS + 1))}
    refused = Host().refused(NAS, "set_event_report", signal_strength_indicator=indicator)
    assert refused is QmiError.ARGUMENT_TOO_LONG


def test_a_report_of_no_change_is_refused() -> None:
    refused = Host().refused(NAS, "set_event_report", rssi_indicator={"report": 1, "rssi_delta": 0})
    assert refused is QmiError.INVALID_ARGUMENT


def test_why_a_network_refuses_us_is_told_to_who_wants_to_know() -> None:
    host = reporting(registration_reject_reason=1)
    host.equipment.set_weather(Cell(), False, now=0, refusal=15)
    host.wait()
    assert reports(host) == [
        {"registration_reject_reason": {"service_domain": ServiceDomain.PS, "reject_cause": 15}}
    ]


def test_a_new_band_is_told_once_to_who_wants_to_know() -> None:
    host = reporting(rf_band_information=1)
    host.equipment.set_weather(VISITED, True, now=0)
    host.wait()
    assert reports(host) == [
        {
            "rf_band_information": [
                {"radio_interface": RadioInterface.LTE, "active_band_class": 139, "active_channel": 6300}
            ]
        }
    ]


def test_the_same_band_again_is_no_news() -> None:
    host = reporting(rf_band_information=1)
    host.equipment.set_weather(VISITED, True, now=0)
    assert len(reports(host)) == 1
    host.equipment.set_weather(None, True, now=0)
    host.heard()
    host.equipment.set_weather(VISITED, True, now=0)
    assert reports(host) == []


def test_who_wants_to_know_nothing_is_told_nothing() -> None:
    host = reporting()
    host.equipment.set_weather(VISITED, False, now=0)
    host.wait()
    assert reports(host) == []


def test_without_a_cell_there_is_no_band() -> None:
    host = reporting(rf_band_information=1)
    host.equipment.set_weather(None, True, now=0)
    assert reports(host) == []
