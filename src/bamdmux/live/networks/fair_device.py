"""Several TUNs as one device: each bearer's packets wait in a queue of their own, and all have their turn.

A TUN drops what its queue does not hold, whoever it belongs to. In one queue for all bearers the fastest
flow takes the place of the others; with one for each, a bearer loses only what it sends too much. Who is read
is decided here; the modem finds the bearer by the address, as ever.
"""

import select
from collections import deque
from collections.abc import Sequence
from typing import Final

from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.tun import Tun
from bamdmux.pump import Interface

# Packets of one TUN before the next has its turn: a super-packet or two, or a few calls of the native pump.
QUANTUM: Final = 64


class FairDevice:
    """A `NetworkDevice` made of TUNs in one namespace. What it is given goes to the first of them.

    Args:
        tuns: at least one; they stay their owner's to close.
        namespace: where they are.
    """

    def __init__(self, tuns: Sequence[Tun], namespace: NetworkNamespace) -> None:
        assert tuns, "a device without a TUN reads nothing"
        self._tuns = tuns
        self._namespace = namespace
        self._by_descriptor = {tun.fileno(): tun for tun in tuns}
        self._epoll = select.epoll()  # readable itself, when one of those in it is
        for descriptor in self._by_descriptor:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._ready: deque[Tun] = deque()  # the one whose turn it is comes first
        self._left = QUANTUM  # of its turn
        self.interface = tuns[0].interface  # to be written to
        self.source = None if self.interface is None else self
        # The kernel takes a packet for any of its addresses from any of its interfaces.
        self.write = tuns[0].write

    def fileno(self) -> int:
        """Readable while a packet waits."""
        return self._epoll.fileno()

    def read_into(self, buffer: memoryview) -> int:
        """See `NetDevice.read_into`."""
        ready = self._ready
        if self._left <= 0 or not ready:
            self._next_turn()
        while ready:
            length = ready[0].read_into(buffer)
            if length:
                self._left -= 1
                return length
            ready.popleft()
            self._next_turn()
        return 0

    @property
    def has_packet(self) -> bool:
        """Whether there is more to be read than the descriptor tells of: the rest of super-packets."""
        return any(tun.has_packet for tun in self._ready)

    @property
    def pumps(self) -> bool:
        """Whether the native pump may do our work; see `Tun.pumps`."""
        return self._tuns[0].pumps

    @pumps.setter
    def pumps(self, pumps: bool) -> None:
        for tun in self._tuns:
            tun.pumps = pumps

    def limit_segments(self, count: int) -> None:
        """See `NetworkDevice`."""

        def limit_all() -> None:
            for tun in self._tuns:
                tun.limit_segments(count)

        self._namespace.run(limit_all)

    def turn(self) -> tuple[Interface | None, int]:
        """See `Source`."""
        if self._left <= 0 or not self._ready:
            self._next_turn()
        return (self._ready[0].interface, self._left) if self._ready else (None, 0)

    def took(self, count: int, *, is_dry: bool) -> bool:
        """See `Source`. Whoever gets packets now has them read in the next batch."""
        self._left -= count
        if is_dry:
            self._ready.popleft()
            self._left = QUANTUM
        return bool(self._ready)

    def _next_turn(self) -> None:
        """Whose turn it was goes last, behind those who have got packets meanwhile."""
        for descriptor, mask in self._epoll.poll(0):
            tun = self._by_descriptor[descriptor]
            if mask & select.EPOLLERR:  # somebody has deleted the interface: it would be readable for ever
                self._epoll.unregister(descriptor)
            elif tun not in self._ready:
                self._ready.append(tun)
        if self._left <= 0:
            self._ready.rotate(-1)
        self._left = QUANTUM

    def close(self) -> None:
        """Let go; before the TUNs are closed."""
        self._epoll.close()
