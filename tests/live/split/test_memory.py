"""The shared memory: what the host seals, and what the modem believes."""

import errno
import fcntl
import mmap
import os
import socket
from collections.abc import Callable

import pytest

from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import ProtocolError
from bamdmux.live.split.handover import Refusal
from bamdmux.live.split.memory import F_ADD_SEALS, F_GET_SEALS, SEALS, SharedMemory

LAYOUT = LinkLayout()
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16


def memfd(size: int, *seals: int, may_seal: bool = True) -> int:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if may_seal else 0))
    os.ftruncate(descriptor, size)
    for seal in seals:
        fcntl.fcntl(descriptor, F_ADD_SEALS, seal)
    return descriptor


def refused(descriptor: int) -> tuple[Refusal, str]:
    """Why it is not adopted; it is still the caller's then, who closes it."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProtocolError) as caught:
        SharedMemory.adopt(descriptor, LAYOUT)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(descriptor)
    assert isinstance(caught.value.reason, Refusal)
    return caught.value.reason, str(caught.value)


def test_what_one_side_writes_the_other_reads() -> None:
    ours = SharedMemory.create(LAYOUT)
    theirs = SharedMemory.adopt(os.dup(ours.fileno()), LAYOUT)
    assert len(ours.memory) == len(theirs.memory) == LAYOUT.size_bytes
    assert not any(ours.memory)
    ours.memory[5] = 7
    theirs.memory[LAYOUT.size_bytes - 1] = 9
    assert (theirs.memory[5], ours.memory[LAYOUT.size_bytes - 1]) == (7, 9)
    ours.close()
    theirs.close()


def test_it_is_sealed_against_a_change_of_size() -> None:
    shared = SharedMemory.create(LAYOUT)
    assert fcntl.fcntl(shared.fileno(), F_GET_SEALS) == SEALS
    for size in (0, LAYOUT.size_bytes - 1, LAYOUT.size_bytes + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(shared.fileno(), size)
    shared.memory[LAYOUT.size_bytes - 1] = 1  # no SIGBUS
    shared.close()


def test_it_takes_no_further_seal() -> None:
    """One against writing would lock out whoever maps it next."""
    shared = SharedMemory.create(LAYOUT)
    with pytest.raises(PermissionError):
        fcntl.fcntl(shared.fileno(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
    shared.close()


def test_it_is_not_inherited() -> None:
    shared = SharedMemory.create(LAYOUT)
    assert not os.get_inheritable(shared.fileno())
    shared.close()


def test_the_mapping_outlives_its_descriptor_and_ends_with_its_last_view() -> None:
    def is_mapped() -> bool:
        with open("/proc/self/maps") as maps:
            return "memfd:bamdmux" in maps.read()

    shared = SharedMemory.create(LAYOUT)
    view = shared.memory[:8]
    shared.close()
    shared.close()  # once more does no harm
    del shared
    view[0] = 1
    assert is_mapped()
    del view
    assert not is_mapped()


# What is passed to us


@pytest.mark.parametrize(
    "seals",
    [
        (),
        (F_SEAL_SEAL,),
        (F_SEAL_SHRINK,),
        (F_SEAL_GROW | F_SEAL_SEAL,),
        (F_SEAL_SHRINK | F_SEAL_GROW,),
        (F_SEAL_SHRINK | F_SEAL_SEAL,),
        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, F_SEAL_SEAL),
        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE, F_SEAL_SEAL),
    ],
)
def test_other_seals_are_refused(seals: tuple[int, ...]) -> None:
    reason, text = refused(memfd(LAYOUT.size_bytes, *seals))
    assert reason is Refusal.NOT_SEALED
    assert text == f"seals {sum(seals):#x} of the memory are not 0x7"


def test_one_that_cannot_be_sealed_is_refused() -> None:
    reason, _ = refused(memfd(LAYOUT.size_bytes, may_seal=False))
    assert reason is Refusal.NOT_SEALED  # the kernel says F_SEAL_SEAL, and nothing else


@pytest.mark.parametrize("size", [0, 1, mmap.PAGESIZE, LAYOUT.size_bytes - 1, LAYOUT.size_bytes + 1, 1 << 40])
def test_another_size_is_refused(size: int) -> None:
    reason, text = refused(memfd(size, SEALS))
    assert reason is Refusal.WRONG_SIZE
    assert text == f"size {size} of the memory is not {LAYOUT.size_bytes}"


KINDS: dict[str, Callable[[], int]] = {
    "file": lambda: os.open(__file__, os.O_RDONLY),
    "folder": lambda: os.open("/", os.O_RDONLY),
    "path": lambda: os.open("/", os.O_PATH),
    "device": lambda: os.open("/dev/zero", os.O_RDWR),
    "eventfd": lambda: os.eventfd(0),
    "socket": lambda: socket.socket().detach(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_memfd_is_refused(kind: str) -> None:
    assert refused(KINDS[kind]()) == (Refusal.NO_MEMFD, "the memory passed is no memfd")


def test_one_that_is_open_for_reading_only_is_refused() -> None:
    descriptor = memfd(LAYOUT.size_bytes, SEALS)
    reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    os.close(descriptor)
    reason, text = refused(reading)
    assert reason is Refusal.UNKNOWN
    assert text == f"the memory cannot be mapped: [Errno {errno.EACCES}] Permission denied"
