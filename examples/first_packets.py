"""Send the first packets: pings and a download through wwan0, then see what the link did."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

BAMDMUX = [sys.executable, "-m", "bamdmux"]
SIZE = 20_000_000


def main() -> int:
    if "BAMDMUX_CTL" not in os.environ:  # once more, in a namespace whose only way out is the modem
        return subprocess.call([*BAMDMUX, "run", "--", sys.executable, __file__])
    for address in (os.environ["BAMDMUX_GATEWAY4"], os.environ["BAMDMUX_GATEWAY6"]):
        print(f"ping {address:<19} {ping(address):.2f} ms")
    digest = hashlib.sha256(fetch(f"bytes/{SIZE}")).hexdigest()
    assert digest == fetch(f"sha256/{SIZE}").decode().strip()
    print(f"download                 {SIZE} bytes, the SHA-256 is right")
    time.sleep(1.5)  # after 1 s without a packet the driver drops its vote, and the modem powers down
    print(f"ping after suspend       {ping(os.environ['BAMDMUX_GATEWAY4']):.2f} ms")
    answer = subprocess.check_output([*BAMDMUX, "ctl", os.environ["BAMDMUX_CTL"], "status", "--json"])
    summarize(json.loads(answer))
    return 0


def ping(address: str) -> float:
    """Milliseconds until the echo; by hand, because not every machine has the program."""
    is_ipv6 = ":" in address
    family, protocol = (socket.AF_INET6, 58) if is_ipv6 else (socket.AF_INET, 1)
    request, reply_type = ((128, 0, 0, 0), 129) if is_ipv6 else ((8, 0, 0xF7, 0xFF), 0)
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.settimeout(5)
        started = time.monotonic()
        raw.sendto(bytes(request) + bytes(4), (address, 0))
        while raw.recv(2048)[0 if is_ipv6 else 20] != reply_type:
            pass
        return (time.monotonic() - started) * 1000


def fetch(path: str) -> bytes:
    with urllib.request.urlopen(os.environ["BAMDMUX_HTTP"] + path) as response:
        return response.read()


def summarize(status: dict) -> None:
    modem, power, wwan0 = status["modem"], status["host"]["power"], status["host"]["channels"]["0"]
    print(f"bytes                    {wwan0['transmitted']['bytes']} out, {wwan0['received']['bytes']} in")
    print(f"frames                   {modem['frames_received']} out, {modem['frames_sent']} in")
    print(f"votes, acks              {power['votes']}, {power['acks']}")
    print(f"suspended                {power['suspended_ms']} of {status['uptime_ms']} ms")


if __name__ == "__main__":
    sys.exit(main())
