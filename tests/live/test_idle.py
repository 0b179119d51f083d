"""Nobody wakes up for nothing: idle and suspended, after traffic, whatever the ring and the pump."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from bamdmux.pump import VARIABLE, is_native
from tests.live.identities import Link, for_the_weakest, needs_tun, wait_for
from tests.live.split.processes import Pair
from tests.live.test_command import status_field
from tests.live.test_traffic import FALLEN, times, wait_until_suspended

pytestmark = [pytest.mark.live, needs_tun]

IDLE_SECONDS: Final = 3  # a bound that is waited for: nothing may happen within
WINDOWS: Final = 3
FIVE_MEGABYTES: Final = 5_000_000
LARGE: Final = 512

# Ring, pump of the host (and of the fused process), pump of the modem.
CONFIGURATIONS = [(32, "native", "native"), (LARGE, "native", "native"), (32, "python", "python")]
SPLIT_CONFIGURATIONS = [*CONFIGURATIONS, (32, "native", "python"), (LARGE, "python", "native")]


def switches(pids: list[int]) -> list[str]:
    """How often each has gone to sleep by itself so far."""
    return [status_field(pid, "voluntary_ctxt_switches") for pid in pids]


def are_asleep(pids: list[int]) -> bool:
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in pids]
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


def assert_nobody_wakes_up(pids: list[int]) -> None:
    """For a while. Beside them sleeps who cannot wake up: if it does, the whole machine was stopped."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as sleeper:
        for _ in range(WINDOWS):
            wait_for(lambda: are_asleep([*pids, sleeper.pid]), "all to sleep")
            before, stopped = switches(pids), switches([sleeper.pid])
            time.sleep(IDLE_SECONDS)
            if switches([sleeper.pid]) == stopped:
                assert switches(pids) == before
                return
    raise AssertionError(f"this machine was stopped in each of {WINDOWS} times {IDLE_SECONDS} s")


@for_the_weakest
@pytest.mark.skipif(not is_native(), reason="the native pump was not built")
def test_idle_and_suspended_after_traffic_no_process_of_ours_wakes_up(
    identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        links = []
        for ring, pump, _ in CONFIGURATIONS:
            monkeypatch.setenv(VARIABLE, pump)
            links.append(stack.enter_context(Link(identity, f"--ring={ring}")))
        for link in links:
            link.shell(f"curl -s -f ${{BAMDMUX_HTTP}}bytes/{FIVE_MEGABYTES} >/dev/null")
        for link in links:
            wait_until_suspended(link)
        assert_nobody_wakes_up([link.process.pid for link in links])
        for link in links:
            assert " 0% packet loss" in link.shell("ping -c 1 10.64.0.1")


@for_the_weakest
@pytest.mark.skipif(not is_native(), reason="the native pump was not built")
def test_nor_does_either_of_two_processes(identity: str) -> None:
    with ExitStack() as stack:
        pairs = [
            Pair(identity, stack, "-vv", ring=ring, pumps=pumps) for ring, *pumps in SPLIT_CONFIGURATIONS
        ]
        for pair in pairs:
            pair.carry_down(FIVE_MEGABYTES)
            # An interface that is up solicits routers for a while, and each answer keeps the modem awake.
            pair.place.shell("sysctl -q -w net.ipv6.conf.wwan0.disable_ipv6=1")
        for pair in pairs:
            wait_for(lambda: pair.modem.log().splitlines()[-1].endswith(FALLEN), "the modem to fall")  # noqa: B023
        assert_nobody_wakes_up([program.pid for pair in pairs for program in (pair.host, pair.modem)])
        for pair in pairs:
            pair.host.ping()


@for_the_weakest
def test_a_host_that_dozes_suspends_in_time_too(identity: str) -> None:
    with Link(identity, "--split") as link:
        wait_until_suspended(link)
        link.shell("ping -c 1 10.64.0.1")
        wait_until_suspended(link)
        slept_after = times(link, "= suspending")[-1] - times(link, "frames that waited")[-1]
        assert 999 <= slept_after < 2500  # 1 s, and what a busy machine adds
