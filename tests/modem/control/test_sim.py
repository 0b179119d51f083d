"""The SIM: PINs with their tries, and files behind them."""

import pytest

from bamdmux.modem.control.card import EF_DIR, EF_ICCID, EF_IMSI, EF_MSISDN, MF, SimCard, StatusWord
from bamdmux.modem.control.sim import (
    PIN_RETRIES,
    PUK_RETRIES,
    CodeResult,
    PinName,
    Sim,
    SimState,
)

ADF = 0x7FFF
PIN, NEW_PIN, WRONG = "1234", "4321", "9999"
PUK, WRONG_PUK = "12345678", "00000000"


def locked() -> Sim:
    return Sim(pin_is_enabled=True)


def blocked() -> Sim:
    sim = locked()
    for _ in range(PIN_RETRIES):
        sim.verify_pin(WRONG)
    return sim


def dead() -> Sim:
    sim = blocked()
    for _ in range(PUK_RETRIES):
        sim.unblock_pin(WRONG_PUK, NEW_PIN)
    return sim


def test_a_card_without_a_pin_is_ready() -> None:
    assert Sim().state is SimState.READY


def test_a_card_with_a_pin_wants_it() -> None:
    assert locked().state is SimState.PIN_REQUIRED


def test_the_right_pin_makes_it_ready() -> None:
    sim = locked()
    assert sim.verify_pin(PIN) is CodeResult.ACCEPTED
    assert sim.is_ready


def test_a_verified_pin_may_be_verified_again() -> None:
    sim = locked()
    sim.verify_pin(PIN)
    assert sim.verify_pin(PIN) is CodeResult.ACCEPTED


def test_a_wrong_pin_costs_a_try() -> None:
    sim = locked()
    assert sim.verify_pin(WRONG) is CodeResult.WRONG
    assert sim.pin_retries == PIN_RETRIES - 1
    assert sim.state is SimState.PIN_REQUIRED


def test_the_right_pin_gives_all_tries_back() -> None:
    sim = locked()
    sim.verify_pin(WRONG)
    sim.verify_pin(PIN)
    assert sim.pin_retries == PIN_RETRIES


@pytest.mark.parametrize("code", ["", "123", "123456789", "12a4", "١٢٣٤"])
def test_what_is_no_pin_costs_no_try(code: str) -> None:
    sim = locked()
    assert sim.verify_pin(code) is CodeResult.MALFORMED
    assert sim.pin_retries == PIN_RETRIES


def test_the_last_wrong_pin_blocks_it() -> None:
    sim = locked()
    results = [sim.verify_pin(WRONG) for _ in range(PIN_RETRIES)]
    assert results == [CodeResult.WRONG, CodeResult.WRONG, CodeResult.BLOCKED]
    assert sim.state is SimState.PUK_REQUIRED


def test_a_blocked_pin_is_not_compared() -> None:
    assert blocked().verify_pin(PIN) is CodeResult.BLOCKED


def test_a_pin_that_was_verified_is_not_any_more_once_it_is_blocked() -> None:
    sim = locked()
    sim.verify_pin(PIN)
    for _ in range(PIN_RETRIES):
        sim.verify_pin(WRONG)
    sim.unblock_pin(PUK, NEW_PIN)
    sim.lose_power()
    assert sim.state is SimState.PIN_REQUIRED


def test_the_puk_sets_a_new_pin() -> None:
    sim = blocked()
    assert sim.unblock_pin(PUK, NEW_PIN) is CodeResult.ACCEPTED
    assert sim.is_ready
    assert (sim.pin_retries, sim.puk_retries) == (PIN_RETRIES, PUK_RETRIES)
    sim.lose_power()
    assert sim.verify_pin(PIN) is CodeResult.WRONG
    assert sim.verify_pin(NEW_PIN) is CodeResult.ACCEPTED


def test_a_wrong_puk_costs_a_try() -> None:
    sim = blocked()
    assert sim.unblock_pin(WRONG_PUK, NEW_PIN) is CodeResult.WRONG
    assert sim.puk_retries == PUK_RETRIES - 1


@pytest.mark.parametrize(
    ("puk", "pin"), [("1234567", NEW_PIN), ("123456789", NEW_PIN), ("1234567x", NEW_PIN), (PUK, "1")]
)
def test_what_is_no_puk_or_no_pin_costs_no_try(puk: str, pin: str) -> None:
    sim = blocked()
    assert sim.unblock_pin(puk, pin) is CodeResult.MALFORMED
    assert sim.puk_retries == PUK_RETRIES


def test_the_last_wrong_puk_is_the_end_of_the_card() -> None:
    sim = blocked()
    results = [sim.unblock_pin(WRONG_PUK, NEW_PIN) for _ in range(PUK_RETRIES)]
    assert results == [CodeResult.WRONG] * (PUK_RETRIES - 1) + [CodeResult.BLOCKED]
    assert sim.state is SimState.BLOCKED


def test_a_dead_card_takes_no_code_any_more() -> None:
    sim = dead()
    assert sim.unblock_pin(PUK, NEW_PIN) is CodeResult.BLOCKED
    assert sim.verify_pin(PIN) is CodeResult.BLOCKED


def test_a_pin_that_is_switched_off_is_not_wanted() -> None:
    assert Sim().verify_pin(PIN) is CodeResult.NOT_WANTED


def test_who_switches_the_pin_on_has_shown_it() -> None:
    sim = Sim()
    assert sim.set_pin_enabled(PIN, True) is CodeResult.ACCEPTED
    assert sim.pin_is_enabled
    assert sim.is_ready
    sim.lose_power()
    assert sim.state is SimState.PIN_REQUIRED


