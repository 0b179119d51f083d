"""The modem's end of passt, with the test in passt's place."""

import logging
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.live.networks.frame_stream import FrameStream
from bamdmux.live.networks.passt_device import ANSWERS, FRAMES_PER_READ, PasstDevice
from bamdmux.modem.network import Bearer
from bamdmux.netdevice import ETH_P_IP, ETH_P_IPV6, TRUNCATED_FLAG, packet_information
from bamdmux.wire.ethernet import (
    BROADCAST,
    ETH_P_ARP,
    Advertisement,
    Arp,
    ArpOperation,
    Solicitation,
    decode_neighbour,
    encode_advertisement,
    encode_arp,
    encode_frame,
    encode_solicitation,
)
from bamdmux.wire.icmp import ICMP, ICMPV6, IPV4_HEADER, IPV6_HEADER, answer_echo, encode_icmpv6, unreachable6

MAC, GATEWAY_MAC = bytes.fromhex("020000640002"), bytes.fromhex("020000640001")
BEARER = Bearer(0)
HOST6 = BEARER.prefix6[2]
FAR6 = IPv6Address("2001:db8:1::1")
LOCAL6 = IPv6Address("fe80::ff:fe64:2")  # of MAC


def packet4(source: str = "10.64.0.2", destination: str = "192.0.2.1", protocol: int = 17) -> bytes:
    addresses = IPv4Address(source).packed, IPv4Address(destination).packed
    return IPV4_HEADER.pack(0x45, 0, 24, 0, 0, 64, protocol, 0, *addresses) + b"data"


def packet6(source: IPv6Address = HOST6, destination: IPv6Address = FAR6, protocol: int = 17) -> bytes:
    return IPV6_HEADER.pack(6 << 28, 4, protocol, 64, source.packed, destination.packed) + b"data"


def ping4(destination: str = "10.64.0.1") -> bytes:
    addresses = IPv4Address("10.64.0.2").packed, IPv4Address(destination).packed
    header = IPV4_HEADER.pack(0x45, 0, 28, 0, 0, 64, ICMP, 0, *addresses)
    return header + b"\x08\0\xf7\xff\0\0\0\0"


def ping6(destination: IPv6Address = BEARER.gateway6) -> bytes:
    return encode_icmpv6(HOST6.packed, destination.packed, 64, b"\x80\0\0\0\0\1\0\2")


class Passt:
    """What passt sees and does."""

    def __init__(self, *, has_ipv6: bool = True) -> None:
        near, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.device = PasstDevice(
            FrameStream(near),
            BEARER,
            mac=MAC,
            gateway_mac4=GATEWAY_MAC,
            gateway_mac6=GATEWAY_MAC if has_ipv6 else None,
        )

    def send(self, protocol: int, payload: bytes, destination: bytes = MAC) -> None:
        self.send_frame(encode_frame(destination, GATEWAY_MAC, protocol, payload))

    def send_frame(self, frame: bytes) -> None:
        self.socket.send(struct.pack(">I", len(frame)) + frame)

    def received(self) -> bytes | None:
        """One frame, without its length."""
        try:
            message = self.socket.recv(1 << 16)
        except BlockingIOError:
            return None
        assert struct.unpack_from(">I", message)[0] == len(message) - 4
        return message[4:]

    def read(self, room: int = 2040) -> tuple[bytes, bytes] | None:
        """What the modem reads: packet information, and packet."""
        buffer = memoryview(bytearray(4 + room))
        length = self.device.read_into(buffer)
        return (bytes(buffer[:4]), bytes(buffer[4:length])) if length else None

    def write(self, packet: bytes) -> bool:
        """What the modem writes."""
        information = packet_information(packet[0] if packet else 0).to_bytes(4, "little")
        return self.device.write(memoryview(information + packet))

    def close(self) -> None:
        self.device.close()
        self.socket.close()


@pytest.mark.parametrize(("protocol", "packet"), [(ETH_P_IP, packet4()), (ETH_P_IPV6, packet6())])
def test_packets_go_both_ways(protocol: int, packet: bytes) -> None:
    passt = Passt()
    assert passt.read() is None
    assert passt.write(packet)
    assert passt.received() == encode_frame(GATEWAY_MAC, MAC, protocol, packet)
    passt.send(protocol, packet)
    assert passt.read() == (b"\0\0" + protocol.to_bytes(2, "big"), packet)
    assert passt.read() is None
    passt.close()


