"""What a machine may ask of its world, as frozen values: a trace can be compared, printed and replayed.

Packets are no actions: they move between a `NetDevice` and the slots of a ring. A machine appends to its
outbox, a plain list that its parts share, and the world drains it with `take_actions()`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, unique

from bamdmux.timing import Instant


@unique
class Line(Enum):
    """The four power lines. "pc" is the A2 power control of the SMSM bits; see protocol.md section 4."""

    HOST_VOTE = "host-vote"  # APPS.pc: the host wants to transmit
    HOST_ACK = "host-ack"  # APPS.pc-ack: toggles after each change of MODEM_POWER
    MODEM_POWER = "modem-power"  # MODEM.pc: the BAM is powered; falling: about to collapse
    MODEM_ACK = "modem-ack"  # MODEM.pc-ack: toggles after each change of HOST_VOTE


@unique
class PortKind(Enum):
    """What a control port speaks."""

    QMI = "qmi"
    AT = "at"


@unique
class Pipe(Enum):
    """The two BAM pipes, named as the host sees them."""

    TX = "tx"  # pipe 4, host to modem
    RX = "rx"  # pipe 5, modem to host


@dataclass(frozen=True, slots=True)
class SetLine:
    """Change the level of one of our own lines. Never asked for when it would change nothing."""

    line: Line
    level: bool


@dataclass(frozen=True, slots=True)
class LookAtLine:
    """Say `line_changed` with what the word of a line of the other side says, as if it had just moved."""

    line: Line


@dataclass(frozen=True, slots=True)
class RingDoorbell:
    """Tell the other side that the pipe has moved: new descriptors from its owner, progress from its peer."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class RegisterNetdev:
    """Create interface wwan``channel``, then say `netdev_registered`."""

    channel: int


@dataclass(frozen=True, slots=True)
class UnregisterNetdev:
    """Remove the interface for good."""

    channel: int


@dataclass(frozen=True, slots=True)
class AttachNetdev:
    """Carrier on: the modem has the channel open."""

    channel: int


@dataclass(frozen=True, slots=True)
class DetachNetdev:
    """Carrier off, but still administratively up: the modem closed the channel, or died."""

    channel: int


@dataclass(frozen=True, slots=True)
class StartQueue:
    """The interface's packets are welcome: its OPEN has gone out."""

    channel: int


@dataclass(frozen=True, slots=True)
class StopQueue:
    """Leave the interface's packets where they are: ring full, interface down or detached."""

    channel: int


@dataclass(frozen=True, slots=True)
class WakeQueue:
    """There is space again."""

    channel: int


@dataclass(frozen=True, slots=True)
class SendToPort:
    """Bytes for whoever reads a control port: whole messages, in order.

    Args:
        is_indication: nobody asked for it; the oldest of these go first when a reader does not read.
    """

    port: int
    data: bytes
    is_indication: bool = False


@dataclass(frozen=True, slots=True)
class HangUpPort:
    """End a control port: whoever has it open sees a hang-up."""

    port: int


@dataclass(frozen=True, slots=True)
class RestartModem:
    """The modem is to fall and to boot again: a client has asked for that."""


@dataclass(frozen=True, slots=True)
class AnnounceChannel:
    """The modem is to OPEN a channel at the host: a client has opened the channel's data port."""

    channel: int


@dataclass(frozen=True, slots=True)
class WithdrawChannel:
    """The modem is to CLOSE a channel at the host: a client has closed the channel's data port."""

    channel: int


@dataclass(frozen=True, slots=True)
class Removed:
    """The machine has let go of everything, and takes no more inputs."""


class Severity(IntEnum):
    """How loud a log line is; the numbers are those of Python's logging."""

    DEBUG = 10
    WARNING = 30
    ERROR = 40


@unique
class LogEvent(Enum):
    """What a log line is about; the value is its text, `{}` the detail."""

    # power
    MODEM_POWER_CHANGED = "= modem power {}"
    ACK_ARRIVED = "< ack"
    RESUMING = "= waking"
    SUSPENDING = "= suspending"
    SENDING_DEFERRED = "> sending {} frames that waited for power"
    RESUME_TIMED_OUT = "the modem did not wake in time; {} packets dropped, the next one tries again"
    POWER_LOST = "the modem fell while we voted; {} packets lost"
    REMOVE_TIMED_OUT = "timed out waiting for the modem to power down"
    # channels
    CHANNEL_OPENED = "< OPEN channel {}"
    CHANNEL_CLOSED = "< CLOSE channel {}"
    ALREADY_OPEN = "channel {} is open already"
    REOPENED = "channel {} opened anew: the modem has restarted"
    NOT_OPEN = "channel {} is not open"
    # queues
    QUEUES_STOPPED = "= ring full, queues stopped"
    QUEUES_WOKEN = "= ring has space, queues woken"
    # frames
    BAD_MAGIC = "bad magic in header {}"
    TRUNCATED = "truncated frame, header {}"
    UNSUPPORTED_CHANNEL = "unsupported channel in header {}"
    UNSUPPORTED_COMMAND = "unsupported command in header {}"
    INACTIVE_CHANNEL = "data for inactive channel, header {}"
    TOO_LONG = "data larger than the buffer, header {}"
    EMPTY = "no packet behind header {}"
    OVERRUN = "the modem claims to have written more than a buffer holds, header {}"


@dataclass(frozen=True, slots=True)
class Log:
    """Something worth a line."""

    severity: Severity
    event: LogEvent
    detail: int | str = ""

    @property
    def message(self) -> str:
        return self.event.value.format(self.detail)


# A machine that is a call away sees at once to what changed in a pipe, and the caller looks what came of it.
Serve = Callable[[Pipe, Instant], None]

Action = (
    SetLine
    | LookAtLine
    | RingDoorbell
    | RegisterNetdev
    | UnregisterNetdev
    | AttachNetdev
    | DetachNetdev
    | StartQueue
    | StopQueue
    | WakeQueue
    | SendToPort
    | HangUpPort
    | RestartModem
    | AnnounceChannel
    | WithdrawChannel
    | Removed
    | Log
)
