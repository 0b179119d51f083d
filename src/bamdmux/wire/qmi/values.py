"""The numbers that stand in QMI messages, by their names: those that a modem of this kind uses.

Decoded values are plain int, for a peer may write any number: ``OperatingMode(values["mode"])`` raises
ValueError on one that has no name. Encoding takes these names as the numbers that they are.
tests/wire/qmi/test_values.py holds them against the names that the library of libqmi gives to numbers.
"""

from enum import IntEnum, IntFlag
from typing import Final

# All services


class QmiError(IntEnum):
    """The result code of a response."""

    NONE = 0
    MALFORMED_MESSAGE = 1
    NO_MEMORY = 2
    INTERNAL = 3
    ABORTED = 4
    CLIENT_IDS_EXHAUSTED = 5
    INVALID_CLIENT_ID = 7
    NO_THRESHOLDS_PROVIDED = 8
    INVALID_HANDLE = 9
    INVALID_PROFILE = 10
    INVALID_PIN_ID = 11
    INCORRECT_PIN = 12
    NO_NETWORK_FOUND = 13
    CALL_FAILED = 14
    OUT_OF_CALL = 15
    NOT_PROVISIONED = 16
    MISSING_ARGUMENT = 17
    ARGUMENT_TOO_LONG = 19
    DEVICE_IN_USE = 23
    NETWORK_UNSUPPORTED = 24
    DEVICE_UNSUPPORTED = 25
    NO_EFFECT = 26
    NO_FREE_PROFILE = 27
    INVALID_PDP_TYPE = 28
    INVALID_TECHNOLOGY_PREFERENCE = 29
    INVALID_PROFILE_TYPE = 30
    INVALID_SERVICE_TYPE = 31
    INVALID_REGISTER_ACTION = 32
    INVALID_PS_ATTACH_ACTION = 33
    AUTHENTICATION_FAILED = 34
    PIN_BLOCKED = 35
    PIN_ALWAYS_BLOCKED = 36
    UIM_UNINITIALIZED = 37
    INTERFACE_NOT_FOUND = 43
    INVALID_DATA_FORMAT = 45
    GENERAL_ERROR = 46
    UNKNOWN_ERROR = 47
    INVALID_ARGUMENT = 48
    INVALID_INDEX = 49
    NO_ENTRY = 50
    DEVICE_NOT_READY = 52
    NETWORK_NOT_READY = 53
    INVALID_TRANSITION = 60
    INVALID_IP_FAMILY_PREFERENCE = 64
    INSUFFICIENT_RESOURCES = 68
    DISABLED = 69
    INVALID_OPERATION = 70
    INVALID_QMI_COMMAND = 71
    INFORMATION_UNAVAILABLE = 74
    POLICY_MISMATCH = 79
    SIM_FILE_NOT_FOUND = 80
    EXTENDED_INTERNAL = 81
    ACCESS_DENIED = 82
    HARDWARE_RESTRICTED = 83
    INCOMPATIBLE_STATE = 90
    NO_RADIO = 93
    NOT_SUPPORTED = 94
    NO_SUBSCRIPTION = 95
    NETWORK_ABORTED = 97
    INVALID_SESSION_TYPE = 100
    NO_SIM = 102
    NO_PERMISSION = 115
    OPERATION_IN_PROGRESS = 118


class EndpointType(IntEnum):
    """What joins host and modem."""

    UNKNOWN = 0
    HSIC = 1
    HSUSB = 2
    PCIE = 3
    EMBEDDED = 4
    BAM_DMUX = 5


# DMS


class OperatingMode(IntEnum):
    ONLINE = 0
    LOW_POWER = 1
    FACTORY_TEST = 2
    OFFLINE = 3
    RESET = 4
    SHUTTING_DOWN = 5
    PERSISTENT_LOW_POWER = 6
    MODE_ONLY_LOW_POWER = 7


class DataServiceCapability(IntEnum):
    NONE = 0
    CS = 1
    PS = 2
    SIMULTANEOUS_CS_PS = 3
    NON_SIMULTANEOUS_CS_PS = 4


class SimCapability(IntEnum):
    NOT_SUPPORTED = 1
    SUPPORTED = 2


