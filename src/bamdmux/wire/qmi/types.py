"""What the value of a TLV is made of: numbers, texts, bytes, arrays, structs.

A type knows two things: ``decode`` reads a value at an offset and says where it ended, ``encode`` appends
one. Numbers are int, texts str, addresses those of the module ipaddress, arrays of u8 bytes, other arrays
list, and structs dict by the names of their fields.

Both raise ValueError: decoding, because a peer wrote something else; encoding, because we did. The text says
which field and why.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Literal, Protocol


class ValueType(Protocol):
    """How one value stands in a TLV."""

    def decode(self, data: bytes, offset: int) -> tuple[Any, int]: ...

    def encode(self, value: Any, out: bytearray) -> None: ...


@dataclass(frozen=True, slots=True)
class Integer:
    """A number; `layout` is that of the struct module."""

    name: str
    layout: struct.Struct

    def decode(self, data: bytes, offset: int) -> tuple[int, int]:
        end = offset + self.layout.size
        if end > len(data):
            raise ValueError(f"{len(data) - offset} bytes are less than {self.name}")
        (value,) = self.layout.unpack_from(data, offset)
        return value, end

    def encode(self, value: int, out: bytearray) -> None:
        try:
            out += self.layout.pack(value)
        except struct.error as error:
            raise ValueError(f"{value!r} is not within {self.name}") from error


INTEGERS: Final = {
    name: Integer(name, struct.Struct(layout))
    for name, layout in (
        ("u8", "<B"),
        ("u16", "<H"),
        ("u32", "<I"),
        ("u64", "<Q"),
        ("i8", "<b"),
        ("i16", "<h"),
        ("i32", "<i"),
    )
}


@dataclass(frozen=True, slots=True)
class Octets:
    """Bytes behind their count."""

    count: Integer

    def decode(self, data: bytes, offset: int) -> tuple[bytes, int]:
        length, offset = self.count.decode(data, offset)
        end = offset + length
        if end > len(data):
            raise ValueError(f"count {length} exceeds the {len(data) - offset} bytes left")
        return data[offset:end], end

    def encode(self, value: bytes, out: bytearray) -> None:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise ValueError(f"{value!r} is not bytes")
        self.count.encode(len(value), out)
        out += value


@dataclass(frozen=True, slots=True)
class Text:
    """A text in UTF-8: behind the count of its bytes, or up to the end of the TLV."""

    count: Integer | None = None

    def decode(self, data: bytes, offset: int) -> tuple[str, int]:
        if self.count is None:
            return data[offset:].decode(), len(data)
        text, offset = Octets(self.count).decode(data, offset)
        return text.decode(), offset

    def encode(self, value: str, out: bytearray) -> None:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a text")
        text = value.encode()
        if self.count is None:
            out += text
        else:
            Octets(self.count).encode(text, out)


@dataclass(frozen=True, slots=True)
class Digits:
    """A text of at most `length` characters in ASCII; 0xFF stands in unused places: "01" is 30 31 FF."""

    length: int

    def decode(self, data: bytes, offset: int) -> tuple[str, int]:
        end = offset + self.length
        if end > len(data):
            raise ValueError(f"{len(data) - offset} bytes are less than {self.length} digits")
        return data[offset:end].rstrip(b"\xff").decode("ascii"), end

    def encode(self, value: str, out: bytearray) -> None:
        if not isinstance(value, str) or not value.isascii() or len(value) > self.length:
            raise ValueError(f"{value!r} is not a text of at most {self.length} digits")
        out += value.encode().ljust(self.length, b"\xff")


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address; one of IPv4 is a number of 32 bits, and so stands in the order of the machine."""

    kind: type[IPv4Address] | type[IPv6Address]
    byte_order: Literal["little", "big"]

    @property
    def size(self) -> int:
        return self.kind(0).max_prefixlen // 8

    def decode(self, data: bytes, offset: int) -> tuple[IPv4Address | IPv6Address, int]:
        end = offset + self.size
        if end > len(data):
            raise ValueError(f"{len(data) - offset} bytes are less than an address")
        return self.kind(int.from_bytes(data[offset:end], self.byte_order)), end

    def encode(self, value: IPv4Address | IPv6Address, out: bytearray) -> None:
        if type(value) is not self.kind:
            raise ValueError(f"{value!r} is not an {self.kind.__name__}")
        out += int(value).to_bytes(self.size, self.byte_order)


@dataclass(frozen=True, slots=True)
class Array:
    """Elements behind their count."""

    element: ValueType
    count: Integer

    def decode(self, data: bytes, offset: int) -> tuple[list[Any], int]:
        count, offset = self.count.decode(data, offset)
        values = []
        for _ in range(count):  # an element has at least one byte: a count that lies ends where the TLV ends
            value, offset = self.element.decode(data, offset)
            values.append(value)
        return values, offset

    def encode(self, value: list[Any] | tuple[Any, ...], out: bytearray) -> None:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{value!r} is not a list")
        self.count.encode(len(value), out)
        for element in value:
            self.element.encode(element, out)


@dataclass(frozen=True, slots=True)
class Record:
    """A struct: its fields one after another, by name."""

    fields: tuple[tuple[str, ValueType], ...]

    def decode(self, data: bytes, offset: int) -> tuple[dict[str, Any], int]:
        values = {}
        for name, field_type in self.fields:
            try:
                values[name], offset = field_type.decode(data, offset)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return values, offset

    def encode(self, value: Mapping[str, Any], out: bytearray) -> None:
        check_names(value, [name for name, _ in self.fields])
        for name, field_type in self.fields:
            if name not in value:
                raise ValueError(f"{name} is missing")
            try:
                field_type.encode(value[name], out)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error


def check_names(values: Mapping[str, Any], names: list[str]) -> None:
    """Raise ValueError if there is a value that has no place."""
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ValueError(f"{unknown[0]} is unknown; there is {', '.join(names) or 'none'}")
