"""Nodes for whoever has no private /dev, as `bamdmux host` alone: links to PTYs of this machine, in a folder.

`qmicli` and ModemManager know a port by its name below /dev and do not follow links, so this is for programs
that are told a path (and for people with a terminal program). See `mounts` for how a command gets real nodes.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bamdmux.errors import MachineError
from bamdmux.live.ports.board import NODES
from bamdmux.live.ports.raw import make_raw, unlock

Made = Callable[[Sequence[int]], None]


class LinkMaker:
    """Makes links; see `NodeMaker`.

    Args:
        folder: where they shall be.
        made: is given the masters of the PTYs.

    Raises:
        MachineError: there is no such folder, or something else has a name of ours in it.
    """

    def __init__(self, folder: Path, made: Made) -> None:
        if not folder.is_dir():
            raise MachineError(f"{folder} is no folder; make it: mkdir {folder}")
        self._paths = [folder / name for name, _ in NODES]
        self._made = made
        self._targets: dict[Path, str] = {}
        for path in self._paths:
            if path.exists() and not path.is_symlink():
                raise MachineError(f"{path} exists and is no link; remove it, or choose another folder")

    def make_ports(self) -> None:
        """Open PTYs, and put links to them in the folder.

        Raises:
            MachineError: that cannot be.
        """
        self.remove_ports()
        masters: list[int] = []
        try:
            for path in self._paths:
                masters.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
                self._link(path, f"/dev/pts/{unlock(masters[-1])}")
                make_raw(masters[-1])
                os.close(os.open(path, os.O_RDWR | os.O_NOCTTY))  # see `NodePort`
        except OSError as error:
            for master in masters:
                os.close(master)
            self.remove_ports()
            where = f" {error.filename}:" if error.filename else ""
            raise MachineError(
                f"cannot make control ports:{where} {error.strerror}; go without --ports"
            ) from error
        self._made(masters)

    def _link(self, path: Path, target: str) -> None:
        # In one step, whatever is there: a link of somebody who has died, or a file that a client made.
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.symlink_to(target)
        fresh.replace(path)
        self._targets[path] = target

    def remove_ports(self) -> None:
        """Take our links away; one that is another's by now stays."""
        for path, target in self._targets.items():
            with suppress(OSError):
                if os.readlink(path) == target:
                    path.unlink()
        self._targets.clear()
