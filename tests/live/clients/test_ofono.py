"""`bamdmux run --ofono`: Debian's oFono finds the modem, brings it into the network, and packets pass."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.live.identities import (
    Link,
    as_identity_after,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_bamdmux,
    run_line,
    wait_for,
)

SCRIPTS = Path("/usr/share/ofono/scripts")  # oFono's own clients, which are used as they are
STORAGE = Path("/var/lib/ofono")
IMSI = "001010123456789"
ALL_LOST = "100% packet loss"

pytestmark = [
    pytest.mark.live,
    needs_tun,
    pytest.mark.skipif(
        shutil.which("ofonod", path=f"{os.environ.get('PATH')}:/usr/sbin") is None,
        reason="no ofonod; apt-get install ofono",
    ),
]
needs_scripts = pytest.mark.skipif(
    not (SCRIPTS / "list-modems").exists(), reason="no scripts of oFono; apt-get install ofono-scripts"
)
needs_qmicli = pytest.mark.skipif(
    shutil.which("qmicli") is None, reason="no qmicli; apt-get install libqmi-utils"
)
both_ways = pytest.mark.parametrize("options", [[], ["--split"]], ids=["fused", "split"])


def ofono_link(identity: str, *options: str, channels: int = 1) -> Link:
    return Link(identity, "--ofono", f"--channels={channels}", *options)


def bamdmux(link: Link, line: str) -> str:
    """Run bamdmux behind the modem; what it printed."""
    return link.shell(f"{link.python} -m bamdmux {line}", timeout=60)


def refusal(link: Link, line: str) -> str:
    """Run bamdmux behind the modem, which must fail; what it said."""
    return bamdmux(link, f"{line} && exit 1 || true")


def connect(link: Link, *options: str) -> dict[str, object]:
    said = bamdmux(link, f"connect --json {' '.join(options)}")
    answer: dict[str, object] = json.loads(said.splitlines()[-1])
    return answer


def ping(link: Link, address: str = "$BAMDMUX_GATEWAY4") -> str:
    return link.shell(f"ping -c 2 -i 0.2 -W 1 {address} || true")


def modem_properties(link: Link) -> dict[str, str]:
    """What oFono's `list-modems` prints, without its levels."""
    lines = link.shell(str(SCRIPTS / "list-modems")).splitlines()
    return dict(re.split(" = ?", line.strip(), maxsplit=1) for line in lines if " =" in line)


def ofono_log(link: Link) -> str:
    return link.shell('cat "$BAMDMUX_OFONO_LOG"')


# The way up


@for_each_identity
@needs_scripts
def test_ofono_finds_the_modem_and_its_own_scripts_bring_it_into_the_network(identity: str) -> None:
    with ofono_link(identity) as link:
        assert any("oFono found the modem after" in line for line in link.log())
        found = modem_properties(link)
        assert (found["Powered"], found["Online"]) == ("0", "0")
        link.shell(f"{SCRIPTS}/enable-modem")
        powered = wait_for(lambda: is_with_sim(modem_properties(link)), "the SIM")
        assert powered["Present"] == "1"
        assert powered["SubscriberIdentity"] == IMSI
        assert powered["Manufacturer"] == "QUALCOMM INCORPORATED"
        link.shell(f"{SCRIPTS}/online-modem")
        attached = wait_for(lambda: is_attached(modem_properties(link)), "attached")
        assert (attached["Online"], attached["Status"]) == ("1", "registered")
        assert attached["MobileCountryCode"] + attached["MobileNetworkCode"] == IMSI[:5]
        log = ofono_log(link)
        assert "name: (null), type: quectelqmi" in log
        assert "ofono_modem_set_driver() type: gobi" in log


def is_with_sim(properties: dict[str, str]) -> dict[str, str]:
    return properties if "SubscriberIdentity" in properties else {}


def is_attached(properties: dict[str, str]) -> dict[str, str]:
    return properties if properties.get("Attached") == "1" else {}


@for_each_identity
def test_packets_pass_while_the_context_is_active_and_only_then(identity: str) -> None:
    with ofono_link(identity) as link:
        assert "unreachable" in ping(link)
        answer = connect(link)
        assert (answer["interface"], answer["addresses"]) == ("wwan0", ["10.64.0.2/30"])
        assert answer["gateways"] == ["10.64.0.1"]
        assert " 0% packet loss" in ping(link)
        assert "over BAM-DMUX" in link.shell('curl -s "$BAMDMUX_HTTP"')
        status = link.status()["control"]
        assert [(call["channel"], call["version"]) for call in status["calls"]] == [(0, 4)]
        bamdmux(link, "disconnect")
        assert link.status()["control"]["calls"] == []
        assert "unreachable" in ping(link)
        link.shell("ip link set wwan0 up; ip route replace default dev wwan0")
        assert ALL_LOST in ping(link)  # whoever goes on sending: no bearer is up
        connect(link)
        assert " 0% packet loss" in ping(link)


