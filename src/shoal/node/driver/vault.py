"""The account's archive and record on this device: what takes its password."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from shoal.core.driver import SystemEntropy
from shoal.identity import (
    AccountSettings,
    Archive,
    change_password,
    pack_archive,
    refresh,
    revoke_device,
    unpack_archive,
)
from shoal.identity.errors import AccountKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.core import AccountId
    from shoal.crypto import Certificate, RevocationList
    from shoal.identity import AccountRecord, Contact
    from shoal.identity.driver import AccountFolder
    from shoal.node.driver.tasks import WorkerPool


class Vault:
    """What of an account is behind its password, and what it remembers beside.

    Everything here blocks for a second or two: argon2, RSA; so it runs in the pool.
    """

    def __init__(self, folder: AccountFolder, record: AccountRecord, pool: WorkerPool) -> None:
        self.folder = folder
        self._record = record
        self._pool = pool

    @property
    def record(self) -> AccountRecord:
        """The account's entry."""
        return self._record

    @property
    def settings(self) -> AccountSettings:
        """What the entry says of the account, in Shoal's words."""
        return AccountSettings.from_mapping(self._record.settings)

    def file(self) -> bytes:
        """Return the packed archive.

        Raises:
            AccountKeyError: this device does not have it.
        """
        data = self.folder.archive()
        if data is None:
            raise AccountKeyError("this device does not hold the account's archive")
        return data

    async def open(self, password: str) -> Archive:
        """Return the archive.

        Raises:
            AccountKeyError: this device does not have it.
            ArchivePasswordError: it has another password.
        """
        data = self.file()
        return await self._pool.run(partial(unpack_archive, data, password))

    async def export(self, password: str | None, contacts: Mapping[AccountId, Contact]) -> bytes:
        """Return the packed archive with current contacts and settings; as it is without password.

        Raises:
            AccountKeyError: this device does not have it.
            ArchivePasswordError: it has another password.
        """
        if password is None and self._record.has_password:
            return self.file()
        archive = await self.open(password or "")
        fresh = refresh(archive, contacts=contacts, settings=self._record.settings)
        return await self._pool.run(partial(pack_archive, fresh, password or ""))

    async def backed_up(self) -> None:
        """Remember that there is a backup.

        Raises:
            AccountFileError: it cannot be written.
        """
        await self._save(self._record.backed_up(time.time()))

    async def change_password(self, old: str, new: str) -> None:
        """Put the archive under another password, or none.

        Raises:
            AccountKeyError: this device does not have it.
            ArchivePasswordError: it has another password.
        """
        data = self.file()
        changed = await self._pool.run(partial(change_password, data, old, new))
        await self._pool.run(partial(self.folder.save_archive, changed))
        record = replace(self._record, has_password=bool(new))
        await self._save(record.changed(time.time()))

    async def revoke(
        self, device: Certificate, password: str, contacts: Mapping[AccountId, Contact]
    ) -> RevocationList:
        """Return a list that revokes *device* too; the archive has it from now on.

        Raises:
            AccountKeyError: this device does not have the archive.
            ArchivePasswordError: it has another password.
            RevocationError: it is revoked already, or of another account.
        """
        archive = await self.open(password)

        def work() -> tuple[bytes, RevocationList]:
            keys = revoke_device(
                archive.keys, device, entropy=SystemEntropy(), wall_now=time.time()
            )
            assert keys.revocations is not None, "it was just made"
            fresh = refresh(archive, keys=keys, contacts=contacts, settings=self._record.settings)
            return pack_archive(fresh, password), keys.revocations

        data, revocations = await self._pool.run(work)
        await self._pool.run(partial(self.folder.save_archive, data))
        await self._save(self._record.changed(time.time()))
        return revocations

    async def rename(self, name: str) -> None:
        """Change the display name.

        Raises:
            AccountFileError: it cannot be written.
        """
        settings = replace(self.settings, display_name=name, alias=name)
        record = replace(self._record, settings=settings.to_mapping())
        await self._save(record.changed(time.time()))

    async def use_names(
        self, *, registered_name: str | None = None, name_server: str | None = None
    ) -> None:
        """Remember the account's name, or its name server; None leaves what there is.

        A name can be asked for again, so no backup becomes old by it.

        Raises:
            AccountFileError: it cannot be written.
        """
        settings, record = self.settings, self._record
        if registered_name is not None:
            settings = replace(settings, registered_name=registered_name)
        if name_server is not None:
            settings = replace(settings, name_server=name_server)
            record = record.changed(time.time())
        await self._save(replace(record, settings=settings.to_mapping()))

    async def rename_device(self, name: str) -> None:
        """Change what this device is called.

        Raises:
            AccountFileError: it cannot be written.
        """
        await self._save(replace(self._record, device_name=name))

    async def _save(self, record: AccountRecord) -> None:
        await self._pool.run(partial(self.folder.save_record, record))
        self._record = record
