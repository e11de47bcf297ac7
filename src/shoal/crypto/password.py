"""Encryption under a password, for exports such as account archives.

    salt 16 | IV 12 | ciphertext | tag 16

The key is SHA-256 over 32 bytes of Argon2i: about a second and 64 MiB, on purpose.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2i

from shoal.crypto.digests import hash_data
from shoal.crypto.errors import DecryptError
from shoal.crypto.sealing import aes_decrypt_any, aes_encrypt, draw_bytes

SALT_LENGTH: Final = 16  # OpenDHT crypto.cpp: PASSWORD_SALT_LENGTH
# OpenDHT crypto.cpp, stretchKey: argon2i_hash_raw(16, 64 * 1024, 1, …) into 32 bytes
_ITERATIONS: Final = 16
_MEMORY_KIB: Final = 65_536
_LANES: Final = 1
_STRETCHED_LENGTH: Final = 32
_KEY_LENGTH: Final = 32


def stretch(password: str, salt: bytes, length: int = 64) -> bytes:
    """Return *length* bytes (64 at most) of key for *password*; *salt* has 8 bytes or more.

    Source: OpenDHT crypto.cpp, stretchKey.
    """
    argon2 = Argon2i(
        salt=salt,
        length=_STRETCHED_LENGTH,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    )
    return hash_data(argon2.derive(password.encode()), length)


def encrypt_with_password(data: bytes, password: str, salt: bytes | None = None) -> bytes:
    """Return *data* sealed under *password*; a *salt* of 16 bytes is drawn if not given."""
    salt = draw_bytes(SALT_LENGTH) if salt is None else salt
    assert len(salt) == SALT_LENGTH
    return salt + aes_encrypt(data, stretch(password, salt, _KEY_LENGTH))


def decrypt_with_password(blob: bytes, password: str) -> bytes:
    """Open what `encrypt_with_password` sealed, or what any OpenDHT did.

    Raises:
        DecryptError: another password or damaged bytes.
    """
    if len(blob) <= SALT_LENGTH:
        raise DecryptError(f"{len(blob)} bytes are too few for a salt and a ciphertext")
    key = stretch(password, blob[:SALT_LENGTH], _KEY_LENGTH)
    return aes_decrypt_any(blob[SALT_LENGTH:], key)
