"""Faults of the control plane on a live link: set, listed and cleared as those of the data path."""

import shutil

import pytest

from tests.live.identities import Link, for_the_weakest, needs_tun, run_bamdmux

pytestmark = [
    pytest.mark.live,
    needs_tun,
    pytest.mark.skipif(shutil.which("qmicli") is None, reason="no qmicli; apt-get install libqmi-utils"),
]
both_ways = pytest.mark.parametrize("options", [[], ["--split"]], ids=["fused", "split"])

FAULT = "control-error@dms.get_model"
ASK_MODEL = "qmicli -p -d /dev/wwan0qmi0 --dms-get-model"
ASK_REVISION = "qmicli -p -d /dev/wwan0qmi0 --dms-get-revision"


def ctl(link: Link, line: str) -> str:
    return link.shell(f'{link.python} -m bamdmux ctl "$BAMDMUX_CTL" {line}')


@for_the_weakest
@both_ways
def test_one_that_is_there_from_the_start_strikes_and_is_listed_until_it_is_cleared(
    identity: str, options: list[str]
) -> None:
    with Link(identity, *options, "--channels=1", f"--fault={FAULT}", "--fault=duplicate-frame=0.5") as link:
        assert "error (3): 'Internal'" in link.shell(f"{ASK_MODEL} 2>&1; true")
        assert "Revision: " in link.shell(ASK_REVISION)
        lines = ctl(link, "fault list").splitlines()
        assert f"fault  {FAULT} at 1, struck 1 time" in lines
        assert any(line.startswith("fault  duplicate-frame at 0.5") for line in lines)
        assert FAULT not in ctl(link, f"fault clear {FAULT}")
        assert "Model: " in link.shell(ASK_MODEL)
        assert ctl(link, "fault clear") == "no faults"
        assert link.end() == 0


@for_the_weakest
@both_ways
def test_one_that_is_set_later_is_of_the_family_control(identity: str, options: list[str]) -> None:
    with Link(identity, *options, "--channels=1") as link:
        assert "Model: " in link.shell(ASK_MODEL)
        assert '"family": "control"' in ctl(link, f"fault set {FAULT}#1=1 --json")
        assert "error (3): 'Internal'" in link.shell(f"{ASK_MODEL} 2>&1; true")
        assert "Model: " in link.shell(ASK_MODEL)  # once was all
        assert f"fault  {FAULT}#1 at 1, struck 1 time" in ctl(link, "fault list")


@for_the_weakest
def test_a_crash_by_a_request_hangs_up_and_the_modem_comes_back(identity: str) -> None:
    with Link(identity, "--channels=1", "--fault=control-crash@dms.get_model#1") as link:
        link.shell(f"{ASK_MODEL} && exit 1 || true")
        link.shell(f"until {ASK_MODEL}; do sleep 0.1; done")
        assert link.status()["modem"]["power"]["rises"] == 2


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("control-eror", "fault 'control-eror' is unknown; did you mean control-error?"),
        ("control-error@wds.start_netwrk", "did you mean start_network?"),
        ("control-error=2", "rate '2' is not above 0 and at most 1"),
    ],
)
def test_what_is_none_is_refused_in_one_line(fault: str, text: str) -> None:
    done = run_bamdmux("caller", "run", "--fault", fault, "--", "true")
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_host_s_half_sends_to_the_modem_s() -> None:
    done = run_bamdmux("caller", "host", "--connect", "/nowhere", "--fault", "control-never")
    assert done.returncode == 2
    assert "bamdmux modem --fault control-never" in done.stderr


def test_they_are_in_the_list_of_all_faults() -> None:
    done = run_bamdmux("caller", "run", "--fault", "list")
    assert "control-hang-up" in done.stdout
    assert done.returncode == 0
