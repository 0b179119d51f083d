from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from bamdmux.counters import DropReason
from bamdmux.modem.control.data_calls import CallEnd
from bamdmux.modem.control.equipment import Mode
from bamdmux.modem.profiles import load_profile
from bamdmux.timing import SECOND
from bamdmux.wire.qmi.values import (
    Authentication,
    AutoconnectSetting,
    CallEndReason,
    CmReason,
    ConnectionStatus,
    DataCallStatus,
    EndpointType,
    InternalReason,
    IpFamily,
    IpSupport,
    PacketStatistics,
    PdpType,
    QmiError,
    RequestedSettings,
    ThreeGppReason,
    VerboseCallEndReasonType,
)
from bamdmux.wire.qmux import Service
from tests.modem.control.call_rig import QmiClient, Rig
from tests.modem.near_end import frame_of, packet4

UP = ConnectionStatus.CONNECTED
DOWN = ConnectionStatus.DISCONNECTED
BAM_DMUX = EndpointType.BAM_DMUX
EVERYTHING = 0x3FF
CONNECTED = (
    "get_packet_service_status",
    {"connection_status": {"status": UP, "reconfiguration_required": 0}},
)


def disconnected(version: int, short: int, kind: int, reason: int) -> tuple[str, dict[str, Any]]:
    return "get_packet_service_status", {
        "connection_status": {"status": DOWN, "reconfiguration_required": 0},
        "call_end_reason": short,
        "verbose_call_end_reason": {"type": kind, "reason": reason},
        "ip_family": version,
    }


def refusal(client: QmiClient, **values: Any) -> tuple[int, int]:
    """Type and reason of a call that must fail."""
    error, answer = client.ask("start_network", **values)
    assert error == QmiError.CALL_FAILED
    verbose = answer["verbose_call_end_reason"]
    return verbose["type"], verbose["reason"]


# -- a call is what packets find


def test_without_a_call_nothing_passes_on_any_channel() -> None:
    assert Rig().passing() == set()


def test_a_started_call_lets_packets_pass_on_its_channel_and_version_and_nowhere_else() -> None:
    rig = Rig()
    client = rig.bound(channel=3, version=6)
    client.start()
    assert rig.passing() == {(3, 6)}
    assert client.status() == UP


def test_what_is_refused_is_counted_at_the_bearer_that_refused_it() -> None:
    rig = Rig()
    rig.bound(channel=3, version=6).start()
    rig.passing([0, 3])
    for channel, refused in ((0, 2), (3, 1)):
        bearer = rig.network.bearers[channel]
        assert bearer is not None
        assert bearer.uplink.drops[DropReason.NO_BEARER] == refused
        assert bearer.downlink.drops[DropReason.NO_BEARER] == refused


def test_a_stopped_call_lets_nothing_pass_either_way() -> None:
    rig = Rig()
    client = rig.bound(channel=3, version=6)
    handle = client.start()
    assert not client.ask("stop_network", packet_data_handle=handle).error
    assert rig.passing() == set()
    assert client.status() == DOWN


def test_a_dual_stack_is_two_clients_that_come_and_go_alone() -> None:
    rig = Rig()
    four, six = rig.bound(0, 4), rig.bound(0, 6)
    four.start()
    handle = six.start()
    assert rig.passing([0]) == {(0, 4), (0, 6)}
    six.ask("stop_network", packet_data_handle=handle)
    assert rig.passing([0]) == {(0, 4)}


def test_several_bearers_are_up_at_once() -> None:
    rig = Rig()
    for channel in range(8):
        rig.bound(channel, 4).start()
        rig.bound(channel, 6).start()
    assert rig.passing() == {(channel, version) for channel in range(8) for version in (4, 6)}


def test_a_client_that_chose_nothing_gets_ipv4_on_channel_0() -> None:
    rig = Rig()
    rig.client().start(apn="internet")
    assert rig.passing() == {(0, 4)}


def test_a_client_without_a_channel_in_the_profile_cannot_start() -> None:
    rig = Rig(replace(load_profile(), channels=(2, 3)))
    client = rig.client()
    rig.bound(2).start()
    assert refusal(client) == (VerboseCallEndReasonType.INTERNAL, InternalReason.ERROR)
    assert client.status() == DOWN
    error, values = client.ask("get_packet_statistics", mask=EVERYTHING)
    assert (error, values) == (QmiError.OUT_OF_CALL, {})


# -- which channel, which version


