"""Runtime power of the host: our vote, and the modem's power as we see it. Two facts, two machines.

    SUSPENDED -> AWAITING_DOWN_ACK -> AWAITING_UP_ACK -> AWAITING_MODEM -> ACTIVE -> SUSPENDED
                 old vote not acked    vote set           acked, no power    may transmit

Each wait has two seconds of its own. A packet or command asks for power with `request`; one second after the
last transmission has completed the vote is dropped, and its ack is awaited before the next vote, not now.
Receiving needs no vote: the modem powers the link for that by itself.

Sources: bam_dmux_runtime_resume(), bam_dmux_runtime_suspend(), bam_dmux_pc_irq() and bam_dmux_pc_ack_irq() of
drivers/net/wwan/qcom_bam_dmux.c in Linux 6.1; protocol.md section 4.

It touches no pipe and knows no packet: the driver is told what changed, and acts.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bamdmux.actions import Action, Line, Log, LogEvent, SetLine, Severity
from bamdmux.bam.lines import edges_between, level_of
from bamdmux.timing import MILLISECOND, Duration, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What may be set; the defaults are the kernel's."""

    autosuspend_delay_ns: Duration = 1000 * MILLISECOND  # BAM_DMUX_AUTOSUSPEND_DELAY
    remote_timeout_ns: Duration = 2000 * MILLISECOND  # BAM_DMUX_REMOTE_TIMEOUT
    retry_delay_ns: Duration = 2000 * MILLISECOND  # commands that still wait after a failed resume try again
    look_again_ns: Duration = 1000 * MILLISECOND  # frames in flight for so long: was a doorbell lost?


class VoteState(Enum):
    """Where our vote stands."""

    SUSPENDED = auto()
    AWAITING_DOWN_ACK = auto()
    AWAITING_UP_ACK = auto()
    AWAITING_MODEM = auto()
    ACTIVE = auto()


LEGAL: Final = {
    VoteState.SUSPENDED: {VoteState.AWAITING_DOWN_ACK, VoteState.AWAITING_UP_ACK, VoteState.ACTIVE},
    VoteState.AWAITING_DOWN_ACK: {VoteState.AWAITING_UP_ACK, VoteState.SUSPENDED, VoteState.ACTIVE},
    VoteState.AWAITING_UP_ACK: {VoteState.AWAITING_MODEM, VoteState.ACTIVE, VoteState.SUSPENDED},
    VoteState.AWAITING_MODEM: {VoteState.ACTIVE, VoteState.SUSPENDED},
    VoteState.ACTIVE: {VoteState.SUSPENDED},  # idle, or the modem fell while we voted
}

_WAITING: Final = {VoteState.AWAITING_DOWN_ACK, VoteState.AWAITING_UP_ACK, VoteState.AWAITING_MODEM}


class VoteEvent(Enum):
    """What came of an input, for the driver to act on."""

    NOTHING = auto()
    WOKE = auto()  # ACTIVE from now on
    FAILED = auto()  # a wait timed out; SUSPENDED, and forgiven
    LOST = auto()  # the modem's power went while we were ACTIVE; SUSPENDED
    RETRY = auto()  # time to ask for power again


@dataclass(slots=True)
class VoteStatistics:
    """How power was used."""

    vote_count: int = 0
    ack_count: int = 0
    wakeup_count: int = 0
    failed_resume_count: int = 0
    power_loss_count: int = 0
    suspended_ns: Duration = 0


