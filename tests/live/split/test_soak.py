"""`make soak` in small."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.identities import as_identity, environment, for_the_weakest, needs_tun

pytestmark = [pytest.mark.live, needs_tun]

SOAK = Path(__file__).parent.parent.parent.parent / "scripts" / "soak.py"


@for_the_weakest
def test_a_small_soak_leaves_nothing(identity: str) -> None:
    as_identity(identity)  # or skip
    options = ["--deaths", "4", "--bytes", "20000000", "--identity", identity, "--seed", "7"]
    done = subprocess.run(
        [sys.executable, str(SOAK), *options], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "seed 7"
    assert [line.split(",")[0] for line in lines[1:]] == [
        "bytes: 20000000 down",
        "bytes: 20000000 up",
        "deaths: 4 of 4",
        "nothing is left",
    ]
