"""The devices of one's own account: seen, told of by others, named, and taken back.

A device becomes known when its chain was checked: after its announcement, or because another
device told of it. Each names itself; names travel in the sync between devices.

Source: Jami contact_list.cpp, foundAccountDevice and knownDevices; reference section 2.5.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shoal.core import Persist
from shoal.core.records import dataclass
from shoal.identity.contact import SECOND
from shoal.identity.effects import (
    DeviceAdded,
    DeviceChanged,
    DeviceRemoved,
    DevicesEffect,
    FindDevice,
    SyncDevices,
)
from shoal.identity.errors import RevocationError
from shoal.identity.wire.devices import DEVICES_MAX, NAME_LENGTH_MAX, KnownDevice, pack_devices
from shoal.identity.wire.sync import SyncedDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shoal.core import DeviceId
    from shoal.identity.chain import DeviceChain
    from shoal.identity.revocations import Revocations

DEVICES_FILE: Final = "knownDevices"


@dataclass(slots=True)
class DevicesStats:
    """Counters of devices.

    Attributes:
        strange: chains of other accounts' devices, or of revoked ones.
        over_limit: devices beyond 256, not taken.
    """

    strange: int = 0
    over_limit: int = 0


class KnownDevices:
    """What one device of an account knows of all of them, itself included."""

    def __init__(
        self,
        own: DeviceChain,
        revocations: Revocations,
        devices: Mapping[DeviceId, KnownDevice] | None = None,
        chains: Iterable[DeviceChain] = (),
        *,
        name: str = "",
    ) -> None:
        """Begin with what is on disk: the *devices* and the *chains* of those that are stored.

        *name* is what this device is called, where the file does not say.
        """
        self.stats = DevicesStats()
        self._own = own
        self._revocations = revocations
        self._devices = dict(devices or {})
        self._devices.setdefault(own.device, KnownDevice(name[:NAME_LENGTH_MAX]))
        self._chains = {each.device: each for each in chains if each.device in self._devices}
        self._chains[own.device] = own
        self._told: dict[DeviceId, SyncedDevice] = {}  # by others; their chains are looked for

    @property
    def devices(self) -> Mapping[DeviceId, KnownDevice]:
        """All that are known, revoked ones not."""
        return self._devices

    def chain(self, device: DeviceId) -> DeviceChain | None:
        """Return the chain of a known device, where it is at hand."""
        return self._chains.get(device)

    def is_own(self, chain: DeviceChain) -> bool:
        """Say whether *chain*, which was checked, is of this account, and not revoked."""
        return chain.account == self._own.account and not self._revocations.is_chain_revoked(chain)

    def start(self) -> list[DevicesEffect]:
        """Look for the chains of known devices that are not at hand, and drop revoked ones."""
        missing = [each for each in self._devices if each not in self._chains]
        return [*self.revoked(), *(FindDevice(each, None) for each in missing)]

    def chain_found(self, chain: DeviceChain) -> list[DevicesEffect]:
        """Take the checked chain of a device that was announced, or that another one told of."""
        if not self.is_own(chain):
            self.stats.strange += 1
            return []
        told = self._told.pop(chain.device, SyncedDevice())
        if chain.device in self._devices:
            self._chains[chain.device] = chain
            return []
        if len(self._devices) >= DEVICES_MAX:
            self.stats.over_limit += 1
            return []
        self._chains[chain.device] = chain
        self._devices[chain.device] = KnownDevice(told.name)
        return [self._persist(), DeviceAdded(chain.device), SyncDevices()]

    def merge(self, told: Mapping[DeviceId, SyncedDevice]) -> list[DevicesEffect]:
        """Take what another device of ours says of all of them."""
        effects: list[DevicesEffect] = []
        for device, entry in told.items():
            known = self._devices.get(device)
            if known is None:
                if len(self._told) < DEVICES_MAX:
                    self._told[device] = entry
                    effects.append(FindDevice(device, entry.short_id))
            elif device != self._own.device and entry.name and entry.name != known.name:
                self._devices[device] = replace(known, name=entry.name)
                effects.append(DeviceChanged(device))
        if any(isinstance(each, DeviceChanged) for each in effects):
            effects.insert(0, self._persist())
        return effects

    def rename(self, name: str) -> list[DevicesEffect]:
        """Call this very device *name*; others learn it in the next sync."""
        name = name[:NAME_LENGTH_MAX]
        own = self._devices[self._own.device]
        if own.name == name:
            return []
        self._devices[self._own.device] = replace(own, name=name)
        return [self._persist(), DeviceChanged(self._own.device), SyncDevices()]

    def synced(self, device: DeviceId, wall_now: float) -> list[DevicesEffect]:
        """Take note that the state was exchanged with *device*."""
        known = self._devices.get(device)
        if known is None:
            return []
        self._devices[device] = replace(known, synced_ms=int(wall_now * SECOND))
        return [self._persist()]

    def check_revocable(self, device: DeviceId) -> DeviceChain:
        """Return the chain of a device that may be revoked: known, and not this very one.

        Raises:
            RevocationError: it may not.
        """
        if device == self._own.device:
            raise RevocationError("a device does not revoke itself; do it on another one")
        if device not in self._devices:
            raise RevocationError(f"there is no device {device} in this account")
        chain = self._chains.get(device)
        if chain is None:
            raise RevocationError(f"the certificate of {device} was not found yet; try later")
        return chain

    def revoked(self) -> list[DevicesEffect]:
        """Drop the devices that are revoked by now; call it when a list was applied."""
        gone = [
            device
            for device, chain in self._chains.items()
            if device != self._own.device and self._revocations.is_chain_revoked(chain)
        ]
        for device in gone:
            del self._chains[device]
            self._devices.pop(device, None)
        if not gone:
            return []
        return [self._persist(), *(DeviceRemoved(each) for each in gone), SyncDevices()]

    def state(self) -> dict[DeviceId, SyncedDevice]:
        """Return what others are told, with the short ids that 13.7 needs."""
        return {
            device: SyncedDevice(known.name, self._chains[device].short_id)
            if device in self._chains
            else SyncedDevice(known.name)
            for device, known in self._devices.items()
        }

    def _persist(self) -> Persist:
        return Persist(DEVICES_FILE, pack_devices(self._devices))
