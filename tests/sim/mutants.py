"""Machines that lack one thing each: what the table in test_faults_bite.py puts into the simulation.

A mutant is a function that takes pytest's monkeypatch and takes one piece of handling out of a machine. It is
named after what the machine does no longer.
"""

from collections.abc import Callable
from typing import Any, Final

import pytest

from bamdmux.actions import RegisterNetdev
from bamdmux.bam.lines import COUNT_MASK, level_of
from bamdmux.bam.pipe import PipePeer
from bamdmux.counters import Counters, DropReason
from bamdmux.host.channels import Answer, Channel, Channels
from bamdmux.host.driver import HostDriver
from bamdmux.host.power import HostVote, ModemPowerLine, PowerChange, VoteEvent
from bamdmux.modem.modem import Modem
from bamdmux.modem.network import PASSES
from bamdmux.modem.power import HostVote as VoteSeenByModem
from bamdmux.modem.power import ModemPower, PowerState
from bamdmux.sim.checkers import WatchedOwner
from bamdmux.wire.dmux import BUFFER_BYTES, HEADER_BYTES, LENGTH_FROM_TRANSFER, MAGIC, NOT_DATA

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]

_LENGTH_FFFF: Final = "the length 0xFFFF"
_NO_A2_PC: Final = "the command 4"


def _classify_without(omitted: DropReason | str) -> Callable[..., int]:
    """`wire.dmux.classify`, written out as a list of checks, of which one is missing."""

    def classify(word: int, transfer_bytes: int, max_packet_bytes: int) -> int:
        magic, command = word & 0xFFFF, word >> 24 & 0xFF
        channel, length = word >> 40 & 0xFF, word >> 48
        if length == LENGTH_FROM_TRANSFER and omitted != _LENGTH_FFFF:
            length = transfer_bytes - HEADER_BYTES
        commands = (0, 1, 2) if omitted == _NO_A2_PC else (0, 1, 2, 4)
        of_header = (
            (DropReason.TRUNCATED, transfer_bytes < HEADER_BYTES),
            (DropReason.BAD_MAGIC, magic != MAGIC),
            (DropReason.UNSUPPORTED_CHANNEL, channel > 7),
            (DropReason.UNSUPPORTED_COMMAND, command not in commands),
        )
        of_length = (
            (DropReason.TOO_LONG, length > max_packet_bytes),
            (DropReason.TRUNCATED, length > transfer_bytes - HEADER_BYTES),
            (DropReason.EMPTY, length == 0),
        )
        for reason, is_so in of_header:
            if is_so and reason is not omitted:
                return reason
        if command:
            return NOT_DATA
        for reason, is_so in of_length:
            if is_so and reason is not omitted:
                return reason
        return length

    return classify


def host_check(omitted: DropReason | str) -> Mutant:
    """The host does not check frames for that."""
    return lambda patch: patch.setattr("bamdmux.host.receive.classify", _classify_without(omitted))


def modem_check(omitted: DropReason | str) -> Mutant:
    return lambda patch: patch.setattr("bamdmux.modem.uplink.classify", _classify_without(omitted))


length_ffff = host_check(_LENGTH_FFFF)
open_no_a2_pc = host_check(_NO_A2_PC)


def transferred_length(patch: Patch) -> None:
    """As in the kernel, where nobody knows how much was transferred."""
    reap = WatchedOwner.reap

    def reap_all(self: WatchedOwner) -> tuple[int, int]:
        return reap(self)[0], self.layout.slot_bytes

    patch.setattr(WatchedOwner, "reap", reap_all)


def descriptor_bounds(patch: Patch) -> None:
    def take(self: PipePeer) -> memoryview:
        offset = self._fifo_offset + self._position * 8
        address, size = (
            int.from_bytes(self._memory[offset + a : offset + b], "little") for a, b in ((0, 4), (4, 6))
        )
        return self._memory[address : address + size]

    patch.setattr(PipePeer, "take", take)


def buffer_count(patch: Patch) -> None:
    """The modem believes that there is always a buffer."""
    available = PipePeer.available

    def at_least_one(self: PipePeer) -> int:
        return max(available(self), int(self.layout.slot_bytes == BUFFER_BYTES))  # not of TX

    patch.setattr(PipePeer, "available", at_least_one)


