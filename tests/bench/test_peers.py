"""The tables of who takes part."""

import re
from pathlib import Path

import pytest

from bamdmux.bench.configurations import CONFIGURATIONS
from bamdmux.bench.jobs import JOBS, Job
from bamdmux.bench.peers import PEERS, Contender

EVERYBODY = [*PEERS, *(each.contender() for each in CONFIGURATIONS)]
by_name = pytest.mark.parametrize("contender", EVERYBODY, ids=lambda each: each.name)


def test_no_name_is_given_twice() -> None:
    names = [each.name for each in (*EVERYBODY, *JOBS)]
    assert len(names) == len(set(names))


@by_name
def test_a_name_is_one_that_a_shell_and_a_list_take_as_it_is(contender: Contender) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,16}", contender.name)


@by_name
def test_who_takes_part_is_a_peer_or_ours(contender: Contender) -> None:
    assert contender.is_ours is (contender not in PEERS)


@by_name
def test_what_is_started_is_asked_for(contender: Contender) -> None:
    asked = {name for name, _ in contender.programs}
    assert set(contender.version[:1]) <= asked


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_is_measured_in_one_way(job: Job) -> None:
    assert (job.measure is None) is not (job.measure_all is None)
    assert job.metrics
    assert len({metric.name for metric in job.metrics}) == len(job.metrics)


def test_peers_can_be_installed_by_make() -> None:
    makefile = Path(__file__).parent.parent.parent.joinpath("Makefile").read_text()
    packages = {package for each in PEERS for _, package in each.programs}
    packages |= {package for job in JOBS for _, package in job.programs}
    line = next(line for line in makefile.splitlines() if line.startswith("peer_packages :="))
    assert set(" ".join(packages).split()) == set(line.partition(":=")[2].split())
