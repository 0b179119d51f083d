"""Replays a trace of the real driver to ours, and shows where the two part.

    python -m tests.conformance.replay NAME|FILE [--write]

NAME is a trace in tests/data/conformance/traces, or how its name begins. What is kept of a comparison is in
tests/data/conformance/expected: each line that only the kernel has (-) or only we have (+), and behind it the
number of the difference (docs/differences.md) that explains it. `--write` brings that file up to date; lines
that are new in it get the tag #?, to be replaced by hand.
"""

import argparse
import re
import shutil
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Final

from bamdmux.actions import Line
from tests.conformance.script import (
    AckInterrupt,
    Completion,
    Input,
    InterfaceChange,
    ModemPower,
    ModemSends,
    Packet,
    PacketWithdrawn,
    PowerInterrupt,
    Probe,
    RefusedUp,
    Remove,
    Step,
    read_script,
)
from tests.conformance.trace import parse_trace
from tests.conformance.world import World

DATA: Final = Path(__file__).parents[1] / "data" / "conformance"
TRACES: Final = DATA / "traces"
EXPECTED: Final = DATA / "expected"
UNKNOWN: Final = "?"
KNOWN_DIFFERENCES: Final = range(1, 21)  # docs/differences.md
_TAG: Final = re.compile(r" #(\d+|\?)$")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One step, and what our driver did where the kernel's did ``step.outputs``."""

    step: Step
    ours: list[str]


# Playing


def replay(text: str) -> list[Exchange]:
    """Play a trace to a driver of ours."""
    lines = parse_trace(text)
    player = _Player()
    steps = read_script(lines)
    end_us = lines[-1].time_us if lines else 0
    exchanges = []
    for step, following in zip_longest(steps, steps[1:]):
        player.play(step.input)
        player.wait_until(following.time_us if following else end_us, step.deferred_work_us)
        exchanges.append(Exchange(step, player.world.journal.take()))
    return exchanges


class _Player:
    """Translates inputs into what happens in a world."""

    def __init__(self) -> None:
        self.world = World()
        self._packets: dict[str, bytes] = {}  # by the number that the trace gives a packet

    def wait_until(self, time_us: int, deferred_work_us: set[int]) -> None:
        """Let time pass. What is due at its end is done only if the kernel did such work then as well."""
        self.world.advance_to(time_us)
        if time_us in deferred_work_us:
            self.world.run_deferred_work()

    def play(self, step_input: Input | None) -> None:
        world = self.world
        match step_input:
            case Probe(modem_is_up):
                if modem_is_up is not None:
                    world.set_modem_power(modem_is_up)
                world.probe()
            case Remove():
                world.remove()
            case InterfaceChange(channel, is_up):
                world.set_interface(channel, is_up)
            case RefusedUp(channels):
                # Our network stack refuses too, if our driver has detached it.
                for channel in channels & world.attached:
                    world.set_interface(channel, is_up=True)
            case ModemPower(level):
                world.set_modem_power(level)
            case PowerInterrupt():
                world.interrupt(Line.MODEM_POWER)
            case AckInterrupt(is_told):
                world.toggle_modem_ack()
                if is_told:
                    world.interrupt(Line.MODEM_ACK)
            case ModemSends(frame, transfer_bytes):
                world.send_frame(frame, transfer_bytes)
            case Completion(left_in_pipe):
                world.take_frames(leave=left_in_pipe)
            case Packet(channel, identity, packet, is_answered):
                self._packets[identity] = packet
                is_taken = world.queue_packet(channel, packet)
                if is_answered:
                    world.journal.note(f"xmit ret={'OK' if is_taken else 'BUSY'}")
            case PacketWithdrawn(identity):
                if identity in self._packets:
                    world.withdraw_packet(self._packets[identity])


# Comparing


def changes(exchanges: list[Exchange]) -> list[str]:
    """The lines that only the kernel has (-) or only we have (+), in order."""
    changed = []
    for exchange in exchanges:
        for kernel, ours in _aligned(exchange):
            if kernel != ours:
                changed += [f"- {line}" for line in kernel] + [f"+ {line}" for line in ours]
    return changed


def _aligned(exchange: Exchange) -> Iterator[tuple[list[str], list[str]]]:
    """Pairs of pieces, the kernel's and ours: equal, or without a line in common."""
    kernel, ours = exchange.step.outputs, exchange.ours
    matcher = SequenceMatcher(None, kernel, ours, autojunk=False)
    for _, start, end, our_start, our_end in matcher.get_opcodes():
        yield kernel[start:end], ours[our_start:our_end]


# What is kept


def read_expected(text: str) -> list[tuple[str, str]]:
    """Changed lines and their tags."""
    return [
        (_TAG.sub("", line), tag[1] if (tag := _TAG.search(line)) else UNKNOWN) for line in text.splitlines()
    ]


def with_tags(changed: list[str], known: list[tuple[str, str]]) -> str:
    """An expected file for these lines: tags of lines that were known are kept."""
    tags: defaultdict[str, deque[str]] = defaultdict(deque)
    for line, tag in known:
        tags[line].append(tag)
    return "".join(f"{line} #{tags[line].popleft() if tags[line] else UNKNOWN}\n" for line in changed)


def expected_path(name: str) -> Path:
    return EXPECTED / f"{name}.diff"


# For people


def side_by_side(exchanges: list[Exchange], width: int) -> Iterator[str]:
    """The kernel on the left, ours on the right, below the input that led to it."""
    column = (width - 3) // 2
    for exchange in exchanges:
        yield f"--- {exchange.step.time_us} {exchange.step.title}"[:width]
        for kernel, ours in _aligned(exchange):
            for left, right in zip_longest(kernel, ours, fillvalue=""):
                mark = " " if left == right else ">" if not left else "<" if not right else "|"
                yield f"{left[:column]:<{column}} {mark} {right[:column]}".rstrip()


def main(arguments: list[str] | None = None, write: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.replay", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("trace", help="a file, or the beginning of a name in tests/data/conformance/traces")
    parser.add_argument("--write", action="store_true", help="bring the expected file up to date")
    options = parser.parse_args(arguments)
    path = Path(options.trace)
    if not path.is_file():
        found = sorted(TRACES.glob(f"{options.trace}*.txt"))
        if len(found) != 1:
            parser.error(f"{options.trace} is no file, and {len(found)} names of traces begin like that")
        path = found[0]
    exchanges = replay(path.read_text())
    for line in side_by_side(exchanges, shutil.get_terminal_size((160, 24)).columns):
        write(line)
    changed = changes(exchanges)
    write(f"{path.stem}: {len(changed)} lines differ")
    if options.write:
        target = expected_path(path.stem)
        known = read_expected(target.read_text()) if target.exists() else []
        target.write_text(with_tags(changed, known))
        write(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
