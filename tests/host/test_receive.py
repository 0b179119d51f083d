"""The receive ring against a peer that fills its buffers by hand."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.receive import ReceiveRing, Rejected
from bamdmux.netdevice import ETH_P_IP, ETH_P_IPV6, ETH_P_MAP, NetDevice, QueueDevice
from bamdmux.wire.dmux import CHANNEL_COUNT, Command, Frame
from tests.host.far_end import (
    PING,
    close_frame,
    frame_of,
    numbered,
    open_frame,
    open_no_a2_pc_frame,
)


class Rig:
    """An open ring of four buffers, the modem's end of it, and interfaces 0 and 1, which are up."""

    def __init__(self, receive_bytes: int = 2048, slot_count: int = 4) -> None:
        self.layout = LinkLayout(slot_count=slot_count, receive_bytes=receive_bytes)
        self.memory = self.layout.allocate()
        self.pipe = PipeOwner(self.memory, self.layout.rx)
        self.peer = PipePeer(self.memory, self.layout.rx)
        self.ring = ReceiveRing(self.pipe)
        self.ring.open()
        self.pipe.publish()
        self.counters = [Counters() for _ in range(CHANNEL_COUNT)]
        self.unassigned = Counters()
        self.interfaces = [QueueDevice(), QueueDevice()]
        self.devices: list[NetDevice | None] = [*self.interfaces, *[None] * 6]

    def send(self, *frames: bytes, written: int | None = None) -> None:
        """Fill a buffer with each; ``written`` is what is claimed of each."""
        for frame in frames:
            assert self.peer.available()
            self.peer.take()[: len(frame)] = frame
            self.peer.complete(len(frame) if written is None else written)
        self.peer.publish()

    def arrivals(self) -> Iterator[Frame | Rejected]:
        return self.ring.drain_to(self.devices, self.counters, self.unassigned)

    def drain(self) -> list[Frame | Rejected]:
        arrivals = list(self.arrivals())
        self.pipe.publish()
        return arrivals

    def receive(self, *frames: bytes, written: int | None = None) -> list[Frame | Rejected]:
        self.send(*frames, written=written)
        return self.drain()

    def drops(self) -> list[tuple[int | None, DropReason, int]]:
        """What was dropped: of which channel, None if it names none; why; how many."""
        counted: list[tuple[int | None, Counters]] = [(None, self.unassigned), *enumerate(self.counters)]
        return [(channel, *drop) for channel, counters in counted for drop in counters.drops.items()]


