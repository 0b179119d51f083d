"""A peer that writes anything anywhere at any time: `hostile_peer.py` against the real programs."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.identities import (
    DEADLINE_SECONDS,
    as_identity,
    environment,
    for_the_weakest,
    needs_tun,
    scratch,
    wait_for,
)
from tests.live.split.processes import ADDRESS, GATEWAY, HostProgram, ModemProgram, Place

pytestmark = [pytest.mark.live, needs_tun]

PEER = Path(__file__).parent / "hostile_peer.py"
RSS_LIMIT_KB = 60 * 1024
GROWTH_LIMIT_KB = 4096  # once everything is loaded; a leak of one object for each frame would be far more
WARM_UP_CONNECTIONS = 5

# What a user may do meanwhile; $1 is the folder with the links to the control ports.
USER = f"""
while sleep 0.01 && kill -0 $$; do  # as long as the shell around it lives
    printf 'AT\\r' | timeout 0.1 dd of=$1/wwan0at0 oflag=nonblock
    timeout 0.1 dd if=$1/wwan0qmi0 iflag=nonblock
done &
while sleep 0.05; do
    for channel in 0 1 7; do ip link set wwan$channel up; done
    ip address replace {ADDRESS}/30 dev wwan0
    ping -q -c 20 -i 0.002 -W 0.1 {GATEWAY}
    ip link set wwan0 down
done
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, *line: str) -> subprocess.Popen[str]:
    process = stack.enter_context(
        subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    )
    stack.callback(process.kill)
    return process


def attack_both(identity: str, stack: ExitStack, seconds: int) -> None:
    """A hostile modem for a host, a hostile host for a modem, for so long; then each an honest one."""
    folders = scratch(), scratch()  # of our host, of our modem
    place, other = stack.enter_context(Place(identity)), stack.enter_context(Place(identity))
    program = str(shutil.copy(PEER, scratch()))
    Path(program).chmod(0o644)
    ports = scratch()
    host = stack.enter_context(HostProgram(place, folders[0], ports=ports))
    modem = stack.enter_context(ModemProgram(identity, folders[1]))
    for survivor in (host, modem):
        survivor.wait_until_it_answers()
    attackers = [
        start(stack, *as_identity(identity, program, role, str(folder / "link"), "--seconds", str(seconds)))
        for role, folder in zip(("modem", "host"), folders, strict=True)
    ]
    everyday = [
        start(stack, *place.line("sh", "-c", f"exec >/dev/null 2>&1\n{USER}", "sh", str(ports))),
        start(stack, *modem.in_network("sh", "-c", f"exec >/dev/null 2>&1; exec ping -i 0.002 {ADDRESS}")),
    ]
    limits = [RSS_LIMIT_KB, RSS_LIMIT_KB]
    if seconds > DEADLINE_SECONDS:
        wait_for(lambda: host.status()["connection"]["connected"] >= WARM_UP_CONNECTIONS, "many attacks")
        limits = [survivor.rss_kilobytes() + GROWTH_LIMIT_KB for survivor in (host, modem)]
    for attacker in attackers:
        said, _ = attacker.communicate(timeout=seconds + 30)
        assert attacker.returncode == 0, said
    for user in everyday:
        user.kill()
    assert host.status()["connection"]["connected"]
    for survivor, limit in zip((host, modem), limits, strict=True):
        assert survivor.process.poll() is None, survivor.log()[-2000:]
        assert survivor.rss_kilobytes() < limit
        assert survivor.maps_of_memory() <= 1
        assert "Traceback" not in survivor.log()
    new_modem = stack.enter_context(ModemProgram(identity, folders[0]))
    host.configure()
    host.ping()
    assert new_modem.process.poll() is None
    new_host = stack.enter_context(HostProgram(other, folders[1]))
    new_host.configure()
    new_host.ping()
    for process in (host, modem, new_modem, new_host):
        assert process.end() == 0


@for_the_weakest
def test_a_hostile_peer_hurts_nobody_for_a_moment(identity: str, stack: ExitStack) -> None:
    attack_both(identity, stack, seconds=3)


@pytest.mark.slow
@for_the_weakest
def test_a_hostile_peer_hurts_nobody_for_a_minute(identity: str, stack: ExitStack) -> None:
    attack_both(identity, stack, seconds=60)
