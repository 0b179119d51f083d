"""Both machines against memory in which anything may stand: what fuzz/ holds them to, by readable steps.

The rigs are those of the fuzzer's targets. There bytes decide, and coverage guides; here hypothesis does, and
shrinks what fails to the few steps that matter.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bamdmux.actions import Line, Pipe
from bamdmux.timing import MILLISECOND, SECOND
from fuzz.host_receive import Host, HostileModem, check_removal
from fuzz.modem_uplink import CHANNELS, HostileHost, World
from tests.host import far_end
from tests.modem import near_end

COUNTS = st.integers(0, 0xFFFF_FFFF) | st.integers(0, 3)
WORDS = st.integers(0, 0xFFFF_FFFF) | st.builds(
    lambda generation, entry: generation << 16 | entry * 8, st.integers(0, 3), st.integers(0, 8)
)
SIZES = st.integers(0, 0xFFFF) | st.integers(0, 64)
PIPES = st.sampled_from(list(Pipe))
DURATIONS = st.sampled_from([0, MILLISECOND, 500 * MILLISECOND, 2 * SECOND])
CHANNEL = st.integers(0, 2)


def frames(packets: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Frames in order, of three channels, and bytes that are none."""
    commands = [far_end.open_frame, far_end.close_frame, far_end.open_no_a2_pc_frame]
    return st.one_of(
        st.binary(max_size=24),
        st.builds(far_end.frame_of, packets, CHANNEL),
        st.builds(lambda command, channel: command(channel), st.sampled_from(commands), CHANNEL),
    )


class HostMachine(RuleBasedStateMachine):
    """The driver, and a modem that writes what it likes wherever it can."""

    @initialize(
        slot_count=st.integers(1, 4),
        spare_entries=st.integers(1, 3),
        levels=st.tuples(st.booleans(), st.booleans()),
        edges=st.tuples(COUNTS, COUNTS),
    )
    def begin(
        self, slot_count: int, spare_entries: int, levels: tuple[bool, bool], edges: tuple[int, int]
    ) -> None:
        self.host = Host(
            slot_count=slot_count,
            spare_entries=spare_entries,
            vote_level=levels[0],
            ack_level=levels[1],
            power_edges=edges[0],
            ack_edges=edges[1],
        )
        self.modem = HostileModem(self.host)

    def is_there(self) -> bool:
        return not self.host.is_removed

    @precondition(is_there)
    @rule(transfers=st.lists(st.tuples(frames(st.binary(max_size=40)), st.none() | SIZES), max_size=4))
    def modem_fills_buffers(self, transfers: list[tuple[bytes, int | None]]) -> None:
        for octets, claimed in transfers:
            self.modem.fill(octets, len(octets) if claimed is None else claimed)
        self.modem.give_back()
        self.host.ring(Pipe.RX)

    @precondition(is_there)
    @rule(count=st.integers(0, 5))
    def modem_takes_frames(self, count: int) -> None:
        self.modem.take(count)
        self.host.ring(Pipe.TX)

    @precondition(is_there)
    @rule(line=st.sampled_from([Line.MODEM_POWER, Line.MODEM_ACK]), edge_count=COUNTS)
    def modem_moves_a_line(self, line: Line, edge_count: int) -> None:
        self.host.move_line(line, edge_count)

    @precondition(is_there)
    @rule(which=st.integers(0, 3), value=WORDS, entry=st.integers(0, 6), pipe=PIPES)
    def modem_writes_a_word(self, which: int, value: int, entry: int, pipe: Pipe) -> None:
        self.modem.put_word(which, value)
        self.modem.begin(entry)
        self.host.ring(pipe)

    @precondition(is_there)
    @rule(offset=st.integers(0, 2000), octets=st.binary(max_size=32), pipe=PIPES)
    def modem_scribbles(self, offset: int, octets: bytes, pipe: Pipe) -> None:
        self.modem.scribble(offset, octets)
        self.host.ring(pipe)

    @precondition(is_there)
    @rule()
    def modem_vanishes(self) -> None:
        self.host.driver.modem_vanished(self.host.now)
        self.modem.begin()

    @precondition(is_there)
    @rule(channel=CHANNEL, is_up=st.booleans())
    def interface_changes(self, channel: int, is_up: bool) -> None:
        self.host.set_interface(channel, is_up)

    @precondition(is_there)
    @rule(channel=CHANNEL, packets=st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    def applications_send(self, channel: int, packets: list[bytes]) -> None:
        self.host.transmit(channel, packets)

    @precondition(is_there)
    @rule(duration=DURATIONS)
    def time_passes(self, duration: int) -> None:
        self.host.run_until(self.host.now + duration)

    @precondition(lambda self: not self.host.driver.is_leaving)
    @rule()
    def driver_is_removed(self) -> None:
        self.host.driver.remove(self.host.now)

    @precondition(lambda self: self.host.is_removed)
    @rule()
    def another_driver_begins(self) -> None:
        self.begin(slot_count=2, spare_entries=1, levels=(False, True), edges=(1, 0))

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "host"):
            self.host.check()

    def teardown(self) -> None:
        if hasattr(self, "host"):
            check_removal(self.host)


