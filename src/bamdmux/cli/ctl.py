"""``bamdmux ctl``: ask a running link."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bamdmux.errors import MachineError
from bamdmux.live.control import request

if TYPE_CHECKING:
    from rich.console import Console


@click.group("ctl")
@click.argument("socket", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, socket: Path) -> None:
    """Ask a running link; SOCKET is what `bamdmux run` calls BAMDMUX_CTL."""
    context.obj = socket


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def status(socket: Path, as_json: bool) -> None:
    """Power, channels and counters of both sides."""
    answer = request(socket, "status")
    try:
        text = json.dumps(answer, indent=2) + "\n" if as_json else _render(answer)
    except (KeyError, TypeError, AttributeError) as error:
        raise MachineError(
            f"{socket} gave no status of ours; is it of another version of bamdmux?"
        ) from error
    click.echo(text, nl=False)


def _render(status: Mapping[str, Any]) -> str:
    from rich.console import Console  # takes a while to import, and --json needs none of it

    console = Console()
    with console.capture() as capture:
        _show(status, console)
    return capture.get()


def _show(status: Mapping[str, Any], console: "Console") -> None:
    from rich.table import Table

    host, modem = status["host"], status["modem"]
    power, modem_power = host["power"], modem["power"]
    uptime_ms = max(1, status["uptime_ms"])
    console.print(
        f"host   {power['vote']}, the modem is {'up' if power['modem_up'] else 'down'}", highlight=False
    )
    console.print(
        f"       {power['votes']} votes, {power['acks']} acks, {power['failed_resumes']} failed resumes, "
        f"suspended {power['suspended_ms'] / 1000:.1f} of {uptime_ms / 1000:.1f} s",
        highlight=False,
    )
    console.print(
        f"modem  {modem['profile']}, {modem_power['state']}, {modem_power['rises']} rises; "
        f"{modem['frames_received']} frames in, {modem['frames_sent']} out",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("interface")
    table.add_column("state")
    for heading in ("sent", "bytes", "dropped", "received", "bytes", "dropped"):
        table.add_column(heading, justify="right")
    for channel in host["channels"].values():
        table.add_row(
            channel["interface"], _state(channel), *_numbers(channel["transmitted"], channel["received"])
        )
    console.print(table)
    for line in _drop_lines(status):
        console.print(line, highlight=False)


def _state(channel: Mapping[str, Any]) -> str:
    if not channel["attached"]:
        return "detached"
    return "open" if channel["open"] else "up" if channel["up"] else "down"


def _numbers(*directions: Mapping[str, Any]) -> list[str]:
    numbers = []
    for counters in directions:
        dropped = sum(counters["drops"].values())
        numbers += [f"{counters['packets']:,}", f"{counters['bytes']:,}", f"{dropped:,}" if dropped else "-"]
    return numbers


def _drop_lines(status: Mapping[str, Any]) -> list[str]:
    """Every drop with its reason, as far as there are any."""
    lines = []
    for channel in status["host"]["channels"].values():
        for direction in ("transmitted", "received"):
            lines += _reasons(f"{channel['interface']} {direction}", channel[direction])
    for channel in status["modem"]["channels"]:
        for direction in ("uplink", "downlink"):
            if direction in channel:
                lines += _reasons(f"modem, channel {channel['channel']} {direction}", channel[direction])
    lines += _reasons("host, no channel", status["host"]["unassigned"])
    for direction in ("uplink", "downlink"):
        lines += _reasons(f"modem, no bearer, {direction}", status["modem"][f"{direction}_strays"])
    kernel_drops = status["host"]["dropped_by_kernel"].items()
    lines += [
        f"{name}: {count:,} dropped by the kernel, its queue was full"
        for name, count in kernel_drops
        if count
    ]
    return lines


def _reasons(where: str, counters: Mapping[str, Any]) -> list[str]:
    return [
        f"{where}: {count:,} dropped, {reason.replace('_', ' ')}"
        for reason, count in counters["drops"].items()
    ]
