"""Real programs on a link with faults: each does what it says, then traffic goes on; all ends in order."""

import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bamdmux.live.control import request
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import Family
from tests.live.identities import (
    Link,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_bamdmux,
    run_python,
    wait_for,
)

pytestmark = [
    pytest.mark.live,
    needs_tun,
    *(
        pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program}")
        for program in ("ping", "curl")
    ),
]

GATEWAY = "10.64.0.1"
# For an echo after the worst of them: dead for 3 s, a second without channels, a restart; several times.
RETURN_SECONDS = 20
ONE_PING = f"ping -q -c 1 -W 0.3 {GATEWAY} >/dev/null 2>&1"


def fault(link: Link, action: str, name: str | None = None, rate: float | None = None) -> dict[str, Any]:
    """Ask for faults, and return those that are set by their names."""
    wish = {key: value for key, value in {"name": name, "rate": rate}.items() if value is not None}
    answer = request(link.control_path, "fault", action=action, **wish)  # type: ignore[arg-type]
    return {each["name"]: each for each in answer["active"]}


def pings(link: Link, count: int = 5) -> int:
    """How many of so many echoes come back."""
    said = link.shell(f"ping -q -c {count} -i 0.01 -W 0.2 {GATEWAY} 2>&1; true")
    found = re.search(r"(\d+) received", said)
    return int(found[1]) if found else 0  # `found` is None: there is no way to there


def wait_for_an_echo(link: Link) -> None:
    """Until the link works again."""
    link.shell(f"until {ONE_PING}; do sleep 0.05; done", RETURN_SECONDS)


def drops(link: Link) -> Counter[str]:
    """What both sides have dropped, by reason."""
    status = link.status()
    channels = [*status["host"]["channels"].values(), *status["modem"]["channels"]]
    directions = ("transmitted", "received", "uplink", "downlink")
    counters = [channel[name] for channel in channels for name in directions if name in channel]
    counters += [status["host"]["unassigned"]]
    counters += [status["modem"]["uplink_strays"], status["modem"]["downlink_strays"]]
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter["drops"])
    return total


# Each family


SPOILED = {
    "bad-magic": "bad_magic",
    "uplink-zero-length": "empty",
    "tun-full": "device_refused",
    "network-full": "device_refused",
    "wrong-source": "wrong_source",
}


@for_each_identity
def test_what_is_spoiled_or_refused_is_dropped_and_counted(identity: str) -> None:
    expected: Counter[str] = Counter()
    with Link(identity, "--channels", "1") as link:
        for name, reason in SPOILED.items():
            fault(link, "set", name, 1.0)
            assert pings(link) == 0
            expected[reason] += 5
            assert drops(link) == expected
            assert fault(link, "clear", name) == {}
            assert pings(link) == 5
            assert drops(link) == expected
        assert link.end() == 0


@for_the_weakest
def test_a_lost_frame_is_counted_by_nobody_and_a_duplicate_arrives_twice(identity: str) -> None:
    with Link(identity, "--channels", "1") as link:
        fault(link, "set", "lost-frame", 1.0)
        assert pings(link) == 0
        assert fault(link, "list")["lost-frame"]["strikes"] == 5
        assert drops(link) == {}
        fault(link, "clear")
        fault(link, "set", "duplicate-frame", 1.0)
        said = link.shell(f"ping -q -c 5 -i 0.02 {GATEWAY}")
        assert re.search(r"\+[45] duplicates", said), said  # ping does not wait for the last one


@for_the_weakest
def test_a_vote_that_nobody_acks_fails_and_the_next_one_does_not(identity: str) -> None:
    with Link(identity, "--channels", "1") as link:
        wait_for(lambda: link.status()["host"]["power"]["vote"] == "suspended", "the host to suspend")
        wait_for(lambda: link.status()["modem"]["power"]["state"] == "down", "the modem to sleep")
        fault(link, "set", "lost-modem-ack", 1.0)
        assert pings(link, 1) == 0
        wait_for(lambda: link.status()["host"]["power"]["failed_resumes"] == 1, "the wait to be over")
        assert drops(link) == {"resume_failed": 1}
        fault(link, "clear")
        wait_for_an_echo(link)


@for_the_weakest
def test_a_connection_survives_the_death_of_the_modem(identity: str) -> None:
    with Link(identity) as link:
        fault(link, "set", "modem-dies-amid-downlink", 0.2)
        link.start("curl -s -f --max-time 30 ${BAMDMUX_HTTP}bytes/2000000 | wc -c")
        wait_for(lambda: not link.status()["modem"]["booted"], "the modem to die")
        assert fault(link, "clear") == {}
        assert link.finish(40) == "2000000"
        assert link.status()["modem"]["power"]["rises"] >= 2
        assert drops(link).keys() <= {
            reason.name.lower() for reason in FAULTS["modem-dies-after-ack"].explains
        }


