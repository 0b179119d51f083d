"""CTL: services, and client ids of them."""

import pytest

from bamdmux.modem.control.qmi import HANDLERS
from bamdmux.modem.control.services import CLIENTS_PER_SERVICE
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Service
from tests.modem.control.host import Host

CTL, DMS, WDS = Service.CTL, Service.DMS, Service.WDS


def release(host: Host, service: int, client: int) -> None:
    host.ask(CTL, "release_cid", release_info={"service": service, "cid": client})


def test_the_services_that_are_listed_are_those_that_answer() -> None:
    host = Host()
    listed = {each["service"] for each in host.ask(CTL, "get_version_info")["service_list"]}
    assert listed == set(HANDLERS)
    for service in listed - {CTL}:
        assert host.new_client(Service(service)) > 0


def test_the_instance_is_the_first_one() -> None:
    assert Host().ask(CTL, "set_instance_id", id=0) == {"link_id": 0}


def test_the_first_client_id_of_each_service_is_1() -> None:
    host = Host()
    assert [host.new_client(service) for service in (DMS, WDS, DMS)] == [1, 1, 2]


@pytest.mark.parametrize("service", [0, 5, 255])
def test_a_service_that_is_not_there_has_no_client_ids(service: int) -> None:
    assert Host().refused(CTL, "allocate_cid", service=service) is QmiError.INVALID_SERVICE_TYPE


def test_the_client_ids_of_a_service_are_used_up_one_day() -> None:
    host = Host()
    clients = [host.new_client(DMS) for _ in range(CLIENTS_PER_SERVICE)]
    assert sorted(clients) == list(range(1, 255))
    for _ in range(300 - CLIENTS_PER_SERVICE):
        assert host.refused(CTL, "allocate_cid", service=DMS) is QmiError.CLIENT_IDS_EXHAUSTED
    assert host.new_client(WDS) == 1


def test_a_client_id_that_was_released_is_used_again() -> None:
    host = Host()
    for _ in range(CLIENTS_PER_SERVICE):
        host.new_client(DMS)
    release(host, DMS, 77)
    assert host.new_client(DMS) == 77


def test_the_id_that_was_free_for_longest_is_used_first() -> None:
    host = Host()
    first = host.new_client(DMS)
    release(host, DMS, first)
    assert host.new_client(DMS) == first + 1


def test_a_client_that_was_released_is_not_known_any_more() -> None:
    host = Host()
    client = host.new_client(DMS)
    release(host, DMS, client)
    assert host.call(DMS, "get_model", {}, client).error == QmiError.INVALID_CLIENT_ID


@pytest.mark.parametrize("client", [0, 1, 255])
def test_a_client_that_never_was_cannot_be_released(client: int) -> None:
    info = {"service": DMS, "cid": client}
    assert Host().refused(CTL, "release_cid", release_info=info) is QmiError.INVALID_CLIENT_ID


def test_a_service_that_is_not_there_has_no_client_to_release() -> None:
    info = {"service": 99, "cid": 1}
    assert Host().refused(CTL, "release_cid", release_info=info) is QmiError.INVALID_SERVICE_TYPE


def test_a_release_ends_what_the_client_has_started() -> None:
    host = Host()
    host.ask(WDS, "start_network", apn="internet")
    client = host.client(WDS)
    (call,) = [call for call in host.equipment.calls if call.owner is not None]
    release(host, WDS, client)
    assert call not in list(host.equipment.calls)


def test_sync_releases_the_clients_of_its_port() -> None:
    host = Host()
    other = Host(host.plane, port=2)
    client, others = host.new_client(DMS), other.new_client(DMS)
    host.ask(CTL, "sync")
    assert host.call(DMS, "get_model", {}, client).error == QmiError.INVALID_CLIENT_ID
    assert other.call(DMS, "get_model", {}, others).error == QmiError.NONE


@pytest.mark.parametrize("protocol", [1, 2])
def test_the_link_has_raw_ip_whatever_is_asked_for(protocol: int) -> None:
    assert Host().ask(CTL, "set_data_format", format=0, protocol=protocol) == {"protocol": 2}


def test_who_asks_for_no_protocol_is_told_none() -> None:
    assert Host().ask(CTL, "set_data_format", format=0) == {}
