"""Rings in which a hostile peer has written anything: the pump and Python make the same of them.

The parts of the machines as they are in use, on the same memory twice. Frames that are wrong, descriptors
that point anywhere, tails and positions that cannot be, other generations: memory, packets, counters, log
lines and what else the parts remember are equal in the end, byte for byte. What changes in the middle of a
call is in test_scribbled.py.
"""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.actions import Log
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.host.receive import Rejected
from bamdmux.wire.dmux import CHANNEL_COUNT, Frame
from bamdmux.wire.offload import NO_OFFLOAD
from tests.pump.frames import (
    CLAIMS,
    DOWNLINK_PACKETS,
    FRAMES,
    RX_DESCRIPTORS,
    TX_DESCRIPTORS,
    UPLINK_FRAMES,
    downlink_packet,
)
from tests.pump.kernel import Kernel
from tests.pump.linked import Given, by_flow
from tests.pump.rings import Filler, KernelDevice, Receiver, Sender, Taker
from tests.super_packets import Segment, pattern

# The upper half of a word; its lower half: an entry that is near, or no entry at all.
GENERATIONS: Final = st.sampled_from([1, 1, 1, 1, 0, 2, 0xFFFF])
OFFSETS: Final = st.one_of(st.integers(0, 20).map(lambda entry: 8 * entry), st.integers(0, 0xFFFF))
WORDS: Final = st.tuples(GENERATIONS, OFFSETS).map(lambda word: word[0] << 16 | word[1])


def put(memory: memoryview, at: int, word: int) -> None:
    memory[at : at + 4].cast("I")[0] = word


def as_dicts(counters: list[Counters]) -> list[dict[str, object]]:
    return [each.as_dict() for each in counters]


# -- The modem takes from a hostile host --


def take(taker: Taker, tails: list[int]) -> tuple[object, ...]:
    """Everything that comes of it."""
    solicitations = []
    with Kernel() as kernel:
        device = KernelDevice(kernel)
        for tail in tails:
            put(taker.memory, taker.layout.tail_offset, tail)
            solicitations += [(bearer.channel, source) for bearer, source in taker.uplink.drain_to(device)]
        delivered = by_flow(kernel.delivered())
    uplink, peer = taker.uplink, taker.peer
    return (
        *(delivered, solicitations, bytes(taker.memory), uplink.frame_count, uplink.host_open),
        *(as_dicts([*taker.network.uplink(), uplink.strays]), uplink.take_opened()),
        *(peer.bad_tail_count, peer.bad_descriptor_count),
        [action for action in taker.outbox if isinstance(action, Log)],
    )


@settings(max_examples=150, deadline=None)
@given(UPLINK_FRAMES, st.lists(TX_DESCRIPTORS, max_size=8), st.lists(WORDS, max_size=4))
def test_the_modem_makes_the_same_of_a_hostile_host(
    frames: list[bytes], descriptors: list[tuple[int, int] | None], tails: list[int]
) -> None:
    tails = [*tails, 1 << 16 | 8 * len(frames)]
    by_pump, by_python = (Taker(frames, descriptors, pumps=pumps) for pumps in (True, False))
    assert take(by_pump, tails) == take(by_python, tails)


# -- The host receives from a hostile modem --


def receive(
    receiver: Receiver, positions: list[int], is_up: list[bool], *, closes: bool
) -> tuple[object, ...]:
    counters, unassigned = [Counters() for _ in range(CHANNEL_COUNT)], Counters()
    arrivals: list[Frame | Rejected] = []
    with Kernel() as lower, Kernel() as upper:  # of four channels each
        kernels = (lower,) * 4 + (upper,) * 4
        devices = [KernelDevice(kernel) if up else None for kernel, up in zip(kernels, is_up, strict=True)]
        for position in positions:
            put(receiver.memory, receiver.layout.position_offset, position)
            for arrival in receiver.ring.drain_to(devices, counters, unassigned):
                arrivals.append(arrival)
                if closes and isinstance(arrival, Frame):  # as the driver may, in the middle of a batch
                    devices[arrival.channel] = None
            receiver.owner.publish()
        delivered = [by_flow(kernel.delivered()) for kernel in (lower, upper)]
    owner = receiver.owner
    return (
        *(delivered, arrivals, bytes(receiver.memory), as_dicts([*counters, unassigned])),
        *(owner.in_flight, owner.bad_position_count, owner._slots_of, owner._sizes_of, owner._head),
    )


@settings(max_examples=150, deadline=None)
@given(
    *(FRAMES, st.lists(CLAIMS, max_size=8), st.lists(WORDS, max_size=4)),
    *(st.lists(st.booleans(), min_size=8, max_size=8), st.booleans()),
)
def test_the_host_makes_the_same_of_a_hostile_modem(
    frames: list[bytes], claims: list[int | None], positions: list[int], is_up: list[bool], closes: bool
) -> None:
    positions = [*positions, 1 << 16 | 8 * len(frames)]
    by_pump, by_python = (Receiver(frames, claims, pumps=pumps) for pumps in (True, False))
    assert receive(by_pump, positions, is_up, closes=closes) == receive(
        by_python, positions, is_up, closes=closes
    )


