"""A command in namespaces: how it ends, what it sees, what it leaves behind, and whose keyboard it is.

Each test runs command_driver.py, which stands for `bamdmux run`, as a program: signals, terminals and kill -9
need one.
"""

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.live.identities import (
    DEADLINE_SECONDS,
    as_identity,
    environment,
    for_each_identity,
    scratch,
    stage,
    wait_for,
)

pytestmark = pytest.mark.live

# No loop around a short sleep: a shell that is stopped while it vforks is not stopped until the child has
# become its program, which it cannot while it is stopped itself.
READY_THEN_WAIT = "sleep 1000 & echo ready; wait"


class Driver:
    """One run of command_driver.py, and what it has written down."""

    def __init__(self, identity: str, argv: Sequence[str]) -> None:
        self.folder = scratch()
        self.events_path = self.folder / "events"
        arguments = [str(stage() / "command_driver.py"), str(self.events_path), *argv]
        self.line = as_identity(identity, *arguments)

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        timeout = DEADLINE_SECONDS
        stdin = subprocess.DEVNULL
        return subprocess.run(
            self.line, env=environment(), stdin=stdin, capture_output=True, text=True, timeout=timeout
        )

    @contextmanager
    def spawn(self, stdout: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
        """Start it, in a session of its own: without a terminal. What has not ended by the end is killed."""
        with subprocess.Popen(
            self.line,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def events(self) -> list[list[Any]]:
        try:
            return [json.loads(line) for line in self.events_path.read_text().splitlines()]
        except (FileNotFoundError, json.JSONDecodeError):  # none yet, or half a line
            return []

    def wait_for_event(self, name: str) -> list[Any]:
        found = wait_for(lambda: [event for event in self.events() if event[0] == name], f"event {name}")
        return found[-1]

    def command_pid(self) -> int:
        return int(self.wait_for_event("Started")[1])


class Keyboard:
    """A terminal with a program on it, and a user who types and reads."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.seen = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(
                argv[0], list(argv), {**environment(), "TERM": "dumb", "PS1": "outer> ", "HISTFILE": ""}
            )

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def expect(self, pattern: str) -> str:
        """Read until `pattern` has come, and forget what came up to there."""

        def found() -> re.Match[str] | None:
            if select.select([self._terminal], [], [], 0)[0]:
                self.seen += self._read()
            return re.search(pattern, self.seen)

        match = wait_for(found, f"{pattern!r} in {self.seen!r}")
        assert match is not None
        self.seen = self.seen[match.end() :]
        return match.group()

    def wait_for_end(self) -> int:
        """Exit code of the program on the terminal."""

        def ended() -> tuple[int, int] | None:
            if select.select([self._terminal], [], [], 0)[0]:
                self.seen += self._read()  # lest it waits for us
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (pid, status) if pid else None

        ending = wait_for(ended, "the end of the session")
        assert ending is not None
        self.pid = 0
        return os.waitstatus_to_exitcode(ending[1])

    def close(self) -> None:
        os.close(self._terminal)  # hangs up on the whole session
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _read(self) -> str:
        try:
            return os.read(self._terminal, 65536).decode(errors="replace")
        except OSError:  # EIO: nobody has it open any more
            return ""


@pytest.fixture
def desk() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def sit_down(desk: ExitStack, argv: Sequence[str]) -> Keyboard:
    keyboard = Keyboard(argv)
    desk.callback(keyboard.close)
    return keyboard


def shell(desk: ExitStack) -> Keyboard:
    """An interactive bash at a terminal."""
    keyboard = sit_down(desk, ["bash", "--norc", "--noprofile", "-i"])
    keyboard.expect("outer> ")
    return keyboard


def namespace_of(pid: int | str, kind: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:  # it ended meanwhile, or is none of our business
        return ""


def members(kind: str, namespace: str) -> list[int]:
    """All live processes of the machine that are in a namespace."""
    pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    return [pid for pid in pids if namespace_of(pid, kind) == namespace and is_alive(pid)]


def is_alive(pid: int) -> bool:
    """False for a zombie: when we were killed, the machine's first process reaps init, in its own time."""
    try:
        return not status_field(pid, "State").startswith("Z")
    except OSError:
        return False


def status_field(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    raise KeyError(name)


def names_in(driver: Driver) -> list[str]:
    """What runs in the command's PID namespace."""
    names = []
    for pid in members("pid", namespace_of(driver.command_pid(), "pid")):
        with suppress(OSError):
            names.append(status_field(pid, "Name"))
    return names


def is_stopped(pid: int) -> bool:
    return status_field(pid, "State").startswith("T")


def wait_until_gone(*namespaces: tuple[str, str]) -> None:
    for kind, namespace in namespaces:
        assert namespace
        wait_for(lambda kind=kind, link=namespace: not members(kind, link), f"the end of {kind} namespace")


def namespaces_of_command(driver: Driver) -> list[tuple[str, str]]:
    pid = driver.command_pid()
    return [(kind, namespace_of(pid, kind)) for kind in ("pid", "net", "mnt")]


# How it ends


@for_each_identity
@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
)
def test_the_exit_code_is_the_command_s(identity: str, script: str, code: int) -> None:
    driver = Driver(identity, ["sh", "-c", script])
    assert driver.run().returncode == code
    assert driver.events()[-2:] == [["Exited", code], ["closed"]]


@for_each_identity
def test_what_cannot_be_found_is_127(identity: str) -> None:
    done = Driver(identity, ["no-such-program"]).run()
    assert (done.returncode, done.stderr) == (127, "command not found: no-such-program\n")


def test_a_program_without_its_interpreter_is_not_called_missing() -> None:
    script = scratch() / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = Driver("caller", [str(script)]).run()
    assert done.returncode == 127
    assert done.stderr == f"cannot run {script}: the interpreter that it names does not exist\n"


@for_each_identity
@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("data", 0o644, "Permission denied"),
        ("nonsense", 0o755, "Exec format error"),
        (".", 0, "Permission denied"),
    ],
)
def test_what_cannot_be_executed_is_126(identity: str, name: str, mode: int, reason: str) -> None:
    program = scratch() / name
    if mode:
        program.write_text("neither ELF nor a script")
        program.chmod(mode)
    done = Driver(identity, [str(program)]).run()
    assert (done.returncode, done.stderr) == (126, f"cannot run {program}: {reason}\n")


