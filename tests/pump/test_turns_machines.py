"""Turns of a whole driver: what came back within a call is not forgotten, and the link goes to sleep."""

from bamdmux.actions import Action, Pipe, RingDoorbell
from bamdmux.timing import MILLISECOND, SECOND
from bamdmux.wire.dmux import Command, Frame, encode_frame
from bamdmux.wire.offload import NO_OFFLOAD, segment
from tests.pair import numbers, uplink
from tests.pump.linked import KernelPair
from tests.pump.rings import put_word
from tests.pump.scribbler import SLOTS
from tests.pump.test_scribbled import rounds
from tests.pump.turns import AT_ONCE, ATTEMPTS, News, at_work, awake, frames_in_flight, packet_in, taken_by
from tests.super_packets import Segment, pattern


class Attended(KernelPair):
    """Both machines, at rest and with power, channel 0 open; the host believes that the modem is awake."""

    def __init__(self) -> None:
        super().__init__(pumps=True, slot_count=SLOTS)
        self.start_with(0)
        assert self.host_power() == "active"
        assert self.host_tx.in_flight == 0
        self.delivered()
        self.host_tx.pump_in_turns(awake())

    def done_ahead(self, entries: int) -> None:
        """The modem says that it has taken so many frames behind the last, before there are any."""
        entry = self.host_tx._tail + entries
        put_word(self.memory, self.layout.tx.position_offset, entry, generation=self.host_tx._generation)

    def give_uplink(self, *sent: int) -> None:
        self.give(self.devices[0], *((NO_OFFLOAD, uplink(number)) for number in sent))

    def come_to_rest(self) -> None:
        """Every slot comes back, and the link goes to sleep."""
        self.settle()
        ring = self.host._transmit_ring
        assert (ring.free, ring.is_empty, self.host_tx.in_flight) == (SLOTS, True, 0)
        assert not self.host.is_stopped
        assert self.host.deadline == self.now + SECOND
        self.run_for(2 * SECOND)
        assert self.host_power() == "suspended"

    def arrived(self) -> list[bytes]:
        """What the network got."""
        return self.ports[0].kernel.delivered()


def test_a_link_whose_frames_came_back_within_the_call_goes_to_sleep() -> None:
    with Attended() as pair:
        pair.give_uplink(*range(SLOTS))
        pair.done_ahead(SLOTS)
        pair.run_for(MILLISECOND * 300, settling=False)
        assert pair.host.transmit([0], pair.now) == SLOTS
        assert (pair.host_tx.in_flight, pair.host._transmit_ring.free) == (0, SLOTS)
        assert pair.host._transmit_ring.is_empty
        assert not pair.host.awaits_slots
        assert pair.host.deadline == pair.now + SECOND  # autosuspend: nothing is in flight to look after
        assert ring_tx(pair.host._outbox) == 1
        pair.come_to_rest()
        assert numbers(pair.arrived()) == [*range(SLOTS)]


def test_a_link_of_whose_frames_some_came_back_within_the_call_stays_awake_for_the_others() -> None:
    with Attended() as pair:
        pair.give_uplink(*range(12))
        pair.done_ahead(4)
        assert pair.host.transmit([0], pair.now) == 12
        assert (pair.host_tx.in_flight, pair.host._transmit_ring.free) == (SLOTS, 0)
        assert pair.host._vote.deadline is None  # no autosuspend
        assert pair.host.deadline == pair.now + SECOND  # to look whether a doorbell was lost
        assert pair.host.is_stopped
        assert ring_tx(pair.host._outbox) == 1
        pair.come_to_rest()
        assert pair.host.channels[0].transmitted.packet_count == 12


def test_slots_that_come_back_to_a_call_that_sends_nothing_count_too() -> None:
    with Attended() as pair:
        pair.give_uplink(*range(6))
        big = Segment(payload=pattern(600)).super_packet(100)
        pair.give(pair.devices[0], big)
        assert pair.host.transmit([0], pair.now) == 6
        assert pair.host.is_stopped  # for want of slots
        pair.run_for(MILLISECOND * 300, settling=False)
        frames = taken_by(pair.modem._tx, 3)
        assert pair.host.transmit([0], pair.now) == 0
        assert (pair.host_tx.in_flight, pair.host._transmit_ring.free) == (3, 5)
        assert pair.host.is_stopped  # still
        assert pair.host.deadline == pair.now + SECOND  # it was heard of
        frames += taken_by(pair.modem._tx, 3)
        assert pair.host.transmit([0], pair.now) == 6
        assert (pair.host_tx.in_flight, pair.host._transmit_ring.free) == (6, 2)
        assert not pair.host.is_stopped
        pair.come_to_rest()
        assert numbers(map(packet_in, frames)) == [*range(6)]
        assert pair.arrived() == segment(*big)


def ring_tx(outbox: list[Action]) -> int:
    return outbox.count(RingDoorbell(Pipe.TX))


def test_a_real_modem_at_work_takes_what_one_call_sends() -> None:
    with Attended() as pair:
        news, most, sent = News(pair.memory, pair.layout.tx.tail_offset), 0, 0
        delivered: list[bytes] = []

        def modem() -> None:
            news.wait()
            pair.modem.doorbell_rang(Pipe.TX, pair.now)
            delivered.extend(pair.arrived())

        with at_work(modem):
            for _ in range(ATTEMPTS):
                pair.give_uplink(*range(sent, sent + AT_ONCE))
                for _ in rounds():
                    moved = pair.host.transmit([0], pair.now, budget=AT_ONCE)
                    most, sent = max(most, moved), sent + moved
                    assert ring_tx(pair.host._outbox) >= (moved > 0)
                    pair.host.doorbell_rang(Pipe.TX, pair.now)
                    assert pair.host._transmit_ring.free == SLOTS - pair.host_tx.in_flight
                    if not pair.devices[0].outgoing:
                        break
                if most > SLOTS:
                    break
        assert most > SLOTS
        assert numbers(delivered) == [*range(sent)]
        pair.come_to_rest()
        assert pair.host.channels[0].transmitted.packet_count == sent


def test_packets_behind_an_open_that_nobody_has_taken_wait_their_turn() -> None:
    """Whatever the modem says of slots, the OPEN goes first, and the driver is the one who forgets it."""
    with Attended() as pair:
        pair.set_up(1)  # its OPEN is in the ring
        opening = encode_frame(Frame(Command.OPEN, 1))
        assert [bytes(each) for each in frames_in_flight(pair.host_tx)] == [opening]
        pair.give_uplink(*range(5))
        pair.done_ahead(3)
        assert pair.host.transmit([0], pair.now) == 5
        assert [packet_in(each) for each in frames_in_flight(pair.host_tx)] == [
            b"",
            *(uplink(number) for number in range(5)),
        ]
        assert pair.host._transmit_ring._command_count == 1
        pair.settle()
        assert pair.host._transmit_ring._command_count == 0
        assert pair.open_at_modem()[1]
        pair.come_to_rest()
        assert numbers(pair.arrived()) == [*range(5)]
