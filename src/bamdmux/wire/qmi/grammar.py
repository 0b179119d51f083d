"""How the files of messages are written, and how they are read.

    [types]                                     # names for what would be written again and again
    retries = "{verify_retries_left: u8, unblock_retries_left: u8}"

    [messages.verify_pin]
    id = 0x0026
    request = '''
    01! session: {session_type: u8, application_identifier: u8[u8]}
    12 response_in_indication_token: u32
    '''
    response = "10 retries_remaining: retries"

Of request, response and indication, each that exists is there, and "" if it has no TLVs. A TLV is a line: its
id, two digits of hexadecimal; an exclamation mark if it must be there; its name; its type. Without one that
must be there, a request is refused and a success cannot be sent. An indented line goes on with the one above.
The result, TLV 02 of every response, is not written.

    u8 u16 u32 u64 i8 i16 i32     little-endian
    string8 string16              a text behind its length, of that many bits
    string                        a text up to the end of the TLV; only as the whole of a TLV
    digits[3]                     a text of three digits; 0xFF for those that are not used
    ipv4 ipv6                     an address: a u32, or 16 bytes in the order of the network
    TYPE[u8] TYPE[u16]            an array behind its count; u8[u8] and u8[u16] are bytes
    {name: TYPE, name: TYPE}      a struct
    name                          one of [types], written further up

What does not follow this is our own error, and a ValueError.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bamdmux.wire.qmi.types import INTEGERS, Address, Array, Digits, Octets, Record, Text, ValueType

_TLV_LINE: Final = re.compile(r"([0-9A-F]{2})(!?) (\w+): (\S.*)")
_TOKEN: Final = re.compile(r"\s*(\w+|[{}:,\[\]])")
_MARKS: Final = ("{", "}", ":", ",", "[", "]", "")
_SCALARS: Final[dict[str, ValueType]] = {
    **INTEGERS,
    "string8": Text(INTEGERS["u8"]),
    "string16": Text(INTEGERS["u16"]),
    "ipv4": Address(IPv4Address, "little"),
    "ipv6": Address(IPv6Address, "big"),
}
_TO_THE_END: Final = "string"
_COUNTS: Final = ("u8", "u16")


@dataclass(frozen=True, slots=True)
class TlvDefinition:
    """One TLV that a message may have, or must."""

    id: int
    name: str
    type: ValueType
    is_mandatory: bool


def parse_types(texts: Mapping[str, str]) -> dict[str, ValueType]:
    """Read the named types of a file; each may use those above it."""
    types: dict[str, ValueType] = {}
    for name, text in texts.items():
        types[name] = parse_type(text, types)
    return types


def parse_tlvs(text: str, types: Mapping[str, ValueType]) -> tuple[TlvDefinition, ...]:
    """Read the TLVs of one direction of a message."""
    definitions = []
    for line in re.sub(r"\n\s+", " ", text).splitlines():
        if not line:
            continue
        match = _TLV_LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is not a TLV")
        tlv_id, mark, name, type_text = match.groups()
        tlv_type = Text() if type_text == _TO_THE_END else parse_type(type_text, types)
        definitions.append(TlvDefinition(int(tlv_id, 16), name, tlv_type, is_mandatory=mark == "!"))
    return tuple(definitions)


def parse_type(text: str, types: Mapping[str, ValueType]) -> ValueType:
    """Read one type.

    Args:
        types: those that may be called by name.
    """
    parser = _TypeParser(text, types)
    value_type = parser.take_type()
    parser.take("")
    return value_type


class _TypeParser:
    """Reads a type from left to right; the token "" is the end."""

    def __init__(self, text: str, types: Mapping[str, ValueType]) -> None:
        self._text = text
        self._types = types
        self._offset = 0
        self._token = ""
        self._advance()

    def take_type(self) -> ValueType:
        if self._token == "{":
            value_type: ValueType = self._take_struct()
        else:
            value_type = self._take_named()
        while self._token == "[":
            value_type = self._take_array(value_type)
        return value_type

    def take(self, expected: str) -> None:
        if self._token != expected:
            raise self._error(f"{expected or 'the end'!r} is missing")
        self._advance()

    def _take_struct(self) -> Record:
        fields: dict[str, ValueType] = {}
        while not fields or self._token == ",":
            self._advance()
            name = self._take_word()
            if name in fields:
                raise self._error(f"{name} is there twice")
            self.take(":")
            fields[name] = self.take_type()
        self.take("}")
        return Record(tuple(fields.items()))

    def _take_named(self) -> ValueType:
        name = self._take_word()
        if name == "digits":
            return Digits(self._take_length())
        value_type = self._types.get(name) or _SCALARS.get(name)
        if value_type is None:
            raise self._error(f"type {name!r} is unknown")
        return value_type

    def _take_array(self, element: ValueType) -> ValueType:
        self.take("[")
        count = self._take_word()
        if count not in _COUNTS:
            raise self._error(f"count {count!r} is not {' or '.join(_COUNTS)}")
        self.take("]")
        return Octets(INTEGERS[count]) if element is INTEGERS["u8"] else Array(element, INTEGERS[count])

    def _take_length(self) -> int:
        self.take("[")
        length = self._take_word()
        if not length.isdecimal() or int(length) == 0:
            raise self._error(f"length {length!r} is not a number above 0")
        self.take("]")
        return int(length)

    def _take_word(self) -> str:
        word = self._token
        if word in _MARKS:
            raise self._error("a name is missing")
        self._advance()
        return word

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._offset)
        if match is None and self._text[self._offset :].strip():
            raise self._error("the rest is not understood")
        self._offset = match.end() if match else len(self._text)
        self._token = match[1] if match else ""

    def _error(self, why: str) -> ValueError:
        return ValueError(f"{self._text!r} before character {self._offset}: {why}")