def test_every_channel_of_the_profile_can_be_bound_and_others_cannot() -> None:
    client = Rig(replace(load_profile(), channels=(0, 2))).client()
    errors = [client.ask("bind_data_port", data_port=0x0E04 + channel).error for channel in range(9)]
    assert [channel for channel, error in enumerate(errors) if not error] == [0, 2]
    assert set(errors) == {QmiError.NONE, QmiError.INVALID_ARGUMENT}


def test_a_firmware_that_refuses_bind_data_port_leaves_the_client_where_it_was() -> None:
    rig = Rig("msm8909")
    client = rig.client()
    assert client.ask("bind_data_port", data_port=0x0E07).error == QmiError.DEVICE_UNSUPPORTED
    client.start()
    assert rig.passing() == {(0, 4)}


def test_there_the_endpoint_binds_to_a_channel() -> None:
    rig = Rig("msm8909")
    client = rig.client()
    endpoint = {"endpoint_type": BAM_DMUX, "interface_number": 3}
    assert not client.ask("bind_mux_data_port", endpoint_info=endpoint, mux_id=0).error
    client.start()
    assert rig.passing() == {(3, 4)}


@pytest.mark.parametrize(
    ("kind", "interface", "mux_id"), [(EndpointType.EMBEDDED, 0, 0), (BAM_DMUX, 8, 0), (BAM_DMUX, 0, 1)]
)
def test_an_endpoint_that_is_no_channel_is_refused(kind: int, interface: int, mux_id: int) -> None:
    endpoint = {"endpoint_type": kind, "interface_number": interface}
    answer = Rig("msm8909").client().ask("bind_mux_data_port", endpoint_info=endpoint, mux_id=mux_id)
    assert answer.error == QmiError.INVALID_ARGUMENT


def test_there_the_mux_id_may_be_left_out() -> None:
    rig = Rig("msm8909")
    client = rig.client()
    assert not client.ask(
        "bind_mux_data_port", endpoint_info={"endpoint_type": BAM_DMUX, "interface_number": 5}
    ).error
    client.start()
    assert rig.passing() == {(5, 4)}


def test_a_binding_by_endpoint_needs_the_endpoint() -> None:
    answer = Rig("msm8909").client().ask("bind_mux_data_port", mux_id=0)
    assert answer.error == QmiError.MISSING_ARGUMENT


def test_msm8916_does_not_know_the_binding_by_endpoint() -> None:
    endpoint = {"endpoint_type": BAM_DMUX, "interface_number": 0}
    answer = Rig().client().ask("bind_mux_data_port", endpoint_info=endpoint, mux_id=0)
    assert answer.error == QmiError.INVALID_QMI_COMMAND


@pytest.mark.parametrize("preference", [0, 5, IpFamily.UNSPECIFIED])
def test_a_version_of_ip_that_is_none_is_refused_and_changes_nothing(preference: int) -> None:
    rig = Rig()
    client = rig.bound(version=6)
    assert client.ask("set_ip_family", preference=preference).error == QmiError.INVALID_ARGUMENT
    client.start()
    assert rig.passing([0]) == {(0, 6)}


def test_the_version_in_the_request_is_the_clients_from_then_on() -> None:
    rig = Rig()
    client = rig.client()
    client.start(ip_family_preference=IpFamily.IPV6)
    assert rig.passing([0]) == {(0, 6)}
    assert client.ask("get_current_settings").values["ip_family"] == 6


def test_a_request_that_leaves_the_version_open_gets_the_clients() -> None:
    rig = Rig()
    rig.bound(version=6).start(ip_family_preference=IpFamily.UNSPECIFIED)
    assert rig.passing([0]) == {(0, 6)}


def test_a_request_for_a_version_that_is_none_is_refused() -> None:
    answer = Rig().client().ask("start_network", ip_family_preference=5)
    assert answer.error == QmiError.INVALID_IP_FAMILY_PREFERENCE


# -- starts that fail, and those that need not be


@pytest.mark.parametrize(
    ("apn", "version", "reason"),
    [
        ("nowhere", 4, ThreeGppReason.UNKNOWN_APN),
        ("ims", 4, ThreeGppReason.OPTION_UNSUBSCRIBED),
        ("ipv4.internet", 6, ThreeGppReason.IPV4_ONLY_ALLOWED),
        ("ipv6.internet", 4, ThreeGppReason.IPV6_ONLY_ALLOWED),
        ("company", 4, ThreeGppReason.AUTHENTICATION_FAILED),
    ],
)
def test_the_network_says_why_it_refuses(apn: str, version: int, reason: int) -> None:
    rig = Rig()
    client = rig.bound(version=version)
    assert refusal(client, apn=apn) == (VerboseCallEndReasonType.THREE_GPP, reason)
    assert rig.passing([0]) == set()
    assert client.status() == DOWN


