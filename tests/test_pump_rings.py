"""The native pump and its rings, held equal to the Python path of both machines.

For each of the four ways the same memory is given to the pump and to Python. As far as the pump went, both
must have done the same: memory, packets, counters. And what it stopped at must be something that Python does
not simply pass on, or looks at twice (IPv6 that may be a router solicitation).
"""

import random
import struct
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6

from bamdmux.actions import Action
from bamdmux.bam.memory import DESCRIPTOR_BYTES, LinkLayout, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR, FLAG_EOT, PipeOwner, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.host.receive import ReceiveRing
from bamdmux.host.transmit import TransmitRing
from bamdmux.modem.downlink import Downlink
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.uplink import Uplink
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.dmux import (
    CHANNEL_COUNT,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    MAX_PACKET_BYTES,
    WORD_BYTES,
    Command,
    Frame,
    encode_frame,
)
from bamdmux.wire.offload import NO_OFFLOAD, coalesce, segment
from tests.super_packets import (
    CHANGES,
    Segment,
    bare_checksum,
    pattern,
    super_packets,
    traffic,
    udp_of_length,
)
from tests.test_pump import Kernel, pump

GENERATION: Final = 1  # of a pipe that was opened once
BEARER: Final = struct.Struct("=QIIII")


def place_of(layout: PipeLayout) -> tuple[int, ...]:
    return (
        *(
            layout.fifo_offset,
            layout.entry_count,
            layout.buffers_offset,
            layout.slot_stride,
            layout.slot_bytes,
        ),
        *(layout.slot_count, layout.tail_offset),
    )


def new_tally() -> "array[int]":
    return array("Q", bytes(3 * CHANNEL_COUNT * 8))


def counted(counters: Counters) -> tuple[int, int, int]:
    return counters.packet_count, counters.byte_count, counters.drops[DropReason.DEVICE_REFUSED]


def tallied(tally: "array[int]") -> list[tuple[int, int, int]]:
    """Packets, bytes and refused packets, by channel."""
    return list(zip(tally[:8], tally[8:16], tally[16:], strict=True))


class Device(QueueDevice):
    """An interface that writes down what is delivered in a list that it shares with others."""

    def __init__(self, channel: int, log: list[tuple[int, bytes]]) -> None:
        super().__init__()
        self._channel = channel
        self._log = log

    def write(self, buffer: memoryview) -> bool:
        self._log.append((self._channel, bytes(buffer[4:])))
        return True


# -- Frames --


def data_frame(channel: int, packet: bytes, pad: int = 0, length: int | None = None) -> bytes:
    header = HEADER.pack(MAGIC, 0, Command.DATA, pad, channel, len(packet) if length is None else length)
    return header + packet + bytes(pad)


def in_frames(packets: list[tuple[int, bytes]]) -> list[bytes]:
    return [data_frame(channel, packet, pad=WORD_BYTES) for channel, packet in packets]


ODD_FRAMES: Final = [
    encode_frame(Frame(Command.OPEN, 0)),
    encode_frame(Frame(Command.CLOSE, 1)),
    data_frame(0, b"E" * 40, length=0xFFFF),
    data_frame(0, b"E" * 40, length=41),
    data_frame(0, b"E" * 40, length=0),
    data_frame(0, b"", length=0xFFFF),
    data_frame(8, b"E" * 40),
    data_frame(7, b"`" * 40),
    data_frame(0, b"\0"),
    HEADER.pack(MAGIC, 0xFF, Command.DATA, 0xFF, 0, 4) + b"Esig",
    HEADER.pack(MAGIC + 1, 0, Command.DATA, 0, 0, 4) + b"Emag",
    HEADER.pack(MAGIC, 0, 9, 0, 0, 4) + b"Ecmd",
    HEADER.pack(MAGIC, 0, Command.DATA, 0, 0, 2040) + bytes(2040),
    b"short",
    b"",
]
FRAMES = st.one_of(
    traffic().map(in_frames),
    st.tuples(traffic().map(in_frames), st.lists(st.sampled_from(ODD_FRAMES), max_size=3)).flatmap(
        lambda both: st.permutations(both[0][:6] + both[1])
    ),
    st.lists(st.binary(max_size=80), max_size=4),
)
CLAIMS = st.one_of(st.none(), st.none(), st.none(), st.sampled_from([0, 7, 8, 9, 2048, 2049, 0xFFFF]))


# -- The host receives: drain_slots --


