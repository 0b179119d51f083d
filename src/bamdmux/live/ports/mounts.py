"""The command's own /dev and /sys: those of the machine, with our ports and interfaces in them. Runs in init.

    /dev   tmpfs; every node of the machine's /dev by a bind mount, and each port: a PTY's end under its name
    /sys   tmpfs; of the machine what `sysfs.KEPT` names, and the devices that a layout describes

Only in the mount namespace of the command, so that nothing of it outlives it or is seen outside.

The PTYs are of a devpts of their own, which is mounted only while they are made: nobody finds them but by
their names. Their masters are given away; when a master is closed, whoever has the node open sees a hang-up.

Interfaces come, go and are renamed while the command runs: `look_at_interfaces` follows. What sysfs says of
one is the kernel's own folder, bind-mounted where the driver's would be, with two files of it replaced.
"""

import os
import socket
import stat
from contextlib import suppress
from typing import Final

from bamdmux.live.namespaces import (
    MS_BIND,
    MS_MOVE,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REC,
    mount,
    unmount,
)
from bamdmux.live.ports import sysfs
from bamdmux.live.ports.raw import make_raw, unlock

# include/uapi/linux/rtnetlink.h
RTMGRP_LINK: Final = 1

_TMPFS: Final = MS_NOSUID | MS_NOEXEC
_PTMX_NUMBER: Final = os.makedev(5, 2)  # Documentation/admin-guide/devices.txt
_STAGE: Final = ".dev"  # in /sys, while the new /dev is made
_MACHINES_DEV: Final = ".host"  # in /dev, where its ptmx has to stay beside its pts


class PrivateDevices:
    """/dev and /sys of this mount namespace; made by the constructor.

    Args:
        layout: as what the modem shows itself.

    Raises:
        OSError: this machine does not let us mount; all is as it was.
    """

    def __init__(self, layout: sysfs.Layout) -> None:
        self._layout = layout
        self._numbers: dict[str, tuple[int, int]] = {}  # of the nodes that are there
        self._described: sysfs.Tree = {}  # what /sys says of them
        self._interfaces: dict[str, int] = {}  # those that /sys shows, with their indexes
        self._machines_sys = os.open("/sys", os.O_PATH | os.O_CLOEXEC)
        self._link_news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self._link_news.bind((0, RTMGRP_LINK))
        try:
            mount("tmpfs", "/sys", "tmpfs", _TMPFS, "mode=755,size=4m")
        except OSError:
            self._close()
            raise
        try:
            self._fill_sys()
            self._replace_dev()
        except OSError:
            unmount("/sys")
            self._close()
            raise
        with suppress(OSError):
            # What the machine's udev has to say of an interface with the same number is not true of ours.
            mount("tmpfs", "/run/udev", "tmpfs", _TMPFS, "mode=755,size=64k")
        self.look_at_interfaces()

    def _close(self) -> None:
        self._link_news.close()
        os.close(self._machines_sys)

    def fileno(self) -> int:
        """Readable when `look_at_interfaces` has something to do."""
        return self._link_news.fileno()

    # /sys

    def _fill_sys(self) -> None:
        for name in sysfs.KEPT:
            path = f"/proc/self/fd/{self._machines_sys}/{name}"
            if os.path.isdir(path):
                os.makedirs(f"/sys/{name}")
                mount(path, f"/sys/{name}", "none", MS_BIND | MS_REC)
        for folder in ("dev/block", "dev/char", *self._layout.folders):
            os.makedirs(f"/sys/{folder}")
        _write_tree(self._layout.describe_modem())

    def look_at_interfaces(self) -> None:
        """Show the interfaces that this network namespace has now."""
        with suppress(OSError):  # BlockingIOError: that was all; ENOBUFS: some were lost, which is as good
            while self._link_news.recv(1 << 16):
                pass
        try:
            interfaces = {name: index for index, name in socket.if_nameindex()}
        except OSError:
            return  # no memory: the next change comes
        for name, index in list(self._interfaces.items()):
            if interfaces.get(name) != index:
                self._hide_interface(name)
        for name, index in interfaces.items():
            if name not in self._interfaces:
                with suppress(OSError):  # it is gone again, or the command has mounts of its own in the way
                    self._show_interface(name, index)

    def _show_interface(self, name: str, index: int) -> None:
        self._interfaces[name] = index
        path = f"{self._layout.folder_of(name)}/{name}"
        os.makedirs(f"/sys/{path}", exist_ok=True)
        machines = f"/proc/self/fd/{self._machines_sys}/{sysfs.VIRTUAL_INTERFACES}/{name}"
        is_shown = _read_index(machines) == index  # or else /sys is of another network namespace
        if is_shown:
            mount(machines, f"/sys/{path}", "none", MS_BIND)
        for file, text in self._layout.describe_interface(name, index).items():
            assert isinstance(text, str)
            if is_shown:
                _cover_file(f"/sys/{file}", text)
            else:
                _write_file(f"/sys/{file}", text)
        _write_tree({f"class/net/{name}": sysfs.Link(path)})

    def _hide_interface(self, name: str) -> None:
        del self._interfaces[name]
        path = f"{self._layout.folder_of(name)}/{name}"
        with suppress(OSError):
            os.unlink(f"/sys/class/net/{name}")
        with suppress(OSError):
            unmount(f"/sys/{path}")
        with suppress(OSError):
            os.rmdir(f"/sys/{path}")

    # /dev

    def _replace_dev(self) -> None:
        stage = f"/sys/{_STAGE}"
        os.mkdir(stage)
        mount("tmpfs", stage, "tmpfs", _TMPFS, "mode=755,size=4m")
        for entry in os.scandir("/dev"):
            # The machine's own modem, or that of a run around this one.
            if not entry.name.startswith(("wwan", "cdc-wdm")):
                with suppress(OSError):  # gone again
                    _take_over(entry, f"{stage}/{entry.name}")
        _make_ptmx(stage)
        mount(stage, "/dev", "none", MS_MOVE)
        os.rmdir(stage)

    # Nodes

    def make_nodes(self) -> list[int]:
        """Put new PTYs under the names of the ports; their masters.

        Raises:
            OSError: there are no more, or the command has put something in the way.
        """
        self.remove_nodes()
        folder = "/dev/.pts"
        os.mkdir(folder, 0o700)
        masters: list[int] = []
        try:
            mount("devpts", folder, "devpts", _TMPFS, "newinstance,mode=600,ptmxmode=600")
            for name, _ in self._layout.nodes:
                masters.append(os.open(f"{folder}/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
                self._show_node(name, _prepare_pty(folder, masters[-1]))
            self._described = self._layout.describe_ports(self._numbers)
            _write_tree(self._described)
        except OSError:
            for master in masters:
                os.close(master)
            self.remove_nodes()
            raise
        finally:
            with suppress(OSError):
                unmount(folder)
            with suppress(OSError):
                os.rmdir(folder)
        return masters

    def _show_node(self, name: str, pty: str) -> None:
        node = f"/dev/{name}"
        with suppress(FileExistsError):  # what is left of the last one, and could not be removed
            os.mknod(node)
        mount(pty, node, "none", MS_BIND)
        number = os.stat(node).st_rdev
        self._numbers[name] = (os.major(number), os.minor(number))

    def remove_nodes(self) -> None:
        """Take the nodes away, and what sysfs says of them."""
        for name in self._numbers:
            with suppress(OSError):
                unmount(f"/dev/{name}")
            with suppress(OSError):
                os.unlink(f"/dev/{name}")
        self._numbers.clear()
        _remove_tree(self._described)
        self._described = {}


def _read_index(folder: str) -> int | None:
    """The index of an interface by its folder in sysfs."""
    try:
        with open(f"{folder}/ifindex") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _take_over(entry: "os.DirEntry[str]", path: str) -> None:
    """Put at `path` what stands in the machine's /dev."""
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), path)
    elif entry.is_dir(follow_symlinks=False):
        os.mkdir(path)
        mount(entry.path, path, "none", MS_BIND | MS_REC)
    elif not _is_ptmx(entry):
        os.mknod(path)
        mount(entry.path, path, "none", MS_BIND)


