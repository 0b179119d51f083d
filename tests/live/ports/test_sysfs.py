"""What sysfs says of a modem, as names and texts."""

import os

import pytest

from bamdmux.actions import PortKind
from bamdmux.live.ports import sysfs


def everything() -> dict[str, str | sysfs.Link]:
    return {
        **sysfs.describe_modem(),
        **sysfs.describe_wwan(),
        **sysfs.describe_port("wwan0qmi0", PortKind.QMI, (136, 0)),
        **sysfs.describe_port("wwan0at0", PortKind.AT, (136, 1)),
        **sysfs.describe_interface("wwan3", 5, 3),
    }


@pytest.mark.parametrize(
    "path", [path for path, item in everything().items() if isinstance(item, sysfs.Link)]
)
def test_every_link_leads_where_it_should(path: str) -> None:
    link = everything()[path]
    assert isinstance(link, sysfs.Link)
    assert os.path.normpath(os.path.join(os.path.dirname(path), link.relative_to(path))) == link.target


def test_every_folder_of_a_device_has_its_uevent() -> None:
    tree = everything()
    devices = {os.path.dirname(path) for path in tree if path.startswith("devices/")}
    assert {f"{device}/uevent" for device in devices} <= tree.keys()


def test_an_interface_is_a_child_of_bam_dmux_and_has_its_channel_as_port() -> None:
    tree = sysfs.describe_interface("wwan3", 5, 3)
    folder = f"{sysfs.BAM_DMUX}/net/wwan3"
    assert tree[f"{folder}/dev_port"] == "3\n"
    assert str(tree[f"{folder}/uevent"]).startswith("DEVTYPE=wwan\nINTERFACE=wwan3\nIFINDEX=5\n")


@pytest.mark.parametrize(
    ("kind", "tag"),
    [(PortKind.QMI, "ID_MM_PORT_TYPE_QMI=1"), (PortKind.AT, "ID_MM_PORT_TYPE_AT_PRIMARY=1")],
)
def test_a_port_says_its_type(kind: PortKind, tag: str) -> None:
    tree = sysfs.describe_port("wwan0x0", kind, (136, 7))
    folder = f"{sysfs.WWAN}/wwan0x0"
    assert tree[f"{folder}/type"] == f"{kind.name}\n"
    assert tree[f"{folder}/dev"] == "136:7\n"
    assert {"MAJOR=136", "MINOR=7", "DEVNAME=wwan0x0", tag} <= set(str(tree[f"{folder}/uevent"]).split())
    assert tree["dev/char/136:7"] == sysfs.Link(folder)
