"""The SIM: files, and a PIN in front of them.

    READY <-- verify_pin -- PIN_REQUIRED -- three wrong ones --> PUK_REQUIRED -- ten wrong ones --> BLOCKED
      ^                                                               |
      '----------------------- unblock_pin ---------------------------'

Each code is tried against a counter that a right one refills; a code that is refused costs a try only if it
was compared. Taking the card out and putting it in, like a new start of the modem, asks for the PIN again.

Sources: 3GPP TS 31.101 sections 9.4, 9.5 and 11.1.9 to 11.1.13 (PINs), TS 31.102 section 4.2 (files).
"""

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

PIN_RETRIES: Final = 3
PUK_RETRIES: Final = 10
MIN_PIN_DIGITS: Final = 4
MAX_PIN_DIGITS: Final = 8
PUK_DIGITS: Final = 8

# Elementary files by their identifiers: TS 31.102 section 4.2, ICCID of TS 31.101 section 13.2.
EF_ICCID: Final = 0x2FE2
EF_IMSI: Final = 0x6F07
EF_GID1: Final = 0x6F3E
EF_GID2: Final = 0x6F3F
EF_SPN: Final = 0x6F46
EF_AD: Final = 0x6FAD
EF_MSISDN: Final = 0x6F40


@unique
class SimState(Enum):
    """What stands between us and the card; the value is the word of people."""

    ABSENT = "absent"
    PIN_REQUIRED = "pin-required"
    PUK_REQUIRED = "puk-required"
    BLOCKED = "blocked"  # for good
    READY = "ready"


@unique
class CodeResult(Enum):
    """What came of a PIN or PUK."""

    ACCEPTED = "accepted"
    WRONG = "wrong"  # and one try fewer
    BLOCKED = "blocked"  # the tries are used up
    NOT_WANTED = "not wanted"  # the card is absent, or asks for something else, or for nothing
    MALFORMED = "malformed"  # not as many digits as such a code has; not compared


@dataclass(frozen=True, slots=True, kw_only=True)
class SimCard:
    """What is printed on a card, so to speak. The default is one of the test network, PLMN 001 01.

    Args:
        imsi: 15 digits; the first three are the country's.
        iccid: 19 or 20 digits.
        mnc_digits: how many digits of the IMSI are the network's.
        service_provider: the name that phones show.
    """

    imsi: str = "001010123456789"
    iccid: str = "8900101123456789012"
    mnc_digits: int = 2
    msisdn: str = "+15550100123"
    service_provider: str = "bamdmux"
    pin: str = "1234"
    puk: str = "12345678"

    @property
    def mcc(self) -> str:
        return self.imsi[:3]

    @property
    def mnc(self) -> str:
        return self.imsi[3 : 3 + self.mnc_digits]


