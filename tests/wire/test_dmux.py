"""The DMUX frame, held against the frames of Linux's own driver (tests/data/conformance)."""

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bamdmux.counters import DropReason
from bamdmux.errors import MalformedFrame
from bamdmux.wire.dmux import (
    CHANNEL_COUNT,
    CHANNEL_SHIFT,
    COMMAND_SHIFT,
    HEADER,
    HEADER_BYTES,
    HEADER_WORD,
    LENGTH_FROM_TRANSFER,
    LENGTH_SHIFT,
    MAGIC,
    MAX_FRAME_BYTES,
    MAX_PACKET_BYTES,
    NOT_DATA,
    PAD_SHIFT,
    Command,
    Frame,
    classify,
    decode_frame,
    encode_frame,
    pad_for,
)

CONFORMANCE = Path(__file__).parents[1] / "data" / "conformance"
TX_FRAMES: list[dict[str, Any]] = json.loads((CONFORMANCE / "tx_frames.json").read_text())["frames"]
RX_CASES: list[dict[str, Any]] = json.loads((CONFORMANCE / "rx_frames.json").read_text())["cases"]

LARGEST_MTU = (
    16384 - HEADER_BYTES
)  # of the dynamic MTUs, the packet of a 16 KiB buffer; protocol.md section 3


def golden_packet(length: int) -> bytes:
    """The packet that tx_frames.json describes in its field `packet`."""
    return bytes([0x45] + [(7 * index + 1) % 256 for index in range(1, length)])


def golden_bytes(golden: dict[str, Any]) -> bytes:
    """The whole frame of an entry in tx_frames.json, put together without our encoder."""
    return bytes.fromhex(golden["header"]) + golden_packet(golden["packet_length"]) + bytes(golden["pad"])


def reading_of_decode(buffer: bytes, max_packet_bytes: int) -> int:
    """What `decode_frame` makes of a buffer, in the terms of `classify`."""
    try:
        frame = decode_frame(buffer, max_packet_bytes)
    except MalformedFrame as error:
        return DropReason(error.reason)
    return len(frame.packet) if frame.command is Command.DATA else NOT_DATA


def reading_of_classify(buffer: bytes, max_packet_bytes: int) -> int:
    word = int.from_bytes(buffer[:HEADER_BYTES], "little")
    return classify(word, len(buffer), max_packet_bytes)


# --- what we send ---------------------------------------------------------------------------------


def test_there_are_609_golden_frames_up_to_the_longest() -> None:
    lengths = [golden["packet_length"] for golden in TX_FRAMES]
    assert len(set(lengths)) == 609
    assert (min(lengths), max(lengths)) == (1, MAX_PACKET_BYTES)


def test_every_packet_is_framed_as_the_kernel_frames_it() -> None:
    for golden in TX_FRAMES:
        frame = Frame(Command.DATA, channel=0, packet=golden_packet(golden["packet_length"]))
        assert encode_frame(frame) == golden_bytes(golden), golden


def test_every_frame_of_the_kernel_is_as_long_as_it_says() -> None:
    for golden in TX_FRAMES:
        assert len(golden_bytes(golden)) == golden["frame_length"], golden


def test_every_frame_of_the_kernel_is_read() -> None:
    for golden in TX_FRAMES:
        packet = golden_packet(golden["packet_length"])
        assert decode_frame(golden_bytes(golden)) == Frame(Command.DATA, 0, packet), golden


def test_every_header_of_the_kernel_is_classified_as_its_length() -> None:
    for golden in TX_FRAMES:
        frame = golden_bytes(golden)
        assert classify(HEADER_WORD.unpack_from(frame)[0], len(frame)) == golden["packet_length"], golden


def test_every_golden_header_can_be_put_together_from_the_shifts() -> None:
    for golden in TX_FRAMES:
        word = MAGIC | golden["pad"] << PAD_SHIFT | golden["packet_length"] << LENGTH_SHIFT
        assert HEADER_WORD.pack(word).hex() == golden["header"], golden


def test_the_padding_is_the_kernels_for_every_length() -> None:
    assert [pad_for(golden["packet_length"]) for golden in TX_FRAMES] == [
        golden["pad"] for golden in TX_FRAMES
    ]


def test_the_longest_packet_makes_the_longest_frame() -> None:
    assert len(encode_frame(Frame(Command.DATA, 0, bytes(MAX_PACKET_BYTES)))) == MAX_FRAME_BYTES == 2052