def _is_ptmx(entry: "os.DirEntry[str]") -> bool:
    """Whether this is a ptmx that finds its devpts by the folder in which it stands."""
    if entry.name != "ptmx":
        return False
    with suppress(OSError):
        return entry.stat().st_dev != os.stat("/dev/pts").st_dev  # else it belongs to one, as in a container
    return False


def _make_ptmx(stage: str) -> None:
    """New terminals are for the command as they were: devpts_acquire() looks beside the node for "pts"."""
    ptmx = f"{stage}/ptmx"
    if os.path.lexists(ptmx) or not os.path.exists("/dev/ptmx"):
        return
    mode = os.stat("/dev/ptmx").st_mode
    try:
        os.mknod(ptmx, stat.S_IFCHR, _PTMX_NUMBER)
        os.chmod(ptmx, stat.S_IMODE(mode))
    except OSError:  # in a user namespace nobody makes devices: then the old folder has to stay, as a whole
        os.mkdir(f"{stage}/{_MACHINES_DEV}")
        mount("/dev", f"{stage}/{_MACHINES_DEV}", "none", MS_BIND | MS_REC)
        os.symlink(f"{_MACHINES_DEV}/ptmx", ptmx)


def _prepare_pty(folder: str, master: int) -> str:
    """Make a new PTY ready for clients; the path of their end."""
    pty = f"{folder}/{unlock(master)}"
    make_raw(master)
    # Only once it was open does the master say that nobody has it open.
    os.close(os.open(pty, os.O_RDWR | os.O_NOCTTY))
    return pty


def _write_tree(tree: sysfs.Tree) -> None:
    for path, content in tree.items():
        os.makedirs(f"/sys/{os.path.dirname(path)}", exist_ok=True)
        if isinstance(content, sysfs.Link):
            with suppress(FileExistsError):
                os.symlink(content.relative_to(path), f"/sys/{path}")
        else:
            _write_file(f"/sys/{path}", content)


def _remove_tree(tree: sysfs.Tree) -> None:
    """Remove files and links, and the folders of devices that are empty by then."""
    for path in tree:
        with suppress(OSError):
            os.unlink(f"/sys/{path}")
    for folder in {os.path.dirname(path) for path in tree if path.startswith("devices/")}:
        with suppress(OSError):
            os.removedirs(f"/sys/{folder}")


def _write_file(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o444)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def _cover_file(path: str, text: str) -> None:
    """Show this text in the place of a file that is not ours."""
    ours = "/sys/.new"
    _write_file(ours, text)
    mount(ours, path, "none", MS_BIND)
    os.unlink(ours)  # the mount keeps it
