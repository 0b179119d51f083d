"""``bamdmux run``: a command behind a modem."""

import os

import click

from bamdmux.modem.profiles import load_profile, with_channels


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False},  # options behind CMD are CMD's
    epilog="CMD finds BAMDMUX_GATEWAY4, BAMDMUX_GATEWAY6 and BAMDMUX_CTL in its environment, and "
    "BAMDMUX_HTTP where there is a server.",
)
@click.option("--profile", "profile_name", default="msm8916", show_default=True, help="The firmware to play.")
@click.option("--channels", "channel_count", type=int, help="Only the first N channels of the profile.")
@click.option(
    "--network",
    metavar="KIND",
    default="internal",
    show_default=True,
    help="What lies behind the modem: internal (gateways and an HTTP server), passt (your network, no root; "
    "wwan0 only), or tun:NAME (a TUN in your network namespace).",
)
@click.option("--split", is_flag=True, help="The modem as a process of its own, as on a phone.")
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
def command(
    profile_name: str, channel_count: int | None, network: str, split: bool, cmd: tuple[str, ...]
) -> int:
    """Run CMD (default: your shell) in a network namespace of its own.

    Its only way out is wwan0: over BAM-DMUX to a modem, and to the network behind it. No root is needed where
    user namespaces are allowed; `bamdmux doctor` tells. The exit code is that of CMD.
    """
    profile = load_profile(profile_name)
    if channel_count is not None:
        profile = with_channels(profile, channel_count)
    from bamdmux.live.networks import check_kind

    check_kind(network)
    from bamdmux.live.session import RunOptions, run  # what costs time comes after what may be wrong

    argv = cmd or (os.environ.get("SHELL") or "/bin/sh",)
    environment = dict(os.environ)
    return run(RunOptions(profile=profile, network=network, split=split, argv=argv, environment=environment))
