"""AT commands about the radio and the network: functionality, signal, registration, choice of an operator.

Registering takes time, and no command waits for it: +COPS=1 says at once whether the network that was asked
for is in reach, and +CREG says later what came of it.

Sources: 3GPP TS 27.007 sections 7.2 (+CREG), 7.3 (+COPS), 8.1 (+CPAS), 8.2 (+CFUN), 8.5 (+CSQ), 8.69 (+CESQ),
10.1.20 (+CGREG), 10.1.22 (+CEREG).
"""

from enum import IntEnum
from typing import Final

from bamdmux.modem.control.at_commands.language import (
    REGISTRATIONS,
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
from bamdmux.modem.control.cell import Cell, Plmn
from bamdmux.modem.control.equipment import Change, Changed, Equipment, Mode
from bamdmux.modem.control.preferences import Domain, Restriction
from bamdmux.modem.control.registration import RegistrationState

UNKNOWN: Final = 99  # signal or bit error rate
NOT_OF_LTE: Final = 255
E_UTRAN: Final = 7  # access technology in +COPS and +CREG

# Beyond 4 the numbers are the manufacturer's; these are Qualcomm's.
_LEVELS: Final = {
    Mode.PERSISTENT_LOW_POWER: 0,
    Mode.ONLINE: 1,
    Mode.LOW_POWER: 4,
    Mode.FACTORY_TEST: 5,
    Mode.RESET: 6,
    Mode.OFFLINE: 7,
    Mode.SHUTTING_DOWN: 7,
}
_MODES: Final = {
    0: Mode.PERSISTENT_LOW_POWER,
    1: Mode.ONLINE,
    4: Mode.LOW_POWER,
    6: Mode.RESET,
    7: Mode.OFFLINE,
}


# Functionality


def _read_functionality(invocation: Invocation) -> Lines:
    return [f"+CFUN: {_LEVELS[invocation.equipment.mode]}"]


def _set_functionality(invocation: Invocation) -> Lines:
    """0 and 4 are low power, 1 is all of it; a second 1, or 6, is a restart."""
    level, reset = invocation.numbers((0, 127), (0, 1))
    if level not in _MODES:
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    if not invocation.equipment.set_mode(Mode.RESET if reset else _MODES[level], invocation.now):
        raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)
    return []


def _activity(invocation: Invocation) -> Lines:
    """Ready, or asleep."""
    return [f"+CPAS: {0 if invocation.equipment.is_radio_on else 5}"]


# Signal


