import pytest

from bamdmux.modem.control.card import SimCard
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.control.sim import Sim
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from bamdmux.timing import SECOND
from bamdmux.wire.qmux import Service
from tests.modem.control.at_rig import AtRig

PIN, PUK = "1234", "12345678"


def locked_rig() -> AtRig:
    rig = AtRig()
    rig.do("sim", action="lock")
    return rig


def blocked_rig() -> AtRig:
    """Three wrong PINs."""
    rig = locked_rig()
    for _ in range(3):
        rig.at('+CPIN="0000"')
    return rig


def dead_rig() -> AtRig:
    """And ten wrong PUKs."""
    rig = blocked_rig()
    for _ in range(10):
        rig.at(f'+CPIN="00000000","{PIN}"')
    return rig


def rig_without_card() -> AtRig:
    rig = AtRig()
    rig.do("sim", action="remove")
    return rig


# +CPIN


def test_a_card_that_asks_for_nothing_is_ready() -> None:
    assert AtRig().at("+CPIN?") == ["+CPIN: READY", "OK"]
    assert AtRig().at("+CPIN=?") == ["OK"]


def test_what_the_world_locks_asks_for_its_pin() -> None:
    assert locked_rig().at("+CPIN?") == ["+CPIN: SIM PIN", "OK"]


@pytest.mark.parametrize("code", ['"1234"', "1234"])
def test_a_pin_opens_the_card_for_all_doors(code: str) -> None:
    rig = locked_rig()
    dms = rig.client(Service.DMS)
    assert dms.ask("get_msisdn").error
    assert rig.at(f"+CPIN={code}") == ["OK"]
    assert rig.at("+CPIN?") == ["+CPIN: READY", "OK"]
    assert not dms.ask("get_msisdn").error
    rig.wait(SECOND)
    assert rig.at("+CREG?") == ["+CREG: 0,1", "OK"]


def test_a_pin_that_is_wrong_costs_a_try_that_all_doors_see() -> None:
    rig = locked_rig()
    dms = rig.client(Service.DMS)
    assert rig.at('+CPIN="0000"') == ["+CME ERROR: 16"]
    assert "+CPINR: SIM PIN,2,3" in rig.at("+CPINR")
    assert dms.ask("uim_get_pin_status").values["pin1_status"]["verify_retries_left"] == 2


@pytest.mark.parametrize("code", ["", "123", "123456789", "12a4", '"1234","5678"', "1,2,3"])
def test_what_is_no_pin_costs_no_try(code: str) -> None:
    rig = locked_rig()
    assert rig.at(f"+CPIN={code}") == ["+CME ERROR: 50"]
    assert "+CPINR: SIM PIN,3,3" in rig.at("+CPINR")


def test_a_right_pin_gives_all_tries_back() -> None:
    rig = locked_rig()
    rig.at('+CPIN="0000"')
    rig.at(f'+CPIN="{PIN}"')
    assert "+CPINR: SIM PIN,3,3" in rig.at("+CPINR")


def test_the_third_wrong_pin_asks_for_the_puk() -> None:
    rig = locked_rig()
    answers = [rig.at('+CPIN="0000"') for _ in range(3)]
    assert answers == [["+CME ERROR: 16"], ["+CME ERROR: 16"], ["+CME ERROR: 12"]]
    assert rig.at("+CPIN?") == ["+CPIN: SIM PUK", "OK"]
    assert rig.at(f'+CPIN="{PIN}"') == ["+CME ERROR: 12"]


def test_the_puk_sets_a_new_pin() -> None:
    rig = blocked_rig()
    assert rig.at(f'+CPIN="{PUK}","4711"') == ["OK"]
    assert rig.at("+CPIN?") == ["+CPIN: READY", "OK"]
    rig.do("sim", action="lock")
    assert rig.at(f'+CPIN="{PIN}"') == ["+CME ERROR: 16"]
    assert rig.at('+CPIN="4711"') == ["OK"]


def test_a_wrong_puk_costs_a_try() -> None:
    rig = blocked_rig()
    assert rig.at(f'+CPIN="00000000","{PIN}"') == ["+CME ERROR: 16"]
    assert rig.at("+CPINR")[:2] == ["+CPINR: SIM PIN,0,3", "+CPINR: SIM PUK,9,10"]


def test_ten_wrong_puks_are_the_end_of_the_card() -> None:
    rig = dead_rig()
    assert rig.at("+CPIN?") == ["+CME ERROR: 13"]
    assert rig.at(f'+CPIN="{PUK}","{PIN}"') == ["+CME ERROR: 13"]
    assert rig.at(f'+CLCK="SC",0,"{PIN}"') == ["+CME ERROR: 13"]
    assert rig.at("+CIMI") == ["+CME ERROR: 13"]
    assert rig.plane.equipment.status()["sim"] == {
        "state": "blocked",
        "pin_enabled": True,
        "pin_retries": 0,
        "puk_retries": 0,
    }


