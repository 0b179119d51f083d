"""The host's half with real TUNs: which of them it reads, and that none keeps it awake."""

import pytest

from tests.live.identities import NETWORK_PRELUDE, for_the_weakest, needs_tun, run_python

pytestmark = [pytest.mark.live, needs_tun]

PRELUDE = (
    NETWORK_PRELUDE
    + """
from bamdmux.actions import Line
from bamdmux.bam.lines import LineWriter, level_of
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipePeer
from bamdmux.live.host_side import HostSide
from bamdmux.live.loop import Loop
from bamdmux.live.runner import Runner
from bamdmux.timing import MILLISECOND, SECOND

class Modem:
    '''Has power when the host wants it, announces channels, and takes frames if it is told to.'''

    deadline = None
    takes = True

    def __init__(self):
        self.power = LineWriter(memory, layout, Line.MODEM_POWER)
        self.ack = LineWriter(memory, layout, Line.MODEM_ACK)
        self.tx, self.rx = PipePeer(memory, layout.tx), PipePeer(memory, layout.rx)
        self.to_say, self.frames, self.has_news = [], [], True

    def line_changed(self, line, edge_count, now):
        if line is Line.HOST_VOTE:
            self.power.set(level_of(edge_count))
            self.ack.set(not self.ack.level)
            self.has_news = True

    def doorbell_rang(self, pipe, now):
        self.has_news = True

    def carry_out_actions(self, now):
        while self.takes and self.tx.available():
            self.frames.append(bytes(self.tx.take()))
            self.tx.complete()
        while self.to_say and self.rx.available():
            frame = self.to_say.pop(0)
            self.rx.take()[:len(frame)] = frame
            self.rx.complete(len(frame))
        moved = self.tx.publish() + self.rx.publish()
        if self.has_news or moved:
            self.has_news = False
            host.look_at_memory(now)
            return True
        return False

    def feed(self, now): pass
    def handle_timeout(self, now): pass
    def arm(self): pass

    def data(self):
        '''The IPv4 packets for the port that `send` sends to.'''
        return [frame for frame in self.frames if frame[3] == 0 and frame[8] >> 4 == 4]

def until(condition):
    assert runner.run_until(condition, 10 * SECOND)

def steps():
    '''How often it wakes up in a tenth of a second, in which it has nothing to do.'''
    count = 0
    def counted():
        nonlocal count
        count += 1
        return False
    runner.run_until(counted, 100 * MILLISECOND)
    return count

def send(count):
    with namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        for number in range(count):
            sender.sendto(number.to_bytes(4, "big"), ("10.9.0.2", 9))

loop, layout = Loop(), LinkLayout(slot_count=4)
memory = layout.allocate()
host = HostSide(memory, layout, namespace, loop)
modem = Modem()
host.meet(modem)
runner = Runner(loop, [host, modem])
host.start(runner.now)
modem.power.set(True)
modem.to_say = [bytes((0xfc, 0x33, 0, 1, 0, channel, 0, 0)) for channel in (0, 1)]
until(lambda: len(host.tuns) == 2)
shell("sysctl -qw net.ipv6.conf.wwan0.disable_ipv6=1 net.ipv6.conf.wwan1.disable_ipv6=1")
shell("ip address add 10.9.0.1/24 dev wwan0; ip link set wwan0 up")
until(lambda: host.driver.channels[0].is_up and modem.frames)
FEW = 20
"""
)


def python(identity: str, program: str) -> str:
    return run_python(identity, PRELUDE + program)


@for_the_weakest
def test_what_is_readable_is_sent(identity: str) -> None:
    said = python(identity, "send(10); until(lambda: len(modem.data()) == 10); print(steps() < FEW)")
    assert said == "True"


@for_the_weakest
def test_with_a_full_ring_packets_that_wait_keep_nobody_awake_and_none_is_lost(identity: str) -> None:
    program = """
modem.takes = False
send(50)
until(lambda: host.driver.is_stopped)
few = steps() < FEW
modem.takes = modem.has_news = True
until(lambda: len(modem.data()) == 50)
numbers = [int.from_bytes(frame[36:40], "big") for frame in modem.data()]  # behind DMUX, IP and UDP
print(few, numbers == list(range(50)))
"""
    assert python(identity, program) == "True True"


@for_the_weakest
def test_an_interface_that_somebody_deletes_keeps_nobody_awake(identity: str) -> None:
    program = """
shell("ip link delete wwan0")
until(lambda: not host.driver.channels[0].is_up)
print(steps() < FEW)
shell("ip address add 10.9.0.1/24 dev wwan1; ip link set wwan1 up")
until(lambda: host.driver.channels[1].is_up)
send(3)
until(lambda: len(modem.data()) == 3)
print(steps() < FEW)
"""
    assert python(identity, program).split() == ["True", "True"]


@for_the_weakest
def test_an_interface_that_goes_down_with_a_full_ring_keeps_nobody_awake(identity: str) -> None:
    program = """
modem.takes = False
send(50)
until(lambda: host.driver.is_stopped)
shell("ip link set wwan0 down")
until(lambda: not host.driver.channels[0].is_up)
few = steps() < FEW
modem.takes = modem.has_news = True
until(lambda: not host.driver.is_stopped)
print(few, steps() < FEW, len(modem.data()))
"""
    assert python(identity, program) == "True True 4"


@for_the_weakest
def test_a_channel_that_the_modem_closes_is_not_read_from(identity: str) -> None:
    program = """
modem.to_say = [bytes((0xfc, 0x33, 0, 2, 0, 0, 0, 0))]
modem.has_news = True
until(lambda: not host.driver.channels[0].is_remote_open)
send(5)
print(steps() < FEW, len(modem.data()))
"""
    assert python(identity, program) == "True 0"
