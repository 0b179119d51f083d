"""Mutation testing: put one small bug after another into a module, and see that its tests notice.

A module is judged by its own test file alone, as in `make coverage-by-module`: src/bamdmux/x/y.py by
tests/x/test_y.py. A mutant is killed if a test fails, or if the tests take several times as long as they
should; else it survived. Survivors that cannot or need not be killed are listed in docs/mutants.md.

All happens in a copy of the tree, in a temporary folder. One process imports what the tests need but for
bamdmux itself, and forks once for each mutant. The child puts the mutant in the place of its module when that
is imported, and runs the tests, the quick ones first. What tests draw by chance is the same each time.

Ends with code 1 if a module's score is below LEAST_SCORE, if a survivor is not listed, or if a mutant that is
listed was killed or is none.
"""

import importlib
import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Final

import click
import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.fspath(ROOT))

from scripts.mutant_operators import Mutant, find_mutants  # noqa: E402 - needs the path

MODULES: Final = ("wire/*.py", "bam/*.py", "modem/power.py", "host/*.py")
LISTED_IN: Final = "docs/mutants.md"
LEAST_SCORE: Final = 90
COPIED: Final = ("src", "tests", "pyproject.toml", LISTED_IN)

# What a child may use: processor time, which other programs cannot take from it; time on the clock; memory.
LIMIT_FACTOR: Final = 5
LIMIT_EXTRA_SECONDS: Final = 2
CLOCK_LIMIT_SECONDS: Final = 120
MEMORY_LIMIT_BYTES: Final = 2 << 30

KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"


@dataclass(slots=True)
class Module:
    """A module, what its tests are like without any bug, and what became of its mutants."""

    name: str  # as in host/power.py
    mutants: list[Mutant]
    durations: dict[str, float] = field(default_factory=dict)  # of each test
    cpu_seconds: float = 0.0  # of all tests
    outcomes: dict[str, str] = field(default_factory=dict)  # by the mutants' keys

    @property
    def source(self) -> Path:
        return Path("src/bamdmux", self.name)

    @property
    def test(self) -> Path:
        return Path("tests", self.name).with_name("test_" + self.source.name)


# In a child


class MutatedLoader(SourceFileLoader):
    """Loads a module as if its file said something else."""

    source: bytes

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


@dataclass(frozen=True, slots=True)
class MutantFinder:
    """Stands first in sys.meta_path, and knows one module."""

    module: Module
    source: bytes

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != "bamdmux." + self.module.name.removesuffix(".py").replace("/", "."):
            return None
        loader = MutatedLoader(fullname, os.fspath(self.module.source.resolve()))
        loader.source = self.source
        return importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)


@dataclass(slots=True)
class Order:
    """A plugin of pytest that runs the quickest tests first, and writes down how long each takes."""

    durations: dict[str, float]
    measured: Counter[str] = field(default_factory=Counter)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.durations.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.measured[report.nodeid] += report.duration


def run_tests(module: Module, source: bytes, order: Order) -> int:
    """Run the tests of a module as if `source` were in its file; what pytest ends with."""
    import hypothesis  # the parent has it, but not before there is a place for its files

    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),  # a bug found need not be made small
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("mutants")
    sys.meta_path.insert(0, MutantFinder(module, source))  # type: ignore[arg-type]
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", os.fspath(module.test)], plugins=[order])


def fork(work: Callable[[], int], output: Path, cpu_limit: float) -> int:
    """Run `work` in a child, which ends with what it returns; the child's number."""
    if child := os.fork():
        return child
    code = 3
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who ends us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(CLOCK_LIMIT_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, cpu_limit)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


# In the parent


def measure(module: Module, folder: Path) -> None:
    """Run the tests as they are, which must pass; from now on, forks have what they import."""
    output, answer = folder / "output", folder / "answer"

    def work() -> int:
        began, order = time.process_time(), Order({})
        code = run_tests(module, module.source.read_bytes(), order)
        ours = ("bamdmux", "tests", "__main__")
        imported = [name for name in sys.modules if name.partition(".")[0] not in ours]
        answer.write_text(json.dumps((order.measured, time.process_time() - began, imported)))
        return code

    _, status = os.waitpid(fork(work, output, CLOCK_LIMIT_SECONDS), 0)
    if status != 0:
        raise click.ClickException(f"{module.test} fails without any mutant:\n{output.read_text()}")
    module.durations, module.cpu_seconds, imported = json.loads(answer.read_text())
    for name in imported:
        with suppress(ImportError):
            importlib.import_module(name)


