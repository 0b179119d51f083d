"""The ledger sees what is wrong with a delivery at once."""

import pytest

from bamdmux.middleware.frames import stray
from bamdmux.sim.packets import Direction, Ledger, SimulatedInterface, SimulatedNetwork
from bamdmux.sim.violation import Violation

UP, DOWN = Direction


def ledger(*, may_reorder: bool = False, may_duplicate: bool = False, may_stray: bool = False) -> Ledger:
    return Ledger(may_reorder=may_reorder, may_duplicate=may_duplicate, may_stray=may_stray)


def packets(book: Ledger, count: int, channel: int = 3) -> list[memoryview]:
    return [memoryview(book.make(DOWN, channel, 20, is_ipv6=bool(n % 2))) for n in range(count)]


def test_packets_in_order_arrive_and_what_is_missing_is_lost() -> None:
    book = ledger()
    first, _, third = packets(book, 3)
    for packet in (first, third):
        book.delivered(DOWN, 3, packet)
    assert (book.sent(DOWN), book.arrived(DOWN), book.lost(DOWN)) == (3, 2, 1)
    assert (book.sent(UP), book.arrived(UP)) == (0, 0)
    assert book.last_arrived(DOWN, 3)


def test_a_packet_that_was_overtaken_is_a_violation_unless_the_weather_permits_it() -> None:
    for may_reorder in (False, True):
        book = ledger(may_reorder=may_reorder)
        first, second = packets(book, 2)
        book.delivered(DOWN, 3, second)
        if may_reorder:
            book.delivered(DOWN, 3, first)
            assert book.lost(DOWN) == 0
        else:
            with pytest.raises(Violation, match="overtaken by 1"):
                book.delivered(DOWN, 3, first)


def test_a_packet_that_comes_twice_is_a_violation_unless_the_weather_permits_it() -> None:
    for may_duplicate in (False, True):
        book = ledger(may_duplicate=may_duplicate)
        (packet,) = packets(book, 1)
        book.delivered(DOWN, 3, packet)
        if may_duplicate:
            book.delivered(DOWN, 3, packet)
            assert (book.arrived(DOWN), book.duplicates) == (1, 1)
        else:
            with pytest.raises(Violation, match="delivered twice"):
                book.delivered(DOWN, 3, packet)


@pytest.mark.parametrize("index", [4, 12, 23, 24, 28, 29, 30, 32, 40])
def test_an_altered_packet_is_a_violation(index: int) -> None:
    book = ledger()
    altered = bytearray(packets(book, 1)[0])
    altered[index] ^= 1
    with pytest.raises(Violation):
        book.delivered(DOWN, 3, memoryview(altered))


def test_a_packet_that_is_too_short_or_too_long_is_a_violation() -> None:
    book = ledger()
    (packet,) = packets(book, 1)
    for wrong in (packet[:20], packet[:-1], memoryview(bytes(packet) + b"\0"), memoryview(bytes(4))):
        with pytest.raises(Violation, match="altered"):
            book.delivered(DOWN, 3, wrong)


def test_a_packet_on_another_channel_or_in_the_other_direction_is_a_violation() -> None:
    book = ledger()
    (packet,) = packets(book, 1)
    with pytest.raises(Violation, match="of channel 3 was delivered on channel 2"):
        book.delivered(DOWN, 2, packet)
    with pytest.raises(Violation):
        book.delivered(UP, None, packet)


def test_a_packet_that_was_never_sent_is_a_violation() -> None:
    forged = packets(ledger(), 2)[1]
    book = ledger()
    with pytest.raises(Violation, match="never sent"):
        book.delivered(DOWN, 3, forged)


def test_a_stray_is_a_violation_unless_the_weather_permits_it() -> None:
    packet = memoryview(bytes(4) + stray(0)[8:])
    with pytest.raises(Violation, match="nobody's"):
        ledger().delivered(DOWN, 0, packet)
    book = ledger(may_stray=True)
    book.delivered(DOWN, 0, packet)
    assert book.strays == 1


def test_delivery_to_an_interface_that_is_down_is_a_violation() -> None:
    book = ledger()
    interface = SimulatedInterface(3, book)
    (packet,) = packets(book, 1)
    with pytest.raises(Violation, match="wwan3, which is down"):
        interface.write(packet)
    interface.is_up = True
    assert interface.write(packet)


def test_devices_hand_out_their_packets_in_order() -> None:
    book = ledger()
    for device in (SimulatedInterface(0, book), SimulatedNetwork(book)):
        device.outgoing.extend((b"\0\0\0\0first", b"\0\0\0\0second"))
        buffer = memoryview(bytearray(64))
        assert device.read_into(buffer) == 9
        assert bytes(buffer[4:9]) == b"first"
        assert device.read_into(buffer) == 10
        assert device.read_into(buffer) == 0
