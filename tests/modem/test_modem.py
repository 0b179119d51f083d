import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.actions import Action, Line, Pipe, RingDoorbell, SetLine
from bamdmux.modem.downlink import PENDING_FRAMES
from bamdmux.modem.modem import Modem
from bamdmux.modem.power import ACK_TIMEOUT, PowerState
from bamdmux.modem.profiles import Announce, load_profile, with_channels
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND
from tests.modem.near_end import (
    SOLICITATION,
    NearEnd,
    close_frame,
    frame_of,
    open_frame,
    packet4,
    without_logs,
)

DOWNLINK = packet4(source="198.51.100.7", destination="10.64.0.2")
POWER_HIGH = SetLine(Line.MODEM_POWER, True)
POWER_LOW = SetLine(Line.MODEM_POWER, False)
ACK_HIGH = SetLine(Line.MODEM_ACK, True)


class Rig:
    """A modem with two channels, and the near end of it. Nothing is booted, no buffer is queued."""

    def __init__(self, channel_count: int = 2) -> None:
        self.near = NearEnd()
        self.network = QueueDevice()
        profile = with_channels(load_profile("msm8916"), channel_count)
        self.modem = Modem(profile, self.near.tx_peer, self.near.rx_peer, self.network)

    def taken(self) -> list[Action]:
        return without_logs(self.modem.take_actions())

    def run_until(self, now: int) -> list[tuple[int, Action]]:
        done: list[tuple[int, Action]] = []
        for _ in range(20):  # no test has more deadlines
            deadline = self.modem.deadline
            if deadline is None or deadline > now:
                return done
            self.modem.handle_timeout(deadline)
            done += [(deadline, action) for action in self.taken()]
        raise AssertionError("it does not come to rest")


def running(buffer_count: int = 8, channel_count: int = 2) -> Rig:
    """UP since 2 ms, has announced its channels; nothing votes. The host has acked once."""
    rig = Rig(channel_count)
    rig.modem.boot(now=0)
    rig.run_until(2 * MILLISECOND)
    rig.near.queue_buffers(buffer_count)
    rig.modem.line_changed(Line.HOST_ACK, 1, now=2 * MILLISECOND)
    rig.taken()
    rig.near.received()
    return rig


def asleep() -> Rig:
    """DOWN since 200 ms, after having announced its channels; the host has acked twice."""
    rig = running()
    assert rig.run_until(200 * MILLISECOND) == [(104_500 * MICROSECOND, POWER_LOW)]
    rig.modem.line_changed(Line.HOST_ACK, 2, now=200 * MILLISECOND)
    rig.near.rx.terminate()
    rig.near.rx.close()
    rig.near.rx.open()
    return rig


# -- boot


def test_a_modem_that_is_not_booted_does_nothing() -> None:
    rig = Rig()
    rig.modem.line_changed(Line.HOST_VOTE, 1, now=0)
    rig.modem.doorbell_rang(Pipe.TX, now=0)
    assert rig.modem.receive_from_network(now=0) == 0
    assert not rig.modem.wants_network_packets
    assert rig.modem.deadline is None
    assert rig.taken() == []
    assert not rig.modem.is_booted


def test_it_raises_its_power_when_it_boots() -> None:
    rig = Rig()
    rig.modem.boot(now=SECOND)
    assert rig.run_until(2 * SECOND) == [(SECOND + 1500 * MICROSECOND, POWER_HIGH)]
    assert rig.modem.power_state is PowerState.RISING


def test_it_announces_its_channels_in_order_once_the_host_has_acked() -> None:
    rig = Rig(channel_count=8)
    rig.near.queue_buffers(32)
    rig.modem.boot(now=0)
    rig.run_until(2 * MILLISECOND)
    assert rig.near.received() == []
    rig.modem.line_changed(Line.HOST_ACK, 1, now=3 * MILLISECOND)
    assert rig.taken() == [RingDoorbell(Pipe.RX)]
    assert rig.near.received() == [open_frame(channel) for channel in range(8)]