# -- The modem fills buffers of a hostile host --

BIG: Final = [
    Segment(protocol=protocol, version=version, payload=pattern(650), is_to_host=True).super_packet(100)
    for protocol in ("TCP", "UDP")
    for version in (4, 6)
]
GIVEN: Final = st.one_of(DOWNLINK_PACKETS.map(lambda packet: (NO_OFFLOAD, packet)), st.sampled_from(BIG))


CALLS: Final = 20  # more than there are packets and descriptors


def fill(filler: Filler, rounds: list[tuple[list[Given], int]]) -> tuple[object, ...]:
    reads = 0
    with Kernel() as kernel:
        device = KernelDevice(kernel)
        for given_packets, tail in rounds:
            put(filler.memory, filler.layout.tail_offset, tail)
            for packet in given_packets:
                kernel.give(*packet)
            for _ in range(CALLS):  # the pump leaves to Python what it stops at, now or in the next call
                reads += filler.downlink.fill_from(device, filler.network.host_open, 100)[0]
        left = kernel.read_all()
    downlink, peer = filler.downlink, filler.peer
    return (
        *(reads, left, bytes(filler.memory), as_dicts([*filler.network.downlink(), downlink.strays])),
        *(downlink.frame_count, peer.bad_tail_count, peer.bad_descriptor_count),
    )


PLAIN: Final = (NO_OFFLOAD, downlink_packet(0, 4, 0))
TAILS: Final = OFFSETS.map(lambda offset: 1 << 16 | offset)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(GIVEN, max_size=4),
    st.lists(RX_DESCRIPTORS, max_size=6),
    st.lists(st.tuples(DOWNLINK_PACKETS.map(lambda packet: [(NO_OFFLOAD, packet)]), TAILS), max_size=3),
)
def test_the_modem_fills_the_same_buffers_of_a_hostile_host(
    packets: list[Given], descriptors: list[tuple[int, int] | None], others: list[tuple[list[Given], int]]
) -> None:
    # With nothing to send, the pump looks at no buffer, and so gives back none that is none: hence the last.
    rounds = [*others, ([*packets, *[PLAIN] * 6], 1 << 16 | 8 * 50)]
    by_pump, by_python = (Filler(50, descriptors, pumps=pumps) for pumps in (True, False))
    assert fill(by_pump, rounds) == fill(by_python, rounds)


# -- The host transmits, and a hostile modem says what has become of it --


def transmit(sender: Sender, steps: list[tuple[list[bytes], bool, int]]) -> list[object]:
    results: list[object] = []
    ring, owner = sender.ring, sender.owner
    with Kernel() as kernel:
        channel = Channel(2, device=KernelDevice(kernel))
        for packets, has_power, position in steps:
            for packet in packets:
                kernel.give(NO_OFFLOAD, packet)
            results.append(ring.fill_from(channel, 32))
            if has_power:
                ring.submit_pending()
                owner.publish()
            put(sender.memory, sender.layout.position_offset, position)
            results += [ring.reap(), ring.free, ring.pending, ring.is_empty, ring.is_half_free]
            results += [ring.pending_packets, owner.in_flight, bytes(sender.memory)]
        if owner.terminate():  # what is lost then, by channel and length
            results.append(ring.take_submitted().packets)
        results.append(ring.take_pending().packets if owner.in_flight == 0 else [])
    return [*results, channel.transmitted.as_dict(), owner.bad_position_count]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 7),
    st.lists(
        st.tuples(st.lists(st.integers(1, 300).map(pattern), max_size=6), st.booleans(), WORDS), max_size=6
    ),
)
def test_the_host_loses_no_slot_whatever_a_hostile_modem_says(
    first: int, steps: list[tuple[list[bytes], bool, int]]
) -> None:
    by_pump, by_python = (Sender(first, pumps=pumps) for pumps in (True, False))
    assert transmit(by_pump, steps) == transmit(by_python, steps)
    assert by_pump.ring.free == by_pump.layout.slot_count


def test_the_reasons_are_those_of_both() -> None:
    """What the tests above compare is there at all."""
    frames = [b"short", b"\xfc\x33" + bytes(40)]
    counters = [take(Taker(frames, pumps=pumps), [1 << 16 | 16])[5] for pumps in (True, False)]
    assert counters[0] == counters[1]
    taker = Taker(frames)
    take(taker, [1 << 16 | 16])
    assert taker.uplink.strays.drops == {DropReason.TRUNCATED: 1, DropReason.EMPTY: 1}