class Receiver:
    """The RX pipe of a host, of whose buffers the modem has filled some."""

    def __init__(self, frames: list[bytes], claims: Sequence[int | None] = ()) -> None:
        layout = LinkLayout(slot_count=len(frames) + 2)
        self.layout, self.memory = layout.rx, layout.allocate()
        owner = PipeOwner(self.memory, self.layout)
        self.ring = ReceiveRing(owner)
        self.ring.open()
        owner.publish()
        for index, frame in enumerate(frames):
            claim = claims[index] if index < len(claims) else None
            address = self.layout.slot_address(index)
            self.memory[address : address + len(frame)] = frame
            written = len(frame) if claim is None else claim
            DESCRIPTOR.pack_into(
                self.memory, self.layout.fifo_offset + index * DESCRIPTOR_BYTES, address, written, FLAG_EOT
            )
        slot_count = self.layout.slot_count
        self.slots = array("H", [*range(slot_count), *bytes(self.layout.entry_count - slot_count)])
        self.sizes = array(
            "H", [self.layout.slot_bytes] * slot_count + [0] * (self.layout.entry_count - slot_count)
        )

    def pump(self, devices: tuple[Any, ...], count: int, tally: "array[int]") -> int:
        place = place_of(self.layout)
        arrays = (self.slots, self.sizes, tally)
        done: int = pump.drain_slots(devices, self.memory, place, 0, self.layout.slot_count, count, *arrays)
        return done

    def arrived(self, count: int) -> None:
        """The modem says that it has filled so many buffers."""
        at = self.layout.position_offset
        self.memory[at : at + 4].cast("I")[0] = GENERATION << 16 | count * DESCRIPTOR_BYTES


@settings(max_examples=200, deadline=None)
@given(FRAMES, st.lists(CLAIMS, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8), st.booleans())
def test_the_host_receives_as_in_python(
    frames: list[bytes], claims: list[int | None], is_up: list[bool], merges_udp: bool
) -> None:
    receive_as_in_python(frames, claims, is_up, merges_udp)


def receive_as_in_python(
    frames: list[bytes], claims: list[int | None], is_up: list[bool], merges_udp: bool
) -> None:
    by_pump, by_python = Receiver(frames, claims), Receiver(frames, claims)
    tally, log = new_tally(), list[tuple[int, bytes]]()
    with Kernel(merges_udp) as lower, Kernel(merges_udp) as upper:  # of four channels each
        kernels = (lower,) * 4 + (upper,) * 4
        devices = tuple(kernels[channel].interface if is_up[channel] else None for channel in range(8))
        by_pump.arrived(0)
        done = by_pump.pump(devices, len(frames), tally)
        written = [list(lower.written()), list(upper.written())]
    counters, unassigned = [Counters() for _ in range(8)], Counters()
    python_devices = [Device(channel, log) if is_up[channel] else None for channel in range(8)]
    by_python.arrived(done)
    assert list(by_python.ring.drain_to(python_devices, counters, unassigned)) == []
    by_python.arrived(0)
    assert by_pump.memory == by_python.memory
    assert tallied(tally) == [counted(each) for each in counters]
    assert written == [
        coalesce([each for each in log if each[0] // 4 == side], merges_udp) for side in (0, 1)
    ]
    if done < len(frames):
        by_python.arrived(done + 1)
        assert list(by_python.ring.drain_to(python_devices, counters, unassigned))
        assert len(log) == done


@pytest.mark.parametrize("odd", ODD_FRAMES, ids=repr)
def test_the_host_receives_each_odd_frame_as_in_python(odd: bytes) -> None:
    plain = data_frame(0, Segment().packet())
    receive_as_in_python([plain, odd, plain], [], [True] * 7 + [False], True)


def coalesced(packets: list[tuple[int, bytes]], merges_udp: bool = True) -> list[tuple[bytes, bytes]]:
    """What the pump writes to one interface that has all channels."""
    receiver = Receiver(in_frames(packets))
    with Kernel(merges_udp) as kernel:
        assert receiver.pump((kernel.interface,) * 8, len(packets), new_tally()) == len(packets)
        return list(kernel.written())


@pytest.mark.parametrize("options", ["none", "timestamps"])
@pytest.mark.parametrize(("protocol", "version"), [("TCP", 4), ("TCP", 6), ("UDP", 4), ("UDP", 6)])
def test_a_segment_that_differs_is_merged_or_not_as_by_the_reference(
    protocol: str, version: int, options: str
) -> None:
    first = Segment(protocol=protocol, version=version, payload=pattern(100), options=options)
    for change in CHANGES:
        changed = first.next(**change)
        after = changed.next(payload=first.payload, flags=first.flags)
        packets = [(0, each.packet()) for each in (first, changed, after)]
        assert coalesced(packets) == coalesce(packets, True), change


@pytest.mark.parametrize(("protocol", "version"), [("TCP", 4), ("TCP", 6), ("UDP", 4), ("UDP", 6)])
def test_a_bit_that_differs_is_merged_or_not_as_by_the_reference(protocol: str, version: int) -> None:
    first = Segment(protocol=protocol, version=version, payload=pattern(20), options="timestamps")
    packet = first.next().packet()
    for bit in range(8 * (len(packet) - 20)):
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        packets = [(0, first.packet()), (0, bytes(flipped))]
        assert coalesced(packets) == coalesce(packets, True), bit


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("length", [1, 1990])
def test_a_super_packet_ends_at_64_kib_or_64_segments_of_udp(protocol: str, length: int) -> None:
    segments = [Segment(protocol=protocol, payload=pattern(length))]
    for _ in range(70):
        segments.append(segments[-1].next())
    packets = [(0, each.packet()) for each in segments]
    written = coalesced(packets)
    assert written == coalesce(packets, True)
    assert len(written) == (3 if length > 1 else 2 if protocol == "UDP" else 1)


@pytest.mark.parametrize("wrong", [bare_checksum, lambda segment: udp_of_length(segment, 20)])
def test_udp_without_a_checksum_or_with_a_wrong_length_is_not_merged(
    wrong: Callable[[Segment], bytes],
) -> None:
    first = Segment(protocol="UDP", payload=pattern(100))
    packets = [(0, first.packet()), (0, wrong(first.next()))]
    assert coalesced(packets) == [(NO_OFFLOAD, packet) for _, packet in packets]


def test_what_is_pushed_alone_is_written_at_once() -> None:
    waits, pushed = Segment(port=1).packet(), Segment(port=2, flags="PA").packet()
    assert coalesced([(0, waits), (0, pushed)]) == [(NO_OFFLOAD, pushed), (NO_OFFLOAD, waits)]


@pytest.mark.parametrize("flow_count", [8, 9])
def test_eight_flows_are_merged_at_a_time(flow_count: int) -> None:
    flows = [Segment(port=port) for port in range(flow_count)]
    packets = [(0, each.packet()) for each in flows] + [(0, each.next().packet()) for each in flows]
    assert coalesced(packets) == coalesce(packets, True)
    assert len(coalesced(packets)) == (8 if flow_count == 8 else 18)


def test_channels_of_one_interface_are_not_mixed() -> None:
    packets = [(0, Segment().packet()), (1, Segment().next().packet())]
    assert coalesced(packets) == coalesce(packets, True)
    assert len(coalesced(packets)) == 2


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_udp_is_merged_only_where_the_kernel_takes_it(protocol: str) -> None:
    packets = [(0, Segment(protocol=protocol).packet()), (0, Segment(protocol=protocol).next().packet())]
    assert coalesced(packets, merges_udp=False) == coalesce(packets, False)


def test_a_buffer_is_queued_again_where_the_tail_is() -> None:
    receiver, tally = Receiver([data_frame(0, b"Ebytes")]), new_tally()
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 1, tally) == 1
    tail = receiver.layout.slot_count
    at = receiver.layout.fifo_offset + tail * DESCRIPTOR_BYTES
    assert DESCRIPTOR.unpack_from(receiver.memory, at) == (receiver.layout.slot_address(0), 2048, FLAG_EOT)
    assert (receiver.slots[tail], receiver.sizes[tail]) == (0, 2048)


def test_what_the_kernel_refuses_is_counted_each_packet_of_a_super_packet() -> None:
    first = Segment(payload=pattern(100))
    receiver = Receiver([data_frame(3, first.packet()), data_frame(3, first.next().packet())])
    with Kernel() as kernel:
        interface = kernel.interface
    tally = new_tally()
    assert receiver.pump((interface,) * 8, 2, tally) == 2
    assert tallied(tally)[3] == (0, 0, 2)


def test_an_interface_that_is_none_of_the_pumps_is_for_python() -> None:
    receiver = Receiver([data_frame(0, b"Ebytes")])
    assert receiver.pump((QueueDevice(),) * 8, 1, new_tally()) == 0


@pytest.mark.parametrize(
    ("slot", "size", "claim"), [(30_000, 2048, None), (0, 2049, 2049), (0, 0xFFFF, 0xFFFF), (0, 4, None)]
)
def test_what_python_remembers_wrongly_is_not_followed(slot: int, size: int, claim: int | None) -> None:
    receiver = Receiver([data_frame(0, b"Ebytes")], [claim])
    receiver.slots[0], receiver.sizes[0] = slot, size
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 1, new_tally()) == 0


