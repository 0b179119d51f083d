"""Turns: a native call goes on while the other side is awake, and both use the ring again and again.

Who is on the other side here is a thread, or a word that was moved beforehand: the modem that is done before
it was asked. With such a word it is certain what one call does; with a thread it is not, for nobody may hold
up a processor, and so those tests try until a call was lucky. What came of it must be right each time.
"""

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

import pytest

from bamdmux.actions import Pipe, RingDoorbell
from bamdmux.bam.memory import DESCRIPTOR_BYTES, ENTRY_COUNT
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.bam.wakefulness import AWAKE
from bamdmux.counters import Counters
from bamdmux.host.channels import Channel
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.uplink import Uplink
from bamdmux.wire.dmux import CHANNEL_COUNT, HEADER_BYTES, Command, Frame, encode_frame
from bamdmux.wire.offload import NO_OFFLOAD, segment
from tests.pair import downlink, uplink
from tests.pump.frames import data_frame
from tests.pump.kernel import Kernel, pump
from tests.pump.linked import Given
from tests.pump.rings import GENERATION, Filler, KernelDevice, Receiver, Sender, Taker, put_word
from tests.pump.scribbler import SLOTS
from tests.pump.test_scribbled import rounds
from tests.pump.turns import (
    AT_ONCE,
    ATTEMPTS,
    CHANNELS_OPEN,
    ENOUGH,
    KINDS,
    NOT_AWAKE,
    News,
    Reception,
    Transmission,
    Word,
    at_work,
    awake,
    frames_in_flight,
    huge,
    outside,
    packet_in,
    packets_of,
    passed,
    put_changed,
    singles,
    slots_in_flight,
    sum_of,
    supers,
    taken_by,
    word,
)
from tests.super_packets import Segment, pattern

# -- The host transmits


@KINDS
@pytest.mark.parametrize("first", [0, 5])
def test_the_host_sends_more_than_the_ring_holds(kind: Callable[[bool], list[Given]], first: int) -> None:
    sender = Sender(first)
    sender.owner.pump_in_turns(awake())
    news, frames = News(sender.memory, sender.layout.tail_offset), []

    def modem() -> None:
        news.wait()
        for _ in range(sender.peer.available()):
            frames.append(bytes(sender.peer.take()))
            assert sender.peer.complete()
        sender.peer.publish()

    given_packets, expected = kind(False), []
    with Kernel() as kernel:
        host = Transmission(sender.ring, sender.owner, kernel)
        with at_work(modem):
            for _ in range(ATTEMPTS):
                for each in given_packets:
                    kernel.give(*each)
                expected += packets_of(given_packets)
                for _ in rounds():
                    host.call()
                    sender.ring.reap()
                    if host.channel.transmitted.packet_count == len(expected):
                        break
                if host.most > SLOTS:
                    break
    assert host.most > SLOTS
    assert list(map(packet_in, frames)) == expected
    assert passed(host.channel.transmitted) == sum_of(expected)
    sender.ring.reap()
    assert (sender.ring.free, sender.owner.in_flight, sender.owner.bad_position_count) == (SLOTS, 0, 0)


@KINDS
def test_both_take_turns_upwards(kind: Callable[[bool], list[Given]]) -> None:
    """The modem with the pump, too: on either side a call goes on."""
    sender, outbox = Sender(), []
    network = PacketDataNetwork(range(CHANNEL_COUNT))
    modem = Uplink(sender.peer, network, outbox)
    modem.host_open[:] = CHANNELS_OPEN
    sender.owner.pump_in_turns(awake())
    sender.peer.pump_in_turns(awake())
    news, taken = News(sender.memory, sender.layout.tail_offset), [0]
    given_packets, expected, delivered = kind(False), [], []
    with Kernel() as kernel, Kernel() as world:
        device = KernelDevice(world)
        host = Transmission(sender.ring, sender.owner, kernel)

        def work() -> None:
            news.wait()
            before = modem.frame_count
            assert modem.drain_to(device) == []
            taken.append(modem.frame_count - before)
            delivered.extend(world.delivered())

        with at_work(work):
            for _ in range(ATTEMPTS):
                for each in given_packets:
                    kernel.give(*each)
                expected += packets_of(given_packets)
                for _ in rounds():
                    host.call()
                    sender.ring.reap()
                    if host.channel.transmitted.packet_count == len(expected):
                        break
                if host.most > SLOTS and max(taken) > SLOTS:
                    break
    assert host.most > SLOTS
    assert max(taken) > SLOTS
    assert delivered == expected
    bearer = network.bearers[0]
    assert bearer is not None
    assert passed(host.channel.transmitted) == passed(bearer.uplink) == sum_of(expected)
    assert modem.frame_count == len(expected)
    assert set(outbox) == {RingDoorbell(Pipe.TX)}
    sender.ring.reap()
    assert (sender.ring.free, sender.owner.in_flight) == (SLOTS, 0)


