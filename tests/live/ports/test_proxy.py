"""libqmi's proxy: who connects, and what it has to say first."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from bamdmux.actions import PortKind
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.ports.proxy import MAX_CONNECTIONS, QmiProxy
from tests.live.ports.echo import Desk

# The answers to CTL 0xFF00, transaction 1.
OPENED = bytes.fromhex("01 1200 80 00 00  01 01 00ff 0700  02 0400 0000 0000")
REFUSED_START = bytes.fromhex("01 1200 80 00 00  01 01 00ff 0700  02 0400 0100")


def opening(path: bytes, transaction: int = 1) -> bytes:
    tlv = b"\x01" + len(path).to_bytes(2, "little") + path
    message = bytes((0, transaction)) + b"\x00\xff" + len(tlv).to_bytes(2, "little") + tlv
    return b"\x01" + (5 + len(message)).to_bytes(2, "little") + bytes(3) + message


class Hall:
    """A desk with a proxy, and visitors to it."""

    def __init__(self, stack: ExitStack) -> None:
        self.desk = Desk(stack)
        self.address = f"\0bamdmux-test-{os.getpid()}-{id(self)}"
        namespace = stack.enter_context(NetworkNamespace.current())
        # In the namespace that we are in; a thread of our own needs no privilege to go nowhere.
        self.proxy = QmiProxy(_Here(namespace), self.desk.board, self.address)
        stack.callback(self.proxy.close)
        self.stack = stack
        self.nodes = len(self.desk.board.status())

    def connect(self) -> socket.socket:
        visitor = self.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        visitor.connect(self.address)
        visitor.setblocking(False)
        return visitor

    def hear(self, visitor: socket.socket, size: int = 1) -> bytes:
        """What it hears, at least so many bytes; less at the end."""
        heard = b""

        def is_enough() -> bool:
            nonlocal heard
            try:
                data = visitor.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionError:
                data = b""
            heard += data
            return not data or len(heard) >= size

        self.desk.until(is_enough)
        return heard

    def enter(self) -> socket.socket:
        visitor = self.connect()
        visitor.send(opening(b"/dev/wwan0qmi0"))
        assert self.hear(visitor) == OPENED
        return visitor

    def port_count(self) -> int:
        return len(self.desk.board.status()) - self.nodes


class _Here(NetworkNamespace):
    """The namespace that we are in, which nobody needs to enter."""

    def __init__(self, namespace: NetworkNamespace) -> None:
        super().__init__(os.dup(namespace.fileno()))

    def run(self, function):  # type: ignore[no-untyped-def]
        self.close()
        return function()


@pytest.fixture
def hall() -> Iterator[Hall]:
    with ExitStack() as stack:
        yield Hall(stack)


def test_who_names_our_device_has_a_port(hall: Hall) -> None:
    visitor = hall.enter()
    assert hall.desk.plane.events[-1] == ("opened", 2, PortKind.QMI)
    visitor.send(b"hello")
    assert hall.hear(visitor, 5) == b"hello"
    visitor.close()
    hall.desk.until(lambda: hall.desk.plane.events[-1] == ("closed", 2))
    assert hall.port_count() == 0


@pytest.mark.parametrize("path", [b"/dev/wwan0qmi0", b"/dev/./wwan0qmi0", b"/dev/x/../wwan0qmi0"])
def test_the_device_may_be_named_as_paths_may(hall: Hall, path: bytes) -> None:
    visitor = hall.connect()
    visitor.send(opening(path, transaction=77))
    assert hall.hear(visitor) == OPENED[:7] + bytes((77,)) + OPENED[8:]


@pytest.mark.parametrize("path", [b"", b"/dev/wwan0at0", b"/dev/cdc-wdm0", b"wwan0qmi0", b"/dev/\xff\xfe"])
def test_another_device_is_refused_and_that_was_it(hall: Hall, path: bytes) -> None:
    visitor = hall.connect()
    visitor.send(opening(path))
    heard = hall.hear(visitor, 1000)
    assert heard[: len(REFUSED_START)] == REFUSED_START
    assert len(heard) == len(OPENED)
    assert hall.port_count() == 0


def test_an_opening_without_a_path_is_refused(hall: Hall) -> None:
    visitor = hall.connect()
    visitor.send(bytes.fromhex("01 0b00 00 00 00  00 01 00ff 0000"))
    assert hall.hear(visitor, 1000) == REFUSED_START + bytes.fromhex("1100")  # MISSING_ARGUMENT


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 20,
        b"\x01\xff\xff" + bytes(20),
        b"\x01\x00\x00\x00",
        b"\x01\x03\x00\x00",
        bytes.fromhex("01 0b00 00 00 00  00 01 2100 0000"),  # another message of CTL
        bytes.fromhex("01 0b00 00 00 00  01 01 00ff 0000"),  # a response
        bytes.fromhex("01 0c00 00 02 01  00 0100 2100 0000"),  # of another service
        bytes.fromhex("01 0f00 00 00 00  00 01 00ff 0400 01ffff00"),  # a TLV that is cut
    ],
)
def test_who_begins_otherwise_is_hung_up_on(hall: Hall, data: bytes) -> None:
    visitor = hall.connect()
    visitor.send(data)
    assert hall.hear(visitor) == b""
    assert hall.port_count() == 0
    hall.enter()


def test_an_opening_may_come_in_pieces_and_with_what_follows(hall: Hall) -> None:
    visitor = hall.connect()
    data = opening(b"/dev/wwan0qmi0") + b"and more"
    for number in data[:10]:
        visitor.send(bytes([number]))
        hall.desk.settle()
    visitor.send(data[10:])
    assert hall.hear(visitor, len(OPENED) + 8) == OPENED + b"and more"


def test_each_connection_is_a_port_of_its_own(hall: Hall) -> None:
    first, second = hall.enter(), hall.enter()
    first.send(b"one")
    second.send(b"two")
    assert (hall.hear(first, 3), hall.hear(second, 3)) == (b"one", b"two")
    first.close()
    hall.desk.until(lambda: hall.port_count() == 1)
    third = hall.enter()  # no number is used twice
    opened = [event for event in hall.desk.plane.events if event[0] == "opened"]
    assert [event[1] for event in opened] == [0, 1, 2, 3, 4]
    third.close()


def test_of_too_many_the_silent_ones_have_to_go(hall: Hall) -> None:
    silent = hall.connect()
    hall.desk.settle()
    inside = [hall.enter() for _ in range(MAX_CONNECTIONS)]
    assert hall.hear(silent) == b""
    late = hall.connect()
    assert hall.hear(late) == b""
    assert hall.port_count() == MAX_CONNECTIONS
    inside[0].close()
    hall.desk.until(lambda: hall.port_count() == MAX_CONNECTIONS - 1)
    hall.enter()


def test_a_crash_ends_connections_and_while_it_lasts_nobody_gets_in(hall: Hall) -> None:
    visitor = hall.enter()
    hall.desk.control.crash(hall.desk.runner.now)
    assert hall.hear(visitor) == b""
    late = hall.connect()
    late.send(opening(b"/dev/wwan0qmi0"))
    assert hall.hear(late, 1000) == REFUSED_START + bytes.fromhex("0300")  # INTERNAL
    hall.desk.control.boot(hall.desk.runner.now)
    hall.enter()


def test_who_does_not_read_is_heard_no_more_until_it_does(hall: Hall) -> None:
    visitor, other = hall.enter(), hall.enter()
    data, sent = os.urandom(8_000_000), 0
    is_full = False
    while not is_full:
        before = sent
        with suppress(BlockingIOError):
            while sent < len(data):
                sent += visitor.send(data[sent : sent + 50_000])
        hall.desk.settle()
        is_full = sent == before
    assert sent < len(data)
    other.send(b"hello")
    assert hall.hear(other, 5) == b"hello"
    assert hall.hear(visitor, sent) == data[:sent]
    assert hall.desk.status(2)["dropped_messages"] == 0


def test_who_vanishes_with_everything_unread_is_forgotten(hall: Hall) -> None:
    visitor = hall.enter()
    with suppress(BlockingIOError):
        while True:
            visitor.send(bytes(4096))
    hall.desk.settle()
    visitor.close()
    hall.desk.until(lambda: hall.port_count() == 0)


def test_closing_hangs_up_and_keeps_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as stack:
        hall = Hall(stack)
        visitors = [hall.enter(), hall.connect()]
        hall.desk.settle()
        hall.proxy.close()
        assert [hall.hear(visitor) for visitor in visitors] == [b"", b""]
        with pytest.raises(ConnectionRefusedError):
            hall.connect()
    assert len(os.listdir("/proc/self/fd")) == before
