"""The switchboard: all control ports of a link, each with its number, and the modem that they lead to.

    0  the QMI node      1  the AT node      2...  connections of the proxy, each with a number of its own

Nodes are there from the modem's boot until it crashes. A node stays one port whoever opens it; but when its
last user has let go, the modem hears that the port was closed and opened, so that the next one does not
finish the half of a message that a dead one has begun, nor get the answers.
"""

import logging
import os
from collections.abc import Sequence
from typing import Final, Protocol

from bamdmux.actions import PortKind
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.ports.port import NodePort, Port
from bamdmux.timing import MILLISECOND, Duration, Instant

LOG: Final = logging.getLogger("bamdmux.ports")

QMI_NODE: Final = "wwan0qmi0"
AT_NODE: Final = "wwan0at0"
# In the order of their numbers, from 0.
NODES: Final[Sequence[tuple[str, PortKind]]] = ((QMI_NODE, PortKind.QMI), (AT_NODE, PortKind.AT))


class PortUser(Protocol):
    """What ports lead to: the control plane, or what carries everything to its process."""

    @property
    def takes_bytes(self) -> bool:
        """Whether it wants `received` to be called; if not, it calls `PortBoard.resume` once it does."""

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None: ...

    def received(self, port: int, data: bytes, now: Instant) -> None: ...

    def port_closed(self, port: int, now: Instant) -> None: ...


class NodeMaker(Protocol):
    """Who can make nodes: it answers by `PortBoard.nodes_made`."""

    def make_ports(self) -> None: ...

    def remove_ports(self) -> None: ...


class PortBoard:
    """The ports of a link, on the host's side.

    Attributes:
        user: set by who joins the halves of a link; there are no ports without.
        is_up: whether there is a modem that has booted.
        nodes: what they are called, where that is not what a phone calls them.
        answer_count, answering_ns: how often a port had something to answer, and how long that took, from the
            moment when its bytes were there until an answer was written.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.user: PortUser | None = None
        self.is_up = False
        self.nodes = NODES
        self.answer_count = 0
        self.answering_ns: Duration = 0
        self._asked: dict[int, Instant] = {}  # ports that have no answer yet, and since when
        self._maker: NodeMaker | None = None
        self._is_making = False  # nodes are under way
        self._ports: dict[int, Port] = {}
        self._next_number = len(NODES)

    # Ports come and go

    def modem_booted(self) -> None:
        """There is a modem: let it have nodes."""
        self.is_up = True
        if self._maker is not None and not self._has_nodes and not self._is_making:
            self._is_making = True
            self._maker.make_ports()

    def attach(self, maker: NodeMaker, *, is_making: bool = False) -> None:
        """There is a place for nodes now.

        Args:
            is_making: the first ones are being made already.
        """
        self._maker = maker
        self._is_making = is_making
        if self.is_up and not is_making:
            self.modem_booted()

    def nodes_refused(self) -> None:
        """They could not be made."""
        self._is_making = False

    def nodes_made(self, masters: Sequence[int], now: Instant) -> None:
        """Here they are; the descriptors are ours from now on."""
        self._is_making = False
        if not self.is_up:
            for master in masters:
                os.close(master)
            if self._maker is not None:
                self._maker.remove_ports()
            return
        for number, ((name, kind), master) in enumerate(zip(self.nodes, masters, strict=True)):
            os.set_blocking(master, False)
            self.opened(NodePort(number, kind, name, master, self), now)

    @property
    def _has_nodes(self) -> bool:
        return any(number in self._ports for number in range(len(NODES)))

    def new_number(self) -> int:
        """The number of a connection that begins; nobody has had it before."""
        number = self._next_number
        self._next_number += 1
        return number

    def opened(self, port: Port, now: Instant) -> None:
        """A port can be used."""
        assert self.user is not None
        self._ports[port.number] = port
        self.user.port_opened(port.number, port.kind, now)

    def hang_up(self, number: int) -> None:
        """End a port, as the modem wants it."""
        self._asked.pop(number, None)
        port = self._ports.pop(number, None)
        if port is None:
            return
        port.close()
        if number < len(NODES) and not self._has_nodes and self._maker is not None:
            self._maker.remove_ports()

    def modem_lost(self) -> None:
        """It has crashed, or its process is gone: every port hangs up."""
        self.is_up = False
        for number in list(self._ports):
            self.hang_up(number)

    # Bytes

    @property
    def takes_bytes(self) -> bool:
        return self.user is not None and self.user.takes_bytes

    def received(self, port: Port, data: bytes, now: Instant) -> None:
        if self.user is not None:
            self._asked.setdefault(port.number, now)
            self.user.received(port.number, data, now)

    def users_left(self, port: Port, now: Instant) -> None:
        LOG.debug("= nobody has %s open any more", port.name)
        self._asked.pop(port.number, None)
        if self.user is not None:
            self.user.port_closed(port.number, now)
            self.user.port_opened(port.number, port.kind, now)

    def ended(self, port: Port, now: Instant) -> None:
        self._asked.pop(port.number, None)
        if self._ports.pop(port.number, None) is not None and self.user is not None:
            self.user.port_closed(port.number, now)
        port.close()

    def send(self, number: int, data: bytes, *, is_indication: bool = False) -> None:
        """Let whoever has the port open read this; if the port has ended meanwhile, nobody does."""
        port = self._ports.get(number)
        if port is None:
            return
        port.send(data, is_indication=is_indication)
        if not is_indication and (asked := self._asked.pop(number, None)) is not None:
            self.answer_count += 1
            self.answering_ns += read_clock() - asked

    def resume(self) -> None:
        """The modem takes bytes again."""
        for port in list(self._ports.values()):
            port.resume()

    def status(self) -> list[object]:
        """For JSON."""
        return [port.status() for port in self._ports.values()]

    def answers(self) -> dict[str, object]:
        """For JSON: how long who asked has waited, in all."""
        return {"count": self.answer_count, "ms": self.answering_ns / MILLISECOND}

    def close(self) -> None:
        """Let go of everything."""
        self._maker = None
        self.is_up = False
        for port in self._ports.values():
            port.close()
        self._ports.clear()
