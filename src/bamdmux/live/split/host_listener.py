"""The modem's end of a split link: wait for a host, take what it hands over, notice its end, wait again.

One host at a time. Who connects has two seconds to say what it wants; meanwhile, and whatever it says, the
modem goes on. The modem itself (its bearers, its SIM and registration) outlives its hosts: each gets a fresh
end of the link, which adopts the memory as it is, and its own control ports.
"""

import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from bamdmux.bam.wakefulness import Wakefulness
from bamdmux.errors import ProtocolError
from bamdmux.live.faults import Faults
from bamdmux.live.loop import Loop, Words, read_clock
from bamdmux.live.modem_side import ModemSide
from bamdmux.live.networks import NetworkDevice
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.sockets import Listener
from bamdmux.live.split.doorbell import Doorbell
from bamdmux.live.split.far_side import RemoteSide
from bamdmux.live.split.handover import (
    HANDOVER_TIMEOUT_NS,
    Message,
    Refusal,
    Role,
    check_hello,
    close_all,
    decode_memory,
    encode_answer,
    encode_hello,
    receive,
    refuse,
    send,
)
from bamdmux.live.split.memory import SharedMemory
from bamdmux.live.split.ports import ModemPorts
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Instant, earliest

LOG: Final = logging.getLogger("bamdmux.modem")

# Hosts that knock at the same time; for one more, who has been silent for longest has to go. A handover takes
# milliseconds: so nobody who only connects can keep others out.
MAX_VISITORS: Final = 8


class Visitor:
    """Somebody who has connected and is not our host yet."""

    def __init__(self, connection: socket.socket, now: Instant) -> None:
        self.connection = connection
        self.deadline = now + HANDOVER_TIMEOUT_NS
        self.has_greeted = False


class Host:
    """The host that we serve: its end of everything, and our machine."""

    def __init__(
        self,
        connection: socket.socket,
        memory: SharedMemory,
        bell: Doorbell,
        ports: ModemPorts,
        side: ModemSide,
        wakefulness: Wakefulness,
    ) -> None:
        self.connection = connection
        self.memory = memory
        self.bell = bell
        self.ports = ports
        self.side = side
        self.wakefulness = wakefulness
        self.far = RemoteSide(bell, wakefulness)
        self.dozes = False  # buffers that come back are no reason to wake up
        side.meet(self.far, awake_word=wakefulness.their_word)

    @property
    def has_news(self) -> bool:
        """Whether it has published anything that we have to look at."""
        return self.wakefulness.has_news(dozes=self.dozes)

    def words(self) -> Words:
        """Where that shows."""
        return self.wakefulness.words(dozes=self.dozes)

    def may_sleep(self) -> bool:
        """Say that we sleep; False if there is something to look at after all."""
        return self.wakefulness.may_sleep(dozes=self.dozes)


