"""Everything bamdmux raises on purpose.

BamDmuxError
    ProtocolError        bytes that are not what they should be; ``reason`` says why, as counters do
        MalformedFrame   a buffer that holds no DMUX frame
    MachineError         this machine lacks something
    UsageError           the caller asked for something that does not exist
"""

from enum import Enum


class BamDmuxError(Exception):
    """The root: catch this to catch them all."""


class ProtocolError(BamDmuxError):
    """Bytes that are not what they should be."""

    def __init__(self, reason: Enum, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class MalformedFrame(ProtocolError):
    """A buffer that holds no DMUX frame."""


class MachineError(BamDmuxError):
    """This machine lacks something; the message says what, and what mends it."""


class UsageError(BamDmuxError):
    """The caller asked for something that does not exist; the message says what does."""
