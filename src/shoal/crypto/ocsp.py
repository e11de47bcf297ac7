"""OCSP (RFC 6960): asking a responder whether one certificate was revoked, and answering.

Requests name one certificate, by SHA-1 hashes as GnuTLS does, and carry a nonce. Negative serial
numbers cannot be asked about; certificates with an OCSP address come from servers, which draw
positive ones.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import SignatureAlgorithmOID

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.crypto import der
from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import InvalidOcspError, OcspError, UnsupportedKeyError
from shoal.crypto.signatures import has_valid_signature

if TYPE_CHECKING:
    from shoal.crypto.identity import Identity

MESSAGE_SIZE_MAX: Final = 65_536  # ours: a response with a chain of responders stays far below
NONCE_LENGTH: Final = 32  # OpenDHT crypto.cpp, generateOcspRequest; RFC 8954 section 2.1
CLOCK_SKEW: Final = 300.0  # ours: as certificates are backdated
CERTIFICATES_MAX: Final = 4  # ours: responders send one, or none
_NEGATIVE: Final = 0x80
_ECDSA: Final = (
    SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512,
)


class OcspStatus(enum.Enum):
    """What a responder says of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class CertificateName(NamedTuple):
    """How OCSP names a certificate: hashes of its issuer's name and key, and its serial number."""

    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """A question about one certificate."""

    der: bytes = field(repr=False)
    subject: CertificateName
    nonce: bytes | None

    @classmethod
    def create(cls, certificate: Certificate, nonce: bytes) -> OcspRequest:
        """Return a request about *certificate*, which has its issuer with it.

        Raises:
            OcspError: *certificate* has no issuer with it, or a negative serial number.

        Source: OpenDHT crypto.cpp, Certificate::generateOcspRequest.
        """
        subject = _name(certificate, "sha1")
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            subject.issuer_name_hash, subject.issuer_key_hash, subject.serial, _sha1()
        )
        native = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
        return cls(native.public_bytes(Encoding.DER), subject, nonce)

    @classmethod
    def parse(cls, data: bytes) -> OcspRequest:
        """Read a request in DER.

        Raises:
            InvalidOcspError: *data* is none, or is about several certificates.
        """
        _check_size(data)
        try:
            native = ocsp.load_der_ocsp_request(data)
            subject = CertificateName(
                native.issuer_name_hash, native.issuer_key_hash, native.serial_number
            )
            nonce = _nonce(native.extensions)
        except (ValueError, NotImplementedError, UnsupportedAlgorithm) as error:
            raise InvalidOcspError(f"not an OCSP request: {error}") from error
        return cls(data, subject, nonce)


def create_response(
    certificate: Certificate,
    status: OcspStatus,
    responder: Identity,
    *,
    nonce: bytes | None,
    wall_now: float,
    wall_next_update: float,
    wall_revoked: float | None = None,
) -> bytes:
    """Return the DER answer of *responder* about *certificate*, which has its issuer with it.

    Raises:
        OcspError: *certificate* has no issuer with it, or a negative serial number.
    """
    subject = _name(certificate, "sha1")
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            subject.issuer_name_hash,
            subject.issuer_key_hash,
            subject.serial,
            _sha1(),
            ocsp.OCSPCertStatus[status.name],
            _moment(wall_now),
            _moment(wall_next_update),
            _moment(wall_now if wall_revoked is None else wall_revoked)
            if status is OcspStatus.REVOKED
            else None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate.native)
        .certificates([responder.certificate.native])
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    response = builder.sign(responder.private_key.native, SHA384())
    return response.public_bytes(Encoding.DER)


def check_response(
    data: bytes, certificate: Certificate, *, nonce: bytes | None, wall_now: float
) -> OcspStatus:
    """Return what *data*, a response in DER, proves about *certificate*.

    *certificate* has its issuer with it; the issuer signed the response, or certified the one who
    did for this purpose. A *nonce*, if given, has to come back.

    Raises:
        InvalidOcspError: *data* is no response.
        OcspError: it is unsuccessful, not signed as it should be, about another certificate, for
            another request, or out of date.

    Source: OpenDHT crypto.cpp, OcspResponse::verifyDirect.
    """
    _check_size(data)
    issuer = _issuer(certificate)
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspError(f"the responder says {response.response_status.name.lower()}")
        if nonce is not None and _nonce(response.extensions) != nonce:
            raise OcspError("the response is not to this request: another nonce")
        if not _is_authentic(response, issuer, wall_now):
            raise OcspError("the response is not signed by the issuer, nor on its behalf")
        return _status(response, certificate, wall_now)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidOcspError(f"not an OCSP response: {error}") from error


