"""What the command of `bamdmux run` finds in /dev and /sys: control ports where clients expect them."""

import os
import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.live.identities import (
    Link,
    as_identity,
    as_identity_after,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_bamdmux,
    run_line,
    scratch,
    wait_for,
)

pytestmark = [pytest.mark.live, needs_tun]

needs_qmicli = pytest.mark.skipif(
    shutil.which("qmicli") is None, reason="no qmicli; apt-get install libqmi-utils"
)
both_ways = pytest.mark.parametrize("options", [[], ["--split"]], ids=["fused", "split"])

MANUFACTURER = "QUALCOMM INCORPORATED"

# A client in a few lines: `talk` writes, and reads until something is there.
CLIENT = """
import os, select, sys, time
def connect(name):
    return os.open("/dev/" + name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
def talk(port, data, end):
    os.write(port, data)
    read, limit = b"", time.monotonic() + 10
    while not read.endswith(end):
        assert select.select([port], [], [], limit - time.monotonic())[0], read
        data = os.read(port, 65536)
        assert data, "hung up"
        read += data
    return read
def is_hung_up(port):
    poll = select.poll()
    poll.register(port, 0)
    return bool(poll.poll(0))
"""


def client(link: Link, program: str) -> str:
    """Run a program behind the modem; what it printed."""
    return link.shell(f"{link.python} -c {shlex.quote(CLIENT + program)}")


def port(link: Link, name: str) -> dict[str, Any]:
    return next(each for each in link.status()["ports"] if each["name"] == name)


# /dev


@for_each_identity
@both_ways
def test_the_command_finds_both_ports_and_they_answer(identity: str, options: list[str]) -> None:
    with Link(identity, *options) as link:
        for name in ("wwan0qmi0", "wwan0at0"):
            kind, mode, owner = link.shell(f"stat -c '%F,%a,%u' /dev/{name}").split(",")
            assert (kind, mode, owner) == ("character special file", "600", "0")
        said = client(link, 'print(talk(connect("wwan0at0"), b"ATE0\\r", b"OK\\r\\n"))')
        assert said.endswith("OK\\r\\n'")
        assert re.fullmatch(r"(/dev/wwan0\S+\s*){2}", link.shell("ls /dev/wwan*"))


@for_each_identity
@both_ways
@needs_qmicli
def test_qmicli_finds_the_port_by_sysfs_and_by_the_proxy(identity: str, options: list[str]) -> None:
    with Link(identity, *options) as link:
        for way in ("", "--device-open-proxy", "--device-open-sync", "--device-open-version-info"):
            assert MANUFACTURER in link.shell(f"qmicli -d /dev/wwan0qmi0 {way} --dms-get-manufacturer")
        assert "qmi-proxy" not in link.shell("ps -e -o comm=")


@for_the_weakest
@needs_qmicli
def test_without_our_proxy_the_name_is_free_for_libqmi_s_own(identity: str) -> None:
    with Link(identity, "--no-qmi-proxy") as link:
        assert "@qmi-proxy" not in link.shell("cat /proc/net/unix")
    with Link(identity) as link:
        assert "@qmi-proxy" in link.shell("cat /proc/net/unix")


@for_each_identity
def test_everything_else_in_dev_is_as_it_was(identity: str) -> None:
    with Link(identity) as link:
        assert (
            link.shell("head -c 4 /dev/zero | wc -c; echo x >/dev/null; head -c 9 /dev/urandom | wc -c")
            == "4\n9"
        )
        assert "No space left" in link.shell("echo x | dd of=/dev/full || true")
        assert link.shell("readlink /dev/fd /dev/stdin").split() == ["/proc/self/fd", "/proc/self/fd/0"]
        assert link.shell(
            "echo 1 >/dev/shm/bamdmux-test && cat /dev/shm/bamdmux-test && rm /dev/shm/bamdmux-test"
        )
        outside = {name for name in os.listdir("/dev") if not name.startswith(("wwan", "cdc-wdm"))}
        inside = set(link.shell("ls -A /dev").split()) - {"wwan0qmi0", "wwan0at0", ".host"}
        assert inside == outside
        kinds = link.shell("stat -c '%n %F' /dev/null /dev/net/tun /dev/tty /dev/random").splitlines()
        assert all(kind.endswith("character special file") for kind in kinds)
        assert link.shell("ip tuntap add mode tun name t0 && ip link delete t0 && echo made") == "made"