# Bytes of OPEN and CLOSE: `tx_submit ... len=8` in conformance/traces.
@pytest.mark.parametrize(
    ("frame", "octets"),
    [
        (Frame(Command.OPEN, channel=0), "fc33000100000000"),
        (Frame(Command.OPEN, channel=1), "fc33000100010000"),
        (Frame(Command.CLOSE, channel=0), "fc33000200000000"),
        (Frame(Command.CLOSE, channel=1), "fc33000200010000"),
        (Frame(Command.OPEN_NO_A2_PC, channel=7), "fc33000400070000"),
        (Frame(Command.OPEN, channel=3, signal=0xC2), "fc33c20100030000"),
    ],
)
def test_a_command_is_a_header_and_nothing_else(frame: Frame, octets: str) -> None:
    assert encode_frame(frame).hex() == octets


def test_each_field_lies_where_its_shift_says() -> None:
    word = HEADER_WORD.unpack(HEADER.pack(MAGIC, 0, 0xA1, 0xA2, 0xA3, 0xA4A5))[0]
    assert (
        word
        == MAGIC | 0xA1 << COMMAND_SHIFT | 0xA2 << PAD_SHIFT | 0xA3 << CHANNEL_SHIFT | 0xA4A5 << LENGTH_SHIFT
    )


# --- a frame that exists can be sent --------------------------------------------------------------


@pytest.mark.parametrize("channel", [-1, CHANNEL_COUNT, 255, 256])
def test_a_frame_has_one_of_eight_channels(channel: int) -> None:
    with pytest.raises(ValueError, match=f"channel {channel} is not below 8"):
        Frame(Command.OPEN, channel)


@pytest.mark.parametrize("signal", [-1, 256])
def test_a_signal_is_a_byte(signal: int) -> None:
    with pytest.raises(ValueError, match=f"signal {signal} exceeds a byte"):
        Frame(Command.OPEN, 0, signal=signal)


def test_data_without_a_packet_is_no_frame() -> None:
    with pytest.raises(ValueError, match="DATA carries a packet"):
        Frame(Command.DATA, 0)


@pytest.mark.parametrize("command", [Command.OPEN, Command.CLOSE, Command.OPEN_NO_A2_PC])
def test_a_command_with_a_packet_is_no_frame(command: Command) -> None:
    with pytest.raises(ValueError, match="DATA carries a packet"):
        Frame(command, 0, b"E")


def test_a_packet_longer_than_its_length_field_can_say_is_no_frame() -> None:
    with pytest.raises(ValueError, match="length 65535 exceeds"):
        Frame(Command.DATA, 0, bytes(LENGTH_FROM_TRANSFER))


