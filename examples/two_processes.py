"""Host and modem as separate programs; then the modem is killed, and its successor carries on.

In two terminals, both as root (or both in one `unshare --user --map-root-user --net`), it would be

    bamdmux modem --listen /tmp/modem
    bamdmux host --connect /tmp/modem

and in a third: ip address add 10.64.0.2/30 dev wwan0; ip link set wwan0 up; curl 10.64.0.1
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BAMDMUX = [sys.executable, "-m", "bamdmux", "-q"]
OWN_NETWORK = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]


def main() -> int:
    if len(sys.argv) == 1:  # once more, in a network namespace where we may make interfaces
        return subprocess.call([*OWN_NETWORK, sys.executable, __file__, "inside"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "modem")
        modem = subprocess.Popen([*BAMDMUX, "modem", "--listen", path])
        host = subprocess.Popen([*BAMDMUX, "host", "--connect", path], stderr=subprocess.DEVNULL)
        wait_for(lambda: output_of("ip link show wwan0"))
        output_of("ip address add 10.64.0.2/30 dev wwan0 && ip link set wwan0 up")
        print("first modem ", wait_for(lambda: output_of("curl -s 10.64.0.1"))[:39])
        modem.kill()
        wait_for(lambda: "NO-CARRIER" in output_of("ip link show wwan0"))
        print("killed       wwan0 stays:", output_of("ip -4 -br address show wwan0"))
        modem = subprocess.Popen([*BAMDMUX, "modem", "--listen", path])
        print("second modem", wait_for(lambda: output_of("curl -s 10.64.0.1"))[:39])
        for process in (host, modem):
            process.terminate()
            process.wait()
    return 0


def output_of(script: str) -> str:
    done = subprocess.run(script, shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


def wait_for(condition):
    end = time.monotonic() + 20
    while not (value := condition()):
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.05)
    return value


if __name__ == "__main__":
    sys.exit(main())
