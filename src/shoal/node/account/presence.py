"""Who is online: the announcements at the keys of accounts that we care about.

A device's announcement is a value at its account's key, signed by the account. That it is there
says that the device was online within ten minutes; that it expires is the only good-bye. After a
restart a device has two for a while, so devices are counted, not values.

What announcements cannot say comes from connections: that there is one, or that the last attempt
to make one failed though the device is announced.

Source: Jami account_manager.cpp, trackPresence; reference section 3.3.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError, InfoHash
from shoal.core.records import dataclass
from shoal.identity import read_announcement
from shoal.node.account.chains import DeviceName
from shoal.node.account.effects import (
    AnnouncedDevice,
    DeviceAppeared,
    DeviceLeft,
    DevicesFound,
    DhtCancel,
    DhtGet,
    DhtListen,
    RevocationsSeen,
)
from shoal.node.errors import TooMuchAskedError
from shoal.node.events import Presence, PresenceChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import DeviceId
    from shoal.dht import Value
    from shoal.node.account.operations import Operations

DEVICES_MAX: Final = 256  # ours: devices of one account that are followed; further ones are not
VALUES_MAX: Final = 1024  # ours: announcements of one account that are followed
WATCHED_MAX: Final = 65_536  # ours: accounts; each costs a listen in the DHT
LOOKUPS_MAX: Final = 1024  # ours: accounts asked about at once
UNREACHABLE_TIME: Final = 600.0  # seconds; as long as an announcement speaks for a device
REVOCATIONS_PER_ACCOUNT: Final = 32  # ours: candidates looked at until the next appearance
REVOCATIONS_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE


@dataclass(slots=True, eq=False)
class _Device:
    """A device that is announced, by these values."""

    announced: AnnouncedDevice
    values: set[int] = field(default_factory=set)
    failed_at: float | None = None


@dataclass(slots=True, eq=False)
class _Watch:
    """An account that is followed."""

    account: AccountId
    op: int
    devices: dict[InfoHash, _Device] = field(default_factory=dict)
    connected: dict[DeviceId, None] = field(default_factory=dict)
    presence: Presence = Presence.OFFLINE
    shown: tuple[DeviceId, ...] = ()
    revocations_seen: int = 0


@dataclass(slots=True, eq=False)
class _Lookup:
    """Somebody asks which devices of an account are online now."""

    account: AccountId
    asker: int
    devices: dict[InfoHash, AnnouncedDevice] = field(default_factory=dict)
    revocations_seen: int = 0


class Presences:
    """Follows accounts; says when devices of theirs come and go."""

    def __init__(self, operations: Operations, own: AccountId) -> None:
        """Follow nobody yet; events about *own* devices name this account, too."""
        self._operations = operations
        self._own = own
        self._watches: dict[AccountId, _Watch] = {}
        self._by_op: dict[int, _Watch] = {}
        self._lookups: dict[int, _Lookup] = {}
        self._doubts: dict[InfoHash, tuple[float, AccountId]] = {}  # oldest failure first

    def __len__(self) -> int:
        return len(self._watches)

    def watch(self, account: AccountId) -> list[object]:
        """Follow *account*; beyond 65,536 accounts, further ones are not followed."""
        if account in self._watches or len(self._watches) >= WATCHED_MAX:
            return []
        op = self._operations.begin(self)
        self._watches[account] = self._by_op[op] = _Watch(account, op)
        return [DhtListen(op, InfoHash(account))]

    def unwatch(self, account: AccountId) -> list[object]:
        """Follow *account* no longer."""
        watch = self._watches.pop(account, None)
        if watch is None:
            return []
        del self._by_op[watch.op]
        self._operations.end(watch.op)
        return [DhtCancel(watch.op)]

    def presence(self, account: AccountId) -> Presence:
        """Return what is known about *account*."""
        watch = self._watches.get(account)
        return Presence.OFFLINE if watch is None else watch.presence

    def announced(self, account: AccountId) -> tuple[AnnouncedDevice, ...]:
        """Return the devices of *account* that are announced."""
        watch = self._watches.get(account)
        return () if watch is None else tuple(each.announced for each in watch.devices.values())

    def connected(self, account: AccountId) -> tuple[DeviceId, ...]:
        """Return the devices of *account* that we have a connection with."""
        watch = self._watches.get(account)
        return () if watch is None else tuple(watch.connected)

    def name_of(self, device: DeviceId) -> DeviceName | None:
        """Return all that is known of the names of a device that is announced."""
        for watch in self._watches.values():
            for short_id, each in watch.devices.items():
                if each.announced.device == device:
                    return DeviceName(device, short_id, watch.account)
        return None

    def find_devices(self, asker: int, account: AccountId) -> list[object]:
        """Ask the DHT which devices of *account* are announced; `DevicesFound` follows.

        Raises:
            TooMuchAskedError: as many as allowed are being asked about.
        """
        if len(self._lookups) >= LOOKUPS_MAX:
            raise TooMuchAskedError
        op = self._operations.begin(self)
        self._lookups[op] = _Lookup(account, asker)
        return [DhtGet(op, InfoHash(account))]

    def connection_opened(self, account: AccountId, device: DeviceId, now: float) -> list[object]:
        """Take note of a connection."""
        watch = self._watches.get(account)
        if watch is None:
            return []
        watch.connected[device] = None
        for each in watch.devices.values():
            if each.announced.device == device:
                each.failed_at = None
        return self._judge(watch)

    def connection_closed(self, account: AccountId, device: DeviceId, now: float) -> list[object]:
        """Take note that the last connection with a device is gone."""
        watch = self._watches.get(account)
        if watch is None:
            return []
        watch.connected.pop(device, None)
        return self._judge(watch)

    def connection_failed(self, account: AccountId, device: DeviceId, now: float) -> list[object]:
        """Take note that a device could not be reached though it is announced."""
        watch = self._watches.get(account)
        if watch is None:
            return []
        for short_id, each in watch.devices.items():
            if each.announced.device == device:
                each.failed_at = now
                self._doubts.pop(short_id, None)
                self._doubts[short_id] = (now, account)
        return self._judge(watch)

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take announcements, and whatever else lies at an account's key."""
        lookup = self._lookups.get(op)
        if lookup is not None:
            return self._looked_up(lookup, values)
        watch = self._by_op.get(op)
        if watch is None:
            return []
        effects: list[object] = []
        for value in values:
            effects += self._found(watch, value)
        return effects + self._judge(watch)

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take announcements that are gone."""
        watch = self._by_op.get(op)
        if watch is None:
            return []
        effects: list[object] = []
        for value in values:
            device = _announced(value, watch.account)
            known = None if device is None else watch.devices.get(device.short_id)
            if known is None:
                continue
            known.values.discard(value.id)
            if not known.values:
                del watch.devices[known.announced.short_id]
                effects.append(DeviceLeft(watch.account, known.announced))
        return effects + self._judge(watch)

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Answer who asked."""
        lookup = self._lookups.pop(op, None)
        if lookup is None:
            return []
        return [DevicesFound(lookup.asker, tuple(lookup.devices.values()))]

    def next_deadline(self) -> float | None:
        """When the oldest failure is forgotten."""
        for failed_at, _ in self._doubts.values():
            return failed_at + UNREACHABLE_TIME
        return None

    def advance(self, now: float) -> list[object]:
        """Forget old failures: the device may be reachable again."""
        effects: list[object] = []
        while self._doubts:
            short_id = next(iter(self._doubts))
            failed_at, account = self._doubts[short_id]
            if failed_at + UNREACHABLE_TIME > now:
                break
            del self._doubts[short_id]
            watch = self._watches.get(account)
            device = None if watch is None else watch.devices.get(short_id)
            if watch is not None and device is not None and device.failed_at == failed_at:
                device.failed_at = None
                effects += self._judge(watch)
        return effects

    def _looked_up(self, lookup: _Lookup, values: Sequence[Value]) -> list[object]:
        effects: list[object] = []
        for value in values:
            device = _announced(value, lookup.account)
            if device is not None and len(lookup.devices) < DEVICES_MAX:
                lookup.devices[device.short_id] = device
            elif value.owner is None and lookup.revocations_seen < REVOCATIONS_PER_ACCOUNT:
                lookup.revocations_seen += 1
                effects.append(RevocationsSeen(lookup.account, value.data))
        return effects

    def _found(self, watch: _Watch, value: Value) -> list[object]:
        if value.owner is None:
            if not value.data or watch.revocations_seen >= REVOCATIONS_PER_ACCOUNT:
                return []
            watch.revocations_seen += 1
            return [RevocationsSeen(watch.account, value.data)]
        announced = _announced(value, watch.account)
        if announced is None:
            return []
        device = watch.devices.get(announced.short_id) or _Device(announced)
        if announced.short_id not in watch.devices and len(watch.devices) >= DEVICES_MAX:
            return []
        if value.id in device.values or len(device.values) >= VALUES_MAX:
            return []
        watch.devices[announced.short_id] = device
        device.values.add(value.id)
        device.failed_at = None
        watch.revocations_seen = 0
        return [DeviceAppeared(watch.account, device.announced)]

    def _judge(self, watch: _Watch) -> list[object]:
        """Say what a user would see, where that has changed."""
        if watch.connected:
            presence = Presence.CONNECTED
        elif not watch.devices:
            presence = Presence.OFFLINE
        elif all(each.failed_at is not None for each in watch.devices.values()):
            presence = Presence.UNREACHABLE
        else:
            presence = Presence.ANNOUNCED
        announced = [each.announced.device for each in watch.devices.values()]
        devices = tuple(device for device in announced if device is not None)
        if (presence, devices) == (watch.presence, watch.shown):
            return []
        watch.presence, watch.shown = presence, devices
        return [PresenceChanged(self._own, watch.account, presence, devices)]


def _announced(value: Value, account: AccountId) -> AnnouncedDevice | None:
    """Return the device that *value* announces; its signature was verified by the DHT's layer."""
    try:
        announcement = read_announcement(value, account, verify=_was_verified)
    except DecodeError:
        return None
    return AnnouncedDevice(announcement.short_id, announcement.device, announcement.spki)


def _was_verified(spki: bytes, data: bytes, signature: bytes) -> bool:
    return True
