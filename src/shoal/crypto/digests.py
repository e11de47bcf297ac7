"""OpenDHT's choice of a hash by the length that is wanted."""

from __future__ import annotations

import hashlib
from typing import Final

_SHA1_LENGTH: Final = 20  # FIPS 180-4
_SHA256_LENGTH: Final = 32  # FIPS 180-4


def hash_data(data: bytes, length: int) -> bytes:
    """Return *length* bytes (64 at most) of a hash of *data*.

    SHA-1 up to 20 bytes, SHA-256 up to 32, else SHA-512; cut at the end.

    Source: OpenDHT crypto.cpp, gnutlsHashAlgo and hash.
    """
    if length <= _SHA1_LENGTH:
        return hashlib.sha1(data, usedforsecurity=False).digest()[:length]
    if length <= _SHA256_LENGTH:
        return hashlib.sha256(data).digest()[:length]
    return hashlib.sha512(data).digest()[:length]
