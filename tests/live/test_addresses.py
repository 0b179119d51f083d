"""Addresses, routes and the IPv6 identity of interfaces, against the kernel's own SLAAC."""

from ipaddress import IPv6Interface

import pytest

from bamdmux.live.addresses import interface_identifier, link_local
from tests.live.identities import NETWORK_PRELUDE, for_each_identity, needs_tun, run_python

pytestmark = [pytest.mark.live]

PRELUDE = (
    NETWORK_PRELUDE
    + """
from ipaddress import *
from bamdmux.live.addresses import *
from bamdmux.live.addresses import LOOPBACK_INDEX
from bamdmux.live.tun import Tun
from bamdmux.modem.network import Bearer, router_advertisement
PERMANENT = bytes.fromhex("021122334455")
def configure(function):
    def inside():
        with Netlink() as netlink:
            return function(netlink)
    return namespace.run(inside)
def create(name="wwan0", permanent=PERMANENT):
    return namespace.run(lambda: Tun.create(name, permanent_address=permanent))
def identify(tun):
    configure(lambda netlink: netlink.set_up(tun.index))
    return configure(lambda netlink: netlink.set_identity(tun.index, tun.permanent_address))
def restore(tun):
    return namespace.run(lambda: restore_link_local(tun.index, tun.permanent_address))
def next_packet(tun):
    buffer = bytearray(2048)
    assert select.select([tun], [], [], 10)[0], "no packet"
    return bytes(buffer[4:tun.read_into(memoryview(buffer))])
def advertise(tun, channel):
    "Answer a router solicitation; who asked."
    solicitation = next_packet(tun)
    assert solicitation[6] == 58 and solicitation[40] == 133, solicitation.hex()
    answer = router_advertisement(Bearer(channel), solicitation[8:24])
    assert tun.write(memoryview(bytes.fromhex("000086dd") + answer))
    return IPv6Address(solicitation[8:24])
def token(tun):
    "What `ip token` would show, did it not leave out all interfaces that are NOARP."
    link = configure(lambda netlink: netlink._requests.link("get", index=tun.index)[0])
    return link.get(("IFLA_AF_SPEC", "AF_INET6", "IFLA_INET6_TOKEN"))
def addresses6(name="wwan0"):
    lines = shell(f"ip -6 -o address show dev {name}").splitlines()
    return sorted(line.split()[3] for line in lines if "tentative" not in line)
namespace.run(prepare_namespace)
"""
)


def python(identity: str, program: str) -> str:
    return run_python(identity, PRELUDE + program)


def test_the_identifier_is_the_permanent_address_as_eui_64() -> None:
    assert interface_identifier(bytes.fromhex("021122334455")).hex() == "001122fffe334455"
    assert interface_identifier(bytes(6)).hex() == "020000fffe000000"  # what all TUNs would have


def test_the_link_local_address_ends_in_the_identifier() -> None:
    assert link_local(bytes.fromhex("021122334455")) == IPv6Interface("fe80::11:22ff:fe33:4455/64")


@for_each_identity
def test_the_loopback_answers(identity: str) -> None:
    program = """
configure(lambda netlink: netlink.set_up(LOOPBACK_INDEX))
listener = namespace.run(lambda: socket.create_server(("127.0.0.1", 0)))
namespace.run(lambda: socket.create_connection(listener.getsockname())).close()
print("up")
"""
    assert python(identity, program) == "up"


@needs_tun
@for_each_identity
def test_addresses_and_routes(identity: str) -> None:
    program = """
tun = create()
def all_of_it(netlink):
    netlink.set_up(tun.index)
    for _ in range(2):  # again is no error
        netlink.add_address(tun.index, IPv4Interface("10.64.0.2/30"))
        netlink.add_address(tun.index, IPv6Interface("2001:db8::2/64"))
        netlink.add_route(tun.index, IPv4Network("10.65.0.0/16"))
        netlink.add_route(tun.index, IPv6Network("2001:db8:1::/48"))
        netlink.add_default_route(tun.index, 4, IPv4Address("10.64.0.1"))
        netlink.add_default_route(tun.index, 6)
    netlink.set_mtu(tun.index, 1400)
configure(all_of_it)
print(shell("ip -o address show dev wwan0; ip route; ip -6 route; ip link show wwan0"))
configure(lambda netlink: netlink.set_down(tun.index))
print(shell("ip link show wwan0"))
"""
    shown = python(identity, program)
    assert "inet 10.64.0.2/30" in shown
    assert "inet6 2001:db8::2/64 scope global nodad" in shown
    assert "tentative" not in shown
    assert "10.65.0.0/16 dev wwan0" in shown
    assert "2001:db8:1::/48 dev wwan0" in shown
    assert shown.count("default via 10.64.0.1 dev wwan0") == 1
    assert shown.count("default dev wwan0") == 1
    assert "POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1400" in shown
    assert "<POINTOPOINT,NOARP> mtu 1400" in shown


@needs_tun
@for_each_identity
def test_all_addresses_of_an_interface_can_be_taken_off(identity: str) -> None:
    program = """
tun = create()
configure(lambda netlink: netlink.bring_up(tun.index, PERMANENT))
configure(lambda netlink: netlink.add_address(tun.index, IPv4Interface("10.64.0.2/30")))
configure(lambda netlink: netlink.flush_addresses(tun.index))
print(shell("ip -br address show dev wwan0").split()[2:], shell("ip route"))
"""
    assert python(identity, program) == "[]"


