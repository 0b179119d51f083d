"""The modem's control plane: what clients say over QMI and AT, and the one model that answers them."""
