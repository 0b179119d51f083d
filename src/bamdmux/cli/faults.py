"""The option ``--fault`` and the list of faults, for all subcommands that take them."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.control_faults import CONTROL_FAULTS, FAMILY, AnyFault, parse_any_fault


def _parse(
    context: click.Context, option: click.Parameter, texts: Sequence[str]
) -> list[tuple[AnyFault, float]]:
    if "list" in texts:
        print_faults()
        print_control_faults()
        context.exit()
    return [parse_any_fault(text) for text in texts]


def fault_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a subcommand ``--fault`` and ``--seed``."""
    fault = click.option(
        "--fault",
        "faults",
        metavar="NAME[=RATE]",
        multiple=True,
        callback=_parse,
        is_eager=True,
        help="Let this go wrong; may be given several times. `list` shows all faults.",
    )
    seed = click.option(
        "--seed", metavar="N", type=click.IntRange(min=0), help="What faults leave to chance follows from it."
    )
    return fault(seed(command))


def print_faults() -> None:
    """The faults of the data path, by family, with their rates and what they do."""
    family = None
    for fault in FAULTS.values():
        if fault.family is not family:
            family = fault.family
            click.echo(family.value)
        reasons = ", ".join(reason.name.lower() for reason in sorted(fault.explains, reverse=True))
        loss = "loses packets" if fault.is_lossy else ""
        note = ": ".join(part for part in (loss, reasons) if part)
        click.echo(f"  {fault.name:<28} {fault.rate:<6g} {fault.description}{f'  [{note}]' if note else ''}")


def print_control_faults() -> None:
    """Those of the control plane, which only a live link has."""
    click.echo(f"{FAMILY}: NAME[@SELECTOR][#TIMES], where SELECTOR is a service, a message or a number")
    for each in CONTROL_FAULTS.values():
        click.echo(f"  {each.name:<28} {each.rate:<6g} {each.description}")
