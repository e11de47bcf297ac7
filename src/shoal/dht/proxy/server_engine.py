"""The proxy server's memory: permanent puts, push subscriptions, who may hold how much.

    client ── permanent put ──► 24 h, then withdrawn; 2 h before, a push asks to put again
    client ── subscribe ──────► 24 h, then forgotten; 2 h before, a push asks to subscribe again
    node ──── values ─────────► a push to each subscription of the key

Gets, plain puts and listen streams leave no trace here but the quota they hold meanwhile.

Source: OpenDHT dht_proxy_server.cpp; proxy.h for the times.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, assert_never

from shoal.core import DecodeError, Entropy, InfoHash, Persist
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.proxy import server_state
from shoal.dht.proxy.effects import (
    Announce,
    SendPush,
    ServerEffect,
    StartListen,
    StopListen,
    Withdraw,
)
from shoal.dht.proxy.push import (
    Payload,
    Platform,
    PushTarget,
    Seal,
    gorush_push,
    is_urgent,
    pong_payload,
    renewal_payload,
    unified_push,
    values_payload,
)
from shoal.dht.proxy.quotas import Quota
from shoal.dht.proxy.server_state import SavedPut, SavedSubscription, ServerState
from shoal.dht.proxy.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.dht.proxy.config import ProxyServerConfig
    from shoal.dht.value import Value

OPERATION_LIFE: Final = 24 * 3600.0  # OpenDHT proxy.h: OP_TIMEOUT
OPERATION_MARGIN: Final = 2 * 3600.0  # OpenDHT proxy.h: OP_MARGIN
SAVE_WAIT: Final = 10.0  # ours: what a crash may cost; many changes are one write
GATHER_WAIT: Final = 0.1  # ours: values that come together are one notification
GATHER_MAX: Final = 64  # ours: 64 ids are 1.3 KB, and push services take 4 KB
_ID_BITS: Final = 8  # bytes of a value id
_STATE_NAME: Final = "proxy"

PutName: TypeAlias = tuple[InfoHash, int]
SubscriptionName: TypeAlias = tuple[str, InfoHash, str]


@dataclass(slots=True)
class ServerStats:
    """Counters of a proxy server.

    Attributes:
        requests: requests with a known route.
        refused: requests that a limit turned away.
        pushes_unsendable: notifications without a gateway, or with a damaged Web Push key.
        state_damaged: state files that could not be read, 0 or 1.
    """

    requests: int = 0
    refused: int = 0
    pushes_unsendable: int = 0
    state_damaged: int = 0


@dataclass(slots=True)
class _Put:
    value: Value
    target: PushTarget
    client: str
    expires: float


@dataclass(slots=True)
class _Subscription:
    listen_id: int
    target: PushTarget
    client: str
    expires: float
    gathered: list[Value] = field(default_factory=list)
    is_expiry: bool = False


class _Timer(NamedTuple):
    """Names a deadline: the end of an entry, the notice before it, or the next write."""

    kind: Literal["put", "put notice", "subscription", "subscription notice", "gather", "save"]
    put: PutName | None = None
    subscription: SubscriptionName | None = None


_SAVE: Final = _Timer("save")


class ProxyServerEngine:
    """Keeps what outlives a request to the proxy server."""

    def __init__(
        self,
        config: ProxyServerConfig,
        entropy: Entropy,
        now: float,
        *,
        wall_offset: float,
        seal: Seal,
        state: bytes | None = None,
    ) -> None:
        """Start with the entries of *state*, the bytes of an earlier `Persist`.

        *wall_offset* is wall clock minus monotonic clock; the driver keeps it current. *seal*
        encrypts notifications (RFC 8291).
        """
        self.config = config
        self.wall_offset = wall_offset
        self.stats = ServerStats()
        limits = config.limits
        self.streams = Quota(limits.streams_per_client, limits.streams)
        self._put_quota = Quota(limits.puts_per_client, limits.puts)
        self._put_sizes = Quota(limits.puts_size, limits.puts_size)
        self._subscription_quota = Quota(limits.subscriptions_per_client, limits.subscriptions)
        self._entropy = entropy
        self._seal = seal
        self._started = now
        self._puts: dict[PutName, _Put] = {}
        self._put_ids: dict[InfoHash, dict[int, None]] = {}
        self._subscriptions: dict[SubscriptionName, _Subscription] = {}
        self._listens: dict[int, SubscriptionName] = {}
        self._next_listen = 0
        self._timers: Timers[_Timer] = Timers()
        self._pushes: dict[tuple[Platform, bool], int] = {}
        self._restored = self._restore(state, now)

    def start(self) -> list[ServerEffect]:
        """Return the orders that take up the work of the restored entries; once."""
        effects, self._restored = self._restored, []
        return effects

    # Permanent puts.

    def put_permanent(
        self, key: InfoHash, value: Value, target: PushTarget, client: str, now: float
    ) -> tuple[Value, bool]:
        """Remember that *client* wants *value* kept at *key* for the next 24 hours.

        A value without an id that equals one of the same push target refreshes that one.

        Returns:
            The value with its id, and whether it is there already, so that nothing need be put.

        Raises:
            TooManyOperationsError: the client, or all of them, hold all they may.
        """
        if value.id == 0:
            known = self._equal_put(key, value, target)
            if known is not None:
                self._renew_put((key, known.value.id), known, target, now)
                return known.value, True
            value = replace(value, id=self._draw_id())
        name = (key, value.id)
        put = self._puts.get(name)
        if put is None:
            put = self._add_put(name, value, target, client, now)
        else:
            self._resize(put, value)
        self._renew_put(name, put, target, now)
        return put.value, False

    def has_put(self, key: InfoHash, value_id: int) -> bool:
        """Whether a permanent put of this value is kept."""
        return (key, value_id) in self._puts

    def _equal_put(self, key: InfoHash, value: Value, target: PushTarget) -> _Put | None:
        for value_id in self._put_ids.get(key, ()):
            put = self._puts[key, value_id]
            holder = (put.target.token, put.target.client_id)
            if holder == (target.token, target.client_id) and put.value.content_equals(value):
                return put
        return None

    def _draw_id(self) -> int:
        return int.from_bytes(self._entropy.token_bytes(_ID_BITS)) or 1

    def _add_put(
        self, name: PutName, value: Value, target: PushTarget, client: str, now: float
    ) -> _Put:
        granted = self._put_quota.take(client)
        if granted == "granted" and self._put_sizes.take(client, value.size) != "granted":
            self._put_quota.give_back(client)
            granted = "total"
        if granted != "granted":
            self.stats.refused += 1
            raise TooManyOperationsError
        put = self._puts[name] = _Put(value, self._with_topic(target), client, now)
        self._put_ids.setdefault(name[0], {})[name[1]] = None
        return put

    def _resize(self, put: _Put, value: Value) -> None:
        """Let *put* keep *value* from now on."""
        self._put_sizes.give_back(put.client, put.value.size)
        if self._put_sizes.take(put.client, value.size) != "granted":
            self._put_sizes.take(put.client, put.value.size)
            self.stats.refused += 1
            raise TooManyOperationsError
        put.value = value

    def _renew_put(self, name: PutName, put: _Put, target: PushTarget, now: float) -> None:
        if target.session_id:
            put.target = replace(put.target, session_id=target.session_id)
        put.expires = now + OPERATION_LIFE
        self._set_put_timers(name, put)
        self._save_soon(now)

    def _set_put_timers(self, name: PutName, put: _Put) -> None:
        self._timers.set(_Timer("put", put=name), put.expires)
        if put.target.token:
            self._timers.set(_Timer("put notice", put=name), put.expires - OPERATION_MARGIN)

    def _end_put(self, name: PutName, now: float) -> list[ServerEffect]:
        put = self._puts.pop(name)
        ids = self._put_ids[name[0]]
        del ids[name[1]]
        if not ids:
            del self._put_ids[name[0]]
        self._put_quota.give_back(put.client)
        self._put_sizes.give_back(put.client, put.value.size)
        self._timers.cancel(_Timer("put notice", put=name))
        self._save_soon(now)
        return [Withdraw(*name)]

    # Push subscriptions.

    def subscribe(
        self, key: InfoHash, target: PushTarget, client: str, now: float
    ) -> tuple[bool, list[ServerEffect]]:
        """Notify *target* of the values at *key* for the next 24 hours.

        Returns:
            Whether the subscription is new, and what is to be done.

        Raises:
            TooManyOperationsError: the client, or all of them, hold all they may.
        """
        assert target.token, "the caller has refused empty tokens"
        name = (target.token, key, target.client_id)
        subscription = self._subscriptions.get(name)
        effects: list[ServerEffect] = []
        is_new = subscription is None
        if subscription is None:
            if self._subscription_quota.take(client) != "granted":
                self.stats.refused += 1
                raise TooManyOperationsError
            subscription = self._add_subscription(name, target, client)
            effects.append(StartListen(subscription.listen_id, key))
        subscription.target = self._with_topic(target)
        subscription.expires = now + OPERATION_LIFE
        self._set_subscription_timers(name, subscription)
        self._save_soon(now)
        return is_new, effects

    def unsubscribe(self, key: InfoHash, target: PushTarget, now: float) -> list[ServerEffect]:
        """End a subscription; harmless if there is none."""
        name = (target.token, key, target.client_id)
        return self._end_subscription(name, now) if name in self._subscriptions else []

    def values_changed(
        self, listen_id: int, values: Sequence[Value], now: float, *, is_expired: bool
    ) -> list[ServerEffect]:
        """Notify the subscriber that `StartListen` *listen_id* was for, soon."""
        name = self._listens.get(listen_id)
        if name is None:
            return []
        subscription = self._subscriptions[name]
        effects: list[ServerEffect] = []
        for value in values:
            gathered = subscription.gathered
            if len(gathered) >= GATHER_MAX or (gathered and subscription.is_expiry != is_expired):
                effects += self._push_gathered(name, now)
            subscription.is_expiry = is_expired
            subscription.gathered.append(value)
        timer = _Timer("gather", subscription=name)
        if subscription.gathered and timer not in self._timers:
            self._timers.set(timer, now + GATHER_WAIT)
        return effects

    def ping_push(self, target: PushTarget, now: float) -> list[ServerEffect]:
        """Notify *target* that notifications reach it."""
        return self._push(self._with_topic(target), pong_payload(target), now, is_high=True)

    def _add_subscription(
        self, name: SubscriptionName, target: PushTarget, client: str
    ) -> _Subscription:
        self._next_listen += 1
        self._listens[self._next_listen] = name
        subscription = _Subscription(self._next_listen, target, client, 0.0)
        self._subscriptions[name] = subscription
        return subscription

    def _set_subscription_timers(self, name: SubscriptionName, subscription: _Subscription) -> None:
        self._timers.set(_Timer("subscription", subscription=name), subscription.expires)
        self._timers.set(
            _Timer("subscription notice", subscription=name),
            subscription.expires - OPERATION_MARGIN,
        )

    def _end_subscription(self, name: SubscriptionName, now: float) -> list[ServerEffect]:
        subscription = self._subscriptions.pop(name)
        del self._listens[subscription.listen_id]
        self._subscription_quota.give_back(subscription.client)
        self._timers.cancel(_Timer("subscription", subscription=name))
        self._timers.cancel(_Timer("subscription notice", subscription=name))
        self._timers.cancel(_Timer("gather", subscription=name))
        self._save_soon(now)
        return [StopListen(subscription.listen_id)]

    def _with_topic(self, target: PushTarget) -> PushTarget:
        return target if target.topic else replace(target, topic=self.config.bundle_id)

    def _push_gathered(self, name: SubscriptionName, now: float) -> list[ServerEffect]:
        subscription = self._subscriptions[name]
        values, subscription.gathered = subscription.gathered, []
        self._timers.cancel(_Timer("gather", subscription=name))
        target, is_expired = subscription.target, subscription.is_expiry
        payload = values_payload(
            name[1], target, values, is_expired=is_expired, wall_now=now + self.wall_offset
        )
        return self._push(target, payload, now, is_high=is_urgent(values, is_expired=is_expired))

    def _push(
        self, target: PushTarget, payload: Payload, now: float, *, is_high: bool
    ) -> list[ServerEffect]:
        push = self._push_request(target, payload, now, is_high=is_high)
        if push is None:
            self.stats.pushes_unsendable += 1
            return []
        count = (target.platform, is_high)
        self._pushes[count] = self._pushes.get(count, 0) + 1
        return [push]

    def _push_request(
        self, target: PushTarget, payload: Payload, now: float, *, is_high: bool
    ) -> SendPush | None:
        if target.platform is Platform.UNIFIED_PUSH:
            if not self.config.is_unified_push:
                return None
            try:
                return unified_push(target, payload, is_high=is_high, seal=self._seal)
            except DecodeError:
                return None
        if self.config.push_gateway is None:
            return None
        return gorush_push(target, payload, is_high=is_high, wall_now=now + self.wall_offset)

    # Time.

    def next_deadline(self) -> float | None:
        """When `advance` next has work; None while nothing is kept."""
        return self._timers.next_deadline()

    def advance(self, now: float) -> list[ServerEffect]:
        """End what is over, ask for renewal of what soon will be, write what has changed."""
        effects: list[ServerEffect] = []
        for timer in self._timers.due(now):
            effects += self._due(timer, now)
        return effects

    def close(self, now: float) -> list[ServerEffect]:
        """Return the last write."""
        self._timers.clear()
        return [self._persist(now)]

    def _due(self, timer: _Timer, now: float) -> list[ServerEffect]:
        match timer.kind:
            case "put":
                assert timer.put is not None
                return self._end_put(timer.put, now)
            case "put notice":
                assert timer.put is not None
                return self._notify(self._puts[timer.put].target, now, timer.put)
            case "subscription":
                assert timer.subscription is not None
                return self._end_subscription(timer.subscription, now)
            case "subscription notice":
                assert timer.subscription is not None
                subscription = self._subscriptions[timer.subscription]
                return self._notify(subscription.target, now, (timer.subscription[1], None))
            case "gather":
                assert timer.subscription is not None
                return self._push_gathered(timer.subscription, now)
            case "save":
                return [self._persist(now)]
            case _:
                assert_never(timer.kind)

    def _notify(
        self, target: PushTarget, now: float, what: tuple[InfoHash, int | None]
    ) -> list[ServerEffect]:
        key, value_id = what
        return self._push(target, renewal_payload(key, target, value_id), now, is_high=False)

    # State.

    def _save_soon(self, now: float) -> None:
        if _SAVE not in self._timers:
            self._timers.set(_SAVE, now + SAVE_WAIT)

    def _persist(self, now: float) -> Persist:
        return Persist(
            _STATE_NAME,
            server_state.encode(
                (
                    SavedPut(key, put.value, put.target, self._wall(put.expires))
                    for (key, _), put in self._puts.items()
                ),
                (
                    SavedSubscription(key, item.target, self._wall(item.expires))
                    for (_, key, _), item in self._subscriptions.items()
                ),
            ),
        )

    def _wall(self, moment: float) -> int:
        return int(moment + self.wall_offset)

    def _restore(self, state: bytes | None, now: float) -> list[ServerEffect]:
        if state is None:
            return []
        try:
            saved = server_state.decode(state)
        except DecodeError:
            self.stats.state_damaged += 1
            return []
        return [*self._restore_puts(saved, now), *self._restore_subscriptions(saved, now)]

    def _restore_puts(self, saved: ServerState, now: float) -> list[ServerEffect]:
        """Take up saved puts; nobody is known to hold them, so they count in the total only."""
        effects: list[ServerEffect] = []
        for put in saved.puts:
            expires = self._remaining(put.wall_expiry, now)
            name = (put.key, put.value.id)
            if expires is None or put.value.id == 0 or name in self._puts:
                continue
            client = f"restored {len(self._puts)}"
            if self._put_quota.take(client) != "granted":
                break
            if self._put_sizes.take(client, put.value.size) != "granted":
                self._put_quota.give_back(client)
                break
            kept = self._puts[name] = _Put(put.value, put.target, client, expires)
            self._put_ids.setdefault(put.key, {})[put.value.id] = None
            self._set_put_timers(name, kept)
            effects.append(Announce(put.key, put.value))
        return effects

    def _restore_subscriptions(self, saved: ServerState, now: float) -> list[ServerEffect]:
        effects: list[ServerEffect] = []
        for item in saved.subscriptions:
            expires = self._remaining(item.wall_expiry, now)
            name = (item.target.token, item.key, item.target.client_id)
            if expires is None or not item.target.token or name in self._subscriptions:
                continue
            client = f"restored {len(self._subscriptions)}"
            if self._subscription_quota.take(client) != "granted":
                break
            subscription = self._add_subscription(name, item.target, client)
            subscription.expires = expires
            self._set_subscription_timers(name, subscription)
            effects.append(StartListen(subscription.listen_id, item.key))
        return effects

    def _remaining(self, wall_expiry: int, now: float) -> float | None:
        """Return the monotonic end of a saved entry, None if it is over.

        A clock that was set back must not keep entries beyond the life they can have.
        """
        expires = min(wall_expiry - self.wall_offset, now + OPERATION_LIFE)
        return expires if expires > now else None

    # Figures.

    def counts(self) -> dict[str, object]:
        """Return what `/node/stats` tells of the engine."""
        return {
            "androidPush": self._push_counts(Platform.ANDROID),
            "iosPush": self._push_counts(Platform.IOS),
            "listenCount": self.streams.used,
            "pushListenersCount": len({name[0] for name in self._subscriptions}),
            "putCount": len(self._put_ids),
            "serverStartTime": self._wall(self._started),
            "totalPermanentPuts": len(self._puts),
            "unifiedPush": self._push_counts(Platform.UNIFIED_PUSH),
        }

    def _push_counts(self, platform: Platform) -> dict[str, int]:
        return {
            "highPriorityCount": self._pushes.get((platform, True), 0),
            "normalPriorityCount": self._pushes.get((platform, False), 0),
        }
