"""Certificates: reading, chains, and what peers write that the standard forbids."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA1, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto import der, pem
from shoal.crypto.certificates import CHAIN_LENGTH_MAX, Certificate
from shoal.crypto.errors import InvalidCertificateError, UnsupportedKeyError
from shoal.crypto.identity import Identity
from shoal.crypto.keys import PrivateKey
from tests.unit.crypto.samples import DHTNODE, YEAR, authority, moment, rsa_key, under

CHAIN = (DHTNODE / "plain.crt").read_bytes()
LEAF = Certificate.parse(CHAIN)


def with_parts(
    certificate: Certificate, serial: bytes | None = None, algorithm: bytes | None = None
) -> bytes:
    """Return the DER of *certificate* with another serial or outer algorithm; it is not signed."""
    tbs, outer, signature = der.parse(certificate.der).children()
    fields = [field.encoded for field in tbs.children()]
    if serial is not None:
        fields[1] = der.encode(der.INTEGER, serial)
    return der.encode(
        der.SEQUENCE,
        der.encode(der.SEQUENCE, *fields),
        algorithm or outer.encoded,
        signature.encoded,
    )


def custom(*extensions: x509.ExtensionType) -> Certificate:
    """Return a self-signed certificate with these extensions and no common name."""
    key = PrivateKey.generate_ec()
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "o")])
    builder = x509.CertificateBuilder(name, name, key.native.public_key(), 5, moment(0), moment(9))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Certificate.parse(builder.sign(key.native, SHA384()).public_bytes(Encoding.DER))


def test_dhtnode_chain_is_read_and_written_the_same() -> None:
    """Made by 2.4.12: an RSA leaf, and a P-384 authority whose serial number reads as negative."""
    leaf, ca = LEAF.chain()

    assert LEAF.to_pem().encode() == CHAIN
    assert (leaf.name, leaf.issuer_name, ca.name) == ("DHT Node", "DHT Node CA", "DHT Node CA")
    assert (leaf.uid, leaf.issuer_uid) == (str(leaf.id), str(ca.id))
    assert leaf.subject_key_id == leaf.id
    assert leaf.long_id == leaf.public_key.long_id
    assert ca.serial.hex() == "c6cfb6a97c9bc750"
    assert (leaf.is_ca, ca.is_ca, ca.path_length, ca.can_sign_lists) == (False, True, None, True)
    assert leaf.wall_not_after - leaf.wall_not_before == 10 * YEAR
    assert leaf.is_signed_by(ca.public_key)
    assert ca.is_signed_by(ca.public_key)
    assert not leaf.is_signed_by(leaf.public_key)
    assert (leaf.is_self_issued, ca.is_self_issued) == (False, True)


@pytest.mark.parametrize("serial", ["ff", "80", "00", "8000000000000001", "98eb83f7a1de081c"])
def test_serial_numbers_that_are_not_positive_are_read(serial: str) -> None:
    """As raw bytes, without a warning: half of Jami's certificates have such a serial number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certificate = Certificate.parse(with_parts(LEAF, bytes.fromhex(serial)))

    assert certificate.serial.hex() == serial
    assert certificate.id == LEAF.id
    assert LEAF.issuer is not None
    assert not certificate.is_signed_by(LEAF.issuer.public_key)  # we changed what was signed


def test_bytes_before_the_text_are_passed_over() -> None:
    """The msgpack header of a DHT value, for one."""
    assert Certificate.parse(b"\xc5\x08\x4c" + CHAIN) == LEAF
    assert Certificate.parse(CHAIN) == LEAF
    assert hash(Certificate.parse(CHAIN)) == hash(LEAF)


def test_der_is_one_certificate() -> None:
    """Without its issuers it is not equal to the chain."""
    alone = Certificate.parse(LEAF.der)

    assert alone.issuer is None
    assert alone != LEAF
    assert alone.with_issuer(LEAF.issuer) == LEAF
    assert alone.to_pem() == LEAF.to_pem(with_issuers=False)


def test_chain_out_of_order_is_refused() -> None:
    """As the reference refuses it."""
    leaf, ca = LEAF.chain()
    with pytest.raises(InvalidCertificateError, match="order"):
        Certificate.parse((ca.to_pem() + leaf.to_pem(with_issuers=False)).encode())
    with pytest.raises(InvalidCertificateError, match="order"):
        leaf.with_issuer(leaf)


def test_chains_are_bounded() -> None:
    """16 certificates, however they come together; and 64 KiB of text."""
    ca = authority()
    link = ca.certificate
    for _ in range(CHAIN_LENGTH_MAX - 1):
        link = ca.certificate.with_issuer(link)
    assert Certificate.parse(link.to_pem().encode()) == link

    with pytest.raises(InvalidCertificateError, match="16"):
        ca.certificate.with_issuer(link)
    with pytest.raises(InvalidCertificateError, match="16"):
        Certificate.parse((link.to_pem() + ca.certificate.to_pem()).encode())
    with pytest.raises(InvalidCertificateError, match="65536 at most"):
        Certificate.parse(bytes(65_537))
    with pytest.raises(InvalidCertificateError, match="16384 at most"):
        Certificate.parse(bytes(16_385))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x00",
        b"-----BEGIN PUBLIC KEY-----AAAA-----END PUBLIC KEY-----",
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        der.encode(der.SEQUENCE, der.encode(der.SEQUENCE), der.encode(der.SEQUENCE), b"\3\1\0"),
    ],
)
def test_garbage_is_no_certificate(data: bytes) -> None:
    """PEM or DER."""
    with pytest.raises(InvalidCertificateError):
        Certificate.parse(data)


