"""AT commands about the SIM: its PINs, and what stands on it.

Sources: 3GPP TS 27.007 sections 5.6 (+CIMI), 7.1 (+CNUM), 7.4 (+CLCK), 7.5 (+CPWD), 8.3 (+CPIN), 8.18
(+CRSM), 8.65 (+CPINR); TS 24.008 section 10.5.4.7 (types of a number: 145 international, 129 unknown).
"""

from itertools import count, takewhile
from typing import Final

from bamdmux.modem.control.at_commands.language import (
    AtFailure,
    CmeError,
    Command,
    Invocation,
    Lines,
    number,
    quoted,
    says,
)
from bamdmux.modem.control.card import ADF_USIM, MF, CardAnswer, Path, StatusWord
from bamdmux.modem.control.equipment import Equipment
from bamdmux.modem.control.sim import PIN_RETRIES, PUK_RETRIES, CodeResult, PinName, Sim, SimState

SIM_LOCK: Final = "SC"  # the SIM asks for its PIN; the only facility that is there
PIN2: Final = "P2"
_FACILITIES: Final = {SIM_LOCK: PinName.PIN1, PIN2: PinName.PIN2}
MAX_PIN_DIGITS: Final = 8

# Instructions of a card that only reads, TS 102 221 section 10.1.2, with the parameters that each needs.
_READ_BINARY: Final = 176
_READ_RECORD: Final = 178
_GET_RESPONSE: Final = 192
_INSTRUCTIONS: Final = {_READ_BINARY: 4, _READ_RECORD: 4, _GET_RESPONSE: 1}
_UNKNOWN_INSTRUCTION: Final = CardAnswer(0x6D00)
_IN_MF: Final = 0x2F  # the first byte of identifiers below the MF
_ABSOLUTE: Final = 4  # P2: the record is named by its number

_OBSTACLES: Final = {
    SimState.ABSENT: CmeError.SIM_NOT_INSERTED,
    SimState.PIN_REQUIRED: CmeError.SIM_PIN_REQUIRED,
    SimState.PUK_REQUIRED: CmeError.SIM_PUK_REQUIRED,
    SimState.BLOCKED: CmeError.SIM_FAILURE,
}


def require_sim(equipment: Equipment) -> None:
    """Let only those through whose command needs no more than what the SIM gives now."""
    obstacle = _OBSTACLES.get(equipment.sim.state)
    if obstacle is not None:
        raise AtFailure(obstacle)


def _require_card(equipment: Equipment) -> None:
    if not equipment.sim.is_present:
        raise AtFailure(CmeError.SIM_NOT_INSERTED)


# PINs


def _read_pin(invocation: Invocation) -> Lines:
    match invocation.equipment.sim.state:
        case SimState.PIN_REQUIRED:
            return ["+CPIN: SIM PIN"]
        case SimState.PUK_REQUIRED:
            return ["+CPIN: SIM PUK"]
    require_sim(invocation.equipment)
    return ["+CPIN: READY"]


def _enter_pin(invocation: Invocation) -> Lines:
    """A PIN; or a PUK and a new PIN."""
    equipment, codes = invocation.equipment, invocation.parameters(most=2)
    match equipment.sim.state:
        case SimState.PIN_REQUIRED:
            if len(codes) != 1:
                raise AtFailure(CmeError.INCORRECT_PARAMETERS)
            return _check(equipment.verify_pin(codes[0], invocation.now), equipment)
        case SimState.PUK_REQUIRED:
            if len(codes) != 2:
                raise AtFailure(CmeError.SIM_PUK_REQUIRED)
            return _check(equipment.unblock_pin(codes[0], codes[1], invocation.now), equipment)
    require_sim(equipment)
    raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)  # nothing is asked for


def _check(result: CodeResult, equipment: Equipment) -> Lines:
    """What came of a code."""
    match result:
        case CodeResult.ACCEPTED:
            return []
        case CodeResult.WRONG:
            raise AtFailure(CmeError.INCORRECT_PASSWORD)
        case CodeResult.BLOCKED:
            is_dead = equipment.sim.state is SimState.BLOCKED
            raise AtFailure(CmeError.SIM_FAILURE if is_dead else CmeError.SIM_PUK_REQUIRED)
        case CodeResult.MALFORMED:
            raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    raise AtFailure(CmeError.OPERATION_NOT_ALLOWED)


def _retries(invocation: Invocation) -> Lines:
    _require_card(invocation.equipment)
    lines = []
    for name, suffix in ((PinName.PIN1, ""), (PinName.PIN2, "2")):
        pin = invocation.equipment.sim.pins[name]
        lines.append(f"+CPINR: SIM PIN{suffix},{pin.retries},{PIN_RETRIES}")
        lines.append(f"+CPINR: SIM PUK{suffix},{pin.puk_retries},{PUK_RETRIES}")
    return lines


