"""What the fuzzer has found worth keeping, played again without it: all is well, and it still gets as far.

Each target's corpus is played in a process of its own under `coverage`, which says how many branches of the
modules the target is about were taken. `FLOORS` is what it was, with a little room for code that is new: when
a module grows and this fails, let the fuzzer find its way: `make fuzz FUZZ=--update`. What only the native
pump's side of a module does is not taken here: no device of a target has an interface for it, and tests/pump
is about that.
"""

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fuzz.__main__ import MAX_INPUT_BYTES, NAMES
from fuzz.corpus import FOLDER, corpus_path, pack, read_corpus, unpack, write_corpus
from fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parent.parent.parent
LARGEST_CORPUS = 1_000_000  # bytes, of all files together

VARIANTS = 4  # of each input, besides: what goes wrong with another number on a known way

# Percent of the branches.
FLOORS = {
    "host_receive": {
        "host/receive.py": 75,
        "host/driver.py": 88,
        "host/channels.py": 93,
        "host/power.py": 93,
        "host/transmit.py": 70,
        "bam/pipe.py": 34,
    },
    "modem_uplink": {
        "modem/uplink.py": 80,
        "modem/downlink.py": 67,
        "modem/modem.py": 70,
        "modem/network.py": 78,
        "modem/power.py": 95,
        "bam/pipe.py": 50,
    },
    "pipes": {"bam/pipe.py": 87, "bam/lines.py": 100},
    "handover": {"live/split/handover.py": 85, "live/split/memory.py": 80},
    "codecs": {
        "wire/dmux.py": 86,
        "wire/dhcp.py": 82,
        "wire/ethernet.py": 76,
        "wire/icmp.py": 90,
        "modem/network.py": 71,
    },
    "qmux": {"wire/qmux.py": 86, "wire/qmi/messages.py": 72, "wire/qmi/types.py": 74},
    "control": {"live/control.py": 70},
}


@cache
def package() -> Path:
    spec = importlib.util.find_spec("bamdmux")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def branches_taken(name: str, folder: Path) -> dict[str, int]:
    """Play a corpus; for each module of the target the percentage of branches that it took."""
    data, report = folder / "data", folder / "report.json"
    modules = TARGETS[name].modules
    include = ",".join(str(package() / module) for module in modules)
    options = ["--branch", f"--data-file={data}", f"--include={include}"]
    coverage = [sys.executable, "-m", "coverage"]
    for command in (
        [*coverage, "run", *options, "-m", "fuzz", "replay", name, "--variants", str(VARIANTS)],
        [*coverage, "json", f"--data-file={data}", "-o", str(report)],
    ):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-4000:]
    files: dict[str, Any] = json.loads(report.read_text())["files"]
    summaries = {path: file["summary"] for path, file in files.items()}
    return {
        module: 100 * summary["covered_branches"] // max(1, summary["num_branches"])
        for module in modules
        for path, summary in summaries.items()
        if path.endswith(f"bamdmux/{module}")
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_is_played_and_gets_as_far_as_it_did(name: str, tmp_path: Path) -> None:
    taken = branches_taken(name, tmp_path)
    print(f"{name}: {taken}")
    assert taken.keys() == set(TARGETS[name].modules)
    short = {module: percent for module, percent in taken.items() if percent < FLOORS[name][module]}
    assert not short, f"fewer branches than {FLOORS[name]}"


def test_every_target_has_a_name_on_the_command_line_and_a_corpus() -> None:
    assert list(NAMES) == list(TARGETS)
    assert {corpus_path(name) for name in NAMES} == set(FOLDER.glob("*.hex"))


def test_the_corpora_are_small() -> None:
    assert sum(corpus_path(name).stat().st_size for name in NAMES) < LARGEST_CORPUS
    assert max(len(octets) for name in NAMES for octets in read_corpus(name)) <= MAX_INPUT_BYTES


def test_a_corpus_that_is_written_is_read_again_without_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.corpus.FOLDER", tmp_path)
    assert read_corpus("pipes") == []
    write_corpus("pipes", [b"\x02\x01", b"", b"\x03", b"", b"\x01"])
    assert corpus_path("pipes").read_text() == "\n01\n03\n0201\n"
    assert read_corpus("pipes") == [b"", b"\x01", b"\x03", b"\x02\x01"]


def test_inputs_go_into_files_and_come_back(tmp_path: Path) -> None:
    inputs = [b"", b"\0", b"one"]
    unpack(inputs, tmp_path)
    assert sorted(pack(tmp_path)) == inputs


def test_an_input_that_fails_is_named_with_the_command_that_plays_it(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(
        "import sys\n"
        "from fuzz.__main__ import main\n"
        "from fuzz.targets import TARGETS, Target\n"
        "def check(data): assert data != b'\\x2a'\n"
        "TARGETS['pipes'] = Target(check, ())\n"
        "main(['replay', 'pipes', '2a'])\n"
    )
    command = [sys.executable, "-c", script.read_text()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "-m fuzz replay pipes 2a\n" in done.stderr
