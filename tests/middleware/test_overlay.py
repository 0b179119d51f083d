"""Wraps that are laid over a part in use, and taken off."""

from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner, PipePeer
from bamdmux.middleware.overlay import METHODS, Overlay
from bamdmux.netdevice import NetDevice, QueueDevice


class Refusing:
    """Takes nothing, and remembers what it refused."""

    def __init__(self, inner: NetDevice) -> None:
        self.read_into = inner.read_into
        self.refused: list[bytes] = []

    def write(self, buffer: memoryview) -> bool:
        self.refused.append(bytes(buffer))
        return False


class Marking:
    """Changes the first byte after the packet information."""

    def __init__(self, inner: NetDevice) -> None:
        self.read_into = inner.read_into
        self._write = inner.write

    def write(self, buffer: memoryview) -> bool:
        return self._write(memoryview(bytes(buffer[:4]) + b"!" + bytes(buffer[5:])))


PACKET = memoryview(b"\0\0\x08\0" + b"packet")


def test_who_holds_the_part_goes_through_the_wrap() -> None:
    device = QueueDevice([b"waits"])
    overlay: Overlay[NetDevice] = Overlay(device, "interfaces")
    overlay.lay(Refusing)
    assert not device.write(PACKET)
    assert device.read_into(memoryview(bytearray(20))) == 4 + len(b"waits")
    assert [type(wrap) for wrap in overlay.wraps] == [Refusing]


def test_the_last_wrap_is_outermost() -> None:
    device = QueueDevice()
    overlay: Overlay[NetDevice] = Overlay(device, "interfaces")
    overlay.lay(Refusing)
    overlay.lay(Marking)
    device.write(PACKET)
    (innermost, _) = overlay.wraps
    assert isinstance(innermost, Refusing)
    assert innermost.refused == [b"\0\0\x08\0" + b"!acket"]


def test_taken_off_nothing_is_left() -> None:
    device = QueueDevice()
    before = dict(vars(device))
    overlay: Overlay[NetDevice] = Overlay(device, "interfaces")
    overlay.lay(Refusing)
    overlay.take_off()
    assert vars(device) == before
    assert device.write(PACKET)


def test_a_method_of_the_part_alone_comes_back() -> None:
    class Device:
        """As the device of several TUNs: it writes with the method of one of them."""

        def __init__(self) -> None:
            self.inner = QueueDevice()
            self.write = self.inner.write

        def read_into(self, buffer: memoryview) -> int:
            return 0

    device = Device()
    overlay: Overlay[NetDevice] = Overlay(device, "network")
    overlay.lay(Marking)
    device.write(PACKET)
    overlay.take_off()
    device.write(PACKET)
    assert list(device.inner.delivered) == [b"!acket", b"packet"]


def test_the_methods_are_those_of_the_parts() -> None:
    parts = {"host_tx": PipeOwner, "host_rx": PipeOwner, "modem_tx": PipePeer, "modem_rx": PipePeer}
    for seam, kind in parts.items():
        public = {
            name
            for name, value in vars(kind).items()
            if callable(value) and not name.startswith(("_", "pump"))
        }
        assert public == set(METHODS[seam])


def test_a_wrap_sees_the_state_of_the_part() -> None:
    layout = LinkLayout()
    owner = PipeOwner(layout.allocate(), layout.tx)
    seen = []
    overlay: Overlay[PipeOwner] = Overlay(owner, "host_tx")
    overlay.lay(lambda inner: seen.append(inner) or inner)  # type: ignore[func-returns-value]
    owner.open()
    owner.submit(0, 100)
    assert (seen[0].is_open, seen[0].in_flight) == (True, 1)
