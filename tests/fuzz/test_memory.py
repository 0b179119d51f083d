"""A hostile modem must not cost memory: neither for each wrong frame, nor until the actions are taken."""

import tracemalloc

from bamdmux.actions import Log, Pipe
from benchmarks.malformed_frames import Link, malformed_transfers

WARM_UP_FRAMES = 10_000
FRAMES = 40_000
LARGEST_GROWTH = 2048  # bytes; an int more than a byte long here and there


def test_memory_is_flat_over_many_malformed_frames_and_each_is_counted() -> None:
    link, transfers = Link(), malformed_transfers()
    link.play(transfers, WARM_UP_FRAMES)
    counted_before = link.counted()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        expected = link.play(transfers, FRAMES)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert link.counted() - counted_before == expected
    assert expected.total() == FRAMES
    assert after - before < LARGEST_GROWTH
    assert link.sink.packet_count == 0


def test_a_ring_full_of_wrong_frames_is_a_few_log_lines() -> None:
    link, transfers = Link(), malformed_transfers()
    link.fill(transfers, 32)
    link.host.doorbell_rang(Pipe.RX, 0)
    logs = [action for action in link.host.take_actions() if isinstance(action, Log)]
    assert len(logs) == len({log.event for log in logs}) == 8
