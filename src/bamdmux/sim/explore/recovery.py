"""Liveness: when nothing is held back any more, the link comes to rest, and then carries packets.

    state -> news arrives, who is away comes back, time passes -> rest, within a bound -> a packet each way

What comes next is always the same for a state, and is one of its own choices. So a recovery ends at a state
of which it is known how soon it comes to rest: from most states that is the next one.
"""

from typing import Final

from bamdmux.sim.explore.rules import check_queues, check_rest, check_state
from bamdmux.sim.explore.state import StateReader
from bamdmux.sim.explore.world import NEWS, ExploredWorld
from bamdmux.sim.packets import Direction
from bamdmux.sim.violation import Violation
from bamdmux.timing import SECOND, Duration, Instant

REST_LIMIT: Final[Duration] = 20 * SECOND  # time-outs of 2 s each, one after the other
REST_EVENTS: Final = 400


class Recovery:
    """One recovery. ``events`` is what happened.

    Args:
        rests: states from which the link comes to rest, and how soon; more are added.
        revived: states of rest from which it comes to life; likewise.
    """

    def __init__(
        self, world: ExploredWorld, reader: StateReader, rests: dict[int, Duration], revived: set[int]
    ) -> None:
        self._world = world
        self._reader = reader
        self._rests = rests
        self._revived = revived
        self.events: list[str] = []

    def run(self) -> None:
        """Let the link recover.

        Raises:
            Violation: it does not, or a rule was broken on the way.
        """
        if self._come_to_rest():
            self._revive()

    def _come_to_rest(self) -> bool:
        """Whether it is there now; else it is at a state that is known to lead there."""
        world, began = self._world, self._world.now
        on_the_way: list[tuple[int, Instant]] = []
        while (digest := self._reader.digest()) not in self._rests:
            on_the_way.append((digest, world.now))
            if len(on_the_way) > REST_EVENTS or world.now - began > REST_LIMIT:
                raise Violation("the link does not come to rest")
            choice = next_choice(world)
            if choice is None:
                self._rests[digest] = 0
                break
            self._happen(choice)
        left = self._rests[digest]
        if world.now - began + left > REST_LIMIT:
            raise Violation(f"the link comes to rest after {(world.now - began + left) / SECOND:g} s only")
        for on_it, at in on_the_way:
            self._rests[on_it] = left + world.now - at
        return bool(on_the_way) and on_the_way[-1][0] == digest

    def _happen(self, choice: str) -> None:
        self.events.append(choice)
        self._world.choose(choice)
        check_state(self._world)

    def _revive(self) -> None:
        """From rest: a packet each way on each channel arrives, and all is at rest again."""
        scope = self._world.scope
        digest = self._reader.digest()
        if digest in self._revived or not scope.packets:
            return
        if scope.losses:  # the first packet may be what shows a machine that it was left behind
            self._send_everywhere(is_to_arrive=False)
            self._world.is_behind = False
        self._send_everywhere(is_to_arrive=True)
        self._revived.add(digest)

    def _send_everywhere(self, *, is_to_arrive: bool) -> None:
        world = self._world
        for channel in range(world.scope.channel_count):
            for direction in Direction:
                self._happen(f"{direction.name.lower()}-{channel}")
                before = len(self.events)
                while (choice := next_choice(world)) is not None:
                    self._happen(choice)
                    if len(self.events) - before > REST_EVENTS:
                        raise Violation("the link does not come to rest")
                if is_to_arrive and not world.ledger.last_arrived(direction, channel):
                    what = f"{direction.name.lower()} channel {channel}"
                    raise Violation(f"a packet {what} does not arrive, though nothing is in its way")


def next_choice(world: ExploredWorld) -> str | None:
    """What happens first when nothing is held back: news, then whoever is away comes back, then time passes.

    None: the link is at rest, with everybody there. It was checked that it is, unless news got lost.
    """
    offered = world.choices()
    for choice in offered:
        if choice in NEWS or choice in ("mourn", "succeed", "join", "boot", "bind"):
            return choice
        if choice.startswith("register"):
            return choice
    host = world.host
    deadlines = {
        "host-time": host.deadline if host is not None else None,
        "modem-time": world.modem.deadline,
    }
    due = [(deadline, choice) for choice, deadline in deadlines.items() if deadline is not None]
    if due:
        return min(due)[1]
    if not world.is_behind:
        check_rest(world)
    if len(world.interfaces) < world.scope.channel_count:
        # Firmware announces its channels once: whoever looks after the link restarts the modem.
        return "crash"
    for choice in offered:
        if choice.startswith("ifup"):
            return choice
    if not world.is_behind:
        check_queues(world)
    return None
