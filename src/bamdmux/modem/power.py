"""When the modem has power: what the host votes, and what we do about it.

    HostVote     each change of HOST_VOTE is answered by a change of MODEM_ACK, `ack_delay` later
    ModemPower   DOWN -> RISING -> UP -> FALLING -> DOWN, shown to the host on MODEM_POWER

We rise when the host votes (its ack comes first) or when we have something to send, and are UP once the host
has acked that: only then has it queued buffers. We collapse when neither side wants power any more, and do
not rise again before the host has acked that too: it takes its pipes apart and builds them anew, and a frame
sent meanwhile would be lost. An ack that does not come is waited for 2 s.

Both sides ack by changing a line, so an ack is an edge and its level means nothing. Source: protocol.md
section 4; bam_dmux_pc_vote(), bam_dmux_pc_irq() and bam_dmux_runtime_resume() of Linux 6.1 for what a host
expects.

It sends no frames and knows no channels.
"""

from enum import Enum, unique
from typing import Final

from bamdmux.actions import Action, Line, Log, LogEvent, SetLine, Severity
from bamdmux.bam.lines import edges_between, level_of
from bamdmux.modem.profiles import Profile
from bamdmux.timing import SECOND, Duration, Instant, earliest

ACK_TIMEOUT: Final[Duration] = 2 * SECOND  # what the host grants us too, BAM_DMUX_REMOTE_TIMEOUT


@unique
class PowerState(Enum):
    """Where MODEM_POWER stands, and whether the host has acked that."""

    DOWN = "down"
    RISING = "rising"  # the line is up, the host has yet to queue buffers and ack
    UP = "up"
    FALLING = "falling"  # the line is down, the host has yet to let go of its pipes and ack


LEGAL: Final = {
    PowerState.DOWN: {PowerState.RISING},
    PowerState.RISING: {PowerState.UP, PowerState.FALLING},  # falling: no ack in time, or a crash
    PowerState.UP: {PowerState.FALLING},
    PowerState.FALLING: {PowerState.DOWN},  # acked, or given up
}


class HostVote:
    """The host's vote, and the acks that we owe for it."""

    def __init__(self, ack_delay_ns: Duration, outbox: list[Action]) -> None:
        self._ack_delay_ns = ack_delay_ns
        self._outbox = outbox
        self._ack_level = False
        self._is_answering = False  # a modem that is off, or has crashed, acks nothing
        self.edge_count = 0
        self.ack_count = 0
        self.acks_owed = 0  # 0 to 2
        self.deadline: Instant | None = None

    @property
    def is_on(self) -> bool:
        return level_of(self.edge_count)

    @property
    def is_settled(self) -> bool:
        """Every change of the vote was acked."""
        return self.acks_owed == 0

    def adopt(self, edge_count: int, ack_level: bool) -> None:
        self.edge_count = edge_count
        self._ack_level = ack_level
        self.acks_owed = int(self.is_on != ack_level)

    def start(self, now: Instant) -> None:
        """Answer from now on, first of all what was asked meanwhile."""
        self._is_answering = True
        self._arm(now)

    def stop(self) -> None:
        self._is_answering = False
        self.deadline = None

    def changed(self, edge_count: int, now: Instant) -> None:
        edges = edges_between(self.edge_count, edge_count)
        self.edge_count = edge_count
        owed = self.acks_owed + edges
        # One ack for each edge would let the host make us write for as long as it likes. What counts is that
        # there is one, and that the two lines keep step.
        self.acks_owed = owed if owed <= 2 else 2 - owed % 2
        self._arm(now)

    def handle_timeout(self, now: Instant) -> bool:
        """Ack one change if it is time; whether that was the last one owed."""
        if self.deadline is None or now < self.deadline:
            return False
        self._ack_level = not self._ack_level
        self._outbox.append(SetLine(Line.MODEM_ACK, self._ack_level))
        self.ack_count += 1
        self.acks_owed -= 1
        self.deadline = None
        self._arm(now)
        return self.is_settled

    def _arm(self, now: Instant) -> None:
        if self.acks_owed and self._is_answering and self.deadline is None:
            self.deadline = now + self._ack_delay_ns


