"""Memory that changes while the pump is at it: what is looked at is a copy, and nothing else is written.

Another process scribbles in the pipe meanwhile. The machines' parts do what they always do; whatever that
comes to, each packet that is delivered holds together and is from a bearer, and the other pipe stays as it
was. In turns, too, where the other side says that it is awake.
"""

import os
from collections.abc import Iterator

import pytest

from bamdmux.actions import Action
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.host.receive import ReceiveRing
from bamdmux.host.transmit import TransmitRing
from bamdmux.modem.downlink import Downlink
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.uplink import Uplink
from bamdmux.wire.dmux import CHANNEL_COUNT
from bamdmux.wire.offload import NO_OFFLOAD, segment
from tests.pump.frames import downlink_packet
from tests.pump.kernel import Kernel
from tests.pump.rings import KernelDevice
from tests.pump.scribbler import scribbled
from tests.pump.turns import awake
from tests.super_packets import Segment, pattern

ENOUGH = 1000  # packets that came through
ROUNDS = 200_000  # at most, of some microseconds each, for that many


def rounds() -> Iterator[int]:
    """As many as are allowed; whoever scribbles gets a processor in between."""
    for index in range(ROUNDS):
        yield index
        os.sched_yield()


def rest(memory: memoryview, layout: LinkLayout, way: str) -> bytes:
    """All that is not of the pipe in which they scribble."""
    border = layout.rx.tail_offset
    return bytes(memory[border:] if way == "tx" else memory[:border])


def is_of_a_bearer(packet: bytes) -> bool:
    if packet[0] >> 4 == 4:
        return packet[12:14] == bytes((10, 64)) and packet[15] == 2
    # Python passes link-local sources.
    return packet[8:14] == b"\x20\x01\x0d\xb8\x00\x64" or packet[8] == 0xFE


@pytest.mark.parametrize(("seed", "awake_word"), [(1, None), (2, None), (11, awake()), (12, awake())])
def test_the_modem_takes_what_it_has_looked_at(seed: int, awake_word: memoryview | None) -> None:
    network = PacketDataNetwork(range(CHANNEL_COUNT))
    outbox: list[Action] = []
    with scribbled("tx", "tail", seed) as (memory, layout), Kernel() as kernel:
        before = rest(memory, layout, "tx")
        peer = PipePeer(memory, layout.tx)
        peer.pump_in_turns(awake_word)
        uplink = Uplink(peer, network, outbox)
        uplink.host_open[:] = [True] * CHANNEL_COUNT
        packets = 0
        for _ in rounds():
            uplink.drain_to(KernelDevice(kernel))
            for vnet_header, packet in kernel.written():
                segments = segment(vnet_header, packet)  # raises if it does not hold together
                packets += len(segments)
                assert is_of_a_bearer(packet)
            if packets >= ENOUGH:
                break
        assert rest(memory, layout, "tx") == before
    assert packets == sum(bearer.uplink.packet_count for bearer in network.bearers if bearer) >= ENOUGH


@pytest.mark.parametrize(("seed", "awake_word"), [(3, None), (4, None), (13, awake()), (14, awake())])
def test_the_host_receives_what_it_has_looked_at(seed: int, awake_word: memoryview | None) -> None:
    counters, unassigned = [Counters() for _ in range(CHANNEL_COUNT)], Counters()
    with scribbled("rx", "position", seed) as (memory, layout), Kernel() as kernel:
        before = rest(memory, layout, "rx")
        owner = PipeOwner(memory, layout.rx)
        owner.pump_in_turns(awake_word)
        ring = ReceiveRing(owner)
        ring.open()
        owner.publish()
        devices = [KernelDevice(kernel)] * (CHANNEL_COUNT - 1) + [None]
        packets = 0
        for _ in rounds():
            for _ in ring.drain_to(devices, counters, unassigned):
                pass
            owner.publish()
            packets += len(kernel.delivered())
            assert owner.in_flight == layout.rx.slot_count
            assert sorted(
                owner._slots_of[(owner._head + each) % owner._entry_count] for each in range(8)
            ) == [*range(8)]
            if packets >= ENOUGH:
                break
        assert rest(memory, layout, "rx") == before
    assert packets == sum(each.packet_count for each in counters) >= ENOUGH


@pytest.mark.parametrize("seed", [5, 6])
def test_the_modem_fills_nothing_but_buffers(seed: int) -> None:
    network = PacketDataNetwork(range(CHANNEL_COUNT))
    big = Segment(payload=pattern(1000), is_to_host=True).super_packet(300)
    with scribbled("rx", "tail", seed) as (memory, layout), Kernel() as kernel:
        before = rest(memory, layout, "rx")
        downlink = Downlink(PipePeer(memory, layout.rx), network, [])
        device, given = KernelDevice(kernel), 0
        bearers = [bearer.downlink for bearer in network.bearers if bearer]
        for index in rounds():
            kernel.give(NO_OFFLOAD, downlink_packet(index % 8, 4 + index % 2 * 2, index % 1400))
            kernel.give(*big)
            for _ in range(3):
                downlink.fill_from(device, [True] * CHANNEL_COUNT, 16)
            given += 1 + 4 - len(kernel.read_all())
            sent = sum(each.packet_count for each in bearers)
            if sent >= ENOUGH:
                break
        assert rest(memory, layout, "rx") == before
    unused = downlink.strays.drops.pop(DropReason.BAD_DESCRIPTOR)  # of buffers, not of packets
    dropped = sum(each.drops.total() for each in (*bearers, downlink.strays))
    assert given == sent + dropped
    assert sent >= ENOUGH
    assert unused


@pytest.mark.parametrize("seed", [7, 8])
def test_the_host_transmits_whatever_the_modem_says_of_it(seed: int) -> None:
    big = Segment(payload=pattern(1000)).super_packet(300)
    with scribbled("tx", "position", seed) as (memory, layout), Kernel() as kernel:
        before = rest(memory, layout, "tx")
        owner = PipeOwner(memory, layout.tx)
        owner.open()
        ring = TransmitRing(owner)
        channel = Channel(0, device=KernelDevice(kernel))
        for _ in rounds():
            kernel.give(*big)
            ring.fill_from(channel, 8)
            ring.submit_pending()
            owner.publish()
            ring.reap()
            assert 0 <= ring.free <= layout.tx.slot_count
            assert owner.in_flight == layout.tx.slot_count - ring.free
            kernel.read_all()
            if channel.transmitted.packet_count >= ENOUGH:
                break
        assert rest(memory, layout, "tx") == before
    assert channel.transmitted.packet_count >= ENOUGH
