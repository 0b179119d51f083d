"""QMUX frames, QMI messages, and frames out of a stream."""

import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.errors import MalformedMessage
from bamdmux.wire.qmux import (
    BROADCAST_CLIENT,
    MAX_FRAME_BYTES,
    MAX_STREAMED_FRAME_BYTES,
    Kind,
    Message,
    MessageFault,
    Reframer,
    Service,
    Tlv,
    decode_header,
    decode_message,
    encode_message,
)

# What qmicli 1.32.2 sends to allocate a client of DMS, and with it for the manufacturer; the rest is by hand.
ALLOCATE = bytes.fromhex("010f00000000 0001 2200 0400 01010002")
ALLOCATED = bytes.fromhex("011700800000 0101 2200 0c00 02040000000000 0102000207")
MANUFACTURER = bytes.fromhex("010c00000207 000100 2100 0000")
EVENT_REPORT = bytes.fromhex("01100080 0207 040000 0100 0400 14010001")

GOLDEN = [
    (ALLOCATE, Message(Service.CTL, 0, Kind.REQUEST, 1, 0x22, (Tlv(1, b"\x02"),))),
    (
        ALLOCATED,
        Message(Service.CTL, 0, Kind.RESPONSE, 1, 0x22, (Tlv(2, bytes(4)), Tlv(1, b"\x02\x07"))),
    ),
    (MANUFACTURER, Message(Service.DMS, 7, Kind.REQUEST, 1, 0x21)),
    (EVENT_REPORT, Message(Service.DMS, 7, Kind.INDICATION, 0, 0x01, (Tlv(0x14, b"\x01"),))),
]

TLVS = st.lists(st.builds(Tlv, st.integers(0, 0xFF), st.binary(max_size=40)), max_size=5).map(tuple)
MESSAGES = st.builds(
    Message,
    service=st.integers(0, 0xFF),
    client=st.integers(0, 0xFF),
    kind=st.sampled_from(Kind),
    transaction=st.integers(0, 0xFF),
    message_id=st.integers(0, 0xFFFF),
    tlvs=TLVS,
)


@pytest.mark.parametrize(("frame", "message"), GOLDEN)
def test_a_frame_and_its_message(frame: bytes, message: Message) -> None:
    assert decode_message(frame) == message
    assert encode_message(message) == frame


def test_services_have_the_numbers_that_every_modem_gives_them() -> None:
    numbers = {"CTL": 0x00, "WDS": 0x01, "DMS": 0x02, "NAS": 0x03, "UIM": 0x0B, "WDA": 0x1A, "DPM": 0x2F}
    assert {service.name: service.value for service in Service} == numbers


def test_what_is_for_every_client_is_for_the_client_ff() -> None:
    report = replace(GOLDEN[3][1], client=BROADCAST_CLIENT)
    assert encode_message(report) == EVENT_REPORT[:5] + b"\xff" + EVENT_REPORT[6:]


@given(MESSAGES)
def test_what_was_encoded_is_decoded_again(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@given(
    st.binary(max_size=60)
    | MESSAGES.map(encode_message).flatmap(lambda frame: st.permutations(frame).map(bytes))
)
def test_any_bytes_are_a_message_or_malformed(frame: bytes) -> None:
    try:
        message = decode_message(frame)
    except MalformedMessage:
        return
    assert len(encode_message(message)) == len(frame)


@given(MESSAGES, st.integers(0, 100), st.integers(0, 0xFF))
def test_a_message_with_one_byte_changed_is_a_message_or_malformed(
    message: Message, place: int, value: int
) -> None:
    frame = bytearray(encode_message(message))
    frame[place % len(frame)] = value
    try:
        changed = decode_message(bytes(frame))
    except MalformedMessage:
        return
    assert len(encode_message(changed)) == len(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", MessageFault.TRUNCATED),
        ("010a000000000001220000", MessageFault.TRUNCATED),
        ("010b000002070001002100 00", MessageFault.TRUNCATED),  # long enough for CTL, but it is DMS
        ("020c00000207000100210000 00", MessageFault.BAD_MARKER),
        ("010d00000207000100210000 00", MessageFault.BAD_LENGTH),
        ("010c00000207000100210001 00", MessageFault.BAD_LENGTH),
        ("010d0000020700010021000000 00", MessageFault.BAD_LENGTH),
        ("010c00000207010100210000 00", MessageFault.BAD_KIND),
        ("010c00000207060100210000 00", MessageFault.BAD_KIND),
        ("010b000000000401220000 00", MessageFault.BAD_KIND),
        ("010e0000020700010021000200 0101", MessageFault.BAD_TLV),
        ("01100000020700010021000400 01020001", MessageFault.BAD_TLV),
        ("010f0000020700010021000300 01ffff", MessageFault.BAD_TLV),
    ],
)
def test_malformed_bytes_are_refused_with_the_reason(frame: str, reason: MessageFault) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_message(bytes.fromhex(frame))
    assert caught.value.reason is reason


