"""The equipment: what follows from what, and what is told of it."""

from itertools import pairwise

import pytest

from bamdmux.modem.control.cell import VISITED, Cell
from bamdmux.modem.control.data_calls import Call, CallChanged, CallEnd
from bamdmux.modem.control.equipment import Changed, Equipment, Mode, Signal
from bamdmux.modem.control.preferences import Domain, Preferences, Radio, Roaming
from bamdmux.modem.control.registration import RegistrationState
from bamdmux.modem.control.sim import CodeResult, PinName, Sim, SimState
from bamdmux.modem.network import PacketDataNetwork
from bamdmux.modem.profiles import load_profile

PROFILE = load_profile("msm8916")
DELAY = PROFILE.registration_ns
OWNER = object()


def booted(sim: Sim | None = None, *, is_always_on: bool = False) -> Equipment:
    network = PacketDataNetwork(PROFILE.channels)
    equipment = Equipment(PROFILE, network, sim=sim, is_always_on=is_always_on)
    equipment.boot(now=0)
    return equipment


def registered(sim: Sim | None = None) -> Equipment:
    equipment = booted(sim)
    equipment.handle_timeout(now=DELAY)
    equipment.take_changes()
    return equipment


def with_a_call() -> tuple[Equipment, Call]:
    equipment = registered()
    call = equipment.start_call(OWNER, 0, 4, "internet")
    assert isinstance(call, Call)
    equipment.take_changes()
    return equipment, call


# Power


def test_it_searches_when_it_has_booted() -> None:
    equipment = booted()
    assert equipment.registration.state is RegistrationState.SEARCHING
    assert equipment.deadline == DELAY


def test_one_that_is_always_on_boots_registered_with_all_bearers_up() -> None:
    equipment = booted(is_always_on=True)
    assert equipment.registration.is_registered
    assert {(call.channel, call.version) for call in equipment.calls} == {
        (channel, version) for channel in PROFILE.channels for version in (4, 6)
    }


def test_one_that_is_always_on_waits_for_its_pin() -> None:
    equipment = booted(Sim(pin_is_enabled=True), is_always_on=True)
    assert equipment.registration.state is RegistrationState.NOT_REGISTERED
    assert list(equipment.calls) == []


def test_nobody_is_told_of_a_boot() -> None:
    assert booted(is_always_on=True).take_changes() == []


def test_a_crash_ends_everything_and_nobody_is_told() -> None:
    equipment, _ = with_a_call()
    equipment.crash(now=0)
    assert list(equipment.calls) == []
    assert equipment.registration.state is RegistrationState.NOT_REGISTERED
    assert equipment.received_signal is None
    assert equipment.take_changes() == []


def test_a_new_boot_asks_for_the_pin_again_and_is_online() -> None:
    equipment = booted(Sim(pin_is_enabled=True))
    equipment.verify_pin("1234", now=0)
    equipment.set_mode(Mode.LOW_POWER, now=0)
    equipment.crash(now=0)
    equipment.boot(now=0)
    assert equipment.sim.state is SimState.PIN_REQUIRED
    assert equipment.mode is Mode.ONLINE


def test_what_the_world_does_to_a_dead_modem_is_there_when_it_boots() -> None:
    equipment = registered()
    equipment.crash(now=0)
    equipment.remove_sim(now=0)
    equipment.insert_sim(now=0)
    equipment.set_weather(VISITED, True, now=0)
    assert equipment.registration.state is RegistrationState.NOT_REGISTERED
    assert equipment.deadline is None
    equipment.boot(now=0)
    equipment.handle_timeout(now=DELAY)
    assert equipment.registration.is_roaming


# Operating mode


def test_low_power_ends_registration_and_calls() -> None:
    equipment, call = with_a_call()
    assert equipment.set_mode(Mode.LOW_POWER, now=0)
    assert equipment.registration.state is RegistrationState.NOT_REGISTERED
    assert equipment.take_changes() == [
        Changed.MODE,
        Changed.REGISTRATION,
        Changed.SIGNAL,
        CallChanged(call, CallEnd.LOW_POWER),
    ]


def test_online_again_it_registers_again() -> None:
    equipment = registered()
    equipment.set_mode(Mode.LOW_POWER, now=0)
    equipment.set_mode(Mode.ONLINE, now=DELAY)
    equipment.handle_timeout(now=2 * DELAY)
    assert equipment.registration.is_registered


def test_the_mode_that_it_is_in_changes_nothing() -> None:
    equipment = registered()
    assert equipment.set_mode(Mode.ONLINE, now=0)
    assert equipment.take_changes() == []