def test_two_signature_algorithms_are_refused() -> None:
    """What is signed says SHA-384; what stands outside must not say otherwise."""
    other = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, b"\x2a\x03"))
    with pytest.raises(InvalidCertificateError, match="two signature algorithms"):
        Certificate.parse(with_parts(LEAF, algorithm=other))


def test_frame_that_the_library_refuses() -> None:
    """Our reader looks at the frame alone; what is in it is the library's."""
    version = der.encode(0xA0, der.encode_integer(9))
    tbs, outer, signature = der.parse(LEAF.der).children()
    fields = [version, *(field.encoded for field in tbs.children()[1:])]
    data = der.encode(
        der.SEQUENCE, der.encode(der.SEQUENCE, *fields), outer.encoded, signature.encoded
    )
    with pytest.raises(InvalidCertificateError, match="not a certificate"):
        Certificate.parse(data)


def test_certificate_without_version_is_read() -> None:
    """Version 1 has no version field, and no extensions."""
    tbs, outer, signature = der.parse(LEAF.der).children()
    fields = [field.encoded for field in tbs.children()[1:7]]
    certificate = Certificate.parse(
        der.encode(
            der.SEQUENCE, der.encode(der.SEQUENCE, *fields), outer.encoded, signature.encoded
        )
    )
    assert certificate.serial == LEAF.serial
    assert (certificate.is_ca, certificate.subject_key_id) == (False, None)


def test_unique_ids_are_passed_over() -> None:
    """Fields that nobody has used since 1996 may stand before the extensions."""
    tbs, outer, signature = der.parse(LEAF.der).children()
    fields = [field.encoded for field in tbs.children()]
    fields.insert(-1, der.encode(0x81, b"\0x"))
    certificate = Certificate.parse(
        der.encode(
            der.SEQUENCE, der.encode(der.SEQUENCE, *fields), outer.encoded, signature.encoded
        )
    )
    assert certificate.subject_key_id == LEAF.id


def test_keys_of_other_kinds_are_refused() -> None:
    """With an error that names them."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    native = x509.CertificateBuilder(name, name, key.public_key(), 5, moment(0), moment(9)).sign(
        key, None
    )
    with pytest.raises(UnsupportedKeyError, match="Ed25519"):
        Certificate.parse(native.public_bytes(Encoding.DER))


def test_extensions_are_told() -> None:
    """Constraints without key usage make an authority; OCSP addresses are found among others."""
    responder = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example")
    )
    others = [
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca")
        ),
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.DNSName("not.a.url")),
    ]
    certificate = custom(
        x509.BasicConstraints(ca=True, path_length=2),
        x509.AuthorityInformationAccess([*others, responder]),
        x509.OCSPNoCheck(),
    )
    assert (certificate.is_ca, certificate.path_length) == (True, 2)
    assert certificate.can_sign_lists
    assert certificate.ocsp_urls == ("http://ocsp.example",)
    assert (certificate.name, certificate.uid) == ("", "")


def test_authority_without_the_right_to_sign_is_none() -> None:
    """Key usage, where it is there, has to agree."""
    usage = x509.KeyUsage(True, *[False] * 8)
    certificate = custom(x509.BasicConstraints(ca=True, path_length=None), usage)
    assert not certificate.is_ca
    assert not certificate.can_sign_lists


def test_text_form_hides_nothing_but_bytes() -> None:
    """A certificate prints its key id, not a kilobyte."""
    assert len(repr(LEAF)) < 300
    assert str(LEAF.id) in repr(LEAF)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_certificate_or_an_error(data: bytes) -> None:
    """Reading is total."""
    with pytest.raises(InvalidCertificateError):
        Certificate.parse(data)


@given(st.integers(0, len(LEAF.der) - 1), st.integers(1, 255))
def test_damaged_certificates_do_not_verify(position: int, flip: int) -> None:
    """One byte changed: an error of ours, or a certificate that its issuer did not sign."""
    data = bytearray(LEAF.der)
    data[position] ^= flip
    assert LEAF.issuer is not None
    try:
        certificate = Certificate.parse(bytes(data))
    except (DecodeError, UnsupportedKeyError):
        return
    assert not certificate.is_signed_by(LEAF.issuer.public_key)


def test_weak_hashes_are_never_valid() -> None:
    """A certificate signed with SHA-1 is read, and believed by nobody."""
    ca = Identity(rsa_key(), under_rsa())
    native = x509.CertificateBuilder(
        ca.certificate.native.subject,
        ca.certificate.native.subject,
        rsa_key().native.public_key(),
        5,
        moment(0),
        moment(9),
    )
    sha384 = native.sign(rsa_key().native, SHA384()).public_bytes(Encoding.DER)
    assert Certificate.parse(sha384).is_signed_by(rsa_key().public_key)
    sha1_oid = bytes.fromhex("2a864886f70d010105")
    weak = Certificate.parse(sha384.replace(bytes.fromhex("2a864886f70d01010c"), sha1_oid))
    assert isinstance(weak.native.signature_hash_algorithm, SHA1)
    assert not weak.is_signed_by(rsa_key().public_key)


def under_rsa() -> Certificate:
    """Return a certificate for the RSA test key."""
    return under(authority(), "rsa", key=rsa_key()).certificate


def test_pem_label_is_that_of_everybody() -> None:
    """One block per certificate."""
    assert pem.blocks(CHAIN, "CERTIFICATE", 2) == [link.der for link in LEAF.chain()]


def test_a_key_that_is_none_makes_no_certificate() -> None:
    """A point that is not on the curve: found by the fuzzer of device chains."""
    whole = authority().certificate
    spki = whole.public_key.spki
    damaged = whole.der.replace(spki, spki[:-1] + bytes([spki[-1] ^ 1]))

    with pytest.raises(InvalidCertificateError, match="the key"):
        Certificate.parse(damaged)