@for_each_identity
def test_new_terminals_can_be_opened(identity: str) -> None:
    with Link(identity) as link:
        assert "/pts/" in link.shell("script -qc tty /dev/null")
        assert "/pts/" in link.shell(f"{link.python} -c 'import pty; pty.spawn([\"tty\"])'")
        assert link.shell("script -qc 'stty -a' /dev/null | head -1").startswith("speed")


def test_dev_and_sys_of_the_machine_are_not_touched() -> None:
    mounts = Path("/proc/self/mounts").read_text()
    devices, classes = sorted(os.listdir("/dev")), sorted(os.listdir("/sys/class/net"))
    with Link("caller") as link:
        link.shell("touch /dev/ours /sys/ours")
        assert sorted(os.listdir("/dev")) == devices
        assert not os.path.exists("/sys/ours")
        assert Path("/proc/self/mounts").read_text() == mounts
    assert sorted(os.listdir("/dev")) == devices
    assert sorted(os.listdir("/sys/class/net")) == classes
    assert Path("/proc/self/mounts").read_text() == mounts


@for_each_identity
def test_a_run_within_a_run_has_its_own_ports(identity: str) -> None:
    with Link(identity) as link:
        program = scratch() / "client"
        program.write_text(CLIENT + 'print(talk(connect("wwan0at0"), b"AT\\r", b"OK\\r\\n"))')
        inner = f"{link.python} -m bamdmux run --channels 1 -- sh -c"
        script = f"{link.python} {program}; script -qc tty /dev/null"
        said = link.shell(f"{inner} {shlex.quote(script)}")
        assert "OK" in said
        assert "/pts/" in said
        assert port(link, "wwan0at0")["bytes_in"] == 0


# /sys


@for_each_identity
def test_sysfs_says_what_the_kernel_s_driver_would(identity: str) -> None:
    with Link(identity, "--channels", "2") as link:
        look = lambda path: link.shell(f"cat {path}")  # noqa: E731
        assert link.shell("ls /sys/class/net").split() == ["lo", "wwan0", "wwan1"]
        assert link.shell("ls /sys/class/wwan").split() == ["wwan0", "wwan0at0", "wwan0qmi0"]
        assert [look("/sys/class/net/wwan1/dev_port"), look("/sys/class/net/wwan1/type")] == ["1", "519"]
        assert look("/sys/class/wwan/wwan0qmi0/type /sys/class/wwan/wwan0at0/type").split() == ["QMI", "AT"]
        for device, driver in (("net/wwan1", "bam-dmux"), ("wwan/wwan0qmi0", "qcom-q6v5-mss")):
            assert driver_of(link, link.shell(f"readlink -f /sys/class/{device}")) == driver
        number = link.shell("stat -c '%Hr:%Lr' /dev/wwan0at0")
        assert look("/sys/class/wwan/wwan0at0/dev") == number
        assert link.shell(f"readlink -f /sys/dev/char/{number}").endswith("/wwan0at0")
        assert link.shell("readlink -f /sys/class/net/wwan0/subsystem") == "/sys/class/net"
        assert link.shell("readlink -f /sys/class/wwan/wwan0at0/subsystem") == "/sys/class/wwan"
        tags = look("/sys/class/wwan/wwan0qmi0/uevent").splitlines()
        assert {"DEVNAME=wwan0qmi0", "ID_MM_CANDIDATE=1", "ID_MM_PORT_TYPE_QMI=1"} <= set(tags)
        index = link.shell("ip -o link show wwan1").split(":")[0]
        assert {f"IFINDEX={index}", "INTERFACE=wwan1", "DEVTYPE=wwan"} <= set(
            look("/sys/class/net/wwan1/uevent").splitlines()
        )


def driver_of(link: Link, path: str) -> str:
    """The driver of the nearest ancestor that has one; on the way, each device has its uevent file."""
    while not (driver := link.shell(f"basename $(readlink {path}/driver) 2>/dev/null || true")):
        path = os.path.dirname(path)
        assert path.startswith("/sys/devices/")
    link.shell(f"cat {path}/uevent")
    return driver


