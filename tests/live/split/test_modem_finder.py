"""The host's end of the socket, with modems played by hand: it looks until it finds one, and again."""

import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bamdmux.actions import Line, Pipe
from bamdmux.bam.lines import LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import MachineError
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.runner import Runner
from bamdmux.live.split.memory import SharedMemory
from bamdmux.live.split.modem_finder import Finding, ModemFinder
from bamdmux.timing import MILLISECOND, SECOND
from tests.live.split.test_handover import DEFAULT_MEMORY, HOST_HELLO, MODEM_HELLO

PATIENCE = 10 * SECOND
YES = b"\0\0"
BUSY = b"\x0a\0another host is connected; disconnect that one first"


class Host:
    """A finder in this process."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.stack = stack
        loop = Loop()
        stack.callback(loop.close)
        namespace = stack.enter_context(NetworkNamespace.current())
        self.shared = SharedMemory.create(LinkLayout())
        stack.callback(self.shared.close)
        self.side = HostSide(self.shared.memory, self.shared.layout, namespace, loop)
        stack.callback(self.side.close)
        self.board = PortBoard(loop)
        stack.callback(self.board.close)
        self.finder = ModemFinder(path, loop, self.side, self.shared, self.board)
        stack.callback(self.finder.close)
        self.runner = Runner(loop, [self.side, self.finder])
        self.side.start(self.runner.now)
        self.descriptors = descriptor_count()

    def until(self, condition: Callable[[], object]) -> None:
        assert self.runner.run_until(lambda: bool(condition()), PATIENCE)

    def until_state(self, state: Finding) -> None:
        self.until(lambda: self.finder.state is state)

    def connect(self, modem: "Modem") -> "Modem":
        modem.greet(self)
        modem.accept(self)
        return modem

    def reason(self) -> str:
        """Why it gives up."""
        with pytest.raises(MachineError) as caught:
            self.until(lambda: False)
        return str(caught.value)


class Modem:
    """Listens; everything else is said by hand."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        with suppress(FileNotFoundError):
            path.unlink()
        self.listener.bind(os.fspath(path))
        self.listener.listen()
        self.listener.setblocking(False)
        self.stack = stack
        self.connection: socket.socket
        self.descriptors: list[int] = []

    def wait_for_host(self, host: Host) -> None:
        def accepted() -> bool:
            try:
                self.connection, _ = self.listener.accept()
            except BlockingIOError:
                return False
            return True

        host.until(accepted)
        self.stack.enter_context(self.connection)
        self.connection.setblocking(False)

    def hear(self, host: Host) -> bytes:
        heard: list[bytes] = []

        def has_heard() -> bool:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.connection, 1000, 10)
            except BlockingIOError:
                return False
            heard.append(data)
            self.descriptors += descriptors
            return True

        host.until(has_heard)
        return heard[0]

    def say(self, data: bytes, descriptors: int = 0) -> None:
        if descriptors:
            socket.send_fds(self.connection, [data], [self.connection.fileno()] * descriptors)
        else:
            self.connection.send(data)

    def greet(self, host: Host, hello: bytes = MODEM_HELLO) -> None:
        self.wait_for_host(host)
        assert self.hear(host) == HOST_HELLO
        self.say(hello)

    def accept(self, host: Host) -> None:
        assert self.hear(host) == DEFAULT_MEMORY
        assert len(self.descriptors) == 3
        self.say(YES)
        host.until_state(Finding.CONNECTED)
        os.close(self.descriptors.pop(0))
        self.bell = self.stack.enter_context(socket.socket(fileno=self.descriptors.pop(0)))
        self.ports = self.stack.enter_context(socket.socket(fileno=self.descriptors.pop()))

    def hear_ring(self) -> bool:
        """Whether the host has rung; the rings are read."""
        with suppress(BlockingIOError):
            return bool(self.bell.recv(4096, socket.MSG_DONTWAIT))
        return False

    def vanish(self) -> None:
        """As a process that is killed."""
        self.listener.close()
        self.connection.close()
        with suppress(AttributeError):
            self.bell.close()
            self.ports.close()


def descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def host(tmp_path: Path, stack: ExitStack, caplog: pytest.LogCaptureFixture) -> Host:
    caplog.set_level(logging.INFO, "bamdmux")
    return Host(tmp_path / "link", stack)


@pytest.fixture
def modem(host: Host, stack: ExitStack) -> Modem:
    return Modem(host.path, stack)


# Found


def test_a_modem_gets_memory_a_bell_and_a_socket_for_ports(
    host: Host, modem: Modem, caplog: pytest.LogCaptureFixture
) -> None:
    modem.greet(host)
    assert host.finder.state is Finding.LOOKING or host.finder.state is Finding.GREETING
    assert modem.hear(host) == DEFAULT_MEMORY
    memory, bell, ports = modem.descriptors
    assert os.fstat(memory).st_ino == os.fstat(host.shared.fileno()).st_ino
    assert stat.S_ISSOCK(os.fstat(bell).st_mode)
    assert stat.S_ISSOCK(os.fstat(ports).st_mode)
    assert host.finder.state is Finding.OFFERING
    modem.say(YES)
    host.until_state(Finding.CONNECTED)
    assert host.finder.deadline is None
    assert f"= modem found at {host.path}" in caplog.text
    os.close(memory)
    os.close(bell)
    os.close(ports)


def test_what_a_modem_does_is_seen_when_it_rings(host: Host, modem: Modem) -> None:
    host.connect(modem)
    LineWriter(host.shared.memory, host.shared.layout, Line.MODEM_POWER).set(True)
    modem.bell.send(b"\0")
    host.until(lambda: host.side.driver.status(0)["power"]["modem_up"])  # type: ignore[index]
    assert modem.hear_ring()


def test_what_a_modem_has_done_before_the_answer_is_seen(host: Host, modem: Modem) -> None:
    LineWriter(host.shared.memory, host.shared.layout, Line.MODEM_POWER).set(True)
    host.connect(modem)
    assert host.side.driver.status(0)["power"]["modem_up"]  # type: ignore[index]


def test_rings_without_news_are_nothing(host: Host, modem: Modem) -> None:
    host.connect(modem)
    for _ in range(100):
        modem.bell.send(b"\0" * 100)
    host.runner.run_until(lambda: False, 50 * MILLISECOND)
    assert host.finder.state is Finding.CONNECTED
    assert not modem.hear_ring()


def test_descriptors_from_a_modem_are_not_kept(host: Host, modem: Modem) -> None:
    host.connect(modem)
    before = descriptor_count()
    modem.vanish()
    host.until_state(Finding.LOOKING)
    modem = Modem(host.path, modem.stack)
    modem.wait_for_host(host)
    modem.hear(host)
    modem.say(MODEM_HELLO, descriptors=200)
    modem.hear(host)
    modem.say(YES, descriptors=200)
    host.until_state(Finding.CONNECTED)
    while modem.descriptors:
        os.close(modem.descriptors.pop())
    assert descriptor_count() <= before


# Not found


