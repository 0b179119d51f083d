"""What the host knows of each channel, fed by hand."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from bamdmux.counters import DropReason
from bamdmux.host.channels import Answer, Channels
from bamdmux.netdevice import QueueDevice


class Rig:
    """All channels and their outbox."""

    def __init__(self) -> None:
        self.outbox: list[Action] = []
        self.channels = Channels(self.outbox)

    def taken(self) -> list[Action]:
        actions = self.outbox.copy()
        self.outbox.clear()
        return actions

    def asked(self) -> list[Action]:
        """What was asked for since the last call, apart from logs."""
        return [action for action in self.taken() if not isinstance(action, Log)]

    def logged(self) -> list[LogEvent]:
        return [action.event for action in self.taken() if isinstance(action, Log)]

    def remote_opened(self, index: int, power_up: int = 1) -> Answer:
        return self.channels.remote_opened(self.channels[index], power_up)

    def remote_closed(self, index: int) -> None:
        self.channels.remote_closed(self.channels[index])


def registered(*indexes: int) -> Rig:
    """The modem has opened these channels in its first power-up, their interfaces exist and are down."""
    rig = Rig()
    for index in indexes:
        rig.remote_opened(index)
        rig.channels.registered(rig.channels[index], QueueDevice())
    rig.taken()
    return rig


def running(*indexes: int) -> Rig:
    """Likewise, but the interfaces are up and our OPENs have gone out."""
    rig = registered(*indexes)
    for index in indexes:
        assert rig.channels.interface_changed(rig.channels[index], is_up=True)
        rig.channels[index].is_open_queued = True
        rig.channels.start(rig.channels[index])
    rig.taken()
    return rig


# -- the modem opens and closes


def test_there_are_eight_channels_that_nobody_has_opened() -> None:
    channels = Rig().channels
    assert [channel.index for channel in channels] == list(range(8))
    assert not any(channel.is_remote_open or channel.may_transmit for channel in channels)


def test_an_interface_begins_with_the_mtu_of_an_ethernet() -> None:
    assert Rig().channels[0].mtu == 1500


def test_the_first_open_of_a_channel_asks_for_an_interface() -> None:
    rig = Rig()
    assert rig.remote_opened(3) is Answer.REGISTER
    assert rig.taken() == [Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 3)]


def test_interfaces_are_asked_for_in_the_order_of_channels_and_once() -> None:
    rig = registered(1)
    rig.remote_opened(5)
    rig.remote_opened(2)
    rig.taken()
    rig.channels.ask_to_register()
    assert rig.asked() == [RegisterNetdev(2), RegisterNetdev(5)]


def test_a_channel_closed_before_its_interface_was_asked_for_gets_none() -> None:
    rig = Rig()
    rig.remote_opened(2)
    rig.remote_closed(2)
    rig.taken()
    rig.channels.ask_to_register()
    assert rig.asked() == []


def test_an_interface_whose_channel_was_closed_meanwhile_begins_detached() -> None:
    rig = Rig()
    rig.remote_opened(2)
    rig.remote_closed(2)
    rig.taken()
    rig.channels.registered(rig.channels[2], QueueDevice())
    assert rig.taken() == [DetachNetdev(2)]


def test_a_close_detaches_the_interface_and_stops_its_queue() -> None:
    rig = running(0)
    rig.remote_closed(0)
    assert rig.taken() == [
        Log(Severity.DEBUG, LogEvent.CHANNEL_CLOSED, 0),
        DetachNetdev(0),
        StopQueue(0),
    ]
    assert not rig.channels[0].may_transmit


def test_a_close_of_a_channel_whose_interface_is_down_only_detaches_it() -> None:
    rig = registered(0)
    rig.remote_closed(0)
    assert rig.asked() == [DetachNetdev(0)]


def test_a_close_of_a_closed_channel_is_an_error_and_changes_nothing() -> None:
    rig = Rig()
    rig.remote_closed(4)
    assert rig.taken() == [
        Log(Severity.DEBUG, LogEvent.CHANNEL_CLOSED, 4),
        Log(Severity.ERROR, LogEvent.NOT_OPEN, 4),
    ]


def test_an_interface_that_is_detached_is_not_detached_again() -> None:
    rig = registered(0)
    rig.remote_closed(0)
    rig.taken()
    rig.remote_closed(0)
    assert rig.asked() == []


def test_opening_again_attaches_the_interface_and_wakes_its_queue() -> None:
    rig = running(0)
    rig.remote_closed(0)
    rig.taken()
    assert rig.remote_opened(0) is Answer.NOTHING
    assert rig.asked() == [AttachNetdev(0), WakeQueue(0)]
    assert rig.channels[0].may_transmit


def test_opening_again_attaches_an_interface_that_is_down_and_no_more() -> None:
    rig = registered(0)
    rig.remote_closed(0)
    rig.taken()
    assert rig.remote_opened(0) is Answer.NOTHING
    assert rig.asked() == [AttachNetdev(0)]


def test_an_interface_that_came_up_while_the_channel_was_closed_sends_its_open_then() -> None:
    rig = registered(0)
    rig.remote_closed(0)
    rig.channels.interface_changed(rig.channels[0], is_up=True)
    rig.taken()
    assert rig.remote_opened(0) is Answer.OPEN
    assert rig.asked() == [AttachNetdev(0)]


def test_opening_again_does_not_wake_a_queue_while_the_ring_is_full() -> None:
    rig = running(0)
    rig.remote_closed(0)
    rig.channels.stop_all()
    rig.taken()
    rig.remote_opened(0)
    assert rig.asked() == [AttachNetdev(0)]
    rig.channels.wake_all()
    assert rig.asked() == [WakeQueue(0)]


def test_opening_again_does_not_wake_a_queue_whose_open_still_waits() -> None:
    rig = registered(0)
    rig.channels.interface_changed(rig.channels[0], is_up=True)
    rig.channels[0].is_open_queued = True
    rig.remote_closed(0)
    rig.taken()
    assert rig.remote_opened(0) is Answer.NOTHING
    assert rig.asked() == [AttachNetdev(0)]


# -- a modem that has restarted


def test_a_second_open_in_one_power_up_is_a_warning() -> None:
    rig = running(0)
    assert rig.remote_opened(0) is Answer.NOTHING
    assert rig.taken() == [
        Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 0),
        Log(Severity.WARNING, LogEvent.ALREADY_OPEN, 0),
    ]
    assert rig.channels[0].may_transmit


def test_an_open_in_a_later_power_up_is_a_restart_and_is_answered_with_our_open() -> None:
    rig = running(0)
    assert rig.remote_opened(0, power_up=2) is Answer.OPEN
    assert rig.taken() == [
        Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 0),
        Log(Severity.WARNING, LogEvent.REOPENED, 0),
        StopQueue(0),
    ]
    assert not rig.channels[0].may_transmit


def test_after_a_restart_the_next_open_of_that_power_up_is_a_duplicate() -> None:
    rig = running(0)
    rig.remote_opened(0, power_up=2)
    rig.taken()
    assert rig.remote_opened(0, power_up=2) is Answer.NOTHING
    assert rig.logged() == [LogEvent.CHANNEL_OPENED, LogEvent.ALREADY_OPEN]


def test_a_restart_is_not_answered_for_an_interface_that_is_down() -> None:
    rig = registered(0)
    assert rig.remote_opened(0, power_up=2) is Answer.NOTHING
    assert rig.asked() == []


def test_a_restart_is_not_answered_for_an_interface_that_has_just_gone_down() -> None:
    rig = running(0)
    rig.channels.interface_changed(rig.channels[0], is_up=False)
    assert rig.remote_opened(0, power_up=2) is Answer.NOTHING
    assert rig.asked() == []


def test_a_modem_that_closed_a_channel_and_restarted_gets_the_open_that_waits_and_no_other() -> None:
    rig = registered(0)
    rig.channels.interface_changed(rig.channels[0], is_up=True)
    rig.channels[0].is_open_queued = True
    rig.remote_closed(0)
    assert rig.remote_opened(0, power_up=2) is Answer.NOTHING


def test_a_restart_is_not_answered_while_our_open_still_waits() -> None:
    rig = registered(0)
    rig.channels.interface_changed(rig.channels[0], is_up=True)
    rig.channels[0].is_open_queued = True
    assert rig.remote_opened(0, power_up=2) is Answer.NOTHING
    assert rig.asked() == []


def test_a_modem_that_closed_a_channel_before_it_restarted_gets_our_open_too() -> None:
    rig = running(0)
    rig.remote_closed(0)
    rig.taken()
    assert rig.remote_opened(0, power_up=2) is Answer.OPEN
    assert rig.asked() == [AttachNetdev(0)]
    assert not rig.channels[0].may_transmit


# -- a modem that is dead


def test_a_dead_modem_has_every_channel_closed() -> None:
    rig = running(0, 2)
    rig.remote_closed(2)
    rig.remote_opened(5)  # has no interface yet
    rig.taken()
    rig.channels.modem_vanished()
    assert rig.asked() == [DetachNetdev(0), StopQueue(0)]
    for channel in rig.channels:
        assert not channel.is_remote_open
        assert not channel.is_open
        assert not channel.is_open_queued
    assert rig.channels[0].is_up
    rig.channels.ask_to_register()
    assert rig.asked() == []


def test_its_successor_s_channels_are_attached_and_hear_an_open() -> None:
    rig = running(0)
    rig.channels.modem_vanished()
    rig.taken()
    assert rig.remote_opened(0) is Answer.OPEN
    assert rig.asked() == [AttachNetdev(0)]


def test_an_interface_that_is_down_only_loses_its_carrier() -> None:
    rig = registered(0)
    rig.channels.modem_vanished()
    assert rig.asked() == [DetachNetdev(0)]
    rig.channels.modem_vanished()
    assert rig.asked() == []


# -- interfaces


def test_an_interface_goes_up_and_down_once_each() -> None:
    rig = registered(0)
    channel = rig.channels[0]
    assert rig.channels.interface_changed(channel, is_up=True)
    assert not rig.channels.interface_changed(channel, is_up=True)
    assert rig.channels.interface_changed(channel, is_up=False)
    assert not rig.channels.interface_changed(channel, is_up=False)


def test_only_interfaces_that_are_up_are_delivered_to() -> None:
    rig = registered(0, 1)
    rig.channels.interface_changed(rig.channels[1], is_up=True)
    assert rig.channels.active_devices == [None, rig.channels[1].device] + [None] * 6
    rig.channels.interface_changed(rig.channels[1], is_up=False)
    assert rig.channels.active_devices == [None] * 8


def test_a_detached_interface_that_is_up_is_still_delivered_to() -> None:
    rig = running(0)
    rig.remote_closed(0)
    assert rig.channels.active_devices[0] is rig.channels[0].device


def test_an_interface_that_does_not_exist_cannot_go_up() -> None:
    rig = Rig()
    assert not rig.channels.interface_changed(rig.channels[0], is_up=True)
    assert not rig.channels[0].is_up


def test_unregistering_takes_every_interface_and_delivers_no_more() -> None:
    rig = running(1, 6)
    rig.channels.unregister_all()
    assert rig.taken() == [UnregisterNetdev(1), UnregisterNetdev(6)]
    assert rig.channels.active_devices == [None] * 8
    rig.channels.unregister_all()
    assert rig.taken() == []


# -- queues


@pytest.mark.parametrize("missing", ["is_open", "is_up", "is_remote_open"])
def test_packets_are_read_only_when_all_three_agree(missing: str) -> None:
    rig = running(0)
    assert rig.channels[0].may_transmit
    setattr(rig.channels[0], missing, False)
    assert not rig.channels[0].may_transmit


def test_our_open_having_gone_out_starts_the_queue() -> None:
    rig = registered(0)
    rig.channels.interface_changed(rig.channels[0], is_up=True)
    rig.channels.start(rig.channels[0])
    assert rig.taken() == [StartQueue(0)]


def test_a_queue_that_starts_while_the_ring_is_full_waits_to_be_woken() -> None:
    rig = registered(0)
    rig.channels.interface_changed(rig.channels[0], is_up=True)
    rig.channels.stop_all()
    rig.taken()
    rig.channels.start(rig.channels[0])
    assert rig.taken() == []
    rig.channels.wake_all()
    assert rig.asked() == [WakeQueue(0)]


def test_a_full_ring_stops_every_interface_once() -> None:
    rig = running(0, 5)
    rig.channels.stop_all()
    assert rig.taken() == [Log(Severity.DEBUG, LogEvent.QUEUES_STOPPED), StopQueue(0), StopQueue(5)]
    rig.channels.stop_all()
    assert rig.taken() == []


def test_a_queue_that_is_stopped_already_is_not_stopped_again() -> None:
    rig = running(0, 5)
    rig.channels.stop(rig.channels[0])
    rig.taken()
    rig.channels.stop_all()
    assert rig.asked() == [StopQueue(5)]


def test_a_full_ring_stops_interfaces_that_have_not_been_up_yet() -> None:
    rig = registered(3)
    rig.channels.stop_all()
    assert rig.asked() == [StopQueue(3)]


def test_a_ring_that_fills_up_again_stops_the_interfaces_again() -> None:
    rig = running(0)
    rig.channels.stop_all()
    rig.channels.wake_all()
    rig.taken()
    rig.channels.stop_all()
    assert rig.asked() == [StopQueue(0)]


def test_a_queue_that_was_started_again_is_stopped_by_a_full_ring() -> None:
    rig = running(0)
    rig.channels.stop(rig.channels[0])
    rig.channels.start(rig.channels[0])
    rig.taken()
    rig.channels.stop_all()
    assert rig.asked() == [StopQueue(0)]


def test_space_wakes_the_interfaces_that_may_transmit_and_no_detached_one() -> None:
    rig = running(0, 1, 2)
    rig.channels.stop_all()
    rig.remote_closed(1)
    rig.channels.interface_changed(rig.channels[2], is_up=False)
    rig.taken()
    rig.channels.wake_all()
    assert rig.taken() == [Log(Severity.DEBUG, LogEvent.QUEUES_WOKEN), WakeQueue(0)]


def test_space_in_a_ring_that_was_not_full_wakes_nobody() -> None:
    rig = running(0)
    rig.channels.wake_all()
    assert rig.taken() == []


# -- turns


def turn_of(rig: Rig, *waiting: int) -> list[int]:
    return [channel.index for channel in rig.channels.in_turn(waiting)]


def test_only_those_that_wait_and_may_transmit_have_a_turn() -> None:
    rig = running(0, 1, 2)
    rig.remote_closed(1)
    assert turn_of(rig, 1, 2, 3) == [2]
    assert turn_of(rig) == []


def test_the_turn_begins_behind_the_one_that_was_served_last() -> None:
    rig = running(0, 3, 7)
    assert turn_of(rig, 7, 0, 3) == [0, 3, 7]
    rig.channels.was_served(rig.channels[0])
    assert turn_of(rig, 0, 3, 7) == [3, 7, 0]
    rig.channels.was_served(rig.channels[7])
    assert turn_of(rig, 0, 3, 7) == [0, 3, 7]


def test_two_take_turns() -> None:
    rig = running(0, 3)
    rig.channels.was_served(rig.channels[0])
    assert turn_of(rig, 0, 3) == [3, 0]


def test_nobody_has_a_turn_while_the_ring_is_full() -> None:
    rig = running(0, 1)
    rig.channels.stop_all()
    assert turn_of(rig, 0, 1) == []


# -- saying


def test_a_channel_says_what_it_is_for_json() -> None:
    rig = running(2)
    channel = rig.channels[2]
    channel.mtu = 1400
    channel.transmitted.packet_count, channel.transmitted.byte_count = 3, 84
    channel.received.drop(DropReason.EMPTY)
    assert channel.as_dict() == {
        "interface": "wwan2",
        "up": True,
        "attached": True,
        "open": True,
        "mtu": 1400,
        "transmitted": {"packets": 3, "bytes": 84, "drops": {}},
        "received": {"packets": 0, "bytes": 0, "drops": {"empty": 1}},
    }


# -- What is kept, so that a ring that fills up and empties costs little


class Forgetful(Channels):
    """Keeps nothing: each answer is found anew among all channels."""

    def welcome(self) -> list[Any]:
        self._changed()
        return super().welcome()

    def stop_all(self) -> None:
        self._changed()
        super().stop_all()

    def wake_all(self) -> None:
        self._changed()
        super().wake_all()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("opened", "closed", "vanished", "registered", "up", "down", "unregistered"),
                *("started", "closes", "stopped", "full", "space"),
            ]
        ),
        st.integers(0, 2),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=20,
)


def happen(rig: Rig, steps: list[tuple[str, int, int]], *, is_busy: bool) -> list[object]:
    """Whatever is asked for, and whose packets are welcome, after each step."""
    channels, told = rig.channels, list[object]()
    for step, index, power_up in steps:
        channel = channels[index]
        match step:
            case "opened":
                told.append(channels.remote_opened(channel, power_up))
            case "closed":
                channels.remote_closed(channel)
            case "vanished":
                channels.modem_vanished()
            case "registered" if channel.device is None:
                channels.registered(channel, QueueDevice())
            case "up" | "down":
                told.append(channels.interface_changed(channel, step == "up"))
            case "unregistered":
                for each in channels:  # as the driver does before
                    channels.close(each)
                channels.unregister_all()
            case "started" if channel.device is not None:
                channel.is_open_queued = True
                channels.start(channel)
            case "closes":
                told.append(channels.close(channel))
            case "stopped":
                channels.stop(channel)
            case "full":
                channels.stop_all()
            case "space":
                channels.wake_all()
        if is_busy and not channels.all_are_stopped:  # the ring fills up and empties after each step
            channels.stop_all()
            channels.wake_all()
        told += [rig.taken(), [each.index for each in channels.welcome()]]
        told += [(each.queue_is_stopped, each.may_transmit) for each in channels]
    return told


# Two of the channels carry packets.
BEGUN = [(step, index, 0) for index in (0, 1) for step in ("opened", "registered", "up", "started")]


@settings(max_examples=500)
@given(STEPS, st.booleans(), st.booleans())
def test_what_is_kept_is_what_would_be_found_anew(
    steps: list[tuple[str, int, int]], is_busy: bool, is_full: bool
) -> None:
    keeping, forgetful = Rig(), Rig()
    forgetful.channels = Forgetful(forgetful.outbox)
    steps = BEGUN + [("full", 0, 0)] * is_full + steps
    assert happen(keeping, steps, is_busy=is_busy) == happen(forgetful, steps, is_busy=is_busy)


def test_the_same_list_is_welcome_until_something_changes() -> None:
    rig = Rig()
    before = rig.channels.welcome()
    assert rig.channels.welcome() is before
    rig.channels.remote_opened(rig.channels[0], 1)
    assert rig.channels.welcome() is not before
