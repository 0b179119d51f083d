"""What can be wrong with a frame: functions that tamper with one in its buffer, and frames that nobody sent.

A tamper changes the frame that lies in `buffer`, of `size` bytes, and says how many bytes are to be claimed
for it. Here is what the table of faults is made of; when and where is not decided here.
"""

from collections.abc import Callable
from typing import Final

from bamdmux.middleware.faults import Strikes
from bamdmux.wire.dmux import (
    CHANNEL_COUNT,
    HEADER,
    HEADER_BYTES,
    LENGTH_FROM_TRANSFER,
    MAGIC,
    MAX_PACKET_BYTES,
    WORD_BYTES,
    Command,
    Frame,
    encode_frame,
)

Tamper = Callable[[memoryview, int, Strikes], int]

COMMAND_OFFSET: Final = 3
CHANNEL_OFFSET: Final = 5
LENGTH_OFFSET: Final = 6
_SOURCE4_OFFSET: Final = HEADER_BYTES + 12
_SOURCE6_OFFSET: Final = HEADER_BYTES + 8

# A packet whose first bytes after an IPv4 header say that nobody sent it.
STRAY_MARK: Final = b"stray frame!"
_STRAY_HEADER: Final = bytes.fromhex("45000020000000004011000001020304") + bytes(4)


def is_intact(buffer: memoryview, size: int) -> bool:
    """Whether it is DATA in order. What one fault has spoiled no other spoils again: two might look right."""
    if size < HEADER_BYTES or buffer[COMMAND_OFFSET] != Command.DATA:
        return False
    has_magic = buffer[0] | buffer[1] << 8 == MAGIC
    return has_magic and 0 <= size - HEADER_BYTES - _length_of(buffer) <= WORD_BYTES


def _length_of(buffer: memoryview) -> int:
    return int.from_bytes(buffer[LENGTH_OFFSET:HEADER_BYTES], "little")


def _set_length(buffer: memoryview, length: int) -> None:
    buffer[LENGTH_OFFSET:HEADER_BYTES] = length.to_bytes(2, "little")


def _scramble(buffer: memoryview) -> None:
    """A frame whose header is wrong carries no packet that anybody should get."""
    buffer[HEADER_BYTES] ^= 0x55


def bad_magic(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _scramble(buffer)
    buffer[strikes.number(0, 1)] ^= strikes.number(1, 255)
    return size


def bad_channel(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _scramble(buffer)
    buffer[CHANNEL_OFFSET] |= strikes.number(1, 31) << 3  # a mask of 7 would find the right one
    return size


def bad_command(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _scramble(buffer)
    buffer[COMMAND_OFFSET] = strikes.random.choice((3, 5, 9, 255))
    return size


def length_beyond_transfer(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _set_length(buffer, strikes.number(size - HEADER_BYTES + 1, MAX_PACKET_BYTES))
    return size


def length_beyond_buffer(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _set_length(buffer, strikes.number(MAX_PACKET_BYTES + 1, LENGTH_FROM_TRANSFER - 1))
    return size


def zero_length(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _set_length(buffer, 0)
    return size


def truncated_transfer(buffer: memoryview, size: int, strikes: Strikes) -> int:
    return _cut(buffer, size, strikes.number(HEADER_BYTES, HEADER_BYTES + _length_of(buffer) - 1))


def short_of_a_header(buffer: memoryview, size: int, strikes: Strikes) -> int:
    return _cut(buffer, size, strikes.number(0, HEADER_BYTES - 1))


def short_but_not_empty(buffer: memoryview, size: int, strikes: Strikes) -> int:
    return _cut(buffer, size, strikes.number(1, HEADER_BYTES - 1))


def _cut(buffer: memoryview, size: int, end: int) -> int:
    """What was not transferred is not there; the buffer holds what earlier frames left."""
    buffer[end:size] = b"\xee" * (size - end)
    return end


def overrun(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _scramble(buffer)
    return strikes.number(len(buffer) + 1, 0xFFFF)


def length_from_transfer(buffer: memoryview, size: int, strikes: Strikes) -> int:
    _set_length(buffer, LENGTH_FROM_TRANSFER)
    return size


def huge_descriptor(buffer: memoryview, size: int, strikes: Strikes) -> int:
    return 0xFFFF


def wrong_source(buffer: memoryview, size: int, strikes: Strikes) -> int:
    offset = _SOURCE4_OFFSET if buffer[HEADER_BYTES] >> 4 == 4 else _SOURCE6_OFFSET
    buffer[offset] ^= 0x10
    return size


# Frames that nobody sent


def command(command: Command, channel: int) -> bytes:
    return encode_frame(Frame(command, channel))


def stray(channel: int) -> bytes:
    """DATA of nobody's. The channel need not exist."""
    packet = _STRAY_HEADER + STRAY_MARK
    return HEADER.pack(MAGIC, 0, Command.DATA, 0, channel, len(packet)) + packet


def is_stray(packet: memoryview) -> bool:
    start = len(_STRAY_HEADER)
    return bytes(packet[start : start + len(STRAY_MARK)]) == STRAY_MARK


Injection = Callable[[list[int], Strikes], list[bytes]]  # from the channels that are open


def duplicate_open(channels: list[int], strikes: Strikes) -> list[bytes]:
    return [command(Command.OPEN, _one_of(channels, strikes))]


def open_no_a2_pc(channels: list[int], strikes: Strikes) -> list[bytes]:
    return [command(Command.OPEN_NO_A2_PC, _one_of(channels, strikes))]


def close_not_open(channels: list[int], strikes: Strikes) -> list[bytes]:
    """It is open, and shall be in the end: closed twice, opened once."""
    channel = _one_of(channels, strikes)
    return [command(Command.CLOSE, channel)] * 2 + [command(Command.OPEN, channel)]


def data_after_close(channels: list[int], strikes: Strikes) -> list[bytes]:
    channel = _one_of(channels, strikes)
    return [command(Command.CLOSE, channel), stray(channel), command(Command.OPEN, channel)]


def flapping(channels: list[int], strikes: Strikes) -> list[bytes]:
    channel = _one_of(channels, strikes)
    return [command(Command.CLOSE, channel), command(Command.OPEN, channel)] * strikes.number(1, 3)


def data_for_nobody(channels: list[int], strikes: Strikes) -> list[bytes]:
    return [stray(strikes.number(CHANNEL_COUNT, 255))]


def data_before_open(channels: list[int], strikes: Strikes) -> list[bytes]:
    unopened = [channel for channel in range(CHANNEL_COUNT) if channel not in channels]
    return [stray(_one_of(unopened, strikes))] if unopened else []


def _one_of(channels: list[int], strikes: Strikes) -> int:
    return channels[strikes.number(0, len(channels) - 1)]
