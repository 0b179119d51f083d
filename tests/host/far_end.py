"""The modem's end by hand, for the tests of the host: peers of both pipes, lines, frames made of bytes.

Nothing here comes from bamdmux.wire or bamdmux.modem: a frame is what protocol.md section 1 says it is.
"""

from bamdmux.actions import Action, Line, Log, Pipe, RegisterNetdev, SetLine
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.host.driver import HostDriver
from bamdmux.netdevice import QueueDevice

PING = bytes.fromhex("4500001c000000004001 0000 0a400002 c6336407 0800f7ff00000000")  # 28 bytes of IPv4


class FarEnd:
    """A driver that is not probed yet, interfaces that it asks for, and the modem's end by hand.

    ``now`` is the time of whatever happens next.
    """

    def __init__(self, slot_count: int = 32, receive_bytes: int = 2048, ack_level: bool = False) -> None:
        self.layout = LinkLayout(slot_count=slot_count, receive_bytes=receive_bytes)
        self.memory = self.layout.allocate()
        self.tx = PipePeer(self.memory, self.layout.tx)
        self.rx = PipePeer(self.memory, self.layout.rx)
        self.host_tx = PipeOwner(self.memory, self.layout.tx)
        self.host_rx = PipeOwner(self.memory, self.layout.rx)
        self.driver = HostDriver(self.host_tx, self.host_rx, ack_level=ack_level)
        self.devices: dict[int, QueueDevice] = {}
        self.power_edges = 0
        self.ack_edges = 0
        self.now = 0

    def probe(self) -> None:
        self.driver.probe(self.power_edges, self.ack_edges, self.now)

    def taken(self) -> list[Action]:
        """What the driver asked for since the last call, without logs; interfaces are made at once."""
        actions: list[Action] = [
            action for action in self.driver.take_actions() if not isinstance(action, Log)
        ]
        for action in actions:
            if isinstance(action, RegisterNetdev):
                device = self.devices[action.channel] = QueueDevice()
                self.driver.netdev_registered(action.channel, device, self.now)
        return actions

    def logged(self) -> list[Log]:
        return [action for action in self.driver.take_actions() if isinstance(action, Log)]

    def lines(self) -> list[Action]:
        return [action for action in self.taken() if isinstance(action, SetLine)]

    # Lines

    def power(self, edges: int = 1) -> None:
        """The modem's power line changes so many times before the driver looks."""
        self.power_edges = self.power_edges + edges & 0xFFFF_FFFF
        self.driver.line_changed(Line.MODEM_POWER, self.power_edges, self.now)

    def ack(self, edges: int = 1) -> None:
        self.ack_edges = self.ack_edges + edges & 0xFFFF_FFFF
        self.driver.line_changed(Line.MODEM_ACK, self.ack_edges, self.now)

    def time_out(self, now: int) -> None:
        self.now = now
        self.driver.handle_timeout(now)

    # Frames

    def send(self, *frames: bytes, written: int | None = None) -> None:
        """Fill buffers, one each, and ring once; ``written`` is what is claimed of each."""
        self.fill(*frames, written=written)
        self.driver.doorbell_rang(Pipe.RX, self.now)

    def fill(self, *frames: bytes, written: int | None = None) -> None:
        """Likewise, but the driver is not told."""
        for frame in frames:
            assert self.rx.available(), "the driver has queued no buffer"
            self.rx.take()[: len(frame)] = frame
            self.rx.complete(len(frame) if written is None else written)
        self.rx.publish()

    def take(self, count: int | None = None) -> list[bytes]:
        """Use frames of the host, all or so many, and say so in memory; the driver is not told."""
        available = self.tx.available()
        frames = []
        for _ in range(available if count is None else count):
            frames.append(bytes(self.tx.take()))
            self.tx.complete()
        self.tx.publish()
        return frames

    def take_and_ring(self, count: int | None = None) -> list[bytes]:
        frames = self.take(count)
        self.driver.doorbell_rang(Pipe.TX, self.now)
        return frames

    # Interfaces

    def announce(self, *channels: int) -> None:
        """Open channels, and let their interfaces appear."""
        self.send(*map(open_frame, channels))
        self.driver.handle_timeout(self.now)
        self.taken()

    def set_up(self, channel: int, is_up: bool = True) -> None:
        self.devices[channel].is_up = is_up
        self.driver.interface_changed(channel, is_up, self.now)

    def transmit(self, channel: int, *packets: bytes) -> int:
        """Give an interface packets, and the driver as many of them as it wants."""
        self.devices[channel].outgoing.extend(packets)
        return self.driver.transmit([channel], self.now)


def powered(slot_count: int = 32) -> FarEnd:
    """Probed, the modem up, nothing voted, channels 0 to 3 announced; their interfaces are down."""
    far = FarEnd(slot_count)
    far.power_edges = 1
    far.probe()
    for channel in range(4):  # one at a time, for the ring may be small
        far.announce(channel)
    return far


def running(*channels: int, slot_count: int = 32) -> FarEnd:
    """Likewise, but we are ACTIVE, and the OPENs of these interfaces (channel 0 by default) have arrived."""
    far = powered(slot_count)
    for channel in channels or (0,):
        far.set_up(channel)
        if far.ack_edges == 0:
            far.ack()
        assert far.take_and_ring() == [open_frame(channel)]
    far.taken()
    return far


def frame_of(packet: bytes, channel: int = 0, pad: int = 0) -> bytes:
    header = b"\xfc\x33\x00\x00" + bytes((pad, channel)) + len(packet).to_bytes(2, "little")
    return header + packet + bytes(pad)


def sent_frame_of(packet: bytes, channel: int = 0) -> bytes:
    """As the driver sends it: an aligned packet is padded by a whole word."""
    return frame_of(packet, channel, 4 - len(packet) % 4)


def open_frame(channel: int) -> bytes:
    return b"\xfc\x33\x00\x01\x00" + bytes((channel,)) + b"\x00\x00"


def close_frame(channel: int) -> bytes:
    return b"\xfc\x33\x00\x02\x00" + bytes((channel,)) + b"\x00\x00"


def open_no_a2_pc_frame(channel: int) -> bytes:
    return b"\xfc\x33\x00\x04\x00" + bytes((channel,)) + b"\x00\x00"


def numbered(number: int, length: int = 28) -> bytes:
    """A packet that can be told from others."""
    return b"\x45" + number.to_bytes(3, "big") + bytes(length - 4)
