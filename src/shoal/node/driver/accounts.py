"""`Accounts`: the accounts of a node, and the ways in which one comes to be."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import Persist
from shoal.core.driver import SystemEntropy
from shoal.crypto import CryptoError
from shoal.identity import (
    AccountRecord,
    AccountSettings,
    Archive,
    CreationStep,
    PinPlace,
    certify_device,
    find_place,
    is_encrypted,
    list_file,
    open_archive,
    pack_archive,
    pack_contacts,
    parse_pin,
    pin_seeds,
    temporary_keys,
    unpack_archive,
)
from shoal.identity.driver import AccountFolder, make_keys, new_account
from shoal.identity.errors import AccountError, PinNotFoundError
from shoal.node.driver.linking import GuestRuntime, LinkNewDevice
from shoal.node.errors import AccountExistsError, HomeError, UnknownAccountError
from shoal.node.events import AccountAdded, AccountRemoved

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterator

    from shoal.core import AccountId
    from shoal.dht import DhtNode
    from shoal.identity import DeviceCredentials, Progressed
    from shoal.node.driver.account import Account
    from shoal.node.driver.assembly import Assembly
    from shoal.node.driver.linking import AskPassword

_log = logging.getLogger(__name__)

Progress: TypeAlias = "Callable[[str, int, int], None]"

KEY_BITS: Final = 4096  # Jami: what all accounts have
ARCHIVE_FILE_MAX: Final = 32 * 1024 * 1024  # ours: as much as an archive may hold
LOCAL_NAME_BYTES: Final = 8  # Jami: 16 hex digits, with no meaning on the network
SHORTEST_PREFIX: Final = 4  # hex digits by which an account may be named; ours
CONTACTS_FILE: Final = "contacts"


class Accounts:
    """The accounts of one node, by id.

    Attributes:
        damaged: folders of accounts that could not be opened, and why.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._accounts: dict[AccountId, Account] = {}
        self._folders: dict[AccountId, AccountFolder] = {}
        self.damaged: Final[dict[Path, str]] = {}
        self._lock = asyncio.Lock()

    def __iter__(self) -> Iterator[Account]:
        """Iterate over them."""
        return iter(tuple(self._accounts.values()))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._accounts)

    def __getitem__(self, account: AccountId | str) -> Account:
        """Return an account by id, by four or more first digits of it, or by its name.

        Raises:
            UnknownAccountError: there is none, or several fit.
        """
        if not isinstance(account, str):
            found = self._accounts.get(account)
            if found is None:
                raise UnknownAccountError(f"no account {account}")
            return found
        fitting = self._fitting(account.strip())
        if len(fitting) > 1:
            raise UnknownAccountError(f"{len(fitting)} accounts fit {account!r}")
        if not fitting:
            raise UnknownAccountError(f"no account {account!r}")
        return fitting[0]

    async def load(self) -> None:
        """Start the accounts that are on disk; one that is damaged does not keep others away.

        Raises:
            DhtError: no DHT node can be opened.
        """
        for folder in await asyncio.to_thread(self._assembly.folders):
            try:
                await self._open(folder)
            except (AccountError, CryptoError) as error:
                _log.error("! account in %s: %s", folder.path, error)
                self.damaged[folder.path] = str(error)

    async def close(self) -> None:
        """Stop all."""
        accounts = list(self._accounts.values())
        self._accounts.clear()
        await asyncio.gather(*(self._assembly.close(account) for account in accounts))

    async def create(
        self,
        name: str,
        *,
        password: str = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = KEY_BITS,
    ) -> Account:
        """Make a new account and start it.

        Three RSA keys are drawn, which takes seconds; *progress* is told what is being done, how
        many steps are done, and how many there are. *key_bits* is for tests alone: others accept
        no keys of less than 2,048 bits, and Jami makes 4,096.

        Raises:
            AccountFileError: it cannot be written.
        """
        report = _reporter(progress)
        made = await new_account(report, bits=key_bits)
        settings = AccountSettings(alias=name, display_name=name).to_mapping()
        archive = Archive(made.keys, settings=settings)
        packed = await self._assembly.pool.run(partial(pack_archive, archive, password))
        record = AccountRecord(
            made.device.receipt,
            has_password=bool(password),
            device_name=device_name or _this_machine(),
            wall_changed=time.time(),
            settings=settings,
        )
        return await self._adopt(record, made.device, packed, {})

    async def import_archive(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        password: str = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = KEY_BITS,
    ) -> Account:
        """Make this a device of the account whose archive is in a file, or is given as bytes.

        The other arguments are those of `create`.

        Raises:
            ArchivePasswordError: the archive has another password.
            UnreadableArchiveError: it is no archive.
            AccountExistsError: the account is here already.
            HomeError: the file cannot be read.
            AccountFileError: it cannot be written here.
        """
        data = source if isinstance(source, bytes) else await asyncio.to_thread(_read, source)
        archive = await self._assembly.pool.run(partial(unpack_archive, data, password))
        return await self._import(
            archive,
            password if is_encrypted(data) else "",
            device_name,
            progress,
            key_bits,
            wall_backed_up=time.time(),  # a file that it came from is a backup
        )

    async def link_pin(
        self,
        pin: str,
        *,
        password: str = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = KEY_BITS,
    ) -> Account:
        """Make this a device of an account that shows a PIN, as Jami 13.7 and Shoal do.

        The other arguments are those of `create`.

        Raises:
            InvalidPinError: *pin* is none.
            PinNotFoundError: nothing is found under this PIN and this password.
            AccountExistsError: the account is here already.
        """
        pin = parse_pin(pin)
        pool = self._assembly.pool
        places = await asyncio.gather(
            *(pool.run(partial(find_place, pin, password, it)) for it in pin_seeds(time.time()))
        )
        async with self._assembly.guest_dht() as dht:
            archives = await asyncio.gather(*(self._look(dht, place) for place in places))
        archive = next((each for each in archives if each is not None), None)
        if archive is None:
            raise PinNotFoundError
        return await self._import(archive, password, device_name, progress, key_bits)

    @asynccontextmanager
    async def link_new_device(
        self,
        *,
        password: AskPassword = "",
        device_name: str = "",
        progress: Progress | None = None,
        key_bits: int = KEY_BITS,
    ) -> AsyncIterator[LinkNewDevice]:
        """Make this a device of an account whose other device scans what we show.

        The object has the `uri` to show, as text or QR code, and `wait()`, which returns the
        account. *password* is that of the account, or is called for it, once per try, with
        whether the last one was wrong. The other arguments are those of `create`.

        Raises:
            LinkError: what went wrong.
        """
        user_key, device_key = await make_keys(2, bits=key_bits)
        keys = temporary_keys(user_key, device_key, entropy=SystemEntropy(), wall_now=time.time())

        async def adopt(archive: Archive, given: str) -> Account:
            return await self._import(archive, given, device_name, progress, key_bits)

        async with self._assembly.guest_dht() as dht:
            link = LinkNewDevice(
                keys,
                pool=self._assembly.pool,
                password=password,
                adopt=adopt,
                guest=partial(
                    GuestRuntime,
                    store=self._assembly.store,
                    dht=dht,
                    ice=self._assembly.ice,
                    hosts=self._assembly.hosts,
                ),
            )
            try:
                await link.start()
                yield link
            finally:
                await link.close()

    async def remove(self, account: AccountId | str) -> None:
        """Delete an account from this device, its keys too. Other devices keep it.

        Raises:
            UnknownAccountError: there is none.
            AccountFileError: it cannot be deleted.
        """
        found = self[account]
        async with self._lock:
            del self._accounts[found.id]
            await self._assembly.close(found)
            folder = self._folders.pop(found.id)
            await asyncio.to_thread(folder.delete)
        self._assembly.bus.publish(AccountRemoved(found.id))

    # Inside

    def _fitting(self, text: str) -> list[Account]:
        accounts = list(self._accounts.values())
        by_name = [each for each in accounts if each.name == text]
        prefix = text.lower().removeprefix("jami:")
        if len(prefix) < SHORTEST_PREFIX:
            return by_name
        by_id = [each for each in accounts if each.id.hex().startswith(prefix)]
        return by_id or by_name

    async def _look(self, dht: DhtNode, place: PinPlace) -> Archive | None:
        """Return the account that lies at a place, if there is one."""
        async for value in dht.get(place.infohash, raw=True):
            archive = await self._assembly.pool.run(partial(open_archive, value, place))
            if archive is not None:
                return archive
        return None

    async def _import(
        self,
        archive: Archive,
        password: str,
        device_name: str,
        progress: Progress | None,
        key_bits: int,
        *,
        wall_backed_up: float = 0.0,
    ) -> Account:
        """Make this a device of the account of *archive*."""
        if archive.keys.id in self._accounts:
            raise AccountExistsError(f"account {archive.keys.id}")
        report = progress or _silent
        report(CreationStep.DEVICE_KEY.value, 0, 2)
        (key,) = await make_keys(bits=key_bits)
        report(CreationStep.CERTIFICATES.value, 1, 2)
        pool = self._assembly.pool
        device = await pool.run(
            lambda: certify_device(archive.keys, key, entropy=SystemEntropy(), wall_now=time.time())
        )
        packed = await pool.run(partial(pack_archive, archive, password))
        record = AccountRecord(
            device.receipt,
            has_password=bool(password),
            device_name=device_name or _this_machine(),
            wall_backed_up=wall_backed_up,
            settings=archive.settings,
        )
        revocations = archive.keys.revocations
        if revocations is not None:
            kept = Persist(list_file(archive.keys.id, revocations), revocations.der)
            await asyncio.to_thread(self._assembly.shared.apply, kept)
        files = {CONTACTS_FILE: pack_contacts(archive.contacts)} if archive.contacts else {}
        account = await self._adopt(record, device, packed, files)
        report(CreationStep.CERTIFICATES.value, 2, 2)
        return account

    async def _adopt(
        self,
        record: AccountRecord,
        device: DeviceCredentials,
        archive: bytes,
        files: dict[str, bytes],
    ) -> Account:
        """Put a new account on disk, and start it."""
        name = SystemEntropy().token_bytes(LOCAL_NAME_BYTES).hex()
        path = self._assembly.accounts_path / name
        folder = await asyncio.to_thread(
            AccountFolder.create, path, record, device, archive, files, self._assembly.shared
        )
        account = await self._open(folder)
        self._assembly.bus.publish(AccountAdded(account.id))
        return account

    async def _open(self, folder: AccountFolder) -> Account:
        async with self._lock:
            account = await self._assembly.open(folder)
            self._accounts[account.id] = account
            self._folders[account.id] = folder
        await self._assembly.start(account)
        return account


def _reporter(progress: Progress | None) -> Callable[[Progressed], None] | None:
    if progress is None:
        return None
    return lambda step: progress(step.step.value, step.done, step.total)


def _silent(step: str, done: int, total: int) -> None:
    """Tell nobody."""


def _this_machine() -> str:
    return platform.node() or "shoal"


def _read(source: str | os.PathLike[str]) -> bytes:
    """Return an archive file.

    Raises:
        HomeError: it cannot be read.
    """
    try:
        with Path(source).open("rb") as file:
            return file.read(ARCHIVE_FILE_MAX + 1)
    except OSError as error:
        raise HomeError(f"cannot read {source}: {error.strerror}") from error
