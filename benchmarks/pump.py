"""What does the native pump take for one segment, apart from the kernel's TUN?

A file in memory stands for the TUN that is read and /dev/null for the one that is written, so that a system
call costs next to nothing. Super-packets are TCP over IPv4 with segments of 1448 bytes, as iperf3 makes them
at an MTU of 1500; in the rows "alone" each is a packet of its own, and of another flow.

    fill_slots, fill_buffers     one read, segments with their headers and checksums, frames in a ring
    take_frames, drain_slots     frames copied, checked, checksums verified, merged, one write
    submit                       descriptors alone
    segment, coalesce            the same work in Python: wire/offload.py

    python benchmarks/pump.py [--rounds N]

Prints nanoseconds for one segment, the median of the rounds and the fastest one.
"""

import os
import statistics
import struct
import time
from array import array
from collections.abc import Callable

import click

from bamdmux.bam.memory import DESCRIPTOR_BYTES, LinkLayout
from bamdmux.bam.pipe import DESCRIPTOR
from bamdmux.pump import Tally, make_interface, make_pipe
from bamdmux.wire.dmux import HEADER, MAGIC
from bamdmux.wire.icmp import checksum
from bamdmux.wire.offload import GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET_HEADER, coalesce, segment

SEGMENT_BYTES = 1448
SEGMENTS = 45  # of 65,212 bytes
SLOTS = 64
GENERATION = 1
CALLS = 200  # in a round

SOURCE = bytes((10, 64, 0, 2))
BEARERS = memoryview(struct.pack("=QIIII", 0, int.from_bytes(SOURCE, "big"), 1500, 1500, 1) + bytes(24 * 7))


