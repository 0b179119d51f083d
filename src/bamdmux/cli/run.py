"""``bamdmux run``: a command behind a modem."""

import os
from typing import Final

import click

from bamdmux.bam.memory import LinkLayout
from bamdmux.cli.faults import fault_options
from bamdmux.cli.ring import ring_option
from bamdmux.errors import UsageError
from bamdmux.middleware.control_faults import AnyFault
from bamdmux.modem.profiles import Announce, Profile, load_profile, with_channels, with_mtu, with_registration
from bamdmux.timing import MILLISECOND

# oFono 1.31 overlooks the network's own bearer if that is there before its object for it, and is never
# attached then. Its objects come some 100 ms after it has set the modem online.
OFONO_REGISTRATION_MS: Final = 1500


@click.command(
    "run",
    short_help="Run a command, or a shell, behind a modem.",
    context_settings={"allow_interspersed_args": False},  # options behind CMD are CMD's
    epilog="CMD finds BAMDMUX_GATEWAY4, BAMDMUX_GATEWAY6 and BAMDMUX_CTL in its environment, and "
    "BAMDMUX_HTTP where there is a server.",
)
@click.option("--profile", "profile_name", default="msm8916", show_default=True, help="The firmware to play.")
@click.option("--channels", "channel_count", type=int, help="Only the first N channels of the profile.")
@click.option("--mtu", type=int, help="Of the bearers, in bytes; the profile's by default.")
@click.option(
    "--network",
    metavar="KIND",
    default="internal",
    show_default=True,
    help="What lies behind the modem: internal (gateways and an HTTP server), passt (your network, no root; "
    "wwan0 only), or tun:NAME (a TUN in your network namespace).",
)
@click.option(
    "--bearers",
    type=click.Choice(["up", "down"]),
    help="Up from the start, or down until a client brings them up over QMI or AT.  "
    "[default: up; down with --modem-manager or --ofono]",
)
@click.option("--modem-manager", is_flag=True, help="With a D-Bus and ModemManager that finds this modem.")
@click.option("--ofono", is_flag=True, help="With a D-Bus and oFono that finds this modem, on USB.")
@click.option("--split", is_flag=True, help="The modem as a process of its own, as on a phone.")
@click.option("--no-qmi-proxy", is_flag=True, help="Leave the name of libqmi's proxy to libqmi's own.")
@ring_option
@fault_options
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
def command(
    profile_name: str,
    channel_count: int | None,
    mtu: int | None,
    network: str,
    bearers: str | None,
    modem_manager: bool,
    ofono: bool,
    split: bool,
    no_qmi_proxy: bool,
    slot_count: int,
    faults: list[tuple[AnyFault, float]],
    seed: int | None,
    cmd: tuple[str, ...],
) -> int:
    """Run CMD (default: your shell) in a network namespace of its own.

    Its only way out is wwan0: over BAM-DMUX to a modem, and to the network behind it. No root is needed where
    user namespaces are allowed; `bamdmux doctor` tells. The exit code is that of CMD.
    """
    profile = load_profile(profile_name)
    if channel_count is not None:
        profile = with_channels(profile, channel_count)
    if mtu is not None:
        profile = with_mtu(profile, mtu)
    if profile.announce is Announce.WHEN_OPENED:
        raise UsageError(
            f"the modem of {profile.name} announces no channel before the host opens it, and Linux's driver "
            f"waits; for a host that begins: bamdmux modem --profile {profile.name} --listen SOCK"
        )
    if ofono:
        profile = _for_ofono(profile)
    from bamdmux.live.networks import check_kind

    check_kind(network)
    from bamdmux.live.session import RunOptions, run  # what costs time comes after what may be wrong

    if modem_manager and ofono:
        raise UsageError("ModemManager and oFono both want the modem; choose one")
    manager = "modem-manager" if modem_manager else "ofono" if ofono else None
    argv = cmd or (os.environ.get("SHELL") or "/bin/sh",)
    environment = dict(os.environ)
    options = RunOptions(
        profile=profile,
        network=network,
        split=split,
        layout=LinkLayout(slot_count=slot_count),
        is_always_on=(bearers or ("down" if manager else "up")) == "up",
        manager=manager,
        plays_qmi_proxy=not no_qmi_proxy,
        faults=faults,
        seed=seed,
        argv=argv,
        environment=environment,
    )
    return run(options)


def _for_ofono(profile: Profile) -> Profile:
    """The same firmware, as oFono can use it."""
    if profile.announce is not Announce.AT_BOOT or 0 not in profile.channels:
        raise UsageError(
            f"oFono opens no data port and knows channel 0 only, which the modem of {profile.name} does not "
            "have from the start; try --modem-manager"
        )
    return with_registration(profile, max(OFONO_REGISTRATION_MS, profile.registration_ns / MILLISECOND))
