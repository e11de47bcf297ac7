"""One account on disk, in Jami's formats where Jami has one.

| file | content |
| --- | --- |
| `account.json` | ours: receipt, settings; see `shoal.identity.record` |
| `archive.gz` | the account's secrets; may be missing: then the device runs, and no more |
| `ring_device.crt`, `ring_device.key` | chain and private key of this device |
| `contacts`, `incomingTrustRequests`, `knownDevices`, `treatedMessages` | see `wire` |
| `requests/ACCOUNT` | the vCard that was sent along with our request |

Everything is for the owner alone. A folder appears with all its files or not at all.

Source: Jami's account folder, reference section 1.8.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError, Persist
from shoal.core.records import dataclass
from shoal.crypto import CryptoError, Identity
from shoal.identity.account import DeviceCredentials
from shoal.identity.archive import ARCHIVE_SIZE_MAX
from shoal.identity.contact_book import CONTACTS_FILE, PAYLOADS_FOLDER, BookState
from shoal.identity.devices import DEVICES_FILE
from shoal.identity.driver.files import (
    delete_file,
    delete_folder,
    read_file,
    resolve,
    sweep,
    write_file,
    write_folder,
)
from shoal.identity.driver.shared import SHARED
from shoal.identity.errors import AccountFileError
from shoal.identity.receipt import CheckedReceipt, check_receipt
from shoal.identity.record import RECORD_SIZE_MAX, AccountRecord
from shoal.identity.trust_request import PAYLOAD_SIZE_MAX
from shoal.identity.waiting import REQUESTS_FILE
from shoal.identity.wire.contacts import FILE_SIZE_MAX, unpack_contacts, unpack_requests
from shoal.identity.wire.devices import KnownDevice, unpack_devices
from shoal.identity.wire.treated import TreatedIds, unpack_treated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeVar

    from shoal.core import DeviceId
    from shoal.identity.driver.shared import SharedFiles
    from shoal.identity.effects import Forget

    T = TypeVar("T")

RECORD_FILE: Final = "account.json"
ARCHIVE_FILE: Final = "archive.gz"
CERTIFICATE_FILE: Final = "ring_device.crt"
KEY_FILE: Final = "ring_device.key"
TREATED_FILE: Final = "treatedMessages"
_PEM_SIZE_MAX: Final = 262_144  # ours: forty times a chain
_TREATED_SIZE_MAX: Final = 17 * 1024 * 1024  # ours: a million lines


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account as it was read from disk, and checked.

    Attributes:
        record: receipt and settings.
        device: this device's key and chain.
        receipt: what the receipt says, with the announcement to put.
        book: contacts and requests.
        devices: the devices of the account.
        treated: ids of requests that were acted upon.
    """

    record: AccountRecord
    device: DeviceCredentials
    receipt: CheckedReceipt
    book: BookState = field(repr=False)
    devices: Mapping[DeviceId, KnownDevice] = field(repr=False)
    treated: TreatedIds = field(repr=False)

    @property
    def account(self) -> AccountId:
        """The account's id."""
        return self.receipt.account


