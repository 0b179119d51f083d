"""The AT endpoint: bytes of a port become lines, lines become commands, commands become results.

    AT+CPIN?;+CSQ <CR>   ->   CPIN read, CSQ execute   ->   +CPIN: READY, +CSQ: 25,99, OK

A line is executed command by command up to the first that fails, with one final result at its end; `A/`
repeats the last line. What a person types is echoed until ATE0; a line that does not begin with AT is
nobody's. Each port has its own settings; what the commands do to the one modem is in at_commands.

Differs from V.250: its eighth bit is kept, so that no byte of a text becomes another one.

Sources: ITU-T V.250 sections 5.2 (format of a line), 5.3 and 5.4 (basic, extended commands), 5.7 (results),
6.2; 3GPP TS 27.007 sections 4 and 9.2 (ATV0 does not change what begins with a plus).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bamdmux.actions import Action, SendToPort
from bamdmux.modem.control.at_commands import card, packets, radio, terminal
from bamdmux.modem.control.at_commands.language import (
    EDIT_REGISTER,
    END_REGISTER,
    FORMAT_REGISTER,
    AtFailure,
    Command,
    Invocation,
    Lines,
    Settings,
    Teller,
    Use,
    says,
)
from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.timing import Instant

MAX_LINE_BYTES: Final = 2048  # longer: ERROR, and nothing of it is done

COMMANDS: Final[Mapping[str, Command]] = {
    **terminal.COMMANDS,
    **card.COMMANDS,
    **radio.COMMANDS,
    **packets.COMMANDS,
    "+CLAC": Command(execute=lambda _: sorted(COMMANDS), test=says()),
}
UNSOLICITED: Final[tuple[Teller, ...]] = (*radio.UNSOLICITED, *packets.UNSOLICITED)

# A basic command is a letter, perhaps behind "&", and a number; S has a number of its own; D has the rest of
# the line; an extended one has a name that begins with a sign, and goes up to a semicolon outside of quotes.
_EXTENDED: Final = re.compile(
    r'(?P<name>[+*$^%][A-Z][A-Z0-9!%\-./:_]*)(?P<rest>(?:"[^"]*"?|[^";])*);?', re.IGNORECASE | re.ASCII
)
_DIAL: Final = re.compile(r"(?P<name>D)(?P<rest>.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_REGISTER: Final = re.compile(r"(?P<name>S) *(?P<rest>\d+ *(?:\?|= *\d*))", re.IGNORECASE | re.ASCII)
_BASIC: Final = re.compile(r"(?P<name>&[A-Z]|[A-CE-RT-Z]) *(?P<rest>\d*)", re.IGNORECASE | re.ASCII)

# Final results that ATV0 says in numbers.
_NUMBERS: Final = {"OK": "0", "NO CARRIER": "3", "ERROR": "4"}

_DELETE: Final = "\x7f"  # what the backspace key of a terminal sends, whatever S5 says
_RUBBED_OUT: Final = "\b \b"


@dataclass(slots=True)
class AtPort:
    """One port: its settings, and the line that is being typed."""

    number: int
    settings: Settings = field(default_factory=Settings)
    line: str = ""
    last_line: str = "AT"
    is_too_long: bool = False

    def character(self, register: int) -> str:
        return chr(self.settings.registers[register])


class AtEndpoint:
    """All AT ports of a modem."""

    def __init__(self, equipment: Equipment, outbox: list[Action]) -> None:
        self._equipment = equipment
        self._outbox = outbox
        self._ports: dict[int, AtPort] = {}
        self.line_count = 0
        self.error_count = 0

    def open(self, port: int) -> None:
        self._ports[port] = AtPort(port)

    def close(self, port: int) -> None:
        """Forget its settings and half a line; what was begun by it goes on."""
        self._ports.pop(port, None)

    def has_unfinished(self, number: int) -> bool:
        """Whether a line is being typed."""
        return bool(self._ports[number].line)

    def reset(self) -> None:
        self._ports.clear()

    # A line

    def received(self, number: int, data: bytes, now: Instant) -> None:
        """Bytes of a port, cut or joined anyhow."""
        port = self._ports[number]
        echo: list[str] = []
        for char in data.decode("latin-1"):  # every byte is some character
            is_end = char == port.character(END_REGISTER)
            is_repetition = char == "/" and port.line in ("A", "a")  # it needs no end: V.250 section 5.2.4
            shown = char if is_end or is_repetition else self._type(port, char)
            if port.settings.echoes:
                echo.append(shown)
            if is_end or is_repetition:
                self._send(port, "".join(echo))
                echo.clear()
                self._end_line(port, now, is_repetition=is_repetition)
        self._send(port, "".join(echo))

    def _type(self, port: AtPort, char: str) -> str:
        """Put a character into the line; what the echo of it is."""
        if char in (port.character(EDIT_REGISTER), _DELETE):
            erased, port.line = port.line[-1:], port.line[:-1]
            return _RUBBED_OUT if erased else ""
        if char < " ":  # a line feed behind the end of a line, for one
            return ""
        if len(port.line) < MAX_LINE_BYTES:
            port.line += char
        else:
            port.is_too_long = True
        return char

    def _end_line(self, port: AtPort, now: Instant, *, is_repetition: bool) -> None:
        line, is_too_long = port.line, port.is_too_long
        port.line, port.is_too_long = "", False
        if is_repetition:
            line = port.last_line
        if line[:2].upper() != "AT":
            return
        if is_too_long:
            self._finish(port, [], "ERROR")
        else:
            port.last_line = line
            self._execute(port, line[2:], now)

    def _execute(self, port: AtPort, body: str, now: Instant) -> None:
        self.line_count += 1
        answers: list[Lines] = []
        result = "OK"
        try:
            for command, use, text in parse_line(body):
                answers.append(command.run(Invocation(self._equipment, port.settings, use, text, now)))
        except AtFailure as failure:
            self.error_count += 1
            result = failure.result(port.settings.error_format)
        self._finish(port, answers, result)

    # What is said

    def _finish(self, port: AtPort, answers: Iterable[Lines], result: str) -> None:
        """Say what the commands of a line have said, each in a paragraph of its own, and how it ended."""
        line_end = port.character(END_REGISTER) + port.character(FORMAT_REGISTER)
        before = line_end if port.settings.is_verbose else ""
        text = "".join(f"{before}{line_end.join(lines)}{line_end}" for lines in answers if lines)
        if not port.settings.is_quiet:
            text += self._result(port, result)
        self._send(port, text)

    def _result(self, port: AtPort, result: str) -> str:
        """A final or unsolicited result; ATV0 has numbers for some."""
        end = port.character(END_REGISTER)
        if not port.settings.is_verbose and result in _NUMBERS:
            return _NUMBERS[result] + end
        line_end = end + port.character(FORMAT_REGISTER)
        return f"{line_end}{result}{line_end}"

    def _send(self, port: AtPort, text: str, *, is_indication: bool = False) -> None:
        if text:
            data = text.encode("latin-1", "replace")
            self._outbox.append(SendToPort(port.number, data, is_indication=is_indication))

    def indicate(self, changes: Iterable[Change]) -> None:
        """Tell each port what it has asked to be told of."""
        for change in changes:
            for port in self._ports.values():
                for tell in UNSOLICITED:
                    for line in tell(change, port.settings, self._equipment):
                        if not port.settings.is_quiet:
                            self._send(port, self._result(port, line), is_indication=True)

    def status(self) -> dict[str, object]:
        """For JSON."""
        return {"lines": self.line_count, "errors": self.error_count}


def parse_line(body: str) -> Iterator[tuple[Command, Use, str]]:
    """The commands of a line behind its AT, with how each is used and its parameters.

    Raises:
        AtFailure: there is something that is no command, or none that we know; what is before it is done.
    """
    position = 0
    while position < len(body):
        if body[position] in " ;":
            position += 1
            continue
        match = _match(body, position)
        command = COMMANDS.get(match["name"].upper())
        if command is None:
            raise AtFailure()
        yield command, *_use_of(match["name"], match["rest"].strip())
        position = match.end()


def _match(body: str, position: int) -> re.Match[str]:
    for form in (_EXTENDED, _DIAL, _REGISTER, _BASIC):
        match = form.match(body, position)
        if match is not None:
            return match
    raise AtFailure()


def _use_of(name: str, rest: str) -> tuple[Use, str]:
    if name[0] not in "+*$^%":
        return (Use.SET, rest.replace(" ", "")) if rest else (Use.EXECUTE, "")
    if rest in ("", "?"):
        return (Use.READ if rest else Use.EXECUTE), ""
    if rest[0] != "=":
        raise AtFailure()
    text = rest[1:].strip()
    return (Use.TEST, "") if text == "?" else (Use.SET, text)
