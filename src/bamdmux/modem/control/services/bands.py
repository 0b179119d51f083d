"""Bands as bits, as DMS and NAS write them: GSM and WCDMA in one number, LTE in others."""

from collections.abc import Iterable
from typing import Final

# GSM 1800 and 900 (extended, primary), WCDMA I and VIII: the numbers of bits are those of the band classes.
BANDS: Final = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 22 | 1 << 49


def lte_band_bits(bands: Iterable[int]) -> int:
    """Band 1 is bit 0."""
    return sum(1 << band - 1 for band in bands)


def lte_bands_of(bits: int) -> frozenset[int]:
    return frozenset(bit + 1 for bit in range(bits.bit_length()) if bits >> bit & 1)
