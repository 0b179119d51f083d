import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from bamdmux.counters import DropReason
from bamdmux.modem.network import (
    PASSES,
    SOLICITATION,
    Bearer,
    PacketDataNetwork,
    check_uplink,
    is_router_solicitation,
    router_advertisement,
    source6,
)
from tests.modem import near_end
from tests.modem.near_end import packet4, packet6

ALL_ZEROES = bytes(16)


def check(packet: bytes, channel: int = 0) -> int:
    """As in the middle of a buffer, with other bytes before and after."""
    buffer = bytearray(b"\xff" * 8 + packet + b"\xff" * 40)
    return check_uplink(Bearer(channel), buffer, 8, len(packet))


# -- the address plan


def test_each_channel_has_its_own_addresses() -> None:
    bearer = Bearer(5)
    assert bearer.gateway4 == IPv4Address("10.64.5.1")
    assert bearer.address4 == IPv4Address("10.64.5.2")
    assert bearer.prefix4_length == 30
    assert bearer.prefix6 == IPv6Network("2001:db8:64:5::/64")
    assert bearer.gateway6 == IPv6Address("2001:db8:64:5::1")
    assert bearer.address6 == IPv6Address("2001:db8:64:5::2")


def test_only_the_channels_of_the_profile_have_bearers() -> None:
    network = PacketDataNetwork((1, 6))
    assert [bearer is not None for bearer in network.bearers] == [
        False, True, False, False, False, False, True, False,
    ]  # fmt: skip


def test_a_bearer_is_found_by_its_ipv4_address() -> None:
    network = PacketDataNetwork(range(8))
    for channel in range(8):
        key = int(IPv4Address(f"10.64.{channel}.2"))
        assert network.bearer_by_address4[key] is network.bearers[channel]
    assert int(IPv4Address("10.64.0.3")) not in network.bearer_by_address4


def test_a_bearer_is_found_by_the_first_half_of_an_ipv6_address() -> None:
    network = PacketDataNetwork(range(8))
    for channel in range(8):
        key = int(IPv6Address(f"2001:db8:64:{channel}:a:b:c:d")) >> 64
        assert network.bearer_by_prefix6[key] is network.bearers[channel]


# -- up and down


def test_a_bearer_is_up_for_both_versions_of_ip_or_down() -> None:
    bearer = Bearer(0)
    assert bearer.versions == (4, 6)
    bearer.deactivate(4, 6)
    assert bearer.versions == ()


@pytest.mark.parametrize(("version", "other"), [(4, 6), (6, 4)])
def test_each_version_goes_up_and_down_alone_and_has_the_mtu(version: int, other: int) -> None:
    bearer = Bearer(0, mtu=1428)
    bearer.deactivate(version)
    assert (bearer.versions, bearer.is_up) == ((other,), True)
    bearer.deactivate(other)
    assert (bearer.versions, bearer.is_up) == ((), False)
    bearer.activate(version)
    assert (bearer.versions, bearer.is_up) == ((version,), True)
    assert {bearer.limit4, bearer.limit6} == {0, 1428}


@pytest.mark.parametrize("packet", [packet4(length=1429), packet6(length=1429)])
def test_a_longer_packet_is_refused_by_a_bearer_that_is_up_and_one_that_is_down_says_so(
    packet: bytes,
) -> None:
    bearer = Bearer(0, mtu=1428)
    assert check_uplink(bearer, bytearray(packet), 0, len(packet)) == DropReason.LONGER_THAN_MTU
    bearer.deactivate(4, 6)
    assert check_uplink(bearer, bytearray(packet), 0, len(packet)) == DropReason.NO_BEARER


def test_nobody_resolves_names_unless_the_network_says_so() -> None:
    assert (Bearer(0).name_servers4, Bearer(0).name_servers6) == ((), ())


# -- what may go up


def test_a_packet_from_the_bearers_address_passes() -> None:
    assert check(packet4()) == PASSES
    assert check(packet6()) == PASSES


