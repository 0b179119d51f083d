"""The native pump as an interface, held equal to wire/offload.py.

`make sanitize` runs this folder with a pump that stops at the first read or write out of place.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.errors import MalformedPacket
from bamdmux.wire.offload import NO_OFFLOAD, VNET_HEADER, VnetHeader, segment
from tests.pump.kernel import Kernel
from tests.super_packets import Segment, pattern, rechecksummed, super_packets
from tests.wire.test_offload import LIES, OVER_TCP6, TCP4, UDP4, tcp_behind, with_a_sum_of_all_ones


def segments_of(vnet_header: bytes, packet: bytes) -> list[bytes]:
    """What the pump makes of a packet of the kernel's; nothing, if that is counted as malformed."""
    with Kernel() as kernel:
        kernel.give(vnet_header, packet)
        packets = kernel.read_all()
        assert kernel.interface.take_malformed() == (not packets)
        return packets


def expected_of(vnet_header: bytes, packet: bytes) -> list[bytes]:
    try:
        return segment(vnet_header, packet)
    except MalformedPacket:
        return []


# -- Segments --


@settings(deadline=None)
@given(super_packets())
def test_segments_are_those_of_the_reference_and_of_scapy(big: tuple[Segment, int]) -> None:
    whole, segment_bytes = big
    vnet_header, packet = whole.super_packet(segment_bytes)
    segments = segments_of(vnet_header, packet)
    assert segments == segment(vnet_header, packet)
    for each in segments[:2] + segments[-2:]:
        assert each == rechecksummed(each)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_super_packet_may_be_as_long_as_a_packet_can_be(version: int, protocol: str) -> None:
    headers = {4: 20, 6: 40}[version] + {"TCP": 20, "UDP": 8}[protocol]
    whole = Segment(protocol=protocol, version=version, payload=pattern(65_535 - headers))
    vnet_header, packet = whole.super_packet(1400)
    assert len(packet) == 65_535
    assert segments_of(vnet_header, packet) == segment(vnet_header, packet)


def test_segments_may_be_of_one_byte_each() -> None:
    vnet_header, packet = Segment(payload=pattern(3000), identification=0xFF00).super_packet(1)
    assert segments_of(vnet_header, packet) == segment(vnet_header, packet)


@settings(deadline=None)
@given(super_packets())
def test_a_partial_checksum_is_completed(big: tuple[Segment, int]) -> None:
    whole, _ = big
    vnet_header, packet = whole.super_packet(1)
    flags, _, header_bytes, _, start, offset = VNET_HEADER.unpack(vnet_header)
    vnet_header = VNET_HEADER.pack(flags, 0, header_bytes, 0, start, offset)
    (completed,) = segments_of(vnet_header, packet)
    assert [completed] == segment(vnet_header, packet)


@pytest.mark.parametrize("whole", [TCP4, UDP4])
@pytest.mark.parametrize("is_super_packet", [True, False])
def test_a_checksum_of_zero_is_written_as_by_the_reference(whole: Segment, is_super_packet: bool) -> None:
    vnet_header, packet = with_a_sum_of_all_ones(whole).super_packet(100)
    if not is_super_packet:
        vnet_header = VNET_HEADER.pack(*VnetHeader(*VNET_HEADER.unpack(vnet_header))._replace(gso_type=0))
    assert segments_of(vnet_header, packet) == segment(vnet_header, packet)


NUMBERS = st.one_of(st.integers(0, 100), st.sampled_from([0x7FFF, 0x8000, 0xFFFE, 0xFFFF]))
VNET_HEADERS = st.builds(
    VNET_HEADER.pack,
    *(st.sampled_from([0, 1, 1, 1, 3, 0xFF]), st.sampled_from([0, 1, 1, 3, 4, 5, 0x81, 0x85, 0xFF])),
    *(
        NUMBERS,
        NUMBERS,
        st.one_of(st.sampled_from([20, 24, 40, 48]), NUMBERS),
        st.sampled_from([6, 16, 16, 0, 1, 0xFFFF]),
    ),
)


