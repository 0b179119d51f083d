"""ControlPlane: ports, deaths, and that all doors lead to one room."""

from typing import Any

import pytest

from bamdmux.actions import AnnounceChannel, HangUpPort, PortKind, RestartModem, SendToPort, WithdrawChannel
from bamdmux.errors import UsageError
from bamdmux.modem.control.equipment import Mode
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.control.sim import Sim
from bamdmux.modem.profiles import load_profile
from bamdmux.wire.qmi.values import EndpointType, QmiError, RegistrationState
from bamdmux.wire.qmux import Service
from tests.modem.control.host import Host, booted_plane

DMS, DPM, NAS, UIM, WDS = Service.DMS, Service.DPM, Service.NAS, Service.UIM, Service.WDS
QMI_PORT, AT_PORT = 0, 1


def at(plane: ControlPlane, line: str, now: int = 0) -> str:
    """Type a line at the AT port; what it says, without the echo."""
    plane.take_actions()
    plane.received(AT_PORT, f"AT{line}\r".encode(), now)
    sent = [each for each in plane.take_actions() if isinstance(each, SendToPort) and each.port == AT_PORT]
    return b"".join(each.data for each in sent).decode()


def with_both_doors() -> Host:
    host = Host()
    host.plane.port_opened(AT_PORT, PortKind.AT, 0)
    return host


def registration_state(host: Host) -> int:
    number: int = host.ask(NAS, "get_serving_system")["serving_system"]["registration_state"]
    return number


@pytest.mark.parametrize(("port", "beginning"), [(QMI_PORT, b"\x01\x0b"), (AT_PORT, b"AT+C")])
def test_the_beginning_of_something_is_unfinished(port: int, beginning: bytes) -> None:
    plane = with_both_doors().plane
    assert not plane.has_unfinished(port)
    plane.received(port, beginning, 0)
    assert plane.has_unfinished(port)


# One model behind all doors


def test_what_ctl_does_qmi_and_at_see() -> None:
    host = with_both_doors()
    host.plane.command("deregister", {"denied": True}, 0)
    host.wait()
    assert registration_state(host) == RegistrationState.REGISTRATION_DENIED
    assert "+CREG: 0,3" in at(host.plane, "+CREG?")


def test_what_qmi_does_at_and_ctl_see() -> None:
    host = with_both_doors()
    host.ask(DMS, "set_operating_mode", mode=Mode.LOW_POWER)
    assert "+CREG: 0,0" in at(host.plane, "+CREG?")
    assert host.plane.status(0)["mode"] == "low_power"


def test_what_at_does_qmi_and_ctl_see() -> None:
    host = with_both_doors()
    assert "OK" in at(host.plane, '+CLCK="SC",1,"1234"')
    card = host.ask(UIM, "get_card_status")["card_status"]["cards"][0]
    assert card["applications"][0]["pin1_state"] == 2
    assert host.plane.status(0)["sim"]["pin_enabled"] is True  # type: ignore[index]


def test_a_signal_is_the_same_everywhere() -> None:
    host = with_both_doors()
    result = host.plane.command("signal", {"rsrp": -110}, 0)
    signal = host.ask(NAS, "get_signal_info")["lte_signal_strength"]
    assert signal["rsrp"] == result["signal"]["rsrp_dbm"] == -110
    assert f"+CSQ: {(signal['rssi'] + 113) // 2}," in at(host.plane, "+CSQ")


def test_a_command_is_heard_of_at_once() -> None:
    host = Host()
    host.client(NAS)
    host.plane.command("deregister", {}, 0)
    host.collect()
    assert [each.name for each in host.heard()] == ["get_serving_system"]


def test_a_command_with_nonsense_is_refused() -> None:
    with pytest.raises(UsageError):
        booted_plane().command("signal", {"rsrp": 7}, 0)


# Ports


def test_bytes_for_a_port_that_is_not_open_are_dropped() -> None:
    plane = booted_plane()
    plane.received(7, b"\1\2\3", 0)
    assert plane.take_actions() == []


