"""The mobile equipment: the one model that QMI, AT, `bamdmux ctl` and the data path share.

    operating mode ----.
    SIM                +--> registration --> data calls --> bearers of network.py --> packets
    preferences        |
    network's weather -'

It is told what clients and the world do, keeps what follows from that in step (a modem in low power is not
registered, one that is not registered has no calls), and lists what changed: the endpoints make indications
of it. It speaks neither QMI nor AT.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, IntEnum, auto, unique
from typing import Any, Final, NamedTuple

from bamdmux.modem.control.cell import Cell, Plmn
from bamdmux.modem.control.contexts import Contexts
from bamdmux.modem.control.data_calls import (
    NO_CREDENTIALS,
    Call,
    CallChanged,
    CallEnd,
    Credentials,
    DataCalls,
)
from bamdmux.modem.control.preferences import Domain, Preferences
from bamdmux.modem.control.registration import PLMN_NOT_ALLOWED, Registration, RegistrationState
from bamdmux.modem.control.sim import CodeResult, PinName, Sim
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import Profile
from bamdmux.timing import Instant


class Mode(IntEnum):
    """Operating mode; the numbers are those of DMS."""

    ONLINE = 0
    LOW_POWER = 1
    FACTORY_TEST = 2
    OFFLINE = 3
    RESET = 4
    SHUTTING_DOWN = 5
    PERSISTENT_LOW_POWER = 6


# Nobody tests a modem in factory test mode here.
SETTABLE_MODES: Final = frozenset(
    (Mode.ONLINE, Mode.LOW_POWER, Mode.OFFLINE, Mode.RESET, Mode.SHUTTING_DOWN, Mode.PERSISTENT_LOW_POWER)
)
# From these only a reset leads back, as in real firmware.
FINAL_MODES: Final = frozenset((Mode.OFFLINE, Mode.RESET, Mode.SHUTTING_DOWN))


@dataclass(frozen=True, slots=True)
class Signal:
    """LTE as it is received: RSSI and RSRP in dBm, RSRQ in dB, SNR in tenths of a dB."""

    rssi: int = -62
    rsrp: int = -90
    rsrq: int = -10
    snr: int = 128

    def __post_init__(self) -> None:
        for name, least, most in SIGNAL_BOUNDS:
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} {value} is not within {least} to {most}")

    @staticmethod
    def of_rsrp(rsrp: int) -> "Signal":
        """What goes with an RSRP from -140 to -44 dBm: the more of it, the better all the rest.

        RSSI is that of 10 MHz, 50 resource blocks: 3GPP TS 36.214 section 5.1.3.
        """
        quality = (rsrp + 140) / 96
        rsrq = round(-20 + 17 * quality)
        return Signal(rssi=max(-113, rsrp - rsrq + 17), rsrp=rsrp, rsrq=rsrq, snr=round(-50 + 350 * quality))


# 3GPP TS 36.133 sections 9.1.4 and 9.1.7 for RSRP and RSRQ; the others are what receivers of phones reach.
SIGNAL_BOUNDS: Final = (("rssi", -120, 0), ("rsrp", -140, -44), ("rsrq", -20, -3), ("snr", -200, 300))


@unique
class Changed(Enum):
    """What may have changed since the last look; calls say more: see `CallChanged`."""

    MODE = auto()
    SIM = auto()
    REGISTRATION = auto()  # or the cell, or the services there
    SIGNAL = auto()
    PREFERENCES = auto()


Change = Changed | CallChanged


class Reception(NamedTuple):
    """What the radio brings us, and what is made of it."""

    state: RegistrationState
    domain: Domain
    cell: Cell | None
    signal: Signal | None


class Equipment:
    """Mode, SIM, registration, signal, contexts and calls.

    Args:
        packet_data_network: its bearers. They are down until a client, or `is_always_on`, has them up.
        is_always_on: it boots registered, and whenever it is registered all its bearers are up.
    """

    def __init__(
        self,
        profile: Profile,
        packet_data_network: PacketDataNetwork,
        *,
        sim: Sim | None = None,
        is_always_on: bool = False,
    ) -> None:
        self.profile = profile
        self.is_always_on = is_always_on
        self.sim = sim or Sim()
        self.mode = Mode.ONLINE
        self._is_running = False  # between boot and crash; what the world does meanwhile is for later
        self.registration = Registration(profile.registration_ns)
        self.signal = Signal()
        self.contexts = Contexts()
        self.calls = DataCalls(packet_data_network, refuses_second=not profile.dual_stack)
        if is_always_on:
            self.calls.keep_all()
        self.open_ports: set[int] = set()  # channels whose data ports a client has opened, by DPM
        self.wants_restart = False  # somebody asked for a reset
        self._stored_preferences = Preferences()  # those that a boot begins with
        self._changes: list[Changed] = []
        self._reception = self._receive()

    # Power

    def boot(self, now: Instant) -> None:
        """Start anew: the SIM has lost power, the mode is online."""
        self.mode = Mode.ONLINE
        self._is_running = True
        self.wants_restart = False
        self.sim.lose_power()
        self.registration.set_preferences(self._stored_preferences, now)
        self._keep_in_step(now)
        if self.is_always_on and self.registration.deadline is not None:
            self.handle_timeout(self.registration.deadline)
        self.take_changes()  # nobody was there to hear of them

    def crash(self, now: Instant) -> None:
        """Fall dead. What the network and the card know, contexts, and preferences that were stored, stay."""
        self.calls.end_all(CallEnd.DROPPED)
        self.open_ports.clear()
        self._is_running = False
        self._keep_in_step(now)
        self.take_changes()

    @property
    def deadline(self) -> Instant | None:
        return self.registration.deadline

    def handle_timeout(self, now: Instant) -> None:
        self.registration.handle_timeout(now)
        self._follow()

    def take_changes(self) -> list[Change]:
        """What changed since the last call, each thing once, in order; calls after what ended them."""
        changes: list[Change] = [*dict.fromkeys(self._changes), *self.calls.take_changes()]
        self._changes.clear()
        return changes

    # What clients do

    def set_mode(self, mode: Mode, now: Instant) -> bool:
        """Switch; whether that is possible from here."""
        if mode not in SETTABLE_MODES or (self.mode in FINAL_MODES and mode is not Mode.RESET):
            return False
        if mode is Mode.RESET:
            self.wants_restart = True
        if mode is not self.mode:
            self.mode = mode
            self._changes.append(Changed.MODE)
            self._keep_in_step(now)
        return True

    def prefer(self, now: Instant, *, is_stored: bool = True, **changes: Any) -> None:
        """Prefer other networks; the names are those of `Preferences`. What is not stored, a boot forgets."""
        if is_stored:
            self._stored_preferences = self._stored_preferences.changed(**changes)
        preferences = self.registration.preferences.changed(**changes)
        if preferences != self.registration.preferences:
            self.registration.set_preferences(preferences, now)
            self._changes.append(Changed.PREFERENCES)
            self._follow()

    def verify_pin(self, pin: str, now: Instant, name: PinName = PinName.PIN1) -> CodeResult:
        return self._sim_touched(self.sim.verify_pin(pin, name), now)

    def unblock_pin(self, puk: str, new_pin: str, now: Instant, name: PinName = PinName.PIN1) -> CodeResult:
        return self._sim_touched(self.sim.unblock_pin(puk, new_pin, name), now)

    def change_pin(
        self, old_pin: str, new_pin: str, now: Instant, name: PinName = PinName.PIN1
    ) -> CodeResult:
        return self._sim_touched(self.sim.change_pin(old_pin, new_pin, name), now)

    def set_pin_enabled(self, pin: str, is_enabled: bool, now: Instant) -> CodeResult:
        return self._sim_touched(self.sim.set_pin_enabled(pin, is_enabled), now)

    def start_call(
        self,
        owner: Hashable,
        channel: int,
        version: int,
        apn: str,
        credentials: Credentials = NO_CREDENTIALS,
        context_index: int | None = None,
    ) -> Call | CallEnd:
        """Bring a call up, if everything that it needs is there; or say what is not."""
        if (obstacle := self._obstacle()) is not None:
            return obstacle
        if not self.registration.is_registered:
            return CallEnd.NO_SERVICE
        return self.calls.start(owner, channel, version, apn, credentials, context_index)

    def client_gone(self, owner: Hashable) -> None:
        """A client was released, or its port ended: what it started ends with it."""
        for call in self.calls.owned_by(owner):
            self.calls.end(call, CallEnd.CLIENT_GONE)

    # What the world does

    def set_signal(self, signal: Signal) -> None:
        self.signal = signal
        self._follow()

    def set_weather(
        self, cell: Cell | None, is_welcome: bool, now: Instant, *, refusal: int = PLMN_NOT_ALLOWED
    ) -> None:
        """Another network is in reach, or none; it wants us, or says why not."""
        self.registration.set_weather(cell, is_welcome, now, refusal=refusal)
        self._follow()

    def lock_sim(self, now: Instant) -> None:
        self.sim.lock()
        self._sim_moved(now)

    def remove_sim(self, now: Instant) -> None:
        self.sim.remove()
        self._sim_moved(now)

    def insert_sim(self, now: Instant) -> None:
        self.sim.insert()
        self._sim_moved(now)

    def status(self) -> dict[str, object]:
        """For JSON."""
        registration, cell, signal = self.registration, self.registration.cell, self.signal
        preferences = registration.preferences
        return {
            "mode": self.mode.name.lower(),
            "sim": {
                "state": self.sim.state.value,
                "pin_enabled": self.sim.pin_is_enabled,
                "pin_retries": self.sim.pin_retries,
                "puk_retries": self.sim.puk_retries,
            },
            "registration": {
                "state": registration.state.value,
                "roaming": registration.is_roaming,
                "network": None if cell is None else f"{cell.mcc}{cell.mnc}",
                "selection": "automatic" if preferences.plmn is None else "".join(preferences.plmn),
                "roaming_preference": preferences.roaming.value,
                "radios": sorted(radio.value for radio in preferences.radios),
            },
            "signal": {
                "rssi_dbm": signal.rssi,
                "rsrp_dbm": signal.rsrp,
                "rsrq_db": signal.rsrq,
                "snr_db": signal.snr / 10,
            },
            "calls": [
                {
                    "channel": call.channel,
                    "version": call.version,
                    "apn": call.apn,
                    "handle": call.handle,
                    "always_on": call.owner is None,
                }
                for call in self.calls
            ],
        }

    # What follows

    @property
    def is_radio_on(self) -> bool:
        return self._is_running and self.mode is Mode.ONLINE

    @property
    def audible_cell(self) -> Cell | None:
        """The cell that the radio receives, registered there or not."""
        return self.registration.audible_cell if self.is_radio_on else None

    @property
    def received_signal(self) -> Signal | None:
        """How well it receives it; None: nothing."""
        return self.signal if self.audible_cell is not None else None

    @property
    def _home(self) -> Plmn:
        return self.sim.card.mcc, self.sim.card.mnc

    def _sim_touched(self, result: CodeResult, now: Instant) -> CodeResult:
        if result not in (CodeResult.NOT_WANTED, CodeResult.MALFORMED):
            self._sim_moved(now)
        return result

    def _sim_moved(self, now: Instant) -> None:
        self._changes.append(Changed.SIM)
        self._keep_in_step(now)

    def _keep_in_step(self, now: Instant) -> None:
        self.registration.set_possible(self.is_radio_on and self.sim.is_ready, self._home, now)
        self._follow()

    def _follow(self) -> None:
        """List what is new about reception, and let the calls follow it."""
        last, self._reception = self._reception, self._receive()
        if self._reception[:-1] != last[:-1]:
            self._changes.append(Changed.REGISTRATION)
        if self._reception.signal != last.signal:
            self._changes.append(Changed.SIGNAL)
        if self._reception.state is last.state:
            return
        if self.registration.is_registered:
            self.calls.start_kept()
        else:
            self.calls.end_all(self._obstacle() or CallEnd.NO_SERVICE)

    def _receive(self) -> Reception:
        registration = self.registration
        return Reception(
            registration.state, registration.preferences.domain, self.audible_cell, self.received_signal
        )

    def _obstacle(self) -> CallEnd | None:
        """What of ours stands in the way of the network."""
        if not self.is_radio_on:
            return CallEnd.LOW_POWER
        return None if self.sim.is_ready else CallEnd.NO_SIM