# -- The modem takes: take_frames --


class Taker:
    """The TX pipe of a host that has queued frames, and the modem's side of it."""

    def __init__(self, frames: list[bytes], descriptors: Sequence[tuple[int, int] | None] = ()) -> None:
        layout = LinkLayout(slot_count=len(frames) + 1)
        self.layout, self.memory = layout.tx, layout.allocate()
        owner = PipeOwner(self.memory, self.layout)
        owner.open()
        for index, frame in enumerate(frames):
            owner.slot(index)[: len(frame)] = frame
            owner.submit(index, len(frame))
        for index, descriptor in enumerate(descriptors[: len(frames)]):
            if descriptor is not None:
                at = self.layout.fifo_offset + index * DESCRIPTOR_BYTES
                DESCRIPTOR.pack_into(self.memory, at, *descriptor, FLAG_EOT)
        self.network = PacketDataNetwork(range(CHANNEL_COUNT - 1))
        self.outbox: list[Action] = []
        self.uplink = Uplink(PipePeer(self.memory, self.layout), self.network, self.outbox)
        self.uplink.host_open[:] = [True, True, True, False, True, True, True, True]
        bearer = self.network.bearers[4]
        assert bearer is not None
        bearer.deactivate(4)
        self.queued(0)

    def queued(self, count: int) -> None:
        at = self.layout.tail_offset
        self.memory[at : at + 4].cast("I")[0] = GENERATION << 16 | count * DESCRIPTOR_BYTES

    def pump(
        self,
        interface: Any,
        count: int,
        tally: "array[int]",
        generation: int = GENERATION,
        max_packet: int = MAX_PACKET_BYTES,
    ) -> int:
        bearers = bearers_of(self.network, self.uplink.host_open)
        place = place_of(self.layout)
        done: int = interface.take_frames(
            self.memory, place, 0, count, generation, max_packet, bearers, tally
        )
        return done


