import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Action, PortKind, SendToPort
from bamdmux.modem.control.at import COMMANDS, MAX_LINE_BYTES, AtEndpoint, parse_line
from bamdmux.modem.control.at_commands.language import AtFailure, Use
from bamdmux.modem.control.equipment import Changed, Equipment
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from bamdmux.timing import SECOND
from tests.modem.control.at_rig import AT_PORT, OTHER_AT_PORT, AtRig

FRESH_PORT = 7


def fresh_rig() -> AtRig:
    """With a port on which nobody has said anything yet."""
    rig = AtRig()
    rig.plane.port_opened(FRESH_PORT, PortKind.AT, rig.now)
    return rig


# Lines


def test_a_line_is_answered_when_it_ends() -> None:
    rig = AtRig()
    assert rig.type("AT") == ""
    assert rig.type("\r") == "\r\nOK\r\n"


def test_upper_and_lower_case_are_one() -> None:
    assert AtRig().at("+cpin?") == AtRig().at("+CPIN?") == ["+CPIN: READY", "OK"]
    assert AtRig().type("at\r") == "\r\nOK\r\n"


def test_one_byte_at_a_time_is_the_same_as_all_at_once() -> None:
    rig = AtRig()
    whole = rig.type("AT+CSQ;+COPS?\rAT+CFUN?\r")
    assert "".join(rig.type(char) for char in "AT+CSQ;+COPS?\rAT+CFUN?\r") == whole


def test_a_line_that_is_being_typed_is_unfinished() -> None:
    rig = fresh_rig()
    assert not rig.plane.has_unfinished(FRESH_PORT)
    rig.plane.received(FRESH_PORT, b"AT+CS", rig.now)
    assert rig.plane.has_unfinished(FRESH_PORT)
    rig.plane.received(FRESH_PORT, b"Q\r", rig.now)
    assert not rig.plane.has_unfinished(FRESH_PORT)


def test_several_lines_at_once_are_answered_one_by_one() -> None:
    assert AtRig().type("AT\rAT+FOO\rAT\r") == "\r\nOK\r\n\r\nERROR\r\n\r\nOK\r\n"


def test_a_line_that_does_not_begin_with_at_is_nobodys() -> None:
    rig = AtRig()
    assert rig.type("hello\r\rA\rTA+CFUN=4\r+CFUN=4\r") == ""
    assert rig.at("+CFUN?") == ["+CFUN: 1", "OK"]


def test_a_line_feed_behind_a_line_is_nothing() -> None:
    assert AtRig().type("AT\r\nAT\r\n") == "\r\nOK\r\n\r\nOK\r\n"


def test_control_characters_within_a_line_are_nothing() -> None:
    assert AtRig().at("+C\x00P\x1b\tIN?") == ["+CPIN: READY", "OK"]


@pytest.mark.parametrize("key", ["\b", "\x7f"])
def test_a_character_can_be_taken_back(key: str) -> None:
    assert AtRig().type(f"XX{key}{key}{key}AT+CPIM{key}N?\r") == "\r\n+CPIN: READY\r\n\r\nOK\r\n"


def test_a_line_as_long_as_there_may_be_is_done() -> None:
    rig = AtRig()
    line = "AT+CFUN=4"
    assert rig.type(line + " " * (MAX_LINE_BYTES - len(line)) + "\r") == "\r\nOK\r\n"
    assert rig.at("+CFUN?") == ["+CFUN: 4", "OK"]


def test_nothing_of_a_line_that_is_too_long_is_done() -> None:
    rig = AtRig()
    line = "AT+CFUN=4"
    assert rig.type(line + " " * (MAX_LINE_BYTES - len(line) + 1) + "\r") == "\r\nERROR\r\n"
    assert rig.at("+CFUN?") == ["+CFUN: 1", "OK"]


def test_a_long_line_of_something_else_is_not_even_refused() -> None:
    rig = AtRig()
    assert rig.type("#" * 100_000 + "\r") == ""
    assert rig.at("") == ["OK"]


# A/


def test_a_slash_repeats_the_last_line_without_an_end() -> None:
    rig = AtRig()
    rig.at("+CSQ")
    rig.do("signal", rsrp=-100)
    assert rig.type("A/") == "\r\n+CSQ: 21,99\r\n\r\nOK\r\n"
    assert rig.type("a/") == "\r\n+CSQ: 21,99\r\n\r\nOK\r\n"


