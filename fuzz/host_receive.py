"""A hostile modem against the host's driver: its lines, its descriptors and positions, its frames.

The script is a sequence of steps: the modem moves a line to any count, fills buffers and claims any length,
puts any number into any word, scribbles over the memory they share, rings; the user's interfaces come and go
and want to transmit; time passes. Then the driver is removed, which has to end however the modem behaves.

After each step must be true:
    every buffer of RX is with the modem while the pipe is open, every slot of TX is in one place
    every frame that was taken from RX was delivered, is a command, or is counted with its reason; what, is
        read a second time by `decode_frame`
    every packet that was read from an interface is counted
    the driver wrote only what is its own, asked for a bounded number of actions, and none that makes no sense
    no deadline is due for ever
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from bamdmux.actions import (
    Action,
    Line,
    Log,
    LogEvent,
    Pipe,
    RegisterNetdev,
    Removed,
    SetLine,
    UnregisterNetdev,
)
from bamdmux.bam.lines import COUNT_MASK, level_of
from bamdmux.bam.memory import DESCRIPTOR_BYTES, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR, FLAG_EOT, PipeOwner
from bamdmux.counters import DropReason
from bamdmux.errors import MalformedFrame
from bamdmux.host.channels import Channels
from bamdmux.host.driver import HostDriver
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import MILLISECOND, SECOND
from bamdmux.wire.dmux import CHANNEL_COUNT, HEADER, HEADER_BYTES, MAGIC, Command, decode_frame
from fuzz.script import Script

MAX_STEPS: Final = 64
MAX_ACTIONS: Final = 256  # of one step: a few for each frame of a ring, and for each channel
MAX_WAITING_COMMANDS: Final = 2 * CHANNEL_COUNT
DEADLINES_AT_ONCE: Final = 8
REMOVAL: Final = 8 * SECOND  # to wake the modem, to say CLOSE, to wait for its power: 2 s each, and some

_OUT_OF_ORDER: Final = {DropReason.TOO_LONG, DropReason.TRUNCATED, DropReason.EMPTY}
_NO_CHANNEL: Final = {DropReason.BAD_MAGIC, DropReason.UNSUPPORTED_CHANNEL, DropReason.OVERRUN}


class Interface(QueueDevice):
    """An interface of the host; to deliver to it while it is down is a bug."""

    def __init__(self) -> None:
        super().__init__()
        self.is_up = False
        self.is_full = False
        self.read_count = 0

    def read_into(self, buffer: memoryview) -> int:
        self.read_count += bool(self.outgoing)
        return super().read_into(buffer)

    def write(self, buffer: memoryview) -> bool:
        assert self.is_up, "delivered to an interface that is down"
        return not self.is_full and super().write(buffer)


class WatchedPipe(PipeOwner):
    """The host's end of RX, which keeps what it took from there; None for a claim beyond the buffer.

    Besides, which channels had an interface: a frame can make the driver let go of them, before the next one.
    ``meanwhile`` is what the modem does to the memory while the host is in the middle of a batch.
    """

    channels: Channels

    def __init__(self, memory: memoryview, layout: PipeLayout) -> None:
        super().__init__(memory, layout)
        self.taken: list[tuple[bytes | None, frozenset[int]]] = []
        self.meanwhile: deque[Callable[[], None]] = deque()

    def reap(self) -> tuple[int, int]:
        if self.meanwhile:
            self.meanwhile.popleft()()
        offset = self.layout.fifo_offset + self._head * DESCRIPTOR_BYTES
        _, claimed, _ = DESCRIPTOR.unpack_from(self._memory, offset)
        slot_index, written = super().reap()
        if self.meanwhile:
            self.meanwhile.popleft()()
        is_overrun = claimed > self.layout.slot_bytes
        octets = None if is_overrun else bytes(self.slot(slot_index)[:claimed])
        present = frozenset(channel.index for channel in self.channels if channel.device is not None)
        self.taken.append((octets, present))
        return slot_index, written


class Host:
    """The driver, its interfaces, and what must have come of the frames so far."""

    def __init__(
        self,
        *,
        slot_count: int,
        spare_entries: int,
        receive_bytes: int = 64,
        transmit_bytes: int = 64,
        vote_level: bool = False,
        ack_level: bool = False,
        power_edges: int = 0,
        ack_edges: int = 0,
    ) -> None:
        counts = {"slot_count": slot_count, "entry_count": slot_count + spare_entries}
        self.tx_layout = PipeLayout(start=0, slot_bytes=transmit_bytes, **counts)
        self.rx_layout = PipeLayout(start=self.tx_layout.end, slot_bytes=receive_bytes, **counts)
        self.memory = memoryview(bytearray(self.rx_layout.end))
        self.tx = PipeOwner(self.memory, self.tx_layout)
        self.tx.pumps = False  # what is written here must not hang on whether there was a compiler
        self.rx = WatchedPipe(self.memory, self.rx_layout)
        self.driver = HostDriver(self.tx, self.rx, vote_level=vote_level, ack_level=ack_level)
        self.rx.channels = self.driver.channels
        self.levels: dict[Line, bool] = {}
        self.devices: dict[int, Interface] = {}
        self.read_counts: Counter[int] = Counter()
        self.drops: Counter[tuple[int | None, DropReason]] = Counter()
        self.delivered: dict[int, list[bytes]] = {channel: [] for channel in range(CHANNEL_COUNT)}
        self.command_count = self.command_log_count = 0
        self.is_removed = False
        self.now = 0
        self.power_edges = power_edges
        self.driver.probe(power_edges, ack_edges, 0)
        self.check()

    def check(self) -> None:
        """Carry out what the driver asks for, and see that all is true that must be."""
        self._expect(self.rx.taken)
        self.rx.taken.clear()
        self._carry_out()
        assert self.rx.in_flight == (self.rx_layout.slot_count if self.rx.is_open else 0), "RX lost a buffer"
        ring = self.driver._transmit_ring
        in_place = ring.free + ring.pending + self.tx.in_flight
        # Removed, it has dropped what was in flight, and the ring goes with it.
        assert self.is_removed or in_place == self.tx_layout.slot_count, "TX lost a slot"
        assert len(ring.waiting_commands) <= MAX_WAITING_COMMANDS, "commands pile up"
        assert self.command_count == self.command_log_count, "a command was lost"
        counted: dict[tuple[int | None, DropReason], int] = {
            (None, reason): count for reason, count in self.driver.unassigned.drops.items()
        }
        for channel in self.driver.channels:
            received, transmitted = channel.received, channel.transmitted
            counted |= {(channel.index, reason): count for reason, count in received.drops.items()}
            packets = self.delivered[channel.index]
            assert received.packet_count == len(packets)
            assert received.byte_count == sum(map(len, packets))
            assert transmitted.packet_count >= 0 <= transmitted.byte_count
            read_count = self.read_counts[channel.index]
            if channel.index in self.devices:
                read_count += self.devices[channel.index].read_count
                assert list(self.devices[channel.index].delivered) == packets, "not what was sent"
            assert transmitted.packet_count + transmitted.drops.total() == read_count
        assert counted == self.drops, "not counted for what they are"
        assert all(isinstance(reason, DropReason) for _, reason in counted)

    def _expect(self, taken: list[tuple[bytes | None, frozenset[int]]]) -> None:
        """Say what must come of frames, by the other reading of a header."""
        for octets, present in taken:
            channel = octets[5] if octets is not None and len(octets) >= HEADER_BYTES else None
            device = self.devices[channel] if channel in present else None
            is_active = device is not None and device.is_up
            try:
                if octets is None:
                    raise MalformedFrame(DropReason.OVERRUN, "")
                frame = decode_frame(octets, self.rx_layout.slot_bytes - HEADER_BYTES)
            except MalformedFrame as error:
                reason = error.reason
                assert isinstance(reason, DropReason)
                if channel is not None and reason in _OUT_OF_ORDER and not is_active:
                    reason = DropReason.INACTIVE_CHANNEL
                self.drops[None if reason in _NO_CHANNEL else channel, reason] += 1
                continue
            if frame.command is not Command.DATA:
                self.command_count += 1
            elif device is None or not is_active:
                self.drops[channel, DropReason.INACTIVE_CHANNEL] += 1
            elif device.is_full:
                self.drops[channel, DropReason.DEVICE_REFUSED] += 1
            else:
                self.delivered[frame.channel].append(frame.packet)

    def _carry_out(self) -> None:
        count = 0
        while actions := self.driver.take_actions():
            count += len(actions)
            assert count <= MAX_ACTIONS, "actions without end"
            for action in actions:
                self._do(action)

    def _do(self, action: Action) -> None:
        assert not self.is_removed, "something after the end"
        match action:
            case SetLine(line, level):
                assert line in (Line.HOST_VOTE, Line.HOST_ACK), "not ours"
                assert self.levels.get(line) is not level, "no edge"
                self.levels[line] = level
            case RegisterNetdev(channel):
                assert channel not in self.devices, "there is one"
                self.devices[channel] = Interface()
                self.driver.netdev_registered(channel, self.devices[channel], self.now)
            case UnregisterNetdev(channel):
                self.read_counts[channel] += self.devices.pop(channel).read_count
            case Log(event=LogEvent.CHANNEL_OPENED | LogEvent.CHANNEL_CLOSED):
                self.command_log_count += 1
            case Log():
                assert action.message
            case Removed():
                self.is_removed = True

    def ring(self, pipe: Pipe) -> None:
        before = self._words_of_the_modem()
        is_watched = not self.rx.meanwhile  # else the modem writes as well
        self.driver.doorbell_rang(pipe, self.now)
        assert not is_watched or self._words_of_the_modem() == before, "the driver wrote what is the modem's"

    def move_line(self, line: Line, edge_count: int) -> None:
        if line is Line.MODEM_POWER:
            self.power_edges = edge_count
        before = self._words_of_the_modem()
        is_watched = not self.rx.meanwhile
        self.driver.line_changed(line, edge_count, self.now)
        assert not is_watched or self._words_of_the_modem() == before, "the driver wrote what is the modem's"

    def _words_of_the_modem(self) -> bytes:
        """The positions, and the buffers of RX."""
        tx, rx = self.tx_layout, self.rx_layout
        words = [self.memory[offset : offset + 4] for offset in (tx.position_offset, rx.position_offset)]
        return b"".join([*words, self.memory[rx.buffers_offset : rx.end]])

    # What the user does

    def set_interface(self, channel: int, is_up: bool) -> None:
        if (device := self.devices.get(channel)) is not None:
            device.is_up |= is_up
            self.driver.interface_changed(channel, is_up, self.now)
            device.is_up = is_up

    def transmit(self, channel: int, packets: list[bytes]) -> None:
        if (device := self.devices.get(channel)) is not None:
            device.outgoing.extend(packets)
            self.driver.transmit(list(self.devices), self.now)

    # Time

    def run_until(self, end: int) -> None:
        repeats = 0
        while (deadline := self.driver.deadline) is not None and deadline <= end and not self.is_removed:
            repeats = repeats + 1 if deadline <= self.now else 0
            assert repeats < DEADLINES_AT_ONCE, "due for ever"
            self.now = max(self.now, deadline)
            self.driver.handle_timeout(self.now)
            self.check()
        self.now = max(self.now, end)


class HostileModem:
    """The other end of the memory, which keeps to nothing."""

    def __init__(self, host: Host) -> None:
        self._memory = host.memory
        self._pipe = host.rx
        self._tx, self._rx = host.tx_layout, host.rx_layout
        self._entry = 0  # of RX, that it uses next

    def begin(self, entry: int = 0) -> None:
        self._entry = entry % self._rx.entry_count

    def fill(self, octets: bytes, claimed: int) -> None:
        """Fill the next buffer, or what the memory says is one, and claim any number of bytes."""
        offset = self._rx.fifo_offset + self._entry * DESCRIPTOR_BYTES
        address, _, _ = DESCRIPTOR.unpack_from(self._memory, offset)
        if self._rx.buffers_offset <= address <= self._rx.end:
            room = self._memory[address : self._rx.end]
            octets = octets[: len(room)]
            room[: len(octets)] = octets
        DESCRIPTOR.pack_into(self._memory, offset, address, claimed, FLAG_EOT)
        self._entry = (self._entry + 1) % self._rx.entry_count

    def give_back(self) -> None:
        """Say that what was filled is filled."""
        generation = self._word(self._rx.tail_offset)[0] >> 16
        self._word(self._rx.position_offset)[0] = generation << 16 | self._entry * DESCRIPTOR_BYTES

    def take(self, count: int) -> None:
        """Say that so many frames of TX are done with; there may be fewer."""
        tail, position = self._word(self._tx.tail_offset), self._word(self._tx.position_offset)
        is_stale = position[0] >> 16 != tail[0] >> 16
        entry = count if is_stale else (position[0] & 0xFFFF) // DESCRIPTOR_BYTES + count
        position[0] = tail[0] >> 16 << 16 | entry % self._tx.entry_count * DESCRIPTOR_BYTES

    def put_word(self, which: int, value: int) -> None:
        """Put a number into a position, or into a tail, which is the host's."""
        offset = (
            self._rx.position_offset,
            self._tx.position_offset,
            self._rx.tail_offset,
            self._tx.tail_offset,
        )[which]
        self._word(offset)[0] = value

    def scribble_later(self, offset: int, octets: bytes) -> None:
        """While the host reads."""
        self._pipe.meanwhile.append(lambda: self.scribble(offset, octets))

    def scribble(self, offset: int, octets: bytes) -> None:
        offset %= len(self._memory)
        octets = octets[: len(self._memory) - offset]
        self._memory[offset : offset + len(octets)] = octets

    def _word(self, offset: int) -> memoryview:
        return self._memory[offset : offset + 4].cast("I")