def test_user_name_and_password_open_the_door() -> None:
    rig = Rig()
    client = rig.client()
    client.start(apn="company", username="user", password="secret")
    assert rig.passing([0]) == {(0, 4)}
    assert client.ask("get_current_settings").values["username"] == "user"


def test_without_a_protocol_nobody_sees_user_name_and_password() -> None:
    keys = {"apn": "company", "username": "user", "password": "secret"}
    reason = refusal(Rig().client(), **keys, authentication_preference=Authentication.NONE)
    assert reason[1] == ThreeGppReason.AUTHENTICATION_FAILED
    Rig().client().start(**keys, authentication_preference=Authentication.CHAP)


def test_a_modem_in_low_power_says_so() -> None:
    rig = Rig()
    rig.equipment.set_mode(Mode.LOW_POWER, rig.now)
    assert refusal(rig.client()) == (VerboseCallEndReasonType.CM, CmReason.OFFLINE)


def test_a_modem_without_a_network_says_so() -> None:
    rig = Rig()
    rig.equipment.set_weather(None, True, rig.now)
    assert refusal(rig.client()) == (VerboseCallEndReasonType.CM, CmReason.NO_SERVICE)


def test_a_second_start_of_the_same_client_has_no_effect_and_harms_nothing() -> None:
    rig = Rig()
    client = rig.client()
    client.start()
    assert client.ask("start_network").error == QmiError.NO_EFFECT
    assert rig.passing([0]) == {(0, 4)}


def test_two_clients_share_a_bearer_until_both_are_done() -> None:
    rig = Rig()
    first, second = rig.client(), rig.client()
    handle, other = first.start(), second.start()
    assert handle != other
    first.ask("stop_network", packet_data_handle=handle)
    assert rig.passing([0]) == {(0, 4)}
    second.ask("stop_network", packet_data_handle=other)
    assert rig.passing([0]) == set()


def test_a_channel_is_not_for_two_apns_at_once() -> None:
    rig = Rig()
    rig.client().start(apn="internet")
    reason = refusal(rig.client(), apn="ipv4.internet")
    assert reason == (VerboseCallEndReasonType.INTERNAL, InternalReason.INTERFACE_IN_USE)


def test_the_dual_stack_refuser_refuses_whichever_version_comes_second() -> None:
    rig = Rig("dual-stack-refuser")
    for channel, version in ((0, 4), (1, 6)):
        rig.bound(channel, version).start()
        reason = refusal(rig.bound(channel, 10 - version))
        assert reason == (VerboseCallEndReasonType.INTERNAL, InternalReason.IP_VERSION_MISMATCH)
    assert rig.passing([0, 1]) == {(0, 4), (1, 6)}


def test_a_call_without_3gpp_is_refused() -> None:
    answer = Rig().client().ask("start_network", technology_preference=2)
    assert answer.error == QmiError.INVALID_TECHNOLOGY_PREFERENCE


# -- profiles as a beginning


def test_a_profile_lends_its_apn_version_and_credentials() -> None:
    rig = Rig()
    rig.equipment.contexts.define(5, apn="company", versions=(6,), username="user", password="secret")
    client = rig.client()
    client.start(profile_index_3gpp=5)
    assert rig.passing([0]) == {(0, 6)}
    settings = client.ask("get_current_settings").values
    assert settings["apn_name"] == "company"
    assert settings["profile_id"] == {"profile_type": 0, "profile_index": 5}


def test_what_the_request_says_goes_before_the_profile() -> None:
    rig = Rig()
    rig.equipment.contexts.define(5, apn="nowhere", versions=(6,))
    client = rig.client()
    client.start(profile_index_3gpp=5, apn="internet", ip_family_preference=4)
    assert rig.passing([0]) == {(0, 4)}


def test_a_profile_that_shows_its_password_to_nobody_gets_nowhere() -> None:
    rig = Rig()
    keys = {"apn": "company", "username": "user", "password": "secret"}
    rig.equipment.contexts.define(2, **keys, authentication=int(Authentication.PAP))
    rig.client().start(profile_index_3gpp=2)
    answer = refusal(rig.bound(1), profile_index_3gpp=2, authentication_preference=0)
    assert answer[1] == ThreeGppReason.AUTHENTICATION_FAILED