def test_nobody_gets_it_into_factory_test() -> None:
    equipment = registered()
    assert not equipment.set_mode(Mode.FACTORY_TEST, now=0)
    assert equipment.mode is Mode.ONLINE


@pytest.mark.parametrize("mode", [Mode.OFFLINE, Mode.SHUTTING_DOWN, Mode.RESET])
def test_only_a_reset_leads_out_of(mode: Mode) -> None:
    equipment = registered()
    equipment.set_mode(mode, now=0)
    assert not equipment.set_mode(Mode.ONLINE, now=0)
    assert equipment.set_mode(Mode.RESET, now=0)
    assert equipment.wants_restart


def test_a_reset_is_wanted_until_it_boots() -> None:
    equipment = registered()
    equipment.set_mode(Mode.RESET, now=0)
    assert not equipment.registration.is_registered
    equipment.boot(now=0)
    assert not equipment.wants_restart


# SIM


def test_the_right_pin_lets_it_register() -> None:
    equipment = booted(Sim(pin_is_enabled=True))
    assert equipment.registration.state is RegistrationState.NOT_REGISTERED
    assert equipment.verify_pin("1234", now=0) is CodeResult.ACCEPTED
    assert equipment.take_changes() == [Changed.SIM, Changed.REGISTRATION]
    assert equipment.registration.state is RegistrationState.SEARCHING


def test_a_wrong_code_is_a_change_of_the_card_and_a_malformed_one_is_none() -> None:
    equipment = registered()
    equipment.set_pin_enabled("9999", True, now=0)
    assert equipment.take_changes() == [Changed.SIM]
    equipment.set_pin_enabled("1", True, now=0)
    assert equipment.take_changes() == []


def test_the_three_wrong_pins_that_block_a_card_end_registration() -> None:
    equipment = registered()
    for _ in range(3):
        equipment.set_pin_enabled("9999", True, now=0)
    assert equipment.sim.state is SimState.PUK_REQUIRED
    assert not equipment.registration.is_registered
    assert equipment.unblock_pin("12345678", "1111", now=0) is CodeResult.ACCEPTED
    assert equipment.registration.state is RegistrationState.SEARCHING


def test_pin2_is_for_itself() -> None:
    equipment = registered()
    assert equipment.change_pin("5678", "8765", now=0, name=PinName.PIN2) is CodeResult.ACCEPTED
    assert equipment.registration.is_registered


def test_without_the_card_there_is_no_registration() -> None:
    equipment, call = with_a_call()
    equipment.remove_sim(now=0)
    assert equipment.take_changes() == [
        Changed.SIM,
        Changed.REGISTRATION,
        CallChanged(call, CallEnd.NO_SIM),
    ]


def test_a_card_that_comes_back_registers() -> None:
    equipment = registered()
    equipment.remove_sim(now=0)
    equipment.insert_sim(now=0)
    equipment.handle_timeout(now=DELAY)
    assert equipment.registration.is_registered


def test_a_locked_card_is_not_registered() -> None:
    equipment = registered()
    equipment.lock_sim(now=0)
    assert equipment.sim.state is SimState.PIN_REQUIRED
    assert not equipment.registration.is_registered


# Reception


def test_a_better_signal_is_told() -> None:
    equipment = registered()
    equipment.set_signal(Signal.of_rsrp(-80))
    assert equipment.take_changes() == [Changed.SIGNAL]
    assert equipment.received_signal == Signal.of_rsrp(-80)


def test_the_same_signal_is_no_news() -> None:
    equipment = registered()
    equipment.set_signal(equipment.signal)
    assert equipment.take_changes() == []


def test_nothing_is_received_without_a_network() -> None:
    equipment = registered()
    equipment.set_weather(None, True, now=0)
    assert equipment.received_signal is None
    assert equipment.take_changes() == [Changed.REGISTRATION, Changed.SIGNAL]


def test_a_signal_that_nobody_receives_is_no_news() -> None:
    equipment = registered()
    equipment.set_mode(Mode.LOW_POWER, now=0)
    equipment.take_changes()
    equipment.set_signal(Signal.of_rsrp(-80))
    assert equipment.take_changes() == []


def test_a_signal_is_received_without_a_card() -> None:
    equipment = booted(Sim(is_present=False))
    assert equipment.received_signal == equipment.signal


def test_the_better_the_rsrp_the_better_all_the_rest() -> None:
    signals = [Signal.of_rsrp(rsrp) for rsrp in range(-140, -43)]
    for worse, better in pairwise(signals):
        assert worse.rsrp < better.rsrp
        assert worse.rssi <= better.rssi
        assert worse.rsrq <= better.rsrq
        assert worse.snr < better.snr


