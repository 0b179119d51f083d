"""``bamdmux ctl``: ask a running link."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bamdmux.errors import MachineError, UsageError
from bamdmux.live.control import request
from bamdmux.middleware.control_faults import parse_any_fault
from bamdmux.modem.control.commands import MAX_RSRP, MIN_RSRP

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@click.group("ctl", short_help="Ask a running link, and move its world.")
@click.argument("socket", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, socket: Path) -> None:
    """Ask a running link, and move its world; SOCKET is what `bamdmux run` calls BAMDMUX_CTL."""
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


@command.group("fault", short_help="Faults: what is set, set one, clear one or all.")
def fault() -> None:
    """Faults of the running link: what is set, set one, clear one or all."""


_as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")


@fault.command("list")
@_as_json
@click.pass_obj
def fault_list(socket: Path, as_json: bool) -> None:
    """What is set, and how often it has struck. `bamdmux run --fault list` shows all that there are."""
    _ask_fault(socket, as_json, action="list")


@fault.command("set")
@click.argument("name", metavar="NAME[=RATE]")
@_as_json
@click.pass_obj
def fault_set(socket: Path, name: str, as_json: bool) -> None:
    """Let NAME go wrong from now on, each time with the probability RATE."""
    found, rate = parse_any_fault(name)
    _ask_fault(socket, as_json, action="set", name=found.name, rate=rate)


@fault.command("clear")
@click.argument("name", required=False)
@_as_json
@click.pass_obj
def fault_clear(socket: Path, name: str | None, as_json: bool) -> None:
    """Let NAME go wrong no more; without NAME, nothing. What is under way ends as it would have."""
    _ask_fault(socket, as_json, action="clear", name=name)


@command.command("crash")
@click.option(
    "--down-for", "down_for_ms", type=int, default=1000, show_default=True, help="Until it boots, in ms."
)
@_as_json
@click.pass_obj
def crash(socket: Path, down_for_ms: int, as_json: bool) -> None:
    """Let the modem fall dead, and boot again after a while."""
    _command(socket, as_json, "crash", down_for_ms=down_for_ms)


@command.command("restart")
@_as_json
@click.pass_obj
def restart(socket: Path, as_json: bool) -> None:
    """Let the modem fall, and boot at once."""
    _command(socket, as_json, "restart")


@command.command(
    "signal",
    short_help="How well the network is received.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("strength", metavar="DBM|PERCENT%")
@_as_json
@click.pass_obj
def signal(socket: Path, strength: str, as_json: bool) -> None:
    """How well the network is received: its RSRP, from -140 to -44 dBm, or a part of that range."""
    _command(socket, as_json, "signal", rsrp=_rsrp(strength))


def _rsrp(strength: str) -> int:
    try:
        if not strength.endswith("%"):
            return int(strength)
        percent = float(strength[:-1])
    except ValueError as error:
        raise UsageError(f"strength {strength!r} is neither dBm nor percent, as -90 or 50%") from error
    if not 0 <= percent <= 100:  # nor is it a number, perhaps
        raise UsageError(f"strength {strength!r} is not within 0% to 100%")
    return round(MIN_RSRP + (MAX_RSRP - MIN_RSRP) * percent / 100)


@command.command("register")
@click.option("--roaming", is_flag=True, help="With a network that is not the SIM's own.")
@_as_json
@click.pass_obj
def register(socket: Path, roaming: bool, as_json: bool) -> None:
    """A network is in reach that wants us."""
    _command(socket, as_json, "register", roaming=roaming)


@command.command("deregister")
@click.option("--denied", is_flag=True, help="One is in reach, and does not want us.")
@_as_json
@click.pass_obj
def deregister(socket: Path, denied: bool, as_json: bool) -> None:
    """No network is in reach."""
    _command(socket, as_json, "deregister", denied=denied)


@command.command("sim")
@click.argument("action", type=click.Choice(["lock", "remove", "insert"]))
@_as_json
@click.pass_obj
def sim(socket: Path, action: str, as_json: bool) -> None:
    """Switch the SIM's PIN on, take the card out, put it in."""
    _command(socket, as_json, "sim", action=action)


@command.command("bearer", short_help="Let the network drop what is up; restore it.")
@click.argument("action", type=click.Choice(["drop", "restore"]))
@click.argument("channel", type=int, required=False)
@_as_json
@click.pass_obj
def bearer(socket: Path, action: str, channel: int | None, as_json: bool) -> None:
    """Let the network drop what is up on CHANNEL, or everywhere; or bring it up again."""
    _command(socket, as_json, "bearer", action=action, channel=channel)


def _command(socket: Path, as_json: bool, name: str, **arguments: Any) -> None:
    answer = request(socket, name, **arguments)
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(_plain_lines(answer)))


def _plain_lines(answer: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """An answer for people: a line for each thing, with the names that lead to it."""
    for name, value in answer.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _plain_lines(value, f"{label} ")
        elif isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
            yield f"{label}  {len(value)}"
            for each in value:
                yield "  " + ", ".join(f"{key} {each[key]}" for key in each)
        else:
            yield f"{label}  {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "-"
    if value is None:
        return "-"
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"


def _ask_fault(socket: Path, as_json: bool, **arguments: Any) -> None:
    answer = request(socket, "fault", **arguments)
    try:
        text = json.dumps(answer, indent=2) if as_json else "\n".join(_fault_lines(answer)) or "no faults"
    except (KeyError, TypeError) as error:
        raise MachineError(
            f"{socket} gave no faults of ours; is it of another version of bamdmux?"
        ) from error
    click.echo(text)


def _fault_lines(faults: Mapping[str, Any]) -> Iterator[str]:
    for each in faults["active"]:
        yield f"fault  {each['name']} at {each['rate']:g}, struck {_count(each['strikes'], 'time')}"


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
    for line in _fault_lines(status["faults"]):
        console.print(line, highlight=False)
    if status["host"] is not None:
        console.print(_channel_table(status["host"]))
    if status.get("ports"):
        console.print(_port_table(status["ports"]))
    for line in _drop_lines(status):
        console.print(line, highlight=False)


def _head_lines(status: Mapping[str, Any]) -> Iterator[str]:
    host, modem = status["host"], status["modem"]
    if host is not None:
        power = host["power"]
        yield f"host   {power['vote']}, the modem is {'up' if power['modem_up'] else 'down'}"
        yield (
            f"       {_count(power['votes'], 'vote')}, {_count(power['acks'], 'ack')}, "
            f"{_count(power['failed_resumes'], 'failed resume')}, "
            f"suspended {power['suspended_ms'] / 1000:.1f} of {status['uptime_ms'] / 1000:.1f} s"
        )
    if modem is not None:
        yield (
            f"modem  {modem['profile']}, {modem['power']['state']}, "
            f"{_count(modem['power']['rises'], 'rise')}; "
            f"{_count(modem['frames_received'], 'frame')} in, {modem['frames_sent']:,} out"
        )
    elif "connection" in status:
        yield f"modem  {status['connection']['state']} at {status['connection']['socket']}"
    else:
        yield "modem  no host is connected"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


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


def _port_table(ports: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("port")
    table.add_column("state")
    for heading in ("bytes in", "bytes out", "messages out", "dropped"):
        table.add_column(heading, justify="right")
    for port in ports:
        dropped = port["dropped_indications"] + port["dropped_messages"]
        numbers = [f"{port[name]:,}" for name in ("bytes_in", "bytes_out", "messages_out")]
        state = "open" if port["open"] else "closed"
        table.add_row(port["name"], state, *numbers, f"{dropped:,}" if dropped else "-")
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
