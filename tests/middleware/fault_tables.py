"""The tables of docs/faults.md, made from the catalog.

python -m tests.middleware.fault_tables         writes them
"""

from pathlib import Path
from typing import Final

from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.faults import Family, Fault, Half

PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
HEADING: Final = "## All faults"
HEADER: Final = "| fault | rate | what happens | may be counted as dropped | split |\n|---|---|---|---|---|"

TITLES: Final = {
    Family.FRAMING: "what a frame says is wrong",
    Family.DELIVERY: "doorbells and frames are lost, doubled, late, or overtake each other",
    Family.POWER: "the handshake on the four lines",
    Family.EXHAUSTION: "no space somewhere",
    Family.CRASH: "one side dies in the middle of something, and comes back",
    Family.DISAGREEMENT: "control says one thing, data another",
}


def tables() -> str:
    """One table for each family, in the order of the catalog."""
    return "\n\n".join(_table(family) for family in Family) + "\n"


def _table(family: Family) -> str:
    rows = [_row(fault) for fault in FAULTS.values() if fault.family is family]
    return "\n".join([f"### {family.value}: {TITLES[family]}", "", HEADER, *rows])


def _row(fault: Fault) -> str:
    drops = ", ".join(f"`{reason.name.lower()}`" for reason in sorted(fault.explains, reverse=True))
    if fault.is_lossy and not drops:
        drops = "nothing: no machine can know"
    licences = "; ".join(licence.value for licence in sorted(fault.licences, key=lambda each: each.name))
    happens = f"{fault.description}. Licence: {licences}" if licences else fault.description
    halves = ", ".join(half.value for half in Half if half in fault.halves)
    return f"| `{fault.name}` | {fault.rate:g} | {happens} | {drops} | {halves} |"


def with_tables(page: str) -> str:
    """The page with the tables of today; they are what follows their heading."""
    before, heading, after = page.partition(f"{HEADING}\n")
    introduction, _, _ = after.partition("\n### ")
    return f"{before}{heading}{introduction}\n{tables()}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
