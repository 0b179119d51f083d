"""The table of faults of the control plane, and which requests each is for.

    control-never                            every request, on every port
    control-error@nas                        those of a service; `at`: all of AT
    control-late@wds.start_network=0.5       one message, half of the time; also wds.0x0020; at.+cgact
    control-crash@7                          the seventh since the modem's boot, or since there were faults
    control-hang-up@wds.start_network#1      once, and then no more

They are a family of their own beside those of the data path in catalog.py: those are held against a link by
what it may do under them; these are played on clients, and the plane behind stays what it is. A row says what
is done instead of an answer; control.py does it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from bamdmux.actions import Action, HangUpPort, RestartModem, SendToPort
from bamdmux.errors import UsageError
from bamdmux.middleware.catalog import check_rate, find_faults, parse_fault
from bamdmux.middleware.control_requests import Asked
from bamdmux.middleware.faults import Fault, Half, Strikes
from bamdmux.timing import MILLISECOND, SECOND, Duration
from bamdmux.wire.qmi.messages import load_service
from bamdmux.wire.qmux import Message, Service, Tlv, decode_message, encode_message

FAMILY: Final = "control"
PREFIX: Final = "control-"


@dataclass(frozen=True, slots=True)
class Strike:
    """A request that a fault has struck, with the answer that there would be, or the refusal."""

    port: int
    answer: bytes
    strikes: Strikes

    def say(self, data: bytes) -> Action:
        return SendToPort(self.port, data)


Deeds = list[tuple[Duration, Action]]  # what is done instead of the answer, each so much later


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFault:
    """One row of the table.

    Args:
        act: what is done instead of the answer.
        is_refusal: the plane does not even see the request; the answer is an error.
        is_for_at: whether an answer of AT has what it takes.
        delay_ns: see `Fault`.
    """

    name: str
    description: str
    act: Callable[[Strike], Deeds] = field(repr=False)
    is_refusal: bool = False
    is_for_at: bool = True
    delay_ns: tuple[Duration, Duration] = (0, 0)
    rate: float = 1.0


def _as_it_is(strike: Strike) -> Deeds:
    return [(0, strike.say(strike.answer))]


def _late(strike: Strike) -> Deeds:
    return [(strike.strikes.delay(), strike.say(strike.answer))]


def _never(strike: Strike) -> Deeds:
    return []


def _twice(strike: Strike) -> Deeds:
    return [(0, strike.say(strike.answer)), (0, strike.say(strike.answer))]


def _wrong_transaction(strike: Strike) -> Deeds:
    """To a request that the client has not made, or has made before."""
    message = decode_message(strike.answer)
    most = 0xFF if message.service == Service.CTL else 0xFFFF
    other = (message.transaction + strike.strikes.number(1, most)) % (most + 1)  # any but its own
    return [(0, strike.say(_again(message, transaction=other)))]


def _cut_tlv(strike: Strike) -> Deeds:
    """One of them is shorter than what it has to hold; the lengths around it are right."""
    message = decode_message(strike.answer)
    tlvs = list(message.tlvs)
    filled = [index for index, tlv in enumerate(tlvs) if tlv.value]  # the result is one of them, always
    index = filled[strike.strikes.number(0, len(filled) - 1)]
    value = tlvs[index].value
    tlvs[index] = Tlv(tlvs[index].id, value[: strike.strikes.number(0, len(value) - 1)])
    return [(0, strike.say(_again(message, tlvs=tlvs)))]


def _overlong_tlv(strike: Strike) -> Deeds:
    """The last one claims to go on behind the end of the message."""
    last = decode_message(strike.answer).tlvs[-1]
    length = min(0xFFFF, len(last.value) + strike.strikes.number(1, 0xFF))
    place = len(strike.answer) - len(last.value) - 2
    spoiled = strike.answer[:place] + length.to_bytes(2, "little") + last.value
    return [(0, strike.say(spoiled))]


def _garbage(strike: Strike) -> Deeds:
    noise = bytes(strike.strikes.number(0, 0xFF) for _ in strike.answer)
    return [(0, strike.say(noise))]


def _hang_up(strike: Strike) -> Deeds:
    return [(0, HangUpPort(strike.port))]


def _crash(strike: Strike) -> Deeds:
    return [(0, RestartModem())]


def _again(message: Message, *, transaction: int | None = None, tlvs: Iterable[Tlv] | None = None) -> bytes:
    """The same message with one thing changed."""
    return encode_message(
        Message(
            message.service,
            message.client,
            message.kind,
            message.transaction if transaction is None else transaction,
            message.message_id,
            message.tlvs if tlvs is None else tuple(tlvs),
        )
    )


CONTROL_FAULTS: Final[Mapping[str, ControlFault]] = {
    fault.name: fault
    for fault in (
        ControlFault(
            name="control-late",
            description="an answer comes so late that others overtake it",
            act=_late,
            delay_ns=(100 * MILLISECOND, 3 * SECOND),
        ),
        ControlFault(name="control-never", description="a request is done and not answered", act=_never),
        ControlFault(name="control-twice", description="an answer comes twice", act=_twice),
        ControlFault(
            name="control-wrong-transaction",
            description="an answer of QMI is to another request",
            act=_wrong_transaction,
            is_for_at=False,
        ),
        ControlFault(
            name="control-cut-tlv",
            description="a TLV of an answer is shorter than what it has to hold",
            act=_cut_tlv,
            is_for_at=False,
        ),
        ControlFault(
            name="control-overlong-tlv",
            description="a TLV of an answer claims to go on behind its end",
            act=_overlong_tlv,
            is_for_at=False,
        ),
        ControlFault(name="control-garbage", description="noise comes instead of an answer", act=_garbage),
        ControlFault(
            name="control-error",
            description="a request is not done, and answered with an error",
            act=_as_it_is,
            is_refusal=True,
        ),
        ControlFault(
            name="control-hang-up",
            description="the port hangs up instead of an answer, until the modem boots again",
            act=_hang_up,
        ),
        ControlFault(
            name="control-crash",
            description="the modem dies instead of answering, and boots again",
            act=_crash,
        ),
    )
}


# Which requests


@dataclass(frozen=True, slots=True)
class Selector:
    """Which requests a fault is for; by default all of them.

    Args:
        name: one of their names.
        number: the one of them that is so many-th since the boot of the modem.
        times: how often in all.
    """

    name: str | None = None
    number: int | None = None
    times: int | None = None

    def selects(self, asked: Asked, number: int) -> bool:
        return self.number in (None, number) and (self.name is None or self.name in asked.names)


@dataclass(frozen=True, slots=True)
class ChosenFault:
    """A fault with its selector and rate, and the text that says so; `name` is that without the rate."""

    name: str
    fault: ControlFault
    selector: Selector
    rate: float

    @property
    def halves(self) -> frozenset[Half]:
        """See `Fault`: the control plane is where the modem is."""
        return frozenset({Half.MODEM})


AnyFault = Fault | ChosenFault  # of the data path, or of the control plane

_TEXT: Final = re.compile(
    r"(?P<fault>[a-z-]+)(?:@(?P<selector>[^#=]+))?(?:#(?P<times>[^=]+))?(?:=(?P<rate>.+))?"
)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_MESSAGE_NUMBER: Final = re.compile(r"0x[0-9a-f]{4}")
_AT_COMMAND: Final = re.compile(r"[+*$^%&]?[a-z][a-z0-9]*")


def is_control_fault(text: str) -> bool:
    """Whether `parse_control_fault` is the one to ask what it means."""
    return text.startswith(PREFIX)


def parse_control_fault(text: str) -> ChosenFault:
    """Read NAME[@SELECTOR][#TIMES][=RATE].

    Raises:
        UsageError: there is no such fault, message or command, or a number is none.
    """
    parts = _TEXT.fullmatch(text)
    if parts is None or parts["fault"] not in CONTROL_FAULTS:
        raise UsageError(_unknown(f"fault {text!r}", parts["fault"] if parts else text, CONTROL_FAULTS))
    fault = CONTROL_FAULTS[parts["fault"]]
    times = None if parts["times"] is None else _positive(parts["times"], "times")
    selector = parse_selector(parts["selector"], times)
    rate = fault.rate if parts["rate"] is None else check_rate(parts["rate"])
    return ChosenFault(text.partition("=")[0], fault, selector, rate)


def parse_any_fault(text: str) -> tuple[AnyFault, float]:
    """A fault of either table, and its rate.

    Raises:
        UsageError: there is no such fault, or a part of the text is none.
    """
    if not is_control_fault(text):
        return parse_fault(text)
    chosen = parse_control_fault(text)
    return chosen, chosen.rate


def find_any_fault(name: str) -> AnyFault:
    """A fault of either table by its name, without a rate.

    Raises:
        UsageError: there is none.
    """
    if is_control_fault(name):
        return parse_control_fault(name)
    (fault,) = find_faults([name])
    return fault


def parse_selector(text: str | None, times: int | None = None) -> Selector:
    """Read what stands behind the @.

    Raises:
        UsageError: there is no such service, message or command.
    """
    if text is None or text.isdigit():
        return Selector(number=None if text is None else _positive(text, "request"), times=times)
    name = text.lower()
    service, _, message = name.partition(".")
    services = {each.name.lower(): each for each in Service}
    if service == "at":
        if message and not _AT_COMMAND.fullmatch(message):
            raise UsageError(f"{message!r} is no command of AT; at.+cgact would be one")
    elif service not in services:
        raise UsageError(_unknown(f"service {service!r}", service, [*services, "at"]))
    elif message and not _MESSAGE_NUMBER.fullmatch(message):
        requests = [each.name for each in load_service(services[service]).messages.values()]
        if message not in requests:
            raise UsageError(_unknown(f"message {name!r}", message, requests))
    return Selector(name=name, times=times)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(known)}"
    return f"{what} is unknown; {hint}"


def _positive(text: str, what: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"{what} {text!r} is not a number from 1 to 999999999")
    return int(text)
