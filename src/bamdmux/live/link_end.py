"""One end of a live link: what host's and modem's half have in common, the way to the other one."""

from collections.abc import Callable, Mapping
from typing import Any

from bamdmux.actions import Serve
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.live.faults import Relay
from bamdmux.middleware.faults import FarSide


class LinkEnd:
    """Whom a half tells its news to, and what may be laid over its parts.

    Attributes:
        relay: whoever is at the other end at the moment.
        far: what news are told to: the other end, or the wraps that faults have put around it.
        part_made: to be told of each part that is made later, with its seam; set by `Faults`.
    """

    _pipes: Mapping[str, PipeOwner] | Mapping[str, PipePeer]  # by seam

    def __init__(self) -> None:
        self.relay = Relay()
        self.far: FarSide = self.relay
        self.part_made: Callable[[str, Any], None] = lambda seam, part: None
        self._next_door: Serve | None = None

    @property
    def next_door(self) -> Serve | None:
        """The other machine's `serve`, if it is one of this process, and no fault has a wrap around `far`."""
        return self._next_door if self.far is self.relay.far else None

    def meet(
        self,
        far: FarSide | None,
        next_door: Serve | None = None,
        awake_word: memoryview | None = None,
    ) -> None:
        """This is at the other end from now on; None: nobody.

        Args:
            next_door: its `serve`, if it is a machine of this process.
            awake_word: where it says that it is awake, if it is another process.
        """
        self._next_door = next_door
        for pipe in self._pipes.values():
            pipe.pump_in_turns(awake_word)
        is_bare = self.far is (self.relay.far or self.relay)
        self.relay.far = far
        if is_bare:
            self.far = far or self.relay