def super_packet(port: int, segments: int) -> tuple[bytes, bytes]:
    """virtio_net_hdr and packet, between two addresses that are those of both ends of a bearer."""
    payload = bytes(range(256)) * (segments * SEGMENT_BYTES // 256 + 1)
    length = 52 + segments * SEGMENT_BYTES
    ip = struct.pack(">BBHHHBBH", 0x45, 0, length, 1, 0x4000, 64, 6, 0) + SOURCE + SOURCE
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    pseudo = ~checksum(SOURCE + SOURCE + struct.pack(">II", length - 20, 6)) & 0xFFFF
    tcp = (
        struct.pack(">HHIIBBHHH", port, 80, 1, 1, 8 << 4, 16, 500, pseudo, 0)
        + bytes.fromhex("0101080a")
        + bytes(8)
    )
    vnet_header = VNET_HEADER.pack(NEEDS_CSUM, GSO_TCPV4, 52, SEGMENT_BYTES, 20, 16)
    return vnet_header, ip + tcp + payload[: segments * SEGMENT_BYTES]


class Rig:
    """A pump between a file in memory and /dev/null; in both pipes, frames that are there to be taken."""

    def __init__(self, messages: list[tuple[bytes, bytes]]) -> None:
        layout = LinkLayout(slot_count=SLOTS)
        self.memory, entries = layout.allocate(), range(layout.tx.entry_count)
        queued = array("H", entries), array("H", [layout.rx.slot_bytes for _ in entries])
        self.tx = make_pipe(self.memory, layout.tx.place, *queued)
        self.rx = make_pipe(self.memory, layout.rx.place, *queued)
        self.source = os.memfd_create("packets")
        os.write(self.source, bytes(4) + b"".join(messages[0]))
        self.reader = make_interface(self.source, merges_udp=True)
        self.writer = make_interface(os.open("/dev/null", os.O_WRONLY), merges_udp=True)
        self.packets = [each for message in messages for each in segment(*message)]
        self.count = len(self.packets)
        self.packet_bytes, self.frame_bytes = array("I", [0] * SLOTS), array("I", [0] * SLOTS)
        self.tally = Tally().numbers
        for pipe in (layout.tx, layout.rx):
            at = pipe.tail_offset
            self.memory[at : at + 4].cast("I")[0] = GENERATION << 16
            for slot, packet in enumerate(self.packets):
                frame = HEADER.pack(MAGIC, 0, 0, 4, 0, len(packet)) + packet + bytes(4)
                address = pipe.slot_address(slot)
                self.memory[address : address + len(frame)] = frame
                self.frame_bytes[slot] = len(frame)
                DESCRIPTOR.pack_into(
                    self.memory, pipe.fifo_offset + slot * DESCRIPTOR_BYTES, address, len(frame), 0
                )

    def submit(self) -> int:
        self.tx.submit(0, 0, self.count, self.frame_bytes)
        return self.count

    def fill_slots(self) -> int:
        os.lseek(self.source, 0, os.SEEK_SET)
        filled = self.reader.fill_slots(
            self.tx, 0, SLOTS, self.count, 0, 1500, self.packet_bytes, self.frame_bytes
        )
        return filled[0]

    def take_frames(self) -> int:
        return self.writer.take_frames(self.tx, 0, self.count, GENERATION, 2040, BEARERS, self.tally)

    def fill_buffers(self) -> int:
        # The buffers are as long as the frames that were in them, and so fit these again.
        os.lseek(self.source, 0, os.SEEK_SET)
        return self.reader.fill_buffers(self.rx, 0, SLOTS, self.count, GENERATION, BEARERS, self.tally)

    def drain_slots(self) -> int:
        # The tail is where nothing is taken from.
        drained: int = self.rx.drain_slots((self.writer,) * 8, 0, SLOTS, self.count, self.tally)
        return drained


def measure(rig: Rig, call: Callable[[], int], calls: int = CALLS) -> float:
    """Nanoseconds for one segment."""
    begun = time.perf_counter_ns()
    for _ in range(calls):
        done = call()
        assert done == rig.count, f"{done} of {rig.count} segments"
    return (time.perf_counter_ns() - begun) / calls / rig.count


@click.command()
@click.option("--rounds", default=15, show_default=True, help="How often each is measured, in turn.")
def main(rounds: int) -> None:
    """What the native pump takes for one segment."""
    merged = Rig([super_packet(1000, SEGMENTS)])
    alone = Rig([super_packet(port, 1) for port in range(SEGMENTS)])
    single = Rig([super_packet(1000, 1)])
    message, packets = super_packet(1000, SEGMENTS), [(0, packet) for packet in merged.packets]
    rows: list[tuple[str, Rig, Callable[[], int], int]] = [
        (f"fill_slots, {SEGMENTS} of a super-packet", merged, merged.fill_slots, CALLS),
        ("fill_slots, one", single, single.fill_slots, CALLS),
        (f"submit, {SEGMENTS}", merged, merged.submit, CALLS),
        (f"take_frames, {SEGMENTS} become one", merged, merged.take_frames, CALLS),
        (f"take_frames, {SEGMENTS} alone", alone, alone.take_frames, CALLS),
        ("take_frames, one", single, single.take_frames, CALLS),
        (f"fill_buffers, {SEGMENTS} of a super-packet", merged, merged.fill_buffers, CALLS),
        (f"drain_slots, {SEGMENTS} become one", merged, merged.drain_slots, CALLS),
        (f"drain_slots, {SEGMENTS} alone", alone, alone.drain_slots, CALLS),
        ("segment, in Python", merged, lambda: len(segment(*message)), 2),
        ("coalesce, in Python", merged, lambda: len(coalesce(packets, True)) * SEGMENTS, 2),
    ]
    assert coalesce(packets, True)[0][0] != NO_OFFLOAD
    results: dict[str, list[float]] = {name: [] for name, *_ in rows}
    for _ in range(rounds):
        for name, rig, call, calls in rows:
            results[name].append(measure(rig, call, calls))
    print(f"{'ns for one segment':42} {'median':>8} {'fastest':>8}")
    for name, figures in results.items():
        print(f"{name:42} {statistics.median(figures):8.0f} {min(figures):8.0f}")


if __name__ == "__main__":
    main()
