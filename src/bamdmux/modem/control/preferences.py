"""What clients prefer of networks: what QMI calls system selection preference, AT+COPS and AT+CGATT.

They decide whether the network in reach will do. It is one of LTE, so it must be a radio, a band, an operator
and a service that is wanted; `registration.py` asks, and looks for another one if it is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, unique
from typing import Any, Final

from bamdmux.modem.control.cell import Cell, Plmn

SUPPORTED_LTE_BANDS: Final = frozenset((1, 3, 7, 8, 20))


@unique
class Radio(Enum):
    """What this modem has; the value is the word of people."""

    GSM = "gsm"
    UMTS = "umts"
    LTE = "lte"


@unique
class Roaming(Enum):
    """Whose networks will do."""

    HOME_ONLY = "home-only"
    ABROAD_ONLY = "abroad-only"
    NOT_FLASHING = "not-flashing"  # all, here: a network is at home or not, and never in between
    ANY = "any"


@unique
class Domain(Enum):
    """Circuits are for voice, packets for data; who does not want packets does not want LTE."""

    CIRCUITS = "circuits"
    PACKETS = "packets"
    BOTH = "both"


@unique
class Restriction(Enum):
    """How far to go with a network that is found."""

    NONE = "none"
    CAMP_ONLY = "camp-only"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """All of them.

    Args:
        plmn: the only network that will do, chosen by hand; None: automatic.
        others: what nothing in this world depends on, kept for those who ask, in the words of their service.
    """

    radios: frozenset[Radio] = frozenset(Radio)
    lte_bands: frozenset[int] = SUPPORTED_LTE_BANDS
    plmn: Plmn | None = None
    roaming: Roaming = Roaming.ANY
    domain: Domain = Domain.BOTH
    restriction: Restriction = Restriction.NONE
    is_emergency_only: bool = False
    others: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, *, others: Mapping[str, Any] | None = None, **changes: Any) -> "Preferences":
        """The same with changes; of `others`, those that are not named stay."""
        return replace(self, others={**self.others, **(others or {})}, **changes)

    def can_hear(self, cell: Cell) -> bool:
        """Whether the radio is tuned to such a cell at all."""
        return Radio.LTE in self.radios and cell.band in self.lte_bands

    def allow(self, cell: Cell, home: Plmn) -> bool:
        """Whether to register there."""
        if not self.can_hear(cell) or self.plmn not in (None, cell.plmn):
            return False
        if (
            self.is_emergency_only
            or self.restriction is not Restriction.NONE
            or self.domain is Domain.CIRCUITS
        ):
            return False
        unwanted = Roaming.ABROAD_ONLY if cell.plmn == home else Roaming.HOME_ONLY
        return self.roaming is not unwanted