def test_a_frame_does_not_change() -> None:
    frame = Frame(Command.OPEN, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.channel = 1  # type: ignore[misc]


# --- what we receive: the cases that the kernel's own code was run on -----------------------------

KERNEL_LOGS = {
    "Invalid magic in header": DropReason.BAD_MAGIC,
    "Unsupported channel": DropReason.UNSUPPORTED_CHANNEL,
    "Unsupported command": DropReason.UNSUPPORTED_COMMAND,
    "Data larger than buffer?": DropReason.TOO_LONG,
}

# Where we mean to differ (docs/differences.md), or where the kernel speaks of a state that the wire has not.
OTHERWISE: dict[str, Frame | DropReason] = {
    # The kernel has no length from the DMA engine: what was in the buffer before is delivered, or judged.
    "len 100, only 12 bytes written (stale data)": DropReason.TRUNCATED,
    "short frame: 4 bytes": DropReason.TRUNCATED,
    "empty frame": DropReason.TRUNCATED,
    "len 0": DropReason.EMPTY,
    # Supported here.
    "command 4": Frame(Command.OPEN_NO_A2_PC, 0),
    "len 65535": Frame(Command.DATA, 0, golden_packet(20)),
    # In order, as far as one can see without knowing which channels are in use.
    "data, netdev down": Frame(Command.DATA, 1, golden_packet(20)),
    "data, no netdev": Frame(Command.DATA, 5, golden_packet(20)),
    "len too big and netdev down": DropReason.TOO_LONG,
}


def what_the_kernel_makes_of(case: dict[str, Any]) -> Frame | DropReason:
    if case["delivered"]:
        (delivered,) = case["delivered"]
        signal = bytes.fromhex(case["frame"])[2]
        return Frame(Command.DATA, delivered["channel"], bytes.fromhex(delivered["packet"]), signal)
    ((_, message),) = case["log"]
    (reason,) = (reason for text, reason in KERNEL_LOGS.items() if message.startswith(text))
    return reason


def what_we_make_of(case: dict[str, Any]) -> Frame | DropReason:
    expected = OTHERWISE.get(case["name"])
    return what_the_kernel_makes_of(case) if expected is None else expected


def test_there_are_29_cases_and_each_departure_is_one_of_them() -> None:
    names = [case["name"] for case in RX_CASES]
    assert len(set(names)) == 29
    assert set(OTHERWISE) < set(names)


@pytest.mark.parametrize("case", RX_CASES, ids=lambda case: case["name"])
def test_a_frame_is_decoded_as_the_kernel_does_or_refused_for_its_reason(case: dict[str, Any]) -> None:
    buffer = bytes.fromhex(case["frame"])
    expected = what_we_make_of(case)
    if isinstance(expected, Frame):
        assert decode_frame(buffer) == expected
    else:
        with pytest.raises(MalformedFrame) as refusal:
            decode_frame(buffer)
        assert refusal.value.reason is expected


@pytest.mark.parametrize("case", RX_CASES, ids=lambda case: case["name"])
def test_a_frame_is_classified_as_the_kernel_does_or_refused_for_its_reason(case: dict[str, Any]) -> None:
    buffer = bytes.fromhex(case["frame"])
    expected = what_we_make_of(case)
    if isinstance(expected, DropReason):
        reading = int(expected)
    else:
        reading = len(expected.packet) if expected.command is Command.DATA else NOT_DATA
    assert reading_of_classify(buffer, MAX_PACKET_BYTES) == reading


def test_a_frame_of_2049_bytes_reads_the_same_when_the_bus_cuts_it_to_2048() -> None:
    (case,) = (case for case in RX_CASES if case["name"] == "2049-byte frame")
    assert decode_frame(bytes.fromhex(case["frame"])[:2048]) == what_the_kernel_makes_of(case)


# --- what we receive: the checks, one by one ------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("fc3300000000", "6 bytes are less than a header"),
        ("fd33000000000100ff", "magic 0x33fd is not 0x33fc"),
        ("fc33000000080100ff", "channel 8 is not below 8"),
        ("fc33000300000100ff", "command 3 is unknown"),
        ("fc33000000000200ff", "length 2 exceeds the 1 bytes transferred"),
        ("fc33000000000000ff", "there is no packet behind the header"),
    ],
)
def test_a_refusal_says_the_value_and_the_bound(octets: str, message: str) -> None:
    with pytest.raises(MalformedFrame, match=f"^{message}$"):
        decode_frame(bytes.fromhex(octets))


def test_a_length_beyond_what_the_receiver_takes_is_told_with_both_numbers() -> None:
    with pytest.raises(MalformedFrame, match=r"^length 2 exceeds 1$"):
        decode_frame(bytes.fromhex("fc33000000000200ffff"), max_packet_bytes=1)


# The first check that fails gives the reason: each of these headers is wrong in every later way too.
@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("0000000300ffff", DropReason.TRUNCATED),  # 7 bytes
        ("0000000300ffffff", DropReason.BAD_MAGIC),
        ("fc33000300fff907", DropReason.UNSUPPORTED_CHANNEL),
        ("fc3300030000f907", DropReason.UNSUPPORTED_COMMAND),
        ("fc3300000000f907", DropReason.TOO_LONG),  # and nothing was transferred of it
    ],
)
def test_the_first_check_that_fails_is_the_reason(octets: str, reason: DropReason) -> None:
    with pytest.raises(MalformedFrame) as refusal:
        decode_frame(bytes.fromhex(octets))
    assert refusal.value.reason is reason


def test_a_commands_length_pad_and_tail_say_nothing() -> None:
    assert decode_frame(bytes.fromhex("fc33020109050800") + b"tail") == Frame(Command.OPEN, 5, signal=2)


def test_a_length_from_the_transfer_is_all_behind_the_header() -> None:
    assert decode_frame(bytes.fromhex("fc3300000300ffff") + b"QMAP\0\0\0") == Frame(
        Command.DATA, 0, b"QMAP\0\0\0"
    )


