"""A network for bamdmux's caller that reaches nobody: a namespace with servers on its loopback.

    127.0.0.1:8000     HTTP: GET /N gives N bytes; the same on [2001:db8:1::2]:8000
    127.0.0.1:7        UDP echo
    127.0.0.1:53       a name server that knows one address, and is the only one in /etc/resolv.conf

`run_behind_passt` runs `bamdmux run --network passt` there. A script behind the modem can ask for what is
done outside, by making a file in $OUTSIDE: ``kill-passt``, ``kill-bamdmux``.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.live.identities import as_identity, environment, scratch

KNOWN_ADDRESS = "192.0.2.77"

WORLD = r"""
import http.server, json, os, signal, socket, subprocess, sys, threading, time
kind, folder, known_address, *line = sys.argv[1:]
def run(command):
    return subprocess.run(command, shell=True).returncode == 0
run("ip link set lo up; echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range")
run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
if kind == "routed":
    if not run("ip link add eth9 type veth peer name out9"):
        sys.exit(77)
    run("ip link set eth9 up; ip link set out9 up; ip address add 192.0.2.2/24 dev eth9")
    run("ip address add 2001:db8:1::2/64 dev eth9 nodad; ip route add default via 192.0.2.1")
    run("ip -6 route add default via 2001:db8:1::1")
with open(f"{folder}/caller.conf", "w") as file:
    file.write("nameserver 127.0.0.1\n")
run(f"mount --bind {folder}/caller.conf /etc/resolv.conf")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = bytes(range(256)) * (int(self.path[1:]) // 256)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
class Server6(Server):
    address_family = socket.AF_INET6
def serve_udp(port, answer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        while True:
            data, peer = server.recvfrom(65535)
            server.sendto(answer(data), peer)
def resolve(query):
    end = 12 + query[12:].index(0) + 5
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(known_address)
    is_a = query[end - 4 : end - 2] == b"\0\1"
    counts = b"\0\1\0\1\0\0\0\0" if is_a else b"\0\1\0\0\0\0\0\0"
    return query[:2] + b"\x81\x80" + counts + query[12:end] + (answer if is_a else b"")
def in_background(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()
in_background(Server(("127.0.0.1", 8000), Handler).serve_forever)
if kind == "routed":
    in_background(Server6(("2001:db8:1::2", 8000), Handler).serve_forever)
in_background(serve_udp, 7, bytes)
in_background(serve_udp, 53, resolve)

def passts():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            is_here = os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
            if is_here and open(f"/proc/{pid}/comm").read().startswith("passt"):
                found.append(int(pid))
        except OSError:
            continue
    return found
process = subprocess.Popen(line, env={**os.environ, "OUTSIDE": folder})
ended = 0
while process.poll() is None:
    time.sleep(0.01)
    if os.path.exists(f"{folder}/kill-passt"):
        ended = len(passts())
        for pid in passts():
            os.kill(pid, signal.SIGKILL)
        os.rename(f"{folder}/kill-passt", f"{folder}/killed-passt")
    if os.path.exists(f"{folder}/kill-bamdmux"):
        ended = len(passts())
        process.kill()
        break
code = process.wait()
limit = time.monotonic() + 10
while passts() and time.monotonic() < limit:
    time.sleep(0.01)
print(json.dumps([code, ended, len(passts())]), file=sys.stderr, flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    output: str
    log: str
    exit_code: int
    killed_count: int  # how many passts there were when one was to be killed
    left_count: int  # how many there are afterwards


def run_behind_passt(identity: str, script: str, *options: str, kind: str = "routed") -> Outcome:
    """Run a script behind passt; ``kind`` is "routed", or "loopback": nothing but that."""
    folder = scratch()
    line = as_identity(identity, "-m", "bamdmux", "-v", "run", "--network", "passt", *options, "--")
    world = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        world += ["--user", "--map-root-user"]
    done = subprocess.run(
        [*world, sys.executable, "-c", WORLD, kind, str(folder), KNOWN_ADDRESS, *line, "sh", "-c", script],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77:
        pytest.skip("this kernel has no veth")
    assert done.returncode == 0, done.stderr
    *log, counts = done.stderr.splitlines()
    return Outcome(done.stdout, "\n".join(log), *json.loads(counts))


def digest(length: int) -> str:
    """Of what the HTTP server gives for so many bytes."""
    return hashlib.sha256(bytes(range(256)) * (length // 256)).hexdigest()
