"""Identities: a private key together with its certificate chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.core.records import dataclass
from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import IdentityError
from shoal.crypto.issuing import VALIDITY, Profile, draw_serial, issue_certificate, subject_name
from shoal.crypto.keys import RSA_BITS_DEFAULT, PrivateKey

if TYPE_CHECKING:
    from shoal.core import Entropy, InfoHash, PublicKeyId


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs and decrypts: a key and the certificate that others know it by."""

    private_key: PrivateKey
    certificate: Certificate

    def __post_init__(self) -> None:
        if self.private_key.public_key != self.certificate.public_key:
            raise IdentityError("the certificate is not for this private key")

    @classmethod
    def parse(
        cls,
        key: bytes,
        certificate: bytes | None = None,
        password: str | None = None,
        *,
        is_proven: bool = False,
    ) -> Identity:
        """Read a private key and a certificate chain, or PEM text that holds both.

        For a key that *is_proven*, see `PrivateKey.load`.

        Raises:
            IdentityError: the two do not belong together.
            InvalidKeyError: *key* is not a private key.
            InvalidCertificateError: there is no certificate.
            PasswordError: the key is encrypted and the *password* missing or wrong.
            UnsupportedKeyError: one of the keys is of a kind that we do not use.

        Source: OpenDHT crypto.cpp, loadIdentity; the chain is read whole here.
        """
        chain = Certificate.parse(key if certificate is None else certificate)
        return cls(PrivateKey.load(key, password, is_proven=is_proven), chain)

    @property
    def id(self) -> InfoHash:
        """The key id."""
        return self.certificate.id

    @property
    def long_id(self) -> PublicKeyId:
        """The long key id."""
        return self.certificate.long_id

    def issue(
        self,
        key: PrivateKey,
        name: str,
        *,
        entropy: Entropy,
        wall_now: float,
        profile: Profile = Profile.LEAF,
        validity: float = VALIDITY,
    ) -> Identity:
        """Return an identity for *key*, certified by this one.

        Raises:
            InvalidNameError: *name* is empty or longer than 64 bytes.
            NotAnAuthorityError: this identity's certificate may not sign others.
        """
        certificate = issue_certificate(
            key.public_key,
            subject_name(name, key.public_key),
            self.private_key,
            self.certificate,
            profile=profile,
            serial=draw_serial(entropy),
            wall_now=wall_now,
            validity=validity,
        )
        return Identity(key, certificate)


def self_signed(
    key: PrivateKey,
    name: str,
    *,
    entropy: Entropy,
    wall_now: float,
    profile: Profile = Profile.AUTHORITY,
    validity: float = VALIDITY,
) -> Identity:
    """Return an identity for *key* that certifies itself.

    Raises:
        InvalidNameError: *name* is empty or longer than 64 bytes.
    """
    certificate = issue_certificate(
        key.public_key,
        subject_name(name, key.public_key),
        key,
        None,
        profile=profile,
        serial=draw_serial(entropy),
        wall_now=wall_now,
        validity=validity,
    )
    return Identity(key, certificate)


def generate_identity(
    name: str,
    ca: Identity | None = None,
    bits: int = RSA_BITS_DEFAULT,
    *,
    entropy: Entropy,
    wall_now: float,
    profile: Profile | None = None,
) -> Identity:
    """Make an RSA key of *bits* and its certificate: under *ca*, or an authority of its own.

    *profile* overrides that choice, as for an account that is under a CA and is one itself. Takes
    a second or so with 4096 bits.

    Raises:
        InvalidNameError: *name* is empty or longer than 64 bytes.
        NotAnAuthorityError: *ca* is none.
        UnsupportedKeyError: *bits* is not 1024 to 8192.

    Source: OpenDHT crypto.cpp, generateIdentity.
    """
    key = PrivateKey.generate(bits)
    return _certify(key, name, ca, entropy=entropy, wall_now=wall_now, profile=profile)


def generate_ec_identity(
    name: str,
    ca: Identity | None = None,
    *,
    entropy: Entropy,
    wall_now: float,
    profile: Profile | None = None,
) -> Identity:
    """Make what `generate_identity` does with a P-384 key: for authorities, not for nodes.

    Raises:
        InvalidNameError: *name* is empty or longer than 64 bytes.
        NotAnAuthorityError: *ca* is none.

    Source: OpenDHT crypto.cpp, generateEcIdentity.
    """
    key = PrivateKey.generate_ec()
    return _certify(key, name, ca, entropy=entropy, wall_now=wall_now, profile=profile)


def generate_node_identity(
    name: str, *, entropy: Entropy, wall_now: float, bits: int = RSA_BITS_DEFAULT
) -> Identity:
    """Make what OpenDHT's tools make with `--identity`: a P-384 authority and an RSA leaf.

    The authority signs once: its certificate is in the chain, its key is not kept.

    Source: OpenDHT tools_common.h, getDhtConfig, which names them "DHT Node CA" and "DHT Node".
    """
    ca = generate_ec_identity(f"{name} CA", entropy=entropy, wall_now=wall_now)
    return generate_identity(name, ca, bits, entropy=entropy, wall_now=wall_now)


def _certify(
    key: PrivateKey,
    name: str,
    ca: Identity | None,
    *,
    entropy: Entropy,
    wall_now: float,
    profile: Profile | None = None,
) -> Identity:
    """Return an identity for *key* with OpenDHT's default of a profile."""
    if ca is None:
        chosen = profile or Profile.AUTHORITY
        return self_signed(key, name, entropy=entropy, wall_now=wall_now, profile=chosen)
    chosen = profile or Profile.LEAF
    return ca.issue(key, name, entropy=entropy, wall_now=wall_now, profile=chosen)
