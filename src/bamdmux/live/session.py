"""`bamdmux run`: a command whose only way out is wwan0, BAM-DMUX, the modem and the network behind it.

    namespace of the command            this process               networks/: internal, passt or a TUN
    command | kernel | wwan0..7 --- host driver === modem --- pdn0 | kernel | gateways, HTTP server

Set up, in this order: namespaces, network, link; the modem boots and announces its channels; the interfaces
that appear are configured; the command starts. When it ends, the driver is removed in order, so that the
modem hears the CLOSEs. Whatever else ends it, the kernel and the command's init process clear up.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, Final

from bamdmux.errors import MachineError
from bamdmux.live import addresses
from bamdmux.live.command import Command, ExecFailed, Exited, Started, Stopped
from bamdmux.live.control import ControlServer
from bamdmux.live.fused import FusedLink
from bamdmux.live.init import SIGNALED
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.namespaces import NetworkNamespace, enter_user_namespace
from bamdmux.live.networks import open_network
from bamdmux.live.tun import Tun
from bamdmux.modem.network import Bearer, PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import MILLISECOND, SECOND, Instant
from bamdmux.version import VERSION

LOG: Final = logging.getLogger("bamdmux.run")

# From the modem's boot until its last channel is announced: milliseconds.
ANNOUNCE_TIMEOUT_NS: Final = 5 * SECOND
# The driver's own waits while it is removed: for power, for slots, for the modem to fall.
REMOVE_TIMEOUT_NS: Final = 7 * SECOND

RESOLV_CONF: Final = Path("/etc/resolv.conf")

# What the command is told of; see command.py.
PASSED_ON: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGCONT,
)
# What ends us while there is no command to tell.
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `bamdmux run` was asked for."""

    profile: Profile
    network: str = "internal"  # one of live.networks.KINDS
    argv: Sequence[str]
    environment: Mapping[str, str]


def run(options: RunOptions) -> int:
    """Run a command behind a modem; its exit code, as a shell would give it.

    Call it from the main thread of a process with no other.

    Raises:
        MachineError: this machine lacks something.
    """
    enter_user_namespace()
    with ExitStack() as resources:
        resources.enter_context(_handling(ENDING, _exit_as_signaled))
        session = Session(options, resources)
        session.start()
        try:
            return session.run_command()
        finally:
            session.remove()


class Session:
    """Everything that one run needs; `resources` lets go of it, in reverse order."""

    def __init__(self, options: RunOptions, resources: ExitStack) -> None:
        self._options = options
        self._resources = resources
        bearers = PacketDataNetwork(options.profile.channels).bearers
        self._bearers: list[Bearer] = [bearer for bearer in bearers if bearer is not None]
        self._namespace = resources.enter_context(NetworkNamespace.create())
        self._network = open_network(options.network, self._bearers)
        resources.callback(self._network.close)
        self._namespace.run(lambda: prepare_host(self._network.host_settings))
        self._loop = Loop()
        resources.callback(self._loop.close)
        self._link = FusedLink(self._loop, options.profile, self._namespace, self._network)
        resources.callback(self._link.close)
        self._runner = self._link.runner
        self._folder = Path(tempfile.mkdtemp(prefix="bamdmux-"))
        resources.callback(shutil.rmtree, self._folder, ignore_errors=True)
        control = ControlServer(self._folder / "control", self._loop, {"status": self._status})
        resources.callback(control.close)
        self._control_path = control.path
        self._command: Command | None = None
        self._exit_code: int | None = None

    # Start

    def start(self) -> None:
        """Boot the modem, and configure the interfaces that its channels bring."""
        self._link.start()
        tuns = self._link.host.tuns
        wanted = len(self._bearers)
        if not self._runner.run_until(lambda: len(tuns) == wanted, ANNOUNCE_TIMEOUT_NS):
            raise MachineError(f"the modem announced {len(tuns)} of {wanted} channels; see what it says: -v")
        self._namespace.run(lambda: configure_interfaces(self._bearers, tuns))
        channels = self._link.host.driver.channels
        is_open = lambda: all(channels[bearer.channel].is_open for bearer in self._bearers)  # noqa: E731
        if not self._runner.run_until(is_open, ANNOUNCE_TIMEOUT_NS):
            raise MachineError("the modem did not wake for the OPENs; see what it says: -v")

    def run_command(self) -> int:
        """Start the command and keep the link going until it has ended."""
        with (
            _handling(PASSED_ON, _do_nothing),
            _handling([signal.SIGTTOU], signal.SIG_IGN),
            _wakeups() as wakeups,
        ):
            self._loop.watch(wakeups.fileno(), lambda now: self._signals_arrived(wakeups))
            with Command.start(
                self._options.argv,
                environment=self._environment(),
                namespace=self._namespace,
                cleanup_paths=[self._folder],
                binds=self._binds(),
            ) as self._command:
                self._loop.watch(self._command.fileno(), self._command_changed)
                self._runner.run_until(lambda: self._exit_code is not None)
                self._loop.forget(self._command.fileno())
            self._loop.forget(wakeups.fileno())
        assert self._exit_code is not None
        return self._exit_code

    def remove(self) -> None:
        """Remove the driver in order."""
        host = self._link.host
        host.driver.remove(read_clock())
        if not self._runner.run_until(lambda: host.is_removed, REMOVE_TIMEOUT_NS):
            LOG.warning("the driver was not removed in time")

    def _environment(self) -> dict[str, str]:
        first = self._bearers[0]
        environment = {
            **self._options.environment,
            "BAMDMUX_GATEWAY4": str(first.gateway4),
            "BAMDMUX_GATEWAY6": str(first.gateway6),
            "BAMDMUX_CTL": str(self._control_path),
        }
        environment.pop("BAMDMUX_HTTP", None)  # of a run around this one
        if self._network.http_url is not None:
            environment["BAMDMUX_HTTP"] = self._network.http_url
        return environment

    def _binds(self) -> dict[Path, Path]:
        if self._network.resolv_conf is None:
            return {}
        file = self._folder / RESOLV_CONF.name
        file.write_text(self._network.resolv_conf)
        file.chmod(0o644)  # whoever the command becomes
        return {RESOLV_CONF: file}

    # The command and its signals

    def _command_changed(self, now: Instant) -> None:
        command = self._command
        assert command is not None
        while (event := command.read_event()) is not None:
            match event:
                case Started():
                    LOG.debug("= command started after %d ms", (now - self._runner.started_at) // MILLISECOND)
                case ExecFailed():
                    print(f"bamdmux: {event.message}", file=sys.stderr, flush=True)
                case Stopped():
                    command.suspend(event)
                case Exited():
                    self._exit_code = event.exit_code

    def _signals_arrived(self, wakeups: socket.socket) -> None:
        assert self._command is not None
        for signum in wakeups.recv(64):
            self._command.signal_arrived(signum)

    # Saying

    def _status(self, request: Mapping[str, Any], now: Instant) -> dict[str, object]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "uptime_ms": (now - self._runner.started_at) // MILLISECOND,
            **self._link.status(now),
        }


