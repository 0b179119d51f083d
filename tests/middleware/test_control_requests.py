from hypothesis import given
from hypothesis import strategies as st

from bamdmux.middleware.control_requests import (
    MAX_LINE_BYTES,
    Asked,
    AtRequests,
    QmiRequests,
    at_names,
    qmi_names,
)
from bamdmux.wire.qmux import Kind, Message, Service, encode_message

START = Message(Service.WDS, 1, Kind.REQUEST, 7, 0x0020)


def said(parts: list[bytes | Asked]) -> bytes:
    return b"".join(part.data if isinstance(part, Asked) else part for part in parts)


def asked(parts: list[bytes | Asked]) -> list[frozenset[str]]:
    return [part.names for part in parts if isinstance(part, Asked)]


# QMI


def test_a_frame_is_a_request_by_its_names() -> None:
    (request,) = QmiRequests(3).feed(encode_message(START))
    names = frozenset(("wds", "wds.start_network", "wds.0x0020"))
    assert request == Asked(3, encode_message(START), names, START)


def test_a_message_that_is_not_known_has_a_number() -> None:
    assert qmi_names(Message(Service.NAS, 1, Kind.REQUEST, 1, 0x0026)) == {"nas", "nas.0x0026"}


def test_a_service_that_is_not_known_has_a_number() -> None:
    assert qmi_names(Message(9, 1, Kind.REQUEST, 1, 0x0020)) == {"service9", "service9.0x0020"}


def test_a_request_whose_tlvs_are_cut_is_one() -> None:
    frame = bytearray(encode_message(START) + b"\x01\xff\xff")
    frame[1] += 3
    frame[11] += 3
    (request,) = QmiRequests(0).feed(bytes(frame))
    assert isinstance(request, Asked)


def test_frames_that_are_no_requests_are_given_on() -> None:
    answer = encode_message(START.answer(()))
    no_kind = bytearray(answer)
    no_kind[6] = 9
    assert list(QmiRequests(0).feed(answer + bytes(no_kind))) == [answer, bytes(no_kind)]


def test_what_is_no_frame_is_left_out_and_counted() -> None:
    requests = QmiRequests(0)
    assert len(list(requests.feed(b"\xff\xff" + encode_message(START) + b"\xff"))) == 1
    assert requests.skipped_byte_count == 3


def test_a_frame_may_come_in_pieces() -> None:
    requests = QmiRequests(0)
    frame = encode_message(START)
    assert list(requests.feed(frame[:5])) == []
    assert len(list(requests.feed(frame[5:]))) == 1


# AT


def test_a_line_is_a_request_by_all_its_commands() -> None:
    assert at_names(b"AT+CSQ;+CGACT=1,1;E0V1&C1D*99#") == {
        *("at", "at.+csq", "at.+cgact", "at.e", "at.v", "at.&c", "at.d"),
    }
    assert at_names(b"at+cpin?") == {"at", "at.+cpin"}
    assert at_names(b"AT") == {"at"}


def test_what_is_typed_is_given_on_before_the_line_ends() -> None:
    requests = AtRequests(1)
    assert list(requests.feed(b"AT+C")) == [b"AT+C"]
    typed, end, rest = requests.feed(b"SQ\r\nA")
    assert (typed, rest) == (b"SQ", b"\nA")
    assert end == Asked(1, b"\r", frozenset(("at", "at.+csq")))


def test_a_line_that_does_not_begin_with_at_is_no_request() -> None:
    assert asked(list(AtRequests(1).feed(b"hello\r\r+CSQ\r"))) == []


def test_a_repetition_is_what_the_last_line_was() -> None:
    names = asked(list(AtRequests(1).feed(b"A/AT+CSQ\rhello\rA/a/")))
    assert names == [{"at"}, *[{"at", "at.+csq"}] * 3]


def test_a_slash_elsewhere_is_no_repetition() -> None:
    assert asked(list(AtRequests(1).feed(b"AT/AA/"))) == []


def test_characters_that_are_taken_back_are_none_of_the_name() -> None:
    assert asked(list(AtRequests(1).feed(b"\bXA\x7f\x08ATX\x08+CSQ\r"))) == [{"at", "at.+csq"}]


def test_a_line_can_be_taken_back() -> None:
    requests = AtRequests(1)
    list(requests.feed(b"AT\n+C"))
    assert requests.take_back() == b"\x7f" * 4 + b"\r"


def test_a_line_is_only_kept_up_to_a_bound() -> None:
    requests = AtRequests(1)
    list(requests.feed(b"AT" + b"x" * 100_000))
    assert len(requests.take_back()) == MAX_LINE_BYTES + 1


@given(
    st.lists(
        st.one_of(st.binary(max_size=9), st.sampled_from([b"AT+CSQ\r", b"A/", b"\r", b"\b"])), max_size=9
    )
)
def test_of_at_everything_is_given_on_in_order(parts: list[bytes]) -> None:
    requests = AtRequests(1)
    assert said([part for data in parts for part in requests.feed(data)]) == b"".join(parts)
