"""The authority that ModemManager asks whether somebody may do something: it says yes.

Who can reach this bus is the user who started `bamdmux run`, or a program of his. polkitd would need to be
root.
"""

from typing import Final

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

NAME: Final = "org.freedesktop.PolicyKit1"
PATH: Final = "/org/freedesktop/PolicyKit1/Authority"
INTERFACE: Final = "org.freedesktop.PolicyKit1.Authority"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"


async def serve_authority(bus: MessageBus) -> None:
    """Answer on this connection from now on."""
    bus.add_message_handler(_answer)
    await bus.request_name(NAME)


def _answer(message: Message) -> Message | None:
    if message.message_type is not MessageType.METHOD_CALL or message.path != PATH:
        return None
    if message.interface == INTERFACE and message.member == "CheckAuthorization":
        return Message.new_method_return(message, "(bba{ss})", [[True, False, {}]])
    if message.interface == PROPERTIES and message.member == "GetAll":
        return Message.new_method_return(message, "a{sv}", [{}])
    return None
