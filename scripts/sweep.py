"""The crash sweep: what ModemManager makes of a modem that spoils one answer, for each message and fault.

Some sessions of `bamdmux run --modem-manager` play the cases side by side: mostly they wait. The outcome is
written into docs/modemmanager.md, between its two marks; how far it has come is said on stderr. Run it as
`make sweep`. It ends with code 1 if a next attempt has failed although ModemManager lived.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from tests.live.clients.connect_messages import Phase, connect_messages
from tests.live.clients.sweep import FAULTS, NOT_THE_MODEMS, Case, Outcome, cases, sweep

PAGE = Path(__file__).resolve().parent.parent / "docs" / "modemmanager.md"
MARKS = ("<!-- sweep: begin -->\n", "<!-- sweep: end -->\n")
COLUMN = {
    "control-hang-up": "hang-up",
    "control-error": "error",
    "control-never": "silence",
    "control-garbage": "garbage",
}


@click.command()
@click.option("--sessions", type=int, default=8, show_default=True, help="How many ModemManagers at a time.")
@click.option("--only", metavar="REGEX", default="", help="Cases whose selector matches; the page stays.")
def main(sessions: int, only: str) -> None:
    """Play all cases, and write the page."""
    wanted = [case for case in cases(*FAULTS) if re.search(only, case.selector)]
    began = time.monotonic()
    count = 0

    def told(case: Case, outcome: Outcome) -> None:
        nonlocal count
        count += 1
        text = f"{count}/{len(wanted)} {case.phase.value} {case.selector}: {_cell(outcome)}"
        print(f"{text} ({outcome.attempt})", file=sys.stderr, flush=True)

    outcomes = sweep(wanted, session_count=sessions, told=told)
    minutes = (time.monotonic() - began) / 60
    lines = list(_summary(outcomes, minutes, sessions))
    if only:
        print("\n".join(lines))
    else:
        _write([*lines, "", *_table(outcomes)])
    failed = [case for case, outcome in outcomes.items() if outcome.survived and outcome.next == "failed"]
    for case in failed:
        print(f"no next attempt after {case.selector}: {outcomes[case].problem}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def _summary(outcomes: Mapping[Case, Outcome], minutes: float, sessions: int) -> Iterator[str]:
    struck = [each for each in outcomes.values() if each.strikes]
    died = [each for each in struck if not each.survived]
    at_once = [each for each in struck if each.next == "at once"]
    restarted = [each for each in struck if each.next == "after a restart of the modem"]
    failed = [each for each in struck if each.survived and each.next == "failed"]
    yield (
        f"{len(outcomes)} cases with ModemManager {_version()}, {len(struck)} of them struck; "
        f"{minutes:.0f} minutes, {sessions} sessions side by side. "
        f"ModemManager died in {len(died)}. The next attempt succeeded at once after {len(at_once)}, "
        f"with a modem that was restarted after {len(restarted)}, and failed after {len(failed)}."
    )


def _version() -> str:
    done = subprocess.run(["ModemManager", "--version"], capture_output=True, text=True)
    return done.stdout.split()[1]


def _table(outcomes: Mapping[Case, Outcome]) -> Iterator[str]:
    yield "| phase | message | " + " | ".join(COLUMN[fault] for fault in FAULTS) + " |"
    yield "|---|---|" + "---|" * len(FAULTS)
    for phase in Phase:
        for message in connect_messages(phase):
            if message.name != NOT_THE_MODEMS:
                cells = [_cell(outcomes[Case(phase, message.name, fault)]) for fault in FAULTS]
                yield f"| {phase.value} | `{message.name}` | " + " | ".join(cells) + " |"


def _cell(outcome: Outcome) -> str:
    """The attempt that was struck, and the next one: whether, and after how many seconds."""
    if not outcome.survived:
        return "**ModemManager dies**"
    if not outcome.strikes:
        return "not sent"
    attempt = "done" if outcome.attempt == "done" else "fails"
    how = {"at once": "", "after a restart of the modem": "restart, ", "failed": "**fails**, "}[outcome.next]
    return f"{attempt} {outcome.attempt_seconds:.1f} → {how}{outcome.next_seconds:.1f}"


def _write(lines: list[str]) -> None:
    text = PAGE.read_text()
    begin, end = (text.index(mark) for mark in MARKS)
    PAGE.write_text(text[: begin + len(MARKS[0])] + "\n".join(lines) + "\n" + text[end:])


if __name__ == "__main__":
    main()
