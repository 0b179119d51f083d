from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.modem.control.at_commands.language import (
    DEFAULT_REGISTERS,
    AtFailure,
    CmeError,
    Command,
    ErrorFormat,
    Invocation,
    Settings,
    Use,
    number,
    quoted,
    says,
)
from bamdmux.modem.control.equipment import Equipment
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile


def invocation(text: str = "", use: Use = Use.SET) -> Invocation:
    profile = load_profile("msm8916")
    equipment = Equipment(profile, PacketDataNetwork(profile.channels))
    return Invocation(equipment, Settings(), use, text, 0)


# Errors


@pytest.mark.parametrize(
    ("error_format", "result"),
    [
        (ErrorFormat.PLAIN, "ERROR"),
        (ErrorFormat.NUMBER, "+CME ERROR: 10"),
        (ErrorFormat.WORDS, "+CME ERROR: SIM not inserted"),
    ],
)
def test_an_error_is_a_word_a_number_or_a_sentence(error_format: ErrorFormat, result: str) -> None:
    assert AtFailure(CmeError.SIM_NOT_INSERTED).result(error_format) == result


@pytest.mark.parametrize("error_format", ErrorFormat)
def test_what_is_no_command_has_no_number(error_format: ErrorFormat) -> None:
    assert AtFailure().result(error_format) == "ERROR"
    assert AtFailure(final="NO CARRIER").result(error_format) == "NO CARRIER"


def test_every_error_has_words() -> None:
    assert CmeError.OPERATION_NOT_ALLOWED.words == "operation not allowed"
    assert all(error.words and "_" not in error.words for error in CmeError)


# Parameters


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", [""]),
        ("1", ["1"]),
        ('1,"IP","a,b"', ["1", "IP", "a,b"]),
        (' 1 , "a b" ,', ["1", "a b", ""]),
        ('"a""b"', ["ab"]),
    ],
)
def test_parameters_are_what_commas_outside_of_quotes_divide(text: str, parameters: list[str]) -> None:
    assert invocation(text).parameters() == parameters


@pytest.mark.parametrize("text", ['"a', '1,"', '"a","b'])
def test_a_quote_that_is_not_closed_is_incorrect(text: str) -> None:
    with pytest.raises(AtFailure) as failure:
        invocation(text).parameters()
    assert failure.value.error is CmeError.INCORRECT_PARAMETERS


def test_there_may_be_only_so_many_parameters() -> None:
    assert invocation("1,2").parameters(2, 2) == ["1", "2"]
    for text in ("1", "1,2,3"):
        with pytest.raises(AtFailure):
            invocation(text).parameters(2, 2)


def test_numbers_that_are_left_out_take_their_least() -> None:
    assert invocation("1").numbers((0, 2), (3, 4)) == [1, 3]
    assert invocation("1,").numbers((0, 2), (3, 4)) == [1, 3]
    assert invocation("1,4").numbers((0, 2), (3, 4)) == [1, 4]


@pytest.mark.parametrize(
    "text", ["", ",3", "5", "1,5", "1,2,3", "x", "-1", "+1", "1.0", "²", "١", "9" * 2000]
)
def test_numbers_must_be_such_and_within_their_bounds(text: str) -> None:
    with pytest.raises(AtFailure) as failure:
        invocation(text).numbers((0, 2), (0, 4))
    assert failure.value.error is CmeError.INCORRECT_PARAMETERS


def test_zeros_in_front_of_a_number_do_no_harm() -> None:
    assert number("0000000002", 0, 2) == 2


@given(st.text())
def test_a_quoted_text_is_one_parameter_in_one_line(text: str) -> None:
    shown = quoted(text)
    assert shown.count('"') == 2
    assert not {"\r", "\n"} & set(shown)
    assert len(invocation(shown).parameters()) == 1


def test_a_quoted_text_is_itself() -> None:
    assert quoted("internet, 100 %") == '"internet, 100 %"'


# Forms


@pytest.mark.parametrize("use", Use)
def test_a_command_does_what_its_form_says(use: Use) -> None:
    command = Command(**{each.name.lower(): says(each.name) for each in Use})
    assert command.run(invocation(use=use)) == [use.name]


@pytest.mark.parametrize("use", Use)
def test_a_form_that_is_not_there_is_not_supported(use: Use) -> None:
    forms = {each.name.lower(): says(each.name) for each in Use if each is not use}
    with pytest.raises(AtFailure) as failure:
        Command(**forms).run(invocation(use=use))
    assert failure.value.error is CmeError.OPERATION_NOT_SUPPORTED


# Settings


def test_a_reset_makes_settings_new() -> None:
    settings = Settings(echoes=False, is_quiet=True, error_format=ErrorFormat.WORDS, operator_format=2)
    settings.registers[3] = 33
    settings.registration_reports["+CREG"] = 2
    settings.told_active.add(1)
    settings.reset()
    assert settings == Settings()


def test_settings_of_two_ports_have_nothing_in_common() -> None:
    one, other = Settings(), Settings()
    one.registers[3] = 33
    one.registration_reports["+CREG"] = 1
    assert other == replace(Settings())
    assert DEFAULT_REGISTERS[3] == 13
