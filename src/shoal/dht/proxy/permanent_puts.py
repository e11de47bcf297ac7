"""Values that a proxy server keeps announced for its clients.

put ──► 22 h ──► a notification asks to put again ──► 24 h ──► withdrawn
▲        │
└────────┘ put again: another 24 h
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from shoal.core import InfoHash
from shoal.core.records import dataclass
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.proxy.effects import Announce, ServerEffect, Withdraw
from shoal.dht.proxy.push import renewal_payload
from shoal.dht.proxy.quotas import Quota
from shoal.dht.proxy.server_state import SavedPut
from shoal.dht.proxy.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shoal.core import Entropy
    from shoal.dht.proxy.config import ProxyLimits
    from shoal.dht.proxy.push import PushTarget
    from shoal.dht.proxy.pusher import Pusher
    from shoal.dht.value import Value

OPERATION_LIFE: Final = 24 * 3600.0  # OpenDHT proxy.h: OP_TIMEOUT
OPERATION_MARGIN: Final = 2 * 3600.0  # OpenDHT proxy.h: OP_MARGIN
_ID_LENGTH: Final = 8  # bytes of a value id

Name: TypeAlias = tuple[InfoHash, int]


@dataclass(slots=True)
class _Put:
    value: Value
    target: PushTarget
    client: str
    expires: float


class PermanentPuts:
    """Who wants which value kept, and until when."""

    def __init__(self, limits: ProxyLimits, entropy: Entropy, pusher: Pusher) -> None:
        self.numbers = Quota(limits.puts_per_client, limits.puts)
        self.sizes = Quota(limits.puts_size, limits.puts_size)
        self._entropy = entropy
        self._pusher = pusher
        self._puts: dict[Name, _Put] = {}
        self._ids: dict[InfoHash, dict[int, None]] = {}
        self._timers: Timers[tuple[Literal["end", "notice"], Name]] = Timers()

    def __len__(self) -> int:
        return len(self._puts)

    def __contains__(self, name: Name) -> bool:
        return name in self._puts

    @property
    def keys(self) -> int:
        """How many keys there are values at."""
        return len(self._ids)

    def put(
        self, key: InfoHash, value: Value, target: PushTarget, client: str, now: float
    ) -> tuple[Value, bool]:
        """Keep *value* at *key* for the next 24 hours.

        A value without an id that equals one of the same push target refreshes that one.

        Returns:
            The value with its id, and whether it is there already, so that nothing need be put.

        Raises:
            TooManyOperationsError: the client, or all of them, hold all they may.
        """
        if value.id == 0:
            known = self._equal(key, value, target)
            if known is not None:
                self._renew((key, known.value.id), known, target, now)
                return known.value, True
            value = replace(value, id=int.from_bytes(self._entropy.token_bytes(_ID_LENGTH)) or 1)
        name = (key, value.id)
        put = self._puts.get(name)
        if put is None:
            put = self._add(name, _Put(value, self._pusher.addressed(target), client, now))
        else:
            self._resize(put, value)
        self._renew(name, put, target, now)
        return put.value, False

    def next_deadline(self) -> float | None:
        """When `advance` next has work."""
        return self._timers.next_deadline()

    def advance(self, now: float, wall_now: float) -> list[ServerEffect]:
        """End what is over, ask for renewal of what soon will be."""
        effects: list[ServerEffect] = []
        for kind, name in self._timers.due(now):
            if kind == "end":
                effects.append(self._end(name))
            else:
                target = self._puts[name].target
                payload = renewal_payload(name[0], target, name[1])
                effects += self._pusher.push(target, payload, wall_now)
        return effects

    def saved(self, wall_offset: float) -> Iterator[SavedPut]:
        """Yield what is kept, for the state file."""
        for (key, _), put in self._puts.items():
            yield SavedPut(key, put.value, put.target, int(put.expires + wall_offset))

    def restore(
        self, saved: Iterable[SavedPut], now: float, wall_offset: float
    ) -> list[ServerEffect]:
        """Take up what was kept; nobody is known to hold it, so it counts in the total only."""
        effects: list[ServerEffect] = []
        for item in saved:
            name = (item.key, item.value.id)
            expires = remaining(item.wall_expiry, now, wall_offset)
            if expires is None or item.value.id == 0 or name in self._puts:
                continue
            holder = f"restored {len(self._puts)}"
            try:
                put = self._add(name, _Put(item.value, item.target, holder, expires))
            except TooManyOperationsError:
                break
            self._set_timers(name, put)
            effects.append(Announce(item.key, item.value))
        return effects

    def _equal(self, key: InfoHash, value: Value, target: PushTarget) -> _Put | None:
        for value_id in self._ids.get(key, ()):
            put = self._puts[key, value_id]
            holder = (put.target.token, put.target.client_id)
            if holder == (target.token, target.client_id) and put.value.content_equals(value):
                return put
        return None

    def _add(self, name: Name, put: _Put) -> _Put:
        if self.numbers.take(put.client) != "granted":
            raise TooManyOperationsError
        if self.sizes.take(put.client, put.value.size) != "granted":
            self.numbers.give_back(put.client)
            raise TooManyOperationsError
        self._puts[name] = put
        self._ids.setdefault(name[0], {})[name[1]] = None
        return put

    def _resize(self, put: _Put, value: Value) -> None:
        """Let *put* keep *value* from now on."""
        self.sizes.give_back(put.client, put.value.size)
        if self.sizes.take(put.client, value.size) != "granted":
            self.sizes.take(put.client, put.value.size)
            raise TooManyOperationsError
        put.value = value

    def _renew(self, name: Name, put: _Put, target: PushTarget, now: float) -> None:
        if target.session_id:
            put.target = replace(put.target, session_id=target.session_id)
        put.expires = now + OPERATION_LIFE
        self._set_timers(name, put)

    def _set_timers(self, name: Name, put: _Put) -> None:
        self._timers.set(("end", name), put.expires)
        if put.target.token:
            self._timers.set(("notice", name), put.expires - OPERATION_MARGIN)

    def _end(self, name: Name) -> Withdraw:
        put = self._puts.pop(name)
        ids = self._ids[name[0]]
        del ids[name[1]]
        if not ids:
            del self._ids[name[0]]
        self.numbers.give_back(put.client)
        self.sizes.give_back(put.client, put.value.size)
        self._timers.cancel(("notice", name))
        return Withdraw(*name)


def remaining(wall_expiry: int, now: float, wall_offset: float) -> float | None:
    """Return the monotonic end of a saved entry, None if it is over.

    A clock that was set back must not keep entries beyond the life they can have.
    """
    expires = min(wall_expiry - wall_offset, now + OPERATION_LIFE)
    return expires if expires > now else None
