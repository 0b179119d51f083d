"""Bad input, by name: what a kernel gives that cannot be, and what a peer sends that must not be merged.

Each is passed on as it is, or dropped and counted with its reason; and what comes behind it is not hurt.
"""

from dataclasses import replace
from typing import Final

import pytest

from bamdmux.counters import DropReason
from bamdmux.host.channels import Channel
from bamdmux.wire.dmux import HEADER_BYTES
from bamdmux.wire.offload import NO_OFFLOAD, VNET_HEADER, VnetHeader, segment
from tests.pump.frames import data_frame, downlink_packet
from tests.pump.kernel import Kernel
from tests.pump.linked import Given
from tests.pump.rings import Filler, KernelDevice, Receiver, Sender, Taker
from tests.super_packets import Segment, pattern, rechecksummed

TCP4: Final = Segment(payload=pattern(500), is_to_host=True)
TCP6: Final = replace(TCP4, version=6)
UDP4: Final = replace(TCP4, protocol="UDP")
UDP6: Final = replace(TCP6, protocol="UDP")


def changed(whole: Segment, **changes: int) -> Given:
    """A super-packet with other numbers in its virtio_net_hdr."""
    vnet_header, packet = whole.super_packet(200)
    return VNET_HEADER.pack(*VnetHeader(*VNET_HEADER.unpack(vnet_header))._replace(**changes)), packet


def patched(whole: Segment, at: int, value: int) -> Given:
    """A super-packet with another byte in its headers."""
    vnet_header, packet = whole.super_packet(200)
    return vnet_header, packet[:at] + bytes((value,)) + packet[at + 1 :]


def cut(whole: Segment, length: int) -> Given:
    vnet_header, packet = whole.super_packet(200)
    return vnet_header, packet[:length]


DROPPED: Final = {
    "segments of no bytes": changed(TCP4, gso_size=0),
    "segments of no bytes, of UDP": changed(UDP4, gso_size=0),
    "segments of no bytes, over IPv6": changed(TCP6, gso_size=0),
    "no checksum left to us": changed(TCP4, flags=0),
    "a type that is not of its headers": changed(TCP4, gso_type=4),
    "a type that was never asked for": changed(UDP4, gso_type=3),
    "a type that there is not": changed(TCP4, gso_type=0x7F),
    "a checksum that begins behind the packet": changed(TCP4, csum_start=0xFFFF),
    "a checksum that begins where the packet ends": changed(TCP4, csum_start=540),
    "a checksum that begins in the IP header": changed(TCP4, csum_start=16),
    "a checksum that begins behind the IP header": changed(TCP4, csum_start=24),
    "a checksum that begins in the IPv6 header": changed(TCP6, csum_start=20),
    "a checksum that lies behind the packet": changed(TCP4, gso_type=0, csum_offset=0xFFFF),
    "a checksum of which half lies behind the packet": changed(TCP4, gso_type=0, csum_offset=519),
    "a checksum that lies where TCP has none": changed(TCP4, csum_offset=6),
    "a checksum that lies where UDP has none": changed(UDP6, csum_offset=16),
    "headers of more than 256 bytes": changed(TCP6, csum_start=240),
    "no IP": patched(TCP4, 0, 0x15),
    "an IPv4 header that is longer than it says": patched(TCP4, 0, 0x46),
    "an IPv4 header that is no header": patched(TCP4, 0, 0x44),
    "a total length that is another": patched(TCP4, 3, 1),
    "a payload length of IPv6 that is another": patched(TCP6, 5, 1),
    "another protocol": patched(TCP4, 9, 17),
    "another next header": patched(UDP6, 6, 6),
    "a first fragment": patched(TCP4, 6, 0x20),
    "a later fragment": patched(UDP4, 7, 1),
    "a TCP header of 16 bytes": patched(TCP4, 32, 0x40),
    "a TCP header beyond the packet": cut(replace(TCP4, payload=b"few"), 42),
    "an end in the TCP header": cut(TCP4, 30),
    "an end in the UDP header": cut(UDP4, 25),
    "an end in the IPv4 header": cut(TCP4, 15),
    "an end in the IPv6 header": cut(TCP6, 39),
    "one byte": cut(TCP4, 1),
    "no byte": cut(TCP4, 0),
    "headers and nothing behind them": replace(TCP4, payload=b"").super_packet(200),
}