def bearers_of(network: PacketDataNetwork, host_open: list[bool]) -> bytes:
    """The bearers as the pump wants them."""
    rows = []
    for bearer, is_open in zip(network.bearers, host_open, strict=True):
        if bearer is None:
            rows.append(bytes(BEARER.size))
        else:
            rows.append(
                BEARER.pack(bearer.prefix6_key, bearer.address4_key, bearer.limit4, bearer.limit6, is_open)
            )
    return b"".join(rows)


UPLINK_PACKETS = st.one_of(
    st.builds(
        lambda channel, version, length, extra: uplink_packet(channel, version, length) + extra,
        *(
            st.integers(0, 7),
            st.sampled_from([4, 6]),
            st.sampled_from([0, 1, 100, 1480, 1481, 1600]),
            st.just(b""),
        ),
    ),
    st.binary(min_size=1, max_size=60),
)


def uplink_packet(channel: int, version: int, length: int) -> bytes:
    """Of a bearer's host, or nearly so; behind the header anything."""
    if version == 4:
        return b"\x45" + bytes(11) + bytes((10, 64, channel, 2)) + bytes(4) + bytes(length)
    header = bytes(6) + b"\x20\x01\x0d\xb8\x00\x64\x00" + bytes((channel,)) + bytes(24)
    return b"\x60\0\0\0\0\0" + bytes((17 if length else 58,)) + b"\x40" + header[6:] + bytes(length)


UPLINK_FRAMES = st.one_of(
    FRAMES,
    st.lists(
        st.one_of(
            st.builds(
                lambda channel, version: data_frame(channel, uplink_packet(channel, version, 100), 4),
                *(st.integers(0, 7), st.sampled_from([4, 6])),
            ),
            st.builds(
                lambda channel, packet: data_frame(channel, packet, 4), st.integers(0, 7), UPLINK_PACKETS
            ),
        ),
        max_size=8,
    ),
)
# Near the bounds of two slots or fewer, whose first lies where LinkLayout has it; anywhere.
BUFFERS_AT: Final = LinkLayout().tx.buffers_offset
DESCRIPTORS = st.one_of(
    st.none(),
    st.none(),
    st.tuples(
        st.one_of(st.integers(BUFFERS_AT - 9, BUFFERS_AT + 20_000), st.integers(0, 0xFFFF_FFFF)),
        st.one_of(st.integers(0, 3000), st.integers(0, 0xFFFF)),
    ),
)


def is_for_python(frame: bytes) -> bool:
    """Whether a frame has IPv6 that Python passes on after a second look: ICMPv6, or a link-local source."""
    packet = frame[HEADER_BYTES:]
    return packet[0] >> 4 == 6 and (packet[6] == 58 or packet[8] == 0xFE)


@settings(max_examples=200, deadline=None)
@given(UPLINK_FRAMES, st.lists(DESCRIPTORS, max_size=8))
def test_the_modem_takes_as_in_python(frames: list[bytes], descriptors: list[tuple[int, int] | None]) -> None:
    take_as_in_python(frames, descriptors)


def take_as_in_python(frames: list[bytes], descriptors: list[tuple[int, int] | None]) -> None:
    by_pump, by_python = Taker(frames, descriptors), Taker(frames, descriptors)
    tally, before = new_tally(), bytes(by_pump.memory)
    with Kernel() as kernel:
        done = by_pump.pump(kernel.interface, len(frames), tally)
        written = list(kernel.written())
    assert by_pump.memory == before
    device, bearers = QueueDevice(), by_python.network.bearers
    by_python.queued(done)
    assert by_python.uplink.drain_to(device) == []
    counters = [bearer.uplink if bearer else Counters() for bearer in bearers]
    assert tallied(tally) == [counted(each) for each in counters]
    assert len(device.delivered) == done
    assert sum(each.drops.total() for each in (*counters, by_python.uplink.strays)) == 0
    # The source of a packet says its channel here: packets of two bearers are never of one flow.
    assert written == coalesce([(0, packet) for packet in device.delivered], True)
    if done < len(frames):
        by_python.queued(done + 1)
        by_python.uplink.drain_to(device)
        assert len(device.delivered) == done or is_for_python(bytes(by_python.uplink._frame))


def test_a_router_solicitation_is_for_python() -> None:
    solicitation = bytes(IPv6(src="2001:db8:64::2", dst="ff02::2", hlim=255) / ICMPv6ND_RS())
    taker = Taker([data_frame(0, solicitation)])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1, new_tally()) == 0
    taker.queued(1)
    assert len(taker.uplink.drain_to(QueueDevice())) == 1


