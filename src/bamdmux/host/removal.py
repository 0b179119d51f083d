"""How far the removal of the driver has come.

    NOT_ASKED -> WAKING -> CLOSING -> WAITING_FOR_MODEM -> DONE

The modem is woken, as the driver core wakes a device before it takes its driver away; it hears the CLOSEs;
our vote goes, and its power should follow. Each wait has a bound: a modem that is dead cannot keep us.

Sources: bam_dmux_remove() of drivers/net/wwan/qcom_bam_dmux.c in Linux 6.1, and the trace s60.

What is done at each stage is for the driver to do.
"""

from enum import Enum, auto
from typing import Final

from bamdmux.timing import Duration, Instant


class Stage(Enum):
    """Where the removal stands."""

    NOT_ASKED = auto()
    WAKING = auto()  # the modem is to hear our CLOSEs
    CLOSING = auto()  # some CLOSE still waits for a slot
    WAITING_FOR_MODEM = auto()  # our vote is gone; its power should follow
    DONE = auto()


LEGAL: Final = {
    Stage.NOT_ASKED: {Stage.WAKING},
    Stage.WAKING: {Stage.CLOSING, Stage.WAITING_FOR_MODEM},  # the latter if the modem did not wake
    Stage.CLOSING: {Stage.WAITING_FOR_MODEM},
    Stage.WAITING_FOR_MODEM: {Stage.DONE},
    Stage.DONE: set(),
}

_BOUNDED: Final = {Stage.CLOSING, Stage.WAITING_FOR_MODEM}  # the wait for power has its own bound


class Removal:
    """The stage, and until when it may last."""

    def __init__(self, timeout_ns: Duration) -> None:
        self._timeout_ns = timeout_ns
        self._stage = Stage.NOT_ASKED
        self.is_asked = False
        self.vote_is_over = False  # nothing may ask for power again
        self.deadline: Instant | None = None

    @property
    def stage(self) -> Stage:
        return self._stage

    @property
    def is_done(self) -> bool:
        return self._stage is Stage.DONE

    def has_timed_out(self, now: Instant) -> bool:
        return self.deadline is not None and now >= self.deadline

    def enter(self, stage: Stage, now: Instant) -> None:
        """Go on; the only writer of the stage."""
        assert stage in LEGAL[self._stage], f"{self._stage.name} -> {stage.name}"
        self._stage = stage
        self.is_asked = True
        self.vote_is_over = stage in (Stage.WAITING_FOR_MODEM, Stage.DONE)
        self.deadline = now + self._timeout_ns if stage in _BOUNDED else None
