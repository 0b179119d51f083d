"""Slots larger than Linux's: both machines, and the native pump, carry what fits them."""

from collections.abc import Iterator
from typing import Final

import pytest

from bamdmux.bam.memory import LinkLayout
from bamdmux.counters import DropReason
from bamdmux.pump import is_native
from bamdmux.wire.dmux import HEADER_BYTES, WORD_BYTES
from bamdmux.wire.offload import NO_OFFLOAD
from tests.pump.linked import KernelPair
from tests.super_packets import Segment, pattern

HEADERS: Final = 40  # of IPv4 and TCP
JUMBO: Final = 20_000  # an MTU that no slot here has room for

pytestmark = pytest.mark.skipif(not is_native(), reason="the native pump was not built")


@pytest.fixture(params=[4096, 8192, 16384])
def slot_bytes(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=[True, False], ids=["native", "python"])
def pair(request: pytest.FixtureRequest, slot_bytes: int) -> Iterator[KernelPair]:
    layout = LinkLayout(receive_bytes=slot_bytes, transmit_bytes=slot_bytes)
    with KernelPair(pumps=request.param, layout=layout) as pair:
        pair.start_with(0)
        pair.host.mtu_changed(0, JUMBO)
        bearer = pair.modem.packet_data_network.bearers[0]
        assert bearer is not None
        bearer.mtu = JUMBO
        bearer.activate(4, 6)
        yield pair


def packet_of(length: int, *, is_to_host: bool) -> bytes:
    return Segment(payload=pattern(length - HEADERS), channel=0, is_to_host=is_to_host).packet()


def went_up(pair: KernelPair, packet: bytes) -> list[bytes]:
    pair.give(pair.devices[0], (NO_OFFLOAD, packet))
    pair.settle()
    return pair.network.kernel.delivered()  # type: ignore[attr-defined, no-any-return]


def went_down(pair: KernelPair, packet: bytes) -> list[bytes]:
    pair.give(pair.network, (NO_OFFLOAD, packet))
    pair.settle()
    return pair.devices[0].kernel.delivered()  # type: ignore[attr-defined, no-any-return]


def test_a_packet_that_just_fits_a_slot_goes_up(pair: KernelPair, slot_bytes: int) -> None:
    packet = packet_of(slot_bytes - HEADER_BYTES - WORD_BYTES, is_to_host=False)
    assert went_up(pair, packet) == [packet]
    assert pair.host.channels[0].transmitted.drops == {}


def test_one_byte_more_is_counted_and_dropped_on_its_way_up(pair: KernelPair, slot_bytes: int) -> None:
    packet = packet_of(slot_bytes - HEADER_BYTES - WORD_BYTES + 1, is_to_host=False)
    assert went_up(pair, packet) == []
    drops = pair.host.channels[0].transmitted.drops
    assert sum(drops.values()) == 1
    assert set(drops) <= {DropReason.TRUNCATED_BY_DEVICE, DropReason.LONGER_THAN_MTU}


def test_a_packet_that_just_fits_a_buffer_goes_down(pair: KernelPair, slot_bytes: int) -> None:
    packet = packet_of(slot_bytes - HEADER_BYTES, is_to_host=True)
    assert went_down(pair, packet) == [packet]


def test_one_byte_more_is_counted_and_dropped_on_its_way_down(pair: KernelPair, slot_bytes: int) -> None:
    packet = packet_of(slot_bytes - HEADER_BYTES + 1, is_to_host=True)
    assert went_down(pair, packet) == []
    bearer = pair.modem.packet_data_network.bearers[0]
    assert bearer is not None
    assert sum(bearer.downlink.drops.values()) == 1


def test_super_packets_of_long_segments_pass_both_ways(pair: KernelPair, slot_bytes: int) -> None:
    segment_bytes = min(slot_bytes, 8192) - 100
    for is_to_host, carry in ((False, went_up), (True, went_down)):
        flow = Segment(payload=pattern(4 * segment_bytes), channel=0, is_to_host=is_to_host)
        vnet_header, packet = flow.super_packet(segment_bytes)
        device = pair.network if is_to_host else pair.devices[0]
        pair.give(device, (vnet_header, packet))
        pair.settle()
        last = packet_of(500, is_to_host=is_to_host)
        delivered = carry(pair, last)
        assert b"".join(each[HEADERS:] for each in delivered) == flow.payload + last[HEADERS:]
        assert len(delivered) == 4 + 1