# What a modem has said of 20 packets in a ring of 8 slots; how many are sent, and how many slots come back.
POSITIONS: Final = [
    *((8, 0, 16, 8), (7, 0, 15, 7), (4, 0, 12, 4)),
    *((3, 0, 8, 3), (1, 0, 8, 1), (0, 0, 8, 0)),  # fewer than half of them are not filled at once
    *((9, 0, 8, 0), (ENTRY_COUNT - 1, 0, 8, 0)),  # ahead of what is in flight, or behind it
    *((ENTRY_COUNT, 0, 8, 0), (8191, 0, 8, 0), (8, 4, 8, 0), (8, 1, 8, 0)),  # no entries
    *((8, 1 << 16, 8, 0), (8, 0xFFFF << 16, 8, 0)),  # other generations
]


@pytest.mark.parametrize(("entry", "change", "sent", "back"), POSITIONS)
def test_the_host_goes_on_with_what_can_have_come_back(entry: int, change: int, sent: int, back: int) -> None:
    sender = Sender()
    sender.owner.pump_in_turns(awake())
    put_word(sender.memory, sender.layout.position_offset, 0)
    position = sender.memory[sender.layout.position_offset :][:4].cast("I")
    position[0] = (GENERATION << 16 | entry * DESCRIPTOR_BYTES) ^ change
    packets = [uplink(number) for number in range(20)]
    before = bytes(sender.memory[sender.layout.end :])
    with Kernel() as kernel:
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        host = Transmission(sender.ring, sender.owner, kernel)
        assert host.call(20) == (sent, back)
        assert kernel.read_all() == packets[sent:]
    assert bytes(sender.memory[sender.layout.end :]) == before
    assert passed(host.channel.transmitted) == sum_of(packets[:sent])
    # Those that the modem has yet to look at, and no other, are there, oldest first.
    assert [packet_in(frame) for frame in frames_in_flight(sender.owner)] == packets[back:sent]


@pytest.mark.parametrize(("second", "sent", "back"), [(11, 19, 11), (12, 20, 12), (13, 12, 4), (20, 12, 4)])
def test_what_has_come_back_does_not_come_back_again(second: int, sent: int, back: int) -> None:
    """The position lies where packets come to lie, so each turn has its own: 4, and then this."""
    sender = Sender()
    position_word = sender.layout.slot_address(0) + HEADER_BYTES + 24
    place = *sender.layout.place[:-1], position_word
    sender.owner.pump = pump.Pipe(sender.memory, place, sender.owner._slots_of, sender.owner._sizes_of)
    sender.owner.pump_in_turns(awake())
    packets = [uplink(number) for number in range(20)]
    for index, entry in ((0, 4), (8, second)):  # those that come into the first slot
        word_there = GENERATION << 16 | entry * DESCRIPTOR_BYTES
        packets[index] = packets[index][:24] + word_there.to_bytes(4, "little")
    with Kernel() as kernel:
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        host = Transmission(sender.ring, sender.owner, kernel)
        assert host.call(20) == (sent, back)
    assert [packet_in(frame) for frame in frames_in_flight(sender.owner)] == packets[back:sent]


