"""The host's end of a split link: find the modem, hand the memory over, notice its end, find it again.

    LOOKING --connect--> GREETING --its hello--> OFFERING --its answer--> CONNECTED
       ^________________________ end of the connection, refusal, time-out ____________|

While nobody is there we look again, soon at first, then about each second. The memory and the driver stay: a
modem that comes back gets the same memory, with all that the lines have been through. The doorbell is new for
each modem, lest a dead one's ring in ours; so is the socket for the control ports, and all of them hang up.
"""

import logging
import os
import socket
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

from bamdmux.bam.wakefulness import Wakefulness
from bamdmux.errors import MachineError, ProtocolError
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop, Words
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.sockets import too_long
from bamdmux.live.split.doorbell import Doorbell
from bamdmux.live.split.far_side import NobodyThere, RemoteSide
from bamdmux.live.split.handover import (
    HANDOVER_TIMEOUT_NS,
    Message,
    Refusal,
    Role,
    check_answer,
    check_hello,
    close_all,
    encode_hello,
    encode_memory,
    receive,
    send,
)
from bamdmux.live.split.memory import SharedMemory
from bamdmux.live.split.ports import HostPorts
from bamdmux.timing import MILLISECOND, Duration, Instant, earliest

LOG: Final = logging.getLogger("bamdmux.host")

FIRST_RETRY_NS: Final[Duration] = 20 * MILLISECOND
LONGEST_RETRY_NS: Final[Duration] = 900 * MILLISECOND  # so that with the handover it is less than a second

# A host that has slots to spare is not woken for each that comes back. It looks at them by then, and so knows
# when its last frame was sent: late, but no later than this.
NAP: Final[Duration] = 2 * MILLISECOND

# What another attempt will not mend.
LASTING: Final = {Refusal.NO_HELLO, Refusal.WRONG_VERSION, Refusal.WRONG_ROLE, Refusal.BAD_LAYOUT}


class Finding(Enum):
    """How far we are with the modem."""

    LOOKING = auto()
    GREETING = auto()
    OFFERING = auto()
    CONNECTED = auto()


