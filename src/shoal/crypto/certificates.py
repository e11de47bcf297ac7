"""X.509 certificates, each with the chain of its issuers.

    Certificate     SEQUENCE { TBSCertificate, AlgorithmIdentifier, BIT STRING signature }
    TBSCertificate  SEQUENCE { [0] version, INTEGER serial, AlgorithmIdentifier, Name issuer,
    (continued)     SEQUENCE { Time, Time }, Name subject, SubjectPublicKeyInfo, [3] extensions }
    Source          RFC 5280 section 4.1

OpenDHT before 4.3 and Jami write serial numbers whose first bit may be set, which DER reads as
negative. `cryptography` warns about them and will refuse them one day, so it is shown a copy with
another serial; serial, signed bytes and signature are read here, from the original.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import DecodeError, InfoHash, PublicKeyId
from shoal.core.records import dataclass
from shoal.crypto import der, pem
from shoal.crypto.errors import InvalidCertificateError, InvalidKeyError
from shoal.crypto.fields import COMMON_NAME, USER_ID, Extensions, read_attribute, read_extensions
from shoal.crypto.keys import PublicKey
from shoal.crypto.signatures import has_valid_signature

if TYPE_CHECKING:
    from cryptography import x509

CHAIN_LENGTH_MAX: Final = 16  # GnuTLS: DEFAULT_MAX_VERIFY_DEPTH
CERTIFICATE_SIZE_MAX: Final = 16_384  # ours: ten times what Jami's have
CHAIN_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE
_VERSION_TAG: Final = 0xA0
_EXTENSIONS_TAG: Final = 0xA3
_FIELDS_MIN: Final = 6
_NEGATIVE: Final = 0x80
_POSITIVE: Final = b"\1"


class _Signed(NamedTuple):
    """A certificate taken apart, as far as signatures and comparisons go."""

    tbs: bytes
    signature: bytes
    serial: bytes
    issuer_name: bytes
    subject_name: bytes
    spki: bytes
    extensions: Extensions
    readable: bytes  # what the library is shown


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and, if known, that of its issuer, which has its own issuer in turn.

    Equal when the bytes of the whole chain are. It does not say that it is valid: for that, see
    `shoal.crypto.trust`.
    """

    der: bytes = field(repr=False)
    issuer: Certificate | None
    public_key: PublicKey = field(compare=False)
    native: x509.Certificate = field(compare=False, repr=False)
    _signed: _Signed = field(compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Certificate:
        """Read one certificate in DER, or PEM text: a chain from the leaf up.

        Bytes before the first PEM block are passed over; a chain has at most 16 certificates.

        Raises:
            InvalidCertificateError: *data* is neither, or the chain is not in order.
            UnsupportedKeyError: the public key of one is of a kind that we do not use.

        Source: OpenDHT crypto.cpp, Certificate::unpack.
        """
        if len(data) > CHAIN_SIZE_MAX:
            raise InvalidCertificateError(f"a chain of {len(data)} bytes; {CHAIN_SIZE_MAX} at most")
        certificate: Certificate | None = None
        for der_bytes in reversed(_split(data)):
            certificate = _parse(der_bytes, certificate)
        if certificate is None:
            raise InvalidCertificateError("no certificate in the PEM text")
        return certificate

    def with_issuer(self, issuer: Certificate | None) -> Certificate:
        """Return this certificate on top of another chain.

        Raises:
            InvalidCertificateError: *issuer* has another name than the issuer of this one, or the
                chain becomes longer than 16.
        """
        if issuer is not None:
            _check_link(self._signed.issuer_name, issuer)
        return Certificate(self.der, issuer, self.public_key, self.native, self._signed)

    def chain(self) -> tuple[Certificate, ...]:
        """Return this certificate, its issuer, and so on."""
        found, current = [self], self.issuer
        while current is not None:
            found.append(current)
            current = current.issuer
        return tuple(found)

    @property
    def id(self) -> InfoHash:
        """The short id: that of the public key, so a renewed certificate keeps it."""
        return self.public_key.id

    @property
    def long_id(self) -> PublicKeyId:
        """The long id of the public key."""
        return self.public_key.long_id

    @property
    def serial(self) -> bytes:
        """The content of the serial number, to be compared as it is."""
        return self._signed.serial

    @property
    def subject(self) -> bytes:
        """The subject's distinguished name in DER."""
        return self._signed.subject_name

    @property
    def issuer_subject(self) -> bytes:
        """The issuer's distinguished name in DER."""
        return self._signed.issuer_name

    @property
    def name(self) -> str:
        """The subject's common name; empty if it has none."""
        return read_attribute(self._signed.subject_name, COMMON_NAME)

    @property
    def uid(self) -> str:
        """The subject's user id, 40 hex digits of its key id in OpenDHT; empty if it has none."""
        return read_attribute(self._signed.subject_name, USER_ID)

    @property
    def issuer_name(self) -> str:
        """The issuer's common name; empty if it has none."""
        return read_attribute(self._signed.issuer_name, COMMON_NAME)

    @property
    def issuer_uid(self) -> str:
        """The issuer's user id; empty if it has none."""
        return read_attribute(self._signed.issuer_name, USER_ID)

    @property
    def wall_not_before(self) -> float:
        """When it begins to be valid."""
        return self.native.not_valid_before_utc.timestamp()

    @property
    def wall_not_after(self) -> float:
        """When it ceases to be valid."""
        return self.native.not_valid_after_utc.timestamp()

    @property
    def is_ca(self) -> bool:
        """Whether it may sign certificates."""
        return self._signed.extensions.is_ca

    @property
    def can_sign_lists(self) -> bool:
        """Whether it may sign revocation lists."""
        return self._signed.extensions.can_sign_lists

    @property
    def can_sign_ocsp(self) -> bool:
        """Whether its issuer lets it sign OCSP responses."""
        return self._signed.extensions.can_sign_ocsp

    @property
    def path_length(self) -> int | None:
        """How many authorities may stand between it and a leaf; None for any number."""
        return self._signed.extensions.path_length

    @property
    def subject_key_id(self) -> bytes | None:
        """The subject key identifier, if it has one."""
        return self._signed.extensions.subject_key_id

    @property
    def ocsp_urls(self) -> tuple[str, ...]:
        """Where to ask whether it is revoked."""
        return self._signed.extensions.ocsp_urls

    @property
    def has_unknown_critical(self) -> bool:
        """Whether it has a critical extension that we do not know."""
        return self._signed.extensions.has_unknown_critical

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are the same name."""
        return self._signed.subject_name == self._signed.issuer_name

    def is_signed_by(self, key: PublicKey) -> bool:
        """Say whether the signature is by *key*, with SHA-256 or better."""
        return has_valid_signature(self.native, self._signed.tbs, self._signed.signature, key)

    def to_pem(self, *, with_issuers: bool = True) -> str:
        """Return PEM text: the chain from here up, without anything in between."""
        chain = self.chain() if with_issuers else (self,)
        return "".join(pem.encode("CERTIFICATE", certificate.der) for certificate in chain)


def _split(data: bytes) -> list[bytes]:
    """Return the certificates in *data*."""
    if not pem.has_blocks(data):
        return [data]
    try:
        return pem.blocks(data, "CERTIFICATE", CHAIN_LENGTH_MAX)
    except DecodeError as error:
        raise InvalidCertificateError(str(error)) from error


def _parse(data: bytes, issuer: Certificate | None) -> Certificate:
    """Read one certificate and set it on top of its *issuer*."""
    from cryptography import x509  # noqa: PLC0415 - a sixth of what a node takes to import

    if len(data) > CERTIFICATE_SIZE_MAX:
        raise InvalidCertificateError(f"{len(data)} bytes; {CERTIFICATE_SIZE_MAX} at most")
    signed = _take_apart(data)
    try:
        native = x509.load_der_x509_certificate(signed.readable)
        # The library parses these late: ask now, so that the properties cannot fail.
        _ = native.not_valid_before_utc, native.not_valid_after_utc
    except (ValueError, x509.InvalidVersion) as error:
        raise InvalidCertificateError(f"not a certificate: {error}") from error
    try:
        public_key = PublicKey.from_spki(signed.spki)
    except InvalidKeyError as error:
        raise InvalidCertificateError(f"the key in the certificate: {error}") from error
    if issuer is not None:
        _check_link(signed.issuer_name, issuer)
    return Certificate(data, issuer, public_key, native, signed)


def _take_apart(data: bytes) -> _Signed:
    """Read the frame of a certificate."""
    try:
        tbs, algorithm, signature = der.parse(data).expect(der.SEQUENCE).children()
        fields = tbs.expect(der.SEQUENCE).children()
        if fields and fields[0].tag == _VERSION_TAG:
            del fields[0]
        if len(fields) < _FIELDS_MIN:
            raise InvalidCertificateError("fields are missing", tbs.start)
        serial, inner_algorithm, issuer, _, subject, spki = fields[:_FIELDS_MIN]
        for name in (issuer, subject):
            read_attribute(name.encoded, COMMON_NAME)  # so that the properties cannot fail
        bits = signature.expect(der.BIT_STRING).content
        serial.expect(der.INTEGER)
        extensions = _extensions(fields[_FIELDS_MIN:])
    except ValueError as error:
        raise InvalidCertificateError("not three parts") from error
    except DecodeError as error:
        raise InvalidCertificateError(str(error)) from error
    if inner_algorithm.encoded != algorithm.encoded:
        # RFC 5280 section 4.1.1.2: "This field MUST contain the same algorithm identifier as the
        # signature field in the sequence tbsCertificate".
        raise InvalidCertificateError("two signature algorithms", algorithm.start)
    return _Signed(
        tbs.encoded,
        bits[1:],
        serial.content,
        issuer.encoded,
        subject.encoded,
        spki.encoded,
        extensions,
        _with_readable_serial(data, serial),
    )


def _extensions(fields: list[der.Element]) -> Extensions:
    """Return what the extensions say, if they are among *fields*."""
    for candidate in fields:
        if candidate.tag == _EXTENSIONS_TAG:
            (sequence,) = candidate.children()
            return read_extensions(sequence)
    return read_extensions(None)


def _with_readable_serial(data: bytes, serial: der.Element) -> bytes:
    """Return *data* with a positive number of the same length in the place of *serial*."""
    content = serial.content
    if any(content) and content[0] < _NEGATIVE:
        return data
    return data[: serial.content_start] + _POSITIVE * len(content) + data[serial.end :]


def _check_link(issuer_name: bytes, issuer: Certificate) -> None:
    """Refuse an issuer of another name, and chains that become too long."""
    if issuer_name != issuer.subject:
        raise InvalidCertificateError("the chain is not in order: an issuer has another name")
    if len(issuer.chain()) >= CHAIN_LENGTH_MAX:
        raise InvalidCertificateError(f"a chain of more than {CHAIN_LENGTH_MAX} certificates")
