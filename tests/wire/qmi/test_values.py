"""The names of numbers: held against the names that libqmi's own library gives to them."""

import ctypes
import re
from enum import IntEnum, IntFlag

import pytest

from bamdmux.wire.qmi import values
from bamdmux.wire.qmi.values import application_index, channel_of_data_port, data_port
from bamdmux.wire.qmux import Service

# Our names, and those of libqmi's types.
LIBRARY_NAMES = {
    Service: "qmi_service",
    values.QmiError: "qmi_protocol_error",
    values.EndpointType: "qmi_data_endpoint_type",
    values.OperatingMode: "qmi_dms_operating_mode",
    values.DataServiceCapability: "qmi_dms_data_service_capability",
    values.SimCapability: "qmi_dms_sim_capability",
    values.DeviceRadioInterface: "qmi_dms_radio_interface",
    values.UimState: "qmi_dms_uim_state",
    values.DevicePinState: "qmi_dms_uim_pin_status",
    values.CardState: "qmi_uim_card_state",
    values.CardError: "qmi_uim_card_error",
    values.ApplicationType: "qmi_uim_card_application_type",
    values.ApplicationState: "qmi_uim_card_application_state",
    values.PersonalizationState: "qmi_uim_card_application_personalization_state",
    values.PinState: "qmi_uim_pin_state",
    values.PinId: "qmi_uim_pin_id",
    values.SessionType: "qmi_uim_session_type",
    values.UimEvents: "qmi_uim_event_registration_flag",
    values.UimConfiguration: "qmi_uim_configuration",
    values.PhysicalCardState: "qmi_uim_physical_card_state",
    values.SlotState: "qmi_uim_slot_state",
    values.CardProtocol: "qmi_uim_card_protocol",
    values.RegistrationState: "qmi_nas_registration_state",
    values.AttachState: "qmi_nas_attach_state",
    values.NetworkType: "qmi_nas_network_type",
    values.RadioInterface: "qmi_nas_radio_interface",
    values.ServiceStatus: "qmi_nas_service_status",
    values.ServiceDomain: "qmi_nas_network_service_domain",
    values.RoamingIndicator: "qmi_nas_roaming_indicator_status",
    values.RoamingStatus: "qmi_nas_roaming_status",
    values.DataCapability: "qmi_nas_data_capability",
    values.CallBarringStatus: "qmi_nas_call_barring_status",
    values.RatModePreference: "qmi_nas_rat_mode_preference",
    values.NetworkSelection: "qmi_nas_network_selection_preference",
    values.RoamingPreference: "qmi_nas_roaming_preference",
    values.ServiceDomainPreference: "qmi_nas_service_domain_preference",
    values.UsagePreference: "qmi_nas_usage_preference",
    values.VoiceDomainPreference: "qmi_nas_voice_domain_preference",
    values.AcquisitionOrder: "qmi_nas_gsm_wcdma_acquisition_order_preference",
    values.NameEncoding: "qmi_nas_network_description_encoding",
    values.RejectCause: "qmi_nas_reject_cause",
    values.SignalStrengthRequest: "qmi_nas_signal_strength_request",
    values.ConnectionStatus: "qmi_wds_connection_status",
    values.IpFamily: "qmi_wds_ip_family",
    values.DataCallStatus: "qmi_wds_data_call_status",
    values.TechnologyPreference: "qmi_wds_technology_preference",
    values.IpSupport: "qmi_wds_ip_support_type",
    values.PdpType: "qmi_wds_pdp_type",
    values.ProfileType: "qmi_wds_profile_type",
    values.ProfileFamily: "qmi_wds_profile_family",
    values.Authentication: "qmi_wds_authentication",
    values.AutoconnectSetting: "qmi_wds_autoconnect_setting",
    values.CallEndReason: "qmi_wds_call_end_reason",
    values.VerboseCallEndReasonType: "qmi_wds_verbose_call_end_reason_type",
    values.InternalReason: "qmi_wds_verbose_call_end_reason_internal",
    values.CmReason: "qmi_wds_verbose_call_end_reason_cm",
    values.ThreeGppReason: "qmi_wds_verbose_call_end_reason_3gpp",
    values.RequestedSettings: "qmi_wds_requested_settings",
    values.PacketStatistics: "qmi_wds_packet_statistics_mask_flag",
    values.LinkLayerProtocol: "qmi_wda_link_layer_protocol",
    values.AggregationProtocol: "qmi_wda_data_aggregation_protocol",
}
# Names that are written otherwise, ours first.
SPELLINGS = {"threegpp": "3gpp", "nr5g": "5gnr", "authentication": "auth-protocol", "ethernet": "802-3"}
PREFIXES = ("generic-",)


def library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libqmi-glib.so.5")
    except OSError:
        pytest.skip("libqmi-glib is not installed")


def library_name(type_name: str, value: int, is_flag: bool) -> str:
    ending = "build_string_from_mask" if is_flag else "get_string"
    function = getattr(library(), f"{type_name}_{ending}")
    function.restype = ctypes.c_char_p
    function.argtypes = [ctypes.c_int]
    text = function(value)
    return text.decode() if text else ""


def plain(name: str) -> str:
    """A name without case, punctuation, prefixes and known differences of spelling."""
    name = name.lower()
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    name = re.sub(r"[^a-z0-9]", "", name)
    for ours, theirs in SPELLINGS.items():
        name = name.replace(ours, re.sub(r"[^a-z0-9]", "", theirs))
    return name


def test_every_enumeration_is_held_against_the_library() -> None:
    ours = {
        each
        for each in vars(values).values()
        if isinstance(each, type) and issubclass(each, IntEnum | IntFlag) and each not in (IntEnum, IntFlag)
    }
    assert ours | {Service} == set(LIBRARY_NAMES)


@pytest.mark.parametrize("enumeration", LIBRARY_NAMES, ids=lambda each: each.__name__)
def test_numbers_have_the_names_that_the_library_gives_them(enumeration: type[IntEnum | IntFlag]) -> None:
    is_flag = issubclass(enumeration, IntFlag)
    type_name = LIBRARY_NAMES[enumeration]
    ours = {int(member): plain(member.name) for member in enumeration if member or not is_flag}
    assert ours == {number: plain(library_name(type_name, number, is_flag)) for number in ours}


def test_a_data_port_is_a_channel_and_back() -> None:
    assert data_port(0) == 0x0E04
    assert [channel_of_data_port(data_port(channel)) for channel in range(8)] == list(range(8))
    assert library_name("qmi_sio_port", data_port(3), is_flag=False) == "a2-mux-rmnet3"


@pytest.mark.parametrize("port", [0, 0x0E03, 0x0E0C, 0xFFFF])
def test_what_is_no_data_port_is_no_channel(port: int) -> None:
    assert channel_of_data_port(port) is None


def test_an_application_is_pointed_at_by_slot_and_place() -> None:
    assert application_index(0, 1) == 0x0001
    assert application_index(1, 2) == 0x0102
