"""A trace of the real driver: its lines, and what of them is compared.

    1012500 rx_submit len=2048  x32        virtual microseconds, then what happened

The format is that of the traces in tests/data/conformance, which say what Linux's driver did. `normalised`
brings a line to the form in which our own journal is written, or says that it is of no concern: the buffers,
the deferred work and the power references of the kernel are its inside.

It decides nothing about what a line means as an input; that is script.py.
"""

import re
from dataclasses import dataclass
from typing import Final

from bamdmux.actions import LogEvent
from bamdmux.wire.dmux import HEADER, HEADER_BYTES

# What is compared, by how the line begins. `ret=` is the driver's answer to a call or to a packet.
COMPARED: Final = re.compile(
    r"smem |[tr]x_(submit|issue) |dma_(request|release|terminate) |(start|stop|wake)_queue "
    r"|(un)?register_netdev |(at|de)tach |deliver |(probe|remove|xmit) ret=|log "
)
# Of an interface's settings those that anybody can see; not its headroom and random address.
_NETDEV_SETTINGS: Final = ("name", "dev_port", "type", "flags", "mtu", "max_mtu", "txqlen")

# What the kernel's driver says, by how it begins; the cause is named as ours.
_LOG_EVENTS: Final = {
    "pc: ": LogEvent.MODEM_POWER_CHANGED,
    "pc ack": LogEvent.ACK_ARRIVED,
    "runtime resume": LogEvent.RESUMING,
    "runtime suspend": LogEvent.SUSPENDING,
    "pending skbs after wakeup": LogEvent.SENDING_DEFERRED,
    "Failed to resume": LogEvent.RESUME_TIMED_OUT,
    "Timed out waiting for remote side": LogEvent.REMOVE_TIMED_OUT,
    "open channel": LogEvent.CHANNEL_OPENED,
    "close channel": LogEvent.CHANNEL_CLOSED,
    "Channel already open": LogEvent.ALREADY_OPEN,
    "Channel not open": LogEvent.NOT_OPEN,
    "stop queues": LogEvent.QUEUES_STOPPED,
    "wake queues": LogEvent.QUEUES_WOKEN,
    "Invalid magic": LogEvent.BAD_MAGIC,
    "Unsupported channel": LogEvent.UNSUPPORTED_CHANNEL,
    "Unsupported command": LogEvent.UNSUPPORTED_COMMAND,
    "Data for inactive channel": LogEvent.INACTIVE_CHANNEL,
    "Data larger than buffer": LogEvent.TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line, with single spaces."""

    time_us: int
    text: str

    @property
    def is_comment(self) -> bool:
        return self.text.startswith("#")

    def __str__(self) -> str:
        return f"{self.time_us:>9} {self.text}"


def parse_trace(text: str) -> list[TraceLine]:
    """Read the lines of a trace.

    Raises:
        ValueError: a line does not begin with a time, or time goes backwards.
    """
    lines: list[TraceLine] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        time, *words = line.split()
        if not time.isdigit() or not words:
            raise ValueError(f"line {number} is no time and event: {line[:60]!r}")
        if lines and int(time) < lines[-1].time_us:
            raise ValueError(f"line {number} goes back from {lines[-1].time_us} to {time} us")
        lines.append(TraceLine(int(time), " ".join(words)))
    return lines


def normalised(text: str, channels: dict[str, int]) -> str | None:
    """What of a line of the kernel's is compared, in the form of our journal; None if nothing is.

    Args:
        channels: the channel of each interface by the kernel's name for it. After its registration an
            interface is named by its channel, as ours are, so that a name differs once and not in each line.
    """
    if not COMPARED.match(text) or "(already)" in text:  # it changed nothing
        return None
    if text.startswith("log "):
        return _normalised_log(text)
    text = re.sub(r" \((?!unchanged|DETACHED)[^)]*\)", "", text)
    if text.startswith("register_netdev "):
        return "register_netdev " + " ".join(f"{key}={field(text, key)}" for key in _NETDEV_SETTINGS)
    text = re.sub(r"\bwwan\d+\b", lambda name: f"wwan{channel_of(name[0], channels)}", text)
    text = re.sub(r" id=\d+", "", text)
    if " head bytes=" in text:
        text = text.partition(" head ")[0] + f" bytes={bytes_of(text).hex()}"
    return text


def _normalised_log(text: str) -> str:
    severity, _, message = text.removeprefix("log ").partition(" ")
    for beginning, event in _LOG_EVENTS.items():
        if message.strip('"').startswith(beginning):
            return log_line(severity, event)
    return text  # something that we have no word for


def log_line(severity: str, event: LogEvent) -> str:
    return f"log {severity} {event.name.lower().replace('_', '-')}"


def field(text: str, key: str) -> str:
    """The value of ``key=value`` in a line; empty if it is not there."""
    found = re.search(rf"(?:^| ){key}=(\S*)", text)
    return found[1] if found else ""


def channel_of(name: str, channels: dict[str, int]) -> int:
    """The channel of an interface; one that never was registered is taken at its name."""
    return channels.get(name, int(name.removeprefix("wwan")))


def bytes_of(text: str) -> bytes:
    """The frame or packet of a line; what a ``head`` leaves out follows from the pattern of the traces."""
    start = bytes.fromhex(field(text, "bytes"))
    length = int(field(text, "len"))
    if " head bytes=" not in text or len(start) >= length:
        return start
    if text.startswith("deliver "):
        return start + pattern(length)[len(start) :]
    packet_end = HEADER_BYTES + HEADER.unpack_from(start)[-1]
    whole = bytes(HEADER_BYTES) + pattern(min(packet_end, length) - HEADER_BYTES)
    return start + whole.ljust(length, b"\0")[len(start) :]


def pattern(length: int) -> bytes:
    """The packet of that length in every trace: IPv4 by its nibble, then bytes that tell their place."""
    return bytes([0x45, *((7 * index + 1) % 256 for index in range(1, length))])[:length]
