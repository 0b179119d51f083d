"""The tables in snapshots/: what a link is worth under loss and with small rings.

python -m tests.sim.snapshots        write them anew; the difference is for review
"""

from pathlib import Path
from typing import Final

from bamdmux.sim.conditions import Conditions, Load
from bamdmux.sim.simulation import simulate
from bamdmux.timing import MILLISECOND, SECOND

FOLDER: Final = Path(__file__).parent / "snapshots"
RINGS: Final = (2, 4, 8, 16, 32)
LOSSES: Final = (0.0, 0.01, 0.05, 0.2)
STALLS: Final = (0.0, 0.01, 0.05)
# More than a ring of 2 can carry when each doorbell takes milliseconds.
HEAVY: Final = Load(train_packets=(1, 60), train_gap_ns=(0, 20 * MILLISECOND))
SLOW: Final = (MILLISECOND, 5 * MILLISECOND)


def table(title: str, fault: str, rates: tuple[float, ...]) -> str:
    """Goodput by the rate of a fault and by ring size, in percent."""
    lines = [title, "", f"{fault:<14}" + "".join(f"{f'ring {ring}':>9}" for ring in RINGS)]
    for rate in rates:
        cells = [f"{goodput(fault, rate, ring):>9.2%}" for ring in RINGS]
        lines.append(f"{rate:<14.0%}" + "".join(cells))
    return "\n".join(lines) + "\n"


def goodput(fault: str, rate: float, ring: int) -> float:
    report = simulate(
        Conditions(
            seed=1,
            duration_ns=8 * SECOND,
            faults=(fault,),
            rates={fault: rate},
            slot_count=ring,
            latency_ns=SLOW,
            load=HEAVY,
            disturbances=None,
        )
    )
    assert report.failure is None, report.failure
    return report.goodput


TABLES: Final = {
    "goodput-by-loss.txt": (
        "Packets that arrived, of those offered: frames to the host get lost.",
        "lost-frame",
        LOSSES,
    ),
    "goodput-by-stall.txt": (
        "Packets that arrived, of those offered: the modem takes no frames at times.",
        "tx-ring-full",
        STALLS,
    ),
}

if __name__ == "__main__":
    for name, arguments in TABLES.items():
        (FOLDER / name).write_text(table(*arguments), encoding="utf-8")
        print((FOLDER / name).read_text(encoding="utf-8"))
