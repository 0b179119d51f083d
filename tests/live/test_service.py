"""`bamdmux host` and `bamdmux modem` as services: how they start, end, log and answer; what is refused."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bamdmux.live.service import LINES_PER_SECOND, LineLimit, limited_logs
from tests.live.identities import (
    environment,
    for_each_identity,
    for_the_weakest,
    needs_tun,
    run_bamdmux,
    run_line,
    scratch,
    wait_for,
)
from tests.live.split.processes import HostProgram, ModemProgram, Pair, Place

pytestmark = [pytest.mark.live, needs_tun]

ENDINGS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def refusal(identity: str, *arguments: str, code: int = 1) -> str:
    """The one line with which it does not start."""
    done = run_bamdmux(identity, *arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("bamdmux: ")]
    assert (done.returncode, done.stdout, len(lines)) == (code, "", 1), done.stderr
    assert done.stderr.splitlines()[-1] == lines[0]
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("bamdmux: ")


def host_refusal(place: Place, *arguments: str) -> str:
    done = run_line(place.python("-m", "bamdmux", "host", *arguments))
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return done.stderr.splitlines()[-1].removeprefix("bamdmux: ")


# How they end


@for_the_weakest
@pytest.mark.parametrize("number", ENDINGS, ids=lambda number: number.name)
def test_a_signal_is_an_orderly_removal(identity: str, number: signal.Signals, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.host.ping()
    modem = pair.modem.status()["modem"]
    assert modem["channels"][0]["host_open"]
    assert pair.host.end(number) == 0
    wait_for(lambda: pair.modem.status()["modem"] is None, "the modem to see the host go")
    assert "wwan" not in pair.place.shell("ip link")
    assert pair.modem.end(number) == 0
    assert sorted(path.suffix for path in pair.folder.iterdir()) == [".log", ".log"]
    assert "Traceback" not in pair.host.log() + pair.modem.log()


@for_each_identity
def test_the_modem_hears_the_close_of_a_host_that_leaves(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack, verbosity="-vv")
    assert pair.host.end() == 0
    wait_for(lambda: "host gone" in pair.modem.log(), "the end of the host")
    said = re.findall(r"bamdmux.modem (.*)", pair.modem.log())
    assert said.index("< CLOSE channel 0") < said.index("= host gone")


@for_the_weakest
def test_without_a_modem_a_host_ends_at_once(identity: str, stack: ExitStack) -> None:
    """Nobody is there to hear a CLOSE, so none is waited for."""
    pair = Pair(identity, stack)
    pair.modem.kill()
    wait_for(lambda: not pair.host.is_connected(), "the host to notice")
    pair.host.send(signal.SIGTERM)
    assert pair.host.process.wait(timeout=1.5) == 0  # a wait for power alone takes two seconds


@for_the_weakest
def test_a_second_signal_ends_a_removal_that_waits(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.modem.send(signal.SIGSTOP)
    pair.host.send(signal.SIGTERM)
    wait_for(lambda: "= removing the driver" in pair.host.log(), "the removal to begin")
    pair.host.send(signal.SIGTERM)
    assert pair.host.process.wait(timeout=1.5) == 128 + signal.SIGTERM  # two waits of two seconds are left
    assert "wwan" not in pair.place.shell("ip link")


@for_the_weakest
def test_a_modem_alone_ends_and_leaves_nothing(identity: str, stack: ExitStack) -> None:
    modem = stack.enter_context(ModemProgram(identity, scratch()))
    modem.wait_until_it_answers()
    server = modem.status()["network"]["pid"]
    assert modem.end() == 0
    assert not modem.path.exists()
    assert not modem.control_path.exists()
    wait_for(lambda: not Path(f"/proc/{server}").exists(), "the end of the network's server")


# What they say


@for_each_identity
def test_what_happens_is_logged_to_stderr(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.host.end()
    pair.modem.end()
    for program in (pair.host, pair.modem):
        assert program.process.stdout is not None
        assert program.process.stdout.read() == b""
    modem = [line.split("bamdmux.")[1] for line in pair.modem.log().splitlines()]
    assert modem == [
        f"service = modem msm8916 listens at {pair.modem.path}",
        "modem = host connected",
        "modem = host gone",
    ]
    host = [line.split("bamdmux.")[1] for line in pair.host.log().splitlines()]
    assert host[-2:] == [f"host = modem found at {pair.modem.path}", "service = removing the driver"]


@for_the_weakest
def test_each_half_answers_for_people(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    pair.host.ping()
    said = run_bamdmux(identity, "ctl", str(pair.host.control_path), "status").stdout.splitlines()
    assert re.fullmatch(r"host   active, the modem is up", said[0])
    assert said[2] == f"modem  connected at {pair.modem.path}"
    assert said[3].split() == [
        "interface",
        "state",
        *["sent", "bytes", "dropped"],
        *["received", "bytes", "dropped"],
    ]
    assert said[4].split()[:2] == ["wwan0", "open"]
    assert [line.split()[0] for line in said[5:12]] == [f"wwan{channel}" for channel in range(1, 8)]
    said = run_bamdmux(identity, "ctl", str(pair.modem.control_path), "status").stdout.splitlines()
    assert re.fullmatch(r"modem  msm8916, up, \d+ rises?; \d+ frames in, \d+ out", said[0]), said
    pair.host.end()
    wait_for(lambda: pair.modem.status()["modem"] is None, "the modem to see the host go")
    said = run_bamdmux(identity, "ctl", str(pair.modem.control_path), "status").stdout.splitlines()
    assert said == ["modem  no host is connected"]


@for_the_weakest
def test_a_host_that_looks_says_where(identity: str, stack: ExitStack) -> None:
    folder = scratch()
    host = stack.enter_context(HostProgram(stack.enter_context(Place(identity)), folder))
    host.wait_until_it_answers()
    said = run_bamdmux(identity, "ctl", str(host.control_path), "status").stdout.splitlines()
    assert said[0] == "host   suspended, the modem is down"
    assert said[2] == f"modem  looking at {folder / 'link'}"


@for_the_weakest
def test_each_half_answers_for_programs(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    for program in (pair.host, pair.modem):
        answer = json.loads(
            run_bamdmux(identity, "ctl", str(program.control_path), "status", "--json").stdout
        )
        assert {"version", "pid", "uptime_ms", "host", "modem", "network"} <= set(answer)
        assert answer["pid"] == program.pid


@for_each_identity
def test_interfaces_have_an_ipv6_identity_each(identity: str, stack: ExitStack) -> None:
    """Nobody but the host can give it: those who type `ip link set wwan0 up` know of none."""
    pair = Pair(identity, stack)
    pair.place.shell("ip link set wwan1 up")
    lower_halves = set()
    for channel in (0, 1):

        def addresses(name: str = f"wwan{channel}") -> list[str]:
            entries = json.loads(pair.place.shell(f"ip -6 -j address show {name}"))
            return sorted(info["local"] for entry in entries for info in entry.get("addr_info", []))

        wait_for(lambda addresses=addresses: len(addresses()) == 2, "the router advertisement")
        one, other = addresses()
        lower_half = other.removeprefix("fe80::")
        assert other.startswith("fe80::")
        assert one == f"2001:db8:64:{channel}:{lower_half}"
        lower_halves.add(lower_half)
    assert len(lower_halves) == 2
    assert "200:ff:fe00:0" not in lower_halves
    pair.host.ping("2001:db8:64::1")
    pair.place.shell("ip link set wwan0 down; ip link set wwan0 up")
    wait_for(lambda: "fe80::" in pair.place.shell("ip -6 address show wwan0"), "the same again")


# Other versions, other programs


@for_the_weakest
def test_a_modem_of_another_version_is_one_line_with_both_numbers(identity: str, stack: ExitStack) -> None:
    folder = scratch()
    other = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    other.bind(os.fspath(folder / "link"))
    (folder / "link").chmod(0o777)
    other.listen()
    place = stack.enter_context(Place(identity))
    line = place.python("-m", "bamdmux", "host", f"--connect={folder / 'link'}")
    host = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment())
    connection, _ = other.accept()
    with connection:
        assert connection.recv(100) == b"BAMDMUX\0\x03\0\x01\0"
        connection.send(b"BAMDMUX\0\x04\0\x02\0")
        _, said = host.communicate(timeout=20)
    assert host.returncode == 1
    assert said == f"bamdmux: {folder / 'link'}: the other side speaks version 4, we speak 3\n"


@for_the_weakest
def test_a_host_of_another_version_is_told_and_the_modem_goes_on(identity: str, stack: ExitStack) -> None:
    pair = Pair(identity, stack)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.connect(os.fspath(pair.modem.path))
        assert other.recv(100) == b"BAMDMUX\0\x03\0\x02\0"
        other.send(b"BAMDMUX\0\x04\0\x01\0")
        text = "the other side speaks version 4, we speak 3"
        assert other.recv(600) == b"\x02\0" + text.encode()
    assert f"= refused a host: {text}" in pair.modem.log()
    pair.host.ping()


@for_the_weakest
def test_a_silent_visitor_is_shown_out_and_others_are_served_meanwhile(
    identity: str, stack: ExitStack
) -> None:
    modem = stack.enter_context(ModemProgram(identity, scratch()))
    modem.wait_until_it_answers()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
        visitor.connect(os.fspath(modem.path))
        assert visitor.recv(100)
        host = stack.enter_context(HostProgram(stack.enter_context(Place(identity)), modem.path.parent))
        host.configure()
        host.ping()
        visitor.settimeout(20)
        assert visitor.recv(100) == b""
    assert "= somebody connected and said nothing in time" in modem.log()
    host.ping()


# Paths


@for_the_weakest
def test_two_modems_do_not_share_a_path(identity: str, stack: ExitStack) -> None:
    modem = stack.enter_context(ModemProgram(identity, scratch()))
    modem.wait_until_it_answers()
    text = refusal(identity, "modem", f"--listen={modem.path}")
    assert text == f"somebody listens on {modem.path} already; end that program, or choose another path"
    assert modem.status()["modem"] is None
    assert modem.path.exists()


@for_the_weakest
def test_the_socket_of_a_modem_that_was_killed_is_replaced(identity: str, stack: ExitStack) -> None:
    folder = scratch()
    for _ in range(2):
        modem = stack.enter_context(ModemProgram(identity, folder))
        modem.wait_until_it_answers()
        modem.kill()
        assert modem.path.exists()
        assert modem.control_path.exists()


@for_the_weakest
@pytest.mark.parametrize("what", ["file", "folder", "too long", "no folder", "other"])
def test_what_is_no_place_to_listen_is_one_line(identity: str, what: str, stack: ExitStack) -> None:
    path = prepare(what, stack)
    text = refusal(identity, "modem", f"--listen={path}")
    other = "another program's socket (Protocol wrong type for socket)"
    reasons = {
        "file": f"{path} exists and is no socket; remove it, or choose another path",
        "folder": f"{path} is a folder; name a socket in it, as {path / 'socket'}",
        "too long": f"socket path {path} is too long (107 bytes at most); use a shorter one",
        "no folder": f"cannot listen on {path}: No such file or directory; choose another path",
        "other": f"{path} is {other}; choose another path",
    }
    assert text == reasons[what]


@for_the_weakest
@pytest.mark.parametrize("what", ["file", "folder", "too long", "other"])
def test_what_is_no_place_to_connect_is_one_line(identity: str, what: str, stack: ExitStack) -> None:
    path = prepare(what, stack)
    text = host_refusal(stack.enter_context(Place(identity)), f"--connect={path}")
    reasons = {
        "file": f"{path} is no socket; give the path that `bamdmux modem` listens on",
        "folder": f"{path} is no socket; give the path that `bamdmux modem` listens on",
        "too long": f"socket path {path} is too long (107 bytes at most); use a shorter one",
        "other": f"{path} is another program's socket, not a modem's of bamdmux",
    }
    assert text == reasons[what]


def prepare(what: str, stack: ExitStack) -> Path:
    path = scratch() / "socket"
    match what:
        case "file":
            path.touch()
        case "folder":
            path.mkdir()
        case "too long":
            path = path.with_name("x" * 108)
        case "no folder":
            path /= "socket"
        case _:
            other = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            other.bind(os.fspath(path))
            other.listen()
            path.chmod(0o777)
    return path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_modem_of_another_user_is_one_line(stack: ExitStack) -> None:
    modem = stack.enter_context(ModemProgram("caller", scratch()))
    modem.wait_until_it_answers()
    text = host_refusal(stack.enter_context(Place("nobody")), f"--connect={modem.path}")
    assert text == f"no permission for {modem.path}; run as the user that the modem runs as"


@for_the_weakest
def test_without_the_right_to_make_interfaces_a_host_says_what_it_needs(identity: str) -> None:
    if os.geteuid() == 0 and identity == "caller":
        pytest.skip("root has it")
    text = refusal(identity, "host", f"--connect={scratch() / 'link'}")
    assert text == (
        "interfaces need CAP_NET_ADMIN and CAP_SYS_ADMIN in their network namespace; run as root, or "
        "in one of your own: unshare --user --map-root-user --net"
    )


@for_the_weakest
def test_an_interface_that_is_taken_is_one_line(identity: str, stack: ExitStack) -> None:
    """Two hosts in one namespace."""
    pair = Pair(identity, stack)
    folder = scratch()
    stack.enter_context(ModemProgram(identity, folder)).wait_until_it_answers()
    text = host_refusal(pair.place, f"--connect={folder / 'link'}")
    assert text.startswith("interface wwan0 exists already; take another name, or remove it")
    pair.host.ping()


def test_options_that_are_missing_are_wrong_usage() -> None:
    assert refusal("caller", "modem", code=2) == "Missing option '--listen'; see bamdmux modem -h"
    assert refusal("caller", "host", code=2) == "Missing option '--connect'; see bamdmux host -h"
    text = refusal("caller", "modem", "--listen=x", "--network=nowhere", code=2)
    assert text == "network 'nowhere' is not one of internal, passt, tun:NAME"


@for_the_weakest
def test_a_control_socket_that_cannot_be_made_is_one_line(identity: str, stack: ExitStack) -> None:
    folder = scratch()
    text = refusal(identity, "modem", f"--listen={folder / 'link'}", f"--ctl={folder}")
    assert text == f"{folder} is a folder; name a socket in it, as {folder / 'socket'}"
    assert not (folder / "link").exists()
    text = host_refusal(stack.enter_context(Place(identity)), "--connect=x", f"--ctl={folder}")
    assert text == f"{folder} is a folder; name a socket in it, as {folder / 'socket'}"


# Floods


def records(count: int, created: float, level: int = logging.INFO) -> list[logging.LogRecord]:
    made = [logging.LogRecord("x", level, "", 0, "line %d", (number,), None) for number in range(count)]
    for record in made:
        record.created = created
    return made


def test_so_many_lines_a_second_are_enough() -> None:
    limit = LineLimit(3)
    assert [limit.filter(record) for record in records(5, 10.2)] == [True, True, True, False, False]
    first, second = records(2, 11.0)
    assert limit.filter(first)
    assert limit.filter(second)
    assert first.getMessage() == "line 0 (and 2 lines before this one that are left out)"
    assert second.getMessage() == "line 1"
    (later,) = records(1, 12.0)
    assert limit.filter(later)
    assert later.getMessage() == "line 0"


def test_who_asked_for_every_detail_gets_it() -> None:
    limit = LineLimit(1)
    assert all(limit.filter(record) for record in records(100, 1.0, logging.DEBUG))


def test_the_limit_is_for_a_while() -> None:
    root, said = logging.getLogger(), logging.NullHandler()
    root.addHandler(said)
    with limited_logs():
        assert [type(entry) for entry in said.filters] == [LineLimit]
    assert said.filters == []
    root.removeHandler(said)
    assert LINES_PER_SECOND == 100


@for_the_weakest
def test_visitors_that_knock_without_end_fill_no_disk(identity: str, stack: ExitStack) -> None:
    modem = stack.enter_context(ModemProgram(identity, scratch()))
    modem.wait_until_it_answers()
    for _ in range(1000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
            visitor.connect(os.fspath(modem.path))
            visitor.send(b"knock")
            assert visitor.recv(100)
    wait_for(lambda: modem.log().count("refused a host") >= LINES_PER_SECOND // 2, "the log")
    assert modem.end() == 0
    assert modem.log().count("\n") < 900


# Side by side


@for_the_weakest
def test_two_modems_and_two_hosts_do_not_mix(identity: str, stack: ExitStack) -> None:
    pairs = [Pair(identity, stack) for _ in range(2)]
    for pair in pairs:
        pair.host.ping()
    pairs[0].modem.kill()
    pairs[1].host.ping()
    assert pairs[1].host.status()["connection"]["connected"] == 1


# Control ports


@for_the_weakest
def test_a_host_alone_offers_ports_as_links_which_come_and_go_with_the_modem(
    identity: str, stack: ExitStack
) -> None:
    folder, ports = scratch(), scratch()
    place = stack.enter_context(Place(identity))
    host = stack.enter_context(HostProgram(place, folder, ports=ports))
    host.wait_until_it_answers()
    assert os.listdir(ports) == []
    modem = stack.enter_context(ModemProgram(identity, folder))
    wait_for(lambda: len(os.listdir(ports)) == 2, "the links")
    script = f"exec 3<>{ports}/wwan0at0; printf 'AT\\r' >&3; head -c 9 <&3"
    assert place.shell(script).split() == ["AT", "OK"]
    modem.kill()
    wait_for(lambda: not os.listdir(ports), "their end")
    stack.enter_context(ModemProgram(identity, folder))
    wait_for(lambda: len(os.listdir(ports)) == 2, "new links")
    assert place.shell(script).split() == ["AT", "OK"]
    assert host.end() == 0
    assert os.listdir(ports) == []
