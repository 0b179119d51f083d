"""Qualcomm's BAM-DMUX modem link in userspace: the host driver, the modem, and the network behind it."""

__version__ = "0.1.0"
