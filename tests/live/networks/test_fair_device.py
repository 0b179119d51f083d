"""Several TUNs as one device: turns, and what cannot be read any more."""

import pytest

from tests.live.identities import NETWORK_PRELUDE, run_python

pytestmark = pytest.mark.live

PRELUDE = (
    NETWORK_PRELUDE
    + """
import select
from bamdmux.live.addresses import Netlink, prepare_namespace
from bamdmux.live.networks.fair_device import QUANTUM, FairDevice
from bamdmux.live.tun import Tun
namespace = NetworkNamespace.create()
namespace.run(prepare_namespace)  # so that the kernel has nothing to say
tuns = namespace.run(lambda: [Tun.create(f"pdn{index}") for index in range(3)])
device = FairDevice(tuns, namespace)
sender = namespace.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
def set_up():
    with Netlink() as netlink:
        for tun in tuns:
            netlink.set_up(tun.index)
namespace.run(set_up)
buffer = memoryview(bytearray(2048))
def send(index, count):
    for number in range(count):
        packet = bytes((0x45, index, number)) + bytes(17)
        sender.sendto(packet, (f"pdn{index}", 0x0800))
def read():
    length = device.read_into(buffer)
    return (buffer[5], buffer[6]) if length else None
def is_readable():
    return bool(select.select([device], [], [], 0)[0])
"""
)


def python(program: str) -> str:
    return run_python("caller", PRELUDE + program)


def test_each_has_its_turn_of_so_many_packets() -> None:
    program = """
for index in range(3): send(index, QUANTUM + 6)
order = [read()[0] for _ in range(3 * QUANTUM + 18)]
print(read(), [order.count(index) for index in range(3)])
turns = [order[at : at + QUANTUM] for at in range(0, 3 * QUANTUM, QUANTUM)]
print(sorted(turn[0] for turn in turns), all(len(set(turn)) == 1 for turn in turns))
"""
    assert python(program).splitlines() == ["None [70, 70, 70]", "[0, 1, 2] True"]


def test_the_packets_of_one_stay_in_order() -> None:
    program = """
send(0, 30); send(2, 30)
seen = [read() for _ in range(60)]
print([n for i, n in seen if i == 0] == list(range(30)) == [n for i, n in seen if i == 2])
"""
    assert python(program) == "True"


def test_who_comes_back_is_not_starved_by_one_that_never_runs_dry() -> None:
    program = """
send(0, 1); send(1, 4 * QUANTUM)
first = [read() for _ in range(QUANTUM)]
send(0, 1)
print((0, 0) in [read() for _ in range(3 * QUANTUM)])
"""
    assert python(program) == "True"


def test_it_is_readable_while_somebody_has_a_packet() -> None:
    program = """
before = is_readable()
send(1, 1)
during = is_readable()
read()
print(before, during, is_readable(), read())
"""
    assert python(program) == "False True False None"


def test_an_interface_that_was_deleted_does_not_keep_us_awake() -> None:
    program = """
import subprocess
namespace.run(lambda: subprocess.check_call(["ip", "link", "delete", "pdn1"]))
print(read(), is_readable())
send(2, 1)
print(read(), is_readable())
"""
    assert python(program).splitlines() == ["None False", "(2, 0) False"]
