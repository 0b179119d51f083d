"""What a state of an explored world is: all that decides how it goes on, and nothing else.

Two moments are one state if they differ only in what no machine can tell apart:

    time          deadlines count from now; one that has passed is due, however long ago it was
    edges         of a line: its level, and how far whoever reads it is behind (see `_behind`)
    generations   of a pipe: whether both sides mean the same one
    positions     of a pipe and of a ring: how much is in it, not where
    packets       the order in which those that are alive were sent, and which of them have arrived
    dead memory   buffers that nobody owns, and copies that are made anew before they are read
    counters      the rules check them in every state instead (rules.py says why that is enough)

The machines are walked attribute by attribute. What is left out or renamed stands in the tables below, all
else counts as it is: an attribute that is new to a machine makes more states, but never hides one.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import cache
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any, Final

from bamdmux.actions import Line, Pipe
from bamdmux.bam.lines import edges_between
from bamdmux.bam.memory import DESCRIPTOR_BYTES, PipeLayout
from bamdmux.bam.pipe import DESCRIPTOR, PipeOwner
from bamdmux.counters import Counters
from bamdmux.host.channels import Channel, Channels
from bamdmux.host.driver import HostDriver
from bamdmux.host.power import HostOptions, HostVote, ModemPowerLine
from bamdmux.host.receive import ReceiveRing
from bamdmux.host.removal import Removal
from bamdmux.host.transmit import TransmitRing
from bamdmux.modem.downlink import Downlink
from bamdmux.modem.modem import Modem
from bamdmux.modem.power import HostVote as VoteSeenByModem
from bamdmux.modem.power import ModemPower
from bamdmux.modem.uplink import Uplink
from bamdmux.sim.checkers import PowerWatch
from bamdmux.sim.explore.world import NEWS, ExploredWorld
from bamdmux.sim.packets import MARKS
from bamdmux.timing import Duration
from bamdmux.wire.dmux import COMMAND_SHIFT, HEADER_BYTES, HEADER_WORD, Frame

Rule = Callable[["StateReader", Any], object]

_OFFSET_MASK: Final = 0xFFFF
_GENERATION_SHIFT: Final = 16
_INFORMATION_BYTES: Final = 4
_IPV4_HEADER_BYTES: Final = 20
_DIGEST_BYTES: Final = 8


def _left_out(reader: "StateReader", value: object) -> None:
    return None


def _instant(longest: Duration = 0) -> Rule:
    """A time. What lies further back than `longest` is past, and how far is no matter.

    Args:
        longest: what the machine adds to it before it compares it with now.
    """

    def relative(reader: "StateReader", value: int | None) -> int | None:
        return None if value is None else max(value - reader.world.now, -longest)

    return relative


def _behind(line: Line) -> Rule:
    """How many edges a reader has not heard of.

    More than three are as two or three: nobody owes more than two acks, and a line that cycled twice has
    cycled.
    """

    def behind(reader: "StateReader", value: int) -> int:
        edges = edges_between(value, reader.world.lines[line].edge_count)
        return edges if edges <= 3 else 2 + edges % 2

    return behind


def _is_there(reader: "StateReader", value: object) -> bool:
    return value is not None


def _which_are_there(reader: "StateReader", values: list[object]) -> tuple[bool, ...]:
    return tuple(value is not None for value in values[: reader.world.scope.channel_count])


def _those_in_use(reader: "StateReader", channels: list[Channel]) -> tuple[object, ...]:
    return tuple(reader.describe_object(channel) for channel in channels[: reader.world.scope.channel_count])


def _opened_in_this_power_up(reader: "StateReader", value: int) -> bool:
    assert reader.world.host is not None
    return value == reader.world.host._power_up_count


_IDLE: Final = HostOptions().autosuspend_delay_ns

# For each class, the attributes that do not count as they are.
_RULES: Final[dict[type, dict[str, Rule]]] = {
    HostDriver: {
        "_power_up_count": _left_out,
        "unassigned": _left_out,
        "_register_at": _instant(),
        "_look_again_at": _instant(),
    },
    HostVote: {
        "_options": _left_out,
        "statistics": _left_out,
        "_suspended_since": _left_out,
        "_wait_deadline": _instant(),
        "_retry_at": _instant(),
        "_idle_since": _instant(_IDLE),
        "_ack_edges": _behind(Line.MODEM_ACK),
    },
    ModemPowerLine: {"_edge_count": _behind(Line.MODEM_POWER)},
    Removal: {"deadline": _instant()},
    ReceiveRing: dict.fromkeys(
        ("_pipe", "_slots", "_private", "_tally", "_devices", "_interfaces"), _left_out
    ),
    TransmitRing: dict.fromkeys(
        (
            *("_pipe", "_slots", "_read_views", "_channels", "_packet_bytes", "_frame_bytes", "_commands"),
            *("_oldest", "_submitted"),  # see `_ring`
        ),
        _left_out,
    ),
    Channels: {
        "_welcome": _left_out,
        "_flowing": _left_out,
        "_channels": _those_in_use,
        "received": _left_out,
        "active_devices": _which_are_there,
    },
    Channel: {
        "device": _is_there,
        "opened_in_power_up": _opened_in_this_power_up,
        "transmitted": _left_out,
        "received": _left_out,
    },
    Modem: {
        "profile": _left_out,
        "packet_data_network": _left_out,
        "_tx": _left_out,  # see `_pipe`
        "_rx": _left_out,
        "_network": _left_out,
        "_look_again_at": _instant(),
    },
    ModemPower: {
        "_profile": _left_out,
        "_deadline": _instant(),
        "_active_until": _instant(),
        "_host_ack_edges": _behind(Line.HOST_ACK),
        "_up_since": _left_out,
        "_up_total": _left_out,
        "rise_count": _left_out,
        "host_ack_count": _left_out,
        "ack_timeout_count": _left_out,
    },
    VoteSeenByModem: {
        "deadline": _instant(),
        "edge_count": _behind(Line.HOST_VOTE),
        "ack_count": _left_out,
    },
    Uplink: dict.fromkeys(
        (
            "_pipe",
            "_network",
            "_bearers",
            "_counters",
            "_frame",
            "_frame_view",
            "_logged",
            "frame_count",
            "strays",
            "_tally",
        ),
        _left_out,
    ),
    Downlink: dict.fromkeys(("_pipe", "_network", "_counters", "_tally", "frame_count", "strays"), _left_out),
    PowerWatch: {"_ack_edges": _behind(Line.MODEM_ACK)},
}
_PLAIN: Final = frozenset((int, bool, str, bytes, type(None)))
_SEQUENCES: Final = frozenset((list, tuple, deque))


@cache
def _is_object(kind: type) -> bool:
    """Whether its attributes are walked. Pipe ends have their own description, a function has none."""
    return not issubclass(kind, (Enum, Counters, PipeOwner, FunctionType, MethodType))


class StateReader:
    """Says which state a world is in."""

    def __init__(self, world: ExploredWorld) -> None:
        self.world = world
        self._rules: dict[type, dict[str, Rule]] = {}  # with those of base classes
        self._alive: list[tuple[int, int, int]] = []  # packets in the order in which we meet them

    def digest(self) -> int:
        """The state as a number: the same one on every machine and in every run."""
        text = repr(self.describe()).encode()
        return int.from_bytes(blake2b(text, digest_size=_DIGEST_BYTES).digest(), "big")

    def describe(self) -> tuple[object, ...]:
        """The state as nested tuples of numbers and texts."""
        world = self.world
        self._alive.clear()
        host = world.host
        return (
            None if host is None else (self.describe_object(host), self._ring(host)),
            self.describe_object(world.modem),
            tuple(writer.level for writer in world.lines.values()),
            tuple(name for name in NEWS if name in world.news),
            tuple(sorted(world.asked)),
            self._pipe(Pipe.TX),
            self._pipe(Pipe.RX),
            self._interfaces(),
            self._queue(world.network.outgoing),
            self.describe_object(world.power),
            (world.losses_left, world.is_gone, world.is_mourned, world.is_joined),
            self._ranks(),
        )

    # Machines

    def _value(self, value: Any) -> object:
        kind: Any = type(value)
        if kind in _SEQUENCES:
            return tuple([self._value(each) for each in value]) if value else ()
        if kind in _PLAIN:
            return value
        if kind is set:
            return tuple(sorted(value))
        if kind is Frame:
            return (int(value.command), value.channel)
        if _is_object(kind):
            return self.describe_object(value)
        return value.value if isinstance(value, Enum) else None

    def describe_object(self, value: Any) -> tuple[object, ...]:
        rules = self._rules_of(type(value))
        described: list[object] = []
        attributes = getattr(value, "__dict__", None)
        pairs = attributes.items() if attributes is not None else self._slots(value)
        for name, each in pairs:
            rule = rules.get(name)
            if rule is not None:
                if rule is not _left_out:
                    described.append(rule(self, each))
            elif type(each) in _PLAIN:
                described.append(each)
            else:
                described.append(self._value(each))
        return tuple(described)

    @staticmethod
    def _slots(value: Any) -> list[tuple[str, Any]]:
        return [(name, getattr(value, name)) for name in type(value).__slots__]

    def _rules_of(self, kind: type) -> dict[str, Rule]:
        rules = self._rules.get(kind)
        if rules is None:
            rules = {}
            for base in reversed(kind.__mro__):
                rules.update(_RULES.get(base, {}))
            self._rules[kind] = rules
        return rules

    # What lies in memory

    def _ring(self, host: HostDriver) -> tuple[object, ...]:
        """The frames that wait for power; those handed over are the pipe's."""
        ring, described = host._transmit_ring, []
        for entry in range(ring._submitted, ring._submitted + ring.pending):
            index = (ring._oldest + entry) % ring._size
            command = ring._commands[index]
            described.append(self._frame(ring._slots[index], 0) if command is None else self._value(command))
        return (ring._submitted, *described)

    def _pipe(self, pipe: Pipe) -> tuple[object, ...]:
        """What its owner knows of it, and the entries whose content somebody will look at."""
        world = self.world
        owner = world.pipes.get(pipe)
        layout, memory = world._layout.pipe(pipe), world._memory
        tail, position = (
            int.from_bytes(memory[offset : offset + 4], "little")
            for offset in (layout.tail_offset, layout.position_offset)
        )
        is_one = tail >> _GENERATION_SHIFT == position >> _GENERATION_SHIFT
        position_entry = (position & _OFFSET_MASK) // DESCRIPTOR_BYTES if is_one else 0
        given = ((tail & _OFFSET_MASK) // DESCRIPTOR_BYTES - position_entry) % layout.entry_count
        if owner is None:
            return (given,)
        is_open, done = owner.is_open, owner.completed()
        of_owner = (is_open, owner.in_flight if is_open else 0, owner._unpublished, done if is_open else 0)
        first, count = (owner._head, done if is_open else 0) if pipe is Pipe.RX else (position_entry, given)
        entries = [self._entry(layout, (first + i) % layout.entry_count) for i in range(count)]
        return (given, of_owner, *entries)

    def _entry(self, layout: PipeLayout, entry: int) -> object:
        memory = self.world._memory
        address, _, _ = DESCRIPTOR.unpack_from(memory, layout.fifo_offset + entry * DESCRIPTOR_BYTES)
        return self._frame(memory, address)

    def _frame(self, buffer: memoryview, start: int) -> object:
        (word,) = HEADER_WORD.unpack_from(buffer, start)
        if word >> COMMAND_SHIFT & 0xFF:
            return word
        return self._packet(buffer, start + HEADER_BYTES)

    def _interfaces(self) -> tuple[object, ...]:
        world = self.world
        return tuple(
            (channel, interface.is_up, self._queue(interface.outgoing))
            for channel, interface in sorted(world.interfaces.items())
        )

    def _queue(self, packets: deque[bytes]) -> tuple[object, ...]:
        return tuple(self._packet(packet, _INFORMATION_BYTES) for packet in packets)

    # Packets

    def _packet(self, buffer: bytes | memoryview, start: int) -> object:
        """One that is alive; `_ranks` says more of it."""
        sequence, direction, channel, _, _ = MARKS.unpack_from(buffer, start + _IPV4_HEADER_BYTES)
        self._alive.append((direction, channel, sequence))
        return (direction, channel)

    def _ranks(self) -> tuple[object, ...]:
        """For each packet we met its place among all that are alive, and whether it has arrived already."""
        ledger, in_order = self.world.ledger, sorted(set(self._alive))
        return tuple((in_order.index(packet), ledger.fate(*packet)) for packet in self._alive)
