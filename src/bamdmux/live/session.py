"""`bamdmux run`: a command whose only way out is wwan0, BAM-DMUX, the modem and the network behind it.

    namespace of the command            this process               networks/: internal, passt or a TUN
    command | kernel | wwan0..7 --- host driver === modem --- pdn0 | kernel | gateways, HTTP server

Set up, in this order: namespaces, network, link; the modem boots and announces its channels; the interfaces
that appear are configured; the command starts. When it ends, the driver is removed in order, so that the
modem hears the CLOSEs. Whatever else ends it, the kernel, a janitor and the command's init process clear up.

With `split`, modem and network are a process of their own, at the `===`.
"""

import errno
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, Final, Protocol

from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import MachineError
from bamdmux.live import addresses
from bamdmux.live.caretaker import Caretaker
from bamdmux.live.clients.managers import OFONO, check_manager, keeper_argv, log_path
from bamdmux.live.command import Command, ExecFailed, Exited, PortsMade, PortsRefused, Started, Stopped
from bamdmux.live.control import ControlServer, Handler
from bamdmux.live.faults import BOTH, Faults, RatedFaults, check_halves
from bamdmux.live.fused import FusedLink
from bamdmux.live.host_side import HostSide
from bamdmux.live.janitor import Janitor
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.namespaces import NetworkNamespace, enter_user_namespace
from bamdmux.live.networks import open_network
from bamdmux.live.ports.board import PortBoard
from bamdmux.live.ports.proxy import QmiProxy
from bamdmux.live.ports.sysfs import Layout, SocLayout
from bamdmux.live.ports.usb import UsbLayout
from bamdmux.live.runner import Runner
from bamdmux.live.signals import ENDING, exit_as_signaled, exit_if_signaled, handling, wakeups
from bamdmux.live.split.faults import BothHalves
from bamdmux.live.split.link import SplitLink
from bamdmux.live.split.modem_process import ModemProcess
from bamdmux.live.tun import Tun
from bamdmux.middleware.faults import Half
from bamdmux.modem.network import DEFAULT_MTU, Bearer, PacketDataNetwork
from bamdmux.modem.profiles import Announce, Profile
from bamdmux.timing import MILLISECOND, SECOND, Instant
from bamdmux.version import VERSION

LOG: Final = logging.getLogger("bamdmux.run")

# From the modem's boot until its last channel is announced: milliseconds, and a process's start if it is one.
ANNOUNCE_TIMEOUT_NS: Final = 10 * SECOND
FAULTY_TIMEOUT_NS: Final = 30 * SECOND  # with faults, some of which make everybody wait for seconds
# The driver's own waits while it is removed: for power, for slots, for the modem to fall.
REMOVE_TIMEOUT_NS: Final = 7 * SECOND

# What a client has to say before some modems announce a channel; see `Announce.AFTER_OPEN_PORT`.
HOW_TO_OPEN: Final = (
    "wwan0 comes once a client has opened its port: qmicli -d /dev/wwan0qmi0 --device-open-qmi "
    "--dpm-open-port=hw-data-ep-type=bam-dmux,hw-data-ep-iface-number=0,hw-data-rx-id=1,hw-data-tx-id=1"
)

RESOLV_CONF: Final = Path("/etc/resolv.conf")

