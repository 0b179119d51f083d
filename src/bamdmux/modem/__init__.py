"""The far side of the link: the modem, an independent reading of the protocol."""
