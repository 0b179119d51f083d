"""Real programs send real packets through wwanN: what arrives, at which rate, and when the link sleeps."""

import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.live.identities import (
    DEADLINE_SECONDS,
    Link,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_bamdmux,
    scratch,
    wait_for,
)
from tests.live.test_command import status_field

pytestmark = [
    pytest.mark.live,
    needs_tun,
    *(
        pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program}")
        for program in ("ping", "curl", "nsenter")
    ),
]

HUNDRED_MEGABYTES = 100_000_000
RSS_LIMIT_KB = 60 * 1024
CHANNELS = (0, 2, 5, 7)  # of the four at once
FALLEN = "modem = modem power falling -> down"  # what a cycle of power ends with


def wait_until_suspended(link: Link) -> None:
    """Until nothing is under way any more. Only the log is read, for a question would wake bamdmux."""
    wait_for(lambda: link.log()[-1] == FALLEN, "the modem to fall")


def times(link: Link, text: str) -> list[float]:
    """When lines with this text were logged, in milliseconds."""
    lines = link.log_path.read_text().splitlines()
    return [float(line.split()[0]) for line in lines if text in line]


def wakeups(pid: int) -> tuple[str, str]:
    return status_field(pid, "voluntary_ctxt_switches"), status_field(pid, "nonvoluntary_ctxt_switches")


def drops(link: Link) -> list[object]:
    """Everything that was dropped anywhere."""
    status = link.status()
    channels = [*status["host"]["channels"].values(), *status["modem"]["channels"]]
    directions = ("transmitted", "received", "uplink", "downlink")
    counters = [channel[name] for channel in channels for name in directions if name in channel]
    counters += [status["host"]["unassigned"]]
    counters += [status["modem"]["uplink_strays"], status["modem"]["downlink_strays"]]
    return [counter["drops"] for counter in counters if counter["drops"]]


# Ping


@for_each_identity
@pytest.mark.parametrize("channel", [0, 7])
def test_pings_are_answered_over_ipv4_and_ipv6(identity: str, channel: int) -> None:
    gateway6 = f"2001:db8:64:{channel or ''}::1".replace(":::", "::")
    with Link(identity) as link:
        for gateway in (f"10.64.{channel}.1", gateway6):
            said = link.shell(f"ping -c 3 -i 0.01 -I wwan{channel} {gateway}")
            assert " 0% packet loss" in said
        status = link.status()
        assert status["modem"]["channels"][channel]["uplink"]["packets"] == 1 + 3 + 3  # and a solicitation
        assert drops(link) == []


@for_the_weakest
def test_the_network_reaches_the_host_on_every_channel(identity: str) -> None:
    with Link(identity) as link:
        for channel in (0, 7):
            for version in "46":
                gateway = f"10.64.{channel}.1" if version == "4" else f"2001:db8:64:{channel}::1"
                host = f"10.64.{channel}.2" if version == "4" else address6(link, channel)
                assert " 0% packet loss" in link.run_in_network("ping", "-c", "1", "-I", gateway, host)
        assert drops(link) == []


@for_the_weakest
def test_the_network_calls_from_the_gateway_of_the_bearer(identity: str) -> None:
    with Link(identity) as link:
        assert " 0% packet loss" in link.run_in_network("ping", "-c", "1", "-W", "2", "10.64.7.2")
        host = address6(link, 7)
        assert " 0% packet loss" in link.run_in_network("ping", "-c", "1", "-W", "2", host)


def address6(link: Link, channel: int) -> str:
    (entry,) = json.loads(link.shell(f"ip -j -6 address show dev wwan{channel} scope global"))
    address: str = entry["addr_info"][0]["local"]
    return address


# HTTP


@for_each_identity
def test_a_hundred_megabytes_come_down_whole(identity: str) -> None:
    headers = scratch() / "headers"
    with Link(identity) as link:
        url = f"${{BAMDMUX_HTTP}}bytes/{HUNDRED_MEGABYTES}"
        digest = link.shell(f"curl -s -f -D {headers} {url} | sha256sum", timeout=60).split()[0]
        # Told by the server, and reckoned by ourselves, without a link between.
        told = re.search(r"Repr-Digest: sha-256=:(.*):", headers.read_text())
        assert told is not None
        assert base64.b64decode(told[1]).hex() == digest
        assert reckoned_digest(HUNDRED_MEGABYTES) == digest
        assert drops(link) == []
        assert int(status_field(link.process.pid, "VmHWM").split()[0]) < RSS_LIMIT_KB


