"""Long-term credentials: a realm and a nonce from the server, a key from both (RFC 8489 9.2)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from shoal.net import stun
from shoal.net.stun import Class, Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.net.stun import Method

UNAUTHENTICATED: Final = 401  # RFC 8489 section 14.8
STALE_NONCE: Final = 438  # RFC 8489 section 14.8
CHALLENGES_MAX: Final = 3  # per request, ours: none, stale, and one to spare


class Authentication:
    """What we know and what the server told us; makes and checks signed messages."""

    def __init__(self, username: str, password: str) -> None:
        self.username = username
        self._password = password
        self._realm: str | None = None
        self._nonce = b""
        self._key: bytes | None = None

    def copy(self) -> Authentication:
        """Return the same for another connection, whose nonce will go its own way."""
        other = Authentication(self.username, self._password)
        other._realm, other._nonce, other._key = self._realm, self._nonce, self._key
        return other

    def request(
        self, method: Method, transaction: bytes, attributes: Mapping[str, object]
    ) -> bytes:
        """Write a request, signed as soon as the server has said in which realm."""
        if self._key is None:
            return stun.encode(Message(method, Class.REQUEST, transaction, attributes))
        signed = {
            **attributes,
            "USERNAME": self.username,
            "REALM": self._realm,
            "NONCE": self._nonce,
        }
        return stun.encode(Message(method, Class.REQUEST, transaction, signed), key=self._key)

    def is_genuine(self, response: Message) -> bool:
        """Tell whether a response may be believed.

        Errors may: a server without our key cannot sign them, and they carry our random id.
        """
        return (
            self._key is None or response.kind is Class.ERROR or response.is_signed_with(self._key)
        )

    def take_challenge(self, response: Message) -> bool:
        """Learn realm and nonce from an error; False if asking again with them is in vain."""
        code, _ = response.error
        nonce = response.attributes.get("NONCE")
        realm = response.attributes.get("REALM", self._realm)
        if code not in {UNAUTHENTICATED, STALE_NONCE} or nonce is None or realm is None:
            return False
        if code == UNAUTHENTICATED and nonce == self._nonce:
            return False  # it was our password that it did not like
        self._realm, self._nonce = realm, nonce
        secret = f"{self.username}:{realm}:{self._password}".encode()
        self._key = hashlib.md5(secret, usedforsecurity=False).digest()
        return True