@pytest.mark.parametrize("odd", ODD_FRAMES, ids=repr)
def test_the_modem_takes_each_odd_frame_as_in_python(odd: bytes) -> None:
    plain = data_frame(0, uplink_packet(0, 4, 100))
    take_as_in_python([plain, odd, plain], [])


def test_the_modem_takes_a_length_that_comes_from_the_transfer() -> None:
    frame = data_frame(0, uplink_packet(0, 4, 100), length=0xFFFF)
    with Kernel() as kernel:
        assert Taker([frame]).pump(kernel.interface, 1, new_tally()) == 1


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_packet_that_is_longer_than_the_modem_takes_is_for_python(beyond: int) -> None:
    taker = Taker([data_frame(0, uplink_packet(0, 4, 100))])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1, new_tally(), max_packet=120 - beyond) == 1 - beyond


@pytest.mark.parametrize("channel", range(8))
@pytest.mark.parametrize("version", [4, 6])
def test_a_channel_that_is_closed_or_has_no_bearer_is_for_python(channel: int, version: int) -> None:
    taker = Taker([data_frame(channel, uplink_packet(channel, version, 100))])
    with Kernel() as kernel:
        is_open = channel not in (3, 7) and (channel, version) != (4, 4)
        assert taker.pump(kernel.interface, 1, new_tally()) == is_open


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_buffer_ends_where_buffers_end(beyond: int) -> None:
    frame = data_frame(0, uplink_packet(0, 4, 100))
    layout = LinkLayout(slot_count=2).tx
    address = layout.end - len(frame) + beyond
    taker = Taker([frame], [(address, len(frame))])
    taker.memory[address : address + len(frame)] = frame
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1, new_tally()) == 1 - beyond


def test_a_buffer_that_is_too_short_for_a_header_is_not_taken_for_the_one_before() -> None:
    frame = data_frame(0, uplink_packet(0, 4, 100))
    taker = Taker([frame, frame], [None, (LinkLayout(slot_count=3).tx.slot_address(0), 7)])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 2, new_tally()) == 1


def test_frames_of_a_pipe_that_was_reset_are_not_taken() -> None:
    taker = Taker([data_frame(0, uplink_packet(0, 4, 100))])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1, new_tally(), generation=GENERATION + 1) == 0
        assert list(kernel.written()) == []
        assert taker.pump(kernel.interface, 1, new_tally()) == 1


# -- The host transmits: fill_slots, submit --


class Sender:
    """The TX pipe of a host that transmits, its ring begun somewhere."""

    def __init__(self, first: int, slot_count: int = 8, slot_bytes: int = 2052) -> None:
        layout = LinkLayout(slot_count=slot_count, transmit_bytes=slot_bytes)
        self.layout, self.memory = layout.tx, layout.allocate()
        self.owner = PipeOwner(self.memory, self.layout)
        self.owner.open()
        self.ring = TransmitRing(self.owner)
        self.peer = PipePeer(self.memory, self.layout)
        self.first = first
        for _ in range(first):
            self.ring.fill_from(Channel(0, device=QueueDevice([b"before"])), 1)
            self.send()

    def send(self) -> list[bytes]:
        """Submit what is pending, and have the modem take it."""
        self.ring.submit_pending()
        self.owner.publish()
        frames = []
        for _ in range(self.peer.available()):
            frames.append(bytes(self.peer.take()))
            self.peer.complete()
        self.peer.publish()
        self.ring.reap()
        return frames

    def send_by_pump(self, count: int, frame_bytes: "array[int]") -> list[bytes]:
        """The same with the pump's `submit`; the ring knows nothing of it."""
        place, entries = place_of(self.layout), self.layout.entry_count
        slots, sizes = array("H", bytes(2 * entries)), array("H", bytes(2 * entries))
        pump.submit(self.memory, place, self.first, self.first, count, frame_bytes, slots, sizes)
        queued = [(self.first + i) % self.layout.slot_count for i in range(count)]
        assert list(slots[self.first : self.first + count]) == queued
        assert list(sizes[self.first : self.first + count]) == [frame_bytes[slot] for slot in queued]
        at = self.layout.tail_offset
        self.memory[at : at + 4].cast("I")[0] = GENERATION << 16 | (self.first + count) * DESCRIPTOR_BYTES
        frames = []
        for _ in range(self.peer.available()):
            frames.append(bytes(self.peer.take()))
            self.peer.complete()
        return frames

    def pump(self, interface: Any, limit: int, channel: int, mtu: int) -> tuple[int, int, int, "array[int]"]:
        slots = self.layout.slot_count
        packet_bytes, frame_bytes = array("I", bytes(4 * slots)), array("I", bytes(4 * slots))
        filled, byte_count, too_long = interface.fill_slots(
            self.memory, place_of(self.layout), self.first, limit, channel, mtu, packet_bytes, frame_bytes
        )
        return filled, byte_count, too_long, frame_bytes


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(pattern, st.one_of(st.integers(1, 100), st.integers(1, 2100)), st.integers(0, 255)),
        max_size=10,
    ),
    *(st.integers(0, 7), st.integers(0, 8), st.integers(0, 7), st.sampled_from([1, 1500, 2040, 4000])),
)
def test_the_host_transmits_as_in_python(
    packets: list[bytes], first: int, limit: int, channel: int, mtu: int
) -> None:
    by_pump, by_python = Sender(first), Sender(first)
    with Kernel() as kernel:
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        filled, byte_count, too_long, frame_bytes = by_pump.pump(kernel.interface, limit, channel, mtu)
        left = [bytes(packet) for packet in kernel.read_all()]
    source = Channel(channel, device=QueueDevice(packets), mtu=mtu)
    assert by_python.ring.fill_from(source, limit) == filled
    counters = source.transmitted
    assert (counters.packet_count, counters.byte_count, counters.drops.total()) == (
        filled,
        byte_count,
        too_long,
    )
    if not too_long:  # else Python has written to a slot what it then gave up
        assert by_pump.memory == by_python.memory
    assert by_pump.send_by_pump(filled, frame_bytes) == by_python.send()
    assert isinstance(source.device, QueueDevice)
    assert left == list(source.device.outgoing)