# What the command is told of; see command.py.
PASSED_ON: Final = (*ENDING, signal.SIGTSTP, signal.SIGCONT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `bamdmux run` was asked for."""

    profile: Profile
    network: str = "internal"  # one of live.networks.KINDS
    split: bool = False
    layout: LinkLayout = field(default_factory=LinkLayout)
    is_always_on: bool = True  # the bearers are up from the start, and the interfaces configured
    manager: str | None = None  # one of live.clients.managers.MANAGERS, beside the command
    faults: RatedFaults = ()
    seed: int | None = None  # of the faults
    argv: Sequence[str]
    environment: Mapping[str, str]
    plays_qmi_proxy: bool = True


class Link(Protocol):
    """The host's half, and a modem at its other end, wherever that is."""

    host: HostSide
    runner: Runner
    ports: PortBoard
    caretaker: Caretaker
    commands: dict[str, Handler]

    @property
    def faults(self) -> Faults | BothHalves: ...

    def start(self) -> None: ...

    def status(self, now: Instant) -> dict[str, Any]: ...

    def close(self) -> None: ...


def run(options: RunOptions) -> int:
    """Run a command behind a modem; its exit code, as a shell would give it.

    Call it from the main thread of a process with no other.

    Raises:
        MachineError: this machine lacks something.
        UsageError: a fault is none for two processes.
    """
    if options.split:
        check_halves(options.faults, BOTH)
    if options.manager is not None:
        check_manager(options.manager)
    enter_user_namespace()
    try:
        with ExitStack() as resources:
            resources.enter_context(handling(ENDING, exit_as_signaled))
            session = Session(options, resources)
            session.start()
            try:
                return session.run_command()
            finally:
                session.remove()
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise MachineError(f"{error.strerror}; allow more: ulimit -n 1024") from error


class Session:
    """Everything that one run needs; `resources` lets go of it, in reverse order."""

    def __init__(self, options: RunOptions, resources: ExitStack) -> None:
        self._options = options
        self._resources = resources
        self._packet_data_network = PacketDataNetwork(options.profile.channels, mtu=options.profile.mtu)
        self._bearers: list[Bearer] = [each for each in self._packet_data_network.bearers if each is not None]
        self._folder = _make_folder(resources)
        self._namespace = resources.enter_context(NetworkNamespace.create())
        self._loop = Loop()
        resources.callback(self._loop.close)
        self._link = self._open_split_link() if options.split else self._open_fused_link()
        resources.callback(self._link.close)
        self._runner = self._link.runner
        # oFono knows no modems of phones.
        self._layout: Layout = UsbLayout() if options.manager == OFONO else SocLayout()
        self._link.ports.nodes = self._layout.nodes
        if options.plays_qmi_proxy:
            node, _ = self._layout.nodes[0]
            resources.callback(QmiProxy(self._namespace, self._link.ports, node=node).close)
        handlers = {"status": self._status, "fault": self._link.faults.answer, **self._link.commands}
        control = ControlServer(self._folder / "control", self._loop, handlers)
        resources.callback(control.close)
        self._control_path = control.path
        self._command: Command | None = None
        self._exit_code: int | None = None
        self._is_configured = False

    def _open_fused_link(self) -> Link:
        network = open_network(self._options.network, self._bearers)
        self._resources.callback(network.close)
        self._namespace.run(addresses.prepare_namespace)
        return FusedLink(
            self._loop,
            self._options.profile,
            self._namespace,
            network,
            self._options.seed,
            self._packet_data_network,
            is_always_on=self._options.is_always_on,
            sets_identity=not self._options.is_always_on,
            layout=self._options.layout,
        )

    def _open_split_link(self) -> Link:
        profile = self._options.profile
        path = self._folder / "modem"
        arguments = ["--profile", profile.name, "--channels", str(len(profile.channels))]
        arguments += ["--mtu", str(profile.mtu), "--network", self._options.network]
        arguments += ["--registration", str(profile.registration_ns / MILLISECOND)]
        arguments += ["--bearers", "up" if self._options.is_always_on else "down"]
        if self._options.seed is not None:
            arguments += ["--seed", str(self._options.seed)]
        faults = {fault.name: rate for fault, rate in self._options.faults if Half.MODEM in fault.halves}
        modem = ModemProcess(self._loop, path, self._folder / "modem-control", arguments, faults)
        self._resources.callback(modem.close)
        self._namespace.run(addresses.prepare_namespace)
        return SplitLink(
            self._loop,
            self._namespace,
            path,
            modem,
            sets_identity=not self._options.is_always_on,
            layout=self._options.layout,
            channel_count=len(profile.channels),
            seed=self._options.seed,
        )

    # Start

    def start(self) -> None:
        """Boot the modem, and configure the interfaces that its channels bring."""
        for fault, rate in self._options.faults:
            self._link.faults.set(fault, rate)
        self._link.start()
        if self._options.profile.announce is not Announce.AT_BOOT:
            if not self._wait_until(lambda: self._link.status(read_clock())["network"] is not None):
                raise MachineError("the modem does not answer; see what it says: -v")
            print(f"bamdmux: {HOW_TO_OPEN}", file=sys.stderr, flush=True)
            return
        host, wanted = self._link.host, len(self._bearers)
        if not self._wait_until(lambda: len(host.tuns) == wanted):
            raise MachineError(
                f"the modem announced {len(host.tuns)} of {wanted} channels; see what it says: -v"
            )
        if not self._options.is_always_on:
            self._namespace.run(set_loopback_up)  # all else is for who brings a bearer up
            return
        self._configure_interfaces()
        self._link.caretaker.set_up = self._configure_interfaces
        is_open = lambda: all(host.driver.channels[bearer.channel].is_open for bearer in self._bearers)  # noqa: E731
        if not self._wait_until(is_open):
            raise MachineError("the modem did not wake for the OPENs; see what it says: -v")

    def _wait_until(self, is_so: Callable[[], bool]) -> bool:
        def is_over() -> bool:
            exit_if_signaled()
            return is_so()

        limit = FAULTY_TIMEOUT_NS if self._options.faults else ANNOUNCE_TIMEOUT_NS
        return self._runner.run_until(is_over, limit)

    def _configure_interfaces(self) -> None:
        self._is_configured = True
        self._namespace.run(lambda: configure_interfaces(self._bearers, self._link.host.tuns))

    def run_command(self) -> int:
        """Start the command and keep the link going until it has ended."""
        network = self._link.status(read_clock())["network"]
        self._namespace.run(lambda: set_host(network["host_settings"]))
        with handling([signal.SIGTTOU], signal.SIG_IGN), wakeups(PASSED_ON) as signals:
            exit_if_signaled()  # from here on signals are events
            self._loop.watch(signals.fileno(), lambda now: self._signals_arrived(signals))
            with Command.start(
                self._argv(),
                environment=self._environment(network),
                namespace=self._namespace,
                binds=self._binds(network),
                ports=self._layout,
            ) as self._command:
                self._link.ports.attach(self._command, is_making=True)
                self._loop.watch(self._command.fileno(), self._command_changed)
                self._runner.run_until(self._is_over)
                self._loop.forget(self._command.fileno())
            self._loop.forget(signals.fileno())
        assert self._exit_code is not None
        return self._exit_code

    def _argv(self) -> Sequence[str]:
        if self._options.manager is None:
            return self._options.argv
        return keeper_argv(self._options.manager, self._folder, self._options.argv)

    def _is_over(self) -> bool:
        """Whether the command has ended; until then, configure interfaces that come late."""
        if (
            self._options.is_always_on
            and not self._is_configured
            and len(self._link.host.tuns) == len(self._bearers)
        ):
            self._configure_interfaces()
        return self._exit_code is not None

    def remove(self) -> None:
        """Remove the driver in order, in fine weather."""
        self._link.faults.clear()
        self._link.caretaker.retire()
        host = self._link.host
        if not host.is_bound:
            return  # a fault has taken it away already
        host.driver.remove(read_clock())
        if not self._runner.run_until(lambda: host.is_removed, REMOVE_TIMEOUT_NS):
            LOG.warning("the driver was not removed in time")

    def _environment(self, network: Mapping[str, Any]) -> dict[str, str]:
        first = self._bearers[0]
        environment = {
            **self._options.environment,
            "BAMDMUX_GATEWAY4": str(first.gateway4),
            "BAMDMUX_GATEWAY6": str(first.gateway6),
            "BAMDMUX_CTL": str(self._control_path),
            **self._name_log(),
            "SYSTEMD_DEVICE_VERIFY_SYSFS": "0",  # libudev shall believe a /sys that is a tmpfs
        }
        environment.pop("BAMDMUX_HTTP", None)  # of a run around this one
        if network["http_url"] is not None:
            environment["BAMDMUX_HTTP"] = network["http_url"]
        return environment

    def _name_log(self) -> dict[str, str]:
        """Where the manager of modems writes what it does, for whoever looks for it."""
        if self._options.manager is None:
            return {}
        path = str(log_path(self._options.manager, self._folder))
        LOG.info("= log of %s: %s", self._options.manager, path)
        return {f"BAMDMUX_{self._options.manager.upper().replace('-', '_')}_LOG": path}

    def _binds(self, network: Mapping[str, Any]) -> dict[Path, Path]:
        if network["resolv_conf"] is None and self._options.manager is None:
            return {}
        file = self._folder / RESOLV_CONF.name
        # With a manager of modems the name servers come with a bearer.
        file.write_text((network["resolv_conf"] or "") if self._options.is_always_on else "")
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
                case PortsMade(masters):
                    self._link.ports.nodes_made(masters, now)
                case PortsRefused():
                    self._link.ports.nodes_refused()
                    reason = os.strerror(event.errno)
                    print(f"bamdmux: no control ports for the command: {reason}", file=sys.stderr, flush=True)
                case Stopped():
                    command.suspend(event)
                case Exited():
                    self._exit_code = event.exit_code

    def _signals_arrived(self, signals: socket.socket) -> None:
        assert self._command is not None
        for signum in signals.recv(64):
            self._command.signal_arrived(signum)

    # Saying

    def _status(self, request: Mapping[str, Any], now: Instant) -> dict[str, object]:
        uptime_ms = (now - self._runner.started_at) // MILLISECOND
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "uptime_ms": uptime_ms,
            **self._link.status(now),
            "faults": self._link.faults.status(),
        }


