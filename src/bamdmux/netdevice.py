"""The network interface as a machine sees it, and one made of two queues.

A packet has 4 bytes of packet information before it, as on a TUN without IFF_NO_PI: u16 flags in host order,
u16 protocol in network order. In a slot those 4 bytes are the second half of the DMUX header, so a packet is
read straight into its place, and the header is written over the packet information.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

PACKET_INFORMATION_BYTES: Final = 4
TRUNCATED_FLAG: Final = 0x01  # in the first byte: TUN_PKT_STRIP of include/uapi/linux/if_tun.h

ETH_P_IP: Final = 0x0800
ETH_P_IPV6: Final = 0x86DD
ETH_P_MAP: Final = 0x00F9


class NetDevice(Protocol):
    """A network interface. It never raises: an error of the operating system is a refused packet."""

    def read_into(self, buffer: memoryview) -> int:
        """Take one packet that the network stack sends.

        Args:
            buffer: takes packet information and packet; if it is too short, the packet is cut and flagged.

        Returns:
            The number of bytes used, packet information included; 0 if no packet waits.
        """

    def write(self, buffer: memoryview) -> bool:
        """Hand packet information and packet to the network stack; False if it did not take them."""


def packet_information(packet_first_byte: int) -> int:
    """The 4 bytes for a packet, as a little-endian word: the protocol is guessed from the first nibble.

    As bam_dmux_skb_up() of the kernel does: what is neither IPv4 nor IPv6 is ETH_P_MAP.
    """
    return _INFORMATION[packet_first_byte >> 4]


def _word(protocol: int) -> int:
    return int.from_bytes(b"\0\0" + protocol.to_bytes(2, "big"), "little")


_INFORMATION: Final = [_word({4: ETH_P_IP, 6: ETH_P_IPV6}.get(nibble, ETH_P_MAP)) for nibble in range(16)]


class QueueDevice:
    """An interface made of two queues of packets, for simulation and tests.

    Args:
        packets: what the network stack wants sent.
        capacity: how many delivered packets it holds before it refuses more.
    """

    def __init__(self, packets: Iterable[bytes] = (), capacity: int = 1 << 16) -> None:
        self.outgoing = deque(packets)
        self.delivered: deque[bytes] = deque()
        self.protocols: deque[int] = deque()  # of what was delivered, one each
        self.capacity = capacity
        self.is_up = True

    def read_into(self, buffer: memoryview) -> int:
        if not self.outgoing:
            return 0
        packet = self.outgoing.popleft()
        room = len(buffer) - PACKET_INFORMATION_BYTES
        if room < 0:
            return 0  # as a TUN: EINVAL, and the packet is gone
        flags = TRUNCATED_FLAG if len(packet) > room else 0
        packet = packet[:room]
        end = PACKET_INFORMATION_BYTES + len(packet)
        buffer[:PACKET_INFORMATION_BYTES] = bytes((flags, 0, 0, 0))
        buffer[PACKET_INFORMATION_BYTES:end] = packet
        return end

    def write(self, buffer: memoryview) -> bool:
        if not self.is_up or len(self.delivered) >= self.capacity:
            return False
        self.protocols.append(int.from_bytes(buffer[2:4], "big"))
        self.delivered.append(bytes(buffer[PACKET_INFORMATION_BYTES:]))
        return True
