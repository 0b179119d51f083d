"""The HTTP server: what it answers, to good requests and bad, and that nothing of it is left behind."""

import base64
import hashlib
import io
import json
import signal
import subprocess
from pathlib import Path

import pytest

from bamdmux.live.networks.demo_server import BLOCK_BYTES, PIECE_BYTES, BadBody, digest, pieces, read_body
from tests.live.identities import (
    NETWORK_PRELUDE,
    as_identity,
    environment,
    for_each_identity,
    run_python,
    wait_for,
)

pytestmark = pytest.mark.live

PRELUDE = (
    NETWORK_PRELUDE
    + """
import http.client, json, time
from bamdmux.live.addresses import Netlink
from bamdmux.live.networks.demo_server import DemoServer
def loopback_up():
    with Netlink() as netlink:
        netlink.set_up(1)
namespace.run(loopback_up)
server = DemoServer.start(namespace)
def connect(host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, server.port, timeout=10)
    namespace.run(connection.connect)
    return connection
def ask(method, path, body=None, headers={}):
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response, response.read()
def exchange(request):
    "Raw bytes there and back, until it hangs up."
    with namespace.run(lambda: socket.create_connection(("127.0.0.1", server.port), timeout=10)) as raw:
        raw.sendall(request)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    return answer.decode()
connection = connect()
"""
)


def python(identity: str, program: str) -> str:
    return run_python(identity, PRELUDE + program)


def body_of(length: int) -> bytes:
    return b"".join(bytes(piece) for piece in pieces(length))


# The bytes


@pytest.mark.parametrize(
    "length", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 9]
)
def test_the_digest_is_that_of_the_bytes(length: int) -> None:
    assert len(body_of(length)) == length
    assert digest(length) == hashlib.sha256(body_of(length)).digest()


def test_shorter_bodies_are_the_start_of_longer_ones() -> None:
    assert body_of(PIECE_BYTES + 100)[:PIECE_BYTES] == body_of(PIECE_BYTES)


def test_no_two_blocks_are_the_same() -> None:
    whole = body_of(3 * PIECE_BYTES)
    blocks = [whole[start : start + BLOCK_BYTES] for start in range(0, len(whole), BLOCK_BYTES)]
    assert len(set(blocks)) == len(blocks)


def test_the_bytes_are_the_same_for_ever() -> None:
    assert digest(1_000_000).hex() == "9e902a7d7d7c48397fa5066b894af8e4cbfdff773ea382f55bae622241a03c2f"


# Bodies


def read(body: bytes, **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    count, hasher = read_body(named, io.BufferedReader(io.BytesIO(body)))
    return count, hasher.hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_body_of_known_length() -> None:
    assert read(b"hello, more", Content_Length="5") == (5, sha256(b"hello"))


def test_a_body_in_chunks() -> None:
    chunks = b"5;name=value\r\nhello\r\n00A\r\n0123456789\r\n0\r\nTrailer: yes\r\n\r\n"
    assert read(chunks, Transfer_Encoding="chunked") == (15, sha256(b"hello0123456789"))


@pytest.mark.parametrize("length", ["-1", "x", "", "1_0", "0x5", "9" * 30, "+5", "\u0665"])
def test_a_length_that_is_none_is_400(length: str) -> None:
    with pytest.raises(BadBody, match="is no size") as refusal:
        read(b"hello", Content_Length=length)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        (b"", 400),
        (b"5\r\nhell", 400),
        (b"5\r\nhello", 400),
        (b"5\r\nhello, longer\r\n0\r\n\r\n", 400),
        (b"-5\r\nhello\r\n", 400),
        (b"5 5\r\nhello\r\n", 400),
        (b"\r\n", 400),
        (b"5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n", 400),
        (b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n", 400),
        (b"0\r\n", 400),
        (b"40000001\r\n", 413),
        (b"1\r\nx\r\n40000000\r\n", 413),
    ],
)
def test_bad_chunks_are_refused(chunks: bytes, status: int) -> None:
    with pytest.raises(BadBody) as refusal:
        read(chunks, Transfer_Encoding="chunked")
    assert refusal.value.status == status


def test_a_body_that_ends_early_is_400_and_too_long_a_one_413() -> None:
    with pytest.raises(BadBody, match="the body ends 1 bytes early"):
        read(b"hell", Content_Length="5")
    with pytest.raises(BadBody, match="exceed") as refusal:
        read(b"", Content_Length=str((1 << 30) + 1))
    assert refusal.value.status == 413


def test_another_encoding_is_501() -> None:
    with pytest.raises(BadBody, match="gzip") as refusal:
        read(b"", Transfer_Encoding="gzip, chunked")
    assert refusal.value.status == 501


# The server


@for_each_identity
def test_one_connection_serves_all_requests(identity: str) -> None:
    program = """
response, body = ask("GET", "/")
print(response.status, response.getheader("Server"), body.decode().splitlines()[0])
response, body = ask("GET", "/bytes/3000000")
print(response.status, len(body), response.getheader("Repr-Digest"))
print(ask("GET", "/sha256/3000000")[1].decode(), end="")
response, _ = ask("HEAD", "/bytes/1000")
print(response.status, response.getheader("Content-Length"))
print(ask("PUT", "/any/path", body)[1].decode(), end="")
print(ask("POST", "/", iter([b"he", b"llo"]))[1].decode(), end="")
print(ask("PUT", "/", b"", {})[1].decode(), end="")
print(ask("GET", "/nothing")[0].status)
print(ask("GET", "/bytes/0?x=1")[0].status)
"""
    lines = python(identity, program).splitlines()
    whole = body_of(3_000_000)
    assert lines[0].startswith("200 bamdmux This is the network behind a modem")
    assert lines[1] == f"200 3000000 sha-256=:{base64.b64encode(digest(3_000_000)).decode()}:"
    assert lines[2] == sha256(whole)
    assert lines[3] == "200 1000"
    assert json.loads(lines[4]) == {"bytes": len(whole), "sha256": sha256(whole)}
    assert json.loads(lines[5]) == {"bytes": 5, "sha256": sha256(b"hello")}
    assert json.loads(lines[6]) == {"bytes": 0, "sha256": sha256(b"")}
    assert lines[7:] == ["404", "200"]


