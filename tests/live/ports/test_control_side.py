"""What a control plane asks of the data path, carried out."""

from bamdmux.actions import Line, Pipe
from bamdmux.live.ports.control_side import ControlSide
from bamdmux.modem.control.plane import ControlPlane
from bamdmux.modem.modem import Modem
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile
from bamdmux.netdevice import QueueDevice
from bamdmux.timing import SECOND
from tests.modem.near_end import NearEnd, close_frame, open_frame

PROFILE = load_profile("shikra")


class Link:
    """A host's end, and a modem that has its power."""

    def __init__(self, side: ControlSide) -> None:
        self.near = NearEnd()
        self.modem = Modem(PROFILE, self.near.tx_peer, self.near.rx_peer, QueueDevice())
        self.near.queue_buffers(8)
        self.modem.boot(now=0)
        self.modem.line_changed(Line.HOST_VOTE, 1, now=0)
        while (deadline := self.modem.deadline) is not None and deadline < SECOND:
            self.modem.handle_timeout(deadline)
        self.modem.line_changed(Line.HOST_ACK, 1, now=SECOND)
        side.data_path = self.modem
        side.boot(now=SECOND)

    def received(self) -> list[bytes]:
        self.modem.doorbell_rang(Pipe.RX, now=SECOND)
        return self.near.received()


def side() -> ControlSide:
    return ControlSide(ControlPlane(PROFILE, PacketDataNetwork(PROFILE.channels)))


def set_open(side: ControlSide, *channels: int) -> None:
    """The ports of these channels are open, and of no others."""
    assert isinstance(side.plane, ControlPlane)
    side.plane.equipment.open_ports = set(channels)
    side.plane.settle(now=SECOND)
    side.carry_out_actions(now=SECOND)


def test_a_port_that_is_opened_or_closed_is_a_channel_that_comes_or_goes() -> None:
    control = side()
    link = Link(control)
    set_open(control, 0)
    assert link.received() == [open_frame(0)]
    set_open(control)
    assert link.received() == [close_frame(0)]


def test_the_next_host_is_told_of_a_channel_that_is_open() -> None:
    control = side()
    Link(control)
    set_open(control, 0)
    assert Link(control).received() == [open_frame(0)]


def test_a_channel_that_was_closed_is_no_news_for_the_next_host() -> None:
    control = side()
    Link(control)
    set_open(control, 0)
    set_open(control)
    assert Link(control).received() == []


def test_ports_may_be_opened_while_there_is_no_host() -> None:
    control = side()
    control.boot(now=0)
    set_open(control, 0)
    assert Link(control).received() == [open_frame(0)]


def test_the_ports_of_a_dead_modem_are_closed() -> None:
    control = side()
    link = Link(control)
    set_open(control, 0)
    link.modem.crash(now=SECOND)
    control.crash(now=SECOND)
    assert Link(control).received() == []
