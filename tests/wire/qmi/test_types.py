"""The types of values: their bytes, and what they refuse."""

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.wire.qmi.types import (
    INTEGERS,
    Address,
    Array,
    Digits,
    Octets,
    Record,
    Text,
    ValueType,
    check_names,
)
from tests.wire.qmi.generated import values_of

U8, U16, I16 = INTEGERS["u8"], INTEGERS["u16"], INTEGERS["i16"]
PAIR = Record((("first", U8), ("second", U16)))
IPV4 = Address(IPv4Address, "little")
IPV6 = Address(IPv6Address, "big")

EVERY_TYPE = [
    *INTEGERS.values(),
    Octets(U8),
    Octets(U16),
    Text(),
    Text(U8),
    Text(U16),
    Digits(3),
    IPV4,
    IPV6,
    Array(U16, U8),
    PAIR,
    Record((("pairs", Array(PAIR, U16)), ("name", Text(U8)))),
]


class Colour(IntEnum):
    GREEN = 2


def encode(value_type: ValueType, value: Any) -> bytes:
    out = bytearray()
    value_type.encode(value, out)
    return bytes(out)


GOLDEN = [
    (U8, 0xAB, "ab"),
    (U16, 0x1234, "3412"),
    (INTEGERS["u32"], 0x12345678, "78563412"),
    (INTEGERS["u64"], 1, "0100000000000000"),
    (INTEGERS["i8"], -1, "ff"),
    (I16, -2, "feff"),
    (INTEGERS["i32"], -3, "fdffffff"),
    (Octets(U8), b"\x01\x02", "020102"),
    (Octets(U16), b"\x01", "010001"),
    (Text(), "apn", "61706e"),
    (Text(U8), "ü", "02c3bc"),
    (Text(U16), "a", "010061"),
    (Digits(3), "001", "303031"),
    (Digits(3), "01", "3031ff"),
    (IPV4, IPv4Address("10.0.0.1"), "0100000a"),
    (IPV6, IPv6Address("fd00::1"), "fd000000000000000000000000000001"),
    (Array(U16, U8), [1, 2], "0201000200"),
    (PAIR, {"first": 1, "second": 2}, "010200"),
]


@pytest.mark.parametrize(("value_type", "value", "expected"), GOLDEN)
def test_a_value_has_these_bytes(value_type: ValueType, value: Any, expected: str) -> None:
    assert encode(value_type, value).hex() == expected
    assert value_type.decode(bytes.fromhex(expected), 0) == (value, len(expected) // 2)


@given(st.sampled_from(EVERY_TYPE).flatmap(lambda each: st.tuples(st.just(each), values_of(each))))
def test_what_was_encoded_is_decoded_again_at_any_offset(pair: tuple[ValueType, Any]) -> None:
    value_type, value = pair
    data = b"\xee\xee" + encode(value_type, value)
    assert value_type.decode(data, 2) == (value, len(data))


@given(st.sampled_from(EVERY_TYPE), st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_value_error(value_type: ValueType, data: bytes) -> None:
    try:
        _, end = value_type.decode(data, 0)
    except ValueError:
        return
    assert end <= len(data)


@pytest.mark.parametrize(("value_type", "value", "expected"), [each for each in GOLDEN if each[0] != Text()])
def test_a_value_that_is_cut_short_is_refused(value_type: ValueType, value: Any, expected: str) -> None:
    with pytest.raises(ValueError):
        value_type.decode(bytes.fromhex(expected)[:-1], 0)


def test_a_member_of_an_enumeration_is_its_number() -> None:
    assert encode(U8, Colour.GREEN) == b"\x02"


@pytest.mark.parametrize(
    ("value_type", "value", "why"),
    [
        (U8, 256, "256 is not within u8"),
        (U8, -1, "-1 is not within u8"),
        (I16, 40000, "40000 is not within i16"),
        (U16, "1", "'1' is not within u16"),
        (Octets(U8), "text", "'text' is not bytes"),
        (Octets(U8), bytes(256), "256 is not within u8"),
        (Text(), b"bytes", "b'bytes' is not a text"),
        (Text(U8), "a" * 256, "256 is not within u8"),
        (Digits(3), "0001", "'0001' is not a text of at most 3 digits"),
        (Digits(3), "ü", "'ü' is not a text of at most 3 digits"),
        (Digits(3), 1, "1 is not a text of at most 3 digits"),
        (IPV4, IPv6Address("::1"), "IPv6Address('::1') is not an IPv4Address"),
        (IPV6, "::1", "'::1' is not an IPv6Address"),
        (Array(U16, U8), 7, "7 is not a list"),
        (Array(U16, U8), [0x10000], "65536 is not within u16"),
        (PAIR, {"first": 1}, "second is missing"),
        (PAIR, {"first": 1, "second": -1}, "second: -1 is not within u16"),
        (PAIR, {"first": 1, "second": 2, "third": 3}, "third is unknown; there is first, second"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_reason(
    value_type: ValueType, value: Any, why: str
) -> None:
    with pytest.raises(ValueError) as caught:
        encode(value_type, value)
    assert str(caught.value) == why


def test_a_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ValueError):
        Text().decode(b"\xff", 0)


def test_a_field_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError) as caught:
        PAIR.decode(b"\x01\x02", 0)
    assert str(caught.value) == "second: 1 bytes are less than u16"


def test_a_count_that_lies_ends_where_the_bytes_end() -> None:
    with pytest.raises(ValueError) as caught:
        Array(PAIR, U16).decode(b"\xff\xff\x01\x02\x03", 0)
    assert str(caught.value) == "first: 0 bytes are less than u8"


def test_a_value_without_a_place_is_named_even_where_there_is_no_place_at_all() -> None:
    with pytest.raises(ValueError, match="mode is unknown; there is none"):
        check_names({"mode": 1}, [])
