"""The driver as a whole, the modem played by hand: a script of inputs, and what it asks for.

The rings and the vote have tests of their own; here is who acts, in which order. At the end the other side
does whatever it likes.
"""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.actions import (
    Action,
    AttachNetdev,
    DetachNetdev,
    Line,
    Log,
    LogEvent,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    RingDoorbell,
    SetLine,
    Severity,
    StartQueue,
    StopQueue,
    UnregisterNetdev,
    WakeQueue,
)
from bamdmux.counters import DropReason
from bamdmux.host.driver import HostDriver
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import MILLISECOND, SECOND
from tests.host.far_end import (
    PING,
    FarEnd,
    close_frame,
    frame_of,
    numbered,
    open_frame,
    open_no_a2_pc_frame,
    powered,
    running,
    sent_frame_of,
)

VOTE = SetLine(Line.HOST_VOTE, True)
LOOK = LookAtLine(Line.MODEM_POWER)
DROP = SetLine(Line.HOST_VOTE, False)
ACK_HIGH = SetLine(Line.HOST_ACK, True)
ACK_LOW = SetLine(Line.HOST_ACK, False)
RING_TX = RingDoorbell(Pipe.TX)
RING_RX = RingDoorbell(Pipe.RX)


def suspended() -> FarEnd:
    """Channel 0 is up and open, everything was sent, our vote is gone and acked, the modem's power too."""
    far = running()
    far.time_out(SECOND)
    assert far.taken() == [DROP]
    far.ack()
    far.power()
    assert far.taken() == [ACK_LOW]
    return far


def waiting_packet() -> FarEnd:
    """A packet waits for power since one second; the modem has heard our vote."""
    far = suspended()
    assert far.transmit(0, PING) == 1
    assert far.taken() == [VOTE]
    return far


def dead_modem_with_open_waiting() -> FarEnd:
    """Channel 0 came up, and the modem has not acked our vote since 0."""
    far = powered()
    far.set_up(0)
    assert far.taken() == [VOTE]
    return far


def transmitted_drops(far: FarEnd, channel: int = 0) -> dict[DropReason, int]:
    return dict(far.driver.channels[channel].transmitted.drops)


# -- probe


def test_a_probe_while_the_modem_is_down_does_nothing() -> None:
    far = FarEnd()
    far.probe()
    assert far.taken() == []
    assert far.driver.deadline is None
    assert far.rx.available() == 0


def test_a_probe_while_the_modem_is_up_queues_every_buffer_and_acks() -> None:
    far = FarEnd()
    far.power_edges = 5
    far.probe()
    assert far.taken() == [RING_RX, ACK_HIGH]
    assert far.rx.available() == 32


def test_after_another_driver_the_ack_is_an_edge_all_the_same() -> None:
    far = FarEnd(ack_level=True)
    far.probe()
    far.power()
    assert far.taken() == [RING_RX, ACK_LOW]


def test_our_lines_are_low_if_nothing_else_is_said() -> None:
    far = FarEnd()
    driver = HostDriver(far.host_tx, far.host_rx)
    driver.probe(1, 0, now=0)
    assert driver.take_actions() == [RING_RX, ACK_HIGH]


def test_counts_of_lines_may_be_anything_at_the_start() -> None:
    far = FarEnd()
    far.power_edges, far.ack_edges = 0xFFFF_FFFE, 0xFFFF_FFFF
    far.probe()
    far.power(2)  # to 0: down, up, down
    assert far.taken() == [ACK_HIGH, ACK_LOW]
    far.power()
    assert far.taken() == [RING_RX, ACK_HIGH]


# -- the modem's power


def test_a_rise_queues_every_buffer_then_acks() -> None:
    far = FarEnd()
    far.probe()
    far.power()
    assert far.taken() == [RING_RX, ACK_HIGH]
    assert far.rx.available() == 32


def test_a_fall_takes_the_buffers_back_and_acks() -> None:
    far = powered()
    far.power()
    assert far.taken() == [ACK_LOW]
    assert far.rx.available() == 0
    assert not far.host_rx.is_open


def test_a_wake_up_without_an_edge_changes_nothing() -> None:
    far = powered()
    far.power(0)
    assert far.driver.take_actions() == []
    far.ack(0)
    assert far.driver.take_actions() == []


def test_a_hidden_power_cycle_is_noticed_and_both_edges_are_acked() -> None:
    far = powered()
    far.rx.available()
    far.power(2)
    assert far.taken() == [ACK_LOW, RING_RX, ACK_HIGH]
    assert far.rx.available() == 32
    assert far.host_rx.in_flight == 32


def test_a_hidden_rise_leaves_nothing_queued_and_both_edges_are_acked() -> None:
    far = powered()
    far.power()
    far.taken()
    far.power(2)
    assert far.taken() == [ACK_HIGH, ACK_LOW]
    assert not far.host_rx.is_open


def test_three_edges_are_a_fall() -> None:
    far = powered()
    far.power(3)
    assert far.taken() == [ACK_LOW]
    far.power(3)
    assert far.taken() == [RING_RX, ACK_HIGH]


def test_a_hidden_power_cycle_with_frames_in_flight_counts_them_as_lost() -> None:
    far = running()
    far.transmit(0, PING)
    far.taken()
    far.power(2)
    assert far.taken() == [ACK_LOW, DROP, RING_RX, ACK_HIGH]
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 1}


def test_a_modem_that_cycles_for_a_command_in_flight_hears_it_again() -> None:
    far = running()
    far.set_up(0, is_up=False)
    far.taken()
    far.power(2)
    assert far.taken() == [ACK_LOW, DROP, RING_RX, ACK_HIGH, VOTE]
    far.ack()
    assert far.take_and_ring() == [close_frame(0)]


# -- channels and interfaces


def test_interfaces_are_registered_once_the_batch_of_frames_is_handled() -> None:
    far = powered()
    far.now = 5
    far.send(open_frame(7), open_frame(4))
    assert far.driver.take_actions() == [
        Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 7),
        Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 4),
        RING_RX,
    ]
    assert far.driver.deadline == 5
    far.time_out(5)
    assert far.taken() == [RegisterNetdev(4), RegisterNetdev(7)]
    assert far.driver.deadline is None


def test_an_interface_that_comes_up_votes_and_its_open_waits_for_power() -> None:
    far = powered()
    far.set_up(0)
    assert far.taken() == [VOTE]
    assert far.tx.available() == 0
    assert not far.driver.wants_packets(0)
    far.ack()
    assert far.taken() == [RING_TX, StartQueue(0)]
    assert far.take() == [open_frame(0)]
    assert far.driver.wants_packets(0)


def test_an_interface_that_comes_up_while_active_sends_its_open_at_once() -> None:
    far = running()
    far.set_up(1)
    assert far.taken() == [RING_TX, StartQueue(1)]
    assert far.take() == [open_frame(1)]


def test_an_interface_that_goes_down_stops_its_queue_and_sends_close() -> None:
    far = running()
    far.set_up(0, is_up=False)
    assert far.taken() == [StopQueue(0), RING_TX]
    assert far.take() == [close_frame(0)]
    assert not far.driver.wants_packets(0)


def test_packets_of_an_interface_that_went_down_are_discarded() -> None:
    far = running()
    far.devices[0].outgoing.extend([PING] * 3)
    far.set_up(0, is_up=False)
    assert transmitted_drops(far) == {DropReason.INTERFACE_DOWN: 3}
    assert far.take() == [close_frame(0)]


