import pytest

from bamdmux.modem.control.at_commands.language import DEFAULT_REGISTERS, Settings
from bamdmux.modem.profiles import load_profile
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Service
from tests.modem.control.at_rig import OTHER_AT_PORT, AtRig

# What is said and whether; test_at.py has what E, V, Q and the registers do to lines.


@pytest.mark.parametrize("letter", "EVQ")
def test_a_switch_alone_is_switched_off(letter: str) -> None:
    rig = AtRig()
    rig.at(f"{letter}1")
    rig.at(letter)
    port = rig.plane._at._ports[1].settings
    assert not {"E": port.echoes, "V": port.is_verbose, "Q": port.is_quiet}[letter]


@pytest.mark.parametrize("line", ["E2", "V2", "Q2", "Z2", "X5", "L4", "M3", "&C2", "&D4", "&K7", "&S2", "H2"])
def test_a_basic_command_has_bounds_and_no_numbers_of_errors(line: str) -> None:
    assert AtRig().at(line) == ["ERROR"]


@pytest.mark.parametrize("line", ["X4", "L0", "M2", "&C1", "&D2", "&K3", "&S0", "H", "H0"])
def test_what_every_program_sends_to_a_modem_with_a_telephone_line_does_no_harm(line: str) -> None:
    rig = AtRig()
    before = rig.plane.equipment.status()
    assert rig.at(line) == ["OK"]
    assert rig.plane.equipment.status() == before


@pytest.mark.parametrize("line", ["Z", "Z0", "&F", "&F1"])
def test_a_reset_is_of_the_port_and_not_of_the_modem(line: str) -> None:
    rig = AtRig()
    rig.at("V0S0=3+CREG=2;+CMEE=2;+COPS=3,2;+CGEREP=2;+CFUN=4")
    assert rig.at(line) == ["OK"]
    assert rig.plane._at._ports[1].settings == Settings()
    assert rig.plane._at._ports[OTHER_AT_PORT].settings != Settings()
    assert rig.at("E0+CFUN?")[-2:] == ["+CFUN: 4", "OK"]


@pytest.mark.parametrize("register", DEFAULT_REGISTERS)
def test_a_register_has_the_value_that_the_recommendation_gives_it(register: int) -> None:
    assert AtRig().at(f"S{register}?") == [f"{DEFAULT_REGISTERS[register]:03}", "OK"]


def test_a_register_keeps_what_is_written_to_it() -> None:
    rig = AtRig()
    assert rig.at("S0=255S7?S0?") == ["050", "255", "OK"]
    assert rig.at("S 0 = S0?") == ["000", "OK"]
    assert rig.at("S0?", OTHER_AT_PORT) == ["000", "OK"]


@pytest.mark.parametrize("line", ["S1?", "S1=0", "S0=256", "S3=128", "S99999999999=1", "S0", "S", "S?", "S="])
def test_a_register_that_is_not_there_or_takes_no_such_value_is_an_error(line: str) -> None:
    assert AtRig().at(line) == ["ERROR"]


@pytest.mark.parametrize("line", ["D*99#", "D*99***1#", "DT5551234;", "D"])
def test_no_call_goes_over_the_port(line: str) -> None:
    rig = AtRig()
    assert rig.at(line) == ["NO CARRIER"]
    assert rig.passing([0]) == set()


@pytest.mark.parametrize(
    ("level", "result"),
    [(0, "ERROR"), (1, "+CME ERROR: 3"), (2, "+CME ERROR: operation not allowed")],
)
def test_errors_come_as_the_port_wants_them(level: int, result: str) -> None:
    rig = AtRig()
    assert rig.at(f"+CMEE={level};+CMEE?") == [f"+CMEE: {level}", "OK"]
    assert rig.at('+CPIN="1234"') == [result]
    assert rig.at('+CPIN="1234"', OTHER_AT_PORT) == ["+CME ERROR: 3"]


@pytest.mark.parametrize("line", ["+CMEE=3", "+CMEE=", "+CMEE=1,1"])
def test_there_are_three_formats_of_errors(line: str) -> None:
    rig = AtRig()
    assert rig.at(line) == ["+CME ERROR: 50"]
    assert rig.at("+CMEE=?") == ["+CMEE: (0-2)", "OK"]


# Identity


@pytest.mark.parametrize(
    ("commands", "message", "value"),
    [
        (("+GMI", "+CGMI"), "get_manufacturer", "manufacturer"),
        (("+GMM", "+CGMM"), "get_model", "model"),
        (("+GMR", "+CGMR"), "get_revision", "revision"),
        (("+GSN", "+CGSN"), "get_ids", "imei"),
    ],
)
def test_the_modem_says_the_same_of_itself_to_both(
    commands: tuple[str, ...], message: str, value: str
) -> None:
    rig = AtRig()
    answer = rig.client(Service.DMS).ask(message)
    assert answer.error == QmiError.NONE
    for command in commands:
        assert rig.at(command) == [answer.values[value], "OK"]
        assert rig.at(f"{command}=?") == ["OK"]


def test_all_of_it_can_be_had_at_once() -> None:
    identity = load_profile("msm8916").identity
    assert AtRig().at("I") == [
        f"Manufacturer: {identity.manufacturer}",
        f"Model: {identity.model}",
        f"Revision: {identity.revision}",
        f"IMEI: {identity.imei}",
        "+GCAP: +CGSM",
        "OK",
    ]


def test_it_speaks_the_commands_of_3gpp() -> None:
    assert AtRig().at("+GCAP") == ["+GCAP: +CGSM", "OK"]
    assert AtRig().at("+GCAP=?") == ["OK"]
