"""Unix sockets at a path that people give: taken, stale, or no place for one."""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from bamdmux.errors import MachineError

BACKLOG: Final = 32  # who connects while so many wait is told to try again, or waits itself


class Doorkeeper:
    """Lets in who connects to a socket that listens, without waiting.

    Args:
        listener: the doorkeeper's from now on.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._socket = listener
        self._socket.setblocking(False)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Readable when somebody knocks."""
        return self._socket.fileno()

    def accept(self) -> socket.socket | None:
        """Who has connected; None if that one is gone again, or has to be turned away."""
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._turn_away()
            return None
        connection.setblocking(False)
        return connection

    def _turn_away(self) -> None:
        """Without a free descriptor nobody can be accepted, nor refused: who knocks would keep us awake."""
        os.close(self._spare)
        with suppress(OSError):
            self._socket.accept()[0].close()
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Listen no more."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            os.close(self._spare)


class Listener(Doorkeeper):
    """Listens at `path`, without waiting; a stale socket of somebody who has died is replaced.

    Args:
        kind: SOCK_STREAM or SOCK_SEQPACKET.

    Raises:
        MachineError: it is taken, or no place for a socket.
    """

    def __init__(self, path: Path, kind: socket.SocketKind) -> None:
        self.path = path
        super().__init__(_listen(path, kind))
        self._identity = _identity_of(path)

    def close(self) -> None:
        """Listen no more, and remove the socket, unless somebody else has put another one there."""
        super().close()
        if _identity_of(self.path) == self._identity:
            with suppress(OSError):
                self.path.unlink()


def too_long(path: Path) -> MachineError:
    """What the kernel has no words for: it keeps 108 bytes of a path, one of them zero."""
    return MachineError(f"socket path {path} is too long (107 bytes at most); use a shorter one")


def _listen(path: Path, kind: socket.SocketKind) -> socket.socket:
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
    return listener


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
            _remove_stale(path)
            return
        except BlockingIOError:
            pass  # alive, and busy
        except OSError as error:
            reason = error.strerror
            raise MachineError(
                f"{path} is another program's socket ({reason}); choose another path"
            ) from error
    raise MachineError(f"somebody listens on {path} already; end that program, or choose another path")


def _remove_stale(path: Path) -> None:
    """Whoever listened is dead."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(
            f"cannot replace the stale socket {path}: {error.strerror}; choose another path"
        ) from error


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
