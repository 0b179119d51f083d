"""The AT endpoint: bytes of a port become lines, lines become commands, commands become results.

    AT+CPIN?;+CSQ <CR>   ->   CPIN read, CSQ execute   ->   +CPIN: READY, +CSQ: 25,99, OK

A line is executed command by command up to the first that fails, with one final result at its end; `A/`
repeats the last line. What a person types is echoed until ATE0. What the commands do is at_commands.py.

Sources: 3GPP TS 27.007, ITU-T V.250 sections 5.2 (format of a line), 5.4 (concatenation), 5.7 (results).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bamdmux.actions import Action, SendToPort
from bamdmux.modem.control.at_commands import (
    COMMANDS,
    AtFailure,
    Command,
    Invocation,
    Settings,
    Use,
    unsolicited,
)
from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.timing import Instant

MAX_LINE_BYTES: Final = 2048  # longer: ERROR, and the rest up to its end is passed over

CR: Final = "\r"
_BACKSPACES: Final = ("\b", "\x7f")

# V.250 sections 5.3, 5.4: a basic command is a letter, perhaps behind "&", and a number; S has a number of
# its own; an extended one has a name that begins with a sign, and goes up to a semicolon outside of quotes.
_EXTENDED: Final = re.compile(
    r'(?P<name>[+*$^%][A-Z0-9!%\-./:_]+)(?P<rest>(?:"[^"]*"?|[^";])*);?', re.IGNORECASE
)
_DIAL: Final = re.compile(r"(?P<name>D)(?P<rest>.*)", re.IGNORECASE)
_REGISTER: Final = re.compile(r"(?P<name>S)(?P<rest>\d+(?:\?|=\d*))", re.IGNORECASE)
_BASIC: Final = re.compile(r"(?P<name>&?[A-Z])(?P<rest>\d*)", re.IGNORECASE)

# Final results by what they are in words and in numbers (ATV0).
_RESULTS: Final = {"OK": "0", "ERROR": "4", "NO CARRIER": "3"}


@dataclass(slots=True)
class AtPort:
    """One port: its settings, and the line that is being typed."""

    settings: Settings = field(default_factory=Settings)
    line: str = ""
    last_line: str = ""
    is_too_long: bool = False


class AtEndpoint:
    """All AT ports of a modem."""

    def __init__(self, equipment: Equipment, outbox: list[Action]) -> None:
        self._equipment = equipment
        self._outbox = outbox
        self._ports: dict[int, AtPort] = {}
        self.line_count = 0
        self.error_count = 0

    def open(self, port: int) -> None:
        self._ports[port] = AtPort()

    def close(self, port: int) -> None:
        self._ports.pop(port, None)

    def reset(self) -> None:
        self._ports.clear()

    def received(self, number: int, data: bytes, now: Instant) -> None:
        """Bytes of a port, cut or joined anyhow."""
        port = self._ports[number]
        echo: list[str] = []
        for char in data.decode("latin-1"):  # every byte is some character
            if port.settings.echoes:
                echo.append(char)
            if char == CR:
                self._flush(number, echo)
                self._end_line(number, port, now)
            elif char in _BACKSPACES:
                port.line = port.line[:-1]
            elif char == "/" and port.line in ("A", "a"):  # needs no end: V.250 section 5.2.4
                port.line = port.last_line
                self._flush(number, echo)
                self._end_line(number, port, now)
            elif char >= " ":  # a line feed behind the carriage return is nothing
                port.is_too_long |= len(port.line) >= MAX_LINE_BYTES
                port.line += "" if port.is_too_long else char
        self._flush(number, echo)

    def _flush(self, number: int, echo: list[str]) -> None:
        if echo:
            self._outbox.append(SendToPort(number, "".join(echo).encode("latin-1")))
            echo.clear()

    def _end_line(self, number: int, port: AtPort, now: Instant) -> None:
        line, is_too_long = port.line, port.is_too_long
        port.line, port.is_too_long = "", False
        if is_too_long:
            self._finish(number, port, [], "ERROR")
        elif line[:2].upper() == "AT":
            port.last_line = line
            self._execute(number, port, line[2:].strip(), now)
        # anything else is no command line: V.250 section 5.2.1

    def _execute(self, number: int, port: AtPort, body: str, now: Instant) -> None:
        self.line_count += 1
        lines: list[str] = []
        result = "OK"
        try:
            for command, use, text in parse_line(body):
                lines += command.run(Invocation(self._equipment, port.settings, use, text, now))
        except AtFailure as failure:
            self.error_count += 1
            result = failure.result(port.settings.error_format)
        self._finish(number, port, lines, result)

    def _finish(self, number: int, port: AtPort, lines: list[str], result: str) -> None:
        if port.settings.is_quiet:
            result = ""
        if port.settings.is_verbose:
            text = "".join(f"\r\n{line}\r\n" for line in [*lines, *filter(None, [result])])
        else:
            text = "".join(f"{line}\r\n" for line in lines) + (
                f"{_RESULTS.get(result, '4')}\r" if result else ""
            )
        if text:
            self._outbox.append(SendToPort(number, text.encode("latin-1", "replace")))

    def indicate(self, changes: Iterable[Change]) -> None:
        """Tell each port what it has asked to be told of."""
        for change in changes:
            for number, port in self._ports.items():
                for line in unsolicited(change, port.settings, self._equipment):
                    self._outbox.append(
                        SendToPort(number, f"\r\n{line}\r\n".encode("latin-1"), is_indication=True)
                    )

    def status(self) -> dict[str, object]:
        """For JSON."""
        return {"lines": self.line_count, "errors": self.error_count}


def parse_line(body: str) -> Iterable[tuple[Command, Use, str]]:
    """The commands of a line behind its AT, with how each is used and its parameters.

    Raises:
        AtFailure: there is something that is no command, or none that we know; what is before it is done.
    """
    position = 0
    while position < len(body):
        if body[position] in " ;":
            position += 1
            continue
        match = next(
            (
                found
                for form in (_EXTENDED, _DIAL, _REGISTER, _BASIC)
                if (found := form.match(body, position))
            ),
            None,
        )
        if match is None:
            raise AtFailure()
        position = match.end()
        command = COMMANDS.get(match["name"].upper())
        if command is None:
            raise AtFailure()
        yield command, *_use_of(match["name"], match["rest"].strip())


def _use_of(name: str, rest: str) -> tuple[Use, str]:
    if name[0] not in "+*$^%":
        return (Use.SET, rest) if rest else (Use.EXECUTE, "")
    if rest == "?":
        return Use.READ, ""
    if rest == "=?":
        return Use.TEST, ""
    if rest.startswith("="):
        return Use.SET, rest[1:].strip()
    if rest:
        raise AtFailure()
    return Use.EXECUTE, ""
