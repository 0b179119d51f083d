"""What AT commands do: each reads and changes the one model in equipment.py, and keeps nothing of its own.

Context N of +CGDCONT is for channel N-1, so that +CGACT=1,N brings up the bearer of wwan(N-1): the data of a
BAM-DMUX modem never goes over its AT port.

Sources: 3GPP TS 27.007 sections 5 (identity), 7.2 (+CREG), 7.3 (+COPS), 7.4 (+CLCK), 7.5 (+CPWD), 8.2
(+CFUN), 8.3 (+CPIN), 8.5 (+CSQ), 8.69 (+CESQ), 9.2 (+CME ERROR), 10.1 (packet domain); ITU-T V.250 section 6.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto, unique
from typing import Final

from bamdmux.modem.control.contexts import Context
from bamdmux.modem.control.data_calls import CallChanged, CallEnd
from bamdmux.modem.control.equipment import Change, Changed, Equipment, Mode
from bamdmux.modem.control.registration import RegistrationState
from bamdmux.modem.control.sim import CodeResult, SimState
from bamdmux.timing import Instant

UNKNOWN_SIGNAL: Final = 99
E_UTRAN: Final = 7  # access technology in +COPS and +CEREG

_REGISTRATIONS: Final = ("+CREG", "+CGREG", "+CEREG")


class CmeError(IntEnum):
    """TS 27.007 section 9.2: the number of a +CME ERROR."""

    OPERATION_NOT_ALLOWED = 3
    OPERATION_NOT_SUPPORTED = 4
    SIM_NOT_INSERTED = 10
    SIM_PIN_REQUIRED = 11
    SIM_PUK_REQUIRED = 12
    SIM_FAILURE = 13
    INCORRECT_PASSWORD = 16
    NO_NETWORK_SERVICE = 30
    INCORRECT_PARAMETERS = 50
    UNKNOWN = 100
    SERVICE_OPTION_NOT_SUBSCRIBED = 133
    UNSPECIFIED_PACKET_ERROR = 148
    AUTHENTICATION_FAILURE = 149

    @property
    def words(self) -> str:
        return _CME_WORDS.get(self, self.name.lower().replace("_", " "))


_CME_WORDS: Final = {
    CmeError.SIM_NOT_INSERTED: "SIM not inserted",
    CmeError.SIM_PIN_REQUIRED: "SIM PIN required",
    CmeError.SIM_PUK_REQUIRED: "SIM PUK required",
    CmeError.SIM_FAILURE: "SIM failure",
    CmeError.SERVICE_OPTION_NOT_SUBSCRIBED: "requested service option not subscribed",
    CmeError.UNSPECIFIED_PACKET_ERROR: "unspecified GPRS error",
    CmeError.AUTHENTICATION_FAILURE: "PDP authentication failure",
}


class ErrorFormat(IntEnum):
    """+CMEE: what a failed command is answered with."""

    PLAIN = 0  # ERROR
    NUMBER = 1  # +CME ERROR: 10
    WORDS = 2  # +CME ERROR: SIM not inserted


class AtFailure(Exception):
    """A command failed; the machine catches it, and nobody else sees it."""

    def __init__(self, error: CmeError | None = None, final: str = "ERROR") -> None:
        super().__init__(error)
        self.error = error
        self._final = final

    def result(self, error_format: ErrorFormat) -> str:
        """The final result that stands for it. A line that is none has no number: V.250 section 5.7."""
        if self.error is None or error_format is ErrorFormat.PLAIN:
            return self._final
        shown = self.error.words if error_format is ErrorFormat.WORDS else int(self.error)
        return f"+CME ERROR: {shown}"


@unique
class Use(Enum):
    """The four forms of a command."""

    EXECUTE = auto()  # AT+CSQ
    READ = auto()  # AT+CPIN?
    SET = auto()  # AT+CFUN=1
    TEST = auto()  # AT+CFUN=?


@dataclass(slots=True)
class Settings:
    """What is set for one port: V.250 section 6, and who wants to be told what."""

    echoes: bool = True
    is_verbose: bool = True
    is_quiet: bool = False
    error_format: ErrorFormat = ErrorFormat.PLAIN
    registration_reports: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_REGISTRATIONS, 0))
    packet_events: int = 0  # +CGEREP
    operator_format: int = 0  # of +COPS: 0 long, 1 short, 2 numeric


@dataclass(frozen=True, slots=True)
class Invocation:
    """One use of a command.

    Args:
        text: its parameters as they stand, behind the "=" or the letter.
    """

    equipment: Equipment
    settings: Settings
    use: Use
    text: str
    now: Instant

    def parameters(self) -> list[str]:
        """Parameters without their quotes; commas inside of quotes are part of them."""
        values, value, is_quoted = [], "", False
        for char in self.text:
            if char == '"':
                is_quoted = not is_quoted
            elif char == "," and not is_quoted:
                values.append(value.strip())
                value = ""
            else:
                value += char
        if is_quoted:
            raise AtFailure(CmeError.INCORRECT_PARAMETERS)
        return [*values, value.strip()]

    def numbers(self, *bounds: tuple[int, int]) -> list[int]:
        """Parameters as numbers within these bounds, the first at least; what is left out takes its least."""
        given = self.parameters()
        if len(given) > len(bounds) or not given[0]:
            raise AtFailure(CmeError.INCORRECT_PARAMETERS)
        return [
            _number(given[index] if index < len(given) else "", least, most)
            for index, (least, most) in enumerate(bounds)
        ]


def _number(text: str, least: int, most: int) -> int:
    if not text:
        return least
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not least <= int(text) <= most:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    return int(text)


Lines = list[str]
Handler = Callable[[Invocation], Lines]


@dataclass(frozen=True, slots=True)
class Command:
    """A command by its forms; one that is None is not allowed."""

    execute: Handler | None = None
    read: Handler | None = None
    set: Handler | None = None
    test: Handler | None = None

    def run(self, invocation: Invocation) -> Lines:
        handler = {
            Use.EXECUTE: self.execute,
            Use.READ: self.read,
            Use.SET: self.set,
            Use.TEST: self.test,
        }[invocation.use]
        if handler is None:
            raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
        return handler(invocation)


def _says(text: str) -> Handler:
    return lambda _: [text]


# The port: V.250 section 6


def _reset(invocation: Invocation) -> Lines:
    fresh = Settings()
    for name in fresh.__slots__:
        setattr(invocation.settings, name, getattr(fresh, name))
    return []


def _echo(invocation: Invocation) -> Lines:
    invocation.settings.echoes = bool(_number(invocation.text, 0, 1))
    return []


def _verbose(invocation: Invocation) -> Lines:
    invocation.settings.is_verbose = bool(_number(invocation.text, 0, 1))
    return []


def _quiet(invocation: Invocation) -> Lines:
    invocation.settings.is_quiet = bool(_number(invocation.text, 0, 1))
    return []


def _ignored(invocation: Invocation) -> Lines:
    """Modem control lines and the like: there are none here, and everybody sets them."""
    return []


def _register(invocation: Invocation) -> Lines:
    """Registers hold what a modem with a telephone line wants to know: zero."""
    return ["000"] if invocation.text.endswith("?") else []


def _dial(invocation: Invocation) -> Lines:
    """ATD*99# asks for data over this port, which has none; numbers of people are not called either."""
    raise AtFailure(final="NO CARRIER")


