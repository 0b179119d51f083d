"""The other process, as a machine of ours may know it: something that can be woken.

What has changed is in shared memory. So all that a machine asks for in one batch is one ring, at its end.
"""

from bamdmux.actions import Line, Pipe
from bamdmux.live.split.doorbell import Doorbell
from bamdmux.timing import Instant


class RemoteSide:
    """A far side in another process; see `bamdmux.live.host_side.FarSide`."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self._is_owed = False

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        self._is_owed = True

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        self._is_owed = True

    def flush(self) -> None:
        """Ring, if there is anything to tell."""
        if self._is_owed:
            self._is_owed = False
            self._doorbell.ring()


class NobodyThere:
    """No far side: what we say stays in memory, and whoever comes will read it there."""

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        pass

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        pass

    def flush(self) -> None:
        pass
