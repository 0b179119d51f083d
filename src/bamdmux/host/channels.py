"""What the host knows of each channel: what the modem said, what its interface is, what we told the modem.

Three facts that move on their own: the modem has the channel open or not; the interface exists and is up or
not; our OPEN has gone out or not. Packets may be read only when all three agree, and the ring has space: it
is shared, so all interfaces are stopped and woken together.

Sources: bam_dmux_cmd_open(), bam_dmux_cmd_close(), bam_dmux_netdev_open(), bam_dmux_tx_stop_queues() of
drivers/net/wwan/qcom_bam_dmux.c in Linux 6.1.

It sends nothing: that an OPEN is due is a return value.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from bamdmux.actions import (
    Action,
    AttachNetdev,
    DetachNetdev,
    Log,
    LogEvent,
    RegisterNetdev,
    Severity,
    StartQueue,
    StopQueue,
    UnregisterNetdev,
    WakeQueue,
)
from bamdmux.counters import Counters
from bamdmux.netdevice import NetDevice
from bamdmux.wire.dmux import CHANNEL_COUNT


@dataclass(slots=True)
class Channel:
    """One channel."""

    index: int
    # what the modem said
    is_remote_open: bool = False
    opened_in_power_up: int = 0  # the power-up of the modem in which its OPEN came, counted from the start
    # its interface
    device: NetDevice | None = None
    is_up: bool = False
    mtu: int = 1500
    # what we told the modem
    is_open_queued: bool = False  # the last command for it, sent or still waiting, is an OPEN
    is_open: bool = False  # that OPEN was handed to the pipe: packets may follow
    # the interface's queue, as the kernel has one
    queue_is_stopped: bool = False

    transmitted: Counters = field(default_factory=Counters)
    received: Counters = field(default_factory=Counters)

    @property
    def may_transmit(self) -> bool:
        """Apart from whether the ring has space."""
        return self.is_open and self.is_up and self.is_remote_open

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "interface": f"wwan{self.index}",
            "up": self.is_up,
            "attached": self.is_remote_open,
            "open": self.is_open,
            "mtu": self.mtu,
            "transmitted": self.transmitted.as_dict(),
            "received": self.received.as_dict(),
        }


# What a ring that fills up and empties asks for, thousands of times a second: made once.
_QUEUES_STOPPED: Final = Log(Severity.DEBUG, LogEvent.QUEUES_STOPPED)
_QUEUES_WOKEN: Final = Log(Severity.DEBUG, LogEvent.QUEUES_WOKEN)
_STOP_QUEUE: Final = [StopQueue(channel) for channel in range(CHANNEL_COUNT)]
_WAKE_QUEUE: Final = [WakeQueue(channel) for channel in range(CHANNEL_COUNT)]


class Answer(Enum):
    """What is due after the modem has opened a channel."""

    NOTHING = auto()
    REGISTER = auto()  # it has no interface yet
    OPEN = auto()  # its interface is up, and the modem is to hear so


class Channels:
    """All channels, and the queues of their interfaces."""

    def __init__(self, outbox: list[Action]) -> None:
        self._outbox = outbox
        self._channels = [Channel(index) for index in range(CHANNEL_COUNT)]
        self._first = 0  # whose turn it is to transmit first
        self.all_are_stopped = False  # the ring is full
        # What a ring that fills up and empties asks for again and again; None: some channel has changed.
        self._welcome: list[Channel] | None = None
        self._flowing: list[Channel] | None = None  # those whose queues are not stopped
        # Read by the receive ring for every frame, hence lists.
        self.received = [channel.received for channel in self._channels]
        self.active_devices: list[NetDevice | None] = [None] * CHANNEL_COUNT  # of the interfaces that are up

    def __getitem__(self, index: int) -> Channel:
        return self._channels[index]

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels)

    def in_turn(self, waiting: Iterable[int]) -> list[Channel]:
        """Those of `waiting` that may transmit now, the one whose turn it is first."""
        channels = [self._channels[index] for index in waiting]
        turn = [channel for channel in channels if channel.may_transmit] if not self.all_are_stopped else []
        if len(turn) > 1:
            turn.sort(key=lambda channel: (channel.index - self._first) % CHANNEL_COUNT)
        return turn

    def welcome(self) -> list[Channel]:
        """Those that may transmit, whether the ring is full or not; the same list while it is the same."""
        if self._welcome is None:
            self._welcome = [channel for channel in self._channels if channel.may_transmit]
        return self._welcome

    def _changed(self) -> None:
        self._welcome = self._flowing = None

    def was_served(self, channel: Channel) -> None:
        """The next turn begins behind this one."""
        self._first = channel.index + 1

    # The modem opens and closes

    def remote_opened(self, channel: Channel, power_up: int) -> Answer:
        """The modem announces a channel.

        Args:
            power_up: which power-up of the modem this is.
        """
        self._changed()
        self._log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, channel)
        was_open, is_later = channel.is_remote_open, channel.opened_in_power_up != power_up
        channel.is_remote_open, channel.opened_in_power_up = True, power_up
        if was_open:
            return self._opened_again(channel, is_restart=is_later)
        if channel.device is None:
            return Answer.REGISTER
        self._outbox.append(AttachNetdev(channel.index))
        if not channel.is_up:
            return Answer.NOTHING
        if channel.is_open and is_later:  # it may have restarted since it closed the channel
            channel.is_open = False
            return Answer.OPEN
        if not channel.is_open_queued:  # it came up while the modem had the channel closed
            return Answer.OPEN
        if channel.is_open and not self.all_are_stopped:
            self._wake(channel)
        return Answer.NOTHING

    def _opened_again(self, channel: Channel, is_restart: bool) -> Answer:
        if not is_restart:
            self._log(Severity.WARNING, LogEvent.ALREADY_OPEN, channel)
            return Answer.NOTHING
        # Differs: firmware announces its channels when it starts. One that was announced before an earlier
        # power-down belonged to a modem that is gone, and our OPEN with it; the kernel sends no other.
        self._log(Severity.WARNING, LogEvent.REOPENED, channel)
        if not channel.is_up or not channel.is_open:
            return Answer.NOTHING
        channel.is_open = False
        self.stop(channel)
        return Answer.OPEN

    def remote_closed(self, channel: Channel) -> None:
        """The modem closes a channel: its interface stays, without carrier."""
        self._changed()
        self._log(Severity.DEBUG, LogEvent.CHANNEL_CLOSED, channel)
        if not channel.is_remote_open:
            self._log(Severity.ERROR, LogEvent.NOT_OPEN, channel)
            return
        channel.is_remote_open = False
        self._detach(channel)

    def modem_vanished(self) -> None:
        """Every channel of a dead modem is closed, and our OPENs are void; its successor begins anew."""
        self._changed()
        for channel in self._channels:
            channel.is_open = channel.is_open_queued = False
            if channel.is_remote_open:
                channel.is_remote_open = False
                self._detach(channel)

    def _detach(self, channel: Channel) -> None:
        if channel.device is not None:
            self._outbox.append(DetachNetdev(channel.index))
            if channel.is_up:
                self.stop(channel)

    # Interfaces come and go

    def ask_to_register(self) -> None:
        """Ask for the interfaces that are missing, in the order of channels."""
        for channel in self._channels:
            if channel.is_remote_open and channel.device is None:
                self._outbox.append(RegisterNetdev(channel.index))

    def registered(self, channel: Channel, device: NetDevice) -> None:
        """The interface exists, and is down."""
        self._changed()
        channel.device = device
        if not channel.is_remote_open:  # closed in the meantime
            self._outbox.append(DetachNetdev(channel.index))

    def interface_changed(self, channel: Channel, is_up: bool) -> bool:
        """The interface may have gone up or down; whether it did."""
        self._changed()
        if channel.device is None or channel.is_up == is_up:
            return False
        channel.is_up = is_up
        self.active_devices[channel.index] = channel.device if is_up else None
        return True

    def unregister_all(self) -> None:
        """Every interface is to go."""
        self._changed()
        for channel in self._channels:
            if channel.device is not None:
                self._outbox.append(UnregisterNetdev(channel.index))
                channel.device = self.active_devices[channel.index] = None

    # Queues

    def start(self, channel: Channel) -> None:
        """Our OPEN has gone out: packets may follow."""
        self._changed()
        channel.is_open = True
        # Differs: the kernel starts the queue even if the OPEN took the last slot. Here it waits to be woken.
        channel.queue_is_stopped = self.all_are_stopped
        if not self.all_are_stopped:
            self._outbox.append(StartQueue(channel.index))

    def close(self, channel: Channel) -> bool:
        """The interface went down: read no more of its packets; whether the modem has to be told."""
        self.stop(channel)
        was_queued = channel.is_open_queued
        channel.is_open = channel.is_open_queued = False
        return was_queued

    def stop(self, channel: Channel) -> None:
        """Read no more packets of this interface."""
        self._changed()
        channel.queue_is_stopped = True
        self._outbox.append(_STOP_QUEUE[channel.index])

    def stop_all(self) -> None:
        """The ring is full."""
        if self.all_are_stopped:
            return
        self.all_are_stopped = True
        self._outbox.append(_QUEUES_STOPPED)
        if self._flowing is None:
            self._flowing = [
                each for each in self._channels if each.device is not None and not each.queue_is_stopped
            ]
        for channel in self._flowing:
            channel.queue_is_stopped = True
            self._outbox.append(_STOP_QUEUE[channel.index])
        self._flowing = []

    def wake_all(self) -> None:
        """The ring has space again."""
        if not self.all_are_stopped:
            return
        self.all_are_stopped = False
        self._outbox.append(_QUEUES_WOKEN)
        is_all_else_stopped = self._flowing is not None
        for channel in self.welcome():  # Differs: the kernel wakes detached interfaces too
            channel.queue_is_stopped = False
            self._outbox.append(_WAKE_QUEUE[channel.index])
        self._flowing = self._welcome if is_all_else_stopped else None

    def _wake(self, channel: Channel) -> None:
        self._changed()
        channel.queue_is_stopped = False
        self._outbox.append(_WAKE_QUEUE[channel.index])

    def _log(self, severity: Severity, event: LogEvent, channel: Channel) -> None:
        self._outbox.append(Log(severity, event, channel.index))
