"""Qualcomm's BAM-DMUX modem link in userspace: the host driver, the modem, and the network behind it.

What is public are the names of ``__all__``; everything else may change without notice. They are imported when
they are first used: a program that wants only the codec pays for nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

from bamdmux.version import VERSION as __version__

if TYPE_CHECKING:
    from bamdmux.actions import Action as Action
    from bamdmux.actions import Line as Line
    from bamdmux.actions import Pipe as Pipe
    from bamdmux.bam.lines import LineReader as LineReader
    from bamdmux.bam.lines import LineWriter as LineWriter
    from bamdmux.bam.memory import LinkLayout as LinkLayout
    from bamdmux.bam.pipe import PipeOwner as PipeOwner
    from bamdmux.bam.pipe import PipePeer as PipePeer
    from bamdmux.counters import DropReason as DropReason
    from bamdmux.errors import BamDmuxError as BamDmuxError
    from bamdmux.errors import MachineError as MachineError
    from bamdmux.errors import MalformedFrame as MalformedFrame
    from bamdmux.errors import ProtocolError as ProtocolError
    from bamdmux.errors import UsageError as UsageError
    from bamdmux.host.driver import HostDriver as HostDriver
    from bamdmux.host.power import HostOptions as HostOptions
    from bamdmux.modem.modem import Modem as Modem
    from bamdmux.modem.profiles import Profile as Profile
    from bamdmux.modem.profiles import load_profile as load_profile
    from bamdmux.netdevice import NetDevice as NetDevice
    from bamdmux.netdevice import QueueDevice as QueueDevice
    from bamdmux.wire.dmux import Command as Command
    from bamdmux.wire.dmux import Frame as Frame
    from bamdmux.wire.dmux import decode_frame as decode_frame
    from bamdmux.wire.dmux import encode_frame as encode_frame

_HOME = {
    # the frame
    "Command": "wire.dmux",
    "Frame": "wire.dmux",
    "decode_frame": "wire.dmux",
    "encode_frame": "wire.dmux",
    "DropReason": "counters",
    # memory that both sides share
    "LinkLayout": "bam.memory",
    "LineReader": "bam.lines",
    "LineWriter": "bam.lines",
    "PipeOwner": "bam.pipe",
    "PipePeer": "bam.pipe",
    # the machines
    "HostDriver": "host.driver",
    "HostOptions": "host.power",
    "Modem": "modem.modem",
    "Profile": "modem.profiles",
    "load_profile": "modem.profiles",
    # their world
    "Action": "actions",
    "Line": "actions",
    "Pipe": "actions",
    "NetDevice": "netdevice",
    "QueueDevice": "netdevice",
    # errors
    "BamDmuxError": "errors",
    "MachineError": "errors",
    "MalformedFrame": "errors",
    "ProtocolError": "errors",
    "UsageError": "errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"bamdmux.{_HOME[name]}"), name)
