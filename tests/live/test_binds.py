"""Files that the command sees in the places of others: what a private /etc/resolv.conf is made of."""

import pytest

from tests.live.identities import NETWORK_PRELUDE, for_each_identity, run_python, scratch

pytestmark = pytest.mark.live

# `see` tells what a command prints that reads the file, and what init says on stderr.
PRELUDE = (
    NETWORK_PRELUDE
    + """
from pathlib import Path
from bamdmux.live.command import Command, Exited
folder = Path({folder!r})
ours = folder / "ours"
ours.write_text("ours")
def see(path, *, shown=ours):
    readable, writable = os.pipe()
    saved = os.dup(1), os.dup(2)
    os.dup2(writable, 1)
    os.dup2(writable, 2)
    try:
        binds = {{path: shown}}
        argv = ["cat", str(path)]
        with Command.start(argv, environment=os.environ, namespace=namespace, binds=binds) as command:
            while not isinstance(command.read_event(), Exited):
                select.select([command], [], [])
    finally:
        for descriptor, number in zip(saved, (1, 2)):
            os.dup2(descriptor, number)
            os.close(descriptor)
    os.close(writable)
    with open(readable) as said:
        return said.read().strip()
"""
)


def python(identity: str, program: str) -> list[str]:
    return run_python(identity, PRELUDE.format(folder=str(scratch())) + program).splitlines()


@for_each_identity
def test_a_file_is_shown_in_the_place_of_another_and_only_to_the_command(identity: str) -> None:
    program = """
path = folder / "file"
path.write_text("theirs")
print(see(path), path.read_text())
"""
    assert python(identity, program) == ["ours theirs"]


@for_each_identity
def test_a_link_is_followed(identity: str) -> None:
    program = """
(folder / "file").write_text("theirs")
path = folder / "link"
path.symlink_to("file")
print(see(path), see(folder / "file", shown=path), path.is_symlink(), path.read_text())
"""
    assert python(identity, program) == ["ours theirs True theirs"]


@for_each_identity
def test_a_link_that_leads_nowhere_is_covered(identity: str) -> None:
    program = """
path = folder / "link"
path.symlink_to("nowhere")
print(see(path), path.is_symlink(), path.exists())
"""
    assert python(identity, program) == ["ours True False"]


@for_each_identity
def test_what_cannot_be_is_told_and_the_command_runs(identity: str) -> None:
    program = """
path = folder / "missing"
print(see(path))
(folder / "file").write_text("theirs")
print(see(folder / "file", shown=folder / "missing"))
"""
    said, _, file_said, file_seen = python(identity, program)
    assert said.startswith("bamdmux: /")
    assert said.endswith("/missing stays what it is for the command: No such file or directory")
    assert "stays what it is for the command" in file_said
    assert file_seen == "theirs"
