"""``bamdmux connect``: a data call by ModemManager, and its interface."""

import json

import click


@click.command("connect")
@click.option("--apn", default="internet", show_default=True, help="Access point name.")
@click.option(
    "--ip-type",
    type=click.Choice(["ipv4", "ipv6", "ipv4v6"]),
    default="ipv4v6",
    show_default=True,
    help="Which versions of IP.",
)
@click.option("--user", help="User name, where the APN wants one.")
@click.option("--password", help="Its password.")
@click.option("--pin", help="Unlocks the SIM first, if it is locked.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    apn: str, ip_type: str, user: str | None, password: str | None, pin: str | None, as_json: bool
) -> int:
    """Connect, and configure the interface: inside `bamdmux run --modem-manager`."""
    from bamdmux.live.clients.connect import IP_FAMILIES, connect

    wanted: dict[str, str | int | None] = {"user": user, "password": password, "pin": pin}
    settings = {key: value for key, value in wanted.items() if value is not None}
    connection = connect({"apn": apn, "ip-type": IP_FAMILIES[ip_type], **settings})
    if as_json:
        print(json.dumps(connection.as_dict()))
    else:
        addresses = ", ".join(str(each.address) for each in connection.configurations)
        print(f"connected: {connection.interface} {addresses}, MTU {connection.mtu}")
    return 0
