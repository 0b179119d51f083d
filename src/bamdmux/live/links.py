"""Watch the interfaces of another namespace: which come, go, rise, fall, and with what MTU.

The kernel tells of each change to a netlink socket that was opened in the namespace, wherever it is read
(rtnetlink(7), group RTMGRP_LINK). It comes late: by then the interface may have changed again, and packets
have passed; that is for the reader to bear. When we read too slowly the kernel drops messages and says
ENOBUFS; then we ask for all interfaces, and what was lost shows as the difference.

Only differences are reported. A message tells everything about an interface, most of it none of our
business: each time an address is added, a carrier goes or a statistic is read, one comes.

The messages are taken apart here, by struct, and not by pyroute2: that is five fields at fixed places and two
attributes, in a loop that moves packets, where pyroute2 decodes all 50 attributes (0.3 ms a message) and has
asyncio machinery of its own around the socket. What is *set* goes through pyroute2, see addresses.py.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from bamdmux.live.namespaces import NetworkNamespace

# include/uapi/linux/{netlink,rtnetlink,if,if_link}.h
NETLINK_ROUTE: Final = 0
RTMGRP_LINK: Final = 1
NLMSG_DONE: Final = 3
RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
NLM_F_REQUEST: Final = 0x001
NLM_F_DUMP: Final = 0x300
NLM_F_DUMP_INTR: Final = 0x10
IFF_UP: Final = 0x1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4

MESSAGE_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
INTERFACE: Final = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr: length, type
NUMBER: Final = struct.Struct("=I")

RECEIVE_BYTES: Final = 1 << 16  # NLMSG_GOODSIZE and dumps are at most 32 KiB
DATAGRAM_LIMIT: Final = 64  # of one `read_changes`; what is left keeps the descriptor readable


@dataclass(frozen=True, slots=True)
class LinkChange:
    """An interface is new, or differs from what was last reported; ``gone``: as it was when it went."""

    name: str
    index: int
    is_up: bool  # administratively (IFF_UP): what `ip link set up` says, whatever the carrier
    mtu: int
    gone: bool = False


class LinkMonitor:
    """The interfaces of a namespace. Those that exist are reported first, whether up or down."""

    def __init__(self, namespace: NetworkNamespace) -> None:
        self._socket = namespace.run(_open_socket)
        self._known: dict[int, LinkChange] = {}
        self._told: set[int] = set()  # by the dump under way
        self._is_dumping = False
        self._must_repeat = False  # something was lost while a dump was under way
        self._ask_for_all()

    def fileno(self) -> int:
        """Readable when `read_changes` may have something to say."""
        return self._socket.fileno()

    def read_changes(self) -> list[LinkChange]:
        """What differs from what was reported before, in the order in which it happened; never waits."""
        changes: list[LinkChange] = []
        for _ in range(DATAGRAM_LIMIT):
            try:
                datagram, sender = self._socket.recvfrom(RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._messages_were_lost()
                continue
            if sender[0] == 0:  # the kernel: any process of the namespace may send to us
                changes += self._read_datagram(datagram)
        return changes

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _messages_were_lost(self) -> None:
        if self._is_dumping:  # the kernel does one at a time
            self._must_repeat = True
        else:
            self._ask_for_all()

    def _ask_for_all(self) -> None:
        self._told = set()
        self._is_dumping = True
        self._must_repeat = False
        size = MESSAGE_HEADER.size + INTERFACE.size
        header = MESSAGE_HEADER.pack(size, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0, 0)
        self._socket.send(header + INTERFACE.pack(socket.AF_UNSPEC, 0, 0, 0, 0))

    def _read_datagram(self, datagram: bytes) -> Iterator[LinkChange]:
        for kind, flags, body in _messages(datagram):
            if flags & NLM_F_DUMP_INTR:  # the list changed while it was read
                self._must_repeat = True
            if kind == NLMSG_DONE:
                yield from self._finish_dump()
            elif kind in (RTM_NEWLINK, RTM_DELLINK) and (link := _parse_link(body)) is not None:
                yield from self._remember(link) if kind == RTM_NEWLINK else self._forget(link.index)

    def _remember(self, link: LinkChange) -> Iterator[LinkChange]:
        self._told.add(link.index)
        if self._known.get(link.index) != link:
            self._known[link.index] = link
            yield link

    def _finish_dump(self) -> Iterator[LinkChange]:
        self._is_dumping = False
        if self._must_repeat:
            self._ask_for_all()
            return
        for index in self._known.keys() - self._told:
            yield from self._forget(index)

    def _forget(self, index: int) -> Iterator[LinkChange]:
        self._told.discard(index)
        known = self._known.pop(index, None)
        if known is not None:
            yield replace(known, gone=True)


def _open_socket() -> socket.socket:
    monitor = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    monitor.setblocking(False)
    monitor.bind((0, RTMGRP_LINK))
    return monitor


def _messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and body of each message."""
    start = 0
    while start + MESSAGE_HEADER.size <= len(datagram):
        length, kind, flags, _, _ = MESSAGE_HEADER.unpack_from(datagram, start)
        if length < MESSAGE_HEADER.size:
            return
        yield kind, flags, datagram[start + MESSAGE_HEADER.size : start + length]
        start += _aligned(length)


def _parse_link(body: bytes) -> LinkChange | None:
    """The interface that a message is about; None if it is about its place in a bridge."""
    family, _, index, flags, _ = INTERFACE.unpack_from(body)
    if family != socket.AF_UNSPEC:
        return None
    name, mtu = "", 0
    start = INTERFACE.size
    while start + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, start)
        if length < ATTRIBUTE.size:
            break
        if kind == IFLA_IFNAME:
            name = body[start + ATTRIBUTE.size : start + length].rstrip(b"\0").decode(errors="replace")
        elif kind == IFLA_MTU:
            (mtu,) = NUMBER.unpack_from(body, start + ATTRIBUTE.size)
        start += _aligned(length)
    return LinkChange(name, index, bool(flags & IFF_UP), mtu)


def _aligned(length: int) -> int:
    return length + 3 & ~3
