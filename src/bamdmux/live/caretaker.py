"""Who looks after a link whose driver dies and comes back: what a fault of the crash family asks for.

    restart_host -> leave -> (away) -> come -> interfaces? -> set_up
                                        '-- none in time: wake_modem, and wait again

Firmware announces its channels once, when it starts. So a driver that is bound to a running modem stays
without interfaces until somebody restarts the modem; and what had addresses before has none. On a phone, that
somebody is the system around the driver, and here it is this.
"""

import logging
from collections.abc import Callable
from typing import Final

from bamdmux.live.host_side import HostSide
from bamdmux.middleware.faults import Later
from bamdmux.timing import MILLISECOND, SECOND, Duration, Instant

LOG: Final = logging.getLogger("bamdmux.faults")

LOOK_EVERY: Final[Duration] = 10 * MILLISECOND  # while interfaces are awaited
ANNOUNCEMENT_LIMIT: Final[Duration] = (
    1 * SECOND
)  # without them for so long: the modem has said all it had to say


class Caretaker:
    """Restarts the driver of a link.

    Args:
        channel_count: how many interfaces a driver that has come back must have.
        later: calls a function when some time has passed.
        leave: take the driver away, as if it had died.
        come: bind the next one.
        wake_modem: make the modem announce its channels.
    """

    def __init__(
        self,
        host: HostSide,
        channel_count: int,
        later: Later,
        *,
        leave: Callable[[], None],
        come: Callable[[Instant], None],
        wake_modem: Callable[[Instant], None],
    ) -> None:
        self.set_up: Callable[[], None] = lambda: (
            None
        )  # configures new interfaces, if that is anybody's job here
        self._host = host
        self._channel_count = channel_count
        self._later = later
        self._leave = leave
        self._come = come
        self._wake_modem = wake_modem
        self._is_over = False
        self._life = 0  # of the driver: who waits for an earlier one waits no more

    def restart_host(self, away_for: Duration) -> None:
        """Let the driver die, and bind another one after a while."""
        if self._is_over:
            return
        if self._host.is_bound:
            LOG.info("= the driver dies, for %d ms", away_for // MILLISECOND)
            self._life += 1
            self._leave()
        self._later(away_for, self._bind)

    def _bind(self, now: Instant) -> None:
        if self._host.is_bound or self._is_over:
            return
        LOG.info("= a driver is bound again")
        self._come(now)
        self._look(self._life, now + ANNOUNCEMENT_LIMIT, now)

    def _look(self, life: int, limit: Instant, now: Instant) -> None:
        if life != self._life or self._is_over:
            return
        if len(self._host.tuns) == self._channel_count:
            self.set_up()
            return
        if now >= limit:
            self._wake_modem(now)
            limit = now + ANNOUNCEMENT_LIMIT
        self._later(LOOK_EVERY, lambda now: self._look(life, limit, now))

    def retire(self) -> None:
        """The link is about to end: let nobody die any more, and nobody come back."""
        self._is_over = True