@for_each_identity
def test_background_children_end_with_the_command(identity: str) -> None:
    driver = Driver(identity, ["sh", "-c", "sleep 1000 & setsid sleep 1000 & sleep 1000"])
    with driver.spawn() as process:
        namespaces = namespaces_of_command(driver)
        wait_for(lambda: names_in(driver).count("sleep") == 3, "three sleeps")
        os.kill(driver.command_pid(), signal.SIGKILL)
        assert process.wait(DEADLINE_SECONDS) == 137
    # At once: close() returns only when all are gone.
    assert [members(*namespace) for namespace in namespaces] == [[], [], []]


@for_each_identity
def test_orphans_inside_are_reaped(identity: str) -> None:
    script = (
        "(sleep 0.01 &) ; (true &) ; while ps -eo stat= | grep -q Z || [ $(ps -e | wc -l) -gt 7 ]; do :; done"
    )
    assert Driver(identity, ["sh", "-c", script]).run().returncode == 0


# What it sees


@for_each_identity
def test_it_is_uid_0(identity: str) -> None:
    assert Driver(identity, ["id", "-u"]).run().stdout == "0\n"


@for_each_identity
def test_it_inherits_only_stdio(identity: str) -> None:
    # The driver leaks a descriptor on purpose. ls shows its own of the folder, which is 3.
    assert Driver(identity, ["ls", "/proc/self/fd"]).run().stdout.split() == ["0", "1", "2", "3"]


