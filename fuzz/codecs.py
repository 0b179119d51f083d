"""Any bytes into every reader of bytes: DMUX, DHCP, ARP, neighbour discovery, ICMP, what the network checks.

None of them raises, but `decode_frame` with its reason. The two readings of a DMUX header agree. What is read
can be written, and is read again as the same; an answer is a packet whose lengths and checksums are right.
For the sake of depth the script may ask that the checksums and lengths of its bytes be put right first.
"""

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bamdmux.counters import DropReason
from bamdmux.errors import MalformedFrame
from bamdmux.modem.network import (
    PASSES,
    SOLICITATION,
    Bearer,
    check_uplink,
    router_advertisement,
    source6,
)
from bamdmux.wire.dhcp import Reply, decode_reply, encode_request
from bamdmux.wire.dmux import (
    HEADER_BYTES,
    LENGTH_FROM_TRANSFER,
    NOT_DATA,
    Command,
    Frame,
    classify,
    decode_frame,
    encode_frame,
)
from bamdmux.wire.ethernet import (
    Advertisement,
    Solicitation,
    decode_arp,
    decode_neighbour,
    encode_advertisement,
    encode_arp,
    encode_solicitation,
)
from bamdmux.wire.icmp import answer_echo, checksum, checksum6, decode_icmpv6, unreachable6
from fuzz.script import Script

IPV4_BYTES: Final = 20
IPV6_BYTES: Final = 40
GATEWAY: Final = IPv6Address("2001:db8:64::1")
_PORTS: Final = struct.pack(">HH", 67, 68)
_BOOTP_BYTES: Final = 240
_COOKIE: Final = bytes.fromhex("63825363")


def check(data: bytes) -> None:
    """Give the bytes to one of the readers."""
    script = Script(data)
    match script.below(6):
        case 0:
            check_dmux(script)
        case 1:
            check_ipv4(mended4(script))
        case 2:
            check_ipv6(mended6(script))
        case 3:
            check_dhcp(script)
        case 4:
            check_arp(script.rest())
        case 5:
            check_uplink_packet(script)


def check_dmux(script: Script) -> None:
    """The two readings of a header, and writing what was read."""
    max_packet_bytes = script.choice((2040, 8, 0, script.number(2)))
    octets = mended_frame(script)
    word = int.from_bytes(octets[:HEADER_BYTES].ljust(HEADER_BYTES, b"\xa5"), "little")
    verdict = classify(word, len(octets), max_packet_bytes)
    frame = read_frame(octets, max_packet_bytes)
    if isinstance(frame, DropReason):
        assert verdict is frame, f"classify says {verdict}, decode_frame {frame}"
        return
    if frame.command is not Command.DATA:
        assert verdict == NOT_DATA, f"classify says {verdict} of {frame}"
    else:
        assert verdict == len(frame.packet), f"classify says {verdict} of {frame}"
        assert 0 < verdict <= max_packet_bytes
    assert word >> 40 & 7 == frame.channel
    if len(frame.packet) < LENGTH_FROM_TRANSFER:
        assert decode_frame(encode_frame(frame), 0xFFFF) == frame


def mended_frame(script: Script) -> bytes:
    """Bytes, perhaps with the magic of a frame, perhaps with a length that is almost that of what follows."""
    mend, difference = script.below(4), script.choice((0, 0, 1, 8, -1, -8))
    frame = bytearray(script.rest())
    if mend and len(frame) >= HEADER_BYTES:
        frame[:2] = b"\xfc\x33"
        if mend > 1:
            frame[3], frame[5] = 0, frame[5] % 9
            frame[6:8] = (max(0, len(frame) - HEADER_BYTES + difference) & 0xFFFF).to_bytes(2, "little")
    return bytes(frame)


def read_frame(octets: bytes, max_packet_bytes: int) -> Frame | DropReason:
    try:
        return decode_frame(octets, max_packet_bytes)
    except MalformedFrame as error:
        reason = error.reason
        assert isinstance(reason, DropReason)
        return reason


def mended4(script: Script) -> bytes:
    """An IPv4 packet, perhaps with its length and the checksum of what it carries put right."""
    is_mended = script.chance()
    packet = bytearray(script.rest())
    if is_mended and len(packet) >= IPV4_BYTES + 4:
        packet[0] = 0x45
        packet[2:4] = (len(packet) & 0xFFFF).to_bytes(2, "big")
        packet[IPV4_BYTES + 2 : IPV4_BYTES + 4] = bytes(2)
        packet[IPV4_BYTES + 2 : IPV4_BYTES + 4] = checksum(bytes(packet[IPV4_BYTES:])).to_bytes(2, "big")
    return bytes(packet)


