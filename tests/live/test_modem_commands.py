"""What `bamdmux ctl` does to a modem, seen by the other doors: QMI, AT, packets."""

import json
import shlex
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from bamdmux.errors import MachineError, UsageError
from bamdmux.live.control import request
from tests.live.identities import Link, for_each_identity, run_bamdmux, wait_for

pytestmark = pytest.mark.live

needs_qmicli = pytest.mark.skipif(shutil.which("qmicli") is None, reason="no qmicli; Debian: libqmi-utils")

# A line of AT and all that is answered, echo and final result included.
DIALOGUE = r"""
import os, re, select, sys
port = os.open("/dev/wwan0at0", os.O_RDWR | os.O_NOCTTY)
os.write(port, sys.argv[1].encode() + b"\r")
answer = b""
while not re.search(rb"\r\n(OK|ERROR|\+CME ERROR: .*)\r\n$", answer):
    assert select.select([port], [], [], 5)[0], answer
    answer += os.read(port, 4096)
print(answer.decode())
"""


@pytest.fixture(scope="module", params=["caller", "nobody", "split"])
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    """Links that all tests share: each test leaves it as it found it."""
    is_split = request.param == "split"
    with Link("caller" if is_split else request.param, *(["--split"] if is_split else [])) as shared:
        yield shared


def ask(link: Link, name: str, **arguments: object) -> Any:
    return request(link.control_path, name, **arguments)


def at(link: Link, line: str) -> str:
    """What the modem answers to a line of AT."""
    return link.shell(shlex.join([link.python, "-c", DIALOGUE, line]))


def control(link: Link) -> dict[str, Any]:
    status: dict[str, Any] = link.status()["control"]
    return status


def registration(link: Link) -> str:
    return str(control(link)["registration"]["state"])


def is_reachable(link: Link, channel: int = 0) -> bool:
    output = link.shell(f"ping -c 1 -W 1 -I wwan{channel} 10.64.{channel}.1 || true")
    return " 0% packet loss" in output


def test_the_signal_is_what_it_was_set_to(link: Link) -> None:
    assert ask(link, "signal", rsrp=-110)["signal"]["rsrp_dbm"] == -110
    assert control(link)["signal"]["rsrp_dbm"] == -110
    assert "+CESQ: 99,99,255,255,10,31" in at(link, "AT+CESQ")
    ask(link, "signal", rsrp=-80)
    assert "+CESQ: 99,99,255,255,22,61" in at(link, "AT+CESQ")


@needs_qmicli
def test_qmi_tells_the_same_signal(link: Link) -> None:
    ask(link, "signal", rsrp=-101)
    assert "RSRP: '-101 dBm'" in link.shell("qmicli -d /dev/wwan0qmi0 --nas-get-signal-info")


def test_without_a_network_in_reach_nothing_passes_and_with_one_it_does_again(link: Link) -> None:
    assert is_reachable(link)
    assert ask(link, "deregister")["registration"]["state"] == "searching"
    assert not is_reachable(link)
    assert "+CREG: 0,2" in at(link, "AT+CREG?")
    ask(link, "register")
    wait_for(lambda: registration(link) == "registered", "the modem to register")
    assert "+CREG: 0,1" in at(link, "AT+CREG?")
    assert is_reachable(link)


def test_a_network_may_be_another_s_or_not_want_us(link: Link) -> None:
    ask(link, "register", roaming=True)
    wait_for(lambda: registration(link) == "registered", "the modem to register abroad")
    assert control(link)["registration"]["roaming"] is True
    assert "+CREG: 0,5" in at(link, "AT+CREG?")
    ask(link, "deregister", denied=True)
    wait_for(lambda: registration(link) == "denied", "the network to refuse")
    assert "+CREG: 0,3" in at(link, "AT+CREG?")
    ask(link, "register")
    wait_for(lambda: registration(link) == "registered", "the modem to register")


def test_a_locked_sim_wants_its_pin_and_a_card_that_is_out_is_gone(link: Link) -> None:
    assert ask(link, "sim", action="lock")["sim"]["state"] == "pin-required"
    assert not is_reachable(link)
    assert "+CPIN: SIM PIN" in at(link, "AT+CPIN?")
    at(link, "AT+CPIN=1234")
    assert control(link)["sim"]["state"] == "ready"
    assert ask(link, "sim", action="remove")["sim"]["state"] == "absent"
    assert "ERROR" in at(link, "AT+CPIN?")
    ask(link, "sim", action="insert")
    at(link, "AT+CPIN=1234")
    at(link, 'AT+CLCK="SC",0,"1234"')
    wait_for(lambda: registration(link) == "registered", "the modem to register")
    assert is_reachable(link)