@pytest.mark.parametrize("budget", [0, 1, 8, 9, 12])
def test_the_host_sends_no_more_than_its_budget(budget: int) -> None:
    sender = Sender()
    sender.owner.pump_in_turns(awake())
    put_word(sender.memory, sender.layout.position_offset, 8)
    with Kernel() as kernel:
        for number in range(20):
            kernel.give(NO_OFFLOAD, uplink(number))
        assert Transmission(sender.ring, sender.owner, kernel).call(budget)[0] == budget


def test_a_super_packet_waits_for_as_many_slots_as_it_has_segments_and_no_more() -> None:
    sender = Sender()
    sender.owner.pump_in_turns(awake())
    big = Segment(payload=pattern(600)).super_packet(100)
    with Kernel() as kernel:
        for number in range(6):
            kernel.give(NO_OFFLOAD, uplink(number))
        kernel.give(*big)
        host = Transmission(sender.ring, sender.owner, kernel)
        put_word(sender.memory, sender.layout.position_offset, 3)
        assert host.call() == (6, 3)
        assert sender.ring.is_short
        put_word(sender.memory, sender.layout.position_offset, 4)
        assert host.call() == (6, 1)
        assert not sender.ring.is_short
        frames = list(map(packet_in, frames_in_flight(sender.owner)))
    assert frames == [uplink(4), uplink(5), *segment(*big)]


def test_slots_that_come_back_in_vain_are_not_forgotten() -> None:
    """A call that sends nothing may take slots back all the same."""
    sender = Sender()
    sender.owner.pump_in_turns(awake())
    with Kernel() as kernel:
        host = Transmission(sender.ring, sender.owner, kernel)
        for number in range(8):
            kernel.give(NO_OFFLOAD, uplink(number))
        assert host.call() == (8, 0)
        kernel.give(*Segment(payload=pattern(600)).super_packet(100))
        put_word(sender.memory, sender.layout.position_offset, 4)
        assert host.call() == (0, 4)  # of a super-packet that nobody has looked at it may be enough
        assert host.call() == (0, 0)
        assert sender.ring.is_short
        put_word(sender.memory, sender.layout.position_offset, 5)
        assert host.call() == (0, 1)
        assert sender.ring.is_short
        put_word(sender.memory, sender.layout.position_offset, 6)
        assert host.call() == (6, 1)
        assert not sender.ring.is_short


# -- A command in the ring


def test_a_command_in_the_ring_is_never_taken_back_by_the_pump() -> None:
    sender = Sender()
    sender.owner.pump_in_turns(awake())
    ring, opening = sender.ring, Frame(Command.OPEN, 0)
    packets = [uplink(number) for number in range(20)]
    with Kernel() as kernel:
        channel = Channel(0, device=KernelDevice(kernel))
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        ring.queue_command(opening)
        put_word(sender.memory, sender.layout.position_offset, 8)  # it lies: nothing is there yet
        assert ring.fill_from(channel, 20, sends=True) == 7  # behind the command, as many as there are slots
        assert (ring.pending, ring.free, sender.owner.in_flight) == (8, 0, 0)
        assert not ring.has_sent
        assert not ring.has_retired
        put_word(sender.memory, sender.layout.position_offset, 0)
        assert ring.submit_pending() == [opening]
        sender.owner.publish()
        frames = taken_by(sender.peer, 3)
        # It is sent, and done, and the pump still keeps off until somebody has looked.
        kept = ring.fill_from(channel, 20, sends=True), ring.has_sent, ring.has_retired, ring.free
        assert kept == (0, False, False, 0)
        assert ring.reap() == 3
        assert ring._command_count == 0
        assert Transmission(ring, sender.owner, kernel).call(3) == (3, 0)
        frames += taken_by(sender.peer, 8)
        assert ring.reap() == 8
    assert frames[0] == encode_frame(opening)
    assert list(map(packet_in, frames[1:])) == packets[:10]


