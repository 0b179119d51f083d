"""Debian's qmicli as the judge: what it sends means what we read, and what we send it prints."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from bamdmux.wire.qmi.messages import find_request
from bamdmux.wire.qmi.values import (
    NO_APPLICATION_INDEX,
    AggregationProtocol,
    ApplicationState,
    ApplicationType,
    AttachState,
    Authentication,
    CallEndReason,
    CardError,
    CardState,
    ConnectionStatus,
    DataCapability,
    DataServiceCapability,
    DeviceRadioInterface,
    EndpointType,
    IpFamily,
    LinkLayerProtocol,
    NetworkSelection,
    NetworkType,
    OperatingMode,
    PacketStatistics,
    PdpType,
    PersonalizationState,
    PinId,
    PinState,
    ProfileFamily,
    ProfileType,
    QmiError,
    RadioInterface,
    RatModePreference,
    RegistrationState,
    RequestedSettings,
    RoamingIndicator,
    RoamingStatus,
    ServiceDomain,
    ServiceStatus,
    SessionType,
    SignalStrengthRequest,
    SimCapability,
    ThreeGppReason,
    UimConfiguration,
    VerboseCallEndReasonType,
    application_index,
    data_port,
)
from bamdmux.wire.qmux import Kind, Service, Tlv, decode_message, encode_message
from tests.wire.qmi.qmicli import CLIENT, QMICLI, Answers, Failure, qmicli_version, run_qmicli

CAPTURED = Path(__file__).parents[2] / "data" / "qmi" / "qmicli.hex"
needs_qmicli = pytest.mark.skipif(QMICLI is None, reason="qmicli is not installed (Debian: libqmi-utils)")

CARD_SESSION = {"session_type": SessionType.CARD_SLOT_1, "application_identifier": b""}
PRIMARY_SESSION = {"session_type": SessionType.PRIMARY_GW_PROVISIONING, "application_identifier": b""}
BAM_DMUX = {"endpoint_type": EndpointType.BAM_DMUX, "interface_number": 0}

# The captured frames in their order: the message, and what it says.
EXPECTED: list[tuple[Service, str, Mapping[str, Any]]] = [
    (Service.CTL, "allocate_cid", {"service": Service.DMS}),
    (Service.DMS, "get_manufacturer", {}),
    (Service.CTL, "release_cid", {"release_info": {"service": Service.DMS, "cid": CLIENT}}),
    (Service.CTL, "sync", {}),
    (Service.DMS, "get_model", {}),
    (Service.CTL, "get_version_info", {}),
    (Service.DMS, "get_model", {}),
    (Service.CTL, "set_data_format", {"format": 0, "protocol": LinkLayerProtocol.RAW_IP}),
    (Service.DMS, "get_model", {}),
    (Service.DMS, "set_operating_mode", {"mode": OperatingMode.LOW_POWER}),
    (
        Service.NAS,
        "set_system_selection_preference",
        {
            "mode_preference": RatModePreference.UMTS | RatModePreference.LTE,
            "network_selection_preference": {"mode": NetworkSelection.MANUAL, "mcc": 1, "mnc": 1},
            "change_duration": 1,
            "gsm_wcdma_acquisition_order_preference": 0,
            "acquisition_order_preference": [RadioInterface.UMTS, RadioInterface.LTE],
        },
    ),
    (
        Service.NAS,
        "get_signal_strength",
        {"request_mask": 0xFF & ~SignalStrengthRequest.ERROR_RATE},
    ),
    (Service.NAS, "get_plmn_name", {"plmn": {"mcc": 310, "mnc": 410}}),
    (
        Service.WDS,
        "start_network",
        {
            "apn": "internet",
            "authentication_preference": Authentication.PAP,
            "username": "user",
            "password": "secret",
            "ip_family_preference": IpFamily.IPV4,
        },
    ),
    (Service.WDS, "stop_network", {"packet_data_handle": 305419896}),
    (Service.WDS, "bind_data_port", {"data_port": data_port(1)}),
    (
        Service.WDS,
        "bind_mux_data_port",
        {"endpoint_info": BAM_DMUX | {"interface_number": 2}, "mux_id": 1, "client_type": 1},
    ),
    (Service.WDS, "set_ip_family", {"preference": IpFamily.IPV6}),
    (
        Service.WDS,
        "get_current_settings",
        {
            "requested_settings": RequestedSettings.DNS_ADDRESS
            | RequestedSettings.GRANTED_QOS
            | RequestedSettings.IP_ADDRESS
            | RequestedSettings.GATEWAY_INFO
            | RequestedSettings.MTU
            | RequestedSettings.DOMAIN_NAME_LIST
            | RequestedSettings.IP_FAMILY
        },
    ),
    (Service.WDS, "get_packet_statistics", {"mask": ~PacketStatistics(0)}),
    (Service.WDS, "get_profile_list", {"profile_type": ProfileType.THREE_GPP}),
    (
        Service.WDS,
        "get_default_profile_number",
        {"profile_type": {"type": ProfileType.THREE_GPP, "family": ProfileFamily.TETHERED}},
    ),
    (
        Service.UIM,
        "read_transparent",
        {
            "session": PRIMARY_SESSION,
            "file": {"file_id": 0x6F07, "file_path": bytes.fromhex("003fff7f")},
            "read_information": {"offset": 0, "length": 0},
        },
    ),
    (
        Service.UIM,
        "read_record",
        {
            "session": PRIMARY_SESSION,
            "file": {"file_id": 0x6F40, "file_path": bytes.fromhex("003fff7f")},
            "record": {"record_number": 1, "record_length": 28},
        },
    ),
    (
        Service.UIM,
        "verify_pin",
        {"session": CARD_SESSION, "info": {"pin_id": PinId.PIN1, "pin_value": "1234"}},
    ),
    (
        Service.UIM,
        "set_pin_protection",
        {"session": CARD_SESSION, "info": {"pin_id": PinId.PIN1, "pin_enabled": 1, "pin_value": "1234"}},
    ),
    (
        Service.UIM,
        "unblock_pin",
        {"session": CARD_SESSION, "info": {"pin_id": PinId.PIN1, "puk": "87654321", "new_pin": "1234"}},
    ),
    (
        Service.UIM,
        "change_pin",
        {"session": CARD_SESSION, "info": {"pin_id": PinId.PIN1, "old_pin": "1234", "new_pin": "4321"}},
    ),
    (
        Service.UIM,
        "get_configuration",
        {"configuration_mask": UimConfiguration.PERSONALIZATION_STATUS},
    ),
    (
        Service.WDA,
        "set_data_format",
        {
            "link_layer_protocol": LinkLayerProtocol.RAW_IP,
            "uplink_data_aggregation_protocol": AggregationProtocol.QMAP,
            "downlink_data_aggregation_protocol": AggregationProtocol.QMAP,
            "downlink_data_aggregation_max_datagrams": 32,
            "downlink_data_aggregation_max_size": 4096,
            "endpoint_info": BAM_DMUX,
        },
    ),
    (Service.WDA, "get_data_format", {"endpoint_info": BAM_DMUX}),
    (
        Service.DPM,
        "open_port",
        {"hardware_data_ports": [BAM_DMUX | {"rx_endpoint_number": 1, "tx_endpoint_number": 2}]},
    ),
    (Service.DPM, "close_port", {}),
]


def captured() -> list[tuple[str, bytes]]:
    """The frames of the file, each with the command that sent it."""
    frames, command = [], ""
    for line in CAPTURED.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            command = line.removeprefix("# qmicli ")
        else:
            frames.append((command, bytes.fromhex(line)))
    return frames


@pytest.mark.parametrize(
    ("frame", "expected"), list(zip([frame for _, frame in captured()], EXPECTED, strict=True))
)
def test_what_qmicli_sent_is_understood(
    frame: bytes, expected: tuple[Service, str, Mapping[str, Any]]
) -> None:
    message = decode_message(frame)
    definition = find_request(message.service, message.message_id)
    assert definition is not None
    assert message.kind is Kind.REQUEST
    assert (definition.service, definition.name, definition.decode_request(message.tlvs)) == expected


@pytest.mark.parametrize("frame", [frame for _, frame in captured()])
def test_what_qmicli_sent_is_what_we_would_send_but_for_the_order_of_tlvs(frame: bytes) -> None:
    message = decode_message(frame)
    definition = find_request(message.service, message.message_id)
    assert definition is not None
    assert definition.encode_request(definition.decode_request(message.tlvs)) == tuple(sorted(message.tlvs))
    assert encode_message(message) == frame


@pytest.mark.skipif(
    "qmicli 1.32." not in qmicli_version(), reason="not the qmicli 1.32 that was written down"
)
@pytest.mark.parametrize("command", dict.fromkeys(command for command, _ in captured()))
def test_qmicli_still_sends_the_same(command: str) -> None:
    expected = [frame for sent_by, frame in captured() if sent_by == command]
    sent = run_qmicli(*command.split(), answers=OPENED).frames
    if command != captured()[0][0]:
        sent = [frame for frame in sent if not is_about_clients(frame)]
    assert sent == expected


def is_about_clients(frame: bytes) -> bool:
    message = decode_message(frame)
    definition = find_request(message.service, message.message_id)
    return definition is not None and definition.name in ("allocate_cid", "release_cid")


OPENED: Answers = {
    (Service.CTL, "sync"): {},
    (Service.CTL, "set_data_format"): {"protocol": LinkLayerProtocol.RAW_IP},
    (Service.CTL, "get_version_info"): {
        "service_list": [
            {"service": service, "major_version": 1, "minor_version": 30 + service} for service in Service
        ]
    },
}

APPLICATION = {
    "type": ApplicationType.USIM,
    "state": ApplicationState.READY,
    "personalization_state": PersonalizationState.READY,
    "personalization_feature": 0,
    "personalization_retries": 0,
    "personalization_unblock_retries": 0,
    "application_identifier_value": bytes.fromhex("a0000000871002"),
    "upin_replaces_pin1": 0,
    "pin1_state": PinState.ENABLED_VERIFIED,
    "pin1_retries": 3,
    "puk1_retries": 10,
    "pin2_state": PinState.ENABLED_NOT_VERIFIED,
    "pin2_retries": 2,
    "puk2_retries": 9,
}
CARD_STATUS = {
    "index_gw_primary": application_index(0, 0),
    "index_1x_primary": NO_APPLICATION_INDEX,
    "index_gw_secondary": NO_APPLICATION_INDEX,
    "index_1x_secondary": NO_APPLICATION_INDEX,
    "cards": [
        {
            "card_state": CardState.PRESENT,
            "upin_state": PinState.NOT_INITIALIZED,
            "upin_retries": 0,
            "upuk_retries": 0,
            "error_code": CardError.UNKNOWN,
            "applications": [APPLICATION],
        }
    ],
}
LTE_SYSTEM_INFO = {
    "domain_valid": 1,
    "domain": ServiceDomain.CS_PS,
    "service_capability_valid": 1,
    "service_capability": ServiceDomain.PS,
    "roaming_status_valid": 1,
    "roaming_status": RoamingStatus.OFF,
    "forbidden_valid": 1,
    "forbidden": 0,
    "lac_valid": 0,
    "lac": 0,
    "cid_valid": 1,
    "cid": 19088641,
    "registration_reject_info_valid": 0,
    "registration_reject_domain": 0,
    "registration_reject_cause": 0,
    "network_id_valid": 1,
    "mcc": "001",
    "mnc": "01",
    "tac_valid": 1,
    "tac": 7,
}

# What qmicli is asked, what it is answered, and what it must print, with every run of blanks as one.
PRINTED: list[tuple[str, Answers, list[str]]] = [
    (
        "--dms-get-manufacturer",
        {(Service.DMS, "get_manufacturer"): {"manufacturer": "QUALCOMM INCORPORATED"}},
        ["Manufacturer: 'QUALCOMM INCORPORATED'"],
    ),
    (
        "--dms-get-capabilities",
        {
            (Service.DMS, "get_capabilities"): {
                "info": {
                    "max_tx_channel_rate": 50_000_000,
                    "max_rx_channel_rate": 100_000_000,
                    "data_service_capability": DataServiceCapability.PS,
                    "sim_capability": SimCapability.SUPPORTED,
                    "radio_interface_list": bytes(
                        [DeviceRadioInterface.GSM, DeviceRadioInterface.UMTS, DeviceRadioInterface.LTE]
                    ),
                }
            }
        },
        [
            "Max TX channel rate: '50000000'",
            "Max RX channel rate: '100000000'",
            "Data Service: 'ps'",
            "SIM: 'supported'",
            "Networks: 'gsm, umts, lte'",
        ],
    ),
    (
        "--dms-get-operating-mode",
        {(Service.DMS, "get_operating_mode"): {"mode": OperatingMode.ONLINE}},
        ["Mode: 'online'"],
    ),
    (
        "--dms-get-ids",
        {(Service.DMS, "get_ids"): {"esn": "0", "imei": "356938035643809"}},
        ["ESN: '0'", "IMEI: '356938035643809'", "MEID: 'unknown'"],
    ),
    (
        "--nas-get-serving-system",
        {
            (Service.NAS, "get_serving_system"): {
                "serving_system": {
                    "registration_state": RegistrationState.REGISTERED,
                    "cs_attach_state": AttachState.DETACHED,
                    "ps_attach_state": AttachState.ATTACHED,
                    "selected_network": NetworkType.THREE_GPP,
                    "radio_interfaces": [RadioInterface.LTE],
                },
                "roaming_indicator": RoamingIndicator.OFF,
                "data_service_capability": bytes([DataCapability.LTE]),
                "current_plmn": {"mcc": 1, "mnc": 1, "description": "bamdmux"},
                "lac_3gpp": 65534,
                "cid_3gpp": 4660,
            }
        },
        [
            "Registration state: 'registered' CS: 'detached' PS: 'attached' Selected network: '3gpp'",
            "Radio interfaces: '1' [0]: 'lte'",
            "Roaming status: 'off'",
            "Data service capabilities: '1' [0]: 'lte'",
            "MCC: '1' MNC: '1' Description: 'bamdmux'",
            "3GPP location area code: '65534' 3GPP cell ID: '4660'",
        ],
    ),
    (
        "--nas-get-system-info",
        {
            (Service.NAS, "get_system_info"): {
                "lte_service_status": {
                    "service_status": ServiceStatus.AVAILABLE,
                    "true_service_status": ServiceStatus.LIMITED,
                    "preferred_data_path": 1,
                },
                "lte_system_info_v2": LTE_SYSTEM_INFO,
            }
        },
        [
            "Status: 'available' True Status: 'limited' Preferred data path: 'yes'",
            "Domain: 'cs-ps' Service capability: 'ps' Roaming status: 'off' Forbidden: 'no'",
            "Cell ID: '19088641' MCC: '001' MNC: '01' Tracking Area Code: '7'",
        ],
    ),
    (
        "--nas-get-signal-info",
        {
            (Service.NAS, "get_signal_info"): {
                "lte_signal_strength": {"rssi": -60, "rsrq": -9, "rsrp": -90, "snr": 180}
            }
        },
        ["RSSI: '-60 dBm' RSRQ: '-9 dB' RSRP: '-90 dBm' SNR: '18.0 dB'"],
    ),
    (
        "--uim-get-card-status",
        {(Service.UIM, "get_card_status"): {"card_status": CARD_STATUS}},
        [
            "Primary GW: slot '1', application '1' Primary 1X: session doesn't exist",
            "Card state: 'present' UPIN state: 'not-initialized'",
            "Application type: 'usim (2)' Application state: 'ready' Application ID: A0:00:00:00:87:10:02",
            "PIN1 state: 'enabled-verified' PIN1 retries: '3' PUK1 retries: '10'",
            "PIN2 state: 'enabled-not-verified' PIN2 retries: '2' PUK2 retries: '9'",
        ],
    ),
    (
        "--uim-read-transparent=0x3F00,0x2FE2",
        {
            (Service.UIM, "read_transparent"): {
                "card_result": {"sw1": 0x90, "sw2": 0},
                "read_result": bytes.fromhex("98101032547698103214"),
            }
        },
        ["SW1: '0x90' SW2: '0x00'", "98:10:10:32:54:76:98:10:32:14"],
    ),
    (
        "--wds-get-current-settings",
        {
            (Service.WDS, "get_current_settings"): {
                "primary_ipv4_dns_address": IPv4Address("10.64.0.53"),
                "ipv4_address": IPv4Address("10.64.0.2"),
                "ipv4_gateway_address": IPv4Address("10.64.0.1"),
                "ipv4_gateway_subnet_mask": IPv4Address("255.255.255.252"),
                "ipv6_address": {"address": IPv6Address("fd00:64::2"), "prefix_length": 64},
                "ipv6_gateway_address": {"address": IPv6Address("fd00:64::1"), "prefix_length": 64},
                "ipv6_primary_dns_address": IPv6Address("fd00:64::53"),
                "mtu": 1428,
                "domain_name_list": ["bamdmux.test", "example"],
                "ip_family": IpFamily.IPV4,
            }
        },
        [
            "IP Family: IPv4 IPv4 address: 10.64.0.2 IPv4 subnet mask: 255.255.255.252",
            "IPv4 gateway address: 10.64.0.1 IPv4 primary DNS: 10.64.0.53",
            "IPv6 address: fd00:64::2/64 IPv6 gateway address: fd00:64::1/64 IPv6 primary DNS: fd00:64::53",
            "MTU: 1428 Domains: bamdmux.test, example",
        ],
    ),
    (
        "--wds-start-network=apn=internet",
        {(Service.WDS, "start_network"): {"packet_data_handle": 0x12345678}},
        ["Network started Packet data handle: '305419896'"],
    ),
    (
        "--wds-get-packet-service-status",
        {(Service.WDS, "get_packet_service_status"): {"connection_status": ConnectionStatus.CONNECTED}},
        ["Connection status: 'connected'"],
    ),
    (
        "--wds-get-packet-statistics",
        {(Service.WDS, "get_packet_statistics"): {"tx_packets_ok": 7, "rx_bytes_ok": 5_000_000_000}},
        ["TX packets OK: 7", "RX bytes OK: 5000000000"],
    ),
    (
        "--wds-get-profile-list=3gpp",
        {
            (Service.WDS, "get_profile_list"): {
                "profile_list": [{"profile_type": 0, "profile_index": 3, "profile_name": "first"}]
            },
            (Service.WDS, "get_profile_settings"): {
                "apn_name": "internet",
                "pdp_type": PdpType.IPV4_OR_IPV6,
                "authentication": Authentication.NONE,
            },
        },
        ["[3] 3gpp - first APN: 'internet' PDP type: 'ipv4-or-ipv6'", "Auth: 'none'"],
    ),
    (
        "--wda-get-data-format",
        {
            (Service.WDA, "get_data_format"): {
                "link_layer_protocol": LinkLayerProtocol.RAW_IP,
                "uplink_data_aggregation_protocol": AggregationProtocol.QMAP,
                "downlink_data_aggregation_protocol": AggregationProtocol.DISABLED,
                "downlink_data_aggregation_max_size": 4096,
            }
        },
        [
            "Link layer protocol: 'raw-ip'",
            "Uplink data aggregation protocol: 'qmap'",
            "Downlink data aggregation protocol: 'disabled'",
            "Downlink data aggregation max size: '4096'",
        ],
    ),
    ("--get-service-version-info", OPENED, ["ctl (1.30) wds (1.31) dms (1.32) nas (1.33)", "dpm (1.77)"]),
    (
        "--dms-get-model",  # what `decode` does with a TLV that is there twice is what libqmi does
        {(Service.DMS, "get_model"): [Tlv(1, b"first"), Tlv(1, b"second")]},
        ["Model: 'first'"],
    ),
    (
        "--wds-start-network=apn=no",
        {
            (Service.WDS, "start_network"): Failure(
                QmiError.CALL_FAILED,
                {
                    "call_end_reason": CallEndReason.NO_SERVICE,
                    "verbose_call_end_reason": {
                        "type": VerboseCallEndReasonType.THREE_GPP,
                        "reason": ThreeGppReason.UNKNOWN_APN,
                    },
                },
            )
        },
        [
            "couldn't start network: QMI protocol error (14): 'CallFailed'",
            "call end reason (3): generic-no-service",
            "verbose call end reason (6,27): [3gpp] unknown-apn",
        ],
    ),
]


@needs_qmicli
@pytest.mark.parametrize(("argument", "answers", "expected"), PRINTED, ids=[each[0] for each in PRINTED])
def test_qmicli_prints_what_we_say(argument: str, answers: Answers, expected: list[str]) -> None:
    conversation = run_qmicli(argument, answers=answers)
    printed = " ".join(conversation.output.split())
    for text in expected:
        assert text in printed
