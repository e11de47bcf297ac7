"""Cryptography that costs nothing and draws no chance: for runs that are to repeat exactly."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from shoal.core import DecodeError, InfoHash
from shoal.dht.packing import unpack
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value

if TYPE_CHECKING:
    from shoal.crypto.identity import Identity


class FakeSuite(StandardSuite):
    """Signatures are hashes that anybody could make, ciphertext is marked plaintext."""

    def sign(self, identity: Identity, value: Value) -> Value:
        """Hash owner and body."""
        owned = replace(value, owner=identity.certificate.public_key.spki, signature=None)
        return replace(owned, signature=_signature(owned))

    def seal(self, identity: Identity, value: Value, spki: bytes) -> Value:
        """Write the recipient before the content."""
        recipient = InfoHash.of(spki)
        signed = self.sign(identity, replace(value, recipient=recipient))
        return Value(id=value.id, cypher=recipient + signed.content())

    def unseal(self, identity: Identity, value: Value) -> Value | None:
        """Read what is addressed to *identity*."""
        cypher = value.cypher or b""
        if not cypher.startswith(identity.id):
            return None
        try:
            clear = Value.from_content(value.id, unpack(cypher[InfoHash.length :]))
        except DecodeError:
            return None
        return clear if clear.is_signed and self.verify(clear) else None

    def verify(self, value: Value) -> bool:
        """Hash again."""
        return value.signature == _signature(value)


def _signature(value: Value) -> bytes:
    return hashlib.sha256(value.body()).digest()
