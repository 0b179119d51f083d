"""``bamdmux disconnect``: the end of what `bamdmux connect` began."""

import click

from bamdmux.live.clients.programs import check_dbus_package


@click.command("disconnect", short_help="Inside: the end of that.")
def command() -> int:
    """Disconnect, and take the interface down: inside `bamdmux run --modem-manager` or `--ofono`."""
    check_dbus_package()
    from bamdmux.live.clients.connect import disconnect

    disconnect()
    return 0
