"""The modem takes: `take_frames`, held equal to `Uplink.drain_to`.

Where the pump stops is something that Python does not simply pass on, or looks at twice: IPv6 that may be a
router solicitation.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6

from bamdmux.bam.memory import LinkLayout
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.dmux import HEADER_BYTES
from bamdmux.wire.offload import coalesce
from tests.pump.frames import ODD_FRAMES, TX_DESCRIPTORS, UPLINK_FRAMES, data_frame, uplink_packet
from tests.pump.kernel import Kernel
from tests.pump.rings import GENERATION, Taker, counted, put_word, tallied


def is_for_python(frame: bytes) -> bool:
    """Whether a frame has IPv6 that Python passes on after a second look: ICMPv6, or a link-local source."""
    packet = frame[HEADER_BYTES:]
    return packet[0] >> 4 == 6 and (packet[6] == 58 or packet[8] == 0xFE)


@settings(max_examples=200, deadline=None)
@given(UPLINK_FRAMES, st.lists(TX_DESCRIPTORS, max_size=8))
def test_the_modem_takes_as_in_python(frames: list[bytes], descriptors: list[tuple[int, int] | None]) -> None:
    take_as_in_python(frames, descriptors)


def take_as_in_python(frames: list[bytes], descriptors: list[tuple[int, int] | None]) -> None:
    by_pump, by_python = Taker(frames, descriptors), Taker(frames, descriptors, pumps=False)
    before = bytes(by_pump.memory)
    with Kernel() as kernel:
        done = by_pump.pump(kernel.interface, len(frames))
        written = list(kernel.written())
    assert by_pump.memory == before
    device = QueueDevice()
    by_python.queued(done)
    assert by_python.uplink.drain_to(device) == []
    counters = by_python.network.uplink()
    assert tallied(by_pump.tally) == [counted(each) for each in counters]
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
        assert taker.pump(kernel.interface, 1) == 0
    taker.queued(1)
    assert len(taker.uplink.drain_to(QueueDevice())) == 1


@pytest.mark.parametrize("odd", ODD_FRAMES, ids=repr)
def test_the_modem_takes_each_odd_frame_as_in_python(odd: bytes) -> None:
    plain = data_frame(0, uplink_packet(0, 4, 100))
    take_as_in_python([plain, odd, plain], [])


def test_the_modem_takes_a_length_that_comes_from_the_transfer() -> None:
    frame = data_frame(0, uplink_packet(0, 4, 100), length=0xFFFF)
    with Kernel() as kernel:
        assert Taker([frame]).pump(kernel.interface, 1) == 1


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_packet_that_is_longer_than_the_modem_takes_is_for_python(beyond: int) -> None:
    taker = Taker([data_frame(0, uplink_packet(0, 4, 100))])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1, max_packet=120 - beyond) == 1 - beyond


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_packet_may_be_as_long_as_the_mtu_of_the_bearer(version: int, beyond: int) -> None:
    headers = {4: 20, 6: 40}[version]
    taker = Taker([data_frame(0, uplink_packet(0, version, 1500 - headers + beyond))])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1) == 1 - beyond


@pytest.mark.parametrize("channel", range(8))
@pytest.mark.parametrize("version", [4, 6])
def test_a_channel_that_is_closed_or_has_no_bearer_is_for_python(channel: int, version: int) -> None:
    taker = Taker([data_frame(channel, uplink_packet(channel, version, 100))])
    with Kernel() as kernel:
        is_open = channel not in (3, 7) and (channel, version) != (4, 4)
        assert taker.pump(kernel.interface, 1) == is_open


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_buffer_ends_where_buffers_end(beyond: int) -> None:
    frame = data_frame(0, uplink_packet(0, 4, 100))
    layout = LinkLayout(slot_count=2).tx
    address = layout.end - len(frame) + beyond
    taker = Taker([frame], [(address, len(frame))])
    taker.memory[address : address + len(frame)] = frame
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 1) == 1 - beyond


def test_a_buffer_that_is_too_short_for_a_header_is_not_taken_for_the_one_before() -> None:
    frame = data_frame(0, uplink_packet(0, 4, 100))
    taker = Taker([frame, frame], [None, (LinkLayout(slot_count=3).tx.slot_address(0), 7)])
    with Kernel() as kernel:
        assert taker.pump(kernel.interface, 2) == 1


def test_frames_of_a_pipe_that_was_reset_are_not_taken() -> None:
    taker = Taker([data_frame(0, uplink_packet(0, 4, 100))])
    tail = taker.layout.tail_offset
    with Kernel() as kernel:
        put_word(taker.memory, tail, 0, GENERATION + 1)
        assert taker.pump(kernel.interface, 1) == 0
        assert list(kernel.written()) == []
        put_word(taker.memory, tail, 0)
        assert taker.pump(kernel.interface, 1) == 1
