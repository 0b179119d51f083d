"""A program on the bus, as those see it who call it."""

import asyncio
from typing import Any, Final

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from bamdmux.errors import MachineError

# Managers' own, for a modem that does not answer, are shorter: ModemManager waits 3 minutes for each version
# of IP.
CALL_TIMEOUT_SECONDS: Final = 400.0


class Refusal(MachineError):
    """It has answered with an error; `name` is what D-Bus calls it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Callee:
    """Somebody on the bus, by the name that they have there, and by the one that people know."""

    def __init__(self, bus: MessageBus, name: str, title: str) -> None:
        self.bus = bus
        self.name = name
        self.title = title

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> list[Any]:
        """Call a method; what it returns.

        Raises:
            Refusal: it refuses; its words.
            MachineError: it has gone, or does not answer.
        """
        call = self.bus.call(
            Message(
                destination=self.name,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
            )
        )
        try:
            reply = await asyncio.wait_for(call, CALL_TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise MachineError(
                f"{self.title} has not answered within {CALL_TIMEOUT_SECONDS:.0f} s"
            ) from error
        except (DBusError, EOFError, OSError) as error:
            raise MachineError(f"{self.title} has gone: {error}") from error
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            text = str(reply.body[0]) if reply.body else str(reply.error_name)
            raise Refusal(str(reply.error_name), f"{self.title} refuses: {text}")
        return reply.body

    async def owner(self) -> str | None:
        """Who has its name on the bus; None: nobody."""
        reply = await self.bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="GetNameOwner",
                signature="s",
                body=[self.name],
            )
        )
        if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
            return None
        return str(reply.body[0])
