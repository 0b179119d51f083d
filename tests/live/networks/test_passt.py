"""passt behind the modem: real ones, in a network of the test's own that reaches nobody."""

import shutil

import pytest

from bamdmux.errors import MachineError
from bamdmux.live.networks.passt import (
    PasstNetwork,
    default_interface4,
    default_interface6,
    first_resolver,
)
from bamdmux.modem.network import Bearer
from tests.live.identities import for_each_identity, needs_tun
from tests.live.networks.world import KNOWN_ADDRESS, digest, run_behind_passt

live = pytest.mark.live
needs_passt = pytest.mark.skipif(
    shutil.which("passt", path="/usr/bin:/usr/local/bin") is None,
    reason="passt is not installed; sudo apt-get install passt",
)

ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(5)
    client.connect(("10.64.0.1", 7))
    for length in (1, 1000, 1472):
        client.send(bytes(length))
        print(len(client.recv(65535)), end=" ")
"""


@live
@needs_tun
@needs_passt
@for_each_identity
def test_a_download_from_the_caller_s_loopback(identity: str) -> None:
    length = 20_000_000 // 256 * 256
    script = f"curl -sS -m 30 http://10.64.0.1:8000/{length} | sha256sum; echo ${{BAMDMUX_HTTP-none}}"
    outcome = run_behind_passt(identity, script, "--channels", "1")
    assert outcome.output.split() == [digest(length), "-", "none"], outcome.log
    assert (outcome.exit_code, outcome.left_count) == (0, 0)


@live
@needs_tun
@needs_passt
@for_each_identity
def test_downloads_at_the_same_time(identity: str) -> None:
    length = 4_000_000 // 256 * 256
    script = (
        f"for n in 1 2 3 4; do curl -sS -m 30 http://10.64.0.1:8000/{length} | sha256sum & done; wait; wait"
    )
    outcome = run_behind_passt(identity, script, "--channels", "1")
    assert outcome.output.split() == [digest(length), "-"] * 4, outcome.log


@live
@needs_tun
@needs_passt
@for_each_identity
def test_names_udp_and_pings(identity: str) -> None:
    script = f"""
cat /etc/resolv.conf
getent ahostsv4 modem.example | head -1
/usr/bin/python3 -c '{ECHO}'
for target in 10.64.0.1 2001:db8:64::1 192.0.2.2 2001:db8:1::2; do
    ping -c 1 -W 5 $target | grep -o '1 received'
done
"""
    outcome = run_behind_passt(identity, script, "--channels", "1")
    lines = outcome.output.splitlines()
    assert lines[1] == "nameserver 10.64.255.53", outcome.log
    assert lines[2].split()[0] == KNOWN_ADDRESS, outcome.log
    assert lines[3] == "1 1000 1472 1 received", outcome.output
    assert lines[4:] == ["1 received"] * 3, outcome.output


@live
@needs_tun
@needs_passt
@for_each_identity
def test_ipv6_reaches_the_caller_s_network(identity: str) -> None:
    length = 1_000_000 // 256 * 256
    script = f"curl -sS -m 30 'http://[2001:db8:1::2]:8000/{length}' | sha256sum"
    outcome = run_behind_passt(identity, script, "--channels", "1")
    assert outcome.output.split() == [digest(length), "-"], outcome.log


@live
@needs_tun
@needs_passt
@for_each_identity
def test_without_any_route_there_is_the_loopback_and_ipv6_is_refused_at_once(identity: str) -> None:
    script = """
curl -sS -m 30 http://10.64.0.1:8000/2560 | sha256sum
curl -sS -m 5 'http://[2001:db8:1::2]:8000/256' 2>&1
"""
    outcome = run_behind_passt(identity, script, "--channels", "1", kind="loopback")
    first, second = outcome.output.splitlines()
    assert first.split()[0] == digest(2560)
    assert second.startswith("curl: (7)")
    assert "no further than its loopback" in outcome.log
    assert "only IPv4 gets beyond the modem" in outcome.log


@live
@needs_tun
@needs_passt
def test_other_bearers_are_refused_and_counted() -> None:
    script = f"""
