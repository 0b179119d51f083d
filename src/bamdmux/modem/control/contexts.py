"""The contexts that are stored in the modem: WDS calls them profiles, AT calls them PDP contexts.

They are one list, as in real firmware: what AT+CGDCONT defines, WDS Get Profile List shows. Context N is
written to by people and programs; it does nothing by itself.
"""

from dataclasses import dataclass, replace
from typing import Final

CONTEXT_COUNT: Final = 16  # indexes 1 to 16; one more is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One of them.

    Args:
        index: from 1.
        versions: of IP that it asks for: (4,), (6,) or both.
        authentication: how user name and password may be shown to the network: bits, PAP 1 and CHAP 2.
    """

    index: int
    name: str = ""
    apn: str = ""
    versions: tuple[int, ...] = (4, 6)
    username: str = ""
    password: str = ""
    authentication: int = 0


class Contexts:
    """The list."""

    def __init__(self) -> None:
        self._contexts = {1: Context(index=1, name="default", apn="internet")}

    def all(self) -> list[Context]:
        return [self._contexts[index] for index in sorted(self._contexts)]

    @property
    def default(self) -> Context | None:
        """The one that counts where none is named, and that the modem attaches with: the first there is."""
        return self._contexts[min(self._contexts)] if self._contexts else None

    def find(self, index: int) -> Context | None:
        return self._contexts.get(index)

    def define(self, index: int, **changes: object) -> Context | None:
        """Write to one, or make it; None if the index is out of bounds."""
        if not 1 <= index <= CONTEXT_COUNT:
            return None
        context = replace(self._contexts.get(index, Context(index=index)), **changes)  # type: ignore[arg-type]
        self._contexts[index] = context
        return context

    def delete(self, index: int) -> bool:
        """Whether there was one."""
        return self._contexts.pop(index, None) is not None
