"""A peer that keeps to the handover, and to nothing after it. A program of its own:

    python hostile_peer.py modem SOCK --seconds 60    listen at SOCK, against `bamdmux host --connect SOCK`
    python hostile_peer.py host SOCK --seconds 60     connect to SOCK, against `bamdmux modem --listen SOCK`

After an honest handover it plays its role just well enough to be listened to, and meanwhile writes random and
boundary values to lines, tails, positions, descriptors and buffers; rings wildly, reads the other's bell
empty, fills it, switches both its ends to blocking; says things of control ports that exist or do not, floods
them and does not read; hangs up and comes back. It needs only bamdmux. All is
drawn from one seed, which is printed; what the other process does meanwhile is not, so a seed repeats the
idea, not the run.
"""

import argparse
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bamdmux.actions import Line
from bamdmux.bam.lines import LineReader, LineWriter
from bamdmux.bam.memory import LinkLayout, PipeLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.live.split.handover import (
    Role,
    check_answer,
    check_hello,
    decode_memory,
    encode_answer,
    encode_hello,
    encode_memory,
    receive,
    send,
)
from bamdmux.live.split.memory import SharedMemory

WORDS = (
    0,
    1,
    2,
    7,
    8,
    0x7FFF,
    0x8000,
    0xFFF8,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFF8,
    0xFFFFFFFF,
)
PACKETS = [
    bytes.fromhex("4500001c000000004001 0000 0a400001 0a400002 0000ffff00000000"),
    bytes.fromhex("4500001c000000004001 0000 0a400002 0a400001 0800f7ff00000000"),
    bytes.fromhex(
        "60000000 0008 3aff fe800000000000000000000000000001 ff020000000000000000000000000002 85000000"
    ),
    b"\x45",
    b"\x60" * 40,
    b"\x00" * 1400,
]
STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 200


