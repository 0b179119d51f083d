import pytest

from bamdmux.modem.control.data_calls import (
    ACCESS_POINTS,
    DEFAULT_APN,
    Call,
    CallChanged,
    CallEnd,
    DataCalls,
    find_access_point,
)
from bamdmux.modem.network import PacketDataNetwork


def calls_on(*channels: int, refuses_second: bool = False) -> DataCalls:
    return DataCalls(PacketDataNetwork(channels), refuses_second=refuses_second)


def up(calls: DataCalls) -> set[tuple[int, int]]:
    """What the data path lets pass: channel and version."""
    return {(bearer.channel, version) for bearer in calls.bearers for version in bearer.versions}


def started(calls: DataCalls, owner: str | None = "a", channel: int = 0, version: int = 4) -> Call:
    call = calls.start(owner, channel, version, DEFAULT_APN)
    assert isinstance(call, Call)
    return call


# -- begin


def test_bearers_are_down_before_the_first_call() -> None:
    network = PacketDataNetwork((0, 1))
    assert all(bearer.is_up for bearer in network.bearers if bearer is not None)
    assert up(DataCalls(network)) == set()


def test_a_call_has_its_bearer_up_for_its_version() -> None:
    calls = calls_on(0, 1)
    call = started(calls, channel=1, version=6)
    assert up(calls) == {(1, 6)}
    assert calls.find(1, 6) == call
    assert list(calls) == [call]
    assert calls.take_changes() == [CallChanged(call, None)]


def test_handles_are_never_0_and_never_the_same() -> None:
    calls = calls_on(0)
    handles = []
    for _ in range(3):
        handles.append(started(calls).handle)
        calls.end_all(CallEnd.CLIENT_ENDED)
    assert 0 not in handles
    assert len(set(handles)) == 3


def test_a_call_knows_with_what_it_was_started() -> None:
    call = calls_on(0).start("a", 0, 4, "COMPANY", ("user", "secret"), 7)
    assert isinstance(call, Call)
    assert (call.apn, call.username, call.context_index) == ("company", "user", 7)


@pytest.mark.parametrize("channel", [1, 8, -1])
def test_a_channel_that_is_not_there_has_no_calls(channel: int) -> None:
    calls = calls_on(0)
    assert calls.bearer(channel) is None
    assert calls.start("a", channel, 4, "") is CallEnd.NO_CHANNEL


@pytest.mark.parametrize(
    ("apn", "version", "end"),
    [
        ("nowhere", 4, CallEnd.UNKNOWN_APN),
        ("ims", 4, CallEnd.NOT_SUBSCRIBED),
        ("ipv4.internet", 6, CallEnd.ONLY_IPV4),
        ("ipv6.internet", 4, CallEnd.ONLY_IPV6),
        ("company", 4, CallEnd.BAD_CREDENTIALS),
    ],
)
def test_a_refused_call_leaves_no_trace(apn: str, version: int, end: CallEnd) -> None:
    calls = calls_on(0)
    assert calls.start("a", 0, version, apn) is end
    assert up(calls) == set()
    assert list(calls) == calls.take_changes() == []


@pytest.mark.parametrize("credentials", [("", ""), ("user", "Secret"), ("other", "secret")])
def test_wrong_credentials_are_refused_and_right_ones_are_not(credentials: tuple[str, str]) -> None:
    calls = calls_on(0)
    assert calls.start("a", 0, 4, "company", credentials) is CallEnd.BAD_CREDENTIALS
    assert isinstance(calls.start("a", 0, 4, "company", ("user", "secret")), Call)


def test_credentials_that_nobody_wants_do_no_harm() -> None:
    assert isinstance(calls_on(0).start("a", 0, 4, DEFAULT_APN, ("user", "secret")), Call)


# -- together


def test_what_an_owner_has_up_already_is_what_it_gets() -> None:
    calls = calls_on(0)
    call = started(calls)
    calls.take_changes()
    assert started(calls) == call
    assert calls.take_changes() == []


