"""Data calls as Debian's qmicli makes them, unmodified."""

import pytest

from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from tests.modem.control.qmicli import QMICLI, QmiNode

pytestmark = pytest.mark.skipif(
    QMICLI is None, reason="qmicli is not installed; sudo apt-get install libqmi-utils"
)

OPEN_PORT = "hw-data-ep-type=bam-dmux,hw-data-ep-iface-number=0,hw-data-rx-id=1,hw-data-tx-id=1"


def node(profile_name: str = "msm8916") -> QmiNode:
    """Registered, with no call."""
    profile = load_profile(profile_name)
    plane = ControlPlane(profile, PacketDataNetwork(profile.channels, mtu=profile.mtu), is_always_on=False)
    plane.boot(now=0)
    while plane.deadline is not None:
        plane.handle_timeout(plane.deadline)
    return QmiNode(plane)


def versions_up(node: QmiNode, channel: int = 0) -> tuple[int, ...]:
    bearer = node.plane.equipment.calls.bearer(channel)
    assert bearer is not None
    return bearer.versions


def test_a_call_from_its_start_to_its_end() -> None:
    with node() as modem:
        start = modem.qmicli("--wds-start-network=apn=internet,ip-type=6", "--client-no-release-cid")
        assert "Network started" in start
        (handle,) = (line.split("'")[1] for line in start.text.splitlines() if "Packet data handle" in line)
        (client,) = (line.split("'")[1] for line in start.text.splitlines() if "CID: " in line)
        assert versions_up(modem) == (6,)
        keep = (f"--client-cid={client}", "--client-no-release-cid")
        assert "'connected'" in modem.qmicli("--wds-get-packet-service-status", *keep)
        assert "IPv6 address: 2001:db8:64::2/64" in modem.qmicli("--wds-get-current-settings", *keep)
        assert "TX packets OK: 0" in modem.qmicli("--wds-get-packet-statistics", *keep)
        assert "Network stopped" in modem.qmicli(f"--wds-stop-network={handle}", *keep)
        assert versions_up(modem) == ()
        assert "'disconnected'" in modem.qmicli("--wds-get-packet-service-status", *keep)


def test_a_call_ends_with_the_client_that_qmicli_releases() -> None:
    with node() as modem:
        assert "Network started" in modem.qmicli("--wds-start-network=apn=internet")
        assert versions_up(modem) == ()


def test_why_the_network_refuses() -> None:
    with node() as modem:
        refused = modem.qmicli("--wds-start-network=apn=company,username=user,password=wrong,auth=CHAP")
        assert "verbose call end reason (6,29): [3gpp] authentication-failed" in refused
        assert "[3gpp] unknown-apn" in modem.qmicli("--wds-start-network=apn=nowhere")
        modem.qmicli("--dms-set-operating-mode=low-power")
        assert "[cm] offline" in modem.qmicli("--wds-start-network=apn=internet")


def test_the_profiles_of_the_modem() -> None:
    with node() as modem:
        modem.plane.equipment.contexts.define(3, name="work", apn="company", versions=(6,))
        profiles = modem.qmicli("--wds-get-profile-list=3gpp")
        assert "[3] 3gpp - work" in profiles
        assert "PDP type: 'ipv6'" in profiles


def test_the_data_format_cannot_be_changed() -> None:
    with node() as modem:
        assert "Link layer protocol: 'raw-ip'" in modem.qmicli("--wda-set-data-format=802-3")


def test_msm8909_binds_by_endpoint_only() -> None:
    with node("msm8909") as modem:
        assert "(25): 'DeviceUnsupported'" in modem.qmicli("--wds-bind-data-port=a2-mux-rmnet3")


def test_shikra_opens_its_port() -> None:
    with node("shikra") as modem:
        assert "(48): 'InvalidArgument'" in modem.qmicli("--wda-get-data-format")
        assert "Successfully opened the port" in modem.qmicli(f"--dpm-open-port={OPEN_PORT}")
        assert modem.plane.equipment.open_ports == {0}


def test_others_know_no_ports() -> None:
    with node() as modem:
        assert "(71): 'InvalidQmiCommand'" in modem.qmicli(f"--dpm-open-port={OPEN_PORT}")
