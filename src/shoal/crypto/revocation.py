"""Certificate revocation lists.

    CertificateList  SEQUENCE { TBSCertList, AlgorithmIdentifier, BIT STRING signature }
    TBSCertList      SEQUENCE { INTEGER 1, AlgorithmIdentifier, Name issuer, Time this update,
    (continued)      Time next update, SEQUENCE OF Entry, [0] extensions }
    Entry            SEQUENCE { INTEGER serial, Time, extensions }
    Source           RFC 5280 section 5.1

Serial numbers of certificates, and numbers of lists, may be negative in the wild.
`cryptography` neither writes nor fully reads those, so the frame is read and written here; dates
and signatures are the library's.
"""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA512

from shoal.core import DecodeError
from shoal.core.records import dataclass
from shoal.crypto import der, pem
from shoal.crypto.errors import InvalidRevocationListError, NotAnAuthorityError
from shoal.crypto.signatures import has_valid_signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shoal.core import Entropy
    from shoal.crypto.certificates import Certificate
    from shoal.crypto.identity import Identity
    from shoal.crypto.keys import NativePrivateKey

LIST_SIZE_MAX: Final = 65_536  # OpenDHT value.h: MAX_VALUE_SIZE
NUMBER_BITS: Final = 63  # ours: OpenDHT reads 64 bits, and older readers take them as signed
_VERSION_2: Final = der.encode_integer(1)
_EXTENSIONS_TAG: Final = 0xA0
_CRL_NUMBER: Final = bytes.fromhex("551d14")  # RFC 5280 section 5.2.3
_RSA_SHA512: Final = bytes.fromhex("2a864886f70d01010d")  # RFC 8017 appendix A.2.4
_ECDSA_SHA512: Final = bytes.fromhex("2a8648ce3d040304")  # RFC 5758 section 3.2
_UTC_TIME_END: Final = 2050  # RFC 5280 section 4.1.2.5: GeneralizedTime from then on


class _Frame(NamedTuple):
    """A list taken apart."""

    tbs: bytes
    signature: bytes
    issuer: bytes
    revoked: Mapping[bytes, bytes]  # content of the serial number: date as it is encoded
    number: int


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Which certificates an authority has taken back. Whether the authority said so: see below."""

    der: bytes = field(repr=False)
    native: x509.CertificateRevocationList = field(compare=False, repr=False)
    _frame: _Frame = field(compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> RevocationList:
        """Read a list in PEM or DER.

        Raises:
            InvalidRevocationListError: *data* is none.

        Source: OpenDHT crypto.cpp, RevocationList::unpack.
        """
        if len(data) > LIST_SIZE_MAX:
            raise InvalidRevocationListError(f"{len(data)} bytes; {LIST_SIZE_MAX} at most")
        try:
            if pem.has_blocks(data):
                (data,) = pem.blocks(data, "X509 CRL", 1)
            frame = _take_apart(data)
            native = x509.load_der_x509_crl(data)
            _ = native.last_update_utc, native.next_update_utc
        except (ValueError, IndexError, x509.InvalidVersion, DecodeError) as error:
            raise InvalidRevocationListError(f"not a revocation list: {error}") from error
        return cls(data, native, frame)

    @property
    def issuer(self) -> bytes:
        """The issuer's distinguished name in DER."""
        return self._frame.issuer

    @property
    def number(self) -> int:
        """The list's number, read as unsigned; 0 without one. It grows from list to list."""
        return self._frame.number

    @property
    def serials(self) -> frozenset[bytes]:
        """The revoked serial numbers, as `Certificate.serial` has them."""
        return frozenset(self._frame.revoked)

    @property
    def wall_this_update(self) -> float:
        """When the list was made."""
        return self.native.last_update_utc.timestamp()

    @property
    def wall_next_update(self) -> float | None:
        """When another is due at the latest."""
        due = self.native.next_update_utc
        return None if due is None else due.timestamp()

    def is_revoked(self, certificate: Certificate) -> bool:
        """Say whether *certificate* is on the list, and of the same issuer."""
        return (
            certificate.issuer_subject == self._frame.issuer
            and certificate.serial in self._frame.revoked
        )

    def is_signed_by(self, issuer: Certificate) -> bool:
        """Say whether *issuer* has the right name, the right to sign lists, and signed this one.

        Source: OpenDHT crypto.cpp, RevocationList::isSignedBy.
        """
        return (
            issuer.subject == self._frame.issuer
            and issuer.can_sign_lists
            and has_valid_signature(
                self.native, self._frame.tbs, self._frame.signature, issuer.public_key
            )
        )

    def to_pem(self) -> str:
        """Return PEM text."""
        return pem.encode("X509 CRL", self.der)