def test_a_packet_that_is_longer_than_the_buffer_is_cut_and_flagged() -> None:
    passt = Passt()
    packet = packet4() + bytes(3000)
    passt.send(ETH_P_IP, packet)
    assert passt.read() == (bytes((TRUNCATED_FLAG, 0, 8, 0)), packet[:2040])
    passt.send(ETH_P_IP, packet)
    assert passt.device.read_into(memoryview(bytearray(3))) == 0
    assert passt.read() is None
    assert passt.device.counts == {"cut": 1}
    passt.close()


def test_an_arp_request_for_the_bearer_is_answered() -> None:
    passt = Passt()
    gateway, host = BEARER.gateway4, BEARER.address4
    request = Arp(ArpOperation.REQUEST, GATEWAY_MAC, gateway, bytes(6), host)
    passt.send(ETH_P_ARP, encode_arp(request), BROADCAST)
    assert passt.read() is None
    answer = Arp(ArpOperation.REPLY, MAC, host, GATEWAY_MAC, gateway)
    assert passt.received() == encode_frame(GATEWAY_MAC, MAC, ETH_P_ARP, encode_arp(answer))
    for other in (
        Arp(ArpOperation.REQUEST, GATEWAY_MAC, gateway, bytes(6), IPv4Address("10.64.0.3")),
        Arp(ArpOperation.REPLY, GATEWAY_MAC, gateway, MAC, host),
    ):
        passt.send(ETH_P_ARP, encode_arp(other))
        assert passt.read() is None
        assert passt.received() is None
    passt.close()


@pytest.mark.parametrize("target", [HOST6, BEARER.prefix6[0xABCD], LOCAL6])
def test_a_solicitation_for_the_bearer_is_answered(target: IPv6Address) -> None:
    passt = Passt()
    passt.send(ETH_P_IPV6, encode_solicitation(Solicitation(BEARER.gateway6, target, GATEWAY_MAC)))
    assert passt.read() is None
    frame = passt.received()
    assert frame is not None
    assert frame[:14] == GATEWAY_MAC + MAC + b"\x86\xdd"
    assert decode_neighbour(frame[14:]) == Advertisement(target, BEARER.gateway6, target, MAC)
    passt.close()


@pytest.mark.parametrize(
    "packet",
    [
        encode_solicitation(Solicitation(HOST6, BEARER.gateway6, GATEWAY_MAC)),  # for itself
        encode_solicitation(Solicitation(HOST6, FAR6, GATEWAY_MAC)),
        encode_solicitation(Solicitation(BEARER.gateway6, HOST6, None)),  # nowhere to answer to
        encode_advertisement(Advertisement(BEARER.gateway6, HOST6, BEARER.gateway6, GATEWAY_MAC)),
        encode_icmpv6(
            LOCAL6.packed, HOST6.packed, 255, b"\x86\0\0\0" + bytes(12)
        ),  # a router's advertisement
    ],
)
def test_other_neighbour_discovery_goes_no_further(packet: bytes) -> None:
    passt = Passt()
    passt.send(ETH_P_IPV6, packet)
    assert passt.read() is None
    assert passt.received() is None
    passt.close()


def test_other_icmpv6_is_a_packet() -> None:
    passt = Passt()
    packet = encode_icmpv6(FAR6.packed, HOST6.packed, 64, b"\x81\0\0\0\0\1\0\2")
    passt.send(ETH_P_IPV6, packet)
    assert passt.read() == (b"\0\0\x86\xdd", packet)
    passt.close()


def test_what_passt_should_not_send_is_counted() -> None:
    passt = Passt()
    passt.send_frame(bytes(13))
    passt.send_frame(bytes(14))
    passt.send(0x88CC, b"a switch's")
    passt.send(ETH_P_ARP, b"short")
    passt.send(ETH_P_IPV6, packet6(protocol=ICMPV6)[:40] + b"\x87\0bad")
    passt.send(ETH_P_IP, packet4())
    assert passt.read() == (b"\0\0\x08\0", packet4())
    assert passt.device.counts == {
        "short_frame": 2,
        "unknown_protocol": 1,
        "bad_arp": 1,
        "other_neighbour": 1,
    }
    passt.close()


