"""Names and extensions of certificates, read from their DER.

`cryptography` reads these as well, but all or none of them, warning about or stumbling over what a
peer put into an extension that nobody asked for. Here only what we use is looked at.

    Name        SEQUENCE OF SET OF SEQUENCE { OID, string }                 RFC 5280 section 4.1.2.4
    Extensions  SEQUENCE OF SEQUENCE { OID, BOOLEAN critical, OCTET STRING holding DER }
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shoal.core import DecodeError
from shoal.crypto import der

COMMON_NAME: Final = bytes.fromhex("550403")  # RFC 4519 section 2.3
USER_ID: Final = bytes.fromhex("0992268993f22c640101")  # RFC 4519 section 2.39
_SUBJECT_KEY_ID: Final = bytes.fromhex("551d0e")  # RFC 5280 section 4.2.1.2
_KEY_USAGE: Final = bytes.fromhex("551d0f")  # RFC 5280 section 4.2.1.3
_BASIC_CONSTRAINTS: Final = bytes.fromhex("551d13")  # RFC 5280 section 4.2.1.9
_EXTENDED_KEY_USAGE: Final = bytes.fromhex("551d25")  # RFC 5280 section 4.2.1.12
_INFORMATION_ACCESS: Final = bytes.fromhex("2b06010505070101")  # RFC 5280 section 4.2.2.1
_ACCESS_OCSP: Final = bytes.fromhex("2b06010505073001")
_USAGE_OCSP: Final = bytes.fromhex("2b06010505070309")  # RFC 6960 section 4.2.2.2
_URI_TAG: Final = 0x86  # GeneralName: [6] uniformResourceIdentifier
_TRUE: Final = b"\xff"  # X.690 section 11.1
_KEY_CERT_SIGN: Final = 0x04  # bit 5 of the first byte
_CRL_SIGN: Final = 0x02  # bit 6
_PATH_LENGTH_BYTES_MAX: Final = 2  # ours: longer than any chain
_ENCODINGS: Final = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1E: "utf-16-be",
}


class Extensions(NamedTuple):
    """What the extensions of a certificate say, as far as we ask."""

    is_ca: bool = False
    path_length: int | None = None
    can_sign_lists: bool = True
    can_sign_ocsp: bool = False
    subject_key_id: bytes | None = None
    ocsp_urls: tuple[str, ...] = ()
    has_unknown_critical: bool = False  # one that must be understood, and is not


def read_attribute(name: bytes, oid: bytes) -> str:
    """Return the first value of *oid* in the DER *name*; nothing if there is none to be read.

    Raises:
        DecodeError: *name* is no distinguished name.
    """
    for relative in der.parse(name).expect(der.SEQUENCE).children():
        for attribute in relative.expect(der.SET).children():
            kind, value = _pair(attribute)
            if kind.content == oid:
                encoding = _ENCODINGS.get(value.tag, "ascii")
                return value.content.decode(encoding, errors="replace")
    return ""


def read_extensions(extensions: der.Element | None) -> Extensions:
    """Return what a SEQUENCE of extensions says.

    Raises:
        DecodeError: it is none, one that we ask for is malformed, or one comes twice.
    """
    found, has_unknown_critical = ({}, False) if extensions is None else _values(extensions)
    usage = _usage(found[_KEY_USAGE]) if _KEY_USAGE in found else _KEY_CERT_SIGN | _CRL_SIGN
    is_ca, path_length = False, None
    if _BASIC_CONSTRAINTS in found:
        is_ca, path_length = _constraints(found[_BASIC_CONSTRAINTS])
    key_id = found.get(_SUBJECT_KEY_ID)
    return Extensions(
        is_ca=is_ca and bool(usage & _KEY_CERT_SIGN),
        path_length=path_length,
        can_sign_lists=bool(usage & _CRL_SIGN),
        can_sign_ocsp=_EXTENDED_KEY_USAGE in found
        and _names_ocsp_signing(found[_EXTENDED_KEY_USAGE]),
        subject_key_id=None if key_id is None else key_id.expect(der.OCTET_STRING).content,
        ocsp_urls=_ocsp_urls(found[_INFORMATION_ACCESS]) if _INFORMATION_ACCESS in found else (),
        has_unknown_critical=has_unknown_critical,
    )


def _values(extensions: der.Element) -> tuple[dict[bytes, der.Element], bool]:
    """Return what we ask for by object identifier, and whether another one is critical."""
    found: dict[bytes, der.Element] = {}
    has_unknown_critical = False
    for extension in extensions.expect(der.SEQUENCE).children():
        parts = extension.expect(der.SEQUENCE).children()
        if not parts:
            raise DecodeError("empty extension", extension.start)
        oid = parts[0].expect(der.OBJECT_IDENTIFIER).content
        if oid not in _ASKED_FOR:
            has_unknown_critical |= any(part.content == _TRUE for part in parts[1:-1])
            continue
        if oid in found:
            # RFC 5280 section 4.2: "A certificate MUST NOT include more than one instance of a
            # particular extension."
            raise DecodeError("the same extension twice", extension.start)
        found[oid] = der.parse(parts[-1].expect(der.OCTET_STRING).content)
    return found, has_unknown_critical


_ASKED_FOR: Final = frozenset(
    (_SUBJECT_KEY_ID, _KEY_USAGE, _BASIC_CONSTRAINTS, _EXTENDED_KEY_USAGE, _INFORMATION_ACCESS)
)


def _constraints(value: der.Element) -> tuple[bool, int | None]:
    """Return whether this is an authority, and over how many others."""
    is_ca, path_length = False, None
    for part in value.expect(der.SEQUENCE).children():
        if part.tag == der.BOOLEAN:
            is_ca = any(part.content)
        elif len(part.expect(der.INTEGER).content) <= _PATH_LENGTH_BYTES_MAX:
            path_length = int.from_bytes(part.content)
    return is_ca, path_length


def _usage(value: der.Element) -> int:
    """Return the first eight bits of a key usage."""
    bits = value.expect(der.BIT_STRING).content[1:]
    return bits[0] if bits else 0


def _names_ocsp_signing(value: der.Element) -> bool:
    """Say whether an extended key usage names the signing of OCSP responses."""
    return any(use.content == _USAGE_OCSP for use in value.expect(der.SEQUENCE).children())


def _ocsp_urls(value: der.Element) -> tuple[str, ...]:
    """Return the addresses of OCSP responders."""
    pairs = [_pair(description) for description in value.expect(der.SEQUENCE).children()]
    return tuple(
        location.content.decode("ascii", errors="replace")
        for method, location in pairs
        if method.content == _ACCESS_OCSP and location.tag == _URI_TAG
    )


def _pair(element: der.Element) -> tuple[der.Element, der.Element]:
    """Return object identifier and value."""
    parts = element.expect(der.SEQUENCE).children()
    if len(parts) != 2:  # noqa: PLR2004 - a pair
        raise DecodeError("not an object identifier and a value", element.start)
    return parts[0].expect(der.OBJECT_IDENTIFIER), parts[1]
