"""The network behind the modem, kind ``internal``: a namespace with a kernel of its own.

    wwan0 ... modem  <- packets ->  pdn0, pdn1 ... | the kernel's TCP, UDP, ICMP | gateways, HTTP server

Each bearer has an interface of its own there, with its gateway's addresses; to the modem they are one device,
`InternalNetwork.device`, which serves them fairly. The gateways answer pings, and `http_url` is what to
download from. There is no way out: no forwarding, no name server.

fe80::1 and the router advertisements are the modem's own affair: the interfaces have no link-local address,
and so send nothing on their own account.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ipaddress import ip_interface, ip_network
from types import TracebackType
from typing import Final, Self

from bamdmux.errors import MachineError
from bamdmux.live.addresses import LOOPBACK_INDEX, Netlink, prepare_namespace
from bamdmux.live.namespaces import NetworkNamespace
from bamdmux.live.networks.demo_server import PORT, DemoServer
from bamdmux.live.networks.fair_device import FairDevice
from bamdmux.live.tun import Tun, close_all
from bamdmux.modem.network import Bearer


class InternalNetwork:
    """The namespace, its interface and its server; made by `InternalNetwork.create`. Close it.

    Attributes:
        namespace: where the kernel's stack and the server live.
        tuns: the network's interfaces, one for each bearer.
        device: the modem's end of all links into it.
        http_url: the server as the first bearer sees it, with a slash at the end.
    """

    kind: Final = "internal"
    resolv_conf: Final[str | None] = None  # there is no name server
    host_settings: Final[Mapping[str, str]] = {}

    def __init__(
        self,
        namespace: NetworkNamespace,
        tuns: Sequence[Tun],
        device: FairDevice,
        server: DemoServer,
        http_url: str,
        resources: ExitStack,
    ) -> None:
        self.namespace = namespace
        self.tuns = tuns
        self.device = device
        self.http_url = http_url
        self._server = server
        self._resources = resources

    @property
    def server_pid(self) -> int:
        """The server's process, in the namespace: `nsenter --net --target PID` follows it there."""
        return self._server.pid

    @classmethod
    def create(cls, bearers: Sequence[Bearer], *, http_port: int = PORT) -> Self:
        """Make the network that these bearers reach; the server answers from now on.

        Call it from a thread that lives as long as the network shall: see `DemoServer.start`.

        Raises:
            MachineError: this machine forbids it, or has no TUN for us.
        """
        assert bearers, "a network for nobody has no address"
        with ExitStack() as resources:
            namespace = resources.enter_context(NetworkNamespace.create())
            tuns = namespace.run(lambda: _make_interfaces(bearers))
            resources.callback(close_all, tuns)
            device = FairDevice(tuns, namespace)
            resources.callback(device.close)
            # First the server: it starts up while we go on.
            server = resources.enter_context(DemoServer.start(namespace, http_port))
            namespace.run(lambda: _configure(tuns, bearers))
            port = "" if server.port == 80 else f":{server.port}"
            url = f"http://{bearers[0].gateway4}{port}/"
            return cls(namespace, tuns, device, server, url, resources.pop_all())

    def close(self) -> None:
        """Stop the server and remove the interface; the namespace ends with them."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _make_interfaces(bearers: Sequence[Bearer]) -> list[Tun]:
    prepare_namespace()
    tuns: list[Tun] = []
    try:
        for bearer in bearers:
            tuns.append(Tun.create(f"pdn{bearer.channel}", mtu=bearer.mtu))
    except BaseException:
        close_all(tuns)
        raise
    return tuns


def _configure(tuns: Sequence[Tun], bearers: Sequence[Bearer]) -> None:
    """Give the gateways their addresses, and route to the bearers; in a thread of the namespace."""
    with Netlink() as netlink:
        netlink.set_up(LOOPBACK_INDEX)
        for tun, bearer in zip(tuns, bearers, strict=True):
            netlink.set_up(tun.index)
            # The network is a route of its own, so that the gateway need not lie in it.
            netlink.add_address(tun.index, ip_interface(bearer.gateway4))
            network4 = ip_network((bearer.address4, bearer.prefix4_length), strict=False)
            netlink.add_route(tun.index, network4)
            try:
                netlink.add_address(tun.index, ip_interface(bearer.gateway6))
                netlink.add_route(tun.index, bearer.prefix6)
            except MachineError:
                continue  # this kernel has no IPv6, or it is switched off: then wwan0 has none either
