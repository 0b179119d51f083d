"""A TUN device that looks like an interface of the qcom_bam_dmux driver, as a `NetDevice`.

`Tun.create` is called in a thread of the network namespace (`NetworkNamespace.run`). The device stays in that
namespace, and its file descriptor is read and written from ours: no packet needs the namespace again. It
lives as long as the descriptor does.

The kernel sees what it would see of the real driver: raw IP (ARPHRD_RAWIP), point to point, no ARP, no
multicast. Before each packet are 4 bytes of packet information, which make room for the DMUX header; see
netdevice.py. An interface starts down and without addresses: those are addresses.py.

It does not wait, and knows no channels. What a TUN cannot imitate (a parent device, dev_port) is in
docs/differences.md.
"""

import errno
import fcntl
import io
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bamdmux.errors import MachineError
from bamdmux.netdevice import PACKET_INFORMATION_BYTES
from bamdmux.pump import Interface, is_native, make_interface

DEVICE: Final = Path("/dev/net/tun")

# include/uapi/linux/{if_tun,if_arp,if,if_link,netlink,rtnetlink}.h
TUNSETIFF: Final = 0x400454CA
TUNSETLINK: Final = 0x400454CD
TUNGETIFF: Final = 0x800454D2
TUNSETOFFLOAD: Final = 0x400454D0
TUNSETCARRIER: Final = 0x400454E2
IFF_TUN: Final = 0x0001
IFF_VNET_HDR: Final = 0x4000
IFF_TUN_EXCL: Final = 0x8000
OFFLOADS: Final = 0x0F  # TUN_F_CSUM, _TSO4, _TSO6, _TSO_ECN
UDP_OFFLOADS: Final = 0x60  # TUN_F_USO4, _USO6: Linux 6.2
ARPHRD_RAWIP: Final = 519
IFF_MULTICAST: Final = 0x1000
IFNAMSIZ: Final = 16  # one of them for the zero at the end
NETLINK_ROUTE: Final = 0
RTM_SETLINK: Final = 19
NLM_F_REQUEST_WITH_ACK: Final = 0x01 | 0x04
IFLA_MTU: Final = 4
IFLA_TXQLEN: Final = 13
IFLA_GSO_MAX_SEGS: Final = 40

INTERFACE_REQUEST: Final = struct.Struct("16sH22x")  # struct ifreq with flags
LINK_REQUEST: Final = struct.Struct("=IHHIIBxHiII")  # struct nlmsghdr, struct ifinfomsg
LINK_ATTRIBUTE: Final = struct.Struct("=HHI")  # struct nlattr, a number
LINK_REPLY: Final = struct.Struct("=16xi")  # struct nlmsghdr, and the error of struct nlmsgerr
REPLY_BYTES: Final = 4096

MTU: Final = 1500  # bam_dmux_netdev_setup(): ETH_DATA_LEN
QUEUE_LENGTH: Final = 1000  # bam_dmux_netdev_setup(): DEFAULT_TX_QUEUE_LEN; a full TUN drops silently
PERMANENT_ADDRESS_BYTES: Final = 6
GSO_MAX_SEGMENTS: Final = 0xFFFF  # the kernel's own limit

# Of /proc/net/dev: some 500 interfaces, in a namespace that has nine.
STATISTICS_LIMIT: Final = 1 << 16

# More than any queue holds unless somebody made it longer by hand; what still waits then is read as usual.
DRAIN_LIMIT: Final = 1 << 16