def test_packets_that_waited_for_power_go_before_those_that_the_pump_sends() -> None:
    sender = Sender()
    sender.owner.pump_in_turns(awake())
    ring, packets = sender.ring, [uplink(number) for number in range(6)]
    with Kernel() as kernel:
        channel = Channel(0, device=KernelDevice(kernel))
        for packet in packets:
            kernel.give(NO_OFFLOAD, packet)
        assert ring.fill_from(channel, 2) == 2
        assert ring.fill_from(channel, 2, sends=True) == 2
        assert (ring.pending, sender.owner.in_flight, ring.has_sent) == (4, 0, False)
        frames = sender.send()
        assert Transmission(ring, sender.owner, kernel).call() == (2, 0)
        frames += taken_by(sender.peer, 2)
    assert list(map(packet_in, frames)) == packets


# -- The modem takes


def test_the_modem_takes_more_than_the_ring_holds() -> None:
    sender, outbox = Sender(pumps=False), []
    network = PacketDataNetwork(range(CHANNEL_COUNT))
    modem = Uplink(sender.peer, network, outbox)
    modem.host_open[:] = CHANNELS_OPEN
    sender.peer.pump_in_turns(awake())
    news, sent = News(sender.memory, sender.layout.position_offset), count()
    slots, queued = deque(range(SLOTS)), deque()

    def host() -> None:
        news.wait()
        done = sender.owner.completed()
        sender.owner.retire(done)
        slots.extend(queued.popleft() for _ in range(done))
        while slots:
            frame = data_frame(0, uplink(next(sent)), 4)
            sender.owner.slot(slots[0])[: len(frame)] = frame
            sender.owner.submit(slots[0], len(frame))
            queued.append(slots.popleft())
        sender.owner.publish()

    frames, most, delivered = News(sender.memory, sender.layout.tail_offset), 0, []
    with Kernel() as world:
        device = KernelDevice(world)
        with at_work(host):
            for _ in rounds():
                frames.wait()
                before, rung = modem.frame_count, len(outbox)
                assert modem.drain_to(device) == []
                taken, packets = modem.frame_count - before, world.delivered()
                assert taken == len(packets)
                assert len(outbox) - rung == (taken > 0)
                delivered += packets
                most = max(most, taken)
                if most > SLOTS and len(delivered) > ENOUGH:
                    break
        modem.drain_to(device)
        delivered += world.delivered()
    assert most > SLOTS
    assert delivered == [uplink(number) for number in range(next(sent))]
    bearer = network.bearers[0]
    assert bearer is not None
    assert passed(bearer.uplink) == sum_of(delivered)
    assert modem.frame_count == len(delivered)
    assert sender.owner.completed() == len(queued) == SLOTS


def test_one_that_has_taken_much_comes_back_though_the_host_never_stops() -> None:
    """The bound of what one call takes is its own: the host's tail may say what it likes."""
    taker = Taker([data_frame(0, uplink(number)) for number in range(1000)])
    taker.peer.pump_in_turns(awake())
    taker.queued(1000)
    with Kernel() as world:
        assert taker.pump(world.interface, 600) == 600  # beyond it after the first turn
        assert len(world.delivered()) == 600


@pytest.mark.parametrize(("looked_at", "taken"), [(31, 31), (32, 100), (60, 100)])
def test_more_is_expected_after_many_frames(looked_at: int, taken: int) -> None:
    """In a large ring half of the slots would be too many to ask for."""
    packets = [uplink(number) for number in range(100)]
    taker, receiver = (end([data_frame(0, packet) for packet in packets]) for end in (Taker, Receiver))
    taker.peer.pump_in_turns(awake())
    receiver.owner.pump_in_turns(awake())
    taker.queued(100)
    receiver.arrived(100)
    with Kernel() as world, Kernel() as kernel:
        assert taker.pump(world.interface, looked_at) == taken
        assert receiver.pump((kernel.interface,) * 8, looked_at) == taken
        assert world.delivered() == kernel.delivered() == packets[:taken]


# What a host says of 16 frames, of which the modem has seen 8; what it takes in one call.
TAILS_OF_TX: Final = [
    *((16, 0, 16), (9, 0, 9), (8, 0, 8)),
    *((7, 0, 16), (4000, 0, 16)),  # behind, or far ahead, where the descriptors are none
    *((ENTRY_COUNT, 0, 8), (8191, 0, 8), (16, 4, 8), (16, 1, 8)),  # no entries
    *((16, 1 << 16, 0), (16, 0xFFFF << 16, 0)),  # it was reset
]


