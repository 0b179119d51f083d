"""Registration in a network: it takes time, and can be lost.

    NOT_REGISTERED -> SEARCHING -> REGISTERED
                   <-           <-               something it needs has gone
                       SEARCHING -> DENIED       the network does not want us

It needs the radio, a SIM that is ready, and a network in reach. The first two are the modem's; the last one,
whether that network is the SIM's own and whether it wants us, come from outside, from whoever plays the
weather.

Sources: 3GPP TS 24.301 section 5.5.1 (attach), TS 23.122 (selection of a network).
"""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from bamdmux.timing import Duration, Instant


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The network in reach, and where in it we are.

    Args:
        mcc, mnc: its country and itself, as digits; `mnc` has two or three.
        tracking_area, location_area: TAC and LAC, 16 bits each.
        cell_id: 28 bits.
    """

    mcc: str = "001"
    mnc: str = "01"
    name: str = "bamdmux"
    tracking_area: int = 0x0BAD
    location_area: int = 0x0001
    cell_id: int = 0x00AB1234


VISITED: Final = Cell(mcc="001", mnc="02", name="bamdmux abroad", tracking_area=0x0BEE, cell_id=0x00CD5678)


class Registration:
    """Where we stand with the network."""

    def __init__(self, delay_ns: Duration) -> None:
        self._delay_ns = delay_ns
        self._state = RegistrationState.NOT_REGISTERED
        self._is_possible = False  # radio and SIM
        self.cell: Cell | None = Cell()  # None: no network in reach
        self.is_welcome = True
        self._home = ("001", "01")
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
        cell = self.cell
        return self.is_registered and cell is not None and (cell.mcc, cell.mnc) != self._home

    def set_possible(self, is_possible: bool, home: tuple[str, str], now: Instant) -> None:
        """Radio and SIM are there, or one of them is not.

        Args:
            home: MCC and MNC of the SIM's network.
        """
        self._home = home
        if is_possible != self._is_possible:
            self._is_possible = is_possible
            self._begin(now)

    def set_weather(self, cell: Cell | None, is_welcome: bool, now: Instant) -> None:
        """Another network is in reach, or none; it wants us, or not."""
        if (cell, is_welcome) != (self.cell, self.is_welcome):
            self.cell, self.is_welcome = cell, is_welcome
            self._begin(now)

    def handle_timeout(self, now: Instant) -> None:
        """The search is over, if it is time."""
        if self.deadline is not None and now >= self.deadline:
            self._enter(RegistrationState.REGISTERED if self.is_welcome else RegistrationState.DENIED)

    def _begin(self, now: Instant) -> None:
        if not self._is_possible:
            self._enter(RegistrationState.NOT_REGISTERED)
            return
        self._enter(RegistrationState.SEARCHING)
        self.deadline = now + self._delay_ns if self.cell is not None else None

    def _enter(self, state: RegistrationState) -> None:
        """The only writer of the state."""
        self.deadline = None
        if state is self._state:
            return
        assert state in LEGAL[self._state], f"{self._state.name} -> {state.name}"
        self._state = state
