"""What Debian's qmicli, unmodified, makes of the answers of NAS, UIM and DMS: they follow the state."""

import pytest

from bamdmux.modem.control.cell import VISITED
from bamdmux.modem.control.equipment import Signal
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.control.sim import Sim
from tests.modem.control.host import booted_plane
from tests.modem.control.qmicli import QMICLI, Printed, QmiNode

pytestmark = pytest.mark.skipif(
    QMICLI is None, reason="qmicli is not installed; sudo apt-get install libqmi-utils"
)


def prints(printed: Printed, *lines: str) -> None:
    """All of these stand there, each as the beginning of a line, blanks apart."""
    found = [" ".join(line.split()) for line in printed.text.splitlines()]
    missing = [line for line in lines if not any(each.startswith(line) for each in found)]
    assert not missing, printed.text


def run(plane: ControlPlane, argument: str) -> Printed:
    """One action of qmicli."""
    with QmiNode(plane) as node:
        printed = node.qmicli(argument)
    plane.port_closed(0, 0)
    return printed


def pass_time(plane: ControlPlane) -> None:
    while (deadline := plane.deadline) is not None:
        plane.handle_timeout(deadline)


# NAS


def test_the_serving_system_at_home_abroad_and_nowhere() -> None:
    plane = booted_plane()
    prints(
        run(plane, "--nas-get-serving-system"),
        "Registration state: 'registered'",
        "Roaming status: 'off'",
        "Description: 'bamdmux'",
    )
    plane.equipment.set_weather(VISITED, True, now=0)
    pass_time(plane)
    prints(
        run(plane, "--nas-get-serving-system"),
        "Roaming status: 'on'",
        "MNC: '2'",
        "Description: 'bamdmux abroad'",
    )
    plane.equipment.set_weather(None, True, now=0)
    prints(
        run(plane, "--nas-get-serving-system"),
        "Registration state: 'not-registered-searching'",
        "Selected network: 'unknown'",
    )


def test_the_system_info_of_a_refusal() -> None:
    plane = booted_plane()
    prints(run(plane, "--nas-get-system-info"), "Status: 'available'", "Tracking Area Code: '2989'")
    plane.equipment.set_weather(plane.equipment.registration.cell, False, now=0)
    pass_time(plane)
    prints(run(plane, "--nas-get-system-info"), "Status: 'limited'", "Domain: 'none'", "Forbidden: 'yes'")


def test_the_signal_follows_the_weather() -> None:
    plane = booted_plane()
    plane.equipment.set_signal(Signal(rssi=-77, rsrp=-101, rsrq=-13, snr=-21))
    prints(
        run(plane, "--nas-get-signal-info"),
        "RSSI: '-77 dBm'",
        "RSRQ: '-13 dB'",
        "RSRP: '-101 dBm'",
        "SNR: '-2.1 dB'",
    )
    prints(run(plane, "--nas-get-signal-strength"), "Network 'lte': '-77 dBm'")


def test_names_of_networks() -> None:
    plane = booted_plane()
    prints(run(plane, "--nas-get-home-network"), "Description: 'bamdmux'", "Network name source: service-p")
    prints(run(plane, "--nas-get-plmn-name=00101"), "Long Name: 'bamdmux'", "Service Name: 'bamdmux'")
    assert "NoNetworkFound" in run(plane, "--nas-get-plmn-name=26201")


def test_preferences_that_qmicli_sets() -> None:
    plane = booted_plane()
    run(plane, "--nas-set-system-selection-preference=lte,manual=99999")
    prints(
        run(plane, "--nas-get-system-selection-preference"),
        "Mode preference: 'lte'",
        "Network selection preference: 'manual'",
        "MCC: '999'",
        "MNC: '99'",
        "LTE band preference: '1, 3, 7, 8, 20'",
    )
    prints(run(plane, "--nas-get-serving-system"), "Registration state: 'not-registered-searching'")
    run(plane, "--nas-set-system-selection-preference=gsm|lte,automatic")
    pass_time(plane)
    prints(run(plane, "--nas-get-serving-system"), "Registration state: 'registered'")


# UIM