def source_check(patch: Patch) -> None:
    patch.setattr("bamdmux.modem.uplink.check_uplink", lambda *_: PASSES)


# What the modem says of channels


def duplicate_open(patch: Patch) -> None:
    """Every OPEN makes an interface."""

    def opened_again(self: Channels, channel: Channel, is_restart: bool) -> Answer:
        self._outbox.append(RegisterNetdev(channel.index))
        return Answer.NOTHING

    patch.setattr(Channels, "_opened_again", opened_again)


def close_of_a_closed_channel(patch: Patch) -> None:
    """The modem is trusted to close what is open."""
    remote_closed = Channels.remote_closed

    def closed(self: Channels, channel: Channel) -> None:
        assert channel.is_remote_open
        remote_closed(self, channel)

    patch.setattr(Channels, "remote_closed", closed)


def open_after_close(patch: Patch) -> None:
    """What the modem has closed stays closed."""
    remote_opened = Channels.remote_opened

    def opened(self: Channels, channel: Channel, power_up: int) -> Answer:
        if channel.device is not None and not channel.is_remote_open:
            return Answer.NOTHING
        return remote_opened(self, channel, power_up)

    patch.setattr(Channels, "remote_opened", opened)


def restart_of_the_modem(patch: Patch) -> None:
    """As in the kernel: "channel already open", and the modem never hears our OPEN again."""
    patch.setattr(Channels, "_opened_again", lambda *_, **__: Answer.NOTHING)


class _BlackHole:
    def write(self, buffer: memoryview) -> bool:
        return True


def inactive_channels(patch: Patch) -> None:
    """Data for a channel without an interface is taken, and goes nowhere."""
    init = Channels.__init__

    def with_holes(self: Channels, *arguments: Any) -> None:
        init(self, *arguments)
        self.active_devices = [_BlackHole()] * 8  # type: ignore[list-item]

    patch.setattr(Channels, "__init__", with_holes)


# Doorbells and power


def look_again(patch: Patch) -> None:
    """Neither side looks again by itself."""
    patch.setattr(HostDriver, "_look_again", lambda self, now: setattr(self, "_look_again_at", None))
    patch.setattr(Modem, "_look_again", lambda self, now: setattr(self, "_look_again_at", None))


def doorbells_for_nothing(patch: Patch) -> None:
    """Whoever is rung expects something."""
    rang = HostDriver.doorbell_rang

    def expectant(self: HostDriver, pipe: Any, now: int) -> None:
        if pipe.name == "TX" and self._tx.is_open:
            assert self._tx.completed()
        rang(self, pipe, now)

    patch.setattr(HostDriver, "doorbell_rang", expectant)


def arrived_before_the_fall(patch: Patch) -> None:
    """As in the kernel: what was not looked at when the power falls is thrown away."""
    changed, receive = HostDriver.line_changed, HostDriver._receive_what_is_there
    is_in_line_changed = False

    def line_changed(self: HostDriver, *arguments: Any) -> None:
        nonlocal is_in_line_changed
        is_in_line_changed = True
        changed(self, *arguments)
        is_in_line_changed = False

    def receive_what_is_there(self: HostDriver, *arguments: Any) -> None:
        if not is_in_line_changed:
            receive(self, *arguments)

    patch.setattr(HostDriver, "line_changed", line_changed)
    patch.setattr(HostDriver, "_receive_what_is_there", receive_what_is_there)


def a_rise_before_the_ack(patch: Patch) -> None:
    """The host takes for granted that the ack comes before the power that it voted for."""
    vote, ack_changed = HostVote._vote, HostVote.ack_changed
    was_up_at_the_vote: dict[HostVote, bool] = {}

    def remember(self: HostVote, now: int) -> None:
        was_up_at_the_vote[self] = self._modem_is_up
        vote(self, now)

    def changed(self: HostVote, edge_count: int, now: int) -> VoteEvent:
        is_up, self._modem_is_up = self._modem_is_up, was_up_at_the_vote.get(self, False)
        event = ack_changed(self, edge_count, now)
        self._modem_is_up = is_up
        return event

    patch.setattr(HostVote, "_vote", remember)
    patch.setattr(HostVote, "ack_changed", changed)