@for_each_identity
def test_a_hundred_megabytes_go_up_whole(identity: str) -> None:
    path = scratch() / "upload"
    data = random.Random(100).randbytes(HUNDRED_MEGABYTES)
    path.write_bytes(data)
    with Link(identity) as link:
        answer = json.loads(link.shell(f"curl -s -f -T {path} ${{BAMDMUX_HTTP}}", timeout=60))
        assert answer == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        assert drops(link) == []
        assert int(status_field(link.process.pid, "VmHWM").split()[0]) < RSS_LIMIT_KB
    path.unlink()


def reckoned_digest(length: int) -> str:
    """As demo_server.py describes its bytes: blocks of 64 KiB, each its number and then the same noise."""
    noise = random.Random(8916).randbytes(1 << 16)[8:]
    hasher = hashlib.sha256()
    for number in range(-(-length // (1 << 16))):
        block = number.to_bytes(8, "big") + noise
        hasher.update(block[: length - number * (1 << 16)])
    return hasher.hexdigest()


@for_the_weakest
def test_ipv6_carries_http_too(identity: str) -> None:
    with Link(identity) as link:
        said = link.shell("curl -s -f http://[$BAMDMUX_GATEWAY6]/bytes/1000000 | sha256sum")
        assert said.split()[0] == reckoned_digest(1_000_000)


# Four channels at once


@contextmanager
def iperf3_servers(link: Link) -> Iterator[None]:
    with ExitStack() as stack:
        for channel in CHANNELS:
            line = link.in_network("iperf3", "-s", "-p", str(5200 + channel), "-B", f"10.64.{channel}.1")
            server = stack.enter_context(subprocess.Popen(line, stdout=subprocess.DEVNULL))
            stack.callback(server.kill)
        listening = link.in_network("ss", "-H", "-t", "-l", "-n", "sport", ">=", "5200")
        wait_for(
            lambda: subprocess.check_output(listening).count(b"\n") == len(CHANNELS), "four servers of iperf3"
        )
        yield


def rates(link: Link, options: str) -> list[float]:
    """What arrived on each of the channels, in bits per second, when all of them sent at once."""
    folder = scratch()
    clients = [
        f"iperf3 -J -c 10.64.{channel}.1 -p {5200 + channel} --bind-dev wwan{channel} {options} "
        f">{folder}/{channel} &"
        for channel in CHANNELS
    ]
    link.shell("\n".join([*clients, "wait"]))
    reports = [json.loads((folder / str(channel)).read_text()) for channel in CHANNELS]
    assert [report["error"] for report in reports if "error" in report] == []
    return [report["end"]["sum_received"]["bits_per_second"] for report in reports]


@for_each_identity
@pytest.mark.skipif(shutil.which("iperf3") is None, reason="there is no iperf3")
@pytest.mark.parametrize(
    "options",
    ["-t 2", "-t 2 -R", "-u -b 50M -t 1", "-u -b 50M -t 1 -R"],
    ids=["TCP up", "TCP down", "UDP up", "UDP down"],
)
def test_four_channels_at_once_have_fair_shares(identity: str, options: str) -> None:
    with Link(identity) as link, iperf3_servers(link):
        shares = rates(link, options)
        fair = sum(shares) / len(shares)
        assert min(shares) >= fair / 2, [f"{share / 1e6:.0f} Mbit/s" for share in shares]


@for_the_weakest
@pytest.mark.skipif(shutil.which("iperf3") is None, reason="there is no iperf3")
def test_more_than_fits_is_shared_fairly_too(identity: str) -> None:
    with Link(identity) as link, iperf3_servers(link):
        shares = rates(link, "-u -b 0 -t 1")
        assert min(shares) >= sum(shares) / len(shares) / 2, [f"{share / 1e6:.0f} Mbit/s" for share in shares]


# MTU


@for_each_identity
def test_a_packet_of_2040_bytes_passes_unbroken_both_ways(identity: str) -> None:
    with Link(identity, "--mtu", "2040") as link:
        assert "mtu 2040" in link.shell("ip link show wwan0")
        host6 = address6(link, 0)
        wait_for(lambda: link.status()["host"]["channels"]["0"]["mtu"] == 2040, "the MTU to be noticed")
        for gateway, host, size in (("10.64.0.1", "10.64.0.2", 2012), ("2001:db8:64::1", host6, 1992)):
            before = counted(link)
            assert f"{size + 8} bytes from" in link.shell(f"ping -c 1 -M do -s {size} {gateway}")
            assert difference(counted(link), before) == [[1, 2040]] * 4
            line = ["ping", "-c", "1", "-M", "do", "-s", str(size), "-I", gateway, host]
            assert " 0% packet loss" in link.run_in_network(*line)
            assert difference(counted(link), before) == [[2, 4080]] * 4
            assert "too long" in link.shell(f"ping -c 1 -W 0.1 -M do -s {size + 1} {gateway} || true").lower()
        assert drops(link) == []


def counted(link: Link) -> list[list[int]]:
    """Packets and bytes of channel 0, by both sides and in both directions."""
    status = link.status()
    host, modem = status["host"]["channels"]["0"], status["modem"]["channels"][0]
    all_counters = (host["transmitted"], host["received"], modem["uplink"], modem["downlink"])
    return [[counters["packets"], counters["bytes"]] for counters in all_counters]


def difference(after: list[list[int]], before: list[list[int]]) -> list[list[int]]:
    return [[new - old for new, old in zip(*pair, strict=True)] for pair in zip(after, before, strict=True)]


@for_each_identity
def test_a_packet_longer_than_the_bearer_takes_goes_no_further(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ip link set wwan0 mtu 1600")
        wait_for(lambda: link.status()["host"]["channels"]["0"]["mtu"] == 1600, "the MTU to be noticed")
        assert " 0% packet loss" in link.shell("ping -c 1 -M do -s 1472 10.64.0.1")
        link.shell("ping -c 1 -W 0.1 -M do -s 1473 10.64.0.1 || true")
        uplink = link.status()["modem"]["channels"][0]["uplink"]
        assert uplink["drops"] == {"longer_than_mtu": 1}


@for_each_identity
def test_an_mtu_that_no_frame_holds_is_set_back(identity: str) -> None:
    with Link(identity, "--mtu", "2040") as link:
        link.shell("ip link set wwan0 mtu 4000")
        wait_for(lambda: link.shell("cat /sys/class/net/wwan0/mtu") == "2040", "the MTU to be set back")
        assert link.log().count("host = MTU 4000 of wwan0 exceeds 2040, set back") == 1
        assert link.status()["host"]["channels"]["0"]["mtu"] == 2040
        assert " 0% packet loss" in link.shell("ping -c 1 -M do -s 2012 10.64.0.1")


def test_an_mtu_that_is_set_back_is_said_without_being_asked() -> None:
    script = "ip link set wwan0 mtu 4000; until [ $(cat /sys/class/net/wwan0/mtu) = 2040 ]; do :; done"
    done = run_bamdmux("caller", "run", "--", "sh", "-c", script)
    assert "MTU 4000 of wwan0 exceeds 2040" in done.stderr


@for_the_weakest
def test_an_mtu_below_that_of_ipv6_takes_it_away_and_back(identity: str) -> None:
    with Link(identity) as link:
        before = link.shell("ip -6 -o address show dev wwan0 scope link | cut -d' ' -f7")
        link.shell("ip link set wwan0 mtu 1000")
        assert link.shell("ip -6 address show dev wwan0") == ""
        assert " 0% packet loss" in link.shell("ping -c 1 -s 1400 10.64.0.1")  # in fragments
        link.shell("ip link set wwan0 mtu 1500")
        show = "ip -6 -o address show dev wwan0 scope {} | cut -d' ' -f7"
        assert wait_for(lambda: link.shell(show.format("link")), "the link-local address") == before
        wait_for(lambda: link.shell(show.format("global")), "an address from the router")
        assert " 0% packet loss" in link.shell("ping -c 1 2001:db8:64::1")


# Down and up


@for_each_identity
def test_no_data_before_open_or_after_close_when_the_interface_falls_under_traffic(identity: str) -> None:
    with Link(identity) as link:
        local = link.shell("ip -6 -o address show dev wwan2 scope link")
        size = 40_000_000
        folder = scratch()
        link.shell(
            f"""
            curl -s -f --interface wwan2 http://10.64.2.1/bytes/{size} >{folder}/download &
            download=$!
            ping -f -q -I wwan2 10.64.2.1 >/dev/null 2>&1 & floods=$!
            ping -f -q -I wwan5 10.64.5.1 >/dev/null 2>&1 & floods="$floods $!"
            until [ -s {folder}/download ]; do sleep 0.01; done
            for i in $(seq 20); do
                ip link set wwan2 down
                ip link set wwan2 up
                ping -c 1 -w 5 -q -I wwan2 10.64.2.1 >/dev/null || exit 3
            done
            kill $floods
            wait $download || exit 4
            """,
            timeout=60,
        )
        digest = hashlib.sha256((folder / "download").read_bytes()).hexdigest()
        assert digest == reckoned_digest(size)
        modem = link.status()["modem"]
        # To a channel that is closed the modem sends nothing, and counts that: downlink. Never the other way.
        assert [modem["channels"][channel]["uplink"]["drops"] for channel in (2, 5)] == [{}, {}]
        assert modem["uplink_strays"]["drops"] == {}
        commands = [line for line in link.log() if re.fullmatch(r"modem < (OPEN|CLOSE) channel 2", line)]
        assert commands == ["modem < OPEN channel 2", "modem < CLOSE channel 2"] * 20 + commands[:1]
        assert link.shell("ip -6 -o address show dev wwan2 scope link") == local
        wait_for(lambda: link.shell("ip -6 -o address show dev wwan2 scope global"), "its address")
        assert " 0% packet loss" in link.shell("ping -c 1 -I wwan2 2001:db8:64:2::1")


@for_the_weakest
def test_a_way_out_that_fell_comes_back_by_itself_over_ipv6(identity: str) -> None:
    with Link(identity) as link:
        wait_for(lambda: "proto ra" in link.shell("ip -6 route show default"), "the router")
        link.shell("ip link set wwan0 down")
        assert link.shell("ip -6 route show default") == ""
        link.shell("ip link set wwan0 up")
        wait_for(lambda: "proto ra" in link.shell("ip -6 route show default"), "the router")
        assert " 0% packet loss" in link.shell("ping -c 1 2001:db8:64:7::1")


@for_the_weakest
def test_an_interface_that_is_down_is_closed_to_both_sides(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ip link set wwan6 down")
        wait_for(lambda: "modem < CLOSE channel 6" in link.log(), "the CLOSE")
        line = link.in_network("ping", "-c", "1", "-W", "0.1", "-I", "10.64.6.1", "10.64.6.2")
        assert subprocess.run(line, stdout=subprocess.DEVNULL, timeout=DEADLINE_SECONDS).returncode == 1
        dropped = lambda: link.status()["modem"]["channels"][6]["downlink"]["drops"]  # noqa: E731
        assert wait_for(dropped, "the packet to be dropped") == {"inactive_channel": 1}


# Power


def host_lines(link: Link, start: int) -> list[str]:
    """What the host logged of power."""
    return [
        line for line in link.log()[start:] if re.match("host (= (waking|suspending|modem power)|<|>)", line)
    ]


SUSPENDING = ["host = suspending", "host < ack", "host = modem power 0"]


@for_each_identity
def test_the_host_suspends_and_a_packet_wakes_it_as_in_the_kernel(identity: str) -> None:
    with Link(identity) as link:
        wait_until_suspended(link)
        start = len(link.log())
        assert link.status()["host"]["power"]["vote"] == "suspended"
        assert " 0% packet loss" in link.shell("ping -c 1 10.64.0.1")
        wait_until_suspended(link)
        assert host_lines(link, start) == [
            "host = waking",
            "host < ack",
            "host = modem power 1",
            "host > sending 1 frames that waited for power",
            *SUSPENDING,
        ]
        slept_after = times(link, "= suspending")[-1] - times(link, "frames that waited")[-1]
        assert 999 <= slept_after < 2500  # 1 s, and what a busy machine adds
        power = link.status()["host"]["power"]
        assert (power["votes"], power["acks"], power["failed_resumes"]) == (2, 4, 0)
        assert power["modem_up"] is False


@for_each_identity
def test_a_packet_from_the_network_wakes_the_host(identity: str) -> None:
    with Link(identity) as link:
        line = link.in_network("ping", "-c", "1", "-I", "10.64.5.1", "10.64.5.2")
        wait_until_suspended(link)
        start = len(link.log())
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE_SECONDS)
        wait_until_suspended(link)
        assert host_lines(link, start) == [
            "host = modem power 1",  # for receiving no vote is needed
            "host = waking",  # for the answer it is
            "host < ack",
            "host > sending 1 frames that waited for power",
            *SUSPENDING,
        ]
        assert drops(link) == []


@for_the_weakest
def test_an_idle_link_sleeps_and_so_does_its_process(identity: str) -> None:
    with Link(identity) as link:
        pid = link.status()["pid"]
        assert pid == link.process.pid
        link.shell("ip link delete wwan3")  # its TUN is in error from now on
        wait_until_suspended(link)
        before = wakeups(pid)
        time.sleep(3)  # a bound that is waited for: nothing may happen within
        assert wakeups(pid) == before
        assert int(status_field(pid, "VmRSS").split()[0]) < RSS_LIMIT_KB
        assert status_field(pid, "Threads") == "1"
        assert " 0% packet loss" in link.shell("ping -c 1 10.64.0.1")


RECEIVER = """
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("10.64.0.1", 9000))
receiver.settimeout(10)
print("bound", flush=True)
while (number := int(receiver.recv(100))) >= 0:
    print(number, flush=True)
"""

SENDER = """
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in [*range(200), -1]:
    sender.sendto(str(number).encode(), ("10.64.0.1", 9000))
"""


@for_the_weakest
def test_what_waited_for_power_arrives_in_order_and_nothing_overtakes(identity: str) -> None:
    script = scratch() / "sender.py"
    script.write_text(SENDER)
    with Link(identity) as link:
        line = link.in_network("/usr/bin/python3", "-c", RECEIVER)
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "bound\n"
            wait_until_suspended(link)
            link.shell(f"{link.python} {script}")
            received = [int(number) for number in receiver.stdout]
        assert received == list(range(200))  # 32 slots, a queue of 1000, and a receiver that holds 256
        assert drops(link) == []


# Other protocols


@for_the_weakest
def test_qmap_packets_pass_up(identity: str) -> None:
    """ETH_P_MAP: what a rmnet interface on top would send. The modem has no use for it yet."""
    script = scratch() / "send_map.py"
    script.write_text(
        "import socket\n"
        "sender = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)\n"
        "sender.sendto(bytes((0x00, 0x01, 0x00, 0x04, 1, 2, 3, 4)), ('wwan0', 0x00F9))\n"
    )
    with Link(identity) as link:
        before = link.status()["host"]["channels"]["0"]["transmitted"]
        link.shell(f"{link.python} {script}")
        dropped = lambda: link.status()["modem"]["channels"][0]["uplink"]["drops"]  # noqa: E731
        assert wait_for(dropped, "the frame to arrive") == {"no_bearer": 1}
        after = link.status()["host"]["channels"]["0"]["transmitted"]
        assert after["packets"] - before["packets"] == 1
        assert after["bytes"] - before["bytes"] == 8
        assert after["drops"] == {}


@for_the_weakest
def test_a_source_that_is_not_the_bearer_s_is_dropped_and_named(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ip address add 192.0.2.1/32 dev wwan0; ping -c 1 -W 0.1 -I 192.0.2.1 10.64.0.1 || true")
        dropped = lambda: link.status()["modem"]["channels"][0]["uplink"]["drops"]  # noqa: E731
        assert wait_for(dropped, "the packet to be dropped") == {"wrong_source": 1}
        text = link.shell(f"{link.python} -m bamdmux ctl $BAMDMUX_CTL status")
        assert "modem, channel 0 uplink: 1 dropped, wrong source" in text
