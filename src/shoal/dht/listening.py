"""Subscriptions of one search: asked for, renewed and listened to.

Reference section 1.9. A search keeps a subscription at each of its 4 closest nodes, renewed well
before the node forgets it. There is no way to end one but silence: the node's own timer does.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.dht import wire
from shoal.dht.announcing import WRONG_TOKEN
from shoal.dht.nodes import AUTH_ERRORS_MAX, Node

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.query import Query
    from shoal.dht.requests import Request
    from shoal.dht.search import Search, SearchNode
    from shoal.dht.value import Value

WIDTH: Final = 4  # OpenDHT search.h: LISTEN_NODES
VERSION: Final = 1  # the only capability number on the wire
RENEWAL: Final = 20.0  # OpenDHT node.h: LISTEN_EXPIRE_TIME - REANNOUNCE_MARGIN
RENEWAL_PUBLIC_STABLE: Final = 290.0
LOST_AFTER: Final = 3.0  # ours: renewals missed until a subscription counts as lost


class Subscription:
    """One subscription at one node: what arrives under its socket id belongs to it."""

    __slots__ = ("is_open", "listening", "near", "renewal_at", "request", "socket_id")

    def __init__(self, listening: Listening, near: SearchNode) -> None:
        self.listening = listening
        self.near = near
        self.socket_id = near.node.take_tid()
        self.is_open = False  # the node acknowledged it
        self.renewal_at = -inf
        self.request: Request | None = None

    def take_values(self, values: tuple[Value, ...], now: float) -> None:
        """The node stores these values."""
        life = self.listening.search.side.context.types.life
        expires = {value.id: now + life(value.type) for value in values}
        self.listening.group.take_values(self.near.node.id, values, expires)

    def take_notice(self, refreshed: tuple[int, ...], expired: tuple[int, ...], now: float) -> None:
        """The node prolonged some values and lost others."""
        group = self.listening.group
        life = self.listening.search.side.context.types.life
        known = {one: kind for one in refreshed if (kind := group.type_of(one)) is not None}
        group.refresh(self.near.node.id, {one: now + life(kind) for one, kind in known.items()})
        group.drop(self.near.node.id, expired)

    def on_answer(self, request: Request, reply: wire.Reply, now: float) -> None:
        """The node acknowledged; a token in the acknowledgement was noted before."""
        self.request = None
        self.is_open = True
        self.listening.search.run.note_answered(self.near)
        self.near.node.auth_errors = 0
        self.renewal_at = now + self.listening.renewal
        if reply.values:
            self.take_values(reply.values, now)
        self.listening.search.step(now)

    def on_refusal(self, request: Request, error: wire.Error, now: float) -> None:
        """A wrong token: get a new one, then subscribe afresh."""
        self.request = None
        self.is_open = False
        self.listening.search.run.note_answered(self.near)
        self.renewal_at = -inf
        if error.code == WRONG_TOKEN:
            node = self.near.node
            node.token = None
            node.auth_errors += 1
            if node.auth_errors > AUTH_ERRORS_MAX:
                node.lose(now)
        self.listening.search.step(now)

    def on_slow(self, request: Request, now: float) -> None:
        """Subscribe at another node meanwhile."""
        self.near.slow = request
        self.listening.search.step(now)

    def on_lost(self, request: Request, now: float) -> None:
        """Go on without that node."""
        self.request = None
        self.listening.forget(self)
        self.listening.search.step(now)


class Listening:
    """The subscriptions of one search for one query."""

    __slots__ = ("_subscriptions", "group", "query", "renewal", "search")

    def __init__(self, query: Query, search: Search) -> None:
        context = search.side.context
        self.query = query
        self.search = search
        self.group = context.groups[search.key][query]
        self.renewal = RENEWAL_PUBLIC_STABLE if context.config.is_public_stable else RENEWAL
        self._subscriptions: dict[InfoHash, Subscription] = {}

    def step(self, front: list[SearchNode], now: float) -> None:
        """Subscribe, or renew, at the first nodes whose tokens are known."""
        wanted = front[:WIDTH]
        for near in wanted:
            subscription = self._subscriptions.get(near.node.id)
            if subscription is None:
                subscription = self._subscriptions[near.node.id] = Subscription(self, near)
                if near.node.subscriptions is None:
                    near.node.subscriptions = {}
                near.node.subscriptions[subscription.socket_id] = subscription
            subscription.near = near
            if subscription.request is None and subscription.renewal_at <= now:
                self._subscribe(subscription, now)
        if len(self._subscriptions) > len(wanted):
            self._forget_overdue(now)

    def next_renewal(self, now: float) -> float:
        """When the first subscription wants to be renewed; those overdue wait for a token."""
        return min(
            (
                one.renewal_at
                for one in self._subscriptions.values()
                if one.request is None and one.renewal_at > now
            ),
            default=inf,
        )

    def is_established(self, front: list[SearchNode]) -> bool:
        """Whether all of the nodes that should have acknowledged did."""
        wanted = front[:WIDTH]
        return bool(wanted) and all(
            (one := self._subscriptions.get(near.node.id)) is not None and one.is_open
            for near in wanted
        )

    def forget(self, subscription: Subscription) -> None:
        """Expect nothing more from that node; the values it reported live out their time."""
        node: Node = subscription.near.node
        if self._subscriptions.get(node.id) is subscription:
            del self._subscriptions[node.id]
        if node.subscriptions:
            node.subscriptions.pop(subscription.socket_id, None)
            if not node.subscriptions:
                node.subscriptions = None

    def close(self, now: float) -> None:
        """Forget every subscription; the nodes do too when no renewal comes."""
        for subscription in list(self._subscriptions.values()):
            if subscription.request is not None:
                self.search.side.context.requests.drop(subscription.request, now)
            self.forget(subscription)

    def _subscribe(self, subscription: Subscription, now: float) -> None:
        near, context = subscription.near, self.search.side.context
        token = near.node.fresh_token(now)
        if token is None:
            return  # the search asks for one
        message = wire.Listen(
            near.node.take_tid(),
            context.own_id,
            self.search.key,
            token,
            subscription.socket_id,
            self.query if self.query.is_sendable else None,
            VERSION,
        )
        context.count_request("listen")
        self.search.run.note_asked(near)
        subscription.request = context.requests.ask(near.node, message, subscription, 0, None, now)

    def _forget_overdue(self, now: float) -> None:
        """Nodes that closer ones displaced are not renewed; let them go when they fall silent."""
        overdue = now - LOST_AFTER * self.renewal
        for subscription in list(self._subscriptions.values()):
            if subscription.request is None and subscription.renewal_at < overdue:
                self.forget(subscription)
