"""Nodes and their users: real PTYs, and an echo in the place of the control plane."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from bamdmux.actions import PortKind, SendToPort
from tests.live.ports.echo import AT, QMI, Desk

OPENED = [("opened", QMI, PortKind.QMI), ("opened", AT, PortKind.AT)]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(stack)


def test_the_modem_has_both_nodes_from_its_boot(desk: Desk) -> None:
    assert desk.plane.events == [("boot",), *OPENED]
    assert [desk.status(number)["name"] for number in (QMI, AT)] == ["wwan0qmi0", "wwan0at0"]


def test_all_bytes_pass_both_ways_unchanged(desk: Desk) -> None:
    client = desk.open(QMI)
    data = bytes(range(256)) * 8 + b"the end"
    client.write(data)
    assert client.read_until(b"the end") == data
    assert desk.plane.received_bytes[QMI] == data


def test_bytes_that_come_one_at_a_time_arrive(desk: Desk) -> None:
    client = desk.open(AT)
    for number in b"AT\r":
        client.write(bytes([number]))
        desk.settle()
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"
    assert desk.plane.received_bytes[AT] == b"AT\r"


def test_a_node_echoes_nothing_and_makes_signals_of_nothing(desk: Desk) -> None:
    client = desk.open(AT)
    assert client.is_raw()
    client.write(b"\x03\x04\x1a\x11\x13\x7f\x00\xff")
    desk.until(lambda: desk.plane.received_bytes.get(AT) == b"\x03\x04\x1a\x11\x13\x7f\x00\xff")
    assert client.read() == b""


def test_several_users_of_a_node_are_one(desk: Desk) -> None:
    first, second = desk.open(AT), desk.open(AT)
    first.write(b"AT\r")
    second.write(b"AT\r")
    desk.until(lambda: desk.status(AT)["messages_out"] == 2)
    first.close()
    desk.settle()
    assert desk.plane.events == [("boot",), *OPENED]
    second.write(b"AT\r")
    desk.until(lambda: desk.status(AT)["messages_out"] == 3)


# Who leaves


def test_the_end_of_the_last_user_is_a_close_and_an_open(desk: Desk) -> None:
    client = desk.open(AT)
    client.write(b"half a li")
    client.close()
    desk.until(lambda: len(desk.plane.events) == 5)
    assert desk.plane.events[3:] == [("closed", AT), ("opened", AT, PortKind.AT)]
    assert desk.plane.received_bytes[AT] == b"half a li"


def test_last_words_are_heard(desk: Desk) -> None:
    client = desk.open(QMI)
    data = os.urandom(3000)
    client.write(data)
    client.close()
    desk.until(lambda: len(desk.plane.events) == 5)
    assert desk.plane.received_bytes[QMI] == data


def test_who_only_looked_in_is_no_news(desk: Desk) -> None:
    for _ in range(3):
        desk.open(AT).close()
        desk.settle()
    assert desk.plane.events == [("boot",), *OPENED]


def test_what_one_left_unread_is_not_for_the_next(desk: Desk) -> None:
    client = desk.open(AT)
    client.write(b"say 100\r")
    desk.until(lambda: client.unread_bytes() > 1000)
    client.close()
    desk.until(lambda: len(desk.plane.events) == 5)
    client = desk.open(AT)
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_what_one_did_to_the_terminal_is_undone(desk: Desk) -> None:
    client = desk.open(AT)
    client.spoil()
    client.write(b"AT\r\n")
    desk.until(lambda: desk.plane.received_bytes.get(AT))
    client.close()
    desk.until(lambda: len(desk.plane.events) == 5)
    assert desk.open(AT).is_raw()


def test_what_is_said_while_nobody_listens_is_not_kept(desk: Desk) -> None:
    desk.plane.outbox.append(SendToPort(AT, b"\r\nRING\r\n", is_indication=True))
    desk.settle()
    assert desk.status(AT)["unheard"] == 1
    client = desk.open(AT)
    desk.settle()
    assert client.read() == b""


def test_who_only_listens_hears(desk: Desk) -> None:
    client = desk.open(AT)
    desk.settle()
    desk.plane.outbox.append(SendToPort(AT, b"\r\nRING\r\n", is_indication=True))
    assert client.read_until(b"RING\r\n") == b"\r\nRING\r\n"
    assert desk.status(AT)["unheard"] == 0


def test_a_node_says_whether_it_is_open(desk: Desk) -> None:
    assert desk.status(AT)["open"] is False
    client = desk.open(AT)
    assert desk.status(AT)["open"] is True
    client.close()
    assert desk.status(AT)["open"] is False


def test_a_node_that_nobody_has_open_wakes_nobody(desk: Desk) -> None:
    client = desk.open(AT)
    client.write(b"AT\r")
    client.close()
    desk.until(lambda: len(desk.plane.events) == 5)
    desk.settle()
    turns = 0

    def count() -> bool:
        nonlocal turns
        turns += 1
        return False

    desk.runner.run_until(count, 200_000_000)
    assert turns <= 3


# Who does not read


def test_of_what_is_not_read_the_oldest_indications_go(desk: Desk) -> None:
    client = desk.open(AT)
    client.write(b"say 1000\r")
    desk.until(lambda: desk.status(AT)["dropped_indications"])
    desk.settle()
    lines = client.read_until(b"999\n").split(b"\n")[:-1]
    numbers = [int(line) for line in lines]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0
    assert len(numbers) + desk.status(AT)["dropped_indications"] == 1000  # type: ignore[operator]
    assert {len(line) for line in lines} == {99}  # each of them whole
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_who_reads_no_answers_is_heard_no_more_until_it_does(desk: Desk) -> None:
    client = desk.open(AT)
    lines, sent = b"AT\r" * 50_000, 0  # far more than both directions hold
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


def test_a_flood_leaves_the_others_their_turn(desk: Desk) -> None:
    flooder, client = desk.open(QMI), desk.open(AT)
    answered = 0

    def flood() -> bool:
        nonlocal answered
        with suppress(BlockingIOError):
            os.write(flooder.descriptor, bytes(4096))
        flooder.read()
        if client.read():
            answered += 1
            client.write(b"AT\r")
        return answered == 50

    client.write(b"AT\r")
    desk.until(flood)


# The modem


def test_a_crash_hangs_up_and_a_boot_makes_new_nodes(desk: Desk) -> None:
    client = desk.open(AT)
    client.write(b"AT\r")
    client.read_until(b"OK\r\n")
    desk.control.crash(desk.runner.now)
    assert client.is_hung_up()
    assert desk.maker.removed_count == 1
    assert desk.board.status() == []
    desk.control.boot(desk.runner.now)
    assert desk.plane.events[3:] == [("crash",), ("boot",), *OPENED]
    client = desk.open(AT)
    client.write(b"AT\r")
    assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"


def test_a_port_that_the_modem_ends_hangs_up_and_the_other_stays(desk: Desk) -> None:
    client, other = desk.open(AT), desk.open(QMI)
    client.write(b"hang up\r")
    desk.until(client.is_hung_up)
    other.write(b"hello")
    assert other.read_until(b"hello") == b"hello"
    assert desk.maker.removed_count == 0


def test_nodes_that_come_while_the_modem_is_down_are_not_wanted(desk: Desk) -> None:
    desk.control.crash(desk.runner.now)
    before = len(os.listdir("/proc/self/fd"))
    desk.maker.make_ports()
    assert len(os.listdir("/proc/self/fd")) == before
    assert desk.maker.removed_count == 2
    assert desk.board.status() == []


def test_bytes_for_a_port_that_has_ended_are_for_nobody(desk: Desk) -> None:
    desk.board.send(77, b"hello")
    desk.board.hang_up(77)


def test_traffic_is_counted(desk: Desk) -> None:
    client = desk.open(QMI)
    client.write(b"12345")
    client.read_until(b"12345")
    status = desk.status(QMI)
    assert (status["bytes_in"], status["bytes_out"], status["messages_out"]) == (5, 5, 1)
    assert status["kind"] == "qmi"


def test_closing_hangs_up_and_keeps_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as stack:
        desk = Desk(stack)
        client = desk.open(AT)
        desk.board.close()
        assert client.is_hung_up()
    assert len(os.listdir("/proc/self/fd")) == before


def test_how_long_an_answer_took_is_summed_up(desk: Desk) -> None:
    client = desk.open(AT)
    assert desk.board.answers() == {"count": 0, "ms": 0.0}
    for count in (1, 2):
        client.write(b"AT\r")
        assert client.read_until(b"OK\r\n") == b"\r\nOK\r\n"
        assert desk.board.answers()["count"] == count
    assert 0 < desk.board.answer_count < desk.board.answering_ns < 1_000_000_000
