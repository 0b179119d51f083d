"""The files of messages: how they are read, and what is refused in them."""

import pytest

from bamdmux.wire.qmi.grammar import TlvDefinition, parse_tlvs, parse_type, parse_types
from bamdmux.wire.qmi.types import INTEGERS, Array, Digits, Octets, Record, Text, ValueType

U8, U16 = INTEGERS["u8"], INTEGERS["u16"]
NAMED = {"retries": Record((("left", U8),))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u8", U8),
        ("string8", Text(U8)),
        ("string16", Text(U16)),
        ("digits[3]", Digits(3)),
        ("u8[u8]", Octets(U8)),
        ("u8[u16]", Octets(U16)),
        ("i8[u8]", Array(INTEGERS["i8"], U8)),
        ("u8[u8][u8]", Array(Octets(U8), U8)),
        ("retries", NAMED["retries"]),
        ("retries[u16]", Array(NAMED["retries"], U16)),
        (
            "{a: u8, 3gpp_name: {b: u16}[u8]}",
            Record((("a", U8), ("3gpp_name", Array(Record((("b", U16),)), U8)))),
        ),
        (" { a : u8 }\n", Record((("a", U8),))),
    ],
)
def test_a_type_is_read(text: str, expected: ValueType) -> None:
    assert parse_type(text, NAMED) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("u7", "type 'u7' is unknown"),
        ("string", "type 'string' is unknown"),  # to the end: only as the whole of a TLV
        ("", "a name is missing"),
        ("{}", "a name is missing"),
        ("{a: u8,}", "a name is missing"),
        ("{a u8}", "':' is missing"),
        ("{a: u8", "'}' is missing"),
        ("{a: u8, a: u8}", "a is there twice"),
        ("u8 u8", "'the end' is missing"),
        ("u8[u8", "']' is missing"),
        ("u8[u32]", "count 'u32' is not u8 or u16"),
        ("digits", "'[' is missing"),
        ("digits[0]", "length '0' is not a number above 0"),
        ("digits[u8]", "length 'u8' is not a number above 0"),
        ("u8 ?", "the rest is not understood"),
    ],
)
def test_what_is_no_type_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="character") as caught:
        parse_type(text, NAMED)
    assert str(caught.value).endswith(f": {why}")


def test_a_named_type_may_use_those_above_it() -> None:
    assert parse_types({"one": "{a: u8}", "many": "one[u8]"})["many"] == Array(Record((("a", U8),)), U8)


def test_a_named_type_may_not_use_those_below_it() -> None:
    with pytest.raises(ValueError, match="'one' is unknown"):
        parse_types({"many": "one[u8]", "one": "{a: u8}"})


def test_a_tlv_is_a_line_and_an_indented_line_goes_on() -> None:
    text = "\n01! mode: u8\n1E name: {a: u8,\n    b: u16}\n20 text: string\n"
    assert parse_tlvs(text, {}) == (
        TlvDefinition(0x01, "mode", U8, is_mandatory=True),
        TlvDefinition(0x1E, "name", Record((("a", U8), ("b", U16))), is_mandatory=False),
        TlvDefinition(0x20, "text", Text(), is_mandatory=False),
    )


def test_no_text_has_no_tlvs() -> None:
    assert parse_tlvs("", {}) == ()


@pytest.mark.parametrize(
    "line", ["1 mode: u8", "1e mode: u8", "01 mode u8", "01 mode:", "mode: u8", "01? mode: u8"]
)
def test_a_line_that_is_no_tlv_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="is not a TLV"):
        parse_tlvs(line, {})