def test_a_pin_that_nobody_asks_for_is_not_allowed() -> None:
    assert AtRig().at(f'+CPIN="{PIN}"') == ["+CME ERROR: 3"]


@pytest.mark.parametrize(
    "line",
    [
        "+CPIN?",
        '+CPIN="1234"',
        "+CPINR",
        '+CLCK="SC",2',
        '+CPWD="SC",1234,5678',
        "+CIMI",
        "+ICCID",
        "+CNUM",
        "+CRSM=176,12258,0,0,10",
    ],
)
def test_without_a_card_everything_says_so(line: str) -> None:
    assert rig_without_card().at(line) == ["+CME ERROR: 10"]


def test_a_card_that_was_put_back_in_is_there_again() -> None:
    rig = rig_without_card()
    rig.do("sim", action="insert")
    assert rig.at("+CPIN?") == ["+CPIN: READY", "OK"]


# +CLCK, +CPWD


def test_the_pin_can_be_switched_on_and_off() -> None:
    rig = AtRig()
    assert rig.at('+CLCK="SC",2') == ["+CLCK: 0", "OK"]
    assert rig.at(f'+CLCK="SC",1,"{PIN}"') == ["OK"]
    assert rig.at('+CLCK="SC",2') == ["+CLCK: 1", "OK"]
    assert rig.at(f'+CLCK="sc",0,"{PIN}"') == ["OK"]
    assert rig.at('+CLCK="SC",2') == ["+CLCK: 0", "OK"]


def test_a_pin_that_was_switched_on_is_asked_for_after_a_restart() -> None:
    rig = AtRig()
    rig.at(f'+CLCK="SC",1,"{PIN}"')
    assert rig.at("+CPIN?") == ["+CPIN: READY", "OK"]
    rig.plane.crash(rig.now)
    rig.boot()
    assert rig.at("+CPIN?") == ["+CPIN: SIM PIN", "OK"]


def test_switching_needs_the_pin() -> None:
    rig = AtRig()
    assert rig.at('+CLCK="SC",1') == ["+CME ERROR: 50"]
    assert rig.at('+CLCK="SC",1,"0000"') == ["+CME ERROR: 16"]
    assert rig.at('+CLCK="SC",2') == ["+CLCK: 0", "OK"]
    assert "+CPINR: SIM PIN,2,3" in rig.at("+CPINR")


def test_switching_to_what_it_is_already_is_not_allowed() -> None:
    assert AtRig().at(f'+CLCK="SC",0,"{PIN}"') == ["+CME ERROR: 3"]


@pytest.mark.parametrize("line", ['+CLCK="AO",2', '+CLCK="",2', '+CPWD="AO",1,2'])
def test_other_facilities_are_not_there(line: str) -> None:
    assert AtRig().at(line) == ["+CME ERROR: 4"]


@pytest.mark.parametrize("line", ['+CLCK="SC"', '+CLCK="SC",3', '+CLCK="SC",1,1234,1,1', '+CPWD="SC",1234'])
def test_a_facility_has_so_many_parameters(line: str) -> None:
    assert AtRig().at(line) == ["+CME ERROR: 50"]


def test_what_facilities_there_are_can_be_asked() -> None:
    assert AtRig().at("+CLCK=?") == ['+CLCK: ("SC")', "OK"]
    assert AtRig().at("+CPWD=?") == ['+CPWD: ("SC",8),("P2",8)', "OK"]
    assert AtRig().at("+CPINR=?") == ["OK"]


def test_a_pin_can_be_changed() -> None:
    rig = AtRig()
    rig.at(f'+CLCK="SC",1,"{PIN}"')
    assert rig.at(f'+CPWD="SC","{PIN}","4711"') == ["OK"]
    rig.do("sim", action="lock")
    assert rig.at('+CPIN="4711"') == ["OK"]


def test_a_pin_that_is_switched_off_cannot_be_changed() -> None:
    assert AtRig().at(f'+CPWD="SC","{PIN}","4711"') == ["+CME ERROR: 3"]


def test_the_second_pin_can_be_changed_and_has_tries_of_its_own() -> None:
    rig = AtRig()
    assert rig.at('+CPWD="P2","0000","4711"') == ["+CME ERROR: 16"]
    assert rig.at("+CPINR")[::2] == ["+CPINR: SIM PIN,3,3", "+CPINR: SIM PIN2,2,3", "OK"]
    assert rig.at('+CPWD="P2","5678","4711"') == ["OK"]
    assert rig.at('+CPWD="P2","5678","4711"') == ["+CME ERROR: 16"]


# What stands on the card


def rig_with(card: SimCard) -> AtRig:
    """Whose card is another one."""
    rig = AtRig()
    profile = load_profile("msm8916")
    rig.plane = ControlPlane(profile, PacketDataNetwork(profile.channels), sim=Sim(card))
    rig.plane.boot(rig.now)
    rig.open_at()
    return rig


