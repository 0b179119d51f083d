"""A trace as a script: what happened to the driver, and what it then did.

    Step    one input, and the kernel's lines up to the next one
      input     Probe, InterfaceChange, ModemPower, PowerInterrupt, ModemSends, ...
      outputs   what is compared of what the kernel did

The kernel's driver sleeps inside its calls and the trace shows the calls from outside; our driver is fed one
input at a time. So some lines are put together here: interrupts that came as one, completions that one
interrupt stood for, and the call that does not say which interface it is for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.conformance.trace import TraceLine, bytes_of, channel_of, normalised, pattern
from tests.conformance.trace import field as value_of


@dataclass(frozen=True, slots=True)
class Probe:
    """The driver is bound. What it reads of the modem's power may be the first that the trace says of it."""

    modem_is_up: bool | None  # None: it did not read it


@dataclass(frozen=True, slots=True)
class Remove:
    """The driver is unbound."""


@dataclass(frozen=True, slots=True)
class InterfaceChange:
    """An interface goes up or down."""

    channel: int
    is_up: bool


@dataclass(frozen=True, slots=True)
class RefusedUp:
    """The kernel's network stack refused to bring one of these up: detached, so the driver was not asked."""

    channels: frozenset[int]


@dataclass(frozen=True, slots=True)
class ModemPower:
    """The modem sets its power line; the driver is told by an interrupt of its own."""

    level: bool


@dataclass(frozen=True, slots=True)
class PowerInterrupt:
    """The driver is told that the modem's power line has changed."""


@dataclass(frozen=True, slots=True)
class AckInterrupt:
    """The modem toggles its ack. If another toggle follows before the driver looks, it is told only then."""

    is_told: bool