class AccountFolder:
    """The files of one account. Methods block: an fsync takes milliseconds, on a bad day more."""

    def __init__(self, path: Path, shared: SharedFiles | None = None) -> None:
        """Take the folder at *path*; what all accounts share goes to *shared*."""
        self.path: Final = path
        self._shared = shared

    @classmethod
    def create(
        cls,
        path: Path,
        record: AccountRecord,
        device: DeviceCredentials,
        archive: bytes | None,
        files: Mapping[str, bytes] | None = None,
        shared: SharedFiles | None = None,
    ) -> AccountFolder:
        """Put a new account at *path*: with all its files, or it is not there.

        Args:
            path: where; nothing is there yet.
            record: its entry; the receipt in it is that of *device*.
            device: this device's key and chain.
            archive: the packed archive, where this device is to have it.
            files: further files by name, such as contacts of an import.
            shared: where certificates and lists go.

        Raises:
            AccountFileError: it cannot be written, or is there already.
        """
        contents = {
            RECORD_FILE: replace(record, receipt=device.receipt).pack(),
            CERTIFICATE_FILE: device.identity.certificate.to_pem().encode(),
            KEY_FILE: device.identity.private_key.export().encode(),
            **(files or {}),
        }
        if archive is not None:
            contents[ARCHIVE_FILE] = archive
        write_folder(path, contents)
        return cls(path, shared)

    def load(self) -> StoredAccount:
        """Read all files, and check that device, chain and receipt belong together.

        Raises:
            AccountFileError: a file is missing, cannot be read, or is not what it should be.
            ReceiptError: the receipt does not hold; import the account's archive again.
        """
        sweep(self.path)
        sweep(self.path / PAYLOADS_FOLDER)
        record = self._read(RECORD_FILE, AccountRecord.unpack, RECORD_SIZE_MAX)
        certificate = self._need(CERTIFICATE_FILE, _PEM_SIZE_MAX)
        key = self._need(KEY_FILE, _PEM_SIZE_MAX)
        try:
            identity = Identity.parse(key, certificate, is_proven=True)
        except CryptoError as error:
            raise AccountFileError(f"{self.path}: the device's key or chain: {error}") from error
        receipt = check_receipt(record.receipt, identity.certificate)
        return StoredAccount(
            record,
            DeviceCredentials(identity, record.receipt),
            receipt,
            self._book(),
            self._read(DEVICES_FILE, unpack_devices, FILE_SIZE_MAX, {}),
            TreatedIds(self._read(TREATED_FILE, unpack_treated, _TREATED_SIZE_MAX, [])),
        )

    def apply(self, effect: Persist | Forget) -> None:
        """Write or delete a file; when this returns, it is done for good.

        Raises:
            AccountFileError: it cannot be done.
        """
        if self._shared is not None and effect.name.startswith(SHARED):
            self._shared.apply(effect)
            return
        path = resolve(self.path, effect.name)
        if isinstance(effect, Persist):
            write_file(path, effect.data)
        else:
            delete_file(path)

    def save_record(self, record: AccountRecord) -> None:
        """Write the account's entry.

        Raises:
            AccountFileError: it cannot be written.
        """
        write_file(self.path / RECORD_FILE, record.pack())

    def save_device(self, device: DeviceCredentials, record: AccountRecord) -> None:
        """Write a renewed chain of the same key, with its receipt.

        Raises:
            AccountFileError: it cannot be written.
        """
        write_file(self.path / CERTIFICATE_FILE, device.identity.certificate.to_pem().encode())
        self.save_record(replace(record, receipt=device.receipt))

    def archive(self) -> bytes | None:
        """Return the packed archive; None on a device that does not have it.

        Raises:
            AccountFileError: it cannot be read.
        """
        return read_file(self.path / ARCHIVE_FILE, ARCHIVE_SIZE_MAX)

    def save_archive(self, data: bytes) -> None:
        """Write the packed archive.

        Raises:
            AccountFileError: it cannot be written; the old one is still there.
        """
        write_file(self.path / ARCHIVE_FILE, data)

    def delete(self) -> None:
        """Delete the account from this device: without a backup elsewhere it is gone.

        Raises:
            AccountFileError: it cannot be deleted.
        """
        delete_folder(self.path)

    def _book(self) -> BookState:
        """Return contacts and requests."""
        payloads: dict[AccountId, bytes] = {}
        for path in sorted((self.path / PAYLOADS_FOLDER).glob("*")):
            try:
                account = AccountId.from_hex(path.name)
            except DecodeError:
                continue  # not ours
            payloads[account] = read_file(path, PAYLOAD_SIZE_MAX) or b""
        return BookState(
            self._read(CONTACTS_FILE, unpack_contacts, FILE_SIZE_MAX, {}),
            self._read(REQUESTS_FILE, unpack_requests, FILE_SIZE_MAX, {}),
            payloads,
        )

    def _read(
        self, name: str, unpack: Callable[[bytes], T], size_max: int, default: T | None = None
    ) -> T:
        """Return what *unpack* makes of a file; *default* if there is none."""
        data = read_file(self.path / name, size_max)
        if data is None:
            if default is None:
                raise AccountFileError(f"{self.path / name} is missing")
            return default
        try:
            return unpack(data)
        except DecodeError as error:
            raise AccountFileError(f"{self.path / name} is damaged: {error}") from error

    def _need(self, name: str, size_max: int) -> bytes:
        """Return a file that has to be there."""
        data = read_file(self.path / name, size_max)
        if data is None:
            raise AccountFileError(f"{self.path / name} is missing")
        return data


def list_accounts(root: Path, shared: SharedFiles | None = None) -> list[AccountFolder]:
    """Return the accounts below *root*, in the order of their names."""
    sweep(root)
    return [AccountFolder(path.parent, shared) for path in sorted(root.glob(f"*/{RECORD_FILE}"))]