@for_the_weakest
def test_sysfs_shows_no_device_that_could_be_a_modem_and_keeps_what_programs_need(identity: str) -> None:
    with Link(identity) as link:
        assert link.shell("ls /sys/class").split() == ["net", "wwan"]
        assert link.shell("ls /sys/bus").split() == ["platform"]
        assert link.shell("nproc; cat /sys/devices/system/cpu/online")
        for folder in ("fs", "kernel", "module"):
            assert set(link.shell(f"ls /sys/{folder}").split()) == set(os.listdir(f"/sys/{folder}"))
        assert link.shell("ls /sys/fs/cgroup | sort") == "\n".join(sorted(os.listdir("/sys/fs/cgroup")))


@for_the_weakest
def test_sysfs_follows_interfaces_that_come_go_and_are_renamed(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ip link set wwan3 down; ip link set wwan3 name lte; ip link delete wwan5")
        link.shell("ip tuntap add mode tun name other")
        expected = ["lo", "lte", "other", "wwan0", "wwan1", "wwan2", "wwan4", "wwan6", "wwan7"]
        wait_for(lambda: link.shell("ls /sys/class/net").split() == expected, "the new names")
        assert link.shell("cat /sys/class/net/lte/type /sys/class/net/lo/ifindex").split() == ["519", "1"]
        link.shell("ip link set lte name wwan3")
        wait_for(lambda: "wwan3" in link.shell("ls /sys/class/net"), "the old name")
        assert link.shell("cat /sys/class/net/wwan3/dev_port") == "3"
        assert " 0% packet loss" in link.shell("ping -c 1 -I wwan4 10.64.4.1")


# Clients


@for_each_identity
@both_ways
def test_who_dies_with_unread_bytes_leaves_none_to_the_next(identity: str, options: list[str]) -> None:
    with Link(identity, *options) as link:
        program = """
port = connect("wwan0at0")
talk(port, b"ATE0\\r", b"OK\\r\\n")
for _ in range(100): os.write(port, b"AT+CGMI\\r")
select.select([port], [], [])
os.kill(os.getpid(), 9)
"""
        link.shell(f"{link.python} -c {shlex.quote(CLIENT + program)} || true")
        wait_for(lambda: not port(link, "wwan0at0")["open"], "its end")
        assert client(link, 'print(talk(connect("wwan0at0"), b"AT\\r", b"OK\\r\\n"))') == r"b'AT\r\r\nOK\r\n'"


@for_each_identity
@both_ways
def test_a_flood_that_nobody_reads_harms_nobody(identity: str, options: list[str]) -> None:
    with Link(identity, *options) as link:
        client(link, 'talk(connect("wwan0at0"), b"ATE0\\r", b"OK\\r\\n")')
        before = rss_kilobytes(link.process.pid)
        program = """
ports = [connect("wwan0at0"), connect("wwan0qmi0")]
end = time.monotonic() + 2
while time.monotonic() < end:
    for port, data in zip(ports, (b"AT\\r" * 300, b"\\x01\\x0b\\0\\0\\0\\0\\0\\x01\\x21\\0\\0\\0" * 50)):
        try: os.write(port, data)
        except BlockingIOError: time.sleep(0.001)
"""
        link.start(
            f"{link.python} -c {shlex.quote(CLIENT + program)} & ping -q -c 300 -i 0.005 10.64.0.1; wait"
        )
        said = link.finish()
        assert " 0% packet loss" in said
        average = float(re.search(r"= [\d.]+/([\d.]+)/", said)[1])  # type: ignore[index]
        assert average < 100  # milliseconds; on a machine with nothing else to do it is below 2
        assert rss_kilobytes(link.process.pid) - before < 4096
        wait_for(lambda: not port(link, "wwan0at0")["open"], "its end")
        assert "OK" in client(link, 'print(talk(connect("wwan0at0"), b"AT\\r", b"OK\\r\\n"))')


def rss_kilobytes(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


@for_each_identity
def test_a_modem_process_that_dies_hangs_up_and_its_successor_has_new_ports(identity: str) -> None:
    with Link(identity, "--split") as link:
        program = """
port = connect("wwan0at0")
talk(port, b"AT\\r", b"OK\\r\\n")
print("ready", flush=True)
limit = time.monotonic() + 20
while not is_hung_up(port): assert time.monotonic() < limit; time.sleep(0.01)
while time.monotonic() < limit:
    try: port = connect("wwan0at0"); break
    except OSError: time.sleep(0.01)
print(talk(port, b"AT\\r", b"OK\\r\\n")[-6:])
print(os.stat("/sys/class/wwan/wwan0at0/dev").st_size > 0)
"""
        link.start(f"{link.python} -c {shlex.quote(CLIENT + program)}")
        wait_for(lambda: port(link, "wwan0at0")["open"], "the client")
        wait_for(lambda: port(link, "wwan0at0")["messages_out"] >= 2, "its answer, and the echo before")
        modem = next(pid for pid in children_of(link.process.pid) if "modem" in command_line_of(pid))
        os.kill(modem, signal.SIGKILL)
        said = link.finish()
        assert said.splitlines() == ["ready", r"b'\r\nOK\r\n'", "True"]
        assert link.shell("ls -A /dev | grep -c wwan") == "2"
        if shutil.which("qmicli"):
            assert MANUFACTURER in link.shell("qmicli -p -d /dev/wwan0qmi0 --dms-get-manufacturer")


@for_the_weakest
def test_a_modem_that_crashes_hangs_up_and_boots_with_new_ports(identity: str) -> None:
    with Link(identity) as link:
        program = """
port = connect("wwan0at0")
talk(port, b"AT\\r", b"OK\\r\\n")
print("ready", flush=True)
limit = time.monotonic() + 20
while not is_hung_up(port): assert time.monotonic() < limit; time.sleep(0.01)
while time.monotonic() < limit:
    try: print(talk(connect("wwan0at0"), b"AT\\r", b"OK\\r\\n")[-6:]); break
    except (OSError, AssertionError): time.sleep(0.01)  # it may die once more
"""
        link.start(f"{link.python} -c {shlex.quote(CLIENT + program)}")
        wait_for(lambda: port(link, "wwan0at0")["messages_out"] >= 2, "its answer, and the echo before")
        set_fault(link, "set", "modem-dies-amid-downlink=1")
        link.run_in_network("sh", "-c", "ping -c 1 -W 1 10.64.0.2 || true")
        wait_for(lambda: not port_count(link), "the crash")
        set_fault(link, "clear")
        assert link.finish().splitlines() == ["ready", r"b'\r\nOK\r\n'"]


def set_fault(link: Link, *arguments: str) -> None:
    line = as_identity(link.identity, "-m", "bamdmux", "ctl", str(link.control_path), "fault", *arguments)
    done = run_line(line)
    assert done.returncode == 0, done.stderr


def port_count(link: Link) -> int:
    return len(link.status()["ports"])


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@for_the_weakest
def test_idle_ports_wake_nobody(identity: str) -> None:
    with Link(identity) as link:
        client(link, 'talk(connect("wwan0at0"), b"AT\\r", b"OK\\r\\n")')
        wait_for(lambda: not port(link, "wwan0at0")["open"], "its end")
        link.shell("sleep 5")  # until the last answer about IPv6, and suspended
        before = switches(link.process.pid)
        link.shell("sleep 2")
        assert switches(link.process.pid) - before <= 6


def switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]


# Where it cannot be


def test_where_nothing_may_be_mounted_it_is_told_and_the_command_runs() -> None:
    """In a chroot whose root is no mount point, mounts might show up outside."""
    root = scratch()
    script = f"""
for folder in /*; do
    test -d $folder && test ! -L $folder && mkdir {root}$folder && mount --rbind $folder {root}$folder
    test -L $folder && cp -P $folder {root}/
done
true"""
    command = ["run", "--", "sh", "-c", "echo runs; ls /dev/wwan*"]
    line = as_identity_after("caller", script, "-m", "bamdmux", *command)
    done = run_line([*line[:6], "chroot", str(root), *line[6:]])
    assert "runs" in done.stdout
    assert "bamdmux: no control ports for the command: Operation not permitted\n" in done.stderr


def test_status_tells_of_ports_in_words_and_numbers() -> None:
    script = "sleep 0.1; python3 -m bamdmux ctl $BAMDMUX_CTL status"
    done = run_bamdmux("caller", "run", "--", "sh", "-c", script)
    assert "wwan0qmi0" in done.stdout
    assert "wwan0at0" in done.stdout
