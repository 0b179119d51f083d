"""The keeper: what it says when something is missing or dies, and that the command is as in any other run."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.clients.managed import ManagedLink
from tests.live.identities import (
    DEADLINE_SECONDS,
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
from tests.live.test_command import Keyboard
from tests.live.test_run import Traces

pytestmark = [
    pytest.mark.live,
    needs_tun,
    pytest.mark.skipif(
        shutil.which("ModemManager", path=f"{os.environ.get('PATH')}:/usr/sbin") is None,
        reason="no ModemManager; apt-get install modemmanager",
    ),
]

RUN = ("run", "--modem-manager", "--channels=1")


@pytest.fixture
def desk() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def hidden(program: str) -> str:
    """A script for root that takes a program out of sight."""
    path = shutil.which(program, path=f"{os.environ.get('PATH')}:/usr/sbin")
    return f"mount --bind /dev/null {path}"


@pytest.fixture(scope="module", autouse=True)
def search_in_vain() -> Iterator[subprocess.Popen[str]]:
    """A run whose modem never answers: it takes half a minute, in which the other tests go on."""
    script = "mmcli -L; exit 4"
    with subprocess.Popen(
        as_identity("caller", "-m", "bamdmux", *RUN, "--fault", "control-never", "--", "sh", "-c", script),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# What is missing


@pytest.mark.parametrize(
    ("program", "package"), [("ModemManager", "modemmanager"), ("dbus-daemon", "dbus-daemon")]
)
def test_a_program_that_is_not_installed_is_named_with_its_package(program: str, package: str) -> None:
    line = as_identity_after("caller", hidden(program), "-m", "bamdmux", *RUN, "--", "true")
    done = run_line(line)
    assert done.returncode == 1
    assert done.stderr == f"bamdmux: {program} is not installed; on Debian: sudo apt-get install {package}\n"


@pytest.mark.parametrize("arguments", [(*RUN, "--", "true"), ("connect",), ("disconnect",)])
def test_without_the_package_for_d_bus_one_line_says_how_to_get_it(arguments: tuple[str, ...]) -> None:
    folder = scratch()
    (folder / "sitecustomize.py").write_text("import sys; sys.modules['dbus_fast'] = None\n")
    paths = os.pathsep.join([str(folder), environment()["PYTHONPATH"]])
    done = run_bamdmux("caller", *arguments, env={**environment(), "PYTHONPATH": paths})
    expected = "bamdmux: D-Bus needs the package dbus-fast; pip install 'bamdmux[clients]'\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_connect_outside_of_a_run_says_where_it_belongs() -> None:
    without = {name: value for name, value in environment().items() if name != "DBUS_SYSTEM_BUS_ADDRESS"}
    done = run_bamdmux("caller", "connect", env=without)
    assert done.returncode == 2
    assert "run --modem-manager" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_bus_that_does_not_start_ends_the_run() -> None:
    """Somebody's dbus-daemon that is something else."""
    line = as_identity_after(
        "caller", hidden("dbus-daemon").replace("/dev/null", "/bin/false"), "-m", "bamdmux"
    )
    done = run_line([*line, *RUN, "--", "echo", "started"])
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"bamdmux: dbus-daemon does not start; .*\n", done.stderr)


