"""The cells that there are: the network in reach, and where in it we are."""

from dataclasses import dataclass
from typing import Final

Plmn = tuple[str, str]  # MCC, three digits, and MNC, two or three

MAX_NAME_LENGTH: Final = 40  # of a network, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of LTE.

    Args:
        mcc, mnc: its country and itself, as digits; `mnc` has two or three.
        tracking_area, location_area: TAC and LAC, 16 bits each.
        cell_id: 28 bits.
        band, channel: where it sends: the number of the band, and the EARFCN in it, of TS 36.101 section 5.7.
    """

    mcc: str = "001"
    mnc: str = "01"
    name: str = "bamdmux"
    tracking_area: int = 0x0BAD
    location_area: int = 0x0001
    cell_id: int = 0x00AB1234
    band: int = 3
    channel: int = 1300

    def __post_init__(self) -> None:
        for name, value, lengths in (("MCC", self.mcc, (3,)), ("MNC", self.mnc, (2, 3))):
            if not (value.isascii() and value.isdigit() and len(value) in lengths):
                raise ValueError(f"{name} {value!r} is not {' or '.join(map(str, lengths))} digits")
        if len(self.name) > MAX_NAME_LENGTH:
            raise ValueError(f"name {self.name!r} is longer than {MAX_NAME_LENGTH}")

    @property
    def plmn(self) -> Plmn:
        return self.mcc, self.mnc


VISITED: Final = Cell(
    mcc="001",
    mnc="02",
    name="bamdmux abroad",
    tracking_area=0x0BEE,
    cell_id=0x00CD5678,
    band=20,
    channel=6300,
)
