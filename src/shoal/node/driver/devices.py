"""`Devices`: the devices of one account, and how more come to it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from shoal.core.driver import SystemEntropy
from shoal.core.records import dataclass
from shoal.crypto import Certificate
from shoal.identity import (
    PIN_LIFE,
    LinkAddress,
    draw_pin,
    find_place,
    pin_seed,
    refresh,
    seal_archive,
)
from shoal.net.errors import ConnectError
from shoal.node.driver.ids import device_of
from shoal.node.driver.linking import link_old_device
from shoal.node.errors import DeviceNotFoundError, OwnDeviceError, UnknownDeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import DeviceId, InfoHash
    from shoal.identity import Archive, ConnectChannel
    from shoal.net.driver import Channel
    from shoal.node.driver.account import Account
    from shoal.node.driver.linking import Confirm

_SECOND_MS: Final = 1000  # the list of devices counts in milliseconds
CHAIN_WAITS: Final = (6.0, 12.0)  # seconds before a new device is looked for again; ours


@dataclass(frozen=True, slots=True)
class Device:
    """A device of an account of ours.

    Attributes:
        id: the long id.
        short_id: SHA-1 of its key; None where its chain was not found yet.
        name: as its owner named it, or "".
        is_this: the device that asks.
        is_announced: it said lately that it is online.
        is_connected: there is a connection with it.
        wall_synced: when it was last in touch, seconds since 1970, or None.
    """

    id: DeviceId
    short_id: InfoHash | None
    name: str
    is_this: bool
    is_announced: bool
    is_connected: bool
    wall_synced: float | None


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN under which a new device can fetch the account, for ten minutes.

    Attributes:
        text: 8 characters, to be typed on the new device.
        seconds: how long it lives from now on.
    """

    text: str
    seconds: float


class Devices:
    """The devices of one account. A device is named by `DeviceId`, or by its 64 hex digits."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._runtime = account.runtime
        self._engine = account.runtime.engine

    def __iter__(self) -> Iterator[Device]:
        """Iterate over the devices, this one first."""
        return iter(self.list())

    def list(self) -> tuple[Device, ...]:
        """Return the devices, this one first."""
        devices = [self._device(each) for each in self._engine.devices.devices]
        return tuple(sorted(devices, key=lambda each: not each.is_this))

    def get(self, device: DeviceId | str) -> Device:
        """Return one of them.

        Raises:
            UnknownDeviceError: the account has no such device.
        """
        name = device_of(device)
        if name not in self._engine.devices.devices:
            raise UnknownDeviceError(f"no device {name} in this account")
        return self._device(name)

    async def rename(self, name: str) -> None:
        """Give this device another name, and tell the others.

        Raises:
            AccountFileError: it cannot be written.
        """
        await self._account.vault.rename_device(name)
        self._runtime.command(lambda now: self._engine.rename_device(name, now))
        await self._runtime.drained()

    async def revoke(self, device: DeviceId | str, *, password: str = "") -> None:
        """Revoke a device: nobody accepts it any more. There is no way back.

        Raises:
            UnknownDeviceError: the account has no such device.
            OwnDeviceError: it is this one.
            RevocationError: its certificate was not found yet.
            ArchivePasswordError: the password is not that of the archive.
            AccountKeyError: this device does not have the archive.
        """
        found = self.get(device)
        if found.is_this:
            raise OwnDeviceError("a device does not revoke itself; do it on another one")
        certificate = self._engine.devices.check_revocable(found.id).certificate
        assert isinstance(certificate, Certificate), "simulations have no driver"
        contacts = dict(self._engine.book.contacts)
        revocations = await self._account.vault.revoke(certificate, password, contacts)
        self._runtime.command(lambda now: self._engine.revoke(revocations, now))
        await self._runtime.drained()

    async def export_pin(self, *, password: str = "") -> Pin:
        """Put the account into the DHT for ten minutes, under a PIN, for Jami 13.7 or Shoal.

        Raises:
            ArchivePasswordError: the password is not that of the archive.
            AccountKeyError: this device does not have the archive.
            ArchiveTooLargeError: the account does not fit; export it to a file.
            StoredOnlyHereError: no other node took it.
        """
        archive = await self._current(password)
        pin = draw_pin(SystemEntropy())
        pool = self._account.pool
        place = await pool.run(partial(find_place, pin, password, pin_seed(time.time())))
        value = await pool.run(partial(seal_archive, archive, place))
        await self._account.dht.put(place.infohash, value)
        return Pin(pin.lower(), PIN_LIFE)

    async def add(
        self,
        uri: str,
        *,
        confirm: Confirm | None = None,
    ) -> None:
        """Hand the account to a new device that shows *uri*, `jami-auth://…`, and return then.

        *confirm* is asked, with the address that the new device connected from, before anything
        is sent. The new device's user types the password of the archive, and it is checked here.

        Raises:
            InvalidLinkAddressError: *uri* is no such address.
            AccountKeyError: this device does not have the archive.
            LinkError: what went wrong.
        """
        address = LinkAddress.parse(uri)
        vault = self._account.vault
        data = vault.file()
        current: Archive | None = None
        if not vault.record.has_password:
            current = await self._current("")

        async def connect(order: ConnectChannel) -> Channel:
            for wait in CHAIN_WAITS:
                try:
                    return await self._account.connect(order.device, order.name)
                except ConnectError as error:
                    if not isinstance(error.cause, DeviceNotFoundError):
                        raise
                await asyncio.sleep(wait)  # it was made just now: its chain may be on its way
            return await self._account.connect(order.device, order.name)

        await link_old_device(
            address, data, current, pool=self._account.pool, confirm=confirm, connect=connect
        )

    async def _current(self, password: str) -> Archive:
        """Return the archive with the contacts and settings of now."""
        vault = self._account.vault
        archive = await vault.open(password)
        contacts = dict(self._engine.book.contacts)
        return refresh(archive, contacts=contacts, settings=vault.record.settings)

    def _device(self, device: DeviceId) -> Device:
        known = self._engine.devices.devices[device]
        chain = self._engine.devices.chain(device)
        account = self._engine.account
        announced = {each.device for each in self._engine.presences.announced(account)}
        return Device(
            device,
            None if chain is None else chain.short_id,
            known.name,
            device == self._engine.own.chain.device,
            device in announced,
            device in self._engine.presences.connected(account),
            known.synced_ms / _SECOND_MS or None,
        )
