"""What this machine has: programs, versions, a compiler."""

import os
import subprocess
from pathlib import Path

import pytest

from bamdmux.bench.machine import compile_programs, describe, find_programs, version_of
from bamdmux.errors import MachineError

Patch = pytest.MonkeyPatch


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_program_that_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(MachineError) as caught:
        find_programs([("sh", "dash"), ("no-such-switch", "vde2")])
    assert str(caught.value) == "no-such-switch is not installed; on Debian: sudo apt-get install vde2"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("OpenVPN 2.6.14 x86_64-pc-linux-gnu", "2.6.14"),
        ("wireguard-go v0.0.20220316", "0.0.20220316"),
        ("cc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ("socat by somebody\nsocat version 1.7.4.4 on 06 Nov", "1.7.4.4"),
        ("unknown version\nlicense: <https://gnu.org/licenses/gpl-2.0.html>", ""),
        ("", ""),
    ],
)
def test_a_version_is_the_first_number_with_dots(tmp_path: Path, said: str, version: str) -> None:
    program(tmp_path, "tell", f"cat <<'END'\n{said}\nEND")
    assert version_of([str(tmp_path / "tell")]) == version


def test_a_version_may_be_told_on_stderr(tmp_path: Path) -> None:
    program(tmp_path, "tell", "echo VDE 2.3.2 >&2; exit 1")
    assert version_of([str(tmp_path / "tell")]) == "2.3.2"


def test_who_has_no_version_tells_none() -> None:
    assert version_of([]) == ""
    assert version_of(["/no/such/program"]) == ""


def test_the_machine_is_described() -> None:
    description = describe()
    assert description["kernel"] == os.uname().release
    assert description["processors"] == str(os.cpu_count())
    assert description["busy_before"].endswith("%")


def test_a_compiler_that_cannot_is_told_with_what_it_lacks(tmp_path: Path, monkeypatch: Patch) -> None:
    program(tmp_path, "cc", "echo 'forward.c:16:10: fatal error: stdio.h: No such file' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MachineError) as caught:
        compile_programs(tmp_path)
    assert str(caught.value) == (
        "cc cannot compile: forward.c:16:10: fatal error: stdio.h: No such file; "
        "on Debian: sudo apt-get install gcc libc6-dev"
    )


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    try:
        compile_programs(folder)
    except MachineError as error:
        pytest.skip(str(error))
    return folder


def test_the_programs_compile_without_a_warning(compiled: Path) -> None:
    import bamdmux.bench.machine

    for name in ("forward", "probe"):
        source = Path(bamdmux.bench.machine.__file__).with_name(f"{name}.c")
        line = ["cc", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-o", "/dev/null", str(source)]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: probe sink|echo PORT, or "),
        (["ping", "127.0.0.1"], "usage: probe "),
        (["echo", "0"], "probe: 0 is not within 1 to 65535"),
        (["echo", "http"], "probe: http is not within 1 to 65535"),
        (["blast", "here", "9", "64", "100"], "probe: here is no address"),
        (["ping", "127.0.0.1", "9", "3", "1"], "probe: 3 is not within 4 to 65507"),
    ],
)
def test_the_probe_refuses_what_it_does_not_understand(
    compiled: Path, arguments: list[str], message: str
) -> None:
    done = subprocess.run([compiled / "probe", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)


def test_the_forwarder_wants_two_descriptors(compiled: Path) -> None:
    done = subprocess.run([compiled / "forward"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "usage: forward NEAR FAR\n")
