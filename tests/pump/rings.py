"""The four rings, each with a machine's part on one side and bare memory on the other.

`Receiver`, `Taker`, `Sender` and `Filler` are made twice in a test: one is worked by the native pump, the
other in Python, and then their memory and counters must be the same.
"""

from array import array
from collections.abc import Sequence
from typing import Final

from bamdmux.actions import Action
from bamdmux.bam.memory import DESCRIPTOR_BYTES, LinkLayout, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR, FLAG_EOT, PipeOwner, PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Channel
from bamdmux.host.receive import ReceiveRing
from bamdmux.host.transmit import TransmitRing
from bamdmux.modem.downlink import Downlink
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.uplink import Uplink
from bamdmux.netdevice import QueueDevice
from bamdmux.pump import Interface, Tally
from bamdmux.wire.dmux import CHANNEL_COUNT, MAX_PACKET_BYTES
from tests.pump.kernel import Kernel

GENERATION: Final = 1  # of a pipe that was opened once


class LoggingDevice(QueueDevice):
    """An interface that writes down what is delivered in a list that it shares with others."""

    def __init__(self, channel: int, log: list[tuple[int, bytes]]) -> None:
        super().__init__()
        self._channel = channel
        self._log = log

    def write(self, buffer: memoryview) -> bool:
        self._log.append((self._channel, bytes(buffer[4:])))
        return True


class KernelDevice:
    """An interface that the native pump may read and write, as `Tun` is one."""

    def __init__(self, kernel: Kernel) -> None:
        self.interface = kernel.interface
        self.read_into = kernel.interface.read_into
        self.write = kernel.interface.write
        self.source = self

    @property
    def has_packet(self) -> bool:
        return self.interface.has_packet

    def turn(self) -> tuple[Interface | None, int]:
        return self.interface, 1 << 16

    def took(self, count: int, *, is_dry: bool) -> bool:
        return not is_dry


def counted(counters: Counters, reason: DropReason = DropReason.DEVICE_REFUSED) -> tuple[int, int, int]:
    return counters.packet_count, counters.byte_count, counters.drops[reason]


def tallied(tally: Tally) -> list[tuple[int, int, int]]:
    """Packets, bytes and refused packets, by channel."""
    numbers = tally.numbers
    rows = list(zip(numbers[:8], numbers[8:16], numbers[16:24], strict=True))
    assert numbers[24] == sum(1 << channel for channel, row in enumerate(rows) if any(row))
    return rows


def put_descriptors(
    memory: memoryview, layout: PipeLayout, descriptors: Sequence[tuple[int, int] | None]
) -> None:
    """What the peer finds in the first entries; None leaves one as it is."""
    for index, descriptor in enumerate(descriptors):
        if descriptor is not None:
            at = layout.fifo_offset + index * DESCRIPTOR_BYTES
            DESCRIPTOR.pack_into(memory, at, *descriptor, FLAG_EOT)


def put_word(memory: memoryview, at: int, entry: int, generation: int = GENERATION) -> None:
    """A tail or a position."""
    memory[at : at + 4].cast("I")[0] = generation << 16 | entry * DESCRIPTOR_BYTES


class Receiver:
    """The RX pipe of a host, of whose buffers the modem has filled some."""

    def __init__(
        self, frames: Sequence[bytes], claims: Sequence[int | None] = (), *, pumps: bool = True
    ) -> None:
        layout = LinkLayout(slot_count=len(frames) + 2)
        self.layout, self.memory = layout.rx, layout.allocate()
        self.owner = PipeOwner(self.memory, self.layout)
        self.owner.pumps = pumps
        self.ring = ReceiveRing(self.owner)
        self.ring.open()
        self.owner.publish()
        self.tally = Tally()
        for index, frame in enumerate(frames):
            claim = claims[index] if index < len(claims) else None
            address = self.layout.slot_address(index)
            self.memory[address : address + len(frame)] = frame
            written = len(frame) if claim is None else claim
            put_descriptors(self.memory, self.layout, [None] * index + [(address, written)])

    def pump(self, devices: tuple[Interface | None, ...], count: int) -> int:
        done = self.owner.pump_in(devices, count, self.tally)
        self.owner.publish()
        return done

    def arrived(self, count: int) -> None:
        """The modem says that it has filled so many buffers."""
        put_word(self.memory, self.layout.position_offset, count)


