"""QMUX frames and the QMI messages in them: bytes to values and back, and frames out of a stream of bytes.

    01 | length u16 | direction u8 | service u8 | client u8 |          QMUX; the length counts all but the 01
    kind u8 | transaction u8 or u16 | message u16 | length u16 |       QMI; the length is that of the TLVs
    id u8 | length u16 | value                                         a TLV, and so on to the end

Little-endian. Service 0 (CTL) has transactions of one byte and the kinds 0, 1, 2; all others have two bytes
and 0, 2, 4. The direction is 0x00 from a host and 0x80 from a modem. It follows from the kind, for only a
host makes requests, and `decode_message` does not look at it.

What the values of TLVs mean is not known here: that is bamdmux.wire.qmi.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from bamdmux.errors import MalformedMessage

MARKER: Final = 0x01
FROM_HOST: Final = 0x00
FROM_MODEM: Final = 0x80
BROADCAST_CLIENT: Final = 0xFF  # an indication to every client of a service

MAX_FRAME_BYTES: Final = 0x1_0000  # the 01, and what a length of 16 bits can count
# The longest frame that a stream is believed to hold: what claims to be longer is nonsense. No message that
# we know comes near, and the shorter the bound, the sooner a stream that is out of step is understood again.
MAX_STREAMED_FRAME_BYTES: Final = 8192

_QMUX: Final = struct.Struct("<BHBBB")
_CONTROL: Final = struct.Struct("<BBHH")
_SERVICE: Final = struct.Struct("<BHHH")
_TLV: Final = struct.Struct("<BH")
_MIN_FRAME_BYTES: Final = _QMUX.size + _CONTROL.size


class Service(IntEnum):
    """The services that have definitions in bamdmux.wire.qmi."""

    CTL = 0
    WDS = 1
    DMS = 2
    NAS = 3
    UIM = 11
    WDA = 26
    DPM = 47


class Kind(IntEnum):
    """What a message is. The numbers are those of CTL; the other services have them shifted left by a bit."""

    REQUEST = 0
    RESPONSE = 1
    INDICATION = 2


class MessageFault(Enum):
    """Why bytes hold no message; in the order in which they are looked at."""

    TRUNCATED = "truncated"  # shorter than the headers
    BAD_MARKER = "bad_marker"
    BAD_LENGTH = "bad_length"  # the length in a header is not that of what follows
    BAD_KIND = "bad_kind"
    BAD_TLV = "bad_tlv"  # TLVs do not end where the message ends; `decode_header` still reads the rest


class Tlv(NamedTuple):
    """One type-length-value of a message."""

    id: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One QMI message. A message that exists can be sent: what cannot is refused here.

    Args:
        service: a `Service`, or any other number that a peer may write.
        client: the client id within the service; 0 for CTL.
        tlvs: as they stand on the wire: in their order, and with those that are there twice.
    """

    service: int
    client: int
    kind: Kind
    transaction: int
    message_id: int
    tlvs: tuple[Tlv, ...] = ()

    def __post_init__(self) -> None:
        max_transaction = 0xFF if self.service == Service.CTL else 0xFFFF
        for name, value, bound in (
            ("service", self.service, 0xFF),
            ("client", self.client, 0xFF),
            ("transaction", self.transaction, max_transaction),
            ("message id", self.message_id, 0xFFFF),
            *(("TLV id", tlv.id, 0xFF) for tlv in self.tlvs),
        ):
            if not 0 <= value <= bound:
                raise ValueError(f"{name} {value} is not within 0 to {bound}")
        length = _QMUX.size + _header_of(self.service).size + _size_of(self.tlvs)
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"length {length} exceeds {MAX_FRAME_BYTES}")

    def answer(self, tlvs: Iterable[Tlv]) -> "Message":
        """The response to this request."""
        return Message(
            self.service, self.client, Kind.RESPONSE, self.transaction, self.message_id, tuple(tlvs)
        )


def encode_message(message: Message) -> bytes:
    """The frame of a message: a request as from a host, all else as from a modem."""
    header = _header_of(message.service)
    kind = int(message.kind) if message.service == Service.CTL else message.kind << 1
    direction = FROM_HOST if message.kind is Kind.REQUEST else FROM_MODEM
    tlv_bytes = _size_of(message.tlvs)
    length = _QMUX.size - 1 + header.size + tlv_bytes
    parts = [
        _QMUX.pack(MARKER, length, direction, message.service, message.client),
        header.pack(kind, message.transaction, message.message_id, tlv_bytes),
    ]
    for tlv in message.tlvs:
        parts += (_TLV.pack(tlv.id, len(tlv.value)), tlv.value)
    return b"".join(parts)


def decode_message(frame: bytes) -> Message:
    """Read a frame as a message.

    Raises:
        MalformedMessage: it holds none; ``reason`` is a MessageFault. After BAD_TLV, `decode_header` still
            reads what an answer needs.
    """
    header = decode_header(frame)
    offset = _QMUX.size + _header_of(header.service).size
    return Message(
        header.service,
        header.client,
        header.kind,
        header.transaction,
        header.message_id,
        _decode_tlvs(frame, offset),
    )