def start(host: Host, modem: HostileModem) -> None:
    """What an honest modem does first: power and two channels, of which the user sets one up."""
    if not level_of(host.power_edges):
        host.move_line(Line.MODEM_POWER, host.power_edges + 1 & COUNT_MASK)
    for channel in (0, 1):
        octets = HEADER.pack(MAGIC, 0, Command.OPEN, 0, channel, 0)
        modem.fill(octets, len(octets))
        modem.give_back()
        host.ring(Pipe.RX)
        host.check()
    host.run_until(host.now)
    host.set_interface(0, True)
    host.check()


def read_host(script: Script) -> Host:
    return Host(
        slot_count=1 + script.below(4),
        spare_entries=1 + script.below(3),
        receive_bytes=script.choice((64, 16, 8, 2048)),
        transmit_bytes=script.choice((64, 2052)),
        vote_level=script.chance(),
        ack_level=script.chance(),
        power_edges=script.number(4),
        ack_edges=script.number(4),
    )


def read_frame(script: Script) -> bytes:
    kind = script.below(4)
    if kind == 0:
        return script.octets(script.below(24))
    command = script.choice((0, 0, 1, 2, 4, script.number())) if kind == 1 else kind % 2 + 1
    payload = script.octets(script.below(48)) if command == 0 else b""
    length = script.choice((len(payload), len(payload), 0xFFFF, script.number(2)))
    return HEADER.pack(MAGIC, 0, command, 0, script.below(10), length) + payload


