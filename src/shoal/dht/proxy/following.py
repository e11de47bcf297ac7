"""Following keys through a proxy: streams, or subscriptions and notifications.

    no push   ──► GET …/listen ──► lines ──► broken ──► patience ──► GET …/listen, and a check
    with push ──► SUBSCRIBE ─────► 22 h ───────────────────────────► SUBSCRIBE, and a check
                  notification ──────────────────────────────────────────────► a check

A check is a GET that what is known is compared with: what it has is news or not, what it lacks has
expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import InfoHash
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.proxy import wire
from shoal.dht.proxy.client_tasks import Follow, Timer, Unsubscribe
from shoal.dht.proxy.effects import ClientEffect, PushResult
from shoal.dht.proxy.listens import Listen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.dht.proxy.client_context import ClientContext
    from shoal.dht.proxy.config import PushRegistration
    from shoal.dht.query import Where

LISTENS_MAX: Final = 4096  # ours: keys followed; without push each holds a connection
PATIENCE_MIN: Final = 1.0  # ours: wait after the first failure, doubled at each further one
PATIENCE_MAX: Final = 60.0
HEARTBEAT_PATIENCE: Final = 150.0  # ours: two and a half heartbeats of our server
STEADY: Final = 60.0  # ours: a stream that lasted so long has not failed
_HEARTBEAT: Final = wire.HEARTBEAT.strip()


class Following:
    """All keys that are followed."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context
        self._keys: dict[int, InfoHash] = {}  # of operations
        self._listens: dict[InfoHash, Listen] = {}

    def __len__(self) -> int:
        return len(self._listens)

    def listen(self, op: int, key: InfoHash, where: Where, now: float) -> list[ClientEffect]:
        """Let *op* follow *key*.

        Raises:
            TooManyOperationsError: too many keys are followed.
        """
        listen = self._listens.get(key)
        if listen is None:
            if len(self._listens) >= LISTENS_MAX:
                raise TooManyOperationsError
            listen = self._listens[key] = Listen(key)
        self._keys[op] = key
        effects: list[ClientEffect] = [*listen.add(op, where)]
        if len(listen.operations) == 1:
            effects += self._open(listen, now, is_again=False)
            if self._context.push is not None:
                effects += self._check(listen)  # a first notification may be long in coming
        return effects

    def cancel(self, op: int) -> list[ClientEffect]:
        """Let *op* follow nothing any more; harmless if it never did."""
        key = self._keys.pop(op, None)
        if key is None:
            return []
        listen = self._listens[key]
        del listen.operations[op]
        if listen.operations:
            return []
        del self._listens[key]
        return self._leave(listen)

    def clear(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._listens.clear()

    def begin_again(self, now: float) -> list[ClientEffect]:
        """Begin every listen again: its connections may be dead without a word."""
        effects: list[ClientEffect] = []
        for listen in self._listens.values():
            effects += self._reopen(listen, now)
        return effects

    def take_up(self, now: float) -> list[ClientEffect]:
        """Begin again, without further patience, what waits; the proxy is back."""
        effects: list[ClientEffect] = []
        for listen in self._listens.values():
            if listen.request is None:
                effects += self._reopen(listen, now)
        return effects

    def set_push(self, push: PushRegistration | None, now: float) -> list[ClientEffect]:
        """Be notified at another address, or with None hold streams again."""
        effects: list[ClientEffect] = []
        for listen in self._listens.values():
            effects += self._leave(listen)
        self._context.push = push
        return [*effects, *self.begin_again(now)]

    # Inputs.

    def line(self, task: Follow, line: bytes, now: float) -> list[ClientEffect]:
        """Take one line of an answer."""
        listen = self._listens[task.key]
        silence = Timer("silence", task.key)
        timers = self._context.timers
        decoded = self._context.decode(line)
        if task.kind == "stream":
            if line.strip() == _HEARTBEAT or silence in timers:
                timers.set(silence, now + HEARTBEAT_PATIENCE)
            listen.failures = 0
        if decoded is None:
            return []
        if decoded.is_expired:
            return [*listen.expired(decoded.value.id)]
        return [*listen.found(decoded.value)]

    def ended(self, task: Follow, now: float, *, is_ok: bool) -> list[ClientEffect]:
        """Take the end of an answer."""
        listen = self._listens[task.key]
        if task.kind == "check":
            listen.check = None
            return [*listen.settle()] if is_ok else []
        listen.request = None
        follow = Timer("follow", task.key)
        if task.kind == "subscribe" and is_ok:
            listen.failures = 0
            self._context.timers.set(follow, now + self._context.renewal())
            return []
        self._context.stats.listens_broken += 1
        self._context.timers.cancel(Timer("silence", task.key))
        listen.failures = 1 if now - listen.opened >= STEADY else listen.failures + 1
        wait = self._context.patience(listen.failures, PATIENCE_MIN, PATIENCE_MAX)
        self._context.timers.set(follow, now + wait)
        return []

    def due(self, key: InfoHash, now: float) -> list[ClientEffect]:
        """Begin a listen again because its time has come."""
        return self._reopen(self._listens[key], now)

    def announced(self, notification: Mapping[str, str]) -> tuple[PushResult, list[ClientEffect]]:
        """Take a notification about values.

        Raises:
            DecodeError: its key is none; ValueError: its ids are none.
        """
        listen = self._listens.get(InfoHash.from_hex(notification.get("key", "")))
        gone = [int(text) for text in notification.get("exp", "").split(",") if text]
        if listen is None:
            return PushResult.IGNORED_NO_OPERATION, []
        if not gone:
            return PushResult.VALUES, self._check(listen)
        effects: list[ClientEffect] = []
        for value_id in gone:
            effects += listen.expired(value_id)
        return PushResult.VALUES_EXPIRED, effects

    def renewal_asked(self, key: InfoHash, now: float) -> tuple[PushResult, list[ClientEffect]]:
        """Take a notification that a subscription ends soon."""
        listen = self._listens.get(key)
        if listen is None:
            return PushResult.IGNORED_NO_OPERATION, []
        return PushResult.LISTEN_REFRESH, self._reopen(listen, now)

    # Inside.

    def _open(self, listen: Listen, now: float, *, is_again: bool) -> list[ClientEffect]:
        context, path = self._context, f"/key/{listen.key}"
        listen.opened = now
        context.timers.cancel(Timer("follow", listen.key))
        context.timers.cancel(Timer("silence", listen.key))
        if context.push is None:
            task = Follow(listen.key, "stream")
            listen.request, effects = context.begin(task, "GET", path + "/listen", is_stream=True)
        else:
            task = Follow(listen.key, "subscribe")
            body = wire.encode_subscription(context.target, is_refresh=is_again)
            listen.request, effects = context.begin(task, "SUBSCRIBE", path, body)
        return effects

    def _reopen(self, listen: Listen, now: float) -> list[ClientEffect]:
        """Begin a listen again, and find out what was missed meanwhile."""
        effects = self._context.drop(listen.request)
        return [*effects, *self._open(listen, now, is_again=True), *self._check(listen)]

    def _check(self, listen: Listen) -> list[ClientEffect]:
        dropped = self._context.drop(listen.check)
        listen.doubt()
        task = Follow(listen.key, "check")
        listen.check, effects = self._context.begin(task, "GET", f"/key/{listen.key}")
        return [*dropped, *effects]

    def _leave(self, listen: Listen) -> list[ClientEffect]:
        """End the stream or the subscription of a listen."""
        context = self._context
        effects = [*context.drop(listen.request), *context.drop(listen.check)]
        listen.request = listen.check = None
        context.timers.cancel(Timer("follow", listen.key))
        context.timers.cancel(Timer("silence", listen.key))
        if context.push is None:
            return effects
        body = wire.encode_subscription(context.target, is_refresh=False)
        path = f"/key/{listen.key}"
        return [*effects, *context.begin(Unsubscribe(), "UNSUBSCRIBE", path, body)[1]]