@dataclass(slots=True)
class Sim:
    """The slot, the card in it, and what its PIN stands at.

    `pin_is_enabled` is the card's own setting and survives everything; `pin_is_verified` lasts until the card
    loses power.
    """

    card: SimCard = field(default_factory=SimCard)
    is_present: bool = True
    pin_is_enabled: bool = False
    pin_is_verified: bool = False
    pin_retries: int = PIN_RETRIES
    puk_retries: int = PUK_RETRIES
    _pin: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pin = self.card.pin

    @property
    def state(self) -> SimState:
        if not self.is_present:
            return SimState.ABSENT
        if not self.puk_retries:
            return SimState.BLOCKED
        if not self.pin_retries:
            return SimState.PUK_REQUIRED
        if self.pin_is_enabled and not self.pin_is_verified:
            return SimState.PIN_REQUIRED
        return SimState.READY

    @property
    def is_ready(self) -> bool:
        return self.state is SimState.READY

    # What happens to the card

    def remove(self) -> None:
        self.is_present = False
        self.lose_power()

    def insert(self) -> None:
        self.is_present = True

    def lose_power(self) -> None:
        """The modem has restarted, or the card was out: the PIN is asked for again."""
        self.pin_is_verified = False

    def lock(self) -> None:
        """As if the owner had switched the PIN on and the card had been without power since."""
        self.pin_is_enabled = True
        self.pin_is_verified = False

    # Codes

    def verify_pin(self, pin: str) -> CodeResult:
        """Try a PIN; it may be tried when it was verified already, as on a real card."""
        if not self.pin_is_enabled:
            return CodeResult.NOT_WANTED
        result = self._try_pin(pin)
        if result is CodeResult.ACCEPTED:
            self.pin_is_verified = True
        return result

    def set_pin_enabled(self, pin: str, is_enabled: bool) -> CodeResult:
        """Switch the PIN on or off. Who can do that has shown the PIN."""
        if is_enabled == self.pin_is_enabled:
            return CodeResult.NOT_WANTED
        result = self._try_pin(pin)
        if result is CodeResult.ACCEPTED:
            self.pin_is_enabled = is_enabled
            self.pin_is_verified = is_enabled
        return result

    def change_pin(self, old_pin: str, new_pin: str) -> CodeResult:
        """Only a PIN that is switched on can be changed."""
        if not self.pin_is_enabled:
            return CodeResult.NOT_WANTED
        if not _is_pin(new_pin):
            return CodeResult.MALFORMED
        result = self._try_pin(old_pin)
        if result is CodeResult.ACCEPTED:
            self._pin = new_pin
            self.pin_is_verified = True
        return result

    def unblock_pin(self, puk: str, new_pin: str) -> CodeResult:
        """Set a new PIN by the PUK; it is verified then."""
        if self.state in (SimState.ABSENT, SimState.BLOCKED):
            return CodeResult.NOT_WANTED if self.state is SimState.ABSENT else CodeResult.BLOCKED
        if not _is_pin(new_pin) or len(puk) != PUK_DIGITS or not _is_digits(puk):
            return CodeResult.MALFORMED
        if puk != self.card.puk:
            self.puk_retries -= 1
            return CodeResult.WRONG if self.puk_retries else CodeResult.BLOCKED
        self.puk_retries, self.pin_retries = PUK_RETRIES, PIN_RETRIES
        self._pin = new_pin
        self.pin_is_verified = True
        return CodeResult.ACCEPTED

    def _try_pin(self, pin: str) -> CodeResult:
        if self.state is SimState.ABSENT:
            return CodeResult.NOT_WANTED
        if not self.pin_retries:
            return CodeResult.BLOCKED
        if not _is_pin(pin):
            return CodeResult.MALFORMED
        if pin != self._pin:
            self.pin_retries -= 1
            if self.pin_retries:
                return CodeResult.WRONG
            self.pin_is_verified = False
            return CodeResult.BLOCKED
        self.pin_retries = PIN_RETRIES
        return CodeResult.ACCEPTED

    # Files

    def read_file(self, identifier: int) -> bytes | None:
        """The content of a transparent file; None if there is no card, or no such file on it.

        All but the ICCID lie behind the PIN: see `is_behind_pin`.
        """
        if not self.is_present:
            return None
        card = self.card
        match identifier:
            case _ if identifier == EF_ICCID:
                return encode_bcd(card.iccid.ljust(20, "F"))
            case _ if identifier == EF_IMSI:
                # The first digit shares its byte with the parity of their number: TS 31.102 section 4.2.2.
                digits = f"{9 if len(card.imsi) % 2 else 1}{card.imsi}"
                content = encode_bcd(digits.ljust(16, "F"))
                return bytes((len(digits) + 1 >> 1,)) + content
            case _ if identifier in (EF_GID1, EF_GID2):
                return bytes((0xFF,))  # no group
            case _ if identifier == EF_SPN:
                return b"\x00" + card.service_provider.encode("ascii", "replace")[:16].ljust(16, b"\xff")
            case _ if identifier == EF_AD:
                return bytes((0, 0, 0, card.mnc_digits))
        return None

    @staticmethod
    def is_behind_pin(identifier: int) -> bool:
        return identifier != EF_ICCID


def encode_bcd(digits: str) -> bytes:
    """Two digits a byte, the first one in the lower half: TS 31.101 section 13.2."""
    return bytes.fromhex("".join(digits[index + 1] + digits[index] for index in range(0, len(digits), 2)))


def _is_pin(pin: str) -> bool:
    return MIN_PIN_DIGITS <= len(pin) <= MAX_PIN_DIGITS and _is_digits(pin)


def _is_digits(code: str) -> bool:
    return code.isascii() and code.isdigit()