@for_the_weakest
def test_interfaces_come_back_with_the_driver_and_are_set_up_again(identity: str) -> None:
    def link_of(link: Link) -> tuple[int, list[str]]:
        (shown,) = json.loads(link.shell("ip -j address show dev wwan0"))
        return shown["ifindex"], [each["local"] for each in shown["addr_info"] if each["scope"] == "global"]

    with Link(identity, "--split") as link:  # in one process: see test_after_any_fault_the_link_works_again
        index, addresses = link_of(link)
        fault(link, "set", "host-dies-amid-uplink", 1.0)
        assert pings(link) <= 1
        fault(link, "clear")
        wait_for_an_echo(link)
        new_index, new_addresses = link_of(link)
        assert new_index > index
        assert new_addresses[0] == addresses[0] == "10.64.0.2"
        assert len(new_addresses) == len(addresses)
        assert link.end() == 0


@for_the_weakest
def test_a_run_whose_driver_is_away_ends_in_order(identity: str) -> None:
    with Link(identity) as link:
        fault(link, "set", "host-dies-amid-uplink", 1.0)
        link.start("ping -c 1 -W 0.1 10.64.0.1; true")
        wait_for(lambda: not link.status()["host"]["channels"], "the driver to die")
        assert link.status()["host"]["power"]["suspended_ms"] < 10_000
        link.finish()
        assert link.end() == 0
        assert not [line for line in link.log() if "Traceback" in line]


@for_the_weakest
def test_a_channel_that_is_closed_in_use_is_open_again_before_long(identity: str) -> None:
    with Link(identity, "--channels", "1") as link:
        fault(link, "set", "close-while-open", 1.0)
        pings(link)
        fault(link, "clear")
        wait_for_an_echo(link)
        assert [line for line in link.log() if "CLOSE channel 0" in line]


# All of them


@pytest.fixture(scope="module")
def shared_link() -> Iterator[Link]:
    with Link("caller", "--seed", "1") as link:
        yield link


def strikes_at_a_ping(name: str) -> bool:
    """Others wait for power, for a channel that closes, or for one that is not open yet."""
    if FAULTS[name].family in (Family.POWER, Family.CRASH):
        return (
            "spurious" in name or "amid" in name or name in ("power-falls-while-voted", "hidden-power-cycle")
        )
    return name not in ("data-before-open", "open-while-closing")


@pytest.mark.parametrize("name", FAULTS)
def test_after_any_fault_the_link_works_again(shared_link: Link, name: str) -> None:
    def strikes_so_far() -> int:
        pings(shared_link)
        strikes: int = fault(shared_link, "list")[name]["strikes"]
        return strikes

    assert fault(shared_link, "set", name, 1.0).keys() == {name}
    if strikes_at_a_ping(name):
        wait_for(strikes_so_far, "the fault to strike")
    else:
        pings(shared_link)
    assert fault(shared_link, "clear", name) == {}
    wait_for_an_echo(shared_link)


# From the start, and by chance


@for_the_weakest
def test_a_fault_is_there_from_the_start(identity: str) -> None:
    with Link(identity, "--fault", "lost-frame=1", "--fault", "late-doorbell", "--seed", "5") as link:
        active = fault(link, "list")
        assert {name: each["rate"] for name, each in active.items()} == {
            "lost-frame": 1.0,
            "late-doorbell": 0.1,
        }
        assert link.status()["faults"]["seed"] == 5
        assert pings(link, 2) == 0


@for_the_weakest
def test_the_seed_decides_which_packets_are_lost(identity: str) -> None:
    seen = []
    for _ in range(2):
        with Link(identity, "--seed", "5", "--channels", "1") as link:
            fault(link, "set", "lost-frame", 0.5)
            said = link.shell(f"ping -c 20 -i 0.01 -W 0.2 {GATEWAY}; true")
            seen.append(re.findall(r"icmp_seq=(\d+)", said))
    assert 0 < len(seen[0]) < 20
    assert seen[0] == seen[1]


# Two processes


@for_the_weakest
def test_each_half_of_two_does_what_lies_on_it(identity: str) -> None:
    with Link(identity, "--split", "--channels", "1", "--fault", "uplink-bad-magic=1") as link:
        assert pings(link, 2) == 0
        fault(link, "clear", "uplink-bad-magic")
        fault(link, "set", "tun-full", 1.0)
        assert fault(link, "set", "truncated-transfer", 1.0).keys() == {"tun-full", "truncated-transfer"}
        assert pings(link, 2) == 0
        assert drops(link) == {"bad_magic": 3, "truncated": 2}  # and a router solicitation
        assert fault(link, "clear") == {}
        assert pings(link, 2) == 2


