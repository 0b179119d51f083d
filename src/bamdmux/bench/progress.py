"""How far a run is, on stderr: one line that changes on a terminal, a line for each job elsewhere."""

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ProgressLine:
    """One line that changes; use it in a `with` block, after which nothing of it is left.

    It is drawn when there is something new and never besides: no thread of ours runs during a measurement.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        columns = (BarColumn(20), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=self._console, transient=True, auto_refresh=False)
        self._task: TaskID | None = None

    def begin(self, steps: int) -> None:
        self._task = self._progress.add_task("", total=steps)

    def is_doing(self, what: str) -> None:
        assert self._task is not None
        self._progress.update(self._task, description=what, refresh=True)

    def has_done(self, steps: int = 1) -> None:
        assert self._task is not None
        self._progress.advance(self._task, steps)

    def tell(self, line: str) -> None:
        """Nothing: the next line is there soon."""

    def note(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)

    def __enter__(self) -> "ProgressLine":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


class ProgressLog:
    """A line for each job of each round."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, steps: int) -> None:
        """Nothing: lines do not say how many there will be."""

    def is_doing(self, what: str) -> None:
        """Nothing: what has come of it says more."""

    def has_done(self, steps: int = 1) -> None:
        """As above."""

    def tell(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def note(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def __enter__(self) -> "ProgressLog":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left to be taken away."""


def progress_on(stream: TextIO) -> ProgressLine | ProgressLog:
    return ProgressLine(stream) if stream.isatty() else ProgressLog(stream)
