"""Data calls: who brought which bearer up, for which version of IP, and why it went down.

A call is one version of IP on one channel; a dual stack is two calls. While a call is up, its bearer carries
packets of that version; with the last word about it the bearer is shut, in both directions, and counts what
it refuses (network.py, uplink.py, downlink.py).

A call belongs to the client that started it, and ends with that client. The calls of a modem that is always
on, as plain `bamdmux run` has it, belong to the network: whoever asks for one of those takes it over.

Sources: 3GPP TS 24.008 section 6.1.3 and annex I (session management, causes).
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from itertools import count
from typing import Final

from bamdmux.modem.network import Bearer, PacketDataNetwork

DEFAULT_APN: Final = "internet"


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """An APN of the network, and the versions of IP that it gives.

    Args:
        credentials: user name and password that it wants; None: whoever comes may enter.
    """

    name: str
    versions: frozenset[int] = frozenset((4, 6))
    credentials: tuple[str, str] | None = None


# The rules of the network: one APN for everybody, and one for each way in which others differ.
ACCESS_POINTS: Final = {
    each.name: each
    for each in (
        AccessPoint(DEFAULT_APN),
        AccessPoint("ipv4.internet", frozenset((4,))),
        AccessPoint("ipv6.internet", frozenset((6,))),
        AccessPoint("company", credentials=("user", "secret")),
    )
}


@unique
class CallEnd(Enum):
    """Why a call is over, or was never begun; the value is for people."""

    CLIENT_ENDED = "the client ended it"
    CLIENT_GONE = "its client was released"
    DROPPED = "the network dropped it"
    NO_SERVICE = "not registered"
    LOW_POWER = "the radio was switched off"
    NO_SIM = "the SIM is not ready"
    UNKNOWN_APN = "there is no such APN"
    ONLY_IPV4 = "the APN gives only IPv4"
    ONLY_IPV6 = "the APN gives only IPv6"
    BAD_CREDENTIALS = "user name or password is wrong"
    NO_RESOURCES = "the network refuses a second call to the same channel"
    NO_CHANNEL = "the modem has no such channel"


@dataclass(frozen=True, slots=True)
class Call:
    """One version of IP on one channel, while it is up.

    Args:
        handle: the packet data handle of WDS, never 0.
        owner: the client that started it; None: the network.
    """

    handle: int
    channel: int
    version: int
    apn: str
    owner: Hashable | None


@dataclass(frozen=True, slots=True)
class CallChanged:
    """A call came up or ended."""

    call: Call
    end: CallEnd | None  # None: it came up


class DataCalls:
    """The calls of a modem, by channel and version of IP.

    Args:
        refuses_second: the network refuses the second version of a dual stack.
    """

    def __init__(self, network: PacketDataNetwork, *, refuses_second: bool = False) -> None:
        self._network = network
        self._refuses_second = refuses_second
        self._handles = count(0x6000_0001)
        self._calls: dict[tuple[int, int], Call] = {}
        self._changes: list[CallChanged] = []
        for bearer in self.bearers:
            bearer.deactivate(4, 6)

    @property
    def bearers(self) -> list[Bearer]:
        """Those that the modem has, up or down, by channel."""
        return [bearer for bearer in self._network.bearers if bearer is not None]

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def find(self, channel: int, version: int) -> Call | None:
        return self._calls.get((channel, version))

    def owned_by(self, owner: Hashable) -> list[Call]:
        return [call for call in self._calls.values() if call.owner == owner]

    def bearer(self, channel: int) -> Bearer | None:
        """The bearer of a channel, up or down; None if the modem has no such channel."""
        return self._network.bearers[channel] if 0 <= channel < len(self._network.bearers) else None

    def start(
        self, owner: Hashable, channel: int, version: int, apn: str, credentials: tuple[str, str] = ("", "")
    ) -> Call | CallEnd:
        """Bring a call up; or say why not.

        One that is up already is joined: the network's becomes the client's own, another client's is refused
        nothing, for both then use the same bearer; it stays its starter's.
        """
        bearer = self.bearer(channel)
        if bearer is None:
            return CallEnd.NO_CHANNEL
        access_point = find_access_point(apn)
        if access_point is None:
            return CallEnd.UNKNOWN_APN
        if version not in access_point.versions:
            return CallEnd.ONLY_IPV6 if version == 4 else CallEnd.ONLY_IPV4
        if access_point.credentials not in (None, credentials):
            return CallEnd.BAD_CREDENTIALS
        present = self.find(channel, version)
        if present is not None and present.owner is not None:
            return present
        if present is None and self._refuses_second and bearer.versions:
            return CallEnd.NO_RESOURCES
        return self._add(Call(next(self._handles), channel, version, access_point.name, owner))

    def _add(self, call: Call) -> Call:
        bearer = self.bearer(call.channel)
        assert bearer is not None
        self._calls[call.channel, call.version] = call
        bearer.activate(call.version)
        self._changes.append(CallChanged(call, None))
        return call

    def start_all(self, *, channel: int | None = None) -> None:
        """Bring up whatever is down, on all channels or one: calls of the network's own."""
        for bearer in self.bearers:
            for version in (4, 6):
                if channel in (None, bearer.channel) and not self.find(bearer.channel, version):
                    self._add(Call(next(self._handles), bearer.channel, version, DEFAULT_APN, None))

    def end(self, call: Call, reason: CallEnd) -> None:
        """Take a call down."""
        bearer = self.bearer(call.channel)
        assert bearer is not None
        del self._calls[call.channel, call.version]
        bearer.deactivate(call.version)
        self._changes.append(CallChanged(call, reason))

    def end_all(self, reason: CallEnd, *, channel: int | None = None) -> int:
        """Take all calls down, or all of a channel; how many there were."""
        ending = [call for call in self._calls.values() if channel in (None, call.channel)]
        for call in ending:
            self.end(call, reason)
        return len(ending)

    def take_changes(self) -> list[CallChanged]:
        changes, self._changes = self._changes, []
        return changes


def find_access_point(apn: str) -> AccessPoint | None:
    """What the network makes of an APN: upper and lower case are one, an operator's suffix is left out.

    No APN at all is the subscription's default: 3GPP TS 23.401 section 5.3.2.
    """
    name = apn.lower()
    if name.endswith(".gprs"):  # "internet.mnc001.mcc001.gprs", TS 23.003 section 9.1
        name = ".".join(name.split(".")[:-3])
    return ACCESS_POINTS.get(name or DEFAULT_APN)
