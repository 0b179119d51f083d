"""Debian's ModemManager and our modem: found, connected, dropped, crashed, and connected again."""

import functools
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.live.clients.managed import PIN, ManagedLink
from tests.live.identities import for_each_identity, needs_tun, wait_for

SBIN = f"{os.environ.get('PATH')}:/usr/sbin"

pytestmark = [
    pytest.mark.live,
    needs_tun,
    pytest.mark.skipif(
        shutil.which("ModemManager", path=SBIN) is None,
        reason="no ModemManager; apt-get install modemmanager",
    ),
    pytest.mark.skipif(shutil.which("qmicli") is None, reason="no qmicli; apt-get install libqmi-utils"),
]
both_ways = pytest.mark.parametrize("options", [[], ["--split"]], ids=["fused", "split"])

GATEWAY4 = "10.64.0.1"
GATEWAY6 = "2001:db8:64::1"
DOWNLOAD_BYTES = 1_000_000


Links = Callable[..., ManagedLink]


@pytest.fixture(scope="module")
def links() -> Iterator[Links]:
    """Links by identity and options: each takes seconds to make, and serves many tests. All end in order."""
    with ExitStack() as stack:
        yield functools.cache(lambda *arguments: stack.enter_context(ManagedLink(*arguments)))


@pytest.fixture
def shared(links: Links) -> ManagedLink:
    """As the one with the fewest privileges."""
    return links("nobody" if os.geteuid() == 0 else "caller")


# The way up, and down


@for_each_identity
@both_ways
def test_packets_pass_from_connect_to_disconnect_and_not_before_or_after(
    links: Links, identity: str, options: list[str]
) -> None:
    link = links(identity, *options)
    assert link.state() == "disabled"
    assert not link.answers(GATEWAY4)
    connection = link.connect()
    assert connection["interface"] == "wwan0"
    assert connection["addresses"] == ["10.64.0.2/30", "2001:db8:64::2/64"]
    assert connection["gateways"][0] == GATEWAY4
    assert connection["mtu"] == 1500
    assert link.answers(GATEWAY4)
    assert link.answers(GATEWAY6)
    url = "${BAMDMUX_HTTP}bytes/" + str(DOWNLOAD_BYTES)
    digest = link.shell(f"curl -s -f {url} | sha256sum").split()[0]
    assert digest == link.shell("curl -s -f ${BAMDMUX_HTTP}sha256/" + str(DOWNLOAD_BYTES)).split()[0]
    assert digest != hashlib.sha256(b"").hexdigest()
    assert link.state() == "connected"
    link.bamdmux("disconnect")
    assert link.state() == "registered"
    assert not link.answers(GATEWAY4)
    assert "10.64" not in link.shell("ip address show dev wwan0")


def test_the_modem_s_own_share_of_the_search_is_small(shared: ManagedLink) -> None:
    answers = shared.ask("status")["answers"]
    assert answers["count"] > 50
    assert answers["ms"] < 500


def test_it_is_found_as_on_a_phone(shared: ManagedLink) -> None:
    modem = shared.modem()
    assert modem["modem.generic.device"] == "qcom-soc"
    assert modem["modem.generic.plugin"] == "qcom-soc"
    drivers = [value for name, value in modem.items() if name.startswith("modem.generic.drivers.value")]
    assert sorted(drivers) == ["bam-dmux", "qcom-q6v5-mss"]
    ports = [value for name, value in modem.items() if name.startswith("modem.generic.ports.value")]
    interfaces = [f"wwan{channel} (net)" for channel in range(8)]
    assert sorted(ports) == sorted([*interfaces, "wwan0at0 (at)", "wwan0qmi0 (qmi)"])
    assert modem["modem.generic.primary-port"] == "wwan0qmi0"
    assert modem["modem.generic.manufacturer"] == "QUALCOMM INCORPORATED"
    assert modem["modem.generic.model"] == "0"


def test_it_is_enabled_and_connected_by_mmcli_alone(shared: ManagedLink) -> None:
    shared.be_registered()
    shared.mmcli("-m any --disable")
    assert shared.state() == "disabled"
    shared.mmcli("-m any --enable")
    shared.wait_for_state("registered")
    assert shared.modem()["modem.3gpp.registration-state"] == "home"
    assert "successfully connected" in shared.mmcli("-m any --simple-connect=apn=internet,ip-type=ipv4")
    bearer = shared.bearers()["wwan0"]
    assert bearer["bearer.ipv4-config.address"] == "10.64.0.2"
    assert bearer["bearer.ipv6-config.address"] == "--"
    shared.mmcli("-m any --simple-disconnect")


