"""One bearer's way to passt(1): packets into Ethernet frames and back, as a `NetDevice`.

What a neighbour on an Ethernet must do is done here: ARP and neighbour solicitations for our addresses are
answered. And what a gateway does that passt does not: it answers pings, and says that there is no way for
IPv6 when there is none. Of the bearers only one exists for passt, which believes in one address of each kind;
packets of the others are refused.

Frames are looked at in memory of our own, before anything of them is handed on: the buffer that takes a
packet may be the host's to scribble in. Nothing that passt sends raises; what cannot be is counted. When
passt has ended the device is silent, and takes nothing.
"""

import logging
import socket
import struct
from collections import Counter, deque
from ipaddress import IPv6Address
from typing import Final

from bamdmux.live.addresses import link_local
from bamdmux.live.networks.frame_stream import FrameStream
from bamdmux.modem.network import (
    DESTINATION4_OFFSET,
    DESTINATION6_OFFSET,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    SOURCE4_OFFSET,
    SOURCE6_OFFSET,
    Bearer,
)
from bamdmux.netdevice import ETH_P_IP, ETH_P_IPV6, PACKET_INFORMATION_BYTES, TRUNCATED_FLAG
from bamdmux.wire.ethernet import (
    ETH_P_ARP,
    ETHERNET_HEADER,
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
)
from bamdmux.wire.icmp import ICMP, ICMPV6, answer_echo, unreachable6

LOG: Final = logging.getLogger("bamdmux.network")

FRAMES_PER_READ: Final = 64  # looked at in search of a packet; then the loop has its turn first
ANSWERS: Final = 32  # of the gateway, waiting to be read; full: the next is dropped and counted

_INFORMATION: Final = struct.Struct("=BBH")  # flags, nothing, protocol in network order
_PROTOCOL4_OFFSET: Final = 9
_NEXT_HEADER_OFFSET: Final = 6
_LINK_LOCAL: Final = 0xFE  # first byte of an address


