"""Who is on the other side, in a thread; and our side, by calls that are held to what they leave behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import pytest

from bamdmux.bam.memory import DESCRIPTOR_BYTES, PipeLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.bam.wakefulness import ASLEEP, AWAKE, DOZING
from bamdmux.counters import Counters
from bamdmux.host.channels import Channel
from bamdmux.host.receive import ReceiveRing
from bamdmux.host.transmit import TransmitRing
from bamdmux.timing import MILLISECOND
from bamdmux.wire.dmux import CHANNEL_COUNT, HEADER_BYTES
from bamdmux.wire.offload import NO_OFFLOAD, segment
from tests.pair import downlink, uplink
from tests.pump.kernel import Kernel, pump
from tests.pump.linked import Given
from tests.pump.rings import GENERATION, KernelDevice
from tests.super_packets import Segment, pattern

AT_ONCE: Final = 50  # packets that wait, far more than a ring has slots
ATTEMPTS: Final = 500  # at most, until a call was lucky
ENOUGH: Final = 500  # packets that came through
BOUND: Final = 60.0  # seconds that a thread may take to come to its end; it takes a millisecond
NOTHING: Final = -1  # poll() passes over such a descriptor
CHANNELS_OPEN: Final = [True] * CHANNEL_COUNT

Word = memoryview | None


def word(number: int) -> memoryview:
    return memoryview(bytearray(number.to_bytes(4, "little")))


def awake() -> memoryview:
    return word(AWAKE)


NOT_AWAKE: Final = [ASLEEP, DOZING, 3, 0x0001_0000, 0x0100_0001, 0xFFFF_FFFF]


@contextmanager
def at_work(work: Callable[[], object]) -> Iterator[None]:
    """The other side does this again and again, in a thread, to the end of the block, and once more."""
    has_begun, is_over = Event(), Event()
    errors: list[BaseException] = []

    def run() -> None:
        has_begun.set()
        try:
            while not is_over.is_set():
                work()
            work()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        assert has_begun.wait(BOUND), "the other side never began"
        yield
    finally:
        is_over.set()
        thread.join(BOUND)
        assert not thread.is_alive(), "the other side never came to its end"
        if errors:
            raise errors[0]


class News:
    """A word of the other side's, and a wait for it that leaves the interpreter to whoever wants it."""

    def __init__(self, memory: memoryview, offset: int) -> None:
        self._word = memory[offset : offset + 4].cast("I")
        self._seen = 0

    def wait(self) -> None:
        """Until it is another; a millisecond at most."""
        pump.spin(NOTHING, MILLISECOND, ((self._word, self._seen),))
        self._seen = self._word[0]


def supers(is_to_host: bool) -> list[Given]:
    """Ten super-packets of one flow, of five segments each."""
    each = Segment(payload=pattern(500), is_to_host=is_to_host)
    result = []
    for _ in range(AT_ONCE // 5):
        result.append(each.super_packet(100))
        each = each.next(identification=each.identification + 5)
    return result


def huge(is_to_host: bool) -> list[Given]:
    """One of so many segments that it fits no ring."""
    return [Segment(payload=pattern(100 * AT_ONCE), is_to_host=is_to_host).super_packet(100)]


def singles(is_to_host: bool) -> list[Given]:
    make = downlink if is_to_host else uplink
    return [(NO_OFFLOAD, make(number, length=28 + number)) for number in range(AT_ONCE)]


KINDS: Final = pytest.mark.parametrize("kind", [singles, supers, huge])


def packets_of(given_packets: list[Given]) -> list[bytes]:
    return [packet for each in given_packets for packet in segment(*each)]


def packet_in(frame: bytes) -> bytes:
    return frame[HEADER_BYTES : HEADER_BYTES + int.from_bytes(frame[6:8], "little")]


def passed(counters: Counters) -> tuple[int, int, int]:
    return counters.packet_count, counters.byte_count, counters.drops.total()


def sum_of(packets: list[bytes]) -> tuple[int, int, int]:
    """As `passed`, if they all did."""
    return len(packets), sum(map(len, packets)), 0


class Transmission:
    """A host that transmits what a kernel gives, by calls that are held to what they leave behind."""

    def __init__(self, ring: TransmitRing, owner: PipeOwner, kernel: Kernel) -> None:
        self.ring, self.owner = ring, owner
        self.channel = Channel(0, device=KernelDevice(kernel))
        self.most = 0  # packets of one call

    def call(self, budget: int = AT_ONCE) -> tuple[int, int]:
        """How many packets were sent; how many slots came back within the call."""
        ring, slots = self.ring, self.owner.layout.slot_count
        ring.has_sent = ring.has_retired = False
        before, counted = self.owner.in_flight, self.channel.transmitted.packet_count
        sent = ring.fill_from(self.channel, budget, sends=True)
        back = before + sent - self.owner.in_flight
        assert ring.pending == 0
        assert ring.free == slots - self.owner.in_flight
        assert 0 <= ring.free <= slots
        assert ring.is_empty == (self.owner.in_flight == 0)
        assert 0 <= back <= before + sent
        assert (ring.has_sent, ring.has_retired) == (sent > 0, back > 0)
        assert self.channel.transmitted.packet_count == counted + sent
        self.most = max(self.most, sent)
        return sent, back


class Reception:
    """A host that receives on one channel, and whose calls are held to what they leave behind."""

    def __init__(self, owner: PipeOwner, kernel: Kernel) -> None:
        self.owner, self._kernel = owner, kernel
        self.ring = ReceiveRing(owner)
        self._devices = [KernelDevice(kernel)] * CHANNEL_COUNT
        self.counters = [Counters() for _ in range(CHANNEL_COUNT)]
        self.delivered: list[bytes] = []
        self.most = 0  # packets of one call

    def call(self) -> None:
        assert list(self.ring.drain_to(self._devices, self.counters, self.counters[7])) == []
        self.owner.publish()
        packets = self._kernel.delivered()
        self.delivered += packets
        self.most = max(self.most, len(packets))
        assert self.counters[0].packet_count == len(self.delivered)
        assert self.owner.in_flight == self.owner.layout.slot_count
        assert sorted(slots_in_flight(self.owner)) == [*range(self.owner.layout.slot_count)]


def slots_in_flight(owner: PipeOwner) -> list[int]:
    return [
        owner._slots_of[(owner._head + each) % owner.layout.entry_count] for each in range(owner.in_flight)
    ]


def frames_in_flight(owner: PipeOwner) -> Iterator[bytes]:
    for offset in range(owner.in_flight):
        entry = (owner._head + offset) % owner.layout.entry_count
        yield bytes(owner.slot(owner._slots_of[entry])[: owner._sizes_of[entry]])


def taken_by(peer: PipePeer, number: int) -> list[bytes]:
    """Of so many entries; they are given back."""
    assert peer.available() >= number
    frames = []
    for _ in range(number):
        frames.append(bytes(peer.take()))
        assert peer.complete()
    peer.publish()
    return frames


def put_changed(memory: memoryview, offset: int, entry: int, change: int) -> None:
    memory[offset : offset + 4].cast("I")[0] = (GENERATION << 16 | entry * DESCRIPTOR_BYTES) ^ change


def outside(memory: memoryview, layout: PipeLayout) -> bytes:
    return bytes(memory[: layout.start]) + bytes(memory[layout.end :])