def _signal_quality(invocation: Invocation) -> Lines:
    """RSSI in steps of 2 dB from -113 dBm; the bit error rate is not known in LTE."""
    signal = invocation.equipment.received_signal
    level = UNKNOWN if signal is None else min(31, max(0, (signal.rssi + 113) // 2))
    return [f"+CSQ: {level},{UNKNOWN}"]


def _extended_signal_quality(invocation: Invocation) -> Lines:
    """RSRQ in half decibels from -20, RSRP in decibels from -141; the rest is not of LTE."""
    signal = invocation.equipment.received_signal
    rsrq = rsrp = NOT_OF_LTE
    if signal is not None:
        rsrq, rsrp = (signal.rsrq + 20) * 2, signal.rsrp + 141
    return [f"+CESQ: {UNKNOWN},{UNKNOWN},{NOT_OF_LTE},{NOT_OF_LTE},{rsrq},{rsrp}"]


# Registration


class _Status(IntEnum):
    """TS 27.007 section 7.2."""

    NO = 0  # and we are not looking for one
    AT_HOME = 1
    SEARCHING = 2
    DENIED = 3
    ROAMING = 5


def _status(name: str, equipment: Equipment) -> _Status:
    registration, preferences = equipment.registration, equipment.registration.preferences
    match registration.state:
        case RegistrationState.REGISTERED:
            if name == "+CREG" and preferences.domain is not Domain.BOTH:
                return _Status.NO  # that one is about circuits
            return _Status.ROAMING if registration.is_roaming else _Status.AT_HOME
        case RegistrationState.SEARCHING:
            is_wanted = (
                preferences.restriction is Restriction.NONE and preferences.domain is not Domain.CIRCUITS
            )
            return _Status.SEARCHING if is_wanted else _Status.NO
        case RegistrationState.DENIED:
            return _Status.DENIED
    return _Status.NO


def _registration_line(name: str, settings: Settings, equipment: Equipment) -> str:
    """What is said at the level that is set: 1 the state, 2 and where, 3 and why not."""
    level, status = settings.registration_reports[name], _status(name, equipment)
    fields = [str(int(status))]
    cell = equipment.registration.cell
    if level >= 2 and status in (_Status.AT_HOME, _Status.ROAMING) and cell is not None:
        area = cell.location_area if name == "+CREG" else cell.tracking_area
        fields += [f'"{area:04X}"', f'"{cell.cell_id:07X}"', str(E_UTRAN)]
    elif level == 3 and status is _Status.DENIED:
        fields += ["", "", "", "0", str(equipment.registration.reject_cause)]  # 0: it is one of TS 24.301
    return ",".join(fields)


def _registration(name: str) -> Command:
    def read(invocation: Invocation) -> Lines:
        level = invocation.settings.registration_reports[name]
        return [f"{name}: {level},{_registration_line(name, invocation.settings, invocation.equipment)}"]

    def set_level(invocation: Invocation) -> Lines:
        settings = invocation.settings
        (settings.registration_reports[name],) = invocation.numbers((0, 3))
        settings.told_registrations[name] = _registration_line(name, settings, invocation.equipment)
        return []

    return Command(read=read, set=set_level, test=says(f"{name}: (0-3)"))


def tell_registration(change: Change, settings: Settings, equipment: Equipment) -> Lines:
    """What is new of it, to those who asked."""
    if change is not Changed.REGISTRATION:
        return []
    lines = []
    for name, level in settings.registration_reports.items():
        line = _registration_line(name, settings, equipment)
        if level and line != settings.told_registrations[name]:
            settings.told_registrations[name] = line
            lines.append(f"{name}: {line}")
    return lines


# Choice of an operator


class _Selection(IntEnum):
    AUTOMATIC = 0
    MANUAL = 1
    DEREGISTER = 2
    SET_FORMAT = 3
    MANUAL_THEN_AUTOMATIC = 4


_NUMERIC: Final = 2


def _read_operator(invocation: Invocation) -> Lines:
    registration, preferences = (
        invocation.equipment.registration,
        invocation.equipment.registration.preferences,
    )
    selection = _Selection.AUTOMATIC if preferences.plmn is None else _Selection.MANUAL
    if preferences.restriction is not Restriction.NONE:
        selection = _Selection.DEREGISTER
    cell = registration.cell
    if not registration.is_registered or cell is None:
        return [f"+COPS: {int(selection)}"]
    style = invocation.settings.operator_format
    name = cell.mcc + cell.mnc if style == _NUMERIC else cell.name
    return [f"+COPS: {int(selection)},{style},{quoted(name)},{E_UTRAN}"]


def _set_operator(invocation: Invocation) -> Lines:
    equipment, now = invocation.equipment, invocation.now
    mode_text, *rest = invocation.parameters(most=4)
    match number(mode_text, 0, 4):
        case _Selection.AUTOMATIC:
            equipment.prefer(now, plmn=None, restriction=Restriction.NONE)
        case _Selection.DEREGISTER:
            equipment.prefer(now, is_stored=False, restriction=Restriction.CAMP_ONLY)
        case _Selection.SET_FORMAT:
            invocation.settings.operator_format = number(rest[0] if rest else "", 0, 2)
        case mode:
            _choose(invocation, rest, otherwise_any=mode == _Selection.MANUAL_THEN_AUTOMATIC)
    return []


def _choose(invocation: Invocation, rest: Lines, *, otherwise_any: bool) -> None:
    """Want this network and no other, in reach or not; or if it is not, any."""
    equipment = invocation.equipment
    if len(rest) < 2 or rest[2:] not in ([], [str(E_UTRAN)]):
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    cell = equipment.audible_cell
    plmn = _plmn(rest[1], cell) if number(rest[0], 0, 2) == _NUMERIC else _plmn_by_name(rest[1], cell)
    is_in_reach = cell is not None and plmn == cell.plmn
    wanted = None if otherwise_any and not is_in_reach else plmn
    equipment.prefer(invocation.now, plmn=wanted, restriction=Restriction.NONE)
    if wanted is not None and not is_in_reach:
        raise AtFailure(CmeError.NO_NETWORK_SERVICE)


def _plmn(digits: str, cell: Cell | None) -> Plmn:
    number(digits, 0, 999_999)
    if len(digits) not in (5, 6):
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    return digits[:3], digits[3:]


def _plmn_by_name(name: str, cell: Cell | None) -> Plmn:
    """Names of networks that are not in reach are not known."""
    if cell is None or name != cell.name:
        raise AtFailure(CmeError.NO_NETWORK_SERVICE)
    return cell.plmn


def _scan_operators(invocation: Invocation) -> Lines:
    """Status 1 available, 2 ours, 3 forbidden; behind it, the modes and formats that there are."""
    equipment, cell = invocation.equipment, invocation.equipment.audible_cell
    if not equipment.is_radio_on:
        raise AtFailure(CmeError.NO_NETWORK_SERVICE)
    found = ""
    if cell is not None:
        registration = equipment.registration
        status = 2 if registration.is_registered else 3 if registration.is_forbidden else 1
        name = quoted(cell.name)
        found = f"({status},{name},{name},{quoted(cell.mcc + cell.mnc)},{E_UTRAN})"
    return [f"+COPS: {found},,(0-4),(0-2)"]


UNSOLICITED: Final[tuple[Teller, ...]] = (tell_registration,)
COMMANDS: Final = {
    "+CFUN": Command(
        read=_read_functionality,
        set=_set_functionality,
        test=says(f"+CFUN: ({','.join(map(str, _MODES))}),(0,1)"),
    ),
    "+CPAS": Command(execute=_activity, test=says("+CPAS: (0,5)")),
    "+CSQ": Command(execute=_signal_quality, test=says(f"+CSQ: (0-31,{UNKNOWN}),({UNKNOWN})")),
    "+CESQ": Command(
        execute=_extended_signal_quality,
        test=says(f"+CESQ: ({UNKNOWN}),({UNKNOWN}),({NOT_OF_LTE}),({NOT_OF_LTE}),(0-34,255),(0-97,255)"),
    ),
    **{name: _registration(name) for name in REGISTRATIONS},
    "+COPS": Command(read=_read_operator, set=_set_operator, test=_scan_operators),
}