def test_a_slash_repeats_a_line_that_failed() -> None:
    rig = AtRig()
    rig.at("+CFUN=3")
    assert rig.type("A/") == "\r\n+CME ERROR: 4\r\n"


def test_a_slash_before_any_line_repeats_an_empty_one() -> None:
    assert fresh_rig().type("A/", FRESH_PORT) == "A/\r\nOK\r\n"


def test_a_slash_is_of_its_own_port() -> None:
    rig = AtRig()
    rig.at("+CPIN?")
    rig.at("+CFUN?", OTHER_AT_PORT)
    assert rig.type("A/") == "\r\n+CPIN: READY\r\n\r\nOK\r\n"


def test_a_slash_behind_other_characters_is_one_of_them() -> None:
    assert AtRig().type("ATA/\r") == "\r\nERROR\r\n"


# Commands in a line


def test_commands_of_a_line_are_done_in_their_order_with_one_result() -> None:
    rig = AtRig()
    assert rig.at("+CFUN=4;+CFUN?;+CFUN=1;+CFUN?") == ["+CFUN: 4", "+CFUN: 1", "OK"]


def test_basic_commands_follow_one_another_directly() -> None:
    rig = fresh_rig()
    assert rig.type("ATE0V1&C1 X4+CMEE=1;+CMEE?\r", FRESH_PORT).endswith("\r\n+CMEE: 1\r\n\r\nOK\r\n")


def test_a_basic_command_may_follow_an_extended_one() -> None:
    rig = AtRig()
    rig.at("+CMEE=2;E1")
    assert rig.type("AT\r") == "AT\r\r\nOK\r\n"


def test_the_first_command_that_fails_is_the_last() -> None:
    rig = AtRig()
    assert rig.at("+CFUN?;+CFUN=3;+CFUN=4") == ["+CFUN: 1", "+CME ERROR: 4"]
    assert rig.at("+CFUN?") == ["+CFUN: 1", "OK"]


def test_what_stands_before_something_unknown_is_done() -> None:
    rig = AtRig()
    assert rig.at("+CFUN=4;+NOTHING;+CFUN=1") == ["ERROR"]
    assert rig.at("+CFUN?") == ["+CFUN: 4", "OK"]


def test_semicolons_and_spaces_more_than_needed_do_no_harm() -> None:
    assert AtRig().at(" ; +CFUN ? ;; +CPIN?; ") == ["+CFUN: 1", "+CPIN: READY", "OK"]


def test_spaces_around_parameters_do_no_harm() -> None:
    rig = AtRig()
    assert rig.at('+CGDCONT = 2 , "IP" , "ims" ') == ["OK"]
    assert '+CGDCONT: 2,"IP","ims","",0,0' in rig.at("+CGDCONT?")
    assert rig.at("E 1") == ["OK"]
    assert rig.type("AT\r").startswith("AT\r")


def test_a_semicolon_in_quotes_ends_no_command() -> None:
    rig = AtRig()
    assert rig.at('+CGAUTH=1,1,"a;b","c,d";+CGAUTH?') == ['+CGAUTH: 1,1,"a;b","c,d"', "OK"]


def test_a_quote_that_is_not_closed_takes_the_rest_of_the_line() -> None:
    rig = AtRig()
    assert rig.at('+CGDCONT=2,"IP","ims;+CFUN=4') == ["+CME ERROR: 50"]
    assert rig.at("+CFUN?") == ["+CFUN: 1", "OK"]


@pytest.mark.parametrize("line", ["+CFUN 1", "+CFUN!?", '+CFUN"?', "?", "7", "+", "&", "+=1", "\xc4", "E?"])
def test_what_is_no_command_is_an_error_without_a_number(line: str) -> None:
    assert AtRig().at(line) == ["ERROR"]


def test_a_form_that_a_command_does_not_have_has_a_number() -> None:
    assert AtRig().at("+CSQ?") == ["+CME ERROR: 4"]


