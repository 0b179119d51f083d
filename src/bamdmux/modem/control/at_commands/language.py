"""What AT commands are made of: forms, parameters, errors, and the settings of a port.

Text goes in as it stands behind a command's name, lines come out; at.py makes commands of bytes before, and
bytes of lines after. What the commands do is in the modules beside this one.

Sources: 3GPP TS 27.007 section 9.2 (+CME ERROR); ITU-T V.250 section 5.4 (forms, parameters).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto, unique
from typing import Final

from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.timing import Instant

REGISTRATIONS: Final = ("+CREG", "+CGREG", "+CEREG")

# V.250 sections 6.2.1 to 6.2.3 and 6.3: what ends a line, what goes with it, what takes a character back.
END_REGISTER: Final = 3
FORMAT_REGISTER: Final = 4
EDIT_REGISTER: Final = 5
DEFAULT_REGISTERS: Final = {
    0: 0,
    END_REGISTER: 13,
    FORMAT_REGISTER: 10,
    EDIT_REGISTER: 8,
    6: 2,
    7: 50,
    8: 2,
    10: 14,
}

_NOT_SHOWN: Final = re.compile(r'["\x00-\x1f\x7f]')  # in a quoted text: what would end it, or the line


class CmeError(IntEnum):
    """The number of a +CME ERROR."""

    OPERATION_NOT_ALLOWED = 3
    OPERATION_NOT_SUPPORTED = 4
    SIM_NOT_INSERTED = 10
    SIM_PIN_REQUIRED = 11
    SIM_PUK_REQUIRED = 12
    SIM_FAILURE = 13
    INCORRECT_PASSWORD = 16
    INVALID_INDEX = 21
    NO_NETWORK_SERVICE = 30
    INCORRECT_PARAMETERS = 50
    UNKNOWN_APN = 127
    AUTHENTICATION_FAILURE = 129
    SERVICE_OPTION_NOT_SUBSCRIBED = 133
    UNSPECIFIED_PACKET_ERROR = 148

    @property
    def words(self) -> str:
        return _CME_WORDS.get(self, self.name.lower().replace("_", " "))


_CME_WORDS: Final = {
    CmeError.SIM_NOT_INSERTED: "SIM not inserted",
    CmeError.SIM_PIN_REQUIRED: "SIM PIN required",
    CmeError.SIM_PUK_REQUIRED: "SIM PUK required",
    CmeError.SIM_FAILURE: "SIM failure",
    CmeError.UNKNOWN_APN: "missing or unknown APN",
    CmeError.AUTHENTICATION_FAILURE: "user authentication failed",
    CmeError.SERVICE_OPTION_NOT_SUBSCRIBED: "requested service option not subscribed",
    CmeError.UNSPECIFIED_PACKET_ERROR: "unspecified GPRS error",
}


class ErrorFormat(IntEnum):
    """+CMEE: what a failed command is answered with."""

    PLAIN = 0  # ERROR
    NUMBER = 1  # +CME ERROR: 10
    WORDS = 2  # +CME ERROR: SIM not inserted


class AtFailure(Exception):
    """A command failed; the endpoint catches it, and nobody else sees it.

    Args:
        error: None: it is no command, or none of the modem's; that has no number.
    """

    def __init__(self, error: CmeError | None = None, final: str = "ERROR") -> None:
        super().__init__(error)
        self.error = error
        self._final = final

    def result(self, error_format: ErrorFormat) -> str:
        """The final result that stands for it."""
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
    """What is set for one port: V.250 section 6, and who wants to be told what.

    Args:
        registers: S-parameters.
        registration_reports: level of each of `REGISTRATIONS`.
        told_registrations: what the port knows of them, so that it is told only what is new.
        packet_events: +CGEREP, both numbers.
        told_active: channels that the port knows to be up, while it wants packet events.
        operator_format: of +COPS: 0 long, 1 short, 2 numeric.
    """

    echoes: bool = True
    is_verbose: bool = True
    is_quiet: bool = False
    error_format: ErrorFormat = ErrorFormat.PLAIN
    registers: dict[int, int] = field(default_factory=lambda: dict(DEFAULT_REGISTERS))
    registration_reports: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REGISTRATIONS, 0))
    told_registrations: dict[str, str] = field(default_factory=dict)
    packet_events: tuple[int, int] = (0, 0)
    told_active: set[int] = field(default_factory=set)
    operator_format: int = 0

    def reset(self) -> None:
        """Everything as it is on a new port."""
        fresh = Settings()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))


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

    def parameters(self, least: int = 1, most: int = 255) -> list[str]:
        """Parameters without their quotes; commas inside of quotes are part of them.

        Args:
            least, most: how many there may be.
        """
        values, value, is_quoted = [], "", False
        for char in self.text:
            if char == '"':
                is_quoted = not is_quoted
            elif char == "," and not is_quoted:
                values.append(value.strip())
                value = ""
            else:
                value += char
        values.append(value.strip())
        if is_quoted or not least <= len(values) <= most:
            raise AtFailure(CmeError.INCORRECT_PARAMETERS)
        return values

    def numbers(self, *bounds: tuple[int, int]) -> list[int]:
        """Parameters as numbers within these bounds, the first at least; what is left out takes its least."""
        given = self.parameters(most=len(bounds))
        given += [""] * (len(bounds) - len(given))
        first, *rest = zip(given, bounds, strict=True)
        return [
            number(first[0], *first[1]),
            *(number(text or str(low), low, high) for text, (low, high) in rest),
        ]


def number(text: str, least: int, most: int) -> int:
    """A parameter as a number."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not least <= int(text) <= most:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    return int(text)


def quoted(text: str) -> str:
    """A text as a parameter; whatever it is made of, it stays one line and one parameter."""
    return f'"{_NOT_SHOWN.sub("?", text)}"'


Lines = list[str]
Handler = Callable[[Invocation], Lines]
Teller = Callable[[Change, Settings, Equipment], Lines]


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


def says(*lines: str) -> Handler:
    """For the test form: what the parameters may be."""
    return lambda _: list(lines)
