"""What `bamdmux ctl` does to a modem: handlers for the control socket of the process that the modem lives in.

signal, register, deregister, sim, bearer    the modem's surroundings: modem/control/commands.py
crash, restart                               the modem itself: lines fall, ports hang up, frames are lost
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from bamdmux.errors import UsageError
from bamdmux.live.control import Handler
from bamdmux.live.modem_side import MODEM_RESTART
from bamdmux.modem.control.commands import COMMANDS
from bamdmux.timing import MILLISECOND, Duration, Instant

MODEM_COMMANDS: Final = (*COMMANDS, "crash", "restart")

CRASH_MS: Final = (
    1000  # down for so long, unless it is said: what a remote processor takes to be started again
)
MAX_DOWN_MS: Final = 3_600_000


class Commandable(Protocol):
    """A control plane, as far as this is concerned."""

    def command(self, name: str, arguments: Mapping[str, Any], now: Instant) -> dict[str, Any]: ...


def modem_commands(plane: Commandable, restart_modem: Callable[[Duration], None]) -> dict[str, Handler]:
    """Handlers for all of MODEM_COMMANDS.

    Args:
        restart_modem: lets the modem fall dead now, and boot after so long.
    """

    def surroundings(name: str) -> Handler:
        return lambda request, now: plane.command(name, request, now)

    def crash(request: Mapping[str, Any], now: Instant) -> object:
        down_ms = request.get("down_for_ms", CRASH_MS)
        if type(down_ms) is not int or not 0 <= down_ms <= MAX_DOWN_MS:
            raise UsageError(f"down_for_ms {down_ms!r} is not within 0 to {MAX_DOWN_MS}")
        restart_modem(down_ms * MILLISECOND)
        return {"down_for_ms": down_ms}

    def restart(request: Mapping[str, Any], now: Instant) -> object:
        restart_modem(MODEM_RESTART)
        return {"down_for_ms": MODEM_RESTART // MILLISECOND}

    return {**{name: surroundings(name) for name in COMMANDS}, "crash": crash, "restart": restart}
