"""A SIM card: what its owner gets with it, its files, and how it answers who reads them.

    3F00 the MF:              2FE2 ICCID, 2F00 EF_DIR (records)
      7FFF the USIM:          6F07 IMSI, 6F3E 6F3F groups, 6F46 SPN, 6FAD AD, 6F40 MSISDN (records)
      7F20 GSM, 7F10 telecom: the same files, where cards of GSM have them

A file is transparent, one string of bytes, or has records of one length. What is read is answered with a
status word, as on the wire between phone and card; nothing is written.

Sources: ETSI TS 102 221 sections 8.5 (path), 10.2.1 (status words), 11.1.3 and 11.1.5 (READ BINARY, READ
RECORD), 13 (files of the MF); 3GPP TS 31.102 section 4.2 (files of the USIM).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MF: Final = 0x3F00
ADF_USIM: Final = 0x7FFF  # of the application that is in use
DF_TELECOM: Final = 0x7F10
DF_GSM: Final = 0x7F20

EF_DIR: Final = 0x2F00
EF_ICCID: Final = 0x2FE2
EF_IMSI: Final = 0x6F07
EF_GID1: Final = 0x6F3E
EF_GID2: Final = 0x6F3F
EF_MSISDN: Final = 0x6F40
EF_SPN: Final = 0x6F46
EF_AD: Final = 0x6FAD

Path = tuple[int, ...]  # identifiers from the MF to the file, both included

# The USIM of 3GPP: RID A000000087, application 1002; the rest is its issuer's. TS 31.110, TS 101 220 annex E.
USIM_IDENTIFIER: Final = bytes.fromhex("a0000000871002ffffffff8906190000")
_USIM_LABEL: Final = b"USIM"
_ALPHA_BYTES: Final = 14  # of a number's name, EF_MSISDN
_NUMBER_BYTES: Final = 10  # of a number: 20 digits
_INTERNATIONAL: Final = 0x91  # type of number and numbering plan: TS 24.008 section 10.5.4.7
_NATIONAL: Final = 0x81
_SPN_BYTES: Final = 16
_UNUSED: Final = 0xFF


class StatusWord(IntEnum):
    """SW1 and SW2 of a card's answer."""

    OK = 0x9000
    END_OF_FILE = 0x6282  # a warning: less was there than was asked for
    WRONG_CODE = 0x63C0  # and in the last digit, the tries that are left
    WRONG_LENGTH = 0x6700
    WRONG_STRUCTURE = 0x6981  # a record of a transparent file, or the other way round
    SECURITY_NOT_SATISFIED = 0x6982
    BLOCKED = 0x6983
    NOT_USABLE = 0x6984  # the code is switched off
    WRONG_DATA = 0x6A80
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    WRONG_PARAMETERS = 0x6B00


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """A status word, and what was read; an error has nothing behind it."""

    status: int
    data: bytes = b""

    @property
    def has_data(self) -> bool:
        return self.status in (StatusWord.OK, StatusWord.END_OF_FILE)


@dataclass(frozen=True, slots=True)
class TransparentFile:
    """One string of bytes.

    Args:
        is_free: it can be read before the PIN was shown.
    """

    content: bytes
    is_free: bool = False

    def read(self, offset: int, length: int) -> CardAnswer:
        """Read `length` bytes; 0: all that there are behind `offset`."""
        if offset >= len(self.content):
            return CardAnswer(StatusWord.WRONG_PARAMETERS)
        data = self.content[offset : offset + length if length else None]
        return CardAnswer(StatusWord.END_OF_FILE if len(data) < length else StatusWord.OK, data)


@dataclass(frozen=True, slots=True)
class RecordFile:
    """Records, all of one length, by numbers from 1."""

    records: tuple[bytes, ...]
    is_free: bool = False

    def read(self, number: int, length: int) -> CardAnswer:
        """Read a record; a length of 0 is its own, whatever that is."""
        if not 1 <= number <= len(self.records):
            return CardAnswer(StatusWord.RECORD_NOT_FOUND)
        record = self.records[number - 1]
        if length not in (0, len(record)):
            return CardAnswer(StatusWord.WRONG_LENGTH)
        return CardAnswer(StatusWord.OK, record)


File = TransparentFile | RecordFile


