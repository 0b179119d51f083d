"""Any clients and any world, in any order: hypothesis drives a plane through all its doors.

Requests of all services are made up from their definitions, by clients that exist and by others; between them
come noise, AT lines, what `bamdmux ctl` can do, time, hang-ups and crashes. Whatever happens, nothing raises,
every request has exactly one answer with its transaction, and the doors agree with the model.
"""

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bamdmux.actions import PortKind, RestartModem, SendToPort
from bamdmux.errors import UsageError
from bamdmux.modem.control.commands import COMMANDS
from bamdmux.modem.control.equipment import Signal
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.control.qmi import HANDLERS
from bamdmux.modem.control.registration import RegistrationState
from bamdmux.modem.control.services import CLIENTS_PER_SERVICE
from bamdmux.modem.control.services.nas import REGISTRATION_STATES
from bamdmux.modem.control.sim import Sim
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile, profile_names
from bamdmux.timing import SECOND
from bamdmux.wire.qmi.messages import Definition, definition, encode_error, load_service
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Kind, Message, Service, Tlv, decode_message, encode_message
from tests.wire.qmi.generated import values_of_tlvs

QMI_PORTS = (0, 2, 3)
AT_PORT = 1
MAX_TIMEOUTS = 50
MALFORMED = encode_error(QmiError.MALFORMED_MESSAGE)

DEFINITIONS = [
    load_service(service).messages[name] for service, handlers in HANDLERS.items() for name in handlers
]

SESSION = {"session_type": 0, "application_identifier": b""}
MF_PATH, USIM_PATH = b"\x00\x3f", b"\x00\x3f\xff\x7f"

# Values that lead somewhere; what is made up alone is mostly refused at the first number.
LIKELY: dict[str, list[dict[str, Any]]] = {
    "allocate_cid": [{"service": service} for service in Service],
    "set_operating_mode": [{"mode": mode} for mode in (0, 0, 1, 3, 4, 6)],
    "start_network": [{"apn": "internet"}, {"apn": "internet", "ip_family_preference": 6}],
    "verify_pin": [
        {"session": SESSION, "info": {"pin_id": pin_id, "pin_value": pin}}
        for pin_id, pin in ((1, "1234"), (1, "9999"), (2, "5678"))
    ],
    "unblock_pin": [
        {"session": SESSION, "info": {"pin_id": 1, "puk": puk, "new_pin": "1234"}}
        for puk in ("12345678", "00000000")
    ],
    "change_pin": [{"session": SESSION, "info": {"pin_id": 1, "old_pin": "1234", "new_pin": "1234"}}],
    "set_pin_protection": [
        {"session": SESSION, "info": {"pin_id": 1, "pin_enabled": is_enabled, "pin_value": "1234"}}
        for is_enabled in (False, True)
    ],
    "read_transparent": [
        {
            "session": SESSION,
            "file": {"file_id": file_id, "file_path": path},
            "read_information": {"offset": 0, "length": 4},
        }
        for file_id, path in ((0x2FE2, MF_PATH), (0x6F07, USIM_PATH), (0x6F40, USIM_PATH))
    ],
    "read_record": [
        {
            "session": SESSION,
            "file": {"file_id": 0x6F40, "file_path": USIM_PATH},
            "record": {"record_number": 1, "record_length": 0},
            "last_record": last,
        }
        for last in (1, 2, 3)
    ],
    "set_system_selection_preference": [
        {"network_selection_preference": {"mode": 0, "mcc": 0, "mnc": 0}},
        {"network_selection_preference": {"mode": 1, "mcc": 999, "mnc": 99}},
        {"roaming_preference": 1, "change_duration": 0},
        {"mode_preference": 0x10},
    ],
    "register_indications": [{"serving_system_events": 1, "system_info": 1, "signal_info": 1}],
    "config_signal_info": [{"rssi_threshold": [-90, -80, -70]}],
    "register_events": [{"event_registration_mask": 1}],
    "set_event_report": [{"operating_mode_reporting": 1, "uim_state_reporting": 1, "pin_state_reporting": 1}],
}
COMMAND_ARGUMENTS = st.one_of(
    st.tuples(st.just("signal"), st.fixed_dictionaries({"rsrp": st.integers(-150, -30)})),
    st.tuples(st.just("register"), st.fixed_dictionaries({"roaming": st.booleans()})),
    st.tuples(st.just("deregister"), st.fixed_dictionaries({"denied": st.booleans()})),
    st.tuples(
        st.just("sim"), st.fixed_dictionaries({"action": st.sampled_from(("lock", "remove", "insert", "?"))})
    ),
    st.tuples(
        st.just("bearer"),
        st.fixed_dictionaries(
            {"action": st.sampled_from(("drop", "restore"))}, optional={"channel": st.integers(-1, 9)}
        ),
    ),
)
AT_LINES = st.sampled_from(
    [
        "AT",
        "AT+CFUN=0",
        "AT+CFUN=1",
        'AT+CPIN="1234"',
        "AT+COPS?",
        "AT+CGACT=1,1",
        "AT+CGACT=0,1",
        "ATZ",
        "A/",
    ]
)


