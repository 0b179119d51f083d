"""What is counted: packets and bytes that passed, and what was dropped, by reason.

A drop has exactly one reason. Both machines use the same words, so that the two sides of a link can be laid
beside each other.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum, unique


@unique
class DropReason(IntEnum):
    """Why a packet or frame went no further. Negative, so that `wire.dmux.classify` can return one."""

    # What is wrong with a frame, whatever state the link is in; in the order of the checks.
    TRUNCATED = -2  # fewer bytes than a header, or than the header's length
    BAD_MAGIC = -3
    UNSUPPORTED_CHANNEL = -4
    UNSUPPORTED_COMMAND = -5
    TOO_LONG = -6  # longer than the receiver takes
    EMPTY = -7  # no packet behind the header
    # What is wrong with it now.
    INACTIVE_CHANNEL = -8  # nobody there: no interface, or it is down
    WRONG_SOURCE = -9  # not from the bearer's address
    NO_BEARER = -10  # to or from an address or a channel that no bearer serves
    # What happened to it on the way.
    DEVICE_REFUSED = -11  # the interface did not take it: down at that moment, or no space
    TRUNCATED_BY_DEVICE = -12  # longer than a slot: the interface cut it
    LONGER_THAN_MTU = -13
    LOST_IN_FLIGHT = -14  # the modem's power went while it was under way
    RESUME_FAILED = -15  # it waited for power that did not come
    INTERFACE_DOWN = -16  # it was still queued when the interface went down
    QUEUE_FULL = -17
    # What the far end did to the ring.
    OVERRUN = -18  # more bytes written than the buffer had
    BAD_DESCRIPTOR = -19  # a buffer outside of the shared area
    # What an interface gave.
    BAD_OFFLOAD = -20  # a super-packet whose headers could not be true


@dataclass(slots=True)
class Counters:
    """One direction of one channel. ``byte_count`` counts packets, without header and padding."""

    packet_count: int = 0
    byte_count: int = 0
    drops: Counter[DropReason] = field(default_factory=Counter)

    def drop(self, reason: DropReason, count: int = 1) -> None:
        self.drops[reason] += count

    def take_back(self, byte_count: int, reason: DropReason) -> None:
        """A packet that was counted as passed was dropped after all."""
        self.packet_count -= 1
        self.byte_count -= byte_count
        self.drop(reason)

    def as_dict(self) -> dict[str, object]:
        """For JSON: drop reasons by their names in lower case, those that happened."""
        drops = {reason.name.lower(): count for reason, count in sorted(self.drops.items()) if count}
        return {"packets": self.packet_count, "bytes": self.byte_count, "drops": drops}
