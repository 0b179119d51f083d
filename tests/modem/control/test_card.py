"""The files of a SIM card, byte for byte."""

import pytest

from bamdmux.modem.control.card import (
    EF_AD,
    EF_DIR,
    EF_ICCID,
    EF_IMSI,
    EF_MSISDN,
    EF_SPN,
    MF,
    USIM_IDENTIFIER,
    CardAnswer,
    RecordFile,
    SimCard,
    StatusWord,
    TransparentFile,
    encode_number,
    files_of,
)

ADF = 0x7FFF
FILE = TransparentFile(b"0123456789")
RECORDS = RecordFile((b"one", b"two"))


def content(path: tuple[int, ...], card: SimCard | None = None) -> bytes:
    file = files_of(card or SimCard())[path]
    assert isinstance(file, TransparentFile)
    return file.content


def record(path: tuple[int, ...], card: SimCard | None = None) -> bytes:
    file = files_of(card or SimCard())[path]
    assert isinstance(file, RecordFile)
    return file.records[0]


def test_an_iccid_of_19_digits_is_filled_up_to_ten_bytes() -> None:
    card = SimCard(iccid="8900101123456789012")
    assert content((MF, EF_ICCID), card).hex() == "980001113254769810f2"


def test_an_iccid_of_20_digits_fills_its_bytes() -> None:
    card = SimCard(iccid="89001011234567890123")
    assert content((MF, EF_ICCID), card).hex() == "98000111325476981032"


def test_an_imsi_stands_behind_its_length_and_parity() -> None:
    assert content((MF, ADF, EF_IMSI), SimCard(imsi="001010123456789")).hex() == "080910101032547698"


def test_an_imsi_with_an_even_number_of_digits_has_another_parity() -> None:
    assert content((MF, ADF, EF_IMSI), SimCard(imsi="00101012345678")).hex() == "0801101010325476f8"


def test_the_administrative_data_end_with_the_length_of_the_mnc() -> None:
    card = SimCard(imsi="310410123456789", mnc_digits=3)
    assert content((MF, ADF, EF_AD), card).hex() == "00000003"
    assert (card.mcc, card.mnc) == ("310", "410")


def test_a_provider_name_is_padded() -> None:
    assert content((MF, ADF, EF_SPN), SimCard(service_provider="Aü")) == b"\0A?" + b"\xff" * 14


def test_an_international_number_is_said_to_be_one() -> None:
    assert record((MF, ADF, EF_MSISDN), SimCard(msisdn="+15550100123"))[14:].hex() == (
        "079151551000" + "21f3" + "ffffffff" + "ffff"
    )


def test_a_national_number_is_said_to_be_one() -> None:
    assert encode_number("1234")[14:18].hex() == "03812143"


def test_no_number_is_an_empty_record() -> None:
    assert encode_number("") == b"\xff" * len(encode_number("1"))


def test_the_directory_names_the_usim() -> None:
    assert record((MF, EF_DIR)) == b"\x61\x18\x4f\x10" + USIM_IDENTIFIER + b"\x50\x04USIM"


def test_cards_of_gsm_have_the_same_files_elsewhere() -> None:
    assert content((MF, 0x7F20, EF_IMSI)) == content((MF, ADF, EF_IMSI))
    assert record((MF, 0x7F10, EF_MSISDN)) == record((MF, ADF, EF_MSISDN))


@pytest.mark.parametrize(
    "wrong",
    [
        {"imsi": "00101"},
        {"imsi": "00101012345678x"},
        {"iccid": "89"},
        {"iccid": "89001011234567890123x"},
        {"msisdn": "+1555x"},
        {"msisdn": "1" * 21},
        {"service_provider": "seventeen letters"},
        {"mnc_digits": 4},
    ],
)
def test_a_card_that_cannot_exist_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        SimCard(**wrong)  # type: ignore[arg-type]


def test_a_read_ends_where_it_is_asked_to() -> None:
    assert FILE.read(2, 3) == CardAnswer(StatusWord.OK, b"234")


def test_a_length_of_zero_is_all_that_is_left() -> None:
    assert FILE.read(7, 0) == CardAnswer(StatusWord.OK, b"789")


def test_a_read_beyond_the_end_warns_and_gives_what_is_there() -> None:
    answer = FILE.read(8, 10)
    assert answer == CardAnswer(StatusWord.END_OF_FILE, b"89")
    assert answer.has_data


def test_a_read_from_beyond_the_end_is_refused() -> None:
    answer = FILE.read(10, 1)
    assert answer == CardAnswer(StatusWord.WRONG_PARAMETERS)
    assert not answer.has_data


def test_records_are_numbered_from_one() -> None:
    assert RECORDS.read(2, 3) == CardAnswer(StatusWord.OK, b"two")


@pytest.mark.parametrize("number", [0, 3])
def test_a_record_that_is_not_there_is_refused(number: int) -> None:
    assert RECORDS.read(number, 3).status is StatusWord.RECORD_NOT_FOUND


def test_a_record_of_another_length_is_refused() -> None:
    assert RECORDS.read(1, 4).status is StatusWord.WRONG_LENGTH


def test_a_record_of_any_length_may_be_asked_for() -> None:
    assert RECORDS.read(1, 0).data == b"one"
