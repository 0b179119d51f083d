"""What the command line says of wrong input: one line, what is wrong and what mends it, and the exit code."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bamdmux.cli.main import SUBCOMMANDS, main
from bamdmux.modem.profiles import profile_names
from bamdmux.version import VERSION

Captured = pytest.CaptureFixture[str]
PROFILES = ", ".join(profile_names())


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger("bamdmux").level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger("bamdmux").setLevel(level)


def complaint(capsys: Captured, *arguments: str, code: int = 2) -> str:
    """The one line, without the name of the program before it."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    prefix, text = captured.err[:9], captured.err[9:]
    assert prefix == "bamdmux: "
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text[:-1]


def program(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "bamdmux", *arguments]
    return subprocess.run(line, stderr=subprocess.PIPE, text=True, timeout=20, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--profile", "nope"], f"profile 'nope' is unknown; there is {PROFILES}"),
        (["--profile", ""], f"profile '' is unknown; there is {PROFILES}"),
        (["--profile", "../msm8916"], f"profile '../msm8916' is unknown; there is {PROFILES}"),
        (["--profile", "a\nb"], f"profile 'a\\nb' is unknown; there is {PROFILES}"),
        (["--channels", "0"], "channel count 0 is not within 1 to 8"),
        (["--channels", "9"], "channel count 9 is not within 1 to 8"),
        (["--channels", "-1"], "channel count -1 is not within 1 to 8"),
        (["--channels", "9" * 30], f"channel count {'9' * 30} is not within 1 to 8"),
        (
            ["--channels", "x"],
            "Invalid value for '--channels': 'x' is not a valid integer; see bamdmux run -h",
        ),
        (
            ["--channels", "3.5"],
            "Invalid value for '--channels': '3.5' is not a valid integer; see bamdmux run -h",
        ),
    ],
)
def test_run_refuses_before_it_makes_anything(capsys: Captured, arguments: list[str], line: str) -> None:
    # In this very process: had it gone on, the namespaces would be ours.
    assert complaint(capsys, "run", *arguments, "--", "true") == line


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["run", "--nonsense"],
        ["run", "--channels"],
        ["doctor", "extra"],
        ["profiles", "extra"],
        ["ctl", "socket"],
        ["ctl", "socket", "nonsense"],
        ["ctl", "socket", "status", "extra"],
    ],
)
def test_wrong_usage_is_one_line_that_names_it(capsys: Captured, arguments: list[str]) -> None:
    line = complaint(capsys, *arguments)
    assert arguments[-1] in line or line.startswith("Missing command;")


def test_an_unknown_command_is_told_the_known_ones(capsys: Captured) -> None:
    line = complaint(capsys, "nonsense")
    assert all(name in line for name in SUBCOMMANDS) or "-h" in line


@pytest.mark.parametrize("arguments", [["--nonsense"], ["run", "--nonsense"], ["ctl", "socket"]])
def test_wrong_usage_names_where_to_read_more(capsys: Captured, arguments: list[str]) -> None:
    assert "-h" in complaint(capsys, *arguments)


@pytest.mark.parametrize("arguments", [[], ["ctl"]])
def test_without_arguments_the_help_is_wrong_usage(capsys: Captured, arguments: list[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: bamdmux")


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], *([name, "-h"] for name in SUBCOMMANDS)])
def test_help_is_asked_for_and_no_error(capsys: Captured, arguments: list[str]) -> None:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Usage: bamdmux")
    assert captured.err == ""


def test_help_names_every_subcommand(capsys: Captured) -> None:
    main(["-h"])
    listed = capsys.readouterr().out
    assert [name for name in SUBCOMMANDS if f"  {name} " not in listed] == []


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert VERSION in capsys.readouterr().out


@pytest.mark.parametrize("strength", ["200%", "-1%", "nan%", "inf%"])
def test_ctl_says_between_what_a_percentage_is(capsys: Captured, strength: str) -> None:
    assert complaint(capsys, "ctl", "nowhere", "signal", strength) == (
        f"strength {strength!r} is not within 0% to 100%"
    )


def test_each_subcommand_has_its_line_in_the_help_as_a_whole(capsys: Captured) -> None:
    assert main(["-h"]) == 0
    assert "..." not in capsys.readouterr().out.split("Commands:")[1].replace("wwan0...", "")


def warning_after(*options: str) -> str:
    script = f"import logging, bamdmux.cli.main as m; m.main({[*options, 'profiles']!r}); "
    script += "logging.getLogger('bamdmux.host').warning('frames %d', 7)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    return done.stderr


def test_a_warning_is_a_line_like_that_of_an_error() -> None:
    assert warning_after() == "bamdmux: frames 7\n"


def test_in_a_log_that_was_asked_for_it_has_its_time_and_name() -> None:
    assert re.fullmatch(r" *\d+\.\d bamdmux\.host frames 7\n", warning_after("-v"))


@pytest.mark.parametrize("is_there", [True, False])
def test_ctl_of_what_is_no_socket(capsys: Captured, tmp_path: Path, is_there: bool) -> None:
    path = tmp_path / "control"
    if is_there:
        path.touch()
    line = complaint(capsys, "ctl", str(path), "status", code=1)
    assert line == (
        f"{path} is no socket; `bamdmux run` names its own in BAMDMUX_CTL"
        if is_there
        else f"cannot ask {path}: No such file or directory; is `bamdmux run` still running?"
    )


def test_python_m_bamdmux_is_the_same_command() -> None:
    done = program("run", "--channels", "0", stdout=subprocess.PIPE)
    line = "bamdmux: channel count 0 is not within 1 to 8\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize("arguments", [["profiles"], ["-h"], ["doctor"]])
def test_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = program(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("bamdmux: ")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    done = program("profiles", stdout=writable)
    os.close(writable)
    assert (done.returncode, done.stderr) == (1, "")


def test_output_that_is_closed_is_no_traceback() -> None:
    line = ["sh", "-c", f"exec {sys.executable} -m bamdmux profiles >&-"]
    assert subprocess.run(line, capture_output=True, text=True, timeout=20).stderr == ""


# -- Which pump


@pytest.mark.parametrize("choice", ["fast", "Native", "python ", "a\nb"])
def test_a_pump_that_there_is_not_is_named_in_one_line(choice: str) -> None:
    done = program("profiles", env=os.environ | {"BAMDMUX_PUMP": choice}, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"bamdmux: BAMDMUX_PUMP={choice!r} is neither native nor python\n"


def test_a_native_pump_that_was_not_built_says_what_it_takes(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAMDMUX_PUMP", "native")
    monkeypatch.setattr("bamdmux.pump.native", None)
    said = "BAMDMUX_PUMP=native, but the native pump was not built: install with a compiler"
    assert complaint(capsys, "profiles") == said


@pytest.mark.parametrize("choice", ["", "python"])
def test_without_a_native_pump_everything_is_there_still(choice: str) -> None:
    done = program("profiles", env=os.environ | {"BAMDMUX_PUMP": choice}, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "msm8916" in done.stdout