class HostListener:
    """A side of the runner: the modem, for whichever host is there.

    Args:
        path: where to listen; a stale socket of a modem that has died is replaced.
        network: the device of the network behind the modem.
        control: the control plane; it is a side of the runner by itself.

    Raises:
        MachineError: a modem listens there already, or there is something else.
    """

    def __init__(
        self,
        path: Path,
        loop: Loop,
        profile: Profile,
        network: NetworkDevice,
        packet_data_network: PacketDataNetwork,
        control: ControlSide,
    ) -> None:
        self.path = path
        self.host: Host | None = None
        self.faults: Faults | None = None  # set by who wants some
        self._loop = loop
        self._profile = profile
        self._network = network
        self._packet_data_network = packet_data_network
        self._control = control
        self._visitors: dict[int, Visitor] = {}
        self._listener = Listener(path, socket.SOCK_SEQPACKET)
        loop.watch(self._listener.fileno(), self._somebody_knocks)

    @property
    def deadline(self) -> Instant | None:
        visitors = [visitor.deadline for visitor in self._visitors.values()]
        return earliest(self.host.side.deadline if self.host is not None else None, *visitors)

    def handle_timeout(self, now: Instant) -> None:
        for descriptor, visitor in list(self._visitors.items()):
            if now >= visitor.deadline:
                LOG.warning("= somebody connected and said nothing in time")
                self._show_out(descriptor)
        if self.host is not None:
            self.host.side.handle_timeout(now)

    def feed(self, now: Instant) -> None:
        if self.host is not None:
            self.host.wakefulness.wake_up()
            if self.host.has_news:
                self._look_at_memory(now)
            self.host.side.feed(now)

    def carry_out_actions(self, now: Instant) -> bool:
        return self.host is not None and self.host.side.carry_out_actions(now)

    def arm(self) -> None:
        """The batch is over: wake the host, if it has anything to look at."""
        if self.host is not None:
            self.host.side.arm()
            self.host.far.flush()
            self.host.dozes = self.host.side.modem.has_buffers_to_spare

    def words(self) -> Words:
        """See `bamdmux.live.runner.Sleeper`."""
        return self.host.words() if self.host is not None else ()

    def fall_asleep(self) -> None:
        """The host has to wake us from now on."""
        if self.host is not None and not self.host.may_sleep():
            self._loop.call_soon(self._look_at_memory)

    def status(self, now: Instant) -> dict[str, object] | None:
        """The modem's, None while no host is there."""
        return self.host.side.modem.status(now) if self.host is not None else None

    # Who comes

    def _somebody_knocks(self, now: Instant) -> None:
        connection = self._listener.accept()
        if connection is None:
            return
        if len(self._visitors) >= MAX_VISITORS:
            self._show_out(next(iter(self._visitors)))
        try:
            send(connection, encode_hello(Role.MODEM))
        except OSError:
            connection.close()
            return
        descriptor = connection.fileno()
        self._visitors[descriptor] = Visitor(connection, now)
        self._loop.watch(descriptor, lambda now: self._visitor_speaks(descriptor, now))

    def _visitor_speaks(self, descriptor: int, now: Instant) -> None:
        visitor = self._visitors[descriptor]
        try:
            message = receive(visitor.connection)
        except BlockingIOError:
            return
        if message is None:
            self._show_out(descriptor)
            return
        try:
            self._hear(visitor, message, now)
        except ProtocolError as error:
            close_all(message.descriptors)
            LOG.warning("= refused a host: %s", error)
            refuse(visitor.connection, error)
            self._show_out(descriptor)

    def _hear(self, visitor: Visitor, message: Message, now: Instant) -> None:
        if visitor.has_greeted:
            self._accept(visitor, message, now)
            return
        check_hello(message.data, Role.HOST)
        if self.host is not None:
            raise ProtocolError(Refusal.BUSY, "another host is connected; disconnect that one first")
        close_all(message.descriptors)
        visitor.has_greeted = True

    def _accept(self, visitor: Visitor, message: Message, now: Instant) -> None:
        if self.host is not None:  # two of them were quick
            raise ProtocolError(Refusal.BUSY, "another host is connected; disconnect that one first")
        layout = decode_memory(message)
        memory_descriptor, bell_descriptor, ports_descriptor = message.descriptors
        Doorbell.check(bell_descriptor)
        ModemPorts.check(ports_descriptor)
        memory = SharedMemory.adopt(memory_descriptor, layout)
        bell = Doorbell(bell_descriptor)
        ports = self._control.ports = ModemPorts.adopt(ports_descriptor, self._loop, self._control)
        with suppress(OSError):  # if it has gone meanwhile, the end of the connection comes next
            send(visitor.connection, encode_answer())
        descriptor = visitor.connection.fileno()
        self._loop.forget(descriptor)
        del self._visitors[descriptor]
        side = ModemSide(
            memory.memory,
            layout,
            self._profile,
            self._network,
            self._loop,
            self._packet_data_network,
            self._control,
        )
        wakefulness = Wakefulness(memory.memory, layout, is_host=False)
        self.host = Host(visitor.connection, memory, bell, ports, side, wakefulness)
        self._loop.watch(descriptor, self._host_speaks)
        self._loop.watch(bell.fileno(), self._rang)
        if self.faults is not None:
            self.faults.join(side)
        LOG.info("= host connected")
        side.start(now)

    def _rang(self, now: Instant) -> None:
        assert self.host is not None
        if self.host.bell.answer():
            self._look_at_memory(now)
        else:
            self._let_host_go(now)

    def _look_at_memory(self, now: Instant) -> None:
        if self.host is not None:
            self.host.wakefulness.look()
            self.host.side.look_at_memory(now)

    # Who goes

    def _host_speaks(self, now: Instant) -> None:
        assert self.host is not None
        try:
            message = receive(self.host.connection)
        except BlockingIOError:
            return
        if message is not None:
            close_all(message.descriptors)
            LOG.warning("= the host said %d bytes that nobody asked for", len(message.data))
        self._let_host_go(now)

    def _let_host_go(self, now: Instant) -> None:
        LOG.info("= host gone")
        host, self.host = self.host, None
        assert host is not None
        if self.faults is not None:
            self.faults.leave(host.side)
        host.side.close()
        self._loop.forget(host.connection.fileno())
        self._loop.forget(host.bell.fileno())
        host.connection.close()
        host.bell.close()
        self._control.ports = self._control.data_path = None
        host.ports.close(now)
        host.memory.close()

    def _show_out(self, descriptor: int) -> None:
        self._loop.forget(descriptor)
        self._visitors.pop(descriptor).connection.close()

    def close(self) -> None:
        """Stop: the host notices, and the socket is removed."""
        for descriptor in list(self._visitors):
            self._show_out(descriptor)
        if self.host is not None:
            self._let_host_go(read_clock())
        self._loop.forget(self._listener.fileno())
        self._listener.close()
