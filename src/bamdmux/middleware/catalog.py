"""The table of faults. Names are what `bamdmux sim --faults` and `bamdmux run --fault` take.

A row says what happens and how often; how it happens is in frames.py, pipes.py, signals.py and devices.py.
Rates are such that a link under any of them still gets most of its packets through.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from bamdmux.actions import Line, Pipe
from bamdmux.counters import DropReason
from bamdmux.errors import UsageError
from bamdmux.middleware import devices, frames, pipes, signals
from bamdmux.middleware.faults import Family, Fault, Half, Licence
from bamdmux.timing import MICROSECOND, MILLISECOND, SECOND

_ON_HOST: Final = frozenset({Half.HOST})
_ON_MODEM: Final = frozenset({Half.MODEM})

_POWER_DROPS: Final = frozenset({DropReason.LOST_IN_FLIGHT, DropReason.RESUME_FAILED})
# A side that dies has forgotten what was open.
_CRASH_DROPS: Final = _POWER_DROPS | {DropReason.INACTIVE_CHANNEL}


def _spoiled(
    name: str,
    description: str,
    tamper: frames.Tamper,
    *reasons: DropReason,
    family: Family = Family.FRAMING,
    uplink: bool = False,
    rate: float = 0.02,
) -> Fault:
    return Fault(
        name=name,
        family=family,
        description=description,
        rate=rate,
        install=pipes.on_uplink(tamper) if uplink else pipes.on_downlink(tamper),
        explains=frozenset(reasons),
        halves=_ON_HOST if uplink else _ON_MODEM,
        is_lossy=bool(reasons),
    )


def _injected(
    name: str,
    description: str,
    injection: frames.Injection,
    *explains: DropReason,
    family: Family = Family.DISAGREEMENT,
    licences: Iterable[Licence] = (),
    rate: float = 0.02,
    is_early: bool = False,
) -> Fault:
    return Fault(
        name=name,
        family=family,
        description=description,
        rate=rate,
        install=pipes.injecting(injection, is_early=is_early),
        explains=frozenset(explains),
        licences=frozenset(licences),
        halves=_ON_MODEM,
    )


_FRAMING: Final = (
    _spoiled("bad-magic", "a packet's magic is wrong", frames.bad_magic, DropReason.BAD_MAGIC),
    _spoiled(
        "bad-channel", "a packet names channel 8 or more", frames.bad_channel, DropReason.UNSUPPORTED_CHANNEL
    ),
    _spoiled(
        "bad-command",
        "a packet's command is 3, or one that nobody knows",
        frames.bad_command,
        DropReason.UNSUPPORTED_COMMAND,
    ),
    _spoiled(
        "length-beyond-transfer",
        "a header promises more than was transferred",
        frames.length_beyond_transfer,
        DropReason.TRUNCATED,
    ),
    _spoiled(
        "length-beyond-buffer",
        "a header promises more than a buffer holds",
        frames.length_beyond_buffer,
        DropReason.TOO_LONG,
    ),
    _spoiled("zero-length", "a header promises nothing", frames.zero_length, DropReason.EMPTY),
    _spoiled(
        "truncated-transfer",
        "a transfer ends before its packet does",
        frames.truncated_transfer,
        DropReason.TRUNCATED,
    ),
    _spoiled(
        "short-of-a-header", "a transfer is no header long", frames.short_of_a_header, DropReason.TRUNCATED
    ),
    _spoiled(
        "overrun-write-back",
        "the modem claims to have written more than the buffer holds",
        frames.overrun,
        DropReason.OVERRUN,
    ),
    _spoiled(
        "length-from-transfer",
        "a header's length is 0xFFFF: as much as was transferred",
        frames.length_from_transfer,
    ),
    _spoiled(
        "uplink-bad-magic",
        "a host's packet, wrong magic",
        frames.bad_magic,
        DropReason.BAD_MAGIC,
        uplink=True,
    ),
    _spoiled(
        "uplink-bad-channel",
        "a host's packet, channel 8 or more",
        frames.bad_channel,
        DropReason.UNSUPPORTED_CHANNEL,
        uplink=True,
    ),
    _spoiled(
        "uplink-length-beyond-buffer",
        "a host's packet, length beyond any slot",
        frames.length_beyond_buffer,
        DropReason.TOO_LONG,
        uplink=True,
    ),
    _spoiled(
        "uplink-zero-length", "a host's packet, length 0", frames.zero_length, DropReason.EMPTY, uplink=True
    ),
    _spoiled(
        "uplink-truncated",
        "a host's packet, cut short by its descriptor",
        frames.truncated_transfer,
        DropReason.TRUNCATED,
        uplink=True,
    ),
    _spoiled(
        "uplink-short-of-a-header",
        "a host's descriptor of fewer bytes than a header",
        frames.short_but_not_empty,
        DropReason.TRUNCATED,
        uplink=True,
    ),
    _spoiled(
        "uplink-bad-descriptor",
        "a host's descriptor of 65535 bytes, beyond its slot and mostly beyond all of them",
        frames.huge_descriptor,
        DropReason.BAD_DESCRIPTOR,
        uplink=True,
    ),
    _injected("duplicate-open", "the modem opens what is open", frames.duplicate_open, family=Family.FRAMING),
    _injected(
        "close-not-open", "the modem closes what is closed", frames.close_not_open, family=Family.FRAMING
    ),
    _injected(
        "open-no-a2-pc",
        "the modem says that it needs no votes from now on, and sleeps all the same",
        frames.open_no_a2_pc,
        *_POWER_DROPS,
        family=Family.FRAMING,
        licences=[Licence.NO_POWER_CONTROL],
        rate=0.002,
    ),
)

_DELIVERY: Final = (
    Fault(
        name="lost-doorbell",
        family=Family.DELIVERY,
        description="nobody hears a doorbell",
        rate=0.02,
        install=signals.lose_doorbells,
        halves=_ON_HOST | _ON_MODEM,
    ),
    Fault(
        name="late-doorbell",
        family=Family.DELIVERY,
        description="a doorbell comes late, and others overtake it",
        rate=0.1,
        delay_ns=(MILLISECOND, 250 * MILLISECOND),
        install=signals.delay_doorbells(),
        halves=_ON_HOST | _ON_MODEM,
    ),
    Fault(
        name="duplicate-doorbell",
        family=Family.DELIVERY,
        description="a doorbell rings again later, for nothing",
        rate=0.2,
        delay_ns=(0, 3 * SECOND),
        install=signals.delay_doorbells(rings_twice=True),
        halves=_ON_HOST | _ON_MODEM,
    ),
    Fault(
        name="reordered-signals",
        family=Family.DELIVERY,
        description="a doorbell or an edge is overtaken by the next one",
        rate=0.1,
        delay_ns=(MILLISECOND, 300 * MILLISECOND),
        install=signals.swap_signals,
        halves=_ON_HOST | _ON_MODEM,
    ),
    Fault(
        name="lost-frame",
        family=Family.DELIVERY,
        description="a packet to the host vanishes, and no counter can know",
        rate=0.02,
        install=pipes.lose_frames,
        halves=_ON_MODEM,
        is_lossy=True,
    ),
    Fault(
        name="duplicate-frame",
        family=Family.DELIVERY,
        description="a packet to the host comes twice",
        rate=0.02,
        install=pipes.double_frames,
        halves=_ON_MODEM,
        licences=frozenset({Licence.DUPLICATES, Licence.REORDERING}),
    ),
    Fault(
        name="reordered-frame",
        family=Family.DELIVERY,
        description="a packet to the host is overtaken by later ones",
        rate=0.02,
        install=pipes.hold_frames(is_overtaken=True),
        halves=_ON_MODEM,
        licences=frozenset({Licence.REORDERING}),
        explains=frozenset({DropReason.INACTIVE_CHANNEL}),
    ),
    Fault(
        name="late-frame",
        family=Family.DELIVERY,
        description="a packet to the host, and all behind it, come some batches later",
        rate=0.02,
        install=pipes.hold_frames(is_overtaken=False),
        halves=_ON_MODEM,
        explains=frozenset({DropReason.INACTIVE_CHANNEL}),
    ),
)


def _edges(kind: str, line: Line, description: str, wrap: type[signals.LineWrap]) -> Fault:
    rate, delay = {
        "lost": (0.2, (0, 0)),
        "late": (0.3, (MILLISECOND, 3 * SECOND)),
        "merged": (0.3, (0, 0)),
        "spurious": (0.02, (0, 100 * MILLISECOND)),
    }[kind]
    return Fault(
        name=f"{kind}-{line.value}",
        family=Family.POWER,
        description=description.format(line.value),
        rate=rate,
        delay_ns=delay,
        install=signals.on_line(wrap, line),
        halves=_ON_HOST if line in signals.HOST_LINES else _ON_MODEM,
        explains=frozenset() if kind == "spurious" else _POWER_DROPS,
        is_lossy=kind != "spurious",
    )


_POWER: Final = (
    *(
        _edges(kind, line, description, wrap)
        for line in Line
        for kind, description, wrap in (
            ("lost", "nobody hears of an edge of {} before the next", signals.LostEdges),
            ("late", "an edge of {} is heard of up to 3 s late", signals.LateEdges),
            ("merged", "two edges of {} are heard of as one", signals.MergedEdges),
            ("spurious", "wake-ups for {}, which has not moved", signals.SpuriousEdges),
        )
    ),
    Fault(
        name="early-modem-ack",
        family=Family.POWER,
        description="the ack shows before the modem has seen the vote",
        rate=0.5,
        install=signals.ack_early,
        explains=_POWER_DROPS,
    ),
    Fault(
        name="power-falls-while-voted",
        family=Family.POWER,
        description="modem-power falls under a host that votes, and rises again",
        rate=0.005,
        delay_ns=(MILLISECOND, 1500 * MILLISECOND),
        install=signals.glitch_power(),
        explains=_POWER_DROPS,
        is_lossy=True,
    ),
    Fault(
        name="power-falls-after-rise",
        family=Family.POWER,
        description="modem-power falls as soon as it has risen, and rises again",
        rate=0.3,
        delay_ns=(50 * MICROSECOND, 2 * MILLISECOND),
        install=signals.glitch_power(after_rise=True),
        explains=_POWER_DROPS,
        is_lossy=True,
    ),
    Fault(
        name="hidden-power-cycle",
        family=Family.POWER,
        description="modem-power falls and rises between two looks",
        rate=0.005,
        install=signals.glitch_power(is_hidden=True),
        explains=_POWER_DROPS,
        is_lossy=True,
    ),
)

_EXHAUSTION: Final = (
    Fault(
        name="tx-ring-full",
        family=Family.EXHAUSTION,
        description="the modem takes no frames for a while, and the ring fills",
        rate=0.02,
        delay_ns=(100 * MILLISECOND, 800 * MILLISECOND),
        install=signals.hold_doorbells(Pipe.TX),
        halves=_ON_HOST,
    ),
    Fault(
        name="rx-ring-full",
        family=Family.EXHAUSTION,
        description="the host takes no frames for a while, and the modem runs out of buffers",
        rate=0.02,
        delay_ns=(20 * MILLISECOND, 90 * MILLISECOND),
        install=signals.hold_doorbells(Pipe.RX),
        halves=_ON_MODEM,
    ),
    Fault(
        name="no-rx-buffers",
        family=Family.EXHAUSTION,
        description="the host is slow to give buffers back",
        rate=0.9,
        install=pipes.starve,
        halves=_ON_HOST,
    ),
    Fault(
        name="tun-full",
        family=Family.EXHAUSTION,
        description="an interface of the host has no space",
        rate=0.005,
        install=devices.fill("interfaces"),
        halves=_ON_HOST,
        explains=frozenset({DropReason.DEVICE_REFUSED}),
        is_lossy=True,
    ),
    Fault(
        name="network-full",
        family=Family.EXHAUSTION,
        description="the network behind the modem has no space",
        rate=0.005,
        install=devices.fill("network"),
        halves=_ON_MODEM,
        explains=frozenset({DropReason.DEVICE_REFUSED}),
        is_lossy=True,
    ),
)


def _death(name: str, who: str, when: str, what: Pipe | tuple[Line, bool], rate: float) -> Fault:
    to_modem = what is Pipe.TX if isinstance(what, Pipe) else what[0] in signals.HOST_LINES
    return Fault(
        name=f"{who}-dies-{name}",
        family=Family.CRASH,
        description=f"the {who} dies {when}, and starts again",
        rate=rate,
        delay_ns=(MILLISECOND, 3 * SECOND),
        install=signals.die(who, what, to_modem=to_modem),
        # Who dies must be who has said it: the other process hears of nothing but memory.
        halves=frozenset({Half(who)} if to_modem == (who == "host") else {}),
        explains=_CRASH_DROPS,
        is_lossy=True,
    )


_STEPS: Final = (
    ("after-vote", "when the host has voted", (Line.HOST_VOTE, True), 0.3),
    ("after-ack", "when the vote is acked", (Line.MODEM_ACK, True), 0.2),
    ("after-rise", "when the modem's power has risen", (Line.MODEM_POWER, True), 0.3),
    ("after-host-ack", "when the host has acked that power", (Line.HOST_ACK, True), 0.2),
    ("amid-uplink", "with packets on their way to the modem", Pipe.TX, 0.003),
    ("amid-downlink", "with packets on their way to the host", Pipe.RX, 0.003),
    ("after-vote-off", "when the host has dropped its vote", (Line.HOST_VOTE, False), 0.3),
    ("after-fall", "when the modem's power has fallen", (Line.MODEM_POWER, False), 0.3),
)

_CRASH: Final = tuple(
    _death(name, who, when, what, rate) for who in ("modem", "host") for name, when, what, rate in _STEPS
)

_DISAGREEMENT: Final = (
    _injected(
        "data-before-open",
        "data on a channel that the modem has not opened yet",
        frames.data_before_open,
        DropReason.INACTIVE_CHANNEL,
        licences=[Licence.STRAYS],
        rate=0.3,
        is_early=True,
    ),
    _injected(
        "data-after-close",
        "data on a channel that the modem has just closed, and opens again",
        frames.data_after_close,
        DropReason.INACTIVE_CHANNEL,
        licences=[Licence.STRAYS],
    ),
    _injected(
        "data-for-nobody",
        "data on a channel that the host has never heard of",
        frames.data_for_nobody,
        DropReason.UNSUPPORTED_CHANNEL,
    ),
    _injected("flapping-channel", "a channel closes and opens several times at once", frames.flapping),
    Fault(
        name="close-while-open",
        family=Family.DISAGREEMENT,
        description="the modem closes a channel that is in use, and opens it some batches later",
        rate=0.01,
        install=pipes.close_for_a_while,
        halves=_ON_MODEM,
    ),
    Fault(
        name="open-while-closing",
        family=Family.DISAGREEMENT,
        description="the modem opens a channel that the host is closing",
        rate=0.8,
        install=pipes.open_while_closing,
    ),
    _spoiled(
        "wrong-source",
        "a host's packet from an address that is not its own",
        frames.wrong_source,
        DropReason.WRONG_SOURCE,
        family=Family.DISAGREEMENT,
        uplink=True,
    ),
)

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault for fault in (*_FRAMING, *_DELIVERY, *_POWER, *_EXHAUSTION, *_CRASH, *_DISAGREEMENT)
}


def find_faults(names: Iterable[str]) -> list[Fault]:
    """Faults by their names, in the order of the table.

    Raises:
        UsageError: one is unknown.
    """
    wanted = set(names)
    for name in sorted(wanted):
        if name not in FAULTS:
            raise UsageError(
                f"fault {name!r} is unknown;{_suggestion(name)} "
                f"`bamdmux run --fault list` names all {len(FAULTS)}"
            )
    return [fault for fault in FAULTS.values() if fault.name in wanted]


def _suggestion(name: str) -> str:
    """What was meant, perhaps: names that look like it, or that it is a part of."""
    close = get_close_matches(name, FAULTS, n=3) or [each for each in FAULTS if name and name in each][:3]
    return f" did you mean {' or '.join(close)}?" if close else ""


def parse_fault(text: str) -> tuple[Fault, float]:
    """A fault and its rate, from NAME or NAME=RATE.

    Raises:
        UsageError: there is no such fault, or the rate is none.
    """
    name, equals, rate_text = text.partition("=")
    (fault,) = find_faults([name])
    return fault, check_rate(rate_text) if equals else fault.rate


def check_rate(value: object) -> float:
    """A rate, from a number or its text.

    Raises:
        UsageError: it is none.
    """
    try:
        rate = float(value)  # type: ignore[arg-type]  # whatever it is: that is the question
    except (TypeError, ValueError):
        rate = -1.0
    if not 0 < rate <= 1:
        raise UsageError(f"rate {value!r} is not above 0 and at most 1")
    return rate