def test_packets_that_are_in_the_ring_already_leave_before_the_close() -> None:
    far = running()
    far.transmit(0, PING)
    far.set_up(0, is_up=False)
    assert far.take() == [sent_frame_of(PING), close_frame(0)]


def test_a_repeated_report_of_an_interface_changes_nothing() -> None:
    far = running()
    far.set_up(0)
    assert far.driver.take_actions() == []
    far.driver.interface_changed(6, is_up=True, now=0)  # there is none
    assert far.driver.take_actions() == []


def test_an_interface_that_comes_up_again_is_read_once_its_open_has_gone_out() -> None:
    far = running()
    far.set_up(0, is_up=False)
    far.take_and_ring()
    far.time_out(SECOND)
    far.set_up(0)
    assert not far.driver.wants_packets(0)
    far.ack()
    far.taken()
    far.ack()
    assert far.taken() == [RING_TX, StartQueue(0)]
    assert far.driver.wants_packets(0)


def test_an_interface_that_went_down_before_its_open_has_gone_out_is_not_started() -> None:
    far = dead_modem_with_open_waiting()
    far.set_up(0, is_up=False)
    far.taken()
    far.ack()
    assert far.taken() == [RING_TX]
    assert far.take() == [open_frame(0), close_frame(0)]


def test_an_interface_that_went_up_down_and_up_while_it_waited_is_started_once() -> None:
    far = dead_modem_with_open_waiting()
    far.set_up(0, is_up=False)
    far.set_up(0)
    far.taken()
    far.ack()
    assert far.taken() == [RING_TX, StartQueue(0)]


def test_a_close_does_not_start_the_queue_whose_open_waits_behind_it() -> None:
    far = running(slot_count=1)
    far.time_out(SECOND)
    far.ack()
    far.set_up(0, is_up=False)
    far.set_up(0)
    far.taken()
    far.ack()
    assert far.taken() == [RING_TX]
    assert far.take_and_ring() == [close_frame(0)]
    assert far.take_and_ring() == [open_frame(0)]
    assert far.driver.wants_packets(0)


def test_an_interface_that_comes_up_detached_is_not_read_and_sends_nothing() -> None:
    far = powered()
    far.send(close_frame(0))
    far.taken()
    far.set_up(0)
    assert far.taken() == []
    assert not far.driver.wants_packets(0)
    far.send(open_frame(0))
    assert far.taken() == [AttachNetdev(0), VOTE, RING_RX]


def test_an_interface_that_came_up_detached_and_goes_down_again_sends_nothing() -> None:
    far = powered()
    far.send(close_frame(0))
    far.set_up(0)
    far.taken()
    far.set_up(0, is_up=False)
    assert far.taken() == [StopQueue(0)]


def test_a_close_of_the_modem_detaches_and_its_open_attaches_again() -> None:
    far = running()
    far.send(close_frame(0))
    assert far.taken() == [DetachNetdev(0), StopQueue(0), RING_RX]
    assert not far.driver.wants_packets(0)
    far.send(open_frame(0))
    assert far.taken() == [AttachNetdev(0), WakeQueue(0), RING_RX]
    assert far.driver.wants_packets(0)


def test_a_detached_interface_that_is_up_is_still_delivered_to() -> None:
    far = running()
    far.send(close_frame(0), frame_of(PING))
    assert list(far.devices[0].delivered) == [PING]


def test_a_down_interface_is_not_delivered_to() -> None:
    far = powered()
    far.send(frame_of(PING))
    assert not far.devices[0].delivered
    assert far.driver.channels[0].received.drops == {DropReason.INACTIVE_CHANNEL: 1}
    assert [log.event for log in far.logged()] == [LogEvent.INACTIVE_CHANNEL]


def test_delivery_begins_and_ends_within_a_batch() -> None:
    far = running()
    far.set_up(0, is_up=False)
    far.send(frame_of(PING))
    far.set_up(0)
    far.send(frame_of(PING))
    assert len(far.devices[0].delivered) == 1


def test_the_opens_of_a_restarted_modem_are_answered_by_those_that_are_up() -> None:
    far = running(0, 1)
    far.time_out(SECOND)
    far.ack()
    far.set_up(2)
    far.set_up(2, is_up=False)
    far.ack()
    assert far.take_and_ring() == [open_frame(2), close_frame(2)]
    far.time_out(2 * SECOND)
    far.ack()
    far.power(2)
    far.taken()
    far.send(*map(open_frame, range(4)))
    assert far.taken() == [StopQueue(0), VOTE, StopQueue(1), RING_RX]
    far.ack()
    assert far.taken() == [RING_TX, StartQueue(0), StartQueue(1)]
    assert far.take() == [open_frame(0), open_frame(1)]


def test_packets_wait_until_the_open_for_a_restarted_modem_has_gone_out() -> None:
    far = suspended()
    far.power()
    far.send(open_frame(0))
    far.taken()
    assert far.transmit(0, PING) == 0
    far.ack()
    assert far.transmit(0) == 1
    assert far.take() == [open_frame(0), sent_frame_of(PING)]


def test_a_modem_that_restarts_before_it_has_read_our_open_hears_it_once() -> None:
    far = running()
    far.set_up(0, is_up=False)
    far.set_up(0)
    far.power(2)
    far.send(open_frame(0))
    far.ack()
    assert far.take_and_ring() == [close_frame(0), open_frame(0)]
    assert far.driver.wants_packets(0)


# -- transmission


def test_a_packet_sent_while_active_leaves_at_once_with_one_doorbell() -> None:
    far = running()
    assert far.transmit(0, numbered(1), numbered(2)) == 2
    assert far.taken() == [RING_TX]
    assert far.take() == [sent_frame_of(numbered(1)), sent_frame_of(numbered(2))]


def test_an_interface_that_is_dry_rings_nothing() -> None:
    far = running()
    assert far.transmit(0) == 0
    assert far.taken() == []


def test_a_packet_sent_while_suspended_waits_for_the_modem() -> None:
    far = waiting_packet()
    far.ack()
    assert far.taken() == []
    assert far.tx.available() == 0
    far.power()
    assert far.taken() == [RING_RX, ACK_HIGH, RING_TX]
    assert far.take() == [sent_frame_of(PING)]


def test_frames_that_waited_are_announced_in_the_log() -> None:
    far = waiting_packet()
    far.ack()
    far.power()
    assert Log(Severity.DEBUG, LogEvent.SENDING_DEFERRED, 1) in far.driver.take_actions()


def test_packets_that_waited_leave_before_later_ones_across_the_end_of_the_ring() -> None:
    far = suspended()  # one slot of 32 was used for the OPEN
    far.transmit(0, *[numbered(number) for number in range(20)])
    far.ack()
    far.power()
    sent = far.take_and_ring()
    far.time_out(3 * SECOND)
    far.ack()
    far.power()
    far.transmit(0, *[numbered(number) for number in range(20, 50)])
    far.ack()
    far.power()
    far.transmit(0, *[numbered(number) for number in range(50, 55)])
    sent += far.take_and_ring()
    far.transmit(0)
    sent += far.take_and_ring()
    assert sent == [sent_frame_of(numbered(number)) for number in range(55)]


def test_a_full_ring_stops_every_queue_and_the_first_free_slot_wakes_them() -> None:
    far = running(0, 1)
    assert far.transmit(0, *[PING] * 40) == 32
    assert far.taken() == [*map(StopQueue, range(4)), RING_TX]
    assert not far.driver.wants_packets(1)
    assert far.transmit(0) == 0
    far.take_and_ring(1)
    assert far.taken() == [WakeQueue(0), WakeQueue(1)]
    assert far.transmit(0) == 1


