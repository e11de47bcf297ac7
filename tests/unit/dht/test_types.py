"""Value types: lives, store rules, edit rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.core import Address, DecodeError, InfoHash, PublicKeyId
from shoal.core.driver import SystemEntropy
from shoal.crypto import generate_identity
from shoal.dht import types
from shoal.dht.contents import (
    CertificateValue,
    DhtMessage,
    IpServiceAnnouncement,
)
from shoal.dht.types import TypeRegistry, ValueType, read_certificate_ids, verify_value
from shoal.dht.value import VALUE_SIZE_MAX, Value
from tests.unit.dht import vectors

KEY = InfoHash.of(b"a key")
SENDER = Address.parse("192.0.2.7", 4222)
OWNER, STRANGER = b"the owner", b"a stranger"


def is_genuine(value: Value) -> bool:
    """Stand in for a signature check: the signature must name its owner and body."""
    return value.signature == b"by " + (value.owner or b"") + value.body()


def signed(data: bytes = b"x", seq: int = 0, owner: bytes = OWNER, type_: int = 0) -> Value:
    """Return a value that `is_genuine` takes."""
    value = Value(data, type_, 1, owner=owner, seq=seq)
    return replace(value, signature=b"by " + owner + value.body())


def ids_of(chain: bytes) -> types.CertificateIds:
    """Stand in for reading a certificate: the chain is `name:serial`."""
    name, colon, _ = chain.partition(b":")
    if not colon:
        raise DecodeError("no certificate")
    return InfoHash.of(name), PublicKeyId(name.ljust(32)), name


REGISTRY = TypeRegistry(is_genuine, ids_of)


@pytest.mark.parametrize(
    ("number", "life"),
    [(0, 600), (1, 300), (2, 900), (3, 300), (4, 604_800), (5, 60), (6, 600), (8, 604_800)],
)
def test_lives(number: int, life: float) -> None:
    """Unknown types live as user data does."""
    assert REGISTRY.life(number) == life


@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 77])
def test_size_decides_about_unsigned_values(number: int) -> None:
    """64 KiB of content and no more, encrypted or not."""
    for value in (Value(bytes(VALUE_SIZE_MAX), number, 1), Value(cypher=bytes(VALUE_SIZE_MAX))):
        assert REGISTRY.accept(KEY, value, SENDER) is value
    assert REGISTRY.accept(KEY, Value(bytes(VALUE_SIZE_MAX + 1), number, 1), SENDER) is None
    assert REGISTRY.accept(KEY, Value(cypher=bytes(VALUE_SIZE_MAX + 1)), SENDER) is None


def test_signed_values_are_stored_if_they_verify() -> None:
    """And nothing else is looked at, in secure types."""
    good = signed()
    assert REGISTRY.accept(KEY, good, SENDER) is good
    assert REGISTRY.accept(KEY, replace(good, data=b"forged"), SENDER) is None
    nameless = signed(DhtMessage("").pack(), type_=types.DHT_MESSAGE)
    assert REGISTRY.accept(KEY, nameless, SENDER) is nameless


def test_messages_to_no_service_are_refused() -> None:
    """What is no message at all is none of our business."""
    for data, is_stored in (
        (DhtMessage("service").pack(), True),
        (DhtMessage("").pack(), False),
        (b"no message", True),
        (bytes(VALUE_SIZE_MAX + 1), False),
    ):
        value = Value(data, types.DHT_MESSAGE, 1)
        assert (REGISTRY.accept(KEY, value, SENDER) is value) is is_stored


def test_announcements_are_rewritten() -> None:
    """The sender's address, the announced port, and nothing else of the value."""
    announced = IpServiceAnnouncement(Address.parse("203.0.113.1", 99))
    value = Value(announced.pack(), 2, 5, "gone", priority=3)
    kept = REGISTRY.accept(KEY, value, SENDER)
    assert kept == Value(IpServiceAnnouncement(Address(SENDER.ip, 99)).pack(), 2, 5)
    assert REGISTRY.accept(KEY, kept, Address.parse("2001:db8::7", 1)) == Value(
        IpServiceAnnouncement(Address.parse("2001:db8::7", 99)).pack(), 2, 5
    )
    assert REGISTRY.accept(KEY, Value(b"odd", 2, 5), SENDER) is None
    portless = IpServiceAnnouncement(Address.parse("203.0.113.1", 0))
    assert REGISTRY.accept(KEY, Value(portless.pack(), 2, 5), SENDER) is None


def test_insecure_types_ask_their_own_policy_about_signed_values_too() -> None:
    """A signature does not let an announcement keep its address."""
    value = signed(IpServiceAnnouncement(Address.parse("203.0.113.1", 9)).pack(), type_=2)
    kept = REGISTRY.accept(KEY, value, SENDER)
    assert kept is not None
    assert not kept.is_signed
    assert not REGISTRY.may_edit(KEY, value, replace(value, seq=9), SENDER)


