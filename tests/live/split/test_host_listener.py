"""The modem's end of the socket, with visitors played by hand: whoever comes, the modem goes on."""

import logging
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from bamdmux.actions import Line, Pipe
from bamdmux.bam.lines import LineReader, LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner
from bamdmux.live.loop import Loop
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.runner import Runner
from bamdmux.live.split.host_listener import MAX_VISITORS, HostListener
from bamdmux.live.split.memory import SEALS, SharedMemory
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import SECOND
from tests.live.split.test_doorbell import KINDS as NO_DOORBELLS
from tests.live.split.test_handover import DEFAULT_MEMORY, HOST_HELLO, MODEM_HELLO
from tests.live.split.test_memory import KINDS as NO_MEMFDS
from tests.live.split.test_memory import memfd

LAYOUT = LinkLayout()
PATIENCE = 10 * SECOND
OPENS = [b"\xfc\x33\x00\x01\x00" + bytes((channel,)) + b"\x00\x00" for channel in range(8)]


class SilentNetwork(QueueDevice):
    """Has a descriptor, on which nothing ever comes."""

    has_packet = False

    def limit_segments(self, count: int) -> None:
        pass

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class Modem:
    """A listener in this process, and what its hosts say and hear."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.stack = stack
        loop = Loop()
        stack.callback(loop.close)
        network = SilentNetwork()
        stack.callback(network.close)
        profile = load_profile("msm8916")
        packet_data_network = PacketDataNetwork(profile.channels)
        self.control = ControlSide(ControlPlane(profile, packet_data_network))
        self.listener = HostListener(path, loop, profile, network, packet_data_network, self.control)
        stack.callback(self.listener.close)
        self.runner = Runner(loop, [self.listener, self.control])
        self.descriptors = descriptor_count()

    def until(self, condition: Callable[[], object]) -> None:
        assert self.runner.run_until(lambda: bool(condition()), PATIENCE)

    def visit(self) -> socket.socket:
        """Connect, and hear the modem's hello."""
        visitor = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        visitor.setblocking(False)
        visitor.connect(os.fspath(self.path))
        assert self.hear(visitor) == MODEM_HELLO
        return visitor

    def hear(self, visitor: socket.socket) -> bytes:
        """What the modem says next; nothing when it has hung up."""
        heard: list[bytes] = []

        def has_heard() -> bool:
            try:
                heard.append(visitor.recv(1000))
            except BlockingIOError:
                return False
            except ConnectionResetError:
                heard.append(b"")
            return True

        self.until(has_heard)
        return heard[0]

    def refusal(self, visitor: socket.socket) -> tuple[int, str]:
        """Code and text, after which it hangs up, keeps nothing, and serves the next one."""
        answer = self.hear(visitor)
        assert self.hear(visitor) == b""
        visitor.close()
        assert self.listener.host is None
        self.assert_nothing_is_kept()
        self.assert_serves()
        return int.from_bytes(answer[:2], "little"), answer[2:].decode()

    def assert_nothing_is_kept(self) -> None:
        assert descriptor_count() == self.descriptors

    def assert_serves(self) -> None:
        """A host as it should be comes, gets the OPENs, and goes."""
        host = HonestHost(self)
        assert host.frames() == OPENS
        host.close()
        self.until(lambda: self.listener.host is None)
        self.assert_nothing_is_kept()


class HonestHost:
    """Hands over memory, a bell and a socket for ports, then looks at what the modem does there."""

    def __init__(self, modem: Modem, layout: LinkLayout = LAYOUT) -> None:
        self.modem = modem
        self.connection = modem.visit()
        self.connection.send(HOST_HELLO)
        self.shared = SharedMemory.create(layout)
        self.bell, their_bell = socket.socketpair()
        self.ports, their_ports = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors = [self.shared.fileno(), their_bell.fileno(), their_ports.fileno()]
        hand_over(self.connection, memory_of(layout), descriptors)
        their_bell.close()
        their_ports.close()
        assert modem.hear(self.connection) == b"\0\0"

    def frames(self) -> list[bytes]:
        """Queue buffers, ack the modem's power, and read what comes."""
        memory = self.shared.memory
        rx = PipeOwner(memory, self.shared.layout.pipe(Pipe.RX))
        power = LineReader(memory, self.shared.layout, Line.MODEM_POWER)
        self.modem.until(lambda: power.edge_count == 1)
        rx.open()
        for index in range(32):
            rx.submit(index, 2048)
        rx.publish()
        LineWriter(memory, self.shared.layout, Line.HOST_ACK).set(True)
        self.bell.send(b"\0")
        self.modem.until(lambda: rx.completed() == len(OPENS))
        return [bytes(rx.slot(slot)[:size]) for slot, size in (rx.reap() for _ in OPENS)]

    def close(self) -> None:
        self.connection.close()
        self.bell.close()
        self.ports.close()
        self.shared.close()
        del self.shared  # the mapping, which holds a descriptor of its own


def descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def memory_of(layout: LinkLayout) -> bytes:
    sizes = (layout.slot_count, layout.receive_bytes, layout.transmit_bytes, layout.size_bytes)
    return struct.pack("<IIIQ", *sizes)


def hand_over(connection: socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    if descriptors:
        socket.send_fds(connection, [data], descriptors)
    else:
        connection.send(data)


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[Modem]:
    with ExitStack() as stack:
        yield Modem(tmp_path / "link", stack)


# A host as it should be


def test_a_host_is_served_and_may_go(modem: Modem) -> None:
    assert modem.listener.status(0) is None
    for _ in range(3):
        modem.assert_serves()


@pytest.mark.parametrize(
    "layout",
    [
        LinkLayout(slot_count=4096, receive_bytes=32768, transmit_bytes=32768),
        LinkLayout(slot_count=1, receive_bytes=8, transmit_bytes=8),
    ],
)
def test_the_largest_and_the_smallest_memory_are_taken(modem: Modem, layout: LinkLayout) -> None:
    host = HonestHost(modem, layout)
    assert modem.listener.host is not None
    host.close()
    modem.until(lambda: modem.listener.host is None)
    modem.assert_nothing_is_kept()


def test_the_bearers_outlive_a_host(modem: Modem) -> None:
    host = HonestHost(modem)
    modem.until(lambda: modem.listener.status(0))
    assert modem.listener.host is not None
    bearer = modem.listener.host.side.modem.packet_data_network.bearers[3]
    assert bearer is not None
    bearer.deactivate(4, 6)
    host.close()
    modem.until(lambda: modem.listener.host is None)
    host = HonestHost(modem)
    assert modem.listener.host is not None
    assert modem.listener.host.side.modem.packet_data_network.bearers[3] is bearer
    host.close()


@pytest.mark.parametrize("way", ["connection", "bell"])
def test_a_host_that_lets_go_of_either_is_gone(modem: Modem, way: str) -> None:
    host = HonestHost(modem)
    {"connection": host.connection, "bell": host.bell}[way].close()
    modem.until(lambda: modem.listener.host is None)
    host.close()
    modem.assert_nothing_is_kept()
    modem.assert_serves()


def test_after_the_handover_there_is_nothing_to_say(modem: Modem, caplog: pytest.LogCaptureFixture) -> None:
    host = HonestHost(modem)
    hand_over(host.connection, b"by the way", [host.bell.fileno()] * 5)
    modem.until(lambda: modem.listener.host is None)
    assert "= the host said 10 bytes that nobody asked for" in caplog.text
    host.close()
    modem.assert_nothing_is_kept()
    modem.assert_serves()


def test_its_memory_is_unmapped_when_it_goes(modem: Modem) -> None:
    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("memfd:bamdmux")

    before = maps()
    for _ in range(5):
        modem.assert_serves()
    assert maps() == before


# HELLO


@pytest.mark.parametrize("length", range(1, len(HOST_HELLO)))
def test_a_hello_that_is_cut_is_refused(modem: Modem, length: int) -> None:
    visitor = modem.visit()
    visitor.send(HOST_HELLO[:length])
    assert modem.refusal(visitor) == (1, f"{length} bytes that are no hello of bamdmux")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(12), os.urandom(500), bytes(200_000)])
def test_garbage_is_refused(modem: Modem, data: bytes) -> None:
    visitor = modem.visit()
    visitor.send(data)
    assert modem.refusal(visitor) == (1, f"{min(512, len(data))} bytes that are no hello of bamdmux")


def test_an_empty_message_is_the_end(modem: Modem) -> None:
    visitor = modem.visit()
    visitor.send(b"")
    assert modem.hear(visitor) == b""
    visitor.close()
    modem.assert_nothing_is_kept()


