"""The option ``--ring``, of whoever owns the rings: ``run`` and ``host``."""

from typing import Final

import click

from bamdmux.bam.memory import SLOT_COUNT

# Two, because one slot of a ring may hold a command; what a modem in another process maps at most.
SLOT_COUNTS: Final = click.IntRange(2, 4096)

ring_option = click.option(
    "--ring",
    "slot_count",
    metavar="N",
    type=SLOT_COUNTS,
    default=SLOT_COUNT,
    show_default=True,
    help="Buffers in each direction: 32 as Linux has it, 512 for speed.",
)
