"""The modem as one on USB, for oFono: 1.31 knows modems of phones by their USB numbers, and no BAM-DMUX.

    devices/platform/soc@0/78d9000.usb/usb1/1-1                  a Quectel EC25: 2c7c:0125
        1-1:1.4                                                  its interface for QMI: driver qmi_wwan
            net/wwan0                                            real, but for uevent
            usbmisc/cdc-wdm0                                     dev, uevent

It has what oFono's udev plugin and libqmi read, and nothing else of a USB device. All other interfaces of the
driver are not the modem's here: such a modem has one. The AT port has its node, but no device in sysfs, or
oFono would want to use it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bamdmux.actions import PortKind
from bamdmux.live.ports.board import AT_NODE
from bamdmux.live.ports.sysfs import VIRTUAL_INTERFACES, Link, Tree, uevent

VENDOR: Final = "2c7c"
PRODUCT: Final = "0125"

HUB: Final = "devices/platform/soc@0/78d9000.usb/usb1"
DEVICE: Final = f"{HUB}/1-1"
INTERFACE: Final = f"{DEVICE}/1-1:1.4"

QMI_NODE: Final = "cdc-wdm0"
DATA_INTERFACE: Final = "wwan0"  # whoever has no WDS Bind Data Port has channel 0

# What udev's usb_id finds out about every device on USB.
_BUS_TAGS: Final = {
    "ID_BUS": "usb",
    "ID_VENDOR_ID": VENDOR,
    "ID_MODEL_ID": PRODUCT,
    "ID_USB_INTERFACE_NUM": "04",
    "ID_USB_DRIVER": "qmi_wwan",
}


class UsbLayout:
    """A modem on USB: oFono and libqmi know it."""

    nodes: Sequence[tuple[str, PortKind]] = ((QMI_NODE, PortKind.QMI), (AT_NODE, PortKind.AT))
    folders = ("class/net", "class/usbmisc", f"{INTERFACE}/net")

    def describe_modem(self) -> Tree:
        names = {"PRODUCT": "2c7c/125/318", "TYPE": "239/2/1"}
        device = {"MAJOR": "189", "MINOR": "1", "DEVNAME": "bus/usb/001/002", "DEVTYPE": "usb_device"}
        interface = {"DEVTYPE": "usb_interface", "DRIVER": "qmi_wwan", "INTERFACE": "255/255/255"}
        return {
            f"{DEVICE}/uevent": uevent(device, {"DRIVER": "usb"}, names, _BUS_TAGS),
            f"{DEVICE}/idVendor": f"{VENDOR}\n",
            f"{DEVICE}/idProduct": f"{PRODUCT}\n",
            f"{DEVICE}/manufacturer": "Quectel\n",
            f"{DEVICE}/product": "EC25\n",
            f"{DEVICE}/subsystem": Link("bus/usb"),
            f"{DEVICE}/driver": Link("bus/usb/drivers/usb"),
            "bus/usb/devices/1-1": Link(DEVICE),
            "bus/usb/drivers/usb/1-1": Link(DEVICE),
            f"{INTERFACE}/uevent": uevent(interface, names, _BUS_TAGS),
            f"{INTERFACE}/bInterfaceNumber": "04\n",
            f"{INTERFACE}/bInterfaceClass": "ff\n",
            f"{INTERFACE}/bInterfaceSubClass": "ff\n",
            f"{INTERFACE}/bInterfaceProtocol": "ff\n",
            f"{INTERFACE}/subsystem": Link("bus/usb"),
            f"{INTERFACE}/driver": Link("bus/usb/drivers/qmi_wwan"),
            "bus/usb/devices/1-1:1.4": Link(INTERFACE),
            "bus/usb/drivers/qmi_wwan/1-1:1.4": Link(INTERFACE),
            f"{HUB}/class": Link("class"),  # see `sysfs.SocLayout`
        }

    def describe_ports(self, numbers: Mapping[str, tuple[int, int]]) -> Tree:
        major, minor = numbers[QMI_NODE]
        path = f"{INTERFACE}/usbmisc/{QMI_NODE}"
        names = {"MAJOR": str(major), "MINOR": str(minor), "DEVNAME": QMI_NODE}
        return {
            f"{path}/uevent": uevent(names, _BUS_TAGS),
            f"{path}/dev": f"{major}:{minor}\n",
            f"{path}/subsystem": Link("class/usbmisc"),
            f"{path}/device": Link(INTERFACE),
            f"class/usbmisc/{QMI_NODE}": Link(path),
            f"dev/char/{major}:{minor}": Link(path),
        }

    def folder_of(self, interface: str) -> str:
        return f"{INTERFACE}/net" if interface == DATA_INTERFACE else VIRTUAL_INTERFACES

    def describe_interface(self, name: str, index: int) -> Tree:
        if name != DATA_INTERFACE:
            return {}
        names = {"DEVTYPE": "wwan", "INTERFACE": name, "IFINDEX": str(index)}
        return {f"{INTERFACE}/net/{name}/uevent": uevent(names, _BUS_TAGS)}
