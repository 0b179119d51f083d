"""The tree of exceptions, and what an error carries."""

import pytest

from bamdmux import errors
from bamdmux.counters import DropReason
from bamdmux.errors import BamDmuxError, InvalidTlv, MachineError, MalformedFrame, ProtocolError, UsageError
from bamdmux.wire.qmi.values import QmiError

ALL = [
    error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, BaseException)
]


@pytest.mark.parametrize("error", ALL)
def test_the_root_catches_every_error(error: type[BaseException]) -> None:
    assert issubclass(error, BamDmuxError)


@pytest.mark.parametrize("error", ALL)
def test_every_error_stands_in_the_tree_at_the_top_of_the_module(error: type[BaseException]) -> None:
    assert error.__name__ in (errors.__doc__ or "").split()


def test_a_malformed_frame_is_a_protocol_error_with_a_reason() -> None:
    error = MalformedFrame(DropReason.BAD_MAGIC, "magic 0x0000 is not 0x33fc")
    assert isinstance(error, ProtocolError)
    assert error.reason is DropReason.BAD_MAGIC
    assert str(error) == "magic 0x0000 is not 0x33fc"


def test_an_invalid_tlv_is_named() -> None:
    error = InvalidTlv(QmiError.MISSING_ARGUMENT, "mode", "TLV 0x01 is missing")
    assert isinstance(error, ProtocolError)
    assert (error.reason, error.name) == (QmiError.MISSING_ARGUMENT, "mode")
    assert str(error) == "mode: TLV 0x01 is missing"


@pytest.mark.parametrize("error", [MachineError, UsageError])
def test_an_error_of_the_machine_or_the_caller_says_what_is_wrong(error: type[BamDmuxError]) -> None:
    assert str(error("no TUN device")) == "no TUN device"
    assert not issubclass(error, ProtocolError)