def test_a_full_ring_is_full_while_it_waits_for_power_too() -> None:
    far = suspended()
    assert far.transmit(0, *[PING] * 40) == 32
    assert far.taken() == [*map(StopQueue, range(4)), VOTE]


def test_detached_interfaces_are_not_woken() -> None:
    far = running(0, 1)
    far.transmit(0, *[PING] * 32)
    far.send(close_frame(1))
    far.taken()
    far.take_and_ring()
    assert far.taken() == [WakeQueue(0)]


def test_packets_longer_than_the_mtu_are_not_sent() -> None:
    far = running()
    far.driver.mtu_changed(0, 100)
    assert far.transmit(0, bytes(101), bytes(100)) == 1
    assert far.take() == [sent_frame_of(bytes(100))]
    assert transmitted_drops(far) == {DropReason.LONGER_THAN_MTU: 1}


def test_a_doorbell_for_nothing_changes_nothing() -> None:
    far = running()
    for pipe in Pipe:
        far.driver.doorbell_rang(pipe, now=0)
    assert far.driver.take_actions() == []


def test_a_doorbell_of_a_pipe_that_is_not_in_use_changes_nothing() -> None:
    far = FarEnd()
    far.probe()
    far.driver.doorbell_rang(Pipe.TX, now=0)
    assert far.driver.take_actions() == []


def test_a_modem_that_wants_buffers_without_power_has_its_line_looked_at() -> None:
    far = FarEnd()
    far.probe()
    far.power_edges += 1  # and no word of it
    far.driver.doorbell_rang(Pipe.RX, now=0)
    assert far.driver.take_actions() == [LOOK]
    far.driver.line_changed(Line.MODEM_POWER, far.power_edges, now=0)
    assert far.taken() == [RING_RX, SetLine(Line.HOST_ACK, True)]


def test_a_driver_that_leaves_does_not_look_at_lines() -> None:
    far = FarEnd()
    far.probe()
    far.driver.remove(now=0)
    far.taken()
    far.driver.doorbell_rang(Pipe.RX, now=0)
    assert far.driver.take_actions() == []


# -- whose turn it is


def shares(far: FarEnd, rounds: int, budget: int, *waiting: int) -> list[int]:
    """How many packets of each channel were sent, all of them having more than enough."""
    for channel in waiting:
        far.devices[channel].outgoing.extend([PING] * budget * rounds)
    before = [far.driver.channels[channel].transmitted.packet_count for channel in waiting]
    for _ in range(rounds):
        assert far.driver.transmit(waiting, now=0, budget=budget) == budget
        far.take_and_ring()
    after = [far.driver.channels[channel].transmitted.packet_count for channel in waiting]
    return [later - earlier for earlier, later in zip(before, after, strict=True)]


@pytest.mark.parametrize("budget", range(1, 33))
@pytest.mark.parametrize("count", [2, 3, 4])
def test_endless_queues_get_an_equal_share_over_time(count: int, budget: int) -> None:
    far = running(0, 1, 2, 3)
    assert shares(far, count, budget, *range(count)) == [budget] * count


def test_what_a_dry_interface_leaves_goes_to_the_others() -> None:
    far = running(0, 1, 2, 3)
    far.devices[0].outgoing.extend([PING] * 2)
    for channel in (1, 2):
        far.devices[channel].outgoing.extend([PING] * 100)
    assert far.driver.transmit([0, 1, 2, 3], now=0, budget=32) == 32
    counts = [far.driver.channels[channel].transmitted.packet_count for channel in range(4)]
    assert counts == [2, 15, 15, 0]


def test_the_one_behind_a_dry_one_is_served_with_a_budget_of_one() -> None:
    far = running(0, 1, 2)
    far.devices[2].outgoing.append(PING)
    assert far.driver.transmit([0, 1, 2], now=0, budget=1) == 1


def test_one_that_has_packets_alone_gets_everything() -> None:
    far = running(0, 1)
    far.devices[1].outgoing.extend([PING] * 32)
    assert far.driver.transmit([1], now=0) == 32


def test_the_budget_is_for_all_interfaces_together() -> None:
    far = running(0, 1)
    for channel in (0, 1):
        far.devices[channel].outgoing.extend([PING] * 100)
    assert far.driver.transmit([0, 1], now=0, budget=7) == 7
    assert far.driver.transmit([0, 1], now=0, budget=100) == 25  # what is left of the ring
    assert far.driver.transmit([0, 1], now=0, budget=0) == 0


def test_no_more_than_32_packets_are_read_at_a_time() -> None:
    far = running(slot_count=64)
    assert far.transmit(0, *[PING] * 40) == 32


def test_those_that_may_not_transmit_are_passed_over() -> None:
    far = running(0)
    for channel in (1, 0):
        far.devices[channel].outgoing.append(PING)
    assert far.driver.transmit([1, 0], now=0) == 1
    assert len(far.devices[1].outgoing) == 1


# -- commands


def test_a_close_that_finds_the_ring_full_waits_and_goes_before_later_packets() -> None:
    far = running(0, 1)
    far.transmit(0, *[numbered(number) for number in range(32)])
    far.set_up(1, is_up=False)
    far.taken()
    far.devices[0].outgoing.append(PING)
    far.take_and_ring(1)
    assert far.transmit(0) == 0  # the free slot is taken
    far.take_and_ring(1)
    assert far.transmit(0) == 1
    frames = far.take()
    assert frames[-2:] == [close_frame(1), sent_frame_of(PING)]


def test_commands_for_a_full_ring_are_bounded_and_the_last_word_arrives() -> None:
    far = running(0, 1)
    far.transmit(0, *[PING] * 32)
    for _ in range(100):
        far.set_up(1, is_up=False)
        far.set_up(1)
    far.take_and_ring()
    assert far.take_and_ring() == [close_frame(1), open_frame(1)]
    assert far.driver.wants_packets(1)


def test_an_open_that_never_got_a_slot_is_taken_back() -> None:
    far = running(0)
    far.transmit(0, *[PING] * 32)
    far.set_up(1)
    far.set_up(1, is_up=False)
    far.take_and_ring()
    assert far.take_and_ring() == []


def test_an_open_that_takes_the_last_slot_starts_its_queue_when_there_is_space() -> None:
    far = running(0)
    far.transmit(0, *[PING] * 31)
    far.taken()
    far.set_up(1)
    assert far.taken() == [*map(StopQueue, range(4)), RING_TX]
    far.take_and_ring()
    assert far.taken() == [WakeQueue(0), WakeQueue(1)]


def test_a_ring_of_one_slot_opens_transmits_and_closes() -> None:
    far = running(slot_count=1)
    assert far.transmit(0, PING) == 1
    far.set_up(0, is_up=False)
    assert far.take_and_ring() == [sent_frame_of(PING)]
    assert far.take_and_ring() == [close_frame(0)]


def test_a_ring_that_commands_have_filled_again_does_not_ask_for_packets() -> None:
    far = running(0, slot_count=2)
    far.set_up(1)
    far.set_up(2)
    far.power()  # both OPENs under way
    far.time_out(4 * SECOND)
    far.taken()
    assert far.transmit(0, PING) == 0
    assert not far.driver.wants_packets(0)


def test_slots_that_commands_take_at_once_wake_nobody() -> None:
    far = running(0, slot_count=2)
    far.transmit(0, PING, PING)
    far.set_up(1)
    far.set_up(2)
    far.taken()
    far.take_and_ring()
    assert far.taken() == [RING_TX]
    assert far.take() == [open_frame(1), open_frame(2)]


