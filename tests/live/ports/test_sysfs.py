"""What sysfs says of a modem, as names and texts: on a phone, and on USB."""

import os

import pytest

from bamdmux.actions import PortKind
from bamdmux.live.ports.sysfs import BAM_DMUX, VIRTUAL_INTERFACES, WWAN, Layout, Link, SocLayout, Tree
from bamdmux.live.ports.usb import DEVICE, INTERFACE, UsbLayout

LAYOUTS: list[Layout] = [SocLayout(), UsbLayout()]
for_each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=["soc", "usb"])


def ports_of(layout: Layout) -> Tree:
    return layout.describe_ports({name: (136, number) for number, (name, _) in enumerate(layout.nodes)})


def everything(layout: Layout) -> dict[str, str | Link]:
    return {
        **layout.describe_modem(),
        **ports_of(layout),
        **layout.describe_interface("wwan0", 2),
        **layout.describe_interface("wwan3", 5),
    }


@for_each_layout
def test_every_link_leads_where_it_should(layout: Layout) -> None:
    links = {path: item for path, item in everything(layout).items() if isinstance(item, Link)}
    assert links
    for path, link in links.items():
        assert os.path.normpath(os.path.join(os.path.dirname(path), link.relative_to(path))) == link.target


@for_each_layout
def test_every_folder_of_a_device_has_its_uevent(layout: Layout) -> None:
    tree = everything(layout)
    devices = {os.path.dirname(path) for path, item in tree.items() if path.startswith("devices/")}
    devices -= {os.path.dirname(path) for path in tree if os.path.basename(path) == "class"}  # of interfaces
    assert {f"{device}/uevent" for device in devices} <= tree.keys()


@for_each_layout
def test_an_interface_that_is_not_the_driver_s_is_as_the_kernel_says(layout: Layout) -> None:
    for name in ("lo", "eth0", "wwan", "wwan0x"):
        assert layout.folder_of(name) == VIRTUAL_INTERFACES
        assert layout.describe_interface(name, 7) == {}


@for_each_layout
def test_the_subsystem_of_an_interface_is_found_four_folders_up(layout: Layout) -> None:
    folder = layout.folder_of("wwan0")
    up = os.path.normpath(f"{folder}/wwan0/../../../..")
    assert layout.describe_modem()[f"{up}/class"] == Link("class")


@for_each_layout
def test_a_node_is_found_by_its_number(layout: Layout) -> None:
    tree = ports_of(layout)
    name, kind = layout.nodes[0]
    assert kind is PortKind.QMI
    device = tree["dev/char/136:0"]
    assert isinstance(device, Link)
    assert tree[f"{device.target}/dev"] == "136:0\n"
    assert {"MAJOR=136", "MINOR=0", f"DEVNAME={name}"} <= set(str(tree[f"{device.target}/uevent"]).split())


def test_on_a_phone_an_interface_is_a_child_of_bam_dmux_and_has_its_channel_as_port() -> None:
    layout = SocLayout()
    tree = layout.describe_interface("wwan3", 5)
    folder = f"{BAM_DMUX}/net/wwan3"
    assert layout.folder_of("wwan3") == f"{BAM_DMUX}/net"
    assert tree[f"{folder}/dev_port"] == "3\n"
    assert str(tree[f"{folder}/uevent"]).startswith("DEVTYPE=wwan\nINTERFACE=wwan3\nIFINDEX=5\n")


@pytest.mark.parametrize(
    ("name", "kind", "tag"),
    [
        ("wwan0qmi0", "QMI", "ID_MM_PORT_TYPE_QMI=1"),
        ("wwan0at0", "AT", "ID_MM_PORT_TYPE_AT_PRIMARY=1"),
    ],
)
def test_on_a_phone_a_port_says_its_type(name: str, kind: str, tag: str) -> None:
    tree = ports_of(SocLayout())
    assert tree[f"{WWAN}/{name}/type"] == f"{kind}\n"
    assert {f"DEVNAME={name}", tag} <= set(str(tree[f"{WWAN}/{name}/uevent"]).split())


def test_on_usb_the_modem_has_one_interface_and_one_port() -> None:
    layout = UsbLayout()
    assert layout.folder_of("wwan0") == f"{INTERFACE}/net"
    assert layout.folder_of("wwan1") == VIRTUAL_INTERFACES
    assert layout.describe_interface("wwan1", 3) == {}
    links = [path for path in ports_of(layout) if path.startswith("class/")]
    assert links == ["class/usbmisc/cdc-wdm0"]


def test_on_usb_all_that_belongs_together_has_the_numbers_of_one_device() -> None:
    tree = everything(UsbLayout())
    uevents = [f"{DEVICE}/uevent", f"{INTERFACE}/uevent", f"{INTERFACE}/net/wwan0/uevent"]
    for path in [*uevents, f"{INTERFACE}/usbmisc/cdc-wdm0/uevent"]:
        assert {"ID_BUS=usb", "ID_VENDOR_ID=2c7c", "ID_MODEL_ID=0125"} <= set(str(tree[path]).split())
    assert (tree[f"{DEVICE}/idVendor"], tree[f"{DEVICE}/idProduct"]) == ("2c7c\n", "0125\n")