def test_the_forms_of_an_extended_command_are_told_apart() -> None:
    uses = [(use, text) for _, use, text in parse_line("+COPS;+COPS?;+COPS=?;+COPS=3,0;+COPS=")]
    assert uses == [(Use.EXECUTE, ""), (Use.READ, ""), (Use.TEST, ""), (Use.SET, "3,0"), (Use.SET, "")]


def test_dialling_has_the_rest_of_the_line() -> None:
    assert [text for _, _, text in parse_line('E0DT"a";+CFUN=4')] == ["0", 'T"a";+CFUN=4']


def test_parsing_stops_where_no_command_is() -> None:
    commands = iter(parse_line("E0/"))
    assert next(commands)[0] is COMMANDS["E"]
    with pytest.raises(AtFailure):
        next(commands)


# Echo


def test_what_is_typed_is_echoed_before_its_answer() -> None:
    assert fresh_rig().type("AT\r\n", FRESH_PORT) == "AT\r\r\nOK\r\n"


def test_the_echo_comes_with_each_byte() -> None:
    rig = fresh_rig()
    assert [rig.type(char, FRESH_PORT) for char in "At"] == ["A", "t"]


def test_a_character_that_is_taken_back_is_rubbed_out_of_the_screen() -> None:
    assert fresh_rig().type("AX\bT", FRESH_PORT) == "AX\b \bT"


def test_where_nothing_is_to_take_back_nothing_is_rubbed_out() -> None:
    assert fresh_rig().type("\b\x7f", FRESH_PORT) == ""


def test_the_echo_can_be_switched_off_and_on() -> None:
    rig = fresh_rig()
    assert rig.type("ATE0\r", FRESH_PORT) == "ATE0\r\r\nOK\r\n"
    assert rig.type("ATE1\r", FRESH_PORT) == "\r\nOK\r\n"
    assert rig.type("AT\r", FRESH_PORT) == "AT\r\r\nOK\r\n"


def test_bytes_with_their_eighth_bit_are_echoed_as_they_came() -> None:
    assert fresh_rig().type(b"\x80\xe9\xff", FRESH_PORT) == "\x80\xe9\xff"


# Results


def test_an_answer_of_several_lines_is_one_paragraph() -> None:
    rig = AtRig()
    rig.at("+CGDCONT=2,IP,ims")
    assert rig.type("AT+CGACT?;+CFUN?\r") == ("\r\n+CGACT: 1,0\r\n+CGACT: 2,0\r\n\r\n+CFUN: 1\r\n\r\nOK\r\n")


def test_results_can_be_numbers() -> None:
    rig = AtRig()
    assert rig.type("ATV0\r") == "0\r"
    assert rig.type("AT+FOO\r") == "4\r"
    assert rig.type("ATD1\r") == "3\r"
    assert rig.type("AT+CFUN?\r") == "+CFUN: 1\r\n0\r"


def test_what_begins_with_a_plus_is_never_a_number() -> None:
    rig = AtRig()
    rig.at("V0+CREG=1")
    assert rig.type("AT+CFUN=3\r") == "\r\n+CME ERROR: 4\r\n"
    rig.type("AT+CFUN=4\r")
    assert rig.at("V1+CREG?")[-2:] == ["+CREG: 1,0", "OK"]


def test_results_can_be_switched_off_but_answers_are_given() -> None:
    rig = AtRig()
    assert rig.type("ATQ1\r") == ""
    assert rig.type("AT+CFUN?\r") == "\r\n+CFUN: 1\r\n"
    assert rig.type("ATQ0\r") == "\r\nOK\r\n"


def test_the_characters_that_end_and_format_a_line_can_be_others() -> None:
    rig = AtRig()
    assert rig.type("ATS3=33S4=35\r") == "!#OK!#"
    assert rig.type("AT+CFUN?!") == "!#+CFUN: 1!#!#OK!#"
    assert rig.type("AT\r") == ""


def test_the_character_that_takes_back_can_be_another() -> None:
    rig = AtRig()
    rig.at("S5=95")
    assert rig.type("ATX_\r") == "\r\nOK\r\n"


# Ports


