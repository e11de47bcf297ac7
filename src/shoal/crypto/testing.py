"""Keys for simulations: deterministic, a few microseconds per operation, and NOT SECURE.

Everything follows from the public key, so anybody can sign as anybody and open everything. What
stays true is what protocols rely on: only a matching key verifies or opens, damage is noticed, and
sizes are those of RSA-2048, so simulated packets have the sizes of real ones.

    key          "shoal simulated!" 16 | hash of seed and name 32 | zeros, 294 in all
    signature    256 bytes
    sealed       zeros 256 | IV 12 | ciphertext | tag 16
    certificate  PEM around: key 294 | name; then that of its issuer, if there is one
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, InfoHash, PublicKeyId
from shoal.core.records import dataclass
from shoal.crypto import pem
from shoal.crypto.errors import DecryptError, InvalidCertificateError, InvalidKeyError
from shoal.crypto.keys import KeyKind

if TYPE_CHECKING:
    from shoal.crypto.suite import SuitePrivateKey

_MARK: Final = b"shoal simulated!"
_SPKI_LENGTH: Final = 294  # bytes of the SPKI of an RSA-2048 key
_BLOCK_LENGTH: Final = 256  # bytes of an RSA-2048 signature or block
_IV_LENGTH: Final = 12
_TAG_LENGTH: Final = 16
_CHAIN_LENGTH_MAX: Final = 3  # device, account, authority


@dataclass(frozen=True, slots=True)
class SeededPublicKey:
    """Stands for an RSA-2048 public key. Not secure."""

    spki: bytes
    id: InfoHash = field(init=False)
    long_id: PublicKeyId = field(init=False)
    kind: KeyKind = field(init=False, default=KeyKind.RSA)

    def __post_init__(self) -> None:
        if len(self.spki) != _SPKI_LENGTH or not self.spki.startswith(_MARK):
            raise InvalidKeyError("not a simulated key")
        object.__setattr__(self, "id", InfoHash.of(self.spki))
        object.__setattr__(self, "long_id", PublicKeyId(hashlib.sha256(self.spki).digest()))

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Compare with what the key would have signed."""
        return hmac.compare_digest(signature, _sign(self.spki, data))

    def encrypt(self, data: bytes) -> bytes:
        """Mask *data* with a stream that follows from the key and the data."""
        iv = hashlib.blake2b(data, key=self.spki[:64], digest_size=_IV_LENGTH).digest()
        return bytes(_BLOCK_LENGTH) + iv + _mask(self.spki, iv, data) + _tag(self.spki, iv, data)


@dataclass(frozen=True, slots=True)
class SeededPrivateKey:
    """Stands for an RSA-2048 private key. Not secure: it holds nothing but the public one."""

    public_key: SeededPublicKey

    def sign(self, data: bytes) -> bytes:
        """Return 256 bytes that follow from the key and *data*."""
        return _sign(self.public_key.spki, data)

    def decrypt(self, sealed: bytes) -> bytes:
        """Open what `SeededPublicKey.encrypt` masked.

        Raises:
            DecryptError: for another key, or damaged.
        """
        iv, masked = sealed[_BLOCK_LENGTH:][:_IV_LENGTH], sealed[_BLOCK_LENGTH + _IV_LENGTH :]
        masked, tag = masked[:-_TAG_LENGTH], masked[-_TAG_LENGTH:]
        data = _mask(self.public_key.spki, iv, masked)
        if tag != _tag(self.public_key.spki, iv, data):
            raise DecryptError("simulated: another key or damaged bytes")
        return data


@dataclass(frozen=True, slots=True)
class SeededCertificate:
    """Stands for a certificate; that its issuer has signed it is taken as said."""

    name: str
    public_key: SeededPublicKey
    issuer: SeededCertificate | None = None

    @property
    def id(self) -> InfoHash:
        """The key's short id."""
        return self.public_key.id

    @property
    def long_id(self) -> PublicKeyId:
        """The key's long id."""
        return self.public_key.long_id

    def to_pem(self) -> str:
        """Return PEM text that `SeededSuite.parse_certificate` reads."""
        block = pem.encode("CERTIFICATE", self.public_key.spki + self.name.encode())
        return block if self.issuer is None else block + self.issuer.to_pem()


@dataclass(frozen=True, slots=True)
class SeededIdentity:
    """A simulated key and its certificate."""

    private_key: SeededPrivateKey
    certificate: SeededCertificate


class SeededSuite:
    """`Suite` for simulations. Not secure: see the module."""

    def identity(self, name: str, seed: int = 0) -> SeededIdentity:
        """Return the identity of *name* in the world of *seed*: the same each time."""
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        public_key = SeededPublicKey((_MARK + digest).ljust(_SPKI_LENGTH, b"\0"))
        return SeededIdentity(SeededPrivateKey(public_key), SeededCertificate(name, public_key))

    def verify(self, spki: bytes, data: bytes, signature: bytes) -> bool:
        """Say whether *signature* is by *spki*; no for what is no simulated key."""
        try:
            return SeededPublicKey(spki).verify(data, signature)
        except InvalidKeyError:
            return False

    def encrypt(self, spki: bytes, data: bytes) -> bytes:
        """Mask *data* for *spki*."""
        return SeededPublicKey(spki).encrypt(data)

    def sign(self, key: SuitePrivateKey, data: bytes) -> bytes:
        """Sign *data*."""
        return key.sign(data)

    def decrypt(self, key: SuitePrivateKey, sealed: bytes) -> bytes:
        """Open *sealed*."""
        return key.decrypt(sealed)

    def parse_certificate(self, data: bytes) -> SeededCertificate:
        """Read what `SeededCertificate.to_pem` wrote.

        Raises:
            InvalidCertificateError: *data* is something else.
        """
        try:
            certificate: SeededCertificate | None = None
            for body in reversed(pem.blocks(data, "CERTIFICATE", _CHAIN_LENGTH_MAX)):
                public_key = SeededPublicKey(body[:_SPKI_LENGTH])
                name = body[_SPKI_LENGTH:].decode()
                certificate = SeededCertificate(name, public_key, certificate)
        except (ValueError, DecodeError) as error:
            raise InvalidCertificateError("not a simulated certificate") from error
        if certificate is None:
            raise InvalidCertificateError("not a simulated certificate")
        return certificate


def _sign(spki: bytes, data: bytes) -> bytes:
    """Return the one signature of *data* under *spki*."""
    return hashlib.shake_256(b"sign" + spki + data).digest(_BLOCK_LENGTH)


def _mask(spki: bytes, iv: bytes, data: bytes) -> bytes:
    """Return *data* with a stream from *spki* and *iv* over it; the same again takes it off."""
    stream = hashlib.shake_256(b"mask" + spki + iv).digest(len(data))
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def _tag(spki: bytes, iv: bytes, data: bytes) -> bytes:
    """Return what shows damage."""
    return hashlib.shake_256(b"tag" + spki + iv + data).digest(_TAG_LENGTH)
