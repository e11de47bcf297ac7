"""What the engines of the HTTP proxy order: requests of the client, work of the server."""

from __future__ import annotations

import enum
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from shoal.core import Family, InfoHash, Persist
from shoal.core.records import dataclass
from shoal.dht.effects import (
    Done,
    PublicAddressChanged,
    RowsFound,
    StatusChanged,
    ValuesExpired,
    ValuesFound,
)

if TYPE_CHECKING:
    from shoal.dht.value import Value


class PushResult(enum.Enum):
    """What a push notification led to (OpenDHT callbacks.h: PushNotificationResult)."""

    VALUES = "values"
    VALUES_EXPIRED = "values expired"
    LISTEN_REFRESH = "listen refresh"
    PUT_REFRESH = "put refresh"
    IGNORED_WRONG_SESSION = "ignored: of another session"
    IGNORED_NO_OPERATION = "ignored: nothing here listens or puts there"
    IGNORED_STOPPED = "ignored: closed"
    IGNORED_DISABLED = "ignored: no push registration"
    ERROR = "not a notification of a proxy"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Action: send this request to the proxy.

    Feed each line of the answer to `http_line` if its status is 200, and its end to `http_ended`.

    Attributes:
        id: names the request in inputs and in `HttpCancel`.
        method: GET, POST, SUBSCRIBE or UNSUBSCRIBE.
        path: from the slash on, already quoted.
        body: JSON, or None for a request without a body.
        is_stream: the answer may stay open and silent for as long as it likes.
        family: the address family to connect over; None leaves the choice to the driver.
    """

    id: int
    method: str
    path: str
    body: bytes | None = None
    is_stream: bool = False
    family: Family | None = None


@dataclass(frozen=True, slots=True)
class HttpCancel:
    """Action: end request *id*; no input about it follows."""

    id: int


@dataclass(frozen=True, slots=True)
class StartListen:
    """Action: follow *key* on the node and feed `values_changed(id, …)`."""

    id: int
    key: InfoHash


@dataclass(frozen=True, slots=True)
class StopListen:
    """Action: end what `StartListen` *id* began."""

    id: int


@dataclass(frozen=True, slots=True)
class Announce:
    """Action: put *value* permanently at *key*, on behalf of a client from before a restart."""

    key: InfoHash
    value: Value


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Action: stop announcing a permanent value."""

    key: InfoHash
    value_id: int


@dataclass(frozen=True, slots=True)
class SendPush:
    """Action: POST a notification.

    Attributes:
        url: the endpoint that the client chose (UnifiedPush), or None for our push gateway.
        headers: those of the request, less what HTTP itself needs.
        body: JSON, or its RFC 8291 encryption.
    """

    url: str | None
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


ClientEffect: TypeAlias = (
    HttpRequest
    | HttpCancel
    | ValuesFound
    | ValuesExpired
    | RowsFound
    | Done
    | StatusChanged
    | PublicAddressChanged
)
ServerEffect: TypeAlias = StartListen | StopListen | Announce | Withdraw | SendPush | Persist