class Tun:
    """A TUN device; made by `Tun.create`. Close it, or use it in a `with` block.

    Attributes:
        name: its name when it was made; the user may rename it.
        index: its number in its namespace.
        permanent_address: what IPv6 addresses are formed from (see addresses.py); a TUN itself has none.
        interface, source: for the native pump, where the TUN has offloads; see pump.py.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        name: str,
        index: int,
        statistics: int,
        permanent_address: bytes | None,
        interface: Interface | None = None,
    ) -> None:
        self.name = name
        self.index = index
        self.permanent_address = permanent_address
        self._statistics = statistics
        # FileIO, because it turns EAGAIN into None: no exception for an empty queue. Its methods are bound
        # once: two look-ups less for each packet.
        self._file = io.FileIO(descriptor, "r+")
        self._readinto = self._file.readinto
        self._write = self._file.write
        self.interface = interface
        self.source = None if interface is None else self

    @classmethod
    def create(
        cls,
        name: str,
        *,
        mtu: int = MTU,
        queue_length: int = QUEUE_LENGTH,
        permanent_address: bytes | None = None,
        max_segments: int = GSO_MAX_SEGMENTS,
    ) -> Self:
        """Make the interface, down, in the network namespace of the calling thread.

        Args:
            max_segments: of a super-packet that TCP makes; without a native pump there is none.

        Raises:
            MachineError: this machine has no TUN for us, or the name is taken or impossible.
        """
        assert permanent_address is None or len(permanent_address) == PERMANENT_ADDRESS_BYTES
        _check_name(name)
        descriptor = _open_device()
        statistics = -1
        try:
            has_offloads = is_native()
            index = _set_up(descriptor, name, IFF_VNET_HDR if has_offloads else 0)
            _set_link(index, mtu, queue_length, max_segments)
            interface = _offer_offloads(descriptor) if has_offloads else None
            # Of this namespace for ever, whoever reads it: seq_open_net() in fs/proc/proc_net.c.
            statistics = os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)
            return cls(
                descriptor,
                name=name,
                index=index,
                statistics=statistics,
                permanent_address=permanent_address,
                interface=interface,
            )
        except BaseException as error:
            os.close(descriptor)
            if statistics >= 0:
                os.close(statistics)
            if isinstance(error, OSError):
                raise _explain_set_up(error, name, mtu) from error
            raise

    def fileno(self) -> int:
        """Readable while a packet waits."""
        return self._file.fileno()

    def read_into(self, buffer: memoryview) -> int:
        """See `NetDevice.read_into`."""
        if self.interface is not None:
            return self.interface.read_into(buffer)
        try:
            return self._readinto(buffer) or 0
        except OSError:  # EIO, EBADFD: the interface is gone
            return 0

    def write(self, buffer: memoryview) -> bool:
        """See `NetDevice.write`. False while the interface is down (EIO)."""
        if self.interface is not None:
            return self.interface.write(buffer)
        try:
            return self._write(buffer) is not None
        except OSError:
            return False

    @property
    def has_packet(self) -> bool:
        """Whether there is more to be read than the descriptor tells of: the rest of a super-packet."""
        return self.interface is not None and self.interface.has_packet

    def limit_segments(self, count: int) -> None:
        """Let TCP make super-packets of at most so many segments; in the interface's network namespace."""
        if self.interface is not None:
            with suppress(OSError):  # it is not ours, or gone
                _ask_kernel(self.index, {IFLA_GSO_MAX_SEGS: count})

    @property
    def pumps(self) -> bool:
        """Whether the native pump may do our work: nothing is laid over us."""
        return self.interface is not None and not self.interface.is_covered

    @pumps.setter
    def pumps(self, pumps: bool) -> None:
        assert self.interface is not None
        self.interface.is_covered = not pumps

    def turn(self) -> tuple[Interface | None, int]:
        """See `Source`."""
        return self.interface, DRAIN_LIMIT

    def took(self, count: int, *, is_dry: bool) -> bool:
        """See `Source`."""
        return not is_dry

    def set_carrier(self, is_on: bool) -> None:
        """Attach (True) or detach: addresses and routes stay, packets are not queued while it is off."""
        with suppress(OSError):  # somebody deleted the interface: the link monitor says so too
            fcntl.ioctl(self._file, TUNSETCARRIER, struct.pack("i", is_on))

    def dropped_by_kernel(self) -> int:
        """How many packets the kernel dropped before we could read them: queue full, or no carrier."""
        try:
            reply = fcntl.ioctl(self._file, TUNGETIFF, bytes(INTERFACE_REQUEST.size))  # it may be renamed
        except OSError:
            return 0  # somebody deleted the interface
        name = INTERFACE_REQUEST.unpack(reply)[0].rstrip(b"\0")
        return _transmit_drops(os.pread(self._statistics, STATISTICS_LIMIT, 0), name)

    def drain(self) -> int:
        """Read and discard what waits; how many packets that were."""
        header = bytearray(PACKET_INFORMATION_BYTES)  # takes no more to consume the whole packet
        for count in range(DRAIN_LIMIT):
            if self.read_into(memoryview(header)) == 0:
                return count
        return DRAIN_LIMIT

    def close(self) -> None:
        """Remove the interface. That takes some 16 ms: for several at once there is `close_all`."""
        self._file.close()
        if self._statistics >= 0:
            os.close(self._statistics)
            self._statistics = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def close_all(tuns: Sequence[Tun]) -> None:
    """Remove several interfaces at once: the kernel takes some 16 ms for each, most of it waiting (RCU)."""
    if tuns:
        with ThreadPoolExecutor(max_workers=len(tuns)) as threads:
            for tun in tuns:
                threads.submit(tun.close)


def _check_name(name: str) -> None:
    """Refuse what dev_valid_name() of the kernel refuses, and "%", which would make it number interfaces."""
    length = len(name.encode())
    if length >= IFNAMSIZ:
        raise MachineError(
            f"interface name {name} is too long: {length} bytes exceed {IFNAMSIZ - 1}; take a shorter one"
        )
    if name in ("", ".", "..") or any(char in "/:%\0" or char.isspace() for char in name):
        raise MachineError(f"{name!r} is no interface name; take letters and digits, as in wwan0")