def decode_header(frame: bytes) -> Message:
    """Read a frame as a message without TLVs, so that one whose TLVs are malformed can be answered.

    Raises:
        MalformedMessage: its headers are wrong already.
    """
    if len(frame) < _MIN_FRAME_BYTES:
        raise MalformedMessage(MessageFault.TRUNCATED, f"{len(frame)} bytes are less than the headers")
    marker, length, _, service, client = _QMUX.unpack_from(frame)
    if marker != MARKER:
        raise MalformedMessage(MessageFault.BAD_MARKER, f"marker {marker:#04x} is not {MARKER:#04x}")
    if length != len(frame) - 1:
        raise MalformedMessage(MessageFault.BAD_LENGTH, f"length {length} is not {len(frame) - 1}")
    header = _header_of(service)
    rest = len(frame) - _QMUX.size - header.size
    if rest < 0:
        raise MalformedMessage(MessageFault.TRUNCATED, f"{len(frame)} bytes are less than the headers")
    kind_bits, transaction, message_id, tlv_bytes = header.unpack_from(frame, _QMUX.size)
    kind = _KINDS_OF_CONTROL.get(kind_bits) if service == Service.CTL else _KINDS_OF_SERVICES.get(kind_bits)
    if kind is None:
        raise MalformedMessage(MessageFault.BAD_KIND, f"kind {kind_bits} is unknown")
    if tlv_bytes != rest:
        raise MalformedMessage(MessageFault.BAD_LENGTH, f"length {tlv_bytes} of the TLVs is not {rest}")
    return Message(service, client, kind, transaction, message_id)


_KINDS_OF_CONTROL: Final = {int(kind): kind for kind in Kind}
_KINDS_OF_SERVICES: Final = {kind << 1: kind for kind in Kind}


def _decode_tlvs(frame: bytes, offset: int) -> tuple[Tlv, ...]:
    tlvs = []
    while offset < len(frame):
        if len(frame) - offset < _TLV.size:
            raise MalformedMessage(
                MessageFault.BAD_TLV, f"{len(frame) - offset} bytes are less than the header of a TLV"
            )
        tlv_id, length = _TLV.unpack_from(frame, offset)
        offset += _TLV.size
        if length > len(frame) - offset:
            raise MalformedMessage(
                MessageFault.BAD_TLV,
                f"length {length} of TLV {tlv_id:#04x} exceeds the {len(frame) - offset} bytes left",
            )
        tlvs.append(Tlv(tlv_id, frame[offset : offset + length]))
        offset += length
    return tuple(tlvs)


def _header_of(service: int) -> struct.Struct:
    return _CONTROL if service == Service.CTL else _SERVICE


def _size_of(tlvs: tuple[Tlv, ...]) -> int:
    return sum(_TLV.size + len(tlv.value) for tlv in tlvs)


class Reframer:
    """Finds frames in a stream of bytes that is cut and joined anyhow.

    It holds at most one unfinished frame. Bytes that cannot begin a frame are skipped and counted, up to the
    next 01 that can: one whose two lengths agree and are not beyond the bound. What it returns may still be
    malformed in its kind or its TLVs.
    """

    def __init__(self, max_frame_bytes: int = MAX_STREAMED_FRAME_BYTES) -> None:
        self.skipped_byte_count = 0
        self._max_frame_bytes = max_frame_bytes
        self._unfinished = b""

    @property
    def unfinished_byte_count(self) -> int:
        """How much of a frame has come whose rest has not."""
        return len(self._unfinished)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, in order."""
        stream = self._unfinished + data
        frames = []
        offset = 0
        while True:
            start = self._find_start(stream, offset)
            self.skipped_byte_count += start - offset
            offset = start
            if len(stream) - offset < _QMUX.size:
                break
            end = offset + 1 + _QMUX.unpack_from(stream, offset)[1]
            if len(stream) < end:
                break
            frames.append(stream[offset:end])
            offset = end
        self._unfinished = stream[offset:]
        return frames

    def _find_start(self, stream: bytes, offset: int) -> int:
        """Where the next frame begins, or may begin once more bytes have come; the end if nowhere."""
        while True:
            offset = stream.find(MARKER, offset)
            if offset < 0:
                return len(stream)
            if self._may_begin(stream, offset):
                return offset
            offset += 1

    def _may_begin(self, stream: bytes, offset: int) -> bool:
        if len(stream) - offset < _QMUX.size:
            return True
        _, length, _, service, _ = _QMUX.unpack_from(stream, offset)
        header = _header_of(service)
        tlv_bytes = 1 + length - _QMUX.size - header.size
        if tlv_bytes < 0 or 1 + length > self._max_frame_bytes:
            return False
        if len(stream) - offset < _QMUX.size + header.size:
            return True
        return bool(tlv_bytes == header.unpack_from(stream, offset + _QMUX.size)[3])