def test_another_version_is_told_both_numbers(modem: Modem, caplog: pytest.LogCaptureFixture) -> None:
    visitor = modem.visit()
    visitor.send(b"BAMDMUX\0\x04\0\x01\0and what version 4 has to say")
    text = "the other side speaks version 4, we speak 3"
    assert modem.refusal(visitor) == (2, text)
    assert f"= refused a host: {text}" in caplog.text


def test_a_modem_is_no_host(modem: Modem) -> None:
    visitor = modem.visit()
    visitor.send(MODEM_HELLO)
    assert modem.refusal(visitor) == (3, "the other side is no host")


def test_descriptors_that_come_with_a_hello_are_not_kept(modem: Modem) -> None:
    visitor = modem.visit()
    hand_over(visitor, HOST_HELLO, [visitor.fileno()] * 50)
    visitor.send(b"x")  # no layout
    assert modem.refusal(visitor) == (4, "1 bytes are no layout")


# MEMORY


def greeted(modem: Modem) -> socket.socket:
    visitor = modem.visit()
    visitor.send(HOST_HELLO)
    return visitor


@pytest.mark.parametrize("count", [0, 1, 2, 4, 16, 17, 253])
def test_another_number_of_descriptors_is_refused(modem: Modem, count: int) -> None:
    visitor = greeted(modem)
    hand_over(visitor, DEFAULT_MEMORY, [visitor.fileno()] * count)
    assert modem.refusal(visitor) == (5, f"{min(count, 16)} descriptors are not 3")


@pytest.mark.parametrize("kind", NO_MEMFDS)
def test_memory_of_another_kind_is_refused(modem: Modem, kind: str) -> None:
    visitor, passed = greeted(modem), NO_MEMFDS[kind]()
    bell, theirs = socket.socketpair()
    hand_over(visitor, DEFAULT_MEMORY, [passed, theirs.fileno(), visitor.fileno()])
    os.close(passed)
    bell.close()
    theirs.close()
    assert modem.refusal(visitor) == (6, "the memory passed is no memfd")


@pytest.mark.parametrize("kind", NO_DOORBELLS)
def test_a_bell_of_another_kind_is_refused(modem: Modem, kind: str) -> None:
    visitor, passed = greeted(modem), NO_DOORBELLS[kind]()
    memory = memfd(LAYOUT.size_bytes, SEALS)
    hand_over(visitor, DEFAULT_MEMORY, [memory, passed, visitor.fileno()])
    os.close(passed)
    os.close(memory)
    assert modem.refusal(visitor)[0] == 9


@pytest.mark.parametrize("kind", ["memfd", "bell"])
def test_ports_of_another_kind_are_refused(modem: Modem, kind: str) -> None:
    visitor = greeted(modem)
    memory = memfd(LAYOUT.size_bytes, SEALS)
    bell, theirs = socket.socketpair()
    passed = {"memfd": memory, "bell": theirs.fileno()}[kind]
    hand_over(visitor, DEFAULT_MEMORY, [memory, theirs.fileno(), passed])
    os.close(memory)
    bell.close()
    theirs.close()
    assert modem.refusal(visitor) == (12, "what was passed for ports is no Unix socket of packets")


def test_the_right_ones_in_the_wrong_order_are_refused(modem: Modem) -> None:
    visitor = greeted(modem)
    memory = memfd(LAYOUT.size_bytes, SEALS)
    bell, theirs = socket.socketpair()
    hand_over(visitor, DEFAULT_MEMORY, [theirs.fileno(), memory, visitor.fileno()])
    os.close(memory)
    bell.close()
    theirs.close()
    assert modem.refusal(visitor)[0] == 9


@pytest.mark.parametrize(
    ("size", "seals", "code"),
    [
        (LAYOUT.size_bytes, 0, 7),
        (LAYOUT.size_bytes, SEALS & ~2, 7),
        (LAYOUT.size_bytes, SEALS | 8, 7),
        (LAYOUT.size_bytes, SEALS | 16, 7),
        (0, SEALS, 8),
        (LAYOUT.size_bytes - 4096, SEALS, 8),
        (LAYOUT.size_bytes + 4096, SEALS, 8),
    ],
)
def test_memory_that_could_hurt_us_is_refused(modem: Modem, size: int, seals: int, code: int) -> None:
    visitor = greeted(modem)
    memory = memfd(size, *([seals] if seals else []))
    bell, theirs = socket.socketpair()
    hand_over(visitor, DEFAULT_MEMORY, [memory, theirs.fileno(), visitor.fileno()])
    os.close(memory)
    bell.close()
    theirs.close()
    assert modem.refusal(visitor)[0] == code


