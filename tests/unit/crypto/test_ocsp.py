"""OCSP: requests, responses, and what makes a response worthless."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import InvalidOcspError, OcspError
from shoal.crypto.identity import Identity
from shoal.crypto.keys import PrivateKey
from shoal.crypto.ocsp import (
    NONCE_LENGTH,
    OcspRequest,
    OcspStatus,
    check_response,
    create_response,
)
from tests.unit.crypto.samples import DAY, WALL, authority, moment, rsa_key, under
from tests.unit.crypto.test_certificates import with_parts

CA = authority("ca")
DEVICE = under(CA, "device").certificate
OTHER = under(CA, "other", seed=3).certificate
NONCE = bytes(range(NONCE_LENGTH))


def respond(
    responder: Identity = CA,
    status: OcspStatus = OcspStatus.GOOD,
    nonce: bytes | None = NONCE,
    wall_now: float = WALL,
    certificate: Certificate = DEVICE,
) -> bytes:
    """Return a response that is good for a day."""
    return create_response(
        certificate,
        status,
        responder,
        nonce=nonce,
        wall_now=wall_now,
        wall_next_update=wall_now + DAY,
    )


def delegate(
    *uses: x509.ObjectIdentifier,
    issuer: Identity = CA,
    days: float = 1,
    key: PrivateKey | None = None,
) -> Identity:
    """Return an identity under *issuer* for these uses."""
    key = PrivateKey.generate_ec()
    builder = x509.CertificateBuilder(
        issuer.certificate.native.subject,
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "responder")]),
        key.native.public_key(),
        5,
        moment(-1),
        moment(days),
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    der = builder.sign(issuer.private_key.native, SHA384()).public_bytes(Encoding.DER)
    return Identity(key, Certificate.parse(der))


def test_request_names_certificate_and_nonce() -> None:
    """And the library reads what we wrote."""
    request = OcspRequest.create(DEVICE, NONCE)
    native = ocsp.load_der_ocsp_request(request.der)

    assert OcspRequest.parse(request.der) == request
    assert (request.nonce, request.subject.serial) == (NONCE, native.serial_number)
    assert native.serial_number == int.from_bytes(DEVICE.serial)
    expected = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(DEVICE.native, CA.certificate.native, SHA1())  # noqa: S303 - as GnuTLS
        .add_extension(x509.OCSPNonce(NONCE), critical=False)
        .build()
    )
    assert request.der == expected.public_bytes(Encoding.DER)


def test_request_without_a_nonce_is_read() -> None:
    """A responder may get one, also with another extension."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        DEVICE.native,
        CA.certificate.native,
        SHA256(),
    )
    other = x509.OCSPAcceptableResponses([x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.1")])
    for native in (builder.build(), builder.add_extension(other, critical=False).build()):
        assert OcspRequest.parse(native.public_bytes(Encoding.DER)).nonce is None


@pytest.mark.parametrize("status", list(OcspStatus))
def test_response_tells_the_status(status: OcspStatus) -> None:
    """Good, revoked, unknown; signed by the issuer itself."""
    data = respond(status=status)
    assert check_response(data, DEVICE, nonce=NONCE, wall_now=WALL) is status


def test_date_of_revocation_can_be_given() -> None:
    """Else it is the date of the response."""
    dates = [
        ocsp.load_der_ocsp_response(
            create_response(
                DEVICE,
                OcspStatus.REVOKED,
                CA,
                nonce=None,
                wall_now=WALL,
                wall_next_update=WALL + 1,
                wall_revoked=wall,
            )
        ).revocation_time_utc
        for wall in (None, WALL - DAY)
    ]
    assert dates == [moment(0), moment(-1)]


def test_rsa_issuers_sign_responses() -> None:
    """With PKCS #1 v1.5."""
    account = under(CA, "account", is_ca=True, key=rsa_key())
    device = under(account, "device").certificate
    data = respond(account, certificate=device)
    assert check_response(data, device, nonce=NONCE, wall_now=WALL) is OcspStatus.GOOD


def test_delegates_sign_responses() -> None:
    """Those that the issuer certified for it."""
    data = respond(delegate(ExtendedKeyUsageOID.OCSP_SIGNING))
    assert check_response(data, DEVICE, nonce=NONCE, wall_now=WALL) is OcspStatus.GOOD


@pytest.mark.parametrize(
    "responder",
    [
        delegate(),
        delegate(ExtendedKeyUsageOID.SERVER_AUTH),
        delegate(ExtendedKeyUsageOID.OCSP_SIGNING, days=-0.5),
        delegate(ExtendedKeyUsageOID.OCSP_SIGNING, issuer=authority("ca")),
        delegate(ExtendedKeyUsageOID.OCSP_SIGNING, issuer=authority("other")),
        authority("ca"),
    ],
    ids=["no use", "other use", "expired", "namesake's", "stranger's", "namesake"],
)
def test_others_do_not_speak_for_the_issuer(responder: Identity) -> None:
    """Whoever may sign at all, they do not sign for this one."""
    with pytest.raises(OcspError, match="on its behalf"):
        check_response(respond(responder), DEVICE, nonce=NONCE, wall_now=WALL)


def test_delegate_must_have_signed_itself() -> None:
    """Enclosing the certificate of an honest one is not enough."""
    data = respond(delegate(ExtendedKeyUsageOID.OCSP_SIGNING))
    signature = ocsp.load_der_ocsp_response(data).signature
    forged = data.replace(signature, signature[:-1] + bytes([signature[-1] ^ 1]))
    with pytest.raises(OcspError, match="on its behalf"):
        check_response(forged, DEVICE, nonce=NONCE, wall_now=WALL)


def test_unreadable_certificates_in_a_response_are_passed_over() -> None:
    """One with an Ed25519 key stands before the honest one."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    odd = x509.CertificateBuilder(name, name, key.public_key(), 5, moment(0), moment(1)).sign(
        key, None
    )
    honest = delegate(ExtendedKeyUsageOID.OCSP_SIGNING)
    native = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            DEVICE.native,
            CA.certificate.native,
            SHA256(),
            ocsp.OCSPCertStatus.GOOD,
            moment(0),
            None,
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, honest.certificate.native)
        .certificates([odd, honest.certificate.native])
        .sign(honest.private_key.native, SHA384())
    )
    data = native.public_bytes(Encoding.DER)
    # No next update either, and names by SHA-256: both are allowed.
    assert check_response(data, DEVICE, nonce=None, wall_now=WALL + DAY) is OcspStatus.GOOD


def test_nonce_must_come_back() -> None:
    """Else it may be an old response, replayed."""
    for nonce in (None, bytes(NONCE_LENGTH)):
        with pytest.raises(OcspError, match="nonce"):
            check_response(respond(nonce=nonce), DEVICE, nonce=NONCE, wall_now=WALL)
    status = check_response(respond(nonce=None), DEVICE, nonce=None, wall_now=WALL)
    assert status is OcspStatus.GOOD


def test_response_must_be_about_the_certificate() -> None:
    """Not about its sister."""
    with pytest.raises(OcspError, match="another certificate"):
        check_response(respond(), OTHER, nonce=NONCE, wall_now=WALL)


def test_response_must_be_of_now() -> None:
    """Five minutes of clock skew are forgiven."""
    data = respond()
    for wall_now in (WALL - 300, WALL + DAY + 300):
        assert check_response(data, DEVICE, nonce=NONCE, wall_now=wall_now) is OcspStatus.GOOD
    with pytest.raises(OcspError, match="future"):
        check_response(data, DEVICE, nonce=NONCE, wall_now=WALL - 301)
    with pytest.raises(OcspError, match="out of date"):
        check_response(data, DEVICE, nonce=NONCE, wall_now=WALL + DAY + 301)


def test_unsuccessful_responses_prove_nothing() -> None:
    """The responder's word is in the error."""
    data = ocsp.OCSPResponseBuilder.build_unsuccessful(
        ocsp.OCSPResponseStatus.TRY_LATER
    ).public_bytes(Encoding.DER)
    with pytest.raises(OcspError, match="try_later"):
        check_response(data, DEVICE, nonce=None, wall_now=WALL)


def test_certificates_that_ocsp_cannot_name() -> None:
    """Without an issuer, or with a negative serial number."""
    negative = Certificate.parse(with_parts(DEVICE, b"\xff\0")).with_issuer(CA.certificate)
    for certificate, reason in ((DEVICE.with_issuer(None), "issuer"), (negative, "negative")):
        with pytest.raises(OcspError, match=reason):
            OcspRequest.create(certificate, NONCE)
        with pytest.raises(OcspError, match=reason):
            respond(certificate=certificate)
        with pytest.raises(OcspError, match=reason):
            check_response(respond(), certificate, nonce=None, wall_now=WALL)


def test_messages_are_bounded() -> None:
    """64 KiB, both ways."""
    with pytest.raises(InvalidOcspError, match="65536"):
        OcspRequest.parse(bytes(65_537))
    with pytest.raises(InvalidOcspError, match="65536"):
        check_response(bytes(65_537), DEVICE, nonce=None, wall_now=WALL)


@given(st.binary(max_size=100))
def test_any_bytes_give_a_message_or_an_error(data: bytes) -> None:
    """Reading is total."""
    with pytest.raises(InvalidOcspError):
        OcspRequest.parse(data)
    with pytest.raises((InvalidOcspError, OcspError)):
        check_response(data, DEVICE, nonce=None, wall_now=WALL)


RESPONSE = respond()


@given(st.integers(0, len(RESPONSE) - 1), st.integers(1, 255))
def test_damaged_responses_prove_nothing_else(position: int, flip: int) -> None:
    """One byte changed in what is signed is noticed; in the rest it changes nothing."""
    data = bytearray(RESPONSE)
    data[position] ^= flip
    try:
        status = check_response(bytes(data), DEVICE, nonce=NONCE, wall_now=WALL)
    except (InvalidOcspError, OcspError):
        return
    assert status is OcspStatus.GOOD