def _set_error_format(invocation: Invocation) -> Lines:
    (number,) = invocation.numbers((0, 2))
    invocation.settings.error_format = ErrorFormat(number)
    return []


# Identity


def _information(invocation: Invocation) -> Lines:
    identity = invocation.equipment.profile.identity
    return [
        f"Manufacturer: {identity.manufacturer}",
        f"Model: {identity.model}",
        f"Revision: {identity.revision}",
        f"IMEI: {identity.imei}",
        "+GCAP: +CGSM",
    ]


def _identity(name: str) -> Command:
    return Command(execute=lambda each: [getattr(each.equipment.profile.identity, name)], test=lambda _: [])


# The SIM


def _require_sim(equipment: Equipment) -> None:
    """Let only those through whose command needs no more than what the SIM gives now."""
    match equipment.sim.state:
        case SimState.ABSENT:
            raise AtFailure(CmeError.SIM_NOT_INSERTED)
        case SimState.PIN_REQUIRED:
            raise AtFailure(CmeError.SIM_PIN_REQUIRED)
        case SimState.PUK_REQUIRED:
            raise AtFailure(CmeError.SIM_PUK_REQUIRED)
        case SimState.BLOCKED:
            raise AtFailure(CmeError.SIM_FAILURE)


def _require_card(equipment: Equipment) -> None:
    if not equipment.sim.is_present:
        raise AtFailure(CmeError.SIM_NOT_INSERTED)


