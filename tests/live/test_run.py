"""`bamdmux run`: the command inside, its interfaces, how it ends, what it leaves, and what is refused."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.identities import (
    DEADLINE_SECONDS,
    Link,
    as_identity,
    as_identity_after,
    environment,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_bamdmux,
    run_line,
    scratch,
    wait_for,
)
from tests.live.test_command import (
    Keyboard,
    is_alive,
    is_stopped,
    members,
    namespace_of,
    sit_down,
    status_field,
)

pytestmark = [pytest.mark.live, needs_tun]

NAMESPACE_KINDS = ("net", "pid", "mnt", "user")

# In a user namespace of which we are root, the machine's administrator forbids something; then we are nobody.
FORBID = 'echo 0 >/proc/sys/user/max_{kind}_namespaces && exec "$@"'
WITHOUT_CAPABILITIES = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


def forbidding(kind: str, *arguments: str) -> list[str]:
    """The command line of bamdmux where namespaces of a kind are switched off."""
    python = as_identity("caller", "-m", "bamdmux", *arguments)
    without = WITHOUT_CAPABILITIES if kind == "user" else []
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        FORBID.format(kind=kind),
        "sh",
        *without,
        *python,
    ]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants_of(pid: int) -> list[int]:
    children = children_of(pid)
    return children + [pid for child in children for pid in descendants_of(child)]


class Traces:
    """What one run has made on this machine, and whether it is still there."""

    def __init__(self, link: Link) -> None:
        self.folder = link.control_path.parent
        self.pids = [link.process.pid, *descendants_of(link.process.pid)]
        ours = {namespace_of("self", kind) for kind in NAMESPACE_KINDS}
        made = {(kind, namespace_of(pid, kind)) for pid in self.pids for kind in NAMESPACE_KINDS}
        self.namespaces = {(kind, name) for kind, name in made if name not in ours}
        # Of the network behind the modem, and of the command, with its PIDs and mounts.
        kinds = sorted(kind for kind, _ in self.namespaces if kind != "user")
        # (Where nobody has an open TUN by a mount, that mount namespace comes on top.)
        assert kinds in (["mnt", "net", "net", "pid"], ["mnt", "mnt", "net", "net", "pid"]), kinds
        assert self.folder.exists()

    def left(self) -> list[object]:
        inhabited = [namespace for namespace in self.namespaces if members(*namespace)]
        alive = [pid for pid in self.pids if is_alive(pid)]
        return [*inhabited, *alive, *([self.folder] if self.folder.exists() else [])]

    def wait_until_gone(self) -> None:
        wait_for(lambda: not self.left(), "the end of everything")


@pytest.fixture
def desk() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# The command


@for_each_identity
def test_the_command_finds_its_way_in_its_environment(identity: str) -> None:
    with Link(identity) as link:
        variables = {name: value for name, value in link.variables.items() if name.startswith("BAMDMUX_")}
        assert variables == {
            "BAMDMUX_GATEWAY4": "10.64.0.1",
            "BAMDMUX_GATEWAY6": "2001:db8:64::1",
            "BAMDMUX_HTTP": "http://10.64.0.1/",
            "BAMDMUX_CTL": variables["BAMDMUX_CTL"],
        }
        assert link.variables["PATH"] == os.environ["PATH"]
        assert "This is the network behind a modem" in link.shell("curl -s $BAMDMUX_HTTP")
        assert " 0% packet loss" in link.shell("ping -c 1 $BAMDMUX_GATEWAY4")
        assert " 0% packet loss" in link.shell("ping -c 1 $BAMDMUX_GATEWAY6")
        assert '"pid"' in link.shell(f"{link.python} -m bamdmux ctl $BAMDMUX_CTL status --json")


@for_the_weakest
def test_the_command_is_root_of_its_own_processes_and_has_a_loopback(identity: str) -> None:
    script = "id -u; echo $$; ps -e -o comm= | sort -u; ping -c 1 -q 127.0.0.1 >&2; ping -c 1 -q ::1 >&2"
    done = run_bamdmux(identity, "run", "--", "sh", "-c", script)
    assert done.stdout.split() == ["0", "2", "bamdmux-init", "ps", "sh", "sort"]
    assert done.returncode == 0


@for_the_weakest
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143)])
def test_the_exit_code_is_the_command_s(identity: str, script: str, code: int) -> None:
    done = run_bamdmux(identity, "run", "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@for_each_identity
def test_what_cannot_be_found_is_127(identity: str) -> None:
    done = run_bamdmux(identity, "run", "--", "no-such-program", "--channels", "0")
    line = "bamdmux: command not found: no-such-program\n"
    assert (done.returncode, done.stdout, done.stderr) == (127, "", line)


@for_the_weakest
def test_what_cannot_be_executed_is_126(identity: str) -> None:
    program = scratch() / "data"
    program.write_text("neither ELF nor a script")
    done = run_bamdmux(identity, "run", "--", str(program))
    line = f"bamdmux: cannot run {program}: Permission denied\n"
    assert (done.returncode, done.stdout, done.stderr) == (126, "", line)


def test_an_empty_name_is_a_command_that_cannot_be_found() -> None:
    done = run_bamdmux("caller", "run", "--", "")
    assert (done.returncode, done.stdout, done.stderr) == (127, "", "bamdmux: command not found: \n")


@pytest.mark.parametrize("shell", ["/bin/sh", "", None])
def test_the_default_command_is_the_shell(shell: str | None) -> None:
    variables = {name: value for name, value in environment().items() if name != "SHELL"}
    if shell is not None:
        variables["SHELL"] = shell
    done = run_bamdmux("caller", "run", input="echo $0; exit 7", env=variables)
    assert (done.returncode, done.stdout, done.stderr) == (7, "/bin/sh\n", "")


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_options_behind_the_command_are_the_command_s(separator: list[str]) -> None:
    done = run_bamdmux(
        "caller", "run", "--channels", "1", *separator, "echo", "-v", "--channels", "9", "--", "-h"
    )
    assert done.stdout == "-v --channels 9 -- -h\n"


@for_the_weakest
def test_what_goes_in_and_comes_out_is_the_command_s_alone(identity: str) -> None:
    data = os.urandom(3_000_001)
    done = run_bamdmux(identity, "run", "--", "sh", "-c", "cat; echo complaint >&2", input=data, text=False)
    assert done.stdout == data
    assert done.stderr == b"complaint\n"
    assert done.returncode == 0


def test_a_flood_of_output_passes() -> None:
    line = shlex.join(
        as_identity("caller", "-m", "bamdmux", "run", "--", "head", "-c", "200000000", "/dev/zero")
    )
    assert run_line(["sh", "-c", f"{line} | wc -c"]).stdout.strip() == "200000000"


@for_the_weakest
def test_a_reader_that_has_enough_ends_the_command(identity: str) -> None:
    line = shlex.join(as_identity(identity, "-m", "bamdmux", "run", "--", "yes"))
    done = run_line(["bash", "-c", f"{line} | head -n 1; echo ${{PIPESTATUS[0]}}"])
    assert (done.stdout.split(), done.stderr) == (["y", "141"], "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_stdio_that_is_closed_is_nothing_of_ours_inside(closed: str) -> None:
    report = scratch() / "report"
    # No pipeline: while a shell sets one up, descriptors of its own come and go under ls.
    script = f"ls -l /proc/$$/fd >{report}; curl -s $BAMDMUX_HTTP >>{report}"
    line = as_identity("caller", "-m", "bamdmux", "run", "--", "sh", "-c", script)
    done = run_line(["sh", "-c", f'exec "$@" {closed}', "sh", *line])
    said = report.read_text()
    assert done.stderr == ""
    assert not re.search(r"socket:|anon_inode|/ns/|net:|/dev/net/tun|/proc/", said), said
    assert "This is the network behind a modem" in said  # its server, too, has lost nothing


# Interfaces


@for_each_identity
def test_interfaces_are_as_the_kernel_s_driver_makes_them(identity: str) -> None:
    with Link(identity) as link:
        links = json.loads(link.shell("ip -d -j link"))
        assert [entry["ifname"] for entry in links] == ["lo", *(f"wwan{channel}" for channel in range(8))]
        for entry in links[1:]:
            assert set(entry["flags"]) == {"POINTOPOINT", "NOARP", "UP", "LOWER_UP"}
            assert (entry["mtu"], entry["txqlen"]) == (1500, 1000)
            assert link.shell(f"cat /sys/class/net/{entry['ifname']}/type") == "519"  # ARPHRD_RAWIP
        assert {"LOOPBACK", "UP"} < set(links[0]["flags"])


@for_each_identity
def test_every_interface_has_the_addresses_of_its_bearer(identity: str) -> None:
    with Link(identity) as link:
        wait_for(lambda: "proto ra" in link.shell("ip -6 route show default"), "the router advertisement")
        lower_halves = set()
        for entry in json.loads(link.shell("ip -j address"))[1:]:
            channel = int(entry["ifname"].removeprefix("wwan"))
            addresses = {(info["scope"], info["local"], info["prefixlen"]) for info in entry["addr_info"]}
            local = next(address for scope, address, _ in addresses if scope == "link")
            lower_half = local.removeprefix("fe80::")
            prefix = f"2001:db8:64:{channel}:"
            assert addresses == {
                ("global", f"10.64.{channel}.2", 30),
                ("global", f"{prefix}{lower_half}", 64),  # one, though a router advertises the prefix as well
                ("link", f"fe80::{lower_half}", 64),
            }
            lower_halves.add(lower_half)
        assert len(lower_halves) == 8


@for_the_weakest
def test_the_way_out_is_wwan0(identity: str) -> None:
    with Link(identity) as link:
        ways6 = wait_for(lambda: link.shell("ip -6 route show default"), "the router advertisement")
        ways4 = link.shell("ip -4 route show default")
        assert ways4.split()[:5] == ["default", "via", "10.64.0.1", "dev", "wwan0"]
        assert ways6.split()[:5] == ["default", "via", "fe80::1", "dev", "wwan0"]
        assert [ways4.count("default"), ways6.count("default")] == [1, 1]
        status = link.status()
        for channel in range(1, 8):  # all were answered, and none drops what it got
            assert status["modem"]["channels"][channel]["downlink"]["packets"] == 1


@for_the_weakest
def test_interface_n_carries_channel_n(identity: str) -> None:
    with Link(identity) as link:
        before = link.status()["modem"]["channels"]
        for channel in range(8):
            link.shell(f"ping -c {channel + 1} -i 0.01 -I wwan{channel} 10.64.{channel}.1")
        status = link.status()
        for channel in range(8):
            for counters in ("uplink", "downlink"):
                after = status["modem"]["channels"][channel][counters]["packets"]
                assert after - before[channel][counters]["packets"] == channel + 1
            of_host = status["host"]["channels"][str(channel)]
            assert of_host["interface"] == f"wwan{channel}"
            assert of_host["transmitted"] == status["modem"]["channels"][channel]["uplink"]
            assert of_host["received"] == status["modem"]["channels"][channel]["downlink"]


def test_interfaces_have_other_addresses_in_every_run() -> None:
    script = [
        "run",
        "--channels",
        "1",
        "--",
        "ip",
        "-6",
        "-o",
        "address",
        "show",
        "dev",
        "wwan0",
        "scope",
        "link",
    ]
    assert len({run_bamdmux("caller", *script).stdout for _ in range(2)}) == 2


@for_the_weakest
@pytest.mark.parametrize("count", [1, 3])
def test_channels_are_as_many_as_asked_for(identity: str, count: int) -> None:
    with Link(identity, "--channels", str(count)) as link:
        names = [f"wwan{channel}" for channel in range(count)]
        assert link.shell("ls /sys/class/net").split() == ["lo", *names]
        status = link.status()
        assert [channel["interface"] for channel in status["host"]["channels"].values()] == names
        bearers = [channel["bearer"] is not None for channel in status["modem"]["channels"]]
        assert bearers == [channel < count for channel in range(8)]
        assert link.log().count("host < OPEN channel 0") == 1
        assert f"host < OPEN channel {count}" not in link.log()


@for_the_weakest
def test_an_interface_may_be_renamed(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ip link set wwan3 down; ip link set wwan3 name lte; ip link set lte up")
        assert " 0% packet loss" in link.shell("ping -c 1 -I lte 10.64.3.1")
        assert link.status()["host"]["channels"]["3"]["open"]


@for_the_weakest
def test_an_interface_that_is_deleted_is_closed_and_disturbs_no_other(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ip link delete wwan3")
        wait_for(lambda: "modem < CLOSE channel 3" in link.log(), "the CLOSE")
        assert " 0% packet loss" in link.shell("ping -c 1 -I wwan4 10.64.4.1")
        assert "3" not in [
            name for name, channel in link.status()["host"]["channels"].items() if channel["up"]
        ]


# Two and more


@for_each_identity
def test_two_runs_at_once_do_not_know_each_other(identity: str) -> None:
    with Link(identity) as one, Link(identity, "--channels", "2") as other:
        for link in (one, other):
            link.start("ping -c 20 -i 0.01 10.64.1.1")
        assert " 0% packet loss" in one.finish()
        assert " 0% packet loss" in other.finish()
        counts = [link.status()["host"]["channels"]["1"]["received"]["packets"] for link in (one, other)]
        assert counts == [21, 21]  # the router's advertisement is one
        assert one.control_path != other.control_path


@for_the_weakest
def test_a_run_within_a_run(identity: str) -> None:
    with Link(identity) as link:
        inner = f"{link.python} -m bamdmux run --channels 1 -- sh -c"
        script = "ls /sys/class/net; ping -c 1 $BAMDMUX_GATEWAY4"
        said = link.shell(f"{inner} {shlex.quote(script)}")
        assert said.split()[:2] == ["lo", "wwan0"]
        assert " 0% packet loss" in said
        assert " 0% packet loss" in link.shell("ping -c 1 -I wwan7 10.64.7.1")


# How it ends


@for_each_identity
def test_an_orderly_end_leaves_nothing_not_for_a_moment(identity: str) -> None:
    with Link(identity) as link:
        traces = Traces(link)
        link.shell("sleep 1000 >/dev/null 2>&1 & setsid sleep 1000 >/dev/null 2>&1 &")
        traces.pids += descendants_of(link.process.pid)
        assert link.end() == 0
        assert traces.left() == []
        assert [pid for pid in traces.pids if Path(f"/proc/{pid}").exists()] == []  # nor a zombie
        closes = [line for line in link.log() if line.startswith("modem < CLOSE")]
        assert closes == [f"modem < CLOSE channel {channel}" for channel in range(8)]
        assert link.log()[-1] == "modem = modem power falling -> down"


@for_each_identity
@pytest.mark.parametrize(
    "end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
)
def test_nothing_is_left_however_it_ends(identity: str, end: signal.Signals) -> None:
    with Link(identity) as link:
        link.start("trap - INT QUIT; ulimit -c 0; ping -f -q 10.64.0.1")
        traces = Traces(link)
        link.process.send_signal(end)
        code = link.process.wait(DEADLINE_SECONDS)
        # The shell that reads our commands has the signal's default, as its children.
        assert code == (-end if end is signal.SIGKILL else 128 + end)
        traces.wait_until_gone()
        assert not [line for line in link.log() if "Traceback" in line]


@for_the_weakest
def test_kill_9_of_what_is_inside_ends_it(identity: str) -> None:
    with Link(identity) as link:
        traces = Traces(link)
        (init,) = [
            pid for pid in children_of(link.process.pid) if status_field(pid, "Name") == "bamdmux-init"
        ]
        os.kill(init, signal.SIGKILL)
        assert link.process.wait(DEADLINE_SECONDS) == 137
        traces.wait_until_gone()


@for_the_weakest
def test_a_server_that_is_killed_ends_nothing(identity: str) -> None:
    with Link(identity) as link:
        os.kill(link.status()["network"]["pid"], signal.SIGKILL)
        assert " 0% packet loss" in link.shell("ping -c 1 10.64.0.1")
        assert link.end() == 0


@for_the_weakest
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_start_that_was_cut_short(identity: str, end: signal.Signals) -> None:
    """Once the modem has power, the namespaces, the server and a TUN are there, and the command is not."""
    folder = scratch()
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            as_identity(identity, "-m", "bamdmux", "-vv", "run", "--", "sleep", "1000"),
            env={**environment(), "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    try:
        while process.poll() is None and b"modem power" not in log_path.read_bytes():
            pass  # no pause: it is a matter of milliseconds
        pids = descendants_of(process.pid)
        process.send_signal(end)
        assert process.wait(DEADLINE_SECONDS) == (-9 if end is signal.SIGKILL else 143)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not [pid for pid in pids if is_alive(pid)], "the end of everything")
    assert "Traceback" not in log_path.read_text()
    wait_for(lambda: os.listdir(folder) == ["log"], f"an empty folder instead of {os.listdir(folder)}")


@for_the_weakest
def test_a_command_that_ignores_sigterm_goes_on_and_kill_9_ends_it(identity: str) -> None:
    with Link(identity) as link:
        link.start(
            "trap 'echo ignored' TERM; echo ready; while :; do ping -c 1 -q 10.64.0.1 >/dev/null; done"
        )
        traces = Traces(link)
        assert link.process.stdout is not None
        assert link.process.stdout.readline() == b"ready\n"
        outer_shell = next(pid for pid in traces.pids if status_field(pid, "NSpid").split()[1:] == ["2"])
        assert outer_shell
        link.process.kill()
        traces.wait_until_gone()


@for_the_weakest
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT"])
def test_a_signal_is_the_command_s_which_may_ignore_it(identity: str, name: str) -> None:
    script = f"trap 'echo caught' {name}; echo ready; while read line; do echo $line; done"
    with subprocess.Popen(
        as_identity(identity, "-m", "bamdmux", "run", "--", "bash", "-c", script),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            for number in range(2):
                process.send_signal(getattr(signal, f"SIG{name}"))
                process.stdin.write(b"alive %d\n" % number)
                process.stdin.flush()
                said = {process.stdout.readline(), process.stdout.readline()}
                assert said == {b"caught\n", b"alive %d\n" % number}
            process.stdin.close()
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            process.kill()


# The keyboard


@for_each_identity
def test_ctrl_c_is_the_command_s(identity: str, desk: ExitStack) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do ping -c 1 -q 10.64.0.1 >/dev/null; done"
    keyboard = sit_down(desk, as_identity(identity, "-m", "bamdmux", "run", "--", "sh", "-c", script))
    keyboard.expect("ready\r\n")
    keyboard.type("\x03")
    keyboard.expect("caught")
    assert keyboard.wait_for_end() == 5


@for_the_weakest
def test_ctrl_c_ends_a_command_that_does_not_care(identity: str, desk: ExitStack) -> None:
    keyboard = sit_down(desk, as_identity(identity, "-m", "bamdmux", "run", "--", "ping", "10.64.0.1"))
    keyboard.expect("bytes from 10.64.0.1")
    keyboard.type("\x03")
    keyboard.expect(" 0% packet loss")
    assert keyboard.wait_for_end() == 0  # ping's own


@for_the_weakest
def test_ctrl_z_stops_the_link_and_fg_continues_it(identity: str, desk: ExitStack) -> None:
    keyboard = Keyboard(["bash", "--norc", "--noprofile", "-i"])
    desk.callback(keyboard.close)
    keyboard.expect("outer> ")
    line = as_identity(
        identity,
        "-m",
        "bamdmux",
        "run",
        "--",
        "sh",
        "-c",
        "ping -c 1 10.64.0.1; read x; ping -c 1 10.64.7.1; exit 4",
    )
    keyboard.type(shlex.join(line) + "\n")
    keyboard.expect("bytes from 10.64.0.1")
    (ours,) = children_of(keyboard.pid)
    keyboard.type("\x1a")
    keyboard.expect("Stopped")
    wait_for(lambda: is_stopped(ours), "our stop")
    keyboard.expect("outer> ")
    keyboard.type("fg\n")
    wait_for(lambda: not is_stopped(ours), "fg")
    keyboard.type("\n")
    keyboard.expect("bytes from 10.64.7.1")
    keyboard.expect("outer> ")
    keyboard.type("echo code=$?\n")
    keyboard.expect("code=4")


@for_the_weakest
def test_an_interactive_shell_is_the_default_and_exits_with_its_code(identity: str, desk: ExitStack) -> None:
    line = ["env", "SHELL=/bin/bash", *as_identity(identity, "-m", "bamdmux", "run")]
    keyboard = sit_down(desk, line)
    keyboard.expect("(outer> |# )")
    keyboard.type("ping -c 1 10.64.0.1\n")
    keyboard.expect(" 0% packet loss")
    keyboard.type("exit 3\n")
    assert keyboard.wait_for_end() == 3


# What is refused


@for_each_identity
def test_without_a_tun_driver(identity: str) -> None:
    done = run_line(
        as_identity_after(identity, "mount -t tmpfs tmpfs /dev/net", "-m", "bamdmux", "run", "--", "true")
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "bamdmux: there is no /dev/net/tun; load the driver: sudo modprobe tun "
        "(in a container: docker run --device /dev/net/tun)\n"
    )


def test_without_permission_for_the_tun_driver() -> None:
    script = "mount -t tmpfs -o dev,mode=0755 tmpfs /dev/net && mknod -m 0600 /dev/net/tun c 10 200"
    done = run_line(as_identity_after("nobody", script, "-m", "bamdmux", "run", "--", "true"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "bamdmux: /dev/net/tun (mode 0600) is not for this user; sudo chmod 0666 /dev/net/tun "
        '(for good, as a udev rule: KERNEL=="tun", MODE="0666")\n'
    )


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        ("user", "user namespaces are switched off"),
        ("net", "network namespaces are switched off"),
        ("pid", "PID namespaces are switched off"),
        ("mnt", "mount namespaces are switched off"),
    ],
)
def test_where_namespaces_are_forbidden(kind: str, meaning: str) -> None:
    folder = scratch()
    line = forbidding(kind, "run", "--", "true")
    done = run_line(line, env={**environment(), "TMPDIR": str(folder)})
    name = f"user.max_{kind}_namespaces"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"bamdmux: {meaning} ({name} = 0); run as root, or allow them: sudo sysctl -w {name}=15000\n"
    )
    assert os.listdir(folder) == []


@pytest.mark.parametrize("limit", [8, 30])
def test_too_few_descriptors_are_said_in_one_line(limit: int) -> None:
    line = as_identity("caller", "-m", "bamdmux", "run", "--", "true")
    done = run_line(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *line])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "Too many open files" in done.stderr or "ulimit" in done.stderr


def test_without_a_place_for_temporary_files() -> None:
    read_only = "mount --bind $f $f && mount -o remount,bind,ro $f"
    script = f"for f in /tmp /var/tmp; do {read_only} || exit; done; cd /proc"
    line = as_identity_after("caller", script, "-m", "bamdmux", "run", "--", "true")
    done = run_line(line, env={**environment(), "TMPDIR": "/proc"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bamdmux: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("fork", [0, 1])
def test_a_signal_that_comes_where_python_ignores_exceptions_ends_it_too(fork: int) -> None:
    """As in what logging and others do at a fork."""
    program = f"""
import itertools, os, signal, sys
from bamdmux.cli.main import main
forks = itertools.count()
os.register_at_fork(after_in_parent=lambda: next(forks) == {fork} and os.kill(os.getpid(), signal.SIGTERM))
sys.exit(main(["run", "--", "echo", "not ended"]))
"""
    done = run_line(as_identity("caller", "-c", program))
    assert done.returncode == 128 + signal.SIGTERM
    assert "not ended" not in done.stdout