@dataclass(frozen=True, slots=True)
class ModemSends:
    """A frame fills the next RX buffer."""

    frame: bytes
    transfer_bytes: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One interrupt of the TX pipe, for one frame or more.

    ``left_in_pipe`` is how many frames the modem left in the kernel's pipe: it leaves as many in ours, so
    that one frame more of ours does not stay behind for good.
    """

    left_in_pipe: int


@dataclass(frozen=True, slots=True)
class Packet:
    """The network stack has a packet for an interface; ``is_answered``: the trace says if it was taken."""

    channel: int
    identity: str
    packet: bytes
    is_answered: bool


@dataclass(frozen=True, slots=True)
class PacketWithdrawn:
    """A packet that was not taken is thrown away by who made it."""

    identity: str


Input = (
    Probe
    | Remove
    | InterfaceChange
    | RefusedUp
    | ModemPower
    | PowerInterrupt
    | AckInterrupt
    | ModemSends
    | Completion
    | Packet
    | PacketWithdrawn
)


@dataclass(slots=True)
class Step:
    """One input and what the kernel did until the next one."""

    time_us: int
    title: str  # the lines that make the input, for people
    input: Input | None  # None: what is before the first input
    outputs: list[str] = field(default_factory=list)
    deferred_work_us: set[int] = field(default_factory=set)  # when the kernel ran what it had put off


# Lines that show that the kernel ran work that it had put off: registering interfaces, suspending, giving up.
_DEFERRED_WORK: Final = re.compile(r'register_netdev |pm suspending |timeout |log dbg "runtime suspend"')
# What may stand between two completions of one interrupt.
_WITHIN_COMPLETION: Final = re.compile(r"log |wake_queue |skb_free |pm|queue_work ")


def read_script(lines: list[TraceLine]) -> list[Step]:
    """The steps of a trace, in order."""
    return _ScriptReader(lines).read()


class _ScriptReader:
    """One pass over a trace, with what must be remembered on the way."""

    def __init__(self, lines: list[TraceLine]) -> None:
        self._lines = lines
        self._called = _interfaces_called(lines)  # by the index of the call
        self._channels: dict[str, int] = {}  # by the kernel's name of the interface
        self._registered: set[int] = set()  # channels, as the kernel has them
        self._up: set[int] = set()
        self._detached: set[int] = set()
        self._submitted = 0  # TX frames since the pipe was taken
        self._is_uncalled = False  # within a call that the network stack would not have made

    def read(self) -> list[Step]:
        steps = [Step(0, "before the first input", None)]
        index = 0
        while index < len(self._lines):
            line = self._lines[index]
            self._follow(line.text)
            found, end = self._input_at(index)
            if found is not None:
                title = " + ".join(each.text for each in self._lines[index:end])
                steps.append(Step(line.time_us, title, found))
            for each in self._lines[index:end]:
                self._add_output(steps[-1], each)
            index = end
        return steps

    def _add_output(self, step: Step, line: TraceLine) -> None:
        if _DEFERRED_WORK.match(line.text):
            step.deferred_work_us.add(line.time_us)
        if line.text.startswith("xmit "):
            # The network stack hands nothing to a queue that is stopped; whoever made the traces did. Only
            # the answer counts then, not that the queues were stopped again.
            self._is_uncalled = "(queue stopped)" in line.text
        elif self._is_uncalled:
            return
        if (output := normalised(line.text, self._channels)) is not None:
            step.outputs.append(str(TraceLine(line.time_us, output)))
            _move_answer_back(step.outputs)

    def _follow(self, text: str) -> None:
        """Keep what later lines refer to."""
        event, _, rest = text.partition(" ")
        if event == "register_netdev":
            self._channels[value_of(text, "name")] = channel = int(value_of(text, "dev_port"))
            self._registered.add(channel)
        elif event in ("attach", "detach", "ndo_open", "ndo_stop", "unregister_netdev"):
            self._follow_interface(event, channel_of(rest.split()[0], self._channels), value_of(text, "ret"))
        elif event == "tx_submit":
            self._submitted = int(rest.split()[0].removeprefix("#"))
        elif text in ("dma_request tx", "dma_release tx"):
            self._submitted = 0

    def _follow_interface(self, event: str, channel: int, answer: str) -> None:
        match event:
            case "attach":
                self._detached.discard(channel)
            case "detach":
                self._detached.add(channel)
            case "ndo_open" if answer == "0":
                self._up.add(channel)
            case "ndo_stop":
                self._up.discard(channel)
            case "unregister_netdev":
                for each in (self._registered, self._up, self._detached):
                    each.discard(channel)

    def _input_at(self, index: int) -> tuple[Input | None, int]:
        """The input that a line is or begins, and the index behind its last line."""
        text, behind = self._lines[index].text, index + 1
        match text.split()[:2]:
            case ["call", "probe"]:
                return Probe(self._modem_is_up(index)), behind
            case ["call", "remove"]:
                return Remove(), behind
            case ["call", "ifup" | "ifdown" as call]:
                return self._interface_call(index, is_up=call == "ifup"), behind
            case ["ndo_open", name] if value_of(text, "ret") != "0":
                return InterfaceChange(channel_of(name, self._channels), is_up=False), behind
            case ["modem", change] if change.startswith("pc="):
                return ModemPower(change == "pc=1"), behind
            case ["irq", "pc"]:
                return (PowerInterrupt() if self._is_seen(index) else None), behind
            case ["irq", "pc-ack"]:
                return AckInterrupt(is_told=self._is_seen(index)), behind
            case ["modem_send", _]:
                return ModemSends(bytes_of(text), int(value_of(text, "len"))), behind
            case ["tx_complete", _]:
                return self._completion(index)
            case ["xmit" | "stack_xmit" as event, name] if name.startswith("wwan"):
                packet = pattern(int(value_of(text, "len")))
                channel = channel_of(name, self._channels)
                return Packet(channel, value_of(text, "id"), packet, event == "xmit"), behind
            case ["skb_free", _] if value_of(text, "how") == "harness":
                return PacketWithdrawn(value_of(text, "id")), behind
        return None, behind

    def _modem_is_up(self, probe: int) -> bool | None:
        """What a probe reads of the modem's power line."""
        for line in self._lines[probe + 1 :]:
            if line.text.startswith("irqchip_state "):
                return value_of(line.text, "pc") == "1"
            if line.text.startswith(("probe ret=", "call ")):
                break
        return None

    def _interface_call(self, index: int, is_up: bool) -> Input | None:
        if (name := self._called.get(index)) is not None:
            return InterfaceChange(channel_of(name, self._channels), is_up)
        if is_up and (refused := (self._registered - self._up) & self._detached):
            return RefusedUp(frozenset(refused))
        # The trace ends while the call sleeps: it was for the one interface that it can have been for.
        possible = self._registered - self._up if is_up else self._up
        return InterfaceChange(min(possible), is_up) if len(possible) == 1 else None

    def _is_seen(self, index: int) -> bool:
        """Whether an interrupt is handled on its own: one that another one joins before is not."""
        first = self._lines[index]
        joining = first.text.removesuffix(" (coalesced)") + " (coalesced)"
        for line in self._lines[index + 1 :]:
            if line.time_us != first.time_us:
                return True
            if line.text == joining:
                return False
            if not line.text.startswith("modem ") and not line.is_comment:
                return True
        return True

    def _completion(self, index: int) -> tuple[Input, int]:
        """Take completions together that follow one another without anything being sent in between."""
        last = index
        for later in range(index + 1, len(self._lines)):
            line = self._lines[later]
            if line.time_us != self._lines[index].time_us:
                break
            if line.text.startswith("tx_complete "):
                last = later
            elif not _WITHIN_COMPLETION.match(line.text):
                break
        completed = int(self._lines[last].text.split()[1].removeprefix("#"))
        return Completion(left_in_pipe=max(0, self._submitted - completed)), last + 1


def _move_answer_back(outputs: list[str]) -> None:
    """Keep the answer to a packet behind the rest of its instant.

    The kernel wakes the link in a thread of its own, after it has answered; we vote first. Nobody can tell.
    """
    before, last = outputs[-2:] if len(outputs) > 1 else ("", "")
    if " xmit ret=" in before and before.split()[0] == last.split()[0]:
        outputs[-2:] = last, before


def _interfaces_called(lines: list[TraceLine]) -> dict[int, str]:
    """For each `call ifup` and `call ifdown`, by its index, the interface whose operation it led to.

    A call that never slept and was followed by another one of its kind before any interface answered was
    refused by the network stack.
    """
    called: dict[int, str] = {}
    answers: set[int] = set()
    for index, line in enumerate(lines):
        if line.text not in ("call ifup", "call ifdown"):
            continue
        for answer, name in _answers(lines, index):
            if answer not in answers:
                answers.add(answer)
                called[index] = name
                break
    return called


def _answers(lines: list[TraceLine], call: int) -> Iterator[tuple[int, str]]:
    """The lines that may be the end of a call: index and interface."""
    kind = lines[call].text.removeprefix("call ")
    operation = "ndo_open" if kind == "ifup" else "ndo_stop"
    slept = False
    for index in range(call + 1, len(lines)):
        text = lines[index].text
        slept = slept or text.startswith(f"sleep {kind}:")
        if text.startswith(f"{operation} "):
            yield index, text.split()[1]
        elif text in (f"call {kind}", "call remove", "call probe") and not slept:
            return
