"""Who is awake: a word of each side's that spares the other side doorbells.

    who publishes:   tail or position    fence   their word: awake? then no doorbell, they will look
    who would sleep: own word := asleep  fence   their tails or positions: new? then look, do not sleep

Each writes one word and then reads the other's. If both stores could be overtaken by the loads behind them,
each would see the other as it was: one would not ring, and the other would not look. So between store and
load is a full fence, on either side; then at least one of them sees what the other wrote (Dekker's argument;
x86 reorders just this pair, ARM any). Only the native pump has a fence. A side without one never says that it
is awake, and is always rung; and it always rings.

Most of what is published only gives back: to the host slots that were sent, to the modem buffers that are
empty again. Whoever has enough of them DOZES: it need not be woken for those, only for frames. It looks at
the others when it wakes for another reason, and sees to it that there is one in time.

Two that are awake take turns at a ring without coming back to Python (`PipeOwner.pump_in_turns`): to know how
long, the native pump reads the other's word, too. It may be wrong about it, for there is no fence: who waits
for a sleeper waits in vain, as long as a spin takes, and rings all the same.

Only the rings are watched: a line that changes is always worth a doorbell. The other side may lie, and then
it is itself that sleeps through a doorbell; whatever it writes, we read one word of it, once. It may die
awake; who comes after it begins asleep, and looks before it sleeps.
"""

from typing import Any, Final

from bamdmux.actions import Pipe
from bamdmux.bam.memory import LinkLayout
from bamdmux.pump import native

ASLEEP: Final = 0  # as the word begins
AWAKE: Final = 1
DOZING: Final = 2


class Wakefulness:
    """Our word and theirs, and the words by which we see that there is something to look at.

    Args:
        is_host: whether we are the host, the owner of the pipes.

    Attributes:
        their_word: where the other side says that it is awake, or not.
    """

    def __init__(self, memory: memoryview, layout: LinkLayout, *, is_host: bool) -> None:
        offsets = layout.host_awake_offset, layout.modem_awake_offset
        host, modem = (_word(memory, offset) for offset in offsets)
        self._own, self.their_word = (host, modem) if is_host else (modem, host)
        # What brings us frames, and what only gives back.
        brings, gives_back = (layout.rx, layout.tx) if is_host else (layout.tx, layout.rx)
        self._brings, self._gives_back = (
            _word(memory, pipe.position_offset if is_host else pipe.tail_offset).toreadonly()
            for pipe in (brings, gives_back)
        )
        self._frames_to_them = Pipe.TX if is_host else Pipe.RX
        self._seen: tuple[int, int] | None = None  # None: nobody has looked yet
        self.pump: Any = native
        self._own[0] = ASLEEP

    def wake_up(self) -> None:
        """We are awake, and look at the rings before we sleep again."""
        if self.pump is not None:
            self._own[0] = AWAKE

    def look(self) -> None:
        """We are about to look at the rings: what is there now is no news any more."""
        self._seen = (self._brings[0], self._gives_back[0])

    def words(self, *, dozes: bool) -> tuple[tuple[memoryview, int], ...]:
        """The words that tell us of news, each with what is none any more; see `Loop.spin`."""
        if self._seen is None:
            return ()
        brings, gives_back = self._seen
        return (
            ((self._brings, brings),) if dozes else ((self._brings, brings), (self._gives_back, gives_back))
        )

    def has_news(self, *, dozes: bool) -> bool:
        """Whether there is anything in the rings that we have not looked at.

        Args:
            dozes: what is given back is no news.
        """
        if self._seen is None:
            return True
        brings, gives_back = self._seen
        return self._brings[0] != brings or not (dozes or self._gives_back[0] == gives_back)

    def may_sleep(self, *, dozes: bool) -> bool:
        """Say that we sleep; False if there is news in the rings, so that we are awake still."""
        if self.pump is None:
            return True
        self._own[0] = DOZING if dozes else ASLEEP
        self.pump.fence()
        if not self.has_news(dozes=dozes):
            return True
        self._own[0] = AWAKE
        return False

    def must_ring(self, pipe: Pipe) -> bool:
        """Whether the other side has to be woken to see what was published before."""
        if self.pump is None:
            return True
        self.pump.fence()
        word = self.their_word[0]
        return word != AWAKE and (word != DOZING or pipe is self._frames_to_them)


def _word(memory: memoryview, offset: int) -> memoryview:
    return memory[offset : offset + 4].cast("I")