class ScribblingDevice(QueueDevice):
    """While it takes a packet, the modem writes all over its buffers."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._rig = rig

    def write(self, buffer: memoryview) -> bool:
        layout = self._rig.layout.rx
        self._rig.memory[layout.buffers_offset : layout.end] = b"\xee" * (layout.end - layout.buffers_offset)
        return super().write(buffer)


def word_of(frame: bytes) -> int:
    return int.from_bytes(frame[:8], "little")


# -- DATA


def test_opening_queues_every_buffer() -> None:
    rig = Rig()
    assert rig.peer.available() == 4
    for _ in range(4):
        assert len(rig.peer.take()) == 2048
        assert rig.peer.complete(0)


def test_opening_takes_the_pipe_into_use() -> None:
    assert Rig().pipe.is_open


@pytest.mark.parametrize(
    ("first_byte", "protocol"),
    [(0x45, ETH_P_IP), (0x60, ETH_P_IPV6), (0x00, ETH_P_MAP), (0x80, ETH_P_MAP), (0xF0, ETH_P_MAP)],
)
def test_a_packet_is_delivered_with_the_protocol_of_its_first_nibble(first_byte: int, protocol: int) -> None:
    rig = Rig()
    packet = bytes((first_byte,)) + bytes(19)
    assert rig.receive(frame_of(packet, channel=1)) == []
    assert list(rig.interfaces[1].delivered) == [packet]
    assert list(rig.interfaces[1].protocols) == [protocol]
    assert not rig.interfaces[0].delivered


def test_padding_is_not_delivered() -> None:
    rig = Rig()
    rig.receive(frame_of(PING, pad=4))
    assert list(rig.interfaces[0].delivered) == [PING]


@pytest.mark.parametrize("length", [1, 2040])
def test_the_shortest_and_the_longest_packet_are_delivered(length: int) -> None:
    rig = Rig()
    rig.receive(frame_of(bytes(length)))
    assert list(rig.interfaces[0].delivered) == [bytes(length)]


def test_a_larger_buffer_takes_a_longer_packet() -> None:
    rig = Rig(receive_bytes=8192)
    rig.receive(frame_of(bytes(8184)))
    assert list(rig.interfaces[0].delivered) == [bytes(8184)]


def test_length_ffff_takes_the_length_from_the_transfer() -> None:
    rig = Rig()
    rig.receive(frame_of(PING)[:6] + b"\xff\xff" + PING)
    assert list(rig.interfaces[0].delivered) == [PING]


def test_packets_are_delivered_in_order_across_the_end_of_the_ring() -> None:
    rig = Rig()
    packets = [numbered(number) for number in range(10)]
    for start in range(0, 10, 3):
        rig.receive(*map(frame_of, packets[start : start + 3]))
    assert list(rig.interfaces[0].delivered) == packets


def test_what_is_delivered_is_counted() -> None:
    rig = Rig()
    rig.receive(frame_of(PING), frame_of(PING))
    assert (rig.counters[0].packet_count, rig.counters[0].byte_count) == (2, 56)
    assert not rig.counters[0].drops


def test_what_the_interface_refuses_is_counted_as_dropped() -> None:
    rig = Rig()
    rig.interfaces[0].capacity = 1
    assert rig.receive(frame_of(PING), frame_of(PING)) == []
    assert rig.counters[0].packet_count == 1
    assert rig.counters[0].drops == {DropReason.DEVICE_REFUSED: 1}


def test_what_was_checked_is_what_is_delivered() -> None:
    rig = Rig()
    device = ScribblingDevice(rig)
    rig.devices[0] = device
    rig.receive(frame_of(PING))
    assert list(device.delivered) == [PING]


# -- everything else


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        (open_frame(7), Frame(Command.OPEN, 7)),
        (close_frame(2), Frame(Command.CLOSE, 2)),
        (open_no_a2_pc_frame(0), Frame(Command.OPEN_NO_A2_PC, 0)),
        (open_frame(3) + b"more than a command needs", Frame(Command.OPEN, 3)),
        (b"\xfc\x33\xc2\x01\x00\x04\x00\x00", Frame(Command.OPEN, 4, signal=0xC2)),
    ],
)
def test_a_command_is_handed_over(frame: bytes, command: Frame) -> None:
    assert Rig().receive(frame) == [command]


def test_a_command_keeps_its_place_between_packets() -> None:
    rig = Rig()
    rig.send(frame_of(numbered(1)), close_frame(0), frame_of(numbered(2)))
    arrivals = rig.arrivals()
    assert next(arrivals) == Frame(Command.CLOSE, 0)
    assert list(rig.interfaces[0].delivered) == [numbered(1)]
    rig.devices[0] = None  # whoever was told may act on it before the next packet
    assert isinstance(next(arrivals), Rejected)
    assert list(rig.interfaces[0].delivered) == [numbered(1)]


@pytest.mark.parametrize("written", range(8))
def test_a_transfer_shorter_than_a_header_is_truncated_whatever_the_buffer_holds(written: int) -> None:
    rig = Rig()
    assert rig.receive(frame_of(PING), written=written) == [Rejected(DropReason.TRUNCATED, 0)]
    assert rig.drops() == [(None, DropReason.TRUNCATED, 1)]
    assert not rig.interfaces[0].delivered


@pytest.mark.parametrize("written", [2049, 0xFFFF])
def test_a_transfer_longer_than_the_buffer_is_an_overrun(written: int) -> None:
    rig = Rig()
    assert rig.receive(frame_of(PING), written=written) == [Rejected(DropReason.OVERRUN, 0)]
    assert rig.drops() == [(None, DropReason.OVERRUN, 1)]
    assert not rig.interfaces[0].delivered


def test_stale_bytes_of_an_earlier_frame_are_not_delivered() -> None:
    rig = Rig(slot_count=1)
    rig.receive(frame_of(b"\x45" * 100))
    frame = frame_of(b"\x45" * 100)[:20]
    assert rig.receive(frame) == [Rejected(DropReason.TRUNCATED, word_of(frame))]
    assert len(rig.interfaces[0].delivered) == 1


WRONG = [
    (b"\xfd" + frame_of(PING)[1:], DropReason.BAD_MAGIC, None),
    (frame_of(PING, channel=8), DropReason.UNSUPPORTED_CHANNEL, None),
    (b"\xfc\x33\x00\x03\x00\x01\x00\x00", DropReason.UNSUPPORTED_COMMAND, 1),
    (frame_of(b""), DropReason.EMPTY, 0),
    (frame_of(PING)[:-1], DropReason.TRUNCATED, 0),
    (frame_of(bytes(2041))[:2048], DropReason.TOO_LONG, 0),
    (frame_of(PING, channel=2), DropReason.INACTIVE_CHANNEL, 2),
    (frame_of(b"\x45", channel=2), DropReason.INACTIVE_CHANNEL, 2),
    (b"\xfd" + frame_of(PING, channel=2)[1:], DropReason.BAD_MAGIC, None),
    (frame_of(b"", channel=2), DropReason.INACTIVE_CHANNEL, 2),
    (frame_of(PING, channel=2)[:-1], DropReason.INACTIVE_CHANNEL, 2),
    (frame_of(bytes(2041), channel=2)[:2048], DropReason.INACTIVE_CHANNEL, 2),
]


@pytest.mark.parametrize(("frame", "reason", "channel"), WRONG)
def test_a_wrong_frame_is_rejected_for_its_reason_and_counted_in_its_channel_if_it_names_one(
    frame: bytes, reason: DropReason, channel: int | None
) -> None:
    rig = Rig()
    assert rig.receive(frame) == [Rejected(reason, word_of(frame))]
    assert rig.drops() == [(channel, reason, 1)]
    assert not any(interface.delivered for interface in rig.interfaces)


def test_of_a_batch_the_first_wrong_frame_of_each_kind_is_told_and_all_are_counted() -> None:
    rig = Rig(slot_count=6)
    first, second = b"\xfd" + frame_of(PING)[1:], b"\xfe" + frame_of(PING)[1:]
    arrivals = rig.receive(first, frame_of(b""), second, first, frame_of(b"", channel=1), open_frame(3))
    assert arrivals == [
        Rejected(DropReason.BAD_MAGIC, word_of(first)),
        Rejected(DropReason.EMPTY, word_of(frame_of(b""))),
        Frame(Command.OPEN, 3),
    ]
    assert rig.drops() == [
        (None, DropReason.BAD_MAGIC, 3),
        (0, DropReason.EMPTY, 1),
        (1, DropReason.EMPTY, 1),
    ]


def test_the_next_batch_is_told_of_anew() -> None:
    rig = Rig()
    wrong = frame_of(PING, channel=8)
    assert rig.receive(wrong, wrong) == rig.receive(wrong)
    assert rig.drops() == [(None, DropReason.UNSUPPORTED_CHANNEL, 3)]


# -- buffers


@pytest.mark.parametrize("frame", [frame_of(PING), open_frame(0), b"", *[frame for frame, _, _ in WRONG]])
def test_every_buffer_goes_back_whatever_was_in_it(frame: bytes) -> None:
    rig = Rig()
    for _ in range(3):
        rig.receive(*[frame] * 4)
        assert rig.pipe.in_flight == 4
        assert rig.peer.available() == 4


def test_the_buffer_of_a_refused_packet_goes_back_too() -> None:
    rig = Rig()
    rig.interfaces[0].is_up = False
    rig.receive(*[frame_of(PING)] * 4)
    assert rig.peer.available() == 4


def test_a_drain_ends_though_the_modem_fills_buffers_meanwhile() -> None:
    rig = Rig()
    rig.send(*[open_frame(0)] * 4)
    count = 0
    for _ in rig.arrivals():
        count += 1
        rig.pipe.publish()
        if rig.peer.available():
            rig.send(open_frame(0))
    assert count == 4


def test_draining_a_ring_where_nothing_arrived_does_nothing() -> None:
    assert Rig().drain() == []


# -- anything


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.binary(max_size=64),
                st.binary(max_size=12).map(lambda tail: b"\xfc\x33" + tail),
                st.binary(min_size=3, max_size=20).map(lambda tail: b"\xfc\x33\x00\x00\x00" + tail),
            ),
            st.none() | st.integers(0, 0xFFFF),
        ),
        max_size=12,
    )
)
@example([(frame_of(PING), 0xFFFF)])
def test_any_bytes_and_any_count_are_delivered_rejected_or_a_command_and_lose_no_buffer(
    transfers: list[tuple[bytes, int | None]],
) -> None:
    rig = Rig()
    for octets, written in transfers:
        arrivals = rig.receive(octets, written=written)
        passed = sum(counters.packet_count for counters in rig.counters)
        delivered = sum(len(interface.delivered) for interface in rig.interfaces)
        assert passed == delivered
        rejected = [arrival for arrival in arrivals if isinstance(arrival, Rejected)]
        assert [reason for _, reason, _ in rig.drops()] == [arrival.reason for arrival in rejected]
        for interface in rig.interfaces:
            for packet in interface.delivered:
                assert 1 <= len(packet) <= 2040
            interface.delivered.clear()
        for counters in (*rig.counters, rig.unassigned):
            counters.packet_count = 0
            counters.drops.clear()
        assert len(arrivals) + delivered == 1
        assert rig.pipe.in_flight == 4
        assert rig.peer.available() == 4
