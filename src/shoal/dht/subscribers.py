"""Who listens to the keys that we store: told of each change, forgotten when they fall silent.

Reference sections 1.9.1 and 1.9.2.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import InfoHash, SendDatagram
from shoal.core.deadlines import Alarm
from shoal.core.records import dataclass
from shoal.dht import wire
from shoal.dht.limiter import PER_ADDRESS_SHARE, TOTAL_MAX
from shoal.dht.storage import sender_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shoal.dht.context import Context
    from shoal.dht.nodes import Node
    from shoal.dht.query import Query
    from shoal.dht.requests import Request
    from shoal.dht.tokens import TokenSecrets
    from shoal.dht.value import Value

PER_ADDRESS_MAX: Final = TOTAL_MAX // PER_ADDRESS_SHARE  # what nodes take from one address
KEPT: Final = 10 * 60.0  # OpenDHT node.h: NODE_EXPIRE_TIME
BATCH: Final = 56 * 1024  # OpenDHT network_engine.cpp: MAX_PACKET_VALUE_SIZE
SUBSCRIBERS_MAX: Final = 65_536  # ours: beyond it those longest silent go
PER_SENDER_MAX: Final = 4096  # ours: beyond it an address gets no further ones, and no answer
UPDATES_BURST: Final = 8.0  # ours: seconds of updates, at the rate limit, sent at once
UPDATES_BURST_TOTAL: Final = 4.0  # ours: the same, to everybody
DATAGRAM: Final = 1280  # OpenDHT network_engine.cpp: MTU, bytes of a value per datagram
VERSION: Final = 1


class _Place(NamedTuple):
    """What identifies a subscription."""

    key: InfoHash
    node_id: InfoHash
    socket_id: int


class Subscriber:
    """One subscription of a node with us."""

    __slots__ = ("at", "node", "place", "query", "sender", "version")

    def __init__(self, place: _Place, node: Node, query: Query, version: int, at: float) -> None:
        self.place = place
        self.node = node
        self.sender = sender_of(node.addr)
        self.query = query
        self.version = version
        self.at = at


@dataclass(slots=True)
class SubscriberStats:
    """Counters; each says what one increment means."""

    forgotten: int = 0  # a subscription was not renewed
    pushed_out: int = 0  # a subscription had to go for a newer one
    too_many: int = 0  # a subscription was not taken: its address has too many
    unreachable: int = 0  # a subscription ended because its node left an update unanswered
    too_fast: int = 0  # a subscription ended because its address was told more than it could take


class _Pace:
    """How many datagrams may be sent: a leaky bucket per address, and one for all.

    Nodes drop what exceeds their rate limit, ours by default; and somebody who makes thousands of
    subscriptions turns each put into thousands of updates.
    """

    def __init__(self, rate: int, rate_total: int) -> None:
        self._interval = 1.0 / rate if rate > 0 else 0.0
        self._interval_total = 1.0 / rate_total if rate_total > 0 else 0.0
        self._empty_at: dict[bytes, float] = {}
        self._empty_at_total = 0.0

    def allows(self, sender: bytes, count: int, now: float, kept: int) -> bool:
        """Take *count* datagrams for *sender* out of both buckets, or say no; *kept* are needed."""
        if len(self._empty_at) > 2 * kept + 1024:
            self._empty_at = {one: end for one, end in self._empty_at.items() if end > now}
        end = max(self._empty_at.get(sender, now), now) + count * self._interval
        end_total = max(self._empty_at_total, now) + count * self._interval_total
        if end > now + UPDATES_BURST or end_total > now + UPDATES_BURST_TOTAL:
            return False
        self._empty_at[sender] = end
        self._empty_at_total = end_total
        return True


class Subscribers:
    """All subscriptions with us, longest silent first."""

    is_over = False  # it always wants to be woken

    def __init__(self, context: Context, tokens: TokenSecrets) -> None:
        self.stats = SubscriberStats()
        self._context = context
        self._tokens = tokens
        self._all: OrderedDict[_Place, Subscriber] = OrderedDict()
        self._by_key: dict[InfoHash, dict[_Place, Subscriber]] = {}
        self._per_sender: dict[bytes, int] = {}
        config = context.config
        self._pace = _Pace(
            config.rate_limit_per_address or PER_ADDRESS_MAX, config.rate_limit_total or TOTAL_MAX
        )
        self._alarm = Alarm(context.wakeups, self)

    def __len__(self) -> int:
        return len(self._all)

    def has_key(self, key: InfoHash) -> bool:
        """Whether anybody listens to *key*."""
        return key in self._by_key

    def subscribe(
        self, key: InfoHash, node: Node, socket_id: int, query: Query, version: int, now: float
    ) -> bool:
        """Take or renew a subscription; send a new one what is stored. False if it is one too many.

        *node* has shown a token, so it is where it says.
        """
        place = _Place(key, node.id, socket_id)
        known = self._all.get(place)
        if known is not None:
            known.at, known.query, known.version = now, query, version
            self._all.move_to_end(place)
            return True
        subscriber = Subscriber(place, node, query, version, now)
        if self._per_sender.get(subscriber.sender, 0) >= PER_SENDER_MAX:
            self.stats.too_many += 1
            return False
        if len(self._all) >= SUBSCRIBERS_MAX:
            self.stats.pushed_out += 1
            self._remove(next(iter(self._all.values())))
        self._all[place] = subscriber
        self._by_key.setdefault(key, {})[place] = subscriber
        self._per_sender[subscriber.sender] = self._per_sender.get(subscriber.sender, 0) + 1
        node.uses += 1
        self._alarm.set(now + KEPT)
        values = self._context.storage.values(key, query.where)
        for batch in _batches(values):
            self._send_values(subscriber, batch, now)
        return place in self._all

    def tell_values(self, key: InfoHash, value: Value, now: float) -> None:
        """A value was stored or changed."""
        for subscriber in list(self._by_key.get(key, {}).values()):
            if subscriber.query.matches(value):
                self._send_values(subscriber, (value,), now)

    def tell_refreshed(self, key: InfoHash, value_id: int, now: float) -> None:
        """A value's life was prolonged."""
        for subscriber in list(self._by_key.get(key, {}).values()):
            self._send_notice(subscriber, (value_id,), (), now)

    def tell_expired(self, key: InfoHash, value_ids: Sequence[int], now: float) -> None:
        """Values are gone."""
        for subscriber in list(self._by_key.get(key, {}).values()):
            self._send_notice(subscriber, (), tuple(value_ids), now)

    def wake(self, now: float) -> None:
        """Forget subscriptions that were not renewed."""
        if not self._alarm.rings(now):
            return
        while self._all:
            oldest = next(iter(self._all.values()))
            if oldest.at + KEPT > now:
                self._alarm.set(oldest.at + KEPT)
                return
            self.stats.forgotten += 1
            self._remove(oldest)

    def _remove(self, subscriber: Subscriber) -> None:
        if self._all.pop(subscriber.place, None) is None:
            return
        key = subscriber.place.key
        del self._by_key[key][subscriber.place]
        if not self._by_key[key]:
            del self._by_key[key]
        self._per_sender[subscriber.sender] -= 1
        if not self._per_sender[subscriber.sender]:
            del self._per_sender[subscriber.sender]
        subscriber.node.uses -= 1

    def _may_send(self, subscriber: Subscriber, count: int, now: float) -> bool:
        """Whether *count* more datagrams are bearable; else the subscription ends.

        Its next renewal, if any, is a new subscription and brings the node up to date.
        """
        if subscriber.place not in self._all:
            return False
        if self._pace.allows(subscriber.sender, count, now, len(self._per_sender)):
            return True
        self.stats.too_fast += 1
        self._remove(subscriber)
        return False

    def _send_values(self, subscriber: Subscriber, values: Sequence[Value], now: float) -> None:
        count = 1 + sum(value.size for value in values) // DATAGRAM
        if not self._may_send(subscriber, count, now):
            return
        token = self._tokens.issue(subscriber.node.addr)
        own_id, place = self._context.own_id, subscriber.place
        if subscriber.version < VERSION:
            reply = wire.Reply(
                place.socket_id, own_id, subscriber.node.addr.ip, b"", b"", token, tuple(values),
                None, None,
            )  # fmt: skip
            self._send_legacy(subscriber, reply)
            return
        update = wire.Update(
            subscriber.node.take_tid(), own_id, place.socket_id, token, place.key, tuple(values),
            None, (), (), VERSION,
        )  # fmt: skip
        self._context.count_request("update")
        self._context.requests.ask(subscriber.node, update, self, 0, subscriber, now)

    def _send_notice(
        self,
        subscriber: Subscriber,
        refreshed: tuple[int, ...],
        expired: tuple[int, ...],
        now: float,
    ) -> None:
        if not self._may_send(subscriber, 1, now):
            return
        token = self._tokens.issue(subscriber.node.addr)
        own_id, socket_id = self._context.own_id, subscriber.place.socket_id
        if subscriber.version < VERSION:
            notice = wire.Notification(socket_id, own_id, token, refreshed, expired)
            self._send_legacy(subscriber, notice)
            return
        update = wire.Update(
            subscriber.node.take_tid(), own_id, socket_id, token, None, (), None, refreshed,
            expired, VERSION,
        )  # fmt: skip
        self._context.count_request("update")
        self._context.requests.ask(subscriber.node, update, self, 0, subscriber, now)

    def _send_legacy(self, subscriber: Subscriber, message: wire.Reply | wire.Notification) -> None:
        config = self._context.config
        for datagram in wire.encode(message, network=config.network, is_client=config.is_client):
            self._context.out.append(SendDatagram(datagram, subscriber.node.addr))

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """It heard us."""

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """It heard us, and no longer cares; its silence will end the subscription."""

    def on_slow(self, request: Request, now: float) -> None:
        """Patience."""

    def on_lost(self, request: Request, now: float) -> None:
        """Its next renewal, if it lives, is a new subscription and brings it up to date."""
        subscriber = request.context
        assert isinstance(subscriber, Subscriber), "asked by this module"
        if subscriber.place in self._all:
            self.stats.unreachable += 1
            self._remove(subscriber)


def _batches(values: Iterable[Value]) -> Iterable[list[Value]]:
    """Cut *values* so that a new batch starts when one has reached 56 KiB."""
    batch: list[Value] = []
    size = 0
    for value in values:
        if size >= BATCH:
            yield batch
            batch, size = [], 0
        batch.append(value)
        size += value.size
    if batch:
        yield batch
