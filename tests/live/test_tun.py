"""TUN devices, as root and as nobody: what the kernel sees, what passes, and what is said without one."""

import errno
import os
import stat
from pathlib import Path

import pytest

from bamdmux.errors import MachineError
from bamdmux.live.tun import Tun, _explain_open
from bamdmux.pump import is_native
from tests.live.identities import NETWORK_PRELUDE, for_each_identity, needs_tun, run_python

pytestmark = pytest.mark.live

PRELUDE = (
    NETWORK_PRELUDE
    + """
from bamdmux.live.tun import Tun
def create(name="wwan0", **options):
    return namespace.run(lambda: Tun.create(name, **options))
def up(name="wwan0"):
    shell(f"sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1")  # else the kernel sends something of its own
    shell(f"ip link set {name} up && ip address add 10.9.0.1/24 dev {name}")
    tun.drain()
def send(count, size=100):
    with namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        for _ in range(count):
            sender.sendto(bytes(size), ("10.9.0.2", 9))
buffer = memoryview(bytearray(2048))
tun = create()
"""
)


def python(identity: str, program: str) -> str:
    return run_python(identity, PRELUDE + program)


@needs_tun
@for_each_identity
def test_it_looks_like_the_real_driver_s(identity: str) -> None:
    shown = python(identity, "print(shell('ip -d link show wwan0'), tun.index, tun.name)")
    assert "wwan0: <POINTOPOINT,NOARP> mtu 1500 qdisc noop state DOWN" in shown
    assert "qlen 1000" in shown
    assert "link/[519]" in shown
    assert f"tun type tun pi on vnet_hdr {'on' if is_native() else 'off'} persist off" in shown
    assert shown.endswith("2 wwan0")


@needs_tun
@for_each_identity
def test_with_pythons_pump_it_offers_no_offloads(identity: str) -> None:
    choice = "import os\nos.environ['BAMDMUX_PUMP'] = 'python'\n"
    shown = run_python(
        identity, choice + PRELUDE + "print(shell('ip -d link show wwan0'), tun.interface, tun.source)"
    )
    assert "vnet_hdr off" in shown
    assert shown.endswith("None None")


@needs_tun
@for_each_identity
def test_mtu_and_queue_length_are_as_asked(identity: str) -> None:
    shown = python(
        identity, "t = create('pdn0', mtu=2040, queue_length=7); print(shell('ip link show pdn0'))"
    )
    assert "mtu 2040" in shown
    assert "qlen 7" in shown


@needs_tun
@for_each_identity
def test_packets_pass_both_ways_with_their_information(identity: str) -> None:
    program = """
up()
send(1, size=72)
count = tun.read_into(buffer)
print(count, bytes(buffer[:5]).hex(), tun.read_into(buffer))
# The same packet back, addresses swapped: the checksums stay right.
receiver = namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
receiver.bind(("10.9.0.1", 9))
packet = bytearray(buffer[:count])
packet[16:20], packet[20:24] = packet[20:24], packet[16:20]
print(tun.write(memoryview(packet)), len(receiver.recv(2048)))
"""
    assert python(identity, program).splitlines() == ["104 0000080045 0", "True 72"]


@needs_tun
def test_a_packet_longer_than_the_buffer_is_cut_and_flagged() -> None:
    program = "up(); send(1, 72); print(tun.read_into(buffer[:54]), bytes(buffer[:4]).hex())"
    assert python("caller", program) == "54 01000800"


@needs_tun
@for_each_identity
def test_writing_while_it_is_down_is_a_refusal(identity: str) -> None:
    program = "print(tun.write(memoryview(bytes([0, 0, 8, 0, 0x45]) + bytes(30))), tun.read_into(buffer))"
    assert python(identity, program) == "False 0"


@needs_tun
@for_each_identity
def test_without_carrier_addresses_stay_and_packets_are_dropped(identity: str) -> None:
    program = """
up()
before = tun.dropped_by_kernel()
tun.set_carrier(False)
print("NO-CARRIER" in shell("ip link show wwan0"), "10.9.0.1" in shell("ip address show wwan0"))
send(5)
print(tun.drain())
tun.set_carrier(True)
print("LOWER_UP" in shell("ip link show wwan0"))
"""
    assert python(identity, program).splitlines() == ["True True", "0", "True"]


