"""A control plane beside a real Modem, for the tests of data calls: QMI at one door, packets at the other.

Packets go by the ring of the near end, as the host's do, and out of the modem's network device. So whether
a bearer is up is never asked: it is tried.
"""

from collections.abc import Iterable
from typing import Any

from bamdmux.actions import Action, Line, Pipe, PortKind, SendToPort
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.modem import Modem
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile, load_profile
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import SECOND, Instant
from bamdmux.wire.qmi.messages import Response, definition, load_service
from bamdmux.wire.qmux import Kind, Message, Reframer, Service, decode_message, encode_message
from tests.modem.near_end import WORLD4, WORLD6, NearEnd, frame_of, open_frame, packet4, packet6

PORT = 0
CTL_CLIENT = 0
BUFFERS = 32


class Rig:
    """Booted, registered, all channels open at the modem, no calls.

    Args:
        is_always_on: the modem's own calls are up.
    """

    def __init__(self, profile: Profile | str = "msm8916", *, is_always_on: bool = False) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.network = PacketDataNetwork(self.profile.channels, mtu=self.profile.mtu)
        self.plane = ControlPlane(self.profile, self.network, is_always_on=is_always_on)
        self.equipment = self.plane.equipment
        self.near = NearEnd()
        self.world = QueueDevice()
        self.modem = Modem(self.profile, self.near.tx_peer, self.near.rx_peer, self.world, self.network)
        self.now: Instant = 0
        self.actions: list[Action] = []
        self.frames: list[bytes] = []  # what the host has got
        self._reframer = Reframer()
        self._answers: list[Message] = []
        self._indications: list[Message] = []
        self._transaction = 0
        self.boot()
        self._bring_link_up()

    def boot(self) -> None:
        """Start the plane, with its port, and let it register."""
        self.plane.boot(self.now)
        self.plane.port_opened(PORT, PortKind.QMI, self.now)
        self.wait(SECOND)

    def _bring_link_up(self) -> None:
        """The host votes, acks, and opens every channel."""
        self.modem.boot(self.now)
        self.modem.line_changed(Line.HOST_VOTE, 1, self.now)
        self.wait(SECOND // 10)
        self.near.queue_buffers(BUFFERS)
        self.modem.line_changed(Line.HOST_ACK, 1, self.now)
        self.send(*(open_frame(channel) for channel in self.profile.channels))

    # Time

    def wait(self, duration: int) -> None:
        """Let time pass, each deadline at its own time."""
        end = self.now + duration
        for machine in (self.plane, self.modem):
            while (deadline := machine.deadline) is not None and deadline <= end:
                self.now = max(self.now, deadline)
                machine.handle_timeout(self.now)
                self.collect()
        self.now = end

    def collect(self) -> None:
        """Take the actions of both, and what they say."""
        for action in self.plane.take_actions():
            self.actions.append(action)
            if isinstance(action, SendToPort):
                for frame in self._reframer.feed(action.data):
                    message = decode_message(frame)
                    kept = self._indications if message.kind is Kind.INDICATION else self._answers
                    kept.append(message)
        self.modem.take_actions()
        received = self.near.received()
        self.frames += received
        self.near.queue_buffers(len(received))

    def settle(self) -> None:
        """The world has done something to the equipment: let clients hear of it."""
        self.plane.settle(self.now)
        self.collect()

    # QMI

    def ask(self, service: Service, client: int, name: str, values: dict[str, Any]) -> Response:
        """Send a request, and read its answer."""
        message = definition(service, name)
        self._transaction = self._transaction % 255 + 1
        request = Message(
            service,
            client,
            Kind.REQUEST,
            self._transaction,
            message.message_id,
            tuple(message.encode_request(values)),
        )
        self.plane.received(PORT, encode_message(request), self.now)
        self.collect()
        (answer,) = self._answers
        self._answers.clear()
        assert (answer.service, answer.client, answer.transaction) == (service, client, self._transaction)
        return message.decode_response(answer.tlvs)

    def client(self, service: Service = Service.WDS) -> "QmiClient":
        """A new client id."""
        answer = self.ask(Service.CTL, CTL_CLIENT, "allocate_cid", {"service": service})
        assert not answer.error
        return QmiClient(self, service, answer.values["allocation_info"]["cid"])

    def bound(self, channel: int = 0, version: int = 4) -> "QmiClient":
        """A client of WDS that has chosen."""
        client = self.client()
        assert not client.ask("bind_data_port", data_port=0x0E04 + channel).error
        assert not client.ask("set_ip_family", preference=version).error
        return client

    def told(self, client: "QmiClient") -> list[tuple[str, dict[str, Any]]]:
        """What a client was told unasked since the last time."""
        mine = [m for m in self._indications if (m.service, m.client) == (client.service, client.id)]
        self._indications = [m for m in self._indications if m not in mine]
        names = {m.message_id: m for m in load_service(client.service).messages.values()}
        return [(names[m.message_id].name, names[m.message_id].decode_indication(m.tlvs)) for m in mine]

    # Packets

    def send(self, *frames: bytes) -> None:
        self.near.send(*frames)
        self.modem.doorbell_rang(Pipe.TX, self.now)
        self.near.tx.retire(self.near.tx.completed())
        self.collect()

    def passes_up(self, channel: int, version: int, length: int = 60) -> bool:
        """Whether a packet from the bearer's address gets out into the network."""
        before = len(self.world.delivered)
        self.send(frame_of(up_packet(channel, version, length), channel))
        return len(self.world.delivered) > before

    def passes_down(self, channel: int, version: int, length: int = 60) -> bool:
        """Whether a packet to the bearer's address gets to the host, on its channel."""
        packet = down_packet(channel, version, length)
        self.world.outgoing.append(packet)
        before = len(self.frames)
        self.modem.receive_from_network(self.now)
        self.collect()
        return frame_of(packet, channel) in self.frames[before:]

    def passing(self, channels: Iterable[int] | None = None) -> set[tuple[int, int]]:
        """Of these channels and both versions, those on which packets pass, which they must do both ways."""
        passing = set()
        for channel in self.profile.channels if channels is None else channels:
            for version in (4, 6):
                up, down = self.passes_up(channel, version), self.passes_down(channel, version)
                assert up == down, f"channel {channel}, IPv{version}: up {up}, down {down}"
                if up:
                    passing.add((channel, version))
        return passing


class QmiClient:
    """A client id, from its owner's side."""

    def __init__(self, rig: Rig, service: Service, client_id: int) -> None:
        self.rig = rig
        self.service = service
        self.id = client_id

    def ask(self, name: str, **values: Any) -> Response:
        return self.rig.ask(self.service, self.id, name, values)

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        return self.rig.told(self)

    def start(self, **values: Any) -> int:
        """Start a call that must succeed; its handle."""
        answer = self.ask("start_network", **values)
        assert not answer.error, answer
        handle: int = answer.values["packet_data_handle"]
        return handle

    def status(self) -> int:
        status: int = self.ask("get_packet_service_status").values["connection_status"]
        return status

    def release(self) -> None:
        answer = self.rig.ask(
            Service.CTL,
            CTL_CLIENT,
            "release_cid",
            {"release_info": {"service": self.service, "cid": self.id}},
        )
        assert not answer.error


def up_packet(channel: int, version: int, length: int = 60) -> bytes:
    if version == 4:
        return packet4(source=f"10.64.{channel}.2", length=length)
    return packet6(source=f"2001:db8:64:{channel}::2", length=length)


def down_packet(channel: int, version: int, length: int = 60) -> bytes:
    if version == 4:
        return packet4(source=WORLD4, destination=f"10.64.{channel}.2", length=length)
    return packet6(source=WORLD6, destination=f"2001:db8:64:{channel}::2", length=length)
