"""Unix sockets at a path that people give: taken, stale, or no place for one."""

import os
import socket
import stat
from pathlib import Path

from bamdmux.errors import MachineError

BACKLOG = 32  # who connects while so many wait is told to try again, or waits itself


def listen(path: Path, kind: socket.SocketKind) -> socket.socket:
    """Listen at `path`, without waiting; a stale socket of somebody who has died is replaced.

    Args:
        kind: SOCK_STREAM or SOCK_SEQPACKET.

    Raises:
        MachineError: it is taken, or no place for a socket.
    """
    _clear_the_way(path, kind)
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if "too long" in str(error):
            raise too_long(path) from error
        raise MachineError(f"cannot listen on {path}: {error.strerror}; choose another path") from error
    listener.setblocking(False)
    return listener


def too_long(path: Path) -> MachineError:
    """What the kernel has no words for: it keeps 108 bytes of a path, one of them zero."""
    return MachineError(f"socket path {path} is too long (107 bytes at most); use a shorter one")


def _clear_the_way(path: Path, kind: socket.SocketKind) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing there, or `bind` will say what is wrong
    if stat.S_ISDIR(mode):
        raise MachineError(f"{path} is a folder; name a socket in it, as {path / 'socket'}")
    if not stat.S_ISSOCK(mode):
        raise MachineError(f"{path} exists and is no socket; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)  # whoever listened is dead
            return
        except BlockingIOError:
            pass  # alive, and busy
        except OSError as error:
            reason = error.strerror
            raise MachineError(
                f"{path} is another program's socket ({reason}); choose another path"
            ) from error
    raise MachineError(f"somebody listens on {path} already; end that program, or choose another path")
