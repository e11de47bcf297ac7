"""What the parts of one DHT engine share."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import Entropy, InfoHash
    from shoal.core.deadlines import Deadlines, Sleeper
    from shoal.dht.config import DhtConfig
    from shoal.dht.operations import ListenGroup, PutOperation
    from shoal.dht.query import Query
    from shoal.dht.requests import RequestEngine
    from shoal.dht.runs import Run
    from shoal.dht.storage import Storage
    from shoal.dht.types import TypeRegistry


@dataclass(slots=True)
class DhtStats:
    """Counters; each says what one increment means."""

    received: int = 0  # a datagram came in
    sent: int = 0  # a datagram went out
    malformed: int = 0  # a datagram did not parse
    foreign: int = 0  # a datagram was of another network
    limited: int = 0  # a request was over a rate limit
    blacklisted: int = 0  # a datagram came from a node that broke the protocol
    bad_sender: int = 0  # a datagram carried our own id, or none
    bad_token: int = 0  # a write came without a right to it
    too_far: int = 0  # a value was not kept: closer nodes exist
    refused: int = 0  # a value was not kept: its policy says no
    unproven_moves: int = 0  # a known node seemed to have moved, and was asked to prove it
    requests_in: dict[str, int] = field(default_factory=dict)  # requests served, by name
    requests_out: dict[str, int] = field(default_factory=dict)  # requests made, by name


@dataclass(slots=True)
class Context:
    """One engine's shared parts. Whatever is appended to `out` leaves the engine as an effect."""

    config: DhtConfig
    entropy: Entropy
    own_id: InfoHash
    out: list[object]
    stats: DhtStats
    requests: RequestEngine
    storage: Storage
    types: TypeRegistry
    groups: dict[InfoHash, dict[Query, ListenGroup]]
    puts: dict[tuple[InfoHash, int], PutOperation]
    wakeups: Deadlines[Sleeper]
    ended_runs: list[Run] = field(default_factory=list)  # the last minute's; see runs.py

    def count_request(self, name: str) -> None:
        """Note that a request of that name was made."""
        self.stats.requests_out[name] = self.stats.requests_out.get(name, 0) + 1