class ModemFinder:
    """A side of the runner: the link to a modem that may come and go.

    Args:
        path: the socket that the modem listens on.
        memory: what is handed to it.
        board: the control ports, which lead to it.
    """

    def __init__(
        self, path: Path, loop: Loop, host: HostSide, memory: SharedMemory, board: PortBoard
    ) -> None:
        self.path = path
        self.state = Finding.LOOKING
        self.connected_count = 0
        self._loop = loop
        self._host = host
        self._memory = memory
        self._board = board
        self._ports: HostPorts | None = None
        self._connection: socket.socket | None = None
        self._bell: Doorbell | None = None
        self._far: RemoteSide | NobodyThere = NobodyThere()
        self._wakefulness: Wakefulness | None = None
        self._dozes = False  # slots that come back are no reason to wake up
        self._fed_at: Instant = 0
        self._nap_ends: Instant | None = None  # when we look by ourselves what has been sent
        self._has_overslept = False  # nothing had
        self._retry_ns = FIRST_RETRY_NS
        self._deadline: Instant | None = 0
        self._has_said_why = ""

    @property
    def deadline(self) -> Instant | None:
        return earliest(self._deadline, self._nap_ends)

    def handle_timeout(self, now: Instant) -> None:
        if self._nap_ends is not None and now >= self._nap_ends:
            self._look_at_memory(now)
            self._has_overslept = self._host.driver.awaits_slots  # then we had better be rung
        if self._deadline is None or now < self._deadline:
            return
        if self.state is Finding.LOOKING:
            self._look(now)
        else:
            self._lose("it does not answer", now)

    def feed(self, now: Instant) -> None:
        """Everything comes by callbacks of the loop; but we are awake now."""
        self._fed_at = now
        if self._wakefulness is not None:
            self._wakefulness.wake_up()
            if self._wakefulness.has_news(dozes=self._dozes):
                self._look_at_memory(now)

    def carry_out_actions(self, now: Instant) -> bool:
        """We are no machine."""
        return False

    def arm(self) -> None:
        """The batch is over: wake the modem, if it has anything to look at."""
        self._far.flush()
        self._dozes = self._host.driver.has_slots_to_spare and not self._has_overslept

    def words(self) -> Words:
        """See `bamdmux.live.runner.Sleeper`."""
        return self._wakefulness.words(dozes=self._dozes) if self._wakefulness is not None else ()

    def fall_asleep(self) -> None:
        """The modem has to wake us from now on."""
        if self._wakefulness is not None:
            self._nap_ends = self._fed_at + NAP if self._dozes and self._host.driver.awaits_slots else None
            if not self._wakefulness.may_sleep(dozes=self._dozes):
                self._loop.call_soon(self._look_at_memory)

    # Find it

    def _look(self, now: Instant) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            connection.connect(os.fspath(self.path))
            send(connection, encode_hello(Role.HOST))
        except OSError as error:
            connection.close()
            if self.connected_count == 0:
                self._check_path(error)
            self._look_again(error.strerror or str(error), now)
            return
        self._connection = connection
        self._loop.watch(connection.fileno(), self._message_waits)
        self._enter(Finding.GREETING, now)

    def _check_path(self, error: OSError) -> None:
        """Raise what waiting will not mend."""
        if "too long" in str(error):
            raise too_long(self.path)
        with suppress(OSError):
            if not self.path.is_socket() and self.path.exists():
                raise MachineError(f"{self.path} is no socket; give the path that `bamdmux modem` listens on")
        if isinstance(error, PermissionError):
            raise MachineError(f"no permission for {self.path}; run as the user that the modem runs as")
        if "wrong type" in str(error):
            raise MachineError(f"{self.path} is another program's socket, not a modem's of bamdmux")

    def _look_again(self, why: str, now: Instant) -> None:
        if why != self._has_said_why:
            self._has_said_why = why
            LOG.info("= no modem at %s (%s), looking", self.path, why)
        self.state = Finding.LOOKING
        self._deadline = now + self._retry_ns
        self._retry_ns = min(2 * self._retry_ns, LONGEST_RETRY_NS)

    # Hand over

    def _message_waits(self, now: Instant) -> None:
        assert self._connection is not None
        try:
            message = receive(self._connection)
        except BlockingIOError:
            return
        if message is None:
            self._lose("it has gone", now)
            return
        close_all(message.descriptors)  # nobody asked for any
        try:
            self._take(message, now)
        except ProtocolError as error:
            if error.reason in LASTING and self.connected_count == 0:
                raise MachineError(f"{self.path}: {error}") from error
            self._lose(str(error), now)

    def _take(self, message: Message, now: Instant) -> None:
        match self.state:
            case Finding.GREETING:
                check_hello(message.data, Role.MODEM)
                self._offer(now)
            case Finding.OFFERING:
                check_answer(message.data)
                self._connect(now)
            case _:
                raise ProtocolError(Refusal.UNKNOWN, f"{len(message.data)} bytes that nobody asked for")

    def _offer(self, now: Instant) -> None:
        assert self._connection is not None
        self._bell, their_bell = Doorbell.create_pair()
        our_ports, their_ports = HostPorts.create_pair()
        with suppress(OSError):  # it may have refused already: its answer says why
            descriptors = [self._memory.fileno(), their_bell.fileno(), their_ports.fileno()]
            send(self._connection, encode_memory(self._memory.layout), descriptors)
        their_bell.close()
        their_ports.close()
        self._ports = self._board.user = HostPorts(our_ports, self._loop, self._board)
        self._enter(Finding.OFFERING, now)

    def _connect(self, now: Instant) -> None:
        assert self._bell is not None
        self._loop.watch(self._bell.fileno(), self._rang)
        self._wakefulness = Wakefulness(self._memory.memory, self._memory.layout, is_host=True)
        self._far = RemoteSide(self._bell, self._wakefulness)
        self._host.meet(self._far, awake_word=self._wakefulness.their_word)
        self.connected_count += 1
        self._retry_ns, self._has_said_why = FIRST_RETRY_NS, ""
        self._enter(Finding.CONNECTED, now)
        LOG.info("= modem found at %s", self.path)
        self._look_at_memory(now)

    def _rang(self, now: Instant) -> None:
        assert self._bell is not None
        if self._bell.answer():
            self._look_at_memory(now)
        else:
            self._lose("it has gone", now)

    def _look_at_memory(self, now: Instant) -> None:
        if self._wakefulness is not None:
            self._has_overslept = False
            self._wakefulness.look()
            self._host.look_at_memory(now)

    # Lose it

    def _lose(self, why: str, now: Instant) -> None:
        was_connected = self.state is Finding.CONNECTED
        self._let_go()
        if was_connected:
            LOG.warning("= the modem is gone (%s); its channels are closed until it is back", why)
            self._host.driver.modem_vanished(now)
        self._look_again(why, now)

    def _let_go(self) -> None:
        self._board.modem_lost()
        if self._ports is not None:
            self._ports.close()
            self._ports = None
        self._far, self._wakefulness, self._nap_ends = NobodyThere(), None, None
        self._host.meet(None)
        if self._connection is not None:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._connection = None
        if self._bell is not None:
            self._loop.forget(self._bell.fileno())
            self._bell.close()
            self._bell = None

    def _enter(self, state: Finding, now: Instant) -> None:
        self.state = state
        self._deadline = None if state is Finding.CONNECTED else now + HANDOVER_TIMEOUT_NS

    def look_for_it(self, now: Instant) -> None:
        """Begin again, after `close`."""
        self._deadline = now

    def close(self) -> None:
        """Leave the modem; it notices."""
        self._let_go()
        self.state = Finding.LOOKING
        self._deadline = None
