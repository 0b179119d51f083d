"""Run the targets under atheris, and replay what they found.

    python -m fuzz run [TARGET...] [--seconds N] [--update]   all targets, one after the other
    python -m fuzz replay TARGET HEX                          one input, without atheris
    python -m fuzz replay TARGET                              the committed corpus, without atheris

Each target runs in a process of its own, from the committed corpus on. A line for each says how many inputs
were tried, how many a second, how many edges of bamdmux's code they reached, and how many inputs the fuzzer
keeps because each reaches something that the others do not. What fails ends that target, and its command to
replay it is printed; the code is 1 then. --update writes the corpus anew, without what adds nothing.
"""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from fuzz.corpus import pack, read_corpus, unpack, variants, write_corpus

NAMES: Final = ("host_receive", "modem_uplink", "pipes", "handover", "codecs", "qmux", "control")
MAX_INPUT_BYTES: Final = 1024
RSS_LIMIT_MB: Final = 512  # more is a leak
TIMEOUT_SECONDS: Final = 10  # of one input; more is an endless loop
ROOT: Final = Path(__file__).resolve().parent.parent
LAST_LINE: Final = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\S+).* rss: (\d+)Mb")


@dataclass(frozen=True, slots=True)
class Result:
    """What libFuzzer says at its end."""

    run_count: int
    edge_count: int
    input_count: int
    input_bytes: str
    memory_megabytes: int


@click.group(help=f"\b\n{__doc__}".replace("\n\n", "\n\n\b\n"))
def main() -> None:
    pass


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[TARGET]...")
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(min=1), help="For each.")
@click.option("--update", is_flag=True, help="Write the committed corpus anew.")
def run(names: tuple[str, ...], seconds: int, update: bool) -> None:
    """Fuzz the targets, or all of them."""
    if importlib.util.find_spec("atheris") is None:
        raise click.ClickException(
            "atheris is not installed, which `make fuzz` does; it exists for x86_64 only"
        )
    print(f"{'target':<14}{'runs':>12}{'runs/s':>10}{'edges':>8}{'corpus':>8}{'bytes':>8}{'memory':>9}")
    failures = [name for name in names or NAMES if not fuzz(name, seconds, update)]
    sys.exit(1 if failures else 0)


@main.command()
@click.argument("name", type=click.Choice(NAMES), metavar="TARGET")
@click.argument("octets", required=False, metavar="[HEX]")
@click.option("--variants", "variant_count", default=0, help="Of each input of the corpus, as many besides.")
def replay(name: str, octets: str | None, variant_count: int) -> None:
    """Play one input, or all of a target's corpus."""
    from fuzz.targets import TARGETS

    inputs = read_corpus(name) if octets is None else [bytes.fromhex(octets)]
    inputs += list(variants(inputs, variant_count))
    for data in inputs:
        try:
            TARGETS[name].check(data)
        except BaseException:
            print(f"this one fails:\n  {replay_command(name, data)}", file=sys.stderr)
            raise
    print(f"{name}: {len(inputs)} inputs, all is well")


@main.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("name", type=click.Choice(NAMES))
@click.argument("arguments", nargs=-1)
def child(name: str, arguments: tuple[str, ...]) -> None:
    """Be the process in which a target runs, with these arguments for libFuzzer."""
    import atheris  # type: ignore[import-untyped]  # carries no types; only `make fuzz` installs it

    with atheris.instrument_imports(include=["bamdmux"]):
        from fuzz.targets import TARGETS
    # To merge, libFuzzer starts itself again, by the first word of its command line in a shell.
    itself = f"{sys.executable} -m fuzz child {name} --"
    atheris.Setup([itself, *arguments], TARGETS[name].check)
    atheris.Fuzz()


def fuzz(name: str, seconds: int, update: bool) -> bool:
    """Run one target, and say what came of it; whether all was well."""
    with tempfile.TemporaryDirectory(prefix="bamdmux-fuzz-") as scratch:
        corpus, minimized, crashes = (Path(scratch, folder) for folder in ("corpus", "minimized", "crashes"))
        for folder in (corpus, minimized, crashes):
            folder.mkdir()
        unpack(read_corpus(name), corpus)
        output = call(
            name,
            Path(scratch),
            *(f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", f"-rss_limit_mb={RSS_LIMIT_MB}"),
            *("-len_control=20", f"-timeout={TIMEOUT_SECONDS}", f"-artifact_prefix={crashes}/", str(corpus)),
        )
        if update:
            output_of_merge = call(name, Path(scratch), "-merge=1", str(minimized), str(corpus))
            if not (inputs := pack(minimized)):
                sys.exit(f"nothing is left of {name}'s corpus:\n{output_of_merge}")
            write_corpus(name, inputs)
        found = LAST_LINE.search(output)
        if (crash := next(iter(crashes.iterdir()), None)) is not None or found is None:
            show_failure(name, output, crash)
            return False
        runs, edges, _, input_count, input_bytes, memory = found.groups()
        show(name, seconds, Result(int(runs), int(edges), int(input_count), input_bytes, int(memory)))
        return True


def call(name: str, scratch: Path, *arguments: str) -> str:
    """Run libFuzzer on a target; what it says."""
    command = [sys.executable, "-m", "fuzz", "child", name, "--", *arguments]
    environment = {**os.environ, "TMPDIR": os.fspath(scratch)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.stdout.decode(errors="replace")


def show(name: str, seconds: int, result: Result) -> None:
    print(
        f"{name:<14}{result.run_count:>12,}{result.run_count / seconds:>10,.0f}{result.edge_count:>8,}"
        f"{result.input_count:>8,}{result.input_bytes:>8}{result.memory_megabytes:>6} MB",
        flush=True,
    )


def show_failure(name: str, output: str, crash: Path | None) -> None:
    print(f"{name} failed:\n" + "\n".join(output.splitlines()[-40:]))
    if crash is not None:
        print(f"\nreplay it with:\n  {replay_command(name, crash.read_bytes())}")


def replay_command(name: str, data: bytes) -> str:
    return f"{os.path.relpath(sys.executable)} -m fuzz replay {name} {data.hex()}"


if __name__ == "__main__":
    main()
