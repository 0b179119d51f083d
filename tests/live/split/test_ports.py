"""Control ports across the socket: both ends in this process, real PTYs at one, an echo at the other."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from bamdmux.actions import PortKind, SendToPort
from bamdmux.errors import ProtocolError
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.split.handover import Refusal
from bamdmux.live.split.port_packets import Packet, PacketKind, decode_packet, encode_packet
from bamdmux.live.split.ports import HostPorts, ModemPorts
from tests.live.ports.echo import AT, QMI, Desk


class SplitDesk(Desk):
    """A desk whose board and plane are joined by a socket."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        self.board.modem_lost()
        self.plane.events.clear()
        self.plane.kinds.clear()
        self.connect()
        self.until(lambda: len(self.plane.events) == 2)

    def connect(self) -> None:
        ours, theirs = HostPorts.create_pair()
        self.host = self.board.user = HostPorts(ours, self.loop, self.board)
        self.stack.callback(self.host.close)
        self.modem = self.control.ports = ModemPorts.adopt(theirs.detach(), self.loop, self.control)
        self.stack.callback(lambda: self.modem.close(0))
        self.control.boot(self.runner.now)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def desk(stack: ExitStack) -> SplitDesk:
    return SplitDesk(stack)


def test_a_modem_that_boots_has_ports(desk: SplitDesk) -> None:
    assert desk.plane.events == [("opened", QMI, PortKind.QMI), ("opened", AT, PortKind.AT)]


def test_bytes_pass_both_ways(desk: SplitDesk) -> None:
    client = desk.open(QMI)
    data = os.urandom(3000) + b"the end"
    client.write(data)
    assert client.read_until(b"the end") == data


def test_the_last_user_of_a_node_is_heard_to_leave(desk: SplitDesk) -> None:
    client = desk.open(AT)
    client.write(b"half a li")
    client.close()
    desk.until(lambda: len(desk.plane.events) == 4)
    assert desk.plane.events[2:] == [("closed", AT), ("opened", AT, PortKind.AT)]


def test_an_answer_for_who_has_left_is_not_for_the_next(desk: SplitDesk) -> None:
    """The modem answers before it hears that the one who asked is gone."""
    client = desk.open(AT)
    client.write(b"x")
    desk.until(lambda: desk.plane.received_bytes.get(AT))
    client.close()
    late = Packet(PacketKind.BYTES, AT, desk.modem._openings[AT], data=b"\r\nLATE\r\n")
    desk.until(lambda: len(desk.plane.events) == 4)
    client = desk.open(AT)
    desk.modem.socket.put(late)
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_a_crash_hangs_up_and_a_boot_makes_new_nodes(desk: SplitDesk) -> None:
    client = desk.open(AT)
    desk.control.crash(desk.runner.now)
    desk.until(client.is_hung_up)
    desk.until(lambda: not desk.board.status())
    desk.control.boot(desk.runner.now)
    desk.until(lambda: desk.plane.kinds)
    client = desk.open(AT)
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_a_modem_that_is_replaced_has_ports_of_its_own(desk: SplitDesk) -> None:
    client = desk.open(AT)
    desk.board.modem_lost()
    desk.host.close()
    desk.modem.close(0)
    assert client.is_hung_up()
    assert desk.plane.kinds == {}
    desk.connect()
    desk.until(lambda: desk.plane.kinds)
    client = desk.open(AT)
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_the_longest_message_passes(desk: SplitDesk) -> None:
    client = desk.open(QMI)
    data = os.urandom(0xFFF8) + b"the end!"
    desk.plane.outbox.append(SendToPort(QMI, data))
    assert client.read_until(b"the end!") == data


def test_who_reads_no_answers_is_heard_no_more_until_it_does(desk: SplitDesk) -> None:
    client = desk.open(AT)
    lines, sent = b"AT\r" * 50_000, 0
    is_full = False
    while not is_full:
        with suppress(BlockingIOError):
            sent += os.write(client.descriptor, lines[sent:])
        desk.settle()
        is_full = desk.status(AT)["bytes_in"] != sent
    answers = b""

    def all_answered() -> bool:
        nonlocal answers
        answers += client.read()
        return len(answers) == sent // 3 * len(b"\r\nOK\r\n")

    desk.until(all_answered)
    assert desk.status(AT)["dropped_messages"] == 0
    assert desk.modem.socket.queue.dropped_messages == 0


