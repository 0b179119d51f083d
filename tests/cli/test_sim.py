"""`bamdmux sim`: what it prints, its exit codes, and wrong input."""

import pytest

from bamdmux.cli.main import main
from bamdmux.middleware.catalog import FAULTS
from tests.sim import mutants

Captured = pytest.CaptureFixture[str]
SHORT = ["--hours", "0.001"]


def test_a_seed_that_breaks_no_rule(capsys: Captured) -> None:
    assert main(["sim", "--seed", "3", *SHORT, "--faults", "none"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("seed 3, ring of ")
    assert "faults: none" in captured.out
    assert "times faster" in captured.err


def test_the_table_of_faults(capsys: Captured) -> None:
    assert main(["sim", "--faults", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(FAULTS)
    assert len([line for line in lines if not line.startswith("  ")]) == 6
    assert any(
        "power-falls-while-voted" in line and "[loses packets: lost_in_flight, resume_failed]" in line
        for line in lines
    )


def test_a_trace_has_each_event_and_each_action(capsys: Captured) -> None:
    assert main(["sim", "--seed", "3", *SHORT, "--faults", "bad-magic,late-doorbell", "--trace"]) == 0
    out = capsys.readouterr().out
    assert "#0 the driver is bound\n" in out or "#0 the modem boots\n" in out
    assert "host: SetLine(line=<Line.HOST_ACK: 'host-ack'>, level=True)" in out


def test_a_broken_rule_is_said_with_the_line_that_replays_it(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutants.host_check(FAULT_REASON)(monkeypatch)
    assert main(["sim", "--seed", "5", "--faults", "tun-full,zero-length", "--shrink"]) == 1
    out = capsys.readouterr().out
    assert "VIOLATION seed 5 at " in out
    replays = [line for line in out.splitlines() if line.startswith("replay:")]
    assert "--faults zero-length,tun-full --trace" in replays[0]
    assert "--faults zero-length --trace" in replays[1]


FAULT_REASON = next(iter(FAULTS["zero-length"].explains))


def test_many_seeds(capsys: Captured) -> None:
    assert main(["sim", "--seed", "40", "--seeds", "6", *SHORT, "--jobs", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("6 seeds from 40, ")
    assert captured.out.endswith(": 0 failed\n")


def test_all_faults_at_once(capsys: Captured) -> None:
    assert main(["sim", "--seed", "2", *SHORT, "--faults", "all"]) == 0
    assert "bad-magic x" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--faults", "bad-magick"],
            "fault 'bad-magick' is unknown; did you mean bad-magic or uplink-bad-magic? "
            "`bamdmux run --fault list` names all 76",
        ),
        (["--hours", "0"], "hours 0 is not within 0 to 10000"),
        (["--hours", "nan"], "hours nan is not within 0 to 10000"),
        (["--seeds", "2", "--trace"], "--trace and --shrink take one seed; leave out --seeds"),
    ],
)
def test_wrong_usage_is_one_line(capsys: Captured, arguments: list[str], complaint: str) -> None:
    assert main(["sim", *arguments]) == 2
    assert capsys.readouterr().err == f"bamdmux: {complaint}\n"
