"""Host and modem as two processes for a long time: each is killed under load, and the bytes are counted.

Two phases, each with a size of its own:

    deaths    kill -9 of host or modem at random under iperf3, N times. The same TCP connection goes on.
              Whoever lives through deaths of the other must not grow: descriptors, mappings, memory.
    bytes     N bytes down and N bytes up, with their SHA-256 on both sides.

At the end no process of ours is left, and so no namespace. Run it as `make soak`; how far it has come is said
on stderr, a failure ends it with code 1.
"""

import hashlib
import json
import os
import random
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from tests.live.identities import stage, wait_for
from tests.live.split.processes import GATEWAY, Load, Pair, Program

GIBIBYTE = 1 << 30
GROWTH_LIMIT_KB = 4096
TRANSFER_SECONDS = 3600
PROGRESS_SECONDS = 10


class Survivor:
    """One of the two processes, and what it had when it had lived through its first death of the other."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.deaths = 0
        self.descriptors: list[str] = []
        self.rss_kilobytes = 0

    def lived_through_one(self) -> None:
        self.deaths += 1
        if self.deaths == 1:
            self.descriptors, self.rss_kilobytes = self.program.descriptors(), self.program.rss_kilobytes()

    def check(self) -> None:
        """See that it has not grown."""
        if not self.deaths:
            return
        name = self.program.log_path.stem
        wait_for(lambda: self.program.descriptors() == self.descriptors, f"{name} to close what it opened")
        grown = self.program.rss_kilobytes() - self.rss_kilobytes
        assert grown < GROWTH_LIMIT_KB, f"{name} grew by {grown} KiB in {self.deaths} deaths of the other"
        maps = self.program.maps_of_memory()
        assert maps <= 1, f"{name} has {maps} memories mapped"


def die(count: int, identity: str, dice: random.Random) -> None:
    """Kill either so many times under load."""
    with ExitStack() as stack:
        load = Load(identity, stack)
        load.start_iperf()
        port = load.connection()[0]
        host, modem = Survivor(load.host), Survivor(load.modem)
        victim_is_modem, said_at = True, time.monotonic()
        for number in range(1, count + 1):
            # Mostly the same one for a while: so that the other lives through many of its deaths.
            if dice.random() < 0.05:
                victim_is_modem = not victim_is_modem
            if victim_is_modem:
                modem.check()
                load.modem.kill()
                load.start_modem()
                modem = Survivor(load.modem)
                load.wait_for_progress()
                host.lived_through_one()
            else:
                host.check()
                load.host.kill()
                load.start_host()
                host = Survivor(load.host)
                load.wait_for_progress()
                modem.lived_through_one()
            if time.monotonic() - said_at > PROGRESS_SECONDS or number == count:
                said_at = time.monotonic()
                print(
                    f"deaths: {number} of {count}, {load.acked() >> 20} MiB so far",
                    file=sys.stderr,
                    flush=True,
                )
        host.check()
        modem.check()
        assert load.connection()[0] == port, "the TCP connection is another one"


def carry(count: int, identity: str) -> None:
    """So many bytes each way, none of them changed."""
    with ExitStack() as stack:
        pair = Pair(identity, stack)
        url = f"http://{GATEWAY}"
        expected = pair.place.shell(f"curl -s {url}/sha256/{count}", TRANSFER_SECONDS)
        begin = time.monotonic()
        arrived = pair.place.shell(f"curl -s {url}/bytes/{count} | sha256sum", TRANSFER_SECONDS).split()[0]
        assert arrived == expected, f"down: SHA-256 {arrived} is not {expected}"
        print(
            f"bytes: {count} down, {rate(count, begin):.0f} Mbit/s, SHA-256 equal",
            file=sys.stderr,
            flush=True,
        )
        begin = time.monotonic()
        script = f"head -c {count} /dev/zero | curl -s -T - {url}/"
        answer = json.loads(pair.place.shell(script, TRANSFER_SECONDS))
        assert answer == {"bytes": count, "sha256": sha256_of_zeroes(count)}, f"up: {answer}"
        print(
            f"bytes: {count} up, {rate(count, begin):.0f} Mbit/s, SHA-256 equal", file=sys.stderr, flush=True
        )
        wait_for(lambda: pair.host.end() == 0, "the host to leave")


def rate(count: int, begin: float) -> float:
    return count * 8 / 1e6 / (time.monotonic() - begin)


def sha256_of_zeroes(count: int) -> str:
    hasher, block = hashlib.sha256(), bytes(1 << 20)
    for _ in range(count >> 20):
        hasher.update(block)
    hasher.update(bytes(count & (1 << 20) - 1))
    return hasher.hexdigest()


def processes_left() -> list[str]:
    """What still runs of all that was started: each has our folder in its environment."""
    mark, found = os.fsencode(stage()), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or not ours to look at
            if mark in (process / "environ").read_bytes():
                found.append(process.name)
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--deaths", type=click.IntRange(min=0), default=1000, show_default=True, help="Of either.")
@click.option("--bytes", "byte_count", type=click.IntRange(min=0), default=GIBIBYTE, show_default=True)
@click.option("--identity", type=click.Choice(["caller", "nobody"]), default="caller", show_default=True)
@click.option("--seed", type=int, default=None, help="Which one dies when; the default is drawn, and said.")
def main(deaths: int, byte_count: int, identity: str, seed: int | None) -> None:
    """Let host and modem die, and carry bytes, for as long as it takes."""
    if seed is None:
        seed = random.randrange(1 << 32)
    print(f"seed {seed}", file=sys.stderr, flush=True)
    if byte_count:
        carry(byte_count, identity)
    if deaths:
        die(deaths, identity, random.Random(seed))
    wait_for(lambda: not processes_left(), "everything to be gone")
    print("nothing is left", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