def test_a_flood_of_frames_that_are_no_packets_does_not_keep_the_loop() -> None:
    passt = Passt()
    frame = struct.pack(">I", 20) + bytes(12) + b"\x88\xcc" + bytes(6)
    passt.socket.send(frame * (FRAMES_PER_READ + 1))
    passt.send(ETH_P_IP, packet4())
    assert passt.read() is None
    assert passt.device.counts["unknown_protocol"] == FRAMES_PER_READ
    assert passt.read() == (b"\0\0\x08\0", packet4())
    passt.close()


def test_packets_of_other_bearers_are_refused_and_counted() -> None:
    passt = Passt()
    assert not passt.write(packet4(source="10.64.1.2"))
    assert not passt.write(packet6(source=Bearer(1).prefix6[2]))
    assert passt.device.counts == {"other_bearer": 2}
    assert passt.received() is None
    passt.close()


def test_link_local_packets_go_no_further() -> None:
    passt = Passt()
    assert passt.write(packet6(source=LOCAL6))
    assert passt.received() is None
    passt.close()


@pytest.mark.parametrize("packet", [b"", b"\x45", packet4()[:19], packet6()[:39], b"\x00" * 40])
def test_what_is_no_packet_is_refused(packet: bytes) -> None:
    passt = Passt()
    assert not passt.write(packet)
    assert passt.received() is None
    passt.close()


@pytest.mark.parametrize("ping", [ping4(), ping6()])
def test_the_gateway_answers_pings(ping: bytes) -> None:
    passt = Passt()
    assert passt.write(ping)
    assert passt.received() is None
    answer = passt.read()
    assert answer is not None
    assert answer[1] == answer_echo(ping)
    assert passt.read() is None
    passt.close()


@pytest.mark.parametrize(
    "packet", [ping4("192.0.2.1"), ping6(FAR6), packet4(destination="10.64.0.1", protocol=ICMP)]
)
def test_other_pings_are_passt_s(packet: bytes) -> None:
    passt = Passt()
    assert passt.write(packet)
    assert passt.received() is not None
    assert passt.read() is None
    passt.close()


def test_answers_are_bounded() -> None:
    passt = Passt()
    for _ in range(ANSWERS + 3):
        assert passt.write(ping4())
    assert passt.device.counts == {"answers_full": 3}
    assert next(number for number in count() if passt.read() is None) == ANSWERS
    passt.close()


def test_without_ipv6_every_destination_is_unreachable() -> None:
    passt = Passt(has_ipv6=False)
    assert not passt.write(packet6())
    answer = passt.read()
    assert answer is not None
    assert answer[1] == unreachable6(packet6(), BEARER.gateway6)
    assert not passt.write(packet6(destination=IPv6Address("ff02::1")))
    assert passt.read() is None
    assert passt.device.counts == {"no_ipv6": 2}
    passt.close()


def test_the_end_of_passt_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    passt = Passt()
    passt.socket.close()
    with caplog.at_level(logging.ERROR, "bamdmux.network"):
        assert not passt.write(packet4())
        assert passt.read() is None
        assert passt.read() is None
        assert not passt.write(packet4())
        assert not passt.write(ping4())
        assert passt.read() is None
    assert [record.getMessage() for record in caplog.records] == [
        "passt is gone, and nothing gets beyond the modem any more: the far end has ended"
    ]
    assert passt.device.fileno() >= 0
    passt.close()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=60),
            st.sampled_from([b"", b"\x08\x00", b"\x08\x06", b"\x86\xdd"]),
            st.sampled_from([b"", packet4(), packet6(protocol=ICMPV6)]),
        ),
        max_size=6,
    )
)
def test_passt_may_send_anything(parts: list[tuple[bytes, bytes, bytes]]) -> None:
    passt = Passt()
    try:
        for data, protocol, packet in parts:
            passt.send_frame(bytes(12) + protocol + packet + data)
            passt.write(packet + data)
        while passt.read(100) is not None:
            continue
        passt.send(ETH_P_IP, packet4())
        assert passt.read() == (b"\0\0\x08\0", packet4())
    finally:
        passt.close()
