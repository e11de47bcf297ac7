"""What the secure layer does with keys: sign, seal, unseal, verify, read certificates.

A `Protocol`, so that a simulation of thousands of nodes can put in keys that cost nothing and draw
no chance of their own; `StandardSuite` is the real thing. All of it is pure and safe to run in a
pool of threads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from shoal.core import DecodeError
from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import CryptoError
from shoal.crypto.keys import KeyKind, PublicKey, verify
from shoal.dht.contents import CertificateValue
from shoal.dht.errors import UnsuitableKeyError
from shoal.dht.packing import unpack
from shoal.dht.value import Value

if TYPE_CHECKING:
    from shoal.core import InfoHash, PublicKeyId
    from shoal.crypto.identity import Identity


class SecuritySuite(Protocol):
    """The cryptography of values."""

    def require_identity(self, identity: Identity) -> None:
        """Make sure that *identity* can sign and decrypt.

        Raises:
            UnsuitableKeyError: it can't.
        """
        ...

    def require_recipient(self, spki: bytes) -> None:
        """Make sure that values can be encrypted to the public key *spki*.

        Raises:
            UnsuitableKeyError: they can't, or it is no key.
        """
        ...

    def sign(self, identity: Identity, value: Value) -> Value:
        """Return *value* with owner and signature; its seq is as it was."""
        ...

    def seal(self, identity: Identity, value: Value, spki: bytes) -> Value:
        """Return *value* signed, then encrypted to the public key *spki*.

        Raises:
            UnsuitableKeyError: one can't encrypt to this key.
        """
        ...

    def unseal(self, identity: Identity, value: Value) -> Value | None:
        """Return encrypted *value* in clear; None if it isn't for *identity*, or not authentic."""
        ...

    def verify(self, value: Value) -> bool:
        """Say whether signed *value* was signed by its owner."""
        ...

    def certificate_data(self, certificate: Certificate) -> bytes:
        """Return the content of the value that publishes *certificate* and its chain."""
        ...

    def find_certificate(
        self, candidates: tuple[bytes, ...], name: PublicKeyId | InfoHash
    ) -> Certificate | None:
        """Return the first certificate whose key has *name* in *candidates*, contents of values."""
        ...


class StandardSuite:
    """RSA with SHA-512 and hybrid encryption, as every OpenDHT node does it."""

    def require_identity(self, identity: Identity) -> None:
        """Make sure that *identity* has an RSA key."""
        if identity.private_key.public_key.kind is not KeyKind.RSA:
            raise UnsuitableKeyError

    def require_recipient(self, spki: bytes) -> None:
        """Make sure that *spki* is an RSA key."""
        try:
            kind = PublicKey.from_spki(spki).kind
        except CryptoError as error:
            raise UnsuitableKeyError from error
        if kind is not KeyKind.RSA:
            raise UnsuitableKeyError

    def sign(self, identity: Identity, value: Value) -> Value:
        """Sign the canonical body.

        Source: OpenDHT value.cpp, Value::sign.
        """
        owned = replace(value, owner=identity.private_key.public_key.spki, signature=None)
        return replace(owned, signature=identity.private_key.sign(owned.body()))

    def seal(self, identity: Identity, value: Value, spki: bytes) -> Value:
        """Name the recipient, sign, and encrypt all but id, priority and push type.

        Source: OpenDHT value.cpp, Value::encrypt.
        """
        self.require_recipient(spki)
        recipient = PublicKey.from_spki(spki)
        signed = self.sign(identity, replace(value, recipient=recipient.id))
        return Value(
            id=value.id,
            cypher=recipient.encrypt(signed.content()),
            priority=value.priority,
            push_type=value.push_type,
        )

    def unseal(self, identity: Identity, value: Value) -> Value | None:
        """Decrypt, then insist on our id as recipient and on the signature of an owner.

        Source: OpenDHT securedht.cpp, SecureDht::decrypt.
        """
        assert value.cypher is not None
        try:
            content = unpack(identity.private_key.decrypt(value.cypher))
            # A bin in there would be ciphertext again, and come out as not signed.
            clear = Value.from_content(value.id, content)
        except (CryptoError, DecodeError):
            return None
        is_ours = clear.recipient == identity.private_key.public_key.id
        return clear if is_ours and clear.is_signed and self.verify(clear) else None

    def verify(self, value: Value) -> bool:
        """Check the signature over the canonical body."""
        assert value.owner is not None
        assert value.signature is not None
        return verify(value.owner, value.body(), value.signature)

    def certificate_data(self, certificate: Certificate) -> bytes:
        """Return the chain as PEM, in a msgpack bin."""
        return CertificateValue(certificate.to_pem().encode()).pack()

    def find_certificate(
        self, candidates: tuple[bytes, ...], name: PublicKeyId | InfoHash
    ) -> Certificate | None:
        """Parse one after the other; names are the key's short id, long id, and its SHA-1."""
        for data in candidates:
            try:
                certificate = Certificate.parse(CertificateValue.unpack(data).chain)
            except (CryptoError, DecodeError):
                continue
            key = certificate.public_key
            if name in (key.id, key.long_id, key.long_id.infohash):
                return certificate
        return None