def _make_folder(resources: ExitStack) -> Path:
    """Make a folder for sockets and files that goes when we go, however we do."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="bamdmux-"))
    except OSError as error:
        raise MachineError(
            f"no place for a folder: {error.strerror}; set TMPDIR to where there is"
        ) from error
    resources.enter_context(Janitor(folder))
    resources.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def set_host(settings: Mapping[str, str]) -> None:
    """Set what the network wants set below /proc/sys; in the host's namespace."""
    for name, value in settings.items():
        with suppress(OSError):  # a container may have it read-only
            Path("/proc/sys", name).write_text(value)


def set_loopback_up() -> None:
    """In the namespace of the host."""
    with addresses.Netlink() as netlink:
        netlink.set_up(addresses.LOOPBACK_INDEX)


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
    if bearer.mtu != DEFAULT_MTU:
        netlink.set_mtu(tun.index, bearer.mtu)
    has_ipv6 = netlink.bring_up(tun.index, tun.permanent_address)
    netlink.add_address(tun.index, IPv4Interface((bearer.address4, bearer.prefix4_length)))
    if has_ipv6:
        # What the kernel will make of the router advertisement too; but the command need not wait for that.
        identifier = addresses.interface_identifier(tun.permanent_address)
        address = bearer.prefix6.network_address.packed[:8] + identifier
        netlink.add_address(tun.index, IPv6Interface((address, 64)))
