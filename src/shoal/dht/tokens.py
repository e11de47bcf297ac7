"""Write tokens: proof that whoever stores here receives what we send to its address.

A token is SHA-256 over `secret 8 | ip 4 or 16 | port 2`, port big-endian. The secret changes every
15 to 45 minutes; tokens of the one before are still taken.

Source: OpenDHT dht.cpp, Dht::makeToken, Dht::tokenMatch, Dht::rotateSecrets.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shoal.core import Address, Entropy

TOKEN_SIZE: Final = 32  # OpenDHT dht.h: TOKEN_SIZE
TOKEN_SIZE_MAX: Final = 64  # OpenDHT: longer tokens of other nodes are not kept
ROTATION_MIN: Final = 15 * 60.0  # OpenDHT dht.cpp: rotateSecrets
ROTATION_MAX: Final = 45 * 60.0
_SECRET_SIZE: Final = 8


class TokenSecrets:
    """The current and the previous secret, and the tokens made with them."""

    def __init__(self, entropy: Entropy, now: float) -> None:
        self._entropy = entropy
        self._secret = entropy.token_bytes(_SECRET_SIZE)
        self._previous = entropy.token_bytes(_SECRET_SIZE)
        self._rotation = now + entropy.uniform(ROTATION_MIN, ROTATION_MAX)

    def issue(self, addr: Address) -> bytes:
        """Return the 32-byte token with which *addr* may write here."""
        return _token(self._secret, addr)

    def accepts(self, token: bytes, addr: Address) -> bool:
        """Whether *token* was issued to *addr* under one of the last two secrets."""
        if len(token) != TOKEN_SIZE:
            return False
        return compare_digest(token, _token(self._secret, addr)) or compare_digest(
            token, _token(self._previous, addr)
        )

    def next_deadline(self) -> float:
        """When the secret changes next."""
        return self._rotation

    def advance(self, now: float) -> None:
        """Change the secret if that is due at *now*."""
        if now < self._rotation:
            return
        self._previous = self._secret
        self._secret = self._entropy.token_bytes(_SECRET_SIZE)
        self._rotation = now + self._entropy.uniform(ROTATION_MIN, ROTATION_MAX)


def _token(secret: bytes, addr: Address) -> bytes:
    """Return the token of *addr* under *secret*."""
    return hashlib.sha256(secret + addr.ip + addr.port.to_bytes(2)).digest()