def _lock(invocation: Invocation) -> Lines:
    """+CLCK="SC",0|1,PIN switches the PIN off or on; mode 2 asks."""
    equipment, (facility, mode_text, *code) = invocation.equipment, invocation.parameters(2, 4)
    if facility.upper() != SIM_LOCK:
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    _require_card(equipment)
    mode = number(mode_text, 0, 2)
    if mode == 2:
        return [f"+CLCK: {int(equipment.sim.pin_is_enabled)}"]
    if not code:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    return _check(equipment.set_pin_enabled(code[0], bool(mode), invocation.now), equipment)


def _change_password(invocation: Invocation) -> Lines:
    equipment, (facility, old_pin, new_pin) = invocation.equipment, invocation.parameters(3, 3)
    name = _FACILITIES.get(facility.upper())
    if name is None:
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    _require_card(equipment)
    return _check(equipment.change_pin(old_pin, new_pin, invocation.now, name), equipment)


# What stands on it


def _imsi(invocation: Invocation) -> Lines:
    require_sim(invocation.equipment)
    return [invocation.equipment.sim.card.imsi]


def _iccid(invocation: Invocation) -> Lines:
    _require_card(invocation.equipment)
    return [f"+ICCID: {invocation.equipment.sim.card.iccid}"]


def _own_number(invocation: Invocation) -> Lines:
    require_sim(invocation.equipment)
    own = invocation.equipment.sim.card.msisdn
    return [f"+CNUM: ,{quoted(own)},{145 if own.startswith('+') else 129}"] if own else []


def _restricted_access(invocation: Invocation) -> Lines:
    """+CRSM=instruction,file,P1,P2,P3: what the card itself says, its status word first."""
    instruction, *rest = invocation.parameters(most=5)
    _require_card(invocation.equipment)
    answer = _transmit(invocation.equipment.sim, number(instruction, 0, 0xFF), rest)
    status = f"+CRSM: {answer.status >> 8},{answer.status & 0xFF}"
    return [f"{status},{quoted(answer.data.hex().upper())}" if answer.data else status]


def _transmit(sim: Sim, instruction: int, rest: Lines) -> CardAnswer:
    if instruction not in _INSTRUCTIONS:
        return _UNKNOWN_INSTRUCTION
    if len(rest) < _INSTRUCTIONS[instruction]:
        raise AtFailure(CmeError.INCORRECT_PARAMETERS)
    file = number(rest[0], 0, 0xFFFF)
    path: Path = (MF, file) if file >> 8 == _IN_MF else (MF, ADF_USIM, file)
    if instruction == _GET_RESPONSE:
        return _describe(sim, path)
    p1, p2, p3 = (number(text, 0, 0xFF) for text in rest[1:])
    if instruction == _READ_BINARY:
        return sim.read_transparent(path, p1 << 8 | p2, p3)
    if p2 != _ABSOLUTE:
        raise AtFailure(CmeError.OPERATION_NOT_SUPPORTED)
    return sim.read_record(path, p1, p3)


def _describe(sim: Sim, path: Path) -> CardAnswer:
    """The template that selecting a file is answered with: what it is made of, its identifier, its size.

    TS 102 221 section 11.1.1.3. What may not be read is not described either; a real card would.
    """
    whole = sim.read_transparent(path)
    if whole.has_data:
        kind, size = bytes((0x82, 2, 0x41, 0x21)), len(whole.data)
    elif whole.status == StatusWord.WRONG_STRUCTURE:
        records = takewhile(lambda each: each.has_data, (sim.read_record(path, n) for n in count(1)))
        lengths = [len(each.data) for each in records]
        kind = bytes((0x82, 5, 0x42, 0x21, 0, max(lengths, default=0), len(lengths)))
        size = sum(lengths)
    else:
        return whole
    parts = kind + bytes((0x83, 2)) + path[-1].to_bytes(2, "big") + bytes((0x8A, 1, 5, 0x80, 2))
    parts += size.to_bytes(2, "big")
    return CardAnswer(StatusWord.OK, bytes((0x62, len(parts))) + parts)


COMMANDS: Final = {
    "+CPIN": Command(read=_read_pin, set=_enter_pin, test=says()),
    "+CPINR": Command(execute=_retries, test=says()),
    "+CLCK": Command(set=_lock, test=says(f'+CLCK: ("{SIM_LOCK}")')),
    "+CPWD": Command(
        set=_change_password,
        test=says(f'+CPWD: ("{SIM_LOCK}",{MAX_PIN_DIGITS}),("{PIN2}",{MAX_PIN_DIGITS})'),
    ),
    "+CIMI": Command(execute=_imsi, test=says()),
    "+ICCID": Command(execute=_iccid, read=_iccid, test=says()),
    "+CNUM": Command(execute=_own_number, test=says()),
    "+CRSM": Command(set=_restricted_access, test=says()),
}
