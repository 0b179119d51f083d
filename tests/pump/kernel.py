"""A kernel for the native pump's tests: a pair of sockets that keep messages apart stands for a TUN."""

import select
import socket
from collections.abc import Iterator

import pytest

from bamdmux.netdevice import ETH_P_IP, ETH_P_IPV6, ETH_P_MAP
from bamdmux.pump import Interface, native
from bamdmux.wire.offload import segment

pump = pytest.importorskip(
    "bamdmux._pump", reason="the native pump was not built: no compiler, or no Python.h"
)

if native is None:
    pytest.skip("the native pump is not wanted: BAMDMUX_PUMP=python", allow_module_level=True)

INFORMATION = {4: ETH_P_IP, 6: ETH_P_IPV6}
BIG = 70_000  # bytes, more than any packet has


class Kernel:
    """A pump's interface, and the side of it that is the kernel's."""

    def __init__(self, merges_udp: bool = True) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs = theirs
        for each in (self._ours, theirs):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.descriptor = theirs.fileno()  # what would be that of a TUN
        self.interface: Interface = pump.Interface(self.descriptor, merges_udp)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._theirs.close()

    def give(self, vnet_header: bytes, packet: bytes, flags: int = 0) -> None:
        self.give_message(bytes((flags, 0, 0, 0)) + vnet_header + packet)

    def give_message(self, message: bytes) -> None:
        self._ours.send(message)

    def is_waiting(self) -> bool:
        """Whether there is anything for the pump to read."""
        return self.interface.has_packet or bool(select.select([self._theirs], [], [], 0)[0])

    def written(self) -> Iterator[tuple[bytes, bytes]]:
        """virtio_net_hdr and packet of what the pump has written."""
        while True:
            try:
                message = self._ours.recv(BIG)
            except BlockingIOError:
                return
            version = message[14] >> 4
            assert message[:4] == b"\0\0" + INFORMATION.get(version, ETH_P_MAP).to_bytes(2, "big")
            yield message[4:14], message[14:]

    def delivered(self) -> list[bytes]:
        """The packets that the pump has written, super-packets taken apart."""
        return [packet for written in self.written() for packet in segment(*written)]

    def read(self, size: int = BIG) -> bytes:
        """What `read_into` gives, with packet information."""
        buffer = bytearray(b"\xaa" * size)
        length = self.interface.read_into(memoryview(buffer))
        assert buffer[length:] == b"\xaa" * (size - length)
        return bytes(buffer[:length])

    def read_all(self) -> list[bytes]:
        packets = []
        while message := self.read():
            assert message[:4] == bytes(4)
            packets.append(message[4:])
        return packets
