"""Public and private keys, RSA and elliptic curve.

RSA keys do everything. Elliptic-curve keys only sign certificates, as in OpenDHT, whose nodes
verify values with RSA alone. Keys bound to PSS or OAEP by their algorithm identifier, Ed25519 and
the rest are refused where they are read, with an UnsupportedKeyError.
"""

from __future__ import annotations

import enum
import hashlib
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

from shoal.core import DecodeError, InfoHash, PublicKeyId
from shoal.crypto import der, pem, sealing
from shoal.crypto.errors import InvalidKeyError, PasswordError, UnsupportedKeyError
from shoal.crypto.pkcs8 import encrypt_private_key, mend_private_key

RSA_BITS_MIN: Final = 1024  # ours: what `cryptography` reads; trust lists ask for more
RSA_BITS_MAX: Final = 8192  # ours: verifying costs 0.5 ms at this size, on the packet path
RSA_EXPONENT_BITS_MAX: Final = 64  # OpenSSL rsa.h: OPENSSL_RSA_MAX_PUBEXP_BITS
RSA_BITS_DEFAULT: Final = 4096  # OpenDHT crypto.h, generateIdentity
RSA_EXPONENT: Final = 65_537  # GnuTLS, hence every key that OpenDHT made
SPKI_SIZE_MAX: Final = 2048  # OpenDHT crypto.cpp, PublicKey::pack: size of its buffer
KEYS_CACHED_MAX: Final = 512  # ours: about 3 KiB each once used

_RSA_ENCRYPTION: Final = bytes.fromhex("2a864886f70d010101")  # RFC 8017 appendix C
_EC_PUBLIC_KEY: Final = bytes.fromhex("2a8648ce3d0201")  # RFC 5480 section 2.1.1
_OTHER_KEYS: Final = {
    bytes.fromhex("2a864886f70d010107"): "RSAES-OAEP",
    bytes.fromhex("2a864886f70d01010a"): "RSASSA-PSS",
    bytes.fromhex("2b6570"): "Ed25519",
    bytes.fromhex("2b6571"): "Ed448",
}
_CURVES: Final[dict[int, type[ec.EllipticCurve]]] = {
    256: ec.SECP256R1,
    384: ec.SECP384R1,
    521: ec.SECP521R1,
}
_PKCS1: Final = padding.PKCS1v15()
_SHA512: Final = SHA512()

NativePublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
NativePrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class KeyKind(enum.Enum):
    """What a key can do."""

    RSA = "RSA"  # values and certificates, signing and sealing
    EC = "EC"  # certificates, signing


