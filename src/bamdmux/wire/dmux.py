"""The DMUX frame: an 8-byte header, a packet, padding.

    magic u16 = 0x33FC | signal u8 | command u8 | pad u8 | channel u8 | length u16, little-endian
    packet of `length` bytes
    `pad` zero bytes

One transfer carries one frame; there is no aggregation at this layer. The receiver never reads `pad`: a
packet is the `length` bytes behind the header. Sources: struct bam_dmux_hdr, bam_dmux_tx_prepare_skb(),
bam_dmux_rx_callback() and bam_dmux_cmd_data() of drivers/net/wwan/qcom_bam_dmux.c in Linux 6.1, from whose
golden frames tests/wire/test_dmux.py holds every byte.

There are two readings of a header, held equal by a property test. `decode_frame` gives a `Frame`, for
commands, capture and tests. `classify` gives a number, for DATA on the hot path.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bamdmux.counters import DropReason
from bamdmux.errors import MalformedFrame

MAGIC: Final = 0x33FC
HEADER_BYTES: Final = 8
WORD_BYTES: Final = 4
CHANNEL_COUNT: Final = 8  # BAM_DMUX_NUM_CH
BUFFER_BYTES: Final = 2048  # BAM_DMUX_BUFFER_SIZE, what the kernel queues for receiving
MAX_PACKET_BYTES: Final = BUFFER_BYTES - HEADER_BYTES  # 2040, BAM_DMUX_MAX_DATA_SIZE: also the largest MTU
MAX_FRAME_BYTES: Final = HEADER_BYTES + MAX_PACKET_BYTES + WORD_BYTES  # 2052, padding included

# "Take the length from the DMA engine": what firmware in QMAP mode writes; protocol.md section 3.
LENGTH_FROM_TRANSFER: Final = 0xFFFF

HEADER: Final = struct.Struct("<HBBBBH")
HEADER_WORD: Final = struct.Struct("<Q")  # the same 8 bytes as one number

# Fields of the header word, for those who put one together themselves.
COMMAND_SHIFT: Final = 24
PAD_SHIFT: Final = 32
CHANNEL_SHIFT: Final = 40
LENGTH_SHIFT: Final = 48

# Magic, command DATA, and a channel below 8: everything of a DATA header that has one right value.
_DATA_MASK: Final = 0x0000_F800_FF00_FFFF

NOT_DATA: Final = -1  # of `classify`: a frame in order, but a command; read it with decode_frame


class Command(IntEnum):
    """What a frame is for; enum bam_dmux_cmd, and the downstream driver's command 4."""

    DATA = 0
    OPEN = 1
    CLOSE = 2
    OPEN_NO_A2_PC = 4  # OPEN, and the modem keeps its power on from now on


_COMMANDS: Final = {command.value: command for command in Command}


@dataclass(frozen=True, slots=True)
class Frame:
    """One DMUX frame. ``packet`` is without header and padding, and empty but for DATA.

    A frame that exists can be sent: what cannot is refused here.
    """

    command: Command
    channel: int
    packet: bytes = b""
    signal: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.channel < CHANNEL_COUNT:
            raise ValueError(f"channel {self.channel} is not below {CHANNEL_COUNT}")
        if not 0 <= self.signal <= 0xFF:
            raise ValueError(f"signal {self.signal} exceeds a byte")
        if (self.command is Command.DATA) != bool(self.packet):
            raise ValueError("DATA carries a packet, and nothing else does")
        if len(self.packet) >= LENGTH_FROM_TRANSFER:
            raise ValueError(f"length {len(self.packet)} exceeds {LENGTH_FROM_TRANSFER - 1}")


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame, as the kernel's driver would send them."""
    length = len(frame.packet)
    pad = pad_for(length) if frame.command is Command.DATA else 0
    header = HEADER.pack(MAGIC, frame.signal, frame.command, pad, frame.channel, length)
    return header + frame.packet + bytes(pad)


def pad_for(length: int) -> int:
    """How many bytes of padding follow a packet of ``length`` bytes: 1 to 4."""
    # bam_dmux_tx_prepare_skb() adds a whole word of padding to a packet that is already aligned. Kept: our
    # frames must equal the kernel's byte for byte, so that captures from phones can be golden files.
    return WORD_BYTES - length % WORD_BYTES


