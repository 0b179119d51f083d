"""The link's memory as both processes share it: a sealed memfd.

The host makes it, for it stands for the application processor's RAM, and keeps it when a modem dies. It is
sealed: nobody can shrink it under the other, which would kill by SIGBUS whoever looks at it (memfd_create(2),
"File sealing"). The modem believes nothing of that before it has checked it, and maps nothing before.
"""

import fcntl
import mmap
import os
from typing import Final, Self

from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import ProtocolError
from bamdmux.live.split.handover import Refusal

# include/uapi/linux/fcntl.h
F_ADD_SEALS: Final = 1033
F_GET_SEALS: Final = 1034
F_SEAL_SEAL: Final = 0x1  # no further seals, as one against our own writing
F_SEAL_SHRINK: Final = 0x2
F_SEAL_GROW: Final = 0x4
SEALS: Final = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW
# Seals with which we could not write what is ours to write.
FORBIDDEN_SEALS: Final = 0x8 | 0x10  # F_SEAL_WRITE, F_SEAL_FUTURE_WRITE


class SharedMemory:
    """A mapping of the link's memory; made by `create` or `adopt`.

    It is unmapped when nothing refers to ``memory`` any more: pipe ends and lines keep views of it.

    Attributes:
        memory: the whole of it.
        layout: what lies where.
    """

    def __init__(self, descriptor: int, layout: LinkLayout) -> None:
        self._descriptor = descriptor
        self.layout = layout
        self.memory = memoryview(mmap.mmap(descriptor, layout.size_bytes, mmap.MAP_SHARED))

    @classmethod
    def create(cls, layout: LinkLayout) -> Self:
        """Make fresh memory, all zeroes, sealed."""
        descriptor = os.memfd_create("bamdmux", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, layout.size_bytes)
        fcntl.fcntl(descriptor, F_ADD_SEALS, SEALS)
        return cls(descriptor, layout)

    @classmethod
    def adopt(cls, descriptor: int, layout: LinkLayout) -> Self:
        """Map what the other process passed to us; the descriptor is ours from now on, unless this raises.

        Raises:
            ProtocolError: it is no memfd, lacks a seal, or has another size than the layout needs.
        """
        try:
            seals = fcntl.fcntl(descriptor, F_GET_SEALS)
        except OSError as error:
            raise ProtocolError(Refusal.NO_MEMFD, "the memory passed is no memfd") from error
        if seals & SEALS != SEALS or seals & FORBIDDEN_SEALS:
            raise ProtocolError(Refusal.NOT_SEALED, f"seals {seals:#x} of the memory are not {SEALS:#x}")
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes != layout.size_bytes:
            raise ProtocolError(
                Refusal.WRONG_SIZE, f"size {size_bytes} of the memory is not {layout.size_bytes}"
            )
        try:
            return cls(descriptor, layout)
        except (OSError, ValueError) as error:
            raise ProtocolError(Refusal.UNKNOWN, f"the memory cannot be mapped: {error}") from error

    def fileno(self) -> int:
        """To be passed on."""
        return self._descriptor

    def close(self) -> None:
        """Close the descriptor; the mapping stays as long as it is used."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