def _open_device() -> int:
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _explain_open(error) from error


def _set_up(descriptor: int, name: str, flags: int) -> int:
    """Make the interface; its index."""
    request = INTERFACE_REQUEST.pack(name.encode(), IFF_TUN | IFF_TUN_EXCL | flags)
    fcntl.ioctl(descriptor, TUNSETIFF, request)
    fcntl.ioctl(descriptor, TUNSETLINK, ARPHRD_RAWIP)
    return socket.if_nametoindex(name)


def _offer_offloads(descriptor: int) -> Interface:
    """Tell the kernel that super-packets are welcome."""
    try:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, OFFLOADS | UDP_OFFLOADS)
    except OSError:  # before Linux 6.2
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, OFFLOADS)
        return make_interface(descriptor, merges_udp=False)
    return make_interface(descriptor, merges_udp=True)


def _set_link(index: int, mtu: int, queue_length: int, max_segments: int) -> None:
    """Set MTU, queue length, segments, and IFF_MULTICAST off, which tun_net_initialize() switches on.

    By netlink, because the ioctl for the queue length (SIOCSIFTXQLEN) is for the machine's root only, not for
    that of a user namespace; by hand, because one message is no reason to wait for pyroute2.
    """
    attributes = {IFLA_MTU: mtu, IFLA_TXQLEN: queue_length, IFLA_GSO_MAX_SEGS: max_segments}
    _ask_kernel(index, attributes, flags_off=IFF_MULTICAST)


def _ask_kernel(index: int, attributes: Mapping[int, int], flags_off: int = 0) -> None:
    numbers = b"".join(LINK_ATTRIBUTE.pack(LINK_ATTRIBUTE.size, *each) for each in attributes.items())
    length = LINK_REQUEST.size + len(numbers)
    request = LINK_REQUEST.pack(
        *(length, RTM_SETLINK, NLM_F_REQUEST_WITH_ACK, 0, 0),
        *(socket.AF_UNSPEC, 0, index, 0, flags_off),
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as netlink:
        netlink.connect((0, 0))
        netlink.send(request + numbers)
        (result,) = LINK_REPLY.unpack_from(netlink.recv(REPLY_BYTES))
    if result != 0:
        raise OSError(-result, os.strerror(-result))


def _explain_open(error: OSError, device: Path = DEVICE) -> MachineError:
    """Say in one line why there is no TUN to be had, and what mends it."""
    match error.errno:
        case errno.EMFILE | errno.ENFILE:
            return MachineError(f"{error.strerror} to open {device}; allow more: ulimit -n 1024")
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return MachineError(
                f"there is no {device}; load the driver: sudo modprobe tun "
                f"(in a container: docker run --device {device})"
            )
        case errno.EACCES:
            mode = 0
            with suppress(OSError):
                mode = device.stat().st_mode & 0o7777
            return MachineError(
                f"{device} (mode {mode:04o}) is not for this user; sudo chmod 0666 {device} "
                '(for good, as a udev rule: KERNEL=="tun", MODE="0666")'
            )
        case errno.EPERM:  # the devices control group: containers
            return MachineError(
                f"the container may not use {device}; start it with: docker run --device {device}"
            )
    return MachineError(f"cannot open {device}: {error.strerror}; try: sudo modprobe tun")


def _explain_set_up(error: OSError, name: str, mtu: int) -> MachineError:
    match error.errno:
        case None | errno.EMFILE | errno.ENFILE:  # None: if_nametoindex() keeps its reason to itself
            return MachineError(f"Too many open files to make interface {name}; allow more: ulimit -n 1024")
        case errno.EBUSY | errno.EEXIST:
            return MachineError(
                f"interface {name} exists already; take another name, or remove it: "
                f"sudo ip link delete {name}"
            )
        case errno.EPERM:
            return MachineError(
                f"interface {name} needs CAP_NET_ADMIN in its network namespace; run as root, or in a "
                "namespace of our own: bamdmux run"
            )
    return MachineError(
        f"cannot make interface {name} with MTU {mtu}: {error.strerror}; try another MTU or name"
    )


def _transmit_drops(table: bytes, name: bytes) -> int:
    """From /proc/net/dev: the interface's name, 8 numbers of receiving, 8 of sending; the 4th is drops."""
    for line in table.splitlines():
        interface, _, numbers = line.rpartition(b":")
        if interface.strip() == name:
            return int(numbers.split()[8 + 3])
    return 0  # renamed this very moment