def test_a_card_from_its_pin_to_its_puk() -> None:
    plane = booted_plane(sim=Sim(pin_is_enabled=True))
    prints(
        run(plane, "--uim-get-card-status"),
        "Card state: 'present'",
        "Application state: 'pin1-or-upin-pin-required'",
        "PIN1 state: 'enabled-not-verified'",
    )
    for left in (2, 1, 0):
        prints(run(plane, "--uim-verify-pin=PIN1,9999"), f"Verify: {left}")
    assert "PinBlocked" in run(plane, "--uim-verify-pin=PIN1,1234")
    prints(run(plane, "--uim-get-card-status"), "Application state: 'puk1-or-upin-puk-required'")
    assert "IncorrectPin" in run(plane, "--uim-unblock-pin=PIN1,00000000,4321")
    assert "successfully" in run(plane, "--uim-unblock-pin=PIN1,12345678,4321")
    assert "successfully" in run(plane, "--uim-verify-pin=PIN1,4321")
    prints(run(plane, "--uim-get-card-status"), "Application state: 'ready'")


def test_a_pin_is_switched_on_and_changed() -> None:
    plane = booted_plane()
    assert "NoEffect" in run(plane, "--uim-verify-pin=PIN1,1234")
    assert "updated" in run(plane, "--uim-set-pin-protection=PIN1,enable,1234")
    assert "changed" in run(plane, "--uim-change-pin=PIN1,1234,4321")
    assert "IncorrectPin" in run(plane, "--uim-set-pin-protection=PIN1,disable,1234")
    assert "updated" in run(plane, "--uim-set-pin-protection=PIN1,disable,4321")


def test_an_empty_slot() -> None:
    plane = booted_plane()
    plane.equipment.remove_sim(now=0)
    prints(run(plane, "--uim-get-card-status"), "Card state: 'absent'", "Primary GW: session doesn't exist")
    prints(run(plane, "--uim-get-slot-status"), "Card status: absent")


def test_files() -> None:
    plane = booted_plane()
    prints(run(plane, "--uim-read-transparent=0x3F00,0x2FE2"), "98:00:01:11:32:54:76:98:10:F2")
    prints(run(plane, "--uim-read-transparent=0x3F00,0x7FFF,0x6F07"), "08:09:10:10:10:32:54:76:98")
    missing = run(plane, "--uim-read-transparent=0x3F00,0x7FFF,0x6F99")
    prints(missing, "SW1: '0x6a'", "SW2: '0x82'")
    assert "SimFileNotFound" in missing
    plane.equipment.lock_sim(now=0)
    prints(run(plane, "--uim-read-transparent=0x3F00,0x7FFF,0x6F07"), "SW1: '0x69'", "SW2: '0x82'")


def test_records() -> None:
    number = run(
        booted_plane(), "--uim-read-record=record-number=1,record-length=28,file=0x3F00-0x7FFF-0x6F40"
    )
    assert "07:91:51:55:10:00:21:F3" in number.text.replace("\n\t", "")


def test_the_slot_and_the_configuration() -> None:
    prints(
        run(booted_plane(), "--uim-get-slot-status"),
        "Card status: present",
        "ICCID: 8900101123456789012",
        "Protocol: uicc",
    )
    assert "all disabled" in run(booted_plane(), "--uim-get-configuration")


# DMS


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("--dms-get-ids", "IMEI: '867549030123457'"),
        ("--dms-get-capabilities", "Networks: 'gsm, umts, lte'"),
        ("--dms-get-manufacturer", "Manufacturer: 'QUALCOMM INCORPORATED'"),
        ("--dms-get-model", "Model: '0'"),
        ("--dms-get-revision", "Revision: 'MPSS."),
        ("--dms-get-hardware-revision", "Revision: '10000'"),
        ("--dms-get-msisdn", "MSISDN: '+15550100123'"),
        ("--dms-get-band-capabilities", "LTE bands: '1, 3, 7, 8, 20'"),
        ("--dms-uim-get-pin-status", "Status: disabled"),
    ],
)
def test_the_device_says_what_it_is(action: str, line: str) -> None:
    prints(run(booted_plane(), action), line)


def test_the_operating_mode_that_qmicli_sets() -> None:
    plane = booted_plane()
    assert "successfully" in run(plane, "--dms-set-operating-mode=low-power")
    prints(run(plane, "--dms-get-operating-mode"), "Mode: 'low-power'")
    assert "InformationUnavailable" in run(plane, "--nas-get-signal-info")
    assert "successfully" in run(plane, "--dms-set-operating-mode=offline")
    assert "InvalidTransition" in run(plane, "--dms-set-operating-mode=online")


def test_a_client_id_that_qmicli_leaves_is_there_for_the_next_one() -> None:
    with QmiNode(booted_plane()) as node:
        left = node.qmicli("--nas-noop", "--client-no-release-cid")
        (client,) = (line.split("'")[1] for line in left.text.splitlines() if "CID: " in line)
        again = node.qmicli("--nas-get-signal-info", f"--client-cid={client}", "--client-no-release-cid")
        prints(again, "RSSI: '-62 dBm'")
