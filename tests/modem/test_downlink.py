import pytest

from bamdmux.actions import Action, Pipe, RingDoorbell
from bamdmux.counters import DropReason
from bamdmux.modem.downlink import PENDING_FRAMES, Downlink
from bamdmux.modem.network import Bearer, PacketDataNetwork
from bamdmux.netdevice import QueueDevice
from bamdmux.wire.dmux import Command
from tests.modem.near_end import NearEnd, ResetPeer, close_frame, frame_of, open_frame, packet4, packet6

PACKET = packet4(source="198.51.100.7", destination="10.64.0.2")
OTHER = packet4(source="198.51.100.7", destination="10.64.1.2", length=30)
STRAY = packet4(source="198.51.100.7", destination="10.64.7.2")


class Rig:
    """A Downlink with channels 0 and 1, both opened by the host."""

    def __init__(self, buffer_count: int = 8, size: int = 2048, mtu: int = 1500) -> None:
        self.near = NearEnd()
        self.near.queue_buffers(buffer_count, size)
        self.network = PacketDataNetwork((0, 1), mtu=mtu)
        self.outbox: list[Action] = []
        self.downlink = Downlink(self.near.rx_peer, self.network, self.outbox)
        self.host_open = [True, True] + [False] * 6

    def bearer(self, channel: int = 0) -> Bearer:
        bearer = self.network.bearers[channel]
        assert bearer is not None
        return bearer

    def fill(self, *packets: bytes, budget: int = 32) -> tuple[int, int]:
        return self.downlink.fill_from(QueueDevice(packets), self.host_open, budget)


# -- packets


def test_a_packet_becomes_a_frame_without_padding() -> None:
    rig = Rig()
    assert rig.fill(PACKET) == (1, 1)
    assert rig.near.received() == [bytes.fromhex("fc33000000001c00") + PACKET]
    assert rig.bearer().downlink.as_dict() == {"packets": 1, "bytes": 28, "drops": {}}


def test_the_destination_decides_the_channel() -> None:
    rig = Rig()
    other6 = packet6(source="2001:db8::1", destination="2001:db8:64:1:aa::bb")
    rig.fill(OTHER, PACKET, other6)
    assert rig.near.received() == [frame_of(OTHER, 1), frame_of(PACKET, 0), frame_of(other6, 1)]


def test_a_batch_rings_one_doorbell() -> None:
    rig = Rig()
    rig.fill(PACKET, OTHER, PACKET)
    assert rig.outbox == [RingDoorbell(Pipe.RX)]
    assert rig.downlink.frame_count == 3


def test_no_packet_rings_no_doorbell_and_costs_no_buffer() -> None:
    rig = Rig(buffer_count=1)
    assert rig.fill() == (0, 0)
    assert rig.outbox == []
    assert rig.downlink.has_buffer()


def test_no_more_are_read_than_there_are_buffers() -> None:
    rig = Rig(buffer_count=2)
    assert rig.fill(PACKET, PACKET, PACKET) == (2, 2)
    assert not rig.downlink.has_buffer()


def test_no_more_are_read_than_the_budget() -> None:
    rig = Rig()
    assert rig.fill(PACKET, STRAY, PACKET, budget=2) == (2, 1)


def test_a_packet_longer_than_the_mtu_of_its_bearer_is_dropped() -> None:
    rig = Rig(mtu=1400)
    fits, too_long = (packet4(destination="10.64.0.2", length=length) for length in (1400, 1401))
    rig.fill(too_long, fits)
    assert rig.near.received() == [frame_of(fits)]
    assert rig.bearer().downlink.drops == {DropReason.LONGER_THAN_MTU: 1}


@pytest.mark.parametrize("version", [4, 6])
def test_a_bearer_that_is_down_for_one_version_of_ip_carries_the_other(version: int) -> None:
    rig = Rig()
    own6 = packet6(source="2001:db8::1", destination="2001:db8:64:0:aa::bb")
    rig.bearer().deactivate(version)
    rig.fill(PACKET, own6)
    assert rig.near.received() == [frame_of(own6 if version == 4 else PACKET)]
    assert rig.bearer().downlink.drops == {DropReason.NO_BEARER: 1}


def test_the_largest_packet_fills_the_buffer() -> None:
    rig = Rig(mtu=2040)
    packet = packet4(destination="10.64.0.2", length=2040)
    rig.fill(packet)
    assert rig.near.received() == [frame_of(packet)]


def test_the_packet_information_of_the_device_does_not_stay_in_the_header() -> None:
    rig = Rig()

    class Talkative(QueueDevice):
        """Says the protocol, as a TUN does."""

        def read_into(self, buffer: memoryview) -> int:
            used = super().read_into(buffer)
            buffer[2:4] = b"\x08\x00"
            return used

    rig.downlink.fill_from(Talkative([PACKET]), rig.host_open, 32)
    assert rig.near.received() == [frame_of(PACKET)]