def test_a_length_from_a_transfer_of_a_header_alone_is_empty() -> None:
    with pytest.raises(MalformedFrame) as refusal:
        decode_frame(bytes.fromhex("fc3300000000ffff"))
    assert refusal.value.reason is DropReason.EMPTY


def test_a_length_from_the_transfer_has_the_same_bound_as_any() -> None:
    with pytest.raises(MalformedFrame) as refusal:
        decode_frame(bytes.fromhex("fc3300000000ffff") + bytes(MAX_PACKET_BYTES + 1))
    assert refusal.value.reason is DropReason.TOO_LONG


def test_what_lies_behind_the_packet_is_not_part_of_it() -> None:
    assert decode_frame(bytes.fromhex("fc33000000000200") + b"EEgarbage").packet == b"EE"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_frame_is_read_from_any_kind_of_buffer(kind: type) -> None:
    frame = decode_frame(kind(bytes.fromhex("fc33000002000200") + b"EE\0\0"))
    assert frame == Frame(Command.DATA, 0, b"EE")
    assert type(frame.packet) is bytes


def test_a_decoded_packet_stays_when_its_buffer_changes() -> None:
    buffer = bytearray(bytes.fromhex("fc33000002000200") + b"EE\0\0")
    frame = decode_frame(memoryview(buffer))
    buffer[8:10] = b"XX"
    assert frame.packet == b"EE"


def test_a_receiver_with_large_buffers_takes_large_packets() -> None:
    buffer = bytes.fromhex("fc3300000000f83f") + bytes(LARGEST_MTU)  # 0x3ff8 is 16376
    assert len(decode_frame(buffer, max_packet_bytes=LARGEST_MTU).packet) == LARGEST_MTU


def test_a_receiver_with_large_buffers_takes_large_lengths_from_the_transfer() -> None:
    buffer = bytes.fromhex("fc3300000000ffff") + bytes(4088)
    assert len(decode_frame(buffer, max_packet_bytes=LARGEST_MTU).packet) == 4088


@given(word=st.integers(0, 2**64 - 1), transfer_bytes=st.integers(0, HEADER_BYTES - 1))
@example(word=MAGIC | 1 << LENGTH_SHIFT, transfer_bytes=7)
def test_less_than_a_header_is_truncated_whatever_its_word(word: int, transfer_bytes: int) -> None:
    assert classify(word, transfer_bytes) == DropReason.TRUNCATED


def test_no_reason_can_be_taken_for_a_length_or_for_a_command() -> None:
    assert max(DropReason) < NOT_DATA < 0


# --- any bytes ------------------------------------------------------------------------------------

COMMANDS = st.builds(
    Frame,
    st.sampled_from([command for command in Command if command is not Command.DATA]),
    st.integers(0, CHANNEL_COUNT - 1),
    signal=st.integers(0, 255),
)
DATA = st.builds(
    Frame,
    st.just(Command.DATA),
    st.integers(0, CHANNEL_COUNT - 1),
    st.one_of(
        st.binary(min_size=1, max_size=64),
        st.integers(1, MAX_PACKET_BYTES).map(golden_packet),
    ),
    signal=st.integers(0, 255),
)

# Headers that are nearly right, so that the later checks are reached.
HEADERS = st.builds(
    HEADER.pack,
    st.sampled_from([MAGIC, MAGIC, MAGIC, 0xFC33, MAGIC ^ 0x8000]),
    st.integers(0, 255),  # signal
    st.one_of(st.sampled_from([0, 0, 1, 2, 3, 4]), st.integers(0, 255)),
    st.integers(0, 255),  # pad
    st.one_of(st.integers(0, 8), st.integers(0, 255)),
    st.one_of(
        st.integers(0, 80),
        st.integers(2030, 2050),
        st.sampled_from([4088, 8184, LARGEST_MTU, LARGEST_MTU + 1, 0xFFFE, 0xFFFF]),
        st.integers(0, 0xFFFF),
    ),
)
TAILS = st.one_of(
    st.binary(max_size=90),
    st.sampled_from([2039, 2040, 2041, 2044, 4088, 8184, LARGEST_MTU, 0xFFFF - HEADER_BYTES]).map(
        golden_packet
    ),
)
BUFFERS = st.one_of(st.binary(max_size=40), st.builds(bytes.__add__, HEADERS, TAILS))
BOUNDS = st.one_of(
    st.just(MAX_PACKET_BYTES),
    st.sampled_from([0, 1, 2, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES + 1, 4088, 8184, LARGEST_MTU]),
    st.integers(0, LARGEST_MTU),
)