class ModemMachine(RuleBasedStateMachine):
    """The modem, and a host that writes what it likes wherever it can."""

    @initialize(
        slot_count=st.integers(1, 4),
        spare_entries=st.integers(1, 3),
        levels=st.tuples(st.booleans(), st.booleans()),
        edges=st.tuples(COUNTS, COUNTS),
    )
    def begin(
        self, slot_count: int, spare_entries: int, levels: tuple[bool, bool], edges: tuple[int, int]
    ) -> None:
        self.world = World(
            slot_count=slot_count,
            spare_entries=spare_entries,
            power_level=levels[0],
            ack_level=levels[1],
            vote_edges=edges[0],
            host_ack_edges=edges[1],
        )
        self.host = HostileHost(self.world)

    @rule()
    def host_acks_power(self) -> None:
        self.world.come_up()

    @rule(
        transfers=st.lists(
            st.tuples(
                frames(st.builds(near_end.packet4) | st.builds(near_end.packet6)),
                st.integers(0, 3),
                st.none() | SIZES,
                st.none() | COUNTS,
            ),
            max_size=4,
        )
    )
    def host_queues_frames(self, transfers: list[tuple[bytes, int, int | None, int | None]]) -> None:
        for octets, slot_index, size, address in transfers:
            self.host.queue(Pipe.TX, slot_index, octets, size, address)
        self.world.tell(Pipe.TX)

    @rule(
        buffers=st.lists(st.tuples(st.integers(0, 3), st.none() | SIZES, st.none() | COUNTS), max_size=4),
    )
    def host_queues_buffers(self, buffers: list[tuple[int, int | None, int | None]]) -> None:
        for slot_index, size, address in buffers:
            self.host.queue(Pipe.RX, slot_index, b"", size, address)
        self.world.tell(Pipe.RX)

    @rule(line=st.sampled_from([Line.HOST_VOTE, Line.HOST_ACK]), edge_count=COUNTS)
    def host_moves_a_line(self, line: Line, edge_count: int) -> None:
        self.world.tell(line, edge_count)

    @rule(which=st.integers(0, 3), value=WORDS, pipe=PIPES)
    def host_writes_a_word(self, which: int, value: int, pipe: Pipe) -> None:
        self.host.put_word(which, value)
        self.world.tell(pipe)

    @rule(offset=st.integers(0, 2000), octets=st.binary(max_size=32), pipe=PIPES)
    def host_scribbles(self, offset: int, octets: bytes, pipe: Pipe) -> None:
        self.host.scribble(offset, octets)
        self.world.tell(pipe)

    @rule(packet=st.binary(max_size=40) | st.builds(near_end.packet4, destination=st.just("10.64.0.2")))
    def world_sends(self, packet: bytes) -> None:
        self.world.receive(packet)

    @rule(channel=st.sampled_from(CHANNELS), versions=st.sampled_from([(4,), (6,), (4, 6)]))
    def bearer_changes(self, channel: int, versions: tuple[int, ...]) -> None:
        self.world.change_bearer(channel, versions)

    @rule()
    def modem_crashes_or_boots(self) -> None:
        self.world.crash_or_boot()

    @rule(duration=DURATIONS)
    def time_passes(self, duration: int) -> None:
        self.world.run_until(self.world.now + duration)

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.run_until(self.world.now + 10 * SECOND)


HostMachine.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
test_a_host_keeps_its_promises_whatever_stands_in_memory = HostMachine.TestCase

ModemMachine.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
test_a_modem_keeps_its_promises_whatever_stands_in_memory = ModemMachine.TestCase
