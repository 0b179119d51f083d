"""Firmwares that do not announce their channels by themselves, under `bamdmux run` and `bamdmux modem`."""

import shutil

import pytest

from tests.live.identities import needs_tun, run_bamdmux

pytestmark = [
    pytest.mark.live,
    needs_tun,
    pytest.mark.skipif(
        shutil.which("qmicli") is None, reason="qmicli is not installed; sudo apt-get install libqmi-utils"
    ),
]

QMICLI = "qmicli -d /dev/wwan0qmi0 --device-open-qmi"
OPEN_PORT = (
    "--dpm-open-port=hw-data-ep-type=bam-dmux,hw-data-ep-iface-number=0,hw-data-rx-id=1,hw-data-tx-id=1"
)
WAIT = "for n in $(seq 100); do {condition} && break; sleep 0.05; done"
SCRIPT = f"""
grep -c wwan0 /proc/net/dev
{QMICLI} {OPEN_PORT}
{WAIT.format(condition="ping -c 1 -W 1 $BAMDMUX_GATEWAY4 >/dev/null 2>&1")}
ping -c 1 -W 5 $BAMDMUX_GATEWAY4 | grep -o '1 received'
{QMICLI} --dpm-close-port
{WAIT.format(condition="ip -br link show wwan0 | grep -q -v LOWER_UP")}
ip -br link show wwan0 | grep -c LOWER_UP
"""


@pytest.mark.parametrize("options", [(), ("--split",)])
def test_shikra_has_wwan0_once_its_port_was_opened(options: tuple[str, ...]) -> None:
    outcome = run_bamdmux("caller", "run", *options, "--profile", "shikra", "--", "sh", "-c", SCRIPT)
    lines = outcome.stdout.splitlines()
    assert lines[0] == "0", outcome.stderr
    assert "opened the port" in lines[1]
    assert lines[2] == "1 received"
    assert lines[-1] == "0"
    assert outcome.stderr.startswith("bamdmux: wwan0 comes once a client has opened its port: ")
    assert OPEN_PORT in outcome.stderr.splitlines()[0]


def test_a_command_that_does_not_care_runs_without_wwan0() -> None:
    outcome = run_bamdmux("caller", "run", "--profile", "shikra", "--", "sh", "-c", "exit 7")
    assert outcome.returncode == 7


def test_a_run_with_one_version_of_ip_refuses_the_other() -> None:
    script = "for a in $BAMDMUX_GATEWAY4 $BAMDMUX_GATEWAY6; do ping -c 1 -W 1 $a | grep -o '. received'; done"
    options = ("--profile", "dual-stack-refuser", "--channels", "1")
    outcome = run_bamdmux("caller", "run", *options, "--", "sh", "-c", script)
    assert outcome.stdout.split("\n")[:2] == ["1 received", "0 received"], outcome.stderr
