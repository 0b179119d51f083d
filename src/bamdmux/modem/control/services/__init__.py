"""What each QMI service answers: one module each, from the one model in equipment.py.

A module has two tables of itself:

    HANDLERS     message name -> handler(request) -> the values of the response, or a Failure, or InvalidTlv
    INDICATIONS  handlers of a change: (change, client, equipment) -> (message name, values) | None

WDS besides has a report that comes by the clock: `Client.next_report_at` says when.

A handler finds its request checked: TLVs decoded, those that must be there are there. It changes the model
and reads it; what it answers is never kept anywhere else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bamdmux.modem.control.equipment import Change, Equipment
from bamdmux.timing import Instant
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Service

Values = Mapping[str, Any]

NOTHING: Final[Values] = {}  # a success that has nothing to say


@dataclass(slots=True, eq=False)
class Client:
    """A client id of a service, and what its owner has set for it.

    Args:
        port: over which it was last heard; what it has asked to be told goes there.
        reports: names of the reports that it has switched on, with their settings.
        told: what it was told last, by report: for those that are made of changes that are large enough.
        channel: WDS: the channel that its calls are for.
        version: WDS: of IP, likewise.
        next_report_at: WDS: when it is to be told what its call has carried.
    """

    service: Service
    id: int
    port: int
    reports: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    channel: int = 0
    version: int = 4
    next_report_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as an answer; `values` go with it where a message says more than the error."""

    error: QmiError
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is in order.

    Args:
        values: by the names of its TLVs.
        clients: for CTL, which deals in them.
    """

    client: Client
    values: Values
    equipment: Equipment
    clients: "ClientTable"
    now: Instant


Answer = Values | Failure
Handler = Callable[[Request], Answer]
Indication = tuple[str, Values]  # of a message by its name in the service's file
Indicator = Callable[[Change, Client, Equipment], Indication | None]

CLIENTS_PER_SERVICE: Final = 254  # ids 1 to 254; 255 is everybody. One more: CLIENT_IDS_EXHAUSTED


class ClientTable:
    """The client ids of all services."""

    def __init__(self) -> None:
        self._clients: dict[tuple[int, int], Client] = {}
        self._last: dict[Service, int] = {}

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients.values()))

    def __len__(self) -> int:
        return len(self._clients)

    def find(self, service: int, client_id: int) -> Client | None:
        return self._clients.get((service, client_id))

    def allocate(self, service: Service, port: int) -> Client | None:
        """A new client, with the id that was free for longest; None: there is none."""
        last = self._last.get(service, 0)
        for step in range(CLIENTS_PER_SERVICE):
            client_id = (last + step) % CLIENTS_PER_SERVICE + 1
            if (service, client_id) not in self._clients:
                self._last[service] = client_id
                client = self._clients[service, client_id] = Client(service, client_id, port)
                return client
        return None

    def release(self, client: Client) -> None:
        self._clients.pop((client.service, client.id), None)

    def clear(self) -> None:
        self._clients.clear()
        self._last.clear()
