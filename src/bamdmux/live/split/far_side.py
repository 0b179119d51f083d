"""The other process, as a machine of ours may know it: something that can be woken.

What has changed is in shared memory. So all that a machine asks for in one batch is one ring, at its end, and
none if the other side is awake and looks by itself.
"""

from bamdmux.actions import Line, Pipe
from bamdmux.bam.wakefulness import Wakefulness
from bamdmux.live.split.doorbell import Doorbell
from bamdmux.timing import Instant


class RemoteSide:
    """A far side in another process; see `bamdmux.middleware.faults.FarSide`."""

    def __init__(self, doorbell: Doorbell, wakefulness: Wakefulness) -> None:
        self._doorbell = doorbell
        self._wakefulness = wakefulness
        self._has_line = False  # to tell of
        self._rings: set[Pipe] = set()  # likewise

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        self._has_line = True

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._rings.add(pipe)

    def flush(self) -> None:
        """Ring, if there is anything to tell that it does not see by itself."""
        if self._rings or self._has_line:
            if self._has_line or any(map(self._wakefulness.must_ring, self._rings)):
                self._doorbell.ring()
            self._rings.clear()
            self._has_line = False


class NobodyThere:
    """No far side: what we say stays in memory, and whoever comes will read it there."""

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        pass

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        pass

    def flush(self) -> None:
        pass
