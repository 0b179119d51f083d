"""Any bytes as the stream, the frames and the messages of a QMI control port.

A stream gives the same frames however it is cut, holds no more than one unfinished frame, and accounts for
each byte: in a frame, skipped, or waiting. A message that is read and written again is the same. The values
of a message that could be read can be written, and are read again as the same.
"""

from contextlib import suppress
from functools import cache
from typing import Final

from bamdmux.errors import InvalidTlv, MalformedMessage
from bamdmux.wire.qmi.messages import Definition, load_service
from bamdmux.wire.qmux import (
    MARKER,
    Kind,
    Message,
    Reframer,
    Service,
    Tlv,
    decode_header,
    decode_message,
    encode_message,
)
from fuzz.script import Script

MAX_STREAMED_BYTES: Final = 64  # of a frame, so that streams of a few hundred bytes see the bound
DIRECTION_OFFSET: Final = 3  # not looked at, for it follows from the kind


@cache
def definitions() -> tuple[Definition, ...]:
    return tuple(message for service in Service for message in load_service(service).messages.values())


def check(data: bytes) -> None:
    """Give the bytes to one of the readers."""
    script = Script(data)
    match script.below(3):
        case 0:
            check_stream(script)
        case 1:
            check_message(read_frame(script))
        case 2:
            check_values(script)


def read_frame(script: Script) -> bytes:
    """Bytes, perhaps with the marker and the two lengths of a frame put right."""
    is_mended, is_control = script.chance(), script.chance()
    frame = bytearray(script.rest())
    if is_mended:
        header_bytes = 11 if is_control else 12
        frame[:5] = frame[:5].ljust(5, b"\0")
        frame[0] = MARKER
        frame[4] = 0 if is_control else frame[4] or 1
        frame.extend(bytes(max(0, 1 + header_bytes - len(frame))))
        frame[1:3] = (len(frame) - 1).to_bytes(2, "little")
        frame[header_bytes - 1 : header_bytes + 1] = (len(frame) - header_bytes - 1).to_bytes(2, "little")
    return bytes(frame)


def check_message(frame: bytes) -> None:
    try:
        message = decode_message(frame)
    except MalformedMessage:
        with suppress(MalformedMessage):
            assert not decode_header(frame).tlvs
        return
    again = bytearray(encode_message(message))
    again[DIRECTION_OFFSET] = frame[DIRECTION_OFFSET]
    assert bytes(again) == frame, "not what was read"


def read_stream(script: Script) -> bytes:
    """Messages, with noise between them."""
    stream = b""
    while not script.is_over:
        stream += script.octets(script.below(16))
        if script.below(4) == 0:
            tlvs = (Tlv(script.number(), script.octets(script.below(48))),)
            message = Message(script.below(4), script.number(), script.choice(tuple(Kind)), 1, 2, tlvs)
            stream += encode_message(message)
    return stream


def check_stream(script: Script) -> None:
    piece_bytes = 1 + script.below(48)
    stream = read_stream(script)
    cut, in_one = Reframer(MAX_STREAMED_BYTES), Reframer(MAX_STREAMED_BYTES)
    frames = []
    for start in range(0, len(stream), piece_bytes):
        frames += cut.feed(stream[start : start + piece_bytes])
        assert cut.unfinished_byte_count < MAX_STREAMED_BYTES, "more than one unfinished frame"
        waiting = cut.unfinished_byte_count + cut.skipped_byte_count
        fed = min(start + piece_bytes, len(stream))
        assert waiting + sum(map(len, frames)) == fed, "bytes are lost"
    assert frames == in_one.feed(stream), "it matters how the stream is cut"
    for frame in frames:
        check_message(frame)


def check_values(script: Script) -> None:
    definition = definitions()[script.number(2) % len(definitions())]
    kind = script.choice(definition.kinds)
    known = [tlv.id for tlv in definition.tlvs(kind).definitions] or [1]
    tlvs = []
    while not script.is_over:
        tlvs.append(Tlv(script.choice((*known, script.number())), script.octets(script.below(32))))
    tlv_set = definition.tlvs(kind)
    try:
        values = tlv_set.decode(tlvs)
    except InvalidTlv:
        return
    again = tlv_set.encode(values)
    assert tlv_set.decode(again) == values, "not what was read"
