"""The definitions of all messages, and how values become TLVs and come back."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bamdmux.errors import InvalidTlv
from bamdmux.wire.qmi.messages import (
    Definition,
    Response,
    ServiceDefinition,
    definition,
    encode_error,
    find_request,
    load_service,
)
from bamdmux.wire.qmi.values import OperatingMode, QmiError, VerboseCallEndReasonType
from bamdmux.wire.qmux import Kind, Service, Tlv, decode_message
from tests.wire.qmi.generated import values_of_tlvs

DEFINITIONS = [message for service in Service for message in load_service(service).messages.values()]
EVERY_KIND = [(message, kind) for message in DEFINITIONS for kind in message.kinds]
RESULT_OK = Tlv(0x02, bytes(4))

MODE = definition(Service.DMS, "set_operating_mode")
START = definition(Service.WDS, "start_network")
CARD = definition(Service.UIM, "get_card_status")


def encode(message: Definition, kind: Kind, values: Mapping[str, Any]) -> tuple[Tlv, ...]:
    match kind:
        case Kind.REQUEST:
            return message.encode_request(values)
        case Kind.RESPONSE:
            return message.encode_response(values)
        case Kind.INDICATION:
            return message.encode_indication(values)


def decode(message: Definition, kind: Kind, tlvs: tuple[Tlv, ...]) -> Mapping[str, Any]:
    match kind:
        case Kind.REQUEST:
            return message.decode_request(tlvs)
        case Kind.RESPONSE:
            return message.decode_response(tlvs).values
        case Kind.INDICATION:
            return message.decode_indication(tlvs)


# The files


def test_the_files_hold_every_message_that_clients_send() -> None:
    counts = {service.name: len(load_service(service).messages) for service in Service}
    assert counts == {"CTL": 7, "WDS": 15, "DMS": 12, "NAS": 14, "UIM": 11, "WDA": 2, "DPM": 2}


@pytest.mark.parametrize(("message", "kind"), EVERY_KIND)
def test_ids_and_names_of_tlvs_are_there_once_and_in_order(message: Definition, kind: Kind) -> None:
    tlvs = message.tlvs(kind).definitions
    ids = [tlv.id for tlv in tlvs]
    assert ids == sorted(set(ids))
    assert len({tlv.name for tlv in tlvs}) == len(tlvs)
    assert kind is not Kind.RESPONSE or 0x02 not in ids


@pytest.mark.parametrize(("message", "kind"), EVERY_KIND)
def test_tlvs_below_0x10_must_be_there_and_of_the_others_only_the_card_status(
    message: Definition, kind: Kind
) -> None:
    # That is how QMI numbers them. ModemManager does not survive a card status without its TLV 10.
    for tlv in message.tlvs(kind).definitions:
        assert tlv.is_mandatory == (tlv.id < 0x10 or tlv.name == "card_status")


@pytest.mark.parametrize("service", Service)
def test_a_message_id_is_given_once_to_each_kind(service: Service) -> None:
    messages = load_service(service).messages.values()
    for kind in Kind:
        ids = [message.message_id for message in messages if kind in message.kinds]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("message", DEFINITIONS)
def test_whoever_can_be_asked_can_answer(message: Definition) -> None:
    assert (Kind.REQUEST in message.kinds) == (Kind.RESPONSE in message.kinds)


# There and back


@pytest.mark.parametrize(("message", "kind"), EVERY_KIND)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_what_was_encoded_is_decoded_again(message: Definition, kind: Kind, data: st.DataObject) -> None:
    values = data.draw(values_of_tlvs(message.tlvs(kind)))
    assert decode(message, kind, encode(message, kind, values)) == values


@given(
    st.sampled_from(EVERY_KIND),
    st.lists(
        st.builds(Tlv, st.sampled_from([1, 2, 3, *range(0x10, 0x20)]), st.binary(max_size=30)), max_size=6
    ),
)
@settings(max_examples=500)
def test_any_tlvs_are_values_or_invalid(which: tuple[Definition, Kind], tlvs: list[Tlv]) -> None:
    message, kind = which
    try:
        values = decode(message, kind, tuple(tlvs))
    except InvalidTlv:
        return
    assert set(values) <= {tlv.name for tlv in message.tlvs(kind).definitions}


# As a modem


def test_a_request_is_found_by_its_numbers() -> None:
    assert find_request(2, 0x2E) is MODE
    assert repr(MODE) == "<DMS 0x002e set_operating_mode>"


@pytest.mark.parametrize(
    ("service", "message_id"),
    [
        (2, 0xFFFF),
        (99, 0x20),
        (3, 0x4E),  # NAS System Info: an indication, which nobody can request
    ],
)
def test_a_request_without_definition_is_none(service: int, message_id: int) -> None:
    assert find_request(service, message_id) is None


def test_an_indication_is_found_by_its_number() -> None:
    assert load_service(Service.NAS).indications[0x4E].name == "system_info"


def test_a_request_is_values_by_name() -> None:
    assert MODE.decode_request([Tlv(1, b"\x01")]) == {"mode": OperatingMode.LOW_POWER}


def test_a_client_of_the_proxy_says_which_device_it_wants() -> None:
    # What `qmicli -p -d /dev/pts/0` (1.32.2) sends first to the abstract socket qmi-proxy.
    frame = bytes.fromhex("0118000000000001 00ff 0d00 010a00 2f6465762f7074732f30")
    message = decode_message(frame)
    request = find_request(message.service, message.message_id)
    assert request is definition(Service.CTL, "internal_proxy_open")
    assert request.decode_request(message.tlvs) == {"device_path": "/dev/pts/0"}


def test_a_request_without_a_tlv_that_must_be_there_is_a_missing_argument() -> None:
    with pytest.raises(InvalidTlv) as caught:
        MODE.decode_request([])
    assert (caught.value.reason, caught.value.name) == (QmiError.MISSING_ARGUMENT, "mode")
    assert str(caught.value) == "mode: TLV 0x01 is missing"


def test_a_request_with_a_malformed_tlv_is_an_invalid_argument() -> None:
    with pytest.raises(InvalidTlv) as caught:
        MODE.decode_request([Tlv(1, b"")])
    assert (caught.value.reason, caught.value.name) == (QmiError.INVALID_ARGUMENT, "mode")
    assert str(caught.value) == "mode: 0 bytes are less than u8"


def test_unknown_tlvs_and_bytes_behind_a_value_are_ignored() -> None:
    assert MODE.decode_request([Tlv(0xEE, b"?"), Tlv(1, b"\x03more")]) == {"mode": 3}


def test_of_a_tlv_that_is_there_twice_the_first_counts() -> None:
    assert MODE.decode_request([Tlv(1, b"\x01"), Tlv(1, b"\x03")]) == {"mode": 1}


def test_a_response_begins_with_its_result() -> None:
    assert MODE.encode_response() == (RESULT_OK,)
    assert START.encode_response({"packet_data_handle": 1}) == (RESULT_OK, Tlv(1, b"\x01\0\0\0"))


def test_a_response_with_an_error_may_have_values_and_need_not() -> None:
    result = Tlv(2, b"\x01\x00\x0e\x00")
    reason = {"type": VerboseCallEndReasonType.THREE_GPP, "reason": 27}
    assert START.encode_response(error=QmiError.CALL_FAILED) == (result,)
    assert START.encode_response({"verbose_call_end_reason": reason}, QmiError.CALL_FAILED) == (
        result,
        Tlv(0x11, b"\x06\x00\x1b\x00"),
    )


def test_a_success_without_what_must_be_there_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="card_status is missing"):
        CARD.encode_response()


def test_a_name_that_the_message_has_not_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="moed is unknown; there is mode"):
        MODE.encode_request({"moed": 1})


def test_a_value_that_does_not_fit_is_our_own_error_and_says_where() -> None:
    with pytest.raises(ValueError) as caught:
        START.encode_response(
            {"packet_data_handle": 1, "verbose_call_end_reason": {"type": 6, "reason": 1 << 20}}
        )
    assert str(caught.value) == "verbose_call_end_reason: reason: 1048576 is not within i16"


def test_a_kind_that_the_message_has_not_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="<DMS 0x002e set_operating_mode> is no indication"):
        MODE.encode_indication()


def test_an_answer_to_an_unknown_message_is_its_result() -> None:
    assert encode_error(QmiError.INVALID_QMI_COMMAND) == (Tlv(2, b"\x01\x00\x47\x00"),)


# As a host


def test_a_response_is_read_with_its_error() -> None:
    tlvs = START.encode_response({"call_end_reason": 3}, QmiError.CALL_FAILED)
    assert START.decode_response(tlvs) == Response(QmiError.CALL_FAILED, {"call_end_reason": 3})
    assert START.decode_response((RESULT_OK, Tlv(1, b"\x07\0\0\0"))) == (0, {"packet_data_handle": 7})


def test_an_error_without_a_name_is_its_number() -> None:
    assert START.decode_response([Tlv(2, b"\x01\x00\xff\xff")]).error == 0xFFFF


def test_an_error_code_without_failed_status_is_none() -> None:
    assert MODE.decode_response([Tlv(2, b"\x00\x00\x47\x00")]).error is QmiError.NONE


@pytest.mark.parametrize("tlvs", [[], [Tlv(2, b"\0")], [RESULT_OK]])
def test_a_response_without_result_or_without_what_must_be_there_is_invalid(tlvs: list[Tlv]) -> None:
    with pytest.raises(InvalidTlv):
        CARD.decode_response(tlvs)


# Our own files


def test_a_key_that_a_message_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="go: key 'respones' is unknown"):
        ServiceDefinition(Service.DMS, "[messages.go]\nid = 1\nrequest = ''\nrespones = ''")


def test_a_file_need_not_have_named_types() -> None:
    service = ServiceDefinition(Service.DMS, "[messages.go]\nid = 1\nrequest = '01 a: u8'")
    assert service.messages["go"].encode_request({"a": 1}) == (Tlv(1, b"\x01"),)