def _check_code(result: CodeResult) -> Lines:
    match result:
        case CodeResult.ACCEPTED:
            return []
        case CodeResult.NOT_WANTED:
            raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)
        case CodeResult.BLOCKED:
            raise AtFailure(CmeError.SIM_PUK_REQUIRED)
    raise AtFailure(CmeError.INCORRECT_PASSWORD)


def _read_pin(invocation: Invocation) -> Lines:
    match invocation.equipment.sim.state:
        case SimState.ABSENT:
            raise AtFailure(CmeError.SIM_NOT_INSERTED)
        case SimState.BLOCKED:
            raise AtFailure(CmeError.SIM_FAILURE)
        case SimState.PIN_REQUIRED:
            return ["+CPIN: SIM PIN"]
        case SimState.PUK_REQUIRED:
            return ["+CPIN: SIM PUK"]
    return ["+CPIN: READY"]


def _enter_pin(invocation: Invocation) -> Lines:
    """A PIN; or a PUK and a new PIN."""
    equipment, codes = invocation.equipment, invocation.parameters()
    _require_card(equipment)
    if len(codes) > 2:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    if equipment.sim.state is SimState.PUK_REQUIRED:
        if len(codes) < 2:
            raise AtFailure(CmeError.SIM_PUK_REQUIRED)
        return _check_code(equipment.unblock_pin(codes[0], codes[1], invocation.now))
    if equipment.sim.state is not SimState.PIN_REQUIRED:
        raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)
    return _check_code(equipment.verify_pin(codes[0], invocation.now))


def _lock(invocation: Invocation) -> Lines:
    """+CLCK="SC",0|1,PIN switches the PIN off or on; mode 2 asks."""
    equipment, parameters = invocation.equipment, invocation.parameters()
    if parameters[0].upper() != "SC" or len(parameters) not in (2, 3):
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    _require_card(equipment)
    mode = _number(parameters[1], 0, 2)
    if mode == 2:
        return [f"+CLCK: {int(equipment.sim.pin_is_enabled)}"]
    if len(parameters) < 3:
        raise AtFailure(CmeError.SIM_PIN_REQUIRED)
    if bool(mode) == equipment.sim.pin_is_enabled:
        return []
    return _check_code(equipment.set_pin_enabled(parameters[2], bool(mode), invocation.now))


def _change_password(invocation: Invocation) -> Lines:
    parameters = invocation.parameters()
    if parameters[0].upper() != "SC" or len(parameters) != 3:
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    _require_card(invocation.equipment)
    return _check_code(invocation.equipment.change_pin(parameters[1], parameters[2], invocation.now))


def _imsi(invocation: Invocation) -> Lines:
    _require_sim(invocation.equipment)
    return [invocation.equipment.sim.card.imsi]


def _iccid(invocation: Invocation) -> Lines:
    _require_card(invocation.equipment)
    return [f"+ICCID: {invocation.equipment.sim.card.iccid}"]


def _own_number(invocation: Invocation) -> Lines:
    _require_sim(invocation.equipment)
    number = invocation.equipment.sim.card.msisdn
    return [f'+CNUM: ,"{number}",{145 if number.startswith("+") else 129}']


# Radio and network


def _read_functionality(invocation: Invocation) -> Lines:
    mode = invocation.equipment.mode
    return [f"+CFUN: {1 if mode is Mode.ONLINE else 4 if mode is Mode.LOW_POWER else 0}"]


