"""What the DHT engines order and report."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias

from shoal.core import Address, SendDatagram
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.dht.query import Row
    from shoal.dht.value import Value


class Status(enum.Enum):
    """How one address family is connected (OpenDHT callbacks.h: NodeStatus)."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"


@dataclass(frozen=True, slots=True)
class ValuesFound:
    """Event: get or listen *op* found values, or newer versions of values."""

    op: int
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ValuesExpired:
    """Event: values reported to listen *op* are gone from the network."""

    op: int
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class RowsFound:
    """Event: query *op* found these rows."""

    op: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Event: *op* ended; *ok* if a family succeeded, after *nodes* nodes answered or stored.

    A permanent put reports its first success or failure, and goes on until it is cancelled.
    """

    op: int
    ok: bool
    nodes: int


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Event: the connectivity of a family changed."""

    ipv4: Status
    ipv6: Status


@dataclass(frozen=True, slots=True)
class PublicAddressChanged:
    """Event: the addresses that most nodes see us under, without ports; best per family."""

    addrs: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class ResolveHost:
    """Action: resolve *host* and call `resolved` with every address found, or with none."""

    host: str
    port: int


Effect: TypeAlias = (
    SendDatagram
    | ValuesFound
    | ValuesExpired
    | RowsFound
    | Done
    | StatusChanged
    | PublicAddressChanged
    | ResolveHost
)
