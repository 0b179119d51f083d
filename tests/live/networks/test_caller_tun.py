"""A TUN in the caller's namespace, which is one of the test's own here."""

import os
import subprocess
import sys

import pytest

from bamdmux.live.networks.caller_tun import commands
from bamdmux.modem.network import Bearer
from tests.live.identities import NOBODY, as_identity, environment, for_each_identity, needs_tun

pytestmark = [pytest.mark.live, needs_tun]

PINGS = """
ping -c 2 -i 0.01 -W 5 10.64.0.1 | grep -o '2 received'
ping -c 2 -i 0.01 -W 5 2001:db8:64::1 | grep -o '2 received'
"""


def run_in_namespace(identity: str, before: str, script: str, *options: str, after: str = "") -> list[str]:
    """Run `bamdmux run OPTIONS -- sh -c script` where root has run `before`; what all of it says."""
    line = as_identity(identity, "-m", "bamdmux", "run", *options, "--", "sh", "-c", script)
    world = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        world += ["--user", "--map-root-user"]
    shell = f"ip link set lo up; {before}\n" + '"$@"; code=$?\n' + f"{after}\necho code $code"
    done = subprocess.run(
        [*world, "sh", "-c", shell, "sh", *line],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_root_s_is_made_and_set_up_and_gone_afterwards() -> None:
    script = (
        f"{PINGS}\nip -o link show wwan1 | grep -c wwan1; ping -c 1 -W 5 -I wwan1 10.64.1.1 | grep -o '1 r'"
    )
    said = run_in_namespace(
        "caller",
        "",
        script + "\necho ${BAMDMUX_HTTP-none}",
        *("--channels", "2", "--network", "tun:pdn7"),
        after="ip -o link show pdn7 2>&1 | head -1",
    )
    assert said == [
        *("2 received", "2 received", "1", "1 r", "none"),
        *('Device "pdn7" does not exist.', "code 0"),
    ]


def test_it_works_the_other_way_too() -> None:
    driver = """
import subprocess, sys, time
line = [*sys.argv[1:]]
process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(process.stdout.readline().strip(), flush=True)
address6 = process.stdout.readline().strip()
for target in ("10.64.0.2", address6):
    ping = ["ping", "-c", "2", "-i", "0.01", "-W", "5", target]
    print("2 received" in subprocess.run(ping, capture_output=True, text=True).stdout, flush=True)
show = subprocess.check_output(["ip", "-d", "address", "show", "dev", "pdn7"], text=True)
print("link/[519]" in show, "mtu 1500" in show, "fe80" in show, flush=True)
process.stdin.close()
print(process.wait(10))
"""
    script = "echo ready; ip -o -6 address show dev wwan0 scope global | grep -o '2001[^/]*' | head -1; cat"
    line = as_identity("caller", "-m", "bamdmux", "run", "--channels", "1", "--network", "tun:pdn7", "--")
    world = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    output = subprocess.check_output(
        [*world, sys.executable, "-c", driver, *line, "sh", "-c", script],
        env=environment(),
        text=True,
        timeout=60,
    )
    assert output.split() == ["ready", "True", "True", "True", "True", "False", "0"]


@for_each_identity
def test_a_persistent_one_that_is_set_up_is_taken_and_left(identity: str) -> None:
    before = f"ip tuntap add dev pdn7 mode tun user {NOBODY}; {commands('pdn7', [Bearer(0)])}"
    said = run_in_namespace(
        *(identity, before.replace("sudo ", ""), PINGS, "--channels", "1", "--network", "tun:pdn7"),
        after="ip -o link show pdn7 | grep -c pdn7",
    )
    assert said == ["2 received", "2 received", "1", "code 0"]


def test_what_a_persistent_one_lacks_is_said_in_one_line_that_mends_it() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    before = f"ip tuntap add dev pdn7 mode tun user {NOBODY}"
    options = ("--channels", "2", "--network", "tun:pdn7")
    line, *rest = run_in_namespace("nobody", before, "true", *options)
    assert rest == ["code 0"]
    start, _, mending = line.partition("we may not do so: ")
    assert start.endswith("pdn7 is not set up, and ")
    assert mending == commands("pdn7", [Bearer(0), Bearer(1)])
    before = f"{before}; {mending.removeprefix('sudo ')}"
    assert run_in_namespace("nobody", before, PINGS, *options) == ["2 received", "2 received", "code 0"]


@pytest.mark.parametrize(
    ("identity", "before", "name", "reason"),
    [
        (
            "caller",
            "ip link add pdn7 type bridge",
            "pdn7",
            "interface pdn7 exists, and is no TUN of one queue",
        ),
        ("caller", "", "lo", "interface lo exists, and is no TUN of one queue"),
        (
            "caller",
            "",
            "a-name-that-is-too-long",
            "interface name a-name-that-is-too-long is too long: 23 bytes",
        ),
        ("caller", "", "a/b", "'a/b' is no interface name"),
        (
            "nobody",
            "",
            "pdn7",
            "there is no interface pdn7, and only root can make it: sudo ip tuntap add dev pdn7",
        ),
        ("nobody", "ip tuntap add dev pdn7 mode tun user 1", "pdn7", "interface pdn7 exists, and is not "),
    ],
)
def test_what_cannot_be_taken_is_refused_in_one_line(
    identity: str, before: str, name: str, reason: str
) -> None:
    line, code = run_in_namespace(identity, before, "true", "--channels", "1", "--network", f"tun:{name}")
    assert line.startswith(f"bamdmux: {reason}")
    assert code == "code 1"


def test_one_in_use_is_refused_in_one_line() -> None:
    holder = """
import fcntl, os, struct, time
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"pdn7", 1))
time.sleep(60)
"""
    before = f"{sys.executable} -c '{holder}' >/dev/null 2>&1 & holder=$!\n"
    before += "while ! ip link show pdn7 >/dev/null 2>&1; do sleep 0.01; done"
    line, code = run_in_namespace(
        *("caller", before, "true", "--channels", "1", "--network", "tun:pdn7"), after="kill $holder"
    )
    assert line.startswith("bamdmux: interface pdn7 is in use by another program")
    assert code == "code 1"


def test_the_commands_are_one_line() -> None:
    line = commands("pdn7", [Bearer(0), Bearer(5)])
    assert "\n" not in line
    assert "for n in 0 5;" in line