def test_it_looks_less_and_less_often_but_within_a_second(host: Host) -> None:
    delays, now = [], 0
    for _ in range(9):
        host.finder.handle_timeout(now)
        assert host.finder.state is Finding.LOOKING
        assert host.finder.deadline is not None
        delays.append((host.finder.deadline - now) // MILLISECOND)
        host.finder.handle_timeout(host.finder.deadline - 1)
        now = host.finder.deadline
    assert delays == [20, 40, 80, 160, 320, 640, 900, 900, 900]


def test_it_says_so_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    for now in range(0, 10 * SECOND, SECOND):
        host.finder.handle_timeout(now)
    assert caplog.text.count("no modem at") == 1
    assert f"= no modem at {host.path} (No such file or directory), looking" in caplog.text


def test_a_stale_socket_is_waited_at(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(os.fspath(host.path))
    host.finder.handle_timeout(0)
    assert host.finder.state is Finding.LOOKING
    assert "(Connection refused)" in caplog.text


def test_a_modem_whose_door_is_crowded_is_waited_for(host: Host, modem: Modem, stack: ExitStack) -> None:
    modem.listener.listen(0)
    crowd = []
    with suppress(BlockingIOError):
        while True:
            visitor = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            visitor.setblocking(False)
            visitor.connect(os.fspath(host.path))
            crowd.append(visitor)
    host.finder.handle_timeout(0)
    assert host.finder.state is Finding.LOOKING
    for _ in crowd:
        modem.listener.accept()[0].close()
    host.connect(modem)


def test_a_modem_that_says_nothing_is_left_after_two_seconds(
    host: Host, modem: Modem, caplog: pytest.LogCaptureFixture
) -> None:
    for state in (Finding.GREETING, Finding.OFFERING):
        host.until_state(Finding.GREETING)
        modem.wait_for_host(host)
        if state is Finding.OFFERING:
            modem.say(MODEM_HELLO)
            host.until_state(state)
        deadline = host.finder.deadline
        assert deadline is not None
        assert SECOND < deadline - host.runner.now <= 2 * SECOND
        host.finder.handle_timeout(deadline - 1)
        assert host.finder.state is state
        host.finder.handle_timeout(deadline)
        assert host.finder.state is Finding.LOOKING
    assert caplog.text.count("(it does not answer), looking") == 1


def test_a_busy_modem_is_asked_until_it_has_time(
    host: Host, modem: Modem, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        modem.greet(host)
        modem.say(BUSY)
        host.until_state(Finding.LOOKING)
        modem.connection.close()
    said = "(the modem refuses: another host is connected; disconnect that one first), looking"
    assert caplog.text.count(said) == 1
    while modem.descriptors:
        os.close(modem.descriptors.pop())
    host.connect(modem)


@pytest.mark.parametrize("length", range(1, len(MODEM_HELLO)))
def test_a_hello_that_is_cut_is_no_modem_s(host: Host, modem: Modem, length: int) -> None:
    modem.greet(host, MODEM_HELLO[:length])
    assert host.reason() == f"{host.path}: {length} bytes that are no hello of bamdmux"


def test_another_program_is_no_modem(host: Host, modem: Modem) -> None:
    modem.greet(host, b"220 mail.example.org ESMTP")
    assert host.reason() == f"{host.path}: 26 bytes that are no hello of bamdmux"


def test_another_version_is_told_with_both_numbers(host: Host, modem: Modem) -> None:
    modem.greet(host, b"BAMDMUX\0\x04\0\x02\0")
    assert host.reason() == f"{host.path}: the other side speaks version 4, we speak 3"


def test_a_host_is_no_modem(host: Host, modem: Modem) -> None:
    modem.greet(host, HOST_HELLO)
    assert host.reason() == f"{host.path}: the other side is no modem"


@pytest.mark.parametrize("answer", [b"\0", b"\x06\0no memfd", b"\xff\xffwhat"])
def test_another_refusal_may_pass(host: Host, modem: Modem, answer: bytes) -> None:
    modem.greet(host)
    modem.say(answer)
    host.until_state(Finding.LOOKING)


# Paths


def test_a_path_that_is_too_long_is_one_line(tmp_path: Path, stack: ExitStack) -> None:
    host = Host(tmp_path / ("x" * 108), stack)
    assert host.reason() == f"socket path {host.path} is too long (107 bytes at most); use a shorter one"


def test_a_file_or_a_folder_is_no_socket(host: Host) -> None:
    text = f"{host.path} is no socket; give the path that `bamdmux modem` listens on"
    host.path.touch()
    assert host.reason() == text
    host.path.unlink()
    host.path.mkdir()
    assert host.reason() == text


def test_another_kind_of_socket_is_another_program_s(host: Host, stack: ExitStack) -> None:
    other = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    other.bind(os.fspath(host.path))
    other.listen()
    assert host.reason() == f"{host.path} is another program's socket, not a modem's of bamdmux"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_modem_of_another_user_is_one_line(host: Host, modem: Modem, stack: ExitStack) -> None:
    stack.callback(os.seteuid, os.geteuid())
    os.seteuid(65534)
    assert host.reason() == f"no permission for {host.path}; run as the user that the modem runs as"


# Lost


@pytest.mark.parametrize("way", ["dies", "hangs up", "lets the bell go", "speaks", "sends descriptors"])
def test_a_modem_that_is_lost_is_looked_for_again(
    host: Host, modem: Modem, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    host.connect(modem)
    LineWriter(host.shared.memory, host.shared.layout, Line.MODEM_POWER).set(True)
    modem.bell.send(b"\0")
    host.until(lambda: host.side.driver.status(0)["power"]["modem_up"])  # type: ignore[index]
    match way:
        case "dies":
            modem.vanish()
        case "hangs up":
            modem.connection.close()
        case "lets the bell go":
            modem.bell.close()
        case "speaks":
            modem.say(b"hello?")
        case _:
            modem.say(b"take these", descriptors=100)
    host.until_state(Finding.LOOKING)
    why = {"speaks": "6 bytes that nobody asked for", "sends descriptors": "10 bytes that nobody asked for"}
    text = f"= the modem is gone ({why.get(way, 'it has gone')}); its channels are closed until it is back"
    assert text in caplog.text
    modem.vanish()
    assert descriptor_count() <= host.descriptors
    host.connect(Modem(host.path, modem.stack))
    assert host.finder.connected_count == 2


def test_a_modem_that_returns_finds_the_same_memory(host: Host, modem: Modem) -> None:
    host.connect(modem)
    host.shared.memory[-1] = 77
    modem.vanish()
    host.until_state(Finding.LOOKING)
    modem = Modem(host.path, modem.stack)
    modem.greet(host)
    modem.hear(host)
    assert os.pread(modem.descriptors[0], 1, host.shared.layout.size_bytes - 1) == b"\x4d"
    while modem.descriptors:
        os.close(modem.descriptors.pop())


@pytest.mark.parametrize("hello", [b"BAMDMUX\0\x04\0\x02\0", b"what?", HOST_HELLO])
def test_once_found_nothing_of_another_modem_ends_us(
    host: Host, modem: Modem, hello: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Interfaces and their connections stay: somebody may put things right."""
    host.connect(modem)
    modem.vanish()
    host.until_state(Finding.LOOKING)
    modem = Modem(host.path, modem.stack)
    modem.greet(host, hello)
    host.until(lambda: "), looking" in caplog.text.split("is gone")[1].split("it has gone")[-1])
    modem.vanish()
    host.connect(Modem(host.path, modem.stack))


def test_once_found_what_stands_at_its_path_does_not_end_us(host: Host, modem: Modem) -> None:
    host.connect(modem)
    modem.vanish()
    host.until_state(Finding.LOOKING)
    host.path.unlink()
    host.path.mkdir()
    host.runner.run_until(lambda: False, 200 * MILLISECOND)
    host.path.rmdir()
    host.connect(Modem(host.path, modem.stack))


def test_a_full_bell_costs_nothing(host: Host, modem: Modem) -> None:
    """The modem does not read its rings, as one that is stopped."""
    host.connect(modem)
    for number in range(5000):
        host.side.far.line_changed(Line.HOST_VOTE, number, 0)
        host.finder.arm()
    assert host.finder.state is Finding.CONNECTED


def test_without_a_modem_nobody_is_woken(host: Host) -> None:
    host.side.far.line_changed(Line.HOST_VOTE, 1, 0)
    host.side.far.doorbell_rang(Pipe.TX, 0)
    host.finder.arm()


def test_closing_hangs_up(host: Host, modem: Modem) -> None:
    host.connect(modem)
    host.finder.close()
    assert modem.connection.recv(10) == b""
    assert host.finder.deadline is None
