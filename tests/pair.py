"""A real HostDriver and a real Modem over one bytearray, in virtual time.

What one side asks for is a notice to the other: a line that changed, a doorbell. Notices are delivered by
`settle` in their order, or one by one as a test likes; a line is read when its notice is delivered, so edges
merge as they do on a machine that is slow to look.
"""

from collections.abc import Iterable
from typing import Final

from bamdmux.actions import (
    Action,
    Line,
    Log,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    RingDoorbell,
    SetLine,
    UnregisterNetdev,
)
from bamdmux.bam.lines import LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.host.driver import HostDriver
from bamdmux.modem.modem import Modem
from bamdmux.modem.profiles import load_profile, with_channels
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import Duration, Instant, earliest
from tests.modem.near_end import WORLD4, packet4

ROUNDS: Final = 1024  # of one settling; more, and the two would talk for ever
DEADLINES_AT_ONCE: Final = 16

Notice = tuple[bool, Line | Pipe]  # whether it is for the host; what moved


class Interface(QueueDevice):
    """An interface of the host: to deliver to it while it is down is a bug."""

    def __init__(self) -> None:
        super().__init__()
        self.is_up = False

    def write(self, buffer: memoryview) -> bool:
        assert self.is_up, "delivered to an interface that is down"
        return super().write(buffer)


class WatchedTransmitPipe(PipeOwner):
    """The host's end of TX. It writes down what is sent, and holds the host to having power for it."""

    pair: "Pair"

    def submit(self, slot_index: int, size: int) -> None:
        power = self.pair.host.status(self.pair.now)["power"]
        assert isinstance(power, dict)
        assert power["vote"] == "active", "sent without our vote, its ack and the modem's power"
        assert power["modem_up"]
        self.pair.sent.append(bytes(self.slot(slot_index)[:size]))
        super().submit(slot_index, size)