def values_for(message: Definition) -> st.SearchStrategy[dict[str, Any]]:
    """Made up values; often likely ones, where there are such that fit."""
    any_values = values_of_tlvs(message.tlvs(Kind.REQUEST)).map(dict)
    names = {tlv.name for tlv in message.tlvs(Kind.REQUEST).definitions}
    likely = [values for values in LIKELY.get(message.name, []) if values.keys() <= names]
    return st.sampled_from(likely) | any_values if likely else any_values


REQUESTS = st.sampled_from(DEFINITIONS).flatmap(
    lambda message: st.tuples(st.just(message), values_for(message))
)


class AnyClient(RuleBasedStateMachine):
    """One modem, through crashes and boots."""

    @initialize(
        profile_name=st.sampled_from(profile_names()), is_always_on=st.booleans(), has_pin=st.booleans()
    )
    def boot(self, profile_name: str, is_always_on: bool, has_pin: bool) -> None:
        profile = load_profile(profile_name)
        self.now = 0
        self.transaction = 0
        self.wants_restart = False
        self.plane = ControlPlane(
            profile,
            PacketDataNetwork(profile.channels),
            sim=Sim(pin_is_enabled=has_pin),
            is_always_on=is_always_on,
        )
        self.start()

    def start(self) -> None:
        self.plane.boot(self.now)
        self.open: set[int] = set()
        for port in (*QMI_PORTS, AT_PORT):
            self.open_port(port)
        self.clients = {service: [] for service in Service}
        for service in Service:
            self.allocate(service, QMI_PORTS[0])

    def open_port(self, port: int) -> None:
        self.plane.port_opened(port, PortKind.AT if port == AT_PORT else PortKind.QMI, self.now)
        self.open.add(port)

    def drain(self) -> list[SendToPort]:
        """What was sent; only to ports that are open."""
        actions = self.plane.take_actions()
        sent = [action for action in actions if isinstance(action, SendToPort)]
        assert {action.port for action in sent} <= self.open
        self.wants_restart |= RestartModem() in actions
        return sent

    def ask(self, port: int, message: Message) -> Message | None:
        """Send a request; its answer, if the port is open."""
        self.plane.received(port, encode_message(message), self.now)
        is_open = port in self.open
        sent = self.drain()
        answers = [decode_message(each.data) for each in sent if not each.is_indication]
        assert len(answers) == is_open
        for each in sent:
            if each.is_indication and each.port != AT_PORT:
                assert decode_message(each.data).kind is Kind.INDICATION
        if not is_open:
            return None
        (answer,) = answers
        assert answer.kind is Kind.RESPONSE
        assert (answer.service, answer.client) == (message.service, message.client)
        assert (answer.transaction, answer.message_id) == (message.transaction, message.message_id)
        return answer

    def next_transaction(self) -> int:
        self.transaction = self.transaction % 255 + 1
        return self.transaction

    @rule(requests=st.lists(st.tuples(REQUESTS, st.integers(0, 7)), min_size=1, max_size=10))
    def request(self, requests: list[tuple[tuple[Definition, dict[str, Any]], int]]) -> None:
        """Some requests, by clients that exist or have existed."""
        for (message, values), number in requests:
            known = self.clients[message.service] or [1]
            port = QMI_PORTS[number % len(QMI_PORTS)]
            self.send(message, values, known[number % len(known)], port)

    def send(self, message: Definition, values: dict[str, Any], client: int, port: int) -> None:
        """Send a request, and remember the client that it may have made."""
        tlvs = message.encode_request(values)
        transaction = self.next_transaction()
        answer = self.ask(
            port, Message(message.service, client, Kind.REQUEST, transaction, message.message_id, tlvs)
        )
        if answer is None or message is not definition(Service.CTL, "allocate_cid"):
            return
        response = message.decode_response(answer.tlvs)
        if not response.error:
            info = response.values["allocation_info"]
            self.clients[Service(info["service"])].append(info["cid"])

    def allocate(self, service: Service, port: int) -> None:
        self.send(definition(Service.CTL, "allocate_cid"), {"service": service}, 0, port)

    @rule(
        service=st.integers(0, 255),
        client=st.integers(0, 255),
        message_id=st.integers(0, 0xFFFF) | st.integers(0, 0x60),
        tlvs=st.lists(st.tuples(st.integers(0, 0x30), st.binary(max_size=20)), max_size=4),
        port=st.sampled_from(QMI_PORTS),
    )
    def nonsense(
        self, service: int, client: int, message_id: int, tlvs: list[tuple[int, bytes]], port: int
    ) -> None:
        """A frame in order, with anything in it."""
        content = tuple(Tlv(*tlv) for tlv in tlvs)
        self.ask(port, Message(service, client, Kind.REQUEST, self.next_transaction(), message_id, content))

    @rule(number=st.integers(0, 1000), port=st.sampled_from(QMI_PORTS), cut=st.integers(1, 5))
    def malform(self, number: int, port: int, cut: int) -> None:
        """A request whose TLVs do not end where it ends: it is answered too."""
        message = DEFINITIONS[number % len(DEFINITIONS)]
        tlv = Tlv(1, bytes(cut))
        transaction = self.next_transaction()
        whole = Message(message.service, 1, Kind.REQUEST, transaction, message.message_id, (tlv,))
        frame = bytearray(encode_message(whole))
        frame[-cut - 2] += 1  # the length of the TLV
        self.plane.received(port, bytes(frame), self.now)
        answers = [decode_message(each.data) for each in self.drain()]
        assert [each.transaction for each in answers] == [transaction] * (port in self.open)
        assert all(each.tlvs == MALFORMED for each in answers)

    @rule(line=AT_LINES | st.text(max_size=20))
    def type_line(self, line: str) -> None:
        self.plane.received(AT_PORT, line.encode() + b"\r", self.now)
        self.drain()

    @rule(request=COMMAND_ARGUMENTS)
    def command(self, request: tuple[str, dict[str, Any]]) -> None:
        name, arguments = request
        assert name in COMMANDS
        with suppress(UsageError):
            self.plane.command(name, arguments, self.now)
        self.drain()

    @rule(rsrp=st.integers(-140, -44))
    def weather(self, rsrp: int) -> None:
        self.plane.equipment.set_signal(Signal.of_rsrp(rsrp))
        self.plane.settle(self.now)
        self.drain()

    @rule(seconds=st.integers(0, 5))
    def wait(self, seconds: int) -> None:
        """Let time pass; the plane comes to rest before it is over."""
        end = self.now + seconds * SECOND
        for _ in range(MAX_TIMEOUTS * CLIENTS_PER_SERVICE):
            deadline = self.plane.deadline
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.plane.handle_timeout(self.now)
            self.drain()
        else:
            raise AssertionError("the plane never rests")
        self.now = end
        if self.wants_restart:
            self.wants_restart = False
            self.crash()

    @rule(
        noise=st.none() | st.binary(max_size=40),
        closed=st.sets(st.sampled_from((*QMI_PORTS, AT_PORT)), max_size=2),
        crashes=st.sampled_from((False, False, False, True)),
    )
    def upheaval(self, noise: bytes | None, closed: set[int], crashes: bool) -> None:
        """Half a frame or none, from programs that end and others that begin; now and then a crash."""
        for port in (*QMI_PORTS, AT_PORT):
            if noise is not None:
                self.plane.received(port, noise, self.now)
                self.drain()
            self.plane.port_closed(port, self.now)
            self.open.discard(port)
        for port in {*QMI_PORTS, AT_PORT} - closed:
            self.open_port(port)
        if crashes:
            self.crash()

    def crash(self) -> None:
        self.plane.crash(self.now)
        self.plane.take_actions()
        self.start()

    # What is always so

    @invariant()
    def calls_are_up_only_while_it_is_registered(self) -> None:
        equipment = self.plane.equipment
        calls = list(equipment.calls)
        assert not calls or equipment.registration.is_registered
        for bearer in equipment.calls.bearers:
            up = {call.version for call in calls if call.channel == bearer.channel}
            assert set(bearer.versions) == up

    @invariant()
    def it_is_registered_only_with_all_that_it_needs(self) -> None:
        equipment = self.plane.equipment
        if equipment.registration.is_registered:
            assert equipment.is_radio_on
            assert equipment.sim.is_ready
            assert equipment.audible_cell is not None
        if equipment.registration.state is not RegistrationState.SEARCHING:
            assert equipment.registration.deadline is None

    @invariant()
    def memory_is_bounded(self) -> None:
        qmi = self.plane.status(self.now)["qmi"]
        assert isinstance(qmi, dict)
        assert all(len(clients) <= CLIENTS_PER_SERVICE for clients in qmi["clients"].values())
        assert len(list(self.plane.equipment.calls)) <= 16 * CLIENTS_PER_SERVICE
        assert self.plane.take_actions() == []
        assert self.plane.equipment.take_changes() == []

    @invariant()
    def nas_says_what_is_so(self) -> None:
        """By a client of its own, at the first port that is open."""
        ports = sorted(self.open & set(QMI_PORTS))
        known = self.clients[Service.NAS]
        if not ports or not known:
            return
        message = definition(Service.NAS, "get_serving_system")
        answer = self.ask(
            ports[0],
            Message(Service.NAS, known[-1], Kind.REQUEST, self.next_transaction(), message.message_id),
        )
        assert answer is not None
        response = message.decode_response(answer.tlvs)
        if not response.error:  # a client may have been released
            told = response.values["serving_system"]["registration_state"]
            assert told == REGISTRATION_STATES[self.plane.equipment.registration.state]


TestAnyClient = AnyClient.TestCase
TestAnyClient.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
