"""The account archive: everything that makes an account, in one file that Jami reads too.

JSON, packed in one of two forms:

    no password   gzip(JSON); the oldest files twice
    password      salt 16 | IV 12 | AES-256-GCM(zlib(JSON)) | tag 16
                  key = SHA-256(argon2i(password, salt)), about a second and 64 MiB

| key | value |
| --- | --- |
| `ringCaKey` | base64 of PEM: the authority's private key |
| `ringAccountKey` | base64 of PEM: the account's private key |
| `ringAccountCert` | base64 of PEM: certificates of account and authority |
| `ethKey` | base64 of 32 bytes |
| `ringAccountCRL` | base64 of DER; absent while nothing is revoked |
| `ringAccountContacts` | account id to contact |
| `conversations`, `conversationsRequests` | id to record, kept as they are |
| others | settings, as text; anything else is kept as it is |

Files of 13.7 may hold the private key of the device that wrote them, under `TLS.privateKeyFile`;
it is not taken over, and never written.

Source: Jami archiver.cpp, account_archive.cpp, fileutils.cpp; reference sections 2.1 and 2.2.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from dataclasses import field, replace
from typing import TYPE_CHECKING, Final, cast

from shoal.core import AccountId, DecodeError
from shoal.core.records import dataclass
from shoal.crypto import (
    Certificate,
    CryptoError,
    DecryptError,
    Identity,
    PrivateKey,
    RevocationList,
    aes_encrypt,
    decrypt_with_password,
    encrypt_with_password,
    stretch,
)
from shoal.crypto.password import SALT_LENGTH
from shoal.crypto.sealing import aes_decrypt_any
from shoal.crypto.secp256k1 import is_chain_key
from shoal.identity.account import AccountKeys
from shoal.identity.contact import Contact
from shoal.identity.errors import ArchivePasswordError, UnreadableArchiveError
from shoal.identity.settings import DEVICE_SETTINGS
from shoal.identity.wire.contacts import CONTACTS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHIVE_SIZE_MAX: Final = 32 * 1024 * 1024  # ours: both packed and unpacked; 20,000 contacts are 5
_GZIP: Final = b"\x1f\x8b"  # RFC 1952 section 2.3.1
_GZIP_BITS: Final = 31  # zlib manual, inflateInit2: window of 15 bits, gzip
_KEY_LENGTH: Final = 32
_IDENTITY: Final = ("ringCaKey", "ringAccountKey", "ringAccountCert", "ethKey", "ringAccountCRL")
_CONTACTS: Final = "ringAccountContacts"


@dataclass(frozen=True, slots=True)
class Archive:
    """An account as it is exported.

    Attributes:
        keys: its secrets.
        contacts: its contact book.
        settings: settings under Jami's names; see `AccountSettings`.
        others: what else was in the file, as JSON; conversations are here.
    """

    keys: AccountKeys
    contacts: Mapping[AccountId, Contact] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    others: Mapping[str, object] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """Return the text that is packed; it holds the account's private keys."""
        fields: dict[str, object] = {
            **{name: it for name, it in self.others.items() if name not in _RESERVED},
            **{name: it for name, it in self.settings.items() if name not in _RESERVED},
        }
        keys = self.keys
        if keys.authority_key is not None:
            fields["ringCaKey"] = _encode(keys.authority_key.export().encode())
        fields["ringAccountKey"] = _encode(keys.account.private_key.export().encode())
        fields["ringAccountCert"] = _encode(keys.account.certificate.to_pem().encode())
        fields["ethKey"] = _encode(keys.chain_key)
        if keys.revocations is not None:
            fields["ringAccountCRL"] = _encode(keys.revocations.der)
        if self.contacts:
            fields[_CONTACTS] = {str(it): each.to_json() for it, each in self.contacts.items()}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Archive:
        """Read the unpacked text.

        Raises:
            UnreadableArchiveError: it is no archive, or its keys do not belong together.
        """
        fields = _parse(text)
        try:
            keys = _read_keys(fields)
        except (CryptoError, DecodeError) as error:
            raise UnreadableArchiveError(f"the keys in the archive: {error}") from error
        rest = {name: it for name, it in fields.items() if name not in _RESERVED}
        settings = {name: it for name, it in rest.items() if isinstance(it, str)}
        others = {name: it for name, it in rest.items() if not isinstance(it, str)}
        return cls(keys, _read_contacts(fields.get(_CONTACTS, {})), settings, others)


_RESERVED: Final = frozenset((*_IDENTITY, _CONTACTS, *DEVICE_SETTINGS))


def is_encrypted(data: bytes) -> bool:
    """Say whether the file *data* asks for a password."""
    return not data.startswith(_GZIP)


def pack_archive(archive: Archive, password: str = "") -> bytes:
    """Return the file: sealed with a new salt if there is a *password*, a second of work then."""
    text = archive.to_json().encode()
    if not password:
        return gzip.compress(text, mtime=0)
    return encrypt_with_password(zlib.compress(text), password)


def unpack_archive(data: bytes, password: str = "") -> Archive:
    """Read the file; with a *password* a second of work.

    A password for a file that has none is not used.

    Raises:
        ArchivePasswordError: the password is missing or wrong.
        UnreadableArchiveError: it is no archive.
    """
    return Archive.from_json(unpack_text(data, password))