class Network:
    """Bearers on all channels but the last, of which some are down, for one version or for both."""

    def __init__(self) -> None:
        self.bearers = PacketDataNetwork(range(CHANNEL_COUNT - 1))
        self.host_open = [True, True, True, False, True, True, True, True]
        bearer = self.bearers.bearers[4]
        assert bearer is not None
        bearer.deactivate(4)

    def records(self) -> memoryview:
        return self.bearers.records(self.host_open)

    def uplink(self) -> list[Counters]:
        return [bearer.uplink if bearer else Counters() for bearer in self.bearers.bearers]

    def downlink(self) -> list[Counters]:
        return [bearer.downlink if bearer else Counters() for bearer in self.bearers.bearers]


class Taker:
    """The TX pipe of a host that has queued frames, and the modem's side of it."""

    def __init__(
        self,
        frames: Sequence[bytes],
        descriptors: Sequence[tuple[int, int] | None] = (),
        *,
        pumps: bool = True,
    ) -> None:
        layout = LinkLayout(slot_count=len(frames) + 1)
        self.layout, self.memory = layout.tx, layout.allocate()
        owner = PipeOwner(self.memory, self.layout)
        owner.open()
        for index, frame in enumerate(frames):
            owner.slot(index)[: len(frame)] = frame
            owner.submit(index, len(frame))
        put_descriptors(self.memory, self.layout, descriptors[: len(frames)])
        self.network = Network()
        self.outbox: list[Action] = []
        self.peer = PipePeer(self.memory, self.layout)
        self.peer.pumps = pumps
        self.uplink = Uplink(self.peer, self.network.bearers, self.outbox)
        self.uplink.host_open[:] = self.network.host_open
        self.tally = Tally()
        self.queued(0)
        assert self.peer.available() == 0  # and has seen the generation

    def queued(self, count: int) -> None:
        """The host says that it has queued so many frames."""
        put_word(self.memory, self.layout.tail_offset, count)

    def pump(self, interface: Interface, count: int, max_packet: int = MAX_PACKET_BYTES) -> int:
        return self.peer.pump_out(interface, count, max_packet, self.network.records(), self.tally)


class Sender:
    """The TX pipe of a host that transmits, its ring begun somewhere."""

    def __init__(
        self, first: int = 0, *, slot_count: int = 8, slot_bytes: int = 2052, pumps: bool = True
    ) -> None:
        layout = LinkLayout(slot_count=slot_count, transmit_bytes=slot_bytes)
        self.layout, self.memory = layout.tx, layout.allocate()
        self.owner = PipeOwner(self.memory, self.layout)
        self.owner.pumps = pumps
        self.owner.open()
        self.ring = TransmitRing(self.owner)
        self.peer = PipePeer(self.memory, self.layout)
        for _ in range(first):
            self.ring.fill_from(Channel(0, device=QueueDevice([b"before"])), 1)
            self.send()

    def send(self) -> list[bytes]:
        """Submit what is pending, and have the modem take it."""
        self.ring.submit_pending()
        self.owner.publish()
        frames = []
        for _ in range(self.peer.available()):
            frames.append(bytes(self.peer.take()))
            self.peer.complete()
        self.peer.publish()
        self.ring.reap()
        return frames


class Filler:
    """The RX pipe of a host that has queued buffers, and the modem's side of it."""

    def __init__(
        self, slot_count: int, descriptors: Sequence[tuple[int, int] | None] = (), *, pumps: bool = True
    ) -> None:
        layout = LinkLayout(slot_count=slot_count)
        self.layout, self.memory = layout.rx, layout.allocate()
        self.owner = PipeOwner(self.memory, self.layout)
        self.owner.open()
        for index in range(slot_count):
            self.owner.submit(index, self.layout.slot_bytes)
        self.owner.publish()
        put_descriptors(self.memory, self.layout, descriptors[:slot_count])
        self.network = Network()
        self.peer = PipePeer(self.memory, self.layout)
        self.peer.pumps = pumps
        assert self.peer.available() == slot_count  # and has seen the generation
        self.downlink = Downlink(self.peer, self.network.bearers, [])
        self.tally = Tally()

    def pump(self, interface: Interface, budget: int, space: int | None = None) -> int:
        space = self.layout.slot_count if space is None else space
        return self.peer.pump_in(interface, space, budget, self.network.records(), self.tally)

    def take_back(self) -> list[bytes]:
        """The host takes what was filled, and queues the buffers again."""
        self.peer.publish()
        frames = []
        for _ in range(self.owner.completed()):
            slot, written = self.owner.reap()
            frames.append(bytes(self.owner.slot(slot)[:written]))
            self.owner.submit(slot, self.layout.slot_bytes)
        self.owner.publish()
        assert self.peer.available()
        return frames


def numbers(count: int) -> "array[int]":
    """Room for as many u32."""
    return array("I", bytes(4 * count))
