"""`bamdmux bench`: how fast the link is, beside programs that do the same job, in one run on this machine.

    links           configurations.py: `bamdmux run` as users start it; peers.py, tunnels.py: everybody else
    jobs            jobs.py: what each of them has to do, and how it is measured
    in turn         schedule.py: all are set up once, then they take turns: A B C, A B C
    what came of it results.py: every number, as JSON; statistics.py: medians, paired ratios, intervals
    what it says    report.py: tables; musts.py: what bamdmux is to reach

No machine is quiet, so absolute numbers mean little: what counts is the ratio of two measurements of one
round.
"""
