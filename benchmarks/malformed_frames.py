"""How many malformed frames a second does the host take on one core, and does its memory stay flat?

A hostile modem fills the RX pipe of a real link memory (a sealed memfd, as between two processes) with frames
that are wrong in every way there is. `HostDriver` is told by its doorbell, counts each one by its reason and
gives the buffer back. Measured is the processor time of the host's part alone: from the doorbell until its
actions are taken, and what the modem's end costs is left out.

    in order     frames that are in order, to an interface that takes all: a measure of this machine
    malformed    the driver alone, and its memory before and after
    and logged   with its log lines given to Python's logging, limited and written to /dev/null, as in live

    python benchmarks/malformed_frames.py [--frames N] [--kind KIND]

Ends with code 1 if a count is wrong, a buffer is missing, or a bound is not kept.
"""

import logging
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bamdmux.actions import Log, Pipe, RegisterNetdev
from bamdmux.bam.memory import DESCRIPTOR_BYTES, LinkLayout
from bamdmux.bam.pipe import DESCRIPTOR, FLAG_EOT, PipeOwner, PipePeer
from bamdmux.counters import DropReason
from bamdmux.host.driver import HostDriver
from bamdmux.live.service import LINES_PER_SECOND, LineLimit
from bamdmux.live.split.memory import SharedMemory
from bamdmux.wire.dmux import BUFFER_BYTES, HEADER, MAGIC, MAX_PACKET_BYTES, Command, Frame, encode_frame

