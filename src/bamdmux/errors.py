"""Everything bamdmux raises on purpose.

BamDmuxError
    ProtocolError        bytes that are not what they should be; ``reason`` says why, as counters do
        MalformedFrame   a buffer that holds no DMUX frame
        MalformedPacket  a packet whose headers for offloads cannot be true
        MalformedMessage a frame of a control port that holds no QMI message
        InvalidTlv       a TLV of a QMI message, missing or wrong; ``reason`` is the QMI error to answer with
    MachineError         this machine lacks something
    UsageError           the caller asked for something that does not exist
"""

from enum import Enum, IntEnum


class BamDmuxError(Exception):
    """The root: catch this to catch them all."""


class ProtocolError(BamDmuxError):
    """Bytes that are not what they should be."""

    def __init__(self, reason: Enum, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class MalformedFrame(ProtocolError):
    """A buffer that holds no DMUX frame."""


class MalformedPacket(ProtocolError):
    """A packet whose headers for offloads cannot be true."""


class MalformedMessage(ProtocolError):
    """A frame of a control port that holds no QMI message."""


class InvalidTlv(ProtocolError):
    """A TLV that a QMI message must have and has not, or whose value is not what its definition says."""

    reason: IntEnum  # a QmiError

    def __init__(self, reason: IntEnum, name: str, detail: str) -> None:
        super().__init__(reason, f"{name}: {detail}")
        self.name = name


class MachineError(BamDmuxError):
    """This machine lacks something; the message says what, and what mends it."""


class UsageError(BamDmuxError):
    """The caller asked for something that does not exist; the message says what does."""