def test_a_pin_that_is_switched_off_is_never_asked_for() -> None:
    sim = locked()
    assert sim.set_pin_enabled(PIN, False) is CodeResult.ACCEPTED
    sim.lose_power()
    assert sim.is_ready


def test_switching_wants_the_right_pin() -> None:
    sim = Sim()
    assert sim.set_pin_enabled(WRONG, True) is CodeResult.WRONG
    assert not sim.pin_is_enabled


def test_what_is_so_already_is_not_wanted() -> None:
    assert Sim().set_pin_enabled(WRONG, False) is CodeResult.NOT_WANTED


def test_a_pin_is_changed_by_the_old_one() -> None:
    sim = locked()
    assert sim.change_pin(PIN, NEW_PIN) is CodeResult.ACCEPTED
    assert sim.is_ready
    sim.lose_power()
    assert sim.verify_pin(NEW_PIN) is CodeResult.ACCEPTED


def test_a_pin_is_not_changed_by_a_wrong_one() -> None:
    sim = locked()
    assert sim.change_pin(WRONG, NEW_PIN) is CodeResult.WRONG
    assert sim.verify_pin(PIN) is CodeResult.ACCEPTED


def test_a_pin_is_not_changed_into_what_is_none() -> None:
    sim = locked()
    assert sim.change_pin(PIN, "1") is CodeResult.MALFORMED
    assert sim.pin_retries == PIN_RETRIES


def test_a_pin_that_is_switched_off_cannot_be_changed() -> None:
    assert Sim().change_pin(PIN, NEW_PIN) is CodeResult.NOT_WANTED


def test_pin2_has_tries_of_its_own() -> None:
    sim = Sim()
    assert sim.verify_pin(WRONG, PinName.PIN2) is CodeResult.WRONG
    assert sim.pins[PinName.PIN2].retries == PIN_RETRIES - 1
    assert sim.pin_retries == PIN_RETRIES


def test_a_blocked_pin2_does_not_stand_in_the_way() -> None:
    sim = Sim()
    for _ in range(PIN_RETRIES):
        sim.verify_pin(WRONG, PinName.PIN2)
    assert sim.pins[PinName.PIN2].is_blocked
    assert sim.is_ready


def test_puk2_unblocks_pin2() -> None:
    sim = Sim(SimCard(puk2="22222222"))
    for _ in range(PIN_RETRIES):
        sim.verify_pin(WRONG, PinName.PIN2)
    assert sim.unblock_pin("22222222", NEW_PIN, PinName.PIN2) is CodeResult.ACCEPTED
    assert sim.change_pin(NEW_PIN, PIN, PinName.PIN2) is CodeResult.ACCEPTED


def test_without_a_card_no_code_is_wanted() -> None:
    sim = locked()
    sim.remove()
    assert sim.state is SimState.ABSENT
    assert sim.verify_pin(PIN) is CodeResult.NOT_WANTED
    assert sim.change_pin(PIN, NEW_PIN) is CodeResult.NOT_WANTED
    assert sim.set_pin_enabled(PIN, False) is CodeResult.NOT_WANTED
    assert sim.unblock_pin(PUK, NEW_PIN) is CodeResult.NOT_WANTED


def test_a_card_that_was_out_asks_again() -> None:
    sim = locked()
    sim.verify_pin(PIN)
    sim.remove()
    sim.insert()
    assert sim.state is SimState.PIN_REQUIRED


def test_a_card_remembers_its_tries() -> None:
    sim = locked()
    sim.verify_pin(WRONG)
    sim.remove()
    sim.insert()
    assert sim.pin_retries == PIN_RETRIES - 1


def test_locking_switches_the_pin_on() -> None:
    sim = Sim()
    sim.lock()
    assert sim.state is SimState.PIN_REQUIRED


def test_a_file_is_read_by_its_path() -> None:
    assert Sim().read_transparent((MF, ADF, EF_IMSI)).data[0] == 8


def test_a_path_may_begin_below_the_mf() -> None:
    assert Sim().read_transparent((ADF, EF_IMSI)) == Sim().read_transparent((MF, ADF, EF_IMSI))


def test_the_serial_number_can_be_read_without_the_pin() -> None:
    assert locked().read_transparent((MF, EF_ICCID)).status == StatusWord.OK


def test_the_subscription_cannot_be_read_without_the_pin() -> None:
    sim = locked()
    assert sim.read_transparent((MF, ADF, EF_IMSI)).status == StatusWord.SECURITY_NOT_SATISFIED
    sim.verify_pin(PIN)
    assert sim.read_transparent((MF, ADF, EF_IMSI)).status == StatusWord.OK


@pytest.mark.parametrize("path", [(), (MF,), (MF, 0x1234), (MF, EF_IMSI), (MF, ADF, EF_ICCID)])
def test_a_file_that_is_not_there_is_not_found(path: tuple[int, ...]) -> None:
    assert Sim().read_transparent(path).status == StatusWord.FILE_NOT_FOUND
    assert Sim().read_record(path, 1).status == StatusWord.FILE_NOT_FOUND


def test_without_a_card_no_file_is_found() -> None:
    assert Sim(is_present=False).read_transparent((MF, EF_ICCID)).status == StatusWord.FILE_NOT_FOUND


def test_a_record_is_read_by_its_number() -> None:
    assert Sim().read_record((MF, EF_DIR), 1).data.endswith(b"USIM")


def test_a_transparent_file_has_no_records() -> None:
    assert Sim().read_record((MF, EF_ICCID), 1).status == StatusWord.WRONG_STRUCTURE


def test_a_file_of_records_is_not_transparent() -> None:
    assert Sim().read_transparent((MF, ADF, EF_MSISDN)).status == StatusWord.WRONG_STRUCTURE