@pytest.mark.parametrize("layout", [(0, 8, 8), (4097, 2048, 2052), (32, 1 << 31, 2052), (32, 2048, 4)])
def test_a_layout_beyond_bounds_is_refused(modem: Modem, layout: tuple[int, int, int]) -> None:
    visitor = greeted(modem)
    hand_over(visitor, struct.pack("<IIIQ", *layout, LAYOUT.size_bytes), [visitor.fileno()] * 2)
    assert modem.refusal(visitor)[0] == 4


# Who comes when


def test_who_says_nothing_is_shown_out_after_two_seconds(
    modem: Modem, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = modem.visit()
    deadline = modem.listener.deadline
    assert deadline is not None
    assert 0 < deadline - modem.runner.now <= 2 * SECOND
    host = HonestHost(modem)
    assert host.frames() == OPENS
    modem.listener.handle_timeout(deadline - 1)
    with pytest.raises(BlockingIOError):
        visitor.recv(100)
    modem.listener.handle_timeout(deadline)
    assert visitor.recv(100) == b""
    assert "= somebody connected and said nothing in time" in caplog.text
    host.close()


def test_who_greets_and_says_no_more_is_shown_out_too(modem: Modem) -> None:
    visitor = greeted(modem)
    modem.runner.run_until(lambda: False, SECOND // 10)
    assert modem.listener.deadline is not None
    modem.listener.handle_timeout(modem.listener.deadline)
    assert visitor.recv(100) == b""


def test_silent_visitors_keep_nobody_out(modem: Modem) -> None:
    silent = [modem.visit() for _ in range(MAX_VISITORS)]
    modem.visit()
    assert modem.hear(silent[0]) == b""  # who has been here for longest
    for visitor in silent[1:]:
        with pytest.raises(BlockingIOError):
            visitor.recv(100)
    modem.listener.handle_timeout(modem.runner.now + 2 * SECOND)
    for visitor in silent:
        visitor.close()


def test_a_host_gets_in_among_any_number_of_silent_visitors(modem: Modem) -> None:
    for _ in range(5 * MAX_VISITORS):
        modem.visit()
    host = HonestHost(modem)
    assert host.frames() == OPENS
    host.close()


def test_a_second_host_is_told_that_the_first_is_there(
    modem: Modem, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = HonestHost(modem), greeted(modem)
    answer = modem.hear(second)
    assert answer == b"\x0a\0another host is connected; disconnect that one first"
    assert "= refused a host: another host is connected" in caplog.text
    assert first.frames() == OPENS
    first.close()
    second.close()
    modem.until(lambda: modem.listener.host is None)
    modem.assert_nothing_is_kept()
    modem.assert_serves()


def test_of_two_that_greet_at_once_one_is_served(modem: Modem) -> None:
    slow = greeted(modem)
    modem.runner.run_until(lambda: False, SECOND // 20)
    first = HonestHost(modem)
    hand_over(slow, DEFAULT_MEMORY, [slow.fileno()] * 3)
    assert modem.hear(slow)[:2] == b"\x0a\0"
    assert first.frames() == OPENS
    first.close()


def test_who_is_gone_before_the_door_is_opened_leaves_nothing(modem: Modem) -> None:
    for _ in range(20):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
            visitor.connect(os.fspath(modem.path))
            visitor.send(HOST_HELLO)
    modem.assert_serves()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_other_kinds_of_sockets_do_not_fit(modem: Modem, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as visitor, pytest.raises(OSError, match="wrong type"):
        visitor.connect(os.fspath(modem.path))
    modem.assert_serves()


def test_closing_tells_everybody_and_removes_the_socket(tmp_path: Path) -> None:
    with ExitStack() as stack:
        modem = Modem(tmp_path / "link", stack)
        host, visitor = HonestHost(modem), modem.visit()
        stack.pop_all().close()
        assert visitor.fileno() == -1  # by the stack
        assert host.bell.recv(100) in (b"\0", b"\0\0", b"")
        host.close()
    assert not modem.path.exists()


def test_refusals_are_warnings(modem: Modem, caplog: pytest.LogCaptureFixture) -> None:
    visitor = modem.visit()
    visitor.send(b"x")
    modem.refusal(visitor)
    (record,) = [record for record in caplog.records if re.match("= refused", record.getMessage())]
    assert record.levelno == logging.WARNING