# -- suspending


def test_an_idle_link_is_suspended_a_second_after_the_last_frame_came_back() -> None:
    far = running()
    far.now = 5 * SECOND
    far.transmit(0, PING)
    assert far.driver.deadline == 6 * SECOND  # to look again, not to suspend
    far.now = 6 * SECOND
    far.take_and_ring()
    assert far.driver.deadline == 7 * SECOND
    far.taken()
    far.time_out(7 * SECOND)
    assert far.taken() == [DROP]
    assert far.driver.deadline is None


def test_a_doorbell_for_nothing_does_not_put_off_the_suspension() -> None:
    far = running()
    far.driver.doorbell_rang(Pipe.TX, now=SECOND // 2)
    assert far.driver.deadline == SECOND


def test_a_link_with_a_frame_in_flight_is_not_suspended() -> None:
    far = running()
    far.transmit(0, PING, PING)
    far.take_and_ring(1)
    for second in range(1, 10):
        far.time_out(second * SECOND)
    assert far.lines() == []


# Doorbells that get lost


def test_a_modem_that_is_silent_for_a_second_is_rung_again() -> None:
    far = running()
    far.transmit(0, PING)
    far.taken()
    far.time_out(SECOND - 1)
    assert far.taken() == []
    far.time_out(SECOND)
    assert far.taken() == [RING_TX]
    far.time_out(2 * SECOND)
    assert far.taken() == [RING_TX]
    far.take_and_ring()
    assert far.driver.deadline == 3 * SECOND  # to suspend
    far.time_out(3 * SECOND)
    assert far.taken() == [DROP]


def test_a_modem_that_was_rung_again_has_another_second() -> None:
    far = running()
    far.transmit(0, PING)
    far.time_out(SECOND)
    assert far.driver.deadline == 2 * SECOND


def test_a_modem_that_is_silent_is_rung_again_though_more_was_sent_meanwhile() -> None:
    far = running()
    far.transmit(0, PING)
    far.now = SECOND // 2
    far.transmit(0, PING)
    far.taken()
    far.time_out(SECOND)
    assert far.taken() == [RING_TX]


def test_a_full_ring_whose_last_doorbell_was_lost_is_found_empty() -> None:
    far = running()
    far.transmit(0, *[PING] * 33)
    far.taken()
    far.take()
    far.time_out(SECOND)
    assert WakeQueue(0) in far.taken()
    assert far.driver.wants_packets(0)


def test_each_frame_that_comes_back_grants_another_second() -> None:
    far = running()
    far.transmit(0, PING, PING)
    far.taken()
    far.now = SECOND // 2
    far.take_and_ring(1)
    far.time_out(SECOND)
    assert far.taken() == []
    far.time_out(3 * SECOND // 2)
    assert far.taken() == [RING_TX]


def test_who_looks_again_also_finds_what_the_modem_has_sent() -> None:
    far = running()
    far.transmit(0, PING)
    far.fill(frame_of(PING))
    far.time_out(SECOND)
    assert list(far.devices[0].delivered) == [PING]


def test_receiving_needs_no_vote() -> None:
    far = suspended()
    far.power()
    far.taken()
    far.send(frame_of(PING))
    assert far.taken() == [RING_RX]
    assert list(far.devices[0].delivered) == [PING]
    assert far.driver.deadline is None


# -- waiting in vain


@pytest.mark.parametrize("hears_the_vote", [False, True])
def test_packets_that_waited_in_vain_are_dropped_counted_and_their_vote_too(hears_the_vote: bool) -> None:
    far = waiting_packet()
    if hears_the_vote:
        far.ack()
        far.taken()
    far.time_out(3 * SECOND)
    assert far.driver.take_actions() == [
        DROP,
        Log(Severity.WARNING, LogEvent.RESUME_TIMED_OUT, 1),
        LOOK,
    ]
    assert transmitted_drops(far) == {DropReason.RESUME_FAILED: 1}
    assert far.driver.channels[0].transmitted.packet_count == 0
    assert far.driver.channels[0].transmitted.byte_count == 0
    assert far.driver.deadline is None


def test_after_a_time_out_the_next_packet_votes_at_once_and_is_sent() -> None:
    far = waiting_packet()
    far.time_out(3 * SECOND)
    far.taken()
    far.transmit(0, numbered(9))
    assert far.taken() == [VOTE]
    far.ack()
    far.power()
    assert far.take() == [sent_frame_of(numbered(9))]


def test_a_rise_that_nobody_heard_of_is_noticed_when_a_wait_for_it_has_failed() -> None:
    far = waiting_packet()
    far.ack()
    far.power_edges += 1  # and no word of it
    far.time_out(3 * SECOND)
    assert far.taken()[-1] == LOOK
    far.driver.line_changed(Line.MODEM_POWER, far.power_edges, far.now)
    far.transmit(0, numbered(9))
    assert far.taken() == [RING_RX, SetLine(Line.HOST_ACK, True), VOTE]
    far.ack()
    assert far.take() == [sent_frame_of(numbered(9))]


def test_a_full_ring_that_waited_in_vain_is_free_again() -> None:
    far = suspended()
    far.transmit(0, *[PING] * 40)
    far.taken()
    far.time_out(3 * SECOND)
    assert far.taken() == [DROP, WakeQueue(0), LOOK]
    assert far.transmit(0) == 8


def test_an_open_that_waited_in_vain_tries_again_every_four_seconds() -> None:
    far = dead_modem_with_open_waiting()
    for attempt in range(3):
        far.time_out((4 * attempt + 2) * SECOND)
        assert far.taken() == [DROP, LOOK]
        assert far.driver.deadline == (4 * attempt + 4) * SECOND
        far.time_out((4 * attempt + 4) * SECOND)
        assert far.taken() == [VOTE]
    far.ack()
    assert far.taken() == [RING_TX, StartQueue(0)]
    assert far.take() == [open_frame(0)]


def test_an_open_that_waited_in_vain_goes_with_the_next_packet() -> None:
    far = running()
    far.time_out(SECOND)
    far.ack()
    far.set_up(1)
    far.time_out(3 * SECOND)
    far.taken()
    far.transmit(0, PING)
    assert far.taken() == [VOTE]
    far.ack()
    assert far.take() == [open_frame(1), sent_frame_of(PING)]


def test_an_open_that_waited_in_vain_goes_when_the_modem_rises() -> None:
    far = dead_modem_with_open_waiting()
    far.time_out(2 * SECOND)
    far.power(2)
    assert far.taken()[-1] == VOTE
    far.ack()
    assert far.take() == [open_frame(0)]


def test_opens_and_closes_that_waited_in_vain_end_with_the_last_word() -> None:
    far = powered()
    for is_up in (True, False, True):
        far.set_up(0, is_up)
    far.time_out(2 * SECOND)
    far.set_up(0, is_up=False)
    far.ack()
    assert far.take() == [open_frame(0), close_frame(0)]
    assert not far.driver.wants_packets(0)


def test_toggling_an_interface_of_a_dead_modem_takes_no_more_memory() -> None:
    far = dead_modem_with_open_waiting()
    far.power()
    for now in range(1, 200):
        far.set_up(now % 4, is_up=now % 8 < 4)
        far.time_out(now * SECOND)
        far.taken()
    far.power()
    for _ in range(10):
        far.ack()
    assert len(far.take_and_ring()) + len(far.take_and_ring()) <= 32 + 16


# -- the modem falls with frames in flight


def test_frames_in_flight_are_lost_counted_and_their_slots_come_back() -> None:
    far = running()
    far.transmit(0, *[PING] * 32)
    far.taken()
    far.power()
    assert far.driver.take_actions() == [
        Log(Severity.DEBUG, LogEvent.MODEM_POWER_CHANGED, 0),
        ACK_LOW,
        DROP,
        Log(Severity.WARNING, LogEvent.POWER_LOST, 32),
        Log(Severity.DEBUG, LogEvent.QUEUES_WOKEN),
        WakeQueue(0),
    ]
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 32}
    assert far.driver.channels[0].transmitted.packet_count == 0
    assert far.driver.deadline is None
    assert far.transmit(0, *[PING] * 32) == 32


def test_what_the_modem_had_taken_before_it_fell_is_not_lost() -> None:
    far = running()
    far.transmit(0, *[PING] * 5)
    far.take(3)
    far.power()
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 2}
    assert far.driver.channels[0].transmitted.packet_count == 3