class Pair:
    """Both machines, neither probed nor booted, and what is around them."""

    def __init__(
        self, channel_count: int = 2, slot_count: int = 32, layout: LinkLayout | None = None
    ) -> None:
        layout = layout or LinkLayout(slot_count=slot_count)
        memory = layout.allocate()
        self.slot_count = layout.slot_count
        self.memory, self.layout = memory, layout
        self.host_tx = self.make_transmit_pipe()
        self.host_rx = PipeOwner(memory, layout.rx)
        self.host = HostDriver(self.host_tx, self.host_rx)
        self.network = self.make_network()
        profile = with_channels(load_profile("msm8916"), channel_count)
        peers = PipePeer(memory, layout.tx), PipePeer(memory, layout.rx)
        self.modem = Modem(profile, *peers, self.network)
        self.lines = {line: LineWriter(memory, layout, line) for line in Line}
        self.devices: dict[int, Interface] = {}
        self.sent: list[bytes] = []  # frames of the host, in the order of the wire
        self.notices: list[Notice] = []
        self.logged: list[Log] = []  # by either
        self.is_removed = False
        self.now: Instant = 0

    # What it is made of: others may take something else

    def make_transmit_pipe(self) -> PipeOwner:
        pipe = WatchedTransmitPipe(self.memory, self.layout.tx)
        pipe.pair = self
        return pipe

    def make_network(self) -> QueueDevice:
        return QueueDevice()

    def make_interface(self) -> Interface:
        return Interface()

    def start(self) -> None:
        self.probe()
        self.modem.boot(self.now)

    def probe(self) -> None:
        power, ack = self.lines[Line.MODEM_POWER], self.lines[Line.MODEM_ACK]
        self.host.probe(power.edge_count, ack.edge_count, self.now)

    # Between the two

    def collect(self) -> bool:
        """Carry out what either side asks for; whether there was anything. Notices are not delivered yet."""
        from_host, from_modem = self.host.take_actions(), self.modem.take_actions()
        for action in from_host:
            self._carry_out(action, is_for_host=False)
        for action in from_modem:
            self._carry_out(action, is_for_host=True)
        return bool(from_host or from_modem)

    def _carry_out(self, action: Action, is_for_host: bool) -> None:
        match action:
            case SetLine(line, level):
                assert self.lines[line].set(level), f"{action} is no edge"
                self._notify(is_for_host, line)
            case LookAtLine(line):
                self._notify(True, line)
            case RingDoorbell(pipe):
                self._notify(is_for_host, pipe)
            case RegisterNetdev(channel):
                assert channel not in self.devices, f"{action} for one that exists"
                self.devices[channel] = self.make_interface()
                self.host.netdev_registered(channel, self.devices[channel], self.now)
            case UnregisterNetdev(channel):
                del self.devices[channel]
            case Log():
                self.logged.append(action)
            case Removed():
                self.is_removed = True

    def _notify(self, is_for_host: bool, what: Line | Pipe) -> None:
        if (is_for_host, what) not in self.notices:
            self.notices.append((is_for_host, what))

    def deliver(self, index: int = 0) -> None:
        """Let the notice at that place arrive, late as it may be."""
        is_for_host, what = self.notices.pop(index)
        machine = self.host if is_for_host else self.modem
        if isinstance(what, Line):
            machine.line_changed(what, self.lines[what].edge_count, self.now)
        else:
            machine.doorbell_rang(what, self.now)

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(ROUNDS):
            is_moving = self.collect() or bool(self.notices)
            while self.notices:
                self.deliver()
            is_moving |= self._run_stack()
            if not is_moving:
                return
        raise AssertionError(f"not settled after {ROUNDS} rounds")

    def _run_stack(self) -> bool:
        waiting = [
            channel
            for channel, device in self.devices.items()
            if device.outgoing and self.host.wants_packets(channel)
        ]
        moved = self.host.transmit(waiting, self.now) if waiting else 0
        if self.network.outgoing and self.modem.wants_network_packets:
            moved += self.modem.receive_from_network(self.now)
        return moved > 0

    # Time

    def run_until(self, end: Instant, *, settling: bool = True) -> None:
        """Let time pass, each deadline at its own time. Not settling, no notice is delivered on the way."""
        rounds = 0
        if settling:
            self.settle()
        while (deadline := earliest(self.host.deadline, self.modem.deadline)) is not None and deadline <= end:
            rounds = rounds + 1 if deadline <= self.now else 0
            assert rounds < DEADLINES_AT_ONCE, f"never done at {self.now} ns"
            self.now = max(self.now, deadline)
            self.host.handle_timeout(self.now)
            self.modem.handle_timeout(self.now)
            self.settle() if settling else self.collect()
        self.now = max(self.now, end)

    def run_for(self, duration: Duration, *, settling: bool = True) -> None:
        self.run_until(self.now + duration, settling=settling)

    # The network stack around

    def set_up(self, channel: int, is_up: bool = True) -> None:
        device = self.devices[channel]
        if is_up:
            device.is_up = True
        self.host.interface_changed(channel, is_up, self.now)
        device.is_up = is_up

    def transmit(self, channel: int, *packets: bytes) -> None:
        """The host's applications send packets."""
        self.devices[channel].outgoing.extend(packets)
        self.settle()

    def answer(self, *packets: bytes) -> None:
        """The world sends packets."""
        self.network.outgoing.extend(packets)
        self.settle()

    # What the two say of themselves

    def host_power(self) -> str:
        power = self.host.status(self.now)["power"]
        assert isinstance(power, dict)
        return str(power["vote"])

    def open_at_modem(self) -> list[bool]:
        """For each channel whether the modem believes that the host has it open."""
        channels = self.modem.status(self.now)["channels"]
        assert isinstance(channels, list)
        return [channel["host_open"] for channel in channels]


def linked_pair(*channels: int, slot_count: int = 32) -> Pair:
    """Started, announced and come to rest; the interfaces of these channels are up, and open at the modem."""
    pair = Pair(slot_count=slot_count)
    pair.start()
    pair.run_for(10_000_000)
    for channel in channels:
        pair.set_up(channel)
    pair.run_for(10_000_000)
    return pair


def uplink(number: int, channel: int = 0, length: int = 28) -> bytes:
    """A packet from the host's address on that channel, with a number to tell it from others."""
    packet = packet4(source=f"10.64.{channel}.2", length=length)
    return packet[:20] + number.to_bytes(4, "big") + packet[24:]


def downlink(number: int, channel: int = 0, length: int = 28) -> bytes:
    packet = packet4(source=WORLD4, destination=f"10.64.{channel}.2", length=length)
    return packet[:20] + number.to_bytes(4, "big") + packet[24:]


def numbers(packets: Iterable[bytes], channel: int | None = None) -> list[int]:
    """The numbers of packets; only those from that channel's address, if there is one given."""
    return [
        int.from_bytes(packet[20:24], "big") for packet in packets if channel is None or packet[14] == channel
    ]
