"""The host's half of a live link: the HostDriver, its TUNs in their namespace, and what it asks to be done.

    TUN readable ------> driver.transmit ----> ring -> far side's doorbell
    link went up/down -> driver.interface_changed
    far side's bell ---> driver.doorbell_rang -> TUN

Which TUNs are watched follows from what the driver wants, anew after each batch: one that is down, detached
or stopped must not wake us, for its packets would stay readable.
"""

import logging
import os
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bamdmux.actions import (
    Action,
    AttachNetdev,
    DetachNetdev,
    Line,
    Log,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    RingDoorbell,
    SetLine,
    StartQueue,
    StopQueue,
    UnregisterNetdev,
    WakeQueue,
)
from bamdmux.bam.lines import LineReader, LineWriter
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner
from bamdmux.host.channels import Channel
from bamdmux.host.driver import HostDriver
from bamdmux.live.addresses import Netlink, form_no_link_local, restore_link_local
from bamdmux.live.link_end import LinkEnd
from bamdmux.live.links import LinkChange, LinkMonitor
from bamdmux.live.loop import Loop
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.tun import PERMANENT_ADDRESS_BYTES, Tun, close_all
from bamdmux.middleware.faults import Half
from bamdmux.timing import Instant
from bamdmux.wire.dmux import MAX_PACKET_BYTES

LOG: Final = logging.getLogger("bamdmux.host")

# Packets read before anything else gets a turn: a full ring of the default size, several times over when it
# is emptied meanwhile.
TRANSMIT_BUDGET: Final = 256

MIN_IPV6_MTU: Final = 1280  # RFC 8200 section 5; below it the kernel takes IPv6 off an interface


# The queues' state is read from the driver, once for each batch.
_SEEN_IN_ARM: Final = frozenset((StartQueue, StopQueue, WakeQueue))