def test_unsigned_values_stay_as_they_are() -> None:
    """Plain and encrypted ones cannot be changed until they expire."""
    for old in (Value(b"old", id=1), Value(cypher=b"old", id=1)):
        for new in (Value(b"new", id=1), Value(cypher=b"new", id=1), signed()):
            assert not REGISTRY.may_edit(KEY, old, new, SENDER)


@pytest.mark.parametrize(
    ("new", "is_allowed"),
    [
        (signed(b"new", seq=6), True),
        (signed(b"new", seq=5), False),
        (signed(b"new", seq=4), False),
        (signed(b"old", seq=5), True),
        (signed(b"new", seq=6, owner=STRANGER), False),
        (replace(signed(b"new", seq=6), signature=b"forged"), False),
        (replace(signed(b"new", seq=6), signature=None), False),
        (Value(b"new", id=1, seq=6), False),
        (Value(cypher=b"new", id=1), False),
        (Value(b"new", id=1, seq=6, signature=b"by nobody"), False),
    ],
    ids=[
        "greater seq",
        "same seq, other data",
        "lower seq",
        "same seq, same body",
        "another owner",
        "forged",
        "owner, but no signature",
        "no owner",
        "encrypted",
        "signature, but no owner",
    ],
)
def test_edits_of_signed_values(new: Value, is_allowed: bool) -> None:
    """Only the owner, only forward. A new value may carry no owner at all."""
    assert REGISTRY.may_edit(KEY, signed(b"old", seq=5), new, SENDER) is is_allowed


def test_certificates_are_stored_at_both_ids_of_their_key() -> None:
    """2.4 looks at the short id, 4.x at the SHA-1 of the long one."""
    value = Value(CertificateValue(b"alice:1").pack(), 8, 1)
    short, long_, _ = ids_of(b"alice:1")
    assert REGISTRY.accept(short, value, SENDER) is value
    assert REGISTRY.accept(long_.infohash, value, SENDER) is value
    assert REGISTRY.accept(KEY, value, SENDER) is None
    for data in (b"", CertificateValue(b"junk").pack()):
        assert REGISTRY.accept(short, Value(data, 8, 1), SENDER) is None


def test_certificates_are_replaced_by_those_of_the_same_key() -> None:
    """A renewed one, say."""
    old, new, other = (
        Value(CertificateValue(chain).pack(), 8, 1) for chain in (b"a:1", b"a:2", b"b:1")
    )
    assert REGISTRY.may_edit(KEY, old, new, SENDER)
    assert not REGISTRY.may_edit(KEY, old, other, SENDER)
    assert not REGISTRY.may_edit(KEY, old, Value(b"junk", 8, 1), SENDER)


def test_registered_types() -> None:
    """Secure ones see unsigned values only; a later registration replaces an earlier one."""
    registry = TypeRegistry(is_genuine, ids_of)
    mine = ValueType(77, "mine", 5.0, accept=lambda key, value, sender: None, edit=lambda *_: True)
    registry.register(mine)
    assert registry.life(77) == 5.0
    assert registry.accept(KEY, Value(b"x", 77, 1), SENDER) is None
    assert registry.accept(KEY, signed(type_=77), SENDER) is not None
    assert registry.may_edit(KEY, Value(b"x", 77, 1), Value(b"y", 77, 1), SENDER)
    assert not registry.may_edit(KEY, signed(type_=77), Value(b"y", 77, 1), SENDER)
    registry.register(mine, is_secure=False)
    assert registry.accept(KEY, signed(type_=77), SENDER) is None
    assert registry.may_edit(KEY, signed(type_=77), Value(b"y", 77, 1), SENDER)
    registry.register(mine)
    assert registry.accept(KEY, signed(type_=77), SENDER) is not None


def test_real_signatures_by_default() -> None:
    """The signed vector is stored, a damaged copy is not."""
    registry = TypeRegistry()
    value = Value.unpack(bytes.fromhex(vectors.VALUES["A25"]["hex"]))
    assert registry.accept(KEY, value, SENDER) is value
    assert registry.accept(KEY, replace(value, data=b"hullo"), SENDER) is None
    assert not verify_value(Value(b"x"))
    assert not verify_value(Value(b"x", owner=b"junk", signature=b"junk"))


def test_real_certificates_by_default() -> None:
    """Read from PEM and DER; anything else is no certificate."""
    certificate = generate_identity(
        "someone", bits=2048, entropy=SystemEntropy(), wall_now=1.8e9
    ).certificate
    pem = certificate.to_pem().encode()
    assert read_certificate_ids(pem) == (
        certificate.id,
        certificate.long_id,
        certificate.public_key.spki,
    )
    value = Value(CertificateValue(pem).pack(), 8, 1)
    assert TypeRegistry().accept(certificate.id, value, SENDER) is value
    assert TypeRegistry().accept(certificate.long_id.infohash, value, SENDER) is value
    with pytest.raises(DecodeError):
        read_certificate_ids(b"\x30\x00")
