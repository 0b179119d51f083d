"""Faults of a link in two processes that are both ours: each half is asked for those that lie on it.

The modem's are set over its control socket; and it is told of them on its command line when it has to be
started again, so that they outlive it.
"""

from collections.abc import Mapping
from typing import Any

from bamdmux.errors import BamDmuxError, UsageError
from bamdmux.live.control import request as ask
from bamdmux.live.faults import Faults, read_request, why_not_here
from bamdmux.live.split.modem_process import STATUS_TIMEOUT_SECONDS, ModemProcess
from bamdmux.middleware.control_faults import AnyFault
from bamdmux.middleware.faults import Half
from bamdmux.timing import Instant


class BothHalves:
    """What `Faults` is for a link in one process.

    Args:
        ours: those of the host's half, in this process.
        modem: the process that has the other half.
    """

    def __init__(self, ours: Faults, modem: ModemProcess) -> None:
        self._ours = ours
        self._modem = modem

    def check(self, fault: AnyFault) -> None:
        """See whether one of the halves can do it.

        Raises:
            UsageError: it needs both in one process.
        """
        if not fault.halves:
            raise UsageError(why_not_here(fault))

    def set(self, fault: AnyFault, rate: float) -> None:
        """See `Faults.set`. The modem hears of it when it next starts, unless `answer` has told it."""
        self.check(fault)
        if Half.HOST in fault.halves:
            self._ours.set(fault, rate)
        if Half.MODEM in fault.halves:
            self._modem.faults[fault.name] = rate

    def clear(self, name: str | None = None) -> None:
        """See `Faults.clear`."""
        if name is None:
            self._modem.faults.clear()
            self._ours.clear()
            return
        is_modems = self._modem.faults.pop(name, None) is not None
        if not is_modems or self._ours.has(name):
            self._ours.clear(name)

    def answer(self, request: Mapping[str, Any], now: Instant) -> dict[str, object]:
        """See `Faults.answer`; both halves are asked.

        Raises:
            MachineError: the modem does not answer.
        """
        fault, rate = read_request(request)
        name = None if fault is None else fault.name
        match request["action"]:
            case "set":
                assert fault is not None
                self.set(fault, rate)
                if Half.MODEM in fault.halves:
                    self._ask_modem(action="set", name=name, rate=rate)
            case "clear":
                is_modems = name is None or name in self._modem.faults
                self.clear(name)
                if is_modems:
                    self._ask_modem(action="clear", name=name)
        return self.status()

    def status(self) -> dict[str, object]:
        """See `Faults.status`; the strikes of both halves together."""
        status: dict[str, Any] = self._ours.status()
        try:
            modems = self._ask_modem(action="list")["active"]
        except BamDmuxError:
            modems = []  # it is dead just now
        by_name = {each["name"]: each for each in status["active"]}
        for each in modems:
            if each["name"] in by_name:
                by_name[each["name"]]["strikes"] += each["strikes"]
            else:
                status["active"].append(each)
        return status

    def _ask_modem(self, **arguments: Any) -> Any:
        path = self._modem.control_path
        return ask(path, "fault", timeout_seconds=STATUS_TIMEOUT_SECONDS, **arguments)
