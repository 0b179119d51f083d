import pytest

from bamdmux.actions import Action, Log, LogEvent, Pipe, RingDoorbell, Severity
from bamdmux.bam.memory import LinkLayout
from bamdmux.counters import DropReason
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.uplink import Uplink
from bamdmux.netdevice import QueueDevice
from tests.modem.near_end import (
    SOLICITATION,
    NearEnd,
    ResetPeer,
    close_frame,
    frame_of,
    open_frame,
    packet4,
    packet6,
    without_logs,
)


class Rig:
    """An Uplink with channels 0 and 1, of which the host has opened channel 0 unless told otherwise."""

    def __init__(self, layout: LinkLayout | None = None, *, is_open: bool = True, mtu: int = 1500) -> None:
        self.near = NearEnd(layout)
        self.network = PacketDataNetwork((0, 1), mtu=mtu)
        self.outbox: list[Action] = []
        self.uplink = Uplink(self.near.tx_peer, self.network, self.outbox)
        self.device = QueueDevice()
        self.uplink.host_open[0] = is_open
        self.counters = self.network.bearers[0].uplink  # type: ignore[union-attr]

    def drain(self, *frames: bytes) -> list[Action]:
        self.near.send(*frames)
        self.uplink.drain_to(self.device)
        actions = self.outbox[:]
        self.outbox.clear()
        return actions


# -- DATA


def test_a_frame_becomes_a_packet_in_the_network() -> None:
    rig = Rig()
    rig.drain(frame_of(packet4(), pad=4))
    assert list(rig.device.delivered) == [packet4()]
    assert rig.counters.as_dict() == {"packets": 1, "bytes": 28, "drops": {}}


def test_the_network_is_told_the_protocol() -> None:
    rig = Rig()
    rig.drain(frame_of(packet4(), pad=4), frame_of(packet6(), pad=4))
    assert list(rig.device.protocols) == [0x0800, 0x86DD]


def test_frames_without_padding_are_taken_too() -> None:
    rig = Rig()
    rig.drain(frame_of(packet4(length=29)))
    assert list(rig.device.delivered) == [packet4(length=29)]


def test_the_largest_packet_passes() -> None:
    rig = Rig(mtu=2040)
    rig.drain(frame_of(packet4(length=2040), pad=4))
    assert list(rig.device.delivered) == [packet4(length=2040)]


def test_a_packet_longer_than_the_mtu_of_its_bearer_is_dropped() -> None:
    rig = Rig(mtu=1400)
    fits, too_long = packet4(length=1400), packet4(length=1401)
    rig.drain(frame_of(too_long, pad=3), frame_of(fits, pad=4), frame_of(packet6(length=1401), pad=3))
    assert list(rig.device.delivered) == [fits]
    assert rig.counters.drops == {DropReason.LONGER_THAN_MTU: 2}


@pytest.mark.parametrize("version", [4, 6])
def test_a_bearer_that_is_down_for_one_version_of_ip_carries_the_other(version: int) -> None:
    rig = Rig()
    rig.network.bearers[0].deactivate(version)  # type: ignore[union-attr]
    rig.drain(frame_of(packet4(), pad=4), frame_of(packet6(), pad=4))
    assert list(rig.device.delivered) == [packet6() if version == 4 else packet4()]
    assert rig.counters.drops == {DropReason.NO_BEARER: 1}


def test_a_batch_is_given_back_with_one_doorbell() -> None:
    rig = Rig()
    assert rig.drain(*[frame_of(packet4(length=40 + n)) for n in range(5)]) == [RingDoorbell(Pipe.TX)]
    assert rig.near.tx.completed() == 5
    assert [len(packet) for packet in rig.device.delivered] == [40, 41, 42, 43, 44]
    assert rig.uplink.frame_count == 5


def test_nothing_queued_rings_no_doorbell() -> None:
    assert Rig().drain() == []


def test_descriptors_of_tx_stay_as_they_are() -> None:
    rig = Rig()
    fifo = rig.near.layout.tx.fifo_offset
    rig.near.send(frame_of(packet4()))
    before = bytes(rig.near.memory[fifo : fifo + 8])
    rig.uplink.drain_to(rig.device)
    assert bytes(rig.near.memory[fifo : fifo + 8]) == before


