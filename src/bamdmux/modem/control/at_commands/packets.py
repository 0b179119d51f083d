"""AT commands about data: contexts, and the bearers that they bring up.

Context N of +CGDCONT is for channel N-1, so that +CGACT=1,N brings up the bearer of wwan(N-1): the data of a
BAM-DMUX modem never goes over its AT port. A call that +CGACT began belongs to AT, whichever port it was;
+CGACT=0 ends whatever is up on the channel, whoever began it.

Sources: 3GPP TS 27.007 sections 10.1.1 (+CGDCONT), 10.1.9 (+CGATT), 10.1.10 (+CGACT), 10.1.14 (+CGPADDR),
10.1.19 (+CGEREP), 10.1.23 (+CGCONTRDP), 10.1.31 (+CGAUTH); TS 23.003 section 9.1 (APNs).
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from bamdmux.modem.control.at_commands.language import (
    AtFailure,
    CmeError,
    Command,
    Invocation,
    Lines,
    Settings,
    Teller,
    number,
    quoted,
    says,
)
from bamdmux.modem.control.contexts import CONTEXT_COUNT, Context
from bamdmux.modem.control.data_calls import CallChanged, CallEnd
from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.modem.control.preferences import Domain, Restriction
from bamdmux.modem.network import Bearer

_VERSIONS: Final[dict[str, tuple[int, ...]]] = {"IP": (4,), "IPV6": (6,), "IPV4V6": (4, 6)}
_TYPES: Final = {versions: name for name, versions in _VERSIONS.items()}
_REFUSALS: Final = {
    CallEnd.NO_SERVICE: CmeError.NO_NETWORK_SERVICE,
    CallEnd.LOW_POWER: CmeError.NO_NETWORK_SERVICE,
    CallEnd.NO_SIM: CmeError.SIM_FAILURE,
    CallEnd.UNKNOWN_APN: CmeError.UNKNOWN_APN,
    CallEnd.NOT_SUBSCRIBED: CmeError.SERVICE_OPTION_NOT_SUBSCRIBED,
    CallEnd.BAD_CREDENTIALS: CmeError.AUTHENTICATION_FAILURE,
    CallEnd.CHANNEL_IN_USE: CmeError.OPERATION_NOT_ALLOWED,
    CallEnd.NO_CHANNEL: CmeError.OPERATION_NOT_SUPPORTED,
}

_APN: Final = re.compile(r"[A-Za-z0-9.\-]{0,100}")
_SECRET: Final = re.compile(r"[ -~]{0,127}")  # user name or password: of TS 24.008's options, one byte counts
_ANY_ADDRESS: Final = re.compile(r"[0.:]*")  # the network gives one: there is no other way here
_BEARER_ID: Final = 5  # of the first channel: EPS bearer identities begin there, TS 24.007 section 11.2.3.1.5


# Contexts


def _find(equipment: Equipment, index_text: str) -> Context:
    context = equipment.contexts.find(number(index_text, 0, 255))
    if context is None:
        raise AtFailure(CmeError.INVALID_INDEX)
    return context


def _read_contexts(invocation: Invocation) -> Lines:
    return [
        f'+CGDCONT: {context.index},"{_TYPES.get(context.versions, "IPV4V6")}",{quoted(context.apn)},"",0,0'
        for context in invocation.equipment.contexts.all()
    ]


def _define_context(invocation: Invocation) -> Lines:
    """The index alone takes a context away."""
    index_text, *rest = invocation.parameters()
    contexts = invocation.equipment.contexts
    if not rest:
        contexts.delete(_find(invocation.equipment, index_text).index)
        return []
    kind, apn, address, *options = [*rest, "", ""][: max(3, len(rest))]
    is_ours = _APN.fullmatch(apn) and _ANY_ADDRESS.fullmatch(address) and set(options) <= {"", "0"}
    if kind.upper() not in _VERSIONS or not is_ours:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    if contexts.define(number(index_text, 0, 255), versions=_VERSIONS[kind.upper()], apn=apn) is None:
        raise AtFailure(CmeError.INVALID_INDEX)
    return []


def _read_authentication(invocation: Invocation) -> Lines:
    return [
        f"+CGAUTH: {each.index},{each.authentication},{quoted(each.username)},{quoted(each.password)}"
        for each in invocation.equipment.contexts.all()
    ]


def _set_authentication(invocation: Invocation) -> Lines:
    """Protocol 0 none, 1 PAP, 2 CHAP; then user name and password."""
    index_text, *rest = invocation.parameters(most=4)
    context = _find(invocation.equipment, index_text)
    protocol = number(rest[0] if rest else "0", 0, 2)
    username, password = [*rest[1:], "", ""][:2] if protocol else ("", "")
    if not (_SECRET.fullmatch(username) and _SECRET.fullmatch(password)):
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    invocation.equipment.contexts.define(
        context.index, authentication=protocol, username=username, password=password
    )
    return []


# Attached or not


def _read_attachment(invocation: Invocation) -> Lines:
    return [f"+CGATT: {int(invocation.equipment.registration.is_registered)}"]


def _set_attachment(invocation: Invocation) -> Lines:
    """Who does not want packets does not want LTE: a detached modem is not registered."""
    equipment = invocation.equipment
    (wanted,) = invocation.numbers((0, 1))
    if not wanted:
        equipment.prefer(invocation.now, is_stored=False, domain=Domain.CIRCUITS)
        return []
    preferences = equipment.registration.preferences
    if not equipment.is_radio_on or preferences.restriction is not Restriction.NONE:
        raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)
    if preferences.domain is Domain.CIRCUITS:
        equipment.prefer(invocation.now, is_stored=False, domain=Domain.BOTH)
    return []


# Calls


def _read_activation(invocation: Invocation) -> Lines:
    active = _active_channels(invocation.equipment)
    return [
        f"+CGACT: {context.index},{int(context.index - 1 in active)}"
        for context in invocation.equipment.contexts.all()
    ]


def _active_channels(equipment: Equipment) -> set[int]:
    return {bearer.channel for bearer in equipment.calls.bearers if bearer.is_up}


def _activate(invocation: Invocation) -> Lines:
    """The contexts that are named, or all of them; the first that fails is the last."""
    equipment, (wanted, *indexes) = invocation.equipment, invocation.parameters()
    is_wanted = bool(number(wanted, 0, 1))
    for context in [_find(equipment, text) for text in indexes] or equipment.contexts.all():
        if is_wanted:
            _start_calls(equipment, context)
        else:
            equipment.calls.end_all(CallEnd.CLIENT_ENDED, channel=context.index - 1)
    return []


def _start_calls(equipment: Equipment, context: Context) -> None:
    """Bring up what the context asks for; one version of two that is refused is no failure."""
    channel, credentials = context.index - 1, (context.username, context.password)
    refusals: list[CallEnd] = []
    for version in context.versions:
        owner = ("at", context.index)
        outcome = equipment.start_call(owner, channel, version, context.apn, credentials, context.index)
        if isinstance(outcome, CallEnd):
            refusals.append(outcome)
    if len(refusals) == len(context.versions):
        raise AtFailure(_REFUSALS.get(refusals[0], CmeError.UNSPECIFIED_PACKET_ERROR))


# What they were given


def _addresses(invocation: Invocation) -> Lines:
    lines = []
    for context, bearer in _named_contexts(invocation):
        shown = [f"+CGPADDR: {context.index}"]
        if bearer is not None and bearer.limit4:
            shown.append(f'"{bearer.address4}"')
        if bearer is not None and bearer.limit6:
            shown.append(f'"{_dotted(bearer.address6)}"')
        lines.append(",".join(shown))
    return lines


def _dynamic_parameters(invocation: Invocation) -> Lines:
    """For each version: address and mask, gateway, name servers. What is not up has none."""
    lines = []
    for context, bearer in _named_contexts(invocation):
        for version in () if bearer is None else bearer.versions:
            assert bearer is not None
            call = invocation.equipment.calls.find(bearer.channel, version)
            assert call is not None, "a bearer is up without a call"
            shown = [f"+CGCONTRDP: {context.index}", str(_BEARER_ID + bearer.channel), quoted(call.apn)]
            lines.append(",".join([*shown, *(f'"{each}"' for each in _given(bearer, version))]))
    return lines


def _named_contexts(invocation: Invocation) -> list[tuple[Context, Bearer | None]]:
    """Those that a command names, or all, with their bearers."""
    equipment = invocation.equipment
    indexes = invocation.parameters() if invocation.text else []
    contexts = [_find(equipment, text) for text in indexes] or equipment.contexts.all()
    return [(context, equipment.calls.bearer(context.index - 1)) for context in contexts]


def _given(bearer: Bearer, version: int) -> Iterable[str]:
    """Address and mask are one text, all numbers with dots: TS 27.007 section 10.1.23."""
    if version == 4:
        mask = IPv4Network((bearer.address4, bearer.prefix4_length), strict=False).netmask
        yield f"{bearer.address4}.{mask}"
        yield str(bearer.gateway4)
        yield from map(str, bearer.name_servers4[:2])
    else:
        yield f"{_dotted(bearer.address6)}.{_dotted(bearer.prefix6.netmask)}"
        yield _dotted(bearer.gateway6)
        yield from map(_dotted, bearer.name_servers6[:2])


def _dotted(address: IPv4Address | IPv6Address) -> str:
    """Without +CGPIAF an IPv6 address is sixteen numbers."""
    return ".".join(map(str, address.packed))


def _list_active(name: str) -> Command:
    def test(invocation: Invocation) -> Lines:
        active = _active_channels(invocation.equipment)
        indexes = [each.index for each in invocation.equipment.contexts.all() if each.index - 1 in active]
        return [f"{name}: ({','.join(map(str, indexes))})"]

    handler = {"+CGPADDR": _addresses, "+CGCONTRDP": _dynamic_parameters}[name]
    return Command(execute=handler, set=handler, test=test)


# What is said unasked


def _set_packet_events(invocation: Invocation) -> Lines:
    mode, buffering = invocation.numbers((0, 2), (0, 1))
    invocation.settings.packet_events = (mode, buffering)
    invocation.settings.told_active = _active_channels(invocation.equipment)
    return []


def tell_of_calls(change: Change, settings: Settings, equipment: Equipment) -> Lines:
    """A context is up with its first version of IP, and down with its last."""
    if not isinstance(change, CallChanged) or not settings.packet_events[0]:
        return []
    channel = change.call.channel
    is_active = channel in _active_channels(equipment)
    if is_active is (channel in settings.told_active):
        return []
    side = "NW" if change.end is CallEnd.DROPPED else "ME"
    settings.told_active ^= {channel}
    return [f"+CGEV: {side} PDN {'ACT' if is_active else 'DEACT'} {channel + 1}"]


UNSOLICITED: Final[tuple[Teller, ...]] = (tell_of_calls,)
COMMANDS: Final = {
    "+CGDCONT": Command(
        read=_read_contexts,
        set=_define_context,
        test=says(*(f'+CGDCONT: (1-{CONTEXT_COUNT}),"{kind}",,,(0),(0)' for kind in _VERSIONS)),
    ),
    "+CGAUTH": Command(
        read=_read_authentication,
        set=_set_authentication,
        test=says(f"+CGAUTH: (1-{CONTEXT_COUNT}),(0-2),127,127"),
    ),
    "+CGATT": Command(read=_read_attachment, set=_set_attachment, test=says("+CGATT: (0,1)")),
    "+CGACT": Command(read=_read_activation, set=_activate, test=says("+CGACT: (0,1)")),
    "+CGPADDR": _list_active("+CGPADDR"),
    "+CGCONTRDP": _list_active("+CGCONTRDP"),
    "+CGEREP": Command(
        read=lambda each: ["+CGEREP: {},{}".format(*each.settings.packet_events)],
        set=_set_packet_events,
        test=says("+CGEREP: (0-2),(0,1)"),
    ),
}