def test_announcements_wait_for_buffers_and_hold_the_power() -> None:
    rig = running(buffer_count=0)
    assert {action for _, action in rig.run_until(10 * SECOND)} == {RingDoorbell(Pipe.RX)}
    rig.near.queue_buffers(1)
    rig.modem.doorbell_rang(Pipe.RX, now=10 * SECOND)
    assert rig.near.received() == [open_frame(0)]
    rig.near.queue_buffers(1)
    rig.modem.doorbell_rang(Pipe.RX, now=10 * SECOND)
    assert rig.near.received() == [open_frame(1)]
    rig.taken()
    assert rig.run_until(11 * SECOND) == [(10 * SECOND + 102_500 * MICROSECOND, POWER_LOW)]


def test_buffers_whose_doorbell_was_lost_are_found_within_a_second() -> None:
    rig = running(buffer_count=1)
    rig.near.queue_buffers(1)
    assert rig.run_until(SECOND) == []
    assert rig.run_until(SECOND + 2 * MILLISECOND) == [(SECOND + 2 * MILLISECOND, RingDoorbell(Pipe.RX))]
    assert rig.near.received() == [open_frame(1)]


def test_a_host_that_gives_no_buffer_is_rung_each_second() -> None:
    rig = running(buffer_count=1)
    rings = rig.run_until(3 * SECOND)
    assert rings == [(n * SECOND + 2 * MILLISECOND, RingDoorbell(Pipe.RX)) for n in (1, 2)]


def test_a_host_that_is_slow_to_take_packets_is_rung_again() -> None:
    rig = running(buffer_count=3)
    rig.modem.line_changed(Line.HOST_VOTE, 1, now=2 * MILLISECOND)
    rig.near.send(open_frame(0))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.run_until(SECOND)
    rig.network.outgoing.append(DOWNLINK)
    rig.modem.receive_from_network(now=SECOND)
    rig.taken()
    assert rig.run_until(2 * SECOND) == [(2 * SECOND, RingDoorbell(Pipe.RX))]
    rig.near.queue_buffers(1)
    assert rig.run_until(3 * SECOND) == []
    assert rig.modem.deadline is None


