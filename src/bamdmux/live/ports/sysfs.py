"""What sysfs says of a BAM-DMUX modem, as names and texts: what ModemManager and libqmi read to know one.

    devices/platform/soc@0/4080000.remoteproc                    driver qcom-q6v5-mss
        4080000.remoteproc:bam-dmux                              driver bam-dmux
            net/wwan0...                                         real, but for dev_port and uevent
        wwan/wwan0/wwan0qmi0                                     type, dev, uevent

The tree is that of a phone with an MSM8916 (drivers/net/wwan/{qcom_bam_dmux,wwan_core}.c, rpmsg_wwan_ctrl.c).
In front of each device stand the links by which it is found: class/, bus/, dev/. The tags ID_MM_* are what
ModemManager's udev rules would add; without udev, libudev takes them from the uevent files.

That is one `Layout`; `usb` has another, for who does not know such modems. It mounts nothing and reads
nothing: that is `mounts`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bamdmux.actions import PortKind
from bamdmux.live.ports.board import NODES

SOC: Final = "devices/platform/soc@0"
REMOTEPROC: Final = f"{SOC}/4080000.remoteproc"
BAM_DMUX: Final = f"{REMOTEPROC}/4080000.remoteproc:bam-dmux"
VIRTUAL_INTERFACES: Final = "devices/virtual/net"
WWAN: Final = f"{REMOTEPROC}/wwan/wwan0"

# Of the real /sys, what says something of the machine and nothing of devices that might be modems.
KEPT: Final = ("devices/system", "firmware", "fs", "hypervisor", "kernel", "module", "power")

_INTERFACE_NAME: Final = re.compile(r"wwan([0-9]+)")  # as the driver gives it; the number is the channel

# 77-mm-qcom-soc.rules of ModemManager
_MODEM_TAGS: Final = {"ID_MM_CANDIDATE": "1", "ID_MM_QCOM_SOC": "1", "ID_MM_PHYSDEV_UID": "qcom-soc"}
_PORT_TAGS: Final = {
    PortKind.QMI: {"ID_MM_PORT_TYPE_QMI": "1"},
    PortKind.AT: {"ID_MM_PORT_TYPE_AT_PRIMARY": "1"},
}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; `target` is a path from the root of sysfs, as is the link's own."""

    target: str

    def relative_to(self, path: str) -> str:
        """What to write into the link at `path`."""
        return os.path.relpath(self.target, os.path.dirname(path))


Tree = Mapping[str, str | Link]  # path from the root of sysfs: the text of a file, or a link


class Layout(Protocol):
    """As what the modem shows itself in /dev and /sys."""

    @property
    def nodes(self) -> Sequence[tuple[str, PortKind]]:
        """Name and kind of each node, in the order of their numbers on the board."""

    @property
    def folders(self) -> Sequence[str]:
        """Folders of sysfs that are there even if nothing is in them."""

    def describe_modem(self) -> Tree:
        """The devices that are always there."""

    def describe_ports(self, numbers: Mapping[str, tuple[int, int]]) -> Tree:
        """The control ports: the major and minor number of each node by its name."""

    def folder_of(self, interface: str) -> str:
        """In which folder of sysfs an interface stands."""

    def describe_interface(self, name: str, index: int) -> Tree:
        """What differs there from what the kernel says of the TUN; nothing where it is not the modem's."""


class SocLayout:
    """A phone: ModemManager and libqmi know it."""

    nodes = NODES
    folders = ("class/net", "class/wwan", f"{BAM_DMUX}/net")

    def describe_modem(self) -> Tree:
        return {
            **_platform_device(SOC, "simple-pm-bus", "soc", "simple-bus"),
            **_platform_device(REMOTEPROC, "qcom-q6v5-mss", "remoteproc", "qcom,msm8916-mss-pil"),
            **_platform_device(BAM_DMUX, "bam-dmux", "bam-dmux", "qcom,bam-dmux"),
            # In an interface's folder the link to its subsystem is the kernel's: up by four, as from
            # devices/virtual.
            f"{SOC}/class": Link("class"),
        }

    def describe_ports(self, numbers: Mapping[str, tuple[int, int]]) -> Tree:
        tree: dict[str, str | Link] = {
            f"{WWAN}/uevent": uevent({"DEVTYPE": "wwan_dev"}),
            f"{WWAN}/subsystem": Link("class/wwan"),
            "class/wwan/wwan0": Link(WWAN),
        }
        for name, kind in self.nodes:
            tree |= _describe_port(name, kind, *numbers[name])
        return tree

    def folder_of(self, interface: str) -> str:
        return f"{BAM_DMUX}/net" if _INTERFACE_NAME.fullmatch(interface) else VIRTUAL_INTERFACES

    def describe_interface(self, name: str, index: int) -> Tree:
        ours = _INTERFACE_NAME.fullmatch(name)
        if not ours:
            return {}
        path = f"{BAM_DMUX}/net/{name}"
        names = {"DEVTYPE": "wwan", "INTERFACE": name, "IFINDEX": str(index)}
        return {f"{path}/uevent": uevent(names, _MODEM_TAGS), f"{path}/dev_port": f"{int(ours[1])}\n"}


def _describe_port(name: str, kind: PortKind, major: int, minor: int) -> Tree:
    path = f"{WWAN}/{name}"
    names = {"MAJOR": str(major), "MINOR": str(minor), "DEVNAME": name, "DEVTYPE": "wwan_port"}
    return {
        f"{path}/uevent": uevent(names, _MODEM_TAGS, _PORT_TAGS[kind]),
        f"{path}/type": f"{kind.name}\n",
        f"{path}/dev": f"{major}:{minor}\n",
        f"{path}/subsystem": Link("class/wwan"),
        f"{path}/device": Link(WWAN),
        f"class/wwan/{name}": Link(path),
        f"dev/char/{major}:{minor}": Link(path),
    }


def _platform_device(path: str, driver: str, node: str, compatible: str) -> Tree:
    name = os.path.basename(path)
    variables = {
        "DRIVER": driver,
        "OF_NAME": node,
        "OF_COMPATIBLE_0": compatible,
        "OF_COMPATIBLE_N": "1",
        "MODALIAS": f"of:N{node}T(null)C{compatible}",
    }
    return {
        f"{path}/uevent": uevent(variables),
        f"{path}/modalias": f"{variables['MODALIAS']}\n",
        f"{path}/subsystem": Link("bus/platform"),
        f"{path}/driver": Link(f"bus/platform/drivers/{driver}"),
        f"bus/platform/devices/{name}": Link(path),
        f"bus/platform/drivers/{driver}/{name}": Link(path),
    }


def uevent(*variables: Mapping[str, str]) -> str:
    """The text of a uevent file."""
    return "".join(f"{name}={value}\n" for each in variables for name, value in each.items())
