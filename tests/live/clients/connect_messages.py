"""What ModemManager 1.20.4 asks a modem of profile msm8916, in order: from its first probe until it has gone.

Taken from its log of a run beside `bamdmux run`: found, connected by `mmcli --simple-connect` with
ip-type=ipv4v6, disconnected, disabled. Names are those of wire/qmi/*.toml, as selectors of control faults
take them; a message that is not in them has its number. What it says to the AT port is at the end.

For a sweep: `connect_messages()` has each message once for each phase in which it is sent, with how often.
"""

from enum import Enum, unique
from typing import Final, NamedTuple


@unique
class Phase(Enum):
    PROBE = "probe"  # is this a QMI port?
    INITIALIZE = "initialize"  # then the modem is on the bus
    ENABLE = "enable"
    REGISTER = "register"  # enabled, up to registered
    CONNECT = "connect"  # once for each version of IP
    WATCH = "watch"  # every so often while it is connected
    DISCONNECT = "disconnect"
    DISABLE = "disable"


class ConnectMessage(NamedTuple):
    """One message of a phase.

    Args:
        name: of a selector.
        times: how often it is sent in that phase.
        is_refused: our modem answers it with an error, and the connection comes up all the same.
    """

    phase: Phase
    name: str
    times: int = 1
    is_refused: bool = False

    @property
    def is_of_at(self) -> bool:
        return self.name.split(".")[0] == "at"


def _phase(phase: Phase, *texts: str) -> tuple[ConnectMessage, ...]:
    """Each text a name; `!` behind it: is refused; `*2` before that: so often."""
    messages = []
    for text in texts:
        name, _, times = text.rstrip("!").partition("*")
        messages.append(ConnectMessage(phase, name, int(times or 1), text.endswith("!")))
    return tuple(messages)


_MESSAGES: Final = (
    *_phase(
        Phase.PROBE,
        "ctl.internal_proxy_open*2",
        "ctl.get_version_info*2",
        "ctl.allocate_cid*5",  # WDA, DMS, NAS, WDS, UIM
        "wda.get_data_format",
        "ctl.release_cid",  # WDA
    ),
    *_phase(
        Phase.INITIALIZE,
        "nas.get_system_selection_preference*3",
        "nas.0x002b!",  # Get Technology Preference
        "dms.get_capabilities",
        "dms.get_manufacturer",
        "dms.get_model",
        "dms.get_revision",
        "dms.get_hardware_revision",
        "dms.get_ids",
        "dms.get_band_capabilities",
        "dms.get_operating_mode",
        "uim.register_events",
        "uim.get_slot_status*2",
        "uim.0x0044!",  # Refresh Register All
        "uim.0x002a*2!",  # Refresh Register
        "dms.uim_get_pin_status*3",
        "uim.get_card_status",
        "uim.read_transparent*3",  # ICCID, IMSI, and others
        "nas.get_home_network*2",
        "nas.0x0026!",  # Get Preferred Networks
        "dms.get_msisdn",
        "dms.0x0040*5!",  # UIM Get CK Status: locks
        "wds.0x0094!",  # Get LTE Attach PDN List
        "wds.get_profile_list",
        "wds.get_profile_settings",
    ),
    *_phase(
        Phase.ENABLE,
        "wds.get_autoconnect_settings",
        "dms.get_operating_mode",
        "uim.read_transparent*2",
        "nas.config_signal_info_v2*2",
        "nas.register_indications*2",
        "wds.set_event_report",
        "wds.get_lte_attach_parameters",
        "nas.get_system_info",
    ),
    *_phase(
        Phase.REGISTER,
        "nas.get_system_info*2",
        "nas.set_system_selection_preference",  # unless it is registered by then
        "nas.get_plmn_name",
        "nas.get_signal_info",
    ),
    *_phase(
        Phase.CONNECT,
        "ctl.allocate_cid*2",  # a client of WDS for each version of IP
        "wds.bind_data_port*2",
        "wds.set_ip_family*2",
        "wds.set_event_report*2",
        "wds.start_network*2",
        "wds.indication_register*2",
        "wds.get_current_settings*2",
    ),
    *_phase(Phase.WATCH, "wds.get_packet_statistics*2"),
    *_phase(Phase.DISCONNECT, "wds.set_event_report*2", "wds.stop_network*2"),
    *_phase(
        Phase.DISABLE,
        "nas.config_signal_info_v2",
        "nas.register_indications*2",
        "wds.set_event_report",
    ),
    # Beside all this; what is refused is refused by most modems.
    *_phase(Phase.PROBE, "at"),
    *_phase(
        Phase.INITIALIZE,
        *("at.e", "at.v", "at.+cmee", "at.x", "at.&c"),
        *("at.+crsm", "at.+cemode!", "at.+cnmi!", "at.+ctzu!"),
    ),
    *_phase(Phase.ENABLE, "at.e", "at.v", "at.+cmee", "at.x", "at.&c"),
)


def connect_messages(*phases: Phase) -> list[ConnectMessage]:
    """Those of the phases, all of them by default, in the order in which they are sent."""
    return [each for each in _MESSAGES if not phases or each.phase in phases]
