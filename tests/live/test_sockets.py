"""Sockets at paths that people give: what is free, what is stale, and what is no place for one."""

import os
import resource
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bamdmux.errors import MachineError
from bamdmux.live.sockets import BACKLOG, Listener

KINDS = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET]
LONGEST = 107

for_each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def listen(path: Path, stack: ExitStack, kind: socket.SocketKind = socket.SOCK_STREAM) -> Listener:
    listener = Listener(path, kind)
    stack.callback(listener.close)
    return listener


def connect(path: Path, stack: ExitStack, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    client = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
    client.connect(os.fspath(path))
    return client


def reason(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> str:
    """Why nobody can listen there; nothing is left open."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(MachineError) as caught:
        Listener(path, kind)
    assert len(os.listdir("/proc/self/fd")) == before
    return str(caught.value)


@for_each_kind
def test_who_connects_is_accepted_and_nobody_is_waited_for(
    path: Path, stack: ExitStack, kind: socket.SocketKind
) -> None:
    listener = listen(path, stack, kind)
    assert listener.accept() is None
    client = connect(path, stack, kind)
    connection = listener.accept()
    assert connection is not None
    with connection:
        assert not connection.getblocking()
        client.send(b"hello")
        assert connection.recv(100) == b"hello"
    assert listener.accept() is None


def test_closing_removes_the_socket(path: Path) -> None:
    listener = Listener(path, socket.SOCK_STREAM)
    assert stat.S_ISSOCK(path.lstat().st_mode)
    listener.close()
    assert not path.exists()


@pytest.mark.parametrize("instead", ["nothing", "file", "socket", "no folder"])
def test_closing_leaves_what_others_have_put_there(tmp_path: Path, stack: ExitStack, instead: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "socket"
    listener = Listener(path, socket.SOCK_STREAM)
    path.unlink()
    match instead:
        case "file":
            path.touch()
        case "socket":
            listen(path, stack)
        case "no folder":
            folder.rmdir()
    listener.close()
    assert path.exists() == (instead in ("file", "socket"))


# What is there already


@for_each_kind
def test_a_stale_socket_is_replaced(path: Path, stack: ExitStack, kind: socket.SocketKind) -> None:
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, kind) as dead:
            dead.bind(os.fspath(path))
            dead.listen()
        listen(path, stack, kind)
        connect(path, stack, kind)
        path.unlink()


@for_each_kind
def test_a_live_one_is_refused(path: Path, stack: ExitStack, kind: socket.SocketKind) -> None:
    listener = listen(path, stack, kind)
    text = f"somebody listens on {path} already; end that program, or choose another path"
    assert reason(path, kind) == text
    connect(path, stack, kind)
    connection = listener.accept()
    assert connection is not None
    connection.close()


def test_a_live_one_that_is_busy_is_refused(path: Path, stack: ExitStack) -> None:
    listen(path, stack)
    for _ in range(BACKLOG + 1):
        connect(path, stack)
    assert reason(path).startswith(f"somebody listens on {path} already")


@pytest.mark.parametrize(("theirs", "ours"), [KINDS, KINDS[::-1]])
def test_another_program_s_socket_is_refused(
    path: Path, stack: ExitStack, theirs: socket.SocketKind, ours: socket.SocketKind
) -> None:
    listen(path, stack, theirs)
    assert reason(path, ours) == (
        f"{path} is another program's socket (Protocol wrong type for socket); choose another path"
    )


def make_file(path: Path) -> None:
    path.write_text("precious")


MAKERS: dict[str, Callable[[Path], None]] = {
    "file": make_file,
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to("/dev/null"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_socket_is_left_alone(path: Path, kind: str) -> None:
    MAKERS[kind](path)
    before = path.lstat()
    assert reason(path) == f"{path} exists and is no socket; remove it, or choose another path"
    assert path.lstat() == before


def test_a_folder_is_no_place_but_in_it(path: Path) -> None:
    path.mkdir()
    assert reason(path) == f"{path} is a folder; name a socket in it, as {path}/socket"


# No place at all


def test_the_longest_path_is_taken_and_one_more_byte_is_too_long(tmp_path: Path, stack: ExitStack) -> None:
    name = "x" * (LONGEST - len(os.fspath(tmp_path)) - 1)
    listen(tmp_path / name, stack)
    path = tmp_path / (name + "y")
    assert reason(path) == f"socket path {path} is too long (107 bytes at most); use a shorter one"


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no" / "socket"
    assert reason(path) == f"cannot listen on {path}: No such file or directory; choose another path"


def test_a_file_is_no_folder(path: Path) -> None:
    make_file(path)
    assert reason(path / "x") == f"cannot listen on {path}/x: Not a directory; choose another path"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_of_another_user_is_one_line(tmp_path: Path, stack: ExitStack) -> None:
    stack.callback(os.seteuid, os.geteuid())
    os.seteuid(65534)
    path = tmp_path / "socket"
    assert reason(path) == f"cannot listen on {path}: Permission denied; choose another path"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_stale_socket_of_another_user_is_one_line(stack: ExitStack) -> None:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "socket"
    path.parent.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(os.fspath(path))
    path.chmod(0o777)
    stack.callback(os.seteuid, os.geteuid())
    os.seteuid(65534)
    assert reason(path) == f"cannot replace the stale socket {path}: Permission denied; choose another path"


# Short of descriptors


def test_without_a_free_descriptor_who_knocks_is_turned_away(path: Path, stack: ExitStack) -> None:
    """If not, the knock would stay, and keep the loop awake."""
    listener = listen(path, stack)
    clients = [connect(path, stack) for _ in range(3)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    filler = [os.dup(0) for _ in range(highest)]  # no number below is free
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(filler) + 1, limits[1]))
        assert listener.accept() is None
        assert clients[0].recv(1) == b""
        assert listener.accept() is None
        assert clients[1].recv(1) == b""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in filler:
            os.close(descriptor)
    connection = listener.accept()
    assert connection is not None
    connection.close()