@for_the_weakest
def test_it_connects_either_version_of_ip_and_says_that_it_cannot_do_both(identity: str) -> None:
    with ofono_link(identity) as link:
        (address,) = connect(link, "--ip-type", "ipv6")["addresses"]  # type: ignore[misc]
        assert address.startswith("2001:db8:64:0:")
        assert " 0% packet loss" in ping(link, "$BAMDMUX_GATEWAY6")
        assert connect(link, "--ip-type", "ipv4")["addresses"] == ["10.64.0.2/30"]
        assert " 0% packet loss" in ping(link)
        said = refusal(link, "connect --ip-type ipv4v6")
        assert said == "bamdmux: oFono's driver for QMI connects one version of IP: --ip-type ipv4 or ipv6"
        assert "one data call at a time" in refusal(link, "connect --another")
        assert refusal(link, "connect --apn unknown") == "bamdmux: oFono refuses: Operation failed"
        assert connect(link)["interface"] == "wwan0"


@for_the_weakest
def test_a_sim_that_is_locked_needs_its_pin(identity: str) -> None:
    with ofono_link(identity) as link:
        bamdmux(link, """ctl "$BAMDMUX_CTL" sim lock""")
        assert refusal(link, "connect") == "bamdmux: the SIM wants its PIN: --pin"
        assert "oFono refuses" in refusal(link, "connect --pin 9999")
        assert connect(link, "--pin", "1234")["interface"] == "wwan0"
        assert " 0% packet loss" in ping(link)


@for_the_weakest
def test_without_a_sim_it_is_told(identity: str) -> None:
    with ofono_link(identity) as link:
        bamdmux(link, """ctl "$BAMDMUX_CTL" sim remove""")
        assert refusal(link, "connect") == "bamdmux: there is no SIM"


# What goes wrong


@for_the_weakest
@both_ways
def test_after_a_crash_of_the_modem_there_is_an_ofono_again_that_connects(
    identity: str, options: list[str]
) -> None:
    with ofono_link(identity, *options) as link:
        connect(link)
        old = link.shell("pidof ofonod")
        bamdmux(link, 'ctl "$BAMDMUX_CTL" restart')
        wait_for(lambda: link.shell("pidof ofonod || true") not in ("", old), "a new oFono")
        assert ALL_LOST in ping(link)
        connect(link)
        assert " 0% packet loss" in ping(link)


@for_the_weakest
def test_who_connects_while_the_modem_is_dead_waits_for_it(identity: str) -> None:
    with ofono_link(identity) as link:
        bamdmux(link, 'ctl "$BAMDMUX_CTL" crash')
        connect(link)
        assert " 0% packet loss" in ping(link)


@for_the_weakest
def test_the_command_goes_on_when_somebody_kills_ofono(identity: str) -> None:
    with ofono_link(identity) as link:
        link.shell("kill -9 $(pidof ofonod)")
        line = wait_for(lambda: next((line for line in link.log() if "has ended" in line), ""), "the news")
        assert "oFono has ended (signal 9, SIGKILL); its last words:" in line
        assert line.endswith("; the command goes on")
        assert link.shell("echo alive") == "alive"


def test_without_ofono_it_is_one_line_with_the_package() -> None:
    line = as_identity_after(
        "caller",
        "mount --bind /dev/null $(PATH=$PATH:/usr/sbin command -v ofonod)",
        *("-m", "bamdmux", "run", "--ofono", "--", "true"),
    )
    done = run_line(line)
    assert done.returncode == 1
    assert done.stderr == "bamdmux: ofonod is not installed; on Debian: sudo apt-get install ofono\n"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--modem-manager"], "ModemManager and oFono both want the modem; choose one"),
        (["--profile", "shikra"], "oFono opens no data port and knows channel 0 only"),
    ],
)
def test_what_ofono_cannot_do_is_refused_before_anything_starts(options: list[str], complaint: str) -> None:
    done = run_bamdmux("caller", "run", "--ofono", *options, "--", "true")
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


# What there is besides


@for_the_weakest
@needs_qmicli
def test_libqmi_finds_the_modem_on_usb_as_well(identity: str) -> None:
    with ofono_link(identity, channels=2) as link:
        assert link.shell("ls /sys/class/net /sys/class/usbmisc").split() == [
            *("/sys/class/net:", "lo", "wwan0", "wwan1"),
            *("/sys/class/usbmisc:", "cdc-wdm0"),
        ]
        assert sorted(port["name"] for port in link.status()["ports"]) == ["cdc-wdm0", "wwan0at0"]
        for way in ("", "-p"):  # by the node, while oFono leaves it alone; and by the proxy
            said = link.shell(f"qmicli {way} -d /dev/cdc-wdm0 --dms-get-manufacturer")
            assert "QUALCOMM INCORPORATED" in said


def test_nothing_is_left_behind() -> None:
    stored = listing(STORAGE)
    with ofono_link("caller") as link:
        connect(link)
        folder = Path(link.variables["BAMDMUX_OFONO_LOG"]).parent
        assert folder.is_dir()
        assert processes_with(f"unix:path={folder}/bus")
    wait_for(lambda: not processes_with(f"unix:path={folder}/bus"), "the end of its processes")
    assert not folder.exists()
    assert listing(STORAGE) == stored


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in (folder, *folder.rglob("*")))


def processes_with(text: str) -> list[int]:
    """The processes that have this in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        if re.fullmatch(r"\d+", entry):
            try:
                environment = Path("/proc", entry, "environ").read_bytes()
            except OSError:
                continue  # it has ended, or is none of ours
            if text.encode() in environment:
                found.append(int(entry))
    return found
