"""What the README shows is run: Python blocks here, the commands in tests/live/test_examples.py."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_runs(block: str) -> None:
    exec(compile(block, "README", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


def test_every_difference_that_a_trace_is_tagged_with_is_listed() -> None:
    listed = set(re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "differences.md").read_text(), re.M))
    folder = ROOT / "tests" / "data" / "conformance" / "expected"
    used = {tag for path in folder.glob("*.diff") for tag in re.findall(r"#(\d+)$", path.read_text(), re.M)}
    assert used <= listed


def test_every_public_name_is_there() -> None:
    import bamdmux

    assert all(hasattr(bamdmux, name) for name in bamdmux.__all__)
    with pytest.raises(AttributeError):
        bamdmux.no_such_name  # noqa: B018
