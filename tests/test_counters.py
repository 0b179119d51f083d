"""What is counted, and what a program reads of it."""

import json

from bamdmux.counters import Counters, DropReason


def test_fresh_counters_have_counted_nothing() -> None:
    assert Counters().as_dict() == {"packets": 0, "bytes": 0, "drops": {}}


def test_a_drop_is_one_of_its_reason() -> None:
    counters = Counters()
    counters.drop(DropReason.BAD_MAGIC)
    counters.drop(DropReason.BAD_MAGIC)
    assert counters.drops == {DropReason.BAD_MAGIC: 2}


def test_many_drops_can_be_counted_at_once() -> None:
    counters = Counters()
    counters.drop(DropReason.LOST_IN_FLIGHT, 32)
    assert counters.drops[DropReason.LOST_IN_FLIGHT] == 32


def test_a_reason_that_never_was_has_no_drops() -> None:
    assert Counters().drops[DropReason.OVERRUN] == 0


def test_a_drop_is_no_packet() -> None:
    counters = Counters()
    counters.drop(DropReason.EMPTY)
    assert (counters.packet_count, counters.byte_count) == (0, 0)


def test_two_counters_share_nothing() -> None:
    first, second = Counters(), Counters()
    first.drop(DropReason.EMPTY)
    assert second == Counters()


def test_a_program_reads_packets_bytes_and_the_drops_that_happened() -> None:
    counters = Counters(packet_count=2, byte_count=96)
    counters.drop(DropReason.TOO_LONG, 3)
    counters.drop(DropReason.NO_BEARER, 0)
    assert counters.as_dict() == {"packets": 2, "bytes": 96, "drops": {"too_long": 3}}


def test_what_a_program_reads_is_json() -> None:
    counters = Counters(packet_count=1, byte_count=20)
    counters.drop(DropReason.TRUNCATED)
    assert json.loads(json.dumps(counters.as_dict())) == counters.as_dict()


def test_drops_are_read_in_the_same_order_whatever_happened_first() -> None:
    one_way, other_way = Counters(), Counters()
    for reason in DropReason:
        one_way.drop(reason)
    for reason in reversed(DropReason):
        other_way.drop(reason)
    assert json.dumps(one_way.as_dict()) == json.dumps(other_way.as_dict())


def test_each_reason_has_a_number_of_its_own_below_minus_one() -> None:
    numbers = {int(reason) for reason in DropReason}
    assert len(numbers) == len(DropReason.__members__)
    assert max(numbers) < -1


def test_a_packet_that_is_taken_back_has_not_passed_but_was_dropped() -> None:
    counters = Counters(packet_count=2, byte_count=60)
    counters.take_back(40, DropReason.DEVICE_REFUSED)
    assert counters.as_dict() == {"packets": 1, "bytes": 20, "drops": {"device_refused": 1}}
