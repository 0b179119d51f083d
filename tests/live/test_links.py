"""Changes of interfaces in another namespace, as they are seen from outside."""

import pytest

from tests.live.identities import NETWORK_PRELUDE, for_each_identity, needs_tun, run_python

pytestmark = pytest.mark.live

PRELUDE = (
    NETWORK_PRELUDE
    + """
from bamdmux.live.links import LinkMonitor
from bamdmux.live.tun import Tun
monitor = LinkMonitor(namespace)
def create(name="wwan0"):
    return namespace.run(lambda: Tun.create(name))
def report():
    "All that is to be told by now: the kernel queues it before it answers who made the change."
    while changes := monitor.read_changes():
        for change in changes:
            word = "gone" if change.gone else "up" if change.is_up else "down"
            print(change.name, change.index, word, change.mtu)
    print("-")
"""
)


def python(identity: str, program: str) -> str:
    return run_python(identity, PRELUDE + program)


@for_each_identity
def test_what_is_there_is_told_first(identity: str) -> None:
    assert python(identity, "report(); report()").splitlines() == ["lo 1 down 65536", "-", "-"]


@needs_tun
@for_each_identity
def test_up_mtu_down_and_gone_are_told_in_order(identity: str) -> None:
    program = """
report()
tun = create()
shell("ip link set wwan0 up; ip link set wwan0 mtu 1400; ip link set wwan0 down; ip link set wwan0 up")
tun.close()
report()
"""
    assert python(identity, program).splitlines()[2:] == [
        "wwan0 2 down 1500",
        "wwan0 2 up 1500",
        "wwan0 2 up 1400",
        "wwan0 2 down 1400",
        "wwan0 2 up 1400",
        "wwan0 2 down 1400",  # the kernel's own doing, on the way out
        "wwan0 2 gone 1400",
        "-",
    ]


@needs_tun
def test_what_changes_nothing_for_us_is_not_told() -> None:
    program = """
tun = create()
shell("ip link set wwan0 up")
report()
shell("ip address add 10.0.0.1/24 dev wwan0; ip link set wwan0 alias x; ip link set wwan0 txqueuelen 9")
tun.set_carrier(False)
print(select.select([monitor], [], [], 10)[0] == [monitor])
report()
"""
    assert python("caller", program).splitlines()[-2:] == ["True", "-"]


@needs_tun
def test_a_renamed_interface_keeps_its_index() -> None:
    program = "tun = create(); report(); shell('ip link set wwan0 name lte0'); report()"
    assert python("caller", program).splitlines()[-2:] == ["lte0 2 down 1500", "-"]


@needs_tun
def test_a_place_in_a_bridge_is_not_the_interface() -> None:
    """The kernel says RTM_DELLINK, of family AF_BRIDGE, when an interface leaves a bridge."""
    program = """
from bamdmux.live.links import INTERFACE, MESSAGE_HEADER, RTM_DELLINK
tun = create()
report()
body = INTERFACE.pack(socket.AF_BRIDGE, 0, tun.index, 0, 0)
message = MESSAGE_HEADER.pack(MESSAGE_HEADER.size + len(body), RTM_DELLINK, 0, 0, 0) + body
print(list(monitor._read_datagram(message)))
"""
    assert python("caller", program).splitlines()[-1] == "[]"


@needs_tun
@for_each_identity
def test_what_was_lost_shows_as_the_difference(identity: str) -> None:
    """The socket holds a few messages: the kernel drops the rest and says ENOBUFS."""
    program = """
monitor._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
report()
stays, goes = create("wwan0"), create("wwan1")
report()
shell("for mtu in $(seq 1300 1320); do ip link set wwan0 mtu $mtu; done; ip link set wwan0 up")
goes.close()
comes = create("wwan2")
report()
"""
    lines = python(identity, program).splitlines()
    last = lines[len(lines) - 1 - lines[-2::-1].index("-") :]  # what the last report said
    assert "wwan0 2 up 1320" in last
    assert "wwan1 3 gone 1500" in last
    assert "wwan2 4 down 1500" in last
    assert len(last) < 20  # not all was told


@needs_tun
def test_lost_messages_during_a_dump_make_another_one() -> None:
    program = """
from bamdmux.live.links import MESSAGE_HEADER, NLMSG_DONE
monitor._messages_were_lost()  # the first dump, which the kernel has begun, is not read yet
tun = create()
report()
print(monitor._is_dumping, monitor._must_repeat)
"""
    lines = python("caller", program).splitlines()
    assert lines == ["lo 1 down 65536", "wwan0 2 down 1500", "-", "False False"]


def test_a_message_from_a_process_is_ignored() -> None:
    program = """
from bamdmux.live.links import INTERFACE, MESSAGE_HEADER, RTM_NEWLINK
report()
sender = namespace.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
sender.bind((0, 0))
body = INTERFACE.pack(0, 0, 77, 1, 0)
message = MESSAGE_HEADER.pack(MESSAGE_HEADER.size + len(body), RTM_NEWLINK, 0, 0, 0) + body
print(sender.sendto(message, monitor._socket.getsockname()))
print(select.select([monitor], [], [], 10)[0] == [monitor])
report()
"""
    assert python("caller", program).splitlines()[2:] == ["32", "True", "-"]


def test_it_never_waits_and_ends_with_its_descriptor() -> None:
    program = """
report()
with monitor:
    print(monitor.read_changes())
print(monitor.fileno())
"""
    assert python("caller", program).splitlines()[2:] == ["[]", "-1"]
