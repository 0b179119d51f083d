"""Wraps for a part that is in use already: they are laid over it, and taken off again.

    whoever holds the part -> part.take -> wrap's take -> the part's own take

A machine keeps the pipe ends and interfaces that it was made with. To put a wrap around one of them while the
link runs, the wrap's methods become attributes of the part itself, which Python finds before those of its
class. So the machine needs no seam, and a part without wraps is what it always was: nothing is on the way of
a packet, before and after.

Lay and take off between two batches of a machine, never within one: a batch may keep a method for itself.
"""

from typing import Any, Final, Generic, TypeVar, cast

from bamdmux.middleware.faults import Wrap

_Part = TypeVar("_Part")

# What machines call, by the seams of `Middleware`.
_OWNER: Final = ("slot", "open", "submit", "publish", "completed", "retire", "reap", "terminate", "close")
_PEER: Final = ("available", "take", "complete", "publish")
_DEVICE: Final = ("read_into", "write")
METHODS: Final = {
    "host_tx": _OWNER,
    "host_rx": _OWNER,
    "modem_tx": _PEER,
    "modem_rx": _PEER,
    "interfaces": _DEVICE,
    "network": _DEVICE,
}


class Overlay(Generic[_Part]):
    """The wraps that lie over one part.

    Args:
        seam: which kind of part it is, one of `METHODS`.
    """

    def __init__(self, part: _Part, seam: str) -> None:
        self.part = part
        self.wraps: list[_Part] = []  # the last one outermost
        self._methods = METHODS[seam]
        own = vars(part)
        self._covered = {name: own[name] for name in self._methods if name in own}
        self._pumps = getattr(part, "pumps", False)  # the native pump would go by below us
        self._bare = cast(_Part, _Bare(part, self._methods))

    def lay(self, wrap: Wrap[_Part]) -> None:
        """Put one more around the part."""
        outermost = wrap(self.wraps[-1] if self.wraps else self._bare)
        self.wraps.append(outermost)
        for name in self._methods:
            setattr(self.part, name, getattr(outermost, name))
        self._cover(True)

    def take_off(self) -> None:
        """Leave the part as it was."""
        self.wraps.clear()
        for name in self._methods:
            delattr(self.part, name)
        vars(self.part).update(self._covered)
        self._cover(False)

    def _cover(self, is_covered: bool) -> None:
        """Let the part know, if it wants to, that all has to go through the methods laid over it."""
        part: Any = self.part
        if self._pumps:
            part.pumps = not is_covered
        if hasattr(part, "is_covered"):
            part.is_covered = is_covered


class _Bare:
    """The part as the innermost wrap sees it: without any."""

    def __init__(self, part: object, methods: tuple[str, ...]) -> None:
        self._part = part
        for name in methods:
            setattr(self, name, getattr(part, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)