@settings(deadline=None)
@given(super_packets(), st.integers(0, 7), st.sampled_from([100, 1500]))
def test_a_super_packet_is_transmitted_as_its_segments_would_be(
    big: tuple[Segment, int], first: int, mtu: int
) -> None:
    whole, segment_bytes = big
    vnet_header, packet = whole.super_packet(segment_bytes)
    device = QueueDevice(segment(vnet_header, packet))
    with Kernel() as kernel:
        kernel.give(vnet_header, packet)
        while device.outgoing:  # the same budget, several times
            by_pump, by_python = Sender(first), Sender(first)
            filled, byte_count, too_long, frame_bytes = by_pump.pump(kernel.interface, 5, 2, mtu)
            source = Channel(2, device=device, mtu=mtu)
            by_python.ring.fill_from(source, 5)
            counters = source.transmitted
            assert (filled, byte_count) == (counters.packet_count, counters.byte_count)
            assert too_long == counters.drops.total()
            assert by_pump.send_by_pump(filled, frame_bytes) == by_python.send()
        assert not kernel.interface.has_packet


def test_packets_that_are_malformed_cost_budget() -> None:
    sender = Sender(0)
    with Kernel() as kernel:
        for _ in range(4):
            kernel.give_message(bytes(3))
        kernel.give(NO_OFFLOAD, b"packet")
        assert sender.pump(kernel.interface, 4, 0, 1500)[:3] == (0, 0, 0)
        assert kernel.interface.take_malformed() == 4
        assert sender.pump(kernel.interface, 4, 0, 1500)[:3] == (1, 6, 0)


@pytest.mark.parametrize("slot_bytes", [8, 11, 12, 13])
def test_a_slot_has_room_for_header_packet_and_padding_or_for_nothing(slot_bytes: int) -> None:
    sender = Sender(0, slot_bytes=slot_bytes)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, b"E")
        fits = slot_bytes == 13
        assert sender.pump(kernel.interface, 8, 0, 1500)[:3] == (fits, fits, not fits)


# -- The modem fills: fill_buffers --


class Filler:
    """The RX pipe of a host that has queued buffers, and the modem's side of it."""

    def __init__(self, slot_count: int, descriptors: Sequence[tuple[int, int] | None] = ()) -> None:
        layout = LinkLayout(slot_count=slot_count)
        self.layout, self.memory = layout.rx, layout.allocate()
        owner = PipeOwner(self.memory, self.layout)
        owner.open()
        for index in range(slot_count):
            owner.submit(index, self.layout.slot_bytes)
        owner.publish()
        for index, descriptor in enumerate(descriptors[:slot_count]):
            if descriptor is not None:
                address, size = descriptor
                at = self.layout.fifo_offset + index * DESCRIPTOR_BYTES
                DESCRIPTOR.pack_into(self.memory, at, address, size, 0)
        self.network = PacketDataNetwork(range(CHANNEL_COUNT - 1))
        self.host_open = [True, True, True, False, True, True, True, True]
        bearer = self.network.bearers[4]
        assert bearer is not None
        bearer.deactivate(4)
        self.peer = PipePeer(self.memory, self.layout)
        self.peer.available()
        self.downlink = Downlink(self.peer, self.network, [])

    def pump(self, interface: Any, budget: int, tally: "array[int]", generation: int = GENERATION) -> int:
        bearers, place = bearers_of(self.network, self.host_open), place_of(self.layout)
        count = self.layout.slot_count
        done: int = interface.fill_buffers(self.memory, place, 0, count, generation, bearers, budget, tally)
        return done


def downlink_packet(channel: int, version: int, length: int) -> bytes:
    """To a bearer's host, or nearly so."""
    if version == 4:
        return b"\x45" + bytes(15) + bytes((10, 64, channel, 2)) + pattern(length)
    return (
        b"\x60" + bytes(23) + b"\x20\x01\x0d\xb8\x00\x64\x00" + bytes((channel,)) + bytes(8) + pattern(length)
    )


