"""The QMI endpoint: bytes of ports become requests, requests become answers, changes become indications.

    port's bytes -> Reframer -> decode -> definition -> handler of the service -> answer, same port
    Equipment's changes -> indicators of each service, for each client -> the port that it was heard on

What is wrong with a request is answered as firmware answers it, and changes nothing: an unknown service (31),
an unknown message (71), an id that was not allocated (7), TLVs that are cut (1), missing (17) or not of their
type (48). What is no request at all is counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bamdmux.actions import Action, SendToPort
from bamdmux.errors import InvalidTlv, MalformedMessage
from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.modem.control.services import (
    Client,
    ClientTable,
    Failure,
    Handler,
    Indicator,
    Request,
    ctl,
    dms,
    dpm,
    nas,
    uim,
    wda,
    wds,
)
from bamdmux.timing import Instant, earliest
from bamdmux.wire.qmi.messages import definition, encode_error, find_request
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import (
    Kind,
    Message,
    MessageFault,
    Reframer,
    Service,
    Tlv,
    decode_header,
    decode_message,
    encode_message,
)

HANDLERS: Final[Mapping[Service, Mapping[str, Handler]]] = {
    Service.CTL: ctl.HANDLERS,
    Service.DMS: dms.HANDLERS,
    Service.WDS: wds.HANDLERS,
    Service.NAS: nas.HANDLERS,
    Service.UIM: uim.HANDLERS,
    Service.WDA: wda.HANDLERS,
    Service.DPM: dpm.HANDLERS,
}
INDICATIONS: Final[Mapping[Service, tuple[Indicator, ...]]] = {
    Service.CTL: ctl.INDICATIONS,
    Service.DMS: dms.INDICATIONS,
    Service.WDS: wds.INDICATIONS,
    Service.NAS: nas.INDICATIONS,
    Service.UIM: uim.INDICATIONS,
    Service.WDA: wda.INDICATIONS,
    Service.DPM: dpm.INDICATIONS,
}
CTL_CLIENT_ID: Final = 0


class QmiEndpoint:
    """All QMI ports of a modem; they share its clients."""

    def __init__(self, equipment: Equipment, outbox: list[Action]) -> None:
        self._equipment = equipment
        self._outbox = outbox
        self._reframers: dict[int, Reframer] = {}
        self.clients = ClientTable()
        self.deadline: Instant | None = None  # when the next report is due that comes by the clock
        self.request_count = 0
        self.failure_count = 0  # requests that were answered with an error
        self.stray_count = 0  # frames that are no request

    def open(self, port: int) -> None:
        self._reframers[port] = Reframer()

    def close(self, port: int) -> None:
        """Forget half a frame; what its clients have set and started stays theirs."""
        self._reframers.pop(port, None)

    def has_unfinished(self, port: int) -> bool:
        """Whether a frame has begun to come, and is not complete."""
        return self._reframers[port].unfinished_byte_count > 0

    def reset(self) -> None:
        """Everything that a start of the modem begins with: no ports, no clients."""
        self._reframers.clear()
        self.clients.clear()
        self._set_deadline()

    def received(self, port: int, data: bytes, now: Instant) -> None:
        """Bytes of a port, cut or joined anyhow."""
        for frame in self._reframers[port].feed(data):
            self._take(port, frame, now)
        self._set_deadline()

    def _take(self, port: int, frame: bytes, now: Instant) -> None:
        try:
            message = decode_message(frame)
        except MalformedMessage as error:
            if error.reason is MessageFault.BAD_TLV:  # there is somebody to tell
                header = decode_header(frame)
                if header.kind is Kind.REQUEST:
                    self._answer(port, header, encode_error(QmiError.MALFORMED_MESSAGE), failed=True)
                    return
            self.stray_count += 1
            return
        if message.kind is not Kind.REQUEST:
            self.stray_count += 1
            return
        answer, failed = self._serve(port, message, now)
        self._answer(port, message, answer, failed=failed)

    def _serve(self, port: int, message: Message, now: Instant) -> tuple[Iterable[Tlv], bool]:
        """The TLVs of the answer, and whether it is an error."""
        known = find_request(message.service, message.message_id)
        if known is None or known.name not in HANDLERS.get(known.service, {}):
            is_known = message.service in HANDLERS
            error = QmiError.INVALID_QMI_COMMAND if is_known else QmiError.INVALID_SERVICE_TYPE
            return encode_error(error), True
        client = self._find_client(message, port)
        if client is None:
            return encode_error(QmiError.INVALID_CLIENT_ID), True
        handler = HANDLERS[known.service][known.name]
        try:
            values = known.decode_request(message.tlvs)
            answer = handler(Request(client, values, self._equipment, self.clients, now))
        except InvalidTlv as error:
            return encode_error(QmiError(error.reason)), True
        if isinstance(answer, Failure):
            return known.encode_response(answer.values, answer.error), True
        return known.encode_response(answer), False

    def _find_client(self, message: Message, port: int) -> Client | None:
        if message.service == Service.CTL:
            return Client(Service.CTL, CTL_CLIENT_ID, port)  # everybody's
        client = self.clients.find(message.service, message.client)
        if client is not None:
            client.port = port
        return client

    def _answer(self, port: int, request: Message, tlvs: Iterable[Tlv], *, failed: bool) -> None:
        self.request_count += 1
        self.failure_count += failed
        self._outbox.append(SendToPort(port, encode_message(request.answer(tlvs))))

    def indicate(self, changes: Iterable[Change]) -> None:
        """Tell each client what it has asked to be told of."""
        for change in changes:
            for client in self._reachable_clients():
                for indicator in INDICATIONS[client.service]:
                    indication = indicator(change, client, self._equipment)
                    if indication is not None:
                        self._indicate(client, *indication)

    def _reachable_clients(self) -> Iterator[Client]:
        """Those whose port is open; the others are told nothing, and know that of nothing."""
        return (client for client in self.clients if client.port in self._reframers)

    def _set_deadline(self) -> None:
        """Clients may have asked for reports, or have gone. Kept, for the loop asks with every packet."""
        self.deadline = earliest(*(client.next_report_at for client in self.clients))

    def handle_timeout(self, now: Instant) -> None:
        for client in self.clients:
            if client.next_report_at is not None and now >= client.next_report_at:
                report = wds.report_traffic(client, self._equipment, now)
                if report is not None and client.port in self._reframers:
                    self._indicate(client, *report)
        self._set_deadline()

    def _indicate(self, client: Client, name: str, values: Mapping[str, object]) -> None:
        message = definition(client.service, name)
        tlvs = message.encode_indication(values)
        data = encode_message(
            Message(client.service, client.id, Kind.INDICATION, 0, message.message_id, tuple(tlvs))
        )
        self._outbox.append(SendToPort(client.port, data, is_indication=True))

    def status(self) -> dict[str, object]:
        """For JSON."""
        by_service: dict[str, list[int]] = {}
        for client in self.clients:
            by_service.setdefault(client.service.name.lower(), []).append(client.id)
        return {
            "clients": by_service,
            "requests": self.request_count,
            "failures": self.failure_count,
            "strays": self.stray_count,
            "skipped_bytes": sum(each.skipped_byte_count for each in self._reframers.values()),
        }