def play_step(host: Host, modem: HostileModem, script: Script) -> None:
    driver = host.driver
    match script.below(16):
        case 0 | 1 | 2 | 3:
            for _ in range(1 + script.below(4)):
                octets = read_frame(script)
                claimed = script.choice((len(octets), len(octets), len(octets) - 1, script.number(2)))
                modem.fill(octets, claimed & 0xFFFF)
            modem.give_back()
            host.ring(Pipe.RX)
        case 4:
            host.move_line(Line.MODEM_POWER, script.number())
        case 5:
            host.move_line(Line.MODEM_ACK, script.number())
        case 6:
            host.move_line(Line.MODEM_POWER, script.number(4))
            host.move_line(Line.MODEM_ACK, script.number(4))
        case 7:
            modem.take(script.below(5))
            host.ring(Pipe.TX)
        case 8:
            modem.put_word(script.below(4), script.number(4))
            modem.begin(script.below(8))
            host.ring(script.choice((Pipe.RX, Pipe.TX)))
        case 9:
            scribble = script.choice((modem.scribble, modem.scribble_later))
            scribble(script.number(2), script.octets(16))
            if script.chance():
                host.ring(Pipe.RX)
        case 10:
            driver.modem_vanished(host.now)
            modem.begin()
        case 11:
            host.set_interface(script.below(CHANNEL_COUNT), script.chance())
        case 12:
            host.transmit(script.below(CHANNEL_COUNT), [script.octets(script.below(64)) or b"\x45"])
        case 13:
            if (device := host.devices.get(script.below(CHANNEL_COUNT))) is not None:
                device.is_full = not device.is_full
        case 14:
            host.run_until(host.now + script.choice((0, MILLISECOND, 500 * MILLISECOND, 2 * SECOND)))
        case 15:
            if not driver.is_leaving and script.chance():
                driver.remove(host.now)


def check_removal(host: Host) -> None:
    """However the modem behaves, the driver lets go of everything within a bound."""
    if not host.driver.is_leaving:
        host.driver.remove(host.now)
        host.check()
    host.run_until(host.now + REMOVAL)
    assert host.is_removed, "it never lets go"
    assert not host.rx.is_open
    assert not host.tx.is_open
    assert not host.devices


def check(data: bytes) -> None:
    """Play one script."""
    script = Script(data)
    host = read_host(script)
    modem = HostileModem(host)
    if script.chance():
        start(host, modem)
    for _ in range(MAX_STEPS):
        if script.is_over or host.is_removed:
            break
        play_step(host, modem, script)
        host.check()
    check_removal(host)