def waiting_for_power(patch: Patch) -> None:
    """The ack is enough, the modem's power is taken for granted."""
    ack_changed = HostVote.ack_changed

    def changed(self: HostVote, edge_count: int, now: int) -> VoteEvent:
        was_up, self._modem_is_up = self._modem_is_up, True
        event = ack_changed(self, edge_count, now)
        self._modem_is_up = was_up
        return event

    patch.setattr(HostVote, "ack_changed", changed)


def wake_ups_without_an_edge(patch: Patch) -> None:
    """Whoever is told of an ack expects one."""
    ack_changed = HostVote.ack_changed

    def changed(self: HostVote, edge_count: int, now: int) -> VoteEvent:
        assert edge_count != self._ack_edges
        return ack_changed(self, edge_count, now)

    patch.setattr(HostVote, "ack_changed", changed)


def forgiveness(patch: Patch) -> None:
    """As in the kernel: a resume that failed once has failed for good."""
    give_up = HostVote._give_up

    def stick(self: HostVote, now: int) -> VoteEvent:
        event = give_up(self, now)
        self.request = lambda now: False  # type: ignore[method-assign]
        return event

    patch.setattr(HostVote, "_give_up", stick)


def time_outs_of_the_modem(patch: Patch) -> None:
    """The modem waits for the host's ack for ever."""
    patch.setattr("bamdmux.modem.power.ACK_TIMEOUT", 10**18)


def late_acks_of_the_host(patch: Patch) -> None:
    """The modem is sure that an ack comes in time."""
    expire = ModemPower._expire

    def never(self: ModemPower, now: int) -> None:
        assert self._state not in (PowerState.RISING, PowerState.FALLING)
        expire(self, now)

    patch.setattr(ModemPower, "_expire", never)


def acks_that_nobody_owes(patch: Patch) -> None:
    acked = ModemPower.host_acked

    def owed(self: ModemPower, edge_count: int, now: int) -> bool:
        assert self._host_acks_owed
        return acked(self, edge_count, now)

    patch.setattr(ModemPower, "host_acked", owed)


def edge_count_of_the_vote(patch: Patch) -> None:
    """The modem takes each wake-up for a change of the vote."""
    changed = VoteSeenByModem.changed

    def toggled(self: VoteSeenByModem, edge_count: int, now: int) -> None:
        changed(self, self.edge_count + 1 & COUNT_MASK, now)

    patch.setattr(VoteSeenByModem, "changed", toggled)


def edge_count_of_the_power(patch: Patch) -> None:
    """As in the kernel: the idea of the modem's power flips at each interrupt."""

    def toggled(self: ModemPowerLine, edge_count: int) -> PowerChange:
        self._edge_count = self._edge_count + 1 & COUNT_MASK
        return PowerChange.ROSE if level_of(self._edge_count) else PowerChange.FELL

    patch.setattr(ModemPowerLine, "changed", toggled)


def fall_while_voted(patch: Patch) -> None:
    """As in the kernel: the host goes on as if it could still transmit."""
    fell = HostVote.modem_fell

    def ignored(self: HostVote, now: int) -> VoteEvent:
        return VoteEvent.NOTHING if self.state.name == "ACTIVE" else fell(self, now)

    patch.setattr(HostVote, "modem_fell", ignored)


def waking_of_queues(patch: Patch) -> None:
    patch.setattr(Channels, "wake_all", lambda self: None)


def counting(reason: DropReason) -> Mutant:
    """Drops of that reason are not counted."""
    drop = Counters.drop

    def silent(self: Counters, what: DropReason, count: int = 1) -> None:
        if what is not reason:
            drop(self, what, count)

    return lambda patch: patch.setattr(Counters, "drop", silent)


def phase_of(line: str) -> Mutant:
    """A new driver takes that line for low: "vote_level" or "ack_level"."""
    init = HostDriver.__init__

    def forgetful(self: HostDriver, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **{**options, line: False})

    return lambda patch: patch.setattr(HostDriver, "__init__", forgetful)
