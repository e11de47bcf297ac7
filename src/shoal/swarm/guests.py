"""Channels on which devices fetch from us: who has how many, and who has to go when all are taken.

A channel costs nothing until something is asked, but one device is not to keep the others out: each
has a few, each account some more, and when all are taken the account with the most gives one up.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import AccountId, DeviceId
    from shoal.swarm.serving import ServeEngine

GUESTS_MAX: Final = 64  # ours: channels of one conversation
PER_ACCOUNT_MAX: Final = 16  # ours
PER_DEVICE_MAX: Final = 4  # ours: 13.7 opens one per fetch and keeps it


@dataclass(slots=True)
class Guest:
    """One channel on which a device fetches."""

    engine: ServeEngine
    account: AccountId
    device: DeviceId


class Guests:
    """The channels of one conversation, those heard from last at the end."""

    def __init__(self) -> None:
        self._guests: dict[int, Guest] = {}

    def __contains__(self, channel: int) -> bool:
        return channel in self._guests

    def __len__(self) -> int:
        return len(self._guests)

    def admit(self, channel: int, guest: Guest) -> list[int]:
        """Take a channel; return those that have to be closed for it."""
        own = [number for number, each in self._guests.items() if each.device == guest.device]
        account = [number for number, each in self._guests.items() if each.account == guest.account]
        gone: list[int] = []
        if len(own) >= PER_DEVICE_MAX:
            gone = own[:1]
        elif len(account) >= PER_ACCOUNT_MAX:
            gone = account[:1]
        elif len(self._guests) >= GUESTS_MAX:
            counts = Counter(each.account for each in self._guests.values())
            largest = max(counts, key=lambda each: counts[each])
            gone = [next(n for n, each in self._guests.items() if each.account == largest)]
        for number in gone:
            del self._guests[number]
        self._guests[channel] = guest
        return gone

    def heard(self, channel: int) -> Guest | None:
        """Return who is on a channel, and note that it is alive."""
        guest = self._guests.pop(channel, None)
        if guest is not None:
            self._guests[channel] = guest
        return guest

    def drop(self, channel: int) -> bool:
        """Forget a channel; return whether it was there."""
        return self._guests.pop(channel, None) is not None

    def expel(self, may_stay: Callable[[AccountId], bool]) -> list[int]:
        """Forget those of accounts that may not stay; return their channels."""
        gone = [number for number, each in self._guests.items() if not may_stay(each.account)]
        for number in gone:
            del self._guests[number]
        return gone

    def clear(self) -> list[int]:
        """Forget all; return their channels."""
        gone, self._guests = list(self._guests), {}
        return gone
