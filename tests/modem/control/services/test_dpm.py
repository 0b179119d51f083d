from typing import Any

import pytest

from bamdmux.actions import Action, AnnounceChannel, WithdrawChannel
from bamdmux.wire.qmi.values import EndpointType, QmiError
from bamdmux.wire.qmux import Service
from tests.modem.control.call_rig import Rig
from tests.modem.near_end import close_frame, open_frame


def port(interface: int = 0, kind: int = EndpointType.BAM_DMUX) -> dict[str, int]:
    return {
        "endpoint_type": kind,
        "interface_number": interface,
        "rx_endpoint_number": 1,
        "tx_endpoint_number": 1,
    }


def carried_out(rig: Rig) -> list[Action]:
    """What was asked of the modem since the last time, done as a world does it."""
    actions = [action for action in rig.actions if isinstance(action, AnnounceChannel | WithdrawChannel)]
    rig.actions.clear()
    for action in actions:
        if isinstance(action, AnnounceChannel):
            rig.modem.announce(action.channel, rig.now)
        else:
            rig.modem.withdraw(action.channel, rig.now)
    rig.collect()
    return actions


def test_the_host_sees_the_channel_once_its_port_was_opened() -> None:
    rig = Rig("shikra")
    assert rig.frames == []
    assert not rig.client(Service.DPM).ask("open_port", hardware_data_ports=[port()]).error
    assert carried_out(rig) == [AnnounceChannel(0)]
    assert rig.frames == [open_frame(0)]


def test_a_closed_port_takes_the_channel_away() -> None:
    rig = Rig("shikra")
    client = rig.client(Service.DPM)
    client.ask("open_port", hardware_data_ports=[port()])
    carried_out(rig)
    assert not client.ask("close_port").error
    assert carried_out(rig) == [WithdrawChannel(0)]
    assert rig.frames == [open_frame(0), close_frame(0)]


def test_a_port_that_is_open_is_not_announced_again() -> None:
    rig = Rig("shikra")
    for _ in range(2):
        assert not rig.client(Service.DPM).ask("open_port", hardware_data_ports=[port()]).error
    assert carried_out(rig) == [AnnounceChannel(0)]


def test_to_close_what_is_not_open_has_no_effect() -> None:
    assert Rig("shikra").client(Service.DPM).ask("close_port").error == QmiError.NO_EFFECT


@pytest.mark.parametrize("wrong", [port(1), port(0, EndpointType.EMBEDDED)])
def test_a_port_that_is_no_channel_is_refused_and_with_it_all_others(wrong: dict[str, int]) -> None:
    rig = Rig("shikra")
    answer = rig.client(Service.DPM).ask("open_port", hardware_data_ports=[port(), wrong])
    assert answer.error == QmiError.INVALID_ARGUMENT
    assert carried_out(rig) == []


def test_control_ports_alone_open_no_channel() -> None:
    rig = Rig("shikra")
    control: dict[str, Any] = {"port_name": "bam-dmux", "endpoint_type": 5, "interface_number": 0}
    assert not rig.client(Service.DPM).ask("open_port", control_ports=[control]).error
    assert carried_out(rig) == []


def test_after_a_crash_the_port_has_to_be_opened_anew() -> None:
    rig = Rig("shikra")
    rig.client(Service.DPM).ask("open_port", hardware_data_ports=[port()])
    carried_out(rig)
    rig.plane.crash(rig.now)
    rig.boot()
    assert carried_out(rig) == []
    rig.client(Service.DPM).ask("open_port", hardware_data_ports=[port()])
    assert carried_out(rig) == [AnnounceChannel(0)]


@pytest.mark.parametrize("name", ["open_port", "close_port"])
def test_firmware_that_announces_by_itself_knows_no_ports(name: str) -> None:
    rig = Rig("msm8916")
    assert rig.client(Service.DPM).ask(name).error == QmiError.INVALID_QMI_COMMAND
    assert carried_out(rig) == []