DOWNLINK_PACKETS = st.one_of(
    st.builds(
        downlink_packet,
        *(st.integers(0, 8), st.sampled_from([4, 6]), st.sampled_from([0, 1, 99, 1460, 1461, 1480, 1481])),
    ),
    st.binary(min_size=1, max_size=60),
)
RX_BUFFERS_AT: Final = LinkLayout(slot_count=6).rx.buffers_offset
RX_DESCRIPTORS = st.one_of(
    st.none(),
    st.none(),
    st.tuples(
        st.one_of(st.integers(RX_BUFFERS_AT - 9, RX_BUFFERS_AT + 7 * 2048), st.integers(0, 0xFFFF_FFFF)),
        st.one_of(st.integers(0, 2048), st.integers(0, 0xFFFF)),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(DOWNLINK_PACKETS, max_size=8), st.lists(RX_DESCRIPTORS, max_size=6), st.integers(0, 8))
def test_the_modem_fills_as_in_python(
    packets: list[bytes], descriptors: list[tuple[int, int] | None], budget: int
) -> None:
    by_pump, by_python = Filler(6, descriptors), Filler(6, descriptors)
    tally = new_tally()
    with Kernel() as kernel:
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        done = by_pump.pump(kernel.interface, budget, tally)
        left = kernel.read_all()
    assert left == packets[done:]
    at = by_python.layout.position_offset
    assert by_python.downlink.fill_from(QueueDevice(packets[:done]), by_python.host_open, done) == (
        done,
        done,
    )
    by_python.memory[at : at + 4] = by_pump.memory[at : at + 4]
    assert by_pump.memory == by_python.memory
    counters = [bearer.downlink if bearer else Counters() for bearer in by_python.network.bearers]
    assert tallied(tally) == [counted(each) for each in counters]
    if done < min(len(packets), budget, 6):
        word = by_python.memory[at : at + 4].cast("I")
        word[0] = GENERATION << 16 | done * DESCRIPTOR_BYTES
        # Of this packet and this buffer, Python drops the one or gives back the other.
        _, sent = by_python.downlink.fill_from(QueueDevice(packets[done : done + 1]), by_python.host_open, 1)
        strays = by_python.downlink.strays.drops
        assert not sent or strays[DropReason.BAD_DESCRIPTOR]


@pytest.mark.parametrize("missing", [0, 1, HEADER_BYTES])
def test_a_buffer_is_filled_if_header_and_packet_fit(missing: int) -> None:
    packet = downlink_packet(0, 4, 100)
    address = LinkLayout(slot_count=2).rx.slot_address(1)
    filler = Filler(2, [(address, HEADER_BYTES + len(packet) - missing)])
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert filler.pump(kernel.interface, 1, new_tally()) == (not missing)


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_buffer_to_fill_ends_where_buffers_end(beyond: int) -> None:
    packet = downlink_packet(0, 4, 100)
    size = HEADER_BYTES + len(packet)
    filler = Filler(2, [(LinkLayout(slot_count=2).rx.end - size + beyond, size)])
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert filler.pump(kernel.interface, 1, new_tally()) == 1 - beyond


def test_buffers_of_a_pipe_that_was_reset_are_not_filled() -> None:
    filler = Filler(2)
    before = bytes(filler.memory)
    packet = downlink_packet(0, 4, 100)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert filler.pump(kernel.interface, 2, new_tally(), generation=GENERATION + 1) == 0
        assert filler.memory == before
        assert kernel.interface.has_packet
        assert filler.pump(kernel.interface, 2, new_tally()) == 1


def test_a_packet_during_which_the_pipe_is_reset_is_lost_in_flight() -> None:
    filler, tally = Filler(2), new_tally()
    packet = downlink_packet(0, 4, 100)
    # The word with the generation lies where the packet comes to lie: it changes while the pump is at it.
    tail_word = filler.layout.slot_address(0) + HEADER_BYTES + 40
    filler.memory[tail_word : tail_word + 4].cast("I")[0] = GENERATION << 16
    before = bytes(filler.memory[: filler.layout.buffers_offset])
    place = (*place_of(filler.layout)[:-1], tail_word)
    bearers = bearers_of(filler.network, filler.host_open)
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, packet)
        assert kernel.interface.fill_buffers(filler.memory, place, 0, 2, GENERATION, bearers, 2, tally) == 0
        assert not kernel.interface.has_packet
    assert tallied(tally)[0] == (0, 0, 1)
    assert filler.memory[: filler.layout.buffers_offset] == before


def test_malformed_packets_of_the_network_cost_budget() -> None:
    filler = Filler(2)
    with Kernel() as kernel:
        kernel.give_message(bytes(3))
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 100))
        assert filler.pump(kernel.interface, 1, new_tally()) == 0
        assert filler.pump(kernel.interface, 1, new_tally()) == 1


# -- What cannot be --

WORDS = st.one_of(st.integers(0, 5000), st.sampled_from([0x7FFF_FFFF, 0x8000_0001, 0xFFFF_FFF8, 0xFFFF_FFFF]))


