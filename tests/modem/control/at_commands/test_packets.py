from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from bamdmux.modem.profiles import load_profile
from bamdmux.timing import SECOND
from bamdmux.wire.qmi.values import ConnectionStatus, PdpType
from tests.modem.control.at_rig import OTHER_AT_PORT, AtRig

BOTH = {(0, 4), (0, 6)}


def profile_by_qmi(rig: AtRig, index: int = 1) -> dict[str, object]:
    """What WDS says of a stored context."""
    answer = rig.client().ask("get_profile_settings", profile_id={"profile_type": 0, "profile_index": index})
    assert not answer.error
    return answer.values


# +CGDCONT


def test_there_is_one_context_at_first() -> None:
    assert AtRig().at("+CGDCONT?") == ['+CGDCONT: 1,"IPV4V6","internet","",0,0', "OK"]


@pytest.mark.parametrize(
    ("kind", "pdp_type"), [("IP", PdpType.IPV4), ("IPV6", PdpType.IPV6), ("ipv4v6", PdpType.IPV4_OR_IPV6)]
)
def test_what_is_defined_here_is_a_profile_of_qmi(kind: str, pdp_type: PdpType) -> None:
    rig = AtRig()
    assert rig.at(f'+CGDCONT=3,"{kind}","ipv4.internet"') == ["OK"]
    assert f'+CGDCONT: 3,"{kind.upper()}","ipv4.internet","",0,0' in rig.at("+CGDCONT?")
    profile = profile_by_qmi(rig, 3)
    assert (profile["apn_name"], profile["pdp_type"]) == ("ipv4.internet", pdp_type)


def test_a_context_without_an_apn_has_none() -> None:
    rig = AtRig()
    assert rig.at('+CGDCONT=1,"IP"') == ["OK"]
    assert rig.at("+CGDCONT?") == ['+CGDCONT: 1,"IP","","",0,0', "OK"]


def test_the_index_alone_takes_a_context_away() -> None:
    rig = AtRig()
    assert rig.at("+CGDCONT=1") == ["OK"]
    assert rig.at("+CGDCONT?") == ["OK"]
    assert rig.client().ask("get_profile_list").values["profile_list"] == []


@pytest.mark.parametrize("line", ["2", "0", "17", '0,"IP"', '17,"IP"'])
def test_an_index_has_bounds(line: str) -> None:
    assert AtRig().at(f"+CGDCONT={line}") == ["+CME ERROR: 21"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        ',"IP"',
        '1,"PPP"',
        '1,""',
        '1,"IP","a b"',
        '1,"IP","é"',
        f'1,"IP","{"a" * 101}"',
        '256,"IP"',
        '1,"IP","ims","10.0.0.1"',
        '1,"IP","ims","",1',
        '1,"IP","ims","",0,0,1',
        "x",
    ],
)
def test_a_context_that_cannot_be_changes_nothing(line: str) -> None:
    rig = AtRig()
    assert rig.at(f"+CGDCONT={line}") == ["+CME ERROR: 50"]
    assert rig.at("+CGDCONT?") == ['+CGDCONT: 1,"IPV4V6","internet","",0,0', "OK"]


def test_what_means_nothing_in_particular_may_be_said() -> None:
    rig = AtRig()
    assert rig.at('+CGDCONT=1,"IP","ims","0.0.0.0",0,0,0') == ["OK"]
    assert rig.at("+CGDCONT?") == ['+CGDCONT: 1,"IP","ims","",0,0', "OK"]


def test_sixteen_contexts_are_shown_in_their_order() -> None:
    rig = AtRig()
    for index in range(16, 0, -1):
        assert rig.at(f'+CGDCONT={index},"IP","a{index}"') == ["OK"]
    assert rig.at("+CGDCONT?")[:-1] == [f'+CGDCONT: {n},"IP","a{n}","",0,0' for n in range(1, 17)]


def test_the_kinds_of_contexts_can_be_asked() -> None:
    assert AtRig().at("+CGDCONT=?") == [
        '+CGDCONT: (1-16),"IP",,,(0),(0)',
        '+CGDCONT: (1-16),"IPV6",,,(0),(0)',
        '+CGDCONT: (1-16),"IPV4V6",,,(0),(0)',
        "OK",
    ]


def test_a_text_that_would_end_the_line_stays_in_it() -> None:
    rig = AtRig()
    rig.equipment.contexts.define(1, apn='a"\r\nOK\r\n')
    assert rig.at("+CGDCONT?") == ['+CGDCONT: 1,"IPV4V6","a???OK??","",0,0', "OK"]


# +CGAUTH