class DeviceRadioInterface(IntEnum):
    """What a device can do, in DMS Get Capabilities; NAS numbers the same things as `RadioInterface`."""

    CDMA20001X = 1
    EVDO = 2
    GSM = 4
    UMTS = 5
    LTE = 8
    TDS = 9
    NR5G = 10


class UimState(IntEnum):
    """The card, in the event report of DMS."""

    INITIALIZATION_COMPLETED = 0
    LOCKED_OR_FAILED = 1
    NOT_PRESENT = 2
    UNKNOWN = 255


class DevicePinState(IntEnum):
    """A PIN as DMS sees it; the first six as `PinState`."""

    NOT_INITIALIZED = 0
    ENABLED_NOT_VERIFIED = 1
    ENABLED_VERIFIED = 2
    DISABLED = 3
    BLOCKED = 4
    PERMANENTLY_BLOCKED = 5
    UNBLOCKED = 6
    CHANGED = 7


# UIM


class CardState(IntEnum):
    ABSENT = 0
    PRESENT = 1
    ERROR = 2


class CardError(IntEnum):
    UNKNOWN = 0
    POWER_DOWN = 1
    POLL = 2
    NO_ATR_RECEIVED = 3
    VOLTAGE_MISMATCH = 4
    PARITY = 5
    POSSIBLY_REMOVED = 6
    TECHNICAL = 7


class ApplicationType(IntEnum):
    UNKNOWN = 0
    SIM = 1
    USIM = 2
    RUIM = 3
    CSIM = 4
    ISIM = 5


class ApplicationState(IntEnum):
    UNKNOWN = 0
    DETECTED = 1
    PIN1_OR_UPIN_PIN_REQUIRED = 2
    PUK1_OR_UPIN_PUK_REQUIRED = 3
    CHECK_PERSONALIZATION_STATE = 4
    PIN1_BLOCKED = 5
    ILLEGAL = 6
    READY = 7


class PersonalizationState(IntEnum):
    UNKNOWN = 0
    IN_PROGRESS = 1
    READY = 2
    CODE_REQUIRED = 3
    PUK_CODE_REQUIRED = 4
    PERMANENTLY_BLOCKED = 5


class PinState(IntEnum):
    NOT_INITIALIZED = 0
    ENABLED_NOT_VERIFIED = 1
    ENABLED_VERIFIED = 2
    DISABLED = 3
    BLOCKED = 4
    PERMANENTLY_BLOCKED = 5


class PinId(IntEnum):
    UNKNOWN = 0
    PIN1 = 1
    PIN2 = 2
    UPIN = 3
    HIDDEN_KEY = 4


class SessionType(IntEnum):
    """Which application of which card a request is for."""

    PRIMARY_GW_PROVISIONING = 0
    PRIMARY_1X_PROVISIONING = 1
    SECONDARY_GW_PROVISIONING = 2
    SECONDARY_1X_PROVISIONING = 3
    NONPROVISIONING_SLOT_1 = 4
    NONPROVISIONING_SLOT_2 = 5
    CARD_SLOT_1 = 6
    CARD_SLOT_2 = 7
    LOGICAL_CHANNEL_SLOT_1 = 8
    LOGICAL_CHANNEL_SLOT_2 = 9


class UimEvents(IntFlag):
    """What UIM Register Events asks for."""

    CARD_STATUS = 1 << 0
    SAP_CONNECTION = 1 << 1
    EXTENDED_CARD_STATUS = 1 << 2
    PHYSICAL_SLOT_STATUS = 1 << 4


class UimConfiguration(IntFlag):
    """What UIM Get Configuration asks for."""

    AUTOMATIC_SELECTION = 1 << 0
    PERSONALIZATION_STATUS = 1 << 1
    HALT_SUBSCRIPTION = 1 << 2


class PhysicalCardState(IntEnum):
    UNKNOWN = 0
    ABSENT = 1
    PRESENT = 2


class SlotState(IntEnum):
    INACTIVE = 0
    ACTIVE = 1


class CardProtocol(IntEnum):
    UNKNOWN = 0
    ICC = 1
    UICC = 2


