"""What a proxy client's requests and deadlines are about."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from shoal.core.ids import ZERO_HASH
from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Family, InfoHash
    from shoal.dht.query import Query
    from shoal.dht.value import Value


@dataclass(slots=True)
class AskInfo:
    """A question for the node behind the proxy, over one family."""

    family: Family
    lines: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Get:
    """A get or a query, and what it has found so far."""

    op: int
    key: InfoHash
    query: Query
    seen: dict[int, Value] = field(default_factory=dict)


@dataclass(slots=True)
class Put:
    """A put; without *op* it renews a permanent one."""

    op: int | None
    key: InfoHash
    value: Value
    is_permanent: bool


@dataclass(slots=True)
class Follow:
    """A listen stream, a SUBSCRIBE, or the GET that a followed key is compared with."""

    key: InfoHash
    kind: Literal["stream", "subscribe", "check"]


@dataclass(slots=True)
class Unsubscribe:
    """The end of a subscription."""


Task: TypeAlias = AskInfo | Get | Put | Follow | Unsubscribe


class Timer(NamedTuple):
    """Names a deadline.

    `info`: ask for the node; `follow`: begin or renew a listen; `silence`: a heartbeat is
    overdue; `put`: put a permanent value again.
    """

    kind: Literal["info", "follow", "silence", "put"]
    key: InfoHash = ZERO_HASH
    value_id: int = 0


@dataclass(slots=True)
class ProxyStats:
    """Counters of a proxy client.

    Attributes:
        requests: requests ordered.
        failed: requests that ended without status 200.
        malformed: lines of answers that were no JSON of the protocol.
        listens_broken: streams and subscriptions that had to be begun again.
        silences: streams given up because their heartbeat stopped.
        datagrams: datagrams handed to an engine that has no use for them.
    """

    requests: int = 0
    failed: int = 0
    malformed: int = 0
    listens_broken: int = 0
    silences: int = 0
    datagrams: int = 0
