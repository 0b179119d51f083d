from typing import Any

import pytest

from bamdmux.actions import RestartModem
from bamdmux.modem.control.equipment import Mode, Signal
from bamdmux.timing import SECOND
from bamdmux.wire.qmi.values import OperatingMode
from bamdmux.wire.qmux import Service
from tests.modem.control.at_rig import OTHER_AT_PORT, AtRig

HOME = ("001", "01")


def mode_by_qmi(rig: AtRig) -> int:
    mode: int = rig.client(Service.DMS).ask("get_operating_mode").values["mode"]
    return mode


def prefer(rig: AtRig, **changes: Any) -> None:
    """What NAS does."""
    rig.equipment.prefer(rig.now, **changes)
    rig.settle()


# +CFUN


@pytest.mark.parametrize(
    ("level", "mode"),
    [(0, OperatingMode.PERSISTENT_LOW_POWER), (1, OperatingMode.ONLINE), (4, OperatingMode.LOW_POWER)],
)
def test_functionality_is_the_operating_mode(level: int, mode: OperatingMode) -> None:
    rig = AtRig()
    rig.at("+CFUN=4")
    assert rig.at(f"+CFUN={level}") == ["OK"]
    assert rig.at("+CFUN?") == [f"+CFUN: {level}", "OK"]
    assert mode_by_qmi(rig) == mode


@pytest.mark.parametrize(
    ("mode", "level"),
    [(Mode.LOW_POWER, 4), (Mode.OFFLINE, 7), (Mode.SHUTTING_DOWN, 7), (Mode.PERSISTENT_LOW_POWER, 0)],
)
def test_a_mode_that_qmi_has_set_is_shown(mode: Mode, level: int) -> None:
    rig = AtRig()
    rig.client(Service.DMS).ask("set_operating_mode", mode=mode)
    assert rig.at("+CFUN?") == [f"+CFUN: {level}", "OK"]


def test_a_client_of_qmi_hears_of_functionality() -> None:
    rig = AtRig()
    dms = rig.client(Service.DMS)
    dms.ask("set_event_report", operating_mode_reporting=1)
    rig.at("+CFUN=4")
    assert dms.told() == [("set_event_report", {"operating_mode": OperatingMode.LOW_POWER})]


def test_low_power_ends_calls() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    assert rig.passing([0]) == {(0, 4), (0, 6)}
    rig.at("+CFUN=4")
    assert rig.passing([0]) == set()


@pytest.mark.parametrize("line", ["+CFUN=1,1", "+CFUN=6", "+CFUN=4,1"])
def test_a_restart_can_be_asked_for(line: str) -> None:
    rig = AtRig()
    assert rig.at(line) == ["OK"]
    assert RestartModem() in rig.actions


def test_no_restart_without_a_word_of_it() -> None:
    rig = AtRig()
    assert rig.at("+CFUN=1,0") == ["OK"]
    assert RestartModem() not in rig.actions


def test_offline_can_only_be_left_by_a_restart() -> None:
    rig = AtRig()
    assert rig.at("+CFUN=7") == ["OK"]
    assert rig.at("+CFUN=1") == ["+CME ERROR: 3"]
    assert rig.at("+CFUN=1,1") == ["OK"]


@pytest.mark.parametrize(("line", "error"), [("2", 4), ("5", 4), ("128", 50), ("1,2", 50), ("", 50)])
def test_a_level_that_is_not_there_changes_nothing(line: str, error: int) -> None:
    rig = AtRig()
    assert rig.at(f"+CFUN={line}") == [f"+CME ERROR: {error}"]
    assert rig.at("+CFUN?") == ["+CFUN: 1", "OK"]
    assert rig.at("+CFUN=?") == ["+CFUN: (0,1,4,6,7),(0,1)", "OK"]


def test_a_modem_without_radio_is_asleep() -> None:
    rig = AtRig()
    assert rig.at("+CPAS") == ["+CPAS: 0", "OK"]
    rig.at("+CFUN=4")
    assert rig.at("+CPAS;+CPAS=?") == ["+CPAS: 5", "+CPAS: (0,5)", "OK"]