def _status(response: ocsp.OCSPResponse, certificate: Certificate, wall_now: float) -> OcspStatus:
    """Return the status of *certificate* in *response*."""
    for single in response.responses:
        named = CertificateName(
            single.issuer_name_hash, single.issuer_key_hash, single.serial_number
        )
        if named != _name(certificate, single.hash_algorithm.name):
            continue
        if single.this_update_utc.timestamp() > wall_now + CLOCK_SKEW:
            raise OcspError("the response is of the future")
        due = single.next_update_utc
        if due is not None and due.timestamp() < wall_now - CLOCK_SKEW:
            raise OcspError("the response is out of date")
        return OcspStatus[single.certificate_status.name]
    raise OcspError("the response is about another certificate")


def _is_authentic(response: ocsp.OCSPResponse, issuer: Certificate, wall_now: float) -> bool:
    """Say whether the issuer signed *response*, or one that it certified to do so."""
    if _is_signed_by(response, issuer):
        return True
    for native in response.certificates[:CERTIFICATES_MAX]:
        try:
            delegate = Certificate.parse(native.public_bytes(Encoding.DER))
        except (DecodeError, UnsupportedKeyError):
            continue
        if (
            delegate.can_sign_ocsp
            and delegate.wall_not_before <= wall_now <= delegate.wall_not_after
            and delegate.issuer_subject == issuer.subject
            and delegate.is_signed_by(issuer.public_key)
            and _is_signed_by(response, delegate)
        ):
            return True
    return False


def _is_signed_by(response: ocsp.OCSPResponse, signer: Certificate) -> bool:
    """Say whether the key of *signer* signed *response*."""
    return has_valid_signature(
        _ResponseSignature(response),
        response.tbs_response_bytes,
        response.signature,
        signer.public_key,
    )


class _ResponseSignature:
    """The signature algorithm of a response, in the form that certificates give theirs.

    RSA with PKCS #1 v1.5 or ECDSA; a response signed with PSS does not verify.
    """

    def __init__(self, response: ocsp.OCSPResponse) -> None:
        self.signature_hash_algorithm = response.signature_hash_algorithm
        is_ecdsa = response.signature_algorithm_oid in _ECDSA
        self.signature_algorithm_parameters: padding.PKCS1v15 | ec.ECDSA = (
            ec.ECDSA(self.signature_hash_algorithm or SHA384()) if is_ecdsa else padding.PKCS1v15()
        )


def _name(certificate: Certificate, algorithm: str) -> CertificateName:
    """Return how OCSP names *certificate* under a hash *algorithm*."""
    issuer = _issuer(certificate)
    if certificate.serial[0] & _NEGATIVE:
        raise OcspError("OCSP cannot ask about a negative serial number")
    _, key = der.parse(issuer.public_key.spki).children()
    return CertificateName(
        hashlib.new(algorithm, issuer.subject, usedforsecurity=False).digest(),
        hashlib.new(algorithm, key.content[1:], usedforsecurity=False).digest(),
        int.from_bytes(certificate.serial),
    )


def _issuer(certificate: Certificate) -> Certificate:
    """Return the issuer that came with *certificate*."""
    if certificate.issuer is None:
        raise OcspError("the certificate has no issuer with it; complete its chain first")
    return certificate.issuer


def _nonce(extensions: x509.Extensions) -> bytes | None:
    """Return the nonce among *extensions*."""
    for extension in extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            return extension.value.nonce
    return None


def _check_size(data: bytes) -> None:
    """Refuse messages that are too long."""
    if len(data) > MESSAGE_SIZE_MAX:
        raise InvalidOcspError(f"{len(data)} bytes; {MESSAGE_SIZE_MAX} at most")


def _moment(wall: float) -> datetime:
    """Return a date for the library."""
    return datetime.fromtimestamp(int(wall), UTC)


def _sha1() -> SHA1:
    """Return the hash that names issuers: an index, not a promise."""
    return SHA1()  # noqa: S303 - what GnuTLS uses, hence every responder knows
