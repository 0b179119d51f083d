"""The keeper: it runs inside the command's namespaces, starts what `--modem-manager` asks for, and tends it.

    init -- command's process: forks the keeper, waits for its word, becomes the command
      '---- keeper: D-Bus daemon, authority, ModemManager; devices that come and go are reported

The keeper is an orphan on purpose: its parent is init, so the command finds no children that it did not make.
It says one line to the waiting process, `ready` or why not, and lives as long as the namespaces. It is a
program of its own, so that nothing of it costs a run that does not ask for it.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from bamdmux.errors import BamDmuxError, MachineError

DEVICE_FOLDER: Final = Path("/dev")
FIND_TIMEOUT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05  # while something is awaited; then we are told

_PORT_NAME: Final = re.compile(r"wwan\d+(at|qmi)\d+")

NOT_FOUND: Final = 127  # a shell's exit codes for a command that could not be started
NOT_EXECUTABLE: Final = 126


def keeper_argv(kind: str, folder: Path, argv: Sequence[str]) -> list[str]:
    """What to run instead of a command, so that it finds a keeper's programs beside it."""
    return [sys.executable, "-m", "bamdmux.live.clients.keeper", kind, str(folder), *argv]


def main(kind: str, folder: Path, argv: Sequence[str]) -> NoReturn:
    """Start the keeper, wait until it is ready, and become the command."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.setsid()
        if os.fork() == 0:
            _keep(kind, folder, writer)
        os._exit(0)
    os.wait()
    os.close(writer)
    with os.fdopen(reader) as words:
        answer = json.loads(words.readline() or '{"error": "the keeper died; is memory short?"}')
    if "error" in answer:
        sys.exit(f"bamdmux: {answer['error']}")
    print(f"bamdmux: {answer['ready']}", file=sys.stderr, flush=True)
    os.environ.update(answer["environment"])
    try:
        os.execvp(argv[0], list(argv))
    except FileNotFoundError:
        print(f"bamdmux: command not found: {argv[0]}", file=sys.stderr)
        os._exit(NOT_FOUND)
    except OSError as error:
        print(f"bamdmux: cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
        os._exit(NOT_EXECUTABLE)


def _keep(kind: str, folder: Path, writer: int) -> NoReturn:
    """Be the keeper; everything that it and its children say goes to a file."""
    log = os.open(folder / f"{kind}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        asyncio.run(_tend(folder, writer, log))
    except BamDmuxError as error:
        with suppress(BrokenPipeError):
            os.write(writer, json.dumps({"error": str(error)}).encode() + b"\n")
    finally:
        os._exit(1)


async def _tend(folder: Path, writer: int, log: int) -> None:
    from dbus_fast.aio import MessageBus

    from bamdmux.live.clients import modem_manager
    from bamdmux.live.clients.authority import serve_authority
    from bamdmux.live.clients.bus import Bus

    began = time.monotonic()
    daemon = Bus(folder, log)
    bus = await MessageBus(bus_address=daemon.address).connect()
    await serve_authority(bus)
    devices = _devices()
    manager = modem_manager.start(folder, devices, daemon.environment(), log)
    modem_went = await modem_manager.watch_for_removals(bus)
    while not await modem_manager.find_modems(bus):
        if manager.poll() is not None:
            raise MachineError(
                f"ModemManager ended (exit code {manager.returncode}); see {folder}/modem-manager.log"
            )
        if time.monotonic() - began > FIND_TIMEOUT_SECONDS:
            raise MachineError(f"ModemManager found no modem; see {folder}/modem-manager.log")
        await asyncio.sleep(POLL_SECONDS)
    ready = f"ModemManager found the modem after {time.monotonic() - began:.1f} s"
    os.write(writer, json.dumps({"ready": ready, "environment": daemon.environment()}).encode() + b"\n")
    os.close(writer)
    while True:
        await modem_went.wait()
        modem_went.clear()
        for device in devices:
            await modem_manager.report_event(bus, "remove", *device)
        devices = await _wait_for_devices()
        for device in devices:
            await modem_manager.report_event(bus, "add", *device)


async def _wait_for_devices() -> list[tuple[str, str]]:
    """What there is once the modem has its control ports again."""
    while True:
        devices = _devices()
        names = [name for subsystem, name in devices if subsystem == "wwan"]
        with suppress(OSError):
            if names and all((DEVICE_FOLDER / name).is_char_device() for name in names):
                return devices
        await asyncio.sleep(POLL_SECONDS)


def _devices() -> list[tuple[str, str]]:
    """What sysfs shows of the modem: each a subsystem and a name."""
    interfaces = [("net", name) for name in _names("net") if name.startswith("wwan")]
    # The class has the modem itself, too, which has no node: wwan0.
    return interfaces + [("wwan", name) for name in _names("wwan") if _PORT_NAME.fullmatch(name)]


def _names(subsystem: str) -> list[str]:
    return sorted(entry.name for entry in Path("/sys/class", subsystem).iterdir())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