def test_any_address_of_the_bearers_prefix_passes() -> None:
    assert check(packet6(source="2001:db8:64:0:dead:beef:1:2")) == PASSES


def test_a_packet_from_another_bearers_address_is_dropped() -> None:
    assert check(packet4(source="10.64.1.2")) == DropReason.WRONG_SOURCE
    assert check(packet6(source="2001:db8:64:1::2")) == DropReason.WRONG_SOURCE


def test_the_gateways_address_is_not_the_hosts() -> None:
    assert check(packet4(source="10.64.0.1")) == DropReason.WRONG_SOURCE


@pytest.mark.parametrize("source", ["fe80::1234", "febf::1"])
def test_link_local_addresses_pass(source: str) -> None:
    assert check(packet6(source=source)) == PASSES


@pytest.mark.parametrize("source", ["::", "fec0::1", "fe40::1", "ff02::1"])
def test_addresses_that_only_look_link_local_do_not(source: str) -> None:
    assert check(packet6(source=source)) == DropReason.WRONG_SOURCE


@pytest.mark.parametrize(("packet", "length"), [(packet4(), 19), (packet6(), 39), (packet4(), 1)])
def test_a_packet_too_short_for_addresses_is_truncated(packet: bytes, length: int) -> None:
    assert check(packet[:length]) == DropReason.TRUNCATED


@pytest.mark.parametrize("first_byte", [b"\x00", b"\x50", b"\xf0"])
def test_what_is_not_ip_has_no_bearer(first_byte: bytes) -> None:
    assert check(first_byte + bytes(60)) == DropReason.NO_BEARER


@given(packet=st.binary(min_size=1, max_size=100))
def test_any_bytes_get_a_verdict(packet: bytes) -> None:
    verdict = check(packet)
    assert verdict in (PASSES, SOLICITATION) or DropReason(verdict)


# -- router solicitations


def test_a_solicitation_is_to_be_answered() -> None:
    assert check(near_end.SOLICITATION) == SOLICITATION


def test_one_without_a_source_is_too() -> None:
    assert check(near_end.SOLICITATION_FROM_NOWHERE) == SOLICITATION


def test_one_with_a_link_layer_option_is_too() -> None:
    solicitation = IPv6(src="fe80::1", dst="ff02::2", hlim=255) / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr()
    assert check(bytes(solicitation)) == SOLICITATION


def test_a_solicitation_may_come_from_an_address_that_the_host_has_already() -> None:
    solicitation = IPv6(src="2001:db8:64::5", dst="ff02::2", hlim=255) / ICMPv6ND_RS()
    assert check(bytes(solicitation)) == SOLICITATION


def test_all_other_icmpv6_passes() -> None:
    assert check(bytes(IPv6(src="2001:db8:64::5", dst="2001:db8::1") / ICMPv6EchoRequest())) == PASSES


def changed(offset: int, value: int) -> bytes:
    packet = bytearray(near_end.SOLICITATION)
    packet[offset] = value
    return bytes(packet)


@pytest.mark.parametrize(
    "packet",
    [
        changed(6, 17),  # UDP
        changed(7, 254),  # forwarded by a router
        changed(5, 7),  # payload shorter than it is
        changed(5, 9),  # payload longer than it is
        changed(40, 135),  # a neighbour solicitation
        changed(41, 1),  # code
        changed(43, 0),  # checksum
        near_end.SOLICITATION + b"\0",
        near_end.SOLICITATION[:44],
        near_end.SOLICITATION[:40],
    ],
)
def test_what_is_almost_a_solicitation_is_an_ordinary_packet(packet: bytes) -> None:
    assert not is_router_solicitation(packet)
    assert check(packet) == PASSES


def test_one_of_four_bytes_is_none_whatever_its_checksum() -> None:
    packet = bytearray(near_end.SOLICITATION[:44])
    packet[5] = 4
    packet[42:44] = (0x727B + 4).to_bytes(2, "big")  # right for a payload that is 4 bytes shorter
    assert not is_router_solicitation(bytes(packet))