class PasstDevice:
    """The modem's end; closes the stream.

    Args:
        mac: ours.
        gateway_mac4: where IPv4 goes.
        gateway_mac6: where IPv6 goes; None if passt has none.

    Attributes:
        counts: what went wrong or was not for the bearer, by what it was.
    """

    def __init__(
        self,
        stream: FrameStream,
        bearer: Bearer,
        *,
        mac: bytes,
        gateway_mac4: bytes,
        gateway_mac6: bytes | None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._stream = stream
        self._bearer = bearer
        self._mac = mac
        self._link_local = link_local(mac).ip
        self._source4 = bearer.address4.packed
        self._source6 = bearer.prefix6.network_address.packed[:8]
        self._gateways = (bearer.gateway4.packed, bearer.gateway6.packed)
        self._header4 = ETHERNET_HEADER.pack(gateway_mac4, mac, ETH_P_IP)
        self._header6 = None if gateway_mac6 is None else ETHERNET_HEADER.pack(gateway_mac6, mac, ETH_P_IPV6)
        self._answers: deque[bytes] = deque()
        self._has_told = False

    @property
    def has_packet(self) -> bool:
        return False  # the descriptor tells of all

    def limit_segments(self, count: int) -> None:
        """There are no super-packets here."""

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()

    # Down: from passt to the host

    def read_into(self, buffer: memoryview) -> int:
        """See `NetDevice.read_into`."""
        if self._answers:
            answer = self._answers.popleft()
            protocol = ETH_P_IP if answer[0] >> 4 == 4 else ETH_P_IPV6
            return self._hand_over(memoryview(answer), protocol, buffer)
        for _ in range(FRAMES_PER_READ):
            frame = self._stream.next_frame()
            if frame is None:
                self._tell_of_end()
                return 0
            if len(frame) <= ETHERNET_HEADER.size:
                self.counts["short_frame"] += 1
                continue
            protocol = frame[12] << 8 | frame[13]
            packet = frame[ETHERNET_HEADER.size :]
            if protocol == ETH_P_IP or (protocol == ETH_P_IPV6 and not self._is_for_neighbour(packet)):
                return self._hand_over(packet, protocol, buffer)
            if protocol == ETH_P_ARP:
                self._answer_arp(bytes(packet))
            elif protocol != ETH_P_IPV6:
                self.counts["unknown_protocol"] += 1
        return 0

    def _hand_over(self, packet: memoryview, protocol: int, buffer: memoryview) -> int:
        room = len(buffer) - PACKET_INFORMATION_BYTES
        if room < 0:
            return 0  # as a TUN: the packet is gone
        flags = 0
        if len(packet) > room:
            packet, flags = packet[:room], TRUNCATED_FLAG
            self.counts["cut"] += 1
        _INFORMATION.pack_into(buffer, 0, flags, 0, socket.htons(protocol))
        end = PACKET_INFORMATION_BYTES + len(packet)
        buffer[PACKET_INFORMATION_BYTES:end] = packet
        return end

    def _tell_of_end(self) -> None:
        if self._stream.end and not self._has_told:
            self._has_told = True
            LOG.error("passt is gone, and nothing gets beyond the modem any more: %s", self._stream.end)

    # What a neighbour does

    def _is_for_neighbour(self, packet: memoryview) -> bool:
        """Deal with neighbour discovery, which never leaves an Ethernet; False for all other IPv6."""
        if len(packet) <= IPV6_HEADER_BYTES or packet[_NEXT_HEADER_OFFSET] != ICMPV6:
            return False
        if not FIRST_NEIGHBOUR_TYPE <= packet[IPV6_HEADER_BYTES] <= LAST_NEIGHBOUR_TYPE:
            return False
        match decode_neighbour(bytes(packet)):
            case Solicitation(source, target, bytes(mac)) if self._is_ours(target):
                header = ETHERNET_HEADER.pack(mac, self._mac, ETH_P_IPV6)
                answer = Advertisement(target, source, target, self._mac)
                self._stream.send(header, encode_advertisement(answer))
            case None:  # or a router's advertisement: routers are the modem's affair
                self.counts["other_neighbour"] += 1
        return True

    def _is_ours(self, address: IPv6Address) -> bool:
        bearer = self._bearer
        is_bearer_s = address in bearer.prefix6 and address != bearer.gateway6
        return is_bearer_s or address == self._link_local

    def _answer_arp(self, payload: bytes) -> None:
        arp = decode_arp(payload)
        if arp is None:
            self.counts["bad_arp"] += 1
        elif arp.operation is ArpOperation.REQUEST and arp.target == self._bearer.address4:
            header = ETHERNET_HEADER.pack(arp.sender_mac, self._mac, ETH_P_ARP)
            answer = Arp(ArpOperation.REPLY, self._mac, arp.target, arp.sender_mac, arp.sender)
            self._stream.send(header, encode_arp(answer))

    # Up: from the host to passt

    def write(self, buffer: memoryview) -> bool:
        """See `NetDevice.write`. False also for packets that passt cannot serve."""
        packet = buffer[PACKET_INFORMATION_BYTES:]
        if self._stream.end:
            return False
        if len(packet) >= IPV4_HEADER_BYTES and packet[0] >> 4 == 4:
            return self._write4(packet)
        if len(packet) >= IPV6_HEADER_BYTES and packet[0] >> 4 == 6:
            return self._write6(packet)
        return self._refuse("no_packet")

    def _write4(self, packet: memoryview) -> bool:
        if packet[SOURCE4_OFFSET:DESTINATION4_OFFSET] != self._source4:
            return self._refuse("other_bearer")
        if packet[_PROTOCOL4_OFFSET] == ICMP and self._is_ping(packet, DESTINATION4_OFFSET, 4):
            return True
        return self._stream.send(self._header4, packet)

    def _write6(self, packet: memoryview) -> bool:
        source = packet[SOURCE6_OFFSET : SOURCE6_OFFSET + len(self._source6)]
        if source != self._source6:
            # Link-local packets are for the gateway alone, and it has no use for them.
            return source[0] == _LINK_LOCAL or self._refuse("other_bearer")
        if packet[_NEXT_HEADER_OFFSET] == ICMPV6 and self._is_ping(packet, DESTINATION6_OFFSET, 16):
            return True
        if self._header6 is None:
            self._answer(unreachable6(bytes(packet), self._bearer.gateway6))
            return self._refuse("no_ipv6")
        return self._stream.send(self._header6, packet)

    def _refuse(self, why: str) -> bool:
        self.counts[why] += 1
        return False

    def _is_ping(self, packet: memoryview, destination_offset: int, address_bytes: int) -> bool:
        """Answer a ping to the gateway; passt would send it out into the world."""
        if packet[destination_offset : destination_offset + address_bytes] not in self._gateways:
            return False
        answer = answer_echo(bytes(packet))
        self._answer(answer)
        return answer is not None

    def _answer(self, answer: bytes | None) -> None:
        if answer is None:
            return
        if len(self._answers) >= ANSWERS:
            self.counts["answers_full"] += 1
            return
        self._answers.append(answer)
        self._stream.wake()
