"""``bamdmux profiles``: the firmwares that can be played."""

import click

from bamdmux.modem.profiles import load_profile, profile_names


@click.command("profiles")
def command() -> None:
    """List the firmwares that can be played."""
    for name in profile_names():
        profile = load_profile(name)
        click.echo(f"{name:<12} {profile.description}")
        click.echo(f"{'':<12} {profile.report}")
