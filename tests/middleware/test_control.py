"""What a client sees of a hostile control plane, for each fault; and that the plane behind stays sound."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamdmux.actions import Action, HangUpPort, PortKind, RestartModem, SendToPort
from bamdmux.errors import InvalidTlv, MalformedMessage, UsageError
from bamdmux.middleware.control import MAX_HELD_ANSWERS, HostilePlane
from bamdmux.middleware.control_faults import CONTROL_FAULTS, parse_control_fault
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from bamdmux.timing import SECOND
from bamdmux.wire.qmi.messages import Response, definition
from bamdmux.wire.qmi.values import OperatingMode, QmiError
from bamdmux.wire.qmux import Kind, Message, MessageFault, Service, decode_message, encode_message

QMI, AT, OTHER_QMI = 0, 1, 2
MODE = definition(Service.DMS, "get_operating_mode")


def request(of: Service, client: int, name: str, transaction: int = 1, **values: Any) -> bytes:
    message = definition(of, name)
    tlvs = message.encode_request(values)
    return encode_message(Message(of, client, Kind.REQUEST, transaction, message.message_id, tlvs))


ALLOCATE_DMS = request(Service.CTL, 0, "allocate_cid", service=Service.DMS)
ALLOCATE_WDS = request(Service.CTL, 0, "allocate_cid", service=Service.WDS)


def ask_mode(transaction: int = 1) -> bytes:
    return request(Service.DMS, 1, "get_operating_mode", transaction)


def set_mode(mode: OperatingMode, transaction: int = 2) -> bytes:
    return request(Service.DMS, 1, "set_operating_mode", transaction, mode=mode)


class World:
    """A hostile plane with its three ports; client 1 of DMS and of WDS are there."""

    def __init__(self, *faults: str, seed: int = 0) -> None:
        profile = load_profile("msm8916")
        self.network = PacketDataNetwork(profile.channels)
        self.plane = HostilePlane(ControlPlane(profile, self.network, is_always_on=False), seed)
        self.now = 0
        self.boot()
        for fault in faults:
            self.plane.set(parse_control_fault(fault))

    def boot(self) -> None:
        """With no request made since."""
        self.plane.boot(self.now)
        self.wait(SECOND)
        for port, kind in ((QMI, PortKind.QMI), (AT, PortKind.AT), (OTHER_QMI, PortKind.QMI)):
            self.plane.port_opened(port, kind, self.now)
        self.plane._plane.received(QMI, ALLOCATE_DMS + ALLOCATE_WDS, self.now)
        self.plane._plane.received(AT, b"ATE0\r", self.now)
        self.plane.take_actions()

    def wait(self, duration: int) -> list[Action]:
        end = self.now + duration
        while (deadline := self.plane.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.plane.handle_timeout(self.now)
        self.now = end
        return self.plane.take_actions()

    def say(self, port: int, data: bytes) -> list[Action]:
        self.plane.received(port, data, self.now)
        return self.plane.take_actions()

    def mode(self) -> int:
        """By another port, whatever happens to the first."""
        (answer,) = self.say(OTHER_QMI, ask_mode(99))
        return response(answer, 99).values["mode"]  # type: ignore[no-any-return]


def response(action: Action, transaction: int = 1) -> Response:
    """What a client reads that asked for the mode."""
    assert isinstance(action, SendToPort)
    message = decode_message(action.data)
    assert message.transaction == transaction
    return MODE.decode_response(message.tlvs)


def at(text: str, port: int = AT) -> SendToPort:
    return SendToPort(port, text.encode())


# Without a fault


def test_without_a_fault_nothing_is_changed() -> None:
    profile = load_profile("msm8916")
    bare = ControlPlane(profile, PacketDataNetwork(profile.channels), is_always_on=False)
    hostile = World().plane
    stream = b"noise" + ask_mode() + set_mode(OperatingMode.LOW_POWER) + b"\x01" + ask_mode(3)[:5]
    for plane in (bare, hostile):
        if plane is bare:
            bare.boot(0)
            bare.handle_timeout(SECOND)
            for port, kind in ((QMI, PortKind.QMI), (AT, PortKind.AT), (OTHER_QMI, PortKind.QMI)):
                bare.port_opened(port, kind, SECOND)
            bare.received(QMI, ALLOCATE_DMS + ALLOCATE_WDS, SECOND)
            bare.received(AT, b"ATE0\r", SECOND)
            bare.take_actions()
        plane.received(QMI, stream, SECOND)
        plane.received(AT, b"ATE1\rat+csq\x7fq;+creg=1\rA/hello\rAT+CFUN=1\r\n", SECOND)
        plane.received(9, b"nobody's", SECOND)

    assert _bytes_by_port(bare.take_actions()) == _bytes_by_port(hostile.take_actions())
    assert bare.status(SECOND) == hostile.status(SECOND)
    assert bare.deadline == hostile.deadline


def _bytes_by_port(actions: list[Action]) -> dict[int, bytes]:
    said: dict[int, bytes] = {}
    for action in actions:
        assert isinstance(action, SendToPort)
        said[action.port] = said.get(action.port, b"") + action.data
    return said


def test_the_world_gets_through_to_the_plane() -> None:
    world = World("control-never")
    world.say(AT, b"AT+CREG=1\r")
    assert world.plane.command("deregister", {}, world.now)["registration"]["state"] == "searching"
    assert world.plane.take_actions() == [
        SendToPort(AT, b"\r\n+CREG: 2\r\n", is_indication=True),
    ]
    world.plane.equipment.remove_sim(world.now)
    world.plane.settle(world.now)
    assert world.plane.take_actions() == [
        SendToPort(AT, b"\r\n+CREG: 0\r\n", is_indication=True),
    ]


def test_bytes_between_frames_are_counted_when_their_port_is_closed_too() -> None:
    world = World("control-never@nas")
    world.say(QMI, b"\xff" * 10)
    world.plane.port_closed(QMI, world.now)
    world.say(OTHER_QMI, b"\xff" * 5)
    assert world.plane.status(world.now)["qmi"]["skipped_bytes"] == 15


# Each fault, for QMI


def test_a_late_answer_comes_and_others_overtake_it() -> None:
    world = World("control-late@dms.get_operating_mode#1")
    assert world.say(QMI, ask_mode(1)) == []
    (second,) = world.say(QMI, ask_mode(2))
    assert response(second, 2).values == {"mode": OperatingMode.ONLINE}
    (first,) = world.wait(4 * SECOND)
    assert response(first, 1).values == {"mode": OperatingMode.ONLINE}


def test_a_late_answer_says_what_was_when_it_was_asked() -> None:
    world = World("control-late@dms.get_operating_mode#1")
    world.say(QMI, ask_mode(1))
    world.say(QMI, set_mode(OperatingMode.LOW_POWER))
    (answer,) = world.wait(4 * SECOND)
    assert response(answer).values == {"mode": OperatingMode.ONLINE}


def test_what_is_not_answered_is_done() -> None:
    world = World("control-never@dms.set_operating_mode")
    assert world.say(QMI, set_mode(OperatingMode.LOW_POWER)) == []
    assert world.mode() == OperatingMode.LOW_POWER


def test_an_answer_may_come_twice() -> None:
    first, second = World("control-twice").say(QMI, ask_mode())
    assert first == second
    assert response(first).values == {"mode": OperatingMode.ONLINE}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("asked", [ALLOCATE_DMS, ask_mode(1), ask_mode(0xFFFF)])
def test_an_answer_may_be_to_another_request(seed: int, asked: bytes) -> None:
    (action,) = World("control-wrong-transaction", seed=seed).say(QMI, asked)
    assert isinstance(action, SendToPort)
    message = decode_message(action.data)
    assert message.transaction != decode_message(asked).transaction
    assert message.tlvs == decode_message(_answer_to(asked)).tlvs


def _answer_to(asked: bytes) -> bytes:
    (action,) = World().say(QMI, asked)
    assert isinstance(action, SendToPort)
    return action.data


@pytest.mark.parametrize("seed", range(5))
def test_a_tlv_may_be_cut(seed: int) -> None:
    (action,) = World("control-cut-tlv", seed=seed).say(QMI, ask_mode())
    assert isinstance(action, SendToPort)
    whole, cut = decode_message(_answer_to(ask_mode())), decode_message(action.data)
    assert [tlv.id for tlv in cut.tlvs] == [tlv.id for tlv in whole.tlvs]
    shorter = [cut for cut, whole in zip(cut.tlvs, whole.tlvs, strict=True) if cut != whole]
    assert len(shorter) == 1
    with pytest.raises(InvalidTlv):
        MODE.decode_response(cut.tlvs)


@pytest.mark.parametrize("seed", range(5))
def test_a_tlv_may_go_on_behind_the_end(seed: int) -> None:
    (action,) = World("control-overlong-tlv", seed=seed).say(QMI, ask_mode())
    assert isinstance(action, SendToPort)
    assert len(action.data) == len(_answer_to(ask_mode()))
    with pytest.raises(MalformedMessage) as error:
        decode_message(action.data)
    assert error.value.reason is MessageFault.BAD_TLV


def test_noise_may_come_instead_of_an_answer() -> None:
    (action,) = World("control-garbage").say(QMI, ask_mode())
    assert isinstance(action, SendToPort)
    assert len(action.data) == len(_answer_to(ask_mode()))
    with pytest.raises(MalformedMessage):
        decode_message(action.data)


def test_what_is_answered_with_an_error_is_not_done() -> None:
    world = World("control-error@dms.set_operating_mode")
    (action,) = world.say(QMI, set_mode(OperatingMode.LOW_POWER, 7))
    assert response(action, 7) == (QmiError.INTERNAL, {})
    assert world.mode() == OperatingMode.ONLINE


def test_a_port_may_hang_up() -> None:
    world = World("control-hang-up@dms")
    assert world.say(QMI, ask_mode() + ask_mode(2)) == [HangUpPort(QMI)]
    assert world.say(QMI, ask_mode(3)) == []
    assert str(QMI) not in world.plane.status(world.now)["ports"]


def test_a_port_that_has_hung_up_can_be_opened_again() -> None:
    world = World("control-hang-up@dms#1")
    world.say(QMI, ask_mode())
    world.plane.port_closed(QMI, world.now)  # what the world may say of it
    world.plane.port_opened(QMI, PortKind.QMI, world.now)
    (answer,) = world.say(QMI, ask_mode())
    assert response(answer).values == {"mode": OperatingMode.ONLINE}


def test_the_modem_may_die() -> None:
    world = World("control-crash@dms#1")
    assert world.say(QMI, ask_mode()) == [RestartModem()]
    world.plane.crash(world.now)
    assert world.plane.take_actions() == [HangUpPort(QMI), HangUpPort(AT), HangUpPort(OTHER_QMI)]
    world.boot()
    (answer,) = world.say(QMI, ask_mode())
    assert response(answer).values == {"mode": OperatingMode.ONLINE}


# Each fault, for AT


def test_a_late_line_of_at_comes_behind_the_next() -> None:
    world = World("control-late@at.+cfun#1")
    assert world.say(AT, b"AT+CFUN?\rAT\r") == [at("\r\nOK\r\n")]
    assert world.wait(4 * SECOND) == [at("\r\n+CFUN: 1\r\n\r\nOK\r\n")]


def test_a_line_of_at_that_is_not_answered_is_done() -> None:
    world = World("control-never@at.+cfun")
    assert world.say(AT, b"AT+CFUN=4\r") == []
    assert world.mode() == OperatingMode.LOW_POWER


def test_a_line_of_at_may_be_answered_twice() -> None:
    assert World("control-twice").say(AT, b"AT\r") == [at("\r\nOK\r\n"), at("\r\nOK\r\n")]


def test_noise_may_come_instead_of_a_result() -> None:
    (action,) = World("control-garbage@at").say(AT, b"AT\r")
    assert isinstance(action, SendToPort)
    assert len(action.data) == len("\r\nOK\r\n")
    assert action.data != b"\r\nOK\r\n"


@pytest.mark.parametrize("typed", [[b"AT+CFUN=4\r"], [b"AT+C", b"FU", b"N=4", b"\r"]])
def test_a_line_of_at_that_is_refused_is_not_done(typed: list[bytes]) -> None:
    world = World("control-error@at.+cfun")
    actions = [action for part in typed for action in world.say(AT, part)]
    assert actions == [at("\r\nERROR\r\n")]
    assert world.say(AT, b"AT\r") == [at("\r\nOK\r\n")]
    assert world.mode() == OperatingMode.ONLINE


def test_the_echo_of_a_line_that_is_refused_is_there() -> None:
    world = World("control-error@at.+cfun")
    world.say(AT, b"ATE1\r")
    assert b"".join(_bytes_by_port(world.say(AT, b"AT+CFUN=4\r")).values()) == b"AT+CFUN=4\r\r\nERROR\r\n"


def test_the_echo_of_a_line_that_is_not_answered_is_there() -> None:
    world = World("control-never")
    world.plane._plane.received(AT, b"ATE1\r", world.now)
    world.plane.take_actions()
    assert _bytes_by_port(world.say(AT, b"AT\rA/")) == {AT: b"AT\rA/"}


def test_a_repetition_may_be_refused() -> None:
    world = World("control-never@nas")
    world.say(AT, b"AT+CFUN?\r")
    world.plane.set(parse_control_fault("control-error@at.+cfun"))
    assert world.say(AT, b"A/") == [at("\r\nERROR\r\n")]
    assert world.say(AT, b"AT\r") == [at("\r\nOK\r\n")]


def test_an_at_port_may_hang_up() -> None:
    world = World("control-hang-up@at")
    assert world.say(AT, b"AT\rAT\r") == [HangUpPort(AT)]


@pytest.mark.parametrize("name", ["control-wrong-transaction", "control-cut-tlv", "control-overlong-tlv"])
def test_what_at_has_not_cannot_be_wrong_with_it(name: str) -> None:
    world = World(name)
    assert world.say(AT, b"AT\r") == [at("\r\nOK\r\n")]
    assert world.plane.fault_status()[0]["strikes"] == 0


def test_a_line_without_an_answer_is_no_request() -> None:
    world = World("control-twice")
    assert world.say(AT, b"hello\r\r") == []
    world.plane._plane.received(AT, b"ATQ1\r", world.now)
    assert world.say(AT, b"AT\r") == []


def test_what_is_said_unasked_is_no_answer_and_comes_before_it() -> None:
    world = World("control-late@dms.set_operating_mode")
    world.plane._plane.received(AT, b"AT+CREG=1\r", world.now)
    world.plane.take_actions()
    assert world.say(QMI, set_mode(OperatingMode.LOW_POWER)) == [
        SendToPort(AT, b"\r\n+CREG: 0\r\n", is_indication=True),
    ]


# Which requests, and how often


def test_only_the_service_that_was_chosen_is_struck() -> None:
    world = World("control-never@dms")
    assert len(world.say(QMI, ALLOCATE_DMS)) == 1
    assert world.say(QMI, ask_mode()) == []
    assert len(world.say(AT, b"AT\r")) == 1


def test_requests_of_all_ports_are_numbered_from_the_boot() -> None:
    world = World("control-never@3")

    def answered() -> list[bool]:
        parts = [(QMI, ask_mode()), (AT, b"AT\r"), (OTHER_QMI, ask_mode()), (QMI, ask_mode())]
        return [bool(world.say(port, data)) for port, data in parts]

    assert answered() == [True, True, False, True]
    assert answered() == [True] * 4
    world.plane.crash(world.now)
    world.plane.take_actions()
    world.boot()
    assert answered() == [True, True, False, True]


def test_a_fault_strikes_as_often_as_it_was_told_to() -> None:
    world = World("control-never@dms#2")
    assert [len(world.say(QMI, ask_mode())) for _ in range(4)] == [0, 0, 1, 1]


def test_a_fault_strikes_as_likely_as_it_was_told_to() -> None:
    world = World("control-never=0.5")
    answered = sum(len(world.say(QMI, ask_mode())) for _ in range(200))
    assert 70 < answered < 130


def test_the_same_seed_strikes_the_same_requests() -> None:
    def answered(seed: int) -> list[int]:
        world = World("control-never=0.5", seed=seed)
        return [len(world.say(QMI, ask_mode())) for _ in range(50)]

    assert answered(1) == answered(1) != answered(2)


def test_of_two_faults_the_first_that_strikes_counts() -> None:
    world = World("control-never@dms#1", "control-twice")
    assert [len(world.say(QMI, ask_mode())) for _ in range(2)] == [0, 2]


def test_requests_that_come_in_pieces_are_struck_like_others() -> None:
    world = World("control-never@dms#1")
    assert [len(world.say(QMI, bytes((byte,)))) for byte in ask_mode()] == [0] * len(ask_mode())
    assert len(world.say(QMI, ask_mode())) == 1


def test_what_is_no_request_is_not_struck() -> None:
    world = World("control-twice")
    assert world.say(QMI, _answer_to(ask_mode())) == []
    assert world.plane.status(world.now)["qmi"]["strays"] == 1


# Setting and clearing


def test_what_is_set_and_how_often_it_struck_can_be_seen() -> None:
    world = World("control-never@dms", "control-late=0.25")
    world.say(QMI, ask_mode())
    never, late = world.plane.fault_status()
    assert never == {
        "name": "control-never@dms",
        "family": "control",
        "description": CONTROL_FAULTS["control-never"].description,
        "rate": 1.0,
        "strikes": 1,
    }
    assert (late["name"], late["rate"], late["strikes"]) == ("control-late", 0.25, 0)


def test_a_fault_that_is_set_again_is_counted_anew() -> None:
    world = World("control-never@dms#1")
    world.say(QMI, ask_mode())
    world.plane.set(parse_control_fault("control-never@dms#1"))
    assert world.say(QMI, ask_mode()) == []


def test_a_fault_that_is_cleared_strikes_no_more() -> None:
    world = World("control-never@dms", "control-never@ctl")
    world.plane.clear("control-never@dms")
    assert len(world.say(QMI, ask_mode())) == 1
    assert world.say(QMI, ALLOCATE_DMS) == []
    world.plane.clear()
    assert len(world.say(QMI, ALLOCATE_DMS)) == 1


def test_what_is_late_comes_although_the_fault_is_cleared() -> None:
    world = World("control-late")
    world.say(QMI, ask_mode())
    world.plane.clear()
    assert len(world.wait(4 * SECOND)) == 1


@pytest.mark.parametrize(
    ("faults", "others"), [((), "none"), (("control-late", "control-twice"), "control-late, ")]
)
def test_only_what_is_set_can_be_cleared(faults: tuple[str, ...], others: str) -> None:
    with pytest.raises(UsageError, match=f"fault 'control-never' is not set; {others}"):
        World(*faults).plane.clear("control-never")


# Soundness


def test_an_answer_for_a_port_that_was_closed_never_comes() -> None:
    world = World("control-late")
    world.say(QMI, ask_mode())
    world.say(OTHER_QMI, ask_mode(5))
    world.plane.port_closed(QMI, world.now)
    world.plane.port_opened(QMI, PortKind.QMI, world.now)
    assert [action.port for action in world.wait(4 * SECOND) if isinstance(action, SendToPort)] == [OTHER_QMI]


def test_what_is_late_when_the_modem_dies_is_lost() -> None:
    world = World("control-late")
    world.say(QMI, ask_mode())
    world.plane.crash(world.now)
    world.plane.take_actions()
    world.boot()
    assert world.wait(4 * SECOND) == []


def test_only_so_many_answers_are_late() -> None:
    world = World("control-late")
    answers = world.say(QMI, ask_mode() * (MAX_HELD_ANSWERS + 5))
    assert len(answers) == 5
    assert len(world.wait(4 * SECOND)) == MAX_HELD_ANSWERS


def test_late_answers_come_at_their_times() -> None:
    world = World("control-late")
    world.say(QMI, b"".join(ask_mode(number) for number in range(1, 10)))
    times = []
    while (deadline := world.plane.deadline) is not None:
        world.plane.handle_timeout(deadline)
        times += [deadline - world.now] * len(world.plane.take_actions())
    assert len(times) == 9
    assert times == sorted(times)
    assert SECOND // 10 <= times[0] <= times[-1] <= 3 * SECOND


SAID = st.lists(
    st.tuples(
        st.sampled_from([QMI, AT, OTHER_QMI]),
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([ALLOCATE_DMS, ask_mode(), set_mode(OperatingMode.LOW_POWER), ask_mode()[:7]]),
            st.sampled_from([b"AT\r", b"A/", b"AT+CFUN?\r", b"AT+CG", b"ACT=1,1\r", b"\b", b"ATE1\r"]),
        ),
    ),
    max_size=20,
)


@given(st.sampled_from(sorted(CONTROL_FAULTS)), st.integers(0, 9), SAID)
def test_whatever_a_client_says_to_a_hostile_plane_it_goes_on(
    name: str, seed: int, said: list[tuple[int, bytes]]
) -> None:
    world = World(f"{name}=0.5", seed=seed)
    for port, data in said:
        for action in world.say(port, data):
            if isinstance(action, HangUpPort):
                world.plane.port_opened(
                    action.port, PortKind.AT if action.port == AT else PortKind.QMI, world.now
                )
            if isinstance(action, RestartModem):
                world.plane.crash(world.now)
                world.plane.take_actions()
                world.boot()
                break
        world.wait(SECOND // 10)
    world.plane.clear()
    world.plane.crash(world.now)
    world.plane.take_actions()
    world.boot()
    (answer,) = world.say(QMI, ask_mode())
    assert response(answer).values == {"mode": OperatingMode.ONLINE}
    assert world.say(AT, b"AT\r") == [at("\r\nOK\r\n")]


# Set and cleared in the middle of something


@pytest.mark.parametrize("cut", range(1, len(ask_mode())))
def test_a_fault_that_is_set_amid_a_frame_strikes_from_the_next_one_on(cut: int) -> None:
    world = World()
    assert world.say(QMI, ask_mode(1)[:cut]) == []
    world.plane.set(parse_control_fault("control-never"))
    (answer,) = world.say(QMI, ask_mode(1)[cut:])
    assert response(answer, 1).values["mode"] == OperatingMode.ONLINE
    assert world.say(QMI, ask_mode(2)) == []


@pytest.mark.parametrize("cut", range(1, len(ask_mode())))
def test_a_fault_that_is_cleared_amid_a_frame_strikes_it_no_more(cut: int) -> None:
    world = World("control-never")
    assert world.say(QMI, ask_mode(1)[:cut]) == []
    world.plane.clear()
    for transaction, data in ((1, ask_mode(1)[cut:]), (2, ask_mode(2))):
        (answer,) = world.say(QMI, data)
        assert response(answer, transaction).values["mode"] == OperatingMode.ONLINE


def test_a_fault_that_is_set_amid_a_line_strikes_the_next_one() -> None:
    world = World()
    world.say(AT, b"AT+C")
    world.plane.set(parse_control_fault("control-error@at"))
    assert world.say(AT, b"GMI\r") != [at("\r\nERROR\r\n")]
    assert world.say(AT, b"AT+CGMI\r") == [at("\r\nERROR\r\n")]
