"""``bamdmux profiles``: the firmwares that can be played."""

import tomllib

import click

from bamdmux.modem.profiles import load_profile, profile_names, profile_text

_WIDTH = 18


@click.group("profiles", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the firmwares that can be played."""
    if context.invoked_subcommand is not None:
        return
    for name in profile_names():
        profile = load_profile(name)
        click.echo(f"{name:<{_WIDTH}} {profile.description}")
        click.echo(f"{'':<{_WIDTH}} {profile.report}")


@command.command("diff")
@click.argument("first")
@click.argument("second")
def diff(first: str, second: str) -> None:
    """Show what differs between two of them: each key, and its two values."""
    left, right = _flat(first), _flat(second)
    width = max(len(first), len(second))
    for key in left:
        if left[key] != right[key]:
            click.echo(f"{key}\n    {first:<{width}}  {left[key]}\n    {second:<{width}}  {right[key]}")


def _flat(name: str) -> dict[str, str]:
    """The keys of a profile's file, those of a table behind its name, with their values."""
    load_profile(name)  # so that whatever is wrong is said in one line
    values: dict[str, str] = {}
    for key, value in tomllib.loads(profile_text(name)).items():
        if isinstance(value, dict):
            values |= {f"{key}.{inner}": _shown(each) for inner, each in value.items()}
        else:
            values[key] = _shown(value)
    return values


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
