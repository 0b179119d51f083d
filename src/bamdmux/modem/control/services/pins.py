"""PINs as DMS and UIM write them: their numbers for the states of one are the same."""

from bamdmux.modem.control.sim import Pin
from bamdmux.wire.qmi.values import PinState


def pin_state(pin: Pin) -> PinState:
    if pin.is_dead:
        return PinState.PERMANENTLY_BLOCKED
    if pin.is_blocked:
        return PinState.BLOCKED
    if not pin.is_enabled:
        return PinState.DISABLED
    return PinState.ENABLED_VERIFIED if pin.is_verified else PinState.ENABLED_NOT_VERIFIED