# -- packets that go nowhere


def test_a_packet_for_no_bearer_leaves_its_buffer_to_the_next() -> None:
    rig = Rig(buffer_count=1)
    assert rig.fill(STRAY, PACKET) == (2, 1)
    assert rig.near.received() == [frame_of(PACKET)]
    assert rig.downlink.strays.drops == {DropReason.NO_BEARER: 1}


def test_a_packet_for_a_bearer_that_is_down_is_dropped() -> None:
    rig = Rig()
    rig.bearer().deactivate(4, 6)
    assert rig.fill(PACKET) == (1, 0)
    assert rig.bearer().downlink.drops == {DropReason.NO_BEARER: 1}


def test_a_packet_for_a_channel_that_the_host_has_not_opened_is_dropped() -> None:
    rig = Rig()
    rig.host_open[0] = False
    assert rig.fill(PACKET) == (1, 0)
    assert rig.bearer().downlink.drops == {DropReason.INACTIVE_CHANNEL: 1}


def test_a_packet_that_the_device_had_to_cut_is_dropped() -> None:
    rig = Rig()
    assert rig.fill(packet4(destination="10.64.0.2", length=2041), PACKET) == (2, 1)
    assert rig.bearer().downlink.drops == {DropReason.TRUNCATED_BY_DEVICE: 1}


@pytest.mark.parametrize("packet", [PACKET[:19], packet6()[:39], b"\x45", b""])
def test_a_packet_too_short_for_addresses_is_truncated(packet: bytes) -> None:
    rig = Rig()
    assert rig.fill(packet) == (1, 0)
    assert rig.downlink.strays.drops == {DropReason.TRUNCATED: 1}


def test_what_is_not_ip_has_no_bearer() -> None:
    rig = Rig()
    rig.fill(bytes(60))
    assert rig.downlink.strays.drops == {DropReason.NO_BEARER: 1}


def test_a_buffer_out_of_bounds_is_given_back_empty_and_the_packet_takes_the_next() -> None:
    rig = Rig(buffer_count=2)
    fifo = rig.near.layout.rx.fifo_offset
    rig.near.memory[fifo : fifo + 4] = bytes(4)
    assert rig.fill(PACKET) == (1, 1)
    assert rig.near.received() == [b"", frame_of(PACKET)]
    assert rig.downlink.strays.drops == {DropReason.BAD_DESCRIPTOR: 1}
    assert rig.near.rx_peer.bad_descriptor_count == 1


def test_buffers_too_small_for_any_packet_are_given_back_empty() -> None:
    rig = Rig(buffer_count=3, size=8)
    assert rig.fill(PACKET) == (0, 0)
    assert rig.near.received() == [b"", b"", b""]
    assert rig.outbox == [RingDoorbell(Pipe.RX)]


# -- what the modem has to say itself


def test_commands_wait_for_buffers_and_go_in_order() -> None:
    rig = Rig(buffer_count=2)
    for channel in range(3):
        rig.downlink.queue_command(Command.OPEN, channel)
    assert rig.downlink.flush(rig.host_open) == 2
    assert rig.near.received() == [open_frame(0), open_frame(1)]
    assert rig.outbox == [RingDoorbell(Pipe.RX)]
    assert rig.downlink.pending_count == 1
    rig.near.queue_buffers(1)
    assert rig.downlink.flush(rig.host_open) == 1
    assert rig.near.received() == [open_frame(2)]


def test_what_was_said_last_and_waits_still_is_not_said_twice() -> None:
    rig = Rig(buffer_count=0)
    said = (Command.OPEN, Command.OPEN, Command.CLOSE, Command.CLOSE, Command.OPEN)
    for command in said:
        rig.downlink.queue_command(command, 0)
        rig.downlink.queue_command(command, 1)
    rig.near.queue_buffers(8)
    rig.downlink.flush(rig.host_open)
    frames = [open_frame(0), open_frame(1), close_frame(0), close_frame(1), open_frame(0), open_frame(1)]
    assert rig.near.received() == frames


def test_nothing_that_waits_rings_no_doorbell() -> None:
    rig = Rig()
    assert rig.downlink.flush(rig.host_open) == 0
    assert rig.outbox == []


def test_a_packet_of_the_modem_itself_goes_to_its_bearers_channel() -> None:
    rig = Rig()
    rig.downlink.queue_packet(rig.bearer(1), packet6())
    rig.downlink.flush(rig.host_open)
    assert rig.near.received() == [frame_of(packet6(), channel=1)]
    assert rig.bearer(1).downlink.as_dict() == {"packets": 1, "bytes": 48, "drops": {}}


