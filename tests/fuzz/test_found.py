"""What fuzzing has found, by name, with the bytes that showed it."""

import pytest

from bamdmux.errors import MachineError
from fuzz import control


def test_lines_of_nothing_but_line_feeds_do_not_pile_up_in_the_control_server() -> None:
    """They were counted by their bytes, and have none: a client could let any number of them wait."""
    control.check_server([b"\n" * 0xFFFF] * 4, is_reading=False)


@pytest.mark.parametrize("answer", [b"[" * 100_000, b'{"ok":' * 50_000])
def test_an_answer_nested_without_end_is_one_line_to_the_client(answer: bytes) -> None:
    """Python's JSON says RecursionError, which is no ValueError."""
    with pytest.raises(MachineError, match="no answer of ours"):
        control.liar().ask(answer + b"\n")