NO_APPLICATION_INDEX: Final = 0xFFFF  # in the four indices of a card status: none


def application_index(slot: int, application: int) -> int:
    """How a card status points at an application: the slot is the upper byte, the application the lower."""
    return slot << 8 | application


# NAS


class RegistrationState(IntEnum):
    NOT_REGISTERED = 0
    REGISTERED = 1
    NOT_REGISTERED_SEARCHING = 2
    REGISTRATION_DENIED = 3
    UNKNOWN = 4


class AttachState(IntEnum):
    UNKNOWN = 0
    ATTACHED = 1
    DETACHED = 2


class NetworkType(IntEnum):
    UNKNOWN = 0
    THREE_GPP2 = 1
    THREE_GPP = 2


class RadioInterface(IntEnum):
    UNKNOWN = -1
    NONE = 0
    CDMA_1X = 1
    CDMA_1XEVDO = 2
    AMPS = 3
    GSM = 4
    UMTS = 5
    LTE = 8
    TD_SCDMA = 9
    NR5G = 12


class ServiceStatus(IntEnum):
    NONE = 0
    LIMITED = 1
    AVAILABLE = 2
    LIMITED_REGIONAL = 3
    POWER_SAVE = 4


class ServiceDomain(IntEnum):
    NONE = 0
    CS = 1
    PS = 2
    CS_PS = 3
    UNKNOWN = 4


class RoamingIndicator(IntEnum):
    """In NAS Serving System: 0 is roaming."""

    ON = 0
    OFF = 1


class RoamingStatus(IntEnum):
    """In NAS System Info: 0 is at home."""

    OFF = 0
    ON = 1
    BLINK = 2


class DataCapability(IntEnum):
    NONE = 0
    GPRS = 1
    EDGE = 2
    HSDPA = 3
    HSUPA = 4
    WCDMA = 5
    GSM = 9
    LTE = 11
    HSDPA_PLUS = 12
    DC_HSDPA_PLUS = 13


class CallBarringStatus(IntEnum):
    UNKNOWN = -1
    NORMAL_ONLY = 0
    EMERGENCY_ONLY = 1
    NO_CALLS = 2
    ALL_CALLS = 3


class RatModePreference(IntFlag):
    CDMA_1X = 1 << 0
    CDMA_1XEVDO = 1 << 1
    GSM = 1 << 2
    UMTS = 1 << 3
    LTE = 1 << 4
    TD_SCDMA = 1 << 5
    NR5G = 1 << 6


class NetworkSelection(IntEnum):
    AUTOMATIC = 0
    MANUAL = 1


class RoamingPreference(IntEnum):
    OFF = 1
    NOT_OFF = 2
    NOT_FLASHING = 3
    ANY = 255


class ServiceDomainPreference(IntEnum):
    CS_ONLY = 0
    PS_ONLY = 1
    CS_PS = 2
    PS_ATTACH = 3
    PS_DETACH = 4


class UsagePreference(IntEnum):
    UNKNOWN = 0
    VOICE_CENTRIC = 1
    DATA_CENTRIC = 2


class VoiceDomainPreference(IntEnum):
    CS_ONLY = 0
    PS_ONLY = 1
    CS_PREFERRED = 2
    PS_PREFERRED = 3


class AcquisitionOrder(IntEnum):
    """GSM or WCDMA first."""

    AUTOMATIC = 0
    GSM = 1
    WCDMA = 2


class NameEncoding(IntEnum):
    """How the bytes of an operator's name are meant."""

    UNSPECIFIED = 0
    ASCII7 = 1
    UNICODE = 4
    GSM = 9


class RejectCause(IntEnum):
    """Why a network refused a registration: the causes of 3GPP TS 24.008 and 24.301."""

    NONE = 0
    IMSI_UNKNOWN_IN_HLR = 2
    ILLEGAL_UE = 3
    IMEI_NOT_ACCEPTED = 5
    ILLEGAL_ME = 6
    PS_SERVICES_NOT_ALLOWED = 7
    PS_AND_NON_PS_SERVICES_NOT_ALLOWED = 8
    PLMN_NOT_ALLOWED = 11
    LOCATION_AREA_NOT_ALLOWED = 12
    ROAMING_IN_LOCATION_AREA_NOT_ALLOWED = 13
    PS_SERVICES_IN_LOCATION_AREA_NOT_ALLOWED = 14
    NO_SUITABLE_CELLS_IN_LOCATION_AREA = 15
    NETWORK_FAILURE = 17
    ESM_FAILURE = 19
    CONGESTION = 22


