"""Certificate signing requests (PKCS #10): how a new device asks an account for a certificate."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.crypto import pem
from shoal.crypto.errors import InvalidRequestError, UnsupportedKeyError
from shoal.crypto.issuing import VALIDITY, Profile, draw_serial, issue_certificate, subject_name
from shoal.crypto.keys import PrivateKey, PublicKey

if TYPE_CHECKING:
    from shoal.core import Entropy
    from shoal.crypto.certificates import Certificate
    from shoal.crypto.identity import Identity

REQUEST_SIZE_MAX: Final = 16_384  # ours: as certificates


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A request whose signature was checked: the sender holds the private key."""

    der: bytes = field(repr=False)
    public_key: PublicKey
    native: x509.CertificateSigningRequest = field(compare=False, repr=False)

    @classmethod
    def create(cls, key: PrivateKey, name: str) -> CertificateRequest:
        """Return a request for *key*, under *name* and its key id.

        Raises:
            InvalidNameError: *name* is empty or longer than 64 bytes.
        """
        builder = x509.CertificateSigningRequestBuilder(subject_name(name, key.public_key))
        native = builder.sign(key.native, SHA384())
        return cls(native.public_bytes(Encoding.DER), key.public_key, native)

    @classmethod
    def parse(cls, data: bytes) -> CertificateRequest:
        """Read a request in PEM or DER, and check its signature.

        Raises:
            InvalidRequestError: *data* is no request, or somebody else's key signed it.
            UnsupportedKeyError: the key is of a kind that we do not use.

        Source: OpenDHT crypto.cpp, CertificateRequest, and its verify.
        """
        if len(data) > REQUEST_SIZE_MAX:
            raise InvalidRequestError(f"{len(data)} bytes; {REQUEST_SIZE_MAX} at most")
        try:
            der = _from_pem(data) if pem.has_blocks(data) else data
            native = x509.load_der_x509_csr(der)
            public_key = PublicKey.from_spki(
                native.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            )
            # In this order: the library warns of odd names, which only the key's holder may cause.
            if not native.is_signature_valid:
                raise InvalidRequestError("the signature of the request is not by its key")
            _ = native.subject
        except UnsupportedAlgorithm as error:
            raise UnsupportedKeyError(str(error)) from error
        except (TypeError, ValueError, x509.InvalidVersion, DecodeError) as error:
            raise InvalidRequestError(f"not a certificate request: {error}") from error
        return cls(der, public_key, native)

    @property
    def name(self) -> str:
        """The common name that is asked for; empty if none is."""
        for attribute in self.native.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            return str(attribute.value)
        return ""

    def to_pem(self) -> str:
        """Return PEM text."""
        return pem.encode("CERTIFICATE REQUEST", self.der)

    def issue(
        self,
        ca: Identity,
        *,
        entropy: Entropy,
        wall_now: float,
        profile: Profile = Profile.BARE,
        validity: float = VALIDITY,
    ) -> Certificate:
        """Return the certificate that is asked for, signed by *ca*, with its chain.

        The names are those of the request; its extensions, if any, are not taken over.

        Raises:
            NotAnAuthorityError: *ca* may not sign certificates.

        Source: OpenDHT crypto.cpp, Certificate::generate from a request.
        """
        return issue_certificate(
            self.public_key,
            self.native.subject,
            ca.private_key,
            ca.certificate,
            profile=profile,
            serial=draw_serial(entropy),
            wall_now=wall_now,
            validity=validity,
        )


def _from_pem(data: bytes) -> bytes:
    """Return the request in PEM text, under its new or its old label."""
    found = pem.blocks(data, "CERTIFICATE REQUEST", 1)
    found += pem.blocks(data, "NEW CERTIFICATE REQUEST", 1)  # what GnuTLS writes
    if len(found) != 1:
        raise InvalidRequestError("no certificate request in the PEM text")
    return found[0]
