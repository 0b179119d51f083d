"""What the two processes say of control ports, as bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import PortKind
from bamdmux.errors import ProtocolError
from bamdmux.live.split.port_packets import (
    FROM_HOST,
    FROM_MODEM,
    MAX_DATA_BYTES,
    MAX_PACKET_BYTES,
    Packet,
    PacketFault,
    PacketKind,
    decode_packet,
    encode_packet,
)

BOTH = FROM_HOST | FROM_MODEM


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (Packet(PacketKind.OPENED, 0, 1, port_kind=PortKind.QMI), "01 00 0100 00000000"),
        (Packet(PacketKind.OPENED, 1, 2, port_kind=PortKind.AT), "01 01 0200 01000000"),
        (Packet(PacketKind.BYTES, 1, 2, data=b"AT\r"), "02 00 0200 01000000 41540d"),
        (Packet(PacketKind.BYTES, 1, 2, data=b"x", is_indication=True), "02 01 0200 01000000 78"),
        (Packet(PacketKind.CLOSED, 0xFFFFFFFE, 0xFFFF), "03 00 ffff feffffff"),
        (Packet(PacketKind.HANG_UP, 66, 7), "04 00 0700 42000000"),
        (Packet(PacketKind.BOOTED), "05 00 0000 00000000"),
    ],
)
def test_a_packet_is_these_bytes(packet: Packet, data: str) -> None:
    assert encode_packet(packet) == bytes.fromhex(data)
    assert decode_packet(bytes.fromhex(data), BOTH) == packet


@given(st.binary(max_size=40))
def test_any_bytes_are_a_packet_or_an_error(data: bytes) -> None:
    packet = None
    with suppress(ProtocolError):
        packet = decode_packet(data, BOTH)
    assert packet is None or encode_packet(packet) == data


def fault(data: bytes, allowed: frozenset[PacketKind] = BOTH) -> object:
    with pytest.raises(ProtocolError) as caught:
        decode_packet(data, allowed)
    return caught.value.reason


@pytest.mark.parametrize("length", range(8))
def test_less_than_a_header_is_none(length: int) -> None:
    assert fault(encode_packet(Packet(PacketKind.BOOTED))[:length]) is PacketFault.TRUNCATED


def test_the_longest_packet_is_taken_and_one_byte_more_is_not() -> None:
    packet = Packet(PacketKind.BYTES, data=bytes(MAX_DATA_BYTES))
    data = encode_packet(packet)
    assert len(data) == MAX_PACKET_BYTES
    assert decode_packet(data, BOTH) == packet
    assert fault(data + b"\0") is PacketFault.TOO_LONG


@pytest.mark.parametrize("kind", [0, 6, 255])
def test_an_unknown_kind_is_none(kind: int) -> None:
    assert fault(bytes([kind]) + bytes(7)) is PacketFault.UNKNOWN_KIND


@pytest.mark.parametrize("kind", PacketKind)
def test_each_side_has_its_own_to_say(kind: PacketKind) -> None:
    data = encode_packet(Packet(kind, data=b"x" if kind is PacketKind.BYTES else b""))
    for allowed in (FROM_HOST, FROM_MODEM):
        if kind in allowed:
            decode_packet(data, allowed)
        else:
            assert fault(data, allowed) is PacketFault.UNKNOWN_KIND


@pytest.mark.parametrize("kind", [kind for kind in PacketKind if kind is not PacketKind.BYTES])
def test_only_bytes_have_data(kind: PacketKind) -> None:
    assert fault(encode_packet(Packet(kind)) + b"x") is PacketFault.UNWANTED_DATA


def test_bytes_without_data_are_none() -> None:
    assert fault(encode_packet(Packet(PacketKind.BYTES))) is PacketFault.UNWANTED_DATA


@pytest.mark.parametrize(
    "data", ["01 02 0000 00000000", "02 02 0000 00000000 78", "03 01 0000 00000000", "05 01 0000 00000000"]
)
def test_a_detail_that_says_nothing_is_refused(data: str) -> None:
    assert fault(bytes.fromhex(data)) is PacketFault.BAD_DETAIL