def mended6(script: Script) -> bytes:
    """Likewise IPv6, with an ICMPv6 message."""
    is_mended = script.chance()
    packet = bytearray(script.rest())
    if is_mended and len(packet) >= IPV6_BYTES + 4:
        packet[0] = 0x60
        packet[4:7] = (len(packet) - IPV6_BYTES & 0xFFFF).to_bytes(2, "big") + b"\x3a"
        packet[42:44] = bytes(2)
        value = checksum6(bytes(packet[8:24]), bytes(packet[24:40]), 58, bytes(packet[40:]))
        packet[42:44] = value.to_bytes(2, "big")
    return bytes(packet)


def check_ipv4(packet: bytes) -> None:
    reply = answer_echo(packet)
    if reply is None or packet[0] >> 4 != 4:
        return
    assert reply[12:20] == packet[16:20] + packet[12:16], "not back to where it came from"
    assert int.from_bytes(reply[2:4], "big") == len(reply) >= IPV4_BYTES + 8
    assert packet.endswith(reply[IPV4_BYTES + 4 :]), "not the echo of what was sent"
    assert checksum(reply[:IPV4_BYTES]) == checksum(reply[IPV4_BYTES:]) == 0
    assert answer_echo(reply) is None, "two gateways would talk for ever"


def check_ipv6(packet: bytes) -> None:
    reply = answer_echo(packet)
    if reply is not None and packet[0] >> 4 == 6:
        decoded = decode_icmpv6(reply)
        assert decoded is not None, "lengths or checksum are wrong"
        assert (decoded[1], decoded[0]) == (packet[8:24], packet[24:40])
        assert decoded[3][4:] == packet[44:], "not the echo of what was sent"
        assert len(decoded[3]) >= 8
        assert answer_echo(reply) is None, "two gateways would talk for ever"
    error = unreachable6(packet, GATEWAY)
    if error is not None:
        assert len(error) <= 1280
        assert decode_icmpv6(error) is not None
        assert unreachable6(error, GATEWAY) is None, "an error about an error"
    neighbour = decode_neighbour(packet)
    if isinstance(neighbour, Solicitation):
        again = decode_neighbour(encode_solicitation(neighbour))
        assert again == neighbour
    elif isinstance(neighbour, Advertisement):
        assert decode_neighbour(encode_advertisement(neighbour)) == neighbour


def check_dhcp(script: Script) -> None:
    """A packet, or a message in a packet that is in order."""
    is_mended = script.chance()
    packet = script.rest()
    if is_mended:
        message = bytearray(packet.ljust(_BOOTP_BYTES, b"\0"))
        message[:3] = b"\2\1\6"
        message[236:240] = _COOKIE
        length = 8 + len(message)
        udp = _PORTS + length.to_bytes(2, "big") + bytes(2) + message
        packet = b"\x45\0" + (IPV4_BYTES + length & 0xFFFF).to_bytes(2, "big") + bytes(5) + b"\x11"
        packet += bytes(10) + udp
    reply = decode_reply(packet)
    if reply is not None:
        assert isinstance(reply, Reply)
        assert len(reply.mac) == 6
        assert isinstance(reply.address, IPv4Address)
        request = encode_request(reply.mac, reply.address, reply.transaction)
        assert checksum(request[:IPV4_BYTES]) == 0
        assert decode_reply(request) is None, "a request is no reply"


def check_arp(payload: bytes) -> None:
    arp = decode_arp(payload)
    if arp is not None:
        assert payload.startswith(encode_arp(arp)), "not what was read"


def check_uplink_packet(script: Script) -> None:
    """What the network says of a packet, and its answer to a solicitation."""
    bearer = Bearer(script.below(8))
    if script.chance():
        bearer.deactivate(script.choice((4, 6)))
    start = script.choice((0, HEADER_BYTES))
    packet = script.choice((mended4, mended6))(script)
    if not packet:
        return
    verdict = check_uplink(bearer, bytearray(bytes(start) + packet), start, len(packet))
    version = packet[0] >> 4
    if verdict == PASSES:
        assert version in bearer.versions, "not for a version that is down"
        if version == 4:
            assert packet[12:16] == bearer.address4.packed
    elif verdict == SOLICITATION:
        assert version == 6
        answer = router_advertisement(bearer, source6(packet))
        assert decode_icmpv6(answer) is not None
        assert bearer.prefix6.network_address.packed in answer
    else:
        assert isinstance(verdict, DropReason)
