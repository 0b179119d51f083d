"""Values for any type of the grammar, made up by hypothesis."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from hypothesis import strategies as st

from bamdmux.wire.qmi.messages import TlvSet
from bamdmux.wire.qmi.types import Address, Array, Digits, Integer, Octets, Record, Text, ValueType

MAX_ELEMENTS = 3  # arrays within arrays grow fast


def values_of(value_type: ValueType) -> st.SearchStrategy[Any]:
    match value_type:
        case Integer():
            bits = 8 * value_type.layout.size
            signed = value_type.name.startswith("i")
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            return st.integers(low, high)
        case Octets():
            return st.binary(max_size=40)
        case Text():
            return st.text("aB1. ü€", max_size=20)
        case Digits(length=length):
            return st.text("0123456789", max_size=length)
        case Address(kind=kind):
            return st.ip_addresses(v=4 if kind is IPv4Address else 6)
        case Array(element=element):
            return st.lists(values_of(element), max_size=MAX_ELEMENTS)
        case Record(fields=fields):
            return st.fixed_dictionaries({name: values_of(field) for name, field in fields})
    raise AssertionError(f"{value_type} has no values here")


def values_of_tlvs(tlvs: TlvSet) -> st.SearchStrategy[Mapping[str, Any]]:
    """What a message may have: all that it must, and any of the rest."""
    mandatory = {tlv.name: values_of(tlv.type) for tlv in tlvs.definitions if tlv.is_mandatory}
    optional = {tlv.name: values_of(tlv.type) for tlv in tlvs.definitions if not tlv.is_mandatory}
    return st.fixed_dictionaries(mandatory, optional=optional)
