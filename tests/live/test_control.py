"""The control socket of a running link: what it answers, and to whom it is a match."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bamdmux.cli.main import main
from bamdmux.errors import MachineError
from bamdmux.live import control
from tests.live.identities import (
    DEADLINE_SECONDS,
    NOBODY,
    Link,
    as_identity,
    environment,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_line,
    scratch,
    wait_for,
)
from tests.live.test_command import status_field

pytestmark = [pytest.mark.live, needs_tun]

STATUS = b'{"command": "status"}\n'
NOT_JSON = "a request is one line of JSON"


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(link: Link, clients: ExitStack) -> socket.socket:
    client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    client.connect(os.fspath(link.control_path))
    client.settimeout(DEADLINE_SECONDS)
    return client


def answer(client: socket.socket, request: bytes) -> dict[str, Any]:
    client.sendall(request)
    return next_answer(client)


def next_answer(client: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        data = client.recv(1 << 16)
        assert data, f"it hung up after {line!r}"
        line += data
    read: dict[str, Any] = json.loads(line)
    return read


def is_hung_up(client: socket.socket) -> bool:
    """Whether the server has closed, once its answers are read; waits for it."""
    with suppress(ConnectionResetError):
        while client.recv(1 << 16):
            pass
    return True


def assert_well(link: Link) -> None:
    """The link carries packets, answers, and has no more to do."""
    assert " 0% packet loss" in link.shell("ping -c 1 10.64.0.1")
    assert link.status()["pid"] == link.process.pid
    assert not [line for line in link.log() if "Traceback" in line]


def descriptors(link: Link) -> int:
    return len(os.listdir(f"/proc/{link.process.pid}/fd"))


# What it answers


@for_each_identity
def test_status_tells_of_both_sides(identity: str) -> None:
    with Link(identity) as link:
        link.shell("ping -c 3 -i 0.01 -I wwan2 10.64.2.1")
        said = json.loads(link.shell(f"{link.python} -m bamdmux ctl $BAMDMUX_CTL status --json"))
        halves = {"host", "modem", "network", "faults", "ports", "control", "answers"}
        assert said.keys() == {"version", "pid", "uptime_ms", *halves}
        assert said["pid"] == link.process.pid
        assert said["network"]["kind"] == "internal"
        assert status_field(said["network"]["pid"], "Name") == "bamdmux-http"
        power = said["host"]["power"]
        assert power["vote"] == "active"
        assert power["modem_up"]
        assert (power["votes"], power["acks"]) == (1, 1)
        assert list(said["host"]["channels"]) == [str(channel) for channel in range(8)]
        assert [channel["channel"] for channel in said["modem"]["channels"]] == list(range(8))
        for direction in ("transmitted", "received"):
            counters = said["host"]["channels"]["2"][direction]
            assert counters.keys() == {"packets", "bytes", "drops"}
            assert counters["packets"] == 4  # three pings, and the router
        assert said["host"]["dropped_by_kernel"] == {f"wwan{channel}": 0 for channel in range(8)}


@for_the_weakest
def test_status_for_people_is_a_short_table(identity: str) -> None:
    with Link(identity) as link:
        lines = link.shell(f"{link.python} -m bamdmux ctl $BAMDMUX_CTL status").splitlines()
        assert lines[0] == "host   active, the modem is up"
        assert re.match(r"modem  msm8916, up, \d+ rises?; 1\d frames in, 1\d out$", lines[2])
        rows = [line.split() for line in lines if re.match(r"wwan\d ", line)]
        assert [row[:2] for row in rows] == [[f"wwan{channel}", "open"] for channel in range(8)]
        assert "\x1b" not in "".join(lines)
        link.shell("ip link set wwan1 down")
        wait_for(lambda: not link.status()["host"]["channels"]["1"]["up"], "ifdown")
        said = link.shell(f"{link.python} -m bamdmux ctl $BAMDMUX_CTL status")
        assert [line.split()[1] for line in said.splitlines() if line.startswith("wwan1 ")] == ["down"]


@for_the_weakest
def test_the_socket_is_for_its_user_alone(identity: str) -> None:
    with Link(identity) as link:
        folder = link.control_path.parent.stat()
        assert stat.S_IMODE(folder.st_mode) == 0o700
        assert folder.st_uid == (NOBODY if identity == "nobody" else os.geteuid())


def test_another_user_is_refused_in_one_line() -> None:
    with Link("caller") as link:
        done = run_line(as_identity("nobody", "-m", "bamdmux", "ctl", str(link.control_path), "status"))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"bamdmux: cannot ask {link.control_path}: Permission denied; ")
        assert done.stderr.count("\n") == 1


@for_the_weakest
def test_one_connection_may_ask_many_times(identity: str, clients: ExitStack) -> None:
    with Link(identity) as link:
        client = connect(link, clients)
        client.sendall(STATUS[:10])
        client.sendall(STATUS[10:] + STATUS + STATUS[:-1] + b"\r\n")
        uptimes = []
        with client.makefile("rb") as answers:
            for _ in range(3):
                uptimes.append(json.loads(answers.readline())["result"]["uptime_ms"])
        assert uptimes == sorted(uptimes)
        assert answer(client, STATUS)["ok"]


def test_a_request_without_its_end_is_none(clients: ExitStack) -> None:
    with Link("caller") as link:
        client = connect(link, clients)
        client.sendall(STATUS[:-1])
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_client_that_says_no_more_gets_its_answer(clients: ExitStack) -> None:
    with Link("caller") as link:
        client = connect(link, clients)
        client.sendall(STATUS)
        client.shutdown(socket.SHUT_WR)
        assert next_answer(client)["ok"]
        assert client.recv(1) == b""


# Hostile clients


@for_the_weakest
def test_any_line_is_answered_in_one_line(identity: str, clients: ExitStack) -> None:
    known = "bearer, crash, deregister, fault, register, restart, signal, sim, status"
    unknown = f"unknown command {{}}; known: {known}"
    lines = {
        b"": NOT_JSON,
        b"status": NOT_JSON,
        b"\xff\xfe\x00": NOT_JSON,
        b"\0" * 100: NOT_JSON,
        b"[" * 60_000: NOT_JSON,
        b'{"command": ' * 5_000: NOT_JSON,
        b'{"command": ' + b"9" * 5_000 + b"}": NOT_JSON,  # more digits than Python likes
        b"[]": "a request is a JSON object",
        b"NaN": "a request is a JSON object",
        b"1e999": "a request is a JSON object",
        b'"status"': "a request is a JSON object",
        b"{}": unknown.format("None"),
        b'{"command": null}': unknown.format("None"),
        b'{"command": ["status"]}': unknown.format("['status']"),
        b'{"command": {}}': unknown.format("{}"),
        b'{"command": "stat"}': unknown.format("stat"),
        b'{"command": "status\\n"}': unknown.format("status\n"),
        b'{"command": "\\ud800"}': unknown.format("\ud800"),
        b'{"command": "__class__"}': unknown.format("__class__"),
        b'{"command": "status", "command": "x"}': unknown.format("x"),
        b'{"command": "' + b"a" * 60_000 + b'"}': unknown.format("a" * 60_000),
    }
    with Link(identity) as link:
        client = connect(link, clients)
        for line, error in lines.items():
            refusal = {"ok": False, "usage": True, "error": error}
            assert answer(client, line + b"\n") == refusal, line[:40]
        assert answer(client, b'{"command": "status", "x": [1, {}], "": null}\n')["ok"]
        assert_well(link)


@for_the_weakest
def test_a_line_without_end_is_the_end(identity: str, clients: ExitStack) -> None:
    with Link(identity) as link:
        before = descriptors(link)
        client = connect(link, clients)
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                client.sendall(b"x" * 4096)
        assert is_hung_up(client)
        wait_for(lambda: descriptors(link) == before, "the connection to be closed")
        assert_well(link)


@for_the_weakest
def test_a_client_that_does_not_read_is_dropped(identity: str, clients: ExitStack) -> None:
    with Link(identity) as link:
        client = connect(link, clients)
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(STATUS * 10_000)
        with suppress(ConnectionResetError):
            while client.recv(1 << 20):  # what was answered before it was dropped
                pass
        assert_well(link)
        assert int(status_field(link.process.pid, "VmHWM").split()[0]) < 60 * 1024


@for_the_weakest
def test_clients_that_vanish_leave_nothing(identity: str) -> None:
    with Link(identity) as link:
        before = descriptors(link)
        for request in (b"", STATUS, STATUS * 20, STATUS[:5], b"x" * 5000):
            for _ in range(10):
                with ExitStack() as clients:
                    connect(link, clients).sendall(request)
        wait_for(lambda: descriptors(link) == before, "the connections to be closed")
        assert_well(link)


@for_the_weakest
def test_descriptors_that_are_sent_along_are_not_kept(identity: str, clients: ExitStack) -> None:
    with Link(identity) as link:
        client = connect(link, clients)
        assert answer(client, STATUS)["ok"]
        before = descriptors(link)
        null = os.open("/dev/null", os.O_RDONLY)
        for _ in range(5):
            socket.send_fds(client, [STATUS], [null] * 50)
            assert next_answer(client)["ok"]
        os.close(null)
        assert descriptors(link) == before


@for_the_weakest
def test_too_many_clients_are_told_so(identity: str, clients: ExitStack) -> None:
    with Link(identity) as link:
        for _ in range(control.MAX_CLIENTS):
            assert answer(connect(link, clients), STATUS)["ok"]
        said = link.shell(f"{link.python} -m bamdmux ctl $BAMDMUX_CTL status 2>&1; [ $? = 1 ]")
        assert "too many" in said
        clients.close()
        wait_for(lambda: asks_in_vain(link) is None, "a place")
        assert_well(link)


def asks_in_vain(link: Link) -> Exception | None:
    try:
        link.status()
    except Exception as error:
        return error
    return None


@for_the_weakest
def test_silent_clients_cost_nothing(identity: str, clients: ExitStack) -> None:
    """Half a line, or none at all: while the link is suspended, nobody wakes the process."""
    with Link(identity) as link:
        for _ in range(control.MAX_CLIENTS + 5):
            with suppress(BrokenPipeError):  # of those that are too many
                connect(link, clients).send(STATUS[:5])
        wait_for(lambda: link.log()[-1] == "modem = modem power falling -> down", "the suspend")
        pid = link.process.pid
        before = status_field(pid, "voluntary_ctxt_switches"), cpu_ticks(pid)
        assert link.process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            link.process.wait(1)  # a bound that is waited for
        assert (status_field(pid, "voluntary_ctxt_switches"), cpu_ticks(pid)) == before


def cpu_ticks(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]


@for_the_weakest
def test_a_flood_of_requests_does_not_hold_up_packets(identity: str, clients: ExitStack) -> None:
    """3000 requests fit into one read; all of them at once would take half a second."""
    with Link(identity) as link:
        link.start("ping -c 20 -i 0.02 -W 5 10.64.0.1")
        flooder = connect(link, clients)
        with suppress(BrokenPipeError, ConnectionResetError):
            flooder.sendall(STATUS * 3000)
        said = link.finish()
        assert " 0% packet loss" in said
        longest_ms = float(said.split("rtt min/avg/max/mdev = ")[1].split("/")[2])
        assert longest_ms < 200
        assert_well(link)


@for_the_weakest
def test_a_crowd_that_asks_at_once_is_answered(identity: str) -> None:
    with Link(identity) as link:
        errors: list[Exception | None] = []
        crowd = [threading.Thread(target=lambda: errors.append(asks_in_vain(link))) for _ in range(30)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        assert errors == [None] * 30
        assert_well(link)


def test_a_client_waits_when_others_are_before_it(clients: ExitStack, tmp_path: Path) -> None:
    """A backlog that is full is no error: the link is busy, and will have time."""
    path = tmp_path / "control"
    listener = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    listener.bind(os.fspath(path))
    listener.listen(0)
    others = [clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(2)]
    for other in others:
        other.setblocking(False)
        with suppress(BlockingIOError):
            other.connect(os.fspath(path))

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = listener.accept()
                with connection:
                    if connection.recv(1024):
                        connection.sendall(b'{"ok": true, "result": 7}\n')

    def ask() -> None:
        try:
            results.append(control.request(path, "status"))
        except MachineError as error:
            results.append(error)

    results: list[object] = []
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    wait_for(lambda: status_field_of_thread(asking) != "R", "the client to wait")
    for other in others:
        other.close()
    threading.Thread(target=serve, daemon=True).start()
    asking.join(DEADLINE_SECONDS)
    assert results == [7]


def status_field_of_thread(thread: threading.Thread) -> str:
    path = Path(f"/proc/self/task/{thread.native_id}/stat")
    return path.read_text().rsplit(")", 1)[1].split()[0] if path.exists() else "gone"


def test_descriptors_that_run_out_end_no_link() -> None:
    script = scratch() / "crowd.py"
    script.write_text(
        "import os, socket, subprocess\n"
        "crowd = []\n"
        "for _ in range(40):\n"
        "    client = socket.socket(socket.AF_UNIX)\n"
        "    client.settimeout(0.1)\n"
        "    try: client.connect(os.environ['BAMDMUX_CTL'])\n"
        "    except OSError: break\n"
        "    crowd.append(client)\n"
        "subprocess.run(['ping', '-c', '1', '-W', '5', '-q', '10.64.0.1'])\n"
    )
    python = as_identity("caller")[-1]
    line = as_identity("caller", "-m", "bamdmux", "run", "--", python, str(script))
    done = run_line(["sh", "-c", 'ulimit -n 52; exec "$@"', "sh", *line])
    assert " 0% packet loss" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


# The client, and servers that are none


@contextmanager
def impostor(path: Path, reply: bytes) -> Iterator[None]:
    """Something else listens there, answers so, and hangs up."""

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(reply)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(DEADLINE_SECONDS)


@pytest.mark.parametrize(
    "reply",
    [b"", b"HTTP/1.1 400 Bad Request\r\n", b"\xff\n", b"[1]\n", b"{}\n", b'{"ok": false}\n', b"null\n"],
)
def test_what_answers_otherwise_is_no_control_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: bytes
) -> None:
    path = tmp_path / "control"
    with impostor(path, reply):
        assert main(["ctl", str(path), "status"]) == 1
    line = f"bamdmux: {path} gave no answer of ours; is it a control socket of bamdmux?\n"
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("result", [b"null", b'{"host": {}, "modem": 1}'])
def test_a_status_that_is_none_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], result: bytes
) -> None:
    path = tmp_path / "control"
    with impostor(path, b'{"ok": true, "result": ' + result + b"}\n"):
        assert main(["ctl", str(path), "status"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("bamdmux: ")
    assert said.err.count("\n") == 1


@for_each_identity
def test_a_link_that_is_stopped_does_not_answer(
    identity: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "CLIENT_TIMEOUT_SECONDS", 0.2)
    with Link(identity) as link:
        link.process.send_signal(signal.SIGSTOP)
        assert main(["ctl", str(link.control_path), "status"]) == 1
        link.process.send_signal(signal.SIGCONT)
        line = f"bamdmux: {link.control_path} does not answer; is its process stopped?\n"
        assert capsys.readouterr() == ("", line)


def test_a_link_that_has_ended_is_said_to_have(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(path))  # and died: the socket stays
    assert main(["ctl", str(path), "status"]) == 1
    line = f"bamdmux: cannot ask {path}: nobody listens there; is `bamdmux run` still running?\n"
    assert capsys.readouterr() == ("", line)


def test_a_path_that_is_too_long_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    path.touch()
    path.unlink()
    os.mknod(path, 0o600 | stat.S_IFSOCK)
    assert main(["ctl", str(path), "status"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"bamdmux: cannot ask {path}: ")
    assert said.err.count("\n") == 1


def test_a_folder_for_temporary_files_that_is_too_deep_is_one_line() -> None:
    folder = scratch() / ("x" * 100)
    folder.mkdir()
    line = as_identity("caller", "-m", "bamdmux", "run", "--", "true")
    done = run_line(line, env={**environment(), "TMPDIR": str(folder)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bamdmux: socket path ")
    assert done.stderr.endswith(" is too long (107 bytes at most); use a shorter one\n")
    assert done.stderr.count("\n") == 1
    assert os.listdir(folder) == []
