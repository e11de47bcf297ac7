"""Certificates that we make: names, dates, serial numbers, extensions."""

from __future__ import annotations

import pytest
from cryptography import x509

from shoal.crypto.certificates import Certificate
from shoal.crypto.errors import IdentityError, InvalidNameError, NotAnAuthorityError
from shoal.crypto.issuing import (
    BACKDATING,
    VALIDITY,
    Profile,
    draw_serial,
    issue_certificate,
    subject_name,
)
from shoal.crypto.keys import PrivateKey
from tests.unit.crypto.samples import DHTNODE, WALL, authority, entropy, rsa_key, under

DHTNODE_LEAF = Certificate.parse((DHTNODE / "plain.crt").read_bytes())


def extensions(certificate: Certificate) -> list[tuple[str, bool]]:
    """Return name and criticality of each extension."""
    return [(type(e.value).__name__, e.critical) for e in certificate.native.extensions]


def test_leaf_looks_like_one_of_dhtnode() -> None:
    """Same names in the same string types and order, same extensions, same length of validity."""
    theirs = DHTNODE_LEAF
    ours = under(authority("DHT Node CA"), "DHT Node", key=rsa_key()).certificate
    assert theirs.issuer is not None
    assert ours.issuer is not None

    assert ours.subject.replace(ours.id.hex().encode(), theirs.id.hex().encode()) == theirs.subject
    assert ours.issuer_subject == ours.issuer.subject
    assert extensions(ours) == extensions(theirs)
    assert extensions(ours.issuer) == extensions(theirs.issuer)
    assert list(ours.native.extensions)[1:] == list(theirs.native.extensions)[1:]
    assert list(ours.issuer.native.extensions)[1:] == list(theirs.issuer.native.extensions)[1:]
    assert ours.native.version is x509.Version.v3


def test_dates_are_backdated() -> None:
    """A clock that is a few minutes ahead does not break a new certificate."""
    certificate = authority().certificate
    assert certificate.wall_not_before == WALL - BACKDATING
    assert certificate.wall_not_after == WALL + VALIDITY


def test_serial_numbers_are_positive_and_differ() -> None:
    """1 to 2^63 - 1, so that no reader takes them as negative."""
    chance = entropy()
    serials = [draw_serial(chance) for _ in range(100)]
    assert len(set(serials)) == 100
    assert all(1 <= serial < 2**63 for serial in serials)
    assert all(not authority(seed=seed).certificate.serial[0] & 0x80 for seed in range(8))


@pytest.mark.parametrize("name", ["Ångström", "star*", "x" * 64])
def test_names_keep_their_characters(name: str) -> None:
    """A PrintableString where one suffices, else UTF-8."""
    assert authority(name).certificate.name == name


@pytest.mark.parametrize("name", ["", "x" * 65, "å" * 33])
def test_names_have_1_to_64_bytes(name: str) -> None:
    """As X.520 bounds a common name."""
    with pytest.raises(InvalidNameError):
        authority(name)


def test_bare_certificates_have_no_extensions() -> None:
    """What Jami makes for devices."""
    ca = authority()
    key = PrivateKey.generate_ec()
    certificate = issue_certificate(
        key.public_key,
        subject_name("device", key.public_key),
        ca.private_key,
        ca.certificate,
        profile=Profile.BARE,
        serial=5,
        wall_now=WALL,
    )
    assert extensions(certificate) == []
    assert certificate.serial == b"\5"
    assert certificate.issuer == ca.certificate


def test_leaves_do_not_issue() -> None:
    """They may not sign, so we refuse before."""
    leaf = under(authority(), "leaf")
    with pytest.raises(NotAnAuthorityError, match="leaf"):
        under(leaf, "below")


def test_signing_key_must_be_the_issuers() -> None:
    """Under an issuer as well as without one."""
    ca, key = authority(), PrivateKey.generate_ec()
    for issuer in (ca.certificate, None):
        with pytest.raises(IdentityError):
            issue_certificate(
                ca.private_key.public_key,
                subject_name("x", key.public_key),
                key,
                issuer,
                profile=Profile.LEAF,
                serial=1,
                wall_now=WALL,
            )