# Length field, transfer and bound, within a few bytes of the same packet, of any size a transfer can have.
NEARLY = st.integers(-2, 5)
EDGES = st.builds(
    lambda length, is_from_transfer, more_bytes, more_bound: (
        LENGTH_FROM_TRANSFER if is_from_transfer else length,
        min(HEADER_BYTES + max(length + more_bytes, 0), 0xFFFF),
        max(length + more_bound, 0),
    ),
    st.one_of(
        st.integers(0, 4), st.sampled_from([MAX_PACKET_BYTES, 4088, LARGEST_MTU]), st.integers(0, 0xFFF0)
    ),
    st.booleans(),
    NEARLY,
    NEARLY,
)


@given(COMMANDS | DATA)
def test_what_was_encoded_is_decoded_to_the_same(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@given(COMMANDS | DATA)
def test_a_frame_is_a_whole_number_of_words(frame: Frame) -> None:
    assert len(encode_frame(frame)) % 4 == 0


@given(BUFFERS)
def test_any_bytes_are_a_frame_or_malformed(buffer: bytes) -> None:
    with suppress(MalformedFrame):
        frame = decode_frame(buffer)
        assert frame.packet == buffer[HEADER_BYTES : HEADER_BYTES + len(frame.packet)]


@given(BUFFERS, BOUNDS)
def test_any_bytes_are_a_frame_or_malformed_whatever_the_receiver_takes(buffer: bytes, bound: int) -> None:
    with suppress(MalformedFrame):
        assert len(decode_frame(buffer, bound).packet) <= bound


@given(BUFFERS)
def test_both_readings_of_a_frame_agree(buffer: bytes) -> None:
    assert reading_of_classify(buffer, MAX_PACKET_BYTES) == reading_of_decode(buffer, MAX_PACKET_BYTES)


@given(BUFFERS, BOUNDS)
def test_both_readings_of_a_frame_agree_whatever_the_receiver_takes(buffer: bytes, bound: int) -> None:
    assert reading_of_classify(buffer, bound) == reading_of_decode(buffer, bound)


@given(EDGES)
def test_both_readings_agree_when_length_transfer_and_bound_are_nearly_equal(
    edge: tuple[int, int, int],
) -> None:
    length, transfer_bytes, bound = edge
    buffer = HEADER.pack(MAGIC, 0, 0, 0, 0, length) + bytes(transfer_bytes - HEADER_BYTES)
    assert reading_of_classify(buffer, bound) == reading_of_decode(buffer, bound)


@given(BUFFERS, BOUNDS)
def test_a_packet_that_was_classified_lies_within_its_transfer(buffer: bytes, bound: int) -> None:
    reading = reading_of_classify(buffer, bound)
    assert reading <= min(bound, max(len(buffer) - HEADER_BYTES, 0))


@given(BUFFERS, st.integers(0, 255), st.integers(0, 255))
def test_signal_and_pad_change_nothing_about_a_frame(buffer: bytes, signal: int, pad: int) -> None:
    changed = bytearray(buffer)
    changed[2:3] = bytes([signal])[: len(buffer[2:3])]
    changed[4:5] = bytes([pad])[: len(buffer[4:5])]
    assert reading_of_classify(bytes(changed), MAX_PACKET_BYTES) == reading_of_classify(
        buffer, MAX_PACKET_BYTES
    )


def test_both_readings_agree_on_every_channel_and_command() -> None:
    for channel in range(256):
        for command in range(256):
            buffer = HEADER.pack(MAGIC, 0, command, 0, channel, 1) + b"E"
            assert reading_of_classify(buffer, 1) == reading_of_decode(buffer, 1), (channel, command)


def test_both_readings_agree_around_every_length() -> None:
    for length in (*range(12), 2039, 2040, 2041, 0xFFFE, 0xFFFF):
        for transferred in (*range(12), 2039, 2040, 2041, 2042):
            for bound in (0, 1, 5, 2039, 2040):
                buffer = HEADER.pack(MAGIC, 0, 0, 0, 0, length) + bytes(transferred)
                assert reading_of_classify(buffer, bound) == reading_of_decode(buffer, bound), (
                    length,
                    transferred,
                    bound,
                )
