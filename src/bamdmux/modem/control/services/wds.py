"""WDS: data calls, what they were given by the network, what they carry, and the stored profiles.

A client has one channel (Bind Data Port; 0 at first) and one version of IP (Set IP Family, or the request to
start; IPv4 at first), and everything that it asks is about these two. So a dual stack is two clients.
Profiles are the contexts of the modem.
"""

from ipaddress import IPv4Network
from typing import Any, Final

from bamdmux.modem.control.contexts import Context
from bamdmux.modem.control.data_calls import (
    NO_CREDENTIALS,
    Call,
    CallChanged,
    CallEnd,
    Credentials,
    find_access_point,
)
from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.modem.control.services import (
    NOTHING,
    Answer,
    Client,
    Failure,
    Handler,
    Indication,
    Indicator,
    Request,
    Values,
)
from bamdmux.modem.control.services.call_ends import call_end_values
from bamdmux.modem.control.traffic import Traffic
from bamdmux.modem.network import Bearer
from bamdmux.timing import SECOND, Instant
from bamdmux.wire.qmi.values import (
    Authentication,
    AutoconnectSetting,
    ConnectionStatus,
    DataCallStatus,
    EndpointType,
    IpFamily,
    IpSupport,
    PacketStatistics,
    PdpType,
    ProfileType,
    QmiError,
    RequestedSettings,
    TechnologyPreference,
    channel_of_data_port,
)

GLOBAL_HANDLE: Final = 0xFFFF_FFFF  # whatever is up, whoever started it
ALL_SETTINGS: Final = 0xFFFF_FFFF  # what a request without a mask asks for

_PDP_TYPES: Final[dict[tuple[int, ...], PdpType]] = {(4,): PdpType.IPV4, (6,): PdpType.IPV6}
_IP_SUPPORT: Final[dict[tuple[int, ...], IpSupport]] = {(4,): IpSupport.IPV4, (6,): IpSupport.IPV6}


# Which channel and which version of IP


def bind_data_port(request: Request) -> Answer:
    if (error := request.equipment.profile.bind_data_port) != QmiError.NONE:
        return Failure(QmiError(error))
    return _bind(request, channel_of_data_port(request.values["data_port"]))


def bind_mux_data_port(request: Request) -> Answer:
    """The endpoint names the channel; there are no further links on it, so its mux id is 0."""
    if (error := request.equipment.profile.bind_mux_data_port) != QmiError.NONE:
        return Failure(QmiError(error))
    endpoint = request.values.get("endpoint_info")
    if endpoint is None:
        return Failure(QmiError.MISSING_ARGUMENT)
    if endpoint["endpoint_type"] != EndpointType.BAM_DMUX or request.values.get("mux_id", 0) != 0:
        return Failure(QmiError.INVALID_ARGUMENT)
    return _bind(request, endpoint["interface_number"])


def _bind(request: Request, channel: int | None) -> Answer:
    if channel is None or request.equipment.calls.bearer(channel) is None:
        return Failure(QmiError.INVALID_ARGUMENT)
    request.client.channel = channel
    return NOTHING


def set_ip_family(request: Request) -> Answer:
    preference = request.values["preference"]
    if preference not in (IpFamily.IPV4, IpFamily.IPV6):
        return Failure(QmiError.INVALID_ARGUMENT)
    request.client.version = preference
    return NOTHING


# Calls


def start_network(request: Request) -> Answer:
    values, client, calls = request.values, request.client, request.equipment.calls
    context, error = _context(request)
    if error is not QmiError.NONE:
        return Failure(error)
    version = _version(values, client, context)
    if version is None:
        return Failure(QmiError.INVALID_IP_FAMILY_PREFERENCE)
    if any(call.owner == client for call in calls.of(client.channel, version)):
        return Failure(QmiError.NO_EFFECT)
    apn = values.get("apn", context.apn)
    credentials = _credentials(values, context)
    outcome = request.equipment.start_call(
        client, client.channel, version, apn, credentials, context.index or None
    )
    if isinstance(outcome, CallEnd):
        return Failure(QmiError.CALL_FAILED, call_end_values(outcome))
    client.version = version
    if values.get("enable_autoconnect"):
        calls.keep(client.channel, version, apn, credentials)
    return {"packet_data_handle": outcome.handle}


