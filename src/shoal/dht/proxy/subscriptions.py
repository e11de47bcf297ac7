"""Push subscriptions of a proxy server's clients.

subscribe ──► 22 h ──► a notification asks to subscribe again ──► 24 h ──► forgotten
values ──► gathered for a moment ──► a notification
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, assert_never

from shoal.core import InfoHash
from shoal.core.records import dataclass
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.proxy.effects import SendPush, ServerEffect, StartListen, StopListen
from shoal.dht.proxy.permanent_puts import OPERATION_LIFE, OPERATION_MARGIN, remaining
from shoal.dht.proxy.push import is_urgent, renewal_payload, values_payload
from shoal.dht.proxy.quotas import Quota
from shoal.dht.proxy.server_state import SavedSubscription
from shoal.dht.proxy.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shoal.dht.proxy.config import ProxyLimits
    from shoal.dht.proxy.push import PushTarget
    from shoal.dht.proxy.pusher import Pusher
    from shoal.dht.value import Value

GATHER_WAIT: Final = 0.1  # ours: values that come together are one notification
GATHER_MAX: Final = 64  # ours: 64 ids are 1.3 KB, and push services take 4 KB

Name: TypeAlias = tuple[str, InfoHash, str]  # token, key, client id


@dataclass(slots=True)
class _Subscription:
    listen_id: int
    target: PushTarget
    client: str
    expires: float
    gathered: list[Value] = field(default_factory=list)
    is_expiry: bool = False


class Subscriptions:
    """Whom to notify of which key, and until when."""

    def __init__(self, limits: ProxyLimits, pusher: Pusher) -> None:
        self.numbers = Quota(limits.subscriptions_per_client, limits.subscriptions)
        self._pusher = pusher
        self._subscriptions: dict[Name, _Subscription] = {}
        self._listens: dict[int, Name] = {}
        self._last_listen = 0
        self._timers: Timers[tuple[Literal["end", "notice", "gather"], Name]] = Timers()

    @property
    def tokens(self) -> int:
        """How many devices there are subscriptions of."""
        return len({token for token, _, _ in self._subscriptions})

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
            subscription = self._add(name, target, client)
            effects.append(StartListen(subscription.listen_id, key))
        subscription.target = self._pusher.addressed(target)
        self._set_timers(name, subscription, now + OPERATION_LIFE)
        return is_new, effects

    def unsubscribe(self, key: InfoHash, target: PushTarget) -> list[ServerEffect]:
        """End a subscription; harmless if there is none."""
        name = (target.token, key, target.client_id)
        return [self._end(name)] if name in self._subscriptions else []

    def values_changed(
        self, listen_id: int, values: Sequence[Value], now: float, wall_now: float, *, is_gone: bool
    ) -> list[ServerEffect]:
        """Notify the subscriber that `StartListen` *listen_id* was for, soon."""
        name = self._listens.get(listen_id)
        if name is None:
            return []
        subscription = self._subscriptions[name]
        effects: list[ServerEffect] = []
        for value in values:
            gathered = subscription.gathered
            if len(gathered) >= GATHER_MAX or (gathered and subscription.is_expiry != is_gone):
                effects += self._push_gathered(name, wall_now)
            subscription.is_expiry = is_gone
            subscription.gathered.append(value)
        if subscription.gathered and ("gather", name) not in self._timers:
            self._timers.set(("gather", name), now + GATHER_WAIT)
        return effects

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self._timers.next_deadline()

    def advance(self, now: float, wall_now: float) -> list[ServerEffect]:
        """End what is over, ask for renewal of what soon will be, send what has gathered."""
        effects: list[ServerEffect] = []
        for kind, name in self._timers.due(now):
            match kind:
                case "end":
                    effects.append(self._end(name))
                case "notice":
                    target = self._subscriptions[name].target
                    payload = renewal_payload(name[1], target, None)
                    effects += self._pusher.push(target, payload, wall_now)
                case "gather":
                    effects += self._push_gathered(name, wall_now)
                case _:
                    assert_never(kind)
        return effects

    def saved(self, wall_offset: float) -> Iterator[SavedSubscription]:
        """Yield all subscriptions, for the state file."""
        for (_, key, _), item in self._subscriptions.items():
            yield SavedSubscription(key, item.target, int(item.expires + wall_offset))

    def restore(
        self, saved: Iterable[SavedSubscription], now: float, wall_offset: float
    ) -> list[ServerEffect]:
        """Take up saved subscriptions; nobody is known to hold them."""
        effects: list[ServerEffect] = []
        for item in saved:
            name = (item.target.token, item.key, item.target.client_id)
            expires = remaining(item.wall_expiry, now, wall_offset)
            if expires is None or not item.target.token or name in self._subscriptions:
                continue
            try:
                subscription = self._add(name, item.target, f"restored {len(self._subscriptions)}")
            except TooManyOperationsError:
                break
            self._set_timers(name, subscription, expires)
            effects.append(StartListen(subscription.listen_id, item.key))
        return effects

    def _add(self, name: Name, target: PushTarget, client: str) -> _Subscription:
        if self.numbers.take(client) != "granted":
            raise TooManyOperationsError
        self._last_listen += 1
        self._listens[self._last_listen] = name
        subscription = _Subscription(self._last_listen, target, client, 0.0)
        self._subscriptions[name] = subscription
        return subscription

    def _set_timers(self, name: Name, subscription: _Subscription, expires: float) -> None:
        subscription.expires = expires
        self._timers.set(("end", name), expires)
        self._timers.set(("notice", name), expires - OPERATION_MARGIN)

    def _end(self, name: Name) -> StopListen:
        subscription = self._subscriptions.pop(name)
        del self._listens[subscription.listen_id]
        self.numbers.give_back(subscription.client)
        for kind in ("end", "notice", "gather"):
            self._timers.cancel((kind, name))
        return StopListen(subscription.listen_id)

    def _push_gathered(self, name: Name, wall_now: float) -> list[SendPush]:
        subscription = self._subscriptions[name]
        values, subscription.gathered = subscription.gathered, []
        self._timers.cancel(("gather", name))
        is_gone = subscription.is_expiry
        payload = values_payload(
            name[1], subscription.target, values, is_expired=is_gone, wall_now=wall_now
        )
        is_high = is_urgent(values, is_expired=is_gone)
        return self._pusher.push(subscription.target, payload, wall_now, is_high=is_high)
