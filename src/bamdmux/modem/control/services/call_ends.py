"""Why a call ended, or could not begin, in the numbers of WDS: the short reason, and the verbose one."""

from typing import Any, Final

from bamdmux.modem.control.data_calls import CallEnd
from bamdmux.wire.qmi.values import CallEndReason as Short
from bamdmux.wire.qmi.values import CmReason, InternalReason, ThreeGppReason
from bamdmux.wire.qmi.values import VerboseCallEndReasonType as Type

Verbose = CmReason | InternalReason | ThreeGppReason

REASONS: Final[dict[CallEnd, tuple[Short, Verbose]]] = {
    CallEnd.CLIENT_ENDED: (Short.CLIENT_END, CmReason.CLIENT_END),
    CallEnd.CLIENT_GONE: (Short.CLIENT_END, CmReason.CLIENT_END),
    CallEnd.DROPPED: (Short.RELEASE_NORMAL, ThreeGppReason.REGULAR_DEACTIVATION),
    CallEnd.NO_SERVICE: (Short.NO_SERVICE, CmReason.NO_SERVICE),
    CallEnd.LOW_POWER: (Short.NO_SERVICE, CmReason.OFFLINE),
    CallEnd.NO_SIM: (Short.NO_SERVICE, CmReason.INVALID_SIM_STATE),
    CallEnd.UNKNOWN_APN: (Short.UNSPECIFIED, ThreeGppReason.UNKNOWN_APN),
    CallEnd.NOT_SUBSCRIBED: (Short.UNSPECIFIED, ThreeGppReason.OPTION_UNSUBSCRIBED),
    CallEnd.ONLY_IPV4: (Short.UNSPECIFIED, ThreeGppReason.IPV4_ONLY_ALLOWED),
    CallEnd.ONLY_IPV6: (Short.UNSPECIFIED, ThreeGppReason.IPV6_ONLY_ALLOWED),
    CallEnd.BAD_CREDENTIALS: (Short.AUTHENTICATION_FAILED, ThreeGppReason.AUTHENTICATION_FAILED),
    CallEnd.ONE_VERSION: (Short.UNSPECIFIED, InternalReason.IP_VERSION_MISMATCH),
    CallEnd.CHANNEL_IN_USE: (Short.INTERNAL_ERROR, InternalReason.INTERFACE_IN_USE),
    CallEnd.NO_CHANNEL: (Short.INTERNAL_ERROR, InternalReason.ERROR),
}
_TYPES: Final[dict[type[Verbose], Type]] = {
    CmReason: Type.CM,
    InternalReason: Type.INTERNAL,
    ThreeGppReason: Type.THREE_GPP,
}


def call_end_values(end: CallEnd) -> dict[str, Any]:
    """The two TLVs that responses and indications have for it."""
    short, verbose = REASONS[end]
    return {
        "call_end_reason": short,
        "verbose_call_end_reason": {"type": _TYPES[type(verbose)], "reason": verbose},
    }
