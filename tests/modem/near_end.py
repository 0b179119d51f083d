"""The host's end by hand, for the tests of the modem: owners of both pipes, packets and frames made of bytes.

Nothing here comes from bamdmux.wire or bamdmux.host: a frame is what protocol.md section 1 says it is.
"""

from ipaddress import ip_address

from bamdmux.actions import Action, Log
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer

HOST4 = "10.64.0.2"
HOST6 = "2001:db8:64::2"
WORLD4 = "198.51.100.7"
WORLD6 = "2001:db8:ffff::7"


class NearEnd:
    """Memory, the owner's end of both pipes (open, nothing queued) and the peer's end of both."""

    def __init__(self, layout: LinkLayout | None = None) -> None:
        self.layout = layout or LinkLayout()
        self.memory = self.layout.allocate()
        self.tx = PipeOwner(self.memory, self.layout.tx)
        self.rx = PipeOwner(self.memory, self.layout.rx)
        self.tx_peer = PipePeer(self.memory, self.layout.tx)
        self.rx_peer = PipePeer(self.memory, self.layout.rx)
        self.tx.open()
        self.rx.open()
        self._next_slot = 0

    def send(self, *frames: bytes) -> None:
        """Queue frames on TX and publish them."""
        for frame in frames:
            slot_index = self._next_slot
            self._next_slot = (slot_index + 1) % self.layout.slot_count
            self.tx.slot(slot_index)[: len(frame)] = frame
            self.tx.submit(slot_index, len(frame))
        self.tx.publish()

    def queue_buffers(self, count: int, size: int = 2048) -> None:
        """Queue the first ``count`` slots on RX and publish them."""
        for slot_index in range(count):
            self.rx.submit(slot_index, size)
        self.rx.publish()

    def received(self) -> list[bytes]:
        """Take what the modem has filled; the buffers are not queued again."""
        frames = []
        for _ in range(self.rx.completed()):
            slot_index, written = self.rx.reap()
            frames.append(bytes(self.rx.slot(slot_index)[:written]))
        return frames


class ResetPeer(PipePeer):
    """A peer whose pipe the host resets while it holds a buffer."""

    owner: PipeOwner

    def take(self) -> memoryview:
        buffer = super().take()
        self.owner.terminate()
        return buffer


def without_logs(actions: list[Action]) -> list[Action]:
    return [action for action in actions if not isinstance(action, Log)]


def frame_of(packet: bytes, channel: int = 0, pad: int = 0) -> bytes:
    header = b"\xfc\x33\x00\x00" + bytes((pad, channel)) + len(packet).to_bytes(2, "little")
    return header + packet + bytes(pad)


def open_frame(channel: int) -> bytes:
    return b"\xfc\x33\x00\x01\x00" + bytes((channel,)) + b"\x00\x00"


def close_frame(channel: int) -> bytes:
    return b"\xfc\x33\x00\x02\x00" + bytes((channel,)) + b"\x00\x00"


def packet4(source: str = HOST4, destination: str = WORLD4, length: int = 28) -> bytes:
    """An IPv4 packet: version, addresses, and a payload that counts up."""
    header = b"\x45" + bytes(11) + ip_address(source).packed + ip_address(destination).packed
    return header + bytes(index & 0xFF for index in range(length - 20))


def packet6(source: str = HOST6, destination: str = WORLD6, length: int = 48) -> bytes:
    """An IPv6 packet of UDP's number."""
    header = b"\x60\0\0\0" + (length - 40).to_bytes(2, "big") + b"\x11\x40"
    addresses = ip_address(source).packed + ip_address(destination).packed
    return header + addresses + bytes(index & 0xFF for index in range(length - 40))


# As scapy 2.7 builds them: IPv6(src="fe80::abc", dst="ff02::2", hlim=255) / ICMPv6ND_RS(); then from "::".
SOLICITATION = bytes.fromhex(
    "60000000 00083aff fe800000 00000000 00000000 00000abc ff020000 00000000 00000000 00000002"
    "8500727b 00000000"
)
SOLICITATION_FROM_NOWHERE = bytes.fromhex(
    "60000000 00083aff 00000000 00000000 00000000 00000000 ff020000 00000000 00000000 00000002"
    "85007bb8 00000000"
)