@dataclass(frozen=True, slots=True, kw_only=True)
class SimCard:
    """What is printed on a card, so to speak. The default is one of the test network, PLMN 001 01.

    Args:
        imsi: 6 to 15 digits; the first three are the country's.
        iccid: 19 or 20 digits.
        mnc_digits: how many digits of the IMSI are the network's, 2 or 3.
        msisdn: up to 20 digits, behind a + if the number is an international one.
        service_provider: the name that phones show, 16 characters.
    """

    imsi: str = "001010123456789"
    iccid: str = "8900101123456789012"
    mnc_digits: int = 2
    msisdn: str = "+15550100123"
    service_provider: str = "bamdmux"
    pin: str = "1234"
    puk: str = "12345678"
    pin2: str = "5678"
    puk2: str = "87654321"

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("IMSI", self.imsi, 6, 15),
            ("ICCID", self.iccid, 19, 20),
            ("number", self.msisdn.removeprefix("+"), 0, 20),
        ):
            if not (value.isascii() and (value.isdigit() or not value) and least <= len(value) <= most):
                raise ValueError(f"{name} {value!r} is not {least} to {most} digits")
        if self.mnc_digits not in (2, 3):
            raise ValueError(f"an MNC has 2 or 3 digits, not {self.mnc_digits}")
        if len(self.service_provider) > _SPN_BYTES:
            raise ValueError(f"name {self.service_provider!r} is longer than {_SPN_BYTES}")

    @property
    def mcc(self) -> str:
        return self.imsi[:3]

    @property
    def mnc(self) -> str:
        return self.imsi[3 : 3 + self.mnc_digits]


def files_of(card: SimCard) -> Mapping[Path, File]:
    """All files of a card, by their paths."""
    usim: dict[int, File] = {
        EF_IMSI: TransparentFile(encode_imsi(card.imsi)),
        EF_GID1: TransparentFile(bytes((_UNUSED,))),  # no group
        EF_GID2: TransparentFile(bytes((_UNUSED,))),
        EF_SPN: TransparentFile(encode_provider_name(card.service_provider)),
        EF_AD: TransparentFile(bytes((0, 0, 0, card.mnc_digits))),
        EF_MSISDN: RecordFile((encode_number(card.msisdn), encode_number(""))),  # a second line, not used
    }
    return {
        (MF, EF_ICCID): TransparentFile(encode_iccid(card.iccid), is_free=True),
        (MF, EF_DIR): RecordFile((encode_application(USIM_IDENTIFIER, _USIM_LABEL),), is_free=True),
        **{(MF, ADF_USIM, identifier): file for identifier, file in usim.items()},
        **{(MF, DF_GSM, identifier): file for identifier, file in usim.items() if identifier != EF_MSISDN},
        (MF, DF_TELECOM, EF_MSISDN): usim[EF_MSISDN],
    }


# What stands in them


def encode_iccid(iccid: str) -> bytes:
    return encode_bcd(iccid.ljust(20, "F"))


def encode_imsi(imsi: str) -> bytes:
    """The IMSI behind its length; its first digit shares a byte with the parity of their number."""
    digits = f"{9 if len(imsi) % 2 else 1}{imsi}"
    return bytes((len(digits) + 1 >> 1,)) + encode_bcd(digits.ljust(16, "F"))


def encode_provider_name(name: str) -> bytes:
    """EF_SPN: in the home network, the name of the provider alone is shown."""
    return b"\x00" + name.encode("ascii", "replace").ljust(_SPN_BYTES, b"\xff")


def encode_number(number: str) -> bytes:
    """A record of EF_MSISDN: no name, the number, no extension. TS 31.102 section 4.2.26."""
    digits = number.removeprefix("+")
    if not digits:
        return bytes((_UNUSED,)) * (_ALPHA_BYTES + _NUMBER_BYTES + 4)
    plan = _INTERNATIONAL if number.startswith("+") else _NATIONAL
    bcd = encode_bcd(digits.ljust(len(digits) + len(digits) % 2, "F"))
    content = bytes((1 + len(bcd), plan)) + bcd.ljust(_NUMBER_BYTES, b"\xff")
    return bytes((_UNUSED,)) * _ALPHA_BYTES + content + bytes((_UNUSED, _UNUSED))


def encode_application(identifier: bytes, label: bytes) -> bytes:
    """A record of EF_DIR: an application template. TS 102 221 section 13.1."""
    content = bytes((0x4F, len(identifier))) + identifier + bytes((0x50, len(label))) + label
    return bytes((0x61, len(content))) + content


def encode_bcd(digits: str) -> bytes:
    """Two digits a byte, the first one in the lower half: TS 102 221 section 13.2."""
    return bytes.fromhex("".join(digits[index + 1] + digits[index] for index in range(0, len(digits), 2)))
