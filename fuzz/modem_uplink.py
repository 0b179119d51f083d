"""A hostile host against the modem: its lines, its descriptors and tails, its frames and buffers.

The script is a sequence of steps: the host moves a line to any count, queues frames and buffers or what it
says are such, puts any number into any word, scribbles over the memory they share, rings; packets come from
the network; bearers come and go; the modem crashes and boots; time passes.

After each step must be true:
    every frame that was taken from TX was sent to the network, was answered, is a command, or is counted with
        its reason; what, is read a second time by `decode_frame`
    the network got what it may get, in order: from a channel that the host has open, from the bearer's own
        address, no longer than its MTU
    every packet that was read from the network is in a buffer of the host's, or is counted
    the modem wrote only what is its own, asked for a bounded number of actions, and none that makes no sense
    nothing piles up, and no deadline is due for ever
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Final

from bamdmux.actions import Action, Line, Log, Pipe, RingDoorbell, SetLine
from bamdmux.bam.lines import COUNT_MASK
from bamdmux.bam.memory import DESCRIPTOR_BYTES, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR, FLAG_EOT, PipePeer
from bamdmux.counters import Counters
from bamdmux.errors import MalformedFrame
from bamdmux.modem.downlink import PENDING_FRAMES
from bamdmux.modem.modem import Modem
from bamdmux.modem.network import Bearer, PacketDataNetwork, is_router_solicitation
from bamdmux.modem.profiles import Profile, load_profile
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import MILLISECOND, SECOND
from bamdmux.wire.dmux import CHANNEL_COUNT, HEADER, HEADER_BYTES, MAGIC, WORD_BYTES, Command, decode_frame
from bamdmux.wire.icmp import ICMPV6, encode_icmpv6
from fuzz.script import Script

MAX_STEPS: Final = 64
MAX_ACTIONS: Final = 128  # of one step
DEADLINES_AT_ONCE: Final = 16
CHANNELS: Final = (0, 1, 2)
SOLICITATION: Final = bytes((133, 0, 0, 0, 0, 0, 0, 0))
FAR4: Final = bytes((198, 51, 100, 7))
FAR6: Final = ip_address("2001:db8:ffff::7").packed
ALL_ROUTERS: Final = ip_address("ff02::2").packed


@cache
def profile() -> Profile:
    return replace(load_profile(), channels=CHANNELS)


class WatchedPipe(PipePeer):
    """The modem's end of TX, which keeps what was in the buffers that it is done with.

    ``meanwhile`` is what the host does to the memory while the modem is in the middle of a batch.
    """

    def __init__(self, memory: memoryview, layout: PipeLayout) -> None:
        super().__init__(memory, layout)
        self.taken: list[bytes] = []
        self.meanwhile: deque[Callable[[], None]] = deque()
        self._buffer = b""

    def take(self) -> memoryview:
        offset = self.layout.fifo_offset + self._position * DESCRIPTOR_BYTES
        address, size, _ = DESCRIPTOR.unpack_from(self._memory, offset)
        buffer = super().take()
        is_within = self.layout.buffers_offset <= address and address + size <= self.layout.end
        assert len(buffer) in ((0, size) if is_within else (0,)), "beyond the buffers"
        if self.meanwhile:
            self.meanwhile.popleft()()
        self._buffer = bytes(buffer)
        return buffer

    def complete(self, written: int | None = None) -> bool:
        is_done = super().complete(written)
        if is_done:
            self.taken.append(self._buffer)
        return is_done


class World:
    """The modem, its network, and what must have come of the frames so far."""

    def __init__(
        self,
        *,
        slot_count: int,
        spare_entries: int,
        transmit_bytes: int = 128,
        receive_bytes: int = 128,
        network_capacity: int = 1 << 16,
        mtu: int = 1500,
        power_level: bool = False,
        ack_level: bool = False,
        vote_edges: int = 0,
        host_ack_edges: int = 0,
    ) -> None:
        counts = {"slot_count": slot_count, "entry_count": slot_count + spare_entries}
        self.tx_layout = PipeLayout(start=0, slot_bytes=transmit_bytes, **counts)
        self.rx_layout = PipeLayout(start=self.tx_layout.end, slot_bytes=receive_bytes, **counts)
        self.memory = memoryview(bytearray(self.rx_layout.end))
        self.tx = WatchedPipe(self.memory, self.tx_layout)
        self.rx = PipePeer(self.memory, self.rx_layout)
        self.network = QueueDevice(capacity=network_capacity)
        bearers = PacketDataNetwork(CHANNELS, mtu=mtu)
        self.modem = Modem(profile(), self.tx, self.rx, self.network, bearers)
        self.levels = {Line.MODEM_POWER: power_level, Line.MODEM_ACK: ack_level}
        self.host_ack_edges = host_ack_edges
        self.modem.adopt(
            power_level=power_level,
            ack_level=ack_level,
            vote_edges=vote_edges,
            host_ack_edges=host_ack_edges,
        )
        self.taken_count = self.command_count = self.read_count = 0
        self.is_open = [False] * CHANNEL_COUNT
        self.expected: list[bytes] = []  # packets that the network must have got
        self.now = 0
        self.modem.boot(0)
        self.check()

    def check(self) -> None:
        """See that all is true that must be."""
        actions = self.modem.take_actions()
        assert len(actions) <= MAX_ACTIONS, "actions without end"
        for action in actions:
            self._do(action)
        for octets in self.tx.taken:
            self._read(octets)
        self.tx.taken.clear()
        self._check_network()
        modem = self.modem
        bearers = [bearer for bearer in modem.packet_data_network.bearers if bearer is not None]
        uplink = [modem._uplink.strays, *(bearer.uplink for bearer in bearers)]
        assert self.taken_count == self.command_count + total(uplink), "a frame was lost"
        downlink = [modem._downlink.strays, *(bearer.downlink for bearer in bearers)]
        assert all(counters.packet_count >= 0 <= counters.byte_count for counters in uplink + downlink)
        assert total(downlink) >= self.read_count, "a packet of the network was lost"
        assert modem._downlink.pending_count <= PENDING_FRAMES, "frames pile up"

    def _do(self, action: Action) -> None:
        match action:
            case SetLine(line, level):
                assert self.levels[line] is not level, "no edge"
                self.levels[line] = level
            case Log():
                assert action.message
            case _:
                assert isinstance(action, RingDoorbell)

    def _read(self, octets: bytes) -> None:
        self.taken_count += 1
        try:
            frame = decode_frame(octets, self.tx_layout.slot_bytes - HEADER_BYTES - WORD_BYTES)
        except MalformedFrame:
            return
        if frame.command in (Command.OPEN, Command.CLOSE):
            self.command_count += 1
            self.is_open[frame.channel] = frame.command is Command.OPEN
        elif frame.command is Command.DATA and self.is_open[frame.channel]:
            bearer = self.modem.packet_data_network.bearers[frame.channel]
            if bearer is not None and passes(frame.packet, bearer):
                self.expected.append(frame.packet)

    def _check_network(self) -> None:
        assert list(self.network.delivered) == self.expected[: self.network.capacity], "not what may pass"
        self.network.delivered.clear()
        self.network.protocols.clear()
        self.expected.clear()

    def tell(self, what: Line | Pipe, edge_count: int = 0) -> None:
        """A line of the host's has moved, or its doorbell rings."""
        before = self._words_of_the_host()
        is_watched = not self.tx.meanwhile  # else the host writes as well
        if isinstance(what, Pipe):
            self.modem.doorbell_rang(what, self.now)
        else:
            self.modem.line_changed(what, edge_count, self.now)
            if what is Line.HOST_ACK:
                self.host_ack_edges = edge_count
        assert not is_watched or self._words_of_the_host() == before, "the modem wrote what is the host's"

    def _words_of_the_host(self) -> bytes:
        """The tails, and all of TX but its position."""
        tx, rx = self.tx_layout, self.rx_layout
        tails = [self.memory[layout.tail_offset : layout.tail_offset + 4] for layout in (tx, rx)]
        return b"".join([*tails, self.memory[tx.fifo_offset : tx.end]])

    def come_up(self) -> None:
        """What an honest host would do, so that the modem comes up at all."""
        self.run_until(self.now + SECOND)
        self.tell(Line.HOST_ACK, self.host_ack_edges + 1 & COUNT_MASK)

    def receive(self, packet: bytes) -> None:
        if self.modem.is_booted:
            self.network.outgoing.append(packet)
            self.read_count += self.modem.receive_from_network(self.now)
            while len(self.network.outgoing) > 8:
                self.network.outgoing.popleft()

    def run_until(self, end: int) -> None:
        repeats = 0
        while (deadline := self.modem.deadline) is not None and deadline <= end:
            repeats = repeats + 1 if deadline <= self.now else 0
            assert repeats < DEADLINES_AT_ONCE, "due for ever"
            self.now = max(self.now, deadline)
            self.modem.handle_timeout(self.now)
            self.check()
        self.now = max(self.now, end)

    def change_bearer(self, channel: int, versions: tuple[int, ...]) -> None:
        bearer = self.modem.packet_data_network.bearers[channel]
        assert bearer is not None
        if set(versions) <= set(bearer.versions):
            bearer.deactivate(*versions)
        else:
            bearer.activate(*versions)

    def crash_or_boot(self) -> None:
        if self.modem.is_booted:
            self.modem.crash(self.now)
            self.is_open = [False] * CHANNEL_COUNT
        else:
            self.modem.boot(self.now)


