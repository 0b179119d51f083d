"""Links to PTYs, for `bamdmux host --ports`."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bamdmux.errors import MachineError
from bamdmux.live.ports.links import LinkMaker
from bamdmux.live.ports.raw import is_open

NAMES = ["wwan0at0", "wwan0qmi0"]


class Maker(LinkMaker):
    """Keeps what it made."""

    def __init__(self, folder: Path) -> None:
        self.masters: list[int] = []
        super().__init__(folder, self._keep)

    def _keep(self, masters: Sequence[int]) -> None:
        self.masters += masters

    def close(self) -> None:
        for master in self.masters:
            os.close(master)
        self.masters.clear()


def test_each_port_has_a_link_to_a_pty(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.make_ports()
    assert sorted(os.listdir(tmp_path)) == NAMES
    client = os.open(tmp_path / "wwan0at0", os.O_RDWR | os.O_NOCTTY)
    assert [is_open(master) for master in maker.masters] == [False, True]
    os.write(maker.masters[1], b"hello")
    assert os.read(client, 100) == b"hello"
    os.close(client)
    assert not is_open(maker.masters[1])
    maker.remove_ports()
    assert os.listdir(tmp_path) == []
    maker.close()


def test_links_of_a_dead_one_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "wwan0at0").symlink_to("/dev/pts/99999")
    maker = Maker(tmp_path)
    maker.make_ports()
    assert os.path.exists(tmp_path / "wwan0at0")
    maker.close()


def test_what_has_become_another_s_stays(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.make_ports()
    (tmp_path / "wwan0at0").unlink()
    (tmp_path / "wwan0at0").symlink_to("/somewhere/else")
    (tmp_path / "wwan0qmi0").unlink()
    maker.remove_ports()
    assert os.listdir(tmp_path) == ["wwan0at0"]
    maker.close()


def test_new_ports_take_the_names_of_the_old_ones(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.make_ports()
    before = os.readlink(tmp_path / "wwan0at0")
    maker.make_ports()
    assert os.readlink(tmp_path / "wwan0at0") != before
    maker.close()


def test_what_is_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="is no folder; make it: mkdir"):
        LinkMaker(tmp_path / "missing", lambda masters: None)


def test_what_is_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wwan0at0").write_text("mine")
    with pytest.raises(MachineError, match="exists and is no link"):
        LinkMaker(tmp_path, lambda masters: None)
    assert (tmp_path / "wwan0at0").read_text() == "mine"


def test_a_folder_that_is_taken_away_is_one_line_and_keeps_nothing(tmp_path: Path) -> None:
    maker = Maker(tmp_path / ".")
    before = len(os.listdir("/proc/self/fd"))
    tmp_path.rmdir()
    with pytest.raises(MachineError, match="cannot make control ports"):
        maker.make_ports()
    assert len(os.listdir("/proc/self/fd")) == before
