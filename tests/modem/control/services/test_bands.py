"""Bands as bits."""

from hypothesis import given
from hypothesis import strategies as st

from bamdmux.modem.control.services.bands import lte_band_bits, lte_bands_of


def test_band_1_is_bit_0() -> None:
    assert lte_band_bits((1, 3)) == 0b101


@given(st.frozensets(st.integers(1, 256)))
def test_bits_are_bands_again(bands: frozenset[int]) -> None:
    assert lte_bands_of(lte_band_bits(bands)) == bands
