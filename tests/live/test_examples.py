"""Every example is a program that runs to its end, as whoever runs the tests and as nobody."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.identities import as_identity, environment, for_each_identity, scratch

pytestmark = pytest.mark.live

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "examples").glob("*.py"))


@for_each_identity
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(identity: str, example: Path) -> None:
    program = shutil.copy(example, scratch())  # nobody may not be able to read the source tree
    os.chmod(program, 0o644)
    done = subprocess.run(
        as_identity(identity, str(program)), env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout


def test_the_first_packets_are_summarized() -> None:
    program = next(path for path in EXAMPLES if path.stem == "first_packets")
    done = subprocess.run(
        as_identity("caller", str(program)), env=environment(), capture_output=True, text=True, timeout=60
    )
    firsts = [line.split("  ")[0].split(" 1")[0].split(" 2")[0] for line in done.stdout.splitlines()]
    assert firsts == [
        "ping",
        "ping",
        "download",
        "ping after suspend",
        "bytes",
        "frames",
        "votes, acks",
        "suspended",
    ]


def run_example(stem: str) -> list[str]:
    program = next(path for path in EXAMPLES if path.stem == stem)
    line = as_identity("caller", str(program))
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_a_second_modem_carries_on() -> None:
    first, killed, second = run_example("two_processes")
    assert first == "first modem  This is the network behind a modem that"
    assert "10.64.0.2/30" in killed
    assert second.split(maxsplit=2)[2] == first.split(maxsplit=2)[2]


def test_two_modems_are_two_networks() -> None:
    assert run_example("two_modems") == [
        "red    3000000 bytes through its own wwan0",
        "blue   3000000 bytes through its own wwan0",
    ]
