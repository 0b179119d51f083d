"""An HTTP server on the far side of the modem, for demonstrations and tests.

    GET /            what this is
    GET /bytes/N     N bytes, the same every time, with their digest (Repr-Digest, RFC 9530)
    GET /sha256/N    the digest of those bytes, in hexadecimal
    PUT, POST        takes a body at any path, and answers {"bytes": N, "sha256": "..."}

It listens before it serves: `DemoServer.start` opens the sockets in the network namespace, so that who
connects at once just waits, and forks a child that lives in the namespace, answers, and dies with us,
however we do. bamdmux itself never waits for a disk or a client of it; http.server is imported in the child
only, in parallel with whatever we go on to do.

The bytes are blocks of 64 KiB: the number of the block, then always the same noise. So a lost, doubled or
swapped piece changes the digest.
"""

import base64
import functools
import hashlib
import os
import random
import signal
import socket
import traceback
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from bamdmux.errors import MachineError
from bamdmux.live.init import forget_parent
from bamdmux.live.namespaces import (
    CLONE_NEWNET,
    NetworkNamespace,
    set_parent_death_signal,
    set_process_name,
    setns,
)

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT: Final = 80  # in a namespace of our own we may
BACKLOG: Final = 128  # connections that wait to be accepted; then the kernel lets clients try again
CONNECTION_LIMIT: Final = 256  # served at once; more of them wait in the backlog
IDLE_SECONDS: Final = 300  # then a silent connection is closed: a modem may be away for long
BYTES_LIMIT: Final = 1 << 30  # of one body, either way
CHUNK_LINE_LIMIT: Final = 4096  # a chunk's size, and each trailer
TRAILER_LIMIT: Final = 100

BLOCK_BYTES: Final = 1 << 16
BLOCK_NUMBER_BYTES: Final = 8
BLOCKS_PER_PIECE: Final = 16  # 1 MiB a write: fewer than 100 system calls for 100 MB
PIECE_BYTES: Final = BLOCKS_PER_PIECE * BLOCK_BYTES
SEED: Final = 8916
DIGEST_CACHE_SIZE: Final = 64

WELCOME: Final = """\
This is the network behind a modem that bamdmux plays: your request has come over BAM-DMUX.

GET /bytes/N     N bytes (up to 1 GiB), the same every time
GET /sha256/N    their SHA-256
PUT, POST        answered with the size and the SHA-256 of the body
"""


class DemoServer:
    """The server's process; made by `DemoServer.start`. Stop it, or use it in a `with` block.

    Attributes:
        pid: of the process; 0 once it was stopped. `nsenter --net --target PID` goes where it lives.
        port: where it listens.
    """

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port

    @classmethod
    def start(cls, namespace: NetworkNamespace, port: int = PORT) -> Self:
        """Listen on all addresses of the namespace, IPv4 and IPv6, and serve from a child process.

        Call it from a thread that lives as long as the server shall (the main one): the child dies with it.

        Args:
            port: 0 lets the kernel choose; see ``port`` of what is returned.

        Raises:
            MachineError: the port is taken, or no process can be had.
        """
        try:
            with namespace.run(functools.partial(_listen, port)) as listener:
                parent = os.getpid()
                pid = os.fork()
                if pid == 0:
                    _be_server(namespace.fileno(), listener, parent)
                return cls(pid, listener.getsockname()[1])
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise MachineError(f"cannot serve HTTP on port {port}: {reason}; take another port") from error

    def stop(self) -> None:
        """End the server at once, and reap it."""
        if self.pid > 0:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


# The bytes


def pieces(length: int) -> Iterator[memoryview]:
    """The first `length` bytes, as views of one buffer that is used again for the next piece."""
    piece = bytearray(_noise() * BLOCKS_PER_PIECE)
    view = memoryview(piece)
    for start in range(0, length, PIECE_BYTES):
        first = start // BLOCK_BYTES
        for block in range(BLOCKS_PER_PIECE):
            at = block * BLOCK_BYTES
            piece[at : at + BLOCK_NUMBER_BYTES] = (first + block).to_bytes(BLOCK_NUMBER_BYTES, "big")
        yield view[: min(PIECE_BYTES, length - start)]


@functools.lru_cache(maxsize=DIGEST_CACHE_SIZE)
def digest(length: int) -> bytes:
    """SHA-256 of the first `length` bytes."""
    hasher = hashlib.sha256()
    for piece in pieces(length):
        hasher.update(piece)
    return hasher.digest()


@functools.cache
def _noise() -> bytes:
    return random.Random(SEED).randbytes(BLOCK_BYTES)


# The child


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
        )
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)


