"""The replay harness itself: what it makes of a trace, before a driver is asked."""

import pytest

from tests.conformance.replay import (
    Exchange,
    changes,
    main,
    read_expected,
    replay,
    side_by_side,
    with_tags,
)
from tests.conformance.script import (
    AckInterrupt,
    Completion,
    Input,
    InterfaceChange,
    ModemPower,
    ModemSends,
    Packet,
    PacketWithdrawn,
    PowerInterrupt,
    Probe,
    RefusedUp,
    Step,
    read_script,
)
from tests.conformance.trace import TraceLine, bytes_of, normalised, parse_trace, pattern

REGISTER_3 = (
    "register_netdev name=wwan0 dev_port=3 type=519 flags=0x90 mtu=1500 max_mtu=2040 min_mtu=0 txqlen=1000"
)


def steps_of(*lines: str, time_us: int = 5) -> list[Step]:
    return read_script(parse_trace("\n".join(f"{time_us} {line}" for line in lines)))[1:]


def inputs_of(*lines: str) -> list[Input | None]:
    return [step.input for step in steps_of(*lines)]


def outputs_of(*lines: str) -> list[str]:
    """The outputs of all steps, without their time."""
    return [
        output.split(maxsplit=1)[1] for step in steps_of("call remove", *lines) for output in step.outputs
    ]


def test_a_line_is_a_time_and_an_event() -> None:
    assert parse_trace("   12 rx_submit len=2048  x32\n") == [TraceLine(12, "rx_submit len=2048 x32")]


@pytest.mark.parametrize("text", ["soon irq pc", "12", "5 irq pc\n4 irq pc"])
def test_anything_else_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"line [12] "):
        parse_trace(text)


@pytest.mark.parametrize(
    ("kernel", "compared"),
    [
        ("smem pc-ack=1 (unchanged)", "smem pc-ack=1 (unchanged)"),
        ("stop_queue wwan0 (already)", None),
        ("wake_queue wwan1 (DETACHED)", "wake_queue wwan1 (DETACHED)"),
        ("unregister_netdev wwan0 (not freed: needs_free_netdev unset)", "unregister_netdev wwan0"),
        (
            "deliver wwan0 ch=0 proto=0x0800 len=2 id=67 bytes=4508",
            "deliver wwan0 ch=0 proto=0x0800 len=2 bytes=4508",
        ),
        (f"{REGISTER_3} headroom=8 perm=c67e816b4bfb", REGISTER_3.replace("min_mtu=0 ", "")),
        ('log dbg "pc: 1"', "log dbg modem-power-changed"),
        ('log warn "Channel already open: 7"', "log warn already-open"),
        ('log err "Failed to prepare TX DMA buffer"', 'log err "Failed to prepare TX DMA buffer"'),
        ("probe ret=0", "probe ret=0"),
        ("ndo_open wwan0 ret=0", None),
        ("skb_free id=33 origin=alloc_skb how=consume", None),
        ("# FACT irq pc", None),
    ],
)
def test_a_line_of_the_kernel_is_brought_to_the_form_of_ours(kernel: str, compared: str | None) -> None:
    assert normalised(kernel, {}) == compared


def test_an_interface_is_named_by_its_channel_once_it_is_registered() -> None:
    assert outputs_of(REGISTER_3, "start_queue wwan0")[1:] == ["start_queue wwan3"]
    assert inputs_of(REGISTER_3, "xmit wwan0 len=1 id=9") == [Packet(3, "9", b"\x45", is_answered=True)]


def test_the_head_of_a_frame_is_completed_by_the_pattern() -> None:
    frame = bytes.fromhex("fc33000002003200") + pattern(50) + bytes(2)
    text = f"modem_send len=60 into rx #1 head bytes={frame[:20].hex()}"
    assert bytes_of(text) == frame
    assert inputs_of(text) == [ModemSends(frame, 60)]


def test_a_short_transfer_is_sent_as_it_is() -> None:
    assert inputs_of("modem_send len=4 into rx #1 bytes=fc330001") == [ModemSends(b"\xfc\x33\0\1", 4)]


def test_a_probe_finds_the_modem_up_if_it_reads_so() -> None:
    assert inputs_of("call probe", "request_irq pc", "irqchip_state pc=1", "probe ret=0") == [Probe(True)]
    assert inputs_of("call probe", "irqchip_state pc=0", "probe ret=0") == [Probe(False)]
    assert inputs_of("call probe", "probe ret=-22") == [Probe(None)]