def test_two_ports_have_their_own_lines_and_settings() -> None:
    rig = AtRig()
    rig.at("V0")
    assert rig.type("AT+CF") == rig.type("AT+CP", OTHER_AT_PORT) == ""
    assert rig.type("UN?\r") == "+CFUN: 1\r\n0\r"
    assert rig.type("IN?\r", OTHER_AT_PORT) == "\r\n+CPIN: READY\r\n\r\nOK\r\n"


def test_two_ports_have_one_modem() -> None:
    rig = AtRig()
    rig.at("+CFUN=4")
    assert rig.at("+CFUN?", OTHER_AT_PORT) == ["+CFUN: 4", "OK"]


def test_a_port_that_is_opened_anew_has_forgotten_everything() -> None:
    rig = AtRig()
    rig.type("ATV0\rAT+CF")
    rig.plane.port_closed(AT_PORT, rig.now)
    rig.plane.port_opened(AT_PORT, PortKind.AT, rig.now)
    assert rig.type("AT\r") == "AT\r\r\nOK\r\n"


def test_a_port_that_is_closed_is_told_nothing() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.plane.port_closed(AT_PORT, rig.now)
    rig.do("deregister")
    assert rig.news() == []


def test_a_crash_ends_all_ports() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.plane.crash(rig.now)
    rig.plane.boot(rig.now)
    rig.wait(SECOND)
    assert rig.type("AT\r") == ""


# What is said unasked


def test_only_ports_that_asked_are_told() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.do("deregister")
    assert rig.news() == ["+CREG: 2"]
    assert rig.news(OTHER_AT_PORT) == []


def test_what_a_command_caused_is_told_behind_its_result() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    assert rig.type("AT+CFUN=4\r") == "\r\nOK\r\n\r\n+CREG: 0\r\n"


def test_one_port_is_told_what_the_other_did() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.at("+CFUN=4", OTHER_AT_PORT)
    assert rig.news() == ["+CREG: 0"]


def test_a_port_without_results_is_told_nothing() -> None:
    rig = AtRig()
    rig.at("+CREG=1")
    rig.at("Q1")
    rig.do("deregister")
    assert rig.news() == []


def test_what_is_said_unasked_is_an_indication_and_an_answer_is_not() -> None:
    rig = AtRig()
    rig.plane.received(AT_PORT, b"AT+CREG=1\rAT+CFUN=4\r", rig.now)
    sent = [each for each in rig.plane.take_actions() if isinstance(each, SendToPort)]
    assert [each.is_indication for each in sent] == [False, False, True]


# Whatever comes


def test_lines_and_errors_are_counted() -> None:
    rig = AtRig()
    before = rig.plane.status(rig.now)["at"]
    rig.type("AT\rAT+FOO\rhello\r")
    after = rig.plane.status(rig.now)["at"]
    assert isinstance(before, dict)
    assert after == {"lines": before["lines"] + 2, "errors": before["errors"] + 1}


NOISE = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([f"AT{name}{form}".encode() for name in COMMANDS for form in ("", "?", "=?", "=")]),
        st.sampled_from(
            [b"AT", b"A/", b"\r", b"\n", b"\b", b";", b'"', b",", b"1", b"0", b"2", b'"IP"', b'"SC"']
        ),
        st.sampled_from(
            [b"AT+CGDCONT=1,IP\r", b"AT+CGACT=1\r", b"AT+CPIN=1234\r", b"ATS3=13\r", b"AT+CREG=2\r"]
        ),
    ),
    max_size=30,
)


@given(NOISE)
def test_whatever_bytes_come_none_raises_and_little_is_kept(parts: list[bytes]) -> None:
    profile = load_profile("msm8916")
    equipment = Equipment(profile, PacketDataNetwork(profile.channels))
    outbox: list[Action] = []
    endpoint = AtEndpoint(equipment, outbox)
    equipment.boot(0)
    equipment.handle_timeout(SECOND)
    endpoint.open(AT_PORT)
    for now, part in enumerate(parts, start=SECOND):
        endpoint.received(AT_PORT, part, now)
        endpoint.indicate([*equipment.take_changes(), Changed.REGISTRATION])
    (port,) = endpoint._ports.values()
    assert len(port.line) <= MAX_LINE_BYTES
    assert set(port.settings.registers.values()) <= set(range(256))
    assert sum(len(each.data) for each in outbox if isinstance(each, SendToPort)) < 1_000_000
