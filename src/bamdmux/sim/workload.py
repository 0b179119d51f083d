"""What people do with a link: talks with silence between them, interfaces set down and up, restarts.

Each kind of thing plans its next time when it has happened, with chance of its own, until the weather ends.
"""

from typing import Final

from bamdmux.sim.conditions import Conditions, Span, generator
from bamdmux.sim.packets import Direction
from bamdmux.sim.world import World
from bamdmux.timing import MILLISECOND, Duration, Instant

# Small ones, as acknowledgements are, and full ones.
FILLINGS: Final = (0, 8, 40, 40, 200, 512, 1200, 1400)
_CHANNEL_0_SHARE: Final = 0.3  # the rest is spread over all


class Workload:
    """Puts itself on the world's heap."""

    def __init__(self, world: World, conditions: Conditions) -> None:
        self._world = world
        self._conditions = conditions
        self._load = conditions.load
        self._chance = generator(conditions.seed, "workload").random
        self._trouble = generator(conditions.seed, "disturbances").random
        self._silence_at: Instant = 0
        self._channels = range(conditions.channel_count)

    def start(self) -> None:
        """Boot the modem and bind the driver, in whichever order, and begin."""
        world = self._world
        for act, name in ((world.boot, "the modem boots"), (world.probe, "the driver is bound")):
            world.plan(self._draw((0, 20 * MILLISECOND)), act, name)
        world.plan(self._draw((MILLISECOND, 500 * MILLISECOND)), self._talk, "a talk begins")
        if (disturbances := self._conditions.disturbances) is not None:
            for every, act, name in (
                (disturbances.interface_down_every_ns, self._interface_down, "an interface is set down"),
                (disturbances.modem_restart_every_ns, self._modem_restart, "the modem crashes"),
                (disturbances.host_removal_every_ns, self._host_removal, "the driver is removed"),
            ):
                world.plan(self._draw(every), act, name)

    def _draw(self, span: Span) -> Duration:
        least, most = span
        return least + int(self._trouble() * (most - least))

    def _is_over(self, now: Instant) -> bool:
        return now >= self._conditions.duration_ns

    # Packets

    def _talk(self, now: Instant) -> None:
        if not self._is_over(now):
            self._silence_at = now + self._draw(self._load.talk_ns)
            self._train(now)

    def _train(self, now: Instant) -> None:
        """A few packets of one channel in one direction."""
        if self._is_over(now):
            return
        chance, load = self._chance, self._load
        if now >= self._silence_at:
            self._world.plan(self._draw(load.silence_ns), self._talk, "a talk begins")
            return
        direction = Direction.UP if chance() < load.uplink_share else Direction.DOWN
        share = chance()
        channel = 0 if share < _CHANNEL_0_SHARE else self._channels[int(chance() * len(self._channels))]
        least, most = load.train_packets
        is_ipv6 = share > 0.8
        for _ in range(least + int(chance() * (most - least + 1))):
            filling = FILLINGS[int(chance() * len(FILLINGS))]
            self._world.send(direction, channel, filling, is_ipv6=is_ipv6)
        least, most = load.train_gap_ns
        self._world.plan(least + int(chance() * (most - least)), self._train, "a train of packets")

    # Disturbances

    def _interface_down(self, now: Instant) -> None:
        if self._is_over(now):
            return
        disturbances, world = self._conditions.disturbances, self._world
        assert disturbances is not None
        channel = self._channels[int(self._trouble() * len(self._channels))]
        world.set_interface(channel, False)
        world.plan(
            self._draw(disturbances.interface_down_for_ns),
            world.set_up(channel),
            f"wwan{channel} goes up",
        )
        world.plan(
            self._draw(disturbances.interface_down_every_ns), self._interface_down, "an interface is set down"
        )

    def _modem_restart(self, now: Instant) -> None:
        if self._is_over(now):
            return
        disturbances, world = self._conditions.disturbances, self._world
        assert disturbances is not None
        world.restart_modem(self._draw(disturbances.modem_down_for_ns))
        world.plan(self._draw(disturbances.modem_restart_every_ns), self._modem_restart, "the modem crashes")

    def _host_removal(self, now: Instant) -> None:
        if self._is_over(now):
            return
        disturbances, world = self._conditions.disturbances, self._world
        assert disturbances is not None
        world.remove_host(now)
        self._await_removal(self._draw(disturbances.host_away_for_ns))
        world.plan(
            self._draw(disturbances.host_removal_every_ns), self._host_removal, "the driver is removed"
        )

    def _await_removal(self, away_for: Duration) -> None:
        """A driver that is still leaving cannot be bound again."""
        world = self._world

        def bind(now: Instant) -> None:
            if world.host is not None and world.host.is_leaving:
                self._await_removal(away_for)
            else:
                world.probe(now)

        world.plan(away_for, bind, "the driver is bound")
