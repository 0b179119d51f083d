"""Links for a long time: the bytes are counted, the memory is watched, and under load processes are killed.

Three phases, each with a size of its own:

    bytes     N bytes down and N bytes up at once, with their SHA-256 on both sides, in every configuration:
              one process and two, rings of 32 and 512, the native pump and Python's, several bearers at once.
    memory    some of these links at once under load for N minutes: none of their processes grows.
    deaths    kill -9 of host or modem at random under iperf3, N times. The same TCP connection goes on.
              Whoever lives through deaths of the other must not grow: descriptors, mappings, memory.

At the end no process of ours is left, and so no namespace. Run it as `make soak`; how far it has come is said
on stderr, a failure ends it with code 1.
"""

import os
import random
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))

from tests.live.configurations import CONFIGURATIONS, GROWTH_LIMIT_KB, WATCHED, carry, watch_memory
from tests.live.identities import stage, wait_for
from tests.live.split.processes import Load, Program

GIBIBYTE = 1 << 30
DEATHS_GROWTH_LIMIT_KB = 4096
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
        assert grown < DEATHS_GROWTH_LIMIT_KB, (
            f"{name} grew by {grown} KiB in {self.deaths} deaths of the other"
        )
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
                say(f"deaths: {number} of {count}, {load.acked() >> 20} MiB so far")
        host.check()
        modem.check()
        assert load.connection()[0] == port, "the TCP connection is another one"


def carry_everywhere(count: int, identity: str) -> None:
    """So many bytes each way at once, in every configuration, none of them changed."""
    for configuration in CONFIGURATIONS:
        rate = carry(configuration, count, identity)
        megabits = f"{rate / 1e6:.0f} Mbit/s"
        say(f"bytes: {count} down and up at once, {megabits}, SHA-256 equal: {configuration.name}")


def stay_flat(minutes: float, identity: str) -> None:
    """Several links under load at once, and none of their processes grows."""
    for growth in watch_memory(WATCHED, 60 * minutes, identity):
        kilobytes, grown = growth.kilobytes[-1], growth.grown
        assert grown < GROWTH_LIMIT_KB, f"memory: {growth.name} grew by {grown} KiB to {kilobytes} KiB"
        say(f"memory: {kilobytes} KiB, {grown} more than when it was warm: {growth.name}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
@click.option("--minutes", type=click.FloatRange(min=0), default=10, show_default=True, help="Of load.")
@click.option("--identity", type=click.Choice(["caller", "nobody"]), default="caller", show_default=True)
@click.option("--seed", type=int, default=None, help="Which one dies when; the default is drawn, and said.")
def main(deaths: int, byte_count: int, minutes: float, identity: str, seed: int | None) -> None:
    """Carry bytes, watch memory, and let host and modem die, for as long as it takes."""
    if seed is None:
        seed = random.randrange(1 << 32)
    say(f"seed {seed}")
    if byte_count:
        carry_everywhere(byte_count, identity)
    if minutes:
        stay_flat(minutes, identity)
    if deaths:
        die(deaths, identity, random.Random(seed))
    wait_for(lambda: not processes_left(), "everything to be gone")
    say("nothing is left")


if __name__ == "__main__":
    main()