@pytest.mark.parametrize("what", DROPPED)
@pytest.mark.parametrize("pumps", [True, False])
def test_the_host_drops_and_counts_a_super_packet_with(what: str, pumps: bool) -> None:
    sender = Sender(pumps=pumps)
    with Kernel() as kernel:
        kernel.give(*DROPPED[what])
        kernel.give(NO_OFFLOAD, b"next")
        channel = Channel(0, device=KernelDevice(kernel))
        assert sender.ring.fill_from(channel, 8) == 1
    assert channel.transmitted.as_dict() == {"packets": 1, "bytes": 4, "drops": {"bad_offload": 1}}
    assert [frame[HEADER_BYTES : HEADER_BYTES + 4] for frame in sender.send()] == [b"next"]


@pytest.mark.parametrize("what", DROPPED)
def test_the_modem_drops_and_counts_a_super_packet_with(what: str) -> None:
    filler = Filler(8)
    with Kernel() as kernel:
        kernel.give(*DROPPED[what])
        kernel.give(NO_OFFLOAD, downlink_packet(0, 4, 10))
        assert filler.downlink.fill_from(KernelDevice(kernel), filler.network.host_open, 8) == (1, 1)
    assert filler.downlink.strays.drops == {DropReason.BAD_OFFLOAD: 1}
    assert filler.network.downlink()[0].as_dict() == {"packets": 1, "bytes": 30, "drops": {}}


TAKEN_APART: Final = {
    "a length of headers that is wrong": changed(TCP4, hdr_len=0),
    "a length of headers beyond the packet": changed(TCP4, hdr_len=0xFFFF),
    "segments that are longer than the packet": changed(TCP4, gso_size=0xFFFF),
    "segments of one byte each": changed(replace(TCP4, payload=pattern(30)), gso_size=1),
    "notice of congestion": changed(replace(TCP4, flags="CA"), gso_type=0x81),
    "options of IP": replace(TCP4, ip_options=b"\x01\x01\x01\x00").super_packet(200),
    "options of TCP": replace(TCP4, options="forty bytes").super_packet(200),
    "an extension header": replace(TCP6, extensions="hop-by-hop").super_packet(200),
    "two extension headers": replace(TCP6, extensions="two").super_packet(200),
    "two extension headers before UDP": replace(UDP6, extensions="two").super_packet(200),
    "just a checksum that is left to us": changed(UDP6, gso_type=0, gso_size=0),
}


@pytest.mark.parametrize("what", TAKEN_APART)
def test_a_super_packet_is_taken_apart_with(what: str) -> None:
    expected = segment(*TAKEN_APART[what])
    filler = Filler(40)
    with Kernel() as kernel:
        kernel.give(*TAKEN_APART[what])
        done = filler.downlink.fill_from(KernelDevice(kernel), filler.network.host_open, 8)
    assert done == (len(expected), len(expected))
    packets = [frame[HEADER_BYTES:] for frame in filler.take_back()]
    assert packets == expected
    assert packets[0] == rechecksummed(packets[0])


# -- What comes in frames --


def raw(version: int, length: int) -> bytes:
    """The beginning of a segment."""
    return Segment(version=version, payload=pattern(50)).packet()[:length]


def of_ipv6(next_header: int) -> bytes:
    """With another header behind that of IPv6; whatever it is, it is not looked into."""
    packet = Segment(version=6, payload=pattern(50)).packet()
    return packet[:6] + bytes((next_header,)) + packet[7:]