def judge(module: Module, jobs: int) -> None:
    """Run the tests of a module against each of its mutants, some at a time."""
    limit = module.cpu_seconds * LIMIT_FACTOR + LIMIT_EXTRA_SECONDS
    running: dict[int, Mutant] = {}
    left = iter(module.mutants)
    try:
        while len(module.outcomes) < len(module.mutants):
            while len(running) < jobs and (mutant := next(left, None)):
                work = partial(run_tests, module, mutant.source, Order(module.durations))
                running[fork(work, Path(os.devnull), limit)] = mutant
            child, status = os.wait()
            module.outcomes[running.pop(child).key] = outcome_of(status)
            if sys.stderr.isatty():
                progress = f"{module.name}: {len(module.outcomes)} of {len(module.mutants)}"
                print(f"\r{progress}\x1b[K\r", end="", file=sys.stderr, flush=True)
    finally:
        for child in running:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def outcome_of(status: int) -> str:
    """What the end of a child says about its mutant."""
    if os.WIFSIGNALED(status):
        return TIMED_OUT if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM) else KILLED
    code = os.WEXITSTATUS(status)
    assert code in (0, 1, 2, 3), (
        f"pytest ended with {code}"
    )  # failed, not importable, raised inside of pytest
    return KILLED if code else SURVIVED


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of what the tests read, as the current folder; it is removed whatever happens."""
    with tempfile.TemporaryDirectory(prefix="bamdmux-mutants-") as folder:
        copy = Path(folder, "tree")
        for name in COPIED:
            copy.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, copy / name)
        os.chdir(copy)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.path.join(folder, "hypothesis")
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.path[:0] = [os.fspath(copy / "src"), os.fspath(copy)]
        try:
            yield Path(folder)
        finally:
            os.chdir(ROOT)


def find_modules(patterns: tuple[str, ...]) -> list[Module]:
    modules = []
    for pattern in patterns:
        paths = sorted(Path("src/bamdmux").glob(pattern))
        if not paths:
            raise click.UsageError(f"no module is called {pattern}: name it as host/power.py or 'wire/*.py'")
        for path in paths:
            name = path.relative_to("src/bamdmux").as_posix()
            if mutants := find_mutants(name, path.read_bytes()):
                modules.append(Module(name, mutants))
    return modules


# What is said


def score(outcomes: list[str]) -> float:
    return 100 * (1 - outcomes.count(SURVIVED) / len(outcomes))


def row(name: str, outcomes: list[str]) -> str:
    counts = [len(outcomes), *(outcomes.count(outcome) for outcome in (KILLED, TIMED_OUT, SURVIVED))]
    return f"{name:<22}" + "".join(f"{count:>11}" for count in counts) + f"{score(outcomes):>9.1f} %"


def report_survivors(modules: list[Module]) -> bool:
    """Show who survived; whether the list in docs/mutants.md is right about that."""
    blocks = re.findall(r"^```survivors\n(.*?)^```", Path(LISTED_IN).read_text(), re.DOTALL | re.MULTILINE)
    listed = {key for block in blocks for key in block.splitlines()}
    names = [module.name for module in modules]
    stale = {key for key in listed if key.partition(" ")[0] in names}
    unlisted_count = 0
    for module in modules:
        for mutant in module.mutants:
            if module.outcomes[mutant.key] == SURVIVED:
                unlisted_count += mutant.key not in listed
                stale.discard(mutant.key)
                mark = "" if mutant.key in listed else f" (not listed in {LISTED_IN})"
                print(f"{module.source}:{mutant.line}{mark}\n{mutant.key}")
    for key in sorted(stale):
        print(f"listed in {LISTED_IN}, but killed or gone:\n{key}")
    return not unlisted_count and not stale


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.argument("patterns", nargs=-1, metavar="[MODULE]...")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count(), help="How many at a time.")
def main(patterns: tuple[str, ...], jobs: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with copied_tree() as folder:
        modules = find_modules(patterns or MODULES)
        print(f"{'module':<22}    mutants     killed  timed out   survived      score")
        for module in modules:
            measure(module, folder)
            judge(module, jobs)
            print(row(module.name, list(module.outcomes.values())), flush=True)
        print(row("all", [outcome for module in modules for outcome in module.outcomes.values()]))
        is_right = report_survivors(modules)
    low = [module.name for module in modules if score(list(module.outcomes.values())) < LEAST_SCORE]
    if low:
        print(f"below {LEAST_SCORE} %: {' '.join(low)}")
    sys.exit(bool(low) or not is_right)


if __name__ == "__main__":
    main()
