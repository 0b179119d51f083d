"""Registration in a network: it takes time, and can be lost.

    NOT_REGISTERED -> SEARCHING -> REGISTERED
                   <-           <-               something it needs has gone
                       SEARCHING -> DENIED       the network does not want us

It needs the radio, a SIM that is ready, and a network in reach that clients have nothing against. Radio, SIM
and preferences are the modem's; which network is in reach, and whether it wants us, come from outside, from
whoever plays the weather. While none will do, the search goes on.

Sources: 3GPP TS 24.301 section 5.5.1 (attach), TS 23.122 (selection of a network).
"""

from enum import Enum, unique
from typing import Final

from bamdmux.modem.control.cell import Cell, Plmn
from bamdmux.modem.control.preferences import Preferences
from bamdmux.timing import Duration, Instant

PLMN_NOT_ALLOWED: Final = 11  # why a network refuses us, unless it says otherwise: TS 24.301 section 9.9.3.9


@unique
class RegistrationState(Enum):
    """The value is the word of people."""

    NOT_REGISTERED = "not-registered"  # and nothing is being done about it: no radio, or no SIM
    SEARCHING = "searching"
    REGISTERED = "registered"
    DENIED = "denied"


LEGAL: Final = {
    RegistrationState.NOT_REGISTERED: {RegistrationState.SEARCHING},
    RegistrationState.SEARCHING: {
        RegistrationState.NOT_REGISTERED,
        RegistrationState.REGISTERED,
        RegistrationState.DENIED,
    },
    RegistrationState.REGISTERED: {RegistrationState.NOT_REGISTERED, RegistrationState.SEARCHING},
    RegistrationState.DENIED: {RegistrationState.NOT_REGISTERED, RegistrationState.SEARCHING},
}


class Registration:
    """Where we stand with the network."""

    def __init__(self, delay_ns: Duration) -> None:
        self._delay_ns = delay_ns
        self._state = RegistrationState.NOT_REGISTERED
        self._is_possible = False  # radio and SIM
        self._home = Cell().plmn
        self.cell: Cell | None = Cell()  # None: no network in reach
        self.is_welcome = True
        self._refusal = PLMN_NOT_ALLOWED
        self.preferences = Preferences()
        self.deadline: Instant | None = None

    @property
    def state(self) -> RegistrationState:
        return self._state

    @property
    def is_registered(self) -> bool:
        return self._state is RegistrationState.REGISTERED

    @property
    def is_roaming(self) -> bool:
        """Registered, and not with the SIM's own network."""
        return self.is_registered and self.cell is not None and self.cell.plmn != self._home

    @property
    def reject_cause(self) -> int | None:
        """Why the network has denied us, as a cause of TS 24.301; None: it has not."""
        return self._refusal if self._state is RegistrationState.DENIED else None

    @property
    def is_forbidden(self) -> bool:
        """Whether the network in reach is one of the forbidden ones: TS 23.122 section 3.1."""
        return self.reject_cause == PLMN_NOT_ALLOWED

    @property
    def audible_cell(self) -> Cell | None:
        """The cell that a radio which is on receives; no SIM is needed for that."""
        return self.cell if self.cell is not None and self.preferences.can_hear(self.cell) else None

    def set_possible(self, is_possible: bool, home: Plmn, now: Instant) -> None:
        """Radio and SIM are there, or one of them is not.

        Args:
            home: the SIM's network.
        """
        self._home = home
        if is_possible != self._is_possible:
            self._is_possible = is_possible
            self._begin(now)

    def set_weather(
        self, cell: Cell | None, is_welcome: bool, now: Instant, *, refusal: int = PLMN_NOT_ALLOWED
    ) -> None:
        """Another network is in reach, or none; it wants us, or says why not."""
        assert 0 < refusal < 256, f"refusal {refusal}"
        if (cell, is_welcome, refusal) != (self.cell, self.is_welcome, self._refusal):
            self.cell, self.is_welcome, self._refusal = cell, is_welcome, refusal
            self._begin(now)

    def set_preferences(self, preferences: Preferences, now: Instant) -> None:
        """Choose otherwise; what is registered stays, if it will still do.

        A choice by hand of one that refused us, or the way back to automatic, asks it once more.
        """
        before = self.preferences, self._is_allowed
        self.preferences = preferences
        chooses_anew = preferences.plmn != before[0].plmn and not self.is_registered
        if self._is_allowed != before[1] or chooses_anew:
            self._begin(now)

    def handle_timeout(self, now: Instant) -> None:
        """The search is over, if it is time."""
        if self.deadline is not None and now >= self.deadline:
            self._enter(RegistrationState.REGISTERED if self.is_welcome else RegistrationState.DENIED)

    @property
    def _is_allowed(self) -> bool:
        return self.cell is not None and self.preferences.allow(self.cell, self._home)

    def _begin(self, now: Instant) -> None:
        if not self._is_possible:
            self._enter(RegistrationState.NOT_REGISTERED)
            return
        self._enter(RegistrationState.SEARCHING)
        self.deadline = now + self._delay_ns if self._is_allowed else None

    def _enter(self, state: RegistrationState) -> None:
        """The only writer of the state."""
        self.deadline = None
        if state is self._state:
            return
        assert state in LEGAL[self._state], f"{self._state.name} -> {state.name}"
        self._state = state
