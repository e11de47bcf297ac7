"""The real cryptography of values, against what OpenDHT recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import InfoHash
from shoal.crypto.certificates import Certificate
from shoal.dht.contents import CertificateValue
from shoal.dht.errors import UnsuitableKeyError
from shoal.dht.packing import pack_bin
from shoal.dht.secure.suite import StandardSuite
from shoal.dht.value import Value
from tests.unit.dht.identities import ec_identity, identity, reference_identity, vectors

SUITE = StandardSuite()


def test_the_signed_vector_verifies_and_is_made_again_to_the_byte() -> None:
    """RSA with PKCS #1 v1.5 is deterministic: same value and key, same signature as OpenDHT's."""
    packed = bytes.fromhex(vectors()["signed_value"])
    value = Value.unpack(packed)

    assert SUITE.verify(value)
    again = SUITE.sign(reference_identity(), replace(value, owner=None, signature=None))
    assert again.packed() == packed


def test_the_encrypted_vector_opens() -> None:
    """The recipient reads it; it carries recipient, owner and signature, and the outer id."""
    sealed = Value.unpack(bytes.fromhex(vectors()["encrypted_value"]))
    clear = SUITE.unseal(reference_identity(), sealed)

    assert clear is not None
    assert clear.id == sealed.id
    assert clear.recipient == clear.owner_id == reference_identity().id
    assert SUITE.verify(clear)


def test_the_encrypted_vector_opens_for_nobody_else() -> None:
    """Another key gets nothing, and no error."""
    sealed = Value.unpack(bytes.fromhex(vectors()["encrypted_value"]))

    assert SUITE.unseal(identity("alice"), sealed) is None


@pytest.mark.parametrize(
    "change", [{"data": b"other"}, {"seq": 2}, {"type": 3}, {"user_type": "x"}]
)
def test_a_changed_value_does_not_verify(change: dict[str, object]) -> None:
    """Everything in the body is signed."""
    signed = SUITE.sign(identity("alice"), Value(b"data", id=5, seq=1))

    assert SUITE.verify(signed)
    assert not SUITE.verify(replace(signed, **change))  # type: ignore[arg-type]


def test_id_and_priority_are_not_signed() -> None:
    """They are outside of the body (reference section 2.3)."""
    signed = SUITE.sign(identity("alice"), Value(b"data", id=5))

    assert SUITE.verify(replace(signed, id=6, priority=3))


@pytest.mark.parametrize("size", [0, 1, 100, 30_000])
def test_what_is_sealed_is_unsealed(size: int) -> None:
    """Small values fit one RSA block, large ones do not; priority and push type stay outside."""
    value = Value(b"x" * size, type=4, id=9, user_type="text", seq=3, priority=2, push_type="call")
    sealed = SUITE.seal(identity("alice"), value, identity("bob").certificate.public_key.spki)

    assert (sealed.id, sealed.priority, sealed.push_type) == (9, 2, "call")
    assert (sealed.data, sealed.type, sealed.owner) == (b"", 0, None)
    clear = SUITE.unseal(identity("bob"), sealed)
    assert clear is not None
    assert (clear.data, clear.type, clear.user_type, clear.seq) == (value.data, 4, "text", 3)
    assert clear.owner_id == identity("alice").id
    assert clear.recipient == identity("bob").id


def _sealed_content(content: bytes) -> Value:
    """Encrypt arbitrary plaintext to bob."""
    return Value(id=1, cypher=identity("bob").certificate.public_key.encrypt(content))


def test_content_addressed_to_another_key_is_dropped() -> None:
    """Bob may not pass on what Alice signed for Carol as if it were for Dave."""
    for_carol = SUITE.sign(identity("alice"), Value(b"x", recipient=identity("carol").id))

    assert SUITE.unseal(identity("bob"), _sealed_content(for_carol.content())) is None


def test_content_with_a_bad_signature_is_dropped() -> None:
    """Encryption proves nothing about the sender."""
    signed = SUITE.sign(identity("alice"), Value(b"x", recipient=identity("bob").id))
    forged = replace(signed, data=b"y")

    assert SUITE.unseal(identity("bob"), _sealed_content(forged.content())) is None


@pytest.mark.parametrize(
    "content", [Value(b"plain").content(), pack_bin(b"again sealed"), b"\xc0", b"", b"\xff" * 50]
)
def test_content_without_an_owner_is_dropped(content: bytes) -> None:
    """Unsigned, doubly encrypted or meaningless plaintext shows nothing."""
    assert SUITE.unseal(identity("bob"), _sealed_content(content)) is None


@given(st.binary(min_size=1, max_size=300))
def test_any_ciphertext_gives_a_value_or_none(cypher: bytes) -> None:
    """Hostile ciphertext raises nothing."""
    assert SUITE.unseal(identity("bob"), Value(id=1, cypher=cypher)) is None


@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_any_owner_and_signature_give_a_verdict(owner: bytes, signature: bytes) -> None:
    """Hostile keys raise nothing."""
    assert SUITE.verify(Value(b"x", id=1, owner=owner, signature=signature)) is False


def test_elliptic_curves_are_refused_early() -> None:
    """They neither sign nor open values (reference section 2.4)."""
    spki = ec_identity().certificate.public_key.spki

    with pytest.raises(UnsuitableKeyError):
        SUITE.require_identity(ec_identity())
    with pytest.raises(UnsuitableKeyError):
        SUITE.require_recipient(spki)
    with pytest.raises(UnsuitableKeyError):
        SUITE.seal(identity("alice"), Value(b"x"), spki)
    with pytest.raises(UnsuitableKeyError):
        SUITE.require_recipient(b"no key at all")


def test_a_published_certificate_is_read_back_by_each_name() -> None:
    """Short id, long id, and the place of the long id; among rubbish."""
    certificate = identity("alice").certificate
    data = SUITE.certificate_data(certificate)
    candidates = (b"", b"\xc4\x03abc", SUITE.certificate_data(identity("bob").certificate), data)

    for name in (certificate.id, certificate.long_id, certificate.long_id.infohash):
        assert SUITE.find_certificate(candidates, name) == certificate
    assert SUITE.find_certificate(candidates, InfoHash(bytes(20))) is None


def test_certificates_are_written_as_pem_and_read_as_pem_or_der() -> None:
    """Msgpack bin around PEM out; bare PEM and DER in as well (reference section 2.9)."""
    certificate = identity("alice").certificate

    data = SUITE.certificate_data(certificate)
    assert CertificateValue.unpack(data).chain.startswith(b"-----BEGIN CERTIFICATE-----")
    for form in (certificate.to_pem().encode(), certificate.der):
        assert SUITE.find_certificate((form,), certificate.id) == Certificate.parse(certificate.der)
