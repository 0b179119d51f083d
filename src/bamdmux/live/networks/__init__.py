"""The networks that may lie behind the modem, by the names that `bamdmux run --network` takes.

    internal    a namespace with the gateways of all bearers and an HTTP server; no way out
    passt       the caller's own network, by way of passt(1); needs no root; one bearer
    tun:NAME    a TUN in the caller's network namespace, for who brings a network

Each is a module of its own, imported when it is asked for: `open_network`.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from bamdmux.errors import UsageError
from bamdmux.modem.network import Bearer
from bamdmux.netdevice import NetDevice

TUN_PREFIX: Final = "tun:"
KINDS: Final = ("internal", "passt", f"{TUN_PREFIX}NAME")


class NetworkDevice(NetDevice, Protocol):
    """The modem's end of a network."""

    def fileno(self) -> int:
        """Readable while `read_into` is worth calling; the same number until the network is closed."""

    @property
    def has_packet(self) -> bool:
        """Whether `read_into` is worth calling though the descriptor is not readable."""

    def limit_segments(self, count: int) -> None:
        """Let the network make super-packets of at most so many segments: more do not fit the ring."""


class Network(Protocol):
    """A network behind the modem, until it is closed."""

    @property
    def kind(self) -> str:
        """What it was asked for as."""

    @property
    def device(self) -> NetworkDevice: ...

    @property
    def http_url(self) -> str | None:
        """An HTTP server in the network, as the first bearer sees it; with a slash at the end."""

    @property
    def server_pid(self) -> int | None:
        """The process that serves the network."""

    @property
    def resolv_conf(self) -> str | None:
        """What /etc/resolv.conf should say on the host; None: nothing of ours."""

    @property
    def host_settings(self) -> Mapping[str, str]:
        """What to set on the host for the sake of this network: paths below /proc/sys, and values."""

    def close(self) -> None: ...


def network_status(network: Network) -> dict[str, object]:
    """For JSON: all that is to be known of a network besides its packets."""
    return {
        "kind": network.kind,
        "pid": network.server_pid,
        "http_url": network.http_url,
        "resolv_conf": network.resolv_conf,
        "host_settings": network.host_settings,
    }


def check_kind(kind: str) -> None:
    """See whether there is such a kind of network.

    Raises:
        UsageError: there is none.
    """
    is_named_tun = kind.startswith(TUN_PREFIX) and kind != TUN_PREFIX
    if not is_named_tun and kind not in KINDS[:2]:
        raise UsageError(f"network {kind!r} is not one of {', '.join(KINDS)}")


def open_network(kind: str, bearers: Sequence[Bearer]) -> Network:
    """Make the network that these bearers reach.

    Call it from a thread that lives as long as the network shall (the main one), and in the network namespace
    of the caller: that is where passt and a TUN belong.

    Raises:
        UsageError: there is no such kind.
        MachineError: this machine lacks something.
    """
    check_kind(kind)
    assert bearers, "a network for nobody has no address"
    if kind == "internal":
        from bamdmux.live.networks.internal import InternalNetwork

        return InternalNetwork.create(bearers)
    if kind == "passt":
        from bamdmux.live.networks.passt import PasstNetwork

        return PasstNetwork.create(bearers)
    from bamdmux.live.networks.caller_tun import CallerTunNetwork

    return CallerTunNetwork.create(kind.removeprefix(TUN_PREFIX), bearers)