def test_a_buffer_is_not_looked_at_again_once_it_was_copied() -> None:
    rig = Rig()

    class ScribblingDevice(QueueDevice):
        """The host changes the buffer while the packet is on its way."""

        def write(self, buffer: memoryview) -> bool:
            rig.near.tx.slot(0)[:] = b"\xee" * 2052
            return super().write(buffer)

    rig.device = ScribblingDevice()
    rig.drain(frame_of(packet4()))
    assert list(rig.device.delivered) == [packet4()]


def test_a_length_of_ffff_means_the_length_of_the_transfer() -> None:
    rig = Rig()
    frame = bytearray(frame_of(packet4()))
    frame[6:8] = b"\xff\xff"
    rig.drain(bytes(frame))
    assert list(rig.device.delivered) == [packet4()]


def test_in_larger_slots_larger_packets_pass() -> None:
    rig = Rig(LinkLayout(transmit_bytes=4096 + 4), mtu=4088)
    rig.drain(frame_of(packet4(length=4088), pad=4))
    assert list(rig.device.delivered) == [packet4(length=4088)]


# -- DATA that goes nowhere


def test_data_on_a_channel_that_the_host_has_not_opened_is_dropped() -> None:
    rig = Rig(is_open=False)
    actions = rig.drain(frame_of(packet4()))
    assert list(rig.device.delivered) == []
    assert rig.counters.drops == {DropReason.INACTIVE_CHANNEL: 1}
    assert Log(Severity.WARNING, LogEvent.INACTIVE_CHANNEL, "fc33000000001c00") in actions


def test_data_on_a_bearer_that_is_down_is_dropped() -> None:
    rig = Rig()
    rig.network.bearers[0].deactivate(4, 6)  # type: ignore[union-attr]
    rig.drain(frame_of(packet4()))
    assert rig.counters.drops == {DropReason.NO_BEARER: 1}


def test_data_on_a_channel_without_bearer_is_dropped() -> None:
    rig = Rig()
    rig.drain(open_frame(5), frame_of(packet4(), channel=5))
    assert rig.uplink.strays.drops == {DropReason.NO_BEARER: 1}


def test_data_from_a_wrong_source_is_dropped() -> None:
    rig = Rig()
    rig.drain(frame_of(packet4(source="10.64.1.2")), frame_of(packet4()))
    assert rig.counters.drops == {DropReason.WRONG_SOURCE: 1}
    assert list(rig.device.delivered) == [packet4()]


def test_data_that_the_network_refuses_is_counted() -> None:
    rig = Rig()
    rig.device.is_up = False
    rig.drain(frame_of(packet4()))
    assert rig.counters.as_dict() == {"packets": 0, "bytes": 0, "drops": {"device_refused": 1}}


def test_solicitations_are_handed_over_and_go_no_further() -> None:
    rig = Rig()
    rig.near.send(frame_of(SOLICITATION))
    bearer = rig.network.bearers[0]
    assert rig.uplink.drain_to(rig.device) == [(bearer, SOLICITATION[8:24])]
    assert list(rig.device.delivered) == []
    assert rig.counters.packet_count == 1


def test_malformed_frames_are_counted_by_what_is_wrong() -> None:
    rig = Rig()
    rig.drain(
        b"\xfc\x33\x00",  # shorter than a header
        b"\xfd\x33" + bytes(6),
        b"\xfc\x33\x00\x00\x00\x08\x01\x00\x45",
        b"\xfc\x33\x00\x03\x00\x00\x00\x00",
        frame_of(packet4(length=2041)),
        b"\xfc\x33\x00\x00\x00\x00\x00\x00",
        frame_of(packet4())[:-1],
    )
    assert rig.uplink.strays.drops == {
        DropReason.TRUNCATED: 2,
        DropReason.BAD_MAGIC: 1,
        DropReason.UNSUPPORTED_CHANNEL: 1,
        DropReason.UNSUPPORTED_COMMAND: 1,
        DropReason.TOO_LONG: 1,
        DropReason.EMPTY: 1,
    }
    assert rig.near.tx.completed() == 7


