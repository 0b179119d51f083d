"""ARP and neighbour discovery, held against scapy."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from bamdmux.wire.ethernet import (
    BROADCAST,
    ETH_P_ARP,
    FIRST_NEIGHBOUR_TYPE,
    LAST_NEIGHBOUR_TYPE,
    Advertisement,
    Arp,
    ArpOperation,
    Solicitation,
    decode_arp,
    decode_neighbour,
    encode_advertisement,
    encode_arp,
    encode_frame,
    encode_solicitation,
    multicast_mac,
    solicited_node,
)

MAC, OTHER_MAC = bytes.fromhex("020000640002"), bytes.fromhex("020000640001")
HOST, GATEWAY = IPv4Address("10.64.0.2"), IPv4Address("10.64.0.1")
HOST6, GATEWAY6 = IPv6Address("fe80::64:2"), IPv6Address("2001:db8:64::1")

macs = st.binary(min_size=6, max_size=6)
addresses6 = st.ip_addresses(v=6)
unicasts6 = addresses6.filter(lambda address: not address.is_multicast)


def test_an_arp_request_is_as_on_every_wire() -> None:
    request = Arp(ArpOperation.REQUEST, MAC, HOST, bytes(6), GATEWAY)
    frame = encode_frame(BROADCAST, MAC, ETH_P_ARP, encode_arp(request))
    assert frame.hex() == (
        "ffffffffffff" "020000640002" "0806"
        "0001" "0800" "06" "04" "0001" "020000640002" "0a400002" "000000000000" "0a400001"
    )  # fmt: skip
    expected = Ether(src=MAC, dst=BROADCAST) / ARP(op=1, hwsrc=MAC, psrc=str(HOST), pdst=str(GATEWAY))
    assert frame == bytes(expected)


def test_an_arp_reply_is_read_behind_its_padding() -> None:
    payload = bytes(ARP(op=2, hwsrc=OTHER_MAC, psrc=str(GATEWAY), hwdst=MAC, pdst=str(HOST)))
    assert decode_arp(payload + bytes(18)) == Arp(ArpOperation.REPLY, OTHER_MAC, GATEWAY, MAC, HOST)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(ARP(op=1))[:27],
        bytes(ARP(op=3)),
        bytes(ARP(op=1, hwtype=6)),
        bytes(ARP(op=1, ptype=0x86DD, psrc="10.0.0.1", pdst="10.0.0.2", plen=4)),
        b"\0\1\x08\0\x08\4" + bytes(ARP(op=1))[6:],
    ],
)
def test_what_is_no_arp_for_ipv4_is_not_read(payload: bytes) -> None:
    assert decode_arp(payload) is None


@given(st.sampled_from(ArpOperation), macs, st.ip_addresses(v=4), macs, st.ip_addresses(v=4))
def test_arp_goes_there_and_back(
    operation: ArpOperation, sender_mac: bytes, sender: IPv4Address, target_mac: bytes, target: IPv4Address
) -> None:
    arp = Arp(operation, sender_mac, sender, target_mac, target)
    assert decode_arp(encode_arp(arp)) == arp


@given(st.binary(max_size=60))
def test_any_bytes_are_arp_or_not(data: bytes) -> None:
    arp = decode_arp(data)
    assert arp is None or encode_arp(arp) == data[:28]


def test_neighbour_discovery_is_from_router_solicitation_to_redirect() -> None:
    assert (ICMPv6ND_RS().type, ICMPv6ND_Redirect().type) == (FIRST_NEIGHBOUR_TYPE, LAST_NEIGHBOUR_TYPE)


def test_who_is_looked_for_has_an_address_of_its_own() -> None:
    assert solicited_node(IPv6Address("2001:db8::aabb:ccdd")) == IPv6Address("ff02::1:ffbb:ccdd")
    assert multicast_mac(IPv6Address("ff02::1:ffbb:ccdd")) == bytes.fromhex("3333ffbbccdd")


def test_a_solicitation_is_as_scapy_makes_it() -> None:
    packet = encode_solicitation(Solicitation(HOST6, GATEWAY6, MAC))
    expected = (
        IPv6(src=str(HOST6), dst="ff02::1:ff00:1", hlim=255)
        / ICMPv6ND_NS(tgt=str(GATEWAY6))
        / ICMPv6NDOptSrcLLAddr(lladdr=MAC.hex(":"))
    )
    assert packet == bytes(expected)


def test_an_advertisement_is_as_scapy_makes_it() -> None:
    packet = encode_advertisement(Advertisement(GATEWAY6, HOST6, GATEWAY6, MAC))
    expected = (
        IPv6(src=str(GATEWAY6), dst=str(HOST6), hlim=255)
        / ICMPv6ND_NA(tgt=str(GATEWAY6), R=0, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=MAC.hex(":"))
    )
    assert packet == bytes(expected)


def test_other_options_are_passed_over() -> None:
    header = IPv6(src=str(HOST6), dst=str(GATEWAY6), hlim=255) / ICMPv6ND_NS(tgt=str(GATEWAY6))
    source = ICMPv6NDOptSrcLLAddr(lladdr=MAC.hex(":"))
    options = ICMPv6NDOptMTU() / ICMPv6NDOptPrefixInfo() / source / ICMPv6NDOptMTU()
    assert decode_neighbour(bytes(header / options)) == Solicitation(HOST6, GATEWAY6, MAC)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        IPv6(src="fe80::1", dst="fe80::2", hlim=64) / ICMPv6ND_NS(tgt="fe80::2"),  # a router forwarded it
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NS(tgt="ff02::2"),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NS(tgt="fe80::2", code=1),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NS(tgt="fe80::2", cksum=1),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_RA() / Raw(bytes(8)),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_RA(),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_RA() / ICMPv6NDOptMTU(),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NS(tgt="fe80::2") / Raw(b"\1"),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NS(tgt="fe80::2") / Raw(b"\1\2" + bytes(6)),
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NS(tgt="fe80::2") / Raw(b"\1\0" + bytes(6)),
    ],
)
def test_what_breaks_the_rules_is_not_read(packet: bytes | IPv6) -> None:
    assert decode_neighbour(bytes(packet)) is None


@given(unicasts6, unicasts6, macs | st.none())
def test_solicitations_go_there_and_back(source: IPv6Address, target: IPv6Address, mac: bytes | None) -> None:
    solicitation = Solicitation(source, target, mac)
    assert decode_neighbour(encode_solicitation(solicitation)) == solicitation


@given(unicasts6, addresses6, unicasts6, macs | st.none())
def test_advertisements_go_there_and_back(
    source: IPv6Address, destination: IPv6Address, target: IPv6Address, mac: bytes | None
) -> None:
    advertisement = Advertisement(source, destination, target, mac)
    assert decode_neighbour(encode_advertisement(advertisement)) == advertisement


@given(st.binary(max_size=100), st.integers(0, 80))
def test_any_bytes_are_a_neighbour_or_not(data: bytes, position: int) -> None:
    packet = encode_solicitation(Solicitation(HOST6, GATEWAY6, MAC))
    decode_neighbour(data)
    decode_neighbour(packet[:position] + data + packet[position + len(data) :])
