"""Two of the peers: tunnels over UDP, between two processes in userspace.

    near | tun0 -- process -- UDP -- eth0 ====== eth0 -- UDP -- process -- tun0 | far

eth0 has an MTU that takes a whole packet of the tunnel with all headers, so that none is cut in two; and the
tunnel's is 1500, as everywhere else.
"""

import os
import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final

from bamdmux.bench.place import FAR, NEAR, Link, Place, set_up
from bamdmux.errors import MachineError
from bamdmux.live.addresses import Netlink
from bamdmux.live.namespaces import (
    CLONE_NEWNS,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    NetworkNamespace,
    mount,
    unshare,
)

OUTER: Final = (IPv4Interface("198.51.100.1/30"), IPv4Interface("198.51.100.2/30"))
OUTER_MTU: Final = 9000
MTU: Final = 1500
PORT: Final = 51820

# Private and public keys of WireGuard for both ends. They are no secret, and the tunnel leads nowhere.
KEYS: Final = (
    (
        "d04d96ab3a7860c640977703aec5d535bdba273b3eeea45b64e9e4e1973ad340",
        "4cc320a0ed2f6808a49c0f29d4552896c6802fd488f8acc2a8e68582d1d00521",
    ),
    (
        "000b82a33e8fdee806cf1afd5703f39fbd0aad45afccff44696a3beeb4b9c742",
        "b1ed908b72624cdc194f56965048da7634d3525b27a12a00b66e9bfbfcbfe928",
    ),
)
WIREGUARD_FOLDER: Final = Path("/run/wireguard")  # of its sockets; the program knows no other


def open_openvpn(place: Place) -> Link:
    near, far = _outer(place)
    ends = zip((near, far), (NEAR, FAR), (FAR, NEAR), OUTER[::-1], strict=True)
    pids = [
        place.start(
            *("openvpn", "--dev", "tun0", "--dev-type", "tun", "--tun-mtu", str(MTU), "--mssfix", "0"),
            *("--ifconfig", str(own.ip), str(others.ip), "--cipher", "none", "--auth", "none"),
            *("--remote", str(outer.ip), "--proto", "udp", "--port", str(PORT), "--disable-dco"),
            inside=namespace,
        )
        for namespace, own, others, outer in ends
    ]
    return Link(near=near, far=far, far_address=str(FAR.ip), pids=pids)


def open_wireguard(place: Place) -> Link:
    """Encryption cannot be switched off, so that it is a yardstick of another kind."""
    near, far = _outer(place)
    pids = []
    for index, (namespace, address) in enumerate(((near, NEAR), (far, FAR))):
        pid = place.start("wireguard-go", "--foreground", "wg0", inside=namespace, prepare=_make_run_private)
        pids.append(pid)
        path = Path(f"/proc/{pid}/root{WIREGUARD_FOLDER}/wg0.sock")
        place.wait_until(path.exists, "wireguard-go")
        _configure_wireguard(path, KEYS[index][0], KEYS[1 - index][1], str(OUTER[1 - index].ip))
        namespace.run(partial(_set_up_wireguard, address))
    return Link(near=near, far=far, far_address=str(FAR.ip), pids=pids)


def _outer(place: Place) -> Sequence[NetworkNamespace]:
    """Two namespaces with a network between them, over which the tunnel goes."""
    near, far = place.namespace(), place.namespace()
    place.make_veth(near, far, mtu=OUTER_MTU)
    near.run(lambda: set_up("eth0", OUTER[0]))
    far.run(lambda: set_up("eth0", OUTER[1]))
    return near, far


def _make_run_private() -> None:
    """Give a new process a /run of its own, where it may make its folder even if it is not root's."""
    unshare(CLONE_NEWNS)
    mount("none", "/", "none", MS_REC | MS_SLAVE)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV)


def _configure_wireguard(path: Path, private_key: str, others_key: str, others_address: str) -> None:
    """As wg(8) does it: the "Configuration Protocol" of wireguard.com/xplatform."""
    lines = (
        *("set=1", f"private_key={private_key}", f"listen_port={PORT}"),
        *(f"public_key={others_key}", f"endpoint={others_address}:{PORT}", "allowed_ip=0.0.0.0/0"),
        *("", ""),
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(os.fspath(path))
        connection.sendall("\n".join(lines).encode())
        answer = connection.recv(4096)
    if b"errno=0" not in answer:
        raise MachineError(
            f"wireguard-go refuses its configuration: {answer.decode(errors='replace').strip()}"
        )


def _set_up_wireguard(address: IPv4Interface) -> None:
    with Netlink() as netlink:
        netlink.set_mtu(socket.if_nametoindex("wg0"), MTU)
    set_up("wg0", address)
