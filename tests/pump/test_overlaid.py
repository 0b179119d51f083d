"""Faults that are laid over a part see every packet: no pump goes by below them, until they are taken off.

The interfaces are those of live/: a `Tun`, and a `FairDevice` of two, over sockets in place of TUNs.
"""

import os
from collections import Counter
from typing import Any, Final

import pytest

from bamdmux.live.networks.fair_device import FairDevice
from bamdmux.live.tun import Tun
from bamdmux.middleware.overlay import METHODS, Overlay
from bamdmux.wire.offload import NO_OFFLOAD
from tests.pump.kernel import Kernel
from tests.pump.linked import Given, KernelPair
from tests.super_packets import Segment, pattern

UPWARDS: Final = Segment(payload=pattern(600)).super_packet(100)
DOWNWARDS: Final = Segment(payload=pattern(600), is_to_host=True).super_packet(100)
PACKETS: Final = 6


class TunPort(Tun):
    """A TUN whose kernel is ours."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(
            os.dup(kernel.descriptor),
            name="tun",
            index=0,
            statistics=-1,
            permanent_address=None,
            interface=kernel.interface,
        )
        self.kernel = kernel
        self.is_up = False

    @property
    def outgoing(self) -> bool:
        return self.kernel.is_waiting()


class NetworkPort(FairDevice):
    """Two of them."""

    def __init__(self, tuns: list[TunPort]) -> None:
        super().__init__(tuns, None)  # type: ignore[arg-type]
        self.kernel = tuns[0].kernel
        self._ports = tuns

    @property
    def outgoing(self) -> bool:
        return any(port.outgoing for port in self._ports)


class TunPair(KernelPair):
    """Both machines between TUNs, the pump at work."""

    def __init__(self) -> None:
        super().__init__(pumps=True)

    def _make_port(self) -> Any:
        self.ports.append(TunPort(Kernel()))  # type: ignore[arg-type]
        return self.ports[-1]

    def make_network(self) -> Any:
        self.fair = NetworkPort([self._make_port(), self._make_port()])
        return self.fair

    def __exit__(self, *_: object) -> None:
        self.fair.close()
        for port in self.ports:
            port.close()  # type: ignore[attr-defined]
        super().__exit__()

    def part(self, seam: str) -> Any:
        return {
            "host_tx": self.host_tx,
            "host_rx": self.host_rx,
            "modem_tx": self.modem._tx,
            "modem_rx": self.modem._rx,
            "interfaces": self.devices[0],
            "network": self.network,
        }[seam]

    def exchange(self, up: Given = UPWARDS, down: Given = DOWNWARDS) -> list[int]:
        """A super-packet each way; how many messages the kernels got, and how many packets those were."""
        self.give(self.devices[0], up)
        self.give(self.network, down)
        self.run_for(100_000_000)
        messages = [list(port.kernel.written()) for port in self.ports]
        return [len(each) for each in messages if each]


class Watching:
    """Passes everything on, and counts it."""

    is_at_rest = True

    def __init__(self, inner: Any, seam: str, calls: "Counter[str]") -> None:
        self._inner = inner
        for name in METHODS[seam]:
            setattr(self, name, self._watched(name, getattr(inner, name), calls))

    def _watched(self, name: str, method: Any, calls: "Counter[str]") -> Any:
        def watched(*arguments: Any) -> Any:
            result = method(*arguments)
            if result or name != "read_into":
                calls[name] += 1
            return result

        return watched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# What is called once for each packet, and how often in `exchange`.
CALLS: Final = {
    "host_tx": {"submit": PACKETS},
    "host_rx": {"reap": PACKETS, "submit": PACKETS},
    "modem_tx": {"take": PACKETS, "complete": PACKETS},
    "modem_rx": {"complete": PACKETS},
    "interfaces": {"read_into": PACKETS, "write": PACKETS},
    "network": {"read_into": PACKETS, "write": PACKETS},
}
# Where the packets of one way come out one by one, while those of the other are merged by the pump still.
OTHER_WAY: Final = {
    "host_tx": [1, 1],
    "host_rx": [1, PACKETS],
    "modem_tx": [PACKETS, 1],
    "modem_rx": [1, 1],
    "interfaces": [1, PACKETS],
    "network": [PACKETS, 1],
}


def test_nothing_is_laid_over_and_so_the_pump_carries_it() -> None:
    with TunPair() as pair:
        pair.start_with(0)
        assert pair.exchange() == [1, 1]


@pytest.mark.parametrize("seam", METHODS)
def test_a_fault_sees_each_packet(seam: str) -> None:
    calls = Counter[str]()
    with TunPair() as pair:
        pair.start_with(0)
        overlay: Overlay[Any] = Overlay(pair.part(seam), seam)
        overlay.lay(lambda inner: Watching(inner, seam, calls))
        assert pair.exchange() == OTHER_WAY[seam]
    assert {name: calls[name] for name in CALLS[seam]} == CALLS[seam]


@pytest.mark.parametrize("seam", METHODS)
def test_once_it_is_taken_off_it_sees_nothing_and_the_pump_is_back(seam: str) -> None:
    calls = Counter[str]()
    with TunPair() as pair:
        pair.start_with(0)
        overlay: Overlay[Any] = Overlay(pair.part(seam), seam)
        overlay.lay(lambda inner: Watching(inner, seam, calls))
        overlay.lay(lambda inner: Watching(inner, seam, calls))
        overlay.take_off()
        assert pair.exchange() == [1, 1]
    assert not calls


def test_what_was_begun_before_a_fault_is_seen_by_it() -> None:
    """The rest of a super-packet waits in the pump; it goes on through the wrap, packet by packet."""
    calls = Counter[str]()
    with TunPair() as pair:
        pair.start_with(0)
        device: Any = pair.devices[0]
        pair.give(device, UPWARDS)
        assert device.read_into(memoryview(bytearray(2000)))
        assert device.has_packet
        overlay: Overlay[Any] = Overlay(device, "interfaces")
        overlay.lay(lambda inner: Watching(inner, "interfaces", calls))
        pair.run_for(100_000_000)
        assert not device.has_packet
    assert calls["read_into"] == PACKETS - 1


def test_a_fault_over_one_interface_leaves_the_others_to_the_pump() -> None:
    calls = Counter[str]()
    with TunPair() as pair:
        pair.start_with(0, 1)
        overlay: Overlay[Any] = Overlay(pair.devices[0], "interfaces")
        overlay.lay(lambda inner: Watching(inner, "interfaces", calls))
        pair.give(pair.devices[1], Segment(payload=pattern(600), channel=1).super_packet(100))
        pair.give(pair.network, Segment(payload=pattern(600), channel=1, is_to_host=True).super_packet(100))
        pair.run_for(100_000_000)
        assert [len(list(port.kernel.written())) for port in pair.ports] == [1, 0, 0, 1]
    assert not calls


def test_a_packet_that_is_refused_by_a_fault_is_counted() -> None:
    class Refusing(Watching):
        def _watched(self, name: str, method: Any, calls: "Counter[str]") -> Any:
            return method if name != "write" else lambda buffer: False

    with TunPair() as pair:
        pair.start_with(0)
        overlay: Overlay[Any] = Overlay(pair.part("network"), "network")
        overlay.lay(lambda inner: Refusing(inner, "network", Counter()))
        pair.give(pair.devices[0], UPWARDS, (NO_OFFLOAD, Segment().packet()))
        pair.run_for(100_000_000)
        assert not any(list(port.kernel.written()) for port in pair.ports)
        bearer = pair.modem.packet_data_network.bearers[0]
        assert bearer is not None
        assert bearer.uplink.as_dict() == {"packets": 0, "bytes": 0, "drops": {"device_refused": PACKETS + 1}}