def unpack_text(data: bytes, password: str = "") -> bytes:
    """Return the JSON in the file; see `unpack_archive`."""
    _check_size(len(data))
    if not is_encrypted(data):
        try:
            return _gunzip(data)
        except UnreadableArchiveError:
            if not password:
                raise
            # One salt in 65,536 looks like the beginning of a gzip file.
    if not password:
        raise ArchivePasswordError("the archive is encrypted; give its password")
    try:
        return _inflate(decrypt_with_password(data, password))
    except DecryptError as error:
        raise ArchivePasswordError("wrong password for the archive") from error


def archive_key(data: bytes, password: str) -> bytes:
    """Return the 32 bytes that open the file *data*, for a vault that keeps them. A second of work.

    Source: Jami of 2024, the archive scheme "key".
    """
    return stretch(password, data[:SALT_LENGTH], _KEY_LENGTH)


def pack_with_key(archive: Archive, key: bytes, salt: bytes) -> bytes:
    """Return the file as `pack_archive` seals it, with the *key* that belongs to *salt*."""
    return salt + aes_encrypt(zlib.compress(archive.to_json().encode()), key)


def unpack_with_key(data: bytes, key: bytes) -> Archive:
    """Read the file with what `archive_key` returned.

    Raises:
        ArchivePasswordError: the key is another one.
        UnreadableArchiveError: it is no archive.
    """
    _check_size(len(data))
    try:
        text = _inflate(aes_decrypt_any(data[SALT_LENGTH:], key))
    except CryptoError as error:
        raise ArchivePasswordError("wrong key for the archive") from error
    return Archive.from_json(text)


def change_password(data: bytes, old: str, new: str) -> bytes:
    """Return the file under another password, or none: its text is not touched.

    Other copies of it, exported or on other devices, keep the *old* one. Two seconds of work.

    Raises:
        ArchivePasswordError: the old password is missing or wrong.
        UnreadableArchiveError: it is no archive.
    """
    text = unpack_text(data, old)
    if not new:
        return gzip.compress(text, mtime=0)
    return encrypt_with_password(zlib.compress(text), new)


def refresh(
    archive: Archive,
    *,
    keys: AccountKeys | None = None,
    contacts: Mapping[AccountId, Contact] | None = None,
    settings: Mapping[str, str] | None = None,
    others: Mapping[str, object] | None = None,
) -> Archive:
    """Return *archive* with what has changed since it was written; settings are added to it."""
    return replace(
        archive,
        keys=keys or archive.keys,
        contacts=archive.contacts if contacts is None else dict(contacts),
        settings={**archive.settings, **(settings or {})},
        others={**archive.others, **(others or {})},
    )


def _read_keys(fields: Mapping[str, object]) -> AccountKeys:
    """Return the secrets, once they are seen to belong together."""
    missing = [it for it in ("ringAccountKey", "ringAccountCert") if it not in fields]
    if missing:
        raise UnreadableArchiveError(f"the archive lacks {' and '.join(missing)}")
    account = Identity(
        PrivateKey.load(_decode(fields, "ringAccountKey")),
        Certificate.parse(_decode(fields, "ringAccountCert")),
    )
    authority = _decode(fields, "ringCaKey")
    chain_key = _decode(fields, "ethKey")
    if not is_chain_key(chain_key):
        raise UnreadableArchiveError("the archive's ethKey is no key")
    revocations = _decode(fields, "ringAccountCRL")
    return AccountKeys(
        PrivateKey.load(authority) if authority else None,
        account,
        chain_key,
        RevocationList.parse(revocations) if revocations else None,
    )


def _read_contacts(item: object) -> dict[AccountId, Contact]:
    """Return the contact book in an archive."""
    if not isinstance(item, dict) or len(item) > CONTACTS_MAX:
        raise UnreadableArchiveError(f"not an object of at most {CONTACTS_MAX} contacts")
    try:
        return {AccountId.from_hex(it): Contact.from_map(each) for it, each in item.items()}
    except DecodeError as error:
        raise UnreadableArchiveError(f"a contact in the archive: {error}") from error


def _parse(text: str | bytes) -> dict[str, object]:
    """Return the JSON object that *text* is."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableArchiveError("the archive is not JSON") from error
    if not isinstance(fields, dict):
        raise UnreadableArchiveError("the archive is not a JSON object")
    return cast("dict[str, object]", fields)


def _gunzip(data: bytes) -> bytes:
    """Return the content of a gzip file, and of one within it."""
    text = _inflate(data, _GZIP_BITS)
    return _inflate(text, _GZIP_BITS) if text.startswith(_GZIP) else text


def _inflate(data: bytes, bits: int = zlib.MAX_WBITS) -> bytes:
    """Return decompressed *data*, of a bounded size."""
    decompressor = zlib.decompressobj(bits)
    try:
        text = decompressor.decompress(data, ARCHIVE_SIZE_MAX + 1)
    except zlib.error as error:
        raise UnreadableArchiveError("the archive cannot be decompressed") from error
    _check_size(len(text))
    if not decompressor.eof:
        raise UnreadableArchiveError("the archive is cut off")
    return text


def _check_size(size: int) -> None:
    if size > ARCHIVE_SIZE_MAX:
        raise UnreadableArchiveError(f"an archive of more than {ARCHIVE_SIZE_MAX} bytes")


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(fields: Mapping[str, object], name: str) -> bytes:
    """Return the bytes of a field in base64; nothing if it is absent."""
    text = fields.get(name, "")
    if not isinstance(text, str):
        raise UnreadableArchiveError(f"{name} is no text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableArchiveError(f"{name} is not base64") from error