def test_after_a_loss_the_next_packet_votes_anew_once_the_drop_was_acked() -> None:
    far = running()
    far.power()
    far.taken()
    far.transmit(0, PING)
    assert far.taken() == []
    far.ack()
    assert far.taken() == [VOTE]
    far.ack()
    far.power()
    assert far.take() == [sent_frame_of(PING)]


def test_after_a_loss_a_rise_without_that_ack_is_enough_to_vote() -> None:
    far = running()
    far.power()
    far.transmit(0, PING)
    far.taken()
    far.power()
    assert far.taken() == [RING_RX, ACK_HIGH, VOTE]


def test_commands_in_flight_are_sent_again_in_order_and_before_packets() -> None:
    far = running(0, 1)
    far.set_up(0, is_up=False)
    far.set_up(2)
    far.transmit(1, PING)
    far.power()
    far.transmit(1, numbered(2))
    far.ack()
    far.taken()
    far.ack()
    far.power()
    assert far.take() == [close_frame(0), open_frame(2), sent_frame_of(numbered(2), channel=1)]


def test_commands_in_flight_outlast_any_number_of_falls() -> None:
    far = running()
    far.set_up(1)
    for _ in range(5):
        far.power(2)
        far.ack()
        assert far.tx.available() == 1
    assert far.take_and_ring() == [open_frame(1)]
    assert far.driver.channels[1].is_open


@pytest.mark.parametrize("situation", [powered, suspended, waiting_packet, dead_modem_with_open_waiting])
def test_a_power_cycle_while_we_are_not_active_loses_nothing(situation: Callable[[], FarEnd]) -> None:
    far = situation()
    level = far.power_edges & 1
    far.taken()
    far.power(2)
    far.taken()
    if not level:
        far.power()
    far.ack()
    far.ack()
    assert transmitted_drops(far) == {}
    assert far.host_tx.in_flight == far.tx.available()


# -- the modem is dead


def vanish(far: FarEnd) -> list[Action]:
    """The modem's process has died; what the driver wants done."""
    far.taken()
    far.driver.modem_vanished(far.now)
    return far.taken()


def return_of_the_modem(far: FarEnd) -> None:
    """Its successor lowers the line that it found high, is acked, and rises."""
    far.power()
    far.power()
    assert far.taken()[-2:] == [RING_RX, SetLine(Line.HOST_ACK, bool(far.power_edges & 1))]


def test_the_interfaces_of_a_dead_modem_stay_without_carrier() -> None:
    far = running(0, 2)
    detached = [
        DetachNetdev(0),
        StopQueue(0),
        DetachNetdev(1),
        DetachNetdev(2),
        StopQueue(2),
        DetachNetdev(3),
    ]
    assert vanish(far) == [DROP, *detached]
    assert not far.host_tx.is_open
    assert not far.host_rx.is_open
    assert far.driver.deadline is None
    assert not far.driver.wants_packets(0)
    assert far.transmit(0, PING) == 0
    assert far.driver.channels[0].is_up


def test_a_dead_modem_is_not_up_whatever_its_line_says() -> None:
    far = running()
    assert far.driver.status(0)["power"]["modem_up"]  # type: ignore[index]
    vanish(far)
    assert not far.driver.status(0)["power"]["modem_up"]  # type: ignore[index]


def test_open_interfaces_send_open_to_its_successor() -> None:
    far = running()
    vanish(far)
    return_of_the_modem(far)
    far.send(open_frame(0), open_frame(1))
    assert far.taken() == [AttachNetdev(0), VOTE, AttachNetdev(1), RING_RX]
    far.ack()
    assert far.take_and_ring() == [open_frame(0)]
    assert far.driver.wants_packets(0)
    assert far.transmit(0, PING) == 1
    assert far.take() == [sent_frame_of(PING)]


def test_what_was_on_its_way_to_a_dead_modem_is_counted() -> None:
    far = running()
    far.transmit(0, PING, PING)
    far.take(1)  # this one it took, and had no time to ring
    far.transmit(0, PING)
    vanish(far)
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 2}
    assert far.driver.channels[0].transmitted.packet_count == 1


def test_what_waits_for_the_power_of_a_dead_modem_is_counted() -> None:
    far = waiting_packet()
    assert vanish(far) == [
        DROP,
        *[DetachNetdev(0), StopQueue(0), DetachNetdev(1), DetachNetdev(2), DetachNetdev(3)],
    ]
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 1}
    assert far.driver.deadline is None


def test_what_a_modem_said_before_it_died_is_delivered() -> None:
    far = running()
    far.fill(frame_of(PING), frame_of(PING))
    vanish(far)
    assert list(far.devices[0].delivered) == [PING, PING]


def test_a_ring_that_was_full_has_space_for_its_successor() -> None:
    far = running(slot_count=2)
    assert far.transmit(0, PING, PING) == 2
    vanish(far)
    assert not far.driver.channels.all_are_stopped
    return_of_the_modem(far)
    far.send(open_frame(0))
    far.ack()
    assert far.take_and_ring() == [open_frame(0)]
    assert far.transmit(0, PING, PING) == 2


def test_commands_that_wait_die_with_the_modem_they_were_for() -> None:
    far = dead_modem_with_open_waiting()
    vanish(far)
    return_of_the_modem(far)
    far.set_up(0, False)
    assert far.lines() == []  # nothing to say: no vote
    assert far.driver.deadline is None


def test_commands_that_wait_for_a_slot_die_with_the_modem_too() -> None:
    far = running(slot_count=1)
    far.transmit(0, PING)
    far.set_up(0, is_up=False)  # its CLOSE finds no slot
    vanish(far)
    return_of_the_modem(far)
    assert far.lines() == []
    assert far.take() == []


def test_a_modem_that_dies_twice_is_dead_once() -> None:
    far = running()
    vanish(far)
    assert vanish(far) == []


def test_a_vote_that_an_earlier_driver_left_is_dropped_when_we_are_bound() -> None:
    far = FarEnd()
    driver = HostDriver(far.host_tx, far.host_rx, vote_level=True)
    driver.probe(0, 0, now=0)
    assert driver.take_actions() == [DROP]


def test_a_driver_that_wakes_a_modem_to_leave_it_leaves_when_it_dies() -> None:
    far = suspended()
    far.driver.remove(far.now)
    assert far.taken() == [VOTE]
    actions = vanish(far)
    assert actions[0] == DROP
    assert actions[-5:] == [*map(UnregisterNetdev, range(4)), Removed()]