# +CSQ, +CESQ


@pytest.mark.parametrize(
    ("rsrp", "quality", "extended"),
    [
        (-140, "5,99", "0,1"),
        (-110, "17,99", "10,31"),
        (-90, "25,99", "18,51"),
        (-44, "31,99", "34,97"),
    ],
)
def test_signal_is_what_the_world_makes_of_it(rsrp: int, quality: str, extended: str) -> None:
    rig = AtRig()
    rig.do("signal", rsrp=rsrp)
    assert rig.at("+CSQ") == [f"+CSQ: {quality}", "OK"]
    assert rig.at("+CESQ") == [f"+CESQ: 99,99,255,255,{extended}", "OK"]


@pytest.mark.parametrize(
    ("rssi", "level"), [(-120, 0), (-113, 0), (-112, 0), (-111, 1), (-53, 30), (-51, 31), (0, 31)]
)
def test_signal_quality_has_two_decibels_a_step(rssi: int, level: int) -> None:
    rig = AtRig()
    rig.equipment.set_signal(Signal(rssi=rssi))
    assert rig.at("+CSQ") == [f"+CSQ: {level},99", "OK"]


@pytest.mark.parametrize("line", ["+CFUN=4", "+CFUN=0"])
def test_without_radio_the_signal_is_not_known(line: str) -> None:
    rig = AtRig()
    rig.at(line)
    assert rig.at("+CSQ;+CESQ") == ["+CSQ: 99,99", "+CESQ: 99,99,255,255,255,255", "OK"]


def test_out_of_reach_the_signal_is_not_known() -> None:
    rig = AtRig()
    rig.do("deregister")
    assert rig.at("+CSQ") == ["+CSQ: 99,99", "OK"]


def test_a_network_that_does_not_want_us_is_received() -> None:
    rig = AtRig()
    rig.do("deregister", denied=True)
    rig.wait(SECOND)
    assert rig.at("+CSQ") == ["+CSQ: 25,99", "OK"]


def test_what_signals_there_may_be_can_be_asked() -> None:
    assert AtRig().at("+CSQ=?;+CESQ=?") == [
        "+CSQ: (0-31,99),(99)",
        "+CESQ: (99),(99),(255),(255),(0-34,255),(0-97,255)",
        "OK",
    ]


# +CREG, +CGREG, +CEREG


@pytest.mark.parametrize("name", ["+CREG", "+CGREG", "+CEREG"])
def test_registration_follows_the_world(name: str) -> None:
    rig = AtRig()

    def state() -> str:
        return rig.at(f"{name}?")[0]

    assert state() == f"{name}: 0,1"
    rig.do("register", roaming=True)
    assert state() == f"{name}: 0,2"
    rig.wait(SECOND)
    assert state() == f"{name}: 0,5"
    rig.do("deregister", denied=True)
    rig.wait(SECOND)
    assert state() == f"{name}: 0,3"
    rig.do("deregister")
    assert state() == f"{name}: 0,2"
    rig.at("+CFUN=4")
    assert state() == f"{name}: 0,0"


@pytest.mark.parametrize(("name", "area"), [("+CREG", "0001"), ("+CGREG", "0BAD"), ("+CEREG", "0BAD")])
def test_where_it_is_registered_is_said_to_those_who_want_it(name: str, area: str) -> None:
    rig = AtRig()
    rig.at(f"{name}=2")
    assert rig.at(f"{name}?") == [f'{name}: 2,1,"{area}","0AB1234",7', "OK"]
    assert rig.at(f"{name}?", OTHER_AT_PORT) == [f"{name}: 0,1", "OK"]
    rig.do("deregister")
    assert rig.at(f"{name}?")[-2:] == [f"{name}: 2,2", "OK"]


def test_why_it_is_denied_is_said_to_those_who_want_it() -> None:
    rig = AtRig()
    rig.at("+CEREG=3;+CGREG=2")
    rig.do("deregister", denied=True)
    rig.wait(SECOND)
    assert rig.news() == ["+CGREG: 2", "+CEREG: 2", "+CGREG: 3", "+CEREG: 3,,,,0,11"]


