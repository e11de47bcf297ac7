"""The routing table: buckets of nodes, dense around our own id (Kademlia section 2.4).

Reference section 3.3; one table exists per address family.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import Entropy, InfoHash
from shoal.dht.nodes import ID_BITS, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET_SIZE: Final = 8  # Kademlia's k; OpenDHT routing_table.h: TARGET_NODES
BOOTSTRAP_DEPTH: Final = 6  # OpenDHT dht.cpp: a bootstrap node splits any bucket down to here
CANDIDATES_FRESH: Final = 0.5  # ours: how long a list of good nodes may serve replies


class Confidence(enum.IntEnum):
    """How we came to know of a node."""

    HEARSAY = 0
    REQUESTED = 1
    REPLIED = 2


class Bucket:
    """Up to eight nodes whose ids lie between `first` and the next bucket's."""

    __slots__ = ("_good", "_good_until", "cached", "depth", "first", "nodes", "replied_at")

    def __init__(self, first: int, depth: int) -> None:
        self.first = first
        self.depth = depth  # bits that all ids of this bucket share
        self.nodes: list[Node] = []
        self.cached: Node | None = None  # who would get the next free place
        self.replied_at = -inf
        self._good: list[tuple[int, bytes]] = []
        self._good_until = -inf

    def let_wait(self, node: Node | None) -> None:
        """Let *node* be the one who would get the next free place, or nobody."""
        if self.cached is not None:
            self.cached.uses -= 1
        if node is not None:
            node.uses += 1
        self.cached = node

    def covers(self, number: int) -> bool:
        """Whether ids like *number* belong here."""
        return (number ^ self.first) >> (ID_BITS - self.depth) == 0

    def random_id(self, entropy: Entropy) -> InfoHash:
        """Draw an id of this bucket's range."""
        noise = int.from_bytes(entropy.token_bytes(ID_BITS // 8)) >> self.depth
        return InfoHash((self.first | noise).to_bytes(ID_BITS // 8))


class RoutingTable:
    """All buckets, in the order of their ids.

    `offer` answers with the node that wants a ping, if any: a doubtful one whose silence would
    make room, or a cached candidate that a split may let in.
    """

    def __init__(self, own_id: InfoHash, *, is_bootstrap: bool = False) -> None:
        self._own = int.from_bytes(own_id)
        self._is_bootstrap = is_bootstrap
        self.buckets = [Bucket(0, 0)]
        self._firsts = [0]
        self.grown_at = -inf
        self._good_numbers: list[int] = []
        self._good_until = -inf

    def __iter__(self) -> Iterator[Node]:
        for bucket in self.buckets:
            yield from bucket.nodes

    def __len__(self) -> int:
        return sum(len(bucket.nodes) for bucket in self.buckets)

    def index_of(self, number: int) -> int:
        """Return which bucket covers *number*."""
        return bisect_right(self._firsts, number) - 1

    def own_bucket(self) -> Bucket:
        """Return the bucket around our own id."""
        return self.buckets[self.index_of(self._own)]

    @property
    def depth(self) -> int:
        """Bits shared by all of our own bucket: the network has about 8 * 2^depth nodes."""
        return self.own_bucket().depth

    def offer(self, node: Node, confidence: Confidence, now: float) -> tuple[bool, Node | None]:
        """Place *node* if there is room; return whether it is news, and whom to ping."""
        to_ping: Node | None = None
        while True:
            index = self.index_of(node.number)
            bucket = self.buckets[index]
            if confidence is Confidence.REPLIED:
                bucket.replied_at = now
            if node in bucket.nodes:
                return confidence is Confidence.REPLIED, to_ping
            is_own = bucket.covers(self._own)
            if is_own:
                self.grown_at = now
            if self._place(bucket, node):
                if self._wants_proof(bucket, node, confidence, now):
                    to_ping = node
                return True, to_ping
            doubtful = [near for near in bucket.nodes if not near.is_good(now)]
            to_ping = next((near for near in doubtful if not near.pending), to_ping)
            may_split = is_own or (self._is_bootstrap and bucket.depth < BOOTSTRAP_DEPTH)
            if may_split and (not doubtful or len(self.buckets) == 1) and self._split(index):
                continue
            if confidence is not Confidence.HEARSAY or bucket.cached is None:
                bucket.let_wait(node)
            return confidence is Confidence.REPLIED, to_ping

    def _wants_proof(self, bucket: Bucket, node: Node, confidence: Confidence, now: float) -> bool:
        """Whether it matters that *node*, which has just got its place, be confirmed soon.

        Until it is we name it to nobody. Whoever asks us is near its own region, and others look
        there; a bucket without a good node is a region of which we could tell nobody anything.
        """
        if confidence is Confidence.REPLIED:
            return False
        if confidence is Confidence.REQUESTED and bucket.covers(self._own):
            return True
        return not any(near.is_good(now) or near.pending for near in bucket.nodes)

    def candidates(self, number: int, now: float) -> list[tuple[int, bytes]]:
        """Return (number, compact form) of good nodes that include the 8 closest to *number*.

        All targets of one bucket share the list, so it is kept for a moment: replies to requests
        are the most frequent thing that a node sends.
        """
        index = self.index_of(number)
        bucket = self.buckets[index]
        if now >= bucket._good_until:  # noqa: SLF001 - the bucket only lends the place
            bucket._good = self._gather(index, now)  # noqa: SLF001
            bucket._good_until = now + CANDIDATES_FRESH  # noqa: SLF001
        return bucket._good  # noqa: SLF001

    def is_beyond(self, number: int, count: int, count_min: int, now: float) -> bool:
        """Whether so many good nodes are closer to *number* than we that it is not for us.

        True when the *count* closest good nodes, of at least *count_min*, are all closer.
        """
        if now >= self._good_until:
            self._good_numbers = [node.number for node in self if node.is_good(now)]
            self._good_until = now + CANDIDATES_FRESH
        if len(self._good_numbers) < count_min:
            return False
        ours = self._own ^ number
        closer = len([good for good in self._good_numbers if good ^ number < ours])
        return closer >= min(count, len(self._good_numbers))

    def remove_expired(self) -> list[Node]:
        """Take expired nodes out; return the cached candidates to ping for their places."""
        to_ping = []
        for bucket in self.buckets:
            gone = [node for node in bucket.nodes if node.is_expired]
            for node in gone:
                bucket.nodes.remove(node)
                node.uses -= 1
            if bucket.cached is not None and bucket.cached.is_expired:
                bucket.let_wait(None)
            if gone and bucket.cached is not None:
                to_ping.append(bucket.cached)
        return to_ping

    def has_good(self, now: float) -> bool:
        """Whether any node is good."""
        return any(node.is_good(now) for node in self)

    def has_dubious(self, now: float) -> bool:
        """Whether any node may still turn out to be good."""
        return any(not node.is_expired and not node.is_good(now) for node in self)

    def forget_times(self) -> None:
        """Trust nothing any more: the connectivity changed (reference section 3.11)."""
        self.grown_at = -inf
        self._good_until = -inf
        for bucket in self.buckets:
            bucket.replied_at = -inf
            bucket._good_until = -inf  # noqa: SLF001

    def _place(self, bucket: Bucket, node: Node) -> bool:
        if len(bucket.nodes) >= BUCKET_SIZE:
            expired = next((n for n in bucket.nodes if n.is_expired), None)
            if expired is None:
                return False
            bucket.nodes.remove(expired)
            expired.uses -= 1
        bucket.nodes.insert(0, node)
        bucket._good_until = -inf  # noqa: SLF001
        node.uses += 1
        if bucket.cached is node:
            bucket.let_wait(None)
        return True

    def _split(self, index: int) -> bool:
        bucket = self.buckets[index]
        if bucket.depth >= ID_BITS - 1:
            return False
        depth = bucket.depth + 1
        upper = Bucket(bucket.first | 1 << (ID_BITS - depth), depth)
        lower = Bucket(bucket.first, depth)
        for node in bucket.nodes:
            (upper if upper.covers(node.number) else lower).nodes.append(node)
        for half in (lower, upper):
            half.replied_at = bucket.replied_at
            if bucket.cached is not None and half.covers(bucket.cached.number):
                half.cached = bucket.cached
        self.buckets[index : index + 1] = [lower, upper]
        self._firsts[index : index + 1] = [lower.first, upper.first]
        return True

    def _gather(self, index: int, now: float) -> list[tuple[int, bytes]]:
        """Widen the range around a bucket by its prefix until eight good nodes are in it."""
        bucket = self.buckets[index]
        for depth in range(bucket.depth, -1, -1):
            shift = ID_BITS - depth
            start = bucket.first >> shift << shift
            low, high = self.index_of(start), self.index_of(start + (1 << shift) - 1)
            good = [
                (node.number, node.compact)
                for near in self.buckets[low : high + 1]
                for node in near.nodes
                if node.is_good(now)
            ]
            if len(good) >= BUCKET_SIZE:
                break
        return good


def closest_compact(candidates: list[tuple[int, bytes]], number: int, but: bytes) -> bytes:
    """Join the compact forms of the 8 candidates closest to *number*, less the node id *but*."""
    nearest = [(near ^ number, compact) for near, compact in candidates]
    nearest.sort()
    others = [compact for _, compact in nearest[: BUCKET_SIZE + 1] if not compact.startswith(but)]
    return b"".join(others[:BUCKET_SIZE])
