"""Turns with one who is awake and never comes, who resets the pipe in between, or who scribbles in it.

What changes in the middle of a call is changed by a thread, or by another process (scribbler.py).
"""

from collections import deque
from itertools import count, pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.bam.wakefulness import AWAKE
from bamdmux.counters import DropReason
from bamdmux.host.channels import Channel
from bamdmux.host.transmit import TransmitRing
from bamdmux.modem.downlink import Downlink
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.uplink import Uplink
from bamdmux.wire.dmux import CHANNEL_COUNT
from bamdmux.wire.offload import NO_OFFLOAD
from tests.pair import downlink, numbers, uplink
from tests.pump.frames import CLAIMS, FRAMES, RX_DESCRIPTORS, TX_DESCRIPTORS, UPLINK_FRAMES, data_frame
from tests.pump.kernel import Kernel
from tests.pump.linked import Given
from tests.pump.rings import Filler, KernelDevice, Receiver, Sender, Taker
from tests.pump.scribbler import SLOTS, scribbled
from tests.pump.test_hostile import GIVEN, PLAIN, TAILS, WORDS, fill, receive, take
from tests.pump.test_scribbled import rest, rounds
from tests.pump.turns import (
    AT_ONCE,
    CHANNELS_OPEN,
    ENOUGH,
    NOT_AWAKE,
    News,
    Transmission,
    at_work,
    awake,
    packet_in,
    passed,
    sum_of,
    taken_by,
    word,
)
from tests.super_packets import Segment, pattern

# -- Nobody there, whatever the word says

WORD_NUMBERS: Final = st.sampled_from([AWAKE, AWAKE, *NOT_AWAKE])


@settings(max_examples=50, deadline=None)
@given(UPLINK_FRAMES, st.lists(TX_DESCRIPTORS, max_size=8), st.lists(WORDS, max_size=4), WORD_NUMBERS)
def test_the_modem_waits_in_vain_and_nothing_is_different(
    frames: list[bytes], descriptors: list[tuple[int, int] | None], tails: list[int], number: int
) -> None:
    tails = [*tails, 1 << 16 | 8 * len(frames)]
    waiting, plain = Taker(frames, descriptors), Taker(frames, descriptors)
    waiting.peer.pump_in_turns(word(number))
    assert take(waiting, tails) == take(plain, tails)


@settings(max_examples=50, deadline=None)
@given(FRAMES, st.lists(CLAIMS, max_size=8), st.lists(WORDS, max_size=4), st.booleans(), WORD_NUMBERS)
def test_the_host_waits_in_vain_and_nothing_is_different(
    frames: list[bytes], claims: list[int | None], positions: list[int], closes: bool, number: int
) -> None:
    positions = [*positions, 1 << 16 | 8 * len(frames)]
    waiting, plain = Receiver(frames, claims), Receiver(frames, claims)
    waiting.owner.pump_in_turns(word(number))
    is_up = [True] * 7 + [False]
    assert receive(waiting, positions, is_up, closes=closes) == receive(
        plain, positions, is_up, closes=closes
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(GIVEN, max_size=4),
    st.lists(RX_DESCRIPTORS, max_size=6),
    st.lists(st.tuples(st.lists(GIVEN, max_size=2), TAILS), max_size=3),
    WORD_NUMBERS,
)
def test_the_modem_waits_for_buffers_in_vain_and_nothing_is_different(
    packets: list[Given],
    descriptors: list[tuple[int, int] | None],
    others: list[tuple[list[Given], int]],
    number: int,
) -> None:
    rounds_of = [*others, ([*packets, *[PLAIN] * 6], 1 << 16 | 8 * 9)]
    waiting, plain = Filler(9, descriptors), Filler(9, descriptors)
    waiting.peer.pump_in_turns(word(number))
    assert fill(waiting, rounds_of) == fill(plain, rounds_of)