def test_ipv6_is_served_as_well() -> None:
    assert python("caller", "connection = connect('::1'); print(ask('GET', '/')[0].status)") == "200"


def test_bad_requests_are_answered_and_the_next_one_is_served() -> None:
    program = """
for path in ("/bytes/x", "/bytes/-1", "/bytes/1073741825", "/bytes/" + "9" * 30, "/bytes/", "/sha256/1/2"):
    print(ask("GET", path)[0].status, end=" ")
print(ask("DELETE", "/")[0].status, end=" ")
print()
for request in (
    b"nonsense\\r\\n\\r\\n",
    b"GET / HTTP/9.9\\r\\n\\r\\n",
    b"GET /" + b"x" * 70000 + b" HTTP/1.1\\r\\n\\r\\n",
    b"PUT / HTTP/1.1\\r\\nContent-Length: x\\r\\n\\r\\n",
    b"PUT / HTTP/1.1\\r\\nTransfer-Encoding: br\\r\\n\\r\\n",
    b"\\xff\\x00\\r\\n\\r\\n",
    b"PUT / HTTP/1.1\\r\\nExpect: 100-continue\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n",
):
    print(exchange(request)[:60].split("\\r")[0].split(" Connection")[0])
connection = connect()
print(ask("GET", "/")[0].status)
"""
    lines = python("caller", program).splitlines()
    assert lines[0].strip() == "400 400 400 400 400 404 501"
    assert lines[-2:] == ["HTTP/1.1 100 Continue", "200"]


def test_a_client_that_goes_away_in_the_middle_is_no_news() -> None:
    program = """
raw = namespace.run(lambda: socket.create_connection(("127.0.0.1", server.port)))
raw.sendall(b"GET /bytes/100000000 HTTP/1.1\\r\\n\\r\\n")
raw.recv(1000)
raw.close()
print(ask("GET", "/")[0].status)
"""
    line = as_identity("caller", "-c", PRELUDE + program)
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("200\n", "")


@for_each_identity
def test_who_connects_at_once_just_waits(identity: str) -> None:
    program = """
server.stop()
for _ in range(20):
    with DemoServer.start(namespace) as server:
        connection = connect()
        print(ask("GET", "/")[0].status, end=" ")
        connection.close()
"""
    assert python(identity, program).split() == ["200"] * 20


def test_100_mb_take_well_under_a_second() -> None:
    program = """
ask("GET", "/sha256/100000000")
start = time.monotonic()
connection.request("GET", "/bytes/100000000")
response, count, buffer = connection.getresponse(), 0, bytearray(1 << 20)
while piece := response.readinto(buffer):
    count += piece
print(count, time.monotonic() - start)
"""
    count, seconds = python("caller", program).split()
    assert count == "100000000"
    assert float(seconds) < 1


@for_each_identity
def test_the_child_holds_nothing_but_its_socket_and_lives_in_the_namespace(identity: str) -> None:
    program = """
leak = os.open("/dev/zero", os.O_RDONLY)
second = DemoServer.start(namespace, port=0)
while os.readlink(f"/proc/{second.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
    time.sleep(0.01)
connection = http.client.HTTPConnection("127.0.0.1", second.port)
namespace.run(connection.connect)
print(ask("GET", "/")[0].status)
links = {os.readlink(f"/proc/{second.pid}/fd/{number}") for number in os.listdir(f"/proc/{second.pid}/fd")}
print(sorted(link.split(":")[0] for link in links if link != os.readlink("/proc/self/fd/2")))
there = namespace.run(lambda: os.readlink("/proc/thread-self/ns/net"))
print(os.readlink(f"/proc/{second.pid}/ns/net") == there)
print(open(f"/proc/{second.pid}/comm").read().strip(), os.getpgid(second.pid) == second.pid)
second.stop()
second.stop()
print(second.pid)
"""
    lines = python(identity, program).splitlines()
    assert lines == ["200", "['/dev/null', 'socket', 'socket']", "True", "bamdmux-http True", "0"]


@for_each_identity
def test_stopping_leaves_no_child(identity: str) -> None:
    program = """
pid = server.pid
server.stop()
try: os.waitpid(-1, 0)
except ChildProcessError: print("none", os.path.exists(f"/proc/{pid}"))
"""
    assert python(identity, program) == "none False"


@for_each_identity
def test_nothing_survives_a_kill_9_of_ours(identity: str) -> None:
    program = "print(server.pid, flush=True); os.kill(os.getpid(), 9)"
    line = as_identity(identity, "-c", PRELUDE + program)
    done = subprocess.run(line, env=environment(), stdout=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == -signal.SIGKILL
    status = Path(f"/proc/{int(done.stdout)}/status")
    wait_for(lambda: not status.exists() or "State:\tZ" in status.read_text(), "the end of the server")


def test_a_port_that_is_taken_is_refused_in_one_line() -> None:
    program = """
try: DemoServer.start(namespace)
except MachineError as error: print(error)
"""
    said = python("caller", program)
    assert said == "cannot serve HTTP on port 80: Address already in use; take another port"