class Peer:
    """One connection after its handover."""

    def __init__(
        self,
        role: Role,
        connection: socket.socket,
        memory: memoryview,
        layout: LinkLayout,
        bells: list[socket.socket],
        ports: socket.socket,
        dice: random.Random,
    ) -> None:
        self.connection = connection
        self.ports = ports
        self.memory = memory
        self.layout = layout
        self.bells = bells  # our end first; as the host we keep the other's end too
        self.dice = dice
        self.is_modem = role is Role.MODEM
        lines = (Line.MODEM_POWER, Line.MODEM_ACK) if self.is_modem else (Line.HOST_VOTE, Line.HOST_ACK)
        self.lines = [LineWriter(memory, layout, line) for line in lines]
        self.other_lines = [LineReader(memory, layout, line) for line in Line if line not in lines]
        self.seen = [reader.edge_count for reader in self.other_lines]
        self.steps: list[Callable[[], object]] = [
            *[self.follow] * 20,
            *[self.play] * 12,
            *[self.ring] * 12,
            *[self.move_line] * 3,
            *[self.scribble_in_frames] * 3,
            self.write_anywhere,
            self.write_line,
            self.write_position,
            self.write_descriptor,
            self.flood,
            self.steal_rings,
            self.block,
            self.pause,
            *[self.say_of_ports] * 12,
            *[self.hear_of_ports] * 6,
            self.flood_ports,
            self.scribble_to_ports,
        ]
        self.start()

    def start(self) -> None:
        if self.is_modem:
            self.peers = [PipePeer(self.memory, self.layout.tx), PipePeer(self.memory, self.layout.rx)]
        else:
            self.owners = [PipeOwner(self.memory, self.layout.tx), PipeOwner(self.memory, self.layout.rx)]
            for owner in self.owners:
                owner.open()

    def attack(self, until: float) -> None:
        """Until then, or until the other side has had enough, or we have."""
        life = self.dice.randrange(1, 200) * STEPS_BETWEEN_LOOKS_AT_THE_CLOCK
        for number in range(life):
            if number % STEPS_BETWEEN_LOOKS_AT_THE_CLOCK == 0 and time.monotonic() > until:
                return
            try:
                self.dice.choice(self.steps)()
            except (OSError, ValueError, IndexError, struct.error):
                if self.is_over():
                    return
        if self.dice.random() < 0.3:  # or just go
            with suppress(OSError):
                send(self.connection, self.dice.randbytes(self.dice.randrange(1, 600)))

    def is_over(self) -> bool:
        try:
            return receive(self.connection) is None
        except BlockingIOError:
            return False

    # As one should

    def follow(self) -> None:
        """Answer the other side's lines as one should: for each edge an edge."""
        for line, reader in zip(self.lines[::-1], self.other_lines, strict=True):
            index = self.other_lines.index(reader)
            if reader.edge_count != self.seen[index]:
                self.seen[index] = reader.edge_count
                line.set(not line.level)
        if self.is_modem and not self.lines[0].level:
            self.lines[0].set(True)

    def play(self) -> None:
        """Use buffers as the pipes allow: frames of all kinds go to the other side."""
        if self.is_modem:
            self.play_modem()
        else:
            self.play_host()

    def play_modem(self) -> None:
        tx, rx = self.peers
        for _ in range(min(tx.available(), 40)):
            tx.take()
            tx.complete()
        for _ in range(min(rx.available(), self.dice.randrange(40))):
            frame, slot = self.frame(), rx.take()
            slot[: len(frame)] = frame[: len(slot)]
            rx.complete(self.dice.choice((len(frame), len(frame), len(frame), 0, 3, 8, 2048, 2049, 0xFFFF)))
        tx.publish()
        rx.publish()

    def play_host(self) -> None:
        tx, rx = self.owners
        for owner in self.owners:
            owner.retire(owner.completed())
        count = self.layout.slot_count
        for _ in range(min(count - tx.in_flight, self.dice.randrange(40))):
            index, frame = self.dice.randrange(count), self.frame()
            tx.slot(index)[: len(frame)] = frame
            tx.submit(index, len(frame))
        for _ in range(count - rx.in_flight):
            rx.submit(self.dice.randrange(count), self.dice.choice((2048, 2048, 2048, 8, 9, 0, 2049, 0xFFFF)))
        tx.publish()
        rx.publish()

    def frame(self) -> bytes:
        """OPEN often enough that channels exist; DATA, right or wrong; and what is no frame."""
        dice = self.dice
        kind = dice.random()
        channel = dice.choice((0, 0, 0, 1, 7, 8, 255))
        if kind < 0.3:
            command = dice.choice((1, 1, 1, 1, 2, 4, 3, 255))
            return b"\xfc\x33\x00" + bytes((command, 0, channel)) + b"\0\0"
        packet = dice.choice(PACKETS)
        length = len(packet) if kind < 0.8 else dice.choice(WORDS) & 0xFFFF
        magic = b"\xfc\x33" if kind < 0.9 else dice.randbytes(2)
        return magic + bytes((0, 0, dice.randrange(5), channel)) + length.to_bytes(2, "little") + packet

    # As one should not

    def word(self) -> int:
        return self.dice.choice(WORDS) if self.dice.random() < 0.5 else self.dice.getrandbits(32)

    def write_word(self, offset: int, value: int) -> None:
        self.memory[offset : offset + 4] = value.to_bytes(4, "little")

    def move_line(self) -> None:
        line = self.dice.choice(self.lines)
        for _ in range(self.dice.randrange(1, 5)):
            line.set(not line.level)

    def write_line(self) -> None:
        """Ours or theirs."""
        self.write_word(self.layout.line_offset(self.dice.choice(list(Line))), self.word())

    def pipe(self) -> PipeLayout:
        return self.dice.choice((self.layout.tx, self.layout.rx))

    def write_position(self) -> None:
        """A tail or a position; perhaps of the right generation."""
        pipe = self.pipe()
        offset = self.dice.choice((pipe.tail_offset, pipe.position_offset))
        value = self.word()
        if self.dice.random() < 0.7:
            value = self.memory[offset + 2] << 16 | self.memory[offset + 3] << 24 | value & 0xFFFF
        self.write_word(offset, value)

    def write_descriptor(self) -> None:
        pipe = self.pipe()
        addresses = (
            *WORDS,
            pipe.buffers_offset - 1,
            pipe.buffers_offset,
            pipe.end - 8,
            pipe.end,
            pipe.end + 1,
        )
        descriptor = struct.pack(
            "<IHH", self.dice.choice(addresses), self.dice.choice(WORDS) & 0xFFFF, self.word() & 0xFFFF
        )
        first = self.dice.randrange(pipe.entry_count)
        count = self.dice.choice((1, 1, 40, pipe.entry_count - first))
        start = pipe.fifo_offset + first * 8
        count = min(count, pipe.entry_count - first)
        self.memory[start : start + 8 * count] = descriptor * count

    def scribble_in_frames(self) -> None:
        """Change what the other side may be looking at."""
        pipe = self.pipe()
        address = pipe.slot_address(self.dice.randrange(pipe.slot_count))
        self.memory[address : address + 8] = self.frame()[:8]

    def write_anywhere(self) -> None:
        for _ in range(self.dice.randrange(20)):
            self.write_word(self.dice.randrange(self.layout.size_bytes // 4) * 4, self.word())
        if self.dice.random() < 0.01:
            self.memory[:] = bytes((self.dice.randrange(256),)) * len(self.memory)

    # The bell

    def ring(self) -> None:
        self.bells[0].send(b"\0", socket.MSG_DONTWAIT)

    def flood(self) -> None:
        """Until no more fits."""
        self.block()
        while self.bells[0].send(self.dice.randbytes(self.dice.randrange(1, 5000)), socket.MSG_DONTWAIT):
            pass

    def steal_rings(self) -> None:
        """Read all bells empty, those of the other side too, if we have them."""
        for bell in self.bells:
            with suppress(BlockingIOError):
                bell.recv(1 << 16, socket.MSG_DONTWAIT)

    def block(self) -> None:
        """Make every file that we share with the other side a blocking one."""
        for bell in self.bells:
            bell.setblocking(True)

    # Control ports

    def say_of_ports(self) -> None:
        """Something that may be said, of a port that may exist."""
        kind, port = self.dice.randrange(1, 6), self.dice.choice((0, 0, 1, 2, 3, 66, 0xFFFFFFFF))
        detail = self.dice.choice((0, 0, 1, 2, 255))
        size = self.dice.choice((1, 16, 4096, 65536))
        data = self.dice.choice((b"", b"AT\r", b"\x01\x0b\0\0\0\0\0\1\x21\0\0\0", self.dice.randbytes(size)))
        opening = self.dice.randrange(6)
        self.ports.send(struct.pack("<BBHI", kind, detail, opening, port) + data, socket.MSG_DONTWAIT)

    def hear_of_ports(self) -> None:
        while self.ports.recv(1 << 17, socket.MSG_DONTWAIT):
            pass

    def flood_ports(self) -> None:
        """Until no more fits, and some when it does again."""
        self.ports.setblocking(True)
        for _ in range(5000):
            self.say_of_ports()

    def scribble_to_ports(self) -> None:
        self.ports.send(self.dice.randbytes(self.dice.choice((0, 1, 7, 8, 9, 70_000))), socket.MSG_DONTWAIT)

    def pause(self) -> None:
        """Let the other side get somewhere."""
        time.sleep(self.dice.choice((0, 0, 0, 0, 0.0001, 0.001, 0.01)))

    def close(self) -> None:
        for bell in self.bells:
            bell.close()
        self.ports.close()
        self.connection.close()


def be_modem(path: Path, until: float, dice: random.Random) -> int:
    """Listen, and be a modem to each host that comes; how many came."""
    count = 0
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
        listener.settimeout(1.0)
        while time.monotonic() < until:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with suppress(OSError):
                count += attack_host(connection, until, dice)
    path.unlink(missing_ok=True)
    return count


def attack_host(connection: socket.socket, until: float, dice: random.Random) -> bool:
    connection.settimeout(2.0)
    send(connection, encode_hello(Role.MODEM))
    hello, offer = receive(connection), receive(connection)
    if hello is None or offer is None:
        connection.close()
        return False
    check_hello(hello.data, Role.HOST)
    layout = decode_memory(offer)
    shared = SharedMemory.adopt(offer.descriptors[0], layout)
    bell = socket.socket(fileno=offer.descriptors[1])
    ports = socket.socket(fileno=offer.descriptors[2])
    send(connection, encode_answer())
    attack(Role.MODEM, connection, shared, [bell], ports, until, dice)
    return True


def be_host(path: Path, until: float, dice: random.Random) -> int:
    """Connect again and again; how often it was accepted."""
    count = 0
    while time.monotonic() < until:
        with suppress(OSError):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.settimeout(2.0)
            connection.connect(os.fspath(path))
            slot_count = dice.choice((1, 2, 32, 32, 32, 4096))
            sizes = {
                name: dice.choice((8, 9, 20, 2048, 2052, 32768))
                for name in ("receive_bytes", "transmit_bytes")
            }
            layout = LinkLayout() if dice.random() < 0.5 else LinkLayout(slot_count=slot_count, **sizes)
            shared = SharedMemory.create(layout)
            ours, theirs = socket.socketpair()
            our_ports, their_ports = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            send(connection, encode_hello(Role.HOST))
            send(connection, encode_memory(layout), [shared.fileno(), theirs.fileno(), their_ports.fileno()])
            their_ports.close()
            hello, answer = receive(connection), receive(connection)
            if hello is not None and answer is not None:
                check_answer(answer.data)
                count += 1
                attack(Role.HOST, connection, shared, [ours, theirs], our_ports, until, dice)
            shared.close()
    return count


def attack(
    role: Role,
    connection: socket.socket,
    shared: SharedMemory,
    bells: list[socket.socket],
    ports: socket.socket,
    until: float,
    dice: random.Random,
) -> None:
    connection.setblocking(False)
    peer = Peer(role, connection, shared.memory, shared.layout, bells, ports, dice)
    try:
        peer.attack(until)
    finally:
        peer.close()
        shared.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("role", choices=["modem", "host"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    be = be_modem if arguments.role == "modem" else be_host
    count = be(arguments.path, time.monotonic() + arguments.seconds, random.Random(seed))
    print(f"{count} connections", flush=True)
    sys.exit(0 if count else 1)


if __name__ == "__main__":
    main()
