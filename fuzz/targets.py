"""Which targets there are: their functions, and the modules that each is about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fuzz import codecs, control, handover, host_receive, modem_uplink, pipes, qmux


@dataclass(frozen=True, slots=True)
class Target:
    """``check`` returns, or raises because something is wrong; ``modules`` are paths below bamdmux."""

    check: Callable[[bytes], None]
    modules: tuple[str, ...]


TARGETS: Final = {
    "host_receive": Target(
        host_receive.check,
        (
            "host/receive.py",
            "host/driver.py",
            "host/channels.py",
            "host/power.py",
            "host/transmit.py",
            "bam/pipe.py",
        ),
    ),
    "modem_uplink": Target(
        modem_uplink.check,
        (
            "modem/uplink.py",
            "modem/downlink.py",
            "modem/modem.py",
            "modem/network.py",
            "modem/power.py",
            "bam/pipe.py",
        ),
    ),
    "pipes": Target(pipes.check, ("bam/pipe.py", "bam/lines.py")),
    "handover": Target(handover.check, ("live/split/handover.py", "live/split/memory.py")),
    "codecs": Target(
        codecs.check,
        ("wire/dmux.py", "wire/dhcp.py", "wire/ethernet.py", "wire/icmp.py", "modem/network.py"),
    ),
    "qmux": Target(qmux.check, ("wire/qmux.py", "wire/qmi/messages.py", "wire/qmi/types.py")),
    "control": Target(control.check, ("live/control.py",)),
}