def test_a_driver_whose_close_still_waits_leaves_when_the_modem_dies() -> None:
    far = running(slot_count=1)
    far.transmit(0, PING)
    far.driver.remove(far.now)
    actions = vanish(far)
    assert actions[-5:] == [*map(UnregisterNetdev, range(4)), Removed()]
    assert far.driver.deadline is None


def test_a_driver_that_waits_for_the_modem_to_fall_leaves_when_it_dies() -> None:
    far = running()
    far.driver.remove(far.now)
    assert Removed() not in far.taken()
    assert vanish(far)[-1:] == [Removed()]
    assert vanish(far) == []


# -- frames of the modem


@pytest.mark.parametrize(
    ("frame", "severity", "event", "reason"),
    [
        (b"\xfd" + frame_of(PING)[1:], Severity.ERROR, LogEvent.BAD_MAGIC, DropReason.BAD_MAGIC),
        (
            frame_of(PING, channel=9),
            Severity.DEBUG,
            LogEvent.UNSUPPORTED_CHANNEL,
            DropReason.UNSUPPORTED_CHANNEL,
        ),
        (b"\xfc\x33", Severity.ERROR, LogEvent.TRUNCATED, DropReason.TRUNCATED),
    ],
)
def test_frames_that_name_no_channel_are_counted_apart(
    frame: bytes, severity: Severity, event: LogEvent, reason: DropReason
) -> None:
    far = running()
    far.send(frame)
    header = frame[:8].hex() if len(frame) >= 8 else "0" * 16
    assert far.driver.take_actions() == [Log(severity, event, header), RING_RX]
    assert far.driver.unassigned.drops == {reason: 1}


@pytest.mark.parametrize(
    ("frame", "written", "reason"),
    [
        (frame_of(PING)[:-1], None, DropReason.TRUNCATED),
        (frame_of(b""), None, DropReason.EMPTY),
        (frame_of(bytes(2041))[:2048], None, DropReason.TOO_LONG),
        (b"\xfc\x33\x00\x05\x00\x00\x00\x00", None, DropReason.UNSUPPORTED_COMMAND),
    ],
)
def test_frames_that_name_a_channel_are_counted_there(
    frame: bytes, written: int | None, reason: DropReason
) -> None:
    far = running()
    far.send(frame, written=written)
    assert far.driver.channels[0].received.drops == {reason: 1}
    assert [log.event.name for log in far.logged()] == [reason.name]


def test_an_overrun_is_counted_and_logged() -> None:
    far = running()
    far.send(frame_of(PING), written=2049)
    assert far.driver.unassigned.drops == {DropReason.OVERRUN: 1}
    assert [log.event for log in far.logged()] == [LogEvent.OVERRUN]


def test_buffers_go_back_with_one_doorbell_for_a_batch() -> None:
    far = running()
    far.send(*[frame_of(PING)] * 32)
    assert far.taken() == [RING_RX]
    assert far.rx.available() == 32
    assert far.driver.channels[0].received.packet_count == 32


def test_length_ffff_is_the_length_of_the_transfer() -> None:
    far = running()
    far.send(frame_of(PING)[:6] + b"\xff\xff" + PING)
    assert list(far.devices[0].delivered) == [PING]


@pytest.mark.parametrize("edges", [1, 2])
def test_frames_that_arrived_before_the_modem_fell_are_not_lost_though_the_doorbell_is_late(
    edges: int,
) -> None:
    far = running()
    far.fill(open_frame(5), frame_of(PING))
    far.power(edges)
    far.time_out(0)
    assert RegisterNetdev(5) in far.taken()
    assert list(far.devices[0].delivered) == [PING]
    far.driver.doorbell_rang(Pipe.RX, now=0)
    assert far.taken() in ([], [LOOK])  # with nothing to be read there


# -- OPEN_NO_A2_PC


def test_an_open_that_is_found_as_the_power_falls_is_answered_with_the_next_power() -> None:
    # Simulation, seed 34 with modem-dies-after-host-ack: it was answered into a BAM without power.
    far = running()
    far.power(2)  # so that an OPEN is that of a modem which has restarted
    far.power()
    far.power()
    far.ack(2)
    far.transmit(0, PING)
    far.ack()
    far.take_and_ring()
    far.taken()
    far.fill(open_frame(0))
    far.power()
    assert RING_TX not in far.taken()
    assert far.host_tx.in_flight == 0
    far.ack()
    far.power()
    far.ack()
    assert far.take() == [open_frame(0)]


def test_open_no_a2_pc_opens_the_channel() -> None:
    far = powered()
    far.send(open_no_a2_pc_frame(6))
    far.time_out(0)
    assert RegisterNetdev(6) in far.taken()


def test_after_open_no_a2_pc_nothing_is_voted_any_more() -> None:
    far = powered()
    far.send(open_no_a2_pc_frame(0))
    far.taken()
    far.set_up(0)
    assert far.taken() == [RING_TX, StartQueue(0)]
    assert far.take_and_ring() == [open_frame(0)]
    assert far.driver.deadline is None


def test_open_no_a2_pc_ends_a_wait_for_power() -> None:
    far = dead_modem_with_open_waiting()
    far.send(open_no_a2_pc_frame(1))
    assert far.taken() == [RING_TX, StartQueue(0), RING_RX]


def test_after_its_power_went_a_modem_is_voted_for_again() -> None:
    far = powered()
    far.send(open_no_a2_pc_frame(0))
    far.set_up(0)
    far.take_and_ring()
    far.power()
    far.taken()
    far.transmit(0, PING)
    assert far.taken() == [VOTE]


# -- removal


def test_an_idle_driver_without_a_modem_is_removed_after_it_has_tried_to_wake_it() -> None:
    far = FarEnd()
    far.probe()
    far.driver.remove(now=0)
    assert far.taken() == [VOTE]
    assert far.driver.is_leaving
    far.time_out(2 * SECOND)
    assert far.taken() == [DROP, Removed()]
    assert far.driver.deadline is None


def test_removal_closes_interfaces_unregisters_them_and_drops_the_vote() -> None:
    far = running(0, 2)
    far.driver.remove(now=0)
    assert far.taken() == [
        StopQueue(0),
        RING_TX,
        StopQueue(2),
        RING_TX,
        *[UnregisterNetdev(channel) for channel in range(4)],
        DROP,
    ]
    assert far.take_and_ring() == [close_frame(0), close_frame(2)]
    assert far.driver.deadline == 2 * SECOND
    far.power()
    assert far.taken() == [ACK_LOW, Removed()]
    assert far.driver.deadline is None
    assert not far.host_tx.is_open
    assert not far.host_rx.is_open


def test_removal_while_suspended_wakes_the_modem_for_the_closes() -> None:
    far = suspended()
    far.driver.remove(now=SECOND)
    assert far.taken() == [VOTE]
    far.ack()
    far.power()
    far.taken()
    assert far.take_and_ring() == [close_frame(0)]
    far.power()
    assert far.taken()[-1] == Removed()


def test_removal_with_nothing_to_say_rings_nothing() -> None:
    far = powered()
    far.driver.remove(now=0)
    far.taken()
    far.ack()
    assert far.taken() == [*map(UnregisterNetdev, range(4)), DROP]


def test_removal_stops_the_queue_of_a_detached_interface_too() -> None:
    far = powered()
    far.send(close_frame(1))
    far.set_up(1)
    far.driver.remove(now=0)
    far.taken()
    far.ack()
    assert far.taken() == [StopQueue(1), *map(UnregisterNetdev, range(4)), DROP]