def decode_frame(buffer: bytes | bytearray | memoryview, max_packet_bytes: int = MAX_PACKET_BYTES) -> Frame:
    """Read the frame that one transfer brought.

    Args:
        buffer: what was transferred, no more and no less.
        max_packet_bytes: the longest packet that the receiver takes.

    Raises:
        MalformedFrame: `buffer` holds no frame; its ``reason`` is the first check that failed, in the order
            of bam_dmux_rx_callback().
    """
    if len(buffer) < HEADER_BYTES:
        raise MalformedFrame(DropReason.TRUNCATED, f"{len(buffer)} bytes are less than a header")
    magic, signal, command_number, _, channel, length = HEADER.unpack_from(buffer)
    if magic != MAGIC:
        raise MalformedFrame(DropReason.BAD_MAGIC, f"magic {magic:#06x} is not {MAGIC:#06x}")
    if channel >= CHANNEL_COUNT:
        raise MalformedFrame(
            DropReason.UNSUPPORTED_CHANNEL, f"channel {channel} is not below {CHANNEL_COUNT}"
        )
    command = _COMMANDS.get(command_number)
    if command is None:
        raise MalformedFrame(DropReason.UNSUPPORTED_COMMAND, f"command {command_number} is unknown")
    if command is not Command.DATA:
        return Frame(command, channel, signal=signal)
    if length == LENGTH_FROM_TRANSFER:
        length = len(buffer) - HEADER_BYTES
    if length > max_packet_bytes:
        raise MalformedFrame(DropReason.TOO_LONG, f"length {length} exceeds {max_packet_bytes}")
    # Differs: the kernel does not know how much was transferred. It delivers what an earlier frame left in
    # the buffer, and packets of no bytes (bam_dmux_cmd_data()).
    if HEADER_BYTES + length > len(buffer):
        raise MalformedFrame(
            DropReason.TRUNCATED,
            f"length {length} exceeds the {len(buffer) - HEADER_BYTES} bytes transferred",
        )
    if length == 0:
        raise MalformedFrame(DropReason.EMPTY, "there is no packet behind the header")
    return Frame(command, channel, bytes(buffer[HEADER_BYTES : HEADER_BYTES + length]), signal)


def classify(header_word: int, transfer_bytes: int, max_packet_bytes: int = MAX_PACKET_BYTES) -> int:
    """Read the header of a transfer as DATA: no object, no exception.

    Args:
        header_word: the first 8 bytes, as `HEADER_WORD` reads them; any number if fewer were transferred.
        transfer_bytes: how many bytes were transferred.

    Returns:
        The length of the packet, at least 1, which lies within the transfer; or NOT_DATA; or a DropReason.
        The channel of what is not dropped is ``header_word >> CHANNEL_SHIFT & 7``.
    """
    if header_word & _DATA_MASK != MAGIC or transfer_bytes < HEADER_BYTES:
        return _classify_other(header_word, transfer_bytes)
    length = header_word >> LENGTH_SHIFT
    if length == LENGTH_FROM_TRANSFER:
        length = transfer_bytes - HEADER_BYTES
    if 0 < length <= max_packet_bytes and length <= transfer_bytes - HEADER_BYTES:
        return length
    if length > max_packet_bytes:
        return DropReason.TOO_LONG
    return DropReason.TRUNCATED if length else DropReason.EMPTY


def _classify_other(header_word: int, transfer_bytes: int) -> int:
    if transfer_bytes < HEADER_BYTES:
        return DropReason.TRUNCATED
    if header_word & 0xFFFF != MAGIC:
        return DropReason.BAD_MAGIC
    if header_word >> CHANNEL_SHIFT & 0xFF >= CHANNEL_COUNT:
        return DropReason.UNSUPPORTED_CHANNEL
    if header_word >> COMMAND_SHIFT & 0xFF not in _COMMANDS:
        return DropReason.UNSUPPORTED_COMMAND
    return NOT_DATA
