"""Data calls: who brought which bearer up, for which version of IP, and why it went down.

A call is one version of IP on one channel; a dual stack is two calls. While there is a call, its bearer
carries packets of that version; with the end of the last one the bearer is shut, in both directions, and
counts what it refuses (network.py, uplink.py, downlink.py).

A call belongs to the client that started it, and ends with that client. Several clients may have the same
bearer up: each has a call of its own, and the bearer stays until all of them are over. What the network keeps
up by itself, as plain `bamdmux run` has it, belongs to nobody: whoever asks for one of those takes it over.

Sources: 3GPP TS 24.008 section 6.1.3 and annex I (session management, causes), TS 23.003 section 9.1 (APNs).
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from itertools import count
from typing import Final

from bamdmux.modem.control.traffic import Meter
from bamdmux.modem.network import Bearer, PacketDataNetwork

DEFAULT_APN: Final = "internet"

Credentials = tuple[str, str]  # user name and password; two empty texts: none
NO_CREDENTIALS: Final[Credentials] = ("", "")


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """An APN of the network, and the versions of IP that it gives.

    Args:
        credentials: those that it wants; None: whoever comes may enter.
        is_subscribed: whether the card's owner has paid for it.
    """

    name: str
    versions: frozenset[int] = frozenset((4, 6))
    credentials: Credentials | None = None
    is_subscribed: bool = True


# The rules of the network: one APN for everybody, and one for each way in which others differ.
ACCESS_POINTS: Final = {
    each.name: each
    for each in (
        AccessPoint(DEFAULT_APN),
        AccessPoint("ipv4.internet", frozenset((4,))),
        AccessPoint("ipv6.internet", frozenset((6,))),
        AccessPoint("company", credentials=("user", "secret")),
        AccessPoint("ims", is_subscribed=False),
    )
}
_OPERATOR_SUFFIX: Final = re.compile(r"\.mnc\d{2,3}\.mcc\d{3}\.gprs$")


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
    NOT_SUBSCRIBED = "the subscription does not have this APN"
    ONLY_IPV4 = "the APN gives only IPv4"
    ONLY_IPV6 = "the APN gives only IPv6"
    BAD_CREDENTIALS = "user name or password is wrong"
    ONE_VERSION = "the network refuses the second version of IP"
    CHANNEL_IN_USE = "the channel is in use for another APN"
    NO_CHANNEL = "the modem has no such channel"


@dataclass(frozen=True, slots=True)
class Call:
    """One version of IP on one channel, while its owner has it up.

    Args:
        handle: the packet data handle of WDS, never 0.
        owner: the client that started it; None: the network.
        context_index: the stored context that it was started with, if that was so.
    """

    handle: int
    channel: int
    version: int
    apn: str
    owner: Hashable | None
    username: str = ""
    context_index: int | None = None


@dataclass(frozen=True, slots=True)
class CallChanged:
    """A bearer came up for a version of IP, or was taken over, or went down."""

    call: Call
    end: CallEnd | None  # None: it came up


class DataCalls:
    """The calls of a modem.

    Args:
        refuses_second: the network refuses the second version of a dual stack.
    """

    def __init__(self, network: PacketDataNetwork, *, refuses_second: bool = False) -> None:
        self._network = network
        self._refuses_second = refuses_second
        self._handles = count(0x6000_0001)
        self._calls: dict[int, Call] = {}  # by handle
        self._kept: dict[tuple[int, int], tuple[str, Credentials]] = {}  # by channel and version
        self._changes: list[CallChanged] = []
        self.meters = {bearer.channel: Meter(bearer) for bearer in self.bearers}
        for bearer in self.bearers:
            bearer.deactivate(4, 6)

    @property
    def bearers(self) -> list[Bearer]:
        """Those that the modem has, up or down, by channel."""
        return [bearer for bearer in self._network.bearers if bearer is not None]

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def of(self, channel: int, version: int) -> list[Call]:
        """The calls of a bearer for a version of IP, the oldest first; while there is one, packets pass."""
        return [call for call in self if (call.channel, call.version) == (channel, version)]

    def find(self, channel: int, version: int) -> Call | None:
        """The oldest of them."""
        return next(iter(self.of(channel, version)), None)

    def owned_by(self, owner: Hashable) -> list[Call]:
        return [call for call in self if call.owner == owner]

    def bearer(self, channel: int) -> Bearer | None:
        """The bearer of a channel, up or down; None if the modem has no such channel."""
        return self._network.bearers[channel] if 0 <= channel < len(self._network.bearers) else None

    # Begin

    def start(
        self,
        owner: Hashable | None,
        channel: int,
        version: int,
        apn: str,
        credentials: Credentials = NO_CREDENTIALS,
        context_index: int | None = None,
    ) -> Call | CallEnd:
        """Bring a call up; or say why not. The one that this owner has up already is returned as it is."""
        bearer = self.bearer(channel)
        if bearer is None:
            return CallEnd.NO_CHANNEL
        present = self.of(channel, version)
        access_point = self._admit(bearer, version, apn, credentials, is_up=bool(present))
        if isinstance(access_point, CallEnd):
            return access_point
        for call in present:
            if call.owner is None and owner is not None:
                del self._calls[call.handle]  # the network's: ours from now on
            elif call.apn != access_point.name:
                return CallEnd.CHANNEL_IN_USE
            elif call.owner == owner:
                return call
        return self._add(
            Call(
                next(self._handles), channel, version, access_point.name, owner, credentials[0], context_index
            )
        )

    def _admit(
        self, bearer: Bearer, version: int, apn: str, credentials: Credentials, *, is_up: bool
    ) -> AccessPoint | CallEnd:
        """What the network says to somebody who wants in."""
        access_point = find_access_point(apn)
        if access_point is None:
            return CallEnd.UNKNOWN_APN
        if not access_point.is_subscribed:
            return CallEnd.NOT_SUBSCRIBED
        if version not in access_point.versions:
            return CallEnd.ONLY_IPV6 if version == 4 else CallEnd.ONLY_IPV4
        if access_point.credentials not in (None, credentials):
            return CallEnd.BAD_CREDENTIALS
        if self._refuses_second and bearer.is_up and not is_up:
            return CallEnd.ONE_VERSION
        return access_point

    def _add(self, call: Call) -> Call:
        others = self.of(call.channel, call.version)
        self._calls[call.handle] = call
        if not others:
            bearer = self.bearer(call.channel)
            assert bearer is not None
            if not bearer.is_up:
                self.meters[call.channel].begin()
            bearer.activate(call.version)
            self._changes.append(CallChanged(call, None))
        return call

    def start_all(self, *, channel: int | None = None) -> None:
        """Bring up whatever is down, for both versions of IP and everybody: the network's own.

        Args:
            channel: only this one's.
        """
        for bearer in self.bearers:
            for version in (4, 6):
                if channel in (None, bearer.channel) and not self.of(bearer.channel, version):
                    self.start(None, bearer.channel, version, DEFAULT_APN)

    # What is brought up by itself

    def keep(self, channel: int, version: int, apn: str, credentials: Credentials = NO_CREDENTIALS) -> None:
        """Bring this one up from now on whenever there is a network: WDS calls it autoconnect."""
        self._kept[channel, version] = (apn, credentials)

    def keep_all(self) -> None:
        """Likewise every version of every bearer."""
        for bearer in self.bearers:
            for version in (4, 6):
                self.keep(bearer.channel, version, DEFAULT_APN)

    def keeps(self, channel: int) -> bool:
        return any(kept_channel == channel for kept_channel, _ in self._kept)

    def let_go(self, channel: int) -> None:
        """Bring nothing up on this channel any more unless a client asks; what is up stays."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] != channel}

    def start_kept(self) -> None:
        """There is a network."""
        for (channel, version), (apn, credentials) in self._kept.items():
            if not self.of(channel, version):
                self.start(None, channel, version, apn, credentials)

    # End

    def end(self, call: Call, reason: CallEnd) -> None:
        """Take a call down; its bearer, if nobody else has that up."""
        del self._calls[call.handle]
        if self.of(call.channel, call.version):
            return
        bearer = self.bearer(call.channel)
        assert bearer is not None
        bearer.deactivate(call.version)
        if not bearer.is_up:
            self.meters[call.channel].end()
        self._changes.append(CallChanged(call, reason))

    def end_all(self, reason: CallEnd, *, channel: int | None = None, version: int | None = None) -> int:
        """Take all calls down, or all of a channel, of a version of IP; how many there were."""
        ending = [
            call for call in self if channel in (None, call.channel) and version in (None, call.version)
        ]
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
    name = _OPERATOR_SUFFIX.sub("", apn.lower())  # "internet.mnc001.mcc001.gprs"
    return ACCESS_POINTS.get(name or DEFAULT_APN)