PASSED_ON: Final = {
    "an IPv4 header with options": Segment(ip_options=b"\x01\x01\x01\x00").packet(),
    "an IPv4 header of 60 bytes": Segment(ip_options=b"\x01" * 39 + b"\x00").packet(),
    "an IPv4 header that is longer than the packet": b"\x4f" + raw(4, 40)[1:],
    "an IPv4 header that is shorter than any": b"\x41" + raw(4, 60)[1:],
    "a first fragment": Segment(ip_flags="MF").packet(),
    "a later fragment": raw(4, 6) + b"\x00\x10" + Segment(payload=pattern(50)).packet()[8:],
    "an IPv4 header alone": raw(4, 20),
    "an end in the TCP header": raw(4, 39),
    "a TCP header alone": raw(4, 40),
    "a TCP header that is longer than the packet": raw(4, 32) + b"\xf0" + raw(4, 60)[33:],
    "an IPv6 header alone": raw(6, 40),
    "an end in the TCP header over IPv6": raw(6, 59),
    "hop-by-hop options": of_ipv6(0),
    "a routing header": of_ipv6(43),
    "a fragment header": of_ipv6(44),
    "destination options": of_ipv6(60),
    "no next header": of_ipv6(59),
    "ESP": of_ipv6(50),
    "two extension headers": Segment(version=6, extensions="two").packet(),
    "a total length that is wrong": raw(4, 2) + b"\xff\xff" + raw(4, 80)[4:],
    "a UDP length that is wrong": Segment(protocol="UDP").packet()[:24] + b"\xff\xff" + bytes(20),
    "a UDP header alone": Segment(protocol="UDP", payload=b"").packet(),
}


@pytest.mark.parametrize("what", PASSED_ON)
def test_the_host_passes_on_as_it_is_a_packet_with(what: str) -> None:
    packet = PASSED_ON[what]
    receiver = Receiver([data_frame(0, packet), data_frame(0, packet)])
    with Kernel() as kernel:
        assert receiver.pump((kernel.interface,) * 8, 2) == 2
        assert list(kernel.written()) == [(NO_OFFLOAD, packet)] * 2


@pytest.mark.parametrize("what", PASSED_ON)
def test_the_modem_passes_on_as_it_is_a_packet_with(what: str) -> None:
    packet = PASSED_ON[what]
    taker = Taker([data_frame(0, packet), data_frame(0, packet)])
    taker.queued(2)
    with Kernel() as kernel:
        assert taker.uplink.drain_to(KernelDevice(kernel)) == []
        assert list(kernel.written()) == [(NO_OFFLOAD, packet)] * 2
    assert taker.network.uplink()[0].packet_count == 2


# -- No packet is longer than where it goes allows --


@pytest.mark.parametrize("mtu", [576, 1280, 1500])
@pytest.mark.parametrize("whole", [TCP4, TCP6, UDP4, UDP6], ids=["TCP4", "TCP6", "UDP4", "UDP6"])
def test_segments_that_are_longer_than_the_mtu_of_the_interface_are_dropped(whole: Segment, mtu: int) -> None:
    big = replace(whole, payload=pattern(4000), is_to_host=False)
    for payload_bytes, fits in ((mtu - 60, True), (mtu, False)):
        expected = segment(*big.super_packet(payload_bytes))
        sender = Sender(slot_count=16)
        with Kernel() as kernel:
            kernel.give(*big.super_packet(payload_bytes))
            channel = Channel(0, device=KernelDevice(kernel), mtu=mtu)
            sender.ring.fill_from(channel, 16)
        counters = channel.transmitted
        assert counters.packet_count == sum(len(each) <= mtu for each in expected)
        assert counters.drops[DropReason.LONGER_THAN_MTU] == sum(len(each) > mtu for each in expected)
        assert fits == (not counters.drops.total())


@pytest.mark.parametrize("length", [1460, 1461])
def test_segments_that_are_longer_than_the_mtu_of_the_bearer_are_dropped_one_by_one(length: int) -> None:
    big, filler = replace(TCP4, payload=pattern(2 * length + 100)), Filler(8)
    budget = 8
    with Kernel() as kernel:
        kernel.give(*big.super_packet(length))
        device = KernelDevice(kernel)
        for _ in range(budget):
            filler.downlink.fill_from(device, filler.network.host_open, budget)
    counters = filler.network.downlink()[0]
    too_long = 2 if length > 1460 else 0
    assert (counters.packet_count, counters.drops[DropReason.LONGER_THAN_MTU]) == (3 - too_long, too_long)


def test_what_was_merged_has_segments_of_the_length_that_came() -> None:
    first = Segment(payload=pattern(1448), options="timestamps")
    receiver = Receiver([data_frame(0, each.packet()) for each in (first, first.next(), first.next().next())])
    with Kernel() as kernel:
        receiver.pump((kernel.interface,) * 8, 3)
        ((vnet_header, _),) = kernel.written()
    assert VnetHeader(*VNET_HEADER.unpack(vnet_header)).gso_size == 1448