def test_credentials_are_those_of_the_profile() -> None:
    rig = AtRig()
    assert rig.at('+CGAUTH=1,2,"user","secret"') == ["OK"]
    assert rig.at("+CGAUTH?") == ['+CGAUTH: 1,2,"user","secret"', "OK"]
    profile = profile_by_qmi(rig)
    assert (profile["authentication"], profile["username"], profile["password"]) == (2, "user", "secret")


@pytest.mark.parametrize("line", ["1", "1,0", '1,0,"user","secret"'])
def test_no_protocol_means_no_credentials(line: str) -> None:
    rig = AtRig()
    rig.at('+CGAUTH=1,1,"user","secret"')
    assert rig.at(f"+CGAUTH={line}") == ["OK"]
    assert rig.at("+CGAUTH?") == ['+CGAUTH: 1,0,"",""', "OK"]


def test_a_user_may_have_no_password() -> None:
    rig = AtRig()
    assert rig.at('+CGAUTH=1,1,"user";+CGAUTH?') == ['+CGAUTH: 1,1,"user",""', "OK"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("2,1", 21),
        ("1,3", 50),
        ("", 50),
        (f'1,1,"{"a" * 128}"', 50),
        ('1,1,"u","\xe9"', 50),
        ("1,1,a,b,c", 50),
    ],
)
def test_credentials_have_bounds(line: str, error: int) -> None:
    rig = AtRig()
    assert rig.at(f"+CGAUTH={line}") == [f"+CME ERROR: {error}"]
    assert rig.at("+CGAUTH?;+CGAUTH=?") == ['+CGAUTH: 1,0,"",""', "+CGAUTH: (1-16),(0-2),127,127", "OK"]


# +CGATT


def test_a_modem_that_is_registered_is_attached() -> None:
    rig = AtRig()
    assert rig.at("+CGATT?") == ["+CGATT: 1", "OK"]
    rig.do("deregister")
    assert rig.at("+CGATT?") == ["+CGATT: 0", "OK"]


def test_one_can_detach_and_attach_again() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    assert rig.at("+CGATT=0;+CGATT?;+CREG?") == ["+CGATT: 0", "+CREG: 0,0", "OK"]
    assert rig.passing([0]) == set()
    assert rig.at("+CGATT=1") == ["OK"]
    rig.wait(SECOND)
    assert rig.at("+CGATT?") == ["+CGATT: 1", "OK"]


def test_who_is_attached_may_ask_to_be() -> None:
    rig = AtRig()
    assert rig.at("+CGATT=1;+CGATT=?") == ["+CGATT: (0,1)", "OK"]
    assert rig.at("+CREG?") == ["+CREG: 0,1", "OK"]


@pytest.mark.parametrize("line", ["+CFUN=4", "+COPS=2"])
def test_who_does_not_want_a_network_cannot_attach(line: str) -> None:
    rig = AtRig()
    rig.at(line)
    assert rig.at("+CGATT=1") == ["+CME ERROR: 3"]


# +CGACT


def test_a_context_that_is_activated_carries_packets() -> None:
    rig = AtRig()
    assert rig.at("+CGACT?") == ["+CGACT: 1,0", "OK"]
    assert rig.passing([0]) == set()
    assert rig.at("+CGACT=1,1") == ["OK"]
    assert rig.at("+CGACT?") == ["+CGACT: 1,1", "OK"]
    assert rig.passing([0]) == BOTH
    assert rig.at("+CGACT=0,1") == ["OK"]
    assert rig.passing([0]) == set()


def test_context_n_is_for_channel_n_minus_1() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=4,"IP","internet"')
    rig.at("+CGACT=1,4")
    assert rig.at("+CGACT?") == ["+CGACT: 1,0", "+CGACT: 4,1", "OK"]
    assert rig.passing() == {(3, 4)}


def test_a_context_carries_only_the_versions_that_it_asks_for() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=1,"IPV6","internet"')
    rig.at("+CGACT=1,1")
    assert rig.passing([0]) == {(0, 6)}


def test_qmi_sees_what_at_has_activated() -> None:
    rig = AtRig()
    wds = rig.bound()
    rig.at("+CGACT=1,1")
    assert wds.status() == ConnectionStatus.CONNECTED
    assert [name for name, _ in wds.told()] == ["get_packet_service_status"]
    settings = wds.ask("get_current_settings").values
    assert (settings["apn_name"], settings["profile_id"]["profile_index"]) == ("internet", 1)


def test_at_sees_what_qmi_has_started_and_may_end_it() -> None:
    rig = AtRig()
    wds = rig.bound()
    wds.start(apn="internet")
    assert rig.at("+CGACT?") == ["+CGACT: 1,1", "OK"]
    assert rig.at("+CGACT=0,1") == ["OK"]
    assert wds.status() == ConnectionStatus.DISCONNECTED
    assert rig.passing([0]) == set()


