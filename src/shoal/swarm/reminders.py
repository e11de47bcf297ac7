"""News that nobody listened to: told again, and asked for once we know better.

13.7 forgets a notice that comes while it fetches the same conversation, and does not ask on its
own; and who cannot be reached at once may be a moment later. So a device that was told of a head
and does not fetch it is told again, a few times. What is told on a `msg:` channel surely comes, but
Jami of 2026 does not repeat a fetch that failed: there it is told again later, and in small groups
only, since who has it from elsewhere does not say so. The other way round, somebody may tell us of
news before we have heard that they are a member; and of two commits that 13.7 makes within moments
it may tell us the first alone, because it replaces a notice that is just being sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from shoal.core import AccountId, CommitId, DeviceId

FIRST_WAIT: Final = 3.0  # seconds; 13.7 takes one to two for a fetch
CHANNEL_WAIT: Final = 15.0  # seconds, ours: after a notice that surely came
WAIT_FACTOR: Final = 3
TIMES_MAX: Final = 5  # ours: who has it from elsewhere does not say so
ASK_WAIT: Final = 3.0  # seconds, ours: after which what was not told is asked for
DEVICES_MAX: Final = 64  # ours: in one conversation
EARLY_TIME: Final = 600.0  # seconds, ours: that somebody joined is here within moments, mostly


@dataclass(slots=True)
class _Reminder:
    account: AccountId
    head: CommitId
    wait: float
    due: float | None
    times: int = 0


class Reminders:
    """Which devices of a conversation are to be told again, and when."""

    def __init__(self) -> None:
        self._pending: dict[DeviceId, _Reminder] = {}

    def told(
        self,
        account: AccountId,
        device: DeviceId,
        head: CommitId,
        now: float,
        *,
        wait: float = FIRST_WAIT,
    ) -> None:
        """A device was told of *head*; unless it fetches that it is due after *wait* seconds."""
        known = self._pending.get(device)
        if known is not None and known.head == head:
            return
        if known is None and len(self._pending) >= DEVICES_MAX:
            silent = next((each for each, its in self._pending.items() if its.due is None), None)
            if silent is None:
                return
            del self._pending[silent]
        self._pending[device] = _Reminder(account, head, wait, now + wait)

    def fetched(self, device: DeviceId, head: CommitId) -> None:
        """A device has *head*."""
        known = self._pending.get(device)
        if known is not None and known.head == head:
            del self._pending[device]

    def forget(self, device: DeviceId) -> None:
        """A device is to be told nothing any more."""
        self._pending.pop(device, None)

    def next_deadline(self) -> float | None:
        """When a device is to be told again."""
        moments = [each.due for each in self._pending.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    def due(self, now: float) -> list[tuple[AccountId, DeviceId]]:
        """Return whom to tell again now."""
        found: list[tuple[AccountId, DeviceId]] = []
        for device, reminder in self._pending.items():
            if reminder.due is None or reminder.due > now:
                continue
            found.append((reminder.account, device))
            reminder.times += 1
            is_last = reminder.times >= TIMES_MAX
            reminder.due = None if is_last else now + reminder.wait * WAIT_FACTOR**reminder.times
        return found


class Untold:
    """Devices that gave us something, to be asked once more whether that was all."""

    def __init__(self) -> None:
        self._due: dict[DeviceId, tuple[AccountId, float]] = {}

    def gave(self, account: AccountId, device: DeviceId, now: float) -> None:
        """A device gave us something new."""
        if device in self._due or len(self._due) < DEVICES_MAX:
            self._due[device] = (account, now + ASK_WAIT)

    def next_deadline(self) -> float | None:
        """When a device is to be asked."""
        return min((moment for _, moment in self._due.values()), default=None)

    def due(self, now: float) -> list[tuple[AccountId, DeviceId]]:
        """Return, and forget, whom to ask now."""
        found = [(who, device) for device, (who, moment) in self._due.items() if moment <= now]
        for _, device in found:
            del self._due[device]
        return found


class EarlyNews:
    """Devices that told us of news while we did not know that they are a member's.

    For a while only: strangers are not to take the place of others for ever, and who is a member
    tells of news again.
    """

    def __init__(self) -> None:
        self._devices: dict[DeviceId, tuple[AccountId, float]] = {}  # the oldest first

    def add(self, account: AccountId, device: DeviceId, now: float) -> bool:
        """Remember a device; say whether it is a new one."""
        while self._devices:
            oldest = next(iter(self._devices))
            if self._devices[oldest][1] + EARLY_TIME > now:
                break
            del self._devices[oldest]
        if device in self._devices or len(self._devices) >= DEVICES_MAX:
            return False
        self._devices[device] = (account, now)
        return True

    def take(self, members: frozenset[AccountId]) -> list[tuple[AccountId, DeviceId]]:
        """Return, and forget, the devices of those who are members now."""
        found = [
            (account, device)
            for device, (account, _) in self._devices.items()
            if account in members
        ]
        for _, device in found:
            del self._devices[device]
        return found
