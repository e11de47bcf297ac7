"""Keeping values: policies, life times, quota, and telling those who listen.

Reference sections 2.8 and 3.7.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core.deadlines import Alarm, Call
from shoal.dht.operations import LOCAL, ListenGroup
from shoal.dht.state import SavedValue
from shoal.dht.storage import StoredValue
from shoal.dht.subscribers import Subscribers
from shoal.dht.tokens import TokenSecrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.core import Address, InfoHash
    from shoal.dht.context import Context
    from shoal.dht.value import Value

REFRESH_TOLD_EVERY: Final = 1.0  # ours: seconds; else a flood of refreshes reaches all who listen


class Keeper:
    """What both families store, and who is told of changes to it."""

    is_over = False  # it always wants to be woken

    def __init__(self, context: Context, now: float) -> None:
        self.tokens = TokenSecrets(context.entropy, now)
        self.subscribers = Subscribers(context, self.tokens)
        self.wall_offset = 0.0
        self._context = context
        self._alarm = Alarm(context.wakeups, self)
        context.wakeups.add(self.tokens.next_deadline(), Call(self._rotate))

    def has_key(self, key: InfoHash) -> bool:
        """Whether anything is stored or listened to at *key*."""
        return self._context.storage.has_key(key) or self.subscribers.has_key(key)

    def take(
        self, key: InfoHash, value: Value, wall_created: int | None, sender: Address, now: float
    ) -> bool:
        """Store what another node put here, if its policy allows; return whether it is kept."""
        types, storage = self._context.types, self._context.storage
        created = self.monotonic(wall_created, now)
        held = storage.find(key, value.id)
        life = types.life(value.type if held is None else held.value.type)
        if created + life <= now:
            return False
        if held is not None and held.value.content_equals(value):
            self._prolong(held, created, created + life, now)
            return True
        if held is None:
            accepted = types.accept(key, value, sender)
        else:
            is_allowed = types.may_edit(key, held.value, value, sender)
            accepted = value if is_allowed else None
        if accepted is None:
            self._context.stats.refused += 1
            return False
        life = types.life(accepted.type)
        if created + life <= now:
            return False
        return self.store(StoredValue(key, accepted, created, created + life, sender), now)

    def store(self, stored: StoredValue, now: float) -> bool:
        """Keep *stored*, policies aside, and tell listeners; return whether it fit."""
        fits, evicted = self._context.storage.store(stored)
        if fits:
            self._alarm.set(stored.expires)
            for group in list(self._context.groups.get(stored.key, {}).values()):
                self.tell_group(group, stored)
            self.subscribers.tell_values(stored.key, stored.value, now)
        self._tell_gone(evicted, now)
        return fits

    def refresh(self, key: InfoHash, value_id: int, now: float) -> None:
        """Prolong a value's life; an unknown id is no error (reference section 1.10)."""
        held = self._context.storage.find(key, value_id)
        if held is not None:
            life = self._context.types.life(held.value.type)
            self._prolong(held, now, max(held.expires, now + life), now)

    def remove(self, key: InfoHash, value_id: int, now: float) -> None:
        """Stop keeping a value."""
        gone = self._context.storage.remove(key, value_id)
        if gone is not None:
            self._tell_gone([gone], now)

    def set_limit(self, limit: int, now: float) -> None:
        """Change what values of others may use."""
        self._tell_gone(self._context.storage.set_limit(limit), now)

    def wake(self, now: float) -> None:
        """Let values go whose life ended."""
        if not self._alarm.rings(now):
            return
        self._tell_gone(self._context.storage.expire(now), now)
        moment = self._context.storage.next_deadline()
        if moment is not None:
            self._alarm.set(moment)

    def monotonic(self, wall_created: float | None, now: float) -> float:
        """Return when a value was created on our clock; never in the future."""
        return now if wall_created is None else min(now, wall_created - self.wall_offset)

    def export(self) -> list[SavedValue]:
        """Return every value with an end to its life, in Unix time."""
        offset = self.wall_offset
        return [
            SavedValue(one.key, one.value, one.created + offset, one.expires + offset, one.storer)
            for one in self._context.storage
            if one.expires < inf
        ]

    def load(self, values: Iterable[SavedValue], now: float) -> None:
        """Take back exported values that are still alive."""
        for one in values:
            created = self.monotonic(one.created_wall, now)
            life = self._context.types.life(one.value.type)
            expires = min(one.expiry_wall - self.wall_offset, created + life)
            if expires > now:
                self.store(StoredValue(one.key, one.value, created, expires, one.storer), now)

    def _rotate(self, now: float) -> None:
        self.tokens.advance(now)
        self._context.wakeups.add(self.tokens.next_deadline(), Call(self._rotate))

    def _prolong(self, held: StoredValue, created: float, expires: float, now: float) -> None:
        if expires > held.expires:
            self._context.storage.refresh(held, max(created, held.created), expires)
            self._alarm.set(expires)
            for group in self._context.groups.get(held.key, {}).values():
                group.refresh(LOCAL, {held.value.id: expires})
        if now - held.refresh_told_at >= REFRESH_TOLD_EVERY:
            held.refresh_told_at = now
            self.subscribers.tell_refreshed(held.key, held.value.id, now)

    def tell_group(self, group: ListenGroup, stored: StoredValue) -> None:
        """Let a listen of our own know what we store."""
        group.take_values(LOCAL, (stored.value,), {stored.value.id: stored.expires})

    def _tell_gone(self, gone: list[StoredValue], now: float) -> None:
        by_key: dict[InfoHash, list[int]] = {}
        for one in gone:
            by_key.setdefault(one.key, []).append(one.value.id)
        for key, value_ids in by_key.items():
            for group in list(self._context.groups.get(key, {}).values()):
                group.drop(LOCAL, value_ids)
            self.subscribers.tell_expired(key, value_ids, now)