class HostVote:
    """Our vote for power."""

    def __init__(self, outbox: list[Action], options: HostOptions, level: bool = False) -> None:
        self._outbox = outbox
        self._options = options
        self._state = VoteState.SUSPENDED
        self._wait_deadline: Instant | None = None
        self._idle_since: Instant | None = None  # while ACTIVE: when the last transmission completed
        self._retry_at: Instant | None = None
        self._suspended_since: Instant | None = 0
        self._is_set = level
        self._ack_is_owed = False
        self._ack_edges = 0  # of the modem's ack line, as last seen
        self._modem_is_up = False
        self._is_controlled = True  # until the modem says OPEN_NO_A2_PC
        self.statistics = VoteStatistics()

    def probe(self, ack_edges: int, modem_is_up: bool, now: Instant) -> None:
        """Start, SUSPENDED. A vote that an earlier driver left is dropped: so our first one is an edge."""
        self._ack_edges = ack_edges
        self._modem_is_up = modem_is_up
        self._suspended_since = now
        if self._is_set:
            self._set_line(False)

    @property
    def state(self) -> VoteState:
        return self._state

    @property
    def is_active(self) -> bool:
        """Whether there is power for us to transmit, unless the modem's fell."""
        return self._state is VoteState.ACTIVE

    @property
    def deadline(self) -> Instant | None:
        """When the wait is over, the vote is to be dropped, or waiting commands try again."""
        if self._wait_deadline is not None:
            return self._wait_deadline
        if self._state is VoteState.SUSPENDED:
            return self._retry_at
        if self._idle_since is None or not self._is_controlled:
            return None
        return self._idle_since + self._options.autosuspend_delay_ns

    def suspended_ns(self, now: Instant) -> Duration:
        """Time without our vote, up to now."""
        current = now - self._suspended_since if self._suspended_since is not None else 0
        return self.statistics.suspended_ns + current

    # Waking

    def request(self, now: Instant) -> bool:
        """Ask for power; True if it is there already. Otherwise WOKE or FAILED follows."""
        if self._state is VoteState.SUSPENDED:
            self._resume(now)
        return self.is_active

    def _resume(self, now: Instant) -> None:
        if not self._is_controlled and self._modem_is_up:
            self._enter(VoteState.ACTIVE, now)
            return
        self._log(LogEvent.RESUMING)
        if self._ack_is_owed:
            self._enter(VoteState.AWAITING_DOWN_ACK, now)
        else:
            self._vote(now)

    def _vote(self, now: Instant) -> None:
        self._set_line(True)
        self._enter(VoteState.AWAITING_UP_ACK, now)

    def ack_changed(self, edge_count: int, now: Instant) -> VoteEvent:
        """The modem's ack line moved; that it did not after all is no ack."""
        if not edges_between(self._ack_edges, edge_count):
            return VoteEvent.NOTHING
        self._ack_edges = edge_count
        self._ack_is_owed = False
        self.statistics.ack_count += 1
        self._log(LogEvent.ACK_ARRIVED)
        if self._state is VoteState.AWAITING_DOWN_ACK:
            self._vote(now)
        elif self._state is VoteState.AWAITING_UP_ACK:
            if self._modem_is_up:
                return self._wake(now)
            self._enter(VoteState.AWAITING_MODEM, now)
        return VoteEvent.NOTHING

    def modem_rose(self, now: Instant) -> VoteEvent:
        """The modem has power, and our side of the pipes is ready."""
        self._modem_is_up = True
        if self._state is VoteState.AWAITING_MODEM:
            return self._wake(now)
        # Differs: an ack that a modem owed before it went down will never come. The kernel would wait for it.
        if self._state is VoteState.AWAITING_DOWN_ACK:
            self._vote(now)
        elif self._state is VoteState.SUSPENDED:
            self._ack_is_owed = False
        return VoteEvent.NOTHING

    def power_control_ended(self, now: Instant) -> VoteEvent:
        """The modem said OPEN_NO_A2_PC: it stays powered, and no longer looks at votes."""
        self._is_controlled = False
        self._ack_is_owed = False
        if self._state in _WAITING:
            return self._wake(now)
        return VoteEvent.NOTHING

    def _wake(self, now: Instant) -> VoteEvent:
        self._enter(VoteState.ACTIVE, now)
        return VoteEvent.WOKE

    # Suspending

    def busy(self) -> None:
        """Something is being transmitted: no autosuspend."""
        self._idle_since = None

    def idle(self, now: Instant) -> None:
        """The last transmission has completed."""
        self._idle_since = now

    def retry_later(self, now: Instant) -> None:
        """Commands still wait after a failed resume: RETRY in a while."""
        self._retry_at = now + self._options.retry_delay_ns

    def handle_timeout(self, now: Instant) -> VoteEvent:
        """Act on whatever deadline has passed."""
        if self.deadline is None or now < self.deadline:
            return VoteEvent.NOTHING
        if self._state in _WAITING:
            return self._give_up(now)
        if self._state is VoteState.SUSPENDED:
            self._retry_at = None
            return VoteEvent.RETRY
        self.drop(now)
        return VoteEvent.NOTHING

    def _give_up(self, now: Instant) -> VoteEvent:
        if self._is_set:
            self._set_line(False)
        # Differs: in the kernel the error sticks, and nothing is transmitted until the driver is bound anew.
        # Here the debt is forgiven: the next packet votes at once.
        self._ack_is_owed = False
        self.statistics.failed_resume_count += 1
        self._enter(VoteState.SUSPENDED, now)
        return VoteEvent.FAILED

    def drop(self, now: Instant) -> None:
        """Suspend: drop the vote, whatever state it is in. The modem's ack is awaited before the next one."""
        self._log(LogEvent.SUSPENDING)
        self._retry_at = None
        if self._is_set:
            self._set_line(False)
        if self._state is not VoteState.SUSPENDED:
            self._enter(VoteState.SUSPENDED, now)

    def modem_fell(self, now: Instant) -> VoteEvent:
        """The modem's power went. While we wait for it that is no news: it will come back for our vote."""
        self._modem_is_up = False
        self._is_controlled = True
        if self._state is not VoteState.ACTIVE:
            return VoteEvent.NOTHING
        # Differs: the kernel goes on as if it could still transmit, and never suspends again. Dropping the
        # vote is an edge: a modem that lives hears of it, and our next vote will be an edge again.
        if self._is_set:
            self._set_line(False)
        self.statistics.power_loss_count += 1
        self._enter(VoteState.SUSPENDED, now)
        return VoteEvent.LOST

    def modem_vanished(self, now: Instant) -> None:
        """The modem is dead, and owes us nothing any more."""
        self._modem_is_up = False
        self._is_controlled = True
        if self._is_set:
            self._set_line(False)
        self._ack_is_owed = False
        if self._state is not VoteState.SUSPENDED:
            self._enter(VoteState.SUSPENDED, now)
        self._retry_at = None

    def _set_line(self, level: bool) -> None:
        assert level != self._is_set, "a vote that changes nothing is no edge"
        self._is_set = level
        self._ack_is_owed = True
        self.statistics.vote_count += level
        self._outbox.append(SetLine(Line.HOST_VOTE, level))

    def _enter(self, state: VoteState, now: Instant) -> None:
        """The only writer of the state."""
        assert state in LEGAL[self._state], f"{self._state.name} -> {state.name}"
        if self._suspended_since is not None and state is VoteState.ACTIVE:
            self.statistics.wakeup_count += 1
            self.statistics.suspended_ns += now - self._suspended_since
            self._suspended_since = None
        elif self._state is VoteState.ACTIVE:
            self._suspended_since = now
        self._state = state
        self._retry_at = None
        self._wait_deadline = now + self._options.remote_timeout_ns if state in _WAITING else None
        self._idle_since = now if state is VoteState.ACTIVE else None

    def _log(self, event: LogEvent) -> None:
        self._outbox.append(Log(Severity.DEBUG, event))


