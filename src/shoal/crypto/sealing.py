"""Sealed boxes: AES-GCM, and RSA around its key.

    AES-GCM    IV 12 | ciphertext | tag 16                   no associated data
    RSA        one block                                     text of at most k - 11 bytes
    hybrid     block of the AES key, k bytes | AES-GCM       longer texts

k is the length of the RSA modulus in bytes. IVs and AES keys are drawn by `cryptography`.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from shoal.crypto.errors import DecryptError, UnsupportedKeyError

AES_KEY_LENGTHS: Final = (16, 24, 32)  # FIPS 197 section 5
IV_LENGTH: Final = 12  # OpenDHT crypto.cpp: GCM_IV_SIZE
TAG_LENGTH: Final = 16  # OpenDHT crypto.cpp: GCM_DIGEST_SIZE
RSA_PADDING_LENGTH: Final = 11  # RFC 8017 section 7.2.1: mLen <= k - 11
_PKCS1: Final = padding.PKCS1v15()
_FIRST_COUNTER: Final = b"\0\0\0\2"  # NIST SP 800-38D section 7.1: inc32(J0), J0 = IV || 1


def draw_bytes(length: int) -> bytes:
    """Return up to 32 bytes from the crypto library's own source of randomness."""
    assert length <= AES_KEY_LENGTHS[-1]
    return AESGCM.generate_key(256)[:length]


def aes_encrypt(data: bytes, key: bytes, iv: bytes | None = None) -> bytes:
    """Return IV, ciphertext and tag of *data* under a *key* of 16, 24 or 32 bytes.

    An *iv* must never be used twice with a key; without one it is drawn.

    Raises:
        UnsupportedKeyError: the key has another length.

    Source: OpenDHT crypto.cpp, aesEncrypt.
    """
    _check_length(key)
    iv = draw_bytes(IV_LENGTH) if iv is None else iv
    return iv + AESGCM(key).encrypt(iv, data, None)


def aes_decrypt(sealed: bytes, key: bytes) -> bytes:
    """Open what `aes_encrypt` sealed.

    Raises:
        DecryptError: the key is another one or the bytes are damaged.
        UnsupportedKeyError: the key has no AES length.
    """
    _check_length(key)
    if len(sealed) < IV_LENGTH + TAG_LENGTH:
        raise DecryptError(f"{len(sealed)} bytes are too few for an IV and a tag")
    try:
        return AESGCM(key).decrypt(sealed[:IV_LENGTH], sealed[IV_LENGTH:], None)
    except InvalidTag as error:
        raise DecryptError("the tag does not fit: another key or damaged bytes") from error


def aes_decrypt_legacy(sealed: bytes, key: bytes) -> bytes:
    """Open a blob of OpenDHT before 2.4.7, whose tag has the plaintext as associated data.

    The tag can only be checked after decrypting, so plain counter mode comes first.

    Raises:
        DecryptError: the key is another one or the bytes are damaged.
        UnsupportedKeyError: the key has no AES length.

    Source: OpenDHT 2.4.12 crypto.cpp, DHT_AES_LEGACY_DECRYPT.
    """
    _check_length(key)
    if len(sealed) < IV_LENGTH + TAG_LENGTH:
        raise DecryptError(f"{len(sealed)} bytes are too few for an IV and a tag")
    iv, ciphertext = sealed[:IV_LENGTH], sealed[IV_LENGTH:-TAG_LENGTH]
    decryptor = Cipher(AES(key), CTR(iv + _FIRST_COUNTER)).decryptor()
    plaintext = decryptor.update(ciphertext) + decryptor.finalize()
    expected = AESGCM(key).encrypt(iv, plaintext, plaintext)[-TAG_LENGTH:]
    if not hmac.compare_digest(expected, sealed[-TAG_LENGTH:]):
        raise DecryptError("the tag does not fit: another key or damaged bytes")
    return plaintext


def aes_decrypt_any(sealed: bytes, key: bytes) -> bytes:
    """Open a blob of any OpenDHT, as 2.4.12 does.

    Raises:
        DecryptError: the key is another one or the bytes are damaged.
        UnsupportedKeyError: the key has no AES length.
    """
    try:
        return aes_decrypt(sealed, key)
    except DecryptError:
        return aes_decrypt_legacy(sealed, key)


def rsa_seal(data: bytes, key: rsa.RSAPublicKey) -> bytes:
    """Return *data* for the holder of *key*: one RSA block, or a hybrid one when it is too long.

    Source: OpenDHT crypto.cpp, PublicKey::encrypt.
    """
    room = (key.key_size + 7) // 8 - RSA_PADDING_LENGTH
    if len(data) <= room:
        return key.encrypt(data, _PKCS1)
    # "The longest of 32/24/16 that fits": 32 for every key that we accept (1024 bits and more).
    aes_key = draw_bytes(AES_KEY_LENGTHS[-1])
    return key.encrypt(aes_key, _PKCS1) + aes_encrypt(data, aes_key)


def rsa_open(sealed: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """Open what `rsa_seal` sealed.

    A single block that was not sealed for this key may come out as random bytes instead of an
    error: the library rejects bad padding implicitly, so that nobody can learn from it.

    Raises:
        DecryptError: too short, for another key, or damaged.

    Source: OpenDHT crypto.cpp, PrivateKey::decrypt.
    """
    block_length = (key.key_size + 7) // 8
    if len(sealed) < block_length:
        raise DecryptError(f"{len(sealed)} bytes are less than one block of {block_length}")
    try:
        text = key.decrypt(sealed[:block_length], _PKCS1)
    except ValueError as error:
        raise DecryptError("the RSA block does not open: another key or damaged bytes") from error
    if len(sealed) == block_length:
        return text
    try:
        return aes_decrypt_any(sealed[block_length:], text)
    except UnsupportedKeyError as error:
        raise DecryptError("the RSA block holds no AES key: another key or damaged") from error


def _check_length(key: bytes) -> None:
    """Refuse a *key* that has no AES length."""
    if len(key) not in AES_KEY_LENGTHS:
        raise UnsupportedKeyError(f"an AES key has 16, 24 or 32 bytes, not {len(key)}")