def transmit(sender: Sender, steps: list[tuple[list[Given], int, int]], *, sends: bool) -> list[object]:
    """Everything that comes of it; the modem takes so many frames in between, and no more."""
    results: list[object] = []
    ring, owner = sender.ring, sender.owner
    with Kernel() as kernel:
        channel = Channel(2, device=KernelDevice(kernel))
        for given_packets, budget, taken in steps:
            for each in given_packets:
                kernel.give(*each)
            results.append(ring.fill_from(channel, budget, sends=sends))
            assert (ring.has_sent, ring.has_retired) == (sends and results[-1] > 0, False)
            ring.has_sent = False
            ring.submit_pending()
            owner.publish()
            results += [ring.is_short, ring.free, ring.is_empty, owner.in_flight, bytes(sender.memory)]
            results.append([packet_in(frame) for frame in taken_by(sender.peer, min(taken, owner.in_flight))])
            results += [ring.reap(), ring.free, owner.in_flight]
        results.append(owner.terminate() and ring.take_submitted().packets)
        results += [kernel.read_all(), channel.transmitted.as_dict(), owner.bad_position_count]
    return results


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 7),
    st.lists(st.tuples(st.lists(GIVEN, max_size=4), st.integers(0, 20), st.integers(0, 8)), max_size=5),
    WORD_NUMBERS,
)
def test_the_host_waits_for_slots_in_vain_and_nothing_is_different(
    first: int, steps: list[tuple[list[Given], int, int]], number: int
) -> None:
    waiting, plain, pending = Sender(first), Sender(first), Sender(first)
    waiting.owner.pump_in_turns(word(number))
    came_of_it = transmit(waiting, steps, sends=True)
    assert came_of_it == transmit(plain, steps, sends=True) == transmit(pending, steps, sends=False)


# -- The owner resets the pipe


def test_frames_are_not_sent_once_the_host_has_reset_the_pipe() -> None:
    filler = Filler(SLOTS)
    filler.peer.pump_in_turns(awake())
    news, seen = News(filler.memory, filler.layout.position_offset), []
    news.wait()

    def host() -> None:
        """It takes nothing: at the first sign of the modem it drops everything."""
        if seen:
            return
        news.wait()
        if filler.owner.completed():
            seen.append(filler.owner.completed())
            assert filler.owner.terminate() == SLOTS

    packets = [downlink(number) for number in range(AT_ONCE)]
    with Kernel() as world:
        device = KernelDevice(world)
        for packet in packets:
            world.give(NO_OFFLOAD, packet)
        with at_work(host):
            assert filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE) == (SLOTS, SLOTS)
            for _ in rounds():
                if seen:
                    break
                assert filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE) == (0, 0)
        assert seen == [SLOTS]
        assert filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE) == (0, 0)
        for slot in range(SLOTS):
            filler.owner.submit(slot, filler.layout.slot_bytes)
        filler.owner.publish()
        assert filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE) == (SLOTS, SLOTS)
        assert world.read_all() == packets[2 * SLOTS :]
    assert filler.owner.completed() == SLOTS
    assert packet_in(bytes(filler.owner.slot(filler.owner.reap()[0]))) == packets[SLOTS]
    assert filler.downlink.frame_count == 2 * SLOTS


def test_a_host_that_resets_the_pipe_again_and_again_gets_each_frame_once_and_in_order() -> None:
    filler = Filler(SLOTS)
    filler.peer.pump_in_turns(awake())
    news, frames, resets = News(filler.memory, filler.layout.position_offset), [], []
    steps = count()

    def host() -> None:
        news.wait()
        owner, slots = filler.owner, []
        for _ in range(owner.completed()):
            slot, written = owner.reap()
            frames.append(bytes(owner.slot(slot)[:written]))
            slots.append(slot)
        for slot in slots:
            owner.submit(slot, filler.layout.slot_bytes)
        owner.publish()
        if next(steps) % 5 == 4:  # while the modem is at it
            resets.append(owner.terminate())
            for slot in range(SLOTS):
                owner.submit(slot, filler.layout.slot_bytes)
            owner.publish()

    bearer = filler.network.bearers.bearers[0]
    assert bearer is not None
    sent_in_all, given_in_all = 0, count()
    with Kernel() as world:
        device = KernelDevice(world)
        with at_work(host):
            for _ in rounds():
                for _ in range(AT_ONCE):
                    world.give(NO_OFFLOAD, downlink(next(given_in_all)))
                read, sent = filler.downlink.fill_from(device, CHANNELS_OPEN, AT_ONCE)
                assert read >= sent
                sent_in_all += sent
                world.read_all()  # lost, so that numbers are not the same everywhere
                if len(frames) > ENOUGH and len(resets) > 20:
                    break
    received = numbers(map(packet_in, frames))
    assert list(map(packet_in, frames)) == list(map(downlink, received))
    assert all(one < other for one, other in pairwise(received))
    assert ENOUGH < len(frames) <= sent_in_all == bearer.downlink.packet_count
    assert filler.downlink.frame_count == sent_in_all
    assert set(bearer.downlink.drops) <= {DropReason.LOST_IN_FLIGHT}
    assert len(resets) > 20


