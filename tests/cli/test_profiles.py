import pytest

from bamdmux.cli.main import main
from bamdmux.modem.profiles import load_profile, profile_names

Captured = pytest.CaptureFixture[str]


def printed(capsys: Captured, *arguments: str) -> str:
    assert main(["profiles", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_every_profile_is_listed_with_what_it_is_and_the_report_it_stands_for(capsys: Captured) -> None:
    lines = printed(capsys).splitlines()
    for name in profile_names():
        profile = load_profile(name)
        index = next(index for index, line in enumerate(lines) if line.split(" ")[0] == name)
        assert lines[index].endswith(f" {profile.description}")
        assert lines[index + 1].strip() == profile.report


def test_a_comparison_shows_each_key_that_differs_with_both_values(capsys: Captured) -> None:
    lines = printed(capsys, "diff", "msm8916", "dual-stack-refuser").splitlines()
    index = lines.index("dual_stack")
    assert lines[index + 1 : index + 3] == ["    msm8916             true", "    dual-stack-refuser  false"]
    assert "channels" not in lines


def test_keys_of_a_table_have_its_name_before_them(capsys: Captured) -> None:
    assert "qmi.bind_data_port\n    msm8916  0\n    msm8909  25\n" in printed(
        capsys, "diff", "msm8916", "msm8909"
    )


def test_two_that_are_one_differ_in_nothing(capsys: Captured) -> None:
    assert printed(capsys, "diff", "shikra", "shikra") == ""


def test_an_unknown_profile_is_refused_in_one_line(capsys: Captured) -> None:
    assert main(["profiles", "diff", "msm8916", "nope"]) == 2
    assert capsys.readouterr().err.startswith("bamdmux: profile 'nope' is unknown; there is ")


def test_a_profile_that_linux_s_driver_cannot_wake_is_not_run(capsys: Captured) -> None:
    assert main(["run", "--profile", "mdm9607", "--", "true"]) == 2
    assert capsys.readouterr().err == (
        "bamdmux: the modem of mdm9607 announces no channel before the host opens it, and Linux's driver "
        "waits; for a host that begins: bamdmux modem --profile mdm9607 --listen SOCK\n"
    )
