import pytest

from bamdmux.modem.control.data_calls import CallEnd
from bamdmux.modem.control.services.call_ends import REASONS, call_end_values


@pytest.mark.parametrize("end", CallEnd)
def test_every_end_of_a_call_has_its_reasons(end: CallEnd) -> None:
    values = call_end_values(end)
    assert values["call_end_reason"] >= 1
    assert values["verbose_call_end_reason"]["type"] in (2, 3, 6)


def test_no_two_refusals_of_the_network_look_alike() -> None:
    refusals = [end for end in REASONS if end is not CallEnd.CLIENT_GONE]
    assert len({REASONS[end] for end in refusals}) == len(refusals)


# As the library of libqmi names them: 3gpp unknown-apn, cm offline, internal ip-version-mismatch.
@pytest.mark.parametrize(
    ("end", "kind", "reason"),
    [(CallEnd.UNKNOWN_APN, 6, 27), (CallEnd.LOW_POWER, 3, 2500), (CallEnd.ONE_VERSION, 2, 231)],
)
def test_the_type_says_whose_number_the_reason_is(end: CallEnd, kind: int, reason: int) -> None:
    assert call_end_values(end)["verbose_call_end_reason"] == {"type": kind, "reason": reason}
