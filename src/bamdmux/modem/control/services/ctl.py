"""CTL: which services there are, and client ids of them.

Client ids are the modem's and not a port's: one that a program leaves behind is there for the next one, as
with real firmware and libqmi's proxy. Sync, which a host sends when it starts, releases those of its port.
"""

from typing import Final

from bamdmux.modem.control.services import NOTHING, Answer, Client, Failure, Handler, Indicator, Request
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Service

# Major and minor: what an MSM8916 answers.
VERSIONS: Final = {
    Service.CTL: (1, 5),
    Service.WDS: (1, 67),
    Service.DMS: (1, 14),
    Service.NAS: (1, 25),
    Service.UIM: (1, 46),
    Service.WDA: (1, 16),
    Service.DPM: (1, 0),
}


def set_instance_id(request: Request) -> Answer:
    return {"link_id": 0}


def get_version_info(request: Request) -> Answer:
    return {
        "service_list": [
            {"service": service, "major_version": major, "minor_version": minor}
            for service, (major, minor) in VERSIONS.items()
        ]
    }


def allocate_cid(request: Request) -> Answer:
    number = request.values["service"]
    if number not in VERSIONS or number == Service.CTL:
        return Failure(QmiError.INVALID_SERVICE_TYPE)
    client = request.clients.allocate(Service(number), request.client.port)
    if client is None:
        return Failure(QmiError.CLIENT_IDS_EXHAUSTED)
    return {"allocation_info": {"service": client.service, "cid": client.id}}


def release_cid(request: Request) -> Answer:
    release = request.values["release_info"]
    if release["service"] not in VERSIONS:
        return Failure(QmiError.INVALID_SERVICE_TYPE)
    client = request.clients.find(release["service"], release["cid"])
    if client is None:
        return Failure(QmiError.INVALID_CLIENT_ID)
    _release(request, client)
    return {"release_info": release}


def set_data_format(request: Request) -> Answer:
    # The link has raw IP and nothing else, whatever was asked for: protocol 2 of the two in question.
    return {"protocol": 2} if "protocol" in request.values else NOTHING


def sync(request: Request) -> Answer:
    for client in request.clients:
        if client.port == request.client.port:
            _release(request, client)
    return NOTHING


def _release(request: Request, client: Client) -> None:
    request.clients.release(client)
    request.equipment.client_gone(client)


HANDLERS: Final[dict[str, Handler]] = {
    "set_instance_id": set_instance_id,
    "get_version_info": get_version_info,
    "allocate_cid": allocate_cid,
    "release_cid": release_cid,
    "set_data_format": set_data_format,
    "sync": sync,
}
INDICATIONS: Final[tuple[Indicator, ...]] = ()
