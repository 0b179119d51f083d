"""`make soak` at a twentieth, and its deaths fewer still."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bamdmux.pump import is_native
from tests.live.configurations import CONFIGURATIONS, WATCHED
from tests.live.identities import as_identity, environment, for_the_weakest, needs_tun

pytestmark = [pytest.mark.live, needs_tun]

SOAK = Path(__file__).parent.parent.parent.parent / "scripts" / "soak.py"


SECONDS = 300
DEATHS = 4
BYTES = 51 << 20  # 1 GiB / 20
MINUTES = 0.5  # 10 minutes / 20


@for_the_weakest
@pytest.mark.skipif(not is_native(), reason="the native pump was not built")
@pytest.mark.skipif(shutil.which("iperf3") is None, reason="there is no iperf3")
def test_a_small_soak_changes_no_byte_keeps_no_memory_and_leaves_nothing(identity: str) -> None:
    as_identity(identity)  # or skip
    options = [f"--deaths={DEATHS}", f"--bytes={BYTES}", f"--minutes={MINUTES}", "--seed=7"]
    line = [sys.executable, str(SOAK), *options, f"--identity={identity}"]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    first, *lines, deaths, last = done.stderr.splitlines()
    assert (first, last) == ("seed 7", "nothing is left")
    assert deaths.startswith(f"deaths: {DEATHS} of {DEATHS}")
    carried = [line.partition("SHA-256 equal: ")[2] for line in lines if line.startswith("bytes: ")]
    assert carried == [each.name for each in CONFIGURATIONS]
    watched = {line.partition("warm: ")[2] for line in lines if line.startswith("memory: ")}
    assert watched == {each.name for each in WATCHED}