def total(directions: list[Counters]) -> int:
    return sum(counters.packet_count + counters.drops.total() for counters in directions)


def passes(packet: bytes, bearer: Bearer) -> bool:
    """A second reading of what the network takes from a bearer."""
    version = packet[0] >> 4
    if version not in bearer.versions or len(packet) > bearer.mtu:
        return False
    if version == 4:
        return len(packet) >= 20 and packet[12:16] == bytes((10, 64, bearer.channel, 2))
    if len(packet) < 40:
        return False
    source = ip_address(packet[8:24])
    is_own = source in ip_network(f"2001:db8:64:{bearer.channel}::/64")
    return (is_own or source.is_link_local) and not is_router_solicitation(packet)


class HostileHost:
    """The other end of the memory, which keeps to nothing."""

    def __init__(self, world: World) -> None:
        self._memory = world.memory
        self._pipe = world.tx
        self._tx, self._rx = world.tx_layout, world.rx_layout

    def queue(
        self, pipe: Pipe, slot_index: int, octets: bytes, size: int | None = None, address: int | None = None
    ) -> None:
        """Queue a buffer with something in it; or what is none, if an address is given."""
        layout = self._tx if pipe is Pipe.TX else self._rx
        tail = self._word(layout.tail_offset)
        entry = (tail[0] & 0xFFFF) // DESCRIPTOR_BYTES % layout.entry_count
        slot = layout.slot_address(slot_index % layout.slot_count)
        self._memory[slot : slot + len(octets)] = octets
        DESCRIPTOR.pack_into(
            self._memory,
            layout.fifo_offset + entry * DESCRIPTOR_BYTES,
            slot if address is None else address,
            size if size is not None else len(octets) or layout.slot_bytes,
            FLAG_EOT,
        )
        entry = (entry + 1) % layout.entry_count
        tail[0] = tail[0] >> 16 << 16 | entry * DESCRIPTOR_BYTES

    def put_word(self, which: int, value: int) -> None:
        """Put a number into a tail, or into a position, which is the modem's."""
        offset = (
            self._tx.tail_offset,
            self._rx.tail_offset,
            self._tx.position_offset,
            self._rx.position_offset,
        )[which]
        self._word(offset)[0] = value

    def scribble_later(self, offset: int, octets: bytes) -> None:
        """While the modem reads."""
        self._pipe.meanwhile.append(lambda: self.scribble(offset, octets))

    def reset_later(self) -> None:
        """Reset TX while the modem reads."""
        self._pipe.meanwhile.append(self._reset)

    def _reset(self) -> None:
        tail = self._word(self._tx.tail_offset)
        tail[0] = (tail[0] >> 16) + 1 << 16 & 0xFFFF_0000

    def scribble(self, offset: int, octets: bytes) -> None:
        offset %= len(self._memory)
        octets = octets[: len(self._memory) - offset]
        self._memory[offset : offset + len(octets)] = octets

    def _word(self, offset: int) -> memoryview:
        return self._memory[offset : offset + 4].cast("I")


