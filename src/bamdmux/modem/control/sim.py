"""The SIM in its slot, and the PINs in front of it.

    READY <-- verify_pin -- PIN_REQUIRED -- three wrong ones --> PUK_REQUIRED -- ten wrong ones --> BLOCKED
      ^                                                               |
      '----------------------- unblock_pin ---------------------------'

Each code is tried against a counter that a right one refills; a code that is refused costs a try only if it
was compared. Taking the card out and putting it in, like a new start of the modem, asks for the PIN again.
PIN2 has the same rules and counters of its own, is always switched on, and stands in front of nothing here.

Sources: 3GPP TS 31.101 sections 9.4, 9.5 and 11.1.9 to 11.1.13 (PINs).
"""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from bamdmux.modem.control.card import (
    MF,
    CardAnswer,
    Path,
    RecordFile,
    SimCard,
    StatusWord,
    TransparentFile,
    files_of,
)

PIN_RETRIES: Final = 3
PUK_RETRIES: Final = 10
MIN_PIN_DIGITS: Final = 4
MAX_PIN_DIGITS: Final = 8
PUK_DIGITS: Final = 8


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


@unique
class PinName(Enum):
    PIN1 = "PIN1"  # in front of the card, when it is switched on
    PIN2 = "PIN2"


@dataclass(slots=True)
class Pin:
    """One PIN: the code, the PUK that sets a new one, and how many tries both have left.

    `is_enabled` is the card's own setting and survives everything; `is_verified` lasts until the card loses
    power.
    """

    code: str
    puk: str
    is_enabled: bool
    is_verified: bool = False
    retries: int = PIN_RETRIES
    puk_retries: int = PUK_RETRIES

    @property
    def is_dead(self) -> bool:
        """Neither PIN nor PUK has a try left."""
        return not self.puk_retries

    @property
    def is_blocked(self) -> bool:
        """Only the PUK helps, if anything does."""
        return not self.retries or self.is_dead

    def verify(self, code: str) -> CodeResult:
        """Try a PIN; it may be tried when it was verified already, as on a real card."""
        if not self.is_enabled:
            return CodeResult.NOT_WANTED
        result = self._try(code)
        if result is CodeResult.ACCEPTED:
            self.is_verified = True
        return result

    def set_enabled(self, code: str, is_enabled: bool) -> CodeResult:
        """Switch the PIN on or off. Who can do that has shown the PIN."""
        if is_enabled == self.is_enabled:
            return CodeResult.NOT_WANTED
        result = self._try(code)
        if result is CodeResult.ACCEPTED:
            self.is_enabled = is_enabled
            self.is_verified = is_enabled
        return result

    def change(self, old_code: str, new_code: str) -> CodeResult:
        """Only a PIN that is switched on can be changed."""
        if not self.is_enabled:
            return CodeResult.NOT_WANTED
        if not _is_pin(new_code):
            return CodeResult.MALFORMED
        result = self._try(old_code)
        if result is CodeResult.ACCEPTED:
            self.code = new_code
            self.is_verified = True
        return result

    def unblock(self, puk: str, new_code: str) -> CodeResult:
        """Set a new PIN by the PUK; it is verified then."""
        if self.is_dead:
            return CodeResult.BLOCKED
        if not _is_pin(new_code) or len(puk) != PUK_DIGITS or not _is_digits(puk):
            return CodeResult.MALFORMED
        if puk != self.puk:
            self.puk_retries -= 1
            return CodeResult.BLOCKED if self.is_dead else CodeResult.WRONG
        self.puk_retries, self.retries = PUK_RETRIES, PIN_RETRIES
        self.code = new_code
        self.is_verified = True
        return CodeResult.ACCEPTED

    def _try(self, code: str) -> CodeResult:
        if self.is_blocked:
            return CodeResult.BLOCKED
        if not _is_pin(code):
            return CodeResult.MALFORMED
        if code != self.code:
            self.retries -= 1
            if self.retries:
                return CodeResult.WRONG
            self.is_verified = False
            return CodeResult.BLOCKED
        self.retries = PIN_RETRIES
        return CodeResult.ACCEPTED