def test_all_contexts_are_meant_where_none_is_named() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=2,"IP","internet"')
    assert rig.at("+CGACT=1") == ["OK"]
    assert rig.passing() == BOTH | {(1, 4)}
    assert rig.at("+CGACT=0") == ["OK"]
    assert rig.passing() == set()


def test_several_contexts_may_be_named() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=2,"IP","internet";+CGDCONT=3,"IP","internet"')
    assert rig.at("+CGACT=1,2,3") == ["OK"]
    assert rig.passing() == {(1, 4), (2, 4)}


def test_what_is_active_already_stays() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    before = rig.equipment.status()["calls"]
    assert rig.at("+CGACT=1,1") == ["OK"]
    assert rig.equipment.status()["calls"] == before


def test_both_ports_have_the_same_calls() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    assert rig.at("+CGACT=0,1", OTHER_AT_PORT) == ["OK"]
    assert rig.passing([0]) == set()


def test_a_channel_that_the_modem_lacks_is_not_supported() -> None:
    rig = AtRig(replace(load_profile("msm8916"), channels=(0,)))
    rig.at('+CGDCONT=2,"IP","internet";+CGDCONT=9,"IP","internet"')
    assert rig.at("+CGACT=1,2") == ["+CME ERROR: 4"]
    assert rig.at("+CGACT=1,9") == ["+CME ERROR: 4"]
    assert rig.at("+CGACT=0,9") == ["OK"]
    assert rig.at("+CGACT?") == ["+CGACT: 1,0", "+CGACT: 2,0", "+CGACT: 9,0", "OK"]
    assert rig.at("+CGPADDR=9;+CGCONTRDP=9") == ["+CGPADDR: 9", "OK"]


@pytest.mark.parametrize(
    ("apn", "error"), [("nobody", 127), ("ims", 133), ("company", 129), ("", None), ("INTERNET", None)]
)
def test_the_network_says_who_may_enter(apn: str, error: int | None) -> None:
    rig = AtRig()
    rig.at(f'+CGDCONT=1,"IPV4V6","{apn}"')
    assert rig.at("+CGACT=1,1") == ["OK" if error is None else f"+CME ERROR: {error}"]
    assert rig.passing([0]) == (BOTH if error is None else set())


def test_credentials_open_the_door() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=1,"IP","company";+CGAUTH=1,2,"user","secret"')
    assert rig.at("+CGACT=1,1") == ["OK"]
    assert rig.passing([0]) == {(0, 4)}


@pytest.mark.parametrize(("apn", "passing"), [("ipv4.internet", {(0, 4)}), ("ipv6.internet", {(0, 6)})])
def test_one_version_that_is_refused_is_no_failure(apn: str, passing: set[tuple[int, int]]) -> None:
    rig = AtRig()
    rig.at(f'+CGDCONT=1,"IPV4V6","{apn}"')
    assert rig.at("+CGACT=1,1") == ["OK"]
    assert rig.passing([0]) == passing


def test_a_network_without_dual_stack_gives_the_first_half() -> None:
    rig = AtRig(replace(load_profile("msm8916"), dual_stack=False))
    assert rig.at("+CGACT=1,1") == ["OK"]
    assert rig.passing([0]) == {(0, 4)}


def test_the_only_version_that_is_refused_is_a_failure() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=1,"IPV6","ipv4.internet"')
    assert rig.at("+CGACT=1,1") == ["+CME ERROR: 148"]


def test_a_channel_that_another_has_for_another_apn_is_not_free() -> None:
    rig = AtRig()
    rig.bound().start(apn="ipv4.internet")
    rig.at('+CGDCONT=1,"IP","internet"')
    assert rig.at("+CGACT=1,1") == ["+CME ERROR: 3"]


def test_without_a_network_nothing_is_activated() -> None:
    rig = AtRig()
    rig.do("deregister")
    assert rig.at("+CGACT=1,1") == ["+CME ERROR: 30"]
    rig.at("+CFUN=4")
    assert rig.at("+CGACT=1,1") == ["+CME ERROR: 30"]
    rig.at("+CFUN=1")
    rig.do("sim", action="remove")
    assert rig.at("+CGACT=1,1") == ["+CME ERROR: 13"]


@pytest.mark.parametrize(
    ("line", "error"), [("", 50), ("2", 50), ("1,", 50), ("1,x", 50), ("1,2", 21), ("0,2", 21)]
)
def test_activation_has_bounds(line: str, error: int) -> None:
    rig = AtRig()
    assert rig.at(f"+CGACT={line}") == [f"+CME ERROR: {error}"]
    assert rig.at("+CGACT?;+CGACT=?") == ["+CGACT: 1,0", "+CGACT: (0,1)", "OK"]