def test_each_change_is_told_once() -> None:
    rig = AtRig()
    rig.at("+CREG=1;+CEREG=2")
    rig.do("deregister")
    assert rig.news() == ["+CREG: 2", "+CEREG: 2"]
    rig.do("register")
    rig.wait(SECOND)
    assert rig.news() == ["+CREG: 1", '+CEREG: 1,"0BAD","0AB1234",7']


def test_what_has_not_changed_for_a_port_is_not_told() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.at("+CREG=2", OTHER_AT_PORT)
    rig.do("register", roaming=True)
    rig.wait(SECOND)
    rig.news()
    rig.do("register", roaming=False)
    rig.do("register", roaming=True)
    rig.wait(SECOND)
    assert rig.news() == ["+CREG: 2", "+CREG: 5"]


def test_what_one_wanted_to_be_told_one_need_not_hear_for_ever() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.at("+CREG=0")
    rig.do("deregister")
    assert rig.news() == []


def test_a_port_knows_what_it_was_when_it_asked() -> None:
    rig = AtRig()
    rig.do("deregister")
    assert rig.at("+CREG=1") == ["OK"]
    rig.do("signal", rsrp=-100)
    assert rig.news() == []


def test_who_wants_only_packets_is_not_registered_for_circuits() -> None:
    rig = AtRig()
    nas = rig.client(Service.NAS)
    assert not nas.ask("set_system_selection_preference", service_domain_preference=1).error
    rig.wait(SECOND)
    assert rig.at("+CREG?;+CGREG?;+CEREG?") == ["+CREG: 0,0", "+CGREG: 0,1", "+CEREG: 0,1", "OK"]


@pytest.mark.parametrize("line", ["+CREG=4", "+CREG=", "+CREG=1,1"])
def test_there_are_four_levels(line: str) -> None:
    rig = AtRig()
    assert rig.at(line) == ["+CME ERROR: 50"]
    assert rig.at("+CREG=?;+CEREG=?") == ["+CREG: (0-3)", "+CEREG: (0-3)", "OK"]


# +COPS


def test_the_operator_is_that_of_the_cell() -> None:
    rig = AtRig()
    assert rig.at("+COPS?") == ['+COPS: 0,0,"bamdmux",7', "OK"]
    rig.do("register", roaming=True)
    assert rig.at("+COPS?") == ["+COPS: 0", "OK"]
    rig.wait(SECOND)
    assert rig.at("+COPS?") == ['+COPS: 0,0,"bamdmux abroad",7', "OK"]


def test_each_port_has_its_format_of_operators() -> None:
    rig = AtRig()
    assert rig.at("+COPS=3,2;+COPS?") == ['+COPS: 0,2,"00101",7', "OK"]
    assert rig.at("+COPS?", OTHER_AT_PORT) == ['+COPS: 0,0,"bamdmux",7', "OK"]


def test_networks_can_be_looked_for() -> None:
    rig = AtRig()
    assert rig.at("+COPS=?") == ['+COPS: (2,"bamdmux","bamdmux","00101",7),,(0-4),(0-2)', "OK"]


def test_a_network_that_is_not_ours_yet_is_available() -> None:
    rig = AtRig()
    rig.do("register", roaming=True)
    assert rig.at("+COPS=?")[0].startswith('+COPS: (1,"bamdmux abroad"')


def test_a_network_that_does_not_want_us_is_forbidden() -> None:
    rig = AtRig()
    rig.do("deregister", denied=True)
    rig.wait(SECOND)
    assert rig.at("+COPS=?")[0].startswith('+COPS: (3,"bamdmux"')


def test_where_there_is_no_network_none_is_found() -> None:
    rig = AtRig()
    rig.do("deregister")
    assert rig.at("+COPS=?") == ["+COPS: ,,(0-4),(0-2)", "OK"]


def test_without_radio_nobody_can_look() -> None:
    rig = AtRig()
    rig.at("+CFUN=4")
    assert rig.at("+COPS=?") == ["+CME ERROR: 30"]