def test_the_modem_takes_whole_frames_of_a_host_that_resets_the_pipe_again_and_again() -> None:
    sender, outbox = Sender(pumps=False), []
    network = PacketDataNetwork(range(CHANNEL_COUNT))
    modem = Uplink(sender.peer, network, outbox)
    modem.host_open[:] = CHANNELS_OPEN
    sender.peer.pump_in_turns(awake())
    news, sent = News(sender.memory, sender.layout.position_offset), count()
    slots, queued, done, resets = deque(range(SLOTS)), deque(), [], []
    steps = count()

    def host() -> None:
        news.wait()
        owner, completed = sender.owner, sender.owner.completed()
        owner.retire(completed)
        for slot, number in [queued.popleft() for _ in range(completed)]:
            done.append(number)
            slots.append(slot)
        while slots:
            queued.append((slots.popleft(), next(sent)))
            slot, number = queued[-1]
            frame = data_frame(0, uplink(number, length=28 + number % 1000), 4)
            owner.slot(slot)[: len(frame)] = frame
            owner.submit(slot, len(frame))
        owner.publish()
        if next(steps) % 5 == 4:  # while the modem is at it
            resets.append(owner.terminate())
            slots.extend(slot for slot, _ in queued)
            queued.clear()

    delivered: list[bytes] = []
    frames = News(sender.memory, sender.layout.tail_offset)
    with Kernel() as world:
        device = KernelDevice(world)
        with at_work(host):
            for _ in rounds():
                frames.wait()
                modem.drain_to(device)
                delivered += world.delivered()
                if len(done) > ENOUGH and len(resets) > 20:
                    break
        modem.drain_to(device)
        delivered += world.delivered()
    taken = numbers(delivered)
    assert delivered == [uplink(number, length=28 + number % 1000) for number in taken]
    assert all(one < other for one, other in pairwise(taken))
    assert set(done) <= set(taken)
    bearer = network.bearers[0]
    assert bearer is not None
    assert passed(bearer.uplink) == sum_of(delivered)
    assert modem.strays.drops.total() == 0
    assert len(resets) > 20


# -- The other side scribbles


@pytest.mark.parametrize("seed", [15, 16])
def test_a_host_that_scribbles_amid_turns_has_nothing_written_but_its_buffers(seed: int) -> None:
    network = PacketDataNetwork(range(CHANNEL_COUNT))
    with scribbled("rx", "tail", seed) as (memory, layout), Kernel() as kernel:
        before = rest(memory, layout, "rx")
        peer = PipePeer(memory, layout.rx)
        peer.pump_in_turns(awake())
        modem = Downlink(peer, network, [])
        device, given_in_all = KernelDevice(kernel), 0
        bearers = [bearer.downlink for bearer in network.bearers if bearer]
        big = Segment(payload=pattern(1000), is_to_host=True).super_packet(300)
        for _ in rounds():
            for number in range(20):
                kernel.give(NO_OFFLOAD, downlink(number, channel=number % 8))
            kernel.give(*big)
            modem.fill_from(device, CHANNELS_OPEN, AT_ONCE)
            given_in_all += 24 - len(kernel.read_all())
            sent = sum(each.packet_count for each in bearers)
            if sent >= ENOUGH:
                break
        assert rest(memory, layout, "rx") == before
    modem.strays.drops.pop(DropReason.BAD_DESCRIPTOR, None)  # of buffers, not of packets
    dropped = sum(each.drops.total() for each in (*bearers, modem.strays))
    assert given_in_all == sent + dropped
    assert sent >= ENOUGH


@pytest.mark.parametrize("seed", [17, 18])
def test_a_modem_that_scribbles_amid_turns_gives_back_no_more_than_it_had(seed: int) -> None:
    """What it must not do is in `Transmission.call`."""
    with scribbled("tx", "position", seed) as (memory, layout), Kernel() as kernel:
        before = rest(memory, layout, "tx")
        owner = PipeOwner(memory, layout.tx)
        owner.open()
        owner.pump_in_turns(awake())
        ring = TransmitRing(owner)
        host = Transmission(ring, owner, kernel)
        for _ in rounds():
            for number in range(20):
                kernel.give(NO_OFFLOAD, uplink(number))
            kernel.give(*Segment(payload=pattern(1000)).super_packet(300))
            host.call()
            ring.reap()
            assert owner.in_flight == SLOTS - ring.free
            kernel.read_all()
            if host.channel.transmitted.packet_count >= ENOUGH and host.most > SLOTS:
                break
        assert rest(memory, layout, "tx") == before
    assert host.channel.transmitted.packet_count >= ENOUGH
    assert host.most > SLOTS