class HostSide(LinkEnd):
    """HostDriver and its interfaces.

    Args:
        namespace: where the interfaces wwanN are made.
        sets_identity: an interface that comes up for the first time gets its link-local address from us,
            and not from whoever sets it up.
    """

    def __init__(
        self,
        memory: memoryview,
        layout: LinkLayout,
        namespace: NetworkNamespace,
        loop: Loop,
        *,
        sets_identity: bool = False,
    ) -> None:
        super().__init__()
        self._memory = memory
        self._layout = layout
        self._writers: Mapping[Line, LineWriter] = {
            line: LineWriter(memory, layout, line) for line in (Line.HOST_VOTE, Line.HOST_ACK)
        }
        self.driver = self._make_driver()
        self.is_bound = False  # whether the driver was probed
        self.hear: Callable[[Line, int, Instant], None] = self._hear  # the way that news of lines takes to us
        self.tuns: dict[int, Tun] = {}
        self.is_removed = False
        self._removed: list[Tun] = []  # to be closed when all actions are done
        self._namespace = namespace
        self._loop = loop
        self._sets_identity = sets_identity
        self._readers = {
            line: LineReader(memory, layout, line) for line in (Line.MODEM_POWER, Line.MODEM_ACK)
        }
        self._told = dict.fromkeys(self._readers, -1)  # the counts that the driver was told of by us
        # The TUNs whose packets are welcome. It is watched itself, except while the ring is full: one
        # descriptor to let go of and to take up again, and not one for each channel.
        self._readable = select.epoll()
        self._channels_of: dict[int, int] = {}  # by descriptor, of those in it
        self._watched: set[int] = set()  # the channels of those in it
        self._welcome: Sequence[Channel] = ()  # they, as the driver said
        self._waiting: list[int] = []  # channels whose TUNs were found readable
        self._begun: list[int] = []  # channels of whose last super-packet there is more to be read
        self._identified: set[int] = set()  # indexes of the interfaces that have been up
        self._monitor = LinkMonitor(namespace)
        loop.watch(self._monitor.fileno(), self._links_changed)

    def _make_driver(self) -> HostDriver:
        self._pipes = {
            "host_tx": PipeOwner(self._memory, self._layout.tx),
            "host_rx": PipeOwner(self._memory, self._layout.rx),
        }
        return HostDriver(
            *self._pipes.values(),
            vote_level=self._writers[Line.HOST_VOTE].level,
            ack_level=self._writers[Line.HOST_ACK].level,
        )

    def start(self, now: Instant) -> None:
        """Bind the driver: the link may be in any state."""
        power, ack = self._readers[Line.MODEM_POWER], self._readers[Line.MODEM_ACK]
        self.is_bound = True
        self.driver.probe(power.edge_count, ack.edge_count, now)

    def unbind(self) -> None:
        """Let the driver die with all that is its own, as it stands; `start` binds the next one."""
        self._forget_interfaces()
        self.is_bound = False
        self._told = dict.fromkeys(self._readers, -1)
        self.driver = self._make_driver()
        for seam, pipe in self._pipes.items():
            self.part_made(seam, pipe)

    @property
    def deadline(self) -> Instant | None:
        return self.driver.deadline

    def handle_timeout(self, now: Instant) -> None:
        self.driver.handle_timeout(now)

    def _hear(self, line: Line, edge_count: int, now: Instant) -> None:
        self.driver.line_changed(line, edge_count, now)

    def look_at_memory(self, now: Instant) -> None:
        """The far side has done something: see for ourselves what."""
        if not self.is_bound:
            return
        self.driver.doorbell_rang(Pipe.TX, now)
        if self._begun:  # first, so that the modem is at work while we are
            self.feed(now)
        self.driver.doorbell_rang(Pipe.RX, now)
        for line, reader in self._readers.items():
            edge_count = reader.edge_count
            if edge_count != self._told[line]:
                self._told[line] = edge_count
                self.driver.line_changed(line, edge_count, now)

    # From the network stack

    def _tuns_readable(self, now: Instant) -> None:
        self._waiting = [self._channels_of[descriptor] for descriptor, _ in self._readable.poll(0)]

    def feed(self, now: Instant) -> None:
        """Give the driver the packets of the TUNs that were found readable."""
        if self._waiting or self._begun:
            waiting = self._waiting + [each for each in self._begun if each not in self._waiting]
            self.driver.transmit(waiting, now, TRANSMIT_BUDGET, self.next_door)
            self._waiting.clear()
            self._begun = [channel for channel in waiting if self.tuns[channel].has_packet]

    def _links_changed(self, now: Instant) -> None:
        channels = {tun.index: channel for channel, tun in self.tuns.items()}
        for change in self._monitor.read_changes():
            channel = channels.get(change.index)
            if channel is not None:
                self._link_changed(channel, change, now)

    def _link_changed(self, channel: int, change: LinkChange, now: Instant) -> None:
        tun, mtu_before = self.tuns[channel], self.driver.channels[channel].mtu
        mtu = change.mtu
        if mtu > MAX_PACKET_BYTES:  # a TUN takes any
            LOG.warning("= MTU %d of %s exceeds %d, set back", mtu, tun.name, MAX_PACKET_BYTES)
            mtu = MAX_PACKET_BYTES
            self._namespace.run(lambda: _set_mtu(tun.index, mtu))
        is_up = change.is_up and not change.gone
        was_up = self.driver.channels[channel].is_up
        self.driver.mtu_changed(channel, mtu)
        self.driver.interface_changed(channel, is_up, now)
        # ifdown takes the link-local address away, too small an MTU all of IPv6.
        if is_up and (not was_up or mtu_before < MIN_IPV6_MTU <= mtu):
            self._restore_identity(tun)

    def _restore_identity(self, tun: Tun) -> None:
        if tun.index not in self._identified:
            self._identified.add(tun.index)  # the first time it has what whoever set it up gave it
            return
        address = tun.permanent_address
        assert address is not None
        self._namespace.run(lambda: restore_link_local(tun.index, address))

    # What the driver wants done

    def carry_out_actions(self, now: Instant) -> bool:
        """Do what the driver asks for; whether there was anything."""
        if not self.driver.has_actions:
            return False
        for action in self.driver.take_actions():
            if type(action) not in _SEEN_IN_ARM:
                self._carry_out(action, now)
        if self._removed:
            close_all(self._removed)  # together, for the kernel waits 16 ms at each
            self._removed.clear()
        return True

    def _carry_out(self, action: Action, now: Instant) -> None:
        match action:
            case RingDoorbell(pipe):
                self.far.doorbell_rang(pipe, now)
            case SetLine(line, level):
                writer = self._writers[line]
                if writer.set(level):
                    self.far.line_changed(line, writer.edge_count, now)
            case LookAtLine(line):
                self.hear(line, self._readers[line].edge_count, now)
            case Log():
                if LOG.isEnabledFor(action.severity):
                    LOG.log(action.severity, action.message)
            case RegisterNetdev(channel):
                self._register(channel, now)
            case UnregisterNetdev(channel):
                self._unregister(channel)
            case AttachNetdev(channel):
                self.tuns[channel].set_carrier(True)
            case DetachNetdev(channel):
                self.tuns[channel].set_carrier(False)
            case Removed():
                self.is_removed = True
            case _:
                raise AssertionError(f"a host has no {action}")

    def _register(self, channel: int, now: Instant) -> None:
        address = random_permanent_address()
        tun = self._namespace.run(
            partial(
                Tun.create,
                f"wwan{channel}",
                permanent_address=address,
                max_segments=self._layout.tx.max_segments,
            )
        )
        self.tuns[channel] = tun
        if self._sets_identity:
            self._namespace.run(lambda: form_no_link_local(tun.name))
            self._identified.add(tun.index)
        self.part_made("interfaces", tun)
        self.driver.netdev_registered(channel, tun, now)

    def _unregister(self, channel: int) -> None:
        self._set_watched(self._watched - {channel})
        self._removed.append(self.tuns.pop(channel))
        self._begun.clear()

    def arm(self) -> None:
        """Watch the TUNs whose packets are welcome, and no others; come back for what was begun."""
        welcome, descriptor = self.driver.welcome_channels, self._readable.fileno()
        if welcome is not self._welcome:
            self._welcome = welcome
            self._set_watched({channel.index for channel in welcome})
        if not welcome or self.driver.is_stopped:
            self._loop.forget(descriptor)
        else:
            self._loop.watch(descriptor, self._tuns_readable)
            if not self._watched.isdisjoint(self._begun):
                self._loop.call_soon(_now)

    def _set_watched(self, channels: set[int]) -> None:
        for channel in channels ^ self._watched:
            descriptor = self.tuns[channel].fileno()
            if channel in channels:
                self._channels_of[descriptor] = channel
                self._readable.register(descriptor, select.EPOLLIN)
            else:
                del self._channels_of[descriptor]
                self._readable.unregister(descriptor)
        self._watched = channels

    def _forget_interfaces(self) -> None:
        self._set_watched(set())
        self._welcome = ()
        close_all(list(self.tuns.values()))
        self.tuns.clear()
        self._waiting.clear()
        self._begun.clear()

    # For faults

    half: Final = Half.HOST

    def parts(self) -> Iterator[tuple[str, Any]]:
        """See `bamdmux.live.faults.Wrappable`."""
        yield from self._pipes.items()
        for tun in self.tuns.values():
            yield "interfaces", tun

    def edge_count(self, line: Line) -> int:
        return (self._readers.get(line) or self._writers[line]).edge_count

    @property
    def announced(self) -> Sequence[int]:
        return [channel.index for channel in self.driver.channels if channel.is_remote_open]

    def status(self, now: Instant) -> dict[str, object]:
        """The driver's, and what the kernel dropped before the driver saw it."""
        dropped = {tun.name: tun.dropped_by_kernel() for tun in self.tuns.values()}
        since_it_was_bound = now if self.is_bound else 0  # one that is not has not waited for anything
        return {**self.driver.status(since_it_was_bound), "dropped_by_kernel": dropped}

    def close(self) -> None:
        """Let go of the interfaces, even without an orderly removal."""
        self._forget_interfaces()
        self._loop.forget(self._readable.fileno())
        self._readable.close()
        self._loop.forget(self._monitor.fileno())
        self._monitor.close()


def _now(now: Instant) -> None:
    """Nothing but a reason not to wait."""


def random_permanent_address() -> bytes:
    """Six bytes as eth_random_addr() of the kernel makes them: locally administered, no group."""
    address = bytearray(os.urandom(PERMANENT_ADDRESS_BYTES))
    address[0] = address[0] & 0xFE | 0x02
    return bytes(address)


def _set_mtu(index: int, mtu: int) -> None:
    with Netlink() as netlink:
        netlink.set_mtu(index, mtu)