def start(world: World, host: HostileHost) -> None:
    """What an honest host does first: ack the modem's power, queue buffers, open a channel."""
    world.come_up()
    for slot_index in range(world.rx_layout.slot_count):
        host.queue(Pipe.RX, slot_index, b"")
    world.tell(Pipe.RX)
    host.queue(Pipe.TX, 0, HEADER.pack(MAGIC, 0, Command.OPEN, 0, 0, 0))
    world.tell(Pipe.TX)
    world.check()


def read_world(script: Script) -> World:
    return World(
        slot_count=1 + script.below(4),
        spare_entries=1 + script.below(3),
        transmit_bytes=script.choice((128, 2052, 8)),
        receive_bytes=script.choice((128, 2048, 8)),
        network_capacity=script.choice((1 << 16, 3)),
        mtu=script.choice((1500, 60)),
        power_level=script.chance(),
        ack_level=script.chance(),
        vote_edges=script.number(4),
        host_ack_edges=script.number(4),
    )


def read_packet(script: Script, channel: int, is_up: bool = True) -> bytes:
    """Some packet from, or to, the bearer of a channel; or none of it."""
    host4, host6 = bytes((10, 64, channel, 2)), ip_address(f"2001:db8:64:{channel}::2").packed
    rest = script.octets(script.below(32))
    match script.below(8):
        case 0:
            return rest
        case 1:
            return b"\x45" + bytes(11) + (host4 + FAR4 if is_up else FAR4 + host4) + rest
        case 2:
            return b"\x60" + bytes(7) + (host6 + FAR6 if is_up else FAR6 + host6) + rest
        case 3:
            source = script.choice((bytes(16), b"\xfe\x80" + bytes(13) + b"\2", host6, FAR6))
            return encode_icmpv6(source, ALL_ROUTERS, script.choice((255, 254)), SOLICITATION + rest)
        case 4:
            return b"\x60\0\0\0" + bytes((len(rest), 0, ICMPV6, 255)) + b"\xfe\x80" + bytes(30) + rest
        case 5:  # from, or to, the bearer of another channel
            near4 = bytes((10, 64, channel ^ 1, 2))
            return b"\x45" + bytes(11) + (near4 + FAR4 if is_up else FAR4 + near4) + rest
        case 6:
            near6 = ip_address(f"2001:db8:64:{channel ^ 1}::2").packed
            return b"\x60" + bytes(7) + (near6 + FAR6 if is_up else FAR6 + near6) + rest
        case _:
            return bytes((0x40 | script.below(64),)) + rest


