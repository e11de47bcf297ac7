"""Values made by hand: signed, encrypted, certificates; with the key of the test vectors."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Mapping

CERTIFICATE_TYPE: Final = 8


@dataclass(frozen=True)
class Recipient:
    """An RSA public key with the ids that the DHT derives from it."""

    public_key: rsa.RSAPublicKey

    @classmethod
    def of(cls, pem: str) -> Recipient:
        """Return the holder of the first certificate of a chain."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 2.4.12 writes serial numbers that read as negative
            public_key = x509.load_pem_x509_certificates(pem.encode())[0].public_key()
        assert isinstance(public_key, rsa.RSAPublicKey)
        return Recipient(public_key)

    @functools.cached_property
    def spki(self) -> bytes:
        """The public key, SubjectPublicKeyInfo DER."""
        return self.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def key_id(self) -> bytes:
        """SHA-1 of the public key."""
        return hashlib.sha1(self.spki, usedforsecurity=False).digest()

    @property
    def long_id(self) -> bytes:
        """SHA-256 of the public key."""
        return hashlib.sha256(self.spki).digest()

    @property
    def long_id_key(self) -> bytes:
        """Where values about the long id live."""
        return hashlib.sha1(self.long_id, usedforsecurity=False).digest()

    def sealed(self, plain: bytes) -> bytes:
        """Return *plain* encrypted for this key."""
        secret, nonce = AESGCM.generate_key(256), os.urandom(12)
        head = self.public_key.encrypt(secret, padding.PKCS1v15())
        return head + nonce + AESGCM(secret).encrypt(nonce, plain, None)


@dataclass(frozen=True)
class Signer(Recipient):
    """An RSA key pair."""

    key: rsa.RSAPrivateKey

    @classmethod
    def holding(cls, key: rsa.RSAPrivateKey) -> Signer:
        """Return the signer with that private key."""
        return Signer(key.public_key(), key)

    def signed(
        self,
        value_id: int,
        data: bytes,
        *,
        seq: int = 0,
        user_type: str = "",
        to: bytes | None = None,
        value_type: int = 0,
    ) -> dict[str, Any]:
        """Return the wire map of a signed value."""
        body: dict[str, Any] = {"seq": seq, "owner": self.spki}
        if to is not None:
            body["to"] = to
        body |= {"type": value_type, "data": data}
        if user_type:
            body["utype"] = user_type
        signature = self.key.sign(msgpack.packb(body), padding.PKCS1v15(), hashes.SHA512())
        return {"id": value_id, "dat": {"body": body, "sig": signature}}

    def encrypted(self, value_id: int, data: bytes, to: Recipient) -> dict[str, Any]:
        """Return the wire map of a value that only *to* can read."""
        plain = msgpack.packb(self.signed(value_id, data, to=to.key_id)["dat"])
        return {"id": value_id, "dat": to.sealed(plain)}

    def certificate(self, name: str = "test") -> str:
        """Return a self-signed certificate in PEM."""
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(days=36_500))
            .sign(self.key, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.PEM).decode()

    def certificate_value(self) -> dict[str, Any]:
        """Return the wire map of the published certificate."""
        data = msgpack.packb(self.certificate().encode())
        return {"id": 1, "dat": {"body": {"type": CERTIFICATE_TYPE, "data": data}}}


@functools.cache
def vector_signer() -> Signer:
    """Return the 2048-bit test key of the reference's appendix (A24)."""
    p = int(
        "ffe554cc9575d977b121a46c51f9ec57cbdd6585b85ebb014b3757c2aff588c908c66f318bee49254296f48e"
        "a6196e5ab704b0ebfd73f5705886cbc2b9a3278d34e7c44f53a767f9215f46c5fe00dd2ea8140a61bed46212"
        "36896bf4e071d31a8e9d25d75844bec67eaa9cf51401300bd02563f818b683aa3f46d56a357a5aab",
        16,
    )
    q = int(
        "f25119715d8d87c8f5e5688d31b98a1e86eb426cc0cf91a0b3d258a076415d0370af74cf2be3aac15573ef42"
        "70c79186c8cc291bc64e9395767557b365c551fc5df7dd62a98365db5e9b3881447573d775963ec7326f7c8c"
        "dca8805a324bf511667c92f6ff42709a569b658640569a4c14afc811b679830cad659c6d54e10a13",
        16,
    )
    e = 65_537
    d = pow(e, -1, (p - 1) * (q - 1))
    return Signer.holding(
        rsa.RSAPrivateNumbers(
            p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
        ).private_key()
    )


@functools.cache
def other_signer() -> Signer:
    """Return another key, fresh for this process."""
    return Signer.holding(rsa.generate_private_key(65_537, 2048))


def with_data(value: Mapping[str, Any], data: bytes) -> dict[str, Any]:
    """Return a copy of a signed value whose content no longer fits its signature."""
    dat = value["dat"]
    return {**value, "dat": {**dat, "body": {**dat["body"], "data": data}}}
