"""Both machines over one memory, with interfaces that the native pump may read and write.

As tests/pair.py, whose interfaces are queues that only Python reads. What the kernel gave and what it got are
the same here whether the pump works or not, and so two of these can be laid beside one another.
"""

from typing import Any, Final

from bamdmux.actions import Log, LogEvent
from bamdmux.bam.memory import LinkLayout
from bamdmux.bam.pipe import PipeOwner
from bamdmux.counters import DropReason
from bamdmux.netdevice import QueueDevice
from tests.pair import Interface, Pair
from tests.pump.kernel import Kernel
from tests.pump.rings import KernelDevice

MILLISECOND: Final = 1_000_000

Given = tuple[bytes, bytes]  # virtio_net_hdr and packet, from a kernel

# How full a ring is at which moment is not the same with larger batches.
OF_BATCHES: Final = {LogEvent.QUEUES_STOPPED, LogEvent.QUEUES_WOKEN, LogEvent.SENDING_DEFERRED}


class Port(KernelDevice):
    """One with its kernel, as `Pair` knows interfaces."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.kernel = kernel
        self.is_up = False

    @property
    def outgoing(self) -> bool:
        return self.kernel.is_waiting()


class KernelPair(Pair):
    """Close it, or use it in a `with` block.

    Args:
        pumps: whether the native pump works, at all four ends of pipes.
        is_fused: whether each machine serves the other at once, as in one process, and no doorbell rings.
    """

    def __init__(
        self,
        *,
        pumps: bool,
        is_fused: bool = False,
        slot_count: int = 32,
        channel_count: int = 2,
        layout: LinkLayout | None = None,
    ) -> None:
        self.pumps = pumps
        self.is_fused = is_fused
        self.ports: list[Port] = []
        super().__init__(channel_count, slot_count, layout)
        for pipe in (self.host_rx, self.modem._tx, self.modem._rx):
            pipe.pumps = pumps

    def __enter__(self) -> "KernelPair":
        return self

    def __exit__(self, *_: object) -> None:
        for port in self.ports:
            port.kernel.__exit__()

    def make_transmit_pipe(self) -> PipeOwner:
        pipe = PipeOwner(self.memory, self.layout.tx)
        pipe.pumps = self.pumps
        return pipe

    def _make_port(self) -> Any:
        self.ports.append(Port(Kernel()))
        return self.ports[-1]

    def make_network(self) -> QueueDevice:
        port: QueueDevice = self._make_port()
        return port

    def make_interface(self) -> Interface:
        port: Interface = self._make_port()
        return port

    def start_with(self, *channels: int) -> "KernelPair":
        """Started, announced and come to rest; the interfaces of these channels are up."""
        self.start()
        self.run_for(10 * MILLISECOND)
        for channel in channels:
            self.set_up(channel)
        self.run_for(10 * MILLISECOND)
        return self

    def give(self, device: Any, *packets: Given) -> None:
        """Have the kernel send packets, as many at a time as a socket holds."""
        for packet in packets:
            device.kernel.give(*packet)

    def delivered(self) -> list[dict[bytes, list[bytes]]]:
        """What each kernel has got since the last call, super-packets taken apart, by flow."""
        return [by_flow(port.kernel.delivered()) for port in self.ports]

    def _run_stack(self) -> bool:
        host, modem, now = self.host, self.modem, self.now
        serve_modem, serve_host = (modem.serve, host.serve) if self.is_fused else (None, None)
        moved = 0
        if waiting := self._waiting():
            moved += host.transmit(waiting, now, next_door=serve_modem)
        if self.network.outgoing and modem.wants_network_packets:
            moved += modem.receive_from_network(now, next_door=serve_host)
        # What was too long, or lied, is no packet that was moved, and gone all the same: there may be more.
        has_more = self.network.outgoing and modem.wants_network_packets
        return moved > 0 or bool(has_more) or bool(self._waiting() and not host.is_stopped)

    def _waiting(self) -> list[int]:
        return [
            channel
            for channel, device in self.devices.items()
            if device.outgoing and self.host.wants_packets(channel)
        ]

    # What must be the same

    def counted(self) -> tuple[object, object]:
        """Both machines' own words."""
        self._count_malformed()
        return self.host.status(self.now), self.modem.status(self.now)

    def _count_malformed(self) -> None:
        """What Python reads of the network is checked in the pump as well, and counted when that runs."""
        if malformed := self.network.interface.take_malformed():  # type: ignore[attr-defined]
            self.modem._downlink.strays.drop(DropReason.BAD_OFFLOAD, malformed)

    def lines_logged(self) -> list[Log]:
        return [log for log in self.logged if log.event not in OF_BATCHES]

    def shared(self) -> bytes:
        """Memory; not what is in the slots of the host, once a packet was too long and so left one dirty."""
        tx, memory = self.layout.tx, bytes(self.memory)
        is_dirty = any(
            each.transmitted.drops[reason]
            for each in self.host.channels
            for reason in (DropReason.LONGER_THAN_MTU, DropReason.TRUNCATED_BY_DEVICE)
        )
        return memory[: tx.buffers_offset] + memory[tx.end :] if is_dirty else memory


def by_flow(packets: list[bytes]) -> dict[bytes, list[bytes]]:
    """Packets by addresses, protocol and ports: within a flow the pump keeps the order."""
    flows: dict[bytes, list[bytes]] = {}
    for packet in packets:
        key = packet[9:10] + packet[12:24] if packet[0] >> 4 == 4 else packet[6:7] + packet[8:44]
        flows.setdefault(key, []).append(packet)
    return flows
