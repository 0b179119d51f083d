"""Wraps around pipe ends and interfaces that write down what the driver does with them, in its order.

The driver's actions and its work on pipes and interfaces are two streams. To join them, each wrap first has
the journal take the actions that the driver has asked for so far, and then adds its own line. The lines are
those of the kernel's traces.
"""

from collections.abc import Callable
from typing import Final

from bamdmux.actions import (
    Action,
    AttachNetdev,
    DetachNetdev,
    Line,
    Log,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    RingDoorbell,
    SetLine,
    Severity,
    StartQueue,
    StopQueue,
    UnregisterNetdev,
    WakeQueue,
)
from bamdmux.bam.memory import PipeLayout
from bamdmux.bam.pipe import PipeOwner
from bamdmux.netdevice import PACKET_INFORMATION_BYTES, QueueDevice
from bamdmux.wire.dmux import MAX_PACKET_BYTES
from tests.conformance.trace import TraceLine, log_line

_LINE_NAMES: Final = {Line.HOST_VOTE: "pc", Line.HOST_ACK: "pc-ack"}
_SEVERITY_NAMES: Final = {Severity.DEBUG: "dbg", Severity.WARNING: "warn", Severity.ERROR: "err"}
_INTERFACE_EVENTS: Final = {
    StartQueue: "start_queue",
    StopQueue: "stop_queue",
    WakeQueue: "wake_queue",
    AttachNetdev: "attach",
    DetachNetdev: "detach",
    UnregisterNetdev: "unregister_netdev",
}
ALREADY: Final = "(already)"
UNCHANGED: Final = "(unchanged)"


class Journal:
    """What the driver did since the last `take`.

    Args:
        perform: does what an action asks for, and says what to remark on it. As of the kernel's lines, those
            with the remark ALREADY are left out: they changed nothing.
    """

    def __init__(self, perform: Callable[[Action], str]) -> None:
        self.now_us = 0
        self.take_actions: Callable[[], list[Action]] = list  # the driver's, once there is one
        self._perform = perform
        self._lines: list[str] = []
        self._published = dict.fromkeys(Pipe, 0)  # entries that no doorbell has announced yet

    def settle(self) -> None:
        """Take the driver's actions and write them down."""
        for action in self.take_actions():
            remark = self._perform(action)
            text = self._text_of(action)
            if text and remark != ALREADY:
                self._write(f"{text} {remark}".rstrip())

    def note(self, text: str) -> None:
        """Write a line of our own, behind what the driver has asked for so far."""
        self.settle()
        self._write(text)

    def published(self, pipe: Pipe, entry_count: int) -> None:
        """Entries are the peer's now. The line comes with the doorbell: without one the peer sleeps on."""
        self.settle()
        self._published[pipe] += entry_count

    def forget_published(self, pipe: Pipe) -> None:
        self.settle()
        self._published[pipe] = 0

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return _with_runs_joined(lines)

    def _write(self, text: str) -> None:
        self._lines.append(str(TraceLine(self.now_us, text)))

    def _text_of(self, action: Action) -> str:
        """The line for an action; empty if there is none."""
        match action:
            case SetLine():
                return f"smem {_LINE_NAMES[action.line]}={action.level:d}"
            case RingDoorbell():
                count, self._published[action.pipe] = self._published[action.pipe], 0
                return f"{action.pipe.value}_issue n={count}" if count else ""
            case LookAtLine():
                return ""  # nobody can see it
            case RegisterNetdev():
                return register_line(action.channel)
            case Removed():
                return "remove ret=0"
            case Log():
                return log_line(_SEVERITY_NAMES[action.severity], action.event)
        return f"{_INTERFACE_EVENTS[type(action)]} wwan{action.channel}"


def register_line(channel: int) -> str:
    """What a world makes of RegisterNetdev: ARPHRD_RAWIP, IFF_POINTOPOINT | IFF_NOARP, the kernel's MTU."""
    return (
        f"register_netdev name=wwan{channel} dev_port={channel} type=519 flags=0x90 mtu=1500 "
        f"max_mtu={MAX_PACKET_BYTES} txqlen=1000"
    )


def _with_runs_joined(lines: list[str]) -> list[str]:
    """Write a run of RX buffers that are queued at once as the traces do, as one line with their number."""
    joined: list[str] = []
    run: list[str] = []
    for line in [*lines, ""]:
        if " rx_submit #" in line and (not run or line.split()[0] == run[0].split()[0]):
            run.append(line)
            continue
        if len(run) > 1:
            time, event, _, length = run[0].split()
            joined.append(str(TraceLine(int(time), f"{event} {length} x{len(run)}")))
        else:
            joined += run
        run = [line] if " rx_submit #" in line else []
        joined += [] if run else [line]
    return joined[:-1]


class RecordingPipe:
    """The owner's end of a pipe."""

    def __init__(self, pipe: PipeOwner, which: Pipe, journal: Journal) -> None:
        self._pipe = pipe
        self._which = which
        self._journal = journal
        self._submitted = 0  # since the pipe was opened: what the traces count frames and buffers by
        self._unpublished = 0

    @property
    def layout(self) -> PipeLayout:
        return self._pipe.layout

    @property
    def in_flight(self) -> int:
        return self._pipe.in_flight

    @property
    def is_open(self) -> bool:
        return self._pipe.is_open

    @property
    def bad_position_count(self) -> int:
        return self._pipe.bad_position_count

    def slot(self, slot_index: int) -> memoryview:
        return self._pipe.slot(slot_index)

    def open(self) -> None:
        self._pipe.open()
        self._submitted = self._unpublished = 0
        self._journal.note(f"dma_request {self._which.value}")

    def submit(self, slot_index: int, size: int) -> None:
        self._pipe.submit(slot_index, size)
        self._submitted += 1
        self._unpublished += 1
        content = f" bytes={self.slot(slot_index)[:size].hex()}" if self._which is Pipe.TX else ""
        self._journal.note(f"{self._which.value}_submit #{self._submitted} len={size}{content}")

    def publish(self) -> int:
        count = self._pipe.publish()
        self._unpublished = 0
        self._journal.published(self._which, count)
        return count

    def completed(self) -> int:
        return self._pipe.completed()

    def retire(self, count: int) -> None:
        self._pipe.retire(count)

    def reap(self) -> tuple[int, int]:
        return self._pipe.reap()

    def terminate(self) -> int:
        submitted, issued = self._unpublished, self.in_flight - self._unpublished
        self._unpublished = 0
        self._journal.forget_published(self._which)
        self._journal.note(f"dma_terminate {self._which.value} submitted={submitted} issued={issued}")
        return self._pipe.terminate()

    def close(self) -> None:
        self._pipe.close()
        self._journal.note(f"dma_release {self._which.value}")


class RecordingDevice:
    """An interface made of two queues; what the driver delivers is written down."""

    def __init__(self, channel: int, journal: Journal) -> None:
        self.queue = QueueDevice()
        self.queue.is_up = False
        self._channel = channel
        self._journal = journal

    def read_into(self, buffer: memoryview) -> int:
        return self.queue.read_into(buffer)

    def write(self, buffer: memoryview) -> bool:
        is_taken = self.queue.write(buffer)
        if is_taken:
            packet = buffer[PACKET_INFORMATION_BYTES:]
            self._journal.note(
                f"deliver wwan{self._channel} ch={self._channel} proto=0x{self.queue.protocols[-1]:04x} "
                f"len={len(packet)} bytes={packet.hex()}"
            )
        return is_taken
