"""Frames under each fault: what the host's end of RX reads, what the modem's end of TX reads."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.counters import DropReason
from bamdmux.errors import MalformedFrame
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import Middleware, wrapped
from bamdmux.middleware.frames import STRAY_MARK
from bamdmux.wire.dmux import Command, Frame, decode_frame, encode_frame

PACKET = bytes.fromhex("45000020000000004011000001020304") + bytes(range(40))


@dataclass
class Link:
    """Both pipes, open, each end inside of the wraps of one fault; RX with all its buffers."""

    middleware: Middleware
    host_tx: PipeOwner
    host_rx: PipeOwner
    modem_tx: PipePeer
    modem_rx: PipePeer

    def send(self, *frames: bytes) -> list[bytes]:
        """The modem sends a batch; what the host reads, as many bytes as it is told were written."""
        for frame in frames:
            if not self.modem_rx.available():
                break
            self.modem_rx.take()[: len(frame)] = frame
            self.modem_rx.complete(len(frame))
        self.modem_rx.publish()
        return self.receive()

    def receive(self) -> list[bytes]:
        received = []
        for _ in range(self.host_rx.completed()):
            slot, written = self.host_rx.reap()
            received.append(bytes(self.host_rx.slot(slot)[: max(0, written)]) if written >= 0 else b"overrun")
            self.host_rx.submit(slot, 2048)
        self.host_rx.publish()
        return received

    def transmit(self, frame: bytes) -> bytes:
        """The host sends a frame; what the modem reads."""
        self.host_tx.slot(5)[: len(frame)] = frame
        self.host_tx.submit(5, len(frame))
        self.host_tx.publish()
        assert self.modem_tx.available() == 1
        taken = bytes(self.modem_tx.take())
        self.modem_tx.complete()
        self.modem_tx.publish()
        self.host_tx.retire(1)
        return taken


def link_under(name: str, rate: float = 1.0, slot_count: int = 8) -> Link:
    middleware = Middleware(later=lambda *_: None, restart_modem=lambda _: None, restart_host=lambda _: None)
    middleware.install(FAULTS[name], random.Random(1), rate)
    layout = LinkLayout(slot_count=slot_count)
    memory = layout.allocate()
    link = Link(
        middleware,
        wrapped(PipeOwner(memory, layout.tx), middleware.host_tx),
        wrapped(PipeOwner(memory, layout.rx), middleware.host_rx),
        wrapped(PipePeer(memory, layout.tx), middleware.modem_tx),
        wrapped(PipePeer(memory, layout.rx), middleware.modem_rx),
    )
    link.host_tx.open()
    link.host_rx.open()
    for slot in range(slot_count):
        link.host_rx.submit(slot, 2048)
    link.host_rx.publish()
    return link


def data(number: int, channel: int = 0) -> bytes:
    return encode_frame(Frame(Command.DATA, channel, PACKET + bytes((number,))))[: 8 + len(PACKET) + 1]


def command(which: Command, channel: int = 0) -> bytes:
    return encode_frame(Frame(which, channel))


def numbers(frames: list[bytes]) -> list[int]:
    return [frame[-1] for frame in frames]


def test_a_fault_that_was_stopped_changes_no_frame() -> None:
    for name in FAULTS:
        link = link_under(name)
        link.middleware.stop()
        frames = [command(Command.OPEN, 3), data(1), command(Command.CLOSE, 3), data(2)]
        assert link.send(*frames) == frames
        assert link.transmit(data(3)) == data(3)


SPOILED = {
    "bad-magic": DropReason.BAD_MAGIC,
    "bad-channel": DropReason.UNSUPPORTED_CHANNEL,
    "bad-command": DropReason.UNSUPPORTED_COMMAND,
    "length-beyond-transfer": DropReason.TRUNCATED,
    "length-beyond-buffer": DropReason.TOO_LONG,
    "zero-length": DropReason.EMPTY,
    "truncated-transfer": DropReason.TRUNCATED,
    "short-of-a-header": DropReason.TRUNCATED,
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_packet_is_what_the_table_says_each_time(name: str) -> None:
    link = link_under(name)
    assert link.send(command(Command.OPEN)) == [command(Command.OPEN)]  # commands are left alone
    for number in range(100):
        (frame,) = link.send(data(number))
        with pytest.raises(MalformedFrame) as caught:
            decode_frame(frame)
        assert caught.value.reason is SPOILED[name]
    assert FAULTS[name].explains == {SPOILED[name]}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("uplink-bad-magic", DropReason.BAD_MAGIC),
        ("uplink-bad-channel", DropReason.UNSUPPORTED_CHANNEL),
        ("uplink-length-beyond-buffer", DropReason.TOO_LONG),
        ("uplink-zero-length", DropReason.EMPTY),
        ("uplink-truncated", DropReason.TRUNCATED),
        ("uplink-short-of-a-header", DropReason.TRUNCATED),
    ],
)
def test_a_spoiled_packet_of_the_host_likewise(name: str, reason: DropReason) -> None:
    link = link_under(name)
    assert link.transmit(command(Command.OPEN)) == command(Command.OPEN)
    for number in range(100):
        with pytest.raises(MalformedFrame) as caught:
            decode_frame(link.transmit(data(number)))
        assert caught.value.reason is reason


def test_a_descriptor_that_is_too_long_is_no_buffer_for_the_modem() -> None:
    link = link_under("uplink-bad-descriptor")
    assert link.transmit(data(1)) == b""
    assert link.modem_tx.bad_descriptor_count == 1


def test_the_address_of_a_host_is_changed_in_both_families() -> None:
    link = link_under("wrong-source")
    assert link.transmit(data(1))[8 + 12] == PACKET[12] ^ 0x10
    packet6 = bytes((0x60,)) + bytes(60)
    frame = encode_frame(Frame(Command.DATA, 0, packet6))
    assert link.transmit(frame)[8 + 8] == 0x10


def test_an_overrun_is_claimed() -> None:
    assert link_under("overrun-write-back").send(data(1)) == [b"overrun"]


def test_length_ffff_stands_for_the_same_packet() -> None:
    (frame,) = link_under("length-from-transfer").send(data(1))
    assert frame[6:8] == b"\xff\xff"
    assert decode_frame(frame).packet == PACKET + b"\1"


def test_a_frame_that_one_fault_has_spoiled_is_left_alone_by_the_others() -> None:
    link = link_under("truncated-transfer")
    broken = bytes((0, 0)) + data(1)[2:]
    assert link.send(broken) == [broken]
    assert link.send(bytes(5)) == [bytes(5)]


def test_a_lost_frame_is_counted_and_its_buffer_used_again() -> None:
    link = link_under("lost-frame")
    assert link.send(command(Command.OPEN), data(1), data(2)) == [command(Command.OPEN)]
    assert link.middleware.tally.vanished == 2
    assert link.modem_rx.available() == 8


def test_a_duplicate_comes_behind_its_batch_if_there_is_a_buffer() -> None:
    link = link_under("duplicate-frame")
    assert numbers(link.send(data(1), data(2))) == [1, 2, 1, 2]
    assert link.middleware.tally.injected == 2
    assert numbers(link.send(*map(data, range(7)))) == [*range(7), 0]


@pytest.mark.parametrize("name", ["late-frame", "reordered-frame"])
def test_a_frame_that_is_held_back_comes_in_the_end(name: str) -> None:
    link = link_under(name)
    received = link.send(data(1))
    assert link.middleware.tally.held + len(received) == 1
    link.middleware.stop()
    received += link.send(data(2)) + link.send(data(3))
    assert sorted(numbers(received)) == [1, 2, 3]
    assert link.middleware.tally.held == 0


def test_frames_behind_a_late_one_wait_too_and_those_behind_an_overtaken_one_do_not() -> None:
    for name, is_in_order in (("late-frame", True), ("reordered-frame", False)):
        link = link_under(name, rate=0.3, slot_count=32)
        received = [frame for number in range(100) for frame in link.send(data(number))]
        link.middleware.stop()
        received += link.send(data(100)) + link.send(data(101))
        order = numbers(received)
        assert sorted(order) == list(range(102))
        assert (order == sorted(order)) is is_in_order


INJECTED = {
    "duplicate-open": [Command.OPEN],
    "open-no-a2-pc": [Command.OPEN_NO_A2_PC],
    "close-not-open": [Command.CLOSE, Command.CLOSE, Command.OPEN],
    "data-after-close": [Command.CLOSE, Command.DATA, Command.OPEN],
}


@pytest.mark.parametrize("name", INJECTED)
def test_frames_that_nobody_sent_come_behind_the_batch(name: str) -> None:
    link = link_under(name)
    frames = link.send(command(Command.OPEN, 6), data(1))
    assert frames[:2] == [command(Command.OPEN, 6), data(1)]
    injected = [decode_frame(frame) for frame in frames[2:]]
    assert [frame.command for frame in injected] == INJECTED[name]
    assert {frame.channel for frame in injected} == {6}
    assert link.middleware.tally.injected == len(injected)


def test_a_flapping_channel_is_open_in_the_end() -> None:
    frames = [
        decode_frame(frame).command for frame in link_under("flapping-channel").send(command(Command.OPEN))
    ]
    assert frames[::2] == [Command.OPEN] * (len(frames) // 2 + 1)
    assert frames[1::2] == [Command.CLOSE] * (len(frames) // 2)


def test_without_buffers_for_all_of_them_none_is_injected() -> None:
    link = link_under("data-after-close", slot_count=3)
    assert link.send(command(Command.OPEN), data(1)) == [command(Command.OPEN), data(1)]


def test_before_anything_is_open_nothing_is_injected() -> None:
    assert link_under("duplicate-open").send(data(1)) == [data(1)]


def test_data_for_nobody_names_no_channel_of_ours() -> None:
    _, frame = link_under("data-for-nobody").send(command(Command.OPEN))
    assert frame[5] >= 8
    assert STRAY_MARK in frame


def test_data_before_open_comes_first_and_only_on_channels_that_are_not_open() -> None:
    link = link_under("data-before-open")
    frames = link.send(command(Command.OPEN, 0))
    assert frames[-1] == command(Command.OPEN, 0)
    assert decode_frame(frames[0]).command is Command.DATA
    for channel in range(1, 8):
        link.send(command(Command.OPEN, channel))
    assert link.send(data(1)) == [data(1)]  # all are open
    assert len(link.send(command(Command.OPEN, 0))) == 1
    assert len(link.send(command(Command.OPEN, 1))) == 2  # announced anew: it has restarted


def test_a_channel_that_is_closed_while_in_use_is_opened_again() -> None:
    link = link_under("close-while-open")
    first = link.send(data(1, channel=2))
    assert first == [data(1, channel=2), command(Command.CLOSE, 2)]
    link.middleware.stop()
    assert link.send(data(2)) == [data(2), command(Command.OPEN, 2)]


def test_the_modem_opens_what_the_host_is_closing() -> None:
    link = link_under("open-while-closing")
    link.transmit(command(Command.CLOSE, 4))
    assert link.send(data(1)) == [data(1), command(Command.OPEN, 4)]
    assert link.send(data(2)) == [data(2)]


def test_a_starved_modem_keeps_one_buffer_at_least() -> None:
    link = link_under("no-rx-buffers", slot_count=4)
    assert link.modem_rx.available() == 4
    assert numbers(link.send(*map(data, range(3)))) == [0, 1, 2]
    assert link.modem_rx.available() == 1  # three have come back, and are kept from it
    assert numbers(link.send(data(3))) == [3]
    assert link.modem_rx.available() == 4


def test_a_starved_pipe_that_is_reset_holds_nothing_back() -> None:
    link = link_under("no-rx-buffers", slot_count=4)
    link.send(data(0))
    link.host_rx.terminate()
    assert link.modem_rx.available() == 0
    link.host_rx.submit(0, 2048)
    assert link.host_rx.publish() == 1


# On a link that runs


def test_the_answer_to_an_injected_frame_is_no_occasion_for_the_next() -> None:
    link = link_under("duplicate-open")
    assert len(link.send(command(Command.OPEN))) == 2
    assert link.send() == []


def test_a_closed_channel_stays_open_while_the_modem_says_nothing() -> None:
    link = link_under("close-while-open")
    assert link.send() == []


def test_channels_that_were_announced_before_the_wrap_are_known() -> None:
    middleware = Middleware(
        later=lambda *_: None, restart_modem=lambda _: None, restart_host=lambda _: None, announced=(3,)
    )
    middleware.install(FAULTS["duplicate-open"], random.Random(1), 1.0)
    layout = LinkLayout(slot_count=8)
    memory = layout.allocate()
    host, modem = PipeOwner(memory, layout.rx), PipePeer(memory, layout.rx)
    link = Link(middleware, host, host, modem, wrapped(modem, middleware.modem_rx))
    host.open()
    for slot in range(8):
        host.submit(slot, 2048)
    host.publish()
    assert [decode_frame(frame) for frame in link.send(data(1))[1:]] == [Frame(Command.OPEN, 3)]


def test_where_it_was_the_only_channel_the_modem_is_nudged_until_it_is_open_again() -> None:
    agenda: list[Callable[[int], None]] = []
    middleware = Middleware(
        later=lambda delay, event: agenda.append(event),
        restart_modem=lambda _: None,
        restart_host=lambda _: None,
        nudge_modem=lambda now: received.extend(link.send()),
    )
    received: list[bytes] = []
    middleware.install(FAULTS["close-while-open"], random.Random(1), 1.0)
    layout = LinkLayout(slot_count=8)
    memory = layout.allocate()
    host, modem = PipeOwner(memory, layout.rx), PipePeer(memory, layout.rx)
    link = Link(middleware, host, host, modem, wrapped(modem, middleware.modem_rx))
    host.open()
    for slot in range(8):
        host.submit(slot, 2048)
    host.publish()
    assert decode_frame(link.send(data(1))[1]).command is Command.CLOSE
    while agenda:
        agenda.pop()(0)
    assert [decode_frame(frame).command for frame in received] == [Command.OPEN]


@pytest.mark.parametrize(
    ("name", "batches"),
    [("late-frame", 9), ("reordered-frame", 9), ("close-while-open", 9), ("duplicate-frame", 0)],
)
def test_a_wrap_can_be_taken_off_when_it_holds_nothing(name: str, batches: int) -> None:
    link = link_under(name)
    assert link.modem_rx.is_at_rest
    link.send(data(1))
    assert link.modem_rx.is_at_rest is not bool(batches)
    link.middleware.stop()
    for _ in range(batches):
        link.send()
    assert link.modem_rx.is_at_rest


def test_a_starved_pipe_is_at_rest_when_all_buffers_are_shown() -> None:
    link = link_under("no-rx-buffers")
    link.send(data(1))
    assert not link.host_rx.is_at_rest
    link.middleware.stop()
    link.receive()
    assert link.host_rx.is_at_rest


def test_what_could_not_be_injected_is_no_strike() -> None:
    link = link_under("data-before-open", slot_count=64)
    link.send(*(command(Command.OPEN, channel) for channel in range(8)))
    (strikes,) = link.middleware.strikes.values()
    assert strikes.count
    struck = strikes.count
    link.send(data(1))  # no channel is left that is not open
    assert strikes.count == struck