def prepare_host(settings: Mapping[str, str]) -> None:
    """Set what the host's namespace shall start with; in the namespace."""
    addresses.prepare_namespace()
    for name, value in settings.items():
        with suppress(OSError):  # a container may have /proc/sys read-only
            Path("/proc/sys", name).write_text(value)


def configure_interfaces(bearers: Sequence[Bearer], tuns: Mapping[int, Tun]) -> None:
    """Give each interface its bearer's addresses, and the first one the way out; in their namespace."""
    first = bearers[0]
    with addresses.Netlink() as netlink:
        netlink.set_up(addresses.LOOPBACK_INDEX)
        for bearer in bearers:
            tun = tuns[bearer.channel]
            if bearer is not first:
                addresses.ignore_default_routers(tun.name)
            _configure_interface(netlink, bearer, tun)
        netlink.add_default_route(tuns[first.channel].index, 4, first.gateway4)


def _configure_interface(netlink: addresses.Netlink, bearer: Bearer, tun: Tun) -> None:
    assert tun.permanent_address is not None
    has_ipv6 = netlink.bring_up(tun.index, tun.permanent_address)
    netlink.add_address(tun.index, IPv4Interface((bearer.address4, bearer.prefix4_length)))
    if has_ipv6:
        # What the kernel will make of the router advertisement too; but the command need not wait for that.
        identifier = addresses.interface_identifier(tun.permanent_address)
        address = bearer.prefix6.network_address.packed[:8] + identifier
        netlink.add_address(tun.index, IPv6Interface((address, 64)))


@contextmanager
def _handling(signals: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    """Handle these signals so for a while."""
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, handler_before in before.items():
            signal.signal(signum, handler_before)


@contextmanager
def _wakeups() -> Iterator[socket.socket]:
    """A socket from which the numbers of the signals that arrive can be read."""
    readable, writable = socket.socketpair()
    with readable, writable:
        readable.setblocking(False)
        writable.setblocking(False)
        before = signal.set_wakeup_fd(writable.fileno())
        try:
            yield readable
        finally:
            signal.set_wakeup_fd(before)


def _exit_as_signaled(signum: int, frame: object) -> None:
    raise SystemExit(SIGNALED + signum)


def _do_nothing(signum: int, frame: object) -> None:
    """The wake-up descriptor tells of the signal; without a handler there would be none."""
