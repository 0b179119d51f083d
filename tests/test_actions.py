"""Actions are values: they can be compared, printed and told apart."""

import dataclasses
import logging

import pytest

from bamdmux.actions import (
    Action,
    AnnounceChannel,
    AttachNetdev,
    DetachNetdev,
    HangUpPort,
    Line,
    Log,
    LogEvent,
    LookAtLine,
    Pipe,
    RegisterNetdev,
    Removed,
    RestartModem,
    RingDoorbell,
    SendToPort,
    SetLine,
    Severity,
    StartQueue,
    StopQueue,
    UnregisterNetdev,
    WakeQueue,
    WithdrawChannel,
)

ACTIONS: list[Action] = [
    SetLine(Line.HOST_VOTE, True),
    LookAtLine(Line.MODEM_POWER),
    RingDoorbell(Pipe.TX),
    RegisterNetdev(0),
    UnregisterNetdev(0),
    AttachNetdev(0),
    DetachNetdev(0),
    StartQueue(0),
    StopQueue(0),
    WakeQueue(0),
    SendToPort(0, b"\x01"),
    HangUpPort(0),
    RestartModem(),
    AnnounceChannel(3),
    WithdrawChannel(3),
    Removed(),
    Log(Severity.DEBUG, LogEvent.ACK_ARRIVED),
]


def test_every_kind_of_action_is_among_them() -> None:
    assert {type(action) for action in ACTIONS} == set(Action.__args__)


def test_equal_actions_are_equal_values() -> None:
    assert SetLine(Line.HOST_VOTE, True) == SetLine(Line.HOST_VOTE, True)
    assert SetLine(Line.HOST_VOTE, True) != SetLine(Line.HOST_VOTE, False)


def test_actions_of_different_kinds_are_never_equal() -> None:
    assert len(set(ACTIONS)) == len(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_an_action_does_not_change(action: Action) -> None:
    fields = dataclasses.fields(action)
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        setattr(action, fields[0].name if fields else "anything", 1)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_an_action_prints_its_kind_and_its_values(action: Action) -> None:
    text = repr(action)
    assert text.startswith(type(action).__name__)
    assert all(repr(getattr(action, field.name)) in text for field in dataclasses.fields(action))


def test_there_are_four_lines_two_of_each_side() -> None:
    assert [line.value for line in Line] == ["host-vote", "host-ack", "modem-power", "modem-ack"]


def test_severities_are_those_of_logging() -> None:
    assert [int(severity) for severity in Severity] == [logging.DEBUG, logging.WARNING, logging.ERROR]


def test_a_log_message_contains_its_detail() -> None:
    assert Log(Severity.DEBUG, LogEvent.CHANNEL_OPENED, 3).message == "< OPEN channel 3"


def test_a_log_message_without_a_detail_is_its_text() -> None:
    assert Log(Severity.DEBUG, LogEvent.RESUMING).message == "= waking"


def test_a_detail_may_look_like_anything() -> None:
    assert Log(Severity.ERROR, LogEvent.BAD_MAGIC, "{0} {x} %s").message == "bad magic in header {0} {x} %s"


@pytest.mark.parametrize("event", LogEvent, ids=lambda event: event.name)
def test_every_event_makes_one_line_with_or_without_a_detail(event: LogEvent) -> None:
    for detail in ("", 7, "fc33000000000000"):
        message = Log(Severity.DEBUG, event, detail).message
        assert message.strip()
        assert "\n" not in message
        assert "{" not in message
