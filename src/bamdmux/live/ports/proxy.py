"""libqmi's proxy, played by us: an abstract socket in the command's network namespace, and who connects.

    client                                            here
    connect to @qmi-proxy                       ->
    CTL 0xFF00, the path of the device          ->    ours?
                                                <-    CTL 0xFF00, success: from now on it is a QMI port
                                                <-    or an error, and that was it

Debian's qmi-proxy opens the device once for all clients, and sorts out whose answers are whose. Here each
connection is a port of its own, and the control plane knows who has asked. So `qmicli -p` and ModemManager
work with no such program; and with it, if this socket is not there (`bamdmux run --no-qmi-proxy`).
"""

import posixpath
import socket
from typing import Final

from bamdmux.actions import PortKind
from bamdmux.errors import InvalidTlv, MalformedMessage
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.ports.board import QMI_NODE, PortBoard
from bamdmux.live.ports.port import Port
from bamdmux.live.sockets import BACKLOG, Doorkeeper
from bamdmux.timing import Instant

ADDRESS: Final = "\0qmi-proxy"

# One more, and who has been silent for longest has to go; if all have named their device, it is turned away.
MAX_CONNECTIONS: Final = 64
MAX_OPEN_BYTES: Final = 4096  # of the first message; a path is no longer

_LENGTH_END: Final = 3  # of a QMUX frame: the bytes that tell how long it is


class ProxyConnection(Port):
    """Somebody who has connected; a port of the board once it has named our device."""

    def __init__(self, connection: socket.socket, board: PortBoard, proxy: "QmiProxy") -> None:
        self.is_opened = False
        self._begin = b""
        self._switchboard = board
        self._proxy = proxy
        connection.setblocking(False)
        super().__init__(board.new_number(), PortKind.QMI, "qmi-proxy", connection.detach(), board)

    @property
    def _may_take(self) -> bool:
        return super()._may_take or not self.is_opened

    def _take(self, data: bytes, now: Instant) -> None:
        if self.is_opened:
            super()._take(data, now)
            return
        self._begin += data
        if len(self._begin) < _LENGTH_END:
            return
        end = 1 + int.from_bytes(self._begin[1:_LENGTH_END], "little")
        if end > MAX_OPEN_BYTES or self._begin[0] != 1:
            self._end(now)
        elif len(self._begin) >= end:
            frame, rest = self._begin[:end], self._begin[end:]
            if self._open(frame, now) and rest:
                super()._take(rest, now)

    def _open(self, frame: bytes, now: Instant) -> bool:
        answer, self.is_opened = _answer_open(
            frame, self._proxy.device, is_up=self._switchboard.is_up and self._switchboard.takes_bytes
        )
        if self.is_opened:
            self._switchboard.opened(self, now)
        if answer:
            self.send(answer)
        if not self.is_opened:
            self._end(now)
        return self.is_opened

    def _end(self, now: Instant) -> None:
        self._switchboard.ended(self, now)

    def close(self) -> None:
        super().close()
        self._proxy.forget(self)


class QmiProxy:
    """Listens for clients of libqmi's proxy.

    Args:
        namespace: where abstract sockets of the command are.
        address: the name of the socket; libqmi knows one.
        node: the name of our device in /dev.
    """

    def __init__(
        self, namespace: NetworkNamespace, board: PortBoard, address: str = ADDRESS, node: str = QMI_NODE
    ) -> None:
        self.device = f"/dev/{node}"
        self._board = board
        self._connections: list[ProxyConnection] = []
        self._doorkeeper = Doorkeeper(namespace.run(lambda: _listen(address)))
        board.loop.watch(self._doorkeeper.fileno(), self._somebody_knocks)

    def _somebody_knocks(self, now: Instant) -> None:
        connection = self._doorkeeper.accept()
        if connection is None:
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            silent = next((each for each in self._connections if not each.is_opened), None)
            if silent is None:
                connection.close()
                return
            silent.close()
        self._connections.append(ProxyConnection(connection, self._board, self))

    def forget(self, connection: ProxyConnection) -> None:
        """It has ended."""
        if connection in self._connections:
            self._connections.remove(connection)

    def close(self) -> None:
        """Listen no more, and hang up."""
        for connection in list(self._connections):
            connection.close()
        self._board.loop.forget(self._doorkeeper.fileno())
        self._doorkeeper.close()


def _answer_open(frame: bytes, device: str, *, is_up: bool) -> tuple[bytes, bool]:
    """What to answer to the first message of a connection, if anything; and whether it is let in."""
    # These take longer to import than all the rest of this package, and most commands never connect.
    from bamdmux.wire.qmi.messages import encode_error, find_request
    from bamdmux.wire.qmi.values import QmiError
    from bamdmux.wire.qmux import Kind, decode_message, encode_message

    try:
        request = decode_message(frame)
    except MalformedMessage:
        return b"", False
    known = find_request(request.service, request.message_id)
    if known is None or known.name != "internal_proxy_open" or request.kind is not Kind.REQUEST:
        return b"", False
    error = QmiError.NONE if is_up else QmiError.INTERNAL
    try:
        path = known.decode_request(request.tlvs)["device_path"]
        if posixpath.normpath(path) != device:
            error = QmiError.INVALID_ARGUMENT
    except InvalidTlv as refusal:
        error = QmiError(refusal.reason)
    return encode_message(request.answer(encode_error(error))), error is QmiError.NONE


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