@pytest.mark.parametrize(("entry", "change", "taken"), TAILS_OF_TX)
def test_the_modem_goes_on_with_what_the_host_can_have_queued(entry: int, change: int, taken: int) -> None:
    packets = [uplink(number) for number in range(16)]
    taker = Taker([data_frame(0, packet) for packet in packets])
    taker.peer.pump_in_turns(awake())
    put_changed(taker.memory, taker.layout.tail_offset, entry, change)
    before = outside(taker.memory, taker.layout)
    with Kernel() as world:
        assert taker.pump(world.interface, 8) == taken
        assert world.delivered() == packets[:taken]
    assert outside(taker.memory, taker.layout) == before
    assert taker.tally.numbers[0] == taken


# -- The host receives


def test_the_host_receives_more_than_the_ring_holds() -> None:
    filler = Filler(SLOTS)
    filler.owner.pump_in_turns(awake())
    news, sent = News(filler.memory, filler.layout.tail_offset), count()

    def modem() -> None:
        news.wait()
        for _ in range(filler.peer.available()):
            frame = data_frame(0, downlink(next(sent)))
            filler.peer.take()[: len(frame)] = frame
            assert filler.peer.complete(len(frame))
        filler.peer.publish()

    with Kernel() as kernel:
        host, frames = Reception(filler.owner, kernel), News(filler.memory, filler.layout.position_offset)
        with at_work(modem):
            for _ in rounds():
                frames.wait()
                host.call()
                if host.most > SLOTS and len(host.delivered) > ENOUGH:
                    break
        host.call()
    assert host.most > SLOTS
    assert host.delivered == [downlink(number) for number in range(next(sent))]
    assert passed(host.counters[0]) == sum_of(host.delivered)
    assert filler.owner.bad_position_count == 0
    assert filler.peer.available() == SLOTS


@KINDS
def test_both_take_turns_downwards(kind: Callable[[bool], list[Given]]) -> None:
    filler = Filler(SLOTS)
    filler.owner.pump_in_turns(awake())
    filler.peer.pump_in_turns(awake())
    news, filled = News(filler.memory, filler.layout.tail_offset), [0]
    given_packets, expected = kind(True), []
    with Kernel() as kernel, Kernel() as world:
        device, host = KernelDevice(world), Reception(filler.owner, kernel)

        def modem() -> None:
            if not world.is_waiting():
                news.wait()
            read, sent = filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE)
            assert read == sent
            filled.append(sent)

        with at_work(modem):
            for _ in range(ATTEMPTS):
                for each in given_packets:
                    world.give(*each)
                expected += packets_of(given_packets)
                for _ in rounds():
                    host.call()
                    if len(host.delivered) == len(expected):
                        break
                if host.most > SLOTS and max(filled) > SLOTS:
                    break
    assert host.most > SLOTS
    assert max(filled) > SLOTS
    assert host.delivered == expected
    bearer = filler.network.bearers.bearers[0]
    assert bearer is not None
    assert passed(host.counters[0]) == passed(bearer.downlink) == sum_of(expected)
    assert filler.downlink.frame_count == len(expected)
    assert filler.peer.available() == SLOTS


# What a modem says of 16 frames in a ring of 18 slots, of which the host has seen 9; what it delivers.
POSITIONS_OF_RX: Final = [
    *((16, 0, 16), (12, 0, 12), (9, 0, 9)),
    *((27, 0, 16), (28, 0, 9), (8, 0, 9)),  # ahead by all that is in flight, by more; behind
    *((ENTRY_COUNT, 0, 9), (8191, 0, 9), (16, 4, 9), (16, 1, 9)),  # no entries
    *((16, 1 << 16, 9), (16, 0xFFFF << 16, 9)),  # other generations
]


