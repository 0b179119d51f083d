"""A stand-in for `bamdmux run`: the smallest event loop that drives a Command as command.py asks for.

    python3 command_driver.py EVENTS ARGV...

appends what happens to the file EVENTS, one JSON list a line. Run as a program by the tests, under other
users and Pythons too: it needs nothing but bamdmux.
"""

import dataclasses
import json
import os
import select
import signal
import socket
import sys

from bamdmux.errors import MachineError
from bamdmux.live.command import Command, ExecFailed, Exited, Stopped
from bamdmux.live.namespaces import NetworkNamespace, enter_user_namespace

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGCONT,
)


def main() -> int:
    events, *argv = sys.argv[1:]
    os.set_inheritable(
        os.open("/dev/null", os.O_RDONLY), True
    )  # a leak, to be seen by what the command inherits
    with open(events, "a", buffering=1) as log:
        enter_user_namespace()
        with NetworkNamespace.create() as namespace:
            wakeups = catch_signals()
            with Command.start(argv, environment=os.environ, namespace=namespace) as command:
                exit_code = drive(command, wakeups, log)
        print(json.dumps(["closed"]), file=log)
    return exit_code


def catch_signals() -> socket.socket:
    readable, writable = socket.socketpair()
    writable.setblocking(False)
    for signum in FORWARDED:
        signal.signal(signum, lambda number, frame: None)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.set_wakeup_fd(writable.detach())
    return readable


def drive(command: Command, wakeups: socket.socket, log) -> int:
    while True:
        ready, _, _ = select.select([command, wakeups], [], [])
        if wakeups in ready:
            for signum in wakeups.recv(64):
                print(json.dumps(["signal", signum]), file=log)
                command.signal_arrived(signum)
        while (event := command.read_event()) is not None:
            print(json.dumps([type(event).__name__, *dataclasses.astuple(event)]), file=log)
            match event:
                case ExecFailed():
                    print(event.message, file=sys.stderr)
                case Stopped():
                    command.suspend(event)
                case Exited():
                    return event.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MachineError as error:
        sys.exit(f"MachineError: {error}")
