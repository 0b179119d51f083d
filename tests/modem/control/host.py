"""The other end of a ControlPlane in tests: clients that ask, and hear indications."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bamdmux.actions import Action, PortKind, SendToPort
from bamdmux.modem.control.equipment import Equipment
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.control.sim import Sim
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile, load_profile
from bamdmux.wire.qmi.messages import Response, Values, definition, load_service
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Kind, Message, Reframer, Service, Tlv, decode_message, encode_message

PROFILE: Profile = load_profile("msm8916")


def booted_plane(
    profile: Profile = PROFILE, *, sim: Sim | None = None, is_always_on: bool = True
) -> ControlPlane:
    """A modem at time 0: registered at home at once if it is always on, else searching."""
    plane = ControlPlane(profile, PacketDataNetwork(profile.channels), sim=sim, is_always_on=is_always_on)
    plane.boot(now=0)
    return plane


@dataclass
class Heard:
    """An indication: its name in the service's file, and for whom it was."""

    name: str
    values: Values
    client: int = field(compare=False)


class Host:
    """Whoever has a QMI port open; it opens one with the first request."""

    def __init__(self, plane: ControlPlane | None = None, *, port: int = 0) -> None:
        self.plane = plane or booted_plane()
        self.port = port
        self.now = 0
        self.actions: list[Action] = []  # all that were no bytes for our port
        self._heard: list[Heard] = []
        self._answers: list[Message] = []
        self._transactions = count(1)
        self._clients: dict[Service, int] = {}
        self._reframer = Reframer()
        self.plane.port_opened(port, PortKind.QMI, 0)

    @property
    def equipment(self) -> Equipment:
        return self.plane.equipment

    def send(self, data: bytes) -> list[Message]:
        """Write bytes to the port; the answers that came."""
        self.plane.received(self.port, data, self.now)
        self.collect()
        answers, self._answers = self._answers, []
        return answers

    def request(self, service: int, message_id: int, *tlvs: Tlv, client: int = 0) -> tuple[int, Message]:
        """Send one request; the error of its answer, and the answer itself."""
        transaction = next(self._transactions) % 256
        request = Message(service, client, Kind.REQUEST, transaction, message_id, tlvs)
        (answer,) = self.send(encode_message(request))
        assert (answer.service, answer.client, answer.kind) == (service, client, Kind.RESPONSE)
        assert (answer.transaction, answer.message_id) == (transaction, message_id)
        result = next(tlv.value for tlv in answer.tlvs if tlv.id == 2)
        assert int.from_bytes(result[:2], "little") == bool(result[2:] != b"\0\0")
        return int.from_bytes(result[2:], "little"), answer

    def client(self, service: Service) -> int:
        """Our client id of a service; it is allocated when it is first wanted."""
        if service is Service.CTL:
            return 0
        if service not in self._clients:
            self._clients[service] = self.new_client(service)
        return self._clients[service]

    def new_client(self, service: Service) -> int:
        client: int = self.ask(Service.CTL, "allocate_cid", service=service)["allocation_info"]["cid"]
        return client

    def call(self, service: Service, name: str, values: Mapping[str, Any], client: int) -> Response:
        message = definition(service, name)
        _, answer = self.request(service, message.message_id, *message.encode_request(values), client=client)
        return message.decode_response(answer.tlvs)

    def ask(self, service: Service, name: str, /, **values: Any) -> Values:
        """The values of a success."""
        response = self.call(service, name, values, self.client(service))
        assert response.error == QmiError.NONE, QmiError(response.error).name
        return response.values

    def refused(self, service: Service, name: str, /, **values: Any) -> QmiError:
        """The error of a failure."""
        response = self.call(service, name, values, self.client(service))
        assert response.error != QmiError.NONE
        return QmiError(response.error)

    def failure(self, service: Service, name: str, /, **values: Any) -> tuple[QmiError, Values]:
        """The error, and the values that came with it."""
        response = self.call(service, name, values, self.client(service))
        assert response.error != QmiError.NONE
        return QmiError(response.error), response.values

    def settle(self) -> None:
        """Let the plane notice what was done to its equipment."""
        self.plane.settle(self.now)
        self.collect()

    def wait(self) -> None:
        """Let the time pass until the plane wants nothing more of it."""
        for _ in range(100):
            if self.plane.deadline is None:
                self.collect()
                return
            self.now = max(self.now, self.plane.deadline)
            self.plane.handle_timeout(self.now)
        raise AssertionError("the plane always wants another timeout")

    def collect(self) -> None:
        """Read what the plane has written."""
        for action in self.plane.take_actions():
            if not isinstance(action, SendToPort) or action.port != self.port:
                self.actions.append(action)
                continue
            for frame in self._reframer.feed(action.data):
                message = decode_message(frame)
                if message.kind is Kind.INDICATION:
                    assert action.is_indication
                    self._heard.append(_read(message))
                else:
                    assert not action.is_indication
                    self._answers.append(message)

    def heard(self, *names: str) -> list[Heard]:
        """The indications since the last look; only those of these names, if any are given."""
        self.settle()
        heard, self._heard = self._heard, []
        return [each for each in heard if not names or each.name in names]


def _read(message: Message) -> Heard:
    known = load_service(Service(message.service)).indications[message.message_id]
    return Heard(known.name, known.decode_indication(message.tlvs), message.client)
