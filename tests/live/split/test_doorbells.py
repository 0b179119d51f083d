"""Doorbells that are not rung: two processes that sleep and spin, and no wake-up is lost between them.

What a test here waits for is bounded by the patience of the two programs, which no wake-up needs.
"""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from bamdmux.live.split.doorbell import Doorbell
from bamdmux.live.split.memory import SharedMemory
from bamdmux.pump import VARIABLE, is_native
from tests.live.identities import environment, for_the_weakest, needs_tun
from tests.live.split.bell_ringer import LAYOUT, NO_BELL
from tests.live.split.processes import Pair

pytestmark = pytest.mark.live
needs_native = pytest.mark.skipif(not is_native(), reason="the native pump was not built")

EXCHANGES: Final = 100_000  # frames of the host; there are as many of the modem's
TWENTY_MEGABYTES: Final = 20_000_000
FEW: Final = 2_000
PROCESS_SECONDS: Final = 120
ROOT: Final = Path(__file__).parent.parent.parent.parent

Diary = dict[str, Any]


def exchange(host_pump: str, modem_pump: str, **options: object) -> tuple[int, Diary, Diary]:
    """Let two processes exchange frames; the exit code of the first that ends, and the diaries of both."""
    shared = SharedMemory.create(LAYOUT)
    bells = Doorbell.create_pair()
    processes = []
    for role, pump, bell in zip(("host", "modem"), (host_pump, modem_pump), bells, strict=True):
        descriptors = shared.fileno(), bell.fileno()
        line = [sys.executable, "-m", "tests.live.split.bell_ringer", role, *map(str, descriptors)]
        process = subprocess.Popen(
            [*line, json.dumps(options)],
            env=environment() | {VARIABLE: pump},
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
            cwd=ROOT,
        )
        processes.append(process)
    shared.close()
    for bell in bells:
        bell.close()
    said = [process.communicate(timeout=PROCESS_SECONDS)[0] for process in processes]
    host, modem = map(json.loads, said)
    return max(process.returncode for process in processes), host, modem


@needs_native
def test_no_wake_up_is_lost_and_few_doorbells_are_rung() -> None:
    code, host, modem = exchange("native", "native", exchanges=EXCHANGES, seed=1)
    assert code == 0, (host, modem)
    assert host["wrong"] == modem["wrong"] == []
    assert min(host["frames"], modem["frames"]) >= EXCHANGES
    for diary in (host, modem):
        assert diary["naps"] > EXCHANGES / 100  # they did sleep
        assert 0 < diary["rings"] < diary["batches"]


@needs_native
@pytest.mark.parametrize(("host_pump", "modem_pump"), [("native", "python"), ("python", "native")])
def test_one_without_a_fence_rings_always_and_is_always_rung(host_pump: str, modem_pump: str) -> None:
    code, host, modem = exchange(host_pump, modem_pump, exchanges=FEW, seed=2)
    assert code == 0, (host, modem)
    assert host["wrong"] == modem["wrong"] == []
    for diary in (host, modem):
        assert diary["rings"] == diary["batches"]


@needs_native
def test_these_processes_find_a_wake_up_that_is_lost() -> None:
    options = {"exchanges": EXCHANGES, "seed": 3, "patience_ms": 500, "looks_once_more": False}
    code, host, modem = exchange("native", "native", **options)
    assert code == NO_BELL, (host, modem)


# The programs


@needs_tun
@needs_native
@for_the_weakest
@pytest.mark.parametrize("pumps", [("native", "python"), ("python", "native")])
def test_one_with_the_pump_and_one_without_talk_to_each_other(identity: str, pumps: tuple[str, str]) -> None:
    with ExitStack() as stack:
        pair = Pair(identity, stack, pumps=pumps)
        pair.host.ping()
        pair.carry_down(TWENTY_MEGABYTES)
