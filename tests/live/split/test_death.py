"""Either process dies, or stops, at any moment: the other goes on, and when it is back all is well."""

import json
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bamdmux.bam.memory import SLOT_COUNT
from tests.live.identities import (
    as_identity,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    scratch,
    wait_for,
)
from tests.live.split.processes import ADDRESS, GATEWAY, HostProgram, Load, ModemProgram, Pair, Place
from tests.live.test_command import status_field

pytestmark = [pytest.mark.live, needs_tun]

DEATHS = 20
FLOOD = f"""
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3000):
    sender.sendto(bytes(1000), ("{GATEWAY}", 9))
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def within(seconds: float, condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def link_of(place: Place, name: str = "wwan0") -> dict[str, Any]:
    (entry,) = json.loads(place.shell(f"ip -j address show {name}"))
    result: dict[str, Any] = entry
    return result


# kill -9


@for_each_identity
def test_a_killed_modem_leaves_interfaces_addresses_and_routes(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.place.shell("ip address add 192.0.2.7/24 dev wwan0; ip route add 198.51.100.0/24 dev wwan0")
    before, routes = link_of(pair.place), pair.place.shell("ip route")
    pair.modem.kill()
    wait_for(lambda: not pair.host.channel()["attached"], "the host to notice")
    status = pair.host.status()
    assert status["connection"]["state"] == "looking"
    assert not any(channel["attached"] or channel["open"] for channel in status["host"]["channels"].values())
    assert status["host"]["power"]["vote"] == "suspended"
    entry = link_of(pair.place)
    assert "NO-CARRIER" in entry["flags"]
    assert "UP" in entry["flags"]
    assert entry["ifindex"] == before["ifindex"]
    addresses = [{key: info[key] for key in ("local", "prefixlen")} for info in before["addr_info"]]
    assert [{key: info[key] for key in ("local", "prefixlen")} for info in entry["addr_info"]] == addresses
    kept = pair.place.shell("ip route").replace(" linkdown", "")
    assert [line.rstrip() for line in kept.splitlines()] == [line.rstrip() for line in routes.splitlines()]
    assert "is gone" in pair.host.log()
    pair.start_modem().wait_until_it_answers()
    within(1.0, pair.host.is_connected, "the host to find the modem")
    pair.host.wait_until_open()  # OPEN was sent again
    wait_for(lambda: "NO-CARRIER" not in link_of(pair.place)["flags"], "carrier")
    wait_for(lambda: pair.modem.status()["modem"]["channels"][0]["host_open"], "the OPEN")
    pair.host.ping()
    assert pair.host.status()["connection"]["connected"] == 2


@for_each_identity
def test_a_killed_host_is_followed_by_the_next(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.host.ping()
    kinds = pair.modem.descriptors()
    pair.host.kill()
    wait_for(lambda: pair.modem.status()["modem"] is None, "the modem to notice")
    assert "wwan" not in pair.place.shell("ip link")
    host = pair.start_host()
    host.configure()
    host.ping()
    wait_for(lambda: not Counter(pair.modem.descriptors()) - Counter(kinds), "all to be closed")
    assert pair.modem.maps_of_memory() == 1


@for_the_weakest
def test_a_connection_outlives_modems_and_hosts(identity: str, stack: ExitStack) -> None:
    load = Load(identity, stack)
    load.start_iperf()
    port = load.connection()[0]
    for number in range(DEATHS):
        if number % 2:
            load.modem.kill()
            load.start_modem()
        else:
            load.host.kill()
            load.start_host()
        load.wait_for_progress()
    assert load.connection()[0] == port


@for_the_weakest
def test_a_survivor_keeps_nothing_of_the_dead(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    before = pair.host.descriptors()
    for _ in range(3):
        pair.modem.kill()
        pair.start_modem().wait_for_host()
        pair.host.wait_until_open()
    # No more than before; then, the connection of who asked for its status may still have been there.
    wait_for(lambda: not Counter(pair.host.descriptors()) - Counter(before), "all to be closed")
    assert pair.host.maps_of_memory() == 1


@for_the_weakest
def test_whoever_comes_first_waits(identity: str, stack: ExitStack) -> None:
    """A host without a modem looks for it; a modem that dies while it is waited for changes nothing."""
    folder, place = scratch(), stack.enter_context(Place(identity))
    host = stack.enter_context(HostProgram(place, folder))
    host.wait_until_it_answers()
    assert host.status()["connection"]["state"] == "looking"
    modem = stack.enter_context(ModemProgram(identity, folder))
    host.wait_for_channel()
    modem.kill()
    stack.enter_context(ModemProgram(identity, folder)).wait_for_host()
    host.configure()
    host.ping()


@for_the_weakest
def test_a_second_host_gets_in_when_the_first_leaves(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    other = stack.enter_context(Place(identity))
    second = stack.enter_context(HostProgram(other, pair.folder, name="second"))
    wait_for(lambda: "another host is connected" in second.log(), "the refusal")
    pair.host.ping()
    assert second.status()["host"]["channels"] == {}
    assert pair.host.end() == 0
    second.configure()
    second.ping()
    assert second.log().count("another host is connected") == 1
    assert pair.modem.log().count("refused a host") < 15  # it asks about once a second


# Stopped


def drops_of(counters: dict[str, Any]) -> int:
    return int(counters["drops"].get("resume_failed", 0))


def wait_until_suspended(pair: Pair) -> None:
    def is_suspended() -> bool:
        host, modem = pair.host.status()["host"], pair.modem.status()["modem"]
        return (host["power"]["vote"], modem["power"]["state"]) == ("suspended", "down")

    wait_for(is_suspended, "both to suspend")


@for_the_weakest
def test_a_stopped_modem_costs_time_outs(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    wait_until_suspended(pair)
    pair.modem.send(signal.SIGSTOP)
    pair.place.attempt(f"ping -c 3 -i 0.1 -W 0.1 {GATEWAY}")

    def has_given_up() -> bool:
        host = pair.host.status()["host"]
        dropped = drops_of(host["channels"]["0"]["transmitted"])
        return bool(host["power"]["failed_resumes"] >= 1 and dropped >= 3)

    wait_for(has_given_up, "the driver to give up")
    assert pair.host.is_connected()  # it is slow, not dead
    pair.modem.send(signal.SIGCONT)
    pair.host.ping()


@for_the_weakest
def test_a_modem_that_stops_in_full_swing_goes_on(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.modem.send(signal.SIGSTOP)
    before = pair.host.channel()["transmitted"]["packets"]
    pair.place.shell(f"{as_identity(identity)[-1]} -c {shlex.quote(FLOOD)}")
    wait_for(lambda: sum(pair.host.status()["host"]["dropped_by_kernel"].values()) > 0, "a full queue")
    assert pair.host.channel()["transmitted"]["packets"] - before <= SLOT_COUNT
    pair.modem.send(signal.SIGCONT)
    wait_for(lambda: pair.host.channel()["transmitted"]["packets"] - before >= 1000, "what was queued")
    pair.host.ping()


@for_the_weakest
def test_a_stopped_host_costs_time_outs(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    wait_until_suspended(pair)
    pair.host.send(signal.SIGSTOP)
    subprocess.run(pair.modem.in_network("ping", "-q", "-c", "1", "-W", "0.1", ADDRESS), check=False)
    wait_for(lambda: pair.modem.status()["modem"]["power"]["ack_timeouts"], "the modem to give up")
    pair.host.send(signal.SIGCONT)
    pair.host.ping()


@for_the_weakest
def test_a_host_leaves_a_stopped_modem(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.modem.send(signal.SIGSTOP)
    assert pair.host.end() == 0
    assert "wwan" not in pair.place.shell("ip link")


@for_the_weakest
def test_a_modem_leaves_a_stopped_host(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.host.send(signal.SIGSTOP)
    assert pair.modem.end() == 0
    pair.start_modem()
    pair.host.send(signal.SIGCONT)
    pair.modem.wait_for_host()
    pair.host.wait_until_open()
    pair.host.ping()


# Idle


@for_each_identity
def test_idle_and_suspended_neither_process_wakes_up(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.host.ping()
    # An interface that is up solicits routers for a while, and each answer keeps the modem awake.
    pair.place.shell("sysctl -q -w net.ipv6.conf.wwan0.disable_ipv6=1")
    wait_until_suspended(pair)

    def switches() -> list[str]:
        return [status_field(program.pid, "voluntary_ctxt_switches") for program in (pair.host, pair.modem)]

    wait_for(lambda: all(is_asleep(program.pid) for program in (pair.host, pair.modem)), "both to sleep")
    before = switches()
    time.sleep(2)
    assert switches() == before
    pair.host.ping()


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