class SignalStrengthRequest(IntFlag):
    """What NAS Get Signal Strength asks for."""

    RSSI = 1 << 0
    ECIO = 1 << 1
    IO = 1 << 2
    SINR = 1 << 3
    ERROR_RATE = 1 << 4
    RSRQ = 1 << 5
    LTE_SNR = 1 << 6
    LTE_RSRP = 1 << 7


# WDS


class ConnectionStatus(IntEnum):
    UNKNOWN = 0
    DISCONNECTED = 1
    CONNECTED = 2
    SUSPENDED = 3
    AUTHENTICATING = 4


class IpFamily(IntEnum):
    UNKNOWN = 0
    IPV4 = 4
    IPV6 = 6
    UNSPECIFIED = 8


class DataCallStatus(IntEnum):
    """In the event report of WDS."""

    ACTIVATED = 1
    TERMINATED = 2


class TechnologyPreference(IntFlag):
    """In WDS Start Network."""

    THREE_GPP = 1 << 0
    THREE_GPP2 = 1 << 1


class IpSupport(IntEnum):
    """In WDS Get LTE Attach Parameters."""

    IPV4 = 0
    IPV6 = 1
    IPV4V6 = 2


class PdpType(IntEnum):
    IPV4 = 0
    PPP = 1
    IPV6 = 2
    IPV4_OR_IPV6 = 3


class ProfileType(IntEnum):
    THREE_GPP = 0
    THREE_GPP2 = 1


class ProfileFamily(IntEnum):
    """In WDS Get Default Profile Number."""

    EMBEDDED = 0
    TETHERED = 1


class Authentication(IntFlag):
    NONE = 0
    PAP = 1 << 0
    CHAP = 1 << 1


class AutoconnectSetting(IntEnum):
    DISABLED = 0
    ENABLED = 1
    PAUSED = 2


class CallEndReason(IntEnum):
    UNSPECIFIED = 1
    CLIENT_END = 2
    NO_SERVICE = 3
    FADE = 4
    RELEASE_NORMAL = 5
    ACCESS_ATTEMPT_IN_PROGRESS = 6
    ACCESS_FAILURE = 7
    REDIRECTION_OR_HANDOFF = 8
    CLOSE_IN_PROGRESS = 9
    AUTHENTICATION_FAILED = 10
    INTERNAL_ERROR = 11


class VerboseCallEndReasonType(IntEnum):
    """Which list the reason of a verbose call end reason is from."""

    MIP = 1
    INTERNAL = 2
    CM = 3
    THREE_GPP = 6
    PPP = 7
    EHRPD = 8
    IPV6 = 9


class InternalReason(IntEnum):
    """Reasons of VerboseCallEndReasonType.INTERNAL."""

    ERROR = 201
    CALL_ENDED = 202
    UNKNOWN_INTERNAL_CAUSE = 203
    UNKNOWN_CAUSE = 204
    CLOSE_IN_PROGRESS = 205
    NETWORK_INITIATED_TERMINATION = 206
    PDN_IPV4_CALL_DISALLOWED = 208
    PDN_IPV6_CALL_DISALLOWED = 210
    MODEM_RESTART = 212
    LPM_OR_POWER_DOWN = 219
    MAX_V4_CONNECTIONS = 228
    MAX_V6_CONNECTIONS = 229
    APN_MISMATCH = 230
    IP_VERSION_MISMATCH = 231
    INVALID_PROFILE = 233
    CALL_ALREADY_PRESENT = 236
    INTERFACE_IN_USE = 237
    NULL_APN_DISALLOWED = 242


class CmReason(IntEnum):
    """Reasons of VerboseCallEndReasonType.CM, the call manager."""

    UIM_NOT_PRESENT = 518
    CLIENT_END = 2000
    NO_SERVICE = 2001
    RELEASE_NORMAL = 2003
    OFFLINE = 2500
    INVALID_SIM_STATE = 2504