def test_interrupts_that_came_as_one_are_one_notification_at_the_last() -> None:
    lines = ("modem pc=1", "irq pc", "modem pc=0", "irq pc (coalesced)")
    assert inputs_of(*lines) == [ModemPower(True), ModemPower(False), PowerInterrupt()]
    assert inputs_of("irq pc-ack", "irq pc-ack (coalesced)") == [AckInterrupt(False), AckInterrupt(True)]
    assert inputs_of("irq pc", 'log dbg "pc: 1"', "irq pc") == [PowerInterrupt(), PowerInterrupt()]


def test_completions_without_a_frame_in_between_are_one_interrupt() -> None:
    lines = ("tx_submit #4 len=8", "tx_complete #1 len=8", 'log dbg "wake queues"', "wake_queue wwan0")
    assert inputs_of(*lines, "skb_free id=1 how=consume", "tx_complete #2 len=8") == [Completion(2)]
    assert inputs_of(*lines, "tx_submit #5 len=8", "tx_complete #2 len=8") == [Completion(3), Completion(3)]


def test_a_call_is_for_the_interface_that_answers() -> None:
    lines = ("call ifup", "sleep ifup: completion", "irq pc-ack", "ndo_open wwan1 ret=0")
    up_1, up_0 = InterfaceChange(1, True), InterfaceChange(0, True)
    assert inputs_of(*lines, "call ifup", "ndo_open wwan0 ret=0") == [up_1, AckInterrupt(True), up_0]
    assert inputs_of("call ifdown", "ndo_stop wwan1") == [InterfaceChange(1, False)]


def test_a_call_that_no_interface_answers_was_refused_for_one_that_is_detached() -> None:
    lines = (
        REGISTER_3,
        REGISTER_3.replace("wwan0 dev_port=3", "wwan1 dev_port=1"),
        "detach wwan0",
        "call ifup",
    )
    assert inputs_of(*lines, "call ifup", "ndo_open wwan1 ret=0") == [
        RefusedUp(frozenset({3})),
        InterfaceChange(1, True),
    ]


def test_an_interface_that_could_not_be_opened_goes_down_again() -> None:
    lines = ("call ifup", "ndo_open wwan0 ret=-11")
    assert inputs_of(*lines) == [InterfaceChange(0, True), InterfaceChange(0, False)]


def test_of_a_packet_for_a_stopped_queue_only_the_answer_counts() -> None:
    lines = (
        "xmit wwan0 len=9 id=3 (queue stopped)",
        'log dbg "stop queues"',
        "xmit ret=BUSY",
        "stop_queue wwan1",
    )
    assert outputs_of(*lines) == ["stop_queue wwan1", "xmit ret=BUSY"]
    assert inputs_of("skb_free id=3 origin=xmit how=harness") == [PacketWithdrawn("3")]


def test_the_kernel_answers_for_a_packet_before_it_wakes_the_link_and_that_is_no_difference() -> None:
    assert outputs_of("xmit wwan0 len=9 id=3", "xmit ret=OK", "smem pc=1") == ["smem pc=1", "xmit ret=OK"]


def test_changes_are_the_lines_of_one_side_in_the_order_of_inputs() -> None:
    first = Step(5, "irq pc", PowerInterrupt(), outputs=["5 a", "5 b", "5 c"])
    second = Step(6, "irq pc", PowerInterrupt(), outputs=["6 d"])
    exchanges = [Exchange(first, ["5 a", "5 x", "5 c"]), Exchange(second, ["6 d", "6 y"])]
    assert changes(exchanges) == ["- 5 b", "+ 5 x", "+ 6 y"]
    assert [line.split() for line in side_by_side(exchanges, 23)][2] == ["5", "b", "|", "5", "x"]


def test_a_tag_stays_with_its_line_and_a_new_line_gets_none() -> None:
    known = read_expected("- 5 b #3\n+ 5 rx_submit #4 len=8 #12\n")
    assert known == [("- 5 b", "3"), ("+ 5 rx_submit #4 len=8", "12")]
    assert with_tags(["- 5 b", "- 5 b", "+ 6 y"], known) == "- 5 b #3\n- 5 b #?\n+ 6 y #?\n"


def test_a_frame_that_finds_no_buffer_shows() -> None:
    exchanges = replay(
        "0 call probe\n0 irqchip_state pc=0\n0 probe ret=0\n7 modem_send len=1 into rx #1 bytes=00"
    )
    assert changes(exchanges) == ["+         7 no rx buffer for a frame of the modem"]


def test_the_command_takes_the_beginning_of_a_name() -> None:
    written: list[str] = []
    assert main(["s01"], write=written.append) == 0
    assert written[-1].startswith("s01_probe_down_then_up: ")
    with pytest.raises(SystemExit):
        main(["s0"], write=written.append)
