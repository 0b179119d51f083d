"""``bamdmux ctl``: ask a running link."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bamdmux.errors import MachineError
from bamdmux.live.control import request

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


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
    """Whichever halves of the link the process has."""
    for line in _head_lines(status):
        console.print(line, highlight=False)
    if status["host"] is not None:
        console.print(_channel_table(status["host"]))
    for line in _drop_lines(status):
        console.print(line, highlight=False)


def _head_lines(status: Mapping[str, Any]) -> Iterator[str]:
    host, modem = status["host"], status["modem"]
    if host is not None:
        power = host["power"]
        yield f"host   {power['vote']}, the modem is {'up' if power['modem_up'] else 'down'}"
        yield (
            f"       {power['votes']} votes, {power['acks']} acks, {power['failed_resumes']} failed resumes, "
            f"suspended {power['suspended_ms'] / 1000:.1f} of {status['uptime_ms'] / 1000:.1f} s"
        )
    if modem is not None:
        yield (
            f"modem  {modem['profile']}, {modem['power']['state']}, {modem['power']['rises']} rises; "
            f"{modem['frames_received']} frames in, {modem['frames_sent']} out"
        )
    elif "connection" in status:
        yield f"modem  {status['connection']['state']} at {status['connection']['socket']}"
    else:
        yield "modem  no host is connected"


def _channel_table(host: Mapping[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("interface")
    table.add_column("state")
    for heading in ("sent", "bytes", "dropped", "received", "bytes", "dropped"):
        table.add_column(heading, justify="right")
    for channel in host["channels"].values():
        numbers = _numbers(channel["transmitted"], channel["received"])
        table.add_row(channel["interface"], _state(channel), *numbers)
    return table


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


def _drop_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Every drop with its reason, as far as there are any."""
    host, modem = status["host"], status["modem"]
    if host is not None:
        for channel in host["channels"].values():
            for direction in ("transmitted", "received"):
                yield from _reasons(f"{channel['interface']} {direction}", channel[direction])
        yield from _reasons("host, no channel", host["unassigned"])
        for name, count in host["dropped_by_kernel"].items():
            if count:
                yield f"{name}: {count:,} dropped by the kernel, its queue was full"
    if modem is not None:
        for channel in modem["channels"]:
            for direction in ("uplink", "downlink"):
                if direction in channel:
                    yield from _reasons(
                        f"modem, channel {channel['channel']} {direction}", channel[direction]
                    )
        for direction in ("uplink", "downlink"):
            yield from _reasons(f"modem, no bearer, {direction}", modem[f"{direction}_strays"])


def _reasons(where: str, counters: Mapping[str, Any]) -> Iterator[str]:
    for reason, count in counters["drops"].items():
        yield f"{where}: {count:,} dropped, {reason.replace('_', ' ')}"