def read_frame(script: Script, limit: int) -> bytes:
    """At most so long, as a slot."""
    kind = script.below(8)
    channel = script.below(10)
    if kind == 0:
        return script.octets(script.below(24))[:limit]
    if kind <= 2:
        command = script.choice((1, 1, 2, 4, script.number()))
        return HEADER.pack(MAGIC, 0, command, 0, channel, 0)
    packet = read_packet(script, channel)
    length = script.choice((len(packet), len(packet), len(packet), 0xFFFF, script.number(2)))
    return (HEADER.pack(MAGIC, 0, 0, 0, channel, length) + packet)[:limit]


def queue_some(world: World, host: HostileHost, script: Script, pipe: Pipe) -> None:
    """Frames or buffers, most of them honest."""
    for _ in range(1 + script.below(4)):
        octets = read_frame(script, world.tx_layout.slot_bytes) if pipe is Pipe.TX else b""
        slot_index = script.below(4)
        if script.below(8) == 0:
            host.queue(pipe, slot_index, octets, script.number(2), script.number(4))
        else:
            host.queue(pipe, slot_index, octets, script.number() if script.below(8) == 0 else None)
    world.tell(pipe)


def play_step(world: World, host: HostileHost, script: Script) -> None:
    match script.below(16):
        case 0 | 1 | 2 | 3:
            queue_some(world, host, script, Pipe.TX)
        case 4 | 5:
            queue_some(world, host, script, Pipe.RX)
        case 6:
            world.tell(Line.HOST_VOTE, script.number())
        case 7:
            world.tell(Line.HOST_ACK, script.number())
        case 8:
            world.tell(Line.HOST_VOTE, script.number(4))
            world.tell(Line.HOST_ACK, script.number(4))
        case 9:
            host.put_word(script.below(4), script.number(4))
            world.tell(script.choice((Pipe.RX, Pipe.TX)))
        case 10:
            scribble = script.choice((host.scribble, host.scribble_later))
            scribble(script.number(2), script.octets(16))
            if script.below(4) == 0:
                host.reset_later()
            if script.chance():
                world.tell(Pipe.TX)
        case 11:
            world.receive(read_packet(script, script.below(4), is_up=False))
        case 12:
            world.run_until(world.now + script.choice((0, MILLISECOND, 50 * MILLISECOND, 2 * SECOND)))
        case 13:
            world.crash_or_boot()
        case 14:
            world.change_bearer(script.choice(CHANNELS), script.choice(((4,), (6,), (4, 6))))
        case 15:
            world.come_up()


def check(data: bytes) -> None:
    """Play one script."""
    script = Script(data)
    world = read_world(script)
    host = HostileHost(world)
    if script.chance():
        start(world, host)
    for _ in range(MAX_STEPS):
        if script.is_over:
            break
        play_step(world, host, script)
        world.check()
    world.run_until(world.now + 10 * SECOND)