def test_it_is_dropped_if_the_host_has_closed_the_channel_meanwhile() -> None:
    rig = Rig()
    rig.downlink.queue_packet(rig.bearer(1), packet6())
    rig.host_open[1] = False
    assert rig.downlink.flush(rig.host_open) == 0
    assert rig.bearer(1).downlink.drops == {DropReason.INACTIVE_CHANNEL: 1}
    assert rig.downlink.pending_count == 0


def test_it_is_dropped_if_the_hosts_buffers_are_too_small_and_takes_none() -> None:
    rig = Rig(buffer_count=1, size=40)
    rig.downlink.queue_packet(rig.bearer(), packet6())
    rig.downlink.queue_command(Command.OPEN, 0)
    assert rig.downlink.flush(rig.host_open) == 1
    assert rig.near.received() == [open_frame(0)]
    assert rig.bearer().downlink.drops == {DropReason.TOO_LONG: 1}


def test_the_queue_of_what_waits_has_a_bound() -> None:
    rig = Rig(buffer_count=0)
    for _ in range(PENDING_FRAMES + 3):
        rig.downlink.queue_packet(rig.bearer(), packet6())
    assert rig.downlink.pending_count == PENDING_FRAMES
    assert rig.bearer().downlink.drops == {DropReason.QUEUE_FULL: 3}


def test_a_command_passes_over_buffers_that_hold_none() -> None:
    rig = Rig(buffer_count=1, size=7)
    rig.downlink.queue_command(Command.OPEN, 0)
    assert rig.downlink.flush(rig.host_open) == 0
    assert rig.near.received() == [b""]
    assert rig.outbox == [RingDoorbell(Pipe.RX)]
    assert rig.downlink.pending_count == 1


def test_a_crash_forgets_what_waits() -> None:
    rig = Rig()
    rig.downlink.queue_command(Command.OPEN, 0)
    rig.downlink.reset()
    assert rig.downlink.flush(rig.host_open) == 0


# -- the host resets the pipe while we hold a buffer


def reset_rig() -> Rig:
    rig = Rig()
    peer = ResetPeer(rig.near.memory, rig.near.layout.rx)
    peer.owner = rig.near.rx
    rig.downlink = Downlink(peer, rig.network, rig.outbox)
    return rig


def test_a_packet_in_a_buffer_that_is_no_longer_ours_is_lost() -> None:
    rig = reset_rig()
    assert rig.fill(PACKET, PACKET) == (1, 0)
    assert rig.bearer().downlink.drops == {DropReason.LOST_IN_FLIGHT: 1}
    assert rig.outbox == []


def test_a_command_in_a_buffer_that_is_no_longer_ours_waits_for_the_next() -> None:
    rig = reset_rig()
    rig.downlink.queue_command(Command.OPEN, 0)
    assert rig.downlink.flush(rig.host_open) == 0
    assert rig.downlink.pending_count == 1
    assert rig.near.received() == []


# -- whether there are buffers


@pytest.mark.parametrize(("packets", "ran_out"), [(1, False), (2, True), (3, True)])
def test_it_ran_out_when_the_last_buffer_was_used(packets: int, ran_out: bool) -> None:
    rig = Rig(buffer_count=2)
    rig.fill(*[PACKET] * packets)
    assert rig.downlink.ran_out is ran_out


def test_it_did_not_run_out_when_there_was_nothing_more() -> None:
    rig = Rig(buffer_count=1)
    rig.fill(PACKET)
    rig.near.queue_buffers(2)
    rig.fill(STRAY)
    assert not rig.downlink.ran_out


@pytest.mark.parametrize(("buffer_count", "expected"), [(32, True), (16, True), (15, False), (0, False)])
def test_half_of_all_buffers_are_enough(buffer_count: int, expected: bool) -> None:
    assert Rig(buffer_count).downlink.has_buffers_to_spare is expected


def test_no_buffer_is_to_spare_while_something_waits_for_one() -> None:
    rig = Rig(buffer_count=32)
    rig.downlink.queue_command(Command.OPEN, 0)
    assert not rig.downlink.has_buffers_to_spare
    rig.downlink.flush(rig.host_open)
    assert rig.downlink.has_buffers_to_spare


def test_no_doorbell_rings_where_the_host_looks_by_itself() -> None:
    rig = Rig()
    assert rig.downlink.fill_from(QueueDevice([PACKET]), rig.host_open, 32, rings=False) == (1, 1)
    assert rig.outbox == []
    assert rig.near.received() == [frame_of(PACKET, 0)]
