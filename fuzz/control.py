"""Lines on the control socket, and what a server may answer to a client of it.

Clients connect to a real server and send bytes in pieces, end in the middle, or stop reading. Each whole line
gets one line of JSON that says whether it is fine; nothing raises out of the loop, nothing piles up, a client
that has gone is forgotten, and the next one is served. The other way round, whatever somebody answers on that
socket, `request` returns it or raises an error of ours.
"""

import json
import os
import socket
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from bamdmux.errors import BamDmuxError, UsageError
from bamdmux.live.control import MAX_REQUEST_BYTES, ControlServer, request
from bamdmux.live.loop import Loop
from bamdmux.timing import Instant
from fuzz.script import Script

MAX_TURNS: Final = 64
MAX_WAITING_REQUESTS: Final = 2 * MAX_REQUEST_BYTES  # a line has a line feed at least
COMMANDS: Final = ("status", "say", "refuse")


def status(_: Mapping[str, Any], now: Instant) -> object:
    return {"now": now}


def say(asked: Mapping[str, Any], _: Instant) -> object:
    return type(asked.get("what")).__name__


def refuse(_: Mapping[str, Any], __: Instant) -> object:
    raise UsageError("not that")


class Server:
    """One server for all scripts, as it would serve one client after the other for days."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bamdmux-fuzz-")
        self.path = Path(self.folder.name, "control")
        self.loop = Loop()
        handlers = {"status": status, "say": say, "refuse": refuse}
        self.server = ControlServer(self.path, self.loop, handlers)

    def turn(self) -> None:
        self.loop.wait(0, 0)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect(os.fspath(self.path))
        self.turn()
        return client


@cache
def server() -> Server:
    return Server()


class Liar:
    """Listens like a server, and answers what it is told to; in a thread, for a client waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(os.fspath(path))
        self._listener.listen(1)
        self._answer = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def ask(self, answer: bytes) -> object:
        """What `request` makes of that answer."""
        self._answer = answer
        return request(self.path, "status", timeout_seconds=5)

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(self._answer)


@cache
def liar() -> Liar:
    return Liar(server().path.with_name("liar"))


def pieces(script: Script) -> list[bytes]:
    """What somebody sends, in pieces: lines of JSON, halves of lines, noise, much of the same."""
    sent = []
    while not script.is_over:
        match script.below(8):
            case 0 | 1:
                sent.append(json.dumps({"command": script.choice(COMMANDS)}).encode())
            case 2 | 3:
                sent.append(b"\n")
            case 4:
                sent.append(script.octets(script.below(32)))
            case 5:
                repeated = script.choice((b"[", b"\n", b'{"a":', script.octets(1 + script.below(4))))
                sent.append(repeated * (script.number(2) >> script.below(16)))
            case 6:
                sent.append(b'{"ok":' + script.choice((b"true", b"false", b"[]", b"1e999")) + b',"')
            case 7:
                sent.append(script.choice((b'result":', b'error":', b'usage":', b'command":', b"{", b"}")))
    return sent


def check_server(sent: list[bytes], is_reading: bool) -> None:
    """Send pieces, and look at each answer."""
    rig = server()
    answers = bytearray()
    with rig.connect() as client:
        try:
            for octets in sent:
                client.sendall(octets)
                rig.turn()
                for served in rig.server._clients.values():
                    assert len(served.requests) <= MAX_WAITING_REQUESTS, "requests pile up"
                if is_reading:
                    with suppress(BlockingIOError):
                        answers += client.recv(1 << 16)
            client.shutdown(socket.SHUT_WR)
        except (BlockingIOError, ConnectionError):
            pass  # it has sent more than anybody has to say, and was dropped
        for _ in range(MAX_TURNS):
            rig.turn()
            with suppress(BlockingIOError, ConnectionError):
                answers += client.recv(1 << 16)
            if not rig.server._clients:
                break
    rig.turn()
    assert not rig.server._clients, "a client that has gone is still there"
    line_count = b"".join(sent).count(b"\n")
    *lines, _ = bytes(answers).split(b"\n")  # who is dropped may have got the half of one
    assert len(lines) <= line_count, "more answers than questions"
    for line in lines:
        answer = json.loads(line)
        assert answer["ok"] is True or isinstance(answer["error"], str)


def check_client(answer: bytes) -> None:
    with suppress(BamDmuxError):
        liar().ask(answer)


def check(data: bytes) -> None:
    """Play one script; in the end the server must still serve."""
    script = Script(data)
    if script.below(4) == 0:
        check_client(b"".join(pieces(script)))
        return
    check_server(pieces(script), is_reading=script.chance())
    check_server([b'{"command": "status"}\n'], is_reading=True)