class ThreeGppReason(IntEnum):
    """Reasons of VerboseCallEndReasonType.THREE_GPP: the causes of 3GPP TS 24.008 and 24.301."""

    OPERATOR_DETERMINED_BARRING = 8
    LLC_SNDCP_FAILURE = 25
    INSUFFICIENT_RESOURCES = 26
    UNKNOWN_APN = 27
    UNKNOWN_PDP = 28
    AUTHENTICATION_FAILED = 29
    GGSN_REJECT = 30
    ACTIVATION_REJECT = 31
    OPTION_NOT_SUPPORTED = 32
    OPTION_UNSUBSCRIBED = 33
    OPTION_TEMPORARILY_OUT_OF_ORDER = 34
    NSAPI_ALREADY_USED = 35
    REGULAR_DEACTIVATION = 36
    QOS_NOT_ACCEPTED = 37
    NETWORK_FAILURE = 38
    REATTACH_REQUIRED = 39
    FEATURE_NOT_SUPPORTED = 40
    UNKNOWN_PDP_CONTEXT = 43
    IPV4_ONLY_ALLOWED = 50
    IPV6_ONLY_ALLOWED = 51
    SINGLE_ADDRESS_BEARER_ONLY = 52
    PDN_CONNECTION_DOES_NOT_EXIST = 54
    MULTIPLE_CONNECTION_TO_SAME_PDN_NOT_ALLOWED = 55
    PROTOCOL_ERROR = 111


class RequestedSettings(IntFlag):
    """What WDS Get Current Settings asks for."""

    PROFILE_ID = 1 << 0
    PROFILE_NAME = 1 << 1
    PDP_TYPE = 1 << 2
    APN_NAME = 1 << 3
    DNS_ADDRESS = 1 << 4
    GRANTED_QOS = 1 << 5
    USERNAME = 1 << 6
    AUTHENTICATION = 1 << 7
    IP_ADDRESS = 1 << 8
    GATEWAY_INFO = 1 << 9
    PCSCF_ADDRESS = 1 << 10
    PCSCF_SERVER_ADDRESS_LIST = 1 << 11
    PCSCF_DOMAIN_NAME_LIST = 1 << 12
    MTU = 1 << 13
    DOMAIN_NAME_LIST = 1 << 14
    IP_FAMILY = 1 << 15
    IMCN_FLAG = 1 << 16
    EXTENDED_TECHNOLOGY = 1 << 17
    OPERATOR_RESERVED_PCO = 1 << 18


class PacketStatistics(IntFlag):
    """What WDS Get Packet Statistics asks for, and the transfer statistics of WDS Set Event Report."""

    TX_PACKETS_OK = 1 << 0
    RX_PACKETS_OK = 1 << 1
    TX_PACKETS_ERROR = 1 << 2
    RX_PACKETS_ERROR = 1 << 3
    TX_OVERFLOWS = 1 << 4
    RX_OVERFLOWS = 1 << 5
    TX_BYTES_OK = 1 << 6
    RX_BYTES_OK = 1 << 7
    TX_PACKETS_DROPPED = 1 << 8
    RX_PACKETS_DROPPED = 1 << 9


_FIRST_DATA_PORT: Final = 0x0E04  # A2 MUX RMNET 0


def data_port(channel: int) -> int:
    """The number by which WDS Bind Data Port calls a DMUX channel."""
    return _FIRST_DATA_PORT + channel


def channel_of_data_port(port: int, channel_count: int = 8) -> int | None:
    """The DMUX channel of a data port; None if it is none."""
    channel = port - _FIRST_DATA_PORT
    return channel if 0 <= channel < channel_count else None


# WDA


class LinkLayerProtocol(IntEnum):
    UNKNOWN = 0
    ETHERNET = 1
    RAW_IP = 2


class AggregationProtocol(IntEnum):
    DISABLED = 0
    TLP = 1
    QC_NCM = 2
    MBIM = 3
    RNDIS = 4
    QMAP = 5
    QMAPV2 = 6
    QMAPV3 = 7
    QMAPV4 = 8
    QMAPV5 = 9
