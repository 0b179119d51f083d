"""Every trace of the real driver, played to ours: they part only where docs/differences.md says so."""

from difflib import unified_diff
from pathlib import Path

import pytest

from tests.conformance.replay import (
    KNOWN_DIFFERENCES,
    TRACES,
    changes,
    expected_path,
    read_expected,
    replay,
)

PATHS = sorted(TRACES.glob("*.txt"))
LINES_SHOWN = 40


def expected_of(path: Path) -> list[tuple[str, str]]:
    return read_expected(expected_path(path.stem).read_text())


def test_all_traces_are_here() -> None:
    assert len(PATHS) == 23
    assert {path.stem for path in expected_path("").parent.glob("*.diff")} == {path.stem for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_driver_parts_from_the_kernels_only_where_expected(path: Path) -> None:
    expected = [line for line, _ in expected_of(path)]
    changed = changes(replay(path.read_text()))
    if changed == expected:
        return
    news = list(unified_diff(expected, changed, "expected", "now", lineterm="", n=1))[:LINES_SHOWN]
    command = f"python -m tests.conformance.replay {path.stem}"
    pytest.fail("\n".join([f"{path.stem}: see `{command}`, accept with `--write`", *news]), pytrace=False)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_line_that_differs_has_the_number_of_its_difference(path: Path) -> None:
    known = {str(number) for number in KNOWN_DIFFERENCES}
    unexplained = [line for line, tag in expected_of(path) if tag not in known]
    if unexplained:
        text = [
            f"{path.stem}: {len(unexplained)} lines that no difference explains",
            *unexplained[:LINES_SHOWN],
        ]
        pytest.fail("\n".join(text), pytrace=False)
