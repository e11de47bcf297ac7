"""Messages of the DHT, decoded: what `shoal.dht.wire` reads and writes.

NamedTuples, as one is made for each packet. All but `Part` begin with the transaction id and the
sender's node id. Where values come in parts, `values` is empty and `sizes` holds what the header
announced, by place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.query import FieldTable, Query
    from shoal.dht.value import Value


class Ping(NamedTuple):
    """Are you there?"""

    tid: int
    sender: InfoHash


class Find(NamedTuple):
    """Which nodes are closest to *target*? *want* holds raw family numbers, None if absent."""

    tid: int
    sender: InfoHash
    target: InfoHash
    want: tuple[int, ...] | None


class Get(NamedTuple):
    """Which values, and which close nodes, do you have for *key*?"""

    tid: int
    sender: InfoHash
    key: InfoHash
    query: Query | None
    want: tuple[int, ...] | None


class Put(NamedTuple):
    """Store *values* under *key*; *created* in Unix seconds, None for now."""

    tid: int
    sender: InfoHash
    key: InfoHash
    values: tuple[Value, ...]
    created: int | None
    token: bytes
    sizes: tuple[int, ...] | None = None


class Refresh(NamedTuple):
    """Begin the life of value *value_id* of *key* anew."""

    tid: int
    sender: InfoHash
    key: InfoHash
    value_id: int
    token: bytes


class Listen(NamedTuple):
    """Tell me about changes to *key*, in updates that carry *socket_id*."""

    tid: int
    sender: InfoHash
    key: InfoHash
    token: bytes
    socket_id: int
    query: Query | None
    version: int


class Update(NamedTuple):
    """What happened to a key listened to: values, or ids of refreshed or expired ones."""

    tid: int
    sender: InfoHash
    socket_id: int
    token: bytes
    key: InfoHash | None
    values: tuple[Value, ...]
    created: int | None
    refreshed: tuple[int, ...]
    expired: tuple[int, ...]
    version: int
    sizes: tuple[int, ...] | None = None


class Reply(NamedTuple):
    """Answer to any query, and values for a legacy listener (then *tid* is its socket id).

    *seen_ip* is the packed address of whom is answered, *nodes4* and *nodes6* compact nodes.
    """

    tid: int
    sender: InfoHash
    seen_ip: bytes | None
    nodes4: bytes
    nodes6: bytes
    token: bytes | None
    values: tuple[Value, ...]
    fields: FieldTable | None
    value_id: int | None
    sizes: tuple[int, ...] | None = None


class Error(NamedTuple):
    """Refusal of a query."""

    tid: int
    sender: InfoHash | None
    code: int
    text: str


class Notification(NamedTuple):
    """Refreshed and expired ids for a legacy listener; *tid* is its socket id."""

    tid: int
    sender: InfoHash
    token: bytes
    refreshed: tuple[int, ...]
    expired: tuple[int, ...]


class Piece(NamedTuple):
    """Some bytes of the packed value number *place* of a message."""

    place: int
    offset: int
    data: bytes


class Part(NamedTuple):
    """Pieces of the values of the message with the same *tid* from the same address."""

    tid: int
    pieces: tuple[Piece, ...]


Request: TypeAlias = Ping | Find | Get | Put | Refresh | Listen | Update
Message: TypeAlias = Request | Reply | Error | Notification | Part


class Datagram(NamedTuple):
    """A message in its envelope: network id, whether the sender is a client, its user agent."""

    message: Message
    network: int
    is_client: bool
    agent: str
