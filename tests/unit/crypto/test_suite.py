"""What engines do with keys, with real and with simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shoal.core import InfoHash
from shoal.crypto.errors import CryptoError, DecryptError
from shoal.crypto.keys import KeyKind
from shoal.crypto.suite import RealSuite, Suite, SuiteIdentity
from shoal.crypto.testing import SeededSuite
from tests.unit.crypto.samples import authority, other_rsa_key, rsa_key, under

if TYPE_CHECKING:
    from collections.abc import Iterator

    Case = tuple[Suite, SuiteIdentity, SuiteIdentity]


def cases() -> Iterator[Case]:
    """Return each suite with two identities."""
    ca = authority()
    yield RealSuite(), under(ca, "a", key=rsa_key()), under(ca, "b", key=other_rsa_key())
    yield SeededSuite(), SeededSuite().identity("a"), SeededSuite().identity("b")


@pytest.fixture(params=list(cases()), ids=lambda case: type(case[0]).__name__)
def case(request: pytest.FixtureRequest) -> Case:
    """Return one suite with two identities."""
    chosen: Case = request.param
    return chosen


def test_signatures_hold_for_key_and_data(case: Case) -> None:
    """Sign, verify, and no to everything else; of RSA-2048's size."""
    suite, ours, theirs = case
    signature = suite.sign(ours.private_key, b"data")
    spki = ours.private_key.public_key.spki

    assert len(signature) == 256
    assert suite.verify(spki, b"data", signature)
    assert ours.certificate.public_key.verify(b"data", signature)
    assert not suite.verify(spki, b"other", signature)
    assert not suite.verify(theirs.private_key.public_key.spki, b"data", signature)
    assert not suite.verify(spki, b"data", signature[:-1])
    assert not suite.verify(b"no key", b"data", signature)


@pytest.mark.parametrize("length", [246, 1000])
def test_sealed_data_opens_for_its_receiver(case: Case, length: int) -> None:
    """And for nobody else; of the hybrid form's size."""
    suite, ours, theirs = case
    sealed = suite.encrypt(ours.private_key.public_key.spki, bytes(length))

    assert len(sealed) == 256 + 12 + length + 16
    assert suite.decrypt(ours.private_key, sealed) == bytes(length)
    for key, damaged in (
        (theirs.private_key, sealed),
        (ours.private_key, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (ours.private_key, sealed[:-1]),
        (ours.private_key, b""),
    ):
        with pytest.raises(DecryptError):
            suite.decrypt(key, damaged)
    with pytest.raises(CryptoError):
        suite.encrypt(b"no key", b"")


def test_certificates_are_published_as_text(case: Case) -> None:
    """And come back with the same ids, which are those of the key."""
    suite, ours, _ = case
    parsed = suite.parse_certificate(b"\xc4\x20" + ours.certificate.to_pem().encode())

    assert parsed == ours.certificate
    assert parsed.id == InfoHash.of(ours.private_key.public_key.spki)
    assert (parsed.id, parsed.long_id) == (parsed.public_key.id, parsed.public_key.long_id)
    assert parsed.public_key.kind is KeyKind.RSA
    for garbage in (b"", b"-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"):
        with pytest.raises(CryptoError):
            suite.parse_certificate(garbage)