def test_a_modem_that_does_not_keep_up_makes_clients_wait_and_nothing_is_lost(stack: ExitStack) -> None:
    desk = SplitDesk(stack)
    client = desk.open(QMI)
    desk.modem.close(0)  # nobody reads; but the socket of the host stays, as with a modem that is stopped
    ours, theirs = HostPorts.create_pair()
    stack.callback(theirs.close)
    desk.board.modem_lost()
    host = desk.board.user = HostPorts(ours, desk.loop, desk.board)
    stack.callback(host.close)
    desk.board.modem_booted()
    client = desk.open(QMI)
    data, sent = os.urandom(4_000_000), 0
    is_full = False
    while not is_full:
        before = sent
        with suppress(BlockingIOError):
            while sent < len(data):
                sent += os.write(client.descriptor, data[sent : sent + 4096])
        desk.settle()
        is_full = sent == before
    assert sent < len(data)
    assert host.socket.queue.dropped_messages == 0
    received = b""

    def all_there() -> bool:
        nonlocal received
        with suppress(BlockingIOError):
            while True:
                packet = decode_packet(theirs.recv(70_000, socket.MSG_DONTWAIT), frozenset(PacketKind))
                received += packet.data
        return len(received) == sent

    desk.until(all_there)
    assert received == data[:sent]


# What is wrong


def test_what_a_modem_says_wrong_is_counted_and_changes_nothing(stack: ExitStack) -> None:
    desk = SplitDesk(stack)
    client = desk.open(AT)
    end = desk.modem.socket._end
    for data in (b"x", bytes(8), b"\x01" + bytes(7), b"\x04\x01" + bytes(6), bytes(70_000)):
        end.send(data)
    desk.until(lambda: desk.host.socket.malformed_count == 5)
    for packet in (
        Packet(PacketKind.BYTES, 9, 1, data=b"x"),
        Packet(PacketKind.BYTES, AT, 99, data=b"x"),
        Packet(PacketKind.HANG_UP, AT, 99),
        Packet(PacketKind.BOOTED),
    ):
        end.send(encode_packet(packet))
    desk.settle()
    assert not client.is_hung_up()
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_what_a_host_says_wrong_is_counted_and_changes_nothing(stack: ExitStack) -> None:
    desk = SplitDesk(stack)
    end = desk.host.socket._end
    before = list(desk.plane.events)
    end.send(encode_packet(Packet(PacketKind.OPENED, AT, 1)))  # is open
    end.send(encode_packet(Packet(PacketKind.BYTES, 77, 1, data=b"x")))
    end.send(encode_packet(Packet(PacketKind.CLOSED, 77, 1)))
    end.send(encode_packet(Packet(PacketKind.BOOTED)))
    desk.until(lambda: desk.modem.socket.malformed_count == 2)
    assert desk.plane.events == before


def test_no_host_opens_ports_without_end(stack: ExitStack) -> None:
    desk = SplitDesk(stack)
    for number in range(2, 400):
        while True:
            with suppress(BlockingIOError):
                desk.host.socket._end.send(encode_packet(Packet(PacketKind.OPENED, number, 1)))
                break
            desk.settle()
    desk.until(lambda: desk.modem.socket.malformed_count == 400 - 256)
    assert len(desk.plane.kinds) == 256


def test_a_host_that_reads_nothing_costs_a_bounded_queue(stack: ExitStack) -> None:
    control_desk = Desk(stack)  # for its loop
    ours, theirs = HostPorts.create_pair()
    stack.callback(ours.close)
    control = ControlSide(control_desk.plane)
    modem = ModemPorts(theirs, control_desk.loop, control)
    stack.callback(lambda: modem.close(0))
    ours.send(encode_packet(Packet(PacketKind.OPENED, 5, 1, port_kind=PortKind.QMI)))
    control_desk.until(lambda: 5 in control_desk.plane.kinds)
    for _ in range(5000):
        modem.send(5, bytes(1000), is_indication=True)
    modem.hang_up(5)
    assert modem.socket.queue.dropped_indications > 4000
    kinds: list[PacketKind] = []

    def has_hung_up() -> bool:
        with suppress(BlockingIOError):
            while True:
                data = ours.recv(2000, socket.MSG_DONTWAIT)
                kinds.append(decode_packet(data, frozenset(PacketKind)).kind)
        return kinds[-1] is PacketKind.HANG_UP

    control_desk.until(has_hung_up)
    assert len(kinds) < 1000


@pytest.mark.parametrize("kind", ["stream", "datagrams", "file", "tcp"])
def test_what_is_no_socket_of_packets_is_refused(kind: str) -> None:
    with ExitStack() as stack:
        if kind == "file":
            descriptor = os.open(os.devnull, os.O_RDWR)
            stack.callback(os.close, descriptor)
        else:
            family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
            sort = socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM
            descriptor = stack.enter_context(socket.socket(family, sort)).fileno()
        with pytest.raises(ProtocolError) as caught:
            ModemPorts.check(descriptor)
        assert caught.value.reason is Refusal.NO_PORTS
        os.fstat(descriptor)  # it is still the caller's
