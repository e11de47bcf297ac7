"""Storage maintenance: handing values on to nodes that came closer to their keys.

Off unless asked for, as in the reference (section 3.9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core.deadlines import Alarm
from shoal.dht.side import Side
from shoal.dht.storage import StoredValue
from shoal.dht.table import BUCKET_SIZE

if TYPE_CHECKING:
    from shoal.core import Family, InfoHash
    from shoal.dht.context import Context
    from shoal.dht.keeper import Keeper

INTERVAL: Final = 10 * 60.0  # OpenDHT storage.h: MAX_STORAGE_MAINTENANCE_EXPIRE_TIME
LIFE_LEFT_MIN: Final = 10 * 60.0  # OpenDHT dht.cpp: what dies sooner is not handed on

HandOn: TypeAlias = Callable[[StoredValue, Side, float], None]


class Upkeep:
    """Looks every ten minutes for keys that other nodes are closer to."""

    is_over = False  # it always wants to be woken

    def __init__(
        self,
        context: Context,
        keeper: Keeper,
        sides: dict[Family, Side],
        hand_on: HandOn,
        now: float,
    ) -> None:
        self._context = context
        self._keeper = keeper
        self._sides = sides
        self._hand_on = hand_on
        self._alarm = Alarm(context.wakeups, self)
        if context.config.maintain_storage:
            self._alarm.set(now + INTERVAL)

    def wake(self, now: float) -> None:
        """Hand on what is not ours in some family; stop keeping what is ours in none."""
        if not self._alarm.rings(now):
            return
        connected = [side for side in self._sides.values() if side.table.has_good(now)]
        for key in self._context.storage.key_list() if connected else ():
            number = int.from_bytes(key)
            closer = [
                side
                for side in connected
                if side.table.is_beyond(number, BUCKET_SIZE, BUCKET_SIZE, now)
            ]
            self._pass_on(key, closer, LIFE_LEFT_MIN, now)
            if len(closer) == len(connected):
                self._let_go(key, now)
        self._alarm.set(now + INTERVAL)

    def hand_over(self, now: float) -> None:
        """Announce everything once more: we are leaving."""
        for key in self._context.storage.key_list():
            self._pass_on(key, self._sides.values(), 0.0, now)

    def _pass_on(
        self, key: InfoHash, sides: Iterable[Side], life_left_min: float, now: float
    ) -> None:
        for stored in self._context.storage.entries(key):
            if stored.storer is not None and stored.expires - now > life_left_min:
                for side in sides:
                    self._hand_on(stored, side, now)

    def _let_go(self, key: InfoHash, now: float) -> None:
        for stored in self._context.storage.entries(key):
            if stored.storer is not None:
                self._keeper.remove(key, stored.value.id, now)
