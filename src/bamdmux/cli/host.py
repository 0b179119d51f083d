"""``bamdmux host``: the host's half of a link, for a modem in another process."""

import logging
from pathlib import Path

import click

from bamdmux.bam.memory import LinkLayout
from bamdmux.cli.faults import fault_options
from bamdmux.cli.ring import ring_option
from bamdmux.middleware.control_faults import AnyFault


@click.command("host", short_help="The host half alone: wwan0... in this namespace.")
@click.option(
    "--connect", "path", required=True, type=click.Path(path_type=Path), help="Where the modem listens."
)
@click.option("--ctl", "control_path", type=click.Path(path_type=Path), help="Make a control socket here.")
@click.option(
    "--ports",
    "ports_folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Put links to the modem's control ports into DIR: wwan0qmi0 and wwan0at0.",
)
@ring_option
@fault_options
def command(
    path: Path,
    control_path: Path | None,
    ports_folder: Path | None,
    slot_count: int,
    faults: list[tuple[AnyFault, float]],
    seed: int | None,
) -> int:
    """Be the host driver of the modem that listens at SOCK.

    The interfaces wwan0... appear in this network namespace (which needs the right to make them) once the
    modem opens its channels. The modem may come late, die and return. Ends in order on SIGTERM or Ctrl-C.
    """
    if logging.getLogger("bamdmux").level == logging.NOTSET:
        logging.getLogger("bamdmux").setLevel(logging.INFO)
    from bamdmux.live.service import run_host

    return run_host(path, control_path, faults, seed, ports_folder, LinkLayout(slot_count=slot_count))
