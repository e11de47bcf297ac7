"""Keeping a family's routing table alive (reference section 3.4)."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import Address, Family, InfoHash
from shoal.core.deadlines import Alarm
from shoal.dht import wire
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.table import BUCKET_SIZE, Bucket

if TYPE_CHECKING:
    from shoal.dht.nodes import Node
    from shoal.dht.requests import Request
    from shoal.dht.side import Side

FIRST_CONFIRM: Final = (3.0, 5.0)  # OpenDHT dht.cpp
BUSY_CONFIRM: Final = (5.0, 25.0)  # OpenDHT dht.cpp
IDLE_CONFIRM: Final = (60.0, 180.0)  # OpenDHT dht.cpp
EXPIRE: Final = (120.0, 360.0)  # OpenDHT dht.cpp
BUCKET_STALE: Final = 7 * 60.0  # ours: OpenDHT's 10 minutes let good nodes lapse between looks
GROWTH_WINDOW: Final = 150.0  # OpenDHT dht.cpp
BOTH_FAMILIES_ONE_IN: Final = 38  # OpenDHT dht.cpp: how often a full table asks for both
NEIGHBOUR_ONE_IN: Final = 8  # OpenDHT dht.cpp: how often the next bucket is asked instead
PINGS_MAX: Final = 256  # ours: addresses pinged at once whose node is not known
SUSPICION_INTERVAL: Final = 10.0  # ours: doubts about our connectivity acted on at most so often
FIND, PING = range(2)  # purposes of requests


class Maintenance:
    """What a side does unasked."""

    is_over = False  # it always wants to be woken

    def __init__(self, side: Side, now: float) -> None:
        self._side = side
        self._entropy = side.context.entropy
        self._confirm_at = now + self._entropy.uniform(*FIRST_CONFIRM)
        self._expire_at = now + self._entropy.uniform(*EXPIRE)
        self._suspected_at = -inf
        self._has_begun = False
        self._has_located = False
        self._pings: dict[Address, Request] = {}
        self._alarm = Alarm(side.context.wakeups, self)
        self._schedule()

    @property
    def is_pinging(self) -> bool:
        """Whether an address that may become our first node is being asked."""
        return bool(self._pings)

    def begin(self, now: float) -> None:
        """Somebody answered: now we can find our place."""
        if not self._has_begun:
            self._has_begun = True
            self._confirm_at = now
            self._schedule()

    def hasten(self, now: float) -> None:
        """Look around in a second: something changed."""
        self._confirm_at = min(self._confirm_at, now + 1.0)
        self._schedule()

    def suspect_connectivity(self, now: float) -> None:
        """Start afresh, but not with every search that fails."""
        if now - self._suspected_at >= SUSPICION_INTERVAL:
            self._suspected_at = now
            self._side.forget_connectivity(now)

    def ping_address(self, addr: Address, now: float) -> None:
        """Ask who is at *addr*, unless that is under way."""
        if addr in self._pings or len(self._pings) >= PINGS_MAX:
            return
        context = self._side.context
        context.count_request("ping")
        tid = 1 + self._entropy.below(0xFFFFFFFF)
        message = wire.Ping(tid, context.own_id)
        self._pings[addr] = context.requests.ask_address(message, addr, self, PING, now)

    def wake(self, now: float) -> None:
        """Do what is due."""
        if not self._alarm.rings(now):
            return
        if now >= self._expire_at:
            self._expire_at = now + self._entropy.uniform(*EXPIRE)
            for node in self._side.table.remove_expired():
                self._side.ping(node, now)
        if now >= self._confirm_at:
            is_busy = self._confirm(now)
            span = BUSY_CONFIRM if is_busy else IDLE_CONFIRM
            self._confirm_at = now + self._entropy.uniform(*span)
        self._schedule()

    def _schedule(self) -> None:
        self._alarm.set(min(self._confirm_at, self._expire_at))

    def _confirm(self, now: float) -> bool:
        """Look around ourselves once, then wherever buckets are stale; return whether we asked."""
        side = self._side
        if not len(side.table):
            return False
        is_new = not self._has_located
        if is_new:
            self._has_located = True
            with suppress(TooManyOperationsError):  # then enough is learned from those
                side.search_for(side.context.own_id, now).locate(now)
        if self._maintain_buckets(now) or is_new:
            return True  # splits have left buckets empty: see to them within seconds, not minutes
        if side.table.grown_at >= now - GROWTH_WINDOW:
            return self._maintain_neighbourhood(now)
        return False

    def fill_buckets(self, now: float) -> None:
        """Ask for an id of every bucket without a good node."""
        for index, bucket in enumerate(self._side.table.buckets):
            if not any(node.is_good(now) for node in bucket.nodes):
                node = self._random_node(self._bucket_to_ask(index))
                if node is not None:
                    self._find(node, bucket.random_id(self._entropy), now, both=True)

    def _maintain_buckets(self, now: float) -> bool:
        """Ask for an id of every bucket that nobody answered from for ten minutes."""
        is_busy = False
        buckets = self._side.table.buckets
        for index, bucket in enumerate(buckets):
            if bucket.nodes and bucket.replied_at >= now - BUCKET_STALE:
                continue
            asked = self._bucket_to_ask(index)
            node = self._random_node(asked)
            if node is not None and not node.pending:
                is_full = len(bucket.nodes) >= BUCKET_SIZE
                is_both = not is_full or not self._entropy.below(BOTH_FAMILIES_ONE_IN)
                self._find(node, bucket.random_id(self._entropy), now, both=is_both)
                is_busy = True
        return is_busy

    def _maintain_neighbourhood(self, now: float) -> bool:
        """Ask for an id next to our own."""
        table, own_id = self._side.table, self._side.context.own_id
        target = InfoHash(own_id[:-1] + self._entropy.token_bytes(1))
        bucket = self._bucket_to_ask(table.index_of(int.from_bytes(own_id)))
        node = self._random_node(bucket)
        if node is None or node.pending:
            return False
        self._find(node, target, now, both=True)
        return True

    def _bucket_to_ask(self, index: int) -> Bucket:
        buckets = self._side.table.buckets
        if not buckets[index].nodes:
            # Ours: anybody, from a bucket drawn at random. The neighbours that OpenDHT asks lack
            # the same nodes where a whole region grew around one bootstrap node, and values put
            # from such a region land where nobody looks for them.
            filled = [bucket for bucket in buckets if bucket.nodes]
            return filled[self._entropy.below(len(filled))] if filled else buckets[index]
        if not self._entropy.below(NEIGHBOUR_ONE_IN):
            near = [buckets[i] for i in (index - 1, index + 1) if 0 <= i < len(buckets)]
            filled = [bucket for bucket in near if bucket.nodes]
            if filled:
                return filled[self._entropy.below(len(filled))]
        return buckets[index]

    def _random_node(self, bucket: Bucket) -> Node | None:
        alive = [node for node in bucket.nodes if not node.is_expired] or bucket.nodes
        return alive[self._entropy.below(len(alive))] if alive else None

    def _find(self, node: Node, target: InfoHash, now: float, *, both: bool) -> None:
        context = self._side.context
        want: tuple[int, ...] = (int(Family.IPV4), int(Family.IPV6))
        if not both or len(context.config.families) < len(want):
            want = (int(self._side.family),)
        context.count_request("find")
        message = wire.Find(node.take_tid(), context.own_id, target, want)
        context.requests.ask(node, message, self, FIND, None, now)

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """The engine has learned the nodes already."""
        self._pings.pop(request.node.addr, None)

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """It is there, at least."""
        self._pings.pop(request.node.addr, None)

    def on_slow(self, request: Request, now: float) -> None:
        """Patience."""

    def on_lost(self, request: Request, now: float) -> None:
        """Nobody there."""
        self._pings.pop(request.node.addr, None)