def test_a_request_with_nothing_in_it_begins_with_the_default_profile() -> None:
    rig = Rig()
    rig.equipment.contexts.define(1, apn="ipv6.internet", versions=(6,))
    rig.client().start()
    assert rig.passing([0]) == {(0, 6)}


def test_without_any_profile_it_begins_with_nothing_and_gets_the_networks_default() -> None:
    rig = Rig()
    rig.equipment.contexts.delete(1)
    client = rig.client()
    client.start()
    assert client.ask("get_current_settings").values["apn_name"] == "internet"


def test_a_profile_that_is_not_there_is_no_beginning() -> None:
    assert Rig().client().ask("start_network", profile_index_3gpp=7).error == QmiError.INVALID_PROFILE


# -- stops


def test_a_handle_that_is_somebody_elses_or_nobodys_ends_nothing() -> None:
    rig = Rig()
    handle, other = rig.client().start(), rig.bound(1)
    for wrong in (handle, 0, 77):
        assert other.ask("stop_network", packet_data_handle=wrong).error == QmiError.INVALID_HANDLE
    assert rig.passing([0]) == {(0, 4)}


def test_a_client_with_two_calls_ends_the_one_whose_handle_it_names() -> None:
    rig = Rig()
    client = rig.client()
    client.start()
    handle = client.start(ip_family_preference=IpFamily.IPV6)
    client.ask("stop_network", packet_data_handle=handle)
    assert rig.passing([0]) == {(0, 4)}


def test_the_global_handle_ends_what_is_up_on_the_clients_channel_whoever_started_it() -> None:
    rig = Rig()
    rig.bound(0, 4).start()
    rig.bound(0, 6).start()
    rig.bound(1, 4).start()
    assert not rig.bound(0, 4).ask("stop_network", packet_data_handle=0xFFFF_FFFF).error
    assert rig.passing([0, 1]) == {(0, 6), (1, 4)}


def test_the_global_handle_with_nothing_up_has_no_effect() -> None:
    answer = Rig().client().ask("stop_network", packet_data_handle=0xFFFF_FFFF)
    assert answer.error == QmiError.NO_EFFECT


def test_a_released_client_leaves_no_call() -> None:
    rig = Rig()
    client, witness = rig.client(), rig.client()
    client.start()
    witness.told()
    client.release()
    assert rig.passing([0]) == set()
    assert witness.told() == [
        disconnected(4, CallEndReason.CLIENT_END, VerboseCallEndReasonType.CM, CmReason.CLIENT_END)
    ]


def test_a_crash_leaves_no_call_and_no_client() -> None:
    rig = Rig()
    client = rig.client()
    client.start()
    rig.plane.crash(rig.now)
    rig.collect()
    assert rig.passing([0]) == set()
    rig.boot()
    assert client.ask("get_packet_service_status").error == QmiError.INVALID_CLIENT_ID
    assert rig.client().status() == DOWN


# -- autoconnect


def test_a_call_with_autoconnect_comes_back_with_the_network() -> None:
    rig = Rig()
    client = rig.bound(2)
    client.start(enable_autoconnect=1)
    assert client.ask("get_autoconnect_settings").values["status"] == AutoconnectSetting.ENABLED
    rig.equipment.set_weather(None, True, rig.now)
    rig.settle()
    assert rig.passing([2]) == set()
    rig.plane.command("register", {}, rig.now)
    rig.wait(SECOND)
    assert rig.passing() == {(2, 4)}
    assert client.status() == UP


def test_without_autoconnect_it_does_not_come_back() -> None:
    rig = Rig()
    client = rig.client()
    client.start()
    assert client.ask("get_autoconnect_settings").values["status"] == AutoconnectSetting.DISABLED
    rig.equipment.set_weather(None, True, rig.now)
    rig.plane.command("register", {}, rig.now)
    rig.wait(SECOND)
    assert rig.passing() == set()


def test_a_stop_can_end_autoconnect_too() -> None:
    rig = Rig()
    client = rig.client()
    handle = client.start(enable_autoconnect=1)
    client.ask("stop_network", packet_data_handle=handle, disable_autoconnect=1)
    assert client.ask("get_autoconnect_settings").values["status"] == AutoconnectSetting.DISABLED
    rig.equipment.set_weather(None, True, rig.now)
    rig.plane.command("register", {}, rig.now)
    rig.wait(SECOND)
    assert rig.passing() == set()


