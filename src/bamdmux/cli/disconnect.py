"""``bamdmux disconnect``: the end of what `bamdmux connect` began."""

import click


@click.command("disconnect")
def command() -> int:
    """Disconnect, and take the interface down: inside `bamdmux run --modem-manager`."""
    from bamdmux.live.clients.connect import disconnect

    disconnect()
    return 0