def _context(request: Request) -> tuple[Context, QmiError]:
    """What is stored of the call: the profile that was named, or the default one if nothing was."""
    values, contexts = request.values, request.equipment.contexts
    technology = values.get("technology_preference", TechnologyPreference.THREE_GPP)
    nothing = Context(index=0)
    if not technology & TechnologyPreference.THREE_GPP:
        return nothing, QmiError.INVALID_TECHNOLOGY_PREFERENCE
    index = values.get("profile_index_3gpp")
    if index is None:
        return (nothing if "apn" in values else contexts.default or nothing), QmiError.NONE
    context = contexts.find(index)
    return (nothing, QmiError.INVALID_PROFILE) if context is None else (context, QmiError.NONE)


def _version(values: Values, client: Client, context: Context) -> int | None:
    """What was asked for; or what the client has chosen, if the profile allows that. None: there is none."""
    preference: int = values.get("ip_family_preference", IpFamily.UNSPECIFIED)
    if preference == IpFamily.UNSPECIFIED:
        return client.version if client.version in context.versions else context.versions[0]
    return preference if preference in (IpFamily.IPV4, IpFamily.IPV6) else None


def _credentials(values: Values, context: Context) -> Credentials:
    """User name and password; they are for the eyes of a protocol, and without one nobody sees them."""
    username = values.get("username", context.username)
    password = values.get("password", context.password)
    is_shown = values.get("authentication_preference") != Authentication.NONE
    return (username, password) if is_shown else NO_CREDENTIALS


def stop_network(request: Request) -> Answer:
    handle, client, calls = request.values["packet_data_handle"], request.client, request.equipment.calls
    was_kept = calls.keeps(client.channel)
    if request.values.get("disable_autoconnect"):
        calls.let_go(client.channel)
    if handle == GLOBAL_HANDLE:
        ended = calls.end_all(CallEnd.CLIENT_ENDED, channel=client.channel, version=client.version)
        changed = ended or was_kept != calls.keeps(client.channel)
        return NOTHING if changed else Failure(QmiError.NO_EFFECT)
    for call in calls.owned_by(client):
        if call.handle == handle:
            calls.end(call, CallEnd.CLIENT_ENDED)
            return NOTHING
    return Failure(QmiError.INVALID_HANDLE)


def get_packet_service_status(request: Request) -> Answer:
    client = request.client
    bearer = request.equipment.calls.bearer(client.channel)
    is_up = bearer is not None and client.version in bearer.versions
    return {"connection_status": ConnectionStatus.CONNECTED if is_up else ConnectionStatus.DISCONNECTED}


def get_autoconnect_settings(request: Request) -> Answer:
    is_kept = request.equipment.calls.keeps(request.client.channel)
    return {"status": AutoconnectSetting.ENABLED if is_kept else AutoconnectSetting.DISABLED}


# What a call was given


def get_current_settings(request: Request) -> Answer:
    client, equipment = request.client, request.equipment
    call = _call(equipment, client)
    if call is None:
        return Failure(QmiError.OUT_OF_CALL)
    bearer = equipment.calls.bearer(call.channel)
    assert bearer is not None
    asked = request.values.get("requested_settings", ALL_SETTINGS)
    groups = {
        RequestedSettings.PROFILE_ID: _profile_id(call),
        RequestedSettings.PDP_TYPE: {"pdp_type": _PDP_TYPES[(call.version,)]},
        RequestedSettings.APN_NAME: {"apn_name": call.apn},
        RequestedSettings.USERNAME: {"username": call.username} if call.username else {},
        RequestedSettings.MTU: {"mtu": bearer.limit4 if call.version == 4 else bearer.limit6},
        RequestedSettings.IP_FAMILY: {"ip_family": call.version},
        **(_settings4(bearer) if call.version == 4 else _settings6(bearer)),
    }
    return {name: value for bit, group in groups.items() if asked & bit for name, value in group.items()}


def _call(equipment: Equipment, client: Client) -> Call | None:
    """The call that a client's questions are about: its own, or the one that is up."""
    calls = equipment.calls.of(client.channel, client.version)
    return next((call for call in calls if call.owner == client), calls[0] if calls else None)


