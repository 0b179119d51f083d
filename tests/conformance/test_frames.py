"""Every frame that the real driver was seen to send or receive, through the whole of ours."""

import json
from collections import Counter
from typing import Any

import pytest

from bamdmux.actions import Line
from bamdmux.counters import DropReason
from bamdmux.wire.dmux import MAX_PACKET_BYTES, Command, Frame, encode_frame
from tests.conformance.replay import DATA
from tests.conformance.trace import normalised, pattern
from tests.conformance.world import World

TX_FRAMES = json.loads((DATA / "tx_frames.json").read_text())["frames"]
RX_CASES = json.loads((DATA / "rx_frames.json").read_text())["cases"]

IPV4 = pattern(20).hex()
DELIVERED_20_BYTES = f"deliver wwan0 ch=0 proto=0x0800 len=20 bytes={IPV4}"

# What we do where the kernel does something else: the number of the difference, and our lines.
OURS_INSTEAD: dict[str, tuple[int, list[str]]] = {
    "command 4": (13, ["log dbg channel-opened", "log warn already-open"]),
    "len 65535": (13, [DELIVERED_20_BYTES]),
    "len 0": (6, ["log err empty"]),
    "len 100, only 12 bytes written (stale data)": (6, ["log err truncated"]),
    "short frame: 4 bytes": (6, ["log err truncated"]),
    "empty frame": (6, ["log err truncated"]),
    "2049-byte frame": (6, ["log err overrun"]),
}
# Commands are not packets: what is wrong with them is said, and counted only if they name no command.
NOT_COUNTED = {"command 4"}


def active_world() -> World:
    """The state of rx_frames.json: channel 0 open and its interface up, channel 1 open, and down."""
    world = World()
    world.set_modem_power(True)
    world.probe()
    for channel in (0, 1):
        world.send_frame(encode_frame(Frame(Command.OPEN, channel)))
    world.run_deferred_work()
    world.set_interface(0, is_up=True)
    world.toggle_modem_ack()
    world.interrupt(Line.MODEM_ACK)
    assert world.take_frames() == [encode_frame(Frame(Command.OPEN, 0))]
    world.journal.take()
    return world


def fill_receive_buffers(world: World, value: int) -> None:
    for slot_index in range(world.layout.rx.slot_count):
        address = world.layout.rx.slot_address(slot_index)
        world.memory[address : address + world.layout.rx.slot_bytes] = (
            bytes([value]) * world.layout.rx.slot_bytes
        )


def receive(world: World, case: dict[str, Any]) -> list[str]:
    """Play a case; our lines without their time."""
    fill_receive_buffers(world, 0xA5)
    world.send_frame(bytes.fromhex(case["frame"]), case["transfer_length"])
    return [line.split(maxsplit=1)[1] for line in world.journal.take()]


def kernel_lines(case: dict[str, Any]) -> list[str]:
    """What the kernel did, in the words of a journal."""
    delivered = [
        f"deliver wwan{packet['channel']} ch={packet['channel']} proto={packet['protocol']} "
        f"len={packet['length']} bytes={packet['packet']}"
        for packet in case["delivered"]
    ]
    logged = [normalised(f'log {severity} "{text}"', {}) or "" for severity, text in case["log"]]
    return delivered + logged


@pytest.mark.parametrize("frames", [TX_FRAMES, TX_FRAMES[::-1]], ids=["rising", "falling"])
def test_a_packet_of_each_length_makes_the_kernels_frame(frames: list[dict[str, Any]]) -> None:
    """Falling: each slot still holds the bytes of a longer frame, which padding must not show."""
    assert len(frames) == 609
    world = active_world()
    assert world.driver is not None
    world.driver.mtu_changed(0, MAX_PACKET_BYTES)
    for golden in frames:
        packet = pattern(golden["packet_length"])
        assert world.queue_packet(0, packet)
        frame = (bytes.fromhex(golden["header"]) + packet).ljust(golden["frame_length"], b"\0")
        assert world.take_frames() == [frame], golden


@pytest.mark.parametrize("case", RX_CASES, ids=lambda case: case["name"])
def test_a_frame_of_the_modem_has_the_kernels_outcome(case: dict[str, Any]) -> None:
    _, ours = OURS_INSTEAD.get(case["name"], (0, kernel_lines(case)))
    requeued = ["rx_submit #35 len=2048", "rx_issue n=1"]  # after 32, and two for the OPENs
    assert receive(active_world(), case) == ours + requeued


@pytest.mark.parametrize("case", RX_CASES, ids=lambda case: case["name"])
def test_a_frame_that_goes_no_further_is_counted_once(case: dict[str, Any]) -> None:
    world = active_world()
    lines = receive(world, case)
    assert world.driver is not None
    drops: Counter[DropReason] = sum(
        (channel.received.drops for channel in world.driver.channels), world.driver.unassigned.drops
    )
    is_dropped = not any(line.startswith("deliver") for line in lines) and case["name"] not in NOT_COUNTED
    assert drops.total() == is_dropped


def test_the_table_names_cases_that_exist_and_that_do_differ() -> None:
    cases = {case["name"]: case for case in RX_CASES}
    assert len(cases) == 29
    for name, (number, ours) in OURS_INSTEAD.items():
        assert number in (6, 13)
        assert ours != kernel_lines(cases[name]), name
