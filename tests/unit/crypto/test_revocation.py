"""Revocation lists."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.crypto import der
from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import InvalidRevocationListError, NotAnAuthorityError
from shoal.crypto.revocation import RevocationList, first_number, next_number, revoke
from tests.unit.crypto.samples import (
    DHTNODE,
    WALL,
    YEAR,
    authority,
    entropy,
    moment,
    rsa_key,
    under,
)
from tests.unit.crypto.test_certificates import with_parts

if TYPE_CHECKING:
    from shoal.crypto.identity import Identity

CA = under(authority("root"), "account", is_ca=True, key=rsa_key())
DEVICE = under(CA, "device", seed=3).certificate
OTHER = under(CA, "other", seed=4).certificate
LIST = revoke([DEVICE], CA, number=7, wall_now=WALL)
NEGATIVE = Certificate.parse(with_parts(DEVICE, bytes.fromhex("98eb83f7a1de081c")))


def sign_list(identity: Identity, tbs: bytes) -> bytes:
    """Return a list with this content, signed with a P-384 key."""
    native = identity.private_key.native
    assert isinstance(native, ec.EllipticCurvePrivateKey)
    oid = der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("2a8648ce3d040304"))
    signature = native.sign(tbs, ec.ECDSA(SHA512()))
    bits = der.encode(der.BIT_STRING, b"\0", signature)
    return der.encode(der.SEQUENCE, tbs, der.encode(der.SEQUENCE, oid), bits)


def test_list_names_what_was_revoked() -> None:
    """And nothing else; until the end of its issuer's certificate."""
    assert LIST.is_revoked(DEVICE)
    assert not LIST.is_revoked(OTHER)
    assert LIST.is_signed_by(CA.certificate)
    assert LIST.issuer == CA.certificate.subject
    assert LIST.serials == {DEVICE.serial}
    assert (LIST.number, LIST.wall_this_update) == (7, WALL)
    assert LIST.wall_next_update == CA.certificate.wall_not_after


def test_library_reads_our_lists() -> None:
    """Byte for byte what the library would write, where it can."""
    entry = x509.RevokedCertificateBuilder(int.from_bytes(DEVICE.serial), moment(0)).build()
    native = (
        x509.CertificateRevocationListBuilder(
            CA.certificate.native.subject,
            moment(0),
            CA.certificate.native.not_valid_after_utc,
            revoked_certificates=[entry],
        )
        .add_extension(x509.CRLNumber(7), critical=False)
        .sign(CA.private_key.native, SHA512())
    )
    assert LIST.der == native.public_bytes(Encoding.DER)


def test_lists_survive_a_round_trip() -> None:
    """DER and PEM."""
    assert RevocationList.parse(LIST.der) == LIST
    assert RevocationList.parse(LIST.to_pem().encode()) == LIST


def test_empty_list_is_possible() -> None:
    """An authority may say that it revoked nothing; with a date of its own."""
    empty = revoke([], CA, number=1, wall_now=WALL, wall_next_update=WALL + 5)

    assert empty.serials == frozenset()
    assert empty.wall_next_update == WALL + 5
    assert empty.is_signed_by(CA.certificate)


def test_curve_keys_sign_lists() -> None:
    """With ECDSA and SHA-512; dates after 2049 are written in full."""
    root = authority("root", wall_now=WALL + 20 * YEAR)
    device = under(root, "device", wall_now=WALL + 20 * YEAR).certificate
    revocations = revoke([device], root, number=1, wall_now=WALL + 20 * YEAR)

    assert revocations.is_signed_by(root.certificate)
    assert revocations.is_revoked(device)
    assert revocations.wall_next_update == root.certificate.wall_not_after


@pytest.mark.parametrize("start", [1, 0x7F, 0x80, 0xFFFF, 2**62, 2**63 - 2])
def test_numbers_increase(start: int) -> None:
    """From list to list, whatever their length in bytes."""
    numbers = [start]
    current = revoke([DEVICE], CA, number=start, wall_now=WALL)
    for _ in range(2):
        current = revoke([], CA, number=next_number(current), wall_now=WALL, previous=current)
        numbers.append(current.number)

    assert numbers == [start, start + 1, start + 2]
    assert current.is_revoked(DEVICE)


@pytest.mark.parametrize(
    "number", [1, 42, 0xFF, 0x100, 2**32, 0x2A1_0000_0001, 2**63 - 1, 2**63, 2**64 - 1]
)
def test_any_number_can_be_set(number: int) -> None:
    """Up or down, and it survives a round trip."""
    first = revoke([DEVICE], CA, number=1000, wall_now=WALL)
    again = revoke([], CA, number=number, wall_now=WALL, previous=first)
    assert RevocationList.parse(again.der).number == number


def test_first_number_is_random() -> None:
    """And fits 63 bits."""
    chance = entropy()
    numbers = {first_number(chance) for _ in range(50)}
    assert len(numbers) == 50
    assert all(1 <= number < 2**63 for number in numbers)


def test_partitioned_numbers_grow_apart() -> None:
    """Two devices of an account keep a tag in the low bits: each grows, and they never collide."""
    tags = (0x0A0B0C, 0x0A0B0D)
    lists = [
        [
            revoke([device], CA, number=count << 24 | tag, wall_now=WALL).number
            for count in range(1, 5)
        ]
        for tag, device in zip(tags, (DEVICE, OTHER), strict=True)
    ]
    assert all(numbers == sorted(set(numbers)) for numbers in lists)
    assert not set(lists[0]) & set(lists[1])