def test_a_packet_on_a_channel_without_a_bearer_is_refused_and_counted(shared: ManagedLink) -> None:
    def refused() -> int:
        uplink = shared.status()["modem"]["channels"][3]["uplink"]
        count: int = uplink["drops"].get("no_bearer", 0)
        return count

    before = refused()
    shared.shell("ip link set wwan3 up && ip address add 10.64.3.2/30 dev wwan3")
    assert not shared.answers("10.64.3.1", "-I wwan3")
    assert refused() > before
    shared.shell("ip address flush dev wwan3 && ip link set wwan3 down")


def test_two_bearers_have_two_channels_and_addresses_of_their_own(shared: ManagedLink) -> None:
    shared.be_registered()
    first = shared.connect()
    second = shared.connect("--another")
    assert (first["interface"], second["interface"]) == ("wwan0", "wwan1")
    assert second["addresses"] == ["10.64.1.2/30", "2001:db8:64:1::2/64"]
    assert set(shared.bearers()) == {"wwan0", "wwan1"}
    for gateway, interface in (
        (GATEWAY4, "wwan0"),
        (GATEWAY6, "wwan0"),
        ("10.64.1.1", "wwan1"),
        ("2001:db8:64:1::1", "wwan1"),
    ):
        assert shared.answers(gateway, f"-I {interface}")
    routes = shared.shell("ip route show default; ip -6 route show default")
    assert "wwan0" in routes
    assert "wwan1" not in routes
    channels = shared.status()["modem"]["channels"]
    assert all(channels[channel]["uplink"]["packets"] for channel in (0, 1))


# What the network does


def test_a_call_that_the_network_drops_is_noticed_and_made_again(shared: ManagedLink) -> None:
    shared.be_connected()
    shared.ask("bearer", action="drop", channel=None)
    shared.wait_for_state("registered")
    assert not shared.answers(GATEWAY4)
    shared.connect()
    assert shared.answers(GATEWAY4)


def test_signal_is_what_the_world_says(shared: ManagedLink) -> None:
    shared.be_connected()
    for rsrp, qualities in ((-121, range(20, 60)), (-60, range(90, 101))):
        shared.ask("signal", rsrp=rsrp)
        wait_for(
            lambda qualities=qualities: (
                int(shared.modem()["modem.generic.signal-quality.value"]) in qualities
            ),
            f"a quality for {rsrp} dBm",
        )


def test_a_network_that_is_another_s_is_roaming(shared: ManagedLink) -> None:
    shared.be_registered()
    shared.ask("register", roaming=True)
    wait_for(lambda: shared.modem()["modem.3gpp.registration-state"] == "roaming", "roaming")
    assert shared.modem()["modem.3gpp.operator-code"] == "00102"
    shared.ask("register", roaming=False)
    wait_for(lambda: shared.modem()["modem.3gpp.registration-state"] == "home", "home")


def test_without_a_network_it_searches_and_finds_it_again(shared: ManagedLink) -> None:
    shared.be_registered()
    shared.ask("deregister", denied=False)
    shared.wait_for_state("searching", "enabled")
    shared.ask("register", roaming=False)
    shared.wait_for_state("registered")
    shared.connect()
    assert shared.answers(GATEWAY4)


# Power


def test_the_data_path_sleeps_and_wakes_while_modem_manager_stays_connected(shared: ManagedLink) -> None:
    shared.be_connected()
    assert shared.answers(GATEWAY4)

    def power() -> dict[str, object]:
        found: dict[str, object] = shared.status()["host"]["power"]
        return found

    for _ in range(2):
        wait_for(lambda: power()["vote"] == "suspended", "the host to suspend")
        assert shared.state() == "connected"
        votes = power()["votes"]
        assert shared.answers(GATEWAY4)
        assert power()["votes"] > votes  # type: ignore[operator]


def test_low_power_and_back(shared: ManagedLink) -> None:
    shared.be_registered()
    shared.mmcli("-m any --disable")
    shared.mmcli("-m any --set-power-state-low")
    assert shared.modem()["modem.generic.power-state"] == "low"
    assert shared.ask("status")["control"]["mode"] == "low_power"
    shared.mmcli("-m any --set-power-state-on")
    shared.connect()
    assert shared.modem()["modem.generic.power-state"] == "on"
    assert shared.answers(GATEWAY4)


