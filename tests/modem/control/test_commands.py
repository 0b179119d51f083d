from typing import Any

import pytest

from bamdmux.errors import UsageError
from bamdmux.timing import SECOND
from bamdmux.wire.qmi.values import ConnectionStatus, RegistrationState
from bamdmux.wire.qmux import Service
from tests.modem.control.at_rig import AtRig

BOTH = {(0, 4), (0, 6)}


def nas_state(rig: AtRig) -> int:
    state: int = (
        rig.client(Service.NAS).ask("get_serving_system").values["serving_system"]["registration_state"]
    )
    return state


# signal


@pytest.mark.parametrize("rsrp", [-140, -110, -44])
def test_the_signal_is_what_all_doors_show(rsrp: int) -> None:
    rig = AtRig()
    result = rig.do("signal", rsrp=rsrp)["signal"]
    assert result["rsrp_dbm"] == rsrp
    assert rig.at("+CESQ")[0].endswith(f",{rsrp + 141}")
    strength = rig.client(Service.NAS).ask("get_signal_info").values["lte_signal_strength"]
    assert (strength["rsrp"], strength["rssi"]) == (rsrp, result["rssi_dbm"])


def test_a_better_signal_is_better_in_every_way() -> None:
    rig = AtRig()
    weak, strong = (rig.do("signal", rsrp=rsrp)["signal"] for rsrp in (-120, -70))
    assert all(weak[name] < strong[name] for name in weak)


@pytest.mark.parametrize("rsrp", [-141, -43, 0, None, "-90", -90.0, True])
def test_a_signal_that_cannot_be_changes_nothing(rsrp: Any) -> None:
    rig = AtRig()
    before = rig.equipment.status()
    with pytest.raises(UsageError, match=r"rsrp .* is not within -140 to -44"):
        rig.do("signal", rsrp=rsrp)
    assert rig.equipment.status() == before


# register, deregister


def test_a_network_can_go_and_come_back() -> None:
    rig = AtRig()
    assert rig.do("deregister")["registration"]["state"] == "searching"
    assert nas_state(rig) == RegistrationState.NOT_REGISTERED_SEARCHING
    assert rig.do("register")["registration"]["state"] == "searching"
    rig.wait(SECOND)
    assert nas_state(rig) == RegistrationState.REGISTERED
    assert rig.at("+CREG?") == ["+CREG: 0,1", "OK"]


def test_another_network_is_abroad() -> None:
    rig = AtRig()
    rig.do("register", roaming=True)
    rig.wait(SECOND)
    assert rig.do("register", roaming=True)["registration"]["roaming"]
    assert rig.at("+CREG?;+COPS?") == ["+CREG: 0,5", '+COPS: 0,0,"bamdmux abroad",7', "OK"]
    rig.do("register", roaming=False)
    rig.wait(SECOND)
    assert rig.at("+CREG?") == ["+CREG: 0,1", "OK"]


def test_a_network_may_not_want_us() -> None:
    rig = AtRig()
    rig.do("deregister", denied=True)
    rig.wait(SECOND)
    assert nas_state(rig) == RegistrationState.REGISTRATION_DENIED
    assert rig.at("+CREG?") == ["+CREG: 0,3", "OK"]


def test_where_there_was_no_network_the_home_network_does_not_want_us() -> None:
    rig = AtRig()
    rig.do("deregister")
    rig.do("deregister", denied=True)
    rig.wait(SECOND)
    assert rig.do("deregister", denied=True)["registration"]["state"] == "denied"
    assert rig.at("+COPS=?")[0].startswith('+COPS: (3,"bamdmux","bamdmux","00101"')


def test_who_loses_the_network_loses_calls() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    rig.do("deregister")
    assert rig.passing([0]) == set()