def test_a_bearer_stays_up_until_the_last_of_its_calls_is_over() -> None:
    calls = calls_on(0)
    first, second = started(calls, "a"), started(calls, "b")
    calls.take_changes()
    calls.end(first, CallEnd.CLIENT_ENDED)
    assert up(calls) == {(0, 4)}
    assert calls.take_changes() == []
    calls.end(second, CallEnd.CLIENT_GONE)
    assert up(calls) == set()
    assert calls.take_changes() == [CallChanged(second, CallEnd.CLIENT_GONE)]


def test_everybody_has_only_calls_of_ones_own() -> None:
    calls = calls_on(0)
    first, second = started(calls, "a"), started(calls, "b")
    assert (calls.owned_by("a"), calls.owned_by("b"), calls.owned_by("c")) == ([first], [second], [])


def test_another_apn_does_not_get_a_channel_that_is_in_use() -> None:
    calls = calls_on(0)
    started(calls, "a")
    for owner in ("a", "b"):
        assert calls.start(owner, 0, 4, "ipv4.internet") is CallEnd.CHANNEL_IN_USE
    assert isinstance(calls.start("b", 0, 6, "ipv6.internet"), Call)  # the other version is free


def test_a_network_may_refuse_whichever_version_comes_second() -> None:
    calls = calls_on(0, 1, refuses_second=True)
    started(calls, channel=0, version=4)
    started(calls, channel=1, version=6)
    assert calls.start("a", 0, 6, "") is CallEnd.ONE_VERSION
    assert calls.start("a", 1, 4, "") is CallEnd.ONE_VERSION
    assert isinstance(calls.start("b", 0, 4, ""), Call)
    assert up(calls) == {(0, 4), (1, 6)}


def test_such_a_network_takes_the_other_version_after_the_first() -> None:
    calls = calls_on(0, refuses_second=True)
    calls.end(started(calls, version=4), CallEnd.CLIENT_ENDED)
    started(calls, version=6)
    assert up(calls) == {(0, 6)}


# -- by itself


def test_the_network_can_bring_everything_up_that_is_down() -> None:
    calls = calls_on(0, 2)
    own = started(calls, "a", channel=2)
    calls.start_all()
    assert up(calls) == {(0, 4), (0, 6), (2, 4), (2, 6)}
    assert calls.find(2, 4) == own
    assert len(calls.owned_by(None)) == 3


def test_or_what_is_down_on_one_channel() -> None:
    calls = calls_on(0, 2)
    calls.start_all(channel=2)
    assert up(calls) == {(2, 4), (2, 6)}


def test_it_refuses_itself_the_second_version_too() -> None:
    calls = calls_on(0, refuses_second=True)
    calls.start_all()
    assert up(calls) == {(0, 4)}


def test_a_call_of_the_network_is_taken_over_by_whoever_asks() -> None:
    calls = calls_on(0)
    calls.start_all()
    calls.take_changes()
    call = started(calls, "a")
    assert calls.of(0, 4) == [call]
    assert calls.take_changes() == [CallChanged(call, None)]
    calls.end(call, CallEnd.CLIENT_ENDED)
    assert up(calls) == {(0, 6)}


def test_it_is_taken_over_with_another_apn_too() -> None:
    calls = calls_on(0)
    calls.start_all()
    call = calls.start("a", 0, 4, "ipv4.internet")
    assert calls.of(0, 4) == [call]


def test_what_is_kept_comes_up_with_the_network_and_nothing_else() -> None:
    calls = calls_on(0, 1)
    calls.keep(1, 6, "company", ("user", "secret"))
    calls.start_kept()
    assert up(calls) == {(1, 6)}
    (call,) = calls
    assert (call.owner, call.apn) == (None, "company")


def test_what_the_network_has_up_it_does_not_begin_again() -> None:
    calls = calls_on(0)
    call = started(calls, None)
    assert started(calls, None) == call


