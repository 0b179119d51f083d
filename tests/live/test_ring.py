"""`--ring N` on the command line: any size carries traffic, in one process and in two; others are refused."""

from typing import Final

import pytest

from tests.live.identities import Link, for_the_weakest, needs_tun, run_bamdmux, scratch
from tests.live.test_traffic import reckoned_digest

pytestmark = pytest.mark.live

FIVE_MEGABYTES: Final = 5_000_000


@needs_tun
@for_the_weakest
@pytest.mark.parametrize("place", ["fused", "split"])
@pytest.mark.parametrize("size", [2, 32, 512, 4096])
def test_a_ring_of_any_size_carries_traffic(identity: str, size: int, place: str) -> None:
    options = [f"--ring={size}"] + ["--split"] * (place == "split")
    sent = scratch() / "sent"
    with Link(identity, *options) as link:
        assert " 0% packet loss" in link.shell("ping -c 3 -i 0.01 10.64.0.1")
        url = "${BAMDMUX_HTTP}"
        down = link.shell(f"curl -s -f {url}bytes/{FIVE_MEGABYTES} | tee {sent} | sha256sum").split()[0]
        assert down == reckoned_digest(FIVE_MEGABYTES)
        assert f'"sha256": "{down}"' in link.shell(f"curl -s -f -T {sent} {url}")


@pytest.mark.parametrize("command", [["run"], ["host", "--connect=nowhere"]], ids=["run", "host"])
@pytest.mark.parametrize("size", ["1", "0", "-1", "4097", "5000", "abc", ""])
def test_a_ring_that_cannot_be_is_one_line(command: list[str], size: str) -> None:
    done = run_bamdmux("caller", *command, f"--ring={size}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bamdmux: ")
    assert "--ring" in done.stderr
    assert done.stderr.count("\n") == 1
