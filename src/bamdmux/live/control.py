"""The control socket: one JSON object a line in, one JSON object a line out.

    {"command": "status"}  ->  {"ok": true, "result": {...}}
                               {"ok": false, "usage": true, "error": "unknown command stat; known: status"}

The server lives in the loop of a running link and never waits for a client; a client that sends no whole
line, or does not read its answers, is dropped. The client is a blocking function for programs.
"""

import json
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bamdmux.errors import BamDmuxError, MachineError, UsageError
from bamdmux.live.loop import Loop
from bamdmux.live.sockets import Listener
from bamdmux.timing import Instant

# A request says what to do, not what to store; an answer is a status of a few kilobytes.
MAX_REQUEST_BYTES: Final = 64 * 1024
# Together with the socket's own buffer: a client that lets more answers pile up is gone.
MAX_UNREAD_BYTES: Final = 1024 * 1024
MAX_CLIENTS: Final = 32  # one more is told so
# Then packets and the others get their turn: a status costs a fifth of a millisecond.
REQUESTS_PER_TURN: Final = 4
CLIENT_TIMEOUT_SECONDS: Final = 5.0

Handler = Callable[[Mapping[str, Any], Instant], object]


class ControlServer:
    """Answers requests on a Unix socket.

    Args:
        path: where the socket is made; its folder must exist, a stale socket is replaced.
        handlers: for each command a function of the request and the time; its result must be JSON.

    Raises:
        MachineError: somebody listens there already, or there is something else.
    """

    def __init__(self, path: Path, loop: Loop, handlers: Mapping[str, Handler]) -> None:
        self.path = path
        self._loop = loop
        self._handlers = handlers
        self._clients: dict[int, _Client] = {}
        self._listener = Listener(path, socket.SOCK_STREAM)
        loop.watch(self._listener.fileno(), self._accept)

    def _accept(self, now: Instant) -> None:
        connection = self._listener.accept()
        if connection is None:
            return
        client = _Client(connection)
        if len(self._clients) >= MAX_CLIENTS:
            client.answer({"ok": False, "error": f"too many clients, {MAX_CLIENTS} already"})
            connection.close()
            return
        descriptor = connection.fileno()
        self._clients[descriptor] = client
        self._loop.watch(descriptor, lambda now: self._read(client, now))

    def _read(self, client: "_Client", now: Instant) -> None:
        had_requests = bool(client.requests)
        client.read()
        if client.is_over:
            self._drop(client)
        elif not had_requests:
            self._serve(client, now)

    def _serve(self, client: "_Client", now: Instant) -> None:
        if client.connection.fileno() < 0:
            return  # dropped since it was put off
        for _ in range(min(REQUESTS_PER_TURN, len(client.requests))):
            client.answer(self._handle(client.next_request(), now))
            if client.is_over:
                break
        if client.is_over or (client.has_finished and not client.requests):
            self._drop(client)
        elif client.requests:
            self._loop.call_soon(lambda now: self._serve(client, now))

    def _handle(self, line: bytes, now: Instant) -> dict[str, object]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise UsageError("a request is a JSON object")
            name = request.get("command")
            handler = self._handlers.get(name) if isinstance(name, str) else None
            if handler is None:
                raise UsageError(f"unknown command {name}; known: {', '.join(sorted(self._handlers))}")
            return {"ok": True, "result": handler(request, now)}
        except (ValueError, RecursionError):
            return {"ok": False, "usage": True, "error": "a request is one line of JSON"}
        except BamDmuxError as error:
            return {"ok": False, "usage": isinstance(error, UsageError), "error": str(error)}

    def _drop(self, client: "_Client") -> None:
        descriptor = client.connection.fileno()
        if self._clients.pop(descriptor, None) is not None:
            self._loop.forget(descriptor)
            client.connection.close()

    def close(self) -> None:
        """Stop answering, and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._loop.forget(self._listener.fileno())
        self._listener.close()


class _Client:
    """One connection, its requests that wait, and the half of a line that it has sent so far."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.requests: deque[bytes] = deque()
        self.has_finished = False  # it says no more, but may wait for answers
        self.is_over = False
        self._received = b""
        self._waiting_bytes = 0  # of the requests
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_UNREAD_BYTES)

    def read(self) -> None:
        try:
            data = self.connection.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        *lines, self._received = (self._received + data).split(b"\n")
        self.requests.extend(lines)
        self.has_finished = not data
        self._waiting_bytes += sum(map(_waiting_bytes_of, lines))
        if (
            self._waiting_bytes + len(self._received) > 2 * MAX_REQUEST_BYTES
            or len(self._received) > MAX_REQUEST_BYTES
        ):
            self.is_over = True

    def next_request(self) -> bytes:
        line = self.requests.popleft()
        self._waiting_bytes -= _waiting_bytes_of(line)
        return line

    def answer(self, answer: dict[str, object]) -> None:
        data = json.dumps(answer).encode() + b"\n"
        try:
            if self.connection.send(data) == len(data):
                return
        except (BlockingIOError, ConnectionError):
            pass
        self.is_over = True  # it does not read; half an answer is none


def _waiting_bytes_of(line: bytes) -> int:
    """With its line feed: a line of nothing else is a request too, and takes memory."""
    return len(line) + 1


def request(path: Path, command: str, *, timeout_seconds: float | None = None, **arguments: object) -> Any:
    """Ask a running link; what it answers.

    Raises:
        MachineError: nobody listens there, or it is no control socket.
        UsageError: it does not know the command, or not these arguments.
    """
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise MachineError(f"{path} is no socket; `bamdmux run` names its own in BAMDMUX_CTL")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            # Not settimeout(): a blocking connect waits for its turn when many others are before us.
            seconds, rest = divmod(timeout_seconds or CLIENT_TIMEOUT_SECONDS, 1)
            timeout = struct.pack("ll", int(seconds), int(rest * 1_000_000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
            connection.connect(os.fspath(path))
            with suppress(BrokenPipeError):  # it may have turned us away: its answer says why
                connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n") and (data := connection.recv(MAX_REQUEST_BYTES)):
                line += data
    except BlockingIOError as error:
        raise MachineError(f"{path} does not answer; is its process stopped?") from error
    except OSError as error:
        reason = (
            "nobody listens there" if isinstance(error, ConnectionError) else error.strerror or str(error)
        )
        raise MachineError(f"cannot ask {path}: {reason}; is `bamdmux run` still running?") from error
    try:
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        text, is_usage = str(answer["error"]), answer.get("usage", False)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MachineError(f"{path} gave no answer of ours; is it a control socket of bamdmux?") from error
    raise UsageError(text) if is_usage else MachineError(text)