def test_the_end_of_a_port_that_is_not_open_is_no_news() -> None:
    booted_plane().port_closed(7, 0)


def test_a_port_that_is_open_is_not_opened_again() -> None:
    host = Host()
    with pytest.raises(AssertionError):
        host.plane.port_opened(host.port, PortKind.QMI, 0)


def test_a_port_that_has_ended_can_be_opened_again() -> None:
    host = Host()
    host.plane.port_closed(host.port, 0)
    assert Host(host.plane, port=host.port).ask(DMS, "get_model")


def test_qmi_and_at_are_not_confused() -> None:
    host = with_both_doors()
    assert "OK" in at(host.plane, "")
    assert host.send(b"AT\r") == []


# Death


def test_a_crash_hangs_up_all_ports() -> None:
    host = with_both_doors()
    host.plane.crash(0)
    assert host.plane.take_actions() == [HangUpPort(QMI_PORT), HangUpPort(AT_PORT)]
    assert host.plane.status(0)["ports"] == {}


def test_nobody_answers_after_a_crash() -> None:
    host = Host()
    host.plane.crash(0)
    host.plane.take_actions()
    host.plane.received(host.port, b"\1\x0b\0\0\0\0\0\1\x21\0\0\0", 0)
    assert host.plane.take_actions() == []


def test_after_a_boot_no_client_is_known() -> None:
    host = Host()
    client = host.client(DMS)
    host.plane.crash(0)
    host.plane.boot(0)
    host.plane.take_actions()
    again = Host(host.plane)
    assert again.call(DMS, "get_model", {}, client).error == QmiError.INVALID_CLIENT_ID
    assert again.new_client(DMS) == 1


def test_the_status_says_whether_it_has_booted() -> None:
    plane = booted_plane()
    assert plane.status(0)["booted"] is True
    plane.crash(0)
    assert plane.status(0)["booted"] is False


def test_a_reset_asks_the_world_once() -> None:
    host = Host()
    host.ask(DMS, "set_operating_mode", mode=Mode.RESET)
    assert host.actions == [RestartModem()]
    host.plane.settle(0)
    assert host.plane.take_actions() == []


# Time


def test_without_anything_to_wait_for_there_is_no_deadline() -> None:
    assert booted_plane().deadline is None


def test_a_registration_is_waited_for_and_told() -> None:
    host = Host(booted_plane(is_always_on=False))
    host.client(NAS)
    deadline = host.plane.deadline
    assert deadline is not None
    host.plane.handle_timeout(deadline)
    host.collect()
    (told,) = host.heard("get_serving_system")
    assert told.values["serving_system"]["registration_state"] == RegistrationState.REGISTERED


# Channels


def test_a_channel_is_announced_while_its_port_is_open() -> None:
    host = Host(booted_plane(load_profile("shikra")))
    port = {
        "endpoint_type": EndpointType.BAM_DMUX,
        "interface_number": 0,
        "rx_endpoint_number": 1,
        "tx_endpoint_number": 1,
    }
    host.ask(DPM, "open_port", hardware_data_ports=[port])
    assert host.actions == [AnnounceChannel(0)]
    host.actions.clear()
    host.ask(DPM, "close_port")
    assert host.actions == [WithdrawChannel(0)]


# A day in the life of a card


def test_a_card_with_a_pin_from_boot_to_a_call_and_out() -> None:
    host = Host(booted_plane(sim=Sim(pin_is_enabled=True)))

    def refusal() -> QmiError:
        return host.refused(WDS, "start_network", apn="internet")

    assert refusal() is QmiError.CALL_FAILED
    session: dict[str, Any] = {"session_type": 0, "application_identifier": b""}
    host.ask(UIM, "verify_pin", session=session, info={"pin_id": 1, "pin_value": "1234"})
    host.wait()
    host.ask(WDS, "start_network", apn="internet")
    host.plane.command("sim", {"action": "remove"}, 0)
    assert not list(host.equipment.calls)
    assert refusal() is QmiError.CALL_FAILED