@pytest.mark.parametrize("rsrp", [-141, -43])
def test_a_signal_that_cannot_be_is_refused(rsrp: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        Signal.of_rsrp(rsrp)


def test_what_changes_twice_before_anybody_looks_is_told_once() -> None:
    equipment = registered()
    equipment.set_weather(None, True, now=0)
    equipment.set_weather(Cell(), True, now=0)
    assert equipment.take_changes() == [Changed.REGISTRATION, Changed.SIGNAL]


# Preferences


def test_a_preference_is_told_though_nothing_follows_from_it() -> None:
    equipment = registered()
    equipment.prefer(0, others={"usage": 1})
    assert equipment.take_changes() == [Changed.PREFERENCES]


def test_what_was_preferred_already_is_no_news() -> None:
    equipment = registered()
    equipment.prefer(0, plmn=None)
    assert equipment.take_changes() == []


def test_another_network_by_hand_ends_registration_and_calls() -> None:
    equipment, call = with_a_call()
    equipment.prefer(0, plmn=("999", "99"))
    assert equipment.registration.state is RegistrationState.SEARCHING
    assert equipment.take_changes() == [
        Changed.PREFERENCES,
        Changed.REGISTRATION,
        CallChanged(call, CallEnd.NO_SERVICE),
    ]


def test_other_services_in_the_same_network_are_a_change_of_registration() -> None:
    equipment = registered()
    equipment.prefer(0, domain=Domain.PACKETS)
    assert equipment.registration.is_registered
    assert equipment.take_changes() == [Changed.PREFERENCES, Changed.REGISTRATION]


def test_a_boot_forgets_what_was_not_stored() -> None:
    equipment = registered()
    equipment.prefer(0, roaming=Roaming.HOME_ONLY)
    equipment.prefer(0, is_stored=False, radios=frozenset((Radio.GSM,)))
    assert equipment.received_signal is None
    equipment.crash(now=0)
    equipment.boot(now=0)
    assert equipment.registration.preferences == Preferences(roaming=Roaming.HOME_ONLY)
    assert equipment.registration.state is RegistrationState.SEARCHING


# Calls


def test_no_call_without_registration() -> None:
    assert booted().start_call(OWNER, 0, 4, "internet") is CallEnd.NO_SERVICE


def test_no_call_without_the_radio() -> None:
    equipment = registered()
    equipment.set_mode(Mode.LOW_POWER, now=0)
    assert equipment.start_call(OWNER, 0, 4, "internet") is CallEnd.LOW_POWER


def test_no_call_without_a_card() -> None:
    equipment = registered()
    equipment.remove_sim(now=0)
    assert equipment.start_call(OWNER, 0, 4, "internet") is CallEnd.NO_SIM


def test_a_lost_network_ends_calls() -> None:
    equipment, call = with_a_call()
    equipment.set_weather(None, True, now=0)
    assert equipment.take_changes()[-1] == CallChanged(call, CallEnd.NO_SERVICE)


def test_one_that_is_always_on_brings_its_bearers_up_again() -> None:
    equipment = booted(is_always_on=True)
    count = len(list(equipment.calls))
    equipment.set_weather(None, True, now=0)
    assert not list(equipment.calls)
    equipment.set_weather(Cell(), True, now=0)
    equipment.handle_timeout(now=DELAY)
    assert len(list(equipment.calls)) == count


def test_a_call_ends_with_its_client() -> None:
    equipment, call = with_a_call()
    equipment.client_gone(object())
    assert equipment.calls.find(0, 4) == call
    equipment.client_gone(OWNER)
    assert equipment.take_changes() == [CallChanged(call, CallEnd.CLIENT_GONE)]


# What people see


def test_the_status_says_where_everything_stands() -> None:
    equipment, call = with_a_call()
    equipment.prefer(0, plmn=("001", "01"), roaming=Roaming.HOME_ONLY, radios=frozenset((Radio.LTE,)))
    assert equipment.status() == {
        "mode": "online",
        "sim": {"state": "ready", "pin_enabled": False, "pin_retries": 3, "puk_retries": 10},
        "registration": {
            "state": "registered",
            "roaming": False,
            "network": "00101",
            "selection": "00101",
            "roaming_preference": "home-only",
            "radios": ["lte"],
        },
        "signal": {"rssi_dbm": -62, "rsrp_dbm": -90, "rsrq_db": -10, "snr_db": 12.8},
        "calls": [{"channel": 0, "version": 4, "apn": "internet", "handle": call.handle, "always_on": False}],
    }


def test_the_status_of_a_modem_without_a_network_says_so() -> None:
    equipment = registered()
    equipment.set_weather(None, True, now=0)
    registration = equipment.status()["registration"]
    assert isinstance(registration, dict)
    assert (registration["network"], registration["selection"]) == (None, "automatic")
