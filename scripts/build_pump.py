"""Build the native pump, src/bamdmux/_pump.c: a hook of hatchling, and a command.

Whoever builds a wheel gets the pump in it, for any CPython from 3.11 on (abi3). Without a compiler or without
Python.h the wheel is pure Python; it does the same, slower, and one line says so. ``CC``, ``CFLAGS`` and
``LDFLAGS`` are heeded. As a command it builds the pump beside its source, for PYTHONPATH=src:

    python scripts/build_pump.py
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path("src/bamdmux/_pump.c")
LIBRARY = "_pump.abi3.so"
FLAGS = ("-O3", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden", "-shared")


class CannotBuild(Exception):
    """There will be no pump; the message says why."""


class PumpHook(BuildHookInterface):
    """Put the pump into a wheel; for an editable install, beside its source."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bamdmux-"))
        library = (Path(self.root, SOURCE.parent) if version == "editable" else self._folder) / LIBRARY
        try:
            compile_pump(library)
        except CannotBuild as error:
            self.app.display_warning(f"bamdmux is installed without its native pump, and slower: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{sysconfig.get_platform().translate(str.maketrans('-.', '__'))}"
        if version != "editable":
            build_data["force_include"][str(library)] = f"bamdmux/{LIBRARY}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._folder)


def compile_pump(library: Path) -> None:
    """Compile the pump into `library`.

    Raises:
        CannotBuild: this machine, or this Python, has not what that takes.
    """
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise CannotBuild("this Python has no stable ABI")
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").exists():
        raise CannotBuild(f"there is no {headers}/Python.h; on Debian: apt-get install python3-dev")
    environment = os.environ
    command = [
        *(*_find_compiler(), *FLAGS, *shlex.split(environment.get("CFLAGS", "")), f"-I{headers}"),
        *(str(SOURCE), "-o", str(library), *shlex.split(environment.get("LDFLAGS", ""))),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    if done.returncode:
        raise CannotBuild(f"{command[0]} failed")


def _find_compiler() -> list[str]:
    chosen = os.environ.get("CC")
    for candidate in [chosen] if chosen else [sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]:
        words = shlex.split(candidate or "")
        if words and shutil.which(words[0]):
            return words
    raise CannotBuild("there is no C compiler; on Debian: apt-get install gcc libc6-dev")


if __name__ == "__main__":
    try:
        compile_pump(ROOT / SOURCE.parent / LIBRARY)
    except CannotBuild as error:
        sys.exit(f"no pump: {error}")
