"""The keeper: it runs inside the command's namespaces, starts a manager of modems there, and tends it.

    init -- command's process: forks the keeper, waits for its word, becomes the command
      '---- keeper: D-Bus daemon, authority, ModemManager or oFono

The keeper is an orphan on purpose: its parent is init, so the command finds no children that it did not make.
It says one line to the waiting process, that the command may start or why not, and lives as long as the
namespaces. It is a program of its own, so that nothing of it costs a run that does not ask for it.

What each manager needs is in a module of its own, with a coroutine `tend(keeper)`.
"""

import asyncio
import importlib
import json
import os
import shutil
import signal
import subprocess
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bamdmux.errors import BamDmuxError, MachineError
from bamdmux.live.clients.managers import MANAGERS, log_path

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus


def main(kind: str, folder: str, argv: Sequence[str]) -> NoReturn:
    """Start the keeper, wait until it is ready, and become the command."""
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):
            signal.signal(signum, signal.SIG_DFL)  # the command shall find nothing of Python's
    if shutil.which(argv[0]) is None:
        _become(argv)  # which says why not
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.setsid()
        if os.fork() == 0:
            _keep(kind, Path(folder), writer)
        os._exit(0)
    os.wait()
    os.close(writer)
    with os.fdopen(reader) as words:
        answer = json.loads(words.readline() or '{"error": "the keeper died; is memory short?"}')
    if "error" in answer:
        _say(answer["error"])
        os._exit(1)
    _say(answer["ready"])
    os.environ.update(answer["environment"])
    _become(argv)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"bamdmux: {text}\n".encode())


def _become(argv: Sequence[str]) -> NoReturn:
    from bamdmux.live.command import ExecFailed
    from bamdmux.live.init import NOT_EXECUTABLE, NOT_FOUND, is_found

    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        number = error.errno if is_found(argv[0], os.environ) else ENOENT
        _say(ExecFailed(argv[0], number or 0).message)
        os._exit(NOT_FOUND if number == ENOENT else NOT_EXECUTABLE)


def _keep(kind: str, folder: Path, writer: int) -> NoReturn:
    """Be the keeper; everything that it and its children say goes to a file."""
    stderr = os.dup(2)
    log = os.open(log_path(kind, folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    keeper = Keeper(kind, folder, log, writer, stderr)
    try:
        asyncio.run(keeper.tend())
    except BamDmuxError as error:
        keeper.refuse(str(error))
    except Exception as error:
        traceback.print_exc()
        keeper.refuse(f"the keeper of {kind} has failed: {error!r}")
    finally:
        os._exit(1)


class Keeper:
    """What a manager's module has to work with.

    Attributes:
        folder: this run's own; its control socket is in there.
        log: a descriptor for all that programs say.
        bus: the D-Bus, with us as the authority on it.
        environment: what a program needs to find that bus.
    """

    bus: "MessageBus"
    environment: Mapping[str, str]

    def __init__(self, kind: str, folder: Path, log: int, writer: int, stderr: int) -> None:
        self.kind = kind
        self.folder = folder
        self.log = log
        self._writer = writer  # to the waiting process; -1 once it has had its word
        self._stderr = stderr

    async def tend(self) -> None:
        """Start everything, and let the manager's module go on from there."""
        from dbus_fast.aio import MessageBus

        from bamdmux.live.clients.authority import serve_authority
        from bamdmux.live.clients.bus import Bus

        daemon = Bus(self.folder, self.log)
        self.environment = daemon.environment()
        self.bus = await MessageBus(bus_address=daemon.address).connect()
        await serve_authority(self.bus)
        module, _, _ = MANAGERS[self.kind]
        await importlib.import_module(module).tend(self)
        await asyncio.Event().wait()  # the bus and its authority stay

    def start(self, line: Sequence[str], prepare: Callable[[], None] | None = None) -> "asyncio.Task[int]":
        """Start a program on the bus; a task that ends when it does, with its exit code.

        Whoever cancels the task kills the program.

        Args:
            prepare: called in the new process, just before it becomes the program.
        """
        process = subprocess.Popen(
            list(line),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=prepare,
        )
        return asyncio.create_task(_wait_for_end(process))

    def ready(self, text: str) -> None:
        """Let the command start."""
        self._answer({"ready": text, "environment": dict(self.environment)})

    def refuse(self, text: str) -> None:
        """There is no manager: let the run end, and say why; a command that runs already goes on."""
        if self._writer < 0:
            self.say(f"{text}; the command goes on")
        else:
            self._answer({"error": text})

    def _answer(self, answer: Mapping[str, object]) -> None:
        with suppress(BrokenPipeError):  # it was killed while it waited
            os.write(self._writer, json.dumps(answer).encode() + b"\n")
        os.close(self._writer)
        self._writer = -1

    def say(self, text: str) -> None:
        """Tell whoever reads the command's stderr."""
        with suppress(OSError):
            os.write(self._stderr, f"bamdmux: {text}\n".encode())

    def last_words(self) -> str:
        """The end of the log, which is gone with the run."""
        lines = log_path(self.kind, self.folder).read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")

    def explain_end(self, name: str, code: int) -> MachineError:
        """A program has ended although nobody asked it to."""
        how = f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.Signals(-code).name}"
        return MachineError(f"{name} has ended ({how}); its last words: {self.last_words()}")


async def _wait_for_end(process: "subprocess.Popen[bytes]") -> int:
    descriptor = os.pidfd_open(process.pid)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    except asyncio.CancelledError:
        process.kill()
        process.wait()
        raise
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()
