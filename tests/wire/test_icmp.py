"""ICMP as a gateway says it, held against scapy."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

from bamdmux.wire.icmp import answer_echo, checksum, decode_icmpv6, encode_icmpv6, unreachable6

HOST4, GATEWAY4 = "10.64.0.2", "10.64.0.1"
HOST6, GATEWAY6 = "2001:db8:64::2", "2001:db8:64::1"
PING4 = bytes(IP(src=HOST4, dst=GATEWAY4, id=7, tos=4) / ICMP(id=1, seq=2) / b"abc")
PING6 = bytes(IPv6(src=HOST6, dst=GATEWAY6) / ICMPv6EchoRequest(id=1, seq=2, data=b"abc"))


def with_checksum4(packet: bytes) -> bytes:
    """The packet as scapy would send it: lengths and checksums anew."""
    layer = IP(packet)
    del layer.chksum, layer.len
    if ICMP in layer:
        del layer[ICMP].chksum
    return bytes(layer)


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # RFC 1071 section 3, complemented
    assert checksum(bytes.fromhex("4500001c00000000400100000a4000020a400001")) == 0x665F
    assert checksum(b"\xff\xfe\x01") == checksum(b"\xff\xfe\x01\x00")


def test_only_zeros_have_a_checksum_of_all_ones() -> None:
    assert checksum(bytes(8)) == 0xFFFF
    assert checksum(b"\xff\xff") == 0


def test_a_ping_is_answered() -> None:
    answer = answer_echo(PING4)
    assert answer is not None
    expected = IP(src=GATEWAY4, dst=HOST4, id=7, tos=4, ttl=64) / ICMP(type=0, id=1, seq=2) / b"abc"
    assert answer == bytes(expected)


def test_a_ping_with_options_is_answered_without() -> None:
    ping = bytes(IP(src=HOST4, dst=GATEWAY4, options=b"\x01\x01\x01\x00") / ICMP(id=1, seq=2) / b"abc")
    assert answer_echo(ping) == bytes(IP(src=GATEWAY4, dst=HOST4) / ICMP(type=0, id=1, seq=2) / b"abc")


def test_a_ping_of_zeros_has_a_checksum_that_is_not_zero() -> None:
    answer = answer_echo(bytes(IP(src=HOST4, dst=GATEWAY4) / ICMP(id=0, seq=0) / bytes(8)))
    assert answer is not None
    assert answer[22:24] == b"\xff\xff"


def test_a_ping_over_ipv6_is_answered() -> None:
    answer = answer_echo(PING6)
    assert answer == bytes(IPv6(src=GATEWAY6, dst=HOST6) / ICMPv6EchoReply(id=1, seq=2, data=b"abc"))


def test_a_ping_without_data_is_answered() -> None:
    ping4 = bytes(IP(src=HOST4, dst=GATEWAY4) / ICMP(id=1, seq=2))
    ping6 = bytes(IPv6(src=HOST6, dst=GATEWAY6) / ICMPv6EchoRequest(id=1, seq=2))
    assert answer_echo(ping4) == bytes(IP(src=GATEWAY4, dst=HOST4) / ICMP(type=0, id=1, seq=2))
    assert answer_echo(ping6) == bytes(IPv6(src=GATEWAY6, dst=HOST6) / ICMPv6EchoReply(id=1, seq=2))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x00" * 40,  # no version that we know
        PING4[:19],
        PING4[:-1],  # its length says more
        PING4[:2] + b"\0\x20" + PING4[4:],  # by one byte, and its checksum is right
        b"\x44" + PING4[1:],  # a header shorter than a header
        b"\x44\4\0\x1b" + PING4[4:16] + PING4[20:],  # and its lengths and checksum are right
        with_checksum4(PING4[:24]),  # a message shorter than a message
        bytes(IP(src=HOST4, dst=GATEWAY4, proto=1) / Raw(b"\x08\0\xf7\xff")),  # and its checksum is right
        bytes(IP(src=HOST4, dst=GATEWAY4) / UDP() / b"12345678"),
        PING4[:9] + b"\x11" + PING4[10:],  # it only looks like a ping
        bytes(IP(src=HOST4, dst=GATEWAY4, flags="MF") / ICMP() / b"12345678"),
        bytes(IP(src=HOST4, dst=GATEWAY4) / ICMP(type=0) / b"12345678"),
        PING4[:-1] + b"x",  # checksum
        bytes(IPv6(src=HOST6, dst=GATEWAY6) / ICMPv6EchoReply(id=1, seq=2, data=b"abc")),
        PING6[:43],
        PING6[:-1] + b"x",
        encode_icmpv6(IPv6Address(HOST6).packed, IPv6Address(GATEWAY6).packed, 64, b"\x80\0\0\0\0\0"),
    ],
)
def test_what_is_no_ping_gets_no_answer(packet: bytes) -> None:
    assert answer_echo(packet) is None


@pytest.mark.parametrize(
    "packet",
    [
        b"\x45" + PING6[1:],
        PING6 + b"x",  # longer than it says
        PING6[:5] + b"\x0c" + PING6[6:],  # one byte shorter, and its checksum is right
        PING6[:6] + b"\x3c" + PING6[7:],  # destination options; it only looks like ICMPv6
        bytes(IPv6(src=HOST6, dst=GATEWAY6) / UDP() / b"12345678"),
    ],
)
def test_what_is_no_icmpv6_is_not_read(packet: bytes) -> None:
    assert decode_icmpv6(packet) is None


def test_a_destination_without_a_route_is_unreachable() -> None:
    packet = bytes(IPv6(src=HOST6, dst="2001:db8:1::1") / UDP(sport=1, dport=2) / (b"x" * 2000))
    answer = unreachable6(packet, IPv6Address(GATEWAY6))
    assert answer is not None
    assert len(answer) == 1280
    read = IPv6(answer)
    assert (read.src, read.dst, read[ICMPv6DestUnreach].code) == (GATEWAY6, HOST6, 0)
    expected = IPv6(src=GATEWAY6, dst=HOST6) / ICMPv6DestUnreach() / Raw(packet[:1232])
    assert answer == bytes(expected)


def test_a_ping_without_a_route_is_unreachable() -> None:
    assert unreachable6(PING6, IPv6Address(GATEWAY6)) is not None


def test_a_packet_that_is_nothing_but_a_header_is_unreachable() -> None:
    assert unreachable6(bytes(IPv6(src=HOST6, dst="2001:db8::1", nh=59)), IPv6Address(GATEWAY6)) is not None


@pytest.mark.parametrize(
    "packet",
    [
        PING6[:39],
        b"\x45" + PING6[1:],
        bytes(
            IPv6(src=HOST6, dst="2001:db8::1") / ICMPv6DestUnreach()
        ),  # an error is never answered with one
        bytes(IPv6(src=HOST6, dst="2001:db8::1", nh=58)),
        bytes(IPv6(src=HOST6, dst="ff02::1") / UDP()),
        bytes(IPv6(src="ff02::1", dst="2001:db8::1") / UDP()),
        bytes(IPv6(src="::", dst="2001:db8::1") / UDP()),
    ],
)
def test_what_never_gets_an_error_gets_none(packet: bytes) -> None:
    assert unreachable6(packet, IPv6Address(GATEWAY6)) is None


@given(st.binary(min_size=4, max_size=100), st.integers(0, 255))
def test_what_is_encoded_is_decoded(message: bytes, hop_limit: int) -> None:
    source, destination = IPv6Address(HOST6).packed, IPv6Address(GATEWAY6).packed
    decoded = decode_icmpv6(encode_icmpv6(source, destination, hop_limit, message))
    assert decoded is not None
    assert decoded[:3] == (source, destination, hop_limit)
    assert decoded[3][:2] + decoded[3][4:] == message[:2] + message[4:]


@given(st.binary(max_size=100), st.sampled_from([b"", PING4, PING6]), st.integers(0, 100))
def test_any_bytes_get_an_answer_or_none(data: bytes, packet: bytes, position: int) -> None:
    mixed = packet[:position] + data + packet[position + len(data) :]
    answer_echo(mixed)
    decode_icmpv6(mixed)
    unreachable6(mixed, IPv6Address(GATEWAY6))
