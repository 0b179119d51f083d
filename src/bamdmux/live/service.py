"""The two halves of a link as programs of their own: `bamdmux host` and `bamdmux modem`.

Each runs until a signal asks it to end, and then leaves in order: the host removes its driver, so that the
modem hears of it; the modem hangs up, and the host waits for the next one. Neither minds when the other dies.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bamdmux.actions import Pipe
from bamdmux.bam.memory import LinkLayout
from bamdmux.errors import MachineError
from bamdmux.live.control import ControlServer, Handler
from bamdmux.live.faults import Faults, RatedFaults, check_halves, draw_seed
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.modem_commands import modem_commands
from bamdmux.live.modem_side import MODEM_RESTART
from bamdmux.live.namespaces import NetworkNamespace, enter_user_namespace
from bamdmux.live.networks import network_status, open_network
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.live.ports.links import LinkMaker
from bamdmux.live.runner import Runner
from bamdmux.live.signals import ENDING, exit_as_signaled, exit_if_signaled, handling, wakeups
from bamdmux.live.split.faults import BothHalves
from bamdmux.live.split.host_listener import HostListener
from bamdmux.live.split.link import SplitLink
from bamdmux.middleware.control import HostilePlane
from bamdmux.middleware.faults import Half
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import MILLISECOND, SECOND, Duration, Instant
from bamdmux.version import VERSION

LOG: Final = logging.getLogger("bamdmux.service")

# The driver's own waits while it is removed: for power, for slots, for the modem to fall.
REMOVE_TIMEOUT_NS: Final[Duration] = 7 * SECOND
LINES_PER_SECOND: Final = 100  # of the log; more than that says nothing new

Status = Callable[[Instant], Mapping[str, object]]


def run_host(
    path: Path,
    control_path: Path | None,
    faults: RatedFaults = (),
    seed: int | None = None,
    ports_folder: Path | None = None,
    layout: LinkLayout | None = None,
) -> int:
    """Be the host of the modem that listens at `path`; the interfaces appear in our own network namespace.

    Args:
        ports_folder: where links to control ports shall be.
        layout: of the memory; as Linux has it by default.

    Raises:
        MachineError: this machine lacks something, or there is no modem of bamdmux at `path`.
        UsageError: a fault is none of the host's.
    """
    check_halves(faults, frozenset({Half.HOST}))
    with ExitStack() as resources:
        resources.enter_context(handling(ENDING, exit_as_signaled))
        resources.enter_context(limited_logs())
        loop = Loop()
        resources.callback(loop.close)
        namespace = resources.enter_context(NetworkNamespace.current())
        try:
            link = SplitLink(loop, namespace, path, sets_identity=True, layout=layout, seed=seed)
        except PermissionError as error:
            raise MachineError(
                "interfaces need CAP_NET_ADMIN and CAP_SYS_ADMIN in their network namespace; run as root, or "
                "in one of your own: unshare --user --map-root-user --net"
            ) from error
        resources.callback(link.close)
        if ports_folder is not None:
            maker = LinkMaker(ports_folder, lambda masters: link.ports.nodes_made(masters, read_clock()))
            resources.callback(maker.remove_ports)
            link.ports.attach(maker)
        _serve_control(loop, control_path, link.runner, link.status, link.faults, resources)
        for fault, rate in faults:
            link.faults.set(fault, rate)
        link.start()
        _run_until_signaled(link.runner)
        remove_driver(link)
    return 0


def run_modem(
    path: Path,
    profile: Profile,
    network_kind: str,
    control_path: Path | None,
    faults: RatedFaults = (),
    seed: int | None = None,
    *,
    is_always_on: bool = True,
) -> int:
    """Be a modem for the hosts that connect at `path`, one after the other.

    Raises:
        MachineError: this machine lacks something, or `path` is taken.
        UsageError: a fault is none of the modem's.
    """
    check_halves(faults, frozenset({Half.MODEM}))
    packet_data_network = PacketDataNetwork(profile.channels, mtu=profile.mtu)
    with ExitStack() as resources:
        resources.enter_context(handling(ENDING, exit_as_signaled))
        resources.enter_context(limited_logs())
        enter_user_namespace()
        bearers = [bearer for bearer in packet_data_network.bearers if bearer is not None]
        network = open_network(network_kind, bearers)
        resources.callback(network.close)
        loop = Loop()
        resources.callback(loop.close)
        seed = draw_seed() if seed is None else seed
        plane = HostilePlane(ControlPlane(profile, packet_data_network, is_always_on=is_always_on), seed)
        control = ControlSide(plane)
        listener = HostListener(path, loop, profile, network.device, packet_data_network, control)
        resources.callback(listener.close)
        runner = Runner(loop, [listener, control], sleeper=listener)

        def restart_modem(down_for: Duration) -> None:
            if listener.host is not None:
                listener.host.side.restart(down_for, here.later, read_clock())

        def nudge_modem(now: Instant) -> None:
            if listener.host is not None:
                listener.host.side.modem.doorbell_rang(Pipe.RX, now)

        control.restart_modem = lambda now: restart_modem(MODEM_RESTART)
        here = Faults(
            runner,
            frozenset({Half.MODEM}),
            seed=seed,
            restart_modem=restart_modem,
            nudge_modem=nudge_modem,
            control=plane,
        )
        listener.faults = here
        for fault, rate in faults:
            here.set(fault, rate)

        def status(now: Instant) -> Mapping[str, object]:
            modem = listener.status(now)
            return {
                "host": None,
                "modem": modem,
                "network": network_status(network),
                "control": plane.status(now),
            }

        commands = modem_commands(plane, restart_modem)
        _serve_control(loop, control_path, runner, status, here, resources, commands)
        LOG.info("= modem %s listens at %s", profile.name, path)
        _run_until_signaled(runner)
    return 0


class LineLimit(logging.Filter):
    """Lets so many lines of a second through: what the other side does wrong must not fill a disk."""

    def __init__(self, lines_per_second: int) -> None:
        super().__init__()
        self._lines_per_second = lines_per_second
        self._second = 0
        self._line_count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return True  # every detail was asked for
        second = int(record.created)
        if second != self._second:
            left_out = self._line_count - self._lines_per_second
            self._second, self._line_count = second, 0
            if left_out > 0:
                record.msg = f"{record.msg} (and {left_out} lines before this one that are left out)"
        self._line_count += 1
        return self._line_count <= self._lines_per_second


@contextmanager
def limited_logs() -> Iterator[None]:
    """Let nobody flood the log for a while."""
    limit = LineLimit(LINES_PER_SECOND)
    handlers = logging.getLogger().handlers
    for handler in handlers:
        handler.addFilter(limit)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(limit)


def remove_driver(link: SplitLink) -> None:
    """Remove the driver in order, so that the modem hears of it, if there is one."""
    if not link.is_connected:
        return
    LOG.info("= removing the driver")
    link.faults.clear()
    link.caretaker.retire()
    link.host.driver.remove(read_clock())
    if not link.runner.run_until(lambda: link.host.is_removed, REMOVE_TIMEOUT_NS):
        LOG.warning("the driver was not removed in time")


def _serve_control(
    loop: Loop,
    path: Path | None,
    runner: Runner,
    status: Status,
    faults: Faults | BothHalves,
    resources: ExitStack,
    commands: Mapping[str, Handler] = MappingProxyType({}),
) -> None:
    if path is None:
        return

    def answer(request: Mapping[str, Any], now: Instant) -> object:
        uptime_ms = (now - runner.started_at) // MILLISECOND
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "uptime_ms": uptime_ms,
            **status(now),
            "faults": faults.status(),
        }

    control = ControlServer(path, loop, {"status": answer, "fault": faults.answer, **commands})
    resources.callback(control.close)


def _run_until_signaled(runner: Runner) -> None:
    with wakeups(ENDING) as readable:
        exit_if_signaled()  # from here on signals are events
        received = bytearray()
        runner.loop.watch(readable.fileno(), lambda now: received.extend(readable.recv(64)))
        runner.run_until(lambda: bool(received))
        runner.loop.forget(readable.fileno())
