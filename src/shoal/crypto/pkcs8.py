"""Private keys as GnuTLS writes them, where the library does not: PKCS #8, in two ways.

    PrivateKeyInfo           SEQUENCE { INTEGER 0, AlgorithmIdentifier, OCTET STRING key }
    ECPrivateKey             SEQUENCE { INTEGER 1, OCTET STRING scalar, … }   RFC 5915 section 3
    EncryptedPrivateKeyInfo  SEQUENCE { AlgorithmIdentifier PBES2, OCTET STRING }
    PBES2                    SEQUENCE { PBKDF2 { salt, rounds, HMAC-SHA-256 }, AES-256-CBC { IV } }

`cryptography` writes encrypted keys with 2,048 rounds, too few to stand up to guessing; so their
frame is written here, around the library's PBKDF2 and AES. And it insists on scalars of exactly the
curve's length, while GnuTLS before 3.8 writes them like integers: half of its P-384 keys, those of
dhtnode's authorities among them, have 49 bytes. These are mended before the library sees them.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from shoal.core import DecodeError
from shoal.crypto import der
from shoal.crypto.sealing import draw_bytes

ROUNDS: Final = 600_000  # GnuTLS 3.7, as dhtnode's files show; OWASP's advice for HMAC-SHA-256
ROUNDS_MAX: Final = 10_000_000  # ours: five seconds of work
_SALT_LENGTH: Final = 16
_KEY_LENGTH: Final = 32
_BLOCK_BITS: Final = 128
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")  # RFC 8018 appendix A.4
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")  # RFC 8018 appendix A.2
_HMAC_SHA256: Final = bytes.fromhex("2a864886f70d0209")  # RFC 8018 appendix B.1.2
_AES_256_CBC: Final = bytes.fromhex("60864801650304012a")  # RFC 8018 appendix B.2.5
_EC_PUBLIC_KEY: Final = bytes.fromhex("2a8648ce3d0201")  # RFC 5480 section 2.1.1
_SCALAR_LENGTHS: Final = {  # RFC 5480 section 2.1.1.1
    bytes.fromhex("2a8648ce3d030107"): 32,
    bytes.fromhex("2b81040022"): 48,
    bytes.fromhex("2b81040023"): 66,
}


def encrypt_private_key(key_info: bytes, password: str) -> bytes:
    """Return *key_info*, a DER PrivateKeyInfo, encrypted: a third of a second of work.

    Source: RFC 8018 section 6.2.1; OpenDHT crypto.cpp, PrivateKey::serialize.
    """
    salt, iv = draw_bytes(_SALT_LENGTH), draw_bytes(_BLOCK_BITS // 8)
    key = PBKDF2HMAC(SHA256(), _KEY_LENGTH, salt, ROUNDS).derive(password.encode())
    padder, encryptor = PKCS7(_BLOCK_BITS).padder(), Cipher(AES(key), CBC(iv)).encryptor()
    padded = padder.update(key_info) + padder.finalize()
    derivation = der.encode(
        der.SEQUENCE,
        der.encode(der.OCTET_STRING, salt),
        der.encode_integer(ROUNDS),
        _algorithm(_HMAC_SHA256, der.encode(der.NULL)),
    )
    scheme = der.encode(
        der.SEQUENCE,
        _algorithm(_PBKDF2, derivation),
        _algorithm(_AES_256_CBC, der.encode(der.OCTET_STRING, iv)),
    )
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    return der.encode(
        der.SEQUENCE, _algorithm(_PBES2, scheme), der.encode(der.OCTET_STRING, ciphertext)
    )


def mend_private_key(key_info: bytes, password: str | None) -> bytes | None:
    """Return the elliptic-curve key of GnuTLS in *key_info* as the library wants it, decrypted.

    None if it is anything else, or the password is wrong.
    """
    try:
        if password is not None:
            key_info = _decrypt(key_info, password)
        return _with_exact_scalar(key_info)
    except (DecodeError, ValueError):
        return None


def _decrypt(encrypted: bytes, password: str) -> bytes:
    """Open what `encrypt_private_key` or GnuTLS encrypted.

    Raises:
        DecodeError: it has another form.
        ValueError: another form, or another password.
    """
    scheme, ciphertext = der.parse(encrypted).children()
    pbes2, parameters = scheme.children()
    derivation, cipher = parameters.children()
    pbkdf2, derivation = derivation.children()
    salt, rounds, pseudorandom = derivation.children()
    aes, iv = cipher.children()
    found = [oid.content for oid in (pbes2, pbkdf2, pseudorandom.children()[0], aes)]
    count = int.from_bytes(rounds.content)
    if found != [_PBES2, _PBKDF2, _HMAC_SHA256, _AES_256_CBC] or not 1 <= count <= ROUNDS_MAX:
        raise DecodeError("not encrypted as GnuTLS does it")
    key = PBKDF2HMAC(SHA256(), _KEY_LENGTH, salt.content, count).derive(password.encode())
    decryptor = Cipher(AES(key), CBC(iv.content)).decryptor()
    padded = decryptor.update(ciphertext.content) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK_BITS).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def _with_exact_scalar(key_info: bytes) -> bytes:
    """Return *key_info* with a scalar of the curve's length.

    Raises:
        DecodeError: it is no elliptic-curve key.
        ValueError: the same, or the scalar is too large.
    """
    version, algorithm, wrapped, *attributes = der.parse(key_info).children()
    oid, curve = algorithm.children()
    if oid.content != _EC_PUBLIC_KEY or curve.content not in _SCALAR_LENGTHS:
        raise DecodeError("not a key on a curve that we know", algorithm.start)
    inner_version, scalar, *rest = der.parse(wrapped.expect(der.OCTET_STRING).content).children()
    number = scalar.content.lstrip(b"\0")
    length = _SCALAR_LENGTHS[curve.content]
    if len(number) > length:
        raise DecodeError("the scalar is too large", scalar.start)
    key = der.encode(
        der.SEQUENCE,
        inner_version.encoded,
        der.encode(der.OCTET_STRING, number.rjust(length, b"\0")),
        *(part.encoded for part in rest),
    )
    return der.encode(
        der.SEQUENCE,
        version.encoded,
        algorithm.encoded,
        der.encode(der.OCTET_STRING, key),
        *(part.encoded for part in attributes),
    )


def _algorithm(oid: bytes, parameters: bytes) -> bytes:
    """Return an AlgorithmIdentifier."""
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), parameters)
