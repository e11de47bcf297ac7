"""Records: which account has which name, and what proves it.

The proof is the account's signature over the name. Whoever knows the record can check, without
trusting the server or the chain that it came from, that the holder of the account's key wanted this
name. What it does not prove is that nobody else wanted it too: a server can hide a record, or give
an older one of another account that signed the same name.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Final

from shoal.core import AccountId
from shoal.core.records import dataclass
from shoal.crypto import CryptoError, InvalidKeyError, KeyKind, PublicKey, UnsupportedKeyError
from shoal.names.errors import InvalidNameError, WrongKeyError, WrongSignatureError
from shoal.names.rules import canonical_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.chain import ChainAddress

SIGNATURE_SIZE_MAX: Final = 1024  # bytes; shoal.crypto: RSA keys of at most 8,192 bits
RSA_BITS_MIN: Final = 2048  # ours: below it a signature proves little; Jami makes 4,096


@dataclass(frozen=True, slots=True)
class NameRecord:
    """One name.

    Attributes:
        name: in lower case.
        account: whose it is.
        public_key: the account's key, DER SubjectPublicKeyInfo; empty if unknown.
        signature: of the name by that key; empty if unknown.
        owner: who owns the record on the chain; None where the server did not say.
    """

    name: str
    account: AccountId
    public_key: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)
    owner: ChainAddress | None = None

    @property
    def is_signed(self) -> bool:
        """Whether there is something to check."""
        return bool(self.public_key and self.signature)

    def check(self) -> None:
        """Check that the account's key signed the name.

        Raises:
            WrongKeyError: the key is none, is too weak, or belongs to another account.
            WrongSignatureError: it did not sign this name.
        """
        key = read_key(self.public_key)
        if key.id != self.account:
            raise WrongKeyError(f"the key of {self.name} belongs to {key.id}, not {self.account}")
        if not key.verify(self.name.encode(), self.signature):
            raise WrongSignatureError(f"{self.account} did not sign the name {self.name}")

    def with_owner(self, owner: ChainAddress | None) -> NameRecord:
        """Return this record as owned by *owner*."""
        return replace(self, owner=owner)


def read_key(spki: bytes) -> PublicKey:
    """Return an account's public key from DER or PEM.

    Raises:
        WrongKeyError: it is none, or too weak.
    """
    try:
        key = PublicKey.load(spki.rstrip(b"\0"))  # Jami 13.7 sends the C string with its end
    except (InvalidKeyError, UnsupportedKeyError) as error:
        raise WrongKeyError(str(error)) from error
    if key.kind is not KeyKind.RSA or key.bits < RSA_BITS_MIN:
        raise WrongKeyError(f"accounts have RSA keys of {RSA_BITS_MIN} bits and more, not {key!r}")
    return key


def sign_name(name: str, public_key: PublicKey, sign: Callable[[bytes], bytes]) -> NameRecord:
    """Return the record by which an account claims *name*, without an owner.

    Args:
        name: in any case.
        public_key: the account's.
        sign: makes an RSA PKCS #1 v1.5 signature with SHA-512, as `PrivateKey.sign` does.

    Raises:
        InvalidNameError: *name* breaks the rules.
        WrongKeyError, WrongSignatureError: what came out does not verify.

    Source: Jami contact and account code signs the lower-case name, UTF-8.
    """
    name = canonical_name(name)
    record = NameRecord(name, AccountId(public_key.id), public_key.spki, sign(name.encode()))
    record.check()
    return record


def is_valid(record: NameRecord) -> bool:
    """Tell whether the record proves itself, rules on names included."""
    try:
        if canonical_name(record.name) != record.name:
            return False
        record.check()
    except (InvalidNameError, WrongKeyError, WrongSignatureError, CryptoError):
        return False
    return True