@needs_tun
@for_each_identity
def test_slaac_and_link_local_have_the_same_lower_half(identity: str) -> None:
    """The same of each interface, and another for each; and nothing but the solicitation is sent."""
    program = """
for channel in range(2):
    tun = create(f"wwan{channel}", PERMANENT[:5] + bytes([channel]))
    assert identify(tun)
    print(advertise(tun, channel))
    while len(addresses6(tun.name)) < 2:
        select.select([], [], [], 0.01)
    print(*addresses6(tun.name), tun.drain())
print(shell("ip link show wwan1 | head -1"))
"""
    lines = python(identity, program).splitlines()
    assert lines[:4] == [
        "fe80::11:22ff:fe33:4400",
        "2001:db8:64:0:11:22ff:fe33:4400/64 fe80::11:22ff:fe33:4400/64 0",
        "fe80::11:22ff:fe33:4401",
        "2001:db8:64:1:11:22ff:fe33:4401/64 fe80::11:22ff:fe33:4401/64 0",
    ]
    assert "<POINTOPOINT,NOARP,UP,LOWER_UP>" in lines[4]


@needs_tun
@for_each_identity
def test_after_ifdown_and_ifup_the_identity_comes_back(identity: str) -> None:
    program = """
tun = create()
identify(tun)
shell("ip link set wwan0 down; ip link set wwan0 up")
tun.drain()
print(addresses6(), token(tun))
print(restore(tun), restore(tun), addresses6())
print(advertise(tun, 0))
while len(addresses6()) < 2:
    select.select([], [], [], 0.01)
print(*addresses6())
"""
    assert python(identity, program).splitlines() == [
        "[] ::11:22ff:fe33:4455",
        "True True ['fe80::11:22ff:fe33:4455/64']",
        "fe80::11:22ff:fe33:4455",
        "2001:db8:64:0:11:22ff:fe33:4455/64 fe80::11:22ff:fe33:4455/64",
    ]


@needs_tun
@for_each_identity
def test_an_mtu_below_1280_takes_ipv6_away_and_it_comes_back_with_its_identity(identity: str) -> None:
    program = """
tun = create()
identify(tun)
shell("ip link set wwan0 mtu 1279")
print(restore(tun), addresses6(), "POINTOPOINT,NOARP,UP" in shell("ip link show wwan0"))
shell("ip link set wwan0 mtu 1500")
print(restore(tun), addresses6(), token(tun), "POINTOPOINT,NOARP,UP" in shell("ip link show wwan0"))
"""
    assert python(identity, program).splitlines() == [
        "False [] True",
        "True ['fe80::11:22ff:fe33:4455/64'] ::11:22ff:fe33:4455 True",
    ]


@needs_tun
def test_an_interface_without_ipv6_or_none_at_all_is_told_by_false() -> None:
    program = """
tun = create()
namespace.run(lambda: Path("/proc/sys/net/ipv6/conf/wwan0/disable_ipv6").write_text("1"))
print(identify(tun), restore(tun))
tun.close()
print(restore(tun))
"""
    assert python("caller", program).split() == ["False", "False", "False"]


@needs_tun
def test_where_advertisements_are_not_accepted_the_link_local_address_is_still_there() -> None:
    program = """
namespace.run(lambda: Path("/proc/sys/net/ipv6/conf/default/accept_ra").write_text("0"))
tun = create()
print(identify(tun), addresses6(), "<POINTOPOINT,NOARP,UP,LOWER_UP>" in shell("ip link show wwan0"))
"""
    assert python("caller", program) == "True ['fe80::11:22ff:fe33:4455/64'] True"


@needs_tun
def test_without_proc_sys_the_kernel_still_makes_no_address_of_its_own() -> None:
    """In a container /proc/sys may be read-only: the mode is set for each interface as well."""
    program = """
namespace.run(lambda: Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text("0"))
tun = create()
configure(lambda netlink: netlink.set_identity(tun.index, PERMANENT))
configure(lambda netlink: netlink.set_up(tun.index))
print(*addresses6())
"""
    assert python("caller", program) == "fe80::11:22ff:fe33:4455/64"


@needs_tun
@for_each_identity
def test_refusals_are_one_line(identity: str) -> None:
    program = """
tun = create()
def said(function):
    try:
        configure(function)
    except MachineError as error:
        print(error)
said(lambda netlink: netlink.set_up(77))
said(lambda netlink: netlink.set_down(77))
said(lambda netlink: netlink.set_mtu(tun.index, 67))
said(lambda netlink: netlink.add_address(77, IPv4Interface("10.0.0.1/8")))
said(lambda netlink: netlink.add_default_route(tun.index, 4))
"""
    lines = python(identity, program).splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "cannot set interface 77 up: No such device",
        "cannot set interface 77 down: No such device",
        "cannot set the MTU of interface 2 to 67: Invalid argument",
        "cannot add 10.0.0.1/8 to interface 77: No such device",
        "cannot route 0.0.0.0/0 through interface 2: Network is down",
    ]
    assert all("; " in line for line in lines)