@for_each_identity
def test_init_holds_no_descriptor_of_ours(identity: str) -> None:
    driver = Driver(identity, ["sleep", "1000"])
    with driver.spawn() as process:
        init = int(status_field(driver.command_pid(), "PPid"))
        wait_for(lambda: status_field(init, "Name") == "bamdmux-init", "init's name")
        held = [os.readlink(f"/proc/{init}/fd/{fd}") for fd in os.listdir(f"/proc/{init}/fd") if int(fd) > 2]
        process.terminate()
    # Its end of the socket, the pipe that wakes it, and the folder of control groups that it carried over.
    assert all(re.match(r"(socket|pipe):|/sys/fs/cgroup$|/$", name) for name in held), held
    assert sum(name.startswith("socket:") for name in held) == 1


@for_each_identity
def test_it_sees_only_its_own_processes(identity: str) -> None:
    done = Driver(identity, ["ps", "-e", "-o", "pid=,comm="]).run()
    assert done.stdout.split() == ["1", "bamdmux-init", "2", "ps"]


@for_each_identity
def test_its_network_is_fresh(identity: str) -> None:
    script = "echo /sys/class/net/*; tail -n +3 /proc/net/dev | cut -d: -f1"
    assert Driver(identity, ["sh", "-c", script]).run().stdout.split() == ["/sys/class/net/lo", "lo"]


@for_each_identity
def test_its_mounts_stay_inside(identity: str) -> None:
    before = Path("/proc/self/mounts").read_text()
    done = Driver(
        identity, ["sh", "-c", "mount -t tmpfs inside /mnt && grep -c inside /proc/mounts; sleep 0.2"]
    ).run()
    assert done.stdout == "1\n"
    assert Path("/proc/self/mounts").read_text() == before


@for_each_identity
def test_signals_have_their_default_meaning(identity: str) -> None:
    done = Driver(identity, ["cat", "/proc/self/status"]).run()
    masks = [int(mask, 16) for mask in re.findall(r"Sig(?:Blk|Ign|Cgt):\t(\w+)", done.stdout)]
    # The C library keeps 32 and 33 to itself: what was inherited of them (from make, say) stays.
    assert [mask & ~(0b11 << 31) for mask in masks] == [0, 0, 0]


# What it leaves behind


@for_each_identity
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_however_we_end(identity: str, end: signal.Signals) -> None:
    driver = Driver(identity, ["sh", "-c", "sleep 1000 & setsid sleep 1000 & exec sleep 1000"])
    with driver.spawn() as process:
        namespaces = namespaces_of_command(driver)
        # All three, for a shell that has yet to exec would still catch SIGINT.
        wait_for(lambda: names_in(driver).count("sleep") == 3, "three sleeps")
        process.send_signal(end)
        assert process.wait(DEADLINE_SECONDS) == (-end if end is signal.SIGKILL else 128 + end)
    wait_until_gone(*namespaces)


@for_each_identity
def test_kill_9_of_init_ends_the_command(identity: str) -> None:
    driver = Driver(identity, ["sh", "-c", "sleep 1000 & sleep 1000"])
    with driver.spawn() as process:
        namespaces = namespaces_of_command(driver)
        os.kill(int(status_field(driver.command_pid(), "PPid")), signal.SIGKILL)
        assert process.wait(DEADLINE_SECONDS) == 137
    wait_until_gone(*namespaces)


def test_kill_9_with_reports_unread_ends_all_the_same() -> None:
    driver = Driver("caller", ["sh", "-c", "sleep 1000"])
    with driver.spawn() as process:
        namespaces = namespaces_of_command(driver)
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: is_stopped(process.pid), "our stop")
        os.kill(driver.command_pid(), signal.SIGSTOP)  # init reports it, and nobody reads
        wait_for(lambda: is_stopped(driver.command_pid()), "the command's stop")
        process.kill()
    wait_until_gone(*namespaces)


# Signals, and no terminal