def test_removal_sends_what_waited_before_the_closes() -> None:
    far = waiting_packet()
    far.driver.remove(now=SECOND)
    far.ack()
    far.power()
    assert far.take() == [sent_frame_of(PING), close_frame(0)]


def test_removal_with_a_full_ring_waits_for_slots() -> None:
    far = running()
    far.transmit(0, *[PING] * 32)
    far.driver.remove(now=0)
    assert UnregisterNetdev(0) not in far.taken()
    far.take_and_ring(1)
    assert UnregisterNetdev(0) in far.taken()
    assert far.take()[-1] == close_frame(0)


def test_removal_does_not_look_again_for_frames_in_flight() -> None:
    far = running()
    far.transmit(0, PING, PING)
    far.driver.remove(now=0)
    far.take_and_ring(1)
    assert far.driver.deadline == 2 * SECOND


def test_removal_with_a_full_ring_and_a_modem_that_takes_nothing_ends() -> None:
    far = running()
    far.transmit(0, *[PING] * 32)
    far.driver.remove(now=0)
    far.taken()
    far.time_out(2 * SECOND)
    assert far.taken()[-1] == DROP
    far.time_out(4 * SECOND)
    assert far.taken() == [Removed()]


def test_a_modem_that_takes_frames_too_late_is_not_voted_for_again() -> None:
    far = running()
    far.transmit(0, *[PING] * 32)
    far.driver.remove(now=0)
    far.time_out(2 * SECOND)
    far.ack()
    far.taken()
    far.take_and_ring()
    assert far.lines() == []
    far.time_out(4 * SECOND)
    assert far.lines() == []
    assert not far.host_tx.is_open


def test_a_modem_that_does_not_fall_is_waited_for_two_seconds_and_costs_one_error_line() -> None:
    far = running()
    far.driver.remove(now=0)
    far.driver.take_actions()
    far.time_out(2 * SECOND - 1)
    assert far.driver.take_actions() == []
    far.time_out(2 * SECOND)
    assert far.driver.take_actions() == [Log(Severity.ERROR, LogEvent.REMOVE_TIMED_OUT), Removed()]
    assert not far.host_rx.is_open


def test_packets_that_a_dead_modem_never_took_are_counted_as_lost_when_removal_ends() -> None:
    far = running()
    far.transmit(0, PING, PING)
    far.taken()
    far.driver.remove(now=0)
    far.taken()
    far.time_out(2 * SECOND)
    assert far.taken()[-1] == Removed()
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 2}
    assert far.driver.channels[0].transmitted.packet_count == 0


def test_packets_that_the_modem_took_without_a_word_are_not_lost_when_removal_ends() -> None:
    far = running()
    far.transmit(0, PING, PING)
    far.taken()
    far.driver.remove(now=0)
    far.take(1)
    far.time_out(2 * SECOND)
    assert far.taken()[-1] == Removed()
    assert transmitted_drops(far) == {DropReason.LOST_IN_FLIGHT: 1}
    assert far.driver.channels[0].transmitted.packet_count == 1


@pytest.mark.parametrize("step", ["vote", "down ack", "power"])
def test_removal_gives_up_waking_a_dead_modem(step: str) -> None:
    far = suspended()
    if step == "down ack":
        far.transmit(0, PING)
        far.ack()
        far.power()
        far.take_and_ring()
        far.time_out(2 * SECOND)
        far.power()
        far.taken()
    far.driver.remove(now=far.now)
    if step == "power":
        far.ack()
    lines = far.lines()
    far.time_out(far.now + 2 * SECOND)
    actions = far.taken()
    assert actions[-1] == Removed()
    assert UnregisterNetdev(0) in actions
    assert [*lines, *actions].count(VOTE) == [*lines, *actions].count(DROP)


def test_a_modem_that_falls_while_closes_wait_is_waited_for_two_seconds() -> None:
    far = running()
    far.transmit(0, *[PING] * 32)
    far.driver.remove(now=0)
    far.taken()
    far.power()
    assert far.lines() == [ACK_LOW, DROP]
    far.time_out(2 * SECOND)
    actions = far.taken()
    assert actions[-1] == Removed()
    assert VOTE not in actions
    assert far.driver.deadline is None
    far.time_out(10 * SECOND)
    assert far.taken() == []


def test_a_modem_that_comes_back_during_removal_hears_the_closes() -> None:
    far = running()
    far.transmit(0, *[PING] * 32)
    far.driver.remove(now=0)
    far.power()
    far.ack()
    far.taken()
    far.ack()
    far.power()
    assert far.take_and_ring() == [close_frame(0)]
    assert far.taken()[-1] == DROP
    far.power()
    assert far.taken() == [ACK_LOW, Removed()]


def test_a_modem_that_cycles_while_it_should_fall_has_fallen() -> None:
    far = running()
    far.driver.remove(now=0)
    far.taken()
    far.power(2)
    assert far.taken() == [ACK_LOW, Removed()]
    assert not far.host_rx.is_open


def test_an_interface_that_goes_down_while_removal_wakes_the_modem_is_closed_too() -> None:
    far = suspended()
    far.driver.remove(now=SECOND)
    far.set_up(0, is_up=False)
    far.ack()
    far.power()
    assert far.take() == [close_frame(0)]


def test_an_interface_that_comes_up_during_removal_is_not_opened() -> None:
    far = suspended()
    far.driver.remove(now=SECOND)
    far.set_up(1)
    far.ack()
    far.power()
    assert far.take() == [close_frame(0)]


def test_an_interface_that_is_registered_too_late_is_unregistered() -> None:
    far = running()
    far.driver.remove(now=0)
    far.taken()
    far.driver.netdev_registered(5, QueueDevice(), now=0)
    assert far.taken()[-1] == UnregisterNetdev(5)


def test_a_modem_that_opens_channels_during_removal_gets_no_interface_and_no_open() -> None:
    far = suspended()
    far.driver.remove(now=SECOND)
    far.power()
    far.taken()
    far.send(open_frame(0), open_frame(5))
    assert far.taken() == [StopQueue(0), RING_RX]
    assert far.driver.deadline == 3 * SECOND


def test_a_modem_that_restarts_during_removal_hears_the_close_alone() -> None:
    far = suspended()
    far.driver.remove(now=SECOND)
    far.power()
    far.send(open_frame(0))
    far.ack()
    assert far.take() == [close_frame(0)]


def test_interfaces_that_were_about_to_be_registered_are_not() -> None:
    far = powered()
    far.send(open_frame(5))
    far.driver.remove(now=0)
    far.time_out(0)
    assert RegisterNetdev(5) not in far.taken()


def test_no_packets_are_read_during_removal() -> None:
    far = suspended()
    far.driver.remove(now=SECOND)
    assert not far.driver.wants_packets(0)
    assert far.transmit(0, PING) == 0


def test_what_still_comes_for_an_interface_that_removal_took_is_counted_and_no_news() -> None:
    far = running()
    far.driver.remove(now=0)
    far.logged()
    far.send(frame_of(PING, 0))
    assert far.driver.channels[0].received.drops == {DropReason.INACTIVE_CHANNEL: 1}
    assert [log.event for log in far.logged()] == []


def test_a_wrong_frame_is_news_during_removal_too() -> None:
    far = running()
    far.driver.remove(now=0)
    far.logged()
    far.send(b"\xfd" + frame_of(PING)[1:])
    assert [log.event for log in far.logged()] == [LogEvent.BAD_MAGIC]


