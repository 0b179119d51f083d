"""A peer that writes anything anywhere in a pipe, in a process of its own, until its standard input ends.

    python -m tests.pump.scribbler DESCRIPTOR SLOT_COUNT {tx|rx} {tail|position} SEED

Most of what it writes is nearly right: frames that differ in a byte, addresses and sizes that are off by
some, a tail, or a position, near the other one, now and then of another generation. It shares memory with the
test, so that it changes what is there in the middle of a call.
"""

import mmap
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen
from typing import Final

from bamdmux.bam.memory import DESCRIPTOR_BYTES, LinkLayout, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR
from tests.pump.frames import ODD_FRAMES, data_frame, downlink_packet, uplink_packet
from tests.super_packets import Segment, pattern

SLOTS: Final = 8

_SEGMENT: Final = Segment(payload=pattern(500))
FRAMES: Final = [
    *(data_frame(0, each.packet(), 4) for each in (_SEGMENT, _SEGMENT.next())),
    *(data_frame(channel, uplink_packet(channel, 6, 300)) for channel in range(3)),
    data_frame(1, downlink_packet(1, 4, 1400)),
    *ODD_FRAMES,
]


def scribble(memory: memoryview, layout: PipeLayout, is_host: bool, numbers: random.Random) -> None:
    """A hundred times."""
    offsets = layout.tail_offset, layout.position_offset
    tail, position = (memory[offset : offset + 4].cast("I") for offset in offsets)
    ours, theirs = (tail, position) if is_host else (position, tail)
    for _ in range(100):
        slot = numbers.randrange(layout.slot_count)
        address = layout.slot_address(slot)
        frame = numbers.choice(FRAMES)
        memory[address : address + len(frame)] = frame
        if numbers.random() < 0.5:
            memory[address + numbers.randrange(60)] = numbers.randrange(256)
        if numbers.random() < 0.2:
            address += numbers.randrange(-layout.end, layout.end)
        size = numbers.choice([len(frame), len(frame), layout.slot_bytes, numbers.randrange(0x1_0000)])
        entry = (position[0] & 0xFFFF) // DESCRIPTOR_BYTES + numbers.randrange(-8, 16)
        at = layout.fifo_offset + entry % layout.entry_count * DESCRIPTOR_BYTES
        DESCRIPTOR.pack_into(memory, at, address & 0xFFFF_FFFF, size, numbers.randrange(0x1_0000))
        generation, offset = divmod(theirs[0], 0x1_0000)
        ahead = numbers.randrange(9) if is_host else -numbers.randrange(9)
        entry = (offset // DESCRIPTOR_BYTES + ahead) % layout.entry_count
        wrong = numbers.randrange(20)  # the first two
        ours[0] = (generation ^ (not wrong)) << 16 | entry * DESCRIPTOR_BYTES + (wrong == 1)


def share(descriptor: int, size: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, size))


@contextmanager
def scribbled(way: str, word: str, seed: int) -> Iterator[tuple[memoryview, LinkLayout]]:
    """Memory in one of whose pipes somebody scribbles, from now on to the end of the block.

    Args:
        way: the pipe, tx or rx.
        word: whose place they take: tail for the host, position for the modem.
    """
    layout = LinkLayout(slot_count=SLOTS)
    descriptor = os.memfd_create("scribbled")
    os.ftruncate(descriptor, layout.size_bytes)
    memory = share(descriptor, layout.size_bytes)
    arguments = [str(each) for each in (descriptor, SLOTS, way, word, seed)]
    command = [sys.executable, "-m", "tests.pump.scribbler", *arguments]
    with Popen(command, pass_fds=[descriptor], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.read(1) == b"!", "it has begun"
            yield memory, layout
            assert process.poll() is None, "it is at it still"
        finally:
            process.stdin.close()
            os.close(descriptor)
    assert process.returncode == 0


def main() -> None:
    descriptor, slot_count, way, word, seed = sys.argv[1:]
    layout = LinkLayout(slot_count=int(slot_count))
    memory = share(int(descriptor), layout.size_bytes)
    numbers = random.Random(int(seed))
    os.set_blocking(0, False)
    is_over = False
    print("!", end="", flush=True)
    while not is_over:
        scribble(memory, layout.tx if way == "tx" else layout.rx, word == "tail", numbers)
        with suppress(BlockingIOError):
            is_over = os.read(0, 1) == b""


if __name__ == "__main__":
    main()
