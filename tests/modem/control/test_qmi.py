"""The QMI endpoint: bytes in, answers out, whatever the bytes are."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import SendToPort
from bamdmux.modem.control.equipment import Mode
from bamdmux.modem.control.qmi import HANDLERS, INDICATIONS
from bamdmux.wire.qmi.messages import definition, load_service
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Kind, Message, Service, Tlv, decode_message, encode_message
from tests.modem.control.host import Host

CTL, DMS, WDS, NAS = Service.CTL, Service.DMS, Service.WDS, Service.NAS


def request(client: int, name: str = "get_model", transaction: int = 1, *tlvs: Tlv) -> bytes:
    """A request of DMS as bytes."""
    message_id = definition(DMS, name).message_id
    return encode_message(Message(DMS, client, Kind.REQUEST, transaction, message_id, tlvs))


def frame(
    client: int, message_id: int, tlv_bytes: bytes, *, kind: int = 0, length: int | None = None
) -> bytes:
    """A frame of DMS with any bytes as its TLVs."""
    length = len(tlv_bytes) if length is None else length
    body = struct.pack("<BHHH", kind, 7, message_id, length) + tlv_bytes
    return struct.pack("<BHBBB", 1, 5 + len(body), 0, DMS, client) + body


def transactions(answers: list[Message]) -> list[int]:
    return [answer.transaction for answer in answers]


# Every message has its service behind it


def test_a_frame_that_has_begun_to_come_is_unfinished() -> None:
    host = Host()
    client = host.client(Service.DMS)
    frame_bytes = request(client)
    host.send(frame_bytes[:5])
    assert host.plane.has_unfinished(host.port)
    host.send(frame_bytes[5:])
    assert not host.plane.has_unfinished(host.port)


def test_every_service_has_its_tables() -> None:
    assert HANDLERS.keys() == INDICATIONS.keys() == set(Service)


@pytest.mark.parametrize("service", list(Service))
def test_every_request_that_has_a_definition_is_served(service: Service) -> None:
    requests = {message.name for message in load_service(service).requests.values()}
    assert HANDLERS[service].keys() == requests - {"internal_proxy_open"}  # is for the socket, not for us


# What is wrong with a request


def test_a_service_that_is_not_there() -> None:
    assert Host().request(5, 0x20)[0] == QmiError.INVALID_SERVICE_TYPE


@pytest.mark.parametrize("service", list(Service))
def test_a_message_that_is_not_there(service: Service) -> None:
    assert Host().request(service, 0xEEEE)[0] == QmiError.INVALID_QMI_COMMAND


def test_an_indication_is_no_request() -> None:
    host = Host()
    system_info = definition(NAS, "system_info").message_id
    assert host.request(NAS, system_info, client=host.client(NAS))[0] == QmiError.INVALID_QMI_COMMAND


@pytest.mark.parametrize("client", [0, 1, 255])
def test_a_client_that_was_not_allocated(client: int) -> None:
    assert Host().request(DMS, 0x22, client=client)[0] == QmiError.INVALID_CLIENT_ID


def test_a_tlv_that_must_be_there_and_is_not() -> None:
    host = Host()
    assert host.request(DMS, 0x2E, client=host.client(DMS))[0] == QmiError.MISSING_ARGUMENT


def test_a_tlv_that_is_shorter_than_its_value() -> None:
    host = Host()
    assert host.request(CTL, 0x23, Tlv(1, b"\2"))[0] == QmiError.INVALID_ARGUMENT


def test_a_tlv_that_is_empty() -> None:
    host = Host()
    error, _ = host.request(DMS, 0x2E, Tlv(1, b""), client=host.client(DMS))
    assert error == QmiError.INVALID_ARGUMENT
    assert host.equipment.mode is Mode.ONLINE


def test_a_tlv_that_nobody_knows_is_no_harm() -> None:
    host = Host()
    error, _ = host.request(DMS, 0x22, Tlv(0x77, b"?"), client=host.client(DMS))
    assert error == QmiError.NONE


def test_of_a_tlv_that_is_there_twice_the_first_one_counts() -> None:
    host = Host()
    host.request(DMS, 0x2E, Tlv(1, b"\1"), Tlv(1, b"\0"), client=host.client(DMS))
    assert host.equipment.mode is Mode.LOW_POWER


@pytest.mark.parametrize("tlv_bytes", [b"\x01", b"\x01\x01", b"\x01\x02\x00\x01", b"\x01\x01\x00\x01\x02"])
def test_tlvs_that_are_cut_are_malformed(tlv_bytes: bytes) -> None:
    host = Host()
    (answer,) = host.send(frame(host.client(DMS), 0x2E, tlv_bytes))
    assert answer.transaction == 7
    assert answer.tlvs == (Tlv(2, b"\1\0" + QmiError.MALFORMED_MESSAGE.to_bytes(2, "little")),)
    assert host.equipment.mode is Mode.ONLINE


# What is no request


@pytest.mark.parametrize("kind", [2, 4])
def test_a_response_or_an_indication_from_a_host_is_counted(kind: int) -> None:
    host = Host()
    client = host.client(DMS)
    assert host.send(frame(client, 0x22, b"", kind=kind)) == []
    assert host.send(frame(client, 0x22, b"\1", kind=kind)) == []
    assert status(host)["strays"] == 2


@pytest.mark.parametrize("kind", [1, 3, 5, 255])
def test_a_kind_that_is_none_is_counted(kind: int) -> None:
    host = Host()
    assert host.send(frame(host.client(DMS), 0x22, b"", kind=kind)) == []
    assert status(host)["strays"] == 1


def test_a_length_that_lies_is_skipped_and_the_next_request_is_answered() -> None:
    host = Host()
    client = host.client(DMS)
    assert host.send(frame(client, 0x22, b"", length=9)) == []
    assert transactions(host.send(request(client, transaction=3))) == [3]
    assert status(host)["skipped_bytes"] == len(frame(client, 0x22, b""))


def test_a_frame_that_is_longer_than_any_message_is_skipped() -> None:
    host = Host()
    client = host.client(DMS)
    too_long = struct.pack("<BHBBB", 1, 0xFFFF, 0, DMS, client)
    assert transactions(host.send(too_long + request(client, transaction=3))) == [3]


def test_bytes_that_are_no_frame_are_skipped_and_counted() -> None:
    host = Host()
    client = host.client(DMS)
    answers = host.send(b"AT+CGMI\r\xff\x00" + request(client))
    assert len(answers) == 1
    assert status(host)["skipped_bytes"] == 10


def status(host: Host) -> dict[str, int]:
    qmi = host.plane.status(0)["qmi"]
    assert isinstance(qmi, dict)
    return qmi


# Cut and joined


def test_a_request_may_come_one_byte_at_a_time() -> None:
    host = Host()
    data = request(host.client(DMS))
    answers = [host.send(data[index : index + 1]) for index in range(len(data))]
    assert [len(each) for each in answers] == [0] * (len(data) - 1) + [1]


def test_requests_may_come_joined() -> None:
    host = Host()
    client = host.client(DMS)
    answers = host.send(b"".join(request(client, transaction=number) for number in range(20)))
    assert transactions(answers) == list(range(20))


@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_requests_may_be_cut_anywhere(cuts: list[int]) -> None:
    host = Host()
    client = host.client(DMS)
    stream = b"".join(request(client, transaction=number) for number in range(15))
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    answers = [answer for start, end in pairwise(places) for answer in host.send(stream[start:end])]
    assert transactions(answers) == list(range(15))


@given(noise=st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_are_survived(noise: list[bytes]) -> None:
    host = Host()
    client = host.client(DMS)
    for data in noise:
        host.send(data)
    host.send(bytes(8192))  # ends whatever the noise has begun
    assert transactions(host.send(request(client, transaction=77)))[-1:] == [77]


def test_two_ports_have_halves_of_their_own() -> None:
    host = Host()
    other = Host(host.plane, port=2)
    data, others = request(host.client(DMS)), request(other.client(DMS), transaction=2)
    host.send(data[:5])
    other.send(others[:9])
    assert transactions(host.send(data[5:])) == [1]
    assert transactions(other.send(others[9:])) == [2]


def test_half_a_frame_is_forgotten_with_its_port() -> None:
    host = Host()
    client = host.client(DMS)
    host.send(request(client)[:5])
    host.plane.port_closed(host.port, 0)
    again = Host(host.plane, port=host.port)
    assert transactions(again.send(request(client))) == [1]


def test_a_crash_forgets_halves_and_clients() -> None:
    host = Host()
    client = host.client(DMS)
    host.send(request(client)[:5])
    host.plane.crash(0)
    host.plane.boot(0)
    host.plane.take_actions()
    again = Host(host.plane)
    assert again.new_client(DMS) == client
    assert transactions(again.send(request(client))) == [1]


# Clients


def test_a_client_that_vanishes_leaves_its_id_behind() -> None:
    host = Host()
    client = host.client(DMS)
    host.plane.port_closed(host.port, 0)
    again = Host(host.plane, port=host.port)
    assert again.call(DMS, "get_model", {}, client).error == QmiError.NONE


def test_who_has_gone_is_not_told_and_what_he_missed_is_not_kept() -> None:
    host = Host()
    host.ask(DMS, "set_event_report", operating_mode_reporting=1)
    host.plane.port_closed(host.port, 0)
    host.equipment.set_mode(Mode.LOW_POWER, now=0)
    host.plane.settle(0)
    again = Host(host.plane, port=host.port)
    assert again.heard() == []


def test_indications_go_where_the_client_was_heard_last() -> None:
    host = Host()
    other = Host(host.plane, port=2)
    host.ask(DMS, "set_event_report", operating_mode_reporting=1)
    other.call(DMS, "get_model", {}, host.client(DMS))
    host.equipment.set_mode(Mode.LOW_POWER, now=0)
    assert len(other.heard("set_event_report")) == 1
    assert host.heard() == []


def test_indications_come_after_the_answer_that_caused_them() -> None:
    host = Host()
    host.ask(DMS, "set_event_report", operating_mode_reporting=1)
    mode = Tlv(1, bytes((Mode.LOW_POWER,)))
    host.plane.received(host.port, request(host.client(DMS), "set_operating_mode", 9, mode), 0)
    sent = [action for action in host.plane.take_actions() if isinstance(action, SendToPort)]
    assert [action.is_indication for action in sent] == [False, True]
    assert decode_message(sent[1].data).transaction == 0


def test_a_report_by_the_clock_is_not_for_who_has_gone() -> None:
    host = Host()
    host.ask(WDS, "start_network", apn="internet")
    host.ask(WDS, "set_event_report", transfer_statistics={"interval_seconds": 1, "indicators": 3})
    deadline = host.plane.deadline
    assert deadline is not None
    host.plane.handle_timeout(deadline)
    assert len(host.heard("set_event_report")) == 1
    host.plane.port_closed(host.port, 0)
    deadline = host.plane.deadline
    assert deadline is not None
    host.plane.handle_timeout(deadline - 1)
    host.plane.handle_timeout(deadline)
    assert host.plane.take_actions() == []


def test_what_clients_do_is_counted() -> None:
    host = Host()
    host.ask(DMS, "get_model")
    host.refused(DMS, "set_operating_mode", mode=77)
    assert status(host) == {
        "clients": {"dms": [1]},
        "requests": 3,
        "failures": 1,
        "strays": 0,
        "skipped_bytes": 0,
    }
