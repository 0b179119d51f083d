"""`bamdmux explore`: what it prints, and its exit codes."""

import pytest

from bamdmux.cli.explore import replay_line
from bamdmux.cli.main import main
from bamdmux.sim.explore.catalog import LINKS
from bamdmux.sim.explore.search import Finding


def test_a_search_says_depth_states_transitions_and_frontier(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "start", "kill", "--depth", "3", "--jobs", "2"]) == 0
    output = capfd.readouterr().out
    assert "start: depth 3, 14 states, 19 transitions, 6 in the frontier\n" in output
    assert "2 links, " in output
    assert output.endswith("transitions: 0 failed\n")


def test_the_links_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(LINKS)


def test_a_list_of_events_is_replayed_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "crash", "--events", "up-0,crash"]) == 0
    output = capsys.readouterr().out
    assert "SetLine(line=<Line.MODEM_POWER: 'modem-power'>, level=False)" in output
    assert output.endswith("no rule is broken\n")


def test_a_finding_has_a_line_that_replays_it() -> None:
    line = replay_line(LINKS["crash"], Finding(("up-0", "crash"), (), "something"))
    assert line == "bamdmux explore crash --events up-0,crash"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "link 'nowhere' is unknown; there is start, "),
        (["--events", "up-0"], "--events happen on one link; name it"),
        (["start", "--events", "up-0"], "'up-0' cannot happen then; what can: "),
        (["start", "--depth", "-1"], "-1 is not in the range"),
    ],
)
def test_what_it_cannot_do_it_says_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
