"""Making certificates the way OpenDHT and Jami make them.

Subject: CN = a name, UID = the key id in hex, in this order, both PrintableString where they can
be. Signatures use SHA-384. Serial numbers are positive, of at most 63 bits.
"""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, assert_never

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import IdentityError, InvalidNameError, NotAnAuthorityError

if TYPE_CHECKING:
    from shoal.core import Entropy
    from shoal.crypto.keys import PrivateKey, PublicKey

VALIDITY: Final = 315_360_000.0  # seconds; OpenDHT crypto.cpp: 10 * 365 days
BACKDATING: Final = 300.0  # ours: peers refuse certificates of the future, and clocks differ
_SERIAL_BOUND: Final = 2**63 - 1  # OpenDHT 4.3 crypto.cpp, setRandomSerial: 1 to 2^63 - 1
_NAME_LENGTH_MAX: Final = 64  # RFC 5280 appendix A: ub-common-name
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")  # X.680 section 41.4


class Profile(enum.Enum):
    """Which extensions a certificate gets."""

    AUTHORITY = enum.auto()  # subject key id; CA without path length; keyCertSign, cRLSign
    LEAF = enum.auto()  # subject key id; digitalSignature, dataEncipherment
    BARE = enum.auto()  # none: what Jami makes from a request


def draw_serial(entropy: Entropy) -> int:
    """Return a serial number for a new certificate, 1 to 2^63 - 1."""
    return 1 + entropy.below(_SERIAL_BOUND)


def subject_name(name: str, key: PublicKey) -> x509.Name:
    """Return the distinguished name of the holder of *key*.

    Raises:
        InvalidNameError: *name* is empty or longer than 64 bytes.
    """
    if not 1 <= len(name.encode()) <= _NAME_LENGTH_MAX:
        raise InvalidNameError(f"a common name has 1 to {_NAME_LENGTH_MAX} bytes: {name[:80]!r}")
    return x509.Name(
        [_name_attribute(NameOID.COMMON_NAME, name), _name_attribute(NameOID.USER_ID, str(key.id))]
    )


def issue_certificate(
    key: PublicKey,
    subject: x509.Name,
    signer: PrivateKey,
    issuer: Certificate | None,
    *,
    profile: Profile,
    serial: int,
    wall_now: float,
    validity: float = VALIDITY,
) -> Certificate:
    """Return a certificate for *key*, signed with *signer*.

    Without *issuer* it is signed by itself, so *signer* has to be the private key of *key*. It is
    valid from five minutes before *wall_now* until *validity* seconds after it.

    Raises:
        IdentityError: *signer* is not the key of *issuer*, or of *key* without an issuer.
        NotAnAuthorityError: *issuer* may not sign certificates.

    Source: OpenDHT crypto.cpp, Certificate::generate.
    """
    if issuer is not None and not issuer.is_ca:
        raise NotAnAuthorityError(f"{issuer.name!r} is no certificate authority")
    if signer.public_key != (key if issuer is None else issuer.public_key):
        raise IdentityError("the signing key is not that of the issuer")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.native.subject)
        .public_key(key.native)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(wall_now - BACKDATING, UTC))
        .not_valid_after(datetime.fromtimestamp(wall_now + validity, UTC))
    )
    for value, is_critical in _extensions(profile, key):
        builder = builder.add_extension(value, critical=is_critical)
    native = builder.sign(signer.native, SHA384())
    return Certificate.parse(native.public_bytes(Encoding.DER)).with_issuer(issuer)


def _extensions(profile: Profile, key: PublicKey) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions of *profile* and whether each is critical."""
    key_id = x509.SubjectKeyIdentifier(key.id)
    match profile:
        case Profile.AUTHORITY:
            constraints = x509.BasicConstraints(ca=True, path_length=None)
            return [(key_id, False), (constraints, True), (_usage(is_ca=True), True)]
        case Profile.LEAF:
            return [(key_id, False), (_usage(is_ca=False), True)]
        case Profile.BARE:
            return []
        case _:
            assert_never(profile)


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    """Return the key usage of authorities, or of leaves."""
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=not is_ca,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name_attribute(oid: x509.ObjectIdentifier, text: str) -> x509.NameAttribute[str]:
    """Return a PrintableString, or a UTF8String where the text needs one, as GnuTLS does."""
    is_printable = _PRINTABLE.fullmatch(text) is not None
    kind = _ASN1Type.PrintableString if is_printable else _ASN1Type.UTF8String
    return x509.NameAttribute(oid, text, kind)
