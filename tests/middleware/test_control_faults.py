import re

import pytest

from bamdmux.errors import UsageError
from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.control_faults import (
    CONTROL_FAULTS,
    Selector,
    is_control_fault,
    parse_control_fault,
)
from bamdmux.middleware.control_requests import Asked


def test_names_are_their_own_and_begin_alike() -> None:
    assert all(is_control_fault(name) for name in CONTROL_FAULTS)
    assert not any(is_control_fault(name) for name in FAULTS)


def test_each_has_a_description() -> None:
    descriptions = [fault.description for fault in CONTROL_FAULTS.values()]
    assert all(descriptions)
    assert len(set(descriptions)) == len(descriptions)


@pytest.mark.parametrize(
    ("text", "name", "selector", "rate"),
    [
        ("control-never", "control-never", Selector(), 1.0),
        ("control-never=0.5", "control-never", Selector(), 0.5),
        ("control-late@7", "control-late@7", Selector(number=7), 1.0),
        ("control-error@nas", "control-error@nas", Selector(name="nas"), 1.0),
        ("control-error@at", "control-error@at", Selector(name="at"), 1.0),
        ("control-error@at.e", "control-error@at.e", Selector(name="at.e"), 1.0),
        ("control-error@AT.+CGACT", "control-error@AT.+CGACT", Selector(name="at.+cgact"), 1.0),
        (
            "control-hang-up@wds.start_network#1=0.25",
            "control-hang-up@wds.start_network#1",
            Selector(name="wds.start_network", times=1),
            0.25,
        ),
        ("control-twice@wds.0x00A2", "control-twice@wds.0x00A2", Selector(name="wds.0x00a2"), 1.0),
        ("control-crash#3", "control-crash#3", Selector(times=3), 1.0),
    ],
)
def test_a_text_says_what_strikes_which_and_how_often(
    text: str, name: str, selector: Selector, rate: float
) -> None:
    chosen = parse_control_fault(text)
    assert (chosen.name, chosen.selector, chosen.rate) == (name, selector, rate)
    assert chosen.fault is CONTROL_FAULTS[re.match("[a-z-]+", text)[0]]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("control-newer", "fault 'control-newer' is unknown; did you mean control-never?"),
        ("control-", "fault 'control-' is unknown; did you mean control-"),
        ("control-X", "fault 'control-X' is unknown; did you mean control-"),
        ("control-nothing-of-the-kind-at-all", "is unknown; there is control-late, control-never"),
        ("control-never@", "fault 'control-never@' is unknown; did you mean control-never?"),
        ("control-never@0", "request '0' is not a number from 1 to 999999999"),
        ("control-never@9999999999", "request '9999999999' is not a number from 1"),
        ("control-never#0", "times '0' is not a number from 1 to 999999999"),
        ("control-never#x", "times 'x' is not a number"),
        ("control-never@nass", "service 'nass' is unknown; did you mean nas?"),
        ("control-never@voice", "service 'voice' is unknown; there is ctl, wds"),
        (
            "control-never@wds.start_networks",
            "message 'wds.start_networks' is unknown; did you mean start_network?",
        ),
        ("control-never@wds.0x1", "message 'wds.0x1' is unknown; there is"),
        ("control-never@at.+cg act", "'+cg act' is no command of AT; at.+cgact would be one"),
        ("control-never=0", "rate '0' is not above 0 and at most 1"),
        ("control-never=nan", "rate 'nan' is not above 0"),
        ("control-never=often", "rate 'often' is not above 0"),
    ],
)
def test_a_text_that_says_nothing_is_told_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_control_fault(text)


ASKED = Asked(0, b"", frozenset(("wds", "wds.start_network", "wds.0x0020")))


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        (Selector(), True),
        (Selector(name="wds"), True),
        (Selector(name="wds.start_network"), True),
        (Selector(name="wds.0x0020"), True),
        (Selector(name="nas"), False),
        (Selector(name="wds.start"), False),
        (Selector(number=5), True),
        (Selector(number=4), False),
    ],
)
def test_a_selector_knows_its_requests(selector: Selector, selects: bool) -> None:
    assert selector.selects(ASKED, 5) is selects