def test_the_card_says_whose_it_is() -> None:
    card = SimCard(imsi="001010987654321", iccid="8900101123456789053", msisdn="+4915550100")
    rig = rig_with(card)
    assert rig.at("+CIMI") == ["001010987654321", "OK"]
    assert rig.at("+ICCID") == rig.at("+ICCID?") == [f"+ICCID: {card.iccid}", "OK"]
    assert rig.at("+CNUM") == ['+CNUM: ,"+4915550100",145', "OK"]
    assert rig.at("+CIMI=?;+ICCID=?;+CNUM=?;+CRSM=?") == ["OK"]


def test_a_national_number_says_so() -> None:
    assert rig_with(SimCard(msisdn="5550100")).at("+CNUM") == ['+CNUM: ,"5550100",129', "OK"]


def test_a_card_without_a_number_says_none() -> None:
    assert rig_with(SimCard(msisdn="")).at("+CNUM") == ["OK"]


@pytest.mark.parametrize("line", ["+CIMI", "+CNUM"])
def test_what_needs_the_pin_asks_for_it(line: str) -> None:
    assert locked_rig().at(line) == ["+CME ERROR: 11"]
    assert blocked_rig().at(line) == ["+CME ERROR: 12"]


def test_the_cards_own_number_can_be_had_without_its_pin() -> None:
    assert locked_rig().at("+ICCID") == [f"+ICCID: {SimCard().iccid}", "OK"]


# +CRSM


def test_a_file_of_the_card_can_be_read() -> None:
    imsi = AtRig().at("+CRSM=176,28423,0,0,9")  # EF_IMSI
    assert imsi == ['+CRSM: 144,0,"080910101032547698"', "OK"]
    assert AtRig().at("+CRSM=176,28589,0,3,1") == ['+CRSM: 144,0,"02"', "OK"]  # EF_AD: digits of the MNC


def test_a_file_of_the_main_directory_can_be_read() -> None:
    assert AtRig().at("+CRSM=176,12258,0,0,10") == [f'+CRSM: 144,0,"{_bcd(SimCard().iccid)}"', "OK"]


def _bcd(digits: str) -> str:
    digits = digits.ljust(20, "F")
    return "".join(digits[index + 1] + digits[index] for index in range(0, 20, 2))


def test_a_record_of_a_file_can_be_read() -> None:
    (line, result) = AtRig().at("+CRSM=178,28480,1,4,28")  # EF_MSISDN
    assert result == "OK"
    assert "915155100021F3" in line


def test_a_file_is_described_before_it_is_read() -> None:
    assert AtRig().at("+CRSM=192,28589") == ['+CRSM: 144,0,"620F8202412183026FAD8A010580020004"', "OK"]


def test_a_file_of_records_is_described_with_their_length_and_number() -> None:
    (described, _), (read, _) = AtRig().at("+CRSM=192,28480"), AtRig().at("+CRSM=178,28480,1,4,28")
    template = bytes.fromhex(described.split('"')[1])
    length, count, size = template[7], template[8], int.from_bytes(template[-2:], "big")
    assert (length, size) == (len(bytes.fromhex(read.split('"')[1])), length * count)
    last, beyond = (AtRig().at(f"+CRSM=178,28480,{n},4,{length}")[0] for n in (count, count + 1))
    assert last.startswith("+CRSM: 144,0,")
    assert beyond == "+CRSM: 106,131"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("176,28423,1,0,9", "107,0"),  # an offset behind the end
        ("176,28480,0,0,9", "105,129"),  # a file of records
        ("176,1,0,0,9", "106,130"),  # no such file
        ("178,28480,9,4,28", "106,131"),  # no such record
        ("192,1", "106,130"),  # no such file to describe
        ("214", "109,0"),  # an instruction that this card does not have
    ],
)
def test_what_the_card_refuses_is_its_own_answer(line: str, status: str) -> None:
    assert AtRig().at(f"+CRSM={line}") == [f"+CRSM: {status}", "OK"]


@pytest.mark.parametrize("line", ["+CRSM=176,28423,0,0,9", "+CRSM=192,28423", "+CRSM=192,28480"])
def test_a_file_behind_the_pin_is_refused_by_the_card(line: str) -> None:
    assert locked_rig().at(line) == ["+CRSM: 105,130", "OK"]


@pytest.mark.parametrize(
    "line", ["176", "192", "176,28423", "176,65536,0,0,9", "176,28423,0,256,9", "256", "x"]
)
def test_an_access_has_all_of_its_parameters(line: str) -> None:
    assert AtRig().at(f"+CRSM={line}") == ["+CME ERROR: 50"]


def test_records_are_read_by_their_numbers_only() -> None:
    assert AtRig().at("+CRSM=178,28480,1,2,28") == ["+CME ERROR: 4"]