@pytest.mark.parametrize("choice", ['2,"00101"', '2,"00101",7', '0,"bamdmux"', '1,"bamdmux"'])
def test_a_network_can_be_chosen_by_hand(choice: str) -> None:
    rig = AtRig()
    assert rig.at(f"+COPS=1,{choice}") == ["OK"]
    assert rig.at("+COPS?") == ['+COPS: 1,0,"bamdmux",7', "OK"]
    preference = rig.client(Service.NAS).ask("get_system_selection_preference").values
    assert preference["manual_network_selection"] == {"mcc": 1, "mnc": 1, "includes_pcs_digit": 0}


def test_who_has_chosen_goes_nowhere_else() -> None:
    rig = AtRig()
    rig.at('+COPS=1,2,"00101"')
    rig.do("register", roaming=True)
    rig.wait(SECOND)
    assert rig.at("+CREG?;+COPS?") == ["+CREG: 0,2", "+COPS: 1", "OK"]


def test_a_choice_that_is_out_of_reach_is_an_error_and_stands() -> None:
    rig = AtRig()
    assert rig.at('+COPS=1,2,"00102"') == ["+CME ERROR: 30"]
    assert rig.at("+CREG?;+COPS?") == ["+CREG: 0,2", "+COPS: 1", "OK"]
    rig.do("register", roaming=True)
    rig.wait(SECOND)
    assert rig.at("+CREG?") == ["+CREG: 0,5", "OK"]


def test_a_name_that_is_out_of_reach_means_nothing() -> None:
    rig = AtRig()
    assert rig.at('+COPS=1,0,"nobody"') == ["+CME ERROR: 30"]
    assert rig.at("+COPS?") == ['+COPS: 0,0,"bamdmux",7', "OK"]
    rig.do("deregister")
    assert rig.at('+COPS=1,0,"bamdmux"') == ["+CME ERROR: 30"]


def test_a_choice_may_be_a_wish_only() -> None:
    rig = AtRig()
    assert rig.at('+COPS=4,2,"00102"') == ["OK"]
    assert rig.at("+COPS?") == ['+COPS: 0,0,"bamdmux",7', "OK"]
    assert rig.at('+COPS=4,2,"00101"') == ["OK"]
    assert rig.at("+COPS?") == ['+COPS: 1,0,"bamdmux",7', "OK"]


def test_the_modem_may_choose_again() -> None:
    rig = AtRig()
    rig.at('+COPS=1,2,"00102"')
    assert rig.at("+COPS=0") == ["OK"]
    rig.wait(SECOND)
    assert rig.at("+COPS?") == ['+COPS: 0,0,"bamdmux",7', "OK"]


def test_a_choice_by_hand_outlives_a_restart() -> None:
    rig = AtRig()
    rig.at('+COPS=1,2,"00101"')
    rig.plane.crash(rig.now)
    rig.boot()
    assert rig.at("+COPS?") == ['+COPS: 1,0,"bamdmux",7', "OK"]


def test_what_qmi_chooses_is_shown() -> None:
    rig = AtRig()
    prefer(rig, plmn=HOME)
    assert rig.at("+COPS?") == ['+COPS: 1,0,"bamdmux",7', "OK"]


def test_one_can_leave_the_network() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    assert rig.at("+COPS=2") == ["OK"]
    assert rig.at("+CREG?;+COPS?") == ["+CREG: 0,0", "+COPS: 2", "OK"]
    assert rig.passing([0]) == set()


def test_who_has_left_is_back_after_a_restart() -> None:
    rig = AtRig()
    rig.at("+COPS=2")
    rig.plane.crash(rig.now)
    rig.boot()
    assert rig.at("+CREG?") == ["+CREG: 0,1", "OK"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "5",
        "3",
        "3,3",
        "1",
        "1,2",
        '1,3,"00101"',
        '1,2,"0010"',
        '1,2,"0010101"',
        '1,2,"x0101"',
        '1,2,"00101",2',
        '1,2,"00101",7,7',
    ],
)
def test_a_choice_that_is_none_changes_nothing(line: str) -> None:
    rig = AtRig()
    before = rig.equipment.status()
    assert rig.at(f"+COPS={line}") == ["+CME ERROR: 50"]
    assert rig.equipment.status() == before