def test_nothing_is_begun_if_one_of_those_named_is_not_there() -> None:
    rig = AtRig()
    assert rig.at("+CGACT=1,1,2") == ["+CME ERROR: 21"]
    assert rig.passing([0]) == set()


def test_a_call_outlives_the_port_that_began_it() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    rig.plane.port_closed(1, rig.now)
    assert rig.passing([0]) == BOTH


# +CGPADDR, +CGCONTRDP


def test_addresses_are_those_that_qmi_tells() -> None:
    rig = AtRig()
    assert rig.at("+CGPADDR") == ["+CGPADDR: 1", "OK"]
    rig.at("+CGACT=1,1")
    (line, _) = rig.at("+CGPADDR")
    _, address4, address6 = line.replace('"', "").split(",")
    assert IPv4Address(address4) == rig.bound(0, 4).ask("get_current_settings").values["ipv4_address"]
    packed = bytes(map(int, address6.split(".")))
    by_qmi = rig.bound(0, 6).ask("get_current_settings").values["ipv6_address"]
    assert IPv6Address(packed) == by_qmi["address"]


def test_only_the_contexts_that_are_named_are_shown() -> None:
    rig = AtRig()
    rig.at('+CGDCONT=2,"IP","internet";+CGDCONT=3,"IP","internet"')
    rig.at("+CGACT=1,3")
    assert rig.at("+CGPADDR=2,3") == ["+CGPADDR: 2", '+CGPADDR: 3,"10.64.2.2"', "OK"]
    assert rig.at("+CGPADDR=4") == ["+CME ERROR: 21"]
    assert rig.at("+CGPADDR=?;+CGCONTRDP=?") == ["+CGPADDR: (3)", "+CGCONTRDP: (3)", "OK"]


def test_all_that_the_network_gave_can_be_had() -> None:
    rig = AtRig()
    bearer = rig.equipment.calls.bearers[0]
    bearer.name_servers4 = (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"), IPv4Address("192.0.2.3"))
    bearer.name_servers6 = (IPv6Address("2001:db8::1"),)
    assert rig.at("+CGCONTRDP=1") == ["OK"]
    rig.at("+CGACT=1,1")
    prefix = "32.1.13.184.0.100.0.0"
    mask = "255.255.255.255.255.255.255.255.0.0.0.0.0.0.0.0"
    assert rig.at("+CGCONTRDP=1") == [
        '+CGCONTRDP: 1,5,"internet","10.64.0.2.255.255.255.252","10.64.0.1","192.0.2.1","192.0.2.2"',
        f'+CGCONTRDP: 1,5,"internet","{prefix}.0.0.0.0.0.0.0.2.{mask}","{prefix}.0.0.0.0.0.0.0.1",'
        '"32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"',
        "OK",
    ]


# +CGEREP


def test_a_port_that_wants_it_is_told_of_each_context_once() -> None:
    rig = AtRig()
    assert rig.at("+CGEREP=2,1;+CGEREP?") == ["+CGEREP: 2,1", "OK"]
    assert rig.at("+CGACT=1,1") == ["OK", "+CGEV: ME PDN ACT 1"]
    assert rig.at("+CGACT=0,1") == ["OK", "+CGEV: ME PDN DEACT 1"]
    assert rig.news(OTHER_AT_PORT) == []


def test_what_qmi_starts_is_told_too() -> None:
    rig = AtRig()
    rig.at("+CGEREP=1")
    rig.bound(2).start(apn="internet")
    assert rig.news() == ["+CGEV: ME PDN ACT 3"]


def test_who_ended_it_is_told() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    rig.at("+CGEREP=1")
    rig.do("bearer", action="drop")
    assert rig.news() == ["+CGEV: NW PDN DEACT 1"]


def test_a_second_version_is_no_event() -> None:
    rig = AtRig()
    rig.at("+CGEREP=1")
    rig.bound(0, 4).start()
    rig.news()
    six = rig.bound(0, 6)
    handle = six.start()
    six.ask("stop_network", packet_data_handle=handle)
    assert rig.news() == []


def test_what_is_up_when_a_port_asks_is_no_event() -> None:
    rig = AtRig()
    rig.at("+CGACT=1,1")
    rig.at("+CGEREP=1")
    assert rig.at("+CGACT=1,1") == ["OK"]
    assert rig.at("+CGEREP=0") == ["OK"]
    assert rig.at("+CGACT=0,1") == ["OK"]


@pytest.mark.parametrize("line", ["", "3", "1,2", "1,1,1"])
def test_events_have_bounds(line: str) -> None:
    rig = AtRig()
    assert rig.at(f"+CGEREP={line}") == ["+CME ERROR: 50"]
    assert rig.at("+CGEREP?;+CGEREP=?") == ["+CGEREP: 0,0", "+CGEREP: (0-2),(0,1)", "OK"]