def _profile_id(call: Call) -> dict[str, Any]:
    if call.context_index is None:
        return {}
    return {"profile_id": {"profile_type": ProfileType.THREE_GPP, "profile_index": call.context_index}}


def _settings4(bearer: Bearer) -> dict[RequestedSettings, dict[str, Any]]:
    network = IPv4Network((bearer.address4, bearer.prefix4_length), strict=False)
    names = ("primary_ipv4_dns_address", "secondary_ipv4_dns_address")
    return {
        RequestedSettings.IP_ADDRESS: {"ipv4_address": bearer.address4},
        RequestedSettings.GATEWAY_INFO: {
            "ipv4_gateway_address": bearer.gateway4,
            "ipv4_gateway_subnet_mask": network.netmask,
        },
        RequestedSettings.DNS_ADDRESS: dict(zip(names, bearer.name_servers4, strict=False)),
    }


def _settings6(bearer: Bearer) -> dict[RequestedSettings, dict[str, Any]]:
    length = bearer.prefix6.prefixlen
    names = ("ipv6_primary_dns_address", "ipv6_secondary_dns_address")
    return {
        RequestedSettings.IP_ADDRESS: {"ipv6_address": {"address": bearer.address6, "prefix_length": length}},
        RequestedSettings.GATEWAY_INFO: {
            "ipv6_gateway_address": {"address": bearer.gateway6, "prefix_length": length}
        },
        RequestedSettings.DNS_ADDRESS: dict(zip(names, bearer.name_servers6, strict=False)),
    }


# What a call carries


def get_packet_statistics(request: Request) -> Answer:
    client, equipment = request.client, request.equipment
    meter = equipment.calls.meters.get(client.channel)
    if meter is None:  # the modem has no channel 0, and the client has not chosen another one
        return Failure(QmiError.OUT_OF_CALL)
    if _call(equipment, client) is None:
        last = {"last_call_tx_bytes_ok": meter.last.tx.bytes, "last_call_rx_bytes_ok": meter.last.rx.bytes}
        return Failure(QmiError.OUT_OF_CALL, last)
    return _statistics(meter.current(), request.values["mask"])


def _statistics(traffic: Traffic, mask: int) -> dict[str, int]:
    """The counts that a mask asks for; a counter of 32 bits begins anew when it is full."""
    tx, rx = traffic.tx, traffic.rx
    counts = {
        PacketStatistics.TX_PACKETS_OK: ("tx_packets_ok", tx.packets),
        PacketStatistics.RX_PACKETS_OK: ("rx_packets_ok", rx.packets),
        PacketStatistics.TX_PACKETS_ERROR: ("tx_packets_error", tx.errors),
        PacketStatistics.RX_PACKETS_ERROR: ("rx_packets_error", rx.errors),
        PacketStatistics.TX_OVERFLOWS: ("tx_overflows", tx.overflows),
        PacketStatistics.RX_OVERFLOWS: ("rx_overflows", rx.overflows),
        PacketStatistics.TX_PACKETS_DROPPED: ("tx_packets_dropped", tx.dropped),
        PacketStatistics.RX_PACKETS_DROPPED: ("rx_packets_dropped", rx.dropped),
    }
    values = {name: count & 0xFFFF_FFFF for bit, (name, count) in counts.items() if mask & bit}
    if mask & PacketStatistics.TX_BYTES_OK:
        values["tx_bytes_ok"] = tx.bytes
    if mask & PacketStatistics.RX_BYTES_OK:
        values["rx_bytes_ok"] = rx.bytes
    return values


# Profiles


def get_profile_list(request: Request) -> Answer:
    if request.values.get("profile_type", ProfileType.THREE_GPP) != ProfileType.THREE_GPP:
        return Failure(QmiError.INVALID_PROFILE_TYPE)
    return {
        "profile_list": [
            {
                "profile_type": ProfileType.THREE_GPP,
                "profile_index": context.index,
                "profile_name": context.name,
            }
            for context in request.equipment.contexts.all()
        ]
    }


