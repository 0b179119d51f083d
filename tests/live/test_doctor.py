"""`bamdmux doctor`: it says the truth about this machine, and the command that mends it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.live.identities import (
    as_identity,
    as_identity_after,
    environment,
    for_each_identity,
    needs_tun,
    run_bamdmux,
    run_line,
)
from tests.live.test_run import forbidding

pytestmark = pytest.mark.live

NEEDED = ["user namespaces, or root", "mount and PID namespaces", "network namespaces", "TUN devices"]
CLOSED_TUN = "mount -t tmpfs -o dev,mode=0755 tmpfs /dev/net && mknod -m 0600 /dev/net/tun c 10 200"
NO_TUN = "mount -t tmpfs tmpfs /dev/net"
TUN_REMEDY = "sudo chmod 0666 /dev/net/tun"


@needs_tun
@for_each_identity
def test_where_run_works_doctor_says_so(identity: str) -> None:
    done = run_bamdmux(identity, "doctor")
    lines = done.stdout.splitlines()
    assert lines[:4] == [f"ok      {name}" for name in NEEDED]
    assert lines[-1] == "bamdmux run works here"
    assert (done.returncode, done.stderr) == (0, "")
    assert run_bamdmux(identity, "run", "--", "true").returncode == 0


@needs_tun
@for_each_identity
def test_json_says_the_same(identity: str) -> None:
    done = run_bamdmux(identity, "doctor", "--json")
    report = json.loads(done.stdout)
    assert report["works"] is True
    needed = [finding["name"] for finding in report["findings"] if finding["is_needed"]]
    assert needed == NEEDED
    for finding in report["findings"]:
        assert set(finding) == {"name", "works", "remedy", "is_needed"}
        assert finding["works"] is (finding["remedy"] == "")
    assert (done.returncode, done.stderr) == (0, "")


@needs_tun
def test_a_program_that_is_missing_is_named_with_its_package_and_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ping").symlink_to(shutil.which("true") or "/bin/true")
    done = run_bamdmux("caller", "doctor", env={**environment(), "PATH": str(tmp_path)})
    lines = done.stdout.splitlines()
    assert "ok      ping" in lines
    assert "-       curl: sudo apt-get install curl" in lines
    assert "-       iperf3: sudo apt-get install iperf3" in lines
    assert lines[-1] == "bamdmux run works here"
    assert done.returncode == 0


@for_each_identity
def test_without_a_tun_driver(identity: str) -> None:
    done = run_line(as_identity_after(identity, NO_TUN, "-m", "bamdmux", "doctor"))
    (missing,) = [line for line in done.stdout.splitlines() if line.startswith("MISSING")]
    assert missing.startswith(
        "MISSING TUN devices: there is no /dev/net/tun; load the driver: sudo modprobe tun"
    )
    assert done.stdout.splitlines()[-1] == "bamdmux run cannot work here yet"
    assert (done.returncode, done.stderr) == (1, "")


def test_without_permission_for_the_tun_driver() -> None:
    done = run_line(as_identity_after("nobody", CLOSED_TUN, "-m", "bamdmux", "doctor", "--json"))
    report = json.loads(done.stdout)
    (finding,) = [finding for finding in report["findings"] if finding["is_needed"] and not finding["works"]]
    assert finding["name"] == "TUN devices"
    assert TUN_REMEDY in finding["remedy"]
    assert report["works"] is False
    assert (done.returncode, done.stderr) == (1, "")


@needs_tun
def test_what_it_advises_mends_it() -> None:
    """Done as it says, by whoever may, and then it works."""
    done = run_line(as_identity_after("nobody", CLOSED_TUN, "-m", "bamdmux", "doctor"))
    assert TUN_REMEDY in done.stdout
    script = f"{CLOSED_TUN} && {TUN_REMEDY.removeprefix('sudo ')}"
    for arguments in (["doctor"], ["run", "--", "true"]):
        assert run_line(as_identity_after("nobody", script, "-m", "bamdmux", *arguments)).returncode == 0


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("user", NEEDED),
        ("net", ["network namespaces", "TUN devices"]),
        ("pid", ["mount and PID namespaces"]),
        ("mnt", ["mount and PID namespaces"]),
    ],
)
def test_where_namespaces_are_forbidden(kind: str, missing: list[str]) -> None:
    done = run_line(forbidding(kind, "doctor", "--json"))
    report = json.loads(done.stdout)
    findings = {finding["name"]: finding for finding in report["findings"] if not finding["works"]}
    assert [name for name in findings if name in NEEDED] == missing
    assert all(
        f"sudo sysctl -w user.max_{kind}_namespaces=15000" in findings[name]["remedy"] for name in missing
    )
    assert (done.returncode, done.stderr) == (1, "")


@for_each_identity
def test_it_changes_nothing(identity: str) -> None:
    before = os.listdir("/sys/class/net"), Path("/proc/self/mounts").read_text()
    script = 'ls /proc/self/fd | wc -l; "$@" >/dev/null; ls /proc/self/fd | wc -l; readlink /proc/self/ns/net'
    line = as_identity(identity, "-m", "bamdmux", "doctor")
    done = run_line(["sh", "-c", script, "sh", *line])
    descriptors_before, descriptors_after, network = done.stdout.split()
    assert descriptors_before == descriptors_after
    assert network == os.readlink("/proc/self/ns/net")
    assert (os.listdir("/sys/class/net"), Path("/proc/self/mounts").read_text()) == before