def test_a_reason_is_called_by_its_name() -> None:
    assert [reason.value for reason in MessageFault] == [reason.name.lower() for reason in MessageFault]


def test_a_message_whose_tlvs_are_malformed_can_still_be_answered() -> None:
    frame = bytes.fromhex("01100000020700010021000400 01020001")
    assert decode_header(frame) == Message(Service.DMS, 7, Kind.REQUEST, 1, 0x21)


def test_a_tlv_that_is_there_twice_is_kept_twice() -> None:
    message = Message(Service.DMS, 7, Kind.REQUEST, 1, 0x2E, (Tlv(1, b"\x00"), Tlv(1, b"\x01")))
    assert decode_message(encode_message(message)).tlvs == message.tlvs


def test_the_direction_is_not_looked_at() -> None:
    frame = bytearray(MANUFACTURER)
    frame[3] = 0x80
    assert decode_message(bytes(frame)) == decode_message(MANUFACTURER)


def test_an_answer_goes_back_to_the_client_that_asked() -> None:
    request = Message(Service.WDS, 3, Kind.REQUEST, 500, 0x20, (Tlv(0x14, b"internet"),))
    answer = request.answer([Tlv(2, bytes(4))])
    assert answer == replace(request, kind=Kind.RESPONSE, tlvs=(Tlv(2, bytes(4)),))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"service": 256}, "service 256 is not within 0 to 255"),
        ({"client": -1}, "client -1 is not within 0 to 255"),
        ({"transaction": 0x10000}, "transaction 65536 is not within 0 to 65535"),
        ({"service": 0, "transaction": 256}, "transaction 256 is not within 0 to 255"),
        ({"message_id": 0x10000}, "message id 65536 is not within 0 to 65535"),
        ({"tlvs": (Tlv(256, b""),)}, "TLV id 256 is not within 0 to 255"),
        ({"tlvs": (Tlv(1, bytes(MAX_FRAME_BYTES - 15)),)}, "length 65537 exceeds 65536"),
    ],
)
def test_a_message_that_could_not_be_sent_cannot_be_made(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError) as caught:
        replace(Message(Service.DMS, 1, Kind.REQUEST, 1, 0x20), **change)
    assert str(caught.value) == why


def test_the_longest_message_can_be_sent() -> None:
    longest = Message(Service.DMS, 1, Kind.REQUEST, 1, 0x20, (Tlv(1, bytes(MAX_FRAME_BYTES - 16)),))
    assert decode_message(encode_message(longest)) == longest


# The stream


