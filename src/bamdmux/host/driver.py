"""HostDriver: what Linux's qcom_bam_dmux does, as a machine without a clock, a thread or a file descriptor.

    interface -> TransmitRing -> TX pipe -> modem        with power, which HostVote asks for
    interface <- ReceiveRing  <- RX pipe <- modem        whenever the modem has power

Inputs are calls with `now`; what it wants done is read with `take_actions()` after each batch of inputs; when
it next wants `handle_timeout(now)` is `deadline`. It is composed of parts that do not know one another:
channels.py, power.py (our vote, the modem's power), transmit.py and receive.py (the rings). Here is decided
who acts, in which order.

Where it departs from the kernel on purpose, the line says `Differs:`; docs/differences.md lists them all.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bamdmux.actions import (
    Action,
    Line,
    Log,
    LogEvent,
    LookAtLine,
    Pipe,
    Removed,
    RingDoorbell,
    Serve,
    Severity,
)
from bamdmux.bam.pipe import PipeOwner
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Answer, Channel, Channels
from bamdmux.host.power import HostOptions, HostVote, ModemPowerLine, PowerChange, VoteEvent
from bamdmux.host.receive import ReceiveRing, Rejected
from bamdmux.host.removal import Removal, Stage
from bamdmux.host.transmit import Leftovers, TransmitRing
from bamdmux.netdevice import NetDevice
from bamdmux.timing import MILLISECOND, Instant, earliest
from bamdmux.wire.dmux import Command, Frame

_RING_TX: Final = RingDoorbell(Pipe.TX)
_RING_RX: Final = RingDoorbell(Pipe.RX)

_REJECTION_LOGS: Final = {
    DropReason.BAD_MAGIC: (Severity.ERROR, LogEvent.BAD_MAGIC),
    DropReason.UNSUPPORTED_CHANNEL: (Severity.DEBUG, LogEvent.UNSUPPORTED_CHANNEL),
    DropReason.UNSUPPORTED_COMMAND: (Severity.ERROR, LogEvent.UNSUPPORTED_COMMAND),
    DropReason.INACTIVE_CHANNEL: (Severity.WARNING, LogEvent.INACTIVE_CHANNEL),
    DropReason.TOO_LONG: (Severity.ERROR, LogEvent.TOO_LONG),
    DropReason.TRUNCATED: (Severity.ERROR, LogEvent.TRUNCATED),
    DropReason.EMPTY: (Severity.ERROR, LogEvent.EMPTY),
    DropReason.OVERRUN: (Severity.ERROR, LogEvent.OVERRUN),
}


class HostDriver:
    """The near side of the link.

    Args:
        tx, rx: our ends of the two pipes.
        vote_level, ack_level: levels of our two lines now; not low, if an earlier driver left them so.
    """

    def __init__(
        self,
        tx: PipeOwner,
        rx: PipeOwner,
        *,
        vote_level: bool = False,
        ack_level: bool = False,
        options: HostOptions = HostOptions(),  # noqa: B008 - frozen
    ) -> None:
        self._outbox: list[Action] = []
        self._tx = tx
        self._rx = rx
        self._vote = HostVote(self._outbox, options, vote_level)
        self._modem_power = ModemPowerLine(self._outbox, ack_level)
        self._transmit_ring = TransmitRing(tx)
        self._receive_ring = ReceiveRing(rx)
        self.channels = Channels(self._outbox)
        self.unassigned = Counters()  # frames from the modem that name no channel
        self._register_at: Instant | None = None  # some channel was opened and has no interface yet
        self._power_up_count = 0  # of the modem
        self._removal = Removal(options.remote_timeout_ns)
        self._look_again_ns = options.look_again_ns
        self._look_again_at: Instant | None = None  # while frames are in flight

    def probe(self, modem_power_edges: int, modem_ack_edges: int, now: Instant) -> None:
        """Start; the first call.

        Args:
            modem_power_edges, modem_ack_edges: the counts of the modem's two lines, whatever they are.
        """
        modem_is_up = self._modem_power.probe(modem_power_edges)
        self._vote.probe(modem_ack_edges, modem_is_up, now)
        if modem_is_up:
            self._power_up(now)

    # What the world asks

    @property
    def has_actions(self) -> bool:
        """Whether `take_actions` is worth calling."""
        return bool(self._outbox)

    def take_actions(self) -> list[Action]:
        """What is to be done since the last call, in order."""
        actions = self._outbox.copy()
        self._outbox.clear()
        return actions

    @property
    def deadline(self) -> Instant | None:
        """When `handle_timeout` is wanted; None if nothing is to come by itself."""
        return earliest(self._vote.deadline, self._register_at, self._removal.deadline, self._look_again_at)

    @property
    def is_leaving(self) -> bool:
        """Whether `remove` was called."""
        return self._removal.is_asked

    @property
    def welcome_channels(self) -> Sequence[Channel]:
        """Whose packets `transmit` would read, unless `is_stopped`."""
        return self.channels.welcome() if not self._removal.is_asked else ()

    @property
    def is_stopped(self) -> bool:
        """Whether the ring is full, or too full: no packet is read until it has space again."""
        return self.channels.all_are_stopped or self._transmit_ring.is_short

    @property
    def has_slots_to_spare(self) -> bool:
        """Whether it makes no difference when slots come back, but to the time of our suspend."""
        return self._transmit_ring.is_half_free and not self._removal.is_asked

    @property
    def awaits_slots(self) -> bool:
        """Whether there are frames of which we do not know that they were sent."""
        return self._tx.in_flight > 0

    def wants_packets(self, index: int) -> bool:
        """Whether `transmit` would read packets of this channel's interface; while not, do not poll it."""
        channels = self.channels
        return not channels.all_are_stopped and channels[index].may_transmit and not self.is_leaving

    # From the network stack

    def netdev_registered(self, index: int, device: NetDevice, now: Instant) -> None:
        """The interface that RegisterNetdev asked for exists, and is down."""
        self.channels.registered(self.channels[index], device)
        if self._removal.vote_is_over:
            self.channels.unregister_all()  # it was asked for before we left

    def interface_changed(self, index: int, is_up: bool, now: Instant) -> None:
        """The interface went up or down: OPEN or CLOSE."""
        channel = self.channels[index]
        if not self.channels.interface_changed(channel, is_up) or self.is_leaving:
            return
        if is_up and channel.is_remote_open:
            self._send_open(channel, now)
        elif not is_up:
            self._send_close(channel, now)
            assert channel.device is not None
            self._transmit_ring.discard_from(channel.device, channel.transmitted)

    def mtu_changed(self, index: int, mtu: int) -> None:
        """The interface's MTU: longer packets are not sent."""
        self.channels[index].mtu = mtu

    def transmit(
        self, waiting: Iterable[int], now: Instant, budget: int = 32, next_door: Serve | None = None
    ) -> int:
        """Read packets of the interfaces that have some, each in turn; how many.

        Args:
            waiting: channels whose interfaces have packets. Those that may not transmit are passed over.
            budget: how many packets at most, of all interfaces together.
            next_door: the modem's `serve`, where it is a call away: it takes what we send at once, and the
                ring is used again and again.
        """
        if self._transmit_ring.waiting_commands:
            self._transmit_ring.place_waiting_commands()
        if self._removal.is_asked:
            return 0
        ring, total = self._transmit_ring, 0
        sends = self._vote.is_active and self._modem_power.is_up and self._tx.is_open
        if next_door is None:
            while total < budget:
                limit = budget - total if sends and ring.pumps else min(budget - total, ring.free, ring.batch)
                filled = self._fill(waiting, limit, sends)
                total += filled
                if filled or not ring.free or ring.has_retired:
                    self._push(now)
                if filled < limit or not limit:
                    break
            return total
        # One slot stays free, so that the queues need not be stopped and woken each time.
        while total < budget and (
            filled := self._fill(waiting, min(budget - total, max(ring.free - 1, 1)), sends)
        ):
            total += filled
            self._push(now, next_door)
            self._transmitted(now)
        return total

    def _fill(self, waiting: Iterable[int], limit: int, sends: bool) -> int:
        """Let each channel fill slots in turn, at most `limit` of all; how many."""
        left = limit
        turn = self.channels.in_turn(waiting)
        while turn and left > 0:
            share, one_more = divmod(left, len(turn))
            unserved, turn = turn, []
            for position, channel in enumerate(unserved):
                asked = share + (position < one_more)
                filled = self._transmit_ring.fill_from(channel, asked, sends=sends)
                left -= filled
                if filled == asked:  # it may have more
                    turn.append(channel)
                if position < one_more:  # so that next time it is the others who get one more
                    self.channels.was_served(channel)
        return limit - left

    # To the modem

    def _send_open(self, channel: Channel, now: Instant) -> None:
        channel.is_open_queued = True
        self._transmit_ring.queue_command(Frame(Command.OPEN, channel.index))
        self._push(now)

    def _send_close(self, channel: Channel, now: Instant) -> None:
        if self.channels.close(channel):
            self._transmit_ring.queue_command(Frame(Command.CLOSE, channel.index))
            self._push(now)

    def _push(self, now: Instant, next_door: Serve | None = None) -> None:
        """Something new may be in the ring: send it, or ask for power first."""
        if self._removal.vote_is_over:
            return
        ring = self._transmit_ring
        if ring.waiting_commands:
            ring.place_waiting_commands()
        if ring.has_sent:
            ring.has_sent = False
            self._sent(now, next_door)
        if ring.has_retired:
            ring.has_retired = False
            self._returned(now)
        if not ring.free:
            self.channels.stop_all()
        if ring.pending and self._vote.request(now) and self._modem_power.is_up:
            self._submit(now, next_door)

    def _submit(self, now: Instant, next_door: Serve | None = None) -> None:
        """Hand what is pending to the modem: there is power."""
        if not self._tx.is_open:
            self._tx.open()
        if not self._transmit_ring.pending:
            return
        commands = self._transmit_ring.submit_pending()
        self._tx.publish()
        self._sent(now, next_door)
        for command in commands:
            channel = self.channels[command.channel]
            if command.command is Command.OPEN and channel.is_open_queued and not channel.is_open:
                self.channels.start(channel)

    def _sent(self, now: Instant, next_door: Serve | None) -> None:
        """Frames were published."""
        self._vote.busy()
        if next_door is None:
            if not self._outbox or self._outbox[-1] is not _RING_TX:
                self._outbox.append(_RING_TX)
        else:
            next_door(Pipe.TX, now)
        if self._look_again_at is None and not self._removal.is_asked:
            self._look_again_at = now + self._look_again_ns

    def _open_transmit_pipe(self) -> None:
        if not self._tx.is_open:
            self._tx.open()

    def _transmitted(self, now: Instant) -> None:
        """The modem may be done with some of our slots."""
        if self._tx.is_open and self._transmit_ring.reap():
            self._returned(now)

    def _returned(self, now: Instant) -> None:
        """Slots have come back."""
        is_watched = self._tx.in_flight and not self._removal.is_asked
        self._look_again_at = now + self._look_again_ns if is_watched else None
        self._space_freed()
        self._push(now)
        if self._transmit_ring.is_empty:
            self._vote.idle(now)
        if self._removal.stage is Stage.CLOSING:
            self._continue_removal(now)

    def _look_again(self, now: Instant) -> None:
        """Nothing has come back for long: perhaps a doorbell was lost, theirs or ours."""
        # Differs: the kernel waits for an interrupt. One that is lost with the ring full is the last one: no
        # frame is sent any more, and none completes (bam_dmux_tx_done()).
        self._look_again_at = None
        self._receive_what_is_there(now)
        self._transmitted(now)
        if self._tx.in_flight:
            self._look_again_at = now + self._look_again_ns
            self._outbox.append(_RING_TX)

    def _space_freed(self) -> None:
        """There may be free slots: commands that wait for one come first."""
        if self._transmit_ring.waiting_commands:
            self._transmit_ring.place_waiting_commands()
        if self._transmit_ring.free:
            self.channels.wake_all()

    # From the modem

    def doorbell_rang(self, pipe: Pipe, now: Instant) -> None:
        """The modem is done with entries of a pipe: sent ones of TX, filled ones of RX."""
        if pipe is Pipe.TX:
            self._transmitted(now)
        elif self._rx.is_open:
            self._received(now)
        elif not self.is_leaving:
            # Differs: a modem that wants buffers has power. In the kernel its interrupt says so, once
            # (bam_dmux_pc_irq()).
            self._outbox.append(LookAtLine(Line.MODEM_POWER))

    def serve(self, pipe: Pipe, now: Instant) -> None:
        """As `doorbell_rang`, by somebody who then looks what has come of it, and wants no doorbell."""
        if pipe is Pipe.RX and self._rx.is_open:
            self._receive(now)
            self._rx.publish()
        else:
            self.doorbell_rang(pipe, now)

    def _receive_what_is_there(self, now: Instant) -> None:
        if self._rx.is_open:
            self._received(now)

    def _received(self, now: Instant) -> None:
        if self._receive(now):
            self._rx.publish()
            self._outbox.append(_RING_RX)

    def _receive(self, now: Instant) -> bool:
        """Deliver what has arrived; whether anything has, so that there are buffers to be published."""
        if not self._rx.completed():
            return False
        channels = self.channels
        for arrival in self._receive_ring.drain_to(
            channels.active_devices, channels.received, self.unassigned
        ):
            if isinstance(arrival, Rejected):
                self._log_rejected(arrival)
            elif arrival.command is Command.CLOSE:
                channels.remote_closed(channels[arrival.channel])
            else:
                self._remote_opened(arrival, now)
        return True

    def _remote_opened(self, frame: Frame, now: Instant) -> None:
        """The modem announces a channel. That is not answered; our own OPEN goes with the interface."""
        channel = self.channels[frame.channel]
        answer = self.channels.remote_opened(channel, self._power_up_count)
        if answer is Answer.REGISTER and not self.is_leaving:
            # As the kernel's work item: once this batch of frames is handled.
            self._register_at = now
        elif answer is Answer.OPEN and not self.is_leaving:
            self._send_open(channel, now)
        if frame.command is Command.OPEN_NO_A2_PC:
            self._act_on(self._vote.power_control_ended(now), now)

    def _log_rejected(self, rejected: Rejected) -> None:
        if rejected.reason is DropReason.INACTIVE_CHANNEL and self.is_leaving:
            return  # the interface has just gone: no news
        severity, event = _REJECTION_LOGS[rejected.reason]
        self._log(severity, event, rejected.header_word.to_bytes(8, "little").hex())

    # Power

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        """A line of the modem's moved, or may have: `edge_count` is what its word says now."""
        if self._removal.is_done:
            return
        if line is Line.MODEM_ACK:
            self._act_on(self._vote.ack_changed(edge_count, now), now)
            return
        assert line is Line.MODEM_POWER, f"{line} is ours"
        change = self._modem_power.changed(edge_count)  # first: what is sent in answer must not be sent now
        # Differs: bam_dmux_power_off() loses what has arrived and was not looked at yet. Here a line may
        # overtake a doorbell, and a modem announces its channels only once.
        self._receive_what_is_there(now)
        if change is not PowerChange.NONE:
            self._log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, int(self._modem_power.is_up))
        if change is PowerChange.FLICKERED:
            self._modem_power.acknowledge()
            self._modem_power.acknowledge()
        if change in (PowerChange.FELL, PowerChange.CYCLED):
            self._power_down(now)
        if change in (PowerChange.ROSE, PowerChange.CYCLED) and not self._removal.is_done:
            self._power_up(now)

    def _power_up(self, now: Instant) -> None:
        self._power_up_count += 1
        self._receive_ring.open()
        self._rx.publish()
        self._outbox.append(_RING_RX)
        self._modem_power.acknowledge()
        self._act_on(self._vote.modem_rose(now), now)
        self._push(now)  # commands that it did not take when it was away

    def _power_down(self, now: Instant) -> None:
        if self._tx.is_open:
            self._transmit_ring.reap()  # what arrived did arrive
        self._release_pipes()
        self._modem_power.acknowledge()
        self._act_on(self._vote.modem_fell(now), now)
        if self._removal.stage is Stage.WAITING_FOR_MODEM:
            self._finish_removal(now)

    def modem_vanished(self, now: Instant) -> None:
        """The modem has died, and could not even lower its line; the world knows by other means."""
        if self._removal.is_done:
            return
        self._receive_what_is_there(now)  # what it said before it died
        self._transmitted(now)
        self._release_pipes()
        self._vote.modem_vanished(now)
        self.channels.modem_vanished()
        self._count_lost(self._transmit_ring.take_submitted(), DropReason.LOST_IN_FLIGHT)
        self._count_lost(self._transmit_ring.take_pending(), DropReason.LOST_IN_FLIGHT)
        self._transmit_ring.forget_commands()
        self._space_freed()
        if self._removal.vote_is_over:
            self._finish_removal(now)
        elif self.is_leaving:
            self._drop_vote(now)

    def _release_pipes(self) -> None:
        self._look_again_at = None
        for pipe in (self._tx, self._rx):
            if pipe.is_open:
                pipe.terminate()
                pipe.close()

    def handle_timeout(self, now: Instant) -> None:
        """A deadline has passed; early calls do no harm."""
        if self._register_at is not None and now >= self._register_at:
            self._register_at = None
            self.channels.ask_to_register()
        if self._look_again_at is not None and now >= self._look_again_at:
            self._look_again(now)
        self._act_on(self._vote.handle_timeout(now), now)
        if self._removal.has_timed_out(now):
            self._removal_timed_out(now)

    def _act_on(self, event: VoteEvent, now: Instant) -> None:
        match event:
            case VoteEvent.WOKE:
                self._woke(now)
            case VoteEvent.FAILED:
                self._give_up(self._transmit_ring.take_pending(), DropReason.RESUME_FAILED)
                self._resume_failed(now)
            case VoteEvent.LOST:
                self._give_up(self._transmit_ring.take_submitted(), DropReason.LOST_IN_FLIGHT)
                self._push(now)  # commands are sent again
            case VoteEvent.RETRY:
                self._space_freed()
                self._push(now)

    def _woke(self, now: Instant) -> None:
        self._open_transmit_pipe()
        if packet_count := self._transmit_ring.pending_packets:
            self._log(Severity.DEBUG, LogEvent.SENDING_DEFERRED, packet_count)
        self._submit(now)
        if self._removal.stage is Stage.WAKING:
            self._close_interfaces(now)

    def _resume_failed(self, now: Instant) -> None:
        if self._removal.stage is Stage.WAKING:
            self._drop_vote(now)
            return
        # Differs: the kernel waits for an interrupt. If that of a rise is lost and the modem stays up, for it
        # sees a new vote before it has fallen, there is never another one (bam_dmux_pc_irq()).
        self._outbox.append(LookAtLine(Line.MODEM_POWER))
        if self._transmit_ring.waiting_commands:
            self._vote.retry_later(now)

    def _give_up(self, leftovers: Leftovers, reason: DropReason) -> None:
        """Packets are lost and counted; commands never are."""
        event = LogEvent.POWER_LOST if reason is DropReason.LOST_IN_FLIGHT else LogEvent.RESUME_TIMED_OUT
        self._log(Severity.WARNING, event, len(leftovers.packets))
        self._count_lost(leftovers, reason)
        self._transmit_ring.return_commands(leftovers.commands)
        self.channels.wake_all()

    def _count_lost(self, leftovers: Leftovers, reason: DropReason) -> None:
        for index, length in leftovers.packets:
            self.channels[index].transmitted.take_back(length, reason)

    # Removal

    def remove(self, now: Instant) -> None:
        """Let go of everything in order: CLOSEs, interfaces, vote, power. `Removed` is the last action."""
        assert not self.is_leaving, "asked for once"
        self._removal.enter(Stage.WAKING, now)
        self._register_at = None
        self._look_again_at = None  # from here on each wait has a bound
        # The driver core wakes a device before it takes its driver away.
        if self._vote.request(now):
            self._close_interfaces(now)

    def _close_interfaces(self, now: Instant) -> None:
        self._removal.enter(Stage.CLOSING, now)
        for channel in self.channels:
            if channel.is_up or channel.is_open_queued:  # or went down while we woke the modem
                self._send_close(channel, now)
        self._continue_removal(now)

    def _continue_removal(self, now: Instant) -> None:
        if not self._transmit_ring.waiting_commands:
            self._drop_vote(now)

    def _drop_vote(self, now: Instant) -> None:
        self.channels.unregister_all()
        self._vote.drop(now)
        self._removal.enter(Stage.WAITING_FOR_MODEM, now)
        if not self._rx.is_open:
            self._finish_removal(now)

    def _removal_timed_out(self, now: Instant) -> None:
        if self._removal.stage is Stage.CLOSING:
            self._drop_vote(now)
            return
        self._log(Severity.ERROR, LogEvent.REMOVE_TIMED_OUT)
        self._finish_removal(now)

    def _finish_removal(self, now: Instant) -> None:
        if self._tx.is_open:
            self._transmit_ring.reap()  # what arrived did arrive
        self._release_pipes()
        self._count_lost(self._transmit_ring.take_submitted(), DropReason.LOST_IN_FLIGHT)
        self._removal.enter(Stage.DONE, now)
        self._outbox.append(Removed())

    # Saying

    def status(self, now: Instant) -> dict[str, object]:
        """For JSON: power, and each channel that has an interface."""
        statistics = self._vote.statistics
        return {
            "power": {
                "vote": self._vote.state.name.lower(),
                "modem_up": self._rx.is_open,  # not what its line says: that stays when a modem dies
                "votes": statistics.vote_count,
                "acks": statistics.ack_count,
                "wakeups": statistics.wakeup_count,
                "failed_resumes": statistics.failed_resume_count,
                "power_losses": statistics.power_loss_count,
                "suspended_ms": self._vote.suspended_ns(now) // MILLISECOND,
            },
            "channels": {
                str(channel.index): channel.as_dict()
                for channel in self.channels
                if channel.device is not None
            },
            "unassigned": self.unassigned.as_dict(),
        }

    def _log(self, severity: Severity, event: LogEvent, detail: int | str = "") -> None:
        self._outbox.append(Log(severity, event, detail))