def calls(
    memory: memoryview, place: tuple[int, ...], interface: Any, bearers: bytes = bytes(BEARER.size * 8)
) -> list[Callable[..., object]]:
    """The five functions, each with three numbers that are open; the arrays are right for a LinkLayout."""
    slots, entries = array("I", bytes(4 * 32)), array("H", bytes(2 * 4095))
    tally, devices = new_tally(), (interface,) * 8
    return [
        lambda a, b, c: interface.fill_slots(memory, place, a, b, c, 1500, slots, slots),
        lambda a, b, c: interface.take_frames(memory, place, a, b, 1, c, bearers, tally),
        lambda a, b, c: interface.fill_buffers(memory, place, a, b, 1, bearers, c, tally),
        lambda a, b, c: pump.submit(memory, place, a, b, c, slots, entries, entries),
        lambda a, b, c: pump.drain_slots(devices, memory, place, a, b, c, entries, entries, tally),
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), WORDS), max_size=2),
    st.tuples(WORDS, WORDS, WORDS),
    st.integers(0, 4),
)
def test_numbers_that_cannot_be_are_an_error_or_do_nothing_out_of_place(
    changes: list[tuple[int, int]], numbers: tuple[int, int, int], function: int
) -> None:
    layout = LinkLayout()
    memory, place = layout.allocate(), list(place_of(layout.tx))
    for index, value in changes:
        place[index] = value
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 1000))
        with suppress(ValueError):
            calls(memory, tuple(place), kernel.interface)[function](*numbers)


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        *((0, (32, 0, 0)), (0, (0, 33, 0)), (0, (0, 0, 8))),
        *((1, (4095, 0, 0)), (1, (0, 4095, 0)), (2, (4095, 0, 0)), (2, (0, 4095, 0))),
        *((3, (4095, 0, 0)), (3, (0, 32, 0)), (3, (0, 0, 33))),
        *((4, (4095, 0, 0)), (4, (0, 4095, 0)), (4, (0, 0, 33))),
    ],
)
def test_numbers_beyond_the_pipe_are_an_error(function: int, numbers: tuple[int, int, int]) -> None:
    layout = LinkLayout()
    with Kernel() as kernel:
        call = calls(layout.allocate(), place_of(layout.tx), kernel.interface)[function]
        with pytest.raises(ValueError, match="fit the pipe"):
            call(*numbers)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("value", [0xFFFF_FFFF, 0x8000_0001, 0x2000_0000])
def test_a_pipe_that_does_not_lie_in_its_memory_is_an_error(index: int, value: int) -> None:
    layout = LinkLayout()
    place = list(place_of(layout.tx))
    place[index] = value
    with Kernel() as kernel:
        call = calls(layout.allocate(), tuple(place), kernel.interface)[0]
        with pytest.raises(ValueError, match="lie in its memory"):
            call(0, 0, 0)


@pytest.mark.parametrize("function", range(5))
def test_arrays_that_are_too_short_are_an_error(function: int) -> None:
    layout = LinkLayout(slot_count=4096)  # the arrays have 32 and 4095 elements
    with Kernel() as kernel:
        call = calls(layout.allocate(), place_of(layout.tx), kernel.interface, bearers=bytes(191))[function]
        with pytest.raises(ValueError, match="fit the pipe"):
            call(0, 0, 0)


@pytest.mark.parametrize("function", range(5))
def test_arguments_of_a_wrong_kind_are_an_error(function: int) -> None:
    with Kernel() as kernel, pytest.raises(TypeError):
        calls(bytes(10), (), kernel.interface)[function](0, 0, 0)  # type: ignore[arg-type]


def test_memory_that_changes_meanwhile_is_copied_before_it_is_looked_at() -> None:
    first = Segment(payload=pattern(1000))
    layout = LinkLayout()
    memory = layout.allocate()
    owner = PipeOwner(memory, layout.tx)
    owner.open()
    frame = data_frame(0, first.packet())
    is_over = threading.Event()

    def scribble() -> None:
        numbers = random.Random(1)
        while not is_over.is_set():
            for slot in range(8):
                at = layout.tx.slot_address(slot)
                memory[at : at + len(frame)] = frame
                memory[at + numbers.randrange(60)] = numbers.randrange(256)
                fifo = layout.tx.fifo_offset + slot * DESCRIPTOR_BYTES
                DESCRIPTOR.pack_into(memory, fifo, at + numbers.randrange(9), numbers.randrange(2100), 0)

    scribbler = threading.Thread(target=scribble)
    scribbler.start()
    network = PacketDataNetwork([0])
    bearers, tally = bearers_of(network, [True] * 8), new_tally()
    try:
        with Kernel() as kernel:
            for _ in range(2000):
                done = kernel.interface.take_frames(
                    memory, place_of(layout.tx), 0, 8, 1, 2040, bearers, tally
                )
                assert 0 <= done <= 8
                for vnet_header, packet in kernel.written():
                    assert segment(vnet_header, packet)  # whatever it is, it holds together
                    assert packet[12:16] == bytes((10, 64, 0, 2)) or packet[0] >> 4 == 6
    finally:
        is_over.set()
        scribbler.join()
