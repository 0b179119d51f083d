"""What README and docs show is true: Python blocks and the README's example run, every command line is one.

The programs of examples/ are run in tests/live/test_examples.py.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from bamdmux.cli.main import bamdmux
from tests.live.identities import as_identity, environment, scratch

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M), 1)
]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
EXAMPLE = re.search(r"^```sh\n(.*?)^```", PAGES[0].read_text(), re.S | re.M)
BEFORE_A_COMMAND = re.compile(r"(?:^\s*|[;']\s*|sudo\s)(?:bamdmux|\"\$\(command -v bamdmux\)\") (?=[a-z-])")
AFTER_A_COMMAND = re.compile(
    r"\s#|\s\s+\S|'?\s--\s|[';|]|\s&"
)  # a comment, a column of prose, another's arguments


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each `bamdmux ...` in the blocks of a page."""
    for line in re.findall(r"^ {4,}\S.*$|^bamdmux .*$", page.read_text(), re.M):
        for rest in BEFORE_A_COMMAND.split(line)[1:]:
            yield shlex.split(AFTER_A_COMMAND.split(rest, maxsplit=1)[0])


def parse(arguments: list[str]) -> None:
    """Let each command on the way take its options, and run none of them."""
    command: click.Command = bamdmux
    context = None
    while True:
        context = command.make_context(command.name, arguments, parent=context)
        if not isinstance(command, click.Group):
            return
        name, found, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, name
        command = found


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_runs(block: str) -> None:
    exec(compile(block, "README", "exec"), {"__name__": "__main__"})


def test_commands_are_found_in_blocks() -> None:
    found = list(commands(PAGES[0]))
    assert ["ctl", "$BAMDMUX_CTL", "signal", "20%"] in found
    assert ["run", "--network", "tun:pdn0"] in found
    assert ["explore", "crash", "--events", "up-0,crash"] in found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    for arguments in commands(page):
        with suppress(click.exceptions.Exit):  # `--fault list`
            parse(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_shown_is_one(page: Path) -> None:
    shown = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(), re.M))
    assert shown <= set(re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)\)", PAGES[0].read_text()))
    assert linked == {str(page.relative_to(ROOT)) for page in PAGES[1:]}


@pytest.mark.live
@pytest.mark.skipif(shutil.which("ModemManager", path=PATH) is None, reason="apt-get install modemmanager")
def test_the_example_of_the_readme_runs() -> None:
    assert EXAMPLE is not None
    assert EXAMPLE[1].count("\n") <= 15
    folder = scratch()
    program = folder / "bamdmux"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(as_identity("caller", "-m", "bamdmux"))} "$@"\n')
    program.chmod(0o755)
    line = ["sh", "-e", "-c", EXAMPLE[1].replace("sh -c", "sh -e -c")]
    done = subprocess.run(
        line, env={**environment(), "PATH": f"{folder}:{PATH}"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n1000000\n" in done.stdout
    assert "RSRP: '-121 dBm'" in done.stdout
    assert done.stdout.count(" 0% packet loss") >= 2
    assert "connected: wwan0" in done.stdout
    assert "Traceback" not in done.stderr


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