class ModemPower:
    """Our own power, and in `vote` the host's reason for it. ``outbox`` takes what we want done."""

    def __init__(self, profile: Profile, outbox: list[Action]) -> None:
        self._profile = profile
        self._outbox = outbox
        self.vote = HostVote(profile.ack_delay_ns, outbox)
        self.is_booted = False
        self.is_up = False  # frames may be sent: the host has acked our power
        self._state = PowerState.DOWN
        self._deadline: Instant | None = None  # of the state that we are in
        self._is_wished = False  # something waits in the network; until power came, or the host failed us
        self._is_held = False  # frames wait to be sent
        self._active_until: Instant = 0  # the last reason to stay up that we know the end of
        self._host_ack_edges = 0
        self._host_acks_owed = 0  # 0 to 2; two if a rise was given up before it was acked
        self._up_since: Instant | None = None
        self._up_total: Duration = 0
        self.rise_count = 0
        self.host_ack_count = 0
        self.ack_timeout_count = 0

    @property
    def state(self) -> PowerState:
        return self._state

    @property
    def is_asleep(self) -> bool:
        """DOWN, and nobody has asked for anything else."""
        return self.is_booted and self._state is PowerState.DOWN and self._deadline is None

    @property
    def deadline(self) -> Instant | None:
        return earliest(self.vote.deadline, self._deadline)

    def time_up(self, now: Instant) -> Duration:
        """How long we were UP, all in all."""
        return self._up_total + (0 if self._up_since is None else now - self._up_since)

    # -- what happens to us

    def adopt(self, *, power_level: bool, ack_level: bool, vote_edges: int, host_ack_edges: int) -> None:
        """Begin with the lines as they are, of which two are what an earlier modem left. Before `boot`."""
        assert not self.is_booted, "the modem is running"
        self._state = PowerState.UP if power_level else PowerState.DOWN
        self._host_ack_edges = host_ack_edges
        self.vote.adopt(vote_edges, ack_level)

    def boot(self, now: Instant) -> None:
        assert not self.is_booted, "the modem is running"
        self.is_booted = True
        self.vote.start(now)
        if self._state is PowerState.UP:
            self._enter(PowerState.FALLING, now)  # whoever raised it is dead, and so are the host's pipes
        self._schedule(now)

    def crash(self, now: Instant) -> None:
        """Fall at once. MODEM_ACK stays: an edge of it would tell the host that we saw its vote."""
        self.is_booted = self._is_wished = self._is_held = False
        self.vote.stop()
        if self._state in (PowerState.RISING, PowerState.UP):
            self._enter(PowerState.FALLING, now)
        self._schedule(now)

    def vote_changed(self, edge_count: int, now: Instant) -> None:
        self.vote.changed(edge_count, now)
        self._schedule(now)

    def host_acked(self, edge_count: int, now: Instant) -> bool:
        """HOST_ACK has changed; whether we came UP by that."""
        edges = edges_between(self._host_ack_edges, edge_count)
        self._host_ack_edges = edge_count
        self.host_ack_count += edges
        if not edges or not self._host_acks_owed:
            return False
        self._host_acks_owed = max(0, self._host_acks_owed - edges)
        if not self._host_acks_owed:
            is_rise = self._state is PowerState.RISING
            self._enter(PowerState.UP if is_rise else PowerState.DOWN, now)
            self._schedule(now)
            return is_rise
        return False

    def wish(self, now: Instant) -> None:
        """Something waits for us in the network."""
        if self.is_asleep:
            self._is_wished = True
            self._schedule(now)

    def hold(self, is_held: bool, now: Instant) -> None:
        """Whether frames wait to be sent: reason to rise, and not to collapse."""
        if is_held != self._is_held:
            self._is_held = is_held
            self._active_until = max(self._active_until, now)
            self._schedule(now)

    def sent(self, now: Instant) -> None:
        """Frames went down to the host."""
        self._active_until = now + self._profile.inactivity_ns
        self._schedule(now)

    def handle_timeout(self, now: Instant) -> None:
        """Do what is due."""
        if self.vote.handle_timeout(now):
            self._active_until = max(self._active_until, now)  # a vote lasts until we have acked its end
        if self._deadline is not None and now >= self._deadline:
            self._expire(now)
        self._schedule(now)

    # -- what we do about it

    def _expire(self, now: Instant) -> None:
        match self._state:
            case PowerState.DOWN:
                self._enter(PowerState.RISING, now)
            case PowerState.RISING:  # perhaps the host is not there yet; a new edge is what it will look for
                self.ack_timeout_count += 1
                self._enter(PowerState.FALLING, now)
            case PowerState.UP:
                self._enter(PowerState.FALLING, now)
            case _:  # FALLING; an ack that comes later was for nothing
                self.ack_timeout_count += 1
                self._host_acks_owed = 0
                self._enter(PowerState.DOWN, now)

    def _enter(self, state: PowerState, now: Instant) -> None:
        assert state in LEGAL[self._state], f"{self._state} -> {state}"
        change = f"{self._state.value} -> {state.value}"
        self._outbox.append(Log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, change))
        self._up_total, self._up_since = self.time_up(now), None
        self._state = state
        self.is_up = self.is_booted and state is PowerState.UP
        self._deadline = None
        match state:
            case PowerState.RISING | PowerState.FALLING:
                self._outbox.append(SetLine(Line.MODEM_POWER, state is PowerState.RISING))
                self._host_acks_owed += 1
                self._deadline = now + ACK_TIMEOUT
                self.rise_count += state is PowerState.RISING
            case PowerState.UP:
                self._up_since = now
                self._active_until = now + self._profile.inactivity_ns  # what waits for us needs time to come
        if state is not PowerState.RISING:
            self._is_wished = False

    def _schedule(self, now: Instant) -> None:
        """State when we leave DOWN or UP, from what is wanted now; the other two wait for the host alone."""
        if self._state is PowerState.DOWN:
            if not self._wants_power():
                self._deadline = None
            elif self._deadline is None:
                self._deadline = now + self._profile.rise_delay_ns
        elif self._state is PowerState.UP:
            stays = self.vote.is_on or not self.vote.is_settled or self._is_held
            self._deadline = None if stays else self._active_until + self._profile.collapse_delay_ns

    def _wants_power(self) -> bool:
        is_voted = self.vote.is_on and self.vote.is_settled  # the ack comes before the power
        return self.is_booted and (is_voted or self._is_wished or self._is_held)
