"""A control plane that knows no QMI: the second implementation of `Plane`, and a board that leads to it.

On a QMI port it sends back what it gets. On an AT port a line is answered with OK, `hang up` with a hang-up,
and `say N` with N indications of 100 bytes. It writes down what it was told.
"""

import fcntl
import os
import struct
import termios
import tty
from collections.abc import Callable
from contextlib import ExitStack, suppress

from bamdmux.actions import Action, HangUpPort, PortKind, SendToPort
from bamdmux.live.loop import Loop
from bamdmux.live.ports.board import NODES, PortBoard
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.ports.raw import make_raw, unlock
from bamdmux.live.runner import Runner
from bamdmux.timing import MILLISECOND, SECOND, Instant

PATIENCE = 10 * SECOND
QMI, AT = 0, 1  # the numbers of the nodes


class EchoPlane:
    """See above."""

    deadline = None

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []
        self.kinds: dict[int, PortKind] = {}
        self.received_bytes: dict[int, bytes] = {}
        self.outbox: list[Action] = []
        self._lines: dict[int, bytes] = {}

    def boot(self, now: Instant) -> None:
        self.events.append(("boot",))

    def crash(self, now: Instant) -> None:
        self.events.append(("crash",))
        self.outbox += [HangUpPort(port) for port in self.kinds]
        self.kinds.clear()

    def port_opened(self, port: int, kind: PortKind, now: Instant) -> None:
        self.events.append(("opened", port, kind))
        assert port not in self.kinds
        self.kinds[port] = kind
        self._lines[port] = b""

    def received(self, port: int, data: bytes, now: Instant) -> None:
        self.received_bytes[port] = self.received_bytes.get(port, b"") + data
        if self.kinds[port] is PortKind.QMI:
            self.outbox.append(SendToPort(port, data))
            return
        *lines, self._lines[port] = (self._lines[port] + data).split(b"\r")
        for line in lines:
            self._answer(port, line)

    def _answer(self, port: int, line: bytes) -> None:
        match line.split():
            case [b"hang", b"up"]:
                del self.kinds[port]
                self.outbox.append(HangUpPort(port))
            case [b"say", count]:
                self.outbox += [
                    SendToPort(port, b"%99d\n" % number, is_indication=True) for number in range(int(count))
                ]
            case _:
                self.outbox.append(SendToPort(port, b"\r\nOK\r\n"))

    def port_closed(self, port: int, now: Instant) -> None:
        self.events.append(("closed", port))
        del self.kinds[port]

    def handle_timeout(self, now: Instant) -> None: ...

    @property
    def has_actions(self) -> bool:
        return bool(self.outbox)

    def take_actions(self) -> list[Action]:
        actions, self.outbox = self.outbox, []
        return actions

    def status(self, now: Instant) -> dict[str, object]:
        return {}


class PtyMaker:
    """Makes nodes that have no names: their other ends are opened by `Desk.open`."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self.removed_count = 0

    def make_ports(self) -> None:
        masters = []
        for number, _ in enumerate(NODES):
            master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
            self._desk.paths[number] = f"/dev/pts/{unlock(master)}"
            make_raw(master)
            os.close(os.open(self._desk.paths[number], os.O_RDWR | os.O_NOCTTY))
            masters.append(master)
        self._desk.board.nodes_made(masters, self._desk.runner.now)

    def remove_ports(self) -> None:
        self.removed_count += 1


class Desk:
    """A board, an echo behind it, and clients in the same process."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.loop = Loop()
        stack.callback(self.loop.close)
        self.plane = EchoPlane()
        self.control = ControlSide(self.plane)
        self.board = PortBoard(self.loop)
        stack.callback(self.board.close)
        self.control.ports, self.board.user = self.board, self.control
        self.runner = Runner(self.loop, [self.control])
        self.paths: dict[int, str] = {}
        self.maker = PtyMaker(self)
        self.board.attach(self.maker)
        self.control.boot(self.runner.now)

    def until(self, condition: Callable[[], object]) -> None:
        """Until it is so; it is looked at every few milliseconds, for clients wake nobody here."""
        limit = self.runner.now + PATIENCE
        while not condition():
            assert self.runner.now < limit
            self.runner.step(self.runner.now + 5 * MILLISECOND)

    def settle(self) -> None:
        """Deal with what has arrived by now."""
        self.runner.run_until(lambda: False, SECOND // 50)

    def open(self, number: int) -> "Client":
        client = Client(self, self.paths[number])
        self.stack.callback(client.close)
        return client

    def status(self, number: int) -> dict[str, object]:
        (status,) = [each for each in self.board.status() if each["port"] == number]  # type: ignore[index, call-overload]
        return dict(status)  # type: ignore[call-overload]


class Client:
    """Who has opened a node, without waiting."""

    def __init__(self, desk: Desk, path: str) -> None:
        self.desk = desk
        self.descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def write(self, data: bytes) -> None:
        assert os.write(self.descriptor, data) == len(data)

    def read(self) -> bytes:
        """What there is now."""
        with suppress(BlockingIOError):
            return os.read(self.descriptor, 65536)
        return b""

    def read_until(self, end: bytes) -> bytes:
        read = b""

        def is_there() -> bool:
            nonlocal read
            read += self.read()
            return read.endswith(end)

        self.desk.until(is_there)
        return read

    def unread_bytes(self) -> int:
        (count,) = struct.unpack("i", fcntl.ioctl(self.descriptor, termios.FIONREAD, bytes(4)))
        assert isinstance(count, int)
        return count

    def is_hung_up(self) -> bool:
        try:
            return os.read(self.descriptor, 1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def is_raw(self) -> bool:
        mode = termios.tcgetattr(self.descriptor)
        return not (
            mode[tty.LFLAG] & (termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
            or mode[tty.IFLAG]
            or mode[tty.OFLAG]
        )

    def spoil(self) -> None:
        """Leave the terminal as no program likes it."""
        mode = termios.tcgetattr(self.descriptor)
        mode[tty.LFLAG] |= termios.ECHO | termios.ICANON | termios.ISIG
        mode[tty.IFLAG] |= termios.ICRNL
        termios.tcsetattr(self.descriptor, termios.TCSANOW, mode)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
