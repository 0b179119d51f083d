import pytest

from bamdmux.counters import DropReason
from bamdmux.modem.control.traffic import ERRORS, OVERFLOWS, Direction, Meter, Traffic
from bamdmux.modem.network import Bearer


def test_up_is_what_the_modem_transmits_and_down_is_what_it_receives() -> None:
    bearer = Bearer(0)
    meter = Meter(bearer)
    bearer.uplink.packet_count, bearer.uplink.byte_count = 2, 200
    bearer.downlink.packet_count, bearer.downlink.byte_count = 3, 3000
    assert meter.current() == Traffic(Direction(packets=2, bytes=200), Direction(packets=3, bytes=3000))


@pytest.mark.parametrize("reason", DropReason)
def test_every_drop_is_counted_in_one_place(reason: DropReason) -> None:
    bearer = Bearer(0)
    bearer.downlink.drop(reason)
    counted = Meter(bearer).current().rx
    expected = (reason in ERRORS, reason in OVERFLOWS, reason not in ERRORS | OVERFLOWS)
    assert (counted.errors, counted.overflows, counted.dropped) == expected


def test_a_packet_longer_than_the_mtu_is_an_error_and_one_that_found_no_place_an_overflow() -> None:
    assert DropReason.LONGER_THAN_MTU in ERRORS
    assert DropReason.QUEUE_FULL in OVERFLOWS


def test_a_call_counts_from_its_beginning() -> None:
    bearer = Bearer(0)
    meter = Meter(bearer)
    bearer.uplink.packet_count, bearer.uplink.byte_count = 5, 500
    for reason in (DropReason.NO_BEARER, DropReason.TRUNCATED, DropReason.QUEUE_FULL):
        bearer.uplink.drop(reason)
    meter.begin()
    assert meter.current() == Traffic()
    bearer.uplink.packet_count, bearer.uplink.byte_count = 6, 640
    bearer.uplink.drop(DropReason.TRUNCATED)
    assert meter.current().tx == Direction(packets=1, bytes=140, errors=1)


def test_the_last_call_is_known_until_the_next_one_ends() -> None:
    bearer = Bearer(0)
    meter = Meter(bearer)
    assert meter.last == Traffic()
    for byte_count in (100, 30):
        meter.begin()
        bearer.downlink.byte_count += byte_count
        meter.end()
        bearer.downlink.byte_count += 7  # after the call
        assert meter.last.rx.bytes == byte_count