SEED = 1
WARM_UP_FRAMES = 100_000
COMPARED_FRAMES = 1_000_000
ROUND_FRAMES = 100_000  # between two looks at the memory
PACKET = bytes.fromhex("4500001c00000000400100000a400002c63364070800f7ff00000000")  # 28 bytes of IPv4
UP, DOWN, MISSING = 0, 1, 7  # channels: its interface is up, is down, does not exist


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the modem does to one buffer, and for what it must be counted."""

    kind: str
    reason: DropReason | None  # None: it is in order
    octets: bytes
    claimed: int  # how many bytes it says that it wrote
    address: int | None = None  # where it says that the buffer lies; None: where the host said


def data(length: int, channel: int = UP, magic: int = MAGIC) -> bytes:
    """A DATA frame with a packet of 28 bytes, whatever its header says."""
    return HEADER.pack(magic, 0, Command.DATA, 0, channel, length) + PACKET


def command(number: int, channel: int = UP) -> bytes:
    return HEADER.pack(MAGIC, 0, number, 0, channel, 0)


def malformed_transfers() -> list[Transfer]:
    """Some of each kind, in an order that is the same each time."""
    chance = random.Random(SEED)
    length = len(PACKET)
    whole = len(data(length))
    garbage = [b"\0" + chance.randbytes(chance.randrange(8, 200)) for _ in range(6)]
    transfers = [
        Transfer("bad-magic", DropReason.BAD_MAGIC, data(length, magic=0x33FD), whole),
        Transfer("bad-magic", DropReason.BAD_MAGIC, bytes(64), 64),
        *(Transfer("garbage", DropReason.BAD_MAGIC, octets, len(octets)) for octets in garbage),
        Transfer("command", DropReason.UNSUPPORTED_COMMAND, command(3), 8),
        Transfer("command", DropReason.UNSUPPORTED_COMMAND, command(0xFF, DOWN), 8),
        Transfer("channel", DropReason.UNSUPPORTED_CHANNEL, data(length, 8), whole),
        Transfer("channel", DropReason.UNSUPPORTED_CHANNEL, command(Command.OPEN, 0xFF), 8),
        Transfer("inactive", DropReason.INACTIVE_CHANNEL, data(length, DOWN), whole),
        Transfer("inactive", DropReason.INACTIVE_CHANNEL, data(length, MISSING), whole),
        Transfer("inactive", DropReason.INACTIVE_CHANNEL, data(MAX_PACKET_BYTES + 1, MISSING), whole),
        Transfer("too-long", DropReason.TOO_LONG, data(MAX_PACKET_BYTES + 1), BUFFER_BYTES),
        Transfer("too-long", DropReason.TOO_LONG, data(0xFFFE), BUFFER_BYTES),
        Transfer("truncated", DropReason.TRUNCATED, data(length), whole - 1),
        Transfer("truncated", DropReason.TRUNCATED, data(MAX_PACKET_BYTES), BUFFER_BYTES - 1),
        Transfer("fragment", DropReason.TRUNCATED, data(length), 7),
        Transfer("fragment", DropReason.TRUNCATED, data(length), 0),
        Transfer("empty", DropReason.EMPTY, data(0), whole),
        Transfer("empty", DropReason.EMPTY, data(0xFFFF), 8),
        Transfer("overrun", DropReason.OVERRUN, data(length), BUFFER_BYTES + 1),
        Transfer("overrun", DropReason.OVERRUN, data(length), 0xFFFF),
        Transfer("address", DropReason.EMPTY, data(0), whole, address=0),
        Transfer("address", DropReason.BAD_MAGIC, bytes(64), 64, address=0xFFFF_FFF8),
    ]
    chance.shuffle(transfers)
    return transfers


class Sink:
    """An interface that takes every packet and keeps none."""

    def __init__(self) -> None:
        self.packet_count = 0

    def read_into(self, buffer: memoryview) -> int:
        return 0

    def write(self, buffer: memoryview) -> bool:
        self.packet_count += 1
        return True


class Link:
    """A host with power, channel 0 up and 1 down; and the modem's end of the RX pipe, by hand."""

    def __init__(self) -> None:
        shared = SharedMemory.create(LinkLayout())
        self._memory, self._layout = shared.memory, shared.layout.rx
        self._rx = PipeOwner(self._memory, self._layout)
        self._peer = PipePeer(self._memory, self._layout)
        self._entry = 0  # that the peer uses next
        self._next = 0  # of the transfers
        self.sink = Sink()
        self.host = HostDriver(PipeOwner(self._memory, shared.layout.tx), self._rx)
        self.host_ns = 0
        self.log_count = 0
        self.host.probe(modem_power_edges=1, modem_ack_edges=0, now=0)
        shared.close()
        opens = [encode_frame(Frame(Command.OPEN, channel)) for channel in (UP, DOWN)]
        self.play([Transfer("open", None, octets, len(octets)) for octets in opens], len(opens))
        self.host.handle_timeout(0)
        for action in self.host.take_actions():
            if isinstance(action, RegisterNetdev):
                self.host.netdev_registered(action.channel, self.sink, 0)
        self.host.interface_changed(UP, True, 0)
        self.host.take_actions()

    def play(
        self, transfers: Sequence[Transfer], count: int, log: logging.Logger | None = None
    ) -> Counter[DropReason | None]:
        """Let the host read that many frames, a ring at a time; what they are to be counted for."""
        expected: Counter[DropReason | None] = Counter()
        while count:
            batch = self.fill(transfers, count)
            expected.update(transfer.reason for transfer in batch)
            count -= len(batch)
            began_at = time.process_time_ns()
            self.host.doorbell_rang(Pipe.RX, 0)
            actions = self.host.take_actions()
            if log is not None:
                for action in actions:
                    if isinstance(action, Log) and log.isEnabledFor(action.severity):
                        log.log(action.severity, action.message)
            self.host_ns += time.process_time_ns() - began_at
            self.log_count += sum(isinstance(action, Log) for action in actions)
        assert self._rx.in_flight == self._layout.slot_count, "a buffer is missing"
        return expected

    def fill(self, transfers: Sequence[Transfer], count: int) -> Sequence[Transfer]:
        """Fill as many buffers as there are, at most `count`; with what. The host is not told."""
        count = min(count, self._peer.available())
        assert count, "the host gives no buffers back"
        batch = [transfers[(self._next + index) % len(transfers)] for index in range(count)]
        self._next += count
        for transfer in batch:
            self._fill(transfer)
        self._peer.publish()
        return batch

    def _fill(self, transfer: Transfer) -> None:
        self._peer.take()[: len(transfer.octets)] = transfer.octets
        self._peer.complete(transfer.claimed)
        if transfer.address is not None:
            offset = self._layout.fifo_offset + self._entry * DESCRIPTOR_BYTES
            DESCRIPTOR.pack_into(self._memory, offset, transfer.address, transfer.claimed, FLAG_EOT)
        self._entry = (self._entry + 1) % self._layout.entry_count

    def counted(self) -> Counter[DropReason]:
        """What the host has counted since it began, of all channels."""
        directions = [self.host.unassigned, *(channel.received for channel in self.host.channels)]
        return sum((counters.drops for counters in directions), Counter())