def feed_in_pieces(reframer: Reframer, stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = []
    for start, end in pairwise(places):
        frames += reframer.feed(stream[start:end])
    return frames


def test_frames_that_come_joined_are_separated() -> None:
    assert Reframer().feed(ALLOCATE + MANUFACTURER) == [ALLOCATE, MANUFACTURER]


def test_a_frame_that_comes_byte_by_byte_is_complete_with_its_last_byte() -> None:
    reframer = Reframer()
    for index in range(len(ALLOCATE) - 1):
        assert reframer.feed(ALLOCATE[index : index + 1]) == []
    assert reframer.feed(ALLOCATE[-1:]) == [ALLOCATE]
    assert reframer.skipped_byte_count == 0


@given(st.lists(MESSAGES.map(encode_message), max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_however_a_stream_is_cut_it_gives_the_same_frames(frames: list[bytes], cuts: list[int]) -> None:
    reframer = Reframer()
    assert feed_in_pieces(reframer, b"".join(frames), cuts) == frames
    assert reframer.skipped_byte_count == 0


NONSENSE = st.binary(max_size=30) | st.lists(st.sampled_from([0x00, 0x01, 0x0C, 0x80]), max_size=30).map(
    bytes
)


@given(
    st.lists(NONSENSE | MESSAGES.map(encode_message), max_size=6), st.lists(st.integers(0, 400), max_size=8)
)
def test_however_nonsense_is_cut_it_gives_the_same_frames(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    whole, pieces = Reframer(), Reframer()
    assert feed_in_pieces(pieces, stream, cuts) == whole.feed(stream)
    assert pieces.skipped_byte_count == whole.skipped_byte_count


@pytest.mark.parametrize(
    "nonsense",
    [
        b"AT+CGMI\r\n",
        bytes(100),
        b"\x01" * 10,
        bytes.fromhex("01ffff00"),  # longer than a frame may be
        bytes.fromhex("010a0000"),  # shorter than its headers
        bytes.fromhex("010c00000207000100210001"),  # with lengths that disagree
        bytes.fromhex("010d00000207000100210001"),  # a frame that lacks its last byte
        MANUFACTURER[1:],
    ],
)
def test_nonsense_is_skipped_and_counted(nonsense: bytes) -> None:
    reframer = Reframer()
    assert reframer.feed(nonsense + MANUFACTURER) == [MANUFACTURER]
    assert reframer.skipped_byte_count == len(nonsense)


def test_how_much_of_a_frame_has_come_is_to_be_seen() -> None:
    reframer = Reframer()
    reframer.feed(ALLOCATE[:7])
    assert reframer.unfinished_byte_count == 7
    reframer.feed(ALLOCATE[7:])
    assert reframer.unfinished_byte_count == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        bytes.fromhex("01ffff000000"),  # longer than a frame may be
        bytes.fromhex("010a00000200"),  # shorter than its headers
        bytes.fromhex("010d0000000000 0222000500"),  # with lengths that disagree
    ],
)
def test_what_cannot_begin_a_frame_is_not_kept(nonsense: bytes) -> None:
    reframer = Reframer()
    reframer.feed(nonsense)
    assert (reframer.unfinished_byte_count, reframer.skipped_byte_count) == (0, len(nonsense))


def test_the_bound_of_a_frame_can_be_set() -> None:
    frame = encode_message(Message(Service.DMS, 1, Kind.REQUEST, 1, 0x20, (Tlv(1, bytes(100)),)))
    assert Reframer(len(frame)).feed(frame) == [frame]
    assert Reframer(len(frame) - 1).feed(frame) == []


@given(st.lists(NONSENSE, max_size=20), st.integers(12, 64))
def test_no_more_than_an_unfinished_frame_is_kept(parts: list[bytes], bound: int) -> None:
    reframer = Reframer(bound)
    for part in parts:
        reframer.feed(part)
        assert reframer.unfinished_byte_count < bound


def test_a_frame_that_swallows_others_costs_at_most_its_bound() -> None:
    reframer = Reframer()
    length, tlv_bytes = MAX_STREAMED_FRAME_BYTES - 1, MAX_STREAMED_FRAME_BYTES - 13
    claim = struct.pack("<BHBBBBHHH", 1, length, 0, 2, 7, 0, 1, 0x21, tlv_bytes)
    frames = reframer.feed(claim + MANUFACTURER * (MAX_STREAMED_FRAME_BYTES // len(MANUFACTURER) + 1))
    assert len(frames[0]) == MAX_STREAMED_FRAME_BYTES
    assert frames[-1] == MANUFACTURER


def test_a_frame_that_lost_its_end_costs_no_more_than_the_next() -> None:
    reframer = Reframer()
    assert reframer.feed(ALLOCATE[:-1]) == []
    frames = reframer.feed(MANUFACTURER + MANUFACTURER)
    assert frames[-1] == MANUFACTURER
