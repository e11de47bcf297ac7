"""What an index asks of a DHT, and what it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.pht.entry import IndexEntry
    from shoal.dht.value import Value


@dataclass(frozen=True, slots=True)
class ReadNode:
    """Action: get the values at *key*; `values_found` and one `request_done` are to follow."""

    request: int
    key: InfoHash


@dataclass(frozen=True, slots=True)
class WatchNode:
    """Action: listen at *key*; `values_found` is to follow for each value, until cancelled."""

    request: int
    key: InfoHash


@dataclass(frozen=True, slots=True)
class PutNode:
    """Action: put *value* at *key*, made *age* seconds ago; one `request_done` is to follow."""

    request: int
    key: InfoHash
    value: Value
    age: float


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Action: end a `ReadNode` or `WatchNode`; nothing more is to follow."""

    request: int


@dataclass(frozen=True, slots=True)
class LookupDone:
    """Event: lookup *op* ended with these entries; not *ok* if the DHT didn't answer."""

    op: int
    ok: bool
    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True, slots=True)
class InsertDone:
    """Event: insertion *op* ended; not *ok* if the DHT didn't answer or nobody stored it."""

    op: int
    ok: bool


PhtEffect: TypeAlias = ReadNode | WatchNode | PutNode | CancelRequest | LookupDone | InsertDone
