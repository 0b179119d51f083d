"""Frames over a socket: whole ones, torn ones, and what hostile ends do."""

import os
import select
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamdmux.live.networks.frame_stream import MESSAGE_BYTES, QUEUE_BYTES, FrameStream

far_ends: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _close_far_ends() -> Iterator[None]:
    yield
    while far_ends:
        far_ends.pop().close()


def pair() -> tuple[FrameStream, socket.socket]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far_ends.append(far)
    far.settimeout(5)
    return FrameStream(near), far


def prefixed(*frames: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)


def frames_of(stream: FrameStream) -> list[bytes]:
    """All that is to be had now, with at most 1000 calls."""
    frames = []
    for _ in range(1000):
        frame = stream.next_frame()
        if frame is None:
            return frames
        frames.append(bytes(frame))
    raise AssertionError("no end of frames")


def is_readable(stream: FrameStream) -> bool:
    return bool(select.select([stream], [], [], 0)[0])


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def test_frames_come_one_by_one_out_of_messages() -> None:
    stream, far = pair()
    assert frames_of(stream) == []
    far.send(prefixed(b"one", b"", b"three"))
    far.send(prefixed(b"four"))
    assert frames_of(stream) == [b"one", b"", b"three", b"four"]
    stream.close()


def test_it_is_readable_as_long_as_there_are_frames_and_no_longer() -> None:
    stream, far = pair()
    assert not is_readable(stream)
    far.send(prefixed(b"one", b"two"))
    assert is_readable(stream)
    assert stream.next_frame() == b"one"
    assert is_readable(stream)  # the socket is empty by now
    assert stream.next_frame() == b"two"
    assert stream.next_frame() is None
    assert not is_readable(stream)
    stream.close()


def test_a_length_may_come_first_and_the_rest_later() -> None:
    stream, far = pair()
    far.send(struct.pack(">I", 5))
    assert frames_of(stream) == []
    far.send(b"later")
    far.send(prefixed(b"next"))
    assert frames_of(stream) == [b"later", b"next"]
    assert stream.counts == {}
    stream.close()


def test_a_length_whose_rest_was_lost_costs_no_other_frame() -> None:
    stream, far = pair()
    far.send(struct.pack(">I", 5))
    far.send(prefixed(b"next"))
    assert frames_of(stream) == [b"next"]
    assert stream.counts == {"torn": 1}
    stream.close()


@pytest.mark.parametrize(
    "message", [b"x", struct.pack(">I", 5) + b"cut", struct.pack(">I", 0xFFFFFFFF) + b"impossible"]
)
def test_a_torn_message_costs_no_other_frame(message: bytes) -> None:
    stream, far = pair()
    far.send(message)
    far.send(prefixed(b"next"))
    assert frames_of(stream) == [b"next"]
    assert stream.counts == {"torn": 1}
    stream.close()


def test_a_message_that_is_too_long_is_cut_and_counted() -> None:
    stream, far = pair()
    try:
        far.setsockopt(socket.SOL_SOCKET, 32, 4 * MESSAGE_BYTES)  # SO_SNDBUFFORCE
    except PermissionError:
        pytest.skip("only root can send such a message")
    far.send(prefixed(b"one", bytes(MESSAGE_BYTES)))
    far.send(prefixed(b"next"))
    assert frames_of(stream) == [b"one", b"next"]
    assert stream.counts == {"too_long": 1, "torn": 1}
    stream.close()


def test_a_frame_is_sent_at_once() -> None:
    stream, far = pair()
    assert stream.send(b"header", memoryview(b"packet"))
    assert stream.send(b"") is True
    assert far.recv(100) == prefixed(b"headerpacket")
    stream.close()


def test_while_the_far_end_is_busy_frames_gather_in_one_message() -> None:
    stream, far = pair()
    for number in range(4):
        assert stream.send(b"%d" % number)
    assert frames_of(stream) == []
    assert not is_readable(stream)  # and so nobody spins
    assert far.recv(1000) == prefixed(b"0")
    assert is_readable(stream)
    assert frames_of(stream) == []
    assert far.recv(1000) == prefixed(b"1", b"2", b"3")
    assert stream.send(b"4")
    assert far.recv(1000) == prefixed(b"4")
    frames_of(stream)
    assert not is_readable(stream)
    stream.close()


def test_a_full_queue_refuses_whole_frames() -> None:
    stream, far = pair()
    frame = bytes(1500)
    count = 0
    while stream.send(frame):
        count += 1
        assert count < 1000
    assert (count - 1) * 1504 <= QUEUE_BYTES < count * 1504
    received = 0
    while received < count:
        message = far.recv(1 << 20)
        assert len(message) % 1504 == 0
        received += len(message) // 1504
        frames_of(stream)
    assert stream.send(frame)
    stream.close()


def test_a_message_that_the_socket_does_not_take_is_counted() -> None:
    stream, far = pair()
    assert stream.send(b"first")
    assert stream.send(bytes(40_000))
    with socket.socket(fileno=os.dup(stream._stream.fileno())) as near:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # less than that takes, from now on
    far.recv(100)
    assert frames_of(stream) == []
    assert stream.counts == {"unsent": 1}
    assert stream.send(b"next")
    assert far.recv(100) == prefixed(b"next")
    stream.close()


def test_the_end_of_the_far_end_is_told_and_wakes_nobody() -> None:
    stream, far = pair()
    stream.send(b"unread")
    stream.send(b"waiting")
    far.send(prefixed(b"last"))
    far.close()
    assert frames_of(stream) == [b"last"]
    assert stream.end == "the far end has ended"
    assert not is_readable(stream)
    assert not stream.send(b"more")
    stream.wake()
    assert not is_readable(stream)
    assert frames_of(stream) == []
    stream.close()
    assert stream.end == "the far end has ended"


def test_a_far_end_that_has_just_gone_takes_nothing_and_raises_nothing() -> None:
    stream, far = pair()
    far.close()
    assert not stream.send(b"more")
    assert frames_of(stream) == []
    assert stream.end != ""
    stream.close()


def test_waking_lasts_until_nothing_is_found() -> None:
    stream, far = pair()
    stream.wake()
    assert is_readable(stream)
    assert frames_of(stream) == []
    assert not is_readable(stream)
    stream.close()
    far.close()


def test_closing_leaves_nothing() -> None:
    before = descriptors()
    stream, far = pair()
    stream.close()
    stream.close()
    far.close()
    assert descriptors() == before
    assert stream.end == "closed"
    assert stream.next_frame() is None


messages = st.binary(max_size=40) | st.lists(st.binary(max_size=9)).map(lambda frames: prefixed(*frames))


@settings(deadline=None)
@given(st.lists(messages, max_size=9))
def test_any_messages_are_frames_or_not(sent: list[bytes]) -> None:
    stream, far = pair()
    try:
        for message in filter(None, sent):
            far.send(message)
        frames_of(stream)
        far.send(prefixed(b"good"))
        far.send(prefixed(b"last"))
        assert frames_of(stream)[-1] == b"last"
        assert not is_readable(stream)
    finally:
        stream.close()
        far.close()
