"""The devices of one's own account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core import Persist
from shoal.crypto import revoke
from shoal.identity import devices as module
from shoal.identity.chain import check_device
from shoal.identity.devices import KnownDevices
from shoal.identity.effects import (
    DeviceAdded,
    DeviceChanged,
    DeviceRemoved,
    FindDevice,
    SyncDevices,
)
from shoal.identity.errors import RevocationError
from shoal.identity.revocations import Revocations
from shoal.identity.wire.devices import KnownDevice, pack_devices, unpack_devices
from shoal.identity.wire.sync import SyncedDevice
from tests.unit.identity.samples import SHORT, WALL, account, chain, device_id, second_device

OWN, PHONE = chain("alice", "laptop"), chain("alice", "phone")


def known(**more: object) -> KnownDevices:
    """Return what Alice's laptop knows at first: itself."""
    return KnownDevices(OWN, Revocations(), name="laptop", **more)  # type: ignore[arg-type]


def test_a_device_that_was_announced() -> None:
    """Saved, reported, told to the others; once."""
    devices = known()

    effects = devices.chain_found(PHONE)

    saved = {OWN.device: KnownDevice("laptop"), PHONE.device: KnownDevice()}
    assert effects == [
        Persist("knownDevices", pack_devices(saved)),
        DeviceAdded(PHONE.device),
        SyncDevices(),
    ]
    assert devices.chain_found(PHONE) == []
    assert devices.chain(PHONE.device) == PHONE
    assert devices.chain_found(OWN) == []


def test_a_device_that_another_one_told_of() -> None:
    """Its chain is looked for; then it has the name that was told."""
    devices = known()
    told = {PHONE.device: SyncedDevice("phone", PHONE.short_id), OWN.device: SyncedDevice("mine")}

    assert devices.merge(told) == [FindDevice(PHONE.device, PHONE.short_id)]
    assert devices.devices == {OWN.device: KnownDevice("laptop")}, "we name ourselves"
    devices.chain_found(PHONE)

    assert devices.devices[PHONE.device].name == "phone"
    renamed = devices.merge({PHONE.device: SyncedDevice("pocket")})
    assert renamed[1:] == [DeviceChanged(PHONE.device)]
    assert devices.devices[PHONE.device].name == "pocket"
    assert devices.merge({PHONE.device: SyncedDevice("")}) == []


def test_strangers_are_no_devices_of_ours() -> None:
    """Whatever they say; who stands above our account does not matter, though."""
    devices = known()

    assert devices.chain_found(chain("bob")) == []
    assert devices.stats.strange == 1
    assert devices.is_own(replace(PHONE, authority=SHORT))


def test_what_others_are_told() -> None:
    """Names and short ids; the latter as far as they are known."""
    devices = known(devices={device_id(7): KnownDevice("old", 5)})
    devices.chain_found(PHONE)

    assert devices.start() == [FindDevice(device_id(7), None)]
    assert devices.state() == {
        device_id(7): SyncedDevice("old"),
        OWN.device: SyncedDevice("laptop", OWN.short_id),
        PHONE.device: SyncedDevice("", PHONE.short_id),
    }


def test_renaming_and_syncing() -> None:
    """Both are remembered."""
    devices = known()
    assert devices.rename("laptop") == []
    effects = devices.rename("desk" * 100)
    assert effects[1:] == [DeviceChanged(OWN.device), SyncDevices()]
    assert len(devices.devices[OWN.device].name) == 256

    devices.chain_found(PHONE)
    (saved,) = devices.synced(PHONE.device, WALL)
    assert isinstance(saved, Persist)
    assert unpack_devices(saved.data)[PHONE.device].synced_ms == WALL * 1000
    assert devices.synced(device_id(1), WALL) == []


def test_only_others_that_are_known_may_be_revoked() -> None:
    """And whose certificate is at hand."""
    devices = known(devices={device_id(7): KnownDevice()}, chains=[PHONE])
    devices.chain_found(PHONE)

    assert devices.check_revocable(PHONE.device) == PHONE
    for device in (OWN.device, device_id(1), device_id(7)):
        with pytest.raises(RevocationError):
            devices.check_revocable(device)


def test_a_revoked_device_is_dropped_at_once_and_does_not_come_back() -> None:
    """When the list is applied; also when the list was applied while we were off."""
    alice = account("alice")
    own = check_device(alice.device.identity.certificate, WALL)
    lost = check_device(second_device("alice").identity.certificate, WALL)
    revocations = Revocations()
    devices = KnownDevices(own, revocations)
    devices.chain_found(lost)
    assert devices.revoked() == []

    certificate = second_device("alice").identity.certificate
    lists = revoke([certificate], alice.keys.account, number=1, wall_now=WALL)
    revocations.apply(lists, alice.keys.account.certificate)

    assert devices.revoked()[1:] == [DeviceRemoved(lost.device), SyncDevices()]
    assert list(devices.devices) == [own.device]
    assert devices.chain_found(lost) == []
    assert not devices.is_own(lost)
    later = KnownDevices(own, revocations, {lost.device: KnownDevice("lost")}, [lost])
    assert DeviceRemoved(lost.device) in later.start()


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many devices, and so many that are looked for."""
    monkeypatch.setattr(module, "DEVICES_MAX", 2)
    devices = known()
    found = devices.merge({device_id(n): SyncedDevice() for n in range(5)})
    devices.chain_found(PHONE)

    assert len(found) == 2
    assert devices.chain_found(chain("alice", "third")) == []
    assert devices.stats.over_limit == 1
