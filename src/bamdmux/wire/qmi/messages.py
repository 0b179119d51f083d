"""Definitions of messages: TLVs to values by name, and back, both as a modem and as a host.

    definition = find_request(message.service, message.message_id)     # None: INVALID_QMI_COMMAND
    values = definition.decode_request(message.tlvs)                   # {"mode": 1}, or InvalidTlv
    answer = message.answer(definition.encode_response())

Values are what `types` says. Of what a peer sent, TLVs without a definition are ignored, as are bytes behind
a value, so that newer peers are understood; of a TLV that is there twice the first counts, as for libqmi. Of
what we send, a name that is unknown or a value that does not fit is a ValueError: our own error.

A file is read when its service is first asked for, and a message's TLVs when it is first used.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final, NamedTuple

from bamdmux.errors import InvalidTlv
from bamdmux.wire.qmi.grammar import TlvDefinition, parse_tlvs, parse_types
from bamdmux.wire.qmi.types import ValueType, check_names
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Kind, Service, Tlv

Values = dict[str, Any]  # by the names of TLVs; what each holds is said by the file of the service

Types = Mapping[str, ValueType]

_KEYS: Final = {Kind.REQUEST: "request", Kind.RESPONSE: "response", Kind.INDICATION: "indication"}
_NOTHING: Final[Values] = {}


class Response(NamedTuple):
    """A response as a host reads it; `error` is a QmiError, or a number that has no name here."""

    error: int
    values: Values


class TlvSet:
    """The TLVs that one direction of a message may have."""

    def __init__(self, definitions: tuple[TlvDefinition, ...]) -> None:
        self.definitions = definitions

    def decode(self, tlvs: Iterable[Tlv], *, may_be_incomplete: bool = False) -> Values:
        """The values by name.

        Raises:
            InvalidTlv: one that must be there is missing, or a value is not of its type.
        """
        first: dict[int, bytes] = {}
        for tlv_id, data in tlvs:
            first.setdefault(tlv_id, data)
        values: Values = {}
        for tlv in self.definitions:
            if tlv.id in first:
                try:
                    values[tlv.name], _ = tlv.type.decode(first[tlv.id], 0)
                except ValueError as error:
                    raise InvalidTlv(QmiError.INVALID_ARGUMENT, tlv.name, str(error)) from error
            elif tlv.is_mandatory and not may_be_incomplete:
                raise InvalidTlv(QmiError.MISSING_ARGUMENT, tlv.name, f"TLV {tlv.id:#04x} is missing")
        return values

    def encode(self, values: Mapping[str, Any], *, may_be_incomplete: bool = False) -> tuple[Tlv, ...]:
        """The TLVs in the order of their definition."""
        check_names(values, [tlv.name for tlv in self.definitions])
        tlvs = []
        for tlv in self.definitions:
            if tlv.name in values:
                data = bytearray()
                try:
                    tlv.type.encode(values[tlv.name], data)
                except ValueError as error:
                    raise ValueError(f"{tlv.name}: {error}") from error
                tlvs.append(Tlv(tlv.id, bytes(data)))
            elif tlv.is_mandatory and not may_be_incomplete:
                raise ValueError(f"{tlv.name} is missing")
        return tuple(tlvs)


_RESULT: Final = TlvSet(parse_tlvs("02! result: {status: u16, error: u16}", {}))  # first in every response


class Definition:
    """One message of a service, with a `TlvSet` for each kind of it that exists."""

    def __init__(
        self, service: Service, name: str, table: Mapping[str, Any], types: Callable[[], Types]
    ) -> None:
        unknown = table.keys() - {"id", *_KEYS.values()}
        if unknown:
            raise ValueError(f"{name}: key {min(unknown)!r} is unknown")
        self.service = service
        self.name = name
        self.message_id: int = table["id"]
        self.kinds = tuple(kind for kind, key in _KEYS.items() if key in table)
        self._texts = table
        self._types = types
        self._tlv_sets: dict[Kind, TlvSet] = {}

    def __repr__(self) -> str:
        return f"<{self.service.name} {self.message_id:#06x} {self.name}>"

    def tlvs(self, kind: Kind) -> TlvSet:
        """What the message may have as a request, a response or an indication; ValueError if it is none."""
        if kind not in self._tlv_sets:
            if kind not in self.kinds:
                raise ValueError(f"{self} is no {_KEYS[kind]}")
            self._tlv_sets[kind] = TlvSet(parse_tlvs(self._texts[_KEYS[kind]], self._types()))
        return self._tlv_sets[kind]

    # As a modem.

    def decode_request(self, tlvs: Iterable[Tlv]) -> Values:
        """Read a request.

        Raises:
            InvalidTlv: one is missing or malformed; ``reason`` is the QmiError to answer with.
        """
        return self.tlvs(Kind.REQUEST).decode(tlvs)

    def encode_response(
        self, values: Mapping[str, Any] = _NOTHING, error: QmiError = QmiError.NONE
    ) -> tuple[Tlv, ...]:
        """Write a response, result first. One with an error may have values, and need not have any."""
        failed = error is not QmiError.NONE
        return (*encode_error(error), *self.tlvs(Kind.RESPONSE).encode(values, may_be_incomplete=failed))

    def encode_indication(self, values: Mapping[str, Any] = _NOTHING) -> tuple[Tlv, ...]:
        return self.tlvs(Kind.INDICATION).encode(values)

    # As a host.

    def encode_request(self, values: Mapping[str, Any] = _NOTHING) -> tuple[Tlv, ...]:
        return self.tlvs(Kind.REQUEST).encode(values)

    def decode_response(self, tlvs: Iterable[Tlv]) -> Response:
        """Read a response.

        Raises:
            InvalidTlv: as for `decode_request`; the result itself may be what is missing.
        """
        tlvs = tuple(tlvs)
        result = _RESULT.decode(tlvs)["result"]
        error = result["error"] if result["status"] else QmiError.NONE
        return Response(
            error, self.tlvs(Kind.RESPONSE).decode(tlvs, may_be_incomplete=error != QmiError.NONE)
        )

    def decode_indication(self, tlvs: Iterable[Tlv]) -> Values:
        """Read an indication; raises as `decode_request`."""
        return self.tlvs(Kind.INDICATION).decode(tlvs)


def encode_error(error: QmiError) -> tuple[Tlv, ...]:
    """The TLVs of a response that has only its result, to a message that need not have a definition."""
    return _RESULT.encode({"result": {"status": int(error is not QmiError.NONE), "error": error}})


class ServiceDefinition:
    """The messages of one service.

    Attributes:
        messages: all of them, by name.
        requests, indications: those that are one, by message id.
    """

    def __init__(self, service: Service, text: str) -> None:
        table = tomllib.loads(text)
        self.service = service
        self._type_texts: dict[str, str] = table.get("types", {})
        self.messages = {
            name: Definition(service, name, message, lambda: self._types)
            for name, message in table["messages"].items()
        }
        self.requests = self._by_id(Kind.REQUEST)
        self.indications = self._by_id(Kind.INDICATION)

    @cached_property
    def _types(self) -> Types:
        return parse_types(self._type_texts)

    def _by_id(self, kind: Kind) -> dict[int, Definition]:
        return {message.message_id: message for message in self.messages.values() if kind in message.kinds}


@cache
def load_service(service: Service) -> ServiceDefinition:
    """The messages of a service."""
    file = resources.files("bamdmux.wire.qmi").joinpath(f"{service.name.lower()}.toml")
    return ServiceDefinition(service, file.read_text(encoding="utf-8"))


def find_request(service: int, message_id: int) -> Definition | None:
    """The definition of what a host requests, whatever numbers it wrote; None if it is not known here."""
    if service not in _SERVICES:
        return None
    return load_service(Service(service)).requests.get(message_id)


_SERVICES: Final = frozenset(Service)


def definition(service: Service, name: str) -> Definition:
    """The definition of a message by its name; KeyError if there is none, which is our own error."""
    return load_service(service).messages[name]