@for_each_identity
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_our_signals_are_the_command_s(identity: str, name: str) -> None:
    script = f"trap 'exit 9' {name}; {READY_THEN_WAIT}"
    driver = Driver(identity, ["sh", "-c", script])
    with driver.spawn(stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(DEADLINE_SECONDS) == 9


def test_without_a_terminal_a_stop_is_the_command_s_alone() -> None:
    driver = Driver("caller", ["sleep", "1000"])
    with driver.spawn() as process:
        os.kill(driver.command_pid(), signal.SIGSTOP)
        driver.wait_for_event("Stopped")
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: not is_stopped(driver.command_pid()), "the command to go on")
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 143


# The keyboard


@for_each_identity
def test_ctrl_c_is_the_command_s_and_not_ours(identity: str, desk: ExitStack) -> None:
    driver = Driver(identity, ["sh", "-c", f"trap 'echo caught; exit 5' INT; {READY_THEN_WAIT}"])
    keyboard = sit_down(desk, driver.line)
    keyboard.expect("ready\r\n")  # not the echo of what was typed
    keyboard.type("\x03")
    keyboard.expect("caught")
    assert keyboard.wait_for_end() == 5
    assert [event for event in driver.events() if event[0] == "signal"] == []


@for_each_identity
def test_ctrl_z_stops_both_and_fg_continues_both(identity: str, desk: ExitStack) -> None:
    driver = Driver(identity, ["sh", "-c", "echo ready; read line; echo got $line; exit 6"])
    keyboard = shell(desk)
    keyboard.type(shlex.join(driver.line) + "\n")
    keyboard.expect("ready\r\n")  # not the echo of what was typed
    for _ in range(3):
        keyboard.type("\x1a")
        keyboard.expect("Stopped")
        keyboard.expect("outer> ")
        ours = int(status_field(int(status_field(driver.command_pid(), "PPid")), "PPid"))
        assert is_stopped(ours)
        assert is_stopped(driver.command_pid())
        keyboard.type("fg\n")
        wait_for(lambda pid=ours: not is_stopped(pid) and not is_stopped(driver.command_pid()), "fg")
        wait_for(lambda: os.tcgetpgrp(keyboard._terminal) == driver.command_pid(), "the terminal")
    keyboard.type("hello\n")
    keyboard.expect("got hello")
    keyboard.expect("outer> ")
    keyboard.type("fg; echo alive\n")
    keyboard.expect("no such job")
    keyboard.expect("alive")
    assert driver.events()[-2:] == [["Exited", 6], ["closed"]]


@for_each_identity
def test_a_job_in_the_background_runs_and_asks_for_the_terminal(identity: str, desk: ExitStack) -> None:
    driver = Driver(identity, ["sh", "-c", "echo ready; read line; echo got $line"])
    keyboard = shell(desk)
    keyboard.type(shlex.join(driver.line) + " &\n")
    driver.wait_for_event("Stopped")  # it reads, from the background
    keyboard.type("\n\n")
    keyboard.expect("Stopped")
    keyboard.type("fg\n")
    wait_for(lambda: os.tcgetpgrp(keyboard._terminal) == driver.command_pid(), "the terminal")
    keyboard.type("hello\n")
    keyboard.expect("got hello")
    keyboard.expect("outer> ")


def test_bg_leaves_the_terminal_to_the_shell(desk: ExitStack) -> None:
    driver = Driver("caller", ["sh", "-c", f"trap 'exit 5' TERM; {READY_THEN_WAIT}"])
    keyboard = shell(desk)
    keyboard.type(shlex.join(driver.line) + "\n")
    keyboard.expect("ready\r\n")  # not the echo of what was typed
    keyboard.type("\x1a")
    keyboard.expect("Stopped")
    keyboard.type("bg\n")
    wait_for(lambda: not is_stopped(driver.command_pid()), "the command to go on")
    keyboard.type("echo al''ive\n")
    keyboard.expect("alive")
    keyboard.type("kill %1; wait %1; echo code=$?\n")
    keyboard.expect("code=5")
    keyboard.type("echo still-al''ive\n")
    keyboard.expect("still-alive")


