"""``bamdmux connect``: a data call by ModemManager or oFono, and its interface."""

import json

import click

from bamdmux.live.clients.programs import check_dbus_package


@click.command("connect", short_help="Inside: bring up a bearer and its interface.")
@click.option("--apn", default="internet", show_default=True, help="Access point name.")
@click.option(
    "--ip-type",
    type=click.Choice(["ipv4", "ipv6", "ipv4v6"]),
    help="Which versions of IP.  [default: ipv4v6; ipv4 with oFono]",
)
@click.option("--user", help="User name, where the APN wants one.")
@click.option("--password", help="Its password.")
@click.option("--pin", help="Unlocks the SIM first, if it is locked.")
@click.option("--another", is_flag=True, help="One more bearer, on the next interface, and no way out by it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    apn: str,
    ip_type: str | None,
    user: str | None,
    password: str | None,
    pin: str | None,
    another: bool,
    as_json: bool,
) -> int:
    """Connect, and configure the interface: inside `bamdmux run --modem-manager` or `--ofono`.

    A modem that is booting, or being found, is waited for.
    """
    check_dbus_package()
    from bamdmux.live.clients.connect import IP_FAMILIES, connect

    wanted: dict[str, str | int | None] = {"apn": apn, "user": user, "password": password, "pin": pin}
    wanted["ip-type"] = IP_FAMILIES[ip_type] if ip_type else None
    settings = {key: value for key, value in wanted.items() if value is not None}
    connection = connect(settings, is_another=another)
    if as_json:
        print(json.dumps(connection.as_dict()))
    else:
        addresses = ", ".join(str(each.address) for each in connection.configurations)
        mtu = f", MTU {connection.mtu}" if connection.mtu else ""
        print(f"connected: {connection.interface} {addresses}{mtu}, after {connection.seconds:.2f} s")
    return 0