class PowerChange(Enum):
    """What the modem's power line did since we looked last."""

    NONE = auto()  # a wake-up without an edge
    ROSE = auto()
    FELL = auto()
    CYCLED = auto()  # up, down and up again: everything that was queued is gone
    FLICKERED = auto()  # down, up and down again: there was nothing that we could have used


class ModemPowerLine:
    """The modem's power as its line tells, and our ack of it."""

    def __init__(self, outbox: list[Action], ack_level: bool) -> None:
        self._outbox = outbox
        self._ack_level = ack_level
        self._edge_count = 0

    def probe(self, edge_count: int) -> bool:
        """Start: whether the modem has power now."""
        self._edge_count = edge_count
        return level_of(edge_count)

    @property
    def is_up(self) -> bool:
        return level_of(self._edge_count)

    def changed(self, edge_count: int) -> PowerChange:
        """Differs: the kernel flips its idea of the level at each interrupt, whatever the line says."""
        was_up, edges = self.is_up, edges_between(self._edge_count, edge_count)
        self._edge_count = edge_count
        if not edges:
            return PowerChange.NONE
        if self.is_up == was_up:
            return PowerChange.CYCLED if was_up else PowerChange.FLICKERED
        return PowerChange.ROSE if self.is_up else PowerChange.FELL

    def acknowledge(self) -> None:
        """Toggle our ack. Its meaning is in the edge, so it follows the line's real level, never a memory."""
        self._ack_level = not self._ack_level
        self._outbox.append(SetLine(Line.HOST_ACK, self._ack_level))