def limited_log() -> tuple[logging.Logger, logging.Handler]:
    """A log as `bamdmux host` has one, but for where it goes."""
    handler = logging.FileHandler(os.devnull)
    handler.addFilter(LineLimit(LINES_PER_SECOND))
    log = logging.getLogger("benchmark")
    log.propagate = False
    log.addHandler(handler)
    return log, handler


@dataclass(frozen=True, slots=True)
class Memory:
    """Of this process, in KiB."""

    resident: int
    peak: int


def read_memory() -> Memory:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return Memory(resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def measure(
    link: Link, transfers: Sequence[Transfer], count: int, log: logging.Logger | None = None
) -> float:
    """Frames a second; the host's counts are checked."""
    link.play(transfers, min(count, WARM_UP_FRAMES), log)
    counted_before = link.counted()
    link.host_ns = link.log_count = 0
    expected: Counter[DropReason | None] = Counter()
    for left in range(count, 0, -ROUND_FRAMES):
        expected += link.play(transfers, min(left, ROUND_FRAMES), log)
        if sys.stderr.isatty():
            print(f"\r{left:>14,} frames left", end="\r", file=sys.stderr)
    del expected[None]
    if link.counted() - counted_before != expected:
        sys.exit(f"what was counted is not what was sent: {expected}")
    return count / link.host_ns * 1e9


@click.command(help=f"\b\n{__doc__}".replace("\n\n", "\n\n\b\n"))
@click.option("--frames", default=10_000_000, show_default=True, type=click.IntRange(min=1))
@click.option("--kind", help="Only this kind of frame.")
@click.option("--floor", default=200_000, show_default=True, help="Fewer a second fail.")
@click.option("--growth", default=1024, show_default=True, help="More KiB of growth fail.")
def main(frames: int, kind: str | None, floor: int, growth: int) -> None:
    transfers = [transfer for transfer in malformed_transfers() if kind in (None, transfer.kind)]
    if not transfers:
        kinds = sorted({transfer.kind for transfer in malformed_transfers()})
        raise click.BadParameter(f"{kind} is none of {', '.join(kinds)}", param_hint="--kind")
    whole = data(len(PACKET))
    speed = measure(Link(), [Transfer("in order", None, whole, len(whole))], COMPARED_FRAMES)
    print(f"in order     {speed:>12,.0f} frames a second a core")

    link = Link()
    link.play(transfers, WARM_UP_FRAMES)
    before = read_memory()
    speed = measure(link, transfers, frames)
    after = read_memory()
    lines = link.log_count / frames
    print(f"malformed    {speed:>12,.0f} frames a second a core, {lines:.2f} log lines a frame")
    for reason, count in sorted(link.counted().items()):
        print(f"             {count:>12,} {reason.name.lower()}")
    print(f"memory       {before.resident:,} KiB before, {after.resident:,} KiB after; "
          f"peak {before.peak:,} and {after.peak:,} KiB")  # fmt: skip

    log, handler = limited_log()
    logged = measure(link, transfers, COMPARED_FRAMES, log)
    handler.close()
    print(f"and logged   {logged:>12,.0f} frames a second a core")

    if link.sink.packet_count:
        sys.exit("malformed frames were delivered")
    if (grown := max(after.resident - before.resident, after.peak - before.peak)) > growth:
        sys.exit(f"memory grew by {grown} KiB, more than {growth}")
    if (slowest := min(speed, logged)) < floor:
        sys.exit(f"{slowest:,.0f} frames a second are fewer than {floor:,}")


if __name__ == "__main__":
    main()