def test_a_modem_without_power_control_is_removed_without_a_vote() -> None:
    far = powered()
    far.send(open_no_a2_pc_frame(0))
    far.set_up(0)
    far.take_and_ring()
    far.driver.remove(now=0)
    assert far.lines() == []
    assert far.take() == [close_frame(0)]
    far.time_out(2 * SECOND)
    assert far.taken() == [Removed()]


def test_the_end_of_power_control_during_removal_closes_the_interfaces() -> None:
    far = running()
    far.time_out(SECOND)
    far.driver.remove(now=SECOND)
    far.send(open_no_a2_pc_frame(0))
    assert far.take() == [close_frame(0)]
    assert far.driver.deadline == 3 * SECOND


def test_a_removed_driver_hears_nothing() -> None:
    far = running()
    far.driver.remove(now=0)
    far.power()
    far.taken()
    far.power()
    far.ack()
    for pipe in Pipe:
        far.driver.doorbell_rang(pipe, now=0)
    far.time_out(100 * SECOND)
    assert far.driver.take_actions() == []


def test_after_a_removal_another_driver_takes_over_the_same_memory() -> None:
    far = running()
    far.driver.remove(now=0)
    far.power()
    far.taken()
    again = FarEnd(ack_level=False)
    again.power_edges, again.ack_edges = far.power_edges, far.ack_edges
    again.probe()
    again.power()
    assert again.taken() == [RING_RX, ACK_HIGH]


# -- saying


def test_status_says_power_and_channels_for_json() -> None:
    far = running()
    far.transmit(0, PING)
    far.send(frame_of(PING), b"")
    status = far.driver.status(now=250 * MILLISECOND)
    assert status["power"] == {
        "vote": "active",
        "modem_up": True,
        "votes": 1,
        "acks": 1,
        "wakeups": 1,
        "failed_resumes": 0,
        "power_losses": 0,
        "suspended_ms": 0,
    }
    channels = status["channels"]
    assert isinstance(channels, dict)
    assert list(channels) == ["0", "1", "2", "3"]
    assert channels["0"] == {
        "interface": "wwan0",
        "up": True,
        "attached": True,
        "open": True,
        "mtu": 1500,
        "transmitted": {"packets": 1, "bytes": 28, "drops": {}},
        "received": {"packets": 1, "bytes": 28, "drops": {}},
    }
    assert status["unassigned"] == {"packets": 0, "bytes": 0, "drops": {"truncated": 1}}


def test_status_says_for_how_long_power_was_not_wanted() -> None:
    far = running()
    far.time_out(SECOND)
    power = far.driver.status(now=SECOND + 250 * MILLISECOND)["power"]
    assert isinstance(power, dict)
    assert power["suspended_ms"] == 250


# -- a modem that does whatever it likes

OFFSETS = st.one_of(st.integers(0, 40).map(lambda entry: 8 * entry), st.integers(0, 0xFFFF))
HEADERS = st.builds(
    lambda command, channel, length: b"\xfc\x33\x00" + bytes((command, 0, channel)) + length,
    st.integers(0, 5),
    st.integers(0, 9),
    st.sampled_from([b"\0\0", b"\x1c\0", b"\xff\xff", b"\xf9\x07"]),
)
MISCHIEF = st.one_of(
    st.tuples(st.just("position"), st.sampled_from(list(Pipe)), OFFSETS),
    st.tuples(st.just("any position"), st.sampled_from(list(Pipe)), st.integers(0, 0xFFFF_FFFF)),
    st.tuples(st.just("buffer"), st.integers(0, 7), HEADERS | st.binary(max_size=40)),
    st.tuples(st.just("descriptor"), st.integers(0, 40), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just("written"), st.integers(0, 40), st.integers(0, 0xFFFF)),
    st.tuples(st.just("power"), st.integers(0, 5) | st.integers(0, 0xFFFF_FFFF), st.none()),
    st.tuples(st.just("ack"), st.integers(0, 5) | st.integers(0, 0xFFFF_FFFF), st.none()),
    st.tuples(st.just("ring"), st.sampled_from(list(Pipe)), st.none()),
    st.tuples(st.just("interface"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("packets"), st.integers(0, 3), st.integers(1, 20)),
    st.tuples(st.just("time"), st.sampled_from([0, SECOND, 2 * SECOND]), st.none()),
    st.tuples(st.just("remove"), st.none(), st.none()),
)


def play(far: FarEnd, kind: str, which: object, what: object) -> None:
    """Do one thing; the kinds are those of MISCHIEF."""
    match kind, which, what:
        case "position" | "any position", Pipe(), int():
            layout = far.layout.pipe(which)
            generation = int.from_bytes(far.memory[layout.tail_offset + 2 : layout.tail_offset + 4], "little")
            word = what if kind == "any position" else generation << 16 | what
            far.memory[layout.position_offset : layout.position_offset + 4] = word.to_bytes(4, "little")
        case "buffer", int(), bytes():
            address = far.layout.rx.slot_address(which)
            far.memory[address : address + len(what)] = what
        case "descriptor", int(), bytes():
            offset = far.layout.rx.fifo_offset + 8 * which
            far.memory[offset : offset + 8] = what
        case "written", int(), int():
            offset = far.layout.rx.fifo_offset + 8 * which + 4
            far.memory[offset : offset + 2] = what.to_bytes(2, "little")
        case "power", int(), _:
            far.power(which)
        case "ack", int(), _:
            far.ack(which)
        case "ring", Pipe(), _:
            far.driver.doorbell_rang(which, far.now)
        case "interface", int(), bool() if which in far.devices:
            far.set_up(which, what)
        case "packets", int(), int() if which in far.devices:
            far.devices[which].outgoing.extend([PING] * what)
            far.driver.transmit(far.devices, far.now)
        case "time", int(), _:
            far.time_out(far.now + which)
        case "remove", _, _ if not far.driver.is_leaving:
            far.driver.remove(far.now)


@settings(deadline=None)
@given(st.lists(MISCHIEF, max_size=60), st.booleans())
def test_whatever_the_modem_does_nothing_raises_and_nothing_grows(
    mischief: list[tuple[str, object, object]], is_running: bool
) -> None:
    far = running(0, 1, slot_count=8) if is_running else powered(slot_count=8)
    level = {Line.HOST_VOTE: is_running, Line.HOST_ACK: True}
    is_removed = False
    for kind, which, what in mischief:
        play(far, kind, which, what)
        actions = far.taken()
        assert len(actions) < 200
        for action in actions:
            assert not is_removed, f"{action} after Removed"
            is_removed = isinstance(action, Removed)
            if isinstance(action, SetLine):
                assert action.level != level[action.line], f"{action} is no edge"
                level[action.line] = action.level
        assert far.host_tx.in_flight <= 8
        assert far.host_rx.in_flight == (8 if far.host_rx.is_open else 0)
        assert not is_removed or (not level[Line.HOST_VOTE] and far.driver.deadline is None)


@settings(deadline=None)
@given(st.lists(MISCHIEF, max_size=40))
def test_whatever_the_modem_did_removal_ends_within_ten_seconds(
    mischief: list[tuple[str, object, object]],
) -> None:
    far = running(0, 1, slot_count=8)
    for kind, which, what in mischief:
        play(far, kind, which, what)
    if not far.driver.is_leaving:
        far.driver.remove(far.now)
    actions: list[Action] = far.taken()
    end = far.now + 10 * SECOND
    while (deadline := far.driver.deadline) is not None and deadline <= end:
        far.time_out(max(far.now, deadline))
        actions += far.taken()
    assert actions[-1] == Removed()
    assert not far.host_tx.is_open
    assert not far.host_rx.is_open
