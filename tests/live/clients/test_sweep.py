"""ModemManager and a modem that hangs up or refuses, once, at each message: both go on."""

import os
import shutil

import pytest

from tests.live.clients.sweep import Outcome, cases, sweep
from tests.live.identities import needs_tun

SESSIONS = 12  # mostly they wait

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    needs_tun,
    pytest.mark.skipif(
        shutil.which("ModemManager", path=f"{os.environ.get('PATH')}:/usr/sbin") is None,
        reason="no ModemManager; apt-get install modemmanager",
    ),
]

# Messages that the timing may make unnecessary.
SOMETIMES = {"nas.set_system_selection_preference"}


def test_modem_manager_survives_a_hang_up_or_an_error_at_each_message_and_connects_the_next_time() -> None:
    """How often and how long is in docs/modemmanager.md; with silence and noise, too."""
    wanted = cases("control-hang-up", "control-error")
    assert len({case.message for case in wanted}) > 50
    outcomes = sweep(wanted, session_count=SESSIONS)

    def described(is_so: dict[str, Outcome]) -> str:
        return "\n".join(f"{name}: {outcome}" for name, outcome in is_so.items())

    by_name = {f"{case.phase.value} {case.selector}": outcomes[case] for case in wanted}
    died = {name: outcome for name, outcome in by_name.items() if not outcome.survived}
    assert not died, described(died)
    failed = {name: outcome for name, outcome in by_name.items() if outcome.next == "failed"}
    assert not failed, described(failed)
    spared = {case.message for case in wanted if not outcomes[case].strikes}
    assert spared <= SOMETIMES