@pytest.mark.parametrize(("entry", "change", "delivered"), POSITIONS_OF_RX)
def test_the_host_goes_on_with_what_the_modem_can_have_filled(
    entry: int, change: int, delivered: int
) -> None:
    packets = [downlink(number) for number in range(16)]
    receiver = Receiver([data_frame(0, packet) for packet in packets])
    receiver.owner.pump_in_turns(awake())
    put_changed(receiver.memory, receiver.layout.position_offset, entry, change)
    before = outside(receiver.memory, receiver.layout)
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 9) == delivered
        assert kernel.delivered() == packets[:delivered]
    assert outside(receiver.memory, receiver.layout) == before
    assert receiver.tally.numbers[0] == delivered
    assert sorted(slots_in_flight(receiver.owner)) == [*range(18)]


def test_the_host_that_stops_at_a_command_amid_turns_hands_it_on_in_its_place() -> None:
    """What the pump has done is more than what was there at first; the command is for the next call."""
    opening = encode_frame(Frame(Command.OPEN, 3))
    frames = [data_frame(0, downlink(number)) for number in range(16)]
    receiver = Receiver([*frames[:12], opening, *frames[12:]])
    receiver.owner.pump_in_turns(awake())
    receiver.arrived(10)
    counters = [Counters() for _ in range(CHANNEL_COUNT)]
    with Kernel() as kernel:
        devices = [KernelDevice(kernel)] * CHANNEL_COUNT
        arrivals = []
        for position in (10, 17):
            receiver.arrived(position)
            arrivals += list(receiver.ring.drain_to(devices, counters, Counters()))
            receiver.owner.publish()
        assert kernel.delivered() == [packet_in(frame) for frame in frames]
    assert arrivals == [Frame(Command.OPEN, 3)]
    assert receiver.owner.completed() == 0
    assert receiver.owner.in_flight == receiver.layout.slot_count


# -- The modem fills


def test_the_modem_fills_more_than_the_ring_holds() -> None:
    filler = Filler(SLOTS)
    filler.peer.pump_in_turns(awake())
    news, frames = News(filler.memory, filler.layout.position_offset), []

    def host() -> None:
        news.wait()
        for _ in range(filler.owner.completed()):
            slot, written = filler.owner.reap()
            frames.append(bytes(filler.owner.slot(slot)[:written]))
            filler.owner.submit(slot, filler.layout.slot_bytes)
        filler.owner.publish()

    most, expected = 0, []
    with Kernel() as world:
        device = KernelDevice(world)
        with at_work(host):
            for attempt in range(ATTEMPTS):
                given_packets = (singles, supers, huge)[attempt % 3](True)
                for each in given_packets:
                    world.give(*each)
                expected += packets_of(given_packets)
                for _ in rounds():
                    read, sent = filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE)
                    assert read == sent
                    most = max(most, sent)
                    if filler.downlink.frame_count == len(expected):
                        break
                if most > SLOTS and attempt >= 2:
                    break
    assert most > SLOTS
    assert list(map(packet_in, frames)) == expected
    bearer = filler.network.bearers.bearers[0]
    assert bearer is not None
    assert passed(bearer.downlink) == sum_of(expected)
    assert filler.downlink.strays.drops.total() == 0
    assert filler.peer.available() == SLOTS


# What a host says of 16 buffers, of which the modem has seen 8; how many of 20 packets it sends in one call.
TAILS_OF_RX: Final = [
    *((16, 0, 16), (15, 0, 8), (8, 0, 8)),  # fewer than half of them are not filled at once
    *((7, 0, 16), (4000, 0, 16)),  # behind, or far ahead, where the descriptors are none
    *((ENTRY_COUNT, 0, 8), (8191, 0, 8), (16, 4, 8), (16, 1, 8)),  # no entries
    *((16, 1 << 16, 0), (16, 0xFFFF << 16, 0)),  # it was reset
]


