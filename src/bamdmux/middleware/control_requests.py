"""The requests in the bytes of control ports, with the names that a selector of faults may call them by.

    frames of QMI     wds, wds.start_network, wds.0x0020
    lines of AT       at, at.+cgact, at.e: all commands of the line

What is given on, in order, is the stream that came in. Of QMI, what is no frame is left out and counted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bamdmux.errors import MalformedMessage
from bamdmux.wire.qmi.messages import find_request
from bamdmux.wire.qmux import Kind, Message, Reframer, Service, decode_header

MAX_LINE_BYTES: Final = 4096  # of a line that is being typed; what is behind that has no name

_CARRIAGE_RETURN: Final = 0x0D
_DELETE: Final = 0x7F
_BACKSPACES: Final = (0x08, _DELETE)
_AT_NAME: Final = re.compile(r"[+*$^%&]?[A-Z]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Args:
        data: all of it: the frame, or what ends the line.
        names: what a selector may call it, in lower case.
        message: its header; None: it is one of AT.
    """

    port: int
    data: bytes
    names: frozenset[str]
    message: Message | None = None


class QmiRequests:
    """Cuts the bytes of a QMI port into frames."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reframer = Reframer()

    @property
    def skipped_byte_count(self) -> int:
        return self._reframer.skipped_byte_count

    @property
    def holds_back(self) -> bool:
        """Whether it has bytes that it has not given on."""
        return self._reframer.unfinished_byte_count > 0

    def feed(self, data: bytes) -> Iterator[bytes | Asked]:
        """In order: requests, and other bytes that the plane is to see."""
        for frame in self._reframer.feed(data):
            message = _header(frame)
            if message is None or message.kind is not Kind.REQUEST:
                yield frame
            else:
                yield Asked(self._port, frame, qmi_names(message), message)


def _header(frame: bytes) -> Message | None:
    try:
        return decode_header(frame)
    except MalformedMessage:
        return None


def qmi_names(message: Message) -> frozenset[str]:
    """What a selector may call it: its service, its name in the service's file, its number."""
    known = find_request(message.service, message.message_id)
    try:
        service = Service(message.service).name.lower()
    except ValueError:
        service = f"service{message.service}"
    names = {service, f"{service}.0x{message.message_id:04x}"}
    return frozenset(names if known is None else names | {f"{service}.{known.name}"})


class AtRequests:
    """Cuts the bytes of an AT port into what is typed and what ends a line.

    What is typed goes to the plane at once, for its echo. On a port that ends its lines otherwise than by a
    carriage return (S3) nothing is struck.
    """

    skipped_byte_count: Final = 0
    holds_back: Final = False

    def __init__(self, port: int) -> None:
        self._port = port
        self._line = bytearray()
        self._last_line = b"AT"

    def feed(self, data: bytes) -> Iterator[bytes | Asked]:
        typed = bytearray()
        for byte in data:
            is_repetition = byte == ord("/") and self._line.upper() == b"A"
            if byte != _CARRIAGE_RETURN and not is_repetition:
                typed.append(byte)
                self._type(byte)
                continue
            yield bytes(typed)
            typed.clear()
            line = self._last_line if is_repetition else bytes(self._line)
            end = bytes((byte,))
            if line[:2].upper() == b"AT":
                yield Asked(self._port, end, at_names(line))
                self._last_line = line
            else:
                yield end
            self._line.clear()
        yield bytes(typed)

    def _type(self, byte: int) -> None:
        if byte in _BACKSPACES:
            del self._line[-1:]
        elif byte >= ord(" ") and len(self._line) < MAX_LINE_BYTES:
            self._line.append(byte)

    def take_back(self) -> bytes:
        """The line is deleted, and what is left of it ended."""
        return bytes((_DELETE,)) * len(self._line) + b"\r"


def at_names(line: bytes) -> frozenset[str]:
    """What a selector may call a line: `at`, and each command in it. Words in its parameters do no harm."""
    commands = _AT_NAME.findall(line[2:].decode("latin-1").upper())
    return frozenset(("at", *(f"at.{command.lower()}" for command in commands)))