def test_a_modem_without_power_looks_for_no_buffers() -> None:
    rig = running(buffer_count=1)
    rig.modem.crash(now=SECOND // 2)
    rig.taken()
    assert rig.run_until(10 * SECOND) == []


def test_what_waits_for_a_buffer_goes_before_packets_of_the_network() -> None:
    rig = running(buffer_count=1)
    rig.near.queue_buffers(1)
    rig.network.outgoing.append(DOWNLINK)
    assert rig.modem.receive_from_network(now=3 * MILLISECOND) == 0
    assert rig.near.received() == [open_frame(1)]


def test_it_announces_only_once() -> None:
    rig = asleep()
    rig.modem.line_changed(Line.HOST_VOTE, 1, now=SECOND)
    rig.run_until(2 * SECOND)
    rig.near.queue_buffers(8)
    rig.modem.line_changed(Line.HOST_ACK, 3, now=2 * SECOND)
    assert rig.taken() == []
    assert rig.near.received() == []


def test_a_host_that_comes_late_still_gets_the_announcements() -> None:
    rig = Rig()
    rig.modem.boot(now=0)
    rig.run_until(3 * ACK_TIMEOUT)
    rig.near.queue_buffers(8)
    rig.modem.line_changed(Line.HOST_ACK, 1, now=3 * ACK_TIMEOUT)
    assert rig.near.received() == [open_frame(0), open_frame(1)]


def test_it_begins_with_the_lines_that_an_earlier_modem_left() -> None:
    rig = Rig()
    rig.modem.adopt(power_level=True, ack_level=False, vote_edges=3, host_ack_edges=9)
    rig.modem.boot(now=0)
    assert rig.taken() == [POWER_LOW]
    assert rig.run_until(MILLISECOND) == [(500 * MICROSECOND, ACK_HIGH)]
    rig.modem.line_changed(Line.HOST_ACK, 10, now=MILLISECOND)
    assert rig.run_until(SECOND) == [(2500 * MICROSECOND, POWER_HIGH)]


# -- frames of the host


def test_a_packet_goes_from_the_host_to_the_network() -> None:
    rig = running()
    rig.near.send(open_frame(0), frame_of(packet4(), pad=4))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    assert rig.taken() == [RingDoorbell(Pipe.TX)]
    assert list(rig.network.delivered) == [packet4()]
    assert rig.near.tx.completed() == 2


def test_frames_that_were_queued_while_it_rose_are_taken_when_it_is_up() -> None:
    rig = Rig()
    rig.modem.boot(now=0)
    rig.run_until(2 * MILLISECOND)
    rig.near.send(open_frame(0), frame_of(packet4()))
    rig.modem.doorbell_rang(Pipe.TX, now=2 * MILLISECOND)
    assert list(rig.network.delivered) == []
    rig.modem.line_changed(Line.HOST_ACK, 1, now=3 * MILLISECOND)
    assert list(rig.network.delivered) == [packet4()]


def test_a_router_solicitation_is_answered_on_its_channel() -> None:
    rig = running()
    rig.near.send(open_frame(1), frame_of(SOLICITATION, channel=1))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    assert rig.taken() == [RingDoorbell(Pipe.TX), RingDoorbell(Pipe.RX)]
    (frame,) = rig.near.received()
    assert frame[:8] == bytes.fromhex("fc33000000016000")
    assert frame[8 + 40] == 134
    assert list(rig.network.delivered) == []


def test_more_solicitations_than_it_can_answer_are_counted() -> None:
    rig = running(buffer_count=2)  # both went to the announcements
    rig.near.send(open_frame(0), *[frame_of(SOLICITATION)] * 30)
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.near.tx.retire(rig.near.tx.completed())
    rig.near.send(*[frame_of(SOLICITATION)] * 30)
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    status = rig.modem.status(now=3 * MILLISECOND)
    assert status["frames_pending"] == PENDING_FRAMES
    assert status["channels"][0]["downlink"]["drops"] == {"queue_full": 28}  # type: ignore[index]


def test_what_the_host_has_open_survives_a_sleep() -> None:
    rig = running()
    rig.near.send(open_frame(0))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.run_until(SECOND)
    rig.modem.line_changed(Line.HOST_ACK, 2, now=SECOND)
    rig.modem.line_changed(Line.HOST_VOTE, 1, now=SECOND)
    rig.run_until(2 * SECOND)
    rig.near.send(frame_of(packet4()))
    rig.modem.line_changed(Line.HOST_ACK, 3, now=2 * SECOND)
    assert list(rig.network.delivered) == [packet4()]


# -- packets of the network


def test_a_packet_goes_from_the_network_to_the_host() -> None:
    rig = running()
    rig.near.send(open_frame(0))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.taken()
    rig.network.outgoing.append(DOWNLINK)
    assert rig.modem.wants_network_packets
    assert rig.modem.receive_from_network(now=4 * MILLISECOND) == 1
    assert rig.taken() == [RingDoorbell(Pipe.RX)]
    assert rig.near.received() == [frame_of(DOWNLINK)]


def test_each_frame_down_keeps_the_power_for_a_while() -> None:
    rig = running()
    rig.near.send(open_frame(0))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.network.outgoing.append(DOWNLINK)
    rig.modem.receive_from_network(now=50 * MILLISECOND)
    rig.taken()
    assert rig.run_until(SECOND) == [(152_500 * MICROSECOND, POWER_LOW)]


def test_a_packet_that_nobody_gets_does_not_keep_the_power() -> None:
    rig = running()
    rig.network.outgoing.append(DOWNLINK)  # its channel is closed
    assert rig.modem.receive_from_network(now=50 * MILLISECOND) == 1
    assert rig.run_until(SECOND) == [(104_500 * MICROSECOND, POWER_LOW)]


def test_a_host_next_door_is_served_and_no_doorbell_rings() -> None:
    rig = running(buffer_count=2)
    rig.near.send(open_frame(0))
    rig.modem.serve(Pipe.TX, now=3 * MILLISECOND)
    assert rig.taken() == []
    assert rig.near.tx.completed() == 1
    rig.near.received()
    rig.near.queue_buffers(2)
    received: list[list[bytes]] = []

    def host(pipe: Pipe, now: int) -> None:
        assert (pipe, now) == (Pipe.RX, 4 * MILLISECOND)
        received.append(rig.near.received())
        if len(received) < 3:  # and then it has none to give
            rig.near.queue_buffers(2)

    rig.network.outgoing.extend([DOWNLINK] * 7)
    assert rig.modem.receive_from_network(now=4 * MILLISECOND, next_door=host) == 6
    assert received == [[frame_of(DOWNLINK)] * 2] * 3
    assert rig.taken() == []


def test_a_host_next_door_is_served_no_more_than_the_budget() -> None:
    rig = running(buffer_count=4)
    rig.near.send(open_frame(0))
    rig.modem.serve(Pipe.TX, now=3 * MILLISECOND)
    rig.near.received()
    rig.near.queue_buffers(4)
    served: list[int] = []

    def host(pipe: Pipe, now: int) -> None:
        served.append(len(rig.near.received()))
        rig.near.queue_buffers(served[-1])

    rig.network.outgoing.extend([DOWNLINK] * 20)
    assert rig.modem.receive_from_network(now=4 * MILLISECOND, budget=10, next_door=host) == 10
    assert sum(served) == 10


@pytest.mark.parametrize(("buffer_count", "expected"), [(32, True), (18, True), (17, False), (2, False)])
def test_it_has_buffers_to_spare_with_half_of_them(buffer_count: int, expected: bool) -> None:
    rig = running(buffer_count)  # two of which the announcements have taken
    assert rig.modem.has_buffers_to_spare is expected


def test_without_power_it_has_no_buffers_to_spare() -> None:
    assert not asleep().modem.has_buffers_to_spare


def test_it_reads_no_more_than_the_budget() -> None:
    rig = running()
    rig.network.outgoing.extend([DOWNLINK] * 3)
    assert rig.modem.receive_from_network(now=3 * MILLISECOND, budget=2) == 2
    assert len(rig.network.outgoing) == 1


def test_a_waiting_packet_makes_a_sleeping_modem_ask_for_power() -> None:
    rig = asleep()
    rig.network.outgoing.append(DOWNLINK)
    assert rig.modem.wants_network_packets
    assert rig.modem.receive_from_network(now=SECOND) == 0
    assert len(rig.network.outgoing) == 1
    assert not rig.modem.wants_network_packets  # or the world would spin until the power is there
    assert rig.run_until(2 * SECOND) == [(SECOND + 1500 * MICROSECOND, POWER_HIGH)]
    assert not rig.modem.wants_network_packets
    rig.near.queue_buffers(8)
    rig.modem.line_changed(Line.HOST_ACK, 3, now=2 * SECOND)
    assert rig.modem.wants_network_packets
    assert rig.modem.receive_from_network(now=2 * SECOND) == 1


def test_it_wants_no_packets_without_buffers() -> None:
    rig = running(buffer_count=2)
    assert not rig.modem.wants_network_packets
    rig.near.queue_buffers(1)
    rig.modem.doorbell_rang(Pipe.RX, now=3 * MILLISECOND)
    assert rig.modem.wants_network_packets


def test_it_wants_no_packets_while_it_falls() -> None:
    rig = running()
    rig.run_until(SECOND)
    assert rig.modem.power_state is PowerState.FALLING
    assert not rig.modem.wants_network_packets


# -- idle


def test_an_idle_modem_falls_silent() -> None:
    rig = asleep()
    assert rig.run_until(3600 * SECOND) == []
    assert rig.modem.deadline is None


# -- crash


def test_a_crash_drops_the_power_and_what_is_under_way() -> None:
    rig = running()
    rig.near.send(open_frame(0), frame_of(packet4()))
    rig.modem.crash(now=SECOND)
    assert rig.taken() == [POWER_LOW]
    rig.modem.doorbell_rang(Pipe.TX, now=SECOND)
    assert list(rig.network.delivered) == []
    assert not rig.modem.wants_network_packets


def test_after_a_crash_it_announces_anew_and_has_forgotten_what_was_open() -> None:
    rig = running()
    rig.near.send(open_frame(0))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.modem.crash(now=SECOND)
    rig.near.received()
    rig.modem.line_changed(Line.HOST_ACK, 2, now=SECOND)
    rig.modem.boot(now=SECOND)
    rig.run_until(2 * SECOND)
    rig.near.queue_buffers(8)
    rig.near.send(frame_of(packet4()))
    rig.modem.line_changed(Line.HOST_ACK, 3, now=2 * SECOND)
    assert rig.near.received() == [open_frame(0), open_frame(1)]
    assert list(rig.network.delivered) == []


def test_a_crash_keeps_the_counters() -> None:
    rig = running()
    rig.near.send(open_frame(0), frame_of(packet4()))
    rig.modem.doorbell_rang(Pipe.TX, now=3 * MILLISECOND)
    rig.modem.crash(now=SECOND)
    status = rig.modem.status(now=SECOND)
    assert status["frames_received"] == 2
    assert status["channels"][0]["uplink"]["packets"] == 1  # type: ignore[index]


# -- status


def test_the_status_is_json() -> None:
    rig = running()
    rig.modem.line_changed(Line.HOST_VOTE, 1, now=3 * MILLISECOND)
    status = json.loads(json.dumps(rig.modem.status(now=5 * MILLISECOND)))
    assert status["profile"] == "msm8916"
    assert status["booted"] is True
    assert status["power"] == {
        "state": "up",
        "host_votes": True,
        "vote_edge_count": 1,
        "vote_acks_sent": 0,
        "host_acks_seen": 1,
        "ack_timeouts": 0,
        "rises": 1,
        "time_up_ns": 3 * MILLISECOND,
    }
    assert status["frames_sent"] == 2
    assert status["channels"][1] == {
        "channel": 1,
        "host_open": False,
        "bearer": {
            "is_up": True,
            "versions": [4, 6],
            "mtu": 1500,
            "address4": "10.64.1.2/30",
            "gateway4": "10.64.1.1",
            "prefix6": "2001:db8:64:1::/64",
            "gateway6": "2001:db8:64:1::1",
        },
        "uplink": {"packets": 0, "bytes": 0, "drops": {}},
        "downlink": {"packets": 0, "bytes": 0, "drops": {}},
    }
    assert status["channels"][7] == {"channel": 7, "host_open": False, "bearer": None}
    assert status["bad_descriptors"] == {"tx": 0, "rx": 0}
    assert status["bad_tails"] == {"tx": 0, "rx": 0}


# -- whoever is on the other side


def test_our_own_lines_are_not_told_to_us() -> None:
    with pytest.raises(AssertionError):
        Rig().modem.line_changed(Line.MODEM_POWER, 1, now=0)


WORD = st.integers(0, 0xFFFF_FFFF)
PIPE = st.sampled_from(list(Pipe))
STEP = st.one_of(
    st.tuples(st.just("scribble"), st.integers(0, 1 << 20), st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("tail"), PIPE, WORD),
    st.tuples(st.just("descriptor"), PIPE, st.integers(0, 4094), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just("frames"), st.integers(1, 8), st.binary(max_size=80)),
    st.tuples(st.just("line"), st.sampled_from([Line.HOST_VOTE, Line.HOST_ACK]), WORD),
    st.tuples(st.just("doorbell"), PIPE),
    st.tuples(st.just("network"), st.binary(max_size=100)),
    st.tuples(st.just("wait"), st.integers(0, 3 * SECOND)),
    st.tuples(st.just("crash")),
    st.tuples(st.just("boot")),
)


@settings(deadline=None)
@given(steps=st.lists(STEP, max_size=40), is_up=st.booleans())
def test_no_host_can_make_it_raise_hang_or_grow(steps: list[tuple], is_up: bool) -> None:  # type: ignore[type-arg]
    rig = running() if is_up else Rig()
    near, modem, now = rig.near, rig.modem, SECOND
    levels = {
        Line.MODEM_POWER: modem.power_state in (PowerState.RISING, PowerState.UP),
        Line.MODEM_ACK: False,
    }
    for step in steps:
        match step:
            case ("scribble", offset, data):
                offset %= len(near.memory) - len(data)
                near.memory[offset : offset + len(data)] = data
            case ("tail", pipe, word):
                offset = near.layout.pipe(pipe).tail_offset
                near.memory[offset : offset + 4] = word.to_bytes(4, "little")
            case ("descriptor", pipe, entry, data):
                offset = near.layout.pipe(pipe).fifo_offset + entry * 8
                near.memory[offset : offset + 8] = data
            case ("frames", count, data):
                if near.tx.in_flight > 64:
                    near.tx.terminate()
                near.send(*[frame_of(data, channel=3)] * count, open_frame(count % 8))
                modem.doorbell_rang(Pipe.TX, now)
            case ("line", line, edge_count):
                modem.line_changed(line, edge_count, now)
            case ("doorbell", pipe):
                modem.doorbell_rang(pipe, now)
            case ("network", packet):
                rig.network.outgoing.append(packet)
                if modem.wants_network_packets:
                    modem.receive_from_network(now)
            case ("wait", duration):
                now += duration
                modem.handle_timeout(now)
            case ("crash",):
                modem.crash(now)
            case ("boot",) if not modem.is_booted:
                modem.boot(now)
        for action in rig.taken():
            if isinstance(action, SetLine):
                assert action.level is not levels[action.line]
                levels[action.line] = action.level
            else:
                assert isinstance(action, RingDoorbell)
        assert levels[Line.MODEM_POWER] is (modem.power_state in (PowerState.RISING, PowerState.UP))
        status = modem.status(now)
        json.dumps(status)
        assert status["frames_pending"] <= PENDING_FRAMES  # type: ignore[operator]
    for _ in range(8):  # left alone, it comes to rest, or waits for a host that holds it up
        if modem.deadline is not None:
            now = max(now, modem.deadline)
            modem.handle_timeout(now)
            assert modem.deadline is None or modem.deadline > now


# -- firmware that announces later


def late(announce: Announce, buffer_count: int = 8) -> Rig:
    """A modem with the channels 0 and 1 that has booted, and the host has yet to do something."""
    rig = Rig()
    profile = replace(rig.modem.profile, announce=announce)
    rig.modem = Modem(profile, rig.near.tx_peer, rig.near.rx_peer, rig.network)
    rig.near.queue_buffers(buffer_count)
    rig.modem.boot(now=0)
    return rig


def woken(rig: Rig, now: int) -> None:
    """The host votes, gets its power, and acks that."""
    rig.modem.line_changed(Line.HOST_VOTE, 1, now)
    assert POWER_HIGH in [action for _, action in rig.run_until(now + 10 * MILLISECOND)]
    rig.modem.line_changed(Line.HOST_ACK, 1, now + 10 * MILLISECOND)


def opens(rig: Rig, *channels: int, now: int) -> list[bytes]:
    """The host opens channels; what comes back."""
    rig.near.send(*(open_frame(channel) for channel in channels))
    rig.modem.doorbell_rang(Pipe.TX, now)
    return rig.near.received()


@pytest.mark.parametrize("announce", [Announce.WHEN_OPENED, Announce.AFTER_OPEN_PORT])
def test_without_a_channel_to_announce_it_boots_without_power(announce: Announce) -> None:
    rig = late(announce)
    assert rig.modem.deadline is None
    assert rig.taken() == []


@pytest.mark.parametrize("announce", [Announce.WHEN_OPENED, Announce.AFTER_OPEN_PORT])
def test_with_the_hosts_power_alone_it_still_announces_nothing(announce: Announce) -> None:
    rig = late(announce)
    woken(rig, now=SECOND)
    rig.run_until(10 * SECOND)
    assert rig.near.received() == []


def test_it_answers_an_open_of_the_host_with_its_own() -> None:
    rig = late(Announce.WHEN_OPENED)
    woken(rig, now=SECOND)
    assert opens(rig, 1, now=2 * SECOND) == [open_frame(1)]
    assert opens(rig, 0, now=3 * SECOND) == [open_frame(0)]


def test_it_answers_a_host_that_asks_again_for_that_may_be_another_one() -> None:
    rig = late(Announce.WHEN_OPENED)
    woken(rig, now=SECOND)
    assert opens(rig, 0, now=2 * SECOND) == opens(rig, 0, now=3 * SECOND) == [open_frame(0)]


def test_a_channel_that_it_lacks_is_not_answered() -> None:
    rig = late(Announce.WHEN_OPENED)
    woken(rig, now=SECOND)
    assert opens(rig, 2, now=2 * SECOND) == []


def test_a_thousand_opens_without_a_buffer_get_one_answer() -> None:
    rig = late(Announce.WHEN_OPENED, buffer_count=0)
    woken(rig, now=SECOND)
    for _ in range(1000):
        opens(rig, 0, now=2 * SECOND)
        rig.near.tx.retire(rig.near.tx.completed())
    assert rig.modem.status(now=2 * SECOND)["frames_pending"] == 1
    rig.near.queue_buffers(8)
    rig.modem.doorbell_rang(Pipe.RX, now=3 * SECOND)
    assert rig.near.received() == [open_frame(0)]


def test_firmware_that_announces_by_itself_does_not_answer_opens() -> None:
    rig = running()
    assert opens(rig, 0, 1, now=2 * MILLISECOND) == []


def test_what_is_to_be_announced_brings_the_power() -> None:
    rig = late(Announce.AFTER_OPEN_PORT)
    rig.modem.announce(1, now=SECOND)
    assert POWER_HIGH in [action for _, action in rig.run_until(SECOND + 10 * MILLISECOND)]
    assert rig.near.received() == []
    rig.modem.line_changed(Line.HOST_ACK, 1, now=2 * SECOND)
    assert rig.near.received() == [open_frame(1)]


def test_with_power_a_channel_is_announced_and_withdrawn_at_once() -> None:
    rig = late(Announce.AFTER_OPEN_PORT)
    woken(rig, now=SECOND)
    rig.modem.announce(0, now=2 * SECOND)
    rig.modem.withdraw(0, now=2 * SECOND)
    assert rig.near.received() == [open_frame(0), close_frame(0)]


def test_of_what_changes_while_it_sleeps_the_host_hears_the_end() -> None:
    rig = late(Announce.AFTER_OPEN_PORT)
    rig.modem.announce(0, now=SECOND)
    rig.modem.announce(1, now=SECOND)
    rig.modem.withdraw(0, now=SECOND)
    rig.run_until(2 * SECOND)
    rig.modem.line_changed(Line.HOST_ACK, 1, now=2 * SECOND)
    assert rig.near.received() == [open_frame(1), close_frame(0)]


def test_a_modem_that_is_dead_announces_nothing_now_or_later() -> None:
    rig = late(Announce.AFTER_OPEN_PORT)
    rig.modem.announce(0, now=SECOND)
    rig.modem.crash(now=SECOND)
    rig.modem.announce(1, now=SECOND)
    rig.modem.boot(now=2 * SECOND)
    assert rig.modem.deadline is None


def test_announcements_that_find_the_queue_full_wait_for_space() -> None:
    rig = late(Announce.AFTER_OPEN_PORT, buffer_count=0)
    woken(rig, now=SECOND)
    opens(rig, 0, now=SECOND)
    rig.near.send(*(frame_of(SOLICITATION) for _ in range(PENDING_FRAMES)))
    rig.modem.doorbell_rang(Pipe.TX, now=2 * SECOND)
    rig.modem.announce(1, now=2 * SECOND)
    assert rig.modem.status(now=2 * SECOND)["frames_pending"] == PENDING_FRAMES
    rig.near.queue_buffers(8)
    rig.modem.doorbell_rang(Pipe.RX, now=3 * SECOND)
    assert len(rig.near.received()) == 8
    rig.near.queue_buffers(32)
    rig.modem.doorbell_rang(Pipe.RX, now=4 * SECOND)
    assert rig.near.received()[-1] == open_frame(1)
