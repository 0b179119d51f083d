"""``bamdmux modem``: the modem's half of a link, for a host in another process."""

import logging
from pathlib import Path

import click

from bamdmux.cli.faults import fault_options
from bamdmux.middleware.control_faults import AnyFault
from bamdmux.modem.profiles import load_profile, with_channels, with_mtu, with_registration


@click.command("modem", short_help="The modem half alone, and its network.")
@click.option("--listen", "path", required=True, type=click.Path(path_type=Path), help="Where hosts connect.")
@click.option("--profile", "profile_name", default="msm8916", show_default=True, help="The firmware to play.")
@click.option("--channels", "channel_count", type=int, help="Only the first N channels of the profile.")
@click.option("--mtu", type=int, help="Of the bearers, in bytes; the profile's by default.")
@click.option("--registration", "registration_ms", type=float, help="How long registering takes, likewise.")
@click.option(
    "--bearers",
    type=click.Choice(["up", "down"]),
    default="up",
    show_default=True,
    help="Up from the start, or down until a client brings them up over QMI or AT.",
)
@click.option("--network", default="internal", show_default=True, help="As of `bamdmux run`.")
@click.option("--ctl", "control_path", type=click.Path(path_type=Path), help="Make a control socket here.")
@fault_options
def command(
    path: Path,
    profile_name: str,
    channel_count: int | None,
    mtu: int | None,
    registration_ms: float | None,
    bearers: str,
    network: str,
    control_path: Path | None,
    faults: list[tuple[AnyFault, float]],
    seed: int | None,
) -> int:
    """Be a modem, with a network behind it, for the hosts that connect to SOCK, one after the other.

    Ends on SIGTERM or Ctrl-C.
    """
    profile = load_profile(profile_name)
    if channel_count is not None:
        profile = with_channels(profile, channel_count)
    if mtu is not None:
        profile = with_mtu(profile, mtu)
    if registration_ms is not None:
        profile = with_registration(profile, registration_ms)
    if logging.getLogger("bamdmux").level == logging.NOTSET:
        logging.getLogger("bamdmux").setLevel(logging.INFO)
    from bamdmux.live.networks import check_kind

    check_kind(network)
    from bamdmux.live.service import run_modem

    return run_modem(path, profile, network, control_path, faults, seed, is_always_on=bearers == "up")
