"""DHCP, held against scapy."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

from bamdmux.wire.dhcp import Kind, Reply, decode_reply, encode_request

MAC = bytes.fromhex("020000640002")
HOST, GATEWAY = IPv4Address("10.64.0.2"), IPv4Address("10.64.0.1")
TRANSACTION = 0x8916
OPTIONS = [
    ("message-type", "ack"),
    ("lease_time", 3600),
    "pad",
    ("subnet_mask", "255.255.255.252"),
    ("router", "10.64.0.1", "10.64.0.9"),
    "end",
]
ACK = Reply(Kind.ACK, TRANSACTION, MAC, HOST, IPv4Address("255.255.255.252"), GATEWAY)


def reply(options: list[object] = OPTIONS, *, udp: UDP | None = None, **fields: object) -> Packet:
    """A server's reply, as scapy makes it."""
    fields = {
        "op": 2,
        "htype": 1,
        "hlen": 6,
        "xid": TRANSACTION,
        "yiaddr": str(HOST),
        "chaddr": MAC,
        **fields,
    }
    udp = udp or UDP(sport=67, dport=68)
    return IP(src=str(GATEWAY), dst=str(HOST)) / udp / BOOTP(**fields) / DHCP(options=options)


def test_a_request_is_what_a_server_expects() -> None:
    packet = encode_request(MAC, HOST, TRANSACTION)
    assert packet[:28].hex() == "4500014800000000401179a600000000ffffffff0044004301340000"
    assert len(packet) == 328  # 300 bytes of BOOTP
    read = IP(packet)
    assert (read.src, read.dst, read.sport, read.dport) == ("0.0.0.0", "255.255.255.255", 68, 67)
    assert (read[BOOTP].op, read[BOOTP].xid, read[BOOTP].chaddr[:6]) == (1, TRANSACTION, MAC)
    options = read[DHCP].options
    assert options[:3] == [("message-type", 3), ("requested_addr", str(HOST)), ("param_req_list", [1, 3])]
    del read.chksum
    assert bytes(read) == packet


def test_a_request_is_empty_where_it_has_nothing_to_say() -> None:
    message = BOOTP(op=1, xid=TRANSACTION, chaddr=MAC)
    asked = [("message-type", "request"), ("requested_addr", str(HOST)), ("param_req_list", [1, 3]), "end"]
    expected = bytes(message / DHCP(options=asked)).ljust(300, b"\0")
    assert encode_request(MAC, HOST, TRANSACTION)[20 + 8 :] == expected


def test_a_reply_is_read() -> None:
    assert decode_reply(bytes(reply())) == ACK


def test_an_offer_is_told_from_an_ack() -> None:
    offer = decode_reply(bytes(reply([("message-type", "offer")])))
    assert offer is not None
    assert offer.kind is Kind.OFFER


def test_a_reply_is_read_behind_ip_options_and_before_padding() -> None:
    packet = reply()
    packet.options = [b"\1\1\1\0"]
    assert decode_reply(bytes(packet) + bytes(9)) == ACK


def test_options_end_where_they_end_or_make_no_sense() -> None:
    kind = b"\x35\1\6"
    for tail in (b"", b"\xff\0\1\4abcd", b"\1", b"\1\5abcd", b"\1\2ab"):
        packet = bytes(reply([]) / Raw(kind + tail))
        assert decode_reply(packet) == Reply(Kind.NAK, TRANSACTION, MAC, HOST, None, None)


WHOLE = len(bytes(reply()))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(reply())[:19],
        b"\x65" + bytes(reply())[1:],
        b"\x44" + bytes(reply())[1:16] + bytes(reply())[20:] + bytes(4),  # a header of 16 bytes
        bytes(reply())[:-1],  # its length says more
        bytes(reply(udp=UDP(sport=67, dport=68, len=WHOLE - 20 + 9))) + bytes(9),  # UDP's says more than IP's
        bytes(reply())[:2] + (WHOLE + 1).to_bytes(2, "big") + bytes(reply())[4:],
        bytes(reply())[:9] + b"\6" + bytes(reply())[10:],  # TCP
        bytes(reply(udp=UDP(sport=67, dport=68, len=8 + 240))),  # the options lie behind what UDP says
        bytes(IP() / Raw(bytes(300))),
        bytes(IP(flags="MF") / UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=OPTIONS)),
        bytes(IP() / UDP(sport=67, dport=68) / Raw(bytes(200))),
        bytes(IP(proto=17) / Raw(bytes(7))),
        bytes(reply(udp=UDP(sport=67, dport=69))),
        bytes(reply(udp=UDP(sport=66, dport=68))),
        bytes(reply(udp=UDP(sport=67, dport=68, len=100))),
        bytes(reply(udp=UDP(sport=67, dport=68, len=1000))),
        bytes(reply(op=1)),
        bytes(reply(htype=6)),
        bytes(reply(hlen=8)),
        bytes(IP() / UDP(sport=67, dport=68) / BOOTP(op=2, options=b"") / Raw(b"abcd\x35\1\5")),
        bytes(reply(["end"])),
        bytes(reply([("message-type", "discover")])),
        bytes(reply([])) + b"\x35\2\5\5",
    ],
)
def test_what_is_no_reply_is_not_read(packet: bytes) -> None:
    assert decode_reply(packet) is None


@given(st.binary(max_size=100), st.integers(0, 330))
def test_any_bytes_are_a_reply_or_not(data: bytes, position: int) -> None:
    packet = bytes(reply())
    decode_reply(data)
    decode_reply(packet[:position] + data + packet[position + len(data) :])
    decode_reply(packet[: 20 + 8 + 240] + data)
