"""200 seeds, each with the faults that it draws; and the same result however many processes there are."""

from bamdmux.sim.campaign import simulate_seeds
from bamdmux.sim.conditions import MINUTE
from bamdmux.timing import SECOND


def test_200_seeds_break_no_rule() -> None:
    failures = [str(report.failure) for report in simulate_seeds(range(1, 201), MINUTE) if report.failure]
    assert failures == []


def test_reports_come_in_the_order_of_the_seeds_whatever_the_number_of_processes() -> None:
    one = list(simulate_seeds(range(20, 32), 5 * SECOND, process_count=1))
    two = list(simulate_seeds(range(20, 32), 5 * SECOND, process_count=2))
    assert [report.conditions.seed for report in one] == list(range(20, 32))
    assert one == two
