"""A client of ModemManager that plays one fault after the other on it: the command of a `bamdmux run`.

    bamdmux run --modem-manager -- python3 sweep_driver.py

Each line on stdin is a case, a JSON object: the phase in which the fault strikes, the fault with its
selector, and how many seconds ModemManager may be silent while it waits for an answer. The answer is a line
on stdout: what became of the attempt that was struck, and of the next one, which has to end with a ping
through the modem; how long that took; and whether ModemManager is the same process as before. Run as a
program by the tests and by scripts/sweep.py; it needs nothing but bamdmux.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbus_fast.aio import MessageBus

from bamdmux.errors import MachineError
from bamdmux.live.clients.connect import IP_FAMILIES, Connection, connect, disconnect
from bamdmux.live.clients.modem_manager import find_modems
from bamdmux.live.control import request

CONTROL = Path(os.environ["BAMDMUX_CTL"])
SETTINGS: Mapping[str, str | int] = {"apn": "internet", "ip-type": IP_FAMILIES["ipv4v6"]}

IP_VERSIONS = (4, 6)

FIND_SECONDS = 120.0  # for a modem that answers all but one request
PATIENCE = 4.0  # with a modem that answers
GIVEN_UP = "ModemManager has given up the modem"
STRIKE_SECONDS = 40.0  # ModemManager reads statistics every 30 s
POLL_SECONDS = 0.1


def main() -> None:
    bystander = manager_pid()
    for line in sys.stdin:
        outcome = play(json.loads(line))
        print(json.dumps({**outcome, "survived": manager_pid() == bystander}), flush=True)
        if manager_pid() != bystander:
            return


def play_anew(case: Mapping[str, Any]) -> dict[str, Any]:
    """The case, with a modem that has just booted: some messages are sent once in its life."""
    ask_fault("clear")
    be_found()
    return play({**case, "phase": f"first {case['phase']}"})


def play(case: Mapping[str, Any]) -> dict[str, Any]:
    """One case: an attempt with the fault, and one without."""
    PREPARATIONS[case["phase"]]()
    ask_fault("set", case["fault"])
    began = time.monotonic()
    try:
        if case["phase"] in BOOTING:
            be_found(case["patience"])
        else:
            ATTEMPTS[case["phase"]]()
        attempt = "done"
    except MachineError as error:
        attempt = str(error)
    attempt_seconds = time.monotonic() - began
    strikes = wait_for_strike() if case["phase"] == "watch" else count_strikes()
    if not strikes and case["phase"] in ASKED_ONCE:
        return play_anew(case)
    ask_fault("clear")
    return {
        "attempt": attempt,
        "attempt_seconds": round(attempt_seconds, 1),
        "strikes": strikes,
        **recover(is_there=attempt != GIVEN_UP),
    }


def recover(*, is_there: bool) -> dict[str, Any]:
    """The next attempt; if it fails, one after a restart of the modem."""
    began = time.monotonic()
    problem = ""
    for how in ("at once", "after a restart of the modem"):
        try:
            if not is_there:
                raise MachineError(GIVEN_UP)
            be_disconnected()
            connect_and_ping()
        except MachineError as error:
            problem = str(error)
            if manager_pid() is None:
                break
            if how == "at once":
                with suppress(MachineError):
                    be_found()
                is_there = True
            continue
        return {"next": how, "next_seconds": round(time.monotonic() - began, 1), "problem": problem}
    return {"next": "failed", "next_seconds": round(time.monotonic() - began, 1), "problem": problem}


def connect_and_ping() -> Connection:
    connection = connect(SETTINGS)
    gateways = [each.gateway for each in connection.configurations if each.address.version == 4]
    if len(connection.configurations) != len(IP_VERSIONS) or not gateways:
        have = [f"IPv{each.address.version}" for each in connection.configurations]
        raise MachineError(f"connected by {' and '.join(have) or 'nothing'} only")
    gateway = gateways[0]
    line = ["ping", "-q", "-n", "-c", "1", "-W", "2", "-I", connection.interface, str(gateway)]
    if subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True).returncode:
        raise MachineError(f"no echo from {gateway} by {connection.interface}")
    return connection


# Phases


def nothing() -> None:
    pass


def be_connected() -> None:
    with suppress(MachineError):
        connect(SETTINGS)


def be_disconnected() -> None:
    """And registered: nothing but the call is left to do."""
    with suppress(MachineError):
        disconnect()


def be_disabled() -> None:
    be_disconnected()
    with suppress(MachineError):
        disable()


def disable() -> None:
    done = subprocess.run(["mmcli", "-m", "any", "--disable"], capture_output=True, text=True)
    if done.returncode:
        raise MachineError(" ".join(done.stderr.split()))


def be_found(patience: float = PATIENCE) -> None:
    """The modem boots, and is there; if ModemManager says nothing for so long, it has given up."""
    gone = set(list_modems())
    request(CONTROL, "restart")
    limit, alone_since = time.monotonic() + FIND_SECONDS, None
    while time.monotonic() < limit and manager_pid() is not None:
        if set(list_modems()) - gone:
            return
        is_quiet = not is_talking()
        alone_since = (alone_since or time.monotonic()) if is_quiet else None
        if alone_since is not None and time.monotonic() - alone_since > patience:
            raise MachineError(GIVEN_UP)
    raise MachineError("ModemManager has not found the modem")


def list_modems() -> list[str]:
    """On a connection that stays: to start a program for this, and often, would slow down everything."""
    with suppress(OSError, EOFError):
        return LOOP.run_until_complete(_list_modems())
    return []


LOOP = asyncio.new_event_loop()
BUSES: list[MessageBus] = []


async def _list_modems() -> list[str]:
    if not BUSES:
        BUSES.append(await MessageBus(bus_address=os.environ["DBUS_SYSTEM_BUS_ADDRESS"]).connect())
    return list(await find_modems(BUSES[0]))


def is_talking() -> bool:
    """Whether ModemManager says anything to the modem just now, or waits for an answer."""
    before = os.stat(LOG).st_size
    time.sleep(POLL_SECONDS)
    return os.stat(LOG).st_size != before


LOG = os.environ["BAMDMUX_MODEM_MANAGER_LOG"]

BOOTING = ("probe", "initialize")
ASKED_ONCE = ("enable", "register", "connect")

PREPARATIONS: Mapping[str, Callable[[], None]] = {
    "probe": nothing,
    "initialize": nothing,
    "enable": be_disabled,
    "register": be_disabled,
    "first enable": nothing,
    "first register": nothing,
    "first connect": nothing,
    "connect": be_disconnected,
    "watch": be_disconnected,
    "disconnect": be_connected,
    "disable": be_disconnected,
}
ATTEMPTS: Mapping[str, Callable[[], object]] = {
    "enable": connect_and_ping,
    "register": connect_and_ping,
    "first enable": connect_and_ping,
    "first register": connect_and_ping,
    "first connect": connect_and_ping,
    "connect": connect_and_ping,
    "watch": connect_and_ping,
    "disconnect": disconnect,
    "disable": disable,
}


# What is known from outside


def ask_fault(action: str, name: str | None = None) -> list[dict[str, Any]]:
    arguments = {} if name is None else {"name": name}
    active: list[dict[str, Any]] = request(CONTROL, "fault", action=action, **arguments)["active"]
    return active


def count_strikes() -> int:
    return sum(each["strikes"] for each in ask_fault("list"))


def wait_for_strike() -> int:
    limit = time.monotonic() + STRIKE_SECONDS
    while not (strikes := count_strikes()) and time.monotonic() < limit:
        time.sleep(POLL_SECONDS)
    return strikes


def manager_pid() -> int | None:
    """Of ModemManager; there is one in these namespaces."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "ModemManager\n":
                return int(entry.name)
    return None


if __name__ == "__main__":
    main()
