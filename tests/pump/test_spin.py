"""Waiting awake: `spin` and `fence`. No test here waits for time to pass: what is there already ends it."""

import os
from typing import Final

import pytest

from tests.pump.kernel import pump

LONG: Final = 3_600_000_000_000  # an hour, which no test has
NOTHING: Final = -1  # poll() passes over such a descriptor


def word(number: int) -> memoryview:
    return memoryview(bytearray(number.to_bytes(4, "little")))


def test_a_word_that_is_another_ends_it() -> None:
    assert pump.spin(NOTHING, LONG, ((word(7), 7), (word(8), 7)))


def test_a_descriptor_that_is_readable_ends_it() -> None:
    readable, writable = os.pipe()
    try:
        os.write(writable, b"!")
        assert pump.spin(readable, LONG, ((word(7), 7),))
    finally:
        os.close(readable)
        os.close(writable)


def test_it_looks_once_when_there_is_no_time() -> None:
    assert not pump.spin(NOTHING, 0, ((word(7), 7),))
    assert pump.spin(NOTHING, 0, ((word(6), 7),))
    assert not pump.spin(NOTHING, 0, ())


def test_it_ends_when_the_time_is_over() -> None:
    assert not pump.spin(NOTHING, 1000, ((word(7), 7),))


def test_a_word_of_all_bits_is_a_word() -> None:
    assert not pump.spin(NOTHING, 0, ((word(0xFFFF_FFFF), 0xFFFF_FFFF),))


def test_more_than_four_words_are_an_error() -> None:
    pump.spin(NOTHING, 0, ((word(7), 7),) * 4)
    with pytest.raises(ValueError, match="too many words"):
        pump.spin(NOTHING, LONG, ((word(7), 7),) * 5)


@pytest.mark.parametrize("view", [memoryview(bytes(3)), memoryview(bytearray(8))[1:5]])
def test_a_word_that_is_none_is_an_error(view: memoryview) -> None:
    with pytest.raises(ValueError, match="a word has four bytes"):
        pump.spin(NOTHING, LONG, ((word(7), 7), (view, 0)))


@pytest.mark.parametrize("pairs", [None, [], (1,), ((word(7),),), ((word(7), "7"),), (("7", 7),)])
def test_pairs_that_are_none_are_an_error(pairs: object) -> None:
    with pytest.raises((TypeError, SystemError)):
        pump.spin(NOTHING, LONG, pairs)


def test_words_are_let_go_of_whatever_comes() -> None:
    number = bytearray(4)
    pump.spin(NOTHING, 0, ((memoryview(number), 0),))
    with pytest.raises(TypeError):
        pump.spin(NOTHING, 0, ((memoryview(number), 0), (None, 0)))
    number.append(0)


def test_a_fence_is_nothing_to_be_seen() -> None:
    assert pump.fence() is None
