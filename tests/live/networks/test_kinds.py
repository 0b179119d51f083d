"""The names of networks: what the command line takes."""

import pytest

from bamdmux.errors import UsageError
from bamdmux.live.networks import check_kind, open_network
from bamdmux.modem.network import Bearer
from tests.live.identities import run_bamdmux


@pytest.mark.parametrize("kind", ["internal", "passt", "tun:pdn0", "tun:x"])
def test_these_exist(kind: str) -> None:
    check_kind(kind)


@pytest.mark.parametrize("kind", ["", "tun", "tun:", "Passt", "slirp", "tap:x", "internal "])
def test_others_do_not_and_it_says_what_does(kind: str) -> None:
    with pytest.raises(UsageError, match=r"is not one of internal, passt, tun:NAME$"):
        check_kind(kind)
    with pytest.raises(UsageError):
        open_network(kind, [Bearer(0)])


@pytest.mark.live
def test_the_command_line_refuses_a_wrong_name_in_one_line() -> None:
    done = run_bamdmux("caller", "run", "--network", "slirp", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bamdmux: network 'slirp' is not one of internal, passt, tun:NAME\n"