@pytest.mark.parametrize(("entry", "change", "sent"), TAILS_OF_RX)
def test_the_modem_goes_on_with_buffers_that_the_host_can_have_queued(
    entry: int, change: int, sent: int
) -> None:
    packets = [downlink(number) for number in range(20)]
    filler = Filler(16)
    filler.peer.pump_in_turns(awake())
    put_changed(filler.memory, filler.layout.tail_offset, entry, change)
    before = outside(filler.memory, filler.layout)
    with Kernel() as world:
        for packet in packets:
            world.give(NO_OFFLOAD, packet)
        assert filler.pump(world.interface, 20, space=8) == sent
        assert world.read_all() == packets[sent:]
    assert outside(filler.memory, filler.layout) == before
    assert filler.tally.numbers[0] == sent
    slots = (bytes(filler.owner.slot(slot)) for slot in range(sent))
    assert list(map(packet_in, slots)) == packets[:sent]


@pytest.mark.parametrize(
    ("word_number", "tail", "sent"),
    [(AWAKE, 8, 5), (AWAKE, 5, 5), (AWAKE, 4, 4), (AWAKE, 3, 3), (None, 8, 3)],
)
def test_a_super_packet_waits_for_its_buffers_and_is_cut_if_they_do_not_come(
    word_number: int | None, tail: int, sent: int
) -> None:
    """The modem has seen three buffers; it is of five segments."""
    filler, big = Filler(SLOTS), Segment(payload=pattern(500), is_to_host=True).super_packet(100)
    filler.peer.pump_in_turns(None if word_number is None else word(word_number))
    put_word(filler.memory, filler.layout.tail_offset, tail)
    with Kernel() as world:
        world.give(*big)
        assert filler.pump(world.interface, 1, space=3) == sent
        slots = [packet_in(bytes(filler.owner.slot(slot))) for slot in range(sent)]
        assert slots + world.read_all() == segment(*big)


# -- The other side is not awake, or not there


LEFT: Final = memoryview(b"left")  # one that was awake, and has left


def sent_in_one_call(awake_word: Word) -> int:
    sender = Sender()
    attend(sender.owner, awake_word)
    put_word(sender.memory, sender.layout.position_offset, 8)
    with Kernel() as kernel:
        for number in range(20):
            kernel.give(NO_OFFLOAD, uplink(number))
        return sender.ring.fill_from(Channel(0, device=KernelDevice(kernel)), 20, sends=True)


def taken_in_one_call(awake_word: Word) -> int:
    taker = Taker([data_frame(0, uplink(number)) for number in range(16)])
    attend(taker.peer, awake_word)
    taker.queued(16)
    with Kernel() as world:
        return taker.pump(world.interface, 8)


def delivered_in_one_call(awake_word: Word) -> int:
    receiver = Receiver([data_frame(0, downlink(number)) for number in range(14)])  # and 16 slots
    attend(receiver.owner, awake_word)
    receiver.arrived(14)
    with Kernel() as kernel:
        return receiver.pump((kernel.interface,) * 8, 8)


def filled_in_one_call(awake_word: Word) -> int:
    filler = Filler(16)
    attend(filler.peer, awake_word)
    with Kernel() as world:
        for number in range(20):
            world.give(NO_OFFLOAD, downlink(number))
        return filler.pump(world.interface, 20, space=8)


WAYS: Final = [sent_in_one_call, taken_in_one_call, delivered_in_one_call, filled_in_one_call]


@pytest.mark.parametrize("way", WAYS)
def test_without_a_word_there_is_one_turn(way: Callable[[Word], int]) -> None:
    """What one would wait for is there already, and so a call that goes on is told from one that does not."""
    assert way(None) == 8
    assert way(awake()) == (14 if way is delivered_in_one_call else 16)


@pytest.mark.parametrize("way", WAYS)
def test_one_who_is_not_awake_is_given_one_turn(way: Callable[[Word], int]) -> None:
    assert [way(word(number)) for number in NOT_AWAKE] == [8] * len(NOT_AWAKE)


@pytest.mark.parametrize("way", WAYS)
def test_one_who_has_left_is_given_one_turn(way: Callable[[Word], int]) -> None:
    assert way(LEFT) == 8


def attend(end: PipeOwner | PipePeer, awake_word: Word) -> None:
    if awake_word is LEFT:
        end.pump_in_turns(awake())
        end.pump_in_turns(None)
    else:
        end.pump_in_turns(awake_word)
