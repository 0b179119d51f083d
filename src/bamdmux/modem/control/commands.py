"""What `bamdmux ctl` does to a modem's surroundings: network, signal, SIM.

    {"command": "signal", "rsrp": -110}         {"command": "sim", "action": "lock"}

Each is a function of the equipment, the request and the time; the result is JSON, and shows the model as it
is afterwards. Whoever calls one lets the plane `settle`, so that clients hear of it. Arguments come from
anybody who may open the control socket, and are checked here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bamdmux.errors import UsageError
from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.data_calls import CallEnd
from bamdmux.modem.control.equipment import Equipment, Signal
from bamdmux.timing import Instant

Arguments = Mapping[str, Any]
Command = Callable[[Equipment, Arguments, Instant], dict[str, Any]]

MIN_RSRP: Final = -140  # dBm; 3GPP TS 36.133 section 9.1.4
MAX_RSRP: Final = -44


def set_signal(equipment: Equipment, arguments: Arguments, now: Instant) -> dict[str, Any]:
    """Receive the network so well; `rsrp` in dBm, and all else follows from it."""
    rsrp = _number(arguments, "rsrp", MIN_RSRP, MAX_RSRP)
    equipment.set_signal(Signal.of_rsrp(rsrp))
    return _part(equipment, "signal")


def register(equipment: Equipment, arguments: Arguments, now: Instant) -> dict[str, Any]:
    """A network is in reach that wants us: the home network, or with `roaming` another one."""
    cell = VISITED if _flag(arguments, "roaming") else Cell()
    equipment.set_weather(cell, True, now)
    return _part(equipment, "registration")


def deregister(equipment: Equipment, arguments: Arguments, now: Instant) -> dict[str, Any]:
    """No network is in reach; or with `denied` one is that does not want us."""
    if _flag(arguments, "denied"):
        equipment.set_weather(equipment.registration.cell or Cell(), False, now)
    else:
        equipment.set_weather(None, True, now)
    return _part(equipment, "registration")


def do_with_sim(equipment: Equipment, arguments: Arguments, now: Instant) -> dict[str, Any]:
    """`action`: lock (switch its PIN on, not verified), remove, insert."""
    actions = {"lock": equipment.lock_sim, "remove": equipment.remove_sim, "insert": equipment.insert_sim}
    actions[_choice(arguments, "action", actions)](now)
    return _part(equipment, "sim")


def do_with_bearer(equipment: Equipment, arguments: Arguments, now: Instant) -> dict[str, Any]:
    """`action` drop: the network ends the calls of a `channel`, or all; restore: it brings them up again."""
    action = _choice(arguments, "action", ("drop", "restore"))
    channel = None
    if arguments.get("channel") is not None:
        channel = _number(arguments, "channel", 0, 7)
        if equipment.calls.bearer(channel) is None:
            raise UsageError(f"the modem has no channel {channel}")
    if action == "drop":
        equipment.calls.end_all(CallEnd.DROPPED, channel=channel)
    elif equipment.registration.is_registered:
        equipment.calls.start_all(channel=channel)
    else:
        raise UsageError(f"the modem is not registered; it is {equipment.registration.state.value}")
    return {"calls": equipment.status()["calls"]}


def _part(equipment: Equipment, name: str) -> dict[str, Any]:
    return {name: equipment.status()[name]}


def _number(arguments: Arguments, name: str, least: int, most: int) -> int:
    value = arguments.get(name)
    if type(value) is not int or not least <= value <= most:
        raise UsageError(f"{name} {value!r} is not within {least} to {most}")
    return value


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name, False)
    if type(value) is not bool:
        raise UsageError(f"{name} {value!r} is neither true nor false")
    return value


def _choice(arguments: Arguments, name: str, choices: Any) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or value not in choices:
        raise UsageError(f"{name} {value!r} is not one of {', '.join(choices)}")
    return value


COMMANDS: Final[Mapping[str, Command]] = {
    "signal": set_signal,
    "register": register,
    "deregister": deregister,
    "sim": do_with_sim,
    "bearer": do_with_bearer,
}
