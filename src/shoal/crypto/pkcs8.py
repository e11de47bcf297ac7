"""Private keys under a password: PKCS #8 with PBES2, as GnuTLS writes it.

    EncryptedPrivateKeyInfo  SEQUENCE { AlgorithmIdentifier PBES2, OCTET STRING }
    PBES2                    SEQUENCE { PBKDF2 { salt, rounds, HMAC-SHA-256 }, AES-256-CBC { IV } }

`cryptography` reads this with any number of rounds, but writes it with 2,048, which is too few to
stand up to guessing; hence the frame is written here, around the library's PBKDF2 and AES.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from shoal.crypto import der
from shoal.crypto.sealing import draw_bytes

ROUNDS: Final = 600_000  # GnuTLS 3.7 pkcs7-crypt.c, and OWASP's advice for HMAC-SHA-256
_SALT_LENGTH: Final = 16
_KEY_LENGTH: Final = 32
_BLOCK_BITS: Final = 128
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")  # RFC 8018 appendix A.4
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")  # RFC 8018 appendix A.2
_HMAC_SHA256: Final = bytes.fromhex("2a864886f70d0209")  # RFC 8018 appendix B.1.2
_AES_256_CBC: Final = bytes.fromhex("60864801650304012a")  # RFC 8018 appendix B.2.5


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


def _algorithm(oid: bytes, parameters: bytes) -> bytes:
    """Return an AlgorithmIdentifier."""
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), parameters)
