"""Two modems and two hosts on one machine at once, each pair with a socket and a namespace of its own."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

BAMDMUX = [sys.executable, "-m", "bamdmux", "-q"]
OWN_NETWORK = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]
NAMES = ("red", "blue")

# What one host's namespace sees: its wwan0, and through it a file from its own modem's network.
LOOK = """
ip address add 10.64.0.2/30 dev wwan0 && ip link set wwan0 up &&
curl -s --retry 9 --retry-all-errors 10.64.0.1/bytes/3000000 | wc -c
"""


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hosts = {}
        for name in NAMES:
            start(stack, [*BAMDMUX, "modem", "--listen", folder / name])
            hosts[name] = start(stack, [*OWN_NETWORK, *BAMDMUX, "host", "--connect", folder / name])
        for name, host in hosts.items():
            while os.readlink(f"/proc/{host.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                time.sleep(0.05)  # until it is in its own
            while not inside(host, "ip link show wwan0 2>/dev/null"):
                time.sleep(0.05)
            print(f"{name:<6} {inside(host, LOOK)} bytes through its own wwan0")


def start(stack: ExitStack, line: list) -> subprocess.Popen:
    """Run a program until the stack is closed; the last one that was started ends first."""
    process = subprocess.Popen(line)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def inside(host: subprocess.Popen, script: str) -> str:
    """Run a script in the network namespace of a host."""
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    line = ["nsenter", f"--target={host.pid}", *user, "--net", "sh", "-c", script]
    return subprocess.run(line, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