def test_what_is_kept_and_up_is_left_alone() -> None:
    calls = calls_on(0)
    call = started(calls, "a")
    calls.keep(0, 4, DEFAULT_APN)
    calls.start_kept()
    assert list(calls) == [call]


def test_what_is_kept_and_refused_stays_down() -> None:
    calls = calls_on(0)
    calls.keep(0, 4, "nowhere")
    calls.start_kept()
    assert up(calls) == set()


def test_everything_may_be_kept() -> None:
    calls = calls_on(0, 1)
    calls.keep_all()
    calls.start_kept()
    assert up(calls) == {(0, 4), (0, 6), (1, 4), (1, 6)}


def test_a_channel_that_was_let_go_comes_up_no_more() -> None:
    calls = calls_on(0, 1)
    calls.keep_all()
    calls.let_go(0)
    assert (calls.keeps(0), calls.keeps(1)) == (False, True)
    calls.start_kept()
    assert up(calls) == {(1, 4), (1, 6)}


# -- end


def test_the_calls_of_a_channel_or_of_a_version_end_together() -> None:
    calls = calls_on(0, 1)
    calls.start_all()
    assert calls.end_all(CallEnd.DROPPED, channel=1) == 2
    assert up(calls) == {(0, 4), (0, 6)}
    assert calls.end_all(CallEnd.DROPPED, version=6) == 1
    assert up(calls) == {(0, 4)}
    assert calls.end_all(CallEnd.DROPPED) == 1
    assert calls.end_all(CallEnd.DROPPED) == 0


def test_each_end_is_told_with_its_reason_in_order() -> None:
    calls = calls_on(0, 1)
    first, second = started(calls, channel=0), started(calls, channel=1)
    calls.take_changes()
    calls.end_all(CallEnd.NO_SERVICE)
    assert calls.take_changes() == [
        CallChanged(first, CallEnd.NO_SERVICE),
        CallChanged(second, CallEnd.NO_SERVICE),
    ]


def test_a_dual_stack_is_nothing_special_unless_the_network_refuses_it() -> None:
    calls = DataCalls(PacketDataNetwork((0,)))
    started(calls, version=4)
    started(calls, version=6)
    assert up(calls) == {(0, 4), (0, 6)}


def test_a_call_is_metered_from_its_beginning() -> None:
    calls = calls_on(0)
    calls.bearers[0].uplink.packet_count = 7
    started(calls)
    assert calls.meters[0].current().tx.packets == 0


def test_a_call_that_another_version_outlives_goes_on_being_metered() -> None:
    calls = calls_on(0)
    bearer = calls.bearers[0]
    four = started(calls, version=4)
    bearer.uplink.packet_count += 2
    six = started(calls, version=6)
    calls.end(four, CallEnd.CLIENT_ENDED)
    bearer.uplink.packet_count += 3
    assert calls.meters[0].current().tx.packets == 5
    assert calls.meters[0].last.tx.packets == 0
    calls.end(six, CallEnd.CLIENT_ENDED)
    assert calls.meters[0].last.tx.packets == 5


# -- APNs


@pytest.mark.parametrize(
    ("apn", "name"),
    [
        ("", "internet"),
        ("internet", "internet"),
        ("Internet", "internet"),
        ("internet.mnc001.mcc001.gprs", "internet"),
        ("ipv4.internet.MNC01.MCC001.GPRS", "ipv4.internet"),
    ],
)
def test_an_apn_is_known_in_each_of_its_forms(apn: str, name: str) -> None:
    assert find_access_point(apn) is ACCESS_POINTS[name]


@pytest.mark.parametrize(
    "apn", ["intranet", "internet.gprs", ".gprs", "a.b.gprs", "internet.mnc1.mcc001.gprs", " "]
)
def test_what_only_looks_like_one_is_none(apn: str) -> None:
    assert find_access_point(apn) is None
