"""The managers of modems that a run can have beside its command, as who asks for one knows them.

What they need to be told is in modules of their own, and what starts and tends them is keeper.py: a program
for itself, of which a run that asks for none imports nothing.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import bamdmux.errors
from bamdmux.live.clients.programs import DBUS_DAEMON, check_dbus_package, find_program

# The kinds of keeper.
MODEM_MANAGER: Final = "modem-manager"
OFONO: Final = "ofono"

# Of each, the module that tends it, its program, and Debian's package.
MANAGERS: Final = {
    MODEM_MANAGER: ("bamdmux.live.clients.modem_manager", "ModemManager", "modemmanager"),
    OFONO: ("bamdmux.live.clients.ofono", "ofonod", "ofono"),
}

# What `-c` runs. Nothing is looked for in the working directory, and Ctrl-C ends it without a word.
_PROGRAM: Final = """\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.path.insert(0, sys.argv[1])
from bamdmux.live.clients.keeper import main
main(sys.argv[2], sys.argv[3], sys.argv[4:])
"""


def check_manager(kind: str) -> None:
    """See whether what a manager needs is installed, before there is a link.

    Raises:
        MachineError: something is not; the message says how to get it.
    """
    _, program, package = MANAGERS[kind]
    find_program(program, package)
    find_program(*DBUS_DAEMON)
    check_dbus_package()


def log_path(kind: str, folder: Path) -> Path:
    """Where everything goes that a manager and its keeper say."""
    return folder / f"{kind}.log"


def keeper_argv(kind: str, folder: Path, argv: Sequence[str]) -> list[str]:
    """What to run instead of a command, so that it finds a keeper's programs beside it."""
    ours = Path(bamdmux.errors.__file__).parents[1]
    return [sys.executable, "-P", "-c", _PROGRAM, str(ours), kind, str(folder), *argv]