@st.composite
def wrong_super_packets(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A super-packet in which a byte, the end or the virtio_net_hdr is something else."""
    whole, segment_bytes = draw(super_packets())
    vnet_header, packet = whole.super_packet(segment_bytes)
    packet = packet[: draw(st.one_of(st.just(len(packet)), st.integers(0, 150)))]
    for _ in range(draw(st.integers(0, 2))):
        if packet:
            at = draw(st.integers(0, min(len(packet), 80) - 1))
            packet = packet[:at] + bytes((draw(st.integers(0, 255)),)) + packet[at + 1 :]
    return draw(st.one_of(st.just(vnet_header), VNET_HEADERS)), packet


@pytest.mark.parametrize(("vnet", "packet"), [(vnet, packet) for vnet, packet, _ in LIES])
def test_headers_that_cannot_be_true_are_malformed(vnet: VnetHeader, packet: bytes) -> None:
    assert segments_of(VNET_HEADER.pack(*vnet), packet) == []


def test_headers_may_have_256_bytes() -> None:
    vnet_header = VNET_HEADER.pack(*OVER_TCP6._replace(csum_start=236, gso_size=30))
    assert segments_of(vnet_header, tcp_behind(196)) == segment(vnet_header, tcp_behind(196)) != []


@settings(max_examples=300, deadline=None)
@given(wrong_super_packets())
def test_headers_that_lie_are_refused_as_by_the_reference(wrong: tuple[bytes, bytes]) -> None:
    assert segments_of(*wrong) == expected_of(*wrong)


@settings(max_examples=300, deadline=None)
@given(
    VNET_HEADERS, st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda rest: b"\x45" + rest))
)
def test_any_bytes_are_what_the_reference_makes_of_them(vnet_header: bytes, packet: bytes) -> None:
    assert segments_of(vnet_header, packet) == expected_of(vnet_header, packet)


@pytest.mark.parametrize("length", [1, 3, 4, 13, 14])
def test_a_message_without_a_packet_is_malformed_and_does_not_hide_the_next(length: int) -> None:
    with Kernel() as kernel:
        kernel.give_message(bytes(length))
        kernel.give(NO_OFFLOAD, b"next")
        assert kernel.read_all() == [b"next"]
        assert kernel.interface.take_malformed() == 1


def test_a_packet_that_the_kernel_has_cut_is_malformed() -> None:
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, b"cut", flags=1)
        assert kernel.read_all() == []
        assert kernel.interface.take_malformed() == 1


@pytest.mark.parametrize("room", [0, 1, 100, 139])
def test_a_segment_that_is_longer_than_the_buffer_is_cut_and_flagged(room: int) -> None:
    whole = Segment(payload=pattern(250))
    vnet_header, packet = whole.super_packet(100)
    with Kernel() as kernel:
        kernel.give(vnet_header, packet)
        assert kernel.read(4 + room) == b"\x01\0\0\0" + segment(vnet_header, packet)[0][:room]
        assert kernel.interface.has_packet
        assert kernel.read_all() == segment(vnet_header, packet)[1:]
        assert not kernel.interface.has_packet


def test_a_buffer_without_room_for_packet_information_loses_the_packet() -> None:
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, b"lost")
        kernel.give(NO_OFFLOAD, b"next")
        assert kernel.read(3) == b""
        assert kernel.read_all() == [b"next"]


def test_a_packet_that_is_written_has_no_offload() -> None:
    with Kernel() as kernel:
        assert kernel.interface.write(memoryview(b"\0\0\x08\0" + b"\x45 packet"))
        assert list(kernel.written()) == [(NO_OFFLOAD, b"\x45 packet")]


@pytest.mark.parametrize("length", range(5))
def test_packet_information_alone_is_not_written(length: int) -> None:
    with Kernel() as kernel:
        assert not kernel.interface.write(memoryview(bytes(length)))
        assert list(kernel.written()) == []


def test_an_interface_whose_kernel_is_gone_gives_and_takes_nothing() -> None:
    with Kernel() as kernel:
        kernel.give(NO_OFFLOAD, b"packet")
    assert kernel.read() == b""
    assert not kernel.interface.write(memoryview(b"\0\0\x08\0packet"))