@pytest.mark.parametrize(("name", "flag"), [("register", "roaming"), ("deregister", "denied")])
def test_a_flag_is_true_or_false(name: str, flag: str) -> None:
    rig = AtRig()
    with pytest.raises(UsageError, match=f"{flag} 1 is neither true nor false"):
        rig.do(name, **{flag: 1})


# sim


def test_a_card_can_be_taken_out_and_put_in() -> None:
    rig = AtRig()
    assert rig.do("sim", action="remove")["sim"]["state"] == "absent"
    assert rig.at("+CPIN?;+CREG?") == ["+CME ERROR: 10"]
    assert rig.at("+CREG?") == ["+CREG: 0,0", "OK"]
    assert rig.do("sim", action="insert")["sim"]["state"] == "ready"
    rig.wait(SECOND)
    assert rig.at("+CREG?") == ["+CREG: 0,1", "OK"]


def test_a_card_can_be_locked() -> None:
    rig = AtRig()
    dms = rig.client(Service.DMS)
    dms.ask("set_event_report", pin_state_reporting=1)
    assert rig.do("sim", action="lock")["sim"]["state"] == "pin-required"
    assert rig.at("+CPIN?") == ["+CPIN: SIM PIN", "OK"]
    assert [name for name, _ in dms.told()] == ["set_event_report"]


@pytest.mark.parametrize("action", [None, "", "eject", 1, ["lock"]])
def test_a_card_knows_three_actions(action: Any) -> None:
    with pytest.raises(UsageError, match=r"action .* is not one of lock, remove, insert"):
        AtRig().do("sim", action=action)


# bearer


def test_the_network_can_drop_a_call() -> None:
    rig = AtRig()
    wds = rig.bound()
    wds.start(apn="internet")
    wds.told()
    assert rig.do("bearer", action="drop")["calls"] == []
    assert wds.status() == ConnectionStatus.DISCONNECTED
    ((name, values),) = wds.told()
    assert (name, values["connection_status"]["status"]) == (
        "get_packet_service_status",
        ConnectionStatus.DISCONNECTED,
    )
    assert rig.passing([0]) == set()


def test_the_network_can_drop_the_calls_of_one_channel() -> None:
    rig = AtRig()
    for channel in (0, 1):
        rig.bound(channel).start(apn="internet")
    rig.do("bearer", action="drop", channel=1)
    assert rig.passing([0, 1]) == {(0, 4)}


def test_the_network_can_bring_calls_up() -> None:
    rig = AtRig()
    calls = rig.do("bearer", action="restore", channel=0)["calls"]
    assert [(call["channel"], call["version"], call["always_on"]) for call in calls] == [
        (0, 4, True),
        (0, 6, True),
    ]
    assert rig.at("+CGACT?") == ["+CGACT: 1,1", "OK"]
    assert rig.passing([0, 1]) == BOTH


def test_the_network_can_bring_everything_up() -> None:
    rig = AtRig()
    rig.do("bearer", action="restore")
    assert rig.passing([0, 7]) == BOTH | {(7, 4), (7, 6)}


def test_where_the_modem_is_not_registered_nothing_comes_up() -> None:
    rig = AtRig()
    rig.at("+CFUN=4")
    with pytest.raises(UsageError, match="the modem is not registered; it is not-registered"):
        rig.do("bearer", action="restore")
    assert rig.passing([0]) == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "action None is not one of drop, restore"),
        ({"action": "drop", "channel": 8}, "channel 8 is not within 0 to 7"),
        ({"action": "drop", "channel": True}, "channel True is not within 0 to 7"),
        ({"action": "restore", "channel": "0"}, "channel '0' is not within 0 to 7"),
    ],
)
def test_a_bearer_knows_two_actions_and_its_channel(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AtRig().do("bearer", **arguments)


def test_a_channel_that_the_modem_lacks_is_said() -> None:
    rig = AtRig("msm8916")
    rig.network.bearers[5] = None
    with pytest.raises(UsageError, match="the modem has no channel 5"):
        rig.do("bearer", action="drop", channel=5)
