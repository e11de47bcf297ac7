"""Certificates that lie in trees, each read once."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId, DecodeError, DeviceId
from shoal.core.records import dataclass
from shoal.crypto import Certificate, CryptoError
from shoal.swarm import roles
from shoal.swarm.store import ObjectKind

if TYPE_CHECKING:
    from shoal.swarm.store import GitStore
    from shoal.swarm.trees import FlatTree

CERTIFICATE_FILE_MAX: Final = 65_536  # bytes; ours: an account with a long chain of CAs
CACHED_MAX: Final = 2_048  # ours: certificates of the members of a large group
SHARED_MAX: Final = 64  # ours: files that several conversations have, ourselves in each of them


@dataclass(frozen=True, slots=True)
class Author:
    """A device of a member, as a tree proves it."""

    account: AccountId
    certificate: Certificate


@lru_cache(SHARED_MAX)
def _parse(content: bytes) -> Certificate:
    return Certificate.parse(content)


class CertificateReader:
    """Reads certificate files, and remembers the latest ones by the id of their blob."""

    def __init__(self, store: GitStore) -> None:
        self._store = store
        self._cache: OrderedDict[bytes, Certificate] = OrderedDict()
        self._owners: OrderedDict[bytes, AccountId] = OrderedDict()
        self._bonds: OrderedDict[tuple[bytes, bytes], bool] = OrderedDict()

    def read(self, tree: FlatTree, path: str) -> Certificate:
        """Return the certificate in a file, with the issuers that the file holds.

        Raises:
            DecodeError: there is no such file, or no certificate in it.
            ObjectMissingError: its blob is not in the store.
        """
        blob = tree.get(path)
        if blob is None:
            raise DecodeError(f"there is no {path}")
        found = self._cache.get(blob)
        if found is not None:
            self._cache.move_to_end(blob)
            return found
        kind, content = self._store.read(blob)
        if kind is not ObjectKind.BLOB or len(content) > CERTIFICATE_FILE_MAX:
            raise DecodeError(f"{path} is no certificate file")
        try:
            found = _parse(content)
        except CryptoError as error:
            raise DecodeError(f"{path}: {error}") from error
        self._cache[blob] = found
        if len(self._cache) > CACHED_MAX:
            self._cache.popitem(last=False)
        return found

    def author(self, tree: FlatTree, device: DeviceId) -> Author:
        """Return whose device this is, proved by the certificates in *tree*.

        Raises:
            DecodeError: the device or its account is not in the tree, or does not prove itself.
        """
        path = roles.device_path(device)
        certificate = self.read(tree, path)
        if certificate.long_id != device:
            raise DecodeError(f"{path} is the certificate of another device")
        account = self._owner_of(tree[path], certificate)
        for account_path in (roles.admin_path(account), roles.member_path(account)):
            if account_path in tree:
                break
        else:
            raise DecodeError(f"{account} is not a member")
        owner = self.read(tree, account_path)
        if owner.id != account:
            raise DecodeError(f"{account_path} is the certificate of another account")
        if not self._is_signed_by(tree[path], certificate, tree[account_path], owner):
            raise DecodeError(f"{path} was not issued by {account}")
        return Author(account, certificate)

    def owner(self, certificate: Certificate) -> AccountId:
        """Return the account that a device certificate names as its issuer, unproved.

        Raises:
            DecodeError: it names none.
        """
        return AccountId.from_hex(certificate.issuer_uid)

    def _owner_of(self, blob: bytes, certificate: Certificate) -> AccountId:
        """Look for the owner once per blob."""
        found = self._owners.get(blob)
        if found is None:
            found = self._owners[blob] = self.owner(certificate)
            if len(self._owners) > CACHED_MAX:
                self._owners.popitem(last=False)
        return found

    def _is_signed_by(
        self, device: bytes, certificate: Certificate, account: bytes, owner: Certificate
    ) -> bool:
        """Check a link once per pair of blobs."""
        bond = (device, account)
        known = self._bonds.get(bond)
        if known is None:
            known = self._bonds[bond] = certificate.is_signed_by(owner.public_key)
            if len(self._bonds) > CACHED_MAX:
                self._bonds.popitem(last=False)
        return known
