"""The peers: other ways to get a packet from one namespace to another. One entry in PEERS each.

    veth                   near | eth0 ====== eth0 | far               the kernel alone: no process
    straight, socats       near | tun0 -- process -- tun0 | far        two TUNs, and what moves packets
    vde2                   near | tap0 -- switch -- tap0 | far         Ethernet
    slirp4netns, pasta     near | tap0 -- process -- sockets | far     TCP/IP in userspace; one way only
    openvpn, wireguard-go  near | tun0 -- process == eth0 ...          tunnels over UDP: see tunnels.py

All of them are used as they come, with their own defaults, but for what would make them do another job: the
MTU is 1500 unless the name says more, and no name is looked up, nothing goes into the background.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface
from socket import AF_UNIX, SOCK_SEQPACKET, socketpair
from typing import Final

from bamdmux.bench import tunnels
from bamdmux.bench.place import FAR, NEAR, Link, Place, set_up, switch_offloads_off

# A program, and what to install for it on Debian.
Program = tuple[str, str]
COMPILER: Final[Program] = ("cc", "gcc libc6-dev")

SLIRP_MTU: Final = 65520  # as rootless containers use it
SLIRP_GATEWAY: Final = "10.0.2.2"  # stands for the far side's loopback
PASTA_FAR: Final = IPv4Interface("198.51.100.2/24")  # what pasta shows to the near side
PASTA_GATEWAY: Final = "198.51.100.1"  # stands for the far side's loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Somebody who takes part: how it is set up, and what that needs.

    Attributes:
        summary: what it is, in a few words.
        programs: what must be installed, with Debian's packages.
        version: the command that tells its version; empty for what has none.
        run, environment: of bamdmux alone, how it is started but for a command at the end.
    """

    name: str
    summary: str
    open: Callable[[Place], Link]
    programs: Sequence[Program] = ()
    version: Sequence[str] = ()
    run: Sequence[str] = ()
    environment: Mapping[str, str] | None = None

    @property
    def is_ours(self) -> bool:
        return bool(self.run)


def open_veth(place: Place) -> Link:
    near, far = place.namespace(), place.namespace()
    place.make_veth(near, far)
    near.run(lambda: set_up("eth0", NEAR))
    far.run(lambda: set_up("eth0", FAR))
    return Link(near=near, far=far, far_address=str(FAR.ip))


def open_veth_without_offloads(place: Place) -> Link:
    link = open_veth(place)
    for namespace in (link.near, link.far):
        namespace.run(lambda: switch_offloads_off("eth0"))
    return link


def open_straight(place: Place) -> Link:
    return _forward(place, super_packets=True)


def open_forward_packets(place: Place) -> Link:
    return _forward(place, super_packets=False)


def _forward(place: Place, *, super_packets: bool) -> Link:
    near, far = place.namespace(), place.namespace()
    tuns = [
        place.make_tun(namespace, address, super_packets=super_packets)
        for namespace, address in ((near, NEAR), (far, FAR))
    ]
    pid = place.start(place.compiled("forward"), *map(str, tuns), keep=tuns)
    return Link(near=near, far=far, far_address=str(FAR.ip), pids=[pid])


def open_one_socat(place: Place) -> Link:
    near, far = place.namespace(), place.namespace()
    tuns = [place.make_tun(namespace, address) for namespace, address in ((near, NEAR), (far, FAR))]
    pid = place.start("socat", *(f"FD:{tun}" for tun in tuns), keep=tuns)
    return Link(near=near, far=far, far_address=str(FAR.ip), pids=[pid])


def open_two_socats(place: Place) -> Link:
    """With a socket between them that keeps packets apart and loses none."""
    pids, spaces = [], []
    for end, address in zip(socketpair(AF_UNIX, SOCK_SEQPACKET), (NEAR, FAR), strict=True):
        with end:
            spaces.append(place.namespace())
            tun = f"TUN:{address},tun-name=tun0,iff-no-pi,iff-up"
            pids.append(
                place.start("socat", tun, f"FD:{end.fileno()}", inside=spaces[-1], keep=[end.fileno()])
            )
    return Link(near=spaces[0], far=spaces[1], far_address=str(FAR.ip), pids=pids)


