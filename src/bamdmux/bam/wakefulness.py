"""Who is awake: a word of each side's that spares the other side doorbells.

    who publishes:   tail or position     fence   their word: awake? then no doorbell, they will look
    who would sleep: own word is asleep   fence   their tails or positions: new? then look, do not sleep

Each writes one word and then reads the other's. If both stores could be overtaken by the loads behind them,
each would see the other as it was: one would not ring, and the other would not look. So between store and
load is a full fence, on either side; then at least one of them sees what the other wrote (Dekker's argument;
x86 reorders just this pair, ARM any). Only the native pump has a fence. A side without one never says that it
is awake, and is always rung; and it always rings.

Only the rings are watched: a line that changes is always worth a doorbell. A word is 0 (asleep, as it begins)
or 1. The other side may lie, and then it is itself that sleeps through a doorbell; whatever it writes, we
read one word of it, once. It may die awake; who comes after it begins asleep, and looks before it sleeps.
"""

from typing import Any, Final

from bamdmux.bam.memory import LinkLayout
from bamdmux.pump import native

ASLEEP: Final = 0
AWAKE: Final = 1


class Wakefulness:
    """Our word and theirs, and the words by which we see that there is something to look at.

    Args:
        is_host: whether we are the host, the owner of the pipes.
    """

    def __init__(self, memory: memoryview, layout: LinkLayout, *, is_host: bool) -> None:
        host, modem = (
            _word(memory, offset) for offset in (layout.host_awake_offset, layout.modem_awake_offset)
        )
        self._own, self._theirs = (host, modem) if is_host else (modem, host)
        pipes = (layout.tx, layout.rx)
        watched = [pipe.position_offset if is_host else pipe.tail_offset for pipe in pipes]
        self._tx, self._rx = (_word(memory, offset).toreadonly() for offset in watched)
        self._seen: tuple[int, int] | None = None  # None: nobody has looked yet
        self.pump: Any = native
        self._own[0] = ASLEEP

    def wake_up(self) -> None:
        """We are awake, and look at the rings before we sleep again."""
        if self.pump is not None:
            self._own[0] = AWAKE

    def look(self) -> None:
        """We are about to look at the rings: what is there now is no news any more."""
        self._seen = (self._tx[0], self._rx[0])

    def may_sleep(self) -> bool:
        """Say that we sleep; False if there is news in the rings, so that we are awake still."""
        if self.pump is None:
            return True
        self._own[0] = ASLEEP
        self.pump.fence()
        if (self._tx[0], self._rx[0]) == self._seen:
            return True
        self._own[0] = AWAKE
        return False

    def must_ring(self) -> bool:
        """Whether the other side has to be woken to see what was published before."""
        if self.pump is None:
            return True
        self.pump.fence()
        return self._theirs[0] != AWAKE


def _word(memory: memoryview, offset: int) -> memoryview:
    return memory[offset : offset + 4].cast("I")