def test_an_odd_number_of_bytes_is_summed_as_if_a_zero_followed() -> None:
    packet = bytes(IPv6(src="fe80::1", dst="ff02::2", hlim=255) / ICMPv6ND_RS() / b"\x01\x02\x03")
    assert len(packet) % 2
    assert is_router_solicitation(packet)


# -- router advertisements


def test_the_advertisement_byte_for_byte() -> None:
    solicitor = source6(near_end.SOLICITATION)
    packet = router_advertisement(Bearer(3), solicitor)
    assert packet[:8] == bytes.fromhex("60000000 00383aff")
    assert packet[8:24] == IPv6Address("fe80::1").packed
    assert packet[24:40] == IPv6Address("fe80::abc").packed
    assert packet[40:42] == b"\x86\0"
    assert packet[44:56] == bytes.fromhex("40 00 2328 00000000 00000000")
    assert packet[56:72] == bytes.fromhex("03 04 40 c0 ffffffff ffffffff 00000000")
    assert packet[72:88] == IPv6Address("2001:db8:64:3::").packed
    assert packet[88:] == bytes.fromhex("05 01 0000 000005dc")


@pytest.mark.parametrize("channel", range(8))
def test_the_advertisement_as_another_implementation_reads_it(channel: int) -> None:
    packet = router_advertisement(Bearer(channel), IPv6Address(f"fe80::{channel}").packed)
    read = IPv6(packet)
    assert (read.src, read.dst, read.hlim) == ("fe80::1", str(IPv6Address(f"fe80::{channel}")), 255)
    advertisement = read[ICMPv6ND_RA]
    assert (advertisement.routerlifetime, advertisement.M, advertisement.O) == (9000, 0, 0)
    prefix = read[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen) == (str(Bearer(channel).prefix6.network_address), 64)
    assert (prefix.L, prefix.A, prefix.validlifetime) == (1, 1, 0xFFFF_FFFF)
    assert read[ICMPv6NDOptMTU].mtu == 1500
    sent = advertisement.cksum
    del advertisement.cksum
    assert IPv6(bytes(read))[ICMPv6ND_RA].cksum == sent


def test_who_asks_from_nowhere_is_answered_with_everybody() -> None:
    packet = router_advertisement(Bearer(0), ALL_ZEROES)
    assert IPv6(packet).dst == "ff02::1"


@given(solicitor=st.binary(min_size=16, max_size=16), channel=st.integers(0, 7))
def test_the_checksum_is_right_for_every_solicitor(solicitor: bytes, channel: int) -> None:
    packet = router_advertisement(Bearer(channel), solicitor)
    pseudo_header = packet[8:40] + struct.pack(">II", len(packet) - 40, 58)
    words = struct.unpack(f">{(len(packet) - 40 + 40) // 2}H", pseudo_header + packet[40:])
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


# -- for the native pump


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from([(), (4,), (6,), (4, 6)]), st.booleans()), max_size=10
    ),
    st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=4),
)
def test_the_records_say_what_the_bearers_are(
    changes: list[tuple[int, tuple[int, ...], bool]], opens: list[list[bool]]
) -> None:
    network = PacketDataNetwork(range(7), mtu=1400)
    for host_open in opens:
        for channel, versions, is_up in changes:
            bearer = network.bearers[channel]
            assert bearer is not None
            bearer.activate(*versions) if is_up else bearer.deactivate(*versions)
        rows = list(struct.iter_unpack("=QIIII", network.records(host_open)))
        assert rows == [
            (each.prefix6_key, each.address4_key, each.limit4, each.limit6, is_open)
            if each is not None
            else (0, 0, 0, 0, is_open)
            for each, is_open in zip(network.bearers, host_open, strict=True)
        ]


def test_the_records_are_those_of_the_list_as_it_is_when_they_are_asked_for() -> None:
    network, host_open = PacketDataNetwork([0]), [False] * 8
    network.records(host_open)
    host_open[0] = True  # the same list, as the uplink changes it
    assert next(struct.iter_unpack("=QIIII", network.records(host_open)))[4] == 1
