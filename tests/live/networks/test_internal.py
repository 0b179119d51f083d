"""The network behind the modem, reached as the modem reaches it: by packets through its device."""

import pytest

from tests.live.identities import NETWORK_PRELUDE, for_each_identity, needs_tun, run_python

pytestmark = [pytest.mark.live, needs_tun]

# The namespace of NETWORK_PRELUDE plays the host: its wwan0 and the network's pdn0 are joined by a thread.
PRELUDE = (
    NETWORK_PRELUDE
    + """
import http.client, threading, time
from ipaddress import *
from bamdmux.live.addresses import Netlink, prepare_namespace
from bamdmux.live.networks.internal import InternalNetwork
from bamdmux.live.tun import Tun
from bamdmux.modem.network import Bearer
bearers = [Bearer(0), Bearer(5)]
network = InternalNetwork.create(bearers)
def configure_host():
    prepare_namespace()
    tun = Tun.create("wwan0", mtu=1500)
    with Netlink() as netlink:
        netlink.set_up(tun.index)
        for bearer in bearers:
            netlink.add_address(tun.index, ip_interface((bearer.address4, bearer.prefix4_length)))
            netlink.add_address(tun.index, ip_interface((bearer.prefix6[2], 64)))
    return tun
def forward(one, other):
    buffer = memoryview(bytearray(4096))
    while not finished.is_set():
        for source, target in ((one, other), (other, one)):
            while count := source.read_into(buffer):
                target.write(buffer[:count])
        select.select([one, other, readable], [], [])
host = namespace.run(configure_host)
finished = threading.Event()
readable, writable = socket.socketpair()
wire = threading.Thread(target=forward, args=(host, network.device))
wire.start()
def get(address, path):
    connection = http.client.HTTPConnection(str(address), 80, timeout=10)
    namespace.run(connection.connect)
    connection.request("GET", path)
    return connection.getresponse().read()
def end():
    finished.set()
    writable.send(b"x")
    wire.join()
    host.close()
    network.close()
"""
)


def python(identity: str, program: str) -> str:
    return run_python(
        identity, PRELUDE + "try:\n    " + program.strip().replace("\n", "\n    ") + "\nfinally: end()"
    )


@for_each_identity
def test_every_gateway_of_every_bearer_serves(identity: str) -> None:
    program = """
print(network.http_url, [tun.name for tun in network.tuns], network.namespace.fileno() >= 0)
for bearer in bearers:
    for gateway in (bearer.gateway4, bearer.gateway6):
        print(gateway, get(gateway, "/sha256/0").decode()[:8], len(get(gateway, "/bytes/300000")))
"""
    assert python(identity, program).splitlines() == [
        "http://10.64.0.1/ ['pdn0', 'pdn5'] True",
        "10.64.0.1 e3b0c442 300000",
        "2001:db8:64::1 e3b0c442 300000",
        "10.64.5.1 e3b0c442 300000",
        "2001:db8:64:5::1 e3b0c442 300000",
    ]


@for_each_identity
def test_gateways_answer_pings(identity: str) -> None:
    program = """
for target in (bearers[1].gateway4, bearers[1].gateway6):
    print(" 0% packet loss" in shell(f"ping -c 3 -i 0.01 -w 10 {target}"))
"""
    assert python(identity, program).split() == ["True", "True"]


@for_each_identity
def test_the_interface_is_like_the_host_s_but_for_its_mtu_and_without_link_local(identity: str) -> None:
    program = """
show = lambda command: network.namespace.run(lambda: subprocess.check_output(command, shell=True, text=True))
print(show("ip link show pdn0; ip -6 address show dev pdn0; ip link show lo"))
"""
    shown = python(identity, program)
    assert "pdn0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1500" in shown
    assert "link/[519]" in shown
    assert "fe80" not in shown
    assert "<LOOPBACK,UP,LOWER_UP>" in shown


def test_it_says_nothing_on_its_own_account() -> None:
    program = """
with InternalNetwork.create([Bearer(1)]) as other:
    print(get("10.64.0.1", "/sha256/0") != b"", sum(tun.drain() for tun in other.tuns))
"""
    assert python("caller", program) == "True 0"


def test_there_is_no_way_out() -> None:
    program = """
print(network.namespace.run(lambda: open("/proc/sys/net/ipv4/ip_forward").read().strip()))
shell("ip route add 192.0.2.0/24 dev wwan0")
print(shell("ping -c 1 -w 1 192.0.2.1 || true").count("100% packet loss"))
"""
    assert python("caller", program).split() == ["0", "1"]


@for_each_identity
def test_closing_leaves_nothing(identity: str) -> None:
    program = """
before = sorted(os.listdir("/proc/self/fd"))
other = InternalNetwork.create(bearers, http_port=8080)
pid = other.server_pid
print(other.http_url, os.path.exists(f"/proc/{pid}"))
other.close()
other.close()
print(sorted(os.listdir("/proc/self/fd")) == before, os.path.exists(f"/proc/{pid}"))
"""
    assert python(identity, program).splitlines() == ["http://10.64.0.1:8080/ True", "True False"]


def test_a_refusal_halfway_leaves_nothing() -> None:
    program = """
from bamdmux.live.networks import internal
before = sorted(os.listdir("/proc/self/fd"))
def fail(index, bearers):
    raise MachineError("no")
internal._configure = fail
try: InternalNetwork.create(bearers)
except MachineError as error: print(error, sorted(os.listdir("/proc/self/fd")) == before)
network.close()
try: os.waitpid(-1, 0)
except ChildProcessError: print("no child")
"""
    assert python("caller", program).splitlines() == ["no True", "no child"]


def test_without_ipv6_it_is_an_ipv4_network() -> None:
    program = """
with InternalNetwork.create([Bearer(0, mtu=1279), Bearer(5, mtu=1279)]) as other:  # IPv6 wants 1280
    show = lambda: subprocess.check_output("ip route", shell=True, text=True)
    print(other.namespace.run(show).count("dev pdn"))
"""
    assert python("caller", program) == "2"
