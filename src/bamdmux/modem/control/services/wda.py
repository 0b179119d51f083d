"""WDA: how packets are framed on the data port.

BAM-DMUX carries raw IP, one packet a frame. Whatever a client asks for, it is answered with that, and sees
that it did not get what it wanted: it is the client that has to follow.
"""

from typing import Final

from bamdmux.modem.control.services import Answer, Failure, Handler, Indicator, Request
from bamdmux.wire.qmi.values import AggregationProtocol, EndpointType, LinkLayerProtocol, QmiError


def set_data_format(request: Request) -> Answer:
    return _data_format(request)


def get_data_format(request: Request) -> Answer:
    return _data_format(request)


def _data_format(request: Request) -> Answer:
    endpoint = request.values.get("endpoint_info")
    if endpoint is None:
        if (error := request.equipment.profile.data_format_without_endpoint) != QmiError.NONE:
            return Failure(QmiError(error))
    elif (
        endpoint["endpoint_type"] != EndpointType.BAM_DMUX
        or request.equipment.calls.bearer(endpoint["interface_number"]) is None
    ):
        return Failure(QmiError.INVALID_ARGUMENT)
    return {
        "qos_format": 0,
        "link_layer_protocol": LinkLayerProtocol.RAW_IP,
        "uplink_data_aggregation_protocol": AggregationProtocol.DISABLED,
        "downlink_data_aggregation_protocol": AggregationProtocol.DISABLED,
    }


HANDLERS: Final[dict[str, Handler]] = {
    "set_data_format": set_data_format,
    "get_data_format": get_data_format,
}
INDICATIONS: Final[tuple[Indicator, ...]] = ()