def test_dates_of_earlier_revocations_stay() -> None:
    """A later list says when each was revoked first."""
    later = revoke([DEVICE, OTHER], CA, number=8, wall_now=WALL + 60, previous=LIST)
    dates = {entry.serial_number: entry.revocation_date_utc for entry in later.native}

    assert dates[int.from_bytes(DEVICE.serial)].timestamp() == WALL
    assert dates[int.from_bytes(OTHER.serial)].timestamp() == WALL + 60


def test_negative_serial_numbers_are_revoked() -> None:
    """Half of Jami's devices have one; our list has them byte for byte."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        revocations = RevocationList.parse(revoke([NEGATIVE], CA, number=1, wall_now=WALL).der)

    assert revocations.serials == {bytes.fromhex("98eb83f7a1de081c")}
    assert revocations.is_revoked(NEGATIVE)
    assert not revocations.is_revoked(DEVICE)
    assert revocations.is_signed_by(CA.certificate)


def test_negative_list_numbers_are_read_as_unsigned() -> None:
    """Jami's first number is 8 random bytes; the one after it is still greater."""
    number = bytes.fromhex("bf9d9fb192e9ad1c")
    positive = der.encode_integer(int.from_bytes(number))
    tbs = der.parse(LIST.der).children()[0]
    fields = [field.encoded for field in tbs.children()]
    extension = fields[-1].replace(
        der.encode(der.OCTET_STRING, der.encode_integer(7)),
        der.encode(der.OCTET_STRING, der.encode(der.INTEGER, number)),
    )
    inner = extension[extension.index(b"\x06\x03\x55\x1d\x14") :]
    fields[-1] = der.encode(0xA0, der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, inner)))
    root = authority("account")
    legacy = RevocationList.parse(
        sign_list(root, der.encode(der.SEQUENCE, fields[0], ECDSA, *fields[2:]))
    )

    assert positive != der.encode(der.INTEGER, number)
    assert legacy.number == int.from_bytes(number)
    assert revoke([], CA, number=next_number(legacy), wall_now=WALL).number > legacy.number


ECDSA = der.encode(
    der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("2a8648ce3d040304"))
)


def plain_list(*tail: bytes, head: bytes = b"") -> RevocationList:
    """Return a list that has, between issuer and signature, only *tail*."""
    root = authority("plain")
    date = der.encode(der.UTC_TIME, b"270101000000Z")
    tbs = der.encode(der.SEQUENCE, head, ECDSA, root.certificate.subject, date, *tail)
    revocations = RevocationList.parse(sign_list(root, tbs))
    assert revocations.is_signed_by(root.certificate)
    return revocations


def test_version_1_lists_are_read() -> None:
    """Without version, next update, entries and extensions."""
    revocations = plain_list()
    assert (revocations.number, revocations.serials) == (0, frozenset())
    assert revocations.wall_next_update is None


def test_lists_with_other_extensions_are_read() -> None:
    """The number is 0 if it is not among them."""
    key_id = der.encode(
        der.SEQUENCE,
        der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex("551d23")),
        der.encode(der.OCTET_STRING, der.encode(der.SEQUENCE)),
    )
    due = der.encode(der.GENERALIZED_TIME, b"20600101000000Z")
    extensions = der.encode(0xA0, der.encode(der.SEQUENCE, key_id))
    revocations = plain_list(due, extensions, head=der.encode_integer(1))
    assert revocations.number == 0


def test_only_the_issuer_signs() -> None:
    """Another key under the same name, another name, a leaf: no."""
    namesake = under(authority("root"), "account", is_ca=True).certificate
    leaf = under(CA, "leaf", key=rsa_key())
    for certificate in (namesake, OTHER, leaf.certificate):
        assert not LIST.is_signed_by(certificate)
    with pytest.raises(NotAnAuthorityError, match="leaf"):
        revoke([], leaf, number=1, wall_now=WALL)
    with pytest.raises(NotAnAuthorityError, match="another issuer"):
        revoke([], authority(), number=1, wall_now=WALL, previous=LIST)


def test_certificates_of_others_are_not_revoked() -> None:
    """Equal serial numbers of two issuers are two certificates."""
    theirs = Certificate.parse((DHTNODE / "plain.crt").read_bytes())
    same_serial = Certificate.parse(with_parts(theirs, DEVICE.serial))
    assert not LIST.is_revoked(same_serial)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x00",
        bytes(65_537),
        b"-----BEGIN X509 CRL-----",
        b"-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        der.encode(der.SEQUENCE, der.encode(der.SEQUENCE), der.encode(der.SEQUENCE), b"\3\1\0"),
    ],
)
def test_garbage_is_no_list(data: bytes) -> None:
    """PEM or DER."""
    with pytest.raises(InvalidRevocationListError):
        RevocationList.parse(data)


@given(st.integers(0, len(LIST.der) - 1), st.integers(1, 255))
def test_damaged_lists_do_not_verify(position: int, flip: int) -> None:
    """One byte changed: an error of ours, or a list that its issuer did not sign."""
    data = bytearray(LIST.der)
    data[position] ^= flip
    try:
        revocations = RevocationList.parse(bytes(data))
    except DecodeError:
        return
    assert not revocations.is_signed_by(CA.certificate)
