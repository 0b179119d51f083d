"""Run each test file alone and measure the coverage of its own module.

tests/host/test_power.py is run by itself against bamdmux.host.power; a test file named after a package
measures the whole package. The installed package is measured, as in every other test. Fails if a test fails,
or if a module of the packages in FULL is not covered to the last branch by its own test file. Tests marked
slow are left out; a test file of live/ runs alone, the others as many at a time as there are processors.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "bamdmux"
TESTS = ROOT / "tests"
FULL = ("wire", "bam", "host", "modem")  # each module here: 100 %


@dataclass(frozen=True, slots=True)
class Pair:
    """A test file, and the module or package (relative to bamdmux) that it is named after."""

    test: Path
    target: Path

    @property
    def name(self) -> str:
        return ".".join(self.target.with_suffix("").parts)


@dataclass(frozen=True, slots=True)
class Result:
    """What one test file reached; ``failure`` is the output of a test run that failed."""

    statement_count: int
    branch_count: int
    percent: float
    missing: str
    failure: str = ""


def find_pairs() -> tuple[list[Pair], list[Path]]:
    """Return the pairs, and the modules of FULL that no test file is named after."""
    pairs = []
    for test in sorted(TESTS.rglob("test_*.py")):
        target = test.relative_to(TESTS).with_name(test.name.removeprefix("test_"))
        if (SOURCE / target).is_file():
            pairs.append(Pair(test, target))
        elif (SOURCE / target.with_suffix("") / "__init__.py").is_file():
            pairs.append(Pair(test, target.with_suffix("")))
    paired = {pair.target for pair in pairs}
    modules = [path.relative_to(SOURCE) for name in FULL for path in sorted((SOURCE / name).rglob("*.py"))]
    orphans = [
        module
        for module in modules
        if module.name != "__init__.py" and not paired.intersection((module, *module.parents))
    ]
    return pairs, orphans


def measure(pair: Pair, package: Path) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder, "data"), Path(folder, "report.json")
        target = package / pair.target
        include = str(target if target.suffix else target / "*")
        coverage = [sys.executable, "-m", "coverage"]
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", str(pair.test)]
        run = call([*coverage, "run", f"--data-file={data}", f"--include={include}", *pytest])
        if run.returncode:
            return Result(0, 0, 0.0, "tests failed", failure=run.stdout)
        call([*coverage, "json", f"--data-file={data}", "-o", str(report)])
        if not report.exists():
            return Result(0, 0, 0.0, "never imported")
        return read_report(json.loads(report.read_text()))


def call(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_report(report: dict[str, Any]) -> Result:
    totals = report["totals"]
    missing = []
    for path, file in report["files"].items():
        prefix = f"{Path(path).name}:" if len(report["files"]) > 1 else ""
        lines = [str(line) for line in file["missing_lines"]]
        branches = [
            f"{start}->{end if end > 0 else 'exit'}"
            for start, end in file["missing_branches"]
            if end not in file["missing_lines"] and start not in file["missing_lines"]
        ]
        missing += [prefix + place for place in lines + branches]
    shown = " ".join(missing[:12]) + (" ..." if len(missing) > 12 else "")
    return Result(totals["num_statements"], totals["num_branches"], totals["percent_covered"], shown)


def main() -> int:
    spec = importlib.util.find_spec("bamdmux")
    assert spec is not None, "bamdmux is not installed: run `make coverage-by-module`"
    assert spec.origin is not None
    package = Path(spec.origin).parent

    pairs, orphans = find_pairs()
    together = [pair for pair in pairs if pair.target.parts[0] != "live"]
    alone = [pair for pair in pairs if pair.target.parts[0] == "live"]
    failures: list[tuple[Pair, Result]] = []

    print(f"{'module':<36}{'lines':>7}{'branches':>10}{'covered':>10}  missing")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(measure, together, [package] * len(together))
        for pair, result in zip(together, results, strict=True):
            show(pair, result, failures)
    for pair in alone:
        show(pair, measure(pair, package), failures)

    for pair, result in failures:
        if result.failure:
            print(f"\n{pair.test.relative_to(ROOT)} failed:\n{result.failure}")
    for module in orphans:
        print(f"bamdmux/{module} has no tests/{module.with_name('test_' + module.name)}")
    if failures or orphans:
        print(f"\n{len(failures) + len(orphans)} of {len(pairs) + len(orphans)} modules fall short")
    return 1 if failures or orphans else 0


def show(pair: Pair, result: Result, failures: list[tuple[Pair, Result]]) -> None:
    fails = bool(result.failure) or (pair.target.parts[0] in FULL and result.percent < 100)
    if fails:
        failures.append((pair, result))
    mark = "  FAILED" if fails else ""
    numbers = f"{result.statement_count:>7}{result.branch_count:>10}{result.percent:>8.1f} %"
    print(f"{pair.name:<36}{numbers}  {result.missing}{mark}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
