"""Frames and packets for the native pump's rings: in order, nearly so, and anything."""

from typing import Final

from hypothesis import strategies as st

from bamdmux.bam.memory import LinkLayout
from bamdmux.wire.dmux import HEADER, MAGIC, WORD_BYTES, Command, Frame, encode_frame
from tests.super_packets import pattern, traffic


def data_frame(channel: int, packet: bytes, pad: int = 0, length: int | None = None) -> bytes:
    header = HEADER.pack(MAGIC, 0, Command.DATA, pad, channel, len(packet) if length is None else length)
    return header + packet + bytes(pad)


def in_frames(packets: list[tuple[int, bytes]]) -> list[bytes]:
    return [data_frame(channel, packet, pad=WORD_BYTES) for channel, packet in packets]


def uplink_packet(channel: int, version: int, length: int) -> bytes:
    """Of a bearer's host, or nearly so; behind the header anything."""
    if version == 4:
        return b"\x45" + bytes(11) + bytes((10, 64, channel, 2)) + bytes(4) + bytes(length)
    source = b"\x20\x01\x0d\xb8\x00\x64\x00" + bytes((channel,)) + bytes(8)
    return b"\x60" + bytes(5) + bytes((17 if length else 58, 64)) + source + bytes(16) + bytes(length)


def downlink_packet(channel: int, version: int, length: int) -> bytes:
    """To a bearer's host, or nearly so."""
    if version == 4:
        return b"\x45" + bytes(15) + bytes((10, 64, channel, 2)) + pattern(length)
    destination = b"\x20\x01\x0d\xb8\x00\x64\x00" + bytes((channel,)) + bytes(8)
    return b"\x60" + bytes(23) + destination + pattern(length)


ODD_FRAMES: Final = [
    encode_frame(Frame(Command.OPEN, 0)),
    encode_frame(Frame(Command.CLOSE, 1)),
    data_frame(0, b"E" * 40, length=0xFFFF),
    data_frame(0, b"E" * 40, length=41),
    data_frame(0, b"E" * 40, length=0),
    data_frame(0, b"", length=0xFFFF),
    data_frame(8, b"E" * 40),
    data_frame(7, b"`" * 40),
    data_frame(0, b"\0"),
    HEADER.pack(MAGIC, 0xFF, Command.DATA, 0xFF, 0, 4) + b"Esig",
    HEADER.pack(MAGIC + 1, 0, Command.DATA, 0, 0, 4) + b"Emag",
    HEADER.pack(MAGIC, 0, 9, 0, 0, 4) + b"Ecmd",
    HEADER.pack(MAGIC, 0, Command.DATA, 0, 0, 2040) + bytes(2040),
    b"short",
    b"",
]
FRAMES = st.one_of(
    traffic().map(in_frames),
    st.tuples(traffic().map(in_frames), st.lists(st.sampled_from(ODD_FRAMES), max_size=3)).flatmap(
        lambda both: st.permutations(both[0][:6] + both[1])
    ),
    st.lists(st.binary(max_size=80), max_size=4),
)
# How many bytes the modem says that it has written; None: as many as it has.
CLAIMS = st.one_of(st.none(), st.none(), st.none(), st.sampled_from([0, 7, 8, 9, 2048, 2049, 0xFFFF]))

UPLINK_PACKETS = st.one_of(
    st.builds(
        uplink_packet,
        *(st.integers(0, 7), st.sampled_from([4, 6]), st.sampled_from([0, 1, 100, 1480, 1481, 1600])),
    ),
    st.binary(min_size=1, max_size=60),
)
UPLINK_FRAMES = st.one_of(
    FRAMES,
    st.lists(
        st.one_of(
            st.builds(
                lambda channel, version: data_frame(channel, uplink_packet(channel, version, 100), 4),
                *(st.integers(0, 7), st.sampled_from([4, 6])),
            ),
            st.builds(
                lambda channel, packet: data_frame(channel, packet, 4), st.integers(0, 7), UPLINK_PACKETS
            ),
        ),
        max_size=8,
    ),
)
DOWNLINK_PACKETS = st.one_of(
    st.builds(
        downlink_packet,
        *(st.integers(0, 8), st.sampled_from([4, 6]), st.sampled_from([0, 1, 99, 1460, 1461, 1480, 1481])),
    ),
    st.binary(min_size=1, max_size=60),
)

# Address and size of descriptors: near the bounds of a few slots, or anywhere; None: as they are.
TX_BUFFERS_AT: Final = LinkLayout().tx.buffers_offset
TX_DESCRIPTORS = st.one_of(
    st.none(),
    st.none(),
    st.tuples(
        st.one_of(st.integers(TX_BUFFERS_AT - 9, TX_BUFFERS_AT + 20_000), st.integers(0, 0xFFFF_FFFF)),
        st.one_of(st.integers(0, 3000), st.integers(0, 0xFFFF)),
    ),
)
RX_BUFFERS_AT: Final = LinkLayout(slot_count=6).rx.buffers_offset
RX_DESCRIPTORS = st.one_of(
    st.none(),
    st.none(),
    st.tuples(
        st.one_of(st.integers(RX_BUFFERS_AT - 9, RX_BUFFERS_AT + 7 * 2048), st.integers(0, 0xFFFF_FFFF)),
        st.one_of(st.integers(0, 2048), st.integers(0, 0xFFFF)),
    ),
)