def test_autoconnect_ends_also_when_nothing_is_up() -> None:
    rig = Rig()
    client = rig.client()
    client.ask("stop_network", packet_data_handle=client.start(enable_autoconnect=1))
    end = {"packet_data_handle": 0xFFFF_FFFF, "disable_autoconnect": 1}
    assert not client.ask("stop_network", **end).error
    assert client.ask("stop_network", **end).error == QmiError.NO_EFFECT


def test_a_modem_that_is_always_on_connects_by_itself_and_a_client_takes_that_over() -> None:
    rig = Rig(is_always_on=True)
    client = rig.bound(1)
    assert client.ask("get_autoconnect_settings").values["status"] == AutoconnectSetting.ENABLED
    assert client.status() == UP
    handle = client.start()
    client.ask("stop_network", packet_data_handle=handle)
    assert rig.passing([1]) == {(1, 6)}


# -- what others are told


def test_everybody_who_is_bound_to_the_bearer_hears_of_it_and_nobody_else() -> None:
    rig = Rig()
    client, same = rig.bound(3, 6), rig.bound(3, 6)
    others = [rig.bound(3, 4), rig.bound(0, 6), rig.client(Service.DMS)]
    handle = client.start()
    up = (CONNECTED[0], {**CONNECTED[1], "ip_family": 6})
    assert client.told() == same.told() == [up]
    client.ask("stop_network", packet_data_handle=handle)
    ended = disconnected(6, CallEndReason.CLIENT_END, VerboseCallEndReasonType.CM, CmReason.CLIENT_END)
    assert client.told() == same.told() == [ended]
    assert [other.told() for other in others] == [[], [], []]


def test_a_drop_by_the_network_ends_the_calls_of_that_channel_and_says_why() -> None:
    rig = Rig()
    dropped, kept = rig.bound(3, 6), rig.bound(0, 4)
    dropped.start()
    kept.start()
    dropped.told()
    rig.equipment.calls.end_all(CallEnd.DROPPED, channel=3)
    rig.settle()
    assert dropped.told() == [
        disconnected(
            6,
            CallEndReason.RELEASE_NORMAL,
            VerboseCallEndReasonType.THREE_GPP,
            ThreeGppReason.REGULAR_DEACTIVATION,
        )
    ]
    assert rig.passing([0, 3]) == {(0, 4)}
    assert (dropped.status(), kept.status()) == (DOWN, UP)


def low_power(rig: Rig) -> None:
    assert not rig.client(Service.DMS).ask("set_operating_mode", mode=Mode.LOW_POWER).error


def no_sim(rig: Rig) -> None:
    rig.equipment.remove_sim(rig.now)


def no_network(rig: Rig) -> None:
    rig.equipment.set_weather(None, True, rig.now)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (low_power, CmReason.OFFLINE),
        (no_sim, CmReason.INVALID_SIM_STATE),
        (no_network, CmReason.NO_SERVICE),
    ],
)
def test_what_takes_the_network_away_ends_every_call_and_says_why(event: Any, reason: CmReason) -> None:
    rig = Rig()
    clients = [rig.bound(0, 4), rig.bound(3, 6)]
    for client in clients:
        client.start()
        client.told()
    event(rig)
    rig.settle()
    assert rig.passing([0, 3]) == set()
    for client, version in zip(clients, (4, 6), strict=True):
        ended = disconnected(version, CallEndReason.NO_SERVICE, VerboseCallEndReasonType.CM, reason)
        assert client.told() == [ended]
        assert client.status() == DOWN


def test_the_event_report_has_the_status_of_calls_for_those_who_ask() -> None:
    rig = Rig()
    client, other = rig.client(), rig.client()
    client.ask("set_event_report", data_call_status=1)
    handle = client.start()
    client.ask("stop_network", packet_data_handle=handle)
    reports = [values for name, values in client.told() if name == "set_event_report"]
    assert reports == [
        {"data_call_status": DataCallStatus.ACTIVATED},
        {"data_call_status": DataCallStatus.TERMINATED},
    ]
    assert "set_event_report" not in dict(other.told())
    client.ask("bind_data_port", data_port=0x0E05)
    other.start()
    assert client.told() == []


def test_there_is_no_report_of_address_changes_but_it_may_be_asked_for() -> None:
    rig = Rig()
    client = rig.client()
    assert not client.ask("indication_register", report_extended_ip_configuration_change=1).error
    rig.plane.command("signal", {"rsrp": -100}, rig.now)
    rig.collect()
    assert client.told() == []


