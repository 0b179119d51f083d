"""AT commands about the port itself: V.250 section 6, and +CMEE.

Sources: ITU-T V.250 section 6; 3GPP TS 27.007 section 9.1 (+CMEE).
"""

from typing import Final

from bamdmux.modem.control.at_commands.language import (
    EDIT_REGISTER,
    END_REGISTER,
    FORMAT_REGISTER,
    AtFailure,
    Command,
    ErrorFormat,
    Invocation,
    Lines,
    number,
    says,
)

_CHARACTERS: Final = (END_REGISTER, FORMAT_REGISTER, EDIT_REGISTER)


def _switch(name: str) -> Command:
    """A letter with 0 or 1; alone it is 0."""

    def switch(invocation: Invocation) -> Lines:
        setattr(invocation.settings, name, bool(_digit(invocation, 1)))
        return []

    return Command(execute=switch, set=switch)


def _up_to(most: int) -> Command:
    """Lines of a cable, loudspeaker, dial tone and the like: there are none, and everybody sets them."""

    def pass_over(invocation: Invocation) -> Lines:
        _digit(invocation, most)
        return []

    return Command(execute=pass_over, set=pass_over)


def _digit(invocation: Invocation, most: int) -> int:
    try:
        return number(invocation.text or "0", 0, most)
    except AtFailure as failure:
        raise AtFailure() from failure  # V.250 knows no numbers of errors


def _reset(invocation: Invocation) -> Lines:
    _digit(invocation, 1)
    invocation.settings.reset()
    return []


def _register(invocation: Invocation) -> Lines:
    """S3, S4 and S5 are characters that at.py uses; the others are for telephone lines, and only kept."""
    name, _, value = invocation.text.rstrip("?").partition("=")
    registers = invocation.settings.registers
    index = int(name)
    if index not in registers:
        raise AtFailure()
    if invocation.text.endswith("?"):
        return [f"{registers[index]:03}"]
    most = 127 if index in _CHARACTERS else 255
    if int(value or "0") > most:
        raise AtFailure()
    registers[index] = int(value or "0")
    return []


def _dial(invocation: Invocation) -> Lines:
    """ATD*99# asks for data over this port, which has none; numbers of people are not called either."""
    raise AtFailure(final="NO CARRIER")


def _set_error_format(invocation: Invocation) -> Lines:
    (level,) = invocation.numbers((0, 2))
    invocation.settings.error_format = ErrorFormat(level)
    return []


# Identity


def _information(invocation: Invocation) -> Lines:
    identity = invocation.equipment.profile.identity
    return [
        f"Manufacturer: {identity.manufacturer}",
        f"Model: {identity.model}",
        f"Revision: {identity.revision}",
        f"IMEI: {identity.imei}",
        f"+GCAP: {_CAPABILITIES}",
    ]


def _identity(name: str) -> Command:
    def say(invocation: Invocation) -> Lines:
        return [getattr(invocation.equipment.profile.identity, name)]

    return Command(execute=say, test=says())


_CAPABILITIES: Final = "+CGSM"  # this modem speaks 3GPP's commands: V.250 section 6.1.9

COMMANDS: Final = {
    "E": _switch("echoes"),
    "V": _switch("is_verbose"),
    "Q": _switch("is_quiet"),
    "Z": Command(execute=_reset, set=_reset),
    "&F": Command(execute=_reset, set=_reset),
    "S": Command(set=_register),
    "X": _up_to(4),
    "L": _up_to(3),
    "M": _up_to(2),
    "&C": _up_to(1),
    "&D": _up_to(3),
    "&K": _up_to(6),
    "&S": _up_to(1),
    "H": _up_to(1),
    "D": Command(execute=_dial, set=_dial),
    "I": Command(execute=_information, set=_information),
    "+GCAP": Command(execute=says(f"+GCAP: {_CAPABILITIES}"), test=says()),
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
        test=says("+CMEE: (0-2)"),
    ),
}