class PublicKey:
    """A key that others are known by: it verifies and seals, and its hashes are ids."""

    __slots__ = ("_id", "_long_id", "_rsa", "_signature_length", "native", "spki")

    def __init__(self, native: NativePublicKey) -> None:
        """Wrap a key of `cryptography`.

        Raises:
            UnsupportedKeyError: its size or curve is not one of ours.
        """
        _check_size(native)
        self.native: Final = native
        self.spki: Final = native.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._rsa = native if isinstance(native, rsa.RSAPublicKey) else None
        self._signature_length = (native.key_size + 7) // 8
        self._id: InfoHash | None = None
        self._long_id: PublicKeyId | None = None

    @classmethod
    def from_spki(cls, spki: bytes) -> PublicKey:
        """Return the key of a DER SubjectPublicKeyInfo of at most 2 KiB.

        The last keys used are remembered, so asking again costs nothing. The `spki` of the result
        is in canonical DER, whatever form the bytes had.

        Raises:
            InvalidKeyError: *spki* is not one.
            UnsupportedKeyError: it is of another kind, or too small or large.

        Source: OpenDHT crypto.cpp, PublicKey::unpack.
        """
        return _cached(spki)

    @classmethod
    def load(cls, data: bytes) -> PublicKey:
        """Return the key in PEM text (the first one) or DER.

        Raises:
            InvalidKeyError: there is none.
            UnsupportedKeyError: it is of another kind, or too small or large.
        """
        if not pem.has_blocks(data):
            return cls.from_spki(data)
        try:
            (spki,) = pem.blocks(data, "PUBLIC KEY", 1)
        except ValueError as error:
            raise InvalidKeyError("no public key in the PEM text") from error
        except DecodeError as error:
            raise InvalidKeyError(str(error)) from error
        return cls.from_spki(spki)

    @property
    def kind(self) -> KeyKind:
        """RSA or elliptic curve."""
        return KeyKind.EC if self._rsa is None else KeyKind.RSA

    @property
    def bits(self) -> int:
        """The length of the modulus, or of the curve's field."""
        return self.native.key_size

    @property
    def id(self) -> InfoHash:
        """The key id: SHA-1 of the SPKI."""
        if self._id is None:
            self._id = InfoHash.of(self.spki)
        return self._id

    @property
    def long_id(self) -> PublicKeyId:
        """The long key id: SHA-256 of the SPKI."""
        if self._long_id is None:
            self._long_id = PublicKeyId(hashlib.sha256(self.spki).digest())
        return self._long_id

    def to_pem(self) -> str:
        """Return the SPKI as PEM text."""
        return pem.encode("PUBLIC KEY", self.spki)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Say whether *signature* is that of the private key over *data*.

        Elliptic-curve keys sign no values: for them the answer is always no.

        Source: OpenDHT crypto.cpp, PublicKey::checkSignature (PKCS #1 v1.5 with SHA-512).
        """
        if self._rsa is None or len(signature) != self._signature_length:
            return False
        try:
            self._rsa.verify(signature, data, _PKCS1, _SHA512)
        except InvalidSignature:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Return *data* sealed for the holder of the private key; see `shoal.crypto.sealing`.

        Raises:
            UnsupportedKeyError: this is no RSA key.
        """
        if self._rsa is None:
            raise UnsupportedKeyError("elliptic-curve keys cannot encrypt; use an RSA key")
        return sealing.rsa_seal(data, self._rsa)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.spki == self.spki

    def __hash__(self) -> int:
        return hash(self.spki)

    def __repr__(self) -> str:
        return f"PublicKey({self.kind.value}-{self.bits}, {self.id})"


class PrivateKey:
    """A key that signs and opens; `public_key` is what others see of it."""

    __slots__ = ("_rsa", "native", "public_key")

    def __init__(self, native: NativePrivateKey) -> None:
        """Wrap a key of `cryptography`.

        Raises:
            UnsupportedKeyError: its size or curve is not one of ours.
        """
        self.native: Final = native
        self.public_key: Final = PublicKey(native.public_key())
        self._rsa = native if isinstance(native, rsa.RSAPrivateKey) else None

    @classmethod
    def generate(cls, bits: int = RSA_BITS_DEFAULT) -> PrivateKey:
        """Make an RSA key. 4096 bits take a second, more or less.

        Raises:
            UnsupportedKeyError: *bits* is not 1024 to 8192.
        """
        if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:
            raise UnsupportedKeyError(
                f"an RSA key of {bits} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX}"
            )
        return cls(rsa.generate_private_key(RSA_EXPONENT, bits))

    @classmethod
    def generate_ec(cls, bits: int = 384) -> PrivateKey:
        """Make a key on the NIST curve of 256, 384 or 521 *bits*.

        Raises:
            UnsupportedKeyError: there is no such curve.

        Source: OpenDHT crypto.cpp, PrivateKey::generateEC (384 bits).
        """
        if bits not in _CURVES:
            raise UnsupportedKeyError(f"no curve of {bits} bits; 256, 384 or 521")
        return cls(ec.generate_private_key(_CURVES[bits]()))

    @classmethod
    def load(
        cls, data: bytes, password: str | None = None, *, is_proven: bool = False
    ) -> PrivateKey:
        """Return the key in PEM (the first one) or DER: PKCS #8, PKCS #1 or SEC 1.

        A *password* for a key that is not encrypted is not used. One that *is_proven* was sound
        when it was kept: whether the primes of RSA are prime, which takes a third of a second to
        find out, is not asked again, but only whether all numbers still fit together.

        Raises:
            InvalidKeyError: there is no key.
            PasswordError: it is encrypted, and the password is missing or wrong.
            UnsupportedKeyError: it is of another kind, or too small or large.
        """
        native = _load_private(data, password or None, is_proven=is_proven)
        if is_proven and isinstance(native, rsa.RSAPrivateKey) and not _fits(native):
            native = _load_private(data, password or None)
        if not isinstance(native, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise UnsupportedKeyError(f"a key of kind {type(native).__name__}")
        return cls(native)

    def export(self, password: str | None = None) -> str:
        """Return PKCS #8 PEM text, encrypted with PBES2 and AES-256 if a *password* is given.

        Source: OpenDHT crypto.cpp, PrivateKey::serialize.
        """
        label = "ENCRYPTED PRIVATE KEY" if password else "PRIVATE KEY"
        return pem.encode(label, self.export_der(password))

    def export_der(self, password: str | None = None) -> bytes:
        """Return what `export` does as DER."""
        plain = self.native.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return encrypt_private_key(plain, password) if password else plain

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data*, PKCS #1 v1.5 with SHA-512: the same each time.

        Raises:
            UnsupportedKeyError: this is no RSA key, so no node would verify it.
        """
        return self._need_rsa().sign(data, _PKCS1, _SHA512)

    def decrypt(self, sealed: bytes) -> bytes:
        """Open what was sealed with the public key; see `shoal.crypto.sealing`.

        Raises:
            DecryptError: sealed for another key, or damaged.
            UnsupportedKeyError: this is no RSA key.
        """
        return sealing.rsa_open(sealed, self._need_rsa())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and other.public_key == self.public_key

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.public_key!r})"

    def _need_rsa(self) -> rsa.RSAPrivateKey:
        """Return the RSA key that this is."""
        if self._rsa is None:
            raise UnsupportedKeyError("elliptic-curve keys sign certificates only; use an RSA key")
        return self._rsa


def verify(spki: bytes, data: bytes, signature: bytes) -> bool:
    """Say whether *signature* over *data* is by the key of *spki*; no for what is not a key."""
    try:
        return _cached(spki).verify(data, signature)
    except (InvalidKeyError, UnsupportedKeyError):
        return False


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _cached(spki: bytes) -> PublicKey:
    """Parse *spki*, or remember having done so."""
    if len(spki) > SPKI_SIZE_MAX:
        raise InvalidKeyError(f"a public key of {len(spki)} bytes; {SPKI_SIZE_MAX} at most")
    # The library would read a PSS key as a plain one, and GnuTLS would then not verify with it.
    algorithm = _algorithm(spki)
    if algorithm not in (_RSA_ENCRYPTION, _EC_PUBLIC_KEY):
        kind = _OTHER_KEYS.get(algorithm, f"with object identifier {algorithm.hex()}")
        raise UnsupportedKeyError(f"a public key of kind {kind}")
    try:
        native = load_der_public_key(spki)
    except UnsupportedAlgorithm as error:
        raise UnsupportedKeyError(str(error)) from error
    except ValueError as error:
        raise InvalidKeyError("not a public key") from error
    assert isinstance(native, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    return PublicKey(native)


def _algorithm(spki: bytes) -> bytes:
    """Return the object identifier of the key's algorithm."""
    try:
        algorithm, _ = der.parse(spki).expect(der.SEQUENCE).children()
        oid = algorithm.expect(der.SEQUENCE).children()[0]
        return oid.expect(der.OBJECT_IDENTIFIER).content
    except (DecodeError, ValueError, IndexError) as error:
        raise InvalidKeyError("not a SubjectPublicKeyInfo") from error


def _check_size(key: NativePublicKey) -> None:
    """Refuse keys that cost too much to use, or curves that others do not know."""
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa_bits(key.key_size)
        if key.public_numbers().e.bit_length() > RSA_EXPONENT_BITS_MAX:
            raise UnsupportedKeyError("an RSA key with a public exponent above 64 bits")
    elif not isinstance(key.curve, tuple(_CURVES.values())):
        raise UnsupportedKeyError(f"a key on the curve {key.curve.name}")


def _check_rsa_bits(bits: int) -> None:
    """Refuse RSA moduli of a length outside our bounds."""
    if not RSA_BITS_MIN <= bits <= RSA_BITS_MAX:
        raise UnsupportedKeyError(f"an RSA key of {bits} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX}")


def _fits(native: rsa.RSAPrivateKey) -> bool:
    """Tell whether the numbers of a key belong together (RFC 8017 section 3.2).

    Of a modulus that a certificate vouches for there are no other factors, so what fits is prime.
    An even one is nobody's, and nothing can be computed with it.
    """
    numbers = native.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    return (
        min(p, q) > 1
        and p % 2 == q % 2 == 1
        and p * q == numbers.public_numbers.n
        and d * numbers.public_numbers.e % (p - 1) == 1
        and d * numbers.public_numbers.e % (q - 1) == 1
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and numbers.iqmp * q % p == 1
    )


def _load_private(data: bytes, password: str | None, *, is_proven: bool = False) -> object:
    """Return the library's key object."""
    load = load_pem_private_key if pem.has_blocks(data) else load_der_private_key
    secret = None if password is None else password.encode()
    try:
        return load(data, secret, unsafe_skip_rsa_key_validation=is_proven)
    except TypeError as error:  # the password is missing, or is not needed
        if password is None:
            raise PasswordError("the private key is encrypted; give its password") from error
        return _load_private(data, None)
    except UnsupportedAlgorithm as error:
        raise UnsupportedKeyError(str(error)) from error
    except ValueError as error:
        mended = mend_private_key(_key_info(data), password)
        if mended is not None and mended != data:
            return _load_private(mended, None)
        if password is not None and _is_encrypted(data):
            raise PasswordError("wrong password for the private key") from error
        raise InvalidKeyError("not a private key in PEM or DER") from error


def _is_encrypted(data: bytes) -> bool:
    """Say whether it needs a password.

    What a wrong one makes of the key has, once in 256 times, a padding that looks right: then only
    this tells it from what is no key.
    """
    try:
        _load_private(data, None)
    except PasswordError:
        return True
    except (InvalidKeyError, UnsupportedKeyError):
        pass
    return False


def _key_info(data: bytes) -> bytes:
    """Return the PKCS #8 DER in *data*, or nothing of the kind."""
    try:
        found = [
            block
            for label in ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
            for block in pem.blocks(data, label, 1)
        ]
    except DecodeError:
        return b""
    return found[0] if found else data