def test_the_first_malformed_frame_of_a_kind_is_logged_and_no_other() -> None:
    rig = Rig()
    bad = b"\xfd\x33" + bytes(6)
    assert rig.drain(bad, bad) == [
        Log(Severity.WARNING, LogEvent.BAD_MAGIC, "fd33000000000000"),
        RingDoorbell(Pipe.TX),
    ]
    assert without_logs(rig.drain(bad)) == [RingDoorbell(Pipe.TX)]


def test_a_descriptor_out_of_bounds_is_counted_and_completed() -> None:
    rig = Rig()
    rig.near.send(frame_of(packet4()))
    fifo = rig.near.layout.tx.fifo_offset
    rig.near.memory[fifo : fifo + 4] = bytes(4)  # an address in the lines
    rig.uplink.drain_to(rig.device)
    assert rig.uplink.strays.drops == {DropReason.BAD_DESCRIPTOR: 1}
    assert rig.near.tx.completed() == 1
    assert rig.near.tx_peer.bad_descriptor_count == 1


# -- commands


def test_open_and_close_change_the_channel() -> None:
    rig = Rig(is_open=False)
    rig.drain(open_frame(1))
    assert rig.uplink.host_open == [False, True] + [False] * 6
    rig.drain(close_frame(1))
    assert rig.uplink.host_open == [False] * 8


def test_a_change_of_a_channel_is_logged_once() -> None:
    rig = Rig(is_open=False)
    assert rig.drain(open_frame(1), open_frame(1), close_frame(1), close_frame(1)) == [
        Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 1),
        Log(Severity.DEBUG, LogEvent.CHANNEL_CLOSED, 1),
        RingDoorbell(Pipe.TX),
    ]


def test_data_behind_an_open_in_the_same_batch_passes() -> None:
    rig = Rig(is_open=False)
    rig.drain(open_frame(0), frame_of(packet4()), close_frame(0), frame_of(packet4()))
    assert rig.counters.packet_count == 1
    assert rig.counters.drops == {DropReason.INACTIVE_CHANNEL: 1}


def test_the_command_that_is_for_modems_to_send_is_not_supported() -> None:
    rig = Rig(is_open=False)
    rig.drain(b"\xfc\x33\x00\x04\x00\x00\x00\x00")
    assert rig.uplink.host_open == [False] * 8
    assert rig.uplink.strays.drops == {DropReason.UNSUPPORTED_COMMAND: 1}


# -- around a loss of power


def test_a_crash_forgets_what_was_open() -> None:
    rig = Rig()
    host_open = rig.uplink.host_open
    rig.uplink.reset()
    assert rig.uplink.host_open == [False] * 8
    assert rig.uplink.host_open is host_open


def test_a_frame_whose_pipe_was_reset_under_us_is_not_looked_at() -> None:
    rig = Rig()
    peer = ResetPeer(rig.near.memory, rig.near.layout.tx)
    peer.owner = rig.near.tx
    uplink = Uplink(peer, rig.network, rig.outbox)
    rig.near.send(open_frame(1), frame_of(packet4()))
    assert uplink.drain_to(rig.device) == []
    assert list(rig.device.delivered) == []
    assert not uplink.host_open[1]
    assert uplink.frame_count == 0
    assert rig.outbox == []


def test_the_channels_that_the_host_has_opened_lately_are_told_once() -> None:
    rig = Rig()
    rig.drain(open_frame(3), open_frame(1), open_frame(3), close_frame(1))
    assert rig.uplink.take_opened() == [1, 3]
    assert rig.uplink.take_opened() == []
    rig.drain(open_frame(3))
    assert rig.uplink.take_opened() == [3]


def test_what_was_opened_before_a_crash_is_forgotten() -> None:
    rig = Rig()
    rig.drain(open_frame(0))
    rig.uplink.reset()
    assert rig.uplink.take_opened() == []
