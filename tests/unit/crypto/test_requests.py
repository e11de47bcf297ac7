"""Certificate signing requests."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from shoal.crypto.errors import InvalidRequestError, NotAnAuthorityError, UnsupportedKeyError
from shoal.crypto.keys import PrivateKey
from shoal.crypto.requests import CertificateRequest
from shoal.crypto.trust import NO_PROBLEM, TrustList
from tests.unit.crypto.samples import WALL, authority, entropy, rsa_key, under

REQUEST = CertificateRequest.create(rsa_key(), "Test Device")


def test_requested_certificate_is_trusted() -> None:
    """Made, sent as text, checked, signed by an authority, and then believed."""
    ca = authority("Test CA")
    received = CertificateRequest.parse(REQUEST.to_pem().encode())
    certificate = received.issue(ca, entropy=entropy(), wall_now=WALL)
    trusted = TrustList()
    trusted.add(ca.certificate)

    assert received == REQUEST
    assert (certificate.name, certificate.issuer_name) == (received.name, "Test CA")
    assert certificate.public_key == rsa_key().public_key
    assert certificate.uid == str(rsa_key().public_key.id)
    assert not list(certificate.native.extensions)
    assert trusted.verify(certificate, WALL) == NO_PROBLEM


def test_der_and_the_label_of_gnutls_are_read() -> None:
    """NEW CERTIFICATE REQUEST is what the reference writes."""
    text = REQUEST.to_pem().replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
    assert CertificateRequest.parse(text.encode()) == REQUEST
    assert CertificateRequest.parse(REQUEST.der) == REQUEST


def test_request_without_a_name_is_read() -> None:
    """Its certificate will have none either."""
    key = PrivateKey.generate_ec()
    native = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key.native, SHA384())
    assert not CertificateRequest.parse(native.public_bytes(Encoding.DER)).name


def test_signature_of_the_key_is_needed() -> None:
    """One who does not hold the key cannot ask for its certificate."""
    damaged = REQUEST.der[:-1] + bytes([REQUEST.der[-1] ^ 1])
    with pytest.raises(InvalidRequestError, match="not by its key"):
        CertificateRequest.parse(damaged)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(16_385),
        b"-----BEGIN CERTIFICATE REQUEST-----",
        b"-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        (REQUEST.to_pem() + REQUEST.to_pem()).encode(),
    ],
)
def test_garbage_is_no_request(data: bytes) -> None:
    """Too long, no text, other text, two of them."""
    with pytest.raises(InvalidRequestError):
        CertificateRequest.parse(data)


def test_keys_of_other_kinds_are_refused() -> None:
    """Ed25519 by name; an algorithm that the library does not know either."""
    native = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(
        ed25519.Ed25519PrivateKey.generate(), None
    )
    data = native.public_bytes(Encoding.DER)
    unknown = REQUEST.der.replace(
        bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d010107")
    )
    for refused in (data, unknown):
        with pytest.raises(UnsupportedKeyError):
            CertificateRequest.parse(refused)


def test_leaves_do_not_issue() -> None:
    """The issuer has to be an authority."""
    with pytest.raises(NotAnAuthorityError):
        REQUEST.issue(under(authority(), "leaf"), entropy=entropy(), wall_now=WALL)


@given(st.binary(max_size=100))
def test_any_bytes_give_a_request_or_an_error(data: bytes) -> None:
    """Reading is total."""
    with pytest.raises(InvalidRequestError):
        CertificateRequest.parse(data)


@given(st.integers(0, len(REQUEST.der) - 1), st.integers(1, 255))
def test_damaged_requests_are_refused(position: int, flip: int) -> None:
    """One byte changed is never a valid request."""
    data = bytearray(REQUEST.der)
    data[position] ^= flip
    with pytest.raises((InvalidRequestError, UnsupportedKeyError)):
        CertificateRequest.parse(bytes(data))
