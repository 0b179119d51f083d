"""The interface made of two queues, and the 4 bytes before a packet."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.netdevice import (
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_MAP,
    PACKET_INFORMATION_BYTES,
    TRUNCATED_FLAG,
    QueueDevice,
    packet_information,
)


def read(device: QueueDevice, room: int) -> bytes:
    """What the device puts into a buffer of that size."""
    buffer = memoryview(bytearray(b"\xa5" * room))
    return bytes(buffer[: device.read_into(buffer)])


# --- reading --------------------------------------------------------------------------------------


def test_an_interface_with_nothing_to_send_reads_as_nothing() -> None:
    assert read(QueueDevice(), 64) == b""


def test_packet_information_comes_before_the_packet() -> None:
    assert read(QueueDevice([b"E123"]), 64) == b"\0\0\0\0E123"


def test_packets_are_read_in_the_order_in_which_they_were_sent() -> None:
    device = QueueDevice([b"one", b"two"])
    device.outgoing.append(b"three")
    assert [read(device, 64)[4:] for _ in range(4)] == [b"one", b"two", b"three", b""]


def test_a_packet_may_fill_its_buffer_to_the_last_byte() -> None:
    assert read(QueueDevice([b"E123"]), 8) == b"\0\0\0\0E123"


def test_a_packet_longer_than_its_buffer_is_cut_and_flagged() -> None:
    assert read(QueueDevice([b"E1234"]), 8) == bytes([TRUNCATED_FLAG, 0, 0, 0]) + b"E123"


def test_the_rest_of_a_packet_that_was_cut_is_gone() -> None:
    device = QueueDevice([b"E1234", b"next"])
    read(device, 8)
    assert read(device, 8)[4:] == b"next"


def test_a_buffer_for_packet_information_alone_cuts_the_whole_packet() -> None:
    assert read(QueueDevice([b"E123"]), 4) == bytes([TRUNCATED_FLAG, 0, 0, 0])


def test_a_packet_is_read_without_touching_what_lies_behind_it() -> None:
    buffer = bytearray(b"\xa5" * 16)
    QueueDevice([b"E123"]).read_into(memoryview(buffer))
    assert buffer[8:] == b"\xa5" * 8


@pytest.mark.parametrize("room", range(PACKET_INFORMATION_BYTES))
def test_a_buffer_too_short_for_packet_information_gets_nothing_and_raises_nothing(room: int) -> None:
    assert read(QueueDevice([b"E123"]), room) == b""


# --- writing --------------------------------------------------------------------------------------


def test_a_delivered_packet_is_kept_without_its_packet_information() -> None:
    device = QueueDevice()
    assert device.write(memoryview(b"\0\0\x08\0E123"))
    assert list(device.delivered) == [b"E123"]


def test_the_protocol_of_a_delivered_packet_is_kept_beside_it() -> None:
    device = QueueDevice()
    device.write(memoryview(b"\0\0\x86\xdd`123"))
    assert list(device.protocols) == [ETH_P_IPV6]


def test_packets_are_delivered_in_order() -> None:
    device = QueueDevice()
    device.write(memoryview(b"\0\0\0\0one"))
    device.write(memoryview(b"\0\0\0\0two"))
    assert list(device.delivered) == [b"one", b"two"]


def test_a_delivered_packet_stays_when_its_buffer_changes() -> None:
    device = QueueDevice()
    buffer = bytearray(b"\0\0\x08\0E123")
    device.write(memoryview(buffer))
    buffer[:] = bytes(8)
    assert list(device.delivered) == [b"E123"]


def test_an_interface_that_is_down_refuses_a_packet() -> None:
    device = QueueDevice()
    device.is_up = False
    assert not device.write(memoryview(b"\0\0\x08\0E123"))
    assert not device.delivered
    assert not device.protocols


def test_an_interface_that_is_full_refuses_a_packet() -> None:
    device = QueueDevice(capacity=1)
    assert device.write(memoryview(b"\0\0\x08\0one"))
    assert not device.write(memoryview(b"\0\0\x08\0two"))
    assert list(device.delivered) == [b"one"]


def test_an_interface_takes_packets_again_when_some_were_taken_from_it() -> None:
    device = QueueDevice(capacity=1)
    device.write(memoryview(b"\0\0\x08\0one"))
    device.delivered.popleft()
    assert device.write(memoryview(b"\0\0\x08\0two"))


def test_two_interfaces_share_nothing() -> None:
    first, second = QueueDevice(), QueueDevice()
    first.write(memoryview(b"\0\0\x08\0one"))
    assert not second.delivered


@given(packet=st.binary(max_size=80), room=st.integers(PACKET_INFORMATION_BYTES, 64))
def test_what_one_interface_sends_another_takes_up_to_the_size_of_the_buffer(
    packet: bytes, room: int
) -> None:
    device = QueueDevice()
    octets = read(QueueDevice([packet]), room)
    assert device.write(memoryview(octets))
    assert list(device.delivered) == [packet[: room - PACKET_INFORMATION_BYTES]]
    assert (octets[0] == TRUNCATED_FLAG) == (len(packet) + PACKET_INFORMATION_BYTES > room)


# --- packet information ---------------------------------------------------------------------------


@pytest.mark.parametrize("first_byte", range(256))
def test_the_protocol_is_told_from_the_first_nibble(first_byte: int) -> None:
    protocol = {4: ETH_P_IP, 6: ETH_P_IPV6}.get(first_byte >> 4, ETH_P_MAP)
    assert packet_information(first_byte).to_bytes(4, "little") == b"\0\0" + protocol.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("first_byte", "octets"),
    [(0x45, "00000800"), (0x60, "000086dd"), (0x00, "000000f9"), (0x80, "000000f9")],
)
def test_packet_information_is_what_a_tun_expects(first_byte: int, octets: str) -> None:
    assert packet_information(first_byte).to_bytes(4, "little").hex() == octets


@pytest.mark.skipif(sys.byteorder == "big", reason="flags are in host order")
def test_the_flag_of_a_cut_packet_is_tun_pkt_strip() -> None:
    device = QueueDevice([b"E123"])
    assert int.from_bytes(read(device, 5)[:2], sys.byteorder) == 0x0001  # TUN_PKT_STRIP
