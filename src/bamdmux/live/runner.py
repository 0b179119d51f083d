"""Both halves of a link in one process: the machines are fed, and what they ask for is done, in one loop.

    wait -> packets and link changes to the host, packets to the modem -> time-outs -> settle -> arm -> wait

A doorbell or a line of one machine is an input of the other, at once; *settle* goes on until both are quiet.
"""

from collections.abc import Callable
from typing import Final

from bamdmux.bam.memory import LinkLayout
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop, read_clock
from bamdmux.live.modem_side import ModemSide
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.tun import Tun
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Duration, Instant, earliest

# Each machine answers the other a few times for one event. More rounds than this mean that they go round in
# circles: a bug, better seen than looped.
SETTLE_ROUNDS: Final = 10_000


class Runner:
    """A link with both its ends.

    Args:
        namespace: where the host's interfaces are made.
        network: the device of the network behind the modem.
    """

    def __init__(self, loop: Loop, profile: Profile, namespace: NetworkNamespace, network: Tun) -> None:
        self.loop = loop
        layout = LinkLayout()
        memory = layout.allocate()
        self.host = HostSide(memory, layout, namespace, loop)
        self.modem = ModemSide(memory, layout, profile, network, loop)
        self.host.far = self.modem.modem
        self.modem.far = self.host.driver
        self._now = self.started_at = read_clock()

    def start(self) -> None:
        """Bind the driver and switch the modem on."""
        self.host.start(self._now)
        self.modem.start(self._now)
        self._settle(self._now)

    def remove(self, within_ns: Duration) -> bool:
        """Remove the driver in order, so that the modem hears of it; whether that worked in time."""
        self._now = read_clock()
        self.host.driver.remove(self._now)
        self._settle(self._now)
        return self.run_until(lambda: self.host.is_removed, within_ns)

    def run_until(self, is_over: Callable[[], bool], within_ns: Duration | None = None) -> bool:
        """Keep the link going until something is so; whether it is, within the time allowed."""
        limit = None if within_ns is None else read_clock() + within_ns
        while not is_over():
            if limit is not None and self._now >= limit:
                return False
            self.step(limit)
        return True

    def step(self, limit: Instant | None = None) -> None:
        """Wait for news, at most until `limit`, and deal with it."""
        host, modem = self.host.driver, self.modem.modem
        deadline = earliest(host.deadline, modem.deadline, limit)
        now = self._now = self.loop.wait(deadline, self._now)
        self.host.transmit(now)
        self.modem.receive(now)
        if deadline is not None and now >= deadline:  # whose it was they know; early calls do no harm
            host.handle_timeout(now)
            modem.handle_timeout(now)
        self._settle(now)

    def _settle(self, now: Instant) -> None:
        for _ in range(SETTLE_ROUNDS):
            # Both, and the modem also when the host was quiet: no short circuit.
            if not self.host.carry_out_actions(now) | self.modem.carry_out_actions(now):
                break
        else:
            raise AssertionError(f"the machines did not settle within {SETTLE_ROUNDS} rounds")
        self.host.arm()
        self.modem.arm()

    def close(self) -> None:
        """Let go of both halves; see `HostDriver.remove` for the orderly way."""
        self.host.close()
        self.modem.close()