curl -sS -m 1 --interface wwan1 http://10.64.0.1:8000/256 2>&1 | head -c 9; echo
{shutil.which("python3", path="/usr/bin")} -m bamdmux ctl $BAMDMUX_CTL status --json
"""
    outcome = run_behind_passt("caller", script, "--channels", "2")
    assert outcome.output.startswith("curl: (28"), outcome.output
    assert '"device_refused": ' in outcome.output
    assert '"kind": "passt"' in outcome.output
    assert "passt serves wwan0 only; packets of wwan1 are dropped" in outcome.log


@live
@needs_tun
@needs_passt
@for_each_identity
def test_the_run_goes_on_when_passt_is_killed(identity: str) -> None:
    script = """
curl -sS -m 3 http://10.64.0.1:8000/256000000 -o /dev/null & sleep 0.5
touch $OUTSIDE/kill-passt
while ! [ -e $OUTSIDE/killed-passt ]; do sleep 0.01; done
wait; sleep 1
curl -sS -m 1 http://10.64.0.1:8000/256 2>&1; echo still here
exit 7
"""
    outcome = run_behind_passt(identity, script, "--channels", "1")
    assert outcome.output.splitlines()[-1] == "still here", outcome.log
    assert outcome.log.count("passt is gone") == 1
    assert (outcome.exit_code, outcome.killed_count, outcome.left_count) == (7, 1, 0)


@live
@needs_tun
@needs_passt
@for_each_identity
def test_no_passt_is_left_when_bamdmux_is_killed(identity: str) -> None:
    outcome = run_behind_passt(identity, "touch $OUTSIDE/kill-bamdmux; sleep 30", "--channels", "1")
    assert (outcome.exit_code, outcome.killed_count, outcome.left_count) == (-9, 1, 0)


def test_a_machine_without_passt_says_what_to_install() -> None:
    with pytest.raises(MachineError, match="passt is not installed; sudo apt-get install passt"):
        PasstNetwork.create([Bearer(0)], program="passt-that-is-not-there")


@pytest.mark.parametrize(
    ("program", "reason"), [("false", "passt has ended: it says nothing"), ("ls", "passt has ended: ")]
)
def test_what_is_no_passt_ends_in_one_line(program: str, reason: str) -> None:
    with pytest.raises(MachineError) as caught:
        PasstNetwork.create([Bearer(0)], program=program)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_the_best_default_route_of_ipv4() -> None:
    table = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
wlan0 00000000 010200C0 0003 0 0 600 00000000 0 0 0
eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0
"""
    assert default_interface4(table) == "eth0"
    assert default_interface4(table.splitlines()[0]) is None
    assert default_interface4("") is None


def test_the_best_default_route_of_ipv6() -> None:
    nowhere, net = "0" * 32, "fe80" + "0" * 28
    table = f"""\
{nowhere} 00 {nowhere} 00 {net} 00000400 00000001 00000000 00000003 wlan0
{nowhere} 00 {nowhere} 00 {net} 00000064 00000001 00000000 00000003 eth0
{nowhere} 00 {nowhere} 00 {nowhere} ffffffff 00000001 00000000 00200200 lo
{net} 40 {nowhere} 00 {nowhere} 00000001 00000001 00000000 00000001 eth0
"""
    assert default_interface6(table) == "eth0"
    assert default_interface6("") is None


def test_the_first_resolver_with_ipv4() -> None:
    text = "# nameserver 192.0.2.1\nnameserver\nnameserver fe80::1%eth0\nsearch a\nnameserver 192.0.2.2 x\n"
    assert str(first_resolver(text)) == "192.0.2.2"
    assert first_resolver("search example\n") is None
