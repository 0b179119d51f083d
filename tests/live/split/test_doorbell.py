"""The doorbell: rings arrive, none is waited for, and no peer can make us wait."""

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bamdmux.errors import ProtocolError
from bamdmux.live.split.doorbell import Doorbell
from bamdmux.live.split.handover import Refusal

RINGS = 30_000
ALARM_SECONDS = 20.0  # a ring takes a microsecond

Ends = tuple[Doorbell, Doorbell]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = Doorbell.create_pair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def alarm() -> Iterator[None]:
    """Fails a test that waits for ever."""

    def fail(number: int, frame: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def is_ringing(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_a_ring_arrives_at_the_other_end(ends: Ends) -> None:
    ours, theirs = ends
    assert not is_ringing(theirs)
    ours.ring()
    assert is_ringing(theirs)
    assert not is_ringing(ours)
    assert theirs.answer()
    assert not is_ringing(theirs)


def test_both_ends_ring(ends: Ends) -> None:
    ours, theirs = ends
    ours.ring()
    theirs.ring()
    assert is_ringing(ours)
    assert is_ringing(theirs)


def test_rings_that_come_together_are_one(ends: Ends) -> None:
    ours, theirs = ends
    for _ in range(100):
        ours.ring()
    assert theirs.answer()
    assert not is_ringing(theirs)


def test_a_bell_that_did_not_ring_can_be_answered(ends: Ends) -> None:
    assert ends[0].answer()


def test_a_full_bell_was_rung_often_enough(ends: Ends, alarm: None) -> None:
    ours, theirs = ends
    for _ in range(RINGS):
        ours.ring()
    assert is_ringing(theirs)
    while is_ringing(theirs):
        assert theirs.answer()
    ours.ring()
    assert is_ringing(theirs)


def test_the_other_end_s_end_is_noticed(ends: Ends) -> None:
    ours, theirs = ends
    theirs.ring()
    theirs.close()
    assert is_ringing(ours)
    assert ours.answer()  # what it said before
    assert is_ringing(ours)
    assert not ours.answer()
    ours.ring()


def test_an_end_with_rings_that_nobody_read_is_an_end(ends: Ends) -> None:
    ours, theirs = ends
    ours.ring()
    theirs.close()
    assert not ours.answer()
    assert not ours.answer()


def test_descriptors_that_come_with_a_ring_are_not_kept() -> None:
    ours, theirs = socket.socketpair()
    bell = Doorbell(ours.detach())
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [b"x"], [theirs.fileno()] * 100)
    while is_ringing(bell):
        assert bell.answer()
    assert len(os.listdir("/proc/self/fd")) == before
    bell.close()
    theirs.close()


# What is passed to us


def test_the_end_of_a_pair_is_a_doorbell() -> None:
    ours, theirs = socket.socketpair()
    before = len(os.listdir("/proc/self/fd"))
    Doorbell.check(theirs.fileno())
    assert len(os.listdir("/proc/self/fd")) == before
    bell = Doorbell(theirs.detach())
    ours.send(b"x")
    assert is_ringing(bell)
    bell.close()
    ours.close()


def make_pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


KINDS: dict[str, Callable[[], int]] = {
    "pipe": make_pipe,
    "file": lambda: os.open(__file__, os.O_RDONLY),
    "folder": lambda: os.open("/", os.O_RDONLY),
    "path": lambda: os.open("/", os.O_PATH),
    "device": lambda: os.open("/dev/null", os.O_RDWR),
    "memfd": lambda: os.memfd_create("x"),
    "eventfd": lambda: os.eventfd(0),
    "pidfd": lambda: os.pidfd_open(os.getpid()),
    "packets": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).detach(),
    "datagrams": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(),
    "tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).detach(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_anything_else_is_refused_and_stays_the_caller_s(kind: str) -> None:
    descriptor = KINDS[kind]()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProtocolError) as caught:
        Doorbell.check(descriptor)
    assert caught.value.reason is Refusal.NO_DOORBELL
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(descriptor)


@pytest.mark.parametrize("state", ["unconnected", "listening"])
def test_one_that_is_joined_to_nobody_is_an_end(state: str) -> None:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if state == "listening":
        end.bind("")
        end.listen()
    Doorbell.check(end.fileno())
    bell = Doorbell(end.detach())
    bell.ring()
    assert not bell.answer()
    bell.close()


# Hostile peers


def empty(descriptor: socket.socket) -> None:
    with suppress(BlockingIOError):
        while descriptor.recv(1 << 16, socket.MSG_DONTWAIT):
            pass


def fill(descriptor: socket.socket) -> None:
    with suppress(BlockingIOError):
        while descriptor.send(b"x" * 100, socket.MSG_DONTWAIT):
            pass


@pytest.mark.parametrize("attack", [empty, fill], ids=["empty", "full"])
def test_a_peer_that_shares_the_file_cannot_make_us_wait(
    attack: Callable[[socket.socket], None], alarm: None
) -> None:
    """It holds copies of both ends, switches them to blocking, and takes what we want to take, or fills."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        while True:
            for end in (ours, theirs):
                end.setblocking(True)
                attack(end)
    try:
        bell = Doorbell(ours.detach())
        for _ in range(RINGS):
            bell.ring()
            bell.answer()
        bell.close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        theirs.close()
