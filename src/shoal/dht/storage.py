"""Values that this node keeps, for others and of its own, within a quota.

Reference section 3.7. Values of others share one limit; when it is passed, the address that uses
most loses the value of its that would expire first. IPv6 senders count by their /64.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core.records import dataclass
from shoal.dht.query import Field, matches_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shoal.core import Address, InfoHash
    from shoal.dht.query import Where
    from shoal.dht.value import Value

VALUES_PER_KEY_MAX: Final = 65_536  # OpenDHT storage.h: MAX_VALUES
OVERHEAD: Final = 512  # ours: bytes that a stored value costs besides its contents


class StoredValue:
    """A value and its times, in monotonic seconds."""

    __slots__ = ("cost", "created", "expires", "key", "refresh_told_at", "sender", "storer",
                 "value")  # fmt: skip

    def __init__(
        self, key: InfoHash, value: Value, created: float, expires: float, storer: Address | None
    ) -> None:
        self.key = key
        self.value = value
        self.created = created
        self.expires = expires
        self.storer = storer  # None: our own
        self.sender = sender_of(storer) if storer is not None else b""
        self.cost = value.size + OVERHEAD
        self.refresh_told_at = -inf  # when subscribers last heard that its life was prolonged


@dataclass(slots=True)
class StorageStats:
    """Counters; each says what one increment means."""

    evicted: int = 0  # a value had to go for others
    expired: int = 0  # a value's life ended
    too_many_keys: int = 0  # a value was refused because of the number of keys
    too_many_values: int = 0  # a value was refused because of the number under its key


# A value in a heap: when it expires, which push it was, its key and its id. Stale entries stay for
# a while, so they must not hold the value itself: thousands of evicted ones would live on in them.
_Entry: TypeAlias = "tuple[float, int, InfoHash, int]"


class _Sender:
    """What one address makes us keep, soonest to expire first."""

    __slots__ = ("cost", "count", "soonest")

    def __init__(self) -> None:
        self.cost = 0
        self.count = 0
        self.soonest: list[_Entry] = []


class Storage:
    """All values, by key and id."""

    def __init__(self, limit: int, local_limit: int | None, keys_max: int) -> None:
        self.stats = StorageStats()
        self.limit = limit
        self.local_limit = inf if local_limit is None else local_limit
        self.size = 0  # bytes of contents, as the reference counts them
        self.count = 0
        self._keys_max = keys_max
        self._keys: dict[InfoHash, dict[int, StoredValue]] = {}
        self._cost = 0
        self._local_cost = 0
        self._senders: dict[bytes, _Sender] = {}
        self._heaviest: list[tuple[int, bytes]] = []  # (-cost, sender), with stale entries
        self._expiry: list[_Entry] = []  # with stale entries
        self._serial = 0

    def __iter__(self) -> Iterator[StoredValue]:
        for values in self._keys.values():
            yield from values.values()

    def key_list(self) -> list[InfoHash]:
        """Return every key that holds values."""
        return list(self._keys)

    def find(self, key: InfoHash, value_id: int) -> StoredValue | None:
        """Return one stored value."""
        return self._keys.get(key, {}).get(value_id)

    def values(self, key: InfoHash, where: Where = ()) -> list[Value]:
        """Return the values of *key* that meet every condition."""
        stored = self._keys.get(key)
        if stored is None:
            return []
        if not where:
            return [entry.value for entry in stored.values()]
        found: Iterable[StoredValue | None] = stored.values()
        for condition in where:
            if condition.field is Field.ID:  # pages are read by id: nothing is to be walked
                found = (stored.get(condition.value),)  # type: ignore[arg-type]  # or not found
        return [one.value for one in found if one is not None and matches_all(where, one.value)]

    def entries(self, key: InfoHash) -> list[StoredValue]:
        """Return what is stored at *key*, with its times."""
        return list(self._keys.get(key, {}).values())

    def has_key(self, key: InfoHash) -> bool:
        """Whether any value is stored at *key*."""
        return key in self._keys

    def store(self, stored: StoredValue) -> tuple[bool, list[StoredValue]]:
        """Keep *stored* in place of an older version; return whether it fit, and what was evicted.

        Policies have been asked before; only bounds are checked here.
        """
        values = self._keys.get(stored.key)
        if values is None and len(self._keys) >= self._keys_max:
            self.stats.too_many_keys += 1
            return False, []
        is_new = values is None or stored.value.id not in values
        if values is not None and is_new and len(values) >= VALUES_PER_KEY_MAX:
            self.stats.too_many_values += 1
            return False, []
        older = values.get(stored.value.id) if values is not None else None
        local_cost = self._local_cost + stored.cost
        if older is not None and older.storer is None:
            local_cost -= older.cost
        if stored.storer is None and local_cost > self.local_limit:
            return False, []
        if stored.storer is not None and stored.cost > self.limit:
            return False, []
        self.remove(stored.key, stored.value.id)
        self._keys.setdefault(stored.key, {})[stored.value.id] = stored
        self.size += stored.value.size
        self.count += 1
        self._charge(stored)
        self._watch(stored)
        evicted = self._evict() if stored.storer is not None else []
        if stored not in evicted:
            return True, evicted
        gone = [one for one in evicted if one is not stored]
        return False, gone if older is None else [*gone, older]

    def refresh(self, stored: StoredValue, created: float, expires: float) -> None:
        """Prolong the life of *stored*."""
        stored.created = created
        stored.expires = expires
        self._watch(stored)
        if stored.storer is not None:
            self._push_soonest(self._senders[stored.sender], stored)

    def remove(self, key: InfoHash, value_id: int) -> StoredValue | None:
        """Take a value out."""
        values = self._keys.get(key)
        stored = values.pop(value_id, None) if values is not None else None
        if values is None or stored is None:
            return None
        if not values:
            del self._keys[key]
        self.size -= stored.value.size
        self.count -= 1
        if stored.storer is None:
            self._local_cost -= stored.cost
            return stored
        self._cost -= stored.cost
        sender = self._senders[stored.sender]
        sender.cost -= stored.cost
        sender.count -= 1
        if sender.count:
            self._trim(sender)
            heapq.heappush(self._heaviest, (-sender.cost, stored.sender))
        else:
            del self._senders[stored.sender]
        self._trim_heaviest()
        return stored

    def set_limit(self, limit: int) -> list[StoredValue]:
        """Change what values of others may use; return what had to go."""
        self.limit = limit
        return self._evict()

    def next_deadline(self) -> float | None:
        """When the next value may expire."""
        return self._expiry[0][0] if self._expiry else None

    def expire(self, now: float) -> list[StoredValue]:
        """Take out the values whose life ended."""
        gone = []
        while self._expiry and self._expiry[0][0] <= now:
            stored = self._current(heapq.heappop(self._expiry))
            if stored is not None:
                self.remove(stored.key, stored.value.id)
                self.stats.expired += 1
                gone.append(stored)
        return gone

    def _watch(self, stored: StoredValue) -> None:
        """Remember when *stored* expires; rebuild the heap when most of it is stale."""
        self._serial += 1
        entry = (stored.expires, self._serial, stored.key, stored.value.id)
        heapq.heappush(self._expiry, entry)
        if len(self._expiry) > 2 * self.count + 1024:
            alive = {e[2:]: e for e in self._expiry if self._current(e) is not None}
            self._expiry = list(alive.values())  # one entry each, or this would not end
            heapq.heapify(self._expiry)

    def _charge(self, stored: StoredValue) -> None:
        if stored.storer is None:
            self._local_cost += stored.cost
            return
        self._cost += stored.cost
        sender = self._senders.setdefault(stored.sender, _Sender())
        sender.cost += stored.cost
        sender.count += 1
        self._push_soonest(sender, stored)
        heapq.heappush(self._heaviest, (-sender.cost, stored.sender))
        self._trim_heaviest()

    def _push_soonest(self, sender: _Sender, stored: StoredValue) -> None:
        self._serial += 1
        entry = (stored.expires, self._serial, stored.key, stored.value.id)
        heapq.heappush(sender.soonest, entry)
        self._trim(sender)

    def _trim(self, sender: _Sender) -> None:
        """Rebuild the heap of *sender* when most of it is stale."""
        if len(sender.soonest) > 2 * sender.count + 16:
            alive = {e[2:]: e for e in sender.soonest if self._current_of(sender, e) is not None}
            sender.soonest = list(alive.values())
            heapq.heapify(sender.soonest)

    def _trim_heaviest(self) -> None:
        if len(self._heaviest) > 4 * len(self._senders) + 64:
            self._heaviest = [(-sender.cost, key) for key, sender in self._senders.items()]
            heapq.heapify(self._heaviest)

    def _current(self, entry: _Entry) -> StoredValue | None:
        """Return the value that *entry* is about, None if the entry is stale."""
        expires, _, key, value_id = entry
        stored = self.find(key, value_id)
        return stored if stored is not None and stored.expires == expires else None

    def _current_of(self, sender: _Sender, entry: _Entry) -> StoredValue | None:
        """Return the same, if *sender* is who made us keep it."""
        stored = self._current(entry)
        if stored is None or stored.storer is None:
            return None
        return stored if self._senders.get(stored.sender) is sender else None

    def _evict(self) -> list[StoredValue]:
        evicted = []
        while self._cost > max(self.limit, 0):
            cost, key = self._heaviest[0]
            sender = self._senders.get(key)
            if sender is None or sender.cost != -cost:
                heapq.heappop(self._heaviest)
                continue
            stored = self._current_of(sender, heapq.heappop(sender.soonest))
            if stored is not None:
                self.remove(stored.key, stored.value.id)
                self.stats.evicted += 1
                evicted.append(stored)
        return evicted


def sender_of(addr: Address) -> bytes:
    """Return what a sender is counted under: its IPv4 address, or its IPv6 /64."""
    return addr.ip[:8] if len(addr.ip) > 4 else addr.ip  # noqa: PLR2004 - bytes of IPv4