def _set_functionality(invocation: Invocation) -> Lines:
    """0 and 4 are low power here, 1 is all of it; a second 1, or 6, is a restart."""
    level, reset = invocation.numbers((0, 6), (0, 1))
    modes = {0: Mode.LOW_POWER, 1: Mode.ONLINE, 4: Mode.LOW_POWER, 6: Mode.RESET}
    if level not in modes:
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    if not invocation.equipment.set_mode(Mode.RESET if reset else modes[level], invocation.now):
        raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)
    return []


def _signal_quality(invocation: Invocation) -> Lines:
    """RSSI in steps of 2 dB from -113 dBm; the bit error rate is not known in LTE."""
    equipment = invocation.equipment
    level = UNKNOWN_SIGNAL
    if equipment.registration.is_registered:
        level = min(31, max(0, (equipment.signal.rssi + 113) // 2))
    return [f"+CSQ: {level},{UNKNOWN_SIGNAL}"]


def _extended_signal_quality(invocation: Invocation) -> Lines:
    """RSRQ in half decibels from -20, RSRP in decibels from -141; the rest is not of LTE."""
    equipment = invocation.equipment
    rsrq = rsrp = 255
    if equipment.registration.is_registered:
        rsrq = min(34, max(0, (equipment.signal.rsrq + 20) * 2))
        rsrp = min(97, max(0, equipment.signal.rsrp + 141))
    return [f"+CESQ: 99,99,255,255,{rsrq},{rsrp}"]


def registration_code(equipment: Equipment) -> int:
    """TS 27.007 section 7.2: 0 no, 1 at home, 2 searching, 3 denied, 5 roaming."""
    match equipment.registration.state:
        case RegistrationState.REGISTERED:
            return 5 if equipment.registration.is_roaming else 1
        case RegistrationState.SEARCHING:
            return 2
        case RegistrationState.DENIED:
            return 3
    return 0


def _registration_line(name: str, settings: Settings, equipment: Equipment, *, is_answer: bool) -> str:
    level = settings.registration_reports[name]
    fields = [str(registration_code(equipment))]
    cell = equipment.registration.cell
    if level == 2 and equipment.registration.is_registered and cell is not None:
        area = cell.location_area if name == "+CREG" else cell.tracking_area
        fields += [f'"{area:04X}"', f'"{cell.cell_id:07X}"', str(E_UTRAN)]
    return f"{name}: " + ",".join([str(level), *fields] if is_answer else fields)


def _registration(name: str) -> Command:
    def read(invocation: Invocation) -> Lines:
        return [_registration_line(name, invocation.settings, invocation.equipment, is_answer=True)]

    def set_level(invocation: Invocation) -> Lines:
        (invocation.settings.registration_reports[name],) = invocation.numbers((0, 2))
        return []

    return Command(read=read, set=set_level, test=_says(f"{name}: (0-2)"))


def _read_operator(invocation: Invocation) -> Lines:
    registration, cell = invocation.equipment.registration, invocation.equipment.registration.cell
    if not registration.is_registered or cell is None:
        return ["+COPS: 0"]
    style = invocation.settings.operator_format
    name = cell.mcc + cell.mnc if style == 2 else cell.name
    return [f'+COPS: 0,{style},"{name}",{E_UTRAN}']


def _set_operator(invocation: Invocation) -> Lines:
    """Mode 0 is automatic, as it is; mode 3 sets only the format. Nobody chooses a network by hand here."""
    mode, style = invocation.numbers((0, 4), (0, 2))
    if mode not in (0, 3):
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    if mode == 3:
        invocation.settings.operator_format = style
    return []


def _scan_operators(invocation: Invocation) -> Lines:
    equipment = invocation.equipment
    cell = equipment.registration.cell
    if not equipment.is_radio_on or cell is None:
        raise AtFailure(CmeError.NO_NETWORK_SERVICE)
    status = 2 if equipment.registration.is_registered else 1 if equipment.registration.is_welcome else 3
    return [f'+COPS: ({status},"{cell.name}","{cell.name}","{cell.mcc}{cell.mnc}",{E_UTRAN}),,(0,3),(0-2)']


# Packet domain


def _pdp_type(context: Context) -> str:
    return next((name for name, versions in _VERSIONS.items() if versions == context.versions), "IPV4V6")


_VERSIONS: Final[dict[str, tuple[int, ...]]] = {"IP": (4,), "IPV6": (6,), "IPV4V6": (4, 6)}
_REFUSALS: Final = {
    CallEnd.NO_SERVICE: CmeError.NO_NETWORK_SERVICE,
    CallEnd.LOW_POWER: CmeError.NO_NETWORK_SERVICE,
    CallEnd.NO_SIM: CmeError.SIM_FAILURE,
    CallEnd.UNKNOWN_APN: CmeError.SERVICE_OPTION_NOT_SUBSCRIBED,
    CallEnd.BAD_CREDENTIALS: CmeError.AUTHENTICATION_FAILURE,
}


def _read_contexts(invocation: Invocation) -> Lines:
    return [
        f'+CGDCONT: {context.index},"{_pdp_type(context)}","{context.apn}","0.0.0.0",0,0'
        for context in invocation.equipment.contexts.all()
    ]


def _define_context(invocation: Invocation) -> Lines:
    """The index alone takes a context away."""
    parameters, contexts = invocation.parameters(), invocation.equipment.contexts
    index = _number(parameters[0] or "0", 0, 255)
    if len(parameters) == 1:
        if not contexts.delete(index):
            raise AtFailure(CmeError.INCORRECT_PARAMETERS)
        return []
    versions = _VERSIONS.get(parameters[1].upper())
    if versions is None:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    apn = parameters[2] if len(parameters) > 2 else ""
    if contexts.define(index, versions=versions, apn=apn) is None:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    return []


def _read_activation(invocation: Invocation) -> Lines:
    return [
        f"+CGACT: {context.index},{int(_is_active(invocation.equipment, context.index))}"
        for context in invocation.equipment.contexts.all()
    ]


def _is_active(equipment: Equipment, index: int) -> bool:
    return any(call.channel == index - 1 for call in equipment.calls)


def _activate(invocation: Invocation) -> Lines:
    equipment, parameters = invocation.equipment, invocation.parameters()
    wanted = bool(_number(parameters[0], 0, 1))
    indexes = [_number(each, 1, 255) for each in parameters[1:]]
    if not indexes:
        indexes = [context.index for context in equipment.contexts.all()]
    for index in indexes:
        context = equipment.contexts.find(index)
        if context is None:
            raise AtFailure(CmeError.INCORRECT_PARAMETERS)
        if wanted:
            _start_calls(equipment, context)
        else:
            equipment.calls.end_all(CallEnd.CLIENT_ENDED, channel=index - 1)
    return []


def _start_calls(equipment: Equipment, context: Context) -> None:
    """Bring up what the context asks for; one version of two that is refused is no failure."""
    refusals: list[CallEnd] = []
    for version in context.versions:
        credentials = (context.username, context.password)
        outcome = equipment.start_call(
            ("at", context.index), context.index - 1, version, context.apn, credentials
        )
        if isinstance(outcome, CallEnd):
            refusals.append(outcome)
    if len(refusals) == len(context.versions):
        raise AtFailure(_REFUSALS.get(refusals[0], CmeError.UNSPECIFIED_PACKET_ERROR))


def _addresses(invocation: Invocation) -> Lines:
    equipment = invocation.equipment
    lines = []
    for context in equipment.contexts.all():
        bearer = equipment.calls.bearer(context.index - 1)
        shown = [f"+CGPADDR: {context.index}"]
        if bearer is not None and bearer.limit4:
            shown.append(f'"{bearer.address4}"')
        if bearer is not None and bearer.limit6:
            # Sixteen numbers: TS 27.007 section 10.1.23 without +CGPIAF.
            shown.append('"' + ".".join(str(byte) for byte in bearer.prefix6.network_address.packed) + '"')
        lines.append(",".join(shown))
    return lines


def _read_attachment(invocation: Invocation) -> Lines:
    return [f"+CGATT: {int(invocation.equipment.registration.is_registered)}"]


def _set_attachment(invocation: Invocation) -> Lines:
    """LTE is attached while it is registered, and detaches by going offline."""
    (wanted,) = invocation.numbers((0, 1))
    if bool(wanted) != invocation.equipment.registration.is_registered:
        raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)
    return []


def _set_packet_events(invocation: Invocation) -> Lines:
    invocation.settings.packet_events, _ = invocation.numbers((0, 2), (0, 1))
    return []


def unsolicited(change: Change, settings: Settings, equipment: Equipment) -> Lines:
    """What a port with these settings is told of a change."""
    if change is Changed.REGISTRATION:
        return [
            _registration_line(name, settings, equipment, is_answer=False)
            for name, level in settings.registration_reports.items()
            if level
        ]
    if isinstance(change, CallChanged) and settings.packet_events:
        side = "NW" if change.end is CallEnd.DROPPED else "ME"
        event = "ACT" if change.end is None else "DEACT"
        return [f"+CGEV: {side} PDN {event} {change.call.channel + 1}"]
    return []


COMMANDS: Final[dict[str, Command]] = {
    "E": Command(execute=_echo, set=_echo),
    "V": Command(execute=_verbose, set=_verbose),
    "Q": Command(execute=_quiet, set=_quiet),
    "Z": Command(execute=_reset, set=_reset),
    "&F": Command(execute=_reset, set=_reset),
    "&C": Command(execute=_ignored, set=_ignored),
    "&D": Command(execute=_ignored, set=_ignored),
    "S": Command(set=_register),
    "X": Command(execute=_ignored, set=_ignored),
    "H": Command(execute=_ignored, set=_ignored),
    "D": Command(execute=_dial, set=_dial),
    "I": Command(execute=_information, set=_information),
    "+GCAP": Command(execute=_says("+GCAP: +CGSM")),
    "+GMI": _identity("manufacturer"),
    "+GMM": _identity("model"),
    "+GMR": _identity("revision"),
    "+GSN": _identity("imei"),
    "+CGMI": _identity("manufacturer"),
    "+CGMM": _identity("model"),
    "+CGMR": _identity("revision"),
    "+CGSN": _identity("imei"),
    "+CMEE": Command(
        read=lambda each: [f"+CMEE: {int(each.settings.error_format)}"],
        set=_set_error_format,
        test=_says("+CMEE: (0-2)"),
    ),
    "+CPIN": Command(read=_read_pin, set=_enter_pin, test=lambda _: []),
    "+CLCK": Command(set=_lock, test=_says('+CLCK: ("SC")')),
    "+CPWD": Command(set=_change_password, test=_says('+CPWD: ("SC",8)')),
    "+CIMI": Command(execute=_imsi, test=lambda _: []),
    "+ICCID": Command(execute=_iccid, read=_iccid, test=lambda _: []),
    "+CNUM": Command(execute=_own_number, test=lambda _: []),
    "+CFUN": Command(read=_read_functionality, set=_set_functionality, test=_says("+CFUN: (0,1,4,6),(0,1)")),
    "+CPAS": Command(execute=_says("+CPAS: 0"), test=_says("+CPAS: (0)")),
    "+CSQ": Command(execute=_signal_quality, test=_says("+CSQ: (0-31,99),(99)")),
    "+CESQ": Command(
        execute=_extended_signal_quality, test=_says("+CESQ: (99),(99),(255),(255),(0-34,255),(0-97,255)")
    ),
    **{name: _registration(name) for name in _REGISTRATIONS},
    "+COPS": Command(read=_read_operator, set=_set_operator, test=_scan_operators),
    "+CGATT": Command(read=_read_attachment, set=_set_attachment, test=_says("+CGATT: (0,1)")),
    "+CGDCONT": Command(
        read=_read_contexts,
        set=_define_context,
        test=lambda _: [f'+CGDCONT: (1-16),"{kind}",,,(0),(0)' for kind in _VERSIONS],
    ),
    "+CGACT": Command(read=_read_activation, set=_activate, test=_says("+CGACT: (0,1)")),
    "+CGPADDR": Command(execute=_addresses, set=_addresses),
    "+CGEREP": Command(
        read=lambda each: [f"+CGEREP: {each.settings.packet_events},0"],
        set=_set_packet_events,
        test=_says("+CGEREP: (0-2),(0,1)"),
    ),
}
COMMANDS["+CLAC"] = Command(execute=lambda _: sorted(COMMANDS), test=lambda _: [])