def get_profile_settings(request: Request) -> Answer:
    profile = request.values["profile_id"]
    if profile["profile_type"] != ProfileType.THREE_GPP:
        return Failure(QmiError.INVALID_PROFILE_TYPE)
    context = request.equipment.contexts.find(profile["profile_index"])
    if context is None:
        return Failure(QmiError.INVALID_PROFILE)
    return {
        "profile_name": context.name,
        "pdp_type": _PDP_TYPES.get(context.versions, PdpType.IPV4_OR_IPV6),
        "apn_name": context.apn,
        "username": context.username,
        "password": context.password,
        "authentication": context.authentication,
        "pdp_context_number": context.index,
    }


def get_default_profile_number(request: Request) -> Answer:
    if request.values["profile_type"]["type"] != ProfileType.THREE_GPP:
        return Failure(QmiError.INVALID_PROFILE_TYPE)
    default = request.equipment.contexts.default
    return Failure(QmiError.INVALID_PROFILE) if default is None else {"index": default.index}


def get_lte_attach_parameters(request: Request) -> Answer:
    """What the modem attaches with: its default context, as the network takes it."""
    equipment = request.equipment
    context = equipment.contexts.default or Context(index=0)
    access_point = find_access_point(context.apn)
    is_attached = equipment.registration.is_registered
    apn, given = context.apn, context.versions
    if is_attached and access_point is not None:
        apn = access_point.name
        common = access_point.versions.intersection(given)
        given = tuple(sorted(common or access_point.versions))  # the network gives what it has
    return {
        "apn": apn,
        "ip_support_type": _IP_SUPPORT.get(given, IpSupport.IPV4V6),
        "ota_attach_performed": int(is_attached),
    }


# What a client is told


def set_event_report(request: Request) -> Answer:
    """Transfer statistics and the status of calls are reported; the rest is taken down and never happens."""
    client = request.client
    client.reports.update(request.values)
    if "transfer_statistics" in request.values:
        interval = request.values["transfer_statistics"]["interval_seconds"]
        client.next_report_at = request.now + interval * SECOND if interval else None
    return NOTHING


def indication_register(request: Request) -> Answer:
    """Of changed addresses: those of a call never change."""
    return NOTHING


def indicate_packet_service(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    """Everybody who is bound to the bearer hears of it."""
    if not isinstance(change, CallChanged) or not _concerns(change, client):
        return None
    is_up = change.end is None
    status = ConnectionStatus.CONNECTED if is_up else ConnectionStatus.DISCONNECTED
    return "get_packet_service_status", {
        "connection_status": {"status": status, "reconfiguration_required": 0},
        "ip_family": change.call.version,
        **(call_end_values(change.end) if change.end is not None else {}),
    }


def indicate_call_status(change: Change, client: Client, equipment: Equipment) -> Indication | None:
    if not isinstance(change, CallChanged) or not _concerns(change, client):
        return None
    if not client.reports.get("data_call_status"):
        return None
    status = DataCallStatus.ACTIVATED if change.end is None else DataCallStatus.TERMINATED
    return "set_event_report", {"data_call_status": status}


def _concerns(change: CallChanged, client: Client) -> bool:
    return (change.call.channel, change.call.version) == (client.channel, client.version)


def report_traffic(client: Client, equipment: Equipment, now: Instant) -> Indication | None:
    """It is time to tell a client what its call has carried; nothing, if there is no call."""
    asked = client.reports["transfer_statistics"]
    client.next_report_at = now + asked["interval_seconds"] * SECOND
    if _call(equipment, client) is None:
        return None
    traffic = equipment.calls.meters[client.channel].current()
    return "set_event_report", _statistics(traffic, asked["indicators"])


HANDLERS: Final[dict[str, Handler]] = {
    "set_event_report": set_event_report,
    "indication_register": indication_register,
    "start_network": start_network,
    "stop_network": stop_network,
    "get_packet_service_status": get_packet_service_status,
    "get_packet_statistics": get_packet_statistics,
    "get_profile_list": get_profile_list,
    "get_profile_settings": get_profile_settings,
    "get_current_settings": get_current_settings,
    "get_autoconnect_settings": get_autoconnect_settings,
    "get_default_profile_number": get_default_profile_number,
    "set_ip_family": set_ip_family,
    "get_lte_attach_parameters": get_lte_attach_parameters,
    "bind_data_port": bind_data_port,
    "bind_mux_data_port": bind_mux_data_port,
}
INDICATIONS: Final[tuple[Indicator, ...]] = (indicate_packet_service, indicate_call_status)