@for_the_weakest
def test_a_modem_that_had_to_be_started_again_has_its_faults_again(identity: str) -> None:
    with Link(identity, "--split", "--fault", "lost-frame=0.5", "--fault", "duplicate-frame") as link:
        fault(link, "clear", "duplicate-frame")
        os.kill(request(link.control_path.parent / "modem-control", "status")["pid"], signal.SIGKILL)
        wait_for(lambda: fault(link, "list").keys() == {"lost-frame"}, "the fault of the next modem")
        wait_for_an_echo(link)


# Bare


BARE = """
import gc
from bamdmux.live.fused import FusedLink
from bamdmux.live.loop import Loop
from bamdmux.live.networks import open_network
from bamdmux.live.addresses import prepare_namespace
from bamdmux.live.namespaces import NetworkNamespace, enter_user_namespace
from bamdmux.middleware.catalog import FAULTS
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from bamdmux.timing import SECOND

WRAPS = ("bamdmux.middleware.pipes", "bamdmux.middleware.signals", "bamdmux.middleware.devices",
         "bamdmux.middleware.overlay")

def wraps():
    gc.collect()
    return [each for each in gc.get_objects() if type(each).__module__ in WRAPS]

enter_user_namespace()
namespace = NetworkNamespace.create()
profile = load_profile()
bearers = [each for each in PacketDataNetwork(profile.channels).bearers if each is not None]
network = open_network("internal", bearers)
namespace.run(prepare_namespace)
loop = Loop()
link = FusedLink(loop, profile, namespace, network)
machines = link.host.far, link._modem.far
assert machines == (link._modem.modem, link.host.driver)
parts = [part for side in (link.host, link._modem) for _, part in side.parts()]
before = [dict(vars(part)).keys() for part in parts]
sides = list(link.runner._sides)
assert not wraps()
link.start()
assert link.runner.run_until(lambda: len(link.host.tuns) == 8, 10 * SECOND)
assert not wraps()
for fault in FAULTS.values():
    link.faults.set(fault, 1e-9)
assert len(wraps()) > 76
assert link.host.far is not machines[0]
link.faults.clear()
link.runner.settle()
assert not wraps(), wraps()
assert (link.host.far, link._modem.far) == machines
assert [dict(vars(part)).keys() for part in parts] == before
assert list(link.runner._sides) == sides
link.close()
network.close()
print("bare")
"""


@for_the_weakest
def test_without_faults_and_after_them_nothing_is_wrapped(identity: str) -> None:
    assert run_python(identity, BARE) == "bare"


# Saying so


@for_the_weakest
def test_faults_are_set_and_cleared_on_the_command_line(identity: str) -> None:
    with Link(identity) as link:
        ctl = f"{link.python} -m bamdmux ctl $BAMDMUX_CTL"
        assert link.shell(f"{ctl} fault list") == "no faults"
        assert link.shell(f"{ctl} fault set lost-frame=0.25") == "fault  lost-frame at 0.25, struck 0 times"
        assert "fault  lost-frame at 0.25, struck " in link.shell(f"{ctl} status")
        (active,) = json.loads(link.shell(f"{ctl} fault set lost-frame --json"))["active"]
        assert active == {
            "name": "lost-frame",
            "family": "delivery",
            "description": FAULTS["lost-frame"].description,
            "rate": 0.02,
            "strikes": active["strikes"],
        }
        assert link.shell(f"{ctl} fault clear") == "no faults"
        for wish, complaint in (
            ("set lost-fram", "fault 'lost-fram' is unknown; did you mean lost-frame or late-frame"),
            ("set lost-frame=2", "rate '2' is not above 0 and at most 1"),
            ("clear lost-frame", "fault 'lost-frame' is not set; none is"),
        ):
            said = link.shell(f"{ctl} fault {wish}; echo code $?")
            assert complaint in said
            assert said.endswith("code 2")
            assert len(said.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--fault", "lost-fram"], "fault 'lost-fram' is unknown; did you mean lost-frame or"),
        (["run", "--fault", "lost-frame=x"], "rate 'x' is not above 0 and at most 1"),
        (["run", "--split", "--fault", "early-modem-ack"], "needs both halves in one process; use"),
        (["host", "--connect", "nowhere", "--fault", "bad-magic"], "bamdmux modem --fault bad-magic"),
        (["modem", "--listen", "nowhere", "--fault", "tun-full"], "bamdmux host --fault tun-full"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], complaint: str) -> None:
    done = run_bamdmux("caller", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert complaint in done.stderr


@pytest.mark.parametrize("name", ["run", "host", "modem"])
def test_all_faults_are_listed(name: str) -> None:
    done = run_bamdmux("caller", name, "--fault", "list")
    assert (done.returncode, done.stderr) == (0, "")
    named = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert named[: len(FAULTS)] == list(FAULTS)  # those of the control plane follow
