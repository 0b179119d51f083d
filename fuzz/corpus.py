"""The committed corpus: for each target one text file, an input a line, in hexadecimal digits.

The shortest come first; an empty line is the empty input. tests/data/fuzz/README.md says where they are from.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "tests" / "data" / "fuzz"


def corpus_path(target: str) -> Path:
    return FOLDER / f"{target}.hex"


def read_corpus(target: str) -> list[bytes]:
    """The inputs of a target; none if it has no file yet."""
    path = corpus_path(target)
    return [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_corpus(target: str, inputs: Iterable[bytes]) -> None:
    ordered = sorted(set(inputs), key=lambda octets: (len(octets), octets))
    corpus_path(target).write_text("".join(f"{octets.hex()}\n" for octets in ordered))


def variants(inputs: Sequence[bytes], count: int) -> Iterator[bytes]:
    """For each input so many that differ from it in one place; the same ones each time.

    A corpus keeps one input for each way through the code. What goes wrong on a known way with another
    number is found by these.
    """
    chance = random.Random(0)
    for octets in inputs:
        for _ in range(count):
            start = chance.randrange(len(octets) + 1)
            other = chance.choice(inputs)
            match chance.randrange(4):
                case 0 | 1:
                    changed = bytes((chance.choice((0, 1, 0xFF, chance.randrange(256))),))
                    yield octets[:start] + changed + octets[start + 1 :]
                case 2:
                    yield octets[:start] + octets[start + chance.randrange(8) :]
                case 3:
                    yield octets[:start] + other[chance.randrange(len(other) + 1) :]


def unpack(inputs: Iterable[bytes], folder: Path) -> None:
    """Write each input to a file of its own, as a fuzzer wants them."""
    for octets in inputs:
        folder.joinpath(hashlib.sha1(octets).hexdigest()).write_bytes(octets)


def pack(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]