def test_a_modem_manager_that_ends_at_once_ends_the_run_with_its_last_words() -> None:
    folder = scratch()
    fake = folder / "ModemManager"
    fake.write_text("#!/bin/sh\necho no such thing >&2; exit 3\n")
    fake.chmod(0o755)
    script = hidden("ModemManager").replace("/dev/null", str(fake))
    done = run_line(as_identity_after("caller", script, "-m", "bamdmux", *RUN, "--", "echo", "started"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bamdmux: ModemManager has ended (exit code 3); its last words: no such thing\n"


# The command


@for_the_weakest
def test_a_command_that_is_not_there_costs_no_time(identity: str) -> None:
    for name, code, text in (
        ("no-such-program", 127, "command not found: no-such-program"),
        ("/etc/passwd", 126, "cannot run /etc/passwd: Permission denied"),
    ):
        done = run_bamdmux(identity, *RUN, "--", name)
        assert (done.returncode, done.stderr) == (code, f"bamdmux: {text}\n")


@for_each_identity
def test_the_command_is_the_command_and_its_exit_code_that_of_the_run(identity: str) -> None:
    script = (
        "trap; ps -o ppid= $$; test -s $BAMDMUX_MODEM_MANAGER_LOG || exit 1; "
        "yes 2>/dev/null | head -1; echo ${PIPESTATUS[0]}; test -t 0 || cat; exit 5"
    )
    line = as_identity(identity, "-m", "bamdmux", "-v", *RUN, "--", "bash", "-c", script)
    done = run_line(line, input="from stdin")
    pipe_broken = 128 + signal.SIGPIPE  # and not an error of `yes`: what Python ignores is not ignored
    assert done.stdout.split() == ["1", "y", str(pipe_broken), "from", "stdin"]
    assert done.returncode == 5
    assert re.search(r"= log of modem-manager: /\S+/modem-manager.log\n", done.stderr)
    assert re.search(
        r"ModemManager found the modem after \d+\.\d s; 0\.\d\d s of that it waited", done.stderr
    )


@for_the_weakest
def test_ctrl_c_while_modem_manager_searches_ends_everything(identity: str, desk: ExitStack) -> None:
    folder = scratch()
    process = desk.enter_context(
        subprocess.Popen(
            as_identity(identity, "-m", "bamdmux", *RUN, "--", "sleep", "1000"),
            env={**environment(), "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )
    desk.callback(process.kill)
    wait_for(lambda: list(folder.glob("*/modem-manager.log")), "the keeper to begin")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, said) == (130, "")
    wait_for(lambda: not os.listdir(folder) and not users_of(folder), "the end of everything")


def users_of(folder: Path) -> list[str]:
    """Processes with that folder on their command line."""
    lines = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        lines += [line] if str(folder) in line else []
    return lines


@for_the_weakest
def test_a_shell_has_its_terminal_and_its_jobs(identity: str, desk: ExitStack) -> None:
    keyboard = Keyboard(["bash", "--norc", "--noprofile", "-i"])
    desk.callback(keyboard.close)
    keyboard.expect("outer> ")
    shell = ["env", "PS1=inner> ", "bash", "--norc", "--noprofile", "-i"]
    keyboard.type(shlex.join(as_identity(identity, "-m", "bamdmux", *RUN, "--", *shell)) + "\n")
    keyboard.expect("found the modem")
    keyboard.expect("inner> ")
    keyboard.type("sleep 1000\n")
    keyboard.expect("sleep 1000\r\n")
    keyboard.type("\x1a")
    keyboard.expect("Stopped")
    keyboard.expect("inner> ")
    keyboard.type("jobs\n")
    keyboard.expect(r"\[1\]\+\s+Stopped\s+sleep 1000")
    keyboard.type("fg\n")
    keyboard.expect("fg\r\nsleep 1000\r\n")
    keyboard.type("\x03")
    keyboard.expect("inner> ")
    keyboard.type("exit 6\n")
    keyboard.expect("outer> ")
    keyboard.type("echo code=$?\n")
    keyboard.expect("code=6")


# What dies later, and what is left


@for_the_weakest
def test_when_modem_manager_dies_a_line_says_so_and_the_command_goes_on(identity: str) -> None:
    with ManagedLink(identity, "--channels=1") as link:
        link.shell("pkill -SEGV -x ModemManager")
        wait_for(lambda: "signal 11, SIGSEGV" in link.log_path.read_text(), "the line")
        (line,) = [line for line in link.log() if "ModemManager has ended" in line]
        assert line.endswith("; the command goes on")
        assert link.refused("connect").startswith("bamdmux: ")
        assert link.end() == 0


@for_the_weakest
def test_nothing_is_left(identity: str) -> None:
    with ManagedLink(identity, "--channels=1") as link:
        traces = Traces(link)
        link.connect()
        assert link.end() == 0
        traces.wait_until_gone()
        assert not users_of(traces.folder)


@for_the_weakest
def test_bearers_may_be_up_from_the_start(identity: str) -> None:
    with ManagedLink(identity, "--channels=1", "--bearers=up") as link:
        assert link.answers("10.64.0.1")
        assert link.state() == "disabled"


# Last, for it has begun first


def test_where_no_modem_is_found_the_command_starts_all_the_same(
    search_in_vain: subprocess.Popen[str],
) -> None:
    out, err = search_in_vain.communicate(timeout=3 * DEADLINE_SECONDS)
    assert search_in_vain.returncode == 4
    assert "No modems were found" in out
    assert re.match(r"bamdmux: ModemManager has found no modem within 30 s; its log is /\S+\n", err)
