"""The five things that protocols do with keys, as an interface, and the real ones behind it.

Engines that are handed a `Suite` run in simulations of thousands of nodes on keys that cost nothing
(`shoal.crypto.testing.SeededSuite`) and in production on real ones, without knowing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shoal.crypto import keys
from shoal.crypto.certificates import Certificate

if TYPE_CHECKING:
    from shoal.core import InfoHash, PublicKeyId
    from shoal.crypto.keys import KeyKind


class SuitePublicKey(Protocol):
    """What engines see of a public key."""

    @property
    def spki(self) -> bytes:
        """The key as others know it."""
        ...

    @property
    def kind(self) -> KeyKind:
        """What it can do."""
        ...

    @property
    def id(self) -> InfoHash:
        """SHA-1 of `spki`."""
        ...

    @property
    def long_id(self) -> PublicKeyId:
        """SHA-256 of `spki`."""
        ...

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Say whether *signature* over *data* is by the private key."""
        ...

    def encrypt(self, data: bytes) -> bytes:
        """Seal *data* for the private key."""
        ...


class SuitePrivateKey(Protocol):
    """What engines see of a private key."""

    @property
    def public_key(self) -> SuitePublicKey:
        """What others see of it."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data*."""
        ...

    def decrypt(self, sealed: bytes) -> bytes:
        """Open what was sealed with the public key; raises DecryptError."""
        ...


class SuiteCertificate(Protocol):
    """What engines see of a certificate."""

    @property
    def public_key(self) -> SuitePublicKey:
        """The key that it is for."""
        ...

    @property
    def id(self) -> InfoHash:
        """The key's short id."""
        ...

    @property
    def long_id(self) -> PublicKeyId:
        """The key's long id."""
        ...

    def to_pem(self) -> str:
        """Return the chain as text, as it is published."""
        ...


class SuiteIdentity(Protocol):
    """A private key and its certificate."""

    @property
    def private_key(self) -> SuitePrivateKey:
        """The key."""
        ...

    @property
    def certificate(self) -> SuiteCertificate:
        """The certificate."""
        ...


class Suite(Protocol):
    """Cryptography by the names that engines use. All of it is pure: safe in a pool of threads."""

    def verify(self, spki: bytes, data: bytes, signature: bytes) -> bool:
        """Say whether *signature* over *data* is by the key of *spki*; no if that is no key."""
        ...

    def encrypt(self, spki: bytes, data: bytes) -> bytes:
        """Seal *data* for the holder of the key of *spki*.

        Raises:
            InvalidKeyError: *spki* is no key.
            UnsupportedKeyError: the key cannot encrypt.
        """
        ...

    def sign(self, key: SuitePrivateKey, data: bytes) -> bytes:
        """Return the signature of *data*.

        Raises:
            UnsupportedKeyError: the key cannot sign values.
        """
        ...

    def decrypt(self, key: SuitePrivateKey, sealed: bytes) -> bytes:
        """Open what was sealed for *key*.

        Raises:
            DecryptError: sealed for another key, or damaged.
        """
        ...

    def parse_certificate(self, data: bytes) -> SuiteCertificate:
        """Read a certificate and its chain.

        Raises:
            InvalidCertificateError: *data* is none.
            UnsupportedKeyError: its key is of a kind that we do not use.
        """
        ...


class RealSuite:
    """RSA and X.509, as OpenDHT's nodes do it."""

    def verify(self, spki: bytes, data: bytes, signature: bytes) -> bool:
        """PKCS #1 v1.5 with SHA-512."""
        return keys.verify(spki, data, signature)

    def encrypt(self, spki: bytes, data: bytes) -> bytes:
        """RSA, and AES-GCM where the text is long."""
        return keys.PublicKey.from_spki(spki).encrypt(data)

    def sign(self, key: SuitePrivateKey, data: bytes) -> bytes:
        """PKCS #1 v1.5 with SHA-512."""
        return key.sign(data)

    def decrypt(self, key: SuitePrivateKey, sealed: bytes) -> bytes:
        """RSA, and AES-GCM where the text is long."""
        return key.decrypt(sealed)

    def parse_certificate(self, data: bytes) -> Certificate:
        """PEM or DER."""
        return Certificate.parse(data)