def open_vde(place: Place) -> Link:
    near, far = place.namespace(), place.namespace()
    switch = place.folder / "switch"
    ours, theirs = socketpair()
    place.keep(ours)
    with theirs:  # the switch ends with its stdin
        pids = [place.start("vde_switch", "--sock", str(switch), stdin=theirs)]
    place.wait_until(lambda: (switch / "ctl").exists(), "vde_switch")
    for namespace, address in ((near, NEAR), (far, FAR)):
        pids.append(place.start("vde_plug2tap", "-s", str(switch), "tap0", inside=namespace))
        place.wait_for_interface(namespace, "tap0")
        namespace.run(partial(set_up, "tap0", address))
    return Link(near=near, far=far, far_address=str(FAR.ip), pids=pids)


def open_slirp(place: Place) -> Link:
    return _slirp(place, SLIRP_MTU)


def open_slirp_1500(place: Place) -> Link:
    return _slirp(place, 1500)


def _slirp(place: Place, mtu: int) -> Link:
    near, far = place.namespace(), place.namespace()
    path = f"/proc/self/fd/{near.fileno()}"
    options = ("--configure", f"--mtu={mtu}", "--netns-type=path", path, "tap0")
    pid = place.start("slirp4netns", *options, inside=far, keep=[near.fileno()])
    return Link(near=near, far=far, far_address=SLIRP_GATEWAY, pids=[pid])


def open_pasta(place: Place) -> Link:
    """It copies an interface with a default route, so that there must be one on the far side."""
    near, far = place.namespace(), place.namespace()
    place.make_veth(far, place.namespace())
    far.run(lambda: set_up("eth0", PASTA_FAR))
    far.run(lambda: subprocess.run(["ip", "route", "add", "default", "via", PASTA_GATEWAY], check=True))
    path = f"/proc/self/fd/{near.fileno()}"
    options = ("--foreground", "--config-net", "--netns-only", "--runas", "0", "--netns", path)
    pid = place.start("pasta", *options, inside=far, keep=[near.fileno()])
    return Link(near=near, far=far, far_address=PASTA_GATEWAY, pids=[pid])


PEERS: Final = (
    Contender(name="veth", summary="the kernel's pair of interfaces", open=open_veth),
    Contender(
        name="veth-no-offloads",
        summary="the same, with all offloads off",
        open=open_veth_without_offloads,
    ),
    Contender(
        name="straight",
        summary="TUN to TUN in C, super-packets: the limit",
        open=open_straight,
        programs=(COMPILER,),
        version=("cc", "--version"),
    ),
    Contender(
        name="forward-packets",
        summary="the same program, packet by packet",
        open=open_forward_packets,
        programs=(COMPILER,),
        version=("cc", "--version"),
    ),
    Contender(
        name="one-socat",
        summary="socat, from TUN to TUN",
        open=open_one_socat,
        programs=(("socat", "socat"),),
        version=("socat", "-V"),
    ),
    Contender(
        name="two-socats",
        summary="two socats, and a socket between them",
        open=open_two_socats,
        programs=(("socat", "socat"),),
        version=("socat", "-V"),
    ),
    Contender(
        name="vde2",
        summary="a switch of Virtual Distributed Ethernet",
        open=open_vde,
        programs=(("vde_switch", "vde2"), ("vde_plug2tap", "vde2")),
        version=("vde_switch", "--version"),
    ),
    Contender(
        name="slirp4netns",
        summary="TCP/IP in userspace, MTU 65520",
        open=open_slirp,
        programs=(("slirp4netns", "slirp4netns"),),
        version=("slirp4netns", "--version"),
    ),
    Contender(
        name="slirp4netns-1500",
        summary="the same, MTU 1500",
        open=open_slirp_1500,
        programs=(("slirp4netns", "slirp4netns"),),
        version=("slirp4netns", "--version"),
    ),
    Contender(
        name="pasta",
        summary="TCP/IP in userspace, MTU 65520",
        open=open_pasta,
        programs=(("pasta", "passt"), ("ip", "iproute2")),
        version=("pasta", "--version"),
    ),
    Contender(
        name="openvpn",
        summary="a tunnel over UDP, without cipher",
        open=tunnels.open_openvpn,
        programs=(("openvpn", "openvpn"),),
        version=("openvpn", "--version"),
    ),
    Contender(
        name="wireguard-go",
        summary="a tunnel over UDP, encrypted",
        open=tunnels.open_wireguard,
        programs=(("wireguard-go", "wireguard-go"),),
        version=("wireguard-go", "--version"),
    ),
)