def test_a_bearer_that_the_network_drops_carries_nothing_and_counts_it(link: Link) -> None:
    def refused(direction: str) -> int:
        return int(link.status()["modem"]["channels"][1][direction]["drops"].get("no_bearer", 0))

    before = refused("uplink")
    assert ask(link, "bearer", action="drop", channel=1)["calls"]
    assert not is_reachable(link, 1)
    assert refused("uplink") > before
    assert is_reachable(link, 0)
    ask(link, "bearer", action="restore")
    assert is_reachable(link, 1)


def test_a_crash_hangs_up_ports_and_a_boot_brings_them_back(link: Link) -> None:
    """By the shell's own words, for it is the shell that would be hung up."""
    rises = link.status()["modem"]["power"]["rises"]
    node = link.shell("stat -c %i:%Y:%Z /dev/wwan0qmi0")
    assert ask(link, "crash", down_for_ms=50) == {"down_for_ms": 50}
    wait_for(lambda: (link.status()["modem"] or {}).get("booted"), "the modem to boot")
    wait_for(
        lambda: (link.status()["modem"] or {"power": {"rises": 0}})["power"]["rises"] > rises, "its power"
    )
    wait_for(lambda: "wwan0qmi0" in link.shell("ls /dev"), "the new nodes")
    assert link.shell("stat -c %i:%Y:%Z /dev/wwan0qmi0") != node
    assert "OK" in at(link, "AT")
    wait_for(lambda: is_reachable(link), "packets to pass again")


def test_a_restart_is_a_crash_that_is_soon_over(link: Link) -> None:
    assert ask(link, "restart")["down_for_ms"] > 0
    wait_for(lambda: (link.status()["modem"] or {}).get("booted"), "the modem to boot")
    wait_for(lambda: is_reachable(link), "packets to pass again")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("signal", {"rsrp": -141}),
        ("signal", {"rsrp": "loud"}),
        ("signal", {}),
        ("register", {"roaming": 1}),
        ("deregister", {"denied": "yes"}),
        ("sim", {"action": "melt"}),
        ("sim", {"action": ["lock"]}),
        ("bearer", {"action": "drop", "channel": 8}),
        ("bearer", {"action": "raise"}),
        ("crash", {"down_for_ms": -1}),
        ("crash", {"down_for_ms": True}),
    ],
)
def test_arguments_that_make_no_sense_are_refused_in_one_line(
    link: Link, name: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(UsageError) as caught:
        ask(link, name, **arguments)
    assert "\n" not in str(caught.value)


# The command line


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["signal", "-101"], "signal rsrp dbm  -101"),
        (["signal", "50%"], "signal rsrp dbm  -92"),
        (["register"], "registration state  registered"),
        (["sim", "insert"], "sim state  ready"),
        (["bearer", "restore", "0"], "calls  16"),
    ],
)
def test_the_command_line_says_what_is_so_now(link: Link, line: list[str], said: str) -> None:
    done = run_bamdmux("caller", "ctl", str(link.control_path), *line)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_the_command_line_speaks_json_too(link: Link) -> None:
    done = run_bamdmux("caller", "ctl", str(link.control_path), "signal", "--json", "-90")
    assert json.loads(done.stdout)["signal"]["rsrp_dbm"] == -90


@pytest.mark.parametrize(
    "line", [["signal", "loud"], ["signal", "nan%"], ["sim", "melt"], ["bearer", "drop", "9"]]
)
def test_the_command_line_refuses_nonsense(link: Link, line: list[str]) -> None:
    done = run_bamdmux("caller", "ctl", str(link.control_path), *line)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@for_each_identity
def test_with_bearers_down_only_a_client_brings_one_up(identity: str) -> None:
    with Link(identity, "--bearers", "down") as link:
        assert control(link)["calls"] == []
        link.shell("ip link set wwan2 up; ip address add 10.64.2.2/30 dev wwan2")
        assert not is_reachable(link, 2)
        assert "OK" in at(link, 'AT+CGDCONT=3,"IP","internet";+CGACT=1,3')
        assert is_reachable(link, 2)
        assert [(call["channel"], call["version"]) for call in control(link)["calls"]] == [(2, 4)]
        assert "OK" in at(link, "AT+CGACT=0,3")
        assert not is_reachable(link, 2)


def test_a_process_that_is_gone_is_one_line() -> None:
    with Link("caller") as link:
        path = link.control_path
    with pytest.raises(MachineError, match="still running"):
        request(path, "signal", rsrp=-90)