@for_each_identity
def test_a_shell_inside_has_job_control(identity: str, desk: ExitStack) -> None:
    driver = Driver(identity, ["bash", "--norc", "--noprofile", "-i"])
    keyboard = shell(desk)
    keyboard.type("PS1='inner> ' " + shlex.join(driver.line) + "; echo code=$?\n")
    first_words = keyboard.expect(r"(?s).*\ninner> ")
    assert "no job control" not in first_words
    keyboard.type("sleep 1000\n")
    keyboard.expect("sleep 1000\r\n")
    wait_for(lambda: "sleep" in names_in(driver), "sleep")
    keyboard.type("\x1a")
    keyboard.expect("Stopped")
    keyboard.expect("inner> ")
    keyboard.type("fg\n")
    keyboard.expect("sleep 1000\r\n")
    keyboard.type("\x03")
    keyboard.expect("inner> ")
    keyboard.type("suspend\n")
    keyboard.expect("Stopped")
    keyboard.expect("outer> ")
    keyboard.type("fg\n")
    keyboard.expect("inner> ")
    keyboard.type("exit 3\n")
    keyboard.expect("outer> ")
    assert driver.events()[-2:] == [["Exited", 3], ["closed"]]
    assert [event for event in driver.events() if event[0] == "signal"] == []


def test_a_script_gets_its_terminal_back(desk: ExitStack) -> None:
    """No interactive shell is there to take the terminal back for the lines after ours."""
    driver = Driver("caller", ["true"])
    keyboard = sit_down(desk, ["sh", "-c", shlex.join(driver.line) + "; read line; echo got $line"])
    driver.wait_for_event("closed")
    keyboard.type("hello\n")
    keyboard.expect("got hello")
    assert keyboard.wait_for_end() == 0


def test_ctrl_z_that_nobody_could_undo_is_spared(desk: ExitStack) -> None:
    """We lead the session, as in `docker run -it`: no shell would ever say fg."""
    driver = Driver("caller", ["sh", "-c", "echo ready; read line; echo got $line"])
    keyboard = sit_down(desk, driver.line)
    keyboard.expect("ready\r\n")  # not the echo of what was typed
    keyboard.type("\x1a")
    driver.wait_for_event("Stopped")
    wait_for(lambda: os.tcgetpgrp(keyboard._terminal) == driver.command_pid(), "the terminal")
    keyboard.type("hello\n")
    keyboard.expect("got hello")
    assert keyboard.wait_for_end() == 0


def test_a_neighbour_in_the_pipeline_keeps_the_terminal(desk: ExitStack) -> None:
    driver = Driver("caller", ["sh", "-c", f"trap 'exit 5' INT; {READY_THEN_WAIT}"])
    keyboard = shell(desk)
    keyboard.type(
        "set -o pipefail; "
        + shlex.join(driver.line)
        + " | sh -c 'cat; read line </dev/tty; echo got $line'\n"
    )
    keyboard.expect("ready\r\n")
    keyboard.type("\x1a")
    keyboard.expect("Stopped")
    keyboard.type("fg\n")
    wait_for(lambda: not is_stopped(driver.command_pid()), "the command to go on")
    os.kill(driver.command_pid(), signal.SIGINT)
    driver.wait_for_event("closed")
    keyboard.type("hello\n")
    keyboard.expect("got hello")


def test_a_hung_up_terminal_ends_everything(desk: ExitStack) -> None:
    driver = Driver("caller", ["sh", "-c", READY_THEN_WAIT])
    keyboard = shell(desk)
    keyboard.type(shlex.join(driver.line) + "\n")
    keyboard.expect("ready\r\n")  # not the echo of what was typed
    namespaces = namespaces_of_command(driver)
    keyboard.close()
    desk.pop_all()
    wait_until_gone(*namespaces)
