"""Lookups, watched from outside: who was asked, who referred to whom, and how far the value was.

The number of hops is the length of the chain of referrals: a node that the looker knew before has
one hop, a node named by an answer of a node with n hops has n + 1. A lookup's hops are those of the
first node whose answer held the value, 0 if the looker held it itself. The watch reads datagrams,
so it counts the same for any engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import Address, DecodeError, InfoHash
from shoal.core.records import dataclass
from shoal.dht import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

_IPV4_LENGTH: Final = 4  # bytes; RFC 791
_IPV6_LENGTH: Final = 16  # bytes; RFC 4291


class LookupResult(NamedTuple):
    """How one lookup went. Times are virtual seconds."""

    start: float
    is_found: bool
    hops: int | None  # None if no node that holds the value answered
    first_value: float | None  # from the start to the value
    done: float | None  # from the start to the end of the operation
    requests: int  # datagrams sent for it, repeats included


@dataclass(slots=True)
class Contact:
    """Somebody asked in a lookup."""

    hops: int
    referrer: Contact | None
    node_id: InfoHash | None = None  # once it has answered


class LookupWatch:
    """A tap on the looker for the time of one lookup of *key*."""

    def __init__(self, key: InfoHash, value_id: int, known: Iterable[Address], now: float) -> None:
        self.key = key
        self.value_id = value_id
        self.start = now
        self.requests = 0
        self.hops: int | None = None
        self.holder: Contact | None = None
        self.found_at: float | None = None
        self._tids: dict[tuple[int, Address], None] = {}
        self._contacts = {addr: Contact(1, None) for addr in known}

    def sent(self, data: bytes, target: Address, now: float) -> None:
        """Count what is asked about the key."""
        message = _decode(data)
        if not isinstance(message, wire.Find | wire.Get):
            return
        if (message.target if isinstance(message, wire.Find) else message.key) != self.key:
            return
        self.requests += 1
        self._tids[message.tid, target] = None
        self._contacts.setdefault(target, Contact(1, None))

    def received(self, data: bytes, source: Address, now: float) -> None:
        """Note whom an answer refers to, and whether it holds the value."""
        message = _decode(data)
        if not isinstance(message, wire.Reply) or (message.tid, source) not in self._tids:
            return
        contact = self._contacts[source]
        contact.node_id = message.sender
        for nodes, length in ((message.nodes4, _IPV4_LENGTH), (message.nodes6, _IPV6_LENGTH)):
            for _, addr in wire.parse_compact(nodes, length):
                self._contacts.setdefault(addr, Contact(contact.hops + 1, contact))
        has_rows = message.fields is not None and bool(message.fields.cells)
        if self.hops is None and (message.values or message.sizes or has_rows):
            self.hops = contact.hops
            self.holder = contact

    def found(self, now: float) -> None:
        """Note that the engine reported the value, perhaps from its own store."""
        if self.found_at is None:
            self.found_at = now
            if self.hops is None:
                self.hops = 0

    def chain(self) -> list[InfoHash]:
        """Return the nodes that led to the value: first who was known, last the holder."""
        chain: list[InfoHash] = []
        contact = self.holder
        while contact is not None:
            assert contact.node_id is not None, "who referred or held has answered"
            chain.append(contact.node_id)
            contact = contact.referrer
        return chain[::-1]

    def result(self, now: float | None) -> LookupResult:
        """Sum up, with the operation ended at *now* or not ended."""
        return LookupResult(
            start=self.start,
            is_found=self.found_at is not None,
            hops=self.hops if self.found_at is not None else None,
            first_value=None if self.found_at is None else self.found_at - self.start,
            done=None if now is None else now - self.start,
            requests=self.requests,
        )


def _decode(data: bytes) -> wire.Message | None:
    try:
        return wire.decode(data).message
    except DecodeError:
        return None
