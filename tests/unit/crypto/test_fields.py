"""Names and extensions, read one by one."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
)
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto import der
from shoal.crypto.fields import (
    COMMON_NAME,
    USER_ID,
    Extensions,
    read_attribute,
    read_extensions,
)

TRUE = der.encode(der.BOOLEAN, b"\xff")


def packed(*extensions: tuple[x509.ExtensionType, bool]) -> der.Element:
    """Return the SEQUENCE of extensions, each with its criticality, as the library writes them."""
    entries = [
        der.encode(
            der.SEQUENCE,
            der.encode(der.OBJECT_IDENTIFIER, oid_bytes(value.oid)),
            TRUE if is_critical else b"",
            der.encode(der.OCTET_STRING, value.public_bytes()),
        )
        for value, is_critical in extensions
    ]
    return der.parse(der.encode(der.SEQUENCE, *entries))


def oid_bytes(oid: x509.ObjectIdentifier) -> bytes:
    """Return the content of an object identifier, taken out of a name that holds it."""
    attribute = x509.Name([x509.NameAttribute(oid, "x")]).public_bytes()
    relative = der.parse(attribute).children()[0].children()[0]
    return relative.children()[0].content


def key_usage(*, cert_sign: bool, crl_sign: bool) -> x509.KeyUsage:
    """Return a key usage of these two, or of none."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def with_value(oid: str, value: bytes) -> der.Element:
    """Return one extension with these bytes in it."""
    entry = der.encode(
        der.SEQUENCE,
        der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex(oid)),
        der.encode(der.OCTET_STRING, value),
    )
    return der.parse(der.encode(der.SEQUENCE, entry))


def name(tag: int, value: bytes, oid: bytes = COMMON_NAME) -> bytes:
    """Return a name of one attribute."""
    pair = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), der.encode(tag, value))
    return der.encode(der.SEQUENCE, der.encode(der.SET, pair))


def test_attributes_are_found_by_identifier() -> None:
    """The first of each kind; nothing for what is not there."""
    written = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "o"),
            x509.NameAttribute(NameOID.COMMON_NAME, "first"),
            x509.NameAttribute(NameOID.COMMON_NAME, "second"),
        ]
    ).public_bytes()
    assert read_attribute(written, COMMON_NAME) == "first"
    assert not read_attribute(written, USER_ID)


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (0x0C, "å".encode(), "å"),
        (0x13, b"a", "a"),
        (0x14, b"\xe5", "å"),
        (0x16, b"a", "a"),
        (0x1E, b"\x00\xe5", "å"),
        (0x0C, b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (0x03, b"\x00a", "\0a"),
    ],
)
def test_every_string_type_is_read(tag: int, value: bytes, text: str) -> None:
    """What cannot be decoded is replaced: a name decides nothing."""
    assert read_attribute(name(tag, value), COMMON_NAME) == text


@pytest.mark.parametrize(
    "written", [b"", b"\x31\x00", b"\x30\x02\x30\x00", b"\x30\x04\x31\x02\x30\x00"]
)
def test_malformed_names_are_refused(written: bytes) -> None:
    """Not a sequence of sets of pairs."""
    with pytest.raises(DecodeError):
        read_attribute(written, COMMON_NAME)


def test_nothing_is_said_without_extensions() -> None:
    """No authority for certificates, but one for lists, as there is no key usage against it."""
    assert read_extensions(None) == Extensions()


def test_extensions_of_the_library_are_understood() -> None:
    """All that we ask for, at once, among others."""
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(oid, location)
            for oid, location in (
                (AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("a:")),
                (AuthorityInformationAccessOID.OCSP, x509.DNSName("not.a.url")),
                (AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o")),
            )
        ]
    )
    usage = key_usage(cert_sign=True, crl_sign=True)
    extensions = packed(
        (x509.SubjectKeyIdentifier(b"id"), False),
        (x509.BasicConstraints(ca=True, path_length=300), True),
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), True),
        (access, False),
        (x509.SubjectAlternativeName([x509.DNSName("x")]), False),
    )
    assert read_extensions(extensions) == Extensions(
        is_ca=True,
        path_length=300,
        can_sign_lists=True,
        can_sign_ocsp=True,
        subject_key_id=b"id",
        ocsp_urls=("http://o",),
    )


@pytest.mark.parametrize(
    ("ca", "cert_sign", "crl_sign", "is_ca"),
    [
        (True, True, False, True),
        (True, False, True, False),
        (False, True, True, False),
    ],
)
def test_usage_and_constraints_have_to_agree(
    ca: bool, cert_sign: bool, crl_sign: bool, is_ca: bool
) -> None:
    """An authority has both."""
    usage = key_usage(cert_sign=cert_sign, crl_sign=crl_sign)
    constraints = x509.BasicConstraints(ca=ca, path_length=None)
    extensions = read_extensions(packed((usage, True), (constraints, True)))
    assert (extensions.is_ca, extensions.can_sign_lists) == (is_ca, crl_sign)
    assert extensions.path_length is None


def test_other_uses_are_not_ocsp() -> None:
    """A certificate for servers answers for nobody."""
    use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    assert not read_extensions(packed((use, False))).can_sign_ocsp


@pytest.mark.parametrize("is_critical", [True, False])
def test_unknown_critical_extensions_are_noticed(is_critical: bool) -> None:
    """Those that are not critical are passed over."""
    unknown = (x509.SubjectAlternativeName([x509.DNSName("x")]), is_critical)
    assert read_extensions(packed(unknown)).has_unknown_critical == is_critical


def test_empty_key_usage_allows_nothing() -> None:
    """A BIT STRING of no bits."""
    assert not read_extensions(with_value("551d0f", b"\3\1\0")).can_sign_lists


def test_absurd_path_lengths_are_as_good_as_none() -> None:
    """A path of more than 65,535 does not exist."""
    value = der.encode(der.SEQUENCE, TRUE, der.encode_integer(2**40))
    extensions = read_extensions(with_value("551d13", value))
    assert (extensions.is_ca, extensions.path_length) == (True, None)


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("551d13", b""),
        ("551d13", b"\x30\x02\x05\x00"),
        ("551d0f", b"\x05\x00"),
        ("551d0e", b"\x05\x00"),
        ("551d25", b"\x05\x00"),
        ("2b06010505070101", b"\x30\x02\x30\x00"),
    ],
)
def test_malformed_extensions_are_refused(oid: str, value: bytes) -> None:
    """Those that we ask for; what is in others does not matter."""
    with pytest.raises(DecodeError):
        read_extensions(with_value(oid, value))
    assert read_extensions(with_value("2a03", value)) == Extensions()


def test_malformed_frames_are_refused() -> None:
    """An empty extension, and one that comes twice."""
    with pytest.raises(DecodeError, match="empty"):
        read_extensions(der.parse(b"\x30\x02\x30\x00"))
    twice = (x509.SubjectKeyIdentifier(b"id"), False)
    with pytest.raises(DecodeError, match="twice"):
        read_extensions(packed(twice, twice))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Reading is total."""
    element = der.parse(der.encode(der.SEQUENCE, data))
    for read in (read_extensions, lambda whole: read_attribute(whole.encoded, USER_ID)):
        try:
            read(element)
        except DecodeError:
            continue