@needs_tun
@for_each_identity
def test_a_full_queue_drops_and_the_kernel_counts_it(identity: str) -> None:
    program = """
shell("ip link set wwan0 txqueuelen 8")
up()
before = tun.dropped_by_kernel()
send(20)
print(tun.dropped_by_kernel() - before, tun.drain(), tun.drain())
"""
    assert python(identity, program) == "12 8 0"


@needs_tun
def test_drops_are_counted_under_a_new_name_too() -> None:
    program = """
shell("ip link set wwan0 name lte0 txqueuelen 8")
up("lte0")
send(9)
print(tun.dropped_by_kernel() > 0)
"""
    assert python("caller", program) == "True"


@needs_tun
def test_it_is_readable_when_a_packet_waits() -> None:
    program = """
up()
print(select.select([tun], [], [], 0)[0] == [])
send(1)
print(select.select([tun], [], [], 0)[0] == [tun])
"""
    assert python("caller", program).split() == ["True", "True"]


@needs_tun
def test_a_deleted_interface_raises_nothing() -> None:
    program = """
up()
shell("ip link delete wwan0")
packet = memoryview(bytes([0, 0, 8, 0, 0x45]) + bytes(30))
print(tun.read_into(buffer), tun.write(packet), tun.set_carrier(True), tun.dropped_by_kernel(), tun.drain())
tun.close()
"""
    assert python("caller", program) == "0 False None 0 0"


@needs_tun
@for_each_identity
def test_closing_removes_it_and_leaks_nothing(identity: str) -> None:
    program = """
before = sorted(os.listdir("/proc/self/fd"))
with create("wwan1"):
    pass
refused(lambda: Tun.create("wwan0"))
print(namespace.run(socket.if_nameindex))
print(sorted(os.listdir("/proc/self/fd")) == before)
tun.close()
tun.close()
"""
    assert python(identity, program).splitlines() == ["[(1, 'lo'), (2, 'wwan0')]", "True"]


@needs_tun
@for_each_identity
def test_several_are_removed_at_once(identity: str) -> None:
    program = """
from bamdmux.live.tun import close_all
close_all([])
close_all([tun, *(create(f"wwan{channel}") for channel in range(1, 8))])
print(namespace.run(socket.if_nameindex))
tun.close()
"""
    assert python(identity, program) == "[(1, 'lo')]"


@needs_tun
@for_each_identity
def test_a_name_that_is_taken_is_refused(identity: str) -> None:
    assert python(identity, "print(refused(lambda: Tun.create('wwan0')))") == (
        "interface wwan0 exists already; take another name, or remove it: sudo ip link delete wwan0"
    )


def test_a_long_name_is_refused() -> None:
    with pytest.raises(MachineError, match="16 bytes exceed 15; take a shorter one"):
        Tun.create("a234567890123456")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "wwan%d", "a:0", "a\0b", "a\nb"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(MachineError, match="is no interface name") as refusal:
        Tun.create(name)
    assert "\n" not in str(refusal.value)


@needs_tun
def test_an_impossible_mtu_is_refused_in_one_line() -> None:
    said = python("caller", "print(refused(lambda: Tun.create('wwan1', mtu=67)))")
    assert said == "cannot make interface wwan1 with MTU 67: Invalid argument; try another MTU or name"


@needs_tun
def test_without_a_namespace_of_our_own_nobody_is_told_what_to_do() -> None:
    program = """
from bamdmux.errors import MachineError
from bamdmux.live.tun import Tun
try: Tun.create("bamdmuxtest0")
except MachineError as error: print(error)
"""
    assert run_python("nobody", program).startswith("interface bamdmuxtest0 needs CAP_NET_ADMIN")


def test_a_closed_device_is_explained_with_its_mode(tmp_path: Path) -> None:
    device = tmp_path / "tun"
    device.touch(0o600)
    said = str(_explain_open(OSError(errno.EACCES, "Permission denied"), device))
    assert f"{device} (mode 0600) is not for this user; sudo chmod 0666 {device}" in said
    assert stat.S_IMODE(os.stat(device).st_mode) == 0o600


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "sudo modprobe tun"),
        (errno.ENODEV, "docker run --device"),
        (errno.EPERM, "docker run --device"),
        (errno.EACCES, "udev rule"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "cannot open"),
    ],
)
def test_what_mends_it_is_said_in_one_line(number: int, words: str) -> None:
    said = str(_explain_open(OSError(number, os.strerror(number)), Path("/no/such/tun")))
    assert words in said
    assert "\n" not in said