def revoke(
    certificates: Iterable[Certificate],
    issuer: Identity,
    *,
    number: int,
    wall_now: float,
    previous: RevocationList | None = None,
    wall_next_update: float | None = None,
) -> RevocationList:
    """Return *issuer*'s list of *certificates* and of all that *previous* has.

    *number* has to be above that of *previous*, see `next_number` and `first_number`. Without
    *wall_next_update* the list is good as long as the issuer's certificate.

    Raises:
        NotAnAuthorityError: *issuer* may not sign lists, or is not that of *previous*.

    Source: OpenDHT crypto.cpp, RevocationList::revoke and sign.
    """
    certificate = issuer.certificate
    if not certificate.can_sign_lists:
        raise NotAnAuthorityError(f"{certificate.name!r} may not sign revocation lists")
    revoked: dict[bytes, bytes] = {}
    if previous is not None:
        if previous.issuer != certificate.subject:
            raise NotAnAuthorityError("the previous list is of another issuer")
        revoked.update(previous._frame.revoked)  # noqa: SLF001 - of the same module
    for taken_back in certificates:
        revoked.setdefault(taken_back.serial, _time(wall_now))
    due = certificate.wall_not_after if wall_next_update is None else wall_next_update
    algorithm = _algorithm(issuer.private_key.native)
    tbs = der.encode(
        der.SEQUENCE,
        _VERSION_2,
        algorithm,
        certificate.subject,
        _time(wall_now),
        _time(due),
        _entries(revoked),
        _number_extension(number),
    )
    signature = _sign(tbs, issuer.private_key.native)
    bits = der.encode(der.BIT_STRING, b"\0", signature)
    return RevocationList.parse(der.encode(der.SEQUENCE, tbs, algorithm, bits))


def first_number(entropy: Entropy) -> int:
    """Return the number of an authority's first list: random, for it may have lost older ones."""
    return 1 + entropy.below(2**NUMBER_BITS - 1)


def next_number(previous: RevocationList) -> int:
    """Return the number of the list that follows *previous*."""
    return previous.number + 1


def _take_apart(data: bytes) -> _Frame:
    """Read the frame of a list."""
    tbs, _, signature = der.parse(data).expect(der.SEQUENCE).children()
    fields = tbs.expect(der.SEQUENCE).children()
    if fields[0].tag == der.INTEGER:  # the version, which lists of version 1 do not have
        del fields[0]
    _, issuer, _, *rest = fields
    if rest and rest[0].tag in (der.UTC_TIME, der.GENERALIZED_TIME):
        del rest[0]
    revoked = {}
    if rest and rest[0].tag == der.SEQUENCE:
        for entry in rest.pop(0).children():
            serial, date, *_ = entry.expect(der.SEQUENCE).children()
            revoked[serial.expect(der.INTEGER).content] = date.encoded
    number = _read_number(rest[0]) if rest and rest[0].tag == _EXTENSIONS_TAG else 0
    bits = signature.expect(der.BIT_STRING).content
    return _Frame(tbs.encoded, bits[1:], issuer.encoded, MappingProxyType(revoked), number)


def _read_number(extensions: der.Element) -> int:
    """Return the CRL number among *extensions*, or 0."""
    (sequence,) = extensions.children()
    for extension in sequence.expect(der.SEQUENCE).children():
        parts = extension.expect(der.SEQUENCE).children()
        if parts[0].content == _CRL_NUMBER:
            value = parts[-1].expect(der.OCTET_STRING).content
            return int.from_bytes(der.parse(value).expect(der.INTEGER).content)
    return 0


def _entries(revoked: Mapping[bytes, bytes]) -> bytes:
    """Return the revoked certificates; nothing at all when there are none."""
    if not revoked:
        return b""  # RFC 5280 section 5.1.2.6: "the revoked certificates list MUST be absent"
    entries = (
        der.encode(der.SEQUENCE, der.encode(der.INTEGER, serial), date)
        for serial, date in revoked.items()
    )
    return der.encode(der.SEQUENCE, *entries)


def _number_extension(number: int) -> bytes:
    """Return the extensions of a list: its number, and no other."""
    value = der.encode(der.OCTET_STRING, der.encode_integer(number))
    extension = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, _CRL_NUMBER), value)
    return der.encode(_EXTENSIONS_TAG, der.encode(der.SEQUENCE, extension))


def _time(wall: float) -> bytes:
    """Return a Time of whole seconds."""
    moment = datetime.fromtimestamp(int(wall), UTC)
    if moment.year < _UTC_TIME_END:
        return der.encode(der.UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return der.encode(der.GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def _algorithm(key: NativePrivateKey) -> bytes:
    """Return the AlgorithmIdentifier of what `_sign` does with *key*."""
    if isinstance(key, rsa.RSAPrivateKey):
        oid = der.encode(der.OBJECT_IDENTIFIER, _RSA_SHA512)
        return der.encode(der.SEQUENCE, oid, der.encode(der.NULL))
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, _ECDSA_SHA512))


def _sign(tbs: bytes, key: NativePrivateKey) -> bytes:
    """Return the signature with SHA-512, as OpenDHT signs lists."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(tbs, PKCS1v15(), SHA512())
    return key.sign(tbs, ec.ECDSA(SHA512()))
