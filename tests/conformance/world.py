"""The surroundings of one HostDriver: memory, lines, a modem that does as it is told, and interfaces.

Everything happens when it is asked for, at the time that `advance_to` has reached. What the driver does is in
the journal. The modem's end of the pipes outlives a driver, as its memory does.
"""

from collections import deque
from typing import Final

from bamdmux.actions import (
    Action,
    AttachNetdev,
    DetachNetdev,
    Line,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    SetLine,
    StartQueue,
    StopQueue,
    UnregisterNetdev,
    WakeQueue,
)
from bamdmux.bam.lines import LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.host.driver import HostDriver
from bamdmux.timing import MICROSECOND
from tests.conformance.recording import ALREADY, UNCHANGED, Journal, RecordingDevice, RecordingPipe

DEADLINES_AT_ONCE: Final = 64  # more at one instant, and the driver asks for the same again and again


class World:
    """A driver and what it touches."""

    def __init__(self) -> None:
        self.layout = LinkLayout()
        self.memory = self.layout.allocate()
        self.lines = {line: LineWriter(self.memory, self.layout, line) for line in Line}
        self.peers = {pipe: PipePeer(self.memory, self.layout.pipe(pipe)) for pipe in Pipe}
        self.journal = Journal(self._perform)
        self.driver: HostDriver | None = None
        self._pipes = {pipe: self._owner(pipe) for pipe in Pipe}
        self.devices: dict[int, RecordingDevice] = {}
        self.attached: set[int] = set()
        self._stopped: set[int] = set()  # channels whose interface's queue is stopped
        self.now_us = 0
        self._registrations: deque[int] = deque()

    def _owner(self, pipe: Pipe) -> RecordingPipe:
        return RecordingPipe(PipeOwner(self.memory, self.layout.pipe(pipe)), pipe, self.journal)

    @property
    def now(self) -> int:
        return self.now_us * MICROSECOND

    # Time

    def advance_to(self, time_us: int) -> None:
        """Let pass every deadline before that time, each at its own time."""
        self._let_pass(time_us * MICROSECOND - 1)
        self._set_time(time_us)

    def run_deferred_work(self) -> None:
        """Let pass the deadlines that are due right now."""
        self._let_pass(self.now)

    def _let_pass(self, last: int) -> None:
        rounds = 0
        while self.driver is not None and (deadline := self.driver.deadline) is not None and deadline <= last:
            instant = max(deadline, self.now)
            rounds = rounds + 1 if instant == self.now else 0
            assert rounds < DEADLINES_AT_ONCE, f"the driver is never done at {instant} ns"
            assert instant % MICROSECOND == 0, f"{instant} ns is no time of a trace"
            self._set_time(instant // MICROSECOND)
            self.driver.handle_timeout(self.now)
            self._settle()

    def _set_time(self, time_us: int) -> None:
        self.now_us = self.journal.now_us = time_us

    # The kernel around the driver

    def probe(self) -> None:
        """Bind a new driver to the memory as it is."""
        self.devices.clear()
        self.attached.clear()
        self._stopped.clear()
        self._pipes = {pipe: self._owner(pipe) for pipe in Pipe}
        self.driver = HostDriver(
            self._pipes[Pipe.TX], self._pipes[Pipe.RX], ack_level=self.lines[Line.HOST_ACK].level
        )
        self.journal.take_actions = self.driver.take_actions
        power, ack = self.lines[Line.MODEM_POWER], self.lines[Line.MODEM_ACK]
        self.driver.probe(power.edge_count, ack.edge_count, self.now)
        self._settle()
        self.journal.note("probe ret=0")

    def remove(self) -> None:
        if self.driver is not None:
            self.driver.remove(self.now)
            self._settle()

    def set_interface(self, channel: int, is_up: bool) -> None:
        if self.driver is None or channel not in self.devices:
            self.journal.note(f"no wwan{channel} to go {'up' if is_up else 'down'}")
            return
        self.devices[channel].queue.is_up = is_up
        self.driver.interface_changed(channel, is_up, self.now)
        self._settle()

    def queue_packet(self, channel: int, packet: bytes) -> bool:
        """Give an interface a packet to send; whether the driver took it, and all that were before it."""
        if channel not in self.devices:
            return False
        outgoing = self.devices[channel].queue.outgoing
        outgoing.append(packet)
        self._run_stack()
        return not outgoing

    def withdraw_packet(self, packet: bytes) -> None:
        """Take back this very packet, if it still waits for the driver."""
        for device in self.devices.values():
            outgoing = device.queue.outgoing
            device.queue.outgoing = deque(each for each in outgoing if each is not packet)

    # The modem

    def set_modem_power(self, level: bool) -> None:
        """The driver hears of it by `interrupt`."""
        self.lines[Line.MODEM_POWER].set(level)

    def toggle_modem_ack(self) -> None:
        """The driver hears of it by `interrupt`."""
        line = self.lines[Line.MODEM_ACK]
        line.set(not line.level)

    def interrupt(self, line: Line) -> None:
        if self.driver is not None:
            self.driver.line_changed(line, self.lines[line].edge_count, self.now)
            self._settle()

    def send_frame(self, frame: bytes, transfer_bytes: int | None = None) -> None:
        """Fill the next RX buffer, and claim to have written that many bytes."""
        peer = self.peers[Pipe.RX]
        if not self._available(Pipe.RX):
            self.journal.note("no rx buffer for a frame of the modem")
            return
        buffer = peer.take()
        written = frame[: len(buffer)]
        buffer[: len(written)] = written
        peer.complete(len(frame) if transfer_bytes is None else transfer_bytes)
        peer.publish()
        self._ring(Pipe.RX)

    def take_frames(self, leave: int = 0) -> list[bytes]:
        """Take frames from the TX pipe, all but the last so many; one interrupt for them."""
        peer = self.peers[Pipe.TX]
        frames = []
        for _ in range(self._available(Pipe.TX) - leave):
            frames.append(bytes(peer.take()))
            peer.complete()
        if peer.publish():
            self._ring(Pipe.TX)
        return frames

    def _available(self, pipe: Pipe) -> int:
        """Entries that are the modem's; none of a pipe that the driver has let go of."""
        return self.peers[pipe].available() if self._pipes[pipe].is_open else 0

    def _ring(self, pipe: Pipe) -> None:
        if self.driver is not None:
            self.driver.doorbell_rang(pipe, self.now)
            self._settle()

    # What the driver asks for

    def _settle(self) -> None:
        """Do what the driver asks for, then let the network stack run, until there is nothing more to do."""
        self.journal.settle()
        while self._registrations and self.driver is not None:
            channel = self._registrations.popleft()
            self.devices[channel] = RecordingDevice(channel, self.journal)
            self.attached.add(channel)
            self.driver.netdev_registered(channel, self.devices[channel], self.now)
            self.journal.settle()
        self._run_stack()

    def _run_stack(self) -> None:
        """Hand over packets one by one, as the network stack does, while the driver wants them."""
        for channel, device in sorted(self.devices.items()):
            outgoing = device.queue.outgoing
            while outgoing and self.driver is not None and self.driver.wants_packets(channel):
                waiting = len(outgoing)
                self.driver.transmit([channel], self.now, budget=1)
                self.journal.settle()
                if len(outgoing) == waiting:
                    break

    def _perform(self, action: Action) -> str:
        """Do what an action asks for.

        Returns:
            A remark for the line that it makes in the journal.
        """
        match action:
            case SetLine():
                return "" if self.lines[action.line].set(action.level) else UNCHANGED
            case LookAtLine(line):
                assert self.driver is not None
                self.driver.line_changed(line, self.lines[line].edge_count, self.now)
            case StopQueue():
                was_stopped = action.channel in self._stopped
                self._stopped.add(action.channel)
                return ALREADY if was_stopped else ""
            case StartQueue() | WakeQueue():
                self._stopped.discard(action.channel)
            case RegisterNetdev():
                self._registrations.append(action.channel)
            case UnregisterNetdev():
                self.devices.pop(action.channel, None)
                self.attached.discard(action.channel)
            case AttachNetdev():
                self.attached.add(action.channel)
            case DetachNetdev():
                self.attached.discard(action.channel)
            case Removed():
                self.driver = None
        return ""
