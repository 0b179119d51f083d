"""A folder that goes when its owner goes, however that ends."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.live.identities import as_identity, environment, for_each_identity, scratch, wait_for

pytestmark = pytest.mark.live

PROGRAM = """
import sys, time
from pathlib import Path
from bamdmux.live.janitor import Janitor
folder = Path(sys.argv[1])
folder.mkdir()
with Janitor(folder):
    (folder / "socket").touch()
    print("ready", flush=True)
    sys.stdin.readline()
print(folder.exists(), flush=True)
"""


def start(identity: str, folder: Path) -> subprocess.Popen[str]:
    line = as_identity(identity, "-c", PROGRAM, str(folder))
    process = subprocess.Popen(
        line,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@for_each_identity
def test_kill_9_leaves_no_folder(identity: str) -> None:
    folder = scratch() / "folder"
    with start(identity, folder) as process:
        process.kill()
    wait_for(lambda: not folder.exists(), "removal")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_whole_group_leaves_no_folder(signum: signal.Signals) -> None:
    folder = scratch() / "folder"
    with start("caller", folder) as process:
        os.killpg(process.pid, signum)
    wait_for(lambda: not folder.exists(), "removal")


def test_an_orderly_end_waits_until_all_is_removed() -> None:
    with start("caller", scratch() / "folder") as process:
        assert process.communicate("\n")[0] == "False\n"


def test_the_reader_of_our_output_does_not_wait_for_the_janitor() -> None:
    """It holds none of our descriptors: the end of our output is the end."""
    folder = scratch() / "folder"
    with start("caller", folder) as process:
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == ""
