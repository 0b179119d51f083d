"""DPM: data ports are opened before they carry anything; in firmwares that want that.

There the modem announces a channel to the host once its port was opened, and withdraws it when the port is
closed. Others announce by themselves, and know no such message.
"""

from typing import Final

from bamdmux.modem.control.services import NOTHING, Answer, Failure, Handler, Indicator, Request
from bamdmux.modem.profiles import Announce
from bamdmux.wire.qmi.values import EndpointType, QmiError


def open_port(request: Request) -> Answer:
    """Open the hardware ports that are named; all of them, or none if one of them is not ours."""
    equipment = request.equipment
    if equipment.profile.announce is not Announce.AFTER_OPEN_PORT:
        return Failure(QmiError.INVALID_QMI_COMMAND)
    ports = request.values.get("hardware_data_ports", ())
    channels = [port["interface_number"] for port in ports]
    for port in ports:
        if (
            port["endpoint_type"] != EndpointType.BAM_DMUX
            or equipment.calls.bearer(port["interface_number"]) is None
        ):
            return Failure(QmiError.INVALID_ARGUMENT)
    equipment.open_ports.update(channels)
    return NOTHING


def close_port(request: Request) -> Answer:
    """Close every port that is open."""
    equipment = request.equipment
    if equipment.profile.announce is not Announce.AFTER_OPEN_PORT:
        return Failure(QmiError.INVALID_QMI_COMMAND)
    if not equipment.open_ports:
        return Failure(QmiError.NO_EFFECT)
    equipment.open_ports.clear()
    return NOTHING


HANDLERS: Final[dict[str, Handler]] = {"open_port": open_port, "close_port": close_port}
INDICATIONS: Final[tuple[Indicator, ...]] = ()
