"""Machines that lack one thing each, for what depends on the order of events; see mutants.py."""

from bamdmux.host.driver import HostDriver
from bamdmux.host.power import ModemPowerLine, PowerChange
from bamdmux.host.removal import Stage
from bamdmux.host.transmit import Leftovers, TransmitRing
from bamdmux.wire.dmux import Frame
from tests.sim.mutants import Patch


def hidden_cycle(patch: Patch) -> None:
    """Power that is there has come: nobody asks whether it was away meanwhile."""
    changed = ModemPowerLine.changed

    def by_level(self: ModemPowerLine, edge_count: int) -> PowerChange:
        change = changed(self, edge_count)
        return PowerChange.ROSE if change is PowerChange.CYCLED else change

    patch.setattr(ModemPowerLine, "changed", by_level)


def completion_before_the_fall(patch: Patch) -> None:
    """What the modem took before its power fell is given up with the rest."""
    power_down = HostDriver._power_down

    def without_reaping(self: HostDriver, now: int) -> None:
        self._transmit_ring.reap = lambda: 0  # type: ignore[method-assign]
        power_down(self, now)
        del self._transmit_ring.reap

    patch.setattr(HostDriver, "_power_down", without_reaping)


def order_of_what_waited(patch: Patch) -> None:
    """As in the kernel: what waited for power leaves in the order of slots."""
    submit_pending = TransmitRing.submit_pending

    def by_slot(self: TransmitRing) -> list[Frame]:
        first = (self._oldest + self._submitted) % self._size
        if first + self._pending > self._size:  # across the end of the ring
            for part in (self._channels, self._packet_bytes, self._frame_bytes, self._commands):
                part[0], part[first] = part[first], part[0]  # type: ignore[index]
            held = bytes(self._slots[0])
            self._slots[0][:] = self._slots[first]
            self._slots[first][:] = held
        return submit_pending(self)

    patch.setattr(TransmitRing, "submit_pending", by_slot)


def removal_while_waking(patch: Patch) -> None:
    """A removal that was asked for during a wake-up is forgotten when the modem has woken."""
    woke = HostDriver._woke

    def forgetful(self: HostDriver, now: int) -> None:
        stage, self._removal._stage = self._removal._stage, Stage.CLOSING
        woke(self, now)
        if self._removal._stage is Stage.CLOSING:
            self._removal._stage = stage

    patch.setattr(HostDriver, "_woke", forgetful)


def failed_resume_of_a_removal(patch: Patch) -> None:
    """A removal whose wake-up fails waits on."""
    patch.setattr(HostDriver, "_resume_failed", lambda self, now: None)


def crash_amid_transmission(patch: Patch) -> None:
    """As in the kernel: slots that a dead modem had are never taken back."""
    patch.setattr(TransmitRing, "take_submitted", lambda self: Leftovers())