# -- settings


def test_ipv4_settings_are_those_of_the_bearer() -> None:
    client = Rig().bound(5)
    client.start(apn="INTERNET")
    assert client.ask("get_current_settings").values == {
        "pdp_type": PdpType.IPV4,
        "apn_name": "internet",
        "ipv4_address": IPv4Address("10.64.5.2"),
        "ipv4_gateway_address": IPv4Address("10.64.5.1"),
        "ipv4_gateway_subnet_mask": IPv4Address("255.255.255.252"),
        "mtu": 1500,
        "ip_family": 4,
    }


def test_ipv6_settings_are_those_of_the_bearer() -> None:
    client = Rig().bound(5, version=6)
    client.start(apn="internet")
    assert client.ask("get_current_settings").values == {
        "pdp_type": PdpType.IPV6,
        "apn_name": "internet",
        "ipv6_address": {"address": IPv6Address("2001:db8:64:5::2"), "prefix_length": 64},
        "ipv6_gateway_address": {"address": IPv6Address("2001:db8:64:5::1"), "prefix_length": 64},
        "mtu": 1500,
        "ip_family": 6,
    }


def test_the_addresses_given_are_those_that_the_data_path_takes() -> None:
    rig = Rig()
    client = rig.client()
    client.start()
    address = client.ask("get_current_settings").values["ipv4_address"]
    rig.send(frame_of(packet4(source=str(address))), frame_of(packet4(source=str(address + 1))))
    assert [packet[12:16] for packet in rig.world.delivered] == [address.packed]


@pytest.mark.parametrize("version", [4, 6])
def test_the_mtu_in_the_settings_is_the_longest_packet_that_passes(version: int) -> None:
    rig = Rig("small-mtu")
    client = rig.bound(0, version)
    client.start()
    mtu = client.ask("get_current_settings").values["mtu"]
    assert mtu == 1428
    assert rig.passes_up(0, version, mtu)
    assert rig.passes_down(0, version, mtu)
    assert not rig.passes_up(0, version, mtu + 1)
    assert not rig.passes_down(0, version, mtu + 1)