class Sim:
    """The slot, the card in it, and what its PINs stand at.

    Args:
        card: one of the test network by default.
        pin_is_enabled: whether the card asks for PIN1.
    """

    def __init__(
        self, card: SimCard | None = None, *, is_present: bool = True, pin_is_enabled: bool = False
    ) -> None:
        self.card = card or SimCard()
        self.is_present = is_present
        self.pins = {
            PinName.PIN1: Pin(self.card.pin, self.card.puk, is_enabled=pin_is_enabled),
            PinName.PIN2: Pin(self.card.pin2, self.card.puk2, is_enabled=True),
        }
        self._files = files_of(self.card)

    @property
    def state(self) -> SimState:
        pin = self.pins[PinName.PIN1]
        if not self.is_present:
            return SimState.ABSENT
        if pin.is_dead:
            return SimState.BLOCKED
        if pin.is_blocked:
            return SimState.PUK_REQUIRED
        if pin.is_enabled and not pin.is_verified:
            return SimState.PIN_REQUIRED
        return SimState.READY

    @property
    def is_ready(self) -> bool:
        return self.state is SimState.READY

    @property
    def pin_is_enabled(self) -> bool:
        return self.pins[PinName.PIN1].is_enabled

    @property
    def pin_retries(self) -> int:
        return self.pins[PinName.PIN1].retries

    @property
    def puk_retries(self) -> int:
        return self.pins[PinName.PIN1].puk_retries

    # What happens to the card

    def remove(self) -> None:
        self.is_present = False
        self.lose_power()

    def insert(self) -> None:
        self.is_present = True

    def lose_power(self) -> None:
        """The modem has restarted, or the card was out: the PINs are asked for again."""
        for pin in self.pins.values():
            pin.is_verified = False

    def lock(self) -> None:
        """As if the owner had switched the PIN on and the card had been without power since."""
        self.pins[PinName.PIN1].is_enabled = True
        self.lose_power()

    # Codes

    def verify_pin(self, code: str, name: PinName = PinName.PIN1) -> CodeResult:
        return self.pins[name].verify(code) if self.is_present else CodeResult.NOT_WANTED

    def set_pin_enabled(self, code: str, is_enabled: bool) -> CodeResult:
        """Switch PIN1 on or off."""
        if not self.is_present:
            return CodeResult.NOT_WANTED
        return self.pins[PinName.PIN1].set_enabled(code, is_enabled)

    def change_pin(self, old_code: str, new_code: str, name: PinName = PinName.PIN1) -> CodeResult:
        return self.pins[name].change(old_code, new_code) if self.is_present else CodeResult.NOT_WANTED

    def unblock_pin(self, puk: str, new_code: str, name: PinName = PinName.PIN1) -> CodeResult:
        return self.pins[name].unblock(puk, new_code) if self.is_present else CodeResult.NOT_WANTED

    # Files

    def read_transparent(self, path: Path, offset: int = 0, length: int = 0) -> CardAnswer:
        """Read in a file without records; `length` 0 is all of it."""
        file = self._select(path)
        if isinstance(file, StatusWord):
            return CardAnswer(file)
        if not isinstance(file, TransparentFile):
            return CardAnswer(StatusWord.WRONG_STRUCTURE)
        return file.read(offset, length)

    def read_record(self, path: Path, number: int, length: int = 0) -> CardAnswer:
        """Read one record, by its number from 1; `length` 0 is that of the file's records."""
        file = self._select(path)
        if isinstance(file, StatusWord):
            return CardAnswer(file)
        if not isinstance(file, RecordFile):
            return CardAnswer(StatusWord.WRONG_STRUCTURE)
        return file.read(number, length)

    def _select(self, path: Path) -> TransparentFile | RecordFile | StatusWord:
        """The file, or why the card does not give it; a path may begin below the MF."""
        file = self._files.get(path) or self._files.get((MF, *path))
        if file is None or not self.is_present:
            return StatusWord.FILE_NOT_FOUND
        return file if file.is_free or self.is_ready else StatusWord.SECURITY_NOT_SATISFIED


def _is_pin(code: str) -> bool:
    return MIN_PIN_DIGITS <= len(code) <= MAX_PIN_DIGITS and _is_digits(code)


def _is_digits(code: str) -> bool:
    return code.isascii() and code.isdigit()