def _be_server(namespace_descriptor: int, listener: socket.socket, parent: int) -> NoReturn:
    """Be the child: forget what fork copied, go where the server lives, and serve until killed."""
    try:
        set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:  # it died before that
            os._exit(0)
        forget_parent(keep={namespace_descriptor, listener.fileno()})
        os.setpgid(0, 0)  # what is typed at the terminal is not for us
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a client that goes away is an exception in its thread
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)  # who reads our output shall not wait for this process to let go of it
        os.close(nothing)
        set_process_name("bamdmux-http")
        setns(namespace_descriptor, CLONE_NEWNET)
        os.close(namespace_descriptor)
        _make_server(listener).serve_forever()
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _make_server(listener: socket.socket) -> "ThreadingHTTPServer":
    import threading
    from http.server import ThreadingHTTPServer

    class Server(ThreadingHTTPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            slots.acquire()
            try:
                super().process_request(request, client_address)
            except BaseException:  # no thread to be had
                slots.release()
                raise

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                slots.release()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that goes away is none of the user's business."""

    slots = threading.BoundedSemaphore(CONNECTION_LIMIT)
    server = Server(("", 0), _make_handler(), bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = "bamdmux", listener.getsockname()[1]
    return server


def _make_handler() -> "type[BaseHTTPRequestHandler]":
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS
        disable_nagle_algorithm = True  # what is to be measured is the link

        def do_GET(self) -> None:
            match self.path.split("?")[0].split("/")[1:]:
                case [""]:
                    self.answer(200, WELCOME.encode())
                case ["bytes", number]:
                    self.answer_bytes(number)
                case ["sha256", number]:
                    if (length := self.length_or_refusal(number)) is not None:
                        self.answer(200, digest(length).hex().encode() + b"\n")
                case _:
                    self.answer(404, b"not here; GET / says what is\n")

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            try:
                count, hasher = read_body(self.headers, self.rfile)
            except BadBody as error:
                self.close_connection = True  # where the next request would begin is unknown
                self.answer(error.status, f"{error}\n".encode())
                return
            text = f'{{"bytes": {count}, "sha256": "{hasher.hexdigest()}"}}\n'
            self.answer(200, text.encode(), "application/json")

        do_POST = do_PUT

        def answer_bytes(self, number: str) -> None:
            if (length := self.length_or_refusal(number)) is None:
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(length))
            self.send_header("Repr-Digest", f"sha-256=:{base64.b64encode(digest(length)).decode()}:")
            self.end_headers()
            if self.command == "HEAD":
                return
            for piece in pieces(length):
                self.connection.sendall(piece)

        def length_or_refusal(self, number: str) -> int | None:
            """The number of bytes asked for; if it is none, the answer has been given."""
            if not (number.isascii() and number.isdigit() and len(number) <= 20):
                self.answer(400, f"{number[:40]!r} is no number of bytes\n".encode())
                return None
            if int(number) > BYTES_LIMIT:
                self.answer(400, f"{number} exceeds {BYTES_LIMIT}\n".encode())
                return None
            return int(number)

        def answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def version_string(self) -> str:
            return "bamdmux"

        def log_message(self, format: str, *arguments: object) -> None:
            """Nobody wants to read what they asked for themselves."""

    return Handler


class BadBody(Exception):
    """A request's body that cannot be read; ``status`` is the answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def read_body(headers: Any, stream: BufferedIOBase) -> "tuple[int, hashlib._Hash]":
    """Read a request's body to its end; its size and digest.

    Raises:
        BadBody: it breaks RFC 9112, or is too long.
    """
    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(PIECE_BYTES))
    encoding = headers.get("Transfer-Encoding")
    if encoding is None:
        total = _parse_size(headers.get("Content-Length", "0").strip(), 10)
        _read_exactly(stream, total, buffer, hasher)
        return total, hasher
    if encoding.strip().lower() != "chunked":
        raise BadBody(501, f"transfer encoding {encoding[:40]!r} is not chunked")
    total = 0
    while size := _parse_size(_read_line(stream).split(b";")[0].strip().decode("latin-1"), 16):
        total += size
        if total > BYTES_LIMIT:
            raise BadBody(413, f"a body of more than {BYTES_LIMIT} bytes")
        _read_exactly(stream, size, buffer, hasher)
        if _read_line(stream) != b"":
            raise BadBody(400, "a chunk longer than its size")
    for _ in range(TRAILER_LIMIT):
        if _read_line(stream) == b"":
            return total, hasher
    raise BadBody(400, f"more than {TRAILER_LIMIT} trailers")


def _parse_size(text: str, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    if not text or len(text) > 20 or any(digit not in digits for digit in text.lower()):
        raise BadBody(400, f"{text[:40]!r} is no size")
    size = int(text, base)
    if size > BYTES_LIMIT:
        raise BadBody(413, f"{size} bytes exceed {BYTES_LIMIT}")
    return size


def _read_line(stream: BufferedIOBase) -> bytes:
    line = stream.readline(CHUNK_LINE_LIMIT)
    if not line.endswith(b"\n"):
        raise BadBody(400, "the body ends, or a line does not")
    return line.rstrip(b"\r\n")


def _read_exactly(stream: BufferedIOBase, size: int, buffer: memoryview, hasher: "hashlib._Hash") -> None:
    while size > 0:
        count = stream.readinto(buffer[: min(size, len(buffer))])
        if count == 0:
            raise BadBody(400, f"the body ends {size} bytes early")
        hasher.update(buffer[:count])
        size -= count
