"""A run: everybody is set up once, and then they take turns.

    round 1: job 1: A B C    job 2: A B C    ...
    round 2: job 1: B C A    job 2: B C A    ...

What is not measured stands and waits, and must cost nothing. Two links that are compared have done their
work within seconds of one another; and since each round begins with another link, none is always the one
after a busy one. What fails is noted and left out, in that round or for good; it never ends the run.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bamdmux.bench import machine
from bamdmux.bench.jobs import IPERF3, Job, serve, warm_up
from bamdmux.bench.peers import COMPILER, Contender
from bamdmux.bench.place import Place, carries_packets, listen_at_door
from bamdmux.bench.results import Participant, Results, Sample
from bamdmux.bench.station import ProgramHangs, Station
from bamdmux.errors import BamDmuxError, MachineError

# What may go wrong with a link or a program, and is no reason to stop.
TROUBLE = (BamDmuxError, OSError, subprocess.SubprocessError, ValueError, KeyError)

# Nothing takes longer: neither a measurement nor setting up. If it did, the machine was paused, as virtual
# ones are, and its clocks went on; then it is done again.
PATIENCE_SECONDS: Final = 4.0
ATTEMPTS: Final = 3  # to set up a link


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    contenders: Sequence[Contender]
    jobs: Sequence[Job]
    rounds: int


class Progress(Protocol):
    """Who is told how far it is."""

    def begin(self, steps: int) -> None:
        """So many steps are to be done, at most."""

    def is_doing(self, what: str) -> None:
        """What takes time now."""

    def has_done(self, steps: int = 1) -> None:
        """So many steps are done."""

    def tell(self, line: str) -> None:
        """What has come of something."""

    def note(self, line: str) -> None:
        """Something is not as it should be."""


def run(plan: Plan, folder: Path, progress: Progress) -> Results:
    """Carry out a plan, with files in `folder`.

    Raises:
        MachineError: nothing is left of it that could be done.
    """
    with ExitStack() as resources:
        return _Run(plan, folder, progress, resources).run()


class _Run:
    """One run while it lasts; `resources` lets go of everything."""

    def __init__(self, plan: Plan, folder: Path, progress: Progress, resources: ExitStack) -> None:
        self._plan = plan
        self._folder = folder
        self._progress = progress
        self._resources = resources
        self._stations: dict[str, Station] = {}
        self._results = Results(machine={}, rounds=plan.rounds)

    def run(self) -> Results:
        import pyroute2  # noqa: F401  # else the first link would wait for it

        machine.try_tun()
        self._progress.begin(len(self._plan.contenders) * 2 + self._steps_of_rounds())
        self._progress.is_doing("looking at this machine")
        self._results.machine = machine.describe()
        jobs, contenders = self._possible()
        for contender in contenders:
            self._set_up(contender)
        if not jobs or not self._stations:
            raise MachineError("; ".join(self._results.left_out.values()) or "there is nothing to be done")
        self._warm_up()
        for number in range(self._plan.rounds):
            for job in jobs:
                if not job.is_once or number == self._plan.rounds - 1:
                    self._do(job, number)
        return self._results

    def _steps_of_rounds(self) -> int:
        times = sum(1 if job.is_once else self._plan.rounds for job in self._plan.jobs)
        return times * len(self._plan.contenders)

    # Before

    def _possible(self) -> tuple[list[Job], list[Contender]]:
        """What can be done here; the rest is noted."""
        missing: dict[tuple[str, str], str] = {}
        everybody: list[Job | Contender] = [*self._plan.jobs, *self._plan.contenders]
        for program in dict.fromkeys(program for each in everybody for program in each.programs):
            try:
                if program == COMPILER:
                    machine.compile_programs(self._folder)
                else:
                    machine.find_programs([program])
            except TROUBLE as error:
                missing[program] = str(error)

        def reason(each: Job | Contender) -> str:
            return next((missing[program] for program in each.programs if program in missing), "")

        for each in everybody:
            if reason(each):
                self._leave_out(each.name, reason(each))
        return (
            [job for job in self._plan.jobs if not reason(job)],
            [contender for contender in self._plan.contenders if not reason(contender)],
        )

    def _leave_out(self, name: str, reason: str) -> None:
        self._results.left_out[name] = reason
        self._progress.note(f"without {name}: {reason}")

    def _set_up(self, contender: Contender) -> None:
        """Build a link, and once more if the machine stood still meanwhile."""
        self._progress.is_doing(f"setting up {contender.name}")
        version = machine.version_of(contender.version)  # and now the program is in the page cache
        for attempt in range(1, ATTEMPTS + 1):
            station, reason = None, ""
            begin = time.monotonic()
            try:
                station = self._build(contender)
            except TROUBLE as error:
                reason = str(error)
            seconds = time.monotonic() - begin
            if seconds < PATIENCE_SECONDS or attempt == ATTEMPTS:
                break
            self._note_failure(f"setting up {contender.name}: took {seconds:.1f} s; done again")
            if station is not None:
                station.place.close()
        if station is None:
            self._leave_out(contender.name, reason)
            return
        self._stations[contender.name] = station
        self._results.participants.append(
            Participant(
                name=contender.name,
                summary=contender.summary,
                is_ours=contender.is_ours,
                version=version,
            )
        )
        self._progress.has_done()

    def _build(self, contender: Contender) -> Station:
        """Build a link, wait until it carries packets, and say how long that took; with servers."""
        folder = Path(tempfile.mkdtemp(dir=self._folder, prefix=f"{contender.name}-"))
        place = self._resources.enter_context(closing(Place(folder, self._folder)))
        begin = time.monotonic()
        try:
            link = contender.open(place)
            with listen_at_door(link.far):
                place.wait_until(lambda: carries_packets(link), "a packet to come through")
            seconds = time.monotonic() - begin
            serve(place, link, **self._servers())
        except BaseException:
            place.close()
            raise
        return Station(contender, place, link, seconds)

    def _servers(self) -> dict[str, bool]:
        programs = {
            program
            for job in self._plan.jobs
            for program in job.programs
            if job.name not in self._results.left_out
        }
        return {"iperf3": IPERF3 in programs, "echo": COMPILER in programs}

    def _warm_up(self) -> None:
        for station in list(self._stations.values()):
            self._progress.is_doing(f"warming up {station.contender.name}")
            try:
                warm_up(station, **self._servers())
            except TROUBLE as error:
                self._fail(station, "warming up", error)
            self._progress.has_done()

    # The rounds

    def _do(self, job: Job, number: int) -> None:
        """Let everybody do a job once, and note what came of it."""
        title = f"round {number + 1} of {self._plan.rounds}, {job.name}"
        stations = [each for each in self._stations.values() if each.contender.is_ours or not job.is_ours]
        first = number % max(len(stations), 1)
        done = self._measure(job, title, stations[first:] + stations[:first])
        for participant in self._results.participants:
            if participant.is_ours or not job.is_ours:
                self._results.add(job.name, participant.name, done.get(participant.name))
        metric = job.metrics[0]
        numbers = ", ".join(f"{name} {sample.values[metric.name]:.4g}" for name, sample in done.items())
        self._progress.tell(f"{title}: {numbers} {metric.unit}")

    def _measure(self, job: Job, title: str, stations: Sequence[Station]) -> Mapping[str, Sample]:
        done: dict[str, Sample] = {}
        if job.measure_all is not None:
            self._progress.is_doing(title)
            try:
                done.update(job.measure_all(stations))
            except TROUBLE as error:
                self._note_failure(f"{title}: {error}")
            self._progress.has_done(len(stations))
            return done
        assert job.measure is not None
        for station in stations:
            self._progress.is_doing(f"{title}: {station.contender.name}")
            try:
                done[station.contender.name] = self._measure_one(job.measure, title, station)
            except TROUBLE as error:
                self._fail(station, title, error)
            self._progress.has_done()
        return done

    def _measure_one(self, measure: Callable[[Station], Sample], title: str, station: Station) -> Sample:
        """Measure, and once more if it took so long that it says nothing."""
        begin = time.monotonic()
        try:
            sample = measure(station)
        except ProgramHangs as error:
            reason = str(error)
        else:
            seconds = time.monotonic() - begin
            if seconds < PATIENCE_SECONDS:
                return sample
            reason = f"took {seconds:.1f} s"
        self._note_failure(f"{title}: {station.contender.name}: {reason}; done again")
        return measure(station)

    def _fail(self, station: Station, title: str, error: Exception) -> None:
        """Note that something went wrong; a link that has broken down takes no part any more."""
        name = station.contender.name
        reason = station.place.reason_of_death()
        self._note_failure(f"{title}: {name}: {reason or error}")
        if reason:
            del self._stations[name]

    def _note_failure(self, line: str) -> None:
        self._results.failures.append(line)
        self._progress.note(line)
