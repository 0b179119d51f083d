"""Qualcomm's BAM-DMUX modem link in userspace: the host driver, the modem, and the network behind it."""

from bamdmux.version import VERSION as __version__

__all__ = ["__version__"]
