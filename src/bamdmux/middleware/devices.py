"""Wraps around interfaces: no space, for a while, for what is delivered."""

from collections.abc import Callable
from typing import Final

from bamdmux.middleware.faults import Middleware, Strikes
from bamdmux.netdevice import NetDevice

FULL_PACKETS: Final = 40  # so many are refused in a row, at most


class FullDevice:
    """An interface that refuses packets at times; reading from it is left alone."""

    is_at_rest: Final = True

    def __init__(self, inner: NetDevice, strikes: Strikes) -> None:
        self.read_into = inner.read_into
        self._write = inner.write
        self._strikes = strikes
        self._refusals_left = 0

    def write(self, buffer: memoryview) -> bool:
        if self._refusals_left and self._strikes.rate:
            self._refusals_left -= 1
            return False
        if self._strikes.now():
            self._refusals_left = self._strikes.number(0, FULL_PACKETS)
            return False
        return self._write(buffer)


def fill(seam: str) -> Callable[[Middleware, Strikes], None]:
    """For the table; `seam` is the name of one of `Middleware` that wraps interfaces."""

    def install(link: Middleware, strikes: Strikes) -> None:
        def wrap(inner: NetDevice) -> NetDevice:
            return FullDevice(inner, strikes)

        {"interfaces": link.interfaces, "network": link.network}[seam].append(wrap)

    return install
