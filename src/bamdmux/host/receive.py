"""The receive ring: frames from the modem, each into its interface, each buffer straight back to the modem.

A buffer is copied to private memory once, before anything looks at it: the modem can write to shared memory
at any time, and what was checked must be what is delivered. DATA goes to its interface here, and what cannot
is counted; commands are given to the driver, in their place in the order, and the first wrong frame of each
kind, for its log. However many wrong ones a modem sends, they make no object each and no line each.

Sources: bam_dmux_rx_callback(), bam_dmux_cmd_data() and bam_dmux_skb_queue_rx() of
drivers/net/wwan/qcom_bam_dmux.c in Linux 6.1.

It opens no channel and rings no doorbell.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bamdmux.bam.pipe import PUBLISH_AFTER, PipeOwner
from bamdmux.counters import Counters, DropReason
from bamdmux.netdevice import PACKET_INFORMATION_BYTES, NetDevice, packet_information
from bamdmux.pump import Interface, Tally, interface_of
from bamdmux.wire.dmux import (
    CHANNEL_COUNT,
    CHANNEL_SHIFT,
    HEADER_BYTES,
    HEADER_WORD,
    NOT_DATA,
    Frame,
    classify,
    decode_frame,
)

_PACKET_INFORMATION: Final = struct.Struct("<I")
_WRITE_OFFSET: Final = HEADER_BYTES - PACKET_INFORMATION_BYTES

# What is wrong with the length of DATA: the kernel's driver looks for the interface first.
_WRONG_LENGTH: Final = {DropReason.TOO_LONG, DropReason.TRUNCATED, DropReason.EMPTY}
_NAMES_CHANNEL: Final = {*_WRONG_LENGTH, DropReason.UNSUPPORTED_COMMAND, DropReason.INACTIVE_CHANNEL}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame that went no further, the first one of a batch for that reason."""

    reason: DropReason
    header_word: int


class ReceiveRing:
    """The slots of the RX pipe."""

    def __init__(self, pipe: PipeOwner) -> None:
        self._pipe = pipe
        self._is_bare = type(pipe) is PipeOwner  # and nothing that is wrapped around one
        self._slot_bytes = pipe.layout.slot_bytes
        self._slots = [pipe.slot(index) for index in range(pipe.layout.slot_count)]
        self._private = memoryview(bytearray(self._slot_bytes))
        self._tally = Tally()
        self._devices: Sequence[NetDevice | None] = ()  # those that `_interfaces` are of
        self._interfaces: tuple[Interface | None, ...] = ()

    def open(self) -> None:
        """Take the pipe into use and queue every buffer. Publish the pipe afterwards."""
        self._pipe.open()
        for slot_index in range(len(self._slots)):
            self._pipe.submit(slot_index, self._slot_bytes)

    def drain_to(
        self,
        devices: Sequence[NetDevice | None],
        counters: Sequence[Counters],
        unassigned: Counters,
    ) -> Iterator[Frame | Rejected]:
        """Deliver what has arrived, or count why not; yield what is no DATA, and what is wrong first.

        Each buffer is queued again once its frame was dealt with, the yielded ones when the iterator goes on.
        Publish the pipe afterwards.

        Args:
            devices: for each channel its interface, None while it is down or not there.
            counters: for each channel.
            unassigned: counts the frames that name no channel.
        """
        private, slots, pipe = self._private, self._slots, self._pipe
        read_word, write_information = HEADER_WORD.unpack_from, _PACKET_INFORMATION.pack_into
        max_packet_bytes = self._slot_bytes - HEADER_BYTES
        told: set[DropReason] = set()
        left = pipe.completed()  # at most the ring, however much arrives meanwhile
        is_bare = self._is_bare and not pipe.is_covered
        pumps = is_bare and pipe.pumps
        while left:
            if pumps:
                left -= self._pump_to(devices, counters, left)
                if left <= 0:
                    break
            left -= 1
            slot_index, transfer_bytes = pipe.reap()
            reason = None
            if transfer_bytes < HEADER_BYTES:
                word, reason, counted_in = 0, _why_fragment(transfer_bytes), unassigned
            else:
                private[:transfer_bytes] = slots[slot_index][:transfer_bytes]
                (word,) = read_word(private)
                verdict = classify(word, transfer_bytes, max_packet_bytes)
                channel = word >> CHANNEL_SHIFT & CHANNEL_COUNT - 1
                device, counted_in = devices[channel], counters[channel]
                if verdict > 0 and device is not None:
                    write_information(private, _WRITE_OFFSET, packet_information(private[HEADER_BYTES]))
                    if device.write(private[_WRITE_OFFSET : HEADER_BYTES + verdict]):
                        counted_in.packet_count += 1
                        counted_in.byte_count += verdict
                    else:
                        counted_in.drop(DropReason.DEVICE_REFUSED)
                elif verdict == NOT_DATA:
                    yield decode_frame(private[:transfer_bytes])
                else:
                    reason = _why(verdict, is_active=device is not None)
                    if reason not in _NAMES_CHANNEL:
                        counted_in = unassigned
            if reason is not None:
                counted_in.drop(reason)
                # Differs: the kernel writes a line for each, as many as a modem likes.
                if reason not in told:
                    told.add(reason)
                    yield Rejected(reason, word)
            pipe.submit(slot_index, self._slot_bytes)
            if is_bare and left % PUBLISH_AFTER == 0:
                pipe.publish()

    def _pump_to(self, devices: Sequence[NetDevice | None], counters: Sequence[Counters], count: int) -> int:
        """Deliver with the native pump what it can; how many frames; perhaps more than `count`."""
        if devices != self._devices:
            self._devices, self._interfaces = devices[:], tuple(map(interface_of, devices))
        done = self._pipe.pump_in(self._interfaces, count, self._tally)
        self._tally.settle(counters, DropReason.DEVICE_REFUSED)
        return done


def _why_fragment(transfer_bytes: int) -> DropReason:
    # Differs: the kernel does not know how much was written, and reads what an earlier frame left behind.
    return DropReason.OVERRUN if transfer_bytes < 0 else DropReason.TRUNCATED


def _why(verdict: int, is_active: bool) -> DropReason:
    if verdict > 0 or (verdict in _WRONG_LENGTH and not is_active):
        return DropReason.INACTIVE_CHANNEL
    assert isinstance(verdict, DropReason)
    return verdict
