"""`bamdmux bench`: what is chosen, what is refused, and what it prints again."""

from pathlib import Path

import pytest

from bamdmux.bench.configurations import CONFIGURATIONS
from bamdmux.bench.jobs import JOBS
from bamdmux.bench.peers import PEERS
from bamdmux.cli.bench import QUICK_CONFIGURATIONS, QUICK_JOBS, QUICK_PEERS, choose
from bamdmux.cli.main import main
from bamdmux.errors import UsageError
from tests.bench.example import results_of

Captured = pytest.CaptureFixture[str]


def names(*arguments: str | None) -> list[str]:
    wanted, default = (*arguments, None)[:2]
    quick = None if default is None else default.split(",")
    return [each.name for each in choose("job", wanted, JOBS, quick)]


def test_without_a_choice_everything_is_done() -> None:
    assert names(None) == [job.name for job in JOBS]
    assert names("all") == [job.name for job in JOBS]


def test_none_is_a_choice() -> None:
    assert names("none") == []


def test_names_are_taken_in_the_order_of_the_table() -> None:
    assert names("memory,idle,tcp-down") == ["tcp-down", "idle", "memory"]


def test_the_beginning_of_a_name_means_all_that_begin_so() -> None:
    assert names("tcp") == ["tcp-up", "tcp-down"]
    assert names("udp,tcp4") == ["tcp4-up", "tcp4-down", "udp-64", "udp-512", "udp-1400"]


def test_a_quick_run_does_a_part_unless_told_otherwise() -> None:
    assert names(None, "idle") == ["idle"]
    assert names("memory", "idle") == ["memory"]
    assert names("all", "idle") == [job.name for job in JOBS]


def test_what_a_quick_run_does_is_there() -> None:
    assert choose("peer", None, PEERS, QUICK_PEERS)
    assert choose("configuration", None, CONFIGURATIONS, QUICK_CONFIGURATIONS)
    assert choose("job", None, JOBS, QUICK_JOBS)


@pytest.mark.parametrize("wanted", ["tcp-sideways", "t", "", "tcp-up,,idle"])
def test_a_name_that_there_is_not_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="there are: tcp-up, tcp-down, "):
        names(wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "telnet"], "bamdmux: there is no peer telnet; there are: veth, "),
        (["--configurations", "x"], "bamdmux: there is no configuration x; there are: fused-32, "),
        (["--jobs", "none"], "bamdmux: there is nothing to be measured; "),
        (["--peers", "none", "--configurations", "none"], "bamdmux: there is nothing to be measured; "),
        (["--rounds", "0"], "bamdmux: Invalid value for '--rounds': "),
        (["--from", "/no/such/file"], "bamdmux: cannot read /no/such/file: No such file or directory"),
        (["--from", "/"], "bamdmux: cannot read /: Is a directory"),
        (["--from", "/dev/null"], "bamdmux: these are no results of `bamdmux bench --json`"),
    ],
)
def test_wrong_usage_is_one_line(capsys: Captured, arguments: list[str], message: str) -> None:
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_the_list_has_every_name(capsys: Captured) -> None:
    assert main(["bench", "--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == [each.name for each in (*JOBS, *PEERS, *CONFIGURATIONS)]


def test_the_list_names_what_is_missing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["bench", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (socat,) = (line for line in lines if line.startswith("  one-socat"))
    assert socat.endswith("MISSING: socat is not installed; on Debian: sudo apt-get install socat")
    (veth,) = (line for line in lines if line.startswith("  veth "))
    assert "MISSING" not in veth


@pytest.fixture
def saved(tmp_path: Path) -> str:
    values = {"straight": [10.0] * 7, "split-512": [7.0] * 7}
    path = tmp_path / "saved.json"
    path.write_text(results_of("tcp-up", "throughput", values).to_json())
    return str(path)


def test_saved_results_are_printed_again(capsys: Captured, saved: str) -> None:
    assert main(["bench", "--from", saved]) == 0
    out = capsys.readouterr().out
    assert "TCP, one flow, up" in out
    assert "missed" in out


def test_saved_results_as_json_are_what_was_saved(capsys: Captured, saved: str) -> None:
    assert main(["bench", "--from", saved, "--json"]) == 0
    assert capsys.readouterr().out == Path(saved).read_text() + "\n"


def test_a_must_that_is_missed_is_an_error_for_who_is_strict(saved: str) -> None:
    assert main(["bench", "--from", saved, "--strict"]) == 1


def test_a_must_that_is_met_is_none(tmp_path: Path) -> None:
    values = {"straight": [10.0] * 7, "split-512": [9.0] * 7}
    path = tmp_path / "saved.json"
    path.write_text(results_of("tcp-up", "throughput", values).to_json())
    assert main(["bench", "--from", str(path), "--strict"]) == 0