def test_name_servers_are_those_that_the_network_has() -> None:
    rig = Rig()
    clients = [rig.bound(0, version) for version in (4, 6)]
    bearer = rig.network.bearers[0]
    assert bearer is not None
    bearer.name_servers4 = tuple(IPv4Address(f"10.64.255.{last}") for last in (53, 54, 55))
    bearer.name_servers6 = (IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54"))
    for client in clients:
        client.start()
    four, six = (client.ask("get_current_settings").values for client in clients)
    assert four["primary_ipv4_dns_address"] == IPv4Address("10.64.255.53")
    assert four["secondary_ipv4_dns_address"] == IPv4Address("10.64.255.54")
    assert six["ipv6_primary_dns_address"] == IPv6Address("2001:db8::53")
    assert six["ipv6_secondary_dns_address"] == IPv6Address("2001:db8::54")


def test_settings_that_were_not_asked_for_are_left_out() -> None:
    client = Rig().client()
    client.start()
    mask = RequestedSettings.MTU | RequestedSettings.IP_ADDRESS
    settings = client.ask("get_current_settings", requested_settings=mask).values
    assert settings == {"mtu": 1500, "ipv4_address": IPv4Address("10.64.0.2")}


def test_out_of_call_there_are_no_settings() -> None:
    rig = Rig()
    client = rig.client()
    assert client.ask("get_current_settings").error == QmiError.OUT_OF_CALL
    client.start()
    rig.equipment.calls.end_all(CallEnd.DROPPED)
    assert client.ask("get_current_settings").error == QmiError.OUT_OF_CALL


def test_of_two_calls_on_a_bearer_a_client_is_told_of_its_own() -> None:
    rig = Rig()
    rig.client().start(apn="internet")
    client = rig.client()
    client.start(profile_index_3gpp=1)
    assert "profile_id" in client.ask("get_current_settings").values


# -- statistics


def test_statistics_are_the_counters_of_the_data_path() -> None:
    rig = Rig()
    client = rig.bound(2)
    client.start()
    bearer = rig.network.bearers[2]
    assert bearer is not None
    for length in (60, 100, 200):
        assert rig.passes_up(2, 4, length)
    assert rig.passes_down(2, 4, 1000)
    assert not rig.passes_up(2, 4, 1501)
    assert not rig.passes_down(2, 6)
    rig.world.is_up = False
    assert not rig.passes_up(2, 4)
    assert client.ask("get_packet_statistics", mask=EVERYTHING).values == {
        "tx_packets_ok": 3,
        "rx_packets_ok": 1,
        "tx_packets_error": 1,
        "rx_packets_error": 0,
        "tx_overflows": 1,
        "rx_overflows": 0,
        "tx_bytes_ok": 360,
        "rx_bytes_ok": 1000,
        "tx_packets_dropped": 0,
        "rx_packets_dropped": 1,
    }
    assert (bearer.uplink.packet_count, bearer.uplink.byte_count) == (3, 360)
    assert (bearer.downlink.packet_count, bearer.downlink.byte_count) == (1, 1000)


def test_only_the_statistics_that_were_asked_for_are_given() -> None:
    client = Rig().client()
    client.start()
    mask = PacketStatistics.TX_BYTES_OK | PacketStatistics.RX_PACKETS_OK
    assert set(client.ask("get_packet_statistics", mask=mask).values) == {"tx_bytes_ok", "rx_packets_ok"}


def test_a_call_begins_at_nought_and_its_bytes_are_known_after_it() -> None:
    rig = Rig()
    client = rig.client()
    for length in (100, 300):
        handle = client.start()
        assert client.ask("get_packet_statistics", mask=EVERYTHING).values["tx_bytes_ok"] == 0
        assert rig.passes_up(0, 4, length)
        client.ask("stop_network", packet_data_handle=handle)
        assert not rig.passes_up(0, 4, length)
        error, values = client.ask("get_packet_statistics", mask=EVERYTHING)
        assert error == QmiError.OUT_OF_CALL
        assert values == {"last_call_tx_bytes_ok": length, "last_call_rx_bytes_ok": 0}


def test_a_counter_of_32_bits_begins_anew_when_it_is_full() -> None:
    rig = Rig()
    client = rig.client()
    client.start()
    bearer = rig.network.bearers[0]
    assert bearer is not None
    bearer.uplink.packet_count = (1 << 32) + 7
    bearer.uplink.byte_count = 1 << 40
    values = client.ask("get_packet_statistics", mask=EVERYTHING).values
    assert (values["tx_packets_ok"], values["tx_bytes_ok"]) == (7, 1 << 40)


# -- reports by the clock


def traffic_report(rig: Rig, seconds: int) -> QmiClient:
    client = rig.client()
    wish = {"interval_seconds": seconds, "indicators": PacketStatistics.TX_PACKETS_OK}
    client.ask("set_event_report", transfer_statistics=wish)
    return client


def test_transfer_statistics_come_every_interval_while_a_call_is_up() -> None:
    rig = Rig()
    client = traffic_report(rig, 2)
    assert rig.plane.deadline == rig.now + 2 * SECOND
    rig.wait(4 * SECOND)
    assert client.told() == []
    client.start()
    client.told()
    for sent in (1, 2):
        assert rig.passes_up(0, 4)
        rig.wait(2 * SECOND)
        assert client.told() == [("set_event_report", {"tx_packets_ok": sent})]


def test_an_interval_of_nought_ends_them_and_then_nothing_wakes_the_modem() -> None:
    rig = Rig()
    client = traffic_report(rig, 2)
    client.start()
    client.told()
    assert rig.plane.deadline is not None
    client.ask("set_event_report", transfer_statistics={"interval_seconds": 0, "indicators": 1})
    assert rig.plane.deadline is None


def test_they_end_with_their_client() -> None:
    rig = Rig()
    traffic_report(rig, 2).release()
    assert rig.plane.deadline is None


def test_a_modem_that_is_late_reports_once_and_not_for_each_interval_that_it_missed() -> None:
    rig = Rig()
    client = traffic_report(rig, 1)
    client.start()
    client.told()
    rig.now += 10 * SECOND
    rig.plane.handle_timeout(rig.now)
    rig.collect()
    assert len(client.told()) == 1
    assert rig.plane.deadline == rig.now + SECOND


# -- profiles


def test_the_list_of_profiles_is_the_contexts_of_the_modem() -> None:
    rig = Rig()
    client = rig.client()
    rig.equipment.contexts.define(3, name="third", apn="company")
    for wish in ({}, {"profile_type": 0}):
        assert client.ask("get_profile_list", **wish).values["profile_list"] == [
            {"profile_type": 0, "profile_index": 1, "profile_name": "default"},
            {"profile_type": 0, "profile_index": 3, "profile_name": "third"},
        ]
    rig.equipment.contexts.delete(1)
    rig.equipment.contexts.delete(3)
    assert client.ask("get_profile_list").values["profile_list"] == []


@pytest.mark.parametrize(
    ("versions", "pdp_type"), [((4,), PdpType.IPV4), ((6,), PdpType.IPV6), ((4, 6), PdpType.IPV4_OR_IPV6)]
)
def test_the_settings_of_a_profile_are_those_of_its_context(versions: tuple[int, ...], pdp_type: int) -> None:
    rig = Rig()
    changes = {"name": "work", "apn": "company", "username": "user", "password": "secret"}
    rig.equipment.contexts.define(4, **changes, versions=versions, authentication=2)
    profile = {"profile_type": 0, "profile_index": 4}
    assert rig.client().ask("get_profile_settings", profile_id=profile).values == {
        "profile_name": "work",
        "pdp_type": pdp_type,
        "apn_name": "company",
        "username": "user",
        "password": "secret",
        "authentication": Authentication.CHAP,
        "pdp_context_number": 4,
    }


def test_a_profile_that_is_not_there_has_no_settings() -> None:
    answer = Rig().client().ask("get_profile_settings", profile_id={"profile_type": 0, "profile_index": 9})
    assert answer.error == QmiError.INVALID_PROFILE


def test_there_are_no_profiles_of_other_technologies() -> None:
    client = Rig().client()
    answers = [
        client.ask("get_profile_list", profile_type=1),
        client.ask("get_profile_settings", profile_id={"profile_type": 1, "profile_index": 1}),
        client.ask("get_default_profile_number", profile_type={"type": 1, "family": 0}),
    ]
    assert {answer.error for answer in answers} == {QmiError.INVALID_PROFILE_TYPE}


def test_the_default_profile_is_the_first_that_there_is() -> None:
    rig = Rig()
    client = rig.client()
    wish = {"type": 0, "family": 0}
    rig.equipment.contexts.define(6, apn="company")
    assert client.ask("get_default_profile_number", profile_type=wish).values["index"] == 1
    rig.equipment.contexts.delete(1)
    assert client.ask("get_default_profile_number", profile_type=wish).values["index"] == 6
    rig.equipment.contexts.delete(6)
    assert client.ask("get_default_profile_number", profile_type=wish).error == QmiError.INVALID_PROFILE


# -- attach


def attach_of(client: QmiClient) -> tuple[str, int, int]:
    values = client.ask("get_lte_attach_parameters").values
    return values["apn"], values["ip_support_type"], values["ota_attach_performed"]


def test_the_modem_attaches_with_its_default_profile_and_only_while_it_is_registered() -> None:
    rig = Rig()
    client = rig.client()
    assert attach_of(client) == ("internet", IpSupport.IPV4V6, 1)
    rig.equipment.set_weather(None, True, rig.now)
    assert attach_of(client) == ("internet", IpSupport.IPV4V6, 0)


def test_what_it_is_attached_with_is_what_the_network_makes_of_it() -> None:
    rig = Rig()
    client = rig.client()
    rig.equipment.contexts.define(1, apn="IPV4.internet.mnc001.mcc001.gprs", versions=(4, 6))
    assert attach_of(client) == ("ipv4.internet", IpSupport.IPV4, 1)
    rig.equipment.contexts.define(1, apn="", versions=(6,))
    assert attach_of(client) == ("internet", IpSupport.IPV6, 1)
    rig.equipment.contexts.delete(1)
    assert attach_of(client) == ("internet", IpSupport.IPV4V6, 1)


def test_a_version_that_the_network_lacks_is_answered_with_the_one_it_has() -> None:
    rig = Rig()
    rig.equipment.contexts.define(1, apn="ipv4.internet", versions=(6,))
    client = rig.client()
    assert attach_of(client) == ("ipv4.internet", IpSupport.IPV4, 1)
    rig.equipment.set_weather(None, True, rig.now)
    assert attach_of(client) == ("ipv4.internet", IpSupport.IPV6, 0)


def test_an_attach_apn_that_the_network_does_not_know_is_shown_as_it_is_stored() -> None:
    rig = Rig()
    rig.equipment.contexts.define(1, apn="nowhere", versions=(6,))
    assert attach_of(rig.client()) == ("nowhere", IpSupport.IPV6, 1)