# The SIM


def test_a_sim_that_wants_its_pin_is_unlocked_by_mmcli_or_by_connect(shared: ManagedLink) -> None:
    shared.ask("sim", action="lock")
    shared.ask("restart")
    shared.wait_for_state("locked")
    assert "locked with 'sim-pin'" in shared.refused("connect")
    assert "failed" not in shared.mmcli(f"-i any --pin={PIN}")
    shared.wait_for_state("disabled")
    shared.connect()
    assert shared.answers(GATEWAY4)

    shared.ask("restart")
    wait_for(lambda: shared.state() != "connected", "the end of the modem")
    shared.wait_for_state("locked")
    shared.connect(f"--pin {PIN}")
    assert shared.answers(GATEWAY4)
    shared.mmcli(f"-i any --disable-pin --pin={PIN}")


# Crashes


@both_ways
def test_after_a_crash_it_is_found_and_connected_again_by_the_same_process(
    links: Links, options: list[str]
) -> None:
    link = links("caller", *options)
    link.be_connected()
    manager, before = link.manager_pid(), link.modem()["modem.dbus-path"]
    link.ask("crash", down_for_ms=500)
    began = time.monotonic()
    connection = link.connect()  # at once: it waits for what there will be
    print(f"crash to connected: {time.monotonic() - began:.1f} s")
    assert connection["modem"] != before
    assert link.answers(GATEWAY4)
    assert link.manager_pid() == manager


def test_a_crash_while_it_is_being_found_delays_it_only(shared: ManagedLink) -> None:
    shared.ask("fault", action="set", name="control-crash@uim.get_card_status#1")
    shared.ask("restart")
    shared.connect()
    (fault,) = shared.ask("fault", action="list")["active"]
    shared.ask("fault", action="clear")
    assert (fault["name"], fault["family"]) == ("control-crash@uim.get_card_status#1", "control")
    assert fault["strikes"] == 1
    assert shared.answers(GATEWAY4)


# qmicli beside it


QUESTIONS = {
    "--dms-get-manufacturer": "QUALCOMM INCORPORATED",
    "--dms-get-ids": "IMEI: '867549030123457'",
    "--uim-get-card-status": "Card state: 'present'",
    "--nas-get-serving-system": "Registration state: 'registered'",
    "--nas-get-signal-info": "RSRP:",
    "--wds-get-profile-list=3gpp": "internet",
    "--wda-get-data-format": "Link layer protocol: 'raw-ip'",
}


@pytest.mark.parametrize("way", ["-d", "-p -d"], ids=["port", "our proxy"])
def test_qmicli_asks_while_modem_manager_is_connected(shared: ManagedLink, way: str) -> None:
    shared.be_connected()
    for question, expected in QUESTIONS.items():
        assert expected in shared.shell(f"qmicli {way} /dev/wwan0qmi0 {question}")
    assert shared.state() == "connected"


def test_qmicli_starts_a_call_of_its_own_and_stops_it(shared: ManagedLink) -> None:
    shared.be_registered()
    start = "--wds-start-network=apn=internet,ip-type=4 --client-no-release-cid"
    said = shared.shell(f"qmicli -p -d /dev/wwan0qmi0 {start}")
    handle = said.split("Packet data handle: '")[1].split("'")[0]
    client = said.split("CID: '")[1].split("'")[0]
    (call,) = shared.ask("status")["control"]["calls"]
    assert (call["channel"], call["version"], str(call["handle"])) == (0, 4, handle)
    stop = f"--wds-stop-network={handle} --client-cid={client}"
    assert "stopped" in shared.shell(f"qmicli -p -d /dev/wwan0qmi0 {stop}")
    assert shared.ask("status")["control"]["calls"] == []


def test_debian_s_own_proxy_works_as_well(links: Links) -> None:
    link = links("caller", "--no-qmi-proxy")
    link.be_connected()
    for question, expected in QUESTIONS.items():
        assert expected in link.shell(f"qmicli -p -d /dev/wwan0qmi0 {question}")
    assert link.shell("pgrep -x qmi-proxy")
    assert link.answers(GATEWAY4)
