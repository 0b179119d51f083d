"""The number for each state of a PIN."""

import pytest

from bamdmux.modem.control.services.pins import pin_state
from bamdmux.modem.control.sim import Pin
from bamdmux.wire.qmi.values import PinState


@pytest.mark.parametrize(
    ("pin", "state"),
    [
        (Pin("1234", "12345678", is_enabled=False), PinState.DISABLED),
        (Pin("1234", "12345678", is_enabled=True), PinState.ENABLED_NOT_VERIFIED),
        (Pin("1234", "12345678", is_enabled=True, is_verified=True), PinState.ENABLED_VERIFIED),
        (Pin("1234", "12345678", is_enabled=True, retries=0), PinState.BLOCKED),
        (Pin("1234", "12345678", is_enabled=True, retries=0, puk_retries=0), PinState.PERMANENTLY_BLOCKED),
    ],
)
def test_each_state_has_its_number(pin: Pin, state: PinState) -> None:
    assert pin_state(pin) is state
